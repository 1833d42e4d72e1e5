"""From photos to faces. The photo is NASA's of an astronaut, in the public domain, which scikit-image ships; like the
drawn faces it is written to folders of the tests alone."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import refusal
from PIL import Image
from watching import watched

from fer_course.labs.face_lab import face_of
from fer_lab.cli import main
from fer_lab.crop import aligned, crop, find_faces
from fer_utils.datasets import load_dataset
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError

skimage = pytest.importorskip("skimage.data")
ASTRONAUT = skimage.astronaut()[:224, 100:324]  # her head, 224 pixels a side
DRAWN = face_of({12: 1.0, 6: 1.0}, person=8, size=96, colour=True)


@pytest.fixture(scope="module")
def detector():
    return pytest.importorskip("facenet_pytorch", reason="pip install --no-deps facenet-pytorch").MTCNN(
        keep_all=True, min_face_size=20)


@pytest.fixture
def photos(tmp_path, detector):
    """Write a photo into the folder of photos; its name says what kind of file it is."""
    def write(name, pixels=DRAWN, **options):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / name, **options)
        return tmp_path / "photos"
    return write


def turned(pixels, angle):
    return np.asarray(Image.fromarray(pixels).rotate(angle, Image.Resampling.BICUBIC, expand=True))


def wall(*faces, border=30):
    return np.hstack([np.pad(face, ((border, border), (border, border), (0, 0)), mode="edge") for face in faces])


@pytest.mark.parametrize("angle, off", [(0, 3), (15, 3), (-15, 3), (30, 8), (-30, 8), (90, 3), (180, 3), (-90, 3)])
def test_eyes_are_level_and_where_fer2013_has_them_however_the_photo_is_turned(detector, angle, off):
    """In the photo as it is, her right eye lies 4 degrees lower."""
    photo = turned(ASTRONAUT, angle)
    (face,) = find_faces(photo, detector)
    square, told = aligned(photo, face, 192)
    assert abs((told["turned"] + angle - 4 + 180) % 360 - 180) <= off
    (left, right, mouth), = find_faces(square, detector)
    assert abs(np.degrees(np.angle(right - left))) < off + 2
    assert abs((left + right) / 2 / 192 - (0.5 + 0.39j)) < 0.05 and abs(mouth / 192 - (0.5 + 0.79j)) < 0.07


def test_beyond_the_edge_a_photo_is_continued_and_not_squeezed(detector):
    (whole,), tight = find_faces(ASTRONAUT, detector), ASTRONAUT[60:170, 90:170]
    face, told = aligned(ASTRONAUT, whole, 48)
    cut, place = aligned(tight, whole - (90 + 60j), 48)
    assert place["left"] == told["left"] - 90 < 0 and place["side"] == told["side"] > tight.shape[1]
    assert np.abs(cut[8:40, 18:30].astype(int) - face[8:40, 18:30]).max() < 3, "what both show is the same"
    (found,) = find_faces(tight, detector)
    assert abs(found + 90 + 60j - whole).max() < 4, "a face that fills its photo is found as well as in a larger one"


def test_several_faces_are_numbered_none_and_small_ones_and_other_files_are_left_out_and_told(photos, tmp_path, capsys):
    photos("two.png", wall(DRAWN, face_of({4: 1.0}, person=3, size=128, colour=True)[16:112, 16:112]))
    photos("none.png", skimage.coffee()[:200, :300])
    photos("small.jpg", np.asarray(Image.fromarray(wall(DRAWN)).resize((60, 60))))
    folder = photos(".hidden/a.png")
    for name in ("bad.png", "apple.heic", "notes.csv", "Thumbs.db"):
        (folder / name).write_bytes(b"name,place")
    main(["crop", str(folder), str(tmp_path / "faces")])
    table = pd.read_csv(tmp_path / "faces" / "faces.csv", keep_default_na=False).set_index("photo")
    assert list(table.loc["two.png", "face"]) == ["two.png-1.png", "two.png-2.png"]
    assert table.drop("two.png")["face"].eq("").all() and table.loc["two.png", "reason"].eq("").all()
    for name, reason in {"none.png": "no face", "small.jpg": "too small: ", "bad.png": "cannot be read as an image",
                         "apple.heic": "save it as PNG or JPEG", "notes.csv": "not a picture"}.items():
        assert table.loc[name, "reason"].startswith(reason) or reason in table.loc[name, "reason"]
    assert len(table) == 7 and sorted(path.name for path in (tmp_path / "faces").iterdir()) == [
        "faces.csv", "two.png-1.png", "two.png-2.png"]
    said = capsys.readouterr().out
    assert "1 of 6 files gave 2 faces" in said and "no face found: 1" in said and "2 faces share their photo" in said
    crop(folder, tmp_path / "one", one=True)
    assert (tmp_path / "one" / "two.png-1.png").exists() and not (tmp_path / "one" / "two.png-2.png").exists()


def test_exif_orientation_is_applied_before_anything_else(photos, tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # "turn me clockwise to look at me"
    photos("a.png", ASTRONAUT)
    table = crop(photos("b.png", np.rot90(ASTRONAUT), exif=exif), tmp_path / "faces")
    first, second = table[["left", "top", "side", "turned"]].values.tolist()
    assert first == second


@pytest.mark.parametrize("like, shape", [("fer2013", (48, 48)), ("rafdb", (100, 100, 3))])
def test_class_and_split_folders_are_kept_and_the_result_is_a_data_set(photos, tmp_path, cache, like, shape):
    faces = wall(DRAWN, border=20) if like == "fer2013" else np.kron(wall(DRAWN), np.ones((2, 2, 1), np.uint8))
    for split in ("train", "test"):
        for emotion in EMOTIONS[:2]:
            folder = photos(f"{split}/{emotion}/{split} 1.png", faces)
    crop(folder, tmp_path / "faces", like)
    with pytest.warns(UserWarning, match="no test image of"):
        found = load_dataset("folder", tmp_path / "faces", "test")
    assert found.images.shape == (2, *shape) and set(found.labels) == {0, 1}
    assert "test/anger/test 1.png-1.png" in found.names[0] and "enlarged" not in found.source


def test_a_table_of_labels_names_the_faces_instead_of_the_photos(photos, tmp_path, cache):
    for number in range(5):
        photos(f"{number}.png", wall(DRAWN, border=20))
    photos("5.png", wall(DRAWN, DRAWN))
    folder = photos("none.png", np.zeros((60, 60, 3), np.uint8))
    rows = [f"{emotion};{number}.PNG" for number, emotion in enumerate(("happy", "sad") * 3)] + ["fear;none"]
    (folder / "labels.csv").write_text("Emotion;File name\n" + "\n".join(rows))
    crop(folder, tmp_path / "faces")
    written = (tmp_path / "faces" / "labels.csv").read_text().splitlines()
    assert written[:2] == ["Emotion,File name", "happy,0.png-1.png"] and written[-2:] == [
        "sad,5.png-1.png", "sad,5.png-2.png"] and len(written) == 8
    with pytest.warns(UserWarning, match="no train image of"):
        assert load_dataset("folder", tmp_path / "faces").images.shape[1:] == (48, 48)


def test_nothing_of_a_photo_is_written_but_to_where_its_owner_asked(photos, tmp_path, cache, monkeypatch):
    monkeypatch.setenv("FER_UTILS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("HERE", str(tmp_path))
    photos("a.png", ASTRONAUT)
    folder = photos("b.png", DRAWN)
    (folder / "labels.csv").write_text("file,emotion\na.png,happy\n")
    before = set(tmp_path.rglob("*"))
    with watched() as opened:
        main(["crop", "$HERE/photos", "$HERE/faces"])
    assert opened and not [path for path in opened if tmp_path / "faces.part" not in Path(path).parents]
    written = set(tmp_path.rglob("*")) - before
    assert sorted(path.name for path in written) == ["a.png-1.png", "b.png-1.png", "faces", "faces.csv", "labels.csv"]
    with Image.open(tmp_path / "faces" / "a.png-1.png") as image:
        assert (image.size, image.mode, image.info) == ((48, 48), "L", {}), "no place, no camera, no time of the photo"


def test_places_where_nothing_should_be_written_or_read_are_refused(photos, tmp_path, monkeypatch):
    folder = photos("a.png")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to(folder)
    assert "no such folder" in refusal(crop, tmp_path / "nowhere", tmp_path / "out")
    assert "not a folder" in refusal(crop, folder / "a.png", tmp_path / "out")
    for inside in (folder, folder / "out", tmp_path / "link" / "faces"):
        assert "inside" in refusal(crop, folder, inside)
    assert "holds something" in refusal(crop, folder, tmp_path / "full")
    assert "holds something" in refusal(crop, folder, tmp_path / "full" / "mine.txt")
    assert "cannot be written" in refusal(crop, folder, folder / "a.png" / ".." / ".." / "full" / "mine.txt" / "out")
    monkeypatch.setitem(sys.modules, "facenet_pytorch", None)
    assert "pip install --no-deps facenet-pytorch" in refusal(crop, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(folder.glob("out*"))


def test_a_fault_on_the_way_leaves_nothing_behind(photos, tmp_path, monkeypatch):
    for name in ("one/a.png", "two/a.png"):
        folder = photos(name)
    (folder / "labels.csv").write_text("file,emotion\na.png,happy\n")
    with pytest.raises(FerError, match="a.png is one/a.png and two/a.png"):
        crop(folder, tmp_path / "faces")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]

