"""The one data type of the course, and how it is divided."""

import hashlib
import math
import warnings
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from ..emotions import ALIASES, EMOTIONS, label_of
from ..errors import FerError


@dataclass(frozen=True, eq=False)
class FaceDataset:
    """Faces with their labels.

    ``images`` uint8 (N, H, W) or (N, H, W, 3); ``labels`` int64 (N,), indexes into ``classes``;
    ``names`` (N,) strings, one per image; ``split`` and ``source`` say where they came from and what was changed.
    ``classes``: the names of the labels, ``EMOTIONS`` unless the reader was asked for more. Where a data set has them,
    ``soft_labels`` float32 (N, len(classes)), each row adding up to 1, ``persons`` int64 (N,), who is in the image, and
    ``sides`` int64 (N,), the pixels of its shorter side in its file: below the images' own, it was enlarged.
    Raises ``FerError`` where an array has another type, shape or length, or a label is out of range.
    """

    images: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    split: str
    source: str
    classes: tuple = EMOTIONS
    soft_labels: np.ndarray | None = None
    persons: np.ndarray | None = None
    sides: np.ndarray | None = None

    def __post_init__(self):
        where, number = f"{self.source}, split {self.split!r}", len(self.images)
        if self.images.dtype != np.uint8 or self.images.ndim not in (3, 4) or (
                self.images.ndim == 4 and self.images.shape[3] != 3):
            raise FerError(f"{where}: images are {self.images.dtype} {self.images.shape}; "
                           "give uint8 of shape (N, H, W) or (N, H, W, 3).")
        shapes = {"labels": (np.int64, (number,)), "soft_labels": (np.float32, (number, len(self.classes))),
                  "persons": (np.int64, (number,)), "sides": (np.int64, (number,))}
        for name, (kind, shape) in shapes.items():
            array = getattr(self, name)
            if array is not None and (array.dtype != kind or array.shape != shape):
                raise FerError(f"{where}: {name} are {array.dtype} {array.shape}; give {np.dtype(kind)} of shape "
                               f"{shape}.")
        if len(self.names) != number:
            raise FerError(f"{where}: {len(self.names)} names for {number} images; give one each.")
        if not number:
            raise FerError(f"{where}: no image at all; check the folder.")
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise FerError(f"{where}: labels run from {self.labels.min()} to {self.labels.max()}; "
                           f"they index the {len(self.classes)} classes, so 0 to {len(self.classes) - 1}.")
        if self.soft_labels is not None and not np.allclose(self.soft_labels.sum(1), 1, atol=1e-4):
            raise FerError(f"{where}: soft_labels don't add up to 1 in each row; divide them by their sums.")

    def __len__(self):
        return len(self.images)

    def subset(self, rows, split=None):
        """The faces in ``rows`` (indexes or a mask), as a new data set."""
        of_each = ("images", "labels", "names", "soft_labels", "persons", "sides")
        parts = {name: getattr(self, name)[rows] for name in of_each if getattr(self, name) is not None}
        return replace(self, split=split or self.split, **parts)

    def counts(self):
        """Faces per class, int64 (len(classes),), in the order of ``classes``."""
        return np.bincount(self.labels, minlength=len(self.classes))

    @cached_property
    def fingerprint(self):
        """SHA-256 of images, labels and soft labels: one fingerprint means the same faces in the same order."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images))
        digest.update(np.ascontiguousarray(self.labels))
        if self.classes != EMOTIONS:
            digest.update(repr(self.classes).encode())
        if self.soft_labels is not None:
            digest.update(np.ascontiguousarray(self.soft_labels))
        return digest.hexdigest()


def name_kinds(dataset):
    """What stands before the first "_" of each name, in lower case: the split, or FER2013's usage."""
    return np.char.lower(np.char.partition(np.asarray(dataset.names, str), "_")[:, 0])


def stretch(dataset, split, kinds):
    """The faces of these kinds, which lie one after the other, as that split, a view of the images; or None."""
    rows = np.flatnonzero(np.isin(name_kinds(dataset), kinds))
    return dataset.subset(slice(rows[0], rows[-1] + 1), split) if len(rows) else None


