from .simulation import simulate
from .still import beside_softmax
from .widget import center_lab

__all__ = ["beside_softmax", "center_lab", "simulate"]
