"""The loop over epochs: train, validate, keep the best, and never lose a run."""

import math
import os
import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from accelerate.utils import broadcast_object_list
from tqdm.auto import tqdm

from ..center_loss import CenterLoss
from ..errors import FerError
from ..evaluation import compactness, predict
from ..feature_geometry import class_means
from ..model import CLResNet50
from ..transforms import augment, to_channels
from . import checkpoint, graphed_step
from .setup import choose_device, choose_inputs, derive, make_accelerator, prepare
from .steps import train_epoch

# Raised by hand, with a line of reason, whenever ten training steps with a fixed seed change their numbers.
# 1: the first engine. 2: on Accelerate; more recipes draw more random numbers for an image; fused optimisers.
ENGINE = 2

# Seconds between two checkpoints at least: on a GPU an epoch may take a second, and writing one takes as long.
PAUSE = {"cuda": 20.0}


@dataclass
class FitResult:
    """What training leaves: the best model, its centres, one row of history per epoch, the best epoch, counted from 1,
    ``inputs``: size, mean, std, precision and mirror, as ``evaluation.predict`` takes them; and with SCN the training
    images' ``labels`` as they are at the end, int64 (N,)."""

    model: CLResNet50
    center_loss: CenterLoss
    history: pd.DataFrame
    best_epoch: int
    inputs: dict
    labels: np.ndarray | None = None


def fit(train, validation, recipe, seed=0, *, device="auto", folder=None, progress=True, on_epoch=None,
        graphed="auto"):
    """Train by a recipe; keep the epoch that is best on the validation data.

    ``train`` and ``validation`` are ``FaceDataset``s; ``seed`` fixes initialisation, order and augmentation alike for
    every λ and α. With a ``folder``, each epoch leaves a checkpoint there (on a GPU, one every 20 s), and a second call
    goes on after the last. ``on_epoch`` is called with the history (a DataFrame) after each epoch. ``progress`` shows a
    bar, except under CI. ``graphed``: "auto" replays each step as a CUDA graph where it can, and says why where a GPU
    cannot; False never does; the history's column of that name tells. Started by torchrun, several processes share each
    batch and return the same; all must see ``folder``. Batch norm's statistics are of the whole batch on GPUs; on CPUs
    the first process's are kept. Raises ``FerError`` when a loss stops being finite, memory runs out or the disk is
    full, and for another training's checkpoint in ``folder``.
    """
    device = choose_device(device)
    record = graphed_step.choose(graphed, recipe, device, train, seed)
    accelerator = make_accelerator(device, recipe)
    check_sizes(train, recipe, accelerator.num_processes)
    inputs = choose_inputs(train, recipe, {"no": "fp32"}.get(accelerator.mixed_precision, accelerator.mixed_precision))
    identity = {"recipe": recipe.effective(), "seed": seed, "engine": ENGINE, "train": train.fingerprint,
                "validation": validation.fingerprint}
    steps = len(train) // recipe.batch_size  # the incomplete batch is left out: batch norm needs company
    epoch, kept, size, quiet = 1, 0, steps * recipe.batch_size, not progress or bool(os.environ.get("CI"))
    gpus = [accelerator.device] if accelerator.device.type == "cuda" else []
    with checkpoint.locked(folder), torch.random.fork_rng(gpus):
        try:
            parts = prepare(recipe, seed, accelerator, steps, train.labels, len(train.classes))
            history, best = _resume(folder, parts, accelerator, identity)
            epoch, kept, written, improved = len(history) + 1, len(history), time.perf_counter(), False
            images, labels, soft = _resident(train, recipe, accelerator.device)
            if parts.self_cure is not None:
                labels = parts.self_cure.labels  # relabelled in place
            replay = record and graphed_step.try_to_record(images, recipe, inputs, accelerator, parts, record)
            with tqdm(total=recipe.epochs * size, initial=len(history) * size, unit="image", unit_scale=True,
                      leave=False, disable=quiet or not accelerator.is_main_process) as bar:
                while not _ended(history, best, recipe):
                    epoch, started = len(history) + 1, time.perf_counter()
                    bar.set_description(f"epoch {epoch}", refresh=False)
                    row = train_epoch(images, labels, recipe, inputs, accelerator, parts, seed, epoch, bar, replay,
                                      soft)
                    row.update(_validate(parts, validation, inputs, recipe, accelerator, seed, epoch))
                    if epoch == 1 and recipe.lam and recipe.center_init == "means":
                        _put_centers_on_means(parts, train, inputs)
                    history.append({"epoch": epoch, **row, "seconds": time.perf_counter() - started,
                                    "graphed": replay is not None})
                    if _monitored(row, recipe) > best["value"]:
                        best = {"epoch": epoch, "value": _monitored(row, recipe), "states": _best_states(parts)}
                        improved = True
                    due = time.perf_counter() - written >= PAUSE.get(accelerator.device.type, 0)
                    if due or _ended(history, best, recipe):
                        if folder is not None and accelerator.is_main_process:
                            _save(folder, parts, accelerator, best, improved, identity, history)
                        kept, written, improved = len(history), time.perf_counter(), False
                    bar.set_postfix_str(f"validation {_curve(history)} {100 * row['validation_accuracy']:.1f} %")
                    if accelerator.is_main_process and on_epoch is not None:
                        on_epoch(pd.DataFrame(history))
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
                raise
            raise FerError(f"epoch {epoch}: out of memory with batches of {recipe.batch_size} at "
                           f"{recipe.image_size} px; raise accumulate, or lower batch_size or image_size.") from error
        except KeyboardInterrupt:
            said = f"{kept} finished and kept in {folder}" if folder and kept else "none is kept"
            print(f"Stopped in epoch {epoch}; {said}. The same call goes on from there.", file=sys.stderr)
            raise
    accelerator.unwrap_model(parts.model, keep_fp32_wrapper=False)  # it may have patched the network's forward
    parts.network.load_state_dict(best["states"]["model"])
    parts.center_loss.load_state_dict(best["states"]["center_loss"])
    cured = parts.self_cure and parts.self_cure.labels.cpu().numpy()
    return FitResult(parts.network.eval(), parts.center_loss, pd.DataFrame(history), best["epoch"], inputs, cured)


