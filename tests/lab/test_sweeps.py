"""Sweeps: what a table asks for is checked, trained once, and survives whatever dies."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import papermill
import psutil
import pytest
from conftest import refusal
from filelock import FileLock
from joblib import cpu_count

from fer_lab import cli as command_line
from fer_lab.sweeps import sweep as room
from fer_lab.sweeps.plan import NOTEBOOK, PARAMETERS, grid, parse, plan, read_table
from fer_lab.sweeps.summary_files import SCORES, write_summary
from fer_lab.sweeps.sweep import sweep
from fer_utils.runs import run, settings
from fer_utils.runs.run import find_or_train, load_run
from fer_utils.runs.settings import check_parameters

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
TINY = {"backbone": "resnet18", "image_size": 32, "batch_size": 16, "epochs": 1, "precision": "fp32", "device": "cpu"}


@pytest.fixture
def no_process(monkeypatch):
    monkeypatch.setattr(room, "_process", lambda *_: pytest.fail("a process was started"))


# The table


def test_rows_that_mean_one_run_are_one(monkeypatch):
    monkeypatch.setattr(settings, "_injected_names", lambda: ["mine"])  # of the notebook that calls a sweep
    table = grid(lam=[0, 0.2], alpha=[0.1, 0.5, 1.9], update=["eq2", "sgd"], seed=[0, 1])
    jobs = plan(table)
    softmax = [job for job in jobs if job.settings.recipe.lam == 0]  # not trained for every alpha
    assert len(table) == 24 and len(jobs) == 14
    assert [job.row for job in softmax] == [{"lam": 0, "seed": 0}, {"lam": 0, "seed": 1}]
    assert all("alpha" not in job.parameters and not job.parameters["overrides"] for job in softmax)
    for table, runs in (
            ([{"lam": 0}, {"lam": 0.0}, {"lam": 0, "overrides": {"alpha": 3}}, {"overrides": '{"lam": 0}'}], 1),
            ([{"epochs": 3}, {"overrides": {"epochs": 3}}, {"epochs": 3, "device": "cpu"}, {"epochs": 4}], 2),
            ([{}, {"data_options": {"label_noise": 0.2}}, {"data_dir": "x"}, {"runs_dir": "y"}, {"seed": 1},
              {"recipe": "paper"}], 6)):
        assert len(plan(table)) == runs, table


def test_a_row_reaches_the_notebook_as_parameters_and_overrides(tmp_path):
    (job,) = plan([{"seed": 3, "lam": 0.3, "epochs": 2, "overrides": {"backbone": "resnet18"}, "alpha": None,
                    "recipe": "paper", "runs_dir": str(tmp_path)}])
    assert job.parameters == {"seed": 3, "lam": 0.3, "overrides": {"backbone": "resnet18", "epochs": 2},
                              "runs_dir": str(tmp_path), "recipe": "paper"}
    assert (job.settings.recipe.epochs, job.settings.recipe.lam, job.settings.recipe.alpha) == (2, 0.3, 1.9)
    assert tuple(papermill.inspect_notebook(str(NOTEBOOK))) == PARAMETERS
    assert not any(cell.get("outputs") for cell in nbformat.read(NOTEBOOK, as_version=4).cells)


def test_a_table_is_a_list_a_data_frame_or_a_file(tmp_path):
    rows = [{"seed": 0, "lam": 0.0, "flip": True}, {"seed": 1, "lam": 0.2, "alpha": 0.5, "flip": False}]
    pd.DataFrame(rows).to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "table.json").write_text(json.dumps(rows))
    keys = [[job.key for job in plan(table)]
            for table in (rows, pd.DataFrame(rows), tmp_path / "table.csv", str(tmp_path / "table.json"))]
    assert len(set(keys[0])) == 2 and keys == [keys[0]] * 4


def test_a_file_is_read_as_excel_and_people_write_it(tmp_path):
    wanted = [{"lam": 0.1, "seed": 0}, {"lam": 0.001, "seed": 1}]
    for name, text in {"blank": "lam,seed\n.1,0\n1e-3,01\n,\n , \n", "semicolons": "lam;seed\n0,1;0\n0,001;1\n;\n",
                       "more columns": "\ufefflam, seed,,\n+0.1,0,,\n0.001,1,,\n,,,\n",
                       "tabs": "lam\tseed\n0.1\t0\n0.001\t1.0\n"}.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
        assert read_table(tmp_path / f"{name}.csv") == wanted, name
        assert [job.settings.seed for job in plan(tmp_path / f"{name}.csv")] == [0, 1]
    frame = pd.DataFrame({"lam": np.float32([0.1, np.nan]), "seed": [1, None], "alpha": [None, None]})
    assert read_table(frame) == [{"lam": 0.1, "seed": 1.0}] and plan(frame)[0].settings.seed == 1
    (tmp_path / "paths.csv").write_text("data_dir\n2024\n")
    assert read_table(tmp_path / "paths.csv") == [{"data_dir": "2024"}]
    assert [parse(text) for text in ("[1, 2]", "TRUE", ".5", "resnet18", '{"a": "1e-3"}')] == [
        [1, 2], True, 0.5, "resnet18", {"a": 0.001}]


def test_a_dry_run_checks_what_the_run_would_and_loads_each_data_set_once(tmp_path, monkeypatch, no_process, capsys):
    monkeypatch.setenv("FER_UTILS_RUNS", str(tmp_path))
    asked, load = [], run.load_dataset
    monkeypatch.setattr(run, "load_dataset", lambda *what, **options: asked.append(what) or load(*what, **options))
    command_line.main(["sweep", "--grid", "seed=0,01,2", "--dry-run"])
    assert "3 runs" in capsys.readouterr().out and len(asked) == 2
    for grid_, words in (("backbone=resnet18,resnet5O", "row 2 of the table: unknown backbone 'resnet5O'"),
                         ("weights=nowhere.pt", "nowhere.pt: there is no such file"),
                         ("batch_size=90000", "training images do not fill one batch"),
                         ("backbone=vit_h_14 weights=imagenet", "no IMAGENET1K_V1 of vit_h_14")):
        arguments = [part for pair in grid_.split() for part in ("--grid", pair)]
        with pytest.raises(SystemExit, match=words):
            command_line.main(["sweep", *arguments, "--dry-run"])


def test_a_table_that_cannot_be_meant_is_refused_before_anything_runs(tmp_path, monkeypatch, no_process):
    monkeypatch.setenv("FER_UTILS_RUNS", str(tmp_path))
    unsaid = [words for table, words in (
        ([{"seed": 0}, {"lamda": 0.3}], "row 2 of the table: there is no parameter 'lamda'; did you mean 'lam'"),
        ([{"epoch": 3}], "no parameter 'epoch'; did you mean 'epochs'"), ([{"seed": 0}, {}, {"seed": -1}], "row 3"),
        ([{"lam": "much"}], "lam = 'much'"), ([{"backbone": "resnet5O"}], "unknown backbone"),
        ([{"epochs": 3, "overrides": {"epochs": 4}}], "epochs is given twice"),
        ([{"alpha": 1.0, "overrides": '{"alpha": 1}'}], "alpha is given twice"), ([], "no row"), ([3], "a table is"),
        ([{"device": "cuda:7"}], "device"), ("nowhere.csv", "nowhere.csv: not a table"), (7, "a table is"),
        ("nowhere.json", "not a table"), ([{"data_dir": "nowhere", "dataset": "fer2013"}], "nowhere"))
        if words not in refusal(sweep, table)]
    unsaid += [workers for workers in (0, -1, 1.5, True, None) if "workers = " not in refusal(sweep, [{}],
                                                                                           workers=workers)]
    assert not unsaid and not list(tmp_path.rglob("*.csv")) and "give a list" in refusal(grid, alpha="0.1")
    assert plan([{"device": "cuda:7"}], on_cluster=True)[0].parameters["device"] == "cuda:7"  # another machine's


# Processes: a stand-in for papermill dies, fails or is slow where the table says so

STAND_IN = """
import json, os, sys, time
from pathlib import Path
page, given = Path(sys.argv[2]), json.loads(sys.argv[3])
with open(page.with_suffix(".note"), "a") as note:
    note.write(os.environ["OMP_NUM_THREADS"] + "\\n")
