"""Reports on batches of every kind, and what they refuse."""
import io
import json
import sys
import warnings

import numpy as np
import pytest
import torch

from asl_explainer import asymmetric_loss, diagnose
from asl_explainer.diagnose import calibrated, compare_settings, gradient_report, suggest_gamma_neg


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


UNKNOWN = torch.zeros(30, 7, dtype=torch.bool)
UNKNOWN[:, 4:] = True


@pytest.mark.parametrize("instead, options", [
    (0.0, {"ignore_mask": UNKNOWN}),
    (0.0, {"ignore_mask": UNKNOWN[0]}),  # broadcast
    (0.0, {"ignore_mask": UNKNOWN.numpy()}),
    (torch.nan, {"ignore_index": torch.nan}),
    (-1.0, {"ignore_index": [-1, float("nan")]}),
    (-1.0, {"ignore_index": np.float32(-1), "ignore_mask": UNKNOWN[:, :1]}),
])
@pytest.mark.parametrize("hidden", [0.0, torch.nan, -torch.inf])
def test_labels_are_left_out_by_mask_and_by_value(monkeypatch, instead, options, hidden):
    logits, targets = some_batch()
    expected = gradient_report(logits[:, :4], targets[:, :4])
    monkeypatch.setattr(diagnose, "_CHUNK", 50)
    found = gradient_report(logits.masked_fill(UNKNOWN, hidden), targets.masked_fill(UNKNOWN, instead), **options)
    torch.testing.assert_close(found.shares, expected.shares)
    torch.testing.assert_close(found.p, expected.p)
    assert (found.suspects, found.labels.tolist()) == (expected.suspects, expected.labels.tolist())


def test_several_marks():
    logits, targets = some_batch()
    marked = targets.masked_fill(UNKNOWN, torch.nan)
    marked[:5] = -1
    found = gradient_report(logits, marked, ignore_index=[float("nan"), -1])
    torch.testing.assert_close(found.gradient, gradient_report(logits[5:, :4], targets[5:, :4]).gradient)


@pytest.mark.parametrize("options, kind, message", [
    ({"ignore_mask": UNKNOWN[:, :3]}, ValueError, r"ignore_mask has shape \(30, 3\), .* \(30, 7\)"),
    ({"ignore_mask": UNKNOWN.float()}, TypeError, "ignore_mask is torch.float32, expected torch.bool"),
    ({"ignore_index": UNKNOWN}, TypeError, "a mask is given as ignore_mask"),
    ({"weight": torch.ones(6)}, ValueError, r"weight has shape \(6,\), .* \(30, 7\)"),
    ({"gamma_neg": -1}, ValueError, "gamma_neg is -1"),
    ({"reduction": "medium"}, ValueError, "reduction is 'medium'"),
])
def test_settings_and_marks_are_refused_as_the_loss_refuses_them(monkeypatch, options, kind, message):
    monkeypatch.setattr(diagnose, "_CHUNK", 50)
    for function in (gradient_report, asymmetric_loss):
        with pytest.raises(kind, match=message):
            function(*some_batch(), **options)


@pytest.mark.parametrize("shape", [(5, 6, 7), (2, 3, 5, 7), (30, 7), (210, 1)])
def test_leading_dimensions_count_as_samples(monkeypatch, shape):
    logits, targets = some_batch()
    weight, mask = torch.rand(30, 7), torch.rand(30, 7) < 0.2
    flat, options = [x.reshape(-1, shape[-1]) for x in (logits, targets)], {"gamma_neg": 2}
    expected = gradient_report(*flat, weight=weight.reshape(flat[0].shape), ignore_mask=mask.reshape(flat[0].shape), **options)
    monkeypatch.setattr(diagnose, "_CHUNK", 50)
    logits, targets, weight, mask = (x.view(shape) for x in (logits, targets, weight, mask))
    for given in [(logits, targets), (logits.numpy(), targets.numpy())]:
        found = gradient_report(*given, weight=weight, ignore_mask=mask, **options)
        torch.testing.assert_close(found.gradient, expected.gradient)
        assert found.suspects == expected.suspects
    by_sample = torch.rand(*shape[:-1], 1)
    expected = gradient_report(*flat, weight=by_sample.reshape(-1, 1))
    torch.testing.assert_close(gradient_report(logits, targets, weight=by_sample).gradient, expected.gradient)


