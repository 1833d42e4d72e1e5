"""``CenterLoss``: Eq. 1 pulls each feature towards its class centre, Eq. 2 moves the centres."""

import math
import numbers
import warnings

import torch
from torch import nn
from torch.nn import functional

from .errors import FerError

RULES = {"eq2": "Eq. 2", "sgd": "SGD", "adam": "Adam"}  # how the centres move, and the names to show
BETAS, EPS = (0.9, 0.999), 1e-8  # Adam's, in torch and in the published code
# What ρ = 1 − α n/(1 + n), by which a step of Eq. 2 multiplies c − mean, does: each from this ρ down.
REGIONS = {"slow": 1.0, "steady": 0.6, "jumps over the mean": 0.0, "diverges": -1.0}


class CenterLoss(nn.Module):
    """Eq. 1 and Eq. 2 of the paper, after Wen et al., *A discriminative feature learning approach for deep face
    recognition*, ECCV 2016. C classes, features of width D.

    ``forward(features, labels)``: ½‖x_i − c_{y_i}‖², reduced by "mean" (the default here), "sum" (as Eq. 1 is
    printed) or "none". It moves nothing. λ is no part of it: the training loop multiplies. ``class_weights`` (C,), if
    given, multiply each image's part by its class's weight; the centres' steps know nothing of them.

    ``update_centers(features, labels)``: one step of the centres, once per optimiser step, by the rule ``update``:

    - "eq2": Δc_j = Σ_i δ(y_i = j)(c_j − x_i) / (1 + Σ_i δ(y_i = j)), c_j ← c_j − α Δc_j. A class that is absent from
      the batch keeps its centre to the last bit. ``centers`` is a buffer: no gradient reaches it, and no optimiser.
    - "sgd": c_j ← c_j − α g_j, where g_j is the gradient of this loss: Σ_i δ(y_i = j)(c_j − x_i), divided by the
      batch size where ``reduction`` is "mean". α is the centres' learning rate.
    - "adam": a step of Adam with ``learning_rate`` on α g_j, which is how the paper's code uses α. Adam divides by the
      size of what it is given, so α does (almost) nothing. Absent classes coast on, as Adam's do.

    The last two are there to be compared with published code. ``centers`` is then a Parameter; ``update_centers`` takes
    g from the batch and clears ``centers.grad``, so that λ, loss scaling and weight decay have no part in the step.
    Keep ``parameters()`` out of your own optimiser. Published code has no ½ and so twice our g: its SGD at rate 0.5 is
    α = 1 here, its α = 1.9 before Adam is 3.8.

    ``centers`` (C, D) is float32 and saved with the module, Adam's moments too. They start at "zeros", at "randn" (from
    torch's generator) or at a tensor (C, D). They never become narrower: ``half()`` leaves them float32, and everything
    is computed in their type, under autocast too. A batch whose step is not finite leaves everything as it was.

    Where C is larger than the batch, "eq2" and "sgd" touch the rows of the batch only. Several processes take the step
    of the whole batch; one that has no image must call ``update_centers_from`` with zeros. The loss is each process's
    own: where shards differ in size, take "sum" and divide by the size of the whole batch.

    Raises ``FerError`` for features that are not float (B, D), labels that are not integer (B,), an empty batch, a
    label out of range (on the CPU; from a GPU nothing is read back), and options that cannot be meant.
    """

    def __init__(self, num_classes, feat_dim, *, alpha=0.5, update="eq2", reduction="mean", init="zeros",
                 learning_rate=1e-3):
        super().__init__()
        _check_options(num_classes, feat_dim, alpha, update, reduction, learning_rate)
        if alpha > 2 and update == "eq2":
            warnings.warn(f"alpha = {alpha}: above 2 the centres of large classes overshoot further with every step "
                          "and diverge: with n images a step multiplies a centre's distance to their mean by "
                          "1 - alpha n / (1 + n), which falls below -1.", stacklevel=2)
        self.alpha, self.update, self.reduction, self.learning_rate = float(alpha), update, reduction, learning_rate
        centers = _starting_centers(init, (num_classes, feat_dim))
        if update == "eq2":
            self.register_buffer("centers", centers)
        else:
            self.centers = nn.Parameter(centers)
        if update == "adam":
            for name, start in (("mean", centers), ("square", centers), ("steps", centers[0, 0])):
                self.register_buffer(f"adam_{name}", torch.zeros_like(start))

    def forward(self, features, labels, class_weights=None):
        self._check(features, labels)
        # An fp32 island: half precision cannot hold the small differences between large coordinates. The cast is all
        # that it takes, for autocast narrows nothing but matrix products and convolutions.
        centers = self.centers.index_select(0, labels)
        features = features.to(centers.dtype)
        if self.reduction == "none" or class_weights is not None:
            each = functional.mse_loss(features, centers, reduction="none").sum(1) * 0.5
            each = each if class_weights is None else each * class_weights[labels]
            return each if self.reduction == "none" else getattr(each, self.reduction)()
        share = 0.5 / len(features) if self.reduction == "mean" else 0.5
        return functional.mse_loss(features, centers, reduction="sum") * share

    @torch.no_grad()
    def update_centers(self, features, labels):
        self._check(features, labels)
        if self.update == "adam" or len(self.centers) <= len(labels) or self._processes() > 1:
            self._update_dense(*self._statistics(features, labels))
        else:
            self._update_rows(features, labels)

    @torch.no_grad()
    def class_statistics(self, features, labels):
        """Eq. 2's two sums for every class: Σ_i δ(y_i = j)(c_j − x_i), (C, D) in the centres' type, and
        Σ_i δ(y_i = j), int64 (C,). Those of micro-batches add up to the whole batch's, for ``update_centers_from``."""
        self._check(features, labels)
        return self._statistics(features, labels)

    @torch.no_grad()
    def update_centers_from(self, sums, counts):
        """``update_centers`` with what ``class_statistics`` gave, for one batch or added up over micro-batches."""
        _check_tensors(sums=sums, counts=counts)
        if sums.shape != self.centers.shape or counts.shape != sums.shape[:1]:
            raise FerError(f"sums {tuple(sums.shape)} and counts {tuple(counts.shape)} are not those of "
                           f"class_statistics: {tuple(self.centers.shape)} and ({len(self.centers)},).")
        self._update_dense(sums, counts)

    def _statistics(self, features, labels):
        deviations = self.centers.index_select(0, labels).sub_(features.to(self.centers.dtype))
        sums = torch.zeros_like(self.centers).index_add_(0, labels, deviations)
        return sums, _count(labels, len(self.centers))

    def _update_dense(self, sums, counts):
        if self._processes() > 1:
            both = torch.cat([sums, counts.to(sums.dtype).unsqueeze(1)], 1)
            torch.distributed.all_reduce(both)
            sums, counts = both[:, :-1], both[:, -1]
        if self.update == "adam":
            self._adam(self._step(sums, counts))
        else:
            self.centers.sub_(_finite_or_nothing(self._step(sums, counts)))
        self.centers.grad = None

    def _update_rows(self, features, labels):
        """``update_centers`` in B rows instead of C: the same operations in the same order, and so the same bits."""
        labels = labels.long()  # index_copy_ takes no other
        # Each class of the batch gets one of the batch's rows as its slot: that of its image which was written last.
        slots = torch.empty(len(self.centers), dtype=torch.int64, device=labels.device)
        slots[labels] = torch.arange(len(labels), device=labels.device)
        slots = slots[labels]
        centers = self.centers.index_select(0, labels)
        deviations = centers - features.to(centers.dtype)
        sums = torch.zeros_like(deviations).index_add_(0, slots, deviations)
        step = _finite_or_nothing(self._step(sums, _count(slots, len(labels))))
        self.centers.index_copy_(0, labels, centers.sub_(step.index_select(0, slots)))  # one class, one value
        self.centers.grad = None

    def _step(self, sums, counts):
        """What the centres move by, before Adam: α times Eq. 2, or α times the gradient."""
        if self.update == "eq2":
            return self.alpha * sums / (1 + counts.unsqueeze(1))
        return self.alpha * sums / (counts.sum() if self.reduction == "mean" else 1)

    def _adam(self, gradient):
        steps = self.adam_steps + 1
        mean = self.adam_mean.lerp(gradient, 1 - BETAS[0])
        square = self.adam_square.lerp(gradient.square(), 1 - BETAS[1])
        # 1 − β^t; the plain difference would lose half its digits in float32.
        first, second = (-torch.expm1(steps * math.log(beta)) for beta in BETAS)
        centers = self.centers - self.learning_rate * (mean / first) / ((square / second).sqrt() + EPS)
        finite = square.amax().isfinite()
        for old, new in ((self.adam_steps, steps), (self.adam_mean, mean), (self.adam_square, square),
                         (self.centers, centers)):
            old.copy_(torch.where(finite, new, old))

    def _processes(self):
        distributed = torch.distributed
        return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1

    def _apply(self, fn, recurse=True):
        def never_narrower(tensor):
            moved = fn(tensor)  # what half(), double() or to(device) make of it
            return moved if moved.dtype.itemsize >= 4 else tensor.to(moved.device, torch.float32)
        return super()._apply(never_narrower, recurse)

    def _load_from_state_dict(self, *arguments):
        super()._load_from_state_dict(*arguments)
        self._apply(lambda tensor: tensor)  # load_state_dict(assign=True) may bring narrow centres

    def _check(self, features, labels):
        _check_tensors(features=features, labels=labels)
        classes, width = self.centers.shape
        if features.ndim != 2 or features.shape[1] != width or not features.is_floating_point():
            raise FerError(f"features are {features.dtype} {tuple(features.shape)}; give floats (batch, {width}).")
        if labels.shape != features.shape[:1] or labels.dtype not in (torch.int64, torch.int32):
            raise FerError(f"labels are {labels.dtype} {tuple(labels.shape)}; give integers ({len(features)},).")
        if not len(features):
            raise FerError("an empty batch has no centre loss; leave it out.")
        if not features.device == labels.device == self.centers.device:
            raise FerError(f"features are on {features.device}, labels on {labels.device} and centres on "
                           f"{self.centers.device}; move them to one device with .to().")
        # On a GPU this would wait for the device at every step; FaceDataset has checked the labels already.
        if labels.device.type == "cpu":
            low, high = map(int, labels.aminmax())
            if low < 0 or high >= classes:
                wrong = low if low < 0 else high
                raise FerError(f"label {wrong} is out of range; there are {classes} centres, numbered from 0.")


