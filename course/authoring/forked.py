"""Run jobs in forked children: each sees everything the parent has, and can hang, exhaust memory or die alone."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

MEMORY = 6 * 2**30  # bytes of address space a child may have: stops a mutant that allocates without bound


@dataclass(frozen=True)
class Job:
    """Something to do in a child: what it returns must be picklable."""

    name: str
    do: Callable[[], Any]
    seconds: float  # on the wall; then the child is killed


@dataclass(frozen=True)
class Done:
    """How a job ended: with a result, or with what went wrong (a timeout, a crash, an error of ours)."""

    job: Job
    result: Any = None
    trouble: str = ""
    timed_out: bool = False


@dataclass(frozen=True)
class _Running:
    job: Job
    process: BaseProcess
    pipe: Connection
    deadline: float


def run_forked(jobs: Sequence[Job], *, workers: int | None = None) -> Iterator[Done]:
    """Run jobs in forked children, a few at a time, and yield each as it ends.

    Leaving the loop early, by Ctrl-C for example, kills the children that still run.
    """
    workers = workers or len(os.sched_getaffinity(0))
    waiting, running = list(reversed(jobs)), dict[Any, _Running]()
    gc.collect()
    gc.freeze()  # children then share the parent's memory instead of copying it at their first collection
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                child = _start(waiting.pop())
                running[child.pipe] = child
            for child in _ended(running):
                del running[child.pipe]
                yield _collect(child)
    finally:
        for child in running.values():
            child.process.kill()
            child.process.join()
        gc.unfreeze()


def _start(job: Job) -> _Running:
    reader, writer = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_child, args=(job, reader, writer), daemon=True)
    process.start()
    writer.close()
    return _Running(job, process, reader, time.monotonic() + job.seconds)


def _child(job: Job, reader: Connection, writer: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    reader.close()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = (job.do(), "")
    except BaseException as error:
        answer = (None, f"{type(error).__name__}: {error}")
    with contextlib.suppress(BrokenPipeError):
        writer.send(answer)
    writer.close()


def _ended(running: dict[Any, _Running]) -> list[_Running]:
    """Children that answered, died or are late; waits until there is one."""
    while True:
        nearest = min(child.deadline for child in running.values())
        ready = multiprocessing.connection.wait(list(running), timeout=max(0.0, nearest - time.monotonic()))
        if ready:
            return [running[pipe] for pipe in ready]
        late = [child for child in running.values() if child.deadline <= time.monotonic()]
        if late:
            return late


def _collect(child: _Running) -> Done:
    timed_out = False
    try:
        if child.pipe.poll():
            result, trouble = child.pipe.recv()
        else:
            timed_out, result, trouble = True, None, f"took longer than {child.job.seconds:.0f} s"
    except EOFError:
        child.process.join()
        result, trouble = None, f"died with exit code {child.process.exitcode}"
    child.process.kill()
    child.process.join()
    child.pipe.close()
    return Done(child.job, result, trouble, timed_out)
