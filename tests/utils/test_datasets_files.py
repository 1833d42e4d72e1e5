"""Archives and images as a stranger may send them: each is read or refused, and nothing is ever written or followed."""

import gzip
import io
import itertools
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
import zlib

import numpy as np
import PIL.Image
import pytest

from fer_utils.datasets import files, load_dataset
from fer_utils.datasets.files import decode, opened
from fer_utils.errors import FerError

FOLDERS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
NAMES = ("/etc/absolute.png", "../outside.png", "a/../../outside.png", "C:\\outside.png", "..\\outside.png")


def encoded(pixels, kind="PNG", mode=None, **options):
    content, image = io.BytesIO(), PIL.Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(content, kind, **options)
    return content.getvalue()


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write_archive(path, members):
    """A zip, a tar or a tar.gz of (name, content); the content may also be a ``TarInfo`` to be put in as it is."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def read_all(path):
    with opened(path) as found:
        return {name: read() for name, read in found}


def tree(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


ARCHIVES = pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])


# Archives


@ARCHIVES
def test_an_archive_is_read_member_by_member(tmp_path, kind):
    members = {"a.png": b"one", "deep/er/b.png": b"two", "empty": b""}
    mac = {"__MACOSX/._a.png": b"\0\5", "deep/._b.png": b"\0\5"}
    assert read_all(write_archive(tmp_path / f"x.{kind}", [*members.items(), *mac.items()])) == members


@ARCHIVES
def test_a_folder_and_its_archive_list_the_same(tmp_path, kind):
    folder = tmp_path / "folder"
    (folder / "one" / "two").mkdir(parents=True)
    for name in ("a.png", "one/b.png", "one/two/c.png", "one/._c.png"):
        (folder / name).write_bytes(name.encode())
    packed = write_archive(tmp_path / f"x.{kind}", [(p.relative_to(folder).as_posix(), p.read_bytes())
                                                    for p in files.walk(folder)])
    assert read_all(folder) == read_all(packed)
    assert len(read_all(folder)) == 3


@ARCHIVES
@pytest.mark.parametrize("name", NAMES)
def test_a_member_that_points_outside_writes_and_reads_nothing_there(tmp_path, cache, kind, name):
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    (tmp_path / "in" / "outside.png").write_bytes(b"a secret")
    path = write_archive(folder / f"x.{kind}", [(name, b"from the archive")])
    before = tree(tmp_path)
    assert set(read_all(path).values()) == {b"from the archive"}
    with pytest.raises(FerError):
        load_dataset("fer2013", path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
@pytest.mark.parametrize("link", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../secret.png", "a.png", "train"])
def test_links_and_devices_in_a_tar_are_passed_over(tmp_path, kind, link, target):
    (tmp_path / "secret.png").write_bytes(b"a secret")
    (tmp_path / "in").mkdir()
    member = tarfile.TarInfo("link.png")
    member.type, member.linkname = link, target
    path = write_archive(tmp_path / "in" / f"x.{kind}", [("a.png", b"one"), ("link.png", member), ("b.png", b"two")])
    before = tree(tmp_path)
    assert read_all(path) == {"a.png": b"one", "b.png": b"two"}
    assert tree(tmp_path) == before


def test_a_link_in_a_zip_is_no_more_than_its_text(tmp_path):
    (tmp_path / "secret.png").write_bytes(encoded(noise(48, 48)))
    member = zipfile.ZipInfo("train/angry/Training_1.png")
    member.external_attr = 0o120777 << 16
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "../secret.png")
    assert read_all(path) == {"train/angry/Training_1.png": b"../secret.png"}
    with opened(path) as ((name, read),), pytest.raises(FerError, match="Training_1.png: cannot be read as an image"):
        decode(name, read, path)


def test_links_in_a_folder_do_not_lead_round_in_circles(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"one")
    (folder / "again").symlink_to(folder)
    (folder / "up").symlink_to(tmp_path)
    (folder / ".#a.png").symlink_to("a lock of an editor")
    assert read_all(folder) == {"a.png": b"one"}


def test_links_to_files_and_folders_are_followed(tmp_path):
    folder = tmp_path / "folder"
    for name in ("folder", "elsewhere/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "a.png").write_bytes(b"one")
    (folder / "happy").symlink_to(tmp_path / "elsewhere")
    (folder / "b.png").symlink_to(tmp_path / "elsewhere" / "deep" / "a.png")
    before = files.identity(folder)
    assert read_all(folder) == {"happy/deep/a.png": b"one", "b.png": b"one"}
    (tmp_path / "elsewhere" / "deep" / "c.png").write_bytes(b"two")
    assert files.identity(folder) != before  # what lies behind the link has changed


@pytest.mark.parametrize("target", ["nowhere", "itself.png"])
@pytest.mark.parametrize("name", ["itself.png", "angry"])
def test_a_link_that_leads_nowhere_is_named(tmp_path, name, target):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).symlink_to(name if target == "itself.png" else target)
    with pytest.raises(FerError, match=f"{name}: a link that leads nowhere; mend or remove it"):
        read_all(tmp_path / "folder")


def test_one_folder_under_two_names_is_named(tmp_path):
    (tmp_path / "folder" / "happy").mkdir(parents=True)
    (tmp_path / "folder" / "happiness").symlink_to("happy")
    with pytest.raises(FerError, match="happ.* and .*happ.* are one and the same folder; remove the link"):
        read_all(tmp_path / "folder")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "folder"])
def test_too_many_files_are_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(files, "MEMBERS", 20)
    path = tmp_path / f"x.{kind}"
    for count in (20, 21):
        members = [(f"{k}.png", b"") for k in range(count)]
        if kind == "folder":
            path.mkdir(exist_ok=True)
            for name, content in members:
                (path / name).write_bytes(content)
        else:
            write_archive(path, members)
        if count == 20:
            assert len(read_all(path)) == 20
    with pytest.raises(FerError, match=f"x.{kind}: over 20 files; a data set of faces has fewer"):
        read_all(path)


def test_the_files_of_a_zip_are_counted_before_an_object_is_made_of_each(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MEMBERS", 20)
    path = write_archive(tmp_path / "x.zip", [(f"{k}.png", b"") for k in range(21)])
    monkeypatch.setattr(zipfile, "ZipInfo", None)
    with pytest.raises(FerError, match="x.zip: over 20 files"):
        read_all(path)


@pytest.mark.parametrize("type_", [tarfile.SYMTYPE, tarfile.DIRTYPE])
def test_links_and_folders_in_a_tar_count_too(tmp_path, monkeypatch, type_):
    monkeypatch.setattr(files, "MEMBERS", 20)
    members = [tarfile.TarInfo(f"{k}") for k in range(21)]
    for member in members:
        member.type = type_
    with pytest.raises(FerError, match="over 20 files"):
        read_all(write_archive(tmp_path / "x.tar", [(member.name, member) for member in members]))


@ARCHIVES
def test_too_large_a_member_is_refused_before_it_is_read(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(files, "BYTES", 1000)
    assert len(read_all(write_archive(tmp_path / f"x.{kind}", [("a.png", bytes(1000))]))["a.png"]) == 1000
    path = write_archive(tmp_path / f"x.{kind}", [("a.png", b""), ("big.png", bytes(1001))])
    with pytest.raises(FerError, match=f"x.{kind}: big.png has 1,001 bytes unpacked; a data set of faces has no such"):
        read_all(path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_of_megabytes_in_kilobytes_costs_no_memory(tmp_path, monkeypatch, kind):
    path = write_archive(tmp_path / f"x.{kind}", [("bomb.png", bytes(30_000_000)), ("a.png", b"")])
    assert path.stat().st_size < 60_000
    monkeypatch.setattr(files, "BYTES", 20_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(FerError, match="bomb.png has 30,000,000 bytes unpacked"):
            read_all(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_bomb_that_says_it_is_small_is_unpacked_no_further_than_that(tmp_path):
    path = write_archive(tmp_path / "x.zip", [("bomb.png", bytes(30_000_000))])
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 30_000_000), struct.pack("<I", 100)))
    tracemalloc.start()
    try:
        with pytest.raises(FerError, match="x.zip: bomb.png: cannot be read .*download it again"):
            read_all(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_huge_tar_bomb_is_refused_at_its_header(tmp_path):
    member = tarfile.TarInfo("bomb.png")
    member.size = 8_000_000_000
    path = tmp_path / "x.tar"
    path.write_bytes(member.tobuf() + bytes(20_000))
    with pytest.raises(FerError, match="bomb.png has 8,000,000,000 bytes unpacked"):
        read_all(path)


@ARCHIVES
def test_an_archive_is_refused_or_whole_wherever_it_was_cut(tmp_path, kind):
    members = {f"{k}.png": encoded(noise(8, 8, seed=k)) for k in range(8)}
    path = write_archive(tmp_path / f"x.{kind}", members.items())
    content = path.read_bytes()
    # A tar ends in zeros that say nothing; what is cut from these does no harm.
    said = len(content.rstrip(b"\0")) if kind == "tar" else len(content)
    for cut in {*range(0, said, 31), *range(512, said, 512), said - 1}:
        path.write_bytes(content[:cut])
        with pytest.raises(FerError, match=f"x.{kind}: .*download it again"):
            read_all(path)
    for cut in range(said, len(content), 100):
        path.write_bytes(content[:cut])
        try:
            assert read_all(path) == members
        except FerError:
            pass


@ARCHIVES
def test_a_corrupted_archive_is_refused_or_gives_the_pixels_that_were_put_in(tmp_path, kind):
    """Zip and gzip carry checksums of the data; a tar only of its headers."""
    members = {f"{k}.png": encoded(noise(8, 8, seed=k)) for k in range(8)}
    path = write_archive(tmp_path / f"x.{kind}", members.items())
    content, chance, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(150):
        damaged = bytearray(content)
        damaged[chance.integers(len(content))] ^= 1 << chance.integers(8)
        path.write_bytes(damaged)
        try:
            found = read_all(path)
        except FerError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert len(found) == 8
            if kind != "tar":
                assert sorted(found.values()) == sorted(members.values())
    assert refused > 40


def test_a_damaged_header_does_not_end_a_tar_early(tmp_path):
    path = write_archive(tmp_path / "x.tar", [(f"{k}.png", b"content") for k in range(4)])
    content = bytearray(path.read_bytes())
    content[2 * 1024 + 150] ^= 1  # the third header's checksum
    path.write_bytes(content)
    with pytest.raises(FerError, match="x.tar: not a whole zip or tar"):
        read_all(path)


@pytest.mark.parametrize("field", [28, 30, 32], ids=["name", "extra", "comment"])
def test_no_entry_of_a_zip_swallows_those_after_it(tmp_path, field):
    path = write_archive(tmp_path / "x.zip", [(f"{k}.png", b"content") for k in range(4)])
    content = path.read_bytes()
    for entry in range(3):
        damaged = bytearray(content)
        damaged[content.index(b"PK\1\2") + entry * 51 + field] = 120
        path.write_bytes(damaged)
        with pytest.raises(FerError, match="x.zip: not a whole zip or tar"):
            read_all(path)


def test_a_zip_with_a_password_is_refused(tmp_path):
    path = write_archive(tmp_path / "x.zip", [("a.png", b"content")])
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(FerError, match="x.zip: a.png: cannot be read .*encrypted"):
        read_all(path)


@ARCHIVES
def test_the_archive_is_closed_whatever_happens(tmp_path, kind):
    path = write_archive(tmp_path / f"x.{kind}", [("a.png", b"content")])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with pytest.raises(KeyboardInterrupt), opened(path):
            raise KeyboardInterrupt
        with opened(path) as ((_, read),):
            pass
        with pytest.raises(FerError):
            read()


def test_what_does_not_exist_is_named(tmp_path):
    with pytest.raises(FerError, match="nowhere.zip"), opened(tmp_path / "nowhere.zip"):
        pass


def test_a_compressed_tar_is_read_forwards(tmp_path, cache, monkeypatch):
    """Each step back unpacks it from its start: FER2013 as a tar.gz took over nine minutes, and takes seconds."""
    names = [f"{FOLDERS[k % 7]}/{k:03}.png" for k in range(70)]
    path = write_archive(tmp_path / "x.tar.gz", [(name, encoded(noise(20, 20))) for name in reversed(names)])
    rewinds, rewind = [], gzip._GzipReader._rewind
    monkeypatch.setattr(gzip._GzipReader, "_rewind", lambda self: rewinds.append(1) or rewind(self))
    faces = load_dataset("folder", path)
    assert len(rewinds) <= 2
    assert faces.names.tolist() == sorted(faces.names.tolist()) and len(faces) == 56


def test_a_tar_of_another_compression_is_refused(tmp_path):
    with tarfile.open(tmp_path / "x.tar.xz", "w:xz") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    with pytest.raises(FerError, match="x.tar.xz: not a whole zip or tar"):
        read_all(tmp_path / "x.tar.xz")


@ARCHIVES
@pytest.mark.parametrize("second", ["a/b.png", "./a/b.png", "a//b.png", "a/c/../b.png"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path, kind, second):
    path = write_archive(tmp_path / f"x.{kind}", [("a/b.png", b"one"), ("b.png", b"two"), (second, b"three")])
    with pytest.raises(FerError, match=f"x.{kind}: a/b.png and {second} are two files of one name; keep the right one"):
        read_all(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "folder"])
@pytest.mark.parametrize("ending", ["tif", "TIFF", "heic", "avif"])
def test_an_image_of_a_kind_that_is_not_read_is_named_and_not_dropped(tmp_path, kind, ending):
    path = tmp_path / f"x.{kind}"
    if kind == "folder":
        path.mkdir()
        (path / f"b.{ending}").write_bytes(b"two")
    else:
        write_archive(path, [("a.png", b"one"), (f"b.{ending}", b"two")])
    with pytest.raises(FerError, match=f"x.{kind}: b.{ending}: images of this kind are not read; save it as PNG"):
        read_all(path)


def test_a_file_is_read_up_to_the_limit_of_its_reader(tmp_path, monkeypatch):
    path = write_archive(tmp_path / "x.zip", [("list.txt", bytes(1001))])
    with opened(path) as ((_, read),):
        assert len(read(1001)) == 1001
        with pytest.raises(FerError, match="list.txt has 1,001 bytes unpacked"):
            read(1000)
        monkeypatch.setattr(files, "READ", 1000)
        with pytest.raises(FerError, match="list.txt has 1,001 bytes unpacked"):
            read()


@pytest.mark.parametrize("tty, environment, seconds, shown", [
    (True, {}, 1.2, True), (True, {}, 0, False), (False, {}, 1.2, False), (True, {"CI": "1"}, 1.2, False),
    (True, {"TQDM_DISABLE": "1"}, 1.2, False)], ids=["slow", "fast", "no terminal", "CI", "quiet"])
def test_a_bar_is_shown_where_somebody_waits_and_is_gone_afterwards(monkeypatch, tty, environment, seconds, shown):
    screen = io.StringIO()
    screen.isatty = lambda: tty
    monkeypatch.setattr("sys.stderr", screen)
    for name in ("CI", "TQDM_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    clock = itertools.count(1000, seconds / 3) if seconds else itertools.repeat(1000)
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    with files.progress(range(4), " images") as bar:
        for _ in bar:
            pass
    assert ("Reading" in screen.getvalue()) == shown
    assert not screen.getvalue().rpartition("\r")[0].rpartition("\r")[2].strip()  # the last line was wiped


# Images


def image(content, mode=None):
    return decode("face.png", lambda: content, "here", mode)


def refused(content, message="cannot be read as an image", mode=None):
    with pytest.raises(FerError, match=f"^here: face.png: .*{message}"):
        image(content, mode)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "JPEG"])
def test_grey_stays_grey_and_colour_colour(kind):
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


@pytest.mark.parametrize("mode, shape", [("1", (6, 9)), ("L", (6, 9)), ("LA", (6, 9)), ("P", (6, 9, 3)),
                                         ("RGB", (6, 9, 3)), ("RGBA", (6, 9, 3))])
def test_every_mode_of_a_png_becomes_grey_or_colour(mode, shape):
    content = encoded(noise(6, 9, 3), "PNG", mode)
    for wanted, result in ((None, shape), ("L", (6, 9)), ("RGB", (6, 9, 3))):
        pixels = image(content, wanted)
        assert pixels.dtype == np.uint8 and pixels.shape == result


def test_a_palette_is_resolved_into_its_colours():
    picture = PIL.Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "L").convert("P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    content = io.BytesIO()
    picture.save(content, "PNG")
    assert image(content.getvalue()).tolist() == [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [0, 255, 0]]]


def test_cmyk_becomes_colour():
    pixels = image(encoded(np.full((16, 16, 3), (200, 30, 60), np.uint8), "JPEG", "CMYK", quality=95))
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels[8, 8].astype(int) - (200, 30, 60)).max() < 12


def test_16_bits_are_refused_instead_of_cut_off():
    content = encoded(noise(8, 8).astype(np.uint16) * 200)
    for mode in (None, "L", "RGB"):
        refused(content, "an image of mode I.*; save it with 8 bits a channel", mode)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(kind):
    frames = [PIL.Image.new("RGB", (9, 6), colour) for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0))]
    content = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(content, kind, save_all=True, append_images=frames[1:], duration=10, **options)
    with PIL.Image.open(content) as opened_again:
        assert opened_again.n_frames == 3
    assert np.array_equal(image(content.getvalue()), np.asarray(frames[0]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(kind, orientation):
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :8] = 255  # a mark at the top on the left
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
              6: np.rot90(upright), 7: np.rot90(upright, 2).T, 8: np.rot90(upright, -1)}[orientation]
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    pixels = image(encoded(np.ascontiguousarray(stored), kind, exif=exif), "L")
    assert pixels.shape == (16, 24)
    assert np.abs(pixels.astype(int) - upright).max() < 60


def test_a_single_pixel_is_an_image():
    assert image(encoded(np.array([[7]], np.uint8))).tolist() == [[7]]
    assert image(encoded(np.array([[[1, 2, 3]]], np.uint8))).tolist() == [[[1, 2, 3]]]


def png_of(width, height):
    """A PNG that says how large it is, and holds next to nothing."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))


