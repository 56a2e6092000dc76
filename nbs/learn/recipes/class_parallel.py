from torch.distributed.tensor import Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    parallelize_module,
)

from asl_explainer import AsymmetricLossMultiLabel


def prepare(model, mesh, head="head"):
    "Divide the classes of the last layer over the processes."
    divided = ColwiseParallel(
        output_layouts=Shard(-1), use_local_output=False
    )
    model = parallelize_module(model, mesh, {head: divided})
    loss = AsymmetricLossMultiLabel(
        gamma_neg=4,
        gamma_pos=0,
        clip=0.05,
        eps=0,
        reduction="batchmean",
    )
    return model, loss
