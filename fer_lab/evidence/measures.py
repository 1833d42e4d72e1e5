"""Measures: what can be read off the runs of an arm, of pairs with the same seed, of curves over α.

A measure takes the runs of one setting and returns ``Reading``s, one for each seed that can say something. Given the
``number`` to read off a run besides, it reads that off the same runs: so macro F1 stands beside an accuracy.
"""

import itertools
from collections import defaultdict, namedtuple

import numpy as np

from fer_utils import paper
from fer_utils.training.recipe import CENTERS, LATER, METHODS, Recipe, get_recipe

from .readings import accuracy, ratio

Reading = namedtuple("Reading", "seed value runs")  # runs: those that the value was read from

SOFTMAX = {"lam": 0.0}
PAPER_ARM = {"lam": paper.LAM, "alpha": paper.ALPHA, "update": "eq2"}
PUBLISHED_ARM = {**PAPER_ARM, "update": "adam", "center_init": "randn"}
MENDED_ARM = {**PAPER_ARM, "alpha": 0.5}
OFF = {name: getattr(Recipe("plain"), name) for name in LATER}  # in every arm that does not name them
FRESH = range(3, 8)  # section 6 of the protocol: seeds that had no part in the choice of λ


TEST_SETS = {"public_test": "PublicTest", "private_test": "PrivateTest"}
NETWORKS = {"resnet18": "ResNet-18", "resnet50": "ResNet-50", "mobilenet_v2": "MobileNetV2",
            "resnet18_cifar": "ResNet-18 with CIFAR's first layers", "inception_v3": "Inception-v3"}
TRIED = ("mixup", "erase")  # what section 9's trials changed


def setting(run):
    """What runs that may be compared have in common, as a text: all but seed, centre loss and methods beside it."""
    recipe, config = run.config["recipe"], run.config
    same = {name: value for name, value in recipe.items() if name not in ("lam", *CENTERS, *METHODS)}
    return (f"{config['source']}, {config['data']['train']['images']:,} to train, {recipe['name']}, {in_words(run)}; "
            f"{tested_on(run)}; engine {config['engine']}, {config['initialisation']}, {same}")


def in_words(run):
    """A setting for readers. Published runs that don't start from random weights start from ImageNet's."""
    recipe, start, options = run.config["recipe"], run.config["initialisation"], run.config["data_options"]
    usual = get_recipe(recipe["name"])
    changed = "".join(f", {name} {recipe[name]:g}" for name in TRIED if recipe[name] != getattr(usual, name))
    votes = f", FER+ labels ({options.get('mode', 'majority')})" if run.config["dataset"] == "ferplus" else ""
    return (f"{NETWORKS.get(recipe['backbone'], recipe['backbone'])}, {'random' if start == 'random' else 'ImageNet'} "
            f"weights, {recipe['image_size']} px, {recipe['epochs']} epochs, "
            f"{run.config['data']['train']['images']:,} images{votes}{changed}")


def tested_on(run):
    """The test set by its name and size, and whether the epoch was chosen on it."""
    split = run.metrics["test_split"]
    size = f", {run.config['data'][split]['images']:,}" if split in TEST_SETS else ""
    chose = ", which chose the epoch" if run.metrics.get("chosen_on") == split else ""
    return TEST_SETS.get(split, split) + size + chose


def by_setting(runs):
    """{setting: its runs}, sorted."""
    return {name: list(of_it) for name, of_it in itertools.groupby(sorted(runs, key=setting), setting)}


def arm(runs, fields):
    """{seed: run} of the runs whose recipe has these fields, and of ``OFF`` what they do not name."""
    fields = OFF | fields
    return {run.config["seed"]: run for run in sorted(runs, key=lambda run: run.config["seed"])
            if fields.items() <= run.config["recipe"].items()}


def of_all(number):
    """``number(run)`` of every run."""
    return lambda runs, number=number: [Reading(run.config["seed"], float(number(run)), [run]) for run in runs]


def of_runs(number, fields):
    """``number(run)`` of each run of an arm."""
    return lambda runs, number=number: of_all(number)(arm(runs, fields).values())


def of_pairs(number, first, second=SOFTMAX, seeds=None):
    """``number(run)`` in arm ``first`` minus that in arm ``second``, seed by seed, of ``seeds`` or of all."""
    def measure(runs, number=number):
        ours, others = arm(runs, first), arm(runs, second)
        return [Reading(seed, float(number(ours[seed]) - number(others[seed])), [ours[seed], others[seed]])
                for seed in ours if seed in others and (seeds is None or seed in seeds)]
    return measure


def of_curves(shape, fields):
    """``shape(alphas, accuracies)`` of each seed's curve over three α or more; accuracies in percent."""
    def measure(runs, number=accuracy):
        curves = defaultdict(dict)
        for run in runs:
            if fields.items() <= run.config["recipe"].items():
                curves[run.config["seed"]][run.config["recipe"]["alpha"]] = run
        for seed, curve in sorted(curves.items()):
            if len(curve) >= 3:
                alphas = sorted(curve)
                accuracies = np.array([number(curve[alpha]) for alpha in alphas])
                yield Reading(seed, float(shape(np.array(alphas), accuracies)), list(curve.values()))
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
