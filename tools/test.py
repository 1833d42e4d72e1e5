"""All tests: the packages and the tools side by side, then each notebook executed and compared with what it stores.

    python tools/test.py                everything, the environment first; what is missing is trained first
    python tools/test.py --fast         nothing that executes a notebook or trains one's networks
    python tools/test.py --stress       the slow proofs in full, of which the others run a sample; no notebook
    python tools/test.py -k center -x   further arguments go to pytest

What executes no notebook runs in two processes of one thread each; if it fails, that is the end. Notebooks get all
threads, and find the runs that were trained before and load them, so that comparing one takes seconds.
"""

import os
import subprocess
import sys

from environment import ROOT, enter, parser
from execute import BUILD, CELL_SECONDS, execute, find_notebooks

TRAINING = ("02", "04", "05")  # the notebooks that train; the others load
SIDE_BY_SIDE = ["-n", "2", "--dist", "loadfile"]  # a file's tests share what its fixtures made
NOTEBOOKS = ["notebooks", "--nbval", "--nbval-current-env", f"--nbval-cell-timeout={CELL_SECONDS}"]
NOTHING_CHOSEN = 5  # pytest's exit code where -k, for example, leaves no test


def main(fast, stress, further):
    """Train, test; returns the exit code. pytest's own summary is the last line, and the first that failed ends it."""
    if stress:
        return pytest("tests", "-m", "stress", *further)
    code = pytest("tests", "-m", "not course and not stress", *SIDE_BY_SIDE, *further, OMP_NUM_THREADS="1")
    if fast or code not in (0, NOTHING_CHOSEN):
        return code
    for path in missing():
        print(f"Training first: {path.stem}", flush=True)
        execute(path, BUILD / path.name)
    last = pytest("tests", *NOTEBOOKS, "-m", "course and not stress", *further)
    return code if last == NOTHING_CHOSEN else last


def pytest(*arguments, **environment):
    """Call pytest in a process of its own; returns its exit code."""
    return subprocess.run([sys.executable, "-m", "pytest", "--durations=10", *arguments], cwd=ROOT,
                          env={**os.environ, **environment}).returncode


def missing():
    """The training notebooks whose executed copy in build/ is not there, or older than they or the package are."""
    package = max(path.stat().st_mtime for path in ROOT.glob("fer_*/**/*.py"))
    for path in find_notebooks(TRAINING):
        copy = BUILD / path.name
        if not copy.exists() or copy.stat().st_mtime < max(package, path.stat().st_mtime):
            yield path


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("--fast", action="store_true", help="leave out all that executes a notebook")
    parser.add_argument("--stress", action="store_true", help="the slow proofs in full, and nothing else")
    arguments, further = parser.parse_known_args()
    enter(arguments.here)
    sys.exit(main(arguments.fast, arguments.stress, further))
