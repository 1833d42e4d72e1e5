"""RAF-DB, basic emotions, aligned faces: as its owners pass it on, and as the Kaggle mirror lays it out.

RAF-DB (Li, Deng and Du, CVPR 2017) is given for research, on request, to those who sign its terms; it may not be passed
on, and so it can neither be shipped nor fetched here.
"""

import re
from collections import defaultdict

import numpy as np

from ..emotions import EMOTIONS, RAFDB_CODES, label_of
from ..errors import FerError
from ..paper import TRAIN_COUNTS
from .cache import read_once
from .face_dataset import check_complete, stretch
from .files import allowed, decoded_alike, existing, identity, is_image, opened, read_table

SPLITS = ("train", "test")
PAPER_COUNTS = TRAIN_COUNTS["rafdb"]  # Table 2: training faces per class, in the order of EMOTIONS
TEST_COUNTS = (162, 160, 74, 1185, 680, 478, 329)  # of the published test split, which the paper doesn't print
LISTS = ("list_patition_label.txt", "list_partition_label.txt")  # the owners' own spelling, and the usual one
FACE = re.compile(r"(train|test)_(\d{1,9})(?:_aligned)?\.\w+", re.IGNORECASE)
SIDE = 100  # pixels of an aligned face
FACES = 50_000  # RAF-DB has 15,339; memory for more is not asked for
LABELS = 10_000_000  # bytes of a label file
HELP = ("ask its owners for it (whdeng.cn/RAF) and give the folder or archive that holds basic/EmoLabel and "
        "basic/Image/aligned, or a mirror with DATASET/train/1 to 7")


def load(root, split):
    """One split as a ``FaceDataset`` of colour images (N, 100, 100, 3); its names are ``<split>_<number>``."""
    root = existing(root, f"RAF-DB is not there; {HELP}")
    return stretch(read_once(f"rafdb {identity(root)}", lambda: read(root), split, "RAF-DB"), split, split)


def read(root):
    """(images, labels, names) of either layout, training faces first, each split in the order of its numbers."""
    with opened(root) as files:
        lists = [(name, read_bytes) for name, read_bytes in files
                 if name.rpartition("/")[2] in LISTS and "compound" not in name.split("/")]  # that has eleven emotions
        found = _from_list(lists[0], dict(files), root) if lists else _from_folders(files, root)
        faces = sorted(found, key=lambda face: (SPLITS.index(face[0]), face[1]))
        splits = np.array([SPLITS.index(split) for split, _ in faces], np.int64)
        training, test = np.bincount(splits, minlength=2)
        if not training or not test:
            raise FerError(f"{root}: {training} training and {test} test faces; {HELP}.")
        if len(faces) > FACES:
            raise FerError(f"{root}: {len(faces):,} faces, and RAF-DB has 15,339. Is it the right one?")
        images = decoded_alike([found[face][1] for face in faces], files, root, (SIDE, SIDE, 3),
                               f"RAF-DB's aligned faces are {SIDE}x{SIDE}. Not the original images, please")
    labels = np.array([found[face][0] for face in faces], np.int64)
    _check(labels, splits, root)
    return images, labels, np.array([f"{split}_{number:05d}" for split, number in faces])


def _from_list(listed, files, where):
    """The owners' layout, or the parts of it that people keep: a line ``train_00001.jpg 5`` for each face, and
    ``train_00001_aligned.jpg`` somewhere."""
    name, read_bytes = listed
    with allowed(f"{where}: {name}", "not a text file", "take it from the archive again", UnicodeError):
        lines = read_bytes(LABELS).decode("utf-8-sig").splitlines()
    images, found = defaultdict(list), {}
    for file in filter(is_image, files):
        match = FACE.fullmatch(file.rpartition("/")[2])
        if match and not {"compound", "original"} & set(file.lower().split("/")):
            images[match[1].lower(), int(match[2])].append(file)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"(train|test)_(\d{1,9})\.jpg\s+(\S+)", line.strip())
        if match is None:
            raise FerError(f"{where}: {name}, line {number}: {line[:60]!r}; expected for example 'train_00001.jpg 5'.")
        split, digits, code = match.groups()
        face = split, int(digits)
        if face in found:
            raise FerError(f"{where}: {name}, line {number}: {split}_{digits}.jpg is listed twice; keep one line.")
        if len(images[face]) != 1:
            raise FerError(f"{where}: {name}, line {number}: " + (
                f"{' and '.join(images[face][:2])} are the same face; keep one." if images[face] else
                f"there is no {split}_{digits}_aligned.jpg; unpack the aligned images completely."))
        found[face] = _label(code, f"{where}: {name}, line {number}"), images[face][0]
    _check_listed([file for same in images.values() for file in same], {file for _, file in found.values()}, name,
                  where)
    return found


