"""Published runs: read from ``results/runs/``, sealed by ``results/SHA256SUMS``, and tables over many runs."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd

from ..as_written import path_of
from ..center_loss import RULES
from ..errors import FerError
from ..statistics import mean_sd
from ..training.recipe import CENTERS, METHODS, RECIPES, Recipe
from .run import course_folder, load_run, sha256_of

SUMS = "SHA256SUMS"
GROUP = ["dataset", "source", "test_split", "n_test", "backbone", "recipe", "overrides", "engine", "weights", "lam",
         "update", "center_init", "alpha", "center_class_weights", *METHODS, "arm"]
MEASURES = ["accuracy", "weighted_f1", "macro_f1", "ratio"]


def read_sums(root):
    """{run: {file: SHA-256}} of all that ``root/SHA256SUMS`` seals; ``FerError`` where it cannot be read."""
    path, sums = Path(root, SUMS), {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            digest, run, name = re.fullmatch(r"([0-9a-f]{64})  runs/([^/]+)/([^/]+)", line).groups()
            sums.setdefault(run, {})[name] = digest
    except (OSError, ValueError, AttributeError) as error:  # the last where a line is none
        raise FerError(f"{path}: the checksums of the published runs cannot be read ({error}); restore them from git "
                       f"(git checkout -- {path}).") from error
    return sums


def check_seal(folder, sums):
    """Raise ``FerError`` for a file that is not what was sealed, is missing, or came later."""
    place = Path(folder).resolve()  # it may be given as "."
    sealed = (read_sums(place.parents[1]) if sums is None else sums).get(place.name, {})
    present = {path.name for path in place.iterdir()} if place.is_dir() else set()
    advice = f"restore it from git (git checkout -- {folder}), or publish the run again."
    for name in sorted(sealed.keys() | present):
        path = Path(folder, name)
        if name not in present:
            raise FerError(f"{path}: this file of a published result is missing; {advice}")
        if name not in sealed:
            raise FerError(f"{path}: this file is no part of the published result; remove it, or {advice}")
        if sha256_of(path) != sealed[name]:
            raise FerError(f"{path}: this file was changed after it was published; {advice}")


def load_published(folder, sums=None):
    """The published ``Run`` in a folder, with ``geometry`` (None in old ones) and without ``model``; fields that its
    recipe did not have yet get their defaults. ``sums``: what ``read_sums`` gives for its ``results/``. Raises
    ``FerError`` where a file was changed, is missing or came later."""
    check_seal(folder, sums)
    run = load_run(folder)
    return dataclasses.replace(run, config={"data_options": {}, **run.config,
                                            "recipe": dataclasses.asdict(recipe_of(run))},
                               metrics={"chosen_on": "validation", **run.metrics})


def results_folder():
    """``results/`` of the course in which we are, or else of the one that this package belongs to."""
    here = course_folder() / "results"
    return here if here.is_dir() else Path(__file__).resolve().parents[2] / "results"


def load_results(root=None):
    """All published runs of ``root/runs``, by name; ``root``: None is the course's own ``results/``."""
    root = path_of(root or results_folder())
    if not (root / "runs").is_dir():
        raise FerError(f"{root / 'runs'}: there is no such folder; give the one that holds runs/ and {SUMS}.")
    sums = read_sums(root)
    names = sums.keys() | {path.parent.name for path in root.glob("runs/*/metrics.json")
                          if path.parent.suffix != ".part"}  # left by a publishing that was killed
    return [load_published(root / "runs" / name, sums) for name in sorted(names)]


def recipe_of(run):
    """The ``Recipe`` that a run was trained by."""
    try:
        return Recipe(**run.config["recipe"])
    except (TypeError, KeyError) as error:
        raise FerError(f"{run.folder}: its recipe cannot be read ({error}); use the fer_utils that made it.") from error


def results_table(runs):
    """One row for each run, a pandas DataFrame: what went in, what came out, where and how long.

    ``overrides``: how the recipe differs from the one of its name (an unknown name: from ``Recipe``'s own values), but
    for network, centre loss and ``METHODS``; ``arm``: these two in words. Where λ is 0, what had no effect is missing.
    ``validation_accuracy`` is that of the epoch that was chosen, ``ratio`` the test features' intra/inter.
    """
    rows = []
    for run in runs:
        recipe, config, metrics, history = recipe_of(run), run.config, run.metrics, run.history
        centers = {name: getattr(recipe, name) for name in CENTERS}
        rows.append({
            "run": run.folder.name, "dataset": config["dataset"], "source": config["source"],
            "test_split": metrics["test_split"], "n_test": config["data"][metrics["test_split"]]["images"],
            "backbone": recipe.backbone, "recipe": recipe.name, "overrides": _overrides(recipe), "arm": _arm(recipe),
            "lam": recipe.lam, **(centers if recipe.lam else dict.fromkeys(CENTERS) | {"alpha": np.nan}),
            **{name: getattr(recipe, name) for name in METHODS},
            "epochs": recipe.epochs, "weights": recipe.weights, "seed": config["seed"], "engine": config["engine"],
            "train_images": config["data"]["train"]["images"],
            **{name: metrics[name] for name in (*MEASURES, "intra", "inter")},
            "validation_accuracy": float(history.loc[history.epoch == metrics["best_epoch"],
                                                     "validation_accuracy"].iloc[0]),
            "best_epoch": metrics["best_epoch"], "hardware": run.environment["hardware"],
            "commit": run.environment["commit"], "seconds": metrics["seconds"]})
    return pd.DataFrame(rows)


def summary(table):
    """Mean and standard deviation over the seeds, one row for each arm, from ``results_table``: what tells arms apart,
    ``runs``, ``seeds`` (a text), and for each measure ``NAME`` and ``NAME_sd``, missing where there is one run."""
    groups = table.sort_values([*GROUP, "seed"], na_position="first").groupby(GROUP, dropna=False, sort=False)
    parts = {"runs": groups.size(), "seeds": groups.seed.agg(lambda seeds: ", ".join(map(str, seeds))),
             "train_images": groups.train_images.first()}
    for name in MEASURES:
        parts |= {name: groups[name].agg(lambda values: mean_sd(values)[0]),
                  f"{name}_sd": groups[name].agg(lambda values: mean_sd(values)[1])}
    return pd.DataFrame(parts).reset_index()


def _overrides(recipe):
    usual = RECIPES.get(recipe.name) or Recipe(recipe.name)
    changed = {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)
               if field.name not in ("name", "backbone", "lam", *CENTERS, *METHODS)
               and getattr(recipe, field.name) != getattr(usual, field.name)}
    return ", ".join(f"{name}={value}" for name, value in changed.items())


def _arm(recipe):
    beside = [words.format(getattr(recipe, name)) for name, words in METHODS.items() if getattr(recipe, name)]
    if not recipe.lam:
        return ", ".join(["softmax", *beside])
    told = [f"λ = {recipe.lam:g}", f"α = {recipe.alpha:g}", RULES[recipe.update],
            f"centres from {recipe.center_init}" if recipe.center_init != "zeros" else "",
            f"λ over {recipe.lam_warmup:g} epochs" if recipe.lam_warmup else "",
            f"weighed by 1/n^{recipe.center_class_weights:g}" if recipe.center_class_weights else ""]
    return ", ".join([*filter(None, told), *beside])
