"""Regrade a class after a test or a solution changed: what the change touches and nothing else, first on paper.

What decided each verdict was noted when it was graded (`basis`). Where that differs from what would decide it today,
the exercises that differ are examined again; the others keep what they have. The result says per student what moves
and why. Only with `--apply` is anything written: then verdicts, gradebook, notebooks, feedback, store and report, and
manual grades stay as they are.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import shutil
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course.errors import CourseError
from course.grading import attempts, basis, grade, intake, report
from course.grading import verdict as verdicts
from course.grading.basis import Basis, Touched
from course.grading.classroom import Classroom
from course.grading.gradebook import open_gradebook
from course.grading.intake import Library, Refused, Submission
from course.grading.pages import number
from course.grading.store import Store
from course.grading.verdict import Verdict
from course.grading.writer import one_writer

if TYPE_CHECKING:
    from course.grading.examine import UnitFiles
    from course.grading.pool import Job


@dataclass(frozen=True)
class Move:
    """One thing that changed for a student in one exercise, and why."""

    exercise: str
    what: str
    why: str


@dataclass(frozen=True)
class Regraded:
    """A submission whose exercises were examined again: what was, what would be, and what moved."""

    submission: Submission
    before: Verdict
    after: Verdict
    executed: Mapping[str, Any] | None
    moves: Sequence[Move] = ()

    @property
    def difference(self) -> float:
        """Points gained or lost."""
        return self.after["points"] - self.before["points"]


@dataclass
class Outcome:
    """What a regrade found."""

    classroom: Classroom
    applied: bool = False
    touched: dict[str, Touched] = field(default_factory=dict)
    regraded: list[Regraded] = field(default_factory=list)
    untouched: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def moved(self) -> list[Regraded]:
        """Those for whom anything changes."""
        return [item for item in self.regraded if item.moves]

    def lines(self) -> Iterator[str]:
        """What is printed: the units and why, each student who moves, and the sum."""
        for unit, change in sorted(self.touched.items()):
            if change:
                yield f"{unit}: {'; '.join(f'{name}: {why}' for name, why in sorted(change.reasons.items()))}"
        for item in sorted(self.moved, key=lambda item: (item.before["unit"], item.before["student"])):
            before, after = number(item.before["points"]), number(item.after["points"])
            maximum = number(item.after["max_points"])
            yield (
                f"  {item.before['student']}  {item.before['unit']}  {before} → {after} of {maximum}"
                f"  ({item.difference:+g})"
            )
            for move in item.moves:
                yield f"      {move.exercise}: {move.what}  ({move.why})"
        yield self._sum()

    def _sum(self) -> str:
        if not self.regraded and not self.failed:
            return f"nothing that decides a verdict has changed; {self.untouched} submissions stay as they are"
        up, down = (sum(sign * item.difference > 0 for item in self.regraded) for sign in (1, -1))
        said = (
            f"{len(self.regraded)} submissions examined again, {self.untouched} untouched: "
            f"{up} gain points, {down} lose points, {len(self.regraded) - up - down} keep them"
        )
        if self.applied:
            return f"{said}; all is written"
        return f"{said}; nothing was written: course regrade {self.classroom.folder} --apply writes it"


def regrade_class(
    classroom: Classroom,
    *,
    units: Sequence[str] | None = None,
    students: Sequence[str] | None = None,
    jobs: int | None = None,
    apply: bool = False,
) -> Outcome:
    """Examine again what a change touches.

    Parameters
    ----------
    units, students : only these; by default all that have a verdict
    jobs : processes that examine; by default one per core
    apply : write what was found; without it nothing in the class's folder or gradebook changes

    Raises
    ------
    CourseError : nothing has been graded, or the class can't be used
    """
    with ExitStack() as held:
        if apply:
            held.enter_context(one_writer(classroom))
        outcome = Outcome(classroom, applied=apply)
        library = Library()
        plan = _plan(classroom, library, units, students, outcome)
        with closing(_examined(classroom, plan, jobs)) as results:
            for item, done in results:
                if done is None or done["status"] != "graded":
                    reason = done["reason"] if done else "its notebook is gone"
                    outcome.failed.append(f"{item.before['student']}, {item.before['unit']}: not examined: {reason}")
                else:
                    outcome.regraded.append(_compared(item, done))
        if apply:
            _write(classroom, library, plan, outcome)
    return outcome


# --------------------------------------------------------------------------------------------------------------------
# What to do


@dataclass
class _Item:
    """One submission to examine again, in part."""

    before: Verdict
    submission: Submission | None
    touched: Touched
    now: Basis
    executed: Mapping[str, Any] | None = None


@dataclass
class _Plan:
    items: list[_Item] = field(default_factory=list)
    untouched: list[_Item] = field(default_factory=list)
    now: dict[tuple[str, str], Basis] = field(default_factory=dict)


def _plan(
    classroom: Classroom,
    library: Library,
    units: Sequence[str] | None,
    students: Sequence[str] | None,
    outcome: Outcome,
) -> _Plan:
    found = [item for item in report.read_verdicts(classroom, units) if item["status"] == "graded"]
    known = {item["student"] for item in found}
    strangers = sorted(set(students or ()) - known)
    if strangers:
        raise CourseError(f"{', '.join(strangers)}: no verdict in {classroom.folder}; grade first")
    if students is not None:
        found = [item for item in found if item["student"] in students]
    if not found:
        raise CourseError(f"nothing has been graded in {classroom.folder} yet; grade with: course grade DIR")
    plan = _Plan()
    bases = basis.Current(classroom)
    handed_in = _handed_in(classroom, library, units)
    for verdict in found:
        key = verdict["unit"], verdict["language"]
        if key not in plan.now:
            plan.now[key] = bases.of(*key)
        change = basis.touched(basis.read(classroom, verdict["student"], verdict["unit"]), plan.now[key])
        submission = _submission(classroom, library, verdict, handed_in)
        if submission is not None and submission.sha256 != verdict["submission"]:
            # Mended otherwise than it was graded: nothing of the old verdict may be mixed with it.
            why = "the unit was released anew"
            change = Touched(dict.fromkeys(plan.now[key]["exercises"], why), change.tests, why)
        item = _Item(verdict, submission, change, plan.now[key])
        if change:
            known_change = outcome.touched.get(verdict["unit"])
            reasons = {**(known_change.reasons if known_change else {}), **change.reasons}
            outcome.touched[verdict["unit"]] = Touched(reasons, change.tests, change.everything)
            plan.items.append(item)
        else:
            plan.untouched.append(item)
    outcome.untouched = len(plan.untouched)
    return plan


def _handed_in(
    classroom: Classroom, library: Library, units: Sequence[str] | None
) -> dict[tuple[str, str], Submission]:
    found: Iterable[Submission | Refused] = intake.collect(classroom, library, units)
    return {(item.student, item.unit): item for item in found if isinstance(item, Submission)}


def _submission(
    classroom: Classroom, library: Library, verdict: Verdict, handed_in: Mapping[tuple[str, str], Submission]
) -> Submission | None:
    """The submission that a verdict is on: what is handed in now, or the attempt that was kept."""
    student, unit = verdict["student"], verdict["unit"]
    now = handed_in.get((student, unit))
    kept = {item.submission: item for item in attempts.read(classroom, student, unit)}
    if now is not None and (now.sha256 == verdict["submission"] or not kept):
        return now
    wanted = kept.get(verdict["submission"])
    if wanted is None:
        return now
    try:
        return intake.take(wanted.file, student, library)
    except intake.Unreadable:
        return None


# --------------------------------------------------------------------------------------------------------------------
# Examining a part


def _examined(
    classroom: Classroom, plan: _Plan, jobs: int | None
) -> Generator[tuple[_Item, Verdict | None], None, None]:
    """Each item with the verdict on its touched exercises alone."""
    from course.grading.pool import examine_all

    by_part: dict[tuple[str, str, tuple[str, ...]], list[_Item]] = {}
    for item in plan.items:
        if item.submission is None:
            yield item, None
            continue
        names = tuple(name for name in item.now["exercises"] if name in item.touched.reasons)
        by_part.setdefault((item.before["unit"], item.before["language"], names), []).append(item)
    with ExitStack() as scratch:
        tasks: list[Job] = []
        waiting: dict[tuple[str, str, str], _Item] = {}
        for (unit, language, names), items in by_part.items():
            if not names:  # an exercise was removed and no other is touched: there is nothing to run
                for item in items:
                    item.executed = _as_it_was_left(classroom, item.before)
                    yield item, {**item.before, "exercises": []}
                continue
            files = scratch.enter_context(part_of(unit, language, names))
            for item in items:
                assert item.submission is not None
                [job] = grade.tasks(classroom, [item.submission])
                tasks.append(dataclasses.replace(job, unit=files))
                waiting[item.before["student"], unit, item.submission.sha256] = item
        if tasks:
            results = examine_all(tasks, workers=grade.workers(jobs, len(tasks)))
            with closing(results):  # type: ignore[type-var]
                for done in results:
                    found = done.verdict
                    item = waiting.pop((found["student"], found["unit"], found["submission"]))
                    item.executed = done.executed
                    yield item, found


def _as_it_was_left(classroom: Classroom, verdict: Verdict) -> Mapping[str, Any]:
    """The autograded notebook: it is made anew from a verdict and the outputs in it."""
    student, unit = verdict["student"], verdict["unit"]
    return json.loads((classroom.autograded / student / unit / f"{unit}.ipynb").read_text(encoding="utf-8"))


@contextmanager
def part_of(unit: str, language: str, names: Sequence[str]) -> Iterator[UnitFiles]:
    """A unit with some of its exercises only: its test files without the tests of the others."""
    from course.grading.examine import UnitFiles

    whole = UnitFiles.of(unit, language)
    if len(names) == len(whole.exercises):
        yield whole
        return
    everything = [exercise.name for exercise in whole.exercises]
    folder = Path(tempfile.mkdtemp(prefix="course-regrade-"))
    try:
        made: dict[str, tuple[Path, ...]] = {}
        for kind, files in (("visible", whole.visible), ("hidden", whole.hidden)):
            made[kind] = tuple(_without_others(file, everything, names, folder / kind / file.name) for file in files)
        exercises = tuple(exercise for exercise in whole.exercises if exercise.name in names)
        yield dataclasses.replace(whole, exercises=exercises, visible=made["visible"], hidden=made["hidden"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _without_others(file: Path, everything: Sequence[str], names: Sequence[str], target: Path) -> Path:
    """A copy of a test file with blank lines in place of the tests of other exercises; line numbers stay."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    owners = dict(basis.tests_in(file, everything))
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and owners.get(node.name, names[0]) not in names:
            first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
            for place in range(first - 1, node.end_lineno or first):
                lines[place] = "\n"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(lines), encoding="utf-8")
    return target


