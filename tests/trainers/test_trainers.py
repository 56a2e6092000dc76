"""The recipes of the chapter "Use it", run in the trainers that they are for. `make test-trainers` installs these."""
from copy import deepcopy

import pytest
import torch
from conftest import recipe
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from asl_explainer import AdaptiveAsymmetry, AsymmetricLossMultiLabel, asymmetric_loss


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 8, generator=generator)
    return TensorDataset(inputs, (inputs[:, :5] > 1).float())


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 5))


def adaptive_classifier(model):
    "The recipe, with a controller."

    class AdaptiveClassifier(recipe("lightning_module").Classifier):
        def __init__(self, model):
            super().__init__(model)
            self.controller = AdaptiveAsymmetry(target=-0.5)  # so that gamma_neg rises from the first step on

        def training_step(self, batch, batch_index):
            inputs, targets = batch
            self.loss.gamma_neg = self.controller.step(self.model(inputs).detach(), targets)
            return super().training_step(batch, batch_index)

    return AdaptiveClassifier(model)


def test_lightning(tmp_path, data, model):
    import lightning

    classifier, loader = recipe("lightning_module").Classifier(model), DataLoader(data, 16)
    trainer = lightning.Trainer(max_epochs=2, accelerator="cpu", default_root_dir=tmp_path, logger=False, enable_progress_bar=False, enable_model_summary=False)
    before = model[0].weight.detach().clone()
    trainer.fit(classifier, loader, loader)
    assert (model[0].weight != before).any()
    assert trainer.logged_metrics["validation_loss"].isfinite() and 0 < trainer.logged_metrics["share_of_positives"] < 1


def test_lightning_keeps_a_controller(tmp_path, data, model):
    import lightning

    classifier = adaptive_classifier(model)
    options = {"accelerator": "cpu", "default_root_dir": tmp_path, "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    loader = DataLoader(data, 16)
    trainer = lightning.Trainer(max_epochs=2, **options)
    trainer.fit(classifier, loader, loader)
    gamma_neg = classifier.controller.gamma_neg.item()
    assert gamma_neg > 2
    trainer.validate(classifier, loader)
    assert classifier.controller.gamma_neg == gamma_neg  # evaluation changes nothing
    trainer.save_checkpoint(tmp_path / "last.ckpt")

    resumed = adaptive_classifier(model)
    assert resumed.controller.gamma_neg == 2
    lightning.Trainer(max_epochs=2, **options).fit(resumed, loader, loader, ckpt_path=tmp_path / "last.ckpt")  # nothing left to train
    assert resumed.controller.gamma_neg == gamma_neg


@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed", "bf16-true"])
def test_lightning_in_half_precision(tmp_path, data, model, precision):
    import lightning

    classifier = adaptive_classifier(model)
    trainer = lightning.Trainer(max_epochs=1, precision=precision, accelerator="cpu", default_root_dir=tmp_path, logger=False, enable_progress_bar=False)
    trainer.fit(classifier, DataLoader(data, 16), DataLoader(data, 16))
    assert classifier.controller.gamma_neg.dtype == torch.float32 and classifier.controller.gamma_neg > 0
    assert trainer.logged_metrics["validation_loss"].isfinite()


@pytest.fixture
def transformers_model():
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    small = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 8}
    return lambda: BertForSequenceClassification(BertConfig(**small, num_labels=5, problem_type="multi_label_classification", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))


@pytest.fixture
def sentences():
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(20, (32, 6), generator=generator)
    return [{"input_ids": row, "labels": torch.stack([(row == n).any() for n in range(5)]).float()} for row in words]


