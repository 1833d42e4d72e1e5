"""One run is one folder. Here are runs, the parameters that notebooks take, sweeps over runs, and the ledger."""

from .run import Run, default_runs_dir, environment, find_or_train, load_held_out, load_run, run_id, write_json
from .settings import Settings, check_parameters
from .sweep import sweep
from .table import grid

__all__ = ["Run", "Settings", "check_parameters", "default_runs_dir", "environment", "find_or_train", "grid",
           "load_held_out", "load_run", "run_id", "sweep", "write_json"]
