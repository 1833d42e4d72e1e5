"""Archives and images as a stranger may send them: each is read or refused, and nothing is ever written or followed."""

import gzip
import os
import re
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import datasets_on_disk as disk
import numpy as np
import PIL.Image
import pytest
from conftest import refusal
from PIL import EpsImagePlugin

from fer_utils.datasets import files, load_dataset
from fer_utils.datasets.files import decode, opened
from fer_utils.errors import FerError

KINDS = ("zip", "tar", "tar.gz", "tar.bz2")


def write(path, members):
    """The members as an archive, or as a folder where the path has no ending of one."""
    if path.name.endswith(KINDS):
        return disk.write_archive(path, members)
    for name, content in members:
        disk.put(path / name, content)
    return path


def read_all(path):
    with opened(path) as found:
        return {name: read() for name, read in found}


def says(message, path):
    said = refusal(read_all, path)
    assert re.search(message, said), (message, said)


def tree(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_archives_and_folders_list_the_same(tmp_path):
    members = {"a.png": b"one", "deep/er/b.png": b"two", "empty": b""}
    mac = {"__MACOSX/._a.png": b"\0\5", "deep/._b.png": b"\0\5"}
    for kind in (*KINDS, "folder"):
        assert read_all(write(tmp_path / f"x.{kind}", [*members.items(), *mac.items()])) == members
    for packed in (tmp_path / "y.zip", tmp_path / "y.tar.gz"):  # with folders as members
        assert read_all(disk.pack(tmp_path / "x.folder", packed)) == members


def test_members_that_point_outside_write_and_read_nothing_there(tmp_path):
    disk.put(tmp_path / "in" / "outside.png", b"a secret")

    def check(name, kind, content):
        path = disk.write_archive(tmp_path / "in" / "here" / f"x.{kind}", [("a.png", b"1"), (name, content)])
        before, found = tree(tmp_path), read_all(path)
        if isinstance(content, tarfile.TarInfo):  # links and devices are passed over
            assert found == {"a.png": b"1"}
        else:  # a link in a zip is no more than its text
            assert list(found.values()) == [b"1", content if isinstance(content, bytes) else content.encode()]
        assert tree(tmp_path) == before

    cases = [(name, kind, b"2") for kind in KINDS for name in ("/etc/absolute.png", "a/../../outside.png",
                                                               "C:\\outside.png", "..\\outside.png")]
    for link in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        for target in ("/etc/passwd", "../outside.png", "a.png"):
            member = tarfile.TarInfo("link.png")
            member.type, member.linkname = link, target
            cases.append(("link.png", "tar", member))
    disk.for_each(check, [*cases, ("link.png", "zip", "../outside.png")])


def test_links_in_a_folder_are_followed_but_not_round_in_circles(tmp_path):
    folder, deep = tmp_path / "folder", tmp_path / "elsewhere" / "deep"
    folder.mkdir()
    disk.put(deep / "a.png", b"one")
    for name, target in {"again": folder, "up": tmp_path, ".#a.png": "a lock of an editor",
                         "happy": tmp_path / "elsewhere", "b.png": deep / "a.png"}.items():
        (folder / name).symlink_to(target)
    before = files.identity(folder)
    assert read_all(folder) == {"happy/deep/a.png": b"one", "b.png": b"one"}
    disk.put(deep / "c.png", b"two")
    assert files.identity(folder) != before  # what lies behind the link has changed
    for target in ("nowhere", "c.png"):  # or to itself
        (folder / "c.png").symlink_to(target)
        says("c.png: a link that leads nowhere; mend or remove it", folder)
        (folder / "c.png").unlink()
    (folder / "happiness").symlink_to("happy")
    says("happ.* and .*happ.* are one and the same folder; remove the link", folder)


def test_too_many_and_too_large_files_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MEMBERS", 20)
    monkeypatch.setattr(files, "BYTES", 1000)

    def check(kind):
        path = tmp_path / f"x.{kind}"
        assert len(read_all(write(path, [(f"{k}.png", bytes(1000)) for k in range(20)]))) == 20
        says(f"x.{kind}: over 20 files", write(path, [(f"{k}.png", b"") for k in range(21)]))
        if kind != "folder":
            says(f"x.{kind}: over 20 files", write(path, [(f"{k}.png", "link") for k in range(21)]))
            says(f"x.{kind}: big.png has 1,001 bytes unpacked", write(path, [("a", b""), ("big.png", bytes(1001))]))

    disk.for_each(check, [(kind,) for kind in (*KINDS, "folder")])
    many = write(tmp_path / "x.zip", [(f"{k}.png", b"") for k in range(21)])
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZipInfo", None)  # counted before an object is made of each
        says("x.zip: over 20 files", many)
    with opened(disk.put(tmp_path / "x.csv", bytes(1001))) as ((_, read),):
        assert len(read(1001)) == 1001
        monkeypatch.setattr(files, "READ", 1000)
        assert all("x.csv has 1,001 bytes unpacked" in refusal(read, *limit) for limit in ((), (1000,)))


def test_a_damaged_archive_is_refused_or_gives_what_was_put_in(tmp_path):
    """Zip and gzip carry checksums of the data; a tar only of its headers."""
    members = {f"{k}.png": disk.encoded(disk.noise(8, 8, seed=k)) for k in range(8)}
    for kind in ("zip", "tar", "tar.gz"):
        path = write(tmp_path / f"x.{kind}", members.items())
        content, rng, count = path.read_bytes(), np.random.default_rng(0), 0
        said = len(content.rstrip(b"\0")) if kind == "tar" else len(content)  # a tar ends in zeros that say nothing
        for cut in {*range(0, said, 61), *range(512, said, 512), said - 1}:
            says(f"x.{kind}: .*download it again", disk.put(path, content[:cut]))
        for _ in range(150):
            damaged = bytearray(content)
            damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
            disk.put(path, damaged)
            try:
                found = read_all(path)
            except FerError as error:
                assert str(path) in str(error)
                count += 1
            else:
                assert len(found) == 8 and (kind == "tar" or sorted(found.values()) == sorted(members.values()))
        assert count > 40, kind


def test_what_is_no_whole_archive_is_refused(tmp_path, cache):
    members = [(f"{k}.png", b"content") for k in range(4)]
    tar, packed = (write(tmp_path / f"x.{kind}", members).read_bytes() for kind in ("tar", "zip"))
    entry = packed.index(b"PK\1\2")

    def with_byte(content, at, value):
        return content[:at] + bytes([value]) + content[at + 1:]

    with tarfile.open(tmp_path / "xz", "w:xz") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    disk.for_each(lambda name, content: says(f"{name}: not a whole zip or tar.*download it again",
                                        disk.put(tmp_path / name, content)), [
        ("header.tar", with_byte(tar, 2 * 1024 + 150, tar[2 * 1024 + 150] ^ 1)),  # does not end it early
        # No entry of a zip swallows those after it: lengths of its name, its extra field, its comment.
        *(("swallows.zip", with_byte(packed, entry + k * 51 + field, 120)) for k in range(3) for field in (28, 30, 32)),
        ("x.tar.xz", (tmp_path / "xz").read_bytes()),
        *((name, content) for name in ("fer2013.zip", "fer2013.tar.gz", "fer2013.txt")
          for content in (b"", b"emotion,pixels,Usage\n", bytes(range(256)) * 40))])
    secret = with_byte(with_byte(packed, 6, packed[6] | 1), entry + 8, packed[entry + 8] | 1)
    says("x.zip: 0.png: cannot be read .*encrypted", disk.put(tmp_path / "x.zip", secret))
    says("nowhere.zip", tmp_path / "nowhere.zip")


def test_what_systems_and_editors_leave_is_passed_over_and_names_are_as_every_system_means_them(tmp_path):
    left = (".DS_Store", "a/.hidden/1.png", "__MACOSX/1.png", "a/@eaDir/1.png/x.jpg", "Thumbs.db", "a/desktop.ini",
            ".ipynb_checkpoints/a-checkpoint.png", "__pycache__/x.pyc", "$RECYCLE.BIN/1.png")
    kept = {"a/u\u0308.png": "a/\u00fc.png", "b\\c\\1.png": "b/c/1.png", "./d/1.png": "./d/1.png"}
    for kind in (*KINDS, "folder"):
        found = read_all(write(tmp_path / f"x.{kind}", [(name, b"1") for name in (*left, *kept)]))
        assert {name.removeprefix("./") for name in found} == {name.removeprefix("./") for name in kept.values()}, kind


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_and_images_of_a_kind_that_is_not_read_are_refused(tmp_path):
    for kind in KINDS:
        for second in ("a/b.png", "./a/b.png", "a//b.png", "a/c/../b.png"):
            says(f"x.{kind}: a/b.png and {second} are two files of one name; keep the right one",
                 disk.write_archive(tmp_path / f"x.{kind}", [("a/b.png", b"1"), ("b.png", b"2"), (second, b"3")]))
        for ending in ("tif", "TIFF", "heic", "avif"):
            says(f"x.{kind}: b.{ending}: images of this kind are not read; save it as PNG",
                 disk.write_archive(tmp_path / f"x.{kind}", [("a.png", b"1"), (f"b.{ending}", b"2")]))


def test_a_compressed_tar_is_read_forwards(tmp_path, cache, monkeypatch):
    """Each step back unpacks it from its start: FER2013 as a tar.gz took over nine minutes, and takes seconds."""
    names = [f"{disk.CODES[k % 7]}/{k:03}.png" for k in range(70)]
    path = write(tmp_path / "x.tar.gz", [(name, disk.encoded(disk.noise(20, 20))) for name in reversed(names)])
    rewinds, rewind = [], gzip._GzipReader._rewind
    monkeypatch.setattr(gzip._GzipReader, "_rewind", lambda self: rewinds.append(1) or rewind(self))
    faces = load_dataset("folder", path)
    assert len(rewinds) <= 2 and len(faces) == 56


def test_a_table_is_read_however_it_was_saved():
    text, rows = "a,b,c\n1, ,three\n4,five,6\n", [["a", "b", "c"], ["1", "", "three"], ["4", "five", "6"]]
    quoted = re.sub("[^,\n]+", lambda cell: f'"{cell[0]}"', text)
    for saved in (text, "\ufeff" + quoted.replace("\n", "\r\n").rstrip(), f"{text}\n \n", quoted.replace(",", ", "),
                  text.replace(",", " , ")):
        assert list(files.read_table(saved.encode(), "here")) == rows, saved


def test_what_is_no_table_is_refused():
    text = b"a,b\n" + b"1,2\n" * 9
    for content in (b"", b"\n\n", text.decode().encode("utf-16"), gzip.compress(text), text.replace(b"2\n", b"2,\n"),
                    text[:-3], text + b'"1,2\n', bytes(range(256)), text + b"1," + b"2" * 10**7):
        said = refusal(lambda content=content: list(files.read_table(content, "here")))
        assert said.startswith("here: cannot be read as a CSV file ") and "download it again" in said[:400], said[:400]


# No permission. Tests may run as root, who may read all, so these errors are made


def test_a_file_or_folder_that_may_not_be_read_says_so(tmp_path, cache, monkeypatch):
    folder = disk.write_fer2013(tmp_path / "folder")
    csv = disk.put(tmp_path / "fer2013.csv", disk.table(disk.table_rows()))
    archive, image = disk.pack(folder, tmp_path / "input.zip"), next((folder / "train" / "happy").iterdir())

    def check(target, root, name="fer2013"):
        with monkeypatch.context() as patch:
            for owner, what in ((Path, "open"), (Path, "read_bytes"), (os, "scandir")):
                patch.setattr(owner, what, disk.forbidding(getattr(owner, what), target))
            said = disk.refused(name, root, "cannot be read ", "Permission denied", "; change its permissions")
        assert str(target) in said

    disk.for_each(check, [(csv, csv), (image, folder), (archive, archive), *(
        (folder / below, folder, name) for name in ("fer2013", "folder") for below in ("", "train", "train/happy"))])


def test_a_place_that_cannot_be_looked_up_is_refused(tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "stat", disk.forbidding(Path.stat, tmp_path / "secret"))
    for name in ("fer2013", "ferplus", "rafdb", "folder"):
        for root in ("a\0b", "a" * 5000, 7, ["a"], b"a", ""):
            assert "no FerError" not in (refusal(load_dataset, name, root) or "no FerError"), (name, root)
        disk.refused(name, tmp_path / "secret", "cannot be looked up ", "Permission denied", "change its permissions")


def image(content, mode=None):
    return decode("face.png", lambda: content, "here", mode)


def no_image(name, content, message="cannot be read as an image", mode=None):
    said = refusal(image, content, mode)
    assert re.search(f"^here: face.png: .*{message}", said), said


def test_grey_stays_grey_and_all_else_is_colour_unless_one_is_asked_for():
    for mode, shape in {"1": (6, 9), "L": (6, 9), "LA": (6, 9), "P": (6, 9, 3), "RGB": (6, 9, 3),
                        "RGBA": (6, 9, 3)}.items():
        content = disk.encoded(disk.noise(6, 9, 3), "PNG", mode)
        for wanted, result in ((None, shape), ("L", (6, 9)), ("RGB", (6, 9, 3))):
            assert image(content, wanted).dtype == np.uint8 and image(content, wanted).shape == result, mode
    for kind, options in {"PNG": {}, "BMP": {}, "WEBP": {"lossless": True}}.items():
        assert np.array_equal(image(disk.encoded(disk.noise(6, 9, 3), kind, **options)), disk.noise(6, 9, 3))
        assert np.array_equal(image(disk.encoded(disk.noise(6, 9), kind, **options), "L"), disk.noise(6, 9))
    pixels = image(disk.encoded(np.full((16, 16, 3), (200, 30, 60), np.uint8), "JPEG", "CMYK", quality=95))
    assert pixels.shape == (16, 16, 3) and np.abs(pixels[8, 8].astype(int) - (200, 30, 60)).max() < 12


def test_an_image_is_turned_as_its_exif_says():
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :8] = 255  # a mark at the top on the left
    turned = upright[::-1, ::-1]
    for orientation, stored in {1: upright, 3: turned, 6: np.rot90(upright), 7: turned.T}.items():
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        for kind in ("PNG", "JPEG", "WEBP"):
            pixels = image(disk.encoded(np.ascontiguousarray(stored), kind, exif=exif), "L")
            assert pixels.shape == (16, 24) and np.abs(pixels.astype(int) - upright).max() < 60, (orientation, kind)


