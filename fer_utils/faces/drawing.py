"""The renderer: it paints a face from back to front, with masks of soft edge that all colours of light share.

``g`` is the grid of pixels, ``t`` the traits and ``au`` the units, float32 (n, 1, 1) each, ``c`` the tones,
float32 (channels, n, 1, 1); ``image`` is float32 (channels, n, S, S) and is changed in place.
"""

from types import SimpleNamespace

import numpy as np

from . import details
from .shapes import crease, ellipse, paint, shade, soft, stroke
from .traits import BEARD_ABOVE, GLASSES_ABOVE


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
    # Edges are a pixel or two wide; on large faces ``px`` and ``fold`` stop shrinking, or skin would look like paper.
    return SimpleNamespace(axis=axis, u=u, v=v, abs_u=np.abs(u), depth=depth, x=fx, y=fy, ax=np.abs(fx),
                           side=np.sign(fx), long=(t.hairstyle < 0.4).astype(np.float32),
                           px=max(2.0 / size, 1 / 80), fold=max(2.0 / size, 1 / 34),
                           fine=min(max((size - 64) / 64, 0.0), 1.0))


def _head(image, g, t, c, au):
    """Hair behind the head, shoulders, neck, ears, head, beard; returns the coverage of the head and of the hair."""
    top, bottom = -0.86 - t.hair_volume, 0.20 + 0.95 * g.long
    half_width = t.face_width + 0.02 + 0.04 * g.long + t.hair_volume * (0.2 + 0.6 * g.long)
    hair = ellipse(g.abs_u, g.v, 0.0, 0.5 * (top + bottom), half_width, 0.5 * (bottom - top))
    hair = soft(hair, 2 * g.px) * (t.hairstyle < 0.92)
    paint(image, c.hair * 0.7, hair)
    if g.fine:
        details.strands(image, g, 9.0 * g.abs_u * (1.2 - 0.4 * g.v), hair)
    paint(image, c.cloth, soft(ellipse(g.abs_u, g.v, 0.0, 1.42, 1.0, 0.5), 2 * g.px))
    neck = np.maximum(g.abs_u - 0.62 * t.face_width, np.abs(g.v - 0.75) - 0.33)
    neck = soft(neck, 2 * g.px)
    paint(image, c.skin * 0.6, neck)
    if g.fine:
        details.neck(image, g, t, neck)
    paint(image, c.skin * 0.75, soft(ellipse(g.abs_u, g.v, t.face_width, -0.02, 0.03 + t.ears, 0.15), g.px))
    # The jaw lies between an ellipse and a squarer quartic; AU 26 drops it.
    a, b = g.u / t.face_width, (g.v + 0.12) / np.where(g.v < -0.12, 0.74, t.chin + 0.10 * au[26])
    b = b * b
    head = soft((np.sqrt(a * a + b * (1.0 - t.jaw + t.jaw * b)) - 1.0) * 0.6, 1.5 * g.px)
    paint(image, c.skin, head)
    if g.fine:
        details.skin(image, g, t, c, head)
    below = soft(0.56 - 0.9 * g.ax * g.ax - g.y, 0.12)
    moustache = soft(ellipse(g.ax, g.y, 0.0, t.mouth_y - 0.10, 0.22, 0.04), 0.06)
    beard = np.where(t.beard > 0.9, 0.75, np.where(t.beard > BEARD_ABOVE, 0.35, 0.0)).astype(np.float32)
    paint(image, c.beard, beard * np.maximum(below, moustache) * head)
    return head, hair


def _brows(image, g, t, c, au):
    """AU 1 and 2 lift the inner and outer brow and fold the forehead; AU 4 lowers, draws together and frowns."""
    for height in (-0.45, -0.54):
        lift = np.maximum(au[1], au[2])
        end = 0.14 + 0.2 * au[2]
        fold = crease(g, g.ax, g.y, -end, end, height - 0.02 * lift + 0.15 * g.ax * g.ax, 0.006, 1.6)
        shade(image, 0.30 * lift, fold)
    shade(image, 0.45 * au[4], crease(g, g.y, g.ax, t.brow_y - 0.06, t.brow_y + 0.12, 0.05, 0.01, 1.5))
    inner, outer = 0.11 - 0.055 * au[4], 0.45
    s = (g.ax - inner) / (outer - inner)  # 0 at the inner end of the brow, 1 at the outer
    drop = (0.11 * au[4] + 0.05 * au[9]) * (1.0 - 0.9 * au[1])
    arch = (t.brow_arch + 0.06 * au[2]) * 4.0 * s * (1.0 - s) * (1.0 - 0.7 * au[4])
    curve = (t.brow_y + drop * (1.2 - s) - 0.14 * au[1] * (1.0 - s) - 0.12 * au[2] * s * (1.0 - 0.5 * au[4])
             + 0.05 * s * au[1] * (1.0 - au[2]) - arch + t.crooked * g.side)
    brow = stroke(g.ax, g.y, inner, outer, curve, t.brow_half * (1.15 - 0.6 * s))
    brow = 0.95 * soft(brow, 1.3 * g.px)
    if g.fine:
        brow = details.brow_hairs(g, s, curve, brow)
    paint(image, c.brow, brow)


