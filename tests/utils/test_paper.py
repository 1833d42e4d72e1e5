"""The paper's numbers agree with each other, and say what the course says of them."""

import numpy as np

from fer_utils import datasets, paper
from fer_utils.datasets import rafdb
from fer_utils.emotions import EMOTIONS
from fer_utils.statistics import possible_counts
from fer_utils.training.recipe import RECIPES


def test_table_2_is_what_the_readers_check_against():
    assert {name: (len(counts), sum(counts)) for name, counts in paper.TRAIN_COUNTS.items()} == {
        "rafdb": (len(EMOTIONS), 12_271), "fer2013": (len(EMOTIONS), 28_709)}
    assert datasets.PAPER_COUNTS is paper.TRAIN_COUNTS and rafdb.PAPER_COUNTS is paper.TRAIN_COUNTS["rafdb"]


def test_accuracies_of_table_3_are_whole_images_of_the_test_set_and_fer2013s_is_both_parts_together():
    for name, size in paper.TEST_SIZES.items():
        for loss, right in paper.RIGHT[name].items():
            accuracy = paper.TABLE_3[name][loss]["accuracy"]
            assert round(100 * right / size, 3) == accuracy and possible_counts(accuracy / 100, size, 5) == [right]
    accuracy = paper.TABLE_3["fer2013"]["center"]["accuracy"] / 100
    assert possible_counts(accuracy, 3589, 5) == []  # neither part alone has such a share
    found = {size: possible_counts(paper.DISGUST_RECALL, size) for size in (55, 56, 111)}
    assert found == {55: [], 56: [], 111: [41]}  # nor such a recall of disgust


def test_gains_of_table_3():
    gains = {(name, what): round(table["center"][what] - table["softmax"][what], 3)
             for name, table in paper.TABLE_3.items() for what in ("accuracy", "f1")}
    assert gains == {("rafdb", "accuracy"): 2.444, ("rafdb", "f1"): 2.416,
                     ("fer2013", "accuracy"): 1.323, ("fer2013", "f1"): 0.921}


def test_fig_4_has_the_mean_the_spread_the_gain_and_the_maximum_that_the_course_tells():
    assert paper.ALPHAS == tuple(np.round(np.arange(10, 21) / 10, 1))
    for name, *wanted in (("fer2013", 60.4, 1.7, -1.7, 2, 1.9), ("rafdb", 78.2, 0.6, 1.9, 11, 1.7)):
        values, table = np.array(paper.FIG_4[name]), paper.TABLE_3[name]
        softmax, mean, best = table["softmax"]["accuracy"], values.mean(), paper.ALPHAS[values.argmax()]
        numbers = [round(float(number), 1) for number in (mean, values.std(ddof=1), mean - softmax)]
        assert [*numbers, (values > softmax).sum(), best] == wanted and len(values) == 11
        # Table 3 is Fig. 4's point at the chosen α, which is FER2013's best and not RAF-DB's.
        assert abs(values[paper.ALPHAS.index(paper.ALPHA)] - table["center"]["accuracy"]) <= paper.READING
        assert (best == paper.ALPHA) == (name == "fer2013")
    assert (RECIPES["paper"].lam, RECIPES["paper"].alpha) == (paper.LAM, paper.ALPHA)


def test_the_figures_are_not_of_table_3s_models_with_centre_loss():
    for name, (low, high) in paper.FIGURES_IMPLY.items():
        assert low < high < paper.TABLE_3[name]["center"]["accuracy"]
    assert all(true == "fear" != answered and answered in EMOTIONS and 0 < share < 1
               for true, answered, share in paper.CONFUSED.values())
    assert {paper.BEST_RECOGNISED, paper.WORST_RECOGNISED} < set(EMOTIONS)
