"""Archives and images as a stranger may send them: each is read or refused, and nothing is ever written or followed."""

import gzip
import io
import os
import re
import sys
import tarfile
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from datasets_on_disk import (
    CODES,
    encoded,
    for_each,
    forbidding,
    noise,
    pack,
    png_of,
    put,
    refused,
    table,
    table_rows,
    write_archive,
    write_fer2013,
)
from PIL import EpsImagePlugin

from fer_utils.datasets import files, load_dataset
from fer_utils.datasets.files import decode, opened
from fer_utils.errors import FerError

KINDS = ("zip", "tar", "tar.gz")


def write(path, members):
    """The members as an archive, or as a folder where the path has no ending of one."""
    if path.suffix in (".zip", ".tar", ".gz"):
        return write_archive(path, members)
    for name, content in members:
        put(path / name, content)
    return path


def read_all(path):
    with opened(path) as found:
        return {name: read() for name, read in found}


def says(message, path):
    with pytest.raises(FerError, match=message):
        read_all(path)


def tree(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


# Archives and folders


def test_archives_and_folders_list_the_same(tmp_path):
    members = {"a.png": b"one", "deep/er/b.png": b"two", "empty": b""}
    mac = {"__MACOSX/._a.png": b"\0\5", "deep/._b.png": b"\0\5"}
    for kind in (*KINDS, "folder"):
        assert read_all(write(tmp_path / f"x.{kind}", [*members.items(), *mac.items()])) == members
    for packed in (tmp_path / "y.zip", tmp_path / "y.tar.gz"):  # with folders as members
        assert read_all(pack(tmp_path / "x.folder", packed)) == members


def test_a_member_that_points_outside_writes_and_reads_nothing_there(tmp_path, cache):
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    put(tmp_path / "in" / "outside.png", b"a secret")

    def check(name, kind):
        path = write_archive(folder / f"x.{kind}", [(name, b"from the archive")])
        before = tree(tmp_path)
        assert set(read_all(path).values()) == {b"from the archive"}
        with pytest.raises(FerError):
            load_dataset("fer2013", path)
        assert tree(tmp_path) == before

    for_each(check, [(name, kind) for kind in KINDS for name in (
        "/etc/absolute.png", "../outside.png", "a/../../outside.png", "C:\\outside.png", "..\\outside.png")])


def test_links_and_devices_in_an_archive_are_passed_over(tmp_path):
    put(tmp_path / "secret.png", encoded(noise(48, 48)))
    (tmp_path / "in").mkdir()

    def check(target, kind, link):
        member = tarfile.TarInfo("link.png")
        member.type, member.linkname = link, target
        path = write_archive(tmp_path / "in" / f"x.{kind}", [("a.png", b"1"), ("link.png", member), ("b.png", b"2")])
        before = tree(tmp_path)
        assert read_all(path) == {"a.png": b"1", "b.png": b"2"}
        assert tree(tmp_path) == before

    for_each(check, [(target, kind, link) for kind in ("tar", "tar.gz")
                     for link in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
                     for target in ("/etc/passwd", "../secret.png", "a.png", "train")])
    link = zipfile.ZipInfo("train/angry/Training_1.png")
    link.external_attr = 0o120777 << 16
    path = write_archive(tmp_path / "in" / "x.zip", [(link, b"../secret.png")])
    assert read_all(path) == {"train/angry/Training_1.png": b"../secret.png"}  # no more than its text
    with opened(path) as ((name, read),), pytest.raises(FerError, match="Training_1.png: cannot be read as an image"):
        decode(name, read, path)


def test_links_in_a_folder_are_followed_but_not_round_in_circles(tmp_path):
    folder, deep = tmp_path / "folder", tmp_path / "elsewhere" / "deep"
    folder.mkdir()
    put(deep / "a.png", b"one")
    for name, target in {"again": folder, "up": tmp_path, ".#a.png": "a lock of an editor",
                         "happy": tmp_path / "elsewhere", "b.png": deep / "a.png"}.items():
        (folder / name).symlink_to(target)
    before = files.identity(folder)
    assert read_all(folder) == {"happy/deep/a.png": b"one", "b.png": b"one"}
    put(deep / "c.png", b"two")
    assert files.identity(folder) != before  # what lies behind the link has changed


def test_a_link_that_leads_nowhere_or_twice_to_one_folder_is_named(tmp_path):
    for name in ("itself.png", "angry"):
        for target in ("nowhere", name):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / name).symlink_to(target)
            says(f"{name}: a link that leads nowhere; mend or remove it", tmp_path / name)
            (tmp_path / name / name).unlink()
    (tmp_path / "folder" / "happy").mkdir(parents=True)
    (tmp_path / "folder" / "happiness").symlink_to("happy")
    says("happ.* and .*happ.* are one and the same folder; remove the link", tmp_path / "folder")


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MEMBERS", 20)

    def check(kind):
        assert len(read_all(write(tmp_path / f"x.{kind}", [(f"{k}.png", b"") for k in range(20)]))) == 20
        says(f"x.{kind}: over 20 files; a data set of faces has fewer",
             write(tmp_path / f"x.{kind}", [(f"{k}.png", b"") for k in range(21)]))

    for_each(check, [(kind,) for kind in (*KINDS, "folder")])
    members = [tarfile.TarInfo(f"{k}") for k in range(21)]
    for kind in (tarfile.SYMTYPE, tarfile.DIRTYPE):  # links and folders count, too
        for member in members:
            member.type = kind
        says("over 20 files", write_archive(tmp_path / "x.tar", [(member.name, member) for member in members]))
    monkeypatch.setattr(zipfile, "ZipInfo", None)  # counted before an object is made of each
    says("x.zip: over 20 files", tmp_path / "x.zip")


