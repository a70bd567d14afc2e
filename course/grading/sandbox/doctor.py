"""`course doctor`: what isolation this machine gives, found by really trying each promise in a real kernel.

`find` tries what takes no time and decides for grading; `examine` tries everything and is what the command shows.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course.errors import CourseError
from course.grading import sandbox
from course.grading.kernel import CellStatus, Kernel, KernelDied, KernelStartError, Limits, Workshop
from course.grading.sandbox import Isolation, view
from course.paths import ROOT

_RESULT = "RESULT "
_LIMITS = Limits(cell_seconds=20.0, start_seconds=60.0)
_MIB = 2**20
APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


_FILTER = "filter of system calls"
# What keeps a kind of promise: under bubblewrap, under Landlock
HOW = {
    "network": ("network namespace, filter", _FILTER),
    "host sockets": ("mount and network namespaces, filter", _FILTER),
    "files": ("mount namespace, read-only", "Landlock"),
    "tests": ("mount namespace", "Landlock"),
    "class": ("mount namespace", "Landlock"),
    "other students": ("mount namespace of its own", "Landlock domain of its own"),
    "/proc": ("process namespace of its own", "Landlock"),
    "tracing": ("process namespace, filter", _FILTER),
    "the grader": ("process namespace, clean environment", "filter, clean environment"),
    "new namespaces": (_FILTER, _FILTER),
    "privileges": ("no_new_privs, no capabilities", "no_new_privs, no capabilities"),
    "kernel settings": ("read-only, no privileges, filter", "Landlock, filter"),
    "kernel": (_FILTER, _FILTER),
    "leftovers": ("namespaces end with it, filter", "no processes, filter, folder removed"),
    "memory": ("supervisor, limits", "limits, no processes"),
    "processes": ("limit in its user namespace", "no processes"),
    "disk": ("scratch in memory of bounded size, limits", "supervisor, limits"),
    "output": ("budget of the grader", "budget of the grader"),
    "endless loops": ("the grader's clock", "the grader's clock"),
    "daemons": ("its processes end with their namespace", "no processes"),
}


@dataclass(frozen=True)
class Promise:
    """Something that a student's code must not achieve; `how` says what keeps it from that, by isolation."""

    kind: str
    name: str
    says: str

    def how(self, isolation: Isolation) -> str:
        """What keeps the promise."""
        walls, filtered = HOW.get(self.kind, ("filter of system calls", "filter of system calls"))
        return walls if isolation.name == "bubblewrap" else filtered


PROMISES = (
    Promise("network", "network", "no connection over the network"),
    Promise("network", "network_datagram", "no internet socket, with or without connection"),
    Promise("network", "network_six", "nor of the other internet protocol"),
    Promise("network", "network_other", "no raw, Bluetooth, kernel or virtual-machine socket"),
    Promise("host sockets", "host_socket", "no connection to a program of this machine"),
    Promise("host sockets", "host_socket_abstract", "nor by an abstract name"),
    Promise("host sockets", "host_socket_datagram", "no message to one either"),
    Promise("files", "files_home", "no home"),
    Promise("files", "files_passwords", "no list of users"),
    Promise("files", "files_system_write", "the system and the libraries can't be changed"),
    Promise("files", "files_staged_write", "nor the course's own files in the sandbox"),
    Promise("files", "files_mapped", "no file of the grader in memory"),
    Promise("files", "files_by_handle", "no file by its number"),
    Promise("files", "files_link", "no link where the grader reads"),
    Promise("files", "devices", "no device"),
    Promise("tests", "files_course", "no test, no solution, no part of the repository"),
    Promise("tests", "files_reference", "no reference can be imported"),
    Promise("tests", "files_grader", "no part of the grader can be imported"),
    Promise("tests", "files_installed", "nor found among the installed packages"),
    Promise("class", "files_class", "no gradebook and no class folder"),
    Promise("other students", "files_other_students", "no other submission"),
    Promise("/proc", "proc_others", "no other process in view"),
    Promise("/proc", "proc_environment", "no environment of another process"),
    Promise("/proc", "proc_memory", "no memory of another process or of the kernel"),
    Promise("tracing", "tracing_grader", "no tracing of other processes"),
    Promise("tracing", "tracing_child", "no tracing at all"),
    Promise("tracing", "tracing_memory", "no reading of other memory by system call"),
    Promise("tracing", "descriptors_of_others", "no descriptor of another process"),
    Promise("the grader", "signal_grader", "no signal to the grader"),
    Promise("the grader", "limits_of_grader", "no change of its limits"),
    Promise("the grader", "environment", "nothing of its environment"),
    Promise("the grader", "descriptors", "nothing inherited from it"),
    Promise("the grader", "terminal", "no terminal"),
    Promise("new namespaces", "namespaces_new", "no new namespace"),
    Promise("new namespaces", "namespaces_clone", "nor a process in one, nor joining one"),
    Promise("new namespaces", "mounting", "no mounting"),
    Promise("new namespaces", "root_folder", "no other root folder"),
    Promise("privileges", "privileges", "no capability, no other user"),
    Promise("privileges", "new_privileges", "no new privileges by running something"),
    Promise("kernel settings", "kernel_settings", "no setting of the system's kernel"),
    Promise("kernel settings", "kernel_sysfs", "nor of its devices and groups"),
    Promise("kernel settings", "kernel_clock", "no setting of the clock"),
    Promise("kernel", "kernel_log", "no log of the system's kernel"),
    Promise("kernel", "kernel_modules", "no module, no restart"),
    Promise("kernel", "kernel_bpf", "no program in the system's kernel"),
    Promise("kernel", "kernel_perf", "no performance events"),
    Promise("kernel", "kernel_io_uring", "no io_uring, which goes around filters"),
    Promise("kernel", "kernel_faults", "no handling of page faults"),
    Promise("kernel", "kernel_keys", "no keys"),
    Promise("leftovers", "left_shared_memory", "nothing that lives on without a process"),
    Promise("leftovers", "uncounted_memory", "no memory that nobody counts"),
)


