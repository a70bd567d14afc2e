"""A unit of three tiny exercises with its own tests, and submissions to it: for tests of the examination."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from course.grading.examine import Exercise, Limits, UnitFiles

QUICK = Limits(call_seconds=2.0, impatient_seconds=0.3, patience=2, cell_seconds=5.0, impatient_cell_seconds=1.0)

_VISIBLE = '''
import numpy as np
from course.checking import points

@points(1)
def test_doubles_one(double):
    """One number is doubled.

    一个数被加倍。"""
    assert float(double(np.array([1.0]))[0]) == 2.0

@points(1)
def test_label_is_text(label_of):
    """A label is text.

    标签是文本。"""
    assert isinstance(label_of(3), str)
'''

_HIDDEN = '''
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from course.checking import drawn, points
from course.checking.wire import StudentError

@drawn
def numbers(rng, n=5):
    return rng.normal(size=n)

@points(2)
def test_doubles_all(double, draw):
    """Every number is doubled.

    每个数都被加倍。"""
    x = draw.numbers(6)
    assert_allclose(double(x), 2 * x, rtol=1e-12)

@points(1)
def test_leaves_its_input(double, draw):
    """The input is not changed.

    输入不被改变。"""
    x = draw.numbers(6)
    before = x.copy()
    double(x)
    assert_allclose(x, before)

@points(1)
def test_refuses_text(double):
    """Text is refused with a ValueError that says so.

    文本会被拒绝，并给出 ValueError。"""
    with pytest.raises(ValueError, match="text"):
        double("a")

@points(2)
def test_label_is_the_right_one(label_of):
    """The label names the number.

    标签写出该数。"""
    assert label_of(3) == "number 3"

@points(3)
def test_total(total, cohort):
    """The total is right.

    总数正确。"""
    assert total == 6
'''

_MISTAKES = """
import numpy as np
from course.checking import mistake

@mistake(of="double", en="You added two.", zh="你加了二。")
def adds_two(x):
    if isinstance(x, str):
        raise ValueError("text")
    return x + 2

@mistake(of="total", en="You left out the last one.", zh="你漏掉了最后一个。")
def without_the_last(parts):
    return sum(parts[:-1])
"""

DOUBLE = """
def double(x):
    if isinstance(x, str):
        raise ValueError("expected numbers, got text")
    return 2 * x
"""
LABEL = """
def label_of(n):
    return f"number {n}"
"""
TOTAL = "total = sum(parts)"
GIVEN = "import numpy as np\nparts = [1, 2, 3]"
STARTER = {
    "double": "def double(x):\n    raise NotImplementedError()",
    "label_of": "def label_of(n):\n    raise NotImplementedError()",
    "total": "total = ...",
}
FULL = {"double": 5, "label_of": 3, "total": 3}


def make_unit(folder: Path) -> UnitFiles:
    """The unit's files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, text in {"visible": _VISIBLE, "hidden": _HIDDEN, "mistakes": _MISTAKES}.items():
        written[name] = folder / name / "test_mini.py"
        written[name].parent.mkdir(exist_ok=True)
        written[name].write_text(text.replace(", cohort)", ")"), encoding="utf-8")
    solution = folder / "mini.ipynb"
    solution.write_text(json.dumps(submission(double=DOUBLE)), encoding="utf-8")
    kinds = {"double": "function", "label_of": "function", "total": "value"}
    return UnitFiles(
        name="00_mini",
        language="en",
        exercises=tuple(Exercise(name, kind) for name, kind in kinds.items()),
        visible=(written["visible"],),
        hidden=(written["hidden"],),
        mistakes=written["mistakes"],
        solution=solution,
    )


def submission(
    double: str = DOUBLE,
    label_of: str = LABEL,
    total: str = TOTAL,
    *,
    given: str = GIVEN,
    before: str = "",
    last: str = "",
) -> NotebookNode:
    """A student's notebook: given code, three answers each followed by its check cell, and more where asked for."""
    cells = [_cell("given", given), _cell("before", before)]
    for name, source in (("double", double), ("label_of", label_of), ("total", total)):
        cells.append(_cell(name, source, {"grade_id": name, "solution": True, "grade": False}))
        check = {"grade_id": f"check_{name}", "solution": False, "grade": True, "points": FULL[name]}
        cells.append(_cell(f"check_{name}", f"check({name!r})", check))
    cells.append(_cell("last", last))
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["course"] = {"unit": "00_mini", "language": "en"}
    return notebook


def _cell(name: str, source: str, nbgrader: dict[str, Any] | None = None) -> NotebookNode:
    cell = nbformat.v4.new_code_cell(textwrap.dedent(source).strip())
    cell["id"] = name.replace("_", "-")
    if nbgrader:
        cell.metadata["nbgrader"] = {**nbgrader, "schema_version": 3, "locked": False}
    return cell


def points_of(verdict: dict[str, Any]) -> dict[str, float]:
    """Points per exercise."""
    return {exercise["name"]: exercise["points"] for exercise in verdict["exercises"]}


def statuses_of(verdict: dict[str, Any], exercise: str) -> dict[str, str]:
    """Status per test of an exercise."""
    found = next(entry for entry in verdict["exercises"] if entry["name"] == exercise)
    return {test["id"].split("/")[1]: test["status"] for test in found["tests"]}
