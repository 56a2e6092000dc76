"""Recording trials, interrupted and resumed, and the recorded results."""
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import product

import nbformat
import numpy as np
import pytest
from conftest import ROOT, started
from kernels import execute

from asl_explainer.course.trials import CANDIDATES, COMPARED, HIDDEN, LIMITS, RATES, SEEDS, TRIAL_SEEDS, Trial, choices, load_results, neighbors, scored_results

sys.path.insert(0, str(ROOT / "benchmarks"))
import experiments  # noqa: E402

RESULTS = ROOT / "nbs/learn/results"
PROGRAM = """
import sys
from asl_explainer.course.trials import Trial, record
if __name__ == "__main__":
    trials = [Trial("digits", "BCE", {"gamma_neg": 0}, 0.003, seed=seed, epochs=1) for seed in range(8)]
    record(trials, sys.argv[1], workers=2, progress=False)
"""


@pytest.mark.slow
def test_an_interrupted_program_continues_where_it_stopped(tmp_path):
    (program := tmp_path / "program.py").write_text(PROGRAM)
    results = tmp_path / "results.jsonl"
    with started([sys.executable, program, results], tmp_path, seconds=300) as running:
        while not (results.exists() and load_results(results)):
            assert running.poll() is None
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    interrupted = results.read_text().splitlines()
    assert 0 < len(interrupted) < 8

    subprocess.run([sys.executable, program, results], check=True, capture_output=True)
    resumed = results.read_text().splitlines()
    assert resumed[: len(interrupted)] == interrupted
    assert sorted(result["trial"]["seed"] for result in load_results(results)) == list(range(8))


CONDITIONS = [*(("packages", hidden) for hidden in HIDDEN), ("digits", 0.0), ("digits", 0.6)]


@pytest.mark.parametrize("task, hidden", CONDITIONS)
def test_the_recorded_experiments_follow_the_protocol(task, hidden):
    "Every loss was tried with the same rates and seeds, the choice is the best on validation and lies inside the rates, and ten other seeds were scored."
    results = load_results(RESULTS / f"{task}.jsonl")
    for loss in [*experiments.LOSSES[task], experiments.ADAPTIVE]:
        settings = [json.dumps(of_loss) for of_loss in CANDIDATES[loss].settings]
        tried = [result for result in results if "test" not in result and (result["trial"]["loss"], result["trial"]["hidden"]) == (loss, hidden)]
        of_setting = {(json.dumps(result["trial"]["settings"]), result["trial"]["learning_rate"]): set() for result in tried}
        for result in tried:
            of_setting[json.dumps(result["trial"]["settings"]), result["trial"]["learning_rate"]].add(result["trial"]["seed"])
        wanted = {(setting, rate) for setting, rate in of_setting if setting in settings}
        assert set(product(settings, RATES[task])) <= wanted and all(of_setting[key] == set(TRIAL_SEEDS) for key in wanted), loss
        for budget in ("short", "long"):
            scored = scored_results(results, loss, hidden, budget)
            means = choices([result for result in tried if json.dumps(result["trial"]["settings"]) in settings], budget)
            best = max(means, key=means.get)
            rates = [rate for setting, rate in wanted if setting == best[0]]
            assert min(rates) < best[1] < max(rates), (loss, budget)
            assert {(json.dumps(result["trial"]["settings"]), result["trial"]["learning_rate"]) for result in scored} == {best}, (loss, budget)
            assert [result["trial"]["seed"] for result in scored] == list(SEEDS), (loss, budget)


@pytest.mark.parametrize("task, hidden", experiments.CONDITIONS)
def test_the_losses_on_drawings_follow_the_protocol(task, hidden):
    "The choice is the best on validation, no value of it is the last that was tried, 20 other seeds are scored, and a training ends eight epochs after its best or at the cap."
    results = [result for result in load_results(RESULTS / "drawings.jsonl") if (result["trial"]["task"], result["trial"]["hidden"]) == (task, hidden)]
    for loss in experiments.ON_DRAWINGS:
        of_loss = [result for result in results if result["trial"]["loss"] == loss]
        tried = {}
        for result in of_loss:
            epochs, best = result["trial"]["epochs"], result["epochs"]["long"]
            assert result["ran"] == min(epochs, best + LIMITS[task].patience) and epochs in (5, 100)
            if "long" not in result:
                tried.setdefault((json.dumps(result["trial"]["settings"]), result["trial"]["learning_rate"]), []).append(result["trial"]["seed"])
        assert set(product(map(json.dumps, COMPARED[task][loss].settings), RATES[task])) <= set(tried), loss
        assert all(sorted(seeds) == list(TRIAL_SEEDS[: LIMITS[task].choosing]) for seeds in tried.values()), loss
        for budget in ("short", "long"):
            scored, means = scored_results(of_loss, loss, hidden, budget), choices(of_loss, budget)
            assert [result["trial"]["seed"] for result in scored] == list(range(20)), (loss, budget)
            ((settings, rate),) = {(json.dumps(result["trial"]["settings"]), result["trial"]["learning_rate"]) for result in scored}
            assert means[settings, rate] == max(means.values()), (loss, budget)
            beside = neighbors(Trial(task, loss, json.loads(settings), rate))
            assert {(json.dumps(other.settings), other.learning_rate) for other in beside} <= set(tried), (loss, budget)


RECORDED = ("packages", "digits", "drawings")


def test_the_results_are_small_and_nothing_is_recorded_twice():
    assert sum(path.stat().st_size for path in RESULTS.iterdir()) < 3 * 2**20
    assert (RESULTS / "drawings.jsonl").stat().st_size < 700_000
    for name in RECORDED:
        keys = [json.dumps([result["trial"], "long" in result]) for result in load_results(RESULTS / f"{name}.jsonl")]
        assert len(keys) == len(set(keys)), name


# What chapters record, and how far apart two trainings on different processors are, in the file's units.
CHAPTERS = {
    "api/recorded": {"batch.json": 0.3},
    "learn/playground": {"worlds.json": 5},
    "learn/pretrained": {"drawings_said.json": 0.3},
    "learn/tune_on_your_data": {"ladder.jsonl": 3},
    "learn/use_it": {"eight_samples.json": 1},
    "learn/which_loss": {"answers.json": 0.3},
    "learn/why_asymmetric": {"watched.json": 1},
}


def recorded_numbers(path):
    "The numbers of a recorded file; of trials their scores."
    text = path.read_text()
    if path.suffix == ".jsonl":
        results = sorted(load_results(path), key=lambda result: json.dumps(result["trial"]))
        text = json.dumps([[max(result["validation"]), result["long"]["macro"]] for result in results])
    return [float(number) for number in re.findall(r"-?\d+\.\d+", text)]


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_training_again_gives_what_a_chapter_recorded(tmp_path, chapter, monkeypatch):
    shutil.copytree(ROOT / "nbs", tmp_path / "nbs", ignore=shutil.ignore_patterns(".*"))
    results = tmp_path / "nbs/learn/results"
    for path in results.iterdir():
        if path.stem not in RECORDED:
            path.unlink()
    path = tmp_path / f"nbs/{chapter}.ipynb"
    execute(nbformat.read(path, as_version=4), path.parent, monkeypatch, allow_errors=True)
    for name, tolerance in CHAPTERS[chapter].items():
        again, before = (np.array(recorded_numbers(folder / name)) for folder in (results, RESULTS))
        apart = np.abs(again - before)
        assert len(before) > 10 and apart.mean() < tolerance / 5 and apart.max() < tolerance
