"""FER2013 in every form in which it is passed on: folders of images, their zip, the official CSV, its tar.gz."""

import io
import itertools
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ..emotions import EMOTIONS, FER2013_CODES, label_of
from ..errors import FerError
from .cache import cached, cached_array, open_cached
from .files import BYTES, decode, identity, is_image, opened

# The file names of the Kaggle folders carry the official split and the row in fer2013.csv.
FILE = re.compile(r"(Training|PublicTest|PrivateTest)_(\d+)\.(?:png|jpg|jpeg)", re.IGNORECASE)
USAGES = ("Training", "PublicTest", "PrivateTest")  # in the order of the official rows
SPLITS = {"train": ("training",), "public_test": ("publictest",), "private_test": ("privatetest",),
          "test": ("publictest", "privatetest")}
TABLES = ("fer2013.csv", "icml_face_data.csv")


def load(root, split):
    """One split as a ``FaceDataset``; its names are ``<Usage>_<number>``.

    The number is the row in the official table, unless the copy has numbered its image files anew, as some on Kaggle.
    """
    root = locate(root)
    folder = cached(f"fer2013 {identity(root)}", lambda: read(root))
    names = np.asarray(cached_array(folder, "names"))
    kind = np.char.lower(np.char.partition(names, "_")[:, 0])
    missing = [wanted for wanted in SPLITS[split] if not (kind == wanted).any()]
    if missing:
        present = ", ".join(name for name in SPLITS if all((kind == k).any() for k in SPLITS[name]))
        raise FerError(f"{root}: split {split!r} needs images named {' and '.join(missing)}_<row>, and there are none; "
                       f"it holds the splits {present}.")
    # Rows are sorted by split, so a split (and the two tests together) is one stretch: a view, not a copy.
    rows = np.flatnonzero(np.isin(kind, SPLITS[split]))
    return open_cached(folder, slice(rows[0], rows[-1] + 1), split, "FER2013")


def locate(root):
    """The one thing to read: the folder that holds train/, or the one table or archive in it, or what was named."""
    if root is None:
        raise FerError("fer2013 is not part of the course: download it (Kaggle, msambare/fer2013) and give the folder "
                       "or the zip as data_dir.")
    root = Path(os.path.expanduser(root))
    if not root.exists():
        raise FerError(f"{root}: there is no such file or folder; give the folder or the zip of FER2013 as data_dir.")
    if root.is_file() or (root / "train").is_dir():
        return root
    # torchvision and the challenge's tar.gz have the table in a folder fer2013/ of its own.
    tables = [root / sub / name for sub in ("", "fer2013") for name in TABLES if (root / sub / name).is_file()]
    archives = sorted(path for pattern in ("*.zip", "*.tar.gz") for path in root.glob(pattern))
    if not tables and len(archives) != 1:
        raise FerError(f"{root}: neither train/ and test/, nor {' or '.join(TABLES)}, nor one zip or tar.gz in this "
                       f"folder ({len(archives)} zips); give the folder that holds train/, or the file itself.")
    return (tables or archives)[0]


def read(path):
    """(images, labels, names) of whatever form ``path`` has, sorted by split and official row."""
    if path.suffix.lower() == ".csv":
        if path.stat().st_size > BYTES:
            raise FerError(f"{path}: {path.stat().st_size:,} bytes; fer2013.csv has about 300 million. Is it the right "
                           "one?")
        return read_table(path.read_bytes, path)
    with opened(path) as files:
        tables = [(name, read) for name, read in files if name.split("/")[-1] in TABLES]
        if tables and not any(is_image(name) for name, _ in files):
            name, read_bytes = tables[0]
            return read_table(read_bytes, f"{path}: {name}")
        return read_images(files, path)


