"""Exports: what each platform's importer demands holds, and what it would refuse or misread is refused here."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from course.errors import CourseError
from course.grading import export, platforms
from course.grading.classroom import Classroom, Student
from course.grading.gradebook import ClassGradebook, open_gradebook
from course.grading.intake import Submission
from course.grading.platforms import FormatError

from . import test_gradebook
from .samples import a_test, a_verdict, an_exercise
from .test_gradebook import UNIT, judged, with_written

released, classroom, submission = test_gradebook.released, test_gradebook.classroom, test_gradebook.submission


def row(student: str, points: float | None, unit: str = "91_one", **changes: Any) -> dict[str, Any]:
    known = {
        **{"student": student, "first_name": "Ada", "last_name": "Lovelace", "email": f"{student}@uni.edu"},
        **{"unit": unit, "points": points, "max_points": 73.0, "to_grade": False, "seconds_late": 0.0},
        "handed_in": "2027-03-01T12:00:00" if points is not None else "",
    }
    return {**known, **changes}


ROSTER = {
    "s1": Student("s1", "Ada", "Lovelace", canvas_id="4711", sis_id="900", login="ada", section="A"),
    "王小明": Student("王小明", "小明", "王"),
    "s3": Student("s3", "=cmd()", 'O"Neil, jr'),
}
ROWS = [
    row("s1", 66.125),
    row("王小明", 0.0, first_name="小明", last_name="王"),
    row("s3", None, first_name="=cmd()", last_name='O"Neil, jr'),
    row("s4", 12.5, to_grade=True),
    row("s1", 10.0, "92_two", max_points=20.0),
]
TITLES = {"91_one": "Robust quality control", "92_two": "稳健质控"}


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


# --------------------------------------------------------------------------------------------------------------------
# Canvas


def test_canvas_gets_its_header_points_and_students() -> None:
    header, possible, *lines = read(platforms.canvas(ROWS, ROSTER, TITLES))
    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *TITLES.values()]
    assert possible == ["    Points Possible", "", "", "", "", "73", "20"]
    assert lines == [
        ["Lovelace, Ada", "4711", "900", "ada", "A", "66.12", "10"],
        ['O"Neil, jr, =cmd()', "", "s3", "", "", "", ""],
        ["Lovelace, Ada", "", "s4", "", "", "", ""],  # a written answer waits: an empty cell changes nothing
        ["王, 小明", "", "王小明", "", "", "0", ""],
    ]
    partial = read(platforms.canvas(ROWS, ROSTER, TITLES, partial=True))
    assert partial[4][5] == "12.5"


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("Student,ID", "Name,ID", "header must begin"),
        ("Robust quality control", "Final Score", "can't be the name of an assignment"),
        ("Robust quality control", "Section", "can't be the name of an assignment"),
        ("Robust quality control", "Robust (12)", "ends like an id"),
        ("Robust quality control", "稳健质控", "same name"),
        ("Points Possible", "Points", "points possible"),
        (",66.12,", ",66.123,", "is no grade"),
        (",66.12,", ",-1,", "is no grade"),
        (",66.12,", ",EX,", "is no grade"),
        ("4711", "ada", "is no number of Canvas"),
        (",10\n", ",10,11\n", "fields, not 7"),
        ("Lovelace, Ada", "Points Possible", "read as points possible"),
        ("王, 小明", "", "names no student"),
    ],
)
def test_what_canvas_would_misread_is_refused(old: str, new: str, rule: str) -> None:
    text = platforms.canvas(ROWS, ROSTER, TITLES)
    assert old in text
    changed = text.replace(old, new, 1).replace("王小明", "" if "names no" in rule else "王小明")
    with pytest.raises(FormatError, match=rule):
        platforms.check_canvas(changed)


# --------------------------------------------------------------------------------------------------------------------
# Moodle


def test_moodle_gets_only_who_has_a_grade() -> None:
    header, *lines = read(platforms.moodle(ROWS[:4], ROSTER, TITLES["91_one"]))
    assert header == ["ID number", "Username", "First name", "Last name", "Email address", "Robust quality control"]
    assert lines == [
        ["900", "ada", "Ada", "Lovelace", "s1@uni.edu", "66.12"],
        ["王小明", "", "小明", "王", "王小明@uni.edu", "0"],
    ]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("ID number", "Id", "header must be"),
        ("Robust quality control", "Username", "can't be the name of a grade"),
        ("900,ada", ",ada", "whole import would end"),
        ("66.12", "", "would erase"),
        ("66.12", "sixty", "is no grade"),
        ("900,", "王小明,", "two lines"),
    ],
)
def test_what_would_end_moodles_import_is_refused(old: str, new: str, rule: str) -> None:
    text = platforms.moodle(ROWS[:4], ROSTER, TITLES["91_one"])
    assert old in text
    with pytest.raises(FormatError, match=rule):
        platforms.check_moodle(text.replace(old, new, 1))


# --------------------------------------------------------------------------------------------------------------------
# Gradescope


def test_gradescope_gets_the_columns_of_its_own_download() -> None:
    late = {**ROWS[0], "seconds_late": 3723.0}
    header, first, third, *_ = read(platforms.gradescope_scores([late, ROWS[2]], ROSTER))
    assert header == list(platforms.GRADESCOPE_HEADER)
    assert dict(zip(header, first, strict=True)) == {
        **{"First Name": "Ada", "Last Name": "Lovelace", "SID": "900", "Email": "s1@uni.edu", "Sections": "A"},
        **{"Total Score": "66.12", "Max Points": "73", "Status": "Graded", "Submission ID": ""},
        **{"Submission Time": "2027-03-01 12:00:00 +0000", "Lateness (H:M:S)": "01:02:03"},
        **{"View Count": "", "Submission Count": "1"},
    }
    assert third[0] == "'=cmd()"  # a spreadsheet takes it for text
    assert third[5:8] == ["", "73", "Missing"]


def results() -> dict[str, Any]:
    mistake = {"name": "adds", "en": "You added two.", "zh": "你加了二。"}
    parts = [an_exercise("first", [a_test("one", visible=True), a_test("two", "failed")], mistake)]
    return platforms.gradescope_results(a_verdict(parts), row("s1", 4.5), {"first": "The first"})


def test_gradescopes_results_tell_properties_and_no_tests() -> None:
    found = results()
    assert found["score"] == 4.5
    assert found["output"] == "You added two."
    assert [test["visibility"] for test in found["tests"]] == ["visible", "after_published"]
    assert [test["status"] for test in found["tests"]] == ["passed", "failed"]
    assert found["tests"][1]["name"] == "The first: Property two holds."
    assert "hidden/" not in json.dumps(found)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"points": 3}, "does not know points"),
        ({"visibility": "secret"}, "visibility is 'secret'"),
        ({"score": -1}, "score is -1"),
        ({"output_format": "pdf"}, "output_format is 'pdf'"),
        ({"tests": [{"name": "a", "score": 3, "max_score": 2}]}, "more points than it is worth"),
        ({"tests": [{"name": "a", "score": 1, "max_score": 2, "status": "maybe"}]}, "status is 'maybe'"),
    ],
)
def test_what_gradescope_would_refuse_is_refused(change: dict[str, Any], rule: str) -> None:
    with pytest.raises(FormatError, match=rule):
        platforms.check_gradescope_results({**results(), **change})


@pytest.mark.parametrize(("address", "score"), [("ADA@uni.edu", 4.5), ("stranger@uni.edu", 0)])
def test_autograder_hands_each_student_their_own_results(tmp_path: Path, address: str, score: float) -> None:
    """The zip as Gradescope unpacks it: run_autograder reads the metadata and writes results/results.json."""
    packed = platforms.gradescope_autograder({"ada@uni.edu": results(), "bob@uni.edu": {**results(), "score": 1}})
    assert packed == platforms.gradescope_autograder(
        {"bob@uni.edu": {**results(), "score": 1}, "ada@uni.edu": results()}
    )
    source = tmp_path / "source"
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(source)
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    assert modes == {"setup.sh": 0o755, "run_autograder": 0o755, "results.json": 0o644}
    program = (source / "run_autograder").read_text(encoding="utf-8")
    assert program.count('"/autograder"') == 1
    metadata = {"id": 1, "users": [{"email": address, "id": 1, "name": "Ada"}], "previous_submissions": []}
    (tmp_path / "submission_metadata.json").write_text(json.dumps(metadata))
    here = program.replace('"/autograder"', repr(str(tmp_path)))
    subprocess.run([sys.executable, "-c", here], check=True)
    written = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    platforms.check_gradescope_results(written)
    assert written["score"] == score


# --------------------------------------------------------------------------------------------------------------------
# A class


@pytest.fixture
def graded(classroom: Classroom, submission: Submission) -> Classroom:
    (classroom.folder / "roster.csv").write_text("id,first_name,last_name,email\ns1,Ada,Lovelace,ada@uni.edu\ns2,,,\n")
    opened = Classroom.open(classroom.folder)
    with open_gradebook(opened) as gradebook:
        gradebook.enter_roster(opened.roster.values())
        gradebook.record(judged(), with_written(submission, "Because."))
        give_written(gradebook)
    return opened


def give_written(gradebook: ClassGradebook) -> None:
    part = gradebook.nbgrader.find_grade(f"written_{judged()['written']['name']}", UNIT, UNIT, "s1")
    part.manual_score, part.needs_manual_grade = 2, False
    gradebook.nbgrader.db.commit()


@pytest.mark.parametrize("to", export.FORMATS)
def test_every_format_is_written_from_the_gradebook(graded: Classroom, to: str) -> None:
    made = export.export(graded, to)
    assert made.notes == []
    names = [str(file.relative_to(graded.folder)) for file in made.files]
    assert (
        names
        == {
            "csv": ["grades.csv"],
            "canvas": ["exports/canvas.csv"],
            "moodle": [f"exports/moodle/{UNIT}.csv"],
            "gradescope": [f"exports/gradescope/{UNIT}.csv", f"exports/gradescope/{UNIT}_autograder.zip"],
        }[to]
    )
    text = made.files[0].read_text(encoding="utf-8-sig")
    assert "Lovelace" in text
    assert export.export(graded, to).files[0].read_text(encoding="utf-8-sig") == text
    points = sum(part["points"] for part in judged()["exercises"]) + 2
    assert f",{points:g}" in text


def test_waiting_written_answer_is_left_empty_and_told(graded: Classroom) -> None:
    with open_gradebook(graded) as gradebook:
        part = gradebook.nbgrader.find_grade(f"written_{judged()['written']['name']}", UNIT, UNIT, "s1")
        part.manual_score, part.needs_manual_grade = None, True
        gradebook.nbgrader.db.commit()
    made = export.export(graded, "canvas")
    assert made.notes == ["left empty, a written answer waits for a grade: s1 (--partial gives their points so far)"]
    assert read(made.files[0].read_text(encoding="utf-8"))[2][5] == ""
    assert read(export.export(graded, "canvas", partial=True).files[0].read_text(encoding="utf-8"))[2][5] != ""


def test_unit_that_nobody_handed_in_is_no_column(graded: Classroom) -> None:
    with open_gradebook(graded) as gradebook:
        gradebook.nbgrader.add_assignment("12_network_fusion")
    header = read(export.export(graded, "canvas").files[0].read_text(encoding="utf-8"))[0]
    assert len(header) == 6
    assert len(export.export(graded, "csv").files[0].read_text(encoding="utf-8").splitlines()) == 5


def test_place_and_format_are_checked(graded: Classroom, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="the formats are: csv, canvas, moodle, gradescope"):
        export.export(graded, "blackboard")
    with pytest.raises(CourseError, match="there is no folder"):
        export.export(graded, "canvas", tmp_path / "no" / "such.csv")
    with pytest.raises(CourseError, match="no grades to export"):
        export.export(graded, "canvas", units=["12_network_fusion"])
    assert export.export(graded, "canvas", tmp_path / "mine.csv").files == [tmp_path / "mine.csv"]
