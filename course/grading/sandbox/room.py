"""A sandbox and the kernels in it, from the grader's side.

room = Room(workshop folder, backend)     supervisor → bubblewrap → warm parent
process = room.spawn(request)             a fork of the warm parent, sealed, in namespaces of its own
process.wire                              the folder for sockets and messages, by a descriptor of ours
process.end(); room.close()
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.grading.sandbox import view

_PACKET = 180_000
_LEAST_WIRE = 64 * 2**20  # for messages, beside the scratch
_CREDENTIALS = struct.Struct("3i")
INSIDE = "/course"
SCRATCH = "/scratch"


class RoomError(Exception):
    """The sandbox could not be started, or has ended."""


class NotSealed(RoomError):
    """A fork could not be sealed here: kernels have to be started one by one."""


@dataclass(frozen=True)
class Backend:
    """A way to isolate.

    Attributes
    ----------
    name : bubblewrap or landlock
    shape : how a kernel comes about: nested, single or alone; see boot.py
    """

    name: str
    shape: str

    @property
    def warm(self) -> bool:
        """Whether kernels are forks of a warm parent."""
        return self.shape != "single"


BUBBLEWRAP = Backend("bubblewrap", "nested")
BUBBLEWRAP_COLD = Backend("bubblewrap", "single")
LANDLOCK = Backend("landlock", "alone")


class Process:
    """One kernel: its process, its folder for messages, and why it ended."""

    def __init__(self, room: Room, channel: socket.socket, pid: int, wire: int, scratch: Path | None) -> None:
        self.pid = pid
        self._room = room
        self._channel = channel
        self._descriptor = os.pidfd_open(pid)
        self._wire = wire
        self._scratch = scratch
        self.code: int | None = None
        self._ended = False

    @property
    def wire(self) -> Path:
        """The folder of sockets and messages; what lies in it is the student's."""
        return Path(f"/proc/self/fd/{self._wire}")

    def poll(self) -> int | None:
        """None while it runs; its exit code is not told, since a student's code chose it."""
        if self.code is None and self._descriptor_is_ready(0):
            self.code = 0
        return self.code

    def _descriptor_is_ready(self, seconds: float) -> bool:
        return bool(select.select([self._descriptor], [], [], seconds)[0]) if self._descriptor >= 0 else True

    def wait(self) -> int:
        """Wait until it has ended."""
        while self.poll() is None:
            self._descriptor_is_ready(1.0)
        return self.code or 0

    def send_signal(self, number: int) -> None:
        """To the kernel itself, not to what holds it."""
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self._descriptor, number)

    def why_over(self) -> str | None:
        """Which limit the supervisor ended it for: memory, seconds, disk."""
        return self._room.why_over(self.pid)

    def end(self) -> None:
        """End it and all it left; afterwards nothing of it runs and its scratch is gone."""
        if self._ended:
            return
        self._ended = True
        self.send_signal(signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._channel.settimeout(5.0)
            while self._channel.recv(_PACKET):  # the guard tells when the namespaces are empty, then closes
                pass
        self._descriptor_is_ready(5.0)
        self.code = self.code or 0
        self._room.forget(self)
        self._channel.close()
        for descriptor in (self._descriptor, self._wire):
            os.close(descriptor)
        self._descriptor = -1


class Room:
    """One sandbox: a supervisor outside, the warm parent inside.

    Parameters
    ----------
    folder : the workshop's folder, with `boot/`, `lib/`, `inputs/` and `fonts/`
    backend : how to isolate
    user : whose rights it has
    settings : the import path inside and the place of bytecode
    seconds : how long the start may take

    Raises
    ------
    RoomError : it did not start
    """

    def __init__(
        self,
        folder: Path,
        backend: Backend,
        *,
        user: view.User,
        bytecode: Path | None,
        environment: Mapping[str, str],
        scratch_bytes: int,
        preload: bool = True,
        closed: Callable[[Room], None] | None = None,
        seconds: float = 60.0,
    ) -> None:
        self.folder = folder
        self.backend = backend
        self.user = user
        self._bytecode = bytecode
        self._environment = dict(environment)
        self._scratch_bytes = scratch_bytes
        self._closed = closed
        self._preload = preload
        self._over: dict[int, str] = {}
        self._roots: dict[int, int] = {}
        self._lock = threading.Lock()
        self.said = ""
        self.threads = 0
        self._control, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders, orders = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._start(inner, orders)
        finally:
            inner.close()
            orders.close()
        try:
            self._await_start(seconds)
        except BaseException:
            self.close()
            raise

    # Places, as they are named inside

    @property
    def _bubblewrap(self) -> bool:
        return self.backend.name == "bubblewrap"

    def place(self, name: str) -> str:
        """A part of the workshop as the kernel names it."""
        return f"{INSIDE}/{name}" if self._bubblewrap else str(self.folder / name)

    def _start(self, inner: socket.socket, orders: socket.socket) -> None:
        python = view.runtime().executable
        boot = [python, "-I", "-S", f"{self.place('boot')}/boot.py", json.dumps({"control": inner.fileno()})]
        command = [*self._walls(), *boot] if self._bubblewrap else boot
        settings = {
            "command": command,
            "control": inner.fileno(),
            "orders": orders.fileno(),
            "environment": {} if self._bubblewrap else self._environment,
        }
        supervisor = str(self.folder / "boot" / "supervisor.py")
        try:
            self._supervisor = subprocess.Popen(
                [python, "-I", "-S", supervisor, json.dumps(settings)],
                pass_fds=[inner.fileno(), orders.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
                **view.as_user(self.user),  # type: ignore[call-overload]
            )
        except OSError as error:
            raise RoomError(_not_run(python, self.user, error)) from None
        path = [self.place("lib"), *view.runtime().path]
        self._control.send(
            json.dumps(
                {
                    "shape": self.backend.shape,
                    "preload": self._preload and self.backend.warm,
                    "boot": self.place("boot"),
                    "path": path,
                    "bytecode": str(self._bytecode) if self._bytecode else None,
                    "fonts": self.place("fonts"),
                    "home": f"{SCRATCH}/home" if self._bubblewrap else str(self.folder / "home"),
                }
            ).encode()
        )

    def _walls(self) -> list[str]:
        """bubblewrap and what it shows."""
        arguments = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts"]
        arguments += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--hostname", "sandbox"]
        arguments += ["--uid", "1000", "--gid", "1000", "--clearenv"]
        for name, value in self._environment.items():
            arguments += ["--setenv", name, value]
        for kind, path in view.layers(self._bytecode):
            arguments += ["--ro-bind", path, path] if kind == "show" else ["--tmpfs", path, "--remount-ro", path]
        for target, link in view.system_links():
            arguments += ["--symlink", target, link]
        arguments += ["--proc", "/proc", "--dev", "/dev"]
        small = 2**20 if self.backend.warm else 2**26
        for place, size in (("/tmp", small), ("/dev/shm", small), (SCRATCH, self._scratch_bytes)):
            arguments += ["--perms", "0700", "--size", str(size), "--tmpfs", place]
        for name in ("boot", "lib", "inputs", "fonts"):
            arguments += ["--ro-bind", str(self.folder / name), f"{INSIDE}/{name}"]
        return [*arguments, "--chdir", SCRATCH, "--remount-ro", "/", "--"]

    def _await_start(self, seconds: float) -> None:
        self._control.settimeout(seconds)
        try:
            message = self._control.recv(_PACKET)
        except OSError as error:
            raise RoomError(f"the sandbox did not start in time: {error}") from None
        if not message:
            self._await_end(5.0)
            raise RoomError(f"the sandbox did not start: {self.said or 'it ended at once'}")
        told = json.loads(message)
        if "error" in told:
            raise RoomError(f"the libraries can't be imported in the sandbox: {told['error']}")
        self.threads = int(told.get("threads", 0))
        if self.backend.warm and self.threads != 1:
            raise RoomError(f"the warm parent has {self.threads} threads; forks of it could hang")

    # Kernels

    def spawn(
        self,
        *,
        connection: Mapping[str, Any],
        copies: Sequence[tuple[str, str]],
        limits: Mapping[str, int],
        scratch_bytes: int,
        memory: int,
        seconds: float,
        start_seconds: float,
    ) -> Process:
        """A new kernel, sealed, with copies of inputs in its working folder.

        Raises
        ------
        NotSealed, RoomError : as they say
        """
        scratch = None if self._bubblewrap else self._own_scratch()
        place = str(scratch) if scratch is not None else SCRATCH
        request = {
            "scratch": place,
            "scratch_bytes": scratch_bytes,
            "wire_bytes": max(scratch_bytes // 4, _LEAST_WIRE),
            "inputs": self.place("inputs"),
            "copies": [list(copy) for copy in copies],
            "connection": {**connection, "ip": f"{place}/wire/k"},
            "environment": {} if scratch is None else _homes(place),
            "limits": dict(limits),
            "rules": self._rules(place),
            "landlock": 3 if self.backend.name == "landlock" else 0,
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        ours.settimeout(start_seconds)
        try:
            try:
                socket.send_fds(self._control, [json.dumps(request).encode()], [theirs.fileno()])
            finally:
                theirs.close()
            process = self._first_word(ours, scratch)
        except (OSError, RoomError) as error:
            ours.close()
            if self._closed is not None:
                self.close()
            if isinstance(error, RoomError):
                raise
            raise RoomError(f"the sandbox does not answer: {error}{self._last_words()}") from None
        self._watch(process, memory, seconds, scratch_bytes)
        ours.send(b"go")
        self._second_word(ours, process)
        return process

    def _first_word(self, channel: socket.socket, scratch: Path | None) -> Process:
        size = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(struct.calcsize("i"))
        message, extras, _, _ = channel.recvmsg(_PACKET, size)
        pid, wire = 0, -1
        for level, kind, data in extras:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                pid = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0]
            elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                (wire,) = struct.unpack("i", data[:4])
        told = json.loads(message or b"{}")
        if not told.get("ready") or pid <= 1 or wire < 0:
            raise NotSealed(f"no kernel came out of the sandbox: {told.get('error', 'it ended')}{self._last_words()}")
        return Process(self, channel, pid, wire, scratch)

    def _second_word(self, channel: socket.socket, process: Process) -> None:
        try:
            told = json.loads(channel.recv(_PACKET) or b"{}")
        except OSError as error:
            told = {"error": str(error)}
        if not told.get("sealed"):
            process.end()
            raise NotSealed(f"a kernel could not be sealed: {told.get('error', 'it ended')}")

    def _rules(self, scratch: str) -> list[tuple[str, str]]:
        """Landlock's, which within namespaces is a second wall."""
        if self._bubblewrap:
            rules = [("/", "see"), ("/tmp", "own"), ("/dev/shm", "own")]
        else:
            rules = list(view.shown_entries(self._bytecode))
            rules += [(self.place(name), "see") for name in ("lib", "fonts")]
        rules += [(f"/dev/{name}", "device") for name in ("null", "zero", "full", "random", "urandom")]
        rules += [(f"{scratch}/{name}", "own") for name in ("work", "home", "tmp", "shm")]
        return [*rules, (f"{scratch}/wire", "exchange")]

    def _own_scratch(self) -> Path:
        """Without namespaces, a folder on disk."""
        folder = self.folder / f"k-{os.urandom(6).hex()}"
        folder.mkdir(mode=0o700)
        if self.user.other:
            os.chown(folder, self.user.uid, self.user.gid)
        return folder

    def _watch(self, process: Process, memory: int, seconds: float, scratch_bytes: int) -> None:
        """What the supervisor counts and ends: the first process of the kernel's namespaces, or all there is."""
        root = {"nested": lambda: parent_of(process.pid), "single": lambda: 0, "alone": lambda: process.pid}
        top = root[self.backend.shape]()
        self._roots[process.pid] = top
        scratch = process._scratch
        order = {"watch": top, "memory": memory, "seconds": seconds, "folder_bytes": scratch_bytes}
        self._orders.send(json.dumps(order | {"folder": str(scratch) if scratch else None}).encode())

    def forget(self, process: Process) -> None:
        """It has ended; a sandbox for one kernel ends with it."""
        with contextlib.suppress(OSError):
            self._orders.send(json.dumps({"forget": self._roots.pop(process.pid, -1)}).encode())
        if process._scratch is not None:
            from course.grading.kernel import remove

            remove(process._scratch)
        if self._closed is not None:
            self.close()
            self._closed(self)

    @property
    def ended(self) -> bool:
        """Whether the supervisor has gone, and everything with it."""
        return self._supervisor.poll() is not None

    def why_over(self, pid: int) -> str | None:
        """What the supervisor said of a kernel."""
        self._listen(0.0)
        return self._over.get(pid)

    def _listen(self, seconds: float) -> bool:
        """Take what the supervisor says; False when it has gone."""
        with self._lock:
            while self._orders.fileno() >= 0 and select.select([self._orders], [], [], seconds)[0]:
                try:
                    told = json.loads(self._orders.recv(_PACKET) or b"null")
                except OSError:
                    return False
                if told is None:
                    return False
                if "over" in told:
                    self._over.update(dict.fromkeys(told["processes"], told["over"]))
                if "ended" in told:
                    self.said = told["said"].strip()
                    return False
                seconds = 0.0
        return True

    def _await_end(self, seconds: float) -> None:
        self._listen(seconds)

    def _last_words(self) -> str:
        self._listen(0.2)
        return f" ({self.said})" if self.said else ""

    def abandon(self) -> None:
        """Let it end without waiting: the supervisor ends all when we hang up."""
        for end in (self._control, self._orders):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End everything in it."""
        self.abandon()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(15)
        if self._supervisor.poll() is None:
            self._supervisor.kill()
            self._supervisor.wait()
        self._control.close()
        self._orders.close()


def _not_run(python: str, user: view.User, error: OSError) -> str:
    if not user.other:
        return f"{python} can't be run: {error.strerror}"
    return (
        f"grading runs as root, so students' code runs as {user.name}, who can't run {python}: put interpreter and "
        f"packages where everybody can read them, or name such a Python with {view.PYTHON_VARIABLE}"
    )


def _homes(scratch: str) -> dict[str, str]:
    home = f"{scratch}/home"
    return {
        "HOME": home,
        "TMPDIR": f"{scratch}/tmp",
        "IPYTHONDIR": f"{home}/ipython",
        "JUPYTER_CONFIG_DIR": f"{home}/jupyter",
        "MPLCONFIGDIR": f"{home}/matplotlib",
    }


def parent_of(process: int) -> int:
    """The parent of a process that lives.

    >>> parent_of(os.getpid()) == os.getppid()
    True
    """
    with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[1])
