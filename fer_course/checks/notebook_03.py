"""Exercises of notebook 3: the equations of centre loss."""

import numpy as np
import torch
from torch import nn

from fer_utils.center_loss import CenterLoss
from fer_utils.training.recipe import lambda_conventions

from .verdict import FunctionCheck, Mistake, ValueCheck

_N = 3  # members of the class in exercise 3.4

alpha_limits = ValueCheck(
    (2 * (1 + _N) / _N, (1 + _N) / _N), "ρ = −1 at the first, ρ = 0 at the second.",
    (Mistake(((1 + _N) / _N, 2 * (1 + _N) / _N), "The two have changed places: first the limit, where ρ = −1."),
     Mistake((2.0, 1.0), "Those are the values for very large classes. With n = 3 the factor n/(1 + n) is 3/4, and "
             "both lie higher."),
     Mistake((2 * 10 / 9, 10 / 9), "Those belong to n = 9, the example of section 3.5. Here n is 3."),
     Mistake((2 * _N / (1 + _N), _N / (1 + _N)), "The fraction is upside down: ρ = 1 − α n/(1 + n) is −1 where "
             "α = 2(1 + n)/n."),
     Mistake(lambda mine: mine[0] < mine[1], "The limit is the larger one: beyond it, every step leads further away.",
             matches=True)),
    "A pair: the limit, then the α that arrives in one step. Set ρ = 1 − α n/(1 + n) to −1 and to 0.", tolerance=0.01)


def _batches(rng):
    """(features, centers, labels) of several sizes, in numpy."""
    return [(rng.normal(size=(n, d)), rng.normal(size=(c, d)), rng.integers(c, size=n))
            for n, c, d in ((5, 3, 2), (1, 2, 4), (12, 7, 3))]


eq1 = FunctionCheck(
    lambda x, c, y: 0.5 * ((x - c[y])**2).sum(), _batches,
    "Half the sum of the squared distances, for each image to the centre of its own class.",
    (Mistake(lambda x, c, y: ((x - c[y])**2).sum(), "Twice as large: Eq. 1 has a factor of one half."),
     Mistake(lambda x, c, y: 0.5 * ((x - c[y])**2).sum(1).mean(), "That is the mean over the images; Eq. 1 is a sum. "
             "It is what λ multiplies in this course, and not what the paper prints."),
     Mistake(lambda x, c, y: ((x - c[y])**2).sum(1).mean(), "The mean, and without the half: that is what the "
             "published code computes. Eq. 1 is a sum, with a half."),
     Mistake(lambda x, c, y: 0.5 * ((x - c[y])**2).mean(), "That is a mean over images *and* features, as "
             "`mse_loss` takes it: with 2048 features the pull is 2048 times too weak. Eq. 1 sums both."),
     Mistake(lambda x, c, y: 0.5 * np.sqrt(((x - c[y])**2).sum(1)).sum(), "Distances, not squared ones: leave the root "
             "out."),
     Mistake(lambda x, c, y: 0.5 * ((x[:, None] - c)**2).sum(), "That is the distance of each image to *every* centre, "
             "which pulls all classes together. c[y] looks up the one that counts."),
     Mistake(lambda x, c, y: 0.5 * ((x - c[y])**2).sum(1), "One number for each image; Eq. 1 adds them up.")))


def _steps(rng):
    settings = ((0.5, 0.2), (1.9, 0.01), (0.1, 0.4))
    return [(*batch, alpha, lam) for batch, (alpha, lam) in zip(_batches(rng), settings)]


def _moved(x, c, y, alpha, lam, **options):
    """The centres after a step of the package's own ``CenterLoss``; λ has no part in it."""
    loss = CenterLoss(*c.shape, alpha=alpha, **options).double()
    loss.centers.data.copy_(torch.from_numpy(c))
    loss.update_centers(torch.from_numpy(x), torch.from_numpy(y))
    return loss.centers.detach().numpy()


def _counts(c, y):
    return np.bincount(y, minlength=len(c))[:, None]


