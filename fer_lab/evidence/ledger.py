"""The ledger: the paper's numbers and sentences, ours from the nearest setting, and a verdict that the runs decide.

It is made from published runs, but for what review measured on the test sets that were closed, ``REVIEW``. A line is a
claim whose band comes from the paper.
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import expm1, inf, isnan, nan, sqrt

import pandas as pd

from fer_utils import paper
from fer_utils.statistics import paired_difference

from .claims import CHOSEN_ARM, GENTLE_ARM, Claim, from_random_weights, of_part, section_7, section_8, section_9
from .measures import (
    FRESH,
    MENDED_ARM,
    PAPER_ARM,
    PUBLISHED_ARM,
    SOFTMAX,
    by_setting,
    in_words,
    of_all,
    of_curves,
    of_pairs,
    of_runs,
    tested_on,
)
from .readings import accuracy, answered, best, extreme, images, log_ratio, macro_f1, recall, slope, weighted_f1, width

# Measured at review, once, by `fer-lab evaluate` with the networks of section 2's pair, which are no longer kept: the
# only numbers here that come from no file of results/. {test set: (softmax, centre loss with λ 0.2 and α 0.5)}
REVIEW = {"PrivateTest, 3,589": ({accuracy: 62.33, macro_f1: 57.7}, {accuracy: 63.22, macro_f1: 55.0}),
          "both together, 7,178": ({accuracy: 62.18}, {accuracy: 62.23})}
BESIDE = {"accuracy": accuracy, "macro F1": macro_f1, "recall of disgust": recall("disgust"),
          "recall of fear": recall("fear")}
ON_REQUEST = {"rafdb": "RAF-DB is given to researchers, on request"}
TITLES = {"fer2013": "FER2013", "rafdb": "RAF-DB"}
BETTER = "FER2013: centre loss answers better than softmax"


@dataclass(frozen=True)
class Line(Claim):
    """A claim of the paper's. ``name``: where it stands; ``number``: its figure as printed; ``low`` and ``high``: where
    ours must lie to be called reproduced.

    ``unit``: how ours is shown, "%", "points" of difference, "log" of a ratio, "share" of the runs, or "" for a count;
    ``both``: whether a fall of macro F1 refutes it, too; ``tested``: the test set, if not that of the runs.
    """

    unit: str = "%"
    both: bool = False
    tested: str = ""


def on_resnet50(run):
    return run.config["recipe"]["backbone"] == "resnet50"


def by_chance(percent, size):
    """The ends of the 95 % interval that so many test images leave around a printed percentage."""
    half = 1.96 * sqrt(percent * (100 - percent) / size)
    return percent - half, percent + half


def of_review(test_set):
    """A measure: what was told of section 2's pair on another test set than that of its published answers."""
    def measure(runs, number=accuracy):
        softmax, center = (told.get(number, nan) for told in REVIEW[test_set])
        return [pair._replace(value=center - softmax) for pair in of_pairs(number, MENDED_ARM)(runs)]
    return measure


