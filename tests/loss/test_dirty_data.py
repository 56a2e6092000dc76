"""Targets, marks and settings as people have them: wrong, rounded, marked, in other types; eager, compiled and traced."""
import contextvars
import math
import threading
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from asl_explainer.closed_form import by_equation
from asl_explainer.equation import asymmetric_loss_reference
from asl_explainer.diagnose import calibrated
from asl_explainer.dropin import alibaba, paddle, timm, torch_ecg
from asl_explainer.losses import AsymmetricLossMultiLabel, AsymmetricLossSingleLabel, asymmetric_loss, check_targets
from asl_explainer.settings import Settings
from asl_explainer.start import start_biases

UNCHECKED = {
    "compiled": lambda loss: torch.compile(loss, backend="aot_eager", fullgraph=True),
    "inductor": lambda loss: torch.compile(loss, fullgraph=True),
    "check off": lambda loss: without_check(loss),
    "vmap": lambda loss: lambda z, y: torch.func.vmap(loss)(z.unsqueeze(0), y.unsqueeze(0)).squeeze(0),
}


def without_check(loss):
    def run(*batch):
        with check_targets(False):
            return loss(*batch)

    return run


def value_and_gradient(loss, z, y):
    z = z.detach().clone().requires_grad_()
    value = loss(z, y)
    return value.detach(), torch.autograd.grad(value.sum(), z)[0]


@pytest.fixture(params=UNCHECKED)
def unchecked(request):
    torch._dynamo.reset()
    return UNCHECKED[request.param]


def test_a_target_one_rounding_above_1_has_the_gradient_of_1(unchecked):
    loss = AsymmetricLossMultiLabel(gamma_neg=4, gamma_pos=0, clip=0.05, eps=0, reduction="sum")
    z, y = torch.full((4,), 16.0), torch.tensor([1, 1 + 2.4e-7, 1 + 1.2e-7, 0.3])
    expected = value_and_gradient(loss, z, y)
    torch.testing.assert_close(value_and_gradient(unchecked(loss), z, y), expected, rtol=1e-3, atol=1e-9)
    torch.testing.assert_close(expected[1], torch.tensor([-1.1e-7, -1.1e-7, -1.1e-7, 6.2e-7]), rtol=0.1, atol=0)


@pytest.mark.parametrize("settings", [{"gamma_neg": 0, "gamma_pos": 0, "clip": 0}, {}, {"soft_targets": "mixture"}, {"shift_focus": False}], ids=str)
@pytest.mark.parametrize("wrong, counts_as", [(1.2, 1.0), (-1.0, 0.0), (255.0, 1.0), (-100.0, 0.0)])
def test_where_nothing_is_checked_targets_are_clamped(unchecked, settings, wrong, counts_as):
    loss = AsymmetricLossMultiLabel(**settings, reduction="none")
    z = torch.tensor([3.0, 2.0, -4.0])
    expected = value_and_gradient(loss, z, torch.full((3,), counts_as))
    torch.testing.assert_close(value_and_gradient(unchecked(loss), z, torch.full((3,), wrong)), expected)
    with pytest.raises(ValueError, match="targets contain"):
        loss(z, torch.full((3,), wrong))


def test_nan_stays_nan(unchecked):
    loss = unchecked(AsymmetricLossMultiLabel(reduction="none"))
    assert loss(torch.zeros(3), torch.tensor([0.0, math.nan, 1.0])).isnan().tolist() == [False, True, False]
    assert loss(torch.tensor([0.0, math.nan, 0.0]), torch.tensor([0.0, 1.0, 1.0])).isnan().tolist() == [False, True, False]


def test_a_target_that_is_clamped_has_no_derivative():
    y = torch.tensor([0.5, 1 + 1e-7, -1e-7], requires_grad=True)
    slopes = torch.autograd.grad(asymmetric_loss(torch.ones(3), y), y)[0]
    assert slopes[0] != 0 and slopes[1:].tolist() == [0, 0]


