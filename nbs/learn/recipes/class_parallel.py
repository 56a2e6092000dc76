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
    return model, AsymmetricLossMultiLabel(reduction="mean")
