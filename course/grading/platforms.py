"""Grades in the forms that learning platforms read, each checked against that platform's own rules.

Canvas (its class GradebookImporter): one CSV; the header begins Student, ID, SIS User ID, SIS Login ID, Section, then
one column per assignment; the second row begins "Points Possible"; an empty cell changes nothing; a student is found by
ID, then by SIS ids, then by name.

Moodle (its grade import, gradeimport_csv_load_data): a CSV per unit, one line per student; a line whose student can't
be found ends the whole import and an empty grade erases one, so only students with a grade are in it, each with an
ID number.

Gradescope has no import of grades made elsewhere but its autograders: a zip with setup.sh and run_autograder, which
writes results/results.json (Autograder Specifications, gradescope-autograders.readthedocs.io). Ours holds the results
and gives each submission those of the student whose address it bears. Beside it stands a CSV with the columns of
Gradescope's own download of scores.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from course.errors import CourseError
from course.grading import pages
from course.grading.classroom import Student
from course.grading.verdict import Verdict

Row = Mapping[str, Any]

CANVAS_HEADER = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
_CANVAS_RESERVED = re.compile(
    "Current Score|Current Points|Current Grade|Final Score|Final Points|Final Grade|"
    "Override Score|Override Grade|Override Status|^(Student|LastName|FirstName|ID|SIS User ID|SIS Login ID|Section|"
    "Integration ID|Root Account)$"
)
MOODLE_HEADER = ("ID number", "Username", "First name", "Last name", "Email address")
GRADESCOPE_HEADER = (
    *("First Name", "Last Name", "SID", "Email", "Sections", "Total Score", "Max Points", "Status"),
    *("Submission ID", "Submission Time", "Lateness (H:M:S)", "View Count", "Submission Count"),
)
_GRADESCOPE_TEST_STATUS = {True: "passed", False: "failed"}
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the same bytes every time


class FormatError(CourseError):
    """An export that its platform would refuse or misread."""


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A CSV as platforms read it: UTF-8 without a mark, commas, quotes where needed."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([harmless(text) for text in line] for line in lines)
    return stream.getvalue()


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


def points(row: Row, *, partial: bool) -> str:
    """A grade for a platform: at most two decimals, empty where there is none yet."""
    if row["points"] is None or (row["to_grade"] and not partial):
        return ""
    return pages.number(round(row["points"], 2))


# --------------------------------------------------------------------------------------------------------------------
# Canvas


def canvas(
    rows: Sequence[Row], roster: Mapping[str, Student], titles: Mapping[str, str], *, partial: bool = False
) -> str:
    """The gradebook for Canvas' Gradebook > Import.

    Parameters
    ----------
    rows : of the gradebook, one per student and unit
    roster : with the columns canvas_id, sis_id, login and section where they are known
    titles : what each unit's assignment is called
    partial : give points where a written answer still waits for a grade
    """
    units = list(titles)
    most = {row["unit"]: row["max_points"] for row in rows}
    lines = [["    Points Possible", "", "", "", "", *(pages.number(most[unit]) for unit in units)]]
    by_student: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_student.setdefault(row["student"], {})[row["unit"]] = row
    for student, found in sorted(by_student.items()):
        known = roster.get(student, Student(student))
        about = next(iter(found.values()))
        name = _sortable(known.last_name or about["last_name"], known.first_name or about["first_name"]) or student
        who = [name, known.canvas_id, known.sis_id or student, known.login, known.section]
        lines.append([*who, *(points(found[unit], partial=partial) if unit in found else "" for unit in units)])
    text = table((*CANVAS_HEADER, *(titles[unit] for unit in units)), lines)
    check_canvas(text)
    return text


def _sortable(last: str, first: str) -> str:
    return ", ".join(part for part in (last, first) if part)


def check_canvas(text: str) -> None:
    """Refuse what Canvas' importer would refuse or misread.

    Raises
    ------
    FormatError : names the rule
    """
    header, *lines = list(csv.reader(io.StringIO(text)))
    if tuple(header[:5]) != CANVAS_HEADER:
        raise FormatError(f"Canvas: the header must begin {', '.join(CANVAS_HEADER)}")
    for title in header[5:]:
        if not title.strip() or _CANVAS_RESERVED.search(title):
            raise FormatError(f"Canvas: {title!r} can't be the name of an assignment")
        if re.search(r"\(\d+\)$", title):
            raise FormatError(f"Canvas: {title!r} ends like an id of Canvas; rename the unit")
    if len(set(header)) != len(header):
        raise FormatError("Canvas: two assignments have the same name")
    if not lines or "Points Possible" not in lines[0][0]:
        raise FormatError("Canvas: the second row must give the points possible")
    identities = []
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise FormatError(f"Canvas: line {number} has {len(line)} fields, not {len(header)}")
        if number > 2:
            identities.append(tuple(line[:4]))
            if "Points Possible" in line[0]:
                raise FormatError(f"Canvas: line {number} would be read as points possible")
            if line[1] and not line[1].isdigit():
                raise FormatError(f"Canvas: line {number}: ID {line[1]!r} is no number of Canvas (roster: canvas_id)")
            if not any(line[:4]):
                raise FormatError(f"Canvas: line {number} names no student")
        for value in line[5:]:
            if value and not re.fullmatch(r"\d+(\.\d{1,2})?", value):
                raise FormatError(f"Canvas: line {number}: {value!r} is no grade")
    if len(set(identities)) != len(identities):
        raise FormatError("Canvas: a student stands in two lines")


# --------------------------------------------------------------------------------------------------------------------
# Moodle


def moodle(rows: Sequence[Row], roster: Mapping[str, Student], title: str, *, partial: bool = False) -> str:
    """One unit for Moodle's Grades > Import > CSV file: map "ID number" to it, the last column to the grade item."""
    lines = []
    for row in sorted(rows, key=lambda row: row["student"]):
        grade = points(row, partial=partial)
        if grade:
            known = roster.get(row["student"], Student(row["student"]))
            identity = known.sis_id or row["student"]
            lines.append([identity, known.login, row["first_name"], row["last_name"], row["email"], grade])
    text = table((*MOODLE_HEADER, title), lines)
    check_moodle(text)
    return text


