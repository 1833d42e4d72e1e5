"""The package's version, and the refusal to go on where a notebook was written for another one."""

from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from .errors import FerError

__version__ = "0.2.0"
COLABS_OWN = ("numpy", "torch", "torchvision")  # much that Colab has was compiled against these: they stay


def require_version(wanted):
    """Raise ``FerError`` unless this package has the notebook's version, "0.2.0", and finds the packages that it needs:
    on Colab little but this package was installed."""
    if wanted != __version__:
        raise FerError(f"this notebook belongs to fer_utils {wanted}, and fer_utils {__version__} is loaded, from "
                       f"{Path(__file__).parent}. On Colab: Runtime, Disconnect and delete runtime; begin again. "
                       "Elsewhere: call python tools/environment.py in the notebook's course; restart the kernel.")
    if unmet := list(_unmet()):
        what = "; ".join(f"{need.name} {found or 'is missing'}, and it needs {need}" for need, found in unmet)
        small = " ".join(f'"{need}"' for need, found in unmet if need.name not in COLABS_OWN)
        advice = (f"%pip install --no-deps {small} and then Runtime, Restart session" if small else
                  "Runtime, Change runtime type, and take the latest version; its own packages stay as they are")
        raise FerError(f"fer_utils {__version__} cannot run here: {what}. On Colab: {advice}. Elsewhere: call python "
                       "tools/environment.py in the course, and restart the kernel.")


def _unmet():
    """Yield (requirement, version found or None) of what is needed and not here; nothing where it runs uninstalled."""
    try:
        needed = [Requirement(line) for line in requires("fer_utils") or ()]
    except PackageNotFoundError:
        return
    for need in needed:
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue  # of an extra
        try:
            found = version(need.name)
        except PackageNotFoundError:
            found = None
        if found is None or not need.specifier.contains(found, prereleases=True):
            yield need, found
