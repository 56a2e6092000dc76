"""What hurts a build or the server ends in a clear message or a right answer, and leaves the earlier site as it was."""
import asyncio
import os
import re
import resource
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest
from conftest import BIN, digests, read_until, started, write_notebook
from test_build import built, fails

from asl_explainer.site import listen


@pytest.mark.parametrize("naps", [["1 + 1", "import time; time.sleep(60)"], ["import subprocess; subprocess.run(['sleep', '60'])"]])
def test_a_notebook_that_hangs_is_ended_and_its_cell_is_named(small_project, naps):
    built(small_project)
    before = digests(small_project / "_docs")
    write_notebook(small_project / "nbs/learn/slow.ipynb", "Slow", *naps)
    said = fails(small_project, "build", "--seconds-per-notebook", "8")
    assert said.startswith(f"asl-docs: learn/slow.ipynb: code cell {len(naps)} (id code-{len(naps)}) was running when the notebook's 8 s were over")
    assert "60" in said and "--seconds-per-notebook" in said
    assert digests(small_project / "_docs") == before


@pytest.mark.parametrize("source", ["print('x' * 10_000_000)", "'x' * 10_000_000", "for line in range(1_000_000): print('a line')"])
def test_ten_megabytes_of_output_become_a_page_that_can_be_read(small_project, source):
    write_notebook(small_project / "nbs/learn/chapter.ipynb", "Chapter", source, "'the last cell'")
    built(small_project)
    page = (small_project / "_docs/learn/chapter.html").read_text()
    assert len(page) < 300_000
    assert re.search(r"\.\.\. [\d,]{9,} more characters are left out", page) and "the last cell" in page


@pytest.mark.parametrize("output", ["HTML({!r})", "Markdown({!r})", "SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"><title>drawn</title>' + {!r} + '</svg>')"])
def test_a_script_in_an_output_is_shown_as_text(small_project, page, output):
    source = output.format("<script>document.title = 'taken'</script>")
    write_notebook(small_project / "nbs/learn/chapter.ipynb", "Chapter", f"#| fig-alt: drawn\nfrom IPython.display import HTML, Markdown, SVG\n{source}")
    built(small_project)
    page.goto((small_project / "_docs/learn/chapter.html").as_uri())
    page.wait_for_timeout(200)
    assert page.title() != "taken"
    assert "document.title = " in page.locator(".cell-output").first.evaluate("output => output.textContent")


def without_rights():
    "What a command starts with to have no more rights on files than their permissions give: root is above them."
    return ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []


@pytest.mark.parametrize("closed", [".", "_build", "_build/cache"])
def test_a_folder_that_cannot_be_written_is_named(small_project, closed):
    built(small_project)
    before = digests(small_project / "_docs")
    write_notebook(small_project / "nbs/learn/chapter.ipynb", "Chapter", "'second ' + 'edition'")
    (small_project / closed).chmod(0o555)
    done = subprocess.run([*without_rights(), BIN / "asl-docs", "build"], cwd=small_project, capture_output=True, text=True)
    (small_project / closed).chmod(0o755)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert re.match(r"asl-docs: .*(Permission denied|cannot be replaced)", done.stderr), done.stderr
    assert str(small_project / closed) in done.stderr or "_docs" in done.stderr
    assert digests(small_project / "_docs") == before
    built(small_project)


@pytest.fixture
def own_mounts():
    "What a command starts with to mount a file system that goes when the command ends."
    command = ["unshare", "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        message = "no file system can be mounted here"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return command


@pytest.mark.parametrize("kilobytes", [0, 8, 60, 200, 500])
def test_a_full_disk_is_named_and_the_old_site_stays(small_project, tmp_path, own_mounts, kilobytes):
    built(small_project)
    write_notebook(small_project / "nbs/learn/chapter.ipynb", "Chapter", "'second ' + 'edition'")
    script = f"""
        mkdir {tmp_path}/disk && mount -t tmpfs -o size=20m,nr_inodes=0 tmpfs {tmp_path}/disk && cd {tmp_path}/disk && cp -a {small_project}/. . || exit 99
        head -c {kilobytes}K /dev/zero > reserve; cat /dev/zero > filler 2>/dev/null; rm reserve
        PYTHONDONTWRITEBYTECODE=1 {BIN}/asl-docs build; status=$?
        diff -r _docs {small_project}/_docs >&2 || exit 98
        rm filler && {BIN}/asl-docs build && grep -q 'second edition' _docs/learn/chapter.html || exit 97
        exit $status"""
    done = subprocess.run([*own_mounts, "sh", "-c", script], capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "asl-docs: No space left on device: make room for the build and try again" in done.stderr, done.stderr


def test_a_second_build_at_the_same_time_waits(small_project):
    write_notebook(small_project / "nbs/learn/chapter.ipynb", "Chapter", "import time; time.sleep(3)", "'first ' + 'edition'")
    with started([BIN / "asl-docs", "build"], small_project) as first:
        read_until(first, "executing")
        with started([BIN / "asl-docs", "build"], small_project) as second:
            read_until(second, "waiting for another build of this project to end")
            assert first.poll() is None
            assert "the site is in" in first.communicate(timeout=60)[0] and first.returncode == 0
            assert "executing 0 of 2" in second.communicate(timeout=60)[0] and second.returncode == 0
    assert "first edition" in (small_project / "_docs/learn/chapter.html").read_text()


@pytest.fixture
def served(tmp_path):
    "A server of one page and a larger file."
    (tmp_path / "index.html").write_text("<html><body>the page</body></html>")
    (tmp_path / "data.bin").write_bytes(os.urandom(50_000))
    with listen(tmp_path, port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address
        server.shutdown()


def answer(address, path="/", **headers):
    connection = HTTPConnection(*address, timeout=20)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.read()


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.elsewhere.example", "", "127.0.0.1@elsewhere.example", "[::1]", "127.0.0.1:x"])
def test_a_request_that_names_another_host_sees_nothing(served, host):
    status, said = answer(served, Host=host)
    assert status == 403 and b"the page" not in said
    assert answer(served, Host="localhost:8000")[0] == answer(served)[0] == 200


@pytest.mark.parametrize("path", ["/%00", "/a%00b", "/" + "x" * 5000, "/%ff%fe", "/index.html/", "/index.html/x", "//", "/?" + "q" * 5000])
def test_an_odd_path_gets_an_answer_and_the_server_goes_on(served, path):
    assert answer(served, path)[0] in (200, 404)
    assert answer(served) == (200, answer(served)[1])


def test_two_thousand_requests_at_once_all_get_their_answer(served, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))  # both ends of each connection are in this process
    expected = (tmp_path / "data.bin").read_bytes()

    async def ask(everyone):
        reader, writer = await asyncio.open_connection(*served)
        await everyone.wait()  # all are connected before the first one asks
        writer.write(f"GET /data.bin HTTP/1.1\r\nHost: 127.0.0.1:{served[1]}\r\nConnection: close\r\n\r\n".encode())
        received = await reader.read()
        writer.close()
        return received

    async def ask_all():
        everyone = asyncio.Barrier(2000)
        return await asyncio.wait_for(asyncio.gather(*(ask(everyone) for _ in range(2000))), timeout=120)

    with ThreadPoolExecutor(1) as thread:  # the browser's driver may have an event loop in this one
        answers = thread.submit(asyncio.run, ask_all()).result()
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(answers) == 2000
    assert all(received.startswith(b"HTTP/1.0 200") and received.endswith(b"\r\n\r\n" + expected) for received in answers)
