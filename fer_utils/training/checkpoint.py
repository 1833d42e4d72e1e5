"""What a training leaves after each epoch, so that nothing is lost when it ends before its time.

A checkpoint is two files, ``epoch-0007.safetensors`` (every tensor of the network, its moving average and the centres)
and ``epoch-0007.pt`` (optimiser, schedule, history), and ``last.json``, which names it. That name is written last, by
renaming: a process killed at any moment leaves the old checkpoint or the new one, never half of one.
"""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors.torch import load_file, save_file

from ..errors import FerError

POINTER = "last.json"
WAIT = 10  # seconds for which a second process waits for the folder


@contextmanager
def locked(folder):
    """The folder for one process alone; raises ``FerError`` where another one holds it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=WAIT)
    except Timeout as error:
        raise FerError(f"{folder}: another process is training into this folder; wait for it, or give another "
                       "runs_dir.") from error
    try:
        yield
    finally:
        lock.release()


def save(folder, epoch, modules, best, rest):
    """Write the checkpoint of an epoch, and delete the one before.

    ``modules``: {name: module}; ``best``: {name: state_dict} of the best epoch, or None where it is an older one, whose
    file stays; ``rest``: what ``torch.load(weights_only=True)`` reads. Raises ``FerError`` where the disk refuses.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _tensors(folder / f"epoch-{epoch:04d}.safetensors",
                 {name: module.state_dict() for name, module in modules.items()})
        if best is not None:
            _tensors(folder / f"best-{epoch:04d}.safetensors", best)
        _replace(folder / f"epoch-{epoch:04d}.pt", lambda part: torch.save(rest, part))
        _replace(folder / POINTER, lambda part: part.write_text(json.dumps({"epoch": epoch})))
    except (OSError, RuntimeError) as error:  # torch's own writer turns a full disk into a RuntimeError
        for part in folder.glob("*.part"):
            part.unlink(missing_ok=True)
        raise FerError(f"{folder}: the checkpoint of epoch {epoch} cannot be written ({error}); the one before is "
                       "kept. Free some space, and call again: training goes on from there.") from error
    clear(folder, keep={f"epoch-{epoch:04d}", f"best-{rest['best']['epoch']:04d}"})


def load(folder, modules, identity):
    """Put the last checkpoint into ``modules``; returns its ``rest`` and {name: state_dict} of its best epoch, or None
    where there is none. Raises ``FerError`` for a damaged one, and for one of another training."""
    folder = Path(folder)
    if not (folder / POINTER).exists():
        return None
    try:
        epoch = int(json.loads((folder / POINTER).read_text())["epoch"])
        rest = torch.load(folder / f"epoch-{epoch:04d}.pt", map_location="cpu", weights_only=True)
        if rest["identity"] == identity:
            states = _states(folder / f"epoch-{epoch:04d}.safetensors")
            best = _states(folder / f"best-{rest['best']['epoch']:04d}.safetensors")
    except Exception as error:  # a damaged file raises whatever the reader of its format raises
        raise FerError(f"{folder}: its checkpoint cannot be read ({type(error).__name__}: {str(error)[:200]}); delete "
                       "the folder to start again.") from error
    if rest["identity"] != identity:
        raise FerError(f"{folder}: a checkpoint of another training (recipe, data, seed or engine differ); give "
                       "another folder, or delete it.")
    for name, module in modules.items():
        module.load_state_dict(states[name])
    return rest, best


def clear(folder, keep=()):
    """Delete checkpoints, all but those in ``keep``, and what was left half-written."""
    patterns = ("epoch-*", "best-*", "*.part") if keep else ("epoch-*", "best-*", "*.part", POINTER)
    for path in (path for pattern in patterns for path in Path(folder).glob(pattern)):
        if path.stem not in keep:
            path.unlink(missing_ok=True)


def _tensors(path, states):
    flat = {f"{name}/{key}": value.detach().cpu().contiguous().clone() for name, state in states.items()
            for key, value in state.items()}
    _replace(path, lambda part: save_file(flat, part))


def _states(path):
    states = {}
    for key, value in load_file(path).items():
        name, _, rest = key.partition("/")
        states.setdefault(name, {})[rest] = value
    return states


def _replace(path, write):
    part = path.with_name(path.name + ".part")
    write(part)
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
