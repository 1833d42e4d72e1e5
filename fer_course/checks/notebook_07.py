"""Exercises of notebook 7: numbers in a paper, and claims."""

from math import sqrt

import numpy as np
from scipy.stats import binomtest, chi2, t, ttest_ind

from fer_lab.evidence.claims import Claim
from fer_lab.evidence.measures import Reading
from fer_utils.statistics import mcnemar, paired_difference, two_proportions

from .verdict import FunctionCheck, Mistake, ValueCheck

which_test_set = ValueCheck(
    "cannot tell",
    "2,564 of 3,589 and 5,128 of 7,178 both print as 71.44: twice as many of twice as many. Papers should print "
    "counts.",
    (Mistake("PublicTest", "2,564 of 3,589 would fit, yes. But so would a whole number of all 7,178: try both sizes, "
             "with statistics.possible_counts."),
     Mistake("PrivateTest", "It has 3,589 images, too, so a percentage could never tell it from PublicTest. And there "
             "is a third possibility; try 7,178."),
     Mistake("both", "5,128 of 7,178 would fit, yes. But half of it is a whole number, too, and fits 3,589. Only an "
             "odd count would tell.")),
    'Answer with one of the four texts, for example answer = "both".')


def _width(n):
    return t.ppf(0.975, n - 1) / sqrt(n)


two_seeds = ValueCheck(
    _width(2) / _width(5),
    "7.2 times as wide. Two runs give one difference to estimate the scatter from, and the t-interval allows for that.",
    (Mistake(sqrt(5 / 2), "That is √(5/2), as if the scatter were known. It is estimated from the same few runs, and "
             "with two of them very badly: the t-quantile goes from 2.8 to 12.7."),
     Mistake(5 / 2, "An interval does not shrink as 1/n but as 1/√n; and that is only one of two things that change. "
             "Look at the t-quantile."),
     Mistake(t.ppf(0.975, 1) / t.ppf(0.975, 4), "That is the t-quantile's part. The mean of two also scatters more "
             "than the mean of five: multiply by √(5/2)."),
     Mistake(1.0, "The same scatter does not make the same interval: the mean of two runs is less sure than the mean "
             "of five.")),
    "mean ± t · sd / √n: which two of the three change with n? t is 12.7 for two seeds, 2.8 for five.", 0.09)


def _pairs_of_answers(rng):
    """(labels, first, second) of two models that agree on most images."""
    found = []
    for n, wrong, other in ((200, 0.3, 0.1), (60, 0.4, 0.3), (400, 0.35, 0.15)):
        labels = rng.integers(7, size=n)
        first = np.where(rng.random(n) < wrong, rng.integers(7, size=n), labels)
        second = np.where(rng.random(n) < other, rng.integers(7, size=n), first)
        second = np.where(rng.random(n) < other, labels, second)
        found.append((labels, first, second))
    return found


def _only(labels, first, second):
    return int(((first == labels) & (second != labels)).sum()), int(((second == labels) & (first != labels)).sum())


def _unpaired(labels, first, second):
    return two_proportions(int((first == labels).sum()), int((second == labels).sum()), len(labels))[1]


def _all_disagreements(labels, first, second):
    return binomtest(_only(labels, first, second)[0], int((first != second).sum())).pvalue


def _one_sided(labels, first, second):
    one, other = _only(labels, first, second)
    return binomtest(max(one, other), one + other, alternative="greater").pvalue


def _by_chi2(labels, first, second, correction=1):
    one, other = _only(labels, first, second)
    return chi2.sf((abs(one - other) - correction)**2 / (one + other), 1)


same_images = FunctionCheck(
    lambda labels, first, second: mcnemar(labels, first, second)[2], _pairs_of_answers,
    "McNemar's exact test: a coin toss for each image that exactly one of the two got right.",
    (Mistake(_unpaired, "That test takes the two accuracies for answers to different images. They are the same ones, "
             "and most are answered alike: only the images on which exactly one is right can tell the two apart."),
     Mistake(_all_disagreements, "You counted every image on which the two differ. Where both are wrong, each in its "
             "own way, neither is better: leave these out."),
     Mistake(_one_sided, "One-sided: half as large. Nobody knew beforehand which of the two would be better, so a gap "
             "in either direction counts."),
     Mistake(_by_chi2, "That is the χ² approximation with a correction, close but not exact. For few images use the "
             "coin toss itself: scipy.stats.binomtest."),
     Mistake(lambda labels, first, second: _by_chi2(labels, first, second, 0), "That is the χ² approximation, too sure "
             "where few images count. Use the coin toss itself: scipy.stats.binomtest.")))


