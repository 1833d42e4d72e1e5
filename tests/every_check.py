"""The checks of all notebooks by their names, as attributes and in ``CHECKS``."""

from importlib import import_module

from fer_course.checks.verdict import FunctionCheck, ValueCheck

MODULES = [import_module(f"fer_course.checks.notebook_{number:02d}") for number in range(1, 9)]
CHECKS = {name: check for module in MODULES for name, check in vars(module).items()
          if isinstance(check, (FunctionCheck, ValueCheck))}
globals().update(CHECKS)
