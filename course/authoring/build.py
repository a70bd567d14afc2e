"""From lesson.md, unit.toml and the reference to four notebooks per unit, the same bytes on every machine.

Everything is derived in a temporary folder first; only when all of it is right is a file of the repository replaced.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course import nbgrader_settings as nbgrader
from course import paths
from course.authoring import source
from course.authoring.lesson import (
    ExerciseBlock,
    Given,
    Lesson,
    LessonError,
    Prose,
    WrittenBlock,
    as_json,
    read_lesson,
    refuse_telling_hints,
)
from course.authoring.unit import Exercise, Unit, UnitError, read_unit, shown
from course.errors import CourseError

# What may lie in a generated folder without being generated: a learner's work around the notebook, a bundle's data.
NOT_OURS = (".ipynb_checkpoints", "__pycache__", "data")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
FOLDED = {"jupyter": {"source_hidden": True}}

Cell = dict[str, Any]
Files = dict[Path, bytes]  # path from the repository's root -> content


@dataclass(frozen=True)
class Material:
    """A unit whose sources are read and agree with each other."""

    unit: Unit
    lesson: Lesson
    functions: dict[str, source.FunctionSource]
    points: dict[str, int]


def read_material(name: str) -> Material:
    """Read a unit's sources and hold them against each other.

    Raises
    ------
    CourseError : the first thing that is wrong, with file and line or key
    """
    unit = read_unit(name)
    lesson = read_lesson(paths.unit_folder(name) / "lesson.md", unit)
    functions = {e.name: source.read_function(e.reference, e.name) for e in unit.exercises if e.reference is not None}
    for block in lesson.exercises:
        answer = functions[block.name].body if block.name in functions else block.code
        refuse_telling_hints(lesson, block, answer)
    points = count_points(unit)
    for number, exercise in enumerate(unit.exercises, 1):
        if exercise.points != points[exercise.name]:
            raise UnitError(
                f"{shown(unit.path)}: exercises[{number}].points: {exercise.name} says {exercise.points}, "
                f"its visible and hidden tests are worth {points[exercise.name]}"
            )
    return Material(unit, lesson, functions, points)


def count_points(unit: Unit) -> dict[str, int]:
    """Points of each exercise: the sum over its visible and hidden tests, read as a check reads them."""
    from course.checking.runner import TestFileError, with_tests

    try:
        tests = with_tests(
            lambda runner: runner.tests,
            exercises=[exercise.name for exercise in unit.exercises],
            visible=[paths.visible_tests(unit.name)],
            hidden=[paths.hidden_tests(unit.name)],
        )
    except TestFileError as error:
        raise CourseError(f"unit {unit.name}: {_last_line(str(error))}") from error
    return {e.name: sum(test.points for test in tests if test.exercise == e.name) for e in unit.exercises}


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "its tests can't be collected"


# ---------------------------------------------------------------------------------------------------------------------
# One notebook


def notebook(material: Material, language: str) -> dict[str, Any]:
    """The instructor's notebook of a unit in one language."""
    cells = list(_cells(material, language))
    _refuse_repeated_ids(material, cells)
    return {
        "cells": cells,
        "metadata": {
            "course": {"language": language, "unit": material.unit.name},
            "kernelspec": KERNEL,
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cells(material: Material, language: str) -> Iterator[Cell]:
    shelf = source.Shelf(tuple(exercise.name for exercise in material.unit.exercises))
    name_cell = _Names()
    for number, block in enumerate(material.lesson.blocks):
        if isinstance(block, Prose):
            text = block.text[language]
            text = text if number else _below_heading(text, opening_text(material.unit, language))
            yield _markdown(name_cell("text"), text)
        elif isinstance(block, Given):
            shelf.see(block.code)
            yield _code(name_cell("code"), block.code, FOLDED if block.hidden else {})
        elif isinstance(block, ExerciseBlock):
            yield from _exercise_cells(material, block, shelf, language)
            name_cell.after(block.name)
        else:
            yield from _written_cells(material.unit, block, language)
            name_cell.after(block.name)


class _Names:
    """Cell ids from the place behind the last exercise, so that an edit renames few cells."""

    def __init__(self) -> None:
        self.anchor, self.number = "opening", 0

    def after(self, anchor: str) -> None:
        self.anchor, self.number = anchor, 0

    def __call__(self, kind: str) -> str:
        self.number += 1
        return f"{self.anchor}-{kind}-{self.number}"


def _exercise_cells(material: Material, block: ExerciseBlock, shelf: source.Shelf, language: str) -> Iterator[Cell]:
    exercise = material.unit.exercise(block.name)
    assert exercise is not None
    function = material.functions.get(block.name)
    if function is not None:
        given = shelf.hand_out(function)
        if given:
            title = f"# Given: what {block.name} uses. · 已给出：{block.name} 所用的代码。"
            yield _code(f"given_{block.name}", f"{title}\n{given}", {**FOLDED, "tags": ["given"]})
    yield _markdown(f"task_{block.name}", task_text(material.unit, exercise, block.task.text[language], language))
    solution = function.solution if function is not None else _value_solution(block)
    yield _code(block.name, solution, {"nbgrader": _nbgrader(block.name, solution=True)})
    yield _code(
        f"check_{block.name}",
        "\n".join(
            [
                f'check("{block.name}")',
                nbgrader.BEGIN_HIDDEN,
                "from course.checking.stock import grade",
                f'grade("{block.name}")',
                nbgrader.END_HIDDEN,
            ]
        ),
        {"nbgrader": _nbgrader(f"check_{block.name}", grade=True, locked=True, points=exercise.points)},
    )


def _value_solution(block: ExerciseBlock) -> str:
    head = f"# Put your answer into {block.name}. · 把答案存入 {block.name}。"
    return source.solution_cell(block.code, head)


def _written_cells(unit: Unit, block: WrittenBlock, language: str) -> Iterator[Cell]:
    points = unit.written.points
    worth = {"en": f"*{_plural(points, 'point')}, graded by hand*", "zh": f"*{points} 分，人工评分*"}
    yield _markdown(f"task_{block.name}", _below_heading(block.question.text[language], worth[language]))
    grade_id = f"written_{block.name}"
    metadata = _nbgrader(grade_id, grade=True, solution=True, points=unit.written.points)
    yield _markdown(grade_id, block.scheme[language], {"nbgrader": metadata})


def opening_text(unit: Unit, language: str) -> str:
    """What stands below a lesson's title: what it is about, its goals, its time and what it needs."""
    goals = [goal[language] for goal in unit.goals]
    for_exercises = sum(exercise.minutes for exercise in unit.exercises)
    titles = [(name[:2], read_unit(name).title[language]) for name in unit.needs]
    if language == "en":
        ends = [*[";"] * (len(goals) - 1), "."]
        goal_line = "**Goals.** At the end you can"
        time = f"**Time.** About {unit.minutes} minutes, {for_exercises} of them for the exercises."
        units = ", ".join(f"unit {number} ({title})" for number, title in titles)
        needs = f"**Needs.** {units[:1].upper()}{units[1:]}." if units else "**Needs.** No other unit."
        needs = f"{needs} You should know {unit.background['en']}."
    else:
        ends = [*["；"] * (len(goals) - 1), "。"]
        goal_line = "**目标。** 学完本单元，你能够"
        time = f"**时间。** 约 {unit.minutes} 分钟，其中练习 {for_exercises} 分钟。"
        units = "、".join(f"第 {number} 单元《{title}》" for number, title in titles)
        needs = f"**前置。** {f'需先学{units}' if units else '不需要其他单元'}；需要知道{unit.background['zh']}。"
    listed = "\n".join(f"- {goal}{end}" for goal, end in zip(goals, ends, strict=True))
    return "\n\n".join([unit.summary[language], goal_line, listed, time, needs])


def task_text(unit: Unit, exercise: Exercise, task: str, language: str) -> str:
    """A task below its header: number, title, difficulty, minutes, points, and where to put the answer."""
    number, total = [other.name for other in unit.exercises].index(exercise.name) + 1, len(unit.exercises)
    stars = "★" * exercise.difficulty + "☆" * (5 - exercise.difficulty)
    if language == "en":
        what = "write the function" if exercise.kind == "function" else "store the value in"
        count = f"Exercise {number} of {total}"
        facts = [stars, _plural(exercise.minutes, "minute"), _plural(exercise.points, "point")]
        stuck = "stuck? run"
    else:
        what = "编写函数" if exercise.kind == "function" else "把结果存入"
        count = f"练习 {number}/{total}"
        facts = [stars, f"{exercise.minutes} 分钟", f"{exercise.points} 分"]
        stuck = "卡住了？运行"
    line = " · ".join([*facts, f"{what} `{exercise.name}`", f'{stuck} `hint("{exercise.name}")`'])
    title = f"{count} · {exercise.title[language]}"
    if not task.startswith("#"):
        return f"### {title}\n\n{line}\n\n{task}"
    repeats = exercise.title[language] in task.partition("\n")[0]
    return _below_heading(task, f"**{count if repeats else title}** · {line}")


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _below_heading(text: str, insert: str) -> str:
    """Put a line below the text's own heading, or above the text if it has none."""
    first, _, rest = text.partition("\n")
    if first.startswith("#"):
        return f"{first}\n\n{insert}\n\n{rest.strip()}".rstrip()
    return f"{insert}\n\n{text}"


# One sentence stands on one line of the source. Markdown reads a line end as a space, which Chinese does not have.
_WIDE = "[\u2018-\u201d\u2026\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
_LINE_END = re.compile(rf"(?<={_WIDE})\n(?![ \t\n#>|<:$]|```|~~~|[-*+] |\d+[.)] )")
_NO_PARAGRAPH = re.compile(r"(^```.*?^```|^~~~.*?^~~~|^\$\$.*?\$\$|^[#|][^\n]*\n)", re.DOTALL | re.MULTILINE)


def _join_chinese_lines(text: str) -> str:
    """Sentences of one Chinese paragraph without the spaces that line ends would leave; code and tables stay.

    >>> _join_chinese_lines("第一句。\\n第二句。\\n\\n- 一\\n- 二")
    '第一句。第二句。\\n\\n- 一\\n- 二'
    """
    parts = _NO_PARAGRAPH.split(text)
    return "".join(part if number % 2 else _LINE_END.sub("", part) for number, part in enumerate(parts))


def _markdown(cell_id: str, text: str, metadata: dict[str, Any] | None = None) -> Cell:
    source = _lines(_join_chinese_lines(text))
    return {"cell_type": "markdown", "id": cell_id, "metadata": metadata or {}, "source": source}


def _code(cell_id: str, text: str, metadata: dict[str, Any] | None = None) -> Cell:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": cell_id,
        "metadata": metadata or {},
        "outputs": [],
        "source": _lines(text),
    }


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _nbgrader(
    grade_id: str, *, grade: bool = False, solution: bool = False, locked: bool = False, points: int = 0
) -> dict[str, Any]:
    worth = {"points": points} if grade else {}
    return {
        "grade": grade,
        "grade_id": grade_id,
        "locked": locked,
        "schema_version": nbgrader.METADATA_SCHEMA,
        "solution": solution,
        "task": False,
        **worth,
    }


def _refuse_repeated_ids(material: Material, cells: Sequence[Cell]) -> None:
    seen: set[str] = set()
    for cell in cells:
        if cell["id"] in seen:
            problem = f"two cells would have the id {cell['id']!r}; rename the exercise it comes from"
            raise LessonError(material.lesson.path, 1, problem)
        seen.add(cell["id"])


# ---------------------------------------------------------------------------------------------------------------------
# What stands beside a notebook


def support_files(material: Material, language: str) -> dict[str, bytes]:
    """Files of support/: what check, hint and progress need where the folder stands alone."""
    unit = material.unit
    hints = {block.name: block.hints for block in material.lesson.exercises}
    facts = {
        "schema": 1,
        "unit": unit.name,
        "language": language,
        "title": unit.title.as_dict(),
        "minutes": unit.minutes,
        "data": list(unit.data),
        "exercises": [
            {
                "name": exercise.name,
                "kind": exercise.kind,
                "title": exercise.title.as_dict(),
                "points": exercise.points,
                "difficulty": exercise.difficulty,
                "minutes": exercise.minutes,
                "hints": {tongue: list(rungs) for tongue, rungs in hints[exercise.name].items()},
            }
            for exercise in unit.exercises
        ],
        "written": {"name": unit.written.name, "points": unit.written.points},
    }
    tests = paths.visible_tests(unit.name)
    return {"unit.json": as_json(facts).encode(), tests.name: tests.read_bytes()}


# ---------------------------------------------------------------------------------------------------------------------
# A unit, and all of them


def derive(name: str) -> Files:
    """Every generated file of a unit, by its path from the repository's root."""
    from course.authoring.release import release

    material = read_material(name)
    with tempfile.TemporaryDirectory(prefix="course-build-") as scratch:
        root = Path(scratch).resolve()
        for language in paths.LANGUAGES:
            folder = root / "solutions" / language / name
            (folder / "support").mkdir(parents=True)
            (folder / f"{name}.ipynb").write_text(as_json(notebook(material, language)), encoding="utf-8")
            for file, content in support_files(material, language).items():
                (folder / "support" / file).write_bytes(content)
            release(root, name, language)
        return {path.relative_to(root): _stable(path) for path in sorted(root.rglob("*")) if path.is_file()}


def _stable(path: Path) -> bytes:
    """Content of a derived file; notebooks in one JSON layout, whatever version of nbformat wrote them."""
    if path.suffix != ".ipynb":
        return path.read_bytes()
    content = json.loads(path.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if isinstance(cell["source"], str):
            cell["source"] = _lines(cell["source"])
    return as_json(content).encode()


def derive_all(names: Sequence[str], progress: Callable[[str], object] = str) -> Files:
    """Every generated file of these units; `progress` hears each unit's name before its turn."""
    files: Files = {}
    for name in names:
        progress(name)
        files |= derive(name)
    return files


@dataclass(frozen=True)
class Difference:
    """A generated file that is not what its sources say."""

    path: Path
    what: str


def compare(files: Files, names: Sequence[str], *, all_units: bool) -> list[Difference]:
    """Hold derived files against those in the repository."""
    differences = []
    for path, content in files.items():
        there = paths.ROOT / path
        if not there.is_file():
            differences.append(Difference(path, "is missing"))
        elif there.read_bytes() != content:
            differences.append(Difference(path, describe(there.read_bytes(), content, path)))
    extra = leftovers(files, names, all_units=all_units)
    return differences + [Difference(path, "is derived from nothing") for path in extra]


def leftovers(files: Files, names: Sequence[str], *, all_units: bool) -> list[Path]:
    """Files in the generated folders that no source accounts for; with all units also those of units that are gone."""
    folders = [
        base / language / name
        for base in (paths.SOLUTIONS, paths.EXERCISES)
        for language in paths.LANGUAGES
        for name in (_folders(base / language) if all_units else names)
    ]
    found = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
    relative = (path.relative_to(paths.ROOT) for path in found)
    return [path for path in relative if path not in files and not set(path.parts) & set(NOT_OURS)]


def _folders(base: Path) -> list[str]:
    return sorted(path.name for path in base.iterdir() if path.is_dir()) if base.is_dir() else []


def write(files: Files, names: Sequence[str], *, all_units: bool) -> list[Path]:
    """Replace what differs, one whole file at a time, and remove what nothing accounts for; returns what changed."""
    changed = []
    try:
        for path, content in files.items():
            there = paths.ROOT / path
            if not there.is_file() or there.read_bytes() != content:
                _replace(there, content)
                changed.append(path)
        for path in leftovers(files, names, all_units=all_units):
            (paths.ROOT / path).unlink()
            _remove_empty(paths.ROOT / path.parent)
            changed.append(path)
    except OSError as error:
        raise CourseError(f"{error.filename}: can't be written ({error.strerror}); build again when it can") from error
    return changed


def _replace(there: Path, content: bytes) -> None:
    """Put a whole file in place of another: whoever reads it sees the old one or the new one."""
    there.parent.mkdir(parents=True, exist_ok=True)
    waiting = there.with_name(f".{there.name}.new")
    try:
        waiting.write_bytes(content)
        os.replace(waiting, there)
    finally:
        waiting.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    while folder not in (paths.SOLUTIONS, paths.EXERCISES) and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def describe(old: bytes, new: bytes, path: Path) -> str:
    """Where two versions of a file first differ: the cell, and the line as it is and as it should be."""
    if path.suffix == ".ipynb":
        try:
            return _describe_notebooks(json.loads(old), json.loads(new))
        except (ValueError, KeyError, TypeError):
            return "is not a notebook any more"
    return _first_line(old.decode(errors="replace"), new.decode(errors="replace")) or "differs in its line ends"


def _describe_notebooks(old: dict[str, Any], new: dict[str, Any]) -> str:
    cells_old = {cell.get("id", str(number)): cell for number, cell in enumerate(old["cells"])}
    cells_new = {cell["id"]: cell for cell in new["cells"]}
    for cell_id, cell in cells_new.items():
        there = cells_old.get(cell_id)
        if there is None:
            return f"cell {cell_id}: is missing"
        if _text(there) != _text(cell):
            return f"cell {cell_id}, {_first_line(_text(there), _text(cell))}"
        if there != cell:
            return f"cell {cell_id}: its metadata or outputs differ"
    for cell_id in cells_old:
        if cell_id not in cells_new:
            return f"cell {cell_id}: is derived from nothing"
    return "the order of its cells or its metadata differ" if old != new else "differs in its layout only"


def _text(cell: Cell) -> str:
    text = cell.get("source", "")
    return text if isinstance(text, str) else "".join(text)


def _first_line(old: str, new: str) -> str:
    before, after = old.splitlines(), new.splitlines()
    for number in range(max(len(before), len(after))):
        is_, should = (lines[number] if number < len(lines) else None for lines in (before, after))
        if is_ != should:
            pairs = zip(is_ or "", should or "", strict=False)
            start = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
            return f"line {number + 1}: is {_cut(is_, start)}, should be {_cut(should, start)}"
    return ""


def _cut(line: str | None, start: int, width: int = 60) -> str:
    """A line, or of a long one the part around the place where it starts to differ."""
    if line is None:
        return "absent"
    if len(line) <= width:
        return repr(line)
    first = max(0, start - width // 3)
    return repr(("…" if first else "") + line[first : first + width] + ("…" if first + width < len(line) else ""))
