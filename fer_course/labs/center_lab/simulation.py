"""The toy behind the lab: free points in the plane under Eq. 1 to Eq. 3. ``center_lab.js`` computes the same numbers in
JavaScript; its draws come from a generator of a few lines, so that neither needs data from the other."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from fer_utils.center_loss import REGIONS, RULES, CenterLoss
from fer_utils.errors import FerError

CLASSES = ("happiness", "sadness", "surprise")
DIRECTIONS = np.array([[0.0, 1.2], [-1.04, -0.6], [1.04, -0.6]])  # the classifier: it does not learn
ADAM_RATE = 0.1


@dataclass(frozen=True)
class Simulation:
    """What ``simulate`` saw, before the first step and after each: ``positions`` (steps + 1, N, 2) of the points,
    ``paths`` (steps + 1, classes, 2) of the centres, ``cross_entropy`` and ``center_loss`` (steps + 1,), both means
    over all points; ``labels`` (N,)."""

    alpha: float
    lam: float
    batch: int
    update: str
    labels: np.ndarray
    positions: np.ndarray
    paths: np.ndarray
    cross_entropy: np.ndarray
    center_loss: np.ndarray

    @property
    def start(self):
        """(N, 2): where the points began."""
        return self.positions[0]

    @property
    def points(self):
        """(N, 2): where they ended."""
        return self.positions[-1]

    @property
    def rho(self):
        """What a step leaves of a centre's distance to its class's mean: 1 − α n/(1 + n) under Eq. 2, where n is the
        members of a class in a batch, batch / 3 on average; 1 − α/3 under "sgd"; None under "adam", whose steps have a
        size of their own."""
        n = self.batch / len(CLASSES)
        return {"eq2": 1 - self.alpha * n / (1 + n), "sgd": 1 - self.alpha * n / self.batch, "adam": None}[self.update]

    @property
    def region(self):
        """In words, what ρ means; None under "adam"."""
        return None if self.rho is None else [name for name, top in REGIONS.items() if self.rho <= top][-1]

    def by_class(self):
        """(name, points, path of the centre) of each class."""
        return [(name, self.points[self.labels == k], self.paths[:, k]) for k, name in enumerate(CLASSES)]


def simulate(alpha, lam, *, batch=24, update="eq2", seed=0, steps=60, members=30, rate=0.05):
    """Eq. 1 to Eq. 3 on three classes of free points in the plane, small enough for a slider. Returns a ``Simulation``.

    Each step, every point goes down the gradient of L_S + λ L_C (both summed over the points; three fixed directions
    are the classifier), and a batch of points moves the centres, which are ``CenterLoss``'s, by one of its three rules.
    Raises ``FerError`` for values that have no meaning.
    """
    count = len(CLASSES) * members
    for name, value in {"alpha": alpha, "lam": lam}.items():
        if not (math.isfinite(value) and value >= 0):
            raise FerError(f"{name} = {value}: give a finite number from 0 up.")
    if update not in RULES:
        raise FerError(f"update {update!r}: choose one of {', '.join(RULES)}.")
    if batch != int(batch) or not 1 <= batch <= count:
        raise FerError(f"batch = {batch}: there are {count} points; give a whole number from 1 to {count}.")
    if seed != int(seed) or not 0 <= seed < 2**32:
        raise FerError(f"seed = {seed}: give a whole number from 0 to 2³² − 1.")
    draw = uniform(seed)
    labels = np.repeat(np.arange(len(CLASSES)), members)
    one_hot = np.eye(len(CLASSES))[labels]
    points = 0.7 * DIRECTIONS[labels] + 0.8 * np.array([[normal(draw), normal(draw)] for _ in labels])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an α above 2 diverges, which is what one comes here to see
        loss = CenterLoss(len(CLASSES), 2, alpha=alpha, update=update, learning_rate=ADAM_RATE).double()
    seen = []
    for _ in range(steps + 1):
        centers = loss.centers.detach().numpy().copy()
        logits = points @ DIRECTIONS.T
        largest = logits.max(1, keepdims=True)
        shares = np.exp(logits - largest)
        total = shares.sum(1, keepdims=True)
        away = points - centers[labels]
        cross_entropy = np.log(total[:, 0]) + (largest[:, 0] - (logits * one_hot).sum(1))
        seen.append((points, centers, cross_entropy.mean(), 0.5 * (away**2).sum(1).mean()))
        chosen = shuffled(count, draw)[:batch]
        loss.update_centers(torch.from_numpy(points[chosen]), torch.from_numpy(labels[chosen]))
        points = points - rate * ((shares / total - one_hot) @ DIRECTIONS + lam * away)
    return Simulation(alpha, lam, batch, update, labels, *map(np.array, zip(*seen)))


def uniform(seed):
    """A function that draws from [0, 1): mulberry32, 32 bits of state, the same in JavaScript to the last bit."""
    state = int(seed)

    def draw():
        nonlocal state
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        mixed = (state ^ state >> 15) * (state | 1) & 0xFFFFFFFF
        mixed ^= mixed + (mixed ^ mixed >> 7) * (mixed | 61) & 0xFFFFFFFF
        return (mixed ^ mixed >> 14) / 2**32

    return draw


def normal(draw):
    """Nearly normal, mean 0 and variance 1: twelve draws added up, for a logarithm may differ in its last bit."""
    return sum(draw() for _ in range(12)) - 6


def shuffled(count, draw):
    """0 … count − 1 in random order (Fisher and Yates). A batch is the first of them, so that a larger one of the same
    step holds the smaller."""
    order = list(range(count))
    for last in range(count - 1, 0, -1):
        other = int(draw() * (last + 1))
        order[last], order[other] = order[other], order[last]
    return order
