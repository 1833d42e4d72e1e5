"""docs/datasheet.md says what the code does."""

import inspect
import re
from pathlib import Path

import pytest

from fer_utils.datasets import SYNTHETIC, load_dataset
from fer_utils.datasets.synthetic import load
from fer_utils.emotions import EMOTIONS
from fer_utils.faces import UNITS, Difficulty

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "datasheet.md").read_text(encoding="utf-8")
PLAIN = " ".join(TEXT.split())


def rows():
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("|")]


def test_counts_seeds_fingerprints_and_shape():
    assert ["split", "seed", *EMOTIONS, "all"] in rows()
    for split, (counts, seed) in SYNTHETIC.items():
        dataset = load_dataset("synthetic", split=split)
        assert [split, str(seed), *map(str, counts), str(sum(counts))] in rows()
        assert [split, f"`{dataset.fingerprint}`"] in rows()
        assert "{} x {} grey pixels (uint8)".format(*dataset.images.shape[1:]) in PLAIN


def test_difficulty():
    d = Difficulty()
    for words in (f"strength {d.weakest} to {d.strongest}", f"lacks an action unit (chance {d.missing} each)",
                  f"shows a stray one ({d.stray})", f"standard deviation {d.noise} of the grey range",
                  f"covers a part (chance {d.occlusion})"):
        assert words in PLAIN
    assert len(UNITS) == 13 and "only thirteen action units" in PLAIN and len(EMOTIONS) == 7


def test_options_and_files_that_it_names_exist():
    for option in set(inspect.signature(load).parameters) - {"root", "split"}:
        assert f"`{option}" in TEXT
    with pytest.raises(ValueError, match="16 to 512"):
        load_dataset("synthetic", size=513)
    assert "`size`, 16 to 512 pixels" in PLAIN
    for path in re.findall(r"`((?:fer_utils|tests)/[\w/.]*)`", TEXT):
        assert (ROOT / path).exists()
