from asl_explainer import AsymmetricLossMultiLabel

loss = AsymmetricLossMultiLabel(
    gamma_neg=4,
    gamma_pos=0,
    clip=0.05,
    eps=0,
    reduction="batchmean",
)


def train(accelerator, model, optimizer, loader):
    "One epoch. `accelerator.prepare` has returned all three."
    model.train()
    for inputs, targets in loader:
        with accelerator.accumulate(model):
            accelerator.backward(loss(model(inputs), targets))
            optimizer.step()
            optimizer.zero_grad()