def test_no_loss_is_minus_0():
    for settings in [{}, {"eps": 0}, {"gamma_neg": 0, "gamma_pos": 0}, {"soft_targets": "mixture"}]:
        for y in [torch.zeros(3), torch.tensor([0.0, 1e-30, 0.0])]:
            for reduction in ["none", "sum"]:
                loss = asymmetric_loss(torch.full((3,), -9.0), y, **settings, reduction=reduction)
                assert not loss.signbit().any() and (loss >= 0).all()


def test_a_traced_loss_follows_its_inputs():
    z, hard, soft = torch.randn(5, 4), (torch.rand(5, 4) < 0.4).float(), torch.rand(5, 4)
    loss = AsymmetricLossMultiLabel(gamma_pos=0, eps=0)
    for example in [(z, hard), (z, soft), (z * 50, hard)]:
        traced = torch.jit.trace(loss, example)
        for batch in [(z, hard), (z, soft), (z * 50, hard), (z * 50, soft)]:
            torch.testing.assert_close(traced(*batch), loss(*batch))
    traced = torch.jit.trace(AsymmetricLossSingleLabel(), (z, torch.tensor([0, 1, 2, 3, 0])))
    torch.testing.assert_close(traced(-z, torch.tensor([3, 3, 3, 0, 0])), AsymmetricLossSingleLabel()(-z, torch.tensor([3, 3, 3, 0, 0])))


@pytest.mark.parametrize("eps", [0, 1e-300, 1e-42, 1e-36, 1.8e-35, 1e-30, 1e-8, 0.1])
@pytest.mark.parametrize("clip", [0, 0.05])
def test_a_floor_of_any_size(eps, clip):
    z = torch.linspace(-120, 120, 49)
    for y in [torch.zeros(49), torch.ones(49), torch.full((49,), 0.25)]:
        for settings in [{"gamma_neg": 0, "gamma_pos": 0}, {}, {"soft_targets": "mixture"}]:
            given = {"clip": clip, "eps": eps, **settings}
            expected = by_equation(z.double(), y.double(), Settings(**given))
            torch.testing.assert_close(asymmetric_loss(z, y, **given, reduction="none").double(), expected, rtol=1e-5, atol=1e-6)


# -- soft targets


@pytest.mark.parametrize("y, blend, mixture", [(0.1, 0.05, 0.478), (0.2, 0.05, 0.547), (0.3, 0.083, 0.597), (0.5, 0.525, 0.684), (0.7, 0.871, 0.776), (0.95, 1.0, 0.981)])
def test_where_a_constant_target_leads(y, blend, mixture):
    z = torch.linspace(-12, 16, 280_001, dtype=torch.float64)
    for soft_targets, p in {"blend": blend, "mixture": mixture}.items():
        loss = asymmetric_loss(z, torch.full_like(z, y), gamma_neg=4, gamma_pos=0, clip=0.05, eps=0, soft_targets=soft_targets, reduction="none")
        assert z[loss.argmin()].sigmoid().item() == pytest.approx(p, abs=2e-3)


@pytest.mark.parametrize("shift_focus", [True, False])
@pytest.mark.parametrize("settings", [{}, {"gamma_neg": 2, "gamma_pos": 0, "clip": 0.2, "eps": 0}, {"pos_weight": 3.0}, {"disable_torch_grad_focal_loss": True}], ids=str)
def test_a_mixture_is_linear_in_the_target(settings, shift_focus):
    z, y = torch.randn(200, dtype=torch.float64) * 4, torch.rand(200, dtype=torch.float64)
    settings = {**settings, "shift_focus": shift_focus, "reduction": "none"}
    for dtype, tolerance in {torch.float64: 1e-12, torch.float32: 1e-5}.items():
        found = value_and_gradient(lambda z, y: asymmetric_loss(z, y, **settings, soft_targets="mixture"), z.to(dtype), y.to(dtype))
        of_sides = [value_and_gradient(lambda z, y: asymmetric_loss(z, y, **settings), z, torch.full_like(y, side)) for side in (1.0, 0.0)]
        for x, of_positive, of_negative in zip(found, *of_sides):
            torch.testing.assert_close(x.double(), y * of_positive + (1 - y) * of_negative, rtol=tolerance * 10, atol=tolerance)


