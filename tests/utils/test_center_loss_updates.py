"""How the centres move: one step as a law, many classes, micro-batches, and the rules of published code."""

import io
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from fer_utils.center_loss import CenterLoss
from fer_utils.errors import FerError

RULES = ["eq2", "sgd", "adam"]
few = settings(max_examples=40, derandomize=True, database=None, deadline=None)


def batch(n, classes, width, seed=0):
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=chance), torch.randint(0, classes, (n,), generator=chance)


def loss_with_centers(classes, width, seed=1, **options):
    start = torch.randn(classes, width, generator=torch.Generator().manual_seed(seed))
    return CenterLoss(classes, width, init=start, **options)


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

shapes = st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(1, 4), st.integers(0, 10**6))


@few
@given(shapes, st.floats(0, 2))
def test_a_step_of_eq_2_is_the_triple_loop(shape, alpha):
    n, classes, width, seed = shape
    features, labels = batch(n, classes, width, seed)
    loss = loss_with_centers(classes, width, alpha=alpha)
    start = loss.centers.clone()
    sums, counts = deltas(features, labels, start)
    loss.update_centers(features, labels)
    assert torch.allclose(loss.centers.double(), start - alpha * sums / (1 + counts[:, None]), rtol=1e-5, atol=1e-6)
    absent = counts == 0
    assert torch.equal(loss.centers[absent], start[absent])


@few
@given(shapes, st.floats(0, 2))
def test_a_step_of_sgd_is_the_triple_loop(shape, alpha):
    n, classes, width, seed = shape
    features, labels = batch(n, classes, width, seed)
    for reduction, size in (("mean", n), ("sum", 1), ("none", 1)):
        loss = loss_with_centers(classes, width, alpha=alpha, update="sgd", reduction=reduction)
        start = loss.centers.detach().clone()
        sums, _ = deltas(features, labels, start)
        loss.update_centers(features, labels)
        assert torch.allclose(loss.centers.double(), start - alpha * sums / size, rtol=1e-5, atol=2e-6)


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
@given(shapes, st.integers(0, 9), st.sampled_from(RULES))
def test_micro_batches_add_up_to_the_batch(shape, cut, update):
    n, classes, width, seed = shape
    features, labels = batch(n + 1, classes, width, seed)
    cut = 1 + cut % n
    whole, parts = (loss_with_centers(classes, width, alpha=0.7, update=update).double() for _ in range(2))
    whole.update_centers(features, labels)
    first, second = (parts.class_statistics(features[rows], labels[rows]) for rows in (slice(cut), slice(cut, None)))
    parts.update_centers_from(first[0] + second[0], first[1] + second[1])
    assert torch.allclose(whole.centers, parts.centers, rtol=1e-9, atol=1e-9)


def test_updates_after_each_micro_batch_would_be_another_step():
    features, labels = batch(24, 7, 5)
    once, twice = loss_with_centers(7, 5), loss_with_centers(7, 5)
    once.update_centers(features, labels)
    for rows in (slice(12), slice(12, None)):
        twice.update_centers(features[rows], labels[rows])
    assert (once.centers - twice.centers).abs().max() > 0.05


def test_the_statistics_are_eq_2s_sums_and_move_nothing():
    features, labels = batch(24, 7, 5)
    loss = loss_with_centers(7, 5)
    start = loss.centers.clone()
    wanted = deltas(features, labels, start)
    sums, counts = loss.class_statistics(features.requires_grad_(), labels)
    assert torch.allclose(sums.double(), wanted[0], atol=1e-5) and torch.equal(counts, wanted[1])
    assert counts.dtype == torch.int64 and not sums.requires_grad and torch.equal(loss.centers, start)


@pytest.mark.parametrize("sums, counts", [((7, 4), (7,)), ((6, 5), (7,)), ((7, 5), (7, 1)), ((7, 5), (6,)), ((5,), ())])
def test_statistics_of_another_shape_are_refused(sums, counts):
    with pytest.raises(FerError, match=r"are not those of class_statistics: \(7, 5\) and \(7,\)"):
        CenterLoss(7, 5).update_centers_from(torch.zeros(sums), torch.zeros(counts))


