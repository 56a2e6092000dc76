"""The loss at any input: against the equation, PyTorch's own losses and exact arithmetic, and under autograd, torch.func, torch.compile and DDP."""
import copy
import dataclasses
import functools
import inspect
import pickle
import subprocess
import sys

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from ranks import in_processes
from functorch.compile import aot_function, make_boxed_func
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.torch_version import TorchVersion

from asl_explainer import closed_form
from asl_explainer.equation import asymmetric_loss_reference
from asl_explainer.losses import AsymmetricLossMultiLabel, AsymmetricLossSingleLabel, asymmetric_loss, check_targets
from asl_explainer.settings import Settings

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
        loss = AsymmetricLossMultiLabel(gamma_neg, gamma_pos, clip=clip, reduction=reduction)(logits, targets)
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


@given(logit_lists, gammas, gammas, clips, st.sampled_from([0.0, 1e-8, 0.1]), st.booleans(), st.sampled_from(["blend", "mixture"]), st.sampled_from([None, 3.0]), st.integers(0, 2))
def test_both_formulas_equal_the_equation(values, gamma_neg, gamma_pos, clip, eps, constant, soft_targets, pos_weight, kind):
    logits = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    n = torch.arange(len(values))
    targets = [(n % 2).double(), (n % 5 == 4).double(), (n % 4).double() / 3][kind]
    settings = Settings(gamma_neg, gamma_pos, clip, eps, constant, soft_targets=soft_targets, pos_weight=pos_weight)
    plain = closed_form.by_equation(logits, targets, settings)
    # At the edge of the margin or of the floor either slope is right.
    p = logits.detach().sigmoid()
    off_edge = ((p - clip).abs() > 1e-6) & ((p - eps).abs() > 1e-6 * eps) & ((1 - (p - clip).clamp(min=0) - eps).abs() > 1e-6 * eps)
    for formula in [closed_form.any_targets] + [closed_form.hard_targets] * (kind < 2):
        loss, slope = formula(logits.detach(), targets, settings)
        torch.testing.assert_close(loss, plain.detach(), rtol=1e-7, atol=1e-10)
        torch.testing.assert_close(slope[off_edge], gradient(closed_form.by_equation(logits, targets, settings), logits)[off_edge], rtol=1e-6, atol=1e-9)


@given(logit_lists, gammas, gammas, clips, st.sampled_from([0.0, 1e-8, 0.1]), st.booleans(), st.booleans(), st.sampled_from(["blend", "mixture"]), st.integers(0, 2))
def test_function_equals_the_equation(values, gamma_neg, gamma_pos, clip, eps, constant, shift_focus, soft_targets, kind):
    n = torch.arange(len(values))
    targets = [(n % 2).double(), (n % 5 == 4).double(), (n % 4).double() / 3][kind]
    settings = {"gamma_neg": gamma_neg, "gamma_pos": gamma_pos, "clip": clip, "eps": eps, "disable_torch_grad_focal_loss": constant, "shift_focus": shift_focus, "soft_targets": soft_targets}
    for dtype, tolerances in {torch.float64: {"rtol": 1e-7, "atol": 1e-10}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}.items():
        logits = torch.tensor(values, dtype=dtype)
        loss = asymmetric_loss(logits, targets, **settings, reduction="none")
        torch.testing.assert_close(loss, asymmetric_loss_reference(logits, targets.to(dtype), **settings), **tolerances)


@pytest.mark.parametrize("settings", [{}, {"eps": 0}, {"gamma_pos": 0}, {"gamma_neg": 2.5, "gamma_pos": 2, "clip": 0, "eps": 0}], ids=str)
def test_single_precision_has_the_digits_of_the_equation(settings):
    generator = torch.Generator().manual_seed(0)
    logits = torch.cat([torch.randn(5_000, generator=generator) * 4, torch.linspace(-110, 110, 221)]).requires_grad_()
    for targets in [(torch.rand(len(logits), generator=generator) < 0.3).float(), torch.rand(len(logits), generator=generator)]:
        loss = asymmetric_loss(logits, targets, **settings, reduction="none")
        plain = asymmetric_loss_reference(logits, targets, **settings)
        torch.testing.assert_close(loss, plain, rtol=2e-5, atol=2e-7)
        torch.testing.assert_close(gradient(loss, logits), gradient(plain, logits), rtol=2e-5, atol=2e-6)


