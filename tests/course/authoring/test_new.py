"""`course new`: a unit that builds, passes its tests and catches its mistakes before anyone has written a word."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from course import paths
from course.authoring import build, new
from course.checking.runner import Status, load_test_file, with_tests
from course.errors import CourseError

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which `course new` was run as a command."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("course", "reference_impl", "tests", "data"):
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", root)
    done = command(root, "new", "99_centring")
    assert done.returncode == 0, done.stderr
    assert "course audit 99_centring" in done.stdout
    return root


def command(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the `course` of a copy, not the installed one."""
    code = "from course.cli import main; main()"
    return python(root, "-c", code, *arguments)


def python(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-P", *arguments], cwd=root, env=env, capture_output=True, text=True)


def test_a_new_unit_is_built(copy: Path) -> None:
    done = command(copy, "build", "99", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in ("solutions", "exercises"):
        for language in ("en", "zh"):
            assert (copy / kind / language / "99_centring" / "99_centring.ipynb").is_file()


def test_a_new_unit_passes_its_tests(copy: Path) -> None:
    files = [
        "reference_impl/centring.py",
        *(f"tests/{kind}/test_99_centring.py" for kind in ("visible", "hidden")),
        "tests/reference/test_centring.py",
    ]
    done = python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout


def test_a_new_unit_passes_its_audit(copy: Path) -> None:
    done = command(copy, "audit", "99")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "99_centring: clean" in done.stdout


def test_a_new_unit_is_in_the_house_style(copy: Path) -> None:
    files = ["reference_impl/centring.py", *(str(p.relative_to(copy)) for p in copy.glob("tests/*/*99_centring.py"))]
    done = python(copy, "-m", "ruff", "check", "--no-cache", *files)
    assert done.returncode == 0, done.stdout
    done = python(copy, "-m", "ruff", "format", "--no-cache", "--check", *files)
    assert done.returncode == 0, done.stdout


class Answer:
    """A subject that answers with one function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def get(self, name: str) -> Any:
        return self.function


def test_every_mistake_of_a_new_unit_is_caught_and_one_passes_the_visible_checks(tree: Any) -> None:
    from course.checking.runner import Context

    mistakes = load_test_file(paths.known_mistakes(tree.unit))
    functions = [value for value in vars(mistakes).values() if hasattr(value, "course_mistake")]
    assert len(functions) >= 2

    def judge(runner: Any) -> list[list[Any]]:
        return [runner.run(Answer(function), Context()) for function in functions]

    outcomes = with_tests(
        judge,
        exercises=["centre_columns"],
        visible=[paths.visible_tests(tree.unit)],
        hidden=[paths.hidden_tests(tree.unit)],
    )
    for function, results in zip(functions, outcomes, strict=True):
        failed = [o for o in results if o.status is not Status.PASSED and not o.test.visible]
        assert failed, function.__name__
    assert any(all(o.passed for o in results if o.test.visible) for results in outcomes)


def test_a_new_lesson_is_in_both_languages(tree: Any) -> None:
    for language, title in (("en", "# Centring"), ("zh", "# Centring（中文标题）")):
        notebook = json.loads(paths.exercise_notebook(tree.unit, language).read_text(encoding="utf-8"))
        assert "".join(notebook["cells"][0]["source"]).splitlines()[0] == title


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("normalization", "named NN_name"),
        ("4_normalization", "named NN_name"),
        ("05_Batch", "named NN_name"),
        ("05_batch/effects", "named NN_name"),
        ("../05_batch", "named NN_name"),
        ("05_", "named NN_name"),
        ("05_class", "can't name a unit"),
        ("05_cohort", "can't name a unit"),
        ("05_integration", "can't name a unit"),
        ("04_other", "number 04 is taken by 04_centring"),
        ("04_centring", "number 04 is taken by 04_centring"),
        ("05_centring", r"reference_impl/centring\.py exists"),
    ],
)
def test_bad_and_taken_names_are_refused_and_nothing_is_written(tree: Any, name: str, words: str) -> None:
    before = sorted(tree.root.rglob("*"))
    with pytest.raises(CourseError, match=words):
        new.create(name)
    assert sorted(tree.root.rglob("*")) == before


def test_nothing_is_left_behind_when_the_build_fails(empty_tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> build.Files:
        raise CourseError("no")

    before = sorted(empty_tree.root.rglob("*"))
    monkeypatch.setattr(build, "derive", fail)
    with pytest.raises(CourseError, match="no"):
        new.create("04_centring")
    left = [path for path in empty_tree.root.rglob("*") if path.is_file()]
    assert left == [path for path in before if path.is_file()]
