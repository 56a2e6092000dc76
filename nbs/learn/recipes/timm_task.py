from timm.task import MultiLabelClassificationTask

from asl_explainer.dropin.timm import AsymmetricLossMultiLabel


def multi_label_task(model, device=None):
    "timm's training task with this loss in place of `create_classification_loss('asl', multi_label=True)`; its numbers are the same."
    return MultiLabelClassificationTask(model, criterion=AsymmetricLossMultiLabel(gamma_neg=4, gamma_pos=1, clip=0.05), device=device)
