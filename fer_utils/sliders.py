"""The interactive labs: sliders that call a pure function and redraw its figure. They need a running kernel; each
leaves a static picture and alt text for those who read without one."""

import ipywidgets
from plotly import graph_objects as go

from . import plots
from .center_loss import simulate


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


def show(widget, still, alt):
    """Display a lab; where no kernel runs, the matplotlib figure ``still`` and the alt text stand in its place."""
    from IPython.display import display

    bundle = widget._repr_mimebundle_()
    bundle = {"application/vnd.jupyter.widget-view+json": bundle["application/vnd.jupyter.widget-view+json"],
              "text/plain": alt, "image/png": plots.png(still)}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})