def test_one_dimension_is_one_sample():
    logits, targets = (x[0] for x in some_batch())
    weight = torch.rand(7)
    found, expected = (gradient_report(*batch, per_class=True, weight=weight) for batch in [(logits, targets), (logits[None], targets[None])])
    assert found.labels.shape == (4, 7)
    assert torch.equal(found.gradient, expected.gradient)


def test_no_labels():
    for shape in [(0, 3), (3, 0), (0, 2, 3)]:
        report = gradient_report(torch.zeros(shape), torch.zeros(shape))
        assert (report.labels.tolist(), report.carriers, report.suspects) == ([0] * 4, 0, [])


@pytest.mark.parametrize("name, make", {
    "sparse": lambda x: x.to_sparse(),
    "meta": lambda x: x.to("meta"),
    "quantized": lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
    "list": lambda x: x.tolist(),
}.items())
@pytest.mark.filterwarnings("ignore:.*quantize")
def test_what_is_not_a_dense_tensor_is_refused_in_one_line(name, make):
    logits, targets = some_batch()
    for batch, which in [((make(logits), targets), "logits"), ((logits, make(targets)), "targets")]:
        with pytest.raises(TypeError, match=f"{which} are .*, expected a dense tensor|{which} are a list") as caught:
            gradient_report(*batch)
        assert "\n" not in str(caught.value)


def test_logits_that_are_not_numbers_in_floating_point_are_refused():
    logits, targets = some_batch()
    for wrong in [logits.long(), logits.long().numpy(), logits > 0, logits.to(torch.complex64)]:
        with pytest.raises(TypeError, match="logits are torch.*, expected floating point"):
            gradient_report(wrong, targets)
    with pytest.raises(ValueError, match=r"logits have shape \(\)"):
        gradient_report(logits[0, 0], targets[0, 0])
    with pytest.raises(ValueError, match=r"targets have shape \(29, 7\), expected the shape of logits, \(30, 7\)"):
        gradient_report(logits, targets[1:])
    logits[20, 3] = torch.inf
    with pytest.raises(ValueError, match="logits contain inf in row 20, class 3"):
        gradient_report(logits, targets)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_of_other_types(dtype):
    logits, targets = some_batch()
    logits = logits.to(dtype)
    expected = gradient_report(logits.float(), targets)
    torch.testing.assert_close(gradient_report(logits, targets.bool()).gradient, expected.gradient)
    if dtype == torch.float64:
        big_endian = logits.numpy().astype(">f8")
        torch.testing.assert_close(gradient_report(big_endian, targets).gradient, expected.gradient)


def test_names_of_classes():
    logits, targets = some_batch()
    names = ["cat", "dog", "horse", "sheep", "cow", "a very long name $x", "cat"]
    report = gradient_report(logits, targets, per_class=True, class_names=names)
    unnamed = gradient_report(logits, targets, per_class=True)
    table = repr(report).splitlines()[2:9]
    assert [line[:19].strip() for line in table] == names
    assert [line[19:] for line in table] == [line[5:] for line in repr(unnamed).splitlines()[2:9]]
    assert all(f"row {s.row} {names[s.column]} (p={s.p:.3f})" in repr(report) for s in report.suspects) and report.suspects
    assert f"row {report.suspects[0].row} class {report.suspects[0].column} (" in repr(unnamed)
    assert report.as_dict()["class_names"] == names and "class_names" not in unnamed.as_dict()
    labels = [label.get_text() for label in report.figure().axes[0].get_yticklabels()]
    assert labels == [name.replace("$", r"\$") for name in names]
    assert [label.get_text() for label in unnamed.figure().axes[0].get_yticklabels()] == [f"class {n}" for n in range(7)]


@pytest.mark.parametrize("names, kind", [(["a"] * 6, ValueError), ([], ValueError), ("seventh", TypeError)])
def test_a_wrong_number_of_names_is_refused(names, kind):
    with pytest.raises(kind, match="class_names"):
        gradient_report(*some_batch(), class_names=names)


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
    expected = gradient_report(logits, targets, weight=weight, gamma_neg=2.0, ignore_mask=mask)
    monkeypatch.setattr(diagnose, "_CHUNK", 50)
    found = gradient_report(logits.numpy(), targets.numpy(), weight=weight.numpy(), gamma_neg=np.float32(2), ignore_mask=mask.numpy())
    torch.testing.assert_close(found.gradient, expected.gradient)
    assert json.dumps(found.as_dict()) and repr(found)


