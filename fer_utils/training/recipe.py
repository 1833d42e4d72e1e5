"""Recipes: all that decides how a network is trained, as data that can be read, printed and compared."""

import dataclasses
from dataclasses import dataclass

import pandas as pd

from ..as_written import path_of, value_of, whole_of
from ..center_loss import RULES
from ..errors import FerError

NUMBERS = {  # field: type, smallest, largest
    "image_size": (int, 16, 1024), "epochs": (int, 1, 10_000), "batch_size": (int, 2, 100_000),
    "accumulate": (int, 1, 1000), "patience": (int, 1, 10_000), "learning_rate": (float, 1e-12, 100),
    "self_cure": (int, 0, 10_000),
    "weight_decay": (float, 0, 10), "warmup": (float, 0, 1000), "label_smoothing": (float, 0, 0.9),
    "mixup": (float, 0, 10), "ema": (float, 0, 0.99999), "validation_fraction": (float, 0, 0.9),
    "class_weights": (float, 0, 2), "center_class_weights": (float, 0, 2), "logit_adjustment": (float, 0, 5),
    "lam": (float, 0, 1e9), "lam_warmup": (float, 0, 1000), "alpha": (float, 0, 1e9), "rotation": (float, 0, 180),
    "crop": (float, 0, 0.9), "shift": (float, 0, 0.5), "erase": (float, 0, 1),
}
CHOICES = {
    "optimizer": ("adam", "sgd"), "schedule": ("constant", "one_cycle", "cosine"),
    "precision": ("auto", "fp32", "bf16", "fp16"), "monitor": ("accuracy", "cross_entropy"),
    "normalisation": ("training", "imagenet"), "update": tuple(RULES), "center_init": ("zeros", "randn", "means"),
}
SWITCHES = ("flip", "reshuffle", "augment_validation", "mirror_test", "balanced_sampling", "soft_labels")
# Fields without effect where lam is 0.
CENTERS = ("lam_warmup", "alpha", "update", "center_init", "center_class_weights")
# What may stand beside cross-entropy instead of centre loss, or with it: an arm of a comparison, off by default.
METHODS = {"class_weights": "classes weighed by 1/n^{:g}", "balanced_sampling": "classes drawn equally often",
           "logit_adjustment": "logit adjustment {:g}", "self_cure": "SCN, relabelling from epoch {:g}",
           "soft_labels": "soft labels"}
# Left out of a run's key while they are off, so that runs from before them keep theirs.
LATER = ("lam_warmup", "center_class_weights", *METHODS)


