"""The program of the experiments, shortened to one epoch on a few pictures, and its recorded results."""
import importlib.util
import json
import signal
import subprocess
import sys
import time
from itertools import product

import pytest
from conftest import ROOT, started

from asl_explainer.course.lab import BUDGETS, LOSSES, MISSING, RATES, SEEDS, TRIAL_SEEDS, load_results

SHORT = "main(Path(sys.argv[1]), short=dict(epochs=1, size=64), rates=(1e-3,), trial_seeds=(100,), seeds=(0,), workers=int(sys.argv[2]), progress=False)"
PROGRAM = f"import sys; from pathlib import Path; sys.path.insert(0, {str(ROOT / 'benchmarks')!r}); from experiments import main\nif __name__ == '__main__': {SHORT}"


@pytest.fixture(scope="module")
def experiments():
    spec = importlib.util.spec_from_file_location("experiments", ROOT / "benchmarks/experiments.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorded(folder):
    return sum(len(load_results(path)) for path in folder.glob("*.json"))


@pytest.mark.slow
def test_an_interrupted_program_continues_where_it_stopped(tmp_path):
    (program := tmp_path / "program.py").write_text(PROGRAM)
    results = tmp_path / "results"
    with started([sys.executable, program, results, "2"], tmp_path, seconds=300) as running:
        while not (results.exists() and recorded(results)):
            assert running.poll() is None
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    interrupted = {path.name: path.read_text() for path in results.glob("*.json")}
    before = recorded(results)
    assert 0 < before < 90

    subprocess.run([sys.executable, program, results, "1"], check=True, capture_output=True)
    assert sorted(path.name for path in results.glob("*.json")) == ["adaptive.json", "comparison.json", "sweeps.json"]
    assert recorded(results) > before
    after = {json.dumps(result) for path in results.glob("*.json") for result in load_results(path)}
    for text in interrupted.values():
        assert all(json.dumps(result) in after for result in json.loads(text)["runs"])


def test_the_recorded_experiments_follow_the_protocol(experiments):
    "Each loss had the same rates, trial seeds and seeds, as the pages say."
    results = load_results(experiments.RESULTS / "comparison.json")
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
