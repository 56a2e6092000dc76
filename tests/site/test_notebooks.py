"""The notebooks and what is made from them: the exported files, the saved outputs, README.md."""
import json
import math
import re
import shutil
import subprocess
from decimal import Decimal
from itertools import zip_longest

import nbformat
import pytest
from conftest import BIN, ROOT, digests
from kernels import execute

from tools.processors import drop_widget_views
from tools.readme import notebook_to_readme

NBS = ROOT / "nbs"
NOTEBOOKS = sorted(path.relative_to(NBS).as_posix() for path in NBS.rglob("*.ipynb") if not any(part.startswith((".", "_")) for part in path.relative_to(NBS).parts))
LOSS = ("api/equation", "api/closed_form", "api/settings", "api/losses", "api/sharded", "api/start", "api/adaptive", "api/diagnose", "api/cli", "api/dropin/")


def read(name):
    return nbformat.read(NBS / name, as_version=4)


def copy_of_the_project(folder):
    "The files that nbdev reads and writes."
    for name in ["nbs", "asl_explainer"]:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*", "nbdev.yml"))
    for name in ["settings.ini", "pyproject.toml", "_quarto.yml"]:
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.mark.parametrize("command, folder", [(["nbdev_export"], "asl_explainer"), (["python", "-m", "tools", "clean"], "nbs")])
def test_exporting_and_cleaning_change_nothing(tmp_path, command, folder):
    project = copy_of_the_project(tmp_path)
    before = digests(project / folder)
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert digests(project / folder) == before, f"run `make notebooks` and commit what {' '.join(command)} changes"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_link_to_another_page_opens_its_notebook_in_jupyter(name):
    "The renderers turn a link to a notebook into one to its page; a link to a page leads nowhere in Jupyter."
    text = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
    linked = re.findall(r"""(?:\]\(|(?:href|src)=["'])(?!https?:|mailto:|#|attachment:)([^)\s"'#]+)""", text)
    assert [link for link in linked if not (NBS / name).parent.joinpath(link).exists()] == []


def test_cleaning_removes_what_ipywidgets_saved(tmp_path):
    project = copy_of_the_project(tmp_path)
    notebook = read("index.ipynb")
    view = nbformat.v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "IntSlider()"})
    notebook.cells.append(nbformat.v4.new_code_cell("slider()", id="slider", outputs=[view]))
    nbformat.write(notebook, project / "nbs/index.ipynb")
    subprocess.run([BIN / "python", "-m", "tools", "clean"], cwd=project, check=True)
    assert nbformat.read(project / "nbs/index.ipynb", as_version=4).cells[-1].outputs[0].data == {"text/plain": "IntSlider()"}


PICTURE = re.compile(r"data:image/(?:png|jpeg);base64,[\w+/=]+")
NUMBER = re.compile(r"(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)")


def shown(outputs):
    "What outputs show: text, in whatever pieces it was printed, and of a picture only its kind."
    parts = []
    for output in outputs:
        if output.output_type == "error":
            parts.append(str(output))
        elif output.output_type != "stream":
            texts = [f"{kind}: {content if kind.startswith('text/') else 'a picture'}" for kind, content in sorted(output.data.items())]
            parts += [PICTURE.sub("a picture", text) for text in texts if not text.startswith("application/vnd.jupyter.widget")]
        elif parts and parts[-1].startswith(f"{output.name}: "):
            parts[-1] += output.text
        else:
            parts.append(f"{output.name}: {output.text}")
    return parts


def unit(number):
    "What a decimal number's last digit counts; nothing for a whole number."
    _, _, exponent = Decimal(number).as_tuple()
    return 10.0**exponent if exponent < 0 else 0


def close(saved, given):
    "Whether two numbers are the same but for the last digit of decimals, or for float32's seventh: processors round differently."
    last = min(unit(saved), unit(given))
    return saved == given or last > 0 and math.isclose(float(saved), float(given), rel_tol=1e-6, abs_tol=1.001 * last)


def differences(saved, given):
    "Where two texts differ, by more than the last digit of a number: what precedes, and what is in either."
    ours, theirs = (NUMBER.split(text) for text in (saved, given))
    for place, (one, other) in enumerate(zip_longest(ours, theirs)):
        if one != other and not (place % 2 and one and other and close(one, other)):
            yield "".join(ours[max(0, place - 4) : place])[-60:], one and one[:200], other and other[:200]


