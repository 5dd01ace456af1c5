"""Which room may include which: docs/explanation/design.rst, "Rooms"."""

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "libbrain2music" / "brain2music"

#: What each room may include besides itself, row 0 (check, embedding_space, export, version) and row 1 (device).
MAY_INCLUDE = {
    "device": set(),
    "linalg": set(),
    "kernels": {"linalg"},
    "io": set(),
    "audio": set(),
    "signal": {"kernels", "io", "audio"},
    "metrics": {"kernels", "io", "audio"},
    "retrieval": {"kernels", "io", "audio"},
    "models": {"linalg", "kernels", "io"},
    "embedding": {"models", "audio"},
    "ridge": {"linalg", "metrics", "kernels", "io"},
    "encoding": {"ridge", "metrics", "signal", "kernels"},
    "decoding": {"encoding", "ridge", "metrics", "signal", "io"},
    "generation": {"models", "kernels", "audio", "io"},
}
ROW_0 = {"check.h", "embedding_space.h", "export.h", "version.h"}

#: Written by CMake.
GENERATED = {"version.h", "kernels/with_cuda.h"}


def includes(path):
    return re.findall(r'#include ["<]brain2music/([^">]+)[">]', path.read_text())


def rooms():
    return sorted(path for path in SOURCES.iterdir() if path.is_dir())


@pytest.mark.parametrize("room", rooms(), ids=lambda room: room.name)
def test_rooms_include_only_what_lies_below(room):
    assert room.name in MAY_INCLUDE, f"a room that the plan does not know: {room.name}"
    allowed = MAY_INCLUDE[room.name] | {room.name, "device"}
    for source in room.rglob("*.*"):
        for header in includes(source):
            other = header.split("/")[0]
            assert other in allowed | ROW_0, f"{source.relative_to(SOURCES)} includes {header}"


def test_row_0_stands_alone():
    for source in SOURCES.glob("*.*"):
        for header in includes(source):
            assert header in ROW_0, f"{source.name} includes {header}"


def test_cuda_files_include_no_torch_header():
    for source in SOURCES.rglob("*.cu"):
        assert not re.search(r"#include <(ATen|c10|torch)/", source.read_text()), source.name


def test_every_include_of_ours_names_its_room():
    for source in SOURCES.rglob("*.*"):
        for header in re.findall(r'#include "([^"]+)"', source.read_text()):
            assert header.startswith("brain2music/"), f"{source.relative_to(SOURCES)} includes {header}"


def test_cuda_files_allocate_where_the_input_lies():
    """What fake tensors cannot show: they run the Meta kernel in place of the CUDA one. What CUDA files include counts
    as theirs."""
    reached = set()
    unread = set(SOURCES.rglob("*_cuda.cpp"))
    while unread:
        source = unread.pop()
        reached.add(source)
        unread |= {SOURCES / header for header in includes(source) if header not in ROW_0 | GENERATED} - reached
    allocations = [
        (source.name, arguments)
        for source in reached
        for arguments in re.findall(r"at::(?:empty|zeros|ones|full|arange|eye)\(([^;]*)\);", source.read_text())
    ]
    assert "columns.h" in {name for name, _ in allocations}
    for name, arguments in allocations:
        assert ".options()" in arguments, f"{name}: {arguments}"


def test_every_public_header_is_installed():
    """A header that a public header includes must be public too."""
    listed = (SOURCES.parent / "CMakeLists.txt").read_text().partition("FILE_SET HEADERS")[2]
    public = set(re.findall(r"brain2music/[\w/]+\.h(?!\.in)", listed))
    for header in public - {"brain2music/version.h"}:
        for included in includes(SOURCES.parent / header):
            assert f"brain2music/{included}" in public, f"{header} includes {included}, which is not installed"
