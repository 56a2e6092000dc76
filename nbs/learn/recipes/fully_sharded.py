import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from asl_explainer import AsymmetricLossMultiLabel


def prepare(model, processes, device="cuda"):
    "Shard each layer, then the rest. The loss has no parameters."
    mesh = init_device_mesh(device, (processes,))
    for layer in model.children():
        if list(layer.parameters()):
            fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    loss = AsymmetricLossMultiLabel(
        gamma_neg=4,
        gamma_pos=0,
        clip=0.05,
        eps=0,
        reduction="batchmean",
    )
    optimizer = torch.optim.AdamW(model.parameters())
    return model, loss, optimizer
