"""How long do chained equations take, m = 20 on 500 samples × 30 features?

`mice` (Bayesian linear regression, 10 iterations) beside scikit-learn's IterativeImputer with the same model
(BayesianRidge, sample_posterior, 10 iterations, run 20 times with other seeds), both in this process, one BLAS thread:
CPU seconds, and how near the filled values come.

    uv run python tests/benchmarks/benchmark_mice.py          # about a minute; exit code 1 above the target
    uv run pytest tests/benchmarks/benchmark_mice.py          # the same as a test

What is compared, and why, stands in tests/benchmarks/README.md.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.linear_model import BayesianRidge
from threadpoolctl import threadpool_limits

from reference_impl.missing import amputate, mice

N_SAMPLES, N_FEATURES, RATE = 500, 30, 0.2
M, ITERATIONS = 20, 10
MOST_SECONDS = 20.0


def gapped_table() -> tuple[np.ndarray, np.ndarray]:
    """Features that share four factors, complete, and with gaps in every column."""
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(N_SAMPLES, 4))
    complete = factors @ rng.normal(size=(4, N_FEATURES)) + rng.normal(size=(N_SAMPLES, N_FEATURES))
    return complete, amputate(complete, "MCAR", RATE, rng=rng)


def with_scikit_learn(x: np.ndarray) -> list[np.ndarray]:
    """The same number of imputations and iterations by scikit-learn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # draws never stop changing
        return [
            IterativeImputer(BayesianRidge(), sample_posterior=True, max_iter=ITERATIONS, random_state=j).fit_transform(
                x
            )
            for j in range(M)
        ]


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def measure() -> dict[str, float]:
    """CPU seconds of both, and how far the filled values lie from the true ones (root mean square of the mean draw)."""
    complete, x = gapped_table()
    gaps = np.isnan(x)
    with threadpool_limits(limits=1):
        ours, tables = cpu_seconds(lambda: mice(x, m=M, n_iterations=ITERATIONS, rng=np.random.default_rng(2)))
        theirs, peers = cpu_seconds(lambda: with_scikit_learn(x))

    def error(found: list[np.ndarray]) -> float:
        return float(np.sqrt(np.mean((np.mean(found, axis=0)[gaps] - complete[gaps]) ** 2)))

    return {"mice": ours, "scikit-learn": theirs, "mice_error": error(tables), "scikit_learn_error": error(peers)}


@pytest.mark.benchmark
def test_twenty_imputations_are_quick_and_as_good() -> None:
    found = measure()
    assert found["mice"] < MOST_SECONDS, found
    assert found["mice"] < found["scikit-learn"], found
    assert found["mice_error"] < 1.05 * found["scikit_learn_error"], found  # draws of both differ by about a per cent


def main() -> int:
    found = measure()
    print("                 CPU s    error of the mean draw")
    print(f"mice          {found['mice']:8.2f}    {found['mice_error']:.3f}")
    print(f"scikit-learn  {found['scikit-learn']:8.2f}    {found['scikit_learn_error']:.3f}")
    print(f"scikit-learn needs {found['scikit-learn'] / found['mice']:.1f} times the CPU")
    return int(found["mice"] >= MOST_SECONDS or found["mice"] >= found["scikit-learn"])


if __name__ == "__main__":
    sys.exit(main())
