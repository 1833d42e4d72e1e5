"""Pictures of trainings: curves, confusion matrices, features in the plane."""

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from .display import ACCENT, INK, SECOND, drawing, png, squares


def learning_curves(histories):
    """Cross-entropy, accuracy and compactness by epoch, one above the other; ``histories``: {name: DataFrame of a run's
    history}."""
    with drawing(4.4, 7.2, text=11) as figure:
        loss, accuracy, ratio = figure.subplots(3, 1, sharex=True)
        for (name, history), colour, marker in zip(histories.items(), (INK, ACCENT, SECOND), "osv"):
            style = {"color": colour, "marker": marker, "markersize": 4}
            pale = {**style, "markerfacecolor": "white", "linestyle": ":"}
            loss.plot(history.epoch, history.cross_entropy, **pale, label=f"{name}, training")
            loss.plot(history.epoch, history.validation_cross_entropy, **style, label=f"{name}, validation")
            accuracy.plot(history.epoch, 100 * history.train_accuracy, **pale)
            accuracy.plot(history.epoch, 100 * history.validation_accuracy, **style)
            ratio.plot(history.epoch, history.validation_ratio, **style)
        for axis, title in zip(figure.axes, ("cross-entropy", "accuracy (%)", "intra/inter ratio, validation")):
            axis.set(title=title)
        ratio.set(xlabel="epoch", yscale="log")
        ratio.xaxis.get_major_locator().set_params(integer=True)
        ratio.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        ratio.yaxis.set_major_formatter("{x:g}")
        ratio.yaxis.set_minor_formatter(NullFormatter())
        # inside, it would lie on the curves of one run or another
        figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=10,
                      columnspacing=1)
        return figure


def follow(alt, name="this run"):
    """A callback for ``on_epoch``: in a notebook, curves that are drawn anew after each epoch, in one place."""
    from IPython.display import display

    handle = None

    def draw(history):
        nonlocal handle
        bundle = {"text/plain": alt, "image/png": png(learning_curves({name: history}))}
        parts = {"raw": True, "metadata": {"image/png": {"alt": alt}}}
        if handle is None:
            handle = display(bundle, display_id=True, **parts)
        else:
            handle.update(bundle, **parts)

    return draw


def both_losses(history, lam):
    """L_S and λ·L_C of one run by epoch."""
    with drawing(4.6, 3.4) as figure:
        axis = figure.subplots()
        axis.plot(history.epoch, history.cross_entropy, color=INK, marker="o", markersize=4,
                  label="$L_S$, cross-entropy")
        axis.plot(history.epoch, lam * history.center_loss, color=ACCENT, marker="s", markersize=4,
                  label=r"$\lambda L_C$, centre loss as it is weighed")
        axis.set(title="the two parts of Eq. 3 during training", xlabel="epoch", ylim=(0, None))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend()
        return figure


def confusion_matrices(matrices):
    """Row-normalised confusion matrices, one above the other; ``matrices``: {title: (7, 7) counts}."""
    with drawing(4.6, 4.4 * len(matrices), grid=False) as figure:
        for axis, (title, counts) in zip(figure.subplots(len(matrices), 1, squeeze=False).flat, matrices.items()):
            confusion_squares(axis, counts)
            axis.set(title=f"{title} (% of each row)")
        return figure


def confusion_squares(axis, counts):
    shares = 100 * np.asarray(counts) / np.maximum(np.sum(counts, 1, keepdims=True), 1)
    squares(axis, shares, lambda share: int(share + 0.5), cmap="Blues", vmin=0, vmax=100)
    axis.set(xlabel="predicted", ylabel="true")


def reliability(panels):
    """How often a network is right against how sure it is, two panels in a row; ``panels``: {title: DataFrame}, a row
    for each bin: ``n`` faces, the mean of how ``sure`` it is, ``accuracy`` and its interval, ``low`` and ``high``."""
    rows, columns = -(-len(panels) // 2), min(2, len(panels))
    with drawing(2.75 * columns, 2.9 * rows, text=12) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for unused in axes[len(panels):]:
            unused.remove()
        for axis, (title, bins) in zip(axes, panels.items()):
            axis.plot([0, 100], [0, 100], color=INK, linestyle=":", linewidth=1)
            axis.vlines(100 * bins.sure, 100 * bins.low, 100 * bins.high, color=SECOND, linewidth=1.5)
            axis.scatter(100 * bins.sure, 100 * bins.accuracy, s=200 * bins.n / bins.n.sum() + 12, color=SECOND)
            axis.set(title=title, xlabel="sure (%)", ylabel="right (%)", aspect="equal")
        means = {title: [100 * np.average(bins[name], weights=bins.n) for name in ("sure", "accuracy")]
                 for title, bins in panels.items()}
        figure.set_label("Share of right answers against how sure the network is, with the diagonal on which both are "
                         "equal. " + " ".join(f"{title}: {sure:.0f} % sure on average, {right:.0f} % right."
                                              for title, (sure, right) in means.items()))
        return figure
