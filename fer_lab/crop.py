"""A folder of photos becomes a folder of faces, eyes level, cut as FER2013's or RAF-DB's are: ``fer-lab crop``."""

import re
from collections import defaultdict

import numpy as np
import pandas as pd
from PIL import Image

from fer_utils.as_written import path_of
from fer_utils.atomic import written_whole
from fer_utils.datasets import files
from fer_utils.datasets.folder_layout import COLUMNS
from fer_utils.errors import FerError, optional_import

LIKE = {"fer2013": (48, "L"), "rafdb": (100, "RGB")}  # pixels of a side, and grey or colour
# Where a face lies in its square, as shares of the side: medians of the 522 of 600 training images of FER2013 (random,
# seed 0) in which the detector finds one. We had no RAF-DB to measure; its faces get the same square.
EYES = 0.37  # from eye to eye
MOUTH = 0.41  # from between the eyes to the mouth
UP = 0.09  # how far the square's middle lies above the middle between eyes and mouth
LOOK = 1024  # pixels of the longer side, frame included, in which faces are looked for: a second a photo
FRAME = 0.25  # of black around it, as a share of the longer side: without, eyes of a face that fills the photo are off
CERTAIN = 0.9  # 17 pictures without a face, each in four turns, gave two finds, at 0.75
SURE = 0.99  # real and drawn faces; a face that lies on its side is found upright as well, elsewhere, at 0.91 to 0.98
LEAST = 20  # pixels of a face where it is looked for


