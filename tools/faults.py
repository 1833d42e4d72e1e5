"""Would the tests of centre loss notice a fault? Puts known ones into a copy of it, one at a time, and runs the tests.

    python tools/faults.py                all of them, a few minutes; the exit code is 0 if every one was noticed
    python tools/faults.py --only sign    one of them
    python tools/faults.py --list         what they are

The faults are those of published implementations and of the threads in which people look for them. The repository stays
as it is. Whoever rewrites a line of fer_utils/center_loss.py that a fault changes, rewrites the fault with it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from environment import ROOT, enter, parser

LOSS = "fer_utils/center_loss.py"
FORWARD = "        centers = self.centers.index_select(0, labels)\n        features"
SHARE = "share = 0.5 / len(features) if self.reduction == \"mean\" else 0.5"
FAULTS = {  # name: what it is, the text, and what stands there instead
    "plus-one": ("no 1 + in Eq. 2's denominator", "/ (1 + counts.unsqueeze(1))", "/ counts.unsqueeze(1).clamp(min=1)"),
    "sign": ("the centres flee", "self.centers.sub_(", "self.centers.add_("),
    "batch-mean": ("divided by the batch, not by the class", "(1 + counts.unsqueeze(1))", "(1 + counts.sum())"),
    "half": ("Eq. 1 without its ½", SHARE, SHARE.replace("0.5", "1.0")),
    "decay": ("weight decay moves absent classes too", "self.centers.sub_(",
              "self.centers.mul_(0.9999).sub_("),
    "gradient": ("the loss's gradient reaches Eq. 2's centres", 'self.register_buffer("centers", centers)',
                 "self.centers = nn.Parameter(centers)"),
    "forward": ("forward moves the centres", FORWARD,
                f"        if self.training:\n            self.update_centers(features.detach(), labels)\n{FORWARD}"),
    "matrix": ("distances as ‖x‖² + ‖c‖² − 2 x·c",
               'functional.mse_loss(features, centers, reduction="sum")',
               "(features.square().sum(1, keepdim=True) + self.centers.square().sum(1)"
               " - 2 * features @ self.centers.T).gather(1, labels.long()[:, None]).sum()"),
    "wrap": ("label −1 is no error", "if low < 0 or high", "if high"),
    "poison": ("a nan in one image spoils the centres", "return step.masked_fill_(~step.abs().amax().isfinite(), 0)",
               "return step"),
    "narrow": ("half() narrows the centres", "if moved.dtype.itemsize >= 4 else", "if True else"),
    "rows": ("with many classes, each image counts alone", "_count(slots, len(labels))", "torch.ones_like(labels)"),
    "bias": ("Adam without its correction at the start", "(mean / first)", "mean"),
    "sync": ("each process moves its own centres", "        if self._processes() > 1:\n            both",
             "        if False:\n            both"),
}


def main(only=None):
    """Every fault in turn, or one; returns the exit code."""
    if only is not None and only not in FAULTS:
        sys.exit(f"There is no fault {only!r}; choose one of {', '.join(FAULTS)}.")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for package in ("fer_utils", "fer_lab"):
            shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        (copy / "tests" / "utils").mkdir(parents=True)
        shutil.copy(ROOT / "tests" / "conftest.py", copy / "tests")
        for path in (ROOT / "tests" / "utils").glob("test_center_loss*.py"):
            shutil.copy(path, copy / "tests" / "utils")
        right = (copy / LOSS).read_text(encoding="utf-8")
        if only is None and run_tests(copy) != 0:
            print("The tests fail without any fault: mend that first.")
            return 1
        missed = []
        for name in [only] if only else FAULTS:
            (copy / LOSS).write_text(with_fault(right, name), encoding="utf-8")
            noticed = run_tests(copy) == 1  # 1: tests failed; more than 1: they never ran, which proves nothing
            print(f"{'noticed' if noticed else 'MISSED '} {name:11s} {FAULTS[name][0]}", flush=True)
            missed += [] if noticed else [name]
    return 1 if missed else 0


def with_fault(text, name):
    """The module with one fault in it; the place must be there exactly once."""
    _, old, new = FAULTS[name]
    if text.count(old) != 1:
        sys.exit(f"{name}: {old!r} stands {text.count(old)} times in {LOSS}, not once; rewrite the fault.")
    return text.replace(old, new)


def run_tests(folder):
    """pytest's exit code for the tests in that folder, which import the package that lies beside them."""
    settings = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "tests"], cwd=folder,
                          env=settings, capture_output=True).returncode


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("--only", metavar="FAULT", help="one of them, by its name")
    parser.add_argument("--list", action="store_true", help="say what they are, and run nothing")
    arguments = parser.parse_args()
    if arguments.list:
        print(*(f"{name:11s} {what}" for name, (what, _, _) in FAULTS.items()), sep="\n")
        sys.exit()
    enter(arguments.here)
    sys.exit(main(arguments.only))
