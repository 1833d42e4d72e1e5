"""Write constraints.txt anew: the versions in the current environment of everything that the course installs.

    python tools/pin_versions.py    with the Python whose packages are to be pinned, after the tests passed with them

A pin binds only what is installed, so one list serves every system. What torch pins by itself (CUDA, triton) is left
out.
"""

import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PINNED_BY_TORCH = ("nvidia-", "cuda-", "triton")
HEADER = "# Written by: python tools/pin_versions.py (what the tests passed with; pyproject.toml has the ranges)"


def main():
    """Pin and say how many."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    pins = closure(map(Requirement, direct))
    lines = [HEADER, *(f"{name}=={version}" for name, version in sorted(pins.items()))]
    (ROOT / "constraints.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(pins)} packages pinned")


def closure(requirements):
    """{name: version} of the requirements and of all that they require here, in turn."""
    pins, seen, todo = {}, set(), list(requirements)
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen or name.startswith(PINNED_BY_TORCH):
                continue
            seen.add((name, extra))
            try:
                found = distribution(name)
            except PackageNotFoundError:
                raise SystemExit(f"{name} is required but not installed here: run tools/environment.py first") from None
            pins[name] = found.version.split("+")[0]  # 2.14.1+cpu is 2.14.1, on another machine
            todo += [needed for needed in map(Requirement, found.requires or ())
                     if needed.marker is None or needed.marker.evaluate({"extra": extra})]
    return pins


if __name__ == "__main__":
    main()
