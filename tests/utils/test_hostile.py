"""Whatever a stranger may send: each input loads or raises ``FerError``, and nothing is left or written elsewhere.

Hypothesis starts from small whole data sets in every layout, and damages their files, their list of files and the
bytes of the archive. The suite tries 300 of them; ``make stress`` the same with 10,000, and bombs in their full size.
"""

import bz2
import errno
import gzip
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import tracemalloc
import warnings
import zipfile
import zlib
from collections import Counter
from contextlib import nullcontext
from functools import cache as once
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_utils.datasets import FaceDataset, files, folder, load_dataset, rafdb
from fer_utils.errors import FerError

ADJECTIVES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # in the order of FER2013's codes
stress = pytest.mark.stress
resource = pytest.importorskip("resource")  # which Windows has not


# Whole data sets, as small as they can be: lists of (name, content)


def encoded(seed, size=(48, 48), kind="PNG", mode="L", **options):
    shape = size if mode == "L" else (*size, 3)
    pixels = np.random.default_rng(seed).integers(0, 4, shape, np.uint8) * 60
    content = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(content, kind, **options)
    return content.getvalue()


def fer2013_images():
    return [(f"{folder}/{ADJECTIVES[k]}/{usage}_{7 * turn + k}.{'jpg' if k == 3 else 'png'}",
             encoded(7 * turn + k, kind="JPEG" if k == 3 else "PNG"))
            for turn, (folder, usage) in enumerate((("train", "Training"), ("test", "PublicTest"))) for k in range(7)]


