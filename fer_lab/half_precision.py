"""Trained networks in half precision, small enough to be passed on, and how good one is on any data."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from fer_utils.datasets import TEST_SPLIT, load_dataset
from fer_utils.errors import FerError
from fer_utils.evaluation import confusion, predict, scores
from fer_utils.model import CLResNet50
from fer_utils.runs.run import Run, is_finished, load_run, sha256_of, write_json

WEIGHTS, CARD = "model.half.safetensors", "card.json"
FIELDS = {"run": str, "recipe": dict, "data": dict, "inputs": dict, "classes": list, "weights": dict}  # of a card
PARTS = {"recipe": ("backbone",), "inputs": ("size", "mean", "std"), "weights": ("bytes", "sha256")}


@dataclass(frozen=True)
class HalfNetwork:
    """An exported network on the CPU, in evaluation mode, and the ``card`` that says where it comes from."""

    card: dict
    model: CLResNet50

    def predict(self, dataset):
        """Features float32 (N, D) and probabilities float32 (N, C) of a ``FaceDataset``, as in its training's test."""
        return predict(self.model, dataset.images, **self.card["inputs"])


@dataclass(frozen=True)
class Evaluation:
    """How good a network is on one split: ``scores``, ``counts`` (C, C) with true classes in rows, and what was seen;
    ``notes``: what a reader of the numbers should know. ``str`` is all of it as text."""

    name: str
    source: str
    split: str
    images: int
    fingerprint: str
    classes: tuple
    scores: dict
    counts: np.ndarray
    notes: tuple = ()

    def __str__(self):
        recall = pd.Series(self.scores["recall"]).map("{:.3f}".format)
        counts = pd.DataFrame(self.counts, self.classes, self.classes)
        head = [f"{self.name}", f"{self.source}, {self.split}: {self.images} images, fingerprint {self.fingerprint}",
                *self.notes, "", *(f"{label:<12} {self.scores[name]:.4f}" for label, name in (
                    ("accuracy", "accuracy"), ("weighted F1", "weighted_f1"), ("macro F1", "macro_f1")))]
        return "\n".join([*head, "", "recall", recall.to_string(), "", "confusion: true classes in rows, answers in "
                          "columns", counts.to_string()])


def export_half(run, target):
    """Write a finished run's network in half precision, with its card, to the folder ``target``; returns the folder.

    Filters and matrices become bf16 where the run computed in bf16, which rounds them in the same way, so that no
    answer changes; else fp16, whose rounding is finer. What batch norm and biases hold stays fp32. Raises ``FerError``
    where a weight is too large for it.
    """
    precision = "bf16" if run.config["inputs"].get("precision") == "bf16" else "fp16"
    narrow = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
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
        "weights": {"file": WEIGHTS, "precision": precision, "bytes": (target / WEIGHTS).stat().st_size,
                    "sha256": sha256_of(target / WEIGHTS)}})
    return target


def load_network(folder):
    """The ``HalfNetwork`` that ``export_half`` wrote to a folder, or a finished run's ``Run``.

    Raises ``FerError`` where the card is missing or not whole, the file is damaged, or the weights do not fit.
    """
    folder = Path(folder)
    if is_finished(folder) and not (folder / CARD).exists():
        return load_run(folder)
    advice = "fetch the folder again, or export the run again."
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FerError(f"{folder}: neither an exported network, which has a {CARD}, nor a finished run ({error}); "
                       f"{advice}") from error
    fields = card if isinstance(card, dict) else {}
    missing = [name for name, kind in FIELDS.items() if not isinstance(fields.get(name), kind)]
    missing += [f"{name}: {part}" for name, parts in PARTS.items() if name not in missing
                for part in parts if part not in fields[name]]
    if missing:
        raise FerError(f"{folder / CARD}: this card does not say {', '.join(missing)}; {advice}")
    path = folder / WEIGHTS
    if not path.exists():
        raise FerError(f"{path}: the weights are missing; {advice}")
    if sha256_of(path) != card["weights"]["sha256"]:
        raise FerError(f"{path}: damaged or of another network: {path.stat().st_size} bytes, the card says "
                       f"{card['weights']['bytes']}, and the checksum differs; {advice}")
    model = CLResNet50(len(card["classes"]), backbone=card["recipe"]["backbone"], weights=str(path))
    return HalfNetwork(card, model.eval())


def evaluate(folder, dataset, root=None, split=None, **options):
    """The ``Evaluation`` of an exported network or a run on one split of a data set; ``options``: ``load_dataset``'s.

    ``split``: None is the one that runs are tested on. Images of another size are resized to the size of the training,
    and normalised as in it. Raises ``FerError`` where the data has other classes than the network.
    """
    network = load_network(folder)
    origin = network.config if isinstance(network, Run) else network.card
    faces = load_dataset(dataset, root, split or TEST_SPLIT.get(dataset), **options)
    if tuple(faces.classes) != tuple(origin["classes"]):
        raise FerError(f"{faces.source} has the classes {', '.join(faces.classes)}, and {folder} was trained to answer "
                       f"{', '.join(origin['classes'])}; they must be the same, in one order.")
    answers = network.predict(faces)[1].argmax(1)
    same = [name for name, part in origin["data"].items() if part["fingerprint"] == faces.fingerprint]
    side, size = faces.images.shape[1:3], origin["inputs"]["size"]
    notes = [f"these are the images of its own {' and '.join(same)} part"] * bool(same)
    if faces.split == "train" and not same:
        notes.append("a training split: the network may have been trained on some of these images")
    if side != (size, size):
        notes.append(f"images of {side[1]} x {side[0]} pixels, resized to {size} x {size}")
    return Evaluation(origin.get("run", Path(folder).resolve().name), faces.source, faces.split, len(faces),
                      faces.fingerprint, tuple(faces.classes), scores(faces.labels, answers, faces.classes),
                      confusion(faces.labels, answers, classes=faces.classes), tuple(notes))
