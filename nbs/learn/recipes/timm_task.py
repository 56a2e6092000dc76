from timm.task import MultiLabelClassificationTask

from asl_explainer import AsymmetricLossMultiLabel


def multi_label_task(model, device=None):
    loss = AsymmetricLossMultiLabel(
        gamma_neg=4,
        gamma_pos=0,
        clip=0.05,
        eps=0,
        reduction="batchmean",
    )
    return MultiLabelClassificationTask(
        model, criterion=loss, device=device
    )
