"""A student's kernel: its folders, its start, its cells and its answers, all under limits.

A workshop holds what the kernels of one worker share, on disk and read-only for them:

    boot/     what runs before a student's code
    lib/      what they may import beside the libraries: the notebook's helpers and the data container, no reference
    inputs/   the trusted `support/` of units and the class's cohort
    fonts/    matplotlib's list of fonts so that it need not be made again

and the sandbox with its warm parent. Each kernel gets a scratch folder of its own, which goes with it:

    work/     its working folder, with copies of its inputs
    home/ tmp/ shm/
    wire/     its sockets k-1 …, and requests and answers, one file each

Cells run as a notebook's do; outputs are kept up to a budget. `ask` passes a message to `course.checking.agent` in the
kernel and returns the bytes of its answer, which are not trusted.
"""

from __future__ import annotations

import atexit
import compileall
import contextlib
import functools
import json
import os
import platform
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import nbformat
import zmq
from jupyter_client.manager import KernelManager
from jupyter_client.session import DELIM, Session

from course.checking import agent
from course.errors import CourseError
from course.grading import sandbox
from course.grading.provisioner import CHANNELS, NAME, CourseProvisioner, OneKernel, Process
from course.grading.sandbox import view
from course.grading.sandbox.bare import BareProcess
from course.grading.sandbox.room import BUBBLEWRAP_COLD, SCRATCH, NotSealed, Room, RoomError
from course.paths import ROOT

# What a notebook may import of ours. Everything else of the repository is not even on the disk under this name.
_STAGED = ("course/__init__.py", "course/errors.py", "reference_impl/__init__.py", "reference_impl/cohort.py")
_NOT_STAGED = ("solution.py", "recognise.py", "stock.py", "__pycache__")
_FRAME = 32 * 2**20  # the longest message that a socket takes
_GRACE = 2.0  # seconds between an interrupt and a kill
_FLOOD_GRACE = 6.0  # the same for a kernel that has to get rid of its output first
_MAPPED = 4 * 2**30  # libraries map gigabytes that they never touch
_BEYOND = 60.0  # seconds after a submission's time in which the supervisor ends what we did not
_BOOT = ("boot.py", "sandbox/supervisor.py", "sandbox/inside/filter.py", "sandbox/inside/seal.py")


@dataclass(frozen=True)
class Limits:
    """What a submission may use. Seconds are wall time.

    `call_seconds` holds for each call of a student's function; after `patience` calls of one function were too slow,
    its next ones get `impatient_seconds`, so that an endless loop costs its tests and not the evening. Cells likewise,
    also once a function has used up that patience: later cells call it.
    """

    call_seconds: float = 10.0
    impatient_seconds: float = 2.0
    patience: int = 2
    cell_seconds: float = 30.0
    impatient_cell_seconds: float = 8.0
    cell_patience: int = 1
    start_seconds: float = 60.0
    output_bytes: int = 4 * 2**20
    memory_bytes: int = 4 * 2**30
    file_bytes: int = 512 * 2**20
    scratch_bytes: int = 2**30
    processes: int = 128  # and threads
    open_files: int = 1024
    deaths: int = 6  # of the kernel, in the tests of one exercise; its next calls are not tried
    total_seconds: float = 900.0


class CellStatus(StrEnum):
    """How a cell ended."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    KERNEL_DIED = "kernel_died"
    SKIPPED = "skipped"


@dataclass
class CellResult:
    """How a cell ended, and what it showed."""

    status: CellStatus
    seconds: float
    message: str = ""
    outputs: list[Any] = field(default_factory=list)
    execution_count: int | None = None


class KernelDied(Exception):
    """The kernel is gone: it died, or we ended it because it did not stop when it should (TIMEOUT, OUTPUT)."""

    def __init__(self, status: CellStatus = CellStatus.KERNEL_DIED, reason: str = "") -> None:
        reasons = {CellStatus.TIMEOUT: "took too long, could not be interrupted, and was ended"}
        reasons |= {CellStatus.OUTPUT: "wrote too much output, could not be interrupted, and was ended"}
        reasons |= {CellStatus.MEMORY: "used too much memory and was ended"}
        super().__init__(reason or reasons.get(status, "the kernel died"))
        self.status = status


class KernelTimeout(Exception):
    """It took too long and was interrupted; the kernel lives."""


class KernelStartError(Exception):
    """No kernel could be started: a failure of ours, never a student's."""


