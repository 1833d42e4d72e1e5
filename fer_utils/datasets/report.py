"""What is wrong with a data set: constant images, duplicates and near duplicates, within a split and across two."""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..errors import FerError
from .ferplus import not_a_face

BITS = 8  # differing bits of 112 up to which two images are compared pixel by pixel
FAULTS = ("constant", "duplicates", "leaked", "not a face")
CORRELATION = 0.98  # of pixels, from which two images count as the same picture


def constant_images(dataset):
    """Rows of the images that are one grey level from edge to edge; int64 (K,)."""
    flat = dataset.images.reshape(len(dataset), -1)
    return np.flatnonzero(flat.max(1) == flat.min(1))


def duplicates(first, second=None):
    """Pairs of images that show the same picture: a DataFrame with a row for each pair.

    Within ``first``, or between ``first`` and ``second``. Columns: ``first`` and ``second`` (names), their labels
    ``first_label`` and ``second_label``, and ``kind``: "exact" (all pixels equal) or "near" (the same picture
    compressed, cropped by a pixel or brightened). Constant images are left out: they are all alike.
    """
    other = first if second is None else second
    rows = [(str(first.names[a]), str(other.names[b]), first.classes[first.labels[a]], other.classes[other.labels[b]],
             kind) for a, b, kind in _pairs(first, second)]
    return pd.DataFrame(rows, columns=["first", "second", "first_label", "second_label", "kind"], dtype=object)


def _pairs(first, second):
    """(row in ``first``, row in ``second``, kind) of each pair."""
    within = second is None
    second = first if within else second
    rows = [np.setdiff1d(np.arange(len(part)), constant_images(part)) for part in (first, second)]
    hashes = [perceptual_hash(part.images)[kept] for part, kept in zip((first, second), rows, strict=True)]
    for start in range(0, len(rows[0]), 512):
        block = hashes[0][start:start + 512]
        apart = sum(np.bitwise_count(block[:, None, word] ^ hashes[1][None, :, word]) for word in (0, 1))
        for i, j in zip(*np.nonzero(apart <= BITS), strict=True):
            a, b = int(rows[0][start + i]), int(rows[1][j])
            if within and a >= b:
                continue
            one, other = first.images[a], second.images[b]
            if np.array_equal(one, other):
                yield a, b, "exact"
            elif one.shape == other.shape and np.corrcoef(one.ravel(), other.ravel())[0, 1] >= CORRELATION:
                yield a, b, "near"


def perceptual_hash(images):
    """uint64 (N, 2) of uint8 images (N, H, W) or (N, H, W, 3): is each of 8×8 fields brighter than its right neighbour,
    and than the one below? Noise, compression and brightness change few of these 112 bits, another face many."""
    grey = images if images.ndim == 3 else images.mean(3)
    edges = [np.linspace(0, side, 9).astype(int) for side in grey.shape[1:]]
    fields = np.add.reduceat(np.add.reduceat(grey, edges[0][:-1], 1, dtype=np.float64), edges[1][:-1], 2)
    fields /= np.outer(np.diff(edges[0]), np.diff(edges[1]))
    bits = np.stack([(fields[:, :, 1:] > fields[:, :, :-1]).reshape(len(images), 56),
                     (fields[:, 1:] > fields[:, :-1]).reshape(len(images), 56)], 1)
    padded = np.concatenate([np.packbits(bits, axis=2), np.zeros((len(images), 2, 1), np.uint8)], 2)
    return np.ascontiguousarray(padded).view(np.uint64)[:, :, 0]


def brightness(dataset):
    """The light of each class, in levels from 0 to 255: a DataFrame with a row for each class.

    ``brightness``: mean over images of the mean pixel; ``spread``: standard deviation of that over images;
    ``contrast``: mean over images of the standard deviation of their pixels.
    """
    table = pd.DataFrame(light(dataset), columns=["brightness", "contrast"]).assign(**{"class": dataset.labels})
    classes = table.groupby("class").agg(brightness=("brightness", "mean"), spread=("brightness", "std"),
                                         contrast=("contrast", "mean"))
    return classes.reindex(range(len(dataset.classes))).set_axis(list(dataset.classes))


