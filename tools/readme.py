"""Writes README.md from the landing page, and cleans the notebooks"""
import re

import nbformat
from execnb.nbio import read_nb
from nbdev.clean import nbdev_clean
from nbdev.config import get_config
from smalldocs.notebook import cell_options

from tools.build import notebooks
from tools.processors import drop_widget_views, name_of

HIDDEN = re.compile(r"^#\|\s*(hide|include:\s*false|echo:\s*false)\s*$", re.MULTILINE)  # code that a page does not show
COORDINATE = re.compile(r"(scale\([^)]*\)|<style.*?</style>)|(-?\d+\.\d{3,})", re.DOTALL)  # the second group is one


def notebook_to_readme(notebook, nbs: str) -> tuple[str, dict[str, str]]:
    "The README's text for the landing page, and the SVG for the path of each picture in it."
    parts, pictures = [], {}
    for cell in notebook.cells:
        options, source = cell_options(cell.source)
        if re.match(r"#\|\s*(hide|export|default_exp)\b", cell.source):
            continue
        if cell.cell_type == "markdown":  # a link to a page leads to its notebook
            parts.append(re.sub(r"\]\((?![a-z]+:|#)(?!images/)", f"]({nbs}/", cell.source))
        elif options.get("echo", True):
            parts.append(f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/svg+xml" in data:
                pictures[f"images/{cell.id}.svg"] = "".join(data["image/svg+xml"])
                parts.append(f"![{options['fig-alt']}](images/{cell.id}.svg)\n\n*{options['fig-cap']}*")
            elif "text/html" not in data:  # a live figure needs a page
                parts.append(f"```text\n{''.join(output.get('text') or data['text/plain']).rstrip()}\n```")
    return "\n\n".join(parts) + "\n", pictures


def readme() -> None:
    "Writes README.md and its pictures from the landing page as it is saved."
    settings = get_config()
    text, pictures = notebook_to_readme(read_nb(settings.nbs_path / "index.ipynb"), settings.nbs_path.name)
    for path, content in {**pictures, "README.md": text}.items():
        (settings.config_path / path).write_text(content, encoding="utf-8")


def hide_code(notebook) -> bool:
    "Hides in Jupyter the code that is hidden on the page; returns whether anything changed."
    changed = False
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        hidden = {"source_hidden": True} if HIDDEN.search(cell.source) else None
        if cell.metadata.get("jupyter") != hidden:
            cell.metadata.pop("jupyter", None)
            cell.metadata.update({"jupyter": hidden} if hidden else {})
            changed = True
    return changed


def round_drawings(notebook) -> bool:
    "Rounds the coordinates of saved drawings, whose last digits depend on the processor; returns whether anything changed."
    changed = False
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        drawing = output.get("data", {}).get("image/svg+xml", "")
        rounded = COORDINATE.sub(lambda found: found[1] or f"{float(found[2]):.2f}", drawing)
        if rounded != drawing:
            output.data["image/svg+xml"], changed = rounded, True
    return changed


def join_streams(notebook) -> bool:
    "Joins text that was printed in pieces, as JupyterLab does; returns whether there was any."
    joined = False
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        kept = []
        for output in cell.outputs:
            if kept and output.get("name") and output.get("name") == kept[-1].get("name"):
                kept[-1].text += output.text
                joined = True
            else:
                kept.append(output)
        cell.outputs = kept
    return joined


def clean() -> None:
    "Cleans every notebook, as nbdev does and so that it is the same wherever it was run; hides a chapter's hidden code."
    nbdev_clean()
    for path in notebooks():
        notebook = nbformat.read(path, as_version=4)
        changed = [drop_widget_views(notebook), join_streams(notebook), round_drawings(notebook)]
        if not name_of(path).startswith("api/"):
            changed.append(hide_code(notebook))
        if any(changed):
            nbformat.write(notebook, path)
