"""The seven classes: one order, right codes, and marks that tell them apart."""

import re

import pytest

from fer_utils.emotions import ALIASES, COLOURS, CONTEMPT, EMOTIONS, FER2013_CODES, MARKERS, label_of


def test_the_order_is_alphabetical_and_fixed():
    assert EMOTIONS == ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    assert list(EMOTIONS) == sorted(EMOTIONS)
    assert CONTEMPT == "contempt" and CONTEMPT not in EMOTIONS


def test_fer2013_codes_are_its_own_and_not_the_alphabetical_ones():
    assert FER2013_CODES != EMOTIONS
    assert sorted(FER2013_CODES) == sorted(EMOTIONS)
    # The official order of fer2013.csv: 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral.
    official = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert [label_of(name) for name in official] == [EMOTIONS.index(name) for name in FER2013_CODES]
    assert [label_of(name) for name in official] == [0, 1, 2, 3, 5, 6, 4]


@pytest.mark.parametrize("look", [COLOURS, MARKERS], ids=["colours", "markers"])
def test_each_class_has_a_look_of_its_own(look):
    assert tuple(look) == (*EMOTIONS, CONTEMPT)
    assert len({value.lower() if value.startswith("#") else value for value in look.values()}) == 8


def test_colours_are_hexadecimal():
    assert all(re.fullmatch(r"#[0-9A-F]{6}", colour) for colour in COLOURS.values())


@pytest.mark.parametrize("alias, name", [
    ("angry", "anger"), ("disgusted", "disgust"), ("fearful", "fear"), ("happy", "happiness"), ("sad", "sadness"),
    ("surprised", "surprise"), ("Happy", "happiness"), (" SAD ", "sadness"), ("Neutral", "neutral"),
])
def test_other_spellings_give_the_label(alias, name):
    assert label_of(alias) == EMOTIONS.index(name)


def test_every_name_is_its_own_label_and_every_alias_leads_to_one():
    assert [label_of(name) for name in EMOTIONS] == list(range(7))
    assert all(label_of(alias) == EMOTIONS.index(name) for alias, name in ALIASES.items())


@pytest.mark.parametrize("name", ["contempt", "", "happines", "0", "ange"])
def test_an_unknown_name_has_no_label(name):
    assert label_of(name) is None
