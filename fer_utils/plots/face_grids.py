"""Pictures of the data: faces in rows, and how many there are of each class."""

from itertools import zip_longest

import numpy as np

from ..emotions import EMOTIONS
from .display import ACCENT, INK, SECOND, drawing, few_greys


def face_wall(dataset, per_class=10, seed=0):
    """One row of faces per emotion, drawn at random."""
    rng = np.random.default_rng(seed)
    rows = []
    for label in range(len(EMOTIONS)):
        chosen = rng.permutation(np.flatnonzero(dataset.labels == label))[:per_class]
        rows.append([dataset.images[k] for k in chosen] + [None] * (per_class - len(chosen)))
    return face_grid(rows, row_titles=EMOTIONS)


def face_grid(rows, row_titles=None, column_titles=None, captions=None, inches=0.72):
    """Images (H, W) or (H, W, 3), uint8 or float in [0, 1], in a grid given row by row; None leaves a gap. ``captions``
    stand above each image, given row by row, too."""
    columns, above = max(map(len, rows)), captions or [column_titles or ()]
    gap = 0.12 + 0.2 * (captions[0][0].count("\n") + 1) if captions else 0  # inches between two rows, for their lines
    height = len(rows) * (inches + gap) + (0.3 if column_titles else 0)
    with drawing(columns * inches + 0.9, height, layout=None) as figure:
        spaces = {"wspace": 0.04, "hspace": gap / inches or 0.04}
        axes = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw=spaces)
        for row, images in zip(axes, rows):
            for axis, image in zip_longest(row, images):
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
                if image is not None:
                    axis.imshow(image, cmap="gray", vmin=0, vmax=255 if image.dtype == np.uint8 else 1)
        for row, titles in zip(axes, above):
            for axis, title in zip(row, titles):
                axis.set_title(title, fontsize=8.5, loc="center")
        for axis, title in zip(axes[:, 0], row_titles or ()):
            axis.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=11)
        return figure


def saliency_maps(images, regions, maps, row_titles):
    """Faces and where a network looks, a row for each face with the true region outlined: ``images`` uint8 (N, H, W) or
    (N, H, W, 3), ``regions`` bool (N, H, W), ``maps`` {title: float (N, H, W)}. What is positive in a map is blue, up
    to its own largest value."""
    told = []
    with drawing(1.375 * (1 + len(maps)), 1.3 * len(images) + 0.5, grid=False, text=12) as figure:
        rows = figure.subplots(len(images), 1 + len(maps), squeeze=False)
        for row, (axes, image, region, title) in enumerate(zip(rows, images, regions, row_titles)):
            axes[0].imshow(few_greys(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes[0].set_ylabel(title)
            for axis, (name, values) in zip(axes[1:], maps.items()):
                mass = np.maximum(values[row], 0)
                axis.imshow(mass, cmap="Blues", vmin=0, vmax=mass.max() or 1)
                inside = 100 * mass[region].sum() / (mass.sum() or 1)
                told.append(f"{' '.join(f'{title}, {name}'.split())}: {inside:.0f} % inside.")
            for axis, name in zip(axes, ("the face", *maps)):
                axis.contour(region, [0.5], colors=ACCENT, linewidths=1.2)
                axis.set(xticks=[], yticks=[], title="" if row else name)
        figure.set_label(f"Faces with the true region outlined, and how much of each map lies inside. {' '.join(told)}")
        return figure


def class_shares(shares):
    """Bars of each class's share in percent; ``shares``: {name of the data set: (7,) shares in [0, 1]}."""
    with drawing(5.2, 4, text=12) as figure:
        axis = figure.subplots()
        width = 0.8 / len(shares)
        hatches, tones = ("", "//", "..", "xx"), (INK, ACCENT, SECOND, "#8A8A8A")
        for k, (name, values) in enumerate(shares.items()):
            axis.bar(np.arange(len(EMOTIONS)) + (k - (len(shares) - 1) / 2) * width, 100 * np.asarray(values), width,
                     label=name, color="white" if k else tones[0], edgecolor=tones[k], hatch=hatches[k], linewidth=1)
        axis.set_xticks(range(len(EMOTIONS)), EMOTIONS, rotation=40, ha="right")
        axis.set_ylabel("share of the training images (%)")
        axis.grid(axis="x", visible=False)
        figure.legend(loc="outside upper left", ncols=2)
        return figure
