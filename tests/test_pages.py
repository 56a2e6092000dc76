"""What every page of the built site keeps to: accessible to all, light, and safe."""
import gzip
import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT
from test_site import PAGES, parsed

AXE = Axe()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page_name", PAGES)
def test_axe_finds_nothing(new_context, site_url, page_name, scheme):
    page = new_context(color_scheme=scheme, bypass_csp=True).new_page()  # axe puts a script into the page
    page.goto(f"{site_url}/{page_name}", wait_until="networkidle")
    found = AXE.run(page).response["violations"]
    assert [(violation["id"], node["html"][:200]) for violation in found for node in violation["nodes"]] == []


@pytest.mark.parametrize("page_name", PAGES)
def test_a_page_weighs_little(site, page_name):
    "HTML, stylesheets, scripts and inline SVG, gzipped, of which one theme is in use."
    tree = parsed(site, page_name)
    files = [site / page_name]
    files += [(site / page_name).parent / source for source in tree.xpath("//script/@src | //link[@rel='stylesheet']/@href")]
    weight = sum(len(gzip.compress(path.read_bytes())) for path in files)
    assert weight <= 200_000
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
    for menu in ["#quarto-header", "#quarto-sidebar", "#quarto-margin-sidebar", ".page-navigation", "figure input", ".code-copy-button"]:
        assert page.locator(menu).first.is_hidden(), menu
    assert page.locator("main h1").is_visible()


@pytest.mark.parametrize("page_name", PAGES)
def test_a_page_leads_to_its_notebook_and_says_its_version(site, page_name):
    tree = parsed(site, page_name)
    notebook = (site / page_name).with_suffix(".ipynb")
    assert json.loads(notebook.read_text())["nbformat"] == 4
    assert tree.xpath("string(//a[@download]/@href)") == notebook.name
    source = f"asl-explainer/asl_explainer/blob/main/nbs/{Path(page_name).with_suffix('.ipynb')}"
    assert (ROOT / "nbs" / Path(page_name).with_suffix(".ipynb")).is_file()
    assert any(link.startswith("https://colab.") and link.endswith(source) for link in tree.xpath("//a/@href"))
    assert tree.xpath("//a[contains(@href, '/edit/main/nbs/')]")
    assert "Version" in tree.xpath("string(//footer)")


def test_a_link_elsewhere_shows_a_card(site):
    for page_name, _ in zip(PAGES, range(5)):
        tree = parsed(site, page_name)
        image = tree.xpath("string(//meta[@property='og:image']/@content)")
        assert image == "https://asl-explainer.github.io/asl_explainer/images/card.png"
        assert tree.xpath("string(//meta[@property='og:title']/@content)")
    assert (site / "images/card.png").is_file()


def test_programs_find_every_page(site):
    text = (site / "llms.txt").read_text()
    for page_name in set(PAGES) - {"404.html"}:
        assert f"/{Path(page_name).with_suffix('.ipynb')})" in text
