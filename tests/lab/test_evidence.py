"""What runs say: measures pair by seed, claims are decided by their bands, the ledger is what the runs give."""

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fer_lab.evidence.claims import CHOSEN_ARM, CLAIMS, GENTLE_ARM, Claim, judge, of_size
from fer_lab.evidence.ledger import entries, ledger_table
from fer_lab.evidence.markdown import claims_page, ledger_page
from fer_lab.evidence.measures import MENDED_ARM, PAPER_ARM, PUBLISHED_ARM, SOFTMAX, of_curves, of_pairs, of_runs
from fer_lab.evidence.readings import accuracy, best, slope, spread
from fer_utils import paper
from fer_utils.emotions import EMOTIONS
from fer_utils.runs.results import load_results
from fer_utils.runs.run import find_or_train
from fer_utils.training.recipe import get_recipe

RESULTS = Path(__file__).resolve().parents[2] / "results"


def made_up(right=60.0, ratio=1.0, seed=0, dataset="fer2013", folder="nowhere", train_ratio=0.9, knn=0.5, **fields):
    """A run that was never made: ``right`` percent of each class is right, all else is taken for sadness."""
    recipe = dataclasses.asdict(get_recipe(fields.pop("name", "repaired"), **{"backbone": "resnet18", "lam": 0.0,
                                                                              **fields}))
    confusion = np.diag([int(10 * right)] * 7)
    confusion[:, EMOTIONS.index("sadness")] += 1000 - int(10 * right)
    metrics = {"accuracy": right / 100, "weighted_f1": right / 100, "macro_f1": right / 100, "ratio": ratio,
               "test_split": "public_test", "recall": dict.fromkeys(EMOTIONS, right / 100),
               "confusion": confusion.tolist()}
    geometry = {"parts": {"train": {"compactness": {"ratio": train_ratio}},
                          "test": {"accuracy": {"knn": knn, "nearest_mean": knn}}}}
    key = f"{abs(hash((right, ratio, seed, str(fields)))):010d}"[:10]
    return SimpleNamespace(folder=Path(folder) / f"run-{key}", metrics=metrics, geometry=geometry,
                           config={"recipe": recipe, "seed": seed, "dataset": dataset, "source": "drawn", "engine": 2,
                                   "initialisation": "random", "data_options": {},
                                   "data": {"train": {"images": 100}, "validation": {"images": 40}}})


def pairs(gains, fields, start=60.0, **same):
    """Softmax and centre loss for so many seeds, the second better by these points."""
    return [run for seed, gain in enumerate(gains)
            for run in (made_up(start + seed, seed=seed, **same), made_up(start + seed + gain, seed=seed, **fields))]


# Measures


def test_pairs_are_of_one_seed_and_what_has_no_partner_is_left_out():
    runs = [*pairs([1.0, -2.0], PAPER_ARM), made_up(99, seed=7), made_up(1, seed=8, **PAPER_ARM)]
    readings = of_pairs(accuracy, PAPER_ARM)(runs)
    assert [reading.seed for reading in readings] == [0, 1]
    assert [reading.value for reading in readings] == pytest.approx([1.0, -2.0])
    assert [[run.config["recipe"]["lam"] for run in reading.runs] for reading in readings] == [[0.2, 0.0]] * 2
    assert [reading.seed for reading in of_pairs(accuracy, PAPER_ARM, seeds=range(1, 8))(runs)] == [1]


def test_curves_need_three_alphas_and_are_sorted():
    runs = [made_up(50 + 10 * alpha, seed=1, lam=0.2, alpha=alpha) for alpha in (2.0, 0.5, 1.0)]
    runs += [made_up(50, seed=2, lam=0.2, alpha=alpha) for alpha in (0.5, 1.0)]
    for number, wanted in ((slope, 10), (best, 2.0), (spread, np.std([55, 60, 70], ddof=1))):
        found, = of_curves(number, {"lam": 0.2, "update": "eq2"})(runs)
        assert (found.seed, found.value, len(found.runs)) == (1, pytest.approx(wanted), 3)


# Claims


