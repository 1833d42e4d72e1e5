"""Write results/ladder.json: what stands beneath a network on FER2013, section 12 of the protocol.

    python tools/ladder.py PATH-OF-FER2013

Three splits, by seeds 0 to 2, each tested on PublicTest; some ten minutes on two cores. Nothing of an image is kept.
"""

from environment import ROOT, enter, parser

SEEDS = (0, 1, 2)


def main(data_dir):
    from fer_utils.datasets import load_dataset
    from fer_utils.evaluation import scores
    from fer_utils.hand_made import ladder
    from fer_utils.runs.run import divide, environment, write_json

    whole, test = (load_dataset("fer2013", data_dir, split) for split in ("train", "public_test"))
    rows = []
    for seed in SEEDS:
        train, validation = divide(whole, test, 0.3, seed)
        for rung, answers in ladder(train, validation, test, seed).items():
            found = scores(test.labels, answers)
            kept = {name: round(found[name], 5) for name in ("accuracy", "macro_f1")}
            rows.append({"rung": rung, "seed": seed, **kept, "recall": found["recall"]})
            print(rows[-1], flush=True)
    here = environment()
    known = {name: here[name] for name in ("python", "numpy", "hardware", "threads", "commit")}
    write_json(ROOT / "results" / "ladder.json", {"train": len(train), "test": len(test), "test_split": test.split,
                                                  "data": test.fingerprint, "environment": known, "rows": rows})


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("data_dir", metavar="PATH", help="FER2013's folder or file")
    arguments = parser.parse_args()
    enter(arguments.here)
    main(arguments.data_dir)
