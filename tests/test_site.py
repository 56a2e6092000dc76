"""The built site, read by a program and by a real browser."""
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import lxml.html
import pytest
from conftest import ROOT

PAGES = sorted(path.relative_to(ROOT / "nbs").with_suffix(".html").as_posix() for path in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 800}


def parsed(site, page):
    return lxml.html.document_fromstring((site / page).read_text(encoding="utf-8"))


def test_every_notebook_is_a_page_and_nothing_else_is(site):
    assert sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html")) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_no_link_anchor_or_image_is_broken(site, page):
    for target in parsed(site, page).xpath("//a/@href | //img/@src | //script/@src | //link[@rel='stylesheet']/@href"):
        url = urlsplit(target)
        if url.scheme in ("http", "https", "data"):
            continue
        path = (site / Path(page).parent / unquote(url.path)).resolve() if url.path else site / page
        path = path / "index.html" if path.is_dir() else path
        assert path.is_file(), target
        if url.fragment and path.suffix == ".html":
            assert parsed(site, path.relative_to(site.resolve())).xpath("//*[@id=$id]", id=unquote(url.fragment)), target


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_has_a_text_alternative(site, page):
    tree = parsed(site, page)
    assert all(picture.get("alt", "").strip() for picture in tree.xpath("//main//img"))
    assert all(drawing.get("aria-label", "").strip() for drawing in tree.xpath("//main//svg"))


def test_links_to_names_lead_to_their_module(site):
    links = parsed(site, "learn/timm_docs.html").xpath("//main//a[code='AsymmetricLossMultiLabel']/@href")
    assert links and set(links) == {"../api/losses.html#asymmetriclossmultilabel"}


def test_the_sites_own_address_is_in_no_link(site):
    for page in PAGES:
        assert not parsed(site, page).xpath("//a[starts-with(@href, 'https://asl-explainer.github.io')]"), page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("page_name", PAGES)
def test_a_page_loads_without_complaint_and_fits(new_context, site_url, page_name, viewport, scheme):
    page = new_context(viewport=viewport, color_scheme=scheme).new_page()
    complaints, requests = [], []
    page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.on("response", lambda response: response.status >= 400 and complaints.append(response.url))
    page.goto(f"{site_url}/{page_name}", wait_until="networkidle")
    assert complaints == []
    assert [url for url in requests if not url.startswith((site_url, "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), "it scrolls sideways"


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


def test_formulas_are_drawn_with_the_sites_own_font(page, site_url):
    page.goto(f"{site_url}/api/losses.html")
    assert page.evaluate("document.fonts.ready.then(() => document.fonts.check('16px \"ASL Math\"'))")
    assert page.evaluate("[...document.fonts].filter(f => f.family.includes('ASL Math') && f.status == 'loaded').length") == 1
    assert page.locator("math").count() > 10
    assert not re.search(r"\\(frac|gamma|begin|sigma)", page.locator("main").inner_text())
    # A brace over two lines is taller than a line: it has been stretched.
    brace = page.locator("math mo", has_text="{").first.bounding_box()
    assert brace["height"] > 30


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
