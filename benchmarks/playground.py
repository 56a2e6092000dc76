"""What a playground costs in a browser: steps a second of each of its two trainings, and the time that its script takes of a frame.

Usage: python benchmarks/playground.py

Prints what one run measured and writes it to nbs/api/results/playground.json."""
import gzip
import json
import platform
import re
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import browser  # noqa: E402 - from tests/, because the tests need the same browser

from asl_explainer.course.playground.page import CONTROLS, Playground  # noqa: E402

SECONDS = 7
PLAY = """async ([speed, seconds]) => {
  const root = document.querySelector("#play");
  const clock = root.querySelector(".asl-transport output");
  const menu = root.querySelector("[name=speed]");
  menu.value = speed;
  menu.dispatchEvent(new Event("input", { bubbles: true }));

  const { requestAnimationFrame } = window;
  const frames = [];
  window.requestAnimationFrame = (callback) =>
    requestAnimationFrame((now) => {
      const start = performance.now();
      callback(now);
      frames.push([start, performance.now() - start, Number(/\\d+/.exec(clock.textContent)[0])]);
    });

  root.querySelector("[data-play=restart]").click();
  root.querySelector("[data-play=play]").click();
  await new Promise((resolve) => setTimeout(resolve, 1000 * (seconds + 1)));
  if (root.querySelector("[data-play=play]").textContent === "Pause") root.querySelector("[data-play=play]").click();
  window.requestAnimationFrame = requestAnimationFrame;
  return frames.filter(([start]) => start > frames[0][0] + 1000); // without the first second, in which the script is compiled
}"""


def measure(html):
    "For each speed of the menu the frames: when each began, the milliseconds of its script, and the step after it."
    from playwright.sync_api import sync_playwright

    path = browser.find()
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"]).new_page()
        page.set_content(f"<!DOCTYPE html><meta charset=utf-8><title>playground</title><body style='width: 76rem'>{html}")
        page.evaluate(PLAY, [1, 3])  # warm up
        return {option: page.evaluate(PLAY, [number, SECONDS]) for number, option in enumerate(CONTROLS["speed"].options)}


def summarize(frames):
    milliseconds = [spent for _, spent, _ in frames]
    running = [(start, step) for start, _, step in frames if step < 1000]
    return {
        "steps a second": round(1000 * (running[-1][1] - running[0][1]) / (running[-1][0] - running[0][0]), 1),
        "frames a second": round(1000 * (len(running) - 1) / (running[-1][0] - running[0][0]), 1),
        "script of a frame, median ms": round(statistics.median(milliseconds), 1),
        "script of a frame, 95th percentile ms": round(statistics.quantiles(milliseconds, n=20)[-1], 1),
    }


def main():
    html = Playground()._repr_mimebundle_()["text/html"]
    scripts = "".join(re.findall(r"<script>(.*?)</script>", html, re.S))
    results = {
        "machine": {"processor": platform.machine(), "python": platform.python_version()},
        "speeds": {option: summarize(frames) for option, frames in measure(html).items()},
        "kilobytes of script and data, compressed": round(len(gzip.compress(scripts.encode())) / 1000, 1),
    }
    print(json.dumps(results, indent=1))
    (ROOT / "nbs/api/results/playground.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
