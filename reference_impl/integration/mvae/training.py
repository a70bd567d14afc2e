"""Training: Adam on mini-batches, with samples held out to say when to stop."""

from __future__ import annotations

import sys
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from reference_impl.integration.mvae.bound import as_floats
from reference_impl.integration.mvae.network import Batch, Network


def adam_step(
    parameters: Any,
    gradient: Any,
    mean: Any,
    square: Any,
    step: int,
    *,
    learning_rate: float = 1e-3,
    decays: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step of Adam down a gradient.

    Parameters
    ----------
    parameters, gradient : (n,), of the loss
    mean, square : (n,), running means of the gradient and of its square, as the step before left them; 0 at first
    step : number of this step, from 1 on
    learning_rate, decays, epsilon : as in the paper, where decays are β₁ and β₂

    Returns
    -------
    parameters, mean, square : (n,), new arrays

    Raises
    ------
    ValueError : shapes that differ, or a step below 1

    References
    ----------
    Kingma & Ba 2015, ICLR, algorithm 1

    Examples
    --------
    >>> adam_step([0.0, 0.0], [2.0, -0.01], [0.0, 0.0], [0.0, 0.0], 1)[0].round(6)  # one rate, whatever the slope
    array([-0.001,  0.001])
    """
    parameters, gradient, mean, square = as_floats(parameters, gradient, mean, square)
    if len({part.shape for part in (parameters, gradient, mean, square)}) > 1 or step < 1:
        raise ValueError("parameters, gradient, mean and square must have one shape, and steps count from 1")
    mean = decays[0] * mean + (1 - decays[0]) * gradient
    square = decays[1] * square + (1 - decays[1]) * gradient**2
    unbiased_mean = mean / (1 - decays[0] ** step)
    unbiased_square = square / (1 - decays[1] ** step)
    return parameters - learning_rate * unbiased_mean / (np.sqrt(unbiased_square) + epsilon), mean, square


class Adam:
    """`adam_step` in place, a stretch of the parameters at a time: all that a step touches then stays in the cache.

    It keeps the sums Σ β₁ᵏ · gradient and Σ β₂ᵏ · gradient², which are the running means but for a factor.
    """

    decays = (0.9, 0.999)
    epsilon = 1e-8
    stretch = 2**14

    def __init__(self, n: int, dtype: Any, rate: float) -> None:
        self.rate, self.steps = rate, 0
        self.sum, self.squares = np.zeros(n, dtype), np.zeros(n, dtype)
        self.room = np.zeros(min(n, self.stretch), dtype)

    def step(self, vector: np.ndarray, gradient: np.ndarray) -> None:
        """Change `vector` by one step."""
        self.steps += 1
        of_mean, of_square = ((1 - decay) / (1 - decay**self.steps) for decay in self.decays)
        rate, least = self.rate * of_mean / of_square**0.5, self.epsilon / of_square**0.5
        for begin in range(0, len(vector), self.stretch):
            here = slice(begin, begin + self.stretch)
            slope, total, squares = gradient[here], self.sum[here], self.squares[here]
            room = self.room[: len(slope)]
            total *= self.decays[0]
            total += slope
            squares *= self.decays[1]
            squares += np.multiply(slope, slope, out=room)
            np.sqrt(squares, out=room)
            room += least
            np.divide(total, room, out=room)
            room *= rate
            vector[here] -= room


class Plan(NamedTuple):
    """How to train: parameters of `MultimodalVAE` with the same names."""

    epochs: int
    batch_size: int
    learning_rate: float
    validation_fraction: float
    patience: int
    dtype: str
    progress: bool
    random_state: int


def fixed_noise(n: int, latent: int, plan_seed: int, dtype: str) -> np.ndarray:
    """The same draws every time, so that two bounds can be compared."""
    return np.random.default_rng(plan_seed + 1).normal(size=(n, latent)).astype(dtype)


def train(network: Network, whole: Batch, plan: Plan) -> tuple[np.ndarray, pd.DataFrame]:
    """Train from random weights; returns the best weights and the history.

    Warns
    -----
    ConvergenceWarning : the bound on the samples held out was still rising when the epochs ran out

    Raises
    ------
    ValueError : the loss is no number any more
    """
    rng = np.random.default_rng(plan.random_state)
    order = rng.permutation(whole.present.shape[1])
    n_held_out = round(plan.validation_fraction * len(order))
    held_out, training = order[:n_held_out], order[n_held_out:]
    watch = whole.take(held_out) if n_held_out else None
    watch_noise = fixed_noise(n_held_out, network.latent, plan.random_state, plan.dtype)
    vector = network.start(rng, plan.dtype)
    adam = Adam(len(vector), plan.dtype, plan.learning_rate)
    best, best_vector, best_epoch = -np.inf, vector, 0
    history = []
    try:
        for epoch in range(1, plan.epochs + 1):
            parts = np.array_split(rng.permutation(training), max(1, round(len(training) / plan.batch_size)))
            loss = float(np.mean([_one_step(network, whole.take(rows), vector, adam, rng) for rows in parts]))
            bound = np.nan if watch is None else network.bound(vector, watch, watch_noise)
            _require_finite(loss, epoch, plan.learning_rate)
            history.append((loss, bound))
            if plan.progress:
                _show(epoch, plan.epochs, loss)
            if watch is None:
                continue
            if bound > best:
                best, best_vector, best_epoch = bound, vector.copy(), epoch
            elif epoch - best_epoch >= plan.patience:
                break
    finally:  # also after Ctrl-C: what is printed next begins on a line of its own
        if plan.progress:
            print(file=sys.stderr)
    if watch is not None and len(history) - best_epoch < plan.patience:
        warnings.warn(
            f"the bound on the samples held out was best in epoch {best_epoch} of {plan.epochs} and may still rise; "
            "raise epochs, or lower patience if this is good enough",
            ConvergenceWarning,
            stacklevel=3,
        )
    index = pd.RangeIndex(1, len(history) + 1, name="epoch")
    return best_vector, pd.DataFrame(history, columns=["loss", "validation_bound"], index=index)


def _one_step(network: Network, batch: Batch, vector: np.ndarray, adam: Adam, rng: np.random.Generator) -> float:
    n_looks = len(network.looks(batch).sample)
    noise = rng.standard_normal((n_looks, network.latent), dtype=vector.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # a loss that is no number is named by `_require_finite`
        loss, gradient = network.loss_and_gradient(vector, batch, noise)
        adam.step(vector, gradient)
    return loss


def _require_finite(loss: float, epoch: int, learning_rate: float) -> None:
    if not np.isfinite(loss):
        raise ValueError(
            f"training diverged in epoch {epoch}: the loss is {loss}; lower learning_rate, now {learning_rate:g}, "
            "and look for values far outside the rest of their feature"
        )


def _show(epoch: int, epochs: int, loss: float) -> None:
    width = 24
    done = "█" * round(width * epoch / epochs)
    print(f"\r{done:<{width}} epoch {epoch}/{epochs}, loss {loss:.1f}", end="", file=sys.stderr, flush=True)
