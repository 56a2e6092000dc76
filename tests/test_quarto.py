"""The site's second renderer: its configuration, what it is given, and, where it is installed, what it makes of it."""
import json
import re
import shutil
import subprocess

import lxml.html
import pypandoc
import pytest
from conftest import ROOT, asl_docs
from smalldocs.config import load
from test_notebooks import NOTEBOOKS

# Asked for Quarto's sake: the embedded renderer leaves formulas to our own step, and gives a page its notebook's name anyway.
QUARTOS_OWN = ("output-file is not read by smalldocs", "html-math-method is ignored")


def unread(folder):
    "What the embedded renderer, which knows Quarto's keys, finds to say of a configuration."
    return [warning for warning in load(folder).warnings if not warning.endswith(QUARTOS_OWN)]


def test_the_configuration_holds_no_key_that_is_not_read(site, tmp_path):
    assert unread(ROOT / "nbs") == []
    for line, wrong in [("  output-dir:", "  output-folder:"), ("  page-navigation:", "  page-navigaton:"), ("    toc-depth:", "    toc-deep:")]:
        folder = tmp_path / wrong.strip(" :")
        folder.mkdir()
        text = (ROOT / "_quarto.yml").read_text().replace("metadata-files: [nbdev.yml]", "")
        assert line in text
        (folder / "_quarto.yml").write_text(text.replace(line, wrong))
        assert wrong.strip(" :") in "".join(unread(folder)), wrong


@pytest.fixture(scope="module")
def processed(site):
    "The processed notebook of each page, as either renderer is given it."
    from asl_explainer.site import Project, execute_notebooks, one_at_a_time, process_notebooks

    project = Project.find(ROOT)
    with one_at_a_time(project):
        return process_notebooks(execute_notebooks(project))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_pandoc_reads_a_processed_page_without_a_warning(processed, name):
    "Pandoc reads the notebook, and its formulas become MathML, as they do in Quarto."
    notebook = json.loads(processed[name].read_text())
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", [])):
        if output["output_type"] == "execute_result":
            output["execution_count"] = 0  # pandoc wants a number where the format, and nbdev, allow none
    command = [pypandoc.get_pandoc_path(), "--from", "ipynb", "--to", "html", "--mathml", "--fail-if-warnings"]
    done = subprocess.run(command, input=json.dumps(notebook), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() or name == "404.ipynb"


@pytest.mark.skipif(not shutil.which("quarto"), reason="Quarto comes from its own site; a workflow installs it and runs this")
def test_quarto_makes_every_page(tmp_path):
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, symlinks=True, ignore=shutil.ignore_patterns(".venv*", ".git", "_*s", "_build", "__pycache__"))
    built = asl_docs(project, "build", "--renderer", "quarto", "--no-execute")
    assert built.returncode == 0, built.stdout + built.stderr
    for name in NOTEBOOKS:
        page = lxml.html.parse(str((project / "_docs" / name).with_suffix(".html")))
        assert page.findtext(".//h1") and not page.xpath("//script[contains(@src, '://')]")
    formulas = (project / "_docs/learn/gradients.html").read_text()
    assert formulas.count("<math") > 20 and not re.search(r"\\frac|\\tag", re.sub("<annotation.*?</annotation>", "", formulas, flags=re.DOTALL))
