"""What a type checker makes of the losses: the modules themselves, and code that uses them."""
import subprocess
import sys

from conftest import ROOT

# A line marked `type: ignore` must be an error, and no other may be.
USE = """
import torch
from torch import Tensor

from asl_explainer.dropin import alibaba, paddle, timm, torch_ecg
from asl_explainer.losses import AsymmetricLossMultiLabel, AsymmetricLossSingleLabel, asymmetric_loss

logits, targets = torch.zeros(2, 3), torch.zeros(2, 3)
loss: Tensor = asymmetric_loss(logits, targets, gamma_neg=torch.ones(3), clip=0, ignore_index=-1, reduction="mean")
asymmetric_loss(logits, targets, gamma_neg="4")  # type: ignore[arg-type]
asymmetric_loss(logits)  # type: ignore[call-arg]

module = AsymmetricLossMultiLabel(gamma_neg=torch.ones(3), pos_weight=2)
loss = module.forward(logits, targets)
module.gamma_neg = 2.5
module.gamma_neg = "2.5"  # type: ignore[assignment]
reduction: str = module.reduction
weight: float | Tensor | None = AsymmetricLossSingleLabel(weight=torch.ones(3)).weight

timm.AsymmetricLossMultiLabel(4, 1, None, smoothing=0.1)
alibaba.AsymmetricLossOptimized(clip=None)
torch_ecg.AsymmetricLoss(implementation="deep-psp")
paddle.AsymmetricLossOptimizedWithLogit().forward(logits, targets, weights=torch.ones(3))
timm.AsymmetricLossSingleLabel(smoothing=0.1)  # type: ignore[call-arg]
"""


def test_the_types_are_as_they_are_used(tmp_path, request):
    (tmp_path / "use.py").write_text(USE)
    cache = request.config.cache.mkdir("mypy")  # what it knows of torch takes a quarter of a minute to learn
    checked = [tmp_path / "use.py", ROOT / "asl_explainer/losses.py", *(ROOT / "asl_explainer/dropin").glob("*.py")]
    done = subprocess.run([sys.executable, "-m", "mypy", "--warn-unused-ignores", "--cache-dir", cache, *checked], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
