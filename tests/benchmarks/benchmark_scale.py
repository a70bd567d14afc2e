"""2,000 small submissions in one run: the time is linear in their number, and the memory flat.

    uv run python tests/benchmarks/benchmark_scale.py [--count 2000] [--workers 2] [--figure course/figures/scale.png]

The notebook of the attack suite, no two submissions the same, examined in the sandbox; each verdict is kept and its
feedback page made. Memory is that of this process and all that it started, shared pages counted once (PSS).
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import psutil  # noqa: E402

from course.grading import feedback, sandbox  # noqa: E402
from course.grading.pool import examine_all  # noqa: E402
from course.grading.store import Store  # noqa: E402
from tests.benchmarks.benchmark_grading import jobs, processor_seconds  # noqa: E402
from tests.course.attacks import unit  # noqa: E402
from tests.course.kernel_python import VARIABLE, readable_python  # noqa: E402

FLAT = 1.15  # of the second half's median memory to the first half's
LINEAR = 0.999  # least squared correlation of time and number


def memory() -> float:
    """MiB of this process and all below it."""
    total = 0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it has ended meanwhile
    return total / 2**20


def measure(folder: Path, count: int, workers: int) -> np.ndarray:
    """Rows of how many were finished, seconds since the start, and MiB; one row per hundredth of the run."""
    files = unit.make_unit(folder / "tests")
    rows, started = [(0, 0.0, memory())], time.perf_counter()
    step = max(1, count // 100)
    results = examine_all(jobs(files, count), workers=workers, store=Store(folder / "store"))
    for finished, done in enumerate(results, 1):
        assert done.verdict["points"] == sum(unit.FULL.values()), done.verdict
        feedback.page(done.verdict, cells=done.job.notebook["cells"])
        if finished % step == 0:
            rows.append((finished, time.perf_counter() - started, memory()))
    return np.array(rows)


def draw(rows: np.ndarray, file: Path) -> None:
    """Time and memory against the number of submissions."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    number, seconds, mib = rows.T
    figure, (above, below) = plt.subplots(2, 1, figsize=(6.4, 4.6), sharex=True, layout="constrained")
    above.plot(number[1:], seconds[1:], color="#0072B2")
    slope, start = np.polyfit(number[1:], seconds[1:], 1)
    above.plot(number, start + slope * number, color="#D55E00", linestyle="--", linewidth=1)
    above.set_ylabel("time (s)")
    above.legend(["measured", f"line: {start:.0f} s + {1000 * slope:.0f} ms per submission"], frameon=False)
    below.plot(number[1:], mib[1:], color="#009E73")
    below.set_ylim(0)
    below.set_ylabel("memory, all processes (MiB)")
    below.set_xlabel("submissions graded")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, draw; 1 where time is not linear or memory not flat."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--figure", type=Path)
    asked = parser.parse_args(arguments)
    python = readable_python()
    if python is not None:
        os.environ[VARIABLE] = str(python)
    isolation = sandbox.chosen()
    used = processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), asked.count, asked.workers)
    used = processor_seconds() - used
    number, seconds, mib = rows[1:].T
    linear = float(np.corrcoef(number, seconds)[0, 1] ** 2)
    half = len(mib) // 2
    flat = float(np.median(mib[half:]) / np.median(mib[:half]))
    print(f"{asked.count} submissions, {asked.workers} workers, isolation: {isolation.key}")
    pace = 60 * asked.count / seconds[-1]
    print(f"  {seconds[-1]:.0f} s, {pace:.0f} per minute; {used / asked.count:.3f} s of processor time each")
    print(f"  time against number: squared correlation {linear:.5f} (at least {LINEAR})")
    print(
        f"  memory: {np.median(mib[:half]):.0f} MiB in the first half, {np.median(mib[half:]):.0f} in the second, ",
        end="",
    )
    print(f"at most {mib.max():.0f}; ratio {flat:.3f} (at most {FLAT})")
    if asked.figure is not None:
        draw(rows, asked.figure)
    return int(linear < LINEAR or flat > FLAT)


if __name__ == "__main__":
    raise SystemExit(main())
