"""The explorer of stored runs without a kernel: one run in three panels."""

import numpy as np

from fer_utils.plots.curves import confusion_squares
from fer_utils.plots.display import ACCENT, INK, SECOND, drawing
from fer_utils.plots.projections import scatter


def result_panels(cell):
    """One run in three panels: learning curves, confusion matrix, features; ``cell``: ``ResultsLab.cell``."""
    with drawing(12.4, 3.9) as figure:
        curves, matrix, plane = figure.subplots(1, 3, width_ratios=(1, 1.1, 1))
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
        curves.legend(fontsize=8, loc="best")
        confusion_squares(matrix, cell["confusion"])
        matrix.grid(visible=False)
        matrix.set(title="confusion matrix, % of each true row")
        scatter(plane, np.asarray(cell["points"]), np.asarray(cell["labels"]))
        ends = -cell["reach"], cell["reach"]
        plane.set(title="features, two principal components", xlabel=f"1 = their spread, here {cell['spread']:g}",
                  aspect="equal", xlim=ends, ylim=ends)
        plane.legend(fontsize=8, markerscale=1.6, loc="center left", bbox_to_anchor=(1, 0.5))
        return figure
