"""What tells a learner that an exercise is right, and what may have gone wrong: ``checks.eq1(mine)``.

A module for each notebook; ``CHECKS`` has all checks by their names, which are attributes here, too. Each is called
with a function or a value and returns a ``Verdict``, which a notebook shows as a line or two.
"""

from . import ablation, baseline, center_loss, data, own_faces, pca, reproduction, training
from .core import FunctionCheck, Mistake, ValueCheck, Verdict

CHECKS = {name: check for module in (data, baseline, center_loss, training, ablation, pca, reproduction, own_faces)
          for name, check in vars(module).items() if isinstance(check, (FunctionCheck, ValueCheck))}
globals().update(CHECKS)

__all__ = ["CHECKS", "FunctionCheck", "Mistake", "ValueCheck", "Verdict", *CHECKS]