def _has_bytecode(module: str) -> bool:
    """Whether an installed module is compiled at the usual place."""
    for folder in view.runtime().path:
        path = Path(folder, module)
        if path.is_file():
            return Path(path.parent, "__pycache__", f"{path.stem}.{sys.implementation.cache_tag}.pyc").is_file()
    return True  # not installed: nothing to compile


_bytecode: list[Path | None] = []


def bytecode_folder() -> Path | None:
    """Where kernels find the bytecode of libraries, which saves them seconds; None where that is the usual place.

    The first call in a process compiles what is not compiled: at the usual place, or, where Python was told to write
    none there, in a folder that goes when this process ends.

    Raises
    ------
    KernelStartError : a kernel's libraries can't be imported
    """
    if not _bytecode:
        _bytecode.append(_compile_libraries())
    return _bytecode[0]


def use_bytecode(folder: Path | None) -> None:
    """Use what another process compiled."""
    _bytecode[:] = [folder]


def _compile_libraries() -> Path | None:
    if all(_has_bytecode(name) for name in ("ipykernel/kernelapp.py", "matplotlib/pyplot.py", "scipy/stats/_qmc.py")):
        return None
    place = _short_temporary_folder()
    folder = Path(tempfile.mkdtemp(prefix=f"mo-{os.getpid()}-", dir=place)) if sys.dont_write_bytecode else None
    if folder is not None:
        atexit.register(remove, folder)
    script = Path(__file__).with_name("boot.py")
    path = view.runtime().path
    settings = {"compile": True, "path": path, "boot": "", "bytecode": str(folder) if folder else None}
    command = [view.runtime().executable, "-I", "-S", str(script), json.dumps(settings)]
    run = subprocess.run(command, cwd=place, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False)
    if run.returncode != 0:
        last = run.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise KernelStartError(f"the libraries of a kernel can't be imported: {' '.join(last)}")
    return folder


def stage(folder: Path) -> None:
    """Copy what a notebook may import of ours, compiled once."""
    for name in _STAGED:
        source = ROOT / name
        if not source.is_file():
            raise CourseError(f"{source} is missing; a kernel needs it")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    ignore = shutil.ignore_patterns(*_NOT_STAGED)
    shutil.copytree(ROOT / "course" / "checking", folder / "course" / "checking", ignore=ignore)
    _compile(folder)


def _compile(folder: Path) -> None:
    before, sys.pycache_prefix = sys.pycache_prefix, str(bytecode_folder() or "") or None
    try:
        compileall.compile_dir(folder, quiet=2, force=True)
    finally:
        sys.pycache_prefix = before


_running: set[Kernel] = set()
_workshops: set[Workshop] = set()


def abandon_all() -> None:
    """End every kernel of this process and remove what they had, at once and without waiting: the process is to end."""
    for kernel in list(_running):
        kernel.process.send_signal(9)
    for workshop in list(_workshops):
        workshop.abandon()


