"""A Sphinx extension: what pages would otherwise retype is taken from where it is written."""

import dataclasses
import functools
import json
import re
from pathlib import Path
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from brain2music.evaluation import tables
from brain2music.pipeline import Settings, encoding
from brain2music.report import GLOSSARY

ROOT = Path(__file__).parents[1]
XML = ROOT / "build" / "docs" / "xml"
SCHEMA = ROOT / "python" / "brain2music" / "bundles" / "schema.json"
PATTERNS = {
    "^[0-9a-f]{64}": "64 hexadecimal digits",
    "^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}": "a plain file name",
    "^[a-z][a-z0-9_]{0,49}": "small letters, digits and _",
}


class ReportGlossary(SphinxDirective):
    """``.. report-glossary::`` lists what the numbers of a report mean, as the report itself does."""

    def run(self):
        return [definitions((nodes.Text(entry.term), entry.meaning) for entry in GLOSSARY)]


class Columns(SphinxDirective):
    """``.. columns-of:: evaluate`` lists the columns of a table, as its JSON sidecar does."""

    required_arguments = 1

    def run(self):
        described = {"encode": encoding._COLUMNS, "encode-regions": encoding._REGION_COLUMNS}
        if self.arguments[0] in described:
            columns = {name: {"Description": text} for name, text in described[self.arguments[0]].items()}
        else:
            row = {"evaluate": tables.Row, "summary": tables.Summary}[self.arguments[0]]
            columns = {field.name: tables._COLUMNS[field.name] for field in dataclasses.fields(row)}
        result = nodes.definition_list()
        for name, described in columns.items():
            body = nodes.definition("", nodes.paragraph(text=described["Description"]))
            if "Levels" in described:
                body += definitions((nodes.literal(text=level), text) for level, text in described["Levels"].items())
            result += nodes.definition_list_item("", nodes.term("", "", nodes.literal(text=name)), body)
        return [result]


class SettingsTable(SphinxDirective):
    """``.. settings-table::`` lists the keys of ``config.json`` with types and defaults."""

    def run(self):
        rows = []
        for field in dataclasses.fields(Settings):
            default = field.default
            shown = "required" if default is dataclasses.MISSING else json.dumps(default)
            kind = field.type.__name__ if isinstance(field.type, type) else str(field.type)
            kind = kind.replace("tuple[", "list[").replace(", ...]", "]").replace("None", "null")
            rows.append([nodes.literal(text=field.name), nodes.Text(kind), nodes.literal(text=shown)])
        return [table(["key", "type", "default"], rows)]


class ShippedBundle(SphinxDirective):
    """``.. shipped-bundle:: composer`` lists the networks of a shipped bundle, and the figures on their model cards."""

    required_arguments = 1

    def run(self):
        folder = SCHEMA.parent / "shipped" / self.arguments[0]
        manifest = json.loads((folder / "bundle.json").read_text())
        entries = {**manifest["roles"], **{f"stage {each['name']}": each for each in manifest.get("stages", ())}}
        networks, figures = [], []
        for name, entry in entries.items():
            card, size = entry["card"], (folder / entry["file"]).stat().st_size
            megabytes = f"{size / 1e6:.1f} MB"
            networks.append([nodes.literal(text=name), *map(nodes.Text, (card["name"], card["replaces"], megabytes))])
            for figure in card.get("figures", ()):
                numbers = (f"{figure[key]:.3f}" if key in figure else "" for key in ("value", "chance", "oracle"))
                side = "at most" if figure.get("at_most") else "from"
                bound = f"{side} {figure['goal']:g}" if "goal" in figure else ""
                cells = (figure["of"], *numbers, bound, figure.get("reason", ""))
                figures.append([nodes.literal(text=figure["name"]), *map(nodes.Text, cells)])
        result = [table(["role or stage", "network", "in place of", "size"], networks)]
        if figures:
            result.append(table(["figure", "of", "value", "chance", "oracle", "goal", "why it was missed"], figures))
        return result


