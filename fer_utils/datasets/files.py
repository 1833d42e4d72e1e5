"""Folders and archives as lists of files, and image files as arrays. Nothing is ever unpacked onto the disk."""

import hashlib
import io
import tarfile
import zipfile
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import FerError

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF")  # and none of Pillow's others: some start programs, as EPS does
MEMBERS = 500_000  # more files than any data set of faces has
BYTES = 2_000_000_000  # of one file, unpacked: fer2013.csv has 300 MB
PIXELS = 50_000_000  # of one image


def identity(path):
    """A text that changes when a file, or any file below a folder, changes its place, size or time."""
    path = Path(path)
    if path.is_file():
        return f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}"
    listing = "".join(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}\n" for file in walk(path))
    content = hashlib.sha256(listing.encode(errors="surrogateescape"))  # a name need not be valid UTF-8
    return f"{path.resolve()} {content.hexdigest()}"


def walk(folder):
    """All files below a folder, sorted."""
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


@contextmanager
def opened(path):
    """The files of a folder, a zip or a tar as pairs of a relative name and a function that reads it.

    What macOS adds to folders and archives is left out. Raises ``FerError`` for a damaged archive, for one with more or
    larger files than a data set of faces has, and, when a file is read, for one that turns out to be damaged.
    """
    path = Path(path)
    with ExitStack() as stack:
        files = []
        try:
            for name, read, size in _files(path, stack):  # checked one by one: no bomb is unpacked to its end
                if len(files) == MEMBERS:
                    raise FerError(f"{path}: over {MEMBERS:,} files; a data set of faces has fewer. Is it the right "
                                   "one?")
                if size > BYTES:
                    raise FerError(f"{path}: {name} has {size:,} bytes unpacked; a data set of faces has no such file.")
                files.append((name, read))
        except FerError:
            raise
        except Exception as error:  # zipfile and tarfile raise whatever the damaged bytes lead them to
            kind = "cannot be read" if path.is_dir() else "not a whole zip or tar"
            raise FerError(f"{path}: {kind} ({error}); download it again.") from error
        yield [(name, partial(_read, path, name, read)) for name, read in files
               if read and "__MACOSX" not in name.split("/") and not name.split("/")[-1].startswith("._")]


def _files(path, stack):
    """(name, function that reads it, size) of each file; an archive stays open until ``stack`` is closed.

    The function is None for a folder, a link or whatever else is no file in an archive.
    """
    if path.is_dir():
        for file in walk(path):
            yield file.relative_to(path).as_posix(), file.read_bytes, file.stat().st_size
    elif tarfile.is_tarfile(path):
        archive = stack.enter_context(tarfile.open(path))
        for member in archive:
            read = (lambda member=member: archive.extractfile(member).read()) if member.isfile() else None
            yield member.name, read, member.size
        # tarfile takes a damaged header for the end, and leaves the checksum, the last bytes of a tar.gz, unread.
        end = archive.fileobj.read(1_000_000)
        if len(end) < tarfile.BLOCKSIZE or end.strip(b"\0"):
            raise tarfile.ReadError("it breaks off")
    else:
        archive = stack.enter_context(zipfile.ZipFile(path))
        for member in archive.infolist():
            # One wrong length in the directory, and an entry swallows those after it; zipfile doesn't count them.
            if b"PK\1\2" in member.comment + member.extra or "PK\1\2" in member.orig_filename:
                raise zipfile.BadZipFile("its directory is damaged")
            yield member.filename, None if member.is_dir() else partial(_unzip, archive, member), member.file_size


def _unzip(archive, member):
    with archive.open(member) as file:
        return file.read(member.file_size + 1)  # read() alone would unpack a bomb that says it is small


def _read(path, name, read):
    try:
        return read()
    except Exception as error:  # so does zlib
        raise FerError(f"{path}: {name}: cannot be read ({error}); download it again.") from error


def decode(name, read, where, mode=None):
    """The image in a file as uint8 (H, W) or (H, W, 3): ``mode`` "L" or "RGB", or None for what the file holds.

    Turned as its EXIF orientation says; the first frame of an animation. Raises ``FerError`` for whatever is no image.
    """
    try:
        with Image.open(io.BytesIO(read()), formats=FORMATS) as image:
            if image.width * image.height > PIXELS:
                raise FerError(f"{where}: {name}: {image.width}x{image.height} pixels are too many; make it smaller.")
            if image.mode.startswith(("I", "F")):  # 16 bits and more: Pillow would cut off instead of scaling
                raise FerError(f"{where}: {name}: an image of mode {image.mode}; save it with 8 bits a channel.")
            image = ImageOps.exif_transpose(image)
            grey = image.mode in ("1", "L", "LA")
            return np.asarray(image.convert(mode or ("L" if grey else "RGB")))
    except FerError:
        raise
    except Exception as error:  # Pillow raises whatever the damaged bytes lead it to
        raise FerError(f"{where}: {name}: cannot be read as an image ({error}); replace or remove it.") from error


def is_image(name):
    return name.lower().endswith(IMAGE_ENDINGS)
