"""The pages in Firefox, which is driven by WebDriver BiDi: formulas, sliders, presets."""
import itertools
import json
import os
import shutil

import pytest
import websocket
from conftest import read_until, started

pytestmark = pytest.mark.slow
FIGURE = "document.querySelector('.asl-live')"
NAMES = ["firefox", "firefox-esr", "/Applications/Firefox.app/Contents/MacOS/firefox"]


class Firefox:
    "One tab of a running Firefox."

    def __init__(self, address):
        self.socket, self.numbers = websocket.create_connection(f"{address}/session", timeout=60, suppress_origin=True), itertools.count(1)
        self.send("session.new", capabilities={})
        self.tab = self.send("browsingContext.getTree")["contexts"][0]["context"]

    def send(self, method, **parameters):
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self.socket.recv())).get("id") != number:
            pass
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, address):
        self.send("browsingContext.navigate", context=self.tab, url=address, wait="complete")

    def evaluate(self, expression):
        result = self.send("script.evaluate", expression=expression, target={"context": self.tab}, awaitPromise=True)
        assert result["type"] == "success", result
        return result["result"].get("value")

    def press(self, key):
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self.send("input.performActions", context=self.tab, actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def shown(self):
        "What the first live figure shows: its sentence, and the outlines of its drawing."
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.evaluate(f"{FIGURE}.querySelector('[data-live=reading]').textContent"), self.evaluate(f"[...{FIGURE}.querySelectorAll('svg path')].map((path) => path.getAttribute('d')).join()")


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.fail("no Firefox was found") if os.environ.get("CI") else pytest.skip("no Firefox was found")
    folder = tmp_path_factory.mktemp("firefox")
    (folder / "profile").mkdir()
    command = ["env", f"HOME={folder}", program, "--headless", "--no-remote", "--profile", folder / "profile", "--remote-debugging-port", "0"]
    with started(command, folder, seconds=300) as process:
        yield Firefox(read_until(process, "WebDriver BiDi listening on").split()[-1])


RIGHT = "\ue014"


@pytest.mark.parametrize("name", ["learn/eps_and_numerics", "learn/gradients", "learn/probability_shifting", "learn/timm_docs", "learn/use_it", "learn/single_label", "api/plots"])
def test_a_page_in_firefox(firefox, site_url, name):
    firefox.open(f"{site_url}/{name}.html")
    formulas = firefox.evaluate("Math.min(...[...document.querySelectorAll('math')].map((math) => math.getBoundingClientRect().height))")
    assert formulas == "Infinity" or formulas > 5
    before = firefox.shown()
    firefox.evaluate(f"{FIGURE}.querySelector('input').focus()")
    firefox.press(RIGHT)
    moved = firefox.shown()
    assert moved[0] != before[0] and moved[1] != before[1]
    for preset in range(firefox.evaluate(f"{FIGURE}.querySelectorAll('[data-preset]').length")):
        firefox.evaluate(f"{FIGURE}.querySelectorAll('[data-preset]')[{preset}].click()")
        assert firefox.shown() != moved
    firefox.evaluate(f"{FIGURE}.querySelector('[data-live=reset]').click()")
    assert firefox.shown()[0] == before[0]


def test_the_playground_trains_in_firefox_as_it_does_in_torch(firefox, site_url):
    firefox.open(f"{site_url}/learn/playground.html")
    firefox.evaluate(f"{FIGURE}.querySelector('[data-play=recorded]').click()")
    recorded, _ = firefox.shown()
    firefox.evaluate(f"{FIGURE}.querySelector('[data-play=restart]').click()")
    firefox.evaluate(f"{FIGURE}.querySelector('[name=speed]').value = 2")
    firefox.evaluate(f"{FIGURE}.querySelector('[name=speed]').dispatchEvent(new Event('input', {{ bubbles: true }}))")
    firefox.evaluate(f"{FIGURE}.querySelector('[data-play=play]').click()")
    finished = f"new Promise((done) => setInterval(() => {FIGURE}.querySelector('[data-play=play]').textContent == 'Play' && done(), 100))"
    firefox.evaluate(finished)
    trained, _ = firefox.shown()
    assert "After 1000 steps" in trained and recorded == trained
