"""Writes README.md from the landing page, and cleans the notebooks"""
import re

from execnb.nbio import read_nb, write_nb
from nbdev.clean import nbdev_clean
from nbdev.config import get_config
from smalldocs.notebook import cell_options

from tools.build import notebooks
from tools.processors import drop_widget_views


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


def clean() -> None:
    "Cleans every notebook as nbdev does, and removes what ipywidgets saved."
    nbdev_clean()
    for path in notebooks():
        notebook = read_nb(path)
        if drop_widget_views(notebook):
            write_nb(notebook, path)
