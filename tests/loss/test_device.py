"""The losses on a device of choice: `pytest tests/loss/test_device.py --torch-device cuda`. On a CPU, tensors without numbers stand in for it."""
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from asl_explainer.closed_form import _fused, _in_one_pass, by_equation
from asl_explainer.losses import AsymmetricLossMultiLabel, AsymmetricLossSingleLabel, check_targets
from asl_explainer.settings import Settings

SETTINGS = {
    "default": {},
    "recommended": {"gamma_pos": 0, "eps": 0, "reduction": "batchmean"},
    "ignored": {"ignore_index": (-1, -100), "reduction": "mean"},
    "per label": {"gamma_neg": [4.0, 2, 1, 0, 3], "clip": [0.0, 0.05, 0.1, 0.2, 0.4], "pos_weight": [1.0, 2, 3, 4, 5], "weight": [1.0, 0, 2, 1, 1]},
    "mixture": {"soft_targets": "mixture", "smoothing": 0.1},
    "of each label": {"reduction": "none"},
    "by the equation": {"shift_focus": False},
}


@pytest.fixture
def device(request):
    return torch.device(request.config.getoption("--torch-device"))


class NeverWaits(TorchDispatchMode):
    "Fails at an operation that hands a number of a tensor to Python."

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        assert operation not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default), operation
        return operation(*args, **(kwargs or {}))


def batch(kind="hard"):
    generator = torch.Generator().manual_seed(0)
    z, y = torch.randn(64, 5, generator=generator) * 4, torch.rand(64, 5, generator=generator)
    return z, y if kind == "soft" else (y < 0.2).float()


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_value_and_gradient_are_those_of_the_equation(device, settings, kind):
    z, y = batch(kind)
    on_device, exact = z.clone().to(device).requires_grad_(), z.double().requires_grad_()
    if "ignore_index" in settings:
        y[3], y[4] = -1, -100
    for logits, targets, loss in [(on_device, y.to(device), AsymmetricLossMultiLabel(**settings).to(device)), (exact, y, AsymmetricLossMultiLabel(**settings))]:
        loss(logits, targets).sum().backward()
    torch.testing.assert_close(on_device.grad.double().cpu(), exact.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_gpu_is_never_waited_for(device, settings):
    loss, z, y = AsymmetricLossMultiLabel(**settings), *batch()
    if device.type != "cuda":  # tensors without numbers stand in for the device
        with NeverWaits():
            loss.to("meta")(z.to("meta").requires_grad_(), y.to("meta")).sum().backward()
        return
    loss, z, y = loss.cuda(), z.cuda().requires_grad_(), y.cuda()
    loss(z, y).sum().backward()  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss(z, y).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_what_a_gpu_runs(device):
    z, y = (x.to(device) for x in batch("soft"))
    settings = Settings(gamma_pos=0, eps=0)
    for formula in {_fused(device.type), _fused("no such device")}:
        loss, slope = formula(z, y, settings)
        torch.testing.assert_close(loss.double(), by_equation(z.double(), y.double(), settings), rtol=1e-4, atol=1e-5)
        assert slope.device.type == device.type
    with check_targets(False):
        assert _in_one_pass(z, y * 3, settings, summed=True)[0].isfinite()  # clamped


def test_one_label_on_a_device(device):
    z, y = batch()[0].to(device).requires_grad_(), torch.arange(64, device=device) % 5
    AsymmetricLossSingleLabel(weight=torch.ones(5)).to(device)(z, y).backward()
    assert z.grad.device.type == device.type and z.grad.isfinite().all()
