"""What a network answers to one photo, as a picture."""

import numpy as np
from matplotlib.patches import Rectangle

from fer_utils.emotions import COLOURS, EMOTIONS
from fer_utils.plots.display import ACCENT, INK, deep, drawing

GREY = {"cmap": "gray", "vmin": 0, "vmax": 255}


def photo_answer(photo, box, face, probabilities, neighbours, beside=None):
    """A photo with its square, the face in it as the network gets it, a bar with name and number for each emotion, and
    below the nearest known faces.

    ``photo`` uint8 (H, W) or (H, W, 3); ``box``: (left, top, side); ``face``: what was cut out; ``probabilities`` (7,);
    ``neighbours``: pairs of a face and its title; ``beside``: (name, probabilities) of a second network, shown by
    diamonds.
    """
    probabilities = np.asarray(probabilities, float)
    # Upright and in large letters, for a phone; places by hand, because a lab draws this for every move of a slider.
    with drawing(5.3, 6.2, grid=False, layout=None, text=12) as figure:
        whole, seen, bars = (figure.add_axes(place) for place in (
            (0.0, 0.66, 0.54, 0.27), (0.59, 0.66, 0.4, 0.27), (0.21, 0.315, 0.78, 0.26)))
        whole.imshow(photo, **GREY)
        left, top, side = box
        for colour, width in (("white", 4), (ACCENT, 2)):  # seen on light and on dark
            whole.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, edgecolor=colour,
                                      linewidth=width, clip_on=False))
        whole.set(title="the photo and the square", anchor="W")
        seen.imshow(face, **GREY)
        seen.set(title=f"what the network gets\n({face.shape[1]} × {face.shape[0]} pixels)", anchor="W")
        largest = probabilities.argmax()
        colours = [COLOURS[name] for name in EMOTIONS]
        places = bars.barh(EMOTIONS, 100 * probabilities, height=0.7, color=colours,
                           edgecolor=[deep(colour) for colour in colours])
        places[largest].set(edgecolor=INK, linewidth=2)
        second = 100 * np.asarray(beside[1], float) if beside else np.full(len(EMOTIONS), -9)
        for row, (share, other) in enumerate(zip(100 * probabilities, second)):
            in_the_way = share - 4 < other < share + 19
            bars.text(max(share + 1.5, (other + 4) * in_the_way), row, f"{share:.0f} %", va="center", color=INK,
                      fontweight="bold" if row == largest else "normal")
        if beside:
            bars.plot(second, EMOTIONS, "D", color=INK, markeredgecolor="white", markersize=7, clip_on=False)
            for row, other in enumerate(second):
                bars.text(152, row, f"◆ {other:.0f} %", va="center", ha="right", color=INK)
        bars.invert_yaxis()
        bars.set(title=f"what it says (◆ {beside[0]})" if beside else "what it says",
                 xlim=(0, 152 if beside else 118), xticks=())
        bars.spines[["bottom"]].set_visible(False)
        bars.tick_params(axis="y", length=0)
        count = len(neighbours)
        row = [figure.add_axes((k / count, 0.0, 0.96 / count, 0.16)) for k in range(count)]
        for axis, (image, title) in zip(row, neighbours):
            axis.imshow(image, **GREY)
            axis.set_title(title, fontsize=12, loc="center")
        figure.text(0.0, 0.26, "the nearest known faces, by their features", fontsize=13.2)
        for axis in (whole, seen, *row):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        return figure
