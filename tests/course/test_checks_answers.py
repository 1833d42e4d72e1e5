"""The exercises of notebooks 1 to 6 and 9: answers as learners write them, right and wrong, in other words than the
checks' own. Loops, autograd, drawn numbers and the course's packages say what is right."""


import every_check as checks
import numpy as np
import pytest
import torch
from every_check import judged
from sklearn.metrics import roc_curve
from torch.nn import functional

from fer_course.checks import notebook_04
from fer_course.checks.small_network import SmallNetwork
from fer_utils import datasets, evaluation, paper
from fer_utils.center_loss import CenterLoss
from fer_utils.emotions import EMOTIONS
from fer_utils.training.recipe import get_recipe
from fer_utils.training.setup import Parts, choose_device, make_accelerator
from fer_utils.training.steps import training_step

# Notebook 1


def test_strangers_are_those_of_the_data_set():
    clean, noisy = (datasets.load_dataset("synthetic", label_noise=share) for share in (0.0, 0.4))
    named_fear = noisy.labels == EMOTIONS.index("fear")
    counted = 100 * (clean.labels[named_fear] != EMOTIONS.index("fear")).mean()
    judged(checks.strangers, [counted, 83, np.float32(82.6)], [
        (0.83, "give percent"), (66, "answer for 0.2"), (17.4, "the strangers are the rest"), ("many", "2,931")])


# Notebook 2


def test_lazy_program_is_what_the_scores_say():
    labels = np.repeat(np.arange(7), paper.TRAIN_COUNTS["fer2013"])
    scores = evaluation.scores(labels, np.full(len(labels), EMOTIONS.index("happiness")))
    recall = np.mean(list(scores["recall"].values()))
    judged(checks.lazy_program, [(scores["accuracy"], scores["macro_f1"]), [0.25, 0.06]], [
        ((scores["accuracy"], scores["weighted_f1"]), "weighted F1"), ((scores["accuracy"], recall), "mean *recall*"),
        ((25.1, 5.7), "not percent"), ((0.143, 0.1), "One in seven"), ((0.389, 0.08), "drawn faces"),
        (0.25, "A pair"), ((0.25, None), "A pair")])


def test_probabilities_are_those_of_predict():
    def only_no_grad(network, batch):
        with torch.no_grad():
            return functional.softmax(network(batch)[1], dim=1)

    def alone_in_training_mode(network, batch):
        return np.concatenate([only_no_grad(network, image[None]).numpy() for image in batch])

    judged(checks.probabilities, [], [(only_no_grad, "training mode"), (alone_in_training_mode, "training mode")])
    judged(checks.features_of, [lambda network, images: network.eval()(images)[0].detach().numpy()], [
        (lambda network, images: network(images)[0].detach(), "still in training mode"),
        (lambda network, images: (network(images), network.eval()(images)[0])[1], "before eval()")])
    images = np.random.default_rng(1).integers(256, size=(6, 8, 8, 3), dtype=np.uint8)
    wanted = evaluation.predict(SmallNetwork(), images, size=8, mean=(0.0,) * 3, std=(1.0,) * 3)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    for check, right in zip((checks.features_of, checks.probabilities), wanted, strict=True):
        np.testing.assert_allclose(check.reference(SmallNetwork(), batch).detach(), right, atol=1e-6)


# Notebook 3


@pytest.mark.filterwarnings("ignore::UserWarning")  # CenterLoss warns above 2, which is what is tried
def test_alpha_limits_are_those_of_center_loss():
    def left(alpha, steps=40):
        """What so many steps on one batch leave of a centre's distance to its members' mean."""
        loss, batch = CenterLoss(1, 2, alpha=alpha).double(), torch.tensor(np.random.default_rng(0).normal(size=(3, 2)))
        start = loss.centers[0] - batch.mean(0)
        for _ in range(steps):
            loss.update_centers(batch, torch.zeros(3, dtype=torch.int64))
        return (torch.linalg.norm(loss.centers[0] - batch.mean(0)) / torch.linalg.norm(start)).item()

    limit, one_step = checks.alpha_limits.right
    assert left(limit - 0.05) < 1 < left(limit + 0.05) and left(one_step, 1) < 1e-12
    judged(checks.alpha_limits, [(2.67, 1.33), [8 / 3, 4 / 3]], [((1, 5), "the larger one"), (2.67, "A pair")])


