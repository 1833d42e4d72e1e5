"""Centre loss against Eq. 1 and Eq. 2, written out in loops."""

import math
import re
import warnings

import numpy as np
import pytest
import torch

from fer_utils.center_loss import CenterLoss
from fer_utils.errors import FerError

CLASSES, WIDTH = 7, 5


def batch(n=24, seed=0, classes=CLASSES):
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(n, WIDTH, generator=chance), torch.randint(0, classes, (n,), generator=chance)


def loss_with_centers(seed=1, **options):
    loss = CenterLoss(CLASSES, WIDTH, **options)
    loss.centers.copy_(torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(seed)))
    return loss


def eq_1(features, labels, centers):
    """Each image's ½‖x_i − c_{y_i}‖², term by term in float64."""
    terms = []
    for i in range(len(labels)):
        for j in range(len(centers)):
            if labels[i] == j:
                terms.append(sum(0.5 * (float(features[i, k]) - float(centers[j, k])) ** 2 for k in range(WIDTH)))
    return terms


def eq_2(features, labels, centers, alpha):
    """The centres after one step of Eq. 2, term by term in float64."""
    moved = centers.double().clone()
    for j in range(len(centers)):
        for k in range(WIDTH):
            above, below = 0.0, 1.0
            for i in range(len(labels)):
                delta = 1.0 if labels[i] == j else 0.0
                above += delta * (float(centers[j, k]) - float(features[i, k]))
                below += delta
            moved[j, k] -= alpha * above / below
    return moved


# Eq. 1


@pytest.mark.parametrize("reduction, reduce", [("mean", np.mean), ("sum", np.sum), ("none", np.array)])
def test_forward_is_eq_1_in_every_reduction(reduction, reduce):
    features, labels = batch()
    loss = loss_with_centers(reduction=reduction)
    wanted = reduce(eq_1(features, labels, loss.centers))
    assert loss(features, labels).numpy() == pytest.approx(wanted, rel=1e-5)
    assert loss(features, labels).shape == wanted.shape


def test_the_mean_is_the_default_and_a_hand_made_example_agrees():
    loss = CenterLoss(2, 2)
    loss.centers.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    features = torch.tensor([[4.0, 5.0], [0.0, 2.0]])  # distances 5 and 2
    assert float(loss(features, torch.tensor([0, 1]))) == pytest.approx((12.5 + 2) / 2)


def test_the_centers_start_at_zero_so_that_the_first_loss_is_half_the_squared_length():
    features, labels = batch()
    half = float(features.square().sum(1).mean() / 2)
    assert float(CenterLoss(CLASSES, WIDTH)(features, labels)) == pytest.approx(half)


def test_forward_and_backward_move_nothing():
    features, labels = batch()
    loss = loss_with_centers(alpha=1.9)
    before = loss.centers.clone()
    loss.train()(features.requires_grad_(), labels).backward()
    assert torch.equal(loss.centers, before)


def test_the_gradient_is_the_distance_to_the_center_over_the_batch_size():
    features, labels = batch()
    loss = loss_with_centers()
    loss(features.requires_grad_(), labels).backward()
    assert torch.allclose(features.grad, (features.detach() - loss.centers[labels]) / len(labels), atol=1e-7)


def test_autograd_in_float64_agrees_with_finite_differences():
    features, labels = batch(4)
    loss = loss_with_centers(reduction="sum").double()
    features = features.double().requires_grad_()
    value = loss(features, labels)
    value.backward()
    step = torch.zeros_like(features)
    step[2, 3] = 0.01
    with torch.no_grad():
        slope = (loss(features + step, labels) - loss(features - step, labels)) / 0.02
    assert float(features.grad[2, 3]) == pytest.approx(float(slope), rel=1e-3)


def test_no_gradient_reaches_the_centers_and_no_optimiser_sees_them():
    features, labels = batch()
    loss = loss_with_centers()
    loss(features.requires_grad_(), labels).backward()
    assert loss.centers.grad is None and not loss.centers.requires_grad
    assert list(loss.parameters()) == []


# Eq. 2


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 1.9])
@pytest.mark.parametrize("n", [1, 7, 62])
def test_update_is_eq_2(alpha, n):
    features, labels = batch(n)
    loss = loss_with_centers(alpha=alpha)
    wanted = eq_2(features, labels, loss.centers, alpha)
    loss.update_centers(features, labels)
    assert torch.allclose(loss.centers.double(), wanted, rtol=1e-5, atol=1e-6)


def test_the_denominator_is_one_plus_the_class_members():
    loss = CenterLoss(2, 1, alpha=1.0)
    loss.update_centers(torch.tensor([[3.0], [3.0], [8.0]]), torch.tensor([0, 0, 1]))
    assert loss.centers.flatten().tolist() == [2.0, 4.0]  # 6 / (1 + 2) and 8 / (1 + 1)


