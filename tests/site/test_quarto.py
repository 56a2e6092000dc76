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
from conftest import ROOT, built, digests, served, tools
from smalldocs.config import load
from test_notebooks import NOTEBOOKS
from test_pages import PAGES

from tools.build import QUARTOS_OWN
from tools.finish import MOVED


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


def fake_quarto(folder, script):
    "An environment in which `quarto` is a small shell script."
    folder.mkdir()
    (folder / "quarto").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "quarto").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_quarto_renders_when_it_is_asked_for(small_project, tmp_path):
    page = '<html><head><meta charset="utf-8"></head><body><main id="text"><a href="https://asl-explainer.github.io/asl_explainer/learn/chapter.html">next</a></main></body></html>'
    warning = " && echo WARN: a link leads nowhere, says level $QUARTO_LOG_LEVEL >&2"
    hook = f"QUARTO_PROJECT_OUTPUT_DIR=_docs {sys.executable} ../tools/finish.py"  # as _quarto.yml has it
    env = fake_quarto(tmp_path / "bin", f"ls learn/chapter.ipynb _quarto.yml nbdev.yml && mkdir -p _docs/learn && echo '{page}' | tee _docs/index.html > _docs/learn/chapter.html && {hook}{warning}")
    done = tools(small_project, "build", "--renderer", "quarto", env=env)
    assert done.returncode == 0, done.stderr
    assert "WARN: a link leads nowhere, says level warning\n" in done.stdout
    made = (small_project / "_docs/index.html").read_text()
    assert '<a href="learn/chapter.html">next</a>' in made and "skip-link" in made and "Content-Security-Policy" not in made
    assert (small_project / "_docs/api/site.html").is_file()


@pytest.mark.parametrize("script, said", [("echo 'ERROR: unknown key' >&2; exit 1", "quarto render failed:\nERROR: unknown key"), ("mkdir _docs", "quarto made no page of index.ipynb, learn/chapter.ipynb")])
def test_a_failure_of_quarto_leaves_the_earlier_site(small_project, tmp_path, script, said):
    before = digests(built(small_project))
    done = tools(small_project, "build", "--renderer", "quarto", env=fake_quarto(tmp_path / "bin", script))
    assert done.returncode == 1 and f"error: {said}" in done.stderr
    assert digests(small_project / "_docs") == before


def test_quarto_is_asked_for_and_not_there(small_project):
    path = os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if not os.path.exists(f"{folder}/quarto"))
    done = tools(small_project, "build", "--renderer", "quarto", env={**os.environ, "PATH": path})
    assert done.returncode == 1 and done.stderr.startswith("error: quarto is not on PATH")


@pytest.mark.skipif(not shutil.which("quarto"), reason="Quarto comes from its own site; a workflow installs it and runs this")
def test_quarto_makes_every_page(tmp_path, new_context):
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, symlinks=True, ignore=shutil.ignore_patterns(".venv*", ".git", "_docs", "_proc", "__pycache__"))
    done = tools(project, "build", "--renderer", "quarto")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.relative_to(project / "_docs").as_posix() for path in (project / "_docs").rglob("*.html")) == sorted([*PAGES, *MOVED])
    wrong = []
    (tmp_path / "host").mkdir()
    (tmp_path / "host/asl_explainer").symlink_to(project / "_docs")  # Quarto's 404 page has links from the host's root
    with served(tmp_path / "host") as address:
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
