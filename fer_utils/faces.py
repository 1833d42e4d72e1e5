"""Synthetic grey faces whose expressions follow the Facial Action Coding System (FACS).

Ekman and Friesen's FACS (1978) describes a face by *action units* (AU): AU 12 pulls the lip corners up, AU 4 lowers
the brows. Their EMFACS (1983) names the prototype of units that signals each basic emotion. This module draws a face
from the intensities of thirteen units; all else about it (identity, pose, light, sensor noise) is drawn at random.

The same seed must give the same bytes on every machine, or the accuracies in the course would not reproduce. So the
pixels are computed with correctly rounded operations only (+ - * / sqrt, min, max, comparisons): exp, sin, power and
the sums in matmul or mean may differ in the last bit between processors and NumPy versions. Edges are therefore
polynomial, rotations rational, the noise is a sum of uniforms, and rng.random() is the only source of chance.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from .emotions import EMOTIONS
from .errors import FerError

UNITS = (1, 2, 4, 5, 6, 7, 9, 12, 15, 16, 20, 23, 26)

# The prototypes of EMFACS; a neutral face shows no unit.
ACTION_UNITS: dict[str, tuple[int, ...]] = {
    "anger": (4, 5, 7, 23), "disgust": (9, 15, 16), "fear": (1, 2, 4, 5, 7, 20, 26), "happiness": (6, 12),
    "neutral": (), "sadness": (1, 4, 15), "surprise": (1, 2, 5, 26),
}


@dataclass(frozen=True)
class Difficulty:
    """What makes an emotion hard to read: lower the first two fields, or raise any other, and the task gets harder."""

    weakest: float = 0.5  # 0..1, expression of the faintest face
    strongest: float = 1.0  # 0..1, expression of the clearest face
    uneven: float = 0.35  # 0..1, how far a single unit may fall below its face's expression
    missing: float = 0.06  # 0..1, chance that a unit of the prototype does not show
    stray: float = 0.03  # 0..1, chance that a unit foreign to the emotion shows
    stray_strength: float = 0.5  # 0..1, intensity of a stray unit relative to its face's expression
    noise: float = 0.03  # standard deviation of the sensor noise, where the grey range is 1
    pose: float = 0.9  # spread of shift, scale, rotation, yaw and nod: 0 is a passport photo, 2 is wild
    light: float = 0.8  # spread of the light's direction, level and contrast: 0 is a studio, 2 is harsh
    occlusion: float = 0.06  # 0..1, chance that something covers part of the face


DEFAULT = Difficulty()

# Uniform ranges of all that is not expression. Lengths are in half image widths, y points down, and the middle of
# the head is near 0: eyes at y = -0.13, mouth at 0.43. Tones run from 0 (black) to 1 (white).
IDENTITY = {
    "skin": (0.48, 0.84), "hair": (0.06, 0.60), "cloth": (0.1, 0.9), "wall_left": (0.1, 0.9), "wall_right": (0.1, 0.9),
    "face_width": (0.54, 0.64), "jaw": (0.0, 0.55), "chin": (0.84, 0.92), "ears": (0.0, 0.06), "age": (0.0, 1.0),
    "hairstyle": (0.0, 1.0), "hairline": (-0.64, -0.50), "hair_round": (0.2, 1.2), "parting": (-0.25, 0.25),
    "hair_volume": (0.03, 0.14), "strands": (4.0, 9.0), "beard": (0.0, 1.0), "glasses": (0.0, 1.0),
    "brow_y": (-0.34, -0.30), "brow_half": (0.022, 0.042), "brow_arch": (0.0, 0.05), "brow_tone": (0.30, 0.55),
    "eye_x": (0.25, 0.29), "eye_width": (0.13, 0.16), "eye_open": (0.062, 0.080), "eye_tilt": (-0.02, 0.015),
    "iris": (0.05, 0.35), "gaze": (-0.03, 0.03), "nose_y": (0.13, 0.19), "nose_width": (0.09, 0.13),
    "mouth_y": (0.41, 0.46), "mouth_width": (0.20, 0.25), "lips": (0.6, 1.3), "lip_tone": (0.52, 0.74),
    "crooked": (-0.015, 0.015), "blur": (0.1, 0.7),
}
POSE = {"shift_x": (-0.08, 0.08), "shift_y": (-0.06, 0.06), "scale": (-0.1, 0.1), "turn": (-0.09, 0.09),
        "yaw": (-0.1, 0.1), "nod": (-0.05, 0.05)}
LIGHT = {"light_x": (-0.6, 0.6), "light_y": (-0.4, 0.1), "level": (-0.25, 0.08), "contrast": (-0.25, 0.15)}
COVER = {"cover": (0.0, 1.0), "cover_x": (-0.6, 0.6), "cover_y": (-0.5, 0.7), "cover_width": (0.2, 0.4),
         "cover_height": (0.12, 0.3), "cover_tone": (0.05, 0.9)}


def _soft(distance, edge):
    """Coverage 0..1 of a shape from its signed distance (negative inside), over a smoothstep ramp ``edge`` wide."""
    t = np.clip(0.5 - distance / edge, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _ellipse(x, y, cx, cy, rx, ry):
    """Signed distance from an ellipse, exact only along y: good enough where the edge is a pixel or two wide."""
    a, b = (x - cx) / rx, (y - cy) / ry
    return (np.sqrt(a * a + b * b) - 1.0) * ry


def _stroke(x, y, start, end, curve, half):
    """Signed distance from a band of half thickness ``half`` around y = ``curve``, from x = ``start`` to ``end``."""
    return np.maximum(np.abs(y - curve) - half, np.maximum(start - x, x - end))


def _paint(image, tone, mask):
    image += mask * (tone - image)


def _shade(image, amount, mask):
    image *= 1.0 - amount * mask


def _frame(t, size):
    """The pixel grid as the face sees it: shift, rotation and scale undone, then bent for yaw and nod."""
    axis = ((np.arange(size) + 0.5) * (2.0 / size) - 1.0).astype(np.float32)
    x, y = axis[None, None, :] - t.shift_x, axis[None, :, None] - t.shift_y
    norm = 1.0 + t.turn * t.turn  # turn is the tangent of half the angle
    cos, sin = (1.0 - t.turn * t.turn) / norm, 2.0 * t.turn / norm
    grow = 1.08 + t.scale
    u, v = (cos * x + sin * y) / grow, (cos * y - sin * x) / grow
    # The middle of a turned head is nearest to us and so moves most; its outline stays.
    a, b = u / t.face_width, v / 0.9
    depth = np.maximum(1.0 - a * a - b * b, 0.0)
    fx, fy = u - t.yaw * depth, v - t.nod * depth
    # Most parts come in pairs, so they are drawn once, in |x|; ``side`` tells left (-1) from right (1).
    return SimpleNamespace(axis=axis, u=u, v=v, abs_u=np.abs(u), depth=depth, x=fx, y=fy, ax=np.abs(fx),
                           side=np.sign(fx), long=(t.hairstyle < 0.4).astype(np.float32), px=2.0 / size)


def _head(image, g, t, au):
    """Hair behind the head, shoulders, neck, ears, head, beard; returns the coverage of the head and of the hair."""
    top, bottom = -0.86 - t.hair_volume, 0.20 + 0.95 * g.long
    half_width = t.face_width + 0.02 + 0.04 * g.long + t.hair_volume * (0.2 + 0.6 * g.long)
    hair = _ellipse(g.abs_u, g.v, 0.0, 0.5 * (top + bottom), half_width, 0.5 * (bottom - top))
    hair = _soft(hair, 2 * g.px) * (t.hairstyle < 0.92)
    _paint(image, t.hair * 0.7, hair)
    _paint(image, t.cloth, _soft(_ellipse(g.abs_u, g.v, 0.0, 1.42, 1.0, 0.5), 2 * g.px))
    neck = np.maximum(g.abs_u - 0.62 * t.face_width, np.abs(g.v - 0.75) - 0.33)
    _paint(image, t.skin * 0.6, _soft(neck, 2 * g.px))
    _paint(image, t.skin * 0.75, _soft(_ellipse(g.abs_u, g.v, t.face_width, -0.02, 0.03 + t.ears, 0.15), g.px))
    # The jaw lies between an ellipse and a squarer quartic; AU 26 drops it.
    a, b = g.u / t.face_width, (g.v + 0.12) / np.where(g.v < -0.12, 0.74, t.chin + 0.10 * au[26])
    b = b * b
    head = _soft((np.sqrt(a * a + b * (1.0 - t.jaw + t.jaw * b)) - 1.0) * 0.6, 1.5 * g.px)
    _paint(image, t.skin, head)
    below = _soft(0.56 - 0.9 * g.ax * g.ax - g.y, 0.12)
    moustache = _soft(_ellipse(g.ax, g.y, 0.0, t.mouth_y - 0.10, 0.22, 0.04), 0.06)
    beard = np.where(t.beard > 0.9, 0.75, np.where(t.beard > 0.78, 0.35, 0.0)).astype(np.float32)
    _paint(image, np.minimum(t.hair, 0.5 * t.skin), beard * np.maximum(below, moustache) * head)
    return head, hair


def _brows(image, g, t, au):
    """AU 1 and 2 lift the inner and outer brow and fold the forehead; AU 4 lowers, draws together and frowns."""
    for height in (-0.45, -0.54):
        lift = np.maximum(au[1], au[2])
        fold = _stroke(g.ax, g.y, -1.0, 0.14 + 0.2 * au[2], height - 0.02 * lift + 0.15 * g.ax * g.ax, 0.006)
        _shade(image, 0.30 * lift, _soft(fold, 1.6 * g.px))
    frown = _stroke(g.y, g.ax, t.brow_y - 0.06, t.brow_y + 0.12, 0.05, 0.01)
    _shade(image, 0.45 * au[4], _soft(frown, 1.5 * g.px))
    inner, outer = 0.11 - 0.055 * au[4], 0.45
    s = (g.ax - inner) / (outer - inner)  # 0 at the inner end of the brow, 1 at the outer
    drop = (0.11 * au[4] + 0.05 * au[9]) * (1.0 - 0.9 * au[1])
    arch = (t.brow_arch + 0.06 * au[2]) * 4.0 * s * (1.0 - s) * (1.0 - 0.7 * au[4])
    curve = (t.brow_y + drop * (1.2 - s) - 0.14 * au[1] * (1.0 - s) - 0.12 * au[2] * s * (1.0 - 0.5 * au[4])
             + 0.05 * s * au[1] * (1.0 - au[2]) - arch + t.crooked * g.side)
    brow = _stroke(g.ax, g.y, inner, outer, curve, t.brow_half * (1.15 - 0.6 * s))
    _paint(image, np.minimum(t.hair + 0.05, t.skin * t.brow_tone), 0.95 * _soft(brow, 1.3 * g.px))


def _eyes(image, g, t, au):
    """AU 5 raises the upper lid, AU 7 tightens both, AU 6 pushes the lower lid up from the cheek."""
    _shade(image, 0.22, _soft(_ellipse(g.ax, g.y, t.eye_x - 0.03, -0.17, 0.17, 0.12), 0.16))
    s = (g.ax - t.eye_x) / t.eye_width
    arch = 1.0 - s * s
    middle = -0.13 + t.eye_tilt * s
    upper = middle - t.eye_open * (1.0 + 1.05 * au[5] - 0.35 * au[7] - 0.15 * au[6]) * arch
    lower = middle + t.eye_open * (0.70 + 0.25 * au[5] - 0.55 * au[7] - 0.75 * au[6] - 0.35 * au[9]) * arch
    opening = _soft(np.maximum(upper - g.y, g.y - lower), 1.2 * g.px)
    _paint(image, 0.5 + 0.45 * t.skin, opening)
    iris = _soft(_ellipse(g.ax, g.y, t.eye_x + t.gaze * g.side, -0.135, 0.075, 0.075), 1.2 * g.px)
    _paint(image, t.iris, iris * opening)
    _paint(image, t.skin * 0.22, 0.9 * _soft(_stroke(s, g.y, -1.1, 1.1, upper, 0.012), 1.3 * g.px))
    rim = _stroke(s, g.y, -0.9, 1.0, lower, 0.004)
    _shade(image, 0.25 + 0.25 * np.maximum(au[6], au[7]), _soft(rim, 1.3 * g.px))
    pouch = _stroke(s, g.y, -0.9, 1.1, lower + 0.05 + 0.02 * arch, 0.006)
    _shade(image, 0.08 * t.age + 0.25 * np.maximum(au[6], 0.7 * au[7]), _soft(pouch, 1.6 * g.px))
    # Only AU 6 lifts the cheek, which catches the light, and draws crow's feet.
    _shade(image, -0.16 * au[6], _soft(_ellipse(g.ax, g.y, 0.34, 0.10, 0.15, 0.10), 0.16))
    start = t.eye_x + t.eye_width + 0.02
    for slope in (-0.45, 0.35):
        foot = _stroke(g.ax, g.y, start, start + 0.11, -0.12 + slope * (g.ax - start + 0.04), 0.006)
        _shade(image, 0.4 * au[6], _soft(foot, 1.4 * g.px))


def _nose(image, g, t, au):
    """AU 9 pulls the nose up, flares its wings and wrinkles its bridge."""
    base = t.nose_y - 0.05 * au[9]
    wing = t.nose_width + 0.02 * au[9]
    # The flank away from the light lies in shade, the ridge shines.
    flank = _stroke(g.y, g.ax, -0.18, base - 0.02, 0.07 + 0.12 * (g.y + 0.1), 0.015)
    _shade(image, 0.16 - 0.35 * t.light_x * g.side, _soft(flank, 0.09))
    _shade(image, -0.12, _soft(_stroke(g.y, g.ax, -0.2, base - 0.03, 0.0, 0.02), 0.09))
    _shade(image, 0.30, _soft(_ellipse(g.ax, g.y, 0.0, base + 0.055, wing, 0.035), 0.08))
    _shade(image, 0.62, _soft(_ellipse(g.ax, g.y, 0.5 * wing, base + 0.02, 0.035, 0.02), 1.4 * g.px))
    _shade(image, 0.30 + 0.2 * au[9], _soft(_stroke(g.y, g.ax, base - 0.06, base + 0.03, wing, 0.008), 1.5 * g.px))
    for height in (-0.15, -0.06):
        wrinkle = _stroke(g.ax, g.y, 0.0, 0.12, height + 0.5 * g.ax, 0.010)
        _shade(image, 0.5 * au[9], _soft(wrinkle, 1.4 * g.px))
    # The nasolabial fold runs from the wing past the lip corner: AU 12 bends it outwards, AU 9 deepens its top.
    s = (g.y - base) / (t.mouth_y + 0.02 - base)
    fold = _stroke(s, g.ax, -0.2, 1.0 - 0.35 * au[9] - 0.25 * au[12], wing + 0.03 + (0.12 + 0.06 * au[12]) * s, 0.008)
    _shade(image, 0.10 * t.age + 0.35 * np.maximum(au[12], au[9]), _soft(fold, 1.8 * g.px))


def _mouth(image, g, t, au):
    """AU 12 and 15 move the lip corners, 20 and 23 the width and fullness, 9, 16 and 26 part the lips."""
    drop = au[26] * (1.0 - 0.45 * au[20])
    width = t.mouth_width * (1.0 + 0.32 * au[12] + 0.40 * au[20] - 0.10 * au[23] - 0.15 * au[26])
    s = g.x / width
    s2 = np.minimum(s * s, 1.6)
    thin = 1.0 - s2  # lips thin out along a parabola ...
    bow = 1.0 - s2 * (1.0 + 0.2 * drop)
    round_ = np.sqrt(np.maximum(bow, 0.0))  # ... while a dropped jaw opens an O, and stretched lips a box
    gape = round_ + au[20] * (np.minimum(1.6 * bow, 1.0) - round_)
    middle = (t.mouth_y + 0.07 * au[12] - 0.05 * au[15] - 0.03 * au[9] + 0.01 * drop + t.crooked * s
              + (0.11 * au[15] - 0.17 * au[12] + 0.05 * au[20]) * s2)
    top = middle - (0.03 * au[12] + 0.05 * au[9] + 0.02 * au[20]) * bow - 0.04 * drop * gape
    bottom = middle + (0.11 * au[12] + 0.09 * au[16] + 0.03 * au[20]) * bow + 0.24 * drop * gape
    full = t.lips * (1.0 - 0.75 * au[23])
    rim = thin + drop * (np.maximum(thin, 0.35) - thin)
    upper_lip = top - 0.055 * full * rim * (1.0 - 0.4 * au[12])
    lower_lip = bottom + 0.08 * full * rim
    chin = _ellipse(g.ax, g.y, 0.0, t.mouth_y + 0.15 + 0.24 * drop + 0.08 * au[16], 0.13, 0.03)
    _shade(image, 0.22, _soft(chin, 0.09))
    lips = np.maximum(np.maximum(upper_lip - g.y, g.y - lower_lip), (np.abs(s) - 1.05) * 0.25)
    _paint(image, t.skin * t.lip_tone, _soft(lips, 1.3 * g.px))
    inside = _soft(np.maximum(np.maximum(top - g.y, g.y - bottom) - 0.012, (np.abs(s) - 1.0) * 0.25), 1.2 * g.px)
    _paint(image, 0.10, inside * 0.9)
    # A smile bares the upper teeth, AU 16 and 20 the lower ones.
    upper_teeth = np.maximum(np.abs(g.y - top - 0.045) - 0.035, g.y - bottom + 0.025)
    _paint(image, 0.9, np.minimum(1.3 * au[12], 1.0) * _soft(upper_teeth, 1.2 * g.px) * inside)
    lower_teeth = np.maximum(np.abs(g.y - bottom + 0.04) - 0.04, top + 0.02 - g.y)
    _paint(image, 0.8, np.maximum(au[16], 0.7 * au[20]) * _soft(lower_teeth, g.px) * inside)
    # Skin folds beside the corners: a droop for AU 15, upright creases for AU 20 and 12.
    corner = t.mouth_y - 0.11 * au[12] + 0.06 * au[15]
    droop = _stroke(g.y, g.ax, corner, corner + 0.10, width + 0.01 + 0.2 * (g.y - corner), 0.010)
    _shade(image, 0.35 * au[15], _soft(droop, 1.6 * g.px))
    crease = _stroke(g.y, g.ax, corner - 0.06, corner + 0.10, width + 0.05, 0.01)
    _shade(image, 0.30 * np.maximum(au[20], 0.6 * au[12]), _soft(crease, 1.6 * g.px))


def _front_hair(image, g, t, hair):
    """The hair over the forehead and temples; long hair frames the cheeks too."""
    x = g.x - t.parting * (1.0 - 0.6 * g.long)
    line = g.y - (t.hairline + (t.hair_round + 0.7 * g.long) * x * x)
    strands = t.strands * (x * (1.6 + 0.9 * g.y) - 2.0 * t.parting * g.y)
    wave = 0.0
    for finer in (1.0, 1.73):  # triangle waves, for the strands
        wave = wave + np.abs(finer * strands - np.floor(finer * strands) - 0.5)
    _paint(image, t.hair * (0.75 + 0.5 * wave), hair * _soft(line + 0.04 * wave, 2.5 * g.px))


def _light(image, g, t, head):
    """Lambert's law on a head-shaped ellipsoid, lit from the front and one side."""
    lit = 0.60 + 0.48 * np.sqrt(g.depth) + 0.6 * (t.light_x * g.u / t.face_width + t.light_y * g.v)
    image *= 1.0 + head * (np.clip(lit, 0.2, 1.2) - 1.0)


