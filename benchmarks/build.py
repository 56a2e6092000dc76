"""What the site costs: rendering all of it, and a changed notebook until an open page of the preview shows it.

Usage: python benchmarks/build.py

Works on a copy of the project and prints the median of five."""
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import browser  # noqa: E402 - the browser is found as the tests find it

TOOLS = [sys.executable, "-m", "tools"]
PAGE = "learn/gradients"
REPEATS = 5


def copy_of_the_project(folder):
    "What a build reads."
    for name in ["asl_explainer", "nbs", "tools", "images"]:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in ["settings.ini", "_quarto.yml"]:
        shutil.copy(ROOT / name, folder)


def seconds_of_a_build(folder):
    start = time.monotonic()
    subprocess.run([*TOOLS, "build"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def seconds_of_changes(folder):
    "Seconds from saving a notebook until the page shows it, after a first change that imports what processing needs."
    path, seconds = folder / f"nbs/{PAGE}.ipynb", []
    notebook = nbformat.read(path, as_version=4)
    text = next(cell for cell in notebook.cells[1:] if cell.cell_type == "markdown")
    before = text.source
    chromium = browser.find()
    with sync_playwright() as playwright, subprocess.Popen([*TOOLS, "serve"], cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://\S+/", line)))
        page = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
        page.goto(f"{address}{PAGE}.html")
        for number in range(REPEATS + 1):
            time.sleep(1)  # the page has loaded what it needs, as when somebody reads it
            text.source = f"edition {number}\n\n{before}"
            start = time.monotonic()
            nbformat.write(notebook, path)
            page.get_by_text(f"edition {number}").wait_for(timeout=60_000)
            seconds.append(time.monotonic() - start)
        server.terminate()
    return seconds[1:]


def main():
    with tempfile.TemporaryDirectory() as folder:
        copy_of_the_project(Path(folder))
        pages = len(list((ROOT / "nbs").rglob("*.ipynb")))
        print(f"all {pages} pages rendered in {statistics.median(seconds_of_a_build(folder) for _ in range(REPEATS)):.1f} s", flush=True)
        print(f"a changed notebook on screen after {statistics.median(seconds_of_changes(Path(folder))):.1f} s", flush=True)


if __name__ == "__main__":
    main()
