"""The command line: fetching with a stand-in for Kaggle, and the cache."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fer_lab import cli as command_line
from fer_utils.datasets import load_dataset
from fer_utils.datasets.cache import entries
from fer_utils.emotions import FER2013_CODES

FOLDERS = {"anger": "angry", "happiness": "happy", "sadness": "sad"}


@pytest.fixture
def download(tmp_path):
    """A FER2013 of one face for each class and split."""
    rng, row = np.random.default_rng(0), 0
    for usage, part in (("Training", "train"), ("PublicTest", "test"), ("PrivateTest", "test")):
        for emotion in FER2013_CODES:
            folder = tmp_path / "download" / part / FOLDERS.get(emotion, emotion)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (48, 48), np.uint8)).save(folder / f"{usage}_{row}.png")
            row += 1
    return tmp_path / "download"


def stand_in(monkeypatch, answer):
    asked = []

    def dataset_download(name):
        asked.append(name)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=dataset_download))
    return asked


def sizes(monkeypatch, size, counts):
    monkeypatch.setattr(command_line, "OFFICIAL", dict.fromkeys(("train", "public_test", "private_test"), size))
    monkeypatch.setattr(command_line, "PAPER_COUNTS", {"fer2013": counts})


def test_fetch_downloads_verifies_and_says_where(monkeypatch, download, cache, capsys):
    asked = stand_in(monkeypatch, download)
    sizes(monkeypatch, 7, (1,) * 7)
    command_line.main(["fetch", "fer2013"])
    assert asked == ["msambare/fer2013"] and str(download) in capsys.readouterr().out


def test_fetch_refuses_a_download_that_is_not_complete_or_mixed_up(monkeypatch, download, cache):
    stand_in(monkeypatch, download)
    with pytest.raises(SystemExit, match="7 images in the split train, and there should be 28709"):
        command_line.main(["fetch", "fer2013"])
    sizes(monkeypatch, 7, (2, 0, 1, 1, 1, 1, 1))
    with pytest.raises(SystemExit, match="training labels are"):
        command_line.main(["fetch", "fer2013"])


def test_fetch_says_offline_or_without_kagglehub_what_to_do_by_hand(monkeypatch, cache):
    by_hand = ".*By hand: download archive.zip from kaggle.com"
    stand_in(monkeypatch, ConnectionError("no route to host"))
    with pytest.raises(SystemExit, match="no route to host" + by_hand):
        command_line.main(["fetch", "fer2013"])
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(SystemExit, match="kagglehub is not installed: pip install kagglehub" + by_hand):
        command_line.main(["fetch", "fer2013"])


def test_fetch_says_whom_to_ask_for_rafdb():
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
    assert [path.name for path in cache.iterdir()] == ["somebody's own"] and entries() == []
    command_line.main(["cache", "--clear"])
    assert "0 entries deleted" in capsys.readouterr().out


def test_help_says_what_each_command_and_each_argument_does(capsys):
    with pytest.raises(SystemExit):
        command_line.main(["--help"])
    overview, untold = capsys.readouterr().out, []
    for name, (_, purpose, arguments) in command_line.COMMANDS.items():
        with pytest.raises(SystemExit):
            command_line.main([name, "--help"])
        page = " ".join(capsys.readouterr().out.split())
        untold += [name] * (purpose not in overview or purpose[1:] not in page)
        untold += [f"{name} {flag}" for flag, options in arguments if options["help"] not in page]
    assert not untold
