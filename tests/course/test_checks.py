"""Each check accepts its reference, names every mistake that it knows, and never stops a notebook."""

import every_check as checks
import numpy as np
import pytest

from fer_course.checks.verdict import FunctionCheck, Mistake, ValueCheck, Verdict, is_untouched

each = pytest.mark.parametrize("name", checks.CHECKS)


def attempts(check):
    """The mistakes that a check knows and that can be given as they are."""
    return [mistake for mistake in check.mistakes if not mistake.matches]


def test_no_two_notebooks_have_a_check_of_one_name():
    kinds = (FunctionCheck, ValueCheck)
    found = [name for module in checks.MODULES for name, value in vars(module).items() if isinstance(value, kinds)]
    assert sorted(found) == sorted(checks.CHECKS)


@each
def test_right_answer_is_told_so(name):
    check = checks.CHECKS[name]
    if isinstance(check, FunctionCheck):
        assert check(check.reference).state == "right"
    elif not callable(check.right):
        assert check(check.right).state == "right"


@each
def test_knows_three_mistakes_and_names_each(name):
    check = checks.CHECKS[name]
    assert len(check.mistakes) >= 3
    for mistake in attempts(check):
        verdict = check(mistake.answer)
        assert (verdict.state, verdict.message) == ("wrong", mistake.message)


@each
@pytest.mark.parametrize("stub", [None, ..., lambda *given: None, lambda *given: ...], ids=repr)
def test_untouched_stub_is_not_attempted(name, stub):
    if callable(stub) and isinstance(checks.CHECKS[name], ValueCheck):
        return
    assert checks.CHECKS[name](stub).state == "open"


def doubled(reference=lambda x: 2 * x, **fields):
    cases = [(np.ones(2),), (np.arange(6.0).reshape(2, 3),)]
    return FunctionCheck(reference, lambda chance: cases, "Well done.", **fields)


def test_error_in_a_learners_line_is_told_and_does_not_stop():
    verdict = doubled()(lambda x: x @ np.ones(7))
    assert verdict.state == "wrong" and "ValueError" in verdict.message and "line" in verdict.message


def test_other_shape_and_other_number_are_told():
    assert "shape is (1,), and it should be (2,)" in doubled()(lambda x: x[:1]).message
    assert "[3.0, 3.0], and [2.0, 2.0] is right" in doubled()(lambda x: 3 * x).message


def test_a_path_without_return_is_told():
    assert "returns nothing" in doubled()(lambda x: 2 * x if x.ndim > 1 else None).message


def test_a_function_that_writes_into_its_arguments_spoils_nothing():
    def writes(x):
        x *= 2
        return x

    check = doubled()
    assert check(writes) and check(writes)


def test_value_that_is_another_kind_of_answer():
    check = ValueCheck(lambda mine: mine["fear"] > 0.5, "Yes.", hint="Give a dict.")
    assert "not the kind of answer" in check(3).message and "Give a dict." in check(3).message
    assert check({"fear": 1.0})


def test_mistake_that_is_recognised_by_a_rule():
    check = ValueCheck(4, "Yes.", (Mistake(lambda mine: mine < 0, "A count is not negative.", matches=True),))
    assert check(-2).message == "A count is not negative." and check(4)


def test_untouched_looks_into_tuples_and_dicts():
    assert is_untouched((None, ...)) and is_untouched({"a": None}) and not is_untouched((None, 1))
    assert not is_untouched(()) and not is_untouched(0)


def test_a_verdict_reads_as_one_line():
    assert repr(checks.eq1(None)) == "○ Not attempted yet."
    assert repr(checks.eq1(checks.eq1.reference)).startswith("✓ Right. ")


def test_a_long_verdict_is_wrapped():
    lines = repr(Verdict("wrong", "word " * 99)).splitlines()
    assert len(lines) > 1 and max(map(len, lines)) <= 100
