"""The action units of the Facial Action Coding System, and what makes an expression hard to read."""

from dataclasses import dataclass

import numpy as np

from ..emotions import EMOTIONS

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


def sample_units(labels, rng, difficulty=DEFAULT):
    """Intensities of the EMFACS prototypes of ``labels``, made imperfect: float32 (N, 13) in the order of ``UNITS``."""
    d, shape = difficulty, (len(labels), len(UNITS))
    prototype = np.array([[unit in ACTION_UNITS[emotion] for unit in UNITS] for emotion in EMOTIONS])[labels]
    strength = d.weakest + (d.strongest - d.weakest) * rng.random((len(labels), 1))
    strength = strength * (1.0 - d.uneven * rng.random(shape)) * np.where(prototype, 1.0, d.stray_strength)
    shows = rng.random(shape) < np.where(prototype, 1.0 - d.missing, d.stray)
    return np.where(shows, strength, 0.0).astype(np.float32)
