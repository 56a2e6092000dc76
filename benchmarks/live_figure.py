"""The cost of moving a slider: on a page, and in JupyterLab with the module in the kernel.

Usage: python benchmarks/live_figure.py

Prints the medians and 95th percentiles, and writes them to nbs/api/results/live_figure.json."""
import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "tests/site")]

import browser  # noqa: E402 - from tests/, because the tests need the same browser
from test_jupyter import FIGURE, jupyter, write  # noqa: E402

from asl_explainer.course.plots import explore_probability  # noqa: E402

MOVES = [0.1 + 0.1 * n for n in range(79)]

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

# For each key the milliseconds until the frame after the new curve, and until the module's number belongs to it.
KEYS = """() => {
  const figure = document.querySelector("figure.asl-live");
  window.milliseconds = { frame: [], number: [] };
  let start;
  document.addEventListener("keydown", () => (start = performance.now()), true);
  const after = (kind) => requestAnimationFrame(() => window.milliseconds[kind].push(performance.now() - start));
  const curve = figure.querySelector("[id$=gradient-negative] path");
  new MutationObserver(() => after("frame")).observe(curve, { attributes: true });
  const number = figure.querySelector(".asl-module");
  new MutationObserver(() => number.classList.contains("asl-stale") || after("number")).observe(number, {
    attributes: true,
    attributeFilter: ["class"],
  });
  figure.querySelector("input[name=gamma_neg]").focus();
}"""


def measure_on_a_page(page):
    "For each move of a drag, one a frame, the milliseconds of script from the event to the new paths; and the late frames."
    page.set_content(explore_probability().html)
    page.evaluate(DRAG, MOVES)  # warm up
    return page.evaluate(DRAG, MOVES * 4)


def measure_in_lab(page, keys=100):
    "For each arrow key the milliseconds until the new curve, and until the module's number."
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "figure.ipynb", FIGURE)
        with jupyter(page, folder, f"JUPYTER_DATA_DIR={folder}/data") as server:
            server.open("figure.ipynb")
            server.run_all()
            page.locator(".asl-module", has_text="module").wait_for(timeout=120_000)
            page.wait_for_timeout(2000)
            page.evaluate(KEYS)
            for n in range(keys):
                page.keyboard.press("ArrowLeft" if n % 2 else "ArrowRight")
                page.wait_for_timeout(300)
            return page.evaluate("milliseconds")


def summarize(milliseconds):
    percentile = statistics.quantiles(milliseconds, n=20)[-1]
    return {"median": round(statistics.median(milliseconds), 2), "95th percentile": round(percentile, 2)}


def main():
    path = browser.find()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page, lab = measure_on_a_page(chromium.new_page()), measure_in_lab(chromium.new_page())
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    results = {
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads(), **versions},
        "milliseconds": {
            "script of a move on a page": summarize(page["milliseconds"]),
            "from a key to the new curve in JupyterLab": summarize(lab["frame"]),
            "from a key to the module's number in JupyterLab": summarize(lab["number"]),
        },
        "frames dropped in a drag": [page["dropped"], page["frames"]],
    }
    print(json.dumps(results, indent=1))
    (ROOT / "nbs/api/results/live_figure.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
