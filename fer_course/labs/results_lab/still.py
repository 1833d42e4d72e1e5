"""The explorer of stored runs without a kernel: one run in three panels."""

import numpy as np

from fer_utils.plots.curves import confusion_squares
from fer_utils.plots.display import ACCENT, INK, SECOND, drawing
from fer_utils.plots.projections import scatter


def result_panels(cell):
    """One run in three panels: learning curves, confusion matrix, features; ``cell``: ``ResultsLab.cell``."""
    with drawing(4.6, 12) as figure:  # one below the other: beside each other a phone shrinks them
        curves, matrix, plane = figure.subplots(3, 1, height_ratios=(1, 1.4, 1.4))
        training, validation = (np.asarray(cell["curves"][name]) for name in ("training", "validation"))
        epochs, best = np.arange(1, len(validation) + 1), validation.argmax()
        curves.plot(epochs, training, color=SECOND, linestyle=":", linewidth=2.4, marker="." * (len(epochs) < 2),
                    label="training")
        curves.plot(epochs, validation, color=INK, label="validation")
        curves.axvline(best + 1, color=ACCENT, linewidth=1, linestyle="--")
        curves.plot(best + 1, validation[best], "D", color=ACCENT, linestyle="none",
                    label=f"best epoch {best + 1}: {validation[best]:.1f} %")
        curves.set(title="learning curves, accuracy (%)", xlabel="epoch")
        curves.xaxis.get_major_locator().set_params(integer=True)
        curves.legend(loc="best")
        confusion_squares(matrix, cell["confusion"])
        matrix.grid(visible=False)
        matrix.set(title="confusion matrix, % of each true row")
        scatter(plane, np.asarray(cell["points"]), np.asarray(cell["labels"]))
        ends = -cell["reach"], cell["reach"]
        plane.set(title="features, two principal components", xlabel=f"1 = their spread, here {cell['spread']:g}",
                  aspect="equal", xlim=ends, ylim=ends)
        figure.legend(*plane.get_legend_handles_labels(), markerscale=1.6, loc="outside lower center", ncols=3)
        return figure
