"""The drop-ins compared with the original implementations, in value and gradient.

The originals are installed without their dependencies, and only the file with the loss is loaded."""
import importlib.metadata
import importlib.util
import json
import math
import sys
import types

import pytest
import torch
from conftest import ROOT

from asl_explainer.dropin import alibaba, paddle, timm, torch_ecg


def load(package, file, name):
    "Load one file of an installed package as a module with another name."
    path = importlib.metadata.distribution(package).locate_file(file)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def original_timm():
    return load("timm", "timm/loss/asymmetric_loss.py", "original_timm_loss")


def load_torch_ecg():
    "torch_ecg's losses, with a stub of the registry in which they register."
    for name in ["original_ecg", "original_ecg.models", "original_ecg.components"]:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = []
    registry = types.ModuleType("original_ecg.components.registry")
    registry.LOSSES = types.SimpleNamespace(register=lambda *args, **kwargs: lambda loss: loss)
    sys.modules[registry.__name__] = registry
    return load("torch_ecg", "torch_ecg/models/loss.py", "original_ecg.models.loss")


@pytest.fixture(scope="module")
def original_torch_ecg():
    return load_torch_ecg()


def batch(kind, dtype):
    generator = torch.Generator().manual_seed(7)
    logits = (torch.randn(40, 12, generator=generator, dtype=torch.float64) * 3).to(dtype)
    soft = torch.rand(40, 12, generator=generator, dtype=torch.float64)
    targets = {"binary": (soft < 0.1).to(dtype), "soft": soft.to(dtype), "smoothed": ((soft < 0.1) * 0.9 + 0.05).to(dtype)}[kind]
    return logits, targets


def assert_agree(ours, theirs, logits, targets, rtol, atol=0.0, rtol_of_largest=0.0):
    """Compare value and gradient of two losses; a loss per label is summed before its gradient is computed.

    `rtol_of_largest` is a tolerance relative to the largest number."""
    results = []
    for loss in [ours, theirs]:
        z = logits.clone().requires_grad_()
        value = loss(z, targets)
        results.append((value.detach(), torch.autograd.grad(value.sum(), z)[0]))
    for actual, expected in zip(*results):
        torch.testing.assert_close(actual, expected, rtol=rtol, atol=max(atol, rtol_of_largest * expected.abs().max().item()))


KINDS = ["binary", "soft", "smoothed"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"reduction": "sum"},
        {"reduction": "mean"},
        {"reduction": "none"},
        {"gamma_neg": 2, "gamma_pos": 0, "clip": None},
        {"gamma_neg": 0, "gamma_pos": 0, "clip": 0.2},
        {"gamma_neg": 2.5, "gamma_pos": 1.5, "clip": 0.3, "eps": 1e-3},
        {"disable_torch_grad_focal_loss": True},
        {"smoothing": 0.1},
        {"pos_weight": 3.0},
        {"weight": torch.linspace(0.5, 2, 12), "pos_weight": torch.linspace(1, 4, 12), "smoothing": 0.2},
    ],
    ids=str,
)
def test_timm_multi_label(original_timm, kind, settings):
    logits, targets = batch(kind, torch.float32)
    ours, theirs = timm.AsymmetricLossMultiLabel(**settings), original_timm.AsymmetricLossMultiLabel(**settings)
    assert_agree(ours, theirs, logits, targets, rtol=1e-5, rtol_of_largest=1e-5)  # in float32, small numbers computed by timm have fewer digits


