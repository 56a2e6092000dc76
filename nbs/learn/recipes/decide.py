"Nine short runs that show whether asymmetric loss suits your data."
import torch

from asl_explainer import AsymmetricLossMultiLabel, diagnose, start
from asl_explainer.course import datasets, scores

RATES, DECAY, CLIP, LEAD = (0.03, 0.01, 0.003), 0.01, 10, 2
BCE = {"gamma_neg": 0, "gamma_pos": 0, "clip": 0, "eps": 0}
ASL = {"gamma_neg": 4, "gamma_pos": 0, "clip": 0.05, "eps": 0}
LOSSES = {"BCE": BCE, "BCE, started": BCE, "ASL, started": ASL}


def make_model():  # replace: a new model and its output layer
    model = datasets.packages().network()
    return model, model[-1]


def batches(part):  # replace: one epoch of "train" or "validation"
    inputs, targets = getattr(datasets.packages(), part)
    for rows in torch.randperm(len(inputs)).split(64):
        yield inputs[rows], targets[rows]


def run(name, rate, settings):
    torch.manual_seed(0)  # the same weights and batches for each run
    model, output = make_model()
    loss = AsymmetricLossMultiLabel(**settings, reduction="batchmean")
    if "started" in name:
        start.start_biases(output, targets, loss=loss)
    groups = [{"params": w, "weight_decay": DECAY * (w.dim() > 1)}
              for w in model.parameters()]  # biases do not decay
    optimizer = torch.optim.AdamW(groups, lr=rate)
    for x, y in batches("train"):
        optimizer.zero_grad()
        loss(model.train()(x), y).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
    with torch.no_grad():
        both = [(model.eval()(x), y) for x, y in batches("validation")]
    z, y = (torch.cat(t).float().nan_to_num().cpu() for t in zip(*both))
    score = scores.mean_average_precision(z, y)
    p = z[y == 0].sigmoid().sort().values  # nine tenths are easy
    easy = {"easy": p[len(p) * 9 // 10].item(), "suspected": 1}
    report = diagnose.gradient_report(z, y, **settings, **easy)
    easy = report.of_negatives[0]
    print(f"{name:12}{rate:7.2g}{score:6.1f}{easy:5.0%}{norm:6.2f}")
    return score, z, y


def verdict(table, guess):  # from the score of each loss and rate
    asl = max((key for key in table if "ASL" in key[0]), key=table.get)
    bce = max((key for key in table if "BCE" in key[0]), key=table.get)
    lead, behind = table[asl] - table[bce], min(asl, bce, key=table.get)
    if max(table.values()) < 100 * guess + LEAD:
        return bce, "Stop: no run is much better than guessing."
    if behind[1] != RATES[1]:
        return bce, f"Stop: {behind[0]} is best at an end of RATES."
    best, word = (asl, "Go on with") if lead > LEAD else (bce, "Take")
    choice = f"{word} {best[0]} at {best[1]:.2g}."
    return best, f"{choice} ASL minus BCE: {lead:+.1f} points."


targets = torch.cat([y for _, y in batches("train")]).float()
print("loss           rate   mAP easy  norm")
runs = {(n, r): run(n, r, s) for n, s in LOSSES.items() for r in RATES}
best, text = verdict({k: v[0] for k, v in runs.items()}, targets.mean())
z, y = runs[best][1:]
p = scores.platt_scaling(z, y)(z).flatten()
cut = p.topk(int(y.sum())).values[-1]
print(f"{text}\nPlatt scaling, then predict labels with p >= {cut:.2f}")
torch.save({"logits": z, "targets": y}, "batch.pt")
print("asl-explainer diagnose batch.pt batch.pt --compare")
