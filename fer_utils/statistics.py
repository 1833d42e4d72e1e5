"""How sure a difference is: tests, intervals and chances for runs, images and printed numbers."""

from dataclasses import dataclass
from math import ceil, expm1, floor, log, nan, sqrt

import numpy as np
from scipy.integrate import quad
from scipy.stats import binomtest, nct, norm, t, ttest_rel

from .errors import FerError

MOST_PAIRS = 2**30  # a gain that needs more is none


def mean_sd(values):
    """Mean and standard deviation (n − 1) of one or more numbers, as ``(mean, sd)``; one number has no sd: nan."""
    values = np.asarray(values, float)
    with np.errstate(invalid="ignore"):  # an infinite ratio has no scatter
        return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else nan


def mcnemar(labels, first, second):
    """McNemar's exact test of two models' answers to the same images, as ``(only_first, only_second, p)``: the numbers
    of images that one alone got right. Were both equally good, each of these would be a coin toss."""
    labels, first, second = map(np.asarray, (labels, first, second))
    if not labels.shape == first.shape == second.shape or not labels.size:
        raise FerError(f"{labels.shape} labels, {first.shape} and {second.shape} answers; give one of each per image.")
    only_first = int(((first == labels) & (second != labels)).sum())
    only_second = int(((second == labels) & (first != labels)).sum())
    return only_first, only_second, mcnemar_p(only_first, only_second)


def mcnemar_p(only_first, only_second):
    """p of McNemar's exact test, from the numbers of images that only the first and only the second model got right."""
    number = only_first + only_second
    in_range("only_first and only_second", min(only_first, only_second), 0, number)
    return float(binomtest(only_first, number).pvalue) if number else 1.0


def mcnemar_range(right_first, right_second, n):
    """The smallest and the largest p that McNemar's test can give two models with these numbers of right answers to the
    same ``n`` images: papers print how many each got right, and not which. The fewer they share, the larger is p."""
    of(n, right_first, right_second)
    gap = right_first - right_second
    shared = max(0, right_first + right_second - n)
    return mcnemar_p(max(gap, 0), max(-gap, 0)), mcnemar_p(right_first - shared, right_second - shared)


def two_proportions(right_first, right_second, n):
    """The pooled z-test of two shares out of ``n`` each, as ``(z, p)``: z = (a − b) / √(2 m (1 − m) / n), m their mean.
    Of two models that saw the same images, ``mcnemar`` may find a smaller or a larger p, within ``mcnemar_range``."""
    of(n, right_first, right_second)
    mean = (right_first + right_second) / (2 * n)
    if not 0 < mean < 1:
        return 0.0, 1.0
    z = (right_first - right_second) / n / sqrt(2 * mean * (1 - mean) / n)
    return z, float(2 * norm.sf(abs(z)))


@dataclass(frozen=True)
class PairedDifference:
    """``mean`` and ``sd`` of ``n`` differences, the ``low`` and ``high`` end of the t-interval of the mean, and ``p``
    of the paired t-test. What one pair cannot tell is nan: all but the mean."""

    mean: float
    sd: float
    n: int
    low: float
    high: float
    p: float


def paired_difference(first, second, level=0.95):
    """``PairedDifference`` of ``first`` − ``second``, a number for each seed in each, in the same order.

    Student's paired t-test: mean ± t(level, n − 1) · sd / √n. Where all differences are the same there is no scatter to
    judge by: interval and p are nan then, too.
    """
    in_range("level", level, 0, 1, open_ends=True)
    seeds = [list(getattr(values, "index", ())) for values in (first, second) if hasattr(values, "iloc")]
    if len(seeds) == 2 and seeds[0] != seeds[1]:
        raise FerError(f"pairs of {seeds[0]} and {seeds[1]}; give both tables the same index, in the same order.")
    first, second = numbers("the first runs", first), numbers("the second runs", second)
    if len(first) != len(second):
        raise FerError(f"{len(first)} runs against {len(second)}; give a pair for each seed.")
    differences, n = first - second, len(first)
    mean, sd = mean_sd(differences)
    if not sd > 1e-12 * max(abs(first).max(), abs(second).max()):  # less is rounding
        return PairedDifference(mean, 0.0 if n > 1 else nan, n, nan, nan, nan)
    test = ttest_rel(first, second)
    low, high = map(float, test.confidence_interval(level))
    return PairedDifference(mean, sd, n, low, high, float(test.pvalue))


def paired_power(pairs, gain, sd, level=0.05):
    """The chance that n pairs show a true mean difference ``gain`` at this level, two-sided, where differences have
    standard deviation ``sd``: exact, by the noncentral t with n − 1 degrees and centre √n · gain / sd."""
    in_range("pairs", pairs, 2, np.inf)
    in_range("sd", sd, 0, np.inf, open_ends=True)
    in_range("level", level, 0, 1, open_ends=True)
    edge, centre = t.isf(level / 2, pairs - 1), sqrt(pairs) * gain / sd
    # The lower tail is taken as the upper one of its mirror image: SciPy's nct.cdf can be nan where the tail is thin.
    return float(nct.sf(edge, pairs - 1, centre) + nct.sf(edge, pairs - 1, -centre))


