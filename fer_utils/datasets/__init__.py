"""Readers. Each turns files into one ``FaceDataset``: decoded once, cached, the same for every room above."""

import hashlib
from pathlib import Path

import numpy as np

from .. import faces
from ..errors import FerError
from . import fer2013, folder, rafdb
from .cache import cached, open_cached
from .face_dataset import FaceDataset, split_train_validation

__all__ = ["DATASETS", "PAPER_COUNTS", "SYNTHETIC", "TEST_SPLIT", "FaceDataset", "load_dataset",
           "split_train_validation"]

# Table 2 of the paper: training images per class, in the order of EMOTIONS.
PAPER_COUNTS = {"rafdb": rafdb.PAPER_COUNTS, "fer2013": (3995, 436, 4097, 7215, 4965, 4830, 3171)}

# The embedded faces: 3,000 and 700 in RAF-DB's proportions, and a balanced probe, never trained or tuned on.
SYNTHETIC = {"train": ((172, 175, 69, 1167, 617, 485, 315), 1), "test": ((40, 41, 16, 272, 144, 113, 74), 2),
             "probe": ((200,) * 7, 3)}
DATASETS = {"synthetic": tuple(SYNTHETIC), "fer2013": tuple(fer2013.SPLITS), "rafdb": rafdb.SPLITS,
            "folder": folder.SPLITS}
# What a run is tested on. FER2013's PrivateTest stays closed until somebody asks for it by name.
TEST_SPLIT = {"synthetic": "test", "fer2013": "public_test", "rafdb": "test", "folder": "test"}


def load_dataset(name, root=None, split="train"):
    """Load one split of a data set as a ``FaceDataset``.

    - "synthetic": splits train, test and the balanced probe; needs no ``root``.
    - "fer2013": splits train, public_test, private_test, and test = both. ``root``: the Kaggle folder or its zip,
      ``fer2013.csv``, ``icml_face_data.csv``, ``fer2013.tar.gz``, or a folder that holds one of them.
    - "rafdb": splits train and test. ``root``: the owners' layout or the Kaggle mirror's, folder or archive.
    - "folder": splits train and test of a folder of your own; see ``datasets.folder``.

    Raises ``FerError`` for whatever is missing, broken or unknown.
    """
    if name not in DATASETS:
        raise FerError(f"unknown data set {name!r}; choose one of {', '.join(DATASETS)}.")
    if split not in DATASETS[name]:
        raise FerError(f"unknown split {split!r} of {name}; choose one of {', '.join(DATASETS[name])}.")
    if name == "synthetic":
        return _load_synthetic(split)
    return {"fer2013": fer2013, "rafdb": rafdb, "folder": folder}[name].load(root, split)


def _load_synthetic(split):
    counts, seed = SYNTHETIC[split]

    def draw():
        images, labels = faces.synthetic_faces(counts, seed)
        names = np.array([f"{split}_{row:05d}" for row in range(len(labels))])
        return images, labels, names

    # The code that draws is the data's identity: a changed line gives new faces, and never old ones from the cache.
    drawing = hashlib.sha256(Path(faces.__file__).read_bytes()).hexdigest()
    entry = cached(f"synthetic {drawing} {counts} {seed}", draw)
    return open_cached(entry, slice(None), split, "synthetic faces")
