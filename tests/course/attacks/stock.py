"""The same attacks against stock nbgrader: `nbgrader autograde` and `generate_feedback`, as they come.

One course is made once and copied for each attack, so that what an attack does to its gradebook stays there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import nbformat

from course.grading.nbgrader_tools import path_with_tools
from tests.course.attacks import unit
from tests.course.attacks.form import Attack, Scene
from tests.course.attacks.running import SECRET, furnish, hand_in, hostile

_CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "stock"
c.CourseDirectory.root = {root!r}
c.Execute.timeout = 6
c.Execute.iopub_timeout = 4
c.NbGrader.logfile = ""
c.ClearSolutions.code_stub = {{"python": "raise NotImplementedError()"}}
"""
_POINTS = """
    select base_cell.name, grade.auto_score from grade
    join base_cell on base_cell.id = grade.cell_id
    join submitted_notebook on submitted_notebook.id = grade.notebook_id
    join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id
    where submitted_assignment.student_id = ?
"""


class StockCourse:
    """A course of stock nbgrader with one honest student, graded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "home").mkdir()
        (folder / "nbgrader_config.py").write_text(_CONFIG.format(root=str(folder)))
        source = folder / "source" / unit.UNIT
        source.mkdir(parents=True)
        nbformat.write(unit.stock_source(), source / f"{unit.UNIT}.ipynb")
        self.nbgrader("generate_assignment", unit.UNIT)
        hand_in(folder / "submitted" / "victim" / unit.UNIT, unit.submission({}), {})
        self.nbgrader("autograde", unit.UNIT, "--student", "victim")
        assert self.points("victim") == unit.FULL

    def nbgrader(self, *arguments: str, check: bool = True, seconds: float = 120) -> bool:
        """Run a command of nbgrader in the course's folder; whether it went well."""
        environment = {
            **os.environ,
            "PATH": path_with_tools("/usr/bin:/bin"),
            "HOME": str(self.folder / "home"),
            "IPYTHONDIR": str(self.folder / "home" / ".ipython"),
            SECRET: "1",
        }
        command = [sys.executable, "-m", "nbgrader", *arguments]
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        assert not check or done.returncode == 0, done.stderr[-3000:]
        return done.returncode == 0

    def copy(self, folder: Path) -> StockCourse:
        """The same course elsewhere."""
        shutil.copytree(self.folder, folder)
        made = object.__new__(StockCourse)
        made.folder = folder
        (folder / "nbgrader_config.py").write_text(_CONFIG.format(root=str(folder)))
        return made

    def points(self, student: str) -> dict[str, float | None]:
        """Points per exercise that the gradebook has for a student."""
        with contextlib.closing(sqlite3.connect(self.folder / "gradebook.db")) as database:
            rows = database.execute(_POINTS, (student,)).fetchall()
        return {name.removeprefix("check_"): score for name, score in rows if name.startswith("check_")}

    def feedback_file(self, student: str) -> Path:
        """Where the feedback of a student is."""
        return self.folder / "feedback" / student / unit.UNIT / f"{unit.UNIT}.html"

    def feedback(self, student: str) -> str:
        """The feedback of a student, made if it is not there."""
        if not self.feedback_file(student).is_file():
            self.nbgrader("generate_feedback", unit.UNIT, "--student", student)
        return self.feedback_file(student).read_text(encoding="utf-8")

    def run_honest(self) -> None:
        """Grade an honest submission after it."""
        hand_in(self.folder / "submitted" / "friend" / unit.UNIT, unit.submission({}), {})
        self.nbgrader("autograde", unit.UNIT, "--student", "friend", check=False)


TOGETHER = (None, "leak", "page", "terminal")  # kinds of harm that leave a course as it was


def against_stock(attacks: Sequence[Attack], folder: Path) -> dict[str, str]:
    """What attacks achieve against stock nbgrader, by name; empty if nothing.

    "points" are more than an attack's honest part earns, "lost" are points of its honest part, "not graded" is a
    submission that nbgrader could not grade; anything else is a harm.
    """
    course = StockCourse(folder / "course")
    plain = Counter(hostile(course.feedback("victim")))
    alone = [attack for attack in attacks if attack.harm not in TOGETHER]
    together = [attack for attack in attacks if attack.harm in TOGETHER]
    groups = [*([attack] for attack in alone), *([together] if together else [])]
    found: dict[str, str] = {}
    for number, group in enumerate(groups):
        found |= _group_against_stock(group, course.copy(folder / f"copy-{number}"), plain)
    return found


def _group_against_stock(group: Sequence[Attack], course: StockCourse, plain: Counter[str]) -> dict[str, str]:
    scene = Scene(course.folder)
    with contextlib.ExitStack() as closing:
        furnish(scene, closing)
        source = course.folder / "source" / unit.UNIT / f"{unit.UNIT}.ipynb"
        scene.places |= {"hidden": str(source), "solution": str(source), "stock": "x"}
        scene.checks["next kernel"] = lambda: _next_is_touched(course, scene)
        for attack in group:
            files = {name: scene.fill(text) for name, text in attack.files.items()}
            hand_in(course.folder / "submitted" / attack.name / unit.UNIT, attack.notebook(scene), files)
        who = () if len(group) > 1 else ("--student", group[0].name)
        course.nbgrader("autograde", unit.UNIT, *who, check=False, seconds=120 + 60 * len(group))
        course.nbgrader("generate_feedback", unit.UNIT, *who, check=False, seconds=120 + 20 * len(group))
        return {attack.name: _achieved(attack, course, scene, plain) for attack in group}


def _achieved(attack: Attack, course: StockCourse, scene: Scene, plain: Counter[str]) -> str:
    page = course.feedback_file(attack.name)
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    looks = {
        "leak": lambda: any(number in text for number in hidden_inputs()),
        "page": lambda: bool(Counter(hostile(text)) - plain),
        "terminal": lambda: _in_autograded(course, attack.name, "\\u001b]"),
    }
    points = course.points(attack.name)
    honest = attack.expected_of_stock
    achieved = []
    if any((points.get(name) or 0) > earned for name, earned in honest.items()):
        achieved.append("points")
    if attack.harm in looks:
        achieved += [attack.harm] if looks[attack.harm]() else []
    elif attack.harm in scene.checks and scene.harmed(attack.harm):
        achieved.append(str(attack.harm))
    if not achieved and any((points.get(name) or 0) < earned for name, earned in honest.items()):
        achieved.append("lost" if points else "not graded")
    return ", ".join(achieved)


def hidden_inputs() -> list[str]:
    """The numbers that the hidden check of stock nbgrader draws, as text."""
    import numpy as np

    return [repr(float(number)) for number in np.random.default_rng(20261122).normal(size=6)]


def _in_autograded(course: StockCourse, student: str, text: str) -> bool:
    file = course.folder / "autograded" / student / unit.UNIT / f"{unit.UNIT}.ipynb"
    return file.is_file() and text in file.read_text(encoding="utf-8")


def _next_is_touched(course: StockCourse, scene: Scene) -> bool:
    marker = Path(scene.places["marker"])
    marker.unlink(missing_ok=True)
    course.run_honest()
    found = marker.exists()
    marker.unlink(missing_ok=True)
    return found
