"""The playground: its translated training compared with torch, and its use in a browser."""
import gzip
import json
import re
import subprocess
import sys

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT
from sklearn.metrics import average_precision_score

from asl_explainer.course.playground.page import look, programs, recorded_run
from asl_explainer.course.playground.world import BCE, GRID, INITIAL, SHADED, STEPS, TESTED, Training, grid, make_world, network

PAGE = "learn/playground.html"
WORLD = make_world()
LOSSES = {"BCE": BCE, "focal": {**BCE, "gamma_neg": 2.0, "gamma_pos": 2.0}, "ASL": {"clip": 0.0}, "ASL with a margin": {}}


@pytest.fixture(scope="module")
def translated():
    return programs(WORLD)


def numbers(inputs):
    "Inputs of a program as JSON: numbers and flat lists."
    return {name: value if isinstance(value, float) else value.flatten().tolist() for name, value in inputs.items()}


def call(page, program, inputs):
    code = f"""(inputs) => {{
      for (const name in inputs) if (inputs[name].length) inputs[name] = Float64Array.from(inputs[name]);
      return Object.entries(({program})(inputs)).map(([name, value]) => [name, value.length === undefined ? [value] : [...value].map(String)]);
    }}"""
    return {name: torch.tensor([float(number) for number in value], dtype=torch.float64) for name, value in page.evaluate(code, numbers(inputs))}


def assert_as_torch(computed, expected, tolerance):
    "The largest difference is at most this part of the largest entry; what is NaN in one is NaN in the other."
    assert set(computed) == set(expected)
    for name, tensor in expected.items():
        tensor, other = tensor.flatten().nan_to_num(1e6), computed[name].nan_to_num(1e6)
        assert (other - tensor).abs().max() <= tolerance * tensor.abs().max(), name


@pytest.mark.parametrize("name", LOSSES)
def test_200_steps_in_javascript_are_those_of_torch(page, translated, name):
    training = Training([WORLD], [LOSSES[name]])
    batches = [training.batch()]
    settings = {key: training.settings[key].item() for key in ("gamma_neg", "gamma_pos", "clip", "learning_rate")}
    begun = {key: value[0, 0].flatten().tolist() for key, value in training.state.items()}
    for _ in range(200):
        training.advance(1)
        batches.append(training.batch())
    inputs = [[batch[key][0, 0].flatten().tolist() for key in ("points", "targets")] for batch in batches[:200]]
    code = f"""([state, batches, settings]) => {{
      const step = {translated["step"]};
      for (const key of ["weights", "mean", "square"]) state[key] = Float64Array.from(state[key]);
      for (const [points, targets] of batches) {{
        const next = step({{ ...state, points, targets, ...settings }});
        for (const key of ["weights", "mean", "square"]) state[key].set(next[key]);
        state.count = next.count;
      }}
      return Object.fromEntries(Object.entries(state).map(([key, value]) => [key, value.length ? [...value] : [value]]));
    }}"""
    state = page.evaluate(code, [{**begun, "count": 0}, inputs, settings])
    computed = {key: torch.tensor(value, dtype=torch.float64) for key, value in state.items()}
    assert_as_torch(computed, {key: value[0, 0] for key, value in training.state.items()}, 1e-9)
    assert computed["count"].item() == 200


@pytest.mark.parametrize("settings", [{}, {"forgotten": 0.6, "rarity": 2.5, "start": 1.0}])
def test_the_world_in_javascript_is_that_of_torch(page, translated, settings):
    training = Training([WORLD], [settings])
    given = {key: training.settings[key].item() for key in ("forgotten", "rarity", "start")}
    axis = GRID[:48, 0]
    computed = call(page, translated["begin"], {"points": WORLD.points, "uniforms": WORLD.uniforms, "axis": axis, "shaded_axis": SHADED, "weights": WORLD.weights, **given})
    expected = {"labels": training.labels[0, 0], "targets": training.targets[0, 0], "truth": training.test_labels[0, 0], "tested": GRID, "shaded": grid(SHADED)}
    weights = computed.pop("weights")
    assert_as_torch(computed, expected, 0)
    assert_as_torch({"weights": weights}, {"weights": training.state["weights"][0, 0]}, 1e-14)
    assert set(given.values()) == {0.0, 6.0} or training.targets.sum() < 0.6 * training.labels.sum()


