"""What was handed in: which student, which unit, which language, and a notebook that can be examined.

Nothing in a submission is trusted, and nothing depends on the name of a file: the unit is told from the ids inside,
and a damaged notebook is repaired from the notebook that was released. Every repair is reported. What can't be read
is not graded, with the reason; it never becomes a zero.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from course import paths
from course.errors import CourseError
from course.grading.classroom import STUDENT_ID, Classroom
from course.grading.store import submission_digest

Cell = dict[str, Any]

LARGEST_NOTEBOOK = 64 * 2**20  # bytes; honest notebooks with figures stay far below
_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Unreadable(Exception):
    """A submission that can't be examined; the text says why, in English and in Chinese."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.en, self.zh = en, zh


# --------------------------------------------------------------------------------------------------------------------
# Repairs

_REPAIRS = {
    "renamed_file": (
        "The file was called {}; its unit was told from what is inside.",
        "文件名为 {}；单元由其内容判定。",
    ),
    "wrong_folder": (
        "It was handed in as {}; its unit was told from what is inside.",
        "提交在 {} 之下；单元由其内容判定。",
    ),
    "other_file": ("{} was also handed in for this unit and was not graded.", "{} 也作为本单元提交，未予评分。"),
    "lost_metadata": ("The notebook no longer said its unit; its cells did.", "笔记本已不含单元信息；由其单元格判定。"),
    "old_format": ("The notebook was in an old format ({}) and was converted.", "笔记本为旧格式（{}），已转换。"),
    "unusable_cell": ("A cell that is no notebook cell was left out (number {}).", "第 {} 个单元格不合格式，已略去。"),
    "missing_check": ("The check cell {} was missing and was put back.", "检查单元格 {} 缺失，已补回。"),
    "changed_check": (
        "The check cell {} had been changed; the original was put back.",
        "检查单元格 {} 被改动，已恢复原样。",
    ),
    "moved_check": (
        "The check cell {} stood before its answer; it was moved behind it.",
        "检查单元格 {} 位于答案之前，已移至其后。",
    ),
    "duplicate_check": (
        "The check cell {} was there more than once; one was kept.",
        "检查单元格 {} 重复出现，保留了一个。",
    ),
    "missing_answer": (
        "The answer cell {} was missing; it counts as not attempted.",
        "答案单元格 {} 缺失，视为未作答。",
    ),
    "found_answer": (
        "The answer cell {} had lost its id; it was found by what it defines.",
        "答案单元格 {} 失去了编号，按其内容找回。",
    ),
    "placed_answer": (
        "The answer cell {} had lost its id; it was found by its place.",
        "答案单元格 {} 失去了编号，按其位置找回。",
    ),
    "other_encoding": ("The file was saved as {} and was converted.", "文件以 {} 编码保存，已转换。"),
    "duplicate_answer": (
        "The answer cell {} was there more than once; "
        "the first one with an answer was taken, other versions were kept as extra cells.",
        "答案单元格 {} 重复出现；取第一个已作答者，其他版本作为附加单元格保留。",
    ),
    "changed_type": (
        "The answer cell {} had been turned into another type of cell; it was turned back.",
        "答案单元格 {} 的类型被改动，已恢复。",
    ),
    "missing_written": (
        "The cell for the written answer ({}) was missing and was put back empty.",
        "书面回答单元格（{}）缺失，已补回空白。",
    ),
    "missing_given": (
        "A given cell that later cells need ({}) was missing and was put back.",
        "后文所需的给定单元格（{}）缺失，已补回。",
    ),
    "unknown_id": (
        "A cell had the id {}, which this unit does not know; it was kept as an extra cell.",
        "有单元格带有本单元没有的编号 {}，作为附加单元格保留。",
    ),
}


def repair(kind: str, what: str = "") -> str:
    """A repair as verdicts record it: its kind, and what was repaired."""
    if kind not in _REPAIRS:
        raise KeyError(kind)
    return f"{kind}: {what}" if what else kind


def describe_repair(recorded: str, language: str) -> str:
    """What a recorded repair tells a person.

    >>> describe_repair("missing_check: check_robust_z", "en")
    'The check cell check_robust_z was missing and was put back.'
    """
    kind, _, what = recorded.partition(": ")
    texts = _REPAIRS.get(kind)
    return recorded if texts is None else texts[paths.LANGUAGES.index(language)].format(what)


