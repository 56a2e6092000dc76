"""The experiments that the course reports. Recorded runs are not repeated, so an interrupted program continues where it stopped.

Usage: python benchmarks/experiments.py    (about half an hour on two cores)"""
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

from asl_explainer.course.lab import BUDGETS, LOSSES, MISSING, SWEEPS, compare, record

RESULTS = Path(__file__).parents[1] / "nbs/learn/results"


def main(results=RESULTS, short=None, **options):
    "Run all experiments. `short` replaces settings of every run, for a trial of this program."
    start, short = time.monotonic(), short or {}

    def shortened(runs, **settings):
        return {name: replace(run, **{**settings, **short}) for name, run in runs.items()}

    for missing, epochs in product(MISSING, BUDGETS):
        print(f"comparison: {missing:.0%} of the positives missing, {epochs} epochs", flush=True)
        compare(shortened(LOSSES, missing=missing, epochs=epochs), results / "comparison.json", **options)
    for name, runs in SWEEPS.items():
        print(f"sweep of {name}", flush=True)
        compare(shortened(runs), results / "sweeps.json", **{"trial_seeds": (100,), "seeds": (0, 1, 2), **options})
    print("adaptive gamma_neg", flush=True)
    adaptive = {(target, seed): replace(LOSSES["ASL, adaptive"], target=target, seed=seed, epochs=40) for target, seed in product((0.0, 0.1, 0.2, 0.4), (0, 1, 2))}
    record(shortened(adaptive).values(), results / "adaptive.json", **{name: options[name] for name in ("workers", "progress") if name in options})
    print(f"{(time.monotonic() - start) / 60:.0f} minutes", flush=True)


if __name__ == "__main__":
    main()
