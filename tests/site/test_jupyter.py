"""The notebooks in JupyterLab."""
import os
import re
import shutil
import time
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
from conftest import BIN, ROOT, read_until, started


def wait_for_answer(address, seconds=60):
    "JupyterLab prints its address a moment before it listens there."
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return urlopen(address).status
        except URLError:
            time.sleep(0.1)


def test_lab_opens_a_chapter_and_runs_it(tmp_path, page):
    shutil.copytree(ROOT / "nbs", tmp_path / "nbs", ignore=shutil.ignore_patterns(".*"))
    chapter = tmp_path / "nbs/learn/timm_docs.ipynb"
    notebook = nbformat.read(chapter, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbformat.write(notebook, chapter)

    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    with started([BIN / "jupyter", "lab", "--no-browser", "--port=8950", "--notebook-dir", tmp_path / "nbs", *as_root], tmp_path) as lab:
        address, token = re.search(r"(http://127\.0\.0\.1:\d+/)lab\?token=(\w+)", read_until(lab, "127.0.0.1")).groups()
        wait_for_answer(f"{address}api")
        page.goto(f"{address}lab/tree/learn/timm_docs.ipynb?reset&token={token}")
        page.get_by_role("heading", name="The timm page, executed").wait_for(timeout=60_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.locator(".jp-OutputArea-output", has_text="tensor(1.7945)").first.wait_for(timeout=60_000)
