"""Logits that are divided over two processes: the loss of one process, at half the memory."""
import re
import resource
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from conftest import recipe
from ranks import in_processes
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from asl_explainer.adaptive import AdaptiveAsymmetry
from asl_explainer.losses import AsymmetricLossMultiLabel, asymmetric_loss

PLACEMENTS = {"classes": Shard(1), "batch": Shard(0), "nothing": Replicate()}
SETTINGS = {
    "sum": {},
    "batchmean": {"reduction": "batchmean", "smoothing": 0.1},
    "per class": {"gamma_neg": torch.linspace(0, 4, 7), "clip": torch.linspace(0, 0.3, 7), "reduction": "mean"},
    "weighted": {"weight": torch.rand(7, generator=torch.Generator().manual_seed(3)), "pos_weight": torch.full((5, 1), 2.0), "ignore_index": -1, "reduction": "mean"},
    "masked": {"ignore_mask": torch.rand(5, 7, generator=torch.Generator().manual_seed(4)) < 0.3, "reduction": "mean"},
    "none": {"reduction": "none"},
}


def batch(marked):
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(5, 7, generator=generator), (torch.rand(5, 7, generator=generator) < 0.3).float()
    if marked:
        targets[2] = -1
    return logits, targets


def losses_and_gradients(rank, world, placement):
    mesh, results = init_device_mesh("cpu", (world,)), {}
    for name, settings in SETTINGS.items():
        for whole in [True, False]:
            logits, targets = batch("ignore_index" in settings and name == "weighted")
            logits = distribute_tensor(logits, mesh, [PLACEMENTS[placement]]).requires_grad_()
            loss = asymmetric_loss(logits, targets if whole else distribute_tensor(targets, mesh, [PLACEMENTS[placement]]), **settings)
            if name == "none":
                assert loss.placements == logits.placements and loss.shape == (5, 7)
                loss = loss.full_tensor()
            assert not isinstance(loss, DTensor)
            loss.sum().backward()
            assert logits.grad.placements == logits.placements
            results[f"{name}, {whole}"] = loss.detach(), logits.grad.full_tensor()
    return results


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_distributed_logits_have_the_loss_and_the_gradient_of_one_process(tmp_path, placement):
    for results in in_processes(2, losses_and_gradients, tmp_path, placement):
        for name, settings in SETTINGS.items():
            logits, targets = batch(name == "weighted")
            expected = asymmetric_loss(logits.requires_grad_(), targets, **settings)
            gradient = torch.autograd.grad(expected.sum(), logits)[0]
            for whole in [True, False]:
                torch.testing.assert_close(results[f"{name}, {whole}"], (expected, gradient), check_layout=False)


def gammas(rank, world, classes):
    mesh, controller = init_device_mesh("cpu", (world,)), AdaptiveAsymmetry(target=-0.5, rate=1.0, classes=classes)
    logits, targets = batch(marked=False)
    for placement in PLACEMENTS.values():
        controller.step(distribute_tensor(logits, mesh, [placement]), targets)
    return controller.state_dict()


@pytest.mark.parametrize("classes", [None, 7])
def test_the_controller_on_distributed_logits(tmp_path, classes):
    controller = AdaptiveAsymmetry(target=-0.5, rate=1.0, classes=classes)
    for _ in PLACEMENTS:
        controller.step(*batch(marked=False))
    for state in in_processes(2, gammas, tmp_path, classes):
        torch.testing.assert_close(state["gamma_neg"], controller.gamma_neg)


ROWS, CLASSES = 64, 250_000


def peak_memory():
    "The most bytes that this process has held so far."
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, ru_maxrss includes what the parent held
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def loss_of_shard(mesh, rows, classes, settings):
    local = [torch.zeros(rows, classes // mesh.size()) for _ in range(2)]
    logits, targets = (DTensor.from_local(x, mesh, [Shard(1)]) for x in local)
    before = peak_memory()
    asymmetric_loss(logits.requires_grad_(), targets, **settings).backward()
    return (peak_memory() - before) / local[0].numel()


def peak(rank, world, settings):
    "Bytes by which the loss of class-sharded logits, forward and backward, raises the peak, for each label of the shard."
    mesh = init_device_mesh("cpu", (world,))
    loss_of_shard(mesh, 1, 8, {})  # loads what the first call loads, and leaves no memory that the second could use
    return loss_of_shard(mesh, ROWS, CLASSES, settings)


@pytest.mark.parametrize("settings, most", [({}, 14), ({"gamma_neg": torch.full((CLASSES,), 2.5)}, 14), ({"ignore_index": -1}, 34)], ids=["numbers", "per class", "ignored"])
def test_a_process_needs_memory_for_its_shard_only(tmp_path, settings, most):
    # Slope and gradient alone take 8 bytes for each label, or 16 if a process held the whole of them.
    used = in_processes(2, peak, tmp_path, settings)
    assert all(8 < x < most for x in used), used


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(OrderedDict(body=torch.nn.Linear(8, 16), relu=torch.nn.ReLU(), head=torch.nn.Linear(16, 6)))


def samples():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 8, generator=generator), (torch.rand(4, 6, generator=generator) < 0.3).float()


def trained(model, loss, optimizer, inputs, targets):
    for _ in range(3):
        loss(model(inputs), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    return {name: (x.full_tensor() if isinstance(x, DTensor) else x).detach() for name, x in model.named_parameters()}


def trained_fully_sharded(rank, world):
    rows = slice(rank * 4 // world, (rank + 1) * 4 // world)
    return trained(*recipe("fully_sharded").prepare(network(), world, device="cpu"), *(x[rows] for x in samples()))


def trained_class_parallel(rank, world):
    model, loss = recipe("class_parallel").prepare(network(), init_device_mesh("cpu", (world,)))
    assert model(samples()[0]).placements == (Shard(1),)
    return trained(model, loss, torch.optim.AdamW(model.parameters()), *samples())


@pytest.mark.parametrize("train", [trained_fully_sharded, trained_class_parallel])
def test_a_divided_training_is_that_of_one_process(tmp_path, train):
    model = network()
    expected = trained(model, AsymmetricLossMultiLabel(gamma_pos=0, eps=0, reduction="batchmean"), torch.optim.AdamW(model.parameters()), *samples())
    for found in in_processes(2, train, tmp_path):
        torch.testing.assert_close(found, expected)
