"""A build makes the whole site, or says what is wrong and where, and leaves the earlier site as it was."""
import os
import re
import subprocess
import sys

import nbformat
import pytest
from conftest import BIN, ROOT, built, digests, tools, write_notebook

from tools import ERRORS
from tools.__main__ import run
from tools.build import build

CHAPTER = "nbs/learn/chapter.ipynb"


def page_of(project, *cells):
    "The page of a chapter with these cells."
    write_notebook(project / CHAPTER, "Chapter", *cells)
    build("smalldocs")
    return (project / "_docs/learn/chapter.html").read_text()


def processed_of(project, *cells):
    "What a renderer is given of a chapter with these cells."
    page_of(project, *cells)
    return (project / "_proc/learn/chapter.ipynb").read_text()


def fails_for(project, *cells):
    "What a build says about a chapter with these cells."
    with pytest.raises(ERRORS) as error:
        page_of(project, *cells)
    return str(error.value)


def fails(folder):
    "What the command says about a failing build, and that it says it without a traceback."
    done = tools(folder, "build")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stdout + done.stderr
    return re.search(r"^error: (.*)", done.stderr, re.DOTALL | re.MULTILINE)[1]


def test_a_second_build_gives_the_same_bytes(small_project):
    first = digests(built(small_project))
    assert {"index.html", "learn/chapter.ipynb", "sitemap.xml", "llms.txt"} <= set(first)
    assert digests(built(small_project)) == first


def test_a_failure_leaves_the_earlier_site_and_names_the_notebook(project):
    build("smalldocs")
    before = digests(project / "_docs")
    broken = project / "nbs/api/broken.ipynb"
    write_notebook(broken, "Broken", "#| default_exp broken", "#| export\nlabels = {}\nlabels['cat']", "#| export\ndef area(): 'Of a circle'")
    said = fails(project)
    assert said.startswith("api/broken.ipynb: KeyError('cat')") and "labels['cat']" in said
    assert digests(project / "_docs") == before
    broken.unlink()
    build("smalldocs")


def test_the_page_of_a_deleted_notebook_is_gone(project):
    build("smalldocs")
    assert (project / "_docs/learn/chapter.html").is_file()
    (project / CHAPTER).unlink()
    build("smalldocs")
    assert not (project / "_docs/learn/chapter.html").exists()


def test_nothing_is_executed(project):
    assert "saved by hand" in page_of(project, ("open('executed', 'w')", {"text/plain": "saved by hand"}))
    assert not list(project.rglob("executed"))


def test_a_repair_of_another_project_says_what_it_waits_for():
    repairs = [line for path in (ROOT / "tools").glob("*.py") for line in path.read_text().splitlines() if line.strip().startswith("# Repairs")]
    assert len(repairs) > 10
    assert all(re.fullmatch(r" *# Repairs (smalldocs|Quarto|nbdev|pandoc)( and (smalldocs|Quarto))?, until .+\.", line) for line in repairs)


def test_a_file_that_is_no_notebook_is_named(project):
    (project / "nbs/index.ipynb").write_text("<<<<<<< ours")
    assert fails_for(project).startswith("index.ipynb is not a notebook: ")


def test_a_cell_that_nbdev_would_run_twice_is_named(project):
    "nbdev runs the imports of a notebook that documents a module, and with them what shares their cell."
    said = fails_for(project, "#| default_exp module", "import math\nmath.pi", "#| export\ndef area(): 'Of a circle'")
    assert said.startswith("learn/chapter.ipynb: ") and "Found cells containing imports and other code" in said and "math.pi" in said


def test_a_figure_that_is_missing_fails_the_build(project):
    "IPython drops some errors that occur while it displays an object, and saves its name only."
    said = fails_for(project, "1 + 1", ("explore_cat('a', 'clip')", {"text/plain": "Figure a: AsymmetricLossMultiLabel(clip=0)"}))
    assert said.startswith("learn/chapter.ipynb: ") and "cell code-2 holds no figure, only its name: Figure a" in said


