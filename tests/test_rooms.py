"""The package's rooms stay small, and a room imports only from those beneath it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "fer_utils"
ROOMS = ["errors", "emotions", "faces", "datasets", "transforms", "model", "center_loss", "evaluation", "training",
         "runs", "plots", "sliders", "checks"]  # bottom to top
MODULES = sorted(PACKAGE.glob("*.py"))


def imported_rooms(path):
    """The rooms that a module imports, anywhere in it, relatively or by the package's name."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names = [module] if module not in (".", "fer_utils") else [f".{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        rooms |= {name.removeprefix("fer_utils").removeprefix(".").split(".")[0] for name in names
                  if name.startswith((".", "fer_utils"))}
    return rooms


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_room_imports_only_from_beneath(path):
    if path.stem in ("__init__", "__main__"):
        return
    assert path.stem in ROOMS, f"{path.name} is a new room: put it into the order, here and in the package's account"
    above = imported_rooms(path) & set(ROOMS[ROOMS.index(path.stem):])
    assert not above, f"{path.name} imports from {', '.join(sorted(above))}, which stand above it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_room_is_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


def test_imported_rooms_sees_every_way_of_importing(tmp_path):
    module = tmp_path / "room.py"
    module.write_text("from . import faces\nfrom .emotions import EMOTIONS\nimport fer_utils.runs\n"
                      "from fer_utils.model import X\nfrom fer_utils import plots\nimport numpy\n"
                      "def f():\n    from .errors import FerError\n")
    assert imported_rooms(module) == {"faces", "emotions", "runs", "model", "plots", "errors"}