def test_too_large_a_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BYTES", 1000)
    for kind in KINDS:
        assert len(read_all(write(tmp_path / f"x.{kind}", [("a.png", bytes(1000))]))["a.png"]) == 1000
        says(f"x.{kind}: big.png has 1,001 bytes unpacked; a data set of faces has no such",
             write(tmp_path / f"x.{kind}", [("a.png", b""), ("big.png", bytes(1001))]))
    monkeypatch.setattr(files, "BYTES", 20_000)
    with opened(write(tmp_path / "x.zip", [("list.txt", bytes(1001))])) as ((_, read),):
        assert len(read(1001)) == 1001
        with pytest.raises(FerError, match="list.txt has 1,001 bytes unpacked"):
            read(1000)  # the limit of its reader
        monkeypatch.setattr(files, "READ", 1000)
        with pytest.raises(FerError, match="list.txt has 1,001 bytes unpacked"):
            read()


def test_an_archive_is_refused_or_whole_wherever_it_was_cut(tmp_path):
    members = {f"{k}.png": encoded(noise(8, 8, seed=k)) for k in range(8)}
    for kind in KINDS:
        path = write(tmp_path / f"x.{kind}", members.items())
        content = path.read_bytes()
        # A tar ends in zeros that say nothing.
        said = len(content.rstrip(b"\0")) if kind == "tar" else len(content)
        for cut in {*range(0, said, 31), *range(512, said, 512), said - 1}:
            says(f"x.{kind}: .*download it again", put(path, content[:cut]))


def test_a_corrupted_archive_is_refused_or_gives_the_pixels_that_were_put_in(tmp_path):
    """Zip and gzip carry checksums of the data; a tar only of its headers."""
    members = {f"{k}.png": encoded(noise(8, 8, seed=k)) for k in range(8)}
    for kind in KINDS:
        path = write(tmp_path / f"x.{kind}", members.items())
        content, rng, count = path.read_bytes(), np.random.default_rng(0), 0
        for _ in range(150):
            damaged = bytearray(content)
            damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
            path.write_bytes(damaged)
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
    for_each(lambda name, content: says(f"{name}: not a whole zip or tar.*download it again",
                                        put(tmp_path / name, content)), [
        ("header.tar", with_byte(tar, 2 * 1024 + 150, tar[2 * 1024 + 150] ^ 1)),  # does not end it early
        # No entry of a zip swallows those after it: lengths of its name, its extra field, its comment.
        *(("swallows.zip", with_byte(packed, entry + k * 51 + field, 120)) for k in range(3) for field in (28, 30, 32)),
        ("x.tar.xz", (tmp_path / "xz").read_bytes()),
        *((name, content) for name in ("fer2013.zip", "fer2013.tar.gz", "fer2013.txt")
          for content in (b"", b"emotion,pixels,Usage\n", b"PK\3\4 and no more", bytes(range(256)) * 40))])
    refused("fer2013", tmp_path / "fer2013.txt", "not a whole zip or tar")
    secret = with_byte(with_byte(packed, 6, packed[6] | 1), entry + 8, packed[entry + 8] | 1)
    says("x.zip: 0.png: cannot be read .*encrypted", put(tmp_path / "x.zip", secret))
    with pytest.raises(FerError, match="nowhere.zip"), opened(tmp_path / "nowhere.zip"):
        pass


