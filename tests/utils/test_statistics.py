"""Tests, intervals and chances, against hand-made cases, published values and other libraries."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fer_utils import paper
from fer_utils.errors import FerError
from fer_utils.statistics import (
    bootstrap_difference,
    drawn,
    expected_best,
    grubbs,
    mcnemar,
    mcnemar_p,
    mcnemar_range,
    paired_difference,
    paired_power,
    pairs_needed,
    possible_counts,
    two_proportions,
)

# Two models, the same images


@pytest.mark.parametrize("wrong_first, wrong_second, p", [
    ([], [0, 1, 2, 3, 4], 2 / 2**5),  # five tosses, all one way
    ([0], [1], 1.0), ([0, 1], [0, 1], 1.0), ([], [], 1.0),
])
def test_mcnemar_counts_the_images_that_one_alone_got_right(wrong_first, wrong_second, p):
    labels = np.arange(10) % 7
    first, second = labels.copy(), labels.copy()
    first[wrong_first] = (labels[wrong_first] + 1) % 7
    second[wrong_second] = (labels[wrong_second] + 1) % 7
    alone = len(set(wrong_second) - set(wrong_first)), len(set(wrong_first) - set(wrong_second))
    assert mcnemar(labels, first, second) == (*alone, pytest.approx(p))


def test_two_wrong_answers_that_differ_count_for_nobody():
    assert mcnemar([0, 0, 0], [1, 1, 0], [2, 0, 1]) == (1, 1, 1.0)


@pytest.mark.parametrize("answers", [([0, 1], [0, 1], [0]), ([0, 1], [0], [0, 1]), ([], [], [])])
def test_mcnemar_wants_one_answer_for_each_image(answers):
    with pytest.raises(FerError, match="per image"):
        mcnemar(*answers)


def test_mcnemar_p_of_a_few_tosses():
    assert [mcnemar_p(*alone) for alone in ((0, 0), (1, 1), (3, 0), (0, 3), (4, 1))] == pytest.approx(
        [1, 1, 2 / 8, 2 / 8, 2 * 6 / 32])


@pytest.mark.parametrize("right_first, right_second, n", [(5, 3, 8), (3, 5, 8), (4, 4, 9), (8, 2, 9), (9, 9, 9),
                                                          (0, 7, 7)])
def test_mcnemar_range_is_that_of_every_possible_overlap(right_first, right_second, n):
    ps = [mcnemar_p(right_first - both, right_second - both)
          for both in range(min(right_first, right_second) + 1) if right_first + right_second - both <= n]
    assert mcnemar_range(right_first, right_second, n) == (min(ps), max(ps))


def published(name):
    return paper.RIGHT[name]["center"], paper.RIGHT[name]["softmax"], paper.TEST_SIZES[name]


def test_the_papers_gains_without_and_with_the_pairs_that_it_did_not_print():
    assert two_proportions(*published("fer2013"))[1] == pytest.approx(0.10, abs=0.005)
    assert two_proportions(*published("rafdb"))[1] == pytest.approx(0.02, abs=0.005)
    low, high = mcnemar_range(*published("fer2013"))
    assert low == 2 / 2**95 and high == pytest.approx(0.20, abs=0.005)  # 95 images, none lost; 2,722 against 2,627
    assert mcnemar_range(*published("rafdb"))[1] == pytest.approx(0.047, abs=0.0005)


@pytest.mark.parametrize("counts", [(4551, 4456, 7178), (2414, 2339, 3068), (1, 9, 20), (0, 3, 5)])
def test_two_proportions_is_the_chi_square_test_of_the_table(counts):
    first, second, n = counts
    z, p = two_proportions(*counts)
    wanted = stats.chi2_contingency([[first, n - first], [second, n - second]], correction=False)
    assert (z**2, p) == pytest.approx((wanted.statistic, wanted.pvalue), rel=1e-9) and (z > 0) == (first > second)


@pytest.mark.parametrize("all_or_none", [0, 12])
def test_two_models_that_are_all_right_or_all_wrong_do_not_differ(all_or_none):
    assert two_proportions(all_or_none, all_or_none, 12) == (0, 1)


# Two recipes, the same seeds

# Hours of sleep gained with each of two drugs by ten patients (Student, Biometrika 6, 1908).
FIRST_DRUG = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND_DRUG = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_paired_difference_of_students_own_example():
    found = paired_difference(FIRST_DRUG, SECOND_DRUG)  # as R prints it: t.test(..., paired = TRUE)
    assert (found.mean, found.n) == (pytest.approx(-1.58), 10)
    assert (found.low, found.high, found.p) == pytest.approx((-2.4598858, -0.7001142, 0.002833), abs=1e-6)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_paired_difference_is_scipys(level):
    first, second = np.random.default_rng(0).normal([[1.0], [0.3]], size=(2, 5))
    found, wanted = paired_difference(first, second, level), stats.ttest_rel(first, second)
    assert (found.low, found.high) == pytest.approx(tuple(wanted.confidence_interval(level)))
    assert (found.p, found.sd) == pytest.approx((wanted.pvalue, (first - second).std(ddof=1)))


def test_one_pair_has_a_mean_and_nothing_else():
    found = paired_difference([0.634], [0.621])
    assert found.mean == pytest.approx(0.013) and found.n == 1
    assert all(map(math.isnan, (found.sd, found.low, found.high, found.p)))


def test_pairs_that_all_differ_by_the_same_give_no_interval():
    found = paired_difference([0.1 + 0.2, 0.6, 1.3], [0.1, 0.4, 1.1])  # 0.2 but for the last bits
    assert found.mean == pytest.approx(0.2) and found.sd == 0
    assert all(map(math.isnan, (found.low, found.high, found.p)))


def test_runs_are_not_paired_with_another_seeds():
    first, second = pd.Series([1.0, 2.0, 4.0], [0, 1, 2]), pd.Series([1.0, 2.0, 3.0], [1, 0, 2])
    with pytest.raises(FerError, match="same index"):
        paired_difference(first, second)
    assert paired_difference(first, second.loc[[0, 1, 2]]).mean == pytest.approx(1 / 3)


@pytest.mark.parametrize("size, power, pairs", [
    (0.2, 0.8, 199), (0.5, 0.8, 34), (0.8, 0.8, 15), (1.0, 0.8, 10), (2.0, 0.8, 5), (5.0, 0.8, 3),
    (0.2, 0.95, 327), (0.5, 0.95, 54), (0.5, 0.9, 44), (1.5, 0.95, 8),
])
def test_pairs_needed_are_those_of_g_power_and_statsmodels(size, power, pairs):
    assert pairs_needed(size, 1.0, power) == pairs
    assert pairs_needed(-10 * size, 10.0, power) == pairs  # a loss, in another unit


def test_pairs_needed_are_the_fewest():
    for size, level in product((2e-4, 0.001, 0.11, 0.37, 0.9, 1.7, 3.06, 3.84, 4.0, 30.0, 1000.0), (0.05, 0.01)):
        pairs = pairs_needed(size, 1.0, level=level)
        assert paired_power(pairs, size, 1.0, level) >= 0.8
        assert pairs == 2 or paired_power(pairs - 1, size, 1.0, level) < 0.8
        powers = [paired_power(pairs, size, 1.0, level) for pairs in range(2, 12)]
        assert np.all(np.diff(powers) > -1e-12) and powers[-1] <= 1  # nan is neither


def test_power_is_that_of_the_noncentral_t_integrated_over_the_spread():
    for pairs, size in product((2, 3, 6, 30), (0.1, 0.9, 3.06)):  # t = (z + centre) / √(v / degrees), z normal, v χ²
        degrees, centre = pairs - 1, size * math.sqrt(pairs)
        spreads = stats.chi2.ppf((np.arange(20_000) + 0.5) / 20_000, degrees) / degrees
        edges = stats.t.isf(0.025, degrees) * np.sqrt(spreads)
        wanted = (stats.norm.sf(edges - centre) + stats.norm.sf(edges + centre)).mean()
        assert paired_power(pairs, size, 1.0) == pytest.approx(wanted, abs=1e-5)


def test_power_is_the_share_of_simulated_tests_that_find_the_gain():
    gains = np.random.default_rng(1).normal(1.3, 1.0, (20_000, 5))
    found = stats.ttest_1samp(gains, 0, axis=1).pvalue < 0.05
    assert paired_power(5, 1.3, 1.0) == pytest.approx(found.mean(), abs=0.012)  # 3 standard errors are 0.0106


def test_power_without_a_gain_is_the_level():
    assert paired_power(7, 0, 1.0, 0.1) == pytest.approx(0.1)


def test_the_rule_of_thumb_takes_too_few_pairs_where_few_are_enough():
    assert math.ceil((2.8 * 0.5 / 1.32)**2) == 2 and pairs_needed(1.32, 0.5) == 4


# The bootstrap over seeds and images


def test_bootstrap_of_two_seeds_that_disagree_on_all_images():
    first = np.array([[True] * 30, [False] * 30])  # the mean is 0, 1/2, 1/2 or 1, whatever the images
    mean, low, high = bootstrap_difference(first, np.zeros((2, 30), bool))
    assert (mean, low, high) == (0.5, 0, 1)
    assert bootstrap_difference(first, np.zeros((2, 30), bool), level=0.4) == (0.5, 0.5, 0.5)


def test_bootstrap_has_the_spread_of_seeds_and_images_together():
    seeds, images = np.arange(40) % 4 == 0, np.arange(300) % 3 == 0
    table = np.broadcast_to(seeds[:, None], (40, 300)), np.broadcast_to(images, (40, 300))  # independent of each other
    mean, low, high = bootstrap_difference(*table, resamples=4000)
    sd = math.sqrt(seeds.var() / 40 + images.var() / 300)
    assert mean == pytest.approx(1 / 4 - 1 / 3)
    assert (low, high) == pytest.approx((mean - 1.96 * sd, mean + 1.96 * sd), abs=0.12 * sd)


def test_bootstrap_of_one_seed_is_scipys_over_images():
    first, second = np.random.default_rng(2).random((2, 1, 200)) < [[[0.7]], [[0.6]]]
    mean, low, high = bootstrap_difference(first, second, resamples=9000)
    wanted = stats.bootstrap(((first ^ False).astype(int) - second,), np.mean, axis=1, method="percentile",
                             n_resamples=9000, rng=np.random.default_rng(3)).confidence_interval
    assert (low, high) == pytest.approx((wanted.low[0], wanted.high[0]), abs=0.006)


def test_bootstrap_keeps_the_pairs_together():
    same = np.random.default_rng(4).random((5, 100)) < 0.6
    assert bootstrap_difference(same, same) == (0, 0, 0)
    assert bootstrap_difference(same, ~same)[0] == pytest.approx(2 * same.mean() - 1)


def test_bootstrap_repeats_itself_and_another_seed_draws_others():
    first, second = np.random.default_rng(5).random((2, 5, 90)) < 0.6
    draws = [bootstrap_difference(first, second, resamples=250, seed=seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2] and draws[0][0] == draws[2][0]


def test_bootstrap_takes_many_images_in_blocks_and_the_last_block_may_be_short():
    counts = drawn(7, 1000, np.random.default_rng(0))
    assert counts.shape == (7, 1000) and (counts.sum(1) == 1000).all()
    assert counts.var() == pytest.approx(0.999, abs=0.06) and len(np.unique(counts, axis=0)) == 7
    one = bootstrap_difference(*np.random.default_rng(6).random((2, 3, 50)) < 0.5, resamples=1)
    assert one[1] == one[2]


@pytest.mark.parametrize("first, second", [
    (np.ones((2, 3), bool), np.ones((2, 4), bool)), (np.ones(3, bool), np.ones(3, bool)),
    (np.ones((0, 3), bool), np.ones((0, 3), bool)), (np.ones((2, 3), int), np.ones((2, 3), bool)),
])
def test_bootstrap_wants_two_tables_of_true_and_false(first, second):
    with pytest.raises(FerError, match="both \\(seeds, images\\)"):
        bootstrap_difference(first, second)


# The best of many


@pytest.mark.parametrize("k, wanted", [(1, 0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi)), (5, 1.16296),
                                       (10, 1.53875), (11, 1.58644), (100, 2.50759)])
def test_expected_best_is_the_published_constant(k, wanted):
    assert expected_best(k) == pytest.approx(wanted, abs=6e-6)
    assert expected_best(k, 60.4, 1.7) == pytest.approx(60.4 + 1.7 * wanted, abs=1e-4)


def test_expected_best_of_very_many_is_that_of_gumbels_law():
    for k in (10**6, 10**9):
        edge = stats.norm.isf(1 / k)
        assert expected_best(k) == pytest.approx(edge + np.euler_gamma / (k * stats.norm.pdf(edge)), abs=0.02)


def test_grubbs_of_nists_example():
    g, p = grubbs([199.31, 199.53, 200.19, 200.82, 201.92, 201.95, 202.18, 245.57])
    assert g == pytest.approx(2.468764, abs=1e-6) and p < 0.001


@pytest.mark.parametrize("n, g, level", [(8, 2.032, 0.05), (11, 2.234, 0.05), (11, 2.485, 0.01), (20, 2.557, 0.05)])
def test_grubbs_of_values_at_the_published_critical_points(n, g, level):
    others = np.linspace(-1, 1, n - 1)
    values = [*others, g * math.sqrt((others**2).sum() / (n - 1) / (((n - 1) / n)**2 - g**2 / n))]
    assert grubbs(values) == (pytest.approx(g), pytest.approx(level, abs=0.0007))


def test_grubbs_p_is_the_share_of_replicates_whose_best_stands_out_so_far():
    g, p = grubbs(paper.FIG_4["fer2013"])
    draws = np.random.default_rng(0).normal(size=(40_000, 11))
    share = ((draws.max(1) - draws.mean(1)) / draws.std(1, ddof=1) >= g).mean()
    assert p == pytest.approx(share, abs=0.008) and p == pytest.approx(0.29, abs=0.005)


def test_grubbs_is_about_the_largest_and_knows_neither_unit_nor_order():
    values = [1.0, 2.0, 2.5, 4.0, 9.0]
    assert grubbs([-5 + 3 * value for value in reversed(values)]) == pytest.approx(grubbs(values))
    assert grubbs([-value for value in values]) == (pytest.approx(2.7 / np.std(values, ddof=1)), 1.0)
    assert grubbs([0.0, 0.0, 0.0, 1.0]) == (pytest.approx(1.5), 0.0)  # the largest possible G of four


# What printed numbers allow


def test_possible_counts_are_those_whose_share_is_printed_so():
    for size, decimals in product((1, 2, 7, 55, 56, 111, 300), (0, 1, 2, 3)):
        printed = [f"{count / size:.{decimals}f}" for count in range(size + 1)]
        for shown in set(printed) | {"0", "1"}:
            wanted = [count for count, text in enumerate(printed) if float(text) == float(shown)]
            assert possible_counts(float(shown), size, decimals) == wanted


def test_a_disgust_recall_of_0_37_cut_off_and_not_rounded_would_be_possible_with_56():
    assert possible_counts(0.375, 56, 3) == [21] and f"{0.375:.2f}" == "0.38"


@pytest.mark.parametrize("call, wrong", [
    (lambda: mcnemar_p(-1, 3), "only_first"), (lambda: mcnemar_range(5, 4, 0), "n = 0"),
    (lambda: mcnemar_range(5, 9, 8), "right answers = 9"), (lambda: two_proportions(-1, 4, 8), "right answers = -1"),
    (lambda: paired_difference([1.0, 2.0], [1.0]), "2 runs against 1"),
    (lambda: paired_difference([], []), "give a list"),
    (lambda: paired_difference([1.0, math.nan], [1.0, 2.0]), "1 not finite"),
    (lambda: paired_difference([1.0, 2.0], [1.0, 3.0], 95), "level = 95"),
    (lambda: pairs_needed(0, 1), "gain = 0"), (lambda: pairs_needed(1, 0), "sd = 0"),
    (lambda: pairs_needed(1, math.nan), "sd = nan"), (lambda: pairs_needed(1, 1, 1.0), "power = 1"),
    (lambda: pairs_needed(1, 1, 0.04), "power = 0.04"), (lambda: pairs_needed(1e-9, 1), "pairs of runs"),
    (lambda: paired_power(1, 1, 1), "pairs = 1"),
    (lambda: bootstrap_difference(np.ones((1, 1), bool), np.ones((1, 1), bool), 0), "resamples = 0"),
    (lambda: expected_best(0), "k = 0"), (lambda: expected_best(3, 0, -1), "sd = -1"),
    (lambda: grubbs([1.0, 2.0]), "takes three"),
    (lambda: grubbs([0.3, 0.3, 0.1 + 0.2]), "takes three"),
    (lambda: possible_counts(0.374, 55), "more than 2 decimals"),
    (lambda: possible_counts(37, 55), "shown = 37"), (lambda: possible_counts(0.37, 0), "size = 0"),
])
def test_bad_input_is_refused_with_what_is_wrong(call, wrong):
    with pytest.raises(FerError, match=wrong):
        call()
