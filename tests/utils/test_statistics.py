"""Tests, intervals and chances, against hand-made cases, published values and other libraries."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from conftest import refusal
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from fer_utils import paper
from fer_utils.statistics import (
    bootstrap_difference,
    expected_best,
    grubbs,
    mcnemar,
    mcnemar_p,
    mcnemar_range,
    mean_sd,
    paired_difference,
    paired_power,
    pairs_needed,
    possible_counts,
    two_proportions,
)


def test_mean_and_sd_of_several_of_one_and_of_what_has_no_scatter():
    assert mean_sd([2, 4, 9]) == pytest.approx((5, math.sqrt(13)))
    for values in ([0.5], [1.0, math.inf]):
        assert mean_sd(pd.Series(values)) == pytest.approx((values[-1], math.nan), nan_ok=True)


def test_mcnemar_counts_the_images_that_one_alone_got_right():
    labels = np.arange(10) % 7
    for wrong_first, wrong_second, alone, p in (([], [0, 1, 2, 3, 4], (5, 0), 2 / 32), ([0], [1], (1, 1), 1),
                                                ([0, 1], [0, 1], (0, 0), 1), ([1, 2, 3, 4], [3], (0, 3), 2 / 8)):
        first, second = labels.copy(), labels.copy()
        first[wrong_first] = (labels[wrong_first] + 1) % 7
        second[wrong_second] = (labels[wrong_second] + 2) % 7  # two wrong answers that differ count for nobody
        assert mcnemar(labels, first, second) == pytest.approx((*alone, p)), alone


two_counts_of_one_size = st.integers(1, 40).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n)))


@settings(max_examples=50)
@given(two_counts_of_one_size)
def test_mcnemar_range_is_that_of_every_possible_overlap(counts):
    right_first, right_second, n = counts
    ps = [mcnemar_p(right_first - both, right_second - both)
          for both in range(min(right_first, right_second) + 1) if right_first + right_second - both <= n]
    assert mcnemar_range(*counts) == (min(ps), max(ps))


def test_the_papers_gains_without_and_with_the_pairs_that_it_did_not_print():
    for name, unpaired, highest in (("fer2013", 0.10, 0.20), ("rafdb", 0.02, 0.047)):
        counts = paper.RIGHT[name]["center"], paper.RIGHT[name]["softmax"], paper.TEST_SIZES[name]
        assert two_proportions(*counts)[1] == pytest.approx(unpaired, abs=0.005)
        assert mcnemar_range(*counts)[1] == pytest.approx(highest, abs=0.005)


@settings(max_examples=50)
@given(two_counts_of_one_size)
@example((4551, 4456, 7178))
@example((12, 12, 12))
@example((0, 0, 12))
def test_two_proportions_is_the_chi_square_test_of_the_table(counts):
    first, second, n = counts
    z, p = two_proportions(*counts)
    if first + second in (0, 2 * n):  # all right or all wrong: they do not differ
        assert (z, p) == (0, 1)
        return
    wanted = stats.chi2_contingency([[first, n - first], [second, n - second]], correction=False)
    assert (z**2, p) == pytest.approx((wanted.statistic, wanted.pvalue), rel=1e-9)
    assert np.sign(z) == np.sign(first - second)


def test_paired_difference_of_students_own_example():
    """Hours of sleep gained with each of two drugs by ten patients (Student, Biometrika 6, 1908)."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = paired_difference(first, second)  # as R prints it: t.test(..., paired = TRUE)
    assert (found.mean, found.n) == (pytest.approx(-1.58), 10)
    assert (found.low, found.high, found.p) == pytest.approx((-2.4598858, -0.7001142, 0.002833), abs=1e-6)
    assert found.sd == pytest.approx(np.std(np.subtract(first, second), ddof=1))
    narrow = paired_difference(first, second, level=0.5)
    assert found.low < narrow.low < found.mean < narrow.high < found.high


