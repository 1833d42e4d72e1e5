"""Write results/ladder.json: what stands beneath a network on FER2013, section 12 of the protocol.

    python tools/ladder.py PATH-OF-FER2013

Three splits, by seeds 0 to 2, each tested on PublicTest; some ten minutes on two cores. Nothing of an image is kept.
"""

from environment import ROOT, enter, parser

SEEDS = (0, 1, 2)
ALIKE = (-1, 0.6, 0.8, 0.9, 0.98, 1.01)  # correlation of two faces' pixels; from 0.98 on they are one picture


def main(data_dir):
    from fer_utils.datasets import load_dataset, report
    from fer_utils.evaluation import scores
    from fer_utils.hand_made import ladder
    from fer_utils.runs.run import divide, environment, write_json

    whole, test = (load_dataset("fer2013", data_dir, split) for split in ("train", "public_test"))
    rows, remembered = [], []
    for seed in SEEDS:
        train, validation = divide(whole, test, 0.3, seed)
        clean = report.leave_out(train, ["leaked"], test)
        answered = ladder(train, validation, test, seed)
        answered["1-NN, test pictures left out"] = nearest(clean, test)[0]
        remembered += by_likeness(*nearest(train, test), test.labels, seed)
        for rung, answers in answered.items():
            found = scores(test.labels, answers)
            kept = {name: round(found[name], 5) for name in ("accuracy", "macro_f1")}
            rows.append({"rung": rung, "seed": seed, **kept, "recall": found["recall"]})
            print(rows[-1], flush=True)
    here = environment()
    known = {name: here[name] for name in ("python", "numpy", "hardware", "threads", "commit")}
    write_json(ROOT / "results" / "ladder.json", {
        "train": len(train), "test": len(test), "test_split": test.split, "data": test.fingerprint,
        "environment": known, "rows": rows, "1-NN by likeness": remembered,
        "networks by copy": list(by_copy(whole, test))})


def nearest(train, test):
    """For each face of ``test`` the label of its nearest training face by pixels, and the correlation of the two."""
    from sklearn.neighbors import KNeighborsClassifier

    from fer_utils.hand_made import pixels

    known, asked = pixels(train.images), pixels(test.images)
    away, row = KNeighborsClassifier(1).fit(known, train.labels).kneighbors(asked)
    return train.labels[row[:, 0]], 1 - away[:, 0]**2 / (2 * known.shape[1])


def by_likeness(answers, alike, labels, seed):
    """How often the nearest face has the right label, by how alike it is: a row for each bin of ``ALIKE``."""
    import numpy as np

    for low, high in zip(ALIKE, ALIKE[1:]):
        inside = (alike >= low) & (alike < high)
        yield {"seed": seed, "from": low, "to": high, "faces": int(inside.sum()),
               "accuracy": round(float(np.mean(answers[inside] == labels[inside])), 5)}


def by_copy(whole, test):
    """How often published softmax networks are right, by where a copy of the test face lay: a row for each run.

    Faces whose copy fell into validation are the control: as easy as the others, and never trained on.
    """
    import numpy as np
    import pandas as pd

    from fer_utils.errors import FerError
    from fer_utils.runs.results import load_results
    from fer_utils.runs.run import divide

    copies = pd.read_csv(ROOT / "results" / "fer2013_train_public_test_duplicates.csv")
    for run in load_results():
        recipe, data, seed = (run.config[name] for name in ("recipe", "data", "seed"))
        network = (recipe["name"], recipe["backbone"], recipe["epochs"], recipe["lam"])
        known = network in (("repaired", "resnet18", 8, 0), ("repaired", "resnet50", 25, 0))
        if not known or test.split not in data or data["train"]["images"] != round(0.7 * len(whole)):
            continue
        train, _ = divide(whole, test, 0.3, seed)
        if train.fingerprint != data["train"]["fingerprint"]:
            raise FerError(f"{run.folder}: trained on other images than seed {seed} draws here.")
        trained = copies.test_row[copies.train_row.isin(_rows(train.names))]
        rows = pd.Series(_rows(run.predictions["names"]))
        right = run.predictions["probabilities"].argmax(axis=1) == run.predictions["labels"]
        place = np.select([rows.isin(trained), rows.isin(copies.test_row)], ["training", "validation"], "none")
        for where in ("training", "validation", "none"):
            yield {"backbone": recipe["backbone"], "epochs": recipe["epochs"], "seed": seed, "copy in": where,
                   "faces": int((place == where).sum()), "accuracy": round(float(right[place == where].mean()), 5)}


def _rows(names):
    """FER2013's row of each image, which its name ends in."""
    return [int(str(name).split("_")[1]) for name in names]


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("data_dir", metavar="PATH", help="FER2013's folder or file")
    arguments = parser.parse_args()
    enter(arguments.here)
    main(arguments.data_dir)
