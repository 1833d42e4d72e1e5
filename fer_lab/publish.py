"""Write the small form of a finished run into ``results/``, for good, sealed by checksums."""

import shutil
import zipfile
from pathlib import Path

import numpy as np

from fer_utils.atomic import written_whole
from fer_utils.datasets import load_dataset
from fer_utils.errors import FerError
from fer_utils.feature_geometry import geometry
from fer_utils.runs.results import SUMS, load_published, recipe_of
from fer_utils.runs.run import course_folder, divide, load_held_out, load_run, sha256_of, write_json

FILES = ("config.json", "environment.json", "history.json", "metrics.json")  # copied as they are
LIMIT = 60_000  # bytes a run
SAME = 0.98  # share of the test images that must get the stored answer again; rounding on another machine moves a few


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
    with written_whole(target) as part:
        part.mkdir()
        write_json(part / "geometry.json", measure(run, data_dir), separators=(",", ":"))
        for name in FILES:
            shutil.copyfile(run.folder / name, part / name)
        _write_predictions(run.predictions, part / "predictions.npz")
        seal(part)
        size = sum(path.stat().st_size for path in part.iterdir())
        if size > LIMIT:
            raise FerError(f"{folder}: {size} bytes in its small form, and a published run has at most {LIMIT}; what "
                           "grows is the number of test images and of epochs.")
    return load_published(target)


def measure(run, data_dir=None):
    """``feature_geometry.geometry`` of a finished run, from its weights and from the very images of its three parts."""
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
