"""The notebooks in JupyterLab."""
import os
import re
import signal
import subprocess

from conftest import BIN, ROOT


def test_lab_opens_a_chapter(page):
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    command = [BIN / "jupyter", "lab", "--no-browser", "--port=8950", "--ServerApp.token=", "--notebook-dir", ROOT / "nbs", *as_root]
    lab = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        address = next(found[0] for found in (re.search(r"http://127\.0\.0\.1:\d+/", line) for line in lab.stderr) if found)
        page.goto(f"{address}lab/tree/learn/timm_docs.ipynb?reset")
        page.get_by_role("heading", name="The timm page, executed").wait_for(timeout=60_000)
        page.locator(".jp-OutputArea-output", has_text="tensor(1.7945)").first.wait_for(timeout=60_000)
    finally:
        lab.send_signal(signal.SIGTERM)
        lab.communicate(timeout=20)
