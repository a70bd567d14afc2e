"""Joint NMF beside scikit-learn's on the layers side by side: multiplicative updates and HALS, one core.

    uv run python tests/benchmarks/benchmark_nmf.py     # about a minute; exit code 1 below the targets
    uv run pytest tests/benchmarks/benchmark_nmf.py     # the same as a test

What is compared, and why, stands in tests/benchmarks/README.md.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

from reference_impl.integration.jnmf import joint_nmf, objective
from tests.benchmarks.peers import measure

N_SAMPLES, WIDTHS, RANK = 500, (1000, 3000, 2000), 10
ITERATIONS = 200
SEEDS = range(3)
MOST_TIME = 1.0  # of scikit-learn's time per iteration


def study() -> list[np.ndarray]:
    """Non-negative layers of known parts, with noise."""
    rng = np.random.default_rng(0)
    h = rng.gamma(0.5, size=(N_SAMPLES, RANK))
    return [
        np.maximum(h @ rng.gamma(0.3, size=(RANK, width)) + 0.3 * rng.normal(size=(N_SAMPLES, width)), 0.0)
        for width in WIDTHS
    ]


def ours(layers: list[np.ndarray], solver: str, iterations: int, seed: int = 0) -> Any:
    """So many iterations from one start; a tolerance of 0 never stops before."""
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        return joint_nmf(
            layers, RANK, rng=np.random.default_rng(seed), solver=solver, n_starts=1, max_iterations=iterations,
            tolerance=0.0,
        )  # fmt: skip


def scikit_learn(x: np.ndarray, solver: str, iterations: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The same of the stacked matrix. With tol=0 it neither stops before, nor computes the error on its way."""
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        h, w, _ = non_negative_factorization(
            x, n_components=RANK, init="random", solver=solver, tol=0, max_iter=iterations, random_state=seed
        )
    return h, w


def measure_all() -> dict[str, float]:
    """CPU seconds per iteration, and the objectives that are reached in the same time."""
    layers = study()
    x = np.hstack(layers)
    total = float((x**2).sum())
    mine = measure(lambda: ours(layers, "mu", ITERATIONS))
    theirs = measure(lambda: scikit_learn(x, "mu", ITERATIONS))
    again = measure(lambda: ours(layers, "mu", ITERATIONS))
    seconds = min(mine.seconds, again.seconds)
    hals = measure(lambda: ours(layers, "hals", 50))
    affordable = int(50 * seconds / hals.seconds)  # HALS iterations in the time of all multiplicative ones
    by_updates = [ours(layers, "mu", ITERATIONS, seed).objective / total for seed in SEEDS]
    by_scikit_learn = [_error(x, *scikit_learn(x, "mu", ITERATIONS, seed)) / total for seed in SEEDS]
    by_hals = [ours(layers, "hals", affordable, seed).objective / total for seed in SEEDS]
    return {
        "multiplicative, our ms per iteration": 1e3 * seconds / ITERATIONS,
        "multiplicative, scikit-learn's ms": 1e3 * theirs.seconds / ITERATIONS,
        "time": seconds / theirs.seconds,
        "HALS, ms per iteration": 1e3 * hals.seconds / 50,
        "HALS iterations in the same time": affordable,
        "objective, multiplicative": float(np.max(by_updates)),
        "objective, scikit-learn multiplicative": float(np.max(by_scikit_learn)),
        "objective, HALS": float(np.max(by_hals)),
        "least gain by HALS": float(np.min(np.minimum(by_updates, by_scikit_learn) - np.array(by_hals))),
    }


def _error(x: np.ndarray, h: np.ndarray, w: np.ndarray) -> float:
    return objective([x], h, [w.T])


def misses(found: dict[str, float]) -> list[str]:
    """Which of the targets were missed."""
    missed = []
    if found["time"] > MOST_TIME:
        missed.append(f"a multiplicative iteration takes {found['time']:.2f} of scikit-learn's time")
    if found["least gain by HALS"] <= 0:
        missed.append("HALS does not reach a lower objective in the same time")
    return missed


@pytest.mark.benchmark
def test_no_slower_than_scikit_learn() -> None:
    found = measure_all()
    assert not misses(found), found


def main() -> int:
    found = measure_all()
    for name, value in found.items():
        print(f"{name:<42}{value:10.4f}")
    missed = misses(found)
    print("\n".join(missed) or "every target met")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