def test_a_claim_is_decided_by_the_interval_of_its_mean():
    cases = [([3.0, 3.1, 2.9], 1, "held"), ([-3.0, -3.1, -2.9], 1, "did not hold"), ([3.0, -3.0, 1.0], 1, "undecided"),
             ([3.0], 1, "one run"), ([-3.0], 1, "one run"), ([3.0], 3, "one run"),  # one number has no interval
             ([3.0, 3.1], 3, "undecided"), ([], 1, "open"),
             ([2.0, 2.0], 1, "held"),  # no scatter
             ([0.0, 0.0], 1, "undecided"),  # no gain and no loss
             ([0.5, 1.5], 1, "undecided")]  # the mean is inside, its interval isn't: t is 12.7 with two
    for gains, least, outcome in cases:
        claim = Claim("gain", "", "", 0, math.inf, of_pairs(accuracy, PAPER_ARM), least=least)
        assert claim.outcome(pairs(gains, PAPER_ARM)) == (outcome, pytest.approx(gains)), gains
    unmeasured = Claim("", "", "", 0, 1, of_runs(lambda run: math.nan, SOFTMAX))
    assert unmeasured.outcome([made_up()]) == ("open", [])
    found, = of_size(of_pairs(accuracy, PAPER_ARM))(pairs([-2.0], PAPER_ARM))
    assert found.value == pytest.approx(2.0)


def world(start, gain, ratio, moves, published, train, knn):
    """Six seeds of all arms. Centre loss adds ``gain`` and has ``ratio`` where softmax has 1; α ``moves`` accuracy by
    so many points and, between 0.1 and 1.9, the ratio by that factor + 1; the published rule has ``published`` times
    the ratio; ``train``: the ratio of the training features."""
    runs = []
    for seed in range(6):
        arms = [(start, 1.0, {}), (start + gain / 9, ratio, MENDED_ARM), (start, 0.7, {**MENDED_ARM, "lam": 0.002}),
                (start + gain, 0.3, {**MENDED_ARM, "lam": 2.0}), (start + gain / 10, ratio, CHOSEN_ARM),
                (start + gain / 20, ratio, GENTLE_ARM)]
        for alpha in (0.1, 1.0, 1.9):
            moved = ratio * (1 + moves) if alpha == 0.1 else ratio
            arms += [(start + gain, moved, {**PAPER_ARM, "alpha": alpha}),
                     (start + gain + moves * alpha, published * moved, {**PUBLISHED_ARM, "alpha": alpha})]
        for right, compact, fields in arms:
            run = made_up(right + seed / 10, compact, seed, train_ratio=train, knn=knn if fields else 0.5, **fields)
            good, rare = (1.0, 0.05) if gain < 0 else (0.0, 0.9)
            paid = 0 if fields else math.copysign(0.05, -gain)  # by centre loss where it does harm
            run.metrics["recall"] |= {"happiness": good, "disgust": rare + paid}
            runs.append(run)
    return runs


def test_every_claim_can_hold_and_can_fail():
    worlds = [world(75, -5, 0.5, 0.0, 1.2, 0.9, 0.9), world(40, 5, 1.5, 4.0, 0.8, 1.1, 0.1),
              world(75, -25, 1.5, 0.0, 1.2, 0.9, 0.1), world(68, -1, 0.5, 0.0, 1.2, 0.9, 0.9)]
    outcomes = {(claim.name, claim.outcome(runs)[0]) for runs in worlds for claim in CLAIMS}
    trained = {"healthy start", "drawn pair"}  # these take 25 epochs, or a network
    for claim in CLAIMS:
        if claim.name not in trained:
            assert {(claim.name, "held"), (claim.name, "did not hold")} <= outcomes, claim.name