def _from_folders(files, where):
    """The mirrors' layout: ``train/5/train_00001_aligned.jpg``, or ``5/…``, with codes or emotions as folders; the CSV
    files are checked against them."""
    found = {}
    for name, _ in files:
        if not is_image(name):
            continue
        *above, folder, file = ["", *name.split("/")]
        match = FACE.fullmatch(file)
        splits = [part.lower() for part in above if part.lower() in SPLITS]
        if match is None or not folder or splits[-1:] not in ([], [match[1].lower()]):
            raise FerError(f"{where}: {name} is neither in RAF-DB's own layout nor in the mirror's; {HELP}.")
        face = match[1].lower(), int(match[2])
        if face in found:
            raise FerError(f"{where}: {name} and {found[face][1]} are the same face; keep one.")
        found[face] = _label(folder, f"{where}: {name}"), name
    for name, read_bytes in files:
        match = re.search(r"(?:^|/)(train|test)_labels\.csv$", name)
        if match:
            _compare(match[1], name, read_bytes, found, where)
    return found


def _compare(split, name, read_bytes, found, where):
    """A face whose folder and whose line in the CSV file disagree is an error: one of them is wrong."""
    rows, listed = read_table(read_bytes(LABELS), f"{where}: {name}"), set()
    header = next(rows)
    if header.count("image") != 1 or header.count("label") != 1:
        raise FerError(f"{where}: {name}: not a table with the columns image and label; download it again.")
    for row in rows:
        image, code = row[header.index("image")], row[header.index("label")]
        match = re.fullmatch(rf"{split}_(\d{{1,9}})(?:_aligned)?\.\w+", image)
        label, file = found.get((split, int(match[1])) if match else None, (None, None))
        if file is None:
            raise FerError(f"{where}: {name}: {image[:60]!r} is listed, and there is no such image; download it again.")
        if label != _label(code, f"{where}: {name}: {image}"):
            raise FerError(f"{where}: {name} gives {image} the label {code}, and it lies in {file}: one is wrong; "
                           "download both again.")
        listed.add(file)
    _check_listed([file for face, (_, file) in found.items() if face[0] == split], listed, name, where)


def _check_listed(images, listed, name, where):
    """An image that the label file leaves out is a stray, or the label file was cut off."""
    for image in images:
        if image not in listed:
            raise FerError(f"{where}: {image} is not listed in {name}; remove it, or take the whole list from the "
                           "archive again.")


def _label(code, where):
    """The class index of RAF-DB's own code, 1 to 7, or of an emotion."""
    if label_of(code) is not None:
        return label_of(code)
    if code not in RAFDB_CODES:
        raise FerError(f"{where}: label {code!r}; RAF-DB's are 1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, "
                       "6 anger, 7 neutral.")
    return EMOTIONS.index(RAFDB_CODES[code])


def _check(labels, splits, where):
    check_complete(labels, splits, SPLITS, where)
    for index, (known, of) in enumerate(((PAPER_COUNTS, "Table 2"), (TEST_COUNTS, "the published split"))):
        counts = np.bincount(labels[splits == index], minlength=len(EMOTIONS))
        if counts.sum() == sum(known) and tuple(counts) != known:
            raise FerError(f"{where}: {counts.sum()} {SPLITS[index]} faces, but {counts.tolist()} of each emotion "
                           f"instead of the {list(known)} of {of}: labels are mixed up; download it again.")
