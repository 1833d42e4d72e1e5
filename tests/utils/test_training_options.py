"""What recipes may ask for, against literal formulas; the published code's faults; one machine, many trainings."""

import numpy as np
import pytest
import torch
from conftest import DEVICE, made, refusal, train
from torch.nn import functional

from fer_utils.center_loss import CenterLoss
from fer_utils.evaluation import predict
from fer_utils.training import loop, steps
from fer_utils.training.loop import fit
from fer_utils.training.recipe import get_recipe
from fer_utils.training.setup import build
from fer_utils.training.steps import training_step


def batch_of(n, seed=0):
    rng = torch.Generator().manual_seed(seed)
    images, labels = torch.randn(n, 3, 32, 32, generator=rng), torch.randint(0, 7, (n,), generator=rng)
    return images.to(DEVICE), labels.to(DEVICE)


def after(recipe, pieces, steps=3):
    """Results, centres and weights after some steps with the same pieces."""
    recipe, accelerator, ours = made(recipe, steps=steps)
    results = [training_step(pieces, recipe, accelerator, ours) for _ in range(steps)]
    return torch.stack(results), ours.center_loss.centers, torch.cat([p.flatten() for p in ours.network.parameters()])


@pytest.mark.gpu
def test_a_batch_in_pieces_is_the_whole_batch(tiny_network, make_recipe):
    images, labels = batch_of(62)
    for update, optimizer in (("eq2", "adam"), ("sgd", "sgd"), ("adam", "sgd")):
        recipe = make_recipe(backbone="tiny plain", batch_size=62, lam=0.7, alpha=0.5, update=update,
                             optimizer=optimizer, learning_rate=0.01, label_smoothing=0.1)
        whole = after(recipe, [(images, labels)])
        for sizes in ((15, 16, 15, 16), (2, 60), (60, 2)):
            pieces = list(zip(images.split(sizes), labels.split(sizes)))
            for found, wanted in zip(after(recipe.replace(accumulate=len(sizes)), pieces), whole):
                assert torch.allclose(found, wanted, atol=2e-5), (update, sizes)


@pytest.mark.gpu
@pytest.mark.parametrize("mix", [0.2, 0.5])
def test_mixup_and_label_smoothing_are_the_literal_formula(tiny_network, make_recipe, mix):
    images, labels = batch_of(16)
    recipe, accelerator, ours = made(make_recipe(lam=0.3, alpha=0.5, label_smoothing=0.1, backbone="tiny plain"))
    network, _ = build(recipe, 0, DEVICE)
    found = training_step([(images, labels)], recipe, accelerator, ours, mix)
    features, logits = network(torch.stack([mix * images[i] + (1 - mix) * images[15 - i] for i in range(16)]))
    targets = torch.stack([mix * functional.one_hot(labels[i], 7) + (1 - mix) * functional.one_hot(labels[15 - i], 7)
                           for i in range(16)])
    cross_entropy = -((0.9 * targets + 0.1 / 7) * logits.log_softmax(1)).sum(1).mean()
    main = labels if mix >= 0.5 else labels.flip(0)
    center = 0.5 * features.square().sum(1).mean()
    wanted = [cross_entropy.item(), center.item(), (logits.argmax(1) == main).float().mean().item()]
    assert found.tolist() == pytest.approx(wanted, rel=1e-5)
    once = CenterLoss(7, 16, alpha=0.5).to(DEVICE)
    once.update_centers(features, main)
    assert torch.allclose(ours.center_loss.centers, once.centers, atol=1e-6)


@pytest.mark.gpu
def test_the_moving_average_is_the_literal_loop_and_is_what_is_tested(tiny_network, make_recipe):
    recipe, accelerator, ours = made(make_recipe(ema=0.8, learning_rate=0.05), steps=5)
    ours.model.train()
    wanted = None
    for seed in range(5):
        training_step([batch_of(16, seed)], recipe, accelerator, ours)
        now = {name: value.double() for name, value in ours.network.state_dict().items()}
        wanted = now if wanted is None else {name: 0.8 * wanted[name] + 0.2 * now[name] for name in now}
    state = ours.tested.state_dict()
    for name in wanted:
        if not name.endswith("num_batches_tracked"):
            assert torch.allclose(state[name].double(), wanted[name], atol=1e-6), name
    assert not torch.allclose(state["classifier.weight"], ours.network.classifier.weight, atol=1e-3)


# λ that comes late


@pytest.mark.gpu
def test_lambda_climbs_step_by_step_and_stays(faces, tiny_network, make_recipe, monkeypatch):
    seen, real = [], steps.training_step
    monkeypatch.setattr(steps, "training_step", lambda pieces, recipe, *rest: seen.append(recipe) or real(
        pieces, recipe, *rest))
    recipe = make_recipe(epochs=3, lam=0.8, lam_warmup=1.5)  # 4 steps an epoch
    train(faces, recipe)
    assert [now.lam for now in seen] == pytest.approx([0.8 * min(1, (step + 1) / 6) for step in range(12)])
    assert {now.replace(lam=0.8) for now in seen} == {recipe}, "nothing else changes"


@pytest.mark.gpu
def test_centers_from_means_wait_for_the_first_epoch_which_is_that_of_softmax(faces, tiny_network, make_recipe,
                                                                              assert_same_state, monkeypatch):
    assert_same_state(*(train(faces, make_recipe(epochs=1, lam=lam, center_init="means")).model.state_dict()
                        for lam in (0.0, 0.8)))
    found, put = [], loop._put_centers_on_means

    def watched(parts, *rest):
        put(parts, *rest)
        features, _ = predict(parts.network, faces[0].images, **rest[-1])
        found.append(parts.center_loss.centers.cpu().clone())
        for label in range(7):
            assert np.allclose(found[0][label], features[faces[0].labels == label].mean(0), atol=1e-6), label

    monkeypatch.setattr(loop, "_put_centers_on_means", watched)
    history = train(faces, make_recipe(epochs=3, lam=0.8, center_init="means")).history
    assert len(found) == 1 and float(found[0].std()) > 0
    assert history.center_loss[0] == 0 and (history.center_loss[1:] > 0).all()


@pytest.mark.gpu
def test_centers_from_means_resume_as_if_never_stopped(faces, tiny_network, make_recipe, tmp_path,
                                                       assert_same_training):
    recipe = make_recipe(epochs=3, center_init="means", lam_warmup=2)
    with pytest.raises(ZeroDivisionError):
        train(faces, recipe, folder=tmp_path, on_epoch=lambda history: 1 / 0)
    assert_same_training(train(faces, recipe), train(faces, recipe, folder=tmp_path))


@pytest.mark.gpu
def test_a_class_without_an_image_keeps_its_center(faces, tiny_network, make_recipe):
    few = faces[0].subset(np.flatnonzero(faces[0].labels != 3))
    result = train((few, faces[1]), make_recipe(epochs=1, center_init="means"))
    moved = result.center_loss.centers.abs().sum(1) > 0
    assert moved.tolist() == [label != 3 for label in range(7)]


# The published code's faults, on purpose


def published(make_recipe, **fields):
    code = get_recipe("published_code")
    kept = {name: getattr(code, name) for name in (
        "normalisation", "augment_validation", "reshuffle", "monitor", "patience", "lam", "alpha", "update",
        "center_init", "schedule", "optimizer")}
    return make_recipe(**{**kept, **fields})


@pytest.mark.gpu
def test_published_code_sees_the_same_batches_every_epoch_augmented_anew(faces, tiny_network, make_recipe, steps_seen):
    train(faces, published(make_recipe, epochs=2))
    assert all(torch.equal(first[1], second[1]) for first, second in zip(steps_seen[:4], steps_seen[4:]))
    assert not torch.equal(steps_seen[0][0], steps_seen[4][0])