def _sums(x, c, y):
    """Σ_i δ(y_i = j)(c_j − x_i)."""
    return _counts(c, y) * c - np.eye(len(c))[y].T @ x


def _delta(x, c, y):
    return _sums(x, c, y) / (1 + _counts(c, y))


@np.errstate(invalid="ignore")
def _without_one(x, c, y, alpha, lam):
    return c - alpha * _sums(x, c, y) / _counts(c, y)


def _only_the_last(x, c, y, alpha, lam):
    c[y] -= alpha * (c[y] - x) / (1 + _counts(c, y)[y])
    return c


def _one_after_another(x, c, y, alpha, lam):
    counts = _counts(c, y)
    for features, label in zip(x, y):
        c[label] -= alpha * (c[label] - features) / (1 + counts[label])
    return c


_ONE = ("It divides by n, Eq. 2 by 1 + n. Without the 1 a class that has no member in the batch gives 0/0, and a class "
        "with one member runs after that one face.")

eq2_update = FunctionCheck(
    _moved, _steps, "The centres go part of the way to their members' mean. λ has no part in it: it pulls features, "
    "not centres.",
    (Mistake(lambda x, c, y, alpha, lam: c + alpha * _delta(x, c, y), "The sign: Eq. 2 has c − x, and the step is "
             "*minus* α times it. This way the centres move away from their members, further with every step."),
     Mistake(lambda x, c, y, alpha, lam: c - lam * _delta(x, c, y), "λ in α's place. λ weighs the loss that moves the "
             "features; α alone says how far the centres go."),
     Mistake(lambda x, c, y, alpha, lam: c - alpha * lam * _delta(x, c, y), "λ is in your step. That happens where "
             "autograd moves the centres, with the whole loss; published code divides their gradient by λ to undo "
             "it. Eq. 2 has α only."),
     Mistake(_without_one, _ONE),
     Mistake(lambda x, c, y, alpha, lam: c - alpha * _sums(x, c, y) / np.maximum(_counts(c, y), 1), _ONE),
     Mistake(lambda x, c, y, alpha, lam: c - alpha * _sums(x, c, y), "It does not divide: that is the gradient of the "
             "sum, so a class with many members leaps. Eq. 2 divides by 1 + n, each class by its own."),
     Mistake(lambda *case: _moved(*case, update="sgd"), "It divides by the size of the batch: that is gradient "
             "descent on the mean. Eq. 2 divides each class by its own 1 + n, so that rare classes keep up."),
     Mistake(lambda x, c, y, alpha, lam: c - (1 - alpha) * _sums(x, c, y), "α the other way round, and no division: a "
             "well-known implementation steps by (1 − α)(c − x) for each image, so that a larger α is slower. In Eq. 2 "
             "a larger α is faster."),
     Mistake(_only_the_last, "Of several images of a class only the last one counts: NumPy's c[y] -= … writes once to "
             "each place, however often it occurs in y. Sum by class first, or use np.add.at."),
     Mistake(_one_after_another, "Each image moves the centre that the one before has moved already. Eq. 2 takes all "
             "differences from the *old* centre, so that the order in the batch plays no part."),
     Mistake(lambda x, c, y, alpha, lam: alpha * _delta(x, c, y), "That is the step. Asked for are the centres after "
             "it: c minus the step."),
     Mistake(lambda x, c, y, alpha, lam: c - _delta(x, c, y), "α is missing: the step is α times Δc.")))


def _conventions(rng):
    return [(lam, batch, half, summed) for lam, batch, half, summed in (
        (0.2, 62, True, True), (0.2, 62, False, False), (0.003, 64, False, True), (0.4, 128, True, False))]


def _ours(lam, batch, half, summed):
    theirs = lambda_conventions(1.0, batch)  # what others would write for our 1
    return lam / (1 if half else theirs["mean"]) / (theirs["half_sum"] if summed else 1)


def _half_for_double(lam, batch, half, summed):
    return lam * (1 if half else 0.5) * (batch if summed else 1)


