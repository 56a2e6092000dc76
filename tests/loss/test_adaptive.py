"""The controller with several processes, with a compiled loss, and in a checkpoint."""
import io
from itertools import product

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given
from hypothesis import strategies as st

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


def one_rank(rank, world, file, classes, results):
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world)
    controller = AdaptiveAsymmetry(target=-0.5, rate=1.0, classes=classes)
    rows = slice(rank * 8 // world, (rank + 1) * 8 // world)
    gammas = [torch.as_tensor(controller.step(logits[rows], targets[rows])).tolist() for logits, targets in batches()]
    if rank == world - 1:
        results.put(gammas)
    dist.barrier()  # a process that exits early would break the connection of the other
    dist.destroy_process_group()


@pytest.mark.parametrize("classes", [None, 3])
def test_two_processes_compute_the_gammas_of_one(tmp_path, classes):
    gammas = []
    for world in [1, 2]:
        results = mp.get_context("spawn").SimpleQueue()
        mp.spawn(one_rank, (world, tmp_path / f"ranks-{world}", classes, results), nprocs=world)
        gammas.append(torch.tensor(results.get()))
    torch.testing.assert_close(*gammas)
    assert (gammas[0][1:] != gammas[0][:-1]).any()


@given(st.lists(st.tuples(st.floats(-30, 30), st.sampled_from([0.0, 1.0])), min_size=1, max_size=20), st.floats(0, 5), st.floats(-1, 0.9))
def test_one_step_follows_the_rule(labels, start, target):
    logits, targets = (torch.tensor(column) for column in zip(*labels))
    gamma_neg = AdaptiveAsymmetry(target, rate=0.5, gamma_neg=start, momentum=0).step(logits, targets)
    p, positive = logits.double().sigmoid(), targets == 1
    if positive.all() or not positive.any():
        assert gamma_neg == start
    else:
        gap = (1 - p[~positive]).mean() - p[positive].mean()
        assert gamma_neg == pytest.approx(min(max(start + 0.5 * (gap.item() - target), 0), 8), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precisions(dtype):
    (logits, targets), *_ = batches()
    expected = AdaptiveAsymmetry(target=-0.5, rate=1.0).step(logits.to(dtype).float(), targets)
    assert AdaptiveAsymmetry(target=-0.5, rate=1.0).step(logits.to(dtype), targets.bool()) == pytest.approx(expected, abs=1e-6)


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


def test_changing_a_tensor_in_place_does_not_recompile():
    torch._dynamo.reset()
    compilations = []

    def count(graph, inputs):
        compilations.append(graph)
        return graph.forward

    module = AsymmetricLossMultiLabel(gamma_neg=torch.zeros(()))
    loss = torch.compile(module, backend=count)
    controller = AdaptiveAsymmetry(target=-0.5, rate=1.0)
    for (logits, targets), _ in product(batches(), range(3)):
        module.gamma_neg.fill_(controller.step(logits, targets))
        torch.testing.assert_close(loss(logits, targets), module(logits, targets))
    assert controller.gamma_neg > 1 and len(compilations) == 1
