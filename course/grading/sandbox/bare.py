"""A kernel without isolation: an ordinary process, for those who accept the risk (`--no-sandbox`)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "not isolated"


class BareProcess:
    """A kernel as its own process group, with nothing of the grader's environment."""

    def __init__(
        self,
        command: list[str],
        settings: dict[str, Any],
        connection: Mapping[str, Any],
        folder: Path,
        environment: Mapping[str, str],
    ) -> None:
        self.wire = folder / "wire"
        file = folder / "connection.json"
        file.write_text(json.dumps({**connection, "ip": str(self.wire / "k")}), encoding="utf-8")
        file.chmod(0o600)
        self._process = subprocess.Popen(
            [*command, json.dumps({**settings, "connection": str(file)})],
            stdin=subprocess.DEVNULL,  # inherited streams are a way out
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**environment, "JPY_PARENT_PID": str(os.getpid())},  # it ends with the grader
            cwd=folder / "work",
            start_new_session=True,
        )
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait until it has ended."""
        return self._process.wait()

    def send_signal(self, number: int) -> None:
        """To the kernel and what it started."""
        with contextlib.suppress(OSError):
            os.killpg(self.pid, number)

    def why_over(self) -> str | None:
        """Nobody watches it."""
        return None

    def end(self) -> None:
        """End its process group; what left the group is not found."""
        self.send_signal(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
