"""How fast a ResNet-50 trains here, and how near that is to what the machine can do: images/s and peak memory.

    python benchmarks/training.py                      48 and 224 pixels, batch 62, 5 to 10 minutes
    python benchmarks/training.py --sizes 48 --rounds 9 --device cpu --threads 4
    python benchmarks/training.py --profile            where the time of a step goes
    python benchmarks/training.py --whole              where the time of an epoch of ``fit`` goes; for a GPU

The loops take turns in one run, so that a machine that is busy for a while is busy for all; medians of the rounds.

- ours: ``train_epoch`` with the paper's recipe, precision "auto";
- graphed: the same, its step replayed as a CUDA graph, where there is CUDA; it is compared with ours first;
- published: our own plain rendering of the published loop: fp32, each image by itself through PIL and torchvision's
  transforms, a DataLoader without workers, channels first, the losses read back in every step. It reads no files here,
  and what it does beside training (validation on augmented images) is left out, both in its favour;
- ceiling: the same model, optimiser and precision as ours, on tensors of random numbers that lie on the device, with
  nothing else: forward, cross-entropy, backward, step; on a GPU all of it in one graph, Adam included.

Peak memory is that of a process which runs the one loop alone: all of its main memory on a CPU, what torch allocated on
a GPU.
"""

import argparse
import gc
import os
import subprocess
import sys
import tempfile
from statistics import median
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from tqdm import tqdm

from fer_utils.center_loss import CenterLoss
from fer_utils.datasets import FaceDataset
from fer_utils.evaluation import autocast
from fer_utils.model import CLResNet50
from fer_utils.runs.run import environment
from fer_utils.training import loop
from fer_utils.training.graphed_step import GraphedStep, disagreement, on_gpu
from fer_utils.training.recipe import get_recipe
from fer_utils.training.setup import (
    choose_device,
    choose_precision,
    make_accelerator,
    peak_memory,
    prepare,
)
from fer_utils.training.steps import train_epoch

BATCH = 62
MEAN, STD = (0.5,) * 3, (0.25,) * 3


def faces(steps):
    """Random pixels of FER2013's shape, for so many steps."""
    chance = np.random.default_rng(0)
    return chance.integers(0, 256, (steps * BATCH, 48, 48), np.uint8), np.arange(steps * BATCH) % 7


def ours(size, device, steps, record=None):
    recipe = get_recipe("paper", weights="random", image_size=size, epochs=1000)
    accelerator = make_accelerator(device, recipe)
    parts = prepare(recipe, 0, accelerator, steps)
    images, labels = (torch.from_numpy(array).to(accelerator.device) for array in faces(steps))
    inputs, bar, epoch = {"mean": MEAN, "std": STD}, tqdm(disable=True), 0
    replay = record and GraphedStep(images, recipe, inputs, accelerator, parts, record)
    while True:
        epoch += 1
        yield train_epoch(images, labels, recipe, inputs, accelerator, parts, 0, epoch, bar, replay)


def graphed(size, device, steps):
    recipe = get_recipe("paper", weights="random", image_size=size)
    reason = disagreement(random_faces(3 * BATCH), recipe, device, on_gpu)
    if reason:
        sys.exit(f"{size} pixels: {reason}")
    yield from ours(size, device, steps, on_gpu)


class Faces(Dataset):
    """One image after the other through PIL."""

    def __init__(self, steps, change):
        (self.images, self.labels), self.change = faces(steps), change

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        return self.change(Image.fromarray(self.images[row]).convert("RGB")), int(self.labels[row])


