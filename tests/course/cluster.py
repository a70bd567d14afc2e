"""A Dask scheduler and workers as processes of their own, and how to kill and start them again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from course.paths import ROOT


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class ACluster:
    """A scheduler at a fixed address, and workers, each with a nanny as people start them."""

    def __init__(self, folder: Path, workers: int = 2, threads: int = 1) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.threads = threads
        self.scheduler = self.start_scheduler()
        self.workers = [self.start_worker() for _ in range(workers)]

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """Again at the same address."""
        port = self.address.rpartition(":")[2]
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
        return self.scheduler

    def start_worker(self, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """One more."""
        where = ("--host", "127.0.0.1", "--no-dashboard", "--local-directory", str(self.folder))
        return self._start("worker", self.address, "--nthreads", str(self.threads), *where, environment=environment)

    def _start(self, what: str, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).with_name("dask")), what, *arguments]
        with open(self.folder / f"{what}.log", "ab") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
                start_new_session=True,
            )

    def log(self, what: str = "worker") -> str:
        """What scheduler or workers said."""
        return (self.folder / f"{what}.log").read_text(errors="replace")

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL to it and what it started as its own: a worker's nanny would only start it again."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End all."""
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                self.kill(process)


def below(process: int) -> list[int]:
    """All that a process started and that lives, and what those started."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process and fields[0] != "Z":
            child = int(stat.parent.name)
            found += [child, *below(child)]
    return found


def until(condition: object, seconds: float = 60.0) -> bool:
    """Whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False
