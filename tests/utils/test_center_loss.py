"""Centre loss: Eq. 1 written out in loops, what an update may touch, and all that is refused."""

import math
import warnings

import numpy as np
import pytest
import torch
from conftest import refusal

from fer_utils.center_loss import RULES, CenterLoss

CLASSES, WIDTH = 7, 5


def batch(n=24, classes=CLASSES, width=WIDTH, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=rng), torch.randint(0, classes, (n,), generator=rng)


def loss_with_centers(classes=CLASSES, width=WIDTH, seed=1, **options):
    start = torch.randn(classes, width, generator=torch.Generator().manual_seed(seed))
    return CenterLoss(classes, width, init=start, **options)


def eq_1(features, labels, centers):
    """Each image's ½‖x_i − c_{y_i}‖², term by term in float64."""
    return [sum(0.5 * (float(features[i, k]) - float(centers[labels[i], k])) ** 2 for k in range(features.shape[1]))
            for i in range(len(labels))]


# Eq. 1


def test_forward_is_eq_1_in_every_reduction():
    features, labels = batch()
    for reduction, reduce in (("mean", np.mean), ("sum", np.sum), ("none", np.array)):
        loss = loss_with_centers(reduction=reduction)
        wanted = reduce(eq_1(features, labels, loss.centers))
        assert loss(features, labels).numpy() == pytest.approx(wanted, rel=1e-5), reduction
        assert loss(features, labels).shape == wanted.shape, reduction


def test_the_mean_is_the_default_and_centers_start_at_zero():
    features, labels = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([0, 1])  # distances 5 and 2
    loss = CenterLoss(2, 2)
    assert not loss.centers.any() and float(loss(features, labels)) == pytest.approx((12.5 + 2) / 2)
    loss.centers.copy_(torch.tensor([[3.0, 1.0], [0.0, 0.0]]))
    assert float(loss(features, labels)) == pytest.approx((4.5 + 2) / 2)


def test_the_gradient_is_the_distance_over_the_batch_size_and_none_reaches_the_centers():
    features, labels = batch()
    loss = loss_with_centers(alpha=1.9).train()
    before = loss.centers.clone()
    loss(features.requires_grad_(), labels).backward()
    assert torch.allclose(features.grad, (features.detach() - before[labels]) / len(labels), atol=1e-7)
    assert torch.equal(loss.centers, before)  # forward and backward move nothing
    assert loss.centers.grad is None and not loss.centers.requires_grad and not list(loss.parameters())


# What an update may touch


def test_an_update_leaves_the_features_graph_alone():
    features, labels = batch()
    loss = loss_with_centers()
    value = loss(features.requires_grad_(), labels)
    loss.update_centers(features, labels)
    value.backward()
    assert loss.centers.grad_fn is None and features.grad is not None


def test_one_update_does_not_depend_on_the_order_of_the_batch():
    for classes in (CLASSES, 60):  # fewer than the batch has images, and more
        features, labels = batch(classes=classes)
        first, second = loss_with_centers(classes), loss_with_centers(classes)
        first.update_centers(features, labels)
        second.update_centers(features.flip(0), labels.flip(0))
        assert torch.allclose(first.centers, second.centers, atol=1e-6), classes


def test_int32_labels_do_as_int64_ones():
    for classes in (CLASSES, 60):
        features, labels = batch(classes=classes)
        first, second = loss_with_centers(classes), loss_with_centers(classes)
        assert torch.equal(first(features, labels), second(features, labels.int()))
        first.update_centers(features, labels)
        second.update_centers(features, labels.int())
        assert torch.equal(first.centers, second.centers)


# Options


