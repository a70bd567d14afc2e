"""A Python that everybody can read, for tests of the sandbox that run as root.

Graders as root run students' code as another user, who often can't read root's Python (a home of root's is closed).
Prints where it is when run as a program; makes it once per Python and environment, of hard links where it can.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

VARIABLE = "COURSE_KERNEL_PYTHON"
_PLACE = Path("/var/tmp")
_LEFT_OUT = ("test", "tests", "idlelib", "turtledemo", "site-packages", "share", "include", "config-*")


def readable_python() -> Path | None:
    """The Python for kernels, or None where this one will do."""
    if sys.platform != "linux" or os.getuid() != 0 or VARIABLE in os.environ:
        return None
    environment = Path(sysconfig.get_path("purelib"))
    if all(map(_everybody_reads, (Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib")), environment))):
        return None
    name = hashlib.sha256(f"{sys.base_prefix} {environment} {sys.version}".encode()).hexdigest()[:12]
    folder = _PLACE / f"course-kernel-python-{name}"
    with open(_PLACE / f"course-kernel-python-{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").is_file() or folder.stat().st_uid != 0:
            _make(folder, environment)
    return folder / "env" / "bin" / "python"


def _everybody_reads(path: Path) -> bool:
    return all(one.stat().st_mode & 0o005 == 0o005 for one in (path, *path.parents))


def _make(folder: Path, environment: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    base, version = folder / "base", f"python{sys.version_info.major}.{sys.version_info.minor}"
    _copy(Path(sysconfig.get_path("stdlib")), base / "lib" / version, _LEFT_OUT)
    for library in Path(sys.base_prefix, "lib").glob("libpython*"):
        shutil.copy2(library, base / "lib" / library.name)
    (base / "bin").mkdir()
    shutil.copy2(Path(sys.executable).resolve(), base / "bin" / version)
    bin_folder = folder / "env" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "python").symlink_to(base / "bin" / version)
    (folder / "env" / "pyvenv.cfg").write_text(f"home = {base / 'bin'}\n", encoding="utf-8")
    packages = folder / "env" / "lib" / version / "site-packages"
    if _everybody_reads(environment):
        packages.parent.mkdir(parents=True)
        packages.symlink_to(environment)
    else:
        _copy(environment, packages, ())
    os.system(f"chmod -R a+rX {folder}")
    (folder / "done").touch()


def _copy(source: Path, target: Path, left_out: Iterable[str]) -> None:
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(*left_out), copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        if os.stat(source).st_mode & 0o004:
            os.link(source, target)
            return
    except OSError:
        pass  # another disk
    shutil.copy2(source, target, follow_symlinks=False)


if __name__ == "__main__":
    print(readable_python() or sys.executable)
