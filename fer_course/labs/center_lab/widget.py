"""The lab of centre loss as a widget."""

import anywidget
import traitlets

from ..shared import module_source
from .simulation import LARGEST_BATCH, RULES, simulate
from .still import beside_softmax

ALT = ("Unseen points of seven classes in the plane: on the left after training with softmax alone, beside it with "
       "centre loss added. Bars show the recall of each class for both. Sliders change lambda, alpha, the batch size, "
       "the imbalance of the classes and the seed; buttons ask for a prediction first.")


class CenterLab(anywidget.AnyWidget):
    """The lab of ``center_lab.js``. What the reader chose is in ``lam``, ``alpha``, ``batch``, ``update``,
    ``imbalance`` and ``seed``, and setting one of them moves the picture. The browser computes, with the twin of
    ``simulation.simulate``."""

    module = "center_lab"
    _esm = module_source(module)
    lam = traitlets.CFloat(0.2, min=0).tag(sync=True)
    alpha = traitlets.CFloat(0.5, min=0).tag(sync=True)
    batch = traitlets.Int(62, min=1, max=LARGEST_BATCH).tag(sync=True)
    update = traitlets.Enum(RULES, "eq2").tag(sync=True)
    imbalance = traitlets.CFloat(1.0, min=0, max=1).tag(sync=True)
    seed = traitlets.Int(0, min=0).tag(sync=True)

    @property
    def options(self):
        """The values as a dict, for ``simulate`` and for pages without a kernel."""
        return {name: getattr(self, name) for name in ("lam", "alpha", "batch", "update", "imbalance", "seed")}

    def still(self):
        """(figure, alt text) where the sliders stand."""
        return beside_softmax(simulate(**self.options)), ALT


def center_lab(lam=0.2, alpha=0.5, seed=0, *, batch=62, update="eq2", imbalance=1.0):
    """The model of ``simulate`` with sliders, softmax alone beside it. Returns a ``CenterLab``. Raises ``FerError`` for
    what ``simulate`` would not take."""
    options = {"lam": lam, "alpha": alpha, "seed": seed, "batch": batch, "update": update, "imbalance": imbalance}
    simulate(**options, steps=0)
    return CenterLab(**options)
