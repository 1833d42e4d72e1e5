"""The lab of centre loss without a kernel: one picture of where its sliders stand."""

import numpy as np

from fer_utils.center_loss import REGIONS
from fer_utils.emotions import COLOURS, MARKERS
from fer_utils.plots.display import ACCENT, INK, deep, drawing


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