def check_moodle(text: str) -> None:
    """Refuse what would end Moodle's import or erase a grade.

    Raises
    ------
    FormatError : names the rule
    """
    header, *lines = list(csv.reader(io.StringIO(text)))
    if tuple(header[:5]) != MOODLE_HEADER or len(header) != 6:
        raise FormatError(f"Moodle: the header must be {', '.join(MOODLE_HEADER)} and one grade")
    if not header[5].strip() or header[5] in MOODLE_HEADER:
        raise FormatError(f"Moodle: {header[5]!r} can't be the name of a grade")
    for number, line in enumerate(lines, start=2):
        if len(line) != 6:
            raise FormatError(f"Moodle: line {number} has {len(line)} fields, not 6")
        if not line[0].strip():
            raise FormatError(f"Moodle: line {number} has no ID number; the whole import would end there")
        if not re.fullmatch(r"\d+(\.\d{1,2})?", line[5]):
            raise FormatError(f"Moodle: line {number}: {line[5]!r} is no grade; an empty one would erase what is there")
    if len({line[0] for line in lines}) != len(lines):
        raise FormatError("Moodle: a student stands in two lines")


# --------------------------------------------------------------------------------------------------------------------
# Gradescope


def gradescope_scores(rows: Sequence[Row], roster: Mapping[str, Student], *, partial: bool = False) -> str:
    """One unit with the columns of Gradescope's "Download Grades"."""
    lines = []
    for row in sorted(rows, key=lambda row: row["student"]):
        known = roster.get(row["student"], Student(row["student"]))
        grade = points(row, partial=partial)
        status = "Graded" if grade else "Missing" if row["points"] is None else "Ungraded"
        handed_in = row["points"] is not None
        lines.append(
            [
                *(row["first_name"], row["last_name"], known.sis_id or row["student"], row["email"], known.section),
                *(grade, pages.number(row["max_points"]), status, "", _time(row["handed_in"])),
                *(_lateness(row.get("seconds_late", 0)) if handed_in else "", "", "1" if handed_in else ""),
            ]
        )
    text = table(GRADESCOPE_HEADER, lines)
    check_gradescope_scores(text)
    return text


def _time(text: str) -> str:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).strftime("%Y-%m-%d %H:%M:%S %z") if text else ""


