"""What runs say: measures pair by seed, claims are decided by their bands, the ledger is what the runs give."""

import dataclasses
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import refusal

from fer_lab.evidence.claims import CHOSEN_ARM, CLAIMS, GENTLE_ARM, RARE, Claim, judge, of_size, section_7
from fer_lab.evidence.ledger import REVIEW, ledger_table
from fer_lab.evidence.markdown import PAGES, write_pages
from fer_lab.evidence.measures import (
    MENDED_ARM,
    PAPER_ARM,
    PUBLISHED_ARM,
    SOFTMAX,
    by_setting,
    of_curves,
    of_pairs,
    of_runs,
)
from fer_lab.evidence.readings import accuracy, best, macro_f1, slope
from fer_lab.evidence.two_labels import against_both
from fer_utils.emotions import EMOTIONS
from fer_utils.runs.results import SUMS, load_results
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
                                   "data": {"train": {"images": 100}, "validation": {"images": 40},
                                            "public_test": {"images": 3589}}})


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
    for shape, wanted in ((slope, 10), (best, 2.0)):
        found, = of_curves(shape, {"lam": 0.2, "update": "eq2"})(runs)
        assert (found.seed, found.value, len(found.runs)) == (1, pytest.approx(wanted), 3)


def test_another_number_is_read_off_the_same_runs():
    runs = pairs([1.0, -2.0], PAPER_ARM) + [made_up(50 + alpha, seed=9, lam=0.2, alpha=alpha) for alpha in (0.5, 1, 2)]
    for run in runs:
        run.metrics["macro_f1"] = run.metrics["accuracy"] / 2
    for measure in (of_pairs(accuracy, PAPER_ARM), of_runs(accuracy, SOFTMAX), of_curves(slope, {"lam": 0.2})):
        values = [reading.value for reading in measure(runs)]
        assert values and [2 * reading.value for reading in measure(runs, macro_f1)] == pytest.approx(values)


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
        helps = gain < 0  # what is done for rare classes helps where centre loss harms
        for fields in (*RARE.values(), {**CHOSEN_ARM, "center_class_weights": 1.0}):
            run = made_up(start + (-2 if helps else 5) + seed / 10, ratio, seed, **fields)
            run.metrics["macro_f1"] = (start + (1 if helps else -3) + seed / 10) / 100
            chosen = 0.0 if fields.get("lam") else math.copysign(0.05, -gain)
            run.metrics["recall"]["disgust"] = rare + chosen + (
                (0.02 if helps else -0.1) if fields.get("lam") else 0.2 if helps else -0.1)
            runs.append(run)
    return runs


def test_every_claim_can_hold_and_can_fail():
    worlds = [world(75, -5, 0.5, 0.0, 1.2, 0.9, 0.9), world(40, 5, 1.5, 4.0, 0.8, 1.1, 0.1),
              world(75, -35, 1.5, 0.0, 1.2, 0.9, 0.1), world(68, -1, 0.5, 0.0, 1.2, 0.9, 0.9),
              world(52, -1, 0.5, 0.0, 1.2, 0.9, 0.9)]
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


# Two kinds of labels


def answered(names, labels, answers, **fields):
    run = made_up(**fields)
    run.predictions = {"names": np.array(names), "labels": np.array(labels), "probabilities": np.eye(7)[answers]}
    return run


def test_networks_of_either_kind_of_label_are_tested_against_both_on_the_images_that_have_both():
    of_fer = answered(["a", "b", "c", "d"], [0, 1, 2, 3], [0, 1, 2, 2])
    of_plus = answered(["d", "b", "a"], [3, 2, 0], [3, 1, 6], dataset="ferplus")  # another order, and "c" has no label
    of_votes = answered(["c", "d", "b", "a"], [5, 3, 2, 0], [0, 3, 2, 0], dataset="ferplus", soft_labels=True)
    of_votes.config["data_options"] = {"mode": "votes"}
    other = answered(["a", "b", "c", "d"], [0, 1, 2, 3], [0, 0, 0, 0], lam=0.2)  # no arm of this comparison
    assert [section_7(run) for run in (of_fer, of_plus)] == [True, False]  # its claims are about FER2013's labels
    table = against_both([of_fer, other, of_plus, of_votes]).set_index(["labels", "method", "against"])
    assert set(table["images"]) == {3}
    right = table["accuracy"].mul(3).round(6).unstack()[["FER2013", "FER+"]]  # of three images
    assert right.to_numpy().tolist() == [[2, 1], [2, 3], [2, 1]], right  # learned FER+, its votes, FER2013
    apart = answered(["a", "b", "c", "d"], [0, 1, 2, 4], [0, 1, 2, 2], seed=1)
    assert "all tested on the same images" in refusal(against_both, [of_fer, apart, of_plus])
    assert "0 runs" in refusal(against_both, [of_fer])


