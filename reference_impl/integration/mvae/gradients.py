"""The derivative of each piece of the bound, uphill: adding a little of it makes the bound larger.

Each function takes the derivative that arrives from what was computed after the piece, and hands on the derivative in
what went into it. `network` chains them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import digamma

from reference_impl.integration.mvae.bound import (
    LOG_TWO_PI,
    as_floats,
    negative_binomial_log_likelihood,
    require_experts,
    require_posterior,
)

LEAST_SHARE = 1e-8  # keeps a mean of counts above zero, where its logarithm ends


def posterior_gradient(
    d_z: Any, mean: Any, log_variance: Any, noise: Any, *, beta: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the bound in the posterior: through the draw z = mean + exp(log_variance / 2) · noise, and the KL.

    Parameters
    ----------
    d_z : (n, latent), gradient of the log-likelihoods at the draw z
    mean, log_variance : (n, latent), of the posterior
    noise : (n, latent), the standard normal numbers that made the draw
    beta : weight of the KL divergence

    Returns
    -------
    d_mean, d_log_variance : (n, latent), of log-likelihoods − beta · KL

    Raises
    ------
    ValueError : shapes that do not fit

    References
    ----------
    Kingma & Welling 2014, ICLR (reparametrisation)

    Examples
    --------
    >>> posterior_gradient([[1.0]], [[2.0]], [[0.0]], [[3.0]])
    (array([[-1.]]), array([[1.5]]))
    """
    d_z, mean, log_variance, noise = as_floats(d_z, mean, log_variance, noise)
    require_posterior(mean, log_variance)
    through_draw = d_z * noise * np.exp(log_variance / 2) / 2
    return d_z - beta * mean, through_draw - beta / 2 * np.expm1(log_variance)


