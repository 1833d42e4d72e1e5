"""What a sweep leaves to be read: a table for programs and a page for people."""

import json

import numpy as np
import pandas as pd

from fer_utils.atomic import written_whole
from fer_utils.statistics import mean_sd
from fer_utils.training import checkpoint

SCORES = ("accuracy", "macro_f1", "ratio", "validation_accuracy", "seconds")


def write_summary(home, jobs):
    """Write summary.csv and summary.md into the folder ``home``, whole or not at all; returns the table, a DataFrame.

    A row for each job, in the table's order and never by score: what was given, its scores on the test split, the
    validation accuracy on which its epoch was chosen, the seconds it trained, its name and its state.
    """
    given = list(dict.fromkeys(name for job in jobs for name in job.row))
    table = pd.DataFrame([{**{name: text_of(value) if isinstance(value, (dict, list)) else value
                              for name, value in job.row.items()}, **job.results, "run": job.executed.stem,
                           "state": job.state} for job in jobs], columns=[*given, *SCORES, "run", "state"])
    with checkpoint.explained(home, "the summary cannot be written"):
        for name, text in (("summary.csv", table.to_csv(index=False, lineterminator="\n")),
                           ("summary.md", "\n".join(_page(table, given, jobs)) + "\n")):
            with written_whole(home / name) as part:
                part.write_text(text, encoding="utf-8", newline="\n")
    return table


def _page(table, given, jobs):
    count = table.state.value_counts()
    yield f"# Sweep: {count.get('finished', 0)} of {len(jobs)} runs finished, {count.get('failed', 0)} failed\n"
    same = [name for name in given if len(jobs) > 1 and table[name].nunique(dropna=False) == 1]
    if same:
        yield f"The same in all: {', '.join(f'{name} = {text_of(table[name][0])}' for name in same)}.\n"
    links = [f"[{path.stem}](<{path.name}>)" if path.exists() else path.stem for path in (job.executed for job in jobs)]
    yield from _markdown(table.drop(columns=same).assign(run=links))
    done, settings = table[table.state == "finished"], [name for name in given if name not in ("seed", *same)]
    if "seed" in given and done.seed.nunique() > 1:
        yield "\n## Mean ± standard deviation over seeds\n"
        groups = [(None, done)] if not settings else done.groupby(settings, dropna=False, sort=False)
        spread = [{**part.iloc[0][settings], "seeds": len(part), **{name: _spread(part[name]) for name in SCORES[:4]}}
                  for _, part in groups]
        yield from _markdown(pd.DataFrame(spread))
    for job in jobs:
        if job.state == "failed":
            yield f"\n## Failed: {text_of(job.row)}\n\nSee {job.executed.stem}.log.\n\n```\n{job.error}\n```"


def _spread(values):
    mean, sd = mean_sd(values)
    return f"{mean:.4f}" + (f" ± {sd:.4f}" if len(values) > 1 else "")


def _markdown(table):
    rows = [list(table), ["---"] * len(table.columns), *table.itertuples(index=False)]
    return ["| " + " | ".join(text_of(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]


def text_of(value):
    """A cell as it is read: four digits, nothing for what is missing, dicts and lists as JSON."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
