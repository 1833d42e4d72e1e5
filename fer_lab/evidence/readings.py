"""The numbers that are read off one run, or off one curve over α."""

import math
from functools import cache

import numpy as np
import torch

from fer_utils.datasets import load_dataset
from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import most_confused_pair
from fer_utils.model import CLResNet50


def percent(name):
    return lambda run: 100 * run.metrics[name]


accuracy, weighted_f1, macro_f1 = map(percent, ("accuracy", "weighted_f1", "macro_f1"))


def recall(emotion):
    return lambda run: 100 * run.metrics["recall"][emotion]


def answered(true, answer):
    """The share of a class, in percent, that is answered as another one."""
    def share(run):
        row = np.asarray(run.metrics["confusion"])[EMOTIONS.index(true)]
        return 100 * row[EMOTIONS.index(answer)] / row.sum()
    return share


def extreme(which, emotion):
    """Is that a class with the largest recall (``which``: max), or the smallest (min)? Several may share it."""
    return lambda run: run.metrics["recall"][emotion] == which(run.metrics["recall"].values())


def confused(*pair):
    """Is that the most confused pair of the drawn faces? Missing for runs on others, and where the network is not."""
    def is_it(run):
        if run.config["dataset"] != "synthetic" or not (run.folder / "model.safetensors").exists():
            return math.nan
        probe = load_dataset("synthetic", split="probe")
        return set(most_confused_pair(probe.labels, run.predict(probe)[1].argmax(1))[:2]) == set(pair)
    return is_it


def images(run):
    """Those that the run was given to learn from: trained on or validated on."""
    return sum(run.config["data"].get(part, {"images": 0})["images"] for part in ("train", "validation"))


def width(run):
    return features_of(run.config["recipe"]["backbone"])


@cache
def features_of(backbone):
    with torch.device("meta"):  # no weights are made
        return CLResNet50(backbone=backbone).feat_dim


def ratio(run):
    return run.metrics["ratio"]


def log_ratio(run):
    return math.log(ratio(run))


def knn_lead(run):
    """How much better 20 nearest neighbours answer than the network, in points; missing where it was not measured."""
    return 100 * run.geometry["parts"]["test"]["accuracy"]["knn"] - accuracy(run) if run.geometry else math.nan


def flattery(run):
    """The log of how much more compact training features are than those of test images."""
    if not run.geometry:
        return math.nan
    return log_ratio(run) - math.log(run.geometry["parts"]["train"]["compactness"]["ratio"])


def slope(alphas, accuracies):
    return np.polyfit(alphas, accuracies, 1)[0]


def best(alphas, accuracies):
    return alphas[np.argmax(accuracies)]
