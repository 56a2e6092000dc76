"""An explorer in JupyterLab."""
import os
import re
import time
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
from conftest import BIN, read_until, started

SOURCE = "from asl_explainer.course.explore import explore_probability\nexplore_probability()"


def wait_until_it_answers(address, seconds=60):
    "Wait for JupyterLab, which prints its address before it listens."
    end = time.monotonic() + seconds
    while True:
        try:
            return urlopen(address).status
        except URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_a_slider_redraws_the_figure_in_jupyterlab(tmp_path, page):
    path = tmp_path / "explorer.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SOURCE)], metadata=kernel), path)
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    with started([BIN / "jupyter", "lab", "--no-browser", "--port=8960", "--notebook-dir", tmp_path, *as_root], tmp_path) as lab:
        address, token = re.search(r"(http://127\.0\.0\.1:\d+/)lab\?token=(\w+)", read_until(lab, "127.0.0.1")).groups()
        wait_until_it_answers(f"{address}api")
        page.goto(f"{address}lab/tree/explorer.ipynb?reset&token={token}")
        page.get_by_text("| Idle").wait_for(timeout=180_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        image = page.locator(".jp-OutputArea-output img.widget-image").first
        image.wait_for(timeout=180_000)
        assert page.locator(".jp-OutputArea-output svg").count() == 0  # the widget is shown, not the live figure
        before = image.get_attribute("src")
        handle = page.locator(".jp-OutputArea-output .noUi-handle").first
        handle.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("before => document.querySelector('img.widget-image').src != before", arg=before, timeout=20_000)
        page.locator(".jp-OutputArea-output .widget-readout", has_text="4.1").wait_for()
        assert "gamma_neg=4.1" in page.locator(".jp-OutputArea-output input[type=text]").first.input_value()
