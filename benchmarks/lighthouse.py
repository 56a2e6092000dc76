"""How Lighthouse rates the built site: the landing page and two chapters, served on this computer as a host would.

Usage: python benchmarks/lighthouse.py [site]

Prints a table and ends with 1 if a score is below its goal. Needs Node.js, whose npx fetches Lighthouse."""
import functools
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import browser  # noqa: E402 - the browser is found as the tests find it

LIGHTHOUSE = "lighthouse@12.8.2"  # the newest for Node.js 20
PAGES = ["index.html", "learn/gradients.html", "learn/timm_docs.html"]
GOALS = {"performance": 95, "accessibility": 100, "best-practices": 100, "seo": 100}


class Handler(SimpleHTTPRequestHandler):
    "Serves text compressed, to be kept for ten minutes, as GitHub Pages does."

    def send_head(self):
        path = Path(self.translate_path(self.path))
        if path.suffix not in {".html", ".css", ".js", ".svg", ".json"} or not path.is_file():
            return super().send_head()
        body = gzip.compress(path.read_bytes())
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return io.BytesIO(body)

    def end_headers(self):
        self.send_header("Cache-Control", "max-age=600")
        super().end_headers()

    def log_message(self, *args):
        pass


def rate(url, chrome):
    "Scores of a page out of 100, and the titles of the audits that are not perfect."
    flags = "--headless=new --disable-gpu --disable-background-networking --disable-component-update --disable-sync" + (" --no-sandbox" if os.geteuid() == 0 else "")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = ["npx", "--yes", LIGHTHOUSE, url, "--output=json", f"--output-path={report}", f"--chrome-flags={flags}", "--quiet", f"--only-categories={','.join(GOALS)}"]
        subprocess.run(command, check=True, env={**os.environ, "CHROME_PATH": chrome})
        found = json.loads(report.read_text())
    scores = {name: round(found["categories"][name]["score"] * 100) for name in GOALS}
    return scores, [audit["title"] for audit in found["audits"].values() if audit["score"] is not None and audit["score"] < 0.9]


def main(site):
    chrome = browser.find()
    for tool, there in {"npx (it comes with Node.js)": shutil.which("npx"), "a Chromium or Chrome": chrome, f"a built site in {site} (make build)": (site / "index.html").is_file()}.items():
        if not there:
            return f"needed, and not there: {tool}"
    print(f"{'':24}" + "".join(f"{name:>16}" for name in GOALS))
    short = []
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for page in PAGES:
            scores, audits = rate(f"http://127.0.0.1:{server.server_port}/{page}", chrome)
            print(f"{page:24}" + "".join(f"{score:16}" for score in scores.values()), *audits, sep="\n    ")
            short += [f"{page}: {name} {score}, goal {GOALS[name]}" for name, score in scores.items() if score < GOALS[name]]
        server.shutdown()
    return "\n".join(short)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "_docs") or 0)
