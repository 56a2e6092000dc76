"""The notebooks in JupyterLab and Notebook 7, as people use them: run, saved and opened again, not trusted; and through nbconvert."""
import json
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import Request, urlopen

import nbformat
import pytest
from conftest import BIN, ROOT, read_until, started, tools

PROGRAMS = ["lab", "notebook"]


@pytest.fixture
def data_folder(tmp_path):
    "Where Jupyter remembers which notebooks are trusted, as an environment variable."
    return f"JUPYTER_DATA_DIR={tmp_path / 'data'}"


@pytest.fixture
def notebooks(tmp_path):
    shutil.copytree(ROOT / "nbs", tmp_path / "nbs", ignore=shutil.ignore_patterns(".*"))
    return tmp_path / "nbs"


class Server:
    "A running Jupyter, and a page of a browser."

    def __init__(self, page, program, address, token):
        self.page, self.program, self.address, self.token = page, program, address, token

    def ask(self, path, method="GET"):
        "The answer of Jupyter's REST API."
        request = Request(f"{self.address}api/{path}", method=method, headers={"Authorization": f"token {self.token}"})
        with urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def open(self, name):
        "Open a notebook and wait until its kernel is idle."
        place = "lab/tree" if self.program == "lab" else "notebooks"
        self.page.goto(f"{self.address}{place}/{name}?reset&token={self.token}")
        self.page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=180_000)
        while [session["kernel"]["execution_state"] for session in self.ask("sessions")] != ["idle"]:
            self.page.wait_for_timeout(200)

    def run_all(self):
        "Run all cells. What is asked before the kernel is there is not done, so it is asked until a cell says that it runs."
        while not self.page.locator(".jp-InputPrompt", has_text=re.compile(r"[\d*]")).count():
            self.page.get_by_role("menuitem", name="Run", exact=True).click()
            self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            self.page.wait_for_timeout(2000)

    def save(self, path):
        "Save the notebook, and wait for it."
        before = path.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        while path.stat().st_mtime_ns == before:
            self.page.wait_for_timeout(200)

    def stop_kernels(self):
        for session in self.ask("sessions"):
            self.ask(f"sessions/{session['id']}", "DELETE")


@contextmanager
def jupyter(page, folder, data_folder, program="lab"):
    "JupyterLab, or Notebook 7, on a folder."
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    command = ["env", *data_folder.split(), f"PYTHONPATH={ROOT}", BIN / "jupyter", program, "--no-browser", "--port=0", "--notebook-dir", folder, *as_root]
    with started(command, folder, seconds=500) as process:
        address, token = re.search(r"(http://127\.0\.0\.1:\d+/)\w+\?token=(\w+)", read_until(process, "127.0.0.1")).groups()
        server = Server(page, program, address, token)
        for _ in range(600):  # it prints its address a moment before it listens there
            try:
                server.ask("status")
                break
            except URLError:
                time.sleep(0.1)
        yield server


def write(path, *sources):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources], metadata=kernel), path)


FIGURE = "from asl_explainer.course.plots import explore_probability\nfigure = explore_probability()\nfigure"
BESIDE = """import ipywidgets
mine = ipywidgets.FloatSlider(4, max=8)
ipywidgets.jslink((mine, 'value'), (figure.widget, 'gamma_neg'))
ipywidgets.VBox([mine, figure.widget])"""