# --------------------------------------------------------------------------------------------------------------------
# Putting together and comparing


def _compared(item: _Item, part: Verdict) -> Regraded:
    assert item.submission is not None
    after = merged(item.before, part, list(item.now["exercises"]), item.submission)
    return Regraded(item.submission, item.before, after, item.executed, list(moves(item.before, after, item.touched)))


def merged(before: Verdict, part: Verdict, exercises: Sequence[str], submission: Submission) -> Verdict:
    """The verdict in which the exercises of `part` take the place of the old ones, in the order of the unit.

    Raises
    ------
    VerdictError : the parts do not make a verdict
    """
    from course.grading.examine import UnitFiles

    entries = {entry["name"]: entry for entry in before["exercises"]} | {
        entry["name"]: entry for entry in part["exercises"]
    }
    files = UnitFiles.of(before["unit"], before["language"])
    chosen = [entries[name] for name in exercises]
    after = {
        **before,
        "submission": submission.sha256,
        "tests": files.tests_digest,
        "environment": part["environment"],
        "isolation": part["isolation"],
        "cells": part["cells"],
        "repairs": list(submission.repairs),
        "exercises": chosen,
        "points": sum(entry["points"] for entry in chosen),
        "max_points": sum(entry["max_points"] for entry in chosen),
        "written": dict(files.written) if files.written else None,
    }
    verdicts.validate(after)
    return after


