"""Write results/losses.json and losses.npz, what notebook 9 says of five losses side by side on drawn faces.

    python tools/losses.py                        on one core some 40 minutes
    python tools/losses.py --fer2013 PATH         photographs instead, into results/losses_fer2013.json: as long

Sections 14 and 17 of results/PROTOCOL.md say what is asked, and what was expected. Each training that is finished
stands in the file, and a second call goes on behind it.
"""

import json
import sys
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

from environment import ROOT, enter, parser

if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--fer2013", metavar="PATH", help="FER2013's folder or file: section 17 instead of 14")
    given = options.parse_args()
    enter(given.here)  # all that follows has to be installed

import numpy as np
import torch
from pytorch_metric_learning.losses import ArcFaceLoss, TripletMarginLoss
from pytorch_metric_learning.miners import TripletMarginMiner
from sklearn.metrics import roc_curve
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from fer_utils import evaluation
from fer_utils.center_loss import CenterLoss
from fer_utils.datasets import load_dataset
from fer_utils.island_loss import IslandLoss
from fer_utils.runs.run import divide, environment, write_json
from fer_utils.training import setup
from fer_utils.training.recipe import get_recipe
from fer_utils.training.steps import to_input, train_epoch
from fer_utils.transforms import augment, to_channels

OUT, FER2013_OUT = ROOT / "results" / "losses.json", ROOT / "results" / "losses_fer2013.json"
RECIPE = get_recipe("quick", backbone="resnet18", epochs=3)  # notebook 4's small runs
CHOICE, SEEDS = 0, (1, 2, 3)  # the seed that chooses each loss's strength, and those that judge
STRENGTHS = {  # what each loss may choose from, written down before the first run
    "softmax": [{}],
    "centre": [{"lam": 0.005}, {"lam": 0.02}, {"lam": 0.1}],
    "island": [{"lam": 0.02, "lam1": 1.0}, {"lam": 0.02, "lam1": 10.0}, {"lam": 0.1, "lam1": 10.0}],
    "arcface": [{"scale": 16.0, "margin": 10.0}, {"scale": 16.0, "margin": 28.6}, {"scale": 64.0, "margin": 28.6}],
    "triplet": [{"weight": 0.1}, {"weight": 0.3}, {"weight": 1.0}],
}
PERSONS = {"images_per_person": 10, "size": 24}
# As drawn, one person's pictures differ so little that softmax is wrong on one pair in a hundred. So persons are seen
# by a second camera, in training and in every test: turned, cropped, shifted, and half of the pictures partly covered.
CAMERA = {"rotation": 20.0, "crop": 0.3, "shift": 0.1, "erase": 0.5}
SHOWN = "softmax", "centre"  # whose distances notebook 9 draws, for the first of SEEDS
# Section 17: what validation chose among STRENGTHS on drawn faces, now on photographs
PHOTOGRAPHS, SUBSET = get_recipe("repaired", backbone="resnet18", epochs=8), 6000


class Cosines(torch.nn.Module):
    """A last layer that answers with ArcFace's logits, without the margin and in full precision."""

    def __init__(self, arcface):
        super().__init__()
        self.arcface = arcface

    def forward(self, features):
        with torch.autocast(features.device.type, enabled=False):
            return self.arcface.get_logits(features.float())


def criterion(name, network, classes, *, lam=0.0, lam1=0.0, scale=0.0, margin=0.0, weight=0.0):
    """(loss of features, logits and labels; what moves after each step, or None)."""
    width = network.feat_dim
    if name in ("centre", "island"):
        centers = CenterLoss(classes, width) if name == "centre" else IslandLoss(classes, width, lam1=lam1)
        return lambda x, logits, y: cross_entropy(logits, y) + lam * centers(x, y), centers.update_centers
    if name == "arcface":
        arcface = ArcFaceLoss(classes, width, margin=margin, scale=scale)
        network.classifier = Cosines(arcface)
        return lambda x, logits, y: arcface(x, y), None
    if name == "triplet":  # on the features' directions, as is the library's default
        triplet, miner = TripletMarginLoss(margin=0.2), TripletMarginMiner(margin=0.2)
        return lambda x, logits, y: cross_entropy(logits, y) + weight * triplet(x, y, miner(x, y)), None
    return lambda x, logits, y: cross_entropy(logits, y), None


