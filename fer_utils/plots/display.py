"""How every figure looks, and how one gets into a notebook with its alt text."""

import base64
import io
from contextlib import contextmanager

import matplotlib
import numpy as np
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from PIL import Image

from ..emotions import COLOURS, EMOTIONS
from ..errors import FerError

STYLE = {"axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left", "legend.frameon": False,
         "grid.alpha": 0.25, "grid.linewidth": 0.6}
INK, ACCENT, SECOND = "#26323E", COLOURS["anger"], COLOURS["sadness"]


@contextmanager
def drawing(width, height, *, grid=True, layout="constrained", text=10):
    """An empty figure, so many inches wide and high, in the style that all have while it is drawn; ``text`` in points:
    a phone scales a figure to some 370 px, 3.9 inches."""
    with matplotlib.rc_context({**STYLE, "axes.grid": grid, "font.size": text, "axes.titlesize": 1.1 * text}):
        yield Figure(figsize=(width, height), layout=layout)


def deep(colour):
    """A colour mixed with ink, for lines and outlines: light ones alone would be lost on white (WCAG asks for 3:1)."""
    return to_hex(0.6 * np.array(to_rgb(colour)) + 0.4 * np.array(to_rgb(INK)))


def readable_on(colour):
    """Black or white, whichever can be read on a background of this colour: one of them always has 4.5:1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return "black" if np.dot(linear, (0.2126, 0.7152, 0.0722)) > 0.179 else "white"


def squares(axis, table, spelled, names=EMOTIONS, **colours):
    """A table (C, C) of these emotions as coloured squares, in each its number as ``spelled`` writes it."""
    image = axis.imshow(table, **colours)
    for row, column in np.ndindex(table.shape):
        axis.text(column, row, spelled(table[row, column]), ha="center", va="center", fontsize=10,
                  color=readable_on(image.to_rgba(table[row, column])[:3]))
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axis.set_yticks(range(len(names)), names)


def show(figure, alt=None):
    """Display a figure with its alt text, by default the one that its plot function gave it as its label: a matplotlib
    one as PNG; a pair (plotly, matplotlib) as the first where plotly can run, and as the second's PNG where it cannot
    (GitHub, exported pages, print). Raises ``FerError`` for a figure that has no words of its own."""
    from IPython.display import display

    live, still = figure if isinstance(figure, tuple) else (None, figure)
    alt = alt or still.get_label()
    if not alt:
        raise FerError("this figure has no alt text for those who cannot see it; give one: show(figure, alt=\"…\").")
    bundle = {"text/plain": alt, "image/png": png(still)}
    if live is not None:
        bundle["application/vnd.plotly.v1+json"] = live.to_plotly_json()
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})


def png(figure, dpi=96):
    """A matplotlib figure as base64 PNG, a third of the size of true colour: 32 greys for faces, else a palette."""
    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    image = Image.open(buffer).convert("RGB")
    if np.ptp(np.asarray(image), axis=2).max() == 0:
        image = image.convert("L").point(lambda level: round(level / 255 * 31) * 255 // 31)
    else:
        image = image.quantize(192, dither=Image.Dither.NONE)
    image.save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def few_greys(image):
    """An image, uint8, in 16 levels from 0 to 1: beside colours, the noise of a face would take a PNG's palette."""
    return np.rint(image / 17) / 15


def picture(image):
    """An image (H, W) or (H, W, 3), uint8, as base64 PNG, pixel for pixel."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
