"""What recipes may ask for, against literal formulas; the published code's faults; one machine, many trainings."""

import numpy as np
import pytest
import torch
from conftest import made, refusal, train
from torch.nn import functional

from fer_utils.center_loss import CenterLoss
from fer_utils.evaluation import predict
from fer_utils.training import loop
from fer_utils.training.loop import fit, training_step
from fer_utils.training.recipe import get_recipe
from fer_utils.training.setup import build


def batch_of(n, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, 32, 32, generator=rng), torch.randint(0, 7, (n,), generator=rng)


def after(recipe, pieces, steps=3):
    """Results, centres and weights after some steps with the same pieces."""
    recipe, accelerator, ours = made(recipe, steps=steps)
    results = [training_step(pieces, recipe, accelerator, ours) for _ in range(steps)]
    return torch.stack(results), ours.center_loss.centers, torch.cat([p.flatten() for p in ours.network.parameters()])


# A batch in pieces


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


def test_fit_cuts_62_into_four_pieces(make_faces, tiny_network, make_recipe, monkeypatch):
    sizes, step = [], loop.training_step
    monkeypatch.setattr(loop, "training_step", lambda pieces, *args: sizes.append(
        [len(labels) for _, labels in pieces]) or step(pieces, *args))
    train((make_faces(124), make_faces(21)), make_recipe(batch_size=62, epochs=1, accumulate=4))
    assert sizes == [[15, 16, 15, 16]] * 2


# Mixup, smoothing, moving average, cosine


@pytest.mark.parametrize("mix", [0.2, 0.5])
def test_mixup_and_label_smoothing_are_the_literal_formula(tiny_network, make_recipe, mix):
    images, labels = batch_of(16)
    recipe, accelerator, ours = made(make_recipe(lam=0.3, alpha=0.5, label_smoothing=0.1, backbone="tiny plain"))
    network, _ = build(recipe, 0, "cpu")
    found = training_step([(images, labels)], recipe, accelerator, ours, mix)
    features, logits = network(torch.stack([mix * images[i] + (1 - mix) * images[15 - i] for i in range(16)]))
    targets = torch.stack([mix * functional.one_hot(labels[i], 7) + (1 - mix) * functional.one_hot(labels[15 - i], 7)
                           for i in range(16)])
    cross_entropy = -((0.9 * targets + 0.1 / 7) * logits.log_softmax(1)).sum(1).mean()
    main = labels if mix >= 0.5 else labels.flip(0)
    center = 0.5 * features.square().sum(1).mean()
    wanted = [cross_entropy.item(), center.item(), (logits.argmax(1) == main).float().mean().item()]
    assert found.tolist() == pytest.approx(wanted, rel=1e-5)
    once = CenterLoss(7, 16, alpha=0.5)
    once.update_centers(features, main)
    assert torch.allclose(ours.center_loss.centers, once.centers, atol=1e-6)


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


def test_with_a_moving_average_the_result_is_the_average(faces, tiny_network, make_recipe):
    plain, averaged = train(faces, make_recipe(epochs=1)), train(faces, make_recipe(epochs=1, ema=0.5))
    assert not torch.equal(plain.model.classifier.weight, averaged.model.classifier.weight)
    assert plain.history.cross_entropy.tolist() == averaged.history.cross_entropy.tolist()  # it only watches
    _, probabilities = predict(averaged.model, faces[1].images, **averaged.inputs)
    chosen = probabilities[np.arange(21), faces[1].labels]
    assert -np.log(chosen).mean() == pytest.approx(averaged.history.validation_cross_entropy[0], rel=1e-5)


# The published code's faults, on purpose


def published(make_recipe, **fields):
    code = get_recipe("published_code")
    kept = {name: getattr(code, name) for name in (
        "normalisation", "augment_validation", "reshuffle", "monitor", "patience", "lam", "alpha", "update",
        "center_init", "schedule", "optimizer")}
    return make_recipe(**{**kept, **fields})


def test_published_code_sees_the_same_batches_every_epoch_augmented_anew(faces, tiny_network, make_recipe, steps_seen):
    train(faces, published(make_recipe, epochs=3))
    labels = [torch.cat([labels for _, labels, _ in steps_seen[k * 4:k * 4 + 4]]).tolist() for k in range(3)]
    assert labels[0] == labels[1] == labels[2] != faces[0].labels.tolist()
    assert not torch.equal(steps_seen[0][0], steps_seen[4][0])


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


