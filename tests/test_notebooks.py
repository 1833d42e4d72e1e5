"""The notebooks as they are stored: their shape, and that comparing them with a fresh run would notice a change."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
import pytest
from execute import NOTEBOOKS, execute, find_notebooks
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from fer_lab.crop import crop
from fer_utils.emotions import EMOTIONS
from fer_utils.faces import synthetic_faces

ROOT = Path(__file__).resolve().parent.parent
NAMES = ["00_ten_minutes", "01_data_exploration", "02_resnet50_baseline", "03_center_loss_derivation",
         "04_cl_resnet50_training", "05_ablation", "06_pca_visualisation", "07_reproduction", "08_your_own_faces",
         "09_losses_side_by_side"]
NOT_COMPARED = {"nbval-ignore-output", "nbval-skip", "nbval-raises-exception"}
CLAIM = re.compile(r": (True|False)$", re.MULTILINE)

FER2013 = ROOT.parent / "shared" / "datasets" / "fer2013"
NO_FER2013 = pytest.mark.skipif(not FER2013.exists(), reason="the real FER2013 is not beside the repository")


def read(name):
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return set(cell.metadata.get("tags", []))


def printed(cell):
    """The outputs of a cell that are text and no picture."""
    return [out for out in cell.outputs if out.get("name") == "stdout"
            or ("text/plain" in out.get("data", {}) and not any(kind.startswith("image/") for kind in out.data))]


def words(output):
    return output["text"] if "text" in output else output["data"]["text/plain"]


def compared(notebook):
    """[(number, cell)] of those whose printed output nbval compares; it counts code cells from 0."""
    return [(number, cell) for number, cell in enumerate(code(notebook))
            if printed(cell) and not tags(cell) & NOT_COMPARED]


def claims(cell):
    return [out for out in printed(cell) if CLAIM.search(words(out))]


def test_all_notebooks_are_there_and_known():
    assert [path.stem for path in find_notebooks()] == NAMES


def test_each_opens_with_its_aim_checks_its_parameters_and_has_small_cells():
    wrong = []
    for name in NAMES:
        first, *others = read(name).cells[:3]
        opening = "\n".join(cell.source for cell in (first, *others) if cell.cell_type == "markdown")
        if not (first.source.startswith("# ") and "What you will learn" in opening
                and re.search(r"\bminutes?\b", opening.lower())):
            wrong.append(f"{name}: title, what you will learn, or the minutes")
        cells = code(read(name))
        tagged = [number for number, cell in enumerate(cells) if "parameters" in tags(cell)]
        asked = re.findall(r"^dataset = (\S+)", cells[tagged[0]].source, re.MULTILINE) if tagged else None
        if len(tagged) != 1 or "check_parameters(" not in cells[tagged[0] + 1].source:
            wrong.append(f"{name}: one cell of parameters, and their check after it")
        if asked not in ([], ['"synthetic"']):
            wrong.append(f"{name}: the embedded faces are the default")
        wrong += [f"{name}: more than 25 lines: {cell.source[:60]}" for cell in cells
                  if len(cell.source.splitlines()) > 25]
    assert not wrong, "\n".join(wrong)


def test_all_are_stored_normalised():
    wrong = []
    for name in NAMES:
        notebook = read(name)
        cells = code(notebook)
        most = 650_000 if name.startswith("06") else 350_000  # pictures mostly, text is some 60 KB; 06 holds 200 faces
        if (NOTEBOOKS / f"{name}.ipynb").stat().st_size >= most:
            wrong.append(f"{name}: too large")
        if {"widgets", "papermill"} & set(notebook.metadata):
            wrong.append(f"{name}: metadata of a run")
        if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
            wrong.append(f"{name}: not run from top to bottom")
        wrong += [f"{name}: an error or a warning is stored" for cell in cells for out in cell.outputs
                  if out.output_type == "error" or out.get("name") == "stderr"]
    assert not wrong, "\n".join(wrong)


def test_each_has_results_to_compare():
    few = []
    for name in NAMES:
        cells = [cell for _, cell in compared(read(name))]
        exact = [cell for cell in cells if len(claims(cell)) < len(printed(cell))]
        if len(exact) < 5 or not any(claims(cell) for cell in cells):
            few.append(f"{name}: {len(exact)} cells print exact results, and a claim ': True' or ': False' is needed")
    assert not few


def test_no_output_that_is_compared_says_how_long_something_took():
    timed = [(name, number) for name in NAMES for number, cell in compared(read(name)) for out in printed(cell)
             if re.search(r"\d (s|ms|µs|min)\b|trained on \d", words(out))]
    assert not timed, "these cells need the tag nbval-ignore-output"


@pytest.mark.course
def test_comparison_notices_a_changed_result_and_a_changed_claim_and_nothing_else(tmp_path):
    stored = ("accuracy 0.76\n", "centre loss helps: False\n", "on another day\n", "6\n")
    sources = ("print('accuracy', 0.75)", "print('centre loss helps: True')", "import time; print(time.time())",
               "print(2 * 3)")
    cells = [new_code_cell(source, outputs=[new_output("stream", text=text)], execution_count=count)
             for count, (source, text) in enumerate(zip(sources, stored), 1)]
    cells[2].metadata["tags"] = ["nbval-ignore-output"]
    nbformat.write(new_notebook(cells=cells), tmp_path / "toy.ipynb")
    report = tmp_path / "report.xml"
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", tmp_path / "toy.ipynb", "--nbval", "--nbval-current-env", "-q",
         f"--junitxml={report}", "-c", ROOT / "pyproject.toml"], cwd=tmp_path, capture_output=True, text=True)
    failed = {test.get("name"): test.find("failure") is not None for test in ElementTree.parse(report).iter("testcase")}
    assert failed == {"Cell 0": True, "Cell 1": True, "Cell 2": False, "Cell 3": False}, answer.stdout


@pytest.mark.course
@pytest.mark.parametrize("parameters", [
    {"data_options": {"colour": True, "size": 64, "label_noise": 0.1, "images_per_person": 3}},
    pytest.param({"dataset": "fer2013", "data_dir": str(FER2013), "data_options": {"leave_out": ["constant"]}},
                 marks=NO_FER2013),
    pytest.param({"dataset": "ferplus", "data_dir": str(FER2013)}, marks=[NO_FER2013, pytest.mark.stress]),
], ids=["colour", "fer2013", "ferplus"])
def test_notebook_1_explores_other_data_as_well(parameters, tmp_path):
    executed = execute(NOTEBOOKS / "01_data_exploration.ipynb", tmp_path / "out.ipynb", parameters)
    assert all(cell.execution_count for cell in code(executed))


AWKWARD = {"all at once": {"anger": 20} | {name: 8 for name in EMOTIONS[1:] if name != "neutral"},
           "sixty": dict(zip(EMOTIONS, (9, 9, 9, 9, 8, 8, 8))),
           "six": {name: 12 for name in EMOTIONS if name != "neutral"},
           "sorted": dict.fromkeys(EMOTIONS, 8) | {"anger": 150}}


@pytest.mark.course
@pytest.mark.parametrize("counts", [pytest.param(counts, id=name, marks=[pytest.mark.stress] * (name != "all at once"))
                                    for name, counts in AWKWARD.items()])
def test_notebooks_run_on_few_images_on_six_classes_and_on_a_folder_that_begins_with_one_class(
        counts, tmp_path, monkeypatch):
    for name in ("FER_UTILS_RUNS", "FER_UTILS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    images, labels = synthetic_faces([counts.get(name, 0) for name in EMOTIONS], seed=9)
    for number, (image, label) in enumerate(zip(images, labels)):
        (tmp_path / "faces" / EMOTIONS[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "faces" / EMOTIONS[label] / f"{number:03d}.png")
    given = {"dataset": "folder", "data_dir": str(tmp_path / "faces"),
             "overrides": {"epochs": 1, "backbone": "resnet18", "image_size": 32, "batch_size": 16}}
    more = {"01": {}, "04": {"small": {"epochs": 1}, "lams": [0.02], "seeds": [0]}}
    for path in find_notebooks():
        if path.name[:2] in ("01", "02", "04", "06", "08"):
            executed = execute(path, tmp_path / path.name, {**given, **more.get(path.name[:2], {})})
            assert all(cell.execution_count for cell in code(executed)), path.name
            said = [words(out) for cell in code(executed) for out in printed(cell)]
            assert not [text for text in said if "upper half" in text and "NaN" in text]


@pytest.mark.course
def test_notebook_8_trains_on_a_folder_of_your_own_cut_out_of_photos(tmp_path, monkeypatch):
    pytest.importorskip("facenet_pytorch", reason="pip install --no-deps facenet-pytorch")
    for name in ("FER_UTILS_RUNS", "FER_UTILS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    images, labels = synthetic_faces([8] * 7, seed=9, size=144, colour=True)
    for number, (image, label) in enumerate(zip(images, labels)):
        (tmp_path / "photos" / EMOTIONS[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "photos" / EMOTIONS[label] / f"{number}.png")
    assert crop(tmp_path / "photos", tmp_path / "faces", like="rafdb")["face"].notna().mean() > 0.9
    executed = execute(NOTEBOOKS / "08_your_own_faces.ipynb", tmp_path / "out.ipynb", {
        "dataset": "folder", "data_dir": str(tmp_path / "faces"),
        "overrides": {"epochs": 3, "backbone": "resnet18", "image_size": 32, "batch_size": 16}})
    assert all(cell.execution_count for cell in code(executed))
    assert [path.name[:12] for path in (tmp_path / "FER_UTILS_RUNS").iterdir()] == ["folder-quick"]
    kept = [(path / "about.json").read_text() for path in (tmp_path / "FER_UTILS_CACHE").iterdir()]
    assert not any("faces" in what for what in kept), "the last cell deletes what was read of the folder"