# --------------------------------------------------------------------------------------------------------------------
# What was released


@dataclass(frozen=True)
class Template:
    """The released notebook of a unit in one language: what a submission is compared with."""

    unit: str
    language: str
    cells: tuple[Cell, ...]
    metadata: dict[str, Any]

    @classmethod
    def read(cls, unit: str, language: str) -> Template:
        """The template that the build made for a unit."""
        file = paths.exercise_notebook(unit, language)
        try:
            notebook = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CourseError(f"{file} is missing; make it with: course build {unit}") from None
        cells = tuple(plain for cell in notebook["cells"] if (plain := _plain_cell(cell)) is not None)
        return cls(unit, language, cells, notebook["metadata"])

    @cached_property
    def by_grade_id(self) -> dict[str, Cell]:
        """Cells that nbgrader knows, in the notebook's order."""
        return {grade_id: cell for cell in self.cells if (grade_id := _grade_id(cell)) is not None}

    @cached_property
    def answers(self) -> list[str]:
        """Ids of the cells where exercises are solved; they are the exercises' names."""
        return [name for name, cell in self.by_grade_id.items() if _role(cell) == "answer"]

    @cached_property
    def written(self) -> list[str]:
        """Ids of the cells that a person grades."""
        return [name for name, cell in self.by_grade_id.items() if _role(cell) == "written"]

    @cached_property
    def given(self) -> list[Cell]:
        """Code cells that are given: nobody is asked to change them."""
        return [cell for cell in self.cells if cell["cell_type"] == "code" and _grade_id(cell) is None]

    @staticmethod
    def check_of(answer: str) -> str:
        """Id of the check cell of an exercise."""
        return f"check_{answer}"


class Library:
    """The templates of all units, each read once."""

    def __init__(self, units: Iterable[str] | None = None) -> None:
        self.units = list(paths.unit_names() if units is None else units)
        self._read: dict[tuple[str, str], Template] = {}

    def template(self, unit: str, language: str) -> Template:
        """The released notebook of a unit in a language."""
        key = (unit, language)
        if key not in self._read:
            self._read[key] = Template.read(unit, language)
        return self._read[key]

    def built(self) -> list[str]:
        """Units that have a released notebook."""
        return [unit for unit in self.units if paths.exercise_notebook(unit, "en").is_file()]


def _grade_id(cell: Cell) -> str | None:
    marks = cell["metadata"].get("nbgrader")
    if not isinstance(marks, dict):
        return None
    grade_id = marks.get("grade_id")
    return grade_id if isinstance(grade_id, str) and grade_id else None


def _role(cell: Cell) -> str:
    marks = cell["metadata"]["nbgrader"]
    if marks.get("grade") and marks.get("solution"):
        return "written"
    return "check" if marks.get("grade") else "answer"


# --------------------------------------------------------------------------------------------------------------------
# Reading a file


def read_notebook(file: Path) -> tuple[list[Cell], dict[str, Any], list[str]]:
    """Cells, metadata and repairs of a notebook file, with nothing in it but source and marks.

    Raises
    ------
    Unreadable : not a regular file, too large, not JSON, or not a notebook
    """
    if file.is_symlink() or not file.is_file():
        raise Unreadable("it is a link or a special file, not a notebook", "它是链接或特殊文件，不是笔记本")
    size = file.stat().st_size
    if size > LARGEST_NOTEBOOK:
        raise Unreadable(
            f"the file is larger than {LARGEST_NOTEBOOK >> 20} MiB ({size >> 20} MiB); "
            "clear the outputs and hand it in again",
            f"文件超过 {LARGEST_NOTEBOOK >> 20} MiB（{size >> 20} MiB）；请清除输出后重新提交",
        )
    if size == 0:
        raise Unreadable("the file is empty", "文件为空")
    raw, encoding = file.read_bytes(), "utf-8-sig"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):  # as Windows' PowerShell saves what it prints
        encoding = "utf-16"
    try:
        content = json.loads(raw.decode(encoding))
    except (ValueError, RecursionError):
        raise Unreadable(
            "the file is not a notebook: it is cut off or is no JSON", "文件不是笔记本：内容不完整或不是 JSON"
        ) from None
    cells, metadata, repairs = notebook_cells(content)
    return cells, metadata, [*([repair("other_encoding", "UTF-16")] if encoding == "utf-16" else []), *repairs]


