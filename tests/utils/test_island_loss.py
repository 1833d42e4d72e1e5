"""Island loss against its equations written out as loops, and against autograd."""

import math

import pytest
import torch
from conftest import refusal

from fer_utils.center_loss import CenterLoss
from fer_utils.island_loss import IslandLoss

X = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
Y = torch.tensor([0, 1, 1, 2, 2, 2, 0, 1, 4])  # no image of class 3
START = torch.randn(5, 4, generator=torch.Generator().manual_seed(2))


def cosine(a, b):
    return sum(p * q for p, q in zip(a, b)) / math.sqrt(sum(p * p for p in a) * sum(q * q for q in b))


def literal_step(centers, x, y, alpha, lam1):
    """The centres after Δc_j of the docstring, a number at a time."""
    moved = []
    for j, center in enumerate(centers):
        members = [row for row, label in zip(x, y) if label == j]
        delta = [sum(c - row[d] for row in members) / (1 + len(members)) for d, c in enumerate(center)]
        own = math.sqrt(sum(c * c for c in center))
        for k, other in enumerate(centers):
            if k != j:
                size = math.sqrt(sum(c * c for c in other))
                dot = sum(p * q for p, q in zip(center, other))
                delta = [d + lam1 / (len(centers) - 1) * (o / (size * own) - dot * c / (size * own**3))
                         for d, o, c in zip(delta, other, center)]
        moved.append([c - alpha * d for c, d in zip(center, delta)])
    return torch.tensor(moved)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_is_center_loss_and_every_ordered_pair(reduction):
    pairs = sum(1 + cosine(a, b) for j, a in enumerate(START.tolist()) for k, b in enumerate(START.tolist()) if j != k)
    loss, plain = (kind(5, 4, reduction=reduction, init=START) for kind in (IslandLoss, CenterLoss))
    assert loss(X, Y).item() == pytest.approx(plain(X, Y).item() + 10 * pairs, rel=1e-5)


def test_step_is_the_published_one():
    for lam1 in (0.0, 0.3, 10.0):
        loss = IslandLoss(5, 4, lam1=lam1, alpha=0.7, init=START)
        loss.update_centers(X, Y)
        torch.testing.assert_close(loss.centers, literal_step(START.tolist(), X.tolist(), Y.tolist(), 0.7, lam1))


def test_many_classes_in_a_small_batch_take_the_same_step():
    start = torch.randn(40, 4, generator=torch.Generator().manual_seed(3))  # CenterLoss touches the batch's rows only
    loss = IslandLoss(40, 4, init=start)
    loss.update_centers(X, Y)
    torch.testing.assert_close(loss.centers, literal_step(start.tolist(), X.tolist(), Y.tolist(), 0.5, 10.0))


def test_published_gradient_is_half_of_autograds():
    """Each unordered pair is in the loss twice, and once in the step of either of its centres."""
    centers = START.clone().requires_grad_()
    unit = torch.nn.functional.normalize(centers, dim=1)
    (1 + unit @ unit.T).fill_diagonal_(0).sum().backward()
    loss = IslandLoss(5, 4, lam1=1.0, alpha=1.0, init=START)
    loss.update_centers_from(torch.zeros(5, 4), torch.zeros(5, dtype=torch.int64))
    torch.testing.assert_close(START - loss.centers, centers.grad / 2 / 4)


def test_network_feels_center_loss_alone_and_a_centre_at_the_origin_none():
    gradients = []
    for kind in (IslandLoss, CenterLoss):
        leaf = X.clone().requires_grad_()
        kind(5, 4, init=START)(leaf, Y).backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)
    loss = IslandLoss(5, 4)
    assert loss.repulsion().item() == 5 * 4  # each cosine counts as 0
    loss.update_centers(X, Y)
    assert loss.centers.isfinite().all() and not loss.centers[3].any()


def test_step_spreads_centres_until_they_lie_opposite():
    loss = IslandLoss(2, 2, lam1=0.1, init=torch.tensor([[1.0, 0.1], [1.0, -0.1]]))
    seen = [loss.repulsion().item()]
    for _ in range(200):
        loss.update_centers_from(torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64))
        seen.append(loss.repulsion().item())
    assert seen == sorted(seen, reverse=True) and seen[-1] < 0.01


def test_what_cannot_be_meant_is_refused():
    for options in ({"lam1": -1}, {"lam1": float("nan")}, {"reduction": "none"}, {"num_classes": 1}):
        assert "lam1" in refusal(IslandLoss, **{"num_classes": 3, "feat_dim": 4, **options})