def test_a_setting_lives_in_four_places():
    "The equation, the dataclass, the closed form (tested above with every setting) and the losses, as module and as function."
    formula = set(inspect.signature(asymmetric_loss_reference).parameters) - {"logits", "targets"}
    fields = {field.name: field.default for field in dataclasses.fields(Settings)}
    assert formula == set(closed_form.FORMULA) <= set(fields)
    module, function = (inspect.signature(x).parameters for x in (AsymmetricLossMultiLabel, asymmetric_loss))
    assert tuple(module) == tuple(fields) == tuple(name for name in function if name not in ("logits", "targets", "ignore_mask"))
    for name, default in fields.items():
        assert module[name].default == function[name].default == default == getattr(AsymmetricLossMultiLabel(), name)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (0, 3), (4, 1), (2, 3, 4, 5)])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "batchmean"])
def test_any_shape(shape, reduction):
    logits = torch.randn(shape, requires_grad=True)
    loss = AsymmetricLossMultiLabel(reduction=reduction)(logits, torch.zeros(shape))
    assert loss.shape == (shape if reduction == "none" else ()) and loss.isfinite().all()
    assert gradient(loss, logits).shape == shape


@pytest.mark.parametrize("settings", [{}, {"eps": 0}, {"gamma_neg": torch.linspace(0, 4, 100), "clip": torch.linspace(0, 0.3, 100), "pos_weight": torch.linspace(1, 3, 100)}], ids=["default", "exact", "per class"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_several_blocks_are_as_good_as_one(monkeypatch, settings, dtype):
    logits, targets = torch.randn(7, 100, dtype=dtype, requires_grad=True), (torch.rand(7, 100) < 0.1).to(dtype)
    targets[3:5] *= 0.7  # some blocks are soft, some are not
    at_once = asymmetric_loss(logits, targets, **settings)
    slope = gradient(at_once, logits)
    monkeypatch.setattr(closed_form, "_LABELS_PER_THREAD", 64)
    for reduction in ["sum", "none"]:
        loss = asymmetric_loss(logits, targets, **settings, reduction=reduction)
        torch.testing.assert_close(loss.sum(), at_once)
        torch.testing.assert_close(gradient(loss, logits), slope)
    targets[6, 99] = 1.5
    with pytest.raises(ValueError, match=r"targets contain 1\.5"):
        asymmetric_loss(logits, targets, **settings)


@pytest.mark.parametrize("gamma_pos", [0, 1, 2, 3, 4, 5, 0.5])
@pytest.mark.parametrize("constant", [False, True])
def test_small_whole_exponents_equal_the_equation(gamma_pos, constant):
    logits, targets = (x.detach().float() for x in some_batch())
    logits.requires_grad_()
    for gamma_neg in [0, 1, 2, 3, 4, 5, 8, 2.5]:
        settings = {"gamma_neg": gamma_neg, "gamma_pos": gamma_pos, "disable_torch_grad_focal_loss": constant}
        fast, plain = asymmetric_loss(logits, targets, **settings, pos_weight=3, reduction="none"), asymmetric_loss_reference(logits, targets, **settings, pos_weight=3)
        torch.testing.assert_close(fast, plain)
        torch.testing.assert_close(gradient(fast, logits), gradient(plain, logits))


# -- numbers


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("target", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("clip", [0, 0.05, 0.5, 0.95])
def test_extreme_logits_give_finite_losses_and_gradients(dtype, target, clip):
    largest = torch.finfo(dtype).max if dtype == torch.float32 else 60_000.0
    logits = torch.tensor([-largest, -1000, -100, -30, -1, 0, 1, 30, 100, 1000, largest], dtype=dtype, requires_grad=True)
    for gamma in [0, 0.1, 0.5, 1, 1.5, 4, 20]:
        for eps in [0, 1e-8]:
            for shift_focus in [True, False]:
                loss = asymmetric_loss(logits, torch.full_like(logits, target), gamma_neg=gamma, gamma_pos=gamma, clip=clip, eps=eps, shift_focus=shift_focus, reduction="none")
                assert loss.isfinite().all() and gradient(loss, logits).isfinite().all(), (gamma, eps, shift_focus)


@pytest.mark.parametrize("clip", [0, 0.05, torch.tensor([0, 0, 0.05, 0.05])], ids=["no margin", "margin", "per label"])
@pytest.mark.parametrize("eps", [0, 1e-8])
@pytest.mark.parametrize("shift_focus", [True, False])
def test_labels_that_are_ruled_out_by_infinity_cost_nothing(clip, eps, shift_focus):
    logits = torch.tensor([-torch.inf, torch.inf, -torch.inf, torch.inf], requires_grad=True)
    loss = asymmetric_loss(logits, torch.tensor([0, 1, 0, 1]), clip=clip, eps=eps, shift_focus=shift_focus, reduction="none")
    assert loss.tolist() == [0] * 4 and gradient(loss, logits).tolist() == [0] * 4


def exactly(z, y, gamma_neg, gamma_pos, clip):
    "Value and slope of one label's loss in fifty digits."
    with mpmath.workdps(50):

        def loss(z):
            p = 1 / (1 + mpmath.exp(-z))
            p_m = max(p - mpmath.mpf(clip), mpmath.mpf(0))
            return -((1 - p) ** gamma_pos * mpmath.log(p)) if y else -(p_m**gamma_neg * mpmath.log(1 - p_m))

        z = mpmath.mpf(z)
        return float(loss(z)), float(mpmath.diff(loss, z, h=mpmath.mpf(10) ** -20))


@pytest.mark.parametrize("gamma_neg, gamma_pos, clip", [(0, 0, 0), (4, 1, 0), (4, 1, 0.05), (2, 0.5, 0.2), (0.5, 2, 0.4)])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_without_a_floor_the_loss_is_exact(gamma_neg, gamma_pos, clip, y):
    logits = torch.linspace(-100, 100, 81, dtype=torch.float64, requires_grad=True)
    loss = asymmetric_loss(logits, torch.full_like(logits, y), gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip, eps=0, reduction="none")
    exact = torch.tensor([exactly(z, y, gamma_neg, gamma_pos, clip) for z in logits.tolist()], dtype=torch.float64)
    torch.testing.assert_close(loss, exact[:, 0], rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient(loss, logits), exact[:, 1], rtol=1e-6, atol=0)


# -- autograd, torch.func, torch.compile, DDP

SETTINGS = [{}, {"gamma_neg": 2, "gamma_pos": 2, "clip": 0, "eps": 0}, {"gamma_neg": 1.5, "shift_focus": False}, {"reduction": "none", "pos_weight": 3.0}]


def some_batch(soft=False):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(6, 5, dtype=torch.float64, generator=generator) * 2
    targets = torch.rand(6, 5, dtype=torch.float64, generator=generator)
    return logits.requires_grad_(), targets if soft else (targets < 0.2).double()


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("soft", [False, True])
def test_first_and_second_derivatives(settings, soft):
    logits, targets = some_batch(soft)
    assert torch.autograd.gradcheck(lambda z: asymmetric_loss(z, targets, **settings), logits)
    assert torch.autograd.gradgradcheck(lambda z: asymmetric_loss(z, targets, **settings), logits)


def test_derivatives_in_targets_and_in_settings_that_ask_for_them():
    logits, targets = some_batch(soft=True)
    gamma = torch.tensor([4.0, 1.5, 2.0, 3.0, 0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, y, g: asymmetric_loss(z, y, gamma_neg=g), (logits, targets.requires_grad_(), gamma))


TRANSFORMS = {
    "grad": lambda loss, z, y: torch.func.grad(loss)(z, y),
    "vmap": lambda loss, z, y: torch.func.vmap(loss)(z, y),
    "vmap over classes": lambda loss, z, y: torch.func.vmap(loss, in_dims=(1, 1))(z, y),
    "vmap over logits": lambda loss, z, y: torch.func.vmap(loss, in_dims=(0, None))(z, y[0]),
    "gradient of each sample": lambda loss, z, y: torch.func.vmap(torch.func.grad(loss))(z, y),
    "jvp": lambda loss, z, y: torch.func.jvp(lambda z: loss(z, y), (z,), (torch.ones_like(z),)),
    "jacfwd": lambda loss, z, y: torch.func.jacfwd(loss)(z, y),
    "hessian": lambda loss, z, y: torch.func.hessian(loss)(z, y),
    "jacfwd twice": lambda loss, z, y: torch.func.jacfwd(torch.func.jacfwd(loss))(z, y),
    "vectorized jacobian": lambda loss, z, y: torch.autograd.functional.jacobian(lambda z: loss(z, y), z, vectorize=True),
    "dual numbers": lambda loss, z, y: forward_mode(lambda z: loss(z, y), z),
}


def forward_mode(function, z):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(function(forward_ad.make_dual(z.requires_grad_(), torch.ones_like(z)))).tangent


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_functional_transforms(transform, smoothing):
    logits, targets = some_batch()
    expected = TRANSFORMS[transform](lambda z, y: asymmetric_loss_reference(z, y * (1 - smoothing) + smoothing / 2).sum(), logits.detach(), targets)
    found = TRANSFORMS[transform](functools.partial(asymmetric_loss, smoothing=smoothing), logits.detach(), targets)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("transform", ["grad", "vmap", "gradient of each sample", "jvp"])
def test_compiled_transforms(compiled, transform):
    logits, targets = (x.detach() for x in some_batch())
    function = functools.partial(TRANSFORMS[transform], asymmetric_loss)
    torch.testing.assert_close(compiled(function)(logits, targets), function(logits, targets))


@pytest.fixture
def compiled():
    "torch.compile with an empty cache: it compiles a function at most eight times."
    torch._dynamo.reset()
    return functools.partial(torch.compile, fullgraph=True)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("settings", [{}, {"gamma_neg": torch.linspace(0, 4, 5), "clip": torch.linspace(0, 0.4, 5), "pos_weight": 2.0, "reduction": "mean"}], ids=["default", "per class"])
def test_compiled_forward_and_backward_are_the_eager_ones(compiled, soft, settings):
    logits, targets = (x.detach().float() for x in some_batch(soft))
    module = AsymmetricLossMultiLabel(**settings)
    results = []
    for loss in [module, compiled(module)]:
        z = logits.clone().requires_grad_()
        value = loss(z, targets)
        results.append((value.detach(), gradient(value, z)))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("settings", [{}, {"reduction": "none", "weight": torch.ones(5)}, {"ignore_index": 0, "reduction": "mean"}], ids=["default", "weight", "ignored"])
def test_compiled_where_no_gradient_is_wanted(compiled, settings):
    logits, targets = (x.detach().float() for x in some_batch())
    module = AsymmetricLossMultiLabel(**settings)
    expected = module(logits, targets)
    loss = compiled(module)
    torch.testing.assert_close(loss(logits, targets), expected)
    with torch.no_grad():
        torch.testing.assert_close(loss(logits.clone().requires_grad_(), targets), expected)


@pytest.mark.parametrize("settings", [{}, {"eps": 0}, {"gamma_neg": 0, "gamma_pos": 0, "clip": 0}, {"gamma_neg": 0.5, "gamma_pos": 0.5, "clip": 0.2}], ids=str)
def test_compiled_is_right_at_any_logit(compiled, settings):
    logits = torch.cat([torch.linspace(-30, 30, 121), torch.tensor([-60_000.0, -1000.0, -100.0, 100.0, 1000.0, 60_000.0])])
    logits, targets = logits.repeat(2).requires_grad_(), torch.arange(2.0).repeat_interleave(len(logits))
    expected = asymmetric_loss(logits, targets, **settings, reduction="none")
    loss = compiled(asymmetric_loss)(logits, targets, **settings, reduction="none")
    atol = 1e-7 if TorchVersion(torch.__version__) >= (2, 13) else 1e-6  # an older compiler's sigmoid has fewer digits
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=atol)
    torch.testing.assert_close(gradient(loss.sum(), logits), gradient(expected.sum(), logits), rtol=1e-5, atol=atol)


NUMPY = {"gamma_neg": np.float32(2.5), "gamma_pos": np.int64(1), "clip": np.float64(0.05)}
TENSORS = {"gamma_neg": torch.tensor(2.5), "clip": torch.linspace(0, 0.4, 5), "weight": [1, 2, 3, 4, 5]}


@pytest.mark.parametrize("settings", [NUMPY, TENSORS], ids=["NumPy", "tensors"])
@pytest.mark.parametrize("module", [True, False])
def test_compiled_with_settings_of_any_type(compiled, settings, module):
    logits, targets = (x.detach().float() for x in some_batch())
    loss = AsymmetricLossMultiLabel(**settings) if module else functools.partial(asymmetric_loss, **settings)
    torch.testing.assert_close(compiled(loss)(logits, targets), loss(logits, targets))


def test_compiled_while_settings_change(compiled):
    logits, targets = (x.detach().float() for x in some_batch())
    module, function = AsymmetricLossMultiLabel(), compiled(asymmetric_loss)
    loss = compiled(module)
    for gamma in [4.0, 2.5, 1.5, torch.tensor(0.5), 3]:
        module.gamma_neg, module.eps = gamma, 1e-6 * (1 + float(gamma))
        expected = asymmetric_loss(logits, targets, gamma_neg=gamma, eps=module.eps)
        torch.testing.assert_close(loss(logits, targets), expected)
        torch.testing.assert_close(function(logits, targets, gamma_neg=gamma, eps=module.eps), expected)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("settings", [{}, TENSORS, {"ignore_index": -1, "reduction": "mean"}], ids=["default", "tensors", "ignored"])
def test_export(strict, settings):
    logits, targets = (x.detach().float() for x in some_batch())
    module = AsymmetricLossMultiLabel(**settings)
    exported = torch.export.export(module, (logits, targets), strict=strict)
    torch.testing.assert_close(exported.module()(logits, targets), module(logits, targets))
    assert not any("cond" in str(node.target) for node in exported.graph.nodes)  # other runtimes have no branches


def test_aot_function():
    logits, targets = (x.detach().float() for x in some_batch())
    traced = aot_function(asymmetric_loss, fw_compiler=lambda graph, inputs: make_boxed_func(graph))
    torch.testing.assert_close(traced(logits.requires_grad_(), targets), asymmetric_loss(logits, targets))
    torch.testing.assert_close(gradient(traced(logits, targets), logits), gradient(asymmetric_loss(logits, targets), logits))


@pytest.mark.parametrize("mode", [lambda: torch.device("meta"), FakeTensorMode], ids=["meta", "fake"])
@pytest.mark.parametrize("reduction", ["sum", "mean", "none"])
def test_tensors_without_numbers(mode, reduction):
    with mode():
        module = AsymmetricLossMultiLabel(gamma_neg=torch.ones(5), clip=torch.tensor(0.1), pos_weight=[1.0, 2, 3, 4, 5], smoothing=0.1, ignore_index=-1, reduction=reduction)
        logits = torch.zeros(6, 5, requires_grad=True)
        loss = module(logits, torch.zeros(6, 5))
        assert loss.shape == ((6, 5) if reduction == "none" else ()) and gradient(loss, logits).shape == (6, 5)
        assert AsymmetricLossSingleLabel(weight=torch.ones(5))(logits, torch.zeros(6).long()).shape == ()


def test_a_module_made_on_the_meta_device_is_filled_later():
    settings = {"gamma_neg": [4.0, 0, 1, 2, 3], "weight": torch.rand(5)}
    with torch.device("meta"):
        module = AsymmetricLossMultiLabel(**settings)
    filled = AsymmetricLossMultiLabel(**settings)
    module.load_state_dict(filled.state_dict(), assign=True)
    logits, targets = some_batch()
    torch.testing.assert_close(module(logits, targets), filled(logits, targets))


def test_settings_that_are_tensors_travel_with_the_module():
    logits, targets = (x.detach().float() for x in some_batch())
    module = AsymmetricLossMultiLabel(gamma_neg=torch.tensor([4.0, 0.0, 1.0, 2.0, 3.0]), pos_weight=torch.ones(5) * 2)
    assert set(module.state_dict()) == {"gamma_neg", "pos_weight"}
    for twin in [copy.deepcopy(module), pickle.loads(pickle.dumps(module))]:
        torch.testing.assert_close(twin(logits, targets), module(logits, targets))
    other = AsymmetricLossMultiLabel(gamma_neg=torch.zeros(5), pos_weight=torch.ones(5))
    other.load_state_dict(module.state_dict())
    torch.testing.assert_close(other(logits, targets), module(logits, targets))
    assert module.double().gamma_neg.dtype == torch.float64 and "gamma_neg=[5]" in repr(module)


def test_nothing_is_kept_and_grad_mode_stays():
    logits, targets = some_batch()
    module = AsymmetricLossMultiLabel(disable_torch_grad_focal_loss=True)
    before = set(vars(module))
    with torch.no_grad():
        assert not module(logits, targets).requires_grad
        assert not torch.is_grad_enabled()
    assert set(vars(module)) == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    logits, targets = some_batch()
    with torch.autocast("cpu", dtype=dtype):
        scores = logits.float() @ torch.eye(5)
        loss = AsymmetricLossMultiLabel()(scores, targets)
    assert scores.dtype == dtype and loss.dtype == torch.float32
    assert gradient(loss, logits).isfinite().all()


def test_one_tensor_of_the_logits_size_is_saved():
    logits, targets = torch.randn(100, 50, requires_grad=True), (torch.rand(100, 50) < 0.03).float()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.data_ptr()) or x, lambda x: x):
        asymmetric_loss(logits, targets)
    assert len(set(saved) - {logits.data_ptr(), targets.data_ptr()}) == 1


def trained(rank, world):
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 5)
    inputs, targets = torch.randn(4, 8), (torch.rand(4, 5) < 0.3).float()
    parallel = torch.nn.parallel.DistributedDataParallel(model)
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    AsymmetricLossMultiLabel(reduction="mean")(parallel(inputs[rows]), targets[rows]).backward()
    return model.weight.grad


