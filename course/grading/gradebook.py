"""nbgrader's gradebook, written by one writer: what `nbgrader autograde` would write, from our verdicts.

Points of a check cell are its `auto_score`. What a person decided (`manual_score`, `extra_credit`, comments) is never
touched; a cell that a person has graded is marked to be looked at again, as nbgrader does it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from course.errors import CourseError
from course.grading.classroom import Classroom, Student, shown_url
from course.grading.nbgrader_tools import tools_on_path
from course.grading.verdict import Verdict


@dataclass(frozen=True)
class Marked:
    """What a person gave for the written question."""

    points: float | None
    max_points: float
    comment: str
    again: bool = False  # the answer changed after a person had graded it


class ClassGradebook:
    """An open gradebook of a class."""

    def __init__(self, classroom: Classroom, gradebook: Any) -> None:
        self.classroom = classroom
        self.nbgrader = gradebook
        self._entered: dict[str, dict[str, float]] = {}
        self._late_penalties: Any = None

    def enter_roster(self, students: Iterable[Student]) -> None:
        """Enter or update students; nobody is removed."""
        for student in students:
            known = {
                "first_name": student.first_name,
                "last_name": student.last_name,
                "email": student.email,
            }
            self.nbgrader.update_or_create_student(student.id, **{name: text for name, text in known.items() if text})

    def cells(self, unit: str) -> dict[str, float]:
        """The graded cells of a unit and their points, as the gradebook has them; empty where it has none."""
        from nbgrader.api import MissingEntry

        if unit not in self._entered:
            try:
                notebook = self.nbgrader.find_notebook(unit, unit)
            except MissingEntry:
                return {}
            self._entered[unit] = {cell.name: float(cell.max_score) for cell in notebook.grade_cells}
        return self._entered[unit]

    def forget(self, unit: str) -> None:
        """Read a unit's cells again: they were just released."""
        self._entered.pop(unit, None)
        self.nbgrader.db.expire_all()

    def record(
        self, verdict: Verdict, cells: Sequence[Mapping[str, Any]], *, timestamp: datetime | None = None
    ) -> None:
        """Enter the verdict on a submission.

        Parameters
        ----------
        verdict : a graded verdict; one that is not graded must not reach the gradebook
        cells : the cells of the notebook that was examined
        timestamp : when it was handed in, UTC

        Raises
        ------
        CourseError : the verdict is not graded, or the gradebook's cells are not those of the verdict
        """
        if verdict["status"] != "graded":
            raise CourseError(f"{verdict['student']}, {verdict['unit']}: not graded, so nothing goes to the gradebook")
        unit, student = verdict["unit"], verdict["student"]
        self._check_cells(verdict)
        self.nbgrader.update_or_create_student(student)
        kept = {} if timestamp is None else {"timestamp": timestamp}
        submission = self.nbgrader.update_or_create_submission(unit, student, **kept)
        self._extend(submission)
        notebook = next(part for part in submission.notebooks if part.name == unit)
        by_id = {cell["metadata"]["nbgrader"]["grade_id"]: cell for cell in cells if cell["metadata"].get("nbgrader")}
        scores: dict[str, float | None] = {f"check_{part['name']}": part["points"] for part in verdict["exercises"]}
        for grade in notebook.grades:
            if grade.name in scores:
                grade.auto_score = scores[grade.name]
            else:  # the written question: nothing was written, or a person decides
                grade.auto_score = 0.0 if is_untouched(by_id[grade.name]) else None
            grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None
        for comment in notebook.comments:
            comment.auto_comment = "No response." if is_untouched(by_id[comment.name]) else None
        self.nbgrader.db.commit()
        self._assign_penalty(submission, notebook)
        self.nbgrader.db.commit()

    def _check_cells(self, verdict: Verdict) -> None:
        expected = {f"check_{part['name']}": float(part["max_points"]) for part in verdict["exercises"]}
        if verdict["written"]:
            expected[f"written_{verdict['written']['name']}"] = float(verdict["written"]["max_points"])
        if self.cells(verdict["unit"]) != expected:
            raise CourseError(
                f"the gradebook's cells of {verdict['unit']} are not those of its tests; "
                f"release the unit again: course bundle {self.classroom.folder} --unit {verdict['unit']}"
            )

    def correct_time(self, verdict: Verdict, timestamp: datetime | None) -> None:
        """Enter another time of handing in for a submission that stays as it is, with what follows for its penalty."""
        from nbgrader.api import MissingEntry

        try:
            submission = self.nbgrader.find_submission(verdict["unit"], verdict["student"])
        except MissingEntry:
            return
        if timestamp is not None and submission.timestamp != timestamp:
            submission.timestamp = timestamp
            for notebook in submission.notebooks:
                self._assign_penalty(submission, notebook)
            self.nbgrader.db.commit()

    def settle(self) -> int:
        """Bring due dates, extensions and late penalties up to date everywhere; returns how many penalties changed.

        A unit that class.toml gives no due date keeps what formgrader or nbgrader gave it.
        """
        for unit, due in self.classroom.rules.due.items():
            if any(assignment.name == unit for assignment in self.nbgrader.assignments):
                self.nbgrader.update_or_create_assignment(unit, duedate=due.isoformat())
        changed = 0
        for assignment in self.nbgrader.assignments:
            if assignment.duedate is not None:
                for submission in assignment.submissions:
                    self._extend(submission)
                    for notebook in submission.notebooks:
                        before = notebook.late_submission_penalty or 0
                        self._assign_penalty(submission, notebook)
                        changed += abs((notebook.late_submission_penalty or 0) - before) > 1e-9
        self.nbgrader.db.commit()
        return changed

    def _extend(self, submission: Any) -> None:
        """nbgrader's extension of a submission, where the class has rules for its unit."""
        rules = self.classroom.rules
        if submission.name in rules.due:
            submission.extension = rules.extension(submission.student_id, submission.name) or None

    def _assign_penalty(self, submission: Any, notebook: Any) -> None:
        """Late penalties are decided by nbgrader's plugin, as the class's nbgrader_config.py sets it."""
        notebook.late_submission_penalty = None
        late = submission.total_seconds_late
        if late > 0:
            if self._late_penalties is None:
                self._late_penalties = _late_penalties(self.classroom)
            step = self._late_penalties
            penalty = step.plugin_inst.late_submission_penalty(submission.student_id, notebook.score, late)
            if penalty is not None:
                notebook.late_submission_penalty = step._check_late_penalty(notebook, penalty)

    def written(self, verdict: Verdict) -> Marked | None:
        """What a person gave for the written question of a submission; None where the unit has none."""
        from nbgrader.api import MissingEntry

        if not verdict["written"]:
            return None
        name, unit, student = f"written_{verdict['written']['name']}", verdict["unit"], verdict["student"]
        try:
            grade = self.nbgrader.find_grade(name, unit, unit, student)
            comment = self.nbgrader.find_comment(name, unit, unit, student)
        except MissingEntry:
            return Marked(None, verdict["written"]["max_points"], "")
        return _marked(grade, comment.manual_comment)

    def written_of_all(self, unit: str, name: str) -> dict[str, Marked]:
        """The same for all submissions of a unit at once, by student."""
        from nbgrader.api import Assignment, Comment, Grade, GradeCell, SubmittedAssignment, SubmittedNotebook

        def rows(kind: Any) -> Any:
            query = self.nbgrader.db.query(SubmittedAssignment.student_id, kind)
            query = query.select_from(kind).join(SubmittedNotebook, kind.notebook_id == SubmittedNotebook.id)
            query = query.join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
            query = query.join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
            return query.filter(Assignment.name == unit)

        comments = {student: comment for student, comment in rows(Comment) if comment.name == f"written_{name}"}
        cell = self.nbgrader.db.query(GradeCell).filter(GradeCell.name == f"written_{name}")
        ids = [found.id for found in cell]
        return {
            student: _marked(grade, comments[student].manual_comment if student in comments else "")
            for student, grade in rows(Grade).filter(Grade.cell_id.in_(ids))
        }

    def penalties(self, unit: str) -> dict[str, float]:
        """Points taken off the submissions of a unit for being late, by student; only where any are."""
        from nbgrader.api import MissingEntry

        try:
            submissions = self.nbgrader.find_assignment(unit).submissions
        except MissingEntry:
            return {}
        found = {submission.student_id: float(submission.late_submission_penalty or 0) for submission in submissions}
        return {student: penalty for student, penalty in found.items() if penalty}

    def comments(self, verdict: Verdict) -> dict[str, str]:
        """What a person wrote beside the exercises, by exercise."""
        from nbgrader.api import MissingEntry

        try:
            notebook = self.nbgrader.find_submission_notebook(verdict["unit"], verdict["unit"], verdict["student"])
        except MissingEntry:
            return {}
        return {comment.name: comment.manual_comment for comment in notebook.comments if comment.manual_comment}

    def scores(self) -> Iterator[dict[str, Any]]:
        """One row per student and unit: what the gradebook says, students without a submission included."""
        from nbgrader.api import MissingEntry

        for assignment in self.nbgrader.assignments:
            for student in self.nbgrader.students:
                row: dict[str, Any] = {
                    "student": student.id,
                    "first_name": student.first_name or "",
                    "last_name": student.last_name or "",
                    "email": student.email or "",
                    "unit": assignment.name,
                    "max_points": float(assignment.max_score),
                }
                try:
                    submission = self.nbgrader.find_submission(assignment.name, student.id)
                except MissingEntry:
                    nothing = dict.fromkeys(("points", "from_tests", "written", "penalty", "seconds_late"))
                    yield {**row, **nothing, "handed_in": "", "to_grade": False}
                    continue
                penalty = float(submission.late_submission_penalty or 0)
                yield {
                    **row,
                    "handed_in": submission.timestamp.isoformat() if submission.timestamp else "",
                    "points": max(0.0, float(submission.score) - penalty),
                    "from_tests": float(submission.code_score),
                    "written": float(submission.written_score),
                    "penalty": penalty,
                    "seconds_late": float(submission.total_seconds_late),
                    "to_grade": bool(submission.needs_manual_grade),
                }


