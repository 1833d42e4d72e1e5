"""Notebook 3's checks know answers that are written in another way than their own, right ones and wrong ones."""

import warnings

import every_check as checks
import numpy as np
import torch
from every_check import judged
from torch.nn import functional

from fer_utils.center_loss import CenterLoss


def distances(alpha, members=3, steps=40):
    """How far a centre is from its members' mean, after each of some steps of ``CenterLoss`` on one fixed batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns above 2, which is what is tried
        loss = CenterLoss(1, 2, alpha=alpha).double()
    batch = torch.tensor(np.random.default_rng(0).normal(size=(members, 2)))
    seen = []
    for _ in range(steps):
        seen.append(torch.linalg.norm(loss.centers[0] - batch.mean(0)).item())
        loss.update_centers(batch, torch.zeros(members, dtype=torch.int64))
    return seen


def test_alpha_limits_are_those_of_center_loss():
    limit, one_step = checks.alpha_limits.right
    assert distances(limit - 0.05)[-1] < distances(limit - 0.05)[0]
    assert distances(limit + 0.05)[-1] > distances(limit + 0.05)[0]
    assert distances(one_step)[1] < 1e-12
    judged(checks.alpha_limits, [(2.67, 1.33), [8 / 3, 4 / 3]], [
        ((1.33, 2.67), "changed places"), ((2, 1), "very large classes"), ((2.22, 1.11), "n = 9"),
        ((1.5, 0.75), "upside down"), ((1, 5), "the larger one"), (2.67, "A pair"), ((5, 3), "A pair"),
        ((2.67, None), "A pair")])


def test_eq1():
    def looped_sum(x, c, y):
        total = 0.0
        for features, label in zip(x, y):
            for a, b in zip(features, c[label]):
                total += (a - b) ** 2 / 2
        return total

    def torch_sum(x, c, y, reduction="sum"):
        x, c, y = map(torch.from_numpy, (x, c, y))
        return functional.mse_loss(x, c[y], reduction=reduction) / 2

    judged(checks.eq1, [looped_sum, torch_sum], [
        (lambda x, c, y: 2 * looped_sum(x, c, y), "one half"),
        (lambda x, c, y: looped_sum(x, c, y) / len(x), "Eq. 1 is a sum"),
        (lambda x, c, y: 2 * looped_sum(x, c, y) / len(x), "without the half"),
        (lambda x, c, y: torch_sum(x, c, y, "mean"), "2048 times too weak"),
        (lambda x, c, y: sum(np.linalg.norm(a - c[k]) for a, k in zip(x, y)) / 2, "leave the root out"),
        (lambda x, c, y: torch.cdist(torch.tensor(x), torch.tensor(c)).square().sum() / 2, "*every* centre"),
        (lambda x, c, y: np.einsum("nd,nd->n", x - c[y], x - c[y]) / 2, "One number for each image"),
        (lambda x, c, y: (x - c).sum(), "It stops with ValueError")])


def class_by_class(x, c, y, alpha, lam, sign=-1, one=1):
    moved = np.array(c)
    for j in range(len(c)):
        members = [features for features, label in zip(x, y) if label == j]
        if members:
            delta = sum(c[j] - features for features in members) / (one + len(members))
            moved[j] = c[j] + sign * alpha * delta
    return moved


def scattered(x, c, y, alpha, lam):
    x, c, y = map(torch.from_numpy, (x, c, y))
    counts = torch.bincount(y, minlength=len(c)) + 1
    return c.index_add(0, y, (x - c[y]) * alpha / counts[y, None])


def test_eq2_update():
    def left_to_autograd(x, c, y, alpha, lam):
        centers = torch.tensor(c, requires_grad=True)
        (0.5 * (torch.tensor(x) - centers[torch.tensor(y)]).square().sum()).backward()
        return (centers - alpha * centers.grad).detach()

    judged(checks.eq2_update, [class_by_class, scattered], [
        (lambda *case: class_by_class(*case, sign=+1), "flee"),
        (lambda *case: class_by_class(*case, one=0), "divides by n"), (left_to_autograd, "does not divide"),
        (lambda x, c, y, alpha, lam: left_to_autograd(x, c, y, alpha / len(y), lam), "size of the batch"),
        (lambda x, c, y, alpha, lam: class_by_class(x, c, y, lam, alpha), "λ in α's place"),
        (lambda x, c, y, alpha, lam: scattered(x, c, y, lam * alpha, 0), "λ came in"),
        (lambda x, c, y, alpha, lam: c - class_by_class(x, c, y, alpha, lam), "That is the step"),
        (lambda x, c, y, alpha, lam: scattered(x, c, y, 1, lam), "α is missing"),
        (lambda x, c, y, alpha, lam: c, "it gives"), (lambda x, c, y, alpha, lam: c[y] - x, "shape")])


def test_same_strength_measured():
    def measured(lam, batch, half, summed):
        """How many times ours their loss is, on a batch of that size."""
        x = torch.randn(batch, 3, generator=torch.Generator().manual_seed(0)).double()
        y, loss = torch.arange(batch) % 7, CenterLoss(7, 3).double()
        each = (x - loss.centers[y]).square().sum(1) * (0.5 if half else 1.0)
        theirs = each.sum() if summed else each.mean()
        return lam * (theirs / loss(x, y)).item()

    judged(checks.same_strength, [measured], [
        (lambda lam, batch, half, summed: lam ** 2 / measured(lam, batch, half, summed), "Both the wrong way round"),
        (lambda lam, batch, half, summed: lam / (batch ** summed) * [2, 1][half], "The sum the wrong way"),
        (lambda lam, batch, half, summed: lam * [1, batch][summed] * [0.5, 1][half], "The half the wrong way"),
        (lambda lam, batch, half, summed: measured(lam, batch, True, summed), "The half is missing"),
        (lambda lam, batch, half, summed: measured(lam, batch, half, False), "The sum is missing"),
        (lambda lam, batch, half, summed: 0 + lam, "The same number")])


def test_centers_move():
    def by_state(training):
        before = [tensor.tolist() for name, tensor in training.state_dict().items() if "centers" in name]
        training.step()
        return before != [tensor.tolist() for name, tensor in training.state_dict().items() if "centers" in name]

    def by_numpy(training, keep=np.copy, same=False):
        before = keep(training.centers.detach().numpy())
        training.step()
        return np.array_equal(before, training.centers.detach().numpy()) == same

    def not_a_copy(training):
        before = training.centers
        training.step()
        return bool((before != training.centers).any())

    def by_gradient(training):
        training.step()
        return bool(training.centers.requires_grad and training.centers.grad.abs().sum() > 0)

    def by_loss(training):
        before = training.loss(training.network(training.inputs), training.y).item()
        training.step()
        return training.loss(training.network(training.inputs), training.y).item() < before

    judged(checks.centers_move, [by_numpy, by_state], [
        (not_a_copy, "keep a *copy*"), (lambda training: by_numpy(training, np.asarray), "keep a *copy*"),
        (lambda training: by_numpy(training, same=True), "wrong way round"), (by_gradient, "asks for a gradient"),
        (lambda training: "centers" in dict(training.loss.named_parameters()), "asks for a gradient"),
        (by_loss, "the network"), (lambda training: training.centers.numpy(), "It stops with RuntimeError")])
