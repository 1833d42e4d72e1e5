"""Readers. Each turns files into one ``FaceDataset``: decoded once, cached, the same for every room above."""

import hashlib
import io
import itertools
import json
import os
import re
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image
from platformdirs import user_cache_dir
from sklearn.model_selection import train_test_split

from . import faces
from .emotions import EMOTIONS, label_of
from .errors import FerError

# Table 2 of the paper: training images per class, in the order of EMOTIONS.
PAPER_COUNTS = {"rafdb": (705, 717, 281, 4772, 2524, 1982, 1290), "fer2013": (3995, 436, 4097, 7215, 4965, 4830, 3171)}

# The embedded faces: 3,000 and 700 in RAF-DB's proportions, and a balanced probe, never trained or tuned on.
SYNTHETIC = {"train": ((172, 175, 69, 1167, 617, 485, 315), 1), "test": ((40, 41, 16, 272, 144, 113, 74), 2),
             "probe": ((200,) * 7, 3)}
# FER2013's file names carry the official split and the row in fer2013.csv.
FER2013_FILE = re.compile(r"(Training|PublicTest|PrivateTest)_(\d+)\.(?:png|jpg|jpeg)", re.IGNORECASE)
FER2013_SPLITS = {"train": ("training",), "public_test": ("publictest",), "private_test": ("privatetest",),
                  "test": ("publictest", "privatetest")}
DATASETS = {"synthetic": tuple(SYNTHETIC), "fer2013": tuple(FER2013_SPLITS)}
# What a run is tested on. FER2013's PrivateTest stays closed until somebody asks for it by name.
TEST_SPLIT = {"synthetic": "test", "fer2013": "public_test"}


@dataclass(frozen=True, eq=False)
class FaceDataset:
    """Faces with their labels.

    ``images`` uint8 (N, H, W) or (N, H, W, 3); ``labels`` int64 (N,), indexes into ``EMOTIONS``;
    ``names`` (N,) strings, one per image; ``split`` and ``source`` say where they came from.
    Raises ``FerError`` where an array has another type, shape or length, or a label is out of range.
    """

    images: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    split: str
    source: str

    def __post_init__(self):
        where = f"{self.source}, split {self.split!r}"
        if self.images.dtype != np.uint8 or self.images.ndim not in (3, 4) or (
                self.images.ndim == 4 and self.images.shape[3] != 3):
            raise FerError(f"{where}: images are {self.images.dtype} {self.images.shape}; "
                           "give uint8 of shape (N, H, W) or (N, H, W, 3).")
        if self.labels.dtype != np.int64 or self.labels.shape != (len(self.images),):
            raise FerError(f"{where}: labels are {self.labels.dtype} {self.labels.shape}; "
                           f"give int64 of shape ({len(self.images)},).")
        if len(self.names) != len(self.images):
            raise FerError(f"{where}: {len(self.names)} names for {len(self.images)} images; give one each.")
        if not len(self.images):
            raise FerError(f"{where}: no image at all; check the folder.")
        if self.labels.min() < 0 or self.labels.max() >= len(EMOTIONS):
            raise FerError(f"{where}: labels run from {self.labels.min()} to {self.labels.max()}; "
                           f"they index the {len(EMOTIONS)} EMOTIONS, so 0 to {len(EMOTIONS) - 1}.")

    def __len__(self):
        return len(self.images)

    def subset(self, rows, split=None):
        """The faces in ``rows`` (indexes or a mask), as a new data set."""
        return FaceDataset(self.images[rows], self.labels[rows], self.names[rows], split or self.split, self.source)

    def counts(self):
        """Faces per class, int64 (7,), in the order of ``EMOTIONS``."""
        return np.bincount(self.labels, minlength=len(EMOTIONS))

    @cached_property
    def fingerprint(self):
        """SHA-256 of images and labels: two data sets with one fingerprint hold the same faces in the same order."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images))
        digest.update(np.ascontiguousarray(self.labels))
        return digest.hexdigest()


def load_dataset(name, root=None, split="train"):
    """Load one split of a data set as a ``FaceDataset``.

    ``name``: "synthetic" (splits train, test and the balanced probe; needs no ``root``) or "fer2013" (splits train,
    public_test, private_test, and test = both), whose ``root`` is the Kaggle download: its folder, its zip, or a
    folder that holds ``archive.zip``. Raises ``FerError`` for whatever is missing, broken or unknown.
    """
    if name not in DATASETS:
        raise FerError(f"unknown data set {name!r}; choose one of {', '.join(DATASETS)}.")
    if split not in DATASETS[name]:
        raise FerError(f"unknown split {split!r} of {name}; choose one of {', '.join(DATASETS[name])}.")
    return _load_synthetic(split) if name == "synthetic" else _load_fer2013(root, split)


def split_train_validation(dataset, fraction, seed):
    """Split into (train, validation) at random, the same share of each class in both; ``fraction`` is validation's."""
    try:
        train, validation = train_test_split(np.arange(len(dataset)), test_size=fraction, random_state=seed,
                                             stratify=dataset.labels)
    except ValueError as error:
        raise FerError(f"{dataset.source}: cannot split off a validation share of {fraction}: {error}") from error
    return dataset.subset(np.sort(train), "train"), dataset.subset(np.sort(validation), "validation")