def published(size, device, steps):
    change = transforms.Compose([
        transforms.Resize((size, size)), transforms.RandomHorizontalFlip(), transforms.RandomRotation(10),
        transforms.RandomCrop(size, padding=size // 20), transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    loader = DataLoader(Faces(steps, change), batch_size=BATCH, shuffle=True)
    model, center_loss = CLResNet50().to(device), CenterLoss(7, 2048, alpha=3.8, update="adam", init="randn").to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    while True:
        model.train()
        total, right = 0.0, 0
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            features, logits = model(images)
            loss = functional.cross_entropy(logits, labels) + 0.4 * center_loss(features, labels)
            loss.backward()
            optimizer.step()
            center_loss.update_centers(features.detach(), labels)
            total += loss.item()
            right += (logits.argmax(1) == labels).sum().item()
        yield total, right


def ceiling(size, device, steps):
    cuda = device.type == "cuda"
    precision = choose_precision("auto", device)
    model = CLResNet50().to(device, memory_format=torch.channels_last).train()
    # Adam with a constant rate may be recorded, too.
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=cuda)
    images = torch.randn(BATCH, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(BATCH, device=device) % 7

    def step():
        with autocast(precision, device):
            logits = model(images)[1]
        functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    replay = on_gpu(step, optimizer.zero_grad) if cuda else lambda: (step(), optimizer.zero_grad())
    while True:
        for _ in range(steps):
            replay()
        yield None


LOOPS = {"ours": ours, "graphed": graphed, "published": published, "ceiling": ceiling}


def speeds(size, device, rounds):
    """Images/s of each loop, {name: median}."""
    cuda = device.type == "cuda"
    steps = {name: 50 if cuda else max(1, 5 * 48**2 // size**2) for name in LOOPS if cuda or name != "graphed"}
    if cuda:
        steps["published"] = 10  # a GPU waits for PIL
    loops = {name: LOOPS[name](size, device, count) for name, count in steps.items()}
    spent = {name: [] for name in loops}
    for turn in range(rounds + 1):
        for name, way in loops.items():
            started = wait(device)
            next(way)
            if turn:  # the first warms up
                spent[name].append(wait(device) - started)
    return {name: steps[name] * BATCH / median(seconds) for name, seconds in spent.items()}


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()
    return perf_counter()


def peak(name, size, device):
    """The most memory of a loop that runs alone, in MB; None where the system does not tell."""
    before = 0
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device) / 1e6
    next(LOOPS[name](size, device, 2))
    found = peak_memory(device)
    return found and found - before


def peak_alone(name, size, device, threads):
    """``peak``; on a CPU, whose memory is the whole process's, in a process of its own."""
    if device.type == "cuda":
        return peak(name, size, device)
    alone = [sys.executable, __file__, "--alone", name, "--sizes", str(size), "--device", str(device),
             "--threads", str(threads)]
    return float(subprocess.run(alone, capture_output=True, text=True, check=True).stdout)


def profile(size, device):
    """Where the time of a step of ours goes, by operation, {name: share}."""
    steps = 2
    epochs = ours(size, device, steps)
    next(epochs)
    with torch.profiler.profile() as seen:
        next(epochs)
    spent = {event.key: getattr(event, f"self_{'device' if device.type == 'cuda' else 'cpu'}_time_total")
             for event in seen.key_averages()}
    return {name: time / sum(spent.values()) for name, time in sorted(spent.items(), key=lambda item: -item[1])}


def whole(device):
    """Epochs of ``fit`` on random pixels of FER2013's number (on a CPU a fiftieth), as a table: the median epoch after
    the first, how much of it is steps, and what comes once."""
    print("| recipe | images | seconds an epoch | of it steps | once, the first epoch's delay included |\n"
          "|---|---:|---:|---:|---:|")
    for name, sizes in {"repaired": (20096, 8613), "modern": (28709, 3589)}.items():
        train, validation = (random_faces(size if device.type == "cuda" else size // 50) for size in sizes)
        stepping, real = [], loop.train_epoch

        def watched(*args, real=real, stepping=stepping):
            started = wait(device)
            row = real(*args)
            stepping.append(wait(device) - started)
            return row

        loop.train_epoch, started = watched, perf_counter()
        try:
            with tempfile.TemporaryDirectory() as folder:
                result = loop.fit(train, validation, get_recipe(name, epochs=5), device=device, folder=folder,
                                  progress=False)
        finally:
            loop.train_epoch = real
        epoch, steps = result.history.seconds[1:].median(), median(stepping[1:])
        once = perf_counter() - started - len(stepping) * epoch
        print(f"| `{name}` | {len(train):,} | {epoch:.2f} | {100 * steps / epoch:.0f} % | {once:.0f} s |", flush=True)


def random_faces(n):
    images = np.random.default_rng(n).integers(0, 256, (n, 48, 48), np.uint8)
    return FaceDataset(images, np.arange(n) % 7, np.array([f"{row}" for row in range(n)]), "train", "random pixels")


def main(sizes, rounds, device, threads):
    about, precision = environment(device), choose_precision("auto", device)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""  # Windows has none
    print(f"{about['hardware']}, {about['threads']} threads{load}, torch {about['torch']}, {precision}, ResNet-50, "
          f"batch {BATCH}, medians of {rounds}\n")
    print("| pixels | loop | images/s | of the ceiling | times the published | peak memory |\n"
          "|---:|---|---:|---:|---:|---:|", flush=True)
    for size in sizes:
        found = speeds(size, device, rounds)
        for name, speed in found.items():
            memory = peak_alone(name, size, device, threads)
            print(f"| {size} | {name} | {speed:.1f} | {100 * speed / found['ceiling']:.0f} % | "
                  f"{speed / found['published']:.2f} | {memory:,.0f} MB |", flush=True)


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[48, 224])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=cores(), help="of the CPU; all cores unless given")
    parser.add_argument("--profile", action="store_true", help="only print where a step's time goes")
    parser.add_argument("--whole", action="store_true", help="only print where an epoch's time goes")
    parser.add_argument("--alone", choices=LOOPS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    place = choose_device(chosen.device)
    if chosen.alone:
        print(peak(chosen.alone, chosen.sizes[0], place) or "nan")
    elif chosen.whole:
        whole(place)
    elif chosen.profile:
        for pixels in chosen.sizes:
            shares = list(profile(pixels, place).items())[:10]
            print("\n".join([f"{pixels} pixels", *(f"{100 * share:6.1f} %  {name}" for name, share in shares)]))
    else:
        main(chosen.sizes, chosen.rounds, place, chosen.threads)
