"""Publish finished runs in results/, and write the tables of results/README.md and results/RUNS.md anew.

    python tools/publish.py --data-dir PATH runs/fer2013-…    publish these run folders; PATH holds their images
    python tools/publish.py --weights runs/fer2013-…          and their networks, in half precision: some 50 MB each
    python tools/publish.py                                   only write the tables

Only what is needed to check a number is written: configuration, environment, history, metrics, for each test image
its name, class and probabilities, and how the features lie. No image, and nothing of a run on images that may not be
named.
"""

import re
import sys

from environment import ROOT, enter, parser

RESULTS = ROOT / "results"
TABLE = re.compile(r"(<!-- table -->\n).*?(<!-- end -->)", re.DOTALL)
BLOCK = ["dataset", "source", "test_split", "backbone", "recipe", "overrides", "engine"]


def main(folders, data_dir=None, weights=False):
    from fer_utils.errors import FerError
    from fer_utils.runs import export, load_results, load_run, publish

    try:
        for folder in folders:
            run = publish(folder, RESULTS, data_dir=data_dir)
            size = sum(path.stat().st_size for path in run.folder.iterdir())
            print(f"{run.folder.name}: {size / 1000:.0f} KB", flush=True)
            if weights:
                export(load_run(folder), RESULTS / "checkpoints" / run.folder.name)
        runs = load_results(RESULTS)
    except FerError as error:
        sys.exit(str(error))
    page = RESULTS / "README.md"
    page.write_text(TABLE.sub(lambda found: found[1] + arms(runs) + found[2], page.read_text(encoding="utf-8")),
                    encoding="utf-8")
    (RESULTS / "RUNS.md").write_text(listing(runs), encoding="utf-8")


def arms(runs):
    """One line for each arm: mean ± sd over its seeds."""
    from fer_utils.runs import results_table, summary

    def over_seeds(row, name, digits, factor=1):
        spread = row[f"{name}_sd"]
        return f"{factor * row[name]:.{digits}f}" + (f" ± {factor * spread:.{digits}f}" if spread == spread else "")

    head = ("data, test split, network, recipe, centre loss, seeds, accuracy (%), weighted F1, macro F1, "
            "intra/inter").split(", ")
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for row in summary(results_table(runs)).to_dict("records"):
        lines.append(f"| {row['source']}, {row['train_images']:,} to train | {row['test_split']} | {row['backbone']} "
                     f"| {recipe(row)} | {row['arm']} | {row['seeds']} | {over_seeds(row, 'accuracy', 2, 100)} "
                     f"| {over_seeds(row, 'weighted_f1', 3)} | {over_seeds(row, 'macro_f1', 3)} "
                     f"| {over_seeds(row, 'ratio', 3)} |")
    return "\n".join(lines) + "\n"


def listing(runs):
    """results/RUNS.md: every run, by data, network and recipe, and what each pair says by itself."""
    from fer_utils.runs import results_table

    table = results_table(runs)
    lines = ["# Runs", "", "Every published run, written by `python tools/publish.py`. Means over seeds are in the "
             "[results](README.md)."]
    head = ("run, seed, centre loss, accuracy (%), weighted F1, macro F1, intra/inter, validation (%), epoch chosen, "
            "minutes, hardware, commit").split(", ")
    for _, block in table.groupby(BLOCK, sort=True):
        first = block.iloc[0]
        lines += ["", f"## {first.source}, {first.test_split}: {first.backbone}, {recipe(first)}", "",
                  f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
        for row in block.sort_values(["lam", "update", "alpha", "seed"], na_position="first").itertuples():
            commit = row.commit[:10] if isinstance(row.commit, str) else "not told"  # pandas may have made None nan
            lines.append(f"| [{row.run.rsplit('-', 1)[-1]}]({row.run}) | {row.seed} | {row.arm} "
                         f"| {100 * row.accuracy:.2f} | {row.weighted_f1:.3f} | {row.macro_f1:.3f} | {row.ratio:.3f} "
                         f"| {100 * row.validation_accuracy:.2f} | {row.best_epoch} of {row.epochs} "
                         f"| {row.seconds / 60:.0f} | {row.hardware} | {commit} |")
        sentences = list(pairs([runs[position] for position in block.index]))
        lines += [""] * bool(sentences) + sentences
    return "\n".join(lines) + "\n"


def pairs(runs):
    """A sentence for each pair of one recipe, seed and data: the difference, and McNemar's exact test.

    Where one softmax run stands beside several α or λ under one rule, that is a curve, and its points are no pairs: of
    so many tests some would look like a finding.
    """
    from fer_utils.runs.published import RULES
    from fer_utils.statistics import mcnemar

    def arm(run):
        return tuple(run.config["recipe"][name] for name in ("update", "center_init"))

    def answers(run):
        return run.predictions["probabilities"].argmax(1)

    centers = [run for run in runs if run.config["recipe"]["lam"]]
    for softmax in (run for run in runs if not run.config["recipe"]["lam"]):
        beside = [run for run in centers if (run.config["seed"], run.config["data"])
                  == (softmax.config["seed"], softmax.config["data"])]
        for center in beside:
            if [arm(run) for run in beside].count(arm(center)) > 1:
                continue
            used = center.config["recipe"]
            gained, lost, p = mcnemar(center.predictions["labels"], answers(center), answers(softmax))
            points = 100 * (center.metrics["accuracy"] - softmax.metrics["accuracy"])
            yield (f"- Seed {center.config['seed']}, λ = {used['lam']:g}, α = {used['alpha']:g}, "
                   f"{RULES[used['update']]}: {points:+.2f} points against softmax; {gained} images only centre loss "
                   f"got right, {lost} only softmax (McNemar's exact test, p = {p:.2g}).")


def recipe(row):
    changed = f" with {row['overrides']}" if row["overrides"] else ""
    return f"`{row['recipe']}`{changed}" + (f" (engine {row['engine']})" if row["engine"] < 2 else "")


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("folders", nargs="*", metavar="RUN", help="folders of finished runs")
    parser.add_argument("--data-dir", metavar="PATH", help="where the images of these runs lie")
    parser.add_argument("--weights", action="store_true", help="write the networks, too, to results/checkpoints/")
    arguments = parser.parse_args()
    enter(arguments.here)
    sys.exit(main(arguments.folders, arguments.data_dir, arguments.weights))
