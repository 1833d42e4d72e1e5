"""The package's version, and the refusal to go on where a notebook was written for another one."""

from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from .errors import FerError

__version__ = "0.2.0"


def require_version(wanted):
    """Raise ``FerError`` unless this package has the notebook's version, "0.2.0", and finds the packages that it needs:
    on Colab nothing but this package was installed."""
    if wanted != __version__:
        raise FerError(f"this notebook belongs to fer_utils {wanted}, and fer_utils {__version__} is loaded, from "
                       f"{Path(__file__).parent}. On Colab: Runtime, Restart session, and run the set-up cell again. "
                       "Elsewhere: call python tools/environment.py in the notebook's course; restart the kernel.")
    unmet = _unmet()
    if unmet:
        raise FerError(f"fer_utils {__version__} cannot run here: {'; '.join(unmet)}. On Colab: Runtime, Change "
                       "runtime type, and take the latest version; this cell leaves Colab's own packages as they are. "
                       "Elsewhere: call python tools/environment.py in the course, and restart the kernel.")


def _unmet():
    """What this package needs and does not find, a sentence each; nothing where it runs without being installed."""
    try:
        needed = [Requirement(line) for line in requires("fer_utils") or ()]
    except PackageNotFoundError:
        return []
    sentences = []
    for requirement in needed:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue  # of an extra
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = None
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            sentences.append(f"{requirement.name} {found or 'is missing'}, and it needs {requirement}")
    return sentences
