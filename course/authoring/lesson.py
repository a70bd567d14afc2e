"""lesson.md: prose in two languages and code that exists once, read into blocks; every wrong form is an error.

The file is MyST Markdown with jupytext's header. A cell is one of

- prose: English, directly followed by its Chinese partner
- code without options: given to the learner, run in both languages
- an exercise: code with `:exercise: name`; its task is the prose directly before it, its hints follow it
- a written question's mark scheme, in both languages; the question is the prose directly before it
"""

from __future__ import annotations

import ast
import json
import re
import symtable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml  # type: ignore[import-untyped]
from jupytext.myst import MystMetadataParsingError, myst_to_notebook

from course import nbgrader_settings as nbgrader
from course.authoring.unit import KINDS, Unit, shown
from course.errors import CourseError
from course.paths import LANGUAGES

FEWEST_HINTS = 3
PARTNER = {"en": "English", "zh": "Chinese"}
HELPERS = ("check", "hint", "label", "progress")  # the first code cell gives these to the learner
HIDE = "hide-input"
# Shorter lines (`x = x - 1`, `return scores`) give nothing away; longer ones are somebody's answer.
SHORTEST_TELLING_LINE = 16


class LessonError(CourseError):
    """A lesson in the wrong form: file, line, what is wrong and what to do."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{shown(path)}:{line}: {problem}")


@dataclass(frozen=True)
class Prose:
    """What the learner reads, once in each language."""

    line: int
    text: dict[str, str]


@dataclass(frozen=True)
class Given:
    """Code that the learner gets."""

    line: int
    code: str
    hidden: bool = False


@dataclass(frozen=True)
class ExerciseBlock:
    """An exercise: its task, its code where it asks for a value, and the rungs of its hints by language."""

    line: int
    name: str
    kind: str
    code: str
    task: Prose
    hints: dict[str, tuple[str, ...]]
    hint_lines: dict[str, tuple[int, ...]] = field(repr=False)


@dataclass(frozen=True)
class WrittenBlock:
    """The written question and its mark scheme."""

    line: int
    name: str
    question: Prose
    scheme: dict[str, str]


Block = Prose | Given | ExerciseBlock | WrittenBlock


@dataclass(frozen=True)
class Lesson:
    """A lesson whose form is right."""

    path: Path
    blocks: tuple[Block, ...]

    @property
    def exercises(self) -> tuple[ExerciseBlock, ...]:
        """The exercises in the order they are taught."""
        return tuple(block for block in self.blocks if isinstance(block, ExerciseBlock))


def read_lesson(path: Path, unit: Unit) -> Lesson:
    """Read a lesson and hold it against its unit.toml.

    Raises
    ------
    LessonError : names the file and the line
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CourseError(f"{shown(path)}: there is no such file; a unit's lesson is written there") from None
    except UnicodeDecodeError as error:
        raise CourseError(f"{shown(path)}: not readable as UTF-8: {error}") from None
    lesson = Lesson(path, tuple(_Reader(path, read_cells(path, text), unit).blocks()))
    _hold_against_unit(lesson, unit)
    _check_opening(lesson, unit)
    _check_names(lesson)
    return lesson


# ---------------------------------------------------------------------------------------------------------------------
# Cells


@dataclass(frozen=True)
class Cell:
    """A cell of the file: where it starts, where its own text starts, and what its options say."""

    line: int
    first: int
    kind: str
    source: str
    options: dict[str, Any]


def read_cells(path: Path, text: str) -> list[Cell]:
    """Split MyST Markdown into cells that know their lines."""
    _check_header(path, text)
    try:
        notebook = myst_to_notebook(text, add_source_map=True)
    except (MystMetadataParsingError, yaml.YAMLError) as error:
        raise LessonError(path, _line_in(str(error)), f"the options of a cell can't be read: {error}") from None
    lines = text.splitlines()
    starts = notebook.metadata["source_map"]
    return [
        Cell(line, _first_line(lines, line, cell.cell_type), cell.cell_type, cell.source, dict(cell.metadata))
        for line, cell in zip(starts, notebook.cells, strict=True)
    ]