def _ended(history, best, recipe):
    return len(history) >= min(recipe.epochs, best["epoch"] + recipe.patience)


def check_sizes(train, recipe, processes=1):
    """Raise ``FerError`` where a recipe asks for more than the training images, or the processes, can give."""
    if len(train) < recipe.batch_size:
        raise FerError(f"{len(train)} training images do not fill one batch of {recipe.batch_size}; lower batch_size.")
    if recipe.batch_size < 2 * recipe.accumulate * processes:
        raise FerError(f"a batch of {recipe.batch_size} in {recipe.accumulate} pieces on {processes} "
                       "processes: batch norm needs two images in each; raise batch_size, or take fewer pieces.")
    if recipe.self_cure and processes > 1:
        raise FerError("self_cure ranks whole batches and keeps one list of labels; train it on one process.")
    if recipe.soft_labels and train.soft_labels is None:
        raise FerError(f"{train.source}: it has no soft labels; take soft_labels=False, or data that have them, for "
                       "example ferplus with mode='votes'.")


def _resident(train, recipe, device):
    """All images, labels and soft labels (None where unused) where they are needed: on the GPU, or in main memory where
    they would fill half of it."""
    parts = (train.images, train.labels, train.soft_labels if recipe.soft_labels else None)
    parts = [None if part is None else torch.from_numpy(np.array(part)) for part in parts]
    crowded = device.type == "cuda" and parts[0].nbytes > torch.cuda.mem_get_info(device)[0] / 2
    return parts if crowded else [None if part is None else part.to(device) for part in parts]


