"""Parameters of notebooks: those that cannot be meant are refused before anything is trained."""

import math
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from fer_utils.errors import FerError
from fer_utils.runs import run
from fer_utils.runs import settings as room
from fer_utils.runs.settings import check_parameters

GOOD = {"dataset": "synthetic", "data_dir": None, "recipe": "quick", "overrides": {}, "alpha": 1.9, "lam": 0.2,
        "seed": 0, "device": "auto", "runs_dir": None}


def test_good_parameters_become_settings():
    settings = check_parameters(**{**GOOD, "overrides": {"epochs": 3, "backbone": "resnet18"}, "alpha": 0.5, "lam": 0.3,
                                   "seed": 7, "device": "cpu", "runs_dir": "here", "data_dir": Path("there")})
    assert (settings.dataset, settings.seed, settings.device) == ("synthetic", 7, "cpu")
    assert (settings.runs_dir, settings.data_dir) == ("here", Path("there"))
    recipe = settings.recipe
    assert (recipe.name, recipe.epochs, recipe.backbone, recipe.alpha, recipe.lam) == ("quick", 3, "resnet18", 0.5, 0.3)


@pytest.mark.parametrize("parameters", [{}, {"seed": 3}, {"dataset": "fer2013", "data_dir": "x"}, {"recipe": "paper"}])
def test_a_notebook_may_have_some_of_the_parameters_only(parameters):
    settings = check_parameters(**parameters)
    assert settings.recipe.name == parameters.get("recipe", "quick")
    assert settings.seed == parameters.get("seed", 0) and settings.dataset == parameters.get("dataset", "synthetic")


@pytest.mark.parametrize("overrides, epochs", [('{"epochs": 3}', 3), ({"epochs": 3}, 3), ("", 6), (None, 6), ({}, 6),
                                               ("{}", 6)])
def test_overrides_are_a_dict_or_json(overrides, epochs):
    assert check_parameters(**{**GOOD, "overrides": overrides}).recipe.epochs == epochs


def test_alpha_and_lam_of_none_leave_the_recipes_own():
    recipe = check_parameters(**{**GOOD, "alpha": None, "lam": None}).recipe
    assert (recipe.alpha, recipe.lam) == (1.9, 0.2)


@pytest.mark.parametrize("name, value, message", [
    ("dataset", "affectnet", "dataset = 'affectnet': choose one of synthetic, fer2013"),
    ("dataset", None, "dataset = None"), ("dataset", 3, "dataset = 3"),
    ("dataset", ["fer2013"], "dataset = ['fer2013']"),
    ("recipe", "quik", "unknown recipe 'quik'; choose one of quick, paper"), ("recipe", None, "unknown recipe None"),
    ("recipe", ["quick"], "unknown recipe ['quick']"),
    ("seed", -1, "seed = -1"), ("seed", 1.0, "seed = 1.0"), ("seed", "0", "seed = '0'"), ("seed", True, "seed = True"),
    ("seed", None, "seed = None"), ("seed", math.nan, "seed = nan"),
    ("device", "gpu", "device 'gpu' cannot be used here"), ("device", None, "device None cannot be used here"),
    ("device", 1.5, "device 1.5 cannot be used here"),
    ("data_dir", 3, "data_dir = 3: give a path"), ("data_dir", ["a"], "data_dir = ['a']: give a path"),
    ("runs_dir", False, "runs_dir = False: give a path"),
    ("alpha", -0.1, "alpha = -0.1"), ("alpha", math.nan, "alpha = nan"), ("alpha", math.inf, "alpha = inf"),
    ("alpha", "1.9", "alpha = '1.9'"), ("alpha", [1.0], "alpha = [1.0]"),
    ("lam", -0.2, "lam = -0.2"), ("lam", math.nan, "lam = nan"), ("lam", -math.inf, "lam = -inf"),
    ("lam", math.inf, "lam = inf"), ("lam", "0.2", "lam = '0.2'"), ("lam", True, "lam = True"),
    ("overrides", {"epoch": 3}, "a recipe has no field epoch"), ("overrides", '{"lamda": 3}', "no field lamda"),
    ("overrides", {"epochs": 0}, "epochs = 0"), ("overrides", '{"lam": NaN}', "lam = nan"),
    ("overrides", '{"alpha": -1}', "alpha = -1"), ("overrides", '{"alpha": Infinity}', "alpha = inf"),
    ("overrides", "epochs=3", "overrides = 'epochs=3' is not JSON"), ("overrides", '{"epochs": 3', "is not JSON"),
    ("overrides", "[1, 2]", "give a dict of recipe fields"), ("overrides", 3, "give a dict of recipe fields"),
    ("overrides", ["epochs"], "give a dict of recipe fields"), ("overrides", "3", "give a dict of recipe fields"),
], ids=str)
def test_a_parameter_that_cannot_be_meant_is_refused(name, value, message):
    with pytest.raises(FerError, match=re.escape(message)):
        check_parameters(**{**GOOD, name: value})


def test_a_grid_of_alphas_lams_and_seeds_is_kept():
    settings = check_parameters(**GOOD, alphas=[0.1, 1.0, 1.9], lams=(0.2,), seeds=[0, 1])
    assert (settings.alphas, settings.lams, settings.seeds) == ((0.1, 1.0, 1.9), (0.2,), (0, 1))


