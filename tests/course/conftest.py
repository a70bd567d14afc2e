"""What several tests of the machinery share: the demo's class, played once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from course.errors import CourseError
from course.grading import sandbox
from course.grading.classroom import Classroom

from .kernel_python import VARIABLE, readable_python


def pytest_configure(config: pytest.Config) -> None:
    """A mark for what kills processes twenty times."""
    config.addinivalue_line("markers", "kills: twenty kills of a cluster; minutes, run with -m kills only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out of an ordinary run."""
    if "kills" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("kills")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session", autouse=True)
def isolation() -> str:
    """The name of the isolation that students' code has in the tests; "not isolated" where the machine offers none.

    What is found goes on to commands that tests run.
    """
    python = readable_python()
    if python is not None:
        os.environ[VARIABLE] = str(python)
    try:
        found = sandbox.chosen()
    except CourseError as error:
        sandbox.use("none")
        found = sandbox.chosen()
        print(error, file=sys.stderr)
    os.environ[sandbox.VARIABLE] = found.key
    return found.name


@pytest.fixture(scope="session")
def sandboxed(isolation: str) -> str:
    """The same, for tests that need one."""
    if sandbox.chosen().backend is None:
        pytest.skip("this machine offers no isolation; `course doctor` says why")
    return isolation


@dataclass(frozen=True)
class Demo:
    """The class that `course demo` made, and what it said. Tests that change it work on a copy."""

    classroom: Classroom
    output: str
    errors: str
    exit_code: int
    seconds: float


@pytest.fixture(scope="session")
def demo(once: Callable[[str, Callable[[Path], None]], Path]) -> Demo:
    """`course demo`, run once as a person runs it: from elsewhere, without the environment's programs on the path."""

    def play(place: Path) -> None:
        place.mkdir()
        started = time.monotonic()
        done = subprocess.run(
            [str(Path(sys.executable).with_name("course")), "demo", str(place / "class")],
            cwd=place,
            env={**os.environ, "PATH": "/usr/bin:/bin", "COLUMNS": "160"},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - started
        assert (place / "class" / "class.toml").is_file(), done.stdout + done.stderr
        (place / "said.json").write_text(json.dumps([done.stdout, done.stderr, done.returncode, seconds]))

    place = once("demo", play)
    return Demo(Classroom.open(place / "class"), *json.loads((place / "said.json").read_text()))
