import torch

from asl_explainer import AdaptiveAsymmetry, AsymmetricLossMultiLabel


class WithLoss(torch.nn.Module):
    "A model that returns its loss, so that loss and controller are prepared, moved and saved with it."

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.loss = AsymmetricLossMultiLabel(gamma_pos=0, reduction="mean")
        self.controller = AdaptiveAsymmetry(target=0.1)  # optional

    def forward(self, inputs, targets):
        logits = self.model(inputs)
        self.loss.gamma_neg = self.controller.step(logits, targets)
        return self.loss(logits, targets)


def train(accelerator, model, optimizer, loader, epochs=1):
    "The model is `WithLoss`, and `accelerator.prepare` has returned all three."
    model.train()
    for _ in range(epochs):
        for inputs, targets in loader:
            with accelerator.accumulate(model):
                accelerator.backward(model(inputs, targets))
                optimizer.step()
                optimizer.zero_grad()
