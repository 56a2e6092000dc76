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
sys.path.insert(0, str(ROOT / "tests"))

from test_parity import load, load_torch_ecg  # noqa: E402 - the originals are loaded as the tests load them

from asl_explainer.losses import AsymmetricLossMultiLabel, asymmetric_loss  # noqa: E402

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


def contenders(alibaba):
    originals = {
        "timm 1.0.31": load("timm", "timm/loss/asymmetric_loss.py", "timm_loss").AsymmetricLossMultiLabel(reduction="sum"),
        "torch_ecg 0.0.33": load_torch_ecg().AsymmetricLoss(reduction="sum"),
    }
    if alibaba:
        spec = importlib.util.spec_from_file_location("alibaba_losses", alibaba)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        originals |= {f"Alibaba {name}": getattr(module, name)() for name in ["AsymmetricLoss", "AsymmetricLossOptimized"]}

    def bce(logits, targets):
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")

    return {OURS: AsymmetricLossMultiLabel(), "BCE with logits": bce, **originals}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alibaba", help="the losses.py of a copy of Alibaba-MIIL/ASL, to be measured as well")
    losses = contenders(parser.parse_args().alibaba)
    results = {}
    for size, shape in SIZES.items():
        results[f"eager, {size} {shape}"] = medians(losses, *batch(shape), runs=30 if size == "large" else 300)

    logits, targets = batch(SIZES["large"])
    compiled = {f"{name}, compiled": torch.compile(losses[name]) for name in [OURS, "timm 1.0.31"]}
    results["compiled, large"] = medians({**compiled, "BCE with logits": losses["BCE with logits"]}, logits, targets, runs=30)

    soft, gamma = targets * 0.9 + 0.05, torch.full((targets.shape[1],), 4.0)
    variants = {
        "0 or 1": asymmetric_loss,
        "soft targets": lambda logits, _: asymmetric_loss(logits, soft),
        "a gamma per class": lambda logits, targets: asymmetric_loss(logits, targets, gamma_neg=gamma),
        "eps=0": lambda logits, targets: asymmetric_loss(logits, targets, eps=0),
    }
    results["asl_explainer, large, by kind of input"] = medians(variants, logits, targets, runs=30)
    results["asl_explainer, by number of labels"] = {
        f"{count:,}": medians({OURS: losses[OURS]}, *batch((count,)), runs=20)[OURS] for count in [10**4, 10**5, 10**6, 10**7]
    }

    machine = {"processor": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__, "python": platform.python_version()}
    for name, times in results.items():
        print(f"\n{name}")
        first = next(iter(times.values()))
        for contender, median in times.items():
            print(f"  {contender:28} {median:9.3f} ms  {median / first:7.2f} times the first")
    target = ROOT / "nbs/api/results/losses.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"machine": machine, "milliseconds": {k: {n: round(t, 3) for n, t in v.items()} for k, v in results.items()}}, indent=1) + "\n")


if __name__ == "__main__":
    main()
