"""Pictures of features in space and of what the plane hides."""

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from plotly import graph_objects as go
from plotly.subplots import make_subplots

from ..emotions import COLOURS, EMOTIONS, MARKERS
from .display import STYLE, SYMBOLS, deep, readable_on

AXES = ("first", "second", "third component")
SYMBOLS_3D = {"^": "diamond-open", "s": "square", "X": "x", "o": "circle", "P": "cross", "v": "square-open",
              "D": "diamond", "*": "circle-open"}  # plotly has these eight in space


def projections(panels, axes=("first principal component", "second")):
    """2-D points of each class; ``panels``: {title: (points (N, 2), labels (N,))}; ``axes``: what x and y are."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(panels), 4.3), layout="constrained")
        for axis, (title, (points, labels)) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
            scatter(axis, points, labels)
            axis.set(title=title, xlabel=axes[0], ylabel=axes[1])
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=7, markerscale=1.6,
                      fontsize=9)
        return figure


def projections_live(panels):
    """``projections`` as a plotly figure in which classes can be switched on and off."""
    figure = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=0.06)
    for column, (points, labels) in enumerate(panels.values(), start=1):
        for label, name in enumerate(EMOTIONS):
            x, y = compact(points, labels == label)
            figure.add_trace(go.Scatter(
                x=x, y=y, mode="markers", name=name,
                legendgroup=name, showlegend=column == 1, hovertemplate=f"{name}<extra></extra>",
                marker={"color": _pale(COLOURS[name]), "symbol": SYMBOLS[MARKERS[name]], "size": 6,
                        "line": {"color": deep(COLOURS[name]), "width": 0.8}}),
                row=1, col=column)
    return figure.update_layout(height=450, template="none", margin={"l": 40, "r": 10, "t": 40, "b": 30},
                                legend={"orientation": "h", "y": -0.12})


def space_live(panels):
    """3-D points as a plotly figure that can be turned; ``panels``: {title: (points (N, 3), labels (N,))}."""
    figure = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=0.02,
                           specs=[[{"type": "scene"}] * len(panels)])
    for column, (points, labels) in enumerate(panels.values(), start=1):
        for label, name in enumerate(EMOTIONS):
            x, y, z = compact(points, np.asarray(labels) == label)[:3]
            figure.add_trace(go.Scatter3d(
                x=x, y=y, z=z, mode="markers", name=name, legendgroup=name, showlegend=column == 1,
                hovertemplate=f"{name}<extra></extra>",
                marker={"color": COLOURS[name], "symbol": SYMBOLS_3D[MARKERS[name]], "size": 3,
                        "line": {"color": deep(COLOURS[name]), "width": 1}}),
                row=1, col=column)
    titles = {f"{axis}axis_title": title for axis, title in zip("xyz", AXES)}
    return figure.update_scenes(**titles).update_layout(
        height=480, template="none", margin={"l": 0, "r": 0, "t": 40, "b": 10}, legend={"orientation": "h"})


def scatter(axis, points, labels):
    """Points of each class in its colour and its marker; the fill is pale, the outline dark enough to be seen."""
    for label, name in enumerate(EMOTIONS):
        mine = labels == label
        axis.scatter(points[mine, 0], points[mine, 1], s=12, facecolors=(COLOURS[name], 0.6), marker=MARKERS[name],
                     edgecolors=deep(COLOURS[name]), linewidths=0.4, label=name)


def _pale(colour):
    return "rgba({:.0f}, {:.0f}, {:.0f}, 0.65)".format(*(255 * part for part in to_rgb(colour)))


def compact(points, rows):
    """The coordinates of some points, one array for each axis: plotly stores arrays of single precision in a line of
    base64, and a list one number a line."""
    return np.asarray(points, np.float32)[rows].T.copy()


def mean_distances(panels):
    """Distances between class means (off the diagonal) and within classes (on it), divided by the mean distance between
    classes; ``panels``: {title: (distances (C, C), scatter (C,))}, both in the full dimension."""
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(4.7 * len(panels), 4.3), layout="constrained")
        for axis, (title, (distances, scatter)) in zip(figure.subplots(1, len(panels), squeeze=False)[0],
                                                       panels.items()):
            table = np.array(distances, float)
            table[np.diag_indices(len(table))] = scatter
            table /= np.asarray(distances)[np.triu_indices(len(table), 1)].mean()
            squares = axis.imshow(table, cmap="Blues_r", vmin=0, vmax=2)
            for row, column in np.ndindex(table.shape):
                axis.text(column, row, f"{table[row, column]:.1f}", ha="center", va="center", fontsize=8.5,
                          color=readable_on(squares.to_rgba(table[row, column])[:3]),
                          fontweight="bold" if row == column else "normal")
            axis.set_xticks(range(len(table)), EMOTIONS, rotation=40, ha="right")
            axis.set_yticks(range(len(table)), EMOTIONS)
            axis.set(title=title)
        return figure
