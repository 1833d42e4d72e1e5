"""The drawn faces as a data set: they come with the course, and no person was photographed for them."""

import hashlib
from pathlib import Path

import numpy as np

from .. import faces
from .cache import cached, open_cached

# The embedded faces: 3,000 and 700 in RAF-DB's proportions, and a balanced probe, never trained or tuned on.
SYNTHETIC = {"train": ((172, 175, 69, 1167, 617, 485, 315), 1), "test": ((40, 41, 16, 272, 144, 113, 74), 2),
             "probe": ((200,) * 7, 3)}
SPLITS = tuple(SYNTHETIC)


def load(root, split):
    """One split as a ``FaceDataset``; ``root`` is not needed."""
    counts, seed = SYNTHETIC[split]

    def draw():
        images, labels = faces.synthetic_faces(counts, seed)
        names = np.array([f"{split}_{row:05d}" for row in range(len(labels))])
        return images, labels, names

    # The code that draws is the data's identity: a changed line gives new faces, and never old ones from the cache.
    drawing = hashlib.sha256(Path(faces.__file__).read_bytes()).hexdigest()
    entry = cached(f"synthetic {drawing} {counts} {seed}", draw)
    return open_cached(entry, slice(None), split, "synthetic faces")
