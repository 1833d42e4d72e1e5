"""FER2013 in every form in which it is passed on: folders of images, their zip, the official CSV, its tar.gz."""

import re
import warnings
from pathlib import Path

import numpy as np

from ..emotions import EMOTIONS, FER2013_CODES
from ..errors import FerError
from .cache import read_once
from .face_dataset import check_complete, label_of_folder, name_kinds, stretch
from .files import allowed, decoded_alike, existing, identity, is_image, of_systems, opened, progress, read_table

# The file names of the Kaggle folders carry the official split and the row in fer2013.csv.
FILE = re.compile(r"(Training|PublicTest|PrivateTest)_(\d+)\.(?:png|jpg|jpeg)", re.IGNORECASE)
USAGES = ("Training", "PublicTest", "PrivateTest")  # in the order of the official rows
SPLITS = {"train": ("training",), "public_test": ("publictest",), "private_test": ("privatetest",),
          "test": ("publictest", "privatetest")}
SIZES = {"train": 28_709, "public_test": 3_589, "private_test": 3_589}  # of the whole FER2013, in the order of USAGES
TABLES = ("fer2013.csv", "icml_face_data.csv")
PARTS = ("train.csv", "test.csv")  # of the challenge: the Training rows without a Usage, and others without a label
BYTES = 600_000_000  # of a table: fer2013.csv has 300 million


def load(root, split):
    """One split as a ``FaceDataset``; its names are ``<Usage>_<number>``, the row in the official table, unless the
    copy has numbered its image files anew, as some on Kaggle."""
    root = locate(root)
    whole = read_once(f"fer2013 {identity(root)}", lambda: read(root), split, "FER2013")
    there = set(name_kinds(whole))
    missing = [kind for kind in SPLITS[split] if kind not in there]
    if missing:
        present = ", ".join(name for name, kinds in SPLITS.items() if there.issuperset(kinds))
        raise FerError(f"{root}: split {split!r} needs images named {' and '.join(missing)}_<row>, and there are none; "
                       f"it holds the splits {present}.")
    return stretch(whole, split, SPLITS[split])  # read() sorts by usage, so the two tests are one stretch, too


def locate(root):
    """The one thing to read: the folder that holds train/, or the one table or archive in it, or what was named."""
    root = existing(root, "FER2013 is not there; download it (Kaggle, msambare/fer2013), and give its folder or zip as "
                          "data_dir")
    with allowed(root):
        if root.is_file() or (root / "train").is_dir():
            return root
        # torchvision and the challenge's tar.gz have the tables in a folder fer2013/ of its own.
        places = [root / sub / name for names in (TABLES, PARTS) for sub in ("", "fer2013") for name in names]
        tables = [path for path in places if path.is_file()]
        archives = sorted(path for path in root.iterdir()
                          if path.name.lower().endswith((".zip", ".tar.gz")) and not of_systems(path.name))
    if tables and tables[0].name in TABLES:
        return tables[0]
    if not tables and len(archives) != 1:
        raise FerError(f"{root}: neither train/ and test/, nor {' or '.join((*TABLES, PARTS[0]))}, nor one zip or "
                       f"tar.gz ({len(archives)} zips); give the folder that holds train/, or the file itself. "
                       "FER2013 is on Kaggle, msambare/fer2013.")
    return (archives if len(archives) == 1 else tables)[0]  # an archive has the test images too, train.csv has not


def read(path):
    """(images, labels, names) of whatever form ``path`` has, sorted by split and official row."""
    with opened(path) as files:
        if path.suffix.lower() == ".csv":
            return read_rows(files[0][1], path, path.name)
        found = {name.split("/")[-1]: name for name, _ in reversed(files)}
        tables = [found[name] for name in (*TABLES, *PARTS) if name in found]
        if tables and not any(is_image(name) for name, _ in files):
            return read_rows(dict(files)[tables[0]], f"{path}: {tables[0]}", tables[0].split("/")[-1])
        return read_images(files, path)


