"""The built site, read by a program and in a real browser: whole, accessible, light, and safe."""
import functools
import gzip
import json
import re
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import lxml.html
import pytest
from axe_playwright_python.sync_playwright import Axe
from test_notebooks import NOTEBOOKS

PAGES = [str(Path(name).with_suffix(".html")) for name in NOTEBOOKS]
VIEWPORTS = {"wide": {"width": 1280, "height": 900}, "phone": {"width": 375, "height": 800}}
AXE = Axe()


@functools.cache
def parsed(site, page):
    return lxml.html.document_fromstring((site / page).read_text(encoding="utf-8"))


def test_every_notebook_is_a_page(site):
    assert sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html")) == sorted(PAGES)


@pytest.mark.parametrize("page_name", PAGES)
def test_no_link_anchor_or_image_is_broken(site, page_name):
    for target in parsed(site, page_name).xpath("//a/@href | //img/@src | //script/@src | //link[@rel='stylesheet']/@href"):
        url = urlsplit(target)
        if url.scheme in ("http", "https", "data"):
            continue
        path = (site / Path(page_name).parent / unquote(url.path)).resolve() if url.path else site / page_name
        path = path / "index.html" if path.is_dir() else path
        assert path.is_file(), target
        if url.fragment and path.suffix == ".html":
            anchor = unquote(url.fragment).partition("?")[0]  # after it a live figure's settings
            assert parsed(site, path.relative_to(site.resolve())).xpath("//*[@id=$id]", id=anchor), target


@pytest.mark.parametrize("page_name", PAGES)
def test_a_page_is_whole(site, page_name):
    "It describes its pictures, leads to its notebook, says its version, and links to its own site by relative links."
    tree = parsed(site, page_name)
    assert all(picture.get("alt", "").strip() for picture in tree.xpath("//main//img"))
    assert all(drawing.get("aria-label", "").strip() for drawing in tree.xpath("//main//svg"))
    ids = tree.xpath("//@id")
    assert len(ids) == len(set(ids)), "an id is given twice"
    notebook = (site / page_name).with_suffix(".ipynb")
    assert json.loads(notebook.read_text())["nbformat"] == 4
    assert tree.xpath("string(//a[@download]/@href)") == notebook.name
    source = f"asl-explainer/asl_explainer/blob/main/nbs/{Path(page_name).with_suffix('.ipynb')}"
    outside = [link.split("/")[2] for link in tree.xpath("//a/@href") if link.endswith(source)]
    imports_nbdev = re.search(r'"(from|import) nbdev', notebook.read_text())
    assert outside == ["nbviewer.org"] if imports_nbdev else outside == ["colab.research.google.com", "nbviewer.org"]
    assert tree.xpath("//a[contains(@href, '/edit/main/nbs/')]")
    assert "Version" in tree.xpath("string(//footer)")
    assert not tree.xpath("//a[starts-with(@href, 'https://asl-explainer.github.io')]")
    assert tree.xpath("string(//meta[@property='og:image']/@content)") == "https://asl-explainer.github.io/asl_explainer/images/card.png"


@pytest.mark.parametrize("page_name", PAGES)
def test_a_page_weighs_little(site, page_name):
    "HTML, stylesheets, scripts and inline SVG, gzipped, of which one theme is in use. A training in the page may add its programs and its world."
    tree = parsed(site, page_name)
    limit = 260_000 if "aslWorld" in (site / page_name).read_text(encoding="utf-8") else 200_000
    files = [site / page_name]
    files += [(site / page_name).parent / source for source in tree.xpath("//script/@src | //link[@rel='stylesheet']/@href")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) <= limit
    assert not tree.xpath("//img[starts-with(@src, 'data:')]")
    assert all(picture.get("loading") == "lazy" and picture.get("width") for picture in tree.xpath("//main//img"))


def test_fonts_weigh_little(site):
    assert 0 < sum(path.stat().st_size for path in site.rglob("*.woff*")) <= 150_000


