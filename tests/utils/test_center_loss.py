"""Centre loss: Eq. 1 written out in loops, and all that is refused."""

import math
import warnings

import numpy as np
import pytest
import torch
from conftest import refusal

from fer_utils.center_loss import CenterLoss

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


def test_forward_is_eq_1_in_every_reduction_and_the_mean_is_the_default():
    features, labels = batch()
    for options, reduce in (({}, np.mean), ({"reduction": "sum"}, np.sum), ({"reduction": "none"}, np.array)):
        loss = loss_with_centers(**options)
        wanted = reduce(eq_1(features, labels, loss.centers))
        for marks in (labels, labels.int()):
            assert loss(features, marks).numpy() == pytest.approx(wanted, rel=1e-5), options
            assert loss(features, marks).shape == wanted.shape, options


def test_the_gradient_is_the_distance_over_the_batch_size_and_none_reaches_the_centers():
    features, labels = batch()
    loss = loss_with_centers(alpha=1.9).train()
    before = loss.centers.clone()
    value = loss(features.requires_grad_(), labels)
    assert torch.equal(loss.centers, before)
    loss.update_centers(features, labels)  # between forward and backward, it leaves the graph alone
    value.backward()
    assert torch.allclose(features.grad, (features.detach() - before[labels]) / len(labels), atol=1e-7)
    assert not loss.centers.requires_grad and not list(loss.parameters())  # no optimiser can find them


def test_centers_start_at_zero_at_torchs_randn_or_at_a_copy_of_a_tensor():
    assert not CenterLoss(7, 5).centers.any()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        found = CenterLoss(7, 5, init="randn").centers
        torch.manual_seed(5)
        assert torch.equal(found, torch.randn(7, 5))
    start = torch.ones(7, 5)
    CenterLoss(7, 5, init=start).update_centers(*batch())
    assert (start == 1).all()


def test_alpha_above_two_warns_under_eq_2_alone():
    with pytest.warns(UserWarning, match="alpha = 2.5: above 2 .* diverge"):
        CenterLoss(CLASSES, WIDTH, alpha=2.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for update, alpha in (("eq2", 0), ("eq2", 2.0), ("sgd", 3.8), ("adam", 3.8)):
            CenterLoss(CLASSES, WIDTH, alpha=alpha, update=update)


def test_options_that_cannot_be_meant_are_refused():
    number, size = "give a finite number from 0 up", "give a whole number from 1 up"
    bad = {"alpha": (number, [-0.1, math.nan, math.inf, "0.5", None, [0.5], True]),
           "learning_rate": (number, [-1e-3, math.nan, "0.1"]), "eps": (number, [-1e-3, math.inf, None]),
           "num_classes": (size, [0, -1, 2.0, "7", None, True]), "feat_dim": (size, [0, 2.0, None]),
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


def test_bad_batches_are_refused_by_every_method_and_move_nothing():
    features, labels = batch(4)
    shape, integers = "give floats of shape (batch, 5)", "give integers of shape (4,)"
    bad = [*((features, torch.tensor([0, 1, label, 2]), f"label {label} is out of range; there are 7 centres")
             for label in (7, 100, -1, -7)),
           *((features, wrong, integers) for wrong in (
               labels.float(), labels.bool(), labels[:, None], labels[:3], torch.zeros(4, 7).long(), torch.tensor(3))),
           *((wrong, labels, shape) for wrong in (
               torch.zeros(4, WIDTH + 1), torch.zeros(4), features.long(), torch.tensor(1.0))),
           *((features, wrong, f"labels are of type {type(wrong).__name__}; give a torch tensor")
             for wrong in ([0, 1, 2, 3], np.arange(4), None)),
           (features.numpy(), labels, "features are of type ndarray; give a torch tensor"),
           (torch.zeros(0, WIDTH), torch.zeros(0).long(), "an empty batch has no centre loss"),
           (features.to("meta"), labels, "move them to one device")]
    loss = loss_with_centers()
    before = loss.centers.clone()
    taken = [(message, said) for values, marks, message in bad
             for method in (loss, loss.update_centers, loss.class_statistics)
             if message not in (said := refusal(method, values, marks))]
    assert not taken and torch.equal(loss.centers, before)


def test_statistics_that_are_none_are_refused():
    loss = CenterLoss(7, 5)
    for sums, counts in [((7, 4), (7,)), ((7, 5), (7, 1)), ((7, 5), (6,)), ((5,), ())]:
        said = refusal(loss.update_centers_from, torch.zeros(sums), torch.zeros(counts))
        assert "are not those of class_statistics: (7, 5) and (7,)" in said, (sums, counts)
    assert "sums are of type list; give a torch tensor" in refusal(loss.update_centers_from, [1.0], torch.zeros(7))
