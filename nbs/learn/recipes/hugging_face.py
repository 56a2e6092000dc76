from asl_explainer import AdaptiveAsymmetry
from asl_explainer import AsymmetricLossMultiLabel


def add_loss(model):
    "What `Trainer(compute_loss_func=...)` takes."
    loss = model.asymmetric_loss = AsymmetricLossMultiLabel(
        gamma_pos=0, reduction="sum"
    )
    model.controller = AdaptiveAsymmetry(target=0.1)

    def compute_loss(outputs, labels, num_items_in_batch=None):
        logits = outputs.logits
        loss.gamma_neg = model.controller.step(logits, labels)
        count = num_items_in_batch
        if count is None:
            count = labels.numel()
        return loss(logits, labels) / count

    return compute_loss
