import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from asl_explainer import AsymmetricLossMultiLabel


def prepare(model, processes, device="cuda"):
    "Shard the parameters of each layer, then of the rest. The loss has no parameters and is not sharded."
    mesh = init_device_mesh(device, (processes,))
    for layer in model.children():
        if any(True for _ in layer.parameters()):
            fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model, AsymmetricLossMultiLabel(reduction="mean"), torch.optim.AdamW(model.parameters())
