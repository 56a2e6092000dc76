from asl_explainer import AsymmetricLossMultiLabel

loss = AsymmetricLossMultiLabel(
    gamma_neg=4, gamma_pos=0, clip=0.05, eps=0, reduction="sum"
)


def compute_loss(outputs, labels, num_items_in_batch=None):
    "What `Trainer(compute_loss_func=...)` takes."
    count = num_items_in_batch
    if count is None:
        count = labels.numel()
    samples = count / labels.shape[-1]
    return loss(outputs.logits, labels) / samples
