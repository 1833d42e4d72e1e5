"""A step of training as a CUDA graph: recorded once, then replayed without Python between its kernels.

At 48 pixels a step of ResNet-50 is some 700 small kernels, and Python takes longer to launch them than a GPU to run
them. ``training_step`` itself is recorded, so both ways compute the same; the optimiser and the schedule stay outside,
for a graph would freeze their rates. A graph reads and writes the very memory that it was recorded with: what it reads
is held here, a batch is copied into buffers, and gradients, which each replay writes anew, are never set to None.
"""

import os
import sys
from dataclasses import replace

import numpy as np
import torch
from tqdm.auto import tqdm

from ..errors import FerError
from ..transforms import DRAWS
from .setup import make_accelerator, prepare
from .steps import to_input, train_epoch, training_step

WARM_UP = 3  # calls before the recording: cuDNN's search, and all that is made at the first call
COMPARED, FEW = 3, 16  # steps of the comparison, and the most images in a batch of it
ROUNDING = 0.01  # of the way that weights, centres and statistics have moved: Adam enlarges what is tiny
_agreed = set()  # recipes that were compared in this process


class GraphedStep:
    """Called with images, labels, draws and mix of a batch, it takes one step and returns what ``training_step`` does.

    ``images`` gives the form of a batch. ``record(step, forget)`` calls ``step()`` to warm up, ``forget()`` after each
    call, and returns what replays it: ``on_gpu``, or, in a test without one, something that calls it again. Whatever
    the warm-up moves is put back.
    """

    def __init__(self, images, recipe, inputs, accelerator, parts, record):
        device, size = accelerator.device, recipe.batch_size
        self.recipe, self.accelerator, self.parts = recipe, accelerator, parts
        self.recorded = replace(parts, optimizer=_Outside(), scheduler=_Outside(), average=None)
        self.images = torch.zeros((size, *images.shape[1:]), dtype=images.dtype, device=device)
        self.labels = torch.arange(size, device=device) % parts.network.classifier.out_features
        self.draws = torch.full((size, DRAWS), 0.5, device=device)
        self.mix = torch.ones((), device=device) if recipe.mixup else None
        self.mean, self.std = (torch.tensor(inputs[name], device=device) for name in ("mean", "std"))
        self.seen = torch.zeros(3, device=device)
        parts.model.train()
        moved = [*parts.network.buffers(), *parts.center_loss.state_dict().values()]
        before = [tensor.clone() for tensor in moved]
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                self.replay = record(self._step, self._forget)
        finally:
            for tensor, value in zip(moved, before):
                tensor.copy_(value)

    def __call__(self, images, labels, draws, mix=None):
        self.images.copy_(images)
        self.labels.copy_(labels)
        self.draws.copy_(draws)
        if mix is not None:
            self.mix.fill_(mix)
        self.replay()
        self.parts.optimizer.step()
        self.parts.scheduler.step()
        if self.parts.average is not None:
            self.parts.average.update_parameters(self.parts.network)
        return self.seen.clone()

    def _step(self):
        batch = to_input(self.images, self.draws, self.recipe, self.mean, self.std)
        self.seen.copy_(training_step([(batch, self.labels)], self.recipe, self.accelerator, self.recorded, self.mix))

    def _forget(self):
        for weight in self.parts.network.parameters():
            weight.grad = None


class _Outside:
    """Stands for the optimiser and the schedule in what is recorded: they take their steps after the replay."""

    def step(self):
        pass

    def zero_grad(self):
        pass


