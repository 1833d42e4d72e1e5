"""What the course finds on this machine: facts, which preflight.py judges.

It is not called by itself. Python alone measures the first half. For the second, which is the course's own code,
``measure`` starts this file as a process of its own that says a line of JSON for each part: so nothing that fails
there, not even a crash of torch, ends the preflight.
"""

import hashlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import webbrowser
from importlib import metadata
from pathlib import Path
from statistics import median
from time import perf_counter

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parent
MANIFEST = "MANIFEST.sha256"  # of a workshop bundle
BATCH = 62  # of the recipe quick, whose steps are timed
PROBE_CELLS = ("import sys, fer_utils\nprint(sys.prefix, fer_utils.__file__, sep='\\n')",
               "from fer_course.labs import center_lab\nfrom fer_utils import plots\n"
               "from fer_utils.emotions import EMOTIONS\nprint(*EMOTIONS)")


# With Python alone


def read_project(root=ROOT):
    import tomllib

    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def versions(ranges):
    """{name: installed version or None}."""
    found = {}
    for requirement in ranges:
        name = requirement.split(">=")[0]
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def memory():
    """(total, available) bytes; a container's limit counts where there is one."""
    try:
        import psutil

        total, available = psutil.virtual_memory()[:2]
    except ImportError:
        try:
            page = os.sysconf("SC_PAGE_SIZE")
            total, available = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
        except (AttributeError, ValueError, OSError):
            return None, None
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        return min(total, limit), min(available, limit - used)
    except (OSError, ValueError):
        return total, available


def free_space(folder):
    """(bytes, the folder that is there) for a folder that may be yet to be made."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free, folder


def extensions():
    """Names of the installed extensions of JupyterLab."""
    try:
        from jupyter_core.paths import jupyter_path

        homes = [Path(home) for home in jupyter_path("labextensions")]
    except ImportError:
        homes = [Path(sys.prefix) / "share" / "jupyter" / "labextensions"]
    return {path.parent.relative_to(home).as_posix() for home in homes for pattern in ("*", "@*/*")
            for path in home.glob(f"{pattern}/package.json")}


def browser():
    """The name of the browser that Python would open, or None."""
    try:
        return getattr(webbrowser.get(), "name", None) or "found"
    except webbrowser.Error:
        return None


def manifest_of(root=ROOT):
    """{path: SHA-256} as the bundle's manifest says, and as the files there are."""
    lines = [line for line in (root / MANIFEST).read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    expected = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    there = [path for path in expected if (root / path).is_file()]
    return expected, {path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in there}


def measure(parts, offline=False):
    """What tools/machine.py finds, part by part, in a process of its own; ``offline``: with no other host to ask."""
    environment = dict(os.environ, PYTHONUTF8="1", PYTHONWARNINGS="ignore")
    if offline:
        places = [str(ROOT / "tools" / "offline"), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, places))
        environment["HF_HUB_OFFLINE"] = "1"
    left = list(parts)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen([sys.executable, str(ROOT / "tools" / "machine.py"), *parts], cwd=ROOT / "notebooks",
                                   env=environment, stdout=subprocess.PIPE, stderr=said, encoding="utf-8")
        try:
            for line in process.stdout:
                if line.startswith("{"):
                    found = json.loads(line)
                    left.remove(found["part"])
                    yield found.pop("part"), found
            code = process.wait()
        finally:
            process.kill()  # whoever asked may have heard enough
        said.seek(0)
        last = (said.read().strip().splitlines() or [""])[-1][:200]
    for part in left:
        yield part, {"error": f"the process ended with code {code}; {last or 'most often the memory ran out'}"}


# With the course's own code


def small_runs():
    """The plan of notebook 5: small networks, softmax and three rules for the centres at two values of α."""
    small = {"backbone": "resnet18", "epochs": 3}
    return [{**small, "lam": 0.0}, *({**small, "lam": 0.2, "update": update, "alpha": alpha}
                                     for update in ("adam", "sgd", "eq2") for alpha in (0.1, 1.9))]


# The runs that each notebook asks for with its default parameters, as changes of the recipe quick; a test compares
# them with the notebooks. ``NETWORKS``: of these the cells also ask the network itself, not only what it once answered.
RUNS = {"02": [{"lam": 0}], "04": [{"lam": 0}, {}, {"lam": 0.2 * BATCH, "epochs": 2}], "05": small_runs(),
        "06": [{"lam": 0}, {}], "08": [{"lam": 0}]}
NETWORKS = [{"lam": 0}, {}]


def needed_runs():
    """{name of a run's folder: {"notebooks": those that ask for it, "network": whether they need its weights}}."""
    from fer_utils.datasets import load_dataset
    from fer_utils.runs.run import run_id
    from fer_utils.training.recipe import get_recipe

    faces, needed = [load_dataset("synthetic", split=split) for split in ("train", "test")], {}
    for notebook, runs in RUNS.items():
        for changes in runs:
            name = run_id(get_recipe("quick", **changes), "synthetic", 0, *faces)
            about = needed.setdefault(name, {"notebooks": [], "network": changes in NETWORKS})
            about["notebooks"].append(notebook)
    return needed


