"""The first thing a student's kernel runs: limits, import path, then ipykernel.

Started as `python -I -S boot.py SETTINGS CONNECTION`, so no environment variable, no user site and no `.pth` file (an
editable installation of this repository is one) adds anything to the import path. It gets exactly the path it is told:
a staged folder first, then the libraries.

With `"compile": true` it imports what notebooks usually import, so that their bytecode is there, and ends. No student's
code has run then; a student's kernel itself writes no bytecode.
"""

import importlib
import json
import os
import resource
import signal
import site
import sys

USUAL = (
    *("ipykernel.kernelapp", "ipykernel.zmqshell", "matplotlib_inline.backend_inline", "matplotlib.pyplot"),
    *("pandas", "pytest", "scipy.stats", "scipy.sparse.linalg", "scipy.optimize", "sklearn.covariance"),
)


def limit(name: str, value: int) -> None:
    """Lower a limit for good; one that is lower already stays."""
    kind = getattr(resource, name)
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def main() -> None:
    """Become the kernel."""
    settings = json.loads(sys.argv[1])
    for name, value in settings["limits"].items():
        limit(name, value)
    sys.path[:] = settings["path"]
    sys.pycache_prefix = settings["bytecode"]
    sys.dont_write_bytecode = not settings["compile"]
    if settings["compile"]:
        for name in USUAL:
            importlib.import_module(name)
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.umask(0o077)
    site.sethelper()  # what -S left out and a notebook may use
    sys.argv = ["kernel", "-f", sys.argv[2], "--HistoryManager.enabled=False"]

    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(sys.argv[1:])


main()