@dataclass(frozen=True)
class Finding:
    """A promise and what came of trying to break it; `achieved` is None where it held."""

    promise: Promise
    achieved: str | None
    how: str = ""


def find() -> Isolation:
    """The strongest isolation that keeps its promises here; asked for by name in COURSE_SANDBOX, that one.

    Raises
    ------
    CourseError : there is none; it says for each what stands in the way and what to do
    """
    wanted = os.environ.get(sandbox.VARIABLE)
    if wanted == "none":
        return sandbox.named("none")
    reasons = []
    for name in [wanted] if wanted else sandbox.ORDER:
        reason = why_not(sandbox.named(name))
        if reason is None:
            return sandbox.named(name)
        reasons.append(f"{name}: {reason}")
    raise CourseError(_refusal(reasons))


def why_not(isolation: Isolation) -> str | None:
    """Why that isolation can't be used here, or None: its kernel is started and tries what takes no time."""
    if not sys.platform.startswith("linux"):
        return "needs Linux; on macOS and Windows grade in a Linux container (course/grading/README.md)"
    try:
        broken = [finding for finding in _try_quickly(isolation) if finding.achieved is not None]
    except (CourseError, KernelStartError, KernelDied, OSError) as error:
        return explain(isolation.key, str(error))
    return "; ".join(f"not held: {item.promise.says} ({item.achieved})" for item in broken[:3]) or None


def explain(name: str, error: str) -> str:
    """What to do about a sandbox that did not start."""
    if name == "landlock":
        return f"{error}; it takes Linux 6.2 or newer" if "Landlock" in error else error
    if shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin") is None:
        return "bubblewrap is not installed; install it: apt install bubblewrap, dnf install bubblewrap"
    restricted = APPARMOR.is_file() and APPARMOR.read_text().strip() == "1"
    if restricted and ("Permission denied" in error or "not permitted" in error):
        return (
            "AppArmor forbids user namespaces (Ubuntu 24.04 and newer do); "
            "allow them: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, "
            "or give bwrap an AppArmor profile with `userns,`"
        )
    if "namespace" in error:
        return f"{error}; user namespaces are off here (in a container: run it with --security-opt seccomp=unconfined)"
    return error


def _refusal(reasons: Sequence[str]) -> str:
    lines = "\n".join(f"  {reason}" for reason in reasons)
    return (
        f"no isolation for students' code on this machine; nothing was graded\n{lines}\n"
        "  `course doctor` shows more. To grade without isolation, with your own rights at risk: --no-sandbox"
    )


# --------------------------------------------------------------------------------------------------------------------
# What takes no time


def _try_quickly(isolation: Isolation, *, warm: bool = False) -> list[Finding]:
    with (
        Workshop(isolation.key, preload=warm) as workshop,
        _bait(workshop) as bait,
        Kernel(workshop, limits=_LIMITS) as kernel,
    ):
        return _attempt(workshop, kernel, bait)


