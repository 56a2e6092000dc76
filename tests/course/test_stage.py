"""A live figure as a reader sees and touches it: the drawing stays beside its controls, names stand beside the curves."""
import pytest
import shown

PAGES = [name.replace(".ipynb", ".html") for name in shown.notebooks()]
FIGURES = "figure.asl-live[data-facts]:not([data-stage]):has(form)"
SCREENS = {"wide": {"width": 1280, "height": 800}, "phone": {"width": 375, "height": 800}}

# Brings each control to 80% of the screen's height. On a phone all of the drawing is in sight then; beside the controls it
# may begin there, and is in sight, like the control, as soon as the page is scrolled to its end.
UNSEEN = """async (figures) => {
    const said = [], bar = document.querySelector('#quarto-header').getBoundingClientRect().height, phone = innerWidth < 640;
    for (const figure of document.querySelectorAll(figures)) {
        for (const fold of figure.querySelectorAll('form details')) fold.open = true;
        const panels = figure.querySelector('.asl-panels');
        for (const control of figure.querySelectorAll('input, select')) {
            if (!control.checkVisibility()) continue;
            scrollBy(0, control.getBoundingClientRect().bottom - 0.8 * innerHeight);
            if (!phone) scrollBy(0, Math.max(0, panels.getBoundingClientRect().bottom - innerHeight));
            await new Promise(requestAnimationFrame);
            for (const part of [panels, control]) {
                const { top, bottom } = part.getBoundingClientRect();
                if (top < bar - 1 || bottom > innerHeight + 1) said.push([figure.id, control.name, part.localName, top, bottom]);
            }
        }
        const share = panels.getBoundingClientRect().height / innerHeight;
        if (phone && share > 0.5) said.push(`${figure.id} takes ${share} of the screen`);
    }
    return said;
}"""


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", PAGES)
def test_a_drawing_is_in_sight_while_its_control_is_moved(new_context, site_url, name, screen):
    page = new_context(viewport=SCREENS[screen], reduced_motion="reduce").new_page()
    page.goto(f"{site_url}/{name}")
    assert page.evaluate(UNSEEN, FIGURES) == []


# At the ends and in the middle of every control, the texts that a moving line runs through or that the drawing cuts off.
COLLISIONS = """(figures) => {
    const said = new Set();
    const inside = ({ left, right, top, bottom }, { x, y }) => x > left && x < right && y > top && y < bottom;
    for (const root of document.querySelectorAll(figures)) {
        const { shapes } = JSON.parse(root.dataset.facts), { show, settings, controls } = root.figure;
        const moving = Object.entries(shapes).filter(([, shape]) => shape[2] !== 'text')
            .map(([id]) => root.querySelector(`[id="${root.id}-${id}"] path`));
        const texts = [...root.querySelectorAll('svg g[id*="text_"], svg g[id$="-name"]')];
        const clipOf = (path) => {
            const clip = path.getAttribute('clip-path')?.match(/#([^)"]+)/)?.[1];
            const box = clip && document.getElementById(clip)?.querySelector('rect');
            const [x, y, width, height] = ['x', 'y', 'width', 'height'].map((name) => Number(box?.getAttribute(name)));
            return box ? { left: x - 1, top: y - 1, right: x + width + 1, bottom: y + height + 1 } : null;
        };
        const pointsOf = (path) => {
            if (!path.getAttribute('d')) return [];
            const length = path.getTotalLength(), toScreen = path.getScreenCTM(), clip = clipOf(path);
            const points = Array.from({ length: 301 }, (_, n) => path.getPointAtLength(length * n / 300));
            return points.filter((point) => !clip || inside(clip, point)).map((point) => new DOMPoint(point.x, point.y).matrixTransform(toScreen));
        };
        const check = (where) => {
            const places = moving.filter((path) => !path.closest('g[id$="-margin"]')).map((path) => [path, pointsOf(path)]);
            for (const text of texts) {
                const box = text.getBoundingClientRect(), drawing = text.ownerSVGElement.getBoundingClientRect();
                if (!box.width) continue;
                if (box.left < drawing.left - 1 || box.right > drawing.right + 1 || box.top < drawing.top - 1 || box.bottom > drawing.bottom + 1)
                    said.add(`${root.id}: ${text.id} is cut off`);
                for (const [path, points] of places)
                    if (path.ownerSVGElement === text.ownerSVGElement && points.some((point) => inside(box, point)))
                        said.add(`${root.id}: ${path.closest('g[id]').id} runs through ${text.id} at ${where}`);
            }
        };
        check('first');
        for (const control of controls) {
            const before = settings[control.name];
            const steps = control.options ? [...control.options].map((_, n) => n) : [0, 0.5, 1].map((part) => +control.min + part * (control.max - control.min));
            for (const step of steps) {
                settings[control.name] = control.dataset.log ? 10 ** step : step;
                show();
                check(`${control.name} = ${step}`);
            }
            settings[control.name] = before;
            show();
        }
    }
    return [...said];
}"""


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", PAGES)
def test_no_line_runs_through_a_text(new_context, site_url, name, screen):
    page = new_context(viewport=SCREENS[screen]).new_page()
    page.goto(f"{site_url}/{name}")
    assert page.evaluate(COLLISIONS, FIGURES) == []


