"""The model behind the lab: points of seven classes, a linear map to the plane, a linear classifier, Eq. 1 to Eq. 3.

Each point has 32 numbers. Two of them tell its class; the other thirty are noise, ten times as wide, and there are only
200 points to learn from. So the map learns noise by heart, unless something makes it small where it only scatters: a
weak centre loss does, as Fisher's discriminant would. A strong one makes everything small, rare classes first.
``center_lab.js`` computes the same numbers; its draws come from a generator of a few lines, so that neither needs data
from the other."""

import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import f1_score, recall_score
from torch.nn import functional

from fer_utils.center_loss import RULES, CenterLoss
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError
from fer_utils.evaluation import compactness
from fer_utils.paper import TRAIN_COUNTS

CLASSES, WIDTH, POINTS, UNSEEN = len(EMOTIONS), 32, 200, 1400
RADIUS, SPREAD, NOISE = 16.0, 4.0, 40.0  # where the means lie, and the sd of the numbers that tell, and of the rest
STEPS, RATE, ADAM_RATE, LARGEST_BATCH = 200, 0.03, 0.1, 124


@dataclass(frozen=True)
class Simulation:
    """What ``simulate`` saw, before the first step and after each (T = steps + 1): the map ``weight`` (T, 32, 2) and
    ``shift`` (T, 2), the classifier ``directions`` (T, 2, 7) and ``bias`` (T, 7), the centres ``paths`` (T, 7, 2);
    ``cross_entropy`` and ``center_loss`` (T,), means over the 200 points. ``unseen`` (1400, 32) and their classes
    ``truth`` (1400,) took no part. ``counts`` (7,): the training points of each class."""

    options: dict
    counts: np.ndarray
    unseen: np.ndarray
    truth: np.ndarray
    weight: np.ndarray
    shift: np.ndarray
    directions: np.ndarray
    bias: np.ndarray
    paths: np.ndarray
    cross_entropy: np.ndarray
    center_loss: np.ndarray

    def features(self, step=-1):
        """(1400, 2): where the unseen points lie after a step."""
        return self.unseen @ self.weight[step] + self.shift[step]

    def answers(self, step=-1):
        """(1400,): the class that each unseen point is taken for."""
        return (self.features(step) @ self.directions[step] + self.bias[step]).argmax(1)

    def measures(self, step=-1):
        """On unseen points: "accuracy", "macro_f1", "ratio" (intra/inter-class distance) and each class's "recall"."""
        answers = self.answers(step)
        return {"accuracy": float((answers == self.truth).mean()),
                "macro_f1": f1_score(self.truth, answers, average="macro", zero_division=0),
                "ratio": compactness(self.features(step), self.truth).ratio,
                "recall": recall_score(self.truth, answers, average=None, zero_division=0)}

    @property
    def rho(self):
        """(7,): what a step leaves of each centre's distance to its class's mean, 1 − α n/(1 + n) under Eq. 2, where n
        is the class's members in a batch, on average; 1 − α n/batch under "sgd"; None under "adam"."""
        alpha, batch, update = (self.options[name] for name in ("alpha", "batch", "update"))
        n = batch * self.counts / POINTS
        return {"eq2": 1 - alpha * n / (1 + n), "sgd": 1 - alpha * n / batch, "adam": None}[update]


