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
imports the peer, makes what the call needs, and returns the call and how its result becomes arrays. A peer of the dev
group (`OF_OUR_OWN`) runs in a process of its own in our environment.
"""

from __future__ import annotations

import functools
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
ONE_THREAD["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
OF_OUR_OWN = ("jax",)
Arrays = dict[str, np.ndarray]
Task = tuple[Callable[[], Any], Callable[[Any], Arrays]]


class PeerError(RuntimeError):
    """The peer's environment could not be made, or the peer failed; the message ends with what it said."""


@dataclass(frozen=True)
class Measured:
    """CPU seconds of the fastest repetition, what the call returned, and the seconds of the first, which compiles."""

    seconds: float
    result: Any
    first: float


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
        isolated = ["uv", "run", "--quiet", "--isolated", "--project", str(ROOT), "--only-group", f"peer-{peer}"]
        command = [sys.executable] if peer in OF_OUR_OWN else [*isolated, "python"]
        name_of_task = f"{peer.replace('-', '_')}_{task}"
        command += [str(Path(__file__).resolve()), name_of_task, str(folder), str(repetitions)]
        finished = subprocess.run(command, env=_clean_environment(), capture_output=True, text=True, cwd=folder)
        if finished.returncode != 0:
            raise PeerError(f"{peer}, task {task!r}, in its own environment:\n{finished.stderr.strip()[-3000:]}")
        seconds = json.loads((folder / "seconds.json").read_text(encoding="utf-8"))
        return Measured(seconds["fastest"], dict(_arrays_in(folder, "out_")), seconds["first"])


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
    taken, result = [], None
    for _ in range(repetitions):
        result = None  # so that two results never fill the memory
        start = _cpu_seconds()
        result = call()
        taken.append(_cpu_seconds() - start)
    return Measured(min(taken), result, taken[0])


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


def mofapy2_fit(first: np.ndarray, second: np.ndarray, third: np.ndarray, n_factors: np.ndarray) -> Task:
    """Training in fast mode as MOFA's own defaults have it: sparse weights, factors below 1 % of variance dropped."""
    import contextlib
    import io

    from mofapy2.run.entry_point import entry_point

    def fit() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            model = entry_point()
            model.set_data_options(scale_views=False)
            model.set_data_matrix([[first.copy()], [second.copy()], [third.copy()]])
            model.set_model_options(factors=int(n_factors), spikeslab_weights=True, ard_weights=True)
            model.set_train_options(convergence_mode="fast", dropR2=0.01, seed=0, quiet=True)
            model.build()
            model.run()
        return model

    return fit, lambda model: {"factors": np.asarray(model.model.nodes["Z"].getExpectation())}


def cca_zoo_pmd(x: np.ndarray, y: np.ndarray, bounds: np.ndarray, tolerance: np.ndarray) -> Task:
    """One component of penalised matrix decomposition; x and y are standardised, as `sparse_cca` does inside."""
    from cca_zoo.sparse import PMDCCA

    options = {"l1_bound": bounds.tolist(), "tol": float(tolerance), "max_iter": 1000, "random_state": 0}
    return lambda: PMDCCA(1, **options).fit([x, y]), lambda model: {
        name: weights[:, 0] for name, weights in zip("uv", model.weights_, strict=True)
    }


