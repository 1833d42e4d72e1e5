"""The loop: Eq. 3 for the network, Eq. 2 for the centres, step by step, and never a run lost."""

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from ..center_loss import CenterLoss
from ..emotions import EMOTIONS
from ..errors import FerError
from ..evaluation import compactness, predict
from ..model import CLResNet50
from ..transforms import DRAWS, IMAGENET, augment, channel_statistics, normalise, to_channels
from . import checkpoint

# Raised by hand, with a line of reason, whenever ten training steps with a fixed seed change their numbers.
# 1: the first engine. 2: on Accelerate; more recipes draw more random numbers for an image.
ENGINE = 2


@dataclass
class FitResult:
    """What training leaves: the best model, its centres, one row of history per epoch, and how inputs were made.

    ``inputs``: size, mean, std, precision and mirror, as ``evaluation.predict`` takes them. ``best_epoch`` counts from
    1.
    """

    model: CLResNet50
    center_loss: CenterLoss
    history: pd.DataFrame
    best_epoch: int
    inputs: dict


@dataclass
class Parts:
    """What a training step moves: the network, its moving average (or None), the centres, and what moves them."""

    model: nn.Module
    center_loss: CenterLoss
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    average: AveragedModel | None = None
    tested: nn.Module = field(init=False)

    def __post_init__(self):
        self.tested = self.average.module if self.average else self.model


def fit(train, validation, recipe, seed=0, *, device="auto", folder=None, progress=True, on_epoch=None, compiled=False):
    """Train by a recipe; keep the epoch that is best on the validation data.

    ``train`` and ``validation`` are ``FaceDataset``s; ``seed`` fixes initialisation, order and augmentation alike for
    every λ and α. With a ``folder``, each epoch leaves a checkpoint there, and a second call goes on after the last.
    ``on_epoch`` is called with the history (a DataFrame) after each epoch; ``compiled`` trains with ``torch.compile``.
    Started by ``accelerate launch`` or torchrun, several processes share each batch, and return the same.
    Raises ``FerError`` when a loss stops being finite or memory runs out, and for a checkpoint in ``folder`` that is
    not of this training; what was reached is kept.
    """
    device = choose_device(device)
    if len(train) < recipe.batch_size:
        raise FerError(f"{len(train)} training images do not fill one batch of {recipe.batch_size}; lower batch_size.")
    inputs = choose_inputs(train, recipe, device)
    accelerator = make_accelerator(device, inputs["precision"], recipe.accumulate)
    steps = len(train) // recipe.batch_size  # the incomplete batch is left out: batch norm needs company
    parts = prepare(recipe, seed, accelerator, steps, len(train.classes), compiled)
    identity = {"recipe": recipe.effective(), "seed": seed, "engine": ENGINE, "train": train.fingerprint}
    with checkpoint.locked(folder) if folder and accelerator.is_main_process else nullcontext():
        history, best = _resume(folder, parts, identity)
        images = torch.from_numpy(np.array(train.images)).to(accelerator.device)
        labels = torch.from_numpy(train.labels).to(accelerator.device)
        bar = tqdm(total=recipe.epochs * steps * recipe.batch_size, initial=len(history) * steps * recipe.batch_size,
                   unit="image", unit_scale=True, disable=not progress or not accelerator.is_main_process, leave=False)
        with bar, torch.random.fork_rng([accelerator.device] if accelerator.device.type == "cuda" else []):
            try:
                while len(history) < recipe.epochs and len(history) < best["epoch"] + recipe.patience:
                    epoch, started = len(history) + 1, time.perf_counter()
                    losses = train_epoch(images, labels, recipe, inputs, accelerator, parts, seed, epoch, bar)
                    row = {**dict(zip(("cross_entropy", "center_loss", "train_accuracy"), losses)),
                           **_validate(parts.tested, validation, inputs, recipe, seed, epoch)}
                    history.append({"epoch": epoch, **row, "seconds": time.perf_counter() - started})
                    better = _monitored(row, recipe) > best["value"]
                    if better:
                        best = {"epoch": epoch, "value": _monitored(row, recipe), "states": _states(parts)}
                    if folder is not None and accelerator.is_main_process:
                        _save(folder, epoch, parts, best, better, identity, history)
                    accelerator.wait_for_everyone()
                    bar.set_postfix(validation=f"{100 * row['validation_accuracy']:.1f} %")
                    if on_epoch is not None:
                        on_epoch(pd.DataFrame(history))
            except torch.OutOfMemoryError as error:
                raise FerError(f"epoch {len(history) + 1}: out of GPU memory with batches of {recipe.batch_size} at "
                               f"{recipe.image_size} px; raise accumulate to 2 or 4 (the same batch in pieces), or "
                               "lower batch_size or image_size.") from error
            except KeyboardInterrupt:
                kept = f"epochs 1 to {len(history)} are kept in {folder}" if folder and history else "nothing is kept"
                tqdm.write(f"Stopped in epoch {len(history) + 1}; {kept}. The same call goes on from there.")
                raise
    model = accelerator.unwrap_model(parts.model, keep_fp32_wrapper=False)
    model.load_state_dict(best["states"]["model"])
    parts.center_loss.load_state_dict(best["states"]["center_loss"])
    return FitResult(model.eval(), parts.center_loss, pd.DataFrame(history), best["epoch"], inputs)