@dataclass(frozen=True)
class Recipe:
    """All that decides how a network is trained, except the data and the seed.

    - The network: ``backbone``, any classifier of torchvision; ``weights``: "random", "imagenet" or a file's path.
    - The images: ``image_size`` in pixels; ``flip``, ``rotation`` up to so many degrees, ``crop`` up to that share of
      the side, ``shift`` up to that share, ``erase``: the chance that a rectangle is blotted out; ``normalisation``
      with the "training" set's mean and deviation, or with "imagenet"'s.
    - What is chosen on: ``validation_fraction`` of the training data, or, with 0, the split that is tested on;
      ``monitor``, and ``patience``, the epochs without a better one after which training ends; ``augment_validation``:
      a fault of published code, which is kept to be studied.
    - The steps: ``epochs``, ``batch_size`` (in ``accumulate`` pieces where memory is short), ``reshuffle`` each epoch;
      ``optimizer``: "adam", or "sgd" with Nesterov's momentum 0.9; ``learning_rate``, ``weight_decay``; ``schedule``:
      "constant", "one_cycle" (up and down to nothing) or "cosine" (down to nothing, after ``warmup`` epochs);
      ``label_smoothing``; ``mixup``: the parameter of its Beta distribution; ``ema``: decay of the weights' moving
      average, which is then what is tested; ``mirror_test``: the mean of an image's and its mirror image's answer.
    - Centre loss: ``lam`` multiplies ½·mean‖x − c‖² beside the mean cross-entropy, and 0 is plain softmax training;
      over ``lam_warmup`` epochs λ climbs linearly from 0, step by step; ``alpha`` and ``update`` as in ``CenterLoss``;
      ``center_init``: "zeros", "randn" or "means": after a first epoch with λ = 0, which is softmax's, each centre is
      put on the mean of its class's training features, and λ acts from the second epoch on.
    - Rare classes, as in ``class_balance``: ``class_weights`` and ``center_class_weights``, powers by which the two
      losses weigh them up (1: averaged over classes); ``balanced_sampling``: each class is drawn equally often;
      ``logit_adjustment``: τ, by which their logits must be ahead in training.
    - Wrong labels: ``self_cure``: the epoch from which SCN relabels, and 0 is without SCN; ``soft_labels``: the
      cross-entropy takes each image's distribution over classes in place of its label.
    - ``precision``: "fp32", "bf16", "fp16", or "auto", which takes bf16 where the hardware computes in it.

    Raises ``FerError`` for a value out of range.
    """

    name: str
    backbone: str = "resnet50"
    weights: str = "random"
    image_size: int = 48
    flip: bool = True
    rotation: float = 10.0
    crop: float = 0.1
    shift: float = 0.0
    erase: float = 0.0
    normalisation: str = "training"
    validation_fraction: float = 0.3
    augment_validation: bool = False
    monitor: str = "accuracy"
    patience: int = 6
    epochs: int = 50
    batch_size: int = 62
    accumulate: int = 1
    reshuffle: bool = True
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    ema: float = 0.0
    mirror_test: bool = False
    lam: float = 0.2
    alpha: float = 1.9
    update: str = "eq2"
    center_init: str = "zeros"
    lam_warmup: float = 0.0
    center_class_weights: float = 0.0
    class_weights: float = 0.0
    balanced_sampling: bool = False
    logit_adjustment: float = 0.0
    self_cure: int = 0
    soft_labels: bool = False
    precision: str = "auto"

    def __post_init__(self):
        for field, (kind, low, high) in NUMBERS.items():
            kinds, meant = (int, whole_of) if kind is int else ((int, float), value_of)
            value = meant(getattr(self, field))
            if not isinstance(value, kinds) or isinstance(value, bool) or not low <= value <= high:
                self._refuse(field, f"give a {'whole' if kind is int else 'finite'} number from {low:g} to {high:g}")
            object.__setattr__(self, field, kind(value))  # 0 and 0.0 are one recipe and have one key
        for field in ("name", "backbone", "weights"):
            if not isinstance(getattr(self, field), str) or not getattr(self, field):
                self._refuse(field, "give a name")
        object.__setattr__(self, "weights", str(path_of(self.weights)))
        for field in SWITCHES:
            value = value_of(getattr(self, field))
            if not isinstance(value, bool):
                self._refuse(field, "give True or False")
            object.__setattr__(self, field, value)
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                self._refuse(field, f"choose one of {', '.join(map(repr, choices))}")
        if self.accumulate > self.batch_size // 2:
            self._refuse("accumulate", f"batch norm needs two images in each piece of a batch of {self.batch_size}")
        if self.self_cure and (self.accumulate > 1 or self.mixup or self.soft_labels):
            self._refuse("self_cure", "it ranks whole batches of images with one label each, so leave out accumulate, "
                                      "mixup and soft_labels")

    def _refuse(self, field, advice):
        raise FerError(f"recipe {self.name}: {field} = {getattr(self, field)!r}; {advice}.")

    def replace(self, **overrides):
        """The same recipe with some fields changed; an unknown field is refused."""
        names = [field.name for field in dataclasses.fields(self)]
        unknown = sorted(set(overrides) - set(names))
        if unknown:
            raise FerError(f"a recipe has no field {', '.join(unknown)}; its fields are {', '.join(names)}.")
        return dataclasses.replace(self, **overrides)

    def at(self, epochs):
        """The recipe of the step with which so many epochs are done, fractions included: λ may be on its way up."""
        if self.center_init == "means" and epochs <= 1:
            return self.replace(lam=0)
        return self.replace(lam=self.lam * epochs / self.lam_warmup) if epochs < self.lam_warmup else self

    def beside_paper(self):
        """The recipe as a table beside the paper's words, a pandas DataFrame."""
        strength = {name: f"{value:.3g}" for name, value in lambda_conventions(self.lam, self.batch_size).items()}
        validation = (f"{100 * self.validation_fraction:g} % of the training data" if self.validation_fraction
                      else "the test split: its figure is a validation figure")
        rate = f"{self.learning_rate:g}, {self.schedule.replace('_', '-')}"
        order = "" if self.reshuffle else ", one fixed order"
        augmented = ", augmented" if self.augment_validation else ""
        optimizer = {"adam": "Adam", "sgd": "SGD, Nesterov"}[self.optimizer]
        start = "the class means after epoch 1" if self.center_init == "means" else self.center_init
        climbs = f", reached after {self.lam_warmup:g} epochs" if self.lam and self.lam_warmup else ""
        rows = {
            "network": (self.backbone, "ResNet-50"),
            "weights at the start": (self.weights, "ImageNet"),
            "image size": (f"{self.image_size} × {self.image_size}", "224 × 224"),
            "augmentation": (self._used(
                flip="flip", rotation=f"rotation up to {self.rotation:g}°", crop=f"crop up to {100 * self.crop:g} %",
                shift=f"shift up to {100 * self.shift:g} %", erase=f"a blot on {100 * self.erase:g} %",
                mixup=f"mixup {self.mixup:g}"), "horizontal flip, rotation, crop"),
            "mean and deviation": (self.normalisation, "of the training data"),
            "validation": (validation + augmented, "30 % of the training data"),
            "optimiser": (f"{optimizer}, {rate}", "Adam, 0.001"),
            "epochs, batch": (f"{self.epochs}, {self.batch_size}{order}", "50, 62"),
            "patience": (f"{self.patience}, on validation {self.monitor.replace('_', '-')}", "6, measure not given"),
            "beside it": (self._used(
                weight_decay=f"weight decay {self.weight_decay:g}", ema=f"moving average {self.ema:g}",
                label_smoothing=f"label smoothing {self.label_smoothing:g}", mirror_test="mirrored test images",
                center_class_weights=f"centre loss weighed by 1/n^{self.center_class_weights:g}",
                **{name: words.format(getattr(self, name)) for name, words in METHODS.items()}),
                "none named"),
            "λ beside ½·mean (ours)": (strength["half_mean"] + climbs, "12.4, if Eq. 1 is meant literally"),
            "λ beside mean, without ½": (strength["mean"], "0.2 in the published code"),
            "λ beside ½·sum": (strength["half_sum"], "0.2 in Eq. 1 as printed"),
            "α": (f"{self.alpha:g}" if self.lam else "none: λ is 0", "1.9"),
            "the centres move by": (RULES[self.update] if self.lam else "none", "Eq. 2, and \"Adam for both losses\""),
            "the centres start at": (start if self.lam else "none", "not given"),
        }
        return pd.DataFrame(rows, index=[f"{self.name} (here)", "the paper"]).T

    def _used(self, **texts):
        return ", ".join(text for field, text in texts.items() if getattr(self, field)) or "none"

    def effective(self):
        """The fields that decide the outcome, as a dict; those of the centres have no part in it where lam is 0."""
        fields = dataclasses.asdict(self)
        return {name: value for name, value in fields.items()
                if (self.lam or name not in CENTERS) and (value or name not in LATER)}


