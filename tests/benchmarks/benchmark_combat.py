"""ComBat beside inmoose at 500 samples × 20,000 features, one core: CPU, memory, and that both do the same.

    uv run python tests/benchmarks/benchmark_combat.py     # about 2 minutes; exit code 1 below the targets
    uv run pytest tests/benchmarks/benchmark_combat.py     # the same as a test

What is compared, and why, stands in tests/benchmarks/README.md.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reference_impl.batch import combat
from tests.benchmarks.peers import measure, measure_peer, peak_bytes

N_SAMPLES, N_FEATURES, N_BATCHES = 500, 20_000, 5
LEAST_SAVING = 3.0  # times less CPU than the peer
MOST_MEMORY = 3.0  # peak, in multiples of the input, the input itself counted
# inmoose divides by n where sva divides by n − 1. With 100 samples in a batch and 20,000 features that moves a value by
# less than this; with small batches it moves it by up to 0.3, so nothing is compared there.
TOLERANCE = 0.05


def study() -> tuple[np.ndarray, np.ndarray]:
    """Log expression in batches of equal size that shift and scale every feature."""
    rng = np.random.default_rng(0)
    codes = np.arange(N_SAMPLES) % N_BATCHES
    scales, shifts = np.exp(rng.normal(0, 0.2, (N_BATCHES, N_FEATURES))), rng.normal(0, 0.5, (N_BATCHES, N_FEATURES))
    x = rng.normal(size=(N_SAMPLES, N_FEATURES)) * scales[codes] + shifts[codes]
    return x + rng.normal(8, 2, N_FEATURES), codes


def measure_both() -> dict[str, float]:
    """CPU seconds of both, how far the results differ, and the peaks of our memory in multiples of the input."""
    x, codes = study()
    covariates = np.random.default_rng(1).normal(size=(N_SAMPLES, 2))
    table = pd.DataFrame(x)
    ours, theirs = measure(lambda: combat(x, codes)), measure_peer("inmoose", "combat", x=x, batch=codes)
    return {
        "our seconds": ours.seconds,
        "peer seconds": theirs.seconds,
        "saving": theirs.seconds / ours.seconds,
        "difference": float(np.abs(ours.result - theirs.result["corrected"]).max()),
        "memory, array": 1 + peak_bytes(lambda: combat(x, codes)) / x.nbytes,
        "memory, two covariates": 1 + peak_bytes(lambda: combat(x, codes, covariates=covariates)) / x.nbytes,
        "memory, table": 1 + peak_bytes(lambda: combat(table, codes)) / x.nbytes,
    }


def misses(found: dict[str, float]) -> list[str]:
    """Which of the targets were missed."""
    missed = []
    if found["saving"] < LEAST_SAVING:
        missed.append(f"combat saves only {found['saving']:.2f}×, less than {LEAST_SAVING}×")
    if found["difference"] > TOLERANCE:
        missed.append(f"combat differs from inmoose by {found['difference']:.2g}, more than the divisors explain")
    missed += [
        f"{name}: {times:.2f} times the input, not below {MOST_MEMORY}"
        for name, times in found.items()
        if name.startswith("memory") and times >= MOST_MEMORY
    ]
    return missed


@pytest.mark.benchmark
def test_no_slower_than_the_peer() -> None:
    found = measure_both()
    assert not misses(found), found


def main() -> int:
    found = measure_both()
    for name, value in found.items():
        print(f"{name:<24}{value:8.3f}")
    missed = misses(found)
    print("\n".join(missed) or "every target met")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
