"""nbgrader's own commands on a class: with our examination in place of its execution, and with its own.

Everything here runs `nbgrader` as a subprocess in a copy of the demo's class, without the environment's programs on the
path, and compares what is in the gradebook's tables.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from course.grading import formgrader, grade, report
from course.grading.classroom import Classroom
from course.grading.gradebook import open_gradebook
from course.grading.habits import UNIT

from .conftest import Demo

pytestmark = pytest.mark.slow

WRITTEN = "written_drop_or_keep"
# What `nbgrader autograde` decides, whichever way: not ids, not times.
GRADES = """
    select submitted_assignment.student_id, base_cell.name, grade.auto_score, grade.manual_score,
           grade.extra_credit, grade.needs_manual_grade
    from grade join base_cell on base_cell.id = grade.cell_id
    join submitted_notebook on submitted_notebook.id = grade.notebook_id
    join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id
    order by 1, 2
"""
COMMENTS = """
    select submitted_assignment.student_id, base_cell.name, comment.auto_comment, comment.manual_comment
    from comment join base_cell on base_cell.id = comment.cell_id
    join submitted_notebook on submitted_notebook.id = comment.notebook_id
    join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id
    order by 1, 2
"""
CELLS = """
    select base_cell.name, base_cell.type, grade_cells.max_score, grade_cells.cell_type
    from base_cell left join grade_cells on grade_cells.id = base_cell.id order by 1, 2
