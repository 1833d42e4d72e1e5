"""The files that say what is installed agree with each other, and the commands in the README exist."""

import json
import re
import shlex
from importlib.metadata import distributions
from pathlib import Path

import environment
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = environment.project()
EXTRAS = PROJECT["optional-dependencies"]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


PINS = dict(line.split("==") for line in text("constraints.txt").splitlines()[1:])


def extras_in(argument):
    return set(re.search(r"\.\[([\w,]+)\]", argument)[1].split(","))


def test_every_direct_dependency_is_pinned_within_its_range():
    wrong = []
    for requirement in map(Requirement, [*PROJECT["dependencies"], *sum(EXTRAS.values(), [])]):
        version = PINS[canonicalize_name(requirement.name)]
        if not str(requirement.specifier).startswith(">=") or not requirement.specifier.contains(version):
            wrong.append(f"{requirement}, and constraints.txt pins {version}")
    assert not wrong


def test_pins_name_no_machine_and_no_cuda_and_serve_the_oldest_python():
    """Debian 12 has 3.11.2; a pin that wants 3.11.5 passes here and fails there."""
    assert len(PINS) > 100, "constraints.txt holds the direct dependencies only"
    assert not [name for name, version in PINS.items() if name.startswith(("nvidia-", "cuda-", "triton"))
                or not re.fullmatch(r"[\w.]+", version)]
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    for found in (each.metadata for each in distributions()):
        wanted = found.get("Requires-Python")  # some packages do not say
        if wanted and PINS.get(canonicalize_name(found["Name"])) == found["Version"].partition("+")[0]:
            assert oldest in SpecifierSet(wanted), f"{found['Name']} {found['Version']} is not for Python {oldest}"


def test_every_folder_of_the_package_is_installed_and_none_of_its_files_is_ignored():
    folders = {path.parent for path in ROOT.glob("fer_*/**/*.py")}
    assert all((folder / "__init__.py").exists() for folder in folders)
    ignored = [line for line in text(".gitignore").splitlines() if not line.startswith(("/", "_", ".", "*"))]
    assert not [name for folder in folders for name in folder.relative_to(ROOT).parts if f"{name}/" in ignored]


def test_conda_and_the_oldest_python_agree_with_pyproject():
    python, pip, installed = yaml.safe_load(text("environment.yml"))["dependencies"]
    assert yaml.safe_load(text("binder/environment.yml"))["dependencies"] == [python, "pip"]  # postBuild installs
    assert pip == "pip" and python.removeprefix("python=") in SpecifierSet(PROJECT["requires-python"])
    assert [extras_in(line) for line in (*installed["pip"], text("tools/environment.py"))] == 2 * [set(EXTRAS)]
    assert PROJECT["requires-python"] == ">={}.{}".format(*environment.MINIMUM)
    workflow = yaml.safe_load(text(".github/workflows/ci.yml"))
    assert PROJECT["requires-python"].removeprefix(">=") in workflow["jobs"]["course"]["strategy"]["matrix"]["python"]


def test_binder_gets_pinned_cpu_wheels_trains_what_its_notebooks_load_and_opens_the_readme_as_a_page():
    import test as tool

    commands = [words for line in text("binder/postBuild").splitlines() if (words := shlex.split(line, comments=True))]
    install, faces = (words for words in commands if words[0] == "pip")
    assert all(words[words.index("-c") + 1] == "constraints.txt" for words in (install, faces))
    assert "--no-deps" in faces and faces[-1] == "facenet-pytorch"
    assert {"torch", "torchvision"} <= PINS.keys()
    assert install[install.index("--extra-index-url") + 1].endswith("/whl/cpu")  # its 2.14.1+cpu goes before 2.14.1
    assert install[1] == "install" and install[-2:] == ["-e", ".[notebooks]"]  # visitors run notebooks and no tests
    (course,) = (words for words in commands if words[0] == "python")
    only, fallback = course.index("--only") + 1, course.index("||")
    assert course[1:3] == ["tools/course.py", "--here"] and tuple(course[only:fallback]) == tool.TRAINING
    assert course[fallback + 1] == "echo", "a training that fails must not keep Binder from opening"
    viewers = json.loads(text("binder/overrides.json"))["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]
    assert viewers == {"markdown": "Markdown Preview"} and "binder/overrides.json" in text("binder/postBuild")


def test_makefile_only_calls_tools_and_the_readme_names_both_commands_in_both_forms():
    missing = {"make course", "make test", "tools/course.py", "tools/test.py"}
    assert not [command for command in missing if command not in text("README.md")]
    recipes = [line.strip() for line in text("Makefile").splitlines() if line.startswith("\t")]
    for recipe in recipes:
        called = re.fullmatch(r"\$\(PYTHON\) (tools/\w+\.py)( .*)?", recipe)
        assert called and (ROOT / called[1]).exists(), f"{recipe!r} is no call of a program in tools/"
    assert len(recipes) == len(re.search(r"^\.PHONY: (.*)", text("Makefile"), re.MULTILINE)[1].split()) >= 7