def light(dataset):
    """Mean and standard deviation of each image's pixels, in levels from 0 to 255; float64 (N, 2)."""
    # In blocks: as floats the images would need eight times the room.
    blocks = [dataset.images[start:start + 512] for start in range(0, len(dataset), 512)]
    flat = [block.reshape(len(block), -1) for block in blocks]
    return np.concatenate([np.stack([block.mean(1), block.std(1)], 1) for block in flat])


def leave_out(dataset, faults, test=None, votes=None):
    """The data set without what the report lists; ``source`` names what went and how much.

    ``faults``, one or more of
    - "constant": images of one grey level.
    - "duplicates": of the images that show one picture, all but the first; all of them where their labels differ.
    - "leaked": images that are in ``test``, too.
    - "not a face": images on which all ten of FER+'s ``votes`` (N, 10) say so.
    """
    gone = {}
    if "constant" in faults:
        gone["constant images"] = constant_images(dataset)
    if "duplicates" in faults:
        gone["duplicates"] = _copies(dataset)
    if "leaked" in faults and test is not None:
        gone[f"images of {test.split}"] = np.unique([a for a, _, _ in _pairs(dataset, test)]).astype(int)
    if "not a face" in faults and votes is not None:
        gone["images that are not a face"] = not_a_face(votes)
    kept = np.setdiff1d(np.arange(len(dataset)), np.concatenate([[], *gone.values()]))
    named = ", ".join(f"{len(rows)} {what}" for what, rows in gone.items() if len(rows))
    if not len(kept):
        raise FerError(f"{dataset.source}, split {dataset.split!r}: nothing is left without {named}; leave out less.")
    return replace(dataset.subset(kept), source=f"{dataset.source} without {named}") if named else dataset


def _copies(dataset):
    """Rows to leave out so that each picture stays once, and not at all where its copies have different labels."""
    pairs = [(a, b) for a, b, _ in _pairs(dataset, None)]
    if not pairs:
        return np.array([], int)
    links = coo_array((np.ones(len(pairs)), np.array(pairs).T), shape=(len(dataset), len(dataset)))
    _, picture = connected_components(links, directed=False)
    table = pd.DataFrame({"picture": picture, "label": dataset.labels})
    differ = table.groupby("picture").label.transform("nunique") > 1
    return np.flatnonzero(differ | table.picture.duplicated())


def persons(first, second):
    """Who is in both of two splits, in a sentence."""
    if first.persons is None or second.persons is None:
        return (f"who is in the images is not known: the same people may be in {first.split} and in {second.split}, "
                "which makes a test too good")
    ours, theirs = set(first.persons.tolist()), set(second.persons.tolist())
    return f"{len(ours & theirs)} of the {len(theirs)} persons of {second.split} are in {first.split}, too"


def official_rows(pairs):
    """Pairs of FER2013 by the numbers in their names, rows of fer2013.csv where the copy kept them: what may be
    published of them."""
    first, second = (pairs[side].str.partition("_")[2].astype(int) for side in ("first", "second"))
    table = pd.DataFrame({"train_row": first, "test_row": second, "kind": pairs.kind})
    return table.sort_values(["test_row", "train_row"], ignore_index=True)


def overview(first, second):
    """The report of two splits as a table: counts of what is wrong in each, and of what is in both."""
    rows = {}
    for name, pairs, constant in ((first.split, duplicates(first), len(constant_images(first))),
                                  (second.split, duplicates(second), len(constant_images(second))),
                                  (f"{first.split} and {second.split}", duplicates(first, second), 0)):
        differ = pairs.first_label != pairs.second_label
        rows[name] = {"constant images": constant, "exact pairs": int((pairs.kind == "exact").sum()),
                      "near pairs": int((pairs.kind == "near").sum()), "pairs with different labels": int(differ.sum())}
    return pd.DataFrame(rows).T
