"""Rare classes and soft labels: literal formulas, and keys that do not change where nothing is asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import DEVICE, made, refusal, train
from torch.nn import functional

from fer_utils.training.class_balance import balanced_order, class_balance
from fer_utils.training.recipe import LATER, get_recipe
from fer_utils.training.setup import build
from fer_utils.training.steps import training_step

COUNTS = np.array([6, 3, 2, 2, 1, 1, 1])
LABELS = torch.from_numpy(np.repeat(np.arange(7), COUNTS))  # 16 images


def one_step(make_recipe, targets=None, mix=None, **fields):
    """What a step returns, and the features and logits that it began with."""
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    recipe, accelerator, ours = made(make_recipe(backbone="tiny plain", **fields), labels=LABELS.numpy())
    network, _ = build(recipe, 0, DEVICE)
    batch = images if mix is None else mix * images + (1 - mix) * images.flip(0)
    features, logits = network(batch)
    kinds = [LABELS.to(DEVICE)] + ([] if targets is None else [targets.to(DEVICE)])
    return training_step([(images, *kinds)], recipe, accelerator, ours, mix), features.cpu(), logits.cpu()


@pytest.mark.gpu
def test_losses_averaged_over_classes_are_the_means_of_class_means(tiny_network, make_recipe):
    found, features, logits = one_step(make_recipe, class_weights=1.0, center_class_weights=1.0, lam=0.3)
    each = functional.cross_entropy(logits, LABELS, reduction="none"), 0.5 * features.square().sum(1)  # centres at 0
    for value, losses in zip(found, each):
        means = [losses[LABELS == k].mean().item() for k in range(7)]
        assert value.item() == pytest.approx(np.mean(means), rel=1e-5)


def test_weights_are_the_power_that_is_asked_for_and_one_in_the_mean(make_recipe):
    counts = np.array([4000, 400, 4100, 7200, 5000, 4800, 3200])
    for power in (0.5, 1.0):
        weights = class_balance(make_recipe(class_weights=power), counts, "cpu").weights.numpy()
        assert (weights * counts).sum() / counts.sum() == pytest.approx(1, rel=1e-5)
        assert weights[1] / weights[3] == pytest.approx((7200 / 400) ** power, rel=1e-5)
    assert class_balance(make_recipe(), counts, "cpu").weights is None
    empty = class_balance(make_recipe(class_weights=1.0, logit_adjustment=1.0), np.array([5, 0]), "cpu")
    assert empty.weights.isfinite().all() and empty.shift.isfinite().all()


@pytest.mark.gpu
def test_logit_adjustment_adds_the_log_of_the_shares(tiny_network, make_recipe):
    found, _, logits = one_step(make_recipe, logit_adjustment=1.5, lam=0.0)
    shares = COUNTS / 16
    literal = [-(row[k] + 1.5 * np.log(shares[k])) + np.log(np.exp(row + 1.5 * np.log(shares)).sum())
               for row, k in zip(logits.detach().double().numpy(), LABELS)]
    assert found[0].item() == pytest.approx(np.mean(literal), rel=1e-5)


def test_balanced_order_draws_each_class_as_often():
    labels = torch.from_numpy(np.repeat([0, 3, 6], [900, 90, 10]))
    drawn = np.bincount(labels[balanced_order(labels, torch.Generator().manual_seed(0))], minlength=7)
    assert drawn.sum() == 1000 and drawn[[0, 3, 6]] == pytest.approx([333, 333, 333], abs=60)


@pytest.mark.gpu
def test_balanced_sampling_draws_its_batches_so_and_the_same_ones_again(faces, tiny_network, make_recipe, steps_seen):
    few = faces[0].subset(np.r_[np.flatnonzero(faces[0].labels == 2), np.flatnonzero(faces[0].labels == 5)[:2]])
    few = few.subset(np.resize(np.arange(len(few)), 64))
    for _ in range(2):
        train((few, faces[1]), make_recipe(epochs=1, balanced_sampling=True))
    batches = [batch[1] for batch in steps_seen]
    assert all(torch.equal(*pair) for pair in zip(batches[:4], batches[4:]))
    share = (torch.cat(batches[:4]) == 5).float().mean().item()
    assert 0.3 < share < 0.7 and (few.labels == 5).mean() < 0.25


@pytest.mark.gpu
@pytest.mark.parametrize("mix", [None, 0.3])
def test_soft_labels_are_the_targets_and_labels_stay_those_of_the_centres(tiny_network, make_recipe, mix):
    soft = torch.rand(16, 7, generator=torch.Generator().manual_seed(1))
    soft /= soft.sum(1, keepdim=True)
    found, _, logits = one_step(make_recipe, soft, mix, lam=0.0)
    targets = soft if mix is None else mix * soft + (1 - mix) * soft.flip(0)
    assert found[0].item() == pytest.approx(-(targets * logits.log_softmax(1)).sum(1).mean().item(), rel=1e-5)
    main = LABELS if mix is None else LABELS.flip(0)
    assert found[2].item() == pytest.approx((logits.argmax(1) == main).float().mean().item())


@pytest.mark.gpu
def test_training_takes_soft_labels_where_there_are_some(faces, tiny_network, make_recipe):
    recipe, hard = make_recipe(soft_labels=True, epochs=1), np.eye(7, dtype=np.float32)[faces[0].labels]
    plain = train(faces, make_recipe(epochs=1))
    same = train((replace(faces[0], soft_labels=hard), faces[1]), recipe)
    assert same.history.cross_entropy[0] == pytest.approx(plain.history.cross_entropy[0], rel=1e-5)
    even = train((replace(faces[0], soft_labels=np.full_like(hard, 1 / 7)), faces[1]), recipe)
    assert even.history.cross_entropy[0] != pytest.approx(plain.history.cross_entropy[0], rel=1e-3)
    assert "it has no soft labels" in refusal(train, faces, recipe)


@pytest.mark.gpu
def test_a_batch_in_pieces_weighs_as_the_whole_batch(tiny_network, make_recipe):
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    fields = {"class_weights": 1.0, "center_class_weights": 0.5, "logit_adjustment": 1.0, "lam": 0.3}
    results = []
    for sizes in ((16,), (5, 11)):
        recipe, accelerator, ours = made(make_recipe(backbone="tiny plain", accumulate=len(sizes), **fields),
                                         labels=LABELS.numpy())
        pieces = list(zip(images.split(sizes), LABELS.to(DEVICE).split(sizes)))
        results.append(training_step(pieces, recipe, accelerator, ours))
        results.append(torch.cat([weight.flatten() for weight in ours.network.parameters()]))
    assert torch.allclose(results[0], results[2], atol=1e-5) and torch.allclose(results[1], results[3], atol=1e-5)


def test_fields_that_are_off_leave_no_trace_in_a_key():
    on = {"lam_warmup": 1.0, "center_class_weights": 1.0, "class_weights": 1.0, "balanced_sampling": True,
          "logit_adjustment": 1.0, "self_cure": 1, "soft_labels": True}
    assert set(on) == set(LATER)
    plain = get_recipe("quick")
    assert not set(LATER) & set(plain.effective())
    for name, value in on.items():
        changed = plain.replace(**{name: value})
        assert changed.effective() == {**plain.effective(), name: value}
        assert name == "lam_warmup" or changed.beside_paper().iloc[9, 0] != "none", name
    assert "center_class_weights" not in plain.replace(lam=0, center_class_weights=1.0).effective()
