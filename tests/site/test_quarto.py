"""The site's second renderer: its configuration, what it is given, and, where it is installed, what it makes of it."""
import json
import os
import re
import shutil
import subprocess
import sys

import lxml.html
import pypandoc
import pytest
from conftest import ROOT, digests, published, tools
from smalldocs.config import load
from test_notebooks import NOTEBOOKS
from test_pages import PAGES

from tools import BuildError
from tools.build import QUARTOS_OWN, build


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


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_pandoc_reads_a_processed_page_without_a_warning(site, name):
    "Pandoc reads the notebook, and its formulas become MathML, as they do in Quarto."
    notebook = json.loads((ROOT / "_proc" / name).read_text())
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", [])):
        assert not {"text/html", "application/vnd.jupyter.widget-view+json"} & set(output.get("data", {}))
        if output["output_type"] == "execute_result":
            output["execution_count"] = 0  # pandoc wants a number where the format, and nbdev, allow none
    command = [pypandoc.get_pandoc_path(), "--from", "ipynb", "--to", "html", "--mathml", "--fail-if-warnings"]
    done = subprocess.run(command, input=json.dumps(notebook), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() or name == "404.ipynb"


@pytest.fixture
def fake_quarto(tmp_path, monkeypatch):
    "Makes `quarto` a small shell script."

    def fake(script):
        program = tmp_path / "bin/quarto"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    return fake


PAGE = (
    '<html><head><meta charset="utf-8"></head><body><main id="text">'
    '<a href="https://asl-explainer.github.io/asl_explainer/learn/chapter.html">next</a></main></body></html>'
)


def test_quarto_renders_when_it_is_asked_for(project, fake_quarto, capsys):
    read = "ls learn/chapter.ipynb _quarto.yml nbdev.yml"
    write = f"mkdir -p _docs/learn && echo '{PAGE}' | tee _docs/index.html > _docs/learn/chapter.html"
    hook = f"QUARTO_PROJECT_OUTPUT_DIR=_docs {sys.executable} ../tools/finish.py"  # as _quarto.yml has it
    warn = "echo WARN: a link leads nowhere, says level $QUARTO_LOG_LEVEL >&2"
    fake_quarto(f"{read} && {write} && {hook} && {warn}")
    build("quarto")
    assert "WARN: a link leads nowhere, says level warning\n" in capsys.readouterr().out
    made = (project / "_docs/index.html").read_text()
    assert '<a href="learn/chapter.html">next</a>' in made and "skip-link" in made
    assert "Content-Security-Policy" not in made


@pytest.mark.parametrize("script, said", [
    ("echo 'ERROR: unknown key' >&2; exit 1", "quarto render failed:\nERROR: unknown key"),
    ("mkdir _docs", "quarto made no page of index.ipynb, learn/chapter.ipynb"),
])
def test_a_failure_of_quarto_leaves_the_earlier_site(project, fake_quarto, script, said):
    build("smalldocs")
    before = digests(project / "_docs")
    fake_quarto(script)
    with pytest.raises(BuildError, match=said):
        build("quarto")
    assert digests(project / "_docs") == before


def test_quarto_is_asked_for_and_not_there(project, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BuildError, match="^quarto is not on PATH"):
        build("quarto")


@pytest.mark.skipif(not shutil.which("quarto"), reason="Quarto comes from its own site; a workflow installs it and runs this")
def test_quarto_makes_every_page(tmp_path, new_context):
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, symlinks=True, ignore=shutil.ignore_patterns(".venv*", ".git", "_docs", "_proc", "__pycache__"))
    done = tools(project, "build", "--renderer", "quarto", timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.relative_to(project / "_docs").as_posix() for path in (project / "_docs").rglob("*.html")) == sorted(PAGES)
    wrong = []
    with published(project / "_docs", tmp_path / "published") as address:
        for page_name in PAGES:
            tree = lxml.html.parse(str(project / "_docs" / page_name))
            assert tree.findtext(".//h1") and not tree.xpath("//script[contains(@src, '://')]")
            page = new_context().new_page()
            page.on("pageerror", lambda error: wrong.append(f"{page_name}: {error}"))
            page.goto(f"{address}/asl_explainer/{page_name}")
            page.context.close()
    assert wrong == []
    formulas = (project / "_docs/learn/gradients.html").read_text()
    assert formulas.count("<math") > 20 and not re.search(r"\\frac|\\tag", re.sub("<annotation.*?</annotation>", "", formulas, flags=re.DOTALL))
