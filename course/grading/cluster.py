"""The same examinations on the workers of a Dask cluster: `course grade DIR --scheduler tcp://…`.

    with Cluster("tcp://10.0.0.7:8786") as cluster:
        for done in cluster.examine_all(jobs, store=Store(folder)):
            write(done.verdict, …)

This process, the driver, is the only one that writes. What it sends is a job; on the worker the job goes to an
examining process as it would here (`pool.LocalCrew`), and what comes back is that process's answer: JSON text, checked
by `pool.accept` before anything is made of it. No object of a student's is ever pickled. Dask speaks pickle between
driver, scheduler and workers, so all of them are trusted alike; README.md says what that means.

What fails for a reason of the cluster's is sent again: a worker that died, a scheduler that was restarted, a worker
that lacks the class's cohort (it asks for it) or refuses, because it has no isolation or other tests than the driver.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import dataclasses
import functools
import json
import logging
import os
import queue
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course.errors import CourseError
from course.grading import sandbox
from course.grading.examine import engine_digest, environment, folder_digest
from course.grading.pool import Done, Job, LocalCrew, Task, failure, run
from course.grading.store import Store, write_atomically

if TYPE_CHECKING:
    from distributed import Client, Future

_PATIENCE = 60.0  # seconds that driver waits for a scheduler, or for a worker, that is not there
_AT_FIRST = 15.0  # the same for a scheduler that was never seen: its address may be wrong
_ANSWER = 60.0  # seconds in which a finished answer must be fetched
_LOOK = 2.0  # seconds between two looks at which workers there are
_TICK = 0.5
_EXTRA = "install it where this command runs: uv sync --extra cluster (or pip install distributed)"


# --------------------------------------------------------------------------------------------------------------------
# On a worker


_crews: dict[str, list[LocalCrew]] = {}
_crews_lock = threading.Lock()


async def look_around(wanted: str | None) -> str:
    """What this worker would examine with, or why it can't; JSON text. It takes seconds, which Dask must not wait for.

    Parameters
    ----------
    wanted : key of the isolation to use; by default the best that works here
    """
    return await asyncio.to_thread(_look_around, wanted)


def _look_around(wanted: str | None) -> str:
    try:
        return json.dumps({"isolation": _isolation(wanted).key, **_equipment()})
    except CourseError as error:
        return json.dumps({"refused": str(error)})


def _isolation(wanted: str | None) -> sandbox.Isolation:
    return sandbox.chosen() if wanted is None else sandbox.named(wanted)


def _equipment() -> dict[str, Any]:
    return {"engine": engine_digest(), "packages": environment()}


def examine_here(
    job: Job, record: str, isolation: str, digest: str | None, cohort: Mapping[str, bytes] | None = None
) -> bytes:
    """Examine one submission on this worker.

    Parameters
    ----------
    job : the submission; its cohort is a folder of the driver's, which this machine may not have
    record : the name of its verdict in the driver's store
    isolation : key of the isolation that its kernel must have
    digest : of the cohort
    cohort : the files of the cohort, where this worker asked for them

    Returns
    -------
    JSON text: an answer as `pool.accept` takes it, or {"lacks": "cohort"}, or {"refused": why}, which say where
    """
    try:
        if isolation != "none" and sandbox.chosen().key != isolation:
            return _say("refused", f"its isolation is {sandbox.chosen().key}, and that of the others {isolation}")
        place = _cohort(job.cohort, digest, cohort)
        if digest is not None and place is None:
            return _say("lacks", "cohort")
        job = dataclasses.replace(job, cohort=place)
        if job.record_under(sandbox.named(isolation).name) != record:
            return _say("refused", "its tests, course or packages are not those of the command")
        return _examine(job, isolation)
    except CourseError as error:
        return _say("refused", str(error))
    except OSError as error:
        return _say("failed", f"a worker could not work: {error}")


def _say(what: str, text: str) -> bytes:
    from distributed import get_worker

    return json.dumps({what: text, "worker": get_worker().address}).encode()


def _examine(job: Job, isolation: str) -> bytes:
    """As many examining processes as this worker has threads; they stay for the next job."""
    with _crews_lock:
        waiting = _crews.setdefault(isolation, [])
        crew = waiting.pop() if waiting else LocalCrew(1, isolation)
        assert crew.bytecode is None or crew.bytecode.is_dir()  # made by one thread while the others wait
    try:
        crew.give(Task(job))
        while not (finished := crew.collect()):
            pass
    except BaseException:
        crew.stop()
        raise
    with _crews_lock:
        waiting.append(crew)
    [(_, answer)] = finished
    failed = _what_it_says(answer).get("failed")
    return _say("failed", failed) if failed else answer


def _cohort(there: Path | None, digest: str | None, files: Mapping[str, bytes] | None) -> Path | None:
    """A folder with the job's cohort: the driver's where this machine sees it, or a copy of this worker's."""
    if there is None or digest is None:
        return None
    if there.is_dir() and folder_digest(there) == digest:
        return there
    copy = _copies() / digest
    if not copy.is_dir() and files is not None:
        made = copy.with_name(f"{copy.name}.{secrets.token_hex(6)}")
        for name, content in files.items():
            write_atomically(made / Path(name).name, content)
        with contextlib.suppress(OSError):  # another thread was first
            made.rename(copy)
        shutil.rmtree(made, ignore_errors=True)
    return copy if copy.is_dir() and folder_digest(copy) == digest else None