def test_the_archive_is_closed_whatever_happens(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for kind in KINDS:
            path = write(tmp_path / f"x.{kind}", [("a.png", b"content")])
            with pytest.raises(KeyboardInterrupt), opened(path):
                raise KeyboardInterrupt
            with opened(path) as ((_, read),):
                pass
            with pytest.raises(FerError):
                read()


def test_a_compressed_tar_is_read_forwards(tmp_path, cache, monkeypatch):
    """Each step back unpacks it from its start: FER2013 as a tar.gz took over nine minutes, and takes seconds."""
    names = [f"{CODES[k % 7]}/{k:03}.png" for k in range(70)]
    path = write(tmp_path / "x.tar.gz", [(name, encoded(noise(20, 20))) for name in reversed(names)])
    rewinds, rewind = [], gzip._GzipReader._rewind
    monkeypatch.setattr(gzip._GzipReader, "_rewind", lambda self: rewinds.append(1) or rewind(self))
    faces = load_dataset("folder", path)
    assert len(rewinds) <= 2
    assert faces.names.tolist() == sorted(faces.names.tolist()) and len(faces) == 56


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path):
    for_each(lambda second, kind: says(
        f"x.{kind}: a/b.png and {second} are two files of one name; keep the right one",
        write_archive(tmp_path / f"x.{kind}", [("a/b.png", b"one"), ("b.png", b"two"), (second, b"three")])),
        [(second, kind) for kind in KINDS for second in ("a/b.png", "./a/b.png", "a//b.png", "a/c/../b.png")])


def test_an_image_of_a_kind_that_is_not_read_is_named_and_not_dropped(tmp_path):
    for_each(lambda ending, kind: says(
        f"x.{ending}.{kind}: b.{ending}: images of this kind are not read; save it as PNG",
        write(tmp_path / f"x.{ending}.{kind}", [("a.png", b"one"), (f"b.{ending}", b"two")])),
        [(ending, kind) for kind in (*KINDS, "folder") for ending in ("tif", "TIFF", "heic", "avif")])


def test_a_bar_is_shown_where_somebody_waits_and_is_gone_afterwards(monkeypatch):
    seconds = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: seconds[0])

    def check(name, tty, environment, each, shown):
        screen = io.StringIO()
        screen.isatty = lambda: tty
        with monkeypatch.context() as patch:
            patch.setattr("sys.stderr", screen)
            for variable in ("CI", "TQDM_DISABLE"):
                patch.setenv(variable, environment.get(variable, ""))
            with files.progress(range(4), " images") as bar:
                for _ in bar:
                    seconds[0] += each
        assert ("Reading" in screen.getvalue()) == shown
        assert not screen.getvalue().rpartition("\r")[0].rpartition("\r")[2].strip()  # the last line was wiped

    for_each(check, [("slow", True, {}, 0.6, True), ("fast", True, {}, 0.1, False),
                     ("no terminal", False, {}, 9, False), ("CI", True, {"CI": "1"}, 9, False),
                     ("quiet", True, {"TQDM_DISABLE": "1"}, 9, False)])


# Tables


def test_a_table_is_read_however_it_was_saved():
    text, rows = "a,b,c\n1, ,three\n4,five,6\n", [["a", "b", "c"], ["1", "", "three"], ["4", "five", "6"]]
    quoted = re.sub("[^,\n]+", lambda cell: f'"{cell[0]}"', text)

    def check(name, saved):
        assert list(files.read_table(saved.encode(), "here")) == rows

    for_each(check, [
        ("plain", text), ("BOM", "\ufeff" + text), ("CRLF", text.replace("\n", "\r\n")), ("cut", text.rstrip("\n")),
        ("all of it", "\ufeff" + quoted.replace("\n", "\r\n").rstrip()), ("blank lines", f"{text}\n \n"),
        ("quotes", quoted), ("spaces", text.replace(",", ", ")), ("quotes after spaces", quoted.replace(",", ", ")),
        ("spaces before commas", text.replace(",", " ,"))])


