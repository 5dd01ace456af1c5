"""The cortex that turns: drawn in headless Chromium, it tells the scores of the vertex that is clicked on."""

import base64
import json
import re
import shutil

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from scipy.spatial import ConvexHull

from brain2music import report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")

SIDE = 600  # vertices of a hemisphere
HOSTILE = "<b onmouseover=alert(1)>'\"</b>"


def ball():
    """A sphere of 40 mm in place of a hemisphere, its faces turned outwards."""
    height = 1 - 2 * (np.arange(SIDE) + 0.5) / SIDE
    angle = np.pi * (1 + 5**0.5) * np.arange(SIDE)
    round_it = np.sqrt(1 - height**2)
    points = 40 * np.stack([round_it * np.cos(angle), round_it * np.sin(angle), height], axis=1)
    faces = ConvexHull(points).simplices
    normals = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    inwards = (normals * points[faces].mean(axis=1)).sum(axis=1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return points, faces


POINTS, FACES = ball()
MESH = report.CortexMesh((POINTS, POINTS), (FACES, FACES), (POINTS[:, 2], POINTS[:, 2]))
COLOURS = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 40)], axis=1).astype(np.uint8)


def one_map(subject="001", features="music", scale=1.0, **changes):
    left = np.clip(-POINTS[:, 0] / 40, -1, 1) * 0.5 * scale  # largest on the left side
    scores = np.concatenate([left, np.full(SIDE, 0.1)])
    scores[SIDE:][POINTS[:, 2] < -30] = np.nan
    values = {"subject": subject, "features": features, "scores": scores, "significant": scores > 0.2}
    return report.CortexMap(**values | changes)


#: So many that the table of scores is higher than the cortex.
MORE = tuple(one_map(features=f"space {number}", scale=0.1) for number in range(20))


def cortex(maps=None, **changes):
    regions = np.concatenate([np.where(POINTS[:, 0] < 0, 7, 0), np.full(SIDE, 12)])
    values = {
        "title": "The cortex, to turn",
        "caption": "r on test clips.",
        "mesh": MESH,
        "maps": maps or (one_map(), one_map(features=HOSTILE, scale=0.5), one_map("002", scale=0.2), *MORE),
        "colours": COLOURS,
        "regions": {"001": regions},
        "region_names": {"001": {7: "planum temporale", 12: HOSTILE}},
    }
    return report.Cortex(**values | changes)


