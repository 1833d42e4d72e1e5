"""The programs in tools/: what they write into a notebook, and that none of them waits for ever."""

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import course
import environment
import nbformat
import pytest
from execute import CELL_SECONDS, WIDGET, NotebookFailed, execute, normalise
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_html import as_html, headline

TOOLS = Path(__file__).resolve().parents[2] / "tools"
NAMES = sorted(path.stem for path in TOOLS.glob("*.py"))
WITHOUT_HELP = ("environment", "execute", "notebook_html", "pin_versions")  # the second and the third are not called
OLD_PYTHON = """
import runpy, sys
sys.version_info, sys.modules["tomllib"], sys.argv = (3, 10, 9), None, sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")"""


def notebook(folder, *sources):
    path = folder / "toy.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), path)
    return path


def test_every_tool_has_help_that_needs_no_environment_and_tells_an_old_python_so(tmp_path):
    wrong = []
    for name in set(NAMES) - set(WITHOUT_HELP):
        path = TOOLS / f"{name}.py"
        for call, words in (([path, "--help"], f"tools/{name}.py"), (["-c", OLD_PYTHON, path], "needs Python 3.11")):
            answer = subprocess.run([sys.executable, "-S", *call], cwd=tmp_path, capture_output=True, text=True,
                                    env={**os.environ, "PYTHONPATH": str(TOOLS)})  # -S: as before the first set-up
            wrong += [] if words in answer.stdout + answer.stderr else [f"{name}: {answer}"]
    assert not wrong, "\n".join(wrong)


def test_normalise_keeps_what_a_reader_sees_and_drops_the_rest():
    figure = new_output("display_data", {"image/png": "AA==", "text/plain": "x", WIDGET: {}},
                        metadata={"image/png": {"alt": "Three clouds of points"}})
    cell = new_code_cell("f()", execution_count=9, outputs=[
        new_output("stream", name="stdout", text="a\n"), new_output("stream", name="stderr", text="a warning"),
        new_output("stream", name="stdout", text="b\n"), figure, new_output("display_data", {WIDGET: {}}),
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


def test_a_cell_that_hangs_raises_or_kills_its_kernel_is_named(tmp_path, monkeypatch):
    for source, timeout, message in (("import time; time.sleep(6000)", 1, "took longer than 1 s"),
                                     ("raise ValueError('no such face')", 60, "stopped with ValueError: no such face"),
                                     ("import os; os._exit(1)", 60, "lost its kernel")):
        with pytest.raises(NotebookFailed, match=rf"toy.ipynb, cell \[2\] {message}"):
            execute(notebook(tmp_path, "1", source), tmp_path / "out.ipynb", timeout=timeout)
        assert not (tmp_path / "out.ipynb").exists() and (tmp_path / "unfinished-out.ipynb").exists()
    seen = {}
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **options: seen.update(options) or new_notebook())
    execute(notebook(tmp_path, "1"), tmp_path / "out.ipynb")
    assert seen["execution_timeout"] == CELL_SECONDS  # a limit without being asked


# Pages


def test_page_describes_its_pictures_and_has_a_place_for_each_lab():
    options = {"alpha": 1.9, "update": "eq2"}
    lab = {"module": "center_lab", "options": options}
    alt = "Where λ < 1 & α < 2"
    pictures = [new_output("display_data", {"image/png": "AA=="}, metadata={"image/png": {"alt": alt, **lab}})
                for lab in ({"lab": lab}, {}, {"lab": lab})]
    page = as_html(new_notebook(cells=[new_code_cell("f()", outputs=pictures)]))
    assert [html.unescape(words) for words in re.findall('<img [^>]*alt="(.*?)"', page)] == 3 * [alt]
    opening = r'<div class="center-lab" data-options=(["\'])(.*?)\1>\s*<div[^>]*>\s*<img '
    assert [json.loads(html.unescape(values)) for _, values in re.findall(opening, page)] == [options, options]


def test_page_draws_formulas_itself_and_asks_no_other_host():
    source = "Cost $5 in `a $b$ c` and\n\n```\n$x$\n```\n\n$$L_C = \\frac{1}{2}\\sum_i x_i$$\n\nwith $x_i < 1$."
    page = as_html(new_notebook(cells=[new_markdown_cell(source)]))
    text = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert text.count("<math") == 2 and 'display="block"' in text and "<mfrac>" in text
    assert "Cost $5 in" in text and "a $b$ c" in text and "$x$" in text and "$$" not in text
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)


def test_headline_is_the_title_and_the_first_paragraph():
    for text, found in (("# 03 · Where *Eq. 2* comes from\n\nA step of `alpha`,\n[see](x.md) Fig. 1. And on.\n\nMore.",
                         ("03 · Where Eq. 2 comes from", "A step of alpha, see Fig. 1. And on.")),
                        ("# Alone", ("Alone", ""))):
        assert headline(new_notebook(cells=[new_markdown_cell(text)])) == found


# make course, make test, and the environment


def executed(path, output):
    nbformat.write(new_notebook(cells=[new_markdown_cell("# 3 · As it ran here")]), output)


def test_course_renders_what_it_executed(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "BUILD", tmp_path)
    monkeypatch.setattr(course, "execute", executed)
    course.main(["03"])
    assert list(course.read_minutes()) == ["03_center_loss_derivation"]
    first, third = (next((tmp_path / "site" / "notebooks").glob(f"{name}*.html")).read_text("utf-8")
                    for name in ("01", "03"))
    assert "<title>3 · As it ran here" in third and "Executed here: 03, in" in third and "What you will" not in third
    assert "What you will learn" in first and "3 · As it ran here" in first


def test_course_stores_outputs_where_it_is_asked_to_and_leaves_what_failed(tmp_path, monkeypatch):
    paths = [tmp_path / "01_good.ipynb", tmp_path / "02_bad.ipynb"]
    for path in paths:
        path.write_text("as it was")

    def fails_second(path, output):
        if path == paths[1]:
            raise NotebookFailed("no")
        executed(path, output)

    (tmp_path / "build").mkdir()
    monkeypatch.setattr(course, "BUILD", tmp_path / "build")
    monkeypatch.setattr(course, "find_notebooks", lambda only: paths)
    monkeypatch.setattr(course, "execute", fails_second)
    for store, first in ((False, "as it was"), (True, "As it ran here")):
        with pytest.raises(SystemExit, match="failed\nno"):
            course.main(store=store)
        assert first in paths[0].read_text("utf-8") and paths[1].read_text() == "as it was"


def test_tests_side_by_side_come_first_and_what_fails_there_is_the_end(monkeypatch):
    import test as tool

    asked, codes = [], []
    monkeypatch.setattr(tool, "missing", lambda: ())
    monkeypatch.setattr(tool.subprocess, "run", lambda command, **options: asked.append((command, options["env"]))
                        or subprocess.CompletedProcess(command, codes.pop(0)))
    for given, calls, code in (([0, 0], 2, 0), ([1], 1, 1), ([0, 1], 2, 1), ([5, 0], 2, 0), ([0, 5], 2, 0),
                               ([5, 5], 2, 5)):
        asked.clear()
        codes[:] = given
        assert tool.main(False, False, ["-x"]) == code and len(asked) == calls
    (quick, one_thread), (serial, _) = asked
    assert {"-n", "loadfile", "-x"} <= set(quick) and one_thread["OMP_NUM_THREADS"] == "1"
    assert {"--nbval", "-x", "course and not stress"} <= set(serial) and "-n" not in serial
    asked.clear()
    codes[:] = [0, 0]
    assert tool.main(True, False, []) == tool.main(False, True, []) == 0
    assert "--nbval" not in asked[0][0] and asked[1][0][-1] == "stress"


def test_environment_is_made_once_and_again_when_its_files_change_or_it_failed(tmp_path, monkeypatch):
    called, codes = [], [1, 0, 0]

    def pip(command, **_):
        called.append(command)
        return subprocess.CompletedProcess(command, codes.pop(0))

    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("one")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(environment, "works", lambda: True)
    monkeypatch.setattr(environment.subprocess, "run", pip)
    with pytest.raises(SystemExit, match="call the same command again"):
        environment.prepare()
    environment.prepare()
    environment.prepare()
    assert len(called) == 2 and "constraints.txt" in called[0]
    (tmp_path / "constraints.txt").write_text("two")
    environment.prepare()
    assert len(called) == 3