def read_table(read_bytes, where):
    """fer2013.csv (emotion,pixels,Usage) or icml_face_data.csv, whose header has other order and leading spaces."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # pandas only warns where rows are longer than the header
            table = pd.read_csv(io.BytesIO(read_bytes()), skipinitialspace=True, dtype=str, keep_default_na=False,
                                index_col=False, encoding="utf-8-sig")
    except Exception as error:  # pandas has a dozen kinds of errors for a file that is no table
        raise FerError(f"{where}: cannot be read as a CSV file ({error}); download it again.") from error
    table.columns = [str(name).strip() for name in table.columns]
    if any(list(table.columns).count(name) != 1 for name in ("emotion", "pixels", "Usage")) or not len(table):
        raise FerError(f"{where}: {len(table)} rows with the columns {', '.join(table.columns)[:200]}; expected "
                       "emotion, pixels and Usage.")
    codes = pd.to_numeric(table.emotion, errors="coerce").to_numpy()
    usage = table.Usage.str.strip()
    unknown = {"emotion": ~np.isin(codes, range(len(FER2013_CODES))), "Usage": ~usage.isin(USAGES).to_numpy()}
    for what, bad in unknown.items():
        if bad.any():
            row = int(bad.argmax())
            raise FerError(f"{where}: row {row}: {what} is {table[what].iloc[row][:40]!r}; expected "
                           f"{'0 to 6' if what == 'emotion' else ' or '.join(USAGES)}.")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns where it stops at what is no number
        images = np.stack([_pixels(text, row, where) for row, text in enumerate(table.pixels)])
    # One canonical order: the file counts from angry to neutral, the course alphabetically.
    labels = np.array([EMOTIONS.index(name) for name in FER2013_CODES], np.int64)[codes.astype(int)]
    names = np.array([f"{kind}_{row:05d}" for row, kind in enumerate(usage)])
    splits = usage.map(USAGES.index).to_numpy()
    _check_classes(labels, splits, where)
    order = np.argsort(splits, kind="stable")
    return images[order], labels[order], names[order]


def read_images(files, where):
    """Decode ``files``, pairs of a relative name and a function that reads it."""
    found = []
    for name, read_bytes in files:
        parts = name.split("/")
        match = FILE.fullmatch(parts[-1])
        if match is None:
            if is_image(name) and parts[-1] != "FER+vsFER.png":  # a figure in a clone of FER+, which may lie beside
                raise FerError(f"{where}: {name}: not named Training_, PublicTest_ or PrivateTest_<row>; the official "
                               "splits are read from these names, so keep the files as they were downloaded.")
            continue
        label = label_of(parts[-2]) if len(parts) > 1 else None
        if label is None:
            raise FerError(f"{where}: {name}: its folder is not one of the seven emotions "
                           "(angry, disgust, fear, happy, neutral, sad, surprise); rename or remove it.")
        usage = [kind.lower() for kind in USAGES].index(match[1].lower())
        found.append((usage, int(match[2]), label, name, read_bytes))
    if not found:
        raise FerError(f"{where}: no image in it; expected train/<emotion>/Training_<row>.png and so on.")
    found.sort(key=lambda entry: entry[:2])
    for one, other in itertools.pairwise(found):
        if one[:2] == other[:2]:
            raise FerError(f"{where}: {one[3]} and {other[3]} are the same row of FER2013; keep the one that is right.")
    images = np.empty((len(found), 48, 48), np.uint8)
    for row, (_, _, _, name, read_bytes) in enumerate(found):
        pixels = decode(name, read_bytes, where, "L")
        if pixels.shape != (48, 48):
            raise FerError(f"{where}: {name}: {pixels.shape[1]}x{pixels.shape[0]} pixels; FER2013's are 48x48.")
        images[row] = pixels
    splits, labels = (np.array([entry[column] for entry in found], np.int64) for column in (0, 2))
    _check_classes(labels, splits, where)
    return images, labels, np.array([Path(entry[3]).stem for entry in found])


def _check_classes(labels, splits, where):
    for split in np.unique(splits):
        missing = [EMOTIONS[k] for k in range(len(EMOTIONS)) if not (labels[splits == split] == k).any()]
        if missing:
            raise FerError(f"{where}: no {USAGES[split]} image of {', '.join(missing)}; the download is not complete.")


def _pixels(text, row, where):
    """One row's 2,304 grey levels, as uint8 (48, 48)."""
    try:
        values = np.fromstring(text, np.int64, sep=" ")
    except (ValueError, OverflowError, DeprecationWarning) as error:
        raise FerError(f"{where}: row {row}: a pixel is not a whole number; expected 2304 from 0 to 255.") from error
    if len(values) != 48 * 48 or values.min() < 0 or values.max() > 255:
        raise FerError(f"{where}: row {row}: {len(values)} pixels"
                       + (f" from {values.min()} to {values.max()}" if len(values) else "")
                       + "; expected 2304 from 0 to 255.")
    return values.astype(np.uint8).reshape(48, 48)
