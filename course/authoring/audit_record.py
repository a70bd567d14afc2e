"""What an audit leaves behind: a record per unit beside the hidden tests, and the table in course/README.md.

Neither holds a time or anything else that depends on the machine. The record knows its inputs by a hash, so that an
audit that nothing has changed for is not run again.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from course import paths
from course.authoring.audit import ExerciseAudit, UnitAudit, equivalents_file
from course.authoring.unit import read_unit
from course.errors import CourseError

README = paths.ROOT / "course" / "README.md"
BEGIN, END = "<!-- audit:begin -->", "<!-- audit:end -->"
VERSION = 1  # raise it when a change of audit.py could change what an audit finds
MACHINERY = (
    *("course/authoring/mutants.py", "course/checking/compare.py", "course/checking/draw.py"),
    *("course/checking/recognise.py", "course/checking/runner.py"),
)
# What `course compare` writes into lessons is for looking at; no exercise uses it.
COMPARISON = re.compile(rb"(# comparison:begin[^\n]*\n).*?(# comparison:end)", re.DOTALL)
Record = dict[str, Any]


def record_file(unit: str) -> Path:
    """Where the record of a unit lies."""
    return paths.HIDDEN / f"audit_{unit}.json"


def inputs_of(unit: str) -> list[Path]:
    """All files that an audit's result depends on: sources, tests, reference, cohort, and the audit itself."""
    folder = paths.unit_folder(unit)
    tests = [paths.visible_tests(unit), paths.hidden_tests(unit), paths.known_mistakes(unit)]
    start = [exercise.reference for exercise in read_unit(unit).exercises if exercise.reference is not None]
    start += [module for test in tests for module in _imported(test)]
    optional = [equivalents_file(unit), paths.TRUTH, *sorted(paths.COHORT.rglob("*"))]
    return [
        *(folder / "lesson.md", folder / "unit.toml", *tests),
        *_reference_files(start),
        *(path for path in optional if path.is_file()),
        *(paths.ROOT / name for name in MACHINERY),
    ]


def _reference_files(modules: Iterable[str]) -> list[Path]:
    """The files of modules of the reference implementation and of all that they import from it."""
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        path = paths.ROOT.joinpath(*waiting.pop().split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if path.is_file() and path not in found:
            found.add(path)
            waiting += _imported(path)
    return sorted(found)


def _imported(path: Path) -> list[str]:
    """Modules of reference_impl that a file imports."""
    if not path.is_file():
        return []
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] == "reference_impl"]


def hash_of(unit: str) -> str:
    """One hash of all inputs: their places and their bytes.

    Raises
    ------
    CourseError : an input is missing
    """
    digest = hashlib.sha256(f"audit {VERSION}\n".encode())
    for path in inputs_of(unit):
        if not path.is_file():
            raise CourseError(f"unit {unit}: there is no {path.relative_to(paths.ROOT)}, which the audit needs")
        content = COMPARISON.sub(rb"\1\2", path.read_bytes())
        digest.update(f"{path.relative_to(paths.ROOT).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def as_record(audited: UnitAudit, inputs: str) -> Record:
    """What is kept of an audit."""
    return {
        "unit": audited.unit,
        "inputs": inputs,
        "clean": audited.clean,
        "problems": audited.problems,
        "exercises": [_exercise_record(exercise) for exercise in audited.exercises],
    }


def _exercise_record(exercise: ExerciseAudit) -> Record:
    return {
        "name": exercise.name,
        "points": exercise.points,
        "visible": exercise.visible,
        "hidden": exercise.hidden,
        "mistakes": exercise.mistakes,
        "mistakes_caught": exercise.mistakes_caught,
        "mutants": exercise.mutants,
        "killed": exercise.killed,
        "equivalent": exercise.equivalent,
        "alive": [[mutant.function, mutant.operator, mutant.diff] for mutant in exercise.alive],
        "redundant": exercise.redundant,
        "lines": exercise.lines,
        "lines_missed": len(exercise.lines_missed),
        "problems": exercise.problems,
    }


def write_record(record: Record) -> None:
    """Keep a record."""
    text = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
    record_file(record["unit"]).write_text(text, encoding="utf-8")


def read_record(unit: str) -> Record | None:
    """The record of a unit; None if there is none that can be read."""
    try:
        record: Record = json.loads(record_file(unit).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return record


def is_current(unit: str) -> bool:
    """Whether the record was made from the inputs as they are now."""
    record = read_record(unit)
    return record is not None and record["inputs"] == hash_of(unit)


# --- the table in the README ---------------------------------------------------------------------------------------

HEAD = (
    "| unit | exercise | points | tests (visible + hidden) | known mistakes named | mutants caught | equivalent "
    "| reference lines run |\n|---|---|--:|--:|--:|--:|--:|--:|\n"
)


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """The table of all exercises, as Markdown."""
    rows = [_table_row(record["unit"], exercise) for record in records for exercise in record["exercises"]]
    return HEAD + "".join(rows)


def _table_row(unit: str, exercise: Mapping[str, Any]) -> str:
    ran = exercise["lines"] - exercise["lines_missed"]
    cells = (
        unit,
        f"`{exercise['name']}`",
        exercise["points"],
        f"{exercise['visible']} + {exercise['hidden']}",
        f"{exercise['mistakes_caught']} of {exercise['mistakes']}",
        f"{exercise['killed']} of {exercise['mutants']}",
        exercise["equivalent"],
        f"{ran} of {exercise['lines']}" if exercise["lines"] else "a value",
    )
    return f"| {' | '.join(map(str, cells))} |\n"


def readme_with_table(text: str, records: Sequence[Mapping[str, Any]]) -> str:
    """The README with the table between its marks.

    Raises
    ------
    CourseError : the marks are missing
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise CourseError(f"course/README.md has no place for the audit's table: put {BEGIN} and {END} there")
    return f"{before}{BEGIN}\n\n{table(records)}\n{END}{after}"


def write_table(records: Sequence[Mapping[str, Any]]) -> None:
    """Put the table of all exercises into course/README.md."""
    README.write_text(readme_with_table(_readme(), records), encoding="utf-8")


def table_is_current(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether course/README.md shows what the records say."""
    return _readme() == readme_with_table(_readme(), records)


def _readme() -> str:
    return README.read_text(encoding="utf-8") if README.is_file() else ""
