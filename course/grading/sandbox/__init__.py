"""Isolation of students' code.

| file | what it does |
|---|---|
| `__init__.py` | which isolation this machine offers, and the refusal where it offers none |
| `view.py` | what a kernel sees of the machine, and whose rights it has |
| `room.py` | a sandbox and its kernels, from the grader's side |
| `supervisor.py` | stands outside a sandbox, counts, and ends it |
| `inside/` | the filter of system calls, and how a process gives up its rights; staged into the sandbox |
| `bare.py` | a kernel without isolation |
| `doctor.py`, `attempts.py` | tries each promise |
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from course.errors import CourseError
from course.grading.sandbox import bare
from course.grading.sandbox.room import BUBBLEWRAP, BUBBLEWRAP_COLD, LANDLOCK, SCRATCH, Backend

VARIABLE = "COURSE_SANDBOX"


@dataclass(frozen=True)
class Isolation:
    """What keeps a student's code away from the machine; `name` stands in every verdict."""

    key: str
    name: str
    backend: Backend | None

    def place_of_wire(self, wire: Path) -> str:
        """The folder of messages as the kernel names it."""
        if self.backend is None:
            return str(wire)
        return f"{SCRATCH}/wire" if self.backend.name == "bubblewrap" else os.readlink(wire)

    def others(self, uid: int) -> int:
        """How many processes and threads count against a kernel's limit beside its own."""
        if self.backend is None or self.backend.name == "bubblewrap":
            return 8  # within its own user namespace: those that hold it
        return 1000 + sum(_threads(path) for path in Path("/proc").glob("[0-9]*") if _owner(path) == uid)


def _owner(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_uid
    return -1


def _threads(path: Path) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(path / "task"))
    return 0


_KNOWN = {
    "bubblewrap": Isolation("bubblewrap", "bubblewrap", BUBBLEWRAP),
    "bubblewrap-cold": Isolation("bubblewrap-cold", "bubblewrap", BUBBLEWRAP_COLD),
    "landlock": Isolation("landlock", "landlock", LANDLOCK),
    "none": Isolation("none", bare.NAME, None),
}
ORDER = ("bubblewrap", "bubblewrap-cold", "landlock")  # strongest and fastest first
_chosen: list[Isolation] = []


def named(key: str) -> Isolation:
    """The isolation of that name.

    Raises
    ------
    CourseError : there is none of that name
    """
    if key not in _KNOWN:
        raise CourseError(f"there is no isolation {key!r}; there are {', '.join(_KNOWN)}")
    return _KNOWN[key]


def use(key: str | None) -> None:
    """From now on this process uses that one; None: what `chosen` finds when it is next asked."""
    _chosen[:] = [] if key is None else [named(key)]


def chosen() -> Isolation:
    """The isolation of this process, found by trying once.

    Raises
    ------
    CourseError : this machine has none
    """
    if not _chosen:
        from course.grading.sandbox import doctor

        _chosen.append(doctor.find())
    return _chosen[0]
