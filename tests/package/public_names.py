"""What installed headers declare, by Doxygen, and what the shared library exports, by nm."""

import re
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

DOXYFILE = """
INPUT = {include}
STRIP_FROM_PATH = {include}
RECURSIVE = YES
OUTPUT_DIRECTORY = {output}
GENERATE_HTML = NO
GENERATE_LATEX = NO
GENERATE_XML = YES
EXTRACT_ALL = YES
MACRO_EXPANSION = YES
EXPAND_ONLY_PREDEF = YES
PREDEFINED = B2M_API=
QUIET = YES
WARNINGS = NO
"""


@dataclass(frozen=True)
class Name:
    """A public class, function, method or variable of a header."""

    qualified: str
    kind: str  # "class", "struct", "enum", "function", "variable", "typedef"
    header: str  # relative to the include folder
    described: bool  # by a comment
    member: bool  # of a class
    symbol: str | None  # what must be exported (see `key`); None for what a header defines

    def __str__(self):
        return f"{self.symbol or self.qualified} ({self.header})"


def key(qualified, parameters, const):
    """A function as both sides can tell it: types are spelled too freely to compare."""
    return f"{qualified} of {parameters} parameters{', const' if const else ''}"


def text(element, tag):
    found = element.find(tag)
    return "".join(found.itertext()).strip() if found is not None else ""


def described(element):
    return bool(text(element, "briefdescription") or text(element, "detaileddescription"))


def symbol_of(member, owner, qualified):
    """What the library must export for a member, or None: templates and what is inline, deleted or defaulted have no
    symbol of their own."""
    words = set(re.findall(r"\w+", text(member, "definition").partition(qualified)[0]))
    if "templateparamlist" in {child.tag for child in [*member, *owner]} or words & {
        "constexpr",
        "consteval",
        "inline",
    }:
        return None
    if member.get("kind") == "function":
        arguments = text(member, "argsstring")
        if member.get("inline") == "yes" or re.search(r"= ?(default|delete|0)$", arguments):
            return None
        types = [text(parameter, "type") for parameter in member.findall("param")]
        return key(qualified, len([each for each in types if each != "void"]), member.get("const") == "yes")
    if member.get("kind") == "variable" and member.find("initializer") is None:
        declared_only = member.find("location").get("declfile") and not member.find("location").get("bodystart")
        return qualified if member.get("static") == "yes" or declared_only else None
    return None


def declared(include):
    """All public names in the headers below a folder, as Name."""
    with tempfile.TemporaryDirectory() as folder:
        doxyfile = Path(folder, "Doxyfile")
        doxyfile.write_text(DOXYFILE.format(include=include, output=folder))
        subprocess.run(["doxygen", doxyfile], check=True, capture_output=True)
        trees = [ET.parse(path).getroot() for path in sorted(Path(folder, "xml").glob("*.xml"))]
    names = {}
    for owner in (each for tree in trees for each in tree.iter("compounddef")):
        kind, scope = owner.get("kind"), text(owner, "compoundname")
        if kind not in ("namespace", "class", "struct") or owner.get("prot", "public") != "public":
            continue
        if kind != "namespace":
            header = header_of(owner, include)
            names[owner.get("id")] = Name(scope, kind, header, described(owner), False, None)
        for member in owner.iter("memberdef"):
            if member.get("prot") != "public" or member.get("kind") == "friend":
                continue
            qualified = f"{scope}::{text(member, 'name')}"
            names[member.get("id")] = Name(
                qualified,
                member.get("kind"),
                header_of(member, include),
                described(member),
                kind != "namespace",
                symbol_of(member, owner, qualified),
            )
    return list(names.values())


def header_of(element, include):
    return element.find("location").get("file").removeprefix(f"{include}/")


def exported(library):
    """Functions (see `key`) and variables that a shared library exports."""
    listed = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--demangle", library], check=True, capture_output=True, text=True
    ).stdout
    signatures = {line.split(" ", 2)[2] for line in listed.splitlines()}
    return [as_key(signature.replace("[abi:cxx11]", "")) for signature in sorted(signatures)]


def as_key(signature):
    bare = re.sub(r"( const)?( &&?)?$", "", signature)
    if not bare.endswith(")"):
        return signature
    depth, commas, inside = 0, 0, ""
    for position in range(len(bare) - 1, -1, -1):
        letter = bare[position]
        depth += (letter in ")>]}") - (letter in "(<[{")
        if depth == 0:
            inside = bare[position + 1 : -1]
            break
        commas += letter == "," and depth == 1
    return key(bare[:position], commas + 1 if inside else 0, " const" in signature[len(bare) :])


def unresolved(names, library):
    """Names that a program could not link: overloads are counted."""
    there = exported(library)
    wanted = {}
    for name in names:
        if name.symbol is not None:
            wanted.setdefault(name.symbol, []).append(name)
    return sorted(str(each[0]) for symbol, each in wanted.items() if there.count(symbol) < len(each))
