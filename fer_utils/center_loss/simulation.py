"""Eq. 1 to Eq. 3 on a few points in the plane: what the sliders show."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Simulation:
    """What ``simulate`` saw. ``start`` and ``points`` (N, 2): where the points began and ended; ``labels`` (N,);
    ``paths`` (steps + 1, classes, 2): the centres; ``cross_entropy`` and ``center_loss`` (steps,)."""

    alpha: float
    lam: float
    labels: np.ndarray
    start: np.ndarray
    points: np.ndarray
    paths: np.ndarray
    cross_entropy: np.ndarray
    center_loss: np.ndarray

    def by_class(self):
        """(name, points, path of the centre) of each class."""
        return [(name, self.points[self.labels == k], self.paths[:, k]) for k, name in enumerate(self.names)]

    names = ("happiness", "sadness", "surprise")


def simulate(alpha, lam, *, seed=0, steps=60, members=30, batch=24, rate=0.05):
    """Eq. 1 to Eq. 3 on three classes of free points in the plane, small enough for a slider.

    Each step, every point goes down the gradient of L_S + λ L_C (both summed over the points; three fixed directions
    are the classifier), and a batch of points moves the centres by Eq. 2. Returns a ``Simulation``.
    """
    chance = np.random.default_rng(seed)
    directions = np.array([[0.0, 1.2], [-1.04, -0.6], [1.04, -0.6]])
    labels = np.repeat(np.arange(3), members)
    points = start = 0.7 * directions[labels] + chance.normal(0, 0.8, (3 * members, 2))
    one_hot, centers = np.eye(3)[labels], np.zeros((3, 2))
    paths, cross_entropy, center = [centers], [], []
    for _ in range(steps):
        logits = points @ directions.T
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        away = points - centers[labels]
        cross_entropy.append(-np.log((shares * one_hot).sum(1)).mean())
        center.append(0.5 * (away**2).sum(1).mean())
        chosen = chance.permutation(len(points))[:batch]
        counts = one_hot[chosen].sum(0)[:, None]
        centers = centers + alpha * (one_hot[chosen].T @ away[chosen]) / (1 + counts)
        points = points - rate * ((shares - one_hot) @ directions + lam * away)
        paths.append(centers)
    return Simulation(alpha, lam, labels, start, points, np.array(paths), np.array(cross_entropy), np.array(center))
