"""Folders and archives as lists of files, and image files as arrays. Nothing is ever unpacked onto the disk.

Whoever packed an archive may have meant harm: what its headers say is checked before memory or time is spent on it.
"""

import bz2
import csv
import gzip
import hashlib
import io
import os
import posixpath
import tarfile
import unicodedata
import zipfile
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm.auto import tqdm

from ..as_written import path_of
from ..errors import FerError

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".gif")
OTHER_IMAGES = (".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".pgm", ".ppm")
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF")  # and none of Pillow's others: some start programs, as EPS does
MEMBERS = 500_000  # more files than any data set of faces has
BYTES = 2_000_000_000  # of one file in an archive, unpacked
TOTAL = 10_000_000_000  # of all files in an archive, unpacked
READ = 100_000_000  # of a file that is read whole, if its reader names no other limit
PIXELS = 50_000_000  # of one image
HEADER = 64_000  # bytes of one file's headers in a tar
DIRECTORY = 100_000_000  # bytes of a zip's directory
# Folders and files of systems and editors; what begins with a dot is passed over, too.
SYSTEMS = ("__macosx", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini", "__pycache__", "$recycle.bin",
           "system volume information", "#recycle")
LINE = 200_000  # characters of a line in a table; csv itself takes no cell over 131,072


@contextmanager
def allowed(place, fault="cannot be read", advice="check the disk, or give another copy", errors=OSError):
    """``errors`` in the block become a ``FerError`` that names the place, the fault and what to do."""
    try:
        yield
    except FerError:
        raise
    except errors as error:  # zipfile quotes a wrong name in full, which may be the half of the file
        change = "change its permissions, or " * isinstance(error, PermissionError)
        raise FerError(f"{place}: {fault} ({f'{error}'[:200]}); {change}{advice}.") from error


def existing(root, advice):
    """The path of what a reader was given; ``advice`` is what to do where there is nothing."""
    with allowed(repr(root), "cannot be looked up", "check the path", (OSError, ValueError, TypeError)):
        path = None if root is None else path_of(root)  # too long, a zero byte, no path at all
        if path is not None and path.exists():
            return path
    raise FerError(f"{root}: {advice}.")


def identity(path):
    """A text that changes when a file, or any file below a folder, changes its place, size or time."""
    path = Path(path)
    with allowed(path):
        if path.is_file():
            return f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}"
        listing = "".join(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}\n" for file in walk(path))
        content = hashlib.sha256(listing.encode(errors="surrogateescape"))  # a name need not be valid UTF-8
        return f"{path.resolve()} {content.hexdigest()}"


def walk(folder):
    """All files below a folder, sorted. Links to folders are followed, but for those that lead back up; one that leads
    nowhere, or to a folder that is in it already, is a ``FerError``: an image must not drop out without a word."""
    files, reached, todo, count = [], {}, [Path(folder)], 0
    while todo:
        here = todo.pop()
        with allowed(here), os.scandir(here) as listing:
            real = here.resolve()
            if real in reached:
                raise FerError(f"{folder}: {reached[real]} and {here} are one and the same folder; remove the link.")
            reached[real] = here
            for entry in listing:
                path, count = here / entry.name, count + 1
                if count > MEMBERS:
                    raise _too_many(folder, f"{MEMBERS:,} files")
                if of_systems(entry.name):  # among them links that lead nowhere: editors leave them as locks
                    continue
                link = entry.is_symlink()
                if link and not path.exists():
                    raise FerError(f"{path}: a link that leads nowhere; mend or remove it.")
                elif entry.is_dir():
                    if not (link and real.is_relative_to(path.resolve())):
                        todo.append(path)
                elif entry.is_file():
                    files.append(path)
    return sorted(files)


