"""A report on 100 million labels in bounded memory, and files with code that must not be executed."""
import json
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

from asl_explainer import diagnose
from asl_explainer.diagnose import compare_settings, gradient_report, main, suggest_gamma_neg

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


def some_batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(30, 7, generator=generator) * 3, (torch.rand(30, 7, generator=generator) < 0.3).float()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_report_where_gradients_are_off(context):
    expected = gradient_report(*some_batch()).as_dict(), compare_settings(*some_batch()).as_dict(), suggest_gamma_neg(*some_batch())
    with context():
        batch = some_batch()
        assert (gradient_report(*batch).as_dict(), compare_settings(*batch).as_dict(), suggest_gamma_neg(*batch)) == expected
        assert not torch.is_grad_enabled() and torch.is_inference_mode_enabled() == (context is torch.inference_mode)


def test_labels_are_left_out_by_mask_and_by_nan():
    logits, targets = some_batch()
    left_out = torch.zeros(30, 7, dtype=torch.bool)
    left_out[:, 4:] = True
    expected = gradient_report(logits[:, :4], targets[:, :4])
    for found in [gradient_report(logits, targets, ignore_index=left_out), gradient_report(logits, targets.masked_fill(left_out, torch.nan), ignore_index=torch.nan)]:
        torch.testing.assert_close(found.shares, expected.shares)
        assert found.suspects == expected.suspects
    with pytest.raises(ValueError, match="the mask of labels to ignore has shape"):
        gradient_report(logits, targets, ignore_index=left_out[0])


def test_settings_with_a_row_for_each_sample(monkeypatch):
    logits, targets = some_batch()
    settings = {"weight": torch.rand(30, 7), "pos_weight": torch.rand(30, 1), "gamma_neg": torch.rand(7)}
    expected = gradient_report(logits, targets, **settings)
    monkeypatch.setattr(diagnose, "_CHUNK", 50)
    torch.testing.assert_close(gradient_report(logits, targets, **settings).gradient, expected.gradient)


@pytest.mark.parametrize("reduction", ["mean", "batchmean", "none"])
def test_shares_depend_on_no_reduction(monkeypatch, reduction):
    expected = gradient_report(*some_batch()).gradient
    monkeypatch.setattr(diagnose, "_CHUNK", 50)
    torch.testing.assert_close(gradient_report(*some_batch(), reduction=reduction).gradient, expected)


def test_settings_and_masks_of_numpy(monkeypatch):
    logits, targets = some_batch()
    weight, mask = torch.rand(30, 7), torch.rand(30, 7) < 0.2
    expected = gradient_report(logits, targets, weight=weight, gamma_neg=2.0, ignore_index=mask)
    monkeypatch.setattr(diagnose, "_CHUNK", 50)
    found = gradient_report(logits.numpy(), targets.numpy(), weight=weight.numpy(), gamma_neg=np.float32(2), ignore_index=mask.numpy())
    torch.testing.assert_close(found.gradient, expected.gradient)
    assert json.dumps(found.as_dict()) and repr(found)


def test_a_suggestion_checks_what_it_starts_from():
    batch = torch.tensor([[-1.0, -4.0]] * 4), torch.tensor([[1.0, 0.0]] * 4)
    assert suggest_gamma_neg(*batch, gamma_neg=12).gamma_neg == 12
    for wrong in [torch.nan, -3, torch.ones(2), "4"]:
        with pytest.raises((TypeError, ValueError), match="gamma_neg is "):
            suggest_gamma_neg(*batch, gamma_neg=wrong)


@pytest.mark.parametrize("name, content", [("x.npz", b"PK\x03\x04garbage"), ("x.pt", b""), ("x.pt", b"hello world"), ("x.csv", b""), ("x.parquet", b"PAR1")])
def test_a_broken_file_is_named_in_one_line(tmp_path, capsys, name, content):
    (tmp_path / name).write_bytes(content)
    assert main(["diagnose", str(tmp_path / name), str(tmp_path / name)]) == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and name in errors


@pytest.mark.parametrize("start", ["0,1,2\n", '"a","b","c"\n', "e,nan,inf\n", "\ufeff", ""])
def test_a_csv_file_with_any_header(tmp_path, start):
    (tmp_path / "x.csv").write_text(start + "1.5,-2,0\n0,1,1\n", encoding="utf-8")
    assert diagnose.load_numbers(tmp_path / "x.csv").tolist() == [[1.5, -2, 0], [0, 1, 1]]


def test_a_negative_number_of_suspects_is_refused():
    with pytest.raises(ValueError, match="suspects is -1"):
        gradient_report(*some_batch(), suspects=-1)


def test_the_suspects_are_the_most_contradicted_labels_of_each_kind(monkeypatch):
    logits, targets = some_batch()
    monkeypatch.setattr(diagnose, "_CHUNK", 50)
    suspects = gradient_report(logits, targets, suspects=5).suspects
    assert [s.target for s in suspects] == [0] * 5 + [1] * 5
    p = logits.sigmoid()
    assert [s.p for s in suspects] == p[targets == 0].sort(descending=True).values[:5].tolist() + p[targets == 1].sort().values[:5].tolist()
    assert all(p[s.row, s.column].item() == s.p for s in suspects)
    assert gradient_report(-10 * (1 - 2 * targets), targets).suspects == []  # a model that is right about everything


def test_probabilities_in_place_of_logits_draw_a_warning():
    logits, targets = some_batch()
    with pytest.warns(UserWarning, match="as probabilities do; expected scores before the sigmoid"):
        gradient_report(logits.sigmoid(), targets)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient_report(logits, targets), gradient_report(torch.zeros(2, 3), torch.zeros(2, 3))


def test_the_command_reads_parquet(tmp_path, capsys):
    logits, targets = (x.numpy() for x in some_batch())
    for name, array in {"logits": logits, "targets": targets.astype(np.int8)}.items():
        np.save(tmp_path / f"{name}.npy", array)
        pyarrow.parquet.write_table(pyarrow.table({f"class {n}": column for n, column in enumerate(array.T)}), tmp_path / f"{name}.parquet")
    outputs = []
    for suffix in ["npy", "parquet"]:
        assert main(["diagnose", str(tmp_path / f"logits.{suffix}"), str(tmp_path / f"targets.{suffix}"), "--json"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    pyarrow.parquet.write_table(pyarrow.table({"name": ["a", "b"]}), tmp_path / "words.parquet")
    assert main(["diagnose", str(tmp_path / "words.parquet"), str(tmp_path / "targets.npy")]) == 1
    assert "words.parquet does not hold plain numbers" in capsys.readouterr().err


def test_the_command_survives_a_closed_pipe(tmp_path):
    logits, targets = (x.numpy() for x in some_batch())
    np.save(tmp_path / "logits.npy", np.tile(logits, (100, 1))), np.save(tmp_path / "targets.npy", np.tile(targets, (100, 1)))
    command = f"set -o pipefail; {COMMAND} diagnose logits.npy targets.npy --json --suspects 2000 | head -n 1"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_the_command_is_installed(tmp_path):
    np.save(tmp_path / "logits.npy", np.zeros((2, 3), np.float32))
    np.save(tmp_path / "targets.npy", np.eye(2, 3))
    done = subprocess.run([COMMAND, "diagnose", tmp_path / "logits.npy", tmp_path / "targets.npy"], capture_output=True, text=True)
    assert done.returncode == 0 and "gradient of 6 labels" in done.stdout
