"""Small data sets as they lie on people's disks, archives and images, for all tests that read some."""

import bz2
import errno
import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_utils.datasets import load_dataset
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError

REAL = Path(__file__).resolve().parents[2] / "shared" / "datasets" / "fer2013"  # beside the repository, where it is
with_real_data = pytest.mark.skipif(not (REAL / "archive.zip").exists(), reason=f"FER2013 is not at {REAL}")


# What tests share


def for_each(check, cases):
    """``check(*case)`` for each case; all that fail are told together, each by its first part, which is its name."""
    failures = []
    for case in cases:
        try:
            check(*case)
        except (Exception, pytest.fail.Exception) as error:
            failures.append(f"{case[0]}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)


def kept():
    """What lies in the cache."""
    home = Path(os.environ["FER_UTILS_CACHE"])
    return sorted(home.iterdir()) if home.exists() else []


def refused(name, root, *texts, split="train", **options):
    """Loading raises a ``FerError`` in which each text and the place stand, and nothing is left in the cache."""
    before = kept()
    with pytest.raises(FerError) as caught:
        load_dataset(name, root, split, **options)
    said = str(caught.value)
    missing = [text for text in (*texts, str(root)) if text not in said]
    assert not missing and len(said) < len(str(root)) + 600, f"{missing} not in: {said}"
    assert kept() == before
    return said


def same(one, other):
    return one.fingerprint == other.fingerprint and one.names.tolist() == other.names.tolist()


def forbidding(what, top):
    """The function ``what``, but that it raises PermissionError for ``top`` and all that lies below it."""
    def forbid(path, *arguments, **options):
        if Path(path).is_relative_to(top):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return what(path, *arguments, **options)
    return forbid


# Images


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def encoded(image, kind="PNG", mode=None, **options):
    """An image or its pixels as the bytes of a file."""
    content, image = io.BytesIO(), Image.fromarray(image) if isinstance(image, np.ndarray) else image
    (image.convert(mode) if mode else image).save(content, kind, **options)
    return content.getvalue()


def jpeg(grey, size=(100, 100), **options):
    """A face as a colour JPEG whose three channels differ, so that their order is seen."""
    return encoded(Image.fromarray(np.dstack([grey, grey // 2, 255 - grey])).resize(size), "JPEG", **options)


def png_of(width, height):
    """A PNG that says how large it is, and holds next to nothing."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))


# Files and archives


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def archived(form, members):
    """A zip, tar, tar.gz or tar.bz2, as ``form`` ends, of (name, content), always the same bytes. Content None is a
    folder, a text the place to which a link leads, and a ``TarInfo`` is put in as it is."""
    buffer = io.BytesIO()
    if form.endswith("zip"):
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in members:
                member = zipfile.ZipInfo(name + "/" * (content is None))  # of a fixed date
                member.compress_type = zipfile.ZIP_DEFLATED
                member.external_attr = 0o120777 << 16 if isinstance(content, str) else 0
                archive.writestr(member, content or b"")
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
            elif member is not content:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if member.size else None)
    compress = {"gz": partial(gzip.compress, mtime=0), "bz2": bz2.compress}.get(form.split(".")[-1], bytes)
    return compress(buffer.getvalue())


def write_archive(path, members):
    return put(path, archived(path.name, members))


def members_of(root):
    """(name, content) of all that lies below a folder; the content of a folder is None."""
    return [(path.relative_to(root).as_posix(), None if path.is_dir() else path.read_bytes())
            for path in sorted(root.rglob("*"))]


def pack(root, path, prefix="", reverse=False):
    """The folder ``root`` as an archive, its folders as members of their own."""
    members = [(prefix + name, content) for name, content in members_of(root)]
    return write_archive(path, members[::-1] if reverse else members)


# FER2013: Kaggle's folders, and the challenge's table

CODES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # as the challenge numbered them
FOLDERS = sorted(CODES)
PER_CLASS = {"Training": 3, "PublicTest": 2, "PrivateTest": 1}
HEADERS = {"fer2013.csv": "emotion,pixels,Usage", "icml_face_data.csv": "emotion, Usage, pixels",
           "train.csv": "emotion,pixels"}


def write_fer2013(root, per_class=PER_CLASS):
    """A small FER2013 in the layout of the Kaggle download, its rows spread over the classes as in the original."""
    row = 0
    for usage, number in per_class.items():
        for turn in range(number):
            for name in FOLDERS[turn:] + FOLDERS[:turn]:
                kind, ending = ("JPEG", "jpg") if row % 10 == 3 else ("PNG", "png")  # Kaggle's present version is JPEG
                path = root / ("train" if usage == "Training" else "test") / name / f"{usage}_{row}.{ending}"
                put(path, encoded(noise(48, 48, seed=row), kind))
                row += 1
    return root


def table_rows(usages=("Training", "PublicTest", "PrivateTest")):
    """[code, 2304 grey levels, usage] of every class in every split, the classes in no simple order."""
    pixels = noise(7 * len(usages), 2304)
    return [[str(3 * row % 7), " ".join(map(str, levels)), usages[row // 7]] for row, levels in enumerate(pixels)]


def table(rows, name="fer2013.csv"):
    """The rows under the header of the file of this name."""
    lines = [HEADERS[name]]
    for code, pixels, usage in rows:
        cells = {"emotion": code, "pixels": pixels, "Usage": usage}
        lines.append(",".join(cells[column.strip()] for column in HEADERS[name].split(",")))
    return "\n".join(lines) + "\n"


def write_faces(root, rows):
    """The same faces in Kaggle's folders."""
    for row, (code, pixels, usage) in enumerate(rows):
        folder = root / ("train" if usage == "Training" else "test") / CODES[int(code)]
        put(folder / f"{usage}_{row:05d}.png", encoded(np.array(pixels.split(), np.uint8).reshape(48, 48)))
    return root


# RAF-DB, which may not be passed on: exact replicas of its two layouts

RAFDB_COUNTS = {"train": (2, 3, 1, 4, 2, 1, 3), "test": (1, 1, 2, 1, 1, 2, 1)}  # uneven, so no mix-up goes unseen
RAFDB_LIST = "EmoLabel/list_patition_label.txt"
RAFDB_CODES = {"surprise": 1, "fear": 2, "disgust": 3, "happiness": 4, "sadness": 5, "anger": 6, "neutral": 7}


def rafdb_faces(counts=RAFDB_COUNTS, **options):
    """(split, number, class, JPEG) of each face, in the order in which they must come out."""
    found = []
    for split, of_each in counts.items():
        for number, label in enumerate(np.repeat(np.arange(7), of_each), start=1):
            grey = np.kron(noise(6, 6, seed=1000 * len(split) + number), np.ones((8, 8), np.uint8))
            found.append((split, number, int(label), jpeg(grey, **options)))
    return found


def code(label):
    return RAFDB_CODES[EMOTIONS[label]]


def write_official(root, faces):
    for split, number, _, content in faces:
        put(root / "basic" / "Image" / "aligned" / f"{split}_{number:04d}_aligned.jpg", content)
    put(root / "basic" / RAFDB_LIST, "".join(f"{split}_{number:04d}.jpg {code(label)}\n"
                                             for split, number, label, _ in faces))
    return root


def write_mirror(root, faces):
    for split in RAFDB_COUNTS:
        lines = ["image,label\n"]
        for _, number, label, content in (face for face in faces if face[0] == split):
            name = f"{split}_{number:04d}_aligned.jpg"
            put(root / "DATASET" / split / str(code(label)) / name, content)
            lines.append(f"{name},{code(label)}\n")
        put(root / f"{split}_labels.csv", "".join(lines))
    return root


# A folder of one's own


def write_own(root, folders=EMOTIONS, n=6, shape=(48, 48), splits=("",)):
    """``n`` PNG files (whose pixels come back exactly) for each folder of each split."""
    for turn, split in enumerate(splits):
        for label, folder in enumerate(folders):
            for k in range(n):
                put(root / split / folder / f"{k:02d}.png", encoded(noise(*shape, seed=1000 * turn + 10 * label + k)))
    return root

