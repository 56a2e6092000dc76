"""Finds a Chromium or Chrome for the tests; run as a program, it installs one where there is none."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
MAC_APPS = ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium"]


def find() -> str | None:
    "The path of a browser that Playwright can drive."
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    candidates = [*map(shutil.which, NAMES), *MAC_APPS, own]
    return next((path for path in candidates if path and Path(path).exists()), None)


def install() -> None:
    "Install a browser: Debian's package as root, Playwright's own build otherwise."
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


if __name__ == "__main__":
    if not find():
        print("no Chromium or Chrome found: installing one", flush=True)
        try:
            install()
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"it could not be installed ({error}); install Chromium or Chrome yourself and run this again", file=sys.stderr)
    if not find():
        print("there is no browser: the tests that need one are skipped, or fail where CI is set", file=sys.stderr)
        sys.exit(1 if os.environ.get("CI") else 0)
