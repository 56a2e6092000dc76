"""Live figures: the generated JavaScript compared with torch, and their use in a browser."""
import contextlib
import hashlib
import io
import re
import shutil
import subprocess
from base64 import b64encode
from dataclasses import replace

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import shown
import torch
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from asl_explainer.course.curves import label_curve
from asl_explainer.course.live_figure import _number, fill, read_script, read_style
from asl_explainer.course.plots import PRESETS, explore_parameter, explore_probability
from asl_explainer.course.torch2js import to_javascript

COURSE = ROOT / "asl_explainer/course"


def compute_in_browser(page, function, columns):
    "The results for each row of settings."
    rows = [dict(zip(columns, row)) for row in zip(*(column.tolist() for column in columns.values()))]
    code = to_javascript(function, rows[0])
    flat = "(result) => Object.values(result).flatMap((value) => value.length === undefined ? [value] : [...value])"
    results = page.evaluate(f"(rows) => {{ const program = {code}; return rows.map((row) => ({flat})(program(row))); }}", rows)
    return torch.tensor(results, dtype=torch.float64)


def settings_to_try(figure):
    "The initial settings; each control at both ends; all at their lowest and at their highest; some at random."
    torch.manual_seed(0)
    names, ranges = zip(*((control.name, control.range()) for control in figure.controls))
    rows = [{}, *({name: end} for name, ends in zip(names, ranges) for end in ends)]
    rows += [dict(zip(names, ends)) for ends in zip(*ranges)]
    for share in torch.rand(20, len(names), dtype=torch.float64).tolist():
        rows.append({name: low + part * (high - low) for name, part, (low, high) in zip(names, share, ranges)})
    menus = {control.name for control in figure.controls if hasattr(control, "options")}
    return [{**figure.settings, **{name: round(value) if name in menus else value for name, value in row.items()}} for row in rows]


@pytest.mark.parametrize("notebook", shown.notebooks())
def test_the_numbers_of_every_figure_are_those_of_torch_and_of_the_module(page, notebook):
    call = "(rows) => { const program = %s; return rows.map((row) => Object.fromEntries(Object.entries(program(row))"
    call += ".map(([name, value]) => [name, value.length === undefined ? [value] : [...value]]))); }"
    for figure in shown.figures(notebook):
        rows = settings_to_try(figure)
        for row, computed in zip(rows, page.evaluate(call % figure.program, rows), strict=True):
            values = figure.values(**row)
            assert set(computed) == set(values)
            for name, value in values.items():
                other = torch.tensor(computed[name], dtype=torch.float64)  # a number that JSON lacks would be None
                assert value.isfinite().all(), (figure.name, name, row)
                torch.testing.assert_close(other, value.flatten(), rtol=1e-9, atol=1e-12, msg=f"{figure.name}, {name}, {row}")
            for name, number in (figure.module(**row) if figure.module else {}).items():
                assert number == pytest.approx(values[name].item(), rel=2e-4, abs=1e-6), (figure.name, name, row)


NUMBER = re.compile(r"-?\d+\.?\d*(?:e[+-]?\d+)?")


@pytest.mark.parametrize("notebook", shown.notebooks())
def test_the_copied_code_runs_and_prints_numbers_of_the_sentence(notebook):
    for figure in shown.figures(notebook):
        for moved in [{}, *figure.presets.values()]:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(figure.python(**moved), {})
            numbers = [float(number) for number in NUMBER.findall(re.sub(r"(dtype|grad_fn)=[^,)]*", "", printed.getvalue()))]
            said = NUMBER.findall(figure.sentence(**moved).replace("−", "-").rstrip("."))
            assert numbers, figure.name
            for number in numbers:
                rounded = 4e-6 * abs(number)  # the module computes in float32
                close = [text for text in said if abs(float(text) - number) <= 0.51 * 10 ** -len(text.partition(".")[2]) + rounded]
                assert close, (figure.name, moved, number, said)


def test_python_and_javascript_format_a_number_alike(page):
    script = (COURSE / "live.js").read_text(encoding="utf-8")
    torch.manual_seed(0)
    numbers = (torch.randn(500, dtype=torch.float64) * 10 ** (torch.rand(500, dtype=torch.float64) * 16 - 12)).tolist()
    numbers += [0.0, -0.0, -0.001, 0.125, -0.125, 2.5, 0.5, 1e-8, 1e-5, 9.9999e-5, 123456.5, 999999.5, 1e20]
    cases = [(number, digits, kind) for number in numbers for digits in (1, 3, 6) for kind in "efg"]
    formatted = page.evaluate(f"(cases) => {{ {script} return cases.map((it) => formatNumber(...it)); }}", cases)
    assert formatted == [_number(*case) for case in cases]
    assert fill("{eps}, {eps:.1e}, {p:.2f}", {"eps": 1e-8, "p": -0.001}) == "1e-8, 1.0e-8, 0.00"