@contextmanager
def opened(path):
    """The files of a folder, a zip or a tar (also gz or bz2) as pairs of a relative name and a function that reads it.

    They come in the order of the archive; a CSV file counts as a folder that holds it alone. The function takes a limit
    of bytes. What systems and editors add is left out, and links in archives are; names are ``portable``. Raises
    ``FerError`` for what is damaged, too many or too large, two files of one name, and an image of a kind that is not
    read.
    """
    path = Path(path)
    packed = not path.is_dir() and path.suffix.lower() != ".csv"
    if packed:
        with allowed(path):
            path.open("rb").close()  # what may not be read is not damaged
    with ExitStack() as stack:
        files, total, seen = [], 0, {}
        # zipfile and tarfile raise whatever the damaged bytes lead them to.
        with allowed(path, "not a whole zip or tar", "download it again", Exception):
            for name, read, size in _files(path, packed, stack):  # checked one by one: no bomb is unpacked to its end
                total += size
                if len(files) == MEMBERS:
                    raise _too_many(path, f"{MEMBERS:,} files")
                if packed and size > BYTES:
                    raise _too_large(path, name, size)
                if packed and total > TOTAL:
                    raise _too_many(path, f"{TOTAL:,} bytes unpacked")
                files.append((portable(name), read, size))
        files = [(name, partial(_read, path, name, read, size)) for name, read, size in files
                 if read and not name.endswith("/") and not any(map(of_systems, name.split("/")))]
        for name, _ in files:
            if name.lower().endswith(OTHER_IMAGES):
                raise FerError(f"{path}: {name}: images of this kind are not read; save it as PNG or JPEG, or remove "
                               "it.")
            plain = posixpath.normpath(name)
            if plain in seen:
                raise FerError(f"{path}: {seen[plain]} and {name} are two files of one name; keep the right one.")
            seen[plain] = name
        yield files


def _files(path, packed, stack):
    """(name, function that reads it, size) of each file; the function is None for whatever else is in an archive."""
    if not packed:
        for file in walk(path) if path.is_dir() else [path]:
            name = file.relative_to(path).as_posix() if file != path else file.name
            yield name, file.read_bytes, file.stat().st_size
        return
    with path.open("rb") as file:
        magic = file.read(3)
    # No xz: its header alone may claim four gigabytes of memory.
    stream = stack.enter_context({b"\x1f\x8b\x08": gzip.open, b"BZh": bz2.open}.get(magic, open)(path, "rb"))
    stream = _Guarded(stream, HEADER)
    try:
        archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r:"))
    except tarfile.ReadError:
        if magic in (b"\x1f\x8b\x08", b"BZh"):
            raise
        yield from _zipped(stream, stack)
    else:
        yield from _tarred(archive, stream)
    stream.left = float("inf")


def _tarred(archive, stream):
    for member in archive:
        if member.issparse() or len(member.name) > 4096:
            raise tarfile.ReadError("a sparse file, or a name longer than any system allows")
        member.pax_headers, member.linkname = {}, ""  # not needed, and there may be much of it
        read = (lambda member=member: archive.extractfile(member).read()) if member.isfile() else None
        yield member.name, read, member.size
        stream.left = HEADER
    # tarfile takes a damaged header for the end, and leaves the checksum, the last bytes of a tar.gz, unread.
    stream.left = float("inf")
    end = stream.read(1_000_000)
    if len(end) < tarfile.BLOCKSIZE or end.strip(b"\0"):
        raise tarfile.ReadError("it breaks off")


def _zipped(stream, stack):
    stream.left = DIRECTORY
    archive = stack.enter_context(zipfile.ZipFile(stream))
    for member in archive.infolist():
        # One wrong length in the directory, and an entry swallows those after it; zipfile doesn't count them.
        if b"PK\1\2" in member.comment + member.extra or "PK\1\2" in member.orig_filename:
            raise zipfile.BadZipFile("its directory is damaged")
        yield member.filename, None if member.is_dir() else partial(_unzip, archive, member), member.file_size


class _Guarded:
    """A file of which headers may be read up to ``left`` bytes: their lengths are whatever somebody wrote there."""

    def __init__(self, file, left):
        self.file, self.left = file, left

    def read(self, size=-1):
        self.left -= max(size, 0)
        if self.left < 0:
            raise OSError("its headers are too long")
        content = self.file.read(size)
        if self.left <= DIRECTORY and content.count(b"PK\1\2") > MEMBERS:  # before zipfile makes an object of each
            raise _too_many(getattr(self.file, "name", "archive"), f"{MEMBERS:,} files")
        return content

    def __getattr__(self, name):
        return getattr(self.file, name)


