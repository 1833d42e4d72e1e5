"""The command line: fer-lab fetch fer2013 | report fer2013 PATH | evaluate CHECKPOINT fer2013 PATH | sweep TABLE |
publish RUN | ledger | cache [--clear]"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from fer_utils.datasets import DATASETS, PAPER_COUNTS, TEST_SPLIT, ferplus, load_dataset
from fer_utils.datasets.cache import clear, entries
from fer_utils.datasets.report import brightness, duplicates, official_rows, summary
from fer_utils.errors import FerError
from fer_utils.runs.results import load_results, results_folder
from fer_utils.runs.run import load_run

from .evidence.markdown import claims_page, ledger_page
from .half_precision import evaluate, export
from .publish import publish
from .result_tables import write_tables
from .sweeps.plan import grid, parse, plan, read_table
from .sweeps.sweep import sweep

KAGGLE = "msambare/fer2013"  # public: kagglehub needs no account for it
OFFICIAL = {"train": 28_709, "public_test": 3_589, "private_test": 3_589}


def fetch(name):
    """Download a data set, verify it, and return the folder in which it lies."""
    if name == "rafdb":
        raise FerError("RAF-DB is given for research, on request, by its owners (whdeng.cn/RAF), and may not be passed "
                       "on: ask them, and give what you get as data_dir.")
    by_hand = (f"By hand: download archive.zip from kaggle.com/datasets/{KAGGLE} in a browser and give its path as "
               "data_dir.")
    try:
        import kagglehub
    except ImportError as error:
        raise FerError(f"kagglehub is not installed: pip install kagglehub. {by_hand}") from error
    try:
        folder = kagglehub.dataset_download(KAGGLE)
    except Exception as error:  # the network's errors, Kaggle's, the disk's
        raise FerError(f"FER2013 cannot be downloaded ({error}). {by_hand}") from error
    for split, size in OFFICIAL.items():
        dataset = load_dataset("fer2013", folder, split)
        if len(dataset) != size:
            raise FerError(f"{folder}: {len(dataset)} images in the split {split}, and there should be {size}. "
                           f"{by_hand}")
        if split == "train" and tuple(dataset.counts()) != PAPER_COUNTS["fer2013"]:
            raise FerError(f"{folder}: the training labels are {dataset.counts().tolist()}; they should be "
                           f"{list(PAPER_COUNTS['fer2013'])}. {by_hand}")
    return folder


def report(name, root, table):
    """Print what is wrong with a data set; write the pairs that are in training and test to the CSV file ``table``."""
    if table and name != "fer2013":
        raise FerError(f"--csv writes official rows of FER2013's whole splits, not of {name}; leave it out.")
    train, test = load_dataset(name, root, "train"), load_dataset(name, root, TEST_SPLIT[name])
    print(summary(train, test).to_string())
    pairs = duplicates(train, test)
    share = pairs["second"].nunique() / len(test)
    print(f"{pairs['second'].nunique()} of {len(test)} images of {test.split} ({100 * share:.1f} %) are in train, too")
    print(f"\nLight of {train.split}, in grey levels:\n{brightness(train).round(1).to_string()}")
    if name == "ferplus":
        for faces in (load_dataset("fer2013", root, split) for split in (train.split, test.split)):
            votes = ferplus.votes_for(faces, root)
            print(f"\n{faces.split}: {len(ferplus.not_a_face(votes))} images with ten votes for \"not a face\"; labels "
                  f"of FER2013 (rows) and of FER+ (columns):\n{ferplus.agreement(faces, votes).to_string()}")
    if table:
        official_rows(pairs).to_csv(table, index=False, lineterminator="\n")


def rows(table, fixed, lists):
    """What a sweep's arguments ask for: a table's rows or those of a grid, each with what is fixed."""
    pairs = [argument.partition("=") for argument in (*fixed, *lists)]
    names = [name for name, _, _ in pairs]
    for name, sign, value in pairs:
        if not name or not sign or names.count(name) > 1:
            raise FerError(f"{name}{sign}{value}: give each name once, as NAME=VALUE.")
    if table and lists:
        raise FerError("a table and --grid exclude each other; --set goes with both.")
    values = {name: value for name, _, value in pairs}
    given = {name: parse(values[name]) for name in names[:len(fixed)]}
    several = {name: parse(f"[{values[name]}]") for name in names[len(fixed):]}
    several = {name: value if isinstance(value, list) else [parse(part) for part in values[name].split(",")]
               for name, value in several.items()}
    return [{**given, **row} for row in (read_table(table) if table else grid(**several))]


def publish_all(folders, data_dir=None, weights=False, results=None):
    """Publish these runs in the course's ``results/``, and write its two tables anew."""
    results = Path(results or results_folder())
    for folder in folders:
        run = publish(folder, results, data_dir=data_dir)
        size = sum(path.stat().st_size for path in run.folder.iterdir())
        print(f"{run.folder.name}: {size / 1000:.0f} KB", flush=True)
        if weights:
            export(load_run(folder), results / "networks" / run.folder.name)
    write_tables(load_results(results), results)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="fer-lab", description="Data sets, sweeps, and what is published of them.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="download a data set and verify it").add_argument("name",
                                                                                       choices=["fer2013", "rafdb"])
    wrong = commands.add_parser("report", help="count what is wrong with a data set")
    wrong.add_argument("name", choices=list(DATASETS))
    wrong.add_argument("root", nargs="?", help="its folder or file")
    wrong.add_argument("--csv", metavar="FILE", help="FER2013: write the rows that are in training and test")
    judge = commands.add_parser("evaluate", help="say how good a trained network is on a split of a data set")
    judge.add_argument("checkpoint", help="folder of a checkpoint, or of a finished run")
    judge.add_argument("dataset", choices=list(DATASETS))
    judge.add_argument("root", nargs="?", help="its folder or file")
    judge.add_argument("--split", help="which one; else the one that runs are tested on")
    commands.add_parser("cache", help="list what was read once and is kept").add_argument(
        "--clear", action="store_true", help="delete all of it; it is read anew when it is needed")
    many = commands.add_parser("sweep", help="train the runs of a table; call again to go on after a crash")
    many.add_argument("table", nargs="?", help="a CSV or JSON file, one row for each run")
    many.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="the same for all runs")
    many.add_argument("--grid", action="append", default=[], metavar="NAME=A,B", help="each value with each other one")
    many.add_argument("--notebook", help="one with these parameters, instead of one that trains a run")
    many.add_argument("--folder", help="where summary, executed notebooks and logs are kept")
    many.add_argument("--workers", type=int, default=1, help="runs at once, which share the cores")
    many.add_argument("--scheduler", metavar="ADDRESS", help="of a dask cluster, which then does the runs")
    many.add_argument("--dry-run", action="store_true", help="say what would be run")
    give = commands.add_parser("publish", help="put finished runs into results/, and write its tables anew")
    give.add_argument("folders", nargs="*", metavar="RUN", help="folders of finished runs; else the tables alone")
    give.add_argument("--data-dir", metavar="PATH", help="where the images of these runs lie")
    give.add_argument("--weights", action="store_true", help="their networks, too, in half precision")
    ledger = commands.add_parser("ledger", help="write the paper's numbers beside ours, and what became of the claims")
    ledger.add_argument("results", nargs="?", help="folder of published runs; the course's own unless given")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "fetch":
            print(f"Complete. Give this as data_dir: {fetch(chosen.name)}")
        elif chosen.command == "report":
            report(chosen.name, chosen.root, chosen.csv)
        elif chosen.command == "evaluate":
            print(evaluate(chosen.checkpoint, chosen.dataset, chosen.root, chosen.split))
        elif chosen.command == "sweep":
            table = rows(chosen.table, chosen.set, chosen.grid)
            if chosen.dry_run:
                jobs = plan(table, chosen.notebook, elsewhere=chosen.scheduler is not None)
                print(f"{pd.DataFrame([job.row for job in jobs]).to_string(na_rep='')}\n{len(jobs)} runs")
            else:
                print(sweep(table, notebook=chosen.notebook, folder=chosen.folder, workers=chosen.workers,
                            scheduler=chosen.scheduler).to_string(na_rep="", float_format="{:.4g}".format))
        elif chosen.command == "publish":
            publish_all(chosen.folders, chosen.data_dir, chosen.weights)
        elif chosen.command == "ledger":
            folder = Path(chosen.results or results_folder())
            runs = load_results(folder)
            for name, text in (("LEDGER.md", ledger_page(runs)), ("CLAIMS.md", claims_page(runs))):
                (folder / name).write_text(text, encoding="utf-8")
                print(folder / name)
        else:
            for folder, what, size in entries():
                print(f"{size / 1e6:7.1f} MB  {folder.name}  {what}")
            if chosen.clear:
                print(f"{clear()} entries deleted")
    except FerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