attempts = len(page.with_suffix(".note").read_text().splitlines())
if given["how"] == "slow":
    time.sleep(600)
if given["how"] == "dies" or given["how"] == "dies once" and attempts == 1:
    os.kill(os.getpid(), 9)
if given["how"] == "fails":
    print("a long story")
    sys.exit("cell [3] stopped with ValueError: no | luck")
page.write_text("{}")
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """``sweep`` with a notebook of the caller's own and the stand-in; ``notes``: a line for each try of each run."""
    monkeypatch.setattr(room, "PROGRAM", tmp_path / "stand_in.py")
    room.PROGRAM.write_text(STAND_IN)
    cell = nbformat.v4.new_code_cell('seed = 0\nhow = "fine"', metadata={"tags": ["parameters"]})
    path, home = tmp_path / "mine.ipynb", tmp_path / "home"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=KERNEL), path)

    def call(*how, **options):
        return sweep([{"how": each, "seed": seed} for seed, each in enumerate(how)],
                     **{"notebook": path, "folder": home, "progress": False, **options})

    def executed(how, seed=0):
        return home / f"mine-{plan([{'how': how, 'seed': seed}], path)[0].key}.ipynb"

    return SimpleNamespace(call=call, home=home, path=path, executed=executed, notes=lambda: [
        note.read_text().split() for note in sorted(home.glob("*.note"), key=lambda note: note.stat().st_mtime_ns)])