def test_eq1():
    def looped_sum(x, c, y):
        total = 0.0
        for features, label in zip(x, y):
            for a, b in zip(features, c[label]):
                total += (a - b) ** 2 / 2
        return total

    def torch_sum(x, c, y, reduction="sum"):
        x, c, y = map(torch.from_numpy, (x, c, y))
        return functional.mse_loss(x, c[y], reduction=reduction) / 2

    judged(checks.eq1, [looped_sum, torch_sum], [
        (lambda x, c, y: 2 * looped_sum(x, c, y), "one half"),
        (lambda x, c, y: looped_sum(x, c, y) / len(x), "Eq. 1 is a sum"),
        (lambda x, c, y: torch_sum(x, c, y, "mean"), "2048 times too weak"),
        (lambda x, c, y: torch.cdist(torch.tensor(x), torch.tensor(c)).square().sum() / 2, "*every* centre")])


def test_eq2_update():
    def class_by_class(x, c, y, alpha, lam, sign=-1, one=1):
        moved = np.array(c)
        for j in range(len(c)):
            members = [features for features, label in zip(x, y) if label == j]
            if members:
                delta = sum(c[j] - features for features in members) / (one + len(members))
                moved[j] = c[j] + sign * alpha * delta
        return moved

    def left_to_autograd(x, c, y, alpha, lam):
        centers = torch.tensor(c, requires_grad=True)
        (0.5 * (torch.tensor(x) - centers[torch.tensor(y)]).square().sum()).backward()
        return (centers - alpha * centers.grad).detach()

    judged(checks.eq2_update, [class_by_class], [
        (lambda *case: class_by_class(*case, sign=+1), "move away"),
        (lambda *case: class_by_class(*case, one=0), "divides by n"), (left_to_autograd, "does not divide"),
        (lambda x, c, y, alpha, lam: left_to_autograd(x, c, y, alpha / len(y), lam), "size of the batch"),
        (lambda x, c, y, alpha, lam: class_by_class(x, c, y, lam, alpha), "λ in α's place")])


def test_same_strength_measured():
    def measured(lam, batch, half, summed):
        """How many times ours their loss is, on a batch of that size."""
        x = torch.randn(batch, 3, generator=torch.Generator().manual_seed(0)).double()
        y, loss = torch.arange(batch) % 7, CenterLoss(7, 3).double()
        each = (x - loss.centers[y]).square().sum(1) * (0.5 if half else 1.0)
        theirs = each.sum() if summed else each.mean()
        return lam * (theirs / loss(x, y)).item()

    judged(checks.same_strength, [measured], [
        (lambda lam, batch, half, summed: lam ** 2 / measured(lam, batch, half, summed), "Both the wrong way round"),
        (lambda lam, batch, half, summed: measured(lam, batch, True, summed), "The half is missing"),
        (lambda lam, batch, half, summed: measured(lam, batch, half, False), "The sum is missing")])


def test_centers_move():
    def not_a_copy(training):
        before = training.centers
        training.step()
        return bool((before != training.centers).any())

    def by_loss(training):
        before = training.loss(training.network(training.inputs), training.y).item()
        training.step()
        return training.loss(training.network(training.inputs), training.y).item() < before

    judged(checks.centers_move, [], [
        (not_a_copy, "keep a *copy*"), (by_loss, "the network"),
        (lambda training: "centers" in dict(training.loss.named_parameters()), "asks for a gradient")])


# Notebook 4


def test_balance_is_what_center_loss_gives():
    face, center = torch.full((1, 2048), 0.5), torch.zeros(1, dtype=torch.int64)
    uniform = functional.cross_entropy(torch.zeros(1, 7), center)
    assert checks.balance.right == pytest.approx((0.2 * CenterLoss(1, 2048)(face, center) / uniform).item(), rel=1e-5)
    judged(checks.balance, [26, 26.3], [("many", "½·‖x − c‖²")])


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


