"""The documents as a whole: short READMEs, and what a README repeats is what stands in the place that it comes from;
each page tells where to go next, and the Korean README keeps in step. test_website.py tests their links."""

import re
from pathlib import Path

import nbformat
import pytest
import torch
from execute import find_notebooks
from scipy.stats import ttest_ind
from website import MENU

from fer_lab.evidence.claims import section_7
from fer_lab.evidence.ledger import BESIDE, lines, nearest
from fer_lab.evidence.measures import PAPER_ARM, SOFTMAX, by_setting, of_runs
from fer_lab.evidence.readings import ratio
from fer_lab.evidence.two_labels import against_both
from fer_utils.center_loss import CenterLoss
from fer_utils.runs.results import load_results
from fer_utils.statistics import paired_difference

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.ko.md")
DOCUMENTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
             for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("results/*.md")]}
MINUTES = re.compile(r"\*\*Minutes:\*\*\s(\d+)\sto\sread[^,]*,\s((?:under\s)?\d+)\sto\srun")
NEXT = re.compile(r"\*\*(?:Next|다음):\*\*[^\]]*\]\(([^)#\s]+)")
TERM = re.compile(r"^### (?P<english>.+?) · (?P<korean>.+)\n\n(?P<meaning>.+)\n\n(?P<sense>.+)\n\n"
                  r"\*\[(?P<section>[\d.]+) (?P<title>.+)\]\((?P<target>\S+)\)\*$", re.MULTILINE)


def prose(path, last=0):
    """The text of a notebook's cells, or of the last ones."""
    cells = nbformat.read(path, as_version=4).cells[-last:]
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_the_root_holds_little_and_the_readmes_are_one_page_of_the_same_length():
    assert {path.name for path in ROOT.glob("*.md")} == {*READMES, "CONTRIBUTING.md"}
    assert "](README.md)" in DOCUMENTS["README.ko.md"] and "](README.ko.md)" in DOCUMENTS["README.md"]
    lines = {name: len(DOCUMENTS[name].splitlines()) for name in READMES}
    assert max(lines.values()) <= 120 and abs(lines["README.md"] - lines["README.ko.md"]) <= 20, lines


def test_every_document_is_in_the_menu_of_the_site_and_linked_from_both_readmes():
    menu = {source for sources in MENU.values() for source in sources}
    for name in DOCUMENTS:
        if name.startswith("docs/"):
            assert name in menu | {"docs/license_text.md"}, name
            assert all(f"]({name}" in DOCUMENTS[readme] for readme in READMES), name


def test_the_minutes_of_the_maps_are_those_of_the_notebooks():
    said = [(path.name, " | ".join(MINUTES.search(prose(path)).groups())) for path in find_notebooks()]
    for readme in READMES:
        rows = re.findall(r"^\| \[.+?\]\(notebooks/(\S+)\) .*\| (\d+ \| [^|]+) \|$", DOCUMENTS[readme], re.MULTILINE)
        assert [(name, times.replace("1 미만", "under 1")) for name, times in rows] == said, readme


def test_every_page_and_every_notebook_ends_by_telling_where_to_go_next():
    ends = {ROOT / name: text.strip().split("\n\n")[-1] for name, text in DOCUMENTS.items()}
    del ends[ROOT / "results/PROTOCOL.md"], ends[ROOT / "results/RUNS.md"]  # fixed beforehand, and written by a program
    notebooks = find_notebooks()
    ends |= {path: prose(path, last=3) for path in notebooks}
    found = {path: NEXT.search(end) for path, end in ends.items()}
    assert not [path for path, next_ in found.items() if not next_ or not (path.parent / next_[1]).exists()]
    assert [found[path][1] for path in notebooks[:-1]] == [path.name for path in notebooks[1:]]


def test_each_term_of_the_glossary_is_explained_in_both_languages_and_names_its_section():
    terms = [found.groupdict() for found in TERM.finditer(DOCUMENTS["docs/glossary.md"])]
    assert len(terms) == DOCUMENTS["docs/glossary.md"].count("\n### ") and 40 <= len(terms) <= 65
    names, wrong = [term["english"].casefold() for term in terms], []
    assert names == sorted(names) and len(set(names)) == len(names)
    for term in terms:
        text = prose(ROOT / "docs" / term["target"])
        right = {"English": term["meaning"].endswith(".") and not re.search("[가-힣]", term["meaning"]),
                 "Korean": term["sense"].endswith("니다.") and re.search("[가-힣]", term["sense"]),
                 "section": re.search(rf"^##? {re.escape(term['section'])} (· )?{re.escape(term['title'])}$", text,
                                      re.MULTILINE)}
        wrong += [(term["english"], rule) for rule, holds in right.items() if not holds]
    assert not wrong


def test_the_korean_readme_has_the_same_commands_and_no_number_that_is_not_in_the_english_pages():
    english, korean = (DOCUMENTS[name] for name in READMES)
    part = english[english.index("## Two commands"):english.index("## The course")]
    spans = re.findall(r"`((?:make|python|conda|\.venv)[^`\n]*)`", re.sub(r"```.*?```", "", part, flags=re.DOTALL))
    commands = "\n".join([*re.findall(r"```\n(.*?)```", part, re.DOTALL), *spans]).splitlines()
    assert len(commands) >= 7 and not {command.strip() for command in commands if command.strip() not in korean} - {
        "make stress"}  # the slow proofs are for contributors
    known = english + DOCUMENTS["results/README.md"] + "".join(map(prose, find_notebooks()))
    text = re.sub(r"```.*?```|`[^`\n]*`", "", korean, flags=re.DOTALL)
    numbers = re.findall(r"(?<![\w.=,])\d[\d,]*\.\d+(?![A-Za-z\d.])|\d,\d{3}", text)
    assert len(numbers) > 8 and not [number for number in numbers if number not in known]


