"""What is kept of a run for good: its small form in ``results/``, sealed by checksums, and tables over many."""

import dataclasses
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from ..datasets import load_dataset
from ..errors import FerError
from ..geometry import geometry
from ..training import RECIPES, Recipe
from ..training.recipe import CENTERS
from .run import course_folder, divide, load_held_out, load_run, sha256_of, write_json

FILES = ("config.json", "environment.json", "history.json", "metrics.json")  # copied as they are
SUMS = "SHA256SUMS"
LIMIT = 60_000  # bytes a run
SAME = 0.98  # share of the test images that must get the stored answer again; rounding on another machine moves a few
RULES = {"eq2": "Eq. 2", "sgd": "SGD", "adam": "Adam"}
GROUP = ["dataset", "source", "test_split", "n_test", "backbone", "recipe", "overrides", "engine", "weights", "lam",
         "update", "center_init", "alpha", "arm"]
MEASURES = ["accuracy", "weighted_f1", "macro_f1", "ratio"]


def publish(folder, results=None, *, data_dir=None):
    """Write the small form of a finished run to ``results/NAME``, in place of what is there; returns it as a ``Run``.

    Configuration, environment, history and metrics as they are; ``predictions.npz`` in three decimals;
    ``geometry.json``, computed here on the run's own images, which must lie in ``data_dir``; and ``SHA256SUMS`` over
    them all, as ``sha256sum -c`` reads it. No image and no weights. ``results``: None is the course's own folder.
    Raises ``FerError`` where the images are not those of the run, the weights do not give the stored answers, or the
    form is larger than 60 KB; then nothing was written.
    """
    run = load_run(folder)
    target = Path(results or course_folder() / "results") / run.folder.resolve().name
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        write_json(part / "geometry.json", measure(run, data_dir), separators=(",", ":"))
        for name in FILES:
            shutil.copyfile(run.folder / name, part / name)
        _write_predictions(run.predictions, part / "predictions.npz")
        seal(part)
        size = sum(path.stat().st_size for path in part.iterdir())
        if size > LIMIT:
            raise FerError(f"{folder}: {size} bytes in its small form, and a published run has at most {LIMIT}; what "
                           "grows is the number of test images and of epochs.")
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return load_published(target)


def measure(run, data_dir=None):
    """``geometry.geometry`` of a finished run, from its weights and from the very images of its three parts."""
    config, fraction = run.config, recipe_of(run).validation_fraction
    options = config.get("data_options", {})
    whole = load_dataset(config["dataset"], data_dir, "train", **options)
    test = load_held_out(config["dataset"], data_dir, options)
    train, validation = divide(whole, test, fraction, config["seed"])
    parts = {"train": train, **({"validation": validation} if fraction else {}), "test": test}
    for part in parts.values():
        told = config["data"].get(part.split, {"images": 0, "fingerprint": None})
        if part.fingerprint != told["fingerprint"]:
            raise FerError(f"{run.folder}: its {part.split} part had {told['images']} other images than the "
                           f"{len(part)} here, or in another order; give the data_dir that it was trained with.")
    answers = {name: run.predict(part) for name, part in parts.items()}
    same = np.mean(answers["test"][1].argmax(1) == run.predictions["probabilities"].argmax(1))
    if same < SAME:
        raise FerError(f"{run.folder}: its weights give the stored answer to {100 * same:.1f} % of the test images "
                       "only; one of the two is not this run's. Train it again.")
    return geometry({name: (features, parts[name].labels, probabilities.argmax(1))
                     for name, (features, probabilities) in answers.items()},
                    run.model.classifier.weight.detach().numpy())


def seal(folder):
    """Write ``SHA256SUMS`` over all files of a folder."""
    lines = [f"{sha256_of(path)}  {path.name}\n" for path in sorted(Path(folder).iterdir()) if path.name != SUMS]
    (Path(folder) / SUMS).write_bytes("".join(lines).encode())


def check_seal(folder):
    """Raise ``FerError`` for a file that is not what was sealed, is missing, or came later."""
    folder = Path(folder)
    advice = f"restore it from git (git checkout -- {folder}), or publish the run again."
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError) as error:
        raise FerError(f"{folder / SUMS}: the checksums of this result cannot be read ({error}); {advice}") from error
    present = {path.name for path in folder.iterdir()} - {SUMS}
    for name in sorted(sums.keys() | present):
        if name not in present:
            raise FerError(f"{folder / name}: this file of a published result is missing; {advice}")
        if name not in sums:
            raise FerError(f"{folder / name}: this file is no part of the published result; take it away, or {advice}")
        if sha256_of(folder / name) != sums[name]:
            raise FerError(f"{folder / name}: this file was changed after it was published: its checksum is "
                           f"another; {advice}")


