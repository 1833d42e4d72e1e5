"""The scientific sentences of the course, each with the band that it must lie in; runs decide whether it held.

A sentence and its band stand here before the runs that decide on it are made (``git log`` tells), and are not changed
afterwards: what did not hold is listed as that. ``judge`` makes the outcomes anew from runs, of ``results/`` or fresh.
"""

from dataclasses import dataclass
from math import inf, isinf, isnan, log

import pandas as pd

from fer_utils import paper
from fer_utils.statistics import mean_sd, paired_difference

from .measures import FRESH, MENDED_ARM, PAPER_ARM, PUBLISHED_ARM, SOFTMAX, by_setting, of_curves, of_pairs, of_runs
from .readings import accuracy, answered, confused, extreme, flattery, knn_lead, log_ratio, macro_f1, recall, slope

CHOSEN_ARM = {**MENDED_ARM, "lam": 0.02}  # section 6 of the protocol chose this λ on validation images
GENTLE_ARM = {**MENDED_ARM, "lam": 0.005}


@dataclass(frozen=True)
class Claim:
    """A sentence, the number that it is about, and the band (``low``, ``high``) in which that number must lie.

    ``measure`` takes the runs of one setting (one data set, network and recipe, any seeds and arms) and returns a
    number for each seed or pair that can say something; ``least``: how many it takes to decide, and never one;
    ``dataset``: the only one that the sentence is about; ``where``: whether it is about runs like this one;
    ``elsewhere``: where it is answered if not by runs of ``results/``.
    """

    name: str
    sentence: str
    number: str
    low: float
    high: float
    measure: callable
    least: int = 1
    dataset: str | None = None
    where: callable = lambda run: True
    elsewhere: str = "no run answers it yet"

    def outcome(self, runs):
        """(what became of it, the numbers): decided by the 95 % t-interval of their mean.

        "held" where it lies in the band, "did not hold" where it lies outside, "undecided" where an edge lies in it or
        there are fewer than ``least`` numbers; "one run" has no interval; "open": there is none. The edge of a band
        that is open on the other side is not part of it: what has not moved has not fallen.
        """
        values = [reading.value for reading in self.measure(runs) if not isnan(reading.value)]
        if len(values) < max(2, self.least):
            return ("open", "one run", "undecided")[min(len(values), 2)], values
        known = paired_difference(values, [0.0] * len(values))
        low, high = (known.mean, known.mean) if isnan(known.low) else (known.low, known.high)
        one_sided = isinf(self.low) or isinf(self.high)
        if self.low < low and high < self.high or not one_sided and self.low <= low and high <= self.high:
            return "held", values
        return ("did not hold" if high < self.low or low > self.high else "undecided"), values


def judge(runs):
    """The outcome of every claim in every setting that says something to it, a DataFrame with a row for each."""
    rows = []
    for claim in CLAIMS:
        for name, mine in by_setting(runs).items():
            if claim.dataset not in (None, mine[0].config["dataset"]) or not claim.where(mine[0]):
                continue
            outcome, values = claim.outcome(mine)
            if values:
                mean, sd = mean_sd(values)
                rows.append({"claim": claim.name, "setting": name, "outcome": outcome, "n": len(values),
                             "mean": mean, "sd": sd})
    return pd.DataFrame(rows, columns=["claim", "setting", "outcome", "n", "mean", "sd"])


def of_size(measure):
    """The absolute values of another measure."""
    return lambda runs, *number: [reading._replace(value=abs(reading.value)) for reading in measure(runs, *number)]


# Which runs a sentence is about


def of_part(run):
    """Was it trained on a part of the training images?"""
    return "subset" in run.config["data_options"]


def from_random_weights(run):
    return run.config["initialisation"] == "random"


def section_11(run):
    """All training images, by labels of either kind: ResNet-18 by ``repaired`` from random weights."""
    recipe = run.config["recipe"]
    return (from_random_weights(run) and not of_part(run)
            and (recipe["name"], recipe["backbone"]) == ("repaired", "resnet18"))


def section_7(run):
    """The same by FER2013's own labels."""
    return section_11(run) and run.config["dataset"] == "fer2013"


def section_8(run):
    return not from_random_weights(run) and run.config["recipe"]["name"] == "repaired"