def test_alpha_above_two_warns_under_eq_2_alone_and_up_to_two_nobody_is_warned():
    with pytest.warns(UserWarning, match="alpha = 2.5: above 2 .* diverge"):
        CenterLoss(CLASSES, WIDTH, alpha=2.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for update, alphas in {"eq2": [0, 0.5, 1, 1.9, 2, 2.0], "sgd": [3.8], "adam": [3.8]}.items():
            for alpha in alphas:
                assert CenterLoss(CLASSES, WIDTH, alpha=alpha, update=update).alpha == alpha


def test_options_that_cannot_be_meant_are_refused():
    number, size = "give a finite number from 0 up", "give a whole number from 1 up"
    bad = {"alpha": (number, [-0.1, -1, math.nan, math.inf, -math.inf, "0.5", None, [0.5], True]),
           "learning_rate": (number, [-1e-3, math.nan, math.inf, "0.1", None]),
           "eps": (number, [-1e-3, math.nan, math.inf, "0.1", None]),
           "num_classes": (size, [0, -1, 2.0, "7", None, True]), "feat_dim": (size, [0, -1, 2.0, "7", None, True]),
           "reduction": ("choose 'mean', 'sum' or 'none'", ["average", "", None]),
           "update": ("choose 'eq2', 'sgd' or 'adam'", ["Eq2", "sgd ", "", None, 2, ["eq2"]]),
           "init": ("", ["ones", "", None, 0, [[0.0] * WIDTH] * CLASSES, torch.zeros(WIDTH, CLASSES),
                         torch.zeros(CLASSES, WIDTH).long(), torch.full((CLASSES, WIDTH), math.nan)])}
    taken = []
    for option, (advice, values) in bad.items():
        for value in values:
            said = refusal(CenterLoss, **{"num_classes": CLASSES, "feat_dim": WIDTH, option: value})
            named = ("init",) if option == "init" else (f"{option} = {value!r}: ", f"{option} {value!r}: ")
            if not said.startswith(named) or advice not in said:
                taken.append((option, value, said))
    assert not taken
    assert "eps = 0: Adam would divide by zero" in refusal(CenterLoss, CLASSES, WIDTH, update="adam", eps=0)


def test_under_eq_2_no_optimiser_can_find_the_centers_and_under_the_others_one_could():
    assert [len(list(CenterLoss(7, 5, update=update).parameters())) for update in RULES] == [0, 1, 1]


def test_randn_comes_from_torchs_generator_and_a_tensor_is_copied():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        found = CenterLoss(7, 5, init="randn").centers
        torch.manual_seed(5)
        assert torch.equal(found, torch.randn(7, 5)) and found.dtype == torch.float32
    for dtype in (torch.float32, torch.float64):
        start = torch.ones(7, 5, dtype=dtype)
        loss = CenterLoss(7, 5, init=start)
        loss.update_centers(*batch())
        assert (start == 1).all() and loss.centers.dtype == torch.float32


def test_its_line_in_a_print_tells_classes_width_alpha_and_another_rule():
    assert repr(CenterLoss(7, 2048, alpha=1.9)) == "CenterLoss(classes=7, feat_dim=2048, alpha=1.9)"
    assert repr(CenterLoss(7, 5, alpha=1.9, update="adam")) == (
        "CenterLoss(classes=7, feat_dim=5, alpha=1.9, update='adam')")


# Bad batches


def test_bad_batches_are_refused_by_every_method_and_move_nothing():
    features, labels = batch(4)
    shape, integers = "give floats of shape (batch, 5)", "give integers of shape (4,)"
    bad = [*((features, torch.tensor([0, 1, label, 2]), f"label {label} is out of range; there are 7 centres")
             for label in (7, 100, -1, -7)),
           *((features, wrong, integers) for wrong in (
               labels.float(), labels.to(torch.uint8), labels.bool(), labels[:, None], labels[:3],
               torch.zeros(5).long(), torch.zeros(4, 7).long(), torch.tensor(3))),
           *((wrong, labels, shape) for wrong in (
               torch.zeros(4, WIDTH + 1), torch.zeros(4), torch.zeros(4, WIDTH, 1), features.long(),
               features.to(torch.complex64), torch.tensor(1.0))),
           *((features, wrong, f"labels are of type {type(wrong).__name__}; give a torch tensor")
             for wrong in ([0, 1, 2, 3], np.arange(4), None, "0123", 3)),
           (features.numpy(), labels, "features are of type ndarray; give a torch tensor"),
           (torch.zeros(0, WIDTH), torch.zeros(0).long(), "an empty batch has no centre loss"),
           (features.to("meta"), labels, "move them to one device"),
           (features, labels.to("meta"), "move them to one device")]
    loss = loss_with_centers()
    before, taken = loss.centers.clone(), []
    for values, marks, message in bad:
        for method in (loss, loss.update_centers, loss.class_statistics):
            said = refusal(method, values, marks)
            taken += [] if message in said else [(message, said)]
    assert not taken and torch.equal(loss.centers, before)
    assert "move them to one device" in refusal(CenterLoss(CLASSES, WIDTH).to("meta"), features, labels)


def test_a_label_out_of_range_among_many_classes_is_named_too():
    loss = CenterLoss(60, WIDTH)
    for label in (60, -1, -60):
        said = refusal(loss.update_centers, batch(4)[0], torch.tensor([0, 1, label, 2]))
        assert f"label {label} is out of range; there are 60 centres" in said and not loss.centers.any()


def test_statistics_that_are_none_are_refused():
    loss = CenterLoss(7, 5)
    for sums, counts in [((7, 4), (7,)), ((6, 5), (7,)), ((7, 5), (7, 1)), ((7, 5), (6,)), ((5,), ())]:
        said = refusal(loss.update_centers_from, torch.zeros(sums), torch.zeros(counts))
        assert "are not those of class_statistics: (7, 5) and (7,)" in said, (sums, counts)
    assert "sums are of type list; give a torch tensor" in refusal(loss.update_centers_from, [1.0], torch.zeros(7))
