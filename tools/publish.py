"""Copy finished runs, without their weights, to results/, and write the table in results/README.md anew.

    python tools/publish.py runs/fer2013-…    publish these run folders
    python tools/publish.py                   only write the table

Only what is needed to check a number is copied: configuration, environment, history, metrics, and for each test image
its name, class and probabilities. No image, and nothing of a run on images that may not be named.
"""

import json
import re
import shutil
import sys
from pathlib import Path

from environment import ROOT, enter, parser

RESULTS = ROOT / "results"
FILES = ("config.json", "environment.json", "history.json", "metrics.json")
LIMIT = 60_000  # bytes a run
TABLE = re.compile(r"(<!-- table -->\n).*?(<!-- end -->)", re.DOTALL)


def main(folders):
    for folder in map(Path, folders):
        target = RESULTS / folder.name
        target.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(folder / name, target / name)
        write_predictions(folder, target)
        size = sum(path.stat().st_size for path in target.iterdir())
        if size > LIMIT:
            shutil.rmtree(target)
            sys.exit(f"{folder}: {size} bytes; a published run has at most {LIMIT}.")
        print(f"{folder.name}: {size / 1000:.0f} KB")
    page = RESULTS / "README.md"
    page.write_text(TABLE.sub(lambda found: found[1] + table() + found[2], page.read_text(encoding="utf-8")),
                    encoding="utf-8")


def write_predictions(folder, target):
    """Three decimals are enough and compress well; a row whose answer they would change keeps all its digits."""
    import numpy as np

    from fer_utils.runs import load_run

    arrays = dict(load_run(folder).predictions)
    exact = arrays["probabilities"]
    rounded = exact.astype(float).round(3).astype(np.float16)
    same = (rounded.argmax(1) == exact.argmax(1))[:, None]
    np.savez_compressed(target / "predictions.npz", **{**arrays, "probabilities": np.where(same, rounded, exact)})


def table():
    """One line for each published run, and one for each pair of softmax and centre loss with the same seed."""
    from fer_utils.runs import load_run

    runs = [load_run(path.parent) for path in sorted(RESULTS.glob("*/metrics.json"))]
    head = "run, test split, seed, λ, α, accuracy, weighted F1, macro F1, intra/inter, epochs, hardware".split(", ")
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for run in runs:
        recipe, metrics = run.config["recipe"], run.metrics
        alpha = f"{recipe['alpha']:g}" if recipe["lam"] else ""
        lines.append(f"| [{run.folder.name.rsplit('-', 1)[-1]}]({run.folder.name}) | {metrics['test_split']} "
                     f"| {run.config['seed']} | {recipe['lam']:g} | {alpha} | {100 * metrics['accuracy']:.2f} % "
                     f"| {metrics['weighted_f1']:.3f} | {metrics['macro_f1']:.3f} | {metrics['ratio']:.3f} "
                     f"| {metrics['epochs']} | {run.environment['hardware']} |")
    return "\n".join(lines) + "\n\n" + "\n".join(pairs(runs)) + "\n"


def pairs(runs):
    """A sentence for each pair that differs in λ and α alone: the difference, and McNemar's exact test."""
    from fer_utils.statistics import mcnemar

    def matters(run):
        recipe = {name: value for name, value in run.config["recipe"].items() if name not in ("lam", "alpha")}
        return json.dumps([recipe, run.config["seed"], run.config["data"]], sort_keys=True)

    def answers(run):
        return run.predictions["probabilities"].argmax(1)

    for center in runs:
        for softmax in runs:
            weighed = [bool(run.config["recipe"]["lam"]) for run in (center, softmax)]
            if weighed == [True, False] and matters(center) == matters(softmax):
                gained, lost, p = mcnemar(center.predictions["labels"], answers(center), answers(softmax))
                points = 100 * (center.metrics["accuracy"] - softmax.metrics["accuracy"])
                yield (f"- Seed {center.config['seed']}, λ = {center.config['recipe']['lam']:g}, α = "
                       f"{center.config['recipe']['alpha']:g}: {points:+.2f} points against softmax; {gained} images "
                       f"only centre loss got right, {lost} only softmax (McNemar's exact test, p = {p:.2g}).")


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("folders", nargs="*", metavar="RUN", help="folders of finished runs")
    arguments = parser.parse_args()
    enter(arguments.here)
    sys.exit(main(arguments.folders))
