"""``graphed_step`` on the CPU, where a stand-in that calls the step again takes the place of the CUDA graph."""

import gc
import weakref

import numpy as np
import pytest
import torch
from conftest import DEVICE, refusal, train
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fer_utils.training import graphed_step, loop, steps
from fer_utils.training.graphed_step import WARM_UP, GraphedStep, disagreement, on_gpu
from fer_utils.training.setup import make_accelerator, prepare

pytestmark = pytest.mark.usefixtures("tiny_network")
RECIPES = {
    "softmax": {"lam": 0.0}, "eq2": {"lam": 0.2, "alpha": 0.5}, "sgd": {"update": "sgd", "schedule": "one_cycle"},
    "adam": {"update": "adam", "center_init": "randn", "optimizer": "sgd", "schedule": "cosine", "warmup": 1.0},
    "dropout, average": {"backbone": "tiny dropout", "ema": 0.9, "label_smoothing": 0.1, "erase": 0.5},
}


def again(step, forget):
    """What ``on_gpu`` does, without a graph: it warms up, and a replay calls the step and writes all gradients anew."""
    for _ in range(WARM_UP):
        step()
        forget()

    def replay():
        forget()
        step()
    return replay


RECORD = on_gpu if DEVICE.type == "cuda" else again


@pytest.fixture(autouse=True)
def nothing_agreed(monkeypatch):
    monkeypatch.setattr(graphed_step, "_agreed", set())


@pytest.fixture
def recorded(faces, make_recipe):
    """A ``GraphedStep`` of a recipe, its parts, and the images that it takes."""
    def make(record=RECORD, **fields):
        recipe = make_recipe(**fields)
        accelerator = make_accelerator(DEVICE, recipe)
        parts = prepare(recipe, 0, accelerator, 4)
        images = torch.from_numpy(faces[0].images).to(DEVICE)
        inputs = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
        return GraphedStep(images, recipe, inputs, accelerator, parts, record), parts
    return make


def test_replayed_and_plain_epochs_are_equal_bit_for_bit(faces, make_recipe, assert_same_training):
    for fields in RECIPES.values():
        recipe = make_recipe(**fields)
        plain, replayed = train(faces, recipe, graphed=False), train(faces, recipe, graphed=again)
        assert list(plain.history.pop("graphed")) == [False] * 2 and list(replayed.history.pop("graphed")) == [True] * 2
        assert_same_training(plain, replayed)


def test_mixup_is_equal_but_for_the_rounding_of_its_share(faces, make_recipe):
    recipe = make_recipe(mixup=0.4, lam=0.1)
    plain, replayed = train(faces, recipe, graphed=False), train(faces, recipe, graphed=again)
    for name in ("cross_entropy", "center_loss", "train_accuracy"):
        np.testing.assert_allclose(plain.history[name], replayed.history[name], rtol=1e-4)


@pytest.mark.gpu
def test_warm_up_leaves_no_trace(recorded, make_recipe, assert_same_state):
    for fields in RECIPES.values():
        fresh = prepare(make_recipe(**fields), 0, make_accelerator(DEVICE, make_recipe(**fields)), 4)
        before = torch.get_rng_state()
        step, parts = recorded(**fields)
        for name, module in parts.saved.items():
            assert_same_state(module.state_dict(), fresh.saved[name].state_dict())
        assert not parts.optimizer.state_dict()["state"] and torch.equal(before, torch.get_rng_state())


def test_what_an_error_interrupts_is_put_back_too(recorded, make_recipe, assert_same_state):
    made = []

    def broken(step, forget):
        made.append(step.__self__.parts)
        step()
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError):
        recorded(broken, lam=0.2)
    fresh = prepare(make_recipe(lam=0.2), 0, make_accelerator(DEVICE, make_recipe(lam=0.2)), 4)
    assert_same_state(made[0].network.state_dict(), fresh.network.state_dict())
    assert_same_state(made[0].center_loss.state_dict(), fresh.center_loss.state_dict())


