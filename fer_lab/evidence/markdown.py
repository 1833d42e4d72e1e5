"""The ledger and the outcomes of the claims as pages in Markdown."""

import math
import string

import pandas as pd

from ..result_tables import markdown
from .claims import CLAIMS, judge
from .ledger import ledger_table
from .measures import by_setting

LEDGER = """# The ledger

The paper's numbers and ours, written by `fer-lab ledger` from the runs that lie here. Ours are mean ± sd
over n seeds. The paper's are of one run each, on the test set that the line names; ours are on PublicTest alone, and so
the gap is never the method's alone.

{settings}

{table}

Notes: what explains a gap, and what would fill a line that is open.

{notes}

**Next:** [the claims](CLAIMS.md) that were written before the runs, or
[notebook 7](../notebooks/07_reproduction.ipynb), which explains both.
"""
CLAIMS_PAGE = """# The claims

Each scientific sentence of the course with its band, as [`claims.py`](../fer_lab/evidence/claims.py) held it before
the runs were made, and what became of it; written by `fer-lab ledger`. A claim *held* where the 95 %
t-interval of the mean lies in the band, *did not hold* where it lies outside, and is *undecided* where an edge of the
band lies in it, or where there are too few seeds. *One run* has no interval and decides nothing; *open* is what no run
here can answer.

{settings}

{claims}

**Next:** [the ledger](LEDGER.md), or [notebook 7](../notebooks/07_reproduction.ipynb), where these sentences are used.
"""


def ledger_page(runs):
    """``results/LEDGER.md`` as a text."""
    letters, notes, lines = _letters(runs), {}, []
    for row in ledger_table(runs).to_dict("records"):
        answered = row["n"] > 0
        keys = row["runs"].split() if answered else []
        note = row["why"] if answered else "**open**: " + row["why"].removeprefix("open; ")
        lines.append({
            "the paper": row["where"], "what": row["what"], "paper": _number(row["paper"], row["unit"]),
            "ours": _number(row["ours"], row["unit"], row["sd"]), "n": row["n"] or "", "gap": _gap(row),
            "setting": letters[row["setting"]] if answered else "open", "the paper's test set": row["paper's test set"],
            "note": notes.setdefault(note, len(notes) + 1) if note else "",
            "runs": " ".join(keys[:2]) + (f" and {len(keys) - 2} more" if len(keys) > 2 else "")})
    return LEDGER.format(settings=_legend(letters), table=markdown(lines).rstrip(),
                         notes="\n".join(f"{number}. {note}" for note, number in notes.items()))


def claims_page(runs):
    """``results/CLAIMS.md`` as a text."""
    letters, outcomes = _letters(runs), judge(runs)
    blocks = []
    for claim in CLAIMS:
        lines = [f"**{claim.name}.** {claim.sentence} *Measured: {claim.number}; band {_band(claim)}.*", ""]
        mine = outcomes[outcomes.claim == claim.name]
        for row in mine.to_dict("records"):
            spread = "" if math.isnan(row["sd"]) else f" ± {row['sd']:.2f}"
            lines.append(f"- {letters[row['setting']]}: **{row['outcome']}**, {row['mean']:.2f}{spread}, "
                         f"n = {row['n']}")
        blocks.append("\n".join(lines if len(mine) else [*lines, f"- **open**: {claim.elsewhere}"]))
    return CLAIMS_PAGE.format(settings=_legend(letters), claims="\n\n".join(blocks))


def _letters(runs):
    return dict(zip(by_setting(runs), string.ascii_uppercase, strict=False))


def _legend(letters):
    return "\n".join(f"- {letter}: {name}" for name, letter in letters.items())


def _number(value, unit, sd=math.nan):
    if pd.isna(value):
        return ""
    if unit == "number":
        return f"{value:,.0f}"
    digits = 1 if unit == "%" else 2
    signed = f"{value:+.{digits}f}" if unit == "points" else f"{value:.{digits}f}"
    return signed + ("" if math.isnan(sd) else f" ± {sd:.{digits}f}") + (" %" if unit == "%" else "")


def _gap(row):
    if math.isnan(row["gap"]):
        return ""
    if row["unit"] == "number":
        return f"{row['gap']:+,.0f}" if row["gap"] else "0"
    return f"{row['gap']:+.{1 if row['unit'] else 2}f}"


def _band(claim):
    if math.isinf(claim.low):
        return f"below {claim.high:.3g}"
    if math.isinf(claim.high):
        return f"above {claim.low:.3g}"
    return f"{claim.low:.3g} to {claim.high:.3g}" if claim.low < claim.high else f"{claim.low:.3g}"
