"""A file is linted again once it, a header that it includes, a check or a version changes; no other file is."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "tidy"


@pytest.fixture
def tidy(tmp_path):
    loader = SourceFileLoader("tidy", str(SCRIPT))
    module = module_from_spec(spec_from_loader("tidy", loader))
    loader.exec_module(module)
    library = tmp_path / "libbrain2music"
    room = library / "brain2music"
    room.mkdir(parents=True)
    (room / "a.h").write_text('#include "brain2music/b.h"\n')
    (room / "b.h").write_text("int b();\n")
    (room / "one.cpp").write_text('#include "brain2music/a.h"\n')
    (room / "other.cpp").write_text("#include <vector>\n")
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "constraints.txt").write_text("clang-tidy==1.0\nnumpy==2.0\ntorch==2.11.0\n")
    (tmp_path / ".clang-tidy").write_text("Checks: all\n")
    module.ROOT, module.ROOMS, module.LIST = tmp_path, (library,), tmp_path / ".ci" / "tidied.txt"
    return module


def digests(tidy):
    room = tidy.ROOMS[0] / "brain2music"
    return [tidy.digest(room / name, tidy.settings()) for name in ("one.cpp", "other.cpp")]


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        ("libbrain2music/brain2music/b.h", "long b();\n", [True, False]),
        ("libbrain2music/brain2music/one.cpp", "// new\n", [True, False]),
        ("libbrain2music/brain2music/other.cpp", "// new\n", [False, True]),
        (".clang-tidy", "Checks: none\n", [True, True]),
        (".ci/constraints.txt", "clang-tidy==1.1\nnumpy==2.0\ntorch==2.11.0\n", [True, True]),
        (".ci/constraints.txt", "clang-tidy==1.0\nnumpy==2.1\ntorch==2.11.0\n", [False, False]),
    ],
)
def test_what_changes_is_looked_at_again(tidy, file, text, changes):
    before = digests(tidy)
    (tidy.ROOT / file).write_text(text)
    assert [a != b for a, b in zip(before, digests(tidy), strict=True)] == changes


def test_only_what_passes_is_kept(tidy, monkeypatch, capsys):
    looked_at = []
    monkeypatch.setattr("sys.argv", ["tidy"])
    monkeypatch.setattr(tidy, "passes", lambda path: looked_at.append(path.name) or path.name == "one.cpp")
    assert tidy.main() == 1
    assert sorted(looked_at) == ["one.cpp", "other.cpp"]
    monkeypatch.setattr(tidy, "passes", lambda path: looked_at.append(path.name) or True)
    assert tidy.main() == 0
    assert looked_at[2:] == ["other.cpp"]
    assert tidy.main() == 0
    assert len(looked_at) == 3
    monkeypatch.setattr("sys.argv", ["tidy", "--all"])
    assert tidy.main() == 0
    assert len(looked_at) == 5
