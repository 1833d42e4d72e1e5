"""One version in every place that says one, and the refusal to run a notebook of another."""

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import yaml
from conftest import refusal

import fer_utils
from fer_utils import version
from fer_utils.version import require_version

ROOT = Path(__file__).resolve().parents[2]


def test_package_project_and_citation_have_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert fer_utils.__version__ == project["version"] == str(citation["version"])


def test_another_version_is_refused_with_both_the_place_and_what_to_do():
    require_version(fer_utils.__version__)  # what it really needs is installed here
    said = refusal(require_version, "0.1.0")
    for part in (f"belongs to fer_utils 0.1.0, and fer_utils {fer_utils.__version__} is loaded",
                 str(Path(fer_utils.__file__).parent), "Disconnect and delete runtime", "python tools/environment.py"):
        assert part in said


def test_a_package_that_is_too_old_or_missing_is_named_and_builds_that_are_new_enough_are_taken(monkeypatch):
    def found(name):
        if name not in packages:
            raise PackageNotFoundError(name)
        return packages[name]

    asked = ["torch>=2.9", "plotly>=6.0", 'voila>=0.5.8; extra == "x"']
    monkeypatch.setattr(version, "requires", lambda name: asked)
    monkeypatch.setattr(version, "version", found)
    for installed, wrong, advice in (
            ({"torch": "2.6.0+cu124", "plotly": "6.1"}, "torch 2.6.0+cu124, and it needs torch>=2.9", "Runtime"),
            ({"plotly": "5.24.1"}, "torch is missing, and it needs torch>=2.9; plotly 5.24.1, and it needs plotly>=6.0",
             '%pip install --no-deps "plotly>=6.0" and')):  # torch is never installed anew on Colab
        packages = installed
        said = refusal(require_version, fer_utils.__version__)
        assert f"cannot run here: {wrong}. On Colab: {advice}" in said
    for torch in ("2.9.0", "2.10.0+cu128", "2.16.0a0+git1234"):
        packages = {"torch": torch, "plotly": "6.0.0"}
        require_version(fer_utils.__version__)
    packages = {}
    monkeypatch.setattr(version, "requires", found)  # a package that was never installed is not examined
    require_version(fer_utils.__version__)
