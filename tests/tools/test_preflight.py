"""The preflight: every cross with its advice, the stored runs, the switch of the network, and what it prints."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import execute
import nbformat
import numpy as np
import preflight
import torch
from nbformat.v4 import new_code_cell, new_notebook, new_output
from preflight import Check
from safetensors.torch import save_file

from fer_utils.datasets import load_dataset
from fer_utils.runs.run import run_id
from fer_utils.training.recipe import get_recipe
from fer_utils.version import __version__

ROOT = Path(__file__).resolve().parents[2]
GB = 10**9


def seen(target, value, check, *arguments):
    """What a check says where the function ``target`` returns ``value``."""
    with patch(target, lambda *_, **__: value):
        return check(*arguments)


def packages(**found):
    return preflight.check_packages(["numpy>=2.0", "torch>=2.9"], {"numpy": "2.1", "torch": "2.14.1"}, found)


def memory(total, available):
    return seen("psutil.virtual_memory", [total * GB, available * GB], preflight.check_memory)


def disk(free, installed):
    return seen("shutil.disk_usage", SimpleNamespace(free=free * GB), preflight.check_disk, ROOT / "a" / "b", installed)


def kernel(prefix, folder, version):
    """What is said of a kernel that prints this, in the folder /x with version 1."""
    printed = new_output("stream", text=f"{prefix}\n{folder}/fer_utils/__init__.py\n{version}\n")
    notebook = new_notebook(cells=[new_code_cell(outputs=[printed])])
    return seen("preflight.execute", notebook, preflight.check_kernel, "1", Path("/x"))


CHECKS = [  # (check, its state, what it finds, what it advises)
    (memory(16, 8), "yes", "8.0 GB free of 16.0 GB", ""),
    (memory(8, 1.2), "no", "1.2 GB free of 8.0 GB", "Close other programs"),
    (memory(2, 1.2), "no", "1.2 GB free of 2.0 GB", "too small for the trainings"),
    (memory(4, 2), "aside", "one notebook at a time", ""),
    (disk(2.5, True), "yes", f"2.5 GB free in {re.escape(str(ROOT))}$", ""),
    (disk(1.5, True), "no", "2 GB are needed$", "FER_UTILS_RUNS"),
    (disk(4, False), "no", "5 GB are needed, packages included", ""),
    (packages(numpy="2.1", torch="2.14.1+cu130"), "yes", "all 2", ""),
    (packages(numpy="2.0", torch="2.14.1"), "aside", r"numpy 2.0 \(tested: 2.1\)$", ""),
    (packages(numpy="1.26"), "no", "2 of 2 .*numpy 1.26 is older than 2.0, torch is missing", "tools/environment.py"),
    (seen("jupyterlab_server.config.get_federated_extensions", ["anywidget"], preflight.check_widgets), "no",
     "part of jupyterlab-widgets:", "reload the page"),
    (kernel("/another", "/x", "1"), "no", "another Python, /another", "ipykernel install"),
    (kernel(sys.prefix, "/y", "1"), "no", "fer_utils 1 from /y/fer_utils", "--no-deps"),
    (kernel(sys.prefix, "/x", "2"), "no", "fer_utils 2 from .*; this folder has 1", "--no-deps"),
]


def test_each_check_says_how_it_is_and_each_cross_what_to_do(monkeypatch):
    monkeypatch.setattr(preflight, "PROBE", "import no_such_package")
    wrong = []
    for check, state, found, advice in [*CHECKS, (preflight.check_kernel("1"), "no", "no_such_package", "--no-deps"),
                                        (preflight.check_network(), "no", "could not be switched off", "Wi-Fi")]:
        if check.state != state or not re.search(found, check.found) or not re.search(advice, check.advice) or (
                bool(check.advice) != (state == "no")):
            wrong.append(f"{check} where {state}, {found!r} and {advice!r} belong")
    assert not wrong, "\n".join(wrong)


def test_this_environment_is_ready():
    found = {check.name: (check.state, check.found) for check in preflight.checks(offline=False)}
    assert "no" not in {found[name][0] for name in ("Python", "packages", "widgets", "kernel")}, found
    assert found["kernel"][1] == f"a notebook runs, and imports fer_utils {__version__} of this folder"


def test_a_bundle_is_whole_edited_or_damaged(tmp_path):
    listing = "# course\n"
    for name in ("a b.py", "c.py", "d.ipynb"):
        (tmp_path / name).write_text(name)
        listing += f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n"
    (tmp_path / preflight.MANIFEST).write_text(listing)
    assert preflight.check_bundle(tmp_path) == Check("yes", "bundle", "all 3 files as they were packed")
    (tmp_path / "d.ipynb").write_text("a reader's own work")
    assert preflight.check_bundle(tmp_path).found.endswith("; edited since: d.ipynb")
    (tmp_path / "a b.py").write_text("cut")
    (tmp_path / "c.py").unlink()
    check = preflight.check_bundle(tmp_path)
    assert check.state == "no" and "2 of 3 files are missing or damaged: a b.py, c.py" in check.found


# The stored runs


def test_the_runs_are_those_that_todays_recipes_make_and_the_notebooks_print():
    needed, faces = preflight.needed_runs(), [load_dataset("synthetic", split=split) for split in ("train", "test")]
    softmax, center = (run_id(get_recipe("quick", **lam), "synthetic", 0, *faces) for lam in ({"lam": 0}, {}))
    assert needed.pop(softmax) == ["02", "04", "06", "08"] and needed.pop(center) == ["04", "06"]
    assert sorted(needed.values()) == [["04"], *11 * [["04", "05"]]]


def test_a_stored_run_is_missing_found_or_damaged(tmp_path):
    folder, needed = tmp_path / "run", {"run": ["02", "06"]}
    check = preflight.check_runs(tmp_path, needed)
    assert check.state == "aside" and f"0 of 1 in {tmp_path}; 02, 06 will train" in check.found
    folder.mkdir()
    for name, content in (("config", "{}"), ("environment", '{"hardware": "an abacus"}'), ("history", '[{"epoch": 1}]'),
                          ("metrics", '{"accuracy": 0.5, "seconds": 1}')):
        (folder / f"{name}.json").write_text(content)
    np.savez(folder / "predictions.npz", labels=np.zeros(3))
    assert preflight.state_of(folder, ["02"]) == "found"
    assert "FileNotFoundError" in preflight.state_of(folder, ["06"])  # it asks the network itself
    save_file({"weight": torch.zeros(1000)}, folder / "model.safetensors")
    assert preflight.check_runs(tmp_path, needed).state == "yes"
    with open(folder / "model.safetensors", "rb+") as file:
        file.truncate(2000)
    check = preflight.check_runs(tmp_path, needed)
    assert check.state == "no" and "run: SafetensorError" in check.found and "Unpack them again" in check.advice
    (folder / "predictions.npz").write_bytes(b"half")
    assert "Error" in preflight.state_of(folder, ["02"])


# The network off


REFUSED = """
import socket, subprocess, sys
import preflight
for call in (lambda: socket.create_connection(("192.0.2.1", 80), timeout=5),
             lambda: socket.getaddrinfo("example.org", 80), lambda: socket.gethostbyname("example.org"),
             lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53))):
    try:
        call()
    except OSError as error:
        print("the network is off for this check" in str(error))
