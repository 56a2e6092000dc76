"""Finishes a rendered site: pages that fetch nothing from elsewhere, accessible, linked to their notebooks, under a policy"""
import base64
import functools
import hashlib
import io
import json
import os
import re
import subprocess
from pathlib import Path
from posixpath import relpath
from typing import NamedTuple

import pypandoc
from fontTools import subset
from lxml import html
from lxml.html import fragment_fromstring as element
from nbdev.config import get_config
from PIL import Image

from tools import BuildError

OUTPUT = "//div[contains(@class, 'cell-output')]"
MANY = 9  # columns of a table that the text's column is too narrow for
LIVE = "ancestor::*[contains(@class, 'asl-live') or contains(@class, 'asl-question')]"
TOOLS = "//div[contains(@class, 'toc-actions')]"  # the links under a page's table of contents
BARE = {  # what is wide and has no box in Quarto's pages, and the box that it has in smalldocs'
    "//main//table[not(ancestor::div[contains(@class, 'sd-table')])]": '<div class="sd-table"></div>',
    "//main//math[@display='block'][not(parent::span)]": '<span class="math display"></span>',
}
ITEMS = {  # of the list that these links are in: smalldocs' and Quarto's
    "div": '<div class="action-links"><a class="toc-action" {link}>{text}</a></div>',
    "ul": '<li><a class="toc-action" {link}><i class="bi empty"></i>{text}</a></li>',
}
# What a browser fetches by itself when it opens a page.
LINKED = "//link[not(contains('canonical alternate next prev', @rel))]/@href | //image/@*[contains(name(), 'href')]"
FETCHED = f"//@src | //@srcset | //@poster | //object/@data | {LINKED}"
FETCHED_BY_STYLE = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)")
# Repairs smalldocs and Quarto, until they name the landmarks of a page and let the keyboard reach what scrolls.
ACCESSIBLE = {
    "//nav[contains(@class, 'navbar')]": {"aria-label": "Site"},
    "//nav[contains(@class, 'quarto-secondary-nav')]": {"aria-label": "Place"},
    "//nav[@id='quarto-sidebar']": {"aria-label": "Pages"},
    "//nav[@id='TOC']": {"aria-label": "On this page"},
    "//nav[contains(@class, 'page-navigation')]": {"aria-label": "Previous and next page"},
    "//a[@role='navigation']": {"role": "button", "tabindex": "0"},  # it opens a section and leads nowhere
    "//button[@role='menu']": {"role": "button"},  # it opens the bar's menu
    TOOLS: {"aria-label": "This page", "role": "navigation"},
    "//div[contains(@class, 'sd-table')] | //span[contains(@class, 'math display')]": {"tabindex": "0"},  # they scroll on a phone
    "//main[@id]": {"tabindex": "-1"},
}
# Styles may be inline because SVG has them in attributes; Bootstrap's small marks are data; the search fetches its index.
POLICY = """default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
font-src 'self'; connect-src 'self'; base-uri 'self'; form-action 'none'"""
# Repairs smalldocs, until its theme switch needs no script in an attribute, which a policy forbids.
SWITCH = """document.querySelectorAll('.quarto-color-scheme-toggle').forEach(
  toggle => toggle.onclick = () => { window.smalldocsToggleScheme(); return false })"""
# Repairs Quarto, until its search names the button and the field that it makes in the browser.
SEARCH = """for (const moment of ['DOMContentLoaded', 'focusin']) addEventListener(moment, () =>
  document.querySelectorAll('.aa-Autocomplete, .aa-DetachedSearchButton, .aa-Input').forEach(part => {
    part.removeAttribute('aria-labelledby')
    part.setAttribute('aria-label', 'Search')
  }))"""
# Repairs smalldocs and Quarto, until the links of 404.html start at the site's root, since it is shown at any address.
BASE = "if (location.pathname.startsWith('{0}')) document.head.insertAdjacentHTML('afterbegin', '<base href={0}>')"
ICON = re.compile(r"\.(bi-[a-z0-9-]+)::before\{content:\"\\([0-9a-f]+)\"\}")


