"""Centre loss in two processes: together they take the very step that one process takes with the whole batch."""

import itertools

import pytest
import torch
from torch import distributed

from fer_utils.center_loss import RULES, CenterLoss

BATCH, WIDTH, CENTERS = 62, 16, {"few": 7, "many": 300}
SHARDS = {"even": (31, 31), "uneven": (9, 53)}

pytestmark = pytest.mark.skipif(not (distributed.is_available() and distributed.is_gloo_available()), reason="no gloo")


def batch(classes, seed):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(BATCH, WIDTH, generator=rng), torch.randint(0, classes, (BATCH,), generator=rng)


def new_loss(classes, update="eq2"):
    start = torch.randn(classes, WIDTH, generator=torch.Generator().manual_seed(99))
    return CenterLoss(classes, WIDTH, alpha=1.9, update=update, init=start)


def run(classes, update, part=slice(None)):
    """The centres after three steps, each with the part of the batch that is one's own."""
    loss = new_loss(classes, update)
    for seed in range(3):
        features, labels = batch(classes, seed)
        loss.update_centers(features[part], labels[part])
    return loss.centers.detach().clone()


def work(rank, folder):
    """What each of the two processes does; ``torch.multiprocessing`` calls it."""
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    found = {}
    for shards, classes, update in itertools.product(SHARDS, CENTERS, RULES):
        first = SHARDS[shards][0]
        found[shards, classes, update] = run(CENTERS[classes], update, slice(first, None) if rank else slice(first))
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_take_the_steps_of_one(tmp_path):
    torch.multiprocessing.spawn(work, (str(tmp_path),), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for shards, classes, update in itertools.product(SHARDS, CENTERS, RULES):
        whole = run(CENTERS[classes], update)
        ours = [result[shards, classes, update] for result in found]
        assert torch.equal(*ours), (shards, classes, update)
        assert torch.allclose(ours[0], whole, rtol=0, atol=1e-6), (shards, classes, update)
        assert (whole - new_loss(CENTERS[classes]).centers).abs().max() > 1e-3
