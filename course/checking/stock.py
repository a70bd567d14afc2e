"""Grading with nbgrader's own execution: `grade(name)` stands in the hidden part of a check cell.

It runs the visible and the hidden tests of one exercise in the student's kernel and returns the points, which
nbgrader reads as partial credit. That gives honest work the same score as the course's examination, without its
protections: here tests and student code share a process. Students never have this module, nor the hidden tests.
"""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course import paths
from course.checking.draw import PUBLIC_KEY
from course.checking.notebook import Learner, notebook_names
from course.checking.runner import Context, Outcome, Runner, with_tests
from course.checking.support import NotebookError, need_support

SETTINGS, KEY = "class.toml", "secret.key"  # as course.grading.classroom names them; checking may not import it


@dataclass(frozen=True)
class Place:
    """Where a class's key, cohort and truth are; or the public ones."""

    key: bytes
    cohort: Path
    truth: Path


def grade(name: str) -> int:
    """Points of an exercise, from its visible and hidden tests, on what the notebook has defined.

    Raises
    ------
    NotebookError : not run inside a class's folder, or the hidden tests are not on this machine
    """
    support = need_support()
    support.exercise(name)
    hidden = paths.hidden_tests(support.unit)
    if not hidden.is_file():
        raise NotebookError(f"the hidden tests of {support.unit} are not on this machine; they run when you hand in")
    place = find_place(Path.cwd())
    learner = Learner(notebook_names(sys._getframe(1).f_globals))
    context = Context(
        place.key,
        cohort=functools.partial(_cohort, place.cohort),
        truth=functools.partial(_truth, place.truth),
    )

    def run(runner: Runner) -> list[Outcome]:
        return runner.run(learner, context, [test for test in runner.tests if test.exercise == name])

    outcomes = with_tests(run, exercises=support.names, visible=[paths.visible_tests(support.unit)], hidden=[hidden])
    return sum(outcome.points for outcome in outcomes)


def find_place(folder: Path) -> Place:
    """The class around a folder; inside the course's repository, the public key and the frozen cohort.

    Raises
    ------
    NotebookError : the folder is in neither
    """
    folder = folder.resolve()
    for above in (folder, *folder.parents):
        if (above / SETTINGS).is_file():
            key = bytes.fromhex((above / KEY).read_text(encoding="ascii").strip())
            return Place(key, above / "data" / "cohort", above / "data" / "truth" / "cohort.json")
    if paths.ROOT in (folder, *folder.parents):
        return Place(PUBLIC_KEY, paths.COHORT, paths.TRUTH)
    raise NotebookError(
        f"{folder} is not inside a class: no folder above it has a {SETTINGS}. "
        "Hidden tests run in a class's folder (course class new DIR), or in the repository with the public key"
    )


@functools.cache
def _cohort(folder: Path) -> Any:
    from reference_impl.cohort import load

    return load("cohort", folder=folder)


@functools.cache
def _truth(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))
