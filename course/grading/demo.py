"""A whole class in one command: released, handed in, graded, reported, and compared with what is right.

The class has a fixed key, so its cohort and all hidden inputs are the same everywhere. Its submissions are ours.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from course import paths
from course.errors import CourseError
from course.grading import classroom as classrooms
from course.grading import feedback, grade, release, report
from course.grading.classroom import Classroom, Student
from course.grading.habits import HABITS, UNIT, Habit, Material, write_submission
from course.grading.pages import STATUSES, number
from course.grading.verdict import Verdict

NAME = "Demo class"
KEY = hashlib.sha256(b"multiomics-course: the key of the demo class; every real class has a secret one").digest()
FOLDER = "multiomics-demo-class"
MARK = ".course-demo"  # a folder with this file was made by the demo and may be made again


def play(folder: Path | None = None, *, jobs: int | None = None, console: Console | None = None) -> int:
    """Play the class and print what came of it.

    Parameters
    ----------
    folder : where the class is made; by default beside the repository, or in the temporary folder
    jobs : processes that examine; by default one per core
    console : where to print

    Returns
    -------
    0 if every score is the expected one, otherwise 1
    """
    started = time.monotonic()
    out = console or Console()
    if not paths.solution_notebook(UNIT, "en").is_file():
        raise CourseError(f"the demo needs unit {UNIT}; build the units first: course build")
    place = _place(folder)
    with out.status("Making the class: a key, a roster, a gradebook and a cohort of its own"):
        classroom = _make(place)
    with out.status("Releasing the units") as line:
        made = release.bundle(classroom, progress=lambda step: line.update(f"Releasing the units: {step}"))
    with out.status("Writing twelve submissions"):
        hand_in(classroom)
    out.print(f"[bold]{NAME}[/]  {len(release.buildable())} units released, {len(HABITS)} submissions of {UNIT}")
    grade.grade_class(classroom, jobs=jobs, console=out)
    rows = compare(classroom)
    out.print(_table(rows))
    _say_where(out, classroom, made, rows, time.monotonic() - started)
    return 0 if all(row.as_expected for row in rows) else 1


def _place(folder: Path | None) -> Path:
    """Where the class goes; an earlier demo there makes room, anything else is refused."""
    if folder is None:
        beside = paths.ROOT.parent
        folder = beside / FOLDER if os.access(beside, os.W_OK) else Path(tempfile.gettempdir(), FOLDER)
    folder = folder.expanduser().resolve()
    if (folder / MARK).is_file():
        shutil.rmtree(folder)
    return classrooms.check_place(folder)


def _make(place: Path) -> Classroom:
    with tempfile.TemporaryDirectory() as scratch:
        roster = Path(scratch, "roster.csv")
        students = [Student(habit.student, habit.first_name, habit.last_name, "", habit.language) for habit in HABITS]
        classrooms.write_roster(roster, {student.id: student for student in students})
        classroom = classrooms.create(place, name=NAME, roster=roster, key=KEY)
    (place / MARK).touch()
    return classroom


def hand_in(classroom: Classroom) -> list[Path]:
    """Write the twelve submissions, made from what the class was given."""
    materials = {
        language: Material.of(language, classroom.release(language) / UNIT / f"{UNIT}.ipynb")
        for language in paths.LANGUAGES
    }
    return [write_submission(habit, materials[habit.language], classroom.submitted) for habit in HABITS]


@dataclass(frozen=True)
class Row:
    """What grading found of a student, and what is right."""

    habit: Habit
    verdict: Verdict | None
    expected: float
    differences: tuple[str, ...]

    @property
    def as_expected(self) -> bool:
        """Whether score, statuses, mistake and repairs are all as they should be."""
        return not self.differences


def compare(classroom: Classroom) -> list[Row]:
    """Each habit with its verdict and how that differs from what is right."""
    found = {verdict["student"]: verdict for verdict in report.read_verdicts(classroom, [UNIT])}
    whole = next((verdict for verdict in found.values() if verdict["status"] == "graded"), None)
    return [_row(habit, found.get(habit.student), whole) for habit in HABITS]


def _row(habit: Habit, verdict: Verdict | None, whole: Verdict | None) -> Row:
    right = expected_statuses(habit, whole) if whole else {}
    expected = sum(worth for status, worth in right.values() if status == "passed")
    if verdict is None or verdict["status"] != "graded":
        reason = verdict["reason"] if verdict else "no verdict"
        return Row(habit, verdict, expected, (f"not graded: {reason}",))
    differences = []
    if verdict["points"] != expected:
        differences.append(f"{number(verdict['points'])} points instead of {number(expected)}")
    for exercise in verdict["exercises"]:
        for test in exercise["tests"]:
            if test["status"] != right[test["id"]][0]:
                differences.append(f"{test['id']}: {test['status']} instead of {right[test['id']][0]}")
    mistakes = [exercise["mistake"]["name"] for exercise in verdict["exercises"] if exercise["mistake"]]
    if mistakes != ([habit.mistake] if habit.mistake else []):
        differences.append(f"recognised {mistakes or 'nothing'} instead of {habit.mistake or 'nothing'}")
    repairs = tuple(repair.partition(":")[0] for repair in verdict["repairs"])
    if repairs != habit.repairs:
        differences.append(
            f"repaired {', '.join(repairs) or 'nothing'} instead of {', '.join(habit.repairs) or 'nothing'}"
        )
    return Row(habit, verdict, expected, tuple(differences))


def expected_statuses(habit: Habit, whole: Verdict) -> dict[str, tuple[str, float]]:
    """For every test the status that the habit must end in, and what the test is worth.

    Raises
    ------
    CourseError : the habit names a test or an exercise that the unit does not have
    """
    right: dict[str, tuple[str, float]] = {}
    for exercise in whole["exercises"]:
        untouched = exercise["name"] in habit.not_attempted
        for test in exercise["tests"]:
            status = "not_attempted" if untouched else habit.loses.get(test["id"], "passed")
            right[test["id"]] = (status, test["max_points"])
    unknown = set(habit.loses) - set(right) | set(habit.not_attempted) - {part["name"] for part in whole["exercises"]}
    if unknown:
        raise CourseError(
            f"the demo's habit {habit.name!r} names {', '.join(sorted(unknown))}, which {UNIT} does not have"
        )
    return right


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column, justify in (
        ("student", "left"),
        ("habit", "left"),
        ("score", "right"),
        ("expected", "right"),
        ("", "left"),
    ):
        table.add_column(column, justify=justify, no_wrap=column != "")  # type: ignore[arg-type]
    table.add_column("what grading found")
    for row in rows:
        verdict: dict[str, Any] = row.verdict or {}
        score = f"{number(verdict.get('points'))} / {number(verdict.get('max_points'))}"
        sign = "[green]✓[/]" if row.as_expected else "[bold red]✗[/]"
        table.add_row(row.habit.student, row.habit.name, score, number(row.expected), sign, _told(row))
    return table


def _told(row: Row) -> str:
    if row.differences:
        return "; ".join(row.differences)
    assert row.verdict is not None
    told = []
    if row.habit.mistake:
        told.append(f"mistake recognised: {row.habit.mistake.replace('_', ' ')}")
    elif row.habit.loses:
        for status, count in Counter(row.habit.loses.values()).items():
            told.append(f"{count} {'test' if count == 1 else 'tests'}: {STATUSES[status].word['en']}")
    if row.habit.not_attempted:
        told.append(f"{len(row.habit.not_attempted)} exercises not attempted")
    if row.habit.repairs:
        told.append("repaired: " + ", ".join(repair.replace("_", " ") for repair in row.habit.repairs))
    return "; ".join(told) or "all tests passed"


def _say_where(out: Console, classroom: Classroom, made: list[Path], rows: list[Row], seconds: float) -> None:
    isolations = sorted({row.verdict["isolation"] for row in rows if row.verdict})
    told = ", ".join(feedback.ISOLATION.get(text, {}).get("en", text) for text in isolations)
    wrong = sum(not row.as_expected for row in rows)
    verdict = "every score is the expected one" if not wrong else f"{wrong} of {len(rows)} are not as expected"
    first = feedback.path(classroom, HABITS[4].student, UNIT)
    out.print()
    for what, where in (
        ("report", classroom.report),
        ("feedback", first),
        ("gradebook", classroom.database or classroom.folder / "gradebook.db"),
        ("for students", made[0].parent),
        ("written answers", f"course formgrade {classroom.folder}"),
    ):
        out.print(f"  {what:<16}{where}", highlight=False, soft_wrap=True)
    out.print()
    out.print(
        f"{'[green]' if not wrong else '[bold red]'}{verdict}[/]; student code was examined {told}; {seconds:.0f} s",
        highlight=False,
    )
