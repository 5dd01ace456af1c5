"""Every script of findings/ has a row in its table, and every row a script."""

import os
import re
from pathlib import Path

FINDINGS = Path(__file__).parents[2] / "findings"


def test_table_and_scripts_agree():
    rows = re.findall(r"(?m)^\| `?([\w.-]+\.sh)`? \|", (FINDINGS / "README.md").read_text())
    assert sorted(rows) == sorted(path.name for path in FINDINGS.glob("*.sh"))
    assert all(os.access(path, os.X_OK) for path in FINDINGS.glob("*.sh"))
