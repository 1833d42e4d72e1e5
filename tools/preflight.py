"""Is this machine ready for the course? A table of ticks and crosses, and the minutes that each notebook will take.

    python tools/preflight.py              look at everything, a minute or two; installs nothing
    python tools/preflight.py --offline    the same with the network switched off for it: nothing may need another host

It looks at .venv where there is one, and at the Python that runs it otherwise, or with --here. A cross (✗) says what to
do; a dash (–) is worth knowing and stops nobody. The exit code is 1 if there is a cross. In a workshop bundle it also
compares every file with the manifest.
"""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import machine
from environment import MINIMUM, PYTHON, ROOT, VENV, parser, works
from machine import BATCH, RUNS

FINGERPRINTS = {"train": "48986ac8e58e9401459f1a4c4b0995912d72c40bc5d90746257e71443ea30e28",
                "test": "b153b8ab8326a6ed86f3581b370cb678b361911387c7e299b7e51ad49cd75989",
                "probe": "b03641c06f8245ec24d07fdc96d639ed85055420bd060bdb5e532eab43346f4a"}
EMOTIONS = "anger disgust fear happiness neutral sadness surprise".split()
KERNEL_GB, ROOMY_GB = 2.0, 3.0  # the largest kernel of the course; the same with a browser and JupyterLab beside it
RUNS_GB, INSTALLED_GB = 2.0, 3.0  # all runs and a checkpoint; the packages, with torch's CPU-only wheels
EXTENSIONS = {"@jupyter-widgets/jupyterlab-manager": "jupyterlab-widgets", "anywidget": "anywidget"}

# The clock of a notebook. BASE: processor seconds of all its cells but imports and trainings, on one core of an AMD
# EPYC on which DRAWING seconds drew 700 faces. An epoch of the recipe quick is 41 steps and 450 validation faces, which
# cost as much as 2.4 steps, and then a checkpoint. A step of ResNet-18 costs SMALL of one of ResNet-50 (benchmarks/).
# TRAININGS: (network, epochs) of what is new in each notebook.
DRAWING = 0.45
BASE = {"01": 10, "02": 9, "03": 35, "04": 16, "05": 10, "06": 20, "07": 10, "08": 16}
STEPS, CHECKPOINT, SMALL = 43.4, 1.0, 0.4
TRAININGS = {"02": [("resnet50", 6)], "04": [("resnet50", 6), ("resnet50", 2)], "05": [("resnet18", 3)] * 7}

INSTALL = ("In this folder, without a network: python -m pip install --no-deps --no-build-isolation -e . "
           "Or with one: python tools/environment.py")


class Check:
    """A line of the table. ``state``: "yes", "no" (then ``advice`` says what to do) or "aside"."""

    def __init__(self, state, name, found, advice=""):
        self.state, self.name, self.found, self.advice = state, name, found, advice

    def __repr__(self):
        return f"{self.state} {self.name}: {self.found} {self.advice}".rstrip()


# Judgements: pure functions of what was measured


def judge_python(version, minimum=MINIMUM):
    """``version``: a tuple such as ``sys.version_info``."""
    told, wanted = ".".join(map(str, version[:3])), ".".join(map(str, minimum))
    if tuple(version[:2]) < tuple(minimum):
        return Check("no", "Python", f"{told}, and the course needs {wanted} or later",
                     "Install a newer one (python.org, or conda create -n course python=3.12), and call it by name: "
                     f"python{wanted} tools/preflight.py")
    return Check("yes", "Python", f"{told} ({sys.executable})")


def judge_memory(total, available):
    """Bytes, or None where the system does not tell."""
    if total is None or available is None:
        return Check("aside", "memory", "the system does not tell; 4 GB are enough")
    told = f"{available / 1e9:.1f} GB free of {total / 1e9:.1f} GB"
    if available < KERNEL_GB * 1e9:
        return Check("no", "memory", f"{told}; a notebook needs {KERNEL_GB:g} GB",
                     "Close other programs and other notebooks (JupyterLab: Kernel, Shut Down All Kernels), then call "
                     "this again." if total > 4e9 else
                     "This machine is too small for the trainings: read the pages in build/site/, or share a machine.")
    if available < ROOMY_GB * 1e9:
        return Check("aside", "memory", f"{told}: enough for one notebook at a time; shut down each before the next")
    return Check("yes", "memory", told)