@pytest.mark.parametrize("page_name", PAGES)
def test_a_page_has_a_policy_and_no_script_in_an_attribute(site, page_name):
    tree = parsed(site, page_name)
    policy = tree.xpath("string(//meta[@http-equiv='Content-Security-Policy']/@content)")
    scripts = policy.split("script-src ")[1].split(";")[0].split()
    assert "default-src 'none'" in policy and scripts[0] == "'self'" and all(source.startswith("'sha256-") for source in scripts[1:])
    assert tree.xpath("//@*[starts-with(name(), 'on')]") == []
    assert tree.xpath("//head/*")[1].get("http-equiv"), "the policy has to come before what it rules"


OVERFLOWING = "[...document.querySelectorAll('main pre')].filter(block => block.scrollWidth > block.clientWidth).map(block => 'a block overflows: ' + block.textContent.slice(0, 80))"

CLIPPED = "[...document.querySelectorAll('.math.display')].filter(formula => formula.scrollWidth > formula.clientWidth).map(formula => 'a formula is clipped: ' + formula.textContent.slice(0, 80))"
# A table has all its columns in view on a wide window; on a phone it may scroll, and a shadow at its edge says so.
CUT = """[...document.querySelectorAll('main table')].filter(table => {
      for (let box = table.parentElement; box.localName !== 'main'; box = box.parentElement)
        if (box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== 'visible')
          return innerWidth > 1000 || !getComputedStyle(box).backgroundAttachment.includes('local')
    })
    .map(table => 'a table is cut off: ' + table.textContent.slice(0, 80))"""
# The font size of a text that matplotlib drew: its letters are paths in units of a hundredth of it.
SMALL = """[...document.querySelectorAll('.cell-output svg')].flatMap(svg => [...svg.querySelectorAll('text, g[transform*="scale("]:has(> use)')])
    .filter(text => text.checkVisibility())
    .map(text => [Math.hypot(text.getScreenCTM().a, text.getScreenCTM().b) * (text.localName === 'text' ? parseFloat(getComputedStyle(text).fontSize) : 100), text.closest('svg').ariaLabel ?? text.closest('.cell').id])
    .filter(([size]) => size < 11)
    .map(([size, figure]) => `a text of ${size.toFixed(1)} pixels in a figure: ${figure.slice(0, 60)}`)"""


def violations(page, light, colours):
    "What axe finds: in the dark only about colours, whose check is slow; on a phone they are the same on every page."
    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": colours}}}
    if light:
        return AXE.run(page, options=options).response["violations"]
    return AXE.run(page, options={**options, "runOnly": ["color-contrast"]}).response["violations"] if colours else []


# How a page is seen, one after the other; it is loaded where the scheme changes.
STATES = [("light", "wide"), ("light", "phone"), ("dark", "phone"), ("dark", "wide")]


@pytest.mark.parametrize("page_name", PAGES)
def test_a_page_loads_without_complaint_and_fits(new_context, site_url, page_name):
    "Wide and on a phone, light and dark: no message, no request elsewhere, no sideways scrolling, and axe finds nothing."
    page, said, loaded = new_context(color_scheme="light").new_page(), [], None
    page.on("console", lambda message: message.type in ("error", "warning") and said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: request.url.startswith((site_url, "data:")) or said.append(f"fetches {request.url}"))
    page.on("response", lambda response: response.status >= 400 and said.append(response.url))
    for scheme, width in STATES:
        said.append(f"{width}, {scheme}:")
        page.set_viewport_size(VIEWPORTS[width])
        if scheme != loaded:
            page.emulate_media(color_scheme=scheme)
            page.goto(f"{site_url}/{page_name}", wait_until="load")
            loaded = scheme
        found = violations(page, light=scheme == "light", colours=width == "wide" or page_name == "index.html")
        said += [f"{violation['id']}: {node['html'][:200]}" for violation in found for node in violation["nodes"]]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            said.append("it scrolls sideways")
        if width == "phone":
            said += page.evaluate(CLIPPED) + page.evaluate(SMALL) + page.evaluate(CUT)
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    said += page.evaluate(OVERFLOWING) + page.evaluate(CUT)
    assert said == [f"{width}, {scheme}:" for scheme, width in STATES]


