"""The exercises of notebooks 4 to 7: answers as learners write them, in other words than those that the checks know."""

import math

import every_check as checks
import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid
from torch.nn import functional

from fer_course.checks import notebook_04, notebook_06
from fer_utils import evaluation, paper, statistics
from fer_utils.center_loss import CenterLoss
from fer_utils.training.loop import training_step
from fer_utils.training.recipe import get_recipe
from fer_utils.training.setup import Parts, choose_device, make_accelerator


def told(check, answer, state, words):
    verdict = check(answer)
    assert verdict.state == state and words in verdict.message, verdict


# Notebook 4


@pytest.mark.parametrize("answer, words", [
    (131.6, "λ = 0.2 is missing"), (53, "factor ½"), (0.013, "one feature"), (0.038, "other way round"),
    (51.2, "λ·L_C alone"), (0.2, "λ itself"), (7, "½·‖x − c‖²"), ("many", "½·‖x − c‖²")])
def test_balance_wrong(answer, words):
    told(checks.balance, answer, "wrong", words)


def test_balance_is_what_center_loss_gives():
    face, center = torch.full((1, 2048), 0.5), torch.zeros(1, dtype=torch.int64)
    uniform = functional.cross_entropy(torch.zeros(1, 7), center)
    assert checks.balance.right == pytest.approx((0.2 * CenterLoss(1, 2048)(face, center) / uniform).item(), rel=1e-5)
    assert checks.balance(26) and checks.balance(26.3)


@pytest.mark.parametrize("answer, words", [("A", "no success"), ("C", "powers of ten"), ("D", "told from each other"),
                                           ("b", "four letters"), (2, "four letters")])
def test_read_log_wrong(answer, words):
    told(checks.read_log, answer, "wrong", words)


def test_validate_right_in_another_style():
    @torch.no_grad()
    def mine(network, center_loss, images, labels):
        network.train(False)
        deep, logits = network(images)
        chosen = logits.log_softmax(1)[torch.arange(len(labels)), labels]
        distances = (deep - center_loss.centers[labels]).pow(2).sum(1)
        network.train(True)  # ready for the next epoch
        return [-chosen.mean().item(), distances.mean().item() / 2]

    told(checks.validate, mine, "right", "nothing was moved")


def test_validate_wrong():
    def trains(network, center_loss, images, labels):
        deep, logits = network(images)
        return functional.nll_loss(logits.log_softmax(1), labels), center_loss(deep, labels)

    def moves(network, center_loss, images, labels):
        network.eval()
        deep, logits = network(images)
        losses = functional.cross_entropy(logits, labels), center_loss(deep, labels)
        center_loss.update_centers_from(*center_loss.class_statistics(deep, labels))
        return losses

    def probabilities(network, center_loss, images, labels):
        network.eval()
        deep, logits = network(images)
        return functional.cross_entropy(functional.softmax(logits, dim=-1), labels), center_loss(deep, labels)

    def one(network, center_loss, images, labels):
        network.eval()
        deep, logits = network(images)
        return functional.cross_entropy(logits, labels) + center_loss(deep, labels)

    def other(network, center_loss, images, labels):
        network.eval()
        deep, logits = network(images)
        return functional.cross_entropy(logits, labels), 2 * center_loss(deep, labels)

    told(checks.validate, trains, "wrong", "network.eval()")
    told(checks.validate, moves, "wrong", "training loop alone")
    told(checks.validate, probabilities, "wrong", "done twice")
    told(checks.validate, one, "wrong", "not their sum")
    told(checks.validate, other, "wrong", "centre loss: it gives")


def step(network, center_loss, optimizer, images, labels, lam, *, centers=None, losses="both", zero=True):
    """A step whose parts a test leaves out: centers "before" or "again" for when they move."""
    deep, logits = network(images)
    if centers == "before":
        center_loss.update_centers(deep.detach(), labels)
    center = center_loss(deep if losses != "detached" else deep.detach(), labels)
    (functional.cross_entropy(logits, labels) + (center if losses == "plain" else lam * center)).backward()
    if centers == "between":
        center_loss.update_centers(deep, labels)
    optimizer.step()
    if zero:
        optimizer.zero_grad()
    if centers == "after":
        center_loss.update_centers(deep, labels)
    if centers == "again":
        center_loss.update_centers(network(images)[0], labels)
    return np.array([center.item(), 0.0])  # what it returns plays no part


