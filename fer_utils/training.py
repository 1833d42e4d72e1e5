"""Recipes, and the loop that follows them."""

import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn import functional
from tqdm.auto import tqdm

from .center_loss import CenterLoss
from .emotions import EMOTIONS
from .errors import FerError
from .evaluation import autocast, compactness, predict
from .model import CLResNet50
from .transforms import augment, channel_statistics, normalise, to_channels

# Raised by hand, with a line of reason, whenever ten training steps with a fixed seed change their numbers.
# 1: the first engine.
ENGINE = 1


@dataclass(frozen=True)
class Recipe:
    """All that decides how a network is trained, except the data and the seed.

    ``lam`` multiplies ½·mean‖x − c‖² beside the mean cross-entropy; 0 is plain softmax training. ``alpha`` is the rate
    of Eq. 2. ``schedule``: "constant", or "one_cycle" (the rate climbs to ``learning_rate`` and falls to nothing).
    ``rotation`` in degrees, ``crop`` the share of the side that may be cut away. ``precision``: "fp32", "bf16", or
    "auto", which takes bf16 where the hardware computes in it. Raises ``FerError`` for a value out of range.
    """

    name: str
    backbone: str = "resnet50"
    weights: str = "random"
    image_size: int = 48
    validation_fraction: float = 0.3
    epochs: int = 50
    batch_size: int = 62
    learning_rate: float = 1e-3
    schedule: str = "constant"
    patience: int = 6
    lam: float = 0.2
    alpha: float = 1.9
    flip: bool = True
    rotation: float = 10.0
    crop: float = 0.1
    precision: str = "auto"

    def __post_init__(self):
        for field, low, high in (("image_size", 16, 1024), ("epochs", 1, 10_000), ("batch_size", 2, 100_000),
                                 ("patience", 1, 10_000)):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise FerError(f"recipe {self.name}: {field} = {value!r}; give a whole number from {low} to {high}.")
        for field, low, high in (("learning_rate", 1e-12, 100), ("validation_fraction", 0.001, 0.9), ("lam", 0, 1e9),
                                 ("alpha", 0, 1e9), ("rotation", 0, 180), ("crop", 0, 0.9)):
            value = getattr(self, field)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
                raise FerError(f"recipe {self.name}: {field} = {value!r}; give a finite number from {low:g} to "
                               f"{high:g}.")
            object.__setattr__(self, field, float(value))  # 0 and 0.0 are one recipe and have one key
        for field in ("name", "backbone", "weights"):
            if not isinstance(getattr(self, field), str) or not getattr(self, field):
                raise FerError(f"recipe {self.name}: {field} = {getattr(self, field)!r}; give a name.")
        if not isinstance(self.flip, bool):
            raise FerError(f"recipe {self.name}: flip = {self.flip!r}; give True or False.")
        for field, choices in (("schedule", ("constant", "one_cycle")), ("precision", ("auto", "fp32", "bf16"))):
            if getattr(self, field) not in choices:
                raise FerError(f"recipe {self.name}: {field} = {getattr(self, field)!r}; choose one of "
                               f"{', '.join(map(repr, choices))}.")

    def replace(self, **overrides):
        """The same recipe with some fields changed; an unknown field is refused."""
        unknown = sorted(set(overrides) - {field.name for field in dataclasses.fields(self)})
        if unknown:
            raise FerError(f"a recipe has no field {', '.join(unknown)}; its fields are "
                           f"{', '.join(field.name for field in dataclasses.fields(self))}.")
        return dataclasses.replace(self, **overrides)

    def beside_paper(self):
        """The recipe as a table beside the paper's words, a pandas DataFrame."""
        angles = f"{'flip, ' if self.flip else ''}rotation up to {self.rotation:g}°, crop up to {100 * self.crop:g} %"
        strength = {name: f"{value:.3g}" for name, value in lambda_conventions(self.lam, self.batch_size).items()}
        rows = {
            "network": (self.backbone, "ResNet-50"),
            "weights at the start": (self.weights, "ImageNet"),
            "image size": (f"{self.image_size} × {self.image_size}", "224 × 224"),
            "augmentation": (angles, "horizontal flip, rotation, crop"),
            "validation": (f"{100 * self.validation_fraction:g} % of the training data", "30 % of the training data"),
            "optimiser": (f"Adam, {self.learning_rate:g}, {self.schedule.replace('_', '-')}", "Adam, 0.001"),
            "epochs, batch": (f"{self.epochs}, {self.batch_size}", "50, 62"),
            "patience": (f"{self.patience}, on validation accuracy", "6, measure not given"),
            "λ beside ½·mean (ours)": (strength["half_mean"], "12.4, if Eq. 1 is meant literally"),
            "λ beside mean, without ½": (strength["mean"], "0.2 in the published code"),
            "λ beside ½·sum": (strength["half_sum"], "0.2 in Eq. 1 as printed"),
            "α": (f"{self.alpha:g}" if self.lam else "none: λ is 0", "1.9"),
        }
        return pd.DataFrame(rows, index=[f"{self.name} (here)", "the paper"]).T

    def effective(self):
        """The fields that decide the outcome, as a dict; α has no part in it where lam is 0."""
        fields = dataclasses.asdict(self)
        if self.lam == 0:
            del fields["alpha"]
        return fields


