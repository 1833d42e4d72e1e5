"""Remove what the tools made and can make again: build/ and caches.

    python tools/clean.py          trained runs and .venv stay
    python tools/clean.py --all    remove them too
"""

import argparse
import shutil

from environment import ROOT

CACHES = ("build", ".pytest_cache", ".ruff_cache", ".hypothesis", "fer_utils.egg-info")


def main(everything=False):
    """Remove the folders, saying which."""
    folders = [ROOT / name for name in CACHES + (("runs", ".venv") if everything else ())]
    for room in ("fer_utils", "fer_course", "fer_lab", "tools", "tests"):
        folders.append(ROOT / room / "__pycache__")
    folders.append(ROOT / "notebooks" / ".ipynb_checkpoints")
    for folder in folders:
        if folder.exists():
            print(f"Removing {folder}")
            shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="remove runs/ and .venv as well")
    main(parser.parse_args().all)