def test_a_suggestion_checks_what_it_starts_from():
    batch = torch.tensor([[-1.0, -4.0]] * 4), torch.tensor([[1.0, 0.0]] * 4)
    assert suggest_gamma_neg(*batch, gamma_neg=12).gamma_neg == 12
    for wrong in [torch.nan, -3, torch.ones(2), "4"]:
        with pytest.raises((TypeError, ValueError), match="gamma_neg is "):
            suggest_gamma_neg(*batch, gamma_neg=wrong)


def batch_with_gap(gap):
    "Positives are predicted with p = 0.4, and negatives so that the gap of the mean p_t is as given."
    p = torch.tensor([[0.4, 0.6 - gap]] * 4, dtype=torch.float64)
    return p.logit(), torch.tensor([[1.0, 0.0]] * 4)


@pytest.mark.parametrize("gap, new, words", [
    (0.33, 4, "the gap is 0.33 and its target 0.1, but gamma_neg would change by only +0.23, so leave it at 4"),
    (0.1, 4, "the gap is 0.10 and its target 0.1, but gamma_neg would change by only +0.00, so leave it at 4"),
    (-0.1, 4, "the gap is -0.10 and its target 0.1, but gamma_neg would change by only -0.20, so leave it at 4"),
    (0.45, 4.35, "the gap is 0.45 and its target 0.1, so gamma_neg rises from 4 to 4.35"),
    (-0.35, 3.55, "the gap is -0.35 and its target 0.1, so gamma_neg falls from 4 to 3.55"),
])
def test_the_words_of_a_suggestion(gap, new, words):
    suggestion = suggest_gamma_neg(*batch_with_gap(gap), gamma_neg=torch.tensor(4.0))
    assert suggestion.gamma_neg == pytest.approx(new) and suggestion.reason.endswith(words) and "close" not in suggestion.reason


def test_a_suggestion_at_a_bound():
    for gap, bound in [(0.45, 8), (-0.35, 0)]:
        suggestion = suggest_gamma_neg(*batch_with_gap(gap), gamma_neg=bound)
        assert suggestion.gamma_neg == bound and suggestion.reason.endswith(f"but gamma_neg is at its bound, so leave it at {bound}")


def test_a_suggestion_leaves_labels_out():
    logits, targets = some_batch()
    expected = suggest_gamma_neg(logits[:, :4], targets[:, :4])
    assert suggest_gamma_neg(logits, targets, ignore_mask=UNKNOWN[0]) == expected
    assert suggest_gamma_neg(logits, targets.masked_fill(UNKNOWN, -1), ignore_index=[-1]) == expected


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
    with pytest.warns(UserWarning, match="as probabilities do; expected scores before the sigmoid") as caught:
        gradient_report(logits.sigmoid(), targets)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient_report(logits, targets), gradient_report(torch.zeros(2, 3), torch.zeros(2, 3))


class Stream(io.StringIO):
    "Collects what is written to stderr, which is a terminal or is not."

    terminal = True

    def isatty(self):
        return self.terminal


def test_progress_is_shown_on_a_terminal_above_10_million_labels(monkeypatch):
    assert diagnose._MANY == 10**7
    monkeypatch.setattr(diagnose, "_CHUNK", 50)

    def shown(terminal=True, **options):
        stream = Stream()
        stream.terminal = terminal
        with monkeypatch.context() as patch:
            patch.setattr("sys.stderr", stream)
            assert repr(gradient_report(*some_batch(), **options)) == repr(gradient_report(*some_batch()))
        return stream.getvalue()

    assert shown(progress=True) == ""  # 210 labels
    monkeypatch.setattr(diagnose, "_MANY", 209)
    assert "100%" in shown(progress=True)
    assert shown() == "" and shown(terminal=False, progress=True) == ""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert shown(progress=True) == ""


@pytest.mark.parametrize("p, expected", [(0.5, 0.036), (0.7, 0.263), (0.9, 0.758)])
def test_what_a_prediction_means_with_constant_weights(p, expected):
    found = calibrated(p, 4, 0, 0.05, disable_torch_grad_focal_loss=True).item()
    shifted = p - 0.05
    negative = shifted**4 * p * (1 - p) / (1 - shifted)  # the gradient of -shifted^4 log(1 - shifted) with shifted^4 held constant
    assert found == pytest.approx(negative / (negative + 1 - p), rel=1e-9) and found == pytest.approx(expected, abs=5e-4)
    assert calibrated(p, 4, 0, 0.05, False) == calibrated(p, 4, 0, 0.05) > found
