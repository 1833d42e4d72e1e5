"""``fit`` in several processes, started as torchrun starts them: together they train as one process does."""

import socket

import apart
import pytest
import torch
from apart import assert_same
from torch import distributed

from fer_utils.training import checkpoint

pytestmark = pytest.mark.skipif(not (distributed.is_available() and distributed.is_gloo_available()), reason="no gloo")


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


@pytest.mark.parametrize("processes, fields", [
    (2, {"batch_size": 62}), (2, {"batch_size": 15}), (3, {"batch_size": 62}),
    (2, {"batch_size": 62, "update": "adam"}),
    (2, {"accumulate": 2, "ema": 0.9, "optimizer": "sgd", "learning_rate": 0.01}),
], ids=["31 and 31", "7 and 8", "three, uneven", "Adam's centres", "pieces and average"])
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