def _load_synthetic(split):
    counts, seed = SYNTHETIC[split]

    def draw():
        images, labels = faces.synthetic_faces(counts, seed)
        names = np.array([f"{split}_{row:05d}" for row in range(len(labels))])
        return images, labels, names

    # The code that draws is the data's identity: a changed line gives new faces, and never old ones from the cache.
    drawing = hashlib.sha256(Path(faces.__file__).read_bytes()).hexdigest()
    folder = _cached(f"synthetic {drawing} {counts} {seed}", draw)
    return _open(folder, slice(None), split, "synthetic faces")


def _load_fer2013(root, split):
    root = _fer2013_root(root)
    if root.is_file():
        stat = root.stat()
        identity = f"fer2013 {root.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        folder = _cached(identity, lambda: _read_fer2013_zip(root))
    else:
        paths = sorted(path for path in root.rglob("*") if path.is_file())
        listing = "".join(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}\n" for path in paths)
        identity = f"fer2013 {root.resolve()} {hashlib.sha256(listing.encode()).hexdigest()}"
        folder = _cached(identity, lambda: _read_fer2013(
            [(path.relative_to(root).as_posix(), path.read_bytes) for path in paths], root))
    names = np.asarray(_array(folder, "names"))
    kind = np.char.lower(np.char.partition(names, "_")[:, 0])
    missing = [wanted for wanted in FER2013_SPLITS[split] if not (kind == wanted).any()]
    if missing:
        present = ", ".join(name for name in FER2013_SPLITS if all((kind == k).any() for k in FER2013_SPLITS[name]))
        raise FerError(f"{root}: split {split!r} needs images named {' and '.join(missing)}_<row>, and there are none; "
                       f"it holds the splits {present}.")
    # Rows are sorted by split, so a split (and the two tests together) is one stretch: a view, not a copy.
    rows = np.flatnonzero(np.isin(kind, FER2013_SPLITS[split]))
    return _open(folder, slice(rows[0], rows[-1] + 1), split, "FER2013")


def _fer2013_root(root):
    if root is None:
        raise FerError("fer2013 is not part of the course: download it (Kaggle, msambare/fer2013) and give the folder "
                       "or the zip as data_dir.")
    root = Path(root).expanduser()
    if not root.exists():
        raise FerError(f"{root}: there is no such file or folder; give the folder or the zip of FER2013 as data_dir.")
    if root.is_dir() and not (root / "train").is_dir():
        zips = sorted(root.glob("*.zip"))
        if len(zips) != 1:
            raise FerError(f"{root}: neither train/ and test/ nor one zip in this folder ({len(zips)} zips); "
                           "give the folder that holds train/, or the zip itself.")
        return zips[0]
    return root


def _read_fer2013_zip(path):
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info.filename for info in archive.infolist() if not info.is_dir()]
            return _read_fer2013([(name, lambda name=name: archive.read(name)) for name in members], path)
    except FerError:
        raise
    except Exception as error:  # zipfile raises whatever the damaged bytes lead it to
        raise FerError(f"{path}: not a whole zip ({error}); download it again.") from error