def test_a_saved_error_fails_the_build(project):
    write_notebook(project / CHAPTER, "Chapter", "1 / 0")
    notebook = nbformat.read(project / CHAPTER, as_version=4)
    error = {"ename": "NotImplementedError", "evalue": "aten.sort has no translation to JavaScript", "traceback": []}
    notebook.cells[-1].outputs = [nbformat.v4.new_output("error", **error)]
    nbformat.write(notebook, project / CHAPTER)
    said = fails(project)
    assert said.startswith("learn/chapter.ipynb: ") and "cell code-1 ends in NotImplementedError: aten.sort" in said


def test_a_picture_without_a_text_alternative_fails_the_build(project):
    said = fails_for(project, "1 + 1", ("draw()", {"image/svg+xml": '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'}))
    assert said.startswith("learn/chapter.html: cell code-2 has a picture without a text alternative")
    assert "has a picture without" in fails_for(project, ("draw()", {"text/html": "<img src='images/a.png'>"}))


@pytest.mark.parametrize("kind", ["text/html", "text/markdown", "image/svg+xml"])
def test_a_script_in_an_output_fails_the_build(project, kind):
    script = "<script>document.title = 'taken'</script>"
    data = f'<svg aria-label="drawn">{script}</svg>' if kind == "image/svg+xml" else script
    said = fails_for(project, "1 + 1", ("#| fig-alt: drawn\nshow()", {kind: data}))
    assert said.startswith("learn/chapter.html: cell code-2 has a script, which only a live figure or a question in an output may")


@pytest.mark.parametrize("text", ["<script>document.title = 'taken'</script>", "<figure class='asl-live'>\n<script src='own.js'></script>\n</figure>"])
def test_a_script_in_markdown_fails_the_build(project, text):
    write_notebook(project / CHAPTER, "Chapter", text=text)
    with pytest.raises(ERRORS, match="learn/chapter.html: the page has a script, which only a live figure or a question in an output may"):
        build("smalldocs")


def test_a_script_in_an_attribute_fails_the_build(project):
    said = fails_for(project, ("show()", {"text/html": "<p onclick=\"document.title = 'taken'\">here</p>"}))
    assert said.startswith("learn/chapter.html: cell code-1 has a script in an attribute: document.title")


def test_a_live_figure_may_hold_a_script_which_is_kept_once(project):
    figure = '<figure class="asl-live" id="{0}"><style>p {{}}</style><script>let shared</script><script>draw("{0}")</script></figure>'
    page = page_of(project, *(("show()", {"text/html": figure.format(name)}) for name in "ab"))
    assert [page.count(part) for part in ["let shared", "<style>", 'draw("a")', 'draw("b")']] == [1, 1, 1, 1]


@pytest.mark.parametrize("html", ['<img alt="" src="https://cdn.example/x.png">', '<p style="background: url(//cdn.example/x.png)">here</p>', '<link rel="stylesheet" href="https://cdn.example/x.png">', '<svg aria-label=""><image xlink:href="//cdn.example/x.png"/></svg>'])
def test_a_page_that_would_fetch_from_another_host_fails_the_build(project, html):
    said = fails_for(project, ("show()", {"text/html": html}))
    assert re.match(r"learn/chapter.html: the page would fetch (https:)?//cdn.example/x.png from another host", said)


def test_a_stylesheet_that_would_fetch_from_another_host_fails_the_build(project):
    (project / "_quarto.yml").write_text("project: {type: website, output-dir: _docs}\nformat: {html: {theme: litera, css: own.css}}\n")
    (project / "nbs/own.css").write_text("@import 'https://cdn.example/x.css';")
    assert fails_for(project) == "own.css would fetch https://cdn.example/x.css from another host"


