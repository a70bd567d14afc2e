"""Where nbgrader's commands meet the course: steps that a class's nbgrader_config.py puts into nbgrader's lists.

`GiveCohort` puts the class's cohort beside a released notebook. `Repair` and `Examine` take the place of nbgrader's own
clean-up and execution in `nbgrader autograde`; nbgrader then reads the points and writes its gradebook as always.
`VerdictPage` makes `nbgrader generate_feedback` write the course's feedback, which holds no hidden test.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import Exporter
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool, Unicode

from course.errors import CourseError
from course.grading import rendering
from course.grading.classroom import Classroom
from course.grading.intake import Library, Submission, Unreadable, take


def _classroom(step: Any) -> Classroom:
    return Classroom.open(_converter(step).coursedir.root)


def _converter(step: Any) -> Any:
    """nbgrader's converter: the parent of the exporter that a step belongs to."""
    converter = step.parent
    while not hasattr(converter, "coursedir"):
        converter = converter.parent
    return converter


class GiveCohort(NbGraderPreprocessor):
    """Puts the class's cohort, never its truth, where the notebook looks for it."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Copy the cohort; the notebook stays as it is."""
        classroom = _classroom(self)
        names = resources["nbgrader"]
        folder = Path(_converter(self)._format_dest(names["assignment"], names["student"]))
        target = folder / "support" / "data" / "cohort"
        if target.is_dir():
            shutil.rmtree(target)
        shutil.copytree(classroom.cohort, target)
        return nb, resources


class Repair(NbGraderPreprocessor):
    """Hands on the submission as intake repairs it: its own ids, the released checks, no outputs."""

    def preprocess(self, _nb: Any, resources: Any) -> tuple[Any, Any]:
        """The repaired notebook in place of the one handed in."""
        submission = _submission(self, resources)
        for repair in submission.repairs:
            self.log.warning("%s: %s", submission.student, repair)
        return as_node({**submission.notebook, "cells": _with_outputs(submission.notebook["cells"])}), resources


class Examine(NbGraderPreprocessor):
    """Examines the submission apart from the student's code; the notebook comes back with its points."""

    sandbox = Bool(True, help="False runs students' code with your own rights; every result says so.").tag(config=True)

    def preprocess(self, _nb: Any, resources: Any) -> tuple[Any, Any]:
        """The executed notebook, check cells with their points; raises where it can't be graded."""
        from course.grading import sandbox
        from course.grading.grade import examine_one

        if not self.sandbox:
            sandbox.use("none")
        classroom = _classroom(self)
        submission = _submission(self, resources)
        examined = examine_one(classroom, submission)
        return as_node(rendering.rendered(examined.executed, examined.verdict)), resources


class VerdictPage(Exporter):
    """The course's feedback in place of the notebook with its hidden tests."""

    file_extension = Unicode(".html").tag(config=True)

    def from_filename(self, _filename: str, resources: Any = None, **_: Any) -> tuple[str, Any]:
        """The page on the submission of that student and unit."""
        from course.grading.grade import feedback_page

        names = resources["nbgrader"]
        resources["output_extension"] = self.file_extension
        return feedback_page(_classroom(self), names["student"], names["notebook"]), resources


def _submission(step: Any, resources: Any) -> Submission:
    """What was handed in, read again from where it was handed in: nothing that ran before can have changed it."""
    names = resources["nbgrader"]
    coursedir = _converter(step).coursedir
    folder = Path(coursedir.format_path(coursedir.submitted_directory, names["student"], names["assignment"]))
    try:
        return take(
            folder / f"{names['notebook']}.ipynb", names["student"], Library(), handed_in_as=names["assignment"]
        )
    except Unreadable as error:
        raise CourseError(f"{names['student']}, {names['assignment']}: not graded: {error.en}") from None


def _with_outputs(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**cell, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell for cell in cells]


def as_node(notebook: dict[str, Any]) -> Any:
    """The notebook as nbformat has it."""
    return nbformat.from_dict(notebook)
