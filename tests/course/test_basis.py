"""What decides a verdict: a change touches the exercises that can reach it, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from course import paths
from course.grading import basis
from course.grading.basis import touched
from course.grading.examine import Exercise, UnitFiles

FILES = {
    "reference_impl/__init__.py": "",
    "reference_impl/shared.py": (
        "import numpy as np\n\ndef checked(x):\n    return np.asarray(x)\n\ndef unused():\n    return 1\n"
    ),
    "reference_impl/sums.py": (
        "from reference_impl.shared import checked\n\nFACTOR = 2\n\n"
        "def double(x):\n    return FACTOR * checked(x)\n\ndef label_of(n):\n    return f'number {n}'\n"
    ),
    "tests/visible/test_mini.py": "def test_shape(double):\n    assert double([1]) is not None\n",
    "tests/hidden/test_mini.py": (
        "from course.checking import drawn, points\nfrom reference_impl import sums as reference\n\nROUNDING = 1e-9\n\n"
        "@drawn\ndef numbers(rng, n=5):\n    return rng.normal(size=n)\n\n"
        "@drawn\ndef words(rng):\n    return 'a'\n\n"
        "@points(2)\ndef test_all(double, draw):\n    x = draw.numbers()\n"
        "    assert abs(double(x) - reference.double(x)).max() < ROUNDING\n\n"
        "@points(1)\ndef test_label(label_of, draw):\n"
        "    assert label_of(3) == reference.label_of(3) + draw.words()[:0]\n\n"
        "@points(1)\ndef test_value(total):\n    assert total == 6\n"
    ),
    "tests/hidden/mistakes_mini.py": (
        "from course.checking import mistake\nfrom reference_impl.sums import double as right\n\n"
        "@mistake(of='double', en='.', zh='。')\ndef adds(x):\n    return right(x) + 1\n\n"
        "@mistake(of='label_of', en='.', zh='。')\ndef bare(n):\n    return str(n)\n"
    ),
    "solution.ipynb": json.dumps({"cells": [{"cell_type": "code", "source": "total = 6"}]}),
}
KINDS = {"double": "function", "label_of": "function", "total": "value"}


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UnitFiles:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    return UnitFiles(
        name="00_mini",
        language="en",
        exercises=tuple(Exercise(name, kind) for name, kind in KINDS.items()),
        visible=(tmp_path / "tests/visible/test_mini.py",),
        hidden=(tmp_path / "tests/hidden/test_mini.py",),
        mistakes=tmp_path / "tests/hidden/mistakes_mini.py",
        solution=tmp_path / "solution.ipynb",
    )


def edit(name: str, old: str, new: str) -> None:
    file = paths.ROOT / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


HIDDEN, MISTAKES = "tests/hidden/test_mini.py", "tests/hidden/mistakes_mini.py"


@pytest.mark.parametrize(
    ("file", "old", "new", "exercises"),
    [
        (HIDDEN, "draw.numbers()", "draw.numbers(9)", {"double"}),
        (HIDDEN, "ROUNDING = 1e-9", "ROUNDING = 1e-6", {"double"}),
        (HIDDEN, "rng.normal", "rng.uniform", {"double"}),
        (HIDDEN, "return 'a'", "return 'b'", {"label_of"}),
        (HIDDEN, "@points(2)", "@points(3)", {"double"}),
        (HIDDEN, "total == 6", "total == 7", {"total"}),
        ("tests/visible/test_mini.py", "is not None", "is not 1", {"double"}),
        ("reference_impl/sums.py", "FACTOR = 2", "FACTOR = 3", {"double"}),
        ("reference_impl/sums.py", "number {n}", "no. {n}", {"label_of"}),
        ("reference_impl/shared.py", "np.asarray(x)", "np.array(x)", {"double"}),
        ("reference_impl/shared.py", "return 1", "return 2", set()),
        ("reference_impl/sums.py", "def double(x):\n", "def double(x):\n    # why\n\n", set()),
        (HIDDEN, "ROUNDING = 1e-9", "# the rest is margin\nROUNDING = 1e-9", set()),
        (MISTAKES, "str(n)", "repr(n)", {"label_of"}),
        (MISTAKES, "right(x) + 1", "right(x) + 2", {"double"}),
        ("solution.ipynb", "total = 6", "total = 3 + 3", {"total"}),
    ],
)
def test_change_touches_what_can_reach_it(unit: UnitFiles, file: str, old: str, new: str, exercises: set[str]) -> None:
    before = basis.of_unit(unit)
    edit(file, old, new)
    assert set(touched(before, basis.of_unit(unit)).reasons) == exercises


def test_reasons_name_the_tests(unit: UnitFiles) -> None:
    before = basis.of_unit(unit)
    edit(HIDDEN, "draw.numbers()", "draw.numbers(9)")
    edit(HIDDEN, "@points(1)\ndef test_label", "@points(1)\ndef test_name")
    change = touched(before, basis.of_unit(unit))
    assert change.reasons == {"double": "test_all changed", "label_of": "test_label removed, test_name new"}
    assert change.tests["hidden/test_name"] == "new"


@pytest.mark.parametrize("how", ["globals()['numbers']", "eval('1')", "getattr(reference, 'double')"])
def test_where_code_can_not_be_followed_the_whole_file_counts(unit: UnitFiles, how: str) -> None:
    edit(HIDDEN, "assert total == 6", f"assert total == 6 and {how}")
    before = basis.of_unit(unit)
    edit(HIDDEN, "return 'a'", "return 'b'")
    assert set(touched(before, basis.of_unit(unit)).reasons) == {"label_of", "total"}


@pytest.mark.parametrize("line", ["from reference_impl.shared import *", "import reference_impl.shared"])
def test_import_that_can_not_be_followed_makes_all_of_both_files_count(unit: UnitFiles, line: str) -> None:
    edit(
        HIDDEN, "from reference_impl import sums as reference", f"from reference_impl import sums as reference\n{line}"
    )
    before = basis.of_unit(unit)
    edit("reference_impl/shared.py", "return 1", "return 2")
    assert set(touched(before, basis.of_unit(unit)).reasons) == set(KINDS)


@pytest.mark.parametrize("what", ["key", "truth"])
def test_what_all_depend_on_touches_all(unit: UnitFiles, what: str, tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text("{}")
    before = basis.of_unit(unit, key=b"one", truth=tmp_path / "truth.json")
    (tmp_path / "truth.json").write_text('{"a": 1}' if what == "truth" else "{}")
    now = basis.of_unit(unit, key=b"two" if what == "key" else b"one", truth=tmp_path / "truth.json")
    change = touched(before, now)
    assert change.reasons == dict.fromkeys(KINDS, f"{what} changed")
    assert change.everything == f"{what} changed"


def test_other_version_of_a_package_is_named(unit: UnitFiles) -> None:
    before = basis.of_unit(unit)
    before["common"]["package numpy"] = "1.0"
    assert touched(before, basis.of_unit(unit)).everything == "package numpy changed"


def test_real_units_are_followed_into_the_reference() -> None:
    files = UnitFiles.of("03_robust_qc")
    found = basis.reach(files.hidden[0], ["test_more_than_half_equal"])
    assert "reference_impl/quality.py:robust_z" in found
    assert "reference_impl/quality.py:run_qc" not in found
    tests = basis.of_unit(files)["exercises"]
    assert all(part["tests"] for part in tests.values())
    digests = [digest for part in tests.values() for digest in part["tests"].values()]
    assert len(set(digests)) == len(digests)
