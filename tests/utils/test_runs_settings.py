"""Parameters of notebooks: those that cannot be meant are refused before anything is trained."""

import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
from conftest import refusal
from hypothesis import given, settings
from hypothesis import strategies as some

from fer_utils.runs import run
from fer_utils.runs import settings as room
from fer_utils.runs.settings import check_parameters
from fer_utils.training.recipe import get_recipe

GOOD = {"dataset": "synthetic", "data_dir": None, "recipe": "quick", "overrides": {}, "alpha": 1.9, "lam": 0.2,
        "seed": 0, "device": "auto", "runs_dir": None}


def test_good_parameters_become_settings():
    chosen = check_parameters(**{**GOOD, "overrides": {"epochs": 3, "backbone": "resnet18"}, "alpha": 0.5, "lam": 0.3,
                                 "seed": 7, "device": "cpu", "runs_dir": "here", "data_dir": Path("there")},
                              alphas=[0.1, 1.0, 1.9], lams=(0.2,), seeds=[0, 1])
    assert (chosen.dataset, chosen.seed, chosen.device) == ("synthetic", 7, "cpu")
    assert (chosen.runs_dir, chosen.data_dir) == ("here", "there")
    assert (chosen.alphas, chosen.lams, chosen.seeds) == ((0.1, 1.0, 1.9), (0.2,), (0, 1))
    assert chosen.recipe == get_recipe("quick", epochs=3, backbone="resnet18", alpha=0.5, lam=0.3)
    for parameters in ({}, {"alpha": None, "lam": None}):  # the recipe's own, or the usual
        chosen = check_parameters(**parameters)
        assert chosen.recipe == get_recipe("quick") and (chosen.seed, chosen.dataset) == (0, "synthetic")
    for overrides, epochs in (('{"epochs": 3}', 3), ({"epochs": 3}, 3), ("", 6), (None, 6), ("{}", 6)):
        assert check_parameters(**{**GOOD, "overrides": overrides}).recipe.epochs == epochs, overrides


WRONG = {  # {parameter: (a value that cannot be meant, what the message says of it)}
    "dataset": [("affectnet", "dataset = 'affectnet': choose one of synthetic, fer2013"), (None, "dataset = None")],
    "seed": [(wrong, f"seed = {wrong!r}: give a whole number") for wrong in (-1, 1.5, "x", True, None, math.nan)],
    "data_dir": [(3, "data_dir = 3: give a path")], "runs_dir": [(False, "runs_dir = False: give a path")],
    "alpha": [(-0.1, "alpha = -0.1"), ("much", "alpha = 'much'")], "lam": [(math.nan, "lam = nan")],
    "overrides": [({"epoch": 3}, "a recipe has no field epoch"), ({"epochs": 0}, "epochs = 0"),
                  ('{"lam": NaN}', "lam = nan"), ({"backbone": "resnet5O"}, "unknown backbone 'resnet5O'"),
                  ("epochs=3", "overrides = 'epochs=3' is not JSON"),
                  *((wrong, "give a dict of recipe fields") for wrong in ("[1, 2]", "3", 3, ["epochs"]))],
    "data_options": [({"colourful": True}, "synthetic has no option 'colourful'"),
                     ("noise", "data_options = 'noise' is not JSON"), (3, "give a dict of options")],
    "alphas": [*((wrong, f"alphas = {wrong!r}: give a list of numbers") for wrong in ([], 1.9, "0.1 1.0", None)),
               ([1.0, -1.0], "alpha = -1.0"), (["a"], "alpha = 'a'")],
    "lams": [([], "lams = []"), ([0.1, math.inf], "lam = inf")],
    "seeds": [(2, "seeds = 2"), ([0, -1], "seed = -1"), ([0.5], "seed = 0.5")],
}


def test_a_parameter_that_cannot_be_meant_is_refused():
    assert [(name, value, said) for name, wrong in WRONG.items() for value, message in wrong
            if message not in (said := refusal(check_parameters, **{**GOOD, name: value})) or not said] == []