def fer2013_table(name):
    header = {"fer2013.csv": "emotion,pixels,Usage", "icml_face_data.csv": "emotion, Usage, pixels",
              "train.csv": "emotion,pixels"}[name]
    lines = [header]
    for row in range(14):
        cells = {"emotion": str(row % 7), "Usage": ("Training", "PublicTest")[row // 7],
                 "pixels": " ".join(map(str, np.random.default_rng(row).integers(0, 10, 2304)))}
        lines.append(",".join(cells[column.strip()] for column in header.split(",")))
    return [(name, ("\n".join(lines) + "\n").encode())]


def rafdb_faces(layout):
    faces = [(split, 1 + k, code, encoded(10 * turn + k, (100, 100), "JPEG", "RGB", quality=5))
             for turn, split in enumerate(rafdb.SPLITS) for k, code in enumerate((1, 2, 3, 4, 5, 6, 7))]
    if layout == "official":
        listed = "".join(f"{split}_{k:05d}.jpg {code}\n" for split, k, code, _ in faces)
        return [("basic/EmoLabel/list_patition_label.txt", listed.encode()),
                *((f"basic/Image/aligned/{split}_{k:05d}_aligned.jpg", face) for split, k, _, face in faces)]
    tables = [(f"{split}_labels.csv", ("image,label\n" + "".join(
        f"{of}_{k:05d}_aligned.jpg,{code}\n" for of, k, code, _ in faces if of == split)).encode())
        for split in rafdb.SPLITS]
    return tables + [(f"DATASET/{split}/{code}/{split}_{k:05d}_aligned.jpg", face) for split, k, code, face in faces]


def own_folder():
    kinds = [("png", "PNG", "L"), ("jpg", "JPEG", "RGB"), ("png", "PNG", "RGBA"), ("gif", "GIF", "P"),
             ("bmp", "BMP", "RGB"), ("webp", "WEBP", "RGB"), ("jpeg", "JPEG", "L")]
    return [(f"{split}/{ADJECTIVES[k]}/{turn}.{ending}", encoded(10 * turn + k, (20 + k, 30 - k), kind, mode))
            for turn, split in enumerate(folder.SPLITS) for k, (ending, kind, mode) in enumerate(kinds)]


LAYOUTS = {"fer2013": ("fer2013", fer2013_images), "fer2013.csv": ("fer2013", lambda: fer2013_table("fer2013.csv")),
           "icml_face_data.csv": ("fer2013", lambda: fer2013_table("icml_face_data.csv")),
           "train.csv": ("fer2013", lambda: fer2013_table("train.csv")),
           "RAF-DB": ("rafdb", lambda: rafdb_faces("official")),
           "RAF-DB mirror": ("rafdb", lambda: rafdb_faces("mirror")),
           "folder": ("folder", own_folder)}
SPLITS = {"fer2013": ("train", "train", "public_test", "test"), "rafdb": rafdb.SPLITS, "folder": folder.SPLITS}
SHAPES = {"fer2013": (48, 48), "rafdb": (100, 100, 3)}


@once
def whole(layout):
    return tuple(LAYOUTS[layout][1]())


# Damage


def png_of(width, height):
    """A PNG that says how large it is, and holds next to nothing."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))


@once
def odd_images():
    deep, animated, exif = io.BytesIO(), io.BytesIO(), Image.Exif()
    Image.fromarray(np.full((48, 48), 40_000, np.uint16)).save(deep, "PNG")
    frames = [Image.new("RGB", (48, 48), colour) for colour in ("red", "blue")]
    frames[0].save(animated, "WEBP", save_all=True, append_images=frames[1:])
    exif[0x0112] = 6
    return (b"", b"no image", deep.getvalue(), animated.getvalue(), encoded(1, (1, 1)),
            encoded(1, (48, 48), "GIF", "P"), encoded(1, (100, 100), "JPEG", "CMYK"), 
            encoded(1, (100, 60), "JPEG", "RGB", exif=exif),
            encoded(1, (48, 48), "TIFF"), encoded(1, (48, 48), "PNG", "1"), encoded(1, (48, 48), "PNG", "LA"),
            encoded(1, (300, 17), "PNG", "RGB"), png_of(30_000, 30_000), png_of(0, 9), encoded(1)[:300])


NAMES = ("/absolute.png", "../outside.png", "a/../../outside.png", "C:\\outside.png", "train/happy/image.tif", ".png",
         "train/happy/._1.png", "train/contempt/Training_9.png", "train/happy/Training_99.png", "x/" * 300 + "1.png",
         "train/happy/\udce9.png", "train/happy/\u0665.jpg", "__MACOSX/x.png", "train.csv", "test.csv", "", "a" * 250,
         "basic/EmoLabel/list_patition_label.txt", "train_labels.csv", "notes.txt")
CELLS = ("NaN", "-1", "7", "8", "", " ", "1.5", "inf", "0", "1", "256", "1e3", "\0", '"', ",", "é", "\u0665", "9" * 400,
         "Training", "PrivateTest", "train_00001.jpg", "train_00001_aligned.jpg", "1 " * 2303, "1 " * 2305)
BYTES = st.integers(1, 600).map(lambda n: np.random.default_rng(n).bytes(n)) | st.sampled_from(
    [b"\0", b"\xff", b",", b"\n", b'"', b" ", b"-", b"9", bytes(512), b"PK\1\2", b"PK\3\4", b"\xff\xff\xff\xff"])


@st.composite
def damaged(draw, content):
    """One edit of bytes: at the start, at the end or anywhere."""
    if not content:
        return draw(BYTES)
    size = len(content)
    at = draw(st.integers(0, size - 1) | st.integers(0, min(300, size - 1)) | st.integers(max(0, size - 700), size - 1))
    length = draw(st.sampled_from([1, 2, 8, 64, 600]))
    edit = draw(st.sampled_from(["flip", "flip", "cut", "delete", "insert", "double", "overwrite", "swap"]))
    if edit == "flip":
        return content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1:]
    if edit == "cut":
        return content[:at]
    if edit == "swap":
        other = draw(st.integers(0, size - 1))
        at, other = sorted((at, other))
        length = min(length, other - at)
        return (content[:at] + content[other:other + length] + content[at + length:other] + content[at:at + length]
                + content[other + length:])
    new = {"delete": b"", "double": content[at:at + length] * 2}.get(edit)
    new = draw(BYTES) if new is None else new
    return content[:at] + new + content[at + (0 if edit == "insert" else length):]


@st.composite
def edited(draw, content):
    """One edit of a table or a list, as editors and people make them."""
    text = content.decode("utf-8", "replace")
    edit = draw(st.sampled_from(["cell", "cell", "cell", "line", "twice", "shuffle", "BOM", "CRLF", "quotes", "end",
                                 "header", "encoding"]))
    lines = text.split("\n")
    at = draw(st.integers(0, max(0, len(lines) - 2)))
    if edit == "cell":
        parts = re.split("([, ])", lines[at])
        place = draw(st.integers(0, min(len(parts), 9) - 1)) * draw(st.sampled_from([1, -1]))
        parts[place] = draw(st.sampled_from(CELLS))
        lines[at] = "".join(parts)
    elif edit == "line":
        del lines[at]
    elif edit == "twice":
        lines.insert(draw(st.integers(0, len(lines))), lines[at])
    elif edit == "shuffle":
        lines[1:] = lines[:0:-1]
    elif edit == "header":
        lines[0] = draw(st.sampled_from(["", "pixels", "emotion,pixels", "image,label", lines[0] + ",emotion"]))
    text = "\n".join(lines)
    text = {"BOM": "\ufeff" + text, "CRLF": text.replace("\n", "\r\n"), "end": text.rstrip("\n"),
            "quotes": re.sub("[^,\n]+", lambda cell: f'"{cell[0]}"', text)}.get(edit, text)
    return text.encode("utf-16" if edit == "encoding" else "utf-8", "surrogateescape")


@st.composite
def hostile(draw, layout):
    """What ``laid_out`` puts onto the disk: a whole data set of this layout, damaged."""
    members, links = list(whole(layout)), []
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 2, 4]))):
        at = draw(st.integers(0, len(members) - 1)) if members else None
        edit = draw(st.sampled_from(["content", "content", "drop", "double", "name", "exchange", "odd", "add", "link"]))
        if at is None or edit == "add":
            members.insert(at or 0, (draw(st.sampled_from(NAMES)), draw(st.sampled_from(odd_images()))))
            continue
        name, content = members[at]
        text = name.endswith((".csv", ".txt"))
        if edit == "content" or edit == "odd" and text:
            members[at] = name, draw(edited(content) if text and draw(st.integers(0, 2)) else damaged(content))
        elif edit == "odd":
            members[at] = name, draw(st.sampled_from(odd_images()))
        elif edit == "drop":
            del members[at]
        elif edit == "double":
            members.insert(draw(st.integers(0, len(members))), (name, content))
        elif edit == "name":
            members[at] = draw(st.sampled_from(NAMES) | st.just(name.upper()) | st.just("./" + name)), content
        elif edit == "exchange":
            other = draw(st.integers(0, len(members) - 1))
            members[at], members[other] = (name, members[other][1]), (members[other][0], content)
        else:
            links.append((draw(st.sampled_from(NAMES) | st.just(name + ".png")),
                          draw(st.sampled_from(["/etc/passwd", "..", ".", "nowhere", name, "train", "fifo"]))))
    forms = ["folder", "zip", "stored.zip", "tar", "tar.gz", "tar.bz2"] + ["file"] * 4 * layout.endswith(".csv")
    form, content = draw(st.sampled_from(forms)), None
    if form != "folder":
        content = packed(form, members, links) if form != "file" else members[0][1] if members else b""
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 3]))):
            content = draw(damaged(content))
    return Case(form, members, links, content)


class Case(NamedTuple):
    form: str
    members: list  # (name, content)
    links: list  # (name, target)
    content: bytes | None  # of the archive or the table

    def __repr__(self):  # the contents are long, and follow from the number of the example
        size = f", {len(self.content)} bytes" if self.content is not None else ""
        return f"<{self.form}{size} of {[(name, len(content)) for name, content in self.members]}, {self.links}>"


def packed(form, members, links):
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile does not like two members of one name
        if form.endswith("zip"):
            method = zipfile.ZIP_STORED if form == "stored.zip" else zipfile.ZIP_DEFLATED
            with zipfile.ZipFile(buffer, "w", method) as archive:
                for name, content in [*members, *links]:
                    member = zipfile.ZipInfo(name.encode(errors="replace").decode() or "_")  # of a fixed date
                    member.compress_type, member.external_attr = method, (name, content) in links and 0o120777 << 16
                    archive.writestr(member, os.fsencode(content) if isinstance(content, str) else content)
            return buffer.getvalue()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, content in members:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            for name, target in links:
                member = tarfile.TarInfo(name)
                member.type, member.linkname = tarfile.SYMTYPE if target != "fifo" else tarfile.FIFOTYPE, target
                archive.addfile(member)
    content = buffer.getvalue()
    return {"tar": bytes, "tar.gz": lambda b: gzip.compress(b, 1, mtime=0), "tar.bz2": bz2.compress}[form](content)


def laid_out(base, layout, form, members, links, content):
    """Write the input below ``base``; returns what a reader would name."""
    if form != "folder":
        path = base / (layout if form == "file" else f"input.{form}")
        path.write_bytes(content)
        return path
    root = base / "input"
    root.mkdir()
    for name, content in members:
        try:
            path = root / name.lstrip("/").replace("..", "__")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except (OSError, ValueError):  # such a name, or a second of that name, cannot stand on this disk
            pass
    for name, target in links:
        try:
            path = root / name.lstrip("/").replace("..", "__")
            path.parent.mkdir(parents=True, exist_ok=True)
            os.mkfifo(path) if target == "fifo" else path.symlink_to(target if target != "/etc/passwd" else base)
        except (OSError, ValueError):
            pass
    return root


# The proof


def state(base):
    return {path: (path.lstat().st_mode, path.lstat().st_size, path.lstat().st_mtime_ns)
            for path in base.rglob("*") if "cache" not in path.relative_to(base).parts[:1]}


def whole_entries(cache):
    """The number of entries in a cache in which nothing else lies."""
    found = list(cache.iterdir()) if cache.exists() else []
    for entry in found:
        assert re.fullmatch("[0-9a-f]{24}", entry.name), f"{entry.name} was left behind"
        assert {file.name for file in entry.iterdir()} == {"images.npy", "labels.npy", "names.npy", "about.json"}
        json.loads((entry / "about.json").read_text(encoding="utf-8", errors="surrogateescape"))
    return len(found)


def outcome(name, root, split):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module="PIL")  # Pillow warns of much, and then reads on or does not
        warnings.filterwarnings("ignore", message=".*: no (train|test) image of ")
        try:
            return load_dataset(name, root, split)
        except FerError as error:
            return error


def shown(error):
    return str(error).encode(errors="replace").decode()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("examples", [300, pytest.param(10_000, marks=stress)])
def test_each_input_loads_or_is_refused_and_leaves_nothing_behind(tmp_path, monkeypatch, layout, examples):
    name, seen, before_all = LAYOUTS[layout][0], Counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(max_examples=-(-examples // len(LAYOUTS)), derandomize=True, database=None, deadline=None,
              suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink])
    @given(hostile(layout), st.sampled_from(SPLITS[name]) if layout != "train.csv" else st.just("train"))
    def check(case, split):
        base = tmp_path / "base"
        shutil.rmtree(base, ignore_errors=True)
        (base / "tmp").mkdir(parents=True)
        monkeypatch.setenv("FER_UTILS_CACHE", str(base / "cache"))
        monkeypatch.setenv("TMPDIR", str(base / "tmp"))
        monkeypatch.setattr(tempfile, "tempdir", str(base / "tmp"))
        root = laid_out(base, layout, *case)
        before = state(base)
        result = outcome(name, root, split)
        assert state(base) == before
        if isinstance(result, FerError):
            assert str(root) in str(result) and len(str(result)) < 1500, shown(result)
            assert whole_entries(base / "cache") <= 1
        else:
            assert isinstance(result, FaceDataset) and len(set(result.names.tolist())) == len(result)
            assert result.images.shape[1:] == SHAPES.get(name, result.images.shape[1:])
            assert 16 <= result.images.shape[1] == result.images.shape[2] <= 256
            assert whole_entries(base / "cache") == 1
            assert outcome(name, root, split).fingerprint == result.fingerprint
            assert whole_entries(base / "cache") == 1
        seen[type(result).__name__] += 1

    check()
    assert sum(seen.values()) >= examples // len(LAYOUTS)
    assert seen["FaceDataset"] > 0.03 * sum(seen.values()) and seen["FerError"] > 0.3 * sum(seen.values()), seen
    print(f"{layout}: {dict(seen)}")
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_all) * 1024
    assert growth < 1_000_000_000


# Floods and bombs: with lowered limits in this process, and in full size, with the memory measured, in one of its own


def zip_of_many(path, count):
    """A zip of ``count`` empty files, without the memory that zipfile needs to write them."""
    local = [struct.pack("<4s5H3L2H8s", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, 8, 0, b"%08d" % k) for k in range(count)]
    central = [struct.pack("<4s6H3L5H2L8s", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 8, 0, 0, 0, 0, 0, 38 * k,
                           b"%08d" % k) for k in range(count)]
    start, size = 38 * count, 54 * count
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    wide += struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, min(count, 65535), min(count, 65535), size, start, 0)
    path.write_bytes(b"".join([*local, *central, wide if count > 65535 else b"", end]))
    return path


def zeros(count, length=10_000_000):
    """Pieces of a deflate stream of ``count * length`` zeros."""
    packer = zlib.compressobj(9, wbits=-15)
    packer.compress(b"")
    piece = packer.compress(bytes(length)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(length)) + packer.flush(zlib.Z_FULL_FLUSH)
    return [piece, *[again] * (count - 1), b"\3\0"]


def gzip_of(path, blocks):
    """A gzip file of blocks: (bytes before, number of 10 MB of zeros after them); its checksum is wrong."""
    with path.open("wb") as file:
        file.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")
        for before, count in blocks:
            packer = zlib.compressobj(9, wbits=-15)
            file.write(packer.compress(before) + packer.flush(zlib.Z_FULL_FLUSH))
            file.writelines(zeros(count)[:-1] if count else [])
        file.write(b"\3\0" + bytes(8))
    return path


def zip_bomb(path, name, count, said=None):
    """A zip whose one member unpacks to ``count`` times 10 MB, and says so, or says less."""
    stream, said, name = b"".join(zeros(count)), said or 10_000_000 * count, name.encode()
    wide = struct.pack("<2HQQ", 1, 16, said, len(stream))
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 8, 0, 33, 0, 2**32 - 1, 2**32 - 1, len(name), 20) + name + wide
    central = struct.pack("<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 8, 0, 33, 0, 2**32 - 1, 2**32 - 1, len(name), 20, 0, 0,
                          0, 0, 0) + name + wide
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local) + len(stream), 0)
    path.write_bytes(local + stream + central + end)
    return path


def table_of_zeros(path, count):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("fer2013.csv", "w") as file:
        for _ in range(count):
            file.write(b"0" * 10_000_000)
    return path


def tar_header(name, size, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def tar_of_zeros(path, count, blocks):
    """A tar.gz of ``count`` files, each of ``blocks`` times 10 MB."""
    size = blocks * 10_000_000
    return gzip_of(path, [(bytes(-size % 512 * (k > 0)) + tar_header(f"{k}.png", size), blocks) for k in range(count)])


def overlapping_zip(path, same):
    """A hundred entries that share the bytes of one; Fifield's bomb of 42 kB and 5 GB is made like that."""
    stream, name = b"".join(zeros(1, 1_000_000)), "train/happy/Training_{:03}.png".format
    sizes = struct.pack("<3L", 0, len(stream), 1_000_000)
    data = struct.pack("<4s5H12s2H", b"PK\3\4", 20, 0, 8, 0, 33, sizes, len(name(0)), 0) + name(0).encode() + stream
    entries = [struct.pack("<4s6H12s5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, sizes, len(name(0)), 0, 0, 0, 0, 0, 0)
               + name(0 if same else k).encode() for k in range(100)]
    directory = b"".join(entries)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 100, 100, len(directory), len(data), 0)
    path.write_bytes(data + directory + end)
    return path


# Each writes a bomb, ``full`` or a hundredth of it, and says what the message must hold.
BOMBS = {
    "a million files in a zip": lambda to, n: (zip_of_many(to / "x.zip", 10_000 * n), "over .* files"),
    "a million files in a tar.gz": lambda to, n: (
        gzip_of(to / "x.tar.gz", [(tar_header("a.png", 0) * (10_000 * n), 0)]), "over .* files"),
    "a zip of 10 GB": lambda to, n: (zip_bomb(to / "x.zip", "train/happy/Training_1.png", 10 * n), "bytes unpacked"),
    "a zip of 10 GB that says 100 bytes": lambda to, n: (
        zip_bomb(to / "x.zip", "train/happy/Training_1.png", 10 * n, 100), "cannot be read"),
    "a table of 10 GB in a zip": lambda to, n: (zip_bomb(to / "x.zip", "fer2013.csv", 10 * n), "bytes unpacked"),
    "a table of zeros as long as is allowed": lambda to, n: (table_of_zeros(to / "x.zip", n // 2 + 5), "as a CSV file"),
    "a tar.gz of 10 GB": lambda to, n: (
        gzip_of(to / "x.tar.gz", [(tar_header("a.png", 10**8 * n), 10 * n)]), "bytes unpacked"),
    "a tar.gz of 11 GB in files of an allowed size": lambda to, n: (
        tar_of_zeros(to / "x.tar.gz", *((6, 190) if n == 100 else (11, 1))), "bytes unpacked"),
    "10 GB of zeros as a tar.gz": lambda to, n: (gzip_of(to / "x.tar.gz", [(b"", 10 * n)]), "no image|not a whole"),
    "a tar.gz with a name of 10 GB": lambda to, n: (
        gzip_of(to / "x.tar.gz", [(tar_header("././@LongLink", 10**8 * n, tarfile.GNUTYPE_LONGNAME), 10 * n)]),
        "headers are too long"),
    "a tar.gz with attributes of 10 GB": lambda to, n: (
        gzip_of(to / "x.tar.gz", [(tar_header("x", 10**8 * n, tarfile.XHDTYPE), 10 * n)]), "headers are too long"),
    "a zip whose files overlap": lambda to, n: (overlapping_zip(to / "x.zip", False), "x.zip: .*cannot be read"),
    "a zip whose files are one": lambda to, n: (overlapping_zip(to / "x.zip", True), "two files of one name"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_bomb_is_refused_at_the_limits_times_a_hundredth(tmp_path, cache, monkeypatch, bomb):
    monkeypatch.setattr(files, "MEMBERS", 5_000)
    monkeypatch.setattr(files, "BYTES", 60_000_000)
    monkeypatch.setattr(files, "TOTAL", 100_000_000)
    path, message = BOMBS[bomb](tmp_path, 1)
    tracemalloc.start()
    try:
        with pytest.raises(FerError, match=message) as caught:
            load_dataset("fer2013", path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (250_000_000 if "as long as" in bomb else 12_000_000), f"{peak:,} bytes: {caught.value}"
    assert set(tmp_path.iterdir()) <= {path, cache} and whole_entries(cache) == 0


MEASURED = """
import re, sys, time
from fer_utils.datasets import load_dataset
from fer_utils.errors import FerError

def memory(what):
    return 1024 * int(re.search(what + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1])

before, started = memory("VmRSS"), time.perf_counter()
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
try:
    load_dataset("fer2013", sys.argv[1])
except FerError as error:
    print(memory("VmHWM") - before, time.perf_counter() - started, error)
"""


@stress
@pytest.mark.skipif(sys.platform != "linux", reason="the memory is read from /proc; getrusage counts the parent's too")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_in_full_size_costs_little_memory(tmp_path, cache, bomb):
    path, message = BOMBS[bomb](tmp_path, 100)
    done = subprocess.run([sys.executable, "-c", MEASURED, path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    grown, seconds, error = done.stdout.split(" ", 2)
    print(f"{bomb}: {path.stat().st_size / 1e6:.1f} MB on disk, {int(grown) / 1e6:.0f} MB of memory, "
          f"{float(seconds):.1f} s: {error.strip()[-150:]}")
    assert re.search(message, error)
    assert int(grown) < (1_500_000_000 if "as long as" in bomb else 600_000_000)
    assert set(tmp_path.iterdir()) <= {path, cache} and whole_entries(cache) == 0


# No permission, no room. Tests may run as root, who may read all, so these errors are made


@pytest.fixture
def table(tmp_path, cache):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(fer2013_table("fer2013.csv")[0][1])
    return path


def forbidding(what, *refused):
    """``what``, except that it raises PermissionError for the paths in ``refused``."""
    def forbid(path, *arguments, **options):
        if Path(path) in refused:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return what(path, *arguments, **options)
    return forbid


@pytest.mark.parametrize("form", ["fer2013.csv", "input.zip", "input.tar.gz", "folder"])
def test_a_file_that_may_not_be_read_says_so(tmp_path, cache, monkeypatch, form):
    layout = form if form.endswith(".csv") else "fer2013"
    kind = {"fer2013.csv": "file", "folder": "folder"}.get(form, form.removeprefix("input."))
    members = list(whole(layout))
    content = members[0][1] if kind == "file" else None if kind == "folder" else packed(kind, members, [])
    root = laid_out(tmp_path, layout, kind, members, [], content)
    target = root / members[3][0] if kind == "folder" else root
    for name in ("open", "read_bytes"):
        monkeypatch.setattr(Path, name, forbidding(getattr(Path, name), target))
    with pytest.raises(FerError, match="may not be read .*Permission denied.*; change its permissions") as caught:
        load_dataset("fer2013", root)
    assert str(target) in str(caught.value)
    assert not cache.exists()


@pytest.mark.parametrize("below", ["", "train", "train/happy"])
def test_a_folder_that_may_not_be_read_is_not_passed_over(tmp_path, cache, monkeypatch, below):
    root = laid_out(tmp_path, "fer2013", "folder", whole("fer2013"), [], None)
    monkeypatch.setattr(os, "scandir", forbidding(os.scandir, root / below))
    for name in ("fer2013", "folder"):
        with pytest.raises(FerError, match=f"{re.escape(str(root / below))}: may not be read"):
            load_dataset(name, root)


@pytest.mark.parametrize("name", ["fer2013", "rafdb", "folder"])
def test_a_place_that_may_not_be_looked_up_says_so(tmp_path, cache, monkeypatch, name):
    monkeypatch.setattr(Path, "stat", forbidding(Path.stat, tmp_path / "secret"))
    with pytest.raises(FerError, match="secret.*cannot be looked up .*Permission denied.*check the path"):
        load_dataset(name, tmp_path / "secret")


@pytest.mark.parametrize("root", ["a\0b", "a" * 5000, 7, ["a"], b"a", ""])
@pytest.mark.parametrize("name", ["fer2013", "rafdb", "folder"])
def test_what_is_no_path_is_refused(tmp_path, cache, monkeypatch, name, root):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FerError):
        load_dataset(name, root)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_permissions_of_the_system_are_respected(table, tmp_path):
    table.chmod(0)
    with pytest.raises(FerError, match="may not be read"):
        load_dataset("fer2013", table)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("step", ["mkdir", "mkdtemp", "images", "labels", "names", "write_text", "rename"])
def test_a_cache_that_cannot_be_written_says_what_to_do_and_keeps_nothing(table, cache, monkeypatch, step, code):
    def fail(*arguments, **options):
        raise OSError(code, os.strerror(code))

    def save(path, array, to=np.save):
        Path(path).write_bytes(b"half") if Path(path).stem == step else to(path, array)
        if Path(path).stem == step:
            fail()

    with monkeypatch.context() as patch:
        where = {"mkdtemp": tempfile, "mkdir": Path, "write_text": Path, "rename": Path}.get(step)
        patch.setattr(where, step, fail) if where else patch.setattr(np, "save", save)
        with pytest.raises(FerError, match=f"cannot be written .*{os.strerror(code)}.*free some space"):
            load_dataset("fer2013", table)
    assert whole_entries(cache) == 0
    assert len(load_dataset("fer2013", table)) == 7


@pytest.mark.parametrize("limit", [0, 1, 100, 10_000, 32_300, 32_383, 32_384])
def test_a_disk_that_is_full_in_the_middle_of_it_leaves_nothing(table, cache, limit):
    """The images take 32,256 bytes and a header of 128; the system itself refuses the rest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(FerError, match="the cache cannot be written") if limit < 32_384 else nullcontext():
            load_dataset("fer2013", table)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert whole_entries(cache) == (limit >= 32_384)


@pytest.mark.parametrize("broken", ["is_dir", "load"])
def test_a_cache_that_may_not_be_read_says_so(table, cache, monkeypatch, broken):
    load_dataset("fer2013", table)
    (entry,) = cache.iterdir()
    if broken == "is_dir":
        monkeypatch.setattr(Path, "is_dir", forbidding(Path.is_dir, entry))
    else:
        monkeypatch.setattr(np, "load", forbidding(np.load, *(entry / f"{name}.npy" for name in ("images", "names"))))
    with pytest.raises(FerError, match="Permission denied.*set FER_UTILS_CACHE to another folder"):
        load_dataset("fer2013", table)
