"""The asymmetric loss in PaddlePaddle's own operations: its values and gradients, recorded for `test_parity.py`.

`make test-paddle` runs this file in an environment that has PaddlePaddle, and compares the results with
`data/paddle.json`. `--record` writes that file. `--port PATH` also compares a copy of the port: the class
`AsymmetricLossOptimizedWithLogit` in the file at that path, which may omit its imports."""
import argparse
import functools
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F

RECORDED = Path(__file__).parent / "data/paddle.json"

CASES = [
    {},
    {"gamma_neg": 2, "gamma_pos": 2, "clip": 0.0},
    {"gamma_neg": 2.5, "gamma_pos": 1.5, "clip": 0.3, "eps": 1e-3},
    {"gamma_neg": 4, "gamma_pos": 0, "clip": 0.2, "eps": 1e-8},
    {"gamma_neg": 0, "gamma_pos": 0},
    {"disable_paddle_grad_focal_loss": True},
]


def inputs():
    "Logits, the three kinds of targets, and a weight for each label, as lists."
    random = np.random.default_rng(3)
    logits = random.normal(0, 3, (4, 6))
    logits[0] = [-60, -20, -12, 12, 20, 60]
    soft = random.random((4, 6))
    positive = soft < 0.4
    positive[0] = [True, True, False, True, False, False]  # extreme logits, both right and wrong
    targets = {"binary": positive * 1.0, "smoothed": positive * 0.9 + 0.05, "soft": soft}
    return {
        "logits": logits.round(3).tolist(),
        "targets": {kind: values.round(3).tolist() for kind, values in targets.items()},
        "weights": random.uniform(0.5, 2, (4, 6)).round(3).tolist(),
    }


def loss_in_paddle(z, y, weights=None, gamma_neg=4, gamma_pos=1, clip=0.05, eps=1e-5, disable_paddle_grad_focal_loss=False):
    "The paper's equations 4 to 6 (arXiv 2009.14119) with the port's defaults, weighted and summed."
    p = F.sigmoid(z)
    p_m = F.relu(p - clip)
    loss_of_positive, loss_of_negative = (-paddle.log(paddle.clip(p_t, min=eps)) for p_t in (p, 1 - p_m))
    focusing_weight = (y * (1 - p) + (1 - y) * p_m) ** (y * gamma_pos + (1 - y) * gamma_neg)
    if disable_paddle_grad_focal_loss:
        focusing_weight = focusing_weight.detach()
    loss = focusing_weight * (y * loss_of_positive + (1 - y) * loss_of_negative)
    return (loss if weights is None else loss * weights).sum()


def value_and_gradient(loss, dtype, batch, kind, weighted):
    z, y, weights = (paddle.to_tensor(x, dtype=dtype) for x in (batch["logits"], batch["targets"][kind], batch["weights"]))
    z.stop_gradient = False
    value = loss(z, y, weights) if weighted else loss(z, y)
    return {"value": value.item(), "gradient": paddle.grad(value, z)[0].tolist()}


def compute(make, batch):
    "Value and gradient in every case; `make` turns the settings of a case into a loss."
    return [
        {"dtype": dtype, "settings": settings, "kind": kind, "weighted": weighted, **value_and_gradient(make(settings), dtype, batch, kind, weighted)}
        for dtype in ["float32", "float64"] for settings in CASES for kind in batch["targets"] for weighted in [False, True]
    ]  # fmt: skip


def compare(name, results, recorded, tolerances):
    "Print the difference from recorded results, relative to the largest number of each; return whether it is within the tolerances."
    agree = True
    for dtype, tolerance in tolerances.items():
        pairs = [(np.asarray(ours[part]), np.asarray(theirs[part])) for ours, theirs in zip(results, recorded, strict=True) if theirs["dtype"] == dtype for part in ["value", "gradient"]]
        largest = np.max([np.abs(ours - theirs).max() / np.abs(theirs).max() for ours, theirs in pairs])
        agree = agree and largest <= tolerance  # false for NaN
        print(f"{name}, {dtype}, {len(pairs) // 2} cases, value and gradient: largest difference {largest:.1e} (allowed: {tolerance:.0e})")
    return agree


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write the recorded results instead of comparing with them")
    parser.add_argument("--port", metavar="PATH", help="also compare the class in this file")
    options = parser.parse_args()

    batch = inputs()
    results = compute(lambda settings: functools.partial(loss_in_paddle, **settings), batch)
    if options.record:
        cases = ",\n".join(json.dumps(case) for case in results)
        RECORDED.write_text(f'{{"paddlepaddle": "{paddle.__version__}",\n"inputs": {json.dumps(batch)},\n"cases": [\n{cases}\n]}}\n')
    recorded = json.loads(RECORDED.read_text())
    assert recorded["inputs"] == batch, "the inputs have changed: run with --record"
    agree = compare("recorded", results, recorded["cases"], {"float32": 1e-5, "float64": 1e-12})
    if options.port:
        port = runpy.run_path(options.port, init_globals={"paddle": paddle, "nn": paddle.nn, "F": F, "np": np})["AsymmetricLossOptimizedWithLogit"]
        # It rounds its exponents to float32, regardless of the precision of the logits.
        agree &= compare("the port", compute(lambda settings: port(**settings), batch), recorded["cases"], {"float32": 1e-6, "float64": 1e-7})
    sys.exit(not agree)


if __name__ == "__main__":
    main()
