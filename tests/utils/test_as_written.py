"""Paths and numbers as people write them are what they mean; what means nothing is refused or left as it is."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import refusal

from fer_utils.as_written import path_of, value_of, whole_of


def test_a_path_is_taken_with_its_home_and_its_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FACES", "~/faces")
    for written in ("~/faces", "$HOME/faces", "${HOME}/faces", "$FACES", tmp_path / "faces"):
        assert path_of(written) == tmp_path / "faces", written
    monkeypatch.chdir(tmp_path)
    (tmp_path / "$literal").mkdir()
    assert path_of("$literal").is_dir()
    assert "the variable $NOBODY_SET_IT is not set" in refusal(path_of, "$NOBODY_SET_IT/runs")
    assert all("is no path" in refusal(path_of, wrong) for wrong in (None, 3, ["a"]))


@pytest.mark.parametrize("written, meant", [
    ("1e-3", 0.001), (".1", 0.1), ("+0.2", 0.2), ("01", 1), (" 7 ", 7), ("-3", -3), ("1.", 1.0), ("1E2", 100.0),
    ("TRUE", True), ("none", None), (np.int64(3), 3), (np.float32(0.1), 0.1), (np.bool_(True), True),
    (torch.tensor(0.1), 0.1), (np.array([1, 2]), [1, 2]), (pd.Series([0.5, 1.0]), [0.5, 1.0]),
    ((np.float64(1), "2"), [1.0, 2]), ({"epochs": "3", "lam": np.float32(0.2)}, {"epochs": 3, "lam": 0.2}),
    *((text, text) for text in ("resnet18", "", "1-2", "1e", "e3", ".", "0x10", "1_000", "nan", "inf", "١"))])
def test_a_value_is_the_one_that_is_meant(written, meant):
    found = value_of(written)
    assert found == meant and type(found) is type(meant)


def test_a_whole_number_is_whole_however_a_table_holds_it():
    for written, meant in ((1.0, 1), ("2.0", 2), (np.float64(3), 3), ("4", 4), (0.5, 0.5), (True, True), ("x", "x")):
        found = whole_of(written)
        assert found == meant and type(found) is type(meant)
