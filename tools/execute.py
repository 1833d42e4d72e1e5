"""Executing notebooks so that none can hang, and writing them so that git sees only what changed.

Imported by course.py, test.py and others; not called by itself.
"""

import json
import os
from pathlib import Path

from environment import ROOT

NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
CELL_SECONDS = 1200  # no cell of the course trains for longer, on two cores
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
WIDGET = "application/vnd.jupyter.widget-view+json"


class NotebookFailed(Exception):
    """A notebook did not run to its end; the message names the notebook, the cell and the error."""


def find_notebooks(only=()):
    """The course's notebooks in order, or those whose names begin with one of ``only`` ("03", "03_center")."""
    notebooks = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
    unknown = [start for start in only if not any(path.name.startswith(start) for path in notebooks)]
    if unknown or not notebooks:
        raise SystemExit(f"There is no notebook {' '.join(unknown)} in {NOTEBOOKS}; there are: "
                         + ", ".join(path.stem for path in notebooks))
    return [path for path in notebooks if not only or path.name.startswith(tuple(only))]


def execute(notebook, output, parameters=None, timeout=CELL_SECONDS):
    """Execute ``notebook`` in its own folder, write it normalised to ``output`` and return it.

    ``output`` appears whole or not at all. Raises ``NotebookFailed``; what ran until then is left beside ``output``,
    under a name that begins with "unfinished-". ``timeout``: seconds that one cell may take.
    """
    import nbformat  # from here on the environment is there
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    from fer_lab.sweeps.execute_notebook import mend_lost_messages

    mend_lost_messages()  # the timeout of a cell stays the second safeguard
    notebook, output = Path(notebook).resolve(), Path(output).resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_name("unfinished-" + output.name)
    try:
        executed = papermill.execute_notebook(notebook, unfinished, parameters, kernel_name=KERNEL["name"],
                                              cwd=notebook.parent, progress_bar=False, execution_timeout=timeout,
                                              extra_arguments=["--log-level=CRITICAL"])  # hush the kernel itself
    except papermill.PapermillExecutionError as error:
        raise NotebookFailed(f"{notebook.name}, cell [{error.exec_count}] stopped with {error.ename}: {error.evalue}\n"
                             f"The whole message is in {unfinished}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        cells = nbformat.read(unfinished, as_version=4).cells
        done = sum(cell.cell_type == "code" and cell.metadata.papermill.start_time is not None for cell in cells)
        why = (f"took longer than {timeout} s" if isinstance(error, CellTimeoutError) else
               "lost its kernel: most often the memory ran out")
        raise NotebookFailed(f"{notebook.name}, cell [{done}] {why}\nWhat ran before is in {unfinished}") from error
    nbformat.write(normalise(executed), unfinished)
    os.replace(unfinished, output)
    return executed


def normalise(notebook):
    """Drop from an executed notebook, in place, all that differs from run to run or from machine to machine."""
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor
    from nbformat import from_dict

    join = CoalesceStreamsPreprocessor().preprocess_cell
    # gone: timings and paths; the whole state of a widget, 5 MB for a plotly figure
    notebook.metadata = from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]  # papermill leaves an empty list in every cell
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
        cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr" and not _is_bare_widget(out)]
        join(cell, {}, count)  # how a kernel cuts what a cell prints into pieces is chance
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = count
            output.get("data", {}).pop(WIDGET, None)  # without its state it would read "model not found"
    return notebook


def has_injected(path):
    """Was this notebook given parameters by papermill? Then it may show faces of real people."""
    cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    return any("injected-parameters" in cell["metadata"].get("tags", ()) for cell in cells)


def _is_bare_widget(output):
    """A widget without a picture, such as a progress bar, leaves nothing to read."""
    kinds = set(output.get("data", {}))
    return WIDGET in kinds and not any(kind.startswith("image/") for kind in kinds)
