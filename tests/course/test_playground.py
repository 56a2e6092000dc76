"""The playground: its translated training compared with torch, and its use in a browser."""
import gzip
import re
import subprocess
import sys

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT
from sklearn.metrics import average_precision_score

from asl_explainer.course.playground.page import PLAYED, SETTINGS, Playground, look, programs, pull, recorded_run, trained
from asl_explainer.course.playground.world import GRID, LABELS, LOSSES, SHADED, STEPS, TESTED, Training, grid, inside, make_world, network, outline

PAGE = "learn/playground.html"
WORLD = make_world()


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


def of_loss(training, loss):
    "The settings that a program of this loss takes."
    return {key: training.settings[key].item() for key in ("gamma_neg", "gamma_pos", "clip")} if loss in PLAYED else {}


def formula(loss):
    return "ASL" if loss in PLAYED else loss


@pytest.mark.parametrize("loss", LOSSES)
def test_200_steps_in_javascript_are_those_of_torch(page, translated, loss):
    training = Training([WORLD], [PLAYED.get(loss, {})], loss)
    batches = [training.batch()]
    settings = {**of_loss(training, loss), "learning_rate": training.settings["learning_rate"].item()}
    begun = {key: value[0, 0].flatten().tolist() for key, value in training.state.items()}
    for _ in range(200):
        training.advance(1)
        batches.append(training.batch())
    inputs = [[batch[key][0, 0].flatten().tolist() for key in ("points", "targets")] for batch in batches[:200]]
    code = f"""([state, batches, settings]) => {{
      const step = {translated["step-" + formula(loss)]};
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
    training, random = Training([WORLD], [settings]), Training([WORLD], [{**settings, "start": 0.0}])
    given = {key: training.settings[key].item() for key in ("forgotten", "rarity")}
    starts = {"a_start": settings.get("start", 0.0), "b_start": 0.0}
    axis = {"axis": GRID[:48, 0], "shaded_axis": SHADED}
    computed = call(page, translated["begin"], {"points": WORLD.points, "uniforms": WORLD.uniforms, **axis, "weights": WORLD.weights, **given, **starts})
    expected = {"labels": training.labels[0, 0], "targets": training.targets[0, 0], "truth": training.test_labels[0, 0], "tested": GRID, "shaded": grid(SHADED)}
    weights = {f"{side}_weights": computed.pop(f"{side}_weights") for side in "ab"}
    assert_as_torch(computed, expected, 0)
    assert_as_torch(weights, {"a_weights": training.state["weights"][0, 0], "b_weights": random.state["weights"][0, 0]}, 1e-14)
    assert settings == {} or training.targets.sum() < 0.6 * training.labels.sum()


@pytest.mark.parametrize("rarity", [1.0, 6.0])
def test_the_outline_is_the_border_of_the_region(page, translated, rarity):
    "Shrunk towards its center the line is inside, grown it is outside."
    for label in range(LABELS):
        lines = outline(WORLD.regions, rarity, float(label))
        assert_as_torch(call(page, translated["outline"], {"rarity": rarity, "label": float(label)}), lines, 1e-9)
        if label % 4 < 3:
            center = WORLD.regions[label, :2, None]
            for part, line in lines.items():
                if line.isnan().all():
                    continue
                closer, wider = (inside((center + factor * (line - center)).T, WORLD.regions, rarity)[:, label] for factor in (0.99, 1.01))
                within, without = (closer, wider) if part == "outer" else (wider, closer)
                assert within.all() and not without.any(), (label, part)
        else:
            x, y, angle, _ = WORLD.regions[label]
            along, across = (torch.tensor([angle.cos(), angle.sin()]), torch.tensor([-angle.sin(), angle.cos()]))
            side = lines["outer"][:, 5] - torch.stack([x, y])
            assert inside((lines["outer"][:, 5] - 0.01 * side.sign() * across.abs() + 0.02 * along)[None], WORLD.regions, rarity)[0, label] or (side @ across).abs() < 0.02
        assert lines["inner"].isnan().all() == (label % 4 != 2)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_javascript_shows_is_what_torch_shows(page, translated, loss):
    training = Training([WORLD], [{"forgotten": 0.5, "gamma_pos": 1.0}], loss)
    training.advance(50)
    weights, batch = training.state["weights"][0, 0], {key: value[0, 0] for key, value in training.batch().items()}
    data = {"points": WORLD.points, "labels": training.labels[0, 0], "targets": training.targets[0, 0]}
    expected = look(weights, data, grid(SHADED), torch.tensor(5.0))
    assert_as_torch(call(page, translated["look"], {"weights": weights, **data, "shaded": grid(SHADED), "label": 5.0}), expected, 1e-9)
    settings = of_loss(training, loss)
    expected = pull(loss, weights, batch, **{key: torch.tensor(value, dtype=torch.float64) for key, value in settings.items()})
    assert_as_torch(call(page, translated["pull-" + formula(loss)], {"weights": weights, **batch, **settings}), expected, 1e-9)
    assert 0 < expected["forgotten_share"] < 60
    tested = {"logits": network(weights, GRID[:TESTED])}
    assert_as_torch(call(page, translated["test"], {"weights": weights, "points": GRID[:TESTED]}), tested, 1e-9)


@pytest.mark.slow
def test_the_run_of_the_file_is_what_a_training_gives():
    recorded, again = recorded_run()["scores"], trained([(0, SETTINGS)], STEPS)
    for number, side in enumerate("ab"):
        scores = torch.stack(again[side].scores)[:, 0, 0].mean(-1)
        torch.testing.assert_close(torch.from_numpy(recorded[number]).mean(-1).double(), scores, rtol=0, atol=0.003)  # processors round differently
        assert scores[-1] - scores[0] > 0.2


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
    return int(re.match(r"step (\d+)", figure.locator(".asl-bar output").inner_text())[1])


def choose(figure, name, option):
    figure.locator(f"select[name={name}]").select_option(option)


def press(figure, name):
    figure.get_by_role("button", name=name, exact=True).click()


def path_of(page, part):
    return page.locator(f"[id='play-{part}'] path").first.get_attribute("d")


def numbers_of(page, part):
    return [float(number) for number in re.findall(r"[\d.]+", path_of(page, part))]


def wait_for_frame(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def wait_for_step(page, condition, timeout=90_000):
    found = "Number(/step (\\d+)/.exec(document.querySelector('#play .asl-bar output').textContent)[1])"
    page.wait_for_function(f"() => {found} {condition}", timeout=timeout)


def wait_for_end(page):
    wait_for_step(page, "== 1000 && document.querySelector('[data-play=play]').textContent == 'Play'")


def test_the_page_opens_untrained_and_a_whole_run_ends_as_the_recorded_one(page, site_url):
    figure = opened(page, site_url)
    assert step_of(figure) == 0 and reading(figure).startswith("After 0 steps")
    press(figure, "Show the recorded run")
    recorded = reading(figure)
    assert step_of(figure) == 1000 and recorded.startswith("After 1000 steps")
    timeline = figure.get_by_label("step of the run")  # it knows the weights of the start and the end
    for key, step in (("ArrowLeft", 0), ("ArrowRight", 1000)):
        timeline.press(key)
        assert step_of(figure) == step and reading(figure).startswith(f"After {step} steps")
    assert reading(figure) == recorded
    lines = [numbers_of(page, f"progress-{side}-{part}") for side in "ab" for part in ("all", "rare")]
    press(figure, "Start over")
    choose(figure, "speed", "as fast as possible")
    press(figure, "Play")
    wait_for_end(page)
    assert reading(figure) == recorded
    again = [numbers_of(page, f"progress-{side}-{part}") for side in "ab" for part in ("all", "rare")]
    torch.testing.assert_close(torch.tensor(again), torch.tensor(lines), rtol=0, atol=0.011)  # of a pixel
    assert page.errors == []


def test_nothing_runs_before_play(page, site_url):
    page.add_init_script("const request = window.requestAnimationFrame; window.frames_requested = 0; window.requestAnimationFrame = (f) => { frames_requested++; return request(f); }")
    figure = opened(page, site_url)
    page.wait_for_timeout(300)
    before, frames = reading(figure), page.evaluate("frames_requested")
    page.wait_for_timeout(400)
    assert reading(figure) == before and page.evaluate("frames_requested") == frames


def test_nothing_runs_while_no_frame_is_drawn(page, site_url):
    "A browser requests no frames from a tab that is hidden."
    figure = opened(page, site_url)
    page.evaluate("window.requestAnimationFrame = () => 1")
    press(figure, "Play")
    page.wait_for_timeout(400)
    assert step_of(figure) == 0


def test_the_buttons(page, site_url):
    figure = opened(page, site_url)
    press(figure, "One step")
    assert step_of(figure) == 1 and reading(figure).startswith("After 1 steps")
    figure.get_by_role("button", name="One step").press("Enter")
    assert step_of(figure) == 2
    figure.get_by_role("button", name="Play").focus()
    page.keyboard.press("Space")
    wait_for_step(page, "> 30")
    press(figure, "Pause")
    stopped = step_of(figure)
    assert figure.locator("[data-live=announced]").inner_text() == reading(figure)
    page.wait_for_timeout(300)
    assert step_of(figure) == stopped and reading(figure).startswith(f"After {stopped} steps")
    press(figure, "Start over")
    assert step_of(figure) == 0 and page.errors == []


def test_sentence_and_lines_end_at_the_same_step_while_it_runs(page, site_url):
    figure = opened(page, site_url)
    choose(figure, "speed", "as fast as possible")
    page.evaluate("""() => {
      window.seen = [];
      const reading = document.querySelector('#play [data-live=reading]');
      const line = document.querySelector("[id='play-progress-b-all'] path");
      new MutationObserver(() => seen.push([reading.textContent, line.getAttribute('d')])).observe(reading, { childList: true });
    }""")
    press(figure, "Play")
    wait_for_step(page, "> 200")
    press(figure, "Pause")
    seen = page.evaluate("seen")
    left, scale = (page.evaluate("JSON.parse(document.querySelector('#play').dataset.facts).shapes['progress-b-all'][0]")[n] for n in (0, 1))
    checked = 0
    for text, line in seen:
        step, end = int(re.match(r"After (\d+) steps", text)[1]), float(re.findall(r"[\d.]+", line)[-2])
        assert abs(left + scale * step - end) <= 1.01 * scale * 20 if checked % 2 else True  # the sides are drawn in turn
        checked += abs(left + scale * step - end) < 0.02
    assert checked > 0.4 * len(seen) > 4


def test_the_timeline_goes_back_and_forth_through_the_run(page, site_url):
    figure = opened(page, site_url)
    choose(figure, "speed", "as fast as possible")
    press(figure, "Play")
    wait_for_step(page, "> 150")
    press(figure, "Pause")
    stopped, at_the_end = step_of(figure), [reading(figure), path_of(page, "progress-b-all"), path_of(page, "b-gradient-negative")]
    timeline = figure.get_by_label("step of the run")
    timeline.fill("100")
    assert step_of(figure) == 100 and reading(figure).startswith("After 100 steps")
    assert path_of(page, "progress-b-all").count("L") == 5 and path_of(page, "b-gradient-negative") != at_the_end[2]
    timeline.focus()
    page.keyboard.press("ArrowLeft")
    assert step_of(figure) == 80 and reading(figure).startswith("After 80 steps")
    timeline.fill("1000")
    assert step_of(figure) == stopped
    assert [reading(figure), path_of(page, "progress-b-all"), path_of(page, "b-gradient-negative")] == at_the_end
    assert page.errors == []


def test_a_slider_acts_on_its_side_within_a_frame(page, site_url):
    figure = opened(page, site_url)
    press(figure, "One step")
    before = [path_of(page, f"{side}-gradient-negative-curve") for side in "ab"]
    act = """() => new Promise((resolve) => {
      const slider = document.querySelector("#play [name=b_gamma_neg]");
      slider.value = 1;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      requestAnimationFrame(() => resolve(document.querySelector("[id='play-b-gradient-negative-curve'] path").getAttribute("d")));
    })"""
    assert page.evaluate(act) != before[1]
    assert path_of(page, "a-gradient-negative-curve") == before[0] and step_of(figure) == 1


def test_menu_and_sliders_of_a_loss_follow_each_other(page, site_url):
    figure = opened(page, site_url)
    loss, gamma, clip = (figure.locator(f"[name=a_{name}]") for name in ("loss", "gamma_neg", "clip"))
    for option, settings in {"ASL": ("4", "0.05"), "focal": ("2", "0"), "BCE": ("0", "0")}.items():
        choose(figure, "a_loss", option)
        wait_for_frame(page)
        assert (gamma.input_value(), clip.input_value()) == settings
    gamma.fill("3")
    wait_for_frame(page)
    assert loss.locator("option:checked").inner_text() == "ASL"
    choose(figure, "a_loss", "two-way")
    assert gamma.is_disabled() and not figure.locator("[name=b_gamma_neg]").is_disabled()
    press(figure, "One step")
    assert "with A (two-way)" in reading(figure) and path_of(page, "a-gradient-negative-curve") == ""
    choose(figure, "a_loss", "BCE")
    wait_for_frame(page)
    assert not gamma.is_disabled() and gamma.input_value() == "0"
    assert page.errors == []


def test_other_labels_and_starts_begin_both_trainings_again(page, site_url):
    figure = opened(page, site_url)
    press(figure, "One step")
    figure.locator("[name=forgotten]").fill("0.5")
    page.wait_for_function("() => document.querySelector('#play [data-live=reading]').textContent.includes('Forgotten labels hold')")
    assert reading(figure).startswith("After 0 steps") and step_of(figure) == 0
    page.wait_for_function("() => location.hash == '#play?forgotten=0.5'")
    page.reload()
    page.locator("#play [data-live=reading]", has_text="Forgotten labels hold").wait_for()
    assert "forgotten=0.5" in figure.locator("[data-live=code]").text_content()
    choose(figure, "a_start", "label frequencies")
    page.locator("#play [data-live=reading]", has_text=re.compile(r"positives hold (\d\d)% of A")).wait_for()
    a, b = (float(re.search(rf"([\d.]+) with {side}", reading(figure))[1]) for side in "AB")
    assert abs(a - b) < 0.05  # a start changes no order of a label's scores
    assert path_of(page, "a-gradient-negative") != path_of(page, "b-gradient-negative")


def test_where_no_label_is_rare_none_is_called_so(page, site_url):
    figure = opened(page, site_url)
    figure.locator("[name=rarity]").fill("1")
    page.wait_for_function("() => !document.querySelector('#play [data-live=reading]').textContent.includes('rare')")
    assert path_of(page, "progress-a-rare") == path_of(page, "progress-b-rare") == ""


def test_the_dotted_line_stands_where_guessing_would_score(page, site_url):
    figure = opened(page, site_url)
    for rarity, share in ((6, inside(GRID, WORLD.regions, 6.0)), (1, inside(GRID, WORLD.regions, 1.0))):
        figure.locator("[name=rarity]").fill(str(rarity))
        wait_for_frame(page)
        drawn = Playground(rarity=rarity)._repr_mimebundle_()["text/html"]
        expected = re.search(r'id="play-progress-chance">\s*<path d="([^"]*)"', drawn)[1]
        assert numbers_of(page, "progress-chance") == [float(number) for number in re.findall(r"[\d.]+", expected)]
        random = torch.rand(share.shape, generator=torch.Generator().manual_seed(0))
        guessed = torch.tensor([average_precision_score(y, p) for y, p in zip(share.T, random.T)]).mean()
        assert abs(share.mean() - guessed) < 0.01


def test_both_sides_have_the_same_views_and_all_fits_one_screen(page, site_url):
    page.set_viewport_size({"width": 1280, "height": 800})
    figure = opened(page, site_url)
    sides = [figure.locator(f"[data-side={side}]") for side in "ab"]
    sizes = [[panel.bounding_box() for panel in side.locator("svg").all()] for side in sides]
    for a, b in zip(*sizes, strict=True):
        assert (a["y"], a["width"], a["height"]) == (b["y"], b["width"], b["height"]) and a["x"] < b["x"]
    limits = "key => { const { shapes } = JSON.parse(document.querySelector('#play').dataset.facts); return JSON.stringify(Object.entries(shapes).filter(([name]) => name.startsWith(key)).map(([, shape]) => shape)); }"
    assert page.evaluate(limits, "a-") == page.evaluate(limits, "b-")
    for part in figure.locator(":is(.asl-transport, [data-side], .asl-scores, .asl-world)").all():
        box = part.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 800, (part, box)


def test_on_a_phone_a_side_stays_in_view_above_its_controls(new_context, site_url):
    page = new_context(viewport={"width": 375, "height": 800}, has_touch=True).new_page()
    figure = opened(page, site_url)
    for side in "ba":
        press(figure, side.upper())
        assert [part.get_attribute("data-side") for part in figure.locator("[data-side]:visible").all()] == [side, side]
        for control in figure.locator(f"[data-side={side}] :is(input, select)").all():
            control.evaluate("control => scrollTo(0, control.getBoundingClientRect().top + scrollY - 0.8 * innerHeight)")
            views = figure.locator(".asl-views").bounding_box()
            assert 0 <= views["y"] and views["y"] + views["height"] <= 0.8 * 800 + 1 and views["height"] <= 400, control.get_attribute("name")
    button, views = (figure.locator(part).bounding_box() for part in ("[data-play=play]", ".asl-views"))
    assert views["y"] <= button["y"] < views["y"] + 10 and button["height"] >= 44  # at hand while a control is moved
    for name in ("label", "forgotten", "rarity"):
        figure.locator(f"[name={name}]").evaluate("control => scrollTo(0, control.getBoundingClientRect().top + scrollY - 0.8 * innerHeight)")
        views = figure.locator(".asl-views").bounding_box()
        assert 0 <= views["y"] and views["y"] + views["height"] <= 0.8 * 800 + 1, name
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_the_square_is_shaded_in_the_color_of_positives(page, site_url):
    figure = opened(page, site_url)
    choose(figure, "label", "1, disc")
    press(figure, "Show the recorded run")
    choose(figure, "label", "1, disc")
    canvas = figure.locator("[data-side=b] canvas")
    pixels = "canvas => new Promise(done => requestAnimationFrame(() => { const { data } = canvas.getContext('2d').getImageData(0, 0, 24, 24); done([...data]); }))"
    light = torch.tensor(canvas.evaluate(pixels)).view(24, 24, 4)
    alpha = light[..., 3].flip(0).double() / 176  # from the bottom up
    region = Training([WORLD], [{}]).test_labels[0, 0, :, 0].view(24, 2, 24, 2)[:, 0, :, 0]
    assert (alpha * region).sum() / region.sum() > 2 * (alpha * (1 - region)).sum() / (1 - region).sum()
    page.locator(".quarto-color-scheme-toggle").first.click()
    page.wait_for_timeout(200)
    dark = torch.tensor(canvas.evaluate(pixels)).view(24, 24, 4)
    most = light[..., 3].flatten().argmax()
    assert (light.view(-1, 4)[most, :3] - dark.view(-1, 4)[most, :3]).abs().max() > 20


def test_a_line_has_the_color_of_its_loss(page, site_url):
    figure = opened(page, site_url)
    color = "name => getComputedStyle(document.querySelector(`[id='play-progress-${name}-all'] path`)).stroke"
    before = [page.evaluate(color, side) for side in "ab"]
    assert before[0] != before[1]
    choose(figure, "b_loss", "BCE")
    page.wait_for_function(f"before => ({color})('b') == before", arg=before[0])
    press(figure, "One step")
    choose(figure, "b_loss", "ASL")
    wait_for_frame(page)
    assert page.evaluate(color, "b") == before[0]  # of the loss that it was trained with


def test_with_reduced_motion_the_views_change_once_in_100_steps(new_context, site_url):
    page = new_context(reduced_motion="reduce").new_page()
    figure = opened(page, site_url)
    press(figure, "Play")
    page.evaluate("window.seen = []; new MutationObserver(() => seen.push(document.querySelector('#play .asl-bar output').textContent)).observe(document.querySelector('#play .asl-bar output'), { childList: true })")
    page.wait_for_function("() => window.seen.length >= 2", timeout=30_000)
    steps = [int(re.search(r"step (\d+)", text)[1]) for text in page.evaluate("seen")]
    assert steps[1] - steps[0] >= 100


def test_the_page_without_javascript(new_context, site_url):
    page = new_context(java_script_enabled=False).new_page()
    figure = opened(page, site_url)
    assert reading(figure).startswith("After 0 steps") and not figure.locator("form").is_visible()
    assert figure.locator("svg").count() == 7


def test_script_and_data_are_below_60_kb(site):
    scripts = re.findall(r"<script>(.*?)</script>", (site / PAGE).read_text(encoding="utf-8"), re.S)
    assert any("aslWorld" in script for script in scripts)
    assert len(gzip.compress("".join(scripts).encode())) < 60_000


def test_playgrounds_of_a_page_share_their_programs(page, site_url, site):
    text = (site / "api/playground/page.html").read_text(encoding="utf-8")
    assert text.count("window.aslWorld ??=") == 1 and text.count("aslPlayground(aslLive") == 2
    page.goto(f"{site_url}/api/playground/page.html")
    page.locator("#scores [data-play=step]").click()
    page.locator("#scores [data-live=reading]", has_text="After 1 steps").wait_for()
    assert page.locator("#whole [data-live=reading]").inner_text().startswith("After 0 steps")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_running_playground_is_accessible(new_context, site_url, scheme):
    for width in (1280, 375):
        page = new_context(color_scheme=scheme, viewport={"width": width, "height": 800}).new_page()
        figure = opened(page, site_url)
        press(figure, "One step")
        results = Axe().run(page, context="#play")
        assert results.violations_count == 0, results.generate_report()


def test_copy_as_python_is_a_script_that_gives_the_same(new_context, site_url):
    page = new_context(permissions=["clipboard-read", "clipboard-write"]).new_page()
    figure = opened(page, site_url, "#play?b_clip=0.1&a_loss=5&a_start=1")
    figure.locator("[data-live=code]", has_text="clip=0.1").wait_for(state="attached")
    press(figure, "Copy as Python")
    page.wait_for_function("() => document.querySelector('#play [data-live=announced]').textContent == 'Copied'")
    code = page.evaluate("navigator.clipboard.readText()")
    choose(figure, "speed", "as fast as possible")
    press(figure, "Play")
    wait_for_end(page)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (a, of_a), (b, of_b) = (line.split() for line in done.stdout.splitlines())
    assert f"test mAP is {float(of_a):.1f} with A ({a}) and {float(of_b):.1f} with B ({b})" in reading(figure)


def test_a_change_of_a_loss_after_a_run_is_not_credited_to_it(page, site_url):
    figure = opened(page, site_url)
    press(figure, "Show the recorded run")
    choose(figure, "b_loss", "focal")
    page.locator("#play [data-live=reading]", has_text="trained before a setting was changed").wait_for()
    press(figure, "Reset")
    page.locator("#play [data-live=reading]", has_text="After 1000 steps").wait_for()


def test_a_change_of_a_loss_during_a_run_belongs_to_it(page, site_url):
    figure = opened(page, site_url)
    choose(figure, "speed", "as fast as possible")
    press(figure, "Play")
    wait_for_step(page, "> 5")
    choose(figure, "a_loss", "two-way")
    page.locator("#play [data-live=reading]", has_text="After 1000 steps").wait_for(timeout=90_000)
    assert "with A (two-way)" in reading(figure)
    figure.locator("[name=b_gamma_neg]").fill("3")
    page.locator("#play [data-live=reading]", has_text="trained before a setting was changed").wait_for()


def test_a_link_in_the_text_sets_up_its_experiment_every_time(page, site_url):
    figure = opened(page, site_url)
    link = page.locator("main a[href='#play?forgotten=0.5']")
    for _ in range(2):
        link.click()
        page.locator("#play [data-live=reading]", has_text="After 0 steps").wait_for()
        page.locator("#play [data-live=reading]", has_text="Forgotten labels hold").wait_for()
        assert page.evaluate("document.querySelector('#play').getBoundingClientRect().top") < 200
        press(figure, "One step")
        assert step_of(figure) == 1
    page.go_back()
    page.wait_for_function("() => document.querySelector('#play [name=forgotten]').value == 0")


def test_start_over_is_shown_with_reduced_motion_too(new_context, site_url):
    page = new_context(reduced_motion="reduce").new_page()
    figure = opened(page, site_url)
    choose(figure, "speed", "as fast as possible")
    press(figure, "Play")
    wait_for_step(page, ">= 300")
    press(figure, "Start over")
    wait_for_step(page, "< 150", 10_000)
