"""Run the whole course without a browser: build/ gets each notebook executed, build/site/ the pages made of them.

    python tools/course.py                 everything, the environment first
    python tools/course.py --only 03 05    some notebooks
    python tools/course.py --store         for contributors: the outputs go into notebooks/ as well, ready for git

Each runs with the default values of its parameters. Stops at the first that fails. Trained runs are kept in runs/, so
that a second call takes seconds a notebook. Two notebooks run at once, a core each: two trainings side by side are
faster than one after the other on two cores.
"""

import json
import os
import shutil
import sys
from time import monotonic

from environment import enter, parser
from execute import BUILD, CELL_SECONDS, NotebookFailed, execute, find_notebooks, has_injected
from website import Site

# Two at once, in this order: 04 and 05 share runs, of which one trains and the other waits; 02, 06 and 08 load them.
ORDER = ("00", "01", "07", "03", "09", "04", "05", "02", "06", "08")


def main(only=(), store=False):
    """Execute, store, render."""
    minutes = read_minutes()
    for path, took in _executed(find_notebooks(only)):
        minutes[path.stem] = took
        (BUILD / "minutes.json").write_text(json.dumps(minutes, indent=1))
        if store:
            from fer_utils.atomic import written_whole

            with written_whole(path) as part:  # whole, or as it was
                shutil.copyfile(BUILD / path.name, part)
        print(f"{path.stem:<32} {took:5.1f} min", flush=True)
    executed = {f"notebooks/{path.name}": path for path in BUILD.glob("[0-9]*.ipynb")
                if path.stem in minutes and not has_injected(path)}
    Site(executed=executed, note=foot(minutes)).write(BUILD / "site")
    print(f"Open {BUILD / 'site' / 'index.html'} in a browser.")


def _executed(paths):
    """(path, minutes) of each notebook as it ends. After one that failed no other begins; those that run may end."""
    from joblib import Parallel, delayed

    mine = sorted(paths, key=lambda path: ORDER.index(path.name[:2]))
    os.environ.setdefault("FER_UTILS_WAIT", str(CELL_SECONDS))
    threads, failed = os.environ.get("OMP_NUM_THREADS"), []
    if len(mine) > 1:  # torch with two threads beside a busy core waits for itself, for minutes
        os.environ["OMP_NUM_THREADS"] = "1"
    pool = Parallel(min(2, len(mine)), prefer="threads", return_as="generator_unordered")
    yield from filter(None, pool(delayed(_timed)(path, failed) for path in mine))
    os.environ.pop("OMP_NUM_THREADS", None)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = threads
    if failed:
        sys.exit("\n".join(failed))


def _timed(path, failed):
    start = monotonic()
    try:
        if not failed:
            execute(path, BUILD / path.name)
            return path, round((monotonic() - start) / 60, 1)
    except NotebookFailed as error:
        failed.append(f"{path.stem} failed\n{error}")
        print(f"{path.stem} failed, no other begins", flush=True)


def read_minutes():
    """Minutes of each notebook that an earlier call has executed."""
    path = BUILD / "minutes.json"
    return json.loads(path.read_text()) if path.exists() else {}


def foot(minutes):
    """What the pages say of the run that made them."""
    import torch

    names = ", ".join(name[:2] for name in sorted(minutes))
    return (f"Executed here: {names}, in {sum(minutes.values()):.1f} minutes, with Python {sys.version.split()[0]} and "
            f"torch {torch.__version__}.")


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("--only", nargs="+", default=(), metavar="NUMBER", help="run these notebooks only")
    parser.add_argument("--store", action="store_true", help="store the outputs in notebooks/")
    arguments = parser.parse_args()
    enter(arguments.here)
    main(arguments.only, arguments.store)