def _line_in(message: str) -> int:
    found = re.search(r"at line (\d+)", message)
    return int(found.group(1)) if found else 1


def _check_header(path: Path, text: str) -> None:
    """Without jupytext's header the file opens as plain text in JupyterLab."""
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    if not found:
        raise LessonError(path, 1, "the header is missing: a lesson starts with jupytext's YAML between two --- lines")
    try:
        header = yaml.safe_load(found.group(1))
    except yaml.YAMLError as error:
        raise LessonError(path, 1, f"the header is not YAML: {' '.join(str(error).split())}") from None
    wanted: tuple[tuple[tuple[str, ...], str], ...] = (
        (("jupytext", "text_representation", "extension"), ".md"),
        (("jupytext", "text_representation", "format_name"), "myst"),
        (("kernelspec", "name"), "python3"),
    )
    for keys, expected in wanted:
        value = header
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value != expected:
            raise LessonError(path, 1, f"the header says {'.'.join(keys)}: {value!r}; expected {expected!r}")


def _first_line(lines: list[str], line: int, kind: str) -> int:
    """Line on which the text of a cell itself begins: below its marker, its options and one empty line."""
    number = line + 1
    if kind == "code":
        if lines[number - 1].startswith("---"):
            number = next(n for n in range(number + 1, len(lines) + 1) if lines[n - 1].startswith("---")) + 1
        while number <= len(lines) and lines[number - 1].lstrip().startswith(":"):
            number += 1
        if number <= len(lines) and not lines[number - 1].strip():
            number += 1
    else:
        while number <= len(lines) and not lines[number - 1].strip():
            number += 1
    return number


# ---------------------------------------------------------------------------------------------------------------------
# Blocks


