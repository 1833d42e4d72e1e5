"""``gpu_check``: what fails ends it, and what was found until then is kept."""

import json

import gpu_check
import pytest
import torch

from fer_utils.training import graphed_step


@pytest.fixture
def on_a_gpu(monkeypatch):
    """As if there were a GPU, on which every check goes well."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("fer_utils.runs.run.environment", lambda device: {"hardware": "H", "torch": "2", "python": "3"})
    for name in ("agreement", "tests", "speed", "pair"):
        monkeypatch.setattr(gpu_check, name, lambda name=name: ({"of": name}, False))
    return monkeypatch


def test_without_a_gpu_it_says_so_and_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_check.main(tmp_path / "check.json") == 1 and not (tmp_path / "check.json").exists()
    assert "torch sees no CUDA device here" in capsys.readouterr().out


def test_the_first_that_fails_ends_it_and_the_file_holds_what_was_found(tmp_path, on_a_gpu, capsys):
    out = tmp_path / "new" / "check.json"
    assert gpu_check.main(out) == 0
    assert list(json.loads(out.read_text())) == ["environment", "agreement", "tests", "images_per_second", "pair"]
    on_a_gpu.setattr(gpu_check, "tests", lambda: ({"failed": 1}, True))
    on_a_gpu.setattr(gpu_check, "speed", lambda: pytest.fail("went on"))
    assert gpu_check.main(out) == 1
    assert list(json.loads(out.read_text())) == ["environment", "agreement", "tests"]
    assert "FAILED" in capsys.readouterr().out


def test_one_recipe_whose_steps_differ_is_a_failure(monkeypatch):
    monkeypatch.setattr(graphed_step, "disagreement", lambda train, recipe, *args: "weights" * (recipe.name == "quick"))
    found, failed = gpu_check.agreement()
    assert failed and [name for name, reason in found.items() if reason] == ["quick"]


def test_too_few_tests_are_a_failure(monkeypatch):
    def call(code, passed):
        def main(arguments, plugins):
            plugins[0].outcomes["passed"] = passed
            return code
        monkeypatch.setattr(pytest, "main", main)
        return gpu_check.tests()[1]

    monkeypatch.setenv("FER_TEST_DEVICE", "cpu")  # it sets this one; put back afterwards
    assert call(0, 29) and call(1, 40) and not call(0, 30)
