"""The other losses compared with timm's implementations, in value and gradient."""
import importlib.metadata
import importlib.util

import pytest
import torch

from asl_explainer.course.alternatives import distribution_balanced, two_way, zlpr

COUNTS = torch.tensor([20.0, 11, 7, 5, 3, 2, 1, 1])


@pytest.fixture(scope="module")
def timm():
    "timm's losses by file; timm is installed without what it needs, so its package cannot be imported."

    def load(name):
        path = importlib.metadata.distribution("timm").locate_file(f"timm/loss/{name}.py")
        spec = importlib.util.spec_from_file_location(f"timm_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def batch(seed, positives=0.2):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(30, 8, generator=generator), (torch.rand(30, 8, generator=generator) < positives).float()


def agree(ours, theirs, seed, positives=0.2):
    logits, labels = batch(seed, positives)
    results = []
    for loss in (ours, theirs):
        z = logits.clone().requires_grad_()
        value = loss(z, labels)
        results.append((value.detach(), *torch.autograd.grad(value, z)))
    for a, b in zip(*results):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("positives", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_zlpr(timm, seed, positives):
    agree(zlpr, timm("zlpr_loss").ZlprLoss(), seed, positives)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("seed", range(3))
def test_two_way(timm, seed, temperature):
    "Many samples have no positive."
    assert (batch(seed, 0.1)[1].sum(1) == 0).any()
    agree(lambda z, y: two_way(z, y, temperature), timm("two_way_loss").TwoWayLoss(tp=temperature), seed, 0.1)


@pytest.mark.parametrize("scale", [2.0, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_distribution_balanced(timm, seed, scale):
    theirs = timm("distribution_balanced_loss").DistributionBalancedLoss(COUNTS, 100, neg_scale=scale, reduction="batchmean")
    agree(lambda z, y: distribution_balanced(z, y, COUNTS, 100, scale), theirs, seed)
