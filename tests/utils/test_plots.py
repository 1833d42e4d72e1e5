"""The figures: what goes in is what is drawn, with words for those who cannot see it."""

import numpy as np
import pandas as pd
import pytest

from fer_utils import plots
from fer_utils.datasets import FaceDataset
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError

RNG = np.random.default_rng(0)
FACES = FaceDataset(RNG.integers(0, 256, (70, 48, 48), dtype=np.uint8), np.arange(70) % 7,
                    np.array([f"face_{k}" for k in range(70)]), "train", "made up")
HISTORY = pd.DataFrame({"epoch": [1, 2], "cross_entropy": [2.0, 1.0], "center_loss": [3.0, 1.0],
                        "train_accuracy": [0.2, 0.4], "validation_cross_entropy": [2.1, 1.2],
                        "validation_accuracy": [0.3, 0.5], "validation_ratio": [3.0, 0.7]})


def heights(axis):
    return [list(line.get_ydata()) for line in axis.lines]


def test_the_wall_has_a_row_for_each_emotion_of_its_own_faces_and_gaps_where_there_are_few():
    figure = plots.face_wall(FACES, per_class=4)
    assert [axis.get_ylabel() for axis in figure.axes[::4]] == list(EMOTIONS)
    for label, axis in enumerate(figure.axes[::4]):
        shown = np.asarray(axis.images[0].get_array())
        assert any((shown == face).all() for face in FACES.images[FACES.labels == label])
    assert [len(axis.images) for axis in plots.face_wall(FACES.subset(np.arange(12)), 3).axes[:3]] == [1, 1, 0]
    assert [axis.get_title() for axis in plots.face_grid(FACES.images[:2, None], captions="ab").axes] == ["a", "b"]


def test_learning_curves_draw_each_run_and_both_losses_weighs_the_centre_loss():
    figure = plots.learning_curves({"softmax": HISTORY, "centre loss": HISTORY})
    assert [len(axis.lines) for axis in figure.axes] == [4, 4, 2] and heights(figure.axes[1])[1] == [30.0, 50.0]
    assert heights(plots.both_losses(HISTORY, 0.2).axes[0])[1] == pytest.approx([0.6, 0.2])


def test_confusion_is_shown_in_percent_of_rows_and_an_empty_row_is_zero():
    counts = np.eye(7, dtype=int) * 3
    counts[0, 1], counts[6, 6] = 1, 0
    texts = [text.get_text() for text in plots.confusion_matrices({"m": counts}).axes[0].texts]
    assert texts[:3] == ["75", "25", "0"] and set(texts[-7:]) == {"0"}


def test_reliability_has_a_dot_with_its_interval_for_each_bin_and_says_the_means():
    bins = pd.DataFrame({"n": [10, 30], "sure": [0.5, 0.9], "accuracy": [0.4, 1.0], "low": [0.2, 0.9],
                         "high": [0.7, 1]})
    figure = plots.reliability({"as they are": bins})
    lines, dots = figure.axes[0].collections
    assert np.allclose(dots.get_offsets(), [[50, 40], [90, 100]]) and np.ptp(dots.get_sizes()) == 100
    assert np.allclose([segment[:, 1] for segment in lines.get_segments()], [[20, 70], [90, 100]])
    assert "as they are: 80 % sure on average, 85 % right." in figure.get_label()
    assert len(plots.reliability(dict.fromkeys("abc", bins)).axes) == 3  # no empty frame beside the third


def test_projections_show_the_same_points_in_the_plane_and_in_space_with_a_marker_for_each_class():
    points, labels = RNG.normal(size=(21, 5)), np.arange(21) % 7
    still = plots.projections({"a": (points, labels)}, axes=("discriminant", "next")).axes[0]
    space = plots.space_live({"a": (points, labels)})
    assert (still.get_xlabel(), still.get_ylabel()) == ("discriminant", "next")
    for label, (drawn, deep) in enumerate(zip(still.collections, space.data, strict=True)):
        mine = points[labels == label]
        assert np.allclose(drawn.get_offsets(), mine[:, :2])
        assert np.allclose(np.c_[deep.x, deep.y, deep.z], mine[:, :3])
    assert len({it.marker.symbol for it in space.data}) == len({it.marker.color for it in space.data}) == 7


def test_distances_between_means_are_in_units_of_their_mean_with_the_scatter_on_the_diagonal():
    distances = 4.0 * (1 - np.eye(7))
    distances[0, 1] = distances[1, 0] = 8.0
    figure = plots.mean_distances({"a": (distances, np.arange(7.0))})
    texts = [text.get_text() for text in figure.axes[0].texts]
    unit = (8 + 20 * 4) / 21
    assert texts[1] == f"{8 / unit:.1f}" and texts[2] == f"{4 / unit:.1f}"
    assert texts[::8] == [f"{k / unit:.1f}" for k in range(7)]


def test_pairs_have_a_line_each_and_one_for_their_mean():
    first, second = plots.paired_runs({"Eq. 2": {0: (60.0, 58.0), 3: (61.0, 57.0)}, "other": {0: (60.0, 61.0)}}).axes
    assert heights(first) == [[60, 58], [61, 57], [60.5, 57.5]]
    assert [axis.get_title(loc="left") for axis in (first, second)] == ["Eq. 2:\n-3.0 points", "other:\n+1.0 points"]


