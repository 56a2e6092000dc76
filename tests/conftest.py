"""What the tests of all three folders share: the built site, a small project, programs that run beside a test."""
import functools
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from getpass import getuser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import browser as browser_finder
import nbformat
import pytest
from filelock import FileLock
from hypothesis import settings

# A property is about what is computed, not about how long it takes on a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent

# torch.compile takes code from its cache that was made for other instructions of the processor, and computes nonsense.
CAPABILITY = os.environ.get("ATEN_CPU_CAPABILITY", "all")
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", f"{tempfile.gettempdir()}/asl_explainer_compiled_{CAPABILITY}_{getuser()}")


def pytest_addoption(parser):
    parser.addoption("--torch-device", default="cpu", help="where tests/loss/test_device.py runs the losses, such as cuda")


def pytest_collection_modifyitems(items):
    "`pytest -m loss` runs the tests of the loss, here and in the notebooks. What a file builds once stays in one process."
    for item in items:
        if item.path.is_relative_to(ROOT / "tests/loss"):
            item.add_marker("loss")
        if item.path.name == "test_package.py":
            item.add_marker(pytest.mark.xdist_group("package"))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    "Playwright drives the browser that is there; without one the tests are skipped, but in CI they fail."
    path = browser_finder.find()
    if path is None:
        message = "no Chromium or Chrome was found; `python tests/browser.py` installs one"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    args = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    if os.geteuid() == 0:
        args.append("--no-sandbox")  # Chromium refuses to run as root with its sandbox
    return {**browser_type_launch_args, "executable_path": path, "args": args}


@pytest.fixture(scope="session")
def launch_browser(launch_browser):
    "A browser that does not start, or not in time, as happens on a busy machine, is started again."
    from playwright.sync_api import Error

    def launch(**options):
        for _ in range(2):
            with suppress(Error):
                return launch_browser(**options)
        return launch_browser(**options)

    return launch


def recipe(name):
    "A recipe of the chapter on trainers, as a module."
    spec = importlib.util.spec_from_file_location(name, ROOT / f"nbs/learn/recipes/{name}.py")
    sys.modules[name] = importlib.util.module_from_spec(spec)  # checkpoints name it
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def tools(folder, *arguments, timeout=300, **kwargs):
    "Run `python -m tools` in a folder."
    command = [sys.executable, "-m", "tools", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout, **kwargs)


def built(project):
    "Build a project's site and return it."
    done = tools(project, "build")
    assert done.returncode == 0, done.stdout + done.stderr
    return project / "_docs"


@contextmanager
def started(command, folder, seconds=120):
    """Start a program whose output can be read line by line.

    It and its children are a group of their own, as in a terminal. After the given time it is killed, so that a test
    that waits for a line in vain fails."""

    def listen_to_interrupts():  # even where this test run was started in a way that ignores them
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0, preexec_fn=listen_to_interrupts
    )
    timer = threading.Timer(seconds, os.killpg, [process.pid, signal.SIGKILL])
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def read_until(process, text):
    "The first line that contains a text."
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return line
    pytest.fail(f"{text!r} was not printed; this was:\n{''.join(lines)}")


def digests(folder):
    "What each file of a folder holds."
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def site(tmp_path_factory, worker_id):
    "This project's site, built once for all processes of a test run."
    shared = tmp_path_factory.getbasetemp().parent if worker_id != "master" else tmp_path_factory.getbasetemp()
    with FileLock(shared / "site.lock"):
        if not (shared / "site.built").exists():
            built(ROOT)
            (shared / "site.built").touch()
    return ROOT / "_docs"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def served(folder):
    "A folder's address, as a plain web server serves it."
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def published(site, folder):
    "The address of a site that is served as it is published: not at the root of its host."
    folder.mkdir(exist_ok=True)
    (folder / "asl_explainer").symlink_to(site)
    with served(folder) as address:
        yield f"{address}/asl_explainer"


@pytest.fixture(scope="session")
def site_url(site, tmp_path_factory):
    "The built site's address."
    with published(site, tmp_path_factory.mktemp("published")) as address:
        yield address


def write_notebook(path, title, *cells, text=""):
    "A small notebook: a title, a text, then code; a cell can be a pair of its source and the data of its output."
    markdown = [nbformat.v4.new_markdown_cell(f"# {title}\n\n> A small page", id="title"), nbformat.v4.new_markdown_cell(text, id="text")]
    notebook = nbformat.v4.new_notebook(cells=markdown if text else markdown[:1])
    for number, cell in enumerate(cells, 1):
        source, data = (cell, None) if isinstance(cell, str) else cell
        outputs = [nbformat.v4.new_output("display_data", data)] if data else []
        notebook.cells.append(nbformat.v4.new_code_cell(source, id=f"code-{number}", outputs=outputs))
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.fixture
def small_project(tmp_path):
    "A project like this one with two small pages of its own, and a package that is soon imported."
    root = tmp_path / "project"
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "settings.ini", root)
    (root / "asl_explainer").mkdir()
    (root / "asl_explainer/__init__.py").touch()
    shutil.copy(ROOT / "asl_explainer/_modidx.py", root / "asl_explainer")
    (root / "images").mkdir()
    (root / "_quarto.yml").write_text(
        "project: {type: website, output-dir: _docs, post-render: ../tools/finish.py}\n"
        "metadata-files: [nbdev.yml]\nwebsite: {repo-actions: [issue]}\nformat: {html: {theme: litera, toc: true}}\n"
    )
    (root / "nbs").mkdir()
    (root / "nbs/_quarto.yml").symlink_to("../_quarto.yml")
    write_notebook(root / "nbs/index.ipynb", "Landing", "40 + 2")
    write_notebook(root / "nbs/learn/chapter.ipynb", "Chapter", "'first edition'")
    return root


@pytest.fixture
def project(small_project, monkeypatch):
    "The small project, built in this process: in the same steps, without the seconds that new processes take."
    import nbdev.serve
    from nbdev.config import get_config

    monkeypatch.chdir(small_project)
    monkeypatch.setattr(nbdev.serve, "proc_nbs", functools.partial(nbdev.serve.proc_nbs, n_workers=0))
    get_config.cache_clear()
    yield small_project
    get_config.cache_clear()