class Workshop:
    """What all kernels of one worker share: the staged folders, copied and compiled once, and the sandbox.

    Parameters
    ----------
    isolation : name of the isolation; by default what this process has chosen
    preload : whether a warm parent imports what notebooks usually import

    Raises
    ------
    CourseError : there is none, or an unprivileged user can't be found
    """

    def __init__(self, isolation: str | None = None, *, preload: bool = True) -> None:
        self._preload = preload
        self.isolation = sandbox.chosen() if isolation is None else sandbox.named(isolation)
        self.user = view.sandbox_user() if self.isolation.backend else view.User(os.getuid(), os.getgid(), "", False)
        place = view.place_for(self.user, _short_temporary_folder())
        _sweep(Path(place), self.user)
        self.folder = Path(tempfile.mkdtemp(prefix=f"mo-{os.getpid()}-", dir=place))
        self._rooms: set[Room] = set()
        self._warm: Room | None = None
        self._inputs: dict[tuple[Any, ...], str] = {}
        _workshops.add(self)
        try:
            self._stage()
        except BaseException:
            self.close()
            raise

    def _stage(self) -> None:
        stage(self.folder / "lib")
        boot, fonts = self.folder / "boot", self.folder / "fonts"
        for folder in (boot, fonts, self.folder / "inputs", self.folder / "home"):
            folder.mkdir()
        for name in _BOOT:
            shutil.copyfile(Path(__file__).parent / name, boot / Path(name).name)
        _compile(boot)
        for file in _font_lists():
            shutil.copyfile(file, fonts / file.name)
        self._hand_over(self.folder)

    def _hand_over(self, folder: Path) -> None:
        """Let the sandbox's user read a folder, where that is not us."""
        if self.user.other:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.user.uid, self.user.gid, follow_symlinks=False)

    def input(self, source: Path) -> str:
        """The name of a copy of a folder's plain files in `inputs/`."""
        files = sorted(path for path in source.rglob("*") if path.is_file() and not path.is_symlink())
        found = [(str(path), status.st_size, status.st_mtime_ns) for path in files if (status := path.stat())]
        known = (str(source), *found)
        if known not in self._inputs:
            name = str(len(self._inputs))
            copy_plain(source, self.folder / "inputs" / name)
            self._hand_over(self.folder / "inputs" / name)
            self._inputs[known] = name
        return self._inputs[known]

    # Kernels

    def start(self, connection: Mapping[str, Any], copies: list[tuple[str, str]], limits: Limits) -> Process:
        """A new kernel with copies of inputs.

        Raises
        ------
        KernelStartError : it did not come up
        """
        if self.isolation.backend is None:
            return self._start_bare(connection, copies, limits)
        options = {
            "connection": connection,
            "copies": copies,
            "limits": self._system_limits(limits),
            "memory": limits.memory_bytes,
            "seconds": limits.total_seconds + _BEYOND,
            "scratch_bytes": limits.scratch_bytes,
            "start_seconds": limits.start_seconds,
        }
        try:
            return self._spawn(options)
        except RoomError as error:
            raise KernelStartError(str(error)) from error

    def _spawn(self, options: dict[str, Any]) -> Process:
        backend = self.isolation.backend
        assert backend is not None
        if not backend.warm:
            return self._open_room(backend, options["scratch_bytes"], once=True).spawn(**options)
        if self._warm is not None and self._warm.ended:
            self._close_room(self._warm)
            self._warm = None
        if self._warm is None:
            self._warm = self._open_room(backend, options["scratch_bytes"])
        try:
            return self._warm.spawn(**options)
        except NotSealed:
            if backend.name != BUBBLEWRAP_COLD.name:
                raise
        # One fork that can't be sealed off is no reason to do without walls: a sandbox of its own.
        return self._open_room(BUBBLEWRAP_COLD, options["scratch_bytes"], once=True).spawn(**options)

    def _open_room(self, backend: Any, scratch_bytes: int, *, once: bool = False) -> Room:
        room = Room(
            self.folder,
            backend,
            user=self.user,
            bytecode=bytecode_folder(),
            environment={**_environment(SCRATCH if backend.name == "bubblewrap" else str(self.folder))},
            scratch_bytes=scratch_bytes,
            preload=self._preload,
            closed=self._rooms.discard if once else None,
        )
        self._rooms.add(room)
        return room

    def _close_room(self, room: Room) -> None:
        room.close()
        self._rooms.discard(room)

    def _start_bare(self, connection: Mapping[str, Any], copies: list[tuple[str, str]], limits: Limits) -> Process:
        folder = Path(tempfile.mkdtemp(prefix="k-", dir=self.folder))
        for name in ("work", "wire", "home", "tmp"):
            (folder / name).mkdir(mode=0o700)
        for source, target in copies:
            shutil.copytree(self.folder / "inputs" / source, folder / "work" / target, dirs_exist_ok=True)
        shutil.copytree(self.folder / "fonts", folder / "home" / "matplotlib")
        boot = str(self.folder / "boot")
        bytecode = bytecode_folder()
        settings = {
            "boot": boot,
            "path": [str(self.folder / "lib"), *view.runtime().path],
            "bytecode": str(bytecode) if bytecode else None,
            "limits": self._system_limits(limits),
        }
        command = [view.runtime().executable, "-I", "-S", f"{boot}/boot.py"]
        return BareProcess(command, settings, connection, folder, _environment(str(folder)))

    def _system_limits(self, limits: Limits) -> dict[str, int]:
        found = {
            "RLIMIT_DATA": limits.memory_bytes,
            "RLIMIT_AS": limits.memory_bytes + _MAPPED,
            "RLIMIT_FSIZE": limits.file_bytes,
            "RLIMIT_CORE": 0,
        }
        if self.isolation.backend is not None:
            found["RLIMIT_NOFILE"] = limits.open_files
            found["RLIMIT_CPU"] = int(limits.total_seconds + _BEYOND)
            found["RLIMIT_NPROC"] = limits.processes + self.isolation.others(self.user.uid)
        return found

    def abandon(self) -> None:
        """Remove what there is without waiting; the sandbox ends when we are gone."""
        for room in list(self._rooms):
            room.abandon()
        remove(self.folder)

    def close(self) -> None:
        """End the sandbox and remove the folder."""
        for room in list(self._rooms):
            self._close_room(room)
        remove(self.folder)
        _workshops.discard(self)

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _environment(place: str) -> dict[str, str]:
    """The whole environment of a kernel, or of the parent of kernels."""
    home = f"{place}/home"
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": home,
        "TMPDIR": f"{place}/tmp",
        "IPYTHONDIR": f"{home}/ipython",
        "JUPYTER_CONFIG_DIR": f"{home}/jupyter",
        "JUPYTER_PLATFORM_DIRS": "1",
        "JPY_PARENT_PID": "1",  # its parent is the first process there is, and does not end before it
        "MPLCONFIGDIR": f"{home}/matplotlib",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        **one,
    }


