"""Data sets that were read once, as memory-mapped arrays in the user's cache folder (or in ``FER_UTILS_CACHE``)."""

import errno
import hashlib
import json
import os
import re
import shutil

import numpy as np
from platformdirs import user_cache_dir

from ..as_written import path_of
from ..atomic import written_whole
from .face_dataset import FaceDataset
from .files import allowed

# The version of the readers. Raise it, with the reason, whenever a reader gives other arrays for the same files, so
# that no entry written before is served again.
FORMAT = 2  # 1: the first that is counted; 2: folders as large as their use needs, in mixed order, with persons
PARTS = ("images", "labels", "names", "persons", "sides", "note")
ELSEWHERE = "set FER_UTILS_CACHE to another folder"


def home_folder():
    return path_of(os.environ.get("FER_UTILS_CACHE") or user_cache_dir("fer_utils", appauthor=False))


def entries():
    """(folder, what was read, bytes) of each entry, and of what a crash has left behind."""
    found = []
    for folder in sorted(home_folder().glob("*")):
        if not folder.is_dir() or re.fullmatch(r"[0-9a-f]{24}(\.\w+\.part)?", folder.name) is None:
            continue  # nothing of ours
        try:
            what = json.loads((folder / "about.json").read_text(encoding="utf-8"))["identity"]
        except (OSError, ValueError, KeyError):
            what = "not complete"
        found.append((folder, what, sum(file.stat().st_size for file in folder.iterdir())))
    return found


def clear():
    """Delete every entry, and nothing else that may lie there; returns how many there were."""
    folders = [folder for folder, _, _ in entries()]
    for folder in folders:
        shutil.rmtree(folder)
    return len(folders)


def forget(root):
    """Delete what was read from this folder or file, in whatever state it was then: (deleted, found) entries. On
    Windows those stay that a program still has open; call again when it has ended."""
    path = str(path_of(root).resolve())
    state = r"([0-9a-f]{64}|\d+ \d+)"  # as ``identity`` in files.py ends: a folder's listing, or a file's size and time
    found = [folder for folder, what, _ in entries() if re.fullmatch(rf"\w+ {re.escape(path)} {state}", what)]
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return sum(not folder.exists() for folder in found), len(found)


def read_once(identity, read, split, source):
    """What ``read()`` gives for this identity as a ``FaceDataset``, whose images are memory-mapped; read once, written
    whole or not at all: (images, labels, names), or these, persons or None, sides, and a note for the source."""
    folder = _entry(identity, read)
    with allowed(folder, "this entry of the cache cannot be read", f"delete the folder, and the data is read anew, or "
                 f"{ELSEWHERE}", Exception):  # numpy raises whatever the damaged bytes lead it to
        parts = {path.stem: np.load(path, mmap_mode="r" if path.stem == "images" else None)
                 for path in folder.glob("*.npy")}
        note = str(parts.pop("note", ""))
        return FaceDataset(**parts, split=split, source=f"{source}, {note}" if note else source)


def _entry(identity, read):
    home = home_folder()
    folder = home / hashlib.sha256(f"{FORMAT} {identity}".encode(errors="surrogateescape")).hexdigest()[:24]
    with _writing(home):
        if folder.is_dir():
            return folder
    arrays = {name: array for name, array in zip(PARTS, read()) if array is not None}
    with _writing(home), written_whole(folder, shared=True) as part:
        part.mkdir()
        for name, array in arrays.items():
            _save(part / f"{name}.npy", array)
        about = json.dumps({"identity": identity, "images": len(arrays["images"])}, indent=1)
        (part / "about.json").write_text(about, encoding="utf-8", errors="surrogateescape")
    return folder


def _save(path, array):
    np.save(path, array)
    try:
        np.load(path, mmap_mode="r")
    except ValueError as error:  # numpy says nothing where only the last few kilobytes don't fit on the disk
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def _writing(home):
    return allowed(home, "the cache cannot be written", f"free some space there, or {ELSEWHERE}")
