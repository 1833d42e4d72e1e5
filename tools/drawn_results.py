"""Write results/drawn.json: what short trainings on drawn faces showed; protocol, sections 15 and 16.

    python tools/drawn_results.py

Some 90 trainings, an hour and a half on one core; what was trained before is found again in runs/.
"""

import tempfile
from itertools import product
from pathlib import Path

from environment import ROOT, enter, parser

SEEDS, SHARES, SIZES = (0, 1, 2), (0.1, 0.2, 0.3), {600: 12, 3000: 3}  # epochs by training faces
FRESH = (2, 3, 4, 5, 6)  # seeds that notebook 4 has not looked at
PERSONS, IMAGES = 250, 14  # of each, two of each emotion
ARMS = {"softmax": {"lam": 0.0}, "centre loss": {"lam": 0.02}}


def main():
    from fer_utils.runs.run import environment, write_json

    here = environment()
    known = {name: here[name] for name in ("python", "torch", "numpy", "hardware", "threads", "commit")}
    write_json(ROOT / "results" / "drawn.json", {"environment": known, "later or less": list(later_or_less()),
                                                 "wrong labels": list(wrong_labels()),
                                                 "another task": list(another_task())})


def later_or_less():
    """A row for each way in which λ comes, and seed."""
    from fer_utils.runs.run import find_or_train
    from fer_utils.training.recipe import get_recipe

    arms = {"softmax": {"lam": 0.0}, "0.2 from the start": {"lam": 0.2}, "0.13 from the start": {"lam": 0.13},
            "climbing": {"lam": 0.2, "lam_warmup": 2}, "waiting": {"lam": 0.2, "center_init": "means"}}
    for seed, (arm, fields) in product(FRESH, arms.items()):
        recipe = get_recipe("quick", backbone="resnet18", epochs=3, **fields)
        run = find_or_train(recipe, seed=seed, progress=False)
        yield _told({"arm": arm, "seed": seed, **_scores(run.metrics), "ratio": round(run.metrics["ratio"], 4)})


def wrong_labels():
    """A row for each share, arm and seed."""
    from fer_utils.datasets import load_dataset
    from fer_utils.runs.run import find_or_train
    from fer_utils.training.recipe import get_recipe

    true = load_dataset("synthetic", split="train")
    truth = dict(zip(true.names, true.labels))
    arms = {**ARMS, "SCN": {"lam": 0.0, "self_cure": 3}}
    for share, (arm, fields), seed in product(SHARES, arms.items(), SEEDS):
        recipe = get_recipe("quick", backbone="resnet18", **fields)
        run = find_or_train(recipe, data_options={"label_noise": share}, seed=seed, progress=False)
        row = {"share": share, "arm": arm, "seed": seed, **_scores(run.metrics)}
        if run.cured is not None:
            given = load_dataset("synthetic", split="train", label_noise=share)
            row |= cured(run.cured, dict(zip(given.names, given.labels)), truth)
        print(row, flush=True)
        yield row


def cured(ended, given, truth):
    """What became of the labels of the training images: counts, and the same for each true class.

    ``ended`` as in ``Run.cured``; ``given`` and ``truth``: {name of an image: its label}.
    """
    import numpy as np

    from fer_utils.emotions import EMOTIONS

    before, after, right = (np.array([of[name] for name in ended["names"]]) for of in (
        given, dict(zip(ended["names"], ended["labels"])), truth))
    wrong = before != right
    kinds = {"wrong before": wrong, "mended": wrong & (after == right), "spoilt": ~wrong & (after != right),
             "wrong otherwise": wrong & (after != before) & (after != right)}

    def count(rows=True):
        return {kind: int((found & rows).sum()) for kind, found in kinds.items()}

    return count() | {"by class": {name: {"images": int((right == k).sum()), **count(right == k)}
                                   for k, name in enumerate(EMOTIONS)}}


def another_task():
    """A row for each number of faces, way and seed."""
    import torch

    from fer_utils.datasets import load_dataset
    from fer_utils.runs.run import find_or_train
    from fer_utils.training.recipe import get_recipe

    for seed, folder in ((seed, Path(tempfile.mkdtemp())) for seed in SEEDS):
        persons = _network_of_persons(seed)
        state = {name.removeprefix("backbone."): value for name, value in persons.model.state_dict().items()
                 if name.startswith("backbone.")}
        torch.save(state, folder / "persons.pt")
        for size, epochs in SIZES.items():
            options = {} if size == 3000 else {"subset": size}
            common = {"size": size, "seed": seed}
            faces = [load_dataset("synthetic", split="train", **options), load_dataset("synthetic", split="test")]
            yield _told({**common, "way": "frozen", "arm": "linear", **_linear(persons, *faces)})
            for (way, weights), (arm, fields) in product(
                    {"fine-tuned": str(folder / "persons.pt"), "random weights": "random"}.items(), ARMS.items()):
                recipe = get_recipe("quick", backbone="resnet18", epochs=epochs, weights=weights, **fields)
                run = find_or_train(recipe, data_options=options, seed=seed, progress=False)
                yield _told({**common, "way": way, "arm": arm, **_scores(run.metrics)})


def _network_of_persons(seed):
    """What ``fit`` leaves of a training whose classes are drawn persons; each shows all emotions, so that knowing a
    person is no help with an emotion, nor the other way round."""
    import numpy as np

    from fer_utils import faces
    from fer_utils.datasets import FaceDataset, split_train_validation
    from fer_utils.training.loop import fit
    from fer_utils.training.recipe import get_recipe

    rng, d = np.random.Generator(np.random.PCG64([15, seed])), faces.DEFAULT
    persons = np.repeat(np.arange(PERSONS), IMAGES)
    units = faces.sample_units(np.arange(len(persons)) % 7, rng, d)
    images = faces.draw_faces(units, rng, 48, d.noise, d.pose, d.light, d.occlusion, persons=persons)
    whole = FaceDataset(images, persons, persons.astype(str), "train", "drawn persons",
                        tuple(f"person {number}" for number in range(PERSONS)))
    train, validation = split_train_validation(whole, 0.15, seed)
    result = fit(train, validation, get_recipe("quick", backbone="resnet18", epochs=12, lam=0.0), seed, progress=False)
    print({"persons": PERSONS, "seed": seed,
           "validation accuracy": result.history.validation_accuracy.max().round(3)}, flush=True)
    return result


def _linear(persons, train, test):
    from sklearn.linear_model import LogisticRegressionCV

    from fer_utils.evaluation import predict, scores

    features = [predict(persons.model, part.images, **persons.inputs)[0] for part in (train, test)]
    scale = features[0].std()
    model = LogisticRegressionCV(Cs=[0.001, 0.01, 0.1, 1.0], cv=3, max_iter=2000).fit(features[0] / scale, train.labels)
    return _scores(scores(test.labels, model.predict(features[1] / scale)))


def _scores(metrics):
    return {name: round(metrics[name], 4) for name in ("accuracy", "macro_f1")}


def _told(row):
    print(row, flush=True)
    return row


if __name__ == "__main__":
    parser = parser(__doc__)
    enter(parser.parse_args().here)
    main()
