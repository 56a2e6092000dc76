"""The figures over recorded runs: their numbers computed again from the files, and their use in a browser."""
import json
import re

import pytest
import torch
from conftest import ROOT

from asl_explainer.course.recorded import (
    CONDITIONS,
    EXPONENTS,
    MARGINS,
    RACERS,
    batch_of,
    explore_batch,
    explore_race,
    explore_sweep,
    explore_trials,
)
from asl_explainer.course.trials import CANDIDATES, load_results
from asl_explainer.equation import asymmetric_loss_reference

RESULTS = ROOT / "nbs/learn/results"
LINES = {task: [json.loads(line) for line in (RESULTS / f"{task}.jsonl").read_text().splitlines()] for task in ("packages", "digits")}


@pytest.fixture(scope="module")
def results():
    return {task: load_results(RESULTS / f"{task}.jsonl") for task in LINES}


@pytest.fixture(scope="module")
def trials(results):
    return explore_trials(results)


def numbers_of(figure, **settings):
    return {name: value.item() for name, value in figure.values(**settings).items() if value.dim() == 0}


def mean_score(task, hidden, loss, settings, rate, epochs):
    "The mean of the seeds' best validation scores; None for what was not tried."
    wanted = {"task": task, "hidden": hidden, "loss": loss, "settings": settings, "learning_rate": rate}
    found = [line for line in LINES[task] if "test" not in line and wanted.items() <= line["trial"].items()]
    best = [max(line["validation"][:epochs]) for line in found]
    assert len(best) in (0, 3)
    return sum(best) / 3 if best else None


def scores_by_rate(task, hidden, loss, epochs, rates=(0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)):
    "For each rate that was tried the score of the better settings."
    of_rates = {rate: [mean_score(task, hidden, loss, settings, rate, epochs) for settings in CANDIDATES[loss].settings] for rate in rates}
    return {rate: max(score for score in scores if score is not None) for rate, scores in of_rates.items() if any(scores)}


@pytest.mark.parametrize("epochs", [1, 5, 17, 40])
@pytest.mark.parametrize("place", range(len(CONDITIONS)), ids=lambda place: CONDITIONS[place].text)
def test_the_numbers_of_the_trials_are_means_of_the_recorded_scores(trials, place, epochs):
    task, hidden, _ = CONDITIONS[place]
    scores = {key: scores_by_rate(task, hidden, racer.loss, epochs) for key, racer in RACERS.items()}
    tuned = numbers_of(trials, condition=place, epochs=epochs, shared=0)
    for key in RACERS:
        assert tuned[key] == pytest.approx(max(scores[key].values()), abs=0.051)
    rates = [rate for rate in scores["bce"] if all(rate in of_loss for of_loss in scores.values())]
    assert len(rates) >= 4
    for rate in rates:
        rate_of_slider = max(rate, 10**-3.5)  # where it begins
        shared = numbers_of(trials, condition=place, epochs=epochs, shared=1, rate=rate_of_slider)
        assert shared["at"] == rate
        for key in RACERS:
            assert shared[key] == pytest.approx(scores[key][rate], abs=0.051)
        assert shared["asl_one"] == pytest.approx(scores["asl"][rate] - scores["bce"][rate], abs=0.11)
        assert shared["asl_best"] == pytest.approx(tuned["asl"] - tuned["bce"])


def test_a_rate_that_was_not_tried_is_replaced_by_the_nearest(trials):
    assert [round(numbers_of(trials, condition=0, rate=rate)["at"], 4) for rate in (10**-3.5, 0.003, 0.1)] == [0.001, 0.003, 0.1]
    assert [round(numbers_of(trials, condition=3, rate=rate)["at"], 4) for rate in (10**-3.5, 0.003, 0.1)] == [0.0003, 0.003, 0.01]


@pytest.mark.parametrize("budget, epochs", [(0, 5), (1, 40)])
@pytest.mark.parametrize("task", LINES)
def test_the_numbers_of_the_map_are_means_of_the_recorded_scores(results, task, budget, epochs):
    grid = {(g, m): mean_score(task, 0.0, "ASL", {"gamma_neg": g, "clip": m}, 0.003, epochs) for g in EXPONENTS for m in MARGINS}
    best = max(grid, key=grid.get)
    found = numbers_of(explore_sweep(results), task=list(LINES).index(task), budget=budget)
    assert (found["best_gamma"], found["best_margin"]) == best
    assert [found[name] for name in ("bce", "published", "best")] == pytest.approx([grid[0, 0], grid[4, 0.05], grid[best]], abs=0.051)


