"""What a loss costs: forward and backward on a CPU, every contender in one run, medians and ratios.

Usage: python benchmarks/losses.py [--alibaba PATH]    PATH is the losses.py of a copy of Alibaba-MIIL/ASL

Prints a table and writes the same numbers to nbs/api/results/losses.json, which a page of the site shows."""
import argparse
import importlib.util
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/loss")]

from test_parity import load, load_torch_ecg  # noqa: E402 - the originals are loaded as the tests load them

from asl_explainer.course.trials import CANDIDATES  # noqa: E402
from asl_explainer.losses import AsymmetricLossMultiLabel  # noqa: E402

OURS = "asl_explainer"
SIZES = {"large": (128, 9605), "small": (64, 80)}


def batch(shape):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator)
    targets = (torch.rand(shape, generator=generator) < 0.03).float()
    return logits.requires_grad_(), targets


def medians(losses, logits, targets, runs):
    "Median milliseconds of forward and backward for each loss; they take turns, so that drift meets all alike."
    times = {name: [] for name in losses}
    for run in range(-3, runs):
        for name, loss in losses.items():
            logits.grad = None
            start = time.perf_counter()
            loss(logits, targets).backward()
            if run >= 0:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(each) for name, each in times.items()}


def alibaba_losses(path):
    spec = importlib.util.spec_from_file_location("alibaba_losses", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {f"Alibaba {name}": getattr(module, name)() for name in ["AsymmetricLoss", "AsymmetricLossOptimized"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alibaba", help="the losses.py of a copy of Alibaba-MIIL/ASL, to be measured as well")
    alibaba = parser.parse_args().alibaba

    def bce(logits, targets):
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")

    ours = AsymmetricLossMultiLabel()
    timm = load("timm", "timm/loss/asymmetric_loss.py", "timm_loss").AsymmetricLossMultiLabel(reduction="sum")
    torch_ecg = load_torch_ecg().AsymmetricLoss(reduction="sum")
    logits, targets = batch(SIZES["large"])
    soft, per_class = targets * 0.9 + 0.05, AsymmetricLossMultiLabel(gamma_neg=torch.full((targets.shape[1],), 4.0))
    # No two variants of ours follow each other, so that none finds the batch in the cache.
    large = {
        OURS: ours,
        "timm 1.0.31": timm,
        f"{OURS}, eps=0": AsymmetricLossMultiLabel(eps=0),
        "torch_ecg 0.0.33": torch_ecg,
        f"{OURS}, soft targets": lambda logits, _: ours(logits, soft),
        "BCE with logits": bce,
        **(alibaba_losses(alibaba) if alibaba else {}),
    }
    small = {OURS: ours, "timm 1.0.31": timm, "torch_ecg 0.0.33": torch_ecg, "BCE with logits": bce}
    results = {f"eager, large {SIZES['large']}": medians(large, logits, targets, runs=30), f"eager, small {SIZES['small']}": medians(small, *batch(SIZES["small"]), runs=300)}
    compiled = {f"{OURS}, compiled": torch.compile(ours), "timm 1.0.31, compiled": torch.compile(timm), "BCE with logits": bce}
    results["compiled, large"] = medians(compiled, logits, targets, runs=30)
    results[f"{OURS}, large, by kind of gamma"] = medians({"one for all classes": ours, "one for each class": per_class}, logits, targets, runs=30)
    results[f"{OURS}, by number of labels"] = {f"{count:,}": medians({OURS: ours}, *batch((count,)), runs=20)[OURS] for count in [10**4, 10**5, 10**6, 10**7]}

    others = {name: candidate.make(targets, **candidate.settings[-1]) for name, candidate in CANDIDATES.items() if not candidate.started}
    comparison = medians({"BCE with logits": bce, **others}, logits, targets, runs=30)

    machine = {"processor": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__, "python": platform.python_version()}
    for name, times in {**results, "losses of the comparison, large": comparison}.items():
        print(f"\n{name}")
        first = next(iter(times.values()))
        for contender, median in times.items():
            print(f"  {contender:28} {median:9.3f} ms  {median / first:7.2f} times the first")
    target = ROOT / "nbs/api/results/losses.json"
    target.parent.mkdir(exist_ok=True)
    rounded = {group: {name: round(median, 3) for name, median in times.items()} for group, times in {**results, "comparison": comparison}.items()}
    target.write_text(json.dumps({"machine": machine, "comparison": rounded.pop("comparison"), "milliseconds": rounded}, indent=1) + "\n")


if __name__ == "__main__":
    main()
