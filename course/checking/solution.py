"""The reference as a subject, and the namespace of a solved lesson; trusted code only, never a submission's."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shutil
import tempfile
import tomllib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from course.checking.runner import NotAttempted
from course.paths import solution_notebook, unit_folder

Step = Callable[[str, dict[str, Any]], None]


def solution_cells(notebook: Path) -> list[tuple[str, str]]:
    """(grade_id, source) of the code cells of a solution notebook that are run, in order.

    Check cells are left out: they examine, they define nothing. The grade_id of a cell that is not graded is "".
    """
    found = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        grading = cell["metadata"].get("nbgrader", {})
        is_check = grading.get("grade", False) and not grading.get("solution", False)
        if cell["cell_type"] == "code" and not is_check:
            source = cell["source"]
            found.append((grading.get("grade_id", ""), source if isinstance(source, str) else "".join(source)))
    return found


def run_solution(notebook: Path, *, cohort: Path | None = None, before: Step | None = None) -> dict[str, Any]:
    """Run a solved lesson from top to bottom and return its namespace.

    Parameters
    ----------
    notebook : a notebook of `solutions/`
    cohort : folder of a class's cohort, which `load("cohort")` then finds; without it, the frozen one
    before : called with the grade_id and the namespace just before each graded cell runs

    Raises
    ------
    RuntimeError : a cell raised; names the notebook and the cell's first line
    """
    namespace: dict[str, Any] = {"__name__": "__main__", "display": lambda *_, **__: None}
    with _lesson_folder(notebook.parent, cohort):
        for grade_id, source in solution_cells(notebook):
            if grade_id and before is not None:
                before(grade_id, namespace)
            try:
                exec(compile(source, f"<{notebook.stem}: {grade_id or 'given'}>", "exec"), namespace)
            except Exception as error:
                first = source.strip().splitlines()[0]
                raise RuntimeError(f"{notebook.name}: the cell that begins {first!r} raised {error!r}") from error
    return namespace


def value_namespaces(notebook: Path, names: list[str], *, cohort: Path | None = None) -> dict[str, dict[str, Any]]:
    """For each value exercise, the names that stand in the lesson just before its cell runs.

    The lesson is run as far as the last of them.
    """
    found: dict[str, dict[str, Any]] = {}

    def keep(grade_id: str, namespace: dict[str, Any]) -> None:
        if grade_id in names:
            found[grade_id] = dict(namespace)
            if len(found) == len(names):
                raise _Enough

    if names:
        with contextlib.suppress(_Enough):
            run_solution(notebook, cohort=cohort, before=keep)
    return found


class _Enough(BaseException):
    """Ends a lesson of which all is known that was asked."""


@contextlib.contextmanager
def _lesson_folder(folder: Path, cohort: Path | None) -> Iterator[None]:
    """Work where the lesson would: a scratch folder with its support files and the cohort; nothing is shown."""
    import matplotlib
    import matplotlib.pyplot as plt

    backend, here = matplotlib.get_backend(), os.getcwd()
    with tempfile.TemporaryDirectory(prefix="lesson-") as scratch:
        if (folder / "support").is_dir():
            shutil.copytree(folder / "support", Path(scratch, "support"))
        if cohort is not None:
            shutil.copytree(cohort, Path(scratch, "support", "data", "cohort"))
        matplotlib.use("agg")
        os.chdir(scratch)
        try:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            os.chdir(here)
            plt.close("all")
            matplotlib.use(backend)


class ReferenceSubject:
    """Answers every exercise of a unit as the reference does.

    Functions come from the reference module that unit.toml names, values from running the solved lesson once.
    """

    def __init__(self, unit: str, exercises: dict[str, str | None], *, cohort: Path | None = None) -> None:
        self.unit = unit
        self.exercises = exercises
        self._cohort = cohort
        self._values: dict[str, Any] | None = None

    @classmethod
    def of_unit(cls, unit: str, *, cohort: Path | None = None) -> ReferenceSubject:
        """The reference of a unit of the course; `cohort` as in `run_solution`."""
        description = tomllib.loads((unit_folder(unit) / "unit.toml").read_text(encoding="utf-8"))
        return cls(unit, {entry["name"]: entry.get("reference") for entry in description["exercises"]}, cohort=cohort)

    def get(self, name: str) -> Any:
        """The reference's function, or its value."""
        if name not in self.exercises:
            raise NotAttempted(f"unit {self.unit} has no exercise {name}")
        module = self.exercises[name]
        if module is not None:
            return getattr(importlib.import_module(module), name)
        if self._values is None:
            self._values = run_solution(solution_notebook(self.unit, "en"), cohort=self._cohort)
        return self._values[name]
