"""Where a student's kernel starts: our kernel provisioner, which decides command, environment, folder and output.

Whatever starts the kernel (our examiner, nbclient, nbgrader) asks for a kernel and gets one made here: the command
line, environment and working folder that it passes are not used. This is the place of the sandbox; until it is there,
the kernel runs with the rights of whoever grades.
"""

from __future__ import annotations

import subprocess
from importlib.metadata import EntryPoint
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.provisioning import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Dict, List, Unicode

NAME = "course-provisioner"
ISOLATION = "not isolated"


class CourseProvisioner(LocalProvisioner):
    """Starts the kernel of one submission as its own process group, with nothing of the grader's environment."""

    command = List(Unicode(), help="the whole command line, but for the connection file")
    environment = Dict(help="the whole environment")
    folder = Unicode(help="the working folder")

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Write the connection file; then put our command, environment and folder in place of those asked for."""
        kwargs["env"] = {}
        prepared = await super().pre_launch(**kwargs)
        prepared["cmd"] = [*self.command, self.parent.connection_file]
        prepared["env"] = dict(self.environment)
        prepared["cwd"] = self.folder
        return prepared

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the process; its output goes nowhere, since an inherited stream is a way out."""
        nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return await super().launch_kernel(cmd, **{**kwargs, **nowhere})


class OneKernel(KernelSpecManager):
    """Knows one kernel only, whatever name is asked for: a notebook can't choose what runs it."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: str) -> None:
        super().__init__()
        register()
        config = {"command": command, "environment": environment, "folder": folder}
        self.spec = KernelSpec(
            argv=[*command, "{connection_file}"],
            display_name="A student's kernel",
            language="python",
            metadata={"kernel_provisioner": {"provisioner_name": NAME, "config": config}},
        )

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:  # noqa: ARG002
        """The one kernel there is."""
        return self.spec


def register() -> None:
    """Make the provisioner known under its name where the package's entry points are not installed."""
    known = KernelProvisionerFactory.instance().provisioners
    known[NAME] = EntryPoint(NAME, f"{__name__}:CourseProvisioner", KernelProvisionerFactory.GROUP_NAME)
