"""Pictures of the theory: how centres move, and why α has a limit."""

import matplotlib
import numpy as np

from ..center_loss import REGIONS
from ..emotions import COLOURS, MARKERS
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
    """How far a centre strays from the true mean when batches change: the law as a line, what was measured as dots.

    ``measured``: for each of ``alphas``, the variance of a centre's coordinate in units of σ²/n.
    """
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
    """2-D features at several moments of a training, one row of panels a run; each image is drawn as its digit.

    ``rows``: {title: [points (N, 2) at each moment]}; ``labels`` (N,), 0 to 9; ``moments``: titles of the columns.
    """
    palette = matplotlib.colormaps["tab10"]
    with drawing(2.7 * len(moments), 2.8 * len(rows), grid=False) as figure:
        for axes, (title, film) in zip(figure.subplots(len(rows), len(moments), squeeze=False), rows.items()):
            for axis, points, moment in zip(axes, film, moments):
                for digit in np.unique(labels):
                    axis.plot(*points[labels == digit].T, linestyle="none", marker=f"${digit}$", markersize=5,
                              markeredgewidth=0, color=deep(palette(digit % 10)[:3]))
                axis.set(title=moment, xticks=[], yticks=[])
            axes[0].set_ylabel(title)
        return figure


def moving_centers(simulation):
    """A ``simulation.Simulation`` as a still, laid out as the lab: where points and centres went, both losses by step,
    and ρ on its gauge. What diverges leaves the picture; a centre that did is drawn at its edge."""
    with drawing(10, 4.4) as figure:
        plane, curve, gauge = figure.subplot_mosaic("ab;ac", height_ratios=(4, 1), width_ratios=(46, 54)).values()
        reach, outside = 3, []
        for label, (name, points, path) in enumerate(simulation.by_class()):
            colour, edge, marker = COLOURS[name], deep(COLOURS[name]), MARKERS[name]
            plane.scatter(*simulation.start[simulation.labels == label].T, s=12, facecolors="none", edgecolors=edge,
                          linewidths=0.4, marker=marker)
            plane.scatter(*points.T, s=20, facecolors=(colour, 0.8), edgecolors=edge, linewidths=0.5, marker=marker,
                          label=name)
            plane.plot(*_held(path, 50).T, color=edge, linewidth=1.2)
            plane.plot(*_held(path[-1:], reach - 0.2).T, color=colour, marker=marker, markeredgecolor=INK,
                       markeredgewidth=1.5, markersize=11, linestyle="none")
            outside += [name] if np.linalg.norm(path[-1]) > reach - 0.2 else []
        title = f"α = {simulation.alpha:g}, λ = {simulation.lam:g}, batch {simulation.batch}, {simulation.update}"
        plane.set(title=title, xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=(-2, 0, 2),
                  yticks=(-2, 0, 2))
        plane.legend(fontsize=8, loc="lower left")
        if outside:
            plane.text(0.02, 0.95, f"out of the picture: {', '.join(outside)}", transform=plane.transAxes, fontsize=8.5)
        highest = 1.2
        for values, name, colour, dash in ((simulation.cross_entropy, "$L_S$, cross-entropy", INK, "-"),
                                           (simulation.center_loss, "$L_C$, centre loss", ACCENT, "--")):
            curve.plot(np.minimum(values, 10 * highest), color=colour, linestyle=dash, label=f"{name} {values[-1]:.3g}")
        curve.set(title="the losses by step", ylim=(0, highest))
        curve.legend(loc="upper right", frameon=True, edgecolor="none", framealpha=0.9)
        _gauge(gauge, simulation)
        return figure


def _gauge(axis, simulation):
    ends = [*REGIONS.values(), -2.0]
    for name, top, end, tone in zip(REGIONS, ends, ends[1:], ("#E4E9EE", "#CFE8DC", "#FCE9C4", "#F6CFBE")):
        axis.axvspan(end, top, color=tone, linewidth=0)
        axis.text((top + end) / 2, 0.2, name, ha="center", va="center", fontsize=8.5, color=INK)
    rho = simulation.rho
    if rho is None:
        title = "no ρ under Adam: α has no effect"
    else:
        title = f"ρ = {rho:+.2f}: {simulation.region}".replace("-", "−")
        axis.plot(max(rho, -2), 1, marker="v", markersize=9, color=INK, clip_on=False)
        axis.axvline(max(rho, -2), ymin=0.5, color=INK, linewidth=1.5)
    axis.set(title=title, xlim=(1, -2), ylim=(0, 1), yticks=(), xticks=ends)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)


def _held(points, reach):
    """Points (N, 2), those farther than ``reach`` from the origin moved there, in their own direction."""
    return points * np.minimum(1, reach / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-300))
