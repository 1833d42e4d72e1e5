"""Exercises of notebook 5: what a grid of runs can show."""

import numpy as np

from fer_utils.statistics import expected_best
from fer_utils.training.recipe import get_recipe

from .verdict import FunctionCheck, Mistake, ValueCheck

MEAN, SD = 60.4, 1.7  # of the eleven points of Fig. 4 on FER2013, in percent

best_of = ValueCheck(
    expected_best(22, MEAN, SD),
    "63.6: twice as many values of α give half a point more, though α did nothing. The best of n grows with n.",
    (Mistake(expected_best(11, MEAN, SD), "That is the best of eleven. With more draws the best one lies higher, but "
             "only a little: the best of the second eleven wins only half of the time."),
     Mistake(MEAN, "That is the mean, the honest number. The best of 22 draws is not a usual draw."),
     Mistake(MEAN + SD, "One standard deviation above the mean is where one draw in six lies; the best of 22 lies "
             "higher."),
     Mistake(MEAN + 2 * (expected_best(11, MEAN, SD) - MEAN), "Twice as many draws do not lie twice as far out: the "
             "tails of the bell get thin, and the best grows slowly.")),
    "A guess within a quarter of a point will do. The best of eleven is 63.1 and the best of five 62.4.", 0.004)

_KNOBS = ("α under Eq. 2", "α under SGD", "α under Adam", "λ under Eq. 2")


def _factors(*values):
    return dict(zip(_KNOBS, values))


def _not(knob, right):
    return lambda mine: mine.keys() == set(_KNOBS) and mine[knob] not in (None, ...) and abs(mine[knob] - right) > 0.01


knobs = ValueCheck(
    _factors(19, 19, 1, 1),
    "α scales the centres' step under Eq. 2 and SGD and does nothing under Adam. λ acts on the network only.",
    (Mistake(_factors(19, 19, 19, 10), "Two things: Adam divides each gradient by its own size, so a factor in front "
             "cancels; and λ weighs L_C for the network, while Eq. 2 has no λ in it."),
     Mistake(_factors(1, 1, 1, 1), "Under Adam alone a factor has no effect. Eq. 2 and SGD take it as it is."),
     Mistake(_not("α under Adam", 1), "Look at Adam again: it divides each gradient by its own size, so a factor in "
             "front of all gradients cancels. A curve over α then shows only noise.", matches=True),
     Mistake(_not("λ under Eq. 2", 1), "Look at λ again: it weighs L_C for the network's gradient. Eq. 2 has no λ in "
             "it; α alone decides how fast the centres follow.", matches=True),
     Mistake(_not("α under SGD", 19), "Look at SGD again: a step is rate times gradient, and α is the "
             "rate.", matches=True),
     Mistake(_not("α under Eq. 2", 19), "Look at Eq. 2 again: the step is −α·Δc, so it grows as α "
             "does.", matches=True)),
    "Keep the four names, and give a factor for each: 1 is no effect.")


def _grids(rng):
    return [([0.2], [0.1, 0.5, 1.9], [0, 1]), ([0.02, 0.2, 2.0], [0.5, 1.0], [0, 1, 2, 3]),
            ([0.2, 0.4], list(np.round(rng.uniform(0.1, 2, 5), 2)), [0, 1, 2])]


def _count_runs(lams, alphas, seeds):
    """What a run is found by: its recipe, without the fields that have no effect, and its seed."""
    recipes = [get_recipe("quick", lam=float(lam), alpha=float(alpha)) for lam in (0, *lams) for alpha in alphas]
    return len({(tuple(recipe.effective().items()), seed) for recipe in recipes for seed in seeds})


count_runs = FunctionCheck(
    _count_runs, _grids,
    "One softmax run for each seed, and one run for each λ, α and seed.",
    (Mistake(lambda lams, alphas, seeds: (1 + len(lams)) * len(alphas) * len(seeds), "Softmax is counted once for "
             "every α, but where λ = 0 there is no centre loss and α has no effect: it is the same run."),
     Mistake(lambda lams, alphas, seeds: 1 + len(lams) * len(alphas) * len(seeds), "One softmax run for all seeds? "
             "Each run with centre loss is compared with the softmax run of the same seed, so each seed needs one."),
     Mistake(lambda lams, alphas, seeds: len(lams) * len(alphas) * len(seeds), "There is nothing to compare with: the "
             "softmax runs are missing."),
     Mistake(lambda lams, alphas, seeds: 1 + len(lams) * len(alphas), "One seed only. Then nobody can tell what α does "
             "from what chance does; count the seeds, too."),
     Mistake(lambda lams, alphas, seeds: len(seeds) + len(lams) + len(alphas), "A grid has every combination of λ, α "
             "and seed: multiply.")))


