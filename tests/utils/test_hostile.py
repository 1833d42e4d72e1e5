"""Whatever a stranger may send: each input loads or raises ``FerError``, and nothing is left or written elsewhere.

Hypothesis starts from small whole data sets in every layout, and damages their files, their list of files and the
bytes of the archive. The suite tries 300 of them; ``make stress`` the same with 10,000, and bombs in their full size.
"""

import gzip
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
from collections import Counter
from functools import cache as once
from pathlib import Path
from typing import NamedTuple

import datasets_on_disk as disk
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_utils.datasets import FaceDataset, files, folder, load_dataset, rafdb
from fer_utils.errors import FerError

stress = pytest.mark.stress
resource = pytest.importorskip("resource")  # which Windows has not


# Whole data sets, as small as they can be: lists of (name, content)


def members(write, *arguments):
    """The files that ``write`` puts into a folder."""
    with tempfile.TemporaryDirectory() as home:
        return [member for member in disk.members_of(write(Path(home), *arguments)) if member[1] is not None]


def ferplus(root):
    """All ten vote for anger, and in the last row for no face."""
    votes = [f"{usage},,0,0,0,0,{10 * (row < 13)},0,0,0,0,{10 * (row == 13)}" for row, (*_, usage) in enumerate(ROWS)]
    disk.put(root / "fer2013.csv", disk.table(ROWS))
    disk.put(root / "fer2013new.csv", "\n".join([VOTES, *votes]))
    return root


VOTES = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
FACES = disk.rafdb_faces({"train": (1,) * 7, "test": (1,) * 7}, quality=5)
ROWS = disk.table_rows(("Training", "PublicTest"))
LAYOUTS = {"fer2013": ("fer2013", lambda: members(disk.write_fer2013, {"Training": 1, "PublicTest": 1})),
           **{name: ("fer2013", lambda name=name: [(name, disk.table(ROWS, name).encode())]) for name in disk.HEADERS},
           "FER+": ("ferplus", lambda: members(ferplus)),
           "RAF-DB": ("rafdb", lambda: members(disk.write_official, FACES)),
           "RAF-DB mirror": ("rafdb", lambda: members(disk.write_mirror, FACES)),
           "folder": ("folder", lambda: members(disk.write_own, disk.CODES, 1, (20, 30), tuple(folder.SPLITS)))}
SPLITS = {"fer2013": ("train", "train", "public_test", "test"), "ferplus": ("train", "public_test"),
          "rafdb": rafdb.SPLITS, "folder": tuple(folder.SPLITS)}
SHAPES = {"fer2013": (48, 48), "ferplus": (48, 48), "rafdb": (100, 100, 3)}


@once
def whole(layout):
    return tuple(LAYOUTS[layout][1]())


# Damage


@once
def odd_images():
    def face(kind, mode, *size):
        return disk.encoded(disk.noise(*size, 3), kind, mode)

    frames = [Image.new("RGB", (48, 48), colour) for colour in ("red", "blue")]
    return (b"", b"no image", disk.encoded(np.full((48, 48), 40_000, np.uint16)), face("PNG", "L", 48, 48)[:300],
            disk.encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]), disk.png_of(30_000, 30_000),
            face("GIF", "P", 48, 48), face("JPEG", "CMYK", 100, 100), face("TIFF", "L", 48, 48),
            face("PNG", "L", 1, 1), face("PNG", "LA", 48, 48), face("PNG", "RGB", 300, 17))


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
    size = len(content)
    at = draw(st.integers(0, size) | st.integers(0, min(300, size)) | st.integers(max(0, size - 700), size))
    edit = draw(st.sampled_from(["flip", "flip", "cut", "delete", "insert", "overwrite"]))
    if edit == "flip" and at < size:
        return content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1:]
    if edit == "cut":
        return content[:at]
    new = b"" if edit == "delete" else draw(BYTES)
    return content[:at] + new + content[at + (0 if edit == "insert" else draw(st.sampled_from([1, 8, 600]))):]


@st.composite
def edited(draw, content):
    """One edit of a table or a list, as people make them: of a cell, a line or the header."""
    lines = content.decode("utf-8", "replace").split("\n")
    at = draw(st.integers(0, max(0, len(lines) - 2)))
    edit = draw(st.sampled_from(["cell", "cell", "cell", "line", "twice", "header"]))
    if edit == "cell":
        parts = re.split("([, ])", lines[at])
        place = draw(st.integers(0, min(len(parts), 9) - 1)) * draw(st.sampled_from([1, -1]))
        parts[place] = draw(st.sampled_from(CELLS))
        lines[at] = "".join(parts)
    elif edit == "header":
        lines[0] = draw(st.sampled_from(["", "pixels", "emotion,pixels", "image,label", lines[0] + ",emotion"]))
    else:
        lines[at:at + 1] = [lines[at]] * (2 * (edit == "twice"))
    return "\n".join(lines).encode("utf-8", "surrogateescape")