# The ledger

VERDICTS = {"reproduced", "not reproduced", "cannot be asked here", "open"}


def line(runs, sentence, place="Table 3"):
    table = ledger_table(runs)
    asked = table[(table["where"] == place) & table["the paper"].str.contains(sentence, regex=False)]
    found, = asked.to_dict("records")
    return found


def test_a_verdict_is_decided_by_accuracy_and_by_macro_f1():
    for gains, f1, verdict, because in (
            ([1.0, 1.1, 1.2], [1.0, 1.1, 1.2], "reproduced", "accuracy gains; macro F1 gains, too"),
            ([1.0, 1.1, 1.2], [1.0, -1.0, 0.5], "reproduced", "accuracy gains; macro F1 may have gained or lost"),
            ([1.0, 1.1, 1.2], [-1.0, -1.1, -1.2], "not reproduced", "macro F1 falls"),
            ([0.1, -0.1, 0.1], [-1.0, -1.1, -1.2], "not reproduced", "macro F1 falls"),
            ([-1.0, -1.1, -1.2], [-1.0, -1.1, -1.2], "not reproduced", "accuracy and macro F1 fall"),
            ([-1.0, -1.1, -1.2], [0.1, -0.1, 0.1], "not reproduced", "accuracy falls"),
            ([1.0, -1.0, 1.0], [1.0, 1.1, 1.2], "open", "the interval contains an edge of the band, above 0"),
            ([1.0, 1.1], [1.0, 1.1], "open", "n = 2 is too few for an interval"),
            ([9.0], [9.0], "open", "n = 1 is too few for an interval"),
            ([], [], "open", "no runs yet")):
        runs = pairs(gains, PAPER_ARM)
        for run in runs:
            seed, centre = run.config["seed"], run.config["recipe"]["lam"] > 0
            run.metrics["macro_f1"] = (50 + (f1[seed] if centre else 0)) / 100
        found = line(runs, "answers better than softmax, by Eq. 2, from random")
        assert (found["verdict"], found["because"]) == (verdict, because), (gains, f1)


def test_a_number_is_reproduced_where_ours_lies_as_near_as_chance_lets_a_test_set_come():
    for right, verdict in ((62.1, "reproduced"), (61.1, "open"), (55.0, "not reproduced")):
        runs = [made_up(right + moved, seed=seed, backbone="resnet50") for seed, moved in enumerate((-0.2, 0, 0.3))]
        found = line(runs, "FER2013, softmax: accuracy")
        assert (found["prints"], found["n"], found["verdict"]) == ("62.079", 3, verdict), right
    assert line(runs, "FER2013: training images", "Table 2")["verdict"] == "not reproduced"  # 140 images


def test_the_nearest_setting_is_quoted_and_its_numbers_stand_beside_each_other():
    runs = [*pairs([-4.0, -6.0, -5.0], PAPER_ARM), *pairs([2.0], {**PAPER_ARM, "epochs": 3}, epochs=3),
            *pairs([-1.0, -2.0, -3.0], {**PAPER_ARM, "image_size": 224}, image_size=224)]
    found = line(runs, "by Eq. 2, from random weights")
    assert found["ours"] == "−2.00 (−4.48 to +0.48)" == found["macro F1"] == found["recall of fear"]
    assert (found["n"], found["prints"]) == (3, "+1.323") and "224 px" in found["our setting"]
    assert found["our setting"].endswith("PublicTest, 3,589")
    few = line([run for run in runs if run.config["recipe"]["epochs"] == 3], "by Eq. 2, from random weights")
    assert (few["ours"], few["n"], few["verdict"]) == ("+2.00", 1, "open")
    told = line(runs, "makes a class more compact", "Fig. 1")
    assert told["accuracy"] == "−2.00 (−4.48 to +0.48)"


