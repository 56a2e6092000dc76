from asl_explainer import AsymmetricLossMultiLabel


class FastaiAsymmetricLoss(AsymmetricLossMultiLabel):
    "The loss with what `Learner.predict` and `Learner.get_preds` ask of one: `Learner(dls, model, loss_func=FastaiAsymmetricLoss(reduction='mean'))`."

    threshold = 0.5

    def activation(self, logits):
        return logits.sigmoid()

    def decodes(self, probabilities):
        return probabilities > self.threshold
