"""How a process gives up what a student's code must not have: system calls through ctypes. Standard library only."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import stat
import struct

NEW_MOUNTS, NEW_IPC, NEW_USER, NEW_PROCESSES = 0x00020000, 0x08000000, 0x10000000, 0x20000000
_NO_SUID, _NO_DEVICES, _NO_EXEC, _READ_ONLY, _BIND, _RECURSIVE, _PRIVATE = 2, 4, 8, 1, 4096, 16384, 1 << 18
_DEATH_SIGNAL, _DUMPABLE, _NO_NEW_PRIVILEGES, _DROP_BOUND, _AMBIENT = 1, 4, 38, 24, 47
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446

_c = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def _syscall(what: str, number: int, *arguments: object) -> int:
    wide = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    return _checked(_c.syscall(ctypes.c_long(number), *wide), what)


def _prctl(what: str, option: int, *arguments: int) -> None:
    rest = [ctypes.c_ulong(item) for item in (*arguments, 0, 0, 0, 0)[:4]]
    _checked(_c.prctl(option, *rest), what)


# --------------------------------------------------------------------------------------------------------------------
# Namespaces


def own_namespaces() -> None:
    """New users, mounts, message queues and, for children, processes; identities stay what they are."""
    user, group = os.getuid(), os.getgid()
    _checked(_c.unshare(NEW_USER | NEW_MOUNTS | NEW_IPC | NEW_PROCESSES), "new namespaces")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    _mount("no sharing of mounts", None, "/", None, _RECURSIVE | _PRIVATE)


def _mount(what: str, source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    encoded = [item.encode() if item is not None else None for item in (source, target, kind)]
    _checked(_c.mount(*encoded, ctypes.c_ulong(flags), options.encode() or None), what)


def mount_scratch(folder: str, size: int) -> None:
    """An empty folder of bounded size in memory."""
    files = max(1000, size // 16384)
    options = f"size={size},nr_inodes={files},mode=700"
    _mount(f"scratch on {folder}", "scratch", folder, "tmpfs", _NO_SUID | _NO_DEVICES, options)


def mount_nothing(folder: str) -> None:
    """Hide what a folder holds."""
    options = "size=4k,nr_inodes=2,mode=555"
    _mount(f"nothing on {folder}", "nothing", folder, "tmpfs", _NO_SUID | _NO_DEVICES | _READ_ONLY, options)


def mount_same(source: str, target: str) -> None:
    """Let a folder appear under another name too."""
    _mount(f"{source} as {target}", source, target, None, _BIND)


def mount_processes() -> None:
    """The own processes in /proc; nothing where the system does not allow it."""
    try:
        _mount("/proc", "proc", "/proc", "proc", _NO_SUID | _NO_DEVICES | _NO_EXEC)
    except OSError:
        mount_nothing("/proc")


# --------------------------------------------------------------------------------------------------------------------
# Privileges, limits, filters


def end_with_parent(parent: int) -> None:
    """Be killed when the parent ends; it may have ended already."""
    _prctl("end with the parent", _DEATH_SIGNAL, 9)
    if os.getppid() != parent:
        os._exit(1)


def keep_memory_private() -> None:
    """No process of the same user may look into this one."""
    _prctl("private memory", _DUMPABLE, 0)


def drop_privileges() -> None:
    """No capability, now or by running anything."""
    _prctl("no new privileges", _NO_NEW_PRIVILEGES, 1)
    _c.prctl(_AMBIENT, 4, 0, 0, 0)
    for capability in range(64):
        _c.prctl(_DROP_BOUND, capability, 0, 0, 0)  # fails without privileges, and then there is nothing to drop
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _checked(_c.capset(header, (ctypes.c_uint32 * 6)()), "no capabilities")


def limit(name: str, value: int) -> None:
    """Lower a limit for good; one that is lower already stays."""
    kind = getattr(resource, name)
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def filter_calls(code: bytes, *, all_threads: bool = False) -> None:
    """Install a filter of system calls for good."""
    array = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(array))
    flags = 1 if all_threads else 0
    _syscall("filter of system calls", _SECCOMP[platform.machine()], 1, flags, ctypes.c_char_p(head))


# --------------------------------------------------------------------------------------------------------------------
# Landlock

_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FOLDER, _REMOVE_FILE, _MAKE_FOLDER, _MAKE_FILE = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_SOCKET, _MAKE_PIPE, _MAKE_LINK, _MOVE, _TRUNCATE = 1 << 9, 1 << 10, 1 << 12, 1 << 13, 1 << 14
_SEE = _EXECUTE | _READ | _LIST
_ACCESS = {
    "see": _SEE,
    "list": _LIST,
    "device": _READ | _WRITE,
    "own": _SEE | _WRITE | _REMOVE_FOLDER | _REMOVE_FILE | _MAKE_FOLDER | _MAKE_FILE | _MAKE_SOCKET | _MAKE_PIPE
    | _MAKE_LINK | _MOVE | _TRUNCATE,
    "exchange": _READ | _WRITE | _LIST | _REMOVE_FILE | _MAKE_FILE | _MAKE_SOCKET | _TRUNCATE,
}  # fmt: skip
_FILE_ONLY = _EXECUTE | _WRITE | _READ | _TRUNCATE
# rights over files, over TCP, over signals and abstract sockets, that each version of Landlock can take away
_KNOWN = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
_TCP, _OUTSIDE = 0b11, 0b11


def landlock_version() -> int:
    """0 where there is none."""
    return max(0, int(_c.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_long(0), ctypes.c_long(1))))


def restrict_files(rules: list[tuple[str, str]]) -> int:
    """From now on only these paths can be opened, in these ways: see, device, own, exchange. Needs no_new_privs.

    Also no TCP, and no signal or abstract socket that leaves this process's own domain, where the system's Landlock can
    do that; its version is returned, 0 where there is none.
    """
    version = landlock_version()
    if version == 0:
        return 0
    handled = _KNOWN[min(version, 5)]
    fields = [handled, _TCP if version >= 4 else 0, _OUTSIDE if version >= 6 else 0]
    head = struct.pack("=QQQ", *fields)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _syscall("Landlock", _CREATE_RULESET, ctypes.c_char_p(head), len(head), 0)
    for path, access in rules:
        _allow(ruleset, path, _ACCESS[access] & handled)
    _syscall("Landlock", _RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            access &= _FILE_ONLY
        _syscall(f"Landlock: {path}", _ADD_RULE, ruleset, 1, ctypes.c_char_p(struct.pack("=Qi", access, place)), 0)
    finally:
        os.close(place)