def drag(page, handle, share):
    "Drag a slider to a share of its width."
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    value = float(handle.input_value()) / float(handle.get_attribute("max"))
    page.mouse.move(box["x"] + 8 + value * (box["width"] - 16), box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_figure_that_was_run_moves_with_its_kernel(tmp_path, data_folder, page, program):
    "A drag and keys change picture, sentence and the module's number, in the cell's output and in the widget, which a slider is linked to."
    write(tmp_path / "figure.ipynb", FIGURE, BESIDE)
    with jupyter(page, tmp_path, data_folder, program) as server:
        server.open("figure.ipynb")
        server.run_all()
        figures = [page.locator("figure.asl-live").nth(n) for n in range(2)]
        figures[1].locator(".asl-module", has_text="module: 0.733").wait_for(timeout=180_000)
        figures[0].locator(".asl-module", has_text="module: 0.733").wait_for()
        line = figures[0].locator("[id$=gradient-negative] path").first
        before = line.get_attribute("d")
        drag(page, figures[0].locator("input[name=clip]"), 0.6)
        figures[0].locator("[data-live=code]", has_text=re.compile(r"clip=0\.(2|3)")).wait_for()
        assert line.get_attribute("d") != before
        figures[0].locator("input[name=clip]").focus()
        page.keyboard.press("Home")
        figures[0].locator("input[name=gamma_neg]").focus()
        for _ in range(20):
            page.keyboard.press("ArrowLeft")
        for figure in figures:
            figure.locator("[data-live=reading]", has_text="with a gradient of 1.129; there is no margin.").wait_for()
            figure.locator(".asl-module:not(.asl-stale)", has_text="module: 1.129").wait_for()
        assert page.locator(".widget-readout").inner_text() == "2.00"
        assert page.locator(".jp-Cell.jp-mod-selected").count() == 1 and "clip" not in page.url
        figures[1].get_by_role("button", name="paper").click()
        for figure in figures:
            figure.locator("[data-live=code]", has_text="gamma_neg=4, gamma_pos=0, clip=0.05").wait_for()
            figure.locator(".asl-module:not(.asl-stale)", has_text="module: 0.733").wait_for()
        ids = page.evaluate("[...document.querySelectorAll('figure [id], figure[id]')].map((element) => element.id)")
        assert len(ids) == len(set(ids))


def test_the_kernel_trains_what_a_playground_trained(tmp_path, data_folder, page):
    "The run of the browser, with a setting that changes on the way, has the scores of torch, greyed while another run goes on."
    source = "from asl_explainer.course.playground.page import Playground\n"
    write(tmp_path / "play.ipynb", source + "Playground('play', views=['progress'], controls=['b_gamma_neg', 'a_loss'])")
    with jupyter(page, tmp_path, data_folder) as server:
        server.open("play.ipynb")
        server.run_all()
        page.get_by_role("button", name="One step").click(timeout=180_000)
        trained = page.locator(".asl-module:not(.asl-stale)", has_text="torch: test mAP")
        trained.wait_for(timeout=60_000)
        page.locator("input[name=b_gamma_neg]").press("ArrowLeft")
        page.locator("select[name=a_loss]").select_option("two-way")
        page.locator("[data-live=code]", has_text="gamma_neg=3.9").wait_for(state="attached")
        for _ in range(19):
            page.get_by_role("button", name="One step").click()
        page.locator("[data-live=reading]", has_text="After 20 steps").wait_for()
        sentence = page.locator("[data-live=reading]").inner_text()
        scores = re.search(r"test mAP is ([\d.]+) with A \(two-way\) and ([\d.]+) with B \(ASL\)", sentence).groups()
        page.locator(".asl-module:not(.asl-stale)", has_text="{} with A and {} with B".format(*scores)).wait_for(timeout=60_000)


def test_while_the_kernel_is_busy_the_figure_moves_and_its_number_is_grey(tmp_path, data_folder, page):
    write(tmp_path / "figure.ipynb", FIGURE, "import time\nprint('busy')\ntime.sleep(15)")
    with jupyter(page, tmp_path, data_folder) as server:
        server.open("figure.ipynb")
        server.run_all()
        page.locator(".jp-OutputArea-output", has_text="busy").wait_for(timeout=180_000)
        page.locator(".asl-module", has_text="module: 0.733").wait_for()
        page.locator("input[name=gamma_neg]").focus()
        page.keyboard.press("Home")
        page.locator("[data-live=code]", has_text="gamma_neg=0").wait_for(timeout=5000)
        assert page.locator(".asl-module.asl-stale", has_text="module: 0.733").is_visible()
        page.locator(".asl-module:not(.asl-stale)", has_text="module: 0.642").wait_for(timeout=60_000)


CHAPTER = "learn/asymmetric_focusing.ipynb"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_notebook_that_was_run_and_saved_shows_its_live_figure_again(notebooks, data_folder, page, program):
    "Also after its kernel has gone. Cleaned, it is the notebook that is committed."
    saved = notebooks / CHAPTER
    before = saved.read_text()
    subprocess.run(["env", data_folder, BIN / "jupyter", "trust", saved], check=True, capture_output=True)
    with jupyter(page, notebooks, data_folder, program) as server:
        server.open(CHAPTER)
        server.run_all()
        page.locator("#two-gammas .asl-module").wait_for(timeout=180_000)
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=180_000)
        server.save(saved)
        server.stop_kernels()
        assert "data-model" in saved.read_text()
        server.open(CHAPTER)
        figure = page.locator("#two-gammas")
        figure.locator("input[name=gamma_neg]").focus()
        page.keyboard.press("Home")
        figure.locator("[data-live=code]", has_text="gamma_neg=0").wait_for()
        assert figure.locator("svg").first.is_visible() and page.get_by_text("model not found").count() == 0
    for name in ["settings.ini", "pyproject.toml", "_quarto.yml", "tools"]:
        (notebooks.parent / name).symlink_to(ROOT / name)
    done = tools(notebooks.parent, "clean")
    assert done.returncode == 0, done.stderr
    assert saved.read_text().splitlines() == before.splitlines()