def test_two_ranks_give_one_process_gradients(tmp_path):
    (alone,), (_, together) = (in_processes(world, trained, tmp_path) for world in [1, 2])
    torch.testing.assert_close(together, alone)


# -- bad input


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"gamma_neg": torch.tensor([1.0, -2.0])}, "gamma_neg contains -2, expected a finite number at least 0 for each label"),
        ({"clip": torch.tensor([0.1, 1.0])}, "clip contains 1, expected a number in"),
        ({"smoothing": 1.0}, "smoothing is 1.0"),
        ({"gamma_neg": torch.ones(3)}, r"gamma_neg has shape \(3,\), expected one that broadcasts to the shape of logits, \(4, 2\)"),
        ({"weight": torch.ones(5, 4, 2)}, r"weight has shape \(5, 4, 2\)"),
        ({"ignore_mask": torch.ones(4, dtype=torch.bool)}, r"ignore_mask has shape \(4,\), expected one that broadcasts to the shape of targets, \(4, 2\)"),
        ({"pos_weight": [1.0, -1.0]}, "pos_weight contains -1, expected a finite number at least 0 for each label"),
        ({"weight": np.array([1.0, np.nan])}, "weight contains nan"),
        ({"weight": -2}, "weight is -2"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        asymmetric_loss(torch.zeros(4, 2), torch.zeros(4, 2), **settings)


@pytest.mark.parametrize("name, value", [("gamma_neg", True), ("clip", np.bool_(False)), ("gamma_pos", "2"), ("gamma_pos", None), ("weight", ["heavy"]), ("pos_weight", [[1.0], [1.0, 2.0]]), ("eps", torch.tensor(0.1)), ("ignore_index", torch.ones(2, dtype=torch.bool))], ids=str)
def test_what_is_no_number_is_refused(name, value):
    with pytest.raises(TypeError, match=f"{name} is "):
        AsymmetricLossMultiLabel(**{name: value})


def test_a_setting_that_is_changed_is_checked_at_the_next_call():
    logits, targets = torch.zeros(4, 2), torch.zeros(4, 2)
    for name, value in {"reduction": "avg", "gamma_neg": -1, "clip": torch.tensor([0.5, 1.0]), "pos_weight": [-1.0, 1], "shift_focus": "no", "smoothing": True}.items():
        loss = AsymmetricLossMultiLabel()
        setattr(loss, name, value)
        with pytest.raises((ValueError, TypeError), match=name):
            loss(logits, targets)
    loss = AsymmetricLossMultiLabel(weight=[1.0, 2.0])
    loss.weight[1] = -1
    with pytest.raises(ValueError, match="weight contains -1"):
        loss(logits, targets)
    loss = AsymmetricLossSingleLabel()
    loss.reduction = "batchmean"
    with pytest.raises(ValueError, match="reduction is 'batchmean', expected one of 'mean', 'sum', 'none'"):
        loss(logits, torch.zeros(4).long())


def test_settings_keep_the_type_that_torch_needs():
    loss = AsymmetricLossMultiLabel(**NUMPY, weight=np.ones(5, np.float32), pos_weight=[1, 2, 3, 4, 5])
    assert [type(x) for x in (loss.gamma_neg, loss.gamma_pos, loss.clip)] == [float, int, float]
    assert isinstance(loss.weight, torch.Tensor) and isinstance(loss.pos_weight, torch.Tensor)
    loss.gamma_neg = torch.tensor(3.0)
    assert loss.gamma_neg.dim() == 0 and set(loss.state_dict()) == {"weight", "pos_weight"}
    with pytest.raises(TypeError, match="cannot assign 'int' as buffer 'weight'"):  # torch's own rule
        loss.weight = 2
    del loss.weight
    loss.weight, loss.gamma_neg = 2, torch.nn.Parameter(loss.gamma_neg)
    assert set(loss.state_dict()) == {"pos_weight", "gamma_neg"}
    assert AsymmetricLossMultiLabel(gamma_neg=np.arange(3.0)[::-1]).gamma_neg.tolist() == [2, 1, 0]
    logits, targets = some_batch()
    assert asymmetric_loss(logits.float(), targets, weight=np.ones(5)).dtype == torch.float32
    torch.testing.assert_close(asymmetric_loss(logits, targets, clip=None), asymmetric_loss(logits, targets, clip=0))


def test_a_parameter_stays_one_and_is_trained():
    logits, targets = some_batch()
    loss = AsymmetricLossMultiLabel(gamma_neg=torch.nn.Parameter(torch.tensor(4.0)))
    assert dict(loss.named_parameters()).keys() == {"gamma_neg"} == set(loss.state_dict())
    loss(logits, targets).backward()
    assert loss.gamma_neg.grad < 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_targets_that_miss_0_or_1_by_a_rounding(dtype, smoothing):
    ulp = torch.finfo(dtype).eps
    targets = torch.tensor([-2 * ulp, 0.25, 1 + 2 * ulp], dtype=dtype)
    logits = torch.tensor([-20.0, 0.0, 20.0]).double()
    expected = asymmetric_loss(logits, targets.clamp(0, 1), smoothing=smoothing, eps=0, reduction="none")
    torch.testing.assert_close(asymmetric_loss(logits, targets, smoothing=smoothing, eps=0, reduction="none"), expected, rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"targets contain 1\.0\d+, expected values from 0 to 1"):
        asymmetric_loss(logits, targets + 0.05, smoothing=smoothing)


@pytest.mark.parametrize("mark", [-1.0, torch.nan, 2.0])
def test_labels_are_left_out_by_value_and_by_mask(mark):
    logits, targets = some_batch()
    marked, masked = torch.arange(30).view(6, 5) % 7 == 0, torch.arange(30).view(6, 5) % 5 == 1
    expected = asymmetric_loss(logits, targets, ignore_mask=marked | masked, reduction="mean")
    module = AsymmetricLossMultiLabel(ignore_index=mark, reduction="mean")
    torch.testing.assert_close(module(logits, targets.masked_fill(marked, mark), ignore_mask=masked), expected)
    torch.testing.assert_close(module(logits, targets.masked_fill(marked | masked, mark)), expected)
    torch.testing.assert_close(asymmetric_loss(logits, targets.masked_fill(marked | masked, mark), ignore_index=mark, reduction="mean"), expected)
    for mask in [masked.numpy(), masked]:
        torch.testing.assert_close(asymmetric_loss(logits, targets, ignore_mask=mask), asymmetric_loss(logits, targets.masked_fill(masked, -1), ignore_index=-1))
    with pytest.raises(ValueError, match="targets contain" if mark == 2 else "labels marked (-1|nan) are left out with ignore_index="):
        asymmetric_loss(logits, targets.masked_fill(marked, mark))


@pytest.mark.parametrize("reduction", ["sum", "mean", "none"])
def test_what_an_ignored_label_has_for_a_logit_does_not_matter(reduction):
    logits, targets = some_batch()
    ignored = torch.arange(30).view(6, 5) % 7 == 0
    expected = asymmetric_loss(logits, targets, ignore_mask=ignored, reduction=reduction)
    broken = logits.detach().masked_fill(ignored, torch.nan).requires_grad_()
    loss = asymmetric_loss(broken, targets, ignore_mask=ignored, reduction=reduction)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient(loss, broken), gradient(expected, logits))


