"""How the centres move: one step as a law, many classes, micro-batches, and the rules of published code."""

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_center_loss import batch, loss_with_centers
from torch.utils._python_dispatch import TorchDispatchMode

from fer_utils.center_loss import RULES, CenterLoss

few = settings(max_examples=40, derandomize=True, database=None, deadline=None)
shapes = st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(1, 4), st.integers(0, 10**6))  # n, C, D, seed


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


# One step, whatever the batch


@few
@given(shapes, st.floats(0, 2))
def test_a_step_of_eq_2_and_one_of_sgd_are_the_triple_loop(shape, alpha):
    n, classes, width, seed = shape
    features, labels = batch(n, classes, width, seed)
    for update, reduction in (("eq2", "mean"), ("sgd", "mean"), ("sgd", "sum"), ("sgd", "none")):
        loss = loss_with_centers(classes, width, alpha=alpha, update=update, reduction=reduction)
        start = loss.centers.detach().clone()
        sums, counts = deltas(features, labels, start)
        size = 1 + counts[:, None] if update == "eq2" else n if reduction == "mean" else 1
        loss.update_centers(features, labels)
        assert torch.allclose(loss.centers.double(), start - alpha * sums / size, rtol=1e-5, atol=2e-6)
        assert torch.equal(loss.centers[counts == 0], start[counts == 0])


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


def test_the_statistics_are_eq_2s_sums_and_move_nothing():
    features, labels = batch()
    loss = loss_with_centers()
    start = loss.centers.clone()
    wanted = deltas(features, labels, start)
    sums, counts = loss.class_statistics(features.requires_grad_(), labels)
    assert torch.allclose(sums.double(), wanted[0], atol=1e-5) and torch.equal(counts, wanted[1])
    assert counts.dtype == torch.int64 and not sums.requires_grad and torch.equal(loss.centers, start)


# Many classes


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that is made, other than ``known`` itself."""

    def __init__(self, known):
        super().__init__()
        self.known, self.elements, self.where = known.data_ptr(), 0, None

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(tensor, torch.Tensor) and tensor.data_ptr() != self.known and tensor.numel() > self.elements:
                self.elements, self.where = tensor.numel(), str(function)
        return made


def test_with_many_classes_nothing_is_made_that_grows_with_their_width():
    classes, width = 5000, 64
    features, labels = batch(4, classes, width)
    loss = loss_with_centers(classes, width)
    with Largest(loss.centers) as seen:
        loss(features.requires_grad_(), labels).backward()
        loss.update_centers(features, labels)
    assert seen.elements == classes, seen.where  # the slots: one number a class, never filled
    with Largest(loss.centers) as seen:
        loss.update_centers_from(*loss.class_statistics(features, labels))
    assert seen.elements == classes * width


def test_with_many_classes_the_absent_ones_keep_every_bit():
    features, labels = batch(40, 60, 8)
    labels[:20] = 3
    loss = loss_with_centers(1000, 8, alpha=1.9)
    loss.centers[500:] = -0.0
    before = loss.centers.clone()
    loss.update_centers(features, labels)
    present = torch.zeros(1000, dtype=torch.bool).index_fill_(0, labels, True)
    assert torch.equal(loss.centers[~present].view(torch.int32), before[~present].view(torch.int32))
    assert (loss.centers[present] != before[present]).any(1).all()


# The law of alpha


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
            moved = float((loss.centers - mean).norm() / before.norm())
            assert moved < 0.5 if share < 1 else moved > 4 if share > 1 else moved == pytest.approx(1), (n, share)


# The rules of published code


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
            features, labels = batch(20, 5, 5, seed)
            published(features, labels, centers, stepping, alpha, lam)
            loss.update_centers(features, labels)
            assert torch.allclose(loss.centers, centers, rtol=0, atol=tolerance), (alpha, lam)
        assert (loss.centers - loss_with_centers().centers)[:5].abs().max() > 5e-3


def test_sgd_steps_along_the_gradient_that_autograd_finds():
    for classes, reduction, lam in ((7, "mean", 0.2), (7, "sum", 3.0), (60, "mean", 3.0), (60, "sum", 0.2)):
        features, labels = batch(20, classes - 2)
        loss = loss_with_centers(classes, alpha=0.3, update="sgd", reduction=reduction)
        start = loss.centers.detach().clone()
        (lam * loss(features, labels)).backward()
        gradient = loss.centers.grad / lam
        loss.update_centers(features, labels)
        assert torch.allclose(loss.centers, start - 0.3 * gradient, atol=1e-6) and loss.centers.grad is None


def centers_after(update, alpha, steps=30, dtype=torch.float64, **options):
    loss = loss_with_centers(alpha=alpha, update=update, **options).to(dtype)
    for seed in range(steps):
        loss.update_centers(*batch(62, seed=seed))
    return loss.centers.detach()


def test_alpha_is_inert_under_adam_and_real_under_eq_2_and_sgd():
    low, high = (centers_after("adam", alpha, eps=1e-30) for alpha in (0.1, 1.9))
    assert (low - high).abs().max() < 1e-15 * 10 and (low - centers_after("adam", 0.1, 1)).abs().max() > 0.01
    low, high = (centers_after("adam", alpha, dtype=torch.float32) for alpha in (0.1, 1.9))
    assert 0 < (low - high).abs().max() < 1e-5  # with Adam's own eps, in float32
    for update in ("eq2", "sgd"):
        assert (centers_after(update, 0.1) - centers_after(update, 1.9)).abs().max() > 0.1


def test_adam_moves_absent_classes_on_and_sgd_does_not():
    features, labels = batch(20, 3, 5)
    absent = labels != 0
    for update, moves in (("adam", True), ("sgd", False)):
        loss = loss_with_centers(update=update)
        loss.update_centers(features, labels)
        before = loss.centers.detach().clone()
        loss.update_centers(features[absent], labels[absent])
        assert bool((loss.centers[0] != before[0]).any()) == moves
        assert torch.equal(loss.centers[3:], before[3:])  # these were never seen: no momentum


def test_training_goes_on_from_a_saved_state_to_the_last_bit():
    def steps(loss, seeds):
        for seed in seeds:
            loss.update_centers(*batch(20, 5, 5, seed))
        return loss

    for update in RULES:
        straight = steps(loss_with_centers(alpha=0.7, update=update), range(6))
        file = io.BytesIO()
        torch.save(steps(loss_with_centers(alpha=0.7, update=update), range(3)).state_dict(), file)
        file.seek(0)
        resumed = CenterLoss(7, 5, alpha=0.7, update=update)
        resumed.load_state_dict(torch.load(file, weights_only=True))
        steps(resumed, range(3, 6))
        assert (list(straight.state_dict()) == ["centers"]) == (update != "adam")
        for name, value in straight.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), (update, name)