class SchemaTables(SphinxDirective):
    """Tables of what a bundle's manifest must and may have, from its schema."""

    def run(self):
        self.schema = json.loads(SCHEMA.read_text())
        self.named = self.schema["$defs"]
        return self.tables()

    def titled(self, title, entry):
        """A table below its title, and the rules of one field with another."""
        rules = [nodes.paragraph(text=rule) for rule in self._rules(entry)]
        return [nodes.rubric(text=title), self._fields(entry), *rules]

    def _fields(self, entry):
        rows = []
        for name, field in entry["properties"].items():
            kind, description = self._described(field)
            must = "yes" if name in entry.get("required", []) else "no"
            if name == "methods" and "required" not in field and entry is not self.named["role"]:
                must = "yes"
            rows.append([nodes.literal(text=name), nodes.Text(kind), nodes.Text(must), nodes.Text(description)])
        return table(["field", "value", "required", "meaning"], rows)

    def _described(self, field):
        """What a value may be, in words, and what it means."""
        description = field.get("description", "")
        if "$ref" in field:
            name = field["$ref"].rpartition("/")[2]
            kind, more = self._described(self.named[name])
            return kind, description or more
        if "enum" in field:
            return "one of " + ", ".join(map(str, field["enum"])), description
        if "const" in field:
            return str(field["const"]), description
        if "enum" in field.get("items", ()):
            return "list from " + ", ".join(field["items"]["enum"]), description
        if "items" in field:
            return f"list of {plural(self._described(field['items'])[0])}", description
        if "oneOf" in field:
            return " or ".join(self._described(each)[0] for each in field["oneOf"]), description
        if "properties" in field:
            return "object with " + ", ".join(field["properties"]), description
        if "additionalProperties" in field:
            return f"object of {plural(self._described(field['additionalProperties'])[0])}", description
        limits = []
        for word, sign in (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most")):
            if word in field and abs(field[word]) < 1_000_000_000:
                limits.append(f"{sign} {field[word]:,}")
        kind = {"string": "text", "integer": "whole number", "array": "list", "boolean": "true or false"}.get(
            field.get("type"), field.get("type", "any")
        )
        if "pattern" in field:
            limits.append(PATTERNS[field["pattern"].removesuffix(r"(?![\s\S])")])
        return kind + (f" ({', '.join(limits)})" if limits else ""), description

    def _rules(self, entry):
        for rule in [*entry.get("allOf", []), *([entry] if "if" in entry else [])]:
            if "if" not in rule or "methods" not in rule["if"]["properties"]:
                continue
            contains = rule["if"]["properties"]["methods"]["contains"]
            methods = " or ".join(contains["enum"] if "enum" in contains else [contains["const"]])
            yield f"With the method {methods}, {' and '.join(rule['then']['required'])} must be given."


def plural(kind):
    """Several of "whole number (at least 0)", "text", "object with ..."."""
    return re.sub(r"\b(number|text|object|list)\b", r"\1s", kind)


class Roles(SchemaTables):
    """``.. bundle-roles::`` lists what every role has, then each."""

    def tables(self):
        kinds = {}
        for role, entry in self.schema["properties"]["roles"]["properties"].items():
            kinds.setdefault(entry["$ref"].rpartition("/")[2], []).append(role)
        found = self.titled("Every role, every stage", self.named["role"])
        found += self.titled("card", self.named["card"])
        found += self.titled("A figure of a card", self.named["figure"])
        for kind, names in kinds.items():
            found += self.titled(", ".join(names), self.named[kind])
        return found


class Stages(SchemaTables):
    """``.. bundle-stages::`` lists what a stage has, and the parts of each family's layout."""

    def tables(self):
        token, codes = self.named["parts"]["items"]["oneOf"]
        given = self.named["delayed_layout"]["properties"]["given"]["items"]
        read, constant, guidance = self.named["frames_layout"]["properties"]["channels"]["items"]["oneOf"]
        condition, sampling = (self.named["stage"]["properties"][name] for name in ("condition", "sampling"))
        return [
            *self.titled("A stage, beside what every role has", self.named["stage"]),
            *self.titled("sampling", sampling),
            *self.titled("condition", condition),
            *self.titled("layout of the family tokens", self.named["token_layout"]),
            *self.titled("A special token in a prefix", token),
            *self.titled("Codes in a prefix", codes),
            *self.titled("layout of the family parallel", self.named["delayed_layout"]),
            *self.titled("Given levels", given),
            *self.titled("layout of the family frames", self.named["frames_layout"]),
            *self.titled("Channels that are read", read),
            *self.titled("Channels that never change", constant),
            *self.titled("The channel of guidance", guidance),
            *self.titled("guidance of a channel", guidance["properties"]["guidance"]),
        ]


class Space(SchemaTables):
    """``.. bundle-space::`` lists what the space of embeddings has."""

    def tables(self):
        return [self._fields(self.schema["properties"]["space"])]


class Headers(SphinxDirective):
    """``.. public-headers:: ridge/`` documents what each installed header of a room declares, from Doxygen's XML."""

    required_arguments = 1

    def run(self):
        found = [header for header in public_headers() if header.startswith(f"brain2music/{self.arguments[0]}")]
        if not found:
            raise self.error(f"no public header of {self.arguments[0]} in libbrain2music/CMakeLists.txt")
        lines = []
        for header in found:
            lines += [header, "-" * len(header), "", *declared_in(header)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def public_headers():
    """The headers that CMake installs, in the order of the alphabet."""
    text = (ROOT / "libbrain2music" / "CMakeLists.txt").read_text()
    listed = re.search(r"FILE_SET HEADERS(.*?)\)", text, re.DOTALL)[1]
    return sorted(set(re.findall(r"brain2music/[\w/]+\.h\b", listed)) - {"brain2music/export.h"})


@functools.cache
def doxygen(pattern):
    return [ElementTree.parse(path).find("compounddef") for path in sorted(XML.glob(pattern))]


def header_of(element):
    return element.find("location").get("file").removesuffix(".in")


def declared_in(header):
    """Breathe's directives for what a header declares: functions and enumerations first, then structs and classes."""
    for space in doxygen("namespacebrain2music*.xml"):
        everywhere = [member.findtext("name") for member in space.iter("memberdef")]
        for member in space.iter("memberdef"):
            if header_of(member) != header:
                continue
            name = where = f"{space.findtext('compoundname')}::{member.findtext('name')}"
            if everywhere.count(member.findtext("name")) > 1:
                kinds = ("".join(kind.itertext()) for kind in member.iterfind("param/type"))
                where = f"{name}({', '.join(kinds)})"
            yield from (f".. doxygen{member.get('kind')}:: {where}", "")
    for file in doxygen("*_8h*.xml"):
        if header_of(file) == header:
            inner = [(each.get("refid"), each.text) for each in file.iterfind("innerclass")]
            for refid, name in inner:
                if name.rpartition("::")[0] not in [other for _, other in inner]:
                    yield from (
                        f".. doxygen{'struct' if refid.startswith('struct') else 'class'}:: {name}",
                        "   :members:",
                        "",
                    )


def definitions(items):
    result = nodes.definition_list()
    for term, meaning in items:
        body = nodes.definition("", nodes.paragraph(text=meaning))
        result += nodes.definition_list_item("", nodes.term("", "", term), body)
    return result


def table(heads, rows):
    group = nodes.tgroup(cols=len(heads))
    group += [nodes.colspec(colwidth=1) for _ in heads]
    for kind, lines in ((nodes.thead, [[nodes.Text(head) for head in heads]]), (nodes.tbody, rows)):
        part = kind()
        for line in lines:
            part += nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in line))
        group += part
    return nodes.table("", group)


