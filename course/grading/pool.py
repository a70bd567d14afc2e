"""Many submissions at once: worker processes, each examining one submission at a time.

    for done in examine_all(jobs, workers=2, store=Store(folder)):
        write(done.verdict, …)

Verdicts come as they are finished. A worker that dies or fails costs nobody a point: its submission is tried once more
in a new worker, and then reported as not graded. What is finished is in the store before it is handed on, so whoever
stops the run, or whatever does, loses only what was under way.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from course.errors import CourseError
from course.grading import sandbox
from course.grading import verdict as verdicts
from course.grading.examine import Examiner, Limits, UnitFiles, environment, record_key
from course.grading.kernel import KernelStartError, abandon_all, bytecode_folder, use_bytecode
from course.grading.store import Store, printable, submission_digest

_ATTEMPTS = 2
_GRACE = 120.0  # seconds beyond a submission's own limit before its worker is taken for dead
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """One submission to examine; the arguments are those of `Examiner.examine`."""

    student: str
    unit: str | UnitFiles
    notebook: NotebookNode
    key: bytes | None = field(default=None, repr=False)
    cohort: Path | None = None
    truth: Mapping[str, Any] | None = field(default=None, repr=False)
    limits: Limits = field(default_factory=Limits)
    repairs: tuple[str, ...] = ()

    @property
    def files(self) -> UnitFiles:
        """What the unit is examined with."""
        if isinstance(self.unit, UnitFiles):
            return self.unit
        language = self.notebook.get("metadata", {}).get("course", {}).get("language", "en")
        return UnitFiles.of(self.unit, language if isinstance(language, str) else "en")

    @property
    def record(self) -> str:
        """The name of its verdict in a store."""
        return record_key(
            self.notebook, self.files, key=self.key, cohort=self.cohort, limits=self.limits, truth=self.truth
        )


@dataclass(frozen=True)
class Done:
    """A job that is finished: its verdict, the notebook with its outputs, and whether both were known before."""

    job: Job
    verdict: dict[str, Any]
    executed: NotebookNode
    known: bool = False


def examine_all(jobs: Iterable[Job], *, workers: int | None = None, store: Store | None = None) -> Iterator[Done]:
    """Examine many submissions, each in its own kernel, several at once.

    Parameters
    ----------
    jobs : submissions; taken one by one as workers become free
    workers : number of worker processes; as many as there are processors if not given
    store : verdicts that are known are taken from it, new ones are kept there

    Yields
    ------
    Done : in the order in which they are finished; what we failed to examine has the status "not_graded"

    Raises
    ------
    CourseError : a unit is not built, the number of workers is not positive, or this machine has no isolation
    """
    count = workers if workers is not None else os.cpu_count() or 1
    if count < 1:
        raise CourseError(f"grading needs at least one worker process, not {count}")
    crew = _Crew(count)
    try:
        yield from _run(iter(jobs), crew, store)
    finally:
        crew.stop()


def _run(jobs: Iterator[Job], crew: _Crew, store: Store | None) -> Iterator[Done]:
    again: deque[_Task] = deque()
    while True:
        while crew.has_room():
            task = again.popleft() if again else _next_task(jobs)
            if task is None:
                break
            known = store.get(task.job.record) if store is not None and task.attempt == 1 else None
            if known is not None:
                yield _from_record(task.job, known)
            else:
                crew.give(task)
        if not crew.busy():
            return
        for task, answer in crew.collect():
            if answer[0] == "done":
                yield _keep(Done(task.job, answer[1], nbformat.from_dict(answer[2])), store)
            elif task.attempt < _ATTEMPTS:
                again.append(_Task(task.job, task.attempt + 1))
            else:
                yield _given_up(task.job, str(answer[1]))


@dataclass
class _Task:
    job: Job
    attempt: int = 1
    deadline: float = 0.0


def _next_task(jobs: Iterator[Job]) -> _Task | None:
    job = next(jobs, None)
    if job is None:
        return None
    if not job.files.exercises:  # also raises now, and not in a worker, where the unit is not built
        raise CourseError(f"unit {job.files.name} has no exercises")
    return _Task(job)


def _keep(done: Done, store: Store | None) -> Done:
    if store is not None:
        store.put(done.job.record, {"verdict": done.verdict, "executed": done.executed})
    return done


def _from_record(job: Job, record: Mapping[str, Any]) -> Done:
    verdict = {**record["verdict"], "student": job.student, "repairs": list(job.repairs)}
    return Done(job, verdict, nbformat.from_dict(record["executed"]), known=True)


def _given_up(job: Job, reason: str) -> Done:
    files = job.files
    verdict = verdicts.not_graded(
        reason,
        student=job.student,
        unit=files.name,
        language=files.language,
        submission=submission_digest(job.notebook),
        tests=files.tests_digest,
        environment=environment(),
        repairs=job.repairs,
        written=files.written,
    )
    return Done(job, verdict, nbformat.from_dict(printable(job.notebook)))


class _Worker:
    """A process, the pipe to it, and what it is at."""

    def __init__(self, bytecode: Path | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_work, args=(other, os.getpid(), bytecode, sandbox.chosen().key), daemon=True
        )
        with _one_thread():
            self.process.start()
        other.close()
        self.task: _Task | None = None

    def answer(self, ended: bool) -> tuple[Any, ...] | None:
        """What it sent, if anything; its death or its silence is an answer too.

        `ended` says that its sentinel is ready. The system closes a dying process's files before it can be waited for,
        so the sentinel decides, not `is_alive`.
        """
        assert self.task is not None
        try:
            if self.pipe.poll():
                return self.pipe.recv()
        except (EOFError, OSError):
            ended = True
        if ended or not self.process.is_alive():
            return ("died", f"the examining process died{self._how()}")
        if time.monotonic() > self.task.deadline:
            return ("died", "the examining process did not finish in time")
        return None

    def _how(self) -> str:
        self.process.join(timeout=10)
        code = self.process.exitcode
        return f" (signal {-code})" if code is not None and code < 0 else f" (exit code {code})"

    def stop(self) -> None:
        """End it: at once where it is at work, politely where it waits."""
        if self.task is None:
            with contextlib.suppress(OSError):
                self.pipe.send(None)
        else:
            self.process.terminate()
        self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(timeout=5)
        self.pipe.close()


class _Crew:
    """The workers; started when there is work for them, replaced when they die."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.workers: list[_Worker] = []

    @property
    def bytecode(self) -> Path | None:
        """Compiled libraries, made once for all workers when the first one starts."""
        try:
            return bytecode_folder()
        except KernelStartError as error:
            raise CourseError(
                f"no kernel can be started here: {error}; install the package with its extra teach"
            ) from None

    def has_room(self) -> bool:
        return len(self.busy()) < self.size

    def busy(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.task is not None]

    def give(self, task: _Task) -> None:
        worker = next((worker for worker in self.workers if worker.task is None), None)
        if worker is None:
            worker = _Worker(self.bytecode)
            self.workers.append(worker)
        task.deadline = time.monotonic() + task.job.limits.total_seconds + _GRACE
        worker.task = task
        with contextlib.suppress(OSError):  # it died while it waited: found when its answer is asked for
            worker.pipe.send(task.job)

    def collect(self) -> list[tuple[_Task, tuple[Any, ...]]]:
        """What finished; waits until something may have."""
        busy = self.busy()
        ready = wait([*(worker.pipe for worker in busy), *(worker.process.sentinel for worker in busy)], timeout=1.0)
        finished = []
        for worker in busy:
            answer = worker.answer(ended=worker.process.sentinel in ready)
            if answer is None:
                continue
            assert worker.task is not None
            finished.append((worker.task, answer))
            if answer[0] == "died":
                self.workers.remove(worker)
                worker.stop()
            worker.task = None
        return finished

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()
        self.workers.clear()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Workers are as many as processors, so each uses one; libraries read this when they are first imported."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(pipe: Connection, parent: int, bytecode: Path | None, isolation: str) -> None:
    """A worker process: examine what comes, until nothing comes or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    signal.signal(signal.SIGTERM, _leave)
    use_bytecode(bytecode)
    sandbox.use(isolation)  # what the driver found by trying
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    examiner = Examiner()
    try:
        while (job := _receive(pipe)) is not None:
            try:
                pipe.send(_examine(examiner, job))
            except Exception as error:  # whatever it was, it is ours and never the student's
                pipe.send(("failed", f"{type(error).__name__}: {error}"))
                examiner.close()
                examiner = Examiner()
    finally:
        examiner.close()


def _receive(pipe: Connection) -> Job | None:
    try:
        return pipe.recv()
    except EOFError:
        return None


def _examine(examiner: Examiner, job: Job) -> tuple[Any, ...]:
    examination = examiner.examine(
        job.notebook,
        unit=job.unit,
        key=job.key,
        cohort=job.cohort,
        truth=job.truth,
        limits=job.limits,
        student=job.student,
        repairs=job.repairs,
    )
    return ("done", examination.verdict, examination.executed)


def _leave(*_: object) -> None:
    abandon_all()
    os._exit(143)


def _watch(parent: int) -> None:
    """End with the parent: a signal on its death would come when its thread ends, so its id is polled."""
    while os.getppid() == parent:
        time.sleep(1)
    _leave()
