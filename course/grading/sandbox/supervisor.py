"""Stands outside a sandbox and ends it: when the grader is gone, and when it takes more than it may. Standard library.

Started as `python -I -S supervisor.py SETTINGS` under the user that the sandbox has, with these sockets: `control`,
which the sandbox's first program gets, and `orders`, over which the grader names what to watch:

    {"watch": pid, "memory": bytes, "seconds": s, "folder": path or null, "folder_bytes": n}
        `pid` and all below it (0: all there is) may use so much memory together, so long, so much of a folder
    {"forget": pid}

Back come {"over": why, "processes": [...]} for what was ended, and {"ended": code, "said": text} at the end of all.
All that is left behind becomes this process's child, wherever it came from, and ends with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any

_SUBREAPER = 36
_TICK = 0.1
_FOLDER_TICKS = 5
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Watched:
    """What one kernel and all below it may use."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.process = int(order["watch"])
        self.memory = int(order["memory"])
        self.until = time.monotonic() + float(order["seconds"])
        self.folder: str | None = order.get("folder")
        self.folder_bytes = int(order.get("folder_bytes") or 0)
        self.ticks = 0

    def why_over(self, processes: list[int]) -> str | None:
        """Why it has to end, if it has to."""
        self.ticks += 1
        if sum(map(resident, processes)) > self.memory and sum(map(proportional, processes)) > self.memory:
            return "memory"
        if time.monotonic() > self.until:
            return "seconds"
        if (
            self.folder
            and self.ticks % _FOLDER_TICKS == 0
            and size_of(self.folder, self.folder_bytes) > self.folder_bytes
        ):
            return "disk"
        return None


def resident(process: int) -> int:
    """Bytes in memory, shared ones too."""
    try:
        with open(f"/proc/{process}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def proportional(process: int) -> int:
    """Bytes in memory, shared ones divided among those who share them; slower to find."""
    try:
        with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, ValueError, StopIteration):
        return resident(process)


def size_of(folder: str, enough: int) -> int:
    """Bytes that a folder takes; counting stops when it is clear that they are too many."""
    total, folders = 0, [folder]
    while folders and total <= enough:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    total += max(status.st_size if status.st_nlink else 0, 4096)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return total


def children(process: int) -> list[int]:
    """Of all threads of a process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            with (
                contextlib.suppress(OSError),
                open(f"/proc/{process}/task/{thread}/children", encoding="ascii") as file,
            ):
                found += map(int, file.read().split())
    return found


def below(process: int) -> list[int]:
    """All processes below one, which need not be alive any more."""
    found, new = [], children(process)
    while new:
        found += new
        new = [child for parent in new for child in children(parent)]
    return found


def send(orders: socket.socket, **what: Any) -> None:
    """Tell the grader; it may be gone."""
    with contextlib.suppress(OSError):
        orders.send(json.dumps(what).encode())


def kill(process: int) -> None:
    """Now."""
    with contextlib.suppress(OSError):
        os.kill(process, signal.SIGKILL)


def end_all() -> None:
    """End everything below this process, however often it is replaced."""
    deadline = time.monotonic() + 10
    while (left := below(os.getpid())) and time.monotonic() < deadline:
        for process in left:
            kill(process)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.005)


def check(watched: dict[int, Watched], orders: socket.socket) -> None:
    """End what is over its limits."""
    for process, one in list(watched.items()):
        root = process or os.getpid()
        processes = below(root)
        if process:
            processes.append(process)
        why = one.why_over(processes)
        if why is not None:
            send(orders, over=why, processes=processes)
            for each in processes if process == 0 else [process]:
                kill(each)
            del watched[process]


def take_orders(orders: socket.socket, watched: dict[int, Watched]) -> bool:
    """False once the grader has gone."""
    message = orders.recv(65536)
    if not message:
        return False
    order = json.loads(message)
    if "watch" in order:
        watched[int(order["watch"])] = Watched(order)
    elif "forget" in order:
        watched.pop(int(order["forget"]), None)
    return True


def supervise(process: subprocess.Popen[bytes], orders: socket.socket, parent: int) -> None:
    """Until the sandbox has ended or the grader is gone."""
    watched: dict[int, Watched] = {}
    said = b""
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    while os.getppid() == parent and process.poll() is None:
        ready, _, _ = select.select([orders], [], [], _TICK)
        if ready and not take_orders(orders, watched):
            return
        with contextlib.suppress(OSError):
            said = (said + (process.stderr.read() or b""))[-4000:]
        check(watched, orders)
    with contextlib.suppress(OSError):
        said = (said + (process.stderr.read() or b""))[-4000:]
    send(orders, ended=process.returncode, said=said.decode("utf-8", "replace"))


def main() -> None:
    """Start the sandbox, watch it, end it."""
    settings = json.loads(sys.argv[1])
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    orders = socket.socket(fileno=settings["orders"])
    process = subprocess.Popen(
        settings["command"],
        pass_fds=[settings["control"]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=settings["environment"],
        cwd="/",
    )
    os.close(settings["control"])
    try:
        supervise(process, orders, parent)
    finally:
        end_all()


if __name__ == "__main__":
    main()
