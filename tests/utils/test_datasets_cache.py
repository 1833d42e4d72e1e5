"""The cache: what was read once is not read again, what has changed is, and no half entry is ever left."""

import errno
import os
import shutil
from pathlib import Path

import datasets_on_disk as disk
import numpy as np
import pytest
from conftest import refusal
from PIL import Image

from fer_utils import datasets
from fer_utils.datasets import load_dataset
from fer_utils.datasets.cache import entries, forget


@pytest.fixture
def fer2013(tmp_path, cache):
    return disk.write_fer2013(tmp_path / "fer2013")


@pytest.fixture
def csv(tmp_path, cache):
    return disk.put(tmp_path / "fer2013.csv", disk.table(disk.table_rows()))


def test_the_second_load_decodes_nothing(fer2013, csv, tmp_path, monkeypatch):
    rafdb = disk.write_official(tmp_path / "rafdb", disk.rafdb_faces())
    archive, mine = disk.pack(fer2013, tmp_path / "archive.zip"), disk.write_own(tmp_path / "mine")
    roots = [*(("fer2013", root) for root in (fer2013, archive, csv)), ("rafdb", rafdb), ("folder", mine)]
    first = [load_dataset(*root) for root in roots]
    monkeypatch.setattr(Image, "open", lambda *args, **more: pytest.fail("an image was decoded again"))
    monkeypatch.setattr(datasets.fer2013, "read_table", None)
    assert all(disk.same(load_dataset(*root), one) for root, one in zip(roots, first)) and len(disk.kept()) == 5
    for name, root, split in (("fer2013", fer2013, "public_test"), ("rafdb", rafdb, "test")):  # cached with it
        assert len(load_dataset(name, root, split))
    disk.put(next(rafdb.rglob("train_0001_aligned.jpg")), b"changed")
    with pytest.raises(pytest.fail.Exception, match="decoded again"):
        load_dataset("rafdb", rafdb)
    load_dataset("fer2013", csv).labels[:] = 6  # a copy, and not what lies in the cache
    assert load_dataset("fer2013", csv).counts().tolist() == [1] * 7


def test_what_was_read_from_a_folder_is_forgotten_and_nothing_else(fer2013, tmp_path):
    sibling = shutil.copytree(fer2013, fer2013.with_name(f"{fer2013.name} and more"))
    archive = disk.pack(sibling, tmp_path / "archive.zip")
    for root in (fer2013, sibling, archive):
        load_dataset("fer2013", root)
    (fer2013 / "train" / "note.txt").write_text("another state of the same folder")
    load_dataset("fer2013", fer2013)
    assert len(entries()) == 4 and forget(fer2013) == (2, 2) and forget(fer2013) == (0, 0)
    assert len(entries()) == 2 and forget(archive) == (1, 1)
    load_dataset("fer2013", sibling)
    assert len(entries()) == 1


def test_a_changed_an_added_and_a_removed_file_are_noticed(fer2013, tmp_path):
    path, archive = fer2013 / "train" / "angry" / "Training_0.png", tmp_path / "archive.zip"
    added = path.with_name("Training_900.png")
    prints = []

    def changed(root):
        prints.append(load_dataset("fer2013", root).fingerprint)
        return len(set(prints)) == len(prints)

    assert changed(fer2013)
    new = disk.noise(48, 48, seed=1000)
    os.utime(disk.put(path, disk.encoded(new)), ns=(10**18, 10**18))  # so that no clock is too coarse
    assert changed(fer2013) and np.array_equal(load_dataset("fer2013", fer2013).images[0], new)
    disk.put(added, disk.encoded(disk.noise(48, 48)))
    assert changed(fer2013)
    path.rename(fer2013 / "train" / "sad" / path.name)
    assert changed(fer2013)
    added.unlink()
    assert changed(fer2013)
    disk.pack(fer2013, archive)
    load_dataset("fer2013", archive)
    disk.put(added, disk.encoded(disk.noise(48, 48, seed=2000)))
    assert changed(disk.pack(fer2013, archive))


def test_another_version_of_the_readers_reads_anew(csv, monkeypatch):
    load_dataset("fer2013", csv)
    monkeypatch.setattr(datasets.cache, "FORMAT", datasets.cache.FORMAT + 1)
    load_dataset("fer2013", csv)
    assert len(disk.kept()) == 2


def test_another_process_that_was_faster_does_no_harm(csv, monkeypatch):
    rename = Path.rename

    def late(part, folder):  # the other one's folder is there when ours is to be put in place
        rename(part, folder)
        raise OSError("the folder exists")

    monkeypatch.setattr(Path, "rename", late)
    assert len(load_dataset("fer2013", csv)) == 7 and len(disk.kept()) == 1


def test_an_entry_that_is_damaged_or_may_not_be_read_is_named(csv, cache, monkeypatch):
    load_dataset("fer2013", csv)
    (folder,) = disk.kept()
    for name in ("images", "labels", "names"):
        whole = (folder / f"{name}.npy").read_bytes()
        (folder / f"{name}.npy").write_bytes(whole[:40])
        said = refusal(load_dataset, "fer2013", csv)
        assert f"{folder}: this entry of the cache cannot be read" in said and "delete the folder" in said
        (folder / f"{name}.npy").write_bytes(whole)
    for owner, name in ((Path, "is_dir"), (np, "load")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, disk.forbidding(getattr(owner, name), cache))
            said = refusal(load_dataset, "fer2013", csv)
            assert "Permission denied" in said and "set FER_UTILS_CACHE to another folder" in said


# Crashes and no room. Tests may run as root, who may do all, so these errors are made


def test_a_cache_that_cannot_be_written_keeps_no_half_entry_and_says_what_to_do(csv, cache, monkeypatch):
    def check(step, error):
        def fail(path, *arguments, **options):
            if path.suffix == ".npy":
                path.write_bytes(b"half")
            if step in ("mkdir", "write_text", "rename", path.stem):
                raise error

        with monkeypatch.context() as patch:
            patch.setattr(*(Path, step) if hasattr(Path, step) else (datasets.cache, "_save"), fail)
            if isinstance(error, OSError):
                said = refusal(load_dataset, "fer2013", csv)
                assert f"{cache}: the cache cannot be written (" in said and error.strerror in said, said
                assert "set FER_UTILS_CACHE" in said
            else:
                with pytest.raises(type(error)):
                    load_dataset("fer2013", csv)
        assert disk.kept() == []  # the real one has 75 MB: a reader who interrupts twice must not lose 150

    errors = [OSError(code, os.strerror(code)) for code in (errno.ENOSPC, errno.EACCES)]
    arrays = ("images", "labels", "names")
    disk.for_each(check, [*((step, error) for step in ("mkdir", *arrays, "write_text", "rename") for error in errors),
                          *((step, crash()) for step in arrays for crash in (KeyboardInterrupt, MemoryError))])
    with monkeypatch.context() as patch:  # numpy says nothing where only the last few kilobytes don't fit on the disk
        patch.setattr(np, "save", lambda path, array: path.write_bytes(b"half"))
        assert os.strerror(errno.ENOSPC) in refusal(load_dataset, "fer2013", csv) and disk.kept() == []
    assert len(load_dataset("fer2013", csv)) == 7