@contextmanager
def one_thread():
    """Torch with one thread: the work of a step is so small that threads mostly wait for each other, on a busy machine
    for minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def simulate(lam=0.2, alpha=0.5, *, batch=62, update="eq2", imbalance=1.0, seed=0, steps=STEPS):
    """Train the model once. Returns a ``Simulation``; ``lam=0`` is softmax alone, on the same points and batches.

    Eq. 3 with the mean cross-entropy and ``CenterLoss``'s default, by Adam on the map and the classifier (rate 0.03,
    falling to 0 along a cosine, so that the strongest λ collapses and does not overflow). The centres are
    ``CenterLoss``'s, by one of its three rules. ``imbalance``: 1 for the proportions of RAF-DB in the paper's Table 2,
    0 for classes of one size. Raises ``FerError`` for values that have no meaning.
    """
    _check(lam, alpha, batch, update, imbalance, seed)
    (points, labels), (unseen, truth), draws = _draw(imbalance, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an α above 2 diverges, which is what one comes here to see
        loss = CenterLoss(CLASSES, 2, alpha=alpha, update=update, learning_rate=ADAM_RATE).double()
    weight, directions = (torch.from_numpy(normals(draws, *shape) * size).requires_grad_()
                          for shape, size in (((WIDTH, 2), 0.7 / math.sqrt(WIDTH)), ((2, CLASSES), math.sqrt(0.5))))
    shift, bias = (torch.zeros(size, dtype=torch.float64, requires_grad=True) for size in (2, CLASSES))
    parameters = weight, shift, directions, bias
    optimizer = torch.optim.Adam(parameters, RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / STEPS)) / 2)
    seen = []
    for _ in range(steps + 1):
        features = points @ weight + shift
        with torch.no_grad():
            both = functional.cross_entropy(features @ directions + bias, labels).item(), loss(features, labels).item()
        seen.append([*(it.detach().numpy().copy() for it in (*parameters, loss.centers)), *both])
        rows = torch.from_numpy((uniforms(draws, LARGEST_BATCH) * POINTS).astype(np.int64))[:batch]
        chosen, theirs = features[rows], labels[rows]
        optimizer.zero_grad()
        (functional.cross_entropy(chosen @ directions + bias, theirs) + lam * loss(chosen, theirs)).backward()
        optimizer.step()
        schedule.step()
        loss.update_centers(chosen.detach(), theirs)
    options = {"lam": lam, "alpha": alpha, "batch": batch, "update": update, "imbalance": imbalance, "seed": seed}
    return Simulation(options, labels.bincount(minlength=CLASSES).numpy(), unseen.numpy(), truth.numpy(),
                      *map(np.array, zip(*seen)))


def _check(lam, alpha, batch, update, imbalance, seed):
    for name, value, most in (("lam", lam, math.inf), ("alpha", alpha, math.inf), ("imbalance", imbalance, 1)):
        if not (math.isfinite(value) and 0 <= value <= most):
            raise FerError(f"{name} = {value}: give a finite number from 0 {'up' if most > 1 else 'to 1'}.")
    if update not in RULES:
        raise FerError(f"update {update!r}: choose one of {', '.join(RULES)}.")
    if batch != int(batch) or not 1 <= batch <= LARGEST_BATCH:
        raise FerError(f"batch = {batch}: give a whole number from 1 to {LARGEST_BATCH}.")
    if seed != int(seed) or not 0 <= seed < 2**32:
        raise FerError(f"seed = {seed}: give a whole number from 0 to 2³² − 1.")


def _draw(imbalance, seed):
    """The points to learn from, the unseen ones, each with their classes, and the generator for what follows."""
    draws, angle = Draws(seed), 2 * np.pi * np.arange(CLASSES) / CLASSES
    means = np.zeros((CLASSES, WIDTH))
    means[:, 0], means[:, 1] = RADIUS * np.cos(angle), RADIUS * np.sin(angle)
    spread = np.where(np.arange(WIDTH) < 2, SPREAD, NOISE)
    sets = []
    for count in (POINTS, UNSEEN):
        labels = np.repeat(np.arange(CLASSES), shares(count, imbalance))
        sets.append((torch.from_numpy(means[labels] + spread * normals(draws, count, WIDTH)), torch.from_numpy(labels)))
    return *sets, draws


def shares(count, imbalance):
    """Whole numbers that add up to ``count``, in the proportions of Table 2 raised to the power ``imbalance``: each
    gets the whole part of its share, and those with the largest rests one more."""
    parts = np.array(TRAIN_COUNTS["rafdb"], float) ** imbalance
    parts *= count / parts.sum()
    whole = np.floor(parts).astype(int)
    whole[np.argsort(whole - parts, kind="stable")[:count - whole.sum()]] += 1
    return whole


class Draws:
    """mulberry32: a generator of 32 bits of state, the same in JavaScript to the last bit."""

    def __init__(self, seed):
        self.state = int(seed)

    def __call__(self, count):
        states = (self.state + 0x6D2B79F5 * np.arange(1, count + 1, dtype=np.uint64)) & 0xFFFFFFFF
        self.state = int(states[-1])
        mixed = (states ^ states >> 15) * (states | 1) & 0xFFFFFFFF
        mixed ^= mixed + ((mixed ^ mixed >> 7) * (mixed | 61) & 0xFFFFFFFF) & 0xFFFFFFFF
        return ((mixed ^ mixed >> 14) & 0xFFFFFFFF) / 2**32


def uniforms(draws, *shape):
    """From [0, 1), in the order of the draws."""
    return draws(math.prod(shape)).reshape(shape)


def normals(draws, *shape):
    """Nearly normal, mean 0 and variance 1: twelve draws added up, for a logarithm may differ in its last bit."""
    return uniforms(draws, *shape, 12).sum(-1) - 6