@pytest.mark.parametrize("saved, given, same", [
    ("73.8% of 5", "73.7% of 5", True), ("73.8%", "73.6%", False), ("0.79", "0.8", True), ("0.75", "0.8", False), ("5 of 24", "6 of 24", False), ("1e-08", "2e-08", True),
    ("3.1329684", "3.1329670", True), ("3.1329684", "3.1329584", False), ("12.5 ± 0.1", "12.4 ± 0.1", True), ("mAP 12.5", "map 12.5", False), ("1.0, 2.0", "1.0", False),
])
def test_numbers_are_compared_within_their_last_digit(saved, given, same):
    assert (not any(differences(saved, given))) == same


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.loss] * name.startswith(LOSS)) for name in NOTEBOOKS])
def test_saved_outputs_are_what_executing_gives(name, monkeypatch):
    "This is also what runs the asserts of the notebooks."
    saved, run = read(name), read(name)
    execute(run, (NBS / name).parent, monkeypatch)
    compare(saved, run)


def compare(saved, run):
    "Fails where the outputs of two notebooks differ, and for a warning."
    for before, after in zip(saved.cells, run.cells, strict=True):
        if before.cell_type == "code":
            pairs = zip_longest(shown(before.outputs), shown(after.outputs), fillvalue="")
            found = [difference for pair in pairs for difference in differences(*pair)]
            assert not found, f"cell {before.id}, after {found[0][0]!r}: {found[0][1]!r} is saved and {found[0][2]!r} given; run `make notebooks`"
            assert not any(output.get("name") == "stderr" for output in before.outputs), f"cell {before.id} complains"


def test_readme_is_the_landing_page():
    text, pictures = notebook_to_readme(read("index.ipynb"), "nbs")
    assert (ROOT / "README.md").read_text() == text, "run `python -m tools readme`"
    assert pictures
    for path, svg in pictures.items():
        assert (ROOT / path).read_text() == svg, "run `python -m tools readme`"


def test_the_code_of_the_readme_prints_in_a_fresh_python_what_the_readme_shows(tmp_path):
    blocks = re.findall(r"```(python|text)\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    code, shown = ("\n".join(content for kind, content in blocks if kind == wanted) for wanted in ("python", "text"))
    done = subprocess.run([BIN / "python", "-i", "-q"], input=code + "\n", cwd=tmp_path, capture_output=True, text=True)
    assert len(blocks) >= 4 and done.stdout.rstrip() == shown, done.stderr


def test_readme_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert target.startswith("https://") or (ROOT / target).is_file(), target


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_equations_are_numbered_in_order(name):
    sources = [cell.source for cell in read(name).cells if cell.cell_type == "markdown"]
    numbers = [int(number) for number in re.findall(r"\\tag\{(\d+)\}", "\n".join(sources))]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_widget_is_saved(name):
    "A saved view shows 'model not found' when the notebook is opened."
    assert not drop_widget_views(read(name))


# A path of somebody's computer; and the beginnings that GitHub, AWS, PyPI, Hugging Face and OpenAI give their keys.
PRIVATE = re.compile(r"(?<![\w.:/])(?:/(?:home|root|Users|tmp|work|private|opt|mnt)/|[A-Z]:\\\\)\w|site-packages|\b(?:gh[pousr]_|AKIA|pypi-AgE|hf_|sk-)\w{16,}|PRIVATE KEY-----")


@pytest.mark.parametrize("leak", ["File /home/ann/nbs/a.py", "'/tmp/x1'", "C:\\\\Users", "lib/site-packages/torch", "ghp_" + "a1" * 12, "-----BEGIN PRIVATE KEY-----"])
def test_a_leak_would_be_found(leak):
    assert PRIVATE.search(leak)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_nothing_private_is_saved(name):
    for cell in read(name).cells:
        for text in [cell.source, *(json.dumps(output) for output in cell.get("outputs", []))]:
            found = PRIVATE.search(text)
            assert not found, f"cell {cell.id}: {text[max(0, found.start() - 40):found.end() + 40]}"


LINE = 72  # characters that fit beside the sidebars of a page 1280 pixels wide


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if name.startswith("learn/") and name != "learn/timm_docs.ipynb"])  # which shows timm's cells as they are
def test_code_and_output_of_a_chapter_have_short_lines(name):
    hidden = re.compile(r"^#\| *(hide|echo: false|include: false|code-fold)", re.MULTILINE)
    shown = [cell for cell in read(name).cells if cell.cell_type == "code" and not hidden.search(cell.source)]
    lines = [line for cell in shown for text in [cell.source, *(output.get("text", "") for output in cell.outputs)] for line in text.splitlines()]
    assert [line for line in lines if len(line) > LINE] == []