def moves(before: Verdict, after: Verdict, change: Touched) -> Iterator[Move]:
    """What differs between two verdicts on a submission, and why, exercise by exercise."""
    old = {entry["name"]: entry for entry in before["exercises"]}
    new = {entry["name"]: entry for entry in after["exercises"]}
    for name in [*new, *(name for name in old if name not in new)]:
        yield from _moves_of(name, old.get(name), new.get(name), change)


def _moves_of(
    name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, change: Touched
) -> Iterator[Move]:
    earlier = {test["id"]: test for test in old["tests"]} if old else {}
    later = {test["id"]: test for test in new["tests"]} if new else {}
    for test in [*later, *(test for test in earlier if test not in later)]:
        was, now = earlier.get(test), later.get(test)
        if was is None and now is not None:
            what = f"{test} {now['status']} ({number(now['points'])} of {number(now['max_points'])})"
            yield Move(name, what, "new test")
        elif now is None and was is not None:
            yield Move(name, f"{test} {was['status']}, {number(was['points'])} points are gone", "test removed")
        elif was is not None and now is not None:
            differs = [
                *([f"{was['status']} → {now['status']}"] if was["status"] != now["status"] else []),
                *(
                    [f"worth {number(was['max_points'])} → {number(now['max_points'])} points"]
                    if was["max_points"] != now["max_points"]
                    else []
                ),
            ]
            if differs:
                yield Move(name, f"{test} {', '.join(differs)}", _why(test, change))
    mistakes = [entry["mistake"]["name"] if entry and entry["mistake"] else None for entry in (old, new)]
    if mistakes[0] != mistakes[1]:
        told = " → ".join(text.replace("_", " ") if text else "none" for text in mistakes)
        yield Move(name, f"mistake recognised: {told}", change.reasons.get(name, "examined again"))


