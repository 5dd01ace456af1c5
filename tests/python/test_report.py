"""The report as a file: what it refuses, what it escapes, how its sound is made."""

import dataclasses
import io
import re
import struct
import zlib

import html5lib
import numpy as np
import pytest
import soundfile

from brain2music import report
from brain2music.report import page as pages
from brain2music.report import sound

HOSTILE = (
    '</title></style></script><script>window.pwned=1</script><img src=x onerror="pwned=1">\' " ` & &amp; <!-- é 音 ]]>'
)

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="90pt" height="60pt" viewBox="0 0 90 60"><path d="M0 0"/></svg>'


def png(width=3, height=2):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tone(rate=22050, seconds=1.0, hertz=440.0, level=0.3):
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def make_player(role="retrieved", text="jazz.00012", **changes):
    given = {"waveform": tone(), "rate": 22050, "spectrogram": png()} | changes
    return report.Player(role, text, text, **given)


def make_page(text="Identification", image=SVG, n_players=1, **changes):
    """A page that has one of everything, with the same text everywhere."""
    column = report.Column(text, text, "right")
    example = report.Example(text, text, text, text, text, tuple(make_player(text=text) for _ in range(n_players)))
    figures = report.Figure(text, text, text, image), report.Figure(text, text, text, png(), "png", wide=True)
    section = report.Section(
        text, text, figures, (report.Table(text, text, (column,) * 2, ((text, text),)),), (example,)
    )
    headline = report.Headline(text, text, text, text, text)
    given = {"settings": {text: text}, "versions": {text: text}, "notes": (text,)} | changes
    return report.Page(text, text, text, (headline,), (section,), **given)


def elements(html):
    """Parsed as browsers do; any error of the markup raises."""
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)
    return [each for each in tree.iter() if isinstance(each.tag, str)]


def test_markup_is_without_error_and_text_comes_through():
    plain, hostile = elements(report.render(make_page())), elements(report.render(make_page(HOSTILE)))
    assert [each.tag for each in hostile] == [each.tag for each in plain]
    for one, other in zip(plain, hostile, strict=True):
        assert list(one.attrib) == list(other.attrib)
        assert {"style", "onerror"}.isdisjoint(other.attrib)
    shown = "".join("".join(each.itertext()) for each in hostile if each.tag == "body")
    expected = "".join("".join(each.itertext()) for each in plain if each.tag == "body").count("Identification")
    # The glossary says the word once itself, in "Identification accuracy".
    assert shown.count(HOSTILE) == expected - 1
    assert [each.text for each in hostile if each.tag == "title"] == [HOSTILE]
    assert [each.get("alt") for each in hostile if each.tag == "img"][:2] == [HOSTILE] * 2


