"""Pictures of the theory: how centres move, and why α has a limit."""

import matplotlib
import numpy as np

from .display import ACCENT, INK, SECOND, deep, drawing


def staircase(members, alphas, steps=7):
    """Eq. 2 on one fixed batch as a staircase, a panel for each α: from the line ρ·d up or down to the diagonal."""
    with drawing(2.9 * len(alphas), 3.2) as figure:
        for axis, alpha in zip(figure.subplots(1, len(alphas), squeeze=False)[0], alphas):
            rho = 1 - alpha * members / (1 + members)
            distances = rho ** np.arange(steps + 1)
            reach = 1.15 * max(1, np.abs(distances).max())
            axis.plot([-reach, reach], [-reach, reach], color=INK, linewidth=0.8, linestyle=":")
            axis.plot([-reach, reach], [-rho * reach, rho * reach], color=SECOND, linestyle="--")
            axis.plot(np.repeat(distances, 2)[:-1], np.repeat(distances, 2)[1:], color=ACCENT, linewidth=1.2)
            axis.plot(1, 1, "o", color=ACCENT)
            axis.set(title=f"α = {alpha:g}, ρ = {rho:+.2f}", xlabel="before the step", xlim=(-reach, reach),
                     ylim=(-reach, reach), aspect="equal")
        figure.axes[0].set_ylabel("after the step")
        return figure


def noise_floor(members, alphas, measured):
    """How far a centre strays from the true mean when batches change: the law as a line, and as dots what was
    ``measured`` for each of ``alphas``, the variance of a centre's coordinate in units of σ²/n."""
    with drawing(6, 3.4) as figure:
        axis = figure.subplots()
        line = np.linspace(0.05, 2 * (1 + members) / members - 0.02, 300)
        rho = 1 - line * members / (1 + members)
        axis.plot(line, (1 - rho) / (1 + rho), color=SECOND, label="(1 − ρ)/(1 + ρ)")
        axis.plot(alphas, measured, "o", color=ACCENT, label="measured")
        axis.axhline(1, color=INK, linewidth=0.8, linestyle="--", label="the mean of one batch")
        axis.set(title=f"variance of a centre, in units of σ²/n, n = {members}", xlabel="α", yscale="log")
        axis.legend()
        return figure


def paths_by_alpha(panels):
    """One coordinate of a centre by step; ``panels``: {title: {alpha: values (steps,)}}, one line for each α."""
    with drawing(4.8 * len(panels), 3.2) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axis, (title, paths) in zip(axes, panels.items()):
            for (alpha, values), colour, dashes, width in zip(paths.items(), (INK, SECOND, ACCENT), ("-", "--", ":"),
                                                              (3.5, 2.2, 1.6)):
                axis.plot(values, color=colour, linestyle=dashes, linewidth=width, label=f"α = {alpha:g}")
            axis.set(title=title, xlabel="step")
            axis.legend()
        axes[0].set_ylabel("one coordinate of the centre")
        return figure


def feature_film(rows, labels, moments):
    """2-D features at several moments of a training, one row of panels a run, each image drawn as its digit; ``rows``:
    {title: [points (N, 2) at each moment]}; ``labels`` (N,), 0 to 9; ``moments``: titles of the columns. A row has one
    scale, a cross marks the origin, and a dashed square shows in the wider rows how large the narrowest is."""
    reaches = [1.05 * max(np.abs(points).max() for points in film) for film in rows.values()]
    with drawing(2.7 * len(moments), 2.8 * len(rows), grid=False) as figure:
        panels = figure.subplots(len(rows), len(moments), squeeze=False)
        for axes, (title, film), reach in zip(panels, rows.items(), reaches):
            for axis, points, moment in zip(axes, film, moments):
                _digits(axis, points, labels)
                if (small := min(reaches)) < reach:
                    axis.add_patch(matplotlib.patches.Rectangle((-small, -small), 2 * small, 2 * small, fill=False,
                                                                edgecolor=INK, linestyle="--"))
                axis.set(title=moment, xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=())
                axis.tick_params(labelleft=axis is axes[0])
            axes[0].set_ylabel(title)
        return figure


def digit_planes(panels, labels):
    """2-D features of several networks, two panels in a row, each image drawn as its digit; ``panels``: {title: points
    (N, 2)}, each on a scale of its own; ``labels`` (N,), 0 to 9. A cross marks the origin."""
    rows = -(-len(panels) // 2)
    with drawing(5.5, 2.9 * rows, grid=False, text=12) as figure:
        axes = figure.subplots(rows, 2, squeeze=False).flat
        for axis, (title, points) in zip(axes, panels.items()):
            _digits(axis, points, labels)
            reach = 1.05 * np.abs(points).max()
            axis.set(title=title, xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=())
        for axis in list(figure.axes)[len(panels):]:
            axis.remove()
        return figure


def _digits(axis, points, labels):
    palette = matplotlib.colormaps["tab10"]
    for digit in np.unique(labels):
        axis.plot(*points[labels == digit].T, linestyle="none", marker=f"${digit}$", markersize=5, markeredgewidth=0,
                  color=deep(palette(digit % 10)[:3]))
    for line in (axis.axhline, axis.axvline):
        line(0, color=INK, linewidth=0.4, zorder=0)
