"""`course demo`: a whole class whose every score is the expected one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from course import paths
from course.errors import CourseError
from course.grading import demo as demos
from course.grading import feedback, habits, report, sandbox
from course.grading.habits import HABITS, UNIT

from .conftest import Demo

pytestmark = pytest.mark.slow


def test_demo_ends_well_and_says_so(demo: Demo) -> None:
    assert demo.exit_code == 0, demo.output + demo.errors
    assert "every score is the expected one" in demo.output
    assert feedback.ISOLATION[sandbox.chosen().name]["en"] in demo.output
    assert str(demo.classroom.report) in demo.output.replace("\n", "")


def test_table_has_twelve_students_with_score_and_expected(demo: Demo) -> None:
    rows = re.findall(r"^(s\d\d) .*?(\d+) / (\d+) +(\d+) +✓", demo.output, re.MULTILINE)
    assert [row[0] for row in rows] == [f"s{i:02d}" for i in range(1, 13)]
    assert all(score == expected for _, score, _, expected in rows)
    scores = {student: (int(score), int(whole)) for student, score, whole, _ in rows}
    full = scores["s01"][1]
    assert scores["s01"] == scores["s02"] == scores["s11"] == scores["s12"] == (full, full)
    assert scores["s04"][0] == 0
    assert 0 < scores["s03"][0] < full
    for student in ("s05", "s06", "s07", "s08", "s09", "s10"):
        assert 0.8 * full < scores[student][0] < full


def test_every_kind_of_habit_is_there() -> None:
    names = " ".join(habit.name for habit in HABITS)
    assert len(HABITS) == 12
    for kind in ("English", "Chinese", "half done", "untouched", "loop", "killed", "deleted", "renamed", "warnings"):
        assert kind in names
    assert sum(habit.mistake is not None for habit in HABITS) == 4


def test_every_unit_is_released_in_both_languages(demo: Demo) -> None:
    for unit in paths.unit_names():
        for language in paths.LANGUAGES:
            assert (demo.classroom.release(language) / unit / f"{unit}.ipynb").is_file()
    assert len(list((demo.classroom.folder / "bundle").glob("*.zip"))) == 2


def test_statuses_mistakes_and_repairs_are_the_habits(demo: Demo) -> None:
    assert [row.differences for row in demos.compare(demo.classroom)] == [()] * 12


def test_a_wrong_score_would_be_seen(demo: Demo) -> None:
    found = {verdict["student"]: verdict for verdict in report.read_verdicts(demo.classroom)}
    looped = next(habit for habit in HABITS if habit.student == "s09")
    as_if_perfect = demos._row(looped, {**found["s01"], "student": "s09"}, found["s01"])
    assert not as_if_perfect.as_expected
    assert "points instead of" in as_if_perfect.differences[0]
    misnamed = json.loads(json.dumps(found["s05"]))
    misnamed["exercises"][0]["mistake"] = None
    assert not demos._row(HABITS[4], misnamed, found["s01"]).as_expected


def test_feedback_is_in_the_students_language_and_names_the_mistake(demo: Demo) -> None:
    english = feedback.path(demo.classroom, "s05", UNIT).read_text(encoding="utf-8")
    chinese = feedback.path(demo.classroom, "s07", UNIT).read_text(encoding="utf-8")
    for page, language in ((english, "en"), (chinese, "zh")):
        assert feedback.WORDS[language]["mistake"] in page
        assert pages_title(language) in page


def pages_title(language: str) -> str:
    from course.grading.pages import unit_title

    return unit_title(UNIT, language)


def test_feedback_holds_no_hidden_code(demo: Demo) -> None:
    source = paths.hidden_tests(UNIT).read_text(encoding="utf-8")
    lines = {line.strip() for line in source.splitlines() if len(line.strip()) > 40 and "(" in line}
    for habit in HABITS:
        page = feedback.path(demo.classroom, habit.student, UNIT).read_text(encoding="utf-8")
        assert not [line for line in lines if line in page]


def test_gradebook_holds_the_scores(demo: Demo) -> None:
    from course.grading.gradebook import open_gradebook

    found = {verdict["student"]: verdict["points"] for verdict in report.read_verdicts(demo.classroom)}
    with open_gradebook(demo.classroom) as gradebook:
        rows = {row["student"]: row for row in gradebook.scores() if row["unit"] == UNIT}
    assert {student: row["from_tests"] for student, row in rows.items()} == found
    assert {student for student, row in rows.items() if row["to_grade"]} == {"s01", "s02"}


def test_demo_takes_only_its_own_folder_again(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CourseError, match="not empty"):
        demos._place(tmp_path)
    (tmp_path / demos.MARK).touch()
    assert demos._place(tmp_path) == tmp_path
    assert not tmp_path.exists()


def test_transplanted_mistakes_need_nothing_that_the_notebook_lacks() -> None:
    material = habits.Material.of("en", paths.exercise_notebook(UNIT, "en"))
    for habit in HABITS:
        if habit.mistake:
            _, source = habits.transplanted(material, habit.mistake)
            assert "reference." not in source
            assert "@mistake" not in source
            compile(source, habit.mistake, "exec")
