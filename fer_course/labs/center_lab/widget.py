"""The lab of centre loss as a widget."""

import anywidget
import traitlets

from ..shared import module_source
from .simulation import RULES, simulate
from .still import moving_centers

ALT = ("Left: three classes of points in the plane with their centres and the centres' paths. Right: cross-entropy "
       "and centre loss fall step by step; below, a gauge shows rho. Sliders change alpha, lambda and the batch "
       "size, buttons the rule for the centres: Eq. 2, SGD or Adam.")


class CenterLab(anywidget.AnyWidget):
    """The lab of ``center_lab.js``. What the reader chose is in ``alpha``, ``lam``, ``batch``, ``update`` and ``seed``,
    and setting one of them moves the picture. The browser computes, with the twin of ``simulation.simulate``."""

    module = "center_lab"
    _esm = module_source(module)
    alpha = traitlets.CFloat(0.5, min=0).tag(sync=True)
    lam = traitlets.CFloat(0.2, min=0).tag(sync=True)
    batch = traitlets.Int(24, min=1, max=90).tag(sync=True)
    update = traitlets.Enum(RULES, "eq2").tag(sync=True)
    seed = traitlets.Int(0, min=0).tag(sync=True)

    @property
    def options(self):
        """The values as a dict, for ``simulate`` and for pages without a kernel."""
        return {name: getattr(self, name) for name in ("alpha", "lam", "batch", "update", "seed")}

    def still(self):
        """(figure, alt text) where the sliders stand."""
        return moving_centers(simulate(**self.options)), ALT


def center_lab(alpha=0.5, lam=0.2, seed=0, *, batch=24, update="eq2"):
    """Points, centres and losses of ``simulate`` with sliders for α, λ, the batch and the update rule; play and step.
    Returns a ``CenterLab``. Raises ``FerError`` for what ``simulate`` would not take."""
    simulate(alpha, lam, batch=batch, update=update, seed=seed, steps=0)
    return CenterLab(alpha=alpha, lam=lam, batch=batch, update=update, seed=seed)
