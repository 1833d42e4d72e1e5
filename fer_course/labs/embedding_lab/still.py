"""The lab of features in the plane without a kernel: where one face lies, what is near it, and the answers."""

import numpy as np

from fer_utils.emotions import EMOTIONS
from fer_utils.plots.display import ACCENT, INK, drawing, few_greys
from fer_utils.plots.projections import in_words, scatter


def embedding_panels(faces, views, chosen, *, with_faces):
    """Each network's plane with a ring around the ``chosen`` face and lines to its nearest; below, ``with_faces``, the
    face and these. ``views`` as in ``EmbeddingLab``."""
    number, across = len(views), len(next(iter(views.values()))["near"][0]) + 1
    below = 1.45 * number if with_faces else 0
    with drawing(5.5, 3.6 + below, text=12) as figure:
        planes, *rows = figure.subfigures(1 + number * with_faces, 1, squeeze=False,
                                          height_ratios=[3.6] + [1.45] * number * with_faces)[:, 0]
        for axis, (name, view) in zip(planes.subplots(1, number, squeeze=False)[0], views.items()):
            scatter(axis, view["points"], faces.labels)
            here = view["points"][chosen]
            for place in view["points"][view["near"][chosen]]:
                axis.plot(*np.stack([here, place]).T, color=INK, linewidth=1)
            axis.plot(*here, "o", markersize=13, markerfacecolor="none", markeredgecolor=ACCENT, markeredgewidth=2)
            axis.set(title=f"{name}, test faces", xlabel="component 1", ylabel="component 2", xticks=(), yticks=())
        planes.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3, markerscale=1.8)
        for row, (name, view) in zip(rows, views.items()):
            answer = view["answers"][chosen]
            row.suptitle(f"{name} says {EMOTIONS[answer.argmax()]}, {answer.max()} %; the face and its nearest",
                         x=0.01, ha="left", fontsize=11)
            for axis, face in zip(row.subplots(1, across), [chosen, *view["near"][chosen]]):
                axis.imshow(few_greys(faces.images[face]), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                axis.set(xticks=(), yticks=())
                axis.spines[:].set_visible(False)
                axis.set_title(EMOTIONS[faces.labels[face]], fontsize=11, loc="center",
                               fontweight="bold" if face == chosen else "normal")
        figure.set_label("Points of the emotions in a plane, each with its colour and marker. " + " ".join(
            in_words(name, *_means(view["points"], faces.labels)) for name, view in views.items()))
        return figure


def _means(points, labels):
    """Distances (C, C) between the classes' means, and the classes."""
    classes = np.unique(labels)
    means = np.array([points[labels == k].mean(0) for k in classes])
    return np.linalg.norm(means[:, None] - means, axis=2), classes