def _tables(rng):
    """(alphas, validation, test): accuracies in percent, (seeds, alphas), in which each wrong choice shows."""
    found = []
    for seeds, alphas in ((3, 5), (5, 4), (4, 11)):
        validation = rng.normal(62, 2, (seeds, alphas))
        test = rng.normal(60, 2, (seeds, alphas))
        found.append((np.round(np.linspace(0.1, 2, alphas), 2), validation, test))
    return found


def _choose(alphas, by, told, seeds=slice(None), summary=np.mean):
    best = by[seeds].mean(axis=0).argmax()
    return alphas[best], summary(told[seeds, best])


def _choose_each(alphas, validation, test):
    best = validation.argmax(axis=1)
    return alphas[best].mean(), test[np.arange(len(test)), best].mean()


choose = FunctionCheck(
    _choose, _tables,
    "Chosen on validation, reported on test, a mean over all seeds: you looked at the test set once.",
    (Mistake(lambda alphas, validation, test: _choose(alphas, test, test), "α was chosen on the test "
             "set, so its accuracy is the best of many looks and too high. Choose by validation; look at the test of "
             "that one alone."),
     Mistake(lambda alphas, validation, test: (alphas[test.max(axis=0).argmax()], test.max()), "That is the single "
             "best run of the whole table. Its seed was lucky; the next reader gets another one. Report the mean over "
             "seeds."),
     Mistake(lambda alphas, validation, test: _choose(alphas, validation, test, summary=np.max),
             "The right α, but the accuracy of its luckiest seed. Report the mean over all seeds."),
     Mistake(lambda alphas, validation, test: _choose(alphas, validation, validation), "The α is right, but "
             "its accuracy is the validation one: the best of many looks, again. That is what the test set is for."),
     Mistake(lambda alphas, validation, test: _choose(alphas, validation, test, seeds=slice(0, 1)), "Only the first "
             "seed was looked at. A curve over α at one seed shows mostly noise: take the mean over seeds, "
             "the rows."),
     Mistake(_choose_each, "Each seed chose an α of its own, and their mean is an α that nobody trained with. Take the "
             "mean over seeds first, then one α for all.")))


def _curves(rng):
    """Accuracies in percent, (seeds, alphas): seeds that differ much, α that does little, or the other way round."""
    return [(60 + rng.normal(0, between, (seeds, 1)) + rng.normal(0, along, (1, alphas))
             + rng.normal(0, 0.3, (seeds, alphas)),)
            for seeds, alphas, between, along in ((3, 6, 2.0, 0.2), (5, 11, 0.3, 1.5), (4, 5, 1.0, 1.0))]


def _spreads(accuracy):
    return np.sqrt(accuracy.var(axis=1, ddof=1).mean()), np.sqrt(accuracy.var(axis=0, ddof=1).mean())


spreads = FunctionCheck(
    _spreads, _curves,
    "Two spreads side by side. A curve over α says something only where the first is clearly larger than the spread of "
    "runs that should be identical.",
    (Mistake(lambda accuracy: _spreads(accuracy)[::-1], "The two are the other way round. A row is one seed: going "
             "along it, axis 1, only α changes."),
     Mistake(lambda accuracy: (accuracy.std(ddof=1), accuracy.std(ddof=1)), "The spread of all numbers together mixes "
             "what you want to tell apart: hold one thing still while the other changes."),
     Mistake(lambda accuracy: (accuracy.mean(axis=0).std(ddof=1), accuracy.mean(axis=1).std(ddof=1)), "You took the "
             "mean first and then the spread. That hides what single runs do; take the variance in each row or column "
             "first, and the mean of those."),
     Mistake(lambda accuracy: (accuracy[0].std(ddof=1), accuracy[:, 0].std(ddof=1)), "That is one row and one column. "
             "Which seed came first is chance: use them all."),
     Mistake(lambda accuracy: (np.sqrt(accuracy.var(axis=1).mean()), np.sqrt(accuracy.var(axis=0).mean())), "numpy "
             "divides by n unless told otherwise. With three seeds that makes the spread a fifth too small: ddof=1."),
     Mistake(lambda accuracy: (accuracy.std(axis=1, ddof=1).mean(), accuracy.std(axis=0, ddof=1).mean()), "Nearly: "
             "take the mean of the variances and the root of that. The mean of the standard deviations themselves "
             "comes out too small.")))
