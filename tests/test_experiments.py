"""The experiments' own code, short: the same runs with one epoch of a few pictures."""
import importlib.util
import json
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, started

from asl_explainer.course.lab import BUDGETS, LOSSES, MISSING, load_results

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


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    (program := tmp_path / "program.py").write_text(PROGRAM)
    results = tmp_path / "results"
    with started([sys.executable, program, results, "2"], tmp_path, seconds=300) as running:
        while not (results.exists() and recorded(results)):
            assert running.poll() is None
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    kept = {path.name: path.read_text() for path in results.glob("*.json")}
    before = recorded(results)
    assert 0 < before < 90

    subprocess.run([sys.executable, program, results, "1"], check=True, capture_output=True)
    assert sorted(path.name for path in results.glob("*.json")) == ["adaptive.json", "comparison.json", "sweeps.json"]
    assert recorded(results) > before
    after = {json.dumps(result) for path in results.glob("*.json") for result in load_results(path)}
    for name in kept:
        assert all(json.dumps(result) in after for result in json.loads(kept[name])["runs"])


def test_the_recorded_experiments_are_the_protocol(experiments):
    """Each loss had the same rates, trial seeds and seeds, as the pages say."""
    results = load_results(experiments.RESULTS / "comparison.json")
    cells = {}
    for result in results:
        run = dict(result["run"])
        trial = (run.pop("learning_rate"), run.pop("seed"))
        cells.setdefault(json.dumps(run), []).append(trial)
    assert len(cells) == len(LOSSES) * len(MISSING) * len(BUDGETS)
    for trials in cells.values():
        assert len(trials) == 4 * 2 + 5
        assert sorted(seed for _, seed in trials if seed < 100) == [0, 1, 2, 3, 4]
        assert len({rate for rate, seed in trials if seed < 100}) == 1
