from timm.task import MultiLabelClassificationTask

from asl_explainer.dropin.timm import AsymmetricLossMultiLabel


def multi_label_task(model, device=None):
    loss = AsymmetricLossMultiLabel(
        gamma_neg=4, gamma_pos=1, clip=0.05
    )
    return MultiLabelClassificationTask(
        model, criterion=loss, device=device
    )