@functools.cache
def _copies() -> Path:
    """A folder of this worker's own, which goes with it; if it is killed, with the next one (`kernel._sweep`)."""
    folder = tempfile.mkdtemp(prefix=f"mo-{os.getpid()}-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


# --------------------------------------------------------------------------------------------------------------------
# The driver


@dataclasses.dataclass
class _Sent:
    """A task on the cluster: its future, the workers it may run on (none: all), and whether the cohort went with it."""

    task: Task
    future: Future
    workers: tuple[str, ...]
    with_cohort: bool


class Cluster:
    """A crew for `pool.run` whose members are elsewhere.

    Parameters
    ----------
    address : of the scheduler, as `tcp://host:port` or `tls://host:port`
    isolation : key of the isolation to use; by default what the workers find
    patience : seconds to wait for a scheduler or a worker that is not there

    Attributes
    ----------
    say : is told what a person should know, one line each

    Raises
    ------
    CourseError : no scheduler answers there, there is no worker, or one can't examine as the driver would
    """

    def __init__(
        self,
        address: str,
        *,
        isolation: str | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        self.address = address
        self.isolation = isolation
        self.patience = patience
        self.say: Callable[[str], None] = _say_nothing
        self._sent: dict[str, _Sent] = {}
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._refusing: dict[str, str] = {}
        self._workers: dict[str, int] = {}
        self._looked = self._seen = time.monotonic()
        self._client = self._connect(min(patience, _AT_FIRST))
        try:
            self.isolation = self._look_around()
        except BaseException:
            self.close()
            raise
        sandbox.use(self.isolation)  # verdicts are kept under the name of what isolated them

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def examine_all(self, jobs: Iterable[Job], store: Store | None = None) -> Iterator[Done]:
        """Examine many submissions; as `pool.examine_all`, but not here."""
        yield from run(iter(jobs), self, store)

    def close(self) -> None:
        """Leave the cluster; what is under way there is dropped."""
        for sent in self._sent.values():
            sent.future.release()
        self._sent.clear()
        _hang_up(self._client)

    # Connection

    def _connect(self, patience: float) -> Client:
        """A client of the scheduler, which may be about to be started again."""
        try:
            from distributed import Client
        except ModuleNotFoundError as error:
            raise CourseError(f"--scheduler needs the package {error.name}; {_EXTRA}") from None
        for name in ("distributed.client", "distributed.core", "distributed.comm", "distributed.batched"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # that a connection was lost is said by us
        until = time.monotonic() + patience
        while True:
            try:
                client = Client(self.address, timeout=min(10, patience), set_as_default=False, name="course-grade")
            except (OSError, TimeoutError) as error:
                if time.monotonic() < until:
                    time.sleep(_TICK)
                    continue
                raise CourseError(
                    f"no Dask scheduler answers at {self.address} ({_first_line(error)}); what was finished is kept: "
                    "start the scheduler and run the same command again"
                ) from None
            except ValueError as error:
                raise CourseError(
                    f"{self.address} is no address of a scheduler ({error}); one is tcp://HOST:8786"
                ) from None
            self._looked = self._seen = time.monotonic()
            return client

    def _reconnect(self) -> None:
        """The scheduler is gone, and with it all that it knew: find it again and send again what was under way."""
        self.say(f"the scheduler at {self.address} is lost; waiting for it")
        _hang_up(self._client)
        self._client = self._connect(self.patience)
        self._workers = {}
        waiting, self._sent = list(self._sent.values()), {}
        for sent in waiting:
            self._send(sent.task, with_cohort=sent.with_cohort)

    def _look_around(self) -> str:
        """The isolation that all workers have.

        Raises
        ------
        CourseError : names the workers that stand in the way, and why
        """
        told = {address: json.loads(text) for address, text in self._ask_all().items()}
        refusing = {address: what["refused"] for address, what in told.items() if "refused" in what}
        ours = _equipment()
        for address, what in told.items():
            if address not in refusing and {name: what[name] for name in ours} != ours:
                refusing[address] = f"it has {_difference(what, ours)}; start it in the same clone and environment"
        if refusing:
            lines = "; ".join(f"worker {address}: {why}" for address, why in sorted(refusing.items()))
            raise CourseError(f"{lines}. Nothing was graded: mend these workers or stop them")
        kinds = sorted({what["isolation"] for what in told.values()})
        if len(kinds) > 1:
            which = "; ".join(f"{address} has {what['isolation']}" for address, what in sorted(told.items()))
            raise CourseError(f"the workers isolate students' code in different ways: {which}. Stop those of one kind")
        return kinds[0]

    def _ask_all(self) -> dict[str, str]:
        from distributed.comm.core import CommClosedError

        until = time.monotonic() + self.patience
        while True:
            workers = self._client.nthreads()
            try:
                if workers:
                    self._workers = dict(workers)
                    return self._client.run(look_around, self.isolation)
            except Exception as error:  # of Dask, or of a worker that has not the course; there is no narrower class
                # Until the scheduler knows that a worker has gone it is asked, too; then the others are asked again.
                if not isinstance(error, CommClosedError) or time.monotonic() > until:
                    raise CourseError(
                        f"the workers at {self.address} can't be asked what they have ({_first_line(error)}); "
                        "start them with this course installed, in the same environment"
                    ) from None
            if not workers and time.monotonic() > until:
                raise CourseError(self._no_worker())
            time.sleep(_TICK)

    def _no_worker(self) -> str:
        left = "; ".join(f"{address} refuses: {why}" for address, why in sorted(self._refusing.items()))
        why = f" ({left})" if left else ""
        return (
            f"the scheduler at {self.address} has had no worker for {self.patience:.0f} s{why}; what was finished is "
            f"kept: start one with `dask worker {self.address}` and run the same command again"
        )

    # What `pool.run` asks of a crew

    def has_room(self) -> bool:
        """Each worker has something to do and one more that waits."""
        return len(self._sent) < 2 * max(1, sum(self._workers.values()))

    def is_busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._sent)

    def give(self, task: Task) -> None:
        """Send a submission to the cluster."""
        self._send(task)

    def _send(self, task: Task, *, with_cohort: bool = False) -> None:
        workers = self._allowed(task)
        files = _files(task.job.cohort) if with_cohort and task.job.cohort is not None else None
        name = f"examine-{task.job.record[:16]}-{secrets.token_hex(8)}"
        future = self._client.submit(
            examine_here,
            task.job,
            task.job.record,
            self.isolation,
            folder_digest(task.job.cohort),
            files,
            key=name,
            pure=False,
            workers=list(workers) or None,
            allow_other_workers=False,
        )
        self._sent[name] = _Sent(task, future, workers, with_cohort)
        future.add_done_callback(lambda _: self._news.put(name))

    def _allowed(self, task: Task) -> tuple[str, ...]:
        """Where a task may run; nothing where it may run anywhere."""
        avoided = {*self._refusing, *task.failed_at}
        if not avoided & set(self._workers):
            return ()
        willing = [address for address in self._workers if address not in self._refusing]
        return tuple(sorted([address for address in willing if address not in avoided] or willing))

    def collect(self) -> list[tuple[Task, bytes]]:
        """What finished; waits until something may have."""
        with contextlib.suppress(queue.Empty):
            self._news.get(timeout=_TICK)
        if self._client.status != "running":
            self._reconnect()
            return []
        self._look_at_workers()
        finished = []
        for name, sent in list(self._sent.items()):
            answer = self._answer(name, sent)
            if answer is not None:
                finished.append((sent.task, answer))
        return finished

    def _look_at_workers(self) -> None:
        """Which workers there are; what waits for one that is gone is sent to another."""
        if time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        try:
            self._workers = dict(self._client.nthreads())
        except OSError:
            return  # the scheduler is going; the client's status will say so
        willing = set(self._workers) - set(self._refusing)
        if willing:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > self.patience:
            raise CourseError(self._no_worker())
        for name, sent in list(self._sent.items()):
            if sent.workers and not set(sent.workers) & willing and sent.future.status == "pending":
                self._send_again(name, sent)

    def _answer(self, name: str, sent: _Sent) -> bytes | None:
        """The answer to a task, if there is one; what the cluster lost is sent again."""
        status = sent.future.status
        if status in ("cancelled", "lost"):
            self._send_again(name, sent)
            return None
        if status not in ("finished", "error"):
            return None
        answer = self._fetch(name, sent)
        if answer is None:
            return None
        return self._understand(sent, answer)

    def _fetch(self, name: str, sent: _Sent) -> bytes | None:
        from distributed import CancelledError

        try:
            answer = sent.future.result(timeout=_ANSWER)
        except (CancelledError, TimeoutError, OSError):  # the worker that had it is gone
            self._send_again(name, sent)
            return None
        except Exception as error:  # what Dask makes of a worker that dies has no class in common
            self._forget(name)
            return failure(f"its worker died ({_first_line(error)})")
        self._forget(name)
        return answer if isinstance(answer, bytes) else failure("a worker gave back something else than an answer")

    def _understand(self, sent: _Sent, answer: bytes) -> bytes | None:
        """An answer that is for `pool.accept`; with any other, the task is sent again."""
        told = _what_it_says(answer)
        worker = str(told.get("worker", ""))
        if "lacks" in told and not sent.with_cohort:
            self._send(sent.task, with_cohort=True)
            return None
        if "lacks" in told:
            return failure("a worker can't keep the class's cohort; is its disk full?")
        if "refused" in told:
            return self._avoid(sent, worker, str(told["refused"])[:500])
        if "failed" in told:
            sent.task.failed_at |= {worker}
        return answer

    def _avoid(self, sent: _Sent, worker: str, why: str) -> bytes | None:
        if worker not in self._refusing:
            self._refusing[worker] = why
            self.say(f"worker {worker} is not used: {why}")
        self._send(sent.task, with_cohort=sent.with_cohort)
        return None

    def _forget(self, name: str) -> None:
        sent = self._sent.pop(name, None)
        if sent is not None:
            sent.future.release()

    def _send_again(self, name: str, sent: _Sent) -> None:
        self._forget(name)
        self._send(sent.task, with_cohort=sent.with_cohort)


def _what_it_says(answer: bytes) -> dict[str, Any]:
    """What the answer says of itself where it is no verdict; a verdict is read by `pool.accept`."""
    if not answer.startswith((b'{"lacks"', b'{"refused"', b'{"failed"')):
        return {}
    try:
        return json.loads(answer)
    except ValueError:
        return {}


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def _difference(what: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """What a worker has other than the driver."""
    if what["packages"] != ours["packages"]:
        names = sorted(set(what["packages"]) | set(ours["packages"]))
        pairs = [(name, what["packages"].get(name), ours["packages"].get(name)) for name in names]
        return ", ".join(
            f"{name} {theirs} where this command has {mine}" for name, theirs, mine in pairs if theirs != mine
        )
    return "another version of the course than this command"


def _say_nothing(_: str) -> None:
    pass


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _hang_up(client: Client) -> None:
    """Close a client whose scheduler may be gone."""
    with contextlib.suppress(OSError, TimeoutError):
        client.close(timeout=2)