def test_the_sidebar_and_the_footer_lead_to_every_page(site):
    tree = parsed(site, "index.html")
    linked = {link.partition("#")[0].removeprefix("./") for link in tree.xpath("//nav[@id='quarto-sidebar']//a/@href | //footer//a/@href")}
    assert set(PAGES) - {"404.html"} <= linked
    assert tree.xpath("string(//*[@class='navbar-title'])") == "Asymmetric loss, explained"


def test_programs_find_every_page(site):
    llms, sitemap = (site / "llms.txt").read_text(), (site / "sitemap.xml").read_text()
    for page_name in set(PAGES) - {"404.html"}:
        assert f"/{Path(page_name).with_suffix('.ipynb')}): " in llms and f"/{page_name}</loc>" in sitemap
    assert "lastmod" not in sitemap  # it would be the time of the build


def test_links_to_names_lead_to_their_module(site):
    links = parsed(site, "learn/timm_docs.html").xpath("//main//a[code='AsymmetricLossMultiLabel']/@href")
    assert links and set(links) == {"../api/losses.html#asymmetriclossmultilabel"}


def test_a_missing_page_finds_its_styles_at_any_address(site, page):
    def publish(route):
        path = urlsplit(route.request.url).path.removeprefix("/asl_explainer/")
        there = (site / path).is_file()
        route.fulfill(path=site / (path if there else "404.html"), status=200 if there else 404)

    page.route("https://asl-explainer.github.io/**", publish)
    page.goto("https://asl-explainer.github.io/asl_explainer/no/such/page.html")
    assert page.evaluate("[...document.styleSheets].filter(sheet => sheet.href.includes('styles.css')).length") == 1
    page.get_by_role("link", name="Gradients").first.click()
    page.wait_for_url("https://asl-explainer.github.io/asl_explainer/learn/gradients.html")


def test_the_timm_page_shows_its_numbers_and_three_plots(page, site_url):
    page.goto(f"{site_url}/learn/timm_docs.html")
    outputs = page.locator(".cell-output pre").all_inner_texts()
    assert sum("tensor(1.7945)" in text for text in outputs) == 2
    assert sum("tensor(3.1466)" in text for text in outputs) == 1
    plots = page.locator(".cell-output svg[role=img]:not(.asl-live svg)")
    assert plots.count() == 3
    for plot in plots.all():
        box = plot.bounding_box()
        assert box["width"] > 300 and box["height"] > 150
    cat = page.locator("main img")
    cat.scroll_into_view_if_needed()  # it loads when it comes into view
    cat.evaluate("img => img.decode()")
    assert cat.count() == 1 and cat.evaluate("img => img.complete && img.naturalWidth") == 451


@pytest.mark.parametrize("page_name", ["index.html", "learn/gradients.html"])
def test_text_is_set_in_the_sites_own_font_without_moving(page, site_url, page_name):
    "What the browser shifts while the page loads stays far below 0.1, which counts as good."
    page.add_init_script("new PerformanceObserver(list => { for (const { value } of list.getEntries()) window.shifted = (window.shifted ?? 0) + value }).observe({ type: 'layout-shift', buffered: true })")
    page.route("**/asl-sans-*.woff2", lambda route: (time.sleep(0.3), route.continue_()))  # later than the text
    page.goto(f"{site_url}/{page_name}")
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(300)
    loaded = page.evaluate("[...document.fonts].filter(font => font.status === 'loaded').map(font => `${font.family} ${font.weight}`)")
    assert any("ASL Sans" in font and font.endswith(" 400") for font in loaded) and any("ASL Sans" in font and "600" in font for font in loaded)
    fonts = page.evaluate("[...document.querySelectorAll('main :is(p, li, td, h1, h2, label, button)')].map(part => getComputedStyle(part).fontFamily.split(',')[0])")
    assert set(fonts) == {'"ASL Sans"'}
    assert page.evaluate("window.shifted ?? 0") < 0.03


def test_formulas_are_drawn_with_the_sites_own_font(page, site_url):
    page.goto(f"{site_url}/learn/gradients.html")
    assert page.evaluate("document.fonts.ready.then(() => document.fonts.check('16px \"ASL Math\"'))")
    assert page.evaluate("[...document.fonts].filter(f => f.family.includes('ASL Math') && f.status == 'loaded').length") == 1
    assert page.locator("math").count() > 10
    assert not re.search(r"\\(frac|gamma|begin|sigma)", page.locator("main").inner_text())