def test_what_javascript_shows_is_what_torch_shows(page, translated):
    training = Training([WORLD], [{"forgotten": 0.5}])
    training.advance(50)
    weights, batch = training.state["weights"][0, 0], {key: value[0, 0] for key, value in training.batch().items()}
    data = {"points": WORLD.points, "labels": training.labels[0, 0], "targets": training.targets[0, 0]}
    settings = {"gamma_neg": 4.0, "gamma_pos": 1.0, "clip": 0.05}
    inputs = {"weights": weights, **data, "shaded": grid(SHADED), **{f"batch_{key}": value for key, value in batch.items()}, "label": 5.0, **settings}
    expected = look(weights, data, batch, grid(SHADED), torch.tensor(5.0), **{key: torch.tensor(value, dtype=torch.float64) for key, value in settings.items()})
    assert_as_torch(call(page, translated["look"], inputs), expected, 1e-9)
    tested = {"logits": network(weights, GRID[:TESTED])}
    assert_as_torch(call(page, translated["test"], {"weights": weights, "points": GRID[:TESTED]}), tested, 1e-9)
    assert 0 < expected["forgotten_share"] < 50


@pytest.mark.slow
def test_the_run_of_the_file_is_what_a_training_gives():
    recorded, training = recorded_run(STEPS, tuple(INITIAL.items())), Training([WORLD], [INITIAL, {**INITIAL, **BCE}])
    training.advance(STEPS)
    assert recorded.scored == training.scored
    scores, again = (100 * torch.stack(run.scores).mean(-1) for run in (recorded, training))
    torch.testing.assert_close(scores.double(), again.double(), rtol=0, atol=0.3)  # processors round differently
    assert (scores[-1] - scores[0] > 20).all()


def test_average_precision_is_that_of_scikit_learn(page):
    source = (ROOT / "asl_explainer/course/playground/playground.js").read_text(encoding="utf-8")
    function = re.search(r"  function averagePrecision\(.*?\n  }\n", source, re.S)[0]
    generator = torch.Generator().manual_seed(0)
    for ties in (False, True):
        scores = torch.randn(300, generator=generator, dtype=torch.float64)
        scores = scores.round() if ties else scores
        labels = (torch.rand(300, generator=generator) < 0.1).double()
        inputs = [scores.tolist(), labels.tolist()]
        computed = page.evaluate(f"([scores, labels]) => {{ {function} return averagePrecision(Float64Array.from(scores), Float64Array.from(labels)); }}", inputs)
        assert abs(computed - average_precision_score(labels.numpy(), scores.numpy())) < 1e-12


def opened(page, site_url, address=""):
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(f"{site_url}/{PAGE}{address}")
    return page.locator("#play")


def reading(figure):
    return figure.locator("[data-live=reading]").inner_text()


def step_of(figure):
    return int(re.search(r"batch of step (\d+)", reading(figure))[1])


def choose(figure, name, option):
    figure.locator(f"select[name={name}]").select_option(option)


def path_of(page, part):
    return page.locator(f"[id='play-{part}'] path").first.get_attribute("d")


def test_a_whole_run_ends_where_the_recorded_one_did(page, site_url):
    figure = opened(page, site_url)
    recorded = reading(figure)
    assert recorded.endswith("This is a recorded run: press Play to train here.") and step_of(figure) == 1000
    choose(figure, "speed", "as fast as possible")
    figure.get_by_role("button", name="Play").click()
    page.wait_for_function("() => /step 1000/.test(document.querySelector('#play [data-live=reading]').textContent) && document.querySelector('[data-play=play]').textContent == 'Play'", timeout=90_000)
    assert reading(figure) == recorded.removesuffix(" This is a recorded run: press Play to train here.")
    assert page.errors == []


