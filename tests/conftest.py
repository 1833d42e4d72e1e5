"""What several test files share: small data sets, a small network, and folders that are not the reader's own.

Nothing here sets an environment variable for the whole process: notebooks may run in the same pytest call.
"""

import asyncio
import os
import re
import shutil

import nbval.kernel
import numpy as np
import pytest
import torch
from hypothesis import settings
from safetensors.torch import load_file
from torch import nn

from fer_lab import half_precision
from fer_utils.datasets import FaceDataset
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError
from fer_utils.runs import run
from fer_utils.training import loop, setup, steps
from fer_utils.training.loop import fit
from fer_utils.training.recipe import Recipe
from fer_utils.training.setup import make_accelerator, prepare

settings.register_profile("course", deadline=None, derandomize=True, database=None)  # a busy machine is no fault
settings.load_profile("course")


def start_kernel(start=nbval.kernel.start_new_kernel, **given):
    """A kernel for nbval. It dies at its start where another process, asking at the same time, got the same port."""
    try:
        return start(**given)
    except RuntimeError:
        return start(**given)


nbval.kernel.start_new_kernel = start_kernel


def pytest_collection_modifyitems(items):
    """The cells of the notebooks count among the tests that execute whole notebooks."""
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker("course")


class TinyNetwork(nn.Module):
    """Stands in for ``CLResNet50`` where only the loop around the network is tested: two convolutions, 16 features."""

    def __init__(self, num_classes=len(EMOTIONS), *, backbone="tiny", weights="random"):
        super().__init__()
        self.feat_dim = 16
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False)
        norm = nn.Identity if "plain" in backbone else nn.BatchNorm2d
        self.norms = nn.ModuleList([norm(8), norm(16)])
        self.dropout = nn.Dropout(0.5 if "dropout" in backbone else 0.0)
        self.classifier = nn.Linear(16, num_classes)
        if weights != "random":
            self.load_state_dict(load_file(weights))

    def forward(self, images):
        maps = self.norms[0](self.first(images)).relu()
        features = self.dropout(self.norms[1](self.second(maps)).relu().mean((2, 3)))
        return features, self.classifier(features)


def refusal(call, *args, **options):
    """What a call is refused with: the words of its ``FerError``, "" where it goes through. Tests loop over bad values
    with it and name all that were not refused as they should be."""
    try:
        call(*args, **options)
    except FerError as error:
        return str(error)
    except Exception as error:
        return f"no FerError but {type(error).__name__}"
    return ""


# Where the tests marked "gpu" train: FER_TEST_DEVICE=cuda pytest tests/utils -m gpu
DEVICE = torch.device(os.environ.get("FER_TEST_DEVICE", "cpu"))
if DEVICE.type == "cuda":
    torch.backends.cudnn.allow_tf32 = False  # it has 10 bits; these tests compare with formulas


def train(faces, recipe, seed=0, **options):
    return fit(*faces, recipe, seed, device=DEVICE, progress=False, **{"graphed": False, **options})


def made(recipe, seed=0, steps=1, labels=()):
    """What ``training_step`` takes after its pieces; ``labels`` are those of the training images."""
    accelerator = make_accelerator(DEVICE, recipe)
    return recipe, accelerator, prepare(recipe, seed, accelerator, steps, labels)


@pytest.fixture
def tiny_network(monkeypatch):
    """``training`` and ``runs`` build a ``TinyNetwork`` whatever the backbone; "tiny dropout" has
    dropout, "tiny plain" no batch norm."""
    monkeypatch.setattr(setup, "CLResNet50", TinyNetwork)
    for module in (run, half_precision):
        monkeypatch.setattr(module, "CLResNet50", TinyNetwork)
    return TinyNetwork


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FER_UTILS_CACHE", str(folder))
    return folder


@pytest.fixture
def make_faces():
    """Random pixels as a ``FaceDataset``, the seven classes in turn."""
    def make(n=64, size=32, seed=0, split="train", colour=False):
        shape = (n, size, size, 3) if colour else (n, size, size)
        images = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
        names = np.array([f"{split}_{row}" for row in range(n)])
        return FaceDataset(images, np.arange(n, dtype=np.int64) % 7, names, split, "random pixels")
    return make


