"""What only a large face has room for: pupils, the gloss of lips, single hairs.

Everything here is weighted by ``g.fine``, which grows from 0 at 64 pixels to 1 at 128. Smaller faces, and so the
embedded ones of 48 pixels, are drawn without.
"""

import numpy as np

from .colour import BLUSH
from .shapes import ellipse, paint, shade, soft, stroke


def _wave(phase):
    """A triangle wave from 0 to 1 and back, once per unit of ``phase``."""
    return np.abs(phase - np.floor(phase) - 0.5) * 2.0


def skin(image, g, t, c, head):
    """Cheeks and nose have more blood in them; a face curves away from the light at its rim."""
    if len(image) == 3:
        cheeks = soft(ellipse(g.ax, g.y, 0.33, 0.14, 0.16, 0.13), 0.2)
        nose = soft(ellipse(g.ax, g.y, 0.0, t.nose_y - 0.01, 0.09, 0.06), 0.12)
        paint(image, c.skin * BLUSH, g.fine * 0.5 * np.maximum(cheeks, nose) * head)
    shade(image, g.fine * 0.25 * (1.0 - np.sqrt(np.sqrt(g.depth))), head)


def neck(image, g, t, mask):
    """Round, and in the shade of the chin."""
    across = g.u / (0.62 * t.face_width)
    shade(image, g.fine * (0.35 * across * across - 0.3 * np.clip(2.5 * (g.v - 0.78), 0.0, 1.0)), mask)


def brow_hairs(g, s, curve, brow):
    """Gaps between the hairs, which lean outwards, and a soft inner end."""
    lean = 10.0 * (g.y - curve)
    hairs = 0.5 * (_wave(13.0 * s + lean) + _wave(21.7 * s + 1.7 * lean))
    inner = np.clip(s * 6.0 + 0.25, 0.0, 1.0)
    return brow * (1.0 - g.fine * (1.0 - (0.72 + 0.28 * hairs) * inner))


def eyeball(image, g, t, au, upper, opening):
    """The upper lid's shade, the ring around the iris, the pupil and what is mirrored in it; the fold of the lid."""
    shade(image, g.fine * 0.35, opening * np.clip(1.0 - (g.y - upper) / 0.05, 0.0, 1.0))
    x, y = g.x - g.side * t.eye_x - t.gaze, g.y + 0.135
    r = np.sqrt(x * x + y * y) / 0.075
    shade(image, g.fine * 0.45, opening * soft(np.abs(r - 0.93) - 0.05, 0.22))
    shade(image, g.fine * -0.35, opening * soft(np.abs(r - 0.62) - 0.05, 0.4) * np.clip(0.5 + 8.0 * y, 0.0, 1.0))
    paint(image, 0.03, g.fine * opening * soft((r - 0.45) * 0.075, 1.6 * g.px))
    paint(image, 0.97, g.fine * 0.9 * opening * soft(ellipse(x, y, -0.024, -0.026, 0.016, 0.016), 1.2 * g.px))
    s = (g.ax - t.eye_x) / t.eye_width
    lid = soft(stroke(s, g.y, -1.0, 1.15, upper - 0.03 - 0.008 * s, 0.004), g.fold)
    shade(image, g.fine * 0.35 * (1.0 - 0.7 * au[5]), lid * np.clip(3.0 - 2.8 * np.abs(s), 0.0, 1.0))


def round_mouth(g, s, gape, top, bottom, rim):
    """An open mouth is round above as below, and its lips meet in corners."""
    corner = np.minimum(rim, np.maximum(2.2 * (1.06 - np.abs(s)), 0.0))
    return top - g.fine * 0.05 * gape, bottom - g.fine * 0.02 * gape, rim + g.fine * (corner - rim)


def mouth_line(g, s):
    """Half the thickness of the line between closed lips, which runs out into the corners."""
    return 0.012 * (1.0 + g.fine * (np.clip(4.0 * (0.9 - np.abs(s)), -1.0, 1.0) - 1.0))


def teeth(g, s2):
    """How light the teeth are: less so towards the corners, and between one and the next."""
    gaps = np.clip(5.0 * _wave(g.x / 0.05 + 0.5), 0.0, 1.0)
    return 1.0 - g.fine * (1.0 - (1.0 - 0.5 * np.minimum(s2, 1.0)) * (0.86 + 0.14 * gaps))


def lips(image, g, s, top, bottom, lower_lip, mask):
    """The upper lip lies in shade, the lower one shines."""
    shade(image, g.fine * 0.2, mask * np.clip((0.5 * (top + bottom) - g.y) * 40.0, 0.0, 1.0))
    shine = soft(np.abs(g.y - bottom - 0.45 * (lower_lip - bottom)) - 0.004, 0.035)
    shade(image, g.fine * -0.28, mask * shine * np.clip(1.1 - 2.2 * np.abs(s), 0.0, 1.0))


def strands(image, g, phase, hair):
    """Finer and finer hairs between the strands."""
    fine = 0.6 * _wave(2.6 * phase + 0.7 * g.v) + 0.4 * _wave(4.3 * phase - 1.1 * g.v)
    shade(image, g.fine * 0.4 * (fine - 0.5), hair)
