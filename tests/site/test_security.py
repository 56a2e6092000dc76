"""SECURITY.md promises only what a test shows."""
import re

from conftest import ROOT


def test_every_promise_names_a_test_that_is_there():
    rows = re.findall(r"^\| (?!Promise).+\|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    there = re.findall(r"^def (test_\w+)", "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py")), re.MULTILINE)
    named = [re.findall(r"`(test_\w+)`", row) for row in rows]
    assert rows and all(named)
    assert {name for names in named for name in names} <= set(there)