def test_centers_of_absent_classes_are_identical_to_the_last_bit():
    features, labels = batch(classes=3)
    loss = loss_with_centers(alpha=1.9)
    loss.centers[5, 0] = 1e-30
    before = loss.centers.clone()
    loss.update_centers(features, labels)
    assert torch.equal(loss.centers[3:], before[3:])
    assert (loss.centers[:3] != before[:3]).any(1).all()


@pytest.mark.parametrize("alpha, n", [(0.5, 1), (0.5, 9), (1.0, 4), (1.9, 1), (1.9, 9)])
def test_a_step_multiplies_the_distance_to_the_mean_by_one_minus_alpha_n_over_one_plus_n(alpha, n):
    features = batch(n)[0]
    labels, loss = torch.full((n,), 2), loss_with_centers(alpha=alpha)
    distance = loss.centers[2] - features.mean(0)
    for _ in range(3):
        loss.update_centers(features, labels)
        distance = distance * (1 - alpha * n / (1 + n))
        assert torch.allclose(loss.centers[2] - features.mean(0), distance, atol=1e-5)


def test_alpha_19_oscillates_with_factor_minus_071_at_nine_members():
    features, loss = torch.ones(9, WIDTH), CenterLoss(CLASSES, WIDTH, alpha=1.9)
    signs = []
    for _ in range(4):
        loss.update_centers(features, torch.zeros(9, dtype=torch.int64))
        signs.append(float(loss.centers[0, 0]) - 1)
    assert [signs[k + 1] / signs[k] for k in range(3)] == pytest.approx([-0.71] * 3, rel=1e-4)


def test_an_update_leaves_the_features_graph_alone():
    features, labels = batch()
    features.requires_grad_()
    loss = loss_with_centers()
    value = loss(features, labels)
    loss.update_centers(features, labels)
    value.backward()
    assert loss.centers.grad_fn is None and features.grad is not None


def test_one_update_does_not_depend_on_the_order_of_the_batch():
    features, labels = batch()
    first, second = loss_with_centers(), loss_with_centers()
    first.update_centers(features, labels)
    second.update_centers(features.flip(0), labels.flip(0))
    assert torch.allclose(first.centers, second.centers, atol=1e-6)


# Alpha


def test_alpha_above_two_warns():
    with pytest.warns(UserWarning, match="alpha = 2.5: above 2 .* diverge"):
        CenterLoss(CLASSES, WIDTH, alpha=2.5)


@pytest.mark.parametrize("update", ["sgd", "adam"])
def test_only_eq_2_has_its_limit_at_two(update):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CenterLoss(CLASSES, WIDTH, alpha=3.8, update=update)


@pytest.mark.parametrize("alpha", [0, 0.5, 1, 1.9, 2, 2.0])
def test_alpha_up_to_two_is_accepted_in_silence(alpha):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert CenterLoss(CLASSES, WIDTH, alpha=alpha).alpha == alpha


@pytest.mark.parametrize("alpha", [-0.1, -1, math.nan, math.inf, -math.inf, "0.5", None, [0.5]])
def test_an_alpha_that_cannot_be_is_refused(alpha):
    with pytest.raises(FerError, match=re.escape(f"alpha = {alpha!r}: give a finite number")):
        CenterLoss(CLASSES, WIDTH, alpha=alpha)


@pytest.mark.parametrize("reduction", ["average", "", None])
def test_an_unknown_reduction_is_refused(reduction):
    with pytest.raises(FerError, match=f"reduction {reduction!r}: choose 'mean', 'sum' or 'none'"):
        CenterLoss(CLASSES, WIDTH, reduction=reduction)


@pytest.mark.parametrize("update", ["Eq2", "sgd ", "", None, 2, ["eq2"]])
def test_an_unknown_update_is_refused(update):
    with pytest.raises(FerError, match=re.escape(f"update {update!r}: choose 'eq2', 'sgd' or 'adam'")):
        CenterLoss(CLASSES, WIDTH, update=update)


@pytest.mark.parametrize("size", [0, -1, 2.0, "7", None, True])
def test_sizes_that_cannot_be_are_refused(size):
    with pytest.raises(FerError, match=re.escape(f"num_classes = {size!r}: give a whole number")):
        CenterLoss(size, WIDTH)
    with pytest.raises(FerError, match=re.escape(f"feat_dim = {size!r}: give a whole number")):
        CenterLoss(CLASSES, size)


@pytest.mark.parametrize("option", ["learning_rate", "eps"])
@pytest.mark.parametrize("value", [-1e-3, math.nan, math.inf, "0.1", None])
def test_adams_options_that_cannot_be_are_refused(option, value):
    with pytest.raises(FerError, match=re.escape(f"{option} = {value!r}: give a finite number")):
        CenterLoss(CLASSES, WIDTH, update="adam", **{option: value})