def judge_disk(free, folder, installed):
    """``free``: bytes where runs are kept; ``installed``: whether the packages are there already."""
    needed = RUNS_GB + (0 if installed else INSTALLED_GB)
    told = f"{free / 1e9:.1f} GB free in {folder}"
    if free < needed * 1e9:
        return Check("no", "disk", f"{told}; {needed:g} GB are needed" + ("" if installed else ", packages included"),
                     "Free some space there, or set FER_UTILS_RUNS to a folder on another disk.")
    return Check("yes", "disk", told)


def numbers(version):
    """The numbers of a version, to be compared: "2.14.1+cpu" is (2, 14, 1)."""
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0]))


def judge_packages(ranges, found):
    """``ranges``: the requirements of pyproject.toml, each "name>=version"; ``found``: {name: version or None}."""
    good, bad = [], []
    for requirement in ranges:
        name, least = requirement.split(">=")
        version = found.get(name)
        if version is None:
            bad.append(f"{name} is missing")
        elif numbers(version) < numbers(least):
            bad.append(f"{name} {version} is older than {least}")
        else:
            good.append(f"{name} {version}")
    if not bad:
        return Check("yes", "packages", f"all {len(good)} in their ranges: {', '.join(good)}")
    if not good:
        return Check("no", "packages", "none of the course's packages is in this Python",
                     "With a network: python tools/environment.py makes .venv and installs them, once, in some "
                     "minutes. Then call this again.")
    return Check("no", "packages", f"{len(bad)} of {len(ranges)} need attention: {'; '.join(bad)}",
                 "With a network: python tools/environment.py; in an environment of your own: "
                 'python -m pip install -c constraints.txt -e ".[notebooks]"')


def judge_widgets(found):
    """``found``: the names of JupyterLab's extensions that are installed."""
    missing = [package for name, package in EXTENSIONS.items() if name not in found]
    if missing:
        return Check("no", "widgets", f"JupyterLab does not find its part of {' and '.join(missing)}: sliders would "
                     "stay still", f"python -m pip install --force-reinstall --no-deps {' '.join(missing)}, in the "
                     "Python that runs JupyterLab; then reload the page in the browser.")
    return Check("yes", "widgets", "JupyterLab finds ipywidgets and anywidget: sliders will move")


def judge_browser(name):
    if name is None:
        return Check("aside", "browser", "none found here; open the address that JupyterLab prints in a current "
                     "Firefox, Chrome, Edge or Safari")
    return Check("yes", "browser", f"{name}; any current Firefox, Chrome, Edge or Safari will do")


def judge_import(found, version, root=ROOT):
    """``found``: of ``machine.imports``; ``version``: of pyproject.toml."""
    if "error" in found:
        return Check("no", "fer_utils", f"cannot be imported: {found['error']}", INSTALL)
    if Path(found["package"]).resolve().parent != Path(root).resolve():
        return Check("no", "fer_utils", f"is imported from {found['package']}, not from this folder", INSTALL)
    if found["version"] != version:
        return Check("no", "fer_utils", f"says version {found['version']}, this course is {version}", INSTALL)
    return Check("yes", "fer_utils", f"{version}, imported in {found['seconds']:.0f} s; torch uses "
                 f"{found['threads']} thread{'s' * (found['threads'] != 1)}")


def judge_gpu(found):
    if "error" in found:
        return Check("no", "GPU", found["error"], 'Set device = "cpu" in the notebooks; they need no GPU.')
    if found["device"] == "cpu":
        return Check("aside", "GPU", "none, and none is needed")
    size = f", {found['gigabytes']:.0f} GB" if found["gigabytes"] else ""
    return Check("yes", "GPU", f"{found['name']}{size} ({found['device']})")


def judge_faces(found, expected=None):
    """``found``: of ``machine.faces``."""
    if "error" in found:
        return Check("no", "faces", found["error"], "Mend what the line above says; the faces are drawn anew by "
                     "themselves.")
    wrong = [split for split, fingerprint in (expected or FINGERPRINTS).items()
             if found["fingerprints"].get(split) != fingerprint]
    if wrong:
        return Check("no", "faces", f"the drawn faces of {', '.join(wrong)} are not the course's: numbers would differ",
                     "fer_utils/faces was changed, or numpy rounds otherwise here: take the package as it was given "
                     "out, and python -m pip install -c constraints.txt numpy")
    if not found["cache_is_fresh"]:
        return Check("no", "faces", "those in the cache are not those that are drawn",
                     "fer-lab cache --clear")
    return Check("yes", "faces", f"drawn, and the same to the byte as everywhere ({found['seconds']:.1f} s for 700)")


