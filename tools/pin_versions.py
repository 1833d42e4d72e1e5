"""Write constraints.txt anew: the versions of all that is installed in this environment.

    python tools/pin_versions.py    with the Python of .venv, which holds nothing else, after the tests passed with it

A pin binds only what is installed, so one list serves every system. What torch pins by itself (CUDA, triton) is left
out.
"""

from importlib.metadata import distributions
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "constraints.txt"
LEFT_OUT = ("nvidia-", "cuda-", "triton", "fer-utils==", "pip==")  # how their lines begin
HEADER = "# Written by: python tools/pin_versions.py (what the tests passed with; pyproject.toml has the ranges)"


def main():
    """Pin and say how many."""
    from packaging.utils import canonicalize_name

    found = {canonicalize_name(each.name): each.version.partition("+")[0] for each in distributions()}
    lines = [f"{name}=={version}" for name, version in sorted(found.items())]
    pins = [line for line in lines if not line.startswith(LEFT_OUT)]
    FILE.write_text("\n".join([HEADER, *pins]) + "\n")  # 2.14.1+cpu is 2.14.1, on another machine
    print(f"{len(pins)} packages pinned")


if __name__ == "__main__":
    main()
