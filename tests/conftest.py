"""Fixtures for running the tests of the units as plain pytest: the subject is the reference."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pickle
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from course.checking.draw import PUBLIC_KEY, Draw
from course.checking.runner import generators
from course.checking.solution import ReferenceSubject, run_solution
from course.checking.style import use_house_style
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


@contextlib.contextmanager
def drawn_in_chinese() -> Iterator[list[Any]]:
    """Collects the figures of a lesson; all are drawn, and a letter that the fonts lack is an error."""
    import matplotlib
    import matplotlib.pyplot as plt

    drawn: list[Any] = []
    close = plt.close

    def draw_and_close(which: Any = None) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Glyph .* missing")
            for figure in map(plt.figure, plt.get_fignums()):
                figure.canvas.draw()
                drawn.append(figure)
        close(which)

    with matplotlib.rc_context({"figure.max_open_warning": 0}), mock.patch.object(plt, "close", draw_and_close):
        use_house_style("zh")
        yield drawn


@dataclass(frozen=True)
class Solved:
    """What came of a solved lesson: the answers to its value exercises, and how many figures it drew."""

    values: dict[str, Any]
    n_figures: int


@pytest.fixture(scope="session")
def solved(once: Callable[[str, Callable[[Path], None]], Path]) -> Callable[[str], Solved]:
    """The solved lesson of a unit, run from top to bottom once.

    It is the Chinese one: its code cells are the English ones, and its figures need more letters.
    """
    known: dict[str, Solved] = {}

    def run(unit: str) -> Solved:
        if unit not in known:
            exercises = _SUBJECTS[unit].exercises

            def solve(place: Path) -> None:
                with drawn_in_chinese() as drawn:
                    lesson = run_solution(solution_notebook(unit, "zh"))
                answers = {name: lesson[name] for name in exercises}  # a function that is not there is an error, too
                values = {name: answer for name, answer in answers.items() if exercises[name] is None}
                place.write_bytes(pickle.dumps((values, len(drawn))))

            known[unit] = Solved(*pickle.loads(once(f"solved-{unit}", solve).read_bytes()))
        return known[unit]

    return run


_SUBJECTS = {unit: ReferenceSubject.of_unit(unit) for unit in unit_names()}


def _unit_of(request: pytest.FixtureRequest) -> str:
    return request.path.stem.removeprefix("test_")


def _fixture(name: str) -> Any:
    @pytest.fixture(name=name)
    def exercise(request: pytest.FixtureRequest, solved: Callable[[str], Solved]) -> Any:
        subject = _SUBJECTS[_unit_of(request)]
        is_value = name in subject.exercises and subject.exercises[name] is None
        return solved(subject.unit).values[name] if is_value else subject.get(name)

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
