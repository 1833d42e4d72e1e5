"""The tones that a face is painted with: one for a grey picture, or one each for red, green and blue light.

A face in colour is three grey ones of the same shape. A tone is therefore float32 (channels, n, 1, 1) and broadcasts
over masks of (n, S, S). The grey traits stay what they are and hues are added to them, so the same seed gives the same
persons in both. No tone depends on the emotion.
"""

from types import SimpleNamespace

import numpy as np

# Skin from the darkest to the lightest, at equal steps of the trait.
SKIN = ((0.33, 0.21, 0.155), (0.48, 0.31, 0.22), (0.67, 0.46, 0.33), (0.85, 0.65, 0.51), (0.96, 0.81, 0.71))


def grey_tones(t):
    """Every tone of a grey face, as the traits have it."""
    brow, beard = np.minimum(t.hair + 0.05, t.skin * t.brow_tone), np.minimum(t.hair, 0.5 * t.skin)
    return SimpleNamespace(
        skin=t.skin[None], hair=t.hair[None], brow=brow[None], beard=beard[None], cloth=t.cloth[None],
        wall_left=t.wall_left[None], wall_right=t.wall_right[None], iris=t.iris[None], cover=t.cover_tone[None],
        lips=1.0, mouth=0.10, upper_teeth=0.9, lower_teeth=0.8, frame=0.12)


def _rgb(red, green, blue):
    """Three tones, numbers or (n, 1, 1), as one of (3, n, 1, 1) or (3, 1, 1, 1)."""
    channels = np.broadcast_arrays(*(np.asarray(tone, np.float32) for tone in (red, green, blue)))
    return np.stack(channels).reshape(3, -1, 1, 1)


SHADOW = _rgb(0.86, 1.04, 1.10)  # shade on skin is warm: red light gets through it
BLUSH = _rgb(1.03, 0.84, 0.84)


def _mix(one, other, share):
    return one + (other - one) * share


def _brightness(tone):
    return 0.3 * tone[0] + 0.6 * tone[1] + 0.1 * tone[2]


def _wheel(hue, depth):
    """Factors for red, green and blue that tint a grey: ``hue`` 0..1 goes once around the wheel."""
    third = np.float32(1.0 / 3.0)
    waves = [np.abs((hue + k * third) - np.floor(hue + k * third) - 0.5) * 4.0 - 1.0 for k in range(3)]
    return 1.0 + depth * _rgb(*waves)


def colour_tones(t):
    """Every tone of a face in colour."""
    light = (t.skin - 0.48) / 0.36  # 0 the darkest skin, 1 the lightest
    skin, steps = _rgb(*SKIN[0]), len(SKIN) - 1
    for k in range(steps):
        skin = skin + (_rgb(*SKIN[k + 1]) - _rgb(*SKIN[k])) * np.clip(light * steps - k, 0.0, 1.0)
    skin = skin * _mix(_rgb(1.03, 0.98, 0.97), _rgb(0.98, 1.01, 0.97), t.warmth)  # rosy to olive
    # Hair, as light as in grey: black, brown or blond by its tone, now and then red; grey with age, or where the skin
    # has too much pigment for blond.
    fair = np.clip((t.hair - 0.1) * 2.5, 0.0, 1.0)
    pigment = _mix(_rgb(1.15, 0.95, 0.86), _mix(_rgb(1.38, 0.98, 0.64), _rgb(1.35, 1.08, 0.66), fair), fair)
    red = (t.hair_hue < 0.12) * np.clip(light * 3.0 - 1.0, 0.0, 1.0) * fair
    pigment = _mix(pigment, _rgb(1.75, 0.82, 0.42), red)
    grey = np.maximum(np.clip((t.age - 0.8) * 8.0, 0.0, 1.0), 1.0 - np.clip(light * 4.0 - 0.6, 0.0, 1.0))
    hair = t.hair * _mix(pigment, _rgb(1.05, 1.0, 0.97), grey * fair)
    # Brows and beard have the hair's colour, and are darker than the skin.
    most = _brightness(skin) / np.maximum(_brightness(hair), np.float32(0.01))
    brow = hair * np.minimum(most * t.brow_tone, 0.9)
    beard = hair * np.minimum(most * np.float32(0.55), 0.9)
    # Eyes: brown, or under light skin as often blue, green or grey.
    pale = (t.eye_hue < 0.55) & (light > 0.45)
    cool = _mix(_rgb(0.75, 1.05, 1.35), _rgb(0.85, 1.12, 0.80), (t.eye_hue > 0.35).astype(np.float32))
    iris = np.where(pale, (0.22 + 0.6 * t.iris) * cool, (0.08 + 0.6 * t.iris) * _rgb(1.5, 0.9, 0.5))
    cloth = t.cloth * _wheel(t.cloth_hue, 0.1 + 0.5 * t.cloth_depth)
    wall = _wheel(t.wall_hue, np.float32(0.12))
    return SimpleNamespace(
        skin=skin, hair=hair, brow=brow, beard=beard, cloth=cloth, iris=iris,
        wall_left=t.wall_left * wall, wall_right=t.wall_right * wall,
        cover=t.cover_tone * _wheel(t.cover_hue, np.float32(0.35)), lips=_rgb(1.22, 0.92, 0.98),
        mouth=_rgb(0.26, 0.06, 0.07), upper_teeth=_rgb(0.94, 0.91, 0.85), lower_teeth=_rgb(0.86, 0.82, 0.76),
        frame=0.12)
