from .widget import photo_lab

__all__ = ["photo_lab"]