def _attempt(workshop: Workshop, kernel: Kernel, bait: dict[str, Any]) -> list[Finding]:
    kernel.wait_ready()
    bait["wire"] = workshop.isolation.place_of_wire(kernel.process.wire)
    bait["own"] = ["/scratch", "/course", str(workshop.folder)]
    source = Path(__file__).with_name("attempts.py").read_text(encoding="utf-8")
    code = source.replace('globals().get("BAIT", {})', f"json.loads({json.dumps(json.dumps(bait))})")
    found = _told(kernel, code)
    isolation = workshop.isolation
    return [
        Finding(promise, found.get(promise.name, "the attempt gave no answer"), promise.how(isolation))
        for promise in PROMISES
    ]


def _told(kernel: Kernel, code: str) -> dict[str, Any]:
    result = kernel.run_cell(code, _LIMITS.cell_seconds)
    texts = "".join(output.get("text", "") for output in result.outputs)
    _, _, answer = texts.partition(_RESULT)
    if result.status is not CellStatus.OK or not answer:
        raise CourseError(f"the attempts could not be made: {result.message or result.status}")
    return json.loads(answer.splitlines()[0])


@contextlib.contextmanager
def _bait(workshop: Workshop) -> Iterator[dict[str, Any]]:
    """What is there to be found: a file in the home, a gradebook, servers of the host, a process with a secret."""
    secret = secrets.token_hex(8)
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="course-bait-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for name in ("secret", "gradebook.db"):
            (folder / name).write_text(secret, encoding="utf-8")
        if workshop.user.other:  # as readable as a class folder can be
            folder.chmod(0o755)
        other = workshop.folder / "k-other-student"
        other.mkdir()
        (other / "answer.py").write_text(secret, encoding="utf-8")
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={"A_SECRET": secret})
        stack.callback(_stop, process)
        yield {
            "attempts": [promise.name for promise in PROMISES],
            "variable": secret,
            "secret": str(folder / "secret"),
            "gradebook": str(folder / "gradebook.db"),
            "home": _entries(Path.home()),
            "root": [*_entries(ROOT), str(ROOT / "tests" / "hidden"), str(ROOT / "course" / "grading" / "examine.py")],
            "others": [str(other), str(other / "answer.py")],
            "grader": process.pid,
            "installed": [path for path in view.hidden() if path != str(ROOT)],
            "packages": view.runtime().libraries[0] if view.runtime().libraries else "/usr/lib",
            "prefix": view.runtime().prefix,
            "staged": [f"/course/boot/{name}" for name in ("boot.py", "seal.py")]
            + [str(workshop.folder / "boot/boot.py")],
            "parts": [str(workshop.folder), *(f"/course/{name}" for name in ("boot", "lib", "inputs", "fonts"))],
            "link_matters": True,
            "wire": "",
            **_servers(stack, folder),
        }


def _entries(folder: Path) -> list[str]:
    """What lies in a folder, but for what leads to the interpreter and its packages: they may be in there, too."""
    shown = [Path(path) for path in view.visible(None)]
    with contextlib.suppress(OSError):
        found = [path for path in folder.iterdir() if not any(path == one or path in one.parents for one in shown)]
        return [str(path) for path in found[:200]]
    return []


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _servers(stack: contextlib.ExitStack, folder: Path) -> dict[str, Any]:
    abstract = f"course-{secrets.token_hex(6)}"
    tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    tcp.bind(("127.0.0.1", 0))
    tcp.listen()
    for kind, address in (
        (socket.SOCK_STREAM, str(folder / "s")),
        (socket.SOCK_STREAM, f"\0{abstract}"),
        (socket.SOCK_DGRAM, str(folder / "d")),
    ):
        server = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
        server.bind(address)
        if kind == socket.SOCK_STREAM:
            server.listen()
        if not address.startswith("\0"):
            os.chmod(address, 0o666)
    return {
        "tcp": tcp.getsockname()[1],
        "socket": str(folder / "s"),
        "abstract": abstract,
        "datagram": str(folder / "d"),
    }


# --------------------------------------------------------------------------------------------------------------------
# What takes seconds: resources, and what is left behind

_FORKS = """
import os, time
grown = 0
for _ in range({children}):
    try:
        child = os.fork()
    except OSError:
        break
    grown += 1
    if child == 0:
        {work}
        os._exit(0)
time.sleep({wait})
print("grown", grown)
"""


def _memory(workshop: Workshop) -> str | None:
    """Several processes, each within the limit of one."""
    limits = replace(_LIMITS, memory_bytes=700 * _MIB)
    work = f"block = bytearray({300 * _MIB}); time.sleep(30)"
    code = _FORKS.format(children=6, work=work, wait=8)
    with Kernel(workshop, limits=limits) as kernel:
        result = _run(kernel, code, 15)
    return None if result in ("memory", "no processes") else f"6 processes took 1800 MiB together ({result})"