def _sweep(place: Path, user: view.User) -> None:
    """Remove the folders of workers that were killed before they could."""
    for folder in place.glob("mo-*-*"):
        owner = folder.name.split("-")[1]
        ours = folder.lstat().st_uid in (os.getuid(), user.uid)
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and ours:
            remove(folder)


def _short_temporary_folder() -> str:
    """A folder whose sockets fit into the 108 bytes that the system allows for their path."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= 60 else "/tmp"


class Kernel:
    """One running kernel in a folder of its own.

    Parameters
    ----------
    workshop : the staged import folder
    support : the unit's trusted `support/` folder, copied into the working folder
    cohort : folder of the class's cohort, copied to `support/data/cohort`
    limits : what it may use

    Raises
    ------
    KernelStartError : it did not come up
    """

    def __init__(
        self,
        workshop: Workshop,
        *,
        support: Path | None = None,
        cohort: Path | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.ready = False
        self.ended = False
        self._workshop = workshop
        self._opened: list[int] = []
        try:
            self._start(self._inputs(support, cohort))
        except KernelStartError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise KernelStartError(f"a kernel could not be started: {type(error).__name__}: {error}") from error

    def _inputs(self, support: Path | None, cohort: Path | None) -> list[tuple[str, str]]:
        places = {"support": support, "support/data/cohort": cohort}
        return [(self._workshop.input(source), place) for place, source in places.items() if source is not None]

    def _start(self, copies: list[tuple[str, str]]) -> None:
        self._context = zmq.Context()
        self._context.setsockopt(zmq.MAXMSGSIZE, _FRAME)
        self._context.setsockopt(zmq.LINGER, 0)
        self._manager = _Manager(
            transport="ipc",
            connection_file=str(self._workshop.folder / f"{secrets.token_hex(6)}.json"),
            kernel_spec_manager=OneKernel(lambda connection: self._workshop.start(connection, copies, self.limits)),
            context=self._context,
            session=Session(key=secrets.token_hex(32).encode()),
            shutdown_wait_time=0,
        )
        self._manager.start_kernel()
        if not isinstance(self._manager.provisioner, CourseProvisioner):
            raise KernelStartError(f"the kernel was not started by {NAME}")
        self._session = self._manager.session
        _running.add(self)

    def _connect(self) -> None:
        """Open the channels once the kernel has its sockets, which is before it runs anything of the student's."""
        self._shell = self._channel("shell_port", zmq.DEALER)
        self._iopub = self._channel("iopub_port", zmq.SUB)
        # A message longer than a frame may be ends the connection it comes on, and nothing else tells of it.
        self._dropped = self._iopub.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._poller = zmq.Poller()
        self._poller.register(self._shell, zmq.POLLIN)
        self._poller.register(self._iopub, zmq.POLLIN)

    def _channel(self, name: str, kind: int) -> zmq.Socket:
        path = self.process.wire / f"k-{CHANNELS.index(name) + 1}"
        deadline = time.monotonic() + self.limits.start_seconds
        while not os.path.lexists(path):
            if self.process.poll() is not None:
                raise KernelStartError(f"a new kernel ended before it was reached{self._why()}")
            if time.monotonic() > deadline:
                raise KernelStartError("a new kernel did not open its channels in time")
            time.sleep(0.002)
        socket = self._context.socket(kind)
        if kind == zmq.SUB:
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        else:
            socket.identity = self._session.bsession
        socket.setsockopt(zmq.RECONNECT_IVL, 10)
        socket.connect(f"ipc://{self._socket_itself(path)}")
        return socket

    def _socket_itself(self, path: Path) -> str:
        """A name that stays with this socket, whatever the student puts in its place."""
        if platform.system() != "Linux":
            return str(path)
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._opened.append(descriptor)
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise KernelStartError("a new kernel's channel is no socket")
        return f"/proc/self/fd/{descriptor}"

    @property
    def process(self) -> Process:
        """The kernel's process."""
        provisioner = self._manager.provisioner
        assert isinstance(provisioner, CourseProvisioner)
        assert provisioner.process is not None
        return provisioner.process

    def _why(self) -> str:
        why = self.process.why_over()
        return f": over its {why}" if why else ""

    def wait_ready(self) -> None:
        """Wait until the kernel answers and has imported what the examination needs.

        Raises
        ------
        KernelStartError : it died or did not answer in time
        """
        if self.ready:
            return
        try:
            self._connect()
            code = "__import__('course.checking.agent', fromlist=['stay']).stay()"
            reply = self._execute(code, seconds=self.limits.start_seconds, silent=True)
            if reply["status"] != "ok":
                raise KernelStartError(f"a new kernel can't import its helpers: {reply.get('evalue', '')}")
            self._await_outputs()
        except (KernelDied, KernelTimeout) as error:
            raise KernelStartError(f"a new kernel did not come up: {error}") from error
        self.ready = True

    def _await_outputs(self) -> None:
        """Outputs are published to who listens: run nothings until one is heard."""
        deadline = time.monotonic() + self.limits.start_seconds
        while not self._iopub.poll(5):
            self._execute("", seconds=self.limits.start_seconds, silent=True)
            if time.monotonic() > deadline:
                raise KernelStartError("a new kernel's outputs can't be heard")

    def run_cell(self, source: str, seconds: float) -> CellResult:
        """Run a cell as a notebook does.

        Raises
        ------
        KernelDied : the kernel is gone; the cell killed it, or did not stop when told to
        """
        self.wait_ready()
        outputs = _Outputs(self.limits.output_bytes)
        started = time.monotonic()
        try:
            reply = self._execute(source, seconds=seconds, outputs=outputs)
        except KernelTimeout:
            message = f"took more than {seconds:g} s and was interrupted"
            return CellResult(CellStatus.TIMEOUT, time.monotonic() - started, message, outputs.kept, None)
        elapsed = time.monotonic() - started
        status, message = _cell_status(reply, outputs)
        count = reply.get("execution_count")
        return CellResult(status, elapsed, message, outputs.kept, count if isinstance(count, int) else None)

    def ask(self, request: bytes, seconds: float) -> bytes:
        """Pass a message to the agent and return its answer's bytes, which may be anything.

        Raises
        ------
        KernelDied, KernelTimeout : as they say
        wire.WireError : there is no answer, or it is no plain file of bounded size
        """
        self.wait_ready()
        asked, reply = secrets.token_hex(12), secrets.token_hex(12)
        wire = self.process.wire
        with view.files_of(self._workshop.user):
            agent.write_once(wire, asked, request)
        call = (self._workshop.isolation.place_of_wire(wire), asked, reply)
        code = f"__import__('course.checking.agent', fromlist=['answer']).answer{call!r}"
        try:
            self._execute(code, seconds=seconds, silent=True)
            with view.files_of(self._workshop.user):
                return agent.read_once(wire, reply)
        finally:
            for name in (asked, reply, f".{reply}"):
                with contextlib.suppress(OSError), view.files_of(self._workshop.user):
                    (wire / name).unlink(missing_ok=True)

    def _execute(
        self, code: str, *, seconds: float, silent: bool = False, outputs: _Outputs | None = None
    ) -> dict[str, Any]:
        content = {
            "code": code,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        outputs = outputs or _Outputs(0, unread=True)
        self._drain(None, _Outputs(0))
        message = self._session.msg("execute_request", content)
        self._session.send(self._shell, message)
        parent = message["header"]["msg_id"]
        reply = self._await_reply(parent, outputs, time.monotonic() + seconds)
        if reply is None:
            return self._interrupt(parent, outputs)
        if not silent:
            self._await_idle(parent, outputs)
        return reply

    def _await_reply(self, parent: str, outputs: _Outputs, deadline: float) -> dict[str, Any] | None:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            ready = dict(self._poller.poll(max(1, min(200, int(left * 1000)))))
            outputs.flooded = outputs.flooded or self._lost_outputs()
            if self._iopub in ready:
                self._drain(parent, outputs)
            if outputs.flooded:
                return self._interrupt(parent, outputs)
            if self._shell in ready:
                content = self._receive(self._shell, parent, "execute_reply")
                if content is not None:
                    return content
            elif not ready and not self._alive():
                raise self._death()

    def _await_idle(self, parent: str, outputs: _Outputs) -> None:
        """The last outputs come on another socket than the reply."""
        deadline = time.monotonic() + 2
        while not outputs.idle and time.monotonic() < deadline:
            if self._iopub.poll(100):
                self._drain(parent, outputs)

    def _interrupt(self, parent: str, outputs: _Outputs) -> dict[str, Any]:
        """Stop what runs; a kernel that does not stop is ended."""
        flooded = outputs.flooded
        for _ in range(2):
            self._manager.interrupt_kernel()
            outputs.flooded = False
            outputs.budget = -1
            reply = self._await_quiet(parent, outputs, (_FLOOD_GRACE if flooded else _GRACE) / 2)
            if reply is not None:
                if flooded:
                    outputs.flooded = True
                    return reply
                raise KernelTimeout("took too long and was interrupted")
        self.kill()
        raise KernelDied(CellStatus.OUTPUT if flooded else CellStatus.TIMEOUT)

    def _await_quiet(self, parent: str, outputs: _Outputs, seconds: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ready = dict(self._poller.poll(100))
            if self._iopub in ready:
                self._drain(parent, outputs)
            if self._shell in ready:
                content = self._receive(self._shell, parent, "execute_reply")
                if content is not None:
                    return content
            elif not ready and not self._alive():
                raise self._death()
        return None

    def _receive(self, socket: zmq.Socket, parent: str, kind: str) -> dict[str, Any] | None:
        """The content of the message at hand, if it is the one waited for; a malformed one counts as none."""
        message, _ = self._message(socket)
        if message is None or message.get("msg_type") != kind or message["parent_header"].get("msg_id") != parent:
            return None
        return message["content"]

    def _message(self, socket: zmq.Socket) -> tuple[dict[str, Any] | None, int]:
        """The message at hand and its size; None for what is in no form, as bytes of a student's kernel may be.

        Its signature proves nothing, since the student's code has the key, and its dates are of no use.
        """
        try:
            frames = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None, 0
        size = sum(map(len, frames))
        with contextlib.suppress(ValueError, RecursionError):
            begin = frames.index(DELIM) + 2
            header, parent, _, content = map(json.loads, frames[begin : begin + 4])
            if all(isinstance(part, dict) for part in (header, parent, content)):
                kind = header.get("msg_type")
                return {"header": header, "msg_type": kind, "parent_header": parent, "content": content}, size
        return None, size

    def _drain(self, parent: str | None, outputs: _Outputs) -> None:
        """Take what was published; keep what belongs to the cell that runs."""
        for _ in range(1000):  # a flood must not keep us from the reply
            if not self._iopub.poll(0):
                return
            if parent is None or outputs.unread:
                outputs.count(_size_of_next(self._iopub))
                continue
            message, size = self._message(self._iopub)
            if message is not None and parent is not None and message["parent_header"].get("msg_id") == parent:
                outputs.take(message, size)

    def _lost_outputs(self) -> bool:
        """Whether the connection for outputs was cut since this was last asked."""
        lost = False
        while self._dropped.poll(0):
            self._dropped.recv_multipart()
            lost = True
        return lost

    def _alive(self) -> bool:
        return self.process.poll() is None

    def _death(self) -> KernelDied:
        self.ended = True
        why = self.process.why_over()
        if why == "disk":
            return KernelDied(CellStatus.KERNEL_DIED, "filled its scratch folder and was ended")
        statuses = {"memory": CellStatus.MEMORY, "seconds": CellStatus.TIMEOUT}
        return KernelDied(statuses.get(why or "", CellStatus.KERNEL_DIED))

    def kill(self) -> None:
        """End the kernel and all it left, at once; the manager's way is for kernels that one is polite to."""
        self.ended = True
        provisioner = self._manager.provisioner
        if isinstance(provisioner, CourseProvisioner) and provisioner.process is not None:
            provisioner.process.end()

    def close(self) -> None:
        """End the kernel; its scratch goes with it."""
        if hasattr(self, "_manager"):
            for name in ("_dropped", "_shell", "_iopub"):
                if hasattr(self, name):
                    getattr(self, name).close(linger=0)
            self.kill()
            self._manager.cleanup_connection_file()
            self._context.destroy(linger=0)
        for descriptor in self._opened:
            os.close(descriptor)
        self._opened.clear()
        _running.discard(self)

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Manager(KernelManager):
    """Opens no channel of its own."""

    def _connect_control_socket(self) -> None:
        """The control channel is for polite shutdowns."""


class _Outputs:
    """What a cell showed, up to a budget of bytes; where nobody looks, how much that was."""

    def __init__(self, budget: int, *, unread: bool = False) -> None:
        self.budget = budget
        self.unread = unread
        self.flood = max(16 * budget, 64 * 2**20)
        self.taken = 0
        self.kept: list[Any] = []
        self.idle = False
        self.flooded = False
        self.cut = False
        self.clear_next = False

    def take(self, message: dict[str, Any], size: int) -> None:
        kind, content = message.get("msg_type"), message["content"]
        if kind == "status":
            self.idle = self.idle or content.get("execution_state") == "idle"
            return
        self.count(size)
        if self.taken > self.budget:
            self._cut()
            return
        if kind == "clear_output":
            self.clear_next = bool(content.get("wait"))
            self.kept = self.kept if self.clear_next else []
            return
        if kind not in ("stream", "display_data", "execute_result", "error"):
            return
        if self.clear_next:
            self.kept, self.clear_next = [], False
        with contextlib.suppress(Exception):  # an output that is in no form is not shown
            self._keep(nbformat.v4.output_from_msg(message))

    def count(self, size: int) -> None:
        """So much more was shown."""
        self.taken += size
        self.flooded = self.flooded or self.taken > self.flood

    def _keep(self, output: Any) -> None:
        last = self.kept[-1] if self.kept else None
        if output.output_type == "stream" and last is not None and last.get("name") == output.get("name"):
            last.text += output.text
        else:
            nbformat.validate(output, ref="output", version=4)
            self.kept.append(output)

    def _cut(self) -> None:
        if not self.cut and self.budget > 0:
            text = f"\n[the rest of this cell's output is left out: more than {self.budget} bytes]\n"
            self.kept.append(nbformat.v4.new_output("stream", name="stderr", text=text))
        self.cut = True


def _size_of_next(socket: zmq.Socket) -> int:
    """The bytes of the message at hand, which nobody reads."""
    try:
        return sum(map(len, socket.recv_multipart(zmq.NOBLOCK)))
    except zmq.Again:
        return 0


def _cell_status(reply: dict[str, Any], outputs: _Outputs) -> tuple[CellStatus, str]:
    if outputs.flooded:
        return CellStatus.OUTPUT, "wrote too much output and was interrupted"
    if reply.get("status") == "ok":
        return CellStatus.OK, ""
    name, text = str(reply.get("ename", ""))[:100], str(reply.get("evalue", ""))[:500]
    status = CellStatus.MEMORY if name == "MemoryError" else CellStatus.ERROR
    return status, f"{name}: {text}" if text else name


def copy_plain(source: Path, target: Path) -> None:
    """Copy a folder's plain files; a link could point anywhere, so none is followed or copied."""
    for folder, _, names in os.walk(source, followlinks=False):
        inside = target / Path(folder).relative_to(source)
        inside.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                shutil.copyfile(path, inside / name)


@functools.cache
def _font_lists() -> tuple[Path, ...]:
    """Matplotlib's list of fonts, which takes seconds to make and is the same for all."""
    import matplotlib
    from matplotlib import font_manager  # importing it makes the list

    assert font_manager.fontManager is not None
    return tuple(Path(matplotlib.get_cachedir()).glob("fontlist-*.json"))


def remove(folder: Path) -> None:
    """Remove a folder whose owner may have made parts of it unreadable; others may be removing it, too."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        return
    with contextlib.suppress(OSError):
        folder.chmod(0o700)  # never what lies above it: that is all users' /tmp
    for parent, names, _ in os.walk(folder):  # opened from the top, so that the walk can go on below
        for path in (Path(parent, name) for name in names):
            with contextlib.suppress(OSError):
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def iter_environment() -> Iterator[tuple[str, str]]:
    """Versions of what decides a result: Python and the scientific packages."""
    from importlib.metadata import PackageNotFoundError, version

    yield "python", ".".join(map(str, sys.version_info[:3]))
    for name in ("numpy", "pandas", "scipy", "scikit-learn", "matplotlib", "pytest"):
        with contextlib.suppress(PackageNotFoundError):
            yield name, version(name)
