"""What building the site costs: a build with nothing to execute, for more and more pages, and a changed page in `asl-docs serve`.

Usage: python benchmarks/build.py

The pages are copies of a chapter with formulas, plots and a live figure. Prints medians."""
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

from asl_explainer.site import Project, input_digest, shared_inputs  # noqa: E402

ASL_DOCS = Path(sys.executable).with_name("asl-docs")
CHAPTER = "learn/gradients.ipynb"
SIZES = [25, 50, 100]
CHANGES = 5


def project_in(folder):
    "A copy of this project without its notebooks."
    for name in ["asl_explainer", "nbs"]:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.ipynb", ".*"))
    for name in ["settings.ini", "constraints.txt"]:
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "images", folder / "images")
    configuration = (ROOT / "_quarto.yml").read_text()
    (folder / "_quarto.yml").write_text(re.sub(r"    contents:\n(      .*\n)+", "    contents: auto\n", configuration).replace("href: learn/why_asymmetric.ipynb", "href: index.ipynb").replace("href: api/losses.ipynb", "href: index.ipynb"))
    return folder


def fill(root, pages):
    "Copies of the chapter up to a number of pages. All but the first get the outputs of the first rather than being executed."
    project = Project.find(root)
    shared = shared_inputs(project)
    first, *others = ["index.ipynb", *(f"learn/page_{number:03}.ipynb" for number in range(1, pages))]
    if not (project.nbs / first).exists():
        shutil.copy(ROOT / "nbs" / CHAPTER, project.nbs / first)
        built(root)
    of_first = project.work / "cache" / input_digest(project.nbs / first, first, shared)
    for name in others:
        if not (path := project.nbs / name).exists():
            shutil.copy(ROOT / "nbs" / CHAPTER, path)
            for step in ["executed", "processed"]:
                target = project.work / "cache" / input_digest(path, name, shared) / step
                target.mkdir(parents=True)
                shutil.copy(of_first / step / first, target / path.name)


def built(project):
    "Seconds that a build takes."
    start = time.monotonic()
    subprocess.run([ASL_DOCS, "build", "--renderer", "smalldocs"], cwd=project, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def change(path, word):
    "Put a word into a notebook's first text."
    notebook = nbformat.read(path, as_version=4)
    text = next(cell for cell in notebook.cells[1:] if cell.cell_type == "markdown")
    text.source = re.sub(r"^(edition \S+\n\n)?", f"edition {word}\n\n", text.source)
    nbformat.write(notebook, path)


def changes_on_screen(project):
    "Seconds from saving a changed notebook until an open page shows it, less those of its execution."
    path = project / "nbs/learn/page_001.ipynb"
    seconds = []
    executable = browser.find()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = chromium.new_page()
        with subprocess.Popen([ASL_DOCS, "serve", "--renderer", "smalldocs"], cwd=project, stdout=subprocess.PIPE, text=True) as server:
            said = iter(server.stdout.readline, "")
            address = next(found[0] for line in said if (found := re.search(r"http://\S+/", line)))
            page.goto(f"{address}learn/page_001.html")
            for number in range(CHANGES):
                start = time.monotonic()
                change(path, f"word{number}")
                page.get_by_text(f"edition word{number}").wait_for(timeout=120_000)
                whole = time.monotonic() - start
                seconds.append(whole - next(float(found[1]) for line in said if (found := re.search(r"executed \S+  ([\d.]+) s", line))))
            server.terminate()
        chromium.close()
    return seconds


def main():
    with tempfile.TemporaryDirectory() as folder:
        project = project_in(Path(folder))
        for pages in SIZES:
            fill(project, pages)
            built(project)
            times = [built(project) for _ in range(3)]
            print(f"{pages:4} pages, nothing to execute {statistics.median(times):7.1f} s, {statistics.median(times) / pages * 1e3:4.0f} ms a page", flush=True)
            if pages == SIZES[0]:
                print(f"{pages:4} pages, one changed, on screen after {statistics.median(changes_on_screen(project)):4.1f} s besides its execution", flush=True)


if __name__ == "__main__":
    main()
