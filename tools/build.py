"""Builds the site: nbdev processes the notebooks, smalldocs or Quarto renders them, `finish` does the rest"""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbdev.serve
from nbdev.config import get_config
from nbdev.doclinks import nbglob
from nbdev.quarto import refresh_quarto_yml
from nbdev.serve_drv import exec_nb
from smalldocs.config import load
from smalldocs.site import Site

from tools import BuildError
from tools.finish import finish_site
from tools.processors import Filter, name_of

# Repairs smalldocs, until it takes these keys, which Quarto needs, without a warning: so the warnings end.
QUARTOS_OWN = (
    "output-file is not read by smalldocs",
    "html-math-method is ignored",
    "respect-user-color-scheme is ignored",
    "unknown key website.open-graph.image",
)


def notebooks() -> list[Path]:
    "Every notebook of the site."
    return sorted(nbglob(as_path=True))


def process(changed: list[Path]) -> Path:
    "Has nbdev process the changed notebooks here, or else all of them in new processes; returns the folder of all."
    for path in changed or notebooks():
        try:
            json.loads(path.read_bytes())["cells"]
        except (ValueError, KeyError, TypeError) as error:
            raise BuildError(f"{name_of(path)} is not a notebook: {error}") from error
    if not changed:
        refresh_quarto_yml()  # writes nbs/nbdev.yml: the part of the site's configuration that settings.ini holds
        # Repairs nbdev, until its errors name the notebook, and `proc_nbs` forgets notebooks that are gone.
        nbdev.serve.FilterDefaults = Filter
        folder = nbdev.serve.proc_nbs(force=True)
        # Repairs nbdev, until it copies Python files under their own names.
        for path in get_config().nbs_path.glob("learn/recipes/*.py"):
            path_of_copy = folder / path.relative_to(get_config().nbs_path)
            path_of_copy.with_suffix("").rename(path_of_copy)
        return folder
    folder = get_config().config_path / "_proc"
    for path in changed:
        exec_nb(path, folder / name_of(path), Filter)
    return folder


def with_smalldocs(folder: Path) -> Path:
    "Has smalldocs render a folder, and finishes the pages; returns the site."
    project = load(folder)
    project.project.pop("post-render", None)  # it would start a process for `finish_site`
    site = Site(project, quiet=True)
    site.build()
    for text in [text for text in site.warnings if not text.endswith(QUARTOS_OWN)]:
        print(f"warning: {text}", flush=True)
    finish_site(site.out, strict=True)
    return site.out


def with_quarto(folder: Path) -> Path:
    "Has Quarto render a folder, and finish the pages by `_quarto.yml`; prints its warnings; returns the site."
    if not shutil.which("quarto"):
        raise BuildError("quarto is not on PATH: install it from quarto.org, or leave out --renderer quarto")
    environment = {**os.environ, "QUARTO_PYTHON": sys.executable, "QUARTO_LOG_LEVEL": "warning", "NO_COLOR": "1"}
    command = ["quarto", "render", "--no-cache"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise BuildError("quarto render failed:\n" + "\n".join(done.stderr.splitlines()[-20:]))
    print(done.stderr, end="", flush=True)
    return folder / get_config().doc_path.name


def render(folder: Path, renderer: str) -> None:
    "Renders processed notebooks and puts the site in the place of the earlier one."
    site, docs = {"smalldocs": with_smalldocs, "quarto": with_quarto}[renderer](folder), get_config().doc_path
    if missing := [name_of(path) for path in notebooks() if not (site / name_of(path)).with_suffix(".html").is_file()]:
        raise BuildError(f"{renderer} made no page of {', '.join(missing)}")
    shutil.rmtree(docs, ignore_errors=True)
    site.rename(docs)


def build(renderer: str) -> None:
    "Builds the whole site. A failure leaves the earlier site as it is."
    if not (get_config().nbs_path / "_quarto.yml").is_file():  # nbdev would write one
        raise BuildError("nbs/_quarto.yml is missing: it is a link to ../_quarto.yml")
    render(process([]), renderer)
