"""Grades for the records: one CSV file from the gradebook."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from course.errors import CourseError
from course.grading import pages
from course.grading.classroom import Classroom, write_text
from course.grading.gradebook import open_gradebook

FORMATS = ("csv",)
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


def export(classroom: Classroom, to: str, file: Path | None = None, *, units: list[str] | None = None) -> Path:
    """Write the grades of a class.

    Parameters
    ----------
    to : the format
    file : where to; by default grades.csv in the class's folder
    units : only these; by default all in the gradebook

    Raises
    ------
    CourseError : an unknown format, or nothing to export
    """
    if to not in FORMATS:
        raise CourseError(f"grades can't be exported to {to!r}; the formats are: {', '.join(FORMATS)}")
    with open_gradebook(classroom) as gradebook:
        rows = [row for row in gradebook.scores() if units is None or row["unit"] in units]
    if not rows:
        raise CourseError(f"the gradebook of {classroom.folder} has no grades to export; grade first: course grade DIR")
    target = file or classroom.folder / "grades.csv"
    if not target.parent.is_dir():
        raise CourseError(f"there is no folder {target.parent} to write {target.name} to")
    write_text(target, as_csv(rows))
    return target


def as_csv(rows: list[dict[str, Any]]) -> str:
    """One line per student and unit; a spreadsheet must not read a name as a formula."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: harmless(text) for name, text in _line(row).items()})
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


def harmless(text: str) -> str:
    """A text that a spreadsheet takes for text.

    >>> harmless("=1+1"), harmless("-3"), harmless("Ada")
    ("'=1+1", '-3', 'Ada')
    """
    if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(text):
        return "'" + text
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
