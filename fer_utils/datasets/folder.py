"""A reader's own folder: one folder for each emotion, or a labels.csv, with images in any size, grey or colour."""

import warnings
from dataclasses import replace

import numpy as np

from ..errors import FerError
from .cache import read_once
from .face_dataset import missing_emotions, split_persons, stretch
from .files import decoded, existing, identity, opened, resized
from .folder_layout import SPLITS, described

TEST_SHARE = 5  # where nobody divided them, every fifth image of each class, or a fifth of the persons, is for the test
LARGEST = 256  # pixels of a side where no size is asked for
LEAST = 16  # pixels of a side: smaller images are refused
MEMORY = 4_000_000_000  # bytes of all images together; half as much again is needed while they are brought to one size


def load(root, split, *, size=None, above=None, skip_unknown=False):
    """One split as a ``FaceDataset``; its names are ``<split>_<path below the root>``.

    ``root`` (a folder or a zip) holds a folder for each emotion, or a labels.csv with file names and emotions. Images
    below a folder train/, validation/ or test/ (in any usual spelling, at any height) are that split; validation alone
    is the test. Without them a fifth is for the test: of the persons, where folders above the emotions or file names
    say who is in the images, else every fifth image of a class. Other folders above raise ``FerError``, unless
    ``above`` is "persons" or "nothing"; so do images without one of the emotions, unless ``skip_unknown`` leaves them
    out. All images become squares, the middle of each, of ``size`` pixels a side; None: the median side, at most 256.
    They are grey when all of them are. ``source`` says how many were enlarged; a class without an image is a warning.
    """
    dataset = _part(root, split, size=size, above=above, skip_unknown=skip_unknown)
    if dataset is None:
        raise FerError(f"{root}: no image for the split {split!r}; give every emotion at least {TEST_SHARE} images, or "
                       "divide them into train/ and test/ yourself.")
    missing = missing_emotions(dataset.labels)
    if missing:
        warnings.warn(f"{root}: no {split} image of {missing}; a model cannot learn or show them.", stacklevel=3)
    return dataset


def own_validation(root, **options):
    """The images that somebody set aside to validate on, beside others to test on; None where nobody did."""
    return _part(root, "validation", **options)


def _part(root, split, *, size=None, above=None, skip_unknown=False):
    if above not in (None, "persons", "nothing") or not isinstance(skip_unknown, bool):
        raise FerError(f"above = {above!r}, skip_unknown = {skip_unknown!r}: give 'persons', 'nothing' or None, and "
                       "True or False.")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not LEAST <= size <= 1024):
        raise FerError(f"size = {size!r}: give a whole number of pixels from {LEAST} to 1024, or None.")
    root = existing(root, "there is no such folder; give the one that holds a folder for each emotion")
    options = "_".join(f"{part}" for part in ("folder", size, above, "skip" * skip_unknown) if part)
    whole = read_once(f"{options} {identity(root)}", lambda: read(root, size, above, skip_unknown), split,
                      root.resolve().name)
    dataset = stretch(whole, split, split)
    side = whole.images.shape[1]
    if dataset is None or not (enlarged := int((dataset.sides < side).sum())):
        return dataset
    return replace(dataset, source=f"{dataset.source}, {enlarged} of {len(dataset)} images enlarged to {side} pixels")


def read(root, size=None, above=None, skip_unknown=False):
    """(images, labels, names, persons or None, sides, note), training images first, each split in a mixed order."""
    with opened(root) as files:
        found, notes = described(files, root, above, skip_unknown)
        found = sorted(found)
        names, labels, splits, persons = (list(part) for part in zip(*found))
        labels, known = np.array(labels, np.int64), None not in persons
        persons = np.unique(persons, return_inverse=True)[1].astype(np.int64) if known else None
        if None in splits:
            splits = _divided(labels, persons, root)
        # Mixed, and always in the same way: whoever takes the first few must not get one class alone.
        order = sorted(np.random.default_rng(0).permutation(len(names)), key=lambda k: list(SPLITS).index(splits[k]))
        faces, sides, room = [None] * len(names), np.zeros(len(names), np.int64), MEMORY
        for row, pixels in decoded([names[k] for k in order], files, root):
            sides[row] = min(pixels.shape[:2])
            if sides[row] < LEAST:
                raise FerError(f"{root}: {names[order[row]]} is smaller than {LEAST} pixels; remove it.")
            faces[row] = _square(pixels, size or min(sides[row], LARGEST))
            room -= faces[row].nbytes
            if room < 0:
                raise FerError(f"{root}: the images need over {MEMORY:,} bytes; make them smaller, or give fewer.")
    side = size or min(int(np.median(sides)), LARGEST)
    if any(face.ndim == 3 for face in faces):
        faces = [face if face.ndim == 3 else np.dstack([face] * 3) for face in faces]
    images = np.stack([resized(face, side, side) for face in faces])
    names = np.array([f"{splits[k]}_{names[k]}" for k in order])
    return images, labels[order], names, persons[order] if known else None, sides, np.array(", ".join(notes))


def _divided(labels, persons, where):
    """The split of each image where nobody divided them: a fifth of the persons, or every fifth image of a class."""
    if persons is None:
        test = np.concatenate([np.flatnonzero(labels == label)[TEST_SHARE - 1::TEST_SHARE] for label in set(labels)])
    else:
        try:
            _, test = split_persons(labels, persons, 1 / TEST_SHARE, 0)
        except ValueError as error:
            raise FerError(f"{where}: a test cannot be set aside ({error}); divide the images into train/ and test/ "
                           "yourself.") from error
    return np.where(np.isin(np.arange(len(labels)), test), "test", "train").tolist()


def _square(pixels, side):
    """The middle square of an image, ``side`` wide."""
    whole = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - whole) // 2, (pixels.shape[1] - whole) // 2
    pixels = pixels[top:top + whole, left:left + whole]
    return pixels if whole == side else resized(pixels, side, side)
