"""The small package behind the course: what the paper's method needs, one module per noun, each read in one sitting."""

from .version import __version__, require_version

__all__ = ["__version__", "require_version"]
