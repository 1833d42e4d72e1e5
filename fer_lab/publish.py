"""Write the small form of a finished run into ``results/``, for good, sealed by checksums."""

import shutil
import zipfile
from pathlib import Path

import numpy as np

from fer_utils.as_written import path_of
from fer_utils.atomic import written_whole
from fer_utils.errors import FerError
from fer_utils.feature_geometry import geometry
from fer_utils.runs.results import SUMS, load_published, read_sums, recipe_of
from fer_utils.runs.run import divide, load_run, load_splits, sha256_of, write_json

FILES = ("config.json", "environment.json", "history.json", "metrics.json")  # copied as they are
LIMIT = 60_000  # bytes a run
SAME = 0.98  # share of the test images that must get the stored answer again; rounding on another machine moves a few


def publish(folder, results, *, data_dir=None):
    """Write the small form of a finished run to ``results/runs/NAME``, in place of what is there; returns the ``Run``.

    Configuration, environment, history and metrics as they are; ``predictions.npz`` in three decimals;
    ``geometry.json``, computed here on the run's own images, which must lie in ``data_dir``; and their lines in
    ``results/SHA256SUMS``, as ``sha256sum -c`` reads it. No image and no weights. Raises ``FerError`` where the images
    are not those of the run, the weights do not give the stored answers, or the form is larger than 60 KB; then nothing
    was written.
    """
    run = load_run(folder)
    target = path_of(results) / "runs" / run.folder.resolve().name
    with written_whole(target) as part:
        part.mkdir()
        write_json(part / "geometry.json", measure(run, data_dir), separators=(",", ":"))
        for name in FILES:
            shutil.copyfile(run.folder / name, part / name)
        _write_predictions(run.predictions, part / "predictions.npz")
        size = sum(path.stat().st_size for path in part.iterdir())
        if size > LIMIT:
            raise FerError(f"{folder}: {size} bytes in its small form, and a published run has at most {LIMIT}; what "
                           "grows is the number of test images and of epochs.")
    seal(target)
    return load_published(target)


def measure(run, data_dir=None):
    """``feature_geometry.geometry`` of a finished run, from its weights and from the very images of its three parts."""
    config, fraction = run.config, recipe_of(run).validation_fraction
    options = config.get("data_options", {})
    whole, test, *own = load_splits(config["dataset"], data_dir, options)
    train, validation = divide(whole, test, fraction, config["seed"], *own)
    parts = {"train": train, **({"validation": validation} if fraction or own else {}), "test": test}
    for part in parts.values():
        if part.fingerprint != config["data"].get(part.split, {}).get("fingerprint"):
            raise FerError(f"{run.folder}: its {part.split} part had other images than the {len(part)} here, or in "
                           "another order; give the data_dir that it was trained with.")
    answers = {name: run.predict(part) for name, part in parts.items()}
    same = np.mean(answers["test"][1].argmax(1) == run.predictions["probabilities"].argmax(1))
    if same < SAME:
        raise FerError(f"{run.folder}: its weights give the stored answer to {100 * same:.1f} % of the test images "
                       "only; one of the two is not this run's. Train it again.")
    return geometry({name: (features, parts[name].labels, probabilities.argmax(1))
                     for name, (features, probabilities) in answers.items()},
                    run.model.classifier.weight.detach().numpy())


def seal(folder):
    """Renew the lines of the run ``results/runs/NAME`` in ``results/SHA256SUMS``, written whole or not at all."""
    folder = Path(folder)
    root = folder.parents[1]
    sums = read_sums(root) if (root / SUMS).exists() else {}
    sums[folder.name] = {path.name: sha256_of(path) for path in folder.iterdir()}
    lines = [f"{sums[run][name]}  runs/{run}/{name}\n" for run in sorted(sums) for name in sorted(sums[run])]
    with written_whole(root / SUMS) as part:
        part.write_bytes("".join(lines).encode())


def _write_predictions(arrays, path):
    """Three decimals are enough and compress well; a row whose answer they would change keeps all its digits.

    Not by ``np.savez_compressed``, which knows deflate alone: 40 % larger, and ``quick``'s runs would exceed ``LIMIT``.
    """
    exact = arrays["probabilities"]
    rounded = exact.astype(float).round(3).astype(np.float16)
    same = (rounded.argmax(1) == exact.argmax(1))[:, None]
    arrays = {**arrays, "probabilities": np.where(same, rounded, exact)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # its date is fixed: the same arrays make the same file
            entry.compress_type = zipfile.ZIP_BZIP2
            with archive.open(entry, "w") as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
