"""The table of a sweep: each row the parameters of one run, all of them checked before anything runs."""

import dataclasses
import io
import itertools
import json
import re
from pathlib import Path

import pandas as pd

from fer_utils.as_written import path_of, value_of
from fer_utils.errors import FerError, did_you_mean, optional_import
from fer_utils.runs.run import default_runs_dir, key_of, sha256_of
from fer_utils.runs.settings import Settings, mapping, settings_of
from fer_utils.training.recipe import Recipe

PARAMETERS = ("dataset", "data_dir", "data_options", "recipe", "overrides", "alpha", "lam", "seed", "device",
              "runs_dir")  # what ``Settings`` are made of; a notebook may have others besides
FIELDS = tuple(field.name for field in dataclasses.fields(Recipe))
TEXTS = ("data_dir", "runs_dir", "weights")  # a folder may be called 2024
NOTEBOOK = Path(__file__).with_name("train_one_run.ipynb")  # trains one run and shows what came out


@dataclasses.dataclass
class Job:
    """One run of a sweep: its ``row`` of the table, the ``parameters`` that its notebook gets, and what became of it.

    Rows with the same ``key`` mean the same run. ``folder``: the run's, or None where the notebook is the caller's own,
    which may train several; ``executed``: its notebook; ``state``: waiting, finished or failed, as ``error`` says.
    """

    row: dict
    parameters: dict
    settings: Settings
    key: str
    folder: Path | None = None
    executed: Path | None = None
    state: str = "waiting"
    error: str = ""
    results: dict = dataclasses.field(default_factory=dict)


def grid(**lists):
    """A row for each combination of the lists' values, the last one changing fastest: a table for ``sweep``."""
    for name, values in lists.items():
        if not isinstance(values, (list, tuple)) or not values:
            raise FerError(f"{name} = {values!r}: give a list of values, for example [0.1, 1.0].")
    return [dict(zip(lists, values)) for values in itertools.product(*lists.values())]


def plan(table, notebook=None, on_cluster=False):
    """The different runs that a table asks for, a list of ``Job``; ``FerError`` for a row that cannot be meant.

    ``on_cluster``: other machines will run them, so this one need not have their ``device``.
    """
    notebook = notebook and path_of(notebook)
    jobs, parameters = {}, _parameters_of(notebook or NOTEBOOK)
    for number, row in enumerate(read_table(table), 1):
        try:
            job = _job(row, parameters, notebook, on_cluster)
        except FerError as error:
            raise FerError(f"row {number} of the table: {error} Nothing was run.") from error
        jobs.setdefault(job.key, job)
    if not jobs:
        raise FerError("the table has no row; give one for each run.")
    return list(jobs.values())


def parse(text):
    """A cell or an argument: what ``value_of`` or JSON make of it, else the text itself."""
    value = value_of(text)
    try:
        return value_of(json.loads(value)) if isinstance(value, str) else value
    except ValueError:
        return text


def _job(row, known, notebook, on_cluster):
    fields = FIELDS if "overrides" in known else ()
    for name in row:
        if name not in known and name not in fields:
            raise FerError(f"there is no parameter {name!r}; {did_you_mean(name, [*known, *fields])}A row takes "
                           f"{', '.join(known)}{' and the fields of a recipe' if fields else ''}.")
    overrides = mapping("overrides", row.get("overrides"))
    twice = sorted(overrides.keys() & row.keys())
    if twice:
        raise FerError(f"{twice[0]} is given twice, as a column and in overrides; leave one of them out.")
    parameters = {name: value for name, value in row.items() if name in known}
    overrides = {**overrides, **{name: value for name, value in row.items() if name not in known}}
    if overrides:
        parameters["overrides"] = overrides
    settings = settings_of({**parameters, "device": "auto"} if on_cluster else parameters)
    runs_dir = str(path_of(settings.runs_dir or default_runs_dir()).absolute())
    settings = dataclasses.replace(settings, runs_dir=runs_dir)
    if "runs_dir" in known:
        parameters["runs_dir"] = runs_dir
    effective = settings.recipe.effective()
    without_effect = set(FIELDS) - effective.keys()  # alpha where lam is 0
    row, parameters, overrides = ({name: value for name, value in given.items() if name not in without_effect}
                                  for given in (row, parameters, overrides))
    if "overrides" in parameters:
        parameters["overrides"] = overrides
    others = {name: value for name, value in parameters.items() if name not in PARAMETERS}
    key = key_of([effective, settings.dataset, settings.data_dir, settings.data_options, settings.seed, runs_dir,
                  others, notebook and sha256_of(notebook)])
    return Job(row, parameters, settings, key)


def read_table(table):
    """The table as a list of dicts without what is not given: empty cells, None and NaN; of files and DataFrames, where
    Excel leaves rows without any value, without these."""
    blank = isinstance(table, (list, tuple))  # a row without anything is meant: a run by default
    if isinstance(table, (str, Path)):
        try:
            path = path_of(table)
            text = path.read_text(encoding="utf-8-sig")
            if path.suffix.lower() == ".json":
                table = json.loads(text)
            else:
                mark = next((mark for mark in ",;\t" if mark in text.partition("\n")[0]), ",")
                if mark == ";":  # where it divides cells, the comma divides a number
                    text = re.sub(r"(?<=[;\n])([+-]?\d*),(\d+)(?=[;\r\n])", r"\1.\2", f"{text}\n")
                table = pd.read_csv(io.StringIO(text), sep=mark, dtype=str, keep_default_na=False)
                table = table.rename(columns=str.strip)
        except (OSError, ValueError) as error:
            raise FerError(f"{table}: not a table ({error}); give a CSV file with a line of names, or a JSON file with "
                           "a list of objects.") from error
    if isinstance(table, pd.DataFrame):
        table = [dict(zip(table, row)) for row in zip(*(table[name].to_numpy() for name in table))]
    if not isinstance(table, (list, tuple)) or not all(isinstance(row, dict) for row in table):
        raise FerError("a table is a DataFrame, a list of dicts, or the path of a CSV or JSON file.")
    rows = [{name: value if name in TEXTS else parse(value) for name, value in row.items()
             if not (pd.api.types.is_scalar(value) and (pd.isna(value) or str(value).strip() == ""))} for row in table]
    return rows if blank else [row for row in rows if row]


def _parameters_of(notebook):
    """The names in a notebook's cell of parameters."""
    papermill = optional_import("papermill", "papermill ipykernel")
    try:
        names = list(papermill.inspect_notebook(str(notebook)))
    except Exception as error:  # papermill's, nbformat's, the disk's
        raise FerError(f"{notebook}: not a notebook that can be read ({error}); give the path of one.") from error
    if not names:
        raise FerError(f"{notebook}: no cell of it has the tag parameters; take a notebook of the course, or leave "
                       "notebook out.")
    return names
