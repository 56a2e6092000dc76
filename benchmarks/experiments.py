"""The experiments that the course reports. What is recorded already is not made again: interrupted, it goes on where it was.

Usage: python benchmarks/experiments.py    (about half an hour on two processor cores)"""
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

from asl_explainer.course.lab import BUDGETS, LOSSES, MISSING, SWEEPS, compare, record

RESULTS = Path(__file__).parents[1] / "nbs/learn/results"


def main(results=RESULTS, short=None, **how):
    "Make all runs; `short` overrides their settings, to try this program out."
    start, short = time.monotonic(), short or {}

    def shortened(runs, **settings):
        return {name: replace(run, **{**settings, **short}) for name, run in runs.items()}

    for missing, epochs in product(MISSING, BUDGETS):
        print(f"comparison: {missing:.0%} of the positives missing, {epochs} epochs", flush=True)
        compare(shortened(LOSSES, missing=missing, epochs=epochs), results / "comparison.json", **how)
    for name, runs in SWEEPS.items():
        print(f"sweep of {name}", flush=True)
        compare(shortened(runs), results / "sweeps.json", **{"trial_seeds": (100,), "seeds": (0, 1, 2), **how})
    print("adaptive gamma_neg", flush=True)
    adaptive = {(target, seed): replace(LOSSES["ASL, adaptive"], target=target, seed=seed, epochs=40) for target, seed in product((0.0, 0.1, 0.2, 0.4), (0, 1, 2))}
    record(shortened(adaptive).values(), results / "adaptive.json", **{name: how[name] for name in ("workers", "progress") if name in how})
    print(f"{(time.monotonic() - start) / 60:.0f} minutes", flush=True)


if __name__ == "__main__":
    main()
