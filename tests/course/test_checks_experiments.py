"""The exercises of notebooks 4 to 7: answers as learners write them, in other words than those that the checks know."""

import math

import every_check as checks
import numpy as np
import pytest
import torch
from every_check import judged
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid
from torch.nn import functional

from fer_course.checks import notebook_04
from fer_course.checks.small_network import SmallNetwork
from fer_utils import evaluation, paper, statistics
from fer_utils.center_loss import CenterLoss
from fer_utils.training.loop import training_step
from fer_utils.training.recipe import get_recipe
from fer_utils.training.setup import Parts, choose_device, make_accelerator

# Notebook 4


def test_balance_is_what_center_loss_gives():
    face, center = torch.full((1, 2048), 0.5), torch.zeros(1, dtype=torch.int64)
    uniform = functional.cross_entropy(torch.zeros(1, 7), center)
    assert checks.balance.right == pytest.approx((0.2 * CenterLoss(1, 2048)(face, center) / uniform).item(), rel=1e-5)
    judged(checks.balance, [26, 26.3], [
        (131.6, "λ = 0.2 is missing"), (53, "factor ½"), (0.013, "one feature"), (0.038, "other way round"),
        (51.2, "λ·L_C alone"), (0.2, "λ itself"), (7, "½·‖x − c‖²"), ("many", "½·‖x − c‖²")])


def test_read_log():
    judged(checks.read_log, [], [("A", "no success"), ("C", "powers of ten"), ("D", "told from each other"),
                                 ("b", "four letters"), (2, "four letters")])


def test_validate():
    @torch.no_grad()
    def in_another_style(network, center_loss, images, labels):
        network.train(False)
        deep, logits = network(images)
        chosen = logits.log_softmax(1)[torch.arange(len(labels)), labels]
        distances = (deep - center_loss.centers[labels]).pow(2).sum(1)
        network.train(True)  # ready for the next epoch
        return [-chosen.mean().item(), distances.mean().item() / 2]

    def losses(network, center_loss, images, labels, then=lambda *losses: losses, move=False, chances=False):
        deep, logits = network(images)
        logits = functional.softmax(logits, dim=-1) if chances else logits
        found = functional.cross_entropy(logits, labels), center_loss(deep, labels)
        if move:
            center_loss.update_centers_from(*center_loss.class_statistics(deep, labels))
        return then(*found)

    def frozen(**options):
        return lambda network, *rest: losses(network.eval(), *rest, **options)

    judged(checks.validate, [in_another_style, frozen()], [
        (losses, "network.eval()"), (frozen(move=True), "training loop alone"), (frozen(chances=True), "done twice"),
        (frozen(then=lambda one, other: one + other), "not their sum"),
        (frozen(then=lambda one, other: (one, 2 * other)), "centre loss: it gives")])


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


def test_train_step():
    def taken(**options):
        return lambda *given: step(*given, **options)

    def looks(network, center_loss, optimizer, images, labels, lam):
        network.eval()(images)

    judged(checks.train_step, [taken(centers="after"), taken(centers="between")], [
        (taken(centers="before"), "before the loss was computed"), (taken(), "update_centers(features, labels)"),
        (taken(centers="again"), "computed anew"), (taken(centers="after", zero=False), "zero_grad"),
        (taken(centers="after", losses="plain"), "weight 1"), (taken(centers="after", losses="detached"), "detached"),
        (taken(centers="before", losses="plain"), "weights after three steps")])
    assert checks.train_step(looks).state == "open", "it only looks"


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


def test_best_of_is_what_drawing_gives():
    values = paper.FIG_4["fer2013"]
    mean, sd = round(np.mean(values), 1), round(np.std(values, ddof=1), 1)
    drawn = np.random.default_rng(0).normal(mean, sd, (40_000, 22)).max(axis=1).mean()
    judged(checks.best_of, [drawn, 63.5], [
        (63.1, "best of eleven"), (60.4, "honest"), (62.1, "one draw in six"), (65.8, "twice as far"),
        (80, "quarter of a point")])


