"""Results as files: one a benchmark and device, each case with what it was measured on."""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def keep(path: Path, name: str, figures: dict[str, object]) -> None:
    """Write one case's figures beside those of others that the file holds; the case's own are replaced."""
    cases = json.loads(path.read_text())["cases"] if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps({"cases": {**cases, name: figures}}, indent=2) + "\n")
    temporary.replace(path)
