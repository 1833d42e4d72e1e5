"""SCN against its equations written out as loops, and in a training: which labels it mends, and that it resumes."""

import math

import numpy as np
import pytest
import torch
from conftest import DEVICE, made, refusal, train
from torch.nn import functional

from fer_utils.errors import FerError
from fer_utils.runs.run import find_or_train
from fer_utils.self_cure import SelfCure, groups, rank_regularisation, weighted_logits
from fer_utils.training.steps import training_step


@pytest.fixture
def batch():
    rng = torch.Generator().manual_seed(3)
    return (torch.randn(10, 4, generator=rng), 3 * torch.randn(10, 7, generator=rng),
            torch.randint(0, 7, (10,), generator=rng))


def literal_relabel(logits, labels, importance):
    """Eq. 6, an image at a time."""
    ranked = sorted(range(len(labels)), key=lambda i: -importance[i])
    new = list(labels)
    for i in ranked[round(0.7 * len(labels)):]:
        exponentials = [math.exp(value) for value in logits[i]]
        probabilities = [value / sum(exponentials) for value in exponentials]
        if max(probabilities) - probabilities[labels[i]] > 0.2:
            new[i] = probabilities.index(max(probabilities))
    return new


def test_importance_losses_and_labels_are_the_literal_equations(batch):
    features, logits, labels = batch
    cure = SelfCure(4, labels)
    weight, bias = cure.attention.weight[0].tolist(), cure.attention.bias.item()
    importance = cure(features).detach()
    one = [1 / (1 + math.exp(-(sum(w * x for w, x in zip(weight, row)) + bias))) for row in features.tolist()]
    assert importance.tolist() == pytest.approx(one)

    lost = [-math.log(math.exp(a * row[label]) / sum(math.exp(a * value) for value in row))
            for a, row, label in zip(one, logits.tolist(), labels.tolist())]
    assert functional.cross_entropy(weighted_logits(logits, importance), labels).item() == pytest.approx(np.mean(lost))

    ranked = sorted(one, reverse=True)
    rank = max(0, 0.15 - (np.mean(ranked[:7]) - np.mean(ranked[7:])))
    assert rank_regularisation(importance).item() == pytest.approx(rank, abs=1e-6)

    cure.relabel(torch.arange(10), logits, importance)
    wanted = literal_relabel(logits.tolist(), labels.tolist(), one)
    assert cure.labels.tolist() == wanted != labels.tolist()


def test_equally_important_images_are_told_apart_by_the_rank_loss():
    importance = torch.full((10,), 0.5, requires_grad=True)
    loss = rank_regularisation(importance)
    loss.backward()
    high, low = groups(importance)
    assert loss.item() == pytest.approx(0.15) and (importance.grad[high] < 0).all() and (importance.grad[low] > 0).all()
    assert (len(high), len(low)) == (7, 3)
    assert rank_regularisation(torch.tensor([0.9, 0.9, 0.1])).item() == 0


def test_one_image_has_no_rank():
    with pytest.raises(FerError, match="needs two in a batch"):
        groups(torch.ones(1))


@pytest.mark.gpu
def test_a_step_is_the_literal_formula_and_moves_the_attention(tiny_network, make_recipe):
    rng = torch.Generator().manual_seed(0)
    images, labels = torch.randn(16, 3, 32, 32, generator=rng).to(DEVICE), torch.arange(16, device=DEVICE) % 7
    recipe, accelerator, ours = made(make_recipe(backbone="tiny plain", self_cure=1, lam=0.0), labels=labels.cpu().numpy())
    before = ours.self_cure.attention.weight.detach().clone()
    features, logits = ours.network(images)
    importance = ours.self_cure(features)
    wanted = functional.cross_entropy(importance.unsqueeze(1) * logits, labels)
    found = training_step([(images, labels)], recipe, accelerator, ours)
    assert found[0].item() == pytest.approx(wanted.item(), rel=1e-5)
    assert not torch.equal(before, ours.self_cure.attention.weight)
    assert torch.equal(ours.self_cure.labels, labels), "without rows nothing is relabelled"


@pytest.mark.gpu
def test_labels_change_from_the_epoch_on_that_is_asked_for(faces, tiny_network, make_recipe, monkeypatch):
    monkeypatch.setattr("fer_utils.self_cure.RELABEL", 0.0)  # whatever is more probable wins
    fields = {"epochs": 2, "learning_rate": 0.05}
    kept, changed = (train(faces, make_recipe(self_cure=epoch, **fields)).labels for epoch in (3, 2))
    assert np.array_equal(kept, faces[0].labels) and not np.array_equal(changed, faces[0].labels)
    assert train(faces, make_recipe(**fields)).labels is None


@pytest.mark.gpu
def test_scn_resumes_as_if_never_stopped(faces, tiny_network, make_recipe, tmp_path, monkeypatch,
                                         assert_same_training):
    monkeypatch.setattr("fer_utils.self_cure.RELABEL", 0.0)
    recipe = make_recipe(epochs=3, self_cure=1, learning_rate=0.05)
    with pytest.raises(ZeroDivisionError):
        train(faces, recipe, folder=tmp_path, on_epoch=lambda history: 1 / 0)
    whole, resumed = train(faces, recipe), train(faces, recipe, folder=tmp_path)
    assert_same_training(whole, resumed)
    assert np.array_equal(whole.labels, resumed.labels)


def test_a_run_keeps_the_labels_that_scn_ended_with(tiny_network, make_recipe, tmp_path):
    recipe = make_recipe(self_cure=1, epochs=1, validation_fraction=0.5)
    options = {"data_options": {"subset": 300}, "runs_dir": tmp_path, "progress": False}
    cured = find_or_train(recipe, **options).cured
    assert cured["names"].shape == cured["labels"].shape == (150,) and cured["names"][0].startswith("train_")
    assert find_or_train(recipe.replace(self_cure=0), **options).cured is None


def test_what_scn_cannot_rank_is_refused(make_recipe):
    for fields in ({"accumulate": 2}, {"mixup": 0.2}, {"soft_labels": True}):
        assert "it ranks whole batches" in refusal(make_recipe, self_cure=1, **fields), fields
