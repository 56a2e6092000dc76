"""The experiments that the course reports. Recorded trials are not repeated, so an interrupted program goes on where it stopped.

Usage: python benchmarks/experiments.py    (about five hours on two cores)"""
import time
from itertools import product
from pathlib import Path

from asl_explainer.course.trials import CANDIDATES, DRAWINGS, HIDDEN, TRIAL_SEEDS, Trial, choose, compare, condense, record

RESULTS = Path(__file__).parents[1] / "nbs/learn/results"
ADAPTIVE = "ASL, adaptive"
LOSSES = {
    "packages": [loss for loss in CANDIDATES if loss != ADAPTIVE],
    "digits": ["BCE", "BCE, started", "focal", "ASL"],
}
ON_DRAWINGS = ["BCE", "BCE, started", "ASL", "ASL, started", "two-way"]
CONDITIONS = list(product(DRAWINGS, (HIDDEN[0], HIDDEN[-1])))
"The losses that are compared on drawings, and where: the network and the fraction of hidden positives."
SWEEPS = {
    "ASL": {"gamma_neg": (0, 2, 4, 6), "clip": (0, 0.05, 0.2, 0.4)},
    ADAPTIVE: {"gamma_neg": (0, 2, 4), "target": (0.1, 0.3, 0.5), "rate": (0.001, 0.01, 0.1)},
}
"Exponent and margin of asymmetric loss; start, target and step size of the adaptive rule."


def sweep(task, loss, path, **options):
    "Train with every combination of a loss's values in `SWEEPS`, at the learning rate that was chosen for asymmetric loss."
    rate = choose(task, ["ASL"], 0.0, path, **options)["ASL"]["long"].learning_rate
    settings = [dict(zip(SWEEPS[loss], values)) for values in product(*SWEEPS[loss].values())]
    return record([Trial(task, loss, of_trial, rate, seed=seed) for of_trial in settings for seed in TRIAL_SEEDS], path, **options)


def on_drawings(results=RESULTS, seeds=range(20), **options):
    "Compare the losses on the features of a pretrained network."
    path = results / "drawings.jsonl"
    for task, hidden in CONDITIONS:
        print(f"{task}, {hidden:.0%} of the positives hidden", flush=True)
        compare(task, ON_DRAWINGS, hidden, path, seeds, **options)
    condense(path)


def main(results=RESULTS, tasks=LOSSES, **options):
    "Run all experiments."
    start = time.monotonic()
    for task, losses in tasks.items():
        path = results / f"{task}.jsonl"
        fractions = HIDDEN if task == "packages" else (HIDDEN[0], HIDDEN[-1])
        for hidden in fractions:
            print(f"{task}, {hidden:.0%} of the positives hidden", flush=True)
            compare(task, losses, hidden, path, **options)
        for loss in SWEEPS:
            print(f"{task}, settings of {loss}", flush=True)
            sweep(task, loss, path, **options)
        for hidden in fractions:
            compare(task, [ADAPTIVE], hidden, path, **options)
    on_drawings(results, **options)
    print(f"{(time.monotonic() - start) / 60:.0f} minutes", flush=True)


if __name__ == "__main__":
    main()
