"""The folder an exercise comes with: `support/` beside the notebook holds its checks, hints, data and language."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from course.errors import CourseError

SCHEMA = 1


class NotebookError(CourseError):
    """Something the learner can mend; a notebook shows its message without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@dataclass(frozen=True)
class Exercise:
    """One exercise as its notebook knows it."""

    name: str
    kind: str
    title: dict[str, str]
    points: int
    difficulty: int
    minutes: int
    hints: dict[str, list[str]]


@dataclass(frozen=True)
class Support:
    """What `support/unit.json` says, and the files beside it."""

    folder: Path
    unit: str
    language: str
    title: dict[str, str]
    exercises: tuple[Exercise, ...]

    @property
    def tests(self) -> Path:
        """File of the visible checks."""
        return self.folder / f"test_{self.unit}.py"

    @cached_property
    def names(self) -> list[str]:
        """Names of the exercises, in the notebook's order."""
        return [exercise.name for exercise in self.exercises]

    def exercise(self, name: str) -> Exercise:
        """The exercise of that name.

        Raises
        ------
        NotebookError : there is none; the message lists those there are
        """
        for exercise in self.exercises:
            if exercise.name == name:
                return exercise
        raise NotebookError(self.say(UNKNOWN_EXERCISE).format(name=name, known=", ".join(self.names)))

    def say(self, text: Mapping[str, str]) -> str:
        """The text in the notebook's language."""
        return text[self.language]


UNKNOWN_EXERCISE = {
    "en": "This notebook has no exercise named {name!r}. Its exercises are: {known}.",
    "zh": "本笔记本没有名为 {name!r} 的练习。这里的练习有：{known}。",
}


def candidates() -> list[Path]:
    """Where the notebook may lie: the working folder, then what the editors tell."""
    told = os.environ.get("JPY_SESSION_NAME", "")
    return [Path.cwd(), *([Path(told).parent] if told.endswith(".ipynb") else [])]


def find_support(folders: Callable[[], list[Path]] = candidates) -> Support | None:
    """The support folder beside the notebook; None where there is none.

    Raises
    ------
    NotebookError : there is one, but it can't be read
    """
    for folder in folders():
        if (folder / "support" / "unit.json").is_file():
            return read_support(folder / "support")
    return None


def need_support() -> Support:
    """The support folder beside the notebook.

    Raises
    ------
    NotebookError : there is none, with what to do
    """
    found = find_support()
    if found is None:
        raise NotebookError(
            f"There is no folder support/ in {Path.cwd()}, which this notebook's checks and hints are in. "
            "Open the notebook in the folder it came in (unzip the whole folder first) and restart the kernel.\n"
            f"在 {Path.cwd()} 中找不到 support/ 文件夹，检查和提示都在其中。"
            "请先完整解压，再从原文件夹打开笔记本，并重启内核。"
        )
    return found


def read_support(folder: Path) -> Support:
    """Read a support folder.

    Raises
    ------
    NotebookError : unit.json is damaged or from another version of the course
    """
    path = folder / "unit.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise NotebookError(
                f"{path} has form {content['schema']}, this version of the course reads form {SCHEMA}: "
                "update the course, or get the exercise again"
            )
        exercises = tuple(_read_exercise(entry) for entry in content["exercises"])
        return Support(folder, content["unit"], content["language"], content["title"], exercises)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise NotebookError(f"{path} is damaged ({type(error).__name__}: {error}): get the exercise again") from error


def _read_exercise(entry: dict[str, Any]) -> Exercise:
    return Exercise(
        name=entry["name"],
        kind=entry["kind"],
        title=entry["title"],
        points=entry["points"],
        difficulty=entry["difficulty"],
        minutes=entry["minutes"],
        hints=entry["hints"],
    )
