"""A small tree of its own, with one unit made by `course new`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from course import paths
from course.authoring import build, new
from course.authoring.unit import module_path

UNIT = "04_centring"
REPOSITORY = paths.ROOT


@dataclass(frozen=True)
class Tree:
    """A temporary repository: what it holds, and how a test edits it."""

    root: Path
    unit: str = UNIT

    @property
    def lesson(self) -> Path:
        return self.root / "course" / "units" / self.unit / "lesson.md"

    @property
    def settings(self) -> Path:
        return self.root / "course" / "units" / self.unit / "unit.toml"

    @property
    def reference(self) -> Path:
        return self.root / "reference_impl" / "centring.py"

    def replace(self, path: Path, old: str, new: str) -> None:
        """Replace text that must be there exactly once."""
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{text.count(old)} times in {path.name}: {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def line(self, path: Path, text: str) -> int:
        """Number of the first line that contains a text."""
        lines = path.read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if text in line)

    def material(self) -> build.Material:
        return build.read_material(self.unit)


def use_root(root: Path, setattr_: Callable[[object, str, object], None] = setattr) -> None:
    """Make `root` the repository that course.paths speaks of."""
    places = {
        "ROOT": root,
        "UNITS": root / "course" / "units",
        "EXERCISES": root / "exercises",
        "SOLUTIONS": root / "solutions",
        "VISIBLE": root / "tests" / "visible",
        "HIDDEN": root / "tests" / "hidden",
    }
    for name, place in places.items():
        setattr_(paths, name, place)


@pytest.fixture
def empty_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A repository with the shared validation and no unit."""
    source = module_path("reference_impl.validation")
    (tmp_path / "reference_impl").mkdir()
    shutil.copy(source, tmp_path / "reference_impl")
    use_root(tmp_path, monkeypatch.setattr)
    return Tree(tmp_path)


@pytest.fixture
def tree(empty_tree: Tree) -> Tree:
    """A repository with one unit."""
    new.create(UNIT)
    return empty_tree