def page(part):
    section = report.Section("Where", "Text.", cortex=part)
    return report.Page("Title", "", "", (), (section,), {}, {}, ())


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as runtime:
        made = runtime.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def tab(browser, tmp_path):
    """The page, on a laptop; at the end nothing may have been thrown."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    made, thrown = context.new_page(), []
    made.on("pageerror", lambda error: thrown.append(str(error)))
    made.on("dialog", lambda dialog: (thrown.append(dialog.message), dialog.dismiss()))
    made.goto(report.write(page(cortex()), tmp_path / "report.html").as_uri())
    yield made
    context.close()
    assert thrown == []


def pixels(tab):
    """How many pixels are drawn, and the mean colour of the middle."""
    return tab.locator("canvas").evaluate(
        """canvas => {
            const copy = Object.assign(document.createElement('canvas'), {width: canvas.width, height: canvas.height});
            const context = copy.getContext('2d');
            context.drawImage(canvas, 0, 0);
            const all = context.getImageData(0, 0, copy.width, copy.height).data;
            const middle = context.getImageData(copy.width / 2 - 2, copy.height / 2 - 2, 4, 4).data;
            let drawn = 0;
            for (let i = 3; i < all.length; i += 4) drawn += all[i] > 0;
            const mean = [0, 1, 2].map(k => middle.filter((_, i) => i % 4 === k).reduce((a, b) => a + b) / 16);
            return [drawn / (copy.width * copy.height), mean];
        }"""
    )


def click_middle(tab):
    box = tab.locator("canvas").bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


@needs_browser
def test_it_is_drawn_and_a_click_tells_the_scores_of_that_vertex(tab):
    share, middle = pixels(tab)
    assert 0.2 < share < 0.8
    assert middle[0] > 150  # the largest score, at the left pole: the last colour
    assert middle[1] < 80
    click_middle(tab)
    told = tab.locator("output")
    nearest = int(np.argmin(POINTS[:, 0]))
    vertex = int(told.inner_text().split("vertex ")[1].split(",")[0])
    assert np.linalg.norm(POINTS[vertex] - POINTS[nearest]) < 8
    assert "Left hemisphere" in told.inner_text()
    assert "planum temporale; subject 001" in told.inner_text()
    rows = told.locator("tr").evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")
    score = one_map().scores[vertex]
    assert rows[:2] == [
        ["music", f"{score:.2f}", "significant"],
        [HOSTILE, f"{score / 2:.2f}", "significant" if score / 2 > 0.2 else "not significant"],
    ]
    mark, canvas = (tab.locator(name).bounding_box() for name in (".mark", "canvas"))
    for side, length in (("x", "width"), ("y", "height")):  # within the space between two vertices
        middles = [box[side] + box[length] / 2 for box in (mark, canvas)]
        assert abs(middles[0] - middles[1]) < 20


@needs_browser
def test_subject_features_and_threshold_change_what_is_drawn(tab):
    _, first = pixels(tab)
    tab.get_by_label("Features").select_option(HOSTILE)
    _, second = pixels(tab)
    assert second[1] > first[1] + 30  # half the score: further down the colours
    tab.get_by_label("Features").select_option("music")
    tab.get_by_label("Subject").select_option("002")
    _, grey = pixels(tab)  # its scores are below 0.2: none significant
    assert max(grey) - min(grey) < 5
    tab.get_by_label("significant only").uncheck()
    _, third = pixels(tab)
    assert max(third) - min(third) > 50
    click_middle(tab)
    assert "in no region; subject 002" in tab.locator("output").inner_text()
    tab.get_by_label("Features").select_option("space 3")  # which subject 002 has no map of
    _, none = pixels(tab)
    assert max(none) - min(none) < 5
    tab.get_by_role("button", name="Largest score").click()
    assert tab.locator("output tr").count() == 1


@needs_browser
def test_the_bar_has_all_colours_of_the_map(tab):
    drawn = tab.locator(".bar").evaluate("bar => bar.style.background").replace(" ", "")
    stops = re.findall(r"rgb\((\d+),(\d+),(\d+)\)", drawn)
    assert [tuple(map(int, stop)) for stop in (stops[0], stops[-1])] == [tuple(COLOURS[place]) for place in (0, 255)]
    assert tab.locator(".top").inner_text() == "0.50"


@needs_browser
def test_it_turns_by_pointer_keys_and_buttons(tab):
    _, before = pixels(tab)
    box = tab.locator("canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 300, y, steps=4)
    tab.mouse.up()
    _, turned = pixels(tab)
    assert abs(turned[1] - before[1]) > 20
    assert tab.locator("output tr").count() == 0  # a drag is no click
    tab.get_by_role("button", name="Left outside").click()
    assert pixels(tab)[1] == before
    tab.locator("canvas").focus()
    for _ in range(12):
        tab.keyboard.press("ArrowLeft")
    assert abs(pixels(tab)[1][1] - before[1]) > 20
    large, _ = pixels(tab)
    tab.keyboard.press("-")
    assert pixels(tab)[0] < 0.9 * large
    tab.get_by_role("button", name="Largest score").click()
    largest = int(np.nanargmax(np.rint(100 * one_map().scores)))
    assert f"vertex {largest}," in tab.locator("output").inner_text()
    tab.get_by_role("button", name="Right outside").click()
    assert not tab.locator(".mark").is_visible()  # it lies on the other hemisphere
    click_middle(tab)
    assert "Right hemisphere" in tab.locator("output").inner_text()
    assert HOSTILE in tab.locator("output").inner_text()


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier_and_a_phone_shows_all_of_it(tab, scheme):
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": 390, "height": 844})
    click_middle(tab)
    found = Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


@needs_browser
def test_without_webgl_the_page_says_so(browser, tmp_path):
    made = browser.new_page()
    made.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    made.goto(report.write(page(cortex()), tmp_path / "report.html").as_uri())
    assert made.get_by_text("This browser cannot draw the surface").is_visible()
    assert not made.locator("canvas").is_visible()
    made.close()


def test_numbers_come_back_from_the_page():
    value = json.loads(cortex().payload())
    scores = np.frombuffer(base64.b64decode(value["maps"][0]["scores"]), "i1")
    own = one_map()
    known = np.isfinite(own.scores)
    np.testing.assert_allclose(scores[known] / 100, own.scores[known], atol=0.005 + 1e-9)
    assert (scores[~known] == -128).all()
    bits = np.unpackbits(np.frombuffer(base64.b64decode(value["maps"][0]["significant"]), "u1"), bitorder="little")
    np.testing.assert_array_equal(bits[: 2 * SIDE].astype(bool), own.significant)
    sides = [np.frombuffer(base64.b64decode(text), "<i2").reshape(-1, 3) for text in value["coordinates"]]
    np.testing.assert_allclose(sides[0] * value["reach"] / 32767, POINTS, atol=2e-3)
    regions = np.frombuffer(base64.b64decode(value["regions"]["001"]), "<u2")
    assert [value["names"][label] for label in regions[[int(np.argmin(POINTS[:, 0])), SIDE]]] == [
        "planum temporale",
        HOSTILE,
    ]
    assert value["top"] == pytest.approx(0.5, abs=0.01)


def test_a_page_without_a_cortex_does_not_carry_its_script():
    assert "webgl" not in report.render(page(None))
    assert "webgl" in report.render(page(cortex()))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: cortex(title=" "), "must have a title and a map"),
        (lambda: cortex(maps=(one_map(), one_map())), "one map of a feature space; got two of 001, music"),
        (lambda: cortex(mesh=report.CortexMesh((np.zeros((65537, 3)),) * 2, (FACES,) * 2, (POINTS,) * 2)), "65,536"),
        (lambda: cortex(maps=(one_map(scores=np.zeros(3)),)), r"the mesh's 1200 vertices; got shape \(3,\)"),
        (lambda: cortex(maps=(one_map(significant=np.zeros(3, bool)),)), "the mesh's 1200 vertices"),
        (lambda: cortex(regions={"001": np.zeros(4)}), "the mesh's 1200 vertices"),
        (lambda: cortex(maps=(one_map(scale=3.0),)), "scores must be correlations; got 1.49974 of subject 001, music"),
    ],
)
def test_what_does_not_fit_is_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


def test_too_many_maps_are_refused():
    many = cortex(maps=tuple(one_map(f"{n:04d}") for n in range(4000)))
    with pytest.raises(ValueError, match=r"at most 6 MB; got 7\.\d MB with 4000 maps"):
        report.render(page(many))
