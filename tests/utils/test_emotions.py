"""The seven classes: one order, right codes, and marks that tell them apart."""

from fer_utils.emotions import COLOURS, CONTEMPT, EMOTIONS, FER2013_CODES, MARKERS, label_of


def test_the_order_is_alphabetical_and_each_class_has_a_colour_and_a_marker_of_its_own():
    assert EMOTIONS == ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    for look in (COLOURS, MARKERS):
        assert tuple(look) == (*EMOTIONS, CONTEMPT) and len(set(look.values())) == 8


def test_names_in_any_spelling_give_the_label_and_an_unknown_name_has_none():
    # The official order of fer2013.csv: 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral.
    official = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert [label_of(name) for name in official] == [EMOTIONS.index(name) for name in FER2013_CODES]
    assert [label_of(name) for name in official] == [0, 1, 2, 3, 5, 6, 4]
    for words, label in ((("disgusted", "disgust"), 1), (("fearful", "Fear"), 2), (("Happy", "happiness"), 3),
                         (("Neutral",), 4), ((" SAD ", "sadness"), 5), (("surprised", "surprise"), 6)):
        assert [label_of(word) for word in words] == [label] * len(words)
    assert [label_of(name) for name in ("contempt", "", "happines", "0", "ange")] == [None] * 5
