"""The programs in tools/: what they write into a notebook, and that none of them waits for ever."""

import html
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from time import monotonic

import course
import environment
import nbformat
import pytest
from execute import CELL_SECONDS, WIDGET, NotebookFailed, execute, normalise
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_html import as_html, headline

TOOLS = Path(__file__).resolve().parents[2] / "tools"
NAMES = sorted(path.stem for path in TOOLS.glob("*.py"))


def notebook(folder, *sources):
    path = folder / "toy.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), path)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_tool_is_imported_without_doing_anything_and_says_how_to_call_it(name, capsys):
    spec = importlib.util.spec_from_file_location(f"tool_{name}", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert capsys.readouterr().out == ""
    assert f"python tools/{name}.py" in module.__doc__ or "not called by itself" in module.__doc__


WITHOUT_HELP = ("environment", "execute", "notebook_html", "pin_versions")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT_HELP])
def test_tool_has_help_that_needs_no_environment(name, tmp_path):
    answer = subprocess.run([sys.executable, "-S", TOOLS / f"{name}.py", "--help"], cwd=tmp_path, capture_output=True,
                            text=True)  # -S: without the installed packages, as before the first set-up
    assert answer.returncode == 0 and f"tools/{name}.py" in answer.stdout


def test_normalise_keeps_what_a_reader_sees_and_drops_the_rest():
    figure = new_output("display_data", {"image/png": "AA==", "text/plain": "x", WIDGET: {}},
                        metadata={"image/png": {"alt": "Three clouds of points"}})
    cell = new_code_cell("f()", execution_count=9, outputs=[
        new_output("stream", name="stdout", text="a\n"), new_output("stream", name="stderr", text="a warning"),
        new_output("stream", name="stdout", text="b\n"), figure,
        new_output("execute_result", {"text/plain": "5"}, execution_count=9)])
    cell.metadata.update(tags=[], papermill={"duration": 1}, execution={"iopub.status.busy": "12:00"})
    tagged = new_code_cell("g()", metadata={"tags": ["parameters"]})
    executed = new_notebook(cells=[new_markdown_cell("# T", metadata={"tags": []}), cell, tagged], metadata={
        "papermill": {"input_path": "/somewhere"}, "widgets": {"state": {}},
        "language_info": {"name": "python", "version": "3.99"},
        "kernelspec": {"name": "mine", "display_name": "Mine", "language": "python"}})
    clean = normalise(executed)
    nbformat.validate(clean)
    assert clean.metadata == {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
                              "language_info": {"name": "python"}}
    assert [dict(c.metadata) for c in clean.cells] == [{}, {}, {"tags": ["parameters"]}]
    assert [c.execution_count for c in clean.cells[1:]] == [1, 2]
    printed, shown, result = clean.cells[1].outputs
    assert printed.text == "a\nb\n" and result.execution_count == 1
    assert set(shown.data) == {"image/png", "text/plain"} and shown.metadata["image/png"]["alt"]
    once = json.dumps(clean)
    assert json.dumps(normalise(clean)) == once


def test_execute_writes_a_normalised_copy_and_leaves_the_original(tmp_path):
    path = notebook(tmp_path, "import os, sys; print(os.getcwd())", "print('no', file=sys.stderr)\n6 * 7")
    before = path.read_bytes()
    execute(path, tmp_path / "build" / "toy.ipynb")
    where, answer = nbformat.read(tmp_path / "build" / "toy.ipynb", as_version=4).cells
    assert Path(where.outputs[0].text.strip()).resolve() == tmp_path.resolve()
    assert len(answer.outputs) == 1 and answer.outputs[0].data["text/plain"] == "42"
    assert path.read_bytes() == before
    assert [file.name for file in (tmp_path / "build").iterdir()] == ["toy.ipynb"]


def test_a_cell_that_hangs_is_stopped_and_named(tmp_path):
    start = monotonic()
    with pytest.raises(NotebookFailed, match=r"toy.ipynb, cell \[2\] took longer than 2 s"):
        execute(notebook(tmp_path, "1", "import time; time.sleep(600)", "2"), tmp_path / "out.ipynb", timeout=2)
    assert monotonic() - start < 60
    assert not (tmp_path / "out.ipynb").exists() and (tmp_path / "unfinished-out.ipynb").exists()


def test_a_cell_has_a_limit_without_being_asked(tmp_path, monkeypatch):
    import papermill

    seen = {}
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **options: seen.update(options) or new_notebook())
    execute(notebook(tmp_path, "1"), tmp_path / "out.ipynb")
    assert seen["execution_timeout"] == CELL_SECONDS