def product_gradient(
    means: Any, log_variances: Any, present: Any, mean: Any, log_variance: Any, d_mean: Any, d_log_variance: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Hand the gradient in a product of experts on to each expert.

    Parameters
    ----------
    means, log_variances : (layers, n, latent), of each expert
    present : (layers, n) bool
    mean, log_variance : (n, latent), what `product_of_experts` made of them
    d_mean, d_log_variance : (n, latent), gradient in those

    Returns
    -------
    d_means, d_log_variances : (layers, n, latent); 0 for an absent layer

    Raises
    ------
    ValueError : shapes that do not fit

    Examples
    --------
    >>> of_mean, of_spread = product_gradient([[[4.0]]], [[[0.0]]], [[True]], [[2.0]], [[-np.log(2)]], [[1.0]], [[0.0]])
    >>> of_mean, of_spread
    (array([[[0.5]]]), array([[[-1.]]]))
    """
    means, log_variances, mean, log_variance = as_floats(means, log_variances, mean, log_variance)
    d_mean, d_log_variance = as_floats(d_mean, d_log_variance)
    present = np.asarray(present)
    require_experts((means, log_variances), present)
    there = present[..., None]
    share = np.exp(np.where(there, log_variance - log_variances, -np.inf))
    pull = np.where(there, mean - means, 0)
    return share * d_mean, share * (d_log_variance + d_mean * pull)


def gaussian_gradient(
    x: np.ndarray, mean: np.ndarray, log_variance: np.ndarray, measured: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`gaussian_log_likelihood` with its gradient in the means and in each feature's log-variance.

    Parameters
    ----------
    x, mean : (n, n_features)
    log_variance : (n_features,)
    measured : (n, n_features) of 1 where x was measured and 0 elsewhere; None if all was

    Returns
    -------
    log_likelihood, d_mean, d_log_variance : (n,), (n, n_features), (n_features,)

    Examples
    --------
    >>> gaussian_gradient(np.array([[3.0]]), np.array([[1.0]]), np.array([0.0]))[1:]
    (array([[2.]]), array([1.5]))
    """
    residual = x - mean
    if measured is not None:
        residual *= measured
    d_mean = residual * np.exp(-log_variance)
    squares = residual * d_mean
    n_measured = np.full(len(log_variance), len(x), x.dtype) if measured is None else measured.sum(axis=0)
    constant = log_variance + x.dtype.type(LOG_TWO_PI)
    offset = constant.sum() if measured is None else measured @ constant
    return -0.5 * (squares.sum(axis=1) + offset), d_mean, 0.5 * (squares.sum(axis=0) - n_measured)


def linear_gaussian_gradient(
    x: np.ndarray,
    sample: np.ndarray,
    hidden: np.ndarray,
    weights: np.ndarray,
    shift: np.ndarray,
    log_variance: np.ndarray,
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`gaussian_gradient` at means = hidden · weights + shift, chained down to all four, without forming the means.

    Where several rows explain the same sample, the square of a residual is opened: x is then needed once per sample,
    not once per row, and the hidden units only through hiddenᵀ · hidden.

    Parameters
    ----------
    x : (n, n_features), complete
    sample : (rows,) int, the sample that each row explains; every sample is explained by some row
    hidden : (rows, units)
    weights, shift, log_variance : (units, n_features), (n_features,), (n_features,)

    Returns
    -------
    log_likelihood : of all rows together
    d_hidden, d_weights, d_shift, d_log_variance : with the shapes of what they are the gradients in

    Examples
    --------
    Two rows explain one value, 3: by 1, and by 2. Their residuals, 2 and 1, add up.

    >>> x, sample, hidden, zero = np.array([[3.0]]), np.array([0, 0]), np.array([[1.0], [2.0]]), np.zeros(1)
    >>> linear_gaussian_gradient(x, sample, hidden, np.array([[1.0]]), zero, zero)[1:]
    (array([[2.],
           [1.]]), array([[4.]]), array([3.]), array([1.5]))
    """
    spread = np.exp(log_variance / 2)
    x, weights = (x - shift) / spread, weights / spread  # in units of the noise, where all features weigh alike
    rows_of = np.bincount(sample, minlength=len(x)).astype(x.dtype)
    product = sum_by_sample(hidden, sample).T @ x  # hiddenᵀ · x of each row
    left = product - (hidden.T @ hidden) @ weights  # hiddenᵀ · residual
    totals = rows_of @ x**2
    product += left
    squares = totals - np.einsum("up,up->p", weights, product)
    squares = np.maximum(squares, np.finfo(x.dtype).eps * totals)  # the difference is not known better than that
    log_likelihood = -0.5 * float(squares.sum() + len(hidden) * (log_variance + x.dtype.type(LOG_TWO_PI)).sum())
    d_hidden = (x @ weights.T)[sample] - hidden @ (weights @ weights.T)
    d_shift = (rows_of @ x - hidden.sum(axis=0) @ weights) / spread
    left /= spread
    return log_likelihood, d_hidden, left, d_shift, 0.5 * (squares - len(hidden))


def sum_by_sample(rows: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """The sum of each sample's rows; every sample has some.

    >>> sum_by_sample(np.array([[1.0], [2.0], [4.0]]), np.array([1, 0, 1]))
    array([[2.],
           [5.]])
    """
    order = np.argsort(sample, kind="stable")
    begin = np.searchsorted(sample[order], np.arange(sample.max() + 1))
    return np.add.reduceat(rows[order], begin)


def negative_binomial_gradient(
    x: np.ndarray, logits: np.ndarray, log_size: np.ndarray, totals: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`negative_binomial_log_likelihood` of means totals · softmax(logits), with its gradients.

    Parameters
    ----------
    x, logits : (n, n_features)
    log_size : (n_features,)
    totals : (n, 1), counts per sample

    Returns
    -------
    log_likelihood, d_logits, d_log_size : (n,), (n, n_features), (n_features,)

    Examples
    --------
    >>> counts, logits = np.array([[3.0, 1.0]]), np.zeros((1, 2))
    >>> negative_binomial_gradient(counts, logits, np.zeros(2), np.array([[4.0]]))[1].round(3)
    array([[ 0.333, -0.333]])
    """
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    by_share = totals * share
    mean = by_share + x.dtype.type(LEAST_SHARE)
    size = np.exp(log_size)
    over = (x + size) / (mean + size)
    d_log_share = (x / mean - over) * by_share
    d_logits = d_log_share - share * d_log_share.sum(axis=1, keepdims=True)
    d_log_size = size * (digamma(x + size) - digamma(size) - np.log1p(mean / size) + 1 - over)
    return negative_binomial_log_likelihood(x, mean, log_size), d_logits, d_log_size.sum(axis=0)


def tanh_gradient(x: np.ndarray, hidden: np.ndarray, d_hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Backwards through hidden = tanh(x · weights + shift).

    Parameters
    ----------
    x, hidden : (n, p), (n, units)
    d_hidden : (n, units), gradient in the hidden units

    Returns
    -------
    d_before, d_weights, d_shift : (n, units), (p, units), (units,); the gradient in x is d_before · weightsᵀ

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> tanh_gradient(2 * one, 0 * one, 3 * one)
    (array([[3.]]), array([[6.]]), array([3.]))
    """
    d_before = d_hidden * (1 - hidden**2)
    return d_before, x.T @ d_before, d_before.sum(axis=0)