def notebook_depends_on_all(app, docname, source):
    """What a notebook prints depends on the library: it runs again when that changed."""
    if (ROOT / "docs" / f"{docname}.ipynb").exists():
        for path in sorted((ROOT / "python" / "brain2music").rglob("*.py")):
            app.env.note_dependency(str(path), docname=docname)


def no_links_to_lesser_names(app, doctree):
    """A type in a docstring is linked where it is a class; "path" and "values" are words, not somebody's attribute."""
    for reference in list(doctree.findall(addnodes.pending_xref)):
        if reference.get("reftype") == "class" and re.fullmatch(r"[a-z]\w*", reference["reftarget"]):
            reference.replace_self(reference.children)


def inline_math(writer, node):
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def block_math(writer, node):
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    # MathML, which browsers draw by themselves: pages need no network. Docutils converts it.
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
    app.add_directive("report-glossary", ReportGlossary)
    app.add_directive("columns-of", Columns)
    app.add_directive("settings-table", SettingsTable)
    app.add_directive("shipped-bundle", ShippedBundle)
    app.add_directive("bundle-roles", Roles)
    app.add_directive("bundle-stages", Stages)
    app.add_directive("bundle-space", Space)
    app.add_directive("public-headers", Headers)
    app.connect("doctree-read", no_links_to_lesser_names)
    app.connect("source-read", notebook_depends_on_all)
    return {"parallel_read_safe": True}
