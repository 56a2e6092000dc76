"""The script of "Decide on your data in an hour", run as a reader runs it: with two functions replaced."""
import ast
import re
import runpy

import pytest
import torch
from conftest import ROOT

from asl_explainer.cli import main

SCRIPT = (ROOT / "nbs/learn/recipes/decide.py").read_text()
SMALL = '''TASK = datasets.{task}()


def make_model():
    model = TASK.network()
    return model, model[-1]


def batches(part):
    inputs, targets = (x[:400] for x in getattr(TASK, part))
    for rows in torch.randperm(len(inputs)).split({size}):
        yield inputs[rows], targets[rows].{type}()


'''


def with_functions(functions, script=SCRIPT):
    "The script with other functions in place of `make_model` and `batches`."
    return script[: script.index("def make_model")] + functions + script[script.index("def run(") :]


def verdict(scores, guess=0.0):
    "The script's word on made-up scores: three of each loss, by rate."
    wanted = [node for node in ast.parse(SCRIPT).body if isinstance(node, ast.FunctionDef) and node.name == "verdict" or "LEAD" in ast.unparse(node).split(" = ")[0]]
    names = {}
    exec(compile(ast.Module(wanted, []), "decide.py", "exec"), names)
    table = {(name, rate): score for name, three in scores.items() for rate, score in zip(names["RATES"], three)}
    return names["verdict"](table, guess)


def scores(bce=(20, 22, 18), started=(27, 30, 25), asl=(25, 29, 26)):
    return {"BCE": bce, "BCE, started": started, "ASL, started": asl}


def test_the_script_is_short():
    lines = [line for line in SCRIPT.splitlines() if line.strip()]
    assert len(lines) <= 60 and max(map(len, lines)) <= 72


@pytest.mark.parametrize("task, size, type_", [("packages", 32, "float"), ("digits", 16, "long")])
def test_the_script_runs_on_other_data(tmp_path, monkeypatch, capsys, task, size, type_):
    path = tmp_path / "decide.py"
    path.write_text(with_functions(SMALL.format(task=task, size=size, type=type_)))
    monkeypatch.chdir(tmp_path)
    left = runpy.run_path(str(path))
    *rows, text, threshold, command = capsys.readouterr().out.splitlines()[1:]
    table = {key: score for key, (score, _, _) in left["runs"].items()}
    assert [(row[:12].strip(), f"{float(row[12:19]):g}") for row in rows] == [(name, f"{rate:g}") for name, rate in table]
    assert [float(row[19:25]) for row in rows] == pytest.approx(list(table.values()), abs=0.051)
    by_loss = {name: [table[name, rate] for rate in left["RATES"]] for name in left["LOSSES"]}
    assert (left["best"], text) == verdict(by_loss, left["targets"].mean())
    batch = torch.load("batch.pt")
    assert batch["logits"].shape == batch["targets"].shape and len(batch["targets"]) == 400
    predicted = (left["p"] >= float(threshold.split()[-1]) - 0.005).float()
    assert 0 < predicted.mean() < 0.5
    assert main(command.split()[1:]) == 0 and "share of the gradient" in capsys.readouterr().out


def test_the_biases_start_and_do_not_decay(tmp_path, monkeypatch):
    script = with_functions(SMALL.format(task="digits", size=16, type="float")).replace("lr=rate", "lr=1e-4").replace("0.003), 0.01,", "0.003), 1000,")
    script = script[: script.index("print(\"loss")] + "_, z, y = run('BCE, started', 0.01, BCE)\nmodel, _ = make_model()\n"
    path = tmp_path / "decide.py"
    path.write_text(script)
    monkeypatch.chdir(tmp_path)
    assert runpy.run_path(str(path))["z"].sigmoid().mean() < 0.15


@pytest.mark.parametrize("given, start", [
    (scores(), "Take BCE, started at 0.01. ASL minus BCE: -1.0"),
    (scores(asl=(25, 31, 26)), "Take BCE, started at 0.01. ASL minus BCE: +1.0"),
    (scores(asl=(25, 33, 26)), "Go on with ASL, started at 0.01. ASL minus BCE: +3.0"),
    (scores(asl=(33, 32, 26)), "Go on with ASL, started at 0.03."),  # only the loss that is behind has to be tried further
    (scores(asl=(25, 26, 29)), "Stop: ASL, started is best at an end"),
    (scores(started=(30, 25, 20), asl=(25, 33, 26)), "Stop: BCE, started is best at an end"),
    (scores((1, 1, 1), (1, 2, 1), (1, 2.5, 1)), "Stop: no run is much better than guessing"),
])
def test_the_verdict_follows_from_the_scores(given, start):
    best, text = verdict(given, 0.01)
    assert text.startswith(start)
    assert best[0] in re.sub("Stop: .*", best[0], text)