def lines():
    """All lines, in the paper's order; then the paper's sentence with a λ that it did not try."""
    found = [Line("Table 1", "features of ResNet-50", "2,048", 2048, 2048, of_all(width), unit="", where=on_resnet50)]
    for data, title in TITLES.items():
        counted = sum(paper.TRAIN_COUNTS[data])
        found.append(Line("Table 2", f"{title}: training images", f"{counted:,}", counted, counted, of_all(images),
                          dataset=data, unit=""))
    losses = ("softmax", "softmax", SOFTMAX), ("center", "centre loss", PAPER_ARM)
    for data, (loss, name, fields) in product(TITLES, losses):
        for figure, number in (("accuracy", accuracy), ("f1", weighted_f1)):
            percent = paper.TABLE_3[data][loss][figure]
            found.append(Line("Table 3", f"{TITLES[data]}, {name}: {figure.replace('f1', 'weighted F1')}",
                              f"{percent:.3f}", *by_chance(percent, paper.TEST_SIZES[data]), of_runs(number, fields),
                              dataset=data, where=on_resnet50))
    found += [gain("Table 3", BETTER.replace("FER2013", "RAF-DB"), PAPER_ARM, lambda run: True, "rafdb"),
              gain("Table 3", f"{BETTER}, by Eq. 2, from random weights", PAPER_ARM, from_random_weights),
              gain("Table 3", "… by the rule of the code, from random weights", PUBLISHED_ARM, from_random_weights),
              gain("Table 3", "… by Eq. 2, from ImageNet weights, as in the paper", PAPER_ARM, section_8),
              gain("Table 3", "… by Eq. 2 with α 0.5, ResNet-50", MENDED_ARM, on_resnet50)]
    for test_set, told in REVIEW.items():
        sentence = f"… the same pair, quoted from review: {told[0][accuracy]} to {told[1][accuracy]} %"
        found.append(replace(gain("Table 3", sentence, MENDED_ARM, on_resnet50), measure=of_review(test_set),
                             tested=test_set))
    found.append(Line("Fig. 1", "centre loss makes a class more compact (ratio of distances intra/inter)", "a picture",
                      -inf, 0, of_pairs(log_ratio, PAPER_ARM), least=3, unit="log"))
    for which, emotion, how in ((max, paper.BEST_RECOGNISED, "best"), (min, paper.WORST_RECOGNISED, "worst")):
        found.append(Line("Figs. 2, 3", f"{emotion} is recognised {how}", "a picture", 1, 1,
                          of_runs(extreme(which, emotion), PAPER_ARM), least=3, unit="share"))
    found.append(Line("Figs. 2, 3", "FER2013: recall of disgust", f"{paper.DISGUST_RECALL}",
                      *by_chance(100 * paper.DISGUST_RECALL, 111),  # of 111 images
                      of_runs(recall("disgust"), PAPER_ARM), least=3))
    for data, (true, answer, share) in reversed(paper.CONFUSED.items()):
        found.append(Line("Figs. 2, 3", f"{TITLES[data]}: {true} answered as {answer}, within ten points",
                          f"{100 * share:.0f} %", 100 * share - 10, 100 * share + 10,
                          of_runs(answered(true, answer), PAPER_ARM), least=3, dataset=data))
    for data, update, rule in (("fer2013", "adam", ", by the published code's rule"),
                               ("fer2013", "eq2", ", by Eq. 2"), ("rafdb", "adam", "")):
        rise, top = slope(paper.ALPHAS, paper.FIG_4[data]), best(paper.ALPHAS, paper.FIG_4[data])
        curve = partial(of_curves, fields={"lam": paper.LAM, "update": update})
        found += [Line("Fig. 4", f"{TITLES[data]}: points of accuracy for a unit of α (or half){rule}", f"{rise:+.2f}",
                       rise / 2, inf, curve(slope), 3, data, unit="points"),
                  Line("Fig. 4", f"{TITLES[data]}: the best α{rule}", f"{top}", 1, 1,
                       curve(lambda alphas, values, top=top: best(alphas, values) == top), 3, data, unit="share")]
    return found + [gain("other λ", f"{BETTER}, with λ 0.02 on a part of the images", CHOSEN_ARM, of_part, seeds=FRESH),
                    gain("other λ", "… with λ 0.02 on all images", CHOSEN_ARM, section_7),
                    gain("other λ", "… with λ 0.005 on all images", GENTLE_ARM, section_7),
                    gain("other λ", "… with λ 0.02 from ImageNet weights", CHOSEN_ARM, section_8),
                    gain("other λ", "… with λ 0.02 on a network that is trained for longer", CHOSEN_ARM, section_9)]


def gain(place, sentence, fields, where, dataset="fer2013", seeds=None):
    """The line that an arm answers better than softmax, with the paper's own gain where the line is the paper's."""
    softmax, center = (paper.TABLE_3[dataset][loss]["accuracy"] for loss in ("softmax", "center"))
    return Line(place, sentence, f"{center - softmax:+.3f}" if place == "Table 3" else "", 0, inf,
                of_pairs(accuracy, fields, seeds=seeds), 3, dataset, where, unit="points", both=True)


