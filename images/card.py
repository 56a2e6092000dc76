"""Draws card.png, which a link to the site shows elsewhere. `make notebooks` runs it."""
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import torch

from asl_explainer.course.curves import label_curve

matplotlib.use("Agg")
p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
figure, axes = plt.subplots(figsize=(12, 6.3), dpi=100, layout="constrained")
for name, line, settings in [("BCE", ":", {"gamma_neg": 0, "clip": 0}), ("focal loss", "--", {"gamma_neg": 2, "clip": 0}), ("asymmetric loss", "-", {"gamma_neg": 4, "clip": 0.05})]:
    axes.plot(p, label_curve(p.logit(), 0, **settings)[1], line, linewidth=5, label=name)
axes.set_title("Asymmetric loss, explained by running it", fontsize=34, loc="left", pad=24)
axes.set_xlabel("probability of a label that is absent", fontsize=24)
axes.set_ylabel("gradient", fontsize=24)
axes.tick_params(labelsize=18)
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=24)
figure.savefig(Path(__file__).with_name("card.png"), metadata={"Software": None})