@pytest.mark.skipif(shutil.which("node") is None, reason="node, which checks the syntax, is not installed")
@pytest.mark.parametrize("name", ["live.js", "widget.js", "figure.js"])
def test_node_accepts_the_scripts(tmp_path, name):
    script = scripts_of(explore_probability().html)[-1] if name == "figure.js" else (COURSE / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(script, encoding="utf-8")
    done = subprocess.run(["node", "--check", tmp_path / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_figure_is_the_same_whatever_the_style_of_its_notebook():
    with plt.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        large = explore_probability().html
    assert explore_probability().html == large


def test_a_figure_embeds_its_files_without_comment_lines():
    html, script = explore_probability().html, read_script("live.js")
    code, style = (COURSE / "live.js").read_text(encoding="utf-8"), read_style("live.css")
    assert html.count(script) == html.count(f"<style>\n{style}</style>") == 1
    assert "/*" not in style and style.count("{") == (COURSE / "live.css").read_text(encoding="utf-8").count("{") > 50
    kept = script.splitlines()
    left_out = [line for line in code.splitlines() if line not in kept]
    assert [line for line in code.splitlines() if line in kept] == kept and len(left_out) > 20
    assert all(line.strip().startswith(("/*", "*", "//")) for line in left_out)
    assert not re.search("</?script|<!--", script, re.IGNORECASE), "a browser would not read this script to its end"


def test_facts_of_any_text_reach_the_script(page):
    "Quotes and tags in a preset's name."
    name = "</script><b title='x' data-y=\"z\">&amp;"
    page.set_content(replace(explore_probability(), presets={name: {"clip": 0.1}}).html)
    page.get_by_role("button", name=name, exact=True).click()
    page.locator("[data-live=code]", has_text="clip=0.1").wait_for()
    assert page.locator("figure b").count() == 0


BROKEN = """import torch
from asl_explainer.course.live_figure import Figure, Slider

Figure({}, [Slider('x', 'x', 0, 1, 0.1)], lambda x: {'y': torch.special.bessel_j0(x)}, name='broken', settings={'x': 0},
       reading='', caption='', code='')"""


def test_a_figure_that_cannot_be_translated_fails_its_notebook():
    "IPython would drop this error if it occurred while the figure is displayed."
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BROKEN)])
    with pytest.raises(CellExecutionError, match="(?s)name='broken'.*NotImplementedError.*bessel_j0"):
        NotebookClient(notebook, kernel_name="python3", timeout=300).execute()


def test_a_figure_works_twice_on_a_page_and_again_after_it_was_removed(page):
    figure = explore_probability().html
    page.set_content(f"<div id=one>{figure}</div><div id=two>{figure}</div>")
    page.locator("#two input[name=clip]").fill("0.2")
    page.locator("#two [data-live=reading]", has_text="up to p = 0.20").wait_for()
    page.locator("#one [data-live=reading]", has_text="up to p = 0.05").wait_for()
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))
    again = "(html) => { one.replaceChildren(document.createRange().createContextualFragment(html)); }"
    page.evaluate(again, figure)
    page.locator("#one input[name=clip]").fill("0.3")
    page.locator("#one [data-live=reading]", has_text="up to p = 0.30").wait_for()


PAGE = "learn/timm_docs.html"
EXPLORERS = "api/plots.html"


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
    dog, name = page.locator("[id=gradient-peak-gradient-dog] path"), page.locator("[id=gradient-peak-gradient-dog-name]")
    dog.scroll_into_view_if_needed()
    before, named = dog.bounding_box(), name.bounding_box()
    assert abs(before["x"] + before["width"] / 2 - named["x"] - named["width"] / 2) < 3 and named["y"] < before["y"]
    drag(page, before, 60)
    page.wait_for_function("() => location.hash.includes('p_dog')")
    after, renamed = dog.bounding_box(), name.bounding_box()
    assert abs(after["x"] - before["x"] - 60) < 3 and abs(renamed["x"] - named["x"] - 60) < 3
    assert after["y"] < before["y"] - 5 and renamed["y"] == named["y"]  # up the curve; the names stand in a row
    p = slider(page, "gradient-peak", "p_dog").input_value()
    gradient = label_curve(torch.tensor([float(p)], dtype=torch.float64).logit(), 0, gamma_neg=4, clip=0.05)[1].item()
    assert f"dog {gradient:.2f} (" in page.locator("#gradient-peak [data-live=reading]").inner_text()
    drag(page, after, 5000)
    page.wait_for_function("() => location.hash.includes('p_dog=0.99')")  # not beyond the axes
    page.locator("#gradient-peak [data-live=reset]").click()
    page.wait_for_function("() => !location.hash.includes('p_dog')")
    assert abs(dog.bounding_box()["x"] - before["x"]) < 1


