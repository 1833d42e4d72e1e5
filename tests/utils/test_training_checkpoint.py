"""No epoch is lost: cut off, resumed, out of disk or memory, locked, damaged, moved to another machine."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import apart
import numpy as np
import pytest
import torch
from conftest import TinyNetwork, refusal, train
from safetensors import SafetensorError

from fer_utils.training import checkpoint, loop, steps
from fer_utils.training.setup import make_accelerator, prepare

pytestmark = pytest.mark.usefixtures("tiny_network")

EVERYTHING = {"backbone": "tiny dropout", "optimizer": "sgd", "learning_rate": 0.01, "weight_decay": 5e-4,
              "schedule": "cosine", "warmup": 0.5, "mixup": 0.3, "label_smoothing": 0.1, "ema": 0.9, "erase": 0.5,
              "update": "adam", "center_init": "randn", "accumulate": 2, "mirror_test": True, "precision": "bf16"}
FILES = ["best-0001.safetensors", "epoch-0002.pt", "epoch-0002.safetensors", "last.json", "lock"]
CUTS = {"validation": (loop, "_validate", 2), "step": (steps, "training_step", 7),
        "tensors": (checkpoint, "save_file", 3), "rest": (torch, "save", 2), "pointer": (Path, "replace", 8),
        "clean-up": (checkpoint, "clear", 2)}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def epoch_in(folder):
    return json.loads((folder / "last.json").read_text())["epoch"]


def fail_at(monkeypatch, owner, name, nth, error):
    """The nth call of a function raises; what it was to write is half there."""
    real, calls = getattr(owner, name), []

    def failing(*args, **options):
        calls.append(None)
        if len(calls) == nth:
            for path in args:
                if isinstance(path, Path) and path.suffix == ".part":
                    path.write_bytes(b"half of a file")
            raise error
        return real(*args, **options)

    monkeypatch.setattr(owner, name, failing)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """A checkpoint after each epoch, on a GPU too."""
    monkeypatch.setattr(loop, "PAUSE", {})


@pytest.fixture
def cut_off(faces):
    """Train into a folder, and end in the second epoch as Ctrl+C does."""
    def cut(recipe, folder, where="validation"):
        with pytest.MonkeyPatch.context() as patch:
            fail_at(patch, *CUTS[where], KeyboardInterrupt)
            with pytest.raises(KeyboardInterrupt):
                train(faces, recipe, folder=folder)
    return cut


@pytest.fixture
def better_and_better(monkeypatch):
    """Each epoch is the best so far, so that each checkpoint has four files; the real validation runs, too."""
    real = loop._validate
    monkeypatch.setattr(loop, "_validate", lambda *args: {**real(*args), "validation_accuracy": args[-1] / 100})


@pytest.mark.parametrize("where", CUTS)
def test_a_resumed_training_ends_like_one_that_was_never_cut_off(faces, make_recipe, tmp_path, where, steps_seen,
                                                                 assert_same_training, better_and_better, cut_off):
    recipe = make_recipe(epochs=3, **EVERYTHING)
    whole = train(faces, recipe)
    cut_off(recipe, tmp_path, where)
    done = 2 if where == "clean-up" else 1
    assert epoch_in(tmp_path) == done
    steps_seen.clear()
    assert_same_training(whole, train(faces, recipe, folder=tmp_path))
    assert len(steps_seen) == 4 * (3 - done)  # the missing epochs only
    assert names(tmp_path) == ["best-0003.safetensors", "epoch-0003.pt", "epoch-0003.safetensors", "last.json", "lock"]


@pytest.mark.gpu
def test_ctrl_c_says_what_is_kept(make_recipe, tmp_path, capsys, cut_off):
    cut_off(make_recipe(epochs=3), tmp_path, "rest")  # an epoch whose checkpoint is half written counts as lost
    said = f"Stopped in epoch 2; 1 finished and kept in {tmp_path}. The same call goes on from there."
    assert said in capsys.readouterr().err


@pytest.mark.gpu
def test_a_finished_training_is_not_trained_again(faces, make_recipe, tmp_path, validations, steps_seen,
                                                  assert_same_training):
    for epochs, patience in ((2, 6), (6, 1)):  # to its end, and stopped early
        validations([0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
        recipe, folder = make_recipe(epochs=epochs, patience=patience), tmp_path / str(epochs)
        first = train(faces, recipe, folder=folder)
        steps_seen.clear()
        assert_same_training(first, train(faces, recipe, folder=folder))
        assert steps_seen == []


def test_a_folder_changes_nothing_about_the_outcome_nor_do_files_that_no_pointer_names(
        faces, make_recipe, tmp_path, assert_same_training, validations):
    folder = tmp_path / "not" / "there" / "yet"
    validations([0.5, 0.4] * 3)
    plain = train(faces, make_recipe())
    for left_over in ((), ("epoch-0009.pt", "best-0009.safetensors", "epoch-0001.pt.part")):
        for name in left_over:
            (folder / name).write_bytes(b"left over")
        assert_same_training(plain, train(faces, make_recipe(), folder=folder))
        assert names(folder) == FILES
        (folder / "last.json").unlink()


@pytest.mark.gpu
def test_a_checkpoint_of_another_training_is_refused(faces, make_recipe, tmp_path, monkeypatch):
    train(faces, make_recipe(), folder=tmp_path)
    (images, validation), kept = faces, make_recipe()
    others = {"recipe": (faces, make_recipe(learning_rate=2e-3)), "alpha": (faces, make_recipe(alpha=0.5)),
              "seed": (faces, kept, 1), "data": ((images.subset(np.arange(64)[::-1]), validation), kept),
              "validation": ((images, validation.subset(np.arange(14))), kept)}
    said = {name: refusal(train, *other, folder=tmp_path) for name, other in others.items()}
    monkeypatch.setattr(loop, "ENGINE", loop.ENGINE + 1)
    said["engine"] = refusal(train, faces, kept, folder=tmp_path)
    start = f"{tmp_path}: a checkpoint of another training"
    assert [name for name, text in said.items() if not text.startswith(start)] == []


@pytest.mark.gpu
def test_a_damaged_checkpoint_is_named(faces, make_recipe, tmp_path, validations):
    folder = tmp_path / "run"
    validations([0.5, 0.4] * 2)
    train(faces, make_recipe(), folder=folder)
    train(faces, make_recipe(backbone="tiny plain"), folder=tmp_path / "plain")
    whole = {name: (folder / name).read_bytes() for name in FILES[:4]}
    contents = [(name, spoiled) for name, right in whole.items()
                for spoiled in (b"", b"garbage", right[:5], right[:len(right) // 2], right[:-9])]
    contents += [(name, None) for name in FILES[:3]]  # gone; without the fourth there is no checkpoint
    contents.append(("epoch-0002.safetensors", (tmp_path / "plain/epoch-0002.safetensors").read_bytes()))
    torch.save({"model": {}}, tmp_path / "other.pt")
    contents.append(("epoch-0002.pt", (tmp_path / "other.pt").read_bytes()))
    taken = []
    for name, content in contents:
        (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
        said = refusal(train, faces, make_recipe(), folder=folder)
        if f"{name}: this checkpoint cannot be read" not in said or f"delete {folder} to start again" not in said:
            taken.append((name, (content or b"")[:20], said))
        (folder / name).write_bytes(whole[name])
    assert not taken


def test_a_checkpoint_made_on_a_gpu_is_read_without_one_in_another_place(faces, make_recipe, tmp_path, monkeypatch,
                                                                         cut_off, assert_same_training):
    """Its optimiser's tensors and its scaler come from there: the first are moved, the second is left out."""
    cut_off(make_recipe(epochs=3), tmp_path / "there")
    (tmp_path / "there").rename(tmp_path / "here")
    path, places, load = tmp_path / "here" / "epoch-0001.pt", [], torch.load
    rest = load(path, weights_only=True)
    rest["states"]["scaler"] = torch.amp.GradScaler("cpu").state_dict()
    torch.save(rest, path)
    monkeypatch.setattr(torch, "load", lambda *args, **options: places.append(options["map_location"]) or load(
        *args, **options))
    assert_same_training(train(faces, make_recipe(epochs=3)),
                         train(faces, make_recipe(epochs=3), folder=tmp_path / "here"))
    assert places == ["cpu"]


