"""The command line ``fer-lab``: what each of its commands does, and the arguments that it takes."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from fer_utils.as_written import path_of
from fer_utils.datasets import DATASETS, PAPER_COUNTS, TEST_SPLIT, fer2013, ferplus, load_dataset, name_of
from fer_utils.datasets.cache import clear, entries
from fer_utils.datasets.report import brightness, duplicates, official_rows, overview, persons
from fer_utils.errors import FerError, optional_import
from fer_utils.runs.results import results_folder
from fer_utils.runs.run import load_run

from .crop import LIKE, crop, summary
from .evidence.markdown import write_pages
from .half_precision import evaluate, export_half
from .publish import publish
from .sweeps.plan import grid, parse, plan, read_table
from .sweeps.sweep import find_folders, sweep

KAGGLE = "msambare/fer2013"  # public: kagglehub needs no account for it


def fetch(name):
    """Download a data set, check that it is complete, and print the folder in which it lies."""
    if name == "rafdb":
        raise FerError("RAF-DB is given for research, on request, by its owners (whdeng.cn/RAF), and may not be passed "
                       "on: ask them, and give what you get as data_dir.")
    by_hand = f"By hand: download archive.zip from kaggle.com/datasets/{KAGGLE} and give its path as data_dir."
    try:
        folder = optional_import("kagglehub").dataset_download(KAGGLE)
    except Exception as error:  # the network's errors, Kaggle's, the disk's, or kagglehub is not installed
        raise FerError(f"FER2013 cannot be downloaded ({error}). {by_hand}") from error
    for split, size in fer2013.SIZES.items():
        counts, paper = load_dataset("fer2013", folder, split).counts().tolist(), list(PAPER_COUNTS["fer2013"])
        if sum(counts) != size or split == "train" and counts != paper:
            raise FerError(f"{folder}: the split {split} has {sum(counts)} images, {counts} of the classes; there "
                           f"should be {size}, and {paper} in train. {by_hand}")
    print(f"Complete. Give this as data_dir: {folder}")


def report(dataset, root, csv):
    """Print what is wrong with a data set; write the pairs that are in training and test to the file ``csv``."""
    if csv and dataset != "fer2013":
        raise FerError(f"--csv writes official rows of FER2013's whole splits, not of {dataset}; leave it out.")
    train, test = load_dataset(dataset, root, "train"), load_dataset(dataset, root, TEST_SPLIT[dataset])
    print(f"{train.split}: {train.source}\n{test.split}: {test.source}\n{overview(train, test).to_string()}")
    pairs = duplicates(train, test)
    share = pairs["second"].nunique() / len(test)
    print(f"{pairs['second'].nunique()} of {len(test)} images of {test.split} ({100 * share:.1f} %) are in train, too")
    print(persons(train, test))
    print(f"\nLight of {train.split}, in grey levels:\n{brightness(train).round(1).to_string()}")
    if dataset == "ferplus":
        for faces in (load_dataset("fer2013", root, split) for split in (train.split, test.split)):
            votes = ferplus.votes_for(faces, root)
            print(f"\n{faces.split}: {len(ferplus.not_a_face(votes))} images with ten votes for \"not a face\"; labels "
                  f"of FER2013 (rows) and of FER+ (columns):\n{ferplus.agreement(faces, votes).to_string()}")
    if csv:
        path_of(csv).parent.mkdir(parents=True, exist_ok=True)
        official_rows(pairs).to_csv(path_of(csv), index=False, lineterminator="\n")


def sweep_rows(table, fixed, lists):
    """The rows of a sweep from its arguments: those of a table, or of a grid, each with what is fixed."""
    pairs = [argument.partition("=") for argument in (*fixed, *lists)]
    for name, sign, value in pairs:
        if not name or not sign or [other for other, _, _ in pairs].count(name) > 1:
            raise FerError(f"{name}{sign}{value}: give each name once, as NAME=VALUE.")
    if table and lists:
        raise FerError("a table and --grid exclude each other; --set goes with both.")
    given = {name: parse(value) for name, _, value in pairs[:len(fixed)]}
    several = {}
    for name, _, value in pairs[len(fixed):]:
        values = parse(f"[{value}]")
        several[name] = values if isinstance(values, list) else [parse(part) for part in value.split(",")]
    return [{**given, **row} for row in (read_table(table) if table else grid(**several))]


def publish_all(folders, data_dir, weights):
    """Publish these runs in the course's ``results/``, and write its pages anew."""
    results = results_folder()
    for folder in folders:
        run = publish(folder, results, data_dir=data_dir)
        size = sum(path.stat().st_size for path in run.folder.iterdir())
        print(f"{run.folder.name}: {size / 1000:.0f} KB", flush=True)
        if weights:
            export_half(load_run(folder), results / "networks" / run.folder.name)
    write_pages(results)


