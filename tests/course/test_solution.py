"""The names that stand in a solved lesson where a value exercise begins."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from course.checking.solution import run_solution, value_namespaces


@pytest.fixture
def lesson(tmp_path: Path) -> Path:
    """A given cell, two value exercises, and at the end a cell that fails."""
    cells = []
    for grade_id, source in [("", "x = 1"), ("first", "first = x"), ("second", "x = 5\nsecond = x"), ("", "1 / 0")]:
        cell = nbformat.v4.new_code_cell(source)
        if grade_id:
            cell.metadata["nbgrader"] = {"grade_id": grade_id, "grade": True, "solution": True}
        cells.append(cell)
    place = tmp_path / "lesson.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), place)
    return place


def test_each_exercise_sees_what_came_before_it(lesson: Path) -> None:
    found = value_namespaces(lesson, ["second", "first"])
    assert {name: namespace["x"] for name, namespace in found.items()} == {"first": 1, "second": 1}
    assert "first" not in found["first"]
    assert found["second"]["first"] == 1


def test_the_lesson_is_run_no_further_than_the_last_of_them(lesson: Path) -> None:
    assert "second" not in value_namespaces(lesson, ["first"])["first"]
    assert value_namespaces(lesson, []) == {}
    with pytest.raises(RuntimeError, match="1 / 0"):
        run_solution(lesson)


def test_an_exercise_that_is_not_there_is_not_found(lesson: Path) -> None:
    lesson.write_text(lesson.read_text(encoding="utf-8").replace("1 / 0", "x = 2"), encoding="utf-8")
    assert set(value_namespaces(lesson, ["first", "third"])) == {"first"}