@st.composite
def hostile(draw, layout):
    """What ``laid_out`` puts onto the disk: a whole data set of this layout, damaged."""
    members = list(whole(layout))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 2, 4]))):
        at = draw(st.integers(0, len(members) - 1))
        (name, content), (_, other) = members[at], draw(st.sampled_from(members))
        names = st.sampled_from([*NAMES, name, name.upper(), "./" + name, name + ".png"])
        edit = draw(st.sampled_from(["content", "content", "drop", "name", "exchange", "odd", "add", "link"]))
        if edit == "content" and isinstance(content, bytes):
            text = name.endswith((".csv", ".txt")) and draw(st.integers(0, 2))
            members[at] = name, draw(edited(content) if text else damaged(content))
        elif edit == "drop" and len(members) > 1:
            del members[at]
        elif edit == "name":
            members[at] = draw(names), content
        elif edit in ("exchange", "odd"):
            members[at] = name, other if edit == "exchange" else draw(st.sampled_from(odd_images()))
        elif edit == "add":
            members.insert(at, (draw(names), draw(st.sampled_from([content, *odd_images()]))))
        else:
            targets = ["/etc/passwd", "..", ".", "nowhere", name, "train", "fifo"]
            members.append((draw(names), draw(st.sampled_from(targets))))
    forms = ["folder", "zip", "tar", "tar.gz", "tar.bz2"] + ["file"] * 4 * layout.endswith(".csv")
    form = draw(st.sampled_from(forms)) if layout != "FER+" else "folder"  # its votes lie beside the images' archive
    if form == "folder":
        return Case(form, members, None)
    if form == "zip":  # which takes neither every name nor none
        members = [(name.encode(errors="replace").decode() or "_", content) for name, content in members]
    files = [content for _, content in members if isinstance(content, bytes)]
    content = disk.archived(form, members) if form != "file" else files[0] if files else b""
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 3]))):
        content = draw(damaged(content))
    return Case(form, members, content)


class Case(NamedTuple):
    form: str
    members: list  # (name, content), or (name, target) of a link
    content: bytes | None  # of the archive or the table

    def __repr__(self):  # the contents are long, and follow from the number of the example
        return f"<{self.form} of {[(name, len(content)) for name, content in self.members]}>"


def laid_out(base, layout, form, members, content):
    """Write the input below ``base``; returns what a reader would name."""
    if form != "folder":
        return disk.put(base / (layout if form == "file" else f"input.{form}"), content)
    root = base / "input"
    root.mkdir()
    for name, content in members:
        try:
            path = root / name.lstrip("/").replace("..", "__")
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content == "fifo":
                os.mkfifo(path)
            else:
                path.symlink_to(content if content != "/etc/passwd" else base)
        except (OSError, ValueError):  # such a name, or a second of that name, cannot stand on this disk
            pass
    return root


# The proof


def state(base):
    return {path: (path.lstat().st_mode, path.lstat().st_size, path.lstat().st_mtime_ns)
            for path in base.rglob("*") if "cache" not in path.relative_to(base).parts[:1]}


def whole_entries():
    """The number of entries in the cache, in which nothing else lies."""
    for entry in disk.kept():
        assert re.fullmatch("[0-9a-f]{24}", entry.name), f"{entry.name} was left behind"
        found = {file.stem for file in entry.iterdir()} - {"sides", "note"}  # which folders alone have
        assert found == {"images", "labels", "names", "about"}
        json.loads((entry / "about.json").read_text(encoding="utf-8", errors="surrogateescape"))
    return len(disk.kept())


def outcome(name, root, split):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module="PIL")  # Pillow warns of much, and then reads on or does not
        warnings.filterwarnings("ignore", message=".*: no (train|validation|test) image of ")
        try:
            return load_dataset(name, root, split)
        except FerError as error:
            return error


@pytest.mark.filterwarnings("ignore:Duplicate name")  # which zipfile does not like
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
            assert str(root) in str(result) and len(str(result)) < 1500, ascii(result)
            assert whole_entries() <= 1
        else:
            assert isinstance(result, FaceDataset) and len(set(result.names.tolist())) == len(result)
            assert result.images.shape[1:] == SHAPES.get(name, result.images.shape[1:])
            assert 16 <= result.images.shape[1] == result.images.shape[2] <= 256
            assert outcome(name, root, split).fingerprint == result.fingerprint
            assert whole_entries() == 1
        seen[type(result).__name__] += 1

    check()
    assert sum(seen.values()) >= examples // len(LAYOUTS)
    assert seen["FaceDataset"] > 0.03 * sum(seen.values()) and seen["FerError"] > 0.3 * sum(seen.values()), seen
    print(f"{layout}: {dict(seen)}")
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_all) * 1024
    assert growth < 1_000_000_000