def _marked(grade: Any, comment: str | None) -> Marked:
    decided = grade.manual_score if grade.manual_score is not None else grade.auto_score
    points = None if decided is None else float(decided) + float(grade.extra_credit or 0)
    again = grade.manual_score is not None and bool(grade.needs_manual_grade)
    return Marked(points, float(grade.max_score), comment or "", again)


def is_untouched(cell: Mapping[str, Any]) -> bool:
    """Whether an answer cell still is as it was released, by nbgrader's own checksum."""
    from nbformat import from_dict
    from nbgrader.utils import compute_checksum

    released = cell["metadata"]["nbgrader"].get("checksum")
    return released is not None and released == compute_checksum(from_dict(dict(cell)))


@contextmanager
def open_gradebook(classroom: Classroom) -> Iterator[ClassGradebook]:
    """Open a class's gradebook; an error in the database is one line that names it.

    Raises
    ------
    CourseError : the database can't be opened or written
    """
    from nbgrader.api import Gradebook
    from sqlalchemy.exc import SAWarning, SQLAlchemyError

    try:
        with tools_on_path():
            gradebook = Gradebook(classroom.database_url, classroom.course_id)
        with gradebook, warnings.catch_warnings():
            # nbgrader makes a submission's rows in an order that SQLAlchemy remarks on; they are committed all the same
            warnings.filterwarnings("ignore", category=SAWarning, module=r"nbgrader\.")
            yield ClassGradebook(classroom, gradebook)
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        reason = str(error).splitlines()[0]
        place = shown_url(classroom.database) or classroom.folder / "gradebook.db"
        raise CourseError(f"the gradebook {place} can't be used: {reason}") from error


def _late_penalties(classroom: Classroom) -> Any:
    from nbgrader.preprocessors import AssignLatePenalties
    from traitlets.config.loader import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(classroom.folder)).load_config()
    step = AssignLatePenalties(config=config)
    step.init_plugin()
    return step


def handed_in_at(folder: Path) -> datetime | None:
    """When a submission was handed in: nbgrader's timestamp.txt beside it.

    Raises
    ------
    CourseError : the file is there and holds no time
    """
    from nbgrader.utils import parse_utc

    file = folder / "timestamp.txt"
    if not file.is_file() or file.is_symlink():
        return None
    text = file.read_text(encoding="utf-8", errors="replace").strip()
    if not text:
        return None
    try:
        return parse_utc(text)
    except (ValueError, OverflowError):
        raise CourseError(
            f"{file} holds no time ({text[:40]!r}); correct it, such as 2027-03-01 12:00:00 UTC"
        ) from None
