"""The system-call filter of a student's kernel: a BPF program, written down as data. Standard library only.

What is not named here is allowed, but for calls newer than this file, which do not exist for a student's code. Another
architecture's calls end the process.
"""

from __future__ import annotations

import errno
import struct

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_NEWEST = 461  # of the calls this file knows
_X32 = 0x40000000
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _GREATER, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x54, 0x06

# name: (number on x86_64, number on aarch64); None where there is no such call
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "accept": (43, 202),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chmod": (90, None),
    "chown": (92, None),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "connect": (42, 203),
    "delete_module": (176, 106),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "finit_module": (313, 273),
    "fork": (57, None),
    "fremovexattr": (199, 16),
    "fsconfig": (431, 431),
    "fsetxattr": (190, 7),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "futimesat": (261, None),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "ioperm": (173, None),
    "iopl": (172, None),
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "lchown": (94, None),
    "listmount": (458, 458),
    "lookup_dcookie": (212, 18),
    "lremovexattr": (198, 15),
    "lsetxattr": (189, 6),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "mq_getsetattr": (245, 185),
    "mq_notify": (244, 184),
    "mq_open": (240, 180),
    "mq_timedreceive": (243, 183),
    "mq_timedsend": (242, 182),
    "mq_unlink": (241, 181),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "removexattr": (197, 14),
    "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "settimeofday": (164, 170),
    "setxattr": (188, 5),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmdt": (67, 197),
    "shmget": (29, 194),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "statmount": (457, 457),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "uselib": (134, None),
    "utime": (132, None),
    "utimensat": (280, 88),
    "utimes": (235, None),
    "vfork": (58, None),
    "vhangup": (153, 58),
    "vmsplice": (278, 75),
}

