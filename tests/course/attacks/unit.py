"""The unit that the attacks are made on: five tiny exercises, as hidden tests for us and as cells for stock nbgrader.

The hidden tests are written as people write them, weak places included: one loops over the samples of its input after
the call, one asks the result itself whether it is equal, one shares a table among tests, one goes through `map`.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from course.grading.examine import Exercise, Limits, UnitFiles
from tests.course import miniature

UNIT = "00_mini"
FULL = {"double": 5, "label_of": 4, "total": 3, "centre": 3, "shuffled": 2}
QUICK = Limits(
    call_seconds=2.0,
    impatient_seconds=0.3,
    patience=1,
    cell_seconds=5.0,
    impatient_cell_seconds=1.0,
    total_seconds=60.0,
    output_bytes=2**18,
    file_bytes=32 * 2**20,
    memory_bytes=2**30,
    scratch_bytes=64 * 2**20,
)

GIVEN = "import numpy as np\nimport pandas as pd\nparts = [1, 2, 3]"
RIGHT = {
    "double": "def double(x):\n    if isinstance(x, str):\n        raise ValueError('text')\n    return 2 * x",
    "label_of": "def label_of(n):\n    return f'number {n}'",
    "total": "total = sum(parts)",
    "centre": "def centre(x):\n    return x - x.mean()",
    "shuffled": "def shuffled(x, rng):\n    return rng.permutation(x)",
}
# An answer that is wrong, and what a wrong answer earns: some properties hold for anything.
WRONG = {
    "double": "def double(x):\n    return None",
    "label_of": "def label_of(n):\n    return ''",
    "total": "total = 0",
    "centre": "def centre(x):\n    return None",
    "shuffled": "def shuffled(x, rng):\n    return None",
}
EARNED_BY_WRONG = {"double": 1, "label_of": 1, "total": 0, "centre": 0, "shuffled": 0}

_VISIBLE_MORE = '''
@points(1)
def test_centre_keeps_the_shape(centre):
    """The result has the shape of the table.

    结果与表同形。"""
    table = pd.DataFrame({"a": [1.0, 3.0]})
    assert centre(table).shape == (2, 1)
'''
_HIDDEN_MORE = '''
SHARED = pd.DataFrame({"a": [1.0, 2.0, 6.0], "b": [0.0, 3.0, 9.0]}, index=["s1", "s2", "s3"])

@drawn
def table(rng, n=4):
    return pd.DataFrame(rng.normal(size=(n, 2)), index=[f"s{i}" for i in range(n)], columns=["a", "b"])

@points(1)
def test_labels_one_after_another(label_of):
    """Every number has its label.

    每个数都有标签。"""
    assert all(text == f"number {n}" for n, text in zip(range(4), map(label_of, range(4))))

@points(1)
def test_centres_the_shared_table(centre):
    """The mean of each column is taken away.

    每列减去其均值。"""
    result = centre(SHARED)
    assert result.equals(SHARED - SHARED.mean())

@points(1)
def test_centres_every_sample(centre, draw):
    """Every sample is centred.

    每个样本都已中心化。"""
    x = draw.table()
    result = centre(x)
    for sample in x.index:
        assert_allclose(result.loc[sample], x.loc[sample] - x.mean())

@points(2)
def test_shuffles(shuffled, draw):
    """All are there once, and the generator has moved on.

    每项恰好出现一次，且生成器已前移。"""
    rng = np.random.default_rng(5)
    out = shuffled(np.arange(6), rng)
    assert sorted(int(item) for item in out) == list(range(6))
    assert rng.integers(3, size=4).tolist() != np.random.default_rng(5).integers(3, size=4).tolist()
'''


def make_unit(folder: Path) -> UnitFiles:
    """The unit's files in a folder."""
    mini = miniature.make_unit(folder)
    visible, hidden = mini.visible[0], mini.hidden[0]
    visible.write_text("import pandas as pd\n" + visible.read_text() + _VISIBLE_MORE, encoding="utf-8")
    hidden.write_text(hidden.read_text() + _HIDDEN_MORE, encoding="utf-8")
    nbformat.write(submission({}), folder / "mini.ipynb")
    kinds = {name: "value" if name == "total" else "function" for name in FULL}
    return UnitFiles(
        name=UNIT,
        language="en",
        exercises=tuple(Exercise(name, kind) for name, kind in kinds.items()),
        visible=(visible,),
        hidden=(hidden,),
        mistakes=mini.mistakes,
        solution=folder / "mini.ipynb",
    )


