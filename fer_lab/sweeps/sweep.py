"""Many runs from one table, each a process of its own: one that dies costs one retry, and never a result."""

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from joblib import Parallel, cpu_count, delayed, parallel_config
from tqdm.auto import tqdm

from fer_utils.as_written import path_of
from fer_utils.datasets import size_for
from fer_utils.errors import FerError, optional_import
from fer_utils.runs.run import is_finished, key_of, load_run, load_splits, run_id
from fer_utils.training import checkpoint
from fer_utils.training.loop import check_sizes

from .plan import NOTEBOOK, plan
from .summary_files import SCORES, text_of, write_summary

PROGRAM = Path(__file__).with_name("execute_notebook.py")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
TRIES = 2
SCHEDULER_SECONDS = 30  # in which a scheduler must answer


def sweep(table, *, notebook=None, folder=None, workers=1, scheduler=None, progress=True):
    """Train what a table asks for and return the summary, a pandas DataFrame of one row for each run.

    ``table``: a DataFrame, a list of dicts, or the path of a CSV or JSON file. Its columns are parameters of the
    notebook (``dataset``, ``seed``, ``lam`` …) or fields of a recipe; an empty cell is not given. All of it is checked
    before anything runs. Rows that mean the same run are one: softmax (``lam`` = 0) is not trained for every alpha.

    Each run is a process of its own, in which papermill executes ``notebook``, by default one that trains one run;
    ``workers`` of them at once, each with its share of the cores. With ``scheduler``, the address of a dask scheduler,
    the cluster's threads are the workers; the current folder, the data and the runs must be seen by all its machines.
    What is finished is found without a process, so call again after a crash: a run goes on from its checkpoint.

    ``folder``, by default one in ``runs_dir/sweeps``, keeps ``summary.md``, ``summary.csv`` and each run's executed
    notebook and log. Raises ``FerError`` if runs failed twice, after all the others are done.
    """
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise FerError(f"workers = {workers!r}: give a whole number from 1 up.")
    notebook = notebook and path_of(notebook)
    jobs = plan(table, notebook, on_cluster=scheduler is not None)
    home = path_of(folder or Path(jobs[0].settings.runs_dir, "sweeps", key_of([job.key for job in jobs]))).absolute()
    quiet = not progress or any(os.environ.get(name) for name in ("CI", "TQDM_DISABLE"))
    with checkpoint.locked(home, 0, "this sweep is running already; wait for it, or give another folder."):
        find_folders(jobs, home, notebook)
        write_summary(home, jobs)
        todo = {job.key: job for job in jobs if job.state == "waiting"}
        bar = tqdm(total=len(jobs), initial=len(jobs) - len(todo), unit="run", smoothing=0,
                   disable=quiet or None)  # None: quiet where nobody watches
        calls = [(job, Path(notebook or NOTEBOOK).absolute(), os.getcwd()) for job in todo.values()]
        with bar, contextlib.closing(_execute_all(calls, workers, scheduler)) as ended:
            for key, error in ended:
                todo[key].state, todo[key].error = "failed", error or "it ended well, but left no finished run"
                _read_results(todo[key])
                bar.update()
                with contextlib.suppress(FerError):  # a full disk: the next summary says so
                    write_summary(home, jobs)
        summary = write_summary(home, jobs)
    failed = [f"{text_of(job.row)}: {job.error.splitlines()[-1]} (see {job.executed.with_suffix('.log')})"
              for job in jobs if job.state == "failed"]
    if failed:
        raise FerError("\n".join([f"{len(failed)} of {len(jobs)} runs failed, and the others are finished. Mend this "
                                  "and call again:", *failed]))
    return summary


def find_folders(jobs, home, notebook):
    """Give each job its run's folder and its executed notebook, and read what is finished. Loads each data set once;
    raises ``FerError`` as the runs would for data that is missing or too few."""
    splits = {}
    for job in jobs:
        if notebook is None:
            chosen = job.settings
            options = {**size_for(chosen.dataset, chosen.recipe.image_size), **chosen.data_options}
            data = key_of([chosen.dataset, chosen.data_dir, options])
            if data not in splits:
                splits[data] = load_splits(chosen.dataset, chosen.data_dir, options)
            check_sizes(splits[data][0], chosen.recipe)
            name = run_id(chosen.recipe, chosen.dataset, chosen.seed, *splits[data])
            job.folder = Path(chosen.runs_dir, name)
        else:
            name = f"{Path(notebook).stem}-{job.key}"
        job.executed = home / f"{name}.ipynb"
        _read_results(job)