def test_what_is_no_image_or_none_of_8_bits_is_refused(monkeypatch):
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **kwargs: pytest.fail("Ghostscript was called"))
    starts = (b"", b"\0", b"a text and no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBP",
              bytes(10_000), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    whole = {kind: disk.encoded(disk.noise(24, 24, 3), kind) for kind in ("PNG", "JPEG", "BMP", "WEBP", "GIF")}
    deep = disk.encoded(disk.noise(8, 8).astype(np.uint16) * 200)
    disk.for_each(no_image, [
        *((start, start) for start in starts),
        *((f"{kind} at {share}", content[:int(share * len(content))]) for kind, content in whole.items()
          for share in np.linspace(0, 0.9, 40)),
        *((kind, disk.encoded(disk.noise(16, 16, 3), kind)) for kind in ("TIFF", "PPM", "ICO", "PDF")),
        *((f"{mode}", deep, "an image of mode I.*; save it with 8 bits", mode) for mode in (None, "L", "RGB"))])


def test_an_image_that_says_it_is_huge_or_holds_less_is_refused_at_its_header():
    def check(size, most):
        tracemalloc.start()
        try:
            no_image(size, disk.png_of(*size), "too many|exceeds limit|cannot be read")
            assert tracemalloc.get_traced_memory()[1] < most
        finally:
            tracemalloc.stop()

    huge = ((30_000, 30_000), (7_100, 7_100), (50_000_001, 1), (2**31 - 1, 9))
    disk.for_each(check, [*((size, 5e6) for size in huge),
                          *((size, 2e8) for size in ((0, 9), (48, 48), (5_000, 5_000)))])