def _validate(parts, validation, inputs, recipe, accelerator, seed, epoch):
    """What the first process finds counts for all: they stop together, and return the same."""
    if accelerator.num_processes > 1:  # each process has seen other images: batch norm's statistics are the first's
        for buffer in (*parts.network.buffers(), *parts.tested.buffers()):
            torch.distributed.broadcast(buffer, 0)
    images = validation.images
    if recipe.augment_validation:  # as published code does: every epoch is judged on other images
        rng = torch.Generator().manual_seed(derive(seed, "validation", epoch))
        changed = augment(to_channels(torch.from_numpy(np.array(images))), images.shape[1], rng, flip=recipe.flip,
                          rotation=recipe.rotation, crop=recipe.crop)
        images = (255 * changed.permute(0, 2, 3, 1).squeeze(-1)).round().byte().numpy()
    many = 2048 if accelerator.device.type == "cuda" and recipe.image_size <= 64 else 256  # Python launches each batch
    features, probabilities = predict(parts.tested, images, batch_size=many, **inputs)
    chosen = probabilities[np.arange(len(validation)), validation.labels]
    row = {"validation_cross_entropy": float(-np.log(np.maximum(chosen, 1e-12)).mean()),
           "validation_accuracy": float((probabilities.argmax(1) == validation.labels).mean()),
           "validation_ratio": compactness(features, validation.labels).ratio}
    row = broadcast_object_list([row])[0]
    if math.isnan(row["validation_cross_entropy"]):
        raise FerError(f"epoch {epoch}: the answers to the validation images are no longer numbers. Lower "
                       "learning_rate, lam or alpha and call again. The epochs that were saved stay in the folder.")
    return row


@torch.no_grad()
def _put_centers_on_means(parts, train, inputs):
    """Each centre goes to the mean of its class's training features; a class without an image keeps its centre."""
    centers = parts.center_loss.centers
    present, means = class_means(predict(parts.network, train.images, **inputs)[0], train.labels)
    centers[torch.from_numpy(present).to(centers.device)] = torch.from_numpy(means).to(centers)


def _curve(history):
    """The last epochs' validation accuracy as a line of text, from the lowest to the highest of them."""
    seen = np.array([row["validation_accuracy"] for row in history[-12:]])
    heights = np.round(7 * (seen - seen.min()) / max(np.ptp(seen), 1e-9)).astype(int)
    return "".join("▁▂▃▄▅▆▇█"[height] for height in heights)


def _monitored(row, recipe):
    return row["validation_accuracy"] if recipe.monitor == "accuracy" else -row["validation_cross_entropy"]


def _best_states(parts):
    return {name: {key: value.detach().cpu().clone() for key, value in module.state_dict().items()}
            for name, module in (("model", parts.tested), ("center_loss", parts.center_loss))}


def _moving(parts, accelerator):
    """What a checkpoint holds beside the modules, {name: what has a state}; fp16 alone scales its loss."""
    moving = {"optimizer": parts.optimizer, "scheduler": parts.scheduler, "scaler": accelerator.scaler}
    return {name: part for name, part in moving.items() if part is not None}


def _save(folder, parts, accelerator, best, better, identity, history):
    states = {name: part.state_dict() for name, part in _moving(parts, accelerator).items()}
    checkpoint.save(folder, len(history), parts.saved, best["states"] if better else None,
                    {"identity": identity, "history": history, "states": states,
                     "best": {"epoch": best["epoch"], "value": best["value"]}})


def _resume(folder, parts, accelerator, identity):
    """The history and the best epoch so far; an unfinished training goes on where its last checkpoint was made."""
    found = checkpoint.load(folder, parts.saved, identity) if folder else None
    if found is None:
        return [], {"epoch": 0, "value": -math.inf}
    rest, states = found
    for name, part in _moving(parts, accelerator).items():
        if name in rest["states"]:  # one made on a GPU may go on elsewhere, without its scaler
            part.load_state_dict(rest["states"][name])
    return rest["history"], {**rest["best"], "states": states}
