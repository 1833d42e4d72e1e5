"""What tells a learner that an exercise is right, and what may have gone wrong: ``checks.eq1(mine)``.

A module for each notebook; ``CHECKS`` has all checks by their names. Each is called with a function or a value and
returns a ``Verdict``, which a notebook shows as one line.
"""

from .center_loss import eq1
from .core import FunctionCheck, Mistake, ValueCheck, Verdict

CHECKS = {name: check for name, check in globals().items() if isinstance(check, (FunctionCheck, ValueCheck))}

__all__ = ["CHECKS", "FunctionCheck", "Mistake", "ValueCheck", "Verdict", *CHECKS]
