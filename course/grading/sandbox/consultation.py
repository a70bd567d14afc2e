"""What `course doctor` shows."""

from __future__ import annotations

import os
import platform
import time

from rich.console import Console
from rich.table import Table

from course.errors import CourseError
from course.grading import sandbox
from course.grading.kernel import KernelStartError
from course.grading.sandbox import doctor, view

# What Landlock and a filter of system calls can't give.
WEAKER = (
    "no namespaces: a kernel has the machine's process numbers and host name, and the grader's user",
    "no processes: multiprocessing and shell escapes (!ls) fail for everybody",
    "its scratch is a folder on disk, measured twice a second, not a disk of bounded size",
    "names, sizes and dates of files that it can't open can be found out",
    "threads count against all that the user runs, not against its own",
)


def consult(wanted: str | None, *, quick: bool = False) -> int:
    """Try each promise, print a table; 0 only if all hold."""
    out = Console()
    out.print(platform.platform(), highlight=False)
    available = _available(out, wanted)
    if not available:
        out.print("[bold red]No isolation: grading refuses.[/] What stands in the way is above.")
        return 1
    isolation = available[0]
    started = time.monotonic()
    try:
        with out.status("Trying") as line:
            found = doctor.examine(isolation, lambda what: line.update(f"Trying: {what}"), quick=quick)
    except (CourseError, KernelStartError) as error:
        out.print(f"[bold red]{error}[/]")
        return 1
    _show(out, isolation, found)
    broken = sum(item.achieved is not None for item in found)
    seconds = time.monotonic() - started
    verdict = "[bold green]all hold[/]" if not broken else f"[bold red]{broken} do not hold[/]"
    out.print(f"{isolation.key}: {len(found)} promises tried in {seconds:.0f} s, {verdict}", highlight=False)
    return 1 if broken else 0


def _available(out: Console, wanted: str | None) -> list[sandbox.Isolation]:
    """Those that work here, the one for grading first."""
    names = [wanted or os.environ.get(sandbox.VARIABLE) or ""]
    found = []
    for name in names if names[0] else sandbox.ORDER:
        isolation = sandbox.named(name)
        try:
            view.runtime()
            reason = None if wanted else doctor.why_not(isolation)
        except CourseError as error:
            reason = str(error)
        warm = "kernels are forks of a warm parent" if isolation.backend and isolation.backend.warm else "cold kernels"
        out.print(f"  {name:<16} {reason or f'works; {warm}'}", highlight=False, markup=False, soft_wrap=True)
        if reason is None:
            found.append(isolation)
    return found


def _show(out: Console, isolation: sandbox.Isolation, found: list[doctor.Finding]) -> None:
    table = Table("kind", "promise", "held", "how")
    last = ""
    for item in found:
        held = "[green]yes[/]" if item.achieved is None else "[bold red]NO[/]"
        kind = "" if item.promise.kind == last else item.promise.kind
        last = item.promise.kind
        table.add_row(kind, item.promise.says, held, item.achieved or item.how)
    out.print(table)
    user = view.sandbox_user()
    if user.other:
        out.print(f"Students' code runs as {user.name} ({user.uid}), since grading runs as root.", highlight=False)
    if isolation.name == "landlock":
        out.print("Weaker than bubblewrap:")
        for text in WEAKER:
            out.print(f"  {text}", highlight=False, soft_wrap=True)