def test_train_step_names_two_faults_at_once():
    def forgetful(network, center_loss, optimizer, images, labels, lam):
        features, logits = network(images)
        (functional.cross_entropy(logits, labels) + lam * center_loss(features, labels)).backward()
        optimizer.step()

    said = checks.train_step(forgetful).message
    assert said.startswith("Two things.") and "zero_grad() is missing" in said and "update_centers(" in said


# Notebook 5


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
        ({"α under Adam": 19}, "its own size"), ({"λ under Eq. 2": 10}, "no λ"),
        ({"α under SGD": 1}, "rate times gradient"), ({"α under Eq. 2": 1.9}, "as α does"),
        ({"α under SGD": None}, "factor for each")]])


# Notebook 6


def test_reading():
    judged(checks.reading, [], [({**checks.reading.right, **change}, told) for change, told in [
        ({"moved": True}, "PCA of its own"), ({"overlap": True}, "28 %"), ({"hidden": False}, "Explained variance"),
        ({"tighter": True, "moved": True}, "intra/inter"), ({"hidden": None}, "True or False")]])


def test_project_minds_no_sign():
    def by_svd(train, test, k):
        axes = -np.linalg.svd(train - train.mean(0), full_matrices=False)[2][:k]
        return (test - train.mean(0)) @ axes.T

    judged(checks.project, [by_svd], [
        (lambda train, test, k: by_svd(test, test, k), "fitted to the test features"),
        (lambda train, test, k: by_svd(np.vstack([test, train]), test, k), "both parts")])


# Notebook 9


def test_repulsion():
    def by_matrix(centers):
        unit = torch.nn.functional.normalize(torch.tensor(centers), dim=1)
        return (1 + unit @ unit.T).fill_diagonal_(0).sum()

    judged(checks.repulsion, [by_matrix, lambda centers: float(by_matrix(centers))], [
        (lambda centers: by_matrix(centers) / 2, "*ordered* pairs"),
        (lambda centers: by_matrix(centers) + 2 * len(centers), "with itself"),
        (lambda centers: by_matrix(centers) - len(centers) * (len(centers) - 1), "The 1 is missing")])


def test_choose_strength():
    judged(checks.choose_strength, [lambda strengths, validation, test: max(zip(validation, strengths))[1]], [
        (lambda strengths, validation, test: max(zip(test, strengths))[1], "Chosen on the test set"),
        (lambda strengths, validation, test: validation.index(max(validation)), "the place in the list"),
        (lambda strengths, validation, test: strengths[0], "is right")])


def test_eer_is_the_error_at_the_median_and_on_the_roc_curve():
    def at_the_median(same, distances):
        """With as many pairs of either kind, half of all are accepted where both errors are equal."""
        return ((distances < np.median(distances)) != same).mean()

    def on_the_curve(same, distances):
        wrong, right, _ = roc_curve(same, -distances, drop_intermediate=False)
        return wrong[np.abs(wrong - (1 - right)).argmin()]

    judged(checks.eer, [at_the_median, on_the_curve], [
        (lambda same, distances: 1 - at_the_median(same, distances), "wrong way round"),
        (lambda same, distances: 2 * at_the_median(same, distances), "sum of both"),
        (lambda same, distances: 1 - max(((distances < t) == same).mean() for t in distances), "smallest error")])


def test_adjusted():
    def by_hand(logits, labels, counts):
        moved = logits.double() + counts.double().log()  # counts or shares: softmax takes no notice of a constant
        return np.mean([float(torch.logsumexp(row, 0) - row[label]) for row, label in zip(moved, labels)])

    judged(checks.adjusted, [by_hand], [
        (lambda logits, labels, counts: by_hand(logits, labels, 1 / counts), "a lead in training"),
        (lambda logits, labels, counts: by_hand(logits, labels, 1 + 0 * counts), "usual cross-entropy"),
        (lambda logits, labels, counts: by_hand(logits, labels, (counts / counts.sum()).exp()), "Add their logarithm"),
        (lambda logits, labels, counts: functional.cross_entropy(logits, labels, 1000 / counts), "a class weight"),
        (lambda logits, labels, counts: len(labels) * by_hand(logits, labels, counts), "sum over the batch")])
