"""Synthetic faces whose expressions follow the Facial Action Coding System (FACS).

Ekman and Friesen's FACS (1978) describes a face by *action units* (AU): AU 12 pulls the lip corners up, AU 4 lowers
the brows. Their EMFACS (1983) names the prototype of units that signals each basic emotion. This room draws a face
from the intensities of thirteen units; all else about it (identity, pose, light, sensor noise) is drawn at random.

The same seed must give the same bytes on every machine, or the accuracies in the course would not reproduce. So the
pixels are computed with correctly rounded operations only (+ - * / sqrt, min, max, comparisons): exp, sin, power and
the sums in matmul or mean may differ in the last bit between processors and NumPy versions. Edges are therefore
polynomial, rotations rational, the noise is a sum of uniforms, and rng.random() is the only source of randomness.
"""

import numpy as np

from ..emotions import EMOTIONS
from ..errors import FerError
from .colour import colour_tones, grey_tones
from .drawing import render
from .traits import draw_traits, persons_of, rows_of
from .units import ACTION_UNITS, DEFAULT, UNITS, Difficulty, sample_units

__all__ = ["ACTION_UNITS", "DEFAULT", "UNITS", "Difficulty", "draw_faces", "persons_of", "sample_units",
           "synthetic_faces", "traits_of_faces"]


CHUNK = 32  # faces that are drawn at a time: more take more memory, and change not one pixel


def draw_faces(units, rng, size=48, noise=0.04, pose=1.0, light=1.0, occlusion=0.0, *, colour=False, persons=None):
    """Faces that show the given action units: uint8 (N, size, size), in grey, or with ``colour`` (N, size, size, 3).

    ``units`` holds intensities 0..1, shape (N, 13), in the order of ``UNITS``; ``rng`` is a numpy Generator from which
    all else is drawn. ``noise``, ``pose``, ``light`` and ``occlusion`` mean what they do in ``Difficulty``.
    ``persons``: integers (N,); faces with the same number are pictures of one person. By default each is another.
    Raises FerError for units of another shape or range and for sizes under 16, where a face is no longer one.
    """
    units = np.asarray(units, dtype=np.float32)
    if units.ndim != 2 or units.shape[1] != len(UNITS):
        raise FerError(f"draw_faces: units has shape {units.shape}; pass (N, {len(UNITS)}), one column per action unit")
    if not np.all((units >= 0.0) & (units <= 1.0)):
        raise FerError("draw_faces: units holds a value outside 0..1 or not a number; clip the intensities to 0..1")
    if size < 16:
        raise FerError(f"draw_faces: size is {size}; pass at least 16 pixels, the course uses 48")
    if persons is not None and np.shape(persons) != (len(units),):
        raise FerError(f"draw_faces: persons has shape {np.shape(persons)}; pass ({len(units)},), one number per face")
    # All traits first, then the noise face by face: so the stream of random numbers does not depend on the chunks.
    traits = draw_traits(rng, len(units), pose, light, colour, persons)
    channels = 3 if colour else 1
    faces = np.empty((len(units), size, size, channels), np.uint8)
    for start in range(0, len(units), CHUNK):
        rows = slice(start, start + CHUNK)
        t = rows_of(traits, rows)
        au = {unit: units[rows, i, None, None] for i, unit in enumerate(UNITS)}
        image = render(t, colour_tones(t) if colour else grey_tones(t), au, size, occlusion)
        if noise:  # three uniforms add up to nearly a normal variable, of standard deviation 1/2
            grain = rng.random((image.shape[1], size, size, channels, 3))
            grain = (grain[..., 0] + grain[..., 1] + grain[..., 2] - 1.5).astype(np.float32)
            image += 2.0 * float(noise) * np.moveaxis(grain, -1, 0)
        faces[rows] = np.moveaxis(np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8), 0, -1)
    return faces if colour else faces[..., 0]


def synthetic_faces(counts, seed, difficulty=DEFAULT, *, size=48, colour=False, images_per_person=1):
    """Shuffled synthetic faces: images as ``draw_faces`` gives them and labels int64 (N,), indexes into ``EMOTIONS``.

    ``counts`` gives the number of faces of each emotion, in the order of ``EMOTIONS``; the same ``seed`` (an int >= 0)
    and options always give the same bytes. With ``images_per_person`` above 1 the same person is in that many images,
    with the same emotion; ``persons_of(labels, images_per_person)`` says who is where. Raises FerError unless counts
    are seven integers >= 0 and there is at least one image of each person.
    """
    counts = np.asarray(counts)
    if counts.shape != (len(EMOTIONS),) or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise FerError(f"synthetic_faces: counts is {counts.tolist()}; pass {len(EMOTIONS)} integers >= 0, "
                       f"one for each of {', '.join(EMOTIONS)}")
    if images_per_person < 1:
        raise FerError(f"synthetic_faces: images_per_person is {images_per_person}; pass 1 or more")
    labels, units, persons, rng = _expressions(counts, seed, difficulty, images_per_person)
    d = difficulty
    return draw_faces(units, rng, size, d.noise, d.pose, d.light, d.occlusion, colour=colour, persons=persons), labels


def traits_of_faces(counts, seed, difficulty=DEFAULT, *, images_per_person=1):
    """What else was drawn at random for each of ``synthetic_faces(counts, seed, …)``: {trait: float32 (N,)}, in the
    ranges of ``faces.traits``. Nothing is drawn, so it takes no time."""
    labels, _, persons, rng = _expressions(counts, seed, difficulty, images_per_person)
    return draw_traits(rng, len(labels), difficulty.pose, difficulty.light, persons=persons)


def _expressions(counts, seed, difficulty, images_per_person):
    """Labels, action units and persons of the faces, and the generator from which all else is drawn next."""
    rng = np.random.Generator(np.random.PCG64(seed))  # not default_rng, whose generator may change one day
    labels = np.repeat(np.arange(len(EMOTIONS), dtype=np.int64), counts)
    labels = labels[np.argsort(rng.random(len(labels)), kind="stable")]
    persons = persons_of(labels, images_per_person) if images_per_person > 1 else None
    return labels, sample_units(labels, rng, difficulty), persons, rng