def _is_done(job):
    return is_finished(job.folder) if job.folder else job.executed.exists()


def _read_results(job):
    """Note whether the job is finished, and with what results."""
    if not _is_done(job):
        return
    if job.folder:
        try:
            run = load_run(job.folder)
            validation = run.history.set_index("epoch").validation_accuracy[run.metrics["best_epoch"]]
        except (FerError, ValueError, OSError, KeyError) as error:
            job.state, job.error = "failed", str(error)
            return
        job.results = {name: {**run.metrics, "validation_accuracy": float(validation)}[name] for name in SCORES}
    job.state, job.error = "finished", ""


# The processes


def _execute_all(calls, workers, scheduler):
    """What ``_execute`` returns for each of ``calls``, in the order in which they end."""
    if not calls:
        return
    running = []  # processes, and None as soon as no more may begin
    with contextlib.ExitStack() as stack:
        stack.callback(_stop, running)
        if scheduler is None:
            stack.enter_context(parallel_config("threading", n_jobs=workers))
        else:
            workers = _enter_cluster(scheduler, stack)
        ended = Parallel(return_as="generator_unordered", batch_size=1)(
            delayed(_execute)(*call, workers, running if scheduler is None else None) for call in calls)
        try:
            yield from ended
        except Exception as error:
            if scheduler is None:
                raise
            raise FerError(f"the cluster cannot go on ({type(error).__name__}: {error}); what is finished is kept, and "
                           "the same call does the rest.") from error


def _enter_cluster(scheduler, stack):
    """Have joblib use a dask cluster; how many runs one of its machines will do at once."""
    distributed = optional_import("distributed")
    try:
        client = stack.enter_context(distributed.Client(scheduler, timeout=SCHEDULER_SECONDS))
    except (OSError, ValueError) as error:
        raise FerError(f"scheduler = {scheduler!r}: nothing answers there ({error}); give the address that "
                       "`dask scheduler` prints, for example tcp://10.0.0.1:8786.") from error
    threads = Counter()
    for worker, count in client.nthreads().items():
        threads[worker.rpartition(":")[0]] += count
    stack.enter_context(parallel_config("dask", n_jobs=-1))
    return max(threads.values(), default=1)


def _execute(job, notebook, cwd, workers, running):
    """Execute one notebook in a process, and in a second one if that fails; (key, what was wrong or None)."""
    error = None
    try:
        for attempt in range(TRIES):
            checkpoint.wait(job.executed.with_suffix(".lock"))  # the process of a sweep that was killed may be at work
            if job.folder is not None:
                checkpoint.wait(job.folder / "lock")  # another sweep or notebook may be training it
            if _is_done(job):
                return job.key, None
            if running is not None and None in running:
                return job.key, "the sweep was stopped"
            job.executed.unlink(missing_ok=True)  # of a run that was deleted since
            arguments = [str(notebook), str(job.executed), json.dumps(job.parameters, default=str)]
            error = _process(arguments, job.executed.with_suffix(".log"), attempt, cwd, workers, running)
            if error is None:
                break
    except OSError as refused:  # a full disk, a folder that is gone
        error = f"{type(refused).__name__}: {refused}"
    return job.key, error


def _process(arguments, log, attempt, cwd, workers, running):
    """Call ``PROGRAM`` in a new process; the last lines that it printed if it failed, else None."""
    environment = {**os.environ, **dict.fromkeys(THREADS, str(max(1, cpu_count() // workers))), "PYTHONUTF8": "1",
                   "JUPYTER_PREFER_ENV_PATH": "1"}  # this environment's kernel before one in the home folder
    with open(log, "ab" if attempt else "wb") as file:  # its own session: Ctrl-C reaches the sweep alone
        process = subprocess.Popen([sys.executable, "-P", PROGRAM, *arguments], cwd=cwd, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        if running is not None:
            running.append(process)
            if None in running:
                process.terminate()
        code = process.wait()
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
    if code < 0 or not lines:
        lines.append(f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}")
    return "\n".join(lines) if code else None


def _stop(running):
    """End the processes that still run when the sweep stops, and let none begin."""
    running.append(None)
    alive = [process for process in running[:] if process is not None and process.poll() is None]
    for process in alive:
        process.terminate()
    for process in alive:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