def test_numbers_paths_and_names_are_taken_as_people_write_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    chosen = check_parameters(**{**GOOD, "dataset": "Synthetic", "alpha": "5e-1", "lam": np.float32(0.1), "seed": 1.0,
                                 "runs_dir": "~/runs", "data_dir": "$HOME/faces", "overrides": "{'crop': .1}"},
                              lams=["1e-3", ".1"], seeds=np.arange(2), alphas=pd.Series([0.5]))
    assert (chosen.dataset, chosen.seed, chosen.seeds) == ("synthetic", 1, (0, 1)) and chosen.lams == (0.001, 0.1)
    assert (chosen.recipe.lam, chosen.recipe.alpha, chosen.recipe.crop, chosen.alphas) == (0.1, 0.5, 0.1, (0.5,))
    assert (chosen.runs_dir, chosen.data_dir) == (str(tmp_path / "runs"), str(tmp_path / "faces"))
    assert "runs_dir = $NOT_SET/x: the variable" in refusal(check_parameters, **{**GOOD, "runs_dir": "$NOT_SET/x"})


@settings(max_examples=60)
@given(some.sampled_from(["seed", "alpha", "lam", "data_dir", "runs_dir", "dataset", "recipe", "device", "overrides"]),
       some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.lists(some.integers()))
def test_any_value_is_taken_or_refused_with_its_name(name, value):
    said = refusal(check_parameters, **{**GOOD, name: value})
    assert said == "" or name in said and not said.startswith("no FerError")


def ipython(monkeypatch, cells):
    shell = None if cells is None else SimpleNamespace(user_ns={"In": cells})
    module = ModuleType("IPython")
    module.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", module)


def test_injected_names_are_read_from_the_cells_that_the_kernel_ran(monkeypatch):
    for cells, names in (
            (["", "x = 1", "# Parameters\nlamda = 0.3\noverrides = {'epochs': 3}\n", "y = 2"], ["lamda", "overrides"]),
            (["", "# parameters of this notebook\nlam = 0.2\n", "x = 1"], []),
            (["", "# Parameters\nlam = 0.2\n", "# Parameters\nseed = 1\n"], ["seed"]),  # the last is this run's
            (['', '# Parameters\nmessage = """\nlamda = 3\n"""\n'], ["message"]), ([""], []), (None, [])):
        ipython(monkeypatch, cells)
        assert room._injected_names() == names, cells
    monkeypatch.delitem(sys.modules, "IPython")
    assert room._injected_names() == []


def test_a_name_that_papermill_injected_but_the_notebook_lacks_is_refused(monkeypatch):
    for injected, hint in (("lamda", "; did you mean 'lam'? It takes"), ("epochs", "; It takes"), ("lam", None)):
        ipython(monkeypatch, ["", "lam = 0.2", f"# Parameters\nseed = 1\n{injected} = 0.3\n", "check_parameters(...)"])
        said = refusal(check_parameters, **GOOD)
        assert (f"this notebook has no parameter {injected!r}{hint} {', '.join(GOOD)}." in said) if hint else not said


def test_settings_load_the_split_that_runs_are_tested_on(monkeypatch):
    asked = []
    for module in (room, run):
        monkeypatch.setattr(module, "load_dataset", lambda *what: asked.append(what))
    check_parameters(dataset="fer2013", data_dir="there").load("held-out")
    check_parameters(dataset="synthetic").load("held-out")
    check_parameters(dataset="synthetic").load("train")
    assert asked == [("fer2013", "there", "public_test"), ("synthetic", None, "test"), ("synthetic", None, "train")]


def test_settings_run_with_changed_fields_and_another_seed(monkeypatch):
    calls = []
    monkeypatch.setattr(room, "find_or_train", lambda recipe, **options: calls.append((recipe, options)))
    chosen = check_parameters(**{**GOOD, "seed": 2, "device": "cpu", "runs_dir": "here", "overrides": {"epochs": 3}})
    chosen.run(lam=0, progress=False)
    chosen.run(seed=5)
    (softmax, first), (centre, second) = calls
    assert (softmax.lam, softmax.epochs, centre.lam, centre.epochs) == (0, 3, 0.2, 3)
    assert first == {"dataset": "synthetic", "data_dir": None, "data_options": {}, "seed": 2, "device": "cpu",
                     "runs_dir": "here", "progress": False, "on_epoch": None}
    assert second == {**first, "seed": 5, "progress": True}
    assert "no field lamda" in refusal(chosen.run, lamda=0)