def _eyes(image, g, t, c, au):
    """AU 5 raises the upper lid, AU 7 tightens both, AU 6 pushes the lower lid up from the cheek."""
    shade(image, 0.22, soft(ellipse(g.ax, g.y, t.eye_x - 0.03, -0.17, 0.17, 0.12), 0.16))
    s = (g.ax - t.eye_x) / t.eye_width
    arch = 1.0 - s * s
    middle = -0.13 + t.eye_tilt * s
    upper = middle - t.eye_open * (1.0 + 1.05 * au[5] - 0.35 * au[7] - 0.15 * au[6]) * arch
    lower = middle + t.eye_open * (0.70 + 0.25 * au[5] - 0.55 * au[7] - 0.75 * au[6] - 0.35 * au[9]) * arch
    opening = soft(np.maximum(upper - g.y, g.y - lower), 1.2 * g.px)
    paint(image, 0.5 + 0.45 * c.skin, opening)
    iris = soft(ellipse(g.ax, g.y, t.eye_x + t.gaze * g.side, -0.135, 0.075, 0.075), 1.2 * g.px)
    paint(image, c.iris, iris * opening)
    if g.fine:
        details.eyeball(image, g, t, au, upper, opening)
    paint(image, c.skin * 0.22, 0.9 * soft(stroke(s, g.y, -1.1, 1.1, upper, 0.012), 1.3 * g.px))
    rim = stroke(s, g.y, -0.9, 1.0, lower, 0.004)
    shade(image, 0.25 + 0.25 * np.maximum(au[6], au[7]), soft(rim, 1.3 * g.px))
    pouch = crease(g, s, g.y, -0.9, 1.1, lower + 0.05 + 0.02 * arch, 0.006, 1.6)
    shade(image, 0.08 * t.age + 0.25 * np.maximum(au[6], 0.7 * au[7]), pouch)
    # Only AU 6 lifts the cheek, which catches the light, and draws crow's feet.
    shade(image, -0.16 * au[6], soft(ellipse(g.ax, g.y, 0.34, 0.10, 0.15, 0.10), 0.16))
    start = t.eye_x + t.eye_width + 0.02
    for slope in (-0.45, 0.35):
        foot = crease(g, g.ax, g.y, start, start + 0.11, -0.12 + slope * (g.ax - start + 0.04), 0.006, 1.4)
        shade(image, 0.4 * au[6], foot)


def _nose(image, g, t, au):
    """AU 9 pulls the nose up, flares its wings and wrinkles its bridge."""
    base = t.nose_y - 0.05 * au[9]
    wing = t.nose_width + 0.02 * au[9]
    # The flank away from the light lies in shade, the ridge shines.
    flank = stroke(g.y, g.ax, -0.18, base - 0.02, 0.07 + 0.12 * (g.y + 0.1), 0.015)
    shade(image, 0.16 - 0.35 * t.light_x * g.side, soft(flank, 0.09))
    shade(image, -0.12, soft(stroke(g.y, g.ax, -0.2, base - 0.03, 0.0, 0.02), 0.09))
    shade(image, 0.30, soft(ellipse(g.ax, g.y, 0.0, base + 0.055, wing, 0.035), 0.08))
    shade(image, 0.62, soft(ellipse(g.ax, g.y, 0.5 * wing, base + 0.02, 0.035, 0.02), 1.4 * g.fold))
    shade(image, 0.30 + 0.2 * au[9], crease(g, g.y, g.ax, base - 0.06, base + 0.03, wing, 0.008, 1.5))
    for height in (-0.15, -0.06):
        wrinkle = crease(g, g.ax, g.y, 0.0, 0.12, height + 0.5 * g.ax, 0.010, 1.4)
        shade(image, 0.5 * au[9], wrinkle)
    # The nasolabial fold runs from the wing past the lip corner: AU 12 bends it outwards, AU 9 deepens its top.
    s = (g.y - base) / (t.mouth_y + 0.02 - base)
    end = 1.0 - 0.35 * au[9] - 0.25 * au[12]
    fold = crease(g, s, g.ax, -0.2, end, wing + 0.03 + (0.12 + 0.06 * au[12]) * s, 0.008, 1.8)
    shade(image, 0.10 * t.age + 0.35 * np.maximum(au[12], au[9]), fold)


