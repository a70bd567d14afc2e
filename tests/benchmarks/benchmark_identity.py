"""Time of all pairs of 500 × 500 samples on 1,000 sites, one thread: python tests/benchmarks/benchmark_identity.py"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from collections.abc import Callable

import numpy as np

from reference_impl.identity import assign_samples, genotype_concordance, king_kinship

LIMIT_SECONDS = 2.0
N_SAMPLES, N_SITES = 500, 1000


def measure(task: Callable[[], object]) -> tuple[float, float]:
    """Processor seconds and wall seconds of one run."""
    cpu, wall = time.process_time(), time.perf_counter()
    task()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> int:
    rng = np.random.default_rng(0)
    frequency = rng.uniform(0.1, 0.5, N_SITES)
    dosage = rng.binomial(2, frequency, (N_SAMPLES, N_SITES)).astype(float)
    first, second = (np.where(rng.random(dosage.shape) < 0.02, np.nan, dosage) for _ in range(2))
    concordance, _ = genotype_concordance(first, second)
    tasks: dict[str, Callable[[], object]] = {
        "genotype_concordance": lambda: genotype_concordance(first, second),
        "genotype_concordance, non-reference": lambda: genotype_concordance(first, second, non_reference=True),
        "king_kinship": lambda: king_kinship(first, second),
        "assign_samples": lambda: assign_samples(concordance),
    }
    print(f"{N_SAMPLES} × {N_SAMPLES} samples, {N_SITES} sites, one thread; limit {LIMIT_SECONDS} s of processor time")
    too_slow = []
    for name, task in tasks.items():
        cpu, wall = measure(task)
        print(f"  {name:<36} {cpu:6.3f} s processor {wall:6.3f} s wall")
        if cpu > LIMIT_SECONDS:
            too_slow.append(name)
    print("too slow: " + ", ".join(too_slow) if too_slow else "all within the limit")
    return int(bool(too_slow))


if __name__ == "__main__":
    raise SystemExit(main())