def train_epoch(images, labels, recipe, inputs, accelerator, parts, seed, epoch, bar):
    """One pass over ``images`` uint8 (N, H, W[, 3]), all on the device; the means of ``training_step``'s three numbers.

    Each epoch's chance follows from seed and epoch alone, so a resumed run needs no random state. Nothing is read back
    from the device before the end: a GPU never waits for Python.
    """
    chance = torch.Generator().manual_seed(derive(seed, "epoch", epoch if recipe.reshuffle else 1))
    order = torch.randperm(len(images), generator=chance)
    changes = torch.Generator().manual_seed(derive(seed, "augmentation", epoch))
    mixing = np.random.default_rng(derive(seed, "mixup", epoch))
    torch.manual_seed(derive(seed, "layers", epoch))  # for backbones with dropout
    parts.model.train()
    losses = []
    for start in range(0, len(order) // recipe.batch_size * recipe.batch_size, recipe.batch_size):
        rows = order[start:start + recipe.batch_size]
        draws = torch.rand(len(rows), DRAWS, generator=changes)
        pieces = []
        for mine in _shares(len(rows), accelerator, recipe.accumulate):  # of each process, in pieces
            chosen = rows[mine].to(accelerator.device, non_blocking=True)
            batch = augment(to_channels(images[chosen]), recipe.image_size, draws[mine], flip=recipe.flip,
                            rotation=recipe.rotation, crop=recipe.crop, shift=recipe.shift, erase=recipe.erase)
            pieces.append((normalise(batch, inputs["mean"], inputs["std"]), labels[chosen]))
        mix = mixing.beta(recipe.mixup, recipe.mixup) if recipe.mixup else None
        losses.append(training_step(pieces, recipe, accelerator, parts, mix))
        bar.update(recipe.batch_size)
    means = accelerator.reduce(torch.stack(losses).mean(0), "sum").tolist()
    if not math.isfinite(means[0] + means[1]):
        raise FerError(f"epoch {epoch}: the loss is no longer finite (cross-entropy {means[0]}, centre loss "
                       f"{means[1]}); lower learning_rate, lam or alpha. The epochs before are kept.")
    return means


def training_step(pieces, recipe, accelerator, parts, mix=None):
    """One step of L = L_S + λ L_C (Eq. 3), then one step of the centres (Eq. 2).

    ``pieces``: one (batch, labels) after the other, float (b, 3, H, W) and int64 (b,), which are one batch together, or
    this process's share of it. With ``mix``, each image is mixed with its mirror place in the piece, ``mix`` its own
    share; centre loss then sees the label of the larger share. Returns this process's share of mean cross-entropy,
    mean centre loss and accuracy, a tensor (3,) that stays on the device.
    """
    whole = recipe.batch_size
    seen, statistics = [], []
    for batch, labels in pieces:
        main, other = labels, labels.flip(0)
        if mix is not None:
            batch = mix * batch + (1 - mix) * batch.flip(0)
            main = labels if mix >= 0.5 else other
        with accelerator.accumulate(parts.model):
            with accelerator.autocast():
                features, logits = parts.model(batch)
            cross_entropy = _cross_entropy(logits, labels, recipe) if mix is None else (
                mix * _cross_entropy(logits, labels, recipe) + (1 - mix) * _cross_entropy(logits, other, recipe))
            center = parts.center_loss(features, main) if recipe.lam else torch.zeros_like(cross_entropy)
            share = len(labels) / whole
            # Accelerate divides by the number of pieces, and averages over processes: undo both, and weigh by size.
            loss = (cross_entropy + recipe.lam * center) * (share * len(pieces) * accelerator.num_processes)
            accelerator.backward(loss)
            parts.optimizer.step()
            parts.optimizer.zero_grad()
        if recipe.lam:
            statistics.append(parts.center_loss.class_statistics(features, main))
        accuracy = (logits.argmax(1) == main).float().mean()
        seen.append(share * torch.stack([cross_entropy, center, accuracy]).detach())
    parts.scheduler.step()
    if recipe.lam:
        parts.center_loss.update_centers_from(*map(sum, zip(*statistics)))
    if parts.average is not None:
        parts.average.update_parameters(accelerator.unwrap_model(parts.model))
    return torch.stack(seen).sum(0)


def _cross_entropy(logits, labels, recipe):
    return functional.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)


