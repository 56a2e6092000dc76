"""The experiments that the course reports. Recorded trials are not repeated, so an interrupted program goes on where it stopped.

Usage: python benchmarks/experiments.py    (about three hours on two cores)"""
import time
from itertools import product
from pathlib import Path

from asl_explainer.course.trials import CANDIDATES, HIDDEN, TRIAL_SEEDS, Trial, choose, compare, record

RESULTS = Path(__file__).parents[1] / "nbs/learn/results"
ADAPTIVE = "ASL, adaptive"
LOSSES = {
    "packages": [loss for loss in CANDIDATES if loss != ADAPTIVE],
    "digits": ["BCE", "BCE, started", "focal", "ASL"],
}
SWEEP = {"gamma_neg": (0, 2, 4), "target": (0.1, 0.3, 0.5), "rate": (0.001, 0.01, 0.1)}
"Start, target and step size of the adaptive rule."


def sweep(task, path, **options):
    "Train with every combination of `SWEEP`, at the learning rate of fixed asymmetric loss."
    rate = choose(task, ["ASL"], 0.0, path, **options)["ASL"]["long"].learning_rate
    settings = [dict(zip(SWEEP, values)) for values in product(*SWEEP.values())]
    return record([Trial(task, ADAPTIVE, of_trial, rate, seed=seed) for of_trial in settings for seed in TRIAL_SEEDS], path, **options)


def main(results=RESULTS, tasks=LOSSES, **options):
    "Run all experiments."
    start = time.monotonic()
    for task, losses in tasks.items():
        path = results / f"{task}.jsonl"
        fractions = HIDDEN if task == "packages" else (HIDDEN[0], HIDDEN[-1])
        for hidden in fractions:
            print(f"{task}, {hidden:.0%} of the positives hidden", flush=True)
            compare(task, losses, hidden, path, **options)
        print(f"{task}, adaptive", flush=True)
        sweep(task, path, **options)
        for hidden in fractions:
            compare(task, [ADAPTIVE], hidden, path, **options)
    print(f"{(time.monotonic() - start) / 60:.0f} minutes", flush=True)


if __name__ == "__main__":
    main()
