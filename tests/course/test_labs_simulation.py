"""The toy behind the lab: it does what Eq. 1 to Eq. 3 say, by each rule, and JavaScript computes the same numbers."""

import json
import subprocess
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import torch
from conftest import refusal

from fer_course.labs.center_lab import center_lab, moving_centers, simulation
from fer_course.labs.center_lab.simulation import CLASSES, DIRECTIONS, RULES, simulate
from fer_course.labs.shared import module_source
from fer_utils.center_loss import REGIONS, CenterLoss
from fer_utils.emotions import COLOURS, MARKERS

MODULE = module_source("center_lab")


def test_points_go_down_the_gradient_of_eq_3():
    seen, labels = simulate(0.5, 0.7, seed=4, steps=5), torch.arange(90) // 30
    for step in range(5):
        points = torch.tensor(seen.positions[step], requires_grad=True)
        centers, logits = torch.tensor(seen.paths[step]), points @ torch.tensor(DIRECTIONS).T
        center = 0.5 * (points - centers[labels]).square().sum()
        cross_entropy = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        (cross_entropy + 0.7 * center).backward()
        assert np.allclose(seen.positions[step + 1], (points - 0.05 * points.grad).detach(), rtol=1e-9)
        assert (seen.center_loss[step], seen.cross_entropy[step]) == (
            pytest.approx(center.item() / 90), pytest.approx(cross_entropy.item() / 90))


@pytest.mark.parametrize("update", RULES)
def test_centers_move_as_center_loss_moves_them(update):
    seen, draw = simulate(1.9, 0.2, update=update, seed=4), simulation.uniform(4)
    for _ in range(90 * 2 * 12):  # what was drawn to place the points
        draw()
    loss, labels = CenterLoss(3, 2, alpha=1.9, update=update, learning_rate=0.1).double(), torch.arange(90) // 30
    for points, centers in zip(seen.positions, seen.paths):
        assert np.allclose(centers, loss.centers.detach(), rtol=1e-8)
        batch = simulation.shuffled(90, draw)[:24]
        loss.update_centers(torch.tensor(points)[batch], labels[batch])


def test_the_seed_repeats_and_alpha_is_inert_without_lambda_and_under_adam():
    first, again, other, third = simulate(0.5, 0), simulate(0.5, 0), simulate(1.9, 0), simulate(0.5, 0, seed=1)
    assert np.array_equal(first.points, again.points) and np.array_equal(first.paths, again.paths)
    assert np.array_equal(first.points, other.points) and not np.array_equal(first.paths, other.paths)
    assert not np.array_equal(first.start, third.start)
    slow, fast = (simulate(alpha, 0.2, update="adam") for alpha in (0.1, 1.9))
    assert np.allclose(slow.paths[-1], fast.paths[-1], atol=1e-6) and slow.rho is None


def test_rho_is_what_a_step_leaves_of_the_distance_to_the_mean():
    for update, alpha in (("eq2", 0.5), ("eq2", 1.9), ("eq2", 2.3), ("sgd", 1.9)):
        seen = simulate(alpha, 0.0, update=update, batch=90, rate=0.0)  # points at rest, all of them in the batch
        far = seen.paths - seen.points.reshape(3, 30, 2).mean(1)
        assert np.allclose(far[1:9] / far[:8], seen.rho, rtol=1e-9), (update, alpha)
    for alpha, region in zip((0.3, 0.9, 1.9, 2.3), REGIONS, strict=True):
        far = np.linalg.norm(simulate(alpha, 0.2, batch=90, rate=0).paths[-1])
        assert (simulate(alpha, 0.2).region, far > 5) == (region, region == "diverges")


def test_values_without_meaning_are_refused():
    wrong = [("alpha", float("inf")), ("lam", -0.1), ("lam", float("nan")), ("batch", 91), ("batch", 0), ("batch", 2.5),
             ("update", "SGD"), ("seed", 2**32), ("seed", 0.5)]
    taken = [(name, value) for name, value in wrong for make in (simulate, center_lab)
             if not refusal(make, **{"alpha": 0.5, "lam": 0.2, name: value}).startswith(name)]
    assert not taken


