"""What a training leaves after each epoch, so that nothing is lost when it ends before its time.

A checkpoint is two files, ``epoch-0007.safetensors`` (every tensor of the network, its moving average and the centres)
and ``epoch-0007.pt`` (optimiser, schedule, history), with ``best-0003.safetensors`` from the best epoch so far, and
``last.json``, which names it. That name is written last, by renaming: a process killed at any moment leaves the old
checkpoint or the new one, never half of one. No path is stored: the folder may be moved to another machine.

Accelerate's ``save_state`` was tried in its place (1.15) and is not enough. It syncs nothing to the disk, and a full
folder cannot be renamed over another one, so pointer, fsync and clean-up would stay. Reading sets Python's and NumPy's
generators, which are the caller's; a checkpoint from a CPU is refused on a GPU with fp16 (no scaler), and one from two
processes by one alone (names begin with "module."). The best epoch would be written anew after every epoch.
"""

import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..atomic import written_whole
from ..errors import FerError

POINTER = "last.json"
# Seconds for which a second process waits for the folder: who opened a notebook twice wants to be told, and soon;
# programs that train the same runs side by side want to wait, and set the variable.
WAIT = float(os.environ.get("FER_UTILS_WAIT", 10))
DISK = (OSError, SafetensorError, RuntimeError)  # what a full disk is to Python, to safetensors and to torch


def is_main():
    """Whether this is the process that writes: the first one of those that a launcher started, or the only one."""
    return os.environ.get("RANK", "0") == "0" or os.environ.get("WORLD_SIZE", "1") == "1"


@contextmanager
def locked(folder, seconds=None, advice="another process is training here; wait for it, or give another runs_dir."):
    """The folder for this process alone, and those that train with it; ``FerError`` where another one holds it. The
    lock is the operating system's and ends with the process, which can lock the same folder twice."""
    if folder is None or not is_main():
        yield
        return
    with explained(folder, "nothing can be written there"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    lock = FileLock(Path(folder).resolve() / "lock", is_singleton=True)
    try:
        lock.acquire(timeout=WAIT if seconds is None else seconds)
    except Timeout as error:
        raise FerError(f"{folder}: {advice}") from error
    except (OSError, NotImplementedError):
        pass  # some network drives have no locks: better to train without one
    try:
        yield
    finally:
        lock.release()


def wait(lock):
    """Return when no process holds this lock, for example a folder's file ``lock``, however long that takes."""
    if Path(lock).exists():
        with suppress(OSError, NotImplementedError), FileLock(Path(lock).resolve()):  # as in ``locked``
            pass


@contextmanager
def explained(folder, what):
    """What a disk refuses, as a ``FerError`` that says what to do."""
    try:
        yield
    except DISK as error:
        raise FerError(f"{folder}: {what} ({error}). Free some space there or mend its permissions, or give another "
                       "runs_dir; then call again.") from error


def save(folder, epoch, modules, best, rest):
    """Write the checkpoint of an epoch, and delete the one before.

    ``modules``: {name: module}; ``best``: {name: state_dict} of the best epoch, or None where it is an older one, whose
    file stays; ``rest``: what ``torch.load(weights_only=True)`` reads. ``FerError`` where the disk refuses.
    """
    folder, now = Path(folder), f"epoch-{epoch:04d}"
    with explained(folder, f"the checkpoint of epoch {epoch} cannot be written; the one before is kept, and training "
                           "goes on from there"):
        try:
            states = {name: module.state_dict() for name, module in modules.items()}
            with written_whole(folder / f"{now}.safetensors") as part:
                save_file(_flat(states), part)
            if best is not None:
                with written_whole(folder / f"best-{epoch:04d}.safetensors") as part:
                    save_file(_flat(best), part)
            with written_whole(folder / f"{now}.pt") as part:
                torch.save(rest, part)
            with written_whole(folder / POINTER) as part:
                part.write_text(json.dumps({"epoch": epoch}))
        except DISK:
            for path in (*folder.glob(f"{now}.*"), folder / f"best-{epoch:04d}.safetensors"):  # no pointer names them
                path.unlink(missing_ok=True)
            raise
    clear(folder, _current(rest))


def load(folder, modules, identity):
    """Put the last checkpoint into ``modules``; returns its ``rest`` and {name: state_dict} of its best epoch, or None
    where there is none. Raises ``FerError`` for a damaged one, and for one of another training."""
    folder = Path(folder)
    if not (folder / POINTER).exists():
        return None
    epoch = _read(folder / POINTER, lambda path: int(json.loads(path.read_text())["epoch"]))
    rest, theirs = _read(folder / f"epoch-{epoch:04d}.pt", _rest)
    if theirs != identity:
        raise FerError(f"{folder}: a checkpoint of another training (recipe, data, seed or engine differ); give "
                       "another folder, or delete it.")
    best = _read(folder / f"best-{rest['best']['epoch']:04d}.safetensors", _states)

    def put(path):
        states = _states(path)
        for name, module in modules.items():
            module.load_state_dict(states[name])

    _read(folder / f"epoch-{epoch:04d}.safetensors", put)
    if is_main():  # what a process left that was killed while it tidied up
        clear(folder, _current(rest))
    return rest, best


def clear(folder, keep=()):
    """Delete checkpoints, all but those in ``keep``, and what was left half-written."""
    patterns = ("epoch-*", "best-*", "*.part") if keep else (POINTER, "epoch-*", "best-*", "*.part")
    for path in (path for pattern in patterns for path in Path(folder).glob(pattern)):
        if path.stem not in keep:
            path.unlink(missing_ok=True)


def _read(path, reader):
    try:
        return reader(path)
    except Exception as error:  # a damaged file raises whatever the reader of its format raises
        raise FerError(f"{path}: this checkpoint cannot be read ({type(error).__name__}: {str(error)[:200]}); delete "
                       f"{path.parent} to start again.") from error


def _current(rest):
    return {f"epoch-{len(rest['history']):04d}", f"best-{rest['best']['epoch']:04d}"}


def _rest(path):
    rest = torch.load(path, map_location="cpu", weights_only=True)  # made on a GPU, it may be read without one
    return rest, rest["identity"]


def _flat(states):
    return {f"{name}/{key}": value.detach().cpu().contiguous().clone() for name, state in states.items()
            for key, value in state.items()}


def _states(path):
    states = {}
    for key, value in load_file(path).items():
        name, _, rest = key.partition("/")
        states.setdefault(name, {})[rest] = value
    return states
