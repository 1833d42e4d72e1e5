"""The explorer of stored runs as a widget."""

import json
import string
from numbers import Real

import anywidget
import numpy as np
import traitlets

from fer_utils.emotions import COLOURS, EMOTIONS, MARKERS
from fer_utils.errors import FerError

from ..shared import module_source
from .still import result_panels


class ResultsLab(anywidget.AnyWidget):
    """The explorer of ``results_lab.js``; ``chosen`` is the place, in ``cells``, of the run that it shows. Setting it
    moves the pictures."""

    module = "results_lab"
    _esm = module_source(module)
    data = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)

    def __init__(self, cells, chosen):
        self.cells = cells
        super().__init__(data=_packed(cells), chosen=chosen)

    @traitlets.validate("chosen")
    def _there(self, proposal):
        if not 0 <= proposal.value < len(self.cells):
            raise FerError(f"chosen={proposal.value}: choose a cell from 0 to {len(self.cells) - 1}.")
        return proposal.value

    @property
    def options(self):
        """What a page without a kernel needs."""
        return {"data": self.data, "chosen": self.chosen}

    @property
    def cell(self):
        """The chosen cell, its points as they are drawn."""
        return self.cells[self.chosen]

    def still(self):
        """(figure, alt text) of the chosen cell."""
        words = (f"Three panels for one of {len(self.cells)} stored runs. {in_words(self.cell)} Top: training and "
                 "validation accuracy by epoch. Middle: the confusion matrix in percent of each true class. Below: the "
                 "faces' features in the plane of two principal components, each emotion with its colour and marker. "
                 "The live page has a control for each parameter.")
        return result_panels(self.cell), words


def results_lab(cells, start=None):
    """The explorer of stored runs: a slider for each parameter with numbers, buttons for words; learning curves,
    confusion matrix and features of the chosen run, and the accuracy of all runs below. Returns a ``ResultsLab``.

    ``cells``: for each run a dict with ``parameters`` {name: a number, a word, or None where it has no meaning},
    ``accuracy`` in percent, ``ratio`` (None where it is not defined), ``curves`` {"training", "validation"} in percent
    by epoch, ``confusion`` counts (7, 7) with true classes in rows, ``points`` (N, 2) on two principal components with
    N up to 500, and their ``labels`` (N,). ``start``: parameters of the cell to begin with; as many as are needed.

    Points are shown about their mean, in units of their own spread, the root mean square distance from the mean. An
    axis on which the classes would lie mirrored to the first cell is turned, for a component's sign means nothing. A
    parameter called "seed" counts as a repetition. Raises ``FerError`` for cells that do not fit together.
    """
    if not isinstance(cells, (list, tuple)) or not cells:
        raise FerError("results_lab was given no cells; give a list with one dict for each finished run.")
    checked = [_checked(cell, f"cell {place}") for place, cell in enumerate(cells)]
    names = list(checked[0]["parameters"])
    for place, cell in enumerate(checked):
        if set(cell["parameters"]) != set(names):
            raise FerError(f"cell {place} has the parameters {', '.join(cell['parameters'])}, and cell 0 has "
                           f"{', '.join(names)}; all need the same names, with None where one has no meaning.")
        cell["parameters"] = {name: cell["parameters"][name] for name in names}
        if cell["parameters"] in [other["parameters"] for other in checked[:place]]:
            raise FerError(f"cell {place}: another cell has the same parameters, {_named(cell)}; one run each.")
        _turn(cell, checked[0])
    farthest = max(np.percentile(np.abs(cell["points"]), 99.5) for cell in checked)
    for cell in checked:
        cell["reach"] = min(max(int(np.ceil(4 * farthest)) / 4, 1.0), 3.0)  # the same axes for all
    for name in names:
        if len({isinstance(cell["parameters"][name], str) for cell in checked
                if cell["parameters"][name] is not None}) > 1:
            raise FerError(f"{name} is a number in some cells and a word in others; make it one of them.")
    for what, values in (("accuracy", [cell["accuracy"] for cell in checked]),
                         ("curves", [v for cell in checked for curve in cell["curves"].values() for v in curve])):
        if max(values) <= 1:
            raise FerError(f"no value of {what} is above 1; give percent: multiply shares by 100.")
    wanted = {name: _value(value, name, "start") for name, value in (start or {}).items()}
    fitting = [place for place, cell in enumerate(checked) if wanted.items() <= cell["parameters"].items()]
    if not fitting:
        raise FerError(f"start={start}: no cell has these parameters; the first has {_named(checked[0])}.")
    return ResultsLab(checked, fitting[0])


def in_words(cell):
    """A cell of ``results_lab`` in one or two sentences, as the explorer says them."""
    counts, validation = np.asarray(cell["confusion"]), cell["curves"]["validation"]
    ratio = "not defined" if cell["ratio"] is None else f"{cell['ratio']:.2f}"
    mistakes = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1) * (1 - np.eye(len(counts)))
    true, taken = np.unravel_index(mistakes.argmax(), mistakes.shape)
    mistaken = (f"Most often mistaken: {EMOTIONS[true]}, taken for {EMOTIONS[taken]} in "
                f"{int(mistakes.max() + 0.5)} % of its faces." if mistakes.any() else "No face is mistaken.")
    return (f"{_named(cell)}: accuracy {cell['accuracy']:.1f} %, intra/inter-class distance {ratio}. Best validation "
            f"epoch {np.argmax(validation) + 1} of {len(validation)}, {max(validation):.1f} %. {mistaken}")


