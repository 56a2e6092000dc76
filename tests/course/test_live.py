"""Live figures: the generated JavaScript compared with torch, and their use in a browser."""
import hashlib
import re
import shutil
import subprocess
from base64 import b64encode

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT

from asl_explainer.course.curves import label_curve
from asl_explainer.course.explore import explore_parameter, explore_probability
from asl_explainer.course.figures import losses_plot, meaning_plot, probability_plot
from asl_explainer.course.torch2js import to_javascript

COURSE = ROOT / "asl_explainer/course"


def compute_in_browser(page, function, columns):
    "The results for each row of settings."
    rows = [dict(zip(columns, row)) for row in zip(*(column.tolist() for column in columns.values()))]
    code = to_javascript(function, rows[0])
    flat = "(result) => Object.values(result).flatMap((value) => value.length === undefined ? [value] : [...value])"
    results = page.evaluate(f"(rows) => {{ const program = {code}; return rows.map((row) => ({flat})(program(row))); }}", rows)
    return torch.tensor(results, dtype=torch.float64)


@pytest.mark.parametrize("plot", [losses_plot, meaning_plot])
def test_javascript_of_a_plot_matches_torch(page, plot):
    "At the initial settings and at others over the ranges of the sliders, ends included."
    torch.manual_seed(0)
    plot = plot()
    ranges = {slider.name: (slider.low, slider.high) if hasattr(slider, "low") else (0, 1) for slider in plot.sliders}
    columns = {name: torch.cat([torch.tensor([plot.settings[name], low, high]), low + (high - low) * torch.rand(30)]).double() for name, (low, high) in ranges.items()}
    columns = {name: column.round() if name == "show" else column for name, column in columns.items()}
    results = compute_in_browser(page, plot.points, columns)
    expected = torch.stack([torch.cat([value.flatten() for value in plot.points(**dict(zip(columns, row))).values()]) for row in zip(*columns.values())])
    torch.testing.assert_close(results, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.skipif(shutil.which("node") is None, reason="node, which checks the syntax, is not installed")
@pytest.mark.parametrize("name", ["live.js", "program.js", "figure.js"])
def test_node_accepts_the_scripts(tmp_path, name):
    plot = probability_plot()
    scripts = {
        "live.js": (COURSE / "live.js").read_text(encoding="utf-8"),
        "program.js": f"const program = {to_javascript(plot.points, plot.settings)};",
        "figure.js": scripts_of(explore_probability().live._repr_html_())[-1],
    }
    (tmp_path / name).write_text(scripts[name], encoding="utf-8")
    done = subprocess.run(["node", "--check", tmp_path / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_figure_embeds_its_files_unchanged():
    html = explore_probability().live._repr_html_()
    script, style = (COURSE / "live.js").read_text(encoding="utf-8"), (COURSE / "live.css").read_text(encoding="utf-8")
    assert html.count(f"<script>\n{script}</script>") == html.count(f"<style>\n{style}</style>") == 1
    assert not re.search("</?script|<!--", script, re.IGNORECASE), "a browser would not read this script to its end"


def test_text_cannot_end_a_script():
    explorer = explore_probability()
    explorer.live.presets = {"</script><script>alert(1)</script>": {"clip": 0.1}}
    assert len(scripts_of(explorer.live._repr_html_())) == 2


PAGE = "learn/timm_docs.html"
EXPLORERS = "api/explore.html"


def path_of(page, figure, gid):
    return page.locator(f"[id='{figure}-{gid}'] path").first.get_attribute("d")


def slider(page, figure, name):
    return page.locator(f"#{figure} input[name={name}]")


def test_arrow_keys_move_this_figure_and_no_other(page, site_url):
    page.goto(f"{site_url}/{PAGE}")
    before = {figure: path_of(page, figure, "loss-batch") for figure in ["with-smoothing", "along-clip"]}
    slider(page, "with-smoothing", "eps").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("before => document.querySelector('[id=with-smoothing-loss-batch] path').getAttribute('d') != before", arg=before["with-smoothing"])
    assert page.locator("#with-smoothing output").last.inner_text() == "0.11"
    assert path_of(page, "along-clip", "loss-batch") == before["along-clip"]


def test_the_page_draws_the_same_curves_as_matplotlib(page, site_url):
    page.goto(f"{site_url}/{EXPLORERS}")
    lines = ["loss-positive", "loss-negative", "gradient-positive", "gradient-negative"]

    def numbers(line):
        return [float(number) for number in re.findall(r"-?[\d.]+", path_of(page, "explore-probability", line))]

    saved, path_of_start = {line: numbers(line) for line in lines}, path_of(page, "explore-probability", "loss-negative")
    page.locator("#explore-probability [data-live=reset]").click()
    page.wait_for_function("before => document.querySelector('[id=explore-probability-loss-negative] path').getAttribute('d') != before", arg=path_of_start)
    for line in lines:
        drawn = numbers(line)
        # matplotlib merges points on a straight line, to a tenth of a pixel, and drops points far outside the axes.
        inside = [(x, y) for x, y in zip(saved[line][::2], saved[line][1::2]) if y > 0]
        assert len(inside) > (1 if line == "gradient-positive" else 20)  # which is straight for gamma_pos 0
        np.testing.assert_allclose(np.interp([x for x, _ in inside], drawn[::2], drawn[1::2]), [y for _, y in inside], atol=0.2)
    slider(page, "explore-probability", "gamma_neg").fill("2")
    slider(page, "explore-probability", "clip").fill("0.2")
    page.locator("#explore-probability [data-live=reading]", has_text="p = 0.839, with a gradient of 0.329").wait_for()


def test_dragging_moves_the_curve(page, site_url):
    page.goto(f"{site_url}/{EXPLORERS}")
    handle = slider(page, "explore-probability", "gamma_neg")
    before = path_of(page, "explore-probability", "loss-negative")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    page.wait_for_function("before => document.querySelector('[id=explore-probability-loss-negative] path').getAttribute('d') != before", arg=before)
    assert float(handle.input_value()) > 6


def drag(page, box, across):
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + across, y + 20, steps=5)
    page.mouse.up()


def test_a_label_can_be_dragged(page, site_url):
    page.goto(f"{site_url}/learn/gradients.html")
    dog, name = page.locator("[id=gradient-peak-gradient-dog] use"), page.locator("[id=gradient-peak-gradient-dog-name]")
    dog.scroll_into_view_if_needed()
    before, named = dog.bounding_box(), name.bounding_box()
    assert abs(before["x"] + before["width"] / 2 - named["x"] - named["width"] / 2) < 3 and named["y"] < before["y"]
    drag(page, before, 60)
    page.wait_for_function("() => location.hash.includes('p_dog')")
    after, renamed = dog.bounding_box(), name.bounding_box()
    assert abs(after["x"] - before["x"] - 60) < 3 and abs(renamed["x"] - named["x"] - 60) < 3
    assert after["y"] < before["y"] - 5 and renamed["y"] < named["y"] - 5  # up the curve
    p = slider(page, "gradient-peak", "p_dog").input_value()
    gradient = label_curve(torch.tensor([float(p)], dtype=torch.float64).logit(), 0, gamma_neg=4, clip=0.05)[1].item()
    assert f"dog {gradient:.2f}," in page.locator("#gradient-peak [data-live=reading]").inner_text()
    drag(page, after, 5000)
    page.wait_for_function("() => location.hash.includes('p_dog=0.99')")  # not beyond the axes
    page.locator("#gradient-peak [data-live=reset]").click()
    page.wait_for_function("() => !location.hash.includes('p_dog')")
    assert abs(dog.bounding_box()["x"] - before["x"]) < 1


def test_panels_are_stacked_on_a_phone(new_context, site_url):
    for width, stacked in [(1280, False), (375, True)]:
        page = new_context(viewport={"width": width, "height": 800}).new_page()
        page.goto(f"{site_url}/{PAGE}")
        loss, gradient = (page.locator(f"#along-clip svg:has([id=along-clip-{name}])").bounding_box() for name in ("loss-batch", "gradient-positives"))
        below = gradient["y"] >= loss["y"] + loss["height"]
        assert below == stacked and (stacked or gradient["y"] == loss["y"])


def test_presets_reset_and_copy(new_context, site_url):
    context = new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{site_url}/{EXPLORERS}")
    figure, start = page.locator("#explore-probability"), path_of(page, "explore-probability", "loss-negative")
    figure.get_by_role("button", name="focal").click()
    code = "AsymmetricLossMultiLabel(gamma_neg=2, gamma_pos=2, clip=0, eps=1e-8)"
    figure.locator("[data-live=code]", has_text=code).wait_for()
    figure.locator("[data-live=announced]", has_text="p =").wait_for()  # announced a moment later, it would replace "Copied"
    figure.get_by_role("button", name="Copy as Python").click()
    page.wait_for_function("() => document.querySelector('[data-live=announced]').textContent == 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == code
    figure.get_by_role("button", name="Reset").click()
    figure.locator("[data-live=code]", has_text="gamma_neg=4").wait_for()
    drawn = path_of(page, "explore-probability", "loss-negative")
    figure.get_by_role("button", name="timm").click()
    assert path_of(page, "explore-probability", "loss-negative") == drawn and start != drawn  # the same curve as text of the page, not of matplotlib


def test_settings_are_restored_from_the_address(page, site_url):
    page.goto(f"{site_url}/{PAGE}")
    slider(page, "along-clip", "gamma_neg").fill("2.5")
    slider(page, "with-smoothing", "eps").fill("0.3")
    page.wait_for_function("() => location.hash.includes('eps=0.3') && location.hash.includes('gamma_neg=2.5')")
    page.reload()
    page.locator("#along-clip [data-live=code]", has_text="gamma_neg=2.5").wait_for()
    page.locator("#with-smoothing [data-live=code]", has_text="eps=0.3").wait_for()
    page.locator("#along-clip [data-live=reset]").click()
    page.wait_for_function("() => !location.hash.includes('gamma_neg=2.5') && location.hash.includes('eps=0.3')")


@pytest.mark.parametrize("query, value", [("gamma_neg=99", "8.0"), ("gamma_neg=-3", "0.0"), ("gamma_neg=much", "4.0"), ("gamma_neg=", "4.0"), ("other=1", "4.0")])
def test_invalid_settings_in_the_address(page, site_url, query, value):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{site_url}/{EXPLORERS}#explore-probability?{query}")
    page.wait_for_function("value => document.querySelector('#explore-probability output').textContent == value", arg=value)
    assert errors == []


def test_the_figure_without_javascript(new_context, site_url):
    page = new_context(java_script_enabled=False).new_page()
    page.goto(f"{site_url}/{EXPLORERS}")
    figure = page.locator("#explore-probability")
    assert all(svg.bounding_box()["height"] > 150 for svg in figure.locator("svg").all())
    assert "p = 0.900" in figure.locator("[data-live=reading]").inner_text()
    assert not figure.locator("form").is_visible()


def test_the_figure_is_within_the_first_screen(new_context, site_url):
    page = new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{site_url}/index.html")
    box = page.locator("#trainings svg").bounding_box()
    assert box["y"] + box["height"] < 900


def test_the_reading_is_announced_after_a_pause(page, site_url):
    page.goto(f"{site_url}/{EXPLORERS}")
    announcement = page.locator("#explore-probability [data-live=announced]")
    assert announcement.get_attribute("aria-live") == "polite" and announcement.inner_text() == ""
    slider(page, "explore-probability", "clip").fill("0.2")
    page.locator("#explore-probability [data-live=announced]", has_text="up to p = 0.20").wait_for()
    assert slider(page, "explore-probability", "clip").get_attribute("aria-valuetext") == "0.20"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "learn/gradients.html", PAGE])
def test_figures_are_accessible(new_context, site_url, name, scheme):
    page = new_context(color_scheme=scheme).new_page()
    page.goto(f"{site_url}/{name}")
    page.evaluate("document.querySelector('.asl-live form').scrollIntoView()")
    results = Axe().run(page, context=".asl-live")
    assert results.violations_count == 0, results.generate_report()


def test_line_colors_follow_the_color_scheme(new_context, site_url):
    strokes = []
    for scheme in ["light", "dark"]:
        page = new_context(color_scheme=scheme).new_page()
        page.goto(f"{site_url}/{EXPLORERS}")
        strokes.append(page.locator("[id='explore-probability-loss-positive'] path").evaluate("path => getComputedStyle(path).stroke"))
    assert len(set(strokes)) == 2


def scripts_of(text):
    return re.findall(r"<script>(.*?)</script>", text, flags=re.S)


def test_the_scripts_of_a_page_are_smaller_than_30_kb(site):
    text = (site / PAGE).read_text(encoding="utf-8")
    scripts = [script for script in scripts_of(text) if "aslLive" in script]
    assert len(scripts) == 4  # live.js once, and one script for each of three figures
    assert sum(len(script.encode()) for script in scripts) < 30_000
    assert not re.search(r"\beval\(|new Function|\son\w+=", "".join(scripts))


def test_figures_work_under_a_strict_content_security_policy(page, tmp_path):
    torch.manual_seed(0)
    figures = [explore_probability(), explore_parameter("eps", torch.randn(3, 4), torch.arange(3), "single")]
    body = "".join(figure.live._repr_html_() for figure in figures)
    hashes = " ".join(f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts_of(body))
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}"
    (tmp_path / "page.html").write_text(f'<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}"><title>x</title>{body}', encoding="utf-8")
    errors = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    for figure in ["explore-probability", "explore-eps"]:
        slider(page, figure, "gamma_neg").fill("7")
        page.locator(f"#{figure} [data-live=code]", has_text="gamma_neg=7").wait_for()
    assert errors == []
