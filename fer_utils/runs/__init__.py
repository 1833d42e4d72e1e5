"""One run is one folder. Here are runs, the parameters that notebooks take, sweeps, and what is published of runs."""

from .checkpoints import evaluate, export, load_checkpoint
from .published import load_published, load_results, publish, results_folder, results_table, summary
from .run import (
    Run,
    course_folder,
    default_runs_dir,
    environment,
    find_or_train,
    load_held_out,
    load_run,
    run_id,
    write_json,
)
from .settings import Settings, check_parameters
from .sweep import sweep
from .table import grid

__all__ = ["Run", "Settings", "check_parameters", "course_folder", "default_runs_dir", "environment", "evaluate",
           "export", "find_or_train", "grid", "load_checkpoint", "load_held_out", "load_published", "load_results",
           "load_run", "publish", "results_folder", "results_table", "run_id", "summary", "sweep", "write_json"]
