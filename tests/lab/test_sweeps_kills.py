"""A real sweep of real notebooks: workers, kernels and the driver are killed, and in the end no run is missing."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 900  # after which a driver is taken to hang


def drive(folder, seeds):
    """Start ``fer-lab sweep``: for each seed one softmax run and two with centre loss."""
    fields = {"data_options": '{"subset": 140}', "backbone": "resnet18", "image_size": 16, "batch_size": 16,
              "epochs": 3, "device": "cpu", "runs_dir": folder / "runs"}
    fixed = [part for name, value in fields.items() for part in ("--set", f"{name}={value}")]
    lists = ["--grid", "lam=0,0.2", "--grid", "alpha=0.5,1.9", "--grid", f"seed={','.join(map(str, range(seeds)))}"]
    with open(folder / "driver.log", "ab") as log:
        return subprocess.Popen([sys.executable, "-m", "fer_lab.cli", "sweep", *fixed, *lists, "--workers", "2",
                                 "--folder", str(folder / "sweep")], stdout=log, stderr=subprocess.STDOUT, cwd=folder,
                                env={**os.environ, "PYTHONPATH": str(ROOT)})


def until(driver, true):
    """Wait for a value that counts as true; None where the driver ends before."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        value = true()
        if value or driver.poll() is not None:
            return value or None
        time.sleep(0.05)
    raise AssertionError("the sweep hangs")


def workers(folder):
    """{name of the run: (papermill's process, its kernel)} of the sweep in this folder, whoever is their parent."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if len(line) == 6 and line[2].endswith("execute_notebook.py") and line[4].startswith(str(folder)):
            try:
                found[Path(line[4]).stem] = (process, *process.children())
            except psutil.NoSuchProcess:
                pass
    return found


def finished(folder):
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("runs/*/metrics.json")}


def in_training(folder):
    """The workers that have a run under way: with a checkpoint, and not finished."""
    return {name: pair for name, pair in workers(folder).items() if len(pair) == 2 and name not in finished(folder)
            and (folder / "runs" / name / "last.json").exists()}


@pytest.mark.parametrize("seeds, deaths, drivers", [pytest.param(1, 1, 1, marks=pytest.mark.course),
                                                    pytest.param(4, 4, 3, marks=pytest.mark.stress)])
def test_whatever_is_killed_no_run_is_lost(tmp_path, seeds, deaths, drivers):
    runs, rng, killed, kept = 3 * seeds, random.Random(seeds), set(), {}
    driver = drive(tmp_path, seeds)
    try:
        for death in range(max(deaths, drivers)):
            if death < deaths:  # a worker, or its kernel, each run's once: a second death would be a failure
                alive = until(driver, lambda: {name: pair for name, pair in in_training(tmp_path).items()
                                               if name not in killed})
                name = rng.choice(sorted(alive))
                alive[name][death % 2].kill()
                killed.add(name)
            if death < drivers:  # when a further run is finished and another one under way
                assert until(driver, lambda old=len(kept): len(finished(tmp_path)) > old and in_training(tmp_path))
                driver.kill()
                driver.wait()
                kept = finished(tmp_path)
                assert len(kept) < runs and workers(tmp_path), "nothing was left to go on with"
                driver = drive(tmp_path, seeds)
        code = driver.wait(SECONDS)
        assert code == 0, (tmp_path / "driver.log").read_text()
    finally:
        driver.kill()
        for name in (processes := workers(tmp_path)):
            processes[name][0].terminate()
    table = pd.read_csv(tmp_path / "sweep" / "summary.csv")
    assert table.state.tolist() == ["finished"] * runs and table.accuracy.between(0, 1).all()
    assert sorted(table.run) == sorted(finished(tmp_path)) and len(killed) == deaths
    assert kept.items() <= finished(tmp_path).items(), "what was finished was trained again"
    assert {path.stem for path in tmp_path.glob("sweep/*.ipynb") if "unfinished" not in path.stem} == set(table.run)
    assert not processes, "a worker outlived the sweep"