def pairs_needed(gain, sd, power=0.8, level=0.05):
    """The smallest number of pairs that show ``gain`` with this ``paired_power``."""
    in_range("gain", abs(gain), 0, np.inf, open_ends=True)
    in_range("power", power, level, 1, open_ends=True)
    enough = 2
    while paired_power(enough, gain, sd, level) < power:
        enough *= 2
        if enough > MOST_PAIRS:
            raise FerError(f"a gain of {gain} where pairs scatter by {sd} takes more than {MOST_PAIRS} pairs of runs.")
    few = max(enough // 2, 1)  # too few, or fewer than a test takes
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if paired_power(middle, gain, sd, level) >= power else (middle, enough)
    return enough


def bootstrap_difference(correct_first, correct_second, resamples=2000, level=0.95, seed=0):
    """Mean difference of two recipes' accuracies, in [−1, 1], and its percentile interval, as ``(mean, low, high)``.

    ``correct_first``, ``correct_second``: bool (seeds, images), which answers were right. Seeds and images are both
    drawn with replacement and each keeps its pairs (Owen, *The pigeonhole bootstrap*, 2007). That does not mend few
    seeds: five drawn from five scatter by √(4/5) too little, so show ``paired_difference`` beside it.
    """
    first, second = np.asarray(correct_first), np.asarray(correct_second)
    if first.shape != second.shape or first.ndim != 2 or not first.size or not first.dtype == second.dtype == bool:
        raise FerError(f"{first.dtype} {first.shape}, {second.dtype} {second.shape}; give bools, both (seeds, images).")
    in_range("resamples", resamples, 1, np.inf)
    in_range("level", level, 0, 1, open_ends=True)
    differences = first.astype(float) - second
    chance, means = np.random.default_rng(seed), []
    for start in range(0, resamples, 100):  # in blocks, to spare memory
        block = min(100, resamples - start)
        by_seed = drawn(block, differences.shape[1], chance) @ differences.T
        means.append((by_seed * drawn(block, len(differences), chance)).sum(1) / differences.size)
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(differences.mean()), float(low), float(high)


def drawn(times, size, chance):
    """float (times, size): how often each of ``size`` things comes up in ``size`` draws with replacement."""
    places = chance.integers(size, size=(times, size)) + size * np.arange(times)[:, None]
    return np.bincount(places.ravel(), minlength=times * size).reshape(times, size).astype(float)


def expected_best(k, mean=0.0, sd=1.0):
    """What the best of ``k`` independent normal draws is on average: mean + sd · ∫₀¹ Φ⁻¹(u^(1/k)) du."""
    in_range("k", k, 1, np.inf)
    in_range("sd", sd, 0, np.inf)
    return mean + sd * quad(lambda u: norm.isf(-expm1(log(u) / k)), 0, 1)[0]


def grubbs(values):
    """Grubbs's one-sided test: is the largest of three or more values an outlier? As ``(G, p)``.

    G = (largest − mean) / sd. p is the chance that the best of so many replicates stands out so far from its own
    companions, mean and sd estimated: n · P(T > t) with t² = n (n − 2) G² / ((n − 1)² − n G²) and n − 2 degrees
    (Grubbs, 1950; NIST's e-Handbook, 1.3.5.17.1), which is exact where p is small and an upper bound elsewhere.
    """
    values = numbers("values", values)
    n, (mean, sd) = len(values), mean_sd(values)
    if n < 3 or not sd > 1e-12 * abs(values).max():
        raise FerError(f"{n} values, {len(np.unique(values))} of them different; give at least three different values.")
    g = float((values.max() - mean) / sd)
    room = (n - 1)**2 - n * g**2  # 0 where all companions are equal
    far = sqrt(n * (n - 2) * g**2 / room) if room > 1e-9 else np.inf
    return g, float(min(1.0, n * t.sf(far, n - 2)))


def possible_counts(shown, size, decimals=2):
    """The numbers of right answers out of ``size`` whose share is printed as ``shown``, rounded to the nearest; none:
    it cannot be of so many."""
    in_range("size", size, 1, np.inf)
    in_range("shown", shown, 0, 1)
    text = f"{shown:.{decimals}f}"
    if abs(float(text) - shown) > 1e-9:
        raise FerError(f"{shown} has more than {decimals} decimals; give what was printed, or more decimals.")
    near = range(max(0, floor((shown - 10**-decimals) * size)), min(size, ceil((shown + 10**-decimals) * size)) + 1)
    return [count for count in near if f"{count / size:.{decimals}f}" == text]


def numbers(what, values):
    """``values`` as a float array (n,), n > 0, of finite numbers."""
    values = np.asarray(values, float)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise FerError(f"{what}: {values.shape}, {(~np.isfinite(values)).sum()} not finite; give a list of numbers.")
    return values


def of(n, *counts):
    """Raise ``FerError`` unless all counts are out of ``n`` images."""
    in_range("n", n, 1, np.inf)
    for count in counts:
        in_range("right answers", count, 0, n)


def in_range(what, value, low, high, open_ends=False):
    """Raise ``FerError`` for a number that is not from ``low`` to ``high``, or not between them."""
    if not (low < value < high if open_ends else low <= value <= high):
        raise FerError(f"{what} = {value}; give one {'between' if open_ends else 'from'} {low} "
                       f"{'and' if open_ends else 'to'} {high}.")