def judge_step(found):
    if "error" in found:
        return Check("no", "training", f"a step failed: {found['error']}",
                     'If the memory ran out, close other programs. If a GPU failed, set device = "cpu" in the '
                     "notebooks.")
    return Check("yes", "training", f"a step of ResNet-50 takes {found['seconds']:.2f} s "
                 f"({BATCH} faces, {found['device']}, {found['precision']})")


def judge_runs(found):
    """Lines for the stored runs. ``found``: of ``machine.runs``."""
    if "error" in found:
        return [Check("no", "stored runs", found["error"], "Mend what the line above says.")]
    checks, states = [], {name: about["state"] for name, about in found["runs"].items()}
    for name, state in states.items():
        if state not in ("found", "missing"):
            checks.append(Check("no", "stored run", f"{name} is damaged: {state}",
                                f"Unpack it again from the bundle, or delete {Path(found['folder']) / name}: its "
                                "notebook then trains it anew."))
    started = started_from_stored(found)
    trains = [number for number in TRAININGS if number not in started]
    count = sum(state == "found" for state in states.values())
    told = f"{count} of {len(states)} in {found['folder']}"
    if started:
        told += f"; notebook{'s' * (len(started) > 1)} {', '.join(started)} start{'s' * (len(started) == 1)} from them"
    if trains:
        checks.append(Check("aside", "stored runs", told + f"; {', '.join(trains)} will train (times below)"))
    else:
        checks.append(Check("yes", "stored runs", told))
    return checks


def started_from_stored(found):
    """The notebooks, of those that ask for runs, all of whose runs are stored. ``found``: of ``machine.runs``."""
    return [number for number in RUNS
            if all(about["state"] == "found" for about in found["runs"].values() if number in about["notebooks"])]


def judge_kernel(found, root=ROOT):
    """``found``: of ``machine.kernel``."""
    advice = ("python -m ipykernel install --sys-prefix, then restart JupyterLab; a kernel python3 in your home's "
              "Jupyter folder may stand in the way (jupyter kernelspec list).")
    if "error" in found:
        return Check("no", "notebook", f"a kernel did not run: {found['error']}", advice)
    if not found["own"]:
        return Check("no", "notebook", f"the kernel python3 belongs to another Python, {found['prefix']}", advice)
    if Path(found["package"]).resolve().parent != Path(root).resolve():
        return Check("no", "notebook", f"a kernel imports fer_utils from {found['package']}, not from this folder",
                     INSTALL)
    if found["emotions"] != EMOTIONS:
        return Check("no", "notebook", f"a tiny notebook printed {' '.join(found['emotions'])}", advice)
    return Check("yes", "notebook", f"a kernel starts and runs a tiny notebook ({found['seconds']:.0f} s)")


def judge_network(found):
    """With --offline: was another host refused?"""
    if found.get("off") and "off for this check" in found["said"]:
        return Check("yes", "network", "off for all lines below: other hosts are refused")
    return Check("no", "network", "could not be switched off for this check, so it proves nothing",
                 "A program of yours may replace sitecustomize; switch Wi-Fi off and call this again.")


def judge_bundle(expected, found, root=ROOT):
    """``expected``, ``found``: {path: SHA-256} of the manifest and of the folder. What a reader edits may differ."""
    missing = [path for path in expected if path not in found]
    changed = [path for path in expected if path in found and found[path] != expected[path]]
    edited = [path for path in changed if path.endswith((".ipynb", ".md"))]
    broken = missing + [path for path in changed if path not in edited]
    if broken:
        return Check("no", "bundle", f"{len(broken)} of {len(expected)} files are missing or damaged: "
                     f"{', '.join(broken[:3])}{', …' * (len(broken) > 3)}", "Unpack the zip again into a new folder.")
    if edited:
        return Check("yes", "bundle", f"{len(expected)} files, whole; edited since: {', '.join(edited[:3])}"
                     f"{', …' * (len(edited) > 3)}")
    return Check("yes", "bundle", f"all {len(expected)} files are as they were packed")


def clock(importing, drawing, step, stored=()):
    """{notebook: (minutes as things are, minutes if all is trained anew)} on this machine, from measured seconds.

    A notebook is its imports, a base, which goes by how fast one core draws faces, and its epochs, which go by the
    step. ``stored``: notebooks all of whose runs are there already.
    """
    minutes = {}
    for number, base in BASE.items():
        least = importing + base * drawing / DRAWING
        training = sum(epochs * (STEPS * step + CHECKPOINT) * (SMALL if network == "resnet18" else 1)
                       for network, epochs in TRAININGS.get(number, ()))
        minutes[number] = ((least + training * (number not in stored)) / 60, (least + training) / 60)
    return minutes


