"""Exercises of notebook 4: training with centre loss."""

import math
from functools import partial

import torch
from torch.nn import functional

from fer_utils.center_loss import CenterLoss

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
    "λ·L_C is 51.2 and L_S is ln 7 = 1.95: at the start the network feels centre loss 26 times as strongly. That is "
    "what decides, and not that 0.2 sounds small.",
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
    "Both losses are told, and nothing was moved: not the centres, not batch norm.",
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
    """A training step, right as it is; each argument makes it one of the wrong ones."""
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


train_step = FunctionCheck(
    _make_step(), lambda rng: [sum(batches(rng), ()), sum(batches(rng), ())],
    "Loss, gradient, the network's step, and then the centres': Eq. 3 and Eq. 2, as in the course's own loop.",
    (Mistake(_make_step(move="first"), "The centres moved before the loss was computed. Each face is then pulled to a "
             "place that has just come towards it, and part of the pull is used up before it acts: compute the loss "
             "first, and move the centres last."),
     Mistake(_make_step(move="never"), "The network learns, but the centres stay where they began. No optimiser knows "
             "them; call center_loss.update_centers(features, labels) once a step."),
     Mistake(_make_step(clear=False), "Gradients add up from step to step: optimizer.zero_grad() is missing."),
     Mistake(_make_step(lam=False), "L_C enters with weight 1. Eq. 3 says L_S + λ·L_C."),
     Mistake(_make_step(pull=False), "The network does not feel centre loss: it is missing from the sum, or its "
             "features were detached. A loss whose gradient reaches no weight is a number on the screen."),
     Mistake(_make_step(move="anew"), "The centres moved with features that were computed anew, after the network's "
             "step. Eq. 2 takes those of this step, which also costs one forward pass instead of two.")),
    trial=_stepped)