def _named(cell):
    return ", ".join(f"{name} {'none' if value is None else value if isinstance(value, str) else f'{value:g}'}"
                     for name, value in cell["parameters"].items())


def _value(value, name, where):
    """A parameter's value as JSON has it: a word, a number, or None (NaN too: so pandas writes what is not there)."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, Real) or isinstance(value, bool) or value in (float("inf"), -float("inf")):
        raise FerError(f"{where}: {name}={value!r}; a parameter is a number, a word, or None.")
    return None if value != value else int(value) if value == int(value) else float(value)


def _checked(cell, where):
    """A cell with everything rounded and in plain Python; raises ``FerError`` for what cannot be drawn."""
    keys = ("parameters", "accuracy", "ratio", "curves", "confusion", "points", "labels")
    missing = [key for key in keys if key not in cell] if isinstance(cell, dict) else keys
    if missing or not isinstance(cell["parameters"], dict) or not cell["parameters"]:
        raise FerError(f"{where} lacks {', '.join(missing) or 'parameters'}; a cell is a dict with {', '.join(keys)}.")

    def numbers(values, what, shape, low, high):
        try:
            array = np.asarray(values, float)
        except (TypeError, ValueError):
            array = np.array(np.nan)
        fits = array.ndim == len(shape) and array.size and all(want in (None, n) for want, n in zip(shape, array.shape))
        if not fits or not ((array >= low) & (array <= high)).all():
            shown = ", ".join("N" if want is None else str(want) for want in shape)
            raise FerError(f"{where}: {what} must be numbers from {low:g} to {high:g} of shape ({shown}), and are not.")
        return array

    curves = {name: numbers(cell["curves"].get(name) if isinstance(cell["curves"], dict) else None,
                            f"curves[{name!r}]", (None,), 0, 100).round(1).tolist()
              for name in ("training", "validation")}
    confusion = numbers(cell["confusion"], "confusion", (len(EMOTIONS), len(EMOTIONS)), 0, 1e9)
    points = numbers(cell["points"], "points", (None, 2), -1e30, 1e30)
    labels = numbers(cell["labels"], "labels", (None,), 0, len(EMOTIONS) - 1)
    ratio = cell["ratio"]
    if ratio is not None:  # features that fell into one point have none: 0/0
        ratio = numbers(ratio, "ratio", (), 0, float("inf")).item() if ratio == ratio else None
    problem = ("training and validation have different numbers of epochs" * (len(set(map(len, curves.values()))) > 1)
               or f"{len(points)} points and {len(labels)} labels" * (len(points) != len(labels))
               or "more than 500 points; draw about 200" * (len(points) > 500)
               or "confusion and labels must be whole numbers" * bool((confusion % 1).any() or (labels % 1).any())
               or "the confusion matrix counts no face" * (not confusion.any()))
    if problem:
        raise FerError(f"{where}: {problem}.")
    points = points - points.mean(0)
    spread = float(np.sqrt((points**2).sum(1).mean()))
    return {"parameters": {str(name): _value(value, name, where) for name, value in cell["parameters"].items()},
            "accuracy": round(float(numbers(cell["accuracy"], "accuracy", (), 0, 100)), 1),
            "ratio": None if ratio in (None, float("inf")) else round(ratio, 2), "curves": curves,
            "confusion": confusion.astype(int).tolist(), "spread": float(f"{spread:.3g}"),
            "points": (points / (spread or 1)).round(2), "labels": labels.astype(int)}


def _turn(cell, first):
    """Mirror a cell's axes, in place, where its classes lie the other way round than in the first cell."""
    def means(it):
        return np.array([it["points"][it["labels"] == k].mean(0) if k in it["labels"] else (0, 0)
                         for k in range(len(EMOTIONS))])

    cell["points"] = cell["points"] * np.where((means(cell) * means(first)).sum(0) < 0, -1.0, 1.0)


def _packed(cells):
    """All that ``results_lab.js`` reads, as one line of JSON: a list of numbers would take a line each in a notebook.
    A point takes four characters; labels that all cells share stand there once."""
    parameters = []
    for name in cells[0]["parameters"]:
        values = list(dict.fromkeys(cell["parameters"][name] for cell in cells))
        numeric = not any(isinstance(value, str) for value in values)
        values.sort(key=lambda value: (value is not None, value if numeric and value is not None else 0))
        parameters.append({"name": name, "stops": values, "numeric": numeric})
    digits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"

    def stored(cell):
        hundredths = np.clip(np.rint(100 * cell["points"]), -2048, 2047).astype(int).ravel() + 2048
        labels = "".join(map(str, cell["labels"]))
        return {"values": [it["stops"].index(cell["parameters"][it["name"]]) for it in parameters],
                **{name: cell[name] for name in ("accuracy", "ratio", "spread")}, **cell["curves"],
                "confusion": sum(cell["confusion"], []), **({"labels": labels} if labels != shared else {}),
                "points": "".join(digits[number >> 6] + digits[number & 63] for number in hundredths)}

    shared = "".join(map(str, cells[0]["labels"]))
    classes = [{"name": name, "colour": COLOURS[name], "marker": MARKERS[name]} for name in EMOTIONS]
    return json.dumps({"classes": classes, "parameters": parameters, "labels": shared, "reach": cells[0]["reach"],
                       "cells": list(map(stored, cells))}, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
