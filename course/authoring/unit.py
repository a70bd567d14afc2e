"""unit.toml: what a unit is called, what it needs, and what its exercises are worth."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course import paths
from course.errors import CourseError

UNIT_NAME = re.compile(r"\d{2}_[a-z][a-z0-9_]*")
EXERCISE_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")  # a Python name that also fits into a cell id
KINDS = ("function", "value")
DATA_SETS = ("cohort",)


class UnitError(CourseError):
    """Something in a unit.toml that its author can mend."""


@dataclass(frozen=True)
class Text:
    """The same words in both languages."""

    en: str
    zh: str

    def __getitem__(self, language: str) -> str:
        return {"en": self.en, "zh": self.zh}[language]

    def as_dict(self) -> dict[str, str]:
        """Both languages by their code."""
        return {"en": self.en, "zh": self.zh}


@dataclass(frozen=True)
class Exercise:
    """One graded exercise as unit.toml announces it."""

    name: str
    kind: str
    title: Text
    points: int
    difficulty: int
    minutes: int
    reference: str | None


@dataclass(frozen=True)
class Written:
    """The written question, graded by hand."""

    name: str
    points: int


@dataclass(frozen=True)
class Unit:
    """A unit of the course."""

    name: str
    title: Text
    summary: Text
    goals: tuple[Text, ...]
    minutes: int
    needs: tuple[str, ...]
    background: Text
    data: tuple[str, ...]
    exercises: tuple[Exercise, ...]
    written: Written
    path: Path

    def exercise(self, name: str) -> Exercise | None:
        """The exercise of that name, if the unit has it."""
        return next((exercise for exercise in self.exercises if exercise.name == name), None)


def shown(path: Path) -> str:
    """A path as a person at the command knows it: from the repository's root where it lies inside."""
    return str(path.relative_to(paths.ROOT)) if path.is_relative_to(paths.ROOT) else str(path)


def read_unit(name: str) -> Unit:
    """Read and validate course/units/<name>/unit.toml.

    Raises
    ------
    UnitError : names the file and the key, what was seen and what was expected
    """
    path = paths.unit_folder(name) / "unit.toml"
    if not UNIT_NAME.fullmatch(name):
        raise UnitError(f"{shown(path)}: a unit's folder is named NN_name in lower case, not {name!r}")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnitError(f"{shown(path)}: there is no such file; `course new {name}` makes one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnitError(f"{shown(path)}: not readable as TOML: {error}") from None
    top = _Table(raw, "", path)
    unit = Unit(
        name=name,
        title=top.text("title"),
        summary=top.text("summary"),
        goals=tuple(table.as_text() for table in top.tables("goals")),
        minutes=top.whole("minutes"),
        needs=_needs(top, name),
        background=top.text("background"),
        data=top.strings("data", allowed=DATA_SETS),
        exercises=tuple(_exercise(table) for table in top.tables("exercises")),
        written=_written(top.table("written")),
        path=path,
    )
    top.refuse_other_keys()
    _refuse_repeated_names(unit)
    return unit


def _needs(top: _Table, name: str) -> tuple[str, ...]:
    others = tuple(unit for unit in paths.unit_names() if unit != name)
    return top.strings("needs", allowed=others)


def _exercise(table: _Table) -> Exercise:
    kind = table.string("kind", allowed=KINDS)
    exercise = Exercise(
        name=table.identifier("name"),
        kind=kind,
        title=table.text("title"),
        points=table.whole("points"),
        difficulty=table.whole("difficulty", highest=5),
        minutes=table.whole("minutes"),
        reference=_reference(table) if kind == "function" else None,
    )
    table.refuse_other_keys()
    return exercise


def _reference(table: _Table) -> str:
    module = table.string("reference")
    if not re.fullmatch(r"reference_impl(\.[a-z_][a-z0-9_]*)+", module):
        table.fail("reference", f"must be a module such as reference_impl.quality, is {module!r}")
    if not module_path(module).is_file():
        table.fail("reference", f"there is no file {shown(module_path(module))}")
    return module


def module_path(module: str) -> Path:
    """File of a module of the reference implementation."""
    path = paths.ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _written(table: _Table) -> Written:
    written = Written(name=table.identifier("name"), points=table.whole("points"))
    table.refuse_other_keys()
    return written


def _refuse_repeated_names(unit: Unit) -> None:
    seen: set[str] = set()
    for name in [*(exercise.name for exercise in unit.exercises), unit.written.name]:
        if name in seen:
            raise UnitError(f"{shown(unit.path)}: two exercises or questions are named {name!r}; names are unique")
        seen.add(name)


class _Table:
    """A TOML table whose reading fails with the file, the key, what was seen and what was expected."""

    def __init__(self, values: Any, key: str, path: Path) -> None:
        self.key, self.path = key, path
        self.used: set[str] = set()
        if not isinstance(values, dict):
            raise UnitError(f"{shown(path)}: {key}: must be a table, is {values!r}")
        self.values = values

    def fail(self, key: str, problem: str) -> None:
        raise UnitError(f"{shown(self.path)}: {self._full(key)}: {problem}")

    def _full(self, key: str) -> str:
        return f"{self.key}.{key}" if self.key else key

    def _get(self, key: str, expected: str) -> Any:
        self.used.add(key)
        if key not in self.values:
            self.fail(key, f"is missing; expected {expected}")
        return self.values[key]

    def string(self, key: str, allowed: tuple[str, ...] | None = None) -> str:
        expected = f"one of {', '.join(allowed)}" if allowed else "a text"
        value = self._get(key, expected)
        if not isinstance(value, str) or not value.strip() or (allowed and value not in allowed):
            self.fail(key, f"must be {expected}, is {value!r}")
        return str(value)

    def identifier(self, key: str) -> str:
        value = self.string(key)
        if not EXERCISE_NAME.fullmatch(value):
            self.fail(key, f"must be a name in lower case with at most 48 letters, digits and _, is {value!r}")
        return value

    def strings(self, key: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
        expected = f"a list out of: {', '.join(allowed) or 'nothing (there is no other unit)'}"
        values = self._get(key, expected)
        if not isinstance(values, list) or any(value not in allowed for value in values):
            self.fail(key, f"must be {expected}; is {values!r}")
        return tuple(values)

    def whole(self, key: str, highest: int | None = None) -> int:
        expected = f"a whole number from 1 to {highest}" if highest else "a whole number of at least 1"
        value = self._get(key, expected)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1 or (highest and value > highest):
            self.fail(key, f"must be {expected}, is {value!r}")
        return int(value)

    def table(self, key: str) -> _Table:
        return _Table(self._get(key, "a table"), self._full(key), self.path)

    def tables(self, key: str) -> list[_Table]:
        values = self._get(key, "at least one table")
        if not isinstance(values, list) or not values:
            self.fail(key, f"must be at least one [[{self._full(key)}]], is {values!r}")
        return [_Table(value, f"{self._full(key)}[{number}]", self.path) for number, value in enumerate(values, 1)]

    def text(self, key: str) -> Text:
        return self.table(key).as_text()

    def as_text(self) -> Text:
        text = Text(self.string("en"), self.string("zh"))
        self.refuse_other_keys()
        return text

    def refuse_other_keys(self) -> None:
        for key in self.values:
            if key not in self.used:
                self.fail(key, f"is not a key of unit.toml here; known: {', '.join(sorted(self.used))}")
