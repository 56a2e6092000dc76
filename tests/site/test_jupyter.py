"""The notebooks in JupyterLab and Notebook 7, as they are opened: run, not trusted, trusted; and through nbconvert."""
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest
from conftest import BIN, ROOT, read_until, started


def wait_for_answer(address, seconds=60):
    "JupyterLab prints its address a moment before it listens there."
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return urlopen(address).status
        except URLError:
            time.sleep(0.1)


@pytest.fixture
def data_folder(tmp_path):
    "Where Jupyter remembers which notebooks are trusted, as an environment variable."
    return f"JUPYTER_DATA_DIR={tmp_path / 'data'}"


@pytest.fixture
def notebooks(tmp_path):
    shutil.copytree(ROOT / "nbs", tmp_path / "nbs", ignore=shutil.ignore_patterns(".*"))
    return tmp_path / "nbs"


@contextmanager
def opened(page, folder, name, heading, data_folder, program="lab"):
    "A notebook in JupyterLab, or in Notebook 7."
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    with started(["env", data_folder, BIN / "jupyter", program, "--no-browser", "--port=8950", "--notebook-dir", folder, *as_root], folder) as lab:
        address, token = re.search(r"(http://127\.0\.0\.1:\d+/)\w+\?token=(\w+)", read_until(lab, "127.0.0.1")).groups()
        wait_for_answer(f"{address}api")
        page.goto(f"{address}{'lab/tree' if program == 'lab' else 'notebooks'}/{name}?reset&token={token}")
        page.get_by_role("heading", name=heading).first.wait_for(timeout=180_000)
        yield page


def test_lab_opens_a_chapter_and_runs_it(notebooks, data_folder, page):
    chapter = notebooks / "learn/timm_docs.ipynb"
    notebook = nbformat.read(chapter, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbformat.write(notebook, chapter)
    with opened(page, notebooks, "learn/timm_docs.ipynb", "The timm page, executed", data_folder):
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=180_000)  # cells run before the kernel is there are skipped
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.locator(".jp-OutputArea-output", has_text="tensor(1.7945)").first.wait_for(timeout=180_000)


def natural_widths(locator):
    return locator.evaluate_all("images => images.filter((image) => image.checkVisibility()).map((image) => image.naturalWidth)")


@pytest.mark.parametrize("program", ["lab", "notebook"])
def test_a_notebook_that_is_not_trusted_shows_pictures(notebooks, data_folder, page, program):
    with opened(page, notebooks, "index.ipynb", "asl_explainer", data_folder, program):
        note = page.get_by_text("Run this cell for live sliders.")
        note.scroll_into_view_if_needed()
        assert note.is_visible()
        page.locator("img[alt^='Mean average precision on the test points']").wait_for()
        plot = page.locator(".jp-RenderedImage img").first
        plot.scroll_into_view_if_needed()
        assert all(width > 400 for width in natural_widths(page.locator(".jp-OutputArea-output img"))) and plot.is_visible()
        assert page.locator(".jp-OutputArea-output svg").count() == 0


def test_a_trusted_notebook_shows_a_live_figure_that_the_arrow_keys_move(notebooks, data_folder, page):
    subprocess.run(["env", data_folder, BIN / "jupyter", "trust", notebooks / "index.ipynb"], check=True, capture_output=True)
    with opened(page, notebooks, "index.ipynb", "asl_explainer", data_folder):
        figure = page.locator("#trainings")
        figure.scroll_into_view_if_needed()
        assert figure.locator("svg").is_visible() and not page.get_by_text("Run this cell for live sliders.").is_visible()
        page.locator(".jp-RenderedSVG").first.wait_for()  # the static plot
        slider = figure.locator("input[name=gamma_neg]")
        slider.focus()
        selected = page.locator(".jp-Cell.jp-mod-active").evaluate("cell => [...cell.parentNode.children].indexOf(cell)")
        for key in ["ArrowRight", "ArrowUp", "ArrowLeft", "ArrowUp"]:
            page.keyboard.press(key)
        page.get_by_text("trained before the loss was changed").first.wait_for()
        assert slider.input_value() == "4.2"
        assert page.locator(".jp-Cell.jp-mod-active").evaluate("cell => [...cell.parentNode.children].indexOf(cell)") == selected


def test_nbconvert_writes_the_live_figure(tmp_path, page):
    cells = [nbformat.v4.new_code_cell("from asl_explainer.course.explore import explore_probability\nexplore_probability()")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "explorer.ipynb")
    subprocess.run([BIN / "jupyter", "nbconvert", "--to", "html", "--execute", "explorer.ipynb"], cwd=tmp_path, check=True, capture_output=True)
    page.goto(f"file://{tmp_path / 'explorer.html'}")
    slider = page.locator("#explore-probability input[name=clip]")
    slider.focus()
    page.keyboard.press("Home")
    page.get_by_text("; there is no margin.").first.wait_for()
    assert slider.input_value() == "0" and page.locator("#explore-probability svg").first.is_visible()