def test_derivatives_of_a_mixture():
    z, y = torch.randn(30, dtype=torch.float64, requires_grad=True), torch.rand(30, dtype=torch.float64)
    mixture = AsymmetricLossMultiLabel(soft_targets="mixture")
    assert torch.autograd.gradcheck(lambda z: mixture(z, y), z) and torch.autograd.gradgradcheck(lambda z: mixture(z, y), z)
    single = z.detach().float().requires_grad_()
    slope = torch.autograd.grad(mixture(single, y), single, create_graph=True)[0]
    expected = torch.autograd.grad(torch.autograd.grad(mixture(z, y), z, create_graph=True)[0].sum(), z)[0]
    torch.testing.assert_close(torch.autograd.grad(slope.sum(), single)[0].double(), expected, rtol=1e-3, atol=1e-5)


def test_a_compiled_mixture(unchecked):
    z, y = torch.randn(6, 5) * 4, torch.rand(6, 5)
    mixture = AsymmetricLossMultiLabel(soft_targets="mixture", reduction="none")
    torch.testing.assert_close(value_and_gradient(unchecked(mixture), z, y), value_and_gradient(mixture, z, y))


# -- settings


class ListConfig(Sequence):
    "A sequence that is neither a list nor a tuple, as configuration libraries make them."

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, n):
        return self.items[n]


@pytest.mark.parametrize("gammas", [ListConfig(4, 2, 0), range(4, -2, -2), (4, 2, 0), np.array([4, 2, 0])], ids=lambda x: type(x).__name__)
def test_any_sequence_of_numbers_is_a_setting(gammas):
    z, y = torch.randn(5, 3), (torch.rand(5, 3) < 0.3).float()
    expected = asymmetric_loss(z, y, gamma_neg=torch.tensor([4.0, 2.0, 0.0]))
    torch.testing.assert_close(AsymmetricLossMultiLabel(gamma_neg=gammas)(z, y), expected)
    torch.testing.assert_close(asymmetric_loss(z, y, gamma_neg=gammas), expected)


@pytest.mark.parametrize("name", ["disable_torch_grad_focal_loss", "shift_focus"])
@pytest.mark.parametrize("value", ["false", "no", "", 0, 1, None, torch.tensor(True)], ids=str)
def test_a_flag_is_true_or_false(name, value):
    for make in [AsymmetricLossMultiLabel, lambda **settings: asymmetric_loss(torch.zeros(2), torch.zeros(2), **settings)]:
        with pytest.raises(TypeError, match=f"{name} is .*, expected True or False"):
            make(**{name: value})


@pytest.mark.parametrize("weights", [torch.ones(5), torch.ones(3), torch.tensor([1.0, 5.0]), [1.0, 2.0], np.ones(5)], ids=str)
def test_class_weights_by_position_do_not_become_exponents(weights):
    for make in [lambda: AsymmetricLossMultiLabel(weights), lambda: AsymmetricLossMultiLabel(4, weights), lambda: AsymmetricLossSingleLabel(weights)]:
        with pytest.raises(TypeError, match="was given by position, expected numbers; name it: weight="):
            make()
    with pytest.raises(TypeError, match="positional"):
        AsymmetricLossMultiLabel(4, 1, 0.05)
    assert AsymmetricLossMultiLabel(torch.tensor(3.0), 0).gamma_neg == 3


