"""Set-up cells, badges, and the one place of the public address. Colab is simulated, in a process of its own: a module
of its name, a folder for its /content, and a shell that writes down what it should call."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from sysconfig import get_path

import badges_and_setup as writer
import execute
import nbformat
import pytest
from environment import project
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from packaging.requirements import Requirement

import fer_utils

ROOT = Path(__file__).resolve().parents[2]
PROJECT = project()
VERSION = fer_utils.__version__
ADDRESS = "https://github.com/someone/course-of-hers"
PLACES = ("*.*", ".github/**/*", *(f"{folder}/**/*" for folder in (
    "benchmarks", "binder", "docs", "fer_course", "fer_lab", "fer_utils", "notebooks", "results", "tests", "tools")))

# What Colab has installed of our dependencies, and of theirs: its published list of February 2026
COLAB_PYTHON = "3.12"
COLAB = {"accelerate": "1.12.0", "anywidget": "0.9.21", "filelock": "3.24.3", "joblib": "1.5.3", "kagglehub": "0.3.13",
         "matplotlib": "3.10.0", "narwhals": "2.17.0", "numpy": "2.0.2", "packaging": "26.0", "pandas": "2.2.2",
         "pillow": "11.3.0", "platformdirs": "4.9.2", "plotly": "5.24.1", "psygnal": "0.15.1", "safetensors": "0.7.0",
         "scikit-learn": "1.6.1", "scipy": "1.16.3", "torch": "2.10.0+cu128", "torchvision": "0.25.0+cu128",
         "tqdm": "4.67.3"}


# What is generated


def test_notebooks_and_readme_are_as_generated():
    address = writer.checked(PROJECT["urls"]["Repository"])
    stale = [path.name for path, text in writer.written(VERSION, address) if path.read_text(encoding="utf-8") != text]
    assert not stale, f"call python tools/badges_and_setup.py: it would change {', '.join(stale)}"
    assert PROJECT["version"] == VERSION


def test_the_address_stands_in_pyproject_and_else_only_where_it_was_generated():
    slug = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")
    generated = dict(writer.written(VERSION, None))  # as they would be without any address
    found = [path.name for place in PLACES for path in ROOT.glob(place) if path.is_file()
             and slug in (generated.get(path) or path.read_text(encoding="utf-8", errors="replace"))]
    assert found == ["pyproject.toml"]


def test_a_set_up_cell_is_put_behind_the_opening_and_nothing_else_is_touched():
    result = new_output("execute_result", {"text/plain": "42"}, execution_count=1)
    shown = new_code_cell("6 * 7", id="b", execution_count=1, outputs=[result])
    old = new_code_cell("old", id="c", metadata={"tags": ["setup"]}, execution_count=2)
    notebook = new_notebook(cells=[new_markdown_cell("# T", id="a"), shown, old])
    once = nbformat.writes(writer.with_setup(notebook, "09_toy", VERSION, ADDRESS))
    cells = nbformat.reads(once, as_version=4).cells
    assert [cell.id for cell in cells] == ["a", "09-setup", "b"] and cells[1].source == writer.setup(VERSION, ADDRESS)
    assert [cell.execution_count for cell in cells[1:]] == [1, 2] and cells[2].outputs[0].execution_count == 2
    assert cells[2].outputs[0].data == {"text/plain": "42"} and cells[2].source == "6 * 7"
    assert nbformat.writes(writer.with_setup(nbformat.reads(once, as_version=4), "09_toy", VERSION, ADDRESS)) == once


README = "# T\n\n<!-- badges -->\nold\n<!-- end -->\n\nmore\n"


def test_badges_lead_to_the_tag_of_each_notebook_and_to_binder():
    names = {"01_data.ipynb": "1 · Data", "02_baseline.ipynb": "2 · Baseline"}
    text = writer.with_badges(README, names, "1.2.3", ADDRESS)
    links = re.findall(r"\]\((https://[^)]+)\)", text)
    colab = "https://colab.research.google.com/github/someone/course-of-hers/blob/v1.2.3/notebooks/"
    assert [link for link in links if "svg" not in link] == [
        "https://mybinder.org/v2/gh/someone/course-of-hers/v1.2.3?urlpath=lab/tree/notebooks/00_ten_minutes.ipynb",
        colab + "01_data.ipynb", colab + "02_baseline.ipynb"]
    assert "old" not in text and text.endswith("<!-- end -->\n\nmore\n")
    assert all(len(words) > 10 for words in re.findall(r"!\[(.*?)\]", text)), "a badge without words"
    assert writer.with_badges(text, names, "1.2.3", ADDRESS) == text
    for broken in ("no markers", README + README):
        with pytest.raises(SystemExit, match="times, and needs them once"):
            writer.with_badges(broken, names, "1.2.3", ADDRESS)


def test_a_call_writes_what_follows_from_the_address_and_no_link_as_long_as_nobody_owns_it(
        tmp_path, monkeypatch, capsys):
    readme, notebook = tmp_path / "README.md", tmp_path / "01_toy.ipynb"
    readme.write_text(README)
    nbformat.write(new_notebook(cells=[new_markdown_cell("# 1 · Toy", id="a"), new_code_cell("1", id="b")]), notebook)
    monkeypatch.setattr(writer, "ROOT", tmp_path)
    monkeypatch.setattr(execute, "NOTEBOOKS", tmp_path)

    def call(address):
        monkeypatch.setattr(writer, "project", lambda: {"version": "1.2.3", "urls": {"Repository": address}})
        writer.main()
        return readme.read_text() + notebook.read_text()

    assert f"{ADDRESS}/archive/refs/tags/v1.2.3.tar.gz" in call(ADDRESS)
    assert "course-of-hers" not in call("https://github.com/someone/moved")
    written = call(f"https://github.com/{writer.NOBODY}/course")
    assert writer.NOBODY not in written and "curl" not in written and "badge.svg" not in written
    assert "no public address yet. Put it into pyproject.toml" in capsys.readouterr().out
    for address in ("http://github.com/a/b", "https://example.org/a/b", "https://github.com/a", "a/b"):
        with pytest.raises(SystemExit, match="must be https://github.com/owner/name"):
            call(address)


# What the cell does

VISIT = """
import json, os, shlex, shutil, sys
from pathlib import Path
from types import ModuleType