def test_what_dies_costs_one_retry_and_what_fails_twice_is_named_and_the_rest_is_done(stand_in):
    stand_in.executed("fine", 4).with_suffix(".log").mkdir(parents=True)  # what the disk refuses is one run's failure
    said = refusal(stand_in.call, "fails", "fine", "dies", "dies once", "fine", workers=2)
    for words in ("3 of 5 runs failed", "ValueError: no | luck", "killed by signal 9", "IsADirectoryError"):
        assert words in said
    table = pd.read_csv(stand_in.home / "summary.csv")
    assert table.state.tolist() == ["failed", "finished", "failed", "finished", "failed"]
    assert sorted(map(len, stand_in.notes())) == [1, 2, 2, 2]
    log = Path(said.splitlines()[1].partition("(see ")[2].rstrip(")"))
    assert log.read_text().splitlines() == ["a long story", "cell [3] stopped with ValueError: no | luck"] * 2
    page = (stand_in.home / "summary.md").read_text(encoding="utf-8")
    assert "2 of 5 runs finished, 3 failed" in page and "a long story" in page and log.name in page


def test_a_second_call_tries_only_what_failed_and_finished_runs_cost_no_process(stand_in, monkeypatch):
    for _ in range(2):
        assert "1 of 2 runs failed" in refusal(stand_in.call, "fails", "fine")
    assert sorted(map(len, stand_in.notes())) == [1, 4]
    stand_in.executed("fails").write_text("{}")
    monkeypatch.setattr(room, "_process", lambda *_: pytest.fail("a process was started"))
    assert stand_in.call("fails", "fine").state.tolist() == ["finished"] * 2