def test_the_check_is_a_thread_s_own():
    marked, ready, done = torch.tensor([-1.0]), threading.Barrier(2), []

    def overlapping(first):
        with check_targets(False):
            ready.wait()  # both are off
            asymmetric_loss(torch.zeros(1), marked)
            if first:
                ready.wait()
        if not first:
            ready.wait()  # the other one is still off
        with pytest.raises(ValueError):
            asymmetric_loss(torch.zeros(1), marked)
        done.append(first)

    threads = [threading.Thread(target=overlapping, args=(first,)) for first in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, True]
    with pytest.raises(ValueError):
        asymmetric_loss(torch.zeros(1), marked)


def test_the_check_can_be_turned_off_twice_by_one_object():
    off = contextvars.copy_context().run(check_targets, False)  # makes it without turning this thread's check off
    for _ in range(2):
        with off:
            asymmetric_loss(torch.zeros(1), torch.tensor([-1.0]))
        with pytest.raises(ValueError):
            asymmetric_loss(torch.zeros(1), torch.tensor([-1.0]))


def test_half_precision_does_not_round_settings():
    z, y = torch.randn(6, 3).half(), (torch.rand(6, 3) < 0.3).half()
    settings = {"pos_weight": torch.tensor([1e5, 1.0, 2.0]), "gamma_neg": torch.tensor([4.0, 2.001, 0.0])}
    loss = AsymmetricLossMultiLabel(**settings)
    expected = loss(z, y)
    for dtype in [torch.float16, torch.bfloat16]:
        low = AsymmetricLossMultiLabel(**settings).to(dtype)
        assert low.pos_weight.dtype == torch.float32 and low(z, y) == expected and expected.isfinite()
    assert loss.double().pos_weight.dtype == torch.float64
    assert loss.to("meta").pos_weight.is_meta


# -- marks and masks


@pytest.mark.parametrize("marks", [(-1, -100), [-1.0, -100.0], ListConfig(-1, -100), (-1, math.nan, -100)], ids=["tuple", "list", "sequence", "NaN"])
def test_several_marks(marks):
    z, y = torch.randn(6, 5), (torch.rand(6, 5) < 0.3).float()
    y[0], y[1, 2:] = -1, -100
    expected = asymmetric_loss(z, y.clamp(0, 1), ignore_mask=y < 0, reduction="mean")
    torch.testing.assert_close(asymmetric_loss(z, y, ignore_index=marks, reduction="mean"), expected)
    torch.testing.assert_close(AsymmetricLossMultiLabel(ignore_index=marks, reduction="mean")(z, y.long()), asymmetric_loss(z, y.long().clamp(0, 1), ignore_mask=y < 0, reduction="mean"))


def test_a_mark_of_cross_entropy_gets_the_hint():
    with pytest.raises(ValueError, match="labels marked -100 are left out with ignore_index=-100"):
        asymmetric_loss(torch.zeros(3), torch.tensor([0, 1, -100]))


DROPINS = [timm.AsymmetricLossMultiLabel, alibaba.AsymmetricLoss, alibaba.AsymmetricLossOptimized, torch_ecg.AsymmetricLoss, paddle.AsymmetricLossOptimizedWithLogit]


@pytest.mark.parametrize("loss", [AsymmetricLossMultiLabel, *DROPINS], ids=lambda loss: f"{loss.__module__}.{loss.__name__}")
def test_a_mask_broadcasts_in_every_module(loss):
    z, y = torch.randn(6, 5), (torch.rand(6, 5) < 0.3).float()
    of_classes = torch.tensor([True, False, False, True, False])
    expected = loss()(z[:, ~of_classes], y[:, ~of_classes])
    for mask in [of_classes, of_classes.expand(6, 5), of_classes.numpy()]:
        torch.testing.assert_close(loss()(z, y.masked_fill(of_classes, -1), ignore_mask=mask), expected)


