"""What is published: the two archives that `python -m build` makes, and what is said where a package is missing."""
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes

import pytest
from conftest import ROOT

LIBRARY = {path.relative_to(ROOT).as_posix() for path in (ROOT / "asl_explainer").rglob("*.py")} | {"asl_explainer/py.typed"}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    "The source distribution, and the wheel that was built from it, not from the repository."
    source = tmp_path_factory.mktemp("source") / "project"  # a copy, for building leaves files where it is done
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(".*", "_build", "_docs", "build", "dist", "*.egg-info", "__pycache__"))
    done = subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", source / "dist", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = (source / "dist").glob("*.tar.gz"), (source / "dist").glob("*.whl")
    return sdist, wheel


def test_the_source_distribution_holds_what_builds_and_nothing_else(archives):
    with tarfile.open(archives[0]) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {name for name in names if name in ("PKG-INFO", "setup.cfg") or name.startswith("asl_explainer.egg-info/")}
    assert names - made == LIBRARY | {"LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "settings.ini", "setup.py"}


def test_the_wheel_holds_the_package_and_its_licence_and_nothing_else(archives):
    with zipfile.ZipFile(archives[1]) as archive:
        names = set(archive.namelist())
    about = {name for name in names if ".dist-info/" in name}
    assert names - about == LIBRARY
    assert any(name.endswith("/LICENSE") for name in about)


def test_the_description_links_only_to_what_is_there(archives):
    with zipfile.ZipFile(archives[1]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        description = message_from_bytes(archive.read(name)).get_payload()
    targets = re.findall(r"\]\(([^)]+)\)", description)
    own = [re.fullmatch(r"https://github\.com/asl-explainer/asl_explainer/(blob|raw)/main/(.+)", target) for target in targets]
    assert all(target.startswith("https://") for target in targets)
    assert len([match for match in own if match]) > 10
    for match in filter(None, own):
        assert (ROOT / match[2]).is_file()
        assert (match[1] == "raw") == match[2].startswith("images/")


def run(folder, code, **environment):
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env={**os.environ, **environment})


def test_the_losses_of_the_wheel_need_only_torch(archives, tmp_path):
    with zipfile.ZipFile(archives[1]) as archive:
        archive.extractall(tmp_path)
    loaded = "{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names"
    code = f"import sys, torch; before = {loaded}; import asl_explainer.losses as losses; print(losses.__file__); print({loaded} - before)"
    done = run(tmp_path, code, PYTHONPATH=str(tmp_path))
    assert done.stdout.splitlines() == [str(tmp_path / "asl_explainer/losses.py"), "{'asl_explainer'}"], done.stderr


@pytest.mark.parametrize("missing", ["sklearn", "tqdm"])
def test_the_lab_says_what_it_needs(missing, tmp_path):
    done = run(tmp_path, f"import sys; sys.modules['{missing}'] = None; from asl_explainer.course.lab import Run, fit; fit(Run(epochs=1, size=64))")
    assert done.stderr.splitlines()[-1] == "ImportError: the lab needs scikit-learn and tqdm: pip install 'asl_explainer[dev]'"


def test_the_sliders_say_what_they_need_and_the_figure_does_without(tmp_path):
    code = "from asl_explainer.course.explore import explore_probability; explorer = explore_probability(); print(explorer.live._repr_html_()); explorer.widget"
    done = run(tmp_path, f"import sys; sys.modules['ipywidgets'] = None; {code}")
    assert "<svg" in done.stdout
    assert done.stderr.splitlines()[-1] == "ImportError: the sliders need ipywidgets: pip install ipywidgets"


@pytest.mark.parametrize("missing", ["nbdev", "lxml"])
def test_asl_docs_says_what_it_needs(missing, tmp_path):
    done = run(tmp_path, f"import sys; sys.modules['{missing}'] = None; from asl_explainer.site import main; sys.exit(main(['build']))")
    assert done.returncode == 1
    assert done.stderr == f"asl-docs: not installed: {missing}; what builds the site comes with pip install 'asl_explainer[dev]'\n"
