"""A multimodal variational autoencoder: one hidden position per sample, told by whichever layers it has.

Each layer has an encoder, which says where a sample lies in a latent space and how sure it is, and a decoder, which
says what the layer looks like there. The opinions are multiplied (product of experts, the prior among them), so that a
layer that is missing simply says nothing. Training maximises a lower bound of the evidence:

    log p(x) ≥ E_q [ Σ_m log p(x_m | z) ] − KL( q(z | x) ‖ N(0, I) )

where q may be the product of all experts that a sample has, or the product of the prior and one of them: both are
bounds of the same evidence. Without the second kind no encoder ever learns to speak alone, and a missing layer cannot
be filled.

Everything is NumPy, with gradients written out by hand: at the size of a course (hundreds of samples, thousands of
features) that is faster than a framework, and can be read. Rows are samples. Following Wu & Goodman 2018 (NeurIPS) and,
for counts, Lopez et al. 2018 (Nature Methods 15:1053) and Minoura et al. 2021 (Cell Reports Methods 1:100071).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import digamma, gammaln, logsumexp
from sklearn.base import BaseEstimator, TransformerMixin

from reference_impl.integration.layers import (
    all_samples,
    named_layers,
    require_known_features,
    require_some_layer,
    whole_matrix,
)
from reference_impl.validation import as_matrix, labels, require_between, require_integer, require_number

LOG_TWO_PI = float(np.log(2 * np.pi))
LIKELIHOODS = ("gaussian", "negative_binomial")


# --- The pieces of the bound -----------------------------------------------------------------------------------------


def product_of_experts(means: Any, log_variances: Any, present: Any) -> tuple[np.ndarray, np.ndarray]:
    """Multiply normal opinions on the latent position, the prior N(0, I) among them.

    Parameters
    ----------
    means, log_variances : (layers, n, latent), of each layer's expert
    present : (layers, n) bool; what an absent layer says is ignored

    Returns
    -------
    mean, log_variance : (n, latent)

    Raises
    ------
    ValueError : shapes that do not fit

    Notes
    -----
    Precisions add up: 1 + Σ exp(−log_variance). They are added as logarithms (log-sum-exp), since an expert that is
    very sure (log-variance −800) would overflow otherwise. A sample without any layer gets the prior back.

    References
    ----------
    Hinton 2002, Neural Computation 14:1771; Wu & Goodman 2018, NeurIPS

    Examples
    --------
    >>> mean, log_variance = product_of_experts([[[3.0]], [[9.0]]], [[[0.0]], [[0.0]]], [[True], [True]])
    >>> mean, np.exp(log_variance)
    (array([[4.]]), array([[0.33333333]]))
    """
    means, log_variances = np.asarray(means, dtype=float), np.asarray(log_variances, dtype=float)
    present = np.asarray(present)
    if means.ndim != 3 or log_variances.shape != means.shape or present.shape != means.shape[:2]:
        raise ValueError(
            "means and log_variances must be (layers, n, latent) and present (layers, n); got shapes "
            f"{means.shape}, {log_variances.shape} and {present.shape}"
        )
    if present.dtype != bool:
        raise ValueError(f"present must be True or False; got {present.dtype}")
    shares, log_variance = _shares_of_experts(log_variances, present)
    return np.where(shares > 0, shares * means, 0.0).sum(axis=0), log_variance


def _shares_of_experts(log_variances: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each expert's share of the total precision, (…, layers, n, latent), and the log-variance of the product.

    `present` may have terms in front, (…, layers, n). The largest logarithm is taken out before the exponential; it is
    at least 0, the prior's.
    """
    log_precisions = np.where(present[..., None], -log_variances, -np.inf).astype(log_variances.dtype, copy=False)
    largest = np.maximum(log_precisions.max(axis=-3), 0)
    scaled = np.exp(log_precisions - largest[..., None, :, :])
    together = np.exp(-largest) + scaled.sum(axis=-3)
    return scaled / together[..., None, :, :], -(largest + np.log(together))


def kl_divergence(mean: Any, log_variance: Any) -> np.ndarray:
    """KL divergence of N(mean, exp(log_variance)) from N(0, I), summed over latent dimensions, in nats.

    Parameters
    ----------
    mean, log_variance : (n, latent)

    Returns
    -------
    (n,)

    Examples
    --------
    >>> kl_divergence([[0.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]])
    array([0., 2.])
    """
    mean, log_variance = np.asarray(mean, dtype=float), np.asarray(log_variance, dtype=float)
    if mean.ndim != 2 or mean.shape != log_variance.shape:
        raise ValueError(f"mean and log_variance must be (n, latent); got {mean.shape} and {log_variance.shape}")
    return 0.5 * np.sum(np.exp(log_variance) + mean**2 - 1.0 - log_variance, axis=1)


def gaussian_log_likelihood(x: Any, mean: Any, log_variance: Any) -> np.ndarray:
    """Log density of each sample under independent normal features, in nats; NaN takes no part.

    Parameters
    ----------
    x, mean : (n, n_features)
    log_variance : (n_features,)

    Returns
    -------
    (n,)

    Examples
    --------
    >>> gaussian_log_likelihood([[1.0]], [[1.0]], [0.0]).round(4)
    array([-0.9189])
    """
    x, mean, log_variance = (np.asarray(part, dtype=float) for part in (x, mean, log_variance))
    terms = -0.5 * ((x - mean) ** 2 * np.exp(-log_variance) + log_variance + LOG_TWO_PI)
    return np.where(np.isnan(x), 0.0, terms).sum(axis=1)