def read_rows(read_bytes, where, file):
    """fer2013.csv and icml_face_data.csv, whose columns are emotion, pixels and Usage, or train.csv without Usage."""
    table = read_table(read_bytes(BYTES), where)
    header = next(table)
    wanted = ["emotion", "pixels"] + ["Usage"] * (file != PARTS[0] or "Usage" in header)
    if header == ["pixels"]:
        raise FerError(f"{where}: images without labels, as test.csv of the challenge; give fer2013.csv, "
                       "icml_face_data.csv or train.csv.")
    if any(header.count(name) != 1 for name in wanted):
        raise FerError(f"{where}: a table with the columns {', '.join(header)[:200]}; expected emotion, pixels and "
                       "Usage.")
    columns, images, labels, splits = [header.index(name) for name in wanted], [], [], []
    with progress(table, " rows") as bar, warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns where it stops at what is no number
        for row, cells in enumerate(bar):
            code, text, usage = [*(cells[column] for column in columns), USAGES[0]][:3]
            if re.fullmatch(r"[0-6](\.0*)?", code) is None:
                raise FerError(f"{where}: row {row}: emotion is {code[:40]!r}; expected 0 to 6.")
            if usage not in USAGES:
                raise FerError(f"{where}: row {row}: Usage is {usage[:40]!r}; expected {' or '.join(USAGES)}.")
            images.append(_pixels(text, row, where))
            labels.append(EMOTIONS.index(FER2013_CODES[int(code[0])]))  # the file counts from angry to neutral
            splits.append(USAGES.index(usage))
    if not images:
        raise FerError(f"{where}: 0 rows; expected emotion, pixels and Usage of each image.")
    labels, splits = np.array(labels, np.int64), np.array(splits)
    check_complete(labels, splits, USAGES, where)
    order = np.argsort(splits, kind="stable")
    names = np.array([f"{USAGES[split]}_{row:05d}" for row, split in enumerate(splits)])
    return np.stack(images)[order], labels[order], names[order]


def read_images(files, where):
    """Decode ``files``, pairs of a relative name and a function that reads it."""
    found = {}
    for name, _ in files:
        file = name.rpartition("/")[2]
        match = FILE.fullmatch(file)
        if match is None:
            if is_image(name) and file != "FER+vsFER.png":  # a figure in a clone of FER+, which may lie beside
                raise FerError(f"{where}: {name}: not named Training_, PublicTest_ or PrivateTest_<row>; the official "
                               "splits are read from these names, so keep the files as they were downloaded.")
            continue
        place = [kind.lower() for kind in USAGES].index(match[1].lower()), int(match[2])
        if place in found:
            raise FerError(f"{where}: {found[place][0]} and {name} are the same row of FER2013; keep the one that is "
                           "right.")
        found[place] = name, label_of_folder(name, where)
    if not found:
        raise FerError(f"{where}: no image in it; expected train/<emotion>/Training_<row>.png and so on.")
    places = sorted(found)
    names = [found[place][0] for place in places]
    images = decoded_alike(names, files, where, (48, 48), "FER2013's are 48x48")
    labels = np.array([found[place][1] for place in places], np.int64)
    check_complete(labels, np.array(places)[:, 0], USAGES, where)
    return images, labels, np.array([Path(name).stem for name in names])


def _pixels(text, row, where):
    """One row's 2,304 grey levels, as uint8 (48, 48)."""
    try:
        values = np.fromstring(text, np.int64, sep=" ")
    except (ValueError, OverflowError, DeprecationWarning) as error:
        raise FerError(f"{where}: row {row}: a pixel is not a whole number; expected 2304 from 0 to 255.") from error
    if len(values) != 48 * 48 or values.min() < 0 or values.max() > 255:
        span = f" from {values.min()} to {values.max()}" if len(values) else ""
        raise FerError(f"{where}: row {row}: {len(values)} pixels{span}; expected 2304 from 0 to 255.")
    return values.astype(np.uint8).reshape(48, 48)
