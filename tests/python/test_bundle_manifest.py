"""One schema, two readers: JSON Schema and C++ accept and refuse the same manifests."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest

import brain2music.bundles
from brain2music import _core

MANIFESTS = Path(__file__).parents[1] / "data" / "bundles"
MESSAGES = json.loads((MANIFESTS / "messages.json").read_text(encoding="utf-8"))
SCHEMA = json.loads((Path(brain2music.bundles.__file__).parent / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def files(kind):
    return [pytest.param(path, id=path.stem) for path in sorted((MANIFESTS / kind).iterdir())]


def reading(path):
    """What the C++ reader says against a file; None if it takes it."""
    try:
        _core.models.check_manifest(path)
    except RuntimeError as error:
        return str(error)
    return None


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", files("good"))
def test_good_manifests_are_taken_by_both(path):
    assert VALIDATOR.is_valid(json.loads(path.read_text(encoding="utf-8")))
    assert reading(path) is None


@pytest.mark.parametrize("path", files("bad"))
def test_bad_manifests_are_refused_by_both(path):
    assert not VALIDATOR.is_valid(json.loads(path.read_text(encoding="utf-8")))
    said = reading(path)
    assert said.startswith("[models.bundle] ")
    assert MESSAGES["bad"][path.stem] in said
    assert path.name in said


@pytest.mark.parametrize("path", files("inconsistent"))
def test_what_a_schema_cannot_say_is_refused_too(path):
    assert VALIDATOR.is_valid(json.loads(path.read_text(encoding="utf-8")))
    assert MESSAGES["inconsistent"][path.stem] in reading(path)


@pytest.mark.parametrize("path", files("no_json"))
def test_what_is_no_json_is_refused(path):
    assert MESSAGES["no_json"][path.stem] in reading(path)


def places(value, at=()):
    """Every place in a value, as a path of keys."""
    yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


def changed(manifest, place, change):
    manifest = copy.deepcopy(manifest)
    if not place:
        return change(manifest)
    inside = manifest
    for key in place[:-1]:
        inside = inside[key]
    result = change(inside[place[-1]])
    if result is ...:
        del inside[place[-1]]
    else:
        inside[place[-1]] = result
    return manifest


CHANGES = {
    "removed": lambda value: ...,
    "null": lambda value: None,
    "true": lambda value: True,
    "zero": lambda value: 0,
    "half": lambda value: 0.5,
    "large": lambda value: 10**12,
    "negative": lambda value: -1,
    "whole float": lambda value: 4.0,
    "empty text": lambda value: "",
    "text": lambda value: "float16",
    "empty list": lambda value: [],
    "list": lambda value: ["embed"],
    "empty object": lambda value: {},
    "more": lambda value: (
        {**value, "more": 1} if isinstance(value, dict) else [*value, 1] if isinstance(value, list) else 1
    ),
    "twice": lambda value: value * 2 if isinstance(value, list) else value,
}
EVERY_ROLE = json.loads((MANIFESTS / "good" / "every_role.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "part", ["", *(role for role in EVERY_ROLE["roles"] if role not in ("stage_coarse", "stage_fine"))]
)
def test_both_readers_agree_on_every_change_of_a_manifest(tmp_path, part):
    """Each value of each role removed, replaced, extended: thousands of manifests in all."""
    role = part or "generator"
    base = dict(EVERY_ROLE, roles={role: EVERY_ROLE["roles"][role]})
    path = tmp_path / "bundle.json"
    taken = refused = 0
    for place in places(base):
        if (len(place) >= 2) != bool(part):  # what lies above the roles once
            continue
        for name, change in CHANGES.items():
            if not place and name == "removed":
                continue
            manifest = changed(base, place, change)
            path.write_text(json.dumps(manifest))
            said = reading(path)
            # A reference inside the manifest that no longer fits is beyond the schema.
            fits = said is None or any(text in said for text in BEYOND)
            assert VALIDATOR.is_valid(manifest) == fits, f"{name} at {place}: C++ says {said}"
            taken, refused = taken + fits, refused + (not fits)
    assert refused > 40
    assert taken > 3


BEYOND = (
    "the name of a special token is expected",
    "an id below the vocabulary is expected",
    "codes below the vocabulary is expected",
    "a role that comes before is expected",
    "less than the window's seconds is expected",
    "one of the classes is expected",
)