def train(name, strength, faces, labels, recipe, seed):
    """(network after the last epoch, what its images need, history): start, batches and augmentation are ``fit``'s for
    every loss. ``labels`` int64 (N,) are emotions or persons."""
    device = torch.device("cpu")
    inputs = setup.choose_inputs(faces, recipe, setup.choose_precision(recipe.precision, device))
    with torch.random.fork_rng(devices=[]):
        network, _ = setup.build(recipe, seed, device, int(labels.max()) + 1)
        torch.manual_seed(setup.derive(seed, "loss"))  # ArcFace's weights
        loss, after = criterion(name, network, int(labels.max()) + 1, **strength)
        optimizer = setup.make_optimizer(network.parameters(), recipe)
        scheduler = setup.make_scheduler(optimizer, recipe, len(faces) // recipe.batch_size)

        def step(images, labels, draws, mix):
            batch = to_input(images, draws, recipe, inputs["mean"], inputs["std"])
            with evaluation.autocast(inputs["precision"], device):
                features, logits = network(batch)
            features, logits = features.float(), logits.float()
            total = loss(features, logits, labels)
            total.backward()
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
            if after is not None:
                after(features.detach(), labels)
            right = (logits.argmax(1) == labels).float().mean()
            return torch.stack([total.detach(), torch.zeros(()), right])

        parts = setup.Parts(network, network, None, optimizer, scheduler)
        accelerator = setup.make_accelerator(device, recipe)
        images, labels = torch.from_numpy(faces.images.copy()), torch.from_numpy(labels)
        with tqdm(disable=True) as bar:
            history = [train_epoch(images, labels, recipe, inputs, accelerator, parts, seed, epoch, bar, step)
                       for epoch in range(1, recipe.epochs + 1)]
    return network, inputs, history


def closed_set(name, strength, seed, recipe=RECIPE, whole=None, test=None):
    """Which of the seven? Accuracy on validation faces, and the measures of the test faces; by default drawn ones."""
    test = load_dataset("synthetic", split="test") if test is None else test
    whole = load_dataset("synthetic", split="train") if whole is None else whole
    faces, validation = divide(whole, test, recipe.validation_fraction, seed)
    network, inputs, _ = train(name, strength, faces, faces.labels, recipe, seed)
    answers = evaluation.predict(network, validation.images, **inputs)[1].argmax(1)
    features, probabilities = evaluation.predict(network, test.images, **inputs)
    found = evaluation.scores(test.labels, probabilities.argmax(1))
    return {"validation_accuracy": float((answers == validation.labels).mean()),
            **{measure: found[measure] for measure in ("accuracy", "macro_f1", "recall")},
            "ratio": evaluation.compactness(features, test.labels).ratio}


def never_seen(name, strength, seed):
    """Are these two the same? Trained on persons, asked about others: errors by either distance of the features."""
    recipe = RECIPE.replace(image_size=PERSONS["size"], **CAMERA)
    test, whole = (load_dataset("synthetic", split=split, **PERSONS) for split in ("test", "train"))
    faces, validation = divide(whole, test, recipe.validation_fraction, seed)  # nobody is on both sides
    persons, labels = np.unique(faces.persons, return_inverse=True)
    network, inputs, history = train(name, strength, faces, labels, recipe, seed)
    row, thresholds = {"persons": len(persons), "train_accuracy": history[-1]["train_accuracy"]}, {}
    for part in (validation, test):
        first, second, same = draw_pairs(part)
        features = evaluation.predict(network, second_camera(part), **inputs)[0].astype(np.float64)
        for kind in ("euclidean", "cosine"):
            if kind == "cosine":  # half the squared distance of the directions
                features = features / np.linalg.norm(features, axis=1, keepdims=True)
            distances = np.linalg.norm(features[first] - features[second], axis=1)
            eer, best = error_rates(same, distances)
            threshold = thresholds.setdefault(kind, best)  # validation comes first
            row |= {f"{part.split}_eer_{kind}": eer, f"{part.split}_pairs": len(same),
                    f"{part.split}_accuracy_{kind}": float(((distances < threshold) == same).mean())}
            if name in SHOWN and seed == SEEDS[0] and part is test:
                keep(**{"same": same, f"{name} {kind}": distances.astype(np.float16)})
    return row


def second_camera(faces):
    """The grey images as CAMERA sees them, uint8 (N, H, W), the same at every call."""
    images = to_channels(torch.from_numpy(faces.images.copy()))
    seen = augment(images, images.shape[-1], torch.Generator().manual_seed(0), **CAMERA)
    return (255 * seen[:, 0]).round().to(torch.uint8).numpy()


def draw_pairs(faces):
    """(first, second, same): rows of all pairs of one person's images, and for each emotion of as many pairs of two
    persons who both show it, so that the emotion tells nothing; fewer where there are not so many."""
    rng, chosen = np.random.default_rng(0), []
    first, second = np.triu_indices(len(faces), 1)
    alike, same = faces.labels[first] == faces.labels[second], faces.persons[first] == faces.persons[second]
    for emotion in np.unique(faces.labels):
        here = alike & (faces.labels[first] == emotion)
        groups = np.flatnonzero(here & same), np.flatnonzero(here & ~same)
        chosen += [rng.choice(group, min(map(len, groups)), replace=False) for group in groups]
    rows = np.sort(np.concatenate(chosen))
    return first[rows], second[rows], same[rows]


def error_rates(same, distances):
    """(EER, threshold): the error rate where both kinds of error are equally frequent, and the distance below which
    "the same" is right most often; half of the pairs are of one person."""
    accepted, found, thresholds = roc_curve(same, -distances, drop_intermediate=False)
    equal, best = np.abs(accepted - (1 - found)).argmin(), (found - accepted).argmax()
    return float(accepted[equal] + 1 - found[equal]) / 2, float(np.nextafter(-thresholds[best], np.inf))


def keep(**arrays):
    path = OUT.with_suffix(".npz")
    np.savez_compressed(path, **(dict(np.load(path)) if path.exists() else {}) | arrays)


def measured(rows, measure, question=None, out=None, told=None, **what):
    """The row of one training, from ``rows`` or anew; it is written at once, with what is ``told`` of all."""
    key = {"question": question or measure.__name__} | what
    for row in rows:
        if key.items() <= row.items():
            return row
    rows.append(key | measure(**what))
    about = environment() | {"pytorch-metric-learning": version("pytorch-metric-learning"),
                             "finished": datetime.now(UTC).isoformat(timespec="seconds")}
    told = told or {"recipe": RECIPE.effective(), "persons": PERSONS, "camera": CAMERA}
    write_json(out or OUT, {"environment": about, **told, "runs": rows})
    print(rows[-1], flush=True)
    return rows[-1]


def least(row):
    """The smaller EER of the two distances on validation persons."""
    return min(row["validation_eer_euclidean"], row["validation_eer_cosine"])


def main():
    torch.set_num_threads(1)
    rows = json.loads(OUT.read_text())["runs"] if OUT.exists() else []
    for measure, bad in ((partial(measured, rows, closed_set), lambda row: -row["validation_accuracy"]),
                         (partial(measured, rows, never_seen), least)):
        for name, strengths in STRENGTHS.items():
            chosen = min((measure(name=name, strength=each, seed=CHOICE) for each in strengths), key=bad)["strength"]
            for seed in SEEDS:
                measure(name=name, strength=chosen, seed=seed)


def photographs(data_dir):
    """Section 17: each loss on FER2013, with the strength that it chose on drawn faces."""
    torch.set_num_threads(1)
    drawn = json.loads(OUT.read_text())["runs"]
    kept = json.loads(FER2013_OUT.read_text()) if FER2013_OUT.exists() else {"runs": []}
    whole = load_dataset("fer2013", data_dir, "train", subset=SUBSET)
    test = load_dataset("fer2013", data_dir, "public_test")
    told = {"recipe": PHOTOGRAPHS.effective(), "subset": SUBSET, "train": whole.fingerprint, "test": test.fingerprint}
    if kept["runs"] and (kept["train"], kept["test"]) != (told["train"], told["test"]):
        sys.exit(f"{FER2013_OUT} is of other images than {data_dir}: move it away, or give the same ones.")
    measure = partial(closed_set, recipe=PHOTOGRAPHS, whole=whole, test=test)
    for seed in SEEDS:
        for name in STRENGTHS:
            chosen, = {json.dumps(row["strength"]) for row in drawn
                       if row["question"] == "closed_set" and row["name"] == name and row["seed"] in SEEDS}
            measured(kept["runs"], measure, "photographs", FER2013_OUT, told,
                     name=name, strength=json.loads(chosen), seed=seed)


if __name__ == "__main__":
    photographs(given.fer2013) if given.fer2013 else main()
