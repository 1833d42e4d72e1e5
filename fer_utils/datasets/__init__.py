"""Readers. Each turns files into one ``FaceDataset``: decoded once, cached, the same for every room above."""

import inspect
import re

from ..as_written import value_of, whole_of
from ..errors import FerError, did_you_mean
from ..paper import TRAIN_COUNTS as PAPER_COUNTS
from . import fer2013, ferplus, folder, rafdb, report, synthetic
from .face_dataset import FaceDataset, split_train_validation, stratified_subset
from .synthetic import SYNTHETIC

__all__ = ["DATASETS", "GENERAL", "PAPER_COUNTS", "SYNTHETIC", "TEST_SPLIT", "FaceDataset", "check_options",
           "load_dataset", "name_of", "size_for", "split_train_validation"]

READERS = {"synthetic": synthetic, "fer2013": fer2013, "ferplus": ferplus, "rafdb": rafdb, "folder": folder}
DATASETS = {name: tuple(reader.SPLITS) for name, reader in READERS.items()}
# What a run is tested on. FER2013's PrivateTest stays closed until somebody asks for it by name.
TEST_SPLIT = {"synthetic": "test", "fer2013": "public_test", "ferplus": "public_test", "rafdb": "test",
              "folder": "test"}
CALLED = {"fer": "fer2013", "raf": "rafdb", "rafbasic": "rafdb", "rafdbbasic": "rafdb", "fer2013plus": "ferplus",
          "drawn": "synthetic"}  # by people and papers, spelled as ``name_of`` does
GENERAL = ("leave_out", "subset")  # options of every data set, which change what is trained on


def load_dataset(name, root=None, split="train", *, leave_out=(), subset=None, **options):
    """Load one split of a data set as a ``FaceDataset``.

    - "synthetic": splits train, test and the balanced probe; needs no ``root``.
    - "fer2013": splits train, public_test, private_test, and test = both. ``root``: the Kaggle folder or its zip,
      ``fer2013.csv``, ``icml_face_data.csv``, ``fer2013.tar.gz``, or a folder that holds one of them.
    - "ferplus": the splits of "fer2013" with labels from ten votes each, whose file lies beside it.
    - "rafdb": splits train and test. ``root``: the owners' layout or the Kaggle mirror's, folder or archive.
    - "folder": splits train and test of a folder of your own, and validation where you set some aside.

    ``leave_out`` names faults that ``report.leave_out`` takes; "not a face" asks for the file of FER+'s votes, and
    "leaked" are images of the training split that are in the split that runs are tested on, too. ``subset``: so many
    of the images that are left, each class by its share, always the same ones. The ``source`` says how many. Further
    ``options`` go to the reader's ``load``. Raises ``FerError`` for whatever is missing, broken or unknown.
    """
    name = name_of(name)
    options = value_of(options)
    leave_out, subset = value_of(leave_out), whole_of(subset)
    check_options(name, {"leave_out": leave_out, "subset": subset, **options})
    split = next((known for known in DATASETS[name] if _letters(known) == _letters(split)), split)
    if split not in DATASETS[name]:
        raise FerError(f"unknown split {split!r} of {name}; choose one of {', '.join(DATASETS[name])}.")
    dataset = READERS[name].load(root, split, **options)
    if leave_out:
        leaked = "leaked" in leave_out and split == "train"
        test = READERS[name].load(root, TEST_SPLIT[name], **options) if leaked else None
        votes = ferplus.votes_for(dataset, root) if "not a face" in leave_out else None
        dataset = report.leave_out(dataset, leave_out, test, votes)
    return dataset if subset is None else stratified_subset(dataset, subset)


def name_of(written):
    """The name of the data set that somebody means: "RAF-DB" and "raf_db" are "rafdb", "fer+" is "ferplus"; an unknown
    name as it is."""
    plain = _letters(written)
    return plain if plain in DATASETS else CALLED.get(plain, written)


def _letters(text):
    return re.sub("[^a-z0-9]", "", str(text).lower().replace("+", "plus"))


def size_for(name, size):
    """The option with which a data set is read in the size that its use needs; empty where all images have one size."""
    return {"size": size} if name_of(name) == "folder" else {}


def check_options(name, options):
    """Raise ``FerError`` for an unknown data set ``name``, and for an option that it doesn't take."""
    if name not in tuple(DATASETS):
        raise FerError(f"dataset = {name!r}: {did_you_mean(name, DATASETS)}choose one of {', '.join(DATASETS)}.")
    known = [option for option in inspect.signature(READERS[name].load).parameters if option not in ("root", "split")]
    for option in options:
        if option not in (*known, *GENERAL):
            raise FerError(f"{name} has no option {option!r}; it takes {', '.join([*known, 'leave_out'])}.")
    subset = options.get("subset")
    if subset is not None and (not isinstance(subset, int) or isinstance(subset, bool) or subset < 1):
        raise FerError(f"subset = {subset!r}: give a whole number of images, or None for all.")
    faults = options.get("leave_out", ())
    if not isinstance(faults, (list, tuple)) or not set(faults) <= set(report.FAULTS):
        raise FerError(f"leave_out = {faults!r}: give a list of {', '.join(report.FAULTS)}.")