def _unzip(archive, member):
    with archive.open(member) as file:
        return file.read(member.file_size + 1)  # read() alone would unpack a bomb that says it is small


def _read(path, name, read, size, limit=None):
    if size > (limit or READ):
        raise _too_large(path, name, size)
    with allowed(f"{path}: {name}", advice="download it again", errors=Exception):  # so does zlib
        return read()


def portable(name):
    """A path as every system means it: with ``/``, where Windows wrote backslashes, and in Unicode's composed form."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def of_systems(name):
    """Whether a file or a folder of this name is no part of the data: hidden, a cache, a thumbnail."""
    return name.startswith(".") and name.strip(".") != "" or name.lower() in SYSTEMS


def _too_many(path, what):
    return FerError(f"{path}: over {what}; a data set of faces has fewer. Is it the right one?")


def _too_large(path, name, size):
    return FerError(f"{path}: {name} has {size:,} bytes unpacked; a data set of faces has no such file.")


def read_table(content, where):
    """The rows of a CSV file, its header first: lists of stripped cells, as many in each row; one row at a time. Cells
    are divided by commas, or by what the header has instead of them: semicolons or tabs."""
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    header = content[:LINE].partition(b"\n")[0]
    mark = next((mark for mark in ",;\t" if mark.encode() in header), ",")
    rows = csv.reader(iter(partial(lines.readline, LINE), ""), delimiter=mark, skipinitialspace=True, strict=True)
    width = 0
    with allowed(where, "cannot be read as a CSV file", "download it again", (csv.Error, UnicodeError)):
        for cells in rows:
            if not any(map(str.strip, cells)):
                continue
            width = width or len(cells)
            if len(cells) != width:
                raise csv.Error(f"line {rows.line_num}: {len(cells)} cells under {width} columns")
            yield [cell.strip() for cell in cells]
        if not width:
            raise csv.Error("it is empty")


def decoded(names, files, where, mode=None):
    """Pairs of a position in ``names`` and the pixels of that file, see ``decode``; in the order of ``files``, for a
    compressed tar can only be read forwards."""
    rows = {name: row for row, name in enumerate(names)}
    with progress([(name, read) for name, read in files if name in rows], " images") as bar:
        for name, read in bar:
            yield rows[name], decode(name, read, where, mode)


def decoded_alike(names, files, where, shape, advice):
    """The images of these names in one array, uint8 (N, *shape); one of another size is refused with ``advice``."""
    images = np.empty((len(names), *shape), np.uint8)
    for row, pixels in decoded(names, files, where, "L" if len(shape) == 2 else "RGB"):
        if pixels.shape != shape:
            raise FerError(f"{where}: {names[row]}: {pixels.shape[1]}x{pixels.shape[0]} pixels; {advice}.")
        images[row] = pixels
    return images


def resized(pixels, width, height):
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def progress(things, unit):
    """A bar over what takes longer than a second; none where nobody looks: in CI and where stderr is a file."""
    return tqdm(things, "Reading", unit=unit, delay=1, leave=False, disable=bool(os.environ.get("CI")) or None)


def decode(name, read, where, mode=None):
    """The image in a file as uint8 (H, W) or (H, W, 3): ``mode`` "L" or "RGB", or None for what the file holds. Turned
    as its EXIF orientation says; the first frame of an animation. Raises ``FerError`` for whatever is no image."""
    with allowed(f"{where}: {name}", "cannot be read as an image", "replace or remove it", Exception):
        with _recognised(read()) as image:
            if image.width * image.height > PIXELS:
                raise FerError(f"{where}: {name}: {image.width}x{image.height} pixels are too many; make it smaller.")
            if image.mode.startswith(("I", "F")):  # 16 bits and more: Pillow would cut off instead of scaling
                raise FerError(f"{where}: {name}: an image of mode {image.mode}; save it with 8 bits a channel.")
            ImageOps.exif_transpose(image, in_place=True)
            mode = mode or ("L" if image.mode in ("1", "L", "LA") else "RGB")
            return np.asarray(image if image.mode == mode else image.convert(mode))


def _recognised(content):
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:  # whose own message says where in memory it lies
        raise ValueError(f"none of {', '.join(FORMATS)}") from error


def is_image(name):
    return name.lower().endswith(IMAGE_ENDINGS)
