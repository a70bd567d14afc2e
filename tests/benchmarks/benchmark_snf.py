"""How much does it save to know that local kernels are sparse?

`fuse` against the same rule written with dense products `S @ P @ S.T`, both in this process, on one BLAS thread: three
layers, k = 20, 20 iterations, CPU seconds, and the peak of allocated memory beyond the input (traced over 2 iterations,
as it does not grow with them). Results agree to 1e-12.

    uv run python tests/benchmarks/benchmark_snf.py          # about 3 minutes; exit code 1 below the targets
    uv run pytest tests/benchmarks/benchmark_snf.py          # the same as a test

What is compared, and why, stands in tests/benchmarks/README.md.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from reference_impl.integration.snf import affinity_matrix, full_kernel, fuse, local_kernel, squared_distances

K, ITERATIONS, LAYERS = 20, 20, 3
LEAST_SAVING = {1000: 1.0, 3000: 7.0}  # times less CPU than the dense rule


def normalize(similarity: np.ndarray) -> np.ndarray:
    """The full kernel as SNFtool 2.3 writes it."""
    to_others = similarity.sum(axis=1) - similarity.diagonal()
    kernel = similarity / (2 * to_others[:, None])
    np.fill_diagonal(kernel, 0.5)
    return (kernel + kernel.T) / 2


def fuse_with_dense_products(affinities: list[np.ndarray], k: int, n_iterations: int) -> np.ndarray:
    """The rule of `fuse` as one would type it from the paper."""
    networks = [full_kernel(affinity) for affinity in affinities]
    local_kernels = [local_kernel(network, k).toarray() for network in networks]
    for _ in range(n_iterations):
        total = np.zeros_like(networks[0])
        for network in networks:
            total += network
        networks = [
            normalize(local @ ((total - network) / (len(networks) - 1)) @ local.T)
            for local, network in zip(local_kernels, networks, strict=True)
        ]
    total = np.zeros_like(networks[0])
    for network in networks:
        total += network
    return normalize(total / len(networks))


def planted_layers(n_samples: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Affinities of three layers that share four groups."""
    group = rng.integers(0, 4, n_samples)
    centres = rng.normal(size=(LAYERS, 4, 30))
    return [
        affinity_matrix(squared_distances(centre[group] + rng.normal(size=(n_samples, 30))), K) for centre in centres
    ]


def cpu_seconds(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def peak_megabytes(work: Callable[[], np.ndarray]) -> float:
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def measure(n_samples: int) -> dict[str, float]:
    """CPU seconds and peak memory of both, at one size."""
    with threadpool_limits(limits=1):
        affinities = planted_layers(n_samples, np.random.default_rng(n_samples))
        sparse_seconds, fused = cpu_seconds(lambda: fuse(affinities, K, ITERATIONS))
        dense_seconds, expected = cpu_seconds(lambda: fuse_with_dense_products(affinities, K, ITERATIONS))
        np.testing.assert_allclose(fused, expected, rtol=0, atol=1e-12)  # sums in another order, entries below 1
        return {
            "dense_seconds": dense_seconds,
            "sparse_seconds": sparse_seconds,
            "saving": dense_seconds / sparse_seconds,
            "dense_megabytes": peak_megabytes(lambda: fuse_with_dense_products(affinities, K, 2)),
            "sparse_megabytes": peak_megabytes(lambda: fuse(affinities, K, 2)),
        }


@pytest.mark.benchmark
@pytest.mark.parametrize("n_samples", sorted(LEAST_SAVING))
def test_sparse_fusion_saves_time_and_memory(n_samples: int) -> None:
    measured = measure(n_samples)
    assert measured["saving"] >= LEAST_SAVING[n_samples], measured
    assert measured["sparse_megabytes"] < measured["dense_megabytes"], measured


def main() -> int:
    print("    n   dense CPU s   fuse CPU s   saving   dense peak MB   fuse peak MB")
    missed = False
    for n_samples, least in sorted(LEAST_SAVING.items()):
        found = measure(n_samples)
        seconds = f"{found['dense_seconds']:11.2f}   {found['sparse_seconds']:10.2f}   {found['saving']:5.1f}×"
        peaks = f"{found['dense_megabytes']:13.0f}   {found['sparse_megabytes']:12.0f}"
        print(f"{n_samples:5d}   {seconds}   {peaks}", flush=True)
        missed |= found["saving"] < least or found["sparse_megabytes"] >= found["dense_megabytes"]
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
