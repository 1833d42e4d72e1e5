"""The ledger: each number of the paper, ours beside it, the gap, what explains it, and the runs that it came from.

It is made from published runs and from nothing else (``fer-lab ledger`` writes it into ``results/``). A
number that no run can answer yet says which command would.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from fer_utils import paper
from fer_utils.statistics import mean_sd

from .measures import MENDED_ARM, PAPER_ARM, PUBLISHED_ARM, SOFTMAX, by_setting, of_curves, of_pairs, of_runs
from .readings import accuracy, answered, best, images, judged_by, macro_f1, ratio, recall, spread, weighted_f1, width

TITLES = {"fer2013": "FER2013", "rafdb": "RAF-DB"}
PAPER_TEST = {"fer2013": "PublicTest + PrivateTest, 7,178", "rafdb": "test, 3,068"}
OUR_TEST = {"public_test": "PublicTest, 3,589", "private_test": "PrivateTest, 3,589", "test": "test"}
SWEEP = "fer-lab sweep --set dataset=rafdb --set data_dir=PATH --set recipe=paper"
CAUSES = "random weights, 48 px, fewer epochs, another test set"


@dataclass(frozen=True)
class Entry:
    """One question: where the paper answers it, what it is about, and its number; ``measure`` reads ours off runs.

    ``unit``: "%", "points" of difference, "sd" in points, "number" of things, or "" for a plain number; ``dataset``:
    whose runs may answer; ``why``: known causes of a gap; ``command``: what would fill the line where no run can;
    ``subset``: whether runs on a part of the training images may answer.
    """

    where: str
    what: str
    paper: float | None
    measure: callable
    unit: str = "%"
    dataset: str = "fer2013"
    why: str = CAUSES
    command: str = ""
    subset: bool = False


def entries():
    """All questions, in the paper's order."""
    rafdb = f"`{SWEEP} --grid lam=0,0.2 --grid seed=0,1,2`"
    lines = []
    for data, title in TITLES.items():
        entry = partial(Entry, dataset=data, command=rafdb if data == "rafdb" else "")
        lines += [entry("Table 1", f"{title}: features that the network gives", 2048, of_runs(width, SOFTMAX),
                        "number", why="ResNet-18 gives fewer than ResNet-50"),
                  entry("Table 2", f"{title}: training images, before 30 % of them validate",
                        sum(paper.TRAIN_COUNTS[data]), of_runs(images, SOFTMAX), "number", why="")]
        softmax, center = paper.TABLE_3[data].values()
        for name, fields, printed in (("softmax", SOFTMAX, softmax), ("centre loss", PAPER_ARM, center)):
            lines += [entry("Table 3", f"{title}, {name}: accuracy", printed["accuracy"], of_runs(accuracy, fields)),
                      entry("Table 3", f"{title}, {name}: weighted F1", printed["f1"], of_runs(weighted_f1, fields)),
                      entry("not told", f"{title}, {name}: macro F1", None, of_runs(macro_f1, fields))]
        for name, fields in (("Eq. 2, α 1.9", PAPER_ARM), ("published rule", PUBLISHED_ARM),
                             ("Eq. 2, α 0.5", MENDED_ARM)):
            lines.append(entry("Table 3", f"{title}: gain, {name}", center["accuracy"] - softmax["accuracy"],
                               of_pairs(accuracy, fields), "points"))
        true, answer, share = paper.CONFUSED[data]
        for what, printed, measure in (
                (f"{true} answered as {answer}", 100 * share, answered(true, answer)),
                ("recall of happiness, the best there", None, recall("happiness")),
                ("recall of disgust, the worst there", 100 * paper.DISGUST_RECALL if data == "fer2013" else None,
                 recall("disgust"))):
            lines.append(entry("Figs. 2, 3", f"{title}, centre loss: {what}", printed, of_runs(measure, PAPER_ARM)))
    for name, fields in (("softmax", SOFTMAX), ("centre loss", PAPER_ARM)):
        lines.append(Entry("Fig. 1", f"FER2013, {name}: intra/inter, test images", None, of_runs(ratio, fields), "",
                           why="the paper shows a picture"))
        for what, measure in (("the network's own answers", accuracy), ("20 nearest neighbours", judged_by("knn")),
                              ("nearest class mean", judged_by("nearest_mean"))):
            lines.append(Entry("premise", f"FER2013, {name}: {what}", None, of_runs(measure, fields),
                               why="no number in the paper"))
    curve = partial(Entry, "Fig. 4", subset=True)
    lines += [curve(f"FER2013, published rule: accuracy at α {alpha}", printed,
                    of_runs(accuracy, {**PUBLISHED_ARM, "alpha": alpha}), why=f"{CAUSES}; a part of the images")
              for alpha, printed in zip(paper.ALPHAS, paper.FIG_4["fer2013"])]
    for name, update in (("published rule", "adam"), ("Eq. 2", "eq2")):
        fields = {"lam": paper.LAM, "update": update}
        lines += [curve(f"FER2013, {name}: sd over α at one seed", mean_sd(paper.FIG_4["fer2013"])[1],
                        of_curves(spread, fields), "sd", why="fewer α, fewer images"),
                  curve(f"FER2013, {name}: best α", paper.ALPHA, of_curves(best, fields), "",
                        why="one run a point is no maximum: notebook 5")]
    curve = partial(Entry, "Fig. 4", dataset="rafdb",
                    command=f"`{SWEEP} --grid alpha={','.join(map(str, paper.ALPHAS))} --grid seed=0,1,2`")
    lines += [curve(f"RAF-DB: accuracy at α {alpha}", printed,
                    of_runs(accuracy, {"lam": paper.LAM, "alpha": alpha}))
              for alpha, printed in zip(paper.ALPHAS, paper.FIG_4["rafdb"])]
    return lines + [
        curve("RAF-DB: best α", paper.ALPHAS[int(np.argmax(paper.FIG_4["rafdb"]))],
              of_curves(best, {"lam": paper.LAM}), ""),
        Entry("Table 3", "FER2013 on both test sets, centre loss: accuracy",
              paper.TABLE_3["fer2013"]["center"]["accuracy"], lambda runs: [],
              command="`fer-lab evaluate runs/RUN fer2013 PATH --split test`")]