# Never needed by a notebook: other processes, new namespaces and mounts, the kernel's settings, keys, and memory or
# objects that live on when the process is gone or that nobody counts.
REFUSED = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp", "pidfd_getfd"),
    *("migrate_pages", "move_pages", "perf_event_open", "bpf", "userfaultfd", "vmsplice", "lookup_dcookie"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "personality", "modify_ldt", "uselib"),
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "mount_setattr", "move_mount", "open_tree"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "statmount", "listmount", "open_by_handle_at", "name_to_handle_at"),
    *("fanotify_init", "fanotify_mark", "quotactl", "quotactl_fd", "nfsservctl", "acct", "swapon", "swapoff"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "syslog", "vhangup"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "iopl", "ioperm"),
    *("add_key", "request_key", "keyctl", "memfd_create", "memfd_secret", "shmget", "shmat", "shmctl", "shmdt"),
    *("semget", "semop", "semctl", "semtimedop", "msgget", "msgsnd", "msgrcv", "msgctl"),
    *("mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr"),
)
# Without namespaces also these: another process, other processes' signals and settings.
REFUSED_ALONE = (
    *("fork", "vfork", "execve", "execveat", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open"),
    *("pidfd_send_signal", "setpriority", "ioprio_set"),
)
# What Landlock leaves open: who may do what with any file of this user. Libraries make such calls on their own files
# and fail where they can't, so these seem to succeed.
WITHOUT_EFFECT_ALONE = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
    *("utime", "utimes", "utimensat", "futimesat"),
)
# Settings of a process by its number: only its own. libzmq sets its threads' scheduling and aborts where it can't, so
# these seem to succeed.
_SCHEDULING = ("sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
_NEW_NAMESPACE = 0x7E020000  # CLONE_NEWNS, …UTS, …IPC, …USER, …PID, …NET, …CGROUP
_THREAD = 0x00010000
_UNIX, _NETLINK, _STREAM = 1, 16, 1
_DEATH_SIGNAL = 1  # of prctl
_TYPE_INTO_TERMINAL = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX


def _op(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, k & 0xFFFFFFFF)


def _argument(index: int) -> bytes:
    """Load the low half of an argument; all that are looked at here are 32 bits wide for the kernel too."""
    return _op(_LOAD, 16 + 8 * index)


def _answer(code: int) -> bytes:
    return _op(_RETURN, _ERRNO | code)


_YES = _op(_RETURN, _ALLOW)


class _Program:
    def __init__(self, machine: str) -> None:
        self._column = 0 if machine == "x86_64" else 1
        self._parts = [
            _op(_LOAD, 4),
            _op(_EQUAL, ARCHITECTURES[machine], 1, 0),
            _op(_RETURN, _KILL),
            _op(_LOAD, 0),
        ]
        if machine == "x86_64":
            self._parts += [_op(_AT_LEAST, _X32, 0, 1), _answer(errno.ENOSYS)]
        self._parts += [_op(_GREATER, _NEWEST, 0, 1), _answer(errno.ENOSYS)]

    def on(self, name: str, *steps: bytes) -> None:
        """What to do at a call; the steps end with an answer."""
        number = _NUMBERS[name][self._column]
        if number is not None:
            length = sum(map(len, steps)) // 8
            self._parts += [_op(_EQUAL, number, 0, length), *steps]

    def code(self) -> bytes:
        return b"".join([*self._parts, _YES])


def program(machine: str, *, alone: int = 0) -> bytes:
    """The filter as an array of `struct sock_filter`.

    Parameters
    ----------
    machine : "x86_64" or "aarch64"
    alone : the process's own id where no namespace keeps others out of its reach; it then can't start processes or
        signal others

    Raises
    ------
    KeyError : another machine
    """
    made = _Program(machine)
    for name in REFUSED:
        made.on(name, _answer(errno.EPERM))
    made.on("clone3", _answer(errno.ENOSYS))  # its flags are in memory, where a filter can't look; libraries use clone
    _sockets(made)
    for command in _TYPE_INTO_TERMINAL:
        made.on("ioctl", _argument(1), _op(_EQUAL, command, 0, 1), _answer(errno.EPERM), _op(_LOAD, 0))
    made.on("prctl", _argument(0), _op(_EQUAL, _DEATH_SIGNAL, 0, 1), _answer(errno.EPERM), _YES)
    made.on("clone", _argument(0), _op(_ANY_BIT, _NEW_NAMESPACE, 0, 1), _answer(errno.EPERM), _op(_LOAD, 0))
    if alone:
        _alone(made, alone)
    return made.code()


def _sockets(made: _Program) -> None:
    """Only streams of the same machine; netlink, without which libzmq aborts, for asking about interfaces only."""
    kind = (_argument(1), _op(_AND, 0xF), _op(_EQUAL, _STREAM, 1, 0), _answer(errno.EACCES), _YES)
    made.on(
        "socket",
        _argument(0),
        *(_op(_EQUAL, _UNIX, 0, len(kind)), *kind),
        *(_op(_EQUAL, _NETLINK, 1, 0), _answer(errno.EAFNOSUPPORT)),
        *(_argument(2), _op(_EQUAL, 0, 1, 0), _answer(errno.EAFNOSUPPORT), _YES),
    )
    made.on("socketpair", _argument(0), _op(_EQUAL, _UNIX, 1, 0), _answer(errno.EAFNOSUPPORT), *kind)


def _alone(made: _Program, process: int) -> None:
    for name in REFUSED_ALONE:
        made.on(name, _answer(errno.EPERM))
    for name in WITHOUT_EFFECT_ALONE:
        made.on(name, _answer(0))
    made.on("clone", _argument(0), _op(_ANY_BIT, _THREAD, 1, 0), _answer(errno.EPERM), _YES)
    for name in _SCHEDULING:
        made.on(name, _argument(0), _op(_EQUAL, 0, 1, 0), _answer(0), _YES)
    made.on("prlimit64", _argument(0), _op(_EQUAL, 0, 1, 0), _answer(errno.EPERM), _YES)
    for name in ("kill", "tgkill"):
        made.on(name, _argument(0), _op(_EQUAL, process, 1, 0), _answer(errno.EPERM), _YES)


def no_connections(machine: str) -> bytes:
    """A second filter for later: the kernel's own sockets are connected, nothing else ever is."""
    made = _Program(machine)
    made.on("connect", _answer(errno.EACCES))
    return made.code()