RECIPES = {recipe.name: recipe for recipe in (
    # Minutes on a laptop: a short schedule that falls to nothing, so that the last epoch is a good one.
    Recipe("quick", epochs=6, schedule="one_cycle", learning_rate=2e-3, patience=6, validation_fraction=0.15),
    # The paper's protocol. Its angle and crop are not given; these are common ones. "Adam for both losses" and Eq. 2
    # cannot both hold: here Eq. 2 does.
    Recipe("paper", weights="imagenet", image_size=224),
    # Eq. 1 as a sum with λ = 0.2, at batch 62: kept because it is expected to collapse.
    Recipe("paper_literal", weights="imagenet", image_size=224, lam=12.4),
    # What the published code does, faults included: validation images are augmented; one order for all epochs; one
    # normalisation for all data (its numbers are not ours: ImageNet's stand in); Adam on centres that start at random,
    # their gradient scaled by α, which Adam takes away again; no ½, so that λ = 0.2 is 0.4 and α counts double; the
    # end at the 7th bad epoch in a row, by cross-entropy alone.
    Recipe("published_code", weights="imagenet", image_size=224, batch_size=64, normalisation="imagenet",
           augment_validation=True, reshuffle=False, monitor="cross_entropy", patience=7, lam=0.4, alpha=3.8,
           update="adam", center_init="randn"),
    # The paper's method with its faults mended: α as in Wen et al., a rate that falls to nothing, no early end.
    Recipe("repaired", epochs=25, schedule="one_cycle", learning_rate=2e-3, patience=25, alpha=0.5, rotation=15.0,
           crop=0.15, shift=0.05),
    # Best known practice from random weights. It trains on every training image and chooses on the test split, so that
    # its figure there is a validation figure.
    Recipe("modern", epochs=100, validation_fraction=0.0, batch_size=128, optimizer="sgd", learning_rate=0.05,
           weight_decay=5e-4, schedule="cosine", warmup=5.0, patience=100, rotation=15.0, crop=0.2, shift=0.1,
           erase=0.25, mixup=0.2, label_smoothing=0.1, ema=0.999, mirror_test=True, alpha=0.5, lam=0.01),
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