job = json.loads(sys.argv[1])
sys.path += job["path"]
from shell import ipython, run

called = []

def system(command):
    called.append(command)
    words = shlex.split(command)
    if "curl" in words:
        shutil.copytree(job["course"], job["fetched"])
    if "pip" in words:
        sys.path.append(words[-2])

if job["colab"]:
    sys.modules["google.colab"] = ModuleType("google.colab")
os.chdir(job["start"])
with ipython(job["home"]) as shell:
    shell.system = system
    errors = [run(shell, job["cell"]) for call in range(2)]
    taken = sys.modules.get("fer_utils")
print()
print(json.dumps({"error": errors[0] and str(errors[0]), "again": errors[1] and str(errors[1]), "called": called,
                  "at": os.getcwd(), "taken": taken and str(Path(taken.__file__).parents[1])}))
"""


@pytest.fixture
def content(tmp_path):
    """An empty folder in place of Colab's /content."""
    folder = tmp_path.resolve() / "content"
    folder.mkdir()
    return folder


def put_course(folder):
    """As much of the course as the cell needs."""
    for part in ("fer_utils", "notebooks"):
        (folder / part).mkdir(parents=True)
    for name in ("__init__", "version", "errors"):
        shutil.copy(ROOT / "fer_utils" / f"{name}.py", folder / "fer_utils")
    return folder


