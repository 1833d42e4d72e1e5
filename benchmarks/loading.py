"""How long data takes to load: cold (decode or draw, and fill the cache) and warm (from the cache).

    python benchmarks/loading.py                        the drawn faces
    python benchmarks/loading.py --fer2013 archive.zip  FER2013 too

Medians of five, each cold load with a cache of its own.
"""

import argparse
import os
import platform
import tempfile
from statistics import median
from time import perf_counter

from fer_utils.datasets import load_dataset


def seconds(*arguments):
    started = perf_counter()
    load_dataset(*arguments)
    return perf_counter() - started


def main(fer2013):
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""  # Windows has none
    print(f"{os.cpu_count()} cores{load}, Python {platform.python_version()}")
    wanted = {"synthetic, 3,000 train": ("synthetic", None, "train"),
              "synthetic, 700 test": ("synthetic", None, "test")}
    if fer2013:
        wanted["FER2013, the whole file"] = ("fer2013", fer2013, "train")
    for name, arguments in wanted.items():
        cold, warm = [], []
        for _ in range(5):
            with tempfile.TemporaryDirectory() as cache:
                os.environ["FER_UTILS_CACHE"] = cache
                cold.append(seconds(*arguments))
                warm.append(seconds(*arguments))
        print(f"{name:25s} cold {median(cold):6.2f} s   warm {median(warm):6.3f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fer2013", metavar="PATH", help="folder or zip")
    main(parser.parse_args().fer2013)