def test_a_mark_does_not_wrap_around():
    targets = torch.tensor([1, 0, 255], dtype=torch.uint8)
    with pytest.raises(ValueError, match="targets contain 255"):
        asymmetric_loss(torch.zeros(3), targets, ignore_index=-1)
    asymmetric_loss(torch.zeros(3), targets, ignore_index=255)


def test_a_sample_that_is_marked_for_cross_entropy_is_explained():
    with pytest.raises(ValueError, match="ignore_index=-100 leaves out the samples marked so"):
        AsymmetricLossSingleLabel()(torch.zeros(2, 3), torch.tensor([1, -100]))


def test_the_check_of_targets_can_be_turned_off():
    logits, targets = torch.zeros(3), torch.tensor([0.0, 1.0, 2.0])
    for smoothing in [0.0, 0.1]:
        with pytest.raises(ValueError, match="targets contain 2, expected values from 0 to 1"):
            asymmetric_loss(logits, targets, smoothing=smoothing)
    with check_targets(False):
        assert asymmetric_loss(logits, targets).isfinite()
    with pytest.raises(ValueError, match="targets contain 2"):
        asymmetric_loss(logits, targets)
    check_targets(False)
    try:
        assert asymmetric_loss(logits, targets).isfinite()
    finally:
        check_targets(True)


def test_importing_the_losses_loads_nothing_heavy_besides_torch():
    code = "import sys, asl_explainer.losses; print([m for m in ('matplotlib', 'ipywidgets', 'IPython', 'nbdev') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
