"""What asl-docs does when things go wrong, and what it promises when they go right."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from textwrap import indent
from urllib.request import urlopen

import nbformat
import pytest
from conftest import BIN, ROOT, asl_docs, digests, read_until, started, write_notebook


def built(project):
    result = asl_docs(project, "build", "--renderer", "smalldocs")
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def fails(project, *arguments, **kwargs):
    "Run asl-docs, expect a failure that is explained without a traceback, and return what it said."
    result = asl_docs(project, *arguments, **kwargs)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("asl-docs: ")
    return result.stderr


def test_a_second_build_executes_nothing_and_gives_the_same_bytes(site):
    first = digests(site)
    assert "executing 0 of" in built(ROOT).stdout
    assert digests(site) == first
    assert "sitemap.xml" in first


def test_executing_everything_again_gives_the_same_bytes(site):
    first = digests(site)
    shutil.rmtree(ROOT / "_build")
    assert "executing 0 of" not in built(ROOT).stdout
    assert digests(site) == first


def test_only_what_changed_is_executed(small_project):
    built(small_project)
    write_notebook(small_project / "nbs/learn/chapter.ipynb", "Chapter", "'second ' + 'edition'")
    assert "executing 1 of 2" in built(small_project).stdout
    assert "second edition" in (small_project / "_docs/learn/chapter.html").read_text()
    with open(small_project / "constraints.txt", "a") as constraints:
        constraints.write("some-package==1.0\n")
    assert "executing 2 of 2" in built(small_project).stdout


def test_a_notebook_that_raises_fails_the_build_and_leaves_the_old_site(small_project):
    built(small_project)
    before = digests(small_project / "_docs")
    write_notebook(small_project / "nbs/learn/broken.ipynb", "Broken", "1 + 1", "labels = {}\nlabels['cat']")
    said = fails(small_project, "build")
    assert said.startswith("asl-docs: learn/broken.ipynb: code cell 2 (id code-2) raised KeyError: 'cat'")
    assert "labels['cat']" in said
    assert digests(small_project / "_docs") == before
    write_notebook(small_project / "nbs/learn/broken.ipynb", "Mended", "1 + 1")
    built(small_project)
    assert (small_project / "_docs/learn/broken.html").is_file()


@pytest.mark.parametrize("moment", ["executing", "executed", "processed", "rendering"])
def test_a_killed_build_leaves_the_old_site_or_the_new(small_project, moment):
    built(small_project)
    before = digests(small_project / "_docs")
    write_notebook(small_project / "nbs/learn/chapter.ipynb", "Chapter", "import time; time.sleep(1)", "'second ' + 'edition'")
    with started([BIN / "asl-docs", "build"], small_project) as process:
        read_until(process, moment)
        process.kill()
        process.communicate(timeout=20)  # returns once the workers that hold its output are gone too
    left = digests(small_project / "_docs")
    built(small_project)
    assert left in (before, digests(small_project / "_docs"))
    assert "second edition" in (small_project / "_docs/learn/chapter.html").read_text()


def test_saved_outputs_can_be_shown_without_executing(small_project):
    path = small_project / "nbs/learn/chapter.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="saved by hand")]
    nbformat.write(notebook, path)
    result = asl_docs(small_project, "build", "--no-execute")
    assert result.returncode == 0, result.stderr
    assert "saved by hand" in (small_project / "_docs/learn/chapter.html").read_text()


def test_a_picture_without_a_text_alternative_fails_the_build(small_project):
    write_notebook(small_project / "nbs/learn/chapter.ipynb", "Chapter", "from IPython.display import SVG\nSVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')")
    assert "learn/chapter.html: a picture has no text alternative" in fails(small_project, "build")


def test_a_page_that_would_fetch_from_another_host_fails_the_build(small_project):
    write_notebook(small_project / "nbs/learn/chapter.ipynb", "Chapter", "from IPython.display import HTML\nHTML('<img alt=\"\" src=\"https://cdn.example/x.png\">')")
    assert "would fetch https://cdn.example/x.png from another host" in fails(small_project, "build")


def test_a_missing_configuration_is_named(small_project):
    (small_project / "nbs/_quarto.yml").unlink()
    assert "nbs/_quarto.yml is missing" in fails(small_project, "build")


def test_a_broken_configuration_is_named(small_project):
    (small_project / "_quarto.yml").write_text("project: [unclosed\n")
    assert "_quarto.yml" in fails(small_project, "build")


def test_a_file_that_is_no_notebook_is_named(small_project):
    (small_project / "nbs/learn/chapter.ipynb").write_text("<<<<<<< ours")
    assert "learn/chapter.ipynb is not a notebook that can be read" in fails(small_project, "build")


def test_outside_a_project_it_says_so(tmp_path):
    assert "no settings.ini" in fails(tmp_path, "build")


def test_a_missing_dependency_is_named(small_project):
    code = "import sys; sys.modules['nbclient'] = None; from asl_explainer.site import main; sys.exit(main(['build']))"
    result = subprocess.run([sys.executable, "-c", code], cwd=small_project, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == "asl-docs: not installed: nbclient; what builds the site comes with pip install 'asl_explainer[dev]'\n"


def test_quarto_is_asked_for_and_not_there(small_project):
    path = os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if not os.path.exists(f"{folder}/quarto"))
    assert "quarto is not on PATH" in fails(small_project, "build", "--renderer", "quarto", env={**os.environ, "PATH": path})


def fake_quarto(folder, script):
    "An environment in which `quarto` is a small shell script."
    folder.mkdir()
    (folder / "quarto").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "quarto").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_quarto_renders_where_it_is_on_path(small_project, tmp_path):
    page = '<html><body><a href="https://asl-explainer.github.io/asl_explainer/learn/chapter.html">next</a></body></html>'
    env = fake_quarto(tmp_path / "bin", f"ls learn/chapter.ipynb _quarto.yml nbdev.yml && mkdir -p _docs/learn && echo '{page}' | tee _docs/index.html > _docs/learn/chapter.html")
    result = asl_docs(small_project, "build", env=env)
    assert result.returncode == 0 and "with quarto" in result.stdout, result.stderr
    assert '<a href="learn/chapter.html">next</a>' in (small_project / "_docs/index.html").read_text()


def test_a_renderer_that_makes_no_page_leaves_the_old_site(small_project, tmp_path):
    built(small_project)
    before = digests(small_project / "_docs")
    assert "quarto made no page of index.ipynb, learn/chapter.ipynb" in fails(small_project, "build", env=fake_quarto(tmp_path / "bin", "mkdir _docs"))
    assert digests(small_project / "_docs") == before


def test_what_quarto_complains_about_is_passed_on(small_project, tmp_path):
    env = fake_quarto(tmp_path / "bin", "echo 'ERROR: unknown key' >&2; exit 1")
    assert "quarto render failed:\nERROR: unknown key" in fails(small_project, "build", env=env)


def test_a_busy_port_is_named(small_project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} is in use" in fails(small_project, "serve", "--port", str(port))


def test_serve_rebuilds_and_reloads_on_a_change_and_ends_cleanly(small_project, page):
    with started([BIN / "asl-docs", "serve"], small_project) as process:
        address = re.search(r"http://127\.0\.0\.1:(\d+)/", read_until(process, "serving"))
        with socket.socket() as elsewhere:  # another address of this same computer
            assert elsewhere.connect_ex(("127.0.0.2", int(address[1]))) != 0
        page.goto(f"{address[0]}learn/chapter.html")
        assert "first edition" in page.content()

        write_notebook(small_project / "nbs/learn/chapter.ipynb", "Chapter", "1 / 0")
        read_until(process, "the site is as it was before")
        assert b"first edition" in urlopen(f"{address[0]}learn/chapter.html").read()

        write_notebook(small_project / "nbs/learn/chapter.ipynb", "Chapter", "'second ' + 'edition'")
        page.get_by_text("second edition").wait_for(timeout=60_000)
        assert "EventSource" not in (small_project / "_docs/learn/chapter.html").read_text()

        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and "Traceback" not in said and "asl-docs: stopped" in said


@pytest.mark.parametrize("moment", ["executed index.ipynb", "processed index.ipynb"])
def test_an_interrupted_build_ends_soon_and_without_a_traceback(small_project, moment):
    slow = ["import time; time.sleep(60)"] if "executed" in moment else []
    write_notebook(small_project / "nbs/learn/chapter.ipynb", "Chapter", *slow)
    with started([BIN / "asl-docs", "build"], small_project) as process:
        read_until(process, moment)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 130 and "Traceback" not in said and said.endswith("\nasl-docs: stopped\n")
    assert not (small_project / "_docs").exists()


def interrupt_inside(project, command, body):
    "Run a command of asl-docs whose work is replaced by a few lines that interrupt it."
    program = f"import signal, threading, time, weakref\nfrom asl_explainer import site\ndef work(*args, **kwargs):\n{indent(body, '    ')}\nsite.{command} = work\nsite.main(['{command}'])"
    done = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "\nasl-docs: stopped\n")


def test_no_interrupt_is_lost_and_none_waits_for_a_thread(small_project):
    in_a_finalizer = """