@pytest.mark.parametrize("settings", [{}, {"gamma_pos": 0, "gamma_neg": 0, "eps": 0.0}, {"gamma_pos": 2, "gamma_neg": 1, "eps": 0.3}, {"reduction": "none"}], ids=str)
def test_timm_single_label(original_timm, settings):
    logits, _ = batch("binary", torch.float64)
    targets = torch.arange(40) % 12
    assert_agree(timm.AsymmetricLossSingleLabel(**settings), original_timm.AsymmetricLossSingleLabel(**settings), logits, targets, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("implementation", ["alibaba-miil", "deep-psp", "DeepPSP"])
@pytest.mark.parametrize("reduction", ["mean", "Sum", "none"])
@pytest.mark.parametrize("settings", [{}, {"gamma_neg": 2, "gamma_pos": 0, "prob_margin": 0.2}, {"prob_margin": 0.0}], ids=str)
def test_torch_ecg(original_torch_ecg, kind, implementation, reduction, settings):
    settings = {**settings, "implementation": implementation, "reduction": reduction}
    logits, targets = batch(kind, torch.float64)
    assert_agree(torch_ecg.AsymmetricLoss(**settings), original_torch_ecg.AsymmetricLoss(**settings), logits, targets, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_deep_psp_with_a_constant_weight(original_torch_ecg, kind):
    "With disable_torch_grad_focal_loss, torch_ecg drops the weight from the gradient; the drop-in keeps it as a constant."
    logits, targets = batch(kind, torch.float64)
    settings = {"implementation": "deep-psp", "reduction": "none"}
    constant = [module.AsymmetricLoss(**settings, disable_torch_grad_focal_loss=True) for module in (torch_ecg, original_torch_ecg)]
    unweighted = torch_ecg.AsymmetricLoss(**settings, gamma_neg=0, gamma_pos=0)
    z = logits.requires_grad_()
    values = [loss(z, targets) for loss in [*constant, unweighted]]
    torch.testing.assert_close(values[0], values[1], rtol=1e-10, atol=1e-12)
    ours, theirs, without_weight = (torch.autograd.grad(value.sum(), z)[0] for value in values)
    torch.testing.assert_close(theirs, without_weight, rtol=1e-10, atol=1e-12)
    if kind == "binary":
        p = logits.detach().sigmoid()
        weight = torch.where(targets == 1, 1 - p, p**4)
        torch.testing.assert_close(ours, weight * without_weight, rtol=1e-10, atol=1e-12)


def test_the_problems_of_the_originals_that_the_pages_name(original_timm, original_torch_ecg):
    def gradient(loss, z, y, dtype=torch.float32):
        z = torch.tensor([[z]], dtype=dtype, requires_grad=True)
        return torch.autograd.grad(loss(z, torch.tensor([[y]], dtype=dtype)), z)[0].item()

    def saved_tensors(loss):
        z, y, saved = torch.zeros(4, 3, requires_grad=True), torch.zeros(4, 3), {}
        with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.setdefault(x.data_ptr(), x), lambda x: x):
            loss(z, y)
        return sum(x.shape == z.shape for pointer, x in saved.items() if pointer not in (z.data_ptr(), y.data_ptr()))

    for original, tensors in [(original_timm.AsymmetricLossMultiLabel, 11), (original_torch_ecg.AsymmetricLoss, 10)]:
        assert math.isnan(gradient(original(gamma_neg=0.5), -6.0, 0.0))
        assert gradient(original(), -20.0, 1.0) == pytest.approx(-3.8e-8, abs=1e-10)
        assert saved_tensors(original()) == tensors
    ecg = original_torch_ecg.AsymmetricLoss
    assert all(math.isnan(gradient(ecg(), -20.0, y, torch.float16)) for y in [0.0, 1.0])
    used = ecg()
    used(torch.zeros(4, 3), torch.zeros(4, 3))
    assert sum(isinstance(value, torch.Tensor) for value in vars(used).values()) == 6
    without_weight = [ecg(implementation="deep-psp", disable_torch_grad_focal_loss=True), ecg(0, 0, implementation="deep-psp")]
    assert [gradient(loss, 2.0, 0.0) for loss in without_weight] == pytest.approx([0.62, 0.62], abs=1e-2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("constant", [False, True])
def test_alibaba_and_paddle(original_torch_ecg, kind, constant):
    "The original is torch_ecg's 'alibaba-miil': Alibaba's optimized class, which was ported to Paddle."
    logits, targets = batch(kind, torch.float64)
    theirs = original_torch_ecg.AsymmetricLoss(reduction="sum", disable_torch_grad_focal_loss=constant)
    for ours in [
        alibaba.AsymmetricLoss(disable_torch_grad_focal_loss=constant),
        alibaba.AsymmetricLossOptimized(disable_torch_grad_focal_loss=constant),
        paddle.AsymmetricLossOptimizedWithLogit(eps=1e-8, disable_paddle_grad_focal_loss=constant),
    ]:
        assert_agree(ours, theirs, logits, targets, rtol=1e-10, atol=1e-12)
    weights = torch.rand(40, 12, dtype=torch.float64)
    theirs.reduction = "none"
    weighted = paddle.AsymmetricLossOptimizedWithLogit(eps=1e-8, disable_paddle_grad_focal_loss=constant)
    assert_agree(lambda z, y: weighted(z, y, weights), lambda z, y: (theirs(z, y) * weights).sum(), logits, targets, rtol=1e-10, atol=1e-12)


PADDLE = json.loads((ROOT / "tests/loss/data/paddle.json").read_text())


@pytest.mark.parametrize("case", PADDLE["cases"], ids=lambda case: f"{case['dtype']} {case['kind']} {'weighted ' * case['weighted']}{case['settings']}")
def test_paddle(case):
    "Results that `paddle_vectors.py` recorded in PaddlePaddle; `make test-paddle` computes them again."
    dtype = getattr(torch, case["dtype"])
    z, y, weights = (torch.tensor(x, dtype=dtype) for x in [PADDLE["inputs"]["logits"], PADDLE["inputs"]["targets"][case["kind"]], PADDLE["inputs"]["weights"]])
    z.requires_grad_()
    value = paddle.AsymmetricLossOptimizedWithLogit(**case["settings"])(z, y, weights if case["weighted"] else None)
    precision = 1e-5 if dtype == torch.float32 else 1e-13  # in float32, Paddle's 1 - p has few digits for p near 1
    for ours, recorded in [(value, case["value"]), (torch.autograd.grad(value, z)[0], case["gradient"])]:
        theirs = torch.tensor(recorded, dtype=dtype)
        torch.testing.assert_close(ours, theirs, rtol=precision, atol=precision * theirs.abs().max().item())