@pytest.fixture
def make_recipe():
    """A recipe of seconds: 32 pixels, batches of 16, fp32 on every machine, so that numbers repeat."""
    def make(**fields):
        defaults = {"name": "tiny", "backbone": "resnet18", "image_size": 32, "batch_size": 16, "epochs": 2,
                    "precision": "fp32"}
        return Recipe(**{**defaults, **fields})
    return make


@pytest.fixture
def assert_same_state():
    """Two state_dicts are equal to the last bit."""
    def check(first, second):
        assert first.keys() == second.keys()
        different = [name for name in first if not torch.equal(first[name].cpu(), second[name].cpu())]
        assert not different
    return check


@pytest.fixture
def faces(make_faces):
    """What ``fit`` takes first: 64 faces to train with and 21 to validate."""
    return make_faces(64, seed=1), make_faces(21, seed=2, split="validation")


@pytest.fixture
def assert_same_training(assert_same_state):
    """Two results of ``fit`` are equal to the last bit, but for the seconds that they took."""
    def check(first, second):
        assert_same_state(first.model.state_dict(), second.model.state_dict())
        assert_same_state(first.center_loss.state_dict(), second.center_loss.state_dict())
        columns = [name for name in first.history if name != "seconds"]
        assert first.history[columns].to_dict("records") == second.history[columns].to_dict("records")
        assert first.best_epoch == second.best_epoch and first.inputs == second.inputs
    return check


@pytest.fixture
def steps_seen(monkeypatch):
    """(batch, labels, results) of every training step; the pieces of a batch are put together."""
    seen, step = [], steps.training_step

    def watched(pieces, *args):
        results = step(pieces, *args)
        seen.append((*(torch.cat(part) for part in zip(*pieces)), results))
        return results

    monkeypatch.setattr(steps, "training_step", watched)
    return seen


@pytest.fixture
def validations(monkeypatch):
    """Call it, and training's validation accuracy (or another value) is given beforehand for each epoch."""
    def give(values, note=lambda parts, epoch: None, name="validation_accuracy"):
        epochs = []

        def given(parts, *args):
            epochs.append(len(epochs) + 1)
            note(parts, epochs[-1])
            return {"validation_cross_entropy": 1.0, "validation_accuracy": 0.5, "validation_ratio": 1.0,
                    name: values[len(epochs) - 1]}

        monkeypatch.setattr(loop, "_validate", given)
    return give


# The labs in a browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync"]


@pytest.fixture(scope="session")
def chromium():
    """One browser for the whole run, and the event loop that talks to it."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright here: the lab is not tested in a browser")
    with api.sync_playwright() as playwright:
        loop = asyncio.get_running_loop()
        path = next(filter(None, map(shutil.which, BROWSERS)), None)
        try:
            found = playwright.chromium.launch(executable_path=path, channel=None if path else "chrome", args=QUIET)
        except api.Error:
            pytest.skip("no chromium or chrome here: the lab is not tested in a browser")
        asyncio._set_running_loop(None)
        yield found, loop
        asyncio._set_running_loop(loop)
        found.close()


@pytest.fixture
def browser(chromium):
    """The browser for one test; to all others this thread has no running loop, for they may need one of their own."""
    found, loop = chromium
    asyncio._set_running_loop(loop)
    yield found
    asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """The folder of the pages with labs; a file of tests may have its own."""
    from lab_pages import write_pages

    return write_pages(tmp_path_factory.mktemp("labs"))


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory):
    """JupyterLab, started once: its address and its folder. It saves the state of widgets with a notebook."""
    from browsing import jupyterlab

    folder = tmp_path_factory.mktemp("jupyterlab")
    settings = folder / "config" / "lab" / "user-settings" / "@jupyter-widgets" / "jupyterlab-manager"
    settings.mkdir(parents=True)
    (settings / "plugin.jupyterlab-settings").write_text('{"saveState": true}')
    with jupyterlab(folder) as address:
        yield address, folder


@pytest.fixture
def visit(browser, pages):
    """Open one of the pages, every host blocked; at the end, none may have been asked and no error been logged."""
    from browsing import PATIENCE, frame

    contexts, wrong = [], []

    def open_page(name, width=1000, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        contexts[-1].set_default_timeout(PATIENCE)
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.route(re.compile("^(?!file:)"), lambda route: (wrong.append(route.request.url), route.abort()))
        page.goto((pages / f"{name}.html").as_uri())
        if options.get("java_script_enabled", True):
            frame(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong
