"""docs/papermill.md does what it says: papermill's and the package's own command lines read each command, a parameter
goes through its notebook's check, and each refusal on the page is the one that comes."""

import ast
import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import nbformat
import papermill.cli
import pytest
import yaml
from click.testing import CliRunner
from execute import execute, find_notebooks
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from shell import ipython, run
from test_sweeps import TINY, trained  # noqa: F401  (a fixture)

from fer_lab import cli as command_line
from fer_lab.sweeps.plan import NOTEBOOK
from fer_lab.sweeps.sweep import sweep
from fer_utils.errors import FerError
from fer_utils.runs import run as room

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "papermill.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
REFUSED = [(first.strip(), second.strip()) for (kind, first), (after, second) in zip(BLOCKS, BLOCKS[1:])
           if kind == "bash" and after == "text"]
WRONG = [command for command, _ in REFUSED]
FILE = yaml.safe_load(next(text for kind, text in BLOCKS if kind == "yaml"))


def of(program, commands=COMMANDS):
    return [command for command in commands if command.startswith(program)]


def papermills(command, monkeypatch):
    """(notebook, output, parameters) as papermill's own command line reads them."""
    seen = []

    def execute_notebook(input_path, output_path, parameters, **_):
        seen.append((input_path, output_path, parameters))

    monkeypatch.setattr(papermill.cli, "execute_notebook", execute_notebook)
    answer = CliRunner().invoke(papermill.cli.papermill, shlex.split(command.replace("$SLURM_ARRAY_TASK_ID", "3"))[1:])
    assert answer.exit_code == 0, answer.output
    return seen[0] if seen else answer.output


def until_checked(notebook):
    """Code cells as they are, up to the call of ``check_parameters`` and no further."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        if "check_parameters(" not in cell.source:
            yield cell.source
            continue
        body = ast.parse(cell.source).body
        last = next(k for k, node in enumerate(body) if "check_parameters(" in ast.unparse(node))
        yield "\n".join(ast.unparse(node) for node in body[:last + 1])
        return
    raise AssertionError("this notebook does not check its parameters")


def refusal(path, parameters, folder):
    """What a notebook raises when papermill gives it these parameters; None if it takes them. Nothing heavy is run."""
    notebook = parameterize_notebook(load_notebook_node(str(path)), parameters)
    with ipython(folder) as shell:
        return run(shell, *until_checked(notebook))


@pytest.mark.parametrize("path", [*find_notebooks(), NOTEBOOK], ids=lambda path: path.stem)
def test_every_notebook_takes_its_parameters_and_refuses_an_unknown_one_first(path, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT / "notebooks")
    monkeypatch.setenv("FER_UTILS_RUNS", str(tmp_path / "runs"))
    assert refusal(path, {}, tmp_path) is None
    error = refusal(path, {"lamda": 0.3}, tmp_path)
    assert isinstance(error, FerError) and "no parameter 'lamda'" in str(error) and "It takes" in str(error)
    assert not (tmp_path / "runs").exists()
    before = [cell for cell in until_checked(nbformat.read(path, as_version=4))][:-1]
    assert not [cell for cell in before if re.search(r"\b(load_dataset|settings|fit|find_or_train)\b.*\(", cell)]


def test_each_papermill_command_of_the_page_is_taken_by_its_notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (asks,), takes = of("papermill --help-notebook"), [command for command in of("papermill notebooks/")
                                                       if command not in WRONG]
    assert "alpha: Unknown type" in papermills(asks, monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(json.dumps(FILE))
    refused = {}
    for command in takes:
        name, output, parameters = papermills(command, monkeypatch)
        unknown = set(parameters) - set(papermill.inspect_notebook(str(ROOT / name)))
        error = refusal(ROOT / name, parameters, tmp_path)
        if error or unknown or not parameters or not output.startswith("build/"):
            refused[command] = error or unknown
    assert not refused and len(takes) >= 8


def test_a_wrong_parameter_of_the_page_says_what_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT / "notebooks")
    for command, words in REFUSED:
        program, *arguments = shlex.split(command)
        if program == "papermill":
            name, _, parameters = papermills(command, monkeypatch)
            error = refusal(ROOT / name, parameters, tmp_path)
            assert isinstance(error, FerError) and words.removeprefix("FerError: ") in str(error), command
        else:
            with pytest.raises(SystemExit, match=re.escape(words)):
                command_line.main(arguments)
    assert {command.split()[0] for command in WRONG} == {"papermill", "fer-lab"} and len(WRONG) >= 4


def test_each_sweep_of_the_page_plans_what_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("runs.csv").write_text(next(text for kind, text in BLOCKS if kind == "csv"))
    monkeypatch.setattr(command_line, "sweep", lambda *_, **__: pytest.fail("a dry run has trained"))
    monkeypatch.setattr(command_line, "find_folders", lambda *_: None)  # the page's data sets are not here
    commands = [shlex.split(command)[1:] for command in of("fer-lab sweep") if command not in WRONG]
    for arguments in commands:
        command_line.main([*arguments, *["--dry-run"] * ("--dry-run" not in arguments)])
        runs = capsys.readouterr().out.splitlines()[-1]
        assert runs == {3: "12 runs", 2: "10 runs", 0: "3 runs"}[arguments.count("--grid")], arguments
    assert len(commands) >= 3 and "makes 12 runs, not 18" in PAGE


def test_the_options_of_dask_on_the_page_exist():
    pytest.importorskip("distributed")
    for command in of("dask"):
        words = shlex.split(command)
        options = import_module(f"distributed.cli.dask_{words[1]}").main.params
        assert {word for word in words if word.startswith("--")} <= {name for option in options for name in option.opts}
    assert len(of("dask")) == 2
    programs = ("papermill", "fer-lab", "dask")
    assert len(COMMANDS) == sum(len(of(program)) for program in programs)  # each is tried here


def test_the_python_of_the_page_reads_runs(trained, tmp_path, capsys):  # noqa: F811
    sweep([{**TINY, "lam": lam, "seed": seed} for lam in (0, 0.2) for seed in (0, 1)], progress=False)
    names = {}
    for text in (text for kind, text in BLOCKS if kind == "python"):
        exec(compile(text, "docs/papermill.md", "exec"), names)
    printed = capsys.readouterr().out
    assert len(names["finished"]) == 4 and "accuracy_sd" in printed and "(28, 7)" in printed
    assert room.default_runs_dir() == tmp_path


@pytest.mark.course
def test_the_small_command_of_the_page_runs_to_its_end_in_a_notebook(tmp_path, monkeypatch):
    (command,) = (command for command in of("papermill") if "small.ipynb" in command)
    name, _, parameters = papermills(command, monkeypatch)
    monkeypatch.setenv("FER_UTILS_RUNS", str(tmp_path / "runs"))
    executed = execute(ROOT / name, tmp_path / "small.ipynb", parameters)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
    (folder,) = (tmp_path / "runs").iterdir()
    assert "resnet18" in folder.name and json.loads((folder / "metrics.json").read_text())["accuracy"] > 0