def test_what_is_no_table_is_refused():
    def check(name, content):
        with pytest.raises(FerError, match="^here: cannot be read as a CSV file .*download it again") as caught:
            list(files.read_table(content, "here"))
        assert len(str(caught.value)) < 400

    text = b"a,b\n" + b"1,2\n" * 9
    for_each(check, [("empty", b""), ("blank lines", b"\n\n"), ("UTF-16", text.decode().encode("utf-16")),
                     ("gzip", gzip.compress(text)), ("a comma too many", text.replace(b"2\n", b"2,\n")),
                     ("a cell too few", text[:-3]), ("an open quote", text + b'"1,2\n'), ("binary", bytes(range(256))),
                     ("a line without end", text + b"1," + b"2" * 10**7)])


# No permission. Tests may run as root, who may read all, so these errors are made


def test_a_file_or_folder_that_may_not_be_read_says_so(tmp_path, cache, monkeypatch):
    folder = write_fer2013(tmp_path / "folder")
    csv = put(tmp_path / "fer2013.csv", table(table_rows()))
    image = next((folder / "train" / "happy").iterdir())

    def check(form, root, target, name="fer2013"):
        with monkeypatch.context() as patch:
            for owner, what in ((Path, "open"), (Path, "read_bytes"), (os, "scandir")):
                patch.setattr(owner, what, forbidding(getattr(owner, what), target))
            said = refused(name, root, "may not be read ", "Permission denied", "; change its permissions")
        assert str(target) in said

    for_each(check, [("table", csv, csv), ("image", folder, image),
                     *((path.suffix, path, path) for path in (pack(folder, tmp_path / "input.zip"),
                                                              pack(folder, tmp_path / "input.tar.gz"))),
                     *((below or "top", folder, folder / below, name) for name in ("fer2013", "folder")
                       for below in ("", "train", "train/happy"))])
    if hasattr(os, "geteuid") and os.geteuid():  # root may read everything
        csv.chmod(0)
        refused("fer2013", csv, "may not be read")


def test_a_place_that_cannot_be_looked_up_is_refused(tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def check(root, name):
        with pytest.raises(FerError):
            load_dataset(name, root)

    for_each(check, [(root, name) for name in ("fer2013", "ferplus", "rafdb", "folder")
                     for root in ("a\0b", "a" * 5000, 7, ["a"], b"a", "")])
    monkeypatch.setattr(Path, "stat", forbidding(Path.stat, tmp_path / "secret"))
    for name in ("fer2013", "ferplus", "rafdb", "folder"):
        refused(name, tmp_path / "secret", "cannot be looked up ", "Permission denied", "check the path")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name themselves")
def test_a_name_that_is_not_utf8_is_read(tmp_path, cache):
    root = write_fer2013(tmp_path / "faces", {"Training": 6})
    source = next((root / "train" / "happy").iterdir())
    os.rename(source, os.path.join(os.fsencode(source.parent), b"caf\xe9" + os.fsencode(source.suffix)))
    assert sum(len(load_dataset("folder", root / "train", split)) for split in ("train", "test")) == 42


# Images


def image(content, mode=None):
    return decode("face.png", lambda: content, "here", mode)


def no_image(name, content, message="cannot be read as an image", mode=None):
    with pytest.raises(FerError, match=f"^here: face.png: .*{message}"):
        image(content, mode)


def test_grey_stays_grey_and_colour_colour():
    def check(kind):
        lossless = {"lossless": True} if kind == "WEBP" else {}
        grey, colour = noise(6, 9), noise(6, 9, 3)
        assert image(encoded(colour, kind, **lossless)).shape == (6, 9, 3)
        assert image(encoded(colour, kind, **lossless), "L").shape == (6, 9)
        assert image(encoded(grey, kind, **lossless), "RGB").shape == (6, 9, 3)
        if kind != "WEBP":  # which has no grey
            assert image(encoded(grey, kind)).shape == (6, 9)
        if kind != "JPEG":
            assert np.array_equal(image(encoded(colour, kind, **lossless)), colour)
            assert np.array_equal(image(encoded(grey, kind, **lossless), "L"), grey)

    for_each(check, [("PNG",), ("BMP",), ("WEBP",), ("JPEG",)])
    assert image(encoded(np.array([[7]], np.uint8))).tolist() == [[7]]  # a single pixel


def test_every_mode_of_a_png_becomes_grey_or_colour():
    for mode, shape in {"1": (6, 9), "L": (6, 9), "LA": (6, 9), "P": (6, 9, 3), "RGB": (6, 9, 3),
                        "RGBA": (6, 9, 3)}.items():
        content = encoded(noise(6, 9, 3), "PNG", mode)
        for wanted, result in ((None, shape), ("L", (6, 9)), ("RGB", (6, 9, 3))):
            assert image(content, wanted).dtype == np.uint8 and image(content, wanted).shape == result, mode
    picture = PIL.Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    assert image(encoded(picture)).tolist() == [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [0, 255, 0]]]
    pixels = image(encoded(np.full((16, 16, 3), (200, 30, 60), np.uint8), "JPEG", "CMYK", quality=95))
    assert pixels.shape == (16, 16, 3) and np.abs(pixels[8, 8].astype(int) - (200, 30, 60)).max() < 12


