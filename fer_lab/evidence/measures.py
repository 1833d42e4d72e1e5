"""What can be read off runs: of one arm, of pairs with the same seed, of a curve over α.

A measure takes the runs of one setting and returns ``Reading``s, one for each seed that can say something.
"""

import functools
import math
from collections import defaultdict, namedtuple

import numpy as np
import torch

from fer_utils import paper
from fer_utils.datasets import load_dataset
from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import most_confused_pair
from fer_utils.model import CLResNet50
from fer_utils.statistics import mean_sd

Reading = namedtuple("Reading", "seed value runs")  # runs: those that the value was read from

SOFTMAX = {"lam": 0.0}
PAPER_ARM = {"lam": paper.LAM, "alpha": paper.ALPHA, "update": "eq2"}
PUBLISHED_ARM = {**PAPER_ARM, "update": "adam", "center_init": "randn"}
MENDED_ARM = {**PAPER_ARM, "alpha": 0.5}
CHOSEN_ARM = {**MENDED_ARM, "lam": 0.02}  # section 6 of the protocol: λ chosen on validation images ...
FRESH = range(3, 8)  # ... and tested with seeds that had no part in it
GENTLE_ARM = {**MENDED_ARM, "lam": 0.005}


def setting(run):
    """What runs that may be compared have in common, in a line: data, recipe, network, epochs, start and engine."""
    recipe = run.config["recipe"]
    return (f"{run.config['source']}, {run.config['data']['train']['images']:,} to train, tested on "
            f"{run.metrics['test_split']}, {recipe['name']}, {recipe['backbone']}, {recipe['image_size']} px, "
            f"{recipe['epochs']} epochs, {run.config['initialisation']} weights, engine {run.config['engine']}")


def by_setting(runs):
    """{setting: its runs}, sorted."""
    found = defaultdict(list)
    for run in runs:
        found[setting(run)].append(run)
    return dict(sorted(found.items()))


def of_part(run):
    """Was it trained on a part of the training images?"""
    return "subset" in run.config["data_options"]


def from_random_weights(run):
    return run.config["initialisation"] == "random"


def section_7(run):
    """All training images, ResNet-18 by ``repaired`` from random weights."""
    recipe = run.config["recipe"]
    return (from_random_weights(run) and not of_part(run)
            and (recipe["name"], recipe["backbone"]) == ("repaired", "resnet18"))


def section_8(run):
    return not from_random_weights(run) and run.config["recipe"]["name"] == "repaired"


def section_9(run):
    recipe = run.config["recipe"]
    return (recipe["name"], recipe["backbone"], recipe["epochs"]) == ("modern", "resnet18", 40)


def arm(runs, fields):
    """{seed: run} of the runs whose recipe has these fields."""
    return {run.config["seed"]: run for run in sorted(runs, key=lambda run: run.config["seed"])
            if fields.items() <= run.config["recipe"].items()}


def of_runs(number, fields):
    """``number(run)`` of each run of an arm."""
    return lambda runs: [Reading(seed, float(number(run)), [run]) for seed, run in arm(runs, fields).items()]


def of_pairs(number, first, second=SOFTMAX, seeds=None):
    """``number(run)`` in arm ``first`` minus that in arm ``second``, seed by seed, of ``seeds`` or of all."""
    def measure(runs):
        ours, others = arm(runs, first), arm(runs, second)
        return [Reading(seed, float(number(ours[seed]) - number(others[seed])), [ours[seed], others[seed]])
                for seed in ours if seed in others and (seeds is None or seed in seeds)]
    return measure


def of_curves(number, fields, least=3):
    """``number(alphas, accuracies)`` of each seed's curve over α, of at least so many α; accuracies in percent."""
    def measure(runs):
        found = defaultdict(dict)
        for run in runs:
            if fields.items() <= run.config["recipe"].items():
                found[run.config["seed"]][run.config["recipe"]["alpha"]] = run
        return [Reading(seed, float(number(np.array(sorted(curve)), np.array([accuracy(curve[alpha])
                                                                             for alpha in sorted(curve)]))),
                        list(curve.values()))
                for seed, curve in sorted(found.items()) if len(curve) >= least]
    return measure


def of_size(measure):
    """The absolute values of another measure."""
    return lambda runs: [reading._replace(value=abs(reading.value)) for reading in measure(runs)]


def accuracy(run):
    return 100 * run.metrics["accuracy"]


def macro_f1(run):
    return 100 * run.metrics["macro_f1"]


def images(run):
    """Those that the run was given to learn from: trained on or validated on."""
    return sum(run.config["data"].get(part, {"images": 0})["images"] for part in ("train", "validation"))


def width(run):
    return _width(run.config["recipe"]["backbone"])


@functools.cache
def _width(backbone):
    with torch.device("meta"):  # no weights are made
        return CLResNet50(backbone=backbone).feat_dim


def percent(name):
    return lambda run: 100 * run.metrics[name]


def ratio(run):
    return run.metrics["ratio"]


def log_ratio(run):
    return math.log(run.metrics["ratio"])


def recall(emotion):
    return lambda run: 100 * run.metrics["recall"][emotion]


def answered(true, answer):
    """The share of a class, in percent, that is answered as another one."""
    def share(run):
        row = np.asarray(run.metrics["confusion"])[EMOTIONS.index(true)]
        return 100 * row[EMOTIONS.index(answer)] / row.sum()
    return share


def is_best(run):
    return max(EMOTIONS, key=run.metrics["recall"].get) == paper.BEST_RECOGNISED


def is_worst(run):
    return min(EMOTIONS, key=run.metrics["recall"].get) == paper.WORST_RECOGNISED


def judged_by(how):
    """Accuracy on test features in percent, judged by "knn" or "nearest_mean"; missing where it was not measured."""
    return lambda run: 100 * run.geometry["parts"]["test"]["accuracy"][how] if run.geometry else math.nan


def neighbours_lead(run):
    return judged_by("knn")(run) - accuracy(run)


def flattery(run):
    """The log of how much more compact training features are than those of test images."""
    return log_ratio(run) - math.log(run.geometry["parts"]["train"]["compactness"]["ratio"]) if (
        run.geometry) else math.nan


def slope(alphas, accuracies):
    return np.polyfit(alphas, accuracies, 1)[0]


def spread(alphas, accuracies):
    return mean_sd(accuracies)[1]


def best(alphas, accuracies):
    return alphas[np.argmax(accuracies)]


def confused(first, second):
    """A measure on drawn faces, of softmax runs whose network is at hand: is that the probe's most confused pair?"""
    def is_it(run):
        probe = load_dataset("synthetic", split="probe")
        return set(most_confused_pair(probe.labels, run.predict(probe)[1].argmax(1))[:2]) == {first, second}

    def measure(runs):
        return of_runs(is_it, SOFTMAX)([run for run in runs if run.config["dataset"] == "synthetic"
                                        and (run.folder / "model.safetensors").exists()])
    return measure


def cell(run, parameters):
    """A published run as ``labs.results_lab`` takes it: curves in percent, confusion and test features;
    ``parameters``: {name: value}, by which it is chosen there."""
    shown, history = run.geometry["fig1"]["test"], run.history
    curves = {name: (100 * history[column]).round(1).tolist()
              for name, column in (("training", "train_accuracy"), ("validation", "validation_accuracy"))}
    return {"parameters": parameters, "accuracy": round(accuracy(run), 2), "ratio": round(ratio(run), 3),
            "curves": curves, "confusion": run.metrics["confusion"], "labels": shown["labels"],
            "points": [point[:2] for point in shown["points"]]}
