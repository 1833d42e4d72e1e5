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

STAMP = 1_700_000_000


def put(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def notebook(path, *tags):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [new_code_cell("dataset = 'x'", metadata={"tags": list(tags)}), new_code_cell("1")]
    nbformat.write(new_notebook(cells=cells), path)


@pytest.fixture
def tree(tmp_path):
    """A small checkout: a package, a notebook, results with large networks, and what git ignores."""
    root = tmp_path / "course"
    for name in ("README.md", "docs/workshop.md", "fer_utils/__init__.py", "tools/preflight.py",
                 "results/run/metrics.json", "results/networks/run/model.half.safetensors", "tests/test_x.py",
                 ".github/workflows/ci.yml"):
        put(root, name, f"{name}\n")
    put(root, ".gitignore", "/runs/\nbuild/\nsecret.txt\n")
    notebook(root / "notebooks" / "01_first.ipynb")
    for command in (["init", "-q"], ["add", "."],
                    ["-c", "user.name=A Tester", "-c", "user.email=tester@example.org", "commit", "-qm", "All"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    put(root, "secret.txt", "not meant to be there")
    put(root, "draft.md", "not added to git")
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
    needed = {softmax: {"notebooks": ["02", "06"], "network": True}, small: {"notebooks": ["05"], "network": False}}
    return SimpleNamespace(home=home, needed=needed, softmax=softmax, small=small, test=splits["test"])


def packed(tree, runs, tmp_path):
    """The bundle of tree and runs, unpacked: the folder."""
    commit, stamp, files = bundle.committed(tree)
    files.update(bundle.stored_runs(runs.home, runs.needed, tmp_path / "scratch"))
    files.update(bundle.pages(tree))
    bundle.write(tmp_path / "out" / "course.zip", files, "1.0", commit, stamp)
    with zipfile.ZipFile(tmp_path / "out" / "course.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    (folder,) = (tmp_path / "unpacked").iterdir()
    return folder


def test_it_holds_what_is_committed_the_runs_and_the_start_pages_and_nothing_else(tree, runs, tmp_path):
    folder = packed(tree, runs, tmp_path)
    assert folder.name == "cl-resnet50-course-1.0"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    parts = {f"runs/{name}/{part}" for name in runs.needed for part in bundle.RUN_FILES}
    assert found == {"README.md", "docs/workshop.md", "fer_utils/__init__.py", "tools/preflight.py",
                     "results/run/metrics.json", "notebooks/01_first.ipynb", "START.txt", "START.html",
                     "MANIFEST.sha256", f"runs/{runs.softmax}/model.safetensors", *parts}


def test_its_manifest_is_checked_and_notices_damage(tree, runs, tmp_path):
    folder = packed(tree, runs, tmp_path)
    count = sum(path.is_file() for path in folder.rglob("*"))
    assert preflight.check_bundle(folder).found == f"all {count - 1} files as they were packed"  # all but the manifest
    network = folder / "runs" / runs.softmax / "model.safetensors"
    network.write_bytes(network.read_bytes()[:-1])
    check = preflight.check_bundle(folder)
    assert check.state == "no" and runs.softmax in check.found


def test_its_runs_are_found_with_the_same_answers_and_their_date(tree, runs, tmp_path, monkeypatch):
    original = load_run(runs.home / runs.softmax)
    before = original.predict(runs.test)
    folder = packed(tree, runs, tmp_path)
    for name, about in runs.needed.items():
        assert preflight.state_of(folder / "runs" / name, about["network"]) == "found"
    run = load_run(folder / "runs" / runs.softmax)
    assert run.metrics == original.metrics and run.config == original.config and run.origin == original.origin
    assert all(np.array_equal(one, other) for one, other in zip(before, run.predict(runs.test)))
    half = (folder / "runs" / runs.softmax / "model.safetensors").stat().st_size
    assert half < original.folder.joinpath("model.safetensors").stat().st_size


def test_a_network_that_half_precision_would_change_goes_along_as_it_is(tree, runs, tmp_path):
    runs.needed[runs.small]["network"] = True  # trained in fp32: rounding its weights moves its answers
    folder = packed(tree, runs, tmp_path)
    name = f"{runs.small}/model.safetensors"
    assert (folder / "runs" / name).read_bytes() == (runs.home / name).read_bytes()


def test_the_same_files_give_the_same_zip_and_a_commits_time(tree, runs, tmp_path):
    first = packed(tree, runs, tmp_path / "a")
    packed(tree, runs, tmp_path / "b")
    one, other = ((tmp_path / name / "out" / "course.zip").read_bytes() for name in "ab")
    assert one == other and first.exists()
    with zipfile.ZipFile(tmp_path / "a" / "out" / "course.zip") as archive:
        names = archive.namelist()
        assert names == sorted(names) and len({entry.date_time for entry in archive.infolist()}) == 1


def test_it_is_refused_where_a_run_is_missing_or_damaged(runs, tmp_path):
    folder = runs.home / runs.softmax
    for damage, message in ((lambda: (folder / "model.safetensors").write_bytes(b"half"), "SafetensorError"),
                            (lambda: (folder / "metrics.json").unlink(), "missing")):
        damage()
        with pytest.raises(bundle.Refused, match=f"{runs.softmax}: {message}") as caught:
            bundle.stored_runs(runs.home, runs.needed, tmp_path)
        assert "tools/course.py --only 02 trains them" in str(caught.value) and runs.small not in str(caught.value)


def test_a_run_on_real_data_is_refused(runs, tmp_path):
    path = runs.home / runs.small / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "dataset": "fer2013"}))
    with pytest.raises(bundle.Refused, match="a run on fer2013; only runs on the drawn faces"):
        bundle.stored_runs(runs.home, runs.needed, tmp_path)


def test_outside_git_it_is_refused(tmp_path):
    with pytest.raises(bundle.Refused, match="git checkout.*Clone the repository"):
        bundle.committed(tmp_path)


def test_what_is_not_committed_is_told_and_left_out(tree, capsys):
    put(tree, "README.md", "changed\n")
    _, _, files = bundle.committed(tree)
    assert files["README.md"] == b"README.md\n"
    assert "README.md" in capsys.readouterr().out


def test_pages_and_the_workshops_notebooks_go_along_but_none_with_parameters_from_outside(tree):
    build = tree / "build"
    notebook(build / "01_first.ipynb")  # the site has what is to be read of it
    notebook(build / "workshop" / "student" / "01_first.ipynb")
    notebook(build / "workshop" / "student" / "02_mine.ipynb", "injected-parameters")
    for name in ("minutes.json", "old.zip", "site/index.html", "unfinished-01_first.ipynb"):
        put(build, name, "page")
    assert set(bundle.pages(tree)) == {"build/site/index.html", "build/workshop/student/01_first.ipynb"}


@pytest.mark.parametrize("files, first, folder", [
    (["notebooks/01_a.ipynb", "notebooks/02_b.ipynb"], "01_a.ipynb", "lab notebooks\n"),
    (["notebooks/01_a.ipynb", "build/workshop/student/01_s.ipynb"], "01_s.ipynb", "lab build/workshop/student\n"),
])
def test_the_start_pages_say_three_steps_and_where_to_begin(files, first, folder):
    pages = bundle.start(dict.fromkeys([*files, "README.md"], b""), "1.0")
    text, page = (pages[name].decode() for name in ("START.txt", "START.html"))
    for said in (text, page):
        assert first in said and folder in said and "tools/preflight.py --offline" in said
        assert "docs/workshop.md" not in said and "README.md" in said
    assert [line for line in text.splitlines() if line[:2] in ("1.", "2.", "3.", "4.")] == [
        f"{number}. {step[0]}" for number, step in enumerate(bundle.STEPS, 1)]
    assert all(len(line) <= 80 for line in text.splitlines()) and "{" not in text
    assert page.count("<h2>") == 3 and "http" not in page


def test_the_zip_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(FileNotFoundError):
        bundle.write(tmp_path / "a.zip", {"notebooks/01.ipynb": tmp_path / "gone"}, "1.0", "commit", STAMP)
    assert not list(tmp_path.iterdir())