RECIPES = {recipe.name: recipe for recipe in (
    # Minutes on a laptop: a short schedule that falls to nothing, so that the last epoch is a good one.
    Recipe("quick", epochs=6, schedule="one_cycle", learning_rate=2e-3, patience=6, validation_fraction=0.15),
    # The paper's protocol. Its angle and crop are not given; these are common ones.
    Recipe("paper", weights="imagenet", image_size=224),
)}


def get_recipe(name, **overrides):
    """The recipe of that name, with some fields changed."""
    if not isinstance(name, str) or name not in RECIPES:
        raise FerError(f"unknown recipe {name!r}; choose one of {', '.join(RECIPES)}.")
    return RECIPES[name].replace(**overrides)


def lambda_conventions(lam, batch_size):
    """One strength of centre loss in three conventions: what others would write for our ``lam``, beside a mean
    cross-entropy: ½ and mean (ours), mean without ½ (the published code), ½ and sum (Eq. 1 as printed)."""
    return {"half_mean": lam, "mean": lam / 2, "half_sum": lam / batch_size}


@dataclass
class FitResult:
    """What training leaves: the best model, its centres, one row of history per epoch, and how inputs were made.

    ``inputs``: size, mean, std and precision, as ``evaluation.predict`` takes them. ``best_epoch`` counts from 1.
    """

    model: CLResNet50
    center_loss: CenterLoss
    history: pd.DataFrame
    best_epoch: int
    inputs: dict


def fit(train, validation, recipe, seed=0, *, device="auto", folder=None, progress=True):
    """Train by a recipe; keep the epoch with the best validation accuracy.

    ``train`` and ``validation`` are ``FaceDataset``s; ``seed`` fixes initialisation, order and augmentation alike for
    every λ and α. With a ``folder``, each epoch leaves a checkpoint there, and a second call goes on after the last.
    Raises ``FerError`` when a loss stops being finite, and for a checkpoint in ``folder`` that is not of this training.
    """
    device = choose_device(device)
    mean, std = channel_statistics(train.images)
    inputs = {"size": recipe.image_size, "mean": mean, "std": std,
              "precision": choose_precision(recipe.precision, device)}
    if len(train) < recipe.batch_size:
        raise FerError(f"{len(train)} training images do not fill one batch of {recipe.batch_size}; lower batch_size.")
    model, center_loss = build(recipe, seed, device, len(train.classes))
    steps = len(train) // recipe.batch_size  # the incomplete batch is left out: batch norm needs company
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    scheduler = make_scheduler(optimizer, recipe, steps)
    state = {"model": model, "center_loss": center_loss, "optimizer": optimizer, "scheduler": scheduler}
    identity = {"recipe": recipe.effective(), "seed": seed, "engine": ENGINE, "train": train.fingerprint}
    history, best = _resume(folder, state, identity)

    images = torch.from_numpy(np.array(train.images)).to(device)
    labels = torch.from_numpy(train.labels).to(device)
    bar = tqdm(total=recipe.epochs * steps, initial=len(history) * steps, unit="step", disable=not progress,
               leave=False)
    with bar, torch.random.fork_rng([device] if device.type == "cuda" else []):
        for epoch in range(len(history) + 1, recipe.epochs + 1):
            if epoch > best["epoch"] + recipe.patience:
                break
            started = time.perf_counter()
            # Each epoch's chance follows from seed and epoch alone: a resumed run needs no random state.
            chance = torch.Generator().manual_seed(derive(seed, "epoch", epoch))
            torch.manual_seed(derive(seed, "layers", epoch))  # for backbones with dropout
            order = torch.randperm(len(train), generator=chance).to(device)
            losses = []
            model.train()
            for step in range(steps):
                rows = order[step * recipe.batch_size:(step + 1) * recipe.batch_size]
                batch = augment(to_channels(images[rows]), recipe.image_size, chance, flip=recipe.flip,
                                rotation=recipe.rotation, crop=recipe.crop)
                losses.append(training_step(normalise(batch, mean, std), labels[rows], recipe, inputs["precision"],
                                            **state))
                bar.update()
            cross_entropy, center, correct = torch.stack(losses).mean(0).tolist()
            if not math.isfinite(cross_entropy + center):
                raise FerError(f"epoch {epoch}: the loss is no longer finite (cross-entropy {cross_entropy}, centre "
                               f"loss {center}); lower learning_rate, lam or alpha.")
            history.append({"epoch": epoch, "cross_entropy": cross_entropy, "center_loss": center,
                            "train_accuracy": correct, **_validate(model, validation, inputs),
                            "seconds": time.perf_counter() - started})
            bar.set_postfix(validation=f"{history[-1]['validation_accuracy']:.3f}")
            if history[-1]["validation_accuracy"] > best["accuracy"]:
                best = {"epoch": epoch, "accuracy": history[-1]["validation_accuracy"],
                        "model": _copy(model), "center_loss": _copy(center_loss)}
            if folder is not None:
                _save({**{name: part.state_dict() for name, part in state.items()}, "identity": identity,
                       "history": history, "best": best}, Path(folder) / "last.pt")
    model.load_state_dict(best["model"])
    center_loss.load_state_dict(best["center_loss"])
    return FitResult(model.eval(), center_loss, pd.DataFrame(history), best["epoch"], inputs)


