"""TMM beside rnanorm and quantile normalisation beside qnorm, at 500 samples × 20,000 genes, one core.

    uv run python tests/benchmarks/benchmark_normalization.py     # about 2 minutes; exit code 1 below the targets
    uv run pytest tests/benchmarks/benchmark_normalization.py     # the same as a test

Compared are CPU seconds, and that both give the same numbers; of ours also the peak of memory, input included. What is
compared, and why, stands in tests/benchmarks/README.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from reference_impl.normalization import quantile_normalize, tmm_factors
from tests.benchmarks.peers import measure, measure_peer, peak_bytes

N_SAMPLES, N_GENES = 500, 20_000
MOST_MEMORY = 3.0  # peak, in multiples of the input, the input itself counted


@dataclass(frozen=True)
class Comparison:
    """One function beside its peer."""

    ours: Callable[[np.ndarray], np.ndarray]
    peer: str
    task: str
    argument: str
    result: str
    least_saving: float  # times less CPU than the peer
    tolerance: float  # between the results


COMPARISONS = {
    # Of whole counts many have one abundance A; rnanorm adds up A in another order, and rounding breaks its ties.
    "tmm_factors": Comparison(tmm_factors, "rnanorm", "tmm", "counts", "factors", 3.0, 1e-3),
    # Sums in another order.
    "quantile_normalize": Comparison(quantile_normalize, "qnorm", "quantile_normalize", "x", "normalized", 1.0, 1e-10),
}


def simulated_counts(rng: np.random.Generator) -> np.ndarray:
    """Negative-binomial counts of a sequencing study: genes over five orders of magnitude, depth varying."""
    abundance = np.exp(rng.normal(4.0, 2.0, N_GENES))
    depth = np.exp(rng.normal(0.0, 0.3, (N_SAMPLES, 1)))
    return rng.poisson(rng.gamma(3.0, abundance * depth / 3.0)).astype(float)


def measure_both(name: str) -> dict[str, float]:
    """CPU seconds of both, how far the results differ, and the peak of our memory in multiples of the input."""
    case = COMPARISONS[name]
    x = simulated_counts(np.random.default_rng(4))
    if case.argument == "x":
        x = np.log2(x + np.random.default_rng(5).uniform(0.5, 1.5, x.shape))  # without ties, where peers agree
    ours = measure(lambda: case.ours(x), repetitions=5)
    theirs = measure_peer(case.peer, case.task, repetitions=3 if case.least_saving > 1 else 5, **{case.argument: x})
    return {
        "our seconds": ours.seconds,
        "peer seconds": theirs.seconds,
        "saving": theirs.seconds / ours.seconds,
        "difference": float(np.abs(ours.result - theirs.result[case.result]).max()),
        "memory": 1 + peak_bytes(lambda: case.ours(x)) / x.nbytes,
    }


def misses(name: str, found: dict[str, float]) -> list[str]:
    """Which of the targets were missed."""
    missed = []
    if found["saving"] < COMPARISONS[name].least_saving:
        missed.append(f"{name} saves only {found['saving']:.2f}×, less than {COMPARISONS[name].least_saving}×")
    if found["memory"] >= MOST_MEMORY:
        missed.append(f"{name} needs {found['memory']:.2f} times its input, not below {MOST_MEMORY}")
    if found["difference"] > COMPARISONS[name].tolerance:
        missed.append(f"{name} differs from {COMPARISONS[name].peer} by {found['difference']:.2g}")
    return missed


@pytest.mark.benchmark
@pytest.mark.parametrize("name", COMPARISONS)
def test_no_slower_than_the_peer(name: str) -> None:
    found = measure_both(name)
    assert not misses(name, found), found


def main() -> int:
    print(f"{N_SAMPLES} samples × {N_GENES} genes, one thread")
    print("                      peer       peer CPU s   our CPU s   saving   peak / input   difference")
    missed = []
    for name, case in COMPARISONS.items():
        found = measure_both(name)
        seconds = f"{found['peer seconds']:11.2f}   {found['our seconds']:9.2f}   {found['saving']:5.2f}×"
        print(f"{name:<20}  {case.peer:<8} {seconds}   {found['memory']:12.2f}   {found['difference']:10.1e}")
        missed += misses(name, found)
    print("\n".join(missed) if missed else "targets reached")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
