"""The interactive labs: sliders that call a pure function and redraw its figure. They need a running kernel; each
leaves a static picture and alt text for those who read without one."""

import ipywidgets
import numpy as np
from plotly import graph_objects as go

from . import plots
from .center_loss import simulate
from .faces import ACTION_UNITS, UNITS, draw_faces

# What each action unit does, in the words of the Facial Action Coding System.
UNIT_NAMES = {1: "inner brow raiser", 2: "outer brow raiser", 4: "brow lowerer", 5: "upper lid raiser",
              6: "cheek raiser", 7: "lid tightener", 9: "nose wrinkler", 12: "lip corner puller",
              15: "lip corner depressor", 16: "lower lip depressor", 20: "lip stretcher", 23: "lip tightener",
              26: "jaw drop"}


def center_lab(alpha=0.5, lam=0.2, seed=0):
    """Sliders for α and λ over the points and centres of ``simulate``: a widget that follows while one is dragged."""
    figure = go.FigureWidget(plots.moving_centers_live(simulate(alpha, lam, seed=seed)))
    alpha_slider = ipywidgets.FloatSlider(alpha, min=0, max=2.4, step=0.05, description="α", readout_format=".2f")
    lam_slider = ipywidgets.FloatSlider(lam, min=0, max=2, step=0.02, description="λ", readout_format=".2f")

    def follow(_):
        with figure.batch_update():
            plots.moving_centers_update(figure, simulate(alpha_slider.value, lam_slider.value, seed=seed))

    for slider in (alpha_slider, lam_slider):
        slider.observe(follow, "value")
    return ipywidgets.VBox([ipywidgets.HBox([alpha_slider, lam_slider]), figure])


def face_of(units, person=0, size=144, colour=True):
    """One drawn face with the given action units, {unit: intensity from 0 to 1}, of a person: uint8 (size, size, 3), or
    (size, size) without ``colour``, which is the same person in grey."""
    intensities = np.array([[units.get(unit, 0.0) for unit in UNITS]], np.float32)
    chance = np.random.Generator(np.random.PCG64(person))  # the same person whatever the face does
    return draw_faces(intensities, chance, size=size, noise=0.0, pose=0.0, light=0.5, colour=colour)[0]


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


def show(widget, still, alt):
    """Display a lab; where no kernel runs, the matplotlib figure ``still`` and the alt text stand in its place."""
    from IPython.display import display

    bundle = widget._repr_mimebundle_()
    bundle = {"application/vnd.jupyter.widget-view+json": bundle["application/vnd.jupyter.widget-view+json"],
              "text/plain": alt, "image/png": plots.png(still)}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})
