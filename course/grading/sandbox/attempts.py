"""What a student's code may try. Run as a cell in a kernel; every attempt says what it achieved, or None.

The text of this file is the cell. `BAIT` is put before it: what the grader laid out to be found. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import platform
import socket
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_NUMBERS = {
    "x86_64": {
        **{"ptrace": 101, "process_vm_readv": 310, "unshare": 272, "setns": 308, "mount": 165, "chroot": 161},
        **{"pivot_root": 155, "bpf": 321, "perf_event_open": 298, "io_uring_setup": 425, "keyctl": 250, "add_key": 248},
        **{"userfaultfd": 323, "init_module": 175, "kexec_load": 246, "clock_settime": 227, "shmget": 29, "msgget": 68},
        **{"memfd_create": 319, "open_by_handle_at": 304, "pidfd_getfd": 438, "clone3": 435, "syslog": 103},
        **{"prlimit64": 302, "reboot": 169, "swapon": 167, "mq_open": 240, "fsopen": 430},
    },
    "aarch64": {
        **{"ptrace": 117, "process_vm_readv": 270, "unshare": 97, "setns": 268, "mount": 40, "chroot": 51},
        **{"pivot_root": 41, "bpf": 280, "perf_event_open": 241, "io_uring_setup": 425, "keyctl": 219, "add_key": 217},
        **{"userfaultfd": 282, "init_module": 105, "kexec_load": 104, "clock_settime": 112, "shmget": 194},
        **{"msgget": 186, "memfd_create": 279, "open_by_handle_at": 265, "pidfd_getfd": 438, "clone3": 435},
        **{"syslog": 116, "prlimit64": 261, "reboot": 142, "swapon": 224, "mq_open": 180, "fsopen": 430},
    },
}[platform.machine()]
BAIT: dict[str, Any] = globals().get("BAIT", {})


def call(name: str, *arguments: Any) -> int:
    """The answer of a system call: its result, or its error as a negative number."""
    if name not in _NUMBERS:
        return -errno.ENOSYS
    wide = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    result = _libc.syscall(ctypes.c_long(_NUMBERS[name]), *wide)
    return result if result >= 0 else -ctypes.get_errno()


def passed(name: str, *arguments: Any) -> str | None:
    """That a call is not refused. Its arguments are such that it can do no harm: it fails for another reason."""
    answer = call(name, *arguments)
    refused = (-errno.EPERM, -errno.EACCES, -errno.ENOSYS)
    return None if answer in refused else f"{name}: {answer if answer >= 0 else errno.errorcode[-answer]}"


def opened(path: str, flags: int = os.O_RDONLY) -> str | None:
    """That a path could be opened."""
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK)
    except OSError:
        return None
    os.close(descriptor)
    return f"opened {path}"


def first(*found: Any) -> str | None:
    """The first success."""
    return next((str(one) for one in found if one), None)


def connected(family: int, kind: int, address: Any) -> str | None:
    """That a connection, or a message without one, went out."""
    try:
        with socket.socket(family, kind) as end:
            end.settimeout(1)
            end.connect(address)
            end.send(b"x")
            return f"reached {address}"
    except OSError:
        return None


def made(family: int, kind: int, protocol: int = 0) -> str | None:
    """That such a socket could be made."""
    try:
        socket.socket(family, kind, protocol).close()
    except (OSError, ValueError, OverflowError):
        return None
    return f"made a socket of family {family}"


def written(path: str) -> str | None:
    """That a new file could be made, which is removed again."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return None
    os.close(descriptor)
    os.unlink(path)
    return f"wrote {path}"


def imported(name: str) -> str | None:
    """That a module can be imported."""
    import importlib

    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    return f"imported {name}" if getattr(module, "__file__", None) else None


