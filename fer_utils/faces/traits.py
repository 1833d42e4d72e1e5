"""All about a face that is not expression: who it is, what lasts of it over several pictures, and what doesn't."""

from types import SimpleNamespace

import numpy as np

# Uniform ranges. Lengths are in half image widths, y points down, and the middle of the head is near 0: eyes at
# y = -0.13, mouth at 0.43. Tones run from 0 (black) to 1 (white).
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
BEARD_ABOVE, GLASSES_ABOVE = 0.78, 0.85  # of these traits: who has any
# Only a face in colour asks for these; they are drawn last, so that the same seed gives the same persons in grey.
HUES = {"warmth": (0.0, 1.0), "hair_hue": (0.0, 1.0), "eye_hue": (0.0, 1.0), "cloth_hue": (0.0, 1.0),
        "cloth_depth": (0.0, 1.0), "wall_hue": (0.0, 1.0), "cover_hue": (0.0, 1.0)}
# How far a picture of a person is free to differ from their first one: 1 anew, 0 not at all, which is what holds for
# all else of IDENTITY and HUES. Clothes and wall last as long as a session does; head and light move, within limits.
PASSING = {"gaze": 1.0, "blur": 1.0, **dict.fromkeys(POSE, 0.5), **dict.fromkeys(COVER, 1.0), "cover_hue": 1.0,
           **dict.fromkeys(LIGHT, 0.5)}


def draw_traits(rng, number, pose, light, colour=False, persons=None):
    """The traits of ``number`` faces, a dict of float32 (number,); faces of one person share what lasts."""
    ranges = {**IDENTITY, **{k: (lo * pose, hi * pose) for k, (lo, hi) in POSE.items()},
              **{k: (lo * light, hi * light) for k, (lo, hi) in LIGHT.items()}, **COVER}
    drawn = rng.random((number, len(ranges)))
    if colour:
        ranges |= HUES
        drawn = np.concatenate([drawn, rng.random((number, len(HUES)))], 1)
    if persons is not None:
        _, first, who = np.unique(persons, return_index=True, return_inverse=True)
        free = np.array([PASSING.get(name, 0.0) for name in ranges])
        drawn = free * drawn + (1.0 - free) * drawn[first[who]]
    low, high = np.array(list(ranges.values())).T
    return dict(zip(ranges, (low + (high - low) * drawn).astype(np.float32).T))


def rows_of(traits, rows):
    """The traits of some faces as a namespace of (n, 1, 1), ready to be broadcast over images."""
    return SimpleNamespace(**{name: values[rows, None, None] for name, values in traits.items()})


def persons_of(labels, images_per_person):
    """Who is in each picture, int64 (N,): the first ``images_per_person`` faces of a class are one person, and so on.
    They are a *take*, and show one emotion, as the frames of a video or of an actor's session do."""
    persons, known = np.empty(len(labels), np.int64), 0
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        persons[rows] = known + np.arange(len(rows)) // images_per_person
        known += -(-len(rows) // images_per_person)
    return persons
