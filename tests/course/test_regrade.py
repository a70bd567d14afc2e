"""`course regrade`: only what a change touches is examined again, nothing is written unasked, and it says why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from course import paths
from course.errors import CourseError
from course.grading import examine, grade, regrade, report
from course.grading import verdict as verdicts
from course.grading.basis import Touched
from course.grading.classroom import Classroom
from course.grading.gradebook import open_gradebook
from course.grading.habits import UNIT
from course.grading.regrade import moves, regrade_class

from .conftest import Demo
from .samples import a_test, a_verdict, an_exercise

CHANGED = Touched({"first": "test_one changed"}, {"hidden/test_one": "changed"})


def described(before: list[dict[str, Any]], after: list[dict[str, Any]], change: Touched = CHANGED) -> list[str]:
    found = moves(a_verdict(before), a_verdict(after), change)
    return [f"{move.exercise}: {move.what} ({move.why})" for move in found]


def test_nothing_moved_is_nothing_said() -> None:
    part = an_exercise("first", [a_test("one"), a_test("two", "failed")])
    assert described([part], [part]) == []


def test_moves_say_what_and_why() -> None:
    before = an_exercise("first", [a_test("one"), a_test("two"), a_test("gone")])
    after = an_exercise("first", [a_test("one", "failed"), a_test("two", "timeout"), a_test("fresh")])
    change = Touched({"first": "…"}, {f"hidden/test_{n}": w for n, w in (("one", "changed"), ("gone", "removed"))})
    assert described([before], [after], change) == [
        "first: hidden/test_one passed → failed (test changed)",
        "first: hidden/test_two passed → timeout (examined again with its exercise; the test itself is as it was)",
        "first: hidden/test_fresh passed (2 of 2) (new test)",
        "first: hidden/test_gone passed, 2 points are gone (test removed)",
    ]


def test_other_worth_and_other_mistake_are_moves() -> None:
    named = {"name": "adds_two", "en": ".", "zh": "。"}
    before = an_exercise("first", [a_test("one", "failed")])
    worth = {**a_test("one", "failed"), "max_points": 5}
    after = an_exercise("first", [worth], named)
    assert described([before], [after]) == [
        "first: hidden/test_one worth 2 → 5 points (test changed)",
        "first: mistake recognised: none → adds two (test_one changed)",
    ]


def test_exercises_that_come_and_go() -> None:
    before, after = an_exercise("old", [a_test("one")]), an_exercise("new", [a_test("two", "failed")])
    assert described([before], [after], Touched({}, {}, "key changed")) == [
        "new: hidden/test_two failed (0 of 2) (new test)",
        "old: hidden/test_one passed, 2 points are gone (test removed)",
    ]


def test_part_of_a_unit_has_the_tests_of_its_exercises_alone() -> None:
    from course.checking.runner import with_tests

    with regrade.part_of(UNIT, "en", ["robust_z"]) as files:
        tests = with_tests(
            lambda runner: runner.tests, exercises=["robust_z"], visible=files.visible, hidden=files.hidden
        )
        folder = files.hidden[0].parent.parent
    assert {test.exercise for test in tests} == {"robust_z"}
    whole = examine.UnitFiles.of(UNIT)
    names = [exercise.name for exercise in whole.exercises]
    every = with_tests(lambda runner: runner.tests, exercises=names, visible=whole.visible, hidden=whole.hidden)
    assert tests == [test for test in every if test.exercise == "robust_z"]
    assert not folder.exists()


# --------------------------------------------------------------------------------------------------------------------
# A class


@pytest.fixture
def classroom(demo: Demo, tmp_path: Path) -> Classroom:
    """The demo's class with four of its students, graded."""
    folder = tmp_path / "class"
    shutil.copytree(demo.classroom.folder, folder, ignore=shutil.ignore_patterns("bundle"))
    for part in ("submitted", "verdicts", "autograded", "feedback", "attempts"):
        for student in (folder / part).iterdir():
            if student.name not in ("s01", "s04", "s05", "s12"):
                shutil.rmtree(student)
    return Classroom.open(folder)