def natural_widths(locator):
    return locator.evaluate_all("images => images.filter((image) => image.checkVisibility()).map((image) => image.naturalWidth)")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_notebook_that_is_not_trusted_shows_pictures(notebooks, data_folder, page, program):
    with jupyter(page, notebooks, data_folder, program) as server:
        server.open("index.ipynb")
        note = page.get_by_text("Run this cell for live sliders.").first
        note.scroll_into_view_if_needed()
        assert note.is_visible()
        page.locator("img[alt^='Over the probability p, the loss of a positive']").wait_for()
        plot = page.locator(".jp-RenderedImage img").first
        plot.scroll_into_view_if_needed()
        assert all(width > 350 for width in natural_widths(page.locator(".jp-OutputArea-output img"))) and plot.is_visible()
        assert page.locator(".jp-OutputArea-output :is(svg, input, select, button)").count() == 0
        lines = page.locator(".jp-OutputArea-output", has_text="Run this cell for live sliders.").first.inner_text().splitlines()
        assert not [line for line in lines if re.fullmatch(r"[\d.]+", line.strip())], "numbers of an axis, without the axis"


def test_a_trusted_notebook_shows_a_live_figure_that_the_arrow_keys_move(notebooks, data_folder, page):
    subprocess.run(["env", data_folder, BIN / "jupyter", "trust", notebooks / "index.ipynb"], check=True, capture_output=True)
    with jupyter(page, notebooks, data_folder) as server:
        server.open("index.ipynb")
        figure = page.locator("#batch")
        figure.scroll_into_view_if_needed()
        assert figure.locator("svg").first.is_visible() and not figure.get_by_text("Run this cell for live sliders.").is_visible()
        page.locator(".jp-RenderedSVG").first.wait_for()  # the static plot
        slider = figure.locator("input[name=gamma_neg]")
        slider.focus()
        selected = page.locator(".jp-Cell.jp-mod-active").evaluate("cell => [...cell.parentNode.children].indexOf(cell)")
        for key in ["ArrowRight", "ArrowUp", "ArrowLeft", "ArrowUp"]:
            page.keyboard.press(key)
        figure.locator("[data-live=reading]", has_text="hard ones 1.1%").wait_for()
        assert slider.input_value() == "4.2"
        assert page.locator(".jp-Cell.jp-mod-active").evaluate("cell => [...cell.parentNode.children].indexOf(cell)") == selected


def test_a_figure_follows_the_dark_theme(notebooks, data_folder, page, tmp_path):
    settings = tmp_path / "data/lab-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "themes.jupyterlab-settings").write_text('{"theme": "JupyterLab Dark"}')
    subprocess.run(["env", data_folder, BIN / "jupyter", "trust", notebooks / CHAPTER], check=True, capture_output=True)
    with jupyter(page, notebooks, f"{data_folder} JUPYTERLAB_SETTINGS_DIR={tmp_path / 'data/lab-settings'}", "lab") as server:
        server.open(CHAPTER)
        figure = page.locator("#two-gammas")
        figure.scroll_into_view_if_needed()
        colors = figure.evaluate("""(figure) => {
            const color = (selector, name) => getComputedStyle(figure.querySelector(selector))[name];
            return [color("svg", "fill"), color("[id$=gradient-positive] path", "stroke"), color("input", "colorScheme")];
        }""")
        assert colors[1:] == ["rgb(86, 180, 233)", "dark"] and min(map(float, re.findall(r"[\d.]+", colors[0])[:3])) > 150


def test_nbconvert_writes_the_live_figure(tmp_path, page):
    write(tmp_path / "figure.ipynb", FIGURE)
    subprocess.run([BIN / "jupyter", "nbconvert", "--to", "html", "--execute", "figure.ipynb"], cwd=tmp_path, check=True, capture_output=True)
    page.goto(f"file://{tmp_path / 'figure.html'}")
    slider = page.locator("#explore-probability input[name=clip]")
    slider.focus()
    page.keyboard.press("Home")
    page.get_by_text("; there is no margin.").first.wait_for()
    assert slider.input_value() == "0" and page.locator("#explore-probability svg").first.is_visible()


@pytest.mark.parametrize("path", sorted((ROOT / "nbs").glob("learn/*.ipynb")), ids=lambda path: path.stem)
def test_code_that_a_chapter_hides_is_hidden_in_jupyter_and_its_links_lead_to_notebooks(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            hidden = re.search(r"^#\| *(hide|include: false|echo: false)$", cell.source, re.MULTILINE) is not None
            assert cell.metadata.get("jupyter", {}).get("source_hidden", False) == hidden, cell.id
        else:
            assert not re.search(r"\]\((?!https?:)[^)]*\.html", cell.source), cell.id