class Reads(TorchDispatchMode):
    """Remembers the memory of every tensor that operations read and that none of them made."""

    def __init__(self):
        super().__init__()
        self.made, self.read = set(), {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, torch.Tensor) and tensor.data_ptr() not in self.made:
                self.read[tensor.data_ptr()] = weakref.ref(tensor.untyped_storage())
        result = operation(*args, **(kwargs or {}))
        self.made |= {tensor.data_ptr() for tensor in tree_leaves(result) if isinstance(tensor, torch.Tensor)}
        return result


def test_all_that_a_graph_reads_is_held_and_stays_where_it_is(recorded, faces):
    reads = []

    def watched(step, forget):
        forget()
        with Reads() as seen:
            step()
        reads.append(seen.read)
        return lambda: None  # as a graph: it has addresses, and holds no tensor

    step, parts = recorded(watched, lam=0.2, mixup=0.3)
    gc.collect()
    held = {tensor.data_ptr() for tensor in [
        *step.parts.network.state_dict().values(), *step.parts.center_loss.state_dict().values(),
        *(value for value in vars(step).values() if isinstance(value, torch.Tensor))]}
    assert len(reads[0]) > 15 and not {where for where in reads[0] if where} - held
    step(torch.from_numpy(faces[0].images[:16]), torch.from_numpy(faces[0].labels[:16]), torch.rand(16, 13), 0.7)
    assert held >= {tensor.data_ptr() for tensor in (step.images, step.labels, step.draws, step.mix, step.seen)}
    assert torch.equal(step.images, torch.from_numpy(faces[0].images[:16])) and step.mix == pytest.approx(0.7)


# The comparison before the first replay


def freed(step, forget):
    replay = again(step, forget)
    step.__self__.mean.fill_(7.0)  # what another tensor has written there since
    return replay


def adding_up(step, forget):
    again(step, forget)
    return step


def moved_statistics(step, forget):
    replay, network = again(step, forget), step.__self__.parts.network

    def late():
        if not hasattr(network, "moved"):  # the warm-up's, which nobody has put back
            network.moved = [buffer.add_(1) for buffer in network.buffers()]
        replay()
    return late


def centers_twice(step, forget):
    replay, parts = again(step, forget), step.__self__.parts

    def twice():
        before = parts.center_loss.centers.clone()
        replay()
        parts.center_loss.centers.add_(parts.center_loss.centers - before)
    return twice


def not_finite(step, forget):
    replay = again(step, forget)

    def spoilt():
        replay()
        step.__self__.seen.fill_(float("nan"))
    return spoilt


def stale_rate(step, forget):
    optimizer = step.__self__.parts.optimizer
    rate = optimizer.param_groups[0]["lr"]
    replay = again(step, forget)

    def frozen():
        replay()
        optimizer.param_groups[0]["lr"] = rate
    return frozen


FAULTS = {freed: "batch norm's statistics", adding_up: "weights", moved_statistics: "batch norm's statistics",
          centers_twice: "centres", stale_rate: "weights"}


@pytest.mark.gpu
def test_the_comparison_notices_each_fault_and_training_goes_the_plain_way(faces, make_recipe, capsys):
    recipe = make_recipe(lam=0.2, alpha=0.5, schedule="one_cycle")
    for fault, word in FAULTS.items():
        said = disagreement(faces[0], recipe, DEVICE, fault)
        assert word in said.partition(" in ")[2], fault
    assert "no longer finite" in disagreement(faces[0], recipe, DEVICE, not_finite)
    result = train(faces, recipe, graphed=stale_rate)
    assert not result.history.graphed.any()
    assert "Training step by step, without a CUDA graph: replayed steps differ" in capsys.readouterr().err