def jax_autoencoder(
    layers: np.ndarray, latent: np.ndarray, hidden: np.ndarray, epochs: np.ndarray, batch_size: np.ndarray
) -> Task:
    """`MultimodalVAE` with Gaussian layers that all samples have, as one writes it in JAX: loss, `grad`, Adam, `jit`.

    layers : (layers, n, p), standardised. The same start, batches, terms, rate and number of steps as ours; only the
    draws of noise are JAX's own.
    """
    import jax
    import jax.numpy as jnp

    n_layers, n, width = layers.shape
    size, rate = (int(latent), int(hidden)), 2e-3
    x = jnp.asarray(layers, jnp.float32)
    speaking = jnp.asarray(np.vstack([np.ones(n_layers), np.eye(n_layers)]), jnp.float32)  # who speaks in which term

    def start(rng: np.random.Generator) -> dict[str, Any]:
        shapes = {"encode": (width, size[1]), "mean": size[::-1], "spread": size[::-1], "decode": size}
        shapes["out"] = (size[1], width)
        parameters: dict[str, Any] = {}
        for name, shape in shapes.items():
            draws = rng.normal(size=(n_layers, *shape)) * np.sqrt(2 / sum(shape))
            parameters[name] = jnp.asarray(draws, jnp.float32)
            parameters[f"{name}_shift"] = jnp.zeros((n_layers, 1, shape[1]), jnp.float32)
        return parameters | {"noise": jnp.zeros((n_layers, 1, width), jnp.float32)}

    def loss(w: dict[str, Any], batch: Any, key: Any) -> Any:
        def dense(values: Any, name: str) -> Any:
            return values @ w[name] + w[f"{name}_shift"]

        units = jnp.tanh(dense(batch, "encode"))  # (layers, n, hidden)
        means, log_variances = dense(units, "mean"), dense(units, "spread")
        precisions = speaking[:, :, None, None] * jnp.exp(-log_variances)  # (terms, layers, n, latent)
        total = 1 + precisions.sum(axis=1)
        mean, log_variance = (precisions * means).sum(axis=1) / total, -jnp.log(total)
        z = mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape)
        kl = 0.5 * (jnp.exp(log_variance) + mean**2 - 1 - log_variance).sum()
        flat = jnp.broadcast_to(z.reshape(1, -1, size[0]), (n_layers, z.shape[0] * z.shape[1], size[0]))
        expected = dense(jnp.tanh(dense(flat, "decode")), "out").reshape(n_layers, *z.shape[:2], width)
        squares = (batch[:, None] - expected) ** 2 * jnp.exp(-w["noise"])[:, None]
        log_likelihood = -0.5 * (squares + w["noise"][:, None] + np.log(2 * np.pi)).sum()
        return (kl - log_likelihood) / batch.shape[1]

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(w: Any, first: Any, second: Any, batch: Any, key: Any, count: Any) -> Any:
        value, gradient = jax.value_and_grad(loss)(w, batch, key)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda m, g: 0.999 * m + 0.001 * g * g, second, gradient)
        faster = rate / (1 - 0.9**count)
        w = jax.tree.map(lambda p, m, s: p - faster * m / (jnp.sqrt(s / (1 - 0.999**count)) + 1e-8), w, first, second)
        return w, first, second, value

    def train() -> np.ndarray:
        rng, key = np.random.default_rng(0), jax.random.key(0)
        w = start(rng)
        first, second = jax.tree.map(jnp.zeros_like, w), jax.tree.map(jnp.zeros_like, w)
        history, count = [], 0
        for _ in range(int(epochs)):
            parts = np.array_split(rng.permutation(n), max(1, round(n / int(batch_size))))
            losses = []
            for rows in parts:
                count += 1
                key, now = jax.random.split(key)
                w, first, second, value = step(w, first, second, x[:, rows], now, jnp.float32(count))
                losses.append(value)
            history.append(np.mean([float(value) for value in losses]))
        return np.array(history)

    return train, lambda history: {"loss": history}


def main(name: str, folder: Path, repetitions: int) -> None:
    """In the peer's environment: read the arrays, measure the task, write seconds and result."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # pools of threads are made to the number of cores
    call, to_arrays = globals()[name](**dict(_arrays_in(folder, "in_")))
    measured = _fastest(call, repetitions)
    for label, array in to_arrays(measured.result).items():
        np.save(folder / f"out_{label}.npy", array)
    (folder / "seconds.json").write_text(
        json.dumps({"fastest": measured.seconds, "first": measured.first}), encoding="utf-8"
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
