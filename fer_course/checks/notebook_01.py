"""Exercises of notebook 1: a data set of faces."""

import numpy as np
import torch

from fer_utils.datasets import SYNTHETIC
from fer_utils.emotions import EMOTIONS, FER2013_CODES, RAFDB_CODES
from fer_utils.transforms import normalise, to_channels

from .verdict import FunctionCheck, Mistake, ValueCheck


def _strangers(label, noise):
    """Percent of the faces called ``label`` that show something else, as is to be expected at that label noise."""
    counts = np.array(SYNTHETIC["train"][0])
    join, stay = (counts.sum() - counts[label]) * noise / 6, counts[label] * (1 - noise)
    return 100 * join / (join + stay)


_FEAR = EMOTIONS.index("fear")

strangers = ValueCheck(
    lambda mine: abs(mine - _strangers(_FEAR, 0.4)) <= 5,  # what is drawn strays by some points
    "About 195 strangers join 41 that stay. Of the rarest class the noise leaves hardly any.",
    (Mistake(lambda mine: 0 < mine < 1, "That reads like a share; give percent.", matches=True),
     Mistake(40.0, "40 % is the share of all labels that are wrong. What it does to a class depends on the class's "
             "size: a small one loses few and is given many."),
     Mistake(134.0, "More than all of them? Twice the noise does not double the share: it doubles those who join, and "
             "those who stay get fewer."),
     Mistake(lambda mine: abs(mine - _strangers(_FEAR, 0.2)) <= 3, "That is the answer for 0.2, the noise of section "
             "1.5. Here it is 0.4.", matches=True),
     Mistake(lambda mine: abs(100 - mine - _strangers(_FEAR, 0.4)) <= 3, "That is the share of those who belong there; "
             "the strangers are the rest.", matches=True)),
    "How many of the 2,931 others lose their label, and what share of these becomes fear? How many of the 69 stay?")


def _codes(rng):
    return [(np.arange(7),), (rng.integers(7, size=20),), (np.array([6]),)]


_OURS = np.array([EMOTIONS.index(emotion) for emotion in FER2013_CODES])  # by FER2013's codes
_RAFDB = np.array([EMOTIONS.index(emotion) for emotion in RAFDB_CODES.values()])

label_order = FunctionCheck(
    lambda codes: _OURS[codes], _codes, "You matched names, not numbers. Only that is safe.",
    (Mistake(lambda codes: codes, "The same numbers, and so the wrong names: FER2013's 4 is sadness, and our 4 is "
             "neutral. Four of the seven keep their number, so the accuracy looks merely bad, not absurd."),
     Mistake(lambda codes: np.argsort(_OURS)[codes], "That is the way back: from our numbers to FER2013's. Ask of a "
             "code first which emotion it names, and then where that stands in EMOTIONS."),
     Mistake(lambda codes: _RAFDB[codes], "Those are the emotions of RAF-DB's codes. FER2013 has another list, and "
             "counts from 0."),
     Mistake(lambda codes: np.where(codes == 4, 6, np.where(codes == 6, 4, codes)), "Sadness and neutral have changed "
             "places, but FER2013's last three are all elsewhere in our order: 4, 5, 6 become 5, 6, 4.")))


def _faces(rng):
    mean, std = 0.45, 0.2
    return [(rng.integers(256, size=(n, 6, 6), dtype=np.uint8), mean, std, training,
             np.arange(n) % 3 == first) for n, training, first in ((4, True, 1), (5, False, 0), (3, True, 0))]


def _prepared(images, mean, std):
    batch = normalise(to_channels(torch.from_numpy(np.ascontiguousarray(images))), [mean] * 3, [std] * 3)
    return batch[:, 0].numpy()


def _mirrored(images, rows):
    return np.where(rows[:, None, None], images[:, :, ::-1], images)


def _right(images, mean, std, training, flips):
    return _prepared(_mirrored(images, flips & training), mean, std)


def _normalised_by_itself(images, mean, std, training, flips):
    return _right(images, images.mean() / 255, images.std() / 255, training, flips)


