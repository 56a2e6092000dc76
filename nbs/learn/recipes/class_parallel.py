from torch.distributed.tensor import Shard
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

from asl_explainer import AsymmetricLossMultiLabel


def prepare(model, mesh, head="head"):
    "Divide the classes of the last linear layer over the processes. Its logits stay divided, and so does the loss."
    plan = {head: ColwiseParallel(output_layouts=Shard(-1), use_local_output=False)}
    return parallelize_module(model, mesh, plan), AsymmetricLossMultiLabel(reduction="mean")