def _accessories(image, g, t, occlusion):
    """Glasses on some faces; on others a grey patch, as of a hand, scarf or cup, that hides a part."""
    rims = np.abs(_ellipse(g.ax, g.y, t.eye_x, -0.12, 0.19, 0.145)) - 0.010
    bridge = _stroke(g.ax, g.y, -1.0, t.eye_x - 0.18, -0.15, 0.010)
    _paint(image, 0.12, 0.9 * _soft(np.minimum(rims, bridge), 1.2 * g.px) * (t.glasses > 0.85))
    cover = np.maximum(np.abs(g.u - t.cover_x) - t.cover_width, np.abs(g.v - t.cover_y) - t.cover_height)
    _paint(image, t.cover_tone, _soft(cover, 4 * g.px) * (t.cover < occlusion))


def _blur(image, amount):
    for lines in (image, image.swapaxes(1, 2)):
        lines[:, 1:-1] += 0.25 * amount * (lines[:, :-2] - 2.0 * lines[:, 1:-1] + lines[:, 2:])


def _render(t, au, size, occlusion):
    """One chunk of faces, painted from back to front; each trait in ``t`` and unit in ``au`` is float32 (n, 1, 1)."""
    g = _frame(t, size)
    image = np.broadcast_to(t.wall_left + (t.wall_right - t.wall_left) * (g.axis * 0.5 + 0.5), g.u.shape).copy()
    head, hair = _head(image, g, t, au)
    _brows(image, g, t, au)
    _eyes(image, g, t, au)
    _nose(image, g, t, au)
    _mouth(image, g, t, au)
    _front_hair(image, g, t, hair)
    _light(image, g, t, np.maximum(head, hair))
    _accessories(image, g, t, occlusion)
    image = (image - 0.45) * (1.0 + t.contrast) + 0.45 + t.level * image
    _blur(image, t.blur)
    return image