def test_recalls_have_a_mark_for_each_class_and_arm_and_no_arm_is_left_out():
    table = pd.DataFrame({"softmax": [10.0, 60.0], "other": [50.0, 40.0]}, ["disgust", "happiness"])
    axis, = plots.recalls(table).axes
    assert [list(line.get_xdata()) for line in axis.lines] == [[10, 60], [50, 40]]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["disgust", "happiness"]
    with pytest.raises(ValueError):
        plots.recalls(pd.DataFrame({str(arm): [1.0] for arm in range(7)}))


def test_curves_over_alpha_show_each_seed_their_mean_and_softmax():
    curves = {0: ([0.1, 1.9], [50.0, 52.0]), 1: ([1.9, 0.1, 0.5], [54.0, 50.0, 51.0])}
    ours, paper = plots.alpha_curves({"Eq. 2": curves}, [49.0, 51.0], {"F": ([1.0, 1.1], [58.0, 61.0], 62.0)}).axes
    assert heights(ours) == [[50, 50], [50, 52], [54, 50, 51], [50, 53]]  # softmax's mean, the seeds, their mean
    assert list(ours.lines[3].get_xdata()) == [0.1, 1.9]  # only where all seeds have been
    assert heights(paper) == [[62, 62], [58, 61]]
    assert np.ptp(ours.get_ylim()) == pytest.approx(np.ptp(paper.get_ylim())) and np.ptp(paper.get_ylim()) > 4


def test_curves_over_lambda_show_both_measures_and_the_ratio_and_pairs_needed_their_marks():
    axes = plots.lambda_curves({0: ([0.01, 1.0], [50.0, 40.0], [45.0, 8.0], [1.0, 0.5])},
                               ([51.0], [46.0], [1.2])).axes
    assert [heights(axis) for axis in axes] == [[[51, 51], [50, 40]], [[46, 46], [45, 8]], [[1.2, 1.2], [1.0, 0.5]]]
    assert [axis.get_xscale() for axis in axes] == ["log"] * 3
    assert [axis.get_yscale() for axis in axes] == ["linear", "linear", "log"]
    axis = plots.seeds_needed({0.5: ([1, 2], [10, 4])}, {"FER2013": 1.32}).axes[0]
    assert heights(axis)[0] == [10, 4] and [text.get_text() for text in axis.texts] == ["FER2013"]


def test_digits_are_drawn_where_they_lie_and_distances_of_pairs_counted_with_their_threshold():
    points = RNG.normal(size=(30, 2))
    figure = plots.digit_planes({"a": points, "b": 9 * points, "c": points}, np.arange(30) % 10)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["a", "b", "c"]
    first, second, _ = figure.axes
    assert np.allclose(first.lines[3].get_xydata(), points[3::10]) and first.lines[3].get_marker() == "$3$"
    assert second.get_xlim()[1] == pytest.approx(9 * first.get_xlim()[1])
    same = np.array([True, True, False])
    axis, _ = plots.pair_distances({"a": (np.array([1.0, 1, 4]), same, 2.0), "b": (np.ones(3), same, 1.0)}).axes
    assert sum(patch.get_height() for patch in axis.patches[:40]) == 2 and axis.lines[0].get_xdata()[0] == 2


def test_maps_of_where_a_network_looks_say_how_much_lies_in_the_true_region():
    images, regions = np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8), bool)
    regions[:, 2:4, 2:4] = True
    maps = np.where(regions, 3.0, -1.0)
    maps[1, 7, 0] = 4.0
    figure = plots.saliency_maps(images, regions, {"a,\nb": maps, "none": 0 * maps}, ["fear", "anger"])
    assert ("fear, a, b: 100 % inside. fear, none: 0 % inside. anger, a, b: 75 % inside." in figure.get_label())
    shown = [axis.images[0] for axis in figure.axes]
    assert np.array_equal(shown[4].get_array(), np.maximum(maps[1], 0)) and shown[4].get_clim() == (0, 4)
    outlines = {len(axis.collections[0].get_paths()[0].vertices) for axis in figure.axes}
    assert len(outlines) == 1 and outlines.pop() > 4, "the region is outlined in each"


def test_show_gives_picture_and_words(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **options: shown.append((bundle, options)))
    panels = {"a": (np.zeros((7, 3)), np.arange(7))}
    live, still = plots.space_live(panels), plots.projections(panels)
    plots.show(still, "words")
    plots.show((live, still))
    assert [set(bundle) for bundle, _ in shown] == [
        {"text/plain", "image/png"}, {"text/plain", "image/png", "application/vnd.plotly.v1+json"}]
    for (bundle, options), words in zip(shown, ("words", still.get_label())):
        assert options["metadata"]["image/png"]["alt"] == bundle["text/plain"] == words
    with pytest.raises(FerError, match="give one: show"):
        plots.show(plots.learning_curves({"softmax": HISTORY}))


def test_planes_and_distances_say_which_emotion_lies_apart_and_which_two_are_closest():
    places, labels = np.array([[0, 0], [0, 1], [5, 0], [0, 6], [3, 3], [90, 9], [-3, 4]]), np.arange(14) % 7
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    plane = plots.projections({"a": (places[labels], labels), "few": (places[2:5], labels[2:5])}).get_label()
    assert "a: sadness lies farthest from the others; anger and disgust are closest." in plane
    assert "few: happiness lies farthest from the others; fear and neutral are closest." in plane
    assert "b: sadness lies" in plots.mean_distances({"b": (distances, np.ones(7))}).get_label()
