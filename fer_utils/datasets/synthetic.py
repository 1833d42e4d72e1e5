"""The drawn faces as a data set: they come with the course, and no person was photographed for them."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import faces
from ..errors import FerError
from ..faces.traits import BEARD_ABOVE, GLASSES_ABOVE, IDENTITY, LIGHT, POSE
from .cache import read_once

# The embedded faces: 3,000 and 700 in RAF-DB's proportions, and a balanced probe, never trained or tuned on.
SYNTHETIC = {"train": ((172, 175, 69, 1167, 617, 485, 315), 1), "test": ((40, 41, 16, 272, 144, 113, 74), 2),
             "probe": ((200,) * 7, 3)}
SPLITS = tuple(SYNTHETIC)


def load(root, split, *, size=48, colour=False, label_noise=0.0, images_per_person=1):
    """One split as a ``FaceDataset``; ``root`` is not needed. The options, each named in ``source`` where it is used:

    - ``size``: pixels, 16 to 512; ``colour``: images of (N, size, size, 3). Either way the same persons and
      expressions; from 64 pixels on the faces gain detail.
    - ``label_noise``: share of the labels, 0 to 1, that is replaced by another class, drawn evenly from the other six.
      In ``train`` alone; the images, test and probe stay clean. A larger share keeps what a smaller one made wrong.
    - ``images_per_person``: each person is in that many images, one take with one emotion (fewer where a class runs
      out). Then ``persons`` says who is where; no person is in two splits.
    """
    size, images_per_person = _whole("size", size, 16, 512), _whole("images_per_person", images_per_person, 1, 1000)
    if not isinstance(colour, bool | np.bool_):
        raise FerError(f"synthetic: colour is {colour!r}; choose True or False.")
    if isinstance(label_noise, bool) or not isinstance(label_noise, int | float | np.number) or not (
            0 <= label_noise <= 1):
        raise FerError(f"synthetic: label_noise is {label_noise!r}; give a share of the labels, 0 to 1.")
    counts, seed = SYNTHETIC[split]
    options = {"size": (size, 48), "colour": (bool(colour), False), "images_per_person": (images_per_person, 1)}
    options = {name: value for name, (value, default) in options.items() if value != default}

    def draw():
        images, labels = faces.synthetic_faces(counts, seed, **options)
        names = np.array([f"{split}_{row:05d}" for row in range(len(labels))])
        return images, labels, names

    # The code that draws is the data's identity: a changed line gives new faces, and never old ones from the cache.
    code = sorted(Path(faces.__file__).parent.glob("*.py"))
    drawing = hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()
    noise = float(label_noise) if split == "train" else 0.0
    told = (["in colour"] * bool(colour) + [f"{size} x {size} pixels"] * (size != 48)
            + [f"{images_per_person} images per person"] * (images_per_person > 1)
            + [f"{100 * noise:g} % of the labels wrong"] * (noise > 0))
    dataset = read_once(f"synthetic {drawing} {counts} {seed} {options or ''}".rstrip(), draw, split,
                        ", ".join(["synthetic faces", *told]))
    if images_per_person > 1:
        earlier = sum(sum(SYNTHETIC[name][0]) for name in SPLITS[:SPLITS.index(split)])
        dataset = replace(dataset, persons=earlier + faces.persons_of(dataset.labels, images_per_person))
    return replace(dataset, labels=_mislabel(dataset.labels, noise, seed)) if noise else dataset


def groups(split, images_per_person=1):
    """Who and what is in each picture of a split, to see whether a network serves all alike: {trait: (N,) words}.

    ``skin`` and ``light`` are cut into thirds of their range; a head is ``turned`` where it is turned more than half
    as far as any. All are independent of the emotion. Raises ``FerError`` for an unknown split.
    """
    if split not in SYNTHETIC:
        raise FerError(f"unknown split {split!r} of synthetic; choose one of {', '.join(SPLITS)}.")
    counts, seed = SYNTHETIC[split]
    traits = faces.traits_of_faces(counts, seed, images_per_person=images_per_person)

    def thirds(name, ranges, spread, words):
        low, high = (spread * end for end in ranges[name])
        return np.array(words)[np.clip(3 * (traits[name] - low) / (high - low), 0, 2).astype(int)]

    difficulty = faces.DEFAULT
    turned = np.abs(traits["yaw"]) > POSE["yaw"][1] * difficulty.pose / 2
    return {"skin": thirds("skin", IDENTITY, 1.0, ("dark", "medium", "light")),
            "light": thirds("level", LIGHT, difficulty.light, ("dim", "medium", "bright")),
            "glasses": np.where(traits["glasses"] > GLASSES_ABOVE, "glasses", "none"),
            "beard": np.where(traits["beard"] > BEARD_ABOVE, "beard", "none"),
            "head": np.where(turned, "turned", "straight"),
            "covered": np.where(traits["cover"] < difficulty.occlusion, "covered", "free")}


def _whole(name, value, least, most):
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise FerError(f"synthetic: {name} is {value!r}; give a whole number from {least} to {most}.")
    return int(value)


def _mislabel(labels, share, seed):
    """The labels with round(share * N) of them moved to another class."""
    rng = np.random.Generator(np.random.PCG64([seed, 1]))  # a stream of its own, beside the one that drew the faces
    rows = np.argsort(rng.random(len(labels)), kind="stable")[:round(share * len(labels))]
    steps = 1 + np.floor(6 * rng.random(len(labels))).astype(np.int64)
    wrong = labels.copy()
    wrong[rows] = (labels[rows] + steps[rows]) % 7
    return wrong