class _Reader:
    """Goes through the cells once, from top to bottom."""

    def __init__(self, path: Path, cells: list[Cell], unit: Unit) -> None:
        self.path, self.cells, self.unit = path, cells, unit
        self.at = 0
        self.found: list[Block] = []

    def fail(self, line: int, problem: str) -> NoReturn:
        raise LessonError(self.path, line, problem)

    def blocks(self) -> list[Block]:
        while self.at < len(self.cells):
            self.found.append(self._block(self.cells[self.at]))
        return self.found

    def _block(self, cell: Cell) -> Block:
        if cell.kind == "raw":
            self.fail(cell.line, "raw cells are not part of a lesson; use prose or code")
        if cell.kind == "code":
            self._allow(cell, "exercise", "kind", "tags")
            return self._exercise(cell) if "exercise" in cell.options else self._given(cell)
        self._allow(cell, "lang", "hint", "written")
        if "hint" in cell.options:
            self.fail(cell.line, "a hint that follows no exercise; hints stand directly below their exercise's cell")
        return self._written(cell) if "written" in cell.options else self._prose(cell)

    def _allow(self, cell: Cell, *known: str) -> None:
        for key in cell.options:
            if key not in known:
                self.fail(cell.line, f"unknown option {key!r} of a {_kind(cell)} cell; known: {', '.join(known)}")

    # -- prose

    def _prose(self, cell: Cell) -> Prose:
        return Prose(cell.line, self._pair("prose", {}))

    def _pair(self, what: str, same: dict[str, Any]) -> dict[str, str]:
        """The English cell at this place and its Chinese partner directly after it."""
        first = self.cells[self.at]
        language = self._language(first, what)
        if language == "zh":
            self.fail(first.line, f"Chinese {what} without its English partner directly before it")
        second = self.cells[self.at + 1] if self.at + 1 < len(self.cells) else None
        if second is None or not self._partner(second, what, same):
            self.fail(first.line, f"English {what} without its Chinese partner directly after it")
        self.at += 2
        return {"en": self._clean(first, "en"), "zh": self._clean(second, "zh")}

    def _partner(self, cell: Cell, what: str, same: dict[str, Any]) -> bool:
        if cell.kind != "markdown":
            return False
        if {key: value for key, value in cell.options.items() if key != "lang"} != same:
            return False
        return self._language(cell, what) == "zh"

    def _language(self, cell: Cell, what: str) -> str:
        language = cell.options.get("lang")
        if language not in LANGUAGES:
            seen = f"has the unknown language {language!r}" if "lang" in cell.options else "without a language"
            self.fail(cell.line, f'{what} {seen}; start it with +++ {{"lang": "en"}} or +++ {{"lang": "zh"}}')
        return str(language)

    def _clean(self, cell: Cell, language: str) -> str:
        for number, line in enumerate(cell.source.splitlines(), cell.first):
            self._refuse_delimiters(line, number)
            if re.match(r"\s*(`{3,}|~{3,}|:{3,})\s*\{", line):
                self.fail(
                    number, f"{line.strip()!r} is a MyST directive, which a notebook shows as it stands; write Markdown"
                )
            image = re.search(r"!\[[^\]]*\]\((?!https?:|attachment:|data:)([^)]+)\)", line)
            if image:
                name = image.group(1)
                self.fail(number, f"the image {name!r} would not travel with the notebook; draw it in a code cell")
        chinese = len(re.findall(r"[\u4e00-\u9fff]", cell.source))
        if language == "zh" and not chinese:
            self.fail(cell.line, "a cell marked as Chinese has not one Chinese character")
        if language == "en" and chinese > len(re.findall(r"[A-Za-z]", cell.source)):
            self.fail(cell.line, "a cell marked as English is mostly Chinese")
        return cell.source

    def _refuse_delimiters(self, line: str, number: int) -> None:
        for word in nbgrader.DELIMITERS:
            if word.lstrip("# ") in line:
                self.fail(number, f"{word!r} belongs to nbgrader and can't stand in a lesson; the build places it")

    # -- code

    def _given(self, cell: Cell) -> Given:
        if "kind" in cell.options:
            self.fail(cell.line, "`:kind:` belongs to an exercise; name the exercise with `:exercise: name`")
        tags = cell.options.get("tags") or []
        if tags not in ([], [HIDE]):
            self.fail(cell.line, f"the only tag a lesson knows is [{HIDE}] (the code starts folded), not {tags!r}")
        if not cell.source.strip():
            self.fail(cell.line, "an empty code cell")
        self._python(cell)
        self.at += 1
        return Given(cell.line, cell.source, hidden=bool(tags))

    def _python(self, cell: Cell) -> ast.Module:
        for number, line in enumerate(cell.source.splitlines(), cell.first):
            self._refuse_delimiters(line, number)
        try:
            tree = ast.parse(cell.source)
        except SyntaxError as error:
            wrong = cell.first + (error.lineno or 1) - 1
            self.fail(wrong, f"not plain Python ({error.msg}); magics and shell lines don't run everywhere")
        for node in ast.walk(tree):
            for module in _imported(node):
                self._refuse_import(module, cell.first + getattr(node, "lineno", 1) - 1)
        return tree

    def _refuse_import(self, module: str, line: int) -> None:
        root = module.split(".")[0]
        if root == "reference_impl" and module != "reference_impl.cohort":
            self.fail(line, f"learners don't have {module}, only reference_impl.cohort of the reference")
        if root == "course" and module != "course.checking":
            self.fail(line, f"a lesson imports only course.checking of the course, not {module}")
        if root in ("solutions", "exercises", "tests"):
            self.fail(line, f"learners don't have {module}")

    # -- exercises

    def _exercise(self, cell: Cell) -> ExerciseBlock:
        name = cell.options["exercise"]
        kind = self._checked_kind(cell, name)
        earlier = next((b for b in self.found if isinstance(b, ExerciseBlock) and b.name == name), None)
        if earlier:
            self.fail(cell.line, f"exercise {name!r} is already set at line {earlier.line}; an exercise stands once")
        task = self._popped_prose()
        if task is None:
            self.fail(
                cell.line,
                f"exercise {name!r} has no task; state it in full in an English and a Chinese cell directly before it",
            )
        if any(re.match(r"#+\s*(Exercise|练习)\s*\d", text) for text in task.text.values()):
            self.fail(task.line, f"the build writes the number and title of {name!r}; leave the heading out")
        self._check_code(cell, name, kind)
        self.at += 1
        hints, lines = self._hints(cell, name)
        return ExerciseBlock(cell.line, name, kind, cell.source, task, hints, lines)

    def _checked_kind(self, cell: Cell, name: Any) -> str:
        kind = cell.options.get("kind", "function")
        if kind not in KINDS:
            self.fail(cell.line, f"exercise {name!r} is of the unknown kind {kind!r}; known: {', '.join(KINDS)}")
        if "tags" in cell.options:
            self.fail(cell.line, f"exercise {name!r} can't have tags")
        listed = self.unit.exercise(str(name))
        if listed is None:
            known = ", ".join(exercise.name for exercise in self.unit.exercises)
            self.fail(cell.line, f"exercise {name!r} is not in unit.toml; listed there: {known}")
        if listed.kind != kind:
            self.fail(cell.line, f"exercise {name!r} is a {kind} here and a {listed.kind} in unit.toml")
        return str(kind)

    def _check_code(self, cell: Cell, name: str, kind: str) -> None:
        if kind == "function":
            if cell.source.strip():
                self.fail(cell.first, f"the code of exercise {name!r} comes from the reference; leave its cell empty")
            return
        self._python(cell)
        if name not in bound_names(cell.source):
            self.fail(cell.line, f"exercise {name!r} asks for a value, but its code assigns nothing to {name}")

    def _popped_prose(self) -> Prose | None:
        if self.found and isinstance(self.found[-1], Prose):
            block = self.found.pop()
            assert isinstance(block, Prose)
            return block
        return None

    def _hints(self, cell: Cell, name: str) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[int, ...]]]:
        rungs: list[dict[str, str]] = []
        lines: list[tuple[int, int]] = []
        while self.at < len(self.cells) and "hint" in self.cells[self.at].options:
            first = self.cells[self.at]
            self._allow(first, "lang", "hint")
            number = first.options["hint"]
            if number != len(rungs) + 1:
                self.fail(first.line, f"hint {number} of {name!r} where hint {len(rungs) + 1} was expected")
            rungs.append(self._pair(f"hint {number} of {name!r}", {"hint": number}))
            lines.append((first.first, self.cells[self.at - 1].first))
        if len(rungs) < FEWEST_HINTS:
            self.fail(cell.line, f"exercise {name!r} has {len(rungs)} hint rungs; it needs at least {FEWEST_HINTS}")
        return (
            {language: tuple(rung[language] for rung in rungs) for language in LANGUAGES},
            {language: tuple(pair[place] for pair in lines) for place, language in enumerate(LANGUAGES)},
        )

    # -- the written question

    def _written(self, cell: Cell) -> WrittenBlock:
        self._allow(cell, "lang", "written")
        name = cell.options["written"]
        if name != self.unit.written.name:
            self.fail(cell.line, f"written question {name!r} is {self.unit.written.name!r} in unit.toml")
        earlier = next((b for b in self.found if isinstance(b, WrittenBlock)), None)
        if earlier:
            self.fail(cell.line, f"the mark scheme of {name!r} already stands at line {earlier.line}")
        question = self._popped_prose()
        if question is None:
            self.fail(
                cell.line, f"written question {name!r} is not asked: put it in English and Chinese directly before this"
            )
        return WrittenBlock(cell.line, name, question, self._pair(f"mark scheme of {name!r}", {"written": name}))