def test_a_section_is_open_until_its_runs_come_and_needs_no_code_then():
    def filled(runs):
        table = ledger_table(runs)
        return {row["the paper"] for row in table[table["where"].isin(["Table 3", "other λ"])].to_dict("records")
                if row["n"]}

    assert not filled([])
    for arm, same, start, sentence in (
            (GENTLE_ARM, {}, "random", "… with λ 0.005 on all images"),
            (CHOSEN_ARM, {}, "weights.pt", "… with λ 0.02 from ImageNet weights"),
            (PAPER_ARM, {}, "weights.pt", "… by Eq. 2, from ImageNet weights, as in the paper"),
            (CHOSEN_ARM, {"name": "modern", "epochs": 40}, "random",
             "… with λ 0.02 on a network that is trained for longer")):
        runs = pairs([1.0, 1.1, 1.2], {**arm, **same}, **same)
        for run in runs:
            run.config["initialisation"] = start
        assert filled(runs) == {sentence}


def test_raf_db_cannot_be_asked_here_and_its_runs_would_answer():
    table = ledger_table([])
    assert set(table[table["the paper"].str.startswith("RAF-DB")].verdict) == {"cannot be asked here"}
    assert set(table[~table["the paper"].str.startswith("RAF-DB")].verdict) == {"open"}
    runs = pairs([2.0, 2.1, 2.2], PAPER_ARM, dataset="rafdb")
    for run in runs:
        run.config["dataset"] = "rafdb"
    assert line(runs, "RAF-DB: centre loss answers better")["verdict"] == "reproduced"
    assert line(runs, "RAF-DB: fear answered as surprise", "Figs. 2, 3")["n"] == 3


@pytest.fixture(scope="module")
def published():
    return load_results(RESULTS)


def test_the_ledger_fits_a_page_and_prints_the_papers_figures_as_they_are(published):
    table = ledger_table(published)
    assert len(table) <= 40 and set(table.verdict) <= VERDICTS and (table.because.str.len() <= 60).all()
    assert {"76.239", "75.580", "78.683", "77.996", "62.079", "61.566", "63.402", "62.487", "+1.323", "+2.444", "24 %",
            "30 %", "0.37", "28,709", "12,271", "2,048", "1.9", "1.7"} <= set(table.prints)
    assert (table[table.n == 1].verdict == "open").all()
    assert set(table[table.verdict == "cannot be asked here"].because) == {"RAF-DB is given to researchers, on request"}


def test_what_review_measured_is_quoted_as_one_pair_and_agrees_with_what_is_published(published):
    (plain, ours), *_ = [(first.runs[1], first.runs[0]) for mine in by_setting(published).values()
                         if mine[0].config["recipe"]["backbone"] == "resnet50"
                         for first in of_pairs(accuracy, MENDED_ARM)(mine)]
    private, both = REVIEW.values()
    for side, run in enumerate((plain, ours)):  # two test sets of one size: their mean is that of both together
        assert both[side][accuracy] == pytest.approx((accuracy(run) + private[side][accuracy]) / 2, abs=0.011)
    quoted = [line(published, f"{told[0][accuracy]} to {told[1][accuracy]} %") for told in (private, both)]
    assert [(row["ours"], row["n"], row["verdict"]) for row in quoted] == [("+0.89", 1, "open"), ("+0.05", 1, "open")]
    assert line(published, "with α 0.5, ResNet-50")["ours"] == "−0.78"


def test_the_pages_in_results_are_what_the_runs_there_give(published):
    for name, page in PAGES.items():
        assert (RESULTS / name).read_text(encoding="utf-8") == page(published), f"{name}: fer-lab ledger writes it anew"


def test_a_changed_result_is_refused_and_no_page_is_written(tmp_path):
    run = next((RESULTS / "runs").iterdir())
    shutil.copytree(run, tmp_path / "runs" / run.name)
    sums = (RESULTS / SUMS).read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / SUMS).write_text("".join(row for row in sums if run.name in row), encoding="utf-8")
    write_pages(tmp_path)
    (tmp_path / "LEDGER.md").write_text("as it was")
    metrics = tmp_path / "runs" / run.name / "metrics.json"
    metrics.write_text(metrics.read_text().replace("0.", "0.9", 1))
    assert "was changed after it was published" in refusal(write_pages, tmp_path)
    assert (tmp_path / "LEDGER.md").read_text() == "as it was"


@pytest.mark.course
def test_claims_on_a_fresh_quick_pair_come_out_as_the_course_tells():
    runs = [find_or_train(get_recipe("quick", lam=lam), progress=False) for lam in (0.0, 0.2)]
    told = judge(runs).set_index("claim")
    assert (told.outcome == "one run").all()
    assert told["mean"]["compact"] < math.log(0.95) and told["mean"]["drawn pair"] == 0
