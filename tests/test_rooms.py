"""The three packages: imports go one way, between packages and between rooms, and modules and packages stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {  # bottom to top; a package may import those before it that are named here
    "fer_utils": ["errors", "as_written", "atomic", "version", "emotions", "paper", "faces", "datasets", "transforms",
                  "model", "center_loss", "island_loss", "self_cure", "hand_made", "evaluation", "feature_geometry",
                  "saliency", "statistics", "training", "runs", "plots"],
    "fer_lab": ["sweeps", "publish", "half_precision", "crop", "evidence", "cli"],
    "fer_course": ["labs", "checks"],
}
BENEATH = {"fer_utils": (), "fer_lab": ("fer_utils",), "fer_course": ("fer_utils", "fer_lab")}
# Lines of Python; among them 240 for the graphed step, 100 for gpu_check, 500 for their tests and Colab's; for λ on
# faces, its lab and figures that phones can show 90, 50 and 100 of tests; for rare classes, SCN and what stands before
# networks 300, 60 for their claims, 150 of tools and 420 of tests; for folders, tables, paths and numbers as people
# have them 350, 40 of sweeps and 390 of tests; for losses side by side 50, 110 of checks, 170 of tools and 220 of
# tests; for copies, and a λ that comes late, 90 of tools; for maps of where a network looks and features to click into
# 90, 175 of the lab and 360 of tests; from a photo to a face 190, 30 of its lab and 190 of tests; whose
# labels: 15 of tests; losses on photographs: 20 of tools and 20 of tests
BUDGET = {"fer_utils": 5860, "fer_course": 2565, "fer_lab": 1780, "tools": 2480, "tests": 12795}
MODULES = sorted(path for package in ROOMS for path in (ROOT / package).rglob("*.py"))


def imported(path, package):
    """(package, room) of all that a module of ``package`` imports from the three, anywhere in it."""
    found = set()
    inside = package.count(".")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[:inside + 2 - node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            names = [f"{module}.{alias.name}" for alias in node.names] if "." not in module else [module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {tuple((*name.split("."), "")[:2]) for name in names if name.split(".")[0] in ROOMS}
    return found


def test_imports_go_one_way():
    wrong = []
    for path in MODULES:
        package, *rest = path.relative_to(ROOT).with_suffix("").parts
        room = rest[0]
        if room == "__init__":
            continue
        order = ROOMS[package]
        if room not in order:
            wrong.append(f"{package}.{room} is a new room: put it into the order here")
            continue
        for other, name in imported(path, ".".join(path.relative_to(ROOT).parent.parts)):
            if other == package and name in order and order.index(name) > order.index(room) or (
                    other != package and other not in BENEATH[package]):
                wrong.append(f"{path.relative_to(ROOT)} imports {other}.{name}, which stands above it")
    assert not wrong


def test_notebooks_0_to_4_need_neither_sweeps_nor_evidence():
    early = ROOT.glob("notebooks/0[0-4]*.ipynb")
    assert not [path.name for path in early if "from fer_lab" in path.read_text(encoding="utf-8")]


def test_modules_are_read_in_one_sitting():
    long = [f"{path.relative_to(ROOT)}: {lines}" for path in MODULES
            if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 350]
    assert not long


def test_each_package_keeps_its_budget_of_lines_but_for_a_twentieth():
    lines = {name: sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / name).rglob("*.py"))
             for name in BUDGET}
    too_long = [f"{name}: {lines[name]} lines, and {budget} are its budget" for name, budget in BUDGET.items()
                if lines[name] > 1.05 * budget]
    assert not too_long


def test_importing_the_package_loads_no_torch():
    code = "import sys, fer_utils; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("source, package, found", [
    ("from . import faces", "fer_utils", {("fer_utils", "faces")}),
    ("from .emotions import EMOTIONS", "fer_utils", {("fer_utils", "emotions")}),
    ("from ..errors import FerError", "fer_utils.runs", {("fer_utils", "errors")}),
    ("from .files import opened", "fer_utils.datasets", {("fer_utils", "datasets")}),
    ("import fer_lab.cli\nimport numpy", "fer_utils", {("fer_lab", "cli")}),
    ("def f():\n    from fer_utils.model import X", "fer_course.labs", {("fer_utils", "model")}),
    ("from fer_utils import plots", "fer_course", {("fer_utils", "plots")}),
])
def test_imported_sees_every_way_of_importing(tmp_path, source, package, found):
    (tmp_path / "room.py").write_text(source)
    assert imported(tmp_path / "room.py", package) == found
