"""The autoencoder beside the same model in JAX: 500 samples, three layers of 1,000 features, 100 epochs, one core.

    uv run python tests/benchmarks/benchmark_autoencoder.py     # about a minute; exit code 1 below the target
    uv run pytest tests/benchmarks/benchmark_autoencoder.py     # the same as a test

What is compared, and why, stands in tests/benchmarks/README.md.
"""

from __future__ import annotations

import numpy as np
import pytest

from reference_impl.integration.mvae import MultimodalVAE
from tests.benchmarks.peers import measure, measure_peer

N_SAMPLES, WIDTH, N_LAYERS = 500, 1000, 3
SIZES = {"latent": 10, "hidden": 64, "epochs": 100, "batch_size": 64}
LEAST_SAVING = 2.5  # times less CPU than JAX, compiling counted
MOST_WORSE = 0.02  # share by which our last losses may lie above JAX's: the draws of start and noise differ


def study() -> np.ndarray:
    """Standardised layers that share eight nonlinear factors, (layers, samples, features)."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(N_SAMPLES, 8))
    layers = np.stack(
        [np.tanh(factors @ rng.normal(size=(8, 32))) @ rng.normal(size=(32, WIDTH)) / 4 for _ in range(N_LAYERS)]
    )
    layers += rng.normal(size=layers.shape)
    return (layers - layers.mean(axis=1, keepdims=True)) / layers.std(axis=1, ddof=1, keepdims=True)


def measure_both() -> dict[str, float]:
    """CPU seconds of both, JAX's with and without compiling, and the mean loss of the last ten epochs."""
    layers = study()
    named = {f"layer {m}": layer for m, layer in enumerate(layers)}
    ours = measure(lambda: MultimodalVAE(**SIZES, validation_fraction=0).fit(named), repetitions=2)
    theirs = measure_peer("jax", "autoencoder", repetitions=2, layers=layers, **as_arrays(SIZES))
    return {
        "our seconds": ours.seconds,
        "JAX, compiled and run": theirs.first,
        "JAX, run again": theirs.seconds,
        "saving": theirs.first / ours.seconds,
        "saving, without compiling": theirs.seconds / ours.seconds,
        "our loss": float(ours.result.history_["loss"].tail(10).mean()),
        "JAX loss": float(theirs.result["loss"][-10:].mean()),
    }


def as_arrays(sizes: dict[str, int]) -> dict[str, np.ndarray]:
    return {name: np.array(size) for name, size in sizes.items()}


def misses(found: dict[str, float]) -> list[str]:
    """Which of the targets were missed."""
    missed = []
    if found["saving"] < LEAST_SAVING:
        missed.append(f"the autoencoder saves only {found['saving']:.2f}×, less than {LEAST_SAVING}×")
    if found["our loss"] > found["JAX loss"] * (1 + MOST_WORSE):
        missed.append(f"its loss is {found['our loss']:.1f}, and JAX's {found['JAX loss']:.1f}")
    return missed


@pytest.mark.benchmark
def test_less_cpu_than_jax() -> None:
    found = measure_both()
    assert not misses(found), found


def main() -> int:
    found = measure_both()
    for name, value in found.items():
        print(f"{name:<28}{value:10.3f}")
    missed = misses(found)
    print("\n".join(missed) or "every target met")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
