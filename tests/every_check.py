"""The checks of all notebooks by their names, as attributes and in ``CHECKS``; and what is asked of each."""

from importlib import import_module

from fer_course.checks.verdict import FunctionCheck, ValueCheck

MODULES = [import_module(f"fer_course.checks.notebook_{number:02d}") for number in range(1, 10)]
CHECKS = {name: check for module in MODULES for name, check in vars(module).items()
          if isinstance(check, (FunctionCheck, ValueCheck))}
globals().update(CHECKS)


def judged(check, right=(), wrong=()):
    """Each right answer is told so, and each wrong one, in pairs (answer, words), what may have gone wrong."""
    failed = [f"right answer {number}: {check(answer)!r}" for number, answer in enumerate(right) if not check(answer)]
    for answer, words in wrong:
        verdict = check(answer)
        if verdict.state != "wrong" or words not in verdict.message:
            failed.append(f"{words!r} was not told, but {verdict!r}")
    assert not failed, "\n".join(failed)
