"""A notebook's parameters: checked before anything runs."""

import ast
import json
import os
import re
import sys
from dataclasses import dataclass, field

from ..as_written import path_of, value_of, whole_of
from ..datasets import check_options, load_dataset, name_of, size_for
from ..errors import FerError, did_you_mean
from ..training.recipe import Recipe, get_recipe
from ..training.setup import check_network, choose_device, derive
from .run import find_or_train, load_held_out


@dataclass(frozen=True)
class Settings:
    """A notebook's parameters after they were checked; ``recipe`` has α, λ and overrides in it; ``alphas``, ``lams``
    and ``seeds`` span a grid."""

    dataset: str = "synthetic"
    data_dir: str | None = None
    data_options: dict = field(default_factory=dict)
    recipe: Recipe | None = None
    seed: int = 0
    device: str = "auto"
    runs_dir: str | None = None
    alphas: tuple = ()
    lams: tuple = ()
    seeds: tuple = ()

    def load(self, split):
        """One split of the chosen data set, as training reads it; "held-out" is the one that runs are tested on."""
        options = {**size_for(self.dataset, self.recipe.image_size), **self.data_options}
        if split == "held-out":
            return load_held_out(self.dataset, self.data_dir, options)
        return load_dataset(self.dataset, self.data_dir, split, **options)

    def run(self, progress=True, on_epoch=None, **overrides):
        """``find_or_train`` with these settings; ``overrides`` change fields of the recipe, ``seed`` the seed."""
        seed = overrides.pop("seed", self.seed)
        return find_or_train(self.recipe.replace(**overrides), dataset=self.dataset, data_dir=self.data_dir,
                             data_options=self.data_options, seed=seed, device=self.device, runs_dir=self.runs_dir,
                             progress=progress, on_epoch=on_epoch)


def check_parameters(**parameters):
    """A notebook's parameters as ``Settings``; ``overrides`` and ``data_options`` are dicts (or JSON). ``FerError`` for
    values that cannot be meant, and for a parameter that papermill set (``-p lamda 0.3``) and the notebook lacks."""
    unknown = [name for name in _injected_names() if name not in parameters]
    if unknown:
        raise FerError(f"this notebook has no parameter {unknown[0]!r}; {did_you_mean(unknown[0], parameters)}It takes "
                       f"{', '.join(parameters)}.")
    return settings_of(parameters)


def settings_of(parameters):
    """What ``check_parameters`` makes of a dict of parameters, wherever that comes from."""
    parameters = {name: value if name in TEXTS else value_of(value) for name, value in parameters.items()}
    settings = {name: parameters[name] for name in ("dataset", "data_dir", "seed", "device", "runs_dir")
                if name in parameters}
    grid = {name: _grid(name, parameters[name]) for name in ("alphas", "lams", "seeds") if name in parameters}
    settings |= {"seed": whole_of(settings["seed"])} if "seed" in settings else {}
    grid |= {"seeds": tuple(map(whole_of, grid["seeds"]))} if "seeds" in grid else {}
    settings |= {"dataset": name_of(settings["dataset"])} if "dataset" in settings else {}
    for value in (settings.get("seed", 0), *grid.get("seeds", ())):
        derive(value)  # which refuses what is no seed
    for name in ("data_dir", "runs_dir"):
        if not isinstance(settings.get(name), (str, os.PathLike, type(None))):
            raise FerError(f"{name} = {settings[name]!r}: give a path, or None.")
        if settings.get(name):
            try:
                settings[name] = str(path_of(settings[name]))
            except FerError as error:
                raise FerError(f"{name} = {error}") from error
    settings["data_options"] = mapping("data_options", parameters.get("data_options"))
    check_options(settings.get("dataset", "synthetic"), settings["data_options"])
    if settings["data_options"].get("contempt"):
        raise FerError("data_options: notebooks compare seven emotions; for contempt, call load_dataset and fit.")
    if "device" in settings:
        choose_device(settings["device"])
    changes = {name: parameters[name] for name in ("alpha", "lam") if parameters.get(name) is not None}
    changes.update(mapping("overrides", parameters.get("overrides")))
    recipe = get_recipe(parameters.get("recipe", "quick"), **changes)
    check_network(recipe)
    for name, changed in (("alphas", "alpha"), ("lams", "lam")):
        for value in grid.get(name, ()):
            recipe.replace(**{changed: value})  # a recipe refuses what cannot be meant
    return Settings(recipe=recipe, **settings, **grid)


TEXTS = ("dataset", "data_dir", "data_options", "recipe", "overrides", "device", "runs_dir")  # no numbers
MAPPINGS = {"overrides": ("recipe fields", '{"epochs": 3}'), "data_options": ("options", '{"label_noise": 0.1}')}


def mapping(name, value):
    """A parameter that is a dict, or JSON of one, as a dict."""
    what, example = MAPPINGS[name]
    if isinstance(value, str) and value:
        try:
            try:
                value = json.loads(value)
            except ValueError:
                value = ast.literal_eval(value)  # Python's quotes and numbers: {'lam': .1}
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise FerError(f"{name} = {value!r} is not JSON ({error}); write for example '{example}'.") from error
    if value and not isinstance(value, dict):
        raise FerError(f"{name} = {value!r}: give a dict of {what}, for example {example}.")
    return value_of(value or {})


def _grid(name, values):
    if not isinstance(values, (list, tuple)) or not values:
        raise FerError(f"{name} = {values!r}: give a list of numbers; on the command line, -y '{name}: [0.1, 1.0]'.")
    return tuple(values)


def _injected_names():
    """The names that papermill's injected cell assigns, read from the kernel's own record of the cells it ran."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    cells = shell.user_ns.get("In", []) if shell is not None else []
    injected = [cell for cell in cells if re.match(r"# Parameters\s*\n", cell)]
    return [target.id for cell in injected[-1:] for node in ast.parse(cell).body if isinstance(node, ast.Assign)
            for target in node.targets if isinstance(target, ast.Name)]
