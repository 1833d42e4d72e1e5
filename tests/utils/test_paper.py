"""The paper's numbers agree with each other, and say what the course says of them."""

import numpy as np

from fer_utils import datasets, paper
from fer_utils.datasets import rafdb
from fer_utils.emotions import EMOTIONS
from fer_utils.statistics import possible_counts
from fer_utils.training.recipe import RECIPES

NAMES = ("rafdb", "fer2013")
TABLES = [paper.TRAIN_COUNTS, paper.TABLE_3, paper.TEST_SIZES, paper.RIGHT, paper.FIG_4, paper.CONFUSED,
          paper.FIGURES_IMPLY]


def test_every_table_has_both_data_sets_and_no_other():
    assert all(set(table) == set(NAMES) <= set(datasets.DATASETS) for table in TABLES)


def test_table_2_has_a_count_for_each_class_and_is_what_the_readers_check_against():
    assert {name: (len(counts), sum(counts)) for name, counts in paper.TRAIN_COUNTS.items()} == {
        "rafdb": (len(EMOTIONS), 12_271), "fer2013": (len(EMOTIONS), 28_709)}
    assert datasets.PAPER_COUNTS is paper.TRAIN_COUNTS and rafdb.PAPER_COUNTS is paper.TRAIN_COUNTS["rafdb"]


def test_accuracies_of_table_3_are_whole_images_of_the_test_set():
    for name in NAMES:
        for loss in ("softmax", "center"):
            accuracy, right = paper.TABLE_3[name][loss]["accuracy"], paper.RIGHT[name][loss]
            size = paper.TEST_SIZES[name]
            assert round(100 * right / size, 3) == accuracy and possible_counts(accuracy / 100, size, 5) == [right]


def test_fer2013s_test_set_can_only_be_the_two_parts_together():
    accuracy = paper.TABLE_3["fer2013"]["center"]["accuracy"] / 100
    assert possible_counts(accuracy, 3589, 5) == []  # neither part alone has such a share
    assert possible_counts(accuracy, 2 * 3589, 5) == [4551]


def test_gains_of_table_3():
    gains = {(name, what): round(table["center"][what] - table["softmax"][what], 3)
             for name, table in paper.TABLE_3.items() for what in ("accuracy", "f1")}
    assert gains == {("rafdb", "accuracy"): 2.444, ("rafdb", "f1"): 2.416,
                     ("fer2013", "accuracy"): 1.323, ("fer2013", "f1"): 0.921}


def test_fig_4_has_the_mean_the_spread_and_the_maximum_that_the_course_tells():
    assert paper.ALPHAS == tuple(np.round(np.arange(10, 21) / 10, 1))
    for name, *wanted in (("fer2013", 60.4, 1.7, 2, 1.9), ("rafdb", 78.2, 0.6, 11, 1.7)):
        values, table = np.array(paper.FIG_4[name]), paper.TABLE_3[name]
        above, best = (values > table["softmax"]["accuracy"]).sum(), paper.ALPHAS[values.argmax()]
        assert [round(values.mean(), 1), round(values.std(ddof=1), 1), above, best] == wanted and len(values) == 11
        # Table 3 is Fig. 4's point at the chosen α, which is FER2013's best and not RAF-DB's.
        assert abs(values[paper.ALPHAS.index(paper.ALPHA)] - table["center"]["accuracy"]) <= paper.READING
        assert (best == paper.ALPHA) == (name == "fer2013")


def test_if_alpha_does_nothing_centre_loss_costs_on_fer2013_and_gains_on_rafdb():
    gains = {name: np.mean(paper.FIG_4[name]) - paper.TABLE_3[name]["softmax"]["accuracy"] for name in NAMES}
    assert {name: round(float(gain), 1) for name, gain in gains.items()} == {"rafdb": 1.9, "fer2013": -1.7}


def test_the_figures_are_not_of_table_3s_models_with_centre_loss():
    for name, (low, high) in paper.FIGURES_IMPLY.items():
        assert low < high < paper.TABLE_3[name]["center"]["accuracy"]


def test_confusions_are_of_two_different_classes_and_shares():
    assert all(true == "fear" != answered and answered in EMOTIONS and 0 < share < 1
               for true, answered, share in paper.CONFUSED.values())
    assert {paper.BEST_RECOGNISED, paper.WORST_RECOGNISED} < set(EMOTIONS)


def test_a_disgust_recall_of_0_37_needs_both_parts_of_fer2013s_test_set():
    assert {size: possible_counts(paper.DISGUST_RECALL, size) for size in (55, 56, 111)} == {55: [], 56: [], 111: [41]}


def test_the_recipe_named_after_the_paper_takes_its_lambda_and_alpha():
    assert (RECIPES["paper"].lam, RECIPES["paper"].alpha) == (paper.LAM, paper.ALPHA)