def test_weights_of_one_batch_replace_the_module_s():
    z, y, weight = torch.randn(6, 5), (torch.rand(6, 5) < 0.3).float(), torch.rand(6, 1)
    loss = AsymmetricLossMultiLabel(weight=torch.full((5,), 7.0))
    torch.testing.assert_close(loss(z, y, weight=weight), asymmetric_loss(z, y, weight=weight))
    assert loss(z, y) == asymmetric_loss(z, y, weight=torch.full((5,), 7.0))


def test_logits_and_targets_by_the_names_of_torch():
    z, y = torch.randn(4, 3), torch.tensor([0, 2, 1, 0])
    assert AsymmetricLossMultiLabel()(input=z, target=F.one_hot(y)) == AsymmetricLossMultiLabel()(z, F.one_hot(y))
    assert AsymmetricLossSingleLabel()(input=z, target=y) == AsymmetricLossSingleLabel()(z, y)


@pytest.mark.parametrize("logits", [torch.eye(3).to_sparse(), torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8), np.eye(3), None], ids=lambda x: type(x).__name__)
def test_logits_that_are_no_dense_tensor_are_named(logits):
    for loss in [AsymmetricLossMultiLabel(), AsymmetricLossSingleLabel()]:
        with pytest.raises(TypeError, match="logits are .*, expected a dense tensor"):
            loss(logits, torch.eye(3))


# -- one label


@pytest.mark.parametrize("ignore_index", [1.5, -100.0, (-1, 0.5), True])
def test_class_indices_are_marked_by_whole_numbers(ignore_index):
    with pytest.raises(TypeError, match="ignore_index is"):
        AsymmetricLossSingleLabel(ignore_index=ignore_index)(torch.zeros(2, 3), torch.tensor([0, 1]))


def test_class_probabilities():
    z, y = torch.randn(8, 5), torch.softmax(torch.randn(8, 5), -1)
    torch.testing.assert_close(AsymmetricLossSingleLabel(0, 0, 0.1)(z, y), F.cross_entropy(z, y, label_smoothing=0.1))
    hard = torch.randint(5, (8,))
    for gammas in [(1, 4), (0, 0), (2, 0.5)]:
        loss = AsymmetricLossSingleLabel(*gammas)
        torch.testing.assert_close(loss(z, F.one_hot(hard, 5).float()), loss(z, hard))
    with pytest.raises(TypeError, match="expected class indices, such as torch.int64, or a probability for each logit"):
        AsymmetricLossSingleLabel()(z, hard.float())
    with pytest.raises(ValueError, match="targets contain 2"):
        AsymmetricLossSingleLabel()(z, torch.full((8, 5), 2.0))


def test_classes_in_the_second_dimension():
    z, y = torch.randn(2, 4, 3, 5), torch.randint(4, (2, 3, 5))
    loss = AsymmetricLossSingleLabel(dim=1, reduction="none")
    torch.testing.assert_close(loss(z, y), AsymmetricLossSingleLabel(reduction="none")(z.movedim(1, -1), y))
    torch.testing.assert_close(loss(z, F.one_hot(y, 4).movedim(-1, 1).float()), loss(z, y))
    torch.testing.assert_close(AsymmetricLossSingleLabel(0, 0, 0.0, dim=1)(z, y), F.cross_entropy(z, y))
    with pytest.raises(TypeError, match="dim is 1.0, expected a whole number"):
        AsymmetricLossSingleLabel(dim=1.0)


# -- what a probability means, and the start


@pytest.mark.parametrize("p, constant", [(0.5, 0.036), (0.7, 0.26), (0.9, 0.76)])
def test_what_a_probability_means_with_a_constant_weight(p, constant):
    settings = {"gamma_neg": 4, "gamma_pos": 0, "clip": 0.05}
    found = calibrated(p, **settings, disable_torch_grad_focal_loss=True).item()
    assert found == pytest.approx(constant, abs=6e-3) and found < calibrated(p, **settings).item() + 0.25
    p_m = p - 0.05  # the weight is p_m ** 4, and the gradient of -log(1 - p_m) is p (1 - p) / (1 - p_m)
    down, up = p_m**4 * p * (1 - p) / (1 - p_m), 1 - p
    assert found == pytest.approx(down / (up + down), rel=1e-6)


