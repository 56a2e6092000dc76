"""The published archives, what they need at run time, and the errors where something is missing."""
import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email import message_from_bytes
from importlib.util import resolve_name
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT

import asl_explainer

PACKAGE = {
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "asl_explainer").rglob("*")
    if path.suffix in (".py", ".js", ".css", ".npz") or path.name == "py.typed"
}
DROPINS = ["alibaba", "paddle", "timm", "torch_ecg"]
MODULES = ["adaptive", "cli", "diagnose", "start"]
CORE = ["asl_explainer", *(f"asl_explainer.{name}" for name in MODULES), *(f"asl_explainer.dropin.{name}" for name in DROPINS)]
NOT_IN_CORE = ["numpy", "scipy", "matplotlib", "ipywidgets", "anywidget", "IPython", "PIL", "sklearn", "tqdm", "fastcore", "nbdev"]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    "The source distribution, and the wheel built from it."
    source = tmp_path_factory.mktemp("source") / "project"  # a copy, because building leaves files behind
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(".*", "_build", "_docs", "build", "dist", "*.egg-info", "__pycache__"))
    done = subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", source / "dist", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = (source / "dist").glob("*.tar.gz"), (source / "dist").glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def metadata(archives):
    "The metadata of the wheel."
    with zipfile.ZipFile(archives[1]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        return message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def unpacked(archives, tmp_path_factory):
    "A folder with the contents of the wheel."
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(archives[1]) as archive:
        archive.extractall(folder)
    return folder


def run(folder, code, *arguments, missing=(), **environment):
    "Run a program that cannot import the missing packages."
    block = f"import sys; sys.modules.update(dict.fromkeys({list(missing)!r})); "
    return subprocess.run([sys.executable, "-c", block + code, *arguments], cwd=folder, capture_output=True, text=True, env={**os.environ, **environment})


def test_the_source_distribution_contains_what_a_build_needs(archives):
    with tarfile.open(archives[0]) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    generated = {name for name in names if name in ("PKG-INFO", "setup.cfg") or name.startswith("asl_explainer.egg-info/")}
    assert names - generated == PACKAGE | {"LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "settings.ini", "setup.py"}


def test_the_wheel_contains_the_package_and_its_license(archives):
    with zipfile.ZipFile(archives[1]) as archive:
        names = set(archive.namelist())
    information = {name for name in names if ".dist-info/" in name}
    assert names - information == PACKAGE
    assert any(name.endswith("/LICENSE") for name in information)


def test_the_links_of_the_description_lead_to_files(metadata):
    targets = re.findall(r"\]\(([^)]+)\)", metadata.get_payload())
    own = [re.fullmatch(r"https://github\.com/asl-explainer/asl_explainer/(blob|raw)/main/(.+)", target) for target in targets]
    assert all(target.startswith("https://") for target in targets)
    assert len([match for match in own if match]) > 10
    for match in filter(None, own):
        assert (ROOT / match[2].partition("#")[0]).is_file()
        assert (match[1] == "raw") == match[2].startswith("images/")


def test_only_torch_is_required(metadata):
    requirements = [requirement for requirement in metadata.get_all("Requires-Dist") if "extra ==" not in requirement]
    assert [re.match(r"[\w-]+", requirement)[0] for requirement in requirements] == ["torch"]
    assert {"course", "dev"} <= set(metadata.get_all("Provides-Extra"))


def test_the_core_needs_only_torch(unpacked):
    packages = "{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names"
    code = f"import torch; before = {packages}; import {', '.join(CORE)}; print(asl_explainer.__file__); print({packages} - before)"
    done = run(unpacked, code, missing=NOT_IN_CORE, PYTHONPATH=str(unpacked))
    assert done.stdout.splitlines() == [str(unpacked / "asl_explainer/__init__.py"), "{'asl_explainer'}"], done.stderr


def test_the_core_loads_nothing_else_that_is_installed(unpacked):
    code = f"import torch; before = set(sys.modules); import {', '.join(CORE)}; print({{name.partition('.')[0] for name in set(sys.modules) - before}} & set({NOT_IN_CORE!r}))"
    assert run(unpacked, code, PYTHONPATH=str(unpacked)).stdout == "set()\n"


def test_a_live_figure_from_the_wheel(unpacked):
    code = "from asl_explainer.course import plots; print(plots.__file__); figure = plots.explore_probability()"
    done = run(unpacked, f"{code}; print(figure.html, figure.widget._esm)", PYTHONPATH=str(unpacked))
    assert done.stdout.startswith(str(unpacked)), done.stderr
    assert re.search(r"window\.aslLive_\w+ \?\?=", done.stdout) and "export default figureWidget(" in done.stdout


def imports_of(path):
    "The modules of this package, and others, that a module imports."
    package = ".".join(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_imports_go_one_way():
    order = ["equation", "settings", "closed_form", "sharded", "losses", "start", "adaptive", "dropin", "diagnose", "cli", "course"]
    edges = set()
    for path in (ROOT / "asl_explainer").rglob("*.py"):
        level = path.relative_to(ROOT / "asl_explainer").parts[0].removesuffix(".py")
        for module in imports_of(path):
            assert module.partition(".")[0] not in ("tools", "tests", "benchmarks"), (path, module)
            parts = module.split(".")
            if parts[0] == "asl_explainer" and len(parts) > 1 and parts[1] in order and level in order:
                edges.add((level, parts[1]))
    assert {("losses", "closed_form"), ("losses", "settings"), ("course", "losses"), ("diagnose", "adaptive"), ("cli", "diagnose")} <= edges
    assert [(level, imported) for level, imported in edges if order.index(imported) > order.index(level)] == []


def test_lines_and_functions_of_the_core_are_short():
    for path in (ROOT / "asl_explainer").rglob("*.py"):
        if path.is_relative_to(ROOT / "asl_explainer/course") or path.name == "_modidx.py":
            continue
        source = path.read_text()
        lines = [line for line in source.splitlines() if not line.startswith(("__all__", "           '"))]  # written by nbdev
        assert max(map(len, lines), default=0) <= 120, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 40, (path, node.name)


@pytest.fixture
def batch(tmp_path):
    "Files with a batch, of each type that the command reads."
    logits, targets = np.zeros((2, 3), np.float32), np.eye(2, 3, dtype=np.float32)
    for name, array in {"logits": logits, "targets": targets}.items():
        np.save(tmp_path / f"{name}.npy", array)
        np.savetxt(tmp_path / f"{name}.csv", array, delimiter=",")
        torch.save(torch.tensor(array), tmp_path / f"{name}.pt")
    return tmp_path


DIAGNOSE = "from asl_explainer.cli import main; sys.exit(main(['diagnose', *sys.argv[1:]]))"


@pytest.mark.parametrize("kind", [".npy", ".csv"])
def test_the_command_without_numpy(batch, kind):
    # torch itself warns when it is imported without NumPy.
    done = run(batch, DIAGNOSE, f"logits{kind}", f"targets{kind}", missing=["numpy"], PYTHONWARNINGS="ignore:Failed to initialize NumPy")
    message = f"reading {kind} files needs numpy: pip install 'asl_explainer[course]'"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"asl-explainer: {message}\n")


def test_the_command_reads_tensors_with_torch_alone(batch):
    done = run(batch, DIAGNOSE, "logits.pt", "targets.pt", "--compare", missing=NOT_IN_CORE)
    assert done.returncode == 0 and "gradient of 6 labels" in done.stdout, done.stderr


def test_the_command_without_matplotlib(batch):
    done = run(batch, DIAGNOSE, "logits.npy", "targets.npy", "--figure", "shares.svg", missing=["matplotlib"])
    message = "drawing a report needs matplotlib: pip install 'asl_explainer[course]'"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"asl-explainer: {message}\n")
    code = "import torch; from asl_explainer.diagnose import gradient_report; gradient_report(torch.zeros(2, 3), torch.zeros(2, 3)).figure()"
    assert run(batch, code, missing=["matplotlib"]).stderr.splitlines()[-1] == f"ImportError: {message}"


def test_the_version():
    settings = ConfigParser(delimiters=["="])
    settings.read(ROOT / "settings.ini", encoding="utf-8")
    done = subprocess.run([Path(sys.executable).with_name("asl-explainer"), "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"asl-explainer {asl_explainer.__version__}\n")
    assert asl_explainer.__version__ == settings["DEFAULT"]["version"]


@pytest.mark.parametrize("data, missing", [("digits", "sklearn"), ("packages", "numpy")])
def test_the_data_sets_name_their_extra(data, missing, tmp_path):
    done = run(tmp_path, f"from asl_explainer.course.datasets import {data}; {data}()", missing=[missing])
    assert done.stderr.splitlines()[-1] == f"ImportError: the data sets need {missing}: pip install 'asl_explainer[course]'"


def test_a_widget_names_its_extra_and_the_figure_works_without_it(tmp_path):
    code = "from asl_explainer.course.plots import explore_probability; figure = explore_probability(); print(figure.html)"
    done = run(tmp_path, f"{code}; figure.widget", missing=["anywidget"])
    message = "a figure in Jupyter needs anywidget: pip install 'asl_explainer[course]'"
    assert "<svg" in done.stdout and done.stderr.splitlines()[-1] == f"ImportError: {message}"
    shown = f"{code}; from asl_explainer.course import live_figure; live_figure.has_sliders = lambda: True"
    done = run(tmp_path, f"{shown}; print('data-model' in figure._repr_mimebundle_()['text/html'])", missing=["anywidget"])
    assert done.stdout.splitlines()[-1] == "False" and f"UserWarning: {message}" in done.stderr