def negative_binomial_log_likelihood(x: Any, mean: Any, log_size: Any) -> np.ndarray:
    """Log probability of each sample's counts: variance = mean + mean² / size, in nats.

    Parameters
    ----------
    x : (n, n_features) counts
    mean : (n, n_features), above zero
    log_size : (n_features,), logarithm of the size (inverse dispersion)

    Returns
    -------
    (n,)

    Examples
    --------
    >>> negative_binomial_log_likelihood([[0.0]], [[1.0]], [0.0]).round(4)  # ln ½
    array([-0.6931])
    """
    x, mean, log_size = (np.asarray(part, dtype=float) for part in (x, mean, log_size))
    size = np.exp(log_size)
    log_total = np.log(size + mean)
    terms = gammaln(x + size) - gammaln(size) - gammaln(x + 1)
    return np.sum(terms + size * (log_size - log_total) + x * (np.log(mean) - log_total), axis=1)


def elbo(log_likelihoods: Any, mean: Any, log_variance: Any, *, beta: float = 1.0) -> np.ndarray:
    """Evidence lower bound of each sample, in nats.

    Parameters
    ----------
    log_likelihoods : (layers, n), log p(x_m | z) at a z drawn from the posterior; 0 where the layer is absent
    mean, log_variance : (n, latent), of the posterior
    beta : weight of the KL divergence; only 1 gives a bound of the evidence

    Returns
    -------
    (n,)

    Examples
    --------
    >>> elbo([[-3.0], [-1.0]], [[2.0]], [[0.0]])
    array([-6.])
    """
    return np.sum(np.asarray(log_likelihoods, dtype=float), axis=0) - beta * kl_divergence(mean, log_variance)


# --- The network -----------------------------------------------------------------------------------------------------


class _Batch(NamedTuple):
    """Some samples as the network sees them.

    inputs : per layer (n, p), what the encoder reads, 0 where nothing was measured
    targets : per layer (n, p), what the decoder is to explain
    measured : per layer (n, p) of 0 and 1 where a layer has gaps, else None
    sizes : per layer (n, 1), total counts (negative binomial only), else None
    present : (layers, n) bool
    """

    inputs: list[np.ndarray]
    targets: list[np.ndarray]
    measured: list[np.ndarray | None]
    sizes: list[np.ndarray | None]
    present: np.ndarray

    def take(self, rows: np.ndarray) -> _Batch:
        def some(tables: list[Any]) -> list[Any]:
            return [None if table is None else table[rows] for table in tables]

        return _Batch(
            some(self.inputs), some(self.targets), some(self.measured), some(self.sizes), self.present[:, rows]
        )


