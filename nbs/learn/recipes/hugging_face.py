from asl_explainer import AdaptiveAsymmetry, AsymmetricLossMultiLabel


def add_loss(model):
    "Give a model the loss and the controller, and return what `Trainer(compute_loss_func=...)` takes."
    model.asymmetric_loss = AsymmetricLossMultiLabel(gamma_pos=0, reduction="sum")
    model.controller = AdaptiveAsymmetry(target=0.1)  # optional; as part of the model it is saved, and rests during evaluation

    def compute_loss(outputs, labels, num_items_in_batch=None):
        model.asymmetric_loss.gamma_neg = model.controller.step(outputs.logits, labels)
        # The Trainer does not divide by gradient_accumulation_steps; it passes the number of labels of all accumulated batches.
        count = labels.numel() if num_items_in_batch is None else num_items_in_batch
        return model.asymmetric_loss(outputs.logits, labels) / count

    return compute_loss
