"""The course's own Python environment: .venv in the repository, made once, brought up to date when it must be.

    python tools/environment.py                 make it, or bring it up to date
    python tools/environment.py ruff check .    the same, then run a module in it (here: python -m ruff check .)

The other tools call ``enter`` before they import anything that has to be installed. Whoever looks after their
environment themselves (conda, for example) gives a tool --here: then nothing is made and nothing installed.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "fer_utils.stamp"
MINIMUM = (3, 11)

if sys.version_info < MINIMUM:  # before any other import of a tool fails
    sys.exit(f"This course needs Python 3.11 or later, and this is {sys.version.split()[0]}. Name a newer one: "
             "make course PYTHON=python3.12, or without make: python3.12 tools/course.py")


def enter(here=False):
    """Return if this is the right Python; otherwise run the calling program again in .venv and exit as it did."""
    os.environ.setdefault("PYTHONUTF8", "1")  # Windows: children read and print α and λ
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this environment's kernel before one in the home folder
    os.environ.setdefault("PLOTLY_RENDERER", "plotly_mimetype")  # its default puts 4 MB of JavaScript in a notebook
    if not here:
        prepare()
        if Path(sys.prefix).resolve() != VENV.resolve():
            sys.exit(run(os.path.abspath(sys.argv[0]), *sys.argv[1:]))


def prepare():
    """Make .venv and install the pinned packages, unless that was done already for these very files."""
    wanted = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "constraints.txt"))
    usable = works()
    if usable and STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted:
        return
    if not usable:
        print(f"Making {VENV}", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", "--clear", VENV]).returncode:
            sys.exit("Python could not make the virtual environment. On Debian and Ubuntu the package python3-venv is "
                     "missing; elsewhere see the message above. Then call the same command again.")
    print("Installing the packages into .venv: once, a few minutes; README.md says how much disk it takes", flush=True)
    # Python compiles what it imports; pip would compile all there is, for most of a minute.
    install = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-compile", "-c", "constraints.txt"]
    # facenet-pytorch asks for the torch and the numpy of 2024 and works with today's (docs/data.md); so it is no extra.
    wanted_by_pip = (["-e", ".[notebooks,tests,voila]"], ["--no-deps", "facenet-pytorch"])
    if any(subprocess.run([*install, *what], cwd=ROOT).returncode for what in wanted_by_pip):
        sys.exit("The installation failed; pip's last lines say why. Most often the network was away or the disk is "
                 "full (README.md has the line for CPU-only wheels, which are much smaller). Mend that and call the "
                 "same command again.")
    STAMP.write_text(wanted, encoding="utf-8")


def works():
    """Is there a Python in .venv, new enough and with pip? A set-up that was cut off leaves one without."""
    test = f"import sys, pip; sys.exit(sys.version_info < {MINIMUM})"
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", test], capture_output=True).returncode == 0


def run(*command):
    """Run a program with .venv's Python and return its exit code."""
    try:
        return subprocess.run([PYTHON, *command]).returncode
    except KeyboardInterrupt:  # the program got it too and has said what it had to say
        return 130


def project():
    """The table [project] of pyproject.toml."""
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def path_of(written):
    """The path that is meant, with ~ and variables resolved: as fer_utils.as_written, which needs numpy."""
    return Path(os.path.expanduser(os.path.expandvars(written)))


def parser(description):
    """An argument parser with what all tools share: help that is the docstring, and --here."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--here", action="store_true", help="use the Python that runs this, and install nothing")
    return parser


if __name__ == "__main__":
    enter()
    sys.exit(run("-m", *sys.argv[1:]) if sys.argv[1:] else 0)
