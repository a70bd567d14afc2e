"""`course grade --scheduler`: the workers of a real Dask cluster examine as processes of this machine do."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import pytest
from distributed.comm.core import CommClosedError

from course.errors import CourseError
from course.grading import cluster, commands, pool, sandbox
from course.grading.cluster import Cluster
from course.grading.examine import UnitFiles
from course.grading.pool import Job
from course.grading.sandbox import view
from course.grading.store import Store

from .cluster import ACluster, free_port, until
from .miniature import FULL, QUICK, STARTER, make_unit, submission

pytestmark = pytest.mark.slow
ALL = sum(FULL.values())


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> UnitFiles:
    return make_unit(tmp_path_factory.mktemp("unit"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ACluster]:
    found = ACluster(tmp_path_factory.mktemp("cluster"), workers=1, threads=2)
    yield found
    found.stop()


def test_workers_examine_as_this_machine_does_and_what_is_known_is_not_sent(
    running: ACluster, unit: UnitFiles, tmp_path: Path
) -> None:
    folder = tmp_path / "cohort"
    folder.mkdir()
    (folder / "table.csv").write_text("a,b\n1,2\n")
    place = os.open(folder, os.O_RDONLY)
    unseen = Path(f"/proc/self/fd/{place}")  # a folder that this process has and no other
    work = {
        "honest": Job("honest", unit, submission(), limits=QUICK),
        "wrong": Job("wrong", unit, submission(double="def double(x):\n    return x + 2"), limits=QUICK),
        "lazy": Job("lazy", unit, submission(**STARTER), limits=QUICK),
        "far": Job("far", unit, submission(last="open('support/data/cohort/table.csv')"), cohort=unseen, limits=QUICK),
    }
    seen = {**work, "far": dataclasses.replace(work["far"], cohort=folder)}
    here = {done.job.student: done for done in pool.examine_all(seen.values(), workers=1)}
    store = Store(tmp_path / "store")
    with Cluster(running.address) as workers:
        there = {done.job.student: done for done in workers.examine_all(work.values(), store)}
        sent = workers._client.submit(
            cluster.examine_here, work["honest"], work["honest"].record, workers.isolation, None, pure=False
        ).result()
        assert type(sent) is bytes  # what Dask carries back is text, whatever is in it
        assert set(json.loads(sent)) == {"verdict", "executed"}
        workers._client.submit = None  # nothing can be sent any more
        again = list(workers.examine_all(work.values(), store))
    os.close(place)
    assert there.keys() == here.keys() == work.keys()
    for name, done in there.items():
        assert _timeless(done.verdict) == _timeless(here[name].verdict)
        assert done.verdict["isolation"] == sandbox.chosen().name
        assert not done.known
    assert there["honest"].verdict["points"] == ALL
    assert there["lazy"].verdict["points"] == 0
    assert {cell["status"] for cell in there["far"].verdict["cells"]} == {"ok"}  # its cohort was sent after all
    assert len(again) == 4
    assert all(done.known for done in again)


def _timeless(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _timeless(value) for name, value in part.items() if name != "seconds"}
    return [_timeless(value) for value in part] if isinstance(part, list) else part


def test_a_worker_without_isolation_refuses_and_says_why(running: ACluster, unit: UnitFiles) -> None:
    lines: list[str] = []
    with Cluster(running.address) as workers:
        workers.say = lines.append
        weak = running.start_worker({view.PYTHON_VARIABLE: "/nowhere/python"})
        try:
            assert until(lambda: len(workers._client.nthreads()) == 2)
            workers._looked = 0.0
            workers._look_at_workers()
            work = [Job(f"s{number}", unit, submission(last=f"x = {number}"), limits=QUICK) for number in range(6)]
            done = list(workers.examine_all(work))  # one that came late
            assert [one.verdict["points"] for one in done] == [ALL] * 6
            assert len(lines) == 1
            assert "is not used: no isolation for students' code" in lines[0]
            with pytest.raises(CourseError, match=r"(?s)worker tcp://.*: no isolation.*/nowhere/python, which can't"):
                Cluster(running.address)
        finally:
            running.kill(weak)


def test_other_packages_on_a_worker_are_named(running: ACluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "environment", lambda: {"python": "3.99", "numpy": "0.1"})
    with pytest.raises(CourseError, match=r"it has .*numpy [\d.]+ where this command has 0\.1"):
        Cluster(running.address)


def test_where_a_worker_has_just_gone_the_others_are_asked_again(
    running: ACluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked, gone = distributed.Client.run, [], 1

    def run(self: distributed.Client, *args: Any) -> Any:
        asked.append(args)
        if len(asked) <= gone:
            raise CommClosedError("Connection reset by peer")
        return real(self, *args)

    monkeypatch.setattr(distributed.Client, "run", run)
    with Cluster(running.address) as workers:
        assert workers.isolation == sandbox.chosen().key
    assert len(asked) == 2
    gone = 10**6
    with pytest.raises(CourseError, match=r"can't be asked what they have \(Connection reset by peer\)"):
        Cluster(running.address, patience=1)


def test_no_scheduler_no_worker_no_address_no_package_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(CourseError, match=rf"no Dask scheduler answers at {nobody}.*run the same command again"):
        Cluster(nobody, patience=1)
    with pytest.raises(CourseError, match="no address of a scheduler"):
        Cluster("somewhere", patience=1)
    alone = ACluster(tmp_path, workers=0)
    try:
        until(lambda: "Scheduler at" in alone.log("scheduler"))
        with pytest.raises(CourseError, match=r"has had no worker for 3 s.*dask worker tcp://"):
            Cluster(alone.address, patience=3)
    finally:
        alone.stop()
    with pytest.raises(CourseError, match="--jobs is for processes of this machine"):
        commands.grade(tmp_path, jobs=2, scheduler=nobody)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CourseError, match=r"needs the package distributed; install it.*uv sync --extra cluster"):
        Cluster(nobody)


def test_a_submission_whose_workers_die_is_not_graded_and_not_zero(unit: UnitFiles, tmp_path: Path) -> None:
    """A stand-in for the scheduler's word on it: the real deaths are in test_kills.py."""

    class Killed:
        status = "error"

        def result(self, timeout: float) -> bytes:
            raise RuntimeError("KilledWorker: tried on 4 workers")

        def release(self) -> None:
            pass

    workers = object.__new__(Cluster)
    workers._sent, workers._news, workers._refusing, workers._workers = {}, cluster.queue.SimpleQueue(), {}, {"a": 1}
    workers._look_at_workers = lambda: None  # type: ignore[method-assign]
    workers._client = type("Client", (), {"status": "running"})()
    workers._send = lambda task, **_: workers._sent.update(  # type: ignore[method-assign]
        {task.job.student: cluster._Sent(task, Killed(), (), with_cohort=False)}
    )
    store = Store(tmp_path)
    [done] = list(workers.examine_all([Job("ada", unit, submission(), limits=QUICK)], store))
    assert done.verdict["status"] == "not_graded"
    assert done.verdict["points"] is None
    assert "KilledWorker" in done.verdict["reason"]
    assert list(store.keys()) == []
