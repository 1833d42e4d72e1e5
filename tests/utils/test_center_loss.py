"""Centre loss: Eq. 1 and 2 written out in loops, the rules of published code, and all that is refused."""

import math
import warnings

import numpy as np
import pytest
import torch
from conftest import refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils import center_loss
from fer_utils.center_loss import RULES, CenterLoss

CLASSES, WIDTH = 7, 5


few = settings(max_examples=40)
shapes = st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(1, 4), st.integers(0, 10**6))  # n, C, D, seed


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


def deltas(features, labels, centers):
    """Eq. 2's numerators and counts in a triple loop in float64."""
    sums = [[0.0] * centers.shape[1] for _ in centers]
    counts = [0] * len(centers)
    for j in range(len(centers)):
        for i in range(len(labels)):
            if labels[i] == j:
                counts[j] += 1
                for k in range(centers.shape[1]):
                    sums[j][k] += float(centers[j, k]) - float(features[i, k])
    return torch.tensor(sums, dtype=torch.float64), torch.tensor(counts)


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


@few
@given(shapes, st.floats(0, 2), st.sampled_from([torch.int64, torch.int32]))
def test_a_step_of_eq_2_and_one_of_sgd_are_the_triple_loop(shape, alpha, kind):
    n, classes, width, seed = shape
    features, labels = batch(n, classes, width, seed)
    labels = labels.to(kind)
    for update, reduction in (("eq2", "mean"), ("sgd", "mean"), ("sgd", "sum"), ("sgd", "none")):
        loss = loss_with_centers(classes, width, alpha=alpha, update=update, reduction=reduction)
        start = loss.centers.detach().clone()
        sums, counts = deltas(features, labels, start)
        found = loss.class_statistics(features, labels)
        assert torch.allclose(found[0].double(), sums, atol=1e-5) and torch.equal(found[1], counts)
        assert torch.equal(loss.centers, start)
        size = 1 + counts[:, None] if update == "eq2" else n if reduction == "mean" else 1
        loss.update_centers(features, labels)
        assert torch.allclose(loss.centers.double(), start - alpha * sums / size, rtol=1e-5, atol=2e-6)
        assert torch.equal(loss.centers[counts == 0], start[counts == 0])  # absent from the batch


@few
@given(shapes, st.sampled_from(["eq2", "sgd"]))
def test_rows_and_the_dense_way_give_the_same_bits(shape, update):
    n, classes, width, seed = shape
    features, labels = batch(n, classes, width, seed)
    dense, rows = (loss_with_centers(classes, width, alpha=1.9, update=update) for _ in range(2))
    for _ in range(3):
        dense.update_centers_from(*dense.class_statistics(features, labels))
        with torch.no_grad():
            rows._update_rows(features, labels)
        assert torch.equal(dense.centers, rows.centers)


def test_with_more_classes_than_images_the_rows_of_the_batch_alone_are_touched(monkeypatch):
    monkeypatch.setattr(CenterLoss, "_update_dense", lambda *_: pytest.fail("all rows were touched"))
    for update in ("eq2", "sgd"):
        loss_with_centers(60, update=update).update_centers(*batch(classes=60))