def _paired_runs(rng):
    """(center, softmax): accuracies in percent of paired seeds, which share most of their scatter."""
    return [((shared := rng.normal(60, 3, n)) + rng.normal(0.8, 0.5, n), shared) for n in (5, 3, 8)]


def _interval(center, softmax):
    known = paired_difference(center, softmax)
    return known.mean, known.low, known.high


def _around(center, softmax, half):
    mean = (center - softmax).mean()
    return mean, mean - half, mean + half


def _sd(values, ddof=1):
    return (values[0] - values[1]).std(ddof=ddof)


def _unpaired_interval(center, softmax, equal=True):
    found = ttest_ind(center, softmax, equal_var=equal).confidence_interval()
    return (center - softmax).mean(), found.low, found.high


interval = FunctionCheck(
    _interval, _paired_runs,
    "Pair by pair: what a seed does to both cancels out, and what is left is what the method does.",
    (Mistake(_unpaired_interval, "You compared two groups of runs. But seed 0 belongs to seed 0: same split, same "
             "start, same order. Subtract pair by pair first, or the seeds' scatter drowns the gain."),
     Mistake(lambda c, s: _unpaired_interval(c, s, equal=False), "You compared two groups of runs (Welch). But seed 0 "
             "belongs to seed 0: same split, same start, same order. Subtract pair by pair first."),
     Mistake(lambda c, s: _around(c, s, 1.96 * _sd((c, s)) / sqrt(len(c))), "1.96 is for a scatter that is known. From "
             "five runs it is estimated: take Student's t with n − 1 degrees of freedom, 2.78 for five."),
     Mistake(lambda c, s: _around(c, s, _sd((c, s))), "That is mean ± one standard deviation: where single pairs lie. "
             "How sure the mean is takes ± t · sd / √n."),
     Mistake(lambda c, s: _around(c, s, t.ppf(0.975, len(c) - 1) * _sd((c, s))), "√n is missing: the mean of n pairs "
             "scatters less than a single pair does."),
     Mistake(lambda c, s: _around(c, s, t.ppf(0.975, len(c) - 1) * _sd((c, s), 0) / sqrt(len(c))), "numpy divides by n "
             "unless told otherwise: std(ddof=1)."),
     Mistake(lambda c, s: _interval(s, c), "The sign is turned: centre loss minus softmax was asked for, so that a "
             "gain is positive.")))


def _bands(rng):
    """(differences, low, high): points of accuracy and a band, which an interval may lie in, beside or across."""
    around = np.array([-0.4, -0.1, 0.0, 0.1, 0.4])
    scattered = 6 * around
    wide = 1 + np.array([-0.9, 0.9, 0.0, 0.1, -0.1, 0.0, -0.05, 0.05])  # pairs leave the band, their interval doesn't
    return [(wide, 0.3, 1.7), (around + 1, 0.2, 2.0), (around + 3, 0.2, 2.0), (scattered + 1, 0.2, 2.0),
            (around + 0.4, 0.5, np.inf), (around - 1, 0.0, np.inf), (scattered, -1.0, 1.0), (around, -2.0, 2.0),
            (around[1:4] - 3, -np.inf, -2.0)]


def _judge(differences, low, high):
    return Claim("", "", "", low, high, lambda runs: [Reading(seed, float(gain), []) for seed, gain in enumerate(runs)]
                 ).outcome(differences)[0]


def _by_mean(differences, low, high):
    return "held" if low <= np.mean(differences) <= high else "did not hold"


def _against_zero(differences, low, high):
    known = paired_difference(differences, np.zeros(len(differences)))
    return "held" if known.p < 0.05 else "did not hold"


def _never_undecided(differences, low, high):
    return "held" if _judge(differences, low, high) == "held" else "did not hold"


def _by_range(differences, low, high):
    inside = (low <= differences) & (differences <= high)
    return "held" if inside.all() else "undecided" if inside.any() else "did not hold"


judge = FunctionCheck(
    _judge, _bands,
    "Held, did not hold, or undecided: a claim that can end in each of the three says something.",
    (Mistake(_by_mean, "The mean alone decides nothing: another five seeds have another mean. Ask where the whole "
             "interval lies."),
     Mistake(_against_zero, "You asked whether the difference is zero. The claim names a band, and that is what it "
             "must be judged by: a tiny gain can be \"significant\", and still not what was claimed."),
     Mistake(_never_undecided, "An interval that reaches over an edge of the band neither shows the claim nor "
             "refutes it: \"undecided\"."),
     Mistake(_by_range, "You looked where the single pairs lie. They may scatter over the edge while their mean is "
             "sure: use the interval of the mean, statistics.paired_difference.")))