def _mouth(image, g, t, c, au):
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
    if g.fine:
        top, bottom, rim = details.round_mouth(g, s, drop * (1.0 - au[20]) * gape, top, bottom, rim)
    upper_lip = top - 0.055 * full * rim * (1.0 - 0.4 * au[12])
    lower_lip = bottom + 0.08 * full * rim
    chin = ellipse(g.ax, g.y, 0.0, t.mouth_y + 0.15 + 0.24 * drop + 0.08 * au[16], 0.13, 0.03)
    shade(image, 0.22, soft(chin, 0.09))
    lips = np.maximum(np.maximum(upper_lip - g.y, g.y - lower_lip), (np.abs(s) - 1.05) * 0.25)
    lips = soft(lips, 1.3 * g.px)
    paint(image, c.skin * t.lip_tone * c.lips, lips)
    if g.fine:
        details.lips(image, g, s, top, bottom, lower_lip, lips)
    line = details.mouth_line(g, s) if g.fine else 0.012
    inside = soft(np.maximum(np.maximum(top - g.y, g.y - bottom) - line, (np.abs(s) - 1.0) * 0.25), 1.2 * g.px)
    paint(image, c.mouth, inside * 0.9)
    teeth = details.teeth(g, s2) if g.fine else 1.0
    # A smile bares the upper teeth, AU 16 and 20 the lower ones.
    upper_teeth = np.maximum(np.abs(g.y - top - 0.045) - 0.035, g.y - bottom + 0.025)
    paint(image, c.upper_teeth, np.minimum(1.3 * au[12], 1.0) * soft(upper_teeth, 1.2 * g.px) * inside * teeth)
    lower_teeth = np.maximum(np.abs(g.y - bottom + 0.04) - 0.04, top + 0.02 - g.y)
    paint(image, c.lower_teeth, np.maximum(au[16], 0.7 * au[20]) * soft(lower_teeth, g.px) * inside * teeth)
    # Skin folds beside the corners: a droop for AU 15, upright creases for AU 20 and 12.
    corner = t.mouth_y - 0.11 * au[12] + 0.06 * au[15]
    droop = crease(g, g.y, g.ax, corner, corner + 0.10, width + 0.01 + 0.2 * (g.y - corner), 0.010, 1.6)
    shade(image, 0.35 * au[15], droop)
    upright = crease(g, g.y, g.ax, corner - 0.06, corner + 0.10, width + 0.05, 0.01, 1.6)
    shade(image, 0.30 * np.maximum(au[20], 0.6 * au[12]), upright)


def _front_hair(image, g, t, c, hair):
    """The hair over the forehead and temples; long hair frames the cheeks too."""
    x = g.x - t.parting * (1.0 - 0.6 * g.long)
    line = g.y - (t.hairline + (t.hair_round + 0.7 * g.long) * x * x)
    strands = t.strands * (x * (1.6 + 0.9 * g.y) - 2.0 * t.parting * g.y)
    wave = 0.0
    for finer in (1.0, 1.73):  # triangle waves, for the strands
        wave = wave + np.abs(finer * strands - np.floor(finer * strands) - 0.5)
    front = hair * soft(line + 0.04 * wave, 2.5 * g.fold)
    paint(image, c.hair * (0.75 + 0.5 * wave), front)
    if g.fine:
        details.strands(image, g, strands, front)


def _light(image, g, t, head):
    """Lambert's law on a head-shaped ellipsoid, lit from the front and one side."""
    lit = 0.60 + 0.48 * np.sqrt(g.depth) + 0.6 * (t.light_x * g.u / t.face_width + t.light_y * g.v)
    image *= 1.0 + head * (np.clip(lit, 0.2, 1.2) - 1.0)


def _accessories(image, g, t, c, occlusion):
    """Glasses on some faces; on others a grey patch, as of a hand, scarf or cup, that hides a part."""
    rims = np.abs(ellipse(g.ax, g.y, t.eye_x, -0.12, 0.19, 0.145)) - 0.010
    bridge = stroke(g.ax, g.y, -1.0, t.eye_x - 0.18, -0.15, 0.010)
    paint(image, c.frame, 0.9 * soft(np.minimum(rims, bridge), 1.2 * g.px) * (t.glasses > GLASSES_ABOVE))
    cover = np.maximum(np.abs(g.u - t.cover_x) - t.cover_width, np.abs(g.v - t.cover_y) - t.cover_height)
    paint(image, c.cover, soft(cover, 4 * g.px) * (t.cover < occlusion))


def _blur(image, amount):
    for lines in (image, image.swapaxes(-1, -2)):
        middle = lines[..., 1:-1, :]
        middle += 0.25 * amount * (lines[..., :-2, :] - 2.0 * middle + lines[..., 2:, :])


def render(t, c, au, size, occlusion):
    """One chunk of faces, painted from back to front; each trait in ``t`` and unit in ``au`` is float32 (n, 1, 1)."""
    g = _frame(t, size)
    wall = c.wall_left + (c.wall_right - c.wall_left) * (g.axis * 0.5 + 0.5)
    image = np.broadcast_to(wall, (len(wall), *g.u.shape)).copy()
    head, hair = _head(image, g, t, c, au)
    _brows(image, g, t, c, au)
    _eyes(image, g, t, c, au)
    _nose(image, g, t, au)
    _mouth(image, g, t, c, au)
    _front_hair(image, g, t, c, hair)
    _light(image, g, t, np.maximum(head, hair))
    _accessories(image, g, t, c, occlusion)
    image = (image - 0.45) * (1.0 + t.contrast) + 0.45 + t.level * image
    _blur(image, t.blur)
    return image