def on_gpu(step, forget):
    """Record ``step`` as a CUDA graph; returns what replays it."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
            forget()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def choose(graphed, recipe, device, train, seed=0):
    """What records the steps of this training, or None where ``training_step`` takes them.

    ``graphed``: "auto", which records on a GPU; False; or what ``GraphedStep`` takes as ``record``. Before a recipe is
    recorded for the first time in this process, a few steps are compared, and where they differ stderr says so.
    """
    if graphed is not False and graphed != "auto" and not callable(graphed):
        raise FerError(f"graphed = {graphed!r}: give 'auto' or False.")
    if not graphed or (graphed == "auto" and device.type != "cuda"):
        return None
    record = on_gpu if graphed == "auto" else graphed
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return _fall_back("several processes share each batch")
    if recipe.accumulate > 1:
        return _fall_back("a batch is taken in pieces (accumulate)")
    if recipe.lam and (recipe.lam_warmup or recipe.center_init == "means"):
        return _fall_back("λ changes in training, and a graph would freeze it (lam_warmup, or center_init 'means')")
    if recipe.self_cure or recipe.soft_labels:
        return _fall_back("labels change, or are distributions (self_cure, soft_labels)")
    if (recipe, record) not in _agreed:
        reason = disagreement(train, recipe, device, record, seed)
        if reason:
            return _fall_back(reason)
        _agreed.add((recipe, record))
    return record


def try_to_record(images, recipe, inputs, accelerator, parts, record):
    """A ``GraphedStep``, or None, and a line that says why, where this GPU cannot record the step."""
    try:
        return GraphedStep(images, recipe, inputs, accelerator, parts, record)
    except RuntimeError as error:  # memory, or an operation that waits for the host
        return _fall_back(_said(error))


def disagreement(train, recipe, device, record, seed=0):
    """Why replayed steps cannot stand for plain ones, in words; "" where they agree but for rounding.

    Three steps in fp32 from one start, on faces of ``train``: losses, and how far weights, their moving average, batch
    norm's statistics and the centres moved. The schedule is passed through in these steps, so that a stale rate shows.
    """
    recipe = recipe.replace(precision="fp32", batch_size=min(FEW, recipe.batch_size), epochs=1)
    accelerator = make_accelerator(device, recipe)
    rows = np.resize(np.arange(len(train)), COMPARED * recipe.batch_size)
    images, labels = (torch.from_numpy(array[rows]).to(device) for array in (train.images, train.labels))
    inputs, bar, found = {"mean": (0.5,) * 3, "std": (0.25,) * 3}, tqdm(disable=True), []
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), exact:
        for replayed in (False, True):
            parts = prepare(recipe, seed, accelerator, COMPARED, train.labels, len(train.classes))
            start = _state(parts)
            try:
                replay = GraphedStep(images, recipe, inputs, accelerator, parts, record) if replayed else None
                losses = train_epoch(images, labels, recipe, inputs, accelerator, parts, seed, 1, bar, replay)
            except (RuntimeError, FerError) as error:
                if isinstance(error, FerError) and not replayed:  # a loss that is not finite either way
                    raise
                return _said(error)
            moved = {name: value - start[name] for name, value in _state(parts).items()}
            found.append(moved | {name: torch.tensor([value]) for name, value in losses.items()})
    plain, replayed = found
    differing = [name.replace("_", " ") for name in plain if not _near(plain[name], replayed[name])]
    return f"replayed steps differ from plain ones in {', '.join(differing)}" if differing else ""


def _state(parts):
    """What training moves, each kind as one vector, {name: float64}."""
    kinds = {"weights": parts.network.parameters(), "batch norm's statistics": parts.network.buffers(),
             "centres": parts.center_loss.state_dict().values(),
             "moving average": parts.average.module.parameters() if parts.average else ()}
    return {name: torch.cat([torch.zeros(1), *(tensor.detach().cpu().flatten() for tensor in tensors)]).double()
            for name, tensors in kinds.items()}


def _near(plain, replayed):
    return bool((plain - replayed).norm() <= ROUNDING * plain.norm())  # not a number is not near


def _said(error):
    return f"it cannot be recorded here ({str(error).splitlines()[0][:120]})"


def _fall_back(reason):
    print(f"Training step by step, without a CUDA graph: {reason}.", file=sys.stderr)
