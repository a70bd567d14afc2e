"""Fixtures for running the tests of the units as plain pytest: the subject is the reference."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from course.checking.draw import PUBLIC_KEY, Draw
from course.checking.runner import generators
from course.checking.solution import ReferenceSubject
from course.paths import TRUTH, unit_names

# Scripts that made golden values, and fuzzing, need what this environment has not: R, an original, atheris.
collect_ignore_glob = ["golden/*/*.py", "fuzz/*.py"]

# Workers share the cores already, and a forked child must not wait for OpenMP threads that did not come with it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure() -> None:
    """A shell starts background jobs with Ctrl-C ignored, and they pass that on; tests of Ctrl-C need it heard."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


_SUBJECTS = {unit: ReferenceSubject.of_unit(unit) for unit in unit_names()}


def _unit_of(request: pytest.FixtureRequest) -> str:
    return request.path.stem.removeprefix("test_")


def _fixture(name: str) -> Any:
    @pytest.fixture(name=name)
    def exercise(request: pytest.FixtureRequest) -> Any:
        return _SUBJECTS[_unit_of(request)].get(name)

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