def run_sweep(table, fixed, lists, dry_run, **options):
    """Train what the arguments ask for and print the summary; with ``dry_run`` print the runs alone."""
    rows = sweep_rows(table, fixed, lists)
    if dry_run:
        jobs = plan(rows, options["notebook"], on_cluster=options["scheduler"] is not None)
        find_folders(jobs, Path(), options["notebook"])
        print(f"{pd.DataFrame([job.row for job in jobs]).to_string(na_rep='')}\n{len(jobs)} runs")
    else:
        print(sweep(rows, **options).to_string(na_rep="", float_format="{:.4g}".format))


def list_cache(delete):
    for folder, what, size in entries():
        print(f"{size / 1e6:7.1f} MB  {folder.name}  {what}")
    if delete:
        print(f"{clear()} entries deleted")


DATASET = ("dataset", {"type": name_of, "choices": list(DATASETS), "help": "the data set"})
ROOT = ("root", {"nargs": "?", "metavar": "PATH", "help": "the data set's folder or file"})
COMMANDS = {  # name: (function, what it does, its arguments)
    "fetch": (fetch, "download a data set and check that it is complete", [
        ("name", {"type": name_of, "choices": ["fer2013", "rafdb"],
                  "help": "rafdb cannot be downloaded: it says whom to ask"})]),
    "report": (report, "count what is wrong with a data set", [
        DATASET, ROOT,
        ("--csv", {"metavar": "FILE", "help": "FER2013: list the images that are in training and in test"})]),
    "crop": (lambda folder, out, **given: print(summary(crop(folder, out, **given), path_of(out))),
             "cut the faces out of a folder of photos, eyes level", [
        ("folder", {"help": "photos, in sub-folders or not; sub-folders and tables of labels are kept"}),
        ("out", {"help": "a new folder for the faces, and for faces.csv: what was left out and why"}),
        ("--like", {"type": name_of, "choices": list(LIKE), "default": "fer2013",
                    "help": "FER2013's 48 pixels in grey (the default), or RAF-DB's 100 in colour"}),
        ("--one", {"action": "store_true", "help": "of several faces in a photo keep the largest"})]),
    "evaluate": (lambda **given: print(evaluate(**given)), "say how good a trained network is on a data set", [
        ("folder", {"help": "folder of an exported network, or of a finished run"}),
        DATASET, ROOT,
        ("--split", {"help": "by default the split that runs are tested on"})]),
    "sweep": (run_sweep, "train many runs; call it again to go on after a crash", [
        ("table", {"nargs": "?", "metavar": "TABLE", "help": "CSV or JSON file with one row for each run"}),
        ("--set", {"dest": "fixed", "action": "append", "default": [], "metavar": "NAME=VALUE",
                   "help": "the same value in all runs"}),
        ("--grid", {"dest": "lists", "action": "append", "default": [], "metavar": "NAME=A,B",
                    "help": "a run for each combination of such values"}),
        ("--notebook", {"metavar": "FILE", "help": "execute this notebook instead of one that trains one run"}),
        ("--folder", {"help": "where to keep the summary, the executed notebooks and the logs"}),
        ("--workers", {"type": int, "default": 1, "metavar": "N", "help": "runs at once; they share the cores"}),
        ("--scheduler", {"metavar": "ADDRESS", "help": "let the dask cluster with this address do the runs"}),
        ("--dry-run", {"action": "store_true", "help": "list the runs and train nothing"})]),
    "publish": (publish_all, "store finished runs in results/ and write its pages", [
        ("folders", {"nargs": "*", "metavar": "RUN", "help": "folders of finished runs; without one, pages alone"}),
        ("--data-dir", {"metavar": "PATH", "help": "the images of these runs"}),
        ("--weights", {"action": "store_true", "help": "store the networks as well, in half precision"})]),
    "ledger": (write_pages, "write the paper's numbers next to ours, and which claims held", [
        ("results", {"nargs": "?", "metavar": "FOLDER", "help": "published runs; by default the course's own"})]),
    "cache": (list_cache, "list the data sets that are kept after reading", [
        ("--clear", {"dest": "delete", "action": "store_true", "help": "delete them: they are read anew"})]),
}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="fer-lab", description="Data sets, sweeps, and the published results.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (function, purpose, takes) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
        command.set_defaults(function=function)
        for flag, options in takes:
            command.add_argument(flag, **options)
    chosen = vars(parser.parse_args(arguments))
    try:
        chosen.pop("function")(**chosen)
    except FerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
