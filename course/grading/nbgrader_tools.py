"""What nbgrader needs around it: its helper program on the path, and its log kept for our one line."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def tools_on_path() -> Iterator[None]:
    """nbgrader calls `alembic` by name: find the one of this Python, whether or not its folder is on the path."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = path_with_tools(before)
    try:
        yield
    finally:
        os.environ["PATH"] = before


def path_with_tools(path: str) -> str:
    """A PATH in which this Python's programs come first."""
    folders = [str(Path(sys.executable).parent), sysconfig.get_path("scripts")]
    return os.pathsep.join(dict.fromkeys([*folders, *path.split(os.pathsep)]))


class Said(logging.Handler):
    """Keeps nbgrader's complaints, and the terminal clean."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []
        self.logger = logging.Logger(name)
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a complaint."""
        self.messages.append(record.getMessage())

    def text(self) -> str:
        """The last lines of the complaints, which name the cause."""
        causes = [message.strip().splitlines()[-1] for message in self.messages if message.strip()]
        return "; ".join(dict.fromkeys(causes))
