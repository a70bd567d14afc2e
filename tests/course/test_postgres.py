"""The gradebook in a real PostgreSQL: the same rows as in SQLite, manual grades kept, one writer."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from course import paths
from course.errors import CourseError
from course.grading import classroom as classrooms
from course.grading import grade, release
from course.grading.classroom import Classroom, set_database
from course.grading.gradebook import ClassGradebook, open_gradebook
from course.grading.intake import Library, Submission, take
from course.grading.writer import one_writer

from . import postgres
from .test_gradebook import UNIT, give, judged, no_cohort, rows, with_written

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        postgres.find_programs() is None, reason="PostgreSQL is not installed: apt-get install postgresql"
    ),
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.cluster() as url:
        yield url


@pytest.fixture(scope="module")
def classroom(server: str, tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    """A class whose gradebook has been in PostgreSQL from the beginning."""
    roster = tmp_path_factory.mktemp("roster") / "roster.csv"
    roster.write_text("id,first_name,last_name\ns1,Ada,Lovelace\n王小明,小明,王\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classrooms, "draw_cohort", no_cohort)
        made = classrooms.create(tmp_path_factory.mktemp("classes") / "class", roster=roster, database=server)
    release.release(made, [UNIT])
    return made


@pytest.fixture
def gradebook(classroom: Classroom) -> Iterator[ClassGradebook]:
    with open_gradebook(classroom) as opened:
        yield opened


@pytest.fixture(scope="module")
def submission() -> Submission:
    return take(paths.exercise_notebook(UNIT, "en"), "s1", Library())


def test_no_file_is_made_and_the_roster_is_there(classroom: Classroom, gradebook: ClassGradebook) -> None:
    assert not (classroom.folder / "gradebook.db").exists()
    assert {student.id for student in gradebook.nbgrader.students} == {"s1", "王小明"}
    assert gradebook.cells(UNIT) == grade.released_points(Library(), UNIT)


def test_grading_again_keeps_what_a_person_gave(
    classroom: Classroom, gradebook: ClassGradebook, submission: Submission
) -> None:
    verdict = judged()
    written = f"written_{verdict['written']['name']}"
    cells = with_written(submission, "因为中位数稳健。")
    gradebook.record(judged("failed"), cells)
    give(gradebook, written, 2.5, "Half of it. 只对了一半。")
    gradebook.record(verdict, cells)
    with open_gradebook(classroom) as another:  # what another connection sees
        assert rows(another)[written] == (None, 2.5, True)
        marked = another.written(verdict)
    assert marked is not None
    assert (marked.points, marked.comment, marked.again) == (2.5, "Half of it. 只对了一半。", True)


def test_scores_are_those_of_sqlite(
    classroom: Classroom, gradebook: ClassGradebook, submission: Submission, tmp_path: Path
) -> None:
    shutil.copytree(classroom.folder, tmp_path / "class")
    in_a_file = set_database(Classroom.open(tmp_path / "class"), "")
    grade.enter_units(in_a_file, Library(), [UNIT])
    cells = with_written(submission, "Because.")
    found: list[Any] = []
    with open_gradebook(in_a_file) as other:
        other.enter_roster(in_a_file.roster.values())
        for book in (gradebook, other):
            book.record(judged(), cells)
            give(book, f"written_{judged()['written']['name']}", 3)
            found.append(sorted(book.scores(), key=lambda row: row["student"]))
    assert found[0] == found[1]
    assert (in_a_file.folder / "gradebook.db").is_file()


def test_extension_and_penalty_are_kept_there(
    classroom: Classroom, gradebook: ClassGradebook, submission: Submission
) -> None:
    from datetime import datetime

    settings = (classroom.folder / "class.toml").read_text(encoding="utf-8")
    due = f'\n[due]\n{UNIT} = 2027-03-01T12:00:00Z\n[late]\nper_day = 0.5\n[extensions.s1]\n{UNIT} = "1 day"\n'
    (classroom.folder / "class.toml").write_text(settings + due, encoding="utf-8")
    try:
        ruled = Classroom.open(classroom.folder)
        with open_gradebook(ruled) as book:
            book.settle()
            book.record(judged(), with_written(submission, "x"), timestamp=datetime(2027, 3, 2, 13))
            [row] = [row for row in book.scores() if row["student"] == "s1"]
            stored = book.nbgrader.find_submission(UNIT, "s1")
            assert stored.total_seconds_late == 3600
            assert row["penalty"] == pytest.approx(0.5 * (row["from_tests"] + row["written"]))
    finally:
        (classroom.folder / "class.toml").write_text(settings, encoding="utf-8")


def test_second_writer_elsewhere_waits_outside(classroom: Classroom, tmp_path: Path) -> None:
    """The same database from another folder, as from another machine: the lock is in the database."""
    shutil.copytree(classroom.folder, tmp_path / "copy")
    elsewhere = Classroom.open(tmp_path / "copy")
    refused = pytest.raises(CourseError, match="another command is writing grades to postgresql")
    with one_writer(classroom), refused, one_writer(elsewhere):
        pass
    with one_writer(elsewhere):
        pass


def test_lock_ends_with_a_killed_writer(classroom: Classroom) -> None:
    code = f"""
        import os, signal
        from course.grading.classroom import Classroom
        from course.grading.writer import one_writer
        with one_writer(Classroom.open({str(classroom.folder)!r})):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert killed.returncode == -9
    with one_writer(classroom):
        pass


def test_unreachable_server_is_one_line_without_the_password(classroom: Classroom) -> None:
    lost = dataclasses.replace(classroom, database="postgresql+psycopg://ada:geheim@/x?host=/nowhere")
    for opening in (open_gradebook, one_writer):
        with pytest.raises(CourseError, match="can't be used") as caught, opening(lost):
            pass
        assert "geheim" not in str(caught.value)
        assert "\n" not in str(caught.value)
