"""The site's stylesheet and `finish` on the markup of Quarto 1.7, which quarto.html imitates."""
import importlib.resources
import io
import shutil
from pathlib import Path
from string import Template

import lxml.html
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT
from PIL import Image

from tools.finish import About, finish_page

ABOUT = About("0.1.0", "asl-explainer/asl_explainer/blob/main/nbs", "https://asl-explainer.github.io/asl_explainer/")
SCHEMES = {  # the theme of each, and the colors that Quarto computes from it
    "light": dict(theme="litera", paper="#fff", menu="#f8f9fa", muted="rgba(52, 58, 64, .75)", link="#4582ec"),
    "dark": dict(theme="slate", paper="#272b30", menu="#bdc1c4", muted="rgba(122, 130, 136, .75)", link="#fff"),
}
WIDE, ZOOMED, PHONE = {"width": 1280, "height": 900}, {"width": 640, "height": 450}, {"width": 375, "height": 800}
AXE = Axe()


def finished(scheme):
    "The imitated page in a scheme, finished as Quarto's pages are."
    source = Template(Path(__file__).with_name("quarto.html").read_text()).substitute(SCHEMES[scheme], scheme=scheme)
    return finish_page(source, "learn/gradients.html", ABOUT, colab=True, strict=False)[0]


@pytest.fixture
def open_page(new_context, tmp_path):
    "Opens the imitated page in a scheme and in a window."

    def opened(scheme, viewport):
        theme = importlib.resources.files("smalldocs") / f"assets/vendor/bootswatch/{SCHEMES[scheme]['theme']}.min.css"
        shutil.copy(str(theme), tmp_path / "theme.css")
        shutil.copy(ROOT / "nbs/styles.css", tmp_path)
        (tmp_path / "page.html").write_text(finished(scheme))
        page = new_context(viewport=viewport, color_scheme=scheme).new_page()
        page.goto((tmp_path / "page.html").as_uri())
        return page

    return opened


def nodes(results, *rules):
    "The elements in a part of what axe says, of all rules or some."
    meant = [rule for rule in results if not rules or rule["id"] in rules]
    return [f"{rule['id']}: {node['html'][:150]}" for rule in meant for node in rule["nodes"]]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_everything_is_named_and_can_be_read(open_page, scheme, viewport):
    page = open_page(scheme, viewport)
    response = AXE.run(page, options={"resultTypes": ["violations", "passes"]}).response
    assert nodes(response["violations"]) == []
    paper = "getComputedStyle(document.querySelector('{}')).backgroundColor"
    assert page.evaluate(paper.format("nav.navbar")) == page.evaluate(paper.format("body"))
    read = "\n".join(nodes(response["passes"], "color-contrast"))
    seen = ["navbar-title", "<code>disable_torch", "<code>gamma_neg", "<code>Asymmetric", "<summary", "nav-page-text"]
    if viewport is WIDE:
        seen += ['menu-text">Learn', 'menu-text">Reference', '<span class="menu-text">Gradients', 'id="toc-one-side"']
    assert [part for part in seen if part not in read] == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_icons_of_the_bar_stand_out(open_page, scheme):
    page = open_page(scheme, PHONE)
    for icon in [".navbar-toggler", ".quarto-color-scheme-toggle", ".aa-DetachedSearchButton"]:
        darkest, lightest = Image.open(io.BytesIO(page.locator(icon).screenshot())).convert("L").getextrema()
        assert lightest - darkest > 150, icon


@pytest.mark.parametrize("viewport", [WIDE, ZOOMED, PHONE], ids=["wide", "zoomed to 200%", "phone"])
def test_the_page_does_not_scroll_sideways(open_page, viewport):
    page = open_page("light", viewport)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    for wide in ["math[display=block]", "table"]:
        box = page.locator(f"[tabindex='0']:has(> {wide})")
        assert box.evaluate("box => getComputedStyle(box).overflowX") == "auto", wide
        if viewport is PHONE:
            assert box.evaluate("box => box.scrollWidth > box.clientWidth"), f"the {wide} is too small for this test"


@pytest.mark.parametrize("width", [320, 375])
def test_the_bar_of_a_phone_is_one_row(open_page, width):
    page = open_page("light", {"width": width, "height": 800})
    parts = [".navbar-toggler", ".navbar-title", ".quarto-color-scheme-toggle", ".aa-DetachedSearchButton"]
    boxes = [page.locator(part).bounding_box() for part in parts]
    middles = [box["y"] + box["height"] / 2 for box in boxes]
    assert max(middles) - min(middles) < 6
    assert all(left["x"] + left["width"] <= right["x"] + 1 for left, right in zip(boxes, boxes[1:]))
    assert boxes[-1]["x"] + boxes[-1]["width"] <= width
    assert page.locator(".navbar-brand").evaluate("brand => brand.scrollWidth <= brand.clientWidth")


def test_the_search_has_a_name_before_and_after_it_opens(open_page):
    page = open_page("light", WIDE)
    assert page.get_by_role("combobox", name="Search", exact=True).count() == 1
    page.get_by_role("button", name="Search", exact=True).click()
    assert page.get_by_role("searchbox", name="Search", exact=True).is_visible()
    assert nodes(AXE.run(page, context=".aa-DetachedOverlay").response["violations"]) == []


def test_the_links_to_the_notebook_stand_in_the_list_of_links():
    (actions,) = lxml.html.document_fromstring(finished("light")).xpath("//div[@class='toc-actions']")
    links = ["Edit this page", "Report an issue", "Download the notebook", "Open in Colab", "Open in nbviewer"]
    items = actions.xpath("ul/li[count(a[@class='toc-action']/i) = 1]")
    assert [item.text_content().strip() for item in items] == links
    assert len(actions.xpath(".//a")) == len(links)


def test_the_configuration_asks_for_the_readers_scheme_and_the_sites_card():
    configuration = yaml.safe_load((ROOT / "_quarto.yml").read_text())
    assert configuration["format"]["html"]["respect-user-color-scheme"] is True
    website = configuration["website"]
    assert {website["open-graph"]["image"], website["twitter-card"]["image"], website["image"]} == {"/images/card.png"}
    assert (ROOT / "nbs/images/card.png").is_file()
