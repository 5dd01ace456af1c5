"""The report as a reader meets it: a realistic page in headless Chromium. The judge of accessibility is axe-core."""

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright
from report_page import SECONDS, sample_page, spectrogram

from brain2music import report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")

SIZES = {"laptop": (1280, 800), "phone": (390, 844), "small": (320, 640)}


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    return report.write(sample_page(), tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as runtime:
        options = ["--no-sandbox", "--mute-audio"]
        browser = runtime.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def show(chromium, html):
    """Opens a page; at the end nothing may have been logged, thrown, or asked of a network."""
    contexts, complaints = [], []

    def opened(path=html, size="laptop", scheme="light", **options):
        width, height = SIZES[size]
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", **options
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        own = (Path(path).as_uri(), "data:")
        tab.on("request", lambda request: request.url.startswith(own) or complaints.append(request.url[:200]))
        tab.goto(Path(path).as_uri())
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def within(script, seconds=20):
    """The script, but never waiting for ever."""
    late = f"new Promise((_, reject) => setTimeout(() => reject(new Error('nothing in {seconds} s')), {seconds}000))"
    return f"given => Promise.race([({script})(given), {late}])"


def test_every_player_loads(show):
    tab = show()
    known = """() => Promise.all([...document.querySelectorAll('audio')].map(sound => new Promise(resolve => {
        sound.onloadedmetadata = () => resolve(sound.duration);
        if (sound.readyState) resolve(sound.duration);
    })))"""
    # Before anything is played.
    durations = tab.evaluate(within(known))
    assert durations == pytest.approx([SECONDS] * 9, abs=0.05)
    loaded = """() => Promise.all([...document.querySelectorAll('audio')].map(sound => new Promise((found, refuse) => {
        sound.oncanplay = () => found([sound.duration, sound.readyState]);
        sound.onerror = () => refuse(sound.error.message);
        sound.preload = 'auto';
        sound.load();
    })))"""
    states = tab.evaluate(within(loaded))
    assert len(states) == 9
    for duration, ready in states:
        assert duration == pytest.approx(SECONDS, abs=0.05)
        assert ready >= 3


def test_one_player_at_a_time_with_a_line_that_moves(show):
    tab = show()
    first, second, third = tab.locator("audio").all()[:3]
    first.focus()
    tab.keyboard.press("Space")
    moved = """sound => new Promise(resolve => sound.ontimeupdate = () => {
        const line = Number(sound.closest('.player').querySelector('.spectrogram').style.getPropertyValue('--at'));
        if (sound.currentTime > 0.3) resolve([line * sound.duration, sound.currentTime]);
    })"""
    line, time = first.evaluate(within(moved))
    assert line == pytest.approx(time, abs=0.3)
    second.focus()
    tab.keyboard.press("Space")
    assert first.evaluate("sound => sound.paused")
    assert not second.evaluate("sound => sound.paused")
    picture = tab.locator(".spectrogram").nth(2)
    picture.click(position={"x": 0.5 * picture.bounding_box()["width"], "y": 5})
    assert third.evaluate("sound => sound.currentTime") == pytest.approx(0.5 * SECONDS, abs=0.5)
    assert second.evaluate("sound => sound.paused")


@pytest.mark.parametrize("size", SIZES)
def test_nothing_sticks_out_at_the_side(show, size):
    tab = show(size=size)
    tab.locator("summary").evaluate_all("all => all.forEach(each => each.click())")
    assert tab.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
    # What is wide has a box of its own.
    boxes = tab.locator(".scroll, .wide .plate").evaluate_all(
        "all => all.map(box => box.scrollWidth - box.clientWidth)"
    )
    assert len(boxes) == 3
    if size == "phone":
        assert max(boxes) > 100


CONTRASTS = """() => {
    const parse = text => { const v = text.match(/[\\d.]+/g).map(Number); return [...v.slice(0, 3), v[3] ?? 1]; };
    const light = c => c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
    const over = (top, under) => under.map((c, i) => top[3] * top[i] + (1 - top[3]) * c).slice(0, 3);
    const ground = node => {
        if (!node) return [255, 255, 255];
        const own = parse(getComputedStyle(node).backgroundColor);
        return own[3] === 1 ? own.slice(0, 3) : over(own, ground(node.parentElement));
    };
    const found = [];
    for (const node of document.querySelectorAll('body *')) {
        const text = [...node.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()).join('');
        if (!text || !node.getClientRects().length) continue;
        const style = getComputedStyle(node), behind = ground(node);
        const pair = [luminance(over(parse(style.color), behind)), luminance(behind)].sort((a, b) => b - a);
        found.push([(pair[0] + 0.05) / (pair[1] + 0.05), parseFloat(style.fontSize), node.tagName, text.slice(0, 40)]);
    }
    return found;
}"""


@pytest.mark.parametrize(("size", "scheme"), [("laptop", "light"), ("phone", "dark")])
def test_text_is_legible(show, size, scheme):
    tab = show(size=size, scheme=scheme)
    tab.locator("summary").evaluate_all("all => all.forEach(each => each.click())")
    found = tab.evaluate(CONTRASTS)
    assert len(found) > 100
    assert [each for each in found if each[0] < 4.5] == []
    assert [each for each in found if each[1] < 14] == []
    headlines = [each for each in found if each[3] in ("0.876", "0.307", "61 %")]
    assert len(headlines) == 3
    assert min(each[1] for each in headlines) >= 64


@pytest.mark.parametrize(("size", "scheme"), [("laptop", "light"), ("phone", "dark")])
def test_axe_finds_no_barrier(show, size, scheme):
    results = Axe().run(show(size=size, scheme=scheme))
    assert results.violations_count == 0, results.generate_report()


def test_images_have_words_and_headings_nest(show):
    tab = show()
    images = tab.locator("img").evaluate_all(
        "all => all.map(each => [each.alt, each.naturalWidth, each.closest('dialog')])"
    )
    assert len([image for image in images if image[2] is None]) == 12
    assert all(alt and width for alt, width, dialog in images if dialog is None)
    levels = tab.locator("h1, h2, h3, h4, h5, h6").evaluate_all("all => all.map(each => Number(each.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for landmark in ("header", "nav", "main"):
        assert tab.locator(landmark).count() == 1
    assert tab.locator("html").get_attribute("lang") == "en"
    assert tab.locator("table > caption").count() == tab.locator("table").count() == 2
    assert tab.locator("th:not([scope])").count() == 0


def test_everything_is_reached_by_keyboard_in_order_and_seen(show):
    tab = show()
    wanted = "a, .scroll, .wide .plate, summary, figure button, audio"
    tab.locator(wanted).evaluate_all("all => all.forEach((each, i) => each.dataset.stop = i)")
    stops, count = [], tab.locator(wanted).count()
    for _ in range(10 * count):
        tab.keyboard.press("Tab")
        stop, outline, bottom, bar = tab.evaluate(
            """() => {
                const now = document.activeElement, nav = document.querySelector('nav');
                const style = getComputedStyle(now), inside = nav.contains(now) || now.matches('.skip');
                const outline = style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth);
                return [now.dataset.stop, outline, now.getBoundingClientRect().bottom,
                        inside ? 0 : nav.getBoundingClientRect().bottom];
            }"""
        )
        if stop is None:  # past the end
            break
        assert bottom > bar, stop
        if not stops or stops[-1] != int(stop):  # a player's own buttons follow, which Chromium outlines
            assert outline >= 2, stop
            stops.append(int(stop))
    assert stops == list(range(count))
    assert tab.locator("[data-stop='0']").inner_text() == "Skip to the results"


def test_links_lead_where_they_say(show):
    tab = show()
    tab.keyboard.press("Tab")
    expect(tab.locator(".skip")).to_be_in_viewport()
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "results"
    for link in tab.locator("nav a").all():
        link.click()
        heading = tab.locator(f"{link.get_attribute('href')} > h2")
        expect(heading).to_be_in_viewport()
        assert heading.inner_text() == link.inner_text()
        bar = tab.locator("nav").bounding_box()
        assert heading.bounding_box()["y"] >= bar["y"] + bar["height"] - 1
    assert tab.locator("nav [aria-current]").count() == 1


def test_a_figure_fills_the_screen_and_gives_it_back(show):
    tab = show()
    button = tab.get_by_role("button", name="Enlarge: Figure 3")
    button.focus()
    tab.keyboard.press("Enter")
    image = tab.get_by_role("dialog").get_by_role("img")
    assert image.bounding_box()["width"] > 1200
    assert image.get_attribute("alt").startswith("Bars for ten genres")
    tab.keyboard.press("Escape")
    expect(tab.get_by_role("dialog")).to_be_hidden()
    expect(button).to_be_focused()


def test_paper_shows_words_and_figures_only(show):
    tab = show(scheme="dark")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.emulate_media(media="print")
    assert tab.locator("audio:visible, nav:visible, button:visible").count() == 0
    assert tab.locator("details dl:visible").count() == 2
    assert tab.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(tab.pdf(format="A4")) > 50_000


def test_hostile_text_is_text(show, tmp_path):
    text = "</title><script>pwned=1</script><img src=x onerror='pwned=1;alert(1)'>\"'<svg onload=alert(1)>"
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><script>alert(1)</script><image href="http://x.invalid/"/></svg>'
    waveform = np.zeros(2205, np.float32)
    sounds = report.Player("heard", text, text, waveform, 22050, spectrogram(np.ones(22050, np.float32)))
    section = report.Section(
        text,
        text,
        (report.Figure(text, text, text, svg),),
        (report.Table(text, text, (report.Column(text, text, "left"),), ((text,),)),),
        (report.Example(text, text, text, text, text, (sounds,)),),
    )
    headline = report.Headline(text, text, text, text, text)
    page = report.Page(text, text, text, (headline,), (section,), {text: text}, {text: text}, (text,))
    tab = show(report.write(page, tmp_path / "hostile.html"), "phone")
    assert tab.title() == text
    assert tab.evaluate("typeof pwned") == "undefined"
    assert tab.evaluate("document.scripts.length") == 1
    assert tab.locator("body").evaluate("(body, text) => body.textContent.split(text).length", text) > 20
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


def test_the_page_forbids_itself_to_load_or_run_anything(chromium, html):
    """The second line of defence, were a text ever not escaped."""
    tab = chromium.new_page()
    tab.goto(html.as_uri())
    tried = """() => new Promise(resolve => {
        const found = [];
        document.addEventListener('securitypolicyviolation', event => {
            found.push(event.effectiveDirective);
            if (found.length === 2) resolve(found.sort());
        });
        document.body.append(Object.assign(document.createElement('img'), {src: 'file:///x.png'}));
        document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.pwned = 1'}));
    })"""
    assert tab.evaluate(within(tried)) == ["img-src", "script-src-elem"]
    assert tab.evaluate("typeof pwned") == "undefined"
    tab.close()
