"""The preflight: every cross with its advice, the clock, the switch of the network, and what it prints."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import machine
import nbformat
import preflight
import pytest
from execute import NOTEBOOKS

from fer_utils.datasets import load_dataset
from fer_utils.runs.settings import check_parameters
from fer_utils.training.recipe import get_recipe
from fer_utils.version import __version__

ROOT = Path(__file__).resolve().parents[2]
GB = 10**9
SIGNS = preflight.marks("utf-8")
IMPORTED = {"seconds": 3.2, "package": str(ROOT / "fer_utils"), "version": __version__, "threads": 2, "torch": "2.14.1"}
KERNEL = {"own": True, "prefix": "/env", "package": str(ROOT / "fer_utils"), "emotions": preflight.EMOTIONS,
          "seconds": 9}
DRAWN = {"fingerprints": preflight.FINGERPRINTS, "seconds": 0.5, "cache_is_fresh": True}


def stored(**states):
    """What ``machine.runs`` finds, each run in the state that is given, all the others stored."""
    names = {"softmax": ["02", "04", "06", "08"], "center": ["04", "06"], "literal": ["04"], "small": ["05"]}
    return {"folder": "runs", "runs": {name: {"state": states.get(name, "found"), "notebooks": notebooks}
                                       for name, notebooks in names.items()}}


# Ticks and crosses


@pytest.mark.parametrize("check", [
    preflight.judge_python((3, 11, 0)), preflight.judge_python((3, 14, 1, "final", 0)),
    preflight.judge_memory(16 * GB, 8 * GB), preflight.judge_disk(10 * GB, "here", installed=True),
    preflight.judge_packages(["numpy>=2.0"], {"numpy": "2.0"}),
    preflight.judge_packages(["torch>=2.9"], {"torch": "2.14.1+cu130"}),
    preflight.judge_widgets({"@jupyter-widgets/jupyterlab-manager", "anywidget", "more"}),
    preflight.judge_browser("firefox"), preflight.judge_import(IMPORTED, __version__),
    preflight.judge_gpu({"device": "cuda", "name": "H100", "gigabytes": 85.0}), preflight.judge_faces(DRAWN),
    preflight.judge_step({"seconds": 0.3, "device": "cpu", "precision": "bf16"}), *preflight.judge_runs(stored()),
    preflight.judge_kernel(KERNEL), preflight.judge_bundle({"a.py": "1"}, {"a.py": "1"}),
    preflight.judge_network({"off": True, "said": "the network is off for this check, and X was asked for"}),
], ids=lambda check: check.name)
def test_what_is_in_order_gets_a_tick(check):
    assert check.state == "yes" and not check.advice


@pytest.mark.parametrize("check, found, advice", [
    (preflight.judge_python((3, 10, 12)), "3.10.12, and the course needs 3.11", "python3.11 tools/preflight.py"),
    (preflight.judge_python((2, 7)), "2.7", "Install"),
    (preflight.judge_memory(8 * GB, 1.2 * GB), "1.2 GB free of 8.0 GB", "Close other programs"),
    (preflight.judge_memory(2 * GB, 1.2 * GB), "1.2 GB free of 2.0 GB", "too small for the trainings"),
    (preflight.judge_disk(1.5 * GB, "here", installed=True), "1.5 GB free in here; 2 GB", "FER_UTILS_RUNS"),
    (preflight.judge_disk(4 * GB, "here", installed=False), "5 GB are needed, packages included", "Free some space"),
    (preflight.judge_packages(["numpy>=2.0", "tqdm>=4.66"], {"numpy": "2.1", "tqdm": None}), "tqdm is missing",
     "tools/environment.py"),
    (preflight.judge_packages(["numpy>=2.0", "tqdm>=4.66"], {"numpy": "1.26.4", "tqdm": "4.70"}),
     "numpy 1.26.4 is older than 2.0", "pip install -c constraints.txt"),
    (preflight.judge_packages(["numpy>=2.0"], {}), "none of the course's packages", "tools/environment.py makes .venv"),
    (preflight.judge_widgets({"anywidget"}), "ipywidgets|jupyterlab-widgets", "reload the page"),
    (preflight.judge_widgets(set()), "jupyterlab-widgets and anywidget", "--force-reinstall"),
    (preflight.judge_import({"error": "ModuleNotFoundError: no fer_utils"}, "0.1.0"), "no fer_utils", "--no-deps"),
    (preflight.judge_import({**IMPORTED, "package": "/other/fer_utils"}, "0.1.0"), "/other/fer_utils, not from this",
     "--no-deps"),
    (preflight.judge_import(IMPORTED, "9.9.9"), f"says version {__version__}, this course is 9.9.9", "--no-deps"),
    (preflight.judge_gpu({"error": "RuntimeError: driver"}), "driver", 'device = "cpu"'),
    (preflight.judge_faces({"error": "FerError: the cache cannot be written"}), "cannot be written", "Mend"),
    (preflight.judge_faces({**DRAWN, "fingerprints": {**preflight.FINGERPRINTS, "test": "0"}}), "faces of test are not",
     "constraints.txt numpy"),
    (preflight.judge_faces({**DRAWN, "cache_is_fresh": False}), "in the cache", "cache --clear"),
    (preflight.judge_step({"error": "FerError: epoch 1: out of memory"}), "out of memory", "close other programs"),
    (preflight.judge_runs({"error": "FerError: unreadable"})[0], "unreadable", "Mend"),
    (preflight.judge_runs(stored(center="SafetensorError: cut"))[0], "center is damaged: SafetensorError: cut",
     "Unpack it again"),
    (preflight.judge_kernel({"error": "RuntimeError: Kernel died"}), "Kernel died", "ipykernel install"),
    (preflight.judge_kernel({**KERNEL, "own": False}), "another Python, /env", "ipykernel install"),
    (preflight.judge_kernel({**KERNEL, "package": "/other/fer_utils"}), "imports fer_utils from /other", "--no-deps"),
    (preflight.judge_kernel({**KERNEL, "emotions": ["joy"]}), "printed joy", "ipykernel"),
    (preflight.judge_bundle({"a.py": "1", "b.py": "2"}, {"a.py": "1"}), "1 of 2 files are missing or damaged: b.py",
     "Unpack the zip again"),
    (preflight.judge_bundle({"a.py": "1"}, {"a.py": "x"}), "a.py", "Unpack the zip again"),
    (preflight.judge_network({"off": False}), "could not be switched off", "Wi-Fi"),
    (preflight.judge_network({"off": True, "said": "Connection refused"}), "could not be switched off", "Wi-Fi"),
])
def test_each_cross_says_what_is_wrong_and_what_to_do(check, found, advice):
    assert check.state == "no"
    assert re.search(found, check.found) and re.search(advice, check.advice)


@pytest.mark.parametrize("check, found", [
    (preflight.judge_memory(None, None), "does not tell"),
    (preflight.judge_memory(4 * GB, 2 * GB), "one notebook at a time"),
    (preflight.judge_browser(None), "address that JupyterLab prints"),
    (preflight.judge_gpu({"device": "cpu", "name": None, "gigabytes": None}), "none, and none is needed"),
    (preflight.judge_runs(stored(literal="missing"))[0], "02, 05, 06, 08 start from them; 04 will train"),
    (preflight.judge_runs(stored(softmax="missing", center="missing", small="missing"))[0],
     "1 of 4 in runs; 02, 04, 05 will train"),
])
def test_what_stops_nobody_is_no_cross(check, found):
    assert check.state == "aside" and found in check.found


def test_edited_notebooks_and_pages_are_no_damage_to_a_bundle():
    check = preflight.judge_bundle({"notebooks/01.ipynb": "1", "a.py": "2"}, {"notebooks/01.ipynb": "x", "a.py": "2"})
    assert check.state == "yes" and "edited since: notebooks/01.ipynb" in check.found


def test_the_apples_gpu_is_named():
    assert "(mps)" in preflight.judge_gpu({"device": "mps", "name": "Apple's", "gigabytes": None}).found


def test_a_manifest_is_read_and_its_files_are_hashed(tmp_path):
    (tmp_path / "a b.txt").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / machine.MANIFEST).write_text(f"# course\n{empty}  a b.txt\n{empty}  gone.txt\n")
    expected, found = machine.manifest_of(tmp_path)
    assert expected == {"a b.txt": empty, "gone.txt": empty} and found == {"a b.txt": empty}


# What is measured


def test_this_environment_passes_what_python_alone_can_measure():
    project = machine.read_project()
    ranges = project["dependencies"] + project["optional-dependencies"]["notebooks"]
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", requirement) for requirement in ranges)
    assert preflight.judge_packages(ranges, machine.versions(ranges)).state == "yes"
    assert preflight.judge_widgets(machine.extensions()).state == "yes"
    total, available = machine.memory()
    assert GB < available <= total
    free, folder = machine.free_space(ROOT / "not" / "there")
    assert free > 0 and folder == ROOT


def test_the_faces_that_are_expected_are_those_that_are_drawn():
    for split, fingerprint in preflight.FINGERPRINTS.items():
        assert load_dataset("synthetic", split=split).fingerprint == fingerprint


def test_a_part_that_fails_and_a_process_that_dies_are_findings(monkeypatch, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "tools").mkdir()
    program = tmp_path / "tools" / "machine.py"
    program.write_text("import os, sys\nprint('{\"part\": \"imports\", \"seconds\": 1}', flush=True)\n"
                       "print('Killed by the weather', file=sys.stderr, flush=True)\nos._exit(9)\n")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    (first, found), (second, lost) = machine.measure(["imports", "step"])
    assert (first, found, second) == ("imports", {"seconds": 1}, "step")
    assert lost["error"] == "the process ended with code 9; Killed by the weather"


def test_parts_say_a_line_of_json_each_and_an_error_in_one_ends_none():
    code = ("import machine\nmachine.PARTS = {'gpu': lambda: {'device': 'cpu'}, 'step': lambda: 1 / 0}\n"
            "machine.main(['step', 'gpu'])")
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "tools", capture_output=True, text=True)
    first, second = map(json.loads, answer.stdout.splitlines())
    assert first == {"part": "step", "error": "ZeroDivisionError: division by zero"}
    assert second == {"part": "gpu", "device": "cpu"} and answer.returncode == 0


def test_stored_runs_are_missing_found_or_damaged(tmp_path):
    import numpy as np
    import torch
    from safetensors.torch import save_file

    folder = tmp_path / "run"
    folder.mkdir()
    assert machine.state_of(folder, True) == "missing"
    for name, content in (("config", {}), ("environment", {"hardware": "an abacus"}), ("history", [{"epoch": 1}]),
                          ("metrics", {"accuracy": 0.5, "seconds": 1})):
        (folder / f"{name}.json").write_text(json.dumps(content))
    np.savez(folder / "predictions.npz", labels=np.zeros(3))
    assert machine.state_of(folder, network=False) == "found"
    assert "FileNotFoundError" in machine.state_of(folder, network=True)
    save_file({"weight": torch.zeros(1000)}, folder / "model.safetensors")
    assert machine.state_of(folder, network=True) == "found"
    with open(folder / "model.safetensors", "rb+") as file:
        file.truncate(2000)
    assert "SafetensorError" in machine.state_of(folder, network=False)
    (folder / "predictions.npz").write_bytes(b"half")
    assert "Error" in machine.state_of(folder, network=True)
    (folder / "config.json").write_text("{")
    assert "not a finished run" in machine.state_of(folder, network=True)


def test_the_runs_are_those_that_the_notebooks_ask_for():
    """The notebooks' own lines, and, for notebook 5, the plan that its own cells make."""
    lines = {}
    for number in machine.RUNS:
        (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
                 and not {"stub", "exercise", "solution"} & set(cell.metadata.get("tags", []))]
        lines[number] = {ast.unparse(node) for cell in cells for node in ast.walk(ast.parse(cell.source))
                         if isinstance(node, ast.Call) and ast.unparse(node.func) == "settings.run"}
    center = {call for call in lines["04"] if "on_epoch" in call}
    assert lines["02"] == {"settings.run(lam=0)"} and len(center) == 1
    literal = "settings.run(lam=0.2 * settings.recipe.batch_size, epochs=2)"
    assert lines["04"] == {"settings.run(lam=0)", literal, *center}
    assert lines["05"] == {"settings.run(**row)"} and lines["06"] == {"settings.run(lam=0)", "settings.run()"}
    assert all("on_epoch" in call and "lam" not in call for call in lines["08"])  # its parameter lam is 0
    assert machine.RUNS["04"] == [{"lam": 0}, {}, {"lam": 0.2 * get_recipe("quick").batch_size, "epochs": 2}]
    (path,) = NOTEBOOKS.glob("05_*.ipynb")
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    space = {}
    exec(next(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])), space)
    space["settings"] = check_parameters(recipe=space["recipe"], overrides=space["overrides"], alphas=space["alphas"],
                                         lams=space["lams"], seeds=space["seeds"])
    plan = next(node for cell in cells for node in [ast.parse(cell.source)]
                if any(isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "plan" for line in node.body))
    exec(compile(ast.Module([line for line in plan.body if isinstance(line, ast.Assign)], []), "05", "exec"), space)
    asked = [{**row, **space["overrides"]} for row in space["plan"]]
    seeds = {row.pop("seed") for row in asked}
    recipes = [get_recipe("quick", **row).effective() for row in asked]
    assert seeds == {0} and recipes == [get_recipe("quick", **row).effective() for row in machine.RUNS["05"]]


