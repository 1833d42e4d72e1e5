from .simulation import simulate
from .still import moving_centers
from .widget import center_lab

__all__ = ["center_lab", "moving_centers", "simulate"]