def draw_faces(units, rng, size=48, noise=0.04, pose=1.0, light=1.0, occlusion=0.0, chunk=64):
    """Grey faces, uint8 of shape (N, size, size), that show the given action units of Ekman and Friesen's FACS.

    ``units`` holds intensities 0..1, shape (N, 13), in the order of ``UNITS``; ``rng`` is a numpy Generator from which
    identity, pose, light and noise are drawn. ``noise``, ``pose``, ``light`` and ``occlusion`` mean what they do
    in ``Difficulty``; ``chunk`` is how many faces are drawn at a time, which changes the memory used but not one pixel.
    Raises FerError for units of another shape or range and for sizes under 16, where a face is no longer one.
    """
    units = np.asarray(units, dtype=np.float32)
    if units.ndim != 2 or units.shape[1] != len(UNITS):
        raise FerError(f"draw_faces: units has shape {units.shape}; pass (N, {len(UNITS)}), one column per action unit")
    if not np.all((units >= 0.0) & (units <= 1.0)):
        raise FerError("draw_faces: units holds a value outside 0..1 or not a number; clip the intensities to 0..1")
    if size < 16:
        raise FerError(f"draw_faces: size is {size}; pass at least 16 pixels, the course uses 48")
    # All traits first, then the noise face by face: so the stream of random numbers does not depend on the chunks.
    ranges = {**IDENTITY, **{k: (lo * pose, hi * pose) for k, (lo, hi) in POSE.items()},
              **{k: (lo * light, hi * light) for k, (lo, hi) in LIGHT.items()}, **COVER}
    low, high = np.array(list(ranges.values())).T
    traits = (low + (high - low) * rng.random((len(units), len(ranges)))).astype(np.float32)
    faces = np.empty((len(units), size, size), np.uint8)
    for start in range(0, len(units), chunk):
        rows = slice(start, start + chunk)
        t = SimpleNamespace(**{name: traits[rows, i, None, None] for i, name in enumerate(ranges)})
        au = {unit: units[rows, i, None, None] for i, unit in enumerate(UNITS)}
        image = _render(t, au, size, occlusion)
        # Three uniforms add up to nearly a normal variable, of standard deviation 1/2.
        grain = rng.random((len(image), size, size, 3))
        image += 2.0 * float(noise) * (grain[..., 0] + grain[..., 1] + grain[..., 2] - 1.5).astype(np.float32)
        faces[rows] = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    return faces