@pytest.mark.parametrize("options, state, words", [
    ({"centers": "after"}, "right", "Eq. 2"), ({"centers": "between"}, "right", "Eq. 2"),
    ({"centers": "before"}, "wrong", "before the loss was computed"), ({}, "wrong", "update_centers(features, labels)"),
    ({"centers": "again"}, "wrong", "computed anew"), ({"centers": "after", "zero": False}, "wrong", "zero_grad"),
    ({"centers": "after", "losses": "plain"}, "wrong", "weight 1"),
    ({"centers": "after", "losses": "detached"}, "wrong", "detached"),
    ({"centers": "before", "losses": "plain"}, "wrong", "weights after three steps")])
def test_train_step(options, state, words):
    told(checks.train_step, lambda *given: step(*given, **options), state, words)


def test_train_step_that_only_looks_is_not_attempted():
    def looks(network, center_loss, optimizer, images, labels, lam):
        network.eval()(images)

    assert checks.train_step(looks).state == "open"


def test_train_step_is_what_the_courses_loop_does():
    recipe = get_recipe("quick", batch_size=8, lam=0.2, precision="fp32")
    accelerator = make_accelerator(choose_device("cpu"), recipe)
    outcomes, seen = [], [notebook_04.batches(np.random.default_rng(seed))[0] for seed in range(3)]
    for mine in (False, True):
        network, center_loss = notebook_04.small_parts()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        model, prepared = accelerator.prepare(network, optimizer)
        constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
        for images, labels in seen:
            if mine:
                checks.train_step.reference(network, center_loss, optimizer, images, labels, 0.2)
            else:
                training_step([(images, labels)], recipe, accelerator,
                              Parts(network, model, center_loss, prepared, constant))
        outcomes.append((network.weights, center_loss.centers))
    torch.testing.assert_close(*outcomes)


# Notebook 5


@pytest.mark.parametrize("answer, words", [(63.1, "best of eleven"), (60.4, "honest"), (62.1, "one draw in six"),
                                           (65.8, "twice as far"), (80, "quarter of a point")])
def test_best_of_wrong(answer, words):
    told(checks.best_of, answer, "wrong", words)


def test_best_of_is_what_drawing_gives():
    values = paper.FIG_4["fer2013"]
    mean, sd = round(np.mean(values), 1), round(np.std(values, ddof=1), 1)
    drawn = np.random.default_rng(0).normal(mean, sd, (40_000, 22)).max(axis=1).mean()
    assert checks.best_of(drawn) and checks.best_of(63.5)