def crop(folder, out, like="fer2013", one=False):
    """Cut the faces out of the photos below ``folder`` and write them, as PNGs in the same sub-folders, to ``out``.

    ``like``: "fer2013", 48 pixels and grey, or "rafdb", 100 pixels in colour. Of several faces in a photo all are kept,
    with ``one`` the largest. Tables of labels are written again with the names of the faces. Returns the table that is
    in ``out/faces.csv``: a row for each face with its ``photo``, ``face``, the square (``left``, ``top``, ``side`` in
    pixels of the photo) and by how many degrees it was ``turned`` counterclockwise; and a row with a ``reason`` for
    whatever was left out. ``out`` appears whole, in the end; ``FerError`` where it holds something already.
    """
    folder = files.existing(folder, "there is no such folder of photos")
    out, (size, mode) = path_of(out), LIKE[like]
    if not folder.is_dir():
        raise FerError(f"{folder}: not a folder; give one that holds photos (unpack it, if it is an archive).")
    if folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise FerError(f"{out}: inside {folder}, whose photos are read; give a folder beside it.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FerError(f"{out}: holds something already, and nothing is written over; give a new folder, or delete it.")
    detector = optional_import("facenet_pytorch", "--no-deps facenet-pytorch").MTCNN(
        keep_all=True, min_face_size=LEAST, device="cpu")
    found = [(files.portable(path.relative_to(folder).as_posix()), path) for path in files.walk(folder)]
    rows, tables, faces = [], {}, defaultdict(list)
    writing = files.allowed(out, "cannot be written", "check its disk and permissions, or give another folder")
    with writing, written_whole(out) as part, files.progress(found, " files") as bar:
        part.mkdir()
        for name, path in bar:
            if name.lower().endswith((".csv", ".tsv")):
                lines = list(files.read_table(path.read_bytes(), path))
                if None not in (_column(lines[0], "file"), _column(lines[0], "emotion")):
                    tables[name] = lines
                    continue
            try:
                photo = _photo(name, path)
                squares = [aligned(photo, face, size) for face in find_faces(photo, detector)]
            except FerError as error:
                rows.append({"photo": name, "reason": str(error)})
                continue
            for number, (image, square) in enumerate(squares, 1):
                rows.append({"photo": name, **square})
                if square["side"] < size:
                    rows[-1]["reason"] = f"too small: {square['side']} pixels, and {size} are needed"
                elif one and number > 1:
                    rows[-1]["reason"] = "smaller than another face of the photo"
                else:  # the whole name: a.jpg and a.png stay two, and who is in it can be read
                    rows[-1]["face"] = f"{name}-{number}.png"
                    faces[name].append(f"{name}-{number}.png")
                    (part / name).parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(image).convert(mode).save(part / faces[name][-1])
            if not squares:
                rows.append({"photo": name, "reason": "no face found"})
        for name, lines in tables.items():
            _write_labels(part, name, lines, faces)
        table = pd.DataFrame(rows, columns=["photo", "face", "left", "top", "side", "turned", "reason"], dtype=object)
        table.to_csv(part / "faces.csv", index=False, lineterminator="\n", errors="backslashreplace")
    return table


def summary(table, out):
    """What a table of ``crop`` says, in a few lines."""
    kept, told = table.dropna(subset=["face"]), []
    if several := int(kept["photo"].duplicated(keep=False).sum()):
        told = [f"{several} faces share their photo, and so its label, with others; --one keeps the largest"]
    reasons = table["reason"].dropna().map(lambda reason: re.split(" *[:(]", reason)[0]).value_counts()
    return "\n".join([f"{kept['photo'].nunique()} of {table['photo'].nunique()} files gave {len(kept)} faces: {out}",
                      f"{sum(abs(kept['turned']) > 45)} of them lay on their side or upside down", *told,
                      *(f"left out, {reason}: {count}" for reason, count in reasons.items()),
                      f"{out}/faces.csv says which"])


def find_faces(photo, detector):
    """The left eye, the right eye and the mouth of each face in a photo uint8 (H, W, 3): complex (N, 3), x + iy in
    pixels, the largest face first. Quarter turns are tried where no face is found for sure in the photo as it is."""
    scale = min(1, LOOK / (1 + 2 * FRAME) / max(photo.shape[:2]))
    small = files.resized(photo, *(max(1, round(scale * edge)) for edge in photo.shape[1::-1]))
    frame = round(FRAME * max(small.shape[:2])) + LEAST  # so that there is enough to look at in any photo
    small = np.pad(small, ((frame, frame), (frame, frame), (0, 0)))

    def middle(image):
        return (image.shape[1] - 1) / 2 + 1j * (image.shape[0] - 1) / 2

    def found(quarter):
        """How certain the detector is of its surest face, and the faces, with the photo turned counterclockwise."""
        turned = np.ascontiguousarray(np.rot90(small, quarter))
        _, chances, points = detector.detect(turned, landmarks=True)
        if points is None or max(chances) < CERTAIN:
            return 0, np.empty((0, 3), complex)
        points = np.array(points, float)[np.array(chances, float) >= CERTAIN] @ [1, 1j]
        points = np.stack([points[:, 0], points[:, 1], points[:, 3:].mean(1)], 1)
        # Times i is a quarter turn clockwise, for y points down: back to the photo as it was.
        back = (points - middle(turned)) * 1j ** quarter + middle(small)
        return max(chances), (back - frame * (1 + 1j)) / scale

    as_it_is = found(0)
    return max([as_it_is, *map(found, (1, 2, 3) * (as_it_is[0] < SURE))], key=lambda pair: pair[0])[1]


def aligned(photo, face, size):
    """The square around a face as ``find_faces`` gives it, turned so that the eyes are level: uint8 (size, size, 3),
    and its left, top, side and turn in the photo. Beyond the photo's edge its last pixels are repeated."""
    left, right, mouth = face
    eyes, level = (left + right) / 2, (right - left) / abs(right - left)
    side = max(abs(right - left) / EYES, abs(mouth - eyes) / MOUTH)  # the larger: a face in profile has near eyes
    middle = (eyes + mouth) / 2 - 1j * level * UP * side
    corner = np.floor([middle.real - side, middle.imag - side]).astype(int)  # twice the side holds the turned square
    columns, rows = (np.clip(start + np.arange(int(2 * side) + 2), 0, edge - 1)
                     for start, edge in zip(corner, photo.shape[1::-1]))
    x, y = np.array([middle.real, middle.imag]) - corner + 0.5  # Pillow counts from a pixel's corner
    angle = float(np.degrees(np.angle(level)))
    image = Image.fromarray(photo[np.ix_(rows, columns)]).rotate(angle, Image.Resampling.BICUBIC, center=(x, y))
    image = image.resize((size, size), Image.Resampling.LANCZOS,
                         box=(x - side / 2, y - side / 2, x + side / 2, y + side / 2))
    return np.asarray(image), {"left": round(middle.real - side / 2), "top": round(middle.imag - side / 2),
                               "side": round(side), "turned": round(angle)}


def _photo(name, path):
    """The photo in a file, in colour; ``FerError`` where there is none, its text short enough for a table."""
    if name.lower().endswith(files.OTHER_IMAGES):
        raise FerError("of a kind that is not read; save it as PNG or JPEG")
    if not files.is_image(name):
        raise FerError("not a picture")
    try:
        return files.decode(name, path.read_bytes, "", "RGB")
    except FerError as error:
        raise FerError(str(error).removeprefix(f": {name}: ")) from error


def _write_labels(part, name, lines, faces):
    """A table of labels again, a row for each face; ``faces``: {photo: its faces}. Photos without one drop out."""
    (header, *rows), at = lines, _column(lines[0], "file")
    meant, inside = defaultdict(list), name.rpartition("/")[0] + "/" * ("/" in name)
    for photo in faces:  # with its folder or without, with its ending or without
        file = photo.casefold().rpartition("/")[2]
        for written in {photo.casefold(), file, file.rpartition(".")[0]}:
            meant[written].append(photo)
    written = []
    for row in rows:
        told = files.portable(row[at]).casefold()
        found = meant.get(inside.casefold() + told) or meant.get(told) or meant.get(told.rpartition("/")[2]) or []
        if len(found) > 1:
            raise FerError(f"{name}: {row[at]} is {' and '.join(found[:2])}; give it with its folder.")
        written += [[*row[:at], face.removeprefix(inside), *row[at + 1:]] for photo in found for face in faces[photo]]
    stem = name.rpartition(".")[0] + "_labels" * ("label" not in name.lower())  # load_dataset looks for that word
    (part / name).parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(written, columns=header).to_csv(part / f"{stem}.csv", index=False, lineterminator="\n")


def _column(header, what):
    """Where a table has its file names or its emotions, or None."""
    plain = [re.sub("[^a-z]", "", cell.lower()) for cell in header]
    return next((plain.index(word) for word in COLUMNS[what] if word in plain), None)