def test_hugging_face(tmp_path, transformers_model, sentences):
    from transformers import Trainer, TrainingArguments

    def trainer(model, **options):
        options = {"output_dir": str(tmp_path), "num_train_epochs": 2, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "report_to": [], "use_cpu": True, "save_steps": 8, "disable_tqdm": True, **options}
        return Trainer(model, TrainingArguments(**options), train_dataset=sentences, eval_dataset=sentences, compute_loss_func=adaptive(model))

    def adaptive(model):
        "The recipe, with a controller that is a part of the model."
        of_recipe, model.controller = recipe("hugging_face"), AdaptiveAsymmetry(target=-0.5)

        def compute_loss(outputs, labels, num_items_in_batch=None):
            of_recipe.loss.gamma_neg = model.controller.step(outputs.logits.detach(), labels)
            return of_recipe.compute_loss(outputs, labels, num_items_in_batch)

        return compute_loss

    model = transformers_model()
    trained = trainer(model)
    trained.train()
    gamma_neg = model.controller.gamma_neg.item()
    assert gamma_neg > 0
    loss = trained.evaluate()["eval_loss"]
    assert model.controller.gamma_neg == gamma_neg  # evaluation changes nothing
    with torch.no_grad():
        logits = model(torch.stack([s["input_ids"] for s in sentences])).logits
    targets = torch.stack([s["labels"] for s in sentences])
    assert loss == pytest.approx(asymmetric_loss(logits, targets, gamma_neg=gamma_neg, gamma_pos=0, eps=0, reduction="batchmean").item(), rel=1e-4)

    resumed = transformers_model()
    trainer(resumed).train(resume_from_checkpoint=True)  # nothing left to train
    assert resumed.controller.gamma_neg == gamma_neg


def test_hugging_face_accumulation_is_one_large_batch(tmp_path, transformers_model, sentences):
    from transformers import Trainer, TrainingArguments

    weights = []
    for size, steps in [(32, 1), (8, 4)]:
        torch.manual_seed(0)
        model = transformers_model()
        options = TrainingArguments(str(tmp_path / str(size)), max_steps=1, per_device_train_batch_size=size, gradient_accumulation_steps=steps, report_to=[], use_cpu=True, save_strategy="no", optim="sgd", learning_rate=1.0, disable_tqdm=True, max_grad_norm=0)
        Trainer(model, options, train_dataset=sentences, compute_loss_func=recipe("hugging_face").compute_loss).train()
        weights.append(model.classifier.weight.detach())
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-6)


def test_a_pretrained_model_that_holds_the_loss(tmp_path, transformers_model):
    from transformers import BertForSequenceClassification

    class WithLoss(BertForSequenceClassification):
        def __init__(self, config):
            super().__init__(config)
            self.asymmetric_loss = AsymmetricLossMultiLabel(gamma_neg=torch.full((5,), 2.0), weight=[1.0, 2, 3, 4, 5])
            self.controller = AdaptiveAsymmetry(target=-0.5, rate=1.0)

    model = WithLoss(transformers_model().config)
    gamma_neg = model.controller.step(torch.zeros(4, 5), torch.eye(4, 5))
    model.asymmetric_loss.gamma_neg.fill_(3.0)
    model.save_pretrained(tmp_path)
    loaded = WithLoss.from_pretrained(tmp_path)  # made on the meta device, then filled
    assert loaded.controller.gamma_neg == gamma_neg > 0 and loaded.asymmetric_loss.gamma_neg.tolist() == [3.0] * 5
    assert loaded.asymmetric_loss.weight.tolist() == [1, 2, 3, 4, 5]


def test_accelerate(data, model):
    from accelerate import Accelerator

    def weights(recipe_of_training, loader, **options):
        torch.manual_seed(0)
        copy = deepcopy(model)
        accelerator = Accelerator(cpu=True, **options)
        prepared = accelerator.prepare(copy, torch.optim.SGD(copy.parameters(), lr=0.1), loader)
        recipe_of_training(accelerator, *prepared)
        return copy[0].weight.detach()

    train = recipe("accelerate_loop").train
    accumulated, whole = weights(train, DataLoader(data, 16), gradient_accumulation_steps=2), weights(train, DataLoader(data, 32))
    torch.testing.assert_close(accumulated, whole)
    assert (whole != model[0].weight).any()


