"""What a student's kernel sees of this machine: the system, an interpreter, its libraries; and what it must not see.

Everything else does not exist for it: no home, no course, no tests, no class, no other submission.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import pwd
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from course.errors import CourseError
from course.paths import ROOT

PYTHON_VARIABLE = "COURSE_KERNEL_PYTHON"
USER_VARIABLE = "COURSE_SANDBOX_USER"
DEDICATED_USER = "course-sandbox"
# An installation that is not editable puts the whole reference, tests' helpers and the grader among the libraries.
HIDDEN_PACKAGES = ("course", "reference_impl", "solutions", "exercises")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime")
_ASK = """
import json, os, sys, sysconfig
print(json.dumps({"executable": os.path.realpath(sys.executable), "prefix": os.path.realpath(sys.base_prefix),
                  "standard": sysconfig.get_path("stdlib"), "path": sys.path, "tag": sys.implementation.cache_tag}))
"""


@dataclass(frozen=True)
class Runtime:
    """The Python that runs students' code."""

    executable: str
    prefix: str
    path: tuple[str, ...]

    @property
    def libraries(self) -> tuple[str, ...]:
        """The folders of installed packages."""
        return tuple(path for path in self.path if Path(path).name in ("site-packages", "dist-packages"))


def runtime() -> Runtime:
    """This Python without the repository; or the one that COURSE_KERNEL_PYTHON names.

    Raises
    ------
    CourseError : that one can't be run
    """
    return _runtime(os.environ.get(PYTHON_VARIABLE) or sys.executable)


@functools.cache
def _runtime(executable: str) -> Runtime:
    if executable == sys.executable:
        standard, paths, prefix = sysconfig.get_path("stdlib"), sys.path, os.path.realpath(sys.base_prefix)
        real = os.path.realpath(executable)
    else:
        try:
            run = subprocess.run([executable, "-I", "-c", _ASK], capture_output=True, check=True, cwd="/")
            told = json.loads(run.stdout)
        except (OSError, subprocess.CalledProcessError, ValueError) as error:
            raise CourseError(f"{PYTHON_VARIABLE} is {executable}, which can't be run: {error}") from None
        if told["tag"] != sys.implementation.cache_tag:
            raise CourseError(f"{PYTHON_VARIABLE} is {executable}, another version of Python than the grader's")
        standard, paths, prefix, real = told["standard"], told["path"], told["prefix"], told["executable"]
    ours = [path for path in paths if path == standard or path == os.path.join(standard, "lib-dynload")]
    installed = [path for path in paths if Path(path).name in ("site-packages", "dist-packages")]
    return Runtime(real, prefix, tuple(path for path in dict.fromkeys([*ours, *installed]) if os.path.isdir(path)))


def visible(bytecode: Path | None) -> list[str]:
    """All that a kernel may read of this machine, by each of its names."""
    python = runtime()
    found = [path for path in (*_SYSTEM, *_SETTINGS) if os.path.exists(path) and not os.path.islink(path)]
    found += [python.prefix, os.path.dirname(python.executable), *python.path, *([str(bytecode)] if bytecode else [])]
    found += [os.path.realpath(path) for path in found]
    found = [path for path in dict.fromkeys(map(os.path.abspath, found)) if path != "/"]
    covered = hidden()

    def shown_by(path: str, other: str) -> bool:
        between = [one for one in covered if _is_below(one, other) and (path == one or _is_below(path, one))]
        return _is_below(path, other) and not between

    return [path for path in found if not any(shown_by(path, other) for other in found)]


def system_links() -> list[tuple[str, str]]:
    """On most systems /bin and /lib are links into /usr."""
    return [(os.readlink(path), path) for path in _SYSTEM if os.path.islink(path)]


