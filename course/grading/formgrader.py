"""nbgrader's formgrader on a class: a Jupyter server in the class's folder with nbgrader's server extension."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from course.grading.classroom import Classroom
from course.grading.nbgrader_tools import path_with_tools


def command(*, port: int, browser: bool, options: tuple[str, ...] = ()) -> list[str]:
    """The command that serves a class from its folder."""
    return [
        *(sys.executable, "-m", "jupyterlab"),
        *("--ServerApp.jpserver_extensions", "nbgrader.server_extensions.formgrader=True"),
        *("--ServerApp.default_url", "/formgrader", "--port", str(port)),
        *(() if browser else ("--no-browser",)),
        *options,
    ]


def environment() -> dict[str, str]:
    """The environment of the server: nbgrader finds its helper programs."""
    return {**os.environ, "PATH": path_with_tools(os.environ.get("PATH", ""))}


def serve(classroom: Classroom, *, port: int, browser: bool, **options: Any) -> int:
    """Serve the class until it is interrupted; returns the server's exit code."""
    started = subprocess.run(
        command(port=port, browser=browser), cwd=classroom.folder, env=environment(), check=False, **options
    )
    return started.returncode
