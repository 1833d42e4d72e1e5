"""Centre loss where numbers get hard: half precision, far-out centres, poisoned batches, gradients, a blind device."""

import itertools
import math

import pytest
import torch
from test_center_loss import batch, loss_with_centers
from torch import nn

from fer_utils.center_loss import RULES, CenterLoss

NAN, INF = math.nan, math.inf
DENSE, ROWS = 7, 1000  # classes: fewer than a batch has images, and more


def exact(features, labels, centers, alpha):
    """Eq. 1's mean and the centres after Eq. 2, in float64 on the very values that are given."""
    features, centers = features.double(), centers.double()
    away = features - centers[labels]
    counts = torch.bincount(labels, minlength=len(centers))[:, None]
    moved = centers + alpha * torch.zeros_like(centers).index_add_(0, labels, away) / (1 + counts)
    return float(0.5 * away.square().sum(1).mean()), moved


def relative(found, wanted):
    return float((found.double() - wanted).norm() / wanted.norm())


def test_loss_and_centers_agree_with_float64_on_the_same_values():
    for classes, dtype, autocast in itertools.product((DENSE, ROWS), (torch.float32, torch.bfloat16, torch.float16),
                                                      (False, True)):
        features, labels = batch(62, classes, 2048)
        features = features.to(dtype)
        loss = loss_with_centers(classes, 2048, alpha=1.9)
        value, centers = exact(features, labels, loss.centers, 1.9)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found = loss(features.requires_grad_(), labels)
            found.backward()
            loss.update_centers(features, labels)
        case = classes, dtype, autocast
        assert found.dtype == torch.float32 and found.item() == pytest.approx(value, rel=1e-6), case
        assert relative(loss.centers, centers) < 1e-6 and features.grad.dtype == dtype, case


def test_far_out_centers_keep_their_distance():
    """‖c‖ = 100, ‖x − c‖ = 0.01: ‖x‖² + ‖c‖² − 2 x·c would subtract numbers near 10,000 to find 0.0001."""
    directions, labels = batch(62, DENSE, 2048)
    centers = nn.functional.normalize(loss_with_centers(width=2048).centers) * 100
    features = centers[labels] + 0.01 * nn.functional.normalize(directions)
    value, moved = exact(features, labels, centers, 1.0)
    assert value == pytest.approx(0.5e-4, rel=0.01)
    loss = CenterLoss(7, 2048, init=centers, alpha=1.0)
    assert float(loss(features, labels)) == pytest.approx(value, rel=1e-6)
    loss.update_centers(features, labels)
    assert relative(loss.centers - centers, moved - centers.double()) < 2e-3  # near 100/√2048, a float32 is this coarse


@pytest.mark.parametrize("update", RULES)
def test_a_model_in_half_precision_leaves_the_centers_in_float32(update):
    model = nn.ModuleDict({"last": nn.Linear(2048, 7), "loss": loss_with_centers(width=2048, update=update)})
    loss, (features, labels) = model["loss"], batch(62, DENSE, 2048)
    loss.update_centers(features, labels)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    for change in (nn.Module.half, nn.Module.bfloat16, lambda m: m.to("cpu", torch.float16), nn.Module.float):
        change(model)
        for name, value in loss.state_dict().items():
            assert value.dtype == torch.float32 and torch.equal(value, before[name]), name
    model.half()
    assert model["last"].weight.dtype == torch.float16
    value = loss(features.half().requires_grad_(), labels)
    loss.update_centers(features.half(), labels)
    assert value.dtype == torch.float32 and isinstance(loss.centers, nn.Parameter) == (update != "eq2")
    assert {value.dtype for value in loss.double().state_dict().values()} == {torch.float64}  # wider it may be


def test_neither_another_default_type_nor_a_narrow_checkpoint_narrows_them():
    torch.set_default_dtype(torch.bfloat16)
    try:
        losses = [CenterLoss(7, 5, init=init) for init in ("zeros", "randn")]
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(loss.centers.dtype == torch.float32 for loss in losses)
    narrow = {"centers": loss_with_centers().centers.bfloat16()}
    for assign in (False, True):
        loss = CenterLoss(7, 5)
        loss.load_state_dict(narrow, assign=assign)
        assert loss.centers.dtype == torch.float32 and torch.equal(loss.centers, narrow["centers"].float())


def test_gradients_and_their_gradients_are_those_of_finite_differences():
    features, labels = batch(6, 3, 4)
    features = features.double().requires_grad_()
    for reduction in ("mean", "sum", "none"):
        loss = loss_with_centers(3, 4, reduction=reduction).double()
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, labels), features)
        assert torch.autograd.gradgradcheck(lambda x, loss=loss: loss(x, labels), features)


@pytest.mark.parametrize("update", RULES)
def test_a_batch_that_is_not_finite_changes_nothing_and_the_next_one_does(update):
    for classes, poison in itertools.product((DENSE, ROWS), (NAN, INF, -INF, 3e38)):
        features, labels = batch(62, classes, 16)
        loss, healthy = (loss_with_centers(classes, 16, alpha=1.9, update=update, reduction="sum") for _ in range(2))
        for one in (loss, healthy):
            one.update_centers(features, labels)
        before = {name: value.clone() for name, value in loss.state_dict().items()}
        bad = features.clone()
        bad[5, 3] = poison
        bad[6], labels[6] = bad[5], labels[5]  # two of 3e38 are more than float32 holds
        loss.update_centers(bad, labels)
        for name, value in loss.state_dict().items():
            assert torch.equal(value, before[name]), (classes, poison, name)
        for one in (loss, healthy):
            one.update_centers(features, labels)
        assert torch.equal(loss.centers, healthy.centers) and not torch.equal(loss.centers, before["centers"])


def test_nothing_is_read_back_from_a_device():
    """Meta tensors have no values: whatever would have to look at one, and so wait for a GPU, raises on them."""
    for update, classes in itertools.product(RULES, (DENSE, ROWS)):
        loss = CenterLoss(classes, 5, update=update).to("meta")
        features, labels = (tensor.to("meta") for tensor in batch(62, classes))
        loss(features.requires_grad_(), labels).backward()
        loss.update_centers(features, labels)
        loss.update_centers_from(*loss.class_statistics(features, labels))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
@pytest.mark.parametrize("update", RULES)
def test_a_gpu_gives_the_same_and_its_host_never_waits(update):
    for classes in (DENSE, ROWS):
        features, labels = batch(62, classes, 64)
        here, there = (loss_with_centers(classes, 64, alpha=1.9, update=update) for _ in range(2))
        there.cuda()
        on_gpu, gpu_labels = features.cuda().requires_grad_(), labels.cuda()
        torch.cuda.set_sync_debug_mode("error")
        try:
            there(on_gpu, gpu_labels).backward()
            there.update_centers(on_gpu, gpu_labels)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        here.update_centers(features, labels)
        assert float(there(on_gpu, gpu_labels)) == pytest.approx(float(here(features, labels)), rel=1e-5)
        assert torch.allclose(here.centers, there.centers.cpu(), atol=1e-5)
