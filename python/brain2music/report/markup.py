"""From the parts of a report to HTML: every text is escaped unless it was made by ``element``."""

import base64
import hashlib
import html
import re
from collections import Counter
from collections.abc import Iterable
from importlib import resources

from brain2music.report.cortex import Cortex
from brain2music.report.glossary import GLOSSARY, ROLES
from brain2music.report.parts import Example, Figure, Headline, Page, Player, Section, Table, png_size
from brain2music.report.sound import compress

__all__ = ["Html", "Writer", "element"]

_VOID = {"img", "input", "link", "meta"}

#: What HTML has no place for; such characters, and bytes that were no text, are shown by their codes.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | bool | int) -> Html:
    """Make an element; children and values of attributes are escaped, except children that are ``Html``.

    A name of an attribute may end in an underscore, and has underscores in place of hyphens.
    """
    opening = name
    for key, value in attributes.items():
        if value is not False:
            opening += f" {key.rstrip('_').replace('_', '-')}"
            opening += "" if value is True else f'="{escape(str(value))}"'
    if name in _VOID:
        return Html(f"<{opening}>")
    return Html(f"<{opening}>{join(children)}</{name}>")


def join(children: Iterable[str], separator: str = "") -> Html:
    """Put texts and elements behind one another."""
    return Html(separator.join(child if isinstance(child, Html) else escape(child) for child in children))


def escape(text: str) -> Html:
    """Make text that shows as it is."""
    if not isinstance(text, str):
        raise ValueError(f"[report.render] text must be a str; got {type(text).__name__} {text!r:.60}")
    visible = _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return Html(html.escape(visible))


