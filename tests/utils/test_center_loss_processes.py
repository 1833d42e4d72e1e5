"""Centre loss in two processes: together they take the very step that one process takes with the whole batch.

Both processes start once for all the tests here, since each has to import torch, and leave what they found in a file.
"""

import itertools
import math

import pytest
import torch
from torch import distributed

from fer_utils.center_loss import RULES, CenterLoss

STEPS, BATCH, WIDTH, CENTERS, LAM = 3, 62, 16, {"few": 7, "many": 300}, 0.2
SHARDS = {"even": (31, 31), "uneven": (9, 53)}

pytestmark = pytest.mark.skipif(not (distributed.is_available() and distributed.is_gloo_available()), reason="no gloo")


def batch(classes, seed):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(BATCH, WIDTH, generator=rng), torch.randint(0, classes, (BATCH,), generator=rng)


def shard(tensors, sizes, rank):
    start = sum(sizes[:rank])
    return [tensor[start:start + sizes[rank]] for tensor in tensors]


def new_loss(classes, update="eq2", **options):
    start = torch.randn(classes, WIDTH, generator=torch.Generator().manual_seed(99))
    return CenterLoss(classes, WIDTH, alpha=1.9, update=update, init=start, **options)


def run(classes, update, part, **options):
    """The centres after some steps, each with the part of the batch that is one's own."""
    loss = new_loss(classes, update, **options)
    for seed in range(STEPS):
        loss.update_centers(*part(batch(classes, seed)))
    return loss.centers.detach().clone()


def work(rank, folder):
    """What each of the two processes does; ``torch.multiprocessing`` calls it."""
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    found = {}
    for shards, sizes in SHARDS.items():
        def mine(tensors, sizes=sizes):
            return shard(tensors, sizes, rank)
        for classes in CENTERS:
            for update in RULES:
                found[shards, classes, update] = run(CENTERS[classes], update, mine)
        found[shards, "alone"] = run(7, "eq2", mine, sync=False)
        found[shards, "averaged"] = averaged(mine)
        found[shards, "loss"] = summed_loss(mine)
    found["micro-batches"] = micro_batches(rank)
    found["idle"] = idle(rank)
    found["calls"] = calls(rank)
    found["poisoned"] = poisoned(rank)
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def averaged(mine):
    """The shortcut that suggests itself: each process takes its own step, then they average their centres."""
    loss = new_loss(7, sync=False)
    for seed in range(STEPS):
        loss.update_centers(*mine(batch(7, seed)))
        distributed.all_reduce(loss.centers)
        loss.centers /= 2
    return loss.centers.clone()


def summed_loss(mine):
    """The loss as a sum over the shard, divided by the whole batch, and its gradient for the shard's features."""
    features, labels = mine(batch(7, 0))
    features.requires_grad_()
    value = LAM * new_loss(7, reduction="sum")(features, labels) / BATCH
    value.backward()
    value = value.detach()
    distributed.all_reduce(value)
    return value, features.grad


def micro_batches(rank):
    """Four micro-batches, two in each process, and one step."""
    loss, (features, labels) = new_loss(7), shard(batch(7, 0), SHARDS["uneven"], rank)
    first, second = (loss.class_statistics(features[rows], labels[rows]) for rows in (slice(5), slice(5, None)))
    loss.update_centers_from(first[0] + second[0], first[1] + second[1])
    return loss.centers.clone()


def idle(rank):
    """One process has no image left and gives zeros, so that the other one need not wait."""
    loss = new_loss(7)
    if rank == 0:
        loss.update_centers_from(torch.zeros(7, WIDTH), torch.zeros(7, dtype=torch.int64))
    else:
        loss.update_centers(*batch(7, 0))
    return loss.centers.clone()


def calls(rank):
    """How often one step speaks to the other process, and of how many bytes, with and without ``sync``."""
    heard, speak = [], distributed.all_reduce

    def listen(tensor, *arguments, **options):
        heard.append(tensor.numel() * tensor.element_size())
        return speak(tensor, *arguments, **options)

    distributed.all_reduce = listen
    try:
        for sync in (True, False):
            loss, own = new_loss(7, sync=sync), shard(batch(7, 0), SHARDS["even"], rank)
            loss(*own)
            loss.update_centers(*own)
    finally:
        distributed.all_reduce = speak
    return heard


def poisoned(rank):
    """A nan in one of the processes: what do both do?"""
    loss, (features, labels) = new_loss(7), shard(batch(7, 0), SHARDS["even"], rank)
    if rank == 1:
        features[3, 2] = math.nan
    loss.update_centers(features, labels)
    return loss.centers.clone()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the two processes found, by rank."""
    folder = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def distance(first, second):
    return float((first - second).abs().max())


def test_two_processes_take_the_steps_of_one(found):
    for shards, classes, update in itertools.product(SHARDS, CENTERS, RULES):
        whole = run(CENTERS[classes], update, lambda tensors: tensors)
        ours = [result[shards, classes, update] for result in found]
        assert torch.equal(*ours), (shards, classes, update)
        assert distance(ours[0], whole) < 1e-6, (shards, classes, update)
        assert distance(whole, new_loss(CENTERS[classes]).centers) > 1e-3


def test_without_sync_and_with_averaged_steps_the_centers_are_others(found):
    """The negative controls: n/(1 + n) is no sum, so steps cannot be averaged, however even the shards."""
    whole = run(7, "eq2", lambda tensors: tensors)
    for shards, way in itertools.product(SHARDS, ("alone", "averaged")):
        assert all(distance(result[shards, way], whole) > 1e-2 for result in found)
        assert torch.equal(*(result[shards, way] for result in found)) == (way == "averaged")


def test_losses_summed_over_shards_and_divided_by_the_batch_are_those_of_the_batch(found):
    features, labels = batch(7, 0)
    whole = LAM * new_loss(7)(features.requires_grad_(), labels)
    whole.backward()
    for shards, sizes in SHARDS.items():
        for rank, result in enumerate(found):
            value, gradient = result[shards, "loss"]
            assert float(value) == pytest.approx(whole.item(), rel=1e-6)
            assert distance(gradient, shard([features.grad], sizes, rank)[0]) < 1e-6


def test_micro_batches_and_a_process_without_images_make_the_whole_batch(found):
    loss = new_loss(7)
    loss.update_centers(*batch(7, 0))
    for way in ("micro-batches", "idle"):
        assert all(distance(result[way], loss.centers) < 1e-6 for result in found), way


def test_a_step_speaks_once_and_only_with_sync(found):
    assert all(result["calls"] == [4 * 7 * (WIDTH + 1)] for result in found)


def test_poison_in_one_process_leaves_the_centers_of_both(found):
    assert all(torch.equal(result["poisoned"], new_loss(7).centers) for result in found)


def test_one_process_in_a_group_of_its_own_speaks_to_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "all_reduce", lambda *_, **__: pytest.fail("there is nobody to speak to"))
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        alone = run(7, "eq2", lambda tensors: tensors)
    finally:
        distributed.destroy_process_group()
    assert torch.equal(alone, run(7, "eq2", lambda tensors: tensors))