def _kind(cell: Cell) -> str:
    return "prose" if cell.kind == "markdown" else cell.kind


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if module in ("reference_impl", "course"):  # `from reference_impl import quality` imports a module
            return [f"{module}.{alias.name}" for alias in node.names]
        return [module]
    return []


def bound_names(code: str) -> set[str]:
    """Names that running this code at top level defines.

    >>> sorted(bound_names("import numpy as np\\nfor i in range(3):\\n    y = [z for z in range(i)]"))
    ['i', 'np', 'y']
    """
    table = symtable.symtable(code, "<cell>", "exec")
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}


# ---------------------------------------------------------------------------------------------------------------------
# The whole


def _hold_against_unit(lesson: Lesson, unit: Unit) -> None:
    listed = [exercise.name for exercise in unit.exercises]
    taught = [block.name for block in lesson.exercises]
    for name in listed:
        if name not in taught:
            raise LessonError(lesson.path, 1, f"exercise {name!r} is listed in unit.toml but not set in the lesson")
    for block, name in zip(lesson.exercises, listed, strict=True):
        if block.name != name:
            raise LessonError(
                lesson.path, block.line, f"exercise {block.name!r} stands where unit.toml has {name!r}; use one order"
            )
    if not any(isinstance(block, WrittenBlock) for block in lesson.blocks):
        name = unit.written.name
        problem = f'the written question {name!r} is missing; its mark scheme is a +++ {{"written": "{name}", …}} cell'
        raise LessonError(lesson.path, 1, problem)


