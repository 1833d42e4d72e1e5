"""Centre loss in two processes: together they take the very step that one process takes with the whole batch.

Both processes start once for all the tests here, since each has to import torch, and leave what they found in a file.
"""

import itertools
import math

import pytest
import torch
from torch import distributed

from fer_utils.center_loss import RULES, CenterLoss

BATCH, WIDTH, CENTERS = 62, 16, {"few": 7, "many": 300}
SHARDS = {"even": (31, 31), "uneven": (9, 53)}

pytestmark = pytest.mark.skipif(not (distributed.is_available() and distributed.is_gloo_available()), reason="no gloo")


def batch(classes, seed=0):
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
    idle = new_loss(7)
    if rank == 0:  # it has no image left, and gives zeros, so that the other one need not wait
        idle.update_centers_from(torch.zeros(7, WIDTH), torch.zeros(7, dtype=torch.int64))
    else:
        idle.update_centers(*batch(7))
    poisoned, (features, labels) = new_loss(7), batch(7)
    features[3, 2] = math.nan if rank else 0.0
    poisoned.update_centers(features, labels)
    torch.save({**found, "idle": idle.centers, "poisoned": poisoned.centers}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the two processes found, by rank."""
    folder = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_two_processes_take_the_steps_of_one(found):
    for shards, classes, update in itertools.product(SHARDS, CENTERS, RULES):
        whole = run(CENTERS[classes], update)
        ours = [result[shards, classes, update] for result in found]
        assert torch.equal(*ours), (shards, classes, update)
        assert torch.allclose(ours[0], whole, rtol=0, atol=1e-6), (shards, classes, update)
        assert (whole - new_loss(CENTERS[classes]).centers).abs().max() > 1e-3


def test_one_process_without_images_and_poison_in_one_are_those_of_the_whole(found):
    loss = new_loss(7)
    assert all(torch.equal(result["poisoned"], loss.centers) for result in found)
    loss.update_centers(*batch(7))
    assert all(torch.allclose(result["idle"], loss.centers, rtol=0, atol=1e-6) for result in found)
