"""What runs before a student's code: the warm parent of kernels, and the way from there to a sealed kernel.

Started as `python -I -S boot.py SETTINGS`, so no environment variable, no user site and no `.pth` file (an editable
installation of this repository is one) adds anything to the import path. It gets exactly the path it is told.

- With `compile` it imports what notebooks usually import, so that their bytecode is there, and ends.
- With `control`, the number of a socket, it is the parent of kernels. It holds nothing that a student may not see, has
  one thread, and never runs a student's code. Each request to it is answered by a kernel:
    `nested`  a fork in namespaces of its own: guard → first process of the namespaces → kernel. Whatever the kernel
              leaves behind ends with its namespaces, and its scratch with them.
    `alone`   a fork without namespaces: Landlock and a filter that lets it start no process.
    `single`  no fork: this process itself becomes the kernel, for once.
- Otherwise it becomes a kernel at once, without isolation.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import platform
import resource
import select
import shutil
import signal
import site
import socket
import sys
from typing import Any

USUAL = (
    *("ipykernel.kernelapp", "ipykernel.zmqshell", "ipykernel.debugger", "IPython.extensions.storemagic"),
    *("IPython.core.completerlib", "IPython.core.debugger", "IPython.core.oinspect", "IPython.utils.wildcard"),
    *("tornado.platform.asyncio", "matplotlib.backends"),
    *("matplotlib.pyplot", "matplotlib.backends.backend_agg"),
    *("matplotlib_inline.config", "IPython.core.pylabtools", "PIL.PngImagePlugin"),
    *("pandas", "pytest", "scipy.stats", "scipy.sparse.linalg", "scipy.optimize", "scipy.cluster.hierarchy"),
    *("sklearn.covariance", "sklearn.cluster", "sklearn.decomposition", "sklearn.neighbors", "sklearn.linear_model"),
)
OURS = ("course.checking.agent", "course.checking", "course.checking.streams", "reference_impl.cohort")
_PACKET = 180_000


def main() -> None:
    """Compile, serve, or become a kernel."""
    settings = json.loads(sys.argv[1])
    control = socket.socket(fileno=settings["control"]) if "control" in settings else None
    if control is not None:
        settings = json.loads(control.recv(_PACKET))
    sys.path[:] = [settings["boot"], *settings["path"]]
    sys.pycache_prefix = settings["bytecode"]
    sys.dont_write_bytecode = not settings.get("compile")
    if settings.get("compile"):
        _import(USUAL)
        return
    os.umask(0o077)
    site.sethelper()  # what -S left out and a notebook may use
    if control is None:
        for name, value in settings["limits"].items():
            _limit(name, value)
        sys.path.remove(settings["boot"])
        run_kernel(settings["connection"])
        return
    import filter as filters  # type: ignore[import-not-found]  # beside this file
    import seal  # type: ignore[import-not-found]

    sys.path.remove(settings["boot"])
    _close_streams()
    Parent(control, settings, seal, filters).serve()


def _limit(name: str, value: int) -> None:
    kind = getattr(resource, name)
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _import(names: tuple[str, ...]) -> None:
    for name in names:
        importlib.import_module(name)


def _close_streams() -> None:
    """An inherited stream is a way out."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    if nowhere > 2:
        os.close(nowhere)


