"""The tool that puts faults into centre loss: its faults still fit the code, and it tells noticed from missed."""

import faults
import pytest


@pytest.mark.parametrize("name", faults.FAULTS)
def test_a_fault_fits_the_code_in_one_place_and_leaves_it_python(name):
    right = (faults.ROOT / faults.LOSS).read_text(encoding="utf-8")
    wrong = faults.with_fault(right, name)
    assert wrong != right
    compile(wrong, faults.LOSS, "exec")


def test_a_fault_that_fits_no_longer_is_an_error():
    with pytest.raises(SystemExit, match="sign: .* stands 0 times"):
        faults.with_fault("nothing of it", "sign")


@pytest.mark.parametrize("codes, exit_code, printed", [
    ([0, 1], 0, "noticed sign"),  # the tests pass without the fault and fail with it
    ([0, 0], 1, "MISSED  sign"),
    ([0, 2], 1, "MISSED  sign"),  # they never ran
    ([1], 1, "fail without any fault"),
])
def test_a_fault_is_noticed_when_tests_fail_that_passed_without_it(monkeypatch, capsys, codes, exit_code, printed):
    monkeypatch.setattr(faults, "FAULTS", {"sign": faults.FAULTS["sign"]})
    answers = iter(codes)
    monkeypatch.setattr(faults, "run_tests", lambda folder: next(answers))
    assert faults.main() == exit_code and printed in capsys.readouterr().out


def test_an_unknown_fault_is_refused_with_those_that_exist():
    with pytest.raises(SystemExit, match="no fault 'sing'; choose one of plus-one, sign"):
        faults.main("sing")


def test_the_copy_is_what_the_tests_import(monkeypatch):
    def look(folder):
        assert (folder / faults.LOSS).exists() and list((folder / "tests" / "utils").glob("test_center_loss*.py"))
        return look.codes.pop(0)

    look.codes = [1]
    monkeypatch.setattr(faults, "run_tests", look)
    assert faults.main("half") == 0


@pytest.mark.stress
def test_every_fault_is_noticed():
    assert faults.main() == 0
