"""nbgrader in a class folder: the course's sources, the course's execution, the class's gradebook.

A class's own nbgrader_config.py says only:

    from course.nbgrader_config import configure
    configure(get_config(), __file__)

Then `nbgrader generate_assignment`, `autograde`, `generate_feedback`, `export` and formgrader work in that folder. The
environment variable COURSE_LANGUAGE=zh releases the Chinese notebooks. With `execution = "nbgrader"` in class.toml the
cells are run by nbgrader itself: the same scores for honest work, without the course's protections.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from course import nbgrader_settings, paths
from course.errors import CourseError
from course.grading import late
from course.grading.classroom import Classroom
from course.grading.nbgrader_tools import path_with_tools

LANGUAGE_VARIABLE = "COURSE_LANGUAGE"
_PLUGIN = "course.grading.nbgrader_plugin"


def configure(config: Any, file: str | Path) -> None:
    """Set up nbgrader for the class whose nbgrader_config.py is `file`, and let it find its helper programs."""
    os.environ["PATH"] = path_with_tools(os.environ.get("PATH", ""))
    apply(config, Classroom.open(Path(file).resolve().parent), os.environ.get(LANGUAGE_VARIABLE, "en"))


def apply(config: Any, classroom: Classroom, language: str = "en") -> None:
    """Set up nbgrader for a class.

    Parameters
    ----------
    config : traitlets configuration to fill
    classroom : the class
    language : of the notebooks to release; both languages share one gradebook
    """
    if language not in paths.LANGUAGES:
        raise CourseError(f"{LANGUAGE_VARIABLE} is {language!r}; it must be one of {', '.join(paths.LANGUAGES)}")
    nbgrader_settings.apply(config)
    config.CourseDirectory.course_id = classroom.course_id
    config.CourseDirectory.root = str(classroom.folder)
    config.CourseDirectory.db_url = classroom.database_url
    config.CourseDirectory.source_directory = str(paths.SOLUTIONS / language)
    config.CourseDirectory.release_directory = f"release/{language}"
    late.configure(config, classroom.rules.late)
    config.GenerateAssignment.preprocessors = [*_generate_assignment_steps(), f"{_PLUGIN}.GiveCohort"]
    if classroom.execution == "course":
        _examine_ourselves(config)
    else:
        _let_nbgrader_execute(config)


def _examine_ourselves(config: Any) -> None:
    """The submission is examined apart from the student's code; the notebook receives the points."""
    config.Autograde.sanitize_preprocessors = [f"{_PLUGIN}.Repair"]
    config.Autograde.autograde_preprocessors = [
        f"{_PLUGIN}.Examine",
        *("nbgrader.preprocessors.LimitOutput", "nbgrader.preprocessors.SaveAutoGrades"),
        *("nbgrader.preprocessors.AssignLatePenalties", "nbgrader.preprocessors.CheckCellMetadata"),
    ]
    config.GenerateFeedback.exporter_class = f"{_PLUGIN}.VerdictPage"
    config.GenerateFeedback.preprocessors = []


def _let_nbgrader_execute(config: Any) -> None:
    """nbgrader's own steps, with the class's cohort beside the notebook and time for what a lesson computes."""
    config.Autograde.sanitize_preprocessors = [
        f"{_PLUGIN}.GiveCohort",
        *("nbgrader.preprocessors.ClearOutput", "nbgrader.preprocessors.DeduplicateIds"),
        *("nbgrader.preprocessors.OverwriteKernelspec", "nbgrader.preprocessors.OverwriteCells"),
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    config.Execute.timeout = 300


def _generate_assignment_steps() -> list[str]:
    """nbgrader's own steps of a release, by name."""
    from nbgrader.converters import GenerateAssignment

    steps = GenerateAssignment.class_traits()["preprocessors"].default()
    return [f"{step.__module__}.{step.__qualname__}" for step in steps]
