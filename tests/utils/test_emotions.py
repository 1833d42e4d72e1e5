"""The seven classes: one order, right codes, and marks that tell them apart."""

import re

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


def test_each_class_has_a_colour_and_a_marker_of_its_own():
    for look in (COLOURS, MARKERS):
        assert tuple(look) == (*EMOTIONS, CONTEMPT) and len(set(look.values())) == 8
    assert all(re.fullmatch(r"#[0-9A-F]{6}", colour) for colour in COLOURS.values())


def test_names_and_other_spellings_give_the_label_and_an_unknown_name_has_none():
    spellings = {"angry": "anger", "disgusted": "disgust", "fearful": "fear", "happy": "happiness", "sad": "sadness",
                 "surprised": "surprise", "Happy": "happiness", " SAD ": "sadness", "Neutral": "neutral",
                 **dict(zip(EMOTIONS, EMOTIONS)), **ALIASES}
    assert {word: label_of(word) for word in spellings} == {word: EMOTIONS.index(name)
                                                            for word, name in spellings.items()}
    assert [label_of(name) for name in ("contempt", "", "happines", "0", "ange")] == [None] * 5