def test_the_shares_of_the_batch_are_those_of_its_labels():
    record = json.loads((RESULTS / "batch.json").read_text())
    logits = torch.tensor([place / 10 - 10 for place, count in enumerate(record["negatives"]) for _ in range(count)], dtype=torch.float64)
    logits = torch.cat([torch.tensor(record["positives"], dtype=torch.float64), logits]).requires_grad_()
    targets = (torch.arange(len(logits)) < len(record["positives"])).double()
    asymmetric_loss_reference(logits, targets, gamma_neg=2.0, gamma_pos=1.0, clip=0.1, eps=1e-30).sum().backward()
    size, easy = logits.grad.abs(), logits.detach().sigmoid() < 0.2
    wanted = [size[group].sum().item() / size.sum().item() for group in (targets == 1, (targets == 0) & easy, (targets == 0) & ~easy)]
    found = numbers_of(explore_batch(batch_of(record)), gamma_neg=2, gamma_pos=1, clip=0.1)
    assert [found[group] / 100 for group in ("positives", "easy", "hard")] == pytest.approx(wanted)


def path_of(page, gid):
    return page.locator(f"[id='{gid}'] path").first.get_attribute("d")


def test_the_landing_figure_moves_at_the_first_touch(page, site_url):
    page.goto(f"{site_url}/index.html")
    assert page.get_by_role("button", name="Play").count() == 0
    parts = [f"batch-{part}" for part in ("loss-negative", "gradient-negative", "gradient-negatives", "shares-easy")]
    before = [path_of(page, part) for part in parts]
    page.locator("#batch input[name=gamma_neg]").evaluate("""async (slider) => {
        slider.value = 0;
        slider.dispatchEvent(new Event('input', { bubbles: true }));
        await new Promise(requestAnimationFrame);
    }""")
    assert all(path_of(page, part) != old for part, old in zip(parts, before))
    shares = explore_batch(batch_of(json.loads((RESULTS / "batch.json").read_text()))).sentence(gamma_neg=0)
    assert page.locator("#batch [data-live=reading]").inner_text() == shares


@pytest.mark.parametrize("height", [900, 800])
def test_two_sentences_the_formula_and_the_figure_are_on_the_first_screen(new_context, site_url, height):
    page = new_context(viewport={"width": 1280, "height": height}).new_page()
    page.goto(f"{site_url}/index.html")
    page.evaluate("document.fonts.ready")
    paragraph, formula = page.locator("main p", has_text="Asymmetric loss (ASL").bounding_box(), page.locator("main math[display=block]").first.bounding_box()
    figure = [page.locator(f"#batch {part}").bounding_box() for part in (".asl-panels", "form", "[data-live=reading]")]
    assert paragraph["y"] < formula["y"] < min(box["y"] for box in figure)
    assert max(box["y"] + box["height"] for box in figure) <= height


def heights_of(page, line):
    return [float(number) for number in re.findall(r"[ML]?[\d.]+ ([\d.]+)", path_of(page, line))]


def test_the_switch_of_the_race_moves_the_losses_to_one_rate(page, site_url, results):
    figure = explore_race(results["packages"], rates=(0.003, 0.1))
    page.goto(f"{site_url}/index.html")
    page.locator("#race select").select_option("1")
    page.locator("#race [data-live=reading]", has_text="all at 0.003").wait_for()
    assert page.locator("#race [data-live=reading]").inner_text() == figure.sentence(shared=1)
    shared = {key: heights_of(page, f"race-race-{key}") for key in RACERS}
    page.locator("#race select").select_option("0")
    page.locator("#race [data-live=reading]", has_text="each at its best rate").wait_for()
    tuned = {key: heights_of(page, f"race-race-{key}") for key in RACERS}
    assert len(tuned["bce"]) == 40 and all(low > high for low, high in zip(shared["bce"], tuned["bce"]))  # downwards in an SVG
    gaps = [max(bce - asl for bce, asl in zip(of["bce"][4:], of["asl"][4:])) for of in (shared, tuned)]
    assert gaps[0] > 4 * gaps[1] > 0


def test_one_map_is_in_sight(page, site_url):
    page.goto(f"{site_url}/learn/experiments.html")
    seen = """() => [...document.querySelectorAll('#sweep g[id$="-score"]')].filter((text) => {
        const [{ left, right }, frame] = [text, text.ownerSVGElement].map((it) => it.getBoundingClientRect());
        return left > frame.left && right < frame.right;
    }).map((text) => text.id)"""
    assert len(page.evaluate(seen)) == 16
    page.locator("#sweep select[name=task]").select_option("1")
    page.locator("#sweep [data-live=reading]", has_text="digits").wait_for()
    assert page.evaluate(seen) == [f"sweep-sweep-2-{row}{column}-score" for row in range(4) for column in range(4)]


def test_with_the_settings_of_bce_the_curves_lie_on_the_grey_ones():
    figure = explore_batch(batch_of(json.loads((RESULTS / "batch.json").read_text())))
    values = figure.values(**figure.presets["BCE"])
    for name in ("loss", "gradient"):
        grey = [part.points for part in figure.drawing[name].parts if isinstance(part.points, tuple)]
        for side, (_, heights) in zip(("positive", "negative"), grey, strict=True):
            torch.testing.assert_close(values[f"{name}-{side}"][1], heights)
