"""Questions: nothing of the answer before the reader has committed to one, and afterwards what the figure shows."""
import re
from functools import cache

import nbformat
import pytest
import shown
from axe_playwright_python.sync_playwright import Axe

from asl_explainer.course.questions import predict

ON_ONE_SCREEN = """([number, id]) => document.querySelectorAll('.asl-question')[number].getBoundingClientRect().top >= 0
    && document.getElementById(id).querySelector('svg').getBoundingClientRect().bottom <= innerHeight"""
SETTINGS = "id => Object.fromEntries(Object.entries(document.getElementById(id).figure.settings))"


@cache
def questions():
    "For each question its page, which of the page's questions it is, and its name in a test."
    found = []
    for path in sorted(shown.NBS.rglob("*.ipynb")):
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        asking = [cell for cell in cells if any(output.get("data", {}).get("text/plain", "").startswith("Question: ") for output in cell.outputs)]
        place = path.relative_to(shown.NBS).with_suffix("").as_posix()
        found += [pytest.param(place, number, id=f"{place}-{cell.id}") for number, cell in enumerate(asking) if "#| hide" not in cell.source]
    return found


def opened(page, site_url, place, number):
    "A question on its page, what it knows, and its buttons."
    page.goto(f"{site_url}/{place}.html")
    question = page.locator(".asl-question").nth(number)
    return question, question.evaluate("root => JSON.parse(root.dataset.facts)"), question.get_by_role("button")


def test_the_chapters_ask():
    assert len(questions()) > 10


@pytest.mark.parametrize("place, number", questions())
def test_an_answer_moves_the_figure_and_is_judged(page, site_url, place, number):
    "With the keyboard; before it, neither the sentence nor what is covered is there; afterwards the figure says what it says in Python."
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(reduced_motion="reduce")  # it scrolls at once
    question, facts, buttons = opened(page, site_url, place, number)
    answers, verdict = buttons.all_inner_texts(), question.get_by_role("status")
    assert len(answers) == 3 and verdict.inner_text() == "" and facts["because"] not in page.locator("main").inner_text()
    covered = page.locator(f"[id='{facts['covers']}'] > *").first
    assert not facts["covers"] or not covered.is_visible()
    wrong = (facts["right"] + 1) % 3
    buttons.nth(wrong).focus()
    page.keyboard.press("Enter")
    expected = f"You expected “{answers[wrong]}”; it came out “{answers[facts['right']]}”. {facts['because']}"
    verdict.get_by_text(expected, exact=True).wait_for(timeout=60_000)
    assert buttons.nth(wrong).get_attribute("aria-pressed") == "true"
    assert not facts["covers"] or covered.is_visible()
    buttons.nth(facts["right"]).click(force=True)  # too late
    assert verdict.inner_text() == expected
    if not facts["figure"]:
        return
    assert facts["settings"].items() <= page.evaluate(SETTINGS, facts["figure"]).items()
    root = page.locator(f"[id='{facts['figure']}']")
    initial = root.evaluate("root => JSON.parse(root.dataset.facts).settings")
    assert any(initial[name] != value for name, value in facts["settings"].items()), "the figure showed the answer before"
    for figure in shown.figures(f"{place}.ipynb"):
        if figure.name == facts["figure"]:
            sentence = figure.sentence(**facts["settings"])
            root.locator("[data-live=reading]").get_by_text(sentence, exact=True).wait_for()
            page.wait_for_function(ON_ONE_SCREEN, arg=[number, facts["figure"]], timeout=5000)


PLACE, NUMBER = "api/questions", 0


def test_the_right_answer_is_right(page, site_url):
    question, facts, buttons = opened(page, site_url, PLACE, NUMBER)
    buttons.nth(facts["right"]).click()
    question.get_by_role("status").get_by_text(f"Right. {facts['because']}", exact=True).wait_for()


def test_a_figure_that_trains_does_so_before_the_answer_is_judged(page, site_url):
    question, facts, buttons = opened(page, site_url, PLACE, NUMBER)
    page.evaluate("id => { document.getElementById(id).figure.play = () => (window.plays = (window.plays ?? 0) + 1) }", facts["figure"])
    buttons.first.click()
    page.wait_for_timeout(200)
    assert page.evaluate("window.plays") == 1 and facts["because"] not in question.inner_text()
    page.evaluate("id => document.getElementById(id).dispatchEvent(new Event('ran'))", facts["figure"])
    question.get_by_text(facts["because"]).wait_for()


def test_without_a_script_the_answer_is_folded(new_context, site_url):
    page = new_context(java_script_enabled=False).new_page()
    page.goto(f"{site_url}/{PLACE}.html")
    question = page.locator(".asl-question")
    because = question.locator("details p")
    assert question.locator("li").count() == 3 and not because.is_visible()
    question.get_by_text("Answer", exact=True).click()
    assert because.is_visible()


def test_a_screen_reader_is_told_question_answers_and_verdict(page, site_url):
    question, facts, buttons = opened(page, site_url, PLACE, NUMBER)
    assert page.get_by_role("group", name=re.compile("^Predict: The margin")).get_by_role("button").count() == 3
    buttons.first.click()
    question.get_by_text(facts["because"]).wait_for()
    assert Axe().run(page, context=".asl-question").response["violations"] == []


@pytest.mark.parametrize("arguments, said", [
    ((["a", "b"], 0), "expected three"),
    ((["a", "a", "b"], 0), "expected three"),
    ((["a", "b", "c"], 3), "expected 0, 1 or 2"),
])  # fmt: skip
def test_a_wrong_question_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        predict("Which?", *arguments, "so")