def test_panels_stand_below_each_other_and_on_a_wide_screen_beside_the_controls(new_context, site_url):
    for width in (1280, 375):
        page = new_context(viewport={"width": width, "height": 800}).new_page()
        page.goto(f"{site_url}/{PAGE}")
        loss, gradient = (page.locator(f"#along-clip svg:has([id=along-clip-{name}])").bounding_box() for name in ("loss-batch", "gradient-positives"))
        form = page.locator("#along-clip form").bounding_box()
        assert gradient["y"] >= loss["y"] + loss["height"] and gradient["x"] == loss["x"]
        if width == 1280:
            assert form["x"] >= loss["x"] + loss["width"] and abs(form["y"] - loss["y"]) < 20
        else:
            assert form["y"] >= gradient["y"] + gradient["height"]


def test_presets_reset_and_copy(new_context, site_url):
    context = new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{site_url}/{EXPLORERS}")
    figure, start = page.locator("#explore-probability"), path_of(page, "explore-probability", "loss-negative")
    figure.get_by_role("button", name="focal").click()
    code, settings = "AsymmetricLossMultiLabel(gamma_neg=2, gamma_pos=2, clip=0, eps=1e-8)", PRESETS["focal"]
    figure.locator("[data-live=code]", has_text=code).wait_for()
    figure.locator("[data-live=announced]", has_text="p =").wait_for()  # announced a moment later, it would replace "Copied"
    figure.get_by_role("button", name="Copy as Python").click()
    figure.get_by_role("button", name="Copied").wait_for()  # seen, and announced
    assert figure.locator("[data-live=announced]").inner_text() == "Copied"
    assert page.evaluate("navigator.clipboard.readText()") == explore_probability().python(**settings)
    figure.get_by_role("button", name="Copy as Python").wait_for()
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


@pytest.mark.parametrize("query, value", [("gamma_neg=99", "8.0"), ("gamma_neg=-3", "0.0"), ("gamma_neg=much", "4.0"), ("gamma_neg=", "4.0"), ("other=1", "4.0"), ("eps=0", "1e-8"), ("eps=9", "0.32")])
def test_invalid_settings_in_the_address(page, site_url, query, value):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{site_url}/{EXPLORERS}#explore-probability?{query}")
    control = "eps" if "eps" in query else "gamma_neg"
    page.locator(f"#explore-probability input[name={control}] + output", has_text=value).wait_for()
    assert errors == []


def test_the_figure_without_javascript(new_context, site_url):
    page = new_context(java_script_enabled=False).new_page()
    page.goto(f"{site_url}/{EXPLORERS}")
    figure = page.locator("#explore-probability")
    assert all(svg.bounding_box()["height"] > 150 for svg in figure.locator("svg").all())
    assert "p = 0.900" in figure.locator("[data-live=reading]").inner_text()
    assert figure.locator("form").count() == 0


def test_the_reading_is_announced_after_a_pause(page, site_url):
    page.goto(f"{site_url}/{EXPLORERS}")
    announcement = page.locator("#explore-probability [data-live=announced]")
    assert announcement.get_attribute("aria-live") == "polite" and announcement.inner_text() == ""
    slider(page, "explore-probability", "clip").fill("0.2")
    page.locator("#explore-probability [data-live=announced]", has_text="up to p = 0.20").wait_for()
    said = {name: slider(page, "explore-probability", name).get_attribute("aria-valuetext") for name in ("clip", "eps")}
    assert said == {"clip": "0.20", "eps": "1e-8"}  # and not the exponent


def test_a_slider_stays_where_it_is_while_the_sentence_changes(new_context, site_url):
    page = new_context(viewport={"width": 375, "height": 800}).new_page()
    page.goto(f"{site_url}/{EXPLORERS}")
    handle, sentence = slider(page, "explore-probability", "clip"), page.locator("#explore-probability [data-live=reading]")
    handle.scroll_into_view_if_needed()
    before, long = handle.bounding_box()["y"], sentence.bounding_box()["height"]
    handle.fill("0")
    page.locator("#explore-probability [data-live=reading]", has_text="there is no margin").wait_for()
    assert sentence.bounding_box()["height"] < long and handle.bounding_box()["y"] == before


def test_on_paper_a_control_keeps_its_name_and_value(page, site_url):
    page.goto(f"{site_url}/{EXPLORERS}")
    slider(page, "explore-probability", "clip").fill("0.2")
    page.emulate_media(media="print")
    names, values = (page.locator(f"#explore-probability {part}") for part in ("label", "output"))
    assert (names.nth(2).inner_text(), values.nth(2).inner_text()) == ("m (clip)", "0.20")
    place = "(labels) => labels.map((label) => [label, label.control.nextElementSibling].map((it) => it.getBoundingClientRect().y))"
    assert all(abs(of_name - of_value) < 5 for of_name, of_value in names.evaluate_all(place))
    assert not slider(page, "explore-probability", "clip").is_visible()


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
    body = "".join(figure.html for figure in figures)
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