def sample_units(labels, rng, difficulty=DEFAULT):
    """Intensities of the EMFACS prototypes of ``labels``, made imperfect: float32 (N, 13) in the order of ``UNITS``."""
    d, shape = difficulty, (len(labels), len(UNITS))
    prototype = np.array([[unit in ACTION_UNITS[emotion] for unit in UNITS] for emotion in EMOTIONS])[labels]
    strength = d.weakest + (d.strongest - d.weakest) * rng.random((len(labels), 1))
    strength = strength * (1.0 - d.uneven * rng.random(shape)) * np.where(prototype, 1.0, d.stray_strength)
    shows = rng.random(shape) < np.where(prototype, 1.0 - d.missing, d.stray)
    return np.where(shows, strength, 0.0).astype(np.float32)


def synthetic_faces(counts, seed, difficulty=DEFAULT):
    """Shuffled synthetic faces: images uint8 (N, 48, 48) and labels int64 (N,), indexes into ``EMOTIONS``.

    ``counts`` gives the number of faces of each emotion, in the order of ``EMOTIONS``; the same ``seed`` (an int >= 0)
    and ``difficulty`` always give the same bytes. Raises FerError unless counts are seven integers >= 0.
    """
    counts = np.asarray(counts)
    if counts.shape != (len(EMOTIONS),) or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise FerError(f"synthetic_faces: counts is {counts.tolist()}; pass {len(EMOTIONS)} integers >= 0, "
                       f"one for each of {', '.join(EMOTIONS)}")
    rng = np.random.Generator(np.random.PCG64(seed))  # not default_rng, whose generator may change one day
    labels = np.repeat(np.arange(len(EMOTIONS), dtype=np.int64), counts)
    labels = labels[np.argsort(rng.random(len(labels)), kind="stable")]
    units = sample_units(labels, rng, difficulty)
    d = difficulty
    return draw_faces(units, rng, noise=d.noise, pose=d.pose, light=d.light, occlusion=d.occlusion), labels
