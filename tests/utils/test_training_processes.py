"""``fit`` in other processes: killed at random moments and called again; several at once, as torchrun starts them."""

import random
import shutil
import socket
import time

import apart
import pytest
import torch
from apart import assert_same, end, start, train_and_save
from torch import distributed

from fer_utils.training import checkpoint

pytestmark = pytest.mark.skipif(not (distributed.is_available() and distributed.is_gloo_available()), reason="no gloo")


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
    try:
        return sorted((path.name, path.stat().st_mtime_ns) for path in folder.glob("epoch*"))
    except FileNotFoundError:  # renamed while we looked: that, too, is a change
        return None


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


def launch(processes, work, *arguments, folder):
    """``work(*arguments, rank)`` in so many processes, with torchrun's environment; exit codes and what they said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        settings = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes,
                    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        settings = {name: str(value) for name, value in settings.items()} if processes > 1 else {}
        started.append(apart.start(work, *arguments, rank, log=folder / f"log{rank}", environment=settings))
    codes = apart.end(started)
    return codes, [(folder / f"log{rank}").read_text() for rank in range(processes)]


def work(out, epochs, fields, rank):
    apart.train_and_save(out / "run", out / f"{rank}.pt", epochs, fields)


def trained(out, processes, epochs=10, **fields):
    """What each process returned, by rank, and the files of the run."""
    out.mkdir(exist_ok=True)
    codes, said = launch(processes, work, out, epochs, fields, folder=out)
    assert codes == [0] * processes, "\n".join(said)
    return ([torch.load(out / f"{rank}.pt") for rank in range(processes)],
            sorted(path.name.split("-")[0] for path in (out / "run").iterdir()))


SLOW = pytest.mark.stress  # each starts processes twice, for ten seconds and more


@pytest.mark.parametrize("processes, fields", [
    (2, {"batch_size": 15}), pytest.param(3, {"batch_size": 62}, marks=SLOW),
    pytest.param(2, {"batch_size": 62, "update": "adam"}, marks=SLOW),
    pytest.param(2, {"accumulate": 2, "ema": 0.9, "optimizer": "sgd", "learning_rate": 0.01}, marks=SLOW)
])
def test_several_processes_train_as_one(tmp_path, processes, fields):
    """20 steps of a network without batch norm: losses, centres and weights to 1e-5."""
    epochs = 20 if fields.get("batch_size") == 62 else 10
    (one,), _ = trained(tmp_path / "one", 1, epochs, **fields)
    several, files = trained(tmp_path / "several", processes, epochs, **fields)
    assert files == ["best", "epoch", "epoch", "last.json", "lock"]  # each once, and nothing half-written
    for other in several[1:]:
        assert_same(several[0], other)
    for name, value in one["model"].items():
        assert torch.allclose(several[0]["model"][name], value, atol=1e-5), name
    assert torch.allclose(several[0]["centers"], one["centers"], atol=1e-5) and one["centers"].any()
    for column, values in one["history"].items():
        assert several[0]["history"][column] == pytest.approx(values, abs=1e-5), column


def test_with_batch_norm_every_process_returns_the_same_and_one_goes_on_where_two_were(tmp_path):
    results, _ = trained(tmp_path, 2, 4, backbone="tiny dropout", ema=0.5)
    assert_same(*results)
    (one,), _ = trained(tmp_path, 1, 4, backbone="tiny dropout", ema=0.5)
    assert_same(one, results[0])


def full(out, rank):
    def refuse(*args):
        raise OSError(28, "No space left on device")

    apart.train(out.with_name("another"), 1)  # two trainings, one after the other, in the same processes
    checkpoint.save_file = refuse
    apart.train(out, 3)


def test_when_one_process_fails_its_reason_is_said_and_all_end(tmp_path):
    codes, said = launch(2, full, tmp_path / "run", folder=tmp_path)
    assert all(codes) and "the checkpoint of epoch 1 cannot be written" in said[0]


def test_a_batch_too_small_for_its_processes_is_refused_by_all(tmp_path):
    codes, said = launch(2, work, tmp_path, 3, {"batch_size": 3}, folder=tmp_path)
    assert all(codes) and "a batch of 3 in 1 pieces on 2 processes" in "".join(said)
