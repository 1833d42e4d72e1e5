"""How an answer is judged: against a reference on random cases, and against the wrong answers that are often given.

A check never stops a notebook: an untouched stub is told so, and so is an error in the learner's own lines.
"""

import copy
import textwrap
import traceback
from dataclasses import dataclass

import numpy as np
import torch

SIGNS = {"right": "✓ Right.", "wrong": "✗ Not yet.", "open": "○ Not attempted yet."}


@dataclass(frozen=True)
class Verdict:
    """What a check found. ``state``: "right", "wrong" or "open" (not attempted); true where it is right."""

    state: str
    message: str = ""

    def __bool__(self):
        return self.state == "right"

    def __repr__(self):
        return textwrap.fill(f"{SIGNS[self.state]} {self.message}", 100)  # not every notebook wraps what is printed


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that is often given, and the ``message`` that helps: ``answer`` is a function where one is asked
    for, else a value, or a function of the value that tells whether it is this mistake (``matches=True``)."""

    answer: object
    message: str
    matches: bool = False


def called(function, *case):
    """What counts of a function: the value that it returns."""
    return function(*case)


@dataclass(frozen=True)
class FunctionCheck:
    """Judges a learner's function by ``reference`` on ``cases``.

    ``cases``: a function of a numpy ``Generator`` that returns a list of argument tuples, of several shapes;
    ``said``: what a right answer is told; ``mistakes``: which wrong functions are recognised, the likeliest first;
    ``trial(function, *case)``: what counts of a function, where it is more than its value, such as what it moved. A
    trial that returns a dict has each part named that differs.
    """

    reference: callable
    cases: callable
    said: str
    mistakes: tuple = ()
    tolerance: float = 1e-5
    trial: callable = called

    def __call__(self, mine):
        """The ``Verdict`` on a function."""
        if is_untouched(mine):
            return Verdict("open")
        if not callable(mine):
            return Verdict("wrong", f"Give the function itself, not {_short(mine)}.")
        cases = self.cases(np.random.default_rng(0))  # copied for each trial, which may write into them or train them
        try:
            answers = [self.trial(mine, *copy.deepcopy(case)) for case in cases]
        except NotImplementedError:
            return Verdict("open")
        except Exception as error:
            return Verdict("wrong", f"It stops with {_raised(error)}")
        if all(is_untouched(answer) for answer in answers):
            return Verdict("open")
        wanted = [self.trial(self.reference, *copy.deepcopy(case)) for case in cases]
        if all(self.same(mine, right) for mine, right in zip(answers, wanted)):
            return Verdict("right", self.said)
        for mistake in self.mistakes:
            if all(self.same(mine, self._tried(mistake.answer, case)) for mine, case in zip(answers, cases)):
                return Verdict("wrong", mistake.message)
        return Verdict("wrong", next(self._difference(case, mine, right)
                                     for case, mine, right in zip(cases, answers, wanted)
                                     if not self.same(mine, right)))

    def same(self, mine, right):
        """Whether two answers agree in shape and, but for rounding, in every number."""
        return agree(mine, right, self.tolerance)

    def _tried(self, function, case):
        try:
            return self.trial(function, *copy.deepcopy(case))
        except Exception:  # a wrong answer need not survive every case
            return None

    def _difference(self, case, mine, right):
        given = ", ".join(map(_short, case))
        if isinstance(right, dict) and isinstance(mine, dict):
            wrong = [name for name in right if not self.same(mine.get(name), right[name])]
            said = [f"{name}: {_compared(mine.get(name), right[name], self.tolerance)}" for name in wrong]
            return f"For {given}, {' And '.join(said)}"
        return f"For {given} {_compared(mine, right, self.tolerance)}"


@dataclass(frozen=True)
class ValueCheck:
    """Judges a value that a learner found or predicted: ``right`` is the value, or a function that says whether it is.

    ``hint``: what a wrong answer is told that is none of the known ``mistakes``, and one of another kind.
    """

    right: object
    said: str
    mistakes: tuple = ()
    hint: str = "Think again; the hint may help."
    tolerance: float = 1e-5

    def __call__(self, mine):
        """The ``Verdict`` on a value."""
        if is_untouched(mine):
            return Verdict("open")
        try:
            if self.right(mine) if callable(self.right) else agree(mine, self.right, self.tolerance):
                return Verdict("right", self.said)
            for mistake in self.mistakes:
                if mistake.answer(mine) if mistake.matches else agree(mine, mistake.answer, self.tolerance):
                    return Verdict("wrong", mistake.message)
        except Exception as error:
            return Verdict("wrong", f"{_short(mine)} is not the kind of answer that is asked for ({error}). "
                                    f"{self.hint}")
        return Verdict("wrong", self.hint)


def is_untouched(answer):
    """Whether a stub still stands there: None or ``...``, or a tuple or dict of nothing else."""
    if isinstance(answer, dict):
        answer = tuple(answer.values())
    return answer is None or answer is ... or (isinstance(answer, tuple) and bool(answer)
                                               and all(map(is_untouched, answer)))


def agree(mine, right, tolerance):
    """Whether two answers are the same: text, truth, numbers, arrays, tensors, or tuples, lists and dicts of them."""
    if isinstance(right, dict):
        return isinstance(mine, dict) and mine.keys() == right.keys() and all(
            agree(mine[name], right[name], tolerance) for name in right)
    if isinstance(right, (str, set)) or isinstance(mine, (str, set)):
        return mine == right
    if isinstance(right, tuple):
        return isinstance(mine, (tuple, list)) and len(mine) == len(right) and all(
            agree(a, b, tolerance) for a, b in zip(mine, right))
    try:
        mine, right = _array(mine), _array(right)
    except (TypeError, ValueError, RuntimeError):  # a tuple of tensors that have a gradient raises the last
        return False
    return mine.shape == right.shape and bool(np.allclose(mine, right, rtol=tolerance, atol=tolerance, equal_nan=True))


def _array(value):
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().double().numpy()
    return np.asarray(value, float)


def _raised(error):
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} (line {last.lineno} of {last.name})."


def _compared(mine, right, tolerance):
    if is_untouched(mine):
        return "it returns nothing; does every path end in a return?"
    shapes = [getattr(answer, "shape", None) for answer in (mine, right)]
    if None not in shapes and tuple(shapes[0]) != tuple(shapes[1]):
        return f"the shape is {tuple(shapes[0])}, and it should be {tuple(shapes[1])}."
    if None not in shapes and np.prod(shapes[1]) > 6:  # too many to show: the first that differs
        mine, right = _array(mine), _array(right)
        place = np.argwhere(~np.isclose(mine, right, rtol=tolerance, atol=tolerance, equal_nan=True))[0].tolist()
        return f"entry {place} is {_short(mine[tuple(place)])}, and {_short(right[tuple(place)])} is right."
    return f"it gives {_short(mine)}, and {_short(right)} is right."


def _short(value):
    if isinstance(value, tuple) and len(value) < 5:
        return f"({', '.join(map(_short, value))})"
    if getattr(value, "ndim", 0):
        return f"{type(value).__name__} {tuple(value.shape)}" if np.prod(value.shape) > 6 else repr(value.tolist())
    if isinstance(value, torch.Tensor | np.generic):
        value = value.item()
    text = f"{value:.4g}" if isinstance(value, float) else repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."