class Writer:
    """Writes one page.

    Attributes
    ----------
    sizes : Counter from (kind, name) to int
        Bytes that each image and sound takes in the page.
    """

    def __init__(self) -> None:
        self.sizes: Counter[tuple[str, str]] = Counter()
        self._counts: Counter[str] = Counter()

    def page(self, page: Page) -> Html:
        """Write the whole document."""
        style, script = (_resource(name) for name in ("style.css", "script.js"))
        if any(section.cortex is not None for section in page.sections):
            script += _resource("cortex.js")
        # The page may load nothing and run nothing but what is in it, wherever it is opened.
        policy = (
            f"default-src 'none'; img-src data:; media-src data:; style-src {_hash(style)}; "
            f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
        )
        sections = [(section.title, self._section(section)) for section in page.sections]
        sections.append(("What the numbers mean", _glossary()))
        sections.append(("How this was made", _appendix(page)))
        links = [element("li", element("a", title, href=f"#s{i}")) for i, (title, _) in enumerate(sections, start=1)]
        head = element(
            "head",
            *(
                element("meta", charset="utf-8"),
                element("meta", http_equiv="Content-Security-Policy", content=policy),
                element("meta", name="viewport", content="width=device-width, initial-scale=1"),
                element("meta", name="color-scheme", content="light dark"),
                element("meta", name="generator", content="brain2music"),
                element("title", page.title),
                element("link", rel="icon", href="data:,"),
                element("style", Html(style)),
            ),
        )
        body = element(
            "body",
            element("a", "Skip to the results", href="#results", class_="skip"),
            element("nav", element("ol", *links), aria_label="Sections"),
            element(
                "header",
                element("h1", page.title),
                element("p", page.subtitle, class_="subtitle") if page.subtitle.strip() else "",
                element("p", page.lead, class_="lead") if page.lead.strip() else "",
            ),
            element(
                "main",
                element("ul", *(_headline(each) for each in page.headlines), class_="headlines", aria_label="Headlines")
                if page.headlines
                else "",
                *(
                    element("section", element("h2", title), content, id=f"s{i}")
                    for i, (title, content) in enumerate(sections, start=1)
                ),
                id="results",
                tabindex="-1",
            ),
            element("script", Html(script)),
        )
        return Html(f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n")

    def _section(self, section: Section) -> Html:
        figures = [self._figure(figure) for figure in section.figures]
        roles = {player.role for example in section.examples for player in example.players}
        legend = [
            element("div", element("dt", entry.term, class_=role), element("dd", entry.meaning))
            for role, entry in ROLES.items()
            if role in roles
        ]
        return join(
            [
                *_paragraphs(section.text),
                element("div", *figures, class_="figures") if figures else "",
                self._cortex(section.cortex) if section.cortex is not None else "",
                *(self._table(table) for table in section.tables),
                element("dl", *legend, class_="legend") if legend else "",
                *(self._example(example) for example in section.examples),
            ]
        )

    def _figure(self, figure: Figure) -> Html:
        media_type = "image/svg+xml" if figure.kind == "svg" else "image/png"
        size = _svg_size(figure.image) if figure.kind == "svg" else png_size(figure.image, "report.Figure")
        image = element(
            "img",
            src=self._embed(media_type, figure.image, "figures", f"figure {figure.title!r}"),
            alt=figure.alt,
            **dict(zip(("width", "height"), size, strict=False)),
        )
        label, title = self._title("Figure", figure.title)
        return element(
            "figure",
            # Wide images scroll in a box of their own where the screen is narrow, which a keyboard must reach.
            element("div", image, class_="plate", tabindex="0", role="group", aria_labelledby=label)
            if figure.wide
            else element("div", image, class_="plate"),
            element("figcaption", element("p", title, " ", figure.caption)),
            class_="wide" if figure.wide else False,
        )

    def _cortex(self, cortex: Cortex) -> Html:
        label, title = self._title("Figure", cortex.title)
        payload = cortex.payload()
        self.sizes["surfaces", f"cortex {cortex.title!r}"] += len(payload)
        choices = [
            element(
                "label",
                f"{text} ",
                element("select", *(element("option", one, value=one) for one in dict.fromkeys(values)), name=name),
            )
            for text, name, values in (
                ("Subject", "subject", [one.subject for one in cortex.maps]),
                ("Features", "features", [one.features for one in cortex.maps]),
            )
        ]
        views = [
            element("button", text, type="button", data_view=text.lower().replace(" ", "-"))
            for text in ("Left outside", "Left inside", "Right inside", "Right outside", "Above")
        ]
        only = element(
            "label", element("input", type="checkbox", name="significant", checked=True), " significant only"
        )
        return element(
            "figure",
            element(
                "div",
                element("div", *choices, only, class_="choices"),
                element(
                    "div", *views, element("button", "Largest score", type="button", class_="largest"), class_="choices"
                ),
                element(
                    "div",
                    element(
                        "div",
                        element(
                            "canvas",
                            "A cortex that can be turned.",
                            tabindex="0",
                            role="img",
                            aria_label=f"{cortex.title}: drag or press the arrow keys to turn it, + and - to zoom",
                        ),
                        element("span", class_="mark", hidden=True),
                        class_="stage",
                    ),
                    element("output", "Click on the cortex to see its scores there.", aria_live="polite"),
                    class_="scene",
                ),
                element("p", "0", element("span", class_="bar"), element("span", class_="top"), " r", class_="scale"),
                element("p", "This browser cannot draw the surface: it has no WebGL.", class_="excuse"),
                class_="cortex",
                data_cortex=payload,
            ),
            element("figcaption", element("p", title, " ", cortex.caption)),
            class_="wide turning",
            aria_labelledby=label,
        )

    def _table(self, table: Table) -> Html:
        label, title = self._title("Table", table.title)
        header = [element("th", each.name, scope="col", class_=each.align) for each in table.columns]
        rows = []
        for row in table.rows:
            cells = [element("td", cell, class_=each.align) for cell, each in zip(row, table.columns, strict=True)]
            cells[0] = element("th", row[0], scope="row", class_=table.columns[0].align)
            rows.append(element("tr", *cells))
        meanings = [
            element("div", element("dt", each.name), element("dd", each.meaning))
            for each in table.columns
            if each.meaning.strip()
        ]
        caption = element("div", title, " ", table.caption)
        grid = element(
            "table",
            element("caption", caption),
            element("thead", element("tr", *header)),
            element("tbody", *rows),
        )
        return element(
            "div",
            element("div", grid, class_="scroll", tabindex="0", role="group", aria_labelledby=label),
            element("details", element("summary", "What the columns mean"), element("dl", *meanings, class_="pairs"))
            if meanings
            else "",
            class_="table",
        )

    def _example(self, example: Example) -> Html:
        label = self._id()
        about = " · ".join(part for part in (example.clip, example.subject and f"subject {example.subject}") if part)
        return element(
            "article",
            element("h3", example.genre or example.clip, id=label),
            element("p", about, class_="about"),
            element("p", example.caption, class_="words") if example.caption.strip() else "",
            element("p", example.detail, class_="detail") if example.detail.strip() else "",
            element("div", *(self._player(player, example.clip) for player in example.players), class_="players"),
            aria_labelledby=label,
        )

    def _player(self, player: Player, clip: str) -> Html:
        name = f"{player.label}, for clip {clip}"
        media_type, data = compress(player.waveform, player.rate)
        label = self._id()
        return element(
            "div",
            element("p", ROLES[player.role].term, class_=f"role {player.role}"),
            element("p", player.label, class_="label", id=label),
            element("p", player.detail, class_="detail"),
            element(
                "div",
                element(
                    "img",
                    src=self._embed("image/png", player.spectrogram, "spectrograms", f"spectrogram of {name}"),
                    alt=f"Spectrogram of {player.label}: time from left to right, pitch from low to high",
                ),
                class_="spectrogram",
            ),
            element(
                "audio",
                "This browser cannot play the sound.",
                src=self._embed(media_type, data, "sound", f"sound of {name}"),
                controls=True,
                preload="metadata",
                aria_labelledby=label,
            ),
            class_="player",
            role="group",
            aria_labelledby=label,
        )

    def _embed(self, media_type: str, data: bytes, kind: str, name: str) -> str:
        uri = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
        self.sizes[kind, name] += len(uri)
        return uri

    def _title(self, kind: str, title: str) -> tuple[str, Html]:
        """Id and markup of a numbered title."""
        self._counts[kind] += 1
        label = self._id()
        number = element("span", f"{kind} {self._counts[kind]}.", class_="number")
        return label, element("strong", number, f" {title}.", id=label)

    def _id(self) -> str:
        self._counts["id"] += 1
        return f"n{self._counts['id']}"


def _headline(headline: Headline) -> Html:
    beside = [("chance", headline.chance), ("oracle", headline.oracle)]
    return element(
        "li",
        element("p", element("span", headline.value), class_="value"),
        element("p", headline.label, class_="label"),
        element(
            "dl",
            *(element("div", element("dt", term), element("dd", value)) for term, value in beside),
            class_="beside",
        ),
        element("p", headline.detail, class_="detail") if headline.detail.strip() else "",
    )


def _glossary() -> Html:
    return element("dl", *(element("div", element("dt", e.term), element("dd", e.meaning)) for e in GLOSSARY))


def _appendix(page: Page) -> Html:
    parts = []
    for title, mapping in (("Settings", page.settings), ("Versions", page.versions)):
        if mapping:
            pairs = (element("div", element("dt", key), element("dd", value)) for key, value in mapping.items())
            parts.append(element("div", element("h3", title), element("dl", *pairs, class_="pairs")))
    notes = element("div", element("h3", "Notes"), element("ul", *(element("li", note) for note in page.notes)))
    return element("div", *parts, *([notes] if page.notes else []), class_="appendix")


def _paragraphs(text: str) -> list[Html]:
    return [element("p", part.strip()) for part in re.split(r"\n\s*\n", text) if part.strip()]


def _svg_size(image: bytes) -> tuple[int, ...]:
    """Width and height of an SVG file, whose unit does not matter: so that the page holds the place of the image."""
    found = re.search(rb"""<svg[^>]*?\sviewBox=["']\s*\S+?[\s,]+\S+?[\s,]+([\d.]+)[\s,]+([\d.]+)""", image)
    return tuple(round(float(side)) for side in found.groups()) if found else ()


def _resource(name: str) -> str:
    return resources.files("brain2music.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
