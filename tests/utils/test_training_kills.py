"""Killed at random moments, called again until it is finished: the same training, to the last bit."""

import random
import shutil
import time

import pytest
import torch
from apart import assert_same, end, start, train_and_save

EPOCHS = 40
FIELDS = {"backbone": "tiny dropout", "ema": 0.9, "mixup": 0.3, "optimizer": "sgd", "schedule": "cosine",
          "warmup": 1.0, "update": "adam", "label_smoothing": 0.1}


def killed_until_finished(folder, result, kills, rng):
    """Start, kill after a random time, start again; how many kills there were, and in which epochs."""
    epochs = []
    while not result.exists():
        process = start(train_and_save, folder, result, EPOCHS, FIELDS, log=folder.parent / "log")
        if len(epochs) < kills:
            before, until = listing(folder), time.monotonic() + 60
            while listing(folder) == before and process.exitcode is None and time.monotonic() < until:
                time.sleep(0.001)  # until it trains: before that nothing could go wrong
            time.sleep(rng.uniform(0, 0.2))
            if process.exitcode is None:
                process.kill()  # SIGKILL: nothing can be tidied up
                process.join()
                epochs.append(max((path.name for path in folder.glob("epoch*")), default=""))
        assert end([process]) in ([0], [-9]), (folder.parent / "log").read_text()
    return epochs


def listing(folder):
    return sorted((path.name, path.stat().st_mtime_ns) for path in folder.glob("epoch*")) if folder.exists() else None


@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.stress)])
def test_a_training_that_is_killed_ends_like_one_that_never_was(tmp_path, kills):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert killed_until_finished(tmp_path / "a", whole, 0, random) == []
    rng, epochs = random.Random(kills), []
    while len(epochs) < kills:  # a training may end before its last kill: then another one begins
        folder = tmp_path / f"run{len(epochs)}"
        epochs += killed_until_finished(folder, cut, kills - len(epochs), rng)
        assert_same(torch.load(whole), torch.load(cut))
        assert not list(folder.glob("*.part")) and len(list(folder.glob("*"))) == 5
        cut.unlink()
        shutil.rmtree(folder)
    assert any(epochs) and len(set(epochs)) > kills / 10  # they hit it at different places
