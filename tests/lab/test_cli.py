"""The command line: fetching with a stand-in for Kaggle, the cache, and the help."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from fer_lab import cli as command_line
from fer_utils.datasets import PAPER_COUNTS, FaceDataset, load_dataset


@pytest.fixture
def kaggle(monkeypatch):
    """Downloads what ``answer`` says, of which the splits have these ``counts`` of the classes."""
    def download(name):
        assert name == "msambare/fer2013"
        if isinstance(found.answer, Exception):
            raise found.answer
        return found.answer

    def load(name, root, split):
        assert (name, root) == ("fer2013", found.answer)
        labels = np.repeat(np.arange(7), found.counts[split])
        return FaceDataset(np.zeros((len(labels), 1, 1), np.uint8), labels, labels.astype(str), split, name)

    tests = (589, *(500,) * 6)  # 3,589 images
    found = SimpleNamespace(answer="downloads/fer2013", counts={
        "train": PAPER_COUNTS["fer2013"], "public_test": tests, "private_test": tests})
    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=download))
    monkeypatch.setattr(command_line, "load_dataset", load)
    return found


def test_fetch_says_where_a_download_lies_that_is_complete_and_not_mixed_up(kaggle, capsys):
    command_line.main(["fetch", "fer2013"])
    assert kaggle.answer in capsys.readouterr().out
    whole = dict(kaggle.counts)
    for split, counts, size in (("train", (1,) * 7, 28709), ("public_test", (1,) * 7, 3589),
                                ("private_test", (1,) * 7, 3589), ("train", whole["train"][::-1], 28709)):
        kaggle.counts = {**whole, split: counts}
        with pytest.raises(SystemExit, match=f"split {split} has {sum(counts)} images, .*should be {size}"):
            command_line.main(["fetch", "fer2013"])


def test_fetch_says_offline_or_without_kagglehub_what_to_do_by_hand(kaggle, monkeypatch):
    by_hand = ".*By hand: download archive.zip from kaggle.com"
    kaggle.answer = ConnectionError("no route to host")
    with pytest.raises(SystemExit, match="no route to host" + by_hand):
        command_line.main(["fetch", "fer2013"])
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(SystemExit, match="kagglehub is not installed: pip install kagglehub" + by_hand):
        command_line.main(["fetch", "fer2013"])
    with pytest.raises(SystemExit, match="whdeng.cn/RAF"):
        command_line.main(["fetch", "rafdb"])


def test_cache_is_listed_and_cleared_and_nothing_else_is(cache, capsys):
    load_dataset("synthetic", split="test")
    (cache / "somebody's own").mkdir()
    (cache / f"{24 * 'a'}.b1.part").mkdir()  # left by a crash
    command_line.main(["cache"])
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 2 and "synthetic" in "".join(listed) and "not complete" in "".join(listed)
    command_line.main(["cache", "--clear"])
    assert "2 entries deleted" in capsys.readouterr().out
    assert [path.name for path in cache.iterdir()] == ["somebody's own"]


def test_help_says_what_each_command_does(capsys):
    for name, (_, purpose, _) in command_line.COMMANDS.items():
        with pytest.raises(SystemExit, match="0"):
            command_line.main([name, "--help"])
        assert purpose[1:] in " ".join(capsys.readouterr().out.split()), name
