"""Centre loss beside what others do: forward, backward and the step of the centres, for few classes and many.

    python benchmarks/center_loss.py            where torch finds a GPU, there
    python benchmarks/center_loss.py --cpu

Three ways, in alternating blocks in one run: ours; the distance-matrix form of the popular code (its B × C table, its
mask, its gradient for all centres, SGD); and autograd on ``centers[labels]`` with SGD. Each block has an untimed step
first. The ratios are medians of the blocks' ratios. "bytes" is the time that this machine takes to copy what has to
move: features in, their gradient out, a centre in and out for each image. Memory is the growth of a fresh process's
peak over what it held before its first step. A second torch process on the machine spoils all of it: look at the load.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from fer_utils.center_loss import CenterLoss
from fer_utils.runs.run import environment
from fer_utils.training.setup import choose_device

SIZES = [(62, 7, 2048), (256, 1000, 512), (256, 10575, 512), (256, 85742, 512)]
RATE, LAM = 0.5, 0.2


def ours(classes, width, device):
    loss = CenterLoss(classes, width, alpha=RATE).to(device)

    def step(features, labels):
        (LAM * loss(features, labels)).backward()
        loss.update_centers(features, labels)
    return step, loss.centers


def with_sgd(loss_of, classes, width, device):
    """Centres as a parameter: backward, the gradient divided by λ as published, a step of SGD."""
    centers = torch.zeros(classes, width, device=device, requires_grad=True)
    optimizer = torch.optim.SGD([centers], lr=RATE)

    def step(features, labels):
        optimizer.zero_grad()
        (LAM * loss_of(features, labels, centers)).backward()
        centers.grad /= LAM
        optimizer.step()
    return step, centers


def of_matrix(features, labels, centers):
    """‖x‖² + ‖c‖² − 2 x·c of every image and every class, all but B of them masked away and clamped."""
    shape = len(features), len(centers)
    table = (features.square().sum(1, keepdim=True).expand(shape) + centers.square().sum(1).expand(shape)).addmm(
        features, centers.t(), alpha=-2)
    mask = labels.unsqueeze(1).expand(shape) == torch.arange(len(centers), device=labels.device).expand(shape)
    return (table * mask).clamp(1e-12, 1e12).sum() / len(features)


def of_rows(features, labels, centers):
    return (features - centers[labels]).square().sum(1).mean()


def matrix(*arguments):
    return with_sgd(of_matrix, *arguments)


def rows(*arguments):
    return with_sgd(of_rows, *arguments)


WAYS = {"ours": ours, "matrix": matrix, "rows": rows}
NAMES = {"ours": "ours", "matrix": "distance matrix + SGD", "rows": "`centers[y]` + SGD"}


def batch(size, device):
    chance = torch.Generator().manual_seed(0)
    n, classes, width = size
    features = torch.randn(n, width, generator=chance).to(device).requires_grad_()
    return features, torch.randint(0, classes, (n,), generator=chance).to(device)


def time_of(step, device):
    wait(device)
    started = perf_counter()
    step()
    return wait(device) - started


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()
    return perf_counter()


def copying(size, device):
    """A step that copies as many bytes as the loss must move: half of them read, half written."""
    n, _, width = size
    source = torch.ones(2 * n * width, device=device)  # features, centres in; gradient, centres out
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def times(size, device, blocks):
    """{way: the median of each block}; the ways take turns."""
    features, labels = batch(size, device)

    def stepper(step):
        def once():
            features.grad = None
            step(features, labels)
        return once
    steps = {name: stepper(make(*size[1:], device)[0]) for name, make in WAYS.items()}
    steps["bytes"] = copying(size, device)
    # At many classes the matrix takes seconds for a step: fewer of them.
    counts = {name: 20 for name in steps} | {"matrix": 20 if size[1] <= 1000 else 4 if size[1] <= 20_000 else 1}
    found = {name: [] for name in steps}
    for _ in range(blocks):
        for name, step in steps.items():
            step()
            found[name].append(median(time_of(step, device) for _ in range(counts[name])))
    return found


def memory(name, size, device):
    """MiB by which a process of its own grows at its peak over a few steps: a fresh one, for a peak never falls."""
    answer = subprocess.run([sys.executable, __file__, "--memory", name, *map(str, size), "--device", str(device)],
                            capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


def grown(name, size, device):
    """What ``memory`` asks of its process. Data and centres are there before; what the steps need comes on top."""
    # Small steps make torch load what it needs, which is no part of this size.
    WAYS[name](3, 8, device)[0](*batch((4, 3, 8), device))
    features, labels = batch(size, device)
    step, centers = WAYS[name](*size[1:], device)
    centers.detach().add_(0)  # zeros take no memory before something is written
    before = peak(device)
    for _ in range(2):
        features.grad = None
        step(features, labels)
    return (peak(device) - before) / 2**20


def peak(device):
    """Bytes that this process has held at most."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    try:  # Linux: getrusage would tell the peak of the process that started this one, where that was higher
        status = Path("/proc/self/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status)[1])
    except OSError:
        import resource  # Windows has none
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(device, blocks):
    about = environment(device)
    print(f"{about['hardware']}, {about['threads']} threads, torch {about['torch']}, {load()}\n")
    print("| batch, classes, width | way | ms a step | times ours | times bytes | peak memory, MiB |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for size in SIZES:
        found, spelled = times(size, device, blocks), ", ".join(f"{number:,}" for number in size)
        for name in WAYS:
            ratio, floor = (median(map(float.__truediv__, found[name], found[other])) for other in ("ours", "bytes"))
            print(f"| {spelled} | {NAMES[name]} | {number(1000 * median(found[name]))} | {number(ratio)} | "
                  f"{number(floor)} | {number(memory(name, size, device))} |", flush=True)
    print(f"\nAt the end: {load()}")


def number(value):
    """Three digits, for people."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def load():
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="on the CPU, whatever else there is")
    parser.add_argument("--blocks", type=int, default=3, metavar="N", help="how often the ways take turns")
    parser.add_argument("--memory", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--device", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        name, *size = options.memory
        print(json.dumps(grown(name, tuple(map(int, size)), torch.device(options.device))))
    else:
        main(choose_device("cpu" if options.cpu else "auto"), options.blocks)
