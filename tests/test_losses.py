"""What must hold for every input: the modules against the equation and against PyTorch's own losses."""
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from asl_explainer.losses import AsymmetricLossMultiLabel, AsymmetricLossSingleLabel, asymmetric_loss_reference

gammas = st.floats(0, 8)
clips = st.floats(0, 0.9)
logit_lists = st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=20)


def gradient(loss, logits):
    return torch.autograd.grad(loss.sum(), logits)[0]


@given(logit_lists, gammas, gammas, clips, st.sampled_from([0.0, 1e-8, 1e-5]), st.sampled_from([0.0, 0.5, 1.0]))
def test_loss_and_gradient_are_finite_and_the_loss_is_not_negative(values, gamma_neg, gamma_pos, clip, eps, target):
    logits = torch.tensor(values, requires_grad=True)
    loss = asymmetric_loss_reference(logits, torch.full_like(logits, target), gamma_neg, gamma_pos, clip, eps)
    assert loss.isfinite().all() and (loss >= 0).all()
    assert gradient(loss, logits).isfinite().all()


@given(logit_lists, gammas, gammas, clips)
def test_reductions_agree_with_the_equation(values, gamma_neg, gamma_pos, clip):
    logits = torch.tensor(values, dtype=torch.float64)
    targets = (torch.arange(len(values)) % 2).double()
    each = asymmetric_loss_reference(logits, targets, gamma_neg, gamma_pos, clip)
    for reduction, expected in {"none": each, "sum": each.sum(), "mean": each.mean()}.items():
        loss = AsymmetricLossMultiLabel(gamma_neg, gamma_pos, clip, reduction=reduction)(logits, targets)
        torch.testing.assert_close(loss, expected)


@given(logit_lists)
def test_binary_cross_entropy_is_the_limit(values):
    logits = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    targets = (torch.arange(len(values)) % 2).double()
    ours = asymmetric_loss_reference(logits, targets, gamma_neg=0, gamma_pos=0, clip=0, eps=0)
    theirs = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, logits), gradient(theirs, logits))


@given(st.floats(-8, 8), gammas, st.floats(0, 0.9))
def test_a_negative_inside_the_margin_costs_nothing(z, gamma_neg, clip):
    logits = torch.tensor([z], dtype=torch.float64, requires_grad=True)
    loss = asymmetric_loss_reference(logits, torch.zeros(1, dtype=torch.float64), gamma_neg, clip=clip)
    if logits.sigmoid().item() < clip:
        assert loss.item() == 0 and gradient(loss, logits).item() == 0


@given(st.integers(2, 12), gammas, gammas, st.floats(0, 0.9))
def test_single_label_is_cross_entropy_without_focusing_and_never_more(classes, gamma_pos, gamma_neg, eps):
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(6, classes, generator=generator, dtype=torch.float64) * 5
    targets = torch.randint(classes, (6,), generator=generator)
    cross_entropy = F.cross_entropy(logits, targets, label_smoothing=eps, reduction="none")
    torch.testing.assert_close(AsymmetricLossSingleLabel(0, 0, eps, reduction="none")(logits, targets), cross_entropy)
    focused = AsymmetricLossSingleLabel(gamma_pos, gamma_neg, eps, reduction="none")(logits, targets)
    assert (focused <= cross_entropy + 1e-12).all()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4, 5)])
def test_any_shape(shape):
    logits = torch.randn(shape)
    assert AsymmetricLossMultiLabel(reduction="none")(logits, torch.zeros(shape)).shape == shape


def test_importing_the_losses_loads_nothing_heavy_besides_torch():
    code = "import sys, asl_explainer.losses; print([m for m in ('matplotlib', 'ipywidgets', 'IPython', 'nbdev') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
