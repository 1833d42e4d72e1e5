"""Notebook 1's checks know answers that are written in another way than their own, right ones and wrong ones."""

import every_check as checks
import numpy as np
from every_check import judged

from fer_utils import datasets
from fer_utils.emotions import EMOTIONS, FER2013_CODES


def test_strangers_are_those_of_the_data_set():
    clean, noisy = (datasets.load_dataset("synthetic", label_noise=share) for share in (0.0, 0.4))
    named_fear = noisy.labels == EMOTIONS.index("fear")
    counted = 100 * (clean.labels[named_fear] != EMOTIONS.index("fear")).mean()
    judged(checks.strangers, [counted, 83, np.float32(82.6)], [
        (0.83, "give percent"), (40, "depends on the class's size"), (134, "More than all"),
        (66, "That is the answer for 0.2"), (17.4, "the strangers are the rest"), (10, "2,931"), ("many", "2,931")])


def test_label_order():
    def by_dictionary(codes):
        names = dict(enumerate(FER2013_CODES))
        return [EMOTIONS.index(names[int(code)]) for code in codes]

    judged(checks.label_order, [by_dictionary], [
        (lambda codes: [FER2013_CODES.index(EMOTIONS[code]) for code in codes], "the way back"),
        (lambda codes: [{4: 6, 6: 4}.get(int(code), code) for code in codes], "become 5, 6, 4"),
        (lambda codes: [int(code) for code in codes], "The same numbers"),
        (lambda codes: [FER2013_CODES[code] for code in codes], "it gives"), (lambda codes: codes[:1], "shape")])


def test_prepare():
    def looped(images, mean, std, training, flips):
        batch = []
        for image, flip in zip(images, flips):
            if training and flip:
                image = np.fliplr(image)
            batch.append((image.astype(np.float32) / 255 - mean) / std)
        return np.stack(batch)

    judged(checks.prepare, [looped], [
        (lambda images, *rest: looped(images.transpose(0, 2, 1), *rest).transpose(0, 2, 1), "upside down"),
        (lambda *case: looped(*case[:4], np.full(len(case[4]), case[4][0])), "one draw for all"),
        (lambda images, mean, std, *rest: looped(images, images.mean() / 255, images.std() / 255, *rest), "the batch"),
        (lambda images, mean, std, training, flips: looped(images, mean, std, True, flips), "validation faces, too"),
        (lambda images, mean, std, *rest: (images / 255.0 - mean) / std, "never mirrors"),
        (lambda images, mean, std, training, flips: looped(images, mean, std, training, flips | True), "all faces of"),
        (lambda images, *rest: looped(images.astype(float) * 255, *rest), "divide by 255"),
        (lambda images, mean, *rest: images / 255 - mean, "it gives"),
        (lambda images, *rest: images @ images[0, :3], "It stops with ValueError")])


def test_seen_before():
    def counted(train, validation):
        known = set(train.tolist())
        return sum(person in known for person in validation.tolist()) / len(validation)

    judged(checks.seen_before, [counted], [
        (lambda train, validation: counted(train, np.unique(validation)), "counts each person once"),
        (lambda train, validation: counted(validation, train), "*training* images"),
        (lambda train, validation: 1 - counted(train, validation), "the new ones"),
        (lambda train, validation: sum(person in train for person in validation), "That is how many"),
        (lambda train, validation: len(set(train) & set(validation)), "how many persons")])


def test_seen_before_agrees_with_the_courses_own_division():
    takes = datasets.load_dataset("synthetic", images_per_person=5)
    for by, holds in (("image", lambda share: share > 0.9), ("person", lambda share: share == 0)):
        train, validation = datasets.split_train_validation(takes, 0.3, 0, by)
        assert holds(checks.seen_before.reference(train.persons, validation.persons))


def test_split_persons():
    def chosen_one_by_one(persons, order, fraction):
        chosen = set(order.tolist()[:int(round(len(order) * fraction))])
        return [person in chosen for person in persons.tolist()]

    judged(checks.split_persons, [chosen_one_by_one], [
        (lambda persons, order, fraction: np.arange(len(persons)) < round(fraction * len(persons)), "first *images*"),
        (lambda persons, *rest: chosen_one_by_one(np.arange(len(persons)), *rest), "numbers of rows"),
        (lambda persons, order, fraction: chosen_one_by_one(persons, np.sort(order), fraction), "smallest numbers"),
        (lambda *case: ~np.array(chosen_one_by_one(*case)), "changed places"),
        (lambda *case: np.where(chosen_one_by_one(*case))[0], "give a mask")])