@pytest.mark.gpu
def test_the_comparison_lets_every_recipe_pass_and_is_made_once(faces, make_recipe, monkeypatch):
    for fields in (*RECIPES.values(), {"mixup": 0.4}):
        assert disagreement(faces[0], make_recipe(**fields), DEVICE, RECORD) == "", fields
    calls = []
    monkeypatch.setattr(graphed_step, "disagreement", lambda *args: calls.append(args) or "")
    for seed in (0, 1):
        train(faces, make_recipe(epochs=1), seed, graphed=again)
    assert len(calls) == 1


@pytest.mark.gpu
def test_what_cannot_be_recorded_is_named_and_trained_the_plain_way(faces, make_recipe, capsys, monkeypatch):
    def refused(step, forget):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    def later(step, forget):  # the comparison passes, in batches of 16; the training's own shape does not
        return (again if len(step.__self__.images) == 16 else refused)(step, forget)

    for record, fields, word in ((refused, {}, "it cannot be recorded here (operation not permitted"),
                                 (later, {"batch_size": 32}, "it cannot be recorded here (operation not permitted"),
                                 (again, {"accumulate": 2}, "a batch is taken in pieces (accumulate)"),
                                 (again, {"lam_warmup": 0.5}, "λ changes in training"),
                                 (again, {"center_init": "means"}, "λ changes in training")):
        result = train(faces, make_recipe(epochs=1, **fields), graphed=record)
        said = capsys.readouterr().err
        assert word in said and said.count("\n") == 1 and not result.history.graphed.any()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert graphed_step.choose(again, make_recipe(), DEVICE, faces[0]) is None
    assert "several processes" in capsys.readouterr().err


def test_a_cpu_records_nothing_and_odd_values_are_refused(faces, make_recipe, monkeypatch, capsys):
    monkeypatch.setattr(graphed_step, "disagreement", lambda *args: pytest.fail("compared"))
    assert not train(faces, make_recipe(epochs=1), graphed="auto").history.graphed.any() and not capsys.readouterr().err
    for value in ("cuda", True, None, 1):
        assert "give 'auto' or False" in refusal(train, faces, make_recipe(), graphed=value)


@pytest.mark.gpu
def test_on_a_gpu_checkpoints_pause_and_the_end_is_always_kept(faces, make_recipe, monkeypatch, tmp_path):
    saved, real = [], loop._save
    monkeypatch.setattr(loop, "PAUSE", {DEVICE.type: 1e9})
    monkeypatch.setattr(loop, "_save", lambda *args: saved.append((len(args[-1]), args[4])) or real(*args))
    recipe = make_recipe(epochs=3, patience=3)
    train(faces, recipe, folder=tmp_path / "whole")
    assert saved == [(3, True)]

    cut, calls = steps.training_step, []

    def stopped(*args):
        calls.append(1)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return cut(*args)

    monkeypatch.setattr(steps, "training_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(faces, recipe, folder=tmp_path / "cut")
    assert saved == [(3, True)]  # nothing of it was kept, and nothing said to be
    again_after = train(faces, recipe, folder=tmp_path / "cut")
    assert saved[1:] == [(3, True)] and len(again_after.history) == 3


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE.type != "cuda", reason="no CUDA, or not asked for by FER_TEST_DEVICE=cuda")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_real_graph_trains_as_the_plain_loop_does(faces, make_recipe, precision):
    for fields in (*RECIPES.values(), {"mixup": 0.4}):
        recipe = make_recipe(precision=precision, epochs=4, learning_rate=1e-3, **fields)
        plain, replayed = train(faces, recipe, graphed=False), train(faces, recipe, graphed="auto")
        assert replayed.history.graphed.all(), fields
        for name in ("cross_entropy", "center_loss"):
            near = {"rel": 1e-3 if precision == "fp32" else 0.03, "abs": 1e-5}
            assert replayed.history[name].tolist() == pytest.approx(plain.history[name].tolist(), **near), fields
