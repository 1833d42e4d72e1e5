"""Pictures of many runs: pairs with one seed, curves over α and λ."""

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from ..emotions import COLOURS
from .display import ACCENT, INK, SECOND, deep, drawing

SEEDS = [(deep(COLOURS[name]), marker) for name, marker in
         zip(("sadness", "disgust", "fear", "happiness", "surprise", "neutral"), "osv^DP")]


def paired_runs(panels):
    """A line for each seed, from softmax to centre loss; ``panels``: {title: {seed: (softmax, centre loss)}}, in %."""
    with drawing(2.75 * len(panels), 3.8, text=12) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axis, (title, pairs) in zip(axes, panels.items()):
            _seeds(axis, {seed: ([0, 1], pair) for seed, pair in pairs.items()}, markersize=6, linewidth=1.2)
            means = np.mean(list(pairs.values()), axis=0)
            axis.plot([0, 1], means, color=INK, linewidth=3, alpha=0.6, label="mean")
            axis.set(title=f"{title}:\n{means[1] - means[0]:+.1f} points", xlim=(-0.4, 1.4))
            axis.set_xticks([0, 1], ["softmax", "centre\nloss"])
        axes[0].set(ylabel="accuracy (%)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return figure


def recalls(table):
    """A row for each class and a mark for each column of ``table``, a DataFrame (classes × up to 6 arms) in %."""
    with drawing(4.6, 4.6, text=11) as figure:
        axis = figure.subplots()
        for (name, values), (colour, marker) in zip(table.items(), SEEDS[:table.shape[1]], strict=True):
            axis.plot(values, range(len(table)), marker, color=colour, markersize=8, alpha=0.8, label=name)
        axis.set(xlabel="recall (%)", ylim=(len(table) - 0.5, -0.5))
        axis.set_yticks(range(len(table)), table.index)
        figure.legend(loc="outside lower center", ncols=2)
        return figure


def alpha_curves(panels, softmax, paper=None):
    """Accuracy in % against α, a line for each seed and a thick one for their mean, one panel for each rule.

    ``panels``: {rule: {seed: (alphas, accuracies)}}; ``softmax``: the softmax runs' accuracies, a band in each;
    ``paper``: {name: (alphas, accuracies, softmax)} in panels of their own. All panels span the same number of points.
    """
    panels, paper = dict(panels), paper or {}
    with drawing(4.6, 2.5 * (len(panels) + len(paper)) + 0.6) as figure:  # a phone shrinks panels that lie in a row
        axes = figure.subplots(len(panels) + len(paper), 1, squeeze=False, sharex=True)[:, 0]
        for axis, (rule, curves) in zip(axes, panels.items()):
            if axis is not axes[0]:
                axis.sharey(axes[0])
            _band(axis, softmax)
            _seeds(axis, curves, markersize=4, linewidth=1)
            shared = sorted(set.intersection(*(set(alphas) for alphas, _ in curves.values())))
            means = [np.mean([dict(zip(alphas, values))[alpha] for alphas, values in curves.values()])
                     for alpha in shared]
            axis.plot(shared, means, color=INK, linewidth=3, alpha=0.6, label="mean")
            axis.set(title=f"{rule}: test accuracy (%)")
        for axis, (name, (alphas, values, baseline)) in zip(axes[len(panels):], paper.items()):
            axis.axhline(baseline, color=INK, linestyle="--", linewidth=1, label=None if panels else "softmax")
            axis.plot(alphas, values, color=ACCENT, marker="o", markersize=4, label="the paper: one run each")
            axis.set(title=f"the paper, {name}: test accuracy (%)")
        ends = np.array([axis.get_ylim() for axis in axes])
        for axis, middle in zip(axes, ends.mean(1)):
            axis.set_ylim(middle - np.ptp(ends, 1).max() / 2, middle + np.ptp(ends, 1).max() / 2)
        axes[-1].set(xlabel="α")
        axes[-1].locator_params("x", nbins=6)  # no quarters, at which nothing was trained
        named = {name: line for axis in axes for line, name in zip(*axis.get_legend_handles_labels())}
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=2)
        return figure


def lambda_curves(curves, softmax):
    """Accuracy in %, macro F1 in % and the ratio intra/inter against λ, one below the other so that a phone can show
    them, a line for each seed; ``curves``: {seed: (lams, accuracies, macro F1s, ratios)}; ``softmax``: (accuracies,
    macro F1s, ratios) of the runs without centre loss."""
    titles = ("test accuracy (%)", "macro F1 on test images (%)", "intra/inter ratio on test images")
    with drawing(4.6, 7.6) as figure:
        for part, (axis, title) in enumerate(zip(figure.subplots(3, 1, sharex=True), titles)):
            _band(axis, softmax[part])
            lines = {seed: (curve[0], curve[1 + part]) for seed, curve in curves.items()}
            _seeds(axis, lines, markersize=5, linewidth=1)
            axis.set(title=title, xscale="log")
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set(xlabel="λ", yscale="log")  # a ratio of 2 is as far from 1 as one of a half
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(NullLocator())
        return figure


def seeds_needed(curves, marks):
    """Pairs of runs that a gain needs; ``curves``: {sd of the differences: (gains, pairs)}; ``marks``: {name: gain}."""
    with drawing(5.2, 4.6, text=12) as figure:
        axis = figure.subplots()
        for (spread, (gains, pairs)), colour, marker in zip(curves.items(), (SECOND, INK, ACCENT), "osv"):
            axis.plot(gains, pairs, color=colour, marker=marker, markersize=4, label=f"sd {spread:g} points")
        for name, gain in marks.items():
            axis.axvline(gain, color=INK, linestyle=":", linewidth=1)
            axis.text(gain, 1.02, name, transform=axis.get_xaxis_transform(), ha="center")
        axis.set(xlabel="true gain (points of accuracy)", ylabel="pairs of runs", yscale="log")
        axis.set_yticks([2, 5, 10, 20, 50, 100, 200], ["2", "5", "10", "20", "50", "100", "200"])
        figure.legend(title="differences scatter with", loc="outside lower center", ncols=2)
        return figure


def pair_distances(panels):
    """Distances of pairs that show one person and of pairs that show two, a panel for each loss; ``panels``: {title:
    (distances (P,), same (P,) bool, threshold)}. The dotted line is the threshold."""
    with drawing(5.5, 2.6 * len(panels), text=12) as figure:
        for axis, (title, (distances, same, threshold)) in zip(figure.subplots(len(panels), 1, squeeze=False).flat,
                                                               panels.items()):
            bins = np.linspace(0, distances.max(), 41)
            axis.hist(distances[same], bins, facecolor=(SECOND, 0.6), edgecolor=deep(SECOND), label="one person")
            axis.hist(distances[~same], bins, histtype="step", edgecolor=ACCENT, linewidth=2, label="two persons")
            axis.axvline(threshold, color=INK, linestyle=":", linewidth=2)
            axis.set(title=title, ylabel="pairs")
        axis.set(xlabel="distance of the two pictures")
        figure.axes[0].legend()
        return figure


def _seeds(axis, curves, **style):
    for (seed, curve), (colour, marker) in zip(curves.items(), SEEDS, strict=False):
        axis.plot(*curve, color=colour, marker=marker, label=f"seed {seed}", **style)


def _band(axis, values):
    values = np.asarray(values, float)
    if len(values):
        axis.axhspan(values.min(), values.max(), color=INK, alpha=0.12, linewidth=0)
        axis.axhline(values.mean(), color=INK, linestyle="--", linewidth=1, label="softmax: mean, range")
