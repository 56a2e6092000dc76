import lightning
import torch

from asl_explainer import AdaptiveAsymmetry
from asl_explainer import AsymmetricLossMultiLabel
from asl_explainer.diagnose import gradient_report


class Classifier(lightning.LightningModule):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.loss = AsymmetricLossMultiLabel(
            gamma_pos=0, reduction="mean"
        )
        self.controller = AdaptiveAsymmetry(target=0.1)

    def training_step(self, batch, batch_index):
        inputs, targets = batch
        logits = self.model(inputs)
        gamma_neg = self.controller.step(logits, targets)
        self.loss.gamma_neg = gamma_neg
        self.log("gamma_neg", gamma_neg)
        return self.loss(logits, targets)

    def validation_step(self, batch, batch_index):
        inputs, targets = batch
        logits = self.model(inputs)
        gamma_neg = self.controller.gamma_neg
        self.loss.gamma_neg = gamma_neg
        self.log("validation_loss", self.loss(logits, targets))
        report = gradient_report(
            logits, targets, gamma_neg=gamma_neg, gamma_pos=0
        )
        self.log("share_of_positives", report.shares[0].float())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)
