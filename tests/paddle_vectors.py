"""The asymmetric loss in PaddlePaddle's own operations: its values and gradients, recorded for `test_parity.py`.

`make test-paddle` runs this file in an environment that has PaddlePaddle, and compares what it computes with
`data/paddle.json`. `--record` writes that file anew. `--port PATH` compares a copy of the port as well: the class
`AsymmetricLossOptimizedWithLogit` in the file at that path, which may leave out its imports."""
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
    "Logits, the three kinds of targets and weights of each label, as lists."
    random = np.random.default_rng(3)
    logits = random.normal(0, 3, (4, 6))
    logits[0] = [-60, -20, -12, 12, 20, 60]
    share = random.random((4, 6))
    present = share < 0.4
    present[0] = [True, True, False, True, False, False]  # missed, found, and mistaken for present, as far as can be
    targets = {"binary": present * 1.0, "smoothed": present * 0.9 + 0.05, "soft": share}
    return {
        "logits": logits.round(3).tolist(),
        "targets": {kind: values.round(3).tolist() for kind, values in targets.items()},
        "weights": random.uniform(0.5, 2, (4, 6)).round(3).tolist(),
    }


def loss_in_paddle(z, y, weights=None, gamma_neg=4, gamma_pos=1, clip=0.05, eps=1e-5, disable_paddle_grad_focal_loss=False):
    "The paper's equations 4 to 6 (arXiv 2009.14119) with the port's defaults, weighed and summed."
    p = F.sigmoid(z)
    p_m = F.relu(p - clip)
    present, absent = (-paddle.log(paddle.clip(right, min=eps)) for right in (p, 1 - p_m))
    focus = (y * (1 - p) + (1 - y) * p_m) ** (y * gamma_pos + (1 - y) * gamma_neg)
    if disable_paddle_grad_focal_loss:
        focus = focus.detach()
    each = focus * (y * present + (1 - y) * absent)
    return (each if weights is None else each * weights).sum()


def value_and_gradient(loss, dtype, given, kind, weighted):
    z, y, weights = (paddle.to_tensor(x, dtype=dtype) for x in (given["logits"], given["targets"][kind], given["weights"]))
    z.stop_gradient = False
    value = loss(z, y, weights) if weighted else loss(z, y)
    return {"value": value.item(), "gradient": paddle.grad(value, z)[0].tolist()}


def compute(make, given):
    "What a loss gives in every case; `make` turns the settings of a case into the loss."
    return [
        {"dtype": dtype, "settings": settings, "kind": kind, "weighted": weighted, **value_and_gradient(make(settings), dtype, given, kind, weighted)}
        for dtype in ["float32", "float64"] for settings in CASES for kind in given["targets"] for weighted in [False, True]
    ]  # fmt: skip


def agree(name, results, recorded, tolerances):
    "Whether results are those recorded, to a share of the largest number of each; says by how much they differ."
    good = True
    for dtype, tolerance in tolerances.items():
        pairs = [(np.asarray(ours[part]), np.asarray(theirs[part])) for ours, theirs in zip(results, recorded, strict=True) if theirs["dtype"] == dtype for part in ["value", "gradient"]]
        worst = np.max([np.abs(one - other).max() / np.abs(other).max() for one, other in pairs])
        good = good and worst <= tolerance  # NaN is not
        print(f"{name}, {dtype}, {len(pairs) // 2} cases, value and gradient: largest difference {worst:.1e} (allowed: {tolerance:.0e})")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write the vectors anew instead of comparing with them")
    parser.add_argument("--port", metavar="PATH", help="compare the class in this file as well")
    options = parser.parse_args()

    given = inputs()
    results = compute(lambda settings: functools.partial(loss_in_paddle, **settings), given)
    if options.record:
        cases = ",\n".join(json.dumps(case) for case in results)
        RECORDED.write_text(f'{{"paddlepaddle": "{paddle.__version__}",\n"inputs": {json.dumps(given)},\n"cases": [\n{cases}\n]}}\n')
    recorded = json.loads(RECORDED.read_text())
    assert recorded["inputs"] == given, "the inputs have changed: record the vectors anew"
    good = agree("recorded", results, recorded["cases"], {"float32": 1e-5, "float64": 1e-12})
    if options.port:
        port = runpy.run_path(options.port, init_globals={"paddle": paddle, "nn": paddle.nn, "F": F, "np": np})["AsymmetricLossOptimizedWithLogit"]
        # It rounds its exponents to float32, whatever the logits' precision.
        good &= agree("the port", compute(lambda settings: port(**settings), given), recorded["cases"], {"float32": 1e-6, "float64": 1e-7})
    sys.exit(not good)


if __name__ == "__main__":
    main()