def _why(test: str, change: Touched) -> str:
    if change.everything:
        return change.everything
    became = change.tests.get(test)
    return f"test {became}" if became else "examined again with its exercise; the test itself is as it was"


# --------------------------------------------------------------------------------------------------------------------
# Writing


def _write(classroom: Classroom, library: Library, plan: _Plan, outcome: Outcome) -> None:
    """Put what was found in force, and let the store know it, so that `course grade` has nothing to do again."""
    store = Store(classroom.store)
    grade.enter_units(classroom, library, sorted({item.before["unit"] for item in outcome.regraded}))
    bases = {(item.before["student"], item.before["unit"]): item.now for item in (*plan.items, *plan.untouched)}
    with open_gradebook(classroom) as gradebook:
        for item in outcome.regraded:
            assert item.executed is not None
            _remember(classroom, store, item.submission, item.after, item.executed)
            grade.put_in_force(
                classroom,
                gradebook,
                library,
                grade.Examined(item.submission, item.after, item.executed, known=False),
                bases[item.before["student"], item.before["unit"]],
            )
    for kept in plan.untouched:
        if kept.submission is not None:
            _rekey(classroom, store, kept)
    report.write(classroom)


def _remember(
    classroom: Classroom, store: Store, submission: Submission, verdict: Verdict, executed: Mapping[str, Any]
) -> None:
    [job] = grade.tasks(classroom, [submission])
    store.put(job.record, {"verdict": verdict, "executed": executed})


def _rekey(classroom: Classroom, store: Store, item: _Item) -> None:
    """A verdict that the change does not touch holds under the new tests as well."""
    from course.grading.examine import UnitFiles

    verdict, submission = item.before, item.submission
    assert submission is not None
    now = UnitFiles.of(verdict["unit"], verdict["language"]).tests_digest
    if verdict["tests"] == now or submission.sha256 != verdict["submission"]:
        return
    file = classroom.autograded / verdict["student"] / verdict["unit"] / f"{verdict['unit']}.ipynb"
    if file.is_file():
        after = {**verdict, "tests": now}
        _remember(classroom, store, submission, after, _as_it_was_left(classroom, verdict))
        verdicts.write(after, report.verdict_file(classroom, verdict["student"], verdict["unit"]))
