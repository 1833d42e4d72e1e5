"""Pictures of features in space and of what the plane hides."""

from textwrap import fill

import numpy as np
from plotly import graph_objects as go
from plotly.subplots import make_subplots

from ..emotions import COLOURS, EMOTIONS, MARKERS
from .display import deep, drawing, squares

SYMBOLS_3D = {"^": "diamond-open", "s": "square", "X": "x", "o": "circle", "P": "cross", "v": "square-open",
              "D": "diamond", "*": "circle-open"}  # plotly has these eight in space


def projections(panels, axes=("component 1", "component 2")):
    """2-D points of each class, two panels in a row; ``panels``: {title: (points (N, 2), labels (N,))}; ``axes``: what
    x and y are."""
    rows, columns = -(-len(panels) // 2), min(2, len(panels))
    with drawing(2.75 * columns, 2.8 * rows + 0.8, text=12) as figure:
        axes_of = figure.subplots(rows, columns, squeeze=False).ravel()
        for unused in axes_of[len(panels):]:
            unused.remove()
        for axis, (title, (points, labels)) in zip(axes_of, panels.items()):
            scatter(axis, points, labels)
            axis.set(title=fill(title, 18), xlabel=axes[0], ylabel=axes[1])
            axis.locator_params(nbins=4)
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3, markerscale=1.8)
        means = {title: np.array([points[labels == k].mean(0) for k in np.unique(labels)])
                 for title, (points, labels) in panels.items()}
        figure.set_label("Points of the emotions in a plane, each with its colour and marker. " + " ".join(
            in_words(title, np.linalg.norm(mean[:, None] - mean, axis=2), np.unique(panels[title][1]))
            for title, mean in means.items()))
        return figure


def space_live(panels):
    """3-D points as a plotly figure that can be turned; ``panels``: {title: (points (N, 3), labels (N,))}. The legend
    switches a class on and off in all of them."""
    figure = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=0.02,
                           specs=[[{"type": "scene"}] * len(panels)])
    for column, (points, labels) in enumerate(panels.values(), start=1):
        for label, name in enumerate(EMOTIONS):
            # plotly stores arrays of single precision in a line of base64, and a list one number a line
            places = dict(zip("xyz", np.asarray(points, np.float32)[np.asarray(labels) == label].T.copy()))
            marker = {"color": COLOURS[name], "symbol": SYMBOLS_3D[MARKERS[name]], "size": 3,
                      "line": {"color": deep(COLOURS[name]), "width": 1}}
            figure.add_trace(go.Scatter3d(**places, mode="markers", name=name, legendgroup=name,
                                          showlegend=column == 1, hovertemplate=f"{name}<extra></extra>",
                                          marker=marker), row=1, col=column)
    figure.update_scenes(xaxis_title="first", yaxis_title="second", zaxis_title="third component")
    return figure.update_layout(
        height=480, template="none", margin={"l": 0, "r": 0, "t": 40, "b": 10}, legend={"orientation": "h"})


def scatter(axis, points, labels):
    """Points of each class in its colour and its marker; the fill is pale, the outline dark enough to be seen."""
    for label, name in enumerate(EMOTIONS):
        mine = labels == label
        axis.scatter(points[mine, 0], points[mine, 1], s=12, facecolors=(COLOURS[name], 0.6), marker=MARKERS[name],
                     edgecolors=deep(COLOURS[name]), linewidths=0.4, label=name)


def mean_distances(panels):
    """Distances between class means (off the diagonal) and within classes (on it), divided by the mean distance between
    classes, one table above the other; ``panels``: {title: (distances (C, C), scatter (C,))}, both in the full
    dimension, and behind them the classes (C,) where some are missing."""
    with drawing(4.4, 4.1 * len(panels), grid=False, text=11) as figure:
        for axis, (title, (distances, scatter, *present)) in zip(figure.subplots(len(panels), 1, squeeze=False).flat,
                                                       panels.items()):
            table = np.array(distances, float)
            table[np.diag_indices(len(table))] = scatter
            table /= np.asarray(distances)[np.triu_indices(len(table), 1)].mean()
            names = [EMOTIONS[k] for k in present[0]] if present else EMOTIONS
            squares(axis, table, "{:.1f}".format, names, cmap="Blues_r", vmin=0, vmax=2)
            for text in axis.texts[::len(table) + 1]:  # the diagonal
                text.set_fontweight("bold")
            axis.set(title=title)
        figure.set_label("Distances between the emotions' means, on the diagonal within each emotion. " + " ".join(
            in_words(title, part[0], *part[2:]) for title, part in panels.items()))
        return figure


def in_words(title, distances, classes=range(len(EMOTIONS))):
    """Which emotion's mean lies farthest from the others', and which two are closest; ``distances`` (C, C)."""
    apart = np.array(distances, float)
    far = apart.sum(0).argmax()
    np.fill_diagonal(apart, np.inf)
    far, first, second = (EMOTIONS[classes[k]] for k in (far, *np.unravel_index(apart.argmin(), apart.shape)))
    return f"{title}: {far} lies farthest from the others; {first} and {second} are closest."