def test_knobs_are_what_center_loss_does():
    def moved(update, alpha):
        loss = CenterLoss(3, 4, alpha=alpha, update=update).double()
        start = loss.centers.detach().clone()
        loss.update_centers(torch.rand(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1,
                            torch.arange(9) % 3)
        return torch.linalg.norm(loss.centers.detach() - start).item()

    rules = {"α under Eq. 2": "eq2", "α under SGD": "sgd", "α under Adam": "adam"}
    assert checks.knobs({**{name: moved(rule, 1.9) / moved(rule, 0.1) for name, rule in rules.items()},
                         "λ under Eq. 2": 1.0})


@pytest.mark.parametrize("change, words", [
    ({"α under Adam": 19}, "its own size"), ({"α under Adam": 1.9}, "its own size"), ({"λ under Eq. 2": 10}, "no λ"),
    ({"α under SGD": 1}, "rate times gradient"), ({"α under Eq. 2": 1.9}, "as α does"),
    ({"α under Adam": 19, "λ under Eq. 2": 10}, "Two things"), ({"α under SGD": None}, "factor for each")])
def test_knobs_wrong(change, words):
    told(checks.knobs, {**checks.knobs.right, **change}, "wrong", words)


def test_count_runs():
    def listed(lams, alphas, seeds, softmax=lambda seeds, alphas: [(0, None, seed) for seed in seeds]):
        return len({*softmax(seeds, alphas), *((lam, alpha, seed) for lam in lams for alpha in alphas
                                               for seed in seeds)})

    def with_softmax(made):
        return lambda lams, alphas, seeds: listed(lams, alphas, seeds, made)

    assert checks.count_runs(listed)
    told(checks.count_runs, with_softmax(lambda seeds, alphas: [(0, a, seed) for a in alphas for seed in seeds]),
         "wrong", "once for every α")
    told(checks.count_runs, with_softmax(lambda seeds, alphas: [(0, None, 0)]), "wrong", "each seed needs one")
    told(checks.count_runs, with_softmax(lambda seeds, alphas: []), "wrong", "softmax runs are missing")
    told(checks.count_runs, lambda lams, alphas, seeds: listed(lams, alphas, seeds[:1]), "wrong", "One seed only")


def test_choose():
    def by_hand(alphas, validation, test, look=None, row=None, tell=np.mean):
        look = validation if look is None else look
        scores = {alpha: np.mean(look[:row, column]) for column, alpha in enumerate(alphas)}
        best = max(scores, key=scores.get)
        return best, tell(test[:row, list(alphas).index(best)])

    assert checks.choose(by_hand)
    told(checks.choose, lambda a, v, t: by_hand(a, v, t, look=t), "wrong", "chosen on the test set")
    told(checks.choose, lambda a, v, t: by_hand(a, v, t, row=1), "wrong", "Only the first seed")
    told(checks.choose, lambda a, v, t: by_hand(a, v, v), "wrong", "validation one")
    told(checks.choose, lambda a, v, t: by_hand(a, v, t, tell=np.max), "wrong", "luckiest seed")
    told(checks.choose, lambda a, v, t: (a[np.unravel_index(np.argmax(t), t.shape)[1]], np.amax(t)), "wrong",
         "single best run")
    told(checks.choose, lambda a, v, t: (np.mean([a[np.argmax(row)] for row in v]),
                                         np.mean([y[np.argmax(x)] for x, y in zip(v, t)])), "wrong", "of its own")


def test_spreads():
    def by_hand(accuracy, ddof=1):
        return tuple(math.sqrt(np.mean([np.var(line, ddof=ddof) for line in table]))
                     for table in (accuracy, accuracy.T))

    assert checks.spreads(by_hand)
    told(checks.spreads, lambda accuracy: by_hand(accuracy.T), "wrong", "other way round")
    told(checks.spreads, lambda accuracy: by_hand(accuracy, 0), "wrong", "ddof=1")
    told(checks.spreads, lambda accuracy: 2 * (np.std(accuracy.flatten(), ddof=1),), "wrong", "mixes")
    told(checks.spreads, lambda accuracy: [np.std(line, ddof=1) for line in (accuracy[0], accuracy.T[0])], "wrong",
         "one row")
    told(checks.spreads, lambda accuracy: (np.mean(accuracy, 0).std(ddof=1), np.mean(accuracy, 1).std(ddof=1)), "wrong",
         "mean first")


# Notebook 6


@pytest.mark.parametrize("change, words", [
    ({"moved": True}, "PCA of its own"), ({"overlap": True}, "28 %"), ({"hidden": False}, "Explained variance"),
    ({"tighter": True}, "intra/inter"), ({"tighter": True, "moved": True, "overlap": True}, "Only one of the four"),
    ({"hidden": None}, "True or False")])
def test_reading_wrong(change, words):
    told(checks.reading, {**checks.reading.right, **change}, "wrong", words)


def test_explained():
    def by_covariance(features, k, root=1.0, center=True):
        matrix = np.cov(features.T) if center else features.T @ features
        values = np.linalg.eigvalsh(matrix)[::-1].clip(0) ** root
        return values[:k].sum() / values.sum()

    assert checks.explained(by_covariance)
    told(checks.explained, lambda features, k: by_covariance(features, k, 0.5), "wrong", "square the singular values")
    told(checks.explained, lambda features, k: by_covariance(features, k, center=False), "wrong", "mean is still in")
    told(checks.explained, lambda features, k: (ratio := PCA(k).fit(features).explained_variance_ratio_).sum()
         / ratio.sum(), "wrong", "explain all of themselves")
    told(checks.explained, lambda features, k: 100 * by_covariance(features, k), "wrong", "in percent")
    told(checks.explained, lambda features, k: PCA(k).fit(features).explained_variance_ratio_[-1], "wrong", "alone")


def test_project():
    def by_svd(train, test, k, mean=None):
        mean = train.mean(0) if mean is None else mean
        axes = -np.linalg.svd(train - train.mean(0), full_matrices=False)[2][:k]  # the other sign
        return (test - mean) @ axes.T

    assert checks.project(by_svd)
    told(checks.project, lambda train, test, k: by_svd(test, test, k), "wrong", "fitted to the test features")
    told(checks.project, lambda train, test, k: by_svd(train, test, k, test.mean(0)), "wrong", "own mean")
    told(checks.project, lambda train, test, k: by_svd(train, test, k, 0 * test[0]), "wrong", "no mean was subtracted")
    told(checks.project, lambda train, test, k: by_svd(np.vstack([test, train]), test, k), "wrong", "both parts")
    told(checks.project, lambda train, test, k: by_svd(train, train, k), "wrong", "training features")
    told(checks.project, lambda train, test, k: by_svd(train, test, k)[0], "wrong", "shape is")


def test_features_of():
    def one_by_one(network, images):
        network.eval()
        return np.concatenate([network(image[None])[0].detach().numpy() for image in images])

    def no_grad_alone(network, images):
        with torch.inference_mode():
            features, _ = network(images)
        network.eval()
        return features.numpy()

    def warmed_up(network, images):
        with torch.no_grad():
            network(images)
            return network.eval()(images)[0]

    def logits(network, images):
        _, logits = network.eval()(images)
        return logits

    assert checks.features_of(one_by_one)
    told(checks.features_of, no_grad_alone, "wrong", "still in training mode")
    told(checks.features_of, warmed_up, "wrong", "before eval()")
    told(checks.features_of, logits, "wrong", "logits")
    told(checks.features_of, lambda network, images: network.train(False)(images), "wrong", "two things")


def test_features_of_is_what_predict_gives():
    images = np.random.default_rng(1).integers(256, size=(6, 8, 8, 3), dtype=np.uint8)
    features, _ = evaluation.predict(notebook_06.seeing(), images, size=8, mean=(0.0,) * 3, std=(1.0,) * 3)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    np.testing.assert_allclose(checks.features_of.reference(notebook_06.seeing(), batch), features, atol=1e-6)


def test_plane_accuracy():
    def judged(train, train_labels, test, test_labels, means=None):
        plane = LinearDiscriminantAnalysis(n_components=2).fit(train, train_labels)
        known, labels = means or (train, train_labels)
        return NearestCentroid().fit(plane.transform(known), labels).score(plane.transform(test), test_labels)

    assert checks.plane_accuracy(judged)
    told(checks.plane_accuracy, lambda a, b, c, d: judged(a, b, a, b), "wrong", "Judged on the points")
    told(checks.plane_accuracy, lambda a, b, c, d: judged(c, d, c, d), "wrong", "nothing is left")
    told(checks.plane_accuracy, lambda a, b, c, d: judged(a, b, c, d, (c, d)), "wrong", "know the answers")
    told(checks.plane_accuracy, lambda a, b, c, d: judged(np.vstack([c, a]), np.hstack([d, b]), c, d, (a, b)), "wrong",
         "seen the test labels")


# Notebook 7


@pytest.mark.parametrize("answer, words", [("PublicTest", "both sizes"), ("PrivateTest", "third possibility"),
                                           ("both", "fits as well"), ("neither", "four texts")])
def test_which_test_set_wrong(answer, words):
    told(checks.which_test_set, answer, "wrong", words)


def test_which_test_set_is_what_counting_gives():
    assert [statistics.possible_counts(0.7144, size, decimals=4) for size in (3589, 7178)] == [[2564], [5128]]


def test_two_seeds_is_what_paired_difference_gives():
    def width(n):  # of values whose sd is 1
        values = np.zeros(n)
        values[:2] = np.array([1, -1]) * math.sqrt((n - 1) / 2)
        known = statistics.paired_difference(values, np.zeros(n))
        assert known.sd == pytest.approx(1)
        return known.high - known.low

    assert checks.two_seeds.right == pytest.approx(width(2) / width(5))
    assert checks.two_seeds(7) and checks.two_seeds(7.5)


@pytest.mark.parametrize("answer, words", [(1.6, "as if the scatter were known"), (2.5, "1/√n"),
                                           (4.6, "quantile's part"), (1, "less sure"), (30, "which two")])
def test_two_seeds_wrong(answer, words):
    told(checks.two_seeds, answer, "wrong", words)


def test_same_images():
    def table(labels, first, second):
        return stats.contingency.crosstab(first == labels, second == labels, levels=([False, True],) * 2).count

    def exact(labels, first, second):
        (_, b), (c, _) = table(labels, first, second)
        return min(1.0, 2 * stats.binom.cdf(min(b, c), b + c, 0.5))

    def chi2(labels, first, second):
        (_, b), (c, _) = table(labels, first, second)
        return stats.chi2.sf((b - c)**2 / (b + c), 1)

    def pooled(labels, first, second):
        right = np.array([(first == labels).sum(), (second == labels).sum()])
        return stats.chi2_contingency([right, len(labels) - right], correction=False).pvalue

    def all_that_differ(labels, first, second):
        differ = first != second
        return stats.binomtest(int((first == labels)[differ].sum()), int(differ.sum())).pvalue

    assert checks.same_images(exact)
    told(checks.same_images, pooled, "wrong", "different images")
    told(checks.same_images, chi2, "wrong", "χ² approximation")
    told(checks.same_images, all_that_differ, "wrong", "both are wrong")
    told(checks.same_images, lambda *given: exact(*given) / 2, "wrong", "One-sided")
    told(checks.same_images, lambda labels, first, second: 1.0, "wrong", "is right")


def test_interval():
    def ends(mean, half):
        return mean, mean - half, mean + half

    def by_scipy(center, softmax):
        known = stats.ttest_rel(center, softmax).confidence_interval(0.95)
        return np.mean(center) - np.mean(softmax), *known

    def sem(center, softmax):
        return stats.sem(center - softmax)

    assert checks.interval(by_scipy)
    told(checks.interval, lambda c, s: (c.mean() - s.mean(), *stats.ttest_ind(c, s).confidence_interval()), "wrong",
         "seed 0 belongs")
    told(checks.interval, lambda c, s: (c.mean() - s.mean(), *stats.ttest_ind(c, s, equal_var=False)
                                        .confidence_interval()), "wrong", "Welch")
    told(checks.interval, lambda c, s: ends(np.mean(c - s), 1.96 * sem(c, s)), "wrong", "Student")
    told(checks.interval, lambda c, s: ends(np.mean(c - s), np.std(c - s, ddof=1)), "wrong", "single pairs")
    told(checks.interval, lambda c, s: by_scipy(s, c), "wrong", "sign is turned")
    told(checks.interval, lambda c, s: ends(np.max(c) - np.max(s), sem(c, s)), "wrong", "is right")


def test_judge():
    def by_scipy(differences, low, high, across="undecided"):
        ends = stats.t.interval(0.95, len(differences) - 1, np.mean(differences), stats.sem(differences))
        inside = [low <= end <= high for end in ends]
        beside = ends[1] < low or ends[0] > high
        return "held" if all(inside) else "did not hold" if beside else across

    def significant(differences, low, high):
        return "held" if stats.ttest_1samp(differences, 0).pvalue < 0.05 else "did not hold"

    def by_count(differences, low, high):
        share = np.mean([low <= difference <= high for difference in differences])
        return {0.0: "did not hold", 1.0: "held"}.get(share, "undecided")

    assert checks.judge(by_scipy)
    told(checks.judge, lambda *given: by_scipy(*given, across="did not hold"), "wrong", "not refuted")
    told(checks.judge, significant, "wrong", "whether the difference is zero")
    told(checks.judge, by_count, "wrong", "single pairs")
    told(checks.judge, lambda d, low, high: "held" if low <= sum(d) / len(d) <= high else "did not hold", "wrong",
         "mean alone")


# What every check of a function that moves something does


def test_a_part_that_differs_is_named():
    check = checks.FunctionCheck(lambda x: (x, 2 * x), lambda chance: [(3.0,)], "Yes.",
                                 trial=lambda function, x: dict(zip(("the first", "the second"), function(x))))
    assert check(lambda x: (x, x + x))
    assert check(lambda x: (x, x)).message == "For 3, the second: it gives 3, and 6 is right."
    assert check(lambda x: (x, None)).message.startswith("For 3, the second: it returns nothing")


def test_tensors_with_a_gradient_in_a_tuple_do_not_stop_a_check():
    leaf = torch.ones(2, requires_grad=True)
    check = checks.FunctionCheck(lambda x: x, lambda chance: [(np.ones(2),)], "Yes.")
    assert check(lambda x: (leaf, 2 * leaf)).state == "wrong"