def test_the_scale_of_fp16s_loss_is_kept_too(make_recipe, tmp_path):
    """GPUs alone have one; here one stands in for it."""
    parts = prepare(make_recipe(), 0, make_accelerator(torch.device("cpu"), make_recipe()), 4)
    before, after = (SimpleNamespace(scaler=torch.amp.GradScaler("cpu", init_scale=scale)) for scale in (1024.0, 2.0))
    best = {"epoch": 1, "value": 0.5, "states": loop._best_states(parts)}
    loop._save(tmp_path, parts, before, best, True, {}, [{"epoch": 1}])
    loop._resume(tmp_path, parts, after, {})
    assert after.scaler.get_scale() == 1024.0


# A full disk, no memory, numbers that are none

FULL = OSError(errno.ENOSPC, "No space left on device")
TORCH_FULL = RuntimeError("[enforce fail at inline_container.cc:858] . unexpected pos 64 vs 0")
WRITES = {"tensors": (checkpoint, "save_file", 3, SafetensorError("I/O error: No space left on device")),
          "best": (checkpoint, "save_file", 4, FULL), "rest": (torch, "save", 2, TORCH_FULL),
          "sync": (os, "fsync", 5, FULL), "pointer": (Path, "write_text", 2, FULL),
          "rename": (Path, "replace", 8, FULL)}