threading.Thread(target=time.sleep, args=[600]).start()
thing = threading.local()
finalizer = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
del thing
"""
    interrupt_inside(small_project, "build", in_a_finalizer)


def test_an_interrupt_cuts_no_notebook_short(small_project):
    in_the_middle = """
with open("nbs/index.ipynb", "w") as notebook:
    notebook.write("the whole notebook")
    signal.raise_signal(signal.SIGINT)
"""
    interrupt_inside(small_project, "clean", in_the_middle)
    assert (small_project / "nbs/index.ipynb").read_text() == "the whole notebook"


def test_a_cell_that_would_be_run_twice_is_named(small_project):
    "nbdev runs the imports of a notebook that documents a module, and with them what shares their cell."
    write_notebook(small_project / "nbs/api/module.ipynb", "Module", "#| default_exp module", "import math\nmath.pi", "#| export\ndef area(): 'Of a circle'")
    said = fails(small_project, "build")
    assert said.startswith("asl-docs: api/module.ipynb: nbdev cannot process it: Found cells containing imports and other code") and "math.pi" in said


def test_a_notebook_whose_processing_dies_is_named(small_project, tmp_path):
    (tmp_path / "deadly.py").write_text("import multiprocessing, os\nif multiprocessing.parent_process(): os._exit(3)\n")
    write_notebook(small_project / "nbs/api/module.ipynb", "Module", "#| default_exp module", "import deadly", "#| export\ndef area(): 'Of a circle'")
    said = fails(small_project, "build", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert said == "asl-docs: api/module.ipynb: nbdev's processing of it died\n"
    assert not (small_project / "_docs").exists()
