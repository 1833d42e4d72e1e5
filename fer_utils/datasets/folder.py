"""A reader's own folder: one folder for each emotion, ``<root>/<emotion>/*.jpg``, in any size, grey or colour."""

import warnings

import numpy as np

from ..errors import FerError
from .cache import read_once
from .face_dataset import label_of_folder, missing_emotions, stretch
from .files import decoded, existing, identity, is_image, opened, resized

SPLITS = ("train", "test")
TEST_SHARE = 5  # without a folder test/, every fifth image of each class, by name, is a test image
LARGEST = 256  # pixels of a side; larger images are made smaller when they are read
MEMORY = 4_000_000_000  # bytes of all images together; half as much again is needed while they are brought to one size


def load(root, split):
    """One split as a ``FaceDataset``; its names are ``<split>_<path below the root>``.

    ``root`` (a folder or a zip) holds a folder for each emotion, or train/ and test/ which do. Without them every fifth
    image of a class is for the test. All images become squares, the middle of each, as large as the smallest, at most
    256. They are grey when all of them are. A class without any image is a warning.
    """
    root = existing(root, "there is no such folder; give the one that holds a folder for each emotion")
    whole = read_once(f"folder {identity(root)}", lambda: read(root), split, root.resolve().name)
    dataset = stretch(whole, split, split)
    if dataset is None:
        raise FerError(f"{root}: no image for the split {split!r}; give every emotion at least {TEST_SHARE} images, or "
                       "divide them into train/ and test/ yourself.")
    missing = missing_emotions(dataset.labels)
    if missing:
        warnings.warn(f"{root}: no {split} image of {missing}; a model cannot learn or show them.", stacklevel=3)
    return dataset


def read(root):
    """(images, labels, names), training images first."""
    with opened(root) as files:
        found = [(name, label_of_folder(name, root)) for name, _ in files if is_image(name)]
        if not found:
            raise FerError(f"{root}: no image in it; expected <emotion>/*.jpg or *.png.")
        splits = _splits(found, root)
        order = sorted(range(len(found)), key=lambda k: (SPLITS.index(splits[k]), found[k][0]))
        faces, room = [None] * len(found), MEMORY
        for row, pixels in decoded([found[k][0] for k in order], files, root):
            faces[row] = _square(pixels)
            room -= faces[row].nbytes
            if room < 0:
                raise FerError(f"{root}: the images need over {MEMORY:,} bytes; make them smaller, or give fewer.")
    side = min(min(face.shape[0] for face in faces), LARGEST)
    if side < 16:
        small = order[int(np.argmin([face.shape[0] for face in faces]))]
        raise FerError(f"{root}: {found[small][0]} is smaller than 16 pixels; remove it.")
    if any(face.ndim == 3 for face in faces):
        faces = [face if face.ndim == 3 else np.dstack([face] * 3) for face in faces]
    images = np.stack([resized(face, side, side) for face in faces])
    labels = np.array([found[k][1] for k in order], np.int64)
    return images, labels, np.array([f"{splits[k]}_{found[k][0]}" for k in order])


def _splits(found, where):
    """The split of each image: by the folders train/ and test/ where there are any, else every fifth of a class."""
    above = [name.split("/")[-3].lower() if name.count("/") > 1 else "" for name, _ in found]
    divided = [part in SPLITS for part in above]
    if all(divided):
        return above
    if any(divided):
        stray = found[divided.index(False)][0]
        raise FerError(f"{where}: {stray} lies outside train/ and test/, where others are; put it into one of them.")
    seen, splits = {}, {}
    for name, label in sorted(found):
        seen[label] = seen.get(label, 0) + 1
        splits[name] = "test" if seen[label] % TEST_SHARE == 0 else "train"
    return [splits[name] for name, _ in found]


def _square(pixels):
    """The middle square of an image, at most LARGEST wide, so that memory stays bounded while all are read."""
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    pixels = pixels[top:top + side, left:left + side]
    return resized(pixels, LARGEST, LARGEST) if side > LARGEST else pixels
