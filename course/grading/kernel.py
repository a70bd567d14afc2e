"""A student's kernel: its folders, its start, its cells and its answers, all under limits.

A kernel lives in a private folder of its own, made for it and removed with it:

    lib/      what it may import beside the libraries: the notebook's helpers and the data container, no reference
    work/     its working folder: the trusted `support/` of the unit and the class's cohort
    home/     its home, with matplotlib's list of fonts so that it need not be made again
    wire/     requests and answers, one file each
    k-1 …     its sockets

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
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
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
from jupyter_client.session import Session

from course.checking import agent
from course.errors import CourseError
from course.grading.provisioner import NAME, CourseProvisioner, OneKernel
from course.paths import ROOT

# What a notebook may import of ours. Everything else of the repository is not even on the disk under this name.
_STAGED = ("course/__init__.py", "course/errors.py", "reference_impl/__init__.py", "reference_impl/cohort.py")
_NOT_STAGED = ("solution.py", "recognise.py", "stock.py", "__pycache__")
_FRAME = 32 * 2**20  # the longest message that a socket takes
_GRACE = 2.0  # seconds between an interrupt and a kill
_FLOOD_GRACE = 6.0  # the same for a kernel that has to get rid of its output first
_MAPPED = 4 * 2**30  # libraries map gigabytes that they never touch


@dataclass(frozen=True)
class Limits:
    """What a submission may use. Seconds are wall time.

    `call_seconds` holds for each call of a student's function; after `patience` calls of one function were too slow,
    its next ones get `impatient_seconds`, so that an endless loop costs its tests and not the evening. Cells likewise,
    also once a function has used up that patience: later cells call it.
    """

    call_seconds: float = 10.0
    impatient_seconds: float = 2.0
    patience: int = 3
    cell_seconds: float = 30.0
    impatient_cell_seconds: float = 8.0
    cell_patience: int = 1
    start_seconds: float = 60.0
    output_bytes: int = 4 * 2**20
    memory_bytes: int = 4 * 2**30
    file_bytes: int = 512 * 2**20
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

    def __init__(self, status: CellStatus = CellStatus.KERNEL_DIED) -> None:
        reasons = {CellStatus.TIMEOUT: "took too long, could not be interrupted, and was ended"}
        reasons |= {CellStatus.OUTPUT: "wrote too much output, could not be interrupted, and was ended"}
        super().__init__(reasons.get(status, "the kernel died"))
        self.status = status


class KernelTimeout(Exception):
    """It took too long and was interrupted; the kernel lives."""


class KernelStartError(Exception):
    """No kernel could be started: a failure of ours, never a student's."""


@functools.cache
def _library_paths() -> tuple[str, ...]:
    """Import path of a kernel without the repository: the standard library and the installed packages."""
    library = sysconfig.get_path("stdlib")
    standard = [path for path in sys.path if Path(path) == Path(library) or Path(library, "lib-dynload") == Path(path)]
    installed = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    return tuple(path for path in dict.fromkeys([*standard, *installed]) if os.path.isdir(path))


def _has_bytecode(module: str) -> bool:
    """Whether an installed module is compiled at the usual place."""
    for folder in _library_paths():
        path = Path(folder, module)
        if path.is_file():
            return Path(path.parent, "__pycache__", f"{path.stem}.{sys.implementation.cache_tag}.pyc").is_file()
    return True  # not installed: nothing to compile


def _boot(
    script: Path, path: list[str], bytecode: Path | None, *, limits: Mapping[str, int], compile_only: bool = False
) -> list[str]:
    settings = {
        "limits": dict(limits),
        "path": path,
        "bytecode": str(bytecode) if bytecode else None,
        "compile": compile_only,
    }
    return [sys.executable, "-I", "-S", str(script), json.dumps(settings)]


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
        atexit.register(_remove, folder)
    script = Path(__file__).with_name("boot.py")
    command = _boot(script, list(_library_paths()), folder, limits={}, compile_only=True)
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
    shutil.copyfile(Path(__file__).with_name("boot.py"), folder / "boot.py")
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
        with contextlib.suppress(OSError):
            os.killpg(kernel.process_group, signal.SIGKILL)
    for workshop in list(_workshops):
        _remove(workshop.folder)