def _shares(size, accelerator, pieces):
    """Slices of a batch: this process's share of it, in pieces."""
    edges = np.linspace(0, size, accelerator.num_processes + 1).astype(int)
    low, high = edges[accelerator.process_index:accelerator.process_index + 2]
    cuts = np.linspace(low, high, pieces + 1).astype(int)
    return [slice(a, b) for a, b in zip(cuts[:-1], cuts[1:])]


def make_accelerator(device, precision, pieces=1):
    # Accelerate keeps one device and one precision for a process; a course trains many recipes in one.
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=device.type == "cpu", mixed_precision="no" if precision == "fp32" else precision,
                       gradient_accumulation_steps=pieces)


def prepare(recipe, seed, accelerator, steps, num_classes, compiled=False):
    """``Parts`` of a recipe on the accelerator's device, shared among its processes."""
    model, center_loss = build(recipe, seed, accelerator.device, num_classes)
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # torch has it for GPUs alone
    optimizer = make_optimizer(model, recipe)
    scheduler = make_scheduler(optimizer, recipe, steps)
    average = None
    if recipe.ema:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
    model, optimizer = accelerator.prepare(torch.compile(model) if compiled else model, optimizer)
    return Parts(model, center_loss, optimizer, scheduler, average)


def build(recipe, seed, device, num_classes=len(EMOTIONS)):
    """The network and the centres of a recipe, initialised from the seed alone, without touching torch's own state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "initialisation"))
        model = CLResNet50(num_classes, backbone=recipe.backbone, weights=recipe.weights)
        center_loss = CenterLoss(num_classes, model.feat_dim, alpha=recipe.alpha, update=recipe.update,
                                 init=recipe.center_init, learning_rate=recipe.learning_rate)
    model.to(device, memory_format=torch.channels_last)
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 3, recipe.image_size, recipe.image_size, device=device))
    except RuntimeError as error:
        raise FerError(f"backbone {recipe.backbone!r} cannot take images of {recipe.image_size} px ({error}); raise "
                       "image_size.") from error
    return model, center_loss.to(device)


def make_optimizer(model, recipe):
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=recipe.learning_rate, momentum=0.9, nesterov=True,
                               weight_decay=recipe.weight_decay)
    return torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def make_scheduler(optimizer, recipe, steps):
    total, schedules = recipe.epochs * steps, torch.optim.lr_scheduler
    if recipe.schedule == "one_cycle":
        return schedules.OneCycleLR(optimizer, recipe.learning_rate, total_steps=total + 1, pct_start=0.25)
    if recipe.schedule == "cosine":
        warmup = max(1, round(recipe.warmup * steps))
        rate = lambda step: min((step + 1) / warmup, 0.5 * (1 + math.cos(math.pi * min(step / total, 1))))  # noqa: E731
        return schedules.LambdaLR(optimizer, rate)
    return schedules.ConstantLR(optimizer, factor=1.0)


def choose_inputs(train, recipe, device):
    """How images are made ready, in training and in every test of the same network."""
    mean, std = IMAGENET if recipe.normalisation == "imagenet" else channel_statistics(train.images)
    return {"size": recipe.image_size, "mean": mean, "std": std,
            "precision": choose_precision(recipe.precision, device), "mirror": recipe.mirror_test}


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
    if precision == "fp16" and device.type == "cpu":
        raise FerError("precision 'fp16' is for GPUs; give 'auto', 'bf16' or 'fp32'.")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    # Torch has no public question for this; where the private one is missing, fp32 is right, only slower.
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)
    return "bf16" if device.type == "cpu" and native() else "fp32"


def _validate(model, validation, inputs, recipe, seed, epoch):
    images = validation.images
    if recipe.augment_validation:  # as published code does: every epoch is judged on other images
        chance = torch.Generator().manual_seed(derive(seed, "validation", epoch))
        changed = augment(to_channels(torch.from_numpy(np.array(images))), images.shape[1], chance, flip=recipe.flip,
                          rotation=recipe.rotation, crop=recipe.crop)
        images = (255 * changed.permute(0, 2, 3, 1).squeeze(-1)).round().byte().numpy()
    features, probabilities = predict(model, images, **inputs)
    chosen = probabilities[np.arange(len(validation)), validation.labels]
    return {"validation_cross_entropy": float(-np.log(np.maximum(chosen, 1e-12)).mean()),
            "validation_accuracy": float((probabilities.argmax(1) == validation.labels).mean()),
            "validation_ratio": compactness(features, validation.labels).ratio}


def _monitored(row, recipe):
    return row["validation_accuracy"] if recipe.monitor == "accuracy" else -row["validation_cross_entropy"]


def _states(parts):
    network = parts.tested if parts.average else getattr(parts.model, "module", parts.model)
    network = getattr(network, "_orig_mod", network)
    return {name: {key: value.detach().cpu().clone() for key, value in module.state_dict().items()}
            for name, module in (("model", network), ("center_loss", parts.center_loss))}


def _modules(parts):
    """What is saved in every checkpoint, under its name."""
    network = getattr(parts.model, "module", parts.model)
    modules = {"model": getattr(network, "_orig_mod", network), "center_loss": parts.center_loss}
    return {**modules, "average": parts.average} if parts.average else modules


def _save(folder, epoch, parts, best, better, identity, history):
    checkpoint.save(folder, epoch, _modules(parts), best["states"] if better else None, {
        "identity": identity, "history": history, "best": {"epoch": best["epoch"], "value": best["value"]},
        "optimizer": parts.optimizer.state_dict(), "scheduler": parts.scheduler.state_dict()})


def _resume(folder, parts, identity):
    """The history and the best epoch so far; an unfinished training goes on where its last checkpoint was made."""
    found = checkpoint.load(folder, _modules(parts), identity) if folder else None
    if found is None:
        return [], {"epoch": 0, "value": -math.inf}
    rest, best = found
    parts.optimizer.load_state_dict(rest["optimizer"])
    parts.scheduler.load_state_dict(rest["scheduler"])
    return rest["history"], {**rest["best"], "states": best}