def visit(content, address=None, version=VERSION, start="", installed=None, colab=True):
    """Run the set-up cell twice, as readers do: what it printed; what it raised, called and took; where it left us.

    Python starts without ``site``: else it would find this repository, which is installed. ``installed``: a folder that
    it shall find.
    """
    cell = writer.setup(version, address).replace("/content", content.as_posix())
    archive = content.parent / "archive"
    if not archive.exists():
        put_course(archive)
    job = {"cell": cell, "colab": colab, "start": str(content / start), "home": str(content.parent),
           "course": str(archive), "fetched": f"{content}/course-of-hers-{version}",
           "path": [str(ROOT / "tests"), *{get_path("purelib"), get_path("platlib")}, str(installed or "")]}
    done = subprocess.run([sys.executable, "-S", "-E", "-c", VISIT, json.dumps(job)], capture_output=True, text=True,
                          cwd=content, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    said, answer = done.stdout.rstrip().rsplit("\n", 1)
    return said, json.loads(answer)


def given_to_pip(command):
    """The words behind pip: no -U, and nothing that torch or numpy would follow."""
    words = shlex.split(command)
    return words[words.index("pip") + 1:]


def test_elsewhere_nothing_is_called_nothing_said_and_nobody_moved(content, tmp_path):
    installed = put_course(tmp_path / "installed")
    for address in (ADDRESS, None):
        said, found = visit(content, address, installed=installed, colab=False)
        assert said.strip() == "" and found == {"error": None, "again": None, "called": [], "at": str(content),
                                                "taken": str(installed)}


def test_on_colab_an_installed_course_is_taken_and_its_folder_entered_where_there_is_one(content, tmp_path):
    installed = put_course(tmp_path / "installed")
    _, found = visit(content, installed=installed)
    assert found == {"error": None, "again": None, "called": [], "at": str(content), "taken": str(installed)}
    course = put_course(content / "course")  # as after the two lines: notebook 7 reads its results there
    _, found = visit(content, ADDRESS, installed=installed)
    assert found == {"error": None, "again": None, "called": [], "at": str(course / "notebooks"),
                     "taken": str(installed)}


@pytest.mark.parametrize("name, start", [("course", "course/notebooks"), ("course", "course"), ("her fork-main", "")])
def test_on_colab_the_folder_above_the_notebook_or_beside_it_is_installed_alone(content, name, start):
    (content / "sample_data").mkdir()  # Colab's own
    course = put_course(content / name)
    _, found = visit(content, ADDRESS, start=start)
    assert found["error"] is found["again"] is None and Path(found["taken"]).resolve() == course
    assert found["at"] == str(course / "notebooks")
    assert [given_to_pip(command) for command in found["called"]] == [
        ["install", "-q", "--no-deps", str(course), "plotly>=6.0"]]


def test_on_colab_the_tag_is_fetched_where_there_is_an_address(content):
    _, found = visit(content, ADDRESS)
    folder = f"{content.as_posix()}/course-of-hers-{VERSION}"  # GitHub's archive of the tag v1.2.3 of x/y holds y-1.2.3
    fetch, pip = found["called"]
    assert fetch == f"curl -sSfL {ADDRESS}/archive/refs/tags/v{VERSION}.tar.gz | tar xz -C {content.as_posix()}"
    assert given_to_pip(pip) == ["install", "-q", "--no-deps", folder, "plotly>=6.0"]
    assert found["error"] is found["again"] is None and Path(found["at"]) == Path(folder, "notebooks")


def test_on_colab_without_any_of_them_the_cell_says_which_two_lines_to_type(content):
    _, found = visit(content)
    clone, install = [line for line in found["error"].splitlines() if line.startswith(("!git", "%pip"))]
    assert shlex.split(clone) == ["!git", "clone", "--depth", "1", "https://github.com/YOUR-NAME/YOUR-COPY", "course"]
    assert shlex.split(install) == ["%pip", "install", "-q", "--no-deps", "./course", "plotly>=6.0"]
    assert found["called"] == [] and found["at"] == str(content) and found["again"] == found["error"]


def test_a_notebook_of_another_version_is_refused(content, tmp_path):
    installed = put_course(tmp_path / "installed")
    for colab in (True, False):
        _, found = visit(content, ADDRESS, version="9.0.0", installed=installed, colab=colab)
        assert "belongs to fer_utils 9.0.0" in found["error"] and found["called"] == []


def test_colab_has_all_that_the_cell_does_not_bring():
    """--no-deps is right only if Colab has the rest, in versions that our ranges take."""
    needed = [*PROJECT["dependencies"], *(line for line in PROJECT["optional-dependencies"]["notebooks"]
                                          if line.startswith(("anywidget", "kagglehub")))]  # the others: JupyterLab
    unmet = {str(requirement) for requirement in map(Requirement, needed)
             if requirement.name not in COLAB or not requirement.specifier.contains(COLAB[requirement.name])}
    assert unmet == {writer.UPGRADED}
    assert COLAB_PYTHON in Requirement(f"python{PROJECT['requires-python']}").specifier
    for needs in map(Requirement, requires(Requirement(writer.UPGRADED).name)):
        if needs.marker is None or needs.marker.evaluate({"extra": ""}):
            assert needs.specifier.contains(COLAB[needs.name]), f"{writer.UPGRADED} needs {needs}, unlike Colab"
