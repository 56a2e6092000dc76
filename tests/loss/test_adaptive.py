"""The controller with several processes, with a compiled loss, and in a checkpoint."""
import io
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ranks import in_processes

from asl_explainer.adaptive import AdaptiveAsymmetry
from asl_explainer.losses import AsymmetricLossMultiLabel


def batches():
    generator = torch.Generator().manual_seed(0)
    for step in range(5):
        logits = torch.randn(8, 3, generator=generator)
        targets = (torch.rand(8, 3, generator=generator) < 0.2).float()
        if step == 2:
            targets[:4] = 0  # the first of two processes has no positive
        yield logits, targets


def stepped(rank, world, classes):
    controller = AdaptiveAsymmetry(target=-0.5, rate=1.0, classes=classes)
    rows = slice(rank * 8 // world, (rank + 1) * 8 // world)
    return torch.stack([controller.step(logits[rows], targets[rows]) for logits, targets in batches()])


@pytest.mark.parametrize("classes", [None, 3])
def test_two_processes_compute_the_gammas_of_one(tmp_path, classes):
    (alone,), (_, together) = (in_processes(world, stepped, tmp_path, classes) for world in [1, 2])
    torch.testing.assert_close(together, alone)
    assert (alone[1:] != alone[:-1]).any()


@given(st.lists(st.tuples(st.floats(-30, 30), st.sampled_from([0.0, 1.0])), min_size=1, max_size=20), st.floats(0, 5), st.floats(-1, 0.9))
def test_one_step_follows_the_rule(labels, start, target):
    logits, targets = (torch.tensor(column) for column in zip(*labels))
    gamma_neg = AdaptiveAsymmetry(target, rate=0.5, gamma_neg=start, momentum=0).step(logits, targets)
    p, positive = logits.double().sigmoid(), targets == 1
    if positive.all() or not positive.any():
        assert gamma_neg == torch.tensor(start)
    else:
        gap = (1 - p[~positive]).mean() - p[positive].mean()
        assert gamma_neg.item() == pytest.approx(min(max(start + 0.5 * (gap.item() - target), 0), 8), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precisions(dtype):
    (logits, targets), *_ = batches()
    expected = AdaptiveAsymmetry(target=-0.5, rate=1.0).step(logits.to(dtype).float(), targets)
    torch.testing.assert_close(AdaptiveAsymmetry(target=-0.5, rate=1.0).step(logits.to(dtype), targets.bool()), expected)


def test_a_restored_checkpoint_continues_the_same_way():
    one, other = AdaptiveAsymmetry(target=-0.5, classes=3, rate=1.0), AdaptiveAsymmetry(target=-0.5, classes=3, rate=1.0)
    first, *rest = batches()
    one.step(*first)
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    for batch in rest:
        assert torch.equal(one.step(*batch), other.step(*batch))


def test_a_changing_gamma_is_compiled_once():
    torch._dynamo.reset()
    compilations = []

    def count(graph, inputs):
        compilations.append(graph)
        return graph.forward

    module, controller = AsymmetricLossMultiLabel(), AdaptiveAsymmetry(target=-0.5, rate=1.0)
    loss = torch.compile(module, backend=count)
    for (logits, targets), _ in product(batches(), range(3)):
        module.gamma_neg = controller.step(logits, targets)
        torch.testing.assert_close(loss(logits, targets), module(logits, targets))
    assert controller.gamma_neg > 1 and len(compilations) == 1


class WithLoss(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.loss, self.controller = AsymmetricLossMultiLabel(), AdaptiveAsymmetry(target=-0.5, rate=1.0)

    def forward(self, logits, targets):
        self.loss.gamma_neg = self.controller.step(logits, targets)
        return self.loss(logits, targets)


def test_a_compiled_model_may_hold_the_controller():
    torch._dynamo.reset()
    eager, compiled = WithLoss(), torch.compile(WithLoss())
    for logits, targets in batches():
        torch.testing.assert_close(compiled(logits, targets), eager(logits, targets))
        torch.testing.assert_close(compiled.controller.gamma_neg, eager.controller.gamma_neg)
        torch.testing.assert_close(compiled.loss.gamma_neg, eager.controller.gamma_neg)  # for what is not compiled
    assert eager.controller.gamma_neg > 1


def test_the_state_is_the_models():
    model = WithLoss()
    keys = set(model.state_dict())
    for logits, targets in batches():
        model(logits, targets)
    assert set(model.state_dict()) == keys == {"controller.gamma_neg", "controller.sums"}
    gamma_neg = model.controller.gamma_neg.clone()
    model.eval()
    assert model.controller.step(-logits, targets) == gamma_neg


def test_half_precision_and_devices():
    controller = AdaptiveAsymmetry(gamma_neg=1.2345678).half().to(torch.bfloat16).double()
    assert controller.gamma_neg.dtype == controller.sums.dtype == torch.float64 and controller.gamma_neg == torch.tensor(1.2345678)
    assert AdaptiveAsymmetry().half().sums.dtype == torch.float32
    assert controller.to("meta").sums.is_meta
    assert controller.to_empty(device="cpu").sums.shape == (4,)


@pytest.mark.parametrize("settings", [{"classes": 2.0}, {"classes": True}, {"classes": 0}, {"gamma_neg": "4"}, {"ignore_index": "none"}], ids=str)
def test_wrong_settings_are_named(settings):
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(settings))} is "):
        AdaptiveAsymmetry(**settings)


def test_a_sample_alone_and_a_class_each():
    (logits, targets), *_ = batches()
    controller = AdaptiveAsymmetry(classes=3)
    controller.step(logits[0], targets[0])
    assert controller.gamma_neg.shape == (3,)


@pytest.mark.parametrize("mark", [-1.0, torch.nan])
def test_ignored_labels_do_not_count(mark):
    (logits, targets), *_ = batches()
    left_out = torch.zeros_like(targets, dtype=torch.bool)
    left_out[:, 2] = True
    expected = AdaptiveAsymmetry(target=-0.5).step(logits[:, :2], targets[:, :2])
    torch.testing.assert_close(AdaptiveAsymmetry(target=-0.5).step(logits.masked_fill(left_out, torch.nan), targets, left_out), expected)
    torch.testing.assert_close(AdaptiveAsymmetry(target=-0.5, ignore_index=mark).step(logits, targets.masked_fill(left_out, mark)), expected)


def test_a_number_of_classes_from_numpy():
    assert AdaptiveAsymmetry(classes=np.int64(3)).gamma_neg.shape == (3,)