def test_each_worker_gets_its_share_of_the_cores_and_a_changed_notebook_is_executed_again(stand_in):
    stand_in.call("fine", workers=2)
    notebook = nbformat.read(stand_in.path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("1"))
    nbformat.write(notebook, stand_in.path)
    stand_in.call("fine", workers=1000)
    assert stand_in.notes() == [[str(max(1, cpu_count() // 2))], ["1"]]


def test_two_sweeps_do_not_write_into_one_folder(stand_in):
    stand_in.home.mkdir()
    with FileLock(stand_in.home / "lock"):
        assert "home: this sweep is running already" in refusal(stand_in.call, "fine")


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C comes to a whole group of processes there")
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_the_processes_and_begins_no_more(stand_in, workers):
    def interrupt():
        while len(stand_in.notes()) < workers:
            time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        stand_in.call("slow", "slow", "slow", workers=workers)
    signal.signal(signal.SIGINT, before)
    left = [process for process in psutil.process_iter(["cmdline"])
            if str(room.PROGRAM) in (process.info["cmdline"] or [])]
    assert psutil.wait_procs(left, timeout=60)[1] == []
    assert stand_in.notes() == [[str(max(1, cpu_count() // workers))]] * workers
    assert pd.read_csv(stand_in.home / "summary.csv").state.tolist() == ["waiting"] * 3


def test_a_notebook_without_the_parameters_of_the_table_is_refused(stand_in, tmp_path):
    nbformat.write(nbformat.v4.new_notebook(metadata=KERNEL), tmp_path / "bare.ipynb")
    for notebook, row, words in ((tmp_path / "bare.ipynb", {}, "bare.ipynb: no cell of it has the tag parameters"),
                                 (tmp_path / "none.ipynb", {}, "none.ipynb: not a notebook that can be read"),
                                 (stand_in.path, {"epochs": 3}, "no parameter 'epochs'; A row takes seed, how")):
        assert words in refusal(sweep, [row], notebook=notebook)


# On a cluster


def test_a_dask_cluster_does_the_runs_or_it_is_said_what_is_missing(stand_in, monkeypatch):
    address = "tcp://127.0.0.1:1"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "distributed", None)
        assert "pip install distributed" in refusal(stand_in.call, "fine", scheduler=address)
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://",
                                  dashboard_address=":0", silence_logs=50) as cluster:
        said = refusal(stand_in.call, "fine", "dies once", "fails", scheduler=cluster.scheduler_address)
    assert "1 of 3 runs failed" in said and "no | luck" in said
    assert {share for note in stand_in.notes() for share in note} == {str(max(1, cpu_count() // 2))}
    monkeypatch.setattr(room, "SCHEDULER_SECONDS", 1)
    assert f"scheduler = '{address}': nothing answers" in refusal(stand_in.call, "fails", scheduler=address)


# Runs: real ones, of a tiny network, in this process


@pytest.fixture
def trained(make_faces, tiny_network, monkeypatch, tmp_path):
    """Processes are replaced by training here; the list holds what summary.csv said when each run began."""
    splits = {"train": make_faces(100, seed=1), "test": make_faces(28, seed=2, split="test")}
    for module in (run, settings):
        monkeypatch.setattr(module, "load_dataset", lambda name, root=None, split="train", **options: splits[split])
    monkeypatch.setenv("FER_UTILS_RUNS", str(tmp_path))
    seen = []

    def process(arguments, log, *_):
        seen.append(pd.read_csv(log.parent / "summary.csv").state.tolist())
        if not Path(arguments[1]).exists():  # like execute_notebook.py
            check_parameters(**json.loads(arguments[2])).run(progress=False)
            Path(arguments[1]).touch()

    monkeypatch.setattr(room, "_process", process)
    return seen


def test_the_summary_tells_each_runs_parameters_scores_and_state(trained, tmp_path):
    table = sweep([{**TINY, **row} for row in grid(lam=[0, 0.2], alpha=[0.5, 1.9], seed=[0, 1])], progress=False)
    (home,) = (tmp_path / "sweeps").iterdir()
    assert trained == [["finished"] * done + ["waiting"] * (6 - done) for done in range(6)]
    stored = pd.read_csv(home / "summary.csv")
    assert list(stored) == [*TINY, "lam", "seed", "alpha", *SCORES, "run", "state"]
    pd.testing.assert_frame_equal(stored, table, check_dtype=False)
    for row in table.itertuples():
        done = load_run(tmp_path / row.run)
        assert done.config["seed"] == row.seed and done.config["recipe"]["lam"] == row.lam
        assert [row.accuracy, row.macro_f1, row.ratio, row.seconds] == pytest.approx(
            [done.metrics[name] for name in ("accuracy", "macro_f1", "ratio", "seconds")])
        assert pd.isna(row.alpha) == (row.lam == 0)
    page = (home / "summary.md").read_text(encoding="utf-8")
    of_softmax = table[table.lam == 0].accuracy
    assert f"| 0 |  | 2 | {of_softmax.mean():.4f} ± {of_softmax.std():.4f} |" in page  # the sample's, over seeds
    assert "6 of 6 runs finished, 0 failed" in page and f"](<{table.run[0]}.ipynb>)" in page and "epochs = 1" in page


def test_the_validation_accuracy_is_the_chosen_epochs_and_a_run_from_before_is_found(trained, validations):
    recipe = check_parameters(overrides={name: TINY[name] for name in TINY if name != "device"}).recipe
    validations([0.3, 0.9, 0.1])
    before = find_or_train(recipe.replace(epochs=3), seed=4, device="cpu", progress=False)
    table = sweep([{**TINY, "epochs": 3, "seed": 4}], progress=False)
    assert table.run.tolist() == [before.folder.name] and trained == []
    assert table.validation_accuracy.tolist() == [0.9]


def test_a_run_that_failed_counts_for_no_mean(tmp_path):
    jobs = plan(grid(lam=[0, 0.2], seed=[0, 1, 2]))
    for job, accuracy in zip(jobs, (0.5, 0.7, 0.6, 0.4, 0.5, None)):
        job.executed = tmp_path / f"{job.key}.ipynb"
        if accuracy:
            job.state, job.results = "finished", dict.fromkeys(SCORES, accuracy)
    write_summary(tmp_path, jobs)
    page = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "| 0 | 3 | 0.6000 ± 0.1000 |" in page and "| 0.2 | 2 | 0.4500 ± 0.0707 |" in page


def test_a_run_that_was_deleted_is_trained_again_and_a_damaged_one_is_a_failure_that_says_so(trained, tmp_path):
    table = sweep([TINY], progress=False)
    (tmp_path / table.run[0] / "metrics.json").unlink()
    assert sweep([TINY], progress=False).state.tolist() == ["finished"] and len(trained) == 2
    (tmp_path / table.run[0] / "config.json").write_text("{half")
    said = refusal(sweep, [TINY, {**TINY, "seed": 1}], progress=False)
    assert "1 of 2 runs failed" in said and "not a finished run" in said


def test_a_run_that_another_process_trains_is_waited_for(trained, tmp_path):
    folder, held = tmp_path / sweep([TINY], progress=False).run[0], threading.Event()
    metrics = (folder / "metrics.json").read_bytes()
    (folder / "metrics.json").unlink()

    def other():
        with FileLock(folder / "lock"):
            held.set()
            time.sleep(1)
            (folder / "metrics.json").write_bytes(metrics)

    threading.Thread(target=other).start()
    assert held.wait(60)
    assert sweep([TINY], progress=False).state.tolist() == ["finished"] and len(trained) == 1


# The command line


def test_arguments_become_rows_or_are_refused(tmp_path, no_process):
    assert command_line.sweep_rows(None, ["data_dir=/a b", 'data_options={"subset": 9}', "flip=true"],
                                   ["seed=0,1", "dataset=fer2013,ferplus"]) == [
        {"data_dir": "/a b", "data_options": {"subset": 9}, "flip": True, "seed": seed, "dataset": dataset}
        for seed in (0, 1) for dataset in ("fer2013", "ferplus")]
    (tmp_path / "table.csv").write_text("seed,lam\n0,\n1,0.2\n")
    assert command_line.sweep_rows(str(tmp_path / "table.csv"), ["epochs=2"], []) == [
        {"epochs": 2, "seed": 0}, {"epochs": 2, "seed": 1, "lam": 0.2}]
    assert [parse(text) for text in ("1e-3", "True", "None", "a,b", "[1]")] == [0.001, True, None, "a,b", [1]]
    for arguments, message in (
            (["--set", "epochs"], "epochs: give each name once, as NAME=VALUE"), (["--set", "=3"], "each name once"),
            (["--set", "seed=0", "--grid", "seed=1"], "give each name once"),
            (["x.csv", "--grid", "seed=1"], "exclude each other"), (["x.csv"], "x.csv: not a table")):
        with pytest.raises(SystemExit, match=message):
            command_line.main(["sweep", *arguments])
