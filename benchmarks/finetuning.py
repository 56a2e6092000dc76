"""Trains the last blocks of a pretrained network on the drawings. Recorded runs are not repeated.

Usage: python benchmarks/finetuning.py FOLDER    (the folder that `python -m tools.clipart FOLDER` filled; about an hour on two cores)"""
import json
import sys
from dataclasses import asdict
from pathlib import Path

import joblib
import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from asl_explainer.course.alternatives import log_odds  # noqa: E402
from asl_explainer.course.datasets import drawings  # noqa: E402
from asl_explainer.course.scores import mean_average_precision  # noqa: E402
from asl_explainer.course.trials import ON_FEATURES, SHORT, TRIAL_SEEDS, Outcome, Trial, _brief_scores, load_results  # noqa: E402
from asl_explainer.start import start_biases  # noqa: E402
from tools.clipart import in_batches, pretrained  # noqa: E402

RESULTS = Path(__file__).parents[1] / "nbs/learn/results/drawings_finetuned.jsonl"
BLOCK, PIXELS = 14, 128
"The first block that is trained, and the width of the pictures."
SETTINGS = {"BCE": {"gamma_neg": 0}, "BCE, started": {"gamma_neg": 0}, "ASL": {"gamma_neg": 4, "clip": 0.05}, "two-way": {"temperature": 4}}
RATES, SEEDS, BATCH = (1e-3, 3e-3), tuple(range(10)), 64


def activations(folder):
    "What the blocks before `BLOCK` give for each drawing, shape (N, 192, 4, 4), computed once."
    path = folder / "activations.npy"
    if not path.exists():
        network = pretrained(folder)
        pictures = np.load(folder / "pictures.npy", mmap_mode="r")

        def first_blocks(inputs):
            x = nn.functional.interpolate(inputs, (PIXELS, PIXELS), mode="area")
            x = network._swish(network._bn0(network._conv_stem(x.contiguous(memory_format=torch.channels_last))))
            return nn.Sequential(*network._blocks[:BLOCK])(x).half()

        np.save(path, in_batches(first_blocks, pictures))
    return torch.from_numpy(np.load(path))


def last_blocks(folder, labels):
    "The blocks that are trained, and a layer for the labels."
    network = pretrained(folder)
    return nn.Sequential(*network._blocks[BLOCK:], network._conv_head, network._bn1, nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, labels))


def finetuned(trial, folder):
    "Train with AdamW and a rate that rises and falls once (OneCycle); the result has the scores of the last epoch."
    torch.set_num_threads(1)
    torch.manual_seed(trial.seed)
    task = drawings(trial.hidden, trial.seed, inputs=activations(folder).float().contiguous(memory_format=torch.channels_last))
    inputs, labels = task.train
    candidate, model = ON_FEATURES[trial.loss], last_blocks(folder, labels.shape[1]).to(memory_format=torch.channels_last)
    loss = candidate.make(labels, **trial.settings)
    if candidate.started:
        start_biases(model[-1], log_odds(labels).sigmoid(), loss=loss)
    optimizer = torch.optim.AdamW(model.parameters(), lr=trial.learning_rate, weight_decay=0.01)
    steps = trial.epochs * -(-len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, trial.learning_rate, total_steps=steps)
    for _ in range(trial.epochs):
        model.train()
        for batch in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            loss(model(inputs[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    outcome = Outcome(task, loss, model, {"long": model.state_dict()}, [], [], [], [])
    validation = mean_average_precision(outcome.logits("validation"), task.validation[1])
    result = {"trial": asdict(trial), "torch": torch.__version__, "steps": steps, "best": {"long": round(validation, 2)}}
    return result | ({"long": _brief_scores(outcome, "long")} if trial.seed not in TRIAL_SEEDS else {})


def record(trials, folder, workers=2):
    "Run the trials that the file does not contain."
    done = load_results(RESULTS) if RESULTS.exists() else []
    missing = [trial for trial in trials if asdict(trial) not in [result["trial"] for result in done]]
    with joblib.parallel_config("loky", n_jobs=workers, inner_max_num_threads=1), RESULTS.open("a") as file:
        for result in joblib.Parallel(return_as="generator_unordered")(joblib.delayed(finetuned)(trial, folder) for trial in missing):
            file.write(json.dumps(result) + "\n")
            file.flush()
    return [result for result in load_results(RESULTS) if result["trial"] in [asdict(trial) for trial in trials]]


def main(folder, hidden=0.0):
    activations(folder)
    first = {loss: [Trial("drawings, linear head", loss, settings, rate, hidden, seed, SHORT) for rate in RATES for seed in TRIAL_SEEDS] for loss, settings in SETTINGS.items()}
    tried = record([trial for trials in first.values() for trial in trials], folder)
    chosen = []
    for loss, settings in SETTINGS.items():
        scores = {rate: np.mean([result["best"]["long"] for result in tried if (result["trial"]["loss"], result["trial"]["learning_rate"]) == (loss, rate)]) for rate in RATES}
        chosen += [Trial("drawings, linear head", loss, settings, max(scores, key=scores.get), hidden, seed, SHORT) for seed in SEEDS]
    record(sorted(chosen, key=lambda trial: trial.seed), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