def test_where_pairs_do_not_scatter_there_is_a_mean_and_no_interval():
    for first, second, mean, sd in (([0.634], [0.621], 0.013, math.nan),  # one pair
                                    ([0.1 + 0.2, 0.6, 1.3], [0.1, 0.4, 1.1], 0.2, 0)):  # 0.2 but for the last bits
        found = paired_difference(first, second)
        assert (found.mean, found.sd) == pytest.approx((mean, sd), nan_ok=True)
        assert all(map(math.isnan, (found.low, found.high, found.p)))


def test_runs_are_not_paired_with_another_seeds():
    first, second = pd.Series([1.0, 2.0, 4.0], [0, 1, 2]), pd.Series([1.0, 2.0, 3.0], [1, 0, 2])
    assert "same index" in refusal(paired_difference, first, second)
    assert paired_difference(first, second.loc[[0, 1, 2]]).mean == pytest.approx(1 / 3)


def test_pairs_needed_are_those_of_g_power_and_statsmodels():
    for size, power, pairs in ((0.2, 0.8, 199), (0.5, 0.8, 34), (0.8, 0.8, 15), (1.0, 0.8, 10), (2.0, 0.8, 5),
                               (5.0, 0.8, 3), (0.2, 0.95, 327), (0.5, 0.95, 54), (0.5, 0.9, 44), (1.5, 0.95, 8)):
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
    for pairs, size, level in product((2, 3, 6, 30), (0, 0.1, 0.9, 3.06), (0.05, 0.1)):
        degrees, centre = pairs - 1, size * math.sqrt(pairs)  # t = (z + centre) / √(v / degrees), z normal, v χ²
        spreads = stats.chi2.ppf((np.arange(20_000) + 0.5) / 20_000, degrees) / degrees
        edges = stats.t.isf(level / 2, degrees) * np.sqrt(spreads)
        wanted = (stats.norm.sf(edges - centre) + stats.norm.sf(edges + centre)).mean()
        assert paired_power(pairs, size, 1.0, level) == pytest.approx(wanted, abs=2e-5)


def test_bootstrap_has_the_spread_of_seeds_and_images_together_and_of_one_seed_that_of_images():
    images = np.arange(300) % 3 == 0
    for seeds in (np.arange(40) % 4 == 0, np.array([False])):
        table = np.broadcast_to(seeds[:, None], (len(seeds), 300)), np.broadcast_to(images, (len(seeds), 300))
        mean, low, high = bootstrap_difference(*table, resamples=4050)  # the last block is a short one
        sd = math.sqrt(seeds.var() / len(seeds) + images.var() / 300)  # independent of each other
        assert mean == pytest.approx(seeds.mean() - 1 / 3)
        assert (low, high) == pytest.approx((mean - 1.96 * sd, mean + 1.96 * sd), abs=0.12 * sd)


def test_bootstrap_keeps_the_pairs_together_and_repeats_itself():
    first, second = np.random.default_rng(5).random((2, 5, 90)) < 0.6
    assert bootstrap_difference(first, first) == (0, 0, 0)
    draws = [bootstrap_difference(first, second, resamples=250, seed=seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2] and draws[0][0] == draws[2][0]


def test_expected_best_is_the_published_constant():
    for k, wanted in ((1, 0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi)), (5, 1.16296), (10, 1.53875),
                      (11, 1.58644), (100, 2.50759)):
        assert expected_best(k) == pytest.approx(wanted, abs=6e-6), k
        assert expected_best(k, 60.4, 1.7) == pytest.approx(60.4 + 1.7 * wanted, abs=1e-4), k


