"""The files that say what is installed agree with each other, and the commands in the README exist."""

import json
import re
import shlex
import tomllib
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def pins():
    return dict(line.split("==") for line in text("constraints.txt").splitlines()[1:])


def conda(name):
    """The Python version and pip's arguments of an environment file; nothing else may be in it."""
    python, pip, *rest = yaml.safe_load(text(name))["dependencies"]
    assert pip == "pip" and len(rest) <= 1
    return python.removeprefix("python="), rest[0]["pip"] if rest else []


def extras_in(argument):
    return set(re.search(r"\.\[([\w,]+)\]", argument)[1].split(","))


def commands(name):
    """The lines of a shell script that do something, in words."""
    return [shlex.split(line) for line in text(name).splitlines() if line and not line.startswith("#")]


def test_every_direct_dependency_is_pinned_within_its_range():
    direct = [*map(Requirement, PROJECT["dependencies"]), *(Requirement(r) for extra in EXTRAS.values() for r in extra)]
    pinned = pins()
    for requirement in direct:
        assert str(requirement.specifier).startswith(">="), f"{requirement} has no lower bound"
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}, but constraints.txt pins {version}"


def test_every_folder_of_the_package_is_installed_and_none_of_its_files_is_ignored():
    folders = {path.parent for path in ROOT.glob("fer_*/**/*.py")}
    wanted = tomllib.loads(text("pyproject.toml"))["tool"]["setuptools"]["packages"]["find"]["include"]
    assert all(any(fnmatch(folder.relative_to(ROOT).parts[0], name) for name in wanted) for folder in folders)
    assert all((folder / "__init__.py").exists() for folder in folders)
    ignored = [line for line in text(".gitignore").splitlines() if not line.startswith(("/", "_", ".", "*"))]
    assert not [name for folder in folders for name in folder.relative_to(ROOT).parts if f"{name}/" in ignored]


def test_pins_name_no_machine_and_no_cuda_and_serve_the_oldest_python():
    """Debian 12 has 3.11.2; a pin that wants 3.11.5 passes here and fails there."""
    assert len(pins()) > 100, "constraints.txt holds the direct dependencies only"
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", line) for line in text("constraints.txt").splitlines()[1:])
    assert not [name for name in pins() if name.startswith(("nvidia-", "cuda-", "triton"))]
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    for name, version in pins().items():
        try:
            found = metadata(name)
        except PackageNotFoundError:
            continue
        wanted = found.get("Requires-Python")  # some packages do not say
        if found["Version"].split("+")[0] == version and wanted:
            assert oldest in SpecifierSet(wanted), f"{name}=={version} is not for Python {oldest}"


def test_conda_and_binder_agree_with_pyproject():
    python, installed = conda("environment.yml")
    binder_python, binder_installed = conda("binder/environment.yml")
    assert python == binder_python and python in SpecifierSet(PROJECT["requires-python"])
    assert len(installed) == 1 and extras_in(installed[0]) == set(EXTRAS) == extras_in(text("tools/environment.py"))
    assert not binder_installed, "Binder installs in postBuild, where the repository is there"
    assert extras_in(text("binder/postBuild")) == {"notebooks"}, "Binder's visitors run notebooks and no tests"


def test_binder_gets_the_pinned_cpu_wheels_of_torch():
    (install,) = (words for words in commands("binder/postBuild") if words[0] == "pip")
    assert install[install.index("-c") + 1] == "constraints.txt"
    assert install[install.index("--extra-index-url") + 1].endswith("/whl/cpu")  # its 2.14.1+cpu goes before 2.14.1
    assert {"torch", "torchvision"} <= pins().keys()
    assert install[1] == "install" and install[-2:] == ["-e", ".[notebooks]"]


def test_binder_trains_what_its_notebooks_load_and_opens_the_readme_as_a_page():
    import test as tool

    (course,) = (words for words in commands("binder/postBuild") if words[0] == "python")
    only = course.index("--only") + 1
    assert course[1:3] == ["tools/course.py", "--here"] and tuple(course[only:course.index("||")]) == tool.TRAINING
    assert course[course.index("||") + 1] == "echo", "a training that fails must not keep Binder from opening"
    viewers = json.loads(text("binder/overrides.json"))["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]
    assert viewers == {"markdown": "Markdown Preview"} and "binder/overrides.json" in text("binder/postBuild")


def test_one_python_minimum():
    import environment

    assert PROJECT["requires-python"] == ">={}.{}".format(*environment.MINIMUM)
    workflow = yaml.safe_load(text(".github/workflows/ci.yml"))
    assert PROJECT["requires-python"].removeprefix(">=") in workflow["jobs"]["course"]["strategy"]["matrix"]["python"]


def test_makefile_only_calls_tools_and_the_readme_names_both_commands_in_both_forms():
    missing = {"make course", "make test", "tools/course.py", "tools/test.py"}
    assert not [command for command in missing if command not in text("README.md")]
    recipes = [line.strip() for line in text("Makefile").splitlines() if line.startswith("\t")]
    for recipe in recipes:
        called = re.fullmatch(r"\$\(PYTHON\) (tools/\w+\.py)( .*)?", recipe)
        assert called and (ROOT / called[1]).exists(), f"{recipe!r} is no call of a program in tools/"
    assert len(recipes) == len(re.search(r"^\.PHONY: (.*)", text("Makefile"), re.MULTILINE)[1].split()) >= 7
