"""The first cell of a chapter installs on Colab what the chapter imports."""
import ast
import re
import shlex
import sys
from configparser import ConfigParser

import nbformat
import pytest
from conftest import ROOT

SETTINGS = ConfigParser(delimiters=["="])
SETTINGS.read(ROOT / "settings.ini", encoding="utf-8")
SETTINGS = SETTINGS["DEFAULT"]
IMPORT_NAMES = {"pillow": "PIL", "scikit-learn": "sklearn"}  # where the name differs from that of the package
# matplotlib and ipywidgets bring along what is not listed.
INSTALLED = {"asl_explainer", "IPython", "matplotlib_inline", "cycler"} | {
    IMPORT_NAMES.get(name, name) for name in re.findall(r"(?:^|\s)([\w-]+)", f"{SETTINGS['requirements']} {SETTINGS['course_requirements']}")
}


def imports_of(source):
    "The packages that a cell imports, ignoring IPython's magic lines."
    lines = [line for line in source.splitlines() if not re.match(r"\s*[%!#]", line)]
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]


def cells_of(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


NOTEBOOKS = [path for path in sorted((ROOT / "nbs").rglob("*.ipynb")) if ".ipynb_checkpoints" not in path.parts]
ON_COLAB = [path for path in NOTEBOOKS if any("google.colab" in source for source in cells_of(path))]


def test_all_chapters_with_code_have_a_colab_cell():
    chapters = [path for path in NOTEBOOKS if path.parent.name == "learn" and cells_of(path)]
    assert len(chapters) > 10 and set(chapters) == set(ON_COLAB)


@pytest.mark.parametrize("path", ON_COLAB, ids=lambda path: path.stem)
def test_a_chapter_imports_only_what_its_colab_cell_installs(path):
    first, *others = cells_of(path)
    (command,) = (line for line in first.splitlines() if "pip install" in line)
    assert shlex.split(command) == ["%pip", "install", "-q", f"asl_explainer[course] @ git+{SETTINGS['git_url']}"]
    lines = [line for line in first.splitlines() if not re.match(r"\s+[%!]", line)]
    assert lines[0] == "#| hide" and lines[-1] == "if 'google.colab' in sys.modules:"
    imported = {name for source in others for name in imports_of(source)}
    assert imported - INSTALLED - sys.stdlib_module_names == set()
