"""Trained networks in half precision, small enough to be passed on, and how good one is on any data."""

import json
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from fer_utils.as_written import path_of
from fer_utils.datasets import TEST_SPLIT, load_dataset, name_of, size_for
from fer_utils.errors import FerError
from fer_utils.evaluation import confusion, scores
from fer_utils.model import CLResNet50
from fer_utils.runs.run import Run, is_finished, load_run, sha256_of, write_json

WEIGHTS, CARD = "model.half.safetensors", "card.json"
NEEDED = ("run", "data", "classes", "backbone", "size", "mean", "std", "sha256")  # of a card


class HalfNetwork(Run):
    """An exported network as a ``Run``: its ``config`` is the card, and it has no history and no predictions."""

    @cached_property
    def model(self):
        return CLResNet50(len(self.config["classes"]), backbone=self.config["recipe"]["backbone"],
                          weights=str(self.folder / WEIGHTS)).eval()


def export_half(run, target):
    """Write a finished run's network in half precision, with its card, to the folder ``target``; returns the folder.

    Filters and matrices become bf16 where the run computed in bf16, which rounds them in the same way, so that no
    answer changes; else fp16, whose rounding is finer. What batch norm and biases hold stays fp32. Raises ``FerError``
    where a weight is too large for it.
    """
    bf16 = run.config["inputs"].get("precision") == "bf16"
    narrow = torch.bfloat16 if bf16 else torch.float16
    path = run.folder / "model.safetensors"
    try:
        state = load_file(path)
    except Exception as error:  # safetensors' own, the disk's
        raise FerError(f"{path}: the weights of this run cannot be read ({error}); train it again.") from error
    half = {}
    for name, value in state.items():
        half[name] = value.to(narrow) if value.is_floating_point() and value.ndim > 1 else value
        if value.is_floating_point() and not torch.isfinite(half[name]).all():
            raise FerError(f"{path}: {name} holds numbers that half precision cannot; keep the run folder instead.")
    target = Path(target)
    target.mkdir(parents=True, exist_ok=True)
    save_file(half, target / WEIGHTS)
    given = ("dataset", "source", "data_options", "seed", "engine", "recipe", "data", "inputs", "classes")
    measured = ("test_split", "chosen_on", "accuracy", "weighted_f1", "macro_f1", "best_epoch")
    write_json(target / CARD, {
        "run": run.folder.resolve().name, **{name: run.config[name] for name in given if name in run.config},
        "metrics": {name: run.metrics[name] for name in measured if name in run.metrics},
        "commit": run.environment.get("commit"),
        "weights": {"file": WEIGHTS, "precision": "bf16" if bf16 else "fp16",
                    "bytes": (target / WEIGHTS).stat().st_size, "sha256": sha256_of(target / WEIGHTS)}})
    return target


def load_network(folder):
    """The ``HalfNetwork`` that ``export_half`` wrote to a folder, or a finished run's ``Run``.

    Raises ``FerError`` where the card is missing or not whole, or the file is damaged.
    """
    folder = path_of(folder)
    if is_finished(folder) and not (folder / CARD).exists():
        return load_run(folder)
    advice = "fetch the folder again, or export the run again."
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        told = {**card, **card["recipe"], **card["inputs"], **card["weights"]}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FerError(f"{folder}: neither an exported network, which has a whole {CARD}, nor a finished run "
                       f"({error}); {advice}") from error
    missing = [name for name in NEEDED if told.get(name) is None]
    if missing:
        raise FerError(f"{folder / CARD}: this card does not say {', '.join(missing)}; {advice}")
    path = folder / WEIGHTS
    if not path.exists() or sha256_of(path) != card["weights"]["sha256"]:
        raise FerError(f"{path}: missing, damaged or of another network: its checksum is not the card's; {advice}")
    return HalfNetwork(folder, card, {}, card.get("metrics", {}))


def evaluate(folder, dataset, root=None, split=None):
    """What an exported network or a run answers on one split of a data set, None: the one runs are tested on; as text.

    A folder's images are read in the size of the training, others resized to it, and all normalised as in it. Raises
    ``FerError`` where the data has other classes than the network, or the weights do not fit it.
    """
    network = load_network(folder)
    origin, size = network.config, network.config["inputs"]["size"]
    faces = load_dataset(dataset, root, split or TEST_SPLIT.get(name_of(dataset)), **size_for(dataset, size))
    if tuple(faces.classes) != tuple(origin["classes"]):
        raise FerError(f"{faces.source} has the classes {', '.join(faces.classes)}, and {folder} was trained to answer "
                       f"{', '.join(origin['classes'])}; they must be the same, in one order.")
    answers = network.predict(faces)[1].argmax(1)
    lines = [origin.get("run", network.folder.resolve().name),
             f"{faces.source}, {faces.split}: {len(faces)} images, fingerprint {faces.fingerprint}"]
    same = [name for name, part in origin["data"].items() if part["fingerprint"] == faces.fingerprint]
    if same:
        lines.append(f"these are the images of its own {' and '.join(same)} part")
    elif faces.split == "train":
        lines.append("a training split: the network may have been trained on some of these images")
    height, width = faces.images.shape[1:3]
    if (height, width) != (size, size):
        lines.append(f"images of {width} x {height} pixels, resized to {size} x {size}")
    found = scores(faces.labels, answers, faces.classes)
    recall = pd.Series(found["recall"]).map("{:.3f}".format)
    counts = pd.DataFrame(confusion(faces.labels, answers, classes=faces.classes), faces.classes, faces.classes)
    return "\n".join([*lines, "", f"accuracy     {found['accuracy']:.4f}", f"weighted F1  {found['weighted_f1']:.4f}",
                      f"macro F1     {found['macro_f1']:.4f}", "", "recall", recall.to_string(), "",
                      "confusion: true classes in rows, answers in columns", counts.to_string()])
