"""The pieces of the evidence bound: who says where a sample lies, what that costs, and how well it explains the data.

Arrays of single precision stay so, since a network is trained in it; everything else is computed in double precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import betaln, logsumexp

LOG_TWO_PI = float(np.log(2 * np.pi))


def as_floats(*values: Any) -> list[np.ndarray]:
    """Arrays of floating numbers; single precision is kept.

    >>> [part.dtype.name for part in as_floats([1, 2], np.zeros(2, np.float32))]
    ['float64', 'float32']
    """
    arrays = [np.asarray(value) for value in values]
    return [array if array.dtype == np.float32 else array.astype(float, copy=False) for array in arrays]


def require_experts(opinions: tuple[np.ndarray, np.ndarray], present: np.ndarray) -> None:
    """Refuse opinions whose shapes do not fit, and a `present` that is not of True and False.

    >>> require_experts((np.zeros((2, 5, 3)), np.zeros((2, 5, 3))), np.ones((5, 2), dtype=bool))
    Traceback (most recent call last):
    ValueError: means and log_variances must be (layers, n, latent) and present (layers, n); got shapes (2, 5, 3),
    (2, 5, 3) and (5, 2)
    """
    means, log_variances = opinions
    if means.ndim != 3 or log_variances.shape != means.shape or present.shape != means.shape[:2]:
        raise ValueError(
            "means and log_variances must be (layers, n, latent) and present (layers, n); got shapes "
            f"{means.shape}, {log_variances.shape} and {present.shape}"
        )
    if present.dtype != bool:
        raise ValueError(f"present must be True or False; got {present.dtype}")


def require_posterior(mean: np.ndarray, log_variance: np.ndarray) -> None:
    """Refuse a posterior whose mean and log-variance are not tables of one shape.

    >>> require_posterior(np.zeros((5, 3)), np.zeros(3))
    Traceback (most recent call last):
    ValueError: mean and log_variance must both be (n, latent); got (5, 3) and (3,)
    """
    if mean.ndim != 2 or mean.shape != log_variance.shape:
        raise ValueError(f"mean and log_variance must both be (n, latent); got {mean.shape} and {log_variance.shape}")


def product_of_experts(means: Any, log_variances: Any, present: Any) -> tuple[np.ndarray, np.ndarray]:
    """Multiply normal opinions on the latent position, the prior N(0, I) among them.

    Parameters
    ----------
    means, log_variances : (layers, n, latent), of each layer's expert
    present : (layers, n) bool; what an absent layer says is ignored, even NaN

    Returns
    -------
    mean, log_variance : (n, latent)

    Raises
    ------
    ValueError : shapes that do not fit, or a `present` that is not bool

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
    means, log_variances = as_floats(means, log_variances)
    present = np.asarray(present)
    require_experts((means, log_variances), present)
    log_precisions = np.where(present[..., None], -log_variances, -np.inf)
    prior = np.zeros_like(log_precisions[:1])
    log_variance = -logsumexp(np.concatenate([prior, log_precisions]), axis=0)
    share = np.exp(log_precisions + log_variance)
    heard = np.where(present[..., None], means, 0)
    return (share * heard).sum(axis=0), log_variance


def kl_divergence(mean: Any, log_variance: Any) -> np.ndarray:
    """KL divergence of N(mean, exp(log_variance)) from N(0, I), summed over latent dimensions, in nats.

    Parameters
    ----------
    mean, log_variance : (n, latent)

    Returns
    -------
    (n,), never negative

    Raises
    ------
    ValueError : shapes that do not fit

    References
    ----------
    Kingma & Welling 2014, ICLR, appendix B

    Examples
    --------
    >>> kl_divergence([[0.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]])
    array([0., 2.])
    """
    mean, log_variance = as_floats(mean, log_variance)
    require_posterior(mean, log_variance)
    # expm1 keeps the digits where the posterior is almost the prior.
    return 0.5 * np.sum(mean**2 + np.expm1(log_variance) - log_variance, axis=1)


def gaussian_log_likelihood(x: Any, mean: Any, log_variance: Any) -> np.ndarray:
    """Log density of each sample under independent normal features, in nats; NaN takes no part.

    Parameters
    ----------
    x : (n, n_features), NaN where nothing was measured
    mean : (n, n_features), what the decoder expects
    log_variance : (n_features,), of each feature's noise

    Returns
    -------
    (n,)

    Examples
    --------
    >>> gaussian_log_likelihood([[1.0], [np.nan]], [[1.0], [5.0]], [0.0]).round(4)
    array([-0.9189,  0.    ])
    """
    x, mean, log_variance = as_floats(x, mean, log_variance)
    squares = (x - mean) ** 2 * np.exp(-log_variance)
    terms = -0.5 * (LOG_TWO_PI + log_variance + squares)
    return np.where(np.isnan(x), 0, terms).sum(axis=1)


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

    Notes
    -----
    The binomial coefficient is taken from the beta function: for a size of 10¹² a difference of two log-gamma
    functions would be wrong in the third decimal.

    References
    ----------
    Lopez et al. 2018, Nature Methods 15:1053

    Examples
    --------
    >>> negative_binomial_log_likelihood([[0.0]], [[1.0]], [0.0]).round(4)  # ln ½
    array([-0.6931])
    """
    x, mean, log_size = (np.asarray(part, dtype=float) for part in (x, mean, log_size))  # single precision loses counts
    size = np.exp(log_size)
    ways = -betaln(x + 1, size) - np.log(x + size)  # Γ(x + r) / (Γ(r) x!), exact for large r too
    return np.sum(ways - size * np.log1p(mean / size) + x * np.log(mean / (size + mean)), axis=1)


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
    return np.sum(np.asarray(log_likelihoods), axis=0) - beta * kl_divergence(mean, log_variance)
