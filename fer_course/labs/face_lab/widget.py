"""The lab of the drawn face: sliders for its action units."""

import ipywidgets
import numpy as np

from fer_utils import plots
from fer_utils.faces import ACTION_UNITS, UNITS, draw_faces

# What each action unit does, in the words of the Facial Action Coding System.
UNIT_NAMES = {1: "inner brow raiser", 2: "outer brow raiser", 4: "brow lowerer", 5: "upper lid raiser",
              6: "cheek raiser", 7: "lid tightener", 9: "nose wrinkler", 12: "lip corner puller",
              15: "lip corner depressor", 16: "lower lip depressor", 20: "lip stretcher", 23: "lip tightener",
              26: "jaw drop"}


def face_of(units, person=0, size=144, colour=True):
    """One drawn face with the given action units, {unit: intensity from 0 to 1}, of a person: uint8 (size, size, 3), or
    (size, size) without ``colour``, which is the same person in grey."""
    intensities = np.array([[units.get(unit, 0.0) for unit in UNITS]], np.float32)
    rng = np.random.Generator(np.random.PCG64(person))  # the same person whatever the face does
    return draw_faces(intensities, rng, size=size, noise=0.0, pose=0.0, light=0.5, colour=colour)[0]


def face_lab(emotion="neutral", person=0):
    """A slider for each action unit, a choice of prototypes and of persons, and the face that follows: in colour, and
    beside it as a network gets it."""
    picture = ipywidgets.HTML()
    prototype = ipywidgets.Dropdown(options=list(ACTION_UNITS), value=emotion, description="prototype")
    who = ipywidgets.IntSlider(person, min=0, max=50, description="person")
    sliders = {unit: ipywidgets.FloatSlider(0, min=0, max=1, step=0.05, description=f"{unit} {name}",
                                            style={"description_width": "170px"}, layout={"width": "400px"})
               for unit, name in UNIT_NAMES.items()}

    def follow(_=None):
        units = {unit: slider.value for unit, slider in sliders.items()}
        shown = ", ".join(str(unit) for unit in units if units[unit]) or "none"
        large, small = face_of(units, who.value, 240), face_of(units, who.value, 48, colour=False)
        picture.value = (f'<img width="288" alt="A drawn face with the action units: {shown}" '
                         f'src="data:image/png;base64,{plots.picture(large)}"> <img width="96" '
                         'style="image-rendering: pixelated" alt="The same face in grey, 48 by 48 pixels" '
                         f'src="data:image/png;base64,{plots.picture(small)}">')

    def choose(_=None):
        for unit, slider in sliders.items():
            slider.value = float(unit in ACTION_UNITS[prototype.value])
        follow()

    for slider in (*sliders.values(), who):
        slider.observe(follow, "value")
    prototype.observe(choose, "value")
    choose()
    return ipywidgets.HBox([ipywidgets.VBox([prototype, who, picture]), ipywidgets.VBox(list(sliders.values()))])