def test_published_code_stops_at_the_7th_bad_epoch_by_cross_entropy_alone(faces, tiny_network, make_recipe,
                                                                          validations):
    for losses, epochs, best in (([2.0, 1.0] + [1.0] * 30, 9, 2),  # as good is not better
                                 ([2.0, 1.0] + [1.1] * 6 + [0.9] + [1.1] * 30, 16, 9)):
        validations(losses, name="validation_cross_entropy")
        result = train(faces, published(make_recipe, epochs=30))
        assert (len(result.history), result.best_epoch) == (epochs, best)


def test_published_code_moves_random_centers_by_adam_blind_to_alpha(faces, tiny_network, make_recipe):
    results = [train(faces, published(make_recipe, alpha=alpha)) for alpha in (3.8, 0.2)]
    start = build(published(make_recipe), 0, "cpu")[1].centers.detach()
    assert 0.8 < float(start.std()) < 1.2
    moved = [(result.center_loss.centers.detach() - start) for result in results]
    steps = 4 * results[0].best_epoch  # each of about the size of Adam's rate, whatever α is
    assert 0.6e-3 * steps < float(moved[0].abs().max()) < 1.05e-3 * steps
    assert float((moved[0] - moved[1]).abs().max()) < 1e-4
    assert results[0].inputs["mean"] == (0.485, 0.456, 0.406)
    eq2 = [train(faces, make_recipe(alpha=alpha)).center_loss.centers for alpha in (1.9, 0.1)]
    assert float((eq2[0] - eq2[1]).abs().max()) > 1e-2  # under Eq. 2, α is real


# One machine, many trainings


def test_a_training_is_the_same_after_others_of_other_kinds(faces, tiny_network, make_recipe, monkeypatch,
                                                            assert_same_training):
    first = train(faces, make_recipe())
    train(faces, make_recipe(precision="bf16", accumulate=4, epochs=1))
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_validate", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(faces, make_recipe(accumulate=2))
    assert_same_training(first, train(faces, make_recipe()))


def test_what_a_launcher_left_in_the_environment_changes_nothing(faces, tiny_network, make_recipe, monkeypatch,
                                                                 assert_same_training):
    wanted = train(faces, make_recipe(epochs=1))
    for name, value in {"MIXED_PRECISION": "bf16", "GRADIENT_ACCUMULATION_STEPS": "4", "DYNAMO_BACKEND": "INDUCTOR",
                        "USE_CPU": "true"}.items():
        with monkeypatch.context() as patch:
            patch.setenv(f"ACCELERATE_{name}", value)
            assert_same_training(wanted, train(faces, make_recipe(epochs=1)))


def test_a_trained_network_is_plain(faces, tiny_network, make_recipe):
    """Neither wrapped nor patched: it runs in fp32 where it is not told otherwise."""
    for ema in (0, 0.5):
        model = train(faces, make_recipe(precision="bf16", epochs=1, ema=ema)).model
        assert type(model) is tiny_network and model.forward.__func__ is tiny_network.forward
        assert model(torch.zeros(1, 3, 32, 32))[0].dtype == torch.float32


def test_images_too_small_for_a_backbone_are_refused(make_recipe):
    said = refusal(build, make_recipe(backbone="inception_v3", image_size=48), 0, "cpu")
    assert "backbone 'inception_v3' cannot take images of 48 px" in said and "another image_size" in said


def test_the_trial_of_a_new_network_leaves_no_trace(make_recipe):
    state = build(make_recipe(), 0, "cpu")[0].state_dict()
    assert all(not value.any() for name, value in state.items() if name.endswith(("running_mean", "tracked")))


# What one sees


def test_the_bar_counts_images_and_is_quiet_when_asked_and_under_ci(faces, tiny_network, make_recipe, monkeypatch,
                                                                    capsys):
    for ci, progress in (("", True), ("", False), ("true", True)):
        monkeypatch.setenv("CI", ci)
        fit(*faces, make_recipe(epochs=1), device="cpu", progress=progress)
        said = capsys.readouterr().err
        assert all(part in said for part in ("image/s", "epoch 1", "/64.0")) if progress and not ci else said == ""


def test_the_bar_draws_the_last_twelve_validation_accuracies():
    lines = {"▁": [0.2], "█▁▅": [0.5, 0.1, 0.32], "▁▁": [0.3, 0.3], "▁" + 11 * "█": [0.9, 0.1, *[0.5] * 11]}
    for line, accuracies in lines.items():
        assert loop._curve([{"validation_accuracy": value} for value in accuracies]) == line


def test_on_epoch_sees_the_history_grow(faces, tiny_network, make_recipe):
    seen = []
    result = train(faces, make_recipe(epochs=3), on_epoch=seen.append)
    assert [len(history) for history in seen] == [1, 2, 3] and seen[-1].equals(result.history)
