"""What a slider costs: a move in Jupyter against ipywidgets.interact around a plain replot, and a move on a page.

Usage: python benchmarks/explore.py

Prints medians and 95th percentiles of one run, in which the contenders took turns, and writes them to nbs/api/results/explore.json."""
import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path

import nbformat
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import browser  # noqa: E402 - the browser is found as the tests find it

from asl_explainer.course.explore import explore_probability  # noqa: E402
from asl_explainer.site import execute_notebook, run_apart  # noqa: E402

MOVES = [0.1 + 0.1 * n for n in range(79)]


_IN_A_KERNEL = """
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

ours = next(child for child in explore_probability().widget.children if getattr(child, 'description', '').startswith('γ₋'))
theirs = ipywidgets.interactive(replot, gamma_neg=(0.0, 8.0, 0.1)).children[0]
times = {'explorer': [], 'interact': []}
for value in MOVES:
    for name, slider in {'explorer': ours, 'interact': theirs}.items():
        start = time.perf_counter()
        slider.value = value
        times[name].append((time.perf_counter() - start) * 1e3)
"""


def in_jupyter():
    "Milliseconds of kernel time for each move: of the explorer, and of interact around a plain replot of the same four curves."
    cells = [f"MOVES = {MOVES}", _IN_A_KERNEL, "print(json.dumps(times))"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "moves.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), path)
        return json.loads(run_apart(execute_notebook(path)).cells[-1].outputs[0].text)


_DRAG = """async (moves) => {
  const input = document.querySelector("#explore-probability input[name=gamma_neg]");
  const spent = [], frames = [], drawing = window.requestAnimationFrame;
  let working = 0;
  window.requestAnimationFrame = (draw) => drawing((now) => { const start = performance.now(); draw(now); working += performance.now() - start; });
  await new Promise((done) => {
    let n = 0;
    const step = (now) => {
      if (n) spent.push(working);
      working = 0;
      frames.push(now);
      if (n === moves.length) return done();
      input.value = moves[n++];
      const start = performance.now();
      input.dispatchEvent(new Event("input", { bubbles: true }));
      working += performance.now() - start;
      drawing(step);
    };
    drawing(step);
  });
  return { spent, dropped: frames.slice(1).filter((now, n) => now - frames[n] > 25).length, frames: frames.length - 1 };
}"""


def on_a_page():
    "Milliseconds of script for each move, from input to the new paths, in a drag that moves at every frame; and the frames that were late."
    from playwright.sync_api import sync_playwright

    html = f"<!DOCTYPE html><meta charset=utf-8><title>explorer</title>{explore_probability().live._repr_html_()}"
    path = browser.find()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page()
        page.set_content(html)
        page.evaluate(_DRAG, MOVES)  # once to warm up
        return page.evaluate(_DRAG, MOVES * 4)


def summary(times):
    return {"median": round(statistics.median(times), 2), "95th percentile": round(statistics.quantiles(times, n=20)[-1], 2)}


def main():
    jupyter, page = in_jupyter(), on_a_page()
    results = {
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__, "python": platform.python_version()},
        "milliseconds": {"a move in Jupyter": summary(jupyter["explorer"]), "the same with interact": summary(jupyter["interact"]), "a move on a page": summary(page["spent"])},
        "frames dropped in a drag": [page["dropped"], page["frames"]],
    }
    print(json.dumps(results, indent=1))
    (ROOT / "nbs/api/results/explore.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
