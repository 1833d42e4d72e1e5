"""One version in every place that says one, and the refusal to run a notebook of another."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import yaml

import fer_utils
from fer_utils import version
from fer_utils.errors import FerError
from fer_utils.version import require_version

ROOT = Path(__file__).resolve().parents[2]


def test_package_project_and_citation_have_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert fer_utils.__version__ == project["version"] == str(citation["version"])


def test_the_right_version_says_nothing(capsys):
    assert require_version(fer_utils.__version__) is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("wanted", ["0.1.0", "9.0.0", fer_utils.__version__ + ".1"])
def test_another_version_is_refused_with_both_versions_the_place_and_what_to_do(wanted):
    with pytest.raises(FerError) as refused:
        require_version(wanted)
    sentence = str(refused.value)
    assert f"belongs to fer_utils {wanted}, and fer_utils {fer_utils.__version__} is loaded" in sentence
    assert str(Path(fer_utils.__file__).parent) in sentence
    assert "Restart session" in sentence and "python tools/environment.py" in sentence


def installed(monkeypatch, needed, packages):
    """As if the package asked for ``needed`` and these packages were installed, {name: version}."""
    def found(name):
        if name not in packages:
            raise PackageNotFoundError(name)
        return packages[name]

    monkeypatch.setattr(version, "requires", lambda name: needed)
    monkeypatch.setattr(version, "version", found)


NEEDED = ["torch>=2.9", "numpy>=2.0", 'voila>=0.5.8; extra == "voila"']


@pytest.mark.parametrize("packages, wrong", [
    ({"torch": "2.6.0+cu124", "numpy": "2.0.2"}, ["torch 2.6.0+cu124, and it needs torch>=2.9"]),
    ({"numpy": "1.26.4"}, ["torch is missing, and it needs torch>=2.9", "numpy 1.26.4, and it needs numpy>=2.0"]),
])
def test_a_package_that_is_too_old_or_missing_is_named_and_not_replaced(packages, wrong, monkeypatch):
    installed(monkeypatch, NEEDED, packages)
    with pytest.raises(FerError, match=re.escape(f"cannot run here: {'; '.join(wrong)}. On Colab")):
        require_version(fer_utils.__version__)


@pytest.mark.parametrize("torch", ["2.9.0", "2.10.0+cu128", "2.16.0a0+git1234"])
def test_builds_of_torch_that_are_new_enough_are_taken(torch, monkeypatch):
    installed(monkeypatch, NEEDED, {"torch": torch, "numpy": "2.0.2"})
    require_version(fer_utils.__version__)


def test_a_package_that_was_never_installed_is_not_examined(monkeypatch):
    def unknown(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(version, "requires", unknown)
    require_version(fer_utils.__version__)


def test_the_real_requirements_are_met_here():
    assert version.requires("fer_utils") and version._unmet() == []