same_strength = FunctionCheck(
    _ours, _conventions, "Eq. 1 to the letter, λ = 0.2 at batch 62, is 12.4; the published code's 0.2 is 0.4.",
    (Mistake(lambda lam, batch, half, summed: lam * (1 if half else 2) / (batch if summed else 1),
             "The sum the wrong way round: a sum over 62 images is 62 times their mean, so the same λ pulls 62 times "
             "*harder*."),
     Mistake(_half_for_double, "The half the wrong way round: without ½ the loss is twice as large, so the same λ "
             "pulls twice as hard."),
     Mistake(lambda lam, batch, half, summed: _half_for_double(lam, batch, half, False) / (batch if summed else 1),
             "Both the wrong way round: that is what *they* would write for *our* λ."),
     Mistake(lambda lam, batch, half, summed: lam * (batch if summed else 1), "The half is missing: where `half` is "
             "False, their loss is twice ours."),
     Mistake(lambda lam, batch, half, summed: lam * (1 if half else 2), "The sum is missing: where `summed` is True, "
             "their loss is as many times ours as there are images in the batch."),
     Mistake(lambda lam, batch, half, summed: lam, "The same number, and yet another strength. λ means nothing until "
             "somebody says \"½ or not\" and \"sum or mean\".")))


class _Training(nn.Module):
    """A small training with centres, whole or with one of the faults that are made: ``step()`` makes one step of it."""

    def __init__(self, rng, kind):
        super().__init__()
        self.kind, self.y = kind, torch.tensor([0, 1, 1, 2])
        self.inputs = torch.tensor(rng.normal(size=(4, 3)), dtype=torch.float32)
        self.network = nn.Linear(3, 2)
        self.network.weight.data = torch.tensor(rng.normal(size=(2, 3)), dtype=torch.float32)
        self.loss = CenterLoss(3, 2, update="eq2" if kind.startswith("Eq. 2") else "sgd")
        parts = [self.network, self.loss] if kind == "centres in the optimiser" else [self.network]
        self.optimizer = torch.optim.SGD([tensor for part in parts for tensor in part.parameters()], lr=0.1)

    @property
    def centers(self):
        return self.loss.centers

    def step(self):
        self.optimizer.zero_grad()
        features = self.network(self.inputs)
        self.loss(features, self.y).backward()
        self.optimizer.step()
        if self.kind == "Eq. 2 after each step":
            self.loss.update_centers(features.detach(), self.y)

    def __repr__(self):
        return f"a training ({self.kind})"


_KINDS = ("centres in the optimiser", "centres missing from the optimiser", "Eq. 2 after each step",
          "Eq. 2 never called")


def _trainings(rng):
    return [(_Training(rng, kind),) for kind in _KINDS]


def _centers_move(training):
    before = training.centers.detach().clone()
    training.step()
    return not torch.equal(before, training.centers)


def _have_gradient(training):
    training.step()
    return training.centers.grad is not None


def _network_moves(training):
    before = training.network.weight.detach().clone()
    training.step()
    return not torch.equal(before, training.network.weight)


centers_move = FunctionCheck(
    _centers_move, _trainings, "Four lines that answer the question asked most about centre loss. Keep them as a test.",
    (Mistake(lambda training: False, "It always says that they did not move. Did you keep a *copy*? `before = "
             "training.centers` is one more name for the same tensor and moves along; take `.detach().clone()`."),
     Mistake(lambda training: not _centers_move(training), "The right comparison the wrong way round: return True "
             "where they differ."),
     Mistake(_have_gradient, "That asks for a gradient, or for a Parameter. Centres that no optimiser knows have both "
             "and stay where they are; centres of Eq. 2 have neither and move. Compare their places."),
     Mistake(_network_moves, "Something moved: the network. The features come closer to centres that stand still, "
             "so the loss falls, too, and tells you nothing. Compare the centres' places."),
     Mistake(lambda training: training.centers.requires_grad and _centers_move(training), "Right for centres that an "
             "optimiser moves; but those of Eq. 2 are a buffer that needs no gradient, and they move.")))
