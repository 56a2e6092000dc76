"""Serves the site to this computer, renders it again after each change, and reloads the open page"""
import functools
import mimetypes
import sys
import time
from contextlib import suppress
from pathlib import Path

import smalldocs.markdown
from nbdev.config import get_config
from tornado.httpserver import HTTPServer
from tornado.locks import Condition
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, StaticFileHandler
from watchfiles import DefaultFilter, awatch

from tools import BuildError
from tools.build import build, process, render

WATCHED = ["nbs", "asl_explainer", "images", "settings.ini", "_quarto.yml"]
IGNORED = [*DefaultFilter.ignore_entity_patterns, r"^nbdev\.yml$", r"^\.~", r"-checkpoint\.ipynb$"]  # a build writes nbdev.yml
# Repairs smalldocs, until it keeps what it highlighted: after a change most code is as before.
smalldocs.markdown.highlight = functools.cache(smalldocs.markdown.highlight)


class Pages(RequestHandler):
    "Answers with a file of the site; a page gets a script that reloads it after a change."

    def get(self, path):
        docs = get_config().doc_path
        files = {file.relative_to(docs).as_posix(): file for file in docs.rglob("*") if file.is_file()}
        self.set_status(200 if (path or "index.html") in files else 404)
        file = files.get(path or "index.html", docs / "404.html")
        body = file.read_bytes() if file.is_file() else b"not found"
        script = f'<script src="/_preview/reload.js?{self.application.renders}"></script></body>'.encode()
        self.set_header("Content-Type", mimetypes.guess_type(file)[0] or "application/octet-stream")
        self.set_header("Cache-Control", "no-store")
        self.write(body.replace(b"</body>", script) if file.suffix == ".html" else body)

    head = get


class Changes(RequestHandler):
    "Answers when the site has been rendered again since a page was loaded."

    async def get(self):
        if self.request.query == str(self.application.renders):
            await self.application.rendered.wait()


class Preview(Application):
    "A server of the site, which keeps it up to date."

    def __init__(self, renderer: str):
        super().__init__(log_function=lambda handler: None)
        script = ("/_preview/(reload.js)", StaticFileHandler, {"path": Path(__file__).parent})
        self.add_handlers(r"(localhost|127\.0\.0\.1)", [script, ("/_changes", Changes), ("/(.*)", Pages)])  # else 404
        self.renderer, self.renders, self.rendered = renderer, 0, Condition()
        self.complete = False  # whether every notebook has been processed

    def bind(self, port: int | None) -> int:
        "Starts to listen on 127.0.0.1, without a port at 8000 or the next free one; returns the port."
        for candidate in range(8000, 8100) if port is None else [port]:
            with suppress(OSError):
                sockets = bind_sockets(candidate, "127.0.0.1")
                HTTPServer(self).add_sockets(sockets)
                return sockets[0].getsockname()[1]
        raise BuildError(f"port {candidate} is in use: choose another with --port")

    def update(self, changed: list[Path]) -> None:
        "Renders the site after a change of notebooks, or builds it after a change of anything else."
        if self.complete and all(path.suffix == ".ipynb" and path.is_file() for path in changed):
            render(process(changed), self.renderer)
        else:
            self.complete = False
            get_config.cache_clear()
            for module in [name for name in sys.modules if name.split(".")[0] == get_config().lib_name]:
                del sys.modules[module]  # a notebook that is processed here imports it again
            build(self.renderer)
            self.complete = True
        self.renders += 1
        self.rendered.notify_all()


async def serve(renderer: str, port: int | None) -> None:
    "Builds and serves the site, and updates it after each change, until it is interrupted."
    preview, root = Preview(renderer), get_config().config_path
    port = preview.bind(port)
    watched, sources = [path for path in map(root.joinpath, WATCHED) if path.exists()], DefaultFilter(ignore_entity_patterns=IGNORED)
    async for changes in awatch(*watched, watch_filter=sources, yield_on_timeout=True, rust_timeout=100):
        start, changed = time.monotonic(), sorted({Path(path) for _, path in changes})
        if not preview.renders:  # a change during the first build is seen because watching has begun
            preview.update([])
            print(f"serving http://127.0.0.1:{port}/  (Ctrl-C ends it)", flush=True)
        elif changed:
            print("changed:", *(path.relative_to(root) for path in changed), flush=True)
            try:
                preview.update(changed)
                print(f"rendered in {time.monotonic() - start:.1f} s", flush=True)
            except Exception as error:  # whatever is wrong, the next change may put it right
                print(f"error: {error}\nthe site is as it was before", flush=True)
