"""Is this machine ready for the course? A table of ticks and crosses, and the minutes that each notebook took here.

    python tools/preflight.py              look at everything, in less than a minute; installs nothing
    python tools/preflight.py --offline    the same with the network switched off for it: nothing may need another host

It looks at .venv where there is one, and at the Python that runs it otherwise, or with --here. A cross (✗) says what to
do; a dash (–) is worth knowing and stops nobody. The exit code is 1 if there is a cross. In a workshop bundle it also
compares every file with the manifest.
"""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from course import read_minutes
from environment import PYTHON, ROOT, VENV, parser, path_of, project, works
from execute import execute, find_notebooks

MANIFEST = "MANIFEST.sha256"  # of a workshop bundle
KERNEL_GB, ROOMY_GB = 2.0, 3.0  # the largest kernel of the course; the same with a browser and JupyterLab beside it
RUNS_GB, INSTALLED_GB = 2.0, 3.0  # all runs and a checkpoint; the packages, with torch's CPU-only wheels
EXTENSIONS = {"@jupyter-widgets/jupyterlab-manager": "jupyterlab-widgets", "anywidget": "anywidget"}
NAMED_RUN = re.compile(r"^(synthetic-\S+): (?:new|loaded)", re.MULTILINE)  # what a cell prints of a run that it got
ASKS_NETWORKS = "06"  # the notebook that asks the networks themselves, not only what they once answered
PROBE = """\
import sys, fer_utils
from fer_course import labs
from fer_utils import model, plots
print(sys.prefix, fer_utils.__file__, fer_utils.__version__, sep="\\n")"""
SIGNS = {"yes": "✓", "no": "✗", "aside": "–"}
INSTALL = ("In this folder, without a network: python -m pip install --no-deps --no-build-isolation -e . "
           "Or with one: python tools/environment.py")
KERNELS = "python -m ipykernel install --sys-prefix, then restart JupyterLab (jupyter kernelspec list shows all)."


class Check(NamedTuple):
    """A line of the table. ``state``: "yes", "no" (then ``advice`` says what to do) or "aside"."""

    state: str
    name: str
    found: str
    advice: str = ""


# The machine and what is installed


def check_memory():
    import psutil

    total, available = psutil.virtual_memory()[:2]
    told = f"{available / 1e9:.1f} GB free of {total / 1e9:.1f} GB"
    if available < KERNEL_GB * 1e9:
        return Check("no", "memory", f"{told}; a notebook needs {KERNEL_GB:g} GB",
                     "Close other programs and other notebooks (JupyterLab: Kernel, Shut Down All Kernels), then call "
                     "this again." if total > 4e9 else
                     "This machine is too small for the trainings: read the pages in build/site/, or share a machine.")
    if available < ROOMY_GB * 1e9:
        return Check("aside", "memory", f"{told}: enough for one notebook at a time; shut down each before the next")
    return Check("yes", "memory", told)


def check_disk(folder, installed):
    """``folder``: where runs are kept, which may be yet to be made; ``installed``: whether the packages are there."""
    while not folder.exists():
        folder = folder.parent
    free, needed = shutil.disk_usage(folder).free, RUNS_GB + (0 if installed else INSTALLED_GB)
    told = f"{free / 1e9:.1f} GB free in {folder}"
    if free < needed * 1e9:
        return Check("no", "disk", f"{told}; {needed:g} GB are needed" + ("" if installed else ", packages included"),
                     "Free some space there, or set FER_UTILS_RUNS to a folder on another disk.")
    return Check("yes", "disk", told)


def versions():
    """{name: version} of all that is installed, the names as pyproject.toml has them."""
    return {re.sub(r"[-_.]+", "-", each.name).lower(): each.version for each in metadata.distributions()}


def numbers(version):
    """The numbers of a version, to be compared: "2.14.1+cpu" is (2, 14, 1)."""
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0]))