def test_search_finds_clip(page, site_url):
    page.goto(f"{site_url}/index.html")
    page.locator("#quarto-search input, input[type=search]").first.fill("clip")
    results = page.locator("a[href*='timm_docs.html']:visible", has_text=re.compile("clip", re.I))
    results.first.wait_for(timeout=5000)
    results.first.click()
    page.wait_for_url("**/learn/timm_docs.html**")


def test_the_theme_switch_changes_figures_and_text(page, site_url):
    page.emulate_media(color_scheme="light")
    page.goto(f"{site_url}/learn/timm_docs.html")
    colours = "() => [getComputedStyle(document.body).color, getComputedStyle(document.querySelector('.cell-output svg')).fill]"
    light = page.evaluate(colours)
    page.locator(".quarto-color-scheme-toggle:visible").first.click()
    page.wait_for_function(f"before => ({colours})()[0] != before", arg=light[0])
    text, figure = page.evaluate(colours)
    assert text != light[0] and figure == text


def test_a_script_that_was_smuggled_in_does_not_run(site, page, tmp_path):
    smuggled = (site / "learn/faq.html").read_text().replace("</main>", "<script>document.title = 'smuggled'</script><img src=x onerror=\"document.title = 'smuggled'\"></main>")
    (tmp_path / "page.html").write_text(smuggled)
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_timeout(300)
    assert page.title() != "smuggled"


def test_the_keyboard_reaches_the_text_first(page, site_url):
    page.goto(f"{site_url}/learn/gradients.html")
    page.keyboard.press("Tab")
    link = page.locator(".skip-link")
    assert link.bounding_box()["x"] >= 0 and link.evaluate("a => a == document.activeElement")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "quarto-document-content"


@pytest.mark.parametrize("page_name, link", [
    ("learn/gradients.html", "main a[href^='#exercises']"),
    ("learn/gradients.html", "main a[href^='why_asymmetric.html#']"),
    ("learn/playground.html", "main a[href^='#play?']"),
])  # fmt: skip
def test_back_returns_to_where_the_reader_was(new_context, site_url, page_name, link):
    page = new_context(reduced_motion="reduce", viewport=VIEWPORTS["wide"]).new_page()
    page.goto(f"{site_url}/{page_name}")
    page.locator(link).last.scroll_into_view_if_needed()
    page.wait_for_timeout(400)
    before, url = page.evaluate("scrollY"), page.url
    page.locator(link).last.click()
    page.wait_for_function("before => Math.abs(scrollY - before) > 50", arg=before)
    page.wait_for_timeout(400)  # a figure writes its settings into the address
    page.go_back()
    page.wait_for_function("before => Math.abs(scrollY - before) < 5", arg=before)
    assert page.url == url


def test_icons_are_still_drawn(page, site_url):
    page.goto(f"{site_url}/learn/gradients.html")
    assert page.evaluate("document.fonts.load('16px bootstrap-icons', '\\uf52a').then(fonts => fonts.length)") == 1
    assert page.evaluate("getComputedStyle(document.querySelector('.bi-search'), '::before').content").strip('"') == "\uf52a"


def test_reduced_motion_is_respected(new_context, site_url):
    page = new_context(reduced_motion="reduce").new_page()
    page.goto(f"{site_url}/index.html")
    assert page.evaluate("[...document.querySelectorAll('*')].every(e => parseFloat(getComputedStyle(e).transitionDuration) == 0)")


def test_print_leaves_the_chapter(page, site_url):
    page.goto(f"{site_url}/learn/gradients.html")
    page.emulate_media(media="print")
    menus = ["#quarto-header", "#quarto-sidebar", "#quarto-margin-sidebar", ".page-navigation"]
    for menu in [*menus, "figure button", ".code-copy-button"]:
        assert page.locator(menu).first.is_hidden(), menu
    assert page.locator("main h1").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page_name", ["learn/gradients.html", "learn/use_it.html", "learn/timm_docs.html"])
