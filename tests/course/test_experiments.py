"""Recording trials, interrupted and resumed, and the recorded results."""
import json
import signal
import subprocess
import sys
import time
from itertools import product

import pytest
from conftest import ROOT, started

from asl_explainer.course.lab import BUDGETS, LOSSES, MISSING, RATES, SEEDS, TRIAL_SEEDS
from asl_explainer.course.lab import load_results as load_old_results
from asl_explainer.course.trials import load_results

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


def test_the_recorded_experiments_follow_the_protocol():
    "Each loss had the same rates, trial seeds and seeds, as the pages say."
    results = load_old_results(RESULTS / "comparison.json")
    runs_of_setting = {}
    for result in results:
        setting = dict(result["run"])
        run = setting.pop("learning_rate"), setting.pop("seed")
        runs_of_setting.setdefault(json.dumps(setting), set()).add(run)
    assert len(runs_of_setting) == len(LOSSES) * len(MISSING) * len(BUDGETS)
    for runs in runs_of_setting.values():
        trials = {(rate, seed) for rate, seed in runs if seed in TRIAL_SEEDS}
        assert trials == set(product(RATES, TRIAL_SEEDS))
        assert sorted(seed for _, seed in runs - trials) == list(SEEDS)
        assert len({rate for rate, _ in runs - trials}) == 1
