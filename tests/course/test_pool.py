"""Many submissions at once: all are finished, none twice, a dead worker is never a zero, and stopping loses nothing."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from course.errors import CourseError
from course.grading import examine, pool
from course.grading.examine import UnitFiles
from course.grading.pool import Job, examine_all
from course.grading.store import Store
from course.paths import ROOT

from .miniature import FULL, QUICK, STARTER, make_unit, submission

ALL = sum(FULL.values())


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> UnitFiles:
    return make_unit(tmp_path_factory.mktemp("unit"))


def jobs(unit: UnitFiles, count: int) -> Iterator[Job]:
    """The honest work of some students, each a little different."""
    for number in range(count):
        yield Job(f"student-{number}", unit, submission(last=f"x = {number}"), limits=QUICK)


def test_every_submission_is_examined_once_and_known_the_next_time(unit: UnitFiles, tmp_path: Path) -> None:
    store = Store(tmp_path)
    starter = Job("lazy", unit, submission(**STARTER), limits=QUICK)
    first = list(examine_all([*jobs(unit, 3), starter], workers=2, store=store))
    points = {done.job.student: done.verdict["points"] for done in first}
    assert points == {"student-0": ALL, "student-1": ALL, "student-2": ALL, "lazy": 0}
    assert not any(done.known for done in first)
    assert all(done.verdict["student"] == done.job.student for done in first)

    renamed = Job("twin", unit, submission(last="x = 1"), limits=QUICK, repairs=("The file was renamed.",))
    again = list(examine_all([*jobs(unit, 3), renamed], workers=2, store=store))
    assert all(done.known for done in again)
    assert again[-1].verdict["student"] == "twin"
    assert again[-1].verdict["repairs"] == ["The file was renamed."]
    assert again[0].executed == next(done.executed for done in first if done.job.student == "student-0")


def test_submissions_are_taken_as_workers_become_free(unit: UnitFiles) -> None:
    taken = []

    def slowly() -> Iterator[Job]:
        for job in jobs(unit, 4):
            taken.append(job.student)
            yield job

    running = examine_all(slowly(), workers=1)
    next(running)
    assert len(taken) <= 2
    running.close()


def test_a_worker_that_dies_costs_nobody_a_point(unit: UnitFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = []
    collect = pool.LocalCrew.collect

    def collect_after_a_kill(crew: pool.LocalCrew) -> list:
        if not killed:
            worker = crew.busy()[0]
            killed.append(worker.process.pid)
            os.kill(worker.process.pid or 0, signal.SIGKILL)
        return collect(crew)

    monkeypatch.setattr(pool.LocalCrew, "collect", collect_after_a_kill)
    done = list(examine_all(jobs(unit, 2), workers=1))
    assert killed
    assert [(one.verdict["status"], one.verdict["points"]) for one in done] == [("graded", ALL)] * 2


def test_what_kills_its_worker_twice_is_not_graded_and_not_zero(
    unit: UnitFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    killed = []
    collect = pool.LocalCrew.collect

    def kill_the_first_students(crew: pool.LocalCrew) -> list:
        for worker in crew.busy():
            its_task = worker.task is not None and worker.task.job.student == "student-0"
            if its_task and worker.process.pid not in killed:  # a death may take a while
                killed.append(worker.process.pid)
                os.kill(worker.process.pid or 0, signal.SIGKILL)
        return collect(crew)

    monkeypatch.setattr(pool.LocalCrew, "collect", kill_the_first_students)
    store = Store(tmp_path)
    done = {one.job.student: one.verdict for one in examine_all(jobs(unit, 2), workers=1, store=store)}
    assert len(killed) == 2
    assert done["student-0"]["status"] == "not_graded"
    assert done["student-0"]["points"] is None
    assert "died (signal 9)" in done["student-0"]["reason"]
    assert done["student-1"]["points"] == ALL
    assert len(list(store.keys())) == 1  # what was not graded is tried again next time


def test_a_worker_whose_files_are_closed_is_dead_even_before_it_can_be_waited_for(
    unit: UnitFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = pool.LocalCrew(1)
    try:
        crew.give(pool.Task(next(jobs(unit, 1))))
        worker = crew.busy()[0]
        os.kill(worker.process.pid, signal.SIGKILL)
        monkeypatch.setattr(worker.process, "poll", lambda: None)  # as it is while it dies
        started = time.monotonic()
        (_, answer), *_ = crew.collect()
        assert answer == pool.failure("the examining process died (signal 9)")
        assert time.monotonic() - started < 10
    finally:
        crew.stop()


def test_a_broken_test_file_is_not_graded_with_its_reason(unit: UnitFiles, tmp_path: Path) -> None:
    broken = make_unit(tmp_path / "broken")
    broken.hidden[0].write_text("raise RuntimeError('a bug of the author')", encoding="utf-8")
    done = list(examine_all(jobs(broken, 1), workers=1))
    assert done[0].verdict["status"] == "not_graded"
    assert "a bug of the author" in done[0].verdict["reason"]


def test_an_answer_that_is_no_verdict_on_this_job_is_a_failure_of_ours(unit: UnitFiles) -> None:
    first, second = jobs(unit, 2)
    with examine.Examiner() as examiner:
        answer = pool._examine(examiner, first)
    assert pool.accept(first, answer).verdict["points"] == ALL
    told = json.loads(answer)
    richer = copy.deepcopy(told)
    richer["verdict"]["points"] += 1
    hostile = {
        "of another submission": (second, answer),
        "points is": (first, json.dumps(richer).encode()),
        "no code is loaded": (first, pickle.dumps({"failed": "no code is loaded"})),
        "JSONDecodeError": (first, answer[:-1]),
        "KeyError": (first, json.dumps({"verdict": told["verdict"]}).encode()),
        "a reason": (first, pool.failure("a reason")),
    }
    for what, (job, sent) in hostile.items():
        with pytest.raises(pool.Failed, match=None if what == "no code is loaded" else what):
            pool.accept(job, sent)


def test_an_unknown_unit_or_no_worker_is_an_error_before_anything_starts(unit: UnitFiles) -> None:
    with pytest.raises(CourseError, match="can't be examined"):
        list(examine_all([Job("ada", "99_none", submission())], workers=1))
    with pytest.raises(CourseError, match="at least one worker"):
        list(examine_all(jobs(unit, 1), workers=0))


_RUN = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from miniature import QUICK, make_unit, submission
from course.grading.pool import Job, examine_all
from course.grading.store import Store

if __name__ == "__main__":
    unit = make_unit(Path({unit!r}))
    jobs = [Job(f"s{{n}}", unit, submission(last=f"x = {{n}}"), limits=QUICK) for n in range(30)]
    try:
        for done in examine_all(jobs, workers=2, store=Store(Path({store!r}))):
            print(done.job.student, flush=True)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


def children_of(parent: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            child = int(stat.parent.name)
            found |= {child} | children_of(child)
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_keeps_what_was_finished_and_leaves_no_process(how: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    places = {"folder": str(Path(__file__).parent), "unit": str(tmp_path / "unit"), "store": str(tmp_path / "store")}
    script.write_text(_RUN.format(**places))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True) as run:
        assert run.stdout is not None
        finished = [run.stdout.readline().strip() for _ in range(2)]
        below = children_of(run.pid)
        assert below
        if how is signal.SIGINT:
            os.killpg(run.pid, how)  # as a terminal does it: to all of them
        else:
            os.kill(run.pid, how)
        rest = run.stdout.read()
    kept = Store(tmp_path / "store")
    assert len(list(kept.keys())) >= len(finished)
    assert all(kept.get(key) is not None for key in kept.keys())  # noqa: SIM118
    assert ("stopped" in rest) == (how is signal.SIGINT)
    deadline = time.monotonic() + 20
    while any(_runs(process) for process in below) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [process for process in below if _runs(process)]


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
