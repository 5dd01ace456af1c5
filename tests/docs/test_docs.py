"""What `make docs` has built: everything public is there once and can be reached; links resolve; examples run."""

import ast
import doctest
import importlib
import re
import shlex
import sys
import types
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import made_bundle
import numpy as np
import pytest
from public_rooms import ROOMS

import brain2music as b2m
from brain2music.cli.main import build_parser

ROOT = Path(__file__).parents[2]
DOCS, HTML, PYTHON = ROOT / "docs", ROOT / "build" / "docs" / "html", ROOT / "python" / "brain2music"
sys.path.insert(0, str(DOCS))

#: What users import; the rest of the package is reached through these.
MODULES = [
    "brain2music",
    *(f"brain2music.{name}" for name in (*ROOMS, "exporters", "recipes", "simulation", "simulation.music")),
]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


class Page(HTMLParser):
    """Links and ids of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        for name in ("href", "src"):
            if tag in ("a", "img", "link", "script", "source") and attributes.get(name):
                self.links.append(attributes[name])


@pytest.fixture(scope="module")
def pages():
    found = {path: Page(path) for path in HTML.rglob("*.html") if "_static" not in path.parts}
    assert found, "run make docs first"
    return found


def internal(links, page):
    """The file and the fragment of each link that stays here."""
    for link in links:
        parts = urlsplit(link)
        if not parts.scheme and not parts.netloc:
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            yield link, path / "index.html" if path.is_dir() else path, unquote(parts.fragment)


def documented():
    """Python names with an entry of their own, and where it is: what other projects would link to."""
    data = (HTML / "objects.inv").read_bytes()
    lines = zlib.decompress(data.split(b"\n", 4)[4]).decode().splitlines()
    rows = (re.fullmatch(r"(\S+) py:\w+ -?\d+ (\S+) .*", line) for line in lines)
    return {row[1]: row[2].replace("$", row[1]) for row in rows if row}


def resolved(name):
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            found = getattr(found, part, None)
        return found
    return None


def test_every_public_name_is_documented_once():
    names = documented()
    unique = (type, types.FunctionType)
    places = {}
    for name, place in names.items():
        places.setdefault(id(resolved(name)), set()).add(place)
    wrong = []
    for module in map(importlib.import_module, MODULES):
        for name in module.__all__:
            found = getattr(module, name)
            if isinstance(found, unique):
                times = len(places.get(id(found), ()))
            else:
                times = f"{module.__name__}.{name}" in names
            if times != 1 and not isinstance(found, types.ModuleType):
                wrong.append(f"{module.__name__}.{name}: {times} times")
    assert not wrong


def test_every_page_is_reachable(pages):
    reached, waiting = set(), [HTML / "index.html"]
    while waiting:
        page = waiting.pop()
        if page in reached or page not in pages:
            continue
        reached.add(page)
        waiting += [path for _, path, _ in internal(pages[page].links, page)]
    assert set(pages) - reached == set()


def test_every_internal_link_resolves(pages):
    broken = []
    for page, content in pages.items():
        for link, path, fragment in internal(content.links, page):
            if not path.exists() or (fragment and path in pages and fragment not in pages[path].ids):
                broken.append(f"{page.relative_to(HTML)}: {link}")
    assert not broken


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_of_the_repository_resolve(name):
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_page_begins_with_a_sentence():
    for path in DOCS.rglob("*.rst"):
        title, line, blank, first = path.read_text().splitlines()[:4]
        assert set(line) == {"="}, path
        assert len(line) == len(title), path
        assert not blank, path
        assert re.match(r"[A-Z`:]", first), f"{path} begins with {first!r}"


def test_every_public_header_has_a_page():
    from from_source import public_headers

    shown = "\n".join(path.read_text() for path in (HTML / "reference" / "cpp").glob("*.html"))
    assert [header for header in public_headers() if f"<h2>{header}<" not in shown] == []


def with_examples():
    return [path for path in sorted(DOCS.rglob("*.rst")) if ">>> " in path.read_text()]


@pytest.mark.parametrize("path", with_examples(), ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore:.*the grid of alphas:UserWarning", "ignore:.*torch.jit.*:DeprecationWarning")
def test_examples_of_pages_give_what_they_show(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    X, W = rng.standard_normal((200, 20)), rng.standard_normal((20, 50))
    Y = X @ W + rng.standard_normal((200, 50))
    names = {"b2m": b2m, "np": np, "X": X, "Y": Y, "runs": np.repeat(np.arange(10), 20)}
    if "predicted, seconds" in path.read_text():
        bundle = made_bundle.write(tmp_path / "bundle", window=2.0)
        noise = rng.uniform(-0.1, 0.1, (3, 4 * 400))
        names["predicted"] = bundle.embed("music_embedder", (noise, 400), ids=["clip 0", "clip 1", "clip 2"], hop=1.0)
    failed, tried = doctest.testfile(str(path), module_relative=False, globs=names, optionflags=OPTIONS)
    assert tried
    assert not failed


@pytest.mark.filterwarnings("ignore:.*the grid of alphas:UserWarning")
def test_examples_of_docstrings_give_what_they_show(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner, finder = doctest.DocTestRunner(optionflags=OPTIONS), doctest.DocTestFinder(recurse=False)
    for name in documented():
        for test in finder.find(resolved(name), name, globs={"b2m": b2m, "np": np}):
            runner.run(test)
    assert runner.tries > 20
    assert not runner.failures


def commands():
    for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.rst"))]:
        for line in path.read_text().splitlines():
            found = re.match(r"\s*\$ (brain2music .*)|.*``(brain2music [a-z][^`]*)``", line)
            text = found and (found[1] or found[2])
            if text and "=" not in text and "COMMAND" not in text and not text.startswith("brain2music:"):
                yield f"{path.name}: {text}"


@pytest.mark.parametrize("line", list(commands()))
def test_command_lines_are_understood(line, capsys):
    words = shlex.split(line.partition(": brain2music ")[2])
    short = len(words) <= 2 and not any(word.startswith("--") for word in words)
    try:
        build_parser().parse_args(words)
    except SystemExit as stopped:
        # A command named in a sentence may lack its arguments; a name or an option that is not there may not be.
        printed = capsys.readouterr().err
        if stopped.code:
            assert short, printed
            assert "required" in printed, printed


# ---- troubleshooting: each message quoted is one of the code's, and each room.function has a message ---------------

PAGE = DOCS / "howto" / "troubleshooting.rst"
#: Rooms whose messages users meet with files and arrays of their own.
ROOMS = (
    *("study", "bundles", "ridge", "retrieval", "decoding", "generation", "exporters", "cli", "io", "models"),
    "embedding",
    "encoding",
    "recipes",
)


def constants(path):
    """Places of a Python module that are filled in at run time: ``_WHERE = "bundles.Bundle.embed"``."""
    text = path.read_text()
    return dict(re.findall(r'^\s*(\w*(?:WHERE|FIT|where)\w*) = "([\w.]+)"', text, re.MULTILINE))


def told_by(node):
    """What a node says: the arguments of a call, or what is yielded, as a check yields what is wrong."""
    if isinstance(node, ast.Yield):
        return node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    return node.args if isinstance(node, ast.Call) else []


def python_messages():
    """Every message of the package: its place (None where it is a parameter) and its words, "…" for what varies."""
    for path in sorted(PYTHON.rglob("*.py")):
        names = constants(path)
        for node in ast.walk(ast.parse(path.read_text())):
            for argument in told_by(node):
                while isinstance(argument, ast.BinOp):
                    argument = argument.left
                parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
                words = [part.value if isinstance(part, ast.Constant) else part for part in parts]
                if not words or not isinstance(words[0], str) or not words[0].startswith("["):
                    continue
                if len(words) > 1 and words[0] == "[" and not isinstance(words[1], str):
                    place = names.get(ast.unparse(words[1].value))
                    words = ["", *words[2:]]
                else:
                    place = words[0][1:].partition("]")[0]
                text = "".join(word if isinstance(word, str) else "…" for word in words)
                yield place, text.partition("]")[2].strip()


def cpp_text():
    """C++ sources with adjoining literals joined."""
    sources = sorted((ROOT / "libbrain2music").rglob("*.cpp")) + sorted((ROOT / "bindings").rglob("*.cpp"))
    return re.sub(r'"\s*\n\s*"', "", "\n".join(path.read_text() for path in sources))


def quoted():
    """Messages of the page: their place, and their words."""
    for message in re.findall(r"^``\[(.+)``$", PAGE.read_text(), re.MULTILINE):
        place, _, words = message.partition("] ")
        yield place, words


def places_of_the_code():
    """Every place that refuses: ``room.function``."""
    python = {place for place, _ in python_messages() if place}
    cpp = set(re.findall(r'"(\w+\.[A-Za-z_.]+\w)"', cpp_text()))
    passed = re.findall(r'"(\w+\.[A-Z]\w+\.[a-z_]+)"', "\n".join(path.read_text() for path in PYTHON.rglob("*.py")))
    return {place for place in python | cpp | set(passed) if not place.endswith(".")}


def test_every_message_that_is_quoted_is_one_of_the_code():
    python, places = [text for _, text in python_messages()], places_of_the_code()
    cpp = cpp_text()
    stale = [place for place, _ in quoted() if place not in places]
    for place, words in quoted():
        pieces = [piece.strip() for piece in words.split("…") if piece.strip()]
        in_python = any(all(piece in text for piece in pieces) for text in python)
        if not in_python and not all(piece in cpp for piece in pieces):
            stale.append(f"[{place}] {words}")
    assert not stale


def test_every_place_that_refuses_has_a_message():
    shown = {place for place, _ in quoted()}
    rooms = {place for place in places_of_the_code() if place.partition(".")[0] in ROOMS}
    assert sorted(rooms - shown) == []


def test_the_citation_names_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {b2m.__version__}\n" in text