def _check_opening(lesson: Lesson, unit: Unit) -> None:
    """A lesson opens with its title, and its first code brings what every later cell uses."""
    first = lesson.blocks[0] if lesson.blocks else None
    if not isinstance(first, Prose) or not all(text.startswith("# ") for text in first.text.values()):
        line = first.line if first else 1
        raise LessonError(lesson.path, line, "a lesson opens with its title (`# …`) in English and in Chinese")
    for language, text in first.text.items():
        title = text.partition("\n")[0].removeprefix("# ").strip()
        if title != unit.title[language]:
            said = f"the title {title!r} is not that of unit.toml, {unit.title[language]!r}"
            raise LessonError(lesson.path, first.line, said)
    code = next((block for block in lesson.blocks if isinstance(block, (Given, ExerciseBlock))), None)
    missing = set(HELPERS) - (bound_names(code.code) if isinstance(code, Given) else set())
    if missing:
        line = code.line if code else 1
        raise LessonError(
            lesson.path, line, f"the first code cell must begin with `from course.checking import {', '.join(HELPERS)}`"
        )


def _check_names(lesson: Lesson) -> None:
    """A given cell that defines an exercise's name would answer it, or spoil the learner's answer."""
    exercises = {block.name: block for block in lesson.exercises}
    for block in lesson.blocks:
        if isinstance(block, Given):
            for name in sorted(bound_names(block.code) & exercises.keys()):
                raise LessonError(lesson.path, block.line, f"this cell defines {name}, which is an exercise")


def telling_lines(code: str) -> list[str]:
    """Lines of an answer, without spaces, that a hint must not contain: those long enough to be one; no refusals.

    >>> telling_lines("x = 1  # start\\nscaled = (x - median) / (1.4826 * mad)")
    ['scaled=(x-median)/(1.4826*mad)']
    """
    lines = ("".join(re.sub(r"#.*", "", line).split()) for line in code.splitlines())
    return [line for line in lines if len(line) >= SHORTEST_TELLING_LINE and not line.startswith("raise")]


def refuse_telling_hints(lesson: Lesson, block: ExerciseBlock, answer: str) -> None:
    """Hints unblock, they can't be pasted: none contains a line of the answer."""
    telling = telling_lines(answer)
    for language, rungs in block.hints.items():
        for number, (rung, first) in enumerate(zip(rungs, block.hint_lines[language], strict=True), 1):
            for line_number, line in enumerate(rung.splitlines(), first):
                squeezed = "".join(line.split())
                for told in telling:
                    if told in squeezed:
                        which = f"{PARTNER[language]} hint {number} of {block.name!r}"
                        problem = f"{which} contains a line of the answer: {line.strip()}"
                        raise LessonError(lesson.path, line_number, problem)


def as_json(value: Any) -> str:
    """JSON with the same bytes on every machine."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
