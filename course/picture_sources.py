"""What the README's pictures are made from, so that a test can say when one is out of date.

Pixels differ between machines; the sources do not. Whoever makes a picture records the hash of its sources beside it.
"""

from __future__ import annotations

import hashlib
import json

from course import paths

FIGURES = paths.ROOT / "course" / "figures"
RECORD = FIGURES / "sources.json"
SOURCES = {
    "check.png": (
        *("course/checking/page.py", "course/checking/style.py", "course/authoring/pictures.py"),
        *("course/units/03_robust_qc/unit.toml", "tests/visible/test_03_robust_qc.py"),
    ),
    "report.png": (
        *("course/grading/report.py", "course/grading/charts.py", "course/grading/pictures.py"),
        *("course/grading/statistics.py", "course/grading/templates/report_unit.html.j2"),
        *("course/grading/templates/report_parts.html.j2", "course/grading/templates/report.css"),
        "course/grading/templates/style.css.j2",
        *("course/grading/habits.py", "course/units/03_robust_qc/unit.toml", "tests/hidden/test_03_robust_qc.py"),
    ),
}


def digest(picture: str) -> str:
    """One sha256 of all sources of a picture: their places and their bytes."""
    found = hashlib.sha256()
    for name in SOURCES[picture]:
        content = (paths.ROOT / name).read_bytes()
        found.update(f"{name} {len(content)}\n".encode() + content)
    return found.hexdigest()


def recorded() -> dict[str, str]:
    """The hashes of what the pictures were made from."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}


def record(picture: str) -> None:
    """Say that a picture was just made from its sources as they are."""
    hashes = json.dumps(recorded() | {picture: digest(picture)}, indent=1, sort_keys=True)
    RECORD.write_text(hashes + "\n", encoding="utf-8")
