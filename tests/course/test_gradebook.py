"""The gradebook: points and marks where nbgrader keeps them, and what a person decided left alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from course import paths
from course.errors import CourseError
from course.grading import classroom as classrooms
from course.grading import grade, release, rendering
from course.grading import verdict as verdicts
from course.grading.classroom import Classroom
from course.grading.gradebook import ClassGradebook, handed_in_at, open_gradebook
from course.grading.intake import Library, Submission, take

from .samples import a_test, a_verdict, an_exercise

UNIT = "03_robust_qc"


def no_cohort(_key: bytes, data: Path) -> None:
    """A cohort of one file: these tests examine nothing."""
    (data / "cohort").mkdir(parents=True)
    (data / "cohort" / "SHA256SUMS").write_text("")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classrooms, "draw_cohort", no_cohort)
        classroom = classrooms.create(tmp_path_factory.mktemp("classes") / "class")
    release.release(classroom, [UNIT])
    return classroom


@pytest.fixture
def classroom(released: Classroom, tmp_path: Path) -> Classroom:
    shutil.copytree(released.folder, tmp_path / "class")
    return Classroom.open(tmp_path / "class")


@pytest.fixture
def gradebook(classroom: Classroom) -> Iterator[ClassGradebook]:
    with open_gradebook(classroom) as opened:
        yield opened


@pytest.fixture(scope="module")
def submission() -> Submission:
    return take(paths.exercise_notebook(UNIT, "en"), "s1", Library())


def with_written(submission: Submission, text: str) -> list[dict[str, Any]]:
    cells = [dict(cell) for cell in submission.notebook["cells"]]
    for cell in cells:
        if cell["metadata"].get("nbgrader", {}).get("grade_id", "").startswith("written_"):
            cell["source"] = text
    return cells


def judged(status: str = "passed", **changes: Any) -> verdicts.Verdict:
    """A verdict with the exercises and points of the real unit; every exercise is one test."""
    exercises, written = [], {}
    for name, points in grade.released_points(Library(), UNIT).items():
        if name.startswith("written_"):
            written = {"name": name.removeprefix("written_"), "max_points": points}
        else:
            part = a_test(name, status)
            part["max_points"] = points
            part["points"] = points if status == "passed" else 0
            exercises.append(an_exercise(name.removeprefix("check_"), [part]))
    return a_verdict(exercises, unit=UNIT, written=written, **changes)


def rows(gradebook: ClassGradebook, student: str = "s1") -> dict[str, tuple[float | None, float | None, bool]]:
    notebook = gradebook.nbgrader.find_submission_notebook(UNIT, UNIT, student)
    return {part.name: (part.auto_score, part.manual_score, part.needs_manual_grade) for part in notebook.grades}


def test_release_enters_cells_once_for_both_languages(gradebook: ClassGradebook) -> None:
    assert gradebook.cells(UNIT) == grade.released_points(Library(), UNIT)
    assert sum(gradebook.cells(UNIT).values()) > 0
    assert [assignment.name for assignment in gradebook.nbgrader.assignments] == [UNIT]


def test_points_go_to_check_cells_and_the_written_answer_waits(
    gradebook: ClassGradebook, submission: Submission
) -> None:
    verdict = judged()
    gradebook.record(verdict, with_written(submission, "Because."))
    for name, (auto, manual, waits) in rows(gradebook).items():
        if name.startswith("check_"):
            assert (auto, manual, waits) == (gradebook.cells(UNIT)[name], None, False)
        else:
            assert (auto, manual, waits) == (None, None, True)


def test_answer_left_as_it_was_needs_nobody(gradebook: ClassGradebook, submission: Submission) -> None:
    gradebook.record(judged("not_attempted"), submission.notebook["cells"])
    assert all(row == (0, None, False) for row in rows(gradebook).values())
    notebook = gradebook.nbgrader.find_submission_notebook(UNIT, UNIT, "s1")
    assert {comment.auto_comment for comment in notebook.comments} == {"No response."}


def give(gradebook: ClassGradebook, cell: str, points: float, comment: str = "") -> None:
    part = gradebook.nbgrader.find_grade(cell, UNIT, UNIT, "s1")
    part.manual_score, part.needs_manual_grade = points, False
    if comment:
        gradebook.nbgrader.find_comment(cell, UNIT, UNIT, "s1").manual_comment = comment
    gradebook.nbgrader.db.commit()


def test_grading_again_keeps_what_a_person_gave(gradebook: ClassGradebook, submission: Submission) -> None:
    verdict = judged()
    written = f"written_{verdict['written']['name']}"
    cells = with_written(submission, "Because.")
    gradebook.record(judged("failed"), cells)
    give(gradebook, written, 2.5, "Half of it.")
    give(gradebook, "check_robust_z", 1)
    gradebook.record(verdict, cells)
    after = rows(gradebook)
    assert after[written] == (None, 2.5, True)
    assert after["check_robust_z"] == (gradebook.cells(UNIT)["check_robust_z"], 1, True)
    marked = gradebook.written(verdict)
    assert marked is not None
    assert (marked.points, marked.comment) == (2.5, "Half of it.")


def test_all_written_answers_at_once_are_those_one_by_one(gradebook: ClassGradebook, submission: Submission) -> None:
    name = judged()["written"]["name"]
    for student, text in (("s1", "Because."), ("s2", "Since."), ("s3", "YOUR ANSWER HERE")):
        gradebook.record(judged(student=student), with_written(submission, text))
    give(gradebook, f"written_{name}", 2.5, "Half of it.")
    together = gradebook.written_of_all(UNIT, name)
    assert together == {student: gradebook.written(judged(student=student)) for student in ("s1", "s2", "s3")}
    assert together["s1"].comment == "Half of it."
    assert gradebook.written_of_all("12_network_fusion", name) == {}


def test_not_graded_never_reaches_the_gradebook(gradebook: ClassGradebook) -> None:
    refused = verdicts.not_graded("broken", student="s1", unit=UNIT, submission="a" * 64)
    with pytest.raises(CourseError, match="not graded"):
        gradebook.record(refused, [])
    assert list(gradebook.scores()) == []


def test_points_that_differ_from_the_gradebooks_are_refused(gradebook: ClassGradebook, submission: Submission) -> None:
    verdict = judged()
    verdict["exercises"] = verdict["exercises"][1:]
    with pytest.raises(CourseError, match="release the unit again"):
        gradebook.record(verdict, submission.notebook["cells"])


def test_units_are_entered_when_grading_finds_them_missing(released: Classroom, tmp_path: Path) -> None:
    shutil.copytree(released.folder, tmp_path / "class")
    (tmp_path / "class" / "gradebook.db").unlink()
    classroom = Classroom.open(tmp_path / "class")
    grade.enter_units(classroom, Library(), [UNIT])
    with open_gradebook(classroom) as gradebook:
        assert gradebook.cells(UNIT) == grade.released_points(Library(), UNIT)


def test_unusable_database_is_one_line(classroom: Classroom) -> None:
    (classroom.folder / "gradebook.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(CourseError, match=r"gradebook\.db can't be used") as caught, open_gradebook(classroom):
        pass
    assert "\n" not in str(caught.value)


def test_late_work_gets_the_penalty_of_the_classs_plugin(
    classroom: Classroom, submission: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (classroom.folder / "nbgrader_config.py").open("a") as config:
        config.write('\nget_config().LateSubmissionPlugin.penalty_method = "zero"\n')
    with open_gradebook(classroom) as gradebook:
        gradebook.nbgrader.update_or_create_assignment(UNIT, duedate="2027-03-01 12:00:00 UTC")
        (classroom.folder / "timestamp.txt").write_text("2027-03-01 13:00:00 UTC")
        gradebook.record(judged(), submission.notebook["cells"], timestamp=handed_in_at(classroom.folder))
        [row] = gradebook.scores()
        assert row["penalty"] == row["from_tests"] > 0
        assert row["points"] == 0
        (classroom.folder / "timestamp.txt").write_text("2027-03-01 11:00:00 UTC")
        gradebook.record(judged(), submission.notebook["cells"], timestamp=handed_in_at(classroom.folder))
        [row] = gradebook.scores()
        assert (row["penalty"], row["points"]) == (0, row["from_tests"])


def test_unreadable_timestamp_is_named(tmp_path: Path) -> None:
    assert handed_in_at(tmp_path) is None
    (tmp_path / "timestamp.txt").write_text("yesterday-ish")
    with pytest.raises(CourseError, match=r"timestamp\.txt holds no time"):
        handed_in_at(tmp_path)


# --------------------------------------------------------------------------------------------------------------------
# The autograded notebook


def executed(submission: Submission) -> dict[str, Any]:
    cells = [
        {**cell, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else dict(cell)
        for cell in submission.notebook["cells"]
    ]
    return {**submission.notebook, "cells": cells}


@pytest.mark.parametrize("status", ["passed", "failed", "not_attempted", "timeout"])
def test_nbgrader_reads_our_points_from_the_notebook(submission: Submission, status: str) -> None:
    import nbformat
    from nbgrader.utils import determine_grade

    verdict = judged(status)
    notebook = nbformat.from_dict(rendering.rendered(executed(submission), verdict))
    nbformat.validate(notebook)
    points = {f"check_{part['name']}": (part["points"], part["max_points"]) for part in verdict["exercises"]}
    read = {
        cell.metadata.nbgrader.grade_id: determine_grade(cell)
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") in points
    }
    assert read == points


def test_formgrader_gets_no_html_of_a_student(submission: Submission) -> None:
    notebook = executed(submission)
    evil = "<script>alert(1)</script>"
    notebook["cells"] = [
        *notebook["cells"],
        {"cell_type": "markdown", "id": "m", "metadata": {}, "source": f"a < b {evil}"},
        {
            "cell_type": "code",
            "id": "c",
            "metadata": {},
            "source": "1",
            "execution_count": 1,
            "outputs": [
                {"output_type": "display_data", "data": {"text/html": evil, "text/plain": "<T>"}, "metadata": {}},
                {"output_type": "display_data", "data": {"application/javascript": "alert(1)"}, "metadata": {}},
                {"output_type": "stream", "name": "stdout", "text": "x" * 10**6},
            ],
        },
    ]
    *_, prose, code = rendering.rendered(notebook, judged())["cells"]
    assert prose["source"] == "a < b &lt;script>alert(1)&lt;/script>"
    assert [output.get("data") for output in code["outputs"]] == [{"text/plain": "<T>"}, None]
    assert len(code["outputs"][1]["text"]) == rendering.LARGEST_OUTPUT