# The sliders between whose ends nothing in the axes moves by 4 pixels.
IDLE = """(figures) => {
    const said = [];
    for (const root of document.querySelectorAll(figures)) {
        const { show, settings, controls } = root.figure, facts = JSON.parse(root.dataset.facts);
        const paths = Object.keys(facts.shapes).map((id) => root.querySelector(`[id="${root.id}-${id}"] path`)).filter(Boolean);
        const drawn = () => paths.map((path) => (path.getAttribute('d').match(/-?[\\d.]+/g) ?? []).map((number) => Math.max(0, Math.min(260, number))));
        const scale = root.querySelector('svg').getScreenCTM().a;
        for (const { name, options, low, high, log, when } of facts.controls) {
            if (options) continue;
            const before = { ...settings }, ends = [];
            if (when) settings[when[0]] = when[1];
            for (const end of [low, high]) {
                settings[name] = log ? 10 ** end : end;
                show();
                ends.push(drawn());
            }
            const farthest = Math.max(...ends[0].flatMap((path, n) => path.map((number, k) => Math.abs(number - ends[1][n][k]) || 0)));
            if (farthest * scale < 4) said.push(`${root.id}: ${name} moves ${farthest * scale} pixels`);
            Object.assign(settings, before);
            show();
        }
    }
    return said;
}"""


@pytest.mark.parametrize("name", PAGES)
def test_every_slider_moves_something_that_is_seen(new_context, site_url, name):
    page = new_context(viewport=SCREENS["wide"]).new_page()
    page.goto(f"{site_url}/{name}")
    assert page.evaluate(IDLE, FIGURES) == []


def test_the_margin_moves_the_loss_on_the_timm_page(page, site_url):
    page.goto(f"{site_url}/learn/timm_docs.html")
    dot, heights = page.locator("[id=along-clip-loss-batch-dot] path"), []
    for clip in ("0", "0.3"):
        page.locator("#along-clip input[name=clip]").fill(clip)
        page.locator("#along-clip [data-live=code]", has_text=f"clip={clip},").wait_for()
        heights.append(dot.evaluate("dot => dot.getBoundingClientRect().y - dot.ownerSVGElement.getBoundingClientRect().y"))
    assert heights[1] - heights[0] > 15


def test_a_loss_has_only_its_own_sliders(page, site_url):
    page.goto(f"{site_url}/learn/which_loss.html")
    shown = page.locator("#losses form input:visible")
    for loss, names in {"ASL": ["gamma_neg", "clip"], "ZLPR": [], "Hill loss": ["margin"], "two-way loss": ["temperature"]}.items():
        page.locator("#losses select[name=loss]").select_option(label=loss)
        page.locator("#losses [data-live=reading]", has_text=f"under {loss}").wait_for()
        assert shown.evaluate_all("all => all.map(it => it.name)") == names


@pytest.fixture
def phone(new_context):
    return new_context(viewport=SCREENS["phone"], has_touch=True, is_mobile=True, reduced_motion="reduce").new_page()


def swipe(page, x, y, across, down):
    "Move a finger, in steps that take a frame each."
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})
        page.evaluate("new Promise(requestAnimationFrame)")

    touch("touchStart", {"x": x, "y": y})
    for step in range(1, 11):
        touch("touchMove", {"x": x + across * step / 10, "y": y + down * step / 10})
    touch("touchEnd")
    page.wait_for_timeout(100)


def at(page, locator, share):
    "Where on the screen a slider is at a share of its length, and its value there."
    locator.evaluate("control => scrollBy(0, control.getBoundingClientRect().bottom - 0.8 * innerHeight)")
    box = locator.bounding_box()
    return box["x"] + 22 + share * (box["width"] - 44), box["y"] + box["height"] / 2


def test_a_vertical_swipe_scrolls_the_page_and_changes_no_slider(phone, site_url):
    phone.goto(f"{site_url}/learn/timm_docs.html")
    control = phone.locator("#with-smoothing input[name=gamma_pos]")
    value = float(control.input_value()) / 4
    for share in (0.8, value):  # on the track, and on the thumb
        x, y = at(phone, control, share)
        before = phone.evaluate("scrollY")
        swipe(phone, x, y, 0, -120)
        assert phone.evaluate("scrollY") > before + 60
        assert float(control.input_value()) == 4 * value


def test_a_finger_moves_the_thumb(phone, site_url):
    phone.goto(f"{site_url}/learn/timm_docs.html")
    control = phone.locator("#with-smoothing input[name=gamma_pos]")
    x, y = at(phone, control, float(control.input_value()) / 4)
    swipe(phone, x - 15, y + 15, 80, 6)
    assert float(control.input_value()) > 2
    assert control.bounding_box()["height"] >= 44


def test_a_finger_drags_a_label_as_far_as_it_goes(phone, site_url):
    phone.goto(f"{site_url}/learn/gradients.html")
    phone.locator("#gradient-peak form").scroll_into_view_if_needed()
    dog = phone.locator("[id=gradient-peak-gradient-dog] path")
    handles = [handle.bounding_box() for handle in phone.locator("#gradient-peak .asl-handle circle").all()]
    assert len(handles) == 4 and all(min(box["width"], box["height"]) >= 44 for box in handles)
    before = dog.bounding_box()
    swipe(phone, before["x"] + before["width"] / 2 + 15, before["y"] + 15, 80, 8)  # beside the square
    after = dog.bounding_box()
    assert abs(after["x"] + after["width"] / 2 - (before["x"] + before["width"] / 2 + 95)) < 4


def test_what_is_touched_is_as_high_as_a_fingertip(phone, site_url):
    for name in ("learn/timm_docs.html", "learn/which_loss.html"):
        phone.goto(f"{site_url}/{name}")
        heights = phone.locator("figure.asl-live form").locator("button, select, input").evaluate_all("all => all.filter(it => it.checkVisibility()).map(it => it.getBoundingClientRect().height)")
        assert heights and min(heights) >= 44
