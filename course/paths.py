"""Where things are: every folder of the repository is named here and nowhere else."""

from __future__ import annotations

from pathlib import Path

from course.errors import CourseError

ROOT = Path(__file__).resolve().parent.parent
UNITS = ROOT / "course" / "units"
EXERCISES = ROOT / "exercises"
SOLUTIONS = ROOT / "solutions"
VISIBLE = ROOT / "tests" / "visible"
HIDDEN = ROOT / "tests" / "hidden"
DATA = ROOT / "data"
COHORT = DATA / "cohort"
TRUTH = DATA / "truth" / "cohort.json"
LANGUAGES = ("en", "zh")


def unit_names() -> list[str]:
    """Names of all units, in teaching order.

    >>> unit_names() == sorted(unit_names())
    True
    """
    return sorted(path.parent.name for path in UNITS.glob("*/unit.toml"))


def find_unit(text: str) -> str:
    """Full name of the unit that a person means by its number, name or any unique part of them."""
    names = unit_names()
    if text in names:
        return text
    hits = [name for name in names if name.startswith(text)] or [name for name in names if text in name]
    if len(hits) == 1:
        return hits[0]
    known = ", ".join(names) or "none yet"
    raise CourseError(f"unit {text!r} is {'ambiguous' if hits else 'unknown'}; the units are: {known}")


def unit_folder(unit: str) -> Path:
    """Folder of a unit's lesson, unit.toml and figures."""
    return UNITS / unit


def visible_tests(unit: str) -> Path:
    """File of the checks a learner sees."""
    return VISIBLE / f"test_{unit}.py"


def hidden_tests(unit: str) -> Path:
    """File of the tests that decide the grade."""
    return HIDDEN / f"test_{unit}.py"


def known_mistakes(unit: str) -> Path:
    """File of the wrong answers people really give."""
    return HIDDEN / f"mistakes_{unit}.py"


def solution_folder(unit: str, language: str) -> Path:
    """Folder an instructor opens."""
    return SOLUTIONS / language / unit


def exercise_folder(unit: str, language: str) -> Path:
    """Folder a learner opens."""
    return EXERCISES / language / unit


def solution_notebook(unit: str, language: str) -> Path:
    """Notebook with the solutions."""
    return solution_folder(unit, language) / f"{unit}.ipynb"


def exercise_notebook(unit: str, language: str) -> Path:
    """Notebook a learner opens."""
    return exercise_folder(unit, language) / f"{unit}.ipynb"
