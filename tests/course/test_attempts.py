"""Several attempts: each is kept, the one that counts is decided anew at every grading."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from course import paths
from course.errors import CourseError
from course.grading import attempts, grade, report
from course.grading.classroom import Classroom
from course.grading.grade import Examined
from course.grading.gradebook import open_gradebook
from course.grading.intake import Submission
from course.grading.writer import one_writer

from . import test_gradebook
from .test_gradebook import UNIT, judged

EXERCISE = "robust_z"
released = test_gradebook.released


@pytest.fixture
def classroom(released: Classroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Classroom:
    """A class whose examiner gives as many exercises as a comment in the notebook says."""
    shutil.copytree(released.folder, tmp_path / "class")
    monkeypatch.setattr(grade, "_examined", examined_by_comment)
    return Classroom.open(tmp_path / "class")


def examined_by_comment(_classroom: Classroom, submissions: list[Submission], *_: object) -> Iterator[Examined]:
    for submission in submissions:
        text = "".join(cell["source"] for cell in submission.notebook["cells"])
        solved = int(text.split("# solved ")[1].split()[0])
        verdict = judged(student=submission.student, submission=submission.sha256)
        for part in verdict["exercises"][solved:]:
            part["points"] = part["tests"][0]["points"] = 0
            part["status"] = part["tests"][0]["status"] = "failed"
        verdict["points"] = sum(part["points"] for part in verdict["exercises"])
        yield Examined(submission, verdict, {**submission.notebook, "cells": outputs(submission)}, known=False)


def outputs(submission: Submission) -> list[dict]:  # type: ignore[type-arg]
    return [
        {**cell, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell
        for cell in submission.notebook["cells"]
    ]


def hand_in(classroom: Classroom, solved: int, time: str = "", student: str = "s1") -> None:
    notebook = json.loads(paths.exercise_notebook(UNIT, "en").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == EXERCISE:
            cell["source"] = f"# solved {solved}\n" + "".join(cell["source"])
    folder = classroom.submitted / student / UNIT
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{UNIT}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    if time:
        (folder / "timestamp.txt").write_text(time)


def ruled(classroom: Classroom, policy: str, more: str = "") -> Classroom:
    file = classroom.folder / "class.toml"
    text = file.read_text(encoding="utf-8").replace('attempts = "last"', f'attempts = "{policy}"')
    file.write_text(text + f"\n[due]\n{UNIT} = 2027-03-01T12:00:00Z\n" + more, encoding="utf-8")
    return Classroom.open(classroom.folder)


def in_force(classroom: Classroom) -> int:
    """How many exercises the verdict in force has solved."""
    [verdict] = report.read_verdicts(classroom)
    return sum(part["points"] > 0 for part in verdict["exercises"])


def three_attempts(classroom: Classroom) -> Classroom:
    for solved, time in (
        (3, "2027-03-01 10:00:00 UTC"),
        (1, "2027-03-01 11:00:00 UTC"),
        (5, "2027-03-01 13:00:00 UTC"),
    ):
        hand_in(classroom, solved, time)
        grade.grade_class(classroom)
    return classroom


@pytest.mark.parametrize(
    ("policy", "more", "counts"),
    [
        ("last", "", 5),
        ("last_before_deadline", "", 1),
        ("best", "", 5),
        ("best", '[late]\nmethod = "zero"\n', 3),
        ("last_before_deadline", f'[extensions.s1]\n{UNIT} = "2 hours"\n', 5),
    ],
)
def test_policy_decides_which_attempt_is_in_force(classroom: Classroom, policy: str, more: str, counts: int) -> None:
    assert in_force(three_attempts(ruled(classroom, policy, more))) == counts


def test_policy_may_change_after_all_was_graded(classroom: Classroom) -> None:
    three_attempts(ruled(classroom, "last"))
    assert in_force(classroom) == 5
    file = classroom.folder / "class.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('attempts = "last"', 'attempts = "last_before_deadline"'))
    grade.grade_class(Classroom.open(classroom.folder))
    assert in_force(classroom) == 1
    assert attempts.counted(classroom, "s1", UNIT) == (2, 3)
    page = classroom.unit_report(UNIT).read_text(encoding="utf-8")
    assert report.WORDS["en"]["attempt"].format(number=2, of=3) in page


def test_every_version_is_kept_with_its_time_and_the_same_one_once(classroom: Classroom) -> None:
    three_attempts(classroom)
    grade.grade_class(classroom)
    hand_in(classroom, 5, "2027-03-02 09:00:00 UTC")  # the same again, a day later: it costs nothing
    grade.grade_class(classroom)
    kept = attempts.read(classroom, "s1", UNIT)
    assert [item.number for item in kept] == [1, 2, 3]
    assert [item.handed_in.hour for item in kept if item.handed_in] == [10, 11, 13]
    assert kept[2].handed_in is not None
    assert kept[2].handed_in.day == 1
    assert all(item.file.is_file() for item in kept)
    hand_in(classroom, 3, "2027-03-02 10:00:00 UTC")  # back to the first one: a new attempt
    grade.grade_class(classroom)
    assert len(attempts.read(classroom, "s1", UNIT)) == 4
    assert in_force(classroom) == 3


def test_time_corrected_by_a_person_reaches_the_gradebook(classroom: Classroom) -> None:
    classroom = ruled(classroom, "last", '[late]\nmethod = "zero"\n')
    hand_in(classroom, 4, "2027-03-01 13:00:00 UTC")
    grade.grade_class(classroom)
    with open_gradebook(classroom) as gradebook:
        [row] = list(gradebook.scores())
        assert row["points"] == 0 < row["penalty"]
    hand_in(classroom, 4, "2027-03-01 11:00:00 UTC")
    grade.grade_class(classroom)
    with open_gradebook(classroom) as gradebook:
        [row] = list(gradebook.scores())
        assert row["penalty"] == 0 < row["points"]


def test_extension_given_later_takes_the_penalty_away(classroom: Classroom) -> None:
    classroom = ruled(classroom, "last", "[late]\nper_day = 0.5\n")
    hand_in(classroom, 4, "2027-03-01 13:00:00 UTC")
    grade.grade_class(classroom)
    page = classroom.unit_report(UNIT)
    assert "late: −" in page.read_text(encoding="utf-8")
    with (classroom.folder / "class.toml").open("a", encoding="utf-8") as settings:
        settings.write(f'[extensions.s1]\n{UNIT} = "1 day"\n')
    grade.grade_class(Classroom.open(classroom.folder))
    with open_gradebook(classroom) as gradebook:
        assert [row["penalty"] for row in gradebook.scores()] == [0]
    assert "late: −" not in page.read_text(encoding="utf-8")


def test_two_commands_do_not_write_at_once(classroom: Classroom) -> None:
    hand_in(classroom, 4)
    with one_writer(classroom), pytest.raises(CourseError, match="another command is writing grades"):
        grade.grade_class(classroom)
    grade.grade_class(classroom)
    assert in_force(classroom) == 4


def test_kept_attempt_that_was_damaged_is_named(classroom: Classroom) -> None:
    three_attempts(ruled(classroom, "last"))
    attempts.read(classroom, "s1", UNIT)[0].file.write_text("{")
    file = classroom.folder / "class.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('attempts = "last"', 'attempts = "best"'))
    with pytest.raises(CourseError, match="an attempt that was kept, can't be read"):
        grade.grade_class(Classroom.open(classroom.folder))
