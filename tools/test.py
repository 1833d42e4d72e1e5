"""All tests in one call of pytest: the package, the tools, each notebook executed and compared with what it stores.

    python tools/test.py                everything, the environment first; what is missing is trained first
    python tools/test.py --fast         nothing that executes a notebook: no training, under a minute or two
    python tools/test.py --stress       the slow proofs in full, of which the others run a sample; no notebook
    python tools/test.py -k center -x   further arguments go to pytest

Notebooks find the runs that were trained before and load them, so that comparing a notebook takes seconds.
"""

import subprocess
import sys

from environment import ROOT, enter, parser
from execute import BUILD, CELL_SECONDS, NotebookFailed, execute, find_notebooks

TRAINING = ("02", "04", "05")  # the notebooks that train; the others load


def main(fast, stress, further):
    """Train, then test; returns the exit code."""
    if stress:
        arguments = ["tests", "-m", "stress"]
    elif fast:
        arguments = ["tests", "-m", "not course and not stress"]
    else:
        for path in missing():
            print(f"Training first: {path.stem}", flush=True)
            try:
                execute(path, BUILD / path.name)
            except NotebookFailed as error:
                print(error, file=sys.stderr)
                return 1
        arguments = ["tests", "notebooks", "--nbval", "--nbval-current-env", f"--nbval-cell-timeout={CELL_SECONDS}",
                     "-m", "not stress"]
    return subprocess.run([sys.executable, "-m", "pytest", *arguments, *further], cwd=ROOT).returncode


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
