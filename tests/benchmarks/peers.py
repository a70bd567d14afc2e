"""Measure a peer from PyPI in an environment of its own, beside ours, in one run.

Each peer has a dependency group in pyproject.toml (`peer-qnorm`, …) that nobody installs by default. `measure_peer`
writes the arrays to files, starts this file in the peer's environment, and reads back what the peer returned and how
long it took:

    from tests.benchmarks.peers import measure, measure_peer, peak_bytes

    ours = measure(lambda: tmm_factors(counts))
    theirs = measure_peer("rnanorm", "tmm", counts=counts)
    ours.seconds, theirs.seconds, theirs.result["factors"]

Both sides count in the same way: CPU seconds of the process around the call alone (no import, no reading of files), one
thread, the least of a few repetitions. So a ratio of the two depends little on what else the machine does.

A new peer: a group `peer-NAME` in pyproject.toml, and at the end of this file a function `NAME_task(**arrays)` that
imports the peer, makes what the call needs, and returns the call and how its result becomes arrays.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = dict.fromkeys(
    (f"{library}_NUM_THREADS" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "BLIS")), "1"
)
Arrays = dict[str, np.ndarray]
Task = tuple[Callable[[], Any], Callable[[Any], Arrays]]


class PeerError(RuntimeError):
    """The peer's environment could not be made, or the peer failed; the message ends with what it said."""


@dataclass(frozen=True)
class Measured:
    """CPU seconds of the fastest repetition, and what the call returned."""

    seconds: float
    result: Any


# ---------------------------------------------------------------- our side


def measure(call: Callable[[], Any], *, repetitions: int = 3) -> Measured:
    """Seconds and result of a call in this process, on one thread."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return _fastest(call, repetitions)


def measure_peer(peer: str, task: str, *, repetitions: int = 3, **arrays: np.ndarray) -> Measured:
    """Seconds and result (arrays by name) of a task of a peer, run in the environment of the group `peer-<peer>`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, array in arrays.items():
            np.save(folder / f"in_{label}.npy", array)
        command = ["uv", "run", "--quiet", "--isolated", "--project", str(ROOT), "--only-group", f"peer-{peer}"]
        command += ["python", str(Path(__file__).resolve()), f"{peer}_{task}", str(folder), str(repetitions)]
        finished = subprocess.run(command, env=_clean_environment(), capture_output=True, text=True, cwd=folder)
        if finished.returncode != 0:
            raise PeerError(f"{peer}, task {task!r}, in its own environment:\n{finished.stderr.strip()[-3000:]}")
        seconds = json.loads((folder / "seconds.json").read_text(encoding="utf-8"))
        return Measured(seconds, dict(_arrays_in(folder, "out_")))


def peak_bytes(call: Callable[[], Any]) -> int:
    """Most memory that a call holds at one time beyond its input, its result included, as tracemalloc counts it.

    >>> 8e6 <= peak_bytes(lambda: np.zeros(1_000_000).sum()) < 9e6
    True
    """
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _clean_environment() -> dict[str, str]:
    """What the peer's process inherits: nothing that leads it to our packages, and one thread."""
    ours = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    return {name: value for name, value in os.environ.items() if name not in ours} | ONE_THREAD


# ---------------------------------------------------------------- both sides


def _fastest(call: Callable[[], Any], repetitions: int) -> Measured:
    """The first repetition also fills caches and imports what is imported late; the least time counts."""
    fastest, result = np.inf, None
    for _ in range(repetitions):
        result = None  # so that two results never fill the memory
        start = _cpu_seconds()
        result = call()
        fastest = min(fastest, _cpu_seconds() - start)
    return Measured(float(fastest), result)


def _cpu_seconds() -> float:
    """User and system time of this process, all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _arrays_in(folder: Path, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    for file in sorted(folder.glob(f"{prefix}*.npy")):
        yield file.stem.removeprefix(prefix), np.load(file)


# ---------------------------------------------------------------- the peer's side


def rnanorm_tmm(counts: np.ndarray) -> Task:
    """TMM factors as rnanorm gives them: it wants `fit`, then the factors."""
    from rnanorm import TMM

    return lambda: TMM().fit(counts).get_norm_factors(counts), lambda factors: {"factors": factors}


def rnanorm_tmm_fit(counts: np.ndarray) -> Task:
    """`fit` alone: it computes all factors once, to learn their mean, and keeps only that."""
    from rnanorm import TMM

    return lambda: TMM().fit(counts), lambda model: {"geometric_mean": np.array(model.geometric_mean_)}


def qnorm_quantile_normalize(x: np.ndarray) -> Task:
    """Samples in rows, as ours are: the layout that qnorm likes best, for it copies them to rows anyhow."""
    from qnorm import quantile_normalize

    return lambda: quantile_normalize(x, axis=0, ncpus=1), lambda normalized: {"normalized": normalized}


def inmoose_combat(x: np.ndarray, batch: np.ndarray) -> Task:
    """Parametric ComBat without covariates; inmoose has features in rows, and the frame is made before the clock."""
    import pandas as pd
    from inmoose.pycombat import pycombat_norm

    frame = pd.DataFrame(np.ascontiguousarray(x.T))
    return lambda: pycombat_norm(frame, batch.tolist()), lambda corrected: {"corrected": np.asarray(corrected).T}


def main(name: str, folder: Path, repetitions: int) -> None:
    """In the peer's environment: read the arrays, measure the task, write seconds and result."""
    call, to_arrays = globals()[name](**dict(_arrays_in(folder, "in_")))
    measured = _fastest(call, repetitions)
    for label, array in to_arrays(measured.result).items():
        np.save(folder / f"out_{label}.npy", array)
    (folder / "seconds.json").write_text(json.dumps(measured.seconds), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