class Parent:
    """Waits for requests; each comes with one end of a socket that is the kernel's own."""

    def __init__(self, control: socket.socket, settings: dict[str, Any], seal: Any, filters: Any) -> None:
        self.control = control
        self.settings = settings
        self.seal = seal
        self.filters = filters
        self.shape = settings["shape"]

    def serve(self) -> None:
        """Answer requests until the grader is gone."""
        if self.shape != "single":
            self._furnish_home(self.settings["home"])
        if self.settings["preload"]:
            try:
                _import((*USUAL, *OURS))
                sys.modules["matplotlib.backends"].backend_registry.list_all()  # looks through all packages, once
            except ImportError as error:
                self._say(error=str(error))
                return
            gc.collect()
            gc.freeze()  # what was imported is not looked through again in every fork
        self._say(ready=True, threads=len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1)
        while True:
            select.select([self.control], [], [], 1.0)
            self._reap()
            try:
                message, files, _, _ = socket.recv_fds(self.control, _PACKET, 1, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            if not message:
                return
            self._answer(json.loads(message), socket.socket(fileno=files[0]))

    def _say(self, **what: Any) -> None:
        self.control.send(json.dumps(what).encode())

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def _answer(self, request: dict[str, Any], channel: socket.socket) -> None:
        if self.shape == "single":
            self.control.close()
            _guarded(channel, lambda: self._single(request, channel))
        parent = os.getpid()
        if os.fork() == 0:
            self.control.close()
            self.seal.end_with_parent(parent)
            way = self._nested if self.shape == "nested" else self._alone
            _guarded(channel, lambda: way(request, channel))
        channel.close()

    # The three ways to a kernel; each starts in a process of its own and does not return

    def _nested(self, request: dict[str, Any], channel: socket.socket) -> None:
        """This process guards the namespaces from outside, its child is their first process, that one's the kernel."""
        self.seal.limit("RLIMIT_NPROC", request["limits"]["RLIMIT_NPROC"])
        parent = os.getppid()
        self.seal.own_namespaces()
        self.seal.end_with_parent(parent)  # new privileges have undone it
        scratch = request["scratch"]
        self.seal.mount_scratch(scratch, request["scratch_bytes"])
        os.mkdir(f"{scratch}/wire", mode=0o700)  # a disk of its own: who fills the scratch can still be asked
        self.seal.mount_scratch(f"{scratch}/wire", request["wire_bytes"])
        self._furnish(request)
        self.seal.mount_nothing(request["inputs"])
        self.seal.mount_same(f"{scratch}/shm", "/dev/shm")
        self.seal.mount_same(f"{scratch}/tmp", "/tmp")
        first = os.fork()
        if first == 0:
            self.seal.end_with_parent(0)  # seen from inside, the guard has no number
            self.seal.mount_processes()
            self.seal.keep_memory_private()
            _guarded(channel, lambda: self._first_process(request, channel))
        _, status = os.waitpid(first, 0)
        with contextlib.suppress(OSError):
            channel.send(json.dumps({"ended": os.waitstatus_to_exitcode(status)}).encode())
        os._exit(0)

    def _first_process(self, request: dict[str, Any], channel: socket.socket) -> None:
        kernel = os.fork()
        if kernel == 0:
            self.seal.end_with_parent(1)
            self._become_kernel(request, channel, alone=False)
        channel.close()
        while True:
            child, status = os.waitpid(-1, 0)
            if child == kernel:  # the system ends all others of the namespaces with this process
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)

    def _alone(self, request: dict[str, Any], channel: socket.socket) -> None:
        os.setsid()
        self._furnish(request)
        self._become_kernel(request, channel, alone=True)

    def _single(self, request: dict[str, Any], channel: socket.socket) -> None:
        self._furnish(request)
        self._become_kernel(request, channel, alone=False)

    # Steps

    def _furnish(self, request: dict[str, Any]) -> None:
        """The folders of a kernel, and copies of its inputs."""
        scratch = request["scratch"]
        for name in ("work", "wire", "home", "tmp", "shm"):
            os.makedirs(f"{scratch}/{name}", mode=0o700, exist_ok=True)
        self._furnish_home(f"{scratch}/home")
        for source, target in request["copies"]:
            shutil.copytree(f"{request['inputs']}/{source}", f"{scratch}/work/{target}", dirs_exist_ok=True)

    def _furnish_home(self, home: str) -> None:
        os.makedirs(f"{home}/matplotlib", mode=0o700, exist_ok=True)
        if os.path.isdir(self.settings["fonts"]):
            shutil.copytree(self.settings["fonts"], f"{home}/matplotlib", dirs_exist_ok=True)

    def _become_kernel(self, request: dict[str, Any], channel: socket.socket, *, alone: bool) -> None:
        """Tell who we are, wait for the word, give up everything, and run."""
        wire = os.open(f"{request['scratch']}/wire", os.O_PATH | os.O_DIRECTORY)
        socket.send_fds(channel, [json.dumps({"ready": True}).encode()], [wire])
        if channel.recv(_PACKET) != b"go":
            os._exit(1)
        connection = f"{request['scratch']}/home/connection.json"
        with open(connection, "w", encoding="utf-8") as file:
            json.dump(request["connection"], file)
        os.environ.update(request["environment"])
        os.chdir(f"{request['scratch']}/work")
        seal = self.seal
        machine = platform.machine()
        code = self.filters.program(machine, alone=os.getpid() if alone else 0)
        later = self.filters.no_connections(machine) if alone else b""
        for name, value in request["limits"].items():
            seal.limit(name, value)
        seal.drop_privileges()
        version = seal.restrict_files([tuple(rule) for rule in request["rules"]])
        if version < request["landlock"]:
            raise OSError(f"Landlock {version} is too old; {request['landlock']} is needed")
        seal.filter_calls(code)
        channel.send(json.dumps({"sealed": True, "landlock": version}).encode())
        os.closerange(3, 4096)  # the channel, too
        run_kernel(connection, last=(lambda: seal.filter_calls(later, all_threads=True)) if alone else None)
        os._exit(0)


def _guarded(channel: socket.socket, function: Any) -> None:
    """Run the rest of a process's life; what goes wrong on the way to a kernel is told."""
    try:
        function()
    except BaseException as error:
        with contextlib.suppress(OSError):
            channel.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
    os._exit(1)


def run_kernel(connection: str, last: Any = None) -> None:
    """Be an ordinary kernel until told to stop."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "tempfile" in sys.modules:
        vars(sys.modules["tempfile"])["tempdir"] = None
    if "numpy" in sys.modules:  # a fork would draw its parent's numbers
        sys.modules["numpy"].random.seed(int.from_bytes(os.urandom(4), "little"))
    options = {
        "HistoryManager.enabled": False,
        "IPKernelApp.outstream_class": "course.checking.streams.PromptStream",
        "IPythonKernel._execute_sleep": 0.0,  # the grader waits for the outputs anyway
    }
    sys.argv = ["kernel", "-f", connection, *(f"--{name}={value}" for name, value in options.items())]

    from ipykernel.kernelapp import IPKernelApp

    class App(IPKernelApp):
        def init_control(self, context: Any) -> None:
            super().init_control(context)
            self.shell_channel_thread = None  # messages come one after another; a thread more would only pass them on

    app = App.instance()
    app.initialize(sys.argv[1:])
    if "matplotlib.pyplot" in sys.modules:  # it was imported before there was a notebook to draw into
        drawing = importlib.import_module("matplotlib_inline.backend_inline")
        importlib.import_module("IPython.core.pylabtools").activate_matplotlib(os.environ["MPLBACKEND"])
        drawing.configure_inline_support(app.shell, os.environ["MPLBACKEND"])
        sys.modules["matplotlib.pyplot"].install_repl_displayhook()
    if last is not None:
        last()
    app.start()


if __name__ == "__main__":
    main()
