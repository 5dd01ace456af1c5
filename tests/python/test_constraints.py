"""Versions that `make` installs fit pyproject.toml, and the check that says so can fail."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path):
    (tmp_path / ".ci").mkdir()
    for name in ("pyproject.toml", ".ci/constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def check(folder):
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "constraints", "--check", folder], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_constraints_and_requirements_agree():
    status, printed = check(ROOT)
    assert status == 0, printed


BREAKS = {
    "a range that moved on": (
        "pyproject.toml",
        r'"tqdm>=[\d.]+"',
        '"tqdm>=1000"',
        "tqdm: .* is outside of .* 'tqdm>=1000'",
    ),
    "a pin that moved on": ("pyproject.toml", r'"ruff==[\d.]+"', '"ruff==0.0.1"', "ruff: .* is outside of"),
    "a new requirement": (
        "pyproject.toml",
        r'"tqdm>=',
        '"pendulum>=1",\n  "tqdm>=',
        "pendulum: no constraint for Python 3.10",
    ),
    "a new requirement of old Pythons": (
        "pyproject.toml",
        r'"tqdm>=',
        '"pendulum>=1; python_version < \'3.11\'",\n  "tqdm>=',
        "pendulum: no constraint for Python 3.10.0",
    ),
    "a requirement that went": (
        "pyproject.toml",
        r'  "html5lib>=.*\n',
        "",
        "(?s)html5lib: .* nothing asks.*webencodings: ",
    ),
    "a constraint that went": (".ci/constraints.txt", r"(?m)^tqdm==.*\n", "", "tqdm: no constraint for Python 3.13"),
    "a constraint of one Python that went": (
        ".ci/constraints.txt",
        r"(?m)^scipy==.* python_full_version == '3\.11\.\*'\n",
        "",
        "scipy: no constraint for Python 3.11",
    ),
    "a constraint too many": (
        ".ci/constraints.txt",
        r"\Z",
        "pendulum==3.0.0\n",
        "pendulum: a constraint .* nothing asks for",
    ),
    "two constraints": (
        ".ci/constraints.txt",
        r"\Z",
        "tqdm==4.66.0\n    # via -r x\n",
        "tqdm: more than one constraint",
    ),
    "no exact version": (
        ".ci/constraints.txt",
        r"(?m)^tqdm==",
        "tqdm>=",
        "tqdm: a constraint must be one exact version",
    ),
    "an older Python": ("pyproject.toml", r'">=3\.10"', '">=3.9"', 'must have requires-python = ">=3.10"'),
}


@pytest.mark.parametrize("what", BREAKS)
def test_what_does_not_agree_is_named(what, copy):
    name, pattern, replacement, message = BREAKS[what]
    text = (copy / name).read_text()
    broken = re.sub(pattern, lambda _: replacement, text, count=1)
    assert broken != text
    (copy / name).write_text(broken)
    status, printed = check(copy)
    assert status == 1
    assert re.search(message, printed), printed


def test_constraints_name_no_index_and_no_place():
    text = (ROOT / ".ci" / "constraints.txt").read_text()
    assert not re.search(r"(?m)https?://|^-|^[^#]*/", text)
