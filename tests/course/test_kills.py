"""Workers, scheduler and driver killed at random moments: nothing is lost and nothing is there twice.

    uv run pytest -m kills -n0 tests/course/test_kills.py

kills 20 times; an ordinary run kills each of the three once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from course.grading.store import Store
from course.paths import ROOT

from .cluster import ACluster, below, until
from .miniature import DOUBLE, FULL

pytestmark = pytest.mark.slow
KINDS = ("worker", "scheduler", "driver")
_DRIVER = """
import json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from miniature import DOUBLE, QUICK, make_unit, submission
from course.grading.cluster import Cluster
from course.grading.pool import Job
from course.grading.store import Store

unit = make_unit(Path({unit!r}))
answers = {answers!r}
work = [submission(double=answers[number % 2], last=f"x = {{number}}") for number in range({count})]
jobs = [Job(f"s{{number}}", unit, notebook, limits=QUICK) for number, notebook in enumerate(work)]
with Cluster({address!r}, patience=240) as cluster:
    for done in cluster.examine_all(jobs, Store(Path({store!r}))):
        told = {{"student": done.job.student, "known": done.known, "points": done.verdict["points"]}}
        print(json.dumps(told), flush=True)
"""
WRONG = "def double(x):\n    return None"
RIGHT_POINTS, WRONG_POINTS = sum(FULL.values()), sum(FULL.values()) - 4  # a None leaves its input as it was


@dataclass
class Run:
    """A run over many submissions, whatever is killed meanwhile."""

    folder: Path
    count: int
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    said: list[list[dict[str, object]]] = field(default_factory=list)
    started: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.store = Store(self.folder / "store")
        self.cluster = ACluster(self.folder / "cluster", workers=2)
        self.outputs: list[Path] = []
        self.driver = self.start_driver()

    def start_driver(self) -> subprocess.Popen[bytes]:
        """The process that sends, checks and keeps."""
        script = self.folder / "driver.py"
        script.write_text(
            _DRIVER.format(
                tests=str(Path(__file__).parent),
                unit=str(self.folder / "unit"),
                answers=[DOUBLE, WRONG],
                count=self.count,
                address=self.cluster.address,
                store=str(self.store.folder),
            )
        )
        self.outputs.append(self.folder / f"driver-{len(self.outputs)}.out")
        with open(self.outputs[-1], "wb") as out, open(self.folder / "driver.err", "ab") as errors:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            return subprocess.Popen([sys.executable, str(script)], stdout=out, stderr=errors, env=environment)

    def finished(self) -> int:
        """How many verdicts are kept."""
        return sum(1 for _ in self.store.folder.glob("??/*.json.gz"))

    def keep_going(self) -> None:
        """Start workers again that have ended, as whoever runs a cluster does: with their scheduler they end."""
        for place, worker in enumerate(self.cluster.workers):
            if worker.poll() is not None:
                self.cluster.workers[place] = self.cluster.start_worker()

    def wait_for(self, finished: int) -> None:
        """Until so many are finished."""

        def reached() -> bool:
            self.keep_going()
            assert self.driver.poll() in (None, 0), (self.folder / "driver.err").read_text()
            return self.finished() >= finished or self.driver.poll() == 0

        assert until(reached, seconds=600), self.cluster.log()[-3000:]

    def kill(self, kind: str) -> None:
        """SIGKILL, at a moment that nobody chose."""
        time.sleep(self.rng.uniform(0, 1.5))
        self.kills[kind] += 1
        for worker in self.cluster.workers:
            self.started |= {worker.pid, *below(worker.pid)}
        if kind == "worker":
            self._kill_a_worker()
        elif kind == "scheduler":
            self.cluster.kill(self.cluster.scheduler)
            time.sleep(self.rng.uniform(0, 2))
            self.cluster.start_scheduler()
        else:
            self.driver.kill()
            self.driver.wait()
            self.driver = self.start_driver()

    def _kill_a_worker(self) -> None:
        """All at once, as a machine dies; or only Dask's process, which its nanny then starts again."""
        worker = self.rng.choice(self.cluster.workers)
        children = below(worker.pid)
        if self.rng.random() < 0.5 or not children:
            if worker.poll() is None:
                self.cluster.kill(worker)
        else:
            os.kill(children[0], signal.SIGKILL)

    def end(self) -> None:
        """Stop what still runs."""
        if self.driver.poll() is None:
            self.driver.kill()
            self.driver.wait()
        self.cluster.stop()

    def lines(self) -> list[list[dict[str, object]]]:
        """What each driver said that it had finished."""
        found = []
        for output in self.outputs:
            whole = output.read_text().rpartition("\n")[0]
            found.append([json.loads(line) for line in whole.splitlines()])
        return found


def check(run: Run) -> None:
    """Every submission has one verdict, the right one; none was examined for a second time once it was kept."""
    expected = {f"s{number}": RIGHT_POINTS if number % 2 == 0 else WRONG_POINTS for number in range(run.count)}
    records = [run.store.get(key) for key in run.store.keys()]  # noqa: SIM118
    assert all(records)
    kept = [(record["verdict"]["student"], record["verdict"]["points"]) for record in records if record]
    assert sorted(kept) == sorted(expected.items())
    lines = run.lines()
    assert [line["points"] for line in lines[-1]] == [expected[str(line["student"])] for line in lines[-1]]
    assert Counter(line["student"] for line in lines[-1]) == Counter(
        expected.keys()
    )  # the last run tells all of them once
    new = Counter(line["student"] for said in lines for line in said if not line["known"])
    assert not [student for student, times in new.items() if times > 1]
    gone = lambda: not [process for process in run.started if Path(f"/proc/{process}").exists()]  # noqa: E731
    assert until(gone, seconds=30)


def survive(folder: Path, count: int, kinds: list[str], seed: int) -> Run:
    """Let a run be killed at moments spread over all of it, and finish."""
    run = Run(folder, count, seed)
    try:
        for number, kind in enumerate(kinds):
            run.wait_for(1 + number * count // (len(kinds) + 1))
            run.kill(kind)
        run.wait_for(count)
        assert run.driver.wait(timeout=300) == 0, (folder / "driver.err").read_text()
    finally:
        run.end()
    check(run)
    return run


def test_each_killed_once(tmp_path: Path) -> None:
    run = survive(tmp_path, count=12, kinds=list(KINDS), seed=3)
    assert sum(run.kills.values()) == 3


@pytest.mark.kills
def test_twenty_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get("COURSE_KILLS_SEED", "20261128"))
    rng = random.Random(seed)
    kinds = [*KINDS, *rng.choices(KINDS, k=17)]
    rng.shuffle(kinds)
    started = time.monotonic()
    run = survive(tmp_path, count=100, kinds=kinds, seed=seed)
    assert sum(run.kills.values()) == 20
    print(f"\n{dict(run.kills)} killed in {time.monotonic() - started:.0f} s: 100 of 100 verdicts, each once")