def _lateness(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole % 3600 // 60:02}:{whole % 60:02}"


def check_gradescope_scores(text: str) -> None:
    """Refuse what is not in the columns of Gradescope's download.

    Raises
    ------
    FormatError : names the rule
    """
    header, *lines = list(csv.reader(io.StringIO(text)))
    if tuple(header) != GRADESCOPE_HEADER:
        raise FormatError(f"Gradescope: the header must be {', '.join(GRADESCOPE_HEADER)}")
    for number, line in enumerate(lines, start=2):
        found = dict(zip(header, line, strict=True))
        if found["Status"] not in ("Graded", "Ungraded", "Missing"):
            raise FormatError(f"Gradescope: line {number}: {found['Status']!r} is no status")
        if (found["Status"] == "Graded") != bool(found["Total Score"]):
            raise FormatError(f"Gradescope: line {number}: a score belongs to what is graded")
        if found["Lateness (H:M:S)"] and not re.fullmatch(r"\d{2,}:[0-5]\d:[0-5]\d", found["Lateness (H:M:S)"]):
            raise FormatError(f"Gradescope: line {number}: {found['Lateness (H:M:S)']!r} is no H:M:S")


def gradescope_results(verdict: Verdict, row: Row, titles: Mapping[str, str]) -> dict[str, Any]:
    """What Gradescope shows a student: one entry per test, and the score of the gradebook.

    A hidden test is told by the property that it names, as in the feedback, and shown when grades are published.
    """
    language = verdict["language"]
    tests = []
    for place, exercise in enumerate(verdict["exercises"], start=1):
        for number, test in enumerate(exercise["tests"], start=1):
            look = pages.STATUSES[test["status"]]
            tests.append(
                {
                    "name": f"{titles.get(exercise['name'], exercise['name'])}: {test['message'][language]}",
                    "number": f"{place}.{number}",
                    "score": test["points"],
                    "max_score": test["max_points"],
                    "status": _GRADESCOPE_TEST_STATUS[test["status"] == "passed"],
                    "output": f"{look.sign} {look.word[language]}",
                    "output_format": "text",
                    "visibility": "visible" if test["visible"] else "after_published",
                }
            )
    results = {"score": round(row["points"], 2), "visibility": "visible", "stdout_visibility": "hidden", "tests": tests}
    if verdict["language"] == "en" and any(part["mistake"] for part in verdict["exercises"]):
        told = [part["mistake"]["en"] for part in verdict["exercises"] if part["mistake"]]
        results |= {"output": "\n".join(told), "output_format": "text"}
    check_gradescope_results(results)
    return results


def check_gradescope_results(results: Mapping[str, Any]) -> None:
    """Refuse what Gradescope's specification of results.json does not allow.

    Raises
    ------
    FormatError : names the rule
    """
    visible = ("hidden", "after_due_date", "after_published", "visible")
    known = {"score", "execution_time", "output", "output_format", "test_output_format", "test_name_format"}
    known |= {"visibility", "stdout_visibility", "extra_data", "tests", "leaderboard"}
    if set(results) - known:
        raise FormatError(f"Gradescope: results.json does not know {', '.join(sorted(set(results) - known))}")
    if not isinstance(results.get("tests"), list) and "score" not in results:
        raise FormatError("Gradescope: results.json needs a score or tests")
    for entry in (results, *results.get("tests", ())):
        for name in ("visibility", "stdout_visibility"):
            if name in entry and entry[name] not in visible:
                raise FormatError(f"Gradescope: {name} is {entry[name]!r}")
        if entry.get("output_format", "text") not in ("text", "html", "simple_format", "md", "ansi"):
            raise FormatError(f"Gradescope: output_format is {entry['output_format']!r}")
        if not isinstance(entry.get("score", 0), int | float) or entry.get("score", 0) < 0:
            raise FormatError(f"Gradescope: score is {entry['score']!r}")
    for test in results.get("tests", ()):
        if test.get("status", "passed") not in ("passed", "failed"):
            raise FormatError(f"Gradescope: status is {test['status']!r}")
        if test["score"] > test["max_score"]:
            raise FormatError(f"Gradescope: {test['name']!r} has more points than it is worth")


_RUN_AUTOGRADER = '''#!/usr/bin/env python3
"""Gives a submission the results that were worked out before, by the address of whoever handed it in."""
import json
import pathlib

place = pathlib.Path("/autograder")
users = json.loads((place / "submission_metadata.json").read_text(encoding="utf-8"))["users"]
known = json.loads((place / "source" / "results.json").read_text(encoding="utf-8"))
found = [known[user["email"].lower()] for user in users if user.get("email", "").lower() in known]
results = found[0] if found else {
    "score": 0,
    "visibility": "hidden",
    "output": "No result is known for this student: the address in the class's roster must be that of Gradescope.",
    "tests": [],
}
target = place / "results" / "results.json"
target.parent.mkdir(exist_ok=True)
target.write_text(json.dumps(results), encoding="utf-8")
'''
_SETUP = "#!/usr/bin/env bash\napt-get install -y python3\n"


def gradescope_autograder(results: Mapping[str, Mapping[str, Any]]) -> bytes:
    """An autograder's zip: the results of all students, by address, and the program that hands them out."""
    stream = io.BytesIO()
    files = {
        "setup.sh": _SETUP,
        "run_autograder": _RUN_AUTOGRADER,
        "results.json": json.dumps({address.lower(): found for address, found in sorted(results.items())}),
    }
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.external_attr = (0o100755 if name != "results.json" else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, text)
    return stream.getvalue()
