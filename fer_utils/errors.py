"""The one exception that this package raises on purpose, and what several of its messages share."""

import difflib
from importlib import import_module


class FerError(ValueError):
    """Something that the caller can mend: the message says what is wrong, where, and what to do."""


def optional_import(name, packages=None):
    """The module of this name; ``FerError`` where it is not installed, with the ``packages`` that bring it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise FerError(f"{name} is not installed: pip install {packages or name}") from error


def did_you_mean(name, names):
    """A question for the one of ``names`` that is nearly this one; empty where none is."""
    close = difflib.get_close_matches(str(name), names, 1)
    return f"did you mean {close[0]!r}? " if close else ""