@pytest.mark.parametrize("mark", [-1.0, math.nan])
def test_a_start_ignores_or_refuses_unknown_labels(mark):
    layer = torch.nn.Linear(4, 3)
    y = (torch.rand(400, 3, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    unknown = torch.rand(400, 3, generator=torch.Generator().manual_seed(1)) < 0.5
    marked = y.masked_fill(unknown, mark)
    with pytest.raises(ValueError, match="are left out with ignore_index="):
        start_biases(layer, marked)
    known = ~unknown
    expected = (((y * known).sum(0) + 0.5) / (known.sum(0) + 1)).logit()
    torch.testing.assert_close(start_biases(layer, marked, ignore_index=mark), expected)
    torch.testing.assert_close(start_biases(layer.bias, marked.nan_to_num(-1), ignore_mask=unknown), expected)
    assert torch.equal(layer.bias, start_biases(layer, marked, ignore_index=mark))


def test_a_start_for_a_loss_of_any_kind():
    frequencies = torch.tensor([0.5, 0.1, 0.001])
    layer = torch.nn.Linear(4, 3)
    for loss in [torch.nn.BCEWithLogitsLoss(), AsymmetricLossMultiLabel(0, 0, clip=0), lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none")]:
        torch.testing.assert_close(start_biases(layer, frequencies, loss=loss), frequencies.logit(), rtol=1e-5, atol=1e-5)
    asl = AsymmetricLossMultiLabel(gamma_neg=[4, 2, 1], gamma_pos=0, clip=0.05)
    for n, start in enumerate(start_biases(layer, frequencies, loss=asl)):
        meant = calibrated(start.double().sigmoid(), gamma_neg=asl.gamma_neg[n].item(), gamma_pos=0, clip=0.05)
        assert meant.item() == pytest.approx(frequencies[n].item(), rel=1e-3)
    with torch.inference_mode():
        assert start_biases(layer, frequencies, loss=asl).isfinite().all()


def test_whole_numbers_per_label_survive_half_precision():
    z, y = torch.randn(6, 3), (torch.rand(6, 3) < 0.3).float()
    loss = AsymmetricLossMultiLabel(gamma_neg=[4, 2, 0])
    assert loss.half()(z, y) == AsymmetricLossMultiLabel(gamma_neg=[4.0, 2.0, 0.0])(z, y)


def test_a_graph_of_operations_holds_no_branch():
    z, hard, soft = torch.randn(5, 4), (torch.rand(5, 4) < 0.4).float(), torch.rand(5, 4)
    for loss in [AsymmetricLossMultiLabel(gamma_pos=0, eps=0), AsymmetricLossMultiLabel(soft_targets="mixture", pos_weight=torch.ones(4) * 2)]:
        graph = make_fx(loss)(z, hard)
        for batch in [(z, soft), (z * 50, hard)]:
            torch.testing.assert_close(graph(*batch), loss(*batch))


def test_other_defaults_of_torch():
    z, y = torch.randn(6, 5), (torch.rand(6, 5) < 0.3).float()
    expected = value_and_gradient(AsymmetricLossMultiLabel(), z, y)
    torch.set_default_dtype(torch.float64)
    try:
        found = value_and_gradient(AsymmetricLossMultiLabel(), z, y)
        with torch.device("meta"):
            on_cpu = AsymmetricLossMultiLabel()(z, y)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found[0] == expected[0] == on_cpu and torch.equal(found[1], expected[1])


# -- autograd and settings that are tensors


def test_a_setting_changed_between_forward_and_backward_is_noticed():
    z, y, gammas = torch.randn(2, 3, requires_grad=True), torch.zeros(2, 3), torch.full((3,), 4.0)
    loss = asymmetric_loss(z, y, gamma_neg=gammas)
    gammas.fill_(0.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, z, create_graph=True)


@pytest.mark.parametrize("gamma", [torch.tensor(3.0), torch.full((5,), 3.0)], ids=["one", "per label"])
def test_forward_mode_in_a_setting(gamma):
    z, y = torch.randn(6, 5), (torch.rand(6, 5) < 0.3).float()
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(asymmetric_loss(z, y, gamma_neg=forward_ad.make_dual(gamma, torch.ones_like(gamma)))).tangent
    _, expected = torch.func.jvp(lambda g: asymmetric_loss(z.double(), y.double(), gamma_neg=g), (gamma.double(),), (torch.ones_like(gamma).double(),))
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_whole_numbers_per_label_take_what_a_checkpoint_holds():
    loss = AsymmetricLossMultiLabel(gamma_neg=[4, 2, 0], weight=range(3))
    loss.load_state_dict({"gamma_neg": torch.tensor([3.9, 2.5, 0.5]), "weight": torch.tensor([0.5, 2.5, 3.9])})
    assert loss.gamma_neg.tolist() == pytest.approx([3.9, 2.5, 0.5]) and loss.weight.tolist() == pytest.approx([0.5, 2.5, 3.9])


def test_weights_do_not_change_the_path(monkeypatch):
    z, y, weight = torch.randn(6, 5), (torch.rand(6, 5) < 0.3).float(), torch.rand(5, requires_grad=True)
    expected = torch.autograd.grad((asymmetric_loss_reference(z, y) * weight).sum(), weight)[0]
    monkeypatch.setattr("asl_explainer.closed_form.by_equation", None)
    torch.testing.assert_close(torch.autograd.grad(asymmetric_loss(z, y, weight=weight), weight)[0], expected)


@pytest.mark.parametrize("ignore_index", [np.array([-1, -100]), torch.tensor([-1, -100]), [np.int64(-1), -100]], ids=["array", "tensor", "list"])
def test_marks_of_any_type(ignore_index):
    assert AsymmetricLossMultiLabel(ignore_index=ignore_index).ignore_index == (-1, -100)
    assert AsymmetricLossMultiLabel(ignore_index=torch.tensor(-1)).ignore_index == -1
    AsymmetricLossSingleLabel(ignore_index=ignore_index)
    with pytest.raises(TypeError, match="ignore_index is"):
        AsymmetricLossMultiLabel(ignore_index=[[-1], -2])


@pytest.mark.parametrize("targets, message", [(np.zeros(3), "targets are a ndarray"), ([0, 1, 0], "targets are a list"), (None, "targets are a NoneType"), (torch.eye(3)[0].to_sparse(), "expected a dense tensor"), (torch.zeros(3, dtype=torch.complex64), "targets are torch.complex64, expected real numbers")], ids=["array", "list", "none", "sparse", "complex"])
def test_targets_that_are_no_dense_tensor_are_named(targets, message):
    for loss in [AsymmetricLossMultiLabel(), AsymmetricLossSingleLabel()]:
        with pytest.raises(TypeError, match=message):
            loss(torch.zeros(3), targets)


def test_what_the_single_label_loss_cannot_do_is_refused_when_it_is_made():
    for settings in [{"reduction": "batchmean"}, {"ignore_index": 1.5}]:
        with pytest.raises((TypeError, ValueError), match=next(iter(settings))):
            AsymmetricLossSingleLabel(**settings)
    with pytest.raises(ValueError, match="ignore_index is 0, which marks class indices; targets are probabilities"):
        AsymmetricLossSingleLabel(ignore_index=0)(torch.zeros(2, 3), torch.full((2, 3), 1 / 3))