def load_published(folder):
    """The published ``Run`` in a folder, with ``geometry`` (None in old ones) and without ``model``.

    Fields that its recipe did not have yet get the values that hold without them. Raises ``FerError`` where a file was
    changed, is missing or came later.
    """
    check_seal(folder)
    run = load_run(folder)
    return dataclasses.replace(run, config={"data_options": {}, **run.config,
                                            "recipe": dataclasses.asdict(recipe_of(run))},
                               metrics={"chosen_on": "validation", **run.metrics})


def results_folder():
    """``results/`` of the course in which we are, or else of the one that this package belongs to."""
    here = course_folder() / "results"
    return here if here.is_dir() else Path(__file__).resolve().parents[2] / "results"


def load_results(root=None):
    """All published runs, by name; ``root``: None is the course's own ``results/``."""
    root = Path(root or results_folder())
    if not root.is_dir():
        raise FerError(f"{root}: there is no such folder; give the one that holds the published runs.")
    return [load_published(folder) for folder in sorted(root.iterdir())
            if (folder / SUMS).exists() or (folder / "metrics.json").exists()]


def recipe_of(run):
    """The ``Recipe`` that a run was trained by."""
    try:
        return Recipe(**run.config["recipe"])
    except (TypeError, KeyError) as error:
        raise FerError(f"{run.folder}: its recipe cannot be read ({error}); it was made by another version of "
                       "fer_utils.") from error


def results_table(runs):
    """One row for each run, a pandas DataFrame: what went in, what came out, where and how long.

    ``overrides``: how the recipe differs from the one of its name (an unknown name: from ``Recipe``'s own values), but
    for network and centre loss; ``arm``: centre loss in words. Where λ is 0, α, rule and start of the centres are
    missing: they had no effect.
    ``validation_accuracy`` is that of the epoch that was chosen, ``ratio`` the test features' intra/inter.
    """
    rows = []
    for run in runs:
        recipe, config, metrics, history = recipe_of(run), run.config, run.metrics, run.history
        centers = {"alpha": recipe.alpha, "update": recipe.update, "center_init": recipe.center_init}
        rows.append({
            "run": run.folder.name, "dataset": config["dataset"], "source": config["source"],
            "test_split": metrics["test_split"], "n_test": config["data"][metrics["test_split"]]["images"],
            "backbone": recipe.backbone, "recipe": recipe.name, "overrides": _overrides(recipe), "arm": _arm(recipe),
            "lam": recipe.lam, **(centers if recipe.lam else {"alpha": np.nan, "update": None, "center_init": None}),
            "epochs": recipe.epochs, "weights": recipe.weights, "seed": config["seed"], "engine": config["engine"],
            "train_images": config["data"]["train"]["images"],
            **{name: metrics[name] for name in (*MEASURES, "intra", "inter")},
            "validation_accuracy": float(history.loc[history.epoch == metrics["best_epoch"],
                                                     "validation_accuracy"].iloc[0]),
            "best_epoch": metrics["best_epoch"], "hardware": run.environment["hardware"],
            "commit": run.environment["commit"], "seconds": metrics["seconds"]})
    return pd.DataFrame(rows)


def summary(table):
    """Mean and standard deviation over the seeds, one row for each arm, from ``results_table``.

    Columns beside those that tell the arms apart: ``runs``, ``seeds`` (a text), and for accuracy, both F1 and the ratio
    ``NAME`` and ``NAME_sd``, which is missing where there is one run.
    """
    groups = table.sort_values([*GROUP, "seed"], na_position="first").groupby(GROUP, dropna=False, sort=False)
    parts = {"runs": groups.size(), "seeds": groups.seed.agg(lambda seeds: ", ".join(map(str, seeds))),
             "train_images": groups.train_images.first()}
    for name in MEASURES:
        parts |= {name: groups[name].mean(), f"{name}_sd": groups[name].std()}
    return pd.DataFrame(parts).reset_index()


def _overrides(recipe):
    usual = RECIPES.get(recipe.name) or Recipe(recipe.name)
    changed = {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)
               if field.name not in ("name", "backbone", "lam", *CENTERS)
               and getattr(recipe, field.name) != getattr(usual, field.name)}
    return ", ".join(f"{name}={value}" for name, value in changed.items())


def _arm(recipe):
    if not recipe.lam:
        return "softmax"
    start = {"zeros": "", "randn": ", centres from randn"}[recipe.center_init]
    return f"λ = {recipe.lam:g}, α = {recipe.alpha:g}, {RULES[recipe.update]}{start}"


def _write_predictions(arrays, path):
    """Three decimals are enough and compress well; a row whose answer they would change keeps all its digits."""
    exact = arrays["probabilities"]
    rounded = exact.astype(float).round(3).astype(np.float16)
    same = (rounded.argmax(1) == exact.argmax(1))[:, None]
    arrays = {**arrays, "probabilities": np.where(same, rounded, exact)}
    with zipfile.ZipFile(path, "w") as archive:  # bzip2: a third smaller than savez_compressed
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # its date is fixed: the same arrays make the same file
            entry.compress_type = zipfile.ZIP_BZIP2
            with archive.open(entry, "w") as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
