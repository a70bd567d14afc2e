"""What several tests of the machinery share: the demo's class, played once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from course.grading.classroom import Classroom


@dataclass(frozen=True)
class Demo:
    """The class that `course demo` made, and what it said. Tests that change it work on a copy."""

    classroom: Classroom
    output: str
    errors: str
    exit_code: int
    seconds: float


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`course demo`, run once as a person runs it: from elsewhere, without the environment's programs on the path."""
    folder = tmp_path_factory.mktemp("demo") / "class"
    started = time.monotonic()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("course")), "demo", str(folder)],
        cwd=folder.parent,
        env={**os.environ, "PATH": "/usr/bin:/bin", "COLUMNS": "160"},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    assert (folder / "class.toml").is_file(), done.stdout + done.stderr
    return Demo(Classroom.open(folder), done.stdout, done.stderr, done.returncode, seconds)
