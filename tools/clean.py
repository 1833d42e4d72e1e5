"""Remove what the tools made and can make again: build/ and caches.

    python tools/clean.py    trained runs and .venv stay
"""

import shutil

from environment import ROOT, parser

MADE = ("build", ".pytest_cache", ".ruff_cache", ".hypothesis", "fer_utils.egg-info", "notebooks/.ipynb_checkpoints")
ROOMS = ("fer_utils", "fer_course", "fer_lab", "tools", "tests")


def main():
    """Remove the folders, saying which."""
    for folder in [*(ROOT / name for name in MADE), *(ROOT / room / "__pycache__" for room in ROOMS)]:
        if folder.exists():
            print(f"Removing {folder}")
            shutil.rmtree(folder)
    (ROOT / "build").mkdir(exist_ok=True)  # papermill makes no folder, and the course's commands write there
    (ROOT / "build" / ".gitignore").write_text("*\n!.gitignore\n")


if __name__ == "__main__":
    parser(__doc__).parse_args()
    main()
