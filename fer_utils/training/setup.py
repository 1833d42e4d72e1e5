"""What a training is made of, from a recipe and a seed: device, network, centres, optimiser, schedule."""

import math
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import GradientAccumulationPlugin
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..center_loss import CenterLoss
from ..emotions import EMOTIONS
from ..errors import FerError
from ..model import CLResNet50
from ..self_cure import SelfCure
from ..transforms import IMAGENET, channel_statistics
from .class_balance import ClassBalance, class_balance


@dataclass
class Parts:
    """The parts of one training. ``network`` is plain; ``model`` is the same one as Accelerate trains it: in half
    precision, shared among processes. ``average``: the moving average of its weights, or None. ``balance``: what
    becomes of rare classes; ``self_cure``: SCN's importance and labels, or None."""

    network: nn.Module
    model: nn.Module
    center_loss: CenterLoss
    optimizer: torch.optim.Optimizer
    scheduler: lr_scheduler.LRScheduler
    average: AveragedModel | None = None
    balance: ClassBalance = ClassBalance()
    self_cure: SelfCure | None = None

    @property
    def tested(self):
        """The network whose answers count."""
        return self.network if self.average is None else self.average.module

    @property
    def saved(self):
        """What a checkpoint holds, {name: module}."""
        modules = {"model": self.network, "center_loss": self.center_loss, "average": self.average,
                   "self_cure": self.self_cure}
        return {name: module for name, module in modules.items() if module is not None}


def make_accelerator(device, recipe):
    """Accelerate's view of the machine for one training: device, precision, pieces of a batch, processes."""
    # Accelerate keeps one device and one precision for a whole process; a course trains many recipes in one.
    AcceleratorState._reset_state(reset_partial_state=True)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # all batches have one shape: worth a search for the fastest way
        if device.index is not None:
            torch.cuda.set_device(device)
    state = PartialState(cpu=device.type == "cpu")
    precision = choose_precision(recipe.precision, state.device)
    # Each is said outright: where it is not, what `accelerate launch` left in the environment counts.
    return Accelerator(cpu=device.type == "cpu", mixed_precision="no" if precision == "fp32" else precision,
                       gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=recipe.accumulate),
                       dynamo_backend="no")


def prepare(recipe, seed, accelerator, steps, labels=(), num_classes=len(EMOTIONS)):
    """``Parts`` of a recipe on the accelerator's device, shared among its processes; an epoch has so many steps.
    ``labels`` int64 (N,) are those of the training images, by which rare classes and SCN are treated."""
    network, center_loss = build(recipe, seed, accelerator.device, num_classes)
    labels = torch.as_tensor(np.array(labels), dtype=torch.int64)
    balance = class_balance(recipe, torch.bincount(labels, minlength=num_classes), accelerator.device)
    self_cure = None
    if recipe.self_cure:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "self-cure"))
            self_cure = SelfCure(network.feat_dim, labels).to(accelerator.device)
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # torch has it for GPUs alone
    further = [] if self_cure is None else self_cure.parameters()
    optimizer = make_optimizer([*network.parameters(), *further], recipe)
    decay = get_ema_multi_avg_fn(recipe.ema)
    average = AveragedModel(network, multi_avg_fn=decay, use_buffers=True) if recipe.ema else None
    scheduler = make_scheduler(optimizer, recipe, steps)
    model, optimizer = accelerator.prepare(network, optimizer)
    return Parts(network, model, center_loss, optimizer, scheduler, average, balance, self_cure)


def build(recipe, seed, device, num_classes=len(EMOTIONS)):
    """The network and the centres of a recipe, initialised from the seed alone, without touching torch's own state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "initialisation"))
        model = CLResNet50(num_classes, backbone=recipe.backbone, weights=recipe.weights)
        init = recipe.center_init.replace("means", "zeros")  # until the means are there
        center_loss = CenterLoss(num_classes, model.feat_dim, alpha=recipe.alpha, update=recipe.update, init=init,
                                 learning_rate=recipe.learning_rate)
    model.to(device, memory_format=torch.channels_last)
    try:
        with torch.inference_mode():  # one image, for evaluation: batch norm learns nothing from it
            model.eval()(torch.zeros(1, 3, recipe.image_size, recipe.image_size, device=device))
    except torch.OutOfMemoryError:
        raise
    except (AssertionError, RuntimeError) as error:
        raise FerError(f"backbone {recipe.backbone!r} cannot take images of {recipe.image_size} px "
                       f"({str(error)[:200]}); give another image_size.") from error
    return model, center_loss.to(device)


def check_network(recipe):
    """Raise ``FerError`` for a network or weights with which no training could begin; nothing is downloaded."""
    with torch.device("meta"):  # shapes without numbers: milliseconds
        CLResNet50(backbone=recipe.backbone, weights=recipe.weights)


def make_optimizer(parameters, recipe):
    """SGD with Nesterov's momentum, or Adam, in torch's fused form: all weights in one sweep over memory."""
    options = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=0.9, nesterov=True, **options)
    return torch.optim.Adam(parameters, **options)


def make_scheduler(optimizer, recipe, steps):
    """The learning rate of every step; an epoch has ``steps`` of them."""
    total, warmup = recipe.epochs * steps, round(recipe.warmup * steps)
    if recipe.schedule == "one_cycle":
        rise = 0.3 if total == 3 else 0.25  # torch would divide by the length of the rise, which is 0 in a quarter of 4
        return lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=total + 1, pct_start=rise)

    def cosine(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1, (step - warmup) / max(1, total - warmup))))

    return lr_scheduler.LambdaLR(optimizer, cosine if recipe.schedule == "cosine" else lambda step: 1.0)


def choose_inputs(train, recipe, precision):
    """How images are made ready, in training and in every test of the network."""
    mean, std = IMAGENET if recipe.normalisation == "imagenet" else channel_statistics(train.images)
    return {"size": recipe.image_size, "mean": mean, "std": std, "precision": precision, "mirror": recipe.mirror_test}


def derive(seed, *words):
    """A number for a generator, from the run's seed and what it is for; streams of different purpose never meet."""
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise FerError(f"seed = {seed!r}: give a whole number from 0 up.")
    spelled = "/".join(map(str, words)).encode()
    return int(np.random.SeedSequence([seed, *spelled]).generate_state(1, np.uint64)[0] >> 1)


def choose_device(device="auto"):
    """The torch device of that name; "auto" is the GPU where there is one. Raises ``FerError`` where it is not here."""
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
    """What "auto" means on a device: bf16 where the hardware computes in it, on older GPUs fp16, else fp32."""
    if precision == "fp16" and device.type == "cpu":
        raise FerError("precision 'fp16' is for GPUs; give 'auto', 'bf16' or 'fp32'.")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    # Torch has no public question for this; where the private one is missing, fp32 is right, only slower.
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)
    return "bf16" if device.type == "cpu" and native() else "fp32"


def peak_memory(device):
    """The most main memory, or on a GPU memory of torch, that this process has held, in MB; None where unknown."""
    if torch.device(device).type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss begins with what the parent held when it forked
        return round(int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024 / 1e6)
    if platform.system() == "Darwin":
        import resource

        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
    return None