def status(field: str) -> str:
    """A line of this process's status."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
        return next((line.split()[1] for line in file if line.startswith(f"{field}:")), "")
    return ""


# --------------------------------------------------------------------------------------------------------------------


def network() -> str | None:
    return connected(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", BAIT["tcp"]))


def network_datagram() -> str | None:
    return first(made(socket.AF_INET, socket.SOCK_DGRAM), made(socket.AF_INET, socket.SOCK_STREAM))


def network_six() -> str | None:
    return first(made(socket.AF_INET6, socket.SOCK_STREAM), made(socket.AF_INET6, socket.SOCK_DGRAM))


def network_other() -> str | None:
    families = (
        2,
        4,
        5,
        17,
        21,
        29,
        31,
        38,
        40,
        44,
    )  # raw packets, CAN, Bluetooth, kernel crypto, virtual machines, XDP
    return first(*(made(family, kind) for family in families for kind in (socket.SOCK_RAW, 1, 2, 5)))


def host_socket() -> str | None:
    return connected(socket.AF_UNIX, socket.SOCK_STREAM, BAIT["socket"])


def host_socket_abstract() -> str | None:
    return connected(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + BAIT["abstract"])


def host_socket_datagram() -> str | None:
    places = (BAIT["datagram"], "/dev/log", "/run/systemd/notify")
    return first(*(connected(socket.AF_UNIX, socket.SOCK_DGRAM, place) for place in places))


def files_home() -> str | None:
    return first(*(opened(path) for path in (*BAIT["home"], BAIT["secret"], "/root/.bashrc", "/root/.ssh")))


def files_course() -> str | None:
    return first(*(opened(path) for path in BAIT["root"]))


def files_reference() -> str | None:
    names = ("quality", "identity", "normalization", "integration", "integration.snf")
    return first(*(imported(f"reference_impl.{name}") for name in names))


def files_grader() -> str | None:
    return first(*(imported(name) for name in ("course.grading", "course.authoring", "solutions", "tests.hidden")))


def files_installed() -> str | None:
    for path in BAIT["installed"]:
        with contextlib.suppress(OSError):
            for name in os.listdir(path):
                if opened(f"{path}/{name}") and not os.path.isdir(f"{path}/{name}"):
                    return f"opened {path}/{name}"
    return None


def files_class() -> str | None:
    return first(opened(BAIT["gradebook"]), opened(os.path.dirname(BAIT["gradebook"])))


def files_other_students() -> str | None:
    return first(*(opened(path) for path in BAIT["others"]))


def files_system_write() -> str | None:
    folders = ("/usr", "/usr/lib", "/etc", "/bin", "/lib", "/var", BAIT["packages"], BAIT["prefix"], "/course/lib", "/")
    return first(*(written(f"{folder}/attempt-{os.getpid()}") for folder in folders))


def files_staged_write() -> str | None:
    return first(*(opened(path, os.O_WRONLY) for path in BAIT["staged"]), *(written(f"{p}/x") for p in BAIT["parts"]))


def files_passwords() -> str | None:
    return first(opened("/etc/shadow"), opened("/etc/passwd"), opened("/etc/hostname"))


def files_link() -> str | None:
    """A link where the grader's messages are could lead the grader astray."""
    try:
        os.symlink("/etc/passwd", f"{BAIT['wire']}/link")
    except OSError:
        return None
    os.unlink(f"{BAIT['wire']}/link")
    return "made a link where the grader reads" if BAIT["link_matters"] else None


def files_by_handle() -> str | None:
    return passed("open_by_handle_at", -1, None, 0)


def devices() -> str | None:
    found = [opened(f"/dev/{name}", os.O_RDWR) for name in ("mem", "kmsg", "sda", "vda", "nvme0n1", "kvm", "fuse")]
    with contextlib.suppress(OSError):
        os.mknod("node", 0o020600, os.makedev(1, 1))
        return "made a device"
    return first(*found)


def proc_others() -> str | None:
    try:
        seen = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return None
    return f"saw {len(seen)} processes" if len(seen) > 4 else None


def proc_environment() -> str | None:
    processes = [BAIT["grader"], os.getppid(), 1]
    for process in processes:
        with contextlib.suppress(OSError), open(f"/proc/{process}/environ", "rb") as file:
            if BAIT["variable"].encode() in file.read():
                return f"read the environment of {process}"
    return None


def proc_memory() -> str | None:
    found = [opened(f"/proc/{process}/mem") for process in (BAIT["grader"], os.getppid(), 1) if process != os.getpid()]
    return first(*found, opened("/proc/kcore"), opened("/dev/kmem"))


def kernel_settings() -> str | None:
    names = (
        "kernel/core_pattern",
        "kernel/sysrq",
        "vm/overcommit_memory",
        "kernel/hostname",
        "kernel/randomize_va_space",
    )
    return first(
        *(opened(f"/proc/sys/{name}", os.O_WRONLY) for name in names), opened("/proc/sysrq-trigger", os.O_WRONLY)
    )


def kernel_sysfs() -> str | None:
    return first(*(written(f"{folder}/x") for folder in ("/sys/fs/cgroup", "/sys/kernel")), opened("/sys/kernel/debug"))


def kernel_log() -> str | None:
    return passed("syslog", 10, None, 0)


