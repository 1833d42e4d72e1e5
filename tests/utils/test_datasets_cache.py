"""The cache: what was read once is not read again, what has changed is, and no half entry is ever left."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets_on_disk import (
    encoded,
    for_each,
    forbidding,
    kept,
    noise,
    nothing_is_decoded,
    pack,
    put,
    rafdb_faces,
    same,
    table,
    table_rows,
    write_fer2013,
    write_official,
    write_own,
)

from fer_utils import datasets
from fer_utils.datasets import load_dataset
from fer_utils.datasets.cache import entries, forget
from fer_utils.errors import FerError


@pytest.fixture
def fer2013(tmp_path, cache):
    return write_fer2013(tmp_path / "fer2013")


@pytest.fixture
def csv(tmp_path, cache):
    return put(tmp_path / "fer2013.csv", table(table_rows()))


def test_the_second_load_decodes_nothing(fer2013, csv, tmp_path, monkeypatch):
    rafdb = write_official(tmp_path / "rafdb", rafdb_faces())
    roots = [("fer2013", fer2013), ("fer2013", pack(fer2013, tmp_path / "archive.zip")), ("fer2013", csv),
             ("rafdb", rafdb), ("folder", write_own(tmp_path / "mine"))]
    first = [load_dataset(*root) for root in roots]
    assert len(kept()) == 5
    nothing_is_decoded(monkeypatch)
    monkeypatch.setattr(datasets.fer2013, "read_table", None)
    assert all(same(load_dataset(*root), one) for root, one in zip(roots, first))
    for name, root, split in (("fer2013", fer2013, "public_test"), ("rafdb", rafdb, "test")):  # cached with it
        assert len(load_dataset(name, root, split))
    put(next(rafdb.rglob("train_0001_aligned.jpg")), b"changed")
    with pytest.raises(pytest.fail.Exception, match="an image was decoded again"):
        load_dataset("rafdb", rafdb)


def test_what_was_read_from_a_folder_is_forgotten_and_nothing_else(fer2013, tmp_path):
    sibling = shutil.copytree(fer2013, fer2013.with_name(f"{fer2013.name} and more"))
    archive = pack(sibling, tmp_path / "archive.zip")
    for root in (fer2013, sibling, archive):
        load_dataset("fer2013", root)
    (fer2013 / "train" / "note.txt").write_text("another state of the same folder")
    load_dataset("fer2013", fer2013)
    assert len(entries()) == 4 and forget(fer2013) == (2, 2) and forget(fer2013) == (0, 0)
    assert len(entries()) == 2 and forget(archive) == (1, 1)
    load_dataset("fer2013", sibling)
    assert len(entries()) == 1


def test_labels_of_a_cached_data_set_can_be_changed_without_harm(fer2013):
    load_dataset("fer2013", fer2013).labels[:] = 6
    assert load_dataset("fer2013", fer2013).counts().tolist() == [3] * 7


def test_a_changed_an_added_and_a_removed_file_are_noticed(fer2013, tmp_path):
    path, prints = fer2013 / "train" / "angry" / "Training_0.png", []

    def changed(root):
        prints.append(load_dataset("fer2013", root).fingerprint)
        return len(set(prints)) == len(prints)

    assert changed(fer2013)
    os.utime(put(path, encoded(noise(48, 48, seed=1000))), ns=(10**18, 10**18))  # so that no clock is too coarse
    assert changed(fer2013) and np.array_equal(load_dataset("fer2013", fer2013).images[0], noise(48, 48, seed=1000))
    put(fer2013 / "train" / "sad" / "Training_900.png", encoded(noise(48, 48)))
    assert changed(fer2013)
    path.rename(fer2013 / "train" / "sad" / path.name)
    assert changed(fer2013)
    (fer2013 / "train" / "sad" / "Training_900.png").unlink()
    assert changed(fer2013)
    archive = pack(fer2013, tmp_path / "archive.zip")
    before = load_dataset("fer2013", archive).fingerprint
    put(fer2013 / "train" / "sad" / path.name, encoded(noise(48, 48, seed=2000)))
    assert load_dataset("fer2013", pack(fer2013, archive)).fingerprint != before


def test_another_version_of_the_readers_reads_anew(csv, cache, monkeypatch):
    load_dataset("fer2013", csv)
    monkeypatch.setattr(datasets.cache, "FORMAT", datasets.cache.FORMAT + 1)
    load_dataset("fer2013", csv)
    assert len(list(cache.iterdir())) == 2


def test_another_process_that_was_faster_does_no_harm(csv, cache, monkeypatch):
    rename = Path.rename

    def late(part, folder):  # the other one's folder is there when ours is to be put in place
        rename(part, folder)
        raise OSError("the folder exists")

    monkeypatch.setattr(Path, "rename", late)
    assert len(load_dataset("fer2013", csv)) == 7
    assert len(list(cache.iterdir())) == 1


def test_a_damaged_entry_is_named(csv, cache):
    load_dataset("fer2013", csv)
    (folder,) = cache.iterdir()
    for name in ("images", "labels", "names"):
        whole = (folder / f"{name}.npy").read_bytes()
        (folder / f"{name}.npy").write_bytes(whole[:40])
        with pytest.raises(FerError, match=f"{folder.name}: this entry of the cache is damaged .*delete the folder"):
            load_dataset("fer2013", csv)
        (folder / f"{name}.npy").write_bytes(whole)


# Crashes, no room, no permission. Tests may run as root, who may do all, so these errors are made


@pytest.mark.parametrize("crash", [KeyboardInterrupt, MemoryError])
def test_a_crash_while_writing_leaves_no_half_entry(csv, monkeypatch, crash):
    save = np.save

    for step in ("images", "labels", "names"):
        def save_and_crash(path, array, step=step):
            if Path(path).stem == step:
                Path(path).write_bytes(b"half")
                raise crash("in the middle of it")
            save(path, array)

        with monkeypatch.context() as patch:
            patch.setattr(np, "save", save_and_crash)
            with pytest.raises(crash):
                load_dataset("fer2013", csv)
        assert kept() == []  # the real one has 75 MB: a reader who interrupts twice must not lose 150
    assert len(load_dataset("fer2013", csv)) == 7


def test_a_cache_that_cannot_be_written_says_what_to_do_and_keeps_nothing(csv, cache, monkeypatch):
    def check(step, code):
        def fail(*arguments, **options):
            raise OSError(code, os.strerror(code))

        def save(path, array, to=np.save):
            Path(path).write_bytes(b"half") if Path(path).stem == step else to(path, array)
            if Path(path).stem == step:
                fail()

        with monkeypatch.context() as patch:
            where = {"mkdir": Path, "write_text": Path, "rename": Path}.get(step)
            patch.setattr(where, step, fail) if where else patch.setattr(np, "save", save)
            with pytest.raises(FerError, match=f"{cache}: the cache cannot be written .*{os.strerror(code)}.*free some "
                                               "space there, or set FER_UTILS_CACHE"):
                load_dataset("fer2013", csv)
        assert kept() == []

    steps = ("mkdir", "images", "labels", "names", "write_text", "rename")
    for_each(check, [(step, code) for step in steps for code in (errno.ENOSPC, errno.EACCES, errno.EROFS)])
    assert len(load_dataset("fer2013", csv)) == 7


def test_an_entry_that_may_not_be_read_says_so(csv, cache, monkeypatch):
    load_dataset("fer2013", csv)
    for owner, name in ((Path, "is_dir"), (np, "load")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, forbidding(getattr(owner, name), cache))
            with pytest.raises(FerError, match="Permission denied.*set FER_UTILS_CACHE to another folder"):
                load_dataset("fer2013", csv)
