"""Sparse CCA beside cca-zoo, and regularised CCA through the Gram matrix beside the covariance way, one core.

    uv run python tests/benchmarks/benchmark_cca.py     # about 3 minutes; exit code 1 below the targets
    uv run pytest tests/benchmarks/benchmark_cca.py     # the same as a test

What is compared, and why, stands in tests/benchmarks/README.md.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import cholesky, solve_triangular, svd

from reference_impl.integration.cca import regularized_cca, sparse_cca
from tests.benchmarks.peers import measure, measure_peer

SIZES = {"small": (200, 2000), "large": (500, 10_000)}  # samples, and features of each layer, for sparse CCA
BOUND = 0.3  # c_x and c_y
# cca-zoo stops where the weights move by less than `tol`: its default, and about what we ask for.
TOLERANCES = {"default": 1e-6, "as strict": 1e-10}
MOST_WORSE = 1e-6  # share by which our uᵀXᵀY v may lie below theirs
N_SAMPLES, WIDTH, RIDGE = 200, 2000, 10.0  # regularised CCA
LEAST_SAVING = 20.0  # times less CPU than p × p
TOLERANCE = 1e-8  # of both ways' correlations


def study(n: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Two standardised layers that share two signals, each in fifty features of both."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, n, width))
    for part in (slice(0, 50), slice(50, 100)):
        signal = rng.normal(size=(n, 1))
        x[:, part] += signal * (2.0 if part.start == 0 else 1.0)
        y[:, part] += signal * (2.0 if part.start == 0 else 1.0)
    return tuple((table - table.mean(axis=0)) / table.std(axis=0, ddof=1) for table in (x, y))  # type: ignore[return-value]


def through_covariances(x: np.ndarray, y: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regularised CCA as its formula reads: whiten both p × p covariances, then singular vectors of what is left."""
    n = len(x)
    lower_x = cholesky(x.T @ x / (n - 1) + RIDGE * np.eye(x.shape[1]), lower=True)
    lower_y = cholesky(y.T @ y / (n - 1) + RIDGE * np.eye(y.shape[1]), lower=True)
    half = solve_triangular(lower_x, x.T @ y / (n - 1), lower=True)
    left, values, right = svd(solve_triangular(lower_y, half.T, lower=True).T, full_matrices=False)
    u = solve_triangular(lower_x, left[:, :n_components], lower=True, trans="T")
    return u, solve_triangular(lower_y, right[:n_components].T, lower=True, trans="T"), values[:n_components]


def measure_sparse() -> dict[str, float]:
    """CPU seconds of both for the first component, and by which share our objective is worse."""
    found = {}
    for size, (n, width) in SIZES.items():
        x, y = study(n, width)
        ours = measure(lambda x=x, y=y: sparse_cca(x, y, 1, c_x=BOUND, c_y=BOUND))
        found[f"sparse, {size}: our seconds"] = ours.seconds
        for how, tolerance in TOLERANCES.items():
            bounds = {"bounds": np.full(2, BOUND), "tolerance": np.array(tolerance)}
            theirs = measure_peer("cca-zoo", "pmd", x=x, y=y, **bounds)
            reached = (x @ theirs.result["u"]) @ (y @ theirs.result["v"])
            found[f"sparse, {size}: cca-zoo's seconds, {how}"] = theirs.seconds
            found[f"sparse, {size}: saving, {how}"] = theirs.seconds / ours.seconds
            found[f"sparse, {size}: worse by, {how}"] = float(1 - ours.result.objective[0] / reached)
    return found


def measure_regularized() -> dict[str, float]:
    """CPU seconds of both ways, and by how much their results differ."""
    x, y = study(N_SAMPLES, WIDTH)
    ours = measure(lambda: regularized_cca(x, y, 3, ridge_x=RIDGE, ridge_y=RIDGE))
    theirs = measure(lambda: through_covariances(x, y, 3), repetitions=1)
    u, _, values = theirs.result
    return {
        "regularised: our seconds": ours.seconds,
        "regularised: p × p seconds": theirs.seconds,
        "regularised: saving": theirs.seconds / ours.seconds,
        "regularised: objectives differ by": float(np.abs(ours.result.objective - values).max()),
        "regularised: weights differ by": float(np.abs(np.abs(ours.result.x_weights) - np.abs(u)).max()),
    }


def misses(found: dict[str, float]) -> list[str]:
    """Which of the targets were missed."""
    missed = []
    for name, value in found.items():
        if name.startswith("sparse") and (("saving" in name and value < 1) or ("worse" in name and value > MOST_WORSE)):
            missed.append(f"{name}: {value:.3g}")
        if "differ by" in name and value > TOLERANCE:
            missed.append(f"{name} {value:.2g}")
    if found["regularised: saving"] < LEAST_SAVING:
        missed.append(f"the Gram matrix saves only {found['regularised: saving']:.1f}×, less than {LEAST_SAVING}×")
    return missed


@pytest.mark.benchmark
def test_no_slower_than_the_peers() -> None:
    found = measure_sparse() | measure_regularized()
    assert not misses(found), found


def main() -> int:
    found = measure_sparse() | measure_regularized()
    for name, value in found.items():
        print(f"{name:<48}{value:10.3g}")
    missed = misses(found)
    print("\n".join(missed) or "every target met")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
