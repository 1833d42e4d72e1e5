"""Training, step by step: Eq. 3 for the network, Eq. 2 for the centres."""

import math

import numpy as np
import torch

from ..errors import FerError
from ..transforms import DRAWS, augment, normalise, to_channels
from .class_balance import balanced_order
from .setup import derive


def train_epoch(images, labels, recipe, inputs, accelerator, parts, seed, epoch, bar, replay=None, soft=None):
    """One pass over ``images`` uint8 (N, H, W[, 3]) and ``labels`` (N,); the row of history that it makes. ``soft``
    (N, C), if given, are the targets of the cross-entropy.

    Random numbers follow from seed and epoch alone, so a resumed run needs no random state. All are drawn beforehand,
    and nothing is read back from the device before the end: a GPU never waits for Python. ``replay``, a
    ``GraphedStep``, takes the steps in place of ``training_step``.
    """
    device, size = accelerator.device, recipe.batch_size
    rng = torch.Generator().manual_seed(derive(seed, "epoch", epoch if recipe.reshuffle else 1))
    order = balanced_order(labels, rng) if recipe.balanced_sampling else torch.randperm(len(images), generator=rng)
    rng.manual_seed(derive(seed, "augmentation", epoch))
    order, draws = order.to(images.device), torch.rand(len(order), DRAWS, generator=rng).to(device)
    mixing = np.random.default_rng(derive(seed, "mixup", epoch))
    torch.manual_seed(derive(seed, "layers", epoch, accelerator.process_index))  # for backbones with dropout
    mean, std = (torch.tensor(inputs[name], device=device) for name in ("mean", "std"))
    parts.model.train()
    losses, cure = [], parts.self_cure
    for start in range(0, len(order) // size * size, size):
        now = recipe.at(epoch - 1 + (start + size) / (len(order) // size * size))
        rows, drawn = order[start:start + size], draws[start:start + size]
        mix = mixing.beta(recipe.mixup, recipe.mixup) if recipe.mixup else None
        if replay is None:
            pieces = []
            for share in _shares(size, accelerator, recipe.accumulate):  # this process's, in pieces
                batch = to_input(images[rows[share]].to(device), drawn[share], recipe, mean, std)
                kinds = (labels,) if soft is None else (labels, soft)
                pieces.append((batch, *(kind[rows[share]].to(device) for kind in kinds)))
            relabelled = rows if cure is not None and epoch >= recipe.self_cure else None
            losses.append(training_step(pieces, now, accelerator, parts, mix, relabelled))
        else:
            losses.append(replay(images[rows], labels[rows], drawn, mix))
        bar.update(size)
    means = accelerator.reduce(torch.stack(losses).mean(0), "sum").tolist()
    if not math.isfinite(sum(means)):
        raise FerError(f"epoch {epoch}: the loss is no longer finite (cross-entropy {means[0]}, centre loss "
                       f"{means[1]}). To mend it, lower learning_rate, lam or alpha: that is another training, and it "
                       "begins with epoch 1. The epochs that were saved stay in the folder of this one.")
    return dict(zip(("cross_entropy", "center_loss", "train_accuracy"), means))


def training_step(pieces, recipe, accelerator, parts, mix=None, rows=None):
    """One step of L = L_S + λ L_C (Eq. 3), then one step of the centres (Eq. 2).

    ``pieces``: (batch, labels) pairs, float (b, 3, H, W) and int64 (b,), which make one batch, or this process's share
    of it; where there is a third, soft labels (b, C), the cross-entropy takes them. With ``mix``, its own share, each
    image is mixed with its mirror place in the piece; centre loss then sees the label of the larger share. SCN may
    relabel the images ``rows`` (b,). Returns this process's share of cross-entropy, centre loss and accuracy, (3,).
    """
    seen, statistics = [], []
    for batch, labels, *soft in pieces:
        main, (targets,) = labels, soft or (labels,)
        if mix is not None:
            batch = mix * batch + (1 - mix) * batch.flip(0)
            main = _larger(mix, labels, labels.flip(0))
        with accelerator.accumulate(parts.model):
            with accelerator.autocast():
                features, logits = parts.model(batch)
            rank = 0.0
            if parts.self_cure is not None:
                logits, rank = parts.self_cure(features, logits, rows)
            cross_entropy = parts.balance.cross_entropy(logits, targets, recipe.label_smoothing)
            if mix is not None:
                other = parts.balance.cross_entropy(logits, targets.flip(0), recipe.label_smoothing)
                cross_entropy = mix * cross_entropy + (1 - mix) * other
            center = (parts.center_loss(features, main, parts.balance.center_weights) if recipe.lam
                      else torch.zeros_like(cross_entropy))
            share = len(labels) / recipe.batch_size
            # Accelerate divides by the number of pieces and averages over processes: undo both, and weigh by size.
            loss = (cross_entropy + recipe.lam * center + rank) * (share * len(pieces) * accelerator.num_processes)
            accelerator.backward(loss)
            parts.optimizer.step()  # these two wait for the last piece
            parts.optimizer.zero_grad()
        if recipe.lam:
            statistics.append(parts.center_loss.class_statistics(features, main))
        accuracy = (logits.argmax(1) == main).float().mean()
        seen.append(share * torch.stack([cross_entropy, center, accuracy]).detach())
    parts.scheduler.step()
    if recipe.lam:
        parts.center_loss.update_centers_from(*map(sum, zip(*statistics)))
    if parts.average is not None:
        parts.average.update_parameters(parts.network)
    return torch.stack(seen).sum(0)


def to_input(images, draws, recipe, mean, std):
    """uint8 (b, H, W[, 3]) as the network takes them in training, float (b, 3, size, size), changed by ``draws``."""
    batch = augment(to_channels(images), recipe.image_size, draws, flip=recipe.flip, rotation=recipe.rotation,
                    crop=recipe.crop, shift=recipe.shift, erase=recipe.erase)
    return normalise(batch, mean, std)


def _larger(mix, labels, other):
    """The labels with the larger share; where ``mix`` is a tensor, without a look at it."""
    if isinstance(mix, torch.Tensor):
        return torch.where(mix >= 0.5, labels, other)
    return labels if mix >= 0.5 else other


def _shares(size, accelerator, pieces):
    """Slices of a batch of ``size``: this process's share of it, in pieces."""
    processes, mine = accelerator.num_processes, accelerator.process_index
    edges = np.linspace(0, size, processes * pieces + 1).astype(int)[mine * pieces:(mine + 1) * pieces + 1]
    return [slice(low, high) for low, high in zip(edges[:-1], edges[1:])]
