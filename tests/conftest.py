"""Fixtures for running the tests of the units as plain pytest: the subject is the reference."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from course.checking.draw import PUBLIC_KEY, Draw
from course.checking.runner import generators
from course.checking.solution import ReferenceSubject, run_solution
from course.paths import TRUTH, solution_notebook, unit_names

# Scripts that made golden values, and fuzzing, need what this environment has not: R, an original, atheris.
collect_ignore_glob = ["golden/*/*.py", "fuzz/*.py"]

# Workers share the cores already, and a forked child must not wait for OpenMP threads that did not come with it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure() -> None:
    """A shell starts background jobs with Ctrl-C ignored, and they pass that on; tests of Ctrl-C need it heard."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make something costly that no test changes once in a run: the first process makes it, the others wait for it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def made(name: str, make: Callable[[Path], None]) -> Path:
        place, mark = folder / name, folder / f"{name}.made"
        with open(folder / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not mark.exists():
                make(place)
                mark.touch()
        return place

    return made


@pytest.fixture(scope="session")
def solved(once: Callable[[str, Callable[[Path], None]], Path]) -> Callable[[str], dict[str, Any]]:
    """What the value exercises of a unit have as answers where its English lesson is solved."""
    known: dict[str, dict[str, Any]] = {}

    def values(unit: str) -> dict[str, Any]:
        if unit not in known:
            exercises = _SUBJECTS[unit].exercises

            def solve(place: Path) -> None:
                lesson = run_solution(solution_notebook(unit, "en"))
                answers = {name: lesson[name] for name in exercises}  # a function that is not there is an error, too
                values = {name: answer for name, answer in answers.items() if exercises[name] is None}
                place.write_bytes(pickle.dumps(values))

            known[unit] = pickle.loads(once(f"solved-{unit}", solve).read_bytes())
        return known[unit]

    return values


_SUBJECTS = {unit: ReferenceSubject.of_unit(unit) for unit in unit_names()}


def _unit_of(request: pytest.FixtureRequest) -> str:
    return request.path.stem.removeprefix("test_")


def _fixture(name: str) -> Any:
    @pytest.fixture(name=name)
    def exercise(request: pytest.FixtureRequest, solved: Callable[[str], dict[str, Any]]) -> Any:
        subject = _SUBJECTS[_unit_of(request)]
        is_value = name in subject.exercises and subject.exercises[name] is None
        return solved(subject.unit)[name] if is_value else subject.get(name)

    return exercise


for _name in sorted({name for subject in _SUBJECTS.values() for name in subject.exercises}):
    globals()[f"_exercise_{_name}"] = _fixture(_name)


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> Draw:
    """Inputs drawn with the public key."""
    kind = request.path.parent.name
    return Draw(PUBLIC_KEY, f"{kind}/{request.node.name}", generators(request.module))


@pytest.fixture(scope="session")
def cohort() -> Any:
    """The frozen cohort."""
    from reference_impl.cohort import load

    return load("cohort")


@pytest.fixture(scope="session")
def truth() -> Any:
    """What was planted in the frozen cohort."""
    return json.loads(TRUTH.read_text(encoding="utf-8"))
