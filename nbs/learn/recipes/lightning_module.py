import lightning
import torch

from asl_explainer import AsymmetricLossMultiLabel
from asl_explainer.diagnose import gradient_report


class Classifier(lightning.LightningModule):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.loss = AsymmetricLossMultiLabel(
            gamma_neg=4,
            gamma_pos=0,
            clip=0.05,
            eps=0,
            reduction="batchmean",
        )

    def training_step(self, batch, batch_index):
        inputs, targets = batch
        return self.loss(self.model(inputs), targets)

    def on_validation_epoch_start(self):
        self.seen = []

    def validation_step(self, batch, batch_index):
        inputs, targets = batch
        logits = self.model(inputs)
        self.log("validation_loss", self.loss(logits, targets))
        self.seen.append((logits.float().cpu(), targets.cpu()))

    def on_validation_epoch_end(self):
        logits, targets = map(torch.cat, zip(*self.seen))
        report = gradient_report(
            logits, targets, gamma_neg=4, gamma_pos=0, clip=0.05
        )
        self.log("share_of_positives", report.shares[0].float())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)