def test_nothing_outside_the_file_is_referred_to():
    for each in elements(report.render(make_page())):
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert re.match(r"data:|#", each.get(name, "#")), (each.tag, name)
        if each.tag == "style":
            assert "url(" not in each.text
            assert "@import" not in each.text
    policy = next(each.get("content") for each in elements(report.render(make_page())) if each.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; media-src data:;")


def test_the_same_page_gives_the_same_bytes(tmp_path):
    first, second = (report.write(make_page(), tmp_path / name).read_bytes() for name in "ab")
    assert first == second == report.render(make_page()).encode()


def test_order_of_settings_is_kept():
    html = report.render(make_page(settings={"zeta": "1", "alpha_": "2"}))
    assert html.index("zeta") < html.index("alpha_")


def test_unprintable_characters_are_shown_by_their_codes():
    html = report.render(make_page("a\0b\x1b[31m\udcffc\u0085"))
    assert "<h2>a\\x00b\\x1b[31m\\udcffc\\x85</h2>" in html
    elements(html)


def test_paragraphs():
    section = report.Section("Title", "One\nstill one.\n\n  \nTwo.")
    html = report.render(dataclasses.replace(make_page(), sections=(section,)))
    assert "</h2><p>One\nstill one.</p><p>Two.</p></section>" in html


def test_images_hold_their_place():
    images = [each for each in elements(report.render(make_page())) if each.tag == "img"]
    assert [(image.get("width"), image.get("height")) for image in images[:2]] == [("90", "60"), ("3", "2")]


@pytest.mark.parametrize("value", [None, 0.5, b"bytes", ["list"]])
def test_text_must_be_text(value):
    with pytest.raises(ValueError, match=r"\[report.Page\] lead must be text; got"):
        dataclasses.replace(make_page(), lead=value)
    with pytest.raises(ValueError, match=r"\[report.render\] text must be a str; got"):
        report.render(make_page(notes=(value,)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: report.Headline("0.9", "accuracy", "", "1", ""), r"\[report.Headline\] chance must not be empty"),
        (lambda: report.Headline("0.9", "accuracy", "0.5", " ", ""), r"\[report.Headline\] oracle must not be empty"),
        (lambda: report.Headline("0.9", "accuracy", 0.5, "1", ""), r"chance must be text; got 0.5"),
        (lambda: report.Figure("title", "", "", SVG), r"\[report.Figure\] alt must not be empty; got ''"),
        (lambda: report.Figure("title", "", "alt", png()), r"must be an SVG file; got bytes that begin b'\\x89PNG"),
        (lambda: report.Figure("title", "", "alt", SVG, "png"), "must be a PNG file; got .* that begin b'<svg"),
        (lambda: report.Figure("title", "", "alt", png()[:20], "png"), "must be a PNG file; got 20 bytes"),
        (lambda: report.Figure("title", "", "alt", SVG, "jpg"), "kind must be 'svg' or 'png'; got 'jpg'"),
        (lambda: report.Column("name", "", "centre"), "align must be 'left' or 'right'; got 'centre'"),
        (lambda: report.Table("t", "", (), ()), "a table must have a column; got none for 't'"),
        (
            lambda: report.Table("t", "", (report.Column("a", "", "left"),), (("1",), ("2", "3"))),
            "must have 1 cells, as many as there are columns; got 2 in row 1 of 't'",
        ),
        (
            lambda: make_player("imagined"),
            "role must be one of heard, retrieved, generated, oracle, generated-oracle; got 'imagined'",
        ),
        (lambda: report.Example("clip", "", "", "", "", ()), "must have a player; got none for clip"),
        (lambda: report.Section("", ""), r"\[report.Section\] title must not be empty"),
        (lambda: dataclasses.replace(make_page(), title=""), r"\[report.Page\] title must not be empty"),
    ],
)
def test_incomplete_parts_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_large_page_says_what_is_large(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).bytes(400_000)
    page = make_page("Brain map", image=SVG + b"<!--" + noise.hex().encode() + b"-->")
    monkeypatch.setattr(pages, "SIZE_LIMIT", 1_000_000)
    with pytest.raises(
        ValueError,
        match=r"\[report.write\] a report must have at most 1.0 MB; got 1.1 MB, of which figures 1.1 MB, .*"
        r"the largest parts are figure 'Brain map' \(1.1 MB\), sound of Brain map, for clip Brain map",
    ):
        report.write(page, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_the_limit_counts_bytes_of_the_file(tmp_path, monkeypatch):
    page = make_page("音")
    size = report.write(page, tmp_path / "report.html").stat().st_size
    monkeypatch.setattr(pages, "SIZE_LIMIT", size)
    report.write(page, tmp_path / "report.html")
    monkeypatch.setattr(pages, "SIZE_LIMIT", size - 1)
    with pytest.raises(ValueError, match="at most"):
        report.write(page, tmp_path / "report.html")


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    assert report.write(make_page(), path) == path
    before = path.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pages.Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        report.write(make_page("other"), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def fallback(monkeypatch):
    monkeypatch.setattr(sound.soundfile, "available_formats", lambda: {"OGG": "OGG (OGG Container format)"})


def decoded(data):
    return soundfile.read(io.BytesIO(data), dtype="float32")


@pytest.mark.parametrize(
    ("rate", "mp3", "media_type"),
    [(22050, True, "audio/mpeg"), (22050, False, "audio/ogg"), (44100, True, "audio/mpeg"), (24001, True, "audio/ogg")],
)
def test_sound_keeps_length_and_level(monkeypatch, rate, mp3, media_type):
    if not mp3:
        fallback(monkeypatch)
    elif "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile writes no MP3")
    waveform = tone(rate, 5.0, level=0.9) * np.linspace(0, 1, 5 * rate, dtype=np.float32)
    media, data = sound.compress(waveform, rate)
    assert media == media_type
    assert data == sound.compress(waveform.astype(np.float64), rate)[1]  # no date, no random serial number
    heard, rate_read = decoded(data)
    assert (heard.shape, rate_read) == (waveform.shape, rate)
    assert np.corrcoef(heard, waveform)[0, 1] > 0.999
    assert np.square(heard).mean() == pytest.approx(np.square(waveform).mean(), rel=0.01)
    assert len(data) < waveform.nbytes / 4


def test_sound_may_be_strided_and_half_precision():
    waveform = tone(44100, 2.0)
    assert sound.compress(waveform[::2], 22050)[1] == sound.compress(waveform[::2].copy(), 22050)[1]
    assert decoded(sound.compress(waveform[::2].astype(np.float16), 22050)[1])[0].shape == (44100,)


def test_ogg_pages_have_one_serial_number_and_right_checksums(monkeypatch):
    fallback(monkeypatch)
    _, data = sound.compress(tone(seconds=5.0), 22050)
    serials = [data[match.start() + 14 : match.start() + 18] for match in re.finditer(b"OggS\0", data)]
    assert len(serials) > 3
    assert set(serials) == {b"\1\0\0\0"}
    # libogg, which drops pages of wrong checksums, is the judge of ours.
    spoilt = bytearray(data)
    spoilt[data.rindex(b"OggS\0") + 22] ^= 1
    assert len(decoded(data)[0]) == 5 * 22050
    assert len(decoded(bytes(spoilt))[0]) < 5 * 22050


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (tone(level=1.01), "lie within -1 and 1, else it would clip; got a peak of 1.01"),
        (np.zeros(0, np.float32), r"be of shape \(samples,\), not empty; got \(0,\)"),
        (np.zeros((2, 9), np.float32), r"be of shape \(samples,\), not empty; got \(2, 9\)"),
        (np.array([0, np.nan], np.float32), "be finite; got nan at sample 1"),
        (np.array([np.inf, 0], np.float32), "be finite; got inf at sample 0"),
        (np.zeros(9, np.int16), "be an array of floating-point numbers; got int16"),
        ([0.0], "be an array of floating-point numbers; got list"),
    ],
)
def test_sound_that_cannot_be_played_as_it_is_is_refused(waveform, message):
    with pytest.raises(ValueError, match=r"\[report.compress\] waveform must " + message):
        report.render(make_page_with(make_player(waveform=waveform)))


@pytest.mark.parametrize("rate", [0, -1, 22050.0, True, "22050"])
def test_rate_must_be_a_positive_whole_number(rate):
    with pytest.raises(ValueError, match=r"\[report.compress\] rate must be a positive whole number; got"):
        report.render(make_page_with(make_player(rate=rate)))


def make_page_with(player):
    example = report.Example("clip", "jazz", "001", "", "", (player,))
    return dataclasses.replace(make_page(), sections=(report.Section("Listen", "", examples=(example,)),))


def test_every_number_is_explained_in_two_sentences():
    terms = [entry.term.lower() for entry in report.GLOSSARY]
    assert len(set(terms)) == len(terms)
    for wanted in ("identification", "over items", "over dimensions", "chance", "permuted", "oracle", "noise ceiling"):
        assert any(wanted in term for term in terms), wanted
    assert {"roi score", "cosine", "alpha"} <= set(terms)
    for entry in report.GLOSSARY:
        assert len(re.findall(r"\.(?= [A-Z]|$)", entry.meaning)) == 2, entry.term
    html = report.render(make_page())
    assert all(f"<dt>{entry.term}</dt>" in html for entry in report.GLOSSARY)
