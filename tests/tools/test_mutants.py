"""The tool that puts faults into the course: its faults still fit the code, and it tells noticed from missed."""

import subprocess
import sys

import mutants
import pytest
from mutants import MUTANTS, ROOT


def test_a_fault_fits_the_code_in_one_place_and_leaves_it_python():
    assert len(MUTANTS) >= 24
    for name, mutant in MUTANTS.items():
        right = (ROOT / mutant.file).read_text(encoding="utf-8")
        wrong = mutants.with_fault(right, name)
        # A name that nobody knows would be noticed by any test at all.
        checked = subprocess.run([sys.executable, "-m", "ruff", "check", "-q", "--isolated", "--select=E9,F82", "-"],
                                 input=wrong, capture_output=True, encoding="utf-8")
        assert wrong != right and checked.returncode == 0, f"{name}: {checked.stdout}{checked.stderr}"
        assert list((ROOT / "tests").glob(mutant.tests)), f"{name}: there is no tests/{mutant.tests}"


@pytest.mark.parametrize("with_it, without, printed", [
    (1, 0, "noticed sign"), (0, 0, "MISSED  sign"), (2, 0, "MISSED  sign"), (1, 1, "fail without any fault")])
def test_a_fault_is_noticed_when_tests_fail_that_passed_without_it(monkeypatch, capsys, with_it, without, printed):
    def answer(folder, *_):
        return with_it if "self.centers.add_(" in (folder / MUTANTS["sign"].file).read_text("utf-8") else without

    monkeypatch.setattr(mutants, "run_tests", answer)
    assert mutants.main("sign") == int("noticed" not in printed) and printed in capsys.readouterr().out


@pytest.mark.stress
def test_every_fault_is_noticed():
    assert mutants.main() == 0
