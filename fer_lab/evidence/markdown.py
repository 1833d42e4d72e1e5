"""The pages in ``results/`` that are made of the runs: the ledger, the claims, and the table of all arms."""

from fer_utils.as_written import path_of
from fer_utils.runs.results import GROUP, load_results, results_folder, results_table
from fer_utils.training.recipe import CENTERS, METHODS

from .claims import CLAIMS, judge
from .ledger import BESIDE, band, beside, ledger_table, with_interval
from .measures import by_setting, in_words, of_pairs, of_runs, setting, tested_on
from .readings import ratio, weighted_f1

LEDGER = """# The ledger

What the paper prints, and ours from the nearest setting that we ran; `fer-lab ledger` writes this page from the runs
that lie here. Brackets: the 95 % t-interval over n seeds. Accuracy, F1 and recall are in percent; what has a sign is
centre loss minus softmax, in points. Where ours is the accuracy, it is not said twice. The paper has one run each.

{table}

*Reproduced*: the interval lies in the band that the paper's sentence sets, or that chance leaves around its number on
so many test images. *Not reproduced*: it lies outside, or macro F1 falls. *Open*: one run, too few, or an edge of the
band lies in the interval. *Cannot be asked here*: the images are not ours to use.

**Next:** [all arms](RUNS.md), [the claims](CLAIMS.md), or [notebook 7](../notebooks/07_reproduction.ipynb).
"""
CLAIMS_PAGE = """# The claims

The course's scientific sentences, each with its band as [`claims.py`](../fer_lab/evidence/claims.py) held it before the
runs were made; written by `fer-lab ledger`. A claim *held* where the 95 % t-interval of the mean lies in the band, *did
not hold* where it lies outside, and is *undecided* where an edge of the band lies in it, or seeds are too few. *One
run* has no interval and decides nothing; *open* is what no run here can answer. Beside it: what the same runs say of
accuracy, macro F1 and the recalls of disgust and fear, differences of pairs, else percent.

{claims}

**Next:** [the ledger](LEDGER.md), or [notebook 7](../notebooks/07_reproduction.ipynb), where these sentences are used.
"""
RUNS = """# All arms

Each arm of each setting, written by `fer-lab ledger`: the mean over n seeds and its 95 % t-interval; "minus softmax" is
over pairs with the same seed. A folder in [`runs/`](runs) has each run; its name tells the arm and the seed.

{table}
"""


def markdown(rows):
    """A table in Markdown from dicts {column: cell}."""
    lines = (rows[0], ["---"] * len(rows[0]), *(row.values() for row in rows))
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def ledger_page(runs):
    return LEDGER.format(table=markdown(ledger_table(runs).to_dict("records")))


def claims_page(runs):
    settings, outcomes, blocks = by_setting(runs), judge(runs), []
    for claim in CLAIMS:
        lines = [f"**{claim.name}.** {claim.sentence} *Measured: {claim.number}; band {band(claim)}.*", ""]
        for row in outcomes[outcomes.claim == claim.name].to_dict("records"):
            mine = settings[row["setting"]]
            others = "; ".join(f"{name} {text}" for name, text in beside(claim, mine).items())
            lines.append(f"- {in_words(mine[0])}; {tested_on(mine[0])}: **{row['outcome']}**, "
                         f"{with_interval(claim.measure(mine), '%')}, n = {row['n']}. Beside it: {others}")
        blocks.append("\n".join(lines if lines[2:] else [*lines, f"- **open**: {claim.elsewhere}"]))
    return CLAIMS_PAGE.format(claims="\n\n".join(blocks))


def runs_page(runs):
    settings, table, rows = by_setting(runs), results_table(runs), []
    for _, arm in table.sort_values([*GROUP, "seed"], na_position="first").groupby(GROUP, dropna=False, sort=False):
        told, run = arm.iloc[0], runs[arm.index[0]]
        mine = settings[setting(run)]
        fields = {name: told[name] for name in ("lam", *CENTERS, *METHODS) if told.lam or name not in CENTERS}
        said = {**BESIDE, "weighted F1": weighted_f1, "intra/inter": ratio}
        rows.append({"setting": in_words(run), "recipe": f"`{told.recipe}` {told.overrides}", "arm": told.arm,
                     "tested on": tested_on(run), "n": len(arm)}
                    | {name: with_interval(of_runs(number, fields)(mine), "%") for name, number in said.items()}
                    | {f"{name}, minus softmax": with_interval(of_pairs(number, fields)(mine), "points")
                       if told.arm != "softmax" else "" for name, number in BESIDE.items()})
    return RUNS.format(table=markdown(rows))


PAGES = {"LEDGER.md": ledger_page, "CLAIMS.md": claims_page, "RUNS.md": runs_page}


def write_pages(results=None):
    """Write the three pages anew from the runs in ``results``; one that was changed after publishing is refused."""
    folder = path_of(results or results_folder())
    runs = load_results(folder)
    for name, page in PAGES.items():
        (folder / name).write_text(page(runs), encoding="utf-8")
        print(folder / name)
