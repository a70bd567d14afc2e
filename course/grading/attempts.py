"""Every version that a student handed in, kept: attempts/<student>/<unit>/<number>/ with the file and its time.

`submitted/` holds what is handed in now; before it is graded it is kept here, if it differs from the attempt before.
Which attempt counts is decided anew at each grading by `deadlines.in_force`, from the attempts alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from course.errors import CourseError
from course.grading.classroom import Classroom, folder_at_once, write_text
from course.grading.deadlines import Attempt, Rules
from course.grading.gradebook import handed_in_at
from course.grading.intake import Library, Submission, Unreadable, take

LIST = "attempts.json"


@dataclass(frozen=True)
class Kept:
    """An attempt on the disk: its number, the digest of what is examined, when it was handed in, and its file."""

    number: int
    submission: str
    handed_in: datetime | None
    file: Path


def folder_of(classroom: Classroom, student: str, unit: str) -> Path:
    """Where a student's attempts at a unit are."""
    return classroom.folder / "attempts" / student / unit


def read(classroom: Classroom, student: str, unit: str) -> list[Kept]:
    """A student's attempts at a unit, the first one first; none where nothing was kept."""
    folder = folder_of(classroom, student, unit)
    return [
        Kept(entry["number"], entry["submission"], _time(entry["handed_in"]), folder / entry["file"])
        for entry in _read_list(folder)["attempts"]
    ]


def counted(classroom: Classroom, student: str, unit: str) -> tuple[int, int]:
    """Which attempt is in force, of how many; (1, 1) where nothing was kept."""
    found = _read_list(folder_of(classroom, student, unit))
    n = max(1, len(found["attempts"]))
    return found.get("in_force") or n, n


def _read_list(folder: Path) -> dict[str, Any]:
    file = folder / LIST
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"attempts": []}
    except (OSError, ValueError) as error:
        raise CourseError(f"{file} can't be read ({error}); restore it from a copy") from None


def _write_list(folder: Path, content: Mapping[str, Any]) -> None:
    write_text(folder / LIST, json.dumps(content, indent=1) + "\n")


def keep(classroom: Classroom, submission: Submission) -> list[Kept]:
    """Keep what is handed in now, if it is not the attempt before again; returns all attempts.

    The same notebook handed in again keeps its first time: it costs nobody a day.
    """
    folder = folder_of(classroom, submission.student, submission.unit)
    found = _read_list(folder)
    entries = found["attempts"]
    time = handed_in_at(submission.file.parent)
    if entries and entries[-1]["submission"] == submission.sha256:
        before = _time(entries[-1]["handed_in"])
        if time is not None and (before is None or time < before):
            entries[-1]["handed_in"] = time.isoformat()
            _write_time(folder / entries[-1]["file"], time)
            _write_list(folder, found)
        return read(classroom, submission.student, submission.unit)
    number = len(entries) + 1
    place = folder / f"{number:03}"
    shutil.rmtree(place, ignore_errors=True)  # of a run that was stopped before it wrote the list
    with folder_at_once(place) as aside:
        shutil.copyfile(submission.file, aside / submission.file.name, follow_symlinks=False)
        if time is not None:
            _write_time(aside / submission.file.name, time)
    entries.append(
        {
            "number": number,
            "submission": submission.sha256,
            "handed_in": None if time is None else time.isoformat(),
            "file": f"{number:03}/{submission.file.name}",
        }
    )
    _write_list(folder, found)
    return read(classroom, submission.student, submission.unit)


def _write_time(file: Path, time: datetime) -> None:
    write_text(file.parent / "timestamp.txt", f"{time.isoformat(sep=' ')} UTC\n")


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def attempts_of(
    kept: Iterable[Kept], rules: Rules, student: str, unit: str, points: Mapping[str, float]
) -> list[Attempt]:
    """What the policy decides from: per attempt its lateness, and its points and penalty as far as they are known.

    Parameters
    ----------
    points : from tests, by digest of the submission
    """
    found = []
    for item in kept:
        late = rules.seconds_late(student, unit, item.handed_in)
        earned = points.get(item.submission)
        penalty = rules.late.penalty(earned, late) if rules.late is not None and earned is not None else 0.0
        found.append(Attempt(item.number, item.handed_in, late, earned, penalty))
    return found


def submission_of(kept: Kept, now: Submission, library: Library) -> Submission:
    """The submission of an attempt, read and mended as it would be today.

    Raises
    ------
    CourseError : a kept notebook can't be read any more
    """
    if kept.submission == now.sha256:
        return now
    try:
        return take(kept.file, now.student, library)
    except Unreadable as error:
        raise CourseError(f"{kept.file}, an attempt that was kept, can't be read: {error.en}; restore it") from None


def put_in_force(classroom: Classroom, student: str, unit: str, number: int) -> None:
    """Note which attempt counts."""
    folder = folder_of(classroom, student, unit)
    found = _read_list(folder)
    if found["attempts"] and found.get("in_force") != number:
        _write_list(folder, {**found, "in_force": number})


def handed_in(classroom: Classroom, submission: Submission) -> datetime | None:
    """When a submission was handed in first, as it was kept."""
    kept = read(classroom, submission.student, submission.unit)
    times = [item.handed_in for item in kept if item.submission == submission.sha256]
    return times[-1] if times else handed_in_at(submission.file.parent)