def test_a_printed_page_shows_every_figure_dark_on_white(new_context, site_url, page_name, scheme):
    "Also one that a question covers on the screen."
    page = new_context(color_scheme=scheme).new_page()
    page.goto(f"{site_url}/{page_name}")
    page.emulate_media(media="print", color_scheme=scheme)
    shown = page.evaluate("""[...document.querySelectorAll('main :is(svg, img, table)')].filter(part => !part.closest('details, button, .asl-panels canvas'))
        .map(part => [part.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && part.getBoundingClientRect().height > 20, getComputedStyle(part).color])""")
    assert shown and all(visible for visible, _ in shown)
    luminance = [sum(map(int, re.findall(r"\d+", color)[:3])) / 765 for _, color in shown]
    assert max(luminance) < 0.5


def test_a_browser_that_does_not_start_is_started_again(launch_browser, browser_type_launch_args, tmp_path):
    program = tmp_path / "browser"
    program.write_text(f"#!/bin/sh\n[ -e {tmp_path}/tried ] || {{ touch {tmp_path}/tried; exit 1; }}\nexec '{browser_type_launch_args['executable_path']}' \"$@\"\n")
    program.chmod(0o755)
    browser = launch_browser(executable_path=program)
    assert browser.is_connected() and (tmp_path / "tried").exists()
    browser.close()


def test_a_printed_control_is_its_name_and_beside_it_its_value(page, site_url):
    page.goto(f"{site_url}/learn/gradients.html")
    page.locator("figure input[type=range]").first.wait_for()
    page.emulate_media(media="print")
    values = page.locator("figure output:visible").all()
    assert values and not page.locator("figure input:visible").count()
    for value in values:
        boxes = [page.locator(f"label[for='{value.get_attribute('for')}']").bounding_box(), value.bounding_box()]
        middles = [box["y"] + box["height"] / 2 for box in boxes]
        assert value.inner_text() and max(middles) - min(middles) < 6
        assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]


@pytest.mark.parametrize("page_name", ["index.html", "learn/gradients.html", "learn/implementations.html"])
def test_a_page_at_twice_its_size_does_not_scroll_sideways(new_context, site_url, page_name):
    page = new_context(viewport={"width": 640, "height": 450}, device_scale_factor=2).new_page()
    page.goto(f"{site_url}/{page_name}")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.evaluate(CLIPPED) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_forced_colors_leave_text_and_axes_of_a_figure_in_sight(new_context, site_url, scheme):
    page = new_context(forced_colors="active", color_scheme=scheme).new_page()
    page.goto(f"{site_url}/learn/gradients.html")
    text, figure, paper = page.evaluate("""() => {
        const style = path => getComputedStyle(document.querySelector(path))
        return [style('main p').color, style('.cell-output svg[role=img]').fill, style('body').backgroundColor] }""")
    assert text == figure != paper


@pytest.mark.parametrize("width", [1280, 1920, 375])
def test_a_cell_that_spans_the_window_has_no_menu_beside_it(site, site_url, page, width):
    "The text keeps its column, and the menu opens from the bar."
    source = (site / "learn/gradients.html").read_text().replace("<figure ", '<div class="column-screen-inset"><p>wide</p></div><figure ', 1)
    page.route("**/gradients.html", lambda route: route.fulfill(body=source, content_type="text/html"))
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{site_url}/learn/gradients.html")
    wide = page.locator(".column-screen-inset")
    wide.scroll_into_view_if_needed()
    box, text = wide.bounding_box(), page.locator("main h1").bounding_box()
    assert box["width"] > width - 64 and box["x"] >= 0 and text["width"] <= 900
    assert not page.locator("#quarto-margin-sidebar").is_visible()
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    menu = page.locator("#quarto-sidebar").get_by_role("link", name="Glossary")
    assert not menu.is_visible() or menu.bounding_box()["x"] < 0
    page.locator(".quarto-secondary-nav .quarto-btn-toggle").click()
    page.mouse.wheel(0, 50)
    menu.click()
    page.wait_for_url("**/glossary.html")
