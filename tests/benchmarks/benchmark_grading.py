"""Submissions per minute: stock `nbgrader autograde` and ours with the sandbox on, the same notebooks, one run.

    uv run python tests/benchmarks/benchmark_grading.py [--stock 16] [--ours 200] [--workers 2]

Stock nbgrader executes the notebook with its tests in it, as a course of its own; ours examines the same answers with
the same tests as pytest functions, keeps the verdict, and writes the notebook for formgrader and the feedback page.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import nbformat  # noqa: E402
import psutil  # noqa: E402

from course.grading import examine, feedback, kernel, sandbox  # noqa: E402
from course.grading.pool import Job, examine_all  # noqa: E402
from course.grading.store import Store  # noqa: E402
from tests.course.attacks import unit  # noqa: E402
from tests.course.attacks.running import hand_in  # noqa: E402
from tests.course.attacks.stock import StockCourse  # noqa: E402
from tests.course.kernel_python import VARIABLE, readable_python  # noqa: E402

TARGET = 10.0


def submission(number: int) -> Any:
    """Honest work, no two the same."""
    notebook = unit.submission({})
    notebook.cells.append(nbformat.v4.new_code_cell(f"mine = {number}"))
    return notebook


def processor_seconds() -> float:
    """Of the whole machine, which should be idle: a kernel that ends with its namespace hands nothing on."""
    used = psutil.cpu_times()
    return used.user + used.system


@dataclass
class Measured:
    """Seconds per submission: by the clock, once the first one was finished, and of the processors."""

    whole: float
    steady: float
    processor: float
    start: float


def stock(folder: Path, count: int) -> Measured:
    """`nbgrader autograde`, all students in one command."""
    course = StockCourse(folder / "stock")
    for number in range(count):
        hand_in(course.folder / "submitted" / f"s{number}" / unit.UNIT, submission(number), {})
    started, used = time.perf_counter(), processor_seconds()
    course.nbgrader("autograde", unit.UNIT, seconds=3600)
    seconds = (time.perf_counter() - started) / count
    assert all(course.points(f"s{number}") == unit.FULL for number in range(count))
    return Measured(seconds, seconds, (processor_seconds() - used) / count, 0.0)


def jobs(files: examine.UnitFiles, count: int) -> Iterator[Job]:
    """The same submissions for us."""
    for number in range(count):
        yield Job(f"s{number}", files, submission(number), limits=unit.QUICK)


def ours(folder: Path, count: int, workers: int) -> Measured:
    """Our workers, their start counted."""
    files = unit.make_unit(folder / "tests")
    started, used, first = time.perf_counter(), processor_seconds(), 0.0
    for done in examine_all(jobs(files, count), workers=workers, store=Store(folder / "store")):
        first = first or time.perf_counter()
        assert done.verdict["points"] == sum(unit.FULL.values()), done.verdict
        feedback.page(done.verdict, cells=done.job.notebook["cells"])
    ended = time.perf_counter()
    steady = (ended - first) / max(1, count - 1)
    return Measured((ended - started) / count, steady, (processor_seconds() - used) / count, first - started)


class Parts:
    """Seconds spent in parts of one submission's way."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def counted(self, name: str, owner: Any, method: str) -> Iterator[None]:
        """Count the time within a function while this lasts."""
        original: Callable[..., Any] = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - started

        with mock.patch.object(owner, method, timed):
            yield


def parts(folder: Path, count: int) -> dict[str, float]:
    """Milliseconds per submission by part, one at a time in this process."""
    found = Parts()
    files = unit.make_unit(folder / "tests")
    store = Store(folder / "store")
    with (
        examine.Examiner() as examiner,
        found.counted("kernel: fork and seal", kernel.Kernel, "_start"),
        found.counted("kernel: ready", kernel.Kernel, "wait_ready"),
        found.counted("kernel: end", kernel.Kernel, "close"),
        found.counted("cells", kernel.Kernel, "run_cell"),
        found.counted("calls of proxies", kernel.Kernel, "ask"),
        found.counted("examination, with all of these", examine.Examiner, "examine"),
    ):
        for number in range(count + 1):
            if number == 1:  # the first one starts the warm parent and collects the tests
                found.seconds.clear()
            done = examiner.examine(submission(number), unit=files, limits=unit.QUICK)
            started = time.perf_counter()
            store.put(f"{number:064d}", {"verdict": done.verdict, "executed": done.executed})
            found.seconds["store"] += time.perf_counter() - started
            started = time.perf_counter()
            feedback.page(done.verdict, cells=done.executed["cells"])
            found.seconds["feedback"] += time.perf_counter() - started
    return {name: 1000 * seconds / count for name, seconds in found.seconds.items()}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 where the target is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stock", type=int, default=16)
    parser.add_argument("--ours", type=int, default=200)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args(arguments)
    python = readable_python()
    if python is not None:
        os.environ[VARIABLE] = str(python)
    isolation = sandbox.chosen()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        our = ours(place, asked.ours, asked.workers)
        theirs = stock(place, asked.stock)
        by_part = parts(place / "parts", min(asked.ours, 30))
    print(f"one notebook whose cells take no time; {asked.workers} workers; isolation: {isolation.key}")
    ratio = theirs.whole / our.whole
    print(f"  stock nbgrader autograde {60 / theirs.whole:8.1f} submissions per minute ({asked.stock})")
    print(f"  ours, start counted      {60 / our.whole:8.1f} submissions per minute ({asked.ours})")
    print(f"  ours, once started       {60 / our.steady:8.1f} submissions per minute; first after {our.start:.1f} s")
    print(f"  ratio                    {ratio:8.1f} ({theirs.whole / our.steady:.1f} once started; target {TARGET:g})")
    each = f"stock {theirs.processor:.2f} s, ours {our.processor:.2f} s per submission, start counted"
    print(f"  processor time           {theirs.processor / our.processor:8.1f} times less ({each})")
    for name, milliseconds in by_part.items():
        print(f"    {name:<32} {milliseconds:7.1f} ms per submission")
    return int(ratio < TARGET)


if __name__ == "__main__":
    raise SystemExit(main())