def test_a_cell_that_raises_is_named_with_its_error(tmp_path):
    with pytest.raises(NotebookFailed, match=r"toy.ipynb, cell \[2\] stopped with ValueError: no such face"):
        execute(notebook(tmp_path, "1", "raise ValueError('no such face')"), tmp_path / "out.ipynb")


def test_a_kernel_that_dies_is_named(tmp_path):
    with pytest.raises(NotebookFailed, match=r"toy.ipynb, cell \[2\] lost its kernel"):
        execute(notebook(tmp_path, "1", "import os; os._exit(1)"), tmp_path / "out.ipynb")


def test_page_describes_its_pictures():
    figure = new_output("display_data", {"image/png": "AA=="}, metadata={"image/png": {"alt": "Where λ < 1 & α < 2"}})
    page = as_html(new_notebook(cells=[new_code_cell("f()", outputs=[figure])]))
    (picture,) = re.findall("<img [^>]*>", page)
    assert html.unescape(re.search('alt="(.*?)"', picture)[1]) == "Where λ < 1 & α < 2"


def test_page_puts_the_place_of_the_live_lab_around_its_picture():
    options = {"alpha": 1.9, "update": "eq2"}
    lab = {"module": "center_lab", "options": options}
    pictures = [new_output("display_data", {"image/png": "AA=="}, metadata={"image/png": {"alt": "words", **lab}})
                for lab in ({"lab": lab}, {}, {"lab": lab})]
    page = as_html(new_notebook(cells=[new_code_cell("f()", outputs=pictures)]))
    opening = r'<div class="center-lab" data-options=(["\'])(.*?)\1>\s*<div[^>]*>\s*<img alt="words"'
    assert [json.loads(html.unescape(values)) for _, values in re.findall(opening, page)] == [options, options]
    assert page.count("<img ") == 3


def test_page_draws_formulas_itself_and_asks_no_other_host():
    source = "Cost $5 in `a $b$ c` and\n\n```\n$x$\n```\n\n$$L_C = \\frac{1}{2}\\sum_i x_i$$\n\nwith $x_i < 1$."
    page = as_html(new_notebook(cells=[new_markdown_cell(source)]))
    text = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert text.count("<math") == 2 and 'display="block"' in text and "<mfrac>" in text
    assert "Cost $5 in" in text and "a $b$ c" in text and "$x$" in text and "$$" not in text
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)


def test_course_renders_what_it_executed(tmp_path, monkeypatch):
    def executed(path, output):
        nbformat.write(new_notebook(cells=[new_markdown_cell("# 3 · As it ran here")]), output)

    monkeypatch.setattr(course, "BUILD", tmp_path)
    monkeypatch.setattr(course, "execute", executed)
    assert course.main(["03"]) == 0
    first, third = (next((tmp_path / "site" / "notebooks").glob(f"{name}*.html")).read_text("utf-8")
                    for name in ("01", "03"))
    assert "<title>3 · As it ran here" in third and "Executed here: 03, in" in third and "What you will" not in third
    assert "What you will learn" in first and "3 · As it ran here" in first


def test_headline_is_the_title_and_the_first_paragraph():
    text = "# 03 · Where *Eq. 2* comes from\n\nA step of `alpha`,\n[see](x.md) Fig. 1. And on.\n\nMore."
    title, paragraph = headline(new_notebook(cells=[new_markdown_cell(text)]))
    assert (title, paragraph) == ("03 · Where Eq. 2 comes from", "A step of alpha, see Fig. 1. And on.")
    assert headline(new_notebook(cells=[new_markdown_cell("# Alone")])) == ("Alone", "")


def test_environment_is_made_once_and_again_when_its_files_change(tmp_path, monkeypatch):
    called = []

    def pip(command, **_):
        called.append([str(part) for part in command])
        return subprocess.CompletedProcess(command, 0)

    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("one")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(environment, "works", lambda: True)
    monkeypatch.setattr(environment.subprocess, "run", pip)
    environment.prepare()
    environment.prepare()
    assert len(called) == 1 and "constraints.txt" in called[0]
    (tmp_path / "constraints.txt").write_text("two")
    environment.prepare()
    assert len(called) == 2


def test_a_failed_installation_ends_with_advice_and_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(environment, "works", lambda: True)
    monkeypatch.setattr(environment.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1))
    with pytest.raises(SystemExit, match="call the same command again"):
        environment.prepare()
    assert not (tmp_path / "stamp").exists()
