"""What is wrong with a data set: constant images, duplicates and near duplicates, within a split and across two."""

import numpy as np
import pandas as pd

from ..emotions import EMOTIONS

BITS = 8  # differing bits of 112 up to which two images are compared pixel by pixel
CORRELATION = 0.98  # of pixels, from which two images count as the same picture


def constant_images(dataset):
    """Rows of the images that are one grey level from edge to edge; int64 (K,)."""
    flat = dataset.images.reshape(len(dataset), -1)
    return np.flatnonzero(flat.max(1) == flat.min(1))


def duplicates(first, second=None):
    """Pairs of images that show the same picture: a DataFrame with a row for each pair.

    Within ``first``, or between ``first`` and ``second``. Columns: ``first`` and ``second`` (names), their labels
    ``first_label`` and ``second_label``, and ``kind``: "exact" (all pixels equal) or "near" (a perceptual hash of the
    coarse light and dark differs in at most ``BITS`` bits and the pixels correlate at ``CORRELATION`` or more: the same
    picture compressed, cropped by a pixel or brightened). Constant images are left out: they are all alike.
    """
    within = second is None
    second = first if within else second
    rows = [np.setdiff1d(np.arange(len(part)), constant_images(part)) for part in (first, second)]
    hashes = [perceptual_hash(part.images)[kept] for part, kept in zip((first, second), rows, strict=True)]
    found = []
    for start in range(0, len(rows[0]), 512):
        block = hashes[0][start:start + 512]
        apart = sum(np.bitwise_count(block[:, None, word] ^ hashes[1][None, :, word]) for word in (0, 1))
        for i, j in zip(*np.nonzero(apart <= BITS), strict=True):
            a, b = int(rows[0][start + i]), int(rows[1][j])
            if within and a >= b:
                continue
            one, other = first.images[a], second.images[b]
            if np.array_equal(one, other):
                found.append((a, b, "exact"))
            elif one.shape == other.shape and np.corrcoef(one.ravel(), other.ravel())[0, 1] >= CORRELATION:
                found.append((a, b, "near"))
    return pd.DataFrame({"first": [str(first.names[a]) for a, _, _ in found],
                         "second": [str(second.names[b]) for _, b, _ in found],
                         "first_label": [EMOTIONS[first.labels[a]] for a, _, _ in found],
                         "second_label": [EMOTIONS[second.labels[b]] for _, b, _ in found],
                         "kind": [kind for _, _, kind in found]})


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


def official_rows(pairs):
    """Pairs of FER2013 by the numbers in their names, sorted: what may be published of them.

    They are rows of fer2013.csv where the copy kept them, as the table and the oldest image folders do.
    """
    rows = {side: pairs[side].str.partition("_")[2].astype(int) for side in ("first", "second")}
    return pd.DataFrame({"train_row": rows["first"], "test_row": rows["second"], "kind": pairs.kind}).sort_values(
        ["test_row", "train_row"], ignore_index=True)


def summary(first, second):
    """The report of two splits as a table: counts of what is wrong in each, and of what is in both."""
    across = duplicates(first, second)
    rows = {}
    for name, pairs, constant in ((first.split, duplicates(first), len(constant_images(first))),
                                  (second.split, duplicates(second), len(constant_images(second))),
                                  (f"{first.split} and {second.split}", across, 0)):
        differ = pairs.first_label != pairs.second_label
        rows[name] = {"constant images": constant, "exact pairs": int((pairs.kind == "exact").sum()),
                      "near pairs": int((pairs.kind == "near").sum()), "pairs with different labels": int(differ.sum())}
    return pd.DataFrame(rows).T
