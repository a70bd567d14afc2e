"""Encoders and decoders of all layers, the bound, and its gradient, chained from the pieces in `gradients`.

Each sample is looked at several times: once with all layers that it has speaking together, and once with each of them
speaking alone. A look is a row: a sample, and who speaks. Every look has to explain all that was measured of the
sample, so an encoder that speaks alone learns to say what the other layers need.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from reference_impl.integration.mvae.bound import kl_divergence, product_of_experts
from reference_impl.integration.mvae.gradients import (
    gaussian_gradient,
    linear_gaussian_gradient,
    negative_binomial_gradient,
    posterior_gradient,
    product_gradient,
    sum_by_sample,
    tanh_gradient,
)

Parts = dict[str, np.ndarray]


class Batch(NamedTuple):
    """Some samples as the network sees them.

    inputs : per layer (n, p), what the encoder reads, 0 where nothing was measured
    targets : per layer (n, p), what the decoder is to explain
    measured : per layer (n, p) of 0 and 1 where a layer has gaps, else None
    totals : per layer (n, 1), counts per sample (negative binomial only), else None
    present : (layers, n) bool
    """

    inputs: list[np.ndarray]
    targets: list[np.ndarray]
    measured: list[np.ndarray | None]
    totals: list[np.ndarray | None]
    present: np.ndarray

    def take(self, rows: np.ndarray) -> Batch:
        """The samples in these rows."""

        def some(tables: list[Any]) -> list[Any]:
            return [None if table is None else table[rows] for table in tables]

        inputs = some(self.inputs)
        same = [mine is target for mine, target in zip(self.inputs, self.targets, strict=True)]
        targets = [inputs[m] if same[m] else target[rows] for m, target in enumerate(self.targets)]
        return Batch(inputs, targets, some(self.measured), some(self.totals), self.present[:, rows])


class Looks(NamedTuple):
    """Who speaks for which sample.

    sample : (rows,) int
    speaking : (layers, rows) bool
    """

    sample: np.ndarray
    speaking: np.ndarray


def looks_at(present: np.ndarray, *, each_alone: bool) -> Looks:
    """All layers of a sample together; then, if wanted, each of them alone.

    >>> looks = looks_at(np.array([[True, True], [True, False]]), each_alone=True)
    >>> looks.sample
    array([0, 1, 0, 1, 0])
    >>> looks.speaking.astype(int)
    array([[1, 1, 1, 1, 0],
           [1, 0, 0, 0, 1]])
    """
    n_layers, n_samples = present.shape
    if not each_alone or n_layers == 1:  # a layer that is the only one speaks alone anyway
        return Looks(np.arange(n_samples), present)
    layer, sample = np.nonzero(present)
    alone = np.arange(n_layers)[:, None] == layer
    return Looks(np.concatenate([np.arange(n_samples), sample]), np.hstack([present, alone]))


class Network:
    """Encoders and decoders; their parameters are views of one vector, as Adam likes it.

    Parameters
    ----------
    widths, likelihoods, masks : per layer
        number of features; "gaussian" or "negative_binomial"; (latent, features) of 0 and 1, or None
    latent, hidden : units
    linear : whether decoders have no hidden units
    beta, single_layer_terms : as in `MultimodalVAE`
    """

    def __init__(
        self,
        widths: list[int],
        likelihoods: list[str],
        *,
        latent: int,
        hidden: int,
        linear: bool = False,
        masks: list[np.ndarray | None] | None = None,
        beta: float = 1.0,
        single_layer_terms: bool = True,
    ) -> None:
        self.likelihoods, self.latent, self.linear, self.beta = likelihoods, latent, linear, beta
        self.masks = masks or [None] * len(widths)
        self.single_layer_terms = single_layer_terms
        self.shapes: dict[str, tuple[int, ...]] = {}
        for m, width in enumerate(widths):
            self.shapes |= {f"{m}.encode": (width, hidden), f"{m}.encode_shift": (hidden,)}
            self.shapes |= {f"{m}.mean": (hidden, latent), f"{m}.mean_shift": (latent,)}
            self.shapes |= {f"{m}.spread": (hidden, latent), f"{m}.spread_shift": (latent,)}
            if not linear:
                self.shapes |= {f"{m}.decode": (latent, hidden), f"{m}.decode_shift": (hidden,)}
            self.shapes |= {f"{m}.out": (latent if linear else hidden, width), f"{m}.out_shift": (width,)}
            self.shapes[f"{m}.noise"] = (width,)  # log-variances, or log-sizes of the negative binomial
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        self.n_parameters = sum(sizes)
        self._ends = np.cumsum(sizes).tolist()

    def parts(self, vector: np.ndarray) -> Parts:
        """The parts of a vector by name."""
        begins = [0, *self._ends]
        return {
            name: vector[begin:end].reshape(shape)
            for (name, shape), begin, end in zip(self.shapes.items(), begins, self._ends, strict=False)
        }

    def start(self, rng: np.random.Generator, dtype: Any) -> np.ndarray:
        """Random weights of a size that keeps the spread from layer to layer (Glorot), shifts of zero."""
        vector = np.zeros(self.n_parameters, dtype)
        for part in self.parts(vector).values():
            if part.ndim == 2:
                part[:] = rng.normal(size=part.shape) * np.sqrt(2 / sum(part.shape))
        return vector

    # Forward

    def encode(self, weights: Parts, m: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hidden units, mean and log-variance of one layer's expert."""
        hidden = np.tanh(x @ weights[f"{m}.encode"] + weights[f"{m}.encode_shift"])
        mean = hidden @ weights[f"{m}.mean"] + weights[f"{m}.mean_shift"]
        return hidden, mean, hidden @ weights[f"{m}.spread"] + weights[f"{m}.spread_shift"]

    def unfold(self, weights: Parts, m: int, z: np.ndarray) -> np.ndarray:
        """Hidden units of a layer's decoder."""
        return z if self.linear else np.tanh(z @ weights[f"{m}.decode"] + weights[f"{m}.decode_shift"])

    def decode(self, weights: Parts, m: int, hidden: np.ndarray) -> np.ndarray:
        """Means (gaussian) or logits (negative binomial) of one layer."""
        out = hidden @ self._allowed(m, weights[f"{m}.out"])
        out += weights[f"{m}.out_shift"]  # the largest array of all: no copy of it
        return out

    def _allowed(self, m: int, out: np.ndarray) -> np.ndarray:
        mask = self.masks[m]
        return out if mask is None else out * mask

    def experts(self, weights: Parts, batch: Batch) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Hidden units of those present, and all opinions, (layers, n, latent), zero where a layer is absent."""
        shape = (*batch.present.shape, self.latent)
        means, log_variances = (np.zeros(shape, batch.inputs[0].dtype) for _ in range(2))
        hidden = []
        for m, present in enumerate(batch.present):
            x = _some(batch.inputs[m], present)
            units, means[m, present], log_variances[m, present] = self.encode(weights, m, x)
            hidden.append(units)
        return hidden, means, log_variances

    def explain(
        self, weights: Parts, m: int, out: np.ndarray, batch: Batch, sample: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log-likelihood of each row, and its gradients in `out` and in the noise of each feature."""
        x, noise, measured, totals = batch.targets[m][sample], weights[f"{m}.noise"], batch.measured[m], batch.totals[m]
        if totals is not None:
            return negative_binomial_gradient(x, out, noise, totals[sample])
        return gaussian_gradient(x, out, noise, None if measured is None else measured[sample])

    # The bound and its gradient

    def looks(self, batch: Batch) -> Looks:
        """The looks at a batch that training takes; each needs a row of noise."""
        return looks_at(batch.present, each_alone=self.single_layer_terms)

    def bound(self, vector: np.ndarray, batch: Batch, noise: np.ndarray) -> float:
        """Mean over samples of the bound, all layers speaking; `noise` (n, latent) makes the draw of z."""
        weights = self.parts(vector)
        _, means, log_variances = self.experts(weights, batch)
        mean, log_variance = product_of_experts(means, log_variances, batch.present)
        z = mean + np.exp(log_variance / 2) * noise
        total = -self.beta * float(kl_divergence(mean, log_variance).sum())
        for m, present in enumerate(batch.present):
            rows = np.flatnonzero(present)
            out = self.decode(weights, m, self.unfold(weights, m, z[rows]))
            total += float(self.explain(weights, m, out, batch, rows)[0].sum())
        return total / len(z)

    def loss_and_gradient(self, vector: np.ndarray, batch: Batch, noise: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the sum of the bounds of all looks, per sample, and its gradient.

        `noise`, a row for each look, makes the draws of z.
        """
        weights, gradient = self.parts(vector), np.zeros_like(vector)
        up = self.parts(gradient)
        looks = self.looks(batch)
        hidden, *opinions = self.experts(weights, batch)
        means, log_variances = (opinion[:, looks.sample] for opinion in opinions)
        mean, log_variance = product_of_experts(means, log_variances, looks.speaking)
        z = mean + np.exp(log_variance / 2) * noise
        bound = -self.beta * float(kl_divergence(mean, log_variance).sum())

        d_z = np.zeros_like(z)
        for m, present in enumerate(batch.present):
            bound += self._down_to_z(weights, up, m, batch, looks.sample, present[looks.sample], z, d_z)
        d_product = posterior_gradient(d_z, mean, log_variance, noise, beta=self.beta)
        d_looks = product_gradient(means, log_variances, looks.speaking, mean, log_variance, *d_product)
        for m, present in enumerate(batch.present):
            d_opinion = [sum_by_sample(part[m], looks.sample)[present] for part in d_looks]
            self._down_to_input(weights, up, m, _some(batch.inputs[m], present), hidden[m], *d_opinion)
        n_samples = batch.present.shape[1]
        gradient /= -n_samples
        return -bound / n_samples, gradient

    def _down_to_z(
        self,
        weights: Parts,
        up: Parts,
        m: int,
        batch: Batch,
        sample: np.ndarray,
        wanted: np.ndarray,
        z: np.ndarray,
        d_z: np.ndarray,
    ) -> float:
        """Add what explaining layer m gives to the gradients and to `d_z`; return its log-likelihood."""
        position = z[wanted]
        hidden = self.unfold(weights, m, position)
        log_likelihood, d_hidden = self._down_to_hidden(weights, up, m, batch, sample[wanted], hidden)
        if self.linear:
            d_z[wanted] += d_hidden
            return log_likelihood
        d_before, d_weights, d_shift = tanh_gradient(position, hidden, d_hidden)
        up[f"{m}.decode"] += d_weights
        up[f"{m}.decode_shift"] += d_shift
        d_z[wanted] += d_before @ weights[f"{m}.decode"].T
        return log_likelihood

    def _down_to_hidden(
        self, weights: Parts, up: Parts, m: int, batch: Batch, sample: np.ndarray, hidden: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Add what explaining layer m gives to the gradients of its last step; return that in its hidden units."""
        out_weights = self._allowed(m, weights[f"{m}.out"])
        if self._opens_squares(m, batch, hidden):
            present = batch.present[m]
            x, row = _some(batch.targets[m], present), np.cumsum(present)[sample] - 1
            shift, noise = weights[f"{m}.out_shift"], weights[f"{m}.noise"]
            total, d_hidden, d_weights, d_shift, d_noise = linear_gaussian_gradient(
                x, row, hidden, out_weights, shift, noise
            )
        else:
            log_likelihood, d_out, d_noise = self.explain(weights, m, self.decode(weights, m, hidden), batch, sample)
            total, d_hidden = float(log_likelihood.sum()), d_out @ out_weights.T
            d_weights, d_shift = hidden.T @ d_out, d_out.sum(axis=0)
        up[f"{m}.out"] += self._allowed(m, d_weights)
        up[f"{m}.out_shift"] += d_shift
        up[f"{m}.noise"] += d_noise
        return total, d_hidden

    def _opens_squares(self, m: int, batch: Batch, hidden: np.ndarray) -> bool:
        """Whether `linear_gaussian_gradient` holds for layer m and takes fewer multiplications than the means do."""
        n_rows, n_units = hidden.shape
        holds = batch.totals[m] is None and batch.measured[m] is None
        return holds and 2 * (int(batch.present[m].sum()) + n_units) <= 3 * n_rows

    @staticmethod
    def _down_to_input(
        weights: Parts,
        up: Parts,
        m: int,
        x: np.ndarray,
        hidden: np.ndarray,
        d_mean: np.ndarray,
        d_log_variance: np.ndarray,
    ) -> None:
        """Add what layer m's expert gives to the gradients of its encoder."""
        up[f"{m}.mean"] += hidden.T @ d_mean
        up[f"{m}.mean_shift"] += d_mean.sum(axis=0)
        up[f"{m}.spread"] += hidden.T @ d_log_variance
        up[f"{m}.spread_shift"] += d_log_variance.sum(axis=0)
        d_hidden = d_mean @ weights[f"{m}.mean"].T + d_log_variance @ weights[f"{m}.spread"].T
        _, d_weights, d_shift = tanh_gradient(x, hidden, d_hidden)
        up[f"{m}.encode"] += d_weights
        up[f"{m}.encode_shift"] += d_shift


def _some(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows of a mask; the table itself where those are all."""
    return table if rows.all() else table[rows]
