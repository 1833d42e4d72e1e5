"""One run is one folder, found again by its key: what was trained once is loaded afterwards."""

import dataclasses
import hashlib
import json
import os
import platform
import re
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate.state import PartialState
from safetensors.torch import save_file

from ..as_written import path_of, value_of, whole_of
from ..atomic import written_whole
from ..datasets import GENERAL, TEST_SPLIT, load_dataset, name_of, size_for, split_train_validation
from ..datasets.folder import own_validation
from ..errors import FerError
from ..evaluation import compactness, confusion, predict, scores
from ..model import CLResNet50
from ..training import checkpoint
from ..training.loop import ENGINE, FitResult, fit
from ..training.setup import derive, peak_memory

DRIVE = Path("/content/drive/MyDrive")  # where drive.mount("/content/drive") of Colab puts the reader's own


@dataclass(frozen=True)
class Run:
    """A finished run and its folder. ``config``: recipe, seed, data, inputs; ``environment``: versions and hardware;
    ``metrics``: scores on the test split with the confusion counts and the features' compactness."""

    folder: Path
    config: dict
    environment: dict
    metrics: dict

    @cached_property
    def history(self):
        """One row per epoch, a pandas DataFrame."""
        return pd.read_json(self.folder / "history.json", orient="records")

    @cached_property
    def predictions(self):
        """``names`` (N,), ``labels`` (N,), ``probabilities`` float16 (N, 7) of the test split."""
        with np.load(self.folder / "predictions.npz", allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    @cached_property
    def cured(self):
        """``names`` and ``labels`` (N,) of the training images after SCN's last epoch; None where SCN had no part."""
        path = self.folder / "cured.npz"
        return dict(np.load(path, allow_pickle=False)) if path.exists() else None

    @cached_property
    def geometry(self):
        """How the features lie, as ``feature_geometry.geometry`` says it; None where that was not measured."""
        path = self.folder / "geometry.json"
        return json.loads(path.read_text()) if path.exists() else None

    @cached_property
    def model(self):
        """The trained network, on the CPU, in evaluation mode; ``FerError`` where the run came without it."""
        path = self.folder / "model.safetensors"
        if not path.exists():
            raise FerError(f"{path}: this run was passed on without its network; delete the folder and train it again.")
        return CLResNet50(len(self.config["classes"]), backbone=self.config["recipe"]["backbone"],
                          weights=str(path)).eval()

    @property
    def origin(self):
        """When it was trained, how long that took and on what, as half a sentence."""
        path = self.folder / "metrics.json"  # written last: its time stands in where the run is older than "finished"
        told = self.environment.get("finished")
        when = datetime.fromisoformat(told) if told else datetime.fromtimestamp(path.stat().st_mtime, UTC)
        minutes, seconds = divmod(round(self.metrics["seconds"]), 60)
        took = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
        return f"trained on {when.day} {when:%B %Y} in {took} on {self.environment['hardware']}"

    def predict(self, dataset):
        """Features float32 (N, D) and probabilities float32 (N, 7) of a ``FaceDataset``, normalised as in training."""
        return predict(self.model, dataset.images, **self.config["inputs"])


def find_or_train(recipe, *, dataset="synthetic", data_dir=None, data_options=None, seed=0, device="auto",
                  runs_dir=None, progress=True, on_epoch=None):
    """The ``Run`` of this recipe, data and seed: loaded where finished, resumed where it was cut off, else trained.

    The training split is divided into training and validation by the recipe's share and the seed; the test split is
    looked at once, by the epoch that validation chose. Images that somebody set aside to validate on choose instead,
    and all of the training split trains; without any and with a share of 0 the test split chooses, as
    ``metrics["chosen_on"]`` says. A folder's images are read in the recipe's size. ``progress`` shows a bar, and a line
    that says where the run comes from.
    Raises ``FerError`` as ``load_dataset`` and ``fit`` do.
    """
    dataset, seed = name_of(dataset), whole_of(seed)
    options = {**size_for(dataset, recipe.image_size), **value_of(data_options or {})}
    whole, test, *own = load_splits(dataset, data_dir, options)
    folder = path_of(runs_dir or default_runs_dir()) / run_id(recipe, dataset, seed, whole, test, *own)
    found = is_finished(folder)
    if not found:
        train, validation = divide(whole, test, recipe.validation_fraction, seed, *own)
        with checkpoint.locked(folder):
            found = is_finished(folder)  # another process did it while this one waited
            if not found:
                result = fit(train, validation, recipe, seed, device=device, folder=folder, progress=progress,
                             on_epoch=on_epoch)
                config = {"dataset": dataset, "source": whole.source, "data_options": options, "seed": seed,
                          "engine": ENGINE, "initialisation": recipe.weights, "recipe": dataclasses.asdict(recipe),
                          "data": {split.split: {"images": len(split), "fingerprint": split.fingerprint}
                                   for split in (train, validation, test)}}
                if _is_file(recipe.weights):
                    config["weights_sha256"] = sha256_of(recipe.weights)
                if checkpoint.is_main():
                    with checkpoint.explained(folder, "training is done, but its results cannot be written"):
                        _finish(folder, config, result, test, train.names)
                PartialState().wait_for_everyone()
    run = load_run(folder)
    if progress and checkpoint.is_main():
        print(f"{folder.name}: {'loaded, not trained again' if found else 'new'}; {run.origin}.")
    return run


def load_splits(dataset, data_dir, options):
    """[what a run is trained on, what it is tested on], and behind them what somebody set aside to validate on."""
    own = own_validation(data_dir, **_whole(options)) if dataset == "folder" else None
    splits = load_dataset(dataset, data_dir, "train", **options), load_held_out(dataset, data_dir, options), own
    return [split for split in splits if split is not None]


def load_held_out(dataset, data_dir, options):
    """The split that runs are tested on, always whole: other training data must not make the test another one."""
    return load_dataset(dataset, data_dir, TEST_SPLIT[dataset], **_whole(options))


def _whole(options):
    return {name: value for name, value in options.items() if name not in GENERAL}


def divide(whole, test, fraction, seed, own=None):
    """(train, validation) of a run: what its seed draws; without a share to validate, all of it and the test split; and
    with its ``own`` validation images, all of it and these."""
    if own is not None:
        return whole, own
    if not fraction:
        return whole, replace(test, split="validation")
    known = whole.persons is not None and len(np.unique(whole.persons)) > 1
    by = "person" if known else "image"  # nobody may be on both sides
    return split_train_validation(whole, fraction, derive(seed, "split") % 2**32, by)


def is_finished(folder):
    """Whether a folder holds a finished run: its metrics are written last."""
    return Path(folder, "metrics.json").exists()


def load_run(folder):
    """The finished run in a folder; raises ``FerError`` where it is not finished or not readable."""
    folder = path_of(folder)
    try:
        parts = [json.loads((folder / f"{part}.json").read_text()) for part in ("config", "environment", "metrics")]
    except (OSError, ValueError) as error:
        raise FerError(f"{folder}: not a finished run ({error}); run it again, or delete the folder.") from error
    return Run(folder, *parts)


def run_id(recipe, dataset, seed, *splits):
    """A readable name that ends in the key: the hash of recipe, data, seed and ENGINE."""
    content = {"recipe": recipe.effective(), "data": [split.fingerprint for split in splits], "seed": seed,
               "engine": ENGINE}
    if _is_file(recipe.weights):
        content["weights"] = sha256_of(recipe.weights)  # not the name: the content
    loss = f"center-lam{recipe.lam:g}-alpha{recipe.alpha:g}" if recipe.lam else "softmax"
    return f"{dataset}-{recipe.name}-{recipe.backbone}-{loss}-seed{seed}-{key_of(content)}"


def key_of(content):
    """Ten hexadecimal digits that change with what JSON writes of ``content``."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:10]


def _is_file(weights):
    return weights not in ("random", "imagenet") and path_of(weights).is_file()


def default_runs_dir():
    """``FER_UTILS_RUNS``; or, on Colab, ``fer_utils_runs`` in the mounted Drive, so that a run which Colab cuts off
    continues on the next machine; or ``runs`` in the course's folder; or ``runs`` in the current one."""
    own = DRIVE / "fer_utils_runs" if DRIVE.is_dir() else course_folder() / "runs"
    return path_of(os.environ.get("FER_UTILS_RUNS") or own)


def course_folder():
    """The folder of the course in which we are, or the current one."""
    here = (Path.cwd(), *Path.cwd().parents)
    course = (folder for folder in here if (folder / "notebooks").is_dir() and (folder / "fer_utils").is_dir())
    return next(course, Path.cwd())


def environment(device="cpu"):
    """Versions, hardware, commit and the most memory held so far: what a reader must know to compare numbers."""
    import torchvision  # slow to import, as model.py says, and there once a network was built

    device = torch.device(device)
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return {"python": platform.python_version(), "torch": torch.__version__, "torchvision": torchvision.__version__,
            "numpy": np.__version__, "system": f"{platform.system()} {platform.machine()}", "device": device.type,
            "hardware": hardware, "threads": torch.get_num_threads(), "peak_memory_mb": peak_memory(device),
            "commit": _commit()}


def sha256_of(path):
    """The SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def write_json(path, content, **style):
    """Write JSON whole or not at all; ``style`` is ``json.dumps``'s."""
    with written_whole(path) as part:
        part.write_text(json.dumps(content, **(style or {"indent": 1})) + "\n")


def _finish(folder, config, result: FitResult, test, trained):
    features, probabilities = predict(result.model, test.images, **result.inputs)
    predicted = probabilities.argmax(1)
    near = compactness(features, test.labels)
    device = next(result.model.parameters()).device
    on_test = config["data"]["validation"]["fingerprint"] == test.fingerprint
    metrics = {"test_split": test.split, "chosen_on": test.split if on_test else "validation",
               **scores(test.labels, predicted, test.classes),
               "best_epoch": result.best_epoch, "epochs": len(result.history),
               "seconds": round(float(result.history.seconds.sum()), 1),
               "intra": near.intra, "inter": near.inter, "ratio": near.ratio,
               "confusion": confusion(test.labels, predicted, classes=test.classes).tolist()}
    save_file({name: value.cpu().contiguous() for name, value in result.model.state_dict().items()},
              folder / "model.safetensors")
    np.savez_compressed(folder / "predictions.npz", names=test.names, labels=test.labels.astype(np.uint8),
                        probabilities=probabilities.astype(np.float16))
    if result.labels is not None:
        np.savez_compressed(folder / "cured.npz", names=trained, labels=result.labels.astype(np.uint8))
    write_json(folder / "history.json", result.history.to_dict("records"))
    write_json(folder / "config.json", {**config, "inputs": result.inputs, "classes": test.classes})
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(folder / "environment.json", {**environment(device), "finished": finished})
    write_json(folder / "metrics.json", metrics)  # last: its presence says that the run is finished
    checkpoint.clear(folder)


def _cpu_name():
    info = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*:(.+)", info.read_text(), re.MULTILINE) if info.exists() else None
    return f"{named[1].strip() if named else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _commit():
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:  # git is not installed
        return None
    return answer.stdout.strip() or None
