"""Would the tests notice a fault? Mutation testing: known faults go into a copy of the course, one at a time.

    python tools/mutants.py                all of them, some minutes; the exit code is 0 if every one was noticed
    python tools/mutants.py --only sign    one of them

They are faults that people make: those of published implementations, and of the threads in which people look for them.
The repository stays as it is. Whoever rewrites a line that a fault changes, or renames the tests that notice it,
rewrites the fault with it.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

from environment import ROOT, enter, parser


class Mutant(NamedTuple):
    """A fault: ``new`` in place of ``old`` in ``file``; ``tests``, a pattern below tests/, should notice it.

    ``words``: what pytest's -k chooses of these tests, where all of them would take long.
    """

    file: str
    tests: str
    what: str
    old: str
    new: str
    words: str = ""


READERS = "not synthetic and not report"  # those take long, or need results/
loss = partial(Mutant, "fer_utils/center_loss.py", "utils/test_center_loss*.py")
fer2013 = partial(Mutant, "fer_utils/datasets/fer2013.py", "utils/test_datasets*.py", words=READERS)
loop = partial(Mutant, "fer_utils/training/loop.py", "utils/test_training*.py")
runs = partial(Mutant, "fer_utils/runs/run.py", "utils/test_runs*.py")
FORWARD = "        centers = self.centers.index_select(0, labels)\n        features"
SHARE = "share = 0.5 / len(features) if self.reduction == \"mean\" else 0.5"
BEST = 'parts.network.load_state_dict(best["states"]["model"])'
MOVING = '"optimizer": parts.optimizer, "scheduler": parts.scheduler'
PAIRS = "ours, others = arm(runs, first), arm(runs, second)"
MUTANTS = {
    # Centre loss
    "plus-one": loss("no 1 + in Eq. 2's denominator", "/ (1 + counts.unsqueeze(1))",
                     "/ counts.unsqueeze(1).clamp(min=1)"),
    "sign": loss("the centres flee", "self.centers.sub_(", "self.centers.add_("),
    "batch-mean": loss("divided by the batch, not by the class", "(1 + counts.unsqueeze(1))", "(1 + counts.sum())"),
    "half": loss("Eq. 1 without its ½", SHARE, SHARE.replace("0.5", "1.0")),
    "decay": loss("weight decay moves absent classes too", "self.centers.sub_(",
                  "self.centers.mul_(0.9999).sub_("),
    "gradient": loss("the loss's gradient reaches Eq. 2's centres", 'self.register_buffer("centers", centers)',
                     "self.centers = nn.Parameter(centers)"),
    "forward": loss("forward moves the centres", FORWARD,
                    "        if self.training:\n            self.update_centers(features.detach(), labels)\n"
                    + FORWARD),
    "matrix": loss("distances as ‖x‖² + ‖c‖² − 2 x·c",
                   'functional.mse_loss(features, centers, reduction="sum")',
                   "(features.square().sum(1, keepdim=True) + self.centers.square().sum(1)"
                   " - 2 * features @ self.centers.T).gather(1, labels.long()[:, None]).sum()"),
    "wrap": loss("label −1 is no error", "if low < 0 or high", "if high"),
    "poison": loss("a nan in one image spoils the centres",
                   "return step.masked_fill_(~step.abs().amax().isfinite(), 0)", "return step"),
    "narrow": loss("half() narrows the centres", "if moved.dtype.itemsize >= 4 else", "if True else"),
    "rows": loss("with many classes, each image counts alone", "_count(slots, len(labels))",
                 "torch.ones_like(labels)"),
    "bias": loss("Adam without its correction at the start", "(mean / first)", "mean"),
    "sync": loss("each process moves its own centres", "        if self._processes() > 1:\n            both",
                 "        if False:\n            both"),
    # Data
    "codes": fer2013("the codes of fer2013.csv taken for the order of the classes",
                     "EMOTIONS.index(FER2013_CODES[int(code[0])])", "int(code[0])"),
    "leak": Mutant("fer_utils/datasets/face_dataset.py", "utils/test_datasets*.py",
                   "the training split goes on into the test images", "slice(rows[0], rows[-1] + 1)",
                   "slice(rows[0], None)", words=READERS),
    "bgr": Mutant("fer_utils/datasets/files.py", "utils/test_datasets*.py", "colours in OpenCV's order, blue first",
                  "images[row] = pixels", "images[row] = pixels[..., ::-1] if len(shape) == 3 else pixels",
                  words=READERS),
    # Training
    "train-mode": Mutant("fer_utils/evaluation.py", "utils/test_evaluation*.py", "tested in training mode",
                         "    model.eval()\n", "    model.train()\n"),
    "last-epoch": loop("the last epoch's weights under the name of the best", BEST, "pass", words="best"),
    "schedule": loop("a resumed training begins its schedule anew", MOVING, '"optimizer": parts.optimizer',
                     words="resume"),
    # Runs
    "key": runs("the key knows the recipe's name alone", '"recipe": recipe.effective(), "data"',
                '"recipe": recipe.name, "data"'),
    "chosen-on-test": runs("the test images choose the epoch", "fit(train, validation, recipe",
                           "fit(train, test, recipe"),
    # Evidence
    "unpaired": Mutant("fer_lab/evidence/measures.py", "lab/test_evidence*.py", "pairs by their order, not by seed",
                       PAIRS, f"{PAIRS}\n        others = dict(zip(ours, others.values()))",
                       words="(pair or claim) and not review"),
    "edge": Mutant("fer_lab/evidence/claims.py", "lab/test_evidence*.py", "no gain at all is held for a gain",
                   "or not one_sided and self.low", "or self.low", words="(pair or claim) and not review"),
}


def main(only=None):
    """Every fault in turn, or one; returns the exit code."""
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("fer_utils", "fer_lab", "fer_course", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        code = functools.cache(partial(run_tests, copy))  # without a fault: once for all that the same tests notice
        for name in [only] if only else MUTANTS:
            mutant = MUTANTS[name]
            if code(mutant.tests, mutant.words) != 0:
                print(f"{name}: tests/{mutant.tests} (-k {mutant.words!r}) fail without any fault, or none is chosen: "
                      "mend that first.")
                return 1
            path = copy / mutant.file
            right = path.read_text(encoding="utf-8")
            path.write_text(with_fault(right, name), encoding="utf-8")
            # 1: tests failed; more than 1: they never ran, which proves nothing
            noticed = run_tests(copy, mutant.tests, mutant.words) == 1
            path.write_text(right, encoding="utf-8")
            print(f"{'noticed' if noticed else 'MISSED '} {name:14s} {mutant.what}", flush=True)
            missed += [] if noticed else [name]
    return 1 if missed else 0


def with_fault(text, name):
    """The module with one fault in it; the place must be there exactly once."""
    mutant = MUTANTS[name]
    if text.count(mutant.old) != 1:
        sys.exit(f"{name}: {mutant.old!r} stands {text.count(mutant.old)} times in {mutant.file}, not once; rewrite "
                 "the fault.")
    return text.replace(mutant.old, mutant.new)


def run_tests(folder, tests, words):
    """pytest's exit code for tests of the copy in that folder, which import the packages that lie beside them."""
    paths = sorted((folder / "tests").glob(tests))
    if not paths:
        sys.exit(f"There is no tests/{tests}; name the tests that notice the fault.")
    settings = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-k", words,
                           "-m", "not course and not stress", *paths], cwd=folder, env=settings,
                          capture_output=True).returncode


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("--only", metavar="FAULT", choices=MUTANTS, help="one of them, by its name")
    arguments = parser.parse_args()
    enter(arguments.here)
    sys.exit(main(arguments.only))