def test_a_formula_that_cannot_be_read_fails_the_build(project):
    assert fails_for(project, ("show()", {"text/latex": "$\\frac{1$"})).startswith("learn/chapter.html: a formula cannot become MathML: ")


def test_a_printed_text_of_ten_megabytes_becomes_a_page_that_can_be_read(project):
    page = page_of(project, ("'x' * 10_000_000", {"text/plain": "x" * 10_000_000}))
    assert len(page) < 300_000 and "9,900,000 more characters are left out" in page


def test_html_of_an_output_reaches_the_page_as_it_is(project):
    "Its Markdown has a raw block, which no run of backticks in the HTML ends."
    html = "<table>\n<tr><td>````</td></tr>\n\n::: x\n\n<tr><td>*not emphasis*</td></tr></table>"
    cell = ("show()", {"text/html": html, "text/plain": "a table", "image/png": "iVBORw0KGgo="})
    page, processed = page_of(project, cell), processed_of(project, cell)
    assert "::: x" in page and "*not emphasis*" in page and "<img" not in page
    assert "text/html" not in processed and "`````{=html}" in processed


def test_two_drawings_share_no_id_and_keep_their_colours(project):
    drawing = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><defs>
        <pattern id="hatch"><path d="M0 0" fill="#ABCDEF" stroke="#999999"/></pattern><g id="mark"/><g id="unused"/></defs>
        <rect fill="url(#hatch)" style="clip-path: url(#hatch); stroke: #999999"/><use xlink:href="#mark" href="#mark"/></svg>"""
    page = page_of(project, *[("#| fig-alt: bars\ndraw()", {"image/svg+xml": drawing})] * 2)
    for number in (1, 2):
        assert page.count(f'id="drawing-{number}-hatch"') == page.count(f'id="drawing-{number}-mark"') == 1
        assert page.count(f"url(#drawing-{number}-hatch)") == page.count(f'href="#drawing-{number}-mark"') == 2
    assert "unused" not in page
    assert page.count('fill="#ABCDEF"') == page.count('stroke="#999999"') == page.count("stroke: #999999") == 2


def test_a_page_needs_no_second_picture_of_what_it_draws(project):
    "Jupyter shows them in a notebook that is not trusted."
    dot, still = "iVBORw0KGgo=", '<img class="asl-still" alt="" src="data:image/png;base64,iVBORw0KGgo=">\n<p class="asl-still">Run this cell.</p>'
    drawing = '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>'
    page = page_of(project, ("#| fig-alt: a line\ndraw()", {"image/svg+xml": drawing, "image/png": dot}), ("show()", {"text/html": f"<p>before</p>{still}\n<p>after</p>"}))
    assert "<path" in page and "before" in page and "after" in page
    assert "<img" not in page and "Run this cell" not in page


@pytest.mark.parametrize("module, address", [("losses", "losses"), ("dropin.timm", "dropin/timm")])
def test_a_name_leads_to_the_module_that_a_notebook_means(project, module, address):
    "Several modules define a class of this name."
    source = f"from asl_explainer.{module} import (\n    AsymmetricLossMultiLabel,\n)"
    write_notebook(project / CHAPTER, "Chapter", source, text="`AsymmetricLossMultiLabel`")
    build("smalldocs")
    page = (project / "_docs/learn/chapter.html").read_text()
    assert f'href="../api/{address}.html#asymmetriclossmultilabel"' in page


def test_a_name_in_a_link_stays_there(project):
    source = "from asl_explainer.losses import asymmetric_loss"
    write_notebook(project / CHAPTER, "Chapter", source, text="`asymmetric_loss`, [`asymmetric_loss`](../index.ipynb), [see `asymmetric_loss`](../index.ipynb)")
    build("smalldocs")
    links = re.findall(r'<a href="([^"]*)">(?:see )?<code>', (project / "_docs/learn/chapter.html").read_text())
    assert links == ["../api/losses.html#asymmetric_loss", "../index.html", "../index.html"]


def test_widgets_reach_no_renderer(project):
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "IntSlider()"}
    processed = processed_of(project, ("slider()", view))
    assert "IntSlider()" in processed and "widget" not in processed


def test_a_cells_id_is_no_id_of_a_figure(project):
    "Quarto gives a cell's element the id of the cell; a script that looks for the figure would find the cell."
    assert '"id": "cell-code-1"' in processed_of(project, ("show()", {"text/html": '<figure class="asl-live" id="code-1"></figure>'}))


def test_long_lines_wrap_on_reference_pages(project):
    write_notebook(project / "nbs/api/module.ipynb", "Module", "1 + 1")
    assert "code-overflow-wrap" not in page_of(project, "1 + 1")
    assert "code-overflow-wrap" in (project / "_docs/api/module.html").read_text()


def test_a_notebook_that_imports_nbdev_has_no_link_to_colab(project):
    page = page_of(project, "import torch\nfrom nbdev.showdoc import show_doc")
    assert "nbviewer.org" in page and "colab.research" not in page
    assert "colab.research" in (project / "_docs/index.html").read_text()


def test_levels_of_headings_are_left_out_nowhere(project):
    page = page_of(project, ("show()", {"text/markdown": "### A\n\n##### B\n\n##### C\n\n### D\n\n## E"}))
    assert re.findall(r"<(h\d)[^>]*>([A-E])</h", page) == [("h2", "A"), ("h3", "B"), ("h3", "C"), ("h2", "D"), ("h2", "E")]


def test_solutions_unfold_with_what_they_print(project):
    page = page_of(project, ('#| code-fold: true\n#| code-summary: "Solution"\n1 + 1', {"text/plain": "the answer"}))
    assert re.search(r"<details.*the answer.*</details>", page, re.DOTALL)


def test_pictures_become_files_that_load_late(project):
    dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    page = page_of(project, ("#| fig-alt: a dot\nshow()", {"image/png": dot}))
    name = re.search(r'src="(chapter_files/\w{16}\.png)"', page)[1]
    assert (project / "_docs/learn" / name).read_bytes().startswith(b"\x89PNG")
    assert 'width="1"' in page and 'height="1"' in page and 'loading="lazy"' in page and "data:image" not in page.split("</head>")[1]


def test_a_missing_configuration_is_named(project):
    (project / "nbs/_quarto.yml").unlink()
    assert "nbs/_quarto.yml is missing" in fails_for(project)


def test_a_broken_configuration_is_named(project):
    (project / "_quarto.yml").write_text("project: [unclosed\n")
    with pytest.raises(SystemExit, match="^error: .*_quarto.yml"):
        run("build", "smalldocs", None)


def test_outside_a_project_it_says_so(tmp_path):
    assert "no settings.ini here" in fails(tmp_path)


def test_the_command_of_smalldocs_finishes_the_pages_too(project):
    "`_quarto.yml` has our pass run by whoever renders."
    build("smalldocs")
    subprocess.run([BIN / "smalldocs", "render", "_proc"], cwd=project, check=True, capture_output=True)
    assert digests(project / "_proc/_docs") == digests(project / "_docs")


def test_finished_pages_are_left_as_they_are(project):
    "Quarto's preview renders one page and runs the pass over all."
    build("smalldocs")
    before = digests(project / "_docs")
    environment = {**os.environ, "SMALLDOCS": "1", "QUARTO_PROJECT_OUTPUT_DIR": "../_docs"}
    subprocess.run([sys.executable, "../tools/finish.py"], cwd=project / "_proc", env=environment, check=True)
    assert digests(project / "_docs") == before


def test_an_output_may_span_the_window(project):
    page = page_of(project, ("#| echo: false\n#| column: screen-inset\nshow()", {"text/html": "<p>wide</p>"}))
    assert re.search(r'<div class="column-screen-inset">\s*<div class="cell-output[^>]*>\s*<p>wide</p>', page)
