"""The figures that the notebooks show, made again from the few cells that they need."""
import ast
import contextlib
import functools
import io
import re
from importlib import import_module
from pathlib import Path

import matplotlib
import nbformat

from asl_explainer.course.live_figure import Figure

NBS = Path(__file__).parents[2] / "nbs"


def shows_a_figure(cell):
    return any(output.get("data", {}).get("text/plain", "").startswith("Figure ") for output in cell.get("outputs", []))


def names(tree, context):
    "The names that code reads, ast.Load, or writes, ast.Store."
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, context)}
    if context is ast.Store:
        defined = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        imported = [alias for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names]
        found |= {node.name for node in defined} | {(alias.asname or alias.name).partition(".")[0] for alias in imported}
    return found


def needed(trees):
    "The last of the cells and, of those before it, the ones that write a name which it needs, directly or not."
    kept, wanted = [trees[-1]], names(trees[-1], ast.Load)
    for tree in reversed(trees[:-1]):
        if names(tree, ast.Store) & wanted:
            kept.insert(0, tree)
            wanted |= names(tree, ast.Load)
    return kept


def run(trees, space):
    "Run cells; returns the value of the last expression."
    *before, last = [node for tree in trees for node in tree.body]
    with contextlib.redirect_stdout(io.StringIO()), matplotlib.rc_context():
        exec(compile(ast.Module(before, []), "cells", "exec"), space)
        return eval(compile(ast.Expression(last.value), "cell", "eval"), space)


@functools.cache
def figures(name: str) -> list[Figure]:
    "The figures of a notebook, such as learn/gradients.ipynb."
    cells = [cell for cell in nbformat.read(NBS / name, as_version=4).cells if cell.cell_type == "code"]
    exported = re.search(r"^#\| default_exp (\S+)", "\n".join(cell.source for cell in cells), re.MULTILINE)
    module = vars(import_module(f"asl_explainer.{exported[1]}")) if exported else {}
    sources = ["" if cell.source.startswith("#| export") else cell.source for cell in cells]
    trees = [ast.parse(re.sub(r"^(\s*)[%!].*", r"\1pass", source, flags=re.MULTILINE)) for source in sources]
    with contextlib.chdir((NBS / name).parent):
        return [run(needed(trees[: n + 1]), dict(module)) for n, cell in enumerate(cells) if shows_a_figure(cell)]


def notebooks() -> list[str]:
    "The notebooks that show figures."
    paths = [path.relative_to(NBS) for path in sorted(NBS.rglob("*.ipynb"))]
    paths = [path for path in paths if not any(part.startswith((".", "_")) for part in path.parts)]
    return [path.as_posix() for path in paths if any(map(shows_a_figure, nbformat.read(NBS / path, as_version=4).cells))]