def _count(labels, classes):
    """How many labels each class has, int64 (classes,). bincount would make a GPU's host wait."""
    return torch.zeros(classes, dtype=torch.int64, device=labels.device).index_add_(
        0, labels, torch.ones_like(labels, dtype=torch.int64))


def _finite_or_nothing(step):
    """The step, or zeros where any of it is not finite: decided without a look, for which a GPU's host would wait."""
    return step.masked_fill_(~step.abs().amax().isfinite(), 0)


def _check_tensors(**values):
    for name, value in values.items():
        if not isinstance(value, torch.Tensor):
            raise FerError(f"{name} are of type {type(value).__name__}; give a torch tensor.")


def _starting_centers(init, shape):
    if isinstance(init, torch.Tensor):
        if tuple(init.shape) != shape or not init.is_floating_point() or not init.isfinite().all():
            raise FerError(f"init is {init.dtype} {tuple(init.shape)}; give finite floats of shape {shape}.")
        return init.detach().to(torch.float32, copy=True)
    if not isinstance(init, str) or init not in ("zeros", "randn"):
        raise FerError(f"init {init!r}: choose 'zeros' or 'randn', or give a tensor {shape}.")
    return getattr(torch, init)(shape, dtype=torch.float32)


def _check_options(num_classes, feat_dim, alpha, update, reduction, learning_rate):
    for name, value in (("num_classes", num_classes), ("feat_dim", feat_dim)):
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
            raise FerError(f"{name} = {value!r}: give a whole number from 1 up.")
    for name, value in (("alpha", alpha), ("learning_rate", learning_rate)):
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not (math.isfinite(value) and value >= 0):
            raise FerError(f"{name} = {value!r}: give a finite number from 0 up.")
    for name, value, choices in (("update", update, tuple(RULES)), ("reduction", reduction, ("mean", "sum", "none"))):
        if value not in choices:
            raise FerError(f"{name} {value!r}: choose one of {', '.join(map(repr, choices))}.")
