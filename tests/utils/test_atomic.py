"""What is written whole: the new or the old, never half of it, and no part is left behind."""

import os

import pytest

from fer_utils.atomic import written_whole

FULL = OSError(28, "No space left on device")


def fill(path, text, folder):
    if folder:
        path.mkdir()
    (path / "content" if folder else path).write_text(text)


def content(path):
    return {str(found.relative_to(path)): found.read_text() for found in path.rglob("*") if found.is_file()}


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_there_is_the_new_or_else_still_the_old(tmp_path, folder):
    path, name = tmp_path / "new" / "it.json", "it.json/content" if folder else "it.json"
    for text in ("first", "second"):
        with written_whole(path) as part:
            fill(part, text, folder)
        assert content(path.parent) == {name: text}
    fill(part, "of a process that was killed", folder)
    for error in (FULL, KeyboardInterrupt()):
        with pytest.raises(type(error)), written_whole(path) as part:
            fill(part, "half", folder)
            raise error
        assert content(path.parent) == {name: "second"}


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    (tmp_path / "it").write_text("old")
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(FULL))
    with pytest.raises(OSError, match="No space"), written_whole(tmp_path / "it") as part:
        part.write_text("new")
    assert content(tmp_path) == {"it": "old"}


def test_of_two_that_write_one_folder_the_first_stays(tmp_path):
    with written_whole(tmp_path / "it", shared=True) as slow:
        fill(slow, "slow", folder=True)
        with written_whole(tmp_path / "it", shared=True) as fast:
            fill(fast, "fast", folder=True)
    assert content(tmp_path) == {"it/content": "fast"}
    with pytest.raises(OSError, match="No space"), written_whole(tmp_path / "other", shared=True):
        raise FULL