def check_packages(ranges, pins, found):
    """``ranges``: each "name>=version"; ``pins``: {name: the version that the tests passed with}; ``found``: of
    ``versions``."""
    bad, other = [], []
    for requirement in ranges:
        name, least = requirement.split(">=")
        if name not in found:
            bad.append(f"{name} is missing")
        elif numbers(found[name]) < numbers(least):
            bad.append(f"{name} {found[name]} is older than {least}")
        elif numbers(found[name]) != numbers(pins[name]):
            other.append(f"{name} {found[name]} (tested: {pins[name]})")
    if bad:
        return Check("no", "packages", f"{len(bad)} of {len(ranges)} need attention: {first_of(bad)}",
                     "With a network: python tools/environment.py, once, some minutes; in an environment of your own: "
                     'python -m pip install -c constraints.txt -e ".[notebooks]". Then call this again.')
    if other:
        return Check("aside", "packages", f"in their ranges, but other than tested: {', '.join(other)}")
    return Check("yes", "packages", f"all {len(ranges)} as they were tested")


def check_widgets():
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server.config import get_federated_extensions

    found = get_federated_extensions(jupyter_path("labextensions"))
    missing = [package for name, package in EXTENSIONS.items() if name not in found]
    if missing:
        return Check("no", "widgets", f"JupyterLab does not find its part of {' and '.join(missing)}: sliders would "
                     "stay still", f"python -m pip install --force-reinstall --no-deps {' '.join(missing)}, in the "
                     "Python that runs JupyterLab; then reload the page in the browser.")
    return Check("yes", "widgets", "JupyterLab finds ipywidgets and anywidget: sliders will move")


def check_bundle(root=ROOT):
    """Are the files as they were packed? What a reader edits may differ."""
    lines = [line for line in (root / MANIFEST).read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    broken, edited = [], []
    for digest, path in (line.split("  ", 1) for line in lines):
        there = (root / path).is_file()
        if not there or hashlib.sha256((root / path).read_bytes()).hexdigest() != digest:
            (edited if there and path.endswith((".ipynb", ".md")) else broken).append(path)
    if broken:
        return Check("no", "bundle", f"{len(broken)} of {len(lines)} files are missing or damaged: {first_of(broken)}",
                     "Unpack the zip again into a new folder.")
    since = f"; edited since: {first_of(edited)}" if edited else ""
    return Check("yes", "bundle", f"all {len(lines)} files as they were packed{since}")


def check_network():
    """With --offline: is another host refused? 192.0.2.1 belongs to nobody, so that even a try disturbs nobody."""
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=2).close()
    except OSError as error:
        if "off for this check" in str(error):
            return Check("yes", "network", "off for all lines of this table: other hosts are refused")
    return Check("no", "network", "could not be switched off for this check, so it proves nothing",
                 "A program of yours may replace sitecustomize; switch Wi-Fi off and call this again.")


# What the course's own code can see


def check_kernel(version, root=ROOT):
    """A notebook of one cell, run as the course runs its own: does its kernel import this package?"""
    import nbformat

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tiny.ipynb"
            nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PROBE)]), path)
            (cell,) = execute(path, Path(folder) / "out.ipynb", timeout=300).cells
    except Exception as error:  # whatever a broken installation leads to
        return Check("no", "kernel", f"a notebook did not run: {short(error)}",
                     f"{KERNELS} If an import failed: {INSTALL}")
    prefix, package, found = cell.outputs[0]["text"].splitlines()
    if Path(prefix).resolve() != Path(sys.prefix).resolve():
        return Check("no", "kernel", f"the kernel python3 belongs to another Python, {prefix}", KERNELS)
    if Path(package).resolve().parent.parent != root.resolve() or found != version:
        return Check("no", "kernel", f"a notebook imports fer_utils {found} from {package}; this folder has {version}",
                     INSTALL)
    return Check("yes", "kernel", f"a notebook runs, and imports fer_utils {version} of this folder")


def needed_runs():
    """{name of a run's folder: numbers of the notebooks that ask for it}, as their stored outputs name them."""
    needed = {}
    for path in find_notebooks():
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        printed = "\n".join("".join(out.get("text", "")) for cell in cells for out in cell.get("outputs", ()))
        for name in dict.fromkeys(NAMED_RUN.findall(printed)):
            needed.setdefault(name, []).append(path.stem[:2])
    return needed


