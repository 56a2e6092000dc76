import torch

from asl_explainer import AdaptiveAsymmetry
from asl_explainer import AsymmetricLossMultiLabel


class WithLoss(torch.nn.Module):
    "A model that returns its loss."

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.loss = AsymmetricLossMultiLabel(
            gamma_pos=0, reduction="mean"
        )
        self.controller = AdaptiveAsymmetry(target=0.1)

    def forward(self, inputs, targets):
        logits = self.model(inputs)
        gamma_neg = self.controller.step(logits, targets)
        self.loss.gamma_neg = gamma_neg
        return self.loss(logits, targets)


def train(accelerator, model, optimizer, loader):
    "One epoch. `accelerator.prepare` has returned all three."
    model.train()
    for inputs, targets in loader:
        with accelerator.accumulate(model):
            accelerator.backward(model(inputs, targets))
            optimizer.step()
            optimizer.zero_grad()