def nearest(line, runs):
    """The runs of the setting that answers a line and is nearest to the paper; [] where none does."""
    def nearness(mine):
        run, recipe = mine[0], mine[0].config["recipe"]
        return (run.metrics.get("chosen_on", "validation") == "validation", not of_part(run),
                len(line.outcome(mine)[1]) >= 3, not from_random_weights(run), on_resnet50(run),
                recipe["image_size"], recipe["epochs"])

    return max((mine for mine in by_setting(runs).values() if line.dataset in (None, mine[0].config["dataset"])
                and line.where(mine[0]) and line.outcome(mine)[1]), key=nearness, default=[])


def decide(line, mine):
    """(one of the four verdicts, the reason in half a sentence), from the runs of one setting or from []."""
    outcome, values = line.outcome(mine)
    if not values:
        reason = ON_REQUEST.get(line.dataset)
        return ("cannot be asked here", reason) if reason else ("open", "no runs yet")
    if outcome == "one run" or len(values) < line.least:
        return "open", f"n = {len(values)} is too few for an interval"
    other = replace(line, measure=partial(line.measure, number=macro_f1)).outcome(mine)[0] if line.both else outcome
    fallen = [name for name, became in (("accuracy", outcome), ("macro F1", other)) if became == "did not hold"]
    if line.both and fallen:
        return "not reproduced", f"{' and '.join(fallen)} fall{'s' * (len(fallen) == 1)}"
    if outcome == "undecided":
        return "open", f"the interval contains an edge of the band, {band(line)}"
    held = outcome == "held"
    why = {"share": f"{'' if held else 'not '}every run says so", "": "the same number"}.get(
        line.unit, f"the band is {band(line)}")
    if line.both:
        why = "accuracy gains; macro F1 " + ("gains, too" if other == "held" else "may have gained or lost")
    return "reproduced" if held else "not reproduced", why


def band(claim):
    """The band of a claim in words."""
    if inf in (claim.high, -claim.low):
        return f"above {claim.low:.3g}" if claim.high == inf else f"below {claim.high:.3g}"
    return f"{claim.low:.3g} to {claim.high:.3g}" if claim.low < claim.high else f"{claim.low:.3g}"


def shown(value, unit):
    """A number in a line's unit, with a true minus sign."""
    if unit == "log":
        return f"{100 * expm1(value):+.0f} %".replace("-", "−")
    text = {"": f"{value:,.0f}", "points": f"{value:+.2f}", "share": f"{value:.2g}"}.get(unit, f"{value:.2f}")
    return text.replace("-", "−")


def with_interval(readings, unit):
    """Mean and 95 % t-interval of readings as a text; "" where there are none."""
    values = [reading.value for reading in readings if not isnan(reading.value)]
    if not values or unit == "share":
        return f"{sum(values):.0f} of {len(values)}" if values else ""
    known = paired_difference(values, [0.0] * len(values))
    spread = "" if isnan(known.low) else f" ({shown(known.low, unit)} to {shown(known.high, unit)})"
    return shown(known.mean, unit) + spread


def beside(claim, mine):
    """{name: text} of accuracy, macro F1 and two recalls of the very runs that a claim was read from: in
    percent where it was read from single runs, as differences from pairs, and from curves as the claim's own number."""
    told = {}
    for name, number in BESIDE.items():
        readings = list(claim.measure(mine, number))
        size = max((len(reading.runs) for reading in readings), default=0)
        curve = size > 2 and getattr(claim, "unit", "") == "share"
        told[name] = with_interval(readings, "share" if curve else "%" if size == 1 else "points")
    return told


def ledger_table(runs):
    """A DataFrame of texts with a row for each of ``lines()``."""
    rows = []
    for line in lines():
        mine = nearest(line, runs)
        verdict, because = decide(line, mine)
        ours = with_interval(line.measure(mine), line.unit)
        others = beside(line, mine) if mine and line.unit else dict.fromkeys(BESIDE, "")
        if others["accuracy"] == ours:  # it is not said twice
            others["accuracy"] = ""
        rows.append({"where": line.name, "the paper": line.sentence, "prints": line.number, "ours": ours, **others,
                     "n": len(line.outcome(mine)[1]) or "",
                     "our setting": f"{in_words(mine[0])}; {line.tested or tested_on(mine[0])}" if mine else "",
                     "verdict": verdict, "because": because})
    return pd.DataFrame(rows)
