"""Set-up cells, badges, and the one place of the public address. Colab is simulated: a module of its name,
and a shell that writes down what it should call."""

import os
import re
import shlex
import sys
from importlib.metadata import requires
from pathlib import Path
from types import ModuleType

import badges_and_setup as writer
import execute
import nbformat
import pytest
from environment import project
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from packaging.requirements import Requirement
from shell import ipython, run

import fer_utils
from fer_utils.errors import FerError

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


README = "# T\n\n<!-- doors -->\nold\n<!-- end -->\n\nmore\n"


def test_badges_lead_to_the_tag_of_each_notebook_and_to_binder():
    names = {"01_data.ipynb": "1 · Data", "02_baseline.ipynb": "2 · Baseline"}
    text = writer.with_badges(README, names, "1.2.3", ADDRESS)
    links = re.findall(r"\]\((https://[^)]+)\)", text)
    colab = "https://colab.research.google.com/github/someone/course-of-hers/blob/v1.2.3/notebooks/"
    assert [link for link in links if "svg" not in link] == [
        "https://mybinder.org/v2/gh/someone/course-of-hers/v1.2.3?urlpath=lab/tree/README.md",
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
    assert writer.NOBODY not in written and "https://" not in written
    assert "no public address yet. Put it into pyproject.toml" in capsys.readouterr().out
    for address in ("http://github.com/a/b", "https://example.org/a/b", "https://github.com/a", "a/b"):
        with pytest.raises(SystemExit, match="must be https://github.com/owner/name"):
            call(address)


# What the cell does


@pytest.fixture
def visited(tmp_path, monkeypatch):
    """Run the set-up cell; afterwards the outcome, what the shell was to call, and where it went."""
    called, went = [], []
    monkeypatch.setattr(os, "chdir", lambda folder: went.append(str(folder)))

    def visit(source, colab, loaded=False):
        if colab:
            monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
        if not loaded:
            monkeypatch.delitem(sys.modules, "fer_utils")
        with ipython(tmp_path) as shell:
            shell.system = called.append
            error = run(shell, source)
            monkeypatch.setitem(sys.modules, "fer_utils", fer_utils)
        return error, called, went
    return visit


def test_elsewhere_nothing_is_called_nothing_said_and_nobody_moved(visited, capsys):
    for address in (ADDRESS, None):
        assert visited(writer.setup(VERSION, address), colab=False) == (None, [], [])
    assert capsys.readouterr() == ("", "")


def test_on_colab_the_tag_is_fetched_and_pip_gets_the_package_alone(visited):
    error, (fetch, pip), went = visited(writer.setup(VERSION, ADDRESS), colab=True)
    folder = f"/content/course-of-hers-{VERSION}"  # GitHub's archive of the tag v1.2.3 of x/y holds the folder y-1.2.3
    assert error is None and [Path(place).as_posix() for place in went] == [f"{folder}/notebooks"]
    assert fetch == f"curl -sSfL {ADDRESS}/archive/refs/tags/v{VERSION}.tar.gz | tar xz -C /content"
    words = shlex.split(pip)  # no -U, and nothing that torch or numpy would follow
    assert words[words.index("pip") + 1:] == ["install", "-q", "--no-deps", folder, "plotly>=6.0"]


def test_a_second_call_installs_nothing_and_another_version_or_no_address_is_an_error(visited):
    assert visited(writer.setup(VERSION, ADDRESS), colab=True, loaded=True) == (None, [], [])
    error, called, went = visited(writer.setup(VERSION, None), colab=True)
    assert isinstance(error, RuntimeError) and "no public address" in str(error) and not called and not went
    error, called, _ = visited(writer.setup("9.0.0", ADDRESS), colab=False, loaded=True)
    assert isinstance(error, FerError) and "belongs to fer_utils 9.0.0" in str(error) and not called


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
