"""Many submissions at once: worker processes, each examining one submission at a time.

    for done in examine_all(jobs, workers=2, store=Store(folder)):
        write(done.verdict, …)

Verdicts come as they are finished. A worker that dies or fails costs nobody a point: its submission is tried once more
in a new worker, and then reported as not graded. What is finished is in the store before it is handed on, so whoever
stops the run, or whatever does, loses only what was under way.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

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
_BEGIN = (
    "import json, sys; settings = json.loads(sys.argv[1]); sys.path[:] = settings.pop('import_path'); "
    "from course.grading.pool import work; work(**settings)"
)


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

    @functools.cached_property
    def record(self) -> str:
        """The name of its verdict in a store."""
        return self.record_under(None)

    def record_under(self, isolation: str | None) -> str:
        """The same where another isolation than this process's is used."""
        return record_key(
            self.notebook,
            self.files,
            key=self.key,
            cohort=self.cohort,
            limits=self.limits,
            truth=self.truth,
            isolation=isolation,
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
    crew = LocalCrew(count)
    try:
        yield from run(iter(jobs), crew, store)
    finally:
        crew.stop()


class Crew(Protocol):
    """Whoever examines: processes of this machine, or a cluster."""

    def has_room(self) -> bool:
        """Whether it can be given more."""

    def is_busy(self) -> bool:
        """Whether something is under way."""

    def give(self, task: Task) -> None:
        """Begin with it."""

    def collect(self) -> list[tuple[Task, bytes]]:
        """What finished, each with its answer; waits until something may have."""


@dataclass
class Task:
    """A job that is under way, for the how manyeth time, and until when."""

    job: Job
    attempt: int = 1
    deadline: float = 0.0
    failed_at: frozenset[str] = frozenset()


def run(jobs: Iterator[Job], crew: Crew, store: Store | None) -> Iterator[Done]:
    """Let a crew examine all; what fails for a reason of ours is tried again, then not graded."""
    again: deque[Task] = deque()
    finished: list[tuple[Task, bytes]] = []
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
        for task, answer in finished:  # only now, so that nobody waits while this is kept and written
            try:
                yield _keep(accept(task.job, answer), store)
            except Failed as failed:
                if task.attempt < _ATTEMPTS:
                    again.append(Task(task.job, task.attempt + 1, failed_at=task.failed_at))
                else:
                    yield _given_up(task.job, str(failed))
        if not (crew.is_busy() or again):
            return
        finished = crew.collect() if crew.is_busy() else []


class Failed(Exception):
    """A submission could not be examined, for a reason of ours."""


def failure(reason: str) -> bytes:
    """The answer of whoever could not examine a submission."""
    return json.dumps({"failed": reason}).encode()


def accept(job: Job, answer: bytes) -> Done:
    """The verdict and the executed notebook in an answer, once they are found to be that of this job.

    An answer is JSON text. Nothing in it is loaded as an object, and a verdict on anything else is a failure.

    Raises
    ------
    Failed : it says so, or it is no such answer
    """
    try:
        told = json.loads(answer)
        if "failed" in told:
            raise Failed(str(told["failed"])[:500])
        verdict, executed = told["verdict"], nbformat.from_dict(told["executed"])
        verdicts.validate(verdict)
        theirs = (verdict["student"], verdict["unit"], verdict["submission"], submission_digest(executed))
    except (ValueError, TypeError, KeyError, AttributeError, verdicts.VerdictError) as error:
        raise Failed(f"the answer of the examining process can't be used: {type(error).__name__}: {error}") from None
    submission = submission_digest(printable(job.notebook))
    if theirs != (job.student, job.files.name, submission_digest(job.notebook), submission):
        raise Failed("the answer of the examining process is of another submission")
    return Done(job, verdict, executed)


def _next_task(jobs: Iterator[Job]) -> Task | None:
    job = next(jobs, None)
    if job is None:
        return None
    if not job.files.exercises:  # also raises now, and not in a worker, where the unit is not built
        raise CourseError(f"unit {job.files.name} has no exercises")
    return Task(job)


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
    """A process, the pipe to it, and what it is at.

    It is started as a program of its own and not by `multiprocessing`: a worker of Dask is a process that may not have
    children of that kind.
    """

    def __init__(self, bytecode: Path | None, isolation: str) -> None:
        ours, theirs = socket.socketpair()
        self.pipe = Connection(ours.detach())
        settings = {
            "import_path": sys.path,
            "pipe": theirs.fileno(),
            "parent": os.getpid(),
            "bytecode": str(bytecode) if bytecode else None,
            "isolation": isolation,
        }
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BEGIN, json.dumps(settings)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **dict.fromkeys(_ONE_THREAD, "1")},  # as many workers as processors
            )
        self.task: Task | None = None

    def answer(self) -> bytes | None:
        """What it sent, if anything; its death or its silence is an answer too.

        The system closes a dying process's files before it can be waited for, so the end of the pipe is its end.
        """
        assert self.task is not None
        try:
            if self.pipe.poll():
                return self.pipe.recv_bytes()
        except (EOFError, OSError):
            return failure(f"the examining process died{self._how()}")
        if time.monotonic() > self.task.deadline:
            self.kill()
            return failure("the examining process did not finish in time")
        return None

    @property
    def is_dead(self) -> bool:
        """Whether it has ended, or is about to."""
        try:
            return self.process.poll() is not None or (self.pipe.poll() and self.task is None)
        except OSError:
            return True

    def _how(self) -> str:
        try:
            code = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()
            return ""
        return f" (signal {-code})" if code < 0 else f" (exit code {code})"

    def kill(self) -> None:
        """Now; its kernels end with it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it: at once where it is at work, politely where it waits."""
        if self.task is None:
            with contextlib.suppress(OSError):
                self.pipe.send(None)
        else:
            self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
        self.pipe.close()