def test_a_claim_is_judged_where_its_sentence_is_about_the_runs():
    def judged(dataset="fer2013", arm=CHOSEN_ARM, same=None, **config):
        runs = pairs([1.0, 1.1, 1.2], {**arm, **(same or {})}, dataset=dataset, **(same or {}))
        for run in runs:
            run.config.update(config)
        return {name.split(",")[0] for name in judge(runs).claim} & {"gain lasts", "ImageNet", "healthy pair",
                                                                     "happiness", "gain"}

    assert judged() == {"gain lasts", "happiness"}
    assert judged(data_options={"subset": 6000}) == {"happiness"}
    assert judged(initialisation="weights.pt") == {"ImageNet", "happiness"}
    assert judged(same={"name": "modern", "epochs": 40}) == {"healthy pair", "happiness"}
    assert judged(same={"name": "modern", "epochs": 60}) == {"happiness"}
    assert "happiness" not in judged("rafdb", PAPER_ARM) and "gain" in judged("rafdb", PAPER_ARM)


# The ledger


def test_the_ledger_puts_ours_beside_the_papers_for_each_setting():
    runs = pairs([-4.0, -6.0], PAPER_ARM)
    table = ledger_table([*runs, *pairs([2.0], {**PAPER_ARM, "epochs": 3}, epochs=3)])
    row, other = table[table.what == "FER2013: gain, Eq. 2, α 1.9"].sort_values("n", ascending=False).iloc
    assert row.paper == pytest.approx(63.402 - 62.079) and row.ours == pytest.approx(-5) and row.n == 2
    assert row.sd == pytest.approx(np.sqrt(2)) and row.gap == pytest.approx(-5 - 1.323)
    assert row["our test set"] == "PublicTest, 3,589" and len(row.runs.split()) == 4
    assert (other.ours, other.n) == (pytest.approx(2.0), 1)
    mine = ledger_table(runs).set_index("what")
    for what, printed, measured in (
            ("FER2013, softmax: accuracy", paper.TABLE_3["fer2013"]["softmax"]["accuracy"], 60.5),
            ("FER2013: features that the network gives", 2048, 512),
            ("FER2013: training images, before 30 % of them validate", 28_709, 140),
            ("FER2013, centre loss: fear answered as sadness", 24, 100 - 55.5),
            ("FER2013, centre loss: recall of disgust, the worst there", 37, 55.5)):
        assert (mine.paper[what], mine.ours[what]) == (pytest.approx(printed), pytest.approx(measured)), what
    page = ledger_page(runs)
    assert "| 2,048 | 512 | 2 | -1,536 |" in page and "| 28,709 | 140 | 2 | -28,569 |" in page


def test_a_line_that_no_run_answers_says_what_would():
    table = ledger_table([])
    assert len(table) == len(entries()) and (table.n == 0).all() and table.ours.isna().all()
    assert table.why.str.startswith("open; ").all()
    assert table[table.what.str.startswith("RAF-DB")].why.str.contains("fer-lab sweep").all()


def test_the_pages_in_results_are_what_the_runs_there_give_and_leave_known_lines_open():
    runs = load_results(RESULTS)
    for name, page in (("LEDGER.md", ledger_page(runs)), ("CLAIMS.md", claims_page(runs))):
        assert (RESULTS / name).read_text(encoding="utf-8") == page, "fer-lab ledger writes it anew"
    table = ledger_table(runs)
    left = table[(table.n == 0) & ~table.what.str.startswith("RAF-DB")]
    assert set(left.what) == {"FER2013 on both test sets, centre loss: accuracy"}


def test_the_lines_of_rafdb_are_filled_by_its_runs():
    runs = pairs([2.0, 3.0], PAPER_ARM)
    for run in runs:
        run.config["dataset"], run.metrics["test_split"] = "rafdb", "test"
    table = ledger_table(runs).set_index("what")
    for what in ("softmax: accuracy", "centre loss: weighted F1", "centre loss: fear answered as surprise"):
        assert table.n[f"RAF-DB, {what}"] == 2, what
    assert table.ours["RAF-DB: gain, Eq. 2, α 1.9"] == pytest.approx(2.5)


@pytest.mark.course
def test_claims_on_a_fresh_quick_pair_come_out_as_the_course_tells():
    runs = [find_or_train(get_recipe("quick", lam=lam), progress=False) for lam in (0.0, 0.2)]
    told = judge(runs).set_index("claim")
    assert (told.outcome == "one run").all()
    assert told["mean"]["compact"] < math.log(0.95) and told["mean"]["drawn pair"] == 0
