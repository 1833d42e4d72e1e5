"""Shapes with soft edges, and how they are put on an image."""

import numpy as np

from .colour import SHADOW


def soft(distance, edge):
    """Coverage 0..1 of a shape from its signed distance (negative inside), over a smoothstep ramp ``edge`` wide."""
    t = np.clip(0.5 - distance / edge, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def ellipse(x, y, cx, cy, rx, ry):
    """Signed distance from an ellipse, exact only along y: good enough where the edge is a pixel or two wide."""
    a, b = (x - cx) / rx, (y - cy) / ry
    return (np.sqrt(a * a + b * b) - 1.0) * ry


def stroke(x, y, start, end, curve, half):
    """Signed distance from a band of half thickness ``half`` around y = ``curve``, from x = ``start`` to ``end``."""
    return np.maximum(np.abs(y - curve) - half, np.maximum(start - x, x - end))


def crease(g, x, y, start, end, curve, half, edge):
    """Coverage of a fold of the skin: a stroke that fades out towards its ends where the face is large enough."""
    fold = soft(stroke(x, y, start, end, curve, half), edge * g.fold)
    if g.fine:
        inside = np.clip(np.minimum(x - start, end - x) / (0.4 * (end - start)), 0.0, 1.0)
        fold = fold * (1.0 + g.fine * (inside - 1.0))
    return fold


def paint(image, tone, mask):
    image += mask * (tone - image)


def shade(image, amount, mask):
    if len(image) == 3:
        amount = amount * SHADOW
    image *= 1.0 - amount * mask
