"""Trainings in processes of their own, for the tests that kill them, run several at once or fill their disk.

They are forked from one server that has imported everything beforehand: a process costs milliseconds, not seconds.
"""

import functools
import multiprocessing
import os
import time
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TinyNetwork

from fer_utils.atomic import written_whole
from fer_utils.datasets import FaceDataset
from fer_utils.training import setup
from fer_utils.training.loop import fit
from fer_utils.training.recipe import Recipe

SECONDS = 300  # after which a process is ended, whatever it waits for


@functools.cache
def context():
    """multiprocessing's; the server imports this file when it starts, and must be told where it is (Python < 3.13)."""
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        return multiprocessing.get_context("spawn")
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(["apart"])
    from multiprocessing import forkserver

    with pytest.MonkeyPatch.context() as patch:
        tests = Path(__file__).parent
        patch.setenv("PYTHONPATH", os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")]))
        forkserver.ensure_running()
    return chosen


def start(work, *arguments, log, environment=None):
    """Start ``work(*arguments)`` in a process of its own that writes what it says into the file ``log``."""
    process = context().Process(target=_inside, args=(work, arguments, environment or {}, str(log)), daemon=True)
    process.start()
    return process


def end(processes, seconds=SECONDS):
    """Wait for all of them, or until one fails, as torchrun does, and then end the others; their exit codes."""
    until = time.monotonic() + seconds
    while (alive := [process for process in processes if process.exitcode is None]) and time.monotonic() < until and (
            not any(process.exitcode for process in processes)):
        wait([process.sentinel for process in alive], timeout=0.5)
    for process in processes:
        process.kill()
        process.join()
    return [process.exitcode for process in processes]


def _inside(work, arguments, environment, log):
    os.environ.update(environment)
    file = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    torch.set_num_threads(1)
    setup.CLResNet50 = TinyNetwork
    work(*arguments)


def train(folder, epochs, **fields):
    """A tiny training on random pixels into a folder."""
    rng = np.random.default_rng(0)

    def faces(n):
        images = rng.integers(0, 256, (n, 32, 32), np.uint8)
        return FaceDataset(images, np.arange(n, dtype=np.int64) % 7, np.arange(n).astype(str), "train", "random pixels")

    defaults = {"backbone": "tiny plain", "image_size": 32, "batch_size": 31, "precision": "fp32", "patience": epochs}
    return fit(faces(62), faces(21), Recipe("apart", epochs=epochs, **{**defaults, **fields}), device="cpu",
               folder=folder, progress=False)


def train_and_save(folder, result, epochs, fields):
    """Leave in the file ``result`` what the training returned."""
    done = train(folder, epochs, **fields)
    with written_whole(result) as part:
        torch.save({"model": done.model.state_dict(), "centers": done.center_loss.centers.detach(),
                    "history": done.history.drop(columns="seconds").to_dict("list"), "best": done.best_epoch}, part)


def assert_same(first, second):
    """Two saved results are equal to the last bit."""
    assert [name for name in first["model"] if not torch.equal(first["model"][name], second["model"][name])] == []
    assert torch.equal(first["centers"], second["centers"])
    assert first["history"] == second["history"] and first["best"] == second["best"]