@pytest.mark.gpu
def test_published_code_validates_on_augmented_images_others_in_each_epoch(make_faces, tiny_network, make_recipe,
                                                                           monkeypatch):
    seen, real = [], loop.predict
    monkeypatch.setattr(loop, "predict", lambda model, images, **inputs: seen.append(images) or real(
        model, images, **inputs))
    for colour in (False, True):
        faces, clean = make_faces(32, colour=colour), make_faces(21, seed=2, colour=colour)
        seen.clear()
        for recipe in (published(make_recipe), published(make_recipe), make_recipe()):
            train((faces, clean), recipe)
        assert all(images.shape == clean.images.shape and images.dtype == np.uint8 for images in seen)
        kinds = [images.tobytes() for images in (*seen, clean.images)]  # two epochs each
        assert kinds[:2] == kinds[2:4] and kinds[4:6] == [kinds[6]] * 2 and len(set(kinds)) == 3


@pytest.mark.gpu
def test_published_code_stops_at_the_7th_bad_epoch_by_cross_entropy_alone(faces, tiny_network, make_recipe,
                                                                          validations):
    for losses, epochs, best in (([2.0, 1.0] + [1.0] * 30, 9, 2),  # as good is not better
                                 ([2.0, 1.0] + [1.1] * 6 + [0.9] + [1.1] * 30, 16, 9)):
        validations(losses, name="validation_cross_entropy")
        result = train(faces, published(make_recipe, epochs=30))
        assert (len(result.history), result.best_epoch) == (epochs, best)


@pytest.mark.gpu
def test_published_code_moves_random_centers_by_adam_blind_to_alpha(faces, tiny_network, make_recipe):
    results = [train(faces, published(make_recipe, alpha=alpha)) for alpha in (3.8, 0.2)]
    start = build(published(make_recipe), 0, DEVICE)[1].centers.detach()
    assert 0.8 < float(start.std()) < 1.2
    moved = [(result.center_loss.centers.detach() - start) for result in results]
    steps = 4 * results[0].best_epoch  # each of about the size of Adam's rate, whatever α is
    assert 0.6e-3 * steps < float(moved[0].abs().max()) < 1.05e-3 * steps
    assert float((moved[0] - moved[1]).abs().max()) < 1e-4
    assert results[0].inputs["mean"] == (0.485, 0.456, 0.406)
    eq2 = [train(faces, make_recipe(alpha=alpha)).center_loss.centers for alpha in (1.9, 0.1)]
    assert float((eq2[0] - eq2[1]).abs().max()) > 1e-2  # under Eq. 2, α is real


def test_neither_other_trainings_nor_the_environment_change_one(faces, tiny_network, make_recipe, monkeypatch,
                                                                assert_same_training):
    first = train(faces, make_recipe())
    with pytest.raises(ZeroDivisionError):
        train(faces, make_recipe(precision="bf16", accumulate=4), on_epoch=lambda history: 1 / 0)
    for name, value in {"MIXED_PRECISION": "bf16", "GRADIENT_ACCUMULATION_STEPS": "4", "DYNAMO_BACKEND": "INDUCTOR",
                        "USE_CPU": "true"}.items():  # what a launcher may have left
        monkeypatch.setenv(f"ACCELERATE_{name}", value)
    assert_same_training(first, train(faces, make_recipe()))


def test_images_too_small_for_a_backbone_are_refused(make_recipe):
    said = refusal(build, make_recipe(backbone="alexnet", image_size=48), 0, "cpu")
    assert "backbone 'alexnet' cannot take images of 48 px" in said and "another image_size" in said


def test_the_trial_of_a_new_network_leaves_no_trace(make_recipe):
    state = build(make_recipe(), 0, "cpu")[0].state_dict()
    assert all(not value.any() for name, value in state.items() if name.endswith(("running_mean", "tracked")))


def test_the_bar_counts_images_and_is_quiet_when_asked_and_under_ci(faces, tiny_network, make_recipe, monkeypatch,
                                                                    capsys):
    for ci, progress in (("", True), ("", False), ("true", True)):
        monkeypatch.setenv("CI", ci)
        fit(*faces, make_recipe(epochs=1), device="cpu", progress=progress)
        said = capsys.readouterr().err
        assert all(part in said for part in ("image/s", "epoch 1", "/64.0", "▁")) if progress and not ci else said == ""