# The table


def marks(encoding):
    """What stands for yes, no and aside; plain letters where the terminal has no ticks."""
    try:
        "✓✗–→".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return {"yes": "+", "no": "X", "aside": "-", "do": "->"}
    return {"yes": "✓", "no": "✗", "aside": "–", "do": "→"}


def lines(check, signs, width=80):
    """A check as lines of text, never wider than ``width`` but for what cannot be broken."""
    options = {"width": width, "break_long_words": False, "break_on_hyphens": False}
    head = textwrap.wrap(check.found, initial_indent=f"{signs[check.state]} {check.name:<13}",
                         subsequent_indent=" " * 15, **options)
    return head + (textwrap.wrap(check.advice, initial_indent=f"               {signs['do']} ",
                                 subsequent_indent=" " * 17, **options) if check.advice else [])


def clock_lines(minutes, titles):
    """The minutes of each notebook as a table."""
    yield f"\nMinutes on this machine{'':21}as it is now   trained anew"
    for number, (now, anew) in minutes.items():
        if number in titles:
            more = f"{anew:15.1f}" if number in TRAININGS else ""
            yield f"  {number} {titles[number]:<39}{max(now, 0.1):12.1f}{more}"
    yield from textwrap.wrap(
        "Computed: the imports as timed above; what a notebook does beside training, measured once and scaled by how "
        f"fast the faces were drawn here; and for each epoch {STEPS:g} times the step (41 steps and the validation; "
        f"{SMALL:g} of that for ResNet-18) and a second for the checkpoint. Other work makes all of it slower.", 80)


def main(offline=False, out=print):
    """Check, print, return the exit code."""
    signs, checks = marks(getattr(sys.stdout, "encoding", None)), []

    def tell(check):
        checks.append(check)
        for line in lines(check, signs):
            out(line)

    tell(judge_python(sys.version_info))
    if checks[0].state == "no":
        return 1
    project = machine.read_project()
    ranges = project["dependencies"] + project["optional-dependencies"]["notebooks"]
    packages = judge_packages(ranges, machine.versions(ranges))
    tell(judge_memory(*machine.memory()))
    home = Path(os.environ.get("FER_UTILS_RUNS") or ROOT / "runs")
    tell(judge_disk(*machine.free_space(home), packages.state == "yes"))
    if (ROOT / machine.MANIFEST).exists():
        tell(judge_bundle(*machine.manifest_of()))
    tell(packages)
    tell(judge_browser(machine.browser()))
    facts = {}
    if packages.state == "yes":
        tell(judge_widgets(machine.extensions()))
        judges = {"network": judge_network, "imports": lambda found: judge_import(found, project["version"]),
                  "gpu": judge_gpu, "faces": judge_faces, "step": judge_step, "runs": judge_runs,
                  "kernel": judge_kernel}
        for part, found in machine.measure([part for part in judges if offline or part != "network"], offline):
            facts[part] = found
            for check in found_list(judges[part](found)):
                tell(check)
            if part == "imports" and "error" in found:
                break
    seconds = [facts.get(part, {}).get("seconds") for part in ("imports", "faces", "step")]
    if all(seconds):
        stored = started_from_stored(facts["runs"]) if "runs" in facts["runs"] else []
        titles = {path.stem[:2]: path.stem[3:].replace("_", " ") for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
        for line in clock_lines(clock(*seconds, stored), titles):
            out(line)
    crosses = [check.name for check in checks if check.state == "no"]
    out(f"\n{len(crosses)} to mend: {', '.join(crosses)}." if crosses else
        "\nReady" + (", also without a network." if offline else "."))
    return 1 if crosses else 0


def found_list(checks):
    return checks if isinstance(checks, list) else [checks]


def in_venv():
    return Path(sys.prefix).resolve() == VENV.resolve()


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("--offline", action="store_true", help="refuse all other hosts while the checks run")
    arguments = parser.parse_args()
    if not arguments.here and not in_venv() and works():
        sys.exit(subprocess.run([str(PYTHON), *map(os.path.abspath, sys.argv[:1]), *sys.argv[1:]]).returncode)
    sys.exit(main(arguments.offline))