def test_adam_without_eps_is_refused():
    with pytest.raises(FerError, match="eps = 0: Adam would divide by zero"):
        CenterLoss(CLASSES, WIDTH, update="adam", eps=0)


# Bad batches; every method refuses them, and a refused update moves nothing.


def refused(features, labels, message):
    loss = loss_with_centers()
    before = loss.centers.clone()
    for method in (loss, loss.update_centers, loss.class_statistics):
        with pytest.raises(FerError, match=message):
            method(features, labels)
    assert torch.equal(loss.centers, before)


@pytest.mark.parametrize("label", [7, 100, -1, -7])
def test_a_label_out_of_range_is_named(label):
    refused(batch(4)[0], torch.tensor([0, 1, label, 2]), f"label {label} is out of range; there are 7 centres")


@pytest.mark.parametrize("labels", [
    torch.zeros(4), torch.zeros(4, dtype=torch.uint8), torch.zeros(4, dtype=torch.bool), torch.zeros(4, 1).long(),
    torch.zeros(3).long(), torch.zeros(5).long(), torch.zeros(4, 7).long(), torch.tensor(3),
], ids=lambda tensor: f"{tensor.dtype} {tuple(tensor.shape)}")
def test_labels_of_another_type_or_shape_are_refused(labels):
    refused(batch(4)[0], labels, r"labels are torch\..*; give integers of shape \(4,\)")


@pytest.mark.parametrize("features", [
    torch.zeros(4, WIDTH + 1), torch.zeros(4), torch.zeros(4, WIDTH, 1), torch.zeros(4, WIDTH).long(),
    torch.zeros(4, WIDTH, dtype=torch.complex64), torch.tensor(1.0),
], ids=lambda tensor: f"{tensor.dtype} {tuple(tensor.shape)}")
def test_features_of_another_type_or_shape_are_refused(features):
    refused(features, torch.zeros(4).long(), r"features are torch\..*; give floats of shape \(batch, 5\)")


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], np.arange(4), None, "0123", 3], ids=str)
def test_what_is_no_tensor_is_refused(labels):
    refused(batch(4)[0], labels, "labels are of type .*; give a torch tensor")
    refused(labels, torch.arange(4), "features are of type .*; give a torch tensor")


@pytest.mark.parametrize("label", [60, -1, -60])
def test_a_label_out_of_range_among_many_classes_is_named_too(label):
    loss = CenterLoss(60, WIDTH)
    with pytest.raises(FerError, match=f"label {label} is out of range; there are 60 centres"):
        loss.update_centers(batch(4)[0], torch.tensor([0, 1, label, 2]))
    assert not loss.centers.any()


def test_an_empty_batch_is_refused():
    refused(torch.zeros(0, WIDTH), torch.zeros(0).long(), "an empty batch has no centre loss")


@pytest.mark.parametrize("classes", [CLASSES, 60], ids=["dense", "rows"])
def test_int32_labels_do_as_int64_ones(classes):
    features, labels = batch(classes=classes)
    first, second = (CenterLoss(classes, WIDTH, init=torch.ones(classes, WIDTH)) for _ in range(2))
    assert torch.equal(first(features, labels), second(features, labels.int()))
    first.update_centers(features, labels)
    second.update_centers(features, labels.int())
    assert torch.equal(first.centers, second.centers)


# State and precision


def test_centers_travel_with_the_state_dict():
    features, labels = batch()
    loss = loss_with_centers(alpha=0.7)
    loss.update_centers(features, labels)
    again = CenterLoss(CLASSES, WIDTH, alpha=0.7)
    again.load_state_dict(loss.state_dict())
    assert list(loss.state_dict()) == ["centers"]
    assert torch.equal(again.centers, loss.centers)
    assert torch.equal(again(features, labels), loss(features, labels))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_are_computed_in_fp32(dtype):
    features, labels = batch(62)
    features = 100 + features.to(dtype)  # small differences between large coordinates
    loss, reference = loss_with_centers(alpha=0.5), loss_with_centers(alpha=0.5)
    for one in (loss, reference):
        one.centers += 100
    assert loss(features, labels).dtype == torch.float32
    assert torch.equal(loss(features, labels), reference(features.float(), labels))
    loss.update_centers(features, labels)
    reference.update_centers(features.float(), labels)
    assert loss.centers.dtype == torch.float32
    assert torch.equal(loss.centers, reference.centers)


def test_autocast_has_no_part_in_it():
    features, labels = batch(62)
    loss = loss_with_centers()
    outside = loss(features, labels)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(features, labels)
    assert inside.dtype == torch.float32 and torch.equal(inside, outside)


def test_its_line_in_a_print_tells_classes_width_and_alpha():
    assert repr(CenterLoss(7, 2048, alpha=1.9)) == "CenterLoss(classes=7, feat_dim=2048, alpha=1.9)"
