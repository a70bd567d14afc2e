"""A class of synthetic students, graded end to end by `course grade` as an instructor runs it.

    uv run python tests/benchmarks/benchmark_class.py [--students 200] [--units 02 03 12] [--jobs 2] [--folder DIR]

Each student has an ability, each exercise a difficulty. An exercise is answered rightly by chance, otherwise with one
of its known mistakes or not at all; some write in Chinese, some hand in less than all units, three pairs copied. The
class stays in the folder: with the same folder the command goes on where it stopped. Printed are seconds and what was
found.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from course import paths  # noqa: E402
from course.grading import classroom as classrooms  # noqa: E402
from course.grading import release, report  # noqa: E402
from course.grading.classroom import Classroom, Student  # noqa: E402
from course.grading.habits import Material, _cell, _exercise_of, _without_marks, transplanted  # noqa: E402
from tests.course.kernel_python import VARIABLE, readable_python  # noqa: E402

KEY = hashlib.sha256(b"multiomics-course: the key of the synthetic class").digest()
PAIRS = 3


def material(language: str, released: Path, unit: str) -> Material:
    """A unit's released notebook and its right answers, as the demo has them of its own unit."""
    notebooks = [json.loads(file.read_text()) for file in (released, paths.solution_notebook(unit, language))]
    for notebook in notebooks:
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"])
    marked = [(cell["metadata"].get("nbgrader", {}), cell["source"]) for cell in notebooks[1]["cells"]]
    answers = {
        marks["grade_id"]: _without_marks(source)
        for marks, source in marked
        if marks.get("solution") and not marks.get("grade")
    }
    return Material(notebooks[0], answers, paths.known_mistakes(unit))


@dataclass(frozen=True)
class Unit:
    """What submissions of a unit are made from."""

    name: str
    materials: dict[str, Material]
    mistakes: dict[str, list[str]]
    difficulty: dict[str, float]

    @classmethod
    def of(cls, classroom: Classroom, name: str, rng: random.Random) -> Unit:
        """From what the class was given."""
        materials = {
            language: material(language, classroom.release(language) / name / f"{name}.ipynb", name)
            for language in paths.LANGUAGES
        }
        mistakes: dict[str, list[str]] = defaultdict(list)
        for node in ast.parse(paths.known_mistakes(name).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                mistakes[_exercise_of(node)].append(node.name)
        difficulty = {exercise: rng.gauss(-1.0, 0.7) for exercise in materials["en"].answers}
        return cls(name, materials, dict(mistakes), difficulty)


def students(count: int) -> dict[str, Student]:
    """The roster."""
    return {
        f"s{number:03d}": Student(f"s{number:03d}", "Student", f"{number:03d}", "", "zh" if number % 4 == 0 else "en")
        for number in range(1, count + 1)
    }


def write_submission(unit: Unit, student: Student, ability: float, rng: random.Random) -> dict[str, Any]:
    """One student's notebook: each exercise right, with a known mistake, or left as it was."""
    material = unit.materials[student.language]
    answers = {}
    for name, difficulty in unit.difficulty.items():
        if rng.random() < 1 / (1 + math.exp(-1.7 * (ability - difficulty))):
            answers[name] = material.answers[name]
        elif rng.random() < 0.75 and unit.mistakes.get(name):
            weights = [1 / (place + 1) for place in range(len(unit.mistakes[name]))]  # some are commoner than others
            answers[name] = transplanted(material, rng.choices(unit.mistakes[name], weights)[0])[1]
    notebook = material.solved([])
    for name, source in answers.items():
        _cell(notebook, name)["source"] = f"# {student.id}\n{source}"
    return notebook


def hand_in(classroom: Classroom, units: list[str], seed: int = 1) -> int:
    """Write everybody's notebooks; returns how many."""
    rng = random.Random(seed)
    materials = [Unit.of(classroom, name, rng) for name in units]
    abilities = {student: rng.gauss(0, 1.2) for student in classroom.roster}
    written = 0
    for unit in materials:
        made = {}
        for student in classroom.roster.values():
            if rng.random() < 0.04:
                continue  # hands in nothing
            made[student.id] = write_submission(unit, student, abilities[student.id], rng)
        ours = [name for name in made if classroom.roster[name].language == "en"]
        for source, copy in zip(ours[:PAIRS], ours[-PAIRS:], strict=True):
            made[copy] = json.loads(json.dumps(made[source]).replace(f"# {source}", f"# {copy}"))
        for name, notebook in made.items():
            file = classroom.submitted / name / unit.name / f"{unit.name}.ipynb"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(notebook, ensure_ascii=False, indent=1), encoding="utf-8")
        written += len(made)
    return written


def make(folder: Path, count: int, units: list[str]) -> Classroom:
    """The class, with all that was handed in."""
    with tempfile.TemporaryDirectory() as scratch:
        roster = Path(scratch, "roster.csv")
        classrooms.write_roster(roster, students(count))
        classroom = classrooms.create(folder, name=f"{count} synthetic students", roster=roster, key=KEY)
    release.release(classroom, units)
    hand_in(classroom, units)
    return classroom


def main(arguments: list[str] | None = None) -> int:
    """Make the class, grade it, print the time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--students", type=int, default=200)
    parser.add_argument("--units", nargs="+", default=["02", "03", "12"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args(arguments)
    python = readable_python()
    if python is not None:
        os.environ[VARIABLE] = str(python)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="course-class-")) / "class"
    units = [paths.find_unit(name) for name in asked.units]
    started = time.perf_counter()
    classroom = Classroom.open(folder) if (folder / "class.toml").is_file() else make(folder, asked.students, units)
    made = time.perf_counter()
    print(f"{len(classroom.roster)} students, {len(units)} units, made in {made - started:.0f} s: {folder}", flush=True)
    command = [str(Path(sys.executable).with_name("course")), "grade", str(folder), "--jobs", str(asked.jobs)]
    before = os.times()
    code = subprocess.run(command, check=False).returncode
    after = os.times()
    seconds = time.perf_counter() - made
    used = after.children_user + after.children_system - before.children_user - before.children_system
    verdicts = list(report.read_verdicts(classroom))
    graded = [verdict for verdict in verdicts if verdict["status"] == "graded"]
    print(f"{len(graded)} of {len(verdicts)} graded in {seconds:.0f} s, {60 * len(verdicts) / seconds:.1f} per minute")
    print(f"{used:.0f} s of processor time, {used / max(1, len(verdicts)):.2f} s per submission")
    print(f"report: {classroom.report}")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
