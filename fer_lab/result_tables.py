"""The tables of published runs: ``results/README.md`` by arms, ``results/RUNS.md`` run by run."""

import re
from pathlib import Path

from fer_utils.runs.results import RULES, results_table, summary
from fer_utils.statistics import mcnemar

TABLE = re.compile(r"(<!-- table -->\n).*?(<!-- end -->)", re.DOTALL)
BLOCK = ["dataset", "source", "test_split", "backbone", "recipe", "overrides", "engine"]


def write_tables(runs, folder):
    """Write both pages of ``folder`` anew from its runs."""
    page = Path(folder, "README.md")
    page.write_text(TABLE.sub(lambda found: found[1] + arms(runs) + found[2], page.read_text(encoding="utf-8")),
                    encoding="utf-8")
    Path(folder, "RUNS.md").write_text(listing(runs), encoding="utf-8")


def arms(runs):
    """One line for each arm: mean ± sd over its seeds."""
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
    table = results_table(runs)
    lines = ["# Runs", "", "Every published run, written by `fer-lab publish`. Means over seeds are in the "
             "[results](README.md)."]
    head = ("run, seed, centre loss, accuracy (%), weighted F1, macro F1, intra/inter, validation (%), epoch chosen, "
            "minutes, hardware, commit").split(", ")
    for _, block in table.groupby(BLOCK, sort=True):
        first = block.iloc[0]
        lines += ["", f"## {first.source}, {first.test_split}: {first.backbone}, {recipe(first)}", "",
                  f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
        for row in block.sort_values(["lam", "update", "alpha", "seed"], na_position="first").itertuples():
            commit = row.commit[:10] if isinstance(row.commit, str) else "not told"  # pandas may have made None nan
            lines.append(f"| [{row.run.rsplit('-', 1)[-1]}](runs/{row.run}) | {row.seed} | {row.arm} "
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