def notebook_cells(content: Any) -> tuple[list[Cell], dict[str, Any], list[str]]:
    """Cells, metadata and repairs of a notebook's content."""
    if not isinstance(content, dict):
        raise Unreadable("the file is JSON, but not a notebook", "文件是 JSON，但不是笔记本")
    repairs: list[str] = []
    if "cells" not in content and isinstance(content.get("worksheets"), list):
        content = _from_version_3(content)
        repairs.append(repair("old_format", "nbformat 3"))
    raw = content.get("cells")
    if not isinstance(raw, list) or not raw:
        raise Unreadable("the notebook has no cells", "笔记本没有单元格")
    cells = []
    for number, cell in enumerate(raw, start=1):
        plain = _plain_cell(cell)
        if plain is None:
            repairs.append(repair("unusable_cell", str(number)))
        else:
            cells.append(plain)
    metadata = content.get("metadata")
    return cells, metadata if isinstance(metadata, dict) else {}, repairs


def _from_version_3(content: dict[str, Any]) -> dict[str, Any]:
    cells: list[Any] = []
    for sheet in content["worksheets"]:
        for cell in sheet.get("cells", []) if isinstance(sheet, dict) else []:
            if isinstance(cell, dict):
                kind = "code" if cell.get("cell_type") == "code" else "markdown"
                cells.append({**cell, "cell_type": kind, "source": cell.get("input", cell.get("source", ""))})
    return {"cells": cells, "metadata": content.get("metadata", {})}


def _plain_cell(cell: Any) -> Cell | None:
    """A cell with its type, id, source and marks only: no output, tag or attachment of a submission is kept."""
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        return None
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        return None
    # A lone surrogate is valid JSON but no text: it can't be stored, hashed or shown.
    source = source.encode("utf-8", "replace").decode("utf-8")
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    cell_id = cell.get("id")
    return {
        "cell_type": cell["cell_type"],
        "id": cell_id if isinstance(cell_id, str) and _CELL_ID.fullmatch(cell_id) else "",
        "source": source,
        "metadata": {"nbgrader": dict(marks)} if isinstance(marks, dict) else {},
    }


# --------------------------------------------------------------------------------------------------------------------
# Which unit, which language