def label_of_folder(name, where):
    """The class index of the emotion that the folder of an image is named after; ``FerError`` for another name."""
    label = label_of(name.rpartition("/")[0].rpartition("/")[2])
    if label is None:
        raise FerError(f"{where}: {name}: its folder is not one of the emotions {', '.join(EMOTIONS)} (or "
                       f"{', '.join(ALIASES)}); rename or remove it.")
    return label


def missing_emotions(labels):
    """The names of the emotions that none of the ``labels`` has, with commas between; empty where none is missing."""
    return ", ".join(EMOTIONS[k] for k in np.flatnonzero(np.bincount(labels, minlength=len(EMOTIONS)) == 0))


def check_complete(labels, splits, names, where):
    """Raise ``FerError`` where a split lacks an emotion; ``splits`` are indexes into the ``names`` of the splits."""
    for split in np.unique(splits):
        missing = missing_emotions(labels[splits == split])
        if missing:
            raise FerError(f"{where}: no {names[split]} image of {missing}; the download is not complete.")


def split_train_validation(dataset, fraction, seed, by="image"):
    """Split into (train, validation) at random, the same share of each class in both; ``fraction`` is validation's.

    ``by="person"`` keeps all images of a person on one side, for who was trained on would be recognised. Shares are
    then as equal as the persons allow, to the nearest twentieth. Raises ``FerError`` where the data set doesn't say
    who is in its images, or is too small.
    """
    if by not in ("image", "person"):
        raise FerError(f"split_train_validation: by is {by!r}; choose 'image' or 'person'.")
    if by == "person" and dataset.persons is None:
        raise FerError(f"{dataset.source}: it doesn't say who is in its images, so it can't be split by person; "
                       "split it by image, and expect too good a validation if people are in it more than once.")
    try:
        train, validation = (split_persons(dataset.labels, dataset.persons, fraction, seed) if by == "person" else
                             _split_images(dataset, fraction, seed))
    except (ValueError, TypeError, OverflowError) as error:
        raise FerError(f"{dataset.source}: cannot split off a validation share of {fraction}: {error}") from error
    return dataset.subset(np.sort(train), "train"), dataset.subset(np.sort(validation), "validation")


def stratified_subset(dataset, size):
    """``size`` of the faces, each class by its share, always the same ones for the same data set.

    Raises ``FerError`` where there are not so many, or too few for each class.
    """
    if size == len(dataset):
        return dataset
    try:
        rows, _ = train_test_split(np.arange(len(dataset)), stratify=dataset.labels, train_size=size, random_state=0)
    except (ValueError, TypeError) as error:
        raise FerError(f"{dataset.source}: cannot take a subset of {size} of {len(dataset)} images: {error}") from error
    return replace(dataset.subset(np.sort(rows)), source=f"{dataset.source}, {size} of {len(dataset)} images")


def _split_images(dataset, fraction, seed):
    """Rows of (train, validation): each class that has two images is in both, however few there are."""
    rows = np.flatnonzero(dataset.counts()[dataset.labels] > 1)
    size = fraction
    if 0 < fraction < 1:
        size = max(math.ceil(fraction * len(rows)), len(np.unique(dataset.labels[rows])))
    _, validation = train_test_split(rows, stratify=dataset.labels[rows], test_size=size, random_state=seed)
    return np.setdiff1d(np.arange(len(dataset)), validation), validation


def split_persons(labels, persons, fraction, seed):
    """Rows of (train, validation) from so many folds of ``persons`` (N,) as make up the fraction, but at least one."""
    number = len(np.unique(persons))
    most = min(20, number, np.bincount(labels).max())  # folds: no more than images of the largest class
    share = Fraction(float(fraction)).limit_denominator(most) or Fraction(fraction > 0, number)
    if not 0 < share < 1:
        raise ValueError(f"there are {number} persons, and each side needs one")
    folds = StratifiedGroupKFold(share.denominator, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # a rare class can't be in every fold
        folds = [fold for _, fold in folds.split(labels, labels, persons)]
    validation = np.concatenate(folds[:share.numerator])
    return np.setdiff1d(np.arange(len(labels)), validation), validation
