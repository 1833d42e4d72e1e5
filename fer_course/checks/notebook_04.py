"""Exercises of notebook 4: training with centre loss."""

import math
from functools import partial
from itertools import combinations

import numpy as np
import torch
from torch.nn import functional

from fer_utils.center_loss import CenterLoss
from fer_utils.statistics import paired_difference

from .small_network import SmallNetwork
from .verdict import FunctionCheck, Mistake, ValueCheck, is_untouched


def small_parts():
    """A network that is being trained, and its ``CenterLoss``; the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SmallNetwork(), CenterLoss(7, 5, alpha=0.5, init=torch.rand(7, 5))


def batches(rng):
    """Several (images (B, 3, 4, 4), labels (B,)) as float32 and int64 tensors."""
    return [(torch.tensor(rng.normal(1, 2, size=(n, 3, 4, 4)), dtype=torch.float32),
             torch.tensor(rng.integers(7, size=n))) for n in (8, 13, 30)]


balance = ValueCheck(
    0.2 * 0.5 * 2048 * 0.5**2 / math.log(7),
    "λ·L_C is 51.2 and L_S is ln 7 = 1.95: at the start the network feels centre loss 26 times as strongly. That "
    "ratio decides, not how small 0.2 sounds.",
    (Mistake(0.2, "That is λ itself. λ says nothing until you know how large the two losses are: compare λ·L_C with "
             "L_S."),
     Mistake(0.5 * 2048 * 0.5**2 / math.log(7), "That is L_C against L_S; λ = 0.2 is missing."),
     Mistake(0.2 * 2048 * 0.5**2 / math.log(7), "Twice as much: the factor ½ of Eq. 1 is missing."),
     Mistake(0.2 * 0.5 * 0.5**2 / math.log(7), "That is one feature's share. ‖x − c‖² adds up all 2,048; it is no mean "
             "over them, as torch's mse_loss takes by default."),
     Mistake(math.log(7) / (0.2 * 0.5 * 2048 * 0.5**2), "The other way round: asked for is λ·L_C divided by L_S."),
     Mistake(0.2 * 0.5 * 2048 * 0.5**2, "That is λ·L_C alone. Divide it by L_S, which is ln 7 for a network that knows "
             "nothing of seven classes.")),
    "First ½·‖x − c‖² of one face, then times λ, then divided by ln 7. Rounded to a whole number is enough.", 0.02)

read_log = ValueCheck(
    "B",
    "ln 7 = 1.95 is what a network pays that gives every class one seventh. All features lie in one place, where "
    "nothing can be told apart; a centre loss near 0 is the symptom, not the success.",
    (Mistake("A", "A small centre loss alone is no success: the cheapest way to it is to send every face to one point. "
             "Look at the other column. What does a network pay that knows nothing about seven classes?"),
     Mistake("C", "With a learning rate that is too small nothing would move, and centre loss fell by four powers of "
             "ten. One loss moved at the cost of the other."),
     Mistake("D", "Centres that stay at seven random places keep the classes apart: features that run to them could be "
             "told from each other, and cross-entropy would fall. Here they lie in one place.")),
    'Give one of the four letters as text, for example answer = "A".')


def _validated(function, images, labels):
    network, center_loss = small_parts()
    answer = function(network, center_loss, images, labels)
    if is_untouched(answer):
        return None
    pair = answer if isinstance(answer, (tuple, list)) and len(answer) == 2 else (answer, "a second value")
    return {"cross-entropy": pair[0], "centre loss": pair[1], "the centres afterwards": center_loss.centers.detach(),
            "batch norm's running mean afterwards": network.running_mean}


def _validate(network, center_loss, images, labels, *, train=False, softmax=False, move=False):
    """Right as it is; each option makes it one of the wrong ones."""
    network.train(train)
    with torch.no_grad():
        features, logits = network(images)
        scores = logits.softmax(1) if softmax else logits
        losses = functional.cross_entropy(scores, labels), center_loss(features, labels)
        if move:
            center_loss.update_centers(features, labels)
    return losses


validate = FunctionCheck(
    _validate, batches,
    "You return both losses, and nothing has moved: not the centres, not batch norm.",
    (Mistake(partial(_validate, move=True), "The values are right, but the centres have moved: they now know the "
             "validation images, and the next call gives a smaller loss. update_centers belongs in the training loop "
             "alone."),
     Mistake(partial(_validate, train=True), "Batch norm still trains: it took mean and deviation from this batch, and "
             "kept them. no_grad() stops gradients and nothing else; call network.eval() first."),
     Mistake(partial(_validate, softmax=True), "cross_entropy takes logits and does the softmax itself; here it is "
             "done twice, and even a sure answer looks unsure."),
     Mistake(lambda *given: sum(_validate(*given)), "Give both losses and not their sum: the sum can fall while the "
             "answers get worse.")),
    trial=_validated)


def _stepped(function, *flat):
    network, center_loss = small_parts()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    before = network.weights, center_loss.centers.clone(), network.running_mean
    for images, labels in zip(flat[::2], flat[1::2]):
        answer = function(network, center_loss, optimizer, images, labels, 0.2)
    after = network.weights, center_loss.centers.detach(), network.running_mean
    if is_untouched(answer) and all(map(torch.equal, before, after)):
        return None
    return {"the network's weights after three steps": after[0], "the centres after three steps": after[1]}


def _make_step(lam=True, clear=True, move="last", pull=True):
    """A training step, right as it is; each argument makes it one of the wrong ones, and two make it wrong twice."""
    def step(network, center_loss, optimizer, images, labels, weight):
        if clear:
            optimizer.zero_grad()
        features, logits = network(images)
        if move == "first":
            center_loss.update_centers(features, labels)
        loss = functional.cross_entropy(logits, labels)
        if pull:
            loss = loss + (weight if lam else 1) * center_loss(features, labels)
        loss.backward()
        optimizer.step()
        if move == "anew":
            features, _ = network(images)
        if move in ("last", "anew"):
            center_loss.update_centers(features, labels)
    return step


_FAULTS = [
    ({"move": "first"}, "The centres moved before the loss was computed. Each face is then pulled to a place that has "
     "just come towards it, and part of the pull is used up before it acts: compute the loss first, and move the "
     "centres last."),
    ({"move": "never"}, "The centres stay where they began. No optimiser knows them; call "
     "center_loss.update_centers(features, labels) once a step."),
    ({"clear": False}, "Gradients add up from step to step: optimizer.zero_grad() is missing."),
    ({"lam": False}, "L_C enters with weight 1. Eq. 3 says L_S + λ·L_C."),
    ({"pull": False}, "The network does not feel centre loss: it is missing from the sum, or its features were "
     "detached. A loss whose gradient reaches no weight is a number on the screen."),
    ({"move": "anew"}, "The centres moved with features that were computed anew, after the network's step. Eq. 2 takes "
     "those of this step, which also costs one forward pass instead of two."),
]


def _can_be_told_apart(first, second):
    """Two faults in one step: not two values of one argument, and not one that the other hides."""
    hidden = ({"lam": False}, {"move": "first"})  # where the network does not feel centre loss
    return not first.keys() & second.keys() and not any(
        one == {"pull": False} and other in hidden for one, other in ((first, second), (second, first)))


_PAIRS = [({**first, **second}, f"Two things. {said} And: {told}")
          for (first, said), (second, told) in combinations(_FAULTS, 2) if _can_be_told_apart(first, second)]

train_step = FunctionCheck(
    _make_step(), lambda rng: [sum(batches(rng), ()), sum(batches(rng), ())],
    "Loss, gradient, the network's step, and then the centres': Eq. 3 and Eq. 2, as in the course's own loop.",
    tuple(Mistake(_make_step(**faults), said) for faults, said in _FAULTS + _PAIRS), trial=_stepped)


def _gains(rng):
    """(gains in points, low, high): claims that hold, that fail and that stay open, each often enough."""
    bands = (-1, 1), (0, 2), (-5, 5), (1, 3), (-2, -0.5), (0, 6)
    return [(rng.normal(mean, sd, size=pairs).round(2), low, high) for low, high in bands
            for mean, sd, pairs in ((0.3, 0.2, 5), (1.5, 1.0, 3), (-1.2, 0.3, 4), (4.0, 0.5, 6), (0.9, 0.9, 3))]


def _interval(gains):
    known = paired_difference(gains, np.zeros(len(gains)))
    return known.low, known.high


def _spread(gains):
    return gains.min(), gains.max()


def _error(gains):
    half = gains.std(ddof=1) / math.sqrt(len(gains))
    return gains.mean() - half, gains.mean() + half


def _make_judge(interval, otherwise=True):
    def judge(gains, low, high):
        left, right = interval(gains)
        if low <= left and right <= high:
            return "held"
        return "undecided" if otherwise and left <= high and right >= low else "did not hold"
    return judge


judge_claim = FunctionCheck(
    _make_judge(_interval), _gains,
    "The whole interval inside: held. The whole interval outside: did not hold. An edge inside it: undecided.",
    (Mistake(_make_judge(lambda gains: (gains.mean(), gains.mean())), "You asked where the mean lies. It scatters with "
             "the seeds: ask where its 95 % interval lies."),
     Mistake(_make_judge(_interval, otherwise=False), "\"did not hold\" needs the whole interval outside the band. "
             "Where an edge of the band lies in the interval, these pairs cannot tell: undecided."),
     Mistake(_make_judge(_spread), "That is the range of the single gains. The claim is about their mean: take "
             "statistics.paired_difference, which has its interval."),
     Mistake(_make_judge(_error), "Mean ± one standard error covers two thirds of such cases, with few pairs fewer. "
             "Take the 95 % interval, .low and .high of statistics.paired_difference."),
     Mistake(lambda gains, low, high: "held" if _interval(gains)[0] > 0 else "undecided", "You asked whether the gain "
             "is above zero. The claim is its band, from low to high.")))
