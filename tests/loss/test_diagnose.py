"""A report on 100 million labels in bounded memory, and files with code that must not be executed."""
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from asl_explainer.diagnose import main

COMMAND = Path(sys.executable).with_name("asl-explainer")


class Trap:
    "Creates a file when it is unpickled."

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".csv"])
def test_a_pickle_is_not_executed(tmp_path, capsys, suffix):
    created, file, valid = tmp_path / "created", tmp_path / f"logits{suffix}", tmp_path / "targets.npy"
    np.save(valid, np.zeros((2, 2)))
    if suffix == ".npy":
        np.save(file, np.array([[Trap(created)]], dtype=object), allow_pickle=True)
    elif suffix == ".pt":
        torch.save(Trap(created), file)
    else:
        file.write_bytes(pickle.dumps(Trap(created)))
    for arguments in [(file, valid), (valid, file)]:
        assert main(["diagnose", *map(str, arguments)]) == 1
        assert f"{file.name} does not hold plain numbers" in capsys.readouterr().err
    assert not created.exists()


@pytest.mark.slow
def test_the_command_reports_on_100_million_labels_within_2_gib(tmp_path):
    rows, classes = 10**5, 10**3
    logits = np.lib.format.open_memmap(tmp_path / "logits.npy", "w+", np.float32, (rows, classes))
    targets = np.lib.format.open_memmap(tmp_path / "targets.npy", "w+", np.uint8, (rows, classes))
    block = np.random.default_rng(0).normal(-3, 1.5, (1000, classes)).astype(np.float32)
    for start in range(0, rows, 1000):
        logits[start : start + 1000] = block
        targets[start : start + 1000, :30] = 1
    logits[77_777, 777] = 20  # the label that the model contradicts most
    logits.flush(), targets.flush()
    del logits, targets

    code = "import resource, sys; from asl_explainer.diagnose import main; main(); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    arguments = ["diagnose", tmp_path / "logits.npy", tmp_path / "targets.npy", "--json"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    kibibytes = int(done.stderr.split()[-1]) / (1024 if sys.platform == "darwin" else 1)
    report = json.loads(done.stdout)["report"]
    assert kibibytes < 2 * 2**20
    assert sum(group["labels"] for group in report["groups"].values()) == rows * classes
    assert report["groups"]["positives"]["labels"] == rows * 30
    assert report["suspects"][0]["row"] == 77_777 and report["suspects"][0]["column"] == 777


def test_the_command_is_installed(tmp_path):
    np.save(tmp_path / "logits.npy", np.zeros((2, 3), np.float32))
    np.save(tmp_path / "targets.npy", np.eye(2, 3))
    done = subprocess.run([COMMAND, "diagnose", tmp_path / "logits.npy", tmp_path / "targets.npy"], capture_output=True, text=True)
    assert done.returncode == 0 and "gradient of 6 labels" in done.stdout
