"""One photo in memory: what is read, what is refused, and a square that never leaves it."""

import numpy as np
import pytest
from conftest import refusal
from datasets_on_disk import encoded
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fer_utils.datasets import files, photo


def gradient(height=40, width=60):
    """Grey levels that rise from left to right."""
    return np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))


def test_photo_is_read_as_the_camera_was_held_and_no_larger_than_1024_pixels():
    assert np.array_equal(photo.read_photo(encoded(gradient())), gradient())
    assert photo.read_photo(encoded(gradient()), colour=True).shape == (40, 60, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: what was left is now above
    read = photo.read_photo(encoded(gradient(), "JPEG", exif=exif, quality=95))
    assert read.shape == (60, 40) and read[:5].mean() < 30 < 220 < read[-5:].mean()
    assert photo.read_photo(encoded(gradient(600, 3000))).shape == (205, 1024)
    assert photo.read_photo(encoded(gradient(3000, 20))).shape == (1024, 16)  # no thinner than a face may be


def test_what_is_no_photo_is_told_in_a_sentence(monkeypatch):
    bomb = encoded(Image.new("1", (10_000, 5_001)))
    for shape in ((15, 40), (40, 15), (1, 1)):
        said = refusal(photo.read_photo, encoded(np.zeros(shape, np.uint8)))
        assert f"{shape[1]} x {shape[0]} pixels" in said
    monkeypatch.setattr(files.np, "asarray", lambda *given: pytest.fail("its pixels were unpacked"))
    for content in (b"no image at all", encoded(gradient(), "TIFF")):
        assert "selfie.png: cannot be read as an image" in refusal(photo.read_photo, content, "selfie.png")
    assert "10000x5001 pixels are too many" in refusal(photo.read_photo, bomb)
    monkeypatch.setattr(photo, "decode", lambda *given: pytest.fail("it was opened"))
    assert "8,000,001 bytes" in refusal(photo.read_photo, bytes(photo.BYTES + 1))


shares = st.floats(0, 1)


@given(st.integers(16, 90), st.integers(16, 90), shares, shares, shares)
def test_square_never_leaves_the_photo(height, width, across, down, side):
    image = np.zeros((height, width), np.uint8)
    left, top, size = photo.square(image, across, down, side)
    assert 16 <= size <= min(height, width)
    assert 0 <= left <= width - size and 0 <= top <= height - size
    assert photo.face_in(image, (left, top, size), 48).shape == (48, 48)


def test_square_takes_shares_and_reaches_all_edges():
    image = np.zeros((40, 60), np.uint8)
    assert photo.square(image) == (10, 0, 40)
    assert photo.square(image, 0, 0, 0.5) == (0, 0, 20) and photo.square(image, 1, 1, 0.5) == (40, 20, 20)
    for what, share in (("across", -0.1), ("down", 1.01), ("side", float("nan")), ("side", 50)):
        assert f"square: {what} is {share}" in refusal(photo.square, image, **{what: share})


def test_face_is_what_lies_in_the_square_with_its_light_and_mirrored():
    image = np.zeros((40, 60), np.uint8)
    image[10:30, 30:50] = 200
    colour = np.stack([image, image // 2, image // 4], 2)
    assert (photo.face_in(colour, (30, 10, 20), 32) == (200, 100, 50)).all()
    assert (photo.face_in(image, (0, 10, 20)) == 0).all()
    plain, bright, dark = (photo.face_in(gradient(40, 40), (0, 0, 40), light=light) for light in (1.0, 3.0, 0.1))
    assert bright.max() == 255 and dark.max() in (25, 26) and (np.diff(bright[0].astype(int)) >= 0).all()
    assert np.array_equal(photo.face_in(gradient(40, 40), (0, 0, 40), mirror=True), plain[:, ::-1])