@pytest.fixture
def own_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Hidden tests that may be edited."""
    folder = tmp_path / "hidden"
    folder.mkdir()
    for file in paths.HIDDEN.glob(f"*{UNIT}*"):
        shutil.copyfile(file, folder / file.name)
    monkeypatch.setattr(paths, "HIDDEN", folder)
    examine._unit_files.cache_clear()
    yield folder / f"test_{UNIT}.py"
    examine._unit_files.cache_clear()


def content(classroom: Classroom) -> dict[str, bytes]:
    return {
        str(file.relative_to(classroom.folder)): file.read_bytes()
        for file in classroom.folder.rglob("*")
        if file.is_file()
    }


def points(classroom: Classroom) -> dict[str, float]:
    return {verdict["student"]: verdict["points"] for verdict in report.read_verdicts(classroom)}


OLD = "assert_allclose(robust_z(x), reference.robust_z(x), rtol=CONSTANTS)"


@pytest.mark.slow
def test_changed_test_moves_those_it_touches_and_only_on_request(
    classroom: Classroom, own_tests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, were = content(classroom), points(classroom)
    unchanged = regrade_class(classroom)
    assert list(unchanged.lines()) == ["nothing that decides a verdict has changed; 4 submissions stay as they are"]

    # The test is wrong now: it asks for twice the right value, and fails everybody who has an answer.
    text = own_tests.read_text(encoding="utf-8")
    assert OLD in text
    own_tests.write_text(text.replace(OLD, OLD.replace("reference.robust_z(x)", "2 * reference.robust_z(x)"), 1))
    examined: list[tuple[str, ...]] = []
    real = regrade.part_of

    def watched(unit: str, language: str, names: Any) -> Any:
        examined.append(tuple(names))
        return real(unit, language, names)

    monkeypatch.setattr(regrade, "part_of", watched)
    shown = regrade_class(classroom, jobs=2)
    assert set(examined) == {("robust_z",)}
    assert shown.failed == []
    assert {item.before["student"]: item.difference for item in shown.moved} == {"s01": -2, "s12": -2}
    said = "\n".join(shown.lines())
    assert f"{UNIT}: robust_z: test_more_than_half_equal changed" in said
    assert "robust_z: hidden/test_more_than_half_equal passed → failed  (test changed)" in said
    assert "0 gain points, 2 lose points, 2 keep them; nothing was written" in said
    assert content(classroom) == before

    with open_gradebook(classroom) as gradebook:
        part = gradebook.nbgrader.find_grade("check_mad_outliers", UNIT, UNIT, "s01")
        part.manual_score = 1.5
        gradebook.nbgrader.find_comment("mad_outliers", UNIT, UNIT, "s01").manual_comment = "Nicely put."
        gradebook.nbgrader.db.commit()
    applied = regrade_class(classroom, jobs=2, apply=True)
    assert [item.difference for item in applied.moved] == [item.difference for item in shown.moved]
    assert points(classroom) == {**were, "s01": were["s01"] - 2, "s12": were["s12"] - 2}
    with open_gradebook(classroom) as gradebook:
        part = gradebook.nbgrader.find_grade("check_robust_z", UNIT, UNIT, "s01")
        assert part.auto_score == part.max_score - 2
        part = gradebook.nbgrader.find_grade("check_mad_outliers", UNIT, UNIT, "s01")
        assert part.manual_score == 1.5
        assert gradebook.nbgrader.find_comment("mad_outliers", UNIT, UNIT, "s01").manual_comment == "Nicely put."
    assert "not yet" in (classroom.feedback / "s01" / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")

    # What was applied is known: neither command has anything to do.
    assert list(regrade_class(classroom).lines())[-1].startswith("nothing that decides a verdict has changed; 4")
    assert grade.grade_class(classroom).known == 4
    assert points(classroom)["s01"] == were["s01"] - 2


def test_nobody_by_that_name_is_said(classroom: Classroom) -> None:
    with pytest.raises(CourseError, match="s77: no verdict"):
        regrade_class(classroom, students=["s77"])


@pytest.mark.slow
def test_failure_to_examine_leaves_the_verdict_and_is_told(
    classroom: Classroom, own_tests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_tests.write_text(own_tests.read_text(encoding="utf-8").replace(OLD, f"{OLD}\n    x + 0"))

    def fails(jobs: Any, **_: Any) -> Iterator[Any]:
        from course.grading.pool import Done

        for job in jobs:
            refused = verdicts.not_graded(
                "the examining process died",
                student=job.student,
                unit=UNIT,
                submission=examine.store.submission_digest(job.notebook),
            )
            yield Done(job, refused, job.notebook)

    from course.grading import pool

    monkeypatch.setattr(pool, "examine_all", fails)
    were = points(classroom)
    outcome = regrade_class(classroom, apply=True)
    assert len(outcome.failed) == 4
    assert "s01, 03_robust_qc: not examined: the examining process died" in outcome.failed
    assert points(classroom) == were