def state_of(folder, network):
    """"missing", "found", or what is wrong with a finished run. ``network``: its weights must be there, too."""
    from safetensors import safe_open

    from fer_utils.runs.run import load_run

    folder = Path(folder)
    if not (folder / "metrics.json").exists():
        return "missing"
    try:
        run = load_run(folder)
        told = [len(run.history), len(run.predictions["labels"]), run.metrics["accuracy"], run.origin]
        weights = folder / "model.safetensors"
        if network or weights.exists():
            with safe_open(weights, "pt") as file:  # reads the names, and compares the length with what they need
                told.append(len(file.keys()))
    except Exception as error:  # whatever damaged bytes lead the readers of the formats to
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "found"


def imports():
    """That the package can be imported, from where, and how long that takes."""
    start = perf_counter()
    import torch

    import fer_utils
    from fer_course.labs import center_lab  # noqa: F401  (what notebooks import)
    from fer_utils import plots  # noqa: F401
    from fer_utils.runs import settings  # noqa: F401

    return {"seconds": perf_counter() - start, "package": str(Path(fer_utils.__file__).parent),
            "version": fer_utils.__version__, "threads": torch.get_num_threads(), "torch": torch.__version__}


def gpu():
    """Name and memory of the device that training takes."""
    import torch

    from fer_utils.training.setup import choose_device

    device = choose_device()
    if device.type != "cuda":
        return {"device": device.type, "name": "Apple's" if device.type == "mps" else None, "gigabytes": None}
    about = torch.cuda.get_device_properties(device)
    return {"device": "cuda", "name": about.name, "gigabytes": about.total_memory / 1e9}


def faces():
    """The fingerprints of the embedded faces, and the seconds that it takes to draw 700 of them anew."""
    from fer_utils import faces as room
    from fer_utils.datasets import load_dataset
    from fer_utils.datasets.synthetic import SYNTHETIC

    prints = {split: load_dataset("synthetic", split=split).fingerprint for split in SYNTHETIC}
    seconds = []
    for _ in range(3):
        start = perf_counter()
        images, labels = room.synthetic_faces(*SYNTHETIC["test"])
        seconds.append(perf_counter() - start)
    drawn = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    test = load_dataset("synthetic", split="test")
    stored = hashlib.sha256(test.images.tobytes() + test.labels.tobytes()).hexdigest()
    return {"fingerprints": prints, "seconds": median(seconds), "cache_is_fresh": drawn == stored}


def step(timed=3):
    """Seconds of one training step of ResNet-50 at 48 px by the recipe quick, centre loss included."""
    import torch

    from fer_utils.datasets import load_dataset
    from fer_utils.training.loop import train_epoch
    from fer_utils.training.recipe import get_recipe
    from fer_utils.training.setup import choose_device, make_accelerator, prepare
    from fer_utils.transforms import channel_statistics

    class Nothing:
        def update(self, size):
            pass

    train, recipe = load_dataset("synthetic"), get_recipe("quick")
    accelerator = make_accelerator(choose_device(), recipe)
    parts = prepare(recipe, 0, accelerator, 1 + timed)
    images, labels = (torch.tensor(array[:BATCH]).to(accelerator.device) for array in (train.images, train.labels))
    mean, std = channel_statistics(train.images)
    seconds = []
    for epoch in range(1 + timed):  # each "epoch" is one batch, and ends when its numbers are read back
        start = perf_counter()
        row = train_epoch(images, labels, recipe, {"mean": mean, "std": std}, accelerator, parts, 0, epoch + 1,
                          Nothing())
        seconds.append(perf_counter() - start)
    return {"seconds": median(seconds[1:]), "device": accelerator.device.type,
            "precision": accelerator.mixed_precision.replace("no", "fp32"), "loss": row["cross_entropy"]}


def runs():
    """What is stored of the runs that the notebooks ask for: {name: {"state", "notebooks", "network"}}."""
    from fer_utils.runs.run import default_runs_dir

    home = default_runs_dir()
    return {"folder": str(home), "runs": {name: {**about, "state": state_of(home / name, about["network"])}
                                          for name, about in needed_runs().items()}}


def kernel():
    """A notebook of two cells, run as the course runs its own: where its kernel's Python and package are."""
    import nbformat

    sys.path.insert(0, str(TOOLS))
    from execute import execute

    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.ipynb"
        cells = [nbformat.v4.new_code_cell(source) for source in PROBE_CELLS]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        first, second = execute(path, Path(folder) / "out.ipynb", timeout=120).cells
    prefix, package = first.outputs[0]["text"].split("\n")[:2]
    return {"prefix": prefix, "own": str(Path(prefix).resolve()) == str(Path(sys.prefix).resolve()),
            "package": str(Path(package).parent), "emotions": second.outputs[0]["text"].split(),
            "seconds": perf_counter() - start}


def network():
    """Whether another host can be asked: 192.0.2.1 belongs to nobody, so that even a try disturbs nobody."""
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=2).close()
    except TimeoutError:
        return {"off": False}  # it was let out, and nobody answered
    except OSError as error:
        return {"off": True, "said": str(error)}
    return {"off": False}


PARTS = {"network": network, "imports": imports, "gpu": gpu, "faces": faces, "step": step, "runs": runs,
         "kernel": kernel}


def main(names):
    """Measure the parts in turn; each is told as soon as it is known."""
    for name in names:
        try:
            found = PARTS[name]()
        except BaseException as error:  # a part that fails is a finding
            found = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        print(json.dumps({"part": name, **found}), flush=True)
    sys.stdout.flush()
    if platform.system() != "Windows":
        os._exit(0)  # all is said; what torch and kernels still tidy up must not turn it into a failure


if __name__ == "__main__":
    main(sys.argv[1:])
