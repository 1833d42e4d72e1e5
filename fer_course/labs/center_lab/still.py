"""The lab of centre loss without a kernel: one picture of where its sliders stand."""

import numpy as np

from fer_utils.emotions import COLOURS, EMOTIONS, MARKERS
from fer_utils.plots.display import INK, deep, drawing

from .simulation import CLASSES, simulate

TRAIL, THIN = 12, 4  # steps of a centre's path; one point of so many is drawn


def beside_softmax(simulation):
    """A ``simulation.Simulation`` beside softmax alone on the same points: where unseen points lie, both planes on one
    scale, and the recall of each class. A centre that left the plane is drawn at its edge."""
    options = simulation.options
    softmax = simulate(0, **{name: options[name] for name in ("batch", "imbalance", "seed")})
    rule = {"eq2": "", "sgd": ", SGD", "adam": ", Adam"}[options["update"]]
    arms = {"softmax alone": softmax, f"λ = {options['lam']:g}, α = {options['alpha']:g}{rule}": simulation}
    reach = 1.15 * np.quantile(np.linalg.norm(softmax.features(), axis=1), 0.97)
    with drawing(10, 4.4) as figure:
        *planes, bars = figure.subplots(1, 3, width_ratios=(1, 1, 0.8))
        for axis, (title, arm), shift, colours in zip(planes, arms.items(), (0, 0.4),
                                                      (["#C4CBD1"] * CLASSES, [COLOURS[name] for name in EMOTIONS])):
            found = arm.measures()
            _plane(axis, arm, reach)
            axis.set_title(f"{title}\naccuracy {100 * found['accuracy']:.1f} %, macro F1 {found['macro_f1']:.2f}")
            bars.barh(np.arange(CLASSES) + shift, 100 * found["recall"], 0.4, color=colours,
                      edgecolor=[deep(colour) for colour in colours], linewidth=0.8, label=title,
                      hatch=None if shift else "///")
        if simulation.options["lam"]:
            _centers(planes[1], simulation, reach)
        bars.set(title="recall, %\n(grey: softmax alone)", xlim=(0, 100), yticks=np.arange(CLASSES) + 0.2)
        bars.set_yticklabels(EMOTIONS)
        bars.invert_yaxis()
        figure.legend(*planes[0].get_legend_handles_labels(), loc="outside lower center", ncols=CLASSES, fontsize=8.5)
        return figure


def _plane(axis, simulation, reach):
    features, truth = simulation.features()[::THIN], simulation.truth[::THIN]
    for label, name in enumerate(EMOTIONS):
        axis.scatter(*features[truth == label].T, s=14, facecolors=(COLOURS[name], 0.75),
                     edgecolors=deep(COLOURS[name]), linewidths=0.5, marker=MARKERS[name], label=name)
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=(), yticks=())
    axis.spines[:].set_visible(True)


def _centers(axis, simulation, reach):
    """Where the centres ended, and their last steps."""
    for label, name in enumerate(EMOTIONS):
        path = simulation.paths[-TRAIL - 1:, label]
        axis.plot(*_held(path, 5 * reach).T, color=deep(COLOURS[name]), linewidth=1)
        axis.plot(*_held(path[-1:], 0.95 * reach).T, color=COLOURS[name], marker=MARKERS[name], markeredgecolor=INK,
                  markeredgewidth=1.4, markersize=8, linestyle="none")


def _held(points, reach):
    """Points (N, 2), those farther than ``reach`` from the origin moved there, in their own direction."""
    return points * np.minimum(1, reach / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-300))