def section_9(run):
    recipe = run.config["recipe"]
    return (recipe["name"], recipe["backbone"], recipe["epochs"]) == ("modern", "resnet18", 40)


def section_9_small(run):
    return run.config["recipe"]["name"] == "modern" and run.config["recipe"]["backbone"] == "resnet18_cifar"


def section_13(run):
    return run.config["recipe"]["backbone"] == "inception_v3"


# Section 10's arms
RARE = {"class weights": {**SOFTMAX, "class_weights": 1.0}, "balanced sampling": {**SOFTMAX, "balanced_sampling": True},
        "logit adjustment": {**SOFTMAX, "logit_adjustment": 1.0}}

# Numbers that several sentences are about
POINTS = "points of accuracy, centre loss minus softmax"
F1 = "points of macro F1, centre loss minus softmax"
RECALL = "points of recall, centre loss minus softmax"
RATIO = "log of the ratio intra/inter, centre loss minus softmax"
PERCENT = "accuracy of softmax in percent"
SHARE = "share of the softmax runs"

CLAIMS = (
    Claim("compact", "Centre loss by Eq. 2 makes the features of a class lie closer together, measured by the distance "
          "between classes, on test images, too.", RATIO, -inf, log(0.95), of_pairs(log_ratio, PAPER_ARM)),
    Claim("compact, published rule", "So does centre loss by the published rule.",
          RATIO, -inf, log(0.95), of_pairs(log_ratio, PUBLISHED_ARM)),
    Claim("gain", "The paper's sentence: centre loss answers better than softmax (Eq. 2, λ 0.2, α 1.9).",
          POINTS, 0, inf, of_pairs(accuracy, PAPER_ARM), least=3),
    Claim("gain, published rule", "The same by the published rule for the centres.",
          POINTS, 0, inf, of_pairs(accuracy, PUBLISHED_ARM), least=3),
    Claim("rare class", "The rarest class pays for centre loss from random weights: recall of disgust falls.",
          RECALL, -inf, 0, of_pairs(recall("disgust"), PAPER_ARM), least=3, dataset="fer2013",
          where=from_random_weights),
    Claim("rules differ", "At the same λ, Eq. 2 with α 1.9 gathers the features more than the published rule does.",
          "log of the ratio intra/inter, published rule minus Eq. 2", log(1.05), inf,
          of_pairs(log_ratio, PUBLISHED_ARM, PAPER_ARM), least=3),
    Claim("mended", "With α = 0.5 and the published code's faults mended, centre loss is within two points of softmax.",
          POINTS, -2, 2, of_pairs(accuracy, MENDED_ARM)),
    Claim("healthy start", "The mended method reaches 60 % on real faces from random weights, without centre loss.",
          PERCENT, 60, 100, of_runs(accuracy, {"name": "repaired", "epochs": 25, **SOFTMAX})),
    Claim("happiness", "Happiness is recognised best.", SHARE, 1, 1,
          of_runs(extreme(max, paper.BEST_RECOGNISED), SOFTMAX), dataset="fer2013"),
    Claim("disgust", "Disgust is recognised worst.", SHARE, 1, 1,
          of_runs(extreme(min, paper.WORST_RECOGNISED), SOFTMAX), dataset="fer2013"),
    Claim("fear is sad", "Of fear, 24 % is taken for sadness (Fig. 3, FER2013), within ten points.",
          "percent of fear answered as sadness, with centre loss", 14, 34,
          of_runs(answered("fear", "sadness"), PAPER_ARM), dataset="fer2013"),
    Claim("nearest neighbours", "Centre loss does more for nearest neighbours than for the network's own answers: the "
          "premise that such features suit them.", "points, centre loss minus softmax, of k-NN minus own accuracy",
          0, inf, of_pairs(knn_lead, PAPER_ARM), least=3),
    Claim("training flatters", "Features of training images are more compact than those of test images (softmax).",
          "log of the ratio intra/inter, test minus training", 0, inf, of_runs(flattery, SOFTMAX), least=3),
    Claim("Adam, no trend", "Under the published rule α has no trend: less than a point of accuracy for a unit of α.",
          "points of accuracy for a unit of α", -1, 1, of_curves(slope, {"lam": 0.2, "update": "adam"}), least=3),
    Claim("Adam, same features", "Under the published rule α changes the features' compactness by less than a tenth.",
          "log of the ratio intra/inter, α 1.9 minus 0.1", log(0.9), log(1.1),
          of_pairs(log_ratio, {"lam": 0.2, "alpha": 1.9, "update": "adam"},
                   {"lam": 0.2, "alpha": 0.1, "update": "adam"}), least=3),
    Claim("Eq. 2, other features", "Under Eq. 2 α changes the features' compactness by more than a tenth.",
          "size of the log of the ratio intra/inter, α 1.9 minus 0.1", log(1.1), inf,
          of_size(of_pairs(log_ratio, PAPER_ARM, {**PAPER_ARM, "alpha": 0.1})), least=3),
    Claim("λ gathers", "A λ of 0.2 gathers the features more than one of 0.002.",
          "log of the ratio intra/inter, λ 0.2 minus 0.002", -inf, log(0.95),
          of_pairs(log_ratio, MENDED_ARM, {**MENDED_ARM, "lam": 0.002}), least=3),
    Claim("λ too large", "A λ of 2 costs accuracy against one of 0.002.", "points of accuracy, λ 2 minus 0.002",
          -inf, 0, of_pairs(accuracy, {**MENDED_ARM, "lam": 2.0}, {**MENDED_ARM, "lam": 0.002}), least=3),
    Claim("chosen λ, compact", "A λ of 0.02, chosen on validation images, makes features more compact by a fifth.",
          f"{RATIO}, fresh seeds", -inf, log(0.8), of_pairs(log_ratio, CHOSEN_ARM, seeds=FRESH), least=3,
          where=of_part),
    Claim("chosen λ, accuracy", "With that λ the accuracy moves by less than a point, up or down.",
          f"{POINTS}, fresh seeds", -1, 1, of_pairs(accuracy, CHOSEN_ARM, seeds=FRESH), least=3, where=of_part),
    # Section 7 of the protocol
    Claim("gain lasts", "On all training images, too, a λ of 0.02 gains accuracy.",
          POINTS, 0, inf, of_pairs(accuracy, CHOSEN_ARM), least=3, where=section_7),
    Claim("gain lasts, macro F1", "So does macro F1 gain.",
          F1, 0, inf, of_pairs(macro_f1, CHOSEN_ARM), least=3, where=section_7),
    Claim("gain lasts, compact", "There a λ of 0.02 makes features more compact by a tenth.",
          RATIO, -inf, log(0.9), of_pairs(log_ratio, CHOSEN_ARM), least=3, where=section_7),
    Claim("gain lasts, disgust", "There a λ of 0.02 lowers the recall of disgust.",
          RECALL, -inf, 0, of_pairs(recall("disgust"), CHOSEN_ARM), least=3, where=section_7),
    Claim("gentle λ", "A λ of 0.005 moves the accuracy by less than half a point, up or down.",
          POINTS, -0.5, 0.5, of_pairs(accuracy, GENTLE_ARM), least=3, where=section_7),
    Claim("gentle λ, macro F1", "And macro F1 by less than half a point.",
          F1, -0.5, 0.5, of_pairs(macro_f1, GENTLE_ARM), least=3, where=section_7),
    # Section 8
    Claim("ImageNet start", "From ImageNet weights softmax reaches 60 % in three epochs.",
          PERCENT, 60, 100, of_runs(accuracy, SOFTMAX), least=3, where=section_8),
    Claim("ImageNet, paper's λ", "From ImageNet weights the paper's λ and α stay within a point and a half of softmax.",
          POINTS, -1.5, 1.5, of_pairs(accuracy, PAPER_ARM), least=3, where=section_8),
    Claim("ImageNet, paper's λ, macro F1", "The same in macro F1.",
          F1, -1.5, 1.5, of_pairs(macro_f1, PAPER_ARM), least=3, where=section_8),
    Claim("ImageNet, disgust is seen", "With the paper's λ at least 10 % of disgust is recognised.",
          "recall of disgust in percent, with centre loss", 10, inf, of_runs(recall("disgust"), PAPER_ARM),
          least=3, where=section_8),
    Claim("ImageNet, disgust pays", "But less of it than with softmax.",
          RECALL, -inf, 0, of_pairs(recall("disgust"), PAPER_ARM), least=3, where=section_8),
    Claim("ImageNet, λ 0.02", "From ImageNet weights a λ of 0.02 moves the accuracy by less than a point.",
          POINTS, -1, 1, of_pairs(accuracy, CHOSEN_ARM), least=3, where=section_8),
    Claim("ImageNet, λ 0.02, macro F1", "And macro F1 by less than a point.",
          F1, -1, 1, of_pairs(macro_f1, CHOSEN_ARM), least=3, where=section_8),
    # Section 9
    Claim("healthy network", "The recipe `modern` reaches 66 to 70 % in 40 epochs, on images that chose the epoch.",
          f"{PERCENT}, a validation figure", 66, 70, of_runs(accuracy, SOFTMAX), where=section_9),
    Claim("healthy pair", "There a λ of 0.02 moves the accuracy by less than a point.",
          POINTS, -1, 1, of_pairs(accuracy, CHOSEN_ARM), least=3, where=section_9),
    Claim("healthy pair, macro F1", "And macro F1 by less than a point.",
          F1, -1, 1, of_pairs(macro_f1, CHOSEN_ARM), least=3, where=section_9),
    Claim("trial, 71 %", "With a first convolution for 48 px it reaches 71 %, on images that chose the epoch.",
          f"{PERCENT}, a validation figure", 71, 100, of_runs(accuracy, SOFTMAX), where=section_9_small),
    Claim("trial pair", "There a λ of 0.02 moves the accuracy by less than half a point.",
          POINTS, -0.5, 0.5, of_pairs(accuracy, CHOSEN_ARM), least=3, where=section_9_small),
    Claim("trial pair, macro F1", "And macro F1 by less than half a point.",
          F1, -0.5, 0.5, of_pairs(macro_f1, CHOSEN_ARM), least=3, where=section_9_small),
    Claim("trial pair, compact", "And it makes features more compact by a tenth.",
          RATIO, -inf, log(0.9), of_pairs(log_ratio, CHOSEN_ARM), least=3, where=section_9_small),
    # Section 10
    *(claim for name, fields in RARE.items() for claim in (
        Claim(f"{name}, disgust", f"{name.capitalize()}: the recall of disgust gains ten points or more.",
              "points of recall, minus softmax", 10, inf, of_pairs(recall("disgust"), fields), least=3,
              where=section_7),
        Claim(f"{name}, accuracy", f"{name.capitalize()}: it costs one to four points of accuracy.",
              "points of accuracy, minus softmax", -4, -1, of_pairs(accuracy, fields), least=3, where=section_7))),
    Claim("logit adjustment, macro F1", "Logit adjustment raises macro F1.", "points of macro F1, minus softmax",
          0, inf, of_pairs(macro_f1, RARE["logit adjustment"]), least=3, where=section_7),
    Claim("class weights, macro F1", "With class weights macro F1 stays within two points of softmax.",
          "points of macro F1, minus softmax", -2, 2, of_pairs(macro_f1, RARE["class weights"]), least=3,
          where=section_7),
    Claim("balanced sampling, macro F1", "With balanced sampling, too.",
          "points of macro F1, minus softmax", -2, 2, of_pairs(macro_f1, RARE["balanced sampling"]), least=3,
          where=section_7),
    Claim("centre loss over classes", "Centre loss averaged over classes recognises as much disgust as averaged over "
          "images, within five points.", "points of recall, over classes minus over images", -5, 5,
          of_pairs(recall("disgust"), {**CHOSEN_ARM, "center_class_weights": 1.0}, CHOSEN_ARM), least=3,
          where=section_7),
    # Section 13
    Claim("Inception-v3", "Inception-v3 reaches 45 to 60 % in three epochs from random weights at 75 px.",
          PERCENT, 45, 60, of_runs(accuracy, SOFTMAX), where=section_13),
    Claim("Inception-v3, pair", "There a λ of 0.02 moves the accuracy by less than three points.",
          POINTS, -3, 3, of_pairs(accuracy, CHOSEN_ARM), where=section_13),
    Claim("drawn pair", "Fear and surprise are the most confused pair of the drawn faces.",
          SHARE, 1, 1, of_runs(confused("fear", "surprise"), SOFTMAX),
          elsewhere="the runs here are of real faces. The tests train a softmax network on the drawn ones, and there "
          "another pair is the most confused: one run"),
)