class LocalCrew:
    """Processes of this machine; started when there is work for them, replaced when they die.

    Parameters
    ----------
    size : how many
    isolation : key of the isolation that kernels have; by default what this process has chosen
    """

    def __init__(self, size: int, isolation: str | None = None) -> None:
        self.size = size
        self.isolation = isolation
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
        """Whether one of them waits, or can be started."""
        return len(self.busy()) < self.size

    def is_busy(self) -> bool:
        """Whether one of them is at work."""
        return bool(self.busy())

    def busy(self) -> list[_Worker]:
        """Those at work."""
        return [worker for worker in self.workers if worker.task is not None]

    def give(self, task: Task) -> None:
        """Let one of them examine a submission."""
        worker = next((worker for worker in self.workers if worker.task is None), None)
        if worker is None:
            worker = _Worker(self.bytecode, self.isolation or sandbox.chosen().key)
            self.workers.append(worker)
        task.deadline = time.monotonic() + task.job.limits.total_seconds + _GRACE
        worker.task = task
        with contextlib.suppress(OSError):  # it died while it waited: found when its answer is asked for
            worker.pipe.send(task.job)

    def collect(self) -> list[tuple[Task, bytes]]:
        """What finished; waits until something may have."""
        busy = self.busy()
        wait([worker.pipe for worker in busy], timeout=1.0)
        finished = []
        for worker in busy:
            answer = worker.answer()
            if answer is None:
                continue
            assert worker.task is not None
            finished.append((worker.task, answer))
            worker.task = None
            if worker.is_dead:
                self.workers.remove(worker)
                worker.stop()
        return finished

    def stop(self) -> None:
        """End them all."""
        for worker in self.workers:
            worker.stop()
        self.workers.clear()


def work(pipe: int, parent: int, bytecode: str | None, isolation: str) -> None:
    """A worker process: examine what comes, until nothing comes or the parent is gone."""
    os.set_inheritable(pipe, False)  # it closes with this process, whatever this process started
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    signal.signal(signal.SIGTERM, _leave)
    use_bytecode(Path(bytecode) if bytecode else None)
    sandbox.use(isolation)  # what the driver found by trying
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    connection = Connection(pipe)
    examiner = Examiner()
    try:
        while (job := _receive(connection)) is not None:
            try:
                answer = _examine(examiner, job)
            except Exception as error:  # whatever it was, it is ours and never the student's
                answer = failure(f"{type(error).__name__}: {error}")
                examiner.close()
                examiner = Examiner()
            connection.send_bytes(answer)
    finally:
        examiner.close()


def _receive(pipe: Connection) -> Job | None:
    try:
        return pipe.recv()
    except EOFError:
        return None


def _examine(examiner: Examiner, job: Job) -> bytes:
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
    return json.dumps({"verdict": examination.verdict, "executed": examination.executed}).encode()


def _leave(*_: object) -> None:
    abandon_all()
    os._exit(143)


def _watch(parent: int) -> None:
    """End with the parent: a signal on its death would come when its thread ends, so its id is polled."""
    while os.getppid() == parent:
        time.sleep(1)
    _leave()
