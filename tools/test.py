"""All tests: the packages and the tools side by side, then each notebook executed and compared with what it stores.

    python tools/test.py                everything, the environment first; what no run is there for is trained
    python tools/test.py --fast         nothing that executes a notebook or trains one's networks
    python tools/test.py --stress       the slow proofs in full, of which the others run a sample; no notebook
    python tools/test.py -k center -x   further arguments go to pytest

Two processes share the cores. What executes no notebook comes first, and if it fails, that is the end. A notebook
trains what was not trained before, and loads the rest, so that comparing one takes seconds once all is trained.
"""

import os
import subprocess
import sys

from environment import ROOT, enter, parser
from execute import CELL_SECONDS, find_notebooks

TRAINING = ("04", "05")  # what all others load is trained in these two; side by side, from the start
LOADING = ("02", "06", "08")  # runs of notebook 4; earlier they would wait for it
SIDE_BY_SIDE = ["-n", "2", "--dist", "loadfile"]  # a file's tests share what its fixtures made
NBVAL = ["--nbval", "--nbval-current-env", f"--nbval-cell-timeout={2 * CELL_SECONDS}",  # each has half of the machine
         f"--nbval-kernel-startup-timeout={CELL_SECONDS}"]  # the usual 60 s are few on a busy machine
NOTHING_CHOSEN = 5  # pytest's exit code where -k, for example, leaves no test


def main(fast, stress, further):
    """Test; returns the exit code. pytest's own summary is the last line, and the first that failed ends it."""
    if stress:
        return pytest("tests", "-m", "stress", *further)
    code = pytest("tests", "-m", "not course and not stress", *SIDE_BY_SIDE, *further, OMP_NUM_THREADS="1")
    if fast or code not in (0, NOTHING_CHOSEN):
        return code
    print("Now the notebooks: what is not trained yet is trained here, for minutes", flush=True)
    others = [path for path in find_notebooks() if not path.name.startswith((*TRAINING, *LOADING))]
    last = pytest(*find_notebooks(TRAINING), *others, "tests", *find_notebooks(LOADING), *NBVAL,
                  "-m", "course and not stress", *SIDE_BY_SIDE, "--no-loadscope-reorder", *further,
                  OMP_NUM_THREADS=str(max(1, os.cpu_count() // 2)),
                  FER_UTILS_WAIT=str(CELL_SECONDS))  # notebooks 4 and 5 share runs: one trains, the other waits
    return code if last == NOTHING_CHOSEN else last


def pytest(*arguments, **environment):
    """Call pytest in a process of its own; returns its exit code."""
    return subprocess.run([sys.executable, "-m", "pytest", "--durations=10", *arguments], cwd=ROOT,
                          env={**os.environ, **environment}).returncode


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("--fast", action="store_true", help="leave out all that executes a notebook")
    parser.add_argument("--stress", action="store_true", help="the slow proofs in full, and nothing else")
    arguments, further = parser.parse_known_args()
    enter(arguments.here)
    sys.exit(main(arguments.fast, arguments.stress, further))