@few
@given(shapes, st.integers(0, 9), st.sampled_from(list(RULES)))
def test_micro_batches_add_up_to_the_batch(shape, cut, update):
    n, classes, width, seed = shape
    features, labels = batch(n + 1, classes, width, seed)
    cut = 1 + cut % n
    whole, parts = (loss_with_centers(classes, width, alpha=0.7, update=update).double() for _ in range(2))
    whole.update_centers(features, labels)
    first, second = (parts.class_statistics(features[rows], labels[rows]) for rows in (slice(cut), slice(cut, None)))
    parts.update_centers_from(first[0] + second[0], first[1] + second[1])
    assert torch.allclose(whole.centers, parts.centers, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:alpha")
def test_a_fixed_batch_is_stable_up_to_alpha_2_1_plus_n_over_n():
    """ρ = 1 − α n / (1 + n): |ρ| < 1 below the limit, the centre leaves beyond it, and at it, it swings for ever."""
    for n in (1, 3, 9, 62):
        for share in (0.3, 0.98, 1.0, 1.02, 1.2):
            loss = loss_with_centers(1, 6, alpha=share * 2 * (1 + n) / n).double()
            features, labels = batch(n, 1, 6)
            mean = features.double().mean(0)
            rho, before = 1 - share * 2, (loss.centers - mean).clone()
            for step in range(1, 40):
                loss.update_centers(features, labels)
                assert torch.allclose(loss.centers - mean, rho**step * before, rtol=1e-9, atol=1e-12), (n, share)


def published(features, labels, centers, optimizer, alpha, lam):
    """One step as published: no ½, the mean over the batch, λ in the loss, the gradient scaled by α/λ after it."""
    optimizer.zero_grad()
    (lam * (features - centers[labels]).square().sum(1).mean()).backward()
    centers.grad *= alpha / lam
    optimizer.step()


@pytest.mark.parametrize("update, optimizer, factor, tolerance", [
    ("adam", lambda centers: torch.optim.Adam([centers], lr=1e-3), 2.0, 5e-7),
    ("sgd", lambda centers: torch.optim.SGD([centers], lr=0.5), 1.0, 1e-6),  # the popular code's rate is one half
], ids=["adam", "sgd"])
def test_a_rule_is_that_of_the_published_code_whatever_lambda(update, optimizer, factor, tolerance):
    for alpha, lam in ((0.1, 0.2), (1.9, 0.2), (1.0, 0.003), (1.9, 5.0)):
        loss = loss_with_centers(alpha=factor * alpha, update=update)
        centers = loss.centers.detach().clone().requires_grad_()
        stepping = optimizer(centers)
        for seed in range(12):
            features, labels = batch(4, 5, 5, seed)  # of 5 classes some are absent each time: Adam moves them on
            published(features, labels, centers, stepping, alpha, lam)
            (lam * loss(features, labels)).backward()  # which has no part in the step
            loss.update_centers(features, labels)
            assert torch.allclose(loss.centers, centers, rtol=0, atol=tolerance), (alpha, lam)
            assert loss.centers.grad is None
        assert (loss.centers - loss_with_centers().centers)[:5].abs().max() > 5e-3


def centers_after(update, alpha, steps=30, dtype=torch.float64):
    loss = loss_with_centers(alpha=alpha, update=update).to(dtype)
    for seed in range(steps):
        loss.update_centers(*batch(62, seed=seed))
    return loss.centers.detach()


def test_alpha_is_inert_under_adam_and_real_under_eq_2_and_sgd(monkeypatch):
    low, high = (centers_after("adam", alpha, dtype=torch.float32) for alpha in (0.1, 1.9))
    assert 0 < (low - high).abs().max() < 1e-5  # with Adam's own eps, in float32
    monkeypatch.setattr(center_loss, "EPS", 1e-30)
    low, high = (centers_after("adam", alpha) for alpha in (0.1, 1.9))
    assert (low - high).abs().max() < 1e-15 * 10 and (low - centers_after("adam", 0.1, 1)).abs().max() > 0.01
    for update in ("eq2", "sgd"):
        assert (centers_after(update, 0.1) - centers_after(update, 1.9)).abs().max() > 0.1


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
           "learning_rate": (number, [-1e-3, math.nan, "0.1"]),
           "num_classes": (size, [0, -1, 2.0, "7", None, True]), "feat_dim": (size, [0, 2.0, None]),
           "reduction": ("choose one of 'mean', 'sum', 'none'", ["average", "", None]),
           "update": ("choose one of 'eq2', 'sgd', 'adam'", ["Eq2", "sgd ", "", None, 2, ["eq2"]]),
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


def test_bad_batches_are_refused_by_every_method_and_move_nothing():
    features, labels = batch(4)
    shape, integers = "give floats (batch, 5)", "give integers (4,)"
    bad = [*((features, torch.tensor([0, 1, label, 2]), f"label {label} is out of range; there are 7 centres")
             for label in (7, 100, -1, -7)),
           *((features, wrong, integers) for wrong in (labels.float(), labels[:, None], labels[:3], torch.tensor(3))),
           *((wrong, labels, shape) for wrong in (torch.zeros(4, WIDTH + 1), torch.zeros(4), features.long())),
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
    for sums, counts in [((7, 4), (7,)), ((7, 5), (7, 1)), ((5,), ())]:
        said = refusal(loss.update_centers_from, torch.zeros(sums), torch.zeros(counts))
        assert "are not those of class_statistics: (7, 5) and (7,)" in said, (sums, counts)
    assert "sums are of type list; give a torch tensor" in refusal(loss.update_centers_from, [1.0], torch.zeros(7))