def test_ten_steps_in_fp32_repeat_the_dense_formula():
    """The centres to the last bit: they hold no sum whose order could be another one."""
    loss, centers = CenterLoss(7, 33, alpha=1.9), torch.zeros(7, 33)
    for seed in range(10):
        features, labels = batch(62, 7, 33, seed)
        features = (3 * features).requires_grad_()
        wanted = (0.5 * (features - centers[labels]).square().sum(1)).mean()
        (gradient,) = torch.autograd.grad(0.2 * wanted, features)
        value = loss(features, labels)
        assert torch.allclose(value, wanted, rtol=1e-6)
        assert torch.allclose(torch.autograd.grad(0.2 * value, features)[0], gradient, rtol=1e-6)
        loss.update_centers(features, labels)
        deviations = centers[labels] - features.detach()
        sums = torch.zeros_like(centers).index_add_(0, labels, deviations)
        centers -= 1.9 * sums / (1 + torch.bincount(labels, minlength=7).unsqueeze(1))
        assert torch.equal(loss.centers, centers)


def test_statistics_that_are_no_tensors_are_refused():
    with pytest.raises(FerError, match="sums are of type list; give a torch tensor"):
        CenterLoss(7, 5).update_centers_from([1.0], torch.zeros(7))


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
    classes, width, n = 5000, 64, 4
    features, labels = batch(n, classes, width)
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


@pytest.mark.parametrize("n", [1, 3, 9, 62])
@pytest.mark.parametrize("share", [0.3, 0.98, 1.0, 1.02, 1.2])
def test_a_fixed_batch_is_stable_up_to_alpha_2_1_plus_n_over_n(n, share):
    """ρ = 1 − α n / (1 + n): |ρ| < 1 below the limit, the centre leaves beyond it, and at it, it swings for ever."""
    limit = 2 * (1 + n) / n
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        loss = loss_with_centers(1, 6, alpha=share * limit).double()
    features, labels = batch(n, 1, 6)
    mean = features.double().mean(0)
    rho, before = 1 - share * 2, (loss.centers - mean).clone()
    for step in range(1, 40):
        loss.update_centers(features, labels)
        assert torch.allclose(loss.centers - mean, rho**step * before, rtol=1e-9, atol=1e-12)
    moved = float((loss.centers - mean).norm() / before.norm())
    assert moved < 0.5 if share < 1 else moved > 4 if share > 1 else moved == pytest.approx(1)


def noise_floor(alpha, n, width=6000, steps=80):
    """The variance of a centre that is fed fresh batches of unit variance, over its coordinates, which are replicas."""
    loss, chance = CenterLoss(1, width, alpha=alpha), torch.Generator().manual_seed(n)
    labels, seen = torch.zeros(n, dtype=torch.int64), []
    for step in range(steps):
        loss.update_centers(torch.randn(n, width, generator=chance), labels)
        if step >= steps - 20:
            seen.append(float(loss.centers.var()))
    return sum(seen) / len(seen)


@pytest.mark.parametrize("alpha, n", [(0.5, 9), (1.0, 9), (1.9, 9), (1.9, 2)])
def test_with_fresh_batches_a_center_keeps_the_noise_that_rho_says(alpha, n):
    rho = 1 - alpha * n / (1 + n)
    assert noise_floor(alpha, n) == pytest.approx((1 - rho) / (1 + rho) / n, rel=0.05)


def test_alpha_19_is_twenty_times_as_noisy_as_alpha_05_at_nine_members():
    assert noise_floor(1.9, 9) / noise_floor(0.5, 9) == pytest.approx(20.3, rel=0.07)


# The rules of published code


def published(features, labels, centers, optimizer, alpha, lam):
    """One step as published: no ½, the mean over the batch, λ in the loss, the gradient scaled by α/λ after it."""
    optimizer.zero_grad()
    (lam * (features - centers[labels]).square().sum(1).mean()).backward()
    centers.grad *= alpha / lam
    optimizer.step()


@pytest.mark.parametrize("lam", [0.003, 0.2, 5.0])
@pytest.mark.parametrize("alpha", [0.1, 1.9])
def test_adam_is_the_papers_published_code_whatever_lambda(alpha, lam):
    loss = loss_with_centers(7, 5, alpha=2 * alpha, update="adam")
    centers = loss.centers.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([centers], lr=1e-3)
    for seed in range(12):
        features, labels = batch(20, 5, 5, seed)
        published(features, labels, centers, optimizer, alpha, lam)
        loss.update_centers(features, labels)
        assert torch.allclose(loss.centers, centers, rtol=0, atol=5e-7)
    assert (loss.centers - loss_with_centers(7, 5).centers)[:5].abs().max() > 5e-3


