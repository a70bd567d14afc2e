"""Twelve students of the demo and how each of them works: notebooks made from the released ones by named habits.

Every habit says which tests it must lose and with which status, so that the demo can compare what grading found with
what is right. The mistakes are those of tests/hidden/mistakes_03_robust_qc.py, put into the notebook under the
exercise's name.
"""

from __future__ import annotations

import ast
import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course import nbgrader_settings, paths
from course.errors import CourseError

UNIT = "03_robust_qc"
Notebook = dict[str, Any]


@dataclass(frozen=True)
class Material:
    """The released notebook of the unit in one language, its right answers, and the file of known mistakes."""

    released: Notebook
    answers: Mapping[str, str]
    mistakes: Path

    @classmethod
    def of(cls, language: str, released: Path) -> Material:
        """From a released notebook and the solutions it was made from."""
        solution = json.loads(paths.solution_notebook(UNIT, language).read_text(encoding="utf-8"))
        answers = {}
        for cell in solution["cells"]:
            marks = cell["metadata"].get("nbgrader", {})
            if marks.get("solution") and not marks.get("grade"):
                answers[marks["grade_id"]] = _without_marks("".join(cell["source"]))
        notebook = json.loads(released.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"])
        return cls(notebook, answers, paths.known_mistakes(UNIT))

    def solved(self, exercises: list[str] | None = None) -> Notebook:
        """The notebook with the right answers to these exercises, or to all."""
        notebook = copy.deepcopy(self.released)
        for name in self.answers if exercises is None else exercises:
            _cell(notebook, name)["source"] = self.answers[name]
        return notebook


def _without_marks(source: str) -> str:
    marks = (nbgrader_settings.BEGIN_SOLUTION, nbgrader_settings.END_SOLUTION)
    return "\n".join(line for line in source.splitlines() if line.strip() not in marks)


def _cell(notebook: Notebook, grade_id: str) -> dict[str, Any]:
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == grade_id:
            return cell
    raise CourseError(f"the released notebook of {UNIT} has no cell {grade_id}; build it again: course build {UNIT}")


@dataclass(frozen=True)
class Habit:
    """How a student works, and what grading must find."""

    name: str
    student: str
    first_name: str
    last_name: str
    work: Callable[[Material], Notebook]
    language: str = "en"
    file_name: str = f"{UNIT}.ipynb"
    loses: Mapping[str, str] = field(default_factory=dict)  # test id → status
    not_attempted: tuple[str, ...] = ()
    mistake: str | None = None
    repairs: tuple[str, ...] = ()
    written: str = ""


WRITTEN = {
    "en": "I would look at why the library failed before I drop it. If only cases were degraded, dropping them "
    "biases the comparison; I would report both analyses.",
    "zh": "在剔除之前，我会先查明文库失败的原因。"
    "如果只有病例组的样本降解，剔除会使比较产生偏差；我会同时报告两种分析结果。",
}


def perfect(material: Material) -> Notebook:
    """Every answer right."""
    return material.solved()


def half_done(material: Material) -> Notebook:
    """The first three exercises right, the rest as it was released."""
    return material.solved(list(_FIRST_HALF))


def untouched(material: Material) -> Notebook:
    """Handed in as it was handed out."""
    return copy.deepcopy(material.released)


def with_mistake(name: str) -> Callable[[Material], Notebook]:
    """Everything right but one known mistake."""

    def work(material: Material) -> Notebook:
        notebook = material.solved()
        exercise, source = transplanted(material, name)
        _cell(notebook, exercise)["source"] = source
        return notebook

    return work


def endless_loop(material: Material) -> Notebook:
    """A loop that waits for missing values to go away; without missing values it is never entered."""
    loop = """\
    while metrics[[gate.metric for gate in gates]].isna().any(axis=None):
        metrics = metrics.copy()  # to be sure
    kept = metrics
"""
    notebook = material.solved()
    cell = _cell(notebook, "run_qc")
    cell["source"] = _replaced(cell["source"], "    kept = metrics\n", loop)
    return notebook


def killed_kernel(material: Material) -> Notebook:
    """Where the threshold makes no sense the whole Python process is ended, instead of an error raised."""
    notebook = material.solved()
    cell = _cell(notebook, "mad_outliers")
    guard = "    if threshold < 0:\n        import os\n\n        os._exit(1)\n    require_number("
    cell["source"] = _replaced(cell["source"], "    require_number(", guard)
    return notebook


def damaged_cells(material: Material) -> Notebook:
    """A check and a given cell deleted, an untouched copy of an answer below it, a check cell twice."""
    notebook = material.solved()
    check = copy.deepcopy(_cell(notebook, "check_robust_z"))
    copied = copy.deepcopy(_cell(material.released, "robust_z"))
    cells = []
    for cell in notebook["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if grade_id == "check_mad_outliers" or cell["id"] == "given_mad_outliers":
            continue
        cells.append(cell)
        if grade_id == "robust_z":
            cells.append({**copied, "id": "copy-of-robust-z"})
        if grade_id == "check_robust_z":
            cells.append({**check, "id": "copy-of-check"})
    notebook["cells"] = cells
    return notebook


def prints_warnings(material: Material) -> Notebook:
    """Warns, writes to standard error and prints at every call."""
    noise = (
        "    import sys\n    import warnings\n\n"
        '    warnings.warn("not sure about this", UserWarning)\n'
        '    print("robust_z was called", file=sys.stderr)\n    print(100)\n'
    )
    notebook = material.solved()
    cell = _cell(notebook, "robust_z")
    cell["source"] = _replaced(
        cell["source"], '    values = as_matrix(x, "x")\n', noise + '    values = as_matrix(x, "x")\n'
    )
    extra: dict[str, Any] = {"cell_type": "code", "id": "noise", "metadata": {}, "execution_count": None, "outputs": []}
    source = 'import sys\nimport warnings\n\nwarnings.warn("careful")\nprint("oh", file=sys.stderr)\n100'
    notebook["cells"].insert(notebook["cells"].index(cell) + 1, {**extra, "source": source})
    return notebook


def _replaced(source: str, old: str, new: str) -> str:
    if source.count(old) != 1:
        raise CourseError(f"a habit of the demo no longer fits {UNIT}: expected {old.strip()!r} once in the solution")
    return source.replace(old, new)


# --------------------------------------------------------------------------------------------------------------------
# A known mistake as a student would have written it


def transplanted(material: Material, mistake: str) -> tuple[str, str]:
    """The exercise a known mistake belongs to, and a cell that makes it.

    The mistake's function goes under the exercise's name, with the helpers of its file that it uses. Where it calls the
    reference, it gets what the notebook has: a helper by its name, another exercise as a right copy.
    """
    tree = ast.parse(material.mistakes.read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if mistake not in functions:
        raise CourseError(f"{material.mistakes} has no mistake {mistake}, which the demo makes")
    exercise = _exercise_of(functions[mistake])
    is_value = f"def {exercise}(" not in material.answers[exercise]
    needed = _helpers(functions, mistake)
    copies: dict[str, str] = {}
    parts = []
    for name in [*needed, mistake]:
        node = functions[name]
        node.decorator_list = []
        if name == mistake and not is_value:
            node.name = exercise
        parts.append(_from_the_notebook(ast.unparse(node), material, copies))
    if is_value:
        arguments = ", ".join(argument.arg for argument in functions[mistake].args.args)
        parts.append(f"{exercise} = {mistake}({arguments})")
    return exercise, "\n\n\n".join([*copies.values(), *parts])


def _exercise_of(node: ast.FunctionDef) -> str:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call):
            for keyword in decorator.keywords:
                if keyword.arg == "of" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    raise CourseError(f"{node.name} is not marked with @mistake(of=…)")


def _helpers(functions: Mapping[str, ast.FunctionDef], name: str) -> list[str]:
    """The undecorated functions of the file that a function uses, those used first."""
    found: list[str] = []

    def visit(current: str) -> None:
        used = {node.id for node in ast.walk(functions[current]) if isinstance(node, ast.Name)}
        for helper in functions:
            is_new = helper in used and helper not in (current, *found)
            if is_new and not functions[helper].decorator_list:
                visit(helper)
                found.append(helper)

    visit(name)
    return found


def _from_the_notebook(source: str, material: Material, copies: dict[str, str]) -> str:
    def here(match: re.Match[str]) -> str:
        name = match[1]
        if name not in material.answers:
            return name
        copies[name] = re.sub(rf"\bdef {name}\(", f"def right_{name}(", material.answers[name])
        return f"right_{name}"

    return re.sub(r"\breference\.(\w+)", here, source)


# --------------------------------------------------------------------------------------------------------------------
# The class

_FIRST_HALF = ("robust_z", "mad_outliers", "concentration_step")
_SECOND_HALF = ("robust_distances", "pca_outliers", "run_qc", "failed_libraries")
_WITH_MISSING_VALUES = (
    "hidden/test_kept_samples",
    "hidden/test_audit_names_the_first_gate",
    "hidden/test_missing_value_passes_no_gate",
)
_FAILED, _TIMEOUT, _DIED = "failed", "timeout", "kernel_died"

HABITS = (
    Habit("perfect in English", "s01", "Amara", "Okafor", perfect, written=WRITTEN["en"]),
    Habit("perfect in Chinese", "s02", "静", "李", perfect, language="zh", written=WRITTEN["zh"]),
    Habit("half done", "s03", "Jonas", "Lindqvist", half_done, not_attempted=_SECOND_HALF),
    Habit("untouched", "s04", "Noa", "Peretz", untouched, not_attempted=(*_FIRST_HALF, *_SECOND_HALF)),
    Habit(
        "divides by a MAD of zero",
        *("s05", "Mateo", "Vargas"),
        with_mistake("divides_by_zero"),
        mistake="divides_by_zero",
        loses={"hidden/test_more_than_half_equal": _FAILED, "hidden/test_constant_metric_is_zero": _FAILED},
    ),
    Habit(
        "marks the high side only",
        *("s06", "Priya", "Raman"),
        with_mistake("high_side_only"),
        mistake="high_side_only",
        loses={"hidden/test_both_sides_are_marked": _FAILED, "hidden/test_threshold_is_obeyed": _FAILED},
    ),
    Habit(
        "lets missing values pass",
        *("s07", "伟", "张"),
        with_mistake("lets_missing_through"),
        language="zh",
        mistake="lets_missing_through",
        loses=dict.fromkeys(_WITH_MISSING_VALUES, _FAILED),
    ),
    Habit(
        "forgets the dying cells",
        *("s08", "Elif", "Demir"),
        with_mistake("forgets_dying_cells"),
        mistake="forgets_dying_cells",
        loses={"hidden/test_dying_cells_are_found": _FAILED},
    ),
    Habit(
        "endless loop",
        *("s09", "Tom", "Baker"),
        endless_loop,
        loses=dict.fromkeys(_WITH_MISSING_VALUES, _TIMEOUT),
    ),
    Habit(
        "killed kernel",
        *("s10", "Sofia", "Rossi"),
        killed_kernel,
        loses={"hidden/test_unknown_side_and_negative_threshold_are_refused": _DIED},
    ),
    Habit(
        "deleted and duplicated cells",
        *("s11", "Kwame", "Mensah"),
        damaged_cells,
        repairs=("duplicate_answer", "missing_given", "duplicate_check", "missing_check"),
    ),
    Habit(
        "prints warnings, renamed file",
        *("s12", "Yuki", "Sato"),
        prints_warnings,
        file_name="final version (3).ipynb",
        repairs=("renamed_file",),
    ),
)


def write_submission(habit: Habit, material: Material, submitted: Path) -> Path:
    """Put a student's notebook where it is handed in."""
    notebook = habit.work(material)
    if habit.written:
        _written_cell(notebook)["source"] = habit.written
    file = submitted / habit.student / UNIT / habit.file_name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(notebook, ensure_ascii=False, indent=1), encoding="utf-8")
    return file


def _written_cell(notebook: Notebook) -> dict[str, Any]:
    for cell in notebook["cells"]:
        marks = cell["metadata"].get("nbgrader", {})
        if marks.get("grade") and marks.get("solution"):
            return cell
    raise CourseError(f"the released notebook of {UNIT} has no written question")