# The network off


def inside(code, **environment):
    """What a Python prints that has the network switched off."""
    place = os.pathsep.join([str(ROOT / "tools" / "offline"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": place, **environment})


@pytest.mark.parametrize("call", [
    "socket.create_connection(('192.0.2.1', 80), timeout=5)", "socket.getaddrinfo('example.org', 80)",
    "socket.gethostbyname('example.org')", "urllib.request.urlopen('http://example.org', timeout=5)",
    "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    "subprocess.run([sys.executable, '-c', 'import socket; socket.getaddrinfo(\"example.org\", 1)'], check=True)",
])
def test_with_the_network_off_other_hosts_are_refused_in_children_too(call):
    answer = inside(f"import socket, subprocess, sys, urllib.request\n{call}")
    assert answer.returncode == 1 and "the network is off for this check" in answer.stderr


def test_with_the_network_off_this_machine_still_answers():
    answer = inside("import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
                    "socket.create_connection(('localhost', server.getsockname()[1]), timeout=5)\n"
                    "print(len(socket.getaddrinfo(None, 80)) > 0)")
    assert answer.stdout == "True\n", answer.stderr


def test_the_switch_is_noticed():
    code = "import sys; sys.path.insert(0, 'tools'); import machine; print(machine.network())"
    place = os.pathsep.join([str(ROOT / "tools" / "offline"), os.environ.get("PYTHONPATH", "")])
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT,
                            env={**os.environ, "PYTHONPATH": place})
    assert preflight.judge_network(ast.literal_eval(answer.stdout)).state == "yes"


# The clock


def test_the_clock_adds_imports_a_base_and_the_epochs():
    minutes = preflight.clock(6, preflight.DRAWING, 0.3)
    epochs = 6 * (preflight.STEPS * 0.3 + preflight.CHECKPOINT)
    assert minutes["02"] == pytest.approx(((6 + preflight.BASE["02"] + epochs) / 60,) * 2)
    assert minutes["03"] == pytest.approx(((6 + preflight.BASE["03"]) / 60,) * 2)
    now, anew = preflight.clock(6, preflight.DRAWING, 0.3, stored=["04"])["04"]
    assert anew - now == pytest.approx(epochs * 8 / 6 / 60) and now == pytest.approx((6 + preflight.BASE["04"]) / 60)
    slower = preflight.clock(6, 2 * preflight.DRAWING, 0.3)["03"][0]
    assert slower == pytest.approx((6 + 2 * preflight.BASE["03"]) / 60)


def test_the_clock_tells_what_was_measured():
    """The first call of `make course` on an idle machine with two cores took 399 s, notebooks 1 to 6, with a step of
    62 images at 225.9 images a second (docs/benchmarks.md) and imports of some 5 s."""
    minutes = preflight.clock(5, preflight.DRAWING, 62 / 225.9)
    assert 60 * sum(now for number, (now, _) in minutes.items() if number <= "06") == pytest.approx(399, rel=0.1)


def test_the_clock_counts_the_trainings_that_are_new_in_each_notebook():
    seen = set()
    for number, runs in machine.RUNS.items():
        recipes = [get_recipe("quick", **changes) for changes in runs]
        new = [recipe for recipe in recipes if recipe not in seen]
        seen |= set(recipes)
        assert preflight.TRAININGS.get(number, []) == [(recipe.backbone, recipe.epochs) for recipe in new]
    assert set(preflight.BASE) >= {path.name[:2] for path in NOTEBOOKS.glob("0[1-7]*.ipynb")}


# What is printed


def test_lines_fit_into_80_columns_and_keep_every_word():
    check = preflight.Check("no", "packages", "numpy " * 40, "python -m pip install " * 12)
    printed = preflight.lines(check, SIGNS)
    assert all(len(line) <= 80 for line in printed)
    assert printed[0].startswith("✗ packages     numpy") and "               → python -m pip" in "\n".join(printed)
    assert " ".join(printed).split().count("numpy") == 40 and " ".join(printed).split().count("install") == 12


def test_a_terminal_without_ticks_gets_letters():
    for encoding in ("cp1252", "ascii", None, "unknown"):
        signs = preflight.marks(encoding)
        assert "".join(signs.values()).isascii() and len(set(signs.values())) == 4
    assert preflight.marks("utf-8")["no"] == "✗"


@pytest.fixture
def measured(monkeypatch):
    """``main`` on a machine that is in order, but for the parts that are given."""
    def run(offline=False, **parts):
        facts = {"network": {"off": True, "said": "off for this check"}, "imports": IMPORTED,
                 "gpu": {"device": "cpu", "name": None, "gigabytes": None}, "faces": DRAWN,
                 "step": {"seconds": 0.3, "device": "cpu", "precision": "bf16"}, "runs": stored(), "kernel": KERNEL}
        monkeypatch.setattr(machine, "measure", lambda names, offline: [(name, {**facts, **parts}[name])
                                                                        for name in names])
        monkeypatch.setattr(machine, "memory", lambda: (16 * GB, 8 * GB))
        monkeypatch.setattr(machine, "free_space", lambda folder: (50 * GB, folder))
        printed = []
        return preflight.main(offline, printed.append), printed
    return run


def test_a_machine_in_order_is_ready_and_gets_its_minutes(measured):
    code, printed = measured()
    assert code == 0 and printed[-1] == "\nReady."
    table = "\n".join(printed)
    assert all(f"\n  {path.stem[:2]} " in table for path in NOTEBOOKS.glob("0[1-7]*.ipynb"))
    assert max(map(len, table.splitlines())) <= 80 or "/" in max(table.splitlines(), key=len)
    code, printed = measured(offline=True)
    assert code == 0 and "without a network" in printed[-1] and any("network" in line for line in printed[:-1])


@pytest.mark.parametrize("parts, name", [
    ({"step": {"error": "FerError: out of memory"}}, "training"), ({"kernel": {**KERNEL, "own": False}}, "notebook"),
    ({"runs": stored(small="damaged")}, "stored run"), ({"imports": {"error": "ImportError: torch"}}, "fer_utils"),
])
def test_one_cross_is_an_exit_code_and_is_named_at_the_end(measured, parts, name):
    code, printed = measured(**parts)
    assert code == 1 and printed[-1] == f"\n1 to mend: {name}."


def test_without_any_package_it_says_what_to_do_and_stops():
    answer = subprocess.run([sys.executable, "-S", ROOT / "tools" / "preflight.py", "--here"], capture_output=True,
                            text=True, encoding="utf-8", env={**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": ""})
    assert answer.returncode == 1 and "Traceback" not in answer.stderr
    assert "✗ packages" in answer.stdout and "tools/environment.py" in answer.stdout
    assert "1 to mend: packages." in answer.stdout