def test_knobs_are_what_center_loss_does():
    def moved(update, alpha):
        loss = CenterLoss(3, 4, alpha=alpha, update=update).double()
        start = loss.centers.detach().clone()
        loss.update_centers(torch.rand(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1,
                            torch.arange(9) % 3)
        return torch.linalg.norm(loss.centers.detach() - start).item()

    rules = {"α under Eq. 2": "eq2", "α under SGD": "sgd", "α under Adam": "adam"}
    found = {name: moved(rule, 1.9) / moved(rule, 0.1) for name, rule in rules.items()}
    judged(checks.knobs, [{**found, "λ under Eq. 2": 1.0}], [
        ({**checks.knobs.right, **change}, told) for change, told in [
        ({"α under Adam": 19}, "its own size"), ({"α under Adam": 1.9}, "its own size"),
        ({"λ under Eq. 2": 10}, "no λ"),
        ({"α under SGD": 1}, "rate times gradient"), ({"α under Eq. 2": 1.9}, "as α does"),
        ({"α under Adam": 19, "λ under Eq. 2": 10}, "Two things"), ({"α under SGD": None}, "factor for each")]])


def test_count_runs():
    def listed(softmax=lambda seeds, alphas: [(0, None, seed) for seed in seeds]):
        return lambda lams, alphas, seeds: len({*softmax(seeds, alphas), *(
            (lam, alpha, seed) for lam in lams for alpha in alphas for seed in seeds)})

    judged(checks.count_runs, [listed()], [
        (listed(lambda seeds, alphas: [(0, a, seed) for a in alphas for seed in seeds]), "once for every α"),
        (listed(lambda seeds, alphas: [(0, None, 0)]), "each seed needs one"),
        (listed(lambda seeds, alphas: []), "softmax runs are missing"),
        (lambda lams, alphas, seeds: listed()(lams, alphas, seeds[:1]), "One seed only")])


def test_choose():
    def by_hand(alphas, validation, test, look=None, row=None, tell=np.mean):
        look = validation if look is None else look
        scores = {alpha: np.mean(look[:row, column]) for column, alpha in enumerate(alphas)}
        best = max(scores, key=scores.get)
        return best, tell(test[:row, list(alphas).index(best)])

    judged(checks.choose, [by_hand], [
        (lambda a, v, t: by_hand(a, v, t, look=t), "chosen on the test set"),
        (lambda a, v, t: by_hand(a, v, t, row=1), "Only the first seed"),
        (lambda a, v, t: by_hand(a, v, v), "validation one"),
        (lambda a, v, t: by_hand(a, v, t, tell=np.max), "luckiest seed"),
        (lambda a, v, t: (a[np.unravel_index(np.argmax(t), t.shape)[1]], np.amax(t)), "single best run"),
        (lambda a, v, t: (np.mean([a[np.argmax(row)] for row in v]),
                          np.mean([y[np.argmax(x)] for x, y in zip(v, t)])), "of its own")])


def test_spreads():
    def by_hand(accuracy, ddof=1):
        return tuple(math.sqrt(np.mean([np.var(line, ddof=ddof) for line in table]))
                     for table in (accuracy, accuracy.T))

    judged(checks.spreads, [by_hand], [
        (lambda accuracy: by_hand(accuracy.T), "other way round"), (lambda accuracy: by_hand(accuracy, 0), "ddof=1"),
        (lambda accuracy: 2 * (np.std(accuracy.flatten(), ddof=1),), "mixes"),
        (lambda accuracy: [np.std(line, ddof=1) for line in (accuracy[0], accuracy.T[0])], "one row"),
        (lambda accuracy: (np.mean(accuracy, 0).std(ddof=1), np.mean(accuracy, 1).std(ddof=1)), "mean first")])


# Notebook 6


def test_reading():
    judged(checks.reading, [], [({**checks.reading.right, **change}, told) for change, told in [
        ({"moved": True}, "PCA of its own"), ({"overlap": True}, "28 %"), ({"hidden": False}, "Explained variance"),
        ({"tighter": True}, "intra/inter"), ({"tighter": True, "moved": True, "overlap": True}, "Only one of the four"),
        ({"hidden": None}, "True or False")]])


def test_explained():
    def by_covariance(features, k, root=1.0, center=True):
        matrix = np.cov(features.T) if center else features.T @ features
        values = np.linalg.eigvalsh(matrix)[::-1].clip(0) ** root
        return values[:k].sum() / values.sum()

    judged(checks.explained, [by_covariance], [
        (lambda features, k: by_covariance(features, k, 0.5), "square the singular values"),
        (lambda features, k: by_covariance(features, k, center=False), "mean is still in"),
        (lambda features, k: (ratio := PCA(k).fit(features).explained_variance_ratio_).sum() / ratio.sum(),
         "explain all of themselves"),
        (lambda features, k: 100 * by_covariance(features, k), "in percent"),
        (lambda features, k: PCA(k).fit(features).explained_variance_ratio_[-1], "alone")])


def test_project():
    def by_svd(train, test, k, mean=None):
        mean = train.mean(0) if mean is None else mean
        axes = -np.linalg.svd(train - train.mean(0), full_matrices=False)[2][:k]  # the other sign
        return (test - mean) @ axes.T

    judged(checks.project, [by_svd], [
        (lambda train, test, k: by_svd(test, test, k), "fitted to the test features"),
        (lambda train, test, k: by_svd(train, test, k, test.mean(0)), "own mean"),
        (lambda train, test, k: by_svd(train, test, k, 0 * test[0]), "no mean was subtracted"),
        (lambda train, test, k: by_svd(np.vstack([test, train]), test, k), "both parts"),
        (lambda train, test, k: by_svd(train, train, k), "training features"),
        (lambda train, test, k: by_svd(train, test, k)[0], "shape is")])


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

    judged(checks.features_of, [one_by_one], [
        (no_grad_alone, "still in training mode"), (warmed_up, "before eval()"),
        (lambda network, images: network.eval()(images)[1], "logits"),
        (lambda network, images: network.train(False)(images), "two things")])


def test_features_of_is_what_predict_gives():
    images = np.random.default_rng(1).integers(256, size=(6, 8, 8, 3), dtype=np.uint8)
    features, _ = evaluation.predict(SmallNetwork(), images, size=8, mean=(0.0,) * 3, std=(1.0,) * 3)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    np.testing.assert_allclose(checks.features_of.reference(SmallNetwork(), batch), features, atol=1e-6)


def test_plane_accuracy():
    def by_scikit(train, train_labels, test, test_labels, means=None):
        plane = LinearDiscriminantAnalysis(n_components=2).fit(train, train_labels)
        known, labels = means or (train, train_labels)
        return NearestCentroid().fit(plane.transform(known), labels).score(plane.transform(test), test_labels)

    judged(checks.plane_accuracy, [by_scikit], [
        (lambda a, b, c, d: by_scikit(a, b, a, b), "Judged on the points"),
        (lambda a, b, c, d: by_scikit(c, d, c, d), "nothing is left"),
        (lambda a, b, c, d: by_scikit(a, b, c, d, (c, d)), "know the answers"),
        (lambda a, b, c, d: by_scikit(np.vstack([c, a]), np.hstack([d, b]), c, d, (a, b)), "seen the test labels")])


# Notebook 7


def test_which_test_set_is_what_counting_gives():
    assert [statistics.possible_counts(0.7144, size, decimals=4) for size in (3589, 7178)] == [[2564], [5128]]
    judged(checks.which_test_set, [], [("PublicTest", "both sizes"), ("PrivateTest", "third possibility"),
                                       ("both", "fits as well"), ("neither", "four texts")])


def test_two_seeds_is_what_paired_difference_gives():
    def width(n):  # of values whose sd is 1
        values = np.zeros(n)
        values[:2] = np.array([1, -1]) * math.sqrt((n - 1) / 2)
        known = statistics.paired_difference(values, np.zeros(n))
        assert known.sd == pytest.approx(1)
        return known.high - known.low

    assert checks.two_seeds.right == pytest.approx(width(2) / width(5))
    judged(checks.two_seeds, [7, 7.5], [
        (1.6, "as if the scatter were known"), (2.5, "1/√n"), (4.6, "quantile's part"), (1, "less sure"),
        (30, "which two")])


def test_same_images():
    def one_alone(labels, first, second):
        return sum((first == labels) & (second != labels)), sum((second == labels) & (first != labels))

    def exact(*given):
        return min(1.0, 2 * stats.binom.cdf(min(one_alone(*given)), sum(one_alone(*given)), 0.5))

    def chi2(*given):
        return stats.chi2.sf(np.subtract(*one_alone(*given))**2 / sum(one_alone(*given)), 1)

    def pooled(labels, first, second):
        right = np.array([(first == labels).sum(), (second == labels).sum()])
        return stats.chi2_contingency([right, len(labels) - right], correction=False).pvalue

    def all_that_differ(labels, first, second):
        differ = first != second
        return stats.binomtest(int((first == labels)[differ].sum()), int(differ.sum())).pvalue

    judged(checks.same_images, [exact], [
        (pooled, "different images"), (chi2, "χ² approximation"), (all_that_differ, "both are wrong"),
        (lambda *given: exact(*given) / 2, "One-sided"), (lambda labels, first, second: 1.0, "is right")])


def test_interval():
    def ends(mean, half):
        return mean, mean - half, mean + half

    def by_scipy(center, softmax, test=stats.ttest_rel, **options):
        return np.mean(center) - np.mean(softmax), *test(center, softmax, **options).confidence_interval(0.95)

    judged(checks.interval, [by_scipy], [
        (lambda c, s: by_scipy(c, s, stats.ttest_ind), "seed 0 belongs"),
        (lambda c, s: by_scipy(c, s, stats.ttest_ind, equal_var=False), "Welch"),
        (lambda c, s: ends(np.mean(c - s), 1.96 * stats.sem(c - s)), "Student"),
        (lambda c, s: ends(np.mean(c - s), np.std(c - s, ddof=1)), "single pairs"),
        (lambda c, s: by_scipy(s, c), "sign is turned"),
        (lambda c, s: ends(np.max(c) - np.max(s), stats.sem(c - s)), "is right")])


def test_judge():
    def by_scipy(differences, low, high, across="undecided"):
        ends = stats.t.interval(0.95, len(differences) - 1, np.mean(differences), stats.sem(differences))
        inside = [low <= end <= high for end in ends]
        beside = ends[1] < low or ends[0] > high
        return "held" if all(inside) else "did not hold" if beside else across

    def by_count(differences, low, high):
        share = np.mean([low <= difference <= high for difference in differences])
        return {0.0: "did not hold", 1.0: "held"}.get(share, "undecided")

    judged(checks.judge, [by_scipy], [
        (lambda *given: by_scipy(*given, across="did not hold"), "not refuted"),
        (lambda d, *band: "held" if stats.ttest_1samp(d, 0).pvalue < 0.05 else "did not hold", "difference is zero"),
        (by_count, "single pairs"),
        (lambda d, low, high: "held" if low <= sum(d) / len(d) <= high else "did not hold", "mean alone")])
