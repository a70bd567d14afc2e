"""Where a student's kernel starts: our kernel provisioner, which decides what runs, with which rights, and where.

Whatever starts the kernel (our examiner, nbclient, nbgrader) asks for a kernel and gets the one that `launch` makes:
the command line, environment and working folder that it passes are not used. Channels are sockets in a folder of the
kernel's, never TCP.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Protocol

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.provisioning import KernelProvisionerBase, KernelProvisionerFactory
from traitlets import Any as AnyTrait

NAME = "course-provisioner"
CHANNELS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


class Process(Protocol):
    """A kernel's process: a sandboxed one, or one without isolation."""

    pid: int

    @property
    def wire(self) -> Path: ...
    def poll(self) -> int | None: ...
    def wait(self) -> int: ...
    def send_signal(self, number: int) -> None: ...
    def why_over(self) -> str | None: ...
    def end(self) -> None: ...


Launch = Callable[[dict[str, Any]], Process]


class CourseProvisioner(KernelProvisionerBase):
    """Starts the kernel of one submission in its sandbox."""

    launch = AnyTrait(help="makes the process, given what its connection file is to say")
    process: Process | None = None

    @property
    def has_process(self) -> bool:
        """Whether there is one."""
        return self.process is not None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Nothing of what was asked for is used."""
        kwargs["env"] = {}
        return {**await super().pre_launch(**kwargs), "cmd": []}

    async def launch_kernel(self, _cmd: list[str], **_: Any) -> KernelConnectionInfo:
        """Start the process and say how it is reached."""
        session = self.parent.session
        channels = {name: number for number, name in enumerate(CHANNELS, 1)}
        key = {"key": session.key.decode(), "signature_scheme": session.signature_scheme}
        self.process = self.launch({"transport": "ipc", **channels, **key})
        reached = {"transport": "ipc", "ip": str(self.process.wire / "k"), **channels, **key, "key": session.key}
        self.connection_info = reached
        return reached

    async def poll(self) -> int | None:
        """None while it runs."""
        return self.process.poll() if self.process is not None else 0

    async def wait(self) -> int | None:
        """Wait until it has ended."""
        return self.process.wait() if self.process is not None else None

    async def send_signal(self, signum: int) -> None:
        """To the kernel itself."""
        if self.process is not None:
            self.process.send_signal(signum)

    async def kill(self, restart: bool = False) -> None:  # noqa: ARG002
        """End it and all it left."""
        if self.process is not None:
            self.process.end()

    async def terminate(self, restart: bool = False) -> None:
        """There is nothing to be polite to."""
        await self.kill(restart)

    async def cleanup(self, restart: bool = False) -> None:
        """Nothing of it is left."""
        await self.kill(restart)


class OneKernel(KernelSpecManager):
    """Knows one kernel only, whatever name is asked for: a notebook can't choose what runs it."""

    def __init__(self, launch: Launch) -> None:
        super().__init__()
        register()
        self.spec = KernelSpec(
            argv=[os.devnull],
            display_name="A student's kernel",
            language="python",
            metadata={"kernel_provisioner": {"provisioner_name": NAME, "config": {"launch": launch}}},
        )

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:  # noqa: ARG002
        """The one kernel there is."""
        return self.spec


def register() -> None:
    """Make the provisioner known under its name where the package's entry points are not installed."""
    known = KernelProvisionerFactory.instance().provisioners
    known[NAME] = EntryPoint(NAME, f"{__name__}:CourseProvisioner", KernelProvisionerFactory.GROUP_NAME)
