"""What SECURITY.md promises, where no other test shows it."""
import re
import threading
from http.client import HTTPConnection

from conftest import ROOT, digests

from asl_explainer.site import listen


def test_every_promise_names_a_test_that_is_there():
    rows = re.findall(r"^\| (?!Promise).+\|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    there = re.findall(r"^def (test_\w+)", "\n".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py")), re.MULTILINE)
    named = [re.findall(r"`(test_\w+)`", row) for row in rows]
    assert rows and all(named)
    assert {name for names in named for name in names} <= set(there)


def test_the_server_shows_the_built_folder_and_nothing_else(tmp_path):
    (tmp_path / "beside.txt").write_text("not to be seen")
    folder = tmp_path / "_docs"
    folder.mkdir()
    (folder / "index.html").write_text("<html><body>the page</body></html>")
    before = digests(tmp_path)
    with listen(folder, port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def ask(method, path):
            connection = HTTPConnection(*server.server_address, timeout=20)
            connection.request(method, path, body=b"anything" if method in ("POST", "PUT", "PATCH") else None)
            answer = connection.getresponse()
            return answer.status, answer.read()

        assert server.server_address[0] == "127.0.0.1"
        status, page = ask("GET", "/")
        assert status == 200 and b"the page" in page
        assert ask("HEAD", "/") == (200, b"")
        for path in ["/../beside.txt", "/%2e%2e/beside.txt", "/..%2fbeside.txt", "/%2e%2e%2fbeside.txt", "/x/../../beside.txt", f"/{tmp_path}/beside.txt"]:
            assert ask("GET", path)[0] == ask("HEAD", path)[0] == 404, path
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]:
            assert ask(method, "/index.html")[0] == 501, method
        server.shutdown()
    assert digests(tmp_path) == before
