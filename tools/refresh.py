"""For contributors: execute notebooks and store their outputs in notebooks/, ready for git.

    python tools/refresh.py          all
    python tools/refresh.py 03 05    some

A notebook runs with the default values of its parameters and is replaced only when it ran to its end.
"""

import shutil
import sys

from environment import enter, parser
from execute import BUILD, NotebookFailed, execute, find_notebooks


def main(only=()):
    """Execute and replace; returns the exit code."""
    from fer_utils.atomic import written_whole

    for path in find_notebooks(only):
        print(f"{path.stem:<32}", end=" ", flush=True)
        try:
            execute(path, BUILD / path.name)
        except NotebookFailed as error:
            print("failed, left as it was", flush=True)
            print(error, file=sys.stderr)
            return 1
        with written_whole(path) as part:
            shutil.copyfile(BUILD / path.name, part)
        print(f"{path.stat().st_size / 1000:4.0f} KB", flush=True)
    return 0


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NUMBER", help="refresh these notebooks only")
    arguments = parser.parse_args()
    enter(arguments.here)
    sys.exit(main(arguments.names))
