"""The cost of moving a slider: in Jupyter, compared with ipywidgets.interact around a plain replot, and on a page.

Usage: python benchmarks/explore.py

Prints the medians and 95th percentiles of one run, in which the contenders alternate, and writes them to nbs/api/results/explore.json."""
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
import torch
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import browser  # noqa: E402 - from tests/, because the tests need the same browser
from conftest import read_until, started  # noqa: E402

from asl_explainer.course.explore import explore_probability  # noqa: E402

MOVES = [0.1 + 0.1 * n for n in range(79)]

IN_JUPYTER = """
import json, time
import ipywidgets, torch
import matplotlib.pyplot as plt
from asl_explainer.course.explore import explore_probability
from asl_explainer.losses import asymmetric_loss

def replot(gamma_neg):
    p = torch.arange(1, 200) / 200
    figure, axes = plt.subplots(1, 2, figsize=(6.8, 3.1))
    for target in (0.0, 1.0):
        z = p.logit().requires_grad_()
        loss = asymmetric_loss(z, torch.full_like(z, target), gamma_neg=gamma_neg, reduction='none')
        axes[0].plot(p, loss.detach())
        axes[1].plot(p, torch.autograd.grad(loss.sum(), z)[0])
    plt.show()

sliders = {
    'explorer': next(child for child in explore_probability().widget.children if getattr(child, 'description', '').startswith('γ₋')),
    'interact': ipywidgets.interactive(replot, gamma_neg=(0.0, 8.0, 0.1)).children[0],
}
milliseconds = {name: [] for name in sliders}
for value in MOVES:
    for name, slider in sliders.items():
        start = time.perf_counter()
        slider.value = value
        milliseconds[name].append((time.perf_counter() - start) * 1e3)
"""


def measure_in_jupyter():
    "For each move the milliseconds of kernel time, for the explorer and for interact around a replot of the same four curves."
    sources = [f"MOVES = {MOVES}", IN_JUPYTER, "print(json.dumps(milliseconds))"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, kernel_name="python3", timeout=600).execute()
    return json.loads(notebook.cells[-1].outputs[0].text)


DRAG = """async (moves) => {
  const slider = document.querySelector("#explore-probability input[name=gamma_neg]");
  const { requestAnimationFrame } = window;
  const milliseconds = [];
  const frames = [];
  let spent = 0;

  // Add up the time that the figure spends in its animation frames.
  window.requestAnimationFrame = (callback) =>
    requestAnimationFrame((now) => {
      const start = performance.now();
      callback(now);
      spent += performance.now() - start;
    });

  await new Promise((resolve) => {
    let n = 0;
    const step = (now) => {
      if (n) milliseconds.push(spent);
      spent = 0;
      frames.push(now);
      if (n === moves.length) return resolve();
      slider.value = moves[n++];
      const start = performance.now();
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      spent += performance.now() - start;
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  });
  window.requestAnimationFrame = requestAnimationFrame;
  const dropped = frames.slice(1).filter((now, n) => now - frames[n] > 25).length;
  return { milliseconds, dropped, frames: frames.length - 1 };
}"""


def measure_on_a_page():
    "For each move of a drag, one per frame, the milliseconds of script from the input event to the new paths; and the dropped frames."
    from playwright.sync_api import sync_playwright

    html = f"<!DOCTYPE html><meta charset=utf-8><title>explorer</title>{explore_probability().live._repr_html_()}"
    path = browser.find()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page()
        page.set_content(html)
        page.evaluate(DRAG, MOVES)  # warm up
        return page.evaluate(DRAG, MOVES * 4)


KEYS = """() => {
  const image = document.querySelector(".jp-OutputArea-output img");
  window.milliseconds = [];
  let start;
  document.addEventListener("keydown", () => (start = performance.now()), true);
  image.addEventListener("load", () => requestAnimationFrame(() => window.milliseconds.push(performance.now() - start)));
  document.querySelector(".jp-OutputArea-output .noUi-handle").focus();
}"""


def measure_in_lab(keys=100):
    "For each arrow key on a slider in JupyterLab the milliseconds until the frame that shows the new picture."
    from playwright.sync_api import sync_playwright

    cell = nbformat.v4.new_code_cell("from asl_explainer.course.explore import explore_probability\nexplore_probability()")
    path = browser.find()
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}), f"{folder}/explorer.ipynb")
        command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--port=8952", "--notebook-dir", folder, *(["--allow-root"] if os.geteuid() == 0 else [])]
        with started(command, folder, seconds=300) as lab, sync_playwright() as playwright:
            address = re.search(r"http://127\.0\.0\.1:\d+/lab\?token=\w+", read_until(lab, "127.0.0.1"))[0]
            threading.Thread(target=lab.stdout.read, daemon=True).start()
            page = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"]).new_page()
            page.goto(address.replace("/lab?", "/lab/tree/explorer.ipynb?reset&"))
            page.get_by_text("| Idle").wait_for(timeout=60_000)
            time.sleep(2)  # Lab says that it is idle a moment before it runs what it is asked to
            page.locator(".jp-Notebook .jp-Cell").first.click()
            page.keyboard.press("Shift+Enter")
            page.locator(".jp-OutputArea-output .noUi-handle").first.wait_for(timeout=60_000)
            time.sleep(2)
            page.evaluate(KEYS)
            for n in range(keys):
                page.keyboard.press("ArrowLeft" if n % 2 else "ArrowRight")
                time.sleep(0.15)
            return page.evaluate("milliseconds")


def summarize(milliseconds):
    return {"median": round(statistics.median(milliseconds), 2), "95th percentile": round(statistics.quantiles(milliseconds, n=20)[-1], 2)}


def main():
    lab, jupyter, page = measure_in_lab(), measure_in_jupyter(), measure_on_a_page()
    results = {
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__, "python": platform.python_version()},
        "milliseconds": {
            "a move in Jupyter": summarize(jupyter["explorer"]),
            "the same with interact": summarize(jupyter["interact"]),
            "from a key to the screen in JupyterLab": summarize(lab),
            "a move on a page": summarize(page["milliseconds"]),
        },
        "frames dropped in a drag": [page["dropped"], page["frames"]],
    }
    print(json.dumps(results, indent=1))
    (ROOT / "nbs/api/results/explore.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
