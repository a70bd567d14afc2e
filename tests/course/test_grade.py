"""`course grade`: what it writes, what it does again and what not, and what its exit code says."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from course.errors import CourseError
from course.grading import export, feedback, grade, report, sandbox
from course.grading import verdict as verdicts
from course.grading.classroom import Classroom
from course.grading.grade import Examined
from course.grading.habits import UNIT
from course.grading.intake import Submission

from .conftest import Demo

pytestmark = pytest.mark.slow


@pytest.fixture
def classroom(demo: Demo, tmp_path: Path) -> Classroom:
    """The demo's class with three of its students, graded."""
    folder = tmp_path / "class"
    shutil.copytree(demo.classroom.folder, folder, ignore=shutil.ignore_patterns("release", "bundle"))
    for part in ("submitted", "verdicts", "autograded", "feedback"):
        for student in (folder / part).iterdir():
            if student.name not in ("s03", "s04", "s05"):
                shutil.rmtree(student)
    return Classroom.open(folder)


def command(classroom: Classroom, *arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("course")), "grade", str(classroom.folder), *arguments]


def run(classroom: Classroom, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(classroom, *arguments), capture_output=True, text=True, check=False)


def known_points(demo: Demo, *students: str) -> dict[str, float | None]:
    """What the demo's students got."""
    return {student: score for student, score in points(demo.classroom).items() if student in students}


def stamps(classroom: Classroom) -> dict[str, int]:
    files = [file for part in ("verdicts", "autograded", "feedback") for file in (classroom.folder / part).rglob("*.*")]
    return {str(file.relative_to(classroom.folder)): file.stat().st_mtime_ns for file in files if file.is_file()}


def points(classroom: Classroom) -> dict[str, float | None]:
    return {verdict["student"]: verdict["points"] for verdict in report.read_verdicts(classroom)}


def test_what_is_known_is_neither_examined_nor_written_again(classroom: Classroom) -> None:
    before = stamps(classroom)
    again = run(classroom)
    assert again.returncode == 0, again.stderr  # students failed; grading did not
    how = feedback.ISOLATION[sandbox.chosen().name]["en"]
    assert f"3 submissions: 3 graded (3 known already), 0 not graded, examined {how}" in again.stdout
    assert stamps(classroom) == before


def test_lost_page_comes_back_without_an_examination(classroom: Classroom) -> None:
    page = classroom.feedback / "s04" / UNIT / f"{UNIT}.html"
    text = page.read_text(encoding="utf-8")
    page.unlink()
    outcome = grade.grade_class(classroom)
    assert outcome.known == 3
    assert page.read_text(encoding="utf-8") == text


def test_unreadable_submission_is_reported_and_fails_the_run(classroom: Classroom, demo: Demo) -> None:
    file = classroom.submitted / "s03" / UNIT / f"{UNIT}.ipynb"
    file.write_text(file.read_text()[:1000])
    done = run(classroom)
    assert done.returncode == 1
    assert f"s03, {UNIT}: not graded: the file is not a notebook" in done.stderr
    assert points(classroom)["s03"] is None
    assert "not a notebook" in classroom.report.read_text(encoding="utf-8")
    assert "This is not a zero" in (classroom.feedback / "s03" / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")
    rows = csv.DictReader(export.export(classroom, "csv").files[0].read_text(encoding="utf-8-sig").splitlines())
    kept = {row["student"]: row for row in rows if row["unit"] == UNIT}
    given = known_points(demo, "s03")["s03"]
    assert kept["s03"]["points"] == f"{given:g}" != "0"  # what was given before stays
    shutil.rmtree(file.parent)
    assert run(classroom).returncode == 0
    assert points(classroom).keys() == {"s04", "s05"}


def test_failure_of_ours_is_no_zero_and_stops_nobody(classroom: Classroom, monkeypatch: pytest.MonkeyPatch) -> None:
    real = grade._examined

    def first_fails(room: Classroom, submissions: list[Submission], *who: Any) -> Iterator[Examined]:
        for examined in real(room, submissions, *who):
            submission = examined.submission
            if submission.student == "s05":
                refused = verdicts.not_graded(
                    "the examining process died (signal 9)", student="s05", unit=UNIT, submission="a" * 64
                )
                yield Examined(submission, refused, submission.notebook, known=False)
            else:
                yield examined

    before = classroom.autograded / "s05" / UNIT / f"{UNIT}.ipynb"
    content = before.read_bytes()
    monkeypatch.setattr(grade, "_examined", first_fails)
    outcome = grade.grade_class(classroom)
    assert [verdict["student"] for verdict in outcome.not_graded] == ["s05"]
    assert {verdict["student"] for verdict in outcome.graded} == {"s03", "s04"}
    assert outcome.troubles() == [f"s05, {UNIT}: not graded: the examining process died (signal 9)"]
    assert before.read_bytes() == content


def test_interrupted_run_keeps_what_was_done_and_goes_on(classroom: Classroom, demo: Demo) -> None:
    for part in ("store", "verdicts", "autograded", "feedback"):
        shutil.rmtree(classroom.folder / part)
    started = subprocess.Popen(
        command(classroom, "--jobs", "1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 300
    while not list(classroom.verdicts.glob("*/*.json")):
        assert time.monotonic() < deadline
        assert started.poll() is None, started.communicate()
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "interrupted; what was finished is kept" in errors
    assert "Traceback" not in errors
    done = points(classroom)
    assert 1 <= len(done) < 3
    outcome = grade.grade_class(classroom)
    assert outcome.known >= len(done)
    assert len(outcome.graded) == 3
    assert points(classroom) == known_points(demo, "s03", "s04", "s05")


def test_flat_folder_is_taken_in(classroom: Classroom, demo: Demo, tmp_path: Path) -> None:
    inbox = tmp_path / "downloads"
    inbox.mkdir()
    shutil.copyfile(classroom.submitted / "s05" / UNIT / f"{UNIT}.ipynb", inbox / "Hand-in s01 final.ipynb")
    shutil.copyfile(classroom.submitted / "s05" / UNIT / f"{UNIT}.ipynb", inbox / "whose is this.ipynb")
    outcome = grade.grade_class(classroom, inbox=inbox)
    assert points(classroom)["s01"] == known_points(demo, "s05")["s05"]
    assert outcome.known == 4  # the same notebook from two students is examined once
    [verdict] = [verdict for verdict in outcome.graded if verdict["student"] == "s01"]
    assert verdict["repairs"] == ["renamed_file: Hand-in s01 final.ipynb"]
    assert len(outcome.troubles()) == 1
    assert "no id of the roster" in outcome.troubles()[0]


def test_unit_without_submissions_is_said(classroom: Classroom) -> None:
    with pytest.raises(CourseError, match="nothing was handed in for 02_sample_identity"):
        grade.grade_class(classroom, units=["02_sample_identity"])


def test_lost_truth_is_named(classroom: Classroom) -> None:
    classroom.truth.unlink()
    with pytest.raises(CourseError, match=r"cohort\.json can't be read"):
        grade.grade_class(classroom)