def test_moving_centers_shows_where_all_ended_says_what_diverges_and_that_adam_has_no_rho():
    seen = simulate(1.5, 1.0, batch=45)
    plane, curve, gauge = moving_centers(seen).axes
    assert np.allclose(np.concatenate([part.get_offsets() for part in plane.collections[1::2]]), seen.points)
    assert np.allclose([line.get_xydata() for line in plane.lines[::2]], seen.paths.swapaxes(0, 1))
    assert np.allclose([line.get_ydata() for line in curve.lines], [seen.cross_entropy, seen.center_loss])
    assert gauge.lines[0].get_xdata() == pytest.approx([seen.rho])
    assert gauge.get_title(loc="left") == "ρ = −0.41: jumps over the mean"
    for update, batch, said in (("eq2", 90, "ρ = −1.90: diverges"), ("adam", 24, "no ρ under Adam")):
        plane, curve, gauge = moving_centers(simulate(3.0, 0.2, update=update, batch=batch)).axes
        assert gauge.get_title(loc="left").startswith(said) and len(gauge.lines) == (0 if update == "adam" else 2)
        assert bool(plane.texts) == (update == "eq2")  # "out of the picture: …"
        drawn = np.concatenate([line.get_xydata() for line in (*plane.lines, *curve.lines)])
        assert np.isfinite(drawn).all() and abs(drawn).max() <= 60


# The same in JavaScript


def node():
    """A JavaScript engine: the machine's node, or the one that playwright brings with it."""
    playwright = find_spec("playwright")
    return which("node") or (playwright and which("node", path=Path(playwright.origin).parent / "driver"))


def javascript(expression, module=MODULE):
    """What an expression gives that is evaluated where a lab's module ends."""
    if node() is None:
        pytest.skip("no node here: the lab's JavaScript is not tested")
    program = f"{module}\nconsole.log(JSON.stringify({expression}));"
    answer = subprocess.run([node(), "--input-type=module", "-"], input=program, capture_output=True, encoding="utf-8")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


GRID = [{"alpha": alpha, "lam": lam, "batch": batch, "update": update, "seed": seed}
        for update in RULES
        for alpha, lam, batch, seed in ((0.1, 2, 3, 0), (1.9, 0.2, 24, 1), (3.0, 0, 90, 2**32 - 1), (3.0, 0.2, 90, 1))]


def test_javascript_computes_the_same_numbers():
    """Each step's numbers against the largest of that step, for where centres diverge they grow by 10¹⁵. The last
    term is for a cross-entropy that is log 1."""
    answers = javascript(f"{json.dumps(GRID)}.map((options) => {{ const seen = simulate(options);"
                         "return [seen.positions, seen.paths, seen.crossEntropy, seen.centerLoss]; })")
    grown, wrong = 0, []
    for options, answer in zip(GRID, answers, strict=True):
        seen = simulate(**options)
        for theirs, ours in zip(map(np.array, answer),
                                (seen.positions, seen.paths, seen.cross_entropy, seen.center_loss), strict=True):
            scale = np.abs(ours).reshape(len(ours), -1).max(1).reshape(-1, *[1] * (ours.ndim - 1))
            if theirs.shape != ours.shape or (np.abs(theirs - ours) > 1e-6 * scale + 1e-14).any():
                wrong.append(options)
        grown = max(grown, np.abs(seen.paths).max())
    assert not wrong and grown > 1e12, "or no case of the grid diverges"


def test_javascript_knows_the_same_gauge_and_the_same_looks():
    gauges, classes, directions, regions = javascript(
        f"[{json.dumps(GRID)}.map((options) => [rho(options), region(rho(options))]), CLASSES, DIRECTIONS, REGIONS]")
    for options, (rho, region) in zip(GRID, gauges, strict=True):
        seen = simulate(**options, steps=0)
        assert (seen.rho, seen.region) == (pytest.approx(rho, rel=1e-12) if rho is not None else None, region)
    assert [(kind["name"], kind["colour"], kind["marker"]) for kind in classes] == [
        (name, COLOURS[name], MARKERS[name]) for name in CLASSES]
    assert np.array_equal(directions, DIRECTIONS) and dict(regions) == REGIONS