def test_fastai(data, model):
    from fastai.data.core import DataLoaders
    import fastai.callback.progress  # noqa: F401, gives a Learner no_bar
    from fastai.learner import Learner

    loss = recipe("fastai_loss").FastaiAsymmetricLoss(gamma_neg=4, gamma_pos=0, clip=0.05, eps=0, reduction="batchmean")
    loaders = DataLoaders.from_dsets(data, data, bs=16, shuffle=False)
    learner = Learner(loaders, model, loss_func=loss)
    with learner.no_bar(), learner.no_logging():
        learner.fit(1)
        probabilities, targets, decisions = learner.get_preds(with_decoded=True)
        losses = learner.get_preds(with_loss=True)[-1]
    with torch.no_grad():
        logits = learner.model(data.tensors[0])
    torch.testing.assert_close(torch.as_tensor(probabilities), logits.sigmoid())
    assert torch.equal(torch.as_tensor(decisions), logits > 0)
    torch.testing.assert_close(torch.as_tensor(losses), asymmetric_loss(logits, data.tensors[1], gamma_pos=0, eps=0, reduction="none").mean(1))


def test_fastai_predict(data, model):
    from fastai.data.block import DataBlock, MultiCategoryBlock, RegressionBlock
    import fastai.callback.progress  # noqa: F401, gives a Learner no_bar
    from fastai.learner import Learner

    classes = list("abcde")
    block = DataBlock(
        (RegressionBlock(n_out=8), MultiCategoryBlock(encoded=True, vocab=classes)), get_items=lambda source: list(range(len(source))),
        get_x=lambda n: data.tensors[0][n], get_y=lambda n: data.tensors[1][n].tolist(), splitter=lambda items: (items[:48], items[48:]),
    )  # fmt: skip
    learner = Learner(block.dataloaders(data, bs=16), model, loss_func=recipe("fastai_loss").FastaiAsymmetricLoss(gamma_neg=4, gamma_pos=0, clip=0.05, eps=0, reduction="batchmean"))
    with learner.no_bar(), learner.no_logging():
        learner.fit(3, lr=0.05)
        names, decisions, probabilities = learner.predict(int(data.tensors[1].sum(1).argmax()))
    assert (0 <= probabilities).all() and (probabilities <= 1).all() and torch.equal(decisions, probabilities > 0.5)
    assert list(names) == [name for name, decided in zip(classes, decisions) if decided]


def test_timm(data, model):
    from timm.loss import AsymmetricLossMultiLabel as Theirs

    task = recipe("timm_task").multi_label_task(model)
    inputs, targets = data[:]
    result = task(inputs, targets)
    theirs = Theirs(gamma_neg=4, gamma_pos=0, clip=0.05)
    torch.testing.assert_close(result["loss"], theirs(result["output"], targets))
    result["loss"].backward()
    assert model[0].weight.grad.isfinite().all()


def test_skorch(data):
    from skorch import NeuralNet

    inputs, targets = (x.numpy() for x in data.tensors)
    net = NeuralNet(nn.Linear, module__in_features=8, module__out_features=5, criterion=AsymmetricLossMultiLabel, criterion__gamma_neg=2.0, criterion__reduction="mean", max_epochs=3, verbose=0, train_split=None)
    net.fit(inputs, targets)
    assert net.history[-1]["train_loss"] < net.history[0]["train_loss"]


@pytest.mark.parametrize("settings", [{}, {"gamma_neg": torch.linspace(0, 4, 5), "reduction": "mean"}, {"reduction": "none", "eps": 0}], ids=["default", "per class", "none"])
def test_onnx(tmp_path, data, model, settings):
    import onnxruntime

    with torch.no_grad():
        logits = model(data.tensors[0])
    loss = AsymmetricLossMultiLabel(**settings)
    torch.onnx.export(loss, (logits, data.tensors[1]), dynamo=True).save(str(tmp_path / "loss.onnx"))
    session = onnxruntime.InferenceSession(str(tmp_path / "loss.onnx"))
    names = [node.name for node in session.get_inputs()]
    (found,) = session.run(None, dict(zip(names, [logits.numpy(), data.tensors[1].numpy()])))
    torch.testing.assert_close(torch.as_tensor(found), loss(logits, data.tensors[1]), rtol=1e-5, atol=1e-6)