def test_a_full_disk_is_said_and_the_checkpoint_before_is_intact(faces, make_recipe, tmp_path, assert_same_training,
                                                                 better_and_better):
    recipe = make_recipe(epochs=3, **EVERYTHING)
    whole = train(faces, recipe)
    for where, write in WRITES.items():
        folder = tmp_path / where
        with pytest.MonkeyPatch.context() as patch:
            fail_at(patch, *write)
            said = refusal(train, faces, recipe, folder=folder)
        assert "the checkpoint of epoch 2 cannot be written; the one before is kept" in said, (where, said)
        assert names(folder) == ["best-0001.safetensors", "epoch-0001.pt", "epoch-0001.safetensors", *FILES[3:]], where
        assert_same_training(whole, train(faces, recipe, folder=folder))


@pytest.mark.gpu
def test_a_folder_that_cannot_be_made_is_named(faces, make_recipe, tmp_path):
    (tmp_path / "file").write_text("")
    said = refusal(train, faces, make_recipe(), folder=tmp_path / "file" / "run")
    assert "file/run: nothing can be written there" in said and "give another runs_dir" in said


def on_a_small_disk(folder):
    import resource

    for limit in (4000, 9000, 5):  # smaller than the tensors, than the rest, than any file
        run = folder / str(limit)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        assert "the checkpoint of epoch 1 cannot be written" in refusal(apart.train, run, 2)
        assert not list(run.glob("*.part"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert len(apart.train(run, 2).history) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits")
def test_a_disk_that_is_truly_full(tmp_path):
    """The operating system refuses what goes beyond so many bytes in a file, to all writers alike."""
    process = apart.start(on_a_small_disk, tmp_path / "runs", log=tmp_path / "log")
    assert apart.end([process]) == [0], (tmp_path / "log").read_text()


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:alpha")
def test_a_training_that_diverges_is_refused_and_keeps_the_epochs_before(faces, make_recipe, tmp_path, monkeypatch):
    said = refusal(train, faces, make_recipe(epochs=20, alpha=1e3, patience=20), folder=tmp_path)
    epoch = epoch_in(tmp_path)
    assert epoch > 0 and f"epoch {epoch + 1}: the loss is no longer finite" in said and "lower learning_rate" in said
    real = loop.predict
    monkeypatch.setattr(loop, "predict", lambda *args, **inputs: (real(*args, **inputs)[0], np.full((21, 7), np.nan)))
    said = refusal(train, faces, make_recipe())
    assert "epoch 1: the answers to the validation images are no longer numbers" in said


@pytest.mark.gpu
def test_out_of_memory_says_what_to_do_and_other_errors_stay_what_they_are(faces, make_recipe, tmp_path):
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    cpu_full = RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't")
    for number, (owner, name, nth, error, words) in enumerate((
            (steps, "training_step", 6, full, "epoch 2: out of memory with batches of 16 at 32 px; raise accumulate"),
            (steps, "training_step", 6, cpu_full, "epoch 2: out of memory"),
            (TinyNetwork, "forward", 1, full, "epoch 1: out of memory"),  # while it is built
            (steps, "training_step", 1, RuntimeError("something else"), "no FerError but RuntimeError"))):
        with pytest.MonkeyPatch.context() as patch:
            fail_at(patch, owner, name, nth, error)
            assert words in refusal(train, faces, make_recipe(epochs=3), folder=tmp_path / str(number))
    assert epoch_in(tmp_path / "0") == epoch_in(tmp_path / "1") == 1


@pytest.mark.gpu
def test_a_folder_is_held_while_training_and_a_second_process_says_so(faces, make_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "WAIT", 0.2)
    script = f"from filelock import *\nlock = FileLock({str(tmp_path / 'lock')!r})\n" \
             "try: lock.acquire(timeout=0.1); print('free', flush=True); input()\nexcept Timeout: print('held')"

    def another():
        process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return process, process.stdout.readline().strip()

    seen = []
    with pytest.raises(ZeroDivisionError):
        train(faces, make_recipe(), folder=tmp_path, on_epoch=lambda history: seen.append(another()) or 1 / 0)
    seen.append(another())
    assert [said for _, said in seen] == [b"held", b"free"]
    assert "another process is training here; wait for it" in refusal(train, faces, make_recipe(), folder=tmp_path)
    for process, _ in seen:
        process.kill()
        process.communicate()
    assert len(train(faces, make_recipe(), folder=tmp_path).history) == 2  # nobody waits for a dead one


@pytest.mark.gpu
def test_a_drive_without_locks_is_trained_on_all_the_same(faces, make_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint.FileLock, "acquire", lambda *args, **options: (_ for _ in ()).throw(
        OSError(errno.ENOTSUP, "Operation not supported")))
    assert len(train(faces, make_recipe(), folder=tmp_path).history) == 2


def test_a_process_that_is_not_the_first_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert checkpoint.is_main()  # left over from a launcher: this process is alone
    monkeypatch.setenv("WORLD_SIZE", "2")
    with checkpoint.locked(tmp_path / "run"):
        assert not checkpoint.is_main() and not (tmp_path / "run").exists()