def training_step(batch, labels, recipe, precision, *, model, center_loss, optimizer, scheduler):
    """One step of L = L_S + λ L_C (Eq. 3), then one step of the centres (Eq. 2).

    ``batch`` float (B, 3, H, W), ``labels`` int64 (B,). Returns cross-entropy, centre loss and accuracy, a tensor (3,)
    that stays on the device: reading a number back would make the device wait.
    """
    with autocast(precision, batch.device):
        features, logits = model(batch)
    cross_entropy = functional.cross_entropy(logits.float(), labels)
    center = center_loss(features, labels) if recipe.lam else torch.zeros_like(cross_entropy)
    loss = cross_entropy + recipe.lam * center
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    scheduler.step()
    if recipe.lam:
        center_loss.update_centers(features, labels)
    accuracy = (logits.argmax(1) == labels).float().mean()
    return torch.stack([cross_entropy, center, accuracy]).detach()


def build(recipe, seed, device, num_classes=len(EMOTIONS)):
    """The network and the centres of a recipe, initialised from the seed alone, without touching torch's own state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "initialisation"))
        model = CLResNet50(num_classes, backbone=recipe.backbone, weights=recipe.weights)
    model.to(device, memory_format=torch.channels_last)
    return model, CenterLoss(num_classes, model.feat_dim, alpha=recipe.alpha).to(device)


def make_scheduler(optimizer, recipe, steps):
    if recipe.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps + 1,
                                               pct_start=0.25)


def derive(seed, *words):
    """A number for a generator, from the run's seed and what it is for; streams of different purpose never meet."""
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise FerError(f"seed = {seed!r}: give a whole number from 0 up.")
    spelled = "/".join(map(str, words)).encode()
    return int(np.random.SeedSequence([seed, *spelled]).generate_state(1, np.uint64)[0] >> 1)


def choose_device(device="auto"):
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available()
                            else "cpu")
    try:
        device = torch.device(device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise FerError(f"device {device!r} cannot be used here ({str(error).splitlines()[0]}); "
                       "give 'auto', 'cpu', 'cuda' or 'mps'.") from error
    return device


def choose_precision(precision, device):
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    # Torch has no public question for this; where the private one is missing, fp32 is right, only slower.
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)
    return "bf16" if device.type == "cpu" and native() else "fp32"


def _validate(model, validation, inputs):
    features, probabilities = predict(model, validation.images, **inputs)
    chosen = probabilities[np.arange(len(validation)), validation.labels]
    return {"validation_cross_entropy": float(-np.log(np.maximum(chosen, 1e-12)).mean()),
            "validation_accuracy": float((probabilities.argmax(1) == validation.labels).mean()),
            "validation_ratio": compactness(features, validation.labels).ratio}


def _resume(folder, state, identity):
    path = None if folder is None else Path(folder) / "last.pt"
    if path is None or not path.exists():
        return [], {"epoch": 0, "accuracy": -1.0}
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises whatever the zip or the pickle reader raises
        raise FerError(f"{path}: this checkpoint cannot be read ({type(error).__name__}); delete it to start "
                       "again.") from error
    if not isinstance(saved, dict) or saved.get("identity") != identity:
        raise FerError(f"{path}: a checkpoint of another training (recipe, data, seed or engine differ); give another "
                       "folder, or delete it.")
    for name, part in state.items():
        part.load_state_dict(saved[name])
    return saved["history"], saved["best"]


def _copy(module):
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _save(content, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.replace(path)  # a reader finds the old checkpoint or the new one, never half of one