def tracing_grader() -> str | None:
    return first(*(passed("ptrace", 0x4206, p, None, 0xFFFFFFFF) for p in (BAIT["grader"], os.getppid(), 1)))


def tracing_child() -> str | None:
    return passed("ptrace", 0xFFFF, 0, None, None)


def tracing_memory() -> str | None:
    here = ctypes.create_string_buffer(8)
    part = (ctypes.c_size_t * 2)(ctypes.addressof(here), 8)
    return passed("process_vm_readv", os.getppid() or 1, part, 1, part, 1, 0)


def descriptors_of_others() -> str | None:
    return passed("pidfd_getfd", -1, 0, 0)


def signal_grader() -> str | None:
    with contextlib.suppress(OSError):
        os.kill(BAIT["grader"], 0)
        return "may signal the grader"
    return None


def limits_of_grader() -> str | None:
    return "may change the grader's limits" if call("prlimit64", BAIT["grader"], 7, None, None) >= 0 else None


def namespaces_new() -> str | None:
    flags = (0x10000000, 0x10020000, 0x20000000, 0x40000000, 0x08000000)
    return first(*(passed("unshare", flag) for flag in flags))


def namespaces_clone() -> str | None:
    return first(passed("clone3", None, 0), passed("setns", -1, 0))


def mounting() -> str | None:
    nowhere = ctypes.c_char_p(b"/nonexistent")
    return first(passed("mount", nowhere, nowhere, nowhere, 0, None), passed("fsopen", nowhere, 0))


def root_folder() -> str | None:
    nowhere = ctypes.c_char_p(b"/nonexistent")
    return first(passed("chroot", nowhere), passed("pivot_root", nowhere, nowhere))


def privileges() -> str | None:
    for change in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):
        with contextlib.suppress(OSError):
            change()
            return "became root"
    capabilities = status("CapEff")
    return f"capabilities {capabilities}" if capabilities and int(capabilities, 16) else None


def new_privileges() -> str | None:
    return None if _libc.prctl(39, 0, 0, 0, 0) == 1 else "a setuid program would give new privileges"


def kernel_bpf() -> str | None:
    return passed("bpf", -1, None, 0)


def kernel_perf() -> str | None:
    return passed("perf_event_open", None, 0, -1, -1, 0)


def kernel_io_uring() -> str | None:
    return passed("io_uring_setup", 0, None)


def kernel_faults() -> str | None:
    return passed("userfaultfd", -1)


def kernel_keys() -> str | None:
    return first(passed("keyctl", -1, 0, 0), passed("add_key", None, None, None, 0, 0))


def kernel_modules() -> str | None:
    flags = {"init_module": 0, "reboot": 0, "swapon": -1, "kexec_load": -1}
    return first(*(passed(name, 0, 0, None, flag) for name, flag in flags.items()))


def kernel_clock() -> str | None:
    never = (ctypes.c_long * 2)(-1, -1)
    return passed("clock_settime", 0, never)


def left_shared_memory() -> str | None:
    """What lives on without a process."""
    return first(passed("shmget", 77, 0, 0), passed("msgget", 77, 0), passed("mq_open", None, 0, 0, None))


def uncounted_memory() -> str | None:
    return passed("memfd_create", None, 0)


def environment() -> str | None:
    return (
        "the grader's variables are here" if any(BAIT["variable"] in value for value in os.environ.values()) else None
    )


def descriptors() -> str | None:
    """What was inherited: nothing but what the kernel itself opened."""
    kinds = []
    for descriptor in range(3, 512):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{descriptor}")
            if target.startswith("/") and not target.startswith((*BAIT["own"], "/dev/null", "/proc/", "/dev/urandom")):
                kinds.append(target)
    return f"inherited {kinds}" if kinds else None


def terminal() -> str | None:
    return opened("/dev/tty", os.O_RDWR)


def files_mapped() -> str | None:
    """Executable memory is fine; a mapping of the grader's is not."""
    with contextlib.suppress(OSError, ValueError), open(BAIT["secret"], "r+b") as file:
        mmap.mmap(file.fileno(), 0)
        return "mapped a file of the grader"
    return None


def run() -> dict[str, Any]:
    """What each attempt achieved; None where it was prevented."""
    found: dict[str, Any] = {}
    for name in BAIT["attempts"]:
        try:
            found[name] = globals()[name]()
        except BaseException as error:
            found[name] = f"the attempt itself failed: {type(error).__name__}: {error}"
    return found


if BAIT:
    print("RESULT " + json.dumps(run()))
