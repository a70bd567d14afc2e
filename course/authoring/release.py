"""Release: nbgrader's own converter makes the learner's notebook from the instructor's."""

from __future__ import annotations

import logging
from pathlib import Path

from nbgrader.converters import GenerateAssignment
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from course import nbgrader_settings
from course.errors import CourseError


def release(root: Path, unit: str, language: str) -> None:
    """Turn root/solutions/<language>/<unit> into root/exercises/<language>/<unit>, without a database.

    Raises
    ------
    CourseError : nbgrader refused, with its own words
    """
    said = _Said()
    coursedir = CourseDirectory(config=_config(root, unit, language), log=said.logger)
    converter = GenerateAssignment(coursedir=coursedir, config=coursedir.config, log=said.logger)
    try:
        converter.start()
    except (NbGraderException, SystemExit, RuntimeError) as error:
        raise CourseError(f"unit {unit} ({language}): nbgrader can't release it: {said.text() or error}") from error


def _config(root: Path, unit: str, language: str) -> Config:
    config = Config()
    nbgrader_settings.apply(config)
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.source_directory = f"solutions/{language}"
    config.CourseDirectory.release_directory = f"exercises/{language}"
    config.CourseDirectory.assignment_id = unit
    config.GenerateAssignment.no_database = True
    config.SaveCells.enabled = False  # it would write the cells to a gradebook; a class does that in its own folder
    return config


class _Said(logging.Handler):
    """Keeps nbgrader's complaints for our one line, and the terminal clean."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []
        self.logger = logging.Logger("course.release")
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

    def text(self) -> str:
        """The last lines of the complaints, which name the cause."""
        causes = [message.strip().splitlines()[-1] for message in self.messages if message.strip()]
        return "; ".join(dict.fromkeys(causes))
