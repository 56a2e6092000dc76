"""The preview shows this computer the built site and nothing else, follows every change, and survives what goes wrong."""
import asyncio
import functools
import os
import re
import signal
import socket
import sys
import threading
import time
from http.client import HTTPConnection
from types import SimpleNamespace
from urllib.request import urlopen

import pytest
from conftest import digests, read_until, started, write_notebook

from tools import BuildError, preview

SERVE = [sys.executable, "-m", "tools", "serve"]


@pytest.fixture
def server(tmp_path, monkeypatch):
    "The port of a preview of a folder that holds one page, beside which lies another file."
    (tmp_path / "_docs").mkdir()
    (tmp_path / "_docs/index.html").write_text("<html><body>the page</body></html>")
    (tmp_path / "beside.txt").write_text("not to be seen")
    monkeypatch.setattr(preview, "get_config", lambda: SimpleNamespace(doc_path=tmp_path / "_docs"))
    listening, told = threading.Event(), {}

    async def listen():
        told["port"] = preview.Preview("smalldocs").bind(0)
        told["loop"], told["end"] = asyncio.get_running_loop(), asyncio.Event()
        listening.set()
        await told["end"].wait()

    thread = threading.Thread(target=asyncio.run, args=[listen()], daemon=True)
    thread.start()
    assert listening.wait(20)
    yield told["port"]
    told["loop"].call_soon_threadsafe(told["end"].set)
    thread.join(20)


def ask(port, path="/", method="GET", **headers):
    "The status of an answer, its headers and its body."
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_the_preview_answers_this_computer_only(server):
    status, headers, body = ask(server)
    assert status == 200 and b"the page" in body and headers["Cache-Control"] == "no-store"
    with socket.socket() as elsewhere:  # another address of this same computer
        assert elsewhere.connect_ex(("127.0.0.2", server)) != 0


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.elsewhere.example", "", "127.0.0.1@elsewhere.example", "[::1]", "127.0.0.1:x", "localhost.elsewhere.example"])
def test_a_request_that_names_another_host_sees_nothing(server, host):
    "Another site's page can give its own name this computer's address, and would then be let in to read."
    for path in ["/", "/_changes?0", "/_preview/reload.js"]:
        status, _, body = ask(server, path, Host=host)
        assert status in (400, 403, 404) and b"the page" not in body
    assert ask(server, Host="localhost:8000")[0] == 200


def test_the_preview_shows_the_built_folder_and_nothing_else(server, tmp_path):
    before = digests(tmp_path)
    for path in ["/../beside.txt", "/%2e%2e/beside.txt", "/..%2fbeside.txt", "/%2e%2e%2fbeside.txt", "/x/../../beside.txt", f"/{tmp_path}/beside.txt", "/_preview/../preview.py", "/_preview/preview.py"]:
        status, _, body = ask(server, path)
        assert status == 404 and b"not to be seen" not in body, path
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]:
        assert ask(server, "/index.html", method)[0] in (405, 501), method
    assert digests(tmp_path) == before


@pytest.mark.parametrize("path", ["/%00", "/a%00b", "/" + "x" * 5000, "/%ff%fe", "/index.html/", "/index.html/x", "//", "/?" + "q" * 5000])
def test_an_odd_path_gets_an_answer_and_the_server_goes_on(server, path):
    assert ask(server, path)[0] in (200, 400, 404)
    assert ask(server)[0] == 200


def test_a_missing_page_is_answered_with_the_sites_own(server, tmp_path):
    assert ask(server, "/nothing.html")[0] == 404
    (tmp_path / "_docs/404.html").write_text("<html><body>no such page</body></html>")
    status, headers, body = ask(server, "/nothing.html")
    assert status == 404 and b"no such page" in body and headers["Content-Type"] == "text/html"


def test_a_busy_port_is_named(small_project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with started([*SERVE, "--port", str(port)], small_project) as process:
            said, _ = process.communicate(timeout=60)
    assert process.returncode == 1 and said == f"error: port {port} is in use: choose another with --port\n"


def test_the_preview_follows_changes_and_survives_failures(small_project, page):
    chapter = small_project / "nbs/learn/chapter.ipynb"
    with started([*SERVE, "--port", "0"], small_project) as process:
        address = re.search(r"http://127\.0\.0\.1:\d+/", read_until(process, "serving"))[0]
        page.goto(f"{address}learn/chapter.html")
        assert "first edition" in page.content()

        chapter.write_text("<<<<<<< ours")
        read_until(process, "learn/chapter.ipynb is not a notebook")
        read_until(process, "the site is as it was before")
        assert b"first edition" in urlopen(f"{address}learn/chapter.html").read()

        write_notebook(chapter, "Chapter", "'second edition'")  # this notebook alone is processed
        page.get_by_text("second edition").wait_for(timeout=60_000)
        assert "reload.js" not in (small_project / "_docs/learn/chapter.html").read_text()

        module = small_project / "asl_explainer/fresh.py"
        uses_it = ["from asl_explainer.fresh import number", "#| default_exp chapter", "#| export\ndef meaning(x=number): 'Of life'"]
        for number in (41, 42):
            module.write_text(f"number = {number}\n")  # now everything is built again
            with page.expect_navigation(timeout=60_000):
                pass
            write_notebook(chapter, "Chapter", *uses_it, f"'after {number}'")  # this process imports the module anew
            page.get_by_text(f"after {number}").wait_for(timeout=60_000)
            assert f"x:int={number}" in page.locator("main").inner_text()

        chapter.unlink()
        deadline = time.monotonic() + 60
        while page.request.get(f"{address}learn/chapter.html").status != 404:
            assert time.monotonic() < deadline, "the page of a deleted notebook is still there"
            time.sleep(0.2)

        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and "Traceback" not in said


def test_a_change_during_the_first_build_is_not_missed(small_project):
    with started([*SERVE, "--port", "0"], small_project) as process:
        address = re.search(r"http://127\.0\.0\.1:\d+/", read_until(process, "serving"))[0]
        configuration = (small_project / "_quarto.yml").read_text()  # saved a moment after the site is there
        for text, answer in [("project: [unclosed\n", "the site is as it was before"), (configuration, "rendered in")]:
            (small_project / "_quarto.yml").write_text(text)
            read_until(process, answer)
            assert b"first edition" in urlopen(f"{address}learn/chapter.html").read()


def test_after_a_failed_build_everything_is_built_again(small_project, monkeypatch):
    monkeypatch.chdir(small_project)
    built = []

    def build(renderer):
        built.append(renderer)
        if len(built) == 1:
            raise BuildError("a notebook cannot be processed")

    monkeypatch.setattr(preview, "build", build)
    monkeypatch.setattr(preview, "get_config", functools.cache(lambda: SimpleNamespace(lib_name="no_such_package")))
    site = preview.Preview("smalldocs")
    site.complete = True
    with pytest.raises(BuildError):
        site.update([small_project / "settings.ini"])
    site.update([small_project / "nbs/learn/chapter.ipynb"])
    assert len(built) == 2 and site.complete


def test_a_page_that_missed_a_change_is_told_at_once(server):
    assert ask(server, "/_changes?7")[0] == 200
