"""What the labs share: how their JavaScript is put together, and how a lab gets into a notebook."""

from pathlib import Path

from fer_utils import plots

FOLDER = Path(__file__).parent


def module_source(name):
    """A lab's JavaScript as one module: what the labs share, and its own."""
    paths = FOLDER / "lab.js", FOLDER / name / f"{name}.js"
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def show_lab(widget, still, alt):
    """Display a lab; where no kernel runs, the matplotlib figure ``still`` and the alt text stand in its place. The
    output's metadata keep the options of a lab with a module: a web page made of the notebook makes it live again. A
    lab whose ``options`` are None stays out of them."""
    from IPython.display import display

    bundle = widget._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle  # anywidget gives the metadata too
    bundle = {"application/vnd.jupyter.widget-view+json": bundle["application/vnd.jupyter.widget-view+json"],
              "text/plain": alt, "image/png": plots.png(still)}
    options = getattr(widget, "options", None) if hasattr(widget, "module") else None
    lab = {"lab": {"module": widget.module, "options": options}} if options else {}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt, **lab}})