def test_grubbs_of_nists_example_and_of_values_at_the_published_critical_points():
    g, p = grubbs([199.31, 199.53, 200.19, 200.82, 201.92, 201.95, 202.18, 245.57])
    assert g == pytest.approx(2.468764, abs=1e-6) and p < 0.001
    for n, g, level in ((8, 2.032, 0.05), (11, 2.234, 0.05), (11, 2.485, 0.01), (20, 2.557, 0.05)):
        others = np.linspace(-1, 1, n - 1)
        values = [*others, g * math.sqrt((others**2).sum() / (n - 1) / (((n - 1) / n)**2 - g**2 / n))]
        assert grubbs(values) == (pytest.approx(g), pytest.approx(level, abs=0.0007))
    assert grubbs([0.0, 0.0, 0.0, 1.0]) == (pytest.approx(1.5), 0.0)  # the largest possible G of four


def test_grubbs_keeps_its_false_alarm_rate_where_a_simulation_from_the_same_values_hides_the_outlier():
    """The rates that notebook 5.12 tells: alarms at a level of 5 %, of elevens without and with one value at 3 sd."""
    def alarms(elevens):
        found = [grubbs(values) for values in elevens]
        drawn = [1 - stats.norm.cdf(g)**11 for g, _ in found]  # the best of eleven from their own mean and sd
        return [100 * np.mean(np.array(p) < 0.05) for p in ([p for _, p in found], drawn)]

    elevens = np.random.default_rng(0).normal(size=(2000, 11))
    assert alarms(elevens) == [pytest.approx(5, abs=0.8), pytest.approx(0.3, abs=0.3)]
    elevens[:, 0] += 3
    assert alarms(elevens) == [pytest.approx(39, abs=2), pytest.approx(8, abs=1)]


def test_possible_counts_are_those_whose_share_is_printed_so():
    for size, decimals in product((1, 2, 7, 55, 56, 111, 300), (0, 1, 2, 3)):
        printed = [f"{count / size:.{decimals}f}" for count in range(size + 1)]
        for shown in set(printed) | {"0", "1"}:
            wanted = [count for count, text in enumerate(printed) if float(text) == float(shown)]
            assert possible_counts(float(shown), size, decimals) == wanted


def test_bad_input_is_refused_with_what_is_wrong():
    yes, tables, nan = np.ones((2, 3), bool), "both (seeds, images)", math.nan
    cases = [
        (mcnemar, ([0, 1], [0, 1], [0]), "per image"), (mcnemar, ([], [], []), "per image"),
        (mcnemar_p, (-1, 3), "only_first"), (mcnemar_range, (5, 4, 0), "n = 0"),
        (mcnemar_range, (5, 9, 8), "right answers = 9"), (two_proportions, (-1, 4, 8), "right answers = -1"),
        (paired_difference, ([1.0, 2.0], [1.0]), "2 runs against 1"), (paired_difference, ([], []), "give a list"),
        (paired_difference, ([1.0, nan], [1.0, 2.0]), "1 not finite"),
        (paired_difference, ([1.0, 2.0], [1.0, 3.0], 95), "level = 95"), (pairs_needed, (0, 1), "gain = 0"),
        (pairs_needed, (1, nan), "sd = nan"), (pairs_needed, (1, 1, 1.0), "power = 1"),
        (pairs_needed, (1e-9, 1), "pairs of runs"), (paired_power, (1, 1, 1), "pairs = 1"),
        (bootstrap_difference, (yes, yes, 0), "resamples = 0"), (bootstrap_difference, (yes, yes[:, :2]), tables),
        (bootstrap_difference, (yes[0], yes[0]), tables), (bootstrap_difference, (yes[:0], yes[:0]), tables),
        (bootstrap_difference, (yes.astype(int), yes), tables), (expected_best, (0,), "k = 0"),
        (expected_best, (3, 0, -1), "sd = -1"), (grubbs, ([0.3, 0.3, 0.1 + 0.2],), "three different"),
        (possible_counts, (0.374, 55), "more than 2 decimals"), (possible_counts, (37, 55), "shown = 37")]
    said = [(call.__name__, values, wrong, refusal(call, *values)) for call, values, wrong in cases]
    assert not [case for case in said if case[2] not in case[3]]
