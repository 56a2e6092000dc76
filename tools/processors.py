"""Our nbdev processors: what a notebook needs before smalldocs or Quarto renders it. settings.ini lists them"""
import re
import warnings
from pathlib import Path

from execnb.nbio import read_nb
from nbdev.config import get_config
from nbdev.doclinks import NbdevLookup
from nbdev.processors import FilterDefaults

from tools import BuildError

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_KEY = re.compile(r'(?<=<figure) data-model="\w+"')  # see `Figure` in asl_explainer.course.live_figure
WRAPPED = ("api/", "learn/timm_docs.ipynb")  # pages on which long lines of code wrap
LONGEST_TEXT = 100_000  # characters that a page shows of one output
STILL = re.compile(r'<img class="asl-still"[^>]*>\n?|<p class="asl-still">.*?</p>\n?')  # see `still` in asl_explainer.course.live_figure
TAGGED = re.compile(r"^\$\$((?:(?!\$\$).)*?)\s*\\tag\{(\d+)\}\s*\$\$", re.DOTALL | re.MULTILINE)


def name_of(notebook: str | Path) -> str:
    "A notebook's path inside the notebooks' folder, such as learn/gradients.ipynb."
    return Path(notebook).resolve().relative_to(get_config().nbs_path.resolve()).as_posix()


# Repairs nbdev, until an error in a processor names the notebook, and code beside an import is not executed.
class Filter(FilterDefaults):
    "All processors, nbdev's and ours; an error names the notebook."

    def __call__(self, nb):
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", "Found cells containing imports")  # nbdev would run their other code again
                return super().__call__(nb)
        except Exception as error:
            cause = f"{error.__cause__!r}: " if error.__cause__ else ""
            raise BuildError(f"{name_of(nb.path_)}: {cause}{error}") from error


# Repairs nbdev, until it looks a name up in the modules that the notebook exports and imports, and leaves links alone.
class link_names(NbdevLookup):
    "Links names in backticks to the module that the notebook means: the one that it exports, else what it imports."

    def __init__(self, nb):
        super().__init__()
        code = "\n".join(cell.source for cell in read_nb(nb.path_).cells if cell.cell_type == "code")
        imports = re.findall(r"^from (\S+) import (\([^)]*\)|.*)", code, re.MULTILINE)
        self.meant = {name: f"{module}.{name}" for module, names in imports for name in re.findall(r"\w+", names)}
        if module := re.search(r"^#\|\s*default_exp\s+(\S+)", code, re.MULTILINE):
            prefix = f"{get_config().lib_name}.{module[1]}."
            self.meant |= {name.removeprefix(prefix): name for name in self.syms if name.startswith(prefix)}

    def __getitem__(self, name):
        return None if name.startswith("_") else super().__getitem__(self.meant.get(name, name))  # private: on no page

    def link_line(self, line):
        parts = re.split(r"(\[[^]]*\]\([^)]*\))", line)  # every other part is a link already
        return "".join(part if number % 2 else NbdevLookup.link_line(self, part) for number, part in enumerate(parts))

    def __call__(self, cell):
        if cell.cell_type == "markdown":
            cell.source = self.linkify(cell.source)


class wrap_code:
    "Lets long lines of code wrap on some pages: in cells, and in Markdown by the front matter."

    def __init__(self, nb):
        self.wraps = name_of(nb.path_).startswith(WRAPPED)

    def __call__(self, cell):
        if self.wraps and cell.cell_type == "code":
            cell.source = f"#| code-overflow: wrap\n{cell.source}"
        elif self.wraps and cell.cell_type == "raw":
            cell.source = cell.source.replace("---\n", "---\ncode-overflow: wrap\n", 1)


def drop_widget_views(notebook) -> bool:
    """Removes ipywidgets' views and state, which show an error without their kernel, and the names of live figures' widgets.

    Returns whether there were any."""
    outputs = [output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])]
    found = [notebook["metadata"].pop("widgets", None), *(data.pop(WIDGET_VIEW, None) for data in outputs)]
    for data in outputs:
        html = "".join(data.get("text/html", ""))
        if connected := WIDGET_KEY.search(html):
            data["text/html"] = html.replace(connected[0], "")
            found.append(connected)
    return any(found)


# Repairs Quarto, until it shows the text of an output in place of a widget and fetches nothing.
class drop_widgets:
    "Removes ipywidgets' views, for which Quarto would load scripts from other hosts."

    def __init__(self, nb):
        self.begin = lambda: drop_widget_views(nb)


def check_outputs(cell) -> None:
    "Fails for a saved error, and for an output that holds a live figure's name and no figure."
    for output in cell.get("outputs", []):
        if output["output_type"] == "error":
            raise BuildError(f"cell {cell.id} ends in {output['ename']}: {output['evalue']}")
        data = output.get("data", {})
        text = "".join(data.get("text/plain", ""))
        if text.startswith("Figure ") and "text/html" not in data:
            raise BuildError(f"cell {cell.id} holds no figure, only its name: {text}")


# Repairs Quarto, until an output of `text/html` makes it load no script from another host.
def raw_html(cell) -> None:
    "Turns an HTML output into Markdown with a raw block, because for `text/html` Quarto loads scripts from other hosts; drops a live figure's still picture."
    for output in cell.get("outputs", []):
        if html := "".join(output.get("data", {}).get("text/html", "")):
            html = STILL.sub("", html)
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", html)), default=0))
            output["data"] = {"text/markdown": f"{fence}{{=html}}\n{html}\n{fence}"}


# Repairs smalldocs and Quarto, until they leave out the XML prolog of an inline SVG, and the PNG beside it.
def trim_svg(cell) -> None:
    "Removes the XML prolog of a saved SVG, which has no place inside a page, and the PNG beside it."
    for output in cell.get("outputs", []):
        if svg := "".join(output.get("data", {}).get("image/svg+xml", "")):
            output["data"]["image/svg+xml"] = svg[svg.index("<svg") :]
            output["data"].pop("image/png", None)


# Repairs pandoc, until its MathML shows the number that `\tag` gives an equation.
def number_equations(cell) -> None:
    "Shows an equation's `\\tag{3}` and gives it the anchor `#equation-3`."
    if cell.cell_type == "markdown":
        cell.source = TAGGED.sub(r'<span id="equation-\2"></span>\n\n$$\1\n\\quad\\text{(\2)}\n$$', cell.source)


def shorten_text(cell) -> None:
    "Keeps the beginning of a printed text that is too long for a page."
    for output in cell.get("outputs", []):
        for texts, kind in [(output, "text"), (output.get("data", {}), "text/plain")]:
            text = "".join(texts.get(kind, ""))
            if len(text) > LONGEST_TEXT:
                texts[kind] = f"{text[:LONGEST_TEXT]}\n... {len(text) - LONGEST_TEXT:,} more characters are left out"


# Repairs Quarto, until it keeps the ids of cells apart from those of the page's figures and headings.
def prefix_ids(cell) -> None:
    "Keeps a cell's id, which Quarto makes an id of the page, apart from the ids of figures and headings."
    cell.id = f"cell-{cell.id}"