class _Network:
    """Encoders and decoders of all layers; their parameters are views of one vector, as Adam likes it."""

    def __init__(
        self,
        widths: list[int],
        likelihoods: list[str],
        *,
        latent: int,
        hidden: int,
        linear: bool,
        masks: list[np.ndarray | None],
        beta: float,
        single_layer_terms: bool,
    ) -> None:
        self.widths, self.likelihoods, self.masks = widths, likelihoods, masks
        self.latent, self.hidden, self.linear, self.beta = latent, hidden, linear, beta
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
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes.values()]).tolist()
        self.n_parameters = ends[-1]
        self.places = {
            name: slice(begin, end) for name, begin, end in zip(self.shapes, [0, *ends[:-1]], ends, strict=True)
        }

    def views(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """The parts of a vector by name."""
        return {name: vector[self.places[name]].reshape(shape) for name, shape in self.shapes.items()}

    def start(self, rng: np.random.Generator, dtype: Any) -> np.ndarray:
        """Random weights of a size that keeps the spread from layer to layer (Glorot), shifts of zero."""
        vector = np.zeros(self.n_parameters, dtype)
        for part in self.views(vector).values():
            if part.ndim == 2:
                part[:] = rng.normal(size=part.shape) * np.sqrt(2 / sum(part.shape))
        return vector

    # Forward

    def encode(self, parameters: dict[str, np.ndarray], m: int, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Hidden units, mean and log-variance of one layer's expert."""
        hidden = np.tanh(x @ parameters[f"{m}.encode"] + parameters[f"{m}.encode_shift"])
        mean = hidden @ parameters[f"{m}.mean"] + parameters[f"{m}.mean_shift"]
        return hidden, mean, hidden @ parameters[f"{m}.spread"] + parameters[f"{m}.spread_shift"]

    def decode(self, parameters: dict[str, np.ndarray], m: int, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hidden units, and means (gaussian) or logits (negative binomial) of one layer."""
        hidden = z if self.linear else np.tanh(z @ parameters[f"{m}.decode"] + parameters[f"{m}.decode_shift"])
        out = hidden @ self._out(parameters, m)
        out += parameters[f"{m}.out_shift"]  # the largest array of a step: no copy of it
        return hidden, out

    def _out(self, parameters: dict[str, np.ndarray], m: int) -> np.ndarray:
        mask = self.masks[m]
        return parameters[f"{m}.out"] if mask is None else parameters[f"{m}.out"] * mask

    def experts(self, parameters: dict[str, np.ndarray], batch: _Batch) -> tuple[list[Any], np.ndarray, np.ndarray]:
        """All experts' opinions, (layers, n, latent), zero where a layer is absent; and the hidden units."""
        shape = (*batch.present.shape, self.latent)
        dtype = batch.inputs[0].dtype
        means, log_variances = np.zeros(shape, dtype), np.zeros(shape, dtype)
        hidden = []
        for m, present in enumerate(batch.present):
            unit, means[m, present], log_variances[m, present] = self.encode(parameters, m, batch.inputs[m][present])
            hidden.append(unit)
        return hidden, means, log_variances

    def terms(self, present: np.ndarray) -> np.ndarray:
        """Who speaks in which term, (terms, layers, n): all layers together, then each alone."""
        if not self.single_layer_terms:
            return present[None]
        alone = np.eye(len(present), dtype=bool)[:, :, None] & present[None]
        return np.concatenate([present[None], alone])

    def log_likelihood(
        self, parameters: dict[str, np.ndarray], m: int, out: np.ndarray, batch: _Batch, rows: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood of all rows, and its gradients with respect to `out` (in its place) and to the noise."""
        noise, x = parameters[f"{m}.noise"], batch.targets[m][rows]
        if self.likelihoods[m] == "gaussian":
            measured = batch.measured[m]
            return _gaussian_gradient(x, out, noise, None if measured is None else measured[rows])
        sizes = batch.sizes[m]
        assert sizes is not None
        return _negative_binomial_gradient(x, out, noise, sizes[rows])

    # The bound and its gradient

    def bound(self, vector: np.ndarray, batch: _Batch, noise: np.ndarray) -> float:
        """Mean over samples of the bound, all layers speaking; `noise` (n, latent) makes the draw of z."""
        parameters = self.views(vector)
        _, means, log_variances = self.experts(parameters, batch)
        shares, log_variance = _shares_of_experts(log_variances, batch.present)
        mean = (shares * means).sum(axis=0)
        z = mean + np.exp(log_variance / 2) * noise
        total = -self.beta * kl_divergence(mean, log_variance).sum()
        for m, present in enumerate(batch.present):
            rows = np.flatnonzero(present)
            if len(rows):
                out = self.decode(parameters, m, z[rows])[1]
                total += self.log_likelihood(parameters, m, out, batch, rows)[0]
        return float(total / len(z))

    def loss_and_gradient(self, vector: np.ndarray, batch: _Batch, noise: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the mean over samples of the sum of bounds (together, and each layer alone), and its gradient.

        `noise`, (terms, n, latent), makes the draws of z.
        """
        parameters, gradient = self.views(vector), np.zeros_like(vector)
        parts = self.views(gradient)
        hidden, means, log_variances = self.experts(parameters, batch)
        speaking = self.terms(batch.present)
        counted = np.asarray(speaking.any(axis=1))  # (terms, n): a term in which nobody speaks is not counted
        shares, log_variance = _shares_of_experts(log_variances, speaking)
        mean = (shares * means).sum(axis=1)
        deviation = np.exp(log_variance / 2)
        z = mean + deviation * noise
        kl = 0.5 * (deviation**2 + mean**2 - 1 - log_variance).sum(axis=2)
        loss = self.beta * float(kl[counted].sum())
        d_z = np.zeros_like(z)
        for m in range(len(self.widths)):
            loss -= self._decoder_gradient(parameters, parts, m, batch, z, counted & batch.present[m], d_z)
        weight = self.beta * counted[..., None]
        d_mean = d_z + weight * mean
        d_log_variance = d_z * noise * deviation / 2 + weight * (deviation**2 - 1) / 2
        d_means = (shares * d_mean[:, None]).sum(axis=0)
        d_log_variances = (shares * (d_log_variance[:, None] + d_mean[:, None] * (mean[:, None] - means))).sum(axis=0)
        for m, present in enumerate(batch.present):
            x = batch.inputs[m][present]
            self._encoder_gradient(parameters, parts, m, x, hidden[m], d_means[m, present], d_log_variances[m, present])
        n = batch.present.shape[1]
        gradient /= n
        return loss / n, gradient

    def _decoder_gradient(
        self,
        parameters: dict[str, np.ndarray],
        parts: dict[str, np.ndarray],
        m: int,
        batch: _Batch,
        z: np.ndarray,
        wanted: np.ndarray,
        d_z: np.ndarray,
    ) -> float:
        """Add what layer m gives to the gradients and to `d_z` (of the loss); return its log-likelihood."""
        if not wanted.any():
            return 0.0
        _, rows = np.nonzero(wanted)
        position = z[wanted]
        hidden, out = self.decode(parameters, m, position)
        log_likelihood, d_out, d_noise = self.log_likelihood(parameters, m, out, batch, rows)
        parts[f"{m}.noise"] -= d_noise
        parts[f"{m}.out_shift"] -= d_out.sum(axis=0)
        mask = self.masks[m]
        d_weights = hidden.T @ d_out
        parts[f"{m}.out"] -= d_weights if mask is None else d_weights * mask
        d_hidden = d_out @ self._out(parameters, m).T
        if self.linear:
            d_z[wanted] -= d_hidden
        else:
            d_hidden *= 1 - hidden**2
            parts[f"{m}.decode"] -= position.T @ d_hidden
            parts[f"{m}.decode_shift"] -= d_hidden.sum(axis=0)
            d_z[wanted] -= d_hidden @ parameters[f"{m}.decode"].T
        return log_likelihood

    def _encoder_gradient(
        self,
        parameters: dict[str, np.ndarray],
        parts: dict[str, np.ndarray],
        m: int,
        x: np.ndarray,
        hidden: np.ndarray,
        d_mean: np.ndarray,
        d_log_variance: np.ndarray,
    ) -> None:
        parts[f"{m}.mean"] += hidden.T @ d_mean
        parts[f"{m}.mean_shift"] += d_mean.sum(axis=0)
        parts[f"{m}.spread"] += hidden.T @ d_log_variance
        parts[f"{m}.spread_shift"] += d_log_variance.sum(axis=0)
        d_hidden = d_mean @ parameters[f"{m}.mean"].T + d_log_variance @ parameters[f"{m}.spread"].T
        d_hidden *= 1 - hidden**2
        parts[f"{m}.encode"] += x.T @ d_hidden
        parts[f"{m}.encode_shift"] += d_hidden.sum(axis=0)


def _gaussian_gradient(
    x: np.ndarray, mean: np.ndarray, log_variance: np.ndarray, measured: np.ndarray | None
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood, its gradient in the means (written in their place), and in each feature's log-variance."""
    residual = np.subtract(x, mean, out=mean)
    if measured is not None:
        residual *= measured
    precision = np.exp(-log_variance)
    squares = np.einsum("nd,nd->d", residual, residual) * precision
    n_measured = np.full(len(log_variance), len(x), x.dtype) if measured is None else measured.sum(axis=0)
    offset = n_measured @ (log_variance + x.dtype.type(LOG_TWO_PI))
    residual *= precision
    return -0.5 * float(squares.sum(dtype=float) + offset), residual, 0.5 * (squares - n_measured)


def _negative_binomial_gradient(
    x: np.ndarray, logits: np.ndarray, log_size: np.ndarray, totals: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """The same for counts: means are the sample's total times softmax(logits)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    share = np.exp(shifted)
    share /= share.sum(axis=1, keepdims=True)
    mean = totals * share + x.dtype.type(1e-8)
    size = np.exp(log_size)
    log_likelihood = float(negative_binomial_log_likelihood(x, mean, log_size).sum())
    over = (x + size) / (mean + size)
    d_share = (x / mean - over) * (mean - x.dtype.type(1e-8))
    d_logits = d_share - share * d_share.sum(axis=1, keepdims=True)
    d_log_size = size * (digamma(x + size) - digamma(size) + log_size - np.log(size + mean) + 1 - over)
    return log_likelihood, d_logits, d_log_size.sum(axis=0)


class _Adam:
    """Kingma & Ba 2015: steps scaled by running means of the gradient and of its square, all in place."""

    def __init__(self, n: int, dtype: Any, rate: float) -> None:
        self.rate, self.steps = rate, 0
        self.mean, self.square, self.room = (np.zeros(n, dtype) for _ in range(3))

    def step(self, vector: np.ndarray, gradient: np.ndarray) -> None:
        self.steps += 1
        self.mean *= 0.9
        self.mean += np.multiply(gradient, 0.1, out=self.room)
        self.square *= 0.999
        np.multiply(gradient, gradient, out=self.room)
        self.room *= 0.001
        self.square += self.room
        np.divide(self.square, 1 - 0.999**self.steps, out=self.room)
        np.sqrt(self.room, out=self.room)
        self.room += 1e-8
        np.divide(self.mean, self.room, out=self.room)
        self.room *= self.rate / (1 - 0.9**self.steps)
        vector -= self.room


# --- The layers ------------------------------------------------------------------------------------------------------


class _Form(NamedTuple):
    """What is known of a layer before training: its features, and how values become inputs."""

    features: pd.Index
    likelihood: str
    centre: np.ndarray
    scale: np.ndarray


def _read(layers: Any) -> tuple[dict[str, Any], pd.Index | None, int]:
    """Layers by name, the labels of all samples (None for arrays), and their number."""
    named = named_layers(layers)
    samples = all_samples(named)
    return named, samples, len(next(iter(named.values()))) if samples is None else len(samples)


def _form(name: str, table: Any, matrix: np.ndarray, likelihood: str) -> _Form:
    """Learn centre and scale of a layer; counts are read as logarithms of counts per median total."""
    features = labels(table, 1)
    present = matrix[~np.isnan(matrix).all(axis=1)]
    if len(present) < 2:
        raise ValueError(f"{name} was measured in {len(present)} samples; at least 2 are needed")
    if likelihood == "negative_binomial":
        _require_counts(name, present, features)
        present = _log_counts(present)
    measured = ~np.isnan(present)
    if (measured.sum(axis=0) < 2).any():
        feature = features[int(np.argmin(measured.sum(axis=0)))]
        raise ValueError(f"feature {feature!r} of {name} was measured in fewer than 2 samples; leave it out")
    centre, scale = np.nanmean(present, axis=0), np.nanstd(present, axis=0, ddof=1)
    constant = scale <= 1e-12 * np.maximum(np.abs(centre), 1.0)
    if constant.any() and likelihood == "gaussian":
        raise ValueError(
            f"{int(constant.sum())} of {len(features)} features of {name} never vary, the first is "
            f"{features[int(np.argmax(constant))]!r}; leave them out"
        )
    return _Form(features, likelihood, centre, np.where(constant, 1.0, scale))


def _require_counts(name: str, matrix: np.ndarray, features: pd.Index) -> None:
    bad = np.isnan(matrix) | (matrix < 0) | (matrix != np.round(matrix))
    if bad.any():
        row, column = divmod(int(np.argmax(bad)), matrix.shape[1])
        raise ValueError(
            f"{name} has {matrix[row, column]:g} for feature {features[column]!r}; the negative binomial needs counts, "
            "whole numbers of at least 0 without gaps"
        )
    if not (matrix.sum(axis=1) > 0).all():
        raise ValueError(f"{name} has a sample without any count")


def _log_counts(counts: np.ndarray) -> np.ndarray:
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def _batch(forms: dict[str, _Form], matrices: Mapping[str, np.ndarray], n_samples: int, dtype: Any) -> _Batch:
    """All samples as the network sees them; a layer of the model that is not given is absent."""
    inputs, targets, measured, sizes = [], [], [], []
    present = np.zeros((len(forms), n_samples), dtype=bool)
    for m, (name, form) in enumerate(forms.items()):
        matrix = matrices.get(name)
        if matrix is None:
            matrix = np.full((n_samples, len(form.features)), np.nan)
        gaps = np.isnan(matrix)
        present[m] = ~gaps.all(axis=1)
        counts = form.likelihood == "negative_binomial"
        values = np.full_like(matrix, np.nan)
        if counts:
            _require_counts(name, matrix[present[m]], form.features)
            values[present[m]] = _log_counts(matrix[present[m]])
        else:
            values = matrix
        standard = np.where(gaps, 0.0, (values - form.centre) / form.scale).astype(dtype)
        inputs.append(standard)
        targets.append(np.where(gaps, 0.0, matrix).astype(dtype) if counts else standard)
        some_gaps = bool(gaps[present[m]].any())
        measured.append((~gaps).astype(dtype) if some_gaps else None)
        sizes.append(np.nansum(matrix, axis=1, keepdims=True).astype(dtype) if counts else None)
    return _Batch(inputs, targets, measured, sizes, present)


# --- The models ------------------------------------------------------------------------------------------------------


class MultimodalVAE(TransformerMixin, BaseEstimator):
    """Multimodal variational autoencoder with a product of experts.

    Parameters
    ----------
    latent : dimensions of the latent space
    hidden : units of the one hidden layer of each encoder and decoder (tanh)
    likelihoods : dict layer → "gaussian" (standardised inside; the default) or "negative_binomial" (counts)
    decoder : "mlp", or "linear", whose weights can be read
    masks : dict layer → (n_features, latent) bool, with a linear decoder: which feature may depend on which dimension,
        for example by pathway
    single_layer_terms : also train every encoder to speak alone; needed to fill in a missing layer
    beta : weight of the KL divergence; only 1 gives a bound of the evidence
    epochs, batch_size, learning_rate : of Adam
    validation_fraction : share of samples held out to watch for overfitting; 0 for none
    patience : epochs without a better bound on the samples held out after which training stops
    dtype : "float32", or "float64" for checking
    progress : write one line to standard error that follows the training
    random_state : seed of weights, batches and draws

    Attributes
    ----------
    latent_ : (n_samples, latent) DataFrame or array, posterior means of the samples fitted
    history_ : DataFrame[loss, validation_bound], one row per epoch; in nats per sample
    n_parameters_ : int

    Notes
    -----
    The latent axes mean nothing by themselves: rotated with all weights, the bound is the same. A linear decoder with
    masks gives them meaning. Memory: one copy of the layers in `dtype`, and three of the parameters.

    References
    ----------
    Kingma & Welling 2014, ICLR; Wu & Goodman 2018, NeurIPS

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(100, 2))
    >>> layers = {"rna": z @ rng.normal(size=(2, 30)) + 0.3 * rng.normal(size=(100, 30)),
    ...           "protein": z @ rng.normal(size=(2, 20)) + 0.3 * rng.normal(size=(100, 20))}
    >>> model = MultimodalVAE(latent=2, hidden=16, epochs=60).fit(layers)
    >>> filled = model.impute({"rna": layers["rna"]})["protein"]
    >>> bool(np.mean((filled - layers["protein"]) ** 2) < 0.5 * layers["protein"].var())
    True
    """

    def __init__(
        self,
        latent: int = 10,
        *,
        hidden: int = 64,
        likelihoods: dict[str, str] | None = None,
        decoder: str = "mlp",
        masks: dict[str, Any] | None = None,
        single_layer_terms: bool = True,
        beta: float = 1.0,
        epochs: int = 200,
        batch_size: int = 64,
        learning_rate: float = 2e-3,
        validation_fraction: float = 0.1,
        patience: int = 30,
        dtype: str = "float32",
        progress: bool = False,
        random_state: int = 0,
    ) -> None:
        self.latent = latent
        self.hidden = hidden
        self.likelihoods = likelihoods
        self.decoder = decoder
        self.masks = masks
        self.single_layer_terms = single_layer_terms
        self.beta = beta
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.dtype = dtype
        self.progress = progress
        self.random_state = random_state

    def fit(self, layers: Any, y: Any = None) -> MultimodalVAE:  # noqa: ARG002 (scikit-learn passes y)
        """Train on the layers.

        Parameters
        ----------
        layers : dict or list of (n_samples, n_features) DataFrames or arrays; NaN where nothing was measured
            DataFrames are matched by label, and one may lack samples that others have; arrays have a row for each.
        y : ignored

        Raises
        ------
        ValueError : a bad parameter, a sample without any layer, a feature that never varies, values that are no counts
        """
        named, samples, n_samples = _read(layers)
        self._check_parameters(named)
        matrices = {name: whole_matrix(name, table, samples) for name, table in named.items()}
        kinds = self.likelihoods or {}
        self._forms = {
            name: _form(name, table, matrices[name], kinds.get(name, "gaussian")) for name, table in named.items()
        }
        whole = _batch(self._forms, matrices, n_samples, self.dtype)
        require_some_layer(whole.present, samples)
        self._network = self._make_network()
        self.n_parameters_ = self._network.n_parameters
        self._train(whole)
        self.latent_ = self._latent_of(whole, samples)
        return self

    def encode(self, layers: Any) -> tuple[Any, Any]:
        """Posterior mean and log-variance of samples, (n_samples, latent) each, from whichever layers they have.

        Raises
        ------
        ValueError : a layer or features that the model does not know, a sample without any layer
        """
        batch, samples = self._batch_of(layers)
        mean, log_variance = self._posterior(batch)
        return self._labelled(mean, samples), self._labelled(log_variance, samples)

    def transform(self, layers: Any) -> Any:
        """Posterior means of samples, (n_samples, latent)."""
        return self.encode(layers)[0]

    def decode(self, z: Any, *, totals: Any = None) -> dict[str, Any]:
        """What every layer is expected to look like at latent positions, in the layers' own units.

        Parameters
        ----------
        z : (n, latent) DataFrame or array
        totals : dict layer → (n,), total counts of negative binomial layers; 1 gives shares

        Returns
        -------
        dict of (n, n_features) tables
        """
        position = as_matrix(z, "z")
        if position.shape[1] != self.latent:
            raise ValueError(f"z must have {self.latent} columns, one per latent dimension; got {position.shape[1]}")
        parameters = self._network.views(self._vector)
        found = {}
        for m, (name, form) in enumerate(self._forms.items()):
            out = self._network.decode(parameters, m, position.astype(self.dtype))[1].astype(float)
            if form.likelihood == "gaussian":
                values = out * form.scale + form.centre
            else:
                share = np.exp(out - logsumexp(out, axis=1, keepdims=True))
                values = share * np.reshape((totals or {}).get(name, np.ones(len(out))), (-1, 1))
            labelled = isinstance(z, pd.DataFrame)
            found[name] = pd.DataFrame(values, index=z.index, columns=form.features) if labelled else values
        return found

    def impute(self, layers: Any) -> dict[str, Any]:
        """Every layer of the model for every sample: measured values as they are, the rest as decoded from the others.

        Counts that were not measured are filled for a sample of the layer's median total.

        Raises
        ------
        ValueError : as for `encode`
        """
        named, samples, _ = _read(layers)
        decoded = self.decode(self.transform(layers), totals=self._median_totals(len(self.transform(layers))))
        for name, table in named.items():
            matrix = whole_matrix(name, table, samples)
            filled = np.where(np.isnan(matrix), np.asarray(decoded[name]), matrix)
            decoded[name] = filled if samples is None else pd.DataFrame(filled, index=samples, columns=table.columns)
        return decoded

    def score(self, layers: Any, y: Any = None) -> float:  # noqa: ARG002 (scikit-learn passes y)
        """Mean evidence bound of samples in nats, features in standard units; with fixed draws, so that it repeats."""
        batch, _ = self._batch_of(layers)
        return self._network.bound(self._vector, batch, self._fixed_noise(batch.present.shape[1]))

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one file (.npz) that holds numbers and text only, never code."""
        about = {"parameters": self.get_params(), "layers": {}}
        arrays = {"vector": self._vector}
        about["parameters"]["masks"] = None
        for m, (name, form) in enumerate(self._forms.items()):
            about["layers"][name] = {"likelihood": form.likelihood, "features": _plain(form.features, name)}
            arrays |= {f"centre_{m}": form.centre, f"scale_{m}": form.scale}
            mask = self._network.masks[m]
            if mask is not None:
                arrays[f"mask_{m}"] = mask.T.astype(bool)
        arrays["totals"] = np.array([self._totals.get(name, 0.0) for name in self._forms])
        with open(path, "wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> MultimodalVAE:
        """Read a model that `save` wrote.

        Raises
        ------
        ValueError : the file is not one
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            about = json.loads(str(arrays["about"]))
            model = cls(**about["parameters"])
            model._forms = {
                name: _Form(pd.Index(told["features"]), told["likelihood"], arrays[f"centre_{m}"], arrays[f"scale_{m}"])
                for m, (name, told) in enumerate(about["layers"].items())
            }
            masks = {name: arrays.get(f"mask_{m}") for m, name in enumerate(about["layers"])}
            model.masks = {name: mask for name, mask in masks.items() if mask is not None} or None
            model._network = model._make_network()
            model._vector = arrays["vector"]
            model._totals = dict(zip(about["layers"], arrays["totals"].tolist(), strict=True))
            if model._vector.shape != (model._network.n_parameters,):
                raise ValueError("the number of weights is another")
        except (KeyError, TypeError, ValueError, OSError) as problem:
            raise ValueError(f"{path} is not a model that MultimodalVAE.save wrote: {problem}") from None
        model.n_parameters_ = model._network.n_parameters
        return model

    # Steps of fit, in order

    def _check_parameters(self, named: dict[str, Any]) -> None:
        for name in ("latent", "hidden", "epochs", "batch_size", "patience"):
            require_integer(getattr(self, name), name)
        require_number(self.beta, "beta", low=0)
        require_between(self.learning_rate, "learning_rate", 0, 1)
        require_number(self.validation_fraction, "validation_fraction", low=0, high=0.5)
        if self.decoder not in ("mlp", "linear"):
            raise ValueError(f'decoder must be "mlp" or "linear"; got {self.decoder!r}')
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f'dtype must be "float32" or "float64"; got {self.dtype!r}')
        for option in ("likelihoods", "masks"):
            for name in getattr(self, option) or {}:
                if name not in named:
                    raise ValueError(f"{option} names layer {name!r}; the layers are {', '.join(named)}")
        for name, kind in (self.likelihoods or {}).items():
            if kind not in LIKELIHOODS:
                raise ValueError(f"the likelihood of {name} must be one of {', '.join(LIKELIHOODS)}; got {kind!r}")
        if self.masks and self.decoder != "linear":
            raise ValueError('masks need decoder="linear": in a network of hidden units no weight belongs to a pathway')

    def _make_network(self) -> _Network:
        masks: list[np.ndarray | None] = []
        for name, form in self._forms.items():
            mask = (self.masks or {}).get(name)
            if mask is None:
                masks.append(None)
                continue
            matrix = np.asarray(mask)
            if matrix.shape != (len(form.features), self.latent):
                raise ValueError(
                    f"the mask of {name} must be features × latent, {(len(form.features), self.latent)}; "
                    f"got {matrix.shape}"
                )
            masks.append(matrix.T.astype(self.dtype))
        return _Network(
            [len(form.features) for form in self._forms.values()],
            [form.likelihood for form in self._forms.values()],
            latent=self.latent,
            hidden=self.hidden,
            linear=self.decoder == "linear",
            masks=masks,
            beta=self.beta,
            single_layer_terms=self.single_layer_terms,
        )

    def _train(self, whole: _Batch) -> None:
        rng = np.random.default_rng(self.random_state)
        n_samples = whole.present.shape[1]
        self._totals = {
            name: float(np.median(sizes[sizes > 0]))
            for name, sizes in zip(self._forms, whole.sizes, strict=True)
            if sizes is not None
        }
        order = rng.permutation(n_samples)
        n_held_out = round(self.validation_fraction * n_samples)
        held_out, training = order[:n_held_out], order[n_held_out:]
        watch = whole.take(held_out) if n_held_out else None
        vector = self._network.start(rng, self.dtype)
        adam = _Adam(len(vector), self.dtype, self.learning_rate)
        best, best_vector, since = -np.inf, vector.copy(), 0
        history = []
        for epoch in range(self.epochs):
            losses = [self._one_batch(whole, rows, vector, adam, rng) for rows in self._parts(training, rng)]
            bound = np.nan if watch is None else self._network.bound(vector, watch, self._fixed_noise(n_held_out))
            history.append((float(np.mean(losses)), bound))
            if not np.isfinite(history[-1][0]):
                raise ValueError(
                    f"training diverged in epoch {epoch + 1}; lower learning_rate, now {self.learning_rate:g}"
                )
            if watch is not None and bound <= best:
                since += 1
            else:
                best, since = bound, 0
                best_vector[:] = vector
            if self.progress:
                _show(epoch + 1, self.epochs, history[-1])
            if watch is not None and since >= self.patience:
                break
        if self.progress:
            print(file=sys.stderr)
        self._vector = best_vector
        self.history_ = pd.DataFrame(
            history, columns=["loss", "validation_bound"], index=pd.RangeIndex(1, len(history) + 1, name="epoch")
        )

    def _parts(self, training: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        shuffled = rng.permutation(training)
        return np.array_split(shuffled, max(1, round(len(shuffled) / self.batch_size)))

    def _one_batch(
        self, whole: _Batch, rows: np.ndarray, vector: np.ndarray, adam: _Adam, rng: np.random.Generator
    ) -> float:
        batch = whole.take(rows)
        n_terms = 1 + len(self._forms) * self.single_layer_terms
        noise = rng.standard_normal((n_terms, len(rows), self.latent), dtype=np.dtype(self.dtype))
        loss, gradient = self._network.loss_and_gradient(vector, batch, noise)
        adam.step(vector, gradient)
        return loss

    # What the fitted model knows

    def _fixed_noise(self, n: int) -> np.ndarray:
        return np.random.default_rng(self.random_state + 1).normal(size=(n, self.latent)).astype(self.dtype)

    def _batch_of(self, layers: Any) -> tuple[_Batch, pd.Index | None]:
        named, samples, n_samples = _read(layers)
        require_known_features(named, {name: form.features for name, form in self._forms.items()})
        matrices = {name: whole_matrix(name, table, samples) for name, table in named.items()}
        batch = _batch(self._forms, matrices, n_samples, self.dtype)
        require_some_layer(batch.present, samples)
        return batch, samples

    def _posterior(self, batch: _Batch) -> tuple[np.ndarray, np.ndarray]:
        _, means, log_variances = self._network.experts(self._network.views(self._vector), batch)
        return product_of_experts(means, log_variances, batch.present)

    def _latent_of(self, batch: _Batch, samples: pd.Index | None) -> Any:
        return self._labelled(self._posterior(batch)[0], samples)

    def _labelled(self, table: np.ndarray, samples: pd.Index | None) -> Any:
        if samples is None:
            return table
        return pd.DataFrame(table, index=samples, columns=[f"Latent{k + 1}" for k in range(self.latent)])

    def _median_totals(self, n: int) -> dict[str, np.ndarray]:
        return {name: np.full(n, total) for name, total in self._totals.items()}


class IndependentAutoencoders(TransformerMixin, BaseEstimator):
    """One autoencoder per layer, which know nothing of each other: what the multimodal one is to be compared with.

    Parameters
    ----------
    latent : dimensions of each layer's latent space
    options : dict of further parameters of `MultimodalVAE`

    Attributes
    ----------
    models_ : dict layer → MultimodalVAE of that layer alone

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> layers = {"rna": rng.normal(size=(40, 6)), "protein": rng.normal(size=(40, 5))}
    >>> IndependentAutoencoders(latent=2, options={"epochs": 3}).fit(layers).transform(layers).shape
    (40, 4)
    """

    def __init__(self, latent: int = 10, options: dict[str, Any] | None = None) -> None:
        self.latent = latent
        self.options = options

    def fit(self, layers: Any, y: Any = None) -> IndependentAutoencoders:  # noqa: ARG002 (scikit-learn passes y)
        """Train one model per layer on the samples that have it."""
        named, _, _ = _read(layers)
        self.models_ = {}
        for name, table in named.items():
            options = dict(self.options or {})
            for part in ("likelihoods", "masks"):
                if options.get(part) is not None:
                    options[part] = {key: value for key, value in options[part].items() if key == name} or None
            present = ~np.isnan(np.asarray(table, dtype=float)).all(axis=1)
            self.models_[name] = MultimodalVAE(self.latent, **options).fit({name: table[present]})
        return self

    def transform(self, layers: Any) -> Any:
        """All layers' latent positions side by side; 0, the prior's mean, where a sample lacks a layer."""
        named, samples, n_samples = _read(layers)
        parts = []
        for name, model in self.models_.items():
            part = np.zeros((n_samples, self.latent))
            if name in named:
                matrix = whole_matrix(name, named[name], samples)
                present = ~np.isnan(matrix).all(axis=1)
                table = pd.DataFrame(matrix[present], columns=labels(named[name], 1))
                part[present] = np.asarray(model.transform({name: table}))
            parts.append(part)
        together = np.hstack(parts)
        if samples is None:
            return together
        names = [f"{name} {k + 1}" for name in self.models_ for k in range(self.latent)]
        return pd.DataFrame(together, index=samples, columns=names)

    def impute(self, layers: Any) -> dict[str, Any]:
        """Every layer for every sample; a layer that a sample lacks is what the prior's mean decodes to.

        No other layer can say more, since the models never met.
        """
        named, samples, _ = _read(layers)
        position = np.asarray(self.transform(layers))
        found = {}
        for m, (name, model) in enumerate(self.models_.items()):
            mine = position[:, m * self.latent : (m + 1) * self.latent]
            values = np.asarray(model.decode(mine, totals=model._median_totals(len(mine)))[name])
            if name in named:
                matrix = whole_matrix(name, named[name], samples)
                values = np.where(np.isnan(matrix), values, matrix)
            features = model._forms[name].features
            found[name] = values if samples is None else pd.DataFrame(values, index=samples, columns=features)
        return found


def _plain(features: pd.Index, name: str) -> list[Any]:
    """Labels as JSON can hold them."""
    if all(isinstance(feature, str) for feature in features):
        return [str(feature) for feature in features]
    if all(isinstance(feature, (int, np.integer)) for feature in features):
        return [int(feature) for feature in features]
    raise ValueError(f"the features of {name} must be all words or all whole numbers to be saved")


def _show(epoch: int, epochs: int, reached: tuple[float, float]) -> None:
    width = 24
    done = "█" * round(width * epoch / epochs)
    print(f"\r{done:<{width}} epoch {epoch}/{epochs}, loss {reached[0]:.1f}", end="", file=sys.stderr, flush=True)