def submission(cells: dict[str, str]) -> NotebookNode:
    """A student's notebook: given code, the answers each with its check cell, and a written answer.

    `cells` puts other source into a cell: an exercise's name, `given`, `before` (the exercises), `last`, `written`.
    """
    made = [_cell("given", cells.get("given", GIVEN)), _cell("before", cells.get("before", "0"))]
    for name, right in RIGHT.items():
        made.append(_cell(name, cells.get(name, right), {"grade_id": name, "solution": True, "grade": False}))
        check = {"grade_id": f"check_{name}", "solution": False, "grade": True, "points": FULL[name], "locked": True}
        made.append(_cell(f"check_{name}", f"check({name!r})", check))
    made.append(_cell("last", cells.get("last", "0")))
    made.append(nbformat.v4.new_markdown_cell(cells.get("written", "My answer."), id="written"))
    notebook = nbformat.v4.new_notebook(cells=made)
    notebook.metadata["course"] = {"unit": UNIT, "language": "en"}
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


def _cell(name: str, source: str, marks: dict[str, Any] | None = None) -> NotebookNode:
    cell = nbformat.v4.new_code_cell(textwrap.dedent(source).strip("\n"), id=name.replace("_", "-"))
    if marks:
        cell.metadata["nbgrader"] = {"locked": False, **marks, "schema_version": 3, "task": False, "cell_type": "code"}
    return cell


# The same checks as an instructor writes them for stock nbgrader.
STOCK_CHECKS = {
    "double": """
        import numpy as np, pytest
        from numpy.testing import assert_allclose
        assert float(double(np.array([1.0]))[0]) == 2.0
        ### BEGIN HIDDEN TESTS
        x = np.random.default_rng(20261122).normal(size=6)
        before = x.copy()
        assert_allclose(double(x), 2 * x, rtol=1e-12)
        assert_allclose(x, before)
        with pytest.raises(ValueError, match="text"):
            double("a")
        ### END HIDDEN TESTS
    """,
    "label_of": """
        assert isinstance(label_of(3), str)
        ### BEGIN HIDDEN TESTS
        assert label_of(3) == "number 3"
        assert all(text == f"number {n}" for n, text in zip(range(4), map(label_of, range(4))))
        ### END HIDDEN TESTS
    """,
    "total": """
        ### BEGIN HIDDEN TESTS
        assert total == 6
        ### END HIDDEN TESTS
    """,
    "centre": """
        import numpy as np, pandas as pd
        from numpy.testing import assert_allclose
        assert centre(pd.DataFrame({"a": [1.0, 3.0]})).shape == (2, 1)
        ### BEGIN HIDDEN TESTS
        x = pd.DataFrame({"a": [1.0, 2.0, 6.0], "b": [0.0, 3.0, 9.0]}, index=["s1", "s2", "s3"])
        result = centre(x)
        for sample in x.index:
            assert_allclose(result.loc[sample], x.loc[sample] - x.mean())
        x = pd.DataFrame({"a": [1.0, 2.0, 6.0], "b": [0.0, 3.0, 9.0]}, index=["s1", "s2", "s3"])
        assert centre(x).equals(x - x.mean())
        ### END HIDDEN TESTS
    """,
    "shuffled": """
        ### BEGIN HIDDEN TESTS
        rng = np.random.default_rng(5)
        out = shuffled(np.arange(6), rng)
        assert sorted(int(item) for item in out) == list(range(6))
        assert rng.integers(3, size=4).tolist() != np.random.default_rng(5).integers(3, size=4).tolist()
        ### END HIDDEN TESTS
    """,
}


def stock_source() -> NotebookNode:
    """The instructor's notebook for stock nbgrader."""
    notebook = submission({})
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if grade_id.startswith("check_"):
            cell.source = textwrap.dedent(STOCK_CHECKS[grade_id.removeprefix("check_")]).strip()
        elif grade_id:
            cell.source = f"### BEGIN SOLUTION\n{cell.source}\n### END SOLUTION"
    return notebook
