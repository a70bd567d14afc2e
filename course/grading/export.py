"""Grades out of the gradebook: a CSV for the records, and the forms that Canvas, Moodle and Gradescope read."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course.errors import CourseError
from course.grading import pages, platforms, report
from course.grading.classroom import Classroom
from course.grading.gradebook import open_gradebook
from course.grading.store import write_atomically

FORMATS = ("csv", "canvas", "moodle", "gradescope")
_DEFAULTS = {
    "csv": "grades.csv",
    "canvas": "exports/canvas.csv",
    "moodle": "exports/moodle",
    "gradescope": "exports/gradescope",
}
COLUMNS = (
    *(
        "student",
        "first_name",
        "last_name",
        "email",
        "unit",
        "points",
        "max_points",
        "from_tests",
        "written",
        "penalty",
    ),
    *("complete", "handed_in"),
)


@dataclass
class Exported:
    """What was written, and what the person should know."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def export(
    classroom: Classroom, to: str, file: Path | None = None, *, units: list[str] | None = None, partial: bool = False
) -> Exported:
    """Write the grades of a class.

    Parameters
    ----------
    to : the format
    file : where to: a file for csv and canvas, a folder for moodle and gradescope; by default in the class's folder
    units : only these; by default all in the gradebook
    partial : to a platform, give points also where a written answer waits for a grade

    Raises
    ------
    CourseError : an unknown format, nothing to export, or what the platform would refuse
    """
    if to not in FORMATS:
        raise CourseError(f"grades can't be exported to {to!r}; the formats are: {', '.join(FORMATS)}")
    with open_gradebook(classroom) as gradebook:
        rows = [row for row in gradebook.scores() if units is None or row["unit"] in units]
    if to != "csv" and units is None:  # a platform needs no column of a unit that nobody has handed in
        begun = {row["unit"] for row in rows if row["points"] is not None}
        rows = [row for row in rows if row["unit"] in begun]
    if not rows:
        raise CourseError(f"the gradebook of {classroom.folder} has no grades to export; grade first: course grade DIR")
    target = (file or classroom.folder / _DEFAULTS[to]).expanduser().resolve()
    if not target.parent.is_dir() and file is not None:
        raise CourseError(f"there is no folder {target.parent} to write {target.name} to")
    made = Exported()
    for name, content in _content(classroom, to, rows, target, made, partial).items():
        write_atomically(name, content)
        made.files.append(name)
    waiting = sorted({row["student"] for row in rows if row["to_grade"]})
    if to != "csv" and waiting and not partial:
        made.notes.append(
            f"left empty, a written answer waits for a grade: {', '.join(waiting[:8])}"
            f"{f' and {len(waiting) - 8} more' if len(waiting) > 8 else ''} (--partial gives their points so far)"
        )
    return made


def _content(
    classroom: Classroom, to: str, rows: list[dict[str, Any]], target: Path, made: Exported, partial: bool
) -> dict[Path, bytes]:
    """What goes into which file."""
    if to == "csv":
        return {target: as_csv(rows).encode("utf-8")}
    by_unit: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_unit.setdefault(row["unit"], []).append(row)
    roster = classroom.roster
    titles = {unit: pages.unit_title(unit, classroom.language) for unit in sorted(by_unit)}
    if to == "canvas":
        return {target: platforms.canvas(rows, roster, titles, partial=partial).encode("utf-8")}
    content: dict[Path, bytes] = {}
    for unit, found in sorted(by_unit.items()):
        if to == "moodle":
            content[target / f"{unit}.csv"] = platforms.moodle(found, roster, titles[unit], partial=partial).encode()
        else:
            content[target / f"{unit}.csv"] = platforms.gradescope_scores(found, roster, partial=partial).encode()
            results = _gradescope_results(classroom, unit, found, made, partial)
            content[target / f"{unit}_autograder.zip"] = platforms.gradescope_autograder(results)
    return content


def _gradescope_results(
    classroom: Classroom, unit: str, rows: list[dict[str, Any]], made: Exported, partial: bool
) -> dict[str, dict[str, Any]]:
    verdicts = {item["student"]: item for item in report.read_verdicts(classroom, [unit]) if item["status"] == "graded"}
    results, lost = {}, []
    for row in rows:
        verdict = verdicts.get(row["student"])
        if verdict is not None and platforms.points(row, partial=partial):
            if row["email"]:
                titles = pages.exercise_titles(unit, verdict["language"])
                results[row["email"]] = platforms.gradescope_results(verdict, row, titles)
            else:
                lost.append(row["student"])
    if lost:
        made.notes.append(f"{unit}: without an email in the roster Gradescope can't find: {', '.join(sorted(lost))}")
    return results


def as_csv(rows: list[dict[str, Any]]) -> str:
    """One line per student and unit; a spreadsheet must not read a name as a formula."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: platforms.harmless(text) for name, text in _line(row).items()})
    return "\ufeff" + stream.getvalue()  # with the mark, Excel reads Chinese names right


def _line(row: dict[str, Any]) -> dict[str, str]:
    handed_in = row["points"] is not None
    return {
        **{name: str(row[name]) for name in ("student", "first_name", "last_name", "email", "unit", "handed_in")},
        "points": pages.number(row["points"]) if handed_in else "",
        "max_points": pages.number(row["max_points"]),
        "from_tests": pages.number(row["from_tests"]) if handed_in else "",
        "written": pages.number(row["written"]) if handed_in and not row["to_grade"] else "",
        "penalty": pages.number(row["penalty"]) if handed_in else "",
        "complete": ("no" if row["to_grade"] else "yes") if handed_in else "nothing handed in",
    }