class Workshop:
    """What all kernels of one worker share: the staged import folder, copied and compiled once."""

    def __init__(self) -> None:
        place = _short_temporary_folder()
        _sweep(Path(place))
        self.folder = Path(tempfile.mkdtemp(prefix=f"mo-{os.getpid()}-", dir=place))
        self.library = self.folder / "lib"
        _workshops.add(self)
        stage(self.library)

    def command(self, limits: Mapping[str, int]) -> list[str]:
        """The command line that starts a kernel, but for its connection file."""
        return _boot(self.library / "boot.py", [str(self.library), *_library_paths()], bytecode_folder(), limits=limits)

    def close(self) -> None:
        """Remove the folder."""
        _remove(self.folder)
        _workshops.discard(self)

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sweep(place: Path) -> None:
    """Remove the folders of workers that were killed before they could."""
    for folder in place.glob("mo-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and folder.stat().st_uid == os.getuid():
            _remove(folder)


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
        self.folder = Path(tempfile.mkdtemp(prefix="k-", dir=workshop.folder))
        self.ready = False
        self.ended = False
        try:
            self._furnish(support, cohort)
            self._start(workshop)
        except KernelStartError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise KernelStartError(f"a kernel could not be started: {type(error).__name__}: {error}") from error

    def _furnish(self, support: Path | None, cohort: Path | None) -> None:
        self.work, self.wire = self.folder / "work", self.folder / "wire"
        for name in ("work", "wire", "home", "tmp"):
            (self.folder / name).mkdir(mode=0o700)
        if support is not None:
            copy_plain(support, self.work / "support")
        if cohort is not None:
            target = self.work / "support" / "data" / "cohort"
            shutil.rmtree(target, ignore_errors=True)
            copy_plain(cohort, target)
        for fonts in _font_lists():
            target = self.folder / "home" / "matplotlib" / fonts.name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(fonts, target)

    def _environment(self) -> dict[str, str]:
        home = str(self.folder / "home")
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": home,
            "TMPDIR": str(self.folder / "tmp"),
            "IPYTHONDIR": f"{home}/ipython",
            "JUPYTER_CONFIG_DIR": f"{home}/jupyter",
            "JUPYTER_PLATFORM_DIRS": "1",
            "MPLCONFIGDIR": f"{home}/matplotlib",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            **one,
        }

    def _start(self, workshop: Workshop) -> None:
        memory = self.limits.memory_bytes
        limits = {
            "RLIMIT_DATA": memory,
            "RLIMIT_AS": memory + _MAPPED,
            "RLIMIT_FSIZE": self.limits.file_bytes,
            "RLIMIT_CORE": 0,
        }
        command = workshop.command(limits)
        self._context = zmq.Context()
        self._context.setsockopt(zmq.MAXMSGSIZE, _FRAME)
        self._context.setsockopt(zmq.LINGER, 0)
        self._manager = KernelManager(
            transport="ipc",
            ip=str(self.folder / "k"),
            connection_file=str(self.folder / "connection.json"),
            kernel_spec_manager=OneKernel(command, self._environment(), str(self.work)),
            context=self._context,
            session=Session(key=secrets.token_hex(32).encode()),
            shutdown_wait_time=0,
        )
        self._manager.start_kernel()
        if not isinstance(self._manager.provisioner, CourseProvisioner):
            raise KernelStartError(f"the kernel was not started by {NAME}")
        self.process_group = int(self._manager.provisioner.pgid or 0)
        if self.process_group > 1:
            _running.add(self)
        self._session = self._manager.session
        self._shell = self._manager.connect_shell()
        self._iopub = self._manager.connect_iopub()
        # A message longer than a frame may be ends the connection it comes on, and nothing else tells of it.
        self._dropped = self._iopub.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._poller = zmq.Poller()
        self._poller.register(self._shell, zmq.POLLIN)
        self._poller.register(self._iopub, zmq.POLLIN)

    def wait_ready(self) -> None:
        """Wait until the kernel answers and has imported what the examination needs.

        Raises
        ------
        KernelStartError : it died or did not answer in time
        """
        if self.ready:
            return
        try:
            reply = self._execute("import course.checking.agent as _; _.stay()", seconds=self.limits.start_seconds, silent=True)
            if reply["status"] != "ok":
                raise KernelStartError(f"a new kernel can't import its helpers: {reply.get('evalue', '')}")
            self._execute("del _", seconds=self.limits.start_seconds, silent=True)
            self._await_outputs()
        except (KernelDied, KernelTimeout) as error:
            raise KernelStartError(f"a new kernel did not come up: {error}") from error
        self.ready = True

    def _await_outputs(self) -> None:
        """Outputs are published to who listens: run nothings until one is heard."""
        deadline = time.monotonic() + self.limits.start_seconds
        while not self._iopub.poll(50):
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
        agent.write_once(self.wire, asked, request)
        call = (str(self.wire), asked, reply)
        code = f"__import__('course.checking.agent', fromlist=['answer']).answer{call!r}"
        try:
            self._execute(code, seconds=seconds, silent=True)
            return agent.read_once(self.wire, reply)
        finally:
            for name in (asked, reply, f".{reply}"):
                (self.wire / name).unlink(missing_ok=True)

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
        outputs = outputs or _Outputs(0)
        self._drain(None, outputs)
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
                self.ended = True
                raise KernelDied()

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
                self.ended = True
                raise KernelDied()
        return None

    def _receive(self, socket: zmq.Socket, parent: str, kind: str) -> dict[str, Any] | None:
        """The content of the message at hand, if it is the one waited for; a malformed one counts as none."""
        message, _ = self._message(socket)
        if message is None or message.get("msg_type") != kind or message["parent_header"].get("msg_id") != parent:
            return None
        return message["content"]

    def _message(self, socket: zmq.Socket) -> tuple[dict[str, Any] | None, int]:
        try:
            frames = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None, 0
        size = sum(map(len, frames))
        with contextlib.suppress(
            Exception
        ):  # bytes of a student's kernel may be anything; what can't be read is nothing
            _, parts = self._session.feed_identities(frames)
            message = self._session.deserialize(parts)
            if isinstance(message["content"], dict) and isinstance(message["parent_header"], dict):
                return message, size
        return None, size

    def _drain(self, parent: str | None, outputs: _Outputs) -> None:
        """Take what was published; keep what belongs to the cell that runs."""
        for _ in range(1000):  # a flood must not keep us from the reply
            if not self._iopub.poll(0):
                return
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
        process = self._manager.provisioner.process if self._manager.provisioner else None
        return process is not None and process.poll() is None

    def kill(self) -> None:
        """End the kernel and its process group at once."""
        self.ended = True
        with contextlib.suppress(Exception):  # it may be gone already
            self._manager.shutdown_kernel(now=True)

    def close(self) -> None:
        """End the kernel and remove its folder."""
        if hasattr(self, "_manager"):
            self.kill()
            for name in ("_dropped", "_shell", "_iopub"):
                if hasattr(self, name):
                    getattr(self, name).close(linger=0)
            self._manager.cleanup_resources()
            self._context.destroy(linger=0)
        _running.discard(self)
        _remove(self.folder)

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Outputs:
    """What a cell showed, up to a budget of bytes."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
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
        self.taken += size
        self.flooded = self.flooded or self.taken > self.flood
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


def _remove(folder: Path) -> None:
    """Remove a folder whose owner may have made parts of it unreadable."""

    def open_up(function: Any, path: str, _: Any) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)
            os.chmod(path, 0o700, follow_symlinks=False) if os.path.islink(path) else os.chmod(path, 0o700)
            function(path)

    shutil.rmtree(folder, onerror=open_up)
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def iter_environment() -> Iterator[tuple[str, str]]:
    """Versions of what decides a result: Python and the scientific packages."""
    from importlib.metadata import PackageNotFoundError, version

    yield "python", ".".join(map(str, sys.version_info[:3]))
    for name in ("numpy", "pandas", "scipy", "scikit-learn", "matplotlib", "pytest"):
        with contextlib.suppress(PackageNotFoundError):
            yield name, version(name)