def identify(cells: Sequence[Cell], metadata: dict[str, Any], library: Library) -> tuple[str, str, list[str]]:
    """Unit, language and repairs, from what is inside.

    The ids of the cells decide; then what the notebook says of itself; then the names that its code defines.

    Raises
    ------
    Unreadable : nothing inside belongs to a unit of the course
    """
    said = metadata.get("course") if isinstance(metadata.get("course"), dict) else {}
    assert isinstance(said, dict)
    units = library.built()
    ids = Counter(grade_id for cell in cells if (grade_id := _grade_id(cell)))
    votes = {unit: sum(name in ids for name in library.template(unit, "en").by_grade_id) for unit in units}
    said_unit = said.get("unit") if said.get("unit") in units else None
    repairs: list[str] = []
    best = max(votes.values(), default=0)
    if best == 0 and said_unit is None:
        defined = set().union(*(bound_names(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
        votes = {unit: len(defined & set(library.template(unit, "en").answers)) for unit in units}
        best = max(votes.values(), default=0)
    if best == 0:
        if said_unit is None:
            raise Unreadable("none of its cells belongs to a unit of this course", "其中没有任何单元格属于本课程的单元")
        unit = said_unit
    else:
        winners = [unit for unit in units if votes[unit] == best]
        unit = said_unit if said_unit in winners else winners[0]
    if said_unit is None:
        repairs.append(repair("lost_metadata"))
    language = said.get("language")
    if language not in paths.LANGUAGES:
        language = _language_of(cells, unit, library)
    return unit, language, repairs


def _language_of(cells: Sequence[Cell], unit: str, library: Library) -> str:
    prose = {cell["source"].strip() for cell in cells if cell["cell_type"] == "markdown"}
    shared = {
        language: sum(
            cell["cell_type"] == "markdown" and cell["source"].strip() in prose
            for cell in library.template(unit, language).cells
        )
        for language in paths.LANGUAGES
    }
    return max(paths.LANGUAGES, key=lambda language: shared[language])


def bound_names(source: str) -> set[str]:
    """Names that a cell defines at its top level.

    >>> sorted(bound_names("import numpy as np\\ndef f(x):\\n    y = 1\\na, b = 1, 2"))
    ['a', 'b', 'f', 'np']
    """
    try:
        tree = ast.parse(_without_magics(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(re.findall(r"^(?:async\s+)?(?:def|class)\s+(\w+)", source, re.MULTILINE))
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        else:
            names.update(
                part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
            )
    return names


def _without_magics(source: str) -> str:
    return "\n".join("pass" if line.startswith(("%", "!", "?")) else line for line in source.splitlines())


# --------------------------------------------------------------------------------------------------------------------
# Repairing


def mend(cells: Sequence[Cell], template: Template) -> tuple[list[Cell], list[str]]:
    """The cells with every answer, check and written cell exactly once, and what had to be repaired.

    The order of the student's cells is kept. A check stands behind its answer. Check cells are always those that were
    released: trusted code is never read from a submission.
    """
    work = _Mending([{**cell, "metadata": dict(cell["metadata"])} for cell in cells], template)
    work.drop_unknown_ids()
    for name in template.answers:
        work.settle_answer(name)
    for name in template.written:
        work.settle_written(name)
    work.restore_given()
    for name in template.answers:
        work.settle_check(name)
    return work.finished(), work.repairs


@dataclass
class _Mending:
    cells: list[Cell]
    template: Template
    repairs: list[str] = field(default_factory=list)

    def note(self, kind: str, what: str) -> None:
        self.repairs.append(repair(kind, what))

    def places(self, grade_id: str) -> list[int]:
        return [place for place, cell in enumerate(self.cells) if _grade_id(cell) == grade_id]

    def drop_unknown_ids(self) -> None:
        for cell in self.cells:
            grade_id = _grade_id(cell)
            if grade_id is not None and grade_id not in self.template.by_grade_id:
                self.note("unknown_id", grade_id[:64])
            if grade_id not in self.template.by_grade_id:
                cell["metadata"] = {}

    def settle_answer(self, name: str) -> None:
        released = self.template.by_grade_id[name]
        places = self.places(name)
        if not places:
            places = self.find_by_content(name)
            if places:
                self.note("found_answer", name)
        if not places:
            places = self.find_by_place(released, ("code",))
            if places:
                self.note("placed_answer", name)
        if not places:
            self.note("missing_answer", name)
            self.insert(released)
            return
        kept = self.choose(places, released)
        if len(places) > 1:
            self.note("duplicate_answer", name)
        if self.cells[kept]["cell_type"] != released["cell_type"]:
            self.note("changed_type", name)
        self.claim(kept, released)
        self.retire([place for place in places if place != kept], released)

    def settle_written(self, name: str) -> None:
        released = self.template.by_grade_id[name]
        places = self.places(name)
        if not places:
            places = self.find_by_place(released, ("markdown", "raw"))
            if places:
                self.note("placed_answer", name)
        if not places:
            self.note("missing_written", name)
            self.insert(released)
            return
        kept = self.choose(places, released)
        if len(places) > 1:
            self.note("duplicate_answer", name)
        self.claim(kept, released)
        self.retire([place for place in places if place != kept], released)

    def find_by_content(self, name: str) -> list[int]:
        return [place for place, cell in enumerate(self.cells) if _grade_id(cell) is None and name in _bound_in(cell)]

    def find_by_place(self, released: Cell, kinds: tuple[str, ...]) -> list[int]:
        """The one cell of such a kind, of no id and not released, between the released cells around an answer."""
        order = self.template.cells
        position = next(index for index, cell in enumerate(order) if cell["id"] == released["id"])
        before = [place for cell in reversed(order[:position]) for place in self.released_at(cell)[-1:]]
        behind = [place for cell in order[position + 1 :] for place in self.released_at(cell)[:1]]
        low, high = (before[0] if before else -1), (behind[0] if behind else len(self.cells))
        strangers = [
            place
            for place in range(low + 1, high)
            if self.cells[place]["cell_type"] in kinds
            and self.cells[place]["source"].strip()
            and _grade_id(self.cells[place]) is None
            and not any(_is_same_cell(self.cells[place], cell) for cell in order)
        ]
        return strangers if len(strangers) == 1 else []

    def released_at(self, released: Cell) -> list[int]:
        return [place for place, cell in enumerate(self.cells) if _is_same_cell(cell, released)]

    def choose(self, places: list[int], released: Cell) -> int:
        """The first copy that was worked on; otherwise the first."""
        answered = [place for place in places if not _same_source(self.cells[place], released)]
        return (answered or places)[0]

    def claim(self, place: int, released: Cell) -> None:
        source = self.cells[place]["source"]
        self.cells[place] = {**_copy(released), "source": source}

    def retire(self, places: list[int], released: Cell) -> None:
        """Other copies: untouched ones go (they would undo the answer), worked-on ones stay as extra cells."""
        for place in sorted(places, reverse=True):
            if _same_source(self.cells[place], released):
                del self.cells[place]
            else:
                self.cells[place]["metadata"] = {}
                self.cells[place]["id"] = ""

    def insert(self, released: Cell) -> int:
        """Put a released cell behind the nearest cell that stands before it in the released notebook."""
        order = self.template.cells
        position = next(index for index, cell in enumerate(order) if cell["id"] == released["id"])
        place = 0
        for before in reversed(order[:position]):
            hits = [index for index, cell in enumerate(self.cells) if _is_same_cell(cell, before)]
            if hits:
                place = hits[-1] + 1
                break
        self.cells.insert(place, _copy(released))
        return place

    def restore_given(self) -> None:
        """Given cells come back if they bind a name that no cell of the submission binds."""
        bound: set[str] = set()
        for cell in self.cells:
            if cell["cell_type"] == "code":
                bound |= bound_names(cell["source"])
        for given in self.template.given:
            if any(_is_same_cell(cell, given) for cell in self.cells):
                continue
            names = bound_names(given["source"])
            if names - bound:
                self.note("missing_given", given["id"])
                self.insert(given)
                bound |= names

    def settle_check(self, name: str) -> None:
        grade_id = self.template.check_of(name)
        released = self.template.by_grade_id[grade_id]
        places = self.places(grade_id)
        if len(places) > 1:
            self.note("duplicate_check", grade_id)
        if places and not any(_same_source(self.cells[place], released) for place in places):
            self.note("changed_check", grade_id)
        first = places[0] if places else None
        for place in reversed(places):
            del self.cells[place]
        [answer] = self.places(name)
        if first is None:
            self.note("missing_check", grade_id)
            self.cells.insert(answer + 1, _copy(released))
        elif first <= answer:
            self.note("moved_check", grade_id)
            self.cells.insert(answer + 1, _copy(released))
        else:
            self.cells.insert(first, _copy(released))

    def finished(self) -> list[Cell]:
        """Every cell with an id of its own."""
        taken = {cell["id"] for cell in self.cells if _grade_id(cell) is not None}
        number = 0
        for cell in self.cells:
            if _grade_id(cell) is not None:
                continue
            while not cell["id"] or cell["id"] in taken:
                number += 1
                cell["id"] = f"extra-{number}"
            taken.add(cell["id"])
        return self.cells


def _bound_in(cell: Cell) -> set[str]:
    """Names that a cell defines; one that was turned into prose counts if all of it is code."""
    if cell["cell_type"] == "code":
        return bound_names(cell["source"])
    try:
        ast.parse(cell["source"])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return bound_names(cell["source"])


def _copy(cell: Cell) -> Cell:
    return {**cell, "metadata": json.loads(json.dumps(cell["metadata"]))}


def _same_source(cell: Cell, other: Cell) -> bool:
    return cell["source"].split() == other["source"].split()


def _is_same_cell(cell: Cell, released: Cell) -> bool:
    grade_id = _grade_id(released)
    if grade_id is not None:
        return _grade_id(cell) == grade_id
    return (bool(cell["id"]) and cell["id"] == released["id"]) or cell["source"].strip() == released["source"].strip()


# --------------------------------------------------------------------------------------------------------------------
# Submissions


@dataclass(frozen=True)
class Submission:
    """One student's notebook of one unit, ready to be examined."""

    student: str
    unit: str
    language: str
    notebook: dict[str, Any]
    repairs: tuple[str, ...]
    file: Path

    @cached_property
    def sha256(self) -> str:
        """Digest of what is examined; saving a notebook again or running its cells does not change it."""
        return submission_digest(self.notebook)


@dataclass(frozen=True)
class Refused:
    """Something handed in that can't be examined, and why."""

    student: str
    unit: str
    file: Path
    reason: dict[str, str]


def take(file: Path, student: str, library: Library, *, handed_in_as: str | None = None) -> Submission:
    """Read, identify and repair one notebook.

    Raises
    ------
    Unreadable : the file can't be examined
    """
    cells, metadata, repairs = read_notebook(file)
    unit, language, told = identify(cells, metadata, library)
    repairs += told
    if handed_in_as is not None and handed_in_as != unit:
        repairs.append(repair("wrong_folder", handed_in_as[:80]))
    if file.name != f"{unit}.ipynb":
        repairs.append(repair("renamed_file", file.name[:120]))
    template = library.template(unit, language)
    mended, more = mend(cells, template)
    notebook = {"cells": mended, "metadata": template.metadata, "nbformat": 4, "nbformat_minor": 5}
    return Submission(student, unit, language, notebook, (*repairs, *more), file)


def collect(
    classroom: Classroom, library: Library, units: Sequence[str] | None = None
) -> Iterator[Submission | Refused]:
    """All that was handed in, by student and unit: the nbgrader tree submitted/{student}/{unit}/*.ipynb.

    Parameters
    ----------
    units : only these units; by default all
    """
    for folder in _subfolders(classroom.submitted):
        student = folder.name
        if not STUDENT_ID.fullmatch(student):
            raise CourseError(
                f"{folder}: the name of the folder can't be a student's id; rename it (letters, digits, . @ - _)"
            )
        for found in _of_one_student(folder, student, library):
            if units is None or found.unit in units:
                yield found


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
    )


def _of_one_student(folder: Path, student: str, library: Library) -> list[Submission | Refused]:
    taken: dict[str, list[Submission]] = {}
    refused: list[Refused] = []
    for unit_folder in _subfolders(folder):
        files = notebooks_in(unit_folder)
        if not files:
            reason = {"en": "its folder holds no notebook", "zh": "文件夹中没有笔记本"}
            refused.append(Refused(student, unit_folder.name, unit_folder, reason))
        for file in files:
            try:
                submission = take(file, student, library, handed_in_as=unit_folder.name)
            except Unreadable as error:
                refused.append(Refused(student, unit_folder.name, file, {"en": error.en, "zh": error.zh}))
            else:
                taken.setdefault(submission.unit, []).append(submission)
    chosen: list[Submission | Refused] = [choose_version(versions, library) for versions in taken.values()]
    # A stray file beside a good notebook is no reason to leave the unit ungraded; alone, it is.
    chosen += _one_per_unit([item for item in refused if item.unit not in taken])
    return sorted(chosen, key=lambda item: item.unit)


def _one_per_unit(refused: list[Refused]) -> list[Refused]:
    return list({item.unit: item for item in reversed(refused)}.values())


def notebooks_in(folder: Path) -> list[Path]:
    """Notebook files under a folder, without Jupyter's copies and without what the course put there."""
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        hidden = any(part.startswith((".", "__")) for part in inside)
        if path.suffix.lower() == ".ipynb" and not hidden and "support" not in inside[:-1] and not path.is_dir():
            found.append(path)
    return found


def choose_version(versions: list[Submission], library: Library) -> Submission:
    """Of several notebooks of a unit: the one in its place under its own name, otherwise the one worked on most."""
    if len(versions) == 1:
        return versions[0]

    def rank(submission: Submission) -> tuple[bool, bool, int, str]:
        in_place = not any(note.startswith("wrong_folder") for note in submission.repairs)
        named = submission.file.name == f"{submission.unit}.ipynb"
        return (not in_place, not named, -_worked_on(submission, library), str(submission.file))

    best, *others = sorted(versions, key=rank)
    notes = tuple(repair("other_file", other.file.name[:120]) for other in others)
    return Submission(best.student, best.unit, best.language, best.notebook, best.repairs + notes, best.file)


def _worked_on(submission: Submission, library: Library) -> int:
    released = library.template(submission.unit, submission.language).by_grade_id
    return sum(
        not _same_source(cell, released[grade_id])
        for cell in submission.notebook["cells"]
        if (grade_id := _grade_id(cell)) is not None
    )
