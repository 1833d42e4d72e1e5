"""The package's rooms stay small, and a room imports only from those beneath it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "fer_utils"
ROOMS = ["errors", "version", "emotions", "paper", "faces", "datasets", "transforms", "model", "center_loss",
         "simulation", "evaluation", "geometry", "statistics", "training", "runs", "evidence", "plots", "sliders",
         "checks"]  # bottom to top
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    """The room that a module is, or lies in: a room may be a folder of modules."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path):
    """The rooms that a module imports, anywhere in it, relatively or by the package's name."""
    rooms, inside = set(), path.is_relative_to(PACKAGE) and path.parent != PACKAGE
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if inside and node.level == 1:
                continue  # a neighbour in the same room
            module = "." * (node.level - inside if node.level else 0) + (node.module or "")
            names = [module] if module not in (".", "fer_utils") else [f".{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        rooms |= {name.removeprefix("fer_utils").removeprefix(".").split(".")[0] for name in names
                  if name.startswith((".", "fer_utils"))}
    return rooms


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_room_imports_only_from_beneath(path):
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    assert room in ROOMS, f"{path.name} is a new room: put it into the order, here and in the package's account"
    above = imported_rooms(path) & set(ROOMS[ROOMS.index(room):])
    assert not above, f"{path.name} imports from {', '.join(sorted(above))}, which stand above it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_room_is_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


def test_imported_rooms_sees_every_way_of_importing(tmp_path):
    module = tmp_path / "room.py"
    module.write_text("from . import faces\nfrom .emotions import EMOTIONS\nimport fer_utils.runs\n"
                      "from fer_utils.model import X\nfrom fer_utils import plots\nimport numpy\n"
                      "def f():\n    from .errors import FerError\n")
    assert imported_rooms(module) == {"faces", "emotions", "runs", "model", "plots", "errors"}


def test_imported_rooms_looks_out_of_a_room_that_is_a_folder():
    seen = imported_rooms(PACKAGE / "datasets" / "synthetic.py")
    assert seen >= {"faces"} and not seen & {"cache", "fer2013", "datasets"}