"""


def nbgrader(classroom: Classroom, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of nbgrader in the class's folder."""
    return subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=classroom.folder,
        env={**os.environ, "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def table(classroom: Classroom, query: str, students: str = "s0%") -> list[tuple[Any, ...]]:
    """Rows of the gradebook, of some students where it has students."""
    with sqlite3.connect(classroom.folder / "gradebook.db") as database:
        found = database.execute(query).fetchall()
    like = students.rstrip("%")
    return [row for row in found if query == CELLS or row[0].startswith(like)]


@pytest.fixture
def copied(demo: Demo, tmp_path: Path) -> Classroom:
    """The demo's class, to be changed."""
    shutil.copytree(demo.classroom.folder, tmp_path / "class")
    return Classroom.open(tmp_path / "class")


@pytest.fixture
def ungraded(copied: Classroom) -> Classroom:
    """The same class as if nothing had been released or graded; what was examined is known."""
    (copied.folder / "gradebook.db").unlink()
    for part in ("autograded", "feedback", "verdicts", "release"):
        shutil.rmtree(copied.folder / part)
    return copied


def test_stock_commands_do_what_course_grade_does(demo: Demo, ungraded: Classroom) -> None:
    made = nbgrader(ungraded, "generate_assignment", UNIT)
    assert made.returncode == 0, made.stderr
    released = ungraded.release("en") / UNIT
    for file in (f"{UNIT}.ipynb", "support/unit.json", "support/data/cohort/SHA256SUMS"):
        assert (released / file).read_bytes() == (demo.classroom.release("en") / UNIT / file).read_bytes()
    entered = table(ungraded, CELLS)
    assert len(entered) > 0
    names = {cell for cell, *_ in entered}
    assert entered == [row for row in table(demo.classroom, CELLS) if row[0] in names]

    graded = nbgrader(ungraded, "autograde", UNIT, "--student", "s0*")
    assert graded.returncode == 0, graded.stderr
    assert table(ungraded, GRADES) == table(demo.classroom, GRADES)
    assert len(table(ungraded, GRADES)) == 9 * 8
    assert table(ungraded, COMMENTS) == table(demo.classroom, COMMENTS)

    # Feedback of nbgrader's command is the course's page; it needs the verdicts that course grade writes.
    shutil.copytree(demo.classroom.verdicts, ungraded.verdicts)
    told = nbgrader(ungraded, "generate_feedback", UNIT, "--student", "s05")
    assert told.returncode == 0, told.stderr
    page = (ungraded.feedback / "s05" / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")
    assert page == (demo.classroom.feedback / "s05" / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")

    exported = nbgrader(ungraded, "export")
    assert exported.returncode == 0, exported.stderr
    lines = (ungraded.folder / "grades.csv").read_text(encoding="utf-8").splitlines()
    scores = {line.split(",")[3]: float(line.split(",")[7]) for line in lines[1:]}
    points = {verdict["student"]: verdict["points"] for verdict in report.read_verdicts(demo.classroom)}
    assert {student: scores[student] for student in points if student < "s10"} == {
        student: score for student, score in points.items() if student < "s10"
    }


def test_chinese_release_is_the_chinese_notebook(ungraded: Classroom, demo: Demo) -> None:
    made = nbgrader(ungraded, "generate_assignment", UNIT, COURSE_LANGUAGE="zh")
    assert made.returncode == 0, made.stderr
    released = ungraded.release("zh") / UNIT / f"{UNIT}.ipynb"
    assert released.read_bytes() == (demo.classroom.release("zh") / UNIT / f"{UNIT}.ipynb").read_bytes()


def test_nbgraders_own_execution_gives_honest_work_the_same_score(ungraded: Classroom, demo: Demo) -> None:
    settings = ungraded.folder / "class.toml"
    settings.write_text(settings.read_text().replace('execution = "course"', 'execution = "nbgrader"'))
    assert nbgrader(ungraded, "generate_assignment", UNIT).returncode == 0
    students = ("s01", "s02", "s03", "s05")  # perfect in both languages, half done, one mistake
    graded = nbgrader(ungraded, "autograde", UNIT, "--student", "s0[1235]")
    assert graded.returncode == 0, graded.stderr
    stock = {(student, cell): score for student, cell, score, *_ in table(ungraded, GRADES)}
    ours = {(row[0], row[1]): row[2] for row in table(demo.classroom, GRADES) if row[0] in students}
    assert stock == ours
    # The class's own cohort was beside the notebook, so the answer to a value exercise fits.
    assert stock["s01", "check_failed_libraries"] > 0


def test_submission_that_cannot_be_read_is_not_a_zero(copied: Classroom) -> None:
    before = table(copied, GRADES)
    (copied.submitted / "s01" / UNIT / f"{UNIT}.ipynb").write_text('{"cells": [')
    graded = nbgrader(copied, "autograde", UNIT, "--student", "s01", "--force")
    assert graded.returncode != 0
    assert table(copied, GRADES) == before
    outcome = grade.grade_class(copied, units=[UNIT])
    assert [line.partition(":")[0] for line in outcome.troubles()] == [f"s01, {UNIT}"]
    assert table(copied, GRADES) == before


# --------------------------------------------------------------------------------------------------------------------
# Formgrader


@pytest.fixture
def served(copied: Classroom) -> Iterator[tuple[Classroom, Callable[..., tuple[int, str]]]]:
    """The class in formgrader, and a function that asks the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ("--IdentityProvider.token=secret", "--allow-root", "--ServerApp.port_retries=0")
    command = formgrader.command(port=port, browser=False, options=options)
    log = copied.folder / "server.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            command, cwd=copied.folder, env=formgrader.environment(), stdout=stream, stderr=stream
        )

    def ask(path: str, method: str = "GET", body: Any = None) -> tuple[int, str]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "token secret"},
        )
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline or server.poll() is not None:
                    pytest.fail(f"the server does not answer:\n{log.read_text()[-3000:]}")
                time.sleep(0.5)

    try:
        yield copied, ask
    finally:
        server.terminate()
        server.wait(timeout=30)


def submission_id(classroom: Classroom, student: str) -> str:
    query = """select submitted_notebook.id from submitted_notebook join submitted_assignment
               on submitted_assignment.id = submitted_notebook.assignment_id where student_id = ?"""
    with sqlite3.connect(classroom.folder / "gradebook.db") as database:
        return database.execute(query, (student,)).fetchone()[0]


def test_formgrader_shows_the_class_and_takes_the_grade_of_a_written_answer(
    served: tuple[Classroom, Callable[..., tuple[int, str]]],
) -> None:
    classroom, ask = served
    status, _ = ask("/formgrader/manage_assignments")
    assert status == 200
    listed = json.loads(ask("/formgrader/api/assignments")[1])
    assert {entry["name"]: entry["num_submissions"] for entry in listed}[UNIT] == 12
    waiting = json.loads(ask(f"/formgrader/api/submitted_notebooks/{UNIT}/{UNIT}")[1])
    assert {entry["student"] for entry in waiting if entry["needs_manual_grade"]} == {"s01", "s02"}

    found = submission_id(classroom, "s01")
    status, page = ask(f"/formgrader/submissions/{found}/")
    assert status == 200
    assert f'class="score tabbable" id="{WRITTEN}"' in page
    assert 'class="score tabbable" id="check_robust_z"' in page
    assert "I would look at why the library failed" in page
    assert "hidden/test_more_than_half_equal" in page  # our table of tests, for the grader's eye

    grades = json.loads(ask(f"/formgrader/api/grades?submission_id={found}")[1])
    [written] = [entry for entry in grades if entry["name"] == WRITTEN]
    assert written["manual_score"] is None
    status, _ = ask(f"/formgrader/api/grade/{written['id']}", "PUT", {"manual_score": 4.5, "extra_credit": 0})
    assert status == 200

    grade.grade_class(classroom, units=[UNIT])
    with open_gradebook(classroom) as gradebook:
        [row] = [row for row in gradebook.scores() if row["student"] == "s01" and row["unit"] == UNIT]
    assert (row["written"], row["to_grade"]) == (4.5, False)
    assert grade.rewrite_feedback(classroom, [UNIT]) == 12
    feedback = (classroom.feedback / "s01" / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")
    assert f"{row['from_tests'] + 4.5:g}" in feedback
