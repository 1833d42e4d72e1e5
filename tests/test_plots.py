"""The figures: what goes in is what is drawn, with words for those who cannot see it."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_utils import EMOTIONS, plots
from fer_utils.datasets import FaceDataset
from fer_utils.simulation import REGIONS, simulate

CHANCE = np.random.default_rng(0)
FACES = FaceDataset(CHANCE.integers(0, 256, (70, 48, 48), dtype=np.uint8), np.arange(70) % 7,
                    np.array([f"face_{k}" for k in range(70)]), "train", "made up")
HISTORY = pd.DataFrame({"epoch": [1, 2], "cross_entropy": [2.0, 1.0], "center_loss": [3.0, 1.0],
                        "train_accuracy": [0.2, 0.4], "validation_cross_entropy": [2.1, 1.2],
                        "validation_accuracy": [0.3, 0.5], "validation_ratio": [3.0, 0.7]})


def image_of(figure):
    return Image.open(io.BytesIO(base64.b64decode(plots.png(figure))))


def test_the_wall_has_a_row_for_each_emotion_and_its_own_faces():
    figure = plots.face_wall(FACES, per_class=4)
    assert [axis.get_ylabel() for axis in figure.axes[::4]] == list(EMOTIONS)
    for label, axis in enumerate(figure.axes[::4]):
        shown = np.asarray(axis.images[0].get_array())
        assert any((shown == face).all() for face in FACES.images[FACES.labels == label])


def test_a_class_with_few_faces_leaves_gaps():
    figure = plots.face_wall(FACES.subset(np.arange(12)), per_class=3)
    assert [len(axis.images) for axis in figure.axes[:3]] == [1, 1, 0]


def test_learning_curves_draw_each_run():
    figure = plots.learning_curves({"softmax": HISTORY, "centre loss": HISTORY})
    assert [len(axis.lines) for axis in figure.axes] == [4, 4, 2]
    assert figure.axes[1].lines[1].get_ydata().tolist() == [30.0, 50.0]


def test_both_losses_weighs_the_centre_loss():
    assert plots.both_losses(HISTORY, 0.2).axes[0].lines[1].get_ydata() == pytest.approx([0.6, 0.2])


def test_confusion_is_shown_in_percent_of_rows():
    counts = np.eye(7, dtype=int) * 3
    counts[0, 1] = 1
    texts = [text.get_text() for text in plots.confusion_matrices({"m": counts}).axes[0].texts]
    assert texts[:3] == ["75", "25", "0"]


def test_an_empty_row_of_a_confusion_matrix_is_zero():
    texts = [text.get_text() for text in plots.confusion_matrices({"m": np.zeros((7, 7))}).axes[0].texts]
    assert set(texts) == {"0"}


def test_still_and_live_projection_show_the_same_points_and_markers():
    points, labels = CHANCE.normal(size=(21, 2)), np.arange(21) % 7
    still, live = plots.projections({"a": (points, labels)}), plots.projections_live({"a": (points, labels)})
    for label, (drawn, trace) in enumerate(zip(still.axes[0].collections, live.data, strict=True)):
        assert np.allclose(drawn.get_offsets(), points[labels == label])
        assert np.allclose(np.c_[trace.x, trace.y], points[labels == label], atol=0.005)
    assert len({trace.marker.symbol for trace in live.data}) == len({trace.marker.color for trace in live.data}) == 7


def test_ablation_shows_every_run_and_the_papers_points():
    table = pd.DataFrame({"lam": 0.2, "alpha": [0.1, 0.1, 1.9], "accuracy": [0.5, 0.6, 0.7]})
    figure = plots.ablation_curve(table, [0.65, 0.66], {"FER2013": ([1.0, 1.1], [58.2, 61.6])})
    assert np.allclose(figure.axes[0].collections[0].get_offsets(), [[0.1, 50], [0.1, 60], [1.9, 70]])
    assert figure.axes[1].lines[0].get_ydata() == pytest.approx([58.2, 61.6])


def test_ablation_keeps_each_lambda_apart():
    table = pd.DataFrame({"lam": [0.2, 1.0], "alpha": [0.5, 0.5], "accuracy": [0.5, 0.9]})
    axis = plots.ablation_curve(table, [0.6]).axes[0]
    assert [text.get_text().split(":")[0] for text in axis.get_legend().get_texts()][1:] == ["λ = 0.2", "λ = 1"]
    points = [part.get_offsets().tolist() for part in axis.collections if len(part.get_offsets()) == 1]
    assert [[0.5, 50.0]] in points and [[0.5, 90.0]] in points


def test_projections_name_the_axes_they_are_given():
    axis = plots.projections({"a": (np.zeros((7, 2)), np.arange(7))}, axes=("discriminant", "next")).axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("discriminant", "next")


def test_moving_centers_shows_where_points_and_centres_ended_and_the_losses():
    seen = simulate(1.5, 1.0, batch=45)
    plane, curve, gauge = plots.moving_centers(seen).axes
    assert np.allclose(np.concatenate([part.get_offsets() for part in plane.collections[1::2]]), seen.points)
    assert np.allclose([line.get_xydata() for line in plane.lines[::2]], seen.paths.swapaxes(0, 1))
    assert np.allclose([line.get_ydata() for line in curve.lines], [seen.cross_entropy, seen.center_loss])
    assert gauge.lines[0].get_xdata() == pytest.approx([seen.rho])
    assert gauge.get_title(loc="left") == "ρ = −0.41: jumps over the mean"
    assert [text.get_text() for text in gauge.texts] == list(REGIONS)


@pytest.mark.parametrize("update, batch, said", [("eq2", 90, "ρ = −1.90: diverges"), ("adam", 24, "no ρ under Adam")])
def test_moving_centers_says_what_diverges_and_that_adam_has_no_rho(update, batch, said):
    plane, curve, gauge = plots.moving_centers(simulate(3.0, 0.2, update=update, batch=batch)).axes
    assert gauge.get_title(loc="left").startswith(said) and len(gauge.lines) == (0 if update == "adam" else 2)
    assert bool(plane.texts) == (update == "eq2")  # "out of the picture: …"
    drawn = np.concatenate([line.get_xydata() for line in (*plane.lines, *curve.lines)])
    assert np.isfinite(drawn).all() and abs(drawn).max() <= 60


def test_faces_are_stored_in_grey_and_figures_in_a_palette():
    assert image_of(plots.face_wall(FACES, 2)).mode == "L"
    assert image_of(plots.confusion_matrices({"m": np.eye(7)})).mode == "P"


def test_show_gives_picture_and_words(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **options: shown.append((bundle, options)))
    panels = {"a": (np.zeros((7, 2)), np.arange(7))}
    live, still = plots.projections_live(panels), plots.projections(panels)
    plots.show(still, "words")
    plots.show((live, still), "words")
    assert [set(bundle) for bundle, _ in shown] == [
        {"text/plain", "image/png"}, {"text/plain", "image/png", "application/vnd.plotly.v1+json"}]
    assert all(options["metadata"]["image/png"]["alt"] == bundle["text/plain"] == "words" for bundle, options in shown)
