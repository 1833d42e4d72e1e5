"""Pack the course for a workshop without a network: one zip that is unpacked, checked and worked in.

    python tools/bundle.py    writes build/cl-resnet50-course-VERSION.zip and says how large it is

In it are the files of the last commit (without tests and the large networks of results/), the runs with which the
notebooks start, the notebooks for students and instructors, the pages in build/ where they were made, a START page,
and a manifest with the SHA-256 of every file, which ``python tools/preflight.py`` compares in the unpacked folder.
Nothing of a run on real data is in it. The same commit, runs and pages give the same zip, byte for byte.
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import preflight
import workshop
from environment import ROOT, enter, parser, project
from execute import has_injected

NAME = "cl-resnet50-course"
LEFT_OUT = ("results/networks/", "tests/", ".")  # how the paths begin of what is large, or for contributors alone
RUN_FILES = ("config.json", "environment.json", "history.json", "metrics.json", "predictions.npz")
WEIGHTS = "model.safetensors"
STUDENT = "build/workshop/student/"
PACKED = (".png", ".npz", ".zip")  # not worth compressing again
SMALL_FACES = 64  # so many test faces must get the same answers from a network in half precision
STEPS = [
    ("The day before, with a network, on each machine",
     "Unpack the zip. In its folder call the line below; it makes .venv and installs the packages, once, in some "
     "minutes. README.md has a line for PyTorch without CUDA, which is much smaller.",
     ["python tools/environment.py"]),
    ("Check the machine; no network is needed from here on",
     "Each cross in the table says what to do.",
     ["python tools/preflight.py --offline"]),
    ("Begin",
     "Open {first} in the browser's list. A cell that trains finds a stored run and says so.",
     [".venv/bin/jupyter lab build/workshop/student",
      r".venv\Scripts\jupyter lab build/workshop/student   (Windows)"]),
]


def main():
    """Gather, write, tell; what stands in the way ends it, with a message that says what to do."""
    from fer_utils.runs.run import default_runs_dir

    version = project()["version"]
    workshop.main()
    commit, stamp, files = committed(ROOT)
    files.update(stored_runs(default_runs_dir(), preflight.needed_runs()))
    files.update(pages(ROOT))
    target = ROOT / "build" / f"{NAME}-{version}.zip"
    count = write(target, files, version, commit, stamp)
    print(f"{target}: {count} files, {target.stat().st_size / 1e6:.0f} MB")


def committed(root):
    """(commit, its time in seconds, {path: bytes}) of what git has at HEAD, but for ``LEFT_OUT``."""
    def git(*arguments):
        command = ["git", "-c", "core.autocrlf=false", "-c", "core.eol=lf", *arguments]  # one zip on every system
        return subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True).stdout

    try:
        commit, stamp = git("show", "-s", "--format=%H %ct", "HEAD").decode().split()
        changed = git("status", "--porcelain", "--untracked-files=no").decode().splitlines()
        archive = git("archive", "--format=tar", "HEAD")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{root}: a bundle is packed from a git checkout, and git cannot read one here ({error}). Clone the "
                 "repository, and call this there.")
    if changed:
        print(f"Not committed, and so not in the bundle as they are now: {', '.join(line[3:] for line in changed)}")
    files = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            if member.isfile() and not member.name.startswith(LEFT_OUT):
                files[member.name] = tar.extractfile(member).read()
    return commit, int(stamp), files


def stored_runs(home, needed):
    """{path in the bundle: bytes} of the runs that the notebooks ask for. ``needed``: of ``preflight.needed_runs``.

    A network goes along where a notebook asks it. A run that is missing, damaged or on real data is refused.
    """
    from fer_utils.runs.run import load_run

    files = {}
    states = {name: preflight.state_of(home / name, notebooks) for name, notebooks in needed.items()}
    bad = {name: state for name, state in states.items() if state != "found"}
    if bad:
        numbers = sorted({number for name in bad for number in needed[name]} - {"06"})  # it trains nothing
        sys.exit("\n".join([f"These runs of the notebooks are not in {home}:",
                            *(f"  {name}: {state}" for name, state in bad.items()),
                            f"python tools/course.py --only {' '.join(numbers)} trains them (delete damaged ones "
                            "first)."]))
    for name, notebooks in needed.items():
        run = load_run(home / name)
        if run.config["dataset"] != "synthetic":
            sys.exit(f"{run.folder}: a run on {run.config['dataset']}; only runs on the drawn faces are packed.")
        for part in RUN_FILES:
            files[f"runs/{name}/{part}"] = (run.folder / part).read_bytes()
        if preflight.ASKS_NETWORKS in notebooks:
            files[f"runs/{name}/{WEIGHTS}"] = weights(run)
    return files


def weights(run):
    """The run's network as the bytes of a file; in half precision where it then gives the same answers bit for bit."""
    import numpy as np

    from fer_lab import half_precision
    from fer_utils.evaluation import predict
    from fer_utils.model import CLResNet50

    images = np.random.default_rng(0).integers(0, 256, (SMALL_FACES, 48, 48), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = half_precision.export_half(run, Path(folder) / "half") / half_precision.WEIGHTS
        small = CLResNet50(len(run.config["classes"]), backbone=run.config["recipe"]["backbone"], weights=str(path))
        answers = [predict(network, images, **run.config["inputs"]) for network in (run.model, small.eval())]
        same = all(np.array_equal(one, other) for one, other in zip(*answers))
        return (path if same else run.folder / WEIGHTS).read_bytes()


def pages(root):
    """{path: bytes} of what build/ holds for readers: the workshop's notebooks and the site.

    A notebook to which parameters were given from outside may show faces of real people: it stays here.
    """
    return {path.relative_to(root).as_posix(): path.read_bytes()
            for folder in ("workshop", "site") for path in sorted((root / "build" / folder).rglob("*"))
            if path.is_file() and ".ipynb_checkpoints" not in path.parts
            and not (path.suffix == ".ipynb" and has_injected(path))}


def write(target, files, version, commit, stamp):
    """Write the zip, whole or not at all, with START pages and manifest; returns how many files are in it.

    ``files``: {path: bytes}; ``stamp``: seconds, the time that every file in it gets.
    """
    from fer_utils.atomic import written_whole

    contents = {**files, **start(files, version)}
    listing = [f"# {NAME} {version}, commit {commit}",
               *(f"{hashlib.sha256(contents[path]).hexdigest()}  {path}" for path in sorted(contents))]
    contents[preflight.MANIFEST] = ("\n".join(listing) + "\n").encode()
    when = time.gmtime(stamp)[:6]
    with written_whole(target) as part, zipfile.ZipFile(part, "w") as archive:
        for path in sorted(contents):
            entry = zipfile.ZipInfo(f"{NAME}-{version}/{path}", when)
            entry.compress_type = zipfile.ZIP_STORED if path.endswith(PACKED) else zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # the same on every system
            archive.writestr(entry, contents[path])
    return len(contents)


def start(files, version):
    """START.txt and START.html: what to do, in three steps."""
    from jinja2 import Environment, FileSystemLoader, select_autoescape

    first = min(path for path in files if path.startswith(STUDENT)).removeprefix(STUDENT)
    title = f"CL-ResNet50, rebuilt: the course, {version}"
    steps = [(head, text.format(first=first), commands) for head, text, commands in STEPS]
    links = [(path, words) for path, words in (
        ("build/site/index.html", "the site of the course"),
        ("docs/workshop.md", "the plan of a workshop"), ("README.md", "what all this is")) if path in files]
    web = Environment(loader=FileSystemLoader(ROOT / "tools" / "web"), autoescape=select_autoescape(["html.j2"]),
                      trim_blocks=True, lstrip_blocks=True)
    return {name: web.get_template(f"{name.lower()}.j2").render(title=title, steps=steps, links=links).encode()
            for name in ("START.txt", "START.html")}


if __name__ == "__main__":
    parser = parser(__doc__)
    enter(parser.parse_args().here)
    main()
