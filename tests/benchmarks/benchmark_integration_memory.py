"""Peak memory of every integration method, in multiples of its input.

    uv run python tests/benchmarks/benchmark_integration_memory.py     # about 2 minutes; exit code 1 above a limit
    uv run pytest tests/benchmarks/benchmark_integration_memory.py     # the same as a test

What is counted, and why, stands in tests/benchmarks/README.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from reference_impl.integration.cca import cca, multiset_cca, regularized_cca, sparse_cca
from reference_impl.integration.early import EarlyIntegration
from reference_impl.integration.jnmf import joint_nmf
from reference_impl.integration.late import LateIntegration
from reference_impl.integration.mofa import MOFA
from reference_impl.integration.mvae import MultimodalVAE
from reference_impl.integration.pls import pls_canonical, pls_svd
from reference_impl.integration.snf import affinity_matrix, fuse, squared_distances
from tests.benchmarks.peers import peak_bytes

N_SAMPLES, WIDTHS = 300, (6000, 6000, 6000)
MOST = 5.0  # peak beyond the input, in multiples of it, for every method


def study() -> list[np.ndarray]:
    """Layers that share five factors, with p far above n, as in omics."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(N_SAMPLES, 5))
    return [factors @ rng.normal(size=(5, width)) + 2 * rng.normal(size=(N_SAMPLES, width)) for width in WIDTHS]


def calls() -> Iterator[tuple[str, list[np.ndarray], Callable[[], Any]]]:
    """Each method, what it is given, and the call."""
    layers = study()
    named = dict(zip(("first", "second", "third"), layers, strict=True))
    y = layers[0][:, 0].copy()
    x, z = layers[:2]
    positive = {name: np.abs(layer) for name, layer in named.items()}
    gapped = {name: layer.copy() for name, layer in named.items()}
    gapped["third"][::3] = np.nan
    narrow = [layer[:, :100].copy() for layer in layers[:2]]
    rng = np.random.default_rng(0)
    yield "early integration, ridge", layers, lambda: EarlyIntegration(Ridge()).fit(named, y)
    yield "late integration, ridge, stacking", layers, lambda: LateIntegration(Ridge(), "stacking").fit(named, y)
    yield "CCA, n > p", narrow, lambda: cca(*narrow, 3)
    yield "regularised CCA", layers[:2], lambda: regularized_cca(x, z, 3, ridge_x=1.0, ridge_y=1.0)
    yield "sparse CCA", layers[:2], lambda: sparse_cca(x, z, 3, c_x=0.3, c_y=0.3)
    yield "CCA of all layers", layers, lambda: multiset_cca(named, 3, ridge=1.0)
    yield "PLS by one decomposition", layers[:2], lambda: pls_svd(x, z, 3)
    yield "canonical PLS", layers[:2], lambda: pls_canonical(x, z, 3)
    for solver in ("hals", "mu"):
        options = {"solver": solver, "n_starts": 2, "max_iterations": 20}
        yield f"joint NMF, {solver}", layers, lambda options=options: joint_nmf(positive, 5, rng=rng, **options)
    yield "MOFA", layers, lambda: MOFA(10, max_iterations=8).fit(named)
    yield "MOFA, a layer missing for a third", layers, lambda: MOFA(10, max_iterations=8).fit(gapped)
    yield "SNF", layers, lambda: fuse([affinity_matrix(squared_distances(layer)) for layer in layers])
    yield "autoencoder", layers, lambda: MultimodalVAE(epochs=2).fit(named)


def measure_all(tell: Callable[[str], None] = lambda line: None) -> dict[str, float]:
    """Peak beyond the input, the result included, in multiples of the input; each is told as soon as it is known."""
    found = {}
    with threadpool_limits(limits=1), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        for name, given, call in calls():
            found[name] = peak_bytes(call) / sum(table.nbytes for table in given)
            tell(f"{name:<36}{found[name]:6.2f}")
    return found


@pytest.mark.benchmark
def test_memory_is_a_small_multiple_of_the_input() -> None:
    found = measure_all()
    assert max(found.values()) <= MOST, found


def main() -> int:
    found = measure_all(print)
    missed = [f"{name}: {times:.2f} times the input, above {MOST}" for name, times in found.items() if times > MOST]
    print("\n".join(missed) or "every target met")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
