"""Does the course run on this GPU as it should, and how fast? A table, and a file that can be sent to us.

    python tools/gpu_check.py                    under three minutes; installs nothing, takes the Python that runs it
    python tools/gpu_check.py --out check.json   where the file goes; build/gpu_check.json unless given

In this order, and the first that fails ends it: versions; three replayed steps of each recipe against three plain
ones; the tests that are marked for a GPU, where pytest is installed; images/s of benchmarks/training.py; and one pair,
softmax and centre loss on the embedded faces, trained in seconds, which decides nothing.
"""

import os
import sys
import tempfile

from environment import ROOT, parser, path_of

sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
PAIR = {"softmax": 0.0, "centre loss": 0.02}
TESTS, FEWEST = ("test_training*.py", "test_center_loss*.py"), 30  # an empty selection is no success


def main(out):
    """Check, print, write; returns the exit code."""
    import torch

    if not torch.cuda.is_available():
        return say("no GPU", "torch sees no CUDA device here; on Colab choose Runtime → Change runtime type → GPU")
    from fer_utils.runs.run import environment, write_json

    found = {"environment": environment("cuda")}
    say("machine", "{hardware}, torch {torch}, Python {python}".format(**found["environment"]))
    out.parent.mkdir(parents=True, exist_ok=True)
    for name, check in {"agreement": agreement, "tests": tests, "images_per_second": speed, "pair": pair}.items():
        found[name], failed = check()
        write_json(out, found)
        if failed:
            return say(name, f"FAILED. What was found until here is in {out}; please send it to us")
    say("written", out)
    return 0


def say(name, text):
    print(f"{name:18} {text}", flush=True)
    return 1


def agreement():
    """{recipe: why its replayed steps cannot stand for the plain ones, "" where they can}."""
    import torch

    from fer_utils.datasets import load_dataset
    from fer_utils.training.graphed_step import disagreement, on_gpu
    from fer_utils.training.recipe import RECIPES

    train = load_dataset("synthetic", None, "train")
    found = {}
    for name, recipe in RECIPES.items():
        recipe = recipe.replace(weights="random", image_size=48, backbone="resnet18")
        found[name] = disagreement(train, recipe, torch.device("cuda"), on_gpu)
        say("steps agree" if not found[name] else "STEPS DIFFER", f"{name} {found[name]}")
    return found, any(found.values())


def tests():
    """How many tests ended how, {outcome: count}."""
    os.environ["FER_TEST_DEVICE"] = "cuda"
    try:
        import hypothesis  # noqa: F401
        import pytest
    except ImportError as error:
        say("tests", f"left out: {error.name} is not installed here")
        return {}, False
    count = Count()
    files = map(str, (path for pattern in TESTS for path in (ROOT / "tests" / "utils").glob(pattern)))
    code = pytest.main([*files, "-m", "gpu", "-q", "--no-header", "-p", "no:cacheprovider"],
                       plugins=[count])
    say("tests", count.outcomes)
    return count.outcomes, code != 0 or count.outcomes.get("passed", 0) < FEWEST


class Count:
    """A plugin of pytest: counts the outcomes."""

    def __init__(self):
        self.outcomes = {}

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.outcome] = self.outcomes.get(report.outcome, 0) + 1


def speed():
    """{pixels: {loop: images/s}}; peak memory is the benchmark's own business."""
    import torch
    import training

    found = {}
    for size in (48, 224):
        found[size] = training.speeds(size, torch.device("cuda"), 3)
        texts = [f"{name} {value:,.0f}" for name, value in found[size].items()]
        say(f"images/s, {size} px", ", ".join(texts))
    return found, False


def pair():
    """What one seed of the quick recipe gives with and without centre loss."""
    from fer_utils.runs.run import find_or_train
    from fer_utils.training.recipe import get_recipe

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, lam in PAIR.items():
            run = find_or_train(get_recipe("quick", lam=lam, alpha=0.5), device="cuda", runs_dir=folder, progress=False)
            graphed = bool(run.history.graphed.all())
            found[name] = {key: run.metrics[key] for key in ("accuracy", "macro_f1", "ratio", "seconds")}
            found[name]["graphed"] = graphed
            say(name, "accuracy {accuracy:.3f}, macro F1 {macro_f1:.3f}, intra/inter {ratio:.2f}".format(**found[name])
                + ("" if graphed else "; NOT REPLAYED"))
    return found, not all(run["graphed"] for run in found.values())


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--out", type=path_of, default=ROOT / "build" / "gpu_check.json")
    sys.exit(main(options.parse_args().out))
