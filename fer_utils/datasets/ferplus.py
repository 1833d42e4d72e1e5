"""FER+: FER2013's images with ten people's votes each instead of one label (Barsoum et al. 2016, arXiv:1608.01041).

The votes are ``fer2013new.csv`` of github.com/microsoft/FERPlus (MIT licence); the images are FER2013's own.
"""

import numpy as np
import pandas as pd

from ..emotions import CONTEMPT, EMOTIONS
from ..errors import FerError
from . import fer2013
from .face_dataset import FaceDataset
from .fer2013 import USAGES
from .files import existing, of_systems, opened, read_table

SPLITS = fer2013.SPLITS
CLASSES = (*EMOTIONS, CONTEMPT)
COLUMNS = (*CLASSES, "unknown", "NF")  # of the votes everywhere in the course; the file has its own order
VOTES = "fer2013new.csv"
BYTES = 20_000_000  # the file has under 2 million
TAGGERS = 10  # who voted on each image
OFFICIAL = dict(zip(USAGES, fer2013.SIZES.values(), strict=True))  # rows of fer2013.csv, and so of the votes
# Images that have a label of the eight, in the order of USAGES: what the published rules leave of each whole split.
KEPT = {"majority": dict(zip(USAGES, (25_060, 3_199, 3_153), strict=True)),
        "probability": dict(zip(USAGES, (27_956, 3_505, 3_505), strict=True))}
# Least share of FER2013's labels that every stretch of 100 or more labelled rows must have. In truth it is 0.68 over
# the whole and 0.55 in the worst stretch; with the votes shifted by a row 0.18, and 0.30 in the best.
AGREEMENT, STRETCH = 0.45, 100
WHERE = f"{VOTES} (github.com/microsoft/FERPlus, MIT licence)"
APART = f"the rows don't belong together. Use fer2013.csv, and {WHERE} as it is."


def load(root, split, *, mode="majority", contempt=False):
    """One split of FER2013 as a ``FaceDataset`` with the labels of FER+; its names are those of ``fer2013.load``.

    ``root``: a folder that holds FER2013 in any form that ``fer2013`` reads, and ``fer2013new.csv``, beside it or in a
    folder of its own in there. ``mode`` says what becomes of the votes; the first two are Barsoum et al.'s, for whom a
    class's single vote is a slip, and images that are left without a label are left out:

    - "majority": the class that has more than half of the votes.
    - "probability": ``soft_labels`` of the one to three classes that have most of the votes together.
    - "votes": ``soft_labels`` are the shares of all votes for an emotion.

    Labels are the class with the largest share, of equal ones the first in the order of ``classes``. With ``contempt``
    there are eight classes, contempt last; without it, images labelled so are left out, and its share of the others'
    votes is removed. Raises ``FerError`` for what is missing or broken, and for votes that don't belong to the images.
    """
    if mode not in tuple(MODES):  # a list from JSON isn't hashable
        raise FerError(f"mode = {mode!r}: FER+ has the modes {', '.join(MODES)}.")
    if not isinstance(contempt, bool):
        raise FerError(f"contempt = {contempt!r}: give True (eight classes) or False (seven).")
    path = find_votes(root)
    faces = fer2013.load(root, split)
    shares = MODES[mode](_join(faces, path))
    classes = CLASSES if contempt else EMOTIONS
    labels = np.where(shares.any(1), shares.argmax(1), len(CLASSES))
    kept = np.flatnonzero(labels < len(classes))
    soft = None
    if mode != "majority":
        soft = shares[kept, :len(classes)] / shares[kept, :len(classes)].sum(1, keepdims=True)
        soft = soft.astype(np.float32)
    return FaceDataset(faces.images[kept], labels[kept].astype(np.int64), faces.names[kept], split,
                       f"FER2013 with FER+ labels ({mode})", classes, soft)


def majority(votes):
    """The votes of the class that has more than half of them, int (N, 8), from the votes (N, 10); all 0 without one."""
    counted = _counted(votes)
    most = 2 * counted > counted.sum(1, keepdims=True)
    return np.where(most, counted, 0)[:, :len(CLASSES)]


def probability(votes):
    """The votes of one to three classes, int (N, 8), from the votes (N, 10); all 0 where an image has no label.

    Classes are taken from the most voted down, equal ones together, until they have three quarters of the votes, or
    are three, or "unknown" or "not a face" is reached. More than three, or no more than half of the votes: no label.
    """
    left = _counted(votes)
    total = left.sum(1)
    taken = np.zeros((len(left), len(CLASSES)), np.int64)
    going = total > 0
    for _ in range(3):
        top = (left == left.max(1, keepdims=True)) & going[:, None]
        taken += np.where(top, left, 0)[:, :len(CLASSES)]
        left[top] = 0
        going &= (4 * taken.sum(1) < 3 * total) & ((taken > 0).sum(1) < 3) & ~top[:, len(CLASSES):].any(1)
    labelled = (2 * taken.sum(1) > total) & ((taken > 0).sum(1) <= 3)
    return np.where(labelled[:, None], taken, 0)


def _counted(votes):
    return np.where(votes > 1, votes, 0)  # not even for the total do single votes count


MODES = {"majority": majority, "probability": probability, "votes": lambda votes: votes[:, :len(CLASSES)]}


def votes_for(dataset, root):
    """The votes of each image of a FER2013 ``dataset``, int64 (N, 10), in the order of ``COLUMNS``; ``FerError`` where
    the rows don't belong together. ``dataset`` is a split or a random part of one; images chosen by their labels would
    look misaligned."""
    return _join(dataset, find_votes(root))


def not_a_face(votes):
    """Rows of ``votes`` (N, 10) on which all ten voted "not a face"; int64 (K,)."""
    return np.flatnonzero(votes[:, COLUMNS.index("NF")] == TAGGERS)


def agreement(dataset, votes):
    """FER2013's labels against those of FER+: a DataFrame of counts, 7 emotions (FER2013) × 8 classes (FER+), of the
    images of ``dataset`` to whom their ``votes`` (N, 10) give a majority."""
    chosen = majority(votes)
    kept = chosen.any(1)
    counts = np.zeros((len(EMOTIONS), len(CLASSES)), np.int64)
    np.add.at(counts, (dataset.labels[kept], chosen[kept].argmax(1)), 1)
    return pd.DataFrame(counts, pd.Index(EMOTIONS, name="FER2013"), pd.Index(CLASSES, name="FER+"))


def find_votes(root):
    """The votes' file in the folder ``root``, or in a folder in there; beside ``root`` where that is a file."""
    root = existing(root, f"there is no FER+; give a folder that holds FER2013 and {WHERE} as data_dir")
    folder = root.parent if root.is_file() else root
    found = [path for path in (folder / VOTES, *sorted(folder.glob(f"*/{VOTES}")))
             if path.is_file() and not of_systems(path.parent.name)]
    if not found:
        raise FerError(f"{folder}: no {WHERE} in it, nor in a folder in there; put it beside FER2013.")
    if len(found) > 1 and found[0].parent != folder:
        raise FerError(f"{folder}: {' and '.join(str(path.relative_to(folder)) for path in found)}; keep one of them.")
    return found[0]


def read_votes(path):
    """(usage, votes) of each row of ``fer2013new.csv``: strings (N,) and int64 (N, 10), in the order of ``COLUMNS``.
    Names of images are not read: some are blank, and the others don't count the rows."""
    with opened(path) as ((_, read),):
        header, *rows = read_table(read(BYTES), path)
    if any(header.count(name) != 1 for name in ("Usage", *COLUMNS)) or not 0 < len(rows) <= sum(OFFICIAL.values()):
        raise FerError(f"{path}: {len(rows)} rows with the columns {', '.join(header)[:200]}; expected at most "
                       f"{sum(OFFICIAL.values())}, with Usage, {', '.join(COLUMNS)}.")
    table = pd.DataFrame(rows, columns=header)
    usage = table.Usage
    votes = np.stack([pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64) for name in COLUMNS], 1)
    wrong = {"Usage": ~usage.isin(USAGES).to_numpy()}
    wrong |= {name: ~np.isin(votes[:, column], range(TAGGERS + 1)) for column, name in enumerate(COLUMNS)}
    for name, bad in wrong.items():
        if bad.any():
            row = int(bad.argmax())
            raise FerError(f"{path}: row {row}: {name} is {str(table[name].iloc[row])[:40]!r}; expected "
                           f"{' or '.join(USAGES) if name == 'Usage' else f'0 to {TAGGERS} votes'}.")
    row = int(votes.sum(1).argmax())
    if votes[row].sum() > TAGGERS:
        raise FerError(f"{path}: row {row}: {int(votes[row].sum())} votes; an image has at most {TAGGERS}.")
    return usage.to_numpy(str), votes.astype(np.int64)


def _join(faces, path):
    """The votes of each face, by the row in its name; checked by usage, by the known counts and against its label."""
    kinds, _, numbers = np.char.partition(np.asarray(faces.names, str), "_").T
    kinds = np.char.lower(kinds)  # as fer2013 reads them
    official = np.char.isdecimal(numbers) & np.isin(kinds, np.char.lower(USAGES))
    if not official.all():
        raise FerError(f"{faces.source}: {faces.names[official.argmin()]}: not a name of FER2013, <Usage>_<row>; the "
                       "votes are for its rows alone.")
    rows, whole = numbers.astype(np.float64), sum(OFFICIAL.values())  # a number may be too long for an integer
    last = faces.names[rows.argmax()]
    if rows.max() >= whole:
        raise FerError(f"{faces.source}: {last}: FER2013 has {whole} rows; this copy has numbered its images anew, so "
                       "their votes can't be found. Use fer2013.csv, whose rows are the official ones.")
    usages, votes = read_votes(path)
    if rows.max() >= len(votes):
        raise FerError(f"{path}: {len(votes)} rows, and none for {last}; download {WHERE} again.")
    rows = rows.astype(np.int64)
    apart = np.flatnonzero(np.char.lower(usages[rows]) != kinds)
    if len(apart):
        raise FerError(f"{path}: row {rows[apart[0]]} is of {usages[rows[apart[0]]]}, and the image "
                       f"{faces.names[apart[0]]}: {APART}")
    for usage in USAGES:
        mine = np.flatnonzero(usages[rows] == usage)
        mine = mine[np.argsort(rows[mine])]
        _check(path, usage, rows[mine], faces.labels[mine], votes[rows[mine]])
    return votes[rows]


def _check(path, usage, rows, labels, votes):
    """Raise ``FerError`` where the ``rows`` of one usage, sorted, don't have the votes that belong to them."""
    if len(np.unique(rows)) == len(rows) == OFFICIAL[usage]:
        for mode, counts in KEPT.items():
            count = int(MODES[mode](votes).any(1).sum())
            if count != counts[usage]:
                raise FerError(f"{path}: {count:,} {usage} images have a label ({mode}) instead of "
                               f"{counts[usage]:,}: the votes are not the published ones. Get {WHERE} again.")
    chosen = majority(votes)
    kept = np.flatnonzero(chosen.any(1))
    for part in np.array_split(kept, max(1, len(kept) // STRETCH)):
        share = (labels[part] == chosen[part].argmax(1)).mean() if len(part) >= STRETCH else 1
        if share < AGREEMENT:
            raise FerError(f"{path}: rows {rows[part[0]]} to {rows[part[-1]]}, {usage}: {100 * share:.0f} % of the "
                           f"labels are FER2013's, and over half should be: {APART}")