def state_of(folder, notebooks):
    """"missing", "found", or what is wrong with a finished run that these notebooks ask for."""
    from safetensors import safe_open

    from fer_utils.runs.run import load_run

    if not (folder / "metrics.json").exists():
        return "missing"
    try:
        run = load_run(folder)
        _ = len(run.history), len(run.predictions["labels"]), run.metrics["accuracy"], run.origin  # reads them all
        if ASKS_NETWORKS in notebooks or (folder / "model.safetensors").exists():
            safe_open(folder / "model.safetensors", "pt")  # compares the file's length with what its head asks for
    except Exception as error:  # whatever damaged bytes lead the readers of the formats to
        return short(error)
    return "found"


def check_runs(home, needed):
    """The runs that the notebooks start from; ``needed``: of ``needed_runs``."""
    states = {name: state_of(home / name, notebooks) for name, notebooks in needed.items()}
    damaged = [f"{name}: {state}" for name, state in states.items() if state not in ("found", "missing")]
    if damaged:
        return Check("no", "stored runs", f"damaged in {home}: {'; '.join(damaged)}",
                     "Unpack them again from the bundle, or delete their folders: a notebook trains what it misses.")
    missing = [name for name, state in states.items() if state == "missing"]
    numbers = sorted({number for name in missing for number in needed[name]})
    told = f"{', '.join(numbers)} will train what they miss" if missing else "no notebook has to train"
    return Check("aside" if missing else "yes", "stored runs",
                 f"{len(states) - len(missing)} of {len(states)} in {home}; {told}")


# The table


def first_of(names):
    return ", ".join(names[:3]) + ", …" * (len(names) > 3)


def short(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def lines(check, width=80):
    """A check as lines of text, never wider than ``width`` but for what cannot be broken."""
    found = f"{SIGNS[check.state]} {check.name:<13}", check.found, 15
    advice = f"{'':15}→ ", check.advice, 17
    for begin, text, indent in (found, advice) if check.advice else (found,):
        yield from textwrap.wrap(text, width, initial_indent=begin, subsequent_indent=" " * indent,
                                 break_long_words=False, break_on_hyphens=False)


def checks(offline):
    """The table, line after line; what cannot be seen without the line before is left out."""
    yield Check("yes", "Python", f"{sys.version.split()[0]} ({sys.executable})")
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    ranges = project()["dependencies"] + project()["optional-dependencies"]["notebooks"]
    packages = check_packages(ranges, pins, versions())
    home = path_of(os.environ.get("FER_UTILS_RUNS") or ROOT / "runs")
    yield check_disk(home, packages.state != "no")
    if (ROOT / MANIFEST).exists():
        yield check_bundle()
    if offline:
        yield check_network()
    yield packages
    if packages.state != "no":
        yield check_memory()
        yield check_widgets()
        yield (kernel := check_kernel(project()["version"]))
        if kernel.state == "yes":
            yield check_runs(home, needed_runs())


def main(offline=False):
    """Check, print, return the exit code."""
    crosses, minutes = [], read_minutes()
    for check in checks(offline):
        print(*lines(check), sep="\n", flush=True)
        crosses += [check.name] if check.state == "no" else []
    print("\nMinutes that each notebook took here last (its first cell says what to expect):")
    for path in find_notebooks():
        took = f"{minutes[path.stem]:8.1f}" if path.stem in minutes else "     not measured here yet: make course does"
        print(f"  {path.stem[:2]} {path.stem[3:].replace('_', ' '):<26}{took}")
    print(f"\n{len(crosses)} to mend: {', '.join(crosses)}." if crosses else
          "\nReady" + (", also without a network." if offline else "."))
    return 1 if crosses else 0


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("--offline", action="store_true", help="refuse all other hosts while the checks run")
    arguments = parser.parse_args()
    switch, path = str(ROOT / "tools" / "offline"), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    another = not arguments.here and Path(sys.prefix).resolve() != VENV.resolve() and works()
    if another or (arguments.offline and switch not in path):
        if arguments.offline:
            os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [switch, *path])), HF_HUB_OFFLINE="1")
        python = PYTHON if another else sys.executable
        sys.exit(subprocess.run([python, os.path.abspath(sys.argv[0]), *sys.argv[1:]]).returncode)
    sys.stdout.reconfigure(encoding="utf-8")  # a pipe on Windows would have no ticks
    sys.exit(main(arguments.offline))
