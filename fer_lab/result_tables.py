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


def markdown(rows):
    """A table in Markdown from dicts {column: cell}."""
    lines = (rows[0], ["---"] * len(rows[0]), *(row.values() for row in rows))
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def arms(runs):
    """One line for each arm: mean ± sd over its seeds."""
    def over_seeds(row, name, digits=3, factor=1):
        spread = row[f"{name}_sd"]
        return f"{factor * row[name]:.{digits}f}" + (f" ± {factor * spread:.{digits}f}" if spread == spread else "")

    return markdown([
        {"data": f"{row['source']}, {row['train_images']:,} to train", "test split": row["test_split"],
         "network": row["backbone"], "recipe": recipe(row), "centre loss": row["arm"], "seeds": row["seeds"],
         "accuracy (%)": over_seeds(row, "accuracy", 2, 100), "weighted F1": over_seeds(row, "weighted_f1"),
         "macro F1": over_seeds(row, "macro_f1"), "intra/inter": over_seeds(row, "ratio")}
        for row in summary(results_table(runs)).to_dict("records")])


def listing(runs):
    """results/RUNS.md: every run, by data, network and recipe, and what each pair says by itself."""
    page = ("# Runs\n\nEvery published run, written by `fer-lab publish`. Means over seeds are in the "
            "[results](README.md).\n")
    for _, block in results_table(runs).groupby(BLOCK, sort=True):
        ordered = block.sort_values(["lam", "update", "alpha", "seed"], na_position="first").to_dict("records")
        page += (f"\n## {ordered[0]['source']}, {ordered[0]['test_split']}: {ordered[0]['backbone']}, "
                 f"{recipe(ordered[0])}\n\n{markdown(list(map(run_row, ordered)))}")
        sentences = list(pairs([runs[position] for position in block.index]))
        page += "\n" * bool(sentences) + "".join(f"{sentence}\n" for sentence in sentences)
    return page


def run_row(row):
    commit = row["commit"][:10] if isinstance(row["commit"], str) else "not told"  # pandas may have made None nan
    return {"run": f"[{row['run'].rsplit('-', 1)[-1]}](runs/{row['run']})", "seed": row["seed"],
            "centre loss": row["arm"], "accuracy (%)": f"{100 * row['accuracy']:.2f}",
            "weighted F1": f"{row['weighted_f1']:.3f}", "macro F1": f"{row['macro_f1']:.3f}",
            "intra/inter": f"{row['ratio']:.3f}", "validation (%)": f"{100 * row['validation_accuracy']:.2f}",
            "epoch chosen": f"{row['best_epoch']} of {row['epochs']}", "minutes": f"{row['seconds'] / 60:.0f}",
            "hardware": row["hardware"], "commit": commit}


def pairs(runs):
    """A sentence for each pair of one recipe, seed and data: the difference, and McNemar's exact test.

    Where one softmax run stands beside several α or λ under one rule, that is a curve, and its points are no pairs: of
    so many tests some would look like a finding.
    """
    def under(run):
        used = run.config["recipe"]
        return run.config["seed"], run.config["data"], used["update"], used["center_init"]

    def answers(run):
        return run.predictions["probabilities"].argmax(1)

    centers = [run for run in runs if run.config["recipe"]["lam"]]
    for softmax in (run for run in runs if not run.config["recipe"]["lam"]):
        for center in centers:
            used, alone = center.config["recipe"], [under(run) for run in centers].count(under(center)) == 1
            if not alone or under(center)[:2] != under(softmax)[:2]:
                continue
            gained, lost, p = mcnemar(center.predictions["labels"], answers(center), answers(softmax))
            points = 100 * (center.metrics["accuracy"] - softmax.metrics["accuracy"])
            yield (f"- Seed {center.config['seed']}, λ = {used['lam']:g}, α = {used['alpha']:g}, "
                   f"{RULES[used['update']]}: {points:+.2f} points against softmax; {gained} images only centre loss "
                   f"got right, {lost} only softmax (McNemar's exact test, p = {p:.2g}).")


def recipe(row):
    changed = f" with {row['overrides']}" if row["overrides"] else ""
    return f"`{row['recipe']}`{changed}" + (f" (engine {row['engine']})" if row["engine"] < 2 else "")
