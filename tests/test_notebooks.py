"""The notebooks and what is made from them: the exported files, the saved outputs, README.md."""
import json
import re
import shutil
import subprocess

import nbformat
import pytest
from conftest import BIN, ROOT, digests

from asl_explainer.site import Project, drop_widget_views, execute_notebooks, notebook_to_readme, one_at_a_time

NOTEBOOKS = sorted(path.relative_to(ROOT / "nbs").as_posix() for path in (ROOT / "nbs").rglob("*.ipynb") if not any(part.startswith((".", "_")) for part in path.relative_to(ROOT / "nbs").parts))


def copy_of_the_project(folder):
    "The files that nbdev reads and writes."
    for name in ["nbs", "asl_explainer"]:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*", "nbdev.yml"))
    for name in ["settings.ini", "pyproject.toml", "_quarto.yml"]:
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.mark.parametrize("command, folder", [("nbdev_export", "asl_explainer"), ("nbdev_clean", "nbs")])
def test_exporting_and_cleaning_change_nothing(tmp_path, command, folder):
    project = copy_of_the_project(tmp_path)
    before = digests(project / folder)
    done = subprocess.run([BIN / command], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert digests(project / folder) == before, f"run `make notebooks` and commit what {command} changes"


@pytest.fixture(scope="module")
def executed():
    project = Project.find(ROOT)
    with one_at_a_time(project):
        return {name: nbformat.read(path, as_version=4) for name, path in execute_notebooks(project).items()}


def shown(outputs):
    "What outputs show: text to the letter, in whatever pieces it was printed, and of a picture only its kind."
    parts = []
    for output in outputs:
        if output.output_type != "stream":
            parts.append({kind: content if kind.startswith("text/") else "a picture" for kind, content in output.data.items()})
        elif parts and isinstance(parts[-1], list) and parts[-1][0] == output.name:
            parts[-1][1] += output.text
        else:
            parts.append([output.name, output.text])
    return parts


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_saved_outputs_are_what_executing_gives(name, executed):
    saved = nbformat.read(ROOT / "nbs" / name, as_version=4)
    for cell, run in zip(saved.cells, executed[name].cells, strict=True):
        assert cell.id == run.id
        if cell.cell_type == "code":
            assert shown(cell.outputs) == shown(run.outputs), f"cell {cell.id}: run `make notebooks`"
            assert not any(output.get("name") == "stderr" for output in cell.outputs), f"cell {cell.id} complains"


def test_readme_is_the_landing_page():
    text, pictures = notebook_to_readme(nbformat.read(ROOT / "nbs/index.ipynb", as_version=4))
    assert (ROOT / "README.md").read_text() == text, "run `asl-docs readme`"
    assert pictures
    for path, svg in pictures.items():
        assert (ROOT / path).read_text() == svg, "run `asl-docs readme`"


def test_readme_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert target.startswith("https://") or (ROOT / target).is_file(), target


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_equations_are_numbered_in_order(name):
    sources = [cell.source for cell in nbformat.read(ROOT / "nbs" / name, as_version=4).cells if cell.cell_type == "markdown"]
    numbers = [int(number) for number in re.findall(r"\\tag\{(\d+)\}", "\n".join(sources))]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_widget_is_saved(name):
    "A saved view shows 'model not found' when the notebook is opened."
    assert not drop_widget_views(nbformat.read(ROOT / "nbs" / name, as_version=4))


# A path of somebody's computer; and the beginnings that GitHub, AWS, PyPI, Hugging Face and OpenAI give their keys.
PRIVATE = re.compile(r"(?<![\w.:/])(?:/(?:home|root|Users|tmp|work|private|opt|mnt)/|[A-Z]:\\\\)\w|site-packages|\b(?:gh[pousr]_|AKIA|pypi-AgE|hf_|sk-)\w{16,}|PRIVATE KEY-----")


@pytest.mark.parametrize("leak", ["File /home/ann/nbs/a.py", "'/tmp/x1'", "C:\\\\Users", "lib/site-packages/torch", "ghp_" + "a1" * 12, "-----BEGIN PRIVATE KEY-----"])
def test_a_leak_would_be_found(leak):
    assert PRIVATE.search(leak)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_nothing_private_is_saved(name):
    for cell in nbformat.read(ROOT / "nbs" / name, as_version=4).cells:
        for text in [cell.source, *(json.dumps(output) for output in cell.get("outputs", []))]:
            found = PRIVATE.search(text)
            assert not found, f"cell {cell.id}: {text[max(0, found.start() - 40):found.end() + 40]}"
