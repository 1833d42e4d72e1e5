"""Each check accepts its reference, names every mistake that it knows, and never stops a notebook."""

import every_check as checks
import numpy as np
import torch
from every_check import judged

from fer_course.checks.verdict import FunctionCheck, Mistake, ValueCheck, Verdict, is_untouched


def test_every_check_accepts_its_answer_and_names_three_mistakes_and_more():
    failed = []
    for name, check in checks.CHECKS.items():
        answer = check.reference if isinstance(check, FunctionCheck) else check.right
        if (isinstance(check, FunctionCheck) or not callable(answer)) and not check(answer):
            failed.append(f"{name}: its own answer is told {check(answer)!r}")
        if len(check.mistakes) < 3:
            failed.append(f"{name}: only {len(check.mistakes)} mistakes")
        failed += [f"{name}: {mistake.message!r} was not told, but {check(mistake.answer)!r}"
                   for mistake in check.mistakes if not mistake.matches
                   and check(mistake.answer) != Verdict("wrong", mistake.message)]
    assert not failed, "\n".join(failed)


def test_an_untouched_stub_is_not_attempted():
    stubs = [None, ..., lambda *given: None, lambda *given: ...]
    failed = [(name, number) for name, check in checks.CHECKS.items() for number, stub in enumerate(stubs)
              if check(stub).state != "open" and not (callable(stub) and isinstance(check, ValueCheck))]
    assert not failed
    assert is_untouched((None, ...)) and is_untouched({"a": None}) and not is_untouched((None, 1))
    assert not is_untouched(()) and not is_untouched(0)


def test_what_is_wrong_with_a_function_is_told_and_stops_nothing():
    def writes_into_its_argument(x):
        x *= 2
        return x

    cases, leaf = [(np.ones(2),), (np.arange(6.0).reshape(2, 3),)], torch.ones(2, requires_grad=True)
    judged(FunctionCheck(lambda x: 2 * x, lambda rng: cases, "Yes."), 2 * [writes_into_its_argument], [
        (lambda x: x @ np.ones(7), "It stops with ValueError"), (lambda x: x @ np.ones(7), "(line "),
        (lambda x: x[:1], "shape is (1,), and it should be (2,)"),
        (lambda x: 3 * x, "[3.0, 3.0], and [2.0, 2.0] is right"),
        (lambda x: 2 * x if x.ndim > 1 else None, "returns nothing"), (2.0, "Give the function itself"),
        (lambda x: (leaf, 2 * leaf), "it gives")])
    parts = FunctionCheck(lambda x: (x, 2 * x), lambda rng: [(3.0,)], "Yes.",
                          trial=lambda function, x: dict(zip(("the first", "the second"), function(x))))
    judged(parts, [lambda x: (x, x + x)], [
        (lambda x: (x, x), "For 3, the second: it gives 3, and 6 is right."),
        (lambda x: (x, None), "For 3, the second: it returns nothing"),
        (lambda x: (0.0, 0.0), "For 3, the first: it gives 0, and 3 is right. And the second: it gives 0, and 6")])
    many = FunctionCheck(lambda x: torch.ones(3, 4) / 3, lambda rng: [(1,)], "Yes.")
    judged(many, [lambda x: torch.full((3, 4), 0.3333333)], [
        (lambda x: torch.ones(3, 4) / 3 - torch.eye(3, 4)[[2, 0, 1]] / 7, "entry [0, 2] is 0.1905, and 0.3333 is"),
        (lambda x: torch.full((3, 4), torch.nan), "entry [0, 0] is nan")])


def test_a_value_of_another_kind_and_a_mistake_that_a_rule_recognises():
    check = ValueCheck(lambda mine: mine["fear"] > 0.5, "Yes.", hint="Give a dict.")
    judged(check, [{"fear": 1.0}], [(3, "not the kind of answer"), (3, "Give a dict.")])
    check = ValueCheck(4, "Yes.", (Mistake(lambda mine: mine < 0, "A count is not negative.", matches=True),))
    judged(check, [4], [(-2, "A count is not negative."), (5, "Think again")])


def test_a_long_verdict_is_wrapped():
    assert max(map(len, repr(Verdict("wrong", "word " * 99)).splitlines())) <= 100