prepare = FunctionCheck(
    _right, _faces,
    "Every image is scaled and normalised with the training set's numbers; only training changes the face.",
    (Mistake(lambda images, mean, std, training, flips: _prepared(_mirrored(images, flips), mean, std),
             "It mirrors validation faces, too. Then each epoch is judged on other images, and a lucky draw looks like "
             "a better model. It happens where one transform is given to all data before they are divided."),
     Mistake(lambda images, mean, std, training, flips: _prepared(images, mean, std),
             "It never mirrors. In training it should, where the image's own entry of `flips` says so."),
     Mistake(lambda images, mean, std, training, flips: _prepared(_mirrored(images, ~flips & training), mean, std),
             "It mirrors those that `flips` does not mark, and leaves alone those that it does."),
     Mistake(lambda images, mean, std, training, flips: _right(images, mean, std, training, flips | True),
             "It mirrors all faces of a batch. Each face has its own entry in `flips`."),
     Mistake(lambda images, mean, std, training, flips: _right(images, mean, std, training, flips[:1]),
             "It asks the first entry of `flips` for the whole batch: one draw for all. Each face has its own."),
     Mistake(lambda images, mean, std, training, flips: _prepared(
         _mirrored(images.transpose(0, 2, 1), flips & training).transpose(0, 2, 1), mean, std),
             "It turns faces upside down: the second axis is the height. To mirror, reverse the last one."),
     Mistake(lambda images, mean, std, training, flips: (_mirrored(images, flips & training) - mean) / std,
             "`mean` and `std` belong to grey levels from 0 to 1, and the images have 0 to 255: divide by 255 first."),
     Mistake(_normalised_by_itself, "It takes mean and deviation from the batch itself. Then the same face looks "
             "different in another batch. Use the training set's two numbers for all.")))


def _persons(rng):
    return [(rng.integers(40, size=n), rng.integers(40, size=m)) for n, m in ((30, 12), (60, 20), (9, 15))]


def _share_of(persons, others):
    return np.isin(persons, others).mean()


seen_before = FunctionCheck(
    lambda train, validation: _share_of(validation, train), _persons,
    "The share of validation images whose person was trained on; anything above 0 makes validation look too good.",
    (Mistake(lambda train, validation: _share_of(np.unique(validation), train), "That counts each person once. "
             "Validation is scored by image, so count images: who has five pictures counts five times."),
     Mistake(lambda train, validation: np.isin(validation, train).sum(), "That is how many; divide by the number of "
             "validation images."),
     Mistake(lambda train, validation: len(np.intersect1d(train, validation)), "That is how many persons are on both "
             "sides; asked for is the share of validation images that show one of them."),
     Mistake(lambda train, validation: _share_of(train, validation), "That is the share of *training* images whose "
             "person is in validation, too. Turn the question round."),
     Mistake(lambda train, validation: 1 - _share_of(validation, train), "That is the share of the new ones; asked for "
             "are those seen before."),
     Mistake(lambda train, validation: (train[:len(validation)] == validation[:len(train)]).mean(),
             "It compares the two lists position by position. A person may stand anywhere in the other list: look at "
             "np.isin.")))


def _takes(rng):
    cases = []
    for persons, fraction in ((10, 0.3), (20, 0.25), (8, 0.5)):
        of_each = np.repeat(np.arange(persons), rng.integers(2, 6, size=persons))
        cases.append((rng.permutation(of_each), rng.permutation(persons), fraction))
    return cases


def _first(order, fraction):
    return order[:round(fraction * len(order))]


def _first_rows(persons, fraction):
    return np.arange(len(persons)) < round(fraction * len(persons))


split_persons = FunctionCheck(
    lambda persons, order, fraction: np.isin(persons, _first(order, fraction)), _takes,
    "Persons are drawn, and their images follow: nobody is on both sides.",
    (Mistake(lambda persons, order, fraction: _first_rows(persons, fraction), "It takes the first *images*, so a "
             "person's pictures fall on both sides. Choose persons first, then all of their images."),
     Mistake(lambda persons, order, fraction: np.isin(np.arange(len(persons)), _first(order, fraction)),
             "It takes the numbers of persons for numbers of rows. Which rows show such a person?"),
     Mistake(lambda persons, order, fraction: ~np.isin(persons, _first(order, fraction)), "That is the mask of "
             "training: the two sides have changed places."),
     Mistake(lambda persons, order, fraction: persons < round(fraction * len(order)), "It takes the persons with the "
             "smallest numbers, not the first ones of `order`. Numbers often follow day or place of the recording, "
             "so draw persons at random."),
     Mistake(lambda persons, order, fraction: np.flatnonzero(np.isin(persons, _first(order, fraction))),
             "The right rows, but as numbers; give a mask, True or False for each image."),
     Mistake(lambda persons, order, fraction: _first(order, fraction), "The right persons; now give a mask of their "
             "images.")))
