"""Paths and numbers as people write them: one function for each, used wherever one comes in."""

import os
import re
from pathlib import Path

import numpy as np

from .errors import FerError

NUMBER = re.compile(r"[+-]?(\d{1,100}\.?\d{0,100}|\.\d{1,100})(e[+-]?\d{1,9})?", re.IGNORECASE | re.ASCII)
WORDS = {"true": True, "false": False, "none": None, "null": None}


def path_of(written):
    """The ``Path`` that is meant, with ``~`` and variables (``$HOME``) resolved; ``FerError`` for what is no path, and
    for a variable that isn't set: nobody wants a folder of its name."""
    try:
        path = Path(os.path.expanduser(os.path.expandvars(written)))
    except (TypeError, ValueError) as error:
        raise FerError(f"{written!r} is no path ({error}); give a text or a path.") from error
    unset = re.search(r"\$(\w+|\{\w+\})", str(path))
    if unset and not os.path.exists(path):
        raise FerError(f"{written}: the variable {unset[0]} is not set; set it, or write out the path.")
    return path


def value_of(written):
    """What is meant: the number of a text ("1e-3", ".1", "+0.2", "01") or of a scalar of numpy, pandas or torch; True,
    False and None for their words; of lists, arrays and dicts each part; and anything else as it is."""
    if isinstance(written, str):
        text = written.strip()
        if NUMBER.fullmatch(text):
            return int(text) if text.lstrip("+-").isdigit() else float(text)
        return WORDS.get(text.lower(), written)
    if isinstance(written, dict):
        return {name: value_of(value) for name, value in written.items()}
    if hasattr(written, "__array__"):
        written = np.asarray(written)[()]
    if isinstance(written, (list, tuple, np.ndarray)):
        return [value_of(value) for value in written]
    if isinstance(written, np.floating):
        return float(str(written))  # 0.1 of single precision is 0.1, not 0.10000000149
    return written.item() if isinstance(written, np.generic) else written


def whole_of(written):
    """``value_of`` where a whole number is wanted: pandas makes 1.0 of a 1 in a column with gaps."""
    value = value_of(written)
    return int(value) if isinstance(value, float) and value.is_integer() else value