@pytest.mark.parametrize("width, height", [(30_000, 30_000), (7_100, 7_100), (50_000_001, 1), (2**31 - 1, 2**31 - 1)])
def test_an_image_that_says_it_is_huge_is_refused_at_its_header(width, height):
    tracemalloc.start()
    try:
        refused(png_of(width, height), "too many|exceeds limit|cannot be read")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("width, height", [(0, 0), (0, 9), (48, 48), (5_000, 5_000)])
def test_an_image_that_holds_less_than_it_says_is_refused(width, height):
    refused(png_of(width, height))


@pytest.mark.parametrize("content", [b"", b"\0", b"a text and no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0",
                                     b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP", bytes(10_000)])
def test_what_is_no_image_is_refused(content):
    refused(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
def test_an_image_is_refused_wherever_it_was_cut(kind):
    content = encoded(noise(24, 24, 3), kind)
    for share in np.linspace(0, 0.9, 40):
        refused(content[:int(share * len(content))])


def test_formats_that_start_programs_are_refused(monkeypatch):
    from PIL import EpsImagePlugin
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **kwargs: pytest.fail("Ghostscript was called"))
    refused(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    for kind in ("TIFF", "PPM", "ICO", "PCX", "PDF"):
        refused(encoded(noise(16, 16, 3), kind))