def test_nothing_runs_before_play(page, site_url):
    page.add_init_script("const request = window.requestAnimationFrame; window.frames_requested = 0; window.requestAnimationFrame = (f) => { frames_requested++; return request(f); }")
    figure = opened(page, site_url)
    before = reading(figure)
    page.wait_for_timeout(400)
    assert reading(figure) == before and figure.locator("canvas").count() == 0 and page.evaluate("frames_requested") == 0


def test_nothing_runs_while_no_frame_is_drawn(page, site_url):
    "A browser requests no frames from a tab that is hidden."
    figure = opened(page, site_url)
    figure.get_by_role("button", name="Start over").click()
    page.evaluate("window.requestAnimationFrame = () => 1")
    figure.get_by_role("button", name="Play").click()
    page.wait_for_timeout(400)
    assert step_of(figure) == 0


def test_the_buttons(page, site_url):
    figure = opened(page, site_url)
    figure.get_by_role("button", name="One step").click()
    assert step_of(figure) == 1 and "recorded" not in reading(figure)
    figure.get_by_role("button", name="One step").press("Enter")
    assert step_of(figure) == 2
    figure.get_by_role("button", name="Play").focus()
    page.keyboard.press("Space")
    page.wait_for_function("() => Number(/batch of step (\\d+)/.exec(document.querySelector('#play [data-live=reading]').textContent)[1]) > 30")
    figure.get_by_role("button", name="Pause").click()
    stopped = step_of(figure)
    assert figure.locator("[data-live=announced]").inner_text() == reading(figure)
    page.wait_for_timeout(300)
    assert step_of(figure) == stopped
    assert re.search(r"After (\d+) steps", reading(figure))[1] == str(stopped // 20 * 20)
    figure.get_by_role("button", name="Start over").click()
    assert step_of(figure) == 0 and page.errors == []


def test_a_slider_acts_on_your_loss_within_a_frame(page, site_url):
    figure = opened(page, site_url)
    figure.get_by_role("button", name="One step").click()
    before = [path_of(page, part) for part in ("yours-gradient-negative-curve", "bce-gradient-negative-curve")]
    act = """() => new Promise((resolve) => {
      const slider = document.querySelector("#play [name=gamma_neg]");
      slider.value = 1;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      requestAnimationFrame(() => resolve(document.querySelector("[id='play-yours-gradient-negative-curve'] path").getAttribute("d")));
    })"""
    assert page.evaluate(act) != before[0]
    assert path_of(page, "bce-gradient-negative-curve") == before[1] and step_of(figure) == 1


def test_other_labels_start_both_trainings_over(page, site_url):
    figure = opened(page, site_url)
    figure.get_by_role("button", name="One step").click()
    figure.locator("[name=forgotten]").fill("0.5")
    page.wait_for_function("() => document.querySelector('#play [data-live=reading]').textContent.includes('Forgotten labels hold')")
    assert step_of(figure) == 0
    page.wait_for_function("() => location.hash == '#play?forgotten=0.5'")
    page.reload()
    page.locator("#play [data-live=reading]", has_text="Forgotten labels hold").wait_for()
    assert "forgotten=0.5" in figure.locator("[data-live=code]").text_content()


def test_which_training_is_shown_large(page, site_url):
    figure = opened(page, site_url)
    plane = {run: page.locator(f"#play [data-run={run}][data-view=plane]") for run in ("yours", "bce")}
    assert plane["yours"].bounding_box()["width"] > 1.3 * plane["bce"].bounding_box()["width"]
    choose(figure, "large", "BCE")
    page.wait_for_function("() => document.querySelector('#play').dataset.large == 1")
    assert plane["bce"].bounding_box()["width"] > 1.3 * plane["yours"].bounding_box()["width"]


def test_the_square_is_shaded_in_the_color_of_positives(page, site_url):
    figure = opened(page, site_url)
    choose(figure, "label", "1, disc")
    canvas = figure.locator("[data-run=yours][data-view=plane] canvas")
    canvas.wait_for(state="attached")
    pixels = "canvas => { const { data } = canvas.getContext('2d').getImageData(0, 0, 24, 24); return [...data]; }"
    light = torch.tensor(canvas.evaluate(pixels)).view(24, 24, 4)
    alpha = light[..., 3].flip(0).double() / 176  # from the bottom up
    inside = Training([WORLD], [{}]).test_labels[0, 0, :, 0].view(24, 2, 24, 2)[:, 0, :, 0]
    assert (alpha * inside).sum() / inside.sum() > 2 * (alpha * (1 - inside)).sum() / (1 - inside).sum()
    page.locator(".quarto-color-scheme-toggle").first.click()
    page.wait_for_timeout(200)
    dark = torch.tensor(canvas.evaluate(pixels)).view(24, 24, 4)
    most = light[..., 3].flatten().argmax()
    assert (light.view(-1, 4)[most, :3] - dark.view(-1, 4)[most, :3]).abs().max() > 20


def test_with_reduced_motion_the_views_change_once_in_100_steps(new_context, site_url):
    page = new_context(reduced_motion="reduce").new_page()
    figure = opened(page, site_url)
    figure.get_by_role("button", name="Play").click()
    page.evaluate("window.seen = []; new MutationObserver(() => seen.push(document.querySelector('#play [data-live=reading]').textContent)).observe(document.querySelector('#play [data-live=reading]'), { childList: true })")
    page.wait_for_function("() => window.seen.length >= 2", timeout=30_000)
    steps = [int(re.search(r"batch of step (\d+)", text)[1]) for text in page.evaluate("seen")]
    assert steps[1] - steps[0] >= 100


def test_the_page_without_javascript(new_context, site_url):
    page = new_context(java_script_enabled=False).new_page()
    figure = opened(page, site_url)
    assert "This is a recorded run" in reading(figure) and not figure.locator("form").is_visible()
    for run in ("yours", "bce"):
        assert path_of(page, f"progress-{run}-all").count("L") == 50
        assert figure.locator(f"[data-run={run}] svg image").count() == 1


def test_script_and_data_are_below_60_kb(site):
    scripts = re.findall(r"<script>(.*?)</script>", (site / PAGE).read_text(encoding="utf-8"), re.S)
    assert any("aslWorld" in script for script in scripts)
    assert len(gzip.compress("".join(scripts).encode())) < 60_000


def test_playgrounds_of_a_page_share_their_programs(page, site_url, site):
    text = (site / "api/playground/page.html").read_text(encoding="utf-8")
    assert text.count("window.aslWorld ??=") == 1 and text.count("aslPlayground(aslLive") == 2
    page.goto(f"{site_url}/api/playground/page.html")

    def first_dot():
        path = page.locator("[id='batch-yours-gradient-negative'] path").get_attribute("d")
        return [float(coordinate) for coordinate in re.match(r"M ?([\d.]+) ([\d.]+)", path).groups()]

    before = first_dot()
    page.locator("#batch [name=gamma_neg]").fill("1")
    page.locator("#batch [data-live=code]", has_text="gamma_neg=1").wait_for(state="attached")
    across, down = first_dot()
    assert abs(across - before[0]) < 0.1 and down < before[1] - 0.05 and "of your gradient in this batch" in reading(page.locator("#batch"))
    page.locator("#batch [data-play=step]").click()
    page.locator("#batch [data-live=reading]", has_text="batch of step 1,").wait_for()
    assert page.locator("#recorded form, #recorded script, #recorded [data-live]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_running_playground_is_accessible(new_context, site_url, scheme):
    page = new_context(color_scheme=scheme).new_page()
    figure = opened(page, site_url)
    figure.get_by_role("button", name="One step").click()
    results = Axe().run(page, context="#play")
    assert results.violations_count == 0, results.generate_report()


def test_copy_as_python_is_a_script_that_gives_the_same(new_context, site_url):
    page = new_context(permissions=["clipboard-read", "clipboard-write"]).new_page()
    figure = opened(page, site_url, "#play?clip=0.1")
    figure.locator("[data-live=code]", has_text="clip=0.1").wait_for(state="attached")
    figure.get_by_role("button", name="Copy as Python").click()
    page.wait_for_function("() => document.querySelector('#play [data-live=announced]').textContent == 'Copied'")
    code = page.evaluate("navigator.clipboard.readText()")
    choose(figure, "speed", "as fast as possible")
    figure.get_by_role("button", name="Play").click()
    page.wait_for_function("() => /After 1000 steps/.test(document.querySelector('#play [data-live=reading]').textContent)", timeout=90_000)
    done = subprocess.run([sys.executable, "-c", f"{code.replace('print(', 'import json; print(json.dumps((')}.tolist()))".replace("  # your test mAP, and BCE's", "")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    yours, bce = json.loads(done.stdout)[0]
    assert f"test mAP is {yours:.1f} with your loss and {bce:.1f} with BCE" in reading(figure)


def test_a_change_of_the_loss_after_a_run_is_not_credited_to_it(page, site_url):
    figure = opened(page, site_url)
    figure.get_by_role("button", name="BCE", exact=True).click()
    page.locator("#play [data-live=reading]", has_text="trained before the loss was changed").wait_for()
    assert "ahead" not in reading(figure)
    figure.get_by_role("button", name="Reset", exact=True).click()
    page.locator("#play [data-live=reading]", has_text="Your loss is ahead").wait_for()


def test_a_change_of_the_loss_during_a_run_belongs_to_it(page, site_url):
    figure = opened(page, site_url)
    choose(figure, "speed", "as fast as possible")
    figure.get_by_role("button", name="Play").click()
    page.wait_for_function("() => /batch of step [1-9]/.test(document.querySelector('#play [data-live=reading]').textContent)")
    figure.locator("[name=gamma_neg]").fill("2")
    page.locator("#play [data-live=reading]", has_text="After 1000 steps").wait_for(timeout=90_000)
    assert "Your loss is ahead" in reading(figure)
    figure.locator("[name=gamma_neg]").fill("3")
    page.locator("#play [data-live=reading]", has_text="trained before the loss was changed").wait_for()


def test_a_link_in_the_text_sets_up_its_experiment_every_time(page, site_url):
    figure = opened(page, site_url)
    link = page.locator("main a[href='#play?forgotten=0.5']")
    for _ in range(2):
        link.click()
        page.locator("#play [data-live=reading]", has_text="batch of step 0,").wait_for()
        assert "Forgotten labels hold" in reading(figure) and page.evaluate("document.querySelector('#play').getBoundingClientRect().top") < 200
        figure.get_by_role("button", name="One step").click()
        assert step_of(figure) == 1
    page.go_back()
    page.wait_for_function("() => document.querySelector('#play [name=forgotten]').value == 0")


def test_start_over_is_shown_with_reduced_motion_too(new_context, site_url):
    page = new_context(reduced_motion="reduce").new_page()
    figure = opened(page, site_url)
    choose(figure, "speed", "as fast as possible")
    figure.get_by_role("button", name="Play").click()
    page.wait_for_function("() => Number(/batch of step (\\d+)/.exec(document.querySelector('#play [data-live=reading]').textContent)?.[1]) >= 300", timeout=30_000)
    figure.get_by_role("button", name="Start over").click()
    page.wait_for_function("() => Number(/batch of step (\\d+)/.exec(document.querySelector('#play [data-live=reading]').textContent)?.[1]) < 150", timeout=10_000)