@pytest.mark.parametrize("lam", [0.003, 1.0])
def test_sgd_at_one_is_the_popular_code_at_one_half(lam):
    loss = loss_with_centers(7, 5, alpha=1.0, update="sgd")
    centers = loss.centers.detach().clone().requires_grad_()
    optimizer = torch.optim.SGD([centers], lr=0.5)
    for seed in range(12):
        features, labels = batch(20, 5, 5, seed)
        published(features, labels, centers, optimizer, 1.0, lam)
        loss.update_centers(features, labels)
        assert torch.allclose(loss.centers, centers, rtol=0, atol=1e-6)


@pytest.mark.parametrize("lam", [0.2, 3.0])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("classes", [7, 60], ids=["dense", "rows"])
def test_sgd_steps_along_the_gradient_that_autograd_finds(classes, reduction, lam):
    features, labels = batch(20, classes - 2, 5)
    loss = loss_with_centers(classes, 5, alpha=0.3, update="sgd", reduction=reduction)
    start = loss.centers.detach().clone()
    (lam * loss(features, labels)).backward()
    gradient = loss.centers.grad / lam
    loss.update_centers(features, labels)
    assert torch.allclose(loss.centers, start - 0.3 * gradient, atol=1e-6) and loss.centers.grad is None


def centers_after(update, alpha, steps=30, dtype=torch.float64, **options):
    loss = loss_with_centers(7, 5, alpha=alpha, update=update, **options).to(dtype)
    for seed in range(steps):
        loss.update_centers(*batch(62, 7, 5, seed))
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
        loss = loss_with_centers(7, 5, update=update)
        loss.update_centers(features, labels)
        before = loss.centers.detach().clone()
        loss.update_centers(features[absent], labels[absent])
        assert bool((loss.centers[0] != before[0]).any()) == moves
        assert torch.equal(loss.centers[3:], before[3:])  # these were never seen: no momentum


def test_under_eq_2_no_optimiser_can_find_the_centers_and_under_the_others_one_could():
    assert [sum(1 for _ in CenterLoss(7, 5, update=update).parameters()) for update in RULES] == [0, 1, 1]


# Where the centres start, and going on


def test_randn_comes_from_torchs_generator_and_a_tensor_is_copied():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        found = CenterLoss(7, 5, init="randn").centers
        torch.manual_seed(5)
        assert torch.equal(found, torch.randn(7, 5)) and found.dtype == torch.float32
    start = torch.ones(7, 5, dtype=torch.float64)
    loss = CenterLoss(7, 5, init=start)
    start += 1
    assert loss.centers.dtype == torch.float32 and (loss.centers == 1).all()


def test_a_float32_start_is_not_the_callers_tensor():
    start = torch.zeros(7, 5)
    CenterLoss(7, 5, init=start).update_centers(*batch(9, 7, 5))
    assert not start.any()


@pytest.mark.parametrize("init", ["ones", "", None, 0, [[0.0] * 5] * 7, torch.zeros(5, 7), torch.zeros(7, 5).long(),
                                  torch.full((7, 5), math.nan)], ids=str)
def test_another_start_is_refused(init):
    with pytest.raises(FerError, match="init"):
        CenterLoss(7, 5, init=init)


@pytest.mark.parametrize("update", RULES)
def test_training_goes_on_from_a_saved_state_to_the_last_bit(update):
    def steps(loss, seeds):
        for seed in seeds:
            loss.update_centers(*batch(20, 5, 5, seed))
        return loss

    straight = steps(loss_with_centers(7, 5, alpha=0.7, update=update), range(6))
    file = io.BytesIO()
    torch.save(steps(loss_with_centers(7, 5, alpha=0.7, update=update), range(3)).state_dict(), file)
    file.seek(0)
    resumed = CenterLoss(7, 5, alpha=0.7, update=update)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    steps(resumed, range(3, 6))
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_its_line_in_a_print_tells_another_rule():
    assert repr(CenterLoss(7, 5, alpha=1.9, update="adam")) == (
        "CenterLoss(classes=7, feat_dim=5, alpha=1.9, update='adam')")
