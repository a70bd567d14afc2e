"""Grade a class: take what was handed in, examine it, and write gradebook, autograded notebooks, feedback and report.

Examinations are kept in the class's store by content, so a run that was interrupted goes on where it stopped and
what is known is not examined again. One process, this one, writes. The verdict in force is written last: where it
stands, everything else of that submission is written too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from course.errors import CourseError
from course.grading import attempts, basis, feedback, intake, release, rendering, report
from course.grading import verdict as verdicts
from course.grading.classroom import Classroom
from course.grading.deadlines import in_force
from course.grading.gradebook import ClassGradebook, open_gradebook
from course.grading.inbox import bring_in
from course.grading.intake import Library, Refused, Submission
from course.grading.store import Store, digest
from course.grading.verdict import Verdict
from course.grading.writer import one_writer

if TYPE_CHECKING:
    from course.grading.cluster import Cluster
    from course.grading.pool import Job


@dataclass
class Outcome:
    """What a run did."""

    classroom: Classroom
    graded: list[Verdict] = field(default_factory=list)
    not_graded: list[Verdict] = field(default_factory=list)
    not_taken: list[Refused] = field(default_factory=list)
    known: int = 0
    report: Path | None = None

    def summary(self) -> str:
        """What was done and where to look."""
        total = len(self.graded) + len(self.not_graded)
        how = {verdict["isolation"] for verdict in self.graded}
        isolation = (
            f", examined {' and '.join(sorted(feedback.ISOLATION.get(text, {}).get('en', text) for text in how))}"
            if how
            else ""
        )
        lines = [
            f"{_count(total, 'submission')}: {len(self.graded)} graded ({self.known} known already), "
            f"{len(self.not_graded)} not graded{isolation}",
            f"  feedback   {self.classroom.feedback}",
        ]
        if self.report is not None:
            lines.append(f"  report     {self.report}")
        return "\n".join(lines)

    def troubles(self) -> list[str]:
        """What could not be graded, one line each."""
        lines = [f"{item['student']}, {item['unit']}: not graded: {item['reason']}" for item in self.not_graded]
        return lines + [f"{item.file}: not taken: {item.reason['en']}" for item in self.not_taken]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def grade_class(
    classroom: Classroom,
    *,
    units: Sequence[str] | None = None,
    jobs: int | None = None,
    inbox: Path | None = None,
    console: Console | None = None,
    cluster: Cluster | None = None,
) -> Outcome:
    """Grade what was handed in to a class.

    Parameters
    ----------
    units : only these; by default all
    jobs : processes that examine; by default one per core
    inbox : first take the notebooks of this folder, zip, exchange or download into the class
    console : where the progress bar goes; by default standard error
    cluster : who examines in place of processes of this machine

    Raises
    ------
    CourseError : there is nothing to grade, or the class or its gradebook can't be used
    """
    with one_writer(classroom):
        return _grade(classroom, units, jobs, inbox, console or Console(stderr=True), cluster)


def _grade(
    classroom: Classroom,
    units: Sequence[str] | None,
    jobs: int | None,
    inbox: Path | None,
    console: Console,
    cluster: Cluster | None,
) -> Outcome:
    library = Library()
    outcome = Outcome(classroom)
    if inbox is not None:
        _, outcome.not_taken = bring_in(classroom, inbox, library)
    handed_in = list(intake.collect(classroom, library, units))
    if not handed_in:
        which = f" for {', '.join(units)}" if units else ""
        raise CourseError(
            f"nothing was handed in{which}: there is no notebook in {classroom.submitted}/<student>/<unit>/"
        )
    _drop_stale(classroom, handed_in, units)
    submissions = [item for item in handed_in if isinstance(item, Submission)]
    candidates = {_key(item): _candidates(classroom, item, library) for item in submissions}
    examined = [candidate for found in candidates.values() for candidate in found]
    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
    )
    if cluster is not None:
        cluster.say = lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Preparing", total=len(handed_in) - len(submissions) + len(examined))
        enter_units(classroom, library, sorted({submission.unit for submission in submissions}))
        with open_gradebook(classroom) as gradebook:
            gradebook.enter_roster(classroom.roster.values())
            gradebook.settle()
            for item in handed_in:
                if isinstance(item, Refused):
                    outcome.not_graded.append(_refuse(classroom, item))
                    bar.advance(task)
            bar.update(task, description="Grading")
            waiting: dict[tuple[str, str], list[Examined]] = {}
            bases = basis.Current(classroom)
            with closing(_examined(classroom, examined, jobs, cluster)) as results:  # Ctrl-C ends the workers, too
                for result in results:
                    key = _key(result.submission)
                    waiting.setdefault(key, []).append(result)
                    if len(waiting[key]) == len(candidates[key]):
                        chosen = _choose_attempt(classroom, waiting.pop(key))
                        _finish(classroom, gradebook, library, chosen, outcome, bases)
                    bar.update(task, description=f"{result.submission.student} · {result.submission.unit}")
                    bar.advance(task)
    outcome.report = report.write(classroom)
    return outcome


def enter_units(classroom: Classroom, library: Library, units: Iterable[str]) -> None:
    """See that the gradebook has the cells of these units as they are built now."""
    with open_gradebook(classroom) as gradebook:
        stale = [unit for unit in units if gradebook.cells(unit) != released_points(library, unit)]
    if stale:
        release.release(classroom, stale)


def released_points(library: Library, unit: str) -> dict[str, float]:
    """The graded cells of a unit and their points, as they are released."""
    cells = library.template(unit, "en").by_grade_id
    marks = {name: cell["metadata"]["nbgrader"] for name, cell in cells.items()}
    return {name: float(mark["points"]) for name, mark in marks.items() if mark.get("grade")}


# --------------------------------------------------------------------------------------------------------------------
# Attempts


def _key(submission: Submission) -> tuple[str, str]:
    return submission.student, submission.unit


def _candidates(classroom: Classroom, submission: Submission, library: Library) -> list[Submission]:
    """The attempts that must be examined: all where the best counts, otherwise the one that counts."""
    kept = attempts.keep(classroom, submission)
    if classroom.rules.attempts == "best":
        newest = {item.submission: item for item in kept}
        return [attempts.submission_of(item, submission, library) for item in newest.values()]
    found = attempts.attempts_of(kept, classroom.rules, *_key(submission), {})
    number = in_force(found, classroom.rules.attempts).number
    return [attempts.submission_of(kept[number - 1], submission, library)]


def _choose_attempt(classroom: Classroom, results: Sequence[Examined]) -> Examined:
    """Of the attempts that were examined the one that counts."""
    student, unit = _key(results[0].submission)
    kept = attempts.read(classroom, student, unit)
    by_digest = {result.submission.sha256: result for result in results}
    earned = {
        digest: result.verdict["points"] for digest, result in by_digest.items() if result.verdict["status"] == "graded"
    }
    found = attempts.attempts_of(kept, classroom.rules, student, unit, earned)
    examined = [attempt for attempt in found if kept[attempt.number - 1].submission in by_digest]
    chosen = in_force(examined, classroom.rules.attempts)
    attempts.put_in_force(classroom, student, unit, chosen.number)
    return by_digest[kept[chosen.number - 1].submission]


# --------------------------------------------------------------------------------------------------------------------
# Examining


@dataclass(frozen=True)
class Examined:
    """A submission, the verdict on it, the notebook as its kernel left it, and whether all that was known before."""

    submission: Submission
    verdict: Verdict
    executed: Mapping[str, Any]
    known: bool


def _examined(
    classroom: Classroom, submissions: Sequence[Submission], jobs: int | None, cluster: Cluster | None
) -> Generator[Examined, None, None]:
    """Each submission with its verdict and executed notebook, as they are finished."""
    from course.grading.pool import examine_all

    waiting = {(*_key(submission), submission.sha256): submission for submission in submissions}
    store, given = Store(classroom.store), tasks(classroom, submissions)
    if cluster is not None:
        results = cluster.examine_all(given, store)
    else:
        results = examine_all(given, workers=workers(jobs, len(submissions)), store=store)
    for done in results:
        found = done.verdict
        submission = waiting.pop((found["student"], found["unit"], found["submission"]))
        yield Examined(submission, done.verdict, done.executed, done.known)


def workers(jobs: int | None, submissions: int) -> int:
    """No more processes than there is work for."""
    return max(1, min(jobs or os.cpu_count() or 1, submissions))


def tasks(classroom: Classroom, submissions: Sequence[Submission]) -> Iterator[Job]:
    """What the pool is given for each submission of a class."""
    from course.grading.pool import Job

    truth = truth_of(classroom)
    for submission in submissions:
        yield Job(
            student=submission.student,
            unit=submission.unit,
            notebook=nbformat.from_dict(submission.notebook),
            key=classroom.key,
            cohort=classroom.cohort,
            truth=truth,
            repairs=submission.repairs,
        )


def truth_of(classroom: Classroom) -> dict[str, Any]:
    """What was planted in the class's cohort."""
    try:
        return json.loads(classroom.truth.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CourseError(f"{classroom.truth} can't be read ({error}); restore it from a copy") from None


def examine_one(classroom: Classroom, submission: Submission) -> Examined:
    """Examine one submission in this process, or take what the store knows of it."""
    from course.grading.examine import ExaminationError, Examiner

    [job] = tasks(classroom, [submission])
    store = Store(classroom.store)
    record = store.get(job.record)
    known = record is not None
    if record is None:
        try:
            with Examiner() as examiner:
                found = examiner.examine(
                    job.notebook, unit=job.unit, key=job.key, cohort=job.cohort, truth=job.truth, limits=job.limits
                )
        except ExaminationError as error:
            raise CourseError(f"{submission.student}, {submission.unit}: not graded: {error}") from None
        record = {"verdict": found.verdict, "executed": found.executed}
        store.put(job.record, record)
    verdict = {**record["verdict"], "student": submission.student, "repairs": list(submission.repairs)}
    return Examined(submission, verdict, record["executed"], known)


# --------------------------------------------------------------------------------------------------------------------
# Writing


def _finish(
    classroom: Classroom,
    gradebook: ClassGradebook,
    library: Library,
    examined: Examined,
    outcome: Outcome,
    bases: basis.Current,
) -> None:
    """Write all that follows from a verdict; the verdict itself last."""
    submission, verdict = examined.submission, examined.verdict
    if verdict["status"] != "graded":
        outcome.not_graded.append(verdict)
        _write_page(classroom, verdict)
        _write_verdict(classroom, verdict)
        return
    outcome.graded.append(verdict)
    outcome.known += examined.known
    decided_by = bases.of(submission.unit, verdict["language"])
    if examined.known and _is_in_force(classroom, verdict):
        gradebook.correct_time(verdict, attempts.handed_in(classroom, submission))
        basis.write(classroom, submission.student, submission.unit, decided_by)
        return
    put_in_force(classroom, gradebook, library, examined, decided_by)


def put_in_force(
    classroom: Classroom, gradebook: ClassGradebook, library: Library, examined: Examined, decided_by: basis.Basis
) -> None:
    """Write a verdict and all that follows from it: gradebook, autograded notebook, feedback; the verdict last."""
    submission, verdict = examined.submission, examined.verdict
    cells = submission.notebook["cells"]
    gradebook.record(verdict, cells, timestamp=attempts.handed_in(classroom, submission))
    folder = classroom.autograded / submission.student / submission.unit
    rendering.write(folder, submission.unit, rendering.rendered(examined.executed, verdict, library))
    _write_page(classroom, verdict, gradebook=gradebook, cells=cells)
    basis.write(classroom, submission.student, submission.unit, decided_by)
    _write_verdict(classroom, verdict)


def _refuse(classroom: Classroom, refused: Refused) -> Verdict:
    verdict = verdicts.not_graded(
        refused.reason["en"],
        student=refused.student,
        unit=refused.unit,
        language=_language_of(classroom, refused.student),
        submission=digest({"refused": refused.reason["en"], "file": refused.file.name}),
    )
    _write_page(classroom, verdict, reason=refused.reason[verdict["language"]])
    _write_verdict(classroom, verdict)
    return verdict


def _language_of(classroom: Classroom, student: str) -> str:
    known = classroom.roster.get(student)
    return (known.language if known else "") or classroom.language


def _write_page(
    classroom: Classroom,
    verdict: Verdict,
    *,
    gradebook: ClassGradebook | None = None,
    cells: Sequence[Mapping[str, Any]] = (),
    reason: str | None = None,
) -> None:
    feedback.write(classroom, verdict, _page(classroom, verdict, gradebook, cells, reason))


def _page(
    classroom: Classroom,
    verdict: Verdict,
    gradebook: ClassGradebook | None,
    cells: Sequence[Mapping[str, Any]],
    reason: str | None = None,
) -> str:
    student = classroom.roster.get(verdict["student"])
    return feedback.page(
        verdict,
        class_name=classroom.name,
        name=student.name if student else "",
        written=gradebook.written(verdict) if gradebook else None,
        comments=gradebook.comments(verdict) if gradebook else None,
        cells=cells,
        reason=reason,
    )


def _write_verdict(classroom: Classroom, verdict: Verdict) -> None:
    verdicts.write(verdict, report.verdict_file(classroom, verdict["student"], verdict["unit"]))


def _is_in_force(classroom: Classroom, verdict: Verdict) -> bool:
    """Whether this verdict was written before, and with it all that is written first."""
    student, unit = verdict["student"], verdict["unit"]
    written = (
        report.verdict_file(classroom, student, unit),
        classroom.autograded / student / unit / f"{unit}.ipynb",
        feedback.path(classroom, student, unit),
    )
    if not all(file.is_file() for file in written):
        return False
    try:
        return verdicts.read(written[0]) == verdict
    except verdicts.VerdictError:
        return False


def _drop_stale(classroom: Classroom, handed_in: Sequence[Submission | Refused], units: Sequence[str] | None) -> None:
    """A submission that could not be graded and is gone is no trouble any more; grades once given stay."""
    present = {(item.student, item.unit) for item in handed_in}
    for verdict in report.read_verdicts(classroom, units):
        key = (verdict["student"], verdict["unit"])
        if verdict["status"] != "graded" and key not in present:
            report.verdict_file(classroom, *key).unlink()
            feedback.path(classroom, *key).unlink(missing_ok=True)


def feedback_page(classroom: Classroom, student: str, unit: str) -> str:
    """The feedback on a submission as it stands now, with what a person has graded.

    Raises
    ------
    CourseError : it has not been graded
    """
    file = report.verdict_file(classroom, student, unit)
    if not file.is_file():
        raise CourseError(
            f"{student} has no verdict on {unit}; grade first: course grade {classroom.folder} --unit {unit}"
        )
    verdict = verdicts.read(file)
    with open_gradebook(classroom) as gradebook:
        return _page(classroom, verdict, gradebook, _autograded_cells(classroom, verdict))


def _autograded_cells(classroom: Classroom, verdict: Verdict) -> list[dict[str, Any]]:
    file = classroom.autograded / verdict["student"] / verdict["unit"] / f"{verdict['unit']}.ipynb"
    if not file.is_file():
        return []
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def rewrite_feedback(classroom: Classroom, units: Sequence[str] | None = None) -> int:
    """Write all feedback pages again; returns how many.

    Raises
    ------
    CourseError : nothing has been graded
    """
    found = [verdict for verdict in report.read_verdicts(classroom, units) if verdict["status"] == "graded"]
    if not found:
        raise CourseError(
            f"nothing has been graded in {classroom.folder} yet; grade with: course grade {classroom.folder}"
        )
    with one_writer(classroom), open_gradebook(classroom) as gradebook:
        gradebook.settle()
        for verdict in found:
            page = _page(classroom, verdict, gradebook, _autograded_cells(classroom, verdict))
            feedback.write(classroom, verdict, page)
    report.write(classroom)
    return len(found)
