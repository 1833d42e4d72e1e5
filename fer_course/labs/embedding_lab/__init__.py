from .widget import embedding_lab

__all__ = ["embedding_lab"]
