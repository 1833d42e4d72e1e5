"""Notebook 2's checks know answers that are written in another way than their own, right ones and wrong ones."""

import copy

import every_check as checks
import numpy as np
import torch
from every_check import judged
from torch.nn import functional

from fer_utils import evaluation
from fer_utils.emotions import EMOTIONS
from fer_utils.paper import TRAIN_COUNTS


def test_lazy_program_is_what_the_scores_say():
    labels = np.repeat(np.arange(7), TRAIN_COUNTS["fer2013"])
    scores = evaluation.scores(labels, np.full(len(labels), EMOTIONS.index("happiness")))
    recall = np.mean(list(scores["recall"].values()))
    judged(checks.lazy_program, [(scores["accuracy"], scores["macro_f1"]), [0.25, 0.06]], [
        ((scores["accuracy"], scores["weighted_f1"]), "weighted F1"), ((scores["accuracy"], recall), "mean *recall*"),
        ((25.1, 5.7), "not percent"), ((0.057, 0.251), "changed places"), ((0.143, 0.1), "One in seven"),
        ((0.389, 0.08), "drawn faces"), ((0.251, 0.402), "happiness alone"), ((0.251, 0.251), "only by chance"),
        (0.25, "A pair"), ((0.25, 0.9), "A pair"), ((0.25, None), "A pair")])


def test_standard_error_is_that_of_simulated_tests():
    def simulated(accuracy, n):
        return 100 * np.random.default_rng(0).binomial(n, accuracy, 200_000).std() / n

    def unbiased(accuracy, n):
        return 100 * (accuracy * (1 - accuracy) / (n - 1)) ** 0.5

    judged(checks.standard_error, [simulated, unbiased], [
        (lambda *case: simulated(*case) / 100, "as a share"),
        (lambda accuracy, n: 100 * (accuracy - accuracy ** 2) / n, "variance"),
        (lambda accuracy, n: 100 / n * (accuracy - accuracy ** 2) ** 0.5, "under the root"),
        (lambda accuracy, n: 100 * accuracy ** 0.5 / n ** 0.5, "not 1 − p"),
        (lambda accuracy, n: (100 * accuracy * (100 - 100 * accuracy)) ** 0.5, "*one* face"),
        (lambda accuracy, n: 1 / n, "it gives")])


def test_probabilities():
    def one_by_one(network, batch):
        network.train(False)
        rows = [functional.softmax(network(image.unsqueeze(0))[1], dim=-1) for image in batch]
        return torch.cat(rows).tolist()

    def by_hand(network, batch):
        network.eval()
        with torch.inference_mode():
            powers = network(batch)[1].exp()
        return (powers / powers.sum(1, keepdim=True)).numpy()

    def only_no_grad(network, batch):
        with torch.no_grad():
            return functional.softmax(network(batch)[1], dim=1)

    def too_late(network, batch):
        _, logits = network(batch)
        network.eval()
        return logits.softmax(-1)

    def alone_in_training_mode(network, batch):
        return np.concatenate([only_no_grad(network, image[None]).numpy() for image in batch])

    judged(checks.probabilities, [one_by_one, by_hand], [
        (only_no_grad, "training mode"), (too_late, "training mode"), (alone_in_training_mode, "training mode"),
        (lambda network, batch: network.eval().forward(batch)[-1].detach(), "logits: any numbers"),
        (lambda network, batch: functional.softmax(network.eval()(batch)[1], dim=0), "down the batch"),
        (lambda network, batch: network.eval()(batch)[1].max(1).indices, "chosen classes"),
        (lambda network, batch: torch.softmax(network.eval()(batch)[0], 1), "those are the features"),
        (lambda network, batch: network.eval()(batch).softmax(1), "It stops with AttributeError")])


def test_probabilities_are_those_of_the_courses_own_predict():
    network, _ = checks.probabilities.cases(np.random.default_rng(1))[0]
    images = np.random.default_rng(2).integers(256, size=(5, 6, 6), dtype=np.uint8)
    _, wanted = evaluation.predict(copy.deepcopy(network), images, size=6, mean=(0, 0, 0), std=(1, 1, 1))
    batch = torch.tensor(images / 255, dtype=torch.float32)[:, None].repeat(1, 3, 1, 1)
    assert np.allclose(checks.probabilities.reference(network, batch).detach(), wanted, atol=1e-6)


def test_fair_gain():
    def epoch_by_epoch(softmax, center):
        kept = []
        for run in (softmax, center):
            best = (-1.0, None)
            for epoch in range(min(len(softmax), len(center))):
                if run[epoch][0] > best[0]:
                    best = tuple(run[epoch])
            kept.append(best[1])
        return float(kept[1] - kept[0])

    judged(checks.fair_gain, [epoch_by_epoch], [
        (lambda a, b: max(b[:, 1]) - max(a[:, 1]), "best *test* accuracy"),
        (lambda a, b: max(b[:len(a), 1]) - max(a[:len(b), 1]), "best *test* accuracy"),
        (lambda a, b: max(b.tolist())[1] - max(a.tolist())[1], "more epochs to choose from"),
        (lambda a, b: max(b.tolist())[1] - a[-1][1], "same for both"),
        (lambda softmax, center: (center[-1] - softmax[-1])[1], "the last epoch"),
        (lambda a, b: (b[:len(a)] - a[:len(b)])[a[:len(b), 0].argmax(), 1], "best for softmax"),
        (lambda softmax, center: epoch_by_epoch(softmax[:, [0, 0]], center[:, [0, 0]]), "*validation*"),
        (lambda softmax, center: epoch_by_epoch(center, softmax), "The sign"),
        (lambda softmax, center: center - softmax, "It stops with ValueError")])
