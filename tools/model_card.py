"""Write the table of docs/model_card.md anew, from the predictions of the two published runs.

    python tools/model_card.py [--here]
"""

import re

from environment import ROOT, enter, parser

PAGE = ROOT / "docs" / "model_card.md"
RUNS = {"softmax": "fer2013-repaired-resnet50-softmax-seed0-658886b325",
        "centre loss": "fer2013-repaired-resnet50-center-lam0.2-alpha0.5-seed0-1576700d0f"}
TABLE = re.compile(r"(<!-- table -->\n).*?(<!-- end -->)", re.DOTALL)


def main():
    """Write the table."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{PAGE} is up to date.")


def filled(page):
    """The page's text with the table of today's files."""
    return TABLE.sub(lambda found: found[1] + table() + "\n" + found[2], page)


def published(loss):
    """The published run with that loss: "softmax" or "centre loss"."""
    from fer_utils.runs.results import load_published

    return load_published(ROOT / "results" / "runs" / RUNS[loss])


def table():
    """Recall with its interval and precision of each class, and accuracy and macro F1, as a table in Markdown."""
    import numpy as np

    from fer_utils import evaluation
    from fer_utils.emotions import EMOTIONS

    columns = {}
    for loss in RUNS:
        predictions = published(loss).predictions
        labels, answers = predictions["labels"].astype(int), predictions["probabilities"].argmax(axis=1)
        names = np.array(EMOTIONS)
        recall, precision = (evaluation.by_group(labels, answers, names[by]) for by in (labels, answers))
        whole = evaluation.by_group(labels, answers, np.full(len(labels), "all"))
        columns[loss] = recall, precision, whole, evaluation.scores(labels, answers)["macro_f1"]
    lines = ["| class | images | softmax: recall | precision | centre loss: recall | precision |",
             "| --- | --- | --- | --- | --- | --- |"]
    for name in EMOTIONS:
        cells = [f"{_percent(recall.loc[name])} | {100 * precision.accuracy[name]:.1f}"
                 for recall, precision, _, _ in columns.values()]
        lines.append(f"| {name} | {recall.n[name]} | {' | '.join(cells)} |")
    wholes = [f"accuracy {_percent(whole.loc['all'])} | macro F1 {100 * macro:.1f}"
              for _, _, whole, macro in columns.values()]
    lines.append(f"| all | {len(labels)} | {' | '.join(wholes)} |")
    return "\n".join(lines)


def _percent(row):
    return f"{100 * row.accuracy:.1f} ({100 * row.low:.0f} to {100 * row.high:.0f})"


if __name__ == "__main__":
    enter(parser(__doc__).parse_args().here)
    main()