def ledger_table(runs):
    """A DataFrame with a row for each question and each setting that answers it, or one that says what is missing.

    ``ours`` ± ``sd`` over ``n`` seeds; ``gap`` is ours minus the paper's; ``runs``: the keys of those behind it.
    """
    settings, rows = by_setting(runs), []
    for entry in entries():
        base = {"where": entry.where, "what": entry.what, "paper": entry.paper, "unit": entry.unit,
                "paper's test set": PAPER_TEST[entry.dataset]}
        found = []
        for name, mine in settings.items():
            config = mine[0].config
            if config["dataset"] != entry.dataset or "subset" in config["data_options"] and not entry.subset:
                continue
            readings = [reading for reading in entry.measure(mine) if not math.isnan(reading.value)]
            if readings:
                ours, sd = mean_sd([reading.value for reading in readings])
                keys = {run.folder.name.rsplit("-", 1)[-1] for reading in readings for run in reading.runs}
                found.append({**base, "setting": name, "ours": ours, "sd": sd, "n": len(readings),
                              "our test set": OUR_TEST[mine[0].metrics["test_split"]], "why": entry.why,
                              "runs": " ".join(sorted(keys))})
        rows += found or [{**base, "n": 0, "why": f"open; {entry.command or 'no such runs of the protocol yet'}"}]
    table = pd.DataFrame(rows, columns=["where", "what", "paper", "unit", "paper's test set", "setting", "ours", "sd",
                                        "n", "our test set", "why", "runs"])
    return table.assign(gap=table.ours - table.paper.astype(float))
