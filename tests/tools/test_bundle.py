"""The bundle for a workshop, made from a small tree: what is in it, what never is, and that it is whole."""

import json
import subprocess
import zipfile
from types import SimpleNamespace

import bundle
import nbformat
import numpy as np
import preflight
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from fer_utils.runs import run as room
from fer_utils.runs.run import find_or_train, load_run


def put(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def notebook(*tags):
    return nbformat.writes(new_notebook(cells=[new_code_cell("dataset = 'x'", metadata={"tags": list(tags)})]))


@pytest.fixture
def tree(tmp_path):
    """A small checkout: a package, a notebook, results with large networks, and what git ignores."""
    root = tmp_path / "course"
    for name in ("README.md", "docs/workshop.md", "fer_utils/__init__.py", "notebooks/01_first.ipynb",
                 "results/run/metrics.json", "results/networks/run/model.half.safetensors", "tests/test_x.py",
                 ".github/workflows/ci.yml"):
        put(root, name, f"{name}\n")
    put(root, ".gitignore", "/runs/\nbuild/\nsecret.txt\n")
    for command in (["init", "-q"], ["add", "."],
                    ["-c", "user.name=A Tester", "-c", "user.email=tester@example.org", "commit", "-qm", "All"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    put(root, "secret.txt", "not meant to be there")
    put(root, "draft.md", "not added to git")
    put(root, "README.md", "changed\n")
    put(root, "build/workshop/student/01_first.ipynb", notebook())
    put(root, "build/workshop/student/02_mine.ipynb", notebook("injected-parameters"))  # may show real faces
    for name in ("01_first.ipynb", "minutes.json", "old.zip", "site/index.html", "unfinished-01_first.ipynb"):
        put(root / "build", name, "page")
    return root


@pytest.fixture
def runs(make_faces, make_recipe, tiny_network, tmp_path, monkeypatch):
    """Two finished runs of a tiny network, and what a notebook needs of them."""
    splits = {"train": make_faces(100, seed=1), "test": make_faces(28, seed=2, split="test")}
    monkeypatch.setattr(room, "load_dataset", lambda name, root=None, split="train", **options: splits[split])
    monkeypatch.setattr("fer_utils.model.CLResNet50", tiny_network)
    home = tmp_path / "runs"

    def train(**fields):
        return find_or_train(make_recipe(epochs=1, **fields), device="cpu", runs_dir=home, progress=False).folder.name

    softmax, small = train(lam=0, precision="bf16"), train(lam=0.2)
    return SimpleNamespace(home=home, softmax=softmax, small=small, needed={softmax: ["02", "06"], small: ["05"]},
                           test=splits["test"])


def test_it_holds_what_is_committed_the_runs_and_the_pages_and_nothing_else(tree, runs, tmp_path, capsys):
    for name in ("one.zip", "other.zip"):
        commit, stamp, files = bundle.committed(tree)
        files.update(bundle.stored_runs(runs.home, runs.needed) | bundle.pages(tree))
        bundle.write(tmp_path / name, files, "1.0", commit, stamp)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert len({entry.date_time for entry in archive.infolist()}) == 1  # the commit's
        archive.extractall(tmp_path / "unpacked")
    folder = tmp_path / "unpacked" / "cl-resnet50-course-1.0"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    parts = {f"runs/{name}/{part}" for name in runs.needed for part in bundle.RUN_FILES}
    assert found == {"README.md", "docs/workshop.md", "fer_utils/__init__.py", "results/run/metrics.json",
                     "notebooks/01_first.ipynb", "START.txt", "START.html", "MANIFEST.sha256", "build/site/index.html",
                     "build/workshop/student/01_first.ipynb", f"runs/{runs.softmax}/model.safetensors", *parts}
    assert (folder / "README.md").read_text() == "README.md\n" and "README.md" in capsys.readouterr().out
    assert preflight.check_bundle(folder).found == f"all {len(found) - 1} files as they were packed"  # but the manifest
    # Its runs are found, with the same answers and their date, and a network is half as large
    original, run = load_run(runs.home / runs.softmax), load_run(folder / "runs" / runs.softmax)
    assert preflight.check_runs(folder / "runs", runs.needed).state == "yes"
    assert run.metrics == original.metrics and run.config == original.config and run.origin == original.origin
    assert all(map(np.array_equal, original.predict(runs.test), run.predict(runs.test)))
    half, whole = (at.folder.joinpath("model.safetensors").stat().st_size for at in (run, original))
    assert half < whole


def test_a_network_that_half_precision_would_change_goes_along_as_it_is(runs):
    name = f"{runs.small}/model.safetensors"  # trained in fp32: rounding its weights moves its answers
    files = bundle.stored_runs(runs.home, {runs.small: ["06"]})
    assert files[f"runs/{name}"] == (runs.home / name).read_bytes()


def test_a_run_that_is_missing_damaged_or_on_real_data_is_refused_and_so_is_what_is_no_checkout(runs, tmp_path):
    folder, config = runs.home / runs.softmax, runs.home / runs.small / "config.json"
    for damage, message in ((lambda: (folder / "model.safetensors").write_bytes(b"half"), "SafetensorError"),
                            (lambda: (folder / "metrics.json").unlink(), "missing")):
        damage()
        with pytest.raises(SystemExit, match=f"{runs.softmax}: {message}") as caught:
            bundle.stored_runs(runs.home, runs.needed)
        assert "tools/course.py --only 02 trains them" in str(caught.value) and runs.small not in str(caught.value)
    config.write_text(json.dumps({**json.loads(config.read_text()), "dataset": "fer2013"}))
    with pytest.raises(SystemExit, match="a run on fer2013; only runs on the drawn faces"):
        bundle.stored_runs(runs.home, {runs.small: ["05"]})
    with pytest.raises(SystemExit, match="git checkout.*Clone the repository"):
        bundle.committed(tmp_path)


def test_the_start_pages_say_three_steps_and_where_to_begin():
    files = dict.fromkeys(["notebooks/01_a.ipynb", f"{bundle.STUDENT}01_s.ipynb", "README.md"], b"")
    pages = bundle.start(files, "1.0")
    text, page = (pages[name].decode() for name in ("START.txt", "START.html"))
    for said in (text, page):
        assert "01_s.ipynb" in said and "lab build/workshop/student\n" in said
        assert "tools/preflight.py --offline" in said and "docs/workshop.md" not in said and "README.md" in said
        assert all(step[0] in said for step in bundle.STEPS) and "{first" not in said and "http" not in said
