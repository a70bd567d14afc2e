"""A PostgreSQL of the tests' own: a cluster in a temporary folder, reached through a socket there, without network."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

PLACES = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt/postgresql", "/usr/local/opt/postgresql")


def find_programs() -> Path | None:
    """The folder of initdb and pg_ctl, the newest version; None where PostgreSQL is not installed."""
    found = [path.parent for place in PLACES for path in Path(place).glob("*/bin/initdb")]
    found += [Path(program).parent for program in [shutil.which("initdb")] if program]
    return max(found, key=lambda folder: _version(folder), default=None)


def _version(folder: Path) -> float:
    with contextlib.suppress(ValueError):
        return float(folder.parent.name)
    return 0.0


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """A running server; yields the URL of an empty database, for SQLAlchemy with psycopg.

    PostgreSQL refuses to run as root, so root runs it as its own user `postgres` (or `nobody`).
    """
    programs = find_programs()
    assert programs is not None
    user = _unprivileged_user()
    place = Path(tempfile.mkdtemp(prefix="pg-", dir=_open_to_all() if user else None))  # a socket's path must be short
    try:
        if user is not None:
            os.chown(place, pwd.getpwnam(user).pw_uid, -1)
        data, log = place / "data", place / "log"
        _run(
            [str(programs / "initdb"), "-D", str(data), "-U", "course", "-A", "trust", "-E", "UTF8", "-N"], user, place
        )
        options = f"-c listen_addresses= -c unix_socket_directories={place} -c fsync=off -c max_connections=20"
        start = [str(programs / "pg_ctl"), "-D", str(data), "-l", str(log), "-w", "-t", "60", "-o", options, "start"]
        _run(start, user, place)
        try:
            yield f"postgresql+psycopg://course@/postgres?host={place}"
        finally:
            _run([str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop"], user, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _open_to_all() -> str:
    """A folder for temporary files that another user may enter; not every machine's /tmp is one."""
    for place in (Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/dev/shm")):
        if place.is_dir() and all(folder.stat().st_mode & stat.S_IXOTH for folder in (place, *place.parents)):
            return str(place)
    raise RuntimeError("no folder for temporary files can be entered by another user than root")


def _run(command: Sequence[str], user: str | None, place: Path) -> None:
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "HOME": str(place)}
    done = subprocess.run(
        command, user=user, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:1])} failed: {done.stdout}{done.stderr}")
