"""Files and folders that are written whole or not at all."""

import contextlib
import os
import secrets
import shutil
from pathlib import Path


@contextlib.contextmanager
def written_whole(path, shared=False):
    """Where to write a file or a folder: it is renamed to ``path`` when the block ends, and deleted when that fails, so
    that a killed process leaves what was there before, or all of the new. ``shared``: another process may be writing
    the same folder; each has its own part, and the first one's stays."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part" if shared else f"{path.name}.part")
    try:
        _delete(part)  # left by a process that was killed
        yield part
        if part.is_dir():
            if not shared:
                _delete(path)  # a folder is not renamed over another one
            part.rename(path)
        else:
            with open(part, "rb+") as file:  # "+": Windows refuses to sync what is open for reading
                os.fsync(file.fileno())  # a machine that loses power must not keep the name without the content
            part.replace(path)
    except BaseException as error:  # an interrupt must not leave its part behind either
        _delete(part)
        if not (shared and isinstance(error, OSError) and path.exists()):  # where it is, another process was faster
            raise


def _delete(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