def test_an_animation_gives_its_first_frame():
    frames = [PIL.Image.new("RGB", (9, 6), colour) for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0))]
    for kind, options in {"GIF": {}, "PNG": {}, "WEBP": {"lossless": True}}.items():
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=10, **options)
        with PIL.Image.open(io.BytesIO(content)) as opened_again:
            assert opened_again.n_frames == 3
        assert np.array_equal(image(content), np.asarray(frames[0]))


def test_an_image_is_turned_as_its_exif_says():
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :8] = 255  # a mark at the top on the left
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
              6: np.rot90(upright), 7: np.rot90(upright, 2).T, 8: np.rot90(upright, -1)}

    def check(orientation, kind):
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        pixels = image(encoded(np.ascontiguousarray(stored[orientation]), kind, exif=exif), "L")
        assert pixels.shape == (16, 24) and np.abs(pixels.astype(int) - upright).max() < 60

    for_each(check, [(orientation, kind) for orientation in stored for kind in ("PNG", "JPEG", "WEBP")])


def test_what_is_no_image_or_none_of_8_bits_is_refused():
    starts = (b"", b"\0", b"a text and no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM",
              b"RIFF\0\0\0\0WEBP", bytes(10_000))
    whole = {kind: encoded(noise(24, 24, 3), kind) for kind in ("PNG", "JPEG", "BMP", "WEBP", "GIF")}
    cut = [(f"{kind} at {share}", content[:int(share * len(content))])
           for kind, content in whole.items() for share in np.linspace(0, 0.9, 40)]
    deep = encoded(noise(8, 8).astype(np.uint16) * 200)
    for_each(no_image, [*((start, start) for start in starts), *cut,
                        *((f"{mode}", deep, "an image of mode I.*; save it with 8 bits a channel", mode)
                          for mode in (None, "L", "RGB"))])


def test_an_image_that_says_it_is_huge_or_holds_less_is_refused_at_its_header():
    def check(size, most):
        tracemalloc.start()
        try:
            no_image(size, png_of(*size), "too many|exceeds limit|cannot be read")
            assert tracemalloc.get_traced_memory()[1] < most
        finally:
            tracemalloc.stop()

    for_each(check, [*((size, 5e6) for size in ((30_000, 30_000), (7_100, 7_100), (50_000_001, 1), (2**31 - 1, 9))),
                     *((size, 2e8) for size in ((0, 0), (0, 9), (48, 48), (5_000, 5_000)))])


def test_formats_that_start_programs_are_refused(monkeypatch):
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **kwargs: pytest.fail("Ghostscript was called"))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    for_each(no_image, [("EPS", eps), *((kind, encoded(noise(16, 16, 3), kind))
                                        for kind in ("TIFF", "PPM", "ICO", "PCX", "PDF"))])
