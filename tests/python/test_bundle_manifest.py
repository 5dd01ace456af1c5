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
EVERY_ROLE["stages"] += json.loads((MANIFESTS / "good" / "frames.json").read_text(encoding="utf-8"))["stages"]


PARTS = ["", "space", *EVERY_ROLE["roles"], *(stage["name"] for stage in EVERY_ROLE["stages"])]


def manifest_of(part):
    """A manifest of one role, or of one stage; and where the part lies in it."""
    if part in EVERY_ROLE["roles"]:
        return {**WITHOUT_PARTS, "roles": {part: EVERY_ROLE["roles"][part]}}, ("roles", part)
    roles = {"music_embedder": EVERY_ROLE["roles"]["music_embedder"]}
    stages = [stage for stage in EVERY_ROLE["stages"] if stage["name"] == part] or EVERY_ROLE["stages"][:1]
    place = () if part == "" else ("space",) if part == "space" else ("stages", 0)
    return {**WITHOUT_PARTS, "space": EVERY_ROLE["space"], "stages": stages, "roles": roles}, place


WITHOUT_PARTS = {key: value for key, value in EVERY_ROLE.items() if key not in ("space", "stages", "roles")}


@pytest.mark.parametrize("part", PARTS)
def test_both_readers_agree_on_every_change_of_a_manifest(tmp_path, part):
    """Each value of each role and stage removed, replaced, extended: thousands of manifests in all."""
    base, inside = manifest_of(part)
    path = tmp_path / "bundle.json"
    taken = refused = 0
    for place in places(base):
        if place[: len(inside)] != inside or (not part and len(place) > 1):
            continue
        for name, change in CHANGES.items():
            if not place and name == "removed":
                continue
            manifest = changed(base, place, change)
            path.write_text(json.dumps(manifest))
            said = reading(path)
            # Names and numbers inside the manifest that no longer fit each other are beyond the schema.
            fits = said is None or any(text in said for text in BEYOND)
            assert VALIDATOR.is_valid(manifest) == fits, f"{name} at {place}: C++ says {said}"
            taken, refused = taken + fits, refused + (not fits)
    assert refused > 40
    assert taken > 3


BEYOND = (
    "the name of a special token is expected",
    "an id below the vocabulary is expected",
    "codes below the vocabulary is expected",
    "the conditioner or a stage that comes before is expected",
    "less than the window's seconds is expected",
    "one of the classes is expected",
    "one number for each of the levels is expected",
    "as many offsets as there are levels in 'codes' is expected",
    "at most as many offsets as the source has levels is expected",
    "as many delays as there are levels in 'codes' is expected",
    "as many levels as there are in 'codes' is expected",
    "whole frames at every frame rate that the stage reads and makes is expected",
    "positions of a window is expected",
    "1 where nothing says what is unconditional is expected",
    "a guidance that the layout has a code for is expected",
    "at most the vocabulary is expected",
    "a code of the conditioner, or the id behind its codes is expected",
    "a name that no role and no other stage has is expected",
    "a level of the role 'codec' is expected",
    "a role of this bundle that embeds into as many dimensions is expected",
    "the dimension of 'space' is expected",
)
