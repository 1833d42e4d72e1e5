"""How good a model is, and how its features lie: numbers from arrays."""

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.special import entr
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from .emotions import EMOTIONS
from .errors import FerError
from .transforms import normalise, resize, to_channels


def autocast(precision, device):
    """The context in which the network runs: ``precision`` is "fp32", "bf16" or "fp16"."""
    narrow = {"bf16": torch.bfloat16, "fp16": torch.float16}
    return torch.autocast(torch.device(device).type, narrow[precision]) if precision in narrow else nullcontext()


@torch.inference_mode()
def predict(model, images, *, size, mean, std, precision="fp32", mirror=False, batch_size=256):
    """Features float32 (N, D) and probabilities float32 (N, 7) of uint8 images, without any augmentation; with
    ``mirror`` both are means over each image and its mirror image."""
    device, was_training, search = next(model.parameters()).device, model.training, torch.backends.cudnn.benchmark
    model.eval()
    torch.backends.cudnn.benchmark = False  # the last batch has another size, and a search for it takes seconds
    features, probabilities = [], []
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(np.array(images[start:start + batch_size])).to(device)
        batch = normalise(resize(to_channels(batch), size), mean, std)
        with autocast(precision, device):
            answers = [model(seen) for seen in ((batch, batch.flip(3)) if mirror else (batch,))]
        features.append((sum(deep.float() for deep, _ in answers) / len(answers)).cpu())
        probabilities.append((sum(logits.float().softmax(1) for _, logits in answers) / len(answers)).cpu())
    model.train(was_training)
    torch.backends.cudnn.benchmark = search
    return torch.cat(features).numpy(), torch.cat(probabilities).numpy()


def scores(labels, predicted, classes=EMOTIONS):
    """Accuracy and weighted F1 as the paper reports them, in [0, 1], with macro F1, in which rare classes count as much
    as large ones and those that neither occur nor are answered don't, and each class's recall."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.shape != predicted.shape or not len(labels):
        raise FerError(f"{labels.shape} labels and {predicted.shape} predictions; give one prediction for each label.")
    weighted, macro = (f1_score(labels, predicted, average=average, labels=range(len(classes)), zero_division=np.nan)
                       for average in ("weighted", "macro"))
    recall = confusion(labels, predicted, normalise_rows=True, classes=classes).diagonal()
    return {"accuracy": float(accuracy_score(labels, predicted)), "weighted_f1": float(weighted),
            "macro_f1": float(macro), "recall": dict(zip(classes, map(float, recall)))}


def by_group(labels, predicted, groups, level=0.95):
    """Accuracy for each group: a DataFrame with columns ``n``, ``accuracy``, ``low`` and ``high`` and a row for each
    word in ``groups`` (N,), in alphabetical order. ``low`` and ``high``: Wilson's interval, good for small groups, too.
    Raises ``FerError`` unless there is one prediction and one group for each label."""
    labels, predicted, groups = map(np.asarray, (labels, predicted, groups))
    if not labels.shape == predicted.shape == groups.shape or not labels.size:
        raise FerError(f"{labels.shape} labels, {predicted.shape} answers, {groups.shape} groups; give one of each.")
    rows = {}
    for group in np.unique(groups).tolist():
        right = predicted[groups == group] == labels[groups == group]
        found = binomtest(int(right.sum()), len(right))
        low, high = found.proportion_ci(level, method="wilson")
        rows[group] = {"n": len(right), "accuracy": found.statistic, "low": low, "high": high}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"n": int})


def confusion(labels, predicted, normalise_rows=False, classes=EMOTIONS):
    """Confusion matrix (C, C) of C classes: rows are true, columns predicted ones; counts, or shares of each row."""
    normalize = "true" if normalise_rows else None
    return confusion_matrix(labels, predicted, labels=range(len(classes)), normalize=normalize)


def most_confused_pair(labels, predicted):
    """The two classes that are taken for each other most, as ``(first, second, share)``: the mean of both directions'
    shares of their rows, so that a class's size plays no part."""
    shares = confusion(labels, predicted, normalise_rows=True)
    both = np.triu((shares + shares.T) / 2, 1)
    first, second = np.unravel_index(both.argmax(), both.shape)
    return EMOTIONS[first], EMOTIONS[second], float(both[first, second])


def hesitation(probabilities):
    """How many equally likely classes would leave one as unsure as each row of probabilities (N, C) does: float64 (N,),
    1 for a certain answer, C for none at all. It is 2 to the power of the entropy in bits, known as perplexity."""
    return np.exp(entr(np.asarray(probabilities, np.float64)).sum(-1))


@dataclass(frozen=True)
class Compactness:
    """``intra``: mean distance of a feature to the mean of its class, classes weighted alike; ``inter``: mean distance
    between two class means; ``ratio`` = intra / inter, free of the features' scale: the smaller, the tighter."""

    intra: float
    inter: float

    @property
    def ratio(self):
        return self.intra / self.inter if self.inter else float("inf")


def compactness(features, labels):
    """``Compactness`` of features (N, D) in their full dimension; classes without a member are left out."""
    features, labels = np.asarray(features, np.float64), np.asarray(labels)
    present = np.unique(labels)
    if len(present) < 2:
        raise FerError(f"compactness compares classes, and here is {len(present)}; give features of two or more.")
    means = np.stack([features[labels == k].mean(0) for k in present])
    intra = np.mean([np.linalg.norm(features[labels == k] - mean, axis=1).mean() for k, mean in zip(present, means)])
    pairs = np.triu_indices(len(present), 1)
    inter = np.linalg.norm(means[pairs[0]] - means[pairs[1]], axis=1).mean()
    return Compactness(float(intra), float(inter))