class About(NamedTuple):
    "What a page says about the project."

    version: str  # with short hash and date of the last commit, inside a git repository
    source: str  # the notebooks' folder on GitHub, such as user/repo/blob/main/nbs
    address: str  # where the site is published, ending in a slash


def cell_of(part) -> str:
    "The id of the cell that a part of a page comes from."
    return part.xpath("string(ancestor::div[starts-with(@id, 'cell-')]/@id)") or "the page"


# Repairs smalldocs, until it writes MathML for `html-math-method: mathml` as Quarto does.
def draw_formulas(page) -> None:
    "Puts MathML in place of TeX, which smalldocs leaves for KaTeX from another host; one pandoc call for all formulas."
    spans = page.xpath("//span[contains(concat(' ', @class, ' '), ' math ')][not(*)]")
    kinds = [{"t": "DisplayMath" if "display" in span.get("class") else "InlineMath"} for span in spans]
    formulas = [{"t": "Math", "c": [kind, span.text.strip()[2:-2]]} for kind, span in zip(kinds, spans)]  # without \( \)
    document = {"pandoc-api-version": [1, 23, 1], "meta": {}, "blocks": [{"t": "Para", "c": formulas}]}
    command = [pypandoc.get_pandoc_path(), "--from=json", "--to=html", "--mathml", "--fail-if-warnings"]
    done = subprocess.run(command, input=json.dumps(document), capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise BuildError(f"a formula cannot become MathML: {done.stderr.strip()}")
    for span, math in zip(spans, re.findall(r"<math.*?</math>", done.stdout, re.DOTALL), strict=True):
        span.text = None
        span.append(element(math))
    for loader in page.xpath("//script[contains(@src, '/katex')] | //link[contains(@href, '/katex')]"):
        loader.drop_tree()


def tidy(page, place: str, address: str) -> None:
    "Unfolds solutions with their outputs, keeps the scripts and styles of figures and questions once, without indentation, and makes our links relative."
    for fold in page.xpath("//details[contains(@class, 'code-fold')][summary = 'Solution']"):
        fold.extend(list(fold.itersiblings()))
    seen = set()
    for part in page.xpath("//main//script[not(@src)] | //figure//style"):
        part.text = re.sub(r"^\s+", "", part.text, flags=re.MULTILINE)  # a browser does not read indentation
        if part.text in seen and "currentScript" not in part.text:  # with which a script finds the figure that it is in
            part.drop_tree()
        seen.add(part.text)
    # Repairs nbdev, until it links names by relative links.
    for link in page.xpath("//a[starts-with(@href, $address)]", address=address):
        link.set("href", relpath(link.get("href").removeprefix(address) or ".", Path(place).parent.as_posix()))


def box_wide_parts(page) -> None:
    "Puts bare tables and block formulas into boxes, which scroll on a phone; a table of many columns reaches over the margin."
    for path, box in BARE.items():
        for part in page.xpath(path):
            part.addprevious(element(box))
            part.getprevious().append(part)
            part.getparent().tail, part.tail = part.tail, None
    for row in page.xpath(f"//main//table//tr[1][count(*) >= {MANY}]"):
        row.xpath("ancestor::table/..")[0].classes.add("column-page-right")


def own_ids(drawing, prefix: str) -> None:
    "Prefixes the ids that a drawing refers to and removes the others, so that no two drawings share an id."
    attributes = [(part, name, value) for part in drawing.iter("*") for name, value in part.attrib.items()]
    patterns = {name: r"(^#)(.+)" if name.endswith("href") else r"(url\(#)([^)]+)" for _, name, _ in attributes}
    used = {found[1] for _, name, value in attributes for found in re.findall(patterns[name], value)}
    for part, name, value in attributes:
        if name != "id":
            part.set(name, re.sub(patterns[name], rf"\g<1>{prefix}\g<2>", value))
        elif value in used:
            part.set("id", prefix + value)
        else:
            del part.attrib["id"]


# Repairs smalldocs, until it gives an inline drawing a role and a label in place of `alt`, and no two drawings one id.
def describe_pictures(page) -> None:
    "Names inline drawings by their alternative text; fails for a picture without one."
    for drawing in page.xpath("//svg[@alt]"):
        drawing.attrib.update({"role": "img", "aria-label": drawing.attrib.pop("alt")})
    for number, drawing in enumerate(page.xpath(f"{OUTPUT}//svg[not({LIVE})]"), 1):
        own_ids(drawing, f"drawing-{number}-")
    for picture in page.xpath(f"//img[not(@alt)] | {OUTPUT}//svg[not(@aria-label)]"):
        raise BuildError(f"{cell_of(picture)} has a picture without a text alternative: give the cell `#| fig-alt:`")


# Repairs smalldocs, until it writes pictures beside the page, with their size, and lets them load late.
def take_out_pictures(page, place: str) -> dict[str, bytes]:
    "Moves raster pictures out of the page; returns their contents by path beside the page."
    pictures = {}
    for picture in page.xpath("//img[starts-with(@src, 'data:image/png;') or starts-with(@src, 'data:image/jpeg;')]"):
        kind, data = re.fullmatch(r"data:image/(\w+);base64,(.*)", picture.get("src"), re.DOTALL).groups()
        content = base64.b64decode(data)
        name = f"{Path(place).stem}_files/{hashlib.sha256(content).hexdigest()[:16]}.{kind}"
        pictures[name] = content
        size = dict(zip(("width", "height"), map(str, Image.open(io.BytesIO(content)).size)))
        picture.attrib.update({**size, **picture.attrib, "src": name, "loading": "lazy"})
    return pictures


def check_sources(page) -> None:
    "Fails for a script other than that of a live figure or a question in an output, and for a page that fetches from another host."
    for script in page.xpath(f"//main//script[not({LIVE}/ancestor::div[contains(@class, 'cell-output')])]"):
        raise BuildError(f"{cell_of(script)} has a script, which only a live figure or a question in an output may")
    fetched = [url for url in page.xpath(FETCHED) if re.match(r"\s*(https?:)?//", url)]
    fetched += [url for style in page.xpath("//style/text() | //@style") for url in FETCHED_BY_STYLE.findall(style)]
    if fetched:
        raise BuildError(f"the page would fetch {fetched[0]} from another host")


def make_accessible(page) -> None:
    "Names the landmarks, lets the keyboard reach what scrolls, starts with a link to the text, leaves out no heading level."
    if page.xpath("//script[@id='quarto-search-options']"):
        page.body.append(element(f"<script>{SEARCH}</script>"))
    for path, attributes in ACCESSIBLE.items():
        for part in page.xpath(path):
            part.attrib.update(attributes)
    for block in page.xpath("//pre"):
        if max(map(len, block.text_content().splitlines()), default=0) > 30:
            block.set("tabindex", "0")
    for main in page.xpath("//main[@id]"):
        page.body.insert(0, element(f'<a class="skip-link" href="#{main.get("id")}">Skip to the text</a>'))
    # Repairs nbdev, until the headings of what it documents follow the heading that they stand under.
    above = [(0, 0)]  # of the headings that the next one can belong to: the level in the text, and on the page
    for heading in page.xpath("//main//*[self::h1 or self::h2 or self::h3 or self::h4 or self::h5 or self::h6]"):
        given = int(heading.tag[1])
        above = [levels for levels in above if levels[0] < given]
        above.append((given, above[-1][1] + 1))
        if above[-1][1] < given:  # it moves up and looks as before
            heading.tag = f"h{above[-1][1]}"
            heading.set("class", f"{heading.get('class', '')} h{given}".strip())


# Repairs smalldocs and Quarto, until a page can name the fonts that it needs first.
def preload_fonts(page, place: str) -> None:
    "Lets the browser fetch the fonts of text and headings together with the stylesheet that asks for them."
    for style in ("regular", "semibold"):
        url = relpath(f"fonts/asl-sans-{style}.woff2", Path(place).parent.as_posix())
        page.head.append(element(f'<link rel="preload" as="font" type="font/woff2" href="{url}" crossorigin>'))


def say_source(page, place: str, about: About, colab: bool) -> None:
    "Adds the version to the footer, and links to the page's notebook, in Colab only if it runs there."
    for foot in page.xpath("//div[@class='nav-footer-center']"):
        foot.append(element(f"<span>Version {about.version}</span>"))
    path = Path(place).with_suffix(".ipynb")
    links = {"Download the notebook": f'href="{path.name}" download'}
    links |= {"Open in Colab": f'href="https://colab.research.google.com/github/{about.source}/{path}"'} if colab else {}
    links |= {"Open in nbviewer": f'href="https://nbviewer.org/github/{about.source}/{path}"'}
    for parent in page.xpath(f"{TOOLS}[not(ul)] | {TOOLS}/ul"):
        for text, link in links.items():
            parent.append(element(ITEMS[parent.tag].format(link=link, text=text)))


def secure(page) -> None:
    "Gives a page its content security policy; fails for a script in an attribute."
    for switch in page.xpath("//a[contains(@class, 'quarto-color-scheme-toggle')]"):
        switch.attrib.pop("onclick", None)
        switch.attrib.update({"role": "button", "href": "#"})
    page.body.append(element(f"<script>{SWITCH}</script>"))
    for handler in page.xpath("//@*[starts-with(name(), 'on')]"):
        raise BuildError(f"{cell_of(handler.getparent())} has a script in an attribute: {handler[:60]}")
    digests = {hashlib.sha256((script.text or "").encode()).digest() for script in page.xpath("//script[not(@src)]")}
    hashes = sorted(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    policy = POLICY.format(scripts=" ".join(hashes))  # it comes after the character set and before anything that it rules
    page.head.insert(1, element(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'))


@functools.lru_cache(maxsize=500)  # the preview renders every page after a change, and most are as before
def finish_page(source: str, place: str, about: About, colab: bool, strict: bool) -> tuple[str, dict[str, bytes]]:
    "The finished page, and the pictures beside it by path; `place` is such as learn/gradients.html."
    page = html.document_fromstring(source)
    draw_formulas(page)
    tidy(page, place, about.address)
    describe_pictures(page)
    pictures = take_out_pictures(page, place)
    check_sources(page)
    box_wide_parts(page)
    make_accessible(page)
    say_source(page, place, about, colab)
    preload_fonts(page, place)
    if place == "404.html":  # it is shown at any address; its links start at the published site's root
        page.head.insert(1, element(f"<script>{BASE.format('/' + about.address.split('/', 3)[3])}</script>"))
    if strict:
        secure(page)
    return "<!DOCTYPE html>\n" + html.tostring(page, encoding="unicode") + "\n", pictures


def finish_file(site: Path, path: Path, about: About, strict: bool) -> None:
    "Finishes one page's file, unless it is finished, and puts its notebook and pictures beside it."
    source, place = path.read_text(encoding="utf-8"), path.relative_to(site).as_posix()
    if 'class="skip-link"' in source:
        return
    code = (get_config().nbs_path / place).with_suffix(".ipynb").read_text(encoding="utf-8")
    colab = not re.search(r'"\s*(from|import) nbdev\b', code)  # nbdev does not import beside Colab's own packages
    try:
        source, pictures = finish_page(source, place, about, colab, strict)
    except BuildError as error:
        # Repairs smalldocs, until a cell's element has the id of the cell and not its number.
        cells = json.loads((site.parent / place).with_suffix(".ipynb").read_bytes())["cells"]
        named = re.sub(r"^cell-(\d+)(?= has)", lambda found: cells[int(found[1])]["id"], str(error))
        raise BuildError(f"{place}: {named.replace('cell-', 'cell ', 1)}") from error
    path.write_text(source, encoding="utf-8")
    path.with_suffix(".ipynb").write_text(code, encoding="utf-8")
    for name, content in pictures.items():
        (path.parent / name).parent.mkdir(exist_ok=True)
        (path.parent / name).write_bytes(content)


# Repairs smalldocs, until it ships the icons that a site uses and not all two thousand.
def trim_icons(site: Path) -> None:
    "Keeps of smalldocs' icon font and its stylesheet the icons that the site uses."
    stylesheet = site / "site_libs/bootstrap-icons/bootstrap-icons.min.css"
    font = stylesheet.parent / "fonts/bootstrap-icons.woff"
    if font.is_file():
        users = {path for path in site.rglob("*") if path.suffix in (".html", ".js", ".css")} - {stylesheet}
        text = "".join(path.read_text(encoding="utf-8") for path in users)
        names = set(re.findall(r"bi-[a-z0-9-]+", text))
        rules = ICON.sub(lambda rule: rule[0] if rule[1] in names else "", stylesheet.read_text(encoding="utf-8"))
        codes = [code for _, code in ICON.findall(rules)] + re.findall(r"content:\s*\"\\(f[0-9a-f]{3})\"", text)
        subset.main([str(font), f"--unicodes={','.join(codes)}", "--flavor=woff", f"--output-file={font}"])
        font.with_suffix(".woff2").unlink(missing_ok=True)
        stylesheet.write_text(re.sub(r"src:url\([^;}]*", 'src:url("fonts/bootstrap-icons.woff")', rules), encoding="utf-8")


def write_lists(site: Path, address: str) -> None:
    "Writes llms.txt, a list of the notebooks, and takes the dates from sitemap.xml."
    text = ""
    for path in sorted(site.rglob("*.ipynb"), key=lambda path: (path != site / "index.ipynb", path)):
        if found := re.match(r"# (.+)\s+> (.+)", "".join(json.loads(path.read_bytes())["cells"][0]["source"])):
            text = text or f"# {found[1]}\n\n> {found[2]}\n\n## Pages, as notebooks\n\n"
            text += f"- [{found[1]}]({address}{path.relative_to(site).as_posix()}): {found[2]}\n"
    (site / "llms.txt").write_text(text, encoding="utf-8")
    # Repairs smalldocs, until `lastmod` is a date of the notebook and not of the build.
    if (sitemap := site / "sitemap.xml").is_file():
        sitemap.write_text(re.sub(r"\s*<lastmod>.*?</lastmod>", "", sitemap.read_text(encoding="utf-8")), encoding="utf-8")


def finish_site(site: Path, strict: bool) -> None:
    "Finishes every page of a rendered site, in place; `strict` gives each one a policy."
    settings = get_config()
    failed, commit = subprocess.getstatusoutput("git log -1 --format=', commit %h of %cs'")
    source = f"{settings.git_url.removeprefix('https://github.com/')}/blob/{settings.branch}/{settings.nbs_path.name}"
    about = About(settings.version + (commit if not failed else ""), source, f"{settings.doc_host}{settings.doc_baseurl}/")
    for path in site.rglob("*.css"):
        if found := FETCHED_BY_STYLE.search(path.read_text(encoding="utf-8")):
            raise BuildError(f"{path.relative_to(site)} would fetch {found[1]} from another host")
    trim_icons(site)
    for path in sorted(site.rglob("*.html")):
        finish_file(site, path, about, strict)
    write_lists(site, about.address)


if __name__ == "__main__":  # by `_quarto.yml`, smalldocs and Quarto run this file after rendering
    finish_site(Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"]).resolve(), strict="SMALLDOCS" in os.environ)
