"""Wrong labels on photographs: networks that learned FER2013's labels or FER+'s, against both on the same images.

Section 11 of the protocol. Both kinds of runs were tested on PublicTest, and published answers carry the images' names.
"""

import pandas as pd

from fer_utils.errors import FerError
from fer_utils.evaluation import scores

from .claims import CHOSEN_ARM, section_11
from .measures import SOFTMAX, arm

KINDS = {"FER2013": ("fer2013", {}), "FER+": ("ferplus", {}), "FER+ votes": ("ferplus", {"mode": "votes"})}
ARMS = (("FER2013", "softmax", SOFTMAX), ("FER2013", "centre loss", CHOSEN_ARM),
        ("FER2013", "SCN", {**SOFTMAX, "self_cure": 5.0}), ("FER+", "softmax", SOFTMAX),
        ("FER+", "centre loss", CHOSEN_ARM), ("FER+ votes", "softmax", {**SOFTMAX, "soft_labels": True}))


def against_both(runs):
    """Accuracy and macro F1 in [0, 1] of each published run of section 11 against either kind of label: a DataFrame
    with ``labels`` (those that it learned), ``method``, ``seed``, ``against``, ``images``, ``accuracy``, ``macro_f1``.

    All are tested on the same images, those that have a label of either kind. Raises ``FerError`` where one of the
    kinds has no run.
    """
    of_kind = {name: [run for run in runs if section_11(run) and run.config["dataset"] == dataset
                      and run.config["data_options"] == options] for name, (dataset, options) in KINDS.items()}
    labels = {name: labels_of(of_kind[name]) for name in ("FER2013", "FER+")}
    names = labels["FER2013"].index.intersection(labels["FER+"].index)
    rows = []
    for kind, method, fields in ARMS:
        for seed, run in arm(of_kind[kind], fields).items():
            answers = pd.Series(run.predictions["probabilities"].argmax(1), run.predictions["names"])[names]
            for against, known in labels.items():
                found = scores(known[names], answers)
                rows.append({"labels": kind, "method": method, "seed": seed, "against": against, "images": len(names),
                             "accuracy": found["accuracy"], "macro_f1": found["macro_f1"]})
    return pd.DataFrame(rows)


def labels_of(runs):
    """The labels of the test images by their names, a Series; ``FerError`` where runs of one kind differ in them."""
    found = [pd.Series(run.predictions["labels"], run.predictions["names"]).sort_index() for run in runs]
    if not found or not all(other.equals(found[0]) for other in found):
        raise FerError(f"{len(found)} runs of one kind of label: there must be one or more, all tested on the same "
                       "images. Restore results/ from git.")
    return found[0]
