"""The labs: a slider that moves, moves the figure; without a kernel a picture and words remain."""

import numpy as np

from fer_utils import plots, sliders
from fer_utils.center_loss import simulate


def parts(lab):
    (alpha, lam), figure = lab.children[0].children, lab.children[1]
    return alpha, lam, figure


def test_each_slider_moves_the_figure_to_its_simulation():
    alpha, lam, figure = parts(sliders.center_lab(alpha=0.5, lam=0.2, seed=3))
    assert np.allclose(figure.data[-1].y, simulate(0.5, 0.2, seed=3).center_loss)
    alpha.value = 1.9
    assert np.allclose(figure.data[-1].y, simulate(1.9, 0.2, seed=3).center_loss)
    lam.value = 1.0
    assert np.allclose(figure.data[-1].y, simulate(1.9, 1.0, seed=3).center_loss)


def test_the_sliders_reach_past_the_limit_of_alpha():
    alpha, lam, _ = parts(sliders.center_lab())
    assert alpha.max > 2.1 and lam.min == 0


def test_two_labs_do_not_move_each_other():
    first, second = sliders.center_lab(), sliders.center_lab()
    before = np.array(parts(second)[2].data[-1].y)
    parts(first)[0].value = 1.9
    assert np.array_equal(before, parts(second)[2].data[-1].y)


def test_a_lab_leaves_a_picture_and_words(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **options: shown.append((bundle, options)))
    sliders.show(sliders.center_lab(), plots.moving_centers(simulate(0.5, 0.2)), "words")
    (bundle, options), = shown
    assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "text/plain", "image/png"}
    assert options["metadata"]["image/png"]["alt"] == bundle["text/plain"] == "words"