child = "import socket; socket.getaddrinfo('example.org', 1)"
print(b"is off" in subprocess.run([sys.executable, "-c", child], capture_output=True).stderr)
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(("localhost", server.getsockname()[1]), timeout=60)
print(len(socket.getaddrinfo(None, 80)) > 0, preflight.check_network().state)
"""


def test_with_the_network_off_other_hosts_are_refused_in_children_too_and_this_machine_answers():
    place = os.pathsep.join([str(ROOT / "tools" / "offline"), str(ROOT / "tools"), os.environ.get("PYTHONPATH", "")])
    answer = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True,
                            env={**os.environ, "PYTHONPATH": place})
    assert answer.stdout.split() == [*6 * ["True"], "yes"], answer.stderr


# What is printed


def test_the_table_ends_with_what_is_to_mend_and_an_exit_code(tmp_path, monkeypatch, capsys):
    for name in ("01_first", "02_other"):
        nbformat.write(new_notebook(), tmp_path / f"{name}.ipynb")
    monkeypatch.setattr(execute, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(preflight, "read_minutes", lambda: {"01_first": 1.25})
    bad, good = Check("no", "disk", "full", "Free some."), Check("yes", "Python", "3.12")
    for checks, code, last in (([good, bad], 1, "1 to mend: disk."), ([good], 0, "Ready, also without a network.")):
        monkeypatch.setattr(preflight, "checks", lambda offline, checks=checks: iter(checks))
        assert preflight.main(offline=True) == code
        printed = capsys.readouterr().out
        assert printed.splitlines()[-1] == last and printed.startswith("✓ Python       3.12\n")
        assert "  01 first                          1.2\n" in printed
        assert "  02 other                          not measured here yet: make course" in printed


def test_without_any_package_it_says_what_to_do_and_stops():
    answer = subprocess.run([sys.executable, "-S", ROOT / "tools" / "preflight.py", "--here"], capture_output=True,
                            text=True, encoding="utf-8", env={**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": ""})
    assert answer.returncode == 1 and "Traceback" not in answer.stderr and "kernel" not in answer.stdout
    assert "1 to mend: packages." in answer.stdout