@pytest.mark.parametrize("name, value, message", [
    ("alphas", [], "alphas = []: give a list of numbers"), ("alphas", 1.9, "alphas = 1.9: give a list of numbers"),
    ("alphas", "0.1 1.0", "alphas = '0.1 1.0': give a list"), ("alphas", None, "alphas = None: give a list"),
    ("alphas", [1.0, -1.0], "alpha = -1.0"), ("alphas", [math.nan], "alpha = nan"),
    ("alphas", ["1.0"], "alpha = '1.0'"),
    ("lams", [], "lams = []"), ("lams", [0.1, math.inf], "lam = inf"), ("lams", [-0.1], "lam = -0.1"),
    ("seeds", [], "seeds = []"), ("seeds", 2, "seeds = 2"), ("seeds", [0, -1], "seed = -1"),
    ("seeds", [0.0], "seed = 0.0"),
], ids=str)
def test_a_grid_that_cannot_be_meant_is_refused(name, value, message):
    with pytest.raises(FerError, match=re.escape(message)):
        check_parameters(**GOOD, **{name: value})


@pytest.mark.parametrize("injected, hint", [("lamda", "did you mean 'lam'? "), ("epochs", ""), ("Seed", "")])
def test_a_name_that_papermill_injected_but_the_notebook_lacks_is_refused(monkeypatch, injected, hint):
    monkeypatch.setattr(room, "_injected_names", lambda: ["seed", injected])
    with pytest.raises(FerError, match=f"this notebook has no parameter {injected!r}") as caught:
        check_parameters(**GOOD)
    assert hint in str(caught.value) and f"It takes {', '.join(GOOD)}." in str(caught.value)


def test_names_that_papermill_injected_and_the_notebook_has_are_fine(monkeypatch):
    monkeypatch.setattr(room, "_injected_names", lambda: ["seed", "lam"])
    assert check_parameters(**GOOD).recipe.lam == 0.2


def ipython(monkeypatch, cells):
    shell = None if cells is None else SimpleNamespace(user_ns={"In": cells})
    module = ModuleType("IPython")
    module.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", module)


@pytest.mark.parametrize("cells, names", [
    (["", "x = 1", "# Parameters\nlamda = 0.3\nseed = 1\noverrides = {'epochs': 3}\n", "y = 2"],
     ["lamda", "seed", "overrides"]),
    (["", "# parameters of this notebook\nlam = 0.2\n", "x = 1"], []),
    (["", "# Parameters\nlam = 0.2\n", "# Parameters\nseed = 1\n"], ["seed"]),  # the last injection is this run's
    (["", "print('# Parameters')\nx = 1"], []),
    (['', '# Parameters\nmessage = """\nlamda = 3\n"""\n'], ["message"]),
    ([""], []), (None, []),
])
def test_injected_names_are_read_from_the_cells_that_the_kernel_ran(monkeypatch, cells, names):
    ipython(monkeypatch, cells)
    assert room._injected_names() == names


def test_without_ipython_nothing_was_injected(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert room._injected_names() == []


def test_papermills_misspelt_parameter_is_refused_end_to_end(monkeypatch):
    ipython(monkeypatch, ["", "lam = 0.2\nseed = 0", "# Parameters\nlamda = 0.3\n", "check_parameters(...)"])
    with pytest.raises(FerError, match="no parameter 'lamda'; did you mean 'lam'"):
        check_parameters(lam=0.2, seed=0)


# Settings


def test_settings_load_the_split_that_runs_are_tested_on(monkeypatch):
    asked = []
    for module in (room, run):
        monkeypatch.setattr(module, "load_dataset", lambda *what: asked.append(what))
    check_parameters(dataset="fer2013", data_dir="there").load("held-out")
    check_parameters(dataset="synthetic").load("held-out")
    check_parameters(dataset="synthetic").load("train")
    assert asked == [("fer2013", "there", "public_test"), ("synthetic", None, "test"),
                          ("synthetic", None, "train")]


def test_settings_run_with_changed_fields_and_another_seed(monkeypatch):
    calls = []
    monkeypatch.setattr(room, "find_or_train", lambda recipe, **options: calls.append((recipe, options)))
    settings = check_parameters(**{**GOOD, "seed": 2, "device": "cpu", "runs_dir": "here", "overrides": {"epochs": 3}})
    settings.run(lam=0, progress=False)
    settings.run(seed=5)
    (softmax, first), (centre, second) = calls
    assert (softmax.lam, softmax.epochs, centre.lam, centre.epochs) == (0, 3, 0.2, 3)
    assert first == {"dataset": "synthetic", "data_dir": None, "data_options": {}, "seed": 2, "device": "cpu",
                     "runs_dir": "here", "progress": False, "on_epoch": None}
    assert second == {**first, "seed": 5, "progress": True}
    with pytest.raises(FerError, match="no field lamda"):
        settings.run(lamda=0)


def test_options_of_the_data_are_checked_before_anything_runs():
    with pytest.raises(FerError, match="synthetic has no option 'colourful'"):
        check_parameters(**GOOD, data_options={"colourful": True})
    with pytest.raises(FerError, match="data_options = 'noise' is not JSON"):
        check_parameters(**GOOD, data_options="noise")
    assert check_parameters(**GOOD, data_options={}).data_options == {}