def _memory_of_one(workshop: Workshop) -> str | None:
    with Kernel(workshop, limits=replace(_LIMITS, memory_bytes=500 * _MIB)) as kernel:
        result = _run(kernel, f"block = bytearray({3000 * _MIB}); print('grown', 9)", 15)
    return None if result in ("memory", "MemoryError") else f"took 3000 MiB ({result})"


def _processes(workshop: Workshop) -> str | None:
    with Kernel(workshop, limits=replace(_LIMITS, processes=40)) as kernel:
        result = _run(kernel, _FORKS.format(children=300, work="time.sleep(3)", wait=0), 15)
    count = int(result.removeprefix("grown ")) if result.startswith("grown") else 0
    return f"{count} processes" if count > 60 else None


def _disk(workshop: Workshop) -> str | None:
    code = """
import time
taken = 0
try:
    for number in range(40):
        with open(f"fill-{number}", "wb") as file:
            taken += file.write(bytes(8 * 2**20))
    time.sleep(3)
except OSError:
    pass
print("grown", taken // 2**20)
"""
    with Kernel(workshop, limits=replace(_LIMITS, scratch_bytes=64 * _MIB)) as kernel:
        result = _run(kernel, code, 15)
    return f"wrote {result} MiB" if result.startswith("grown") and int(result[6:]) > 80 else None


def _file_size(workshop: Workshop) -> str | None:
    code = """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
print("grown", open("x", "wb").write(bytes(9 * 2**20)))
"""
    with Kernel(workshop, limits=replace(_LIMITS, file_bytes=4 * _MIB)) as kernel:
        result = _run(kernel, code, 15)
    return "wrote a larger file" if result.startswith("grown") else None


def _open_files(workshop: Workshop) -> str | None:
    code = "import os\nkept = [os.dup(1) for _ in range(3000)]\nprint('grown', len(kept))"
    with Kernel(workshop, limits=_LIMITS) as kernel:
        return "opened 3000 files" if _run(kernel, code, 15).startswith("grown") else None


def _output(workshop: Workshop) -> str | None:
    before = _resident()
    with Kernel(workshop, limits=replace(_LIMITS, output_bytes=100_000)) as kernel:
        result = _run(kernel, "while True:\n    print('x' * 100_000)", 4)
    grown = (_resident() - before) // _MIB
    return f"the grader grew by {grown} MiB ({result})" if grown > 300 else None


def _endless(workshop: Workshop) -> str | None:
    """A loop that ignores interrupts."""
    code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    started = time.monotonic()
    with Kernel(workshop, limits=_LIMITS) as kernel:
        result = _run(kernel, code, 1.0)
        alive = kernel.process.poll() is None
    seconds = time.monotonic() - started
    return f"it went on ({result}, {seconds:.0f} s)" if alive or seconds > 30 else None


_DAEMON = """
import os, time
try:
    child = os.fork()
except OSError:
    child = -1
if child == 0:
    os.setsid()
    if os.fork() == 0:
        name = {marker!r}.encode()
        __import__("ctypes").CDLL(None).prctl(15, name, 0, 0, 0)
        time.sleep(600)
    os._exit(0)
time.sleep(0.3)
print("grown", child)
"""


def _daemon(workshop: Workshop) -> str | None:
    marker = f"d{secrets.token_hex(5)}"
    with Kernel(workshop, limits=_LIMITS) as kernel:
        _run(kernel, _DAEMON.format(marker=marker), 10)
    return "a process stayed" if _named(marker) else None


def _leftovers(workshop: Workshop) -> str | None:
    """What one submission leaves for the next: files wherever it may write, in memory, in modules."""
    leave = """
import os, sys
places = ["/tmp", "/dev/shm", os.getcwd(), os.environ["HOME"], os.environ["TMPDIR"]]
for place in places:
    try: open(place + "/left", "w").write("x")
    except OSError: pass
sys.modules["os"].left = 1
__import__("numpy").left = 1
print("grown", os.getpid())
"""
    look = """
import os, sys, numpy
places = ["/tmp", "/dev/shm", os.getcwd(), os.environ["HOME"], os.environ["TMPDIR"]]
found = [place for place in places if os.path.exists(place + "/left")]
found += [module.__name__ for module in (os, numpy) if hasattr(module, "left")]
print("grown", found)
"""
    with Kernel(workshop, limits=_LIMITS) as kernel:
        _run(kernel, leave, 10)
    with Kernel(workshop, limits=_LIMITS) as kernel:
        found = _run(kernel, look, 10)
    return None if found == "grown []" else f"found {found}"


