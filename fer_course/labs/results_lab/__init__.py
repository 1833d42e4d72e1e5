from .widget import results_lab

__all__ = ["results_lab"]
