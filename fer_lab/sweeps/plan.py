"""The table of a sweep: each row the parameters of one run, all of them checked before anything runs."""

import dataclasses
import difflib
import hashlib
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.errors import FerError
from fer_utils.runs.run import default_runs_dir
from fer_utils.runs.settings import Settings, mapping, settings_of
from fer_utils.training.recipe import Recipe

PARAMETERS = ("dataset", "data_dir", "data_options", "recipe", "overrides", "alpha", "lam", "seed", "device",
              "runs_dir")  # what ``Settings`` are made of; a notebook may have others besides
NOTEBOOK = Path(__file__).with_name("run.ipynb")  # trains one run and shows what came out


@dataclasses.dataclass
class Job:
    """One run of a sweep: its ``row`` of the table, the ``parameters`` that its notebook gets, and what became of it.

    ``key``: rows with the same one mean the same run. ``folder``: the run's, or None where the notebook is the
    caller's own, which may train several; ``page``: the executed notebook.
    """

    row: dict
    parameters: dict
    settings: Settings
    key: str
    folder: Path | None = None
    page: Path | None = None
    state: str = "waiting"
    trouble: str = ""
    results: dict = dataclasses.field(default_factory=dict)


def grid(**lists):
    """A row for each combination of the lists' values, the last one changing fastest: a table for ``sweep``."""
    for name, values in lists.items():
        if not isinstance(values, (list, tuple)) or not values:
            raise FerError(f"{name} = {values!r}: give a list of values, for example [0.1, 1.0].")
    return [dict(zip(lists, values)) for values in itertools.product(*lists.values())]


def plan(table, notebook=None, elsewhere=False):
    """The different runs that a table asks for, a list of ``Job``; ``FerError`` for a row that cannot be meant.

    ``elsewhere``: they will run on other machines, so that this one need not have their ``device``.
    """
    jobs, takes = {}, _parameters_of(notebook or NOTEBOOK)
    for number, row in enumerate(read_table(table), 1):
        try:
            job = _job(row, takes, notebook, elsewhere)
        except FerError as error:
            raise FerError(f"row {number} of the table: {error} Nothing was run.") from error
        jobs.setdefault(job.key, job)
    if not jobs:
        raise FerError("the table has no row; give one for each run.")
    return list(jobs.values())


def parse(text):
    """A cell or an argument: what it is as JSON (or as Python writes True, False and None), else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def hash_of(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:10]


def _job(row, takes, notebook, elsewhere):
    fields = [field.name for field in dataclasses.fields(Recipe)] if "overrides" in takes else []
    for name in row:
        if name not in takes and name not in fields:
            close = difflib.get_close_matches(str(name), [*takes, *fields], 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise FerError(f"there is no parameter {name!r}; {hint}A row takes {', '.join(takes)}"
                           f"{' and the fields of a recipe' if fields else ''}.")
    overrides = mapping("overrides", row.get("overrides"))
    twice = sorted(overrides.keys() & row.keys())
    if twice:
        raise FerError(f"{twice[0]} is given twice, as a column and in overrides; leave one of them out.")
    parameters = {name: value for name, value in row.items() if name in takes}
    overrides = {**overrides, **{name: value for name, value in row.items() if name not in takes}}
    if overrides:
        parameters["overrides"] = overrides
    settings = settings_of({**parameters, "device": "auto"} if elsewhere else parameters)
    runs_dir = str(Path(settings.runs_dir or default_runs_dir()).expanduser().absolute())
    settings = dataclasses.replace(settings, runs_dir=runs_dir)
    if "runs_dir" in takes:
        parameters["runs_dir"] = runs_dir
    effective = settings.recipe.effective()
    idle = {field.name for field in dataclasses.fields(Recipe)} - effective.keys()  # those of the centres, without them
    row, parameters = ({name: value for name, value in part.items() if name not in idle} for part in (row, parameters))
    if overrides:
        parameters["overrides"] = {name: value for name, value in overrides.items() if name not in idle}
    key = hash_of([effective, settings.dataset, settings.data_dir, settings.data_options, settings.seed, runs_dir,
                   {name: value for name, value in parameters.items() if name not in PARAMETERS},
                   None if notebook is None else hashlib.sha256(Path(notebook).read_bytes()).hexdigest()])
    return Job(row, parameters, settings, key)


def read_table(table):
    """The table as a list of dicts without what is not given: empty cells, None and NaN."""
    if isinstance(table, (str, Path)):
        try:
            if Path(table).suffix == ".json":
                table = json.loads(Path(table).read_text(encoding="utf-8"))
            else:
                cells = pd.read_csv(table, dtype=str, keep_default_na=False)
                table = [{name: parse(cell) for name, cell in row.items()} for row in cells.to_dict("records")]
        except (OSError, ValueError) as error:
            raise FerError(f"{table}: not a table ({error}); give a CSV file with a line of names, or a JSON file with "
                           "a list of objects.") from error
    if isinstance(table, pd.DataFrame):
        table = table.to_dict("records")
    if not isinstance(table, (list, tuple)) or not all(isinstance(row, dict) for row in table):
        raise FerError("a table is a DataFrame, a list of dicts, or the path of a CSV or JSON file.")
    plain = [{name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
             for row in table]
    return [{name: value for name, value in row.items() if not _is_empty(value)} for row in plain]


def _is_empty(value):
    return value is None or value is pd.NA or value == "" or isinstance(value, float) and math.isnan(value)


def _parameters_of(notebook):
    """The names in a notebook's cell of parameters."""
    try:
        import papermill
    except ImportError as error:
        raise FerError("papermill is not installed, and it executes the notebook of each run: pip install papermill "
                       "ipykernel.") from error
    try:
        names = list(papermill.inspect_notebook(str(notebook)))
    except Exception as error:  # papermill's, nbformat's, the disk's
        raise FerError(f"{notebook}: not a notebook that can be read ({error}); give the path of one.") from error
    if not names:
        raise FerError(f"{notebook}: no cell of it has the tag parameters; take a notebook of the course, or leave "
                       "notebook out.")
    return names
