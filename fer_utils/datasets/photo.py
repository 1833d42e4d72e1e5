"""One photo, held in memory alone: read, cropped to a square and made what the network gets. Nothing here writes."""

from functools import partial

import numpy as np

from ..errors import FerError
from .files import decode, resized

BYTES = 8_000_000  # of the file; Jupyter's server cuts a connection that sends a message of 10 MiB
LARGEST = 1024  # pixels of the longer side; a larger photo is made smaller when it is read
LEAST = 16  # pixels of a side of the square


def read_photo(content, name="the photo", colour=False):
    """The photo in the bytes ``content``: uint8 (H, W), or (H, W, 3) with ``colour``, at most 1,024 pixels on a side.

    Turned as its EXIF orientation says; transparency is dropped. Raises ``FerError`` for what is no image or of
    another kind, and for too large or too small a one.
    """
    if len(content) > BYTES:
        raise FerError(f"{name} has {len(content):,} bytes, and {BYTES:,} are the most; save it smaller.")
    photo = decode(name, partial(bytes, content), "upload", "RGB" if colour else "L")
    height, width = photo.shape[:2]
    if min(height, width) < LEAST:
        raise FerError(f"{name} is {width} x {height} pixels; give one of at least {LEAST} x {LEAST}.")
    if max(height, width) > LARGEST:
        scale = LARGEST / max(height, width)
        photo = resized(photo, *(max(LEAST, round(edge * scale)) for edge in (width, height)))
    return photo


def square(photo, across=0.5, down=0.5, side=1.0):
    """(left, top, side) in pixels of a square in ``photo``, which never leaves it.

    ``side``: its share of the shorter edge; ``across`` and ``down``: how far along it lies, from 0, the left or upper
    edge, to 1. Raises ``FerError`` for shares outside 0 to 1.
    """
    for what, share in (("across", across), ("down", down), ("side", side)):
        if not 0 <= share <= 1:
            raise FerError(f"square: {what} is {share!r}; give a share from 0 to 1.")
    height, width = photo.shape[:2]
    side = max(LEAST, round(side * min(height, width)))
    return round(across * (width - side)), round(down * (height - side)), side


def face_in(photo, box, size=48, light=1.0, mirror=False):
    """The square ``box`` of ``photo`` as the network gets it: uint8 (size, size), or (size, size, 3) in colour.

    ``light`` multiplies the grey levels, which end at 255; ``mirror`` swaps left and right.
    """
    left, top, side = box
    face = resized(photo[top:top + side, left:left + side], size, size)
    face = np.clip(np.rint(face * float(light)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(face[:, ::-1]) if mirror else face
