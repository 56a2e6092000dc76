from asl_explainer import AsymmetricLossMultiLabel


class FastaiAsymmetricLoss(AsymmetricLossMultiLabel):
    threshold = 0.5

    def activation(self, logits):
        return logits.sigmoid()

    def decodes(self, probabilities):
        return probabilities > self.threshold