_GRADER = """
import sys, time
from course.grading.kernel import Kernel, Workshop
kernel = Kernel(Workshop({isolation!r}, preload=False))
kernel.wait_ready()
kernel.run_cell({code!r}, 10)
print("ready", flush=True)
time.sleep(600)
"""


def _grader_killed(workshop: Workshop) -> str | None:
    """When the grader is killed, everything of the student's ends."""
    marker = f"g{secrets.token_hex(5)}"
    code = f"__import__('ctypes').CDLL(None).prctl(15, {marker.encode()!r}, 0, 0, 0)\n" + _DAEMON.format(marker=marker)
    script = _GRADER.format(isolation=workshop.isolation.key, code=code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as grader:
        assert grader.stdout is not None
        ready = grader.stdout.readline().strip()
        before = len(_named(marker))
        os.kill(grader.pid, signal.SIGKILL)
    if ready != "ready" or not before:
        return "the attempt failed"
    deadline = time.monotonic() + 10
    while _named(marker) and time.monotonic() < deadline:
        time.sleep(0.05)
    return "the student's processes went on" if _named(marker) else None


def _ends_its_holder(workshop: Workshop) -> str | None:
    """Killing all it can reach ends nobody but itself."""
    code = """
import os, signal
for target in (1, os.getppid(), -1):
    try: os.kill(target, signal.SIGKILL)
    except OSError: pass
print("grown", 1)
"""
    with Kernel(workshop, limits=_LIMITS) as first, Kernel(workshop, limits=_LIMITS) as second:
        second.wait_ready()
        _run(first, code, 10)
        alive = _run(second, "print('grown', 2)", 10)
    return None if alive == "grown 2" else f"another submission's kernel ended ({alive})"


SLOW: tuple[tuple[Promise, Callable[[Workshop], str | None]], ...] = (
    (Promise("memory", "memory", "memory is limited over all its processes together"), _memory),
    (Promise("memory", "memory_of_one", "and in one process"), _memory_of_one),
    (Promise("processes", "processes", "processes are limited"), _processes),
    (Promise("disk", "disk", "its scratch folder is limited"), _disk),
    (Promise("disk", "file_size", "and each file"), _file_size),
    (Promise("disk", "open_files", "and open files"), _open_files),
    (Promise("output", "output", "endless output does not fill the grader"), _output),
    (Promise("endless loops", "endless", "a loop that ignores interrupts is ended"), _endless),
    (Promise("daemons", "daemon", "what it starts ends with it"), _daemon),
    (Promise("leftovers", "leftovers", "nothing is left for the next submission"), _leftovers),
    (Promise("the grader", "ends_its_holder", "it ends no one but itself"), _ends_its_holder),
    (Promise("the grader", "grader_killed", "it ends when the grader is killed"), _grader_killed),
)


def _run(kernel: Kernel, code: str, seconds: float) -> str:
    """How a cell ended, in a word; what it printed where it says that it has grown."""
    try:
        result = kernel.run_cell(code, seconds)
    except KernelDied as death:
        return str(death.status)
    texts = "".join(output.get("text", "") for output in result.outputs)
    line = next((line for line in texts.splitlines() if line.startswith("grown")), "")
    if line == "grown 0":
        return "no processes"
    return line or result.message.split(":")[0] or str(result.status)


def _named(name: str) -> list[int]:
    """Living processes of that name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = path.read_text(encoding="utf-8", errors="replace")
            if f"({name})" in text and text.rpartition(")")[2].split()[0] not in "ZX":
                found.append(int(path.parent.name))
    return found


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def examine(isolation: Isolation, say: Callable[[str], None] = lambda _: None, *, quick: bool = False) -> list[Finding]:
    """Try everything, or what takes no time, in kernels made as they are made for grading.

    Raises
    ------
    CourseError, KernelStartError : no kernel can be started with that isolation
    """
    say("what takes no time")
    with Workshop(isolation.key) as workshop:
        with _bait(workshop) as bait, Kernel(workshop, limits=_LIMITS) as kernel:
            found = _attempt(workshop, kernel, bait)
        for promise, attempt in () if quick else SLOW:
            say(promise.says)
            try:
                achieved = attempt(workshop)
            except (KernelStartError, KernelDied) as error:
                achieved = f"the attempt failed: {error}"
            found.append(Finding(promise, achieved, promise.how(isolation)))
    return found