def hidden() -> list[str]:
    """What lies within the visible and must not be seen: this course as installed, the repository, a home."""
    python = runtime()
    folders = {*python.libraries, *(path for path in sys.path if path.endswith("-packages"))}
    folders |= {str(path) for path in Path(python.prefix).glob("lib/python3*/*-packages")}
    found = {os.path.join(folder, name) for folder in folders for name in HIDDEN_PACKAGES}
    found |= {str(path) for folder in folders for path in Path(folder).glob("multiomics_course-*")}
    found |= {str(ROOT), os.path.expanduser("~")}
    found |= {os.path.realpath(path) for path in found}
    return sorted(path for path in found if os.path.isdir(path))


def layers(bytecode: Path | None) -> list[tuple[str, str]]:
    """The visible and the hidden as ("show" or "hide", path), outermost first; what comes later covers."""
    shown = visible(bytecode)
    covered = [path for path in hidden() if path not in shown and any(_is_below(path, other) for other in shown)]
    # What is needed may itself lie within what is hidden, as a `.venv` within a repository does.
    return sorted([*(("show", path) for path in shown), *(("hide", path) for path in covered)], key=_outermost_first)


def _outermost_first(layer: tuple[str, str]) -> tuple[int, bool, str]:
    kind, path = layer
    return len(Path(path).parts), kind == "hide", path


def shown_entries(bytecode: Path | None) -> Iterator[tuple[str, str]]:
    """The same for Landlock, which can't take away what lies within the allowed: the parts that remain.

    A folder with something hidden in it can still be listed, since imports do; so can what is hidden, but not read.
    """
    shown, covered = visible(bytecode), hidden()
    for path in shown:
        yield from _entries(path, [one for one in covered if _is_below(one, path)])


def _entries(path: str, covered: Iterable[str]) -> Iterator[tuple[str, str]]:
    within = [one for one in covered if _is_below(one, path)]
    if not within:
        yield path, "see"
        return
    yield path, "list"
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        if entry.path not in within:
            yield from _entries(entry.path, within)


def _is_below(path: str, folder: str) -> bool:
    return path != folder and path.startswith(folder.rstrip("/") + "/")


# --------------------------------------------------------------------------------------------------------------------
# Whose rights a kernel has


@dataclass(frozen=True)
class User:
    """The user that the sandbox runs as; `other` where that is not the grader."""

    uid: int
    gid: int
    name: str
    other: bool


def sandbox_user() -> User:
    """The grader itself, or, where that is root, an unprivileged user.

    Raises
    ------
    CourseError : COURSE_SANDBOX_USER is no such user
    """
    if os.getuid() != 0:
        return User(os.getuid(), os.getgid(), "", other=False)
    wanted = os.environ.get(USER_VARIABLE)
    for name in [wanted] if wanted else [DEDICATED_USER, "nobody"]:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return User(entry.pw_uid, entry.pw_gid, entry.pw_name, other=True)
    raise CourseError(f"grading as root needs an unprivileged user for students' code: {wanted or 'nobody'} is none")


def as_user(user: User) -> dict[str, object]:
    """Arguments of `subprocess.Popen` to run something as that user."""
    return {"user": user.uid, "group": user.gid, "extra_groups": []} if user.other else {}


def place_for(user: User, usual: str) -> str:
    """A folder for temporary files that the user can reach."""
    for place in (usual, "/tmp", "/var/tmp", "/dev/shm"):
        if os.path.isdir(place) and (not user.other or _can_pass(place)):
            return place
    raise CourseError(f"the user {user.name} can reach none of {usual}, /tmp, /var/tmp, /dev/shm")


def _can_pass(place: str) -> bool:
    path = Path(place).resolve()
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


@functools.cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)


@contextlib.contextmanager
def files_of(user: User) -> Iterator[None]:
    """Files that this thread opens or makes are opened or made as that user would; root's own rights rest."""
    if not user.other:
        yield
        return
    library = _c_library()
    library.setfsgid(user.gid)
    library.setfsuid(user.uid)
    try:
        yield
    finally:
        library.setfsuid(0)
        library.setfsgid(0)