def _read_fer2013(files, where):
    """Decode ``files``, pairs of a relative path and a function that reads it, in the order of fer2013.csv."""
    found = []
    for name, read in files:
        parts = name.split("/")
        if "__MACOSX" in parts or parts[-1].startswith("._"):  # what macOS adds to folders and zips
            continue
        match = FER2013_FILE.fullmatch(parts[-1])
        if match is None:
            if parts[-1].lower().endswith((".png", ".jpg", ".jpeg")):
                raise FerError(f"{where}: {name}: not named Training_, PublicTest_ or PrivateTest_<row>; the official "
                               "splits are read from these names, so keep the files as they were downloaded.")
            continue
        label = label_of(parts[-2]) if len(parts) > 1 else None
        if label is None:
            raise FerError(f"{where}: {name}: its folder is not one of the seven emotions "
                           "(angry, disgust, fear, happy, neutral, sad, surprise); rename or remove it.")
        found.append((("training", "publictest", "privatetest").index(match[1].lower()), int(match[2]), label, name,
                      read))
    if not found:
        raise FerError(f"{where}: no image in it; expected train/<emotion>/Training_<row>.png and so on.")
    found.sort(key=lambda entry: entry[:2])
    for one, other in itertools.pairwise(found):
        if one[:2] == other[:2]:
            raise FerError(f"{where}: {one[3]} and {other[3]} are the same row of FER2013; keep the one that is right.")
    images = np.empty((len(found), 48, 48), np.uint8)
    for row, (_, _, _, name, read) in enumerate(found):
        try:
            with Image.open(io.BytesIO(read())) as image:
                pixels = np.asarray(image.convert("L"))
        except Exception as error:  # so do Pillow and zlib
            raise FerError(f"{where}: {name}: cannot be read as an image ({error}); download it again.") from error
        if pixels.shape != (48, 48):
            raise FerError(f"{where}: {name}: {pixels.shape[1]}x{pixels.shape[0]} pixels; FER2013's are 48x48.")
        images[row] = pixels
    splits, labels = (np.array([entry[column] for entry in found], np.int64) for column in (0, 2))
    for split in np.unique(splits):
        missing = [EMOTIONS[k] for k in range(len(EMOTIONS)) if not (labels[splits == split] == k).any()]
        if missing:
            kind = ("Training", "PublicTest", "PrivateTest")[split]
            raise FerError(f"{where}: no {kind} image of {', '.join(missing)}; the download is not complete.")
    return images, labels, np.array([Path(entry[3]).stem for entry in found])


def _cached(identity, read):
    """The folder of arrays that ``read()`` gives for this identity; read once, written whole or not at all."""
    home = Path(os.environ.get("FER_UTILS_CACHE") or user_cache_dir("fer_utils", appauthor=False))
    folder = home / hashlib.sha256(identity.encode()).hexdigest()[:24]
    if folder.is_dir():
        return folder
    images, labels, names = read()
    try:
        home.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=home, prefix="part-"))
        try:
            for name, array in (("images", images), ("labels", labels), ("names", names)):
                np.save(part / f"{name}.npy", array)
            (part / "about.json").write_text(json.dumps({"identity": identity, "images": len(images)}, indent=1))
            part.rename(folder)
        except BaseException as error:  # an interrupt must not leave its part behind either
            shutil.rmtree(part, ignore_errors=True)
            if not (isinstance(error, OSError) and folder.is_dir()):  # where it is, another process was faster
                raise
    except OSError as error:
        raise FerError(f"{home}: the cache cannot be written ({error}); free some space there, or set FER_UTILS_CACHE "
                       "to another folder.") from error
    return folder


def _open(folder, rows, split, source):
    images, labels, names = (_array(folder, name) for name in ("images", "labels", "names"))
    return FaceDataset(images[rows], np.array(labels[rows]), np.array(names[rows]), split, source)


def _array(folder, name):
    try:
        return np.load(folder / f"{name}.npy", mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise FerError(f"{folder}: this entry of the cache is damaged ({error}); delete the folder, and the data is "
                       "read anew.") from error
