"""Many runs from one table, each a process of its own: one that dies costs one retry, and never a result."""

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from filelock import FileLock, Timeout
from joblib import Parallel, cpu_count, delayed, parallel_config
from tqdm.auto import tqdm

from fer_utils.errors import FerError
from fer_utils.runs.run import load_run, run_id
from fer_utils.training import checkpoint

from .plan import NOTEBOOK, hash_of, plan
from .summary_files import SCORES, text_of, write_summary

PROCESS = Path(__file__).with_name("process.py")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
TRIES = 2
ANSWER = 30  # seconds in which a scheduler must answer


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
    jobs = plan(table, notebook, elsewhere=scheduler is not None)
    home = Path(folder or Path(jobs[0].settings.runs_dir, "sweeps", hash_of([job.key for job in jobs]))).absolute()
    quiet = not progress or any(os.environ.get(name) for name in ("CI", "TQDM_DISABLE"))
    with _alone(home):
        _place(jobs, home, notebook)
        write_summary(home, jobs)
        todo = {job.key: job for job in jobs if job.state == "waiting"}
        calls = [(job.key, job.folder, job.page, notebook and str(Path(notebook).absolute()),
                  json.dumps(job.parameters, default=str), os.getcwd()) for job in todo.values()]
        with (tqdm(total=len(jobs), initial=len(jobs) - len(todo), unit="run", smoothing=0,
                   disable=quiet or None) as bar,  # None: quiet where nobody watches
              contextlib.closing(_carried_out(calls, workers, scheduler)) as ended):
            for key, trouble in ended:
                todo[key].state, todo[key].trouble = "failed", trouble or "it ended well, but left no finished run"
                _look(todo[key])
                bar.update()
                with contextlib.suppress(FerError):  # full, or open elsewhere: the next one says the same and more
                    write_summary(home, jobs)
        summary = write_summary(home, jobs)
    failed = [f"{text_of(job.row)}: {job.trouble.splitlines()[-1]} (see {job.page.with_suffix('.log')})"
              for job in jobs if job.state == "failed"]
    if failed:
        raise FerError("\n".join([f"{len(failed)} of {len(jobs)} runs failed, and the others are finished. Mend this "
                                  "and call again:", *failed]))
    return summary


@contextlib.contextmanager
def _alone(home):
    """The folder for this sweep alone; the lock ends with the process, however that ends."""
    with checkpoint.explained(home, "nothing can be written there"):
        home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise FerError(f"{home}: this sweep is running already; wait for it, or give another folder.") from error
    except (OSError, NotImplementedError):
        pass  # some network drives have no locks
    try:
        yield
    finally:
        lock.release()


def _place(jobs, home, notebook):
    """Give each job its run's folder and its page, and see what is finished. Reads each data set once."""
    read = {}
    for job in jobs:
        if notebook is None:
            chosen = job.settings
            data = hash_of([chosen.dataset, chosen.data_dir, chosen.data_options])
            if data not in read:
                read[data] = chosen.load("train"), chosen.load("held-out")
            name = run_id(chosen.recipe, chosen.dataset, chosen.seed, *read[data])
            job.folder = Path(chosen.runs_dir, name)
        else:
            name = f"{Path(notebook).stem}-{job.key}"
        job.page = home / f"{name}.ipynb"
        _look(job)


def _is_finished(folder, page):
    return (folder / "metrics.json").exists() if folder else page.exists()


def _look(job):
    """Note whether the job is finished, and with what results."""
    if not _is_finished(job.folder, job.page):
        return
    if job.folder:
        try:
            run = load_run(job.folder)
            validation = run.history.set_index("epoch").validation_accuracy[run.metrics["best_epoch"]]
        except (FerError, ValueError, OSError, KeyError) as error:
            job.state, job.trouble = "failed", str(error)
            return
        job.results = {name: {**run.metrics, "validation_accuracy": float(validation)}[name] for name in SCORES}
    job.state, job.trouble = "finished", ""


# The processes


def _carried_out(calls, workers, scheduler):
    """(key, trouble or None) of each call of ``_run``, in the order in which they end."""
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
            delayed(_run)(*call, workers, running if scheduler is None else None) for call in calls)
        try:
            yield from ended
        except Exception as error:
            if scheduler is None:
                raise
            raise FerError(f"the cluster cannot go on ({type(error).__name__}: {error}); what is finished is kept, and "
                           "the same call does the rest.") from error


def _enter_cluster(scheduler, stack):
    """Have joblib use a dask cluster; how many runs one of its machines will do at once."""
    try:
        from distributed import Client
    except ImportError as error:
        raise FerError("distributed is not installed, and it talks to the scheduler: pip install "
                       "distributed.") from error
    try:
        client = stack.enter_context(Client(scheduler, timeout=ANSWER))
    except (OSError, ValueError) as error:
        raise FerError(f"scheduler = {scheduler!r}: nothing answers there ({error}); give the address that "
                       "`dask scheduler` prints, for example tcp://10.0.0.1:8786.") from error
    threads = Counter()
    for worker, count in client.nthreads().items():
        threads[worker.rpartition(":")[0]] += count
    stack.enter_context(parallel_config("dask", n_jobs=-1))
    return max(threads.values(), default=1)


def _run(key, folder, page, notebook, parameters, where, workers, running):
    """Have one run done by a process, and by a second one if that dies; ``key`` and what was wrong, or None."""
    trouble = None
    try:
        for attempt in range(TRIES):
            checkpoint.wait(page.with_suffix(".lock"))  # the process of a driver that was killed may be at work
            if folder is not None:
                checkpoint.wait(folder / "lock")  # another sweep or notebook may be training it
            if _is_finished(folder, page):
                return key, None
            page.unlink(missing_ok=True)  # of a run that was deleted since
            trouble = _process([notebook or str(NOTEBOOK), str(page), parameters], page.with_suffix(".log"), attempt,
                               where, workers, running)
            if trouble is None:
                break
    except OSError as error:  # a full disk, a folder that is gone
        trouble = f"{type(error).__name__}: {error}"
    return key, trouble


def _process(arguments, log, attempt, where, workers, running):
    """Execute a notebook in a new process; its last words if it did not end well, else None."""
    environment = {**os.environ, **dict.fromkeys(THREADS, str(max(1, cpu_count() // workers))), "PYTHONUTF8": "1",
                   "JUPYTER_PREFER_ENV_PATH": "1"}  # this environment's kernel before one in the home folder
    with open(log, "ab" if attempt else "wb") as file:  # its own session: Ctrl-C comes to the driver alone
        process = subprocess.Popen([sys.executable, "-P", PROCESS, *arguments], cwd=where, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        if running is not None:
            running.append(process)
            if None in running:
                process.terminate()
        code = process.wait()
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
    if code < 0 or not said:
        said.append(f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}")
    return "\n".join(said) if code else None


def _stop(running):
    """End what is still running when the driver stops, and let nothing begin anew."""
    running.append(None)
    alive = [process for process in running[:] if process is not None and process.poll() is None]
    for process in alive:
        process.terminate()
    for process in alive:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