HEADLINES = {  # lines of the ledger, and the READMEs that tell them
    "FER2013: centre loss answers better than softmax, by Eq. 2, from random weights": READMES,
    "… by the rule of the code, from random weights": (),
    "FER2013: centre loss answers better than softmax, with λ 0.02 on a part of the images": READMES,
    "… with λ 0.02 on all images": READMES,
    "… with λ 0.005 on all images": (),
    "… by Eq. 2, from ImageNet weights, as in the paper": READMES,
    "… with λ 0.02 from ImageNet weights": READMES,
    "FER2013: points of accuracy for a unit of α (or half), by Eq. 2": READMES,
}
LABELS = {  # section 11, (labels, method) minus (labels, method), and by whose labels
    "FER+'s labels, not FER2013's": (("FER+", "softmax"), ("FER2013", "softmax"), "FER+"),
    "the same, judged by FER2013's": (("FER+", "softmax"), ("FER2013", "softmax"), "FER2013"),
    "centre loss on FER2013's labels": (("FER2013", "centre loss"), ("FER2013", "softmax"), "FER+"),
    "centre loss on FER+'s labels": (("FER+", "centre loss"), ("FER+", "softmax"), "FER+"),
}
HEADLINES |= dict.fromkeys(LABELS, READMES)


@pytest.fixture(scope="module")
def told():
    """{(line of the ledger, measure): (mean, low, high)} of the headlines, as texts with one decimal."""
    runs, known = load_results(ROOT / "results"), {}
    for line in (line for line in lines() if line.sentence in HEADLINES):
        for name, number in BESIDE.items():
            gains = [reading.value for reading in line.measure(nearest(line, runs), number)]
            pairs = paired_difference(gains, [0.0] * len(gains))
            known[line.sentence, name] = pairs.mean, pairs.low, pairs.high
    both = against_both(runs).query("seed < 3").set_index(["against", "labels", "method", "seed"]).sort_index()
    for sentence, (first, second, judge) in LABELS.items():
        for name in ("accuracy", "macro_f1"):
            new, old = (100 * both.loc[(judge, *which), name] for which in (first, second))
            pairs = paired_difference(new, old)
            welch = ttest_ind(new, old, equal_var=False).confidence_interval()  # other labels, another split: no pairs
            known[sentence, name] = pairs.mean, *(welch if first[0] != second[0] else (pairs.low, pairs.high))
    assert {sentence for sentence, _ in known} == set(HEADLINES)
    return {key: [f"{value:+.1f}".replace("-", "−") for value in (*values, 1.8 * values[1])]  # α from 0.1 to 1.9
            for key, values in known.items()}


def test_what_came_out_is_what_the_ledger_says(told):
    """In both READMEs and in results/README.md, each in its own words, with − and not - before a number: accuracy,
    macro F1 and the rare recalls, each with its interval."""
    missing = []
    for (sentence, name), (mean, low, high, _) in told.items():
        if low == "+nan":  # no scatter: disgust is recognised in no run, with centre loss or without
            continue
        words = rf"\D{mean[1:]}\D[^.]*?{re.escape(low)}(?: to |에서 ){re.escape(high)}"
        for page in (*HEADLINES[sentence], "results/README.md"):
            if not re.search(words, " ".join(DOCUMENTS[page].split())):
                missing.append((page, sentence, name, words))
    assert not missing, missing


def test_each_number_of_a_readmes_lines_is_one_of_the_ledgers(told):
    known = {value[1:] for values in told.values() for value in values} | {"0.02", "0.2", "0.1", "1.9"}  # λ and α
    whole = next(mine for mine in by_setting(load_results(ROOT / "results")).values() if section_7(mine[0]))
    for fields in (SOFTMAX, PAPER_ARM):
        ratios = [reading.value for reading in of_runs(ratio, fields)(whole)]
        known.add(f"{sum(ratios) / len(ratios):.2f}")
    for page, title in zip(READMES, ("What came out", "무엇을 알게 되었나요")):
        numbers = set(re.findall(r"\d+\.\d+", DOCUMENTS[page].split(f"## {title}\n")[1].split("\n## ")[0]))
        assert len(numbers) > 20 and numbers <= known, (page, numbers - known)


def test_the_centre_loss_can_be_used_as_its_page_says():
    code, = re.findall(r"```python\n(.*?)```", DOCUMENTS["docs/center_loss.md"], re.DOTALL)
    network = torch.nn.Linear(5, 4)
    features = network(torch.ones(6, 5))
    said = {"num_classes": 3, "feat_dim": 4, "features": features, "labels": torch.tensor([0, 0, 1, 1, 2, 2]),
            "cross_entropy": features.sum(), "lam": 0.1, "optimizer": torch.optim.SGD(network.parameters(), 0.1)}
    before = network.weight.clone()
    exec(code, said)
    assert isinstance(said["center_loss"], CenterLoss) and bool(said["center_loss"].centers.any())
    assert not torch.equal(before, network.weight)