# Floods and bombs: with lowered limits in this process, and in full size, with the memory measured, in one of its own

FACE, PIECE = "train/happy/Training_1.png", 10_000_000  # bytes


def zip_bomb(path, name, count, fill=b"\0", said=None):
    """A zip whose one member unpacks to ``count`` times 10 MB, and says so, or says less."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(name, "w", force_zip64=True) as file:
            for _ in range(count):
                file.write(fill * PIECE)
    if said is not None:
        content = path.read_bytes()
        assert content.count(struct.pack("<L", count * PIECE)) == 2
        path.write_bytes(content.replace(struct.pack("<L", count * PIECE), struct.pack("<L", said)))
    return path


def gzip_of(path, blocks):
    """A gzip file of blocks: (bytes before, number of 10 MB of zeros after them)."""
    with gzip.open(path, "wb", 1) as file:
        for before, count in blocks:
            file.write(before)
            for _ in range(count):
                file.write(bytes(PIECE))
    return path


def tar_header(name, size, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def tar_of_zeros(path, count, blocks):
    """A tar.gz of ``count`` files, each of ``blocks`` times 10 MB."""
    size = blocks * PIECE
    return gzip_of(path, [(bytes(-size % 512 * (k > 0)) + tar_header(f"{k}.png", size), blocks) for k in range(count)])


# Each writes a bomb of so many per cent of its size, and says what the message must hold.
BOMBS = {
    "a million files in a tar.gz": lambda to, n: (
        gzip_of(to / "x.tar.gz", [(tar_header("a.png", 0) * (10_000 * n), 0)]), "over .* files"),
    "a zip of 10 GB": lambda to, n: (zip_bomb(to / "x.zip", FACE, 10 * n), "bytes unpacked"),
    "a zip of 4 GB that says 100 bytes": lambda to, n: (
        zip_bomb(to / "x.zip", FACE, 4 * n, said=100), "cannot be read"),
    "a table of zeros as long as is allowed": lambda to, n: (
        zip_bomb(to / "x.zip", "fer2013.csv", n // 2 + 5, fill=b"0"), "as a CSV file"),
    "a tar.gz of 11 GB in files of an allowed size": lambda to, n: (
        tar_of_zeros(to / "x.tar.gz", *((6, 190) if n == 100 else (11, 1))), "bytes unpacked"),
    "10 GB of zeros as a tar.gz": lambda to, n: (gzip_of(to / "x.tar.gz", [(b"", 10 * n)]), "no image|not a whole"),
    **{f"a tar.gz with a {what} of 10 GB": lambda to, n, kind=kind: (
        gzip_of(to / "x.tar.gz", [(tar_header("x", 10 * n * PIECE, kind), 10 * n)]), "headers are too long")
       for what, kind in (("name", tarfile.GNUTYPE_LONGNAME), ("list of attributes", tarfile.XHDTYPE))},
}


def test_small_bombs_are_refused_at_the_limits_times_a_hundredth(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(files, "MEMBERS", 5_000)
    monkeypatch.setattr(files, "BYTES", 60_000_000)
    monkeypatch.setattr(files, "TOTAL", 100_000_000)

    def check(bomb, write):
        path, message = write(tmp_path, 1)
        tracemalloc.start()
        try:
            with pytest.raises(FerError, match=message):
                load_dataset("fer2013", path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < (250_000_000 if "as long as" in bomb else 12_000_000), f"{peak:,} bytes"
        path.unlink()
        assert set(tmp_path.iterdir()) <= {cache} and whole_entries() == 0

    disk.for_each(check, BOMBS.items())


MEASURED = """
import re, sys
from fer_utils.datasets import load_dataset
from fer_utils.errors import FerError

def memory(what):
    return 1024 * int(re.search(what + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1])

before = memory("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
try:
    load_dataset("fer2013", sys.argv[1])
except FerError as error:
    print(memory("VmHWM") - before, error)
"""


@stress
@pytest.mark.skipif(sys.platform != "linux", reason="the memory is read from /proc; getrusage counts the parent's too")
def test_bombs_in_full_size_cost_little_memory(tmp_path, cache):
    def check(bomb, write):
        path, message = write(tmp_path, 100)
        done = subprocess.run([sys.executable, "-c", MEASURED, path], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        grown, error = done.stdout.split(" ", 1)
        print(f"{bomb}: {path.stat().st_size / 1e6:.1f} MB on disk, {int(grown) / 1e6:.0f} MB of memory: {error}")
        assert re.search(message, error)
        assert int(grown) < (1_500_000_000 if "as long as" in bomb else 600_000_000)
        path.unlink()
        assert set(tmp_path.iterdir()) <= {cache} and whole_entries() == 0

    disk.for_each(check, BOMBS.items())
