"""Multi-omics factor analysis: a few hidden factors that explain what the layers share and what each has alone.

The model of layer m, feature d and sample n:

    y = Σ_k z[n, k] · w[d, k] + noise,   noise ~ N(0, 1 / τ[d]),   z[n, k] ~ N(0, 1)
    w[d, k] = 0 with probability 1 − θ[m, k], otherwise w[d, k] ~ N(0, 1 / α[m, k])

α says how strongly a factor acts in a layer (automatic relevance), θ in how many of the layer's features (sparsity): a
factor that a layer does not have costs nothing there. All of it has a posterior. Variational Bayes takes the best one
of the form q(z) q(w) q(α) q(θ) q(τ): each part is updated to its optimum while the others stand still, so the evidence
bound rises with every step. The functions below are those steps; `MOFA` runs them.

Rows are samples, columns are features. A sample may miss a whole layer, and a layer may have gaps: what was not
measured takes no part. Following Argelaguet et al. 2018 (Molecular Systems Biology 14:e8124) and 2020 (Genome Biology
21:111), with two differences: the posterior is joint over the factors of a sample, and the switched-off weights are
exactly zero instead of draws that are multiplied by zero. Both make the bound tighter.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import eigh
from scipy.special import betaln, digamma, entr, expit, gammaln
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import ConvergenceWarning

from reference_impl.integration.layers import all_samples, named_layers, require_known_features, require_some_layer
from reference_impl.validation import as_matrix, labels, require_between, require_integer, require_number

PRIOR_SHAPE = PRIOR_RATE = 1e-3  # of the Gamma priors on precisions: almost no opinion
WARM_UP = 3  # iterations in which every weight is kept, so that no factor is switched off before it has formed
DROP_EVERY = 5  # iterations between two looks at which factors explain nothing
QUIET = 3  # iterations in a row that must gain less than the tolerance: one small step proves nothing


# --- The steps -------------------------------------------------------------------------------------------------------


class Gamma(NamedTuple):
    """Gamma distributions of precisions, by shape and rate.

    >>> Gamma(np.array([2.0]), np.array([4.0])).mean
    array([0.5])
    """

    shape: np.ndarray
    rate: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """E[x]."""
        return self.shape / self.rate

    @property
    def mean_log(self) -> np.ndarray:
        """E[ln x]."""
        return digamma(self.shape) - np.log(self.rate)


class Beta(NamedTuple):
    """Beta distributions of shares.

    >>> Beta(np.array([1.0]), np.array([1.0])).log_odds
    array([0.])
    """

    on: np.ndarray
    off: np.ndarray

    @property
    def log_odds(self) -> np.ndarray:
        """E[ln x] − E[ln(1 − x)]."""
        return digamma(self.on) - digamma(self.off)


class Weights(NamedTuple):
    """What is known of a layer's weights: zero, or with probability `inclusion` normal around `slab_mean`.

    >>> Weights(np.array([[2.0]]), np.array([[1.0]]), np.array([[0.5]])).second_moment
    array([[2.5]])
    """

    slab_mean: np.ndarray
    slab_variance: np.ndarray
    inclusion: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """E[w], (n_features, n_factors)."""
        return self.inclusion * self.slab_mean

    @property
    def second_moment(self) -> np.ndarray:
        """E[w²], (n_features, n_factors)."""
        return self.inclusion * (self.slab_mean**2 + self.slab_variance)


class Beliefs(NamedTuple):
    """The posterior of all parameters of one layer."""

    weights: Weights
    noise: Gamma
    relevance: Gamma
    sparsity: Beta


class LayerSums(NamedTuple):
    """What the updates of a layer need to know of its values and of the factors: sums over the samples measured.

    n_measured (n_features,) number of values; sum_of_squares (n_features,) Σ y²; cross (n_features, n_factors)
    Σ y E[z]; gram (n_factors, n_factors), or one per feature in front, Σ E[z zᵀ].
    """

    n_measured: np.ndarray
    sum_of_squares: np.ndarray
    cross: np.ndarray
    gram: np.ndarray


def factor_evidence(values: np.ndarray, weights: Weights, noise_precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What one layer says about the factors of its samples, given the weights.

    Parameters
    ----------
    values : (n_samples, n_features), centred, without gaps
    weights : of the layer
    noise_precision : (n_features,), E[τ]

    Returns
    -------
    precision : (n_factors, n_factors), Σ_d τ_d E[w_d w_dᵀ], the same for all samples
    signal : (n_samples, n_factors), Σ_d τ_d y_nd E[w_d]

    Notes
    -----
    The weights of different factors are independent in the posterior, so E[w_dj w_dk] is a product of means off the
    diagonal, and on it the second moment: E[w²] = E[w]² + Var(w).

    References
    ----------
    Argelaguet et al. 2018, Molecular Systems Biology 14:e8124, appendix

    Examples
    --------
    >>> weights = Weights(np.array([[1.0]]), np.array([[0.5]]), np.array([[1.0]]))
    >>> factor_evidence(np.array([[3.0], [-1.0]]), weights, np.array([2.0]))
    (array([[3.]]), array([[ 6.],
           [-2.]]))
    """
    scaled = noise_precision[:, None] * weights.mean
    precision = weights.mean.T @ scaled
    spread = noise_precision @ (weights.second_moment - weights.mean**2)
    return precision + np.diag(spread), values @ scaled


def factor_posterior(precisions: np.ndarray, signals: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The factors of every sample, from the layers that it has.

    Parameters
    ----------
    precisions : (n_layers, n_factors, n_factors), see `factor_evidence`; where a layer has gaps, one matrix per sample:
        (n_layers, n_samples, n_factors, n_factors)
    signals : (n_layers, n_samples, n_factors); what stands there for a sample without the layer does not matter
    present : (n_layers, n_samples) bool, which sample has which layer

    Returns
    -------
    mean : (n_samples, n_factors), E[z]
    covariance : (n_samples, n_factors, n_factors)

    Notes
    -----
    covariance = (I + Σ_m precision_m)⁻¹ and mean = covariance · Σ_m signal_m, over the layers m of the sample. I is the
    precision of the prior: a sample without any layer gets the prior, N(0, I).

    References
    ----------
    Argelaguet et al. 2018, Molecular Systems Biology 14:e8124, appendix

    Examples
    --------
    Two layers; the second sample has the first only.

    >>> mean, covariance = factor_posterior(
    ...     np.array([[[3.0]], [[4.0]]]), np.array([[[6.0], [-2.0]], [[2.0], [np.nan]]]),
    ...     np.array([[True, True], [True, False]]))
    >>> mean.ravel(), covariance.ravel()
    (array([ 1. , -0.5]), array([0.125, 0.25 ]))
    """
    n_layers, n_samples, n_factors = np.shape(signals)
    each = np.reshape(precisions, (n_layers, -1, n_factors, n_factors))
    told = np.einsum("mn,mnij->nij", present, np.broadcast_to(each, (n_layers, n_samples, n_factors, n_factors)))
    covariance = np.linalg.inv(np.eye(n_factors) + told)
    signal = np.where(present[:, :, None], signals, 0.0).sum(axis=0)
    return np.einsum("nij,nj->ni", covariance, signal), covariance


def weight_posterior(
    cross: np.ndarray,
    gram: np.ndarray,
    noise_precision: np.ndarray,
    relevance: Gamma,
    sparsity: Beta,
    previous: Weights,
    *,
    select: bool = True,
) -> Weights:
    """A layer's weights, given the factors: one factor after another, each against what the others leave.

    Parameters
    ----------
    cross : (n_features, n_factors), Σ_n y_nd E[z_nk] over the samples in which the feature was measured
    gram : (n_factors, n_factors), or one per feature in front, Σ_n E[z_nj z_nk] over those samples
    noise_precision : (n_features,), E[τ]
    relevance, sparsity : of each factor in this layer
    previous : the weights so far
    select : False keeps the inclusion as it is

    Returns
    -------
    Weights

    Notes
    -----
    With b = τ (cross_k − Σ_{j≠k} E[w_j] gram_jk) and precision c = τ gram_kk + E[α_k]: the slab is N(b/c, 1/c), and
    logit(inclusion) = E[ln θ/(1 − θ)] + ½ E[ln α_k] − ½ ln c + ½ b²/c.

    References
    ----------
    Titsias & Lázaro-Gredilla 2011, NIPS (spike and slab by variational Bayes)

    Examples
    --------
    >>> start = Weights(np.zeros((2, 1)), np.ones((2, 1)), np.ones((2, 1)))
    >>> found = weight_posterior(
    ...     np.array([[50.0], [0.0]]), np.array([[100.0]]), np.ones(2),
    ...     Gamma(np.ones(1), np.ones(1)), Beta(np.ones(1), np.ones(1)), start)
    >>> found.mean.round(2).ravel()
    array([0.5, 0. ])
    >>> found.inclusion.round(2).ravel()
    array([1.  , 0.07])
    """
    slab_mean, slab_variance, inclusion = (part.copy() for part in previous)
    mean = previous.mean
    gram = np.broadcast_to(gram, (len(cross), *gram.shape[-2:]))
    for k in range(cross.shape[1]):
        precision = noise_precision * gram[:, k, k] + relevance.mean[k]
        of_others = np.einsum("dj,dj->d", mean, gram[:, :, k]) - mean[:, k] * gram[:, k, k]
        signal = noise_precision * (cross[:, k] - of_others)
        slab_mean[:, k] = signal / precision
        slab_variance[:, k] = 1 / precision
        if select:
            evidence = relevance.mean_log[k] - np.log(precision) + signal**2 / precision
            inclusion[:, k] = expit(sparsity.log_odds[k] + evidence / 2)
        mean[:, k] = inclusion[:, k] * slab_mean[:, k]
    return Weights(slab_mean, slab_variance, inclusion)


def relevance_posterior(weights: Weights) -> Gamma:
    """How strongly each factor acts in a layer: the precision of the weights that are switched on.

    Parameters
    ----------
    weights : of one layer

    Returns
    -------
    Gamma, (n_factors,): shape = a₀ + ½ Σ_d inclusion, rate = b₀ + ½ Σ_d E[w²]

    Examples
    --------
    >>> weights = Weights(np.full((8, 1), 2.0), np.zeros((8, 1)), np.ones((8, 1)))
    >>> relevance_posterior(weights).mean.round(3)
    array([0.25])
    """
    return Gamma(PRIOR_SHAPE + weights.inclusion.sum(axis=0) / 2, PRIOR_RATE + weights.second_moment.sum(axis=0) / 2)


def sparsity_posterior(weights: Weights) -> Beta:
    """In which share of a layer's features each factor acts.

    Returns
    -------
    Beta, (n_factors,), from a uniform prior

    Examples
    --------
    >>> weights = Weights(np.zeros((4, 1)), np.ones((4, 1)), np.array([[1.0], [1.0], [0.0], [0.0]]))
    >>> sparsity_posterior(weights)
    Beta(on=array([3.]), off=array([3.]))
    """
    return Beta(1 + weights.inclusion.sum(axis=0), 1 + (1 - weights.inclusion).sum(axis=0))


def noise_posterior(n_measured: np.ndarray, residual: np.ndarray) -> Gamma:
    """How precise each feature is, once the factors are taken out.

    Parameters
    ----------
    n_measured : (n_features,), number of values
    residual : (n_features,), expected sum of squares that is left, see `expected_residual`

    Returns
    -------
    Gamma, (n_features,)

    Examples
    --------
    >>> noise_posterior(np.array([100.0]), np.array([25.0])).mean.round(2)
    array([4.])
    """
    return Gamma(PRIOR_SHAPE + n_measured / 2, PRIOR_RATE + residual / 2)


def expected_residual(sum_of_squares: np.ndarray, cross: np.ndarray, gram: np.ndarray, weights: Weights) -> np.ndarray:
    """E[Σ_n (y − Σ_k z w)²] per feature, from sums over samples alone.

    Parameters
    ----------
    sum_of_squares : (n_features,), Σ_n y²
    cross, gram : as for `weight_posterior`
    weights : of the layer

    Returns
    -------
    (n_features,)

    Examples
    --------
    >>> weights = Weights(np.array([[0.5]]), np.array([[0.0]]), np.array([[1.0]]))
    >>> expected_residual(np.array([30.0]), np.array([[50.0]]), np.array([[100.0]]), weights)
    array([5.])
    """
    mean = weights.mean
    both = mean @ gram if gram.ndim == 2 else np.einsum("dj,djk->dk", mean, gram)
    own = np.diagonal(gram, axis1=-2, axis2=-1)
    spread = (own * (weights.second_moment - mean**2)).sum(axis=1)
    return sum_of_squares - 2 * (cross * mean).sum(axis=1) + (both * mean).sum(axis=1) + spread


def update_layer(sums: LayerSums, beliefs: Beliefs, *, select: bool = True) -> tuple[Beliefs, float]:
    """Update all that belongs to one layer while the factors stand still.

    Parameters
    ----------
    sums : of the layer, with the factors as they are
    beliefs : the layer's posterior so far
    select : False keeps the inclusion of the weights as it is

    Returns
    -------
    beliefs : after one update of the weights, then of relevance and sparsity, then of the noise, each from the newest
    bound : the layer's part of the evidence bound with the new beliefs, in nats; see `layer_bound`

    Examples
    --------
    >>> z = np.array([[1.0], [-1.0], [2.0], [-2.0]])
    >>> sums = LayerSums(np.array([4.0]), np.array([91.0]), np.array([[30.0]]), z.T @ z)
    >>> one = Gamma(np.ones(1), np.ones(1))
    >>> weights = Weights(np.array([[1.0]]), np.array([[0.1]]), np.ones((1, 1)))
    >>> new, bound = update_layer(sums, Beliefs(weights, one, one, Beta(np.ones(1), np.ones(1))))
    >>> new.weights.mean.round(2), new.noise.mean.round(2), round(bound, 1)
    (array([[2.73]]), array([1.51]), -19.6)
    """
    weights = weight_posterior(
        sums.cross, sums.gram, beliefs.noise.mean, beliefs.relevance, beliefs.sparsity, beliefs.weights, select=select
    )
    residual = expected_residual(sums.sum_of_squares, sums.cross, sums.gram, weights)
    noise = noise_posterior(sums.n_measured, residual)
    new = Beliefs(weights, noise, relevance_posterior(weights), sparsity_posterior(weights))
    return new, layer_bound(sums.n_measured, residual, new)


def explained_share(values: np.ndarray, factors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which share of one layer's variance each factor explains, by itself, over the values that were measured.

    Parameters
    ----------
    values : (n_samples, n_features), centred; NaN where nothing was measured
    factors : (n_samples, n_factors), E[z]
    weights : (n_features, n_factors), E[w]

    Returns
    -------
    (n_factors,): 1 − Σ (y − z_k w_k)² / Σ y²

    Raises
    ------
    ValueError : weights that are not features × factors

    References
    ----------
    Argelaguet et al. 2018, Molecular Systems Biology 14:e8124 (coefficient of determination per factor and view)

    Examples
    --------
    >>> values = np.array([[2.0, 1.0], [-2.0, -1.0], [np.nan, 0.0]])
    >>> explained_share(values, np.array([[1.0], [-1.0], [9.0]]), np.array([[2.0], [0.0]]))
    array([0.8])
    """
    n_features, n_factors = values.shape[1], factors.shape[1]
    if weights.shape != (n_features, n_factors):
        raise ValueError(f"weights must be features × factors, {(n_features, n_factors)}; got {weights.shape}")
    measured = ~np.isnan(values)
    known = np.where(measured, values, 0.0)
    gained = 2 * (known.T @ factors) * weights - (measured.T @ factors**2) * weights**2
    return gained.sum(axis=0) / (known**2).sum()


def variance_explained(layers: Any, factors: Any, weights: Any) -> pd.DataFrame:
    """Which share of a layer's variance each factor explains, by itself, over the values that were measured.

    Parameters
    ----------
    layers : dict or list of (n_samples, n_features) DataFrames or arrays; NaN where nothing was measured
        A DataFrame is matched to `factors` by label and may lack samples.
    factors : (n_samples, n_factors) DataFrame or array
    weights : dict or list like `layers`, each (n_features, n_factors)

    Returns
    -------
    DataFrame, layers × factors: 1 − Σ (y − z_k w_k)² / Σ y², y centred per feature

    Raises
    ------
    ValueError : layers and weights of other names or features, samples without factors, a layer without variance

    Notes
    -----
    Factors that are not orthogonal share what they explain, so a row may sum to more or less than what all factors
    explain together. A value below 0 says that the factor, taken alone, is worse than the mean.

    References
    ----------
    Argelaguet et al. 2018, Molecular Systems Biology 14:e8124 (coefficient of determination per factor and view)

    Examples
    --------
    >>> z = np.array([[1.0], [-1.0], [2.0], [-2.0]])
    >>> variance_explained({"rna": z @ [[3.0, 1.0]]}, z, {"rna": np.array([[3.0], [1.0]])})
         Factor1
    rna      1.0
    """
    z = as_matrix(factors, "factors")
    measured = _read_layers(layers, samples=factors.index if isinstance(factors, pd.DataFrame) else None)
    loads = weights if isinstance(weights, dict) else {f"layer {m}": table for m, table in enumerate(weights)}
    if list(loads) != [layer.name for layer in measured]:
        raise ValueError(f"weights are of {list(loads)} and layers of {[layer.name for layer in measured]}")
    if measured[0].n_samples != len(z):
        raise ValueError(f"the layers have {measured[0].n_samples} samples and factors {len(z)}; they must be the same")
    names = factors.columns if isinstance(factors, pd.DataFrame) else _factor_names(z.shape[1])
    rows = [_explained(layer, z, as_matrix(loads[layer.name], f"weights of {layer.name}")) for layer in measured]
    return pd.DataFrame(rows, index=[layer.name for layer in measured], columns=names)


def _explained(layer: _Layer, factors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    try:
        return explained_share(layer.with_gaps(), factors[layer.rows], weights)
    except ValueError as problem:
        raise ValueError(f"{layer.name}: {problem}") from None


def _factor_names(n: int) -> list[str]:
    return [f"Factor{k + 1}" for k in range(n)]


# --- The layers ------------------------------------------------------------------------------------------------------


@dataclass
class _Layer:
    """One layer as the steps need it: the samples that have it, centred values with 0 for gaps, and their sums."""

    name: str
    features: pd.Index
    n_samples: int
    rows: np.ndarray
    values: np.ndarray
    observed: np.ndarray | None  # 1 where measured; None if there is no gap
    centre: np.ndarray
    n_measured: np.ndarray = field(init=False)
    sum_of_squares: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.rows)
        width = self.values.shape[1]
        self.n_measured = np.full(width, float(n)) if self.observed is None else self.observed.sum(axis=0)
        self.sum_of_squares = np.einsum("nd,nd->d", self.values, self.values)

    def with_gaps(self) -> np.ndarray:
        """The values with NaN where nothing was measured."""
        return self.values if self.observed is None else np.where(self.observed > 0, self.values, np.nan)

    def sums(self, mean: np.ndarray, second_moments: np.ndarray) -> LayerSums:
        """All that the updates of the layer need to know of its values and of the factors."""
        mine = second_moments[self.rows]
        if self.observed is None:
            gram = mine.sum(axis=0)
        else:
            gram = (self.observed.T @ mine.reshape(len(mine), -1)).reshape(-1, *mine.shape[1:])
        return LayerSums(self.n_measured, self.sum_of_squares, self.values.T @ mean[self.rows], gram)

    def evidence(self, weights: Weights, noise_precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the layer says of its samples' factors: precision, one matrix per sample, and signal."""
        if self.observed is None:
            precision, signal = factor_evidence(self.values, weights, noise_precision)
            return np.broadcast_to(precision, (len(signal), *precision.shape)), signal
        n_factors = weights.mean.shape[1]
        products = weights.mean[:, :, None] * weights.mean[:, None, :]
        products[:, np.arange(n_factors), np.arange(n_factors)] = weights.second_moment
        scaled = (noise_precision[:, None, None] * products).reshape(len(products), -1)
        precision = (self.observed @ scaled).reshape(-1, n_factors, n_factors)
        return precision, self.values @ (noise_precision[:, None] * weights.mean)


def _read_layers(
    layers: Any, *, samples: pd.Index | None = None, centres: dict[str, np.ndarray] | None = None
) -> list[_Layer]:
    """The layers with the rows that they have of all samples; `centres` are those of a fitted model."""
    named = named_layers(layers)
    everyone = all_samples(named) if samples is None else samples
    return [_read_layer(name, table, everyone, centres[name] if centres else None) for name, table in named.items()]


def _read_layer(name: str, table: Any, everyone: pd.Index | None, centre: np.ndarray | None) -> _Layer:
    matrix = as_matrix(table, name, missing=True)
    if everyone is None or not isinstance(table, pd.DataFrame):
        place, n_samples = np.arange(len(matrix)), len(matrix)
    else:
        place, n_samples = everyone.get_indexer(table.index), len(everyone)
        if (place < 0).any():
            raise ValueError(f"{name} has sample {table.index[int(np.argmin(place))]!r}, which has no factors")
    gaps = np.isnan(matrix)
    present = ~gaps.all(axis=1)
    matrix, gaps = matrix[present], gaps[present]
    if centre is None:
        centre = _centre(name, matrix, gaps, labels(table, 1))
    matrix -= centre
    observed = None
    if gaps.any():
        matrix[gaps] = 0.0
        observed = (~gaps).astype(float)
    return _Layer(name, labels(table, 1), n_samples, place[present], matrix, observed, centre)


def _centre(name: str, matrix: np.ndarray, gaps: np.ndarray, features: pd.Index) -> np.ndarray:
    """Means over what was measured; refuses features that do not vary, for their noise has no scale."""
    n_measured = (~gaps).sum(axis=0)
    if len(matrix) < 2 or (n_measured < 2).any():
        feature = features[int(np.argmin(n_measured))]
        raise ValueError(f"feature {feature!r} of {name} was measured in fewer than 2 samples; leave it out")
    low, high = np.where(gaps, np.inf, matrix).min(axis=0), np.where(gaps, -np.inf, matrix).max(axis=0)
    constant = low == high
    if constant.any():
        raise ValueError(
            f"{int(constant.sum())} of {len(features)} features of {name} never vary, the first is "
            f"{features[int(np.argmax(constant))]!r}; leave them out"
        )
    return np.where(gaps, 0.0, matrix).sum(axis=0) / n_measured


# --- The bound -------------------------------------------------------------------------------------------------------


def gamma_divergence(posterior: Gamma) -> float:
    """KL divergence from the prior, summed, in nats.

    >>> gamma_divergence(Gamma(np.array([PRIOR_SHAPE]), np.array([PRIOR_RATE])))
    0.0
    """
    shape, rate = posterior
    prior = PRIOR_SHAPE * np.log(PRIOR_RATE) - gammaln(PRIOR_SHAPE)
    prior = prior + (PRIOR_SHAPE - 1) * posterior.mean_log - PRIOR_RATE * posterior.mean
    entropy = shape - np.log(rate) + gammaln(shape) + (1 - shape) * digamma(shape)
    return float(np.sum(-entropy - prior)) + 0.0


def beta_divergence(posterior: Beta) -> float:
    """KL divergence from the uniform prior, summed, in nats.

    >>> beta_divergence(Beta(np.array([1.0]), np.array([1.0])))
    0.0
    """
    on, off = posterior
    total = digamma(on + off)
    logs = (on - 1) * (digamma(on) - total) + (off - 1) * (digamma(off) - total)
    return float(np.sum(logs - betaln(on, off))) + 0.0


def weight_divergence(weights: Weights, relevance: Gamma, sparsity: Beta) -> float:
    """KL divergence of switches and slabs from their prior, expected over relevance and sparsity, in nats.

    What a weight pays for being switched on: the odds of its switch, and the distance of its slab from N(0, 1/α). A
    weight that is off has the prior's slab and pays for its switch only.

    >>> one = Gamma(np.array([1e9]), np.array([1e9]))
    >>> off = Weights(np.array([[0.0]]), np.array([[1.0]]), np.array([[0.0]]))
    >>> round(weight_divergence(off, one, Beta(np.array([1e9]), np.array([1e9]))), 6)  # −ln ½
    0.693147
    """
    on = weights.inclusion
    total = digamma(sparsity.on + sparsity.off)
    switches = on * (digamma(sparsity.on) - total) + (1 - on) * (digamma(sparsity.off) - total)
    slabs = on * (relevance.mean_log + 1 + np.log(weights.slab_variance)) - relevance.mean * weights.second_moment
    return -float(np.sum(switches + entr(on) + entr(1 - on) + slabs / 2))


def factor_divergence(mean: np.ndarray, covariance: np.ndarray) -> float:
    """KL divergence of all samples' factors from their prior N(0, I): what the factors cost.

    Parameters
    ----------
    mean : (n_samples, n_factors)
    covariance : (n_samples, n_factors, n_factors)

    Returns
    -------
    float, in nats: Σ_n ½ (mean_nᵀ mean_n + trace(covariance_n) − n_factors − ln det covariance_n)

    Examples
    --------
    >>> factor_divergence(np.zeros((3, 2)), np.repeat(np.eye(2)[None], 3, axis=0))
    0.0
    >>> round(factor_divergence(np.array([[2.0]]), np.array([[[0.25]]])), 4)
    2.3181
    """
    n_samples, n_factors = mean.shape
    log_determinant = np.linalg.slogdet(covariance)[1].sum()
    trace = np.einsum("nkk->", covariance)
    return float(np.sum(mean**2) + trace - n_samples * n_factors - log_determinant) / 2


def layer_bound(n_measured: np.ndarray, residual: np.ndarray, beliefs: Beliefs) -> float:
    """A layer's part of the evidence bound: how well it is explained, less what its parameters cost.

    Parameters
    ----------
    n_measured, residual : (n_features,), as for `noise_posterior`
    beliefs : of the layer

    Returns
    -------
    float, in nats. The bound of the model is the sum over layers less `factor_divergence`.

    Examples
    --------
    >>> one = Gamma(np.array([PRIOR_SHAPE]), np.array([PRIOR_RATE]))
    >>> known = Gamma(np.array([1e12]), np.array([1e12]))
    >>> nothing = Weights(np.zeros((1, 1)), np.ones((1, 1)), np.zeros((1, 1)))
    >>> even = Beta(np.array([1.0]), np.array([1.0]))
    >>> log_likelihood = layer_bound(np.array([2.0]), np.array([3.0]), Beliefs(nothing, known, one, even))
    >>> less = gamma_divergence(known) + weight_divergence(nothing, one, even)
    >>> round(log_likelihood + less, 4)  # −½ (2 ln 2π + 3)
    -3.3379
    """
    weights, noise, relevance, sparsity = beliefs
    log_likelihood = n_measured * (noise.mean_log - np.log(2 * np.pi)) - noise.mean * residual
    cost = gamma_divergence(noise) + gamma_divergence(relevance) + beta_divergence(sparsity)
    return float(log_likelihood.sum()) / 2 - cost - weight_divergence(weights, relevance, sparsity)


# --- The model -------------------------------------------------------------------------------------------------------


class MOFA(TransformerMixin, BaseEstimator):
    """Multi-omics factor analysis with Gaussian layers, automatic relevance and feature-wise sparsity.

    Parameters
    ----------
    n_factors : int
        Factors to begin with; those that explain too little are dropped.
    min_variance : float
        A factor that explains less than this share of the variance of every layer is dropped. 0 keeps all.
    sparse : bool
        False keeps every feature's weight (no spike): factors that act in all layers are then known up to a rotation.
    max_iterations : int
    tolerance : float
        Stop when the bound gained less than this share of itself in each of three iterations in a row.
    start : "pca" or "random"
        Principal components of the scaled layers, turned so that each has few large weights (varimax); or noise.
    random_state : int
        Seed of the random start.

    Attributes
    ----------
    factors_ : (n_samples, n_factors_) DataFrame or array, E[z]; the factor that explains most comes first
    weights_ : dict of (n_features, n_factors_) DataFrames or arrays, E[w]
    inclusion_ : dict like `weights_`, probability that the weight is not zero
    noise_variance_ : dict of (n_features,) Series or arrays, 1 / E[τ]
    variance_explained_ : DataFrame, layers × factors
    bound_ : DataFrame[n_factors, bound], one row per iteration: the evidence bound in nats. It never falls while the
        number of factors stays; a smaller model has a bound of its own.
    n_factors_, n_iterations_ : int
    converged_ : bool

    Notes
    -----
    Sign and order of factors are free: the sign is chosen so that the sum of a factor's weights is not negative. An
    iteration costs O(n · p · k) time. Peak memory beyond the input: one copy of the layers and three of the largest
    one; where they have gaps, two copies of the layers and four of the largest one. To this come O(n²) numbers at the
    start and O(n · k²), with gaps O((n + p) · k²), later.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(100, 2))
    >>> layers = {"rna": z @ rng.normal(size=(2, 60)) + rng.normal(size=(100, 60)),
    ...           "protein": z[:, :1] @ rng.normal(size=(1, 40)) + rng.normal(size=(100, 40))}
    >>> model = MOFA(n_factors=6).fit(layers)
    >>> model.n_factors_
    2
    >>> (model.variance_explained_ > 0.05).to_numpy().tolist()
    [[True, True], [True, False]]
    """

    def __init__(
        self,
        n_factors: int = 10,
        *,
        min_variance: float = 0.01,
        sparse: bool = True,
        max_iterations: int = 1000,
        tolerance: float = 1e-6,
        start: str = "pca",
        random_state: int = 0,
    ) -> None:
        self.n_factors = n_factors
        self.min_variance = min_variance
        self.sparse = sparse
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.start = start
        self.random_state = random_state

    def fit(self, layers: Any, y: Any = None) -> MOFA:  # noqa: ARG002 (scikit-learn passes y)
        """Find factors, weights and noise.

        Parameters
        ----------
        layers : dict or list of (n_samples, n_features) DataFrames or arrays; NaN where nothing was measured
            DataFrames are matched by label, and one may lack samples that others have; arrays have a row for each.
        y : ignored

        Raises
        ------
        ValueError : a bad parameter, a sample without any value, a feature that never varies, infinite values

        Warns
        -----
        ConvergenceWarning : the bound still rose after `max_iterations`
        """
        self._check_parameters()
        read = _read_layers(layers)
        samples = all_samples(named_layers(layers))
        _require_measured(read, samples)
        require_integer(self.n_factors, "n_factors", at_most=read[0].n_samples - 1)
        mean, covariance = self._start(read)
        beliefs = [self._first_beliefs(layer, mean) for layer in read]
        history: list[tuple[int, float]] = []
        quiet = 0
        self.converged_ = False
        while len(history) < self.max_iterations and not self.converged_:
            n = len(history)
            beliefs, bound = _update_layers(read, beliefs, mean, covariance, select=self.sparse and n >= WARM_UP)
            history.append((mean.shape[1], bound))
            mean, covariance = _update_factors(read, beliefs)
            kept = self._worth_keeping(read, beliefs, mean) if n > WARM_UP and n % DROP_EVERY == 0 else None
            if kept is not None:
                mean, covariance = mean[:, kept], covariance[:, kept][:, :, kept]
                beliefs = [_with_factors(belief, kept) for belief in beliefs]
            quiet = quiet + 1 if n > WARM_UP and kept is None and self._is_small_step(history) else 0
            self.converged_ = quiet >= QUIET
        self._warn_if_unfinished()
        self._keep_results(read, beliefs, mean, history, samples)
        return self

    def transform(self, layers: Any) -> Any:
        """E[z] of samples, (n_samples, n_factors_) like `layers`, from whichever layers they have.

        Raises
        ------
        ValueError : a layer or feature that the model does not know, a sample without any value
        """
        read, samples = self._read_new(layers)
        mean, _ = _update_factors(read, [self._beliefs[layer.name] for layer in read])
        return mean if samples is None else pd.DataFrame(mean, index=samples, columns=self._names)

    def impute(self, layers: Any) -> dict[str, Any]:
        """Every layer of the model for every sample: measured values as they are, gaps as the factors predict them.

        Raises
        ------
        ValueError : as for `transform`
        """
        read, samples = self._read_new(layers)
        factors = np.asarray(self.transform(layers))
        given = {layer.name: layer for layer in read}
        whole = {}
        for name, beliefs in self._beliefs.items():
            values = factors @ beliefs.weights.mean.T
            layer = given.get(name)
            if layer is not None:
                measured = np.ones_like(layer.values, dtype=bool) if layer.observed is None else layer.observed > 0
                values[layer.rows] = np.where(measured, layer.values, values[layer.rows])
            values += self._centres[name]
            whole[name] = (
                values if samples is None else pd.DataFrame(values, index=samples, columns=self._features[name])
            )
        return whole

    # Steps of fit, in order

    def _check_parameters(self) -> None:
        require_integer(self.n_factors, "n_factors")
        require_integer(self.max_iterations, "max_iterations")
        require_number(self.min_variance, "min_variance", low=0, high=1)
        require_between(self.tolerance, "tolerance", 0, 1)
        if self.start not in ("pca", "random"):
            raise ValueError(f'start must be "pca" or "random"; got {self.start!r}')

    def _start(self, read: list[_Layer]) -> tuple[np.ndarray, np.ndarray]:
        """First factors, (n, k), and their covariances, (n, k, k)."""
        n_samples, k = read[0].n_samples, self.n_factors
        covariance = np.repeat(0.1 * np.eye(k)[None], n_samples, axis=0)
        if self.start == "random":
            return np.random.default_rng(self.random_state).normal(size=(n_samples, k)), covariance
        similarity = np.zeros((n_samples, n_samples))
        for layer in read:
            similarity[np.ix_(layer.rows, layer.rows)] += layer.values @ layer.values.T / layer.sum_of_squares.sum()
        _, vectors = eigh(similarity, subset_by_index=[n_samples - k, n_samples - 1])
        factors = vectors[:, ::-1] * np.sqrt(n_samples)
        loadings = [layer.values.T @ factors[layer.rows] / np.sqrt(layer.sum_of_squares.sum()) for layer in read]
        return factors @ varimax(np.vstack(loadings)), covariance

    def _first_beliefs(self, layer: _Layer, factors: np.ndarray) -> Beliefs:
        """Weights by ridge regression on the first factors; half of each feature's variance is noise."""
        mine = factors[layer.rows]
        n_factors = mine.shape[1]
        slab = np.linalg.solve(mine.T @ mine + np.eye(n_factors), mine.T @ layer.values).T
        weights = Weights(slab, np.full_like(slab, 1e-3 * float((slab**2).mean())), np.ones_like(slab))
        noise = noise_posterior(layer.n_measured, layer.sum_of_squares / 2)
        return Beliefs(weights, noise, relevance_posterior(weights), sparsity_posterior(weights))

    def _worth_keeping(self, read: list[_Layer], beliefs: list[Beliefs], mean: np.ndarray) -> np.ndarray | None:
        """Which factors explain enough of some layer; None if all do."""
        kept = _all_shares(read, beliefs, mean).max(axis=0) >= self.min_variance
        if kept.all():
            return None
        if not kept.any():
            raise ValueError(
                f"no factor explains {self.min_variance:.1%} of the variance of any layer; lower min_variance, or "
                "take it that the layers have no structure"
            )
        return kept

    def _is_small_step(self, history: list[tuple[int, float]]) -> bool:
        (_, before), (_, now) = history[-2:]
        return now - before < self.tolerance * abs(now)

    def _warn_if_unfinished(self) -> None:
        if not self.converged_:
            warnings.warn(
                f"the bound still rose after {self.max_iterations} iterations; raise max_iterations, or tolerance "
                f"(now {self.tolerance:g}) if the factors no longer change",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _keep_results(
        self,
        read: list[_Layer],
        beliefs: list[Beliefs],
        mean: np.ndarray,
        history: list[tuple[int, float]],
        samples: pd.Index | None,
    ) -> None:
        """Order the factors by what they explain, choose their signs, and name everything."""
        shares = _all_shares(read, beliefs, mean)
        order = np.argsort(-shares.sum(axis=0), kind="stable")
        total = sum(belief.weights.mean.sum(axis=0) for belief in beliefs)
        sign = np.where(total < 0, -1.0, 1.0)[order]
        self._beliefs = {
            layer.name: _with_factors(belief, order, sign) for layer, belief in zip(read, beliefs, strict=True)
        }
        self._centres = {layer.name: layer.centre for layer in read}
        self._features = {layer.name: layer.features for layer in read}
        self._names = _factor_names(len(order))
        labelled = samples is not None
        factors = mean[:, order] * sign
        self.factors_ = pd.DataFrame(factors, index=samples, columns=self._names) if labelled else factors
        self.weights_ = {
            name: self._labelled(name, belief.weights.mean, labelled) for name, belief in self._beliefs.items()
        }
        self.inclusion_ = {
            name: self._labelled(name, belief.weights.inclusion, labelled) for name, belief in self._beliefs.items()
        }
        self.noise_variance_ = {
            name: pd.Series(1 / belief.noise.mean, index=self._features[name]) if labelled else 1 / belief.noise.mean
            for name, belief in self._beliefs.items()
        }
        self.variance_explained_ = pd.DataFrame(shares[:, order], index=list(self._beliefs), columns=self._names)
        self.bound_ = pd.DataFrame(history, columns=["n_factors", "bound"], index=pd.RangeIndex(1, len(history) + 1))
        self.n_factors_, self.n_iterations_ = len(order), len(history)

    def _labelled(self, name: str, table: np.ndarray, labelled: bool) -> Any:
        return pd.DataFrame(table, index=self._features[name], columns=self._names) if labelled else table

    def _read_new(self, layers: Any) -> tuple[list[_Layer], pd.Index | None]:
        named = named_layers(layers)
        require_known_features(named, self._features)
        samples = all_samples(named)
        read = _read_layers(layers, centres=self._centres)
        _require_measured(read, samples)
        return read, samples


def _require_measured(read: list[_Layer], samples: pd.Index | None) -> None:
    present = np.zeros((len(read), read[0].n_samples), dtype=bool)
    for m, layer in enumerate(read):
        present[m, layer.rows] = True
    require_some_layer(present, samples)


def _update_layers(
    read: list[_Layer], beliefs: list[Beliefs], mean: np.ndarray, covariance: np.ndarray, *, select: bool
) -> tuple[list[Beliefs], float]:
    """New beliefs of every layer, and the bound with them and the factors as they are."""
    second_moments = mean[:, :, None] * mean[:, None, :] + covariance
    updated = [
        update_layer(layer.sums(mean, second_moments), belief, select=select)
        for layer, belief in zip(read, beliefs, strict=True)
    ]
    return [belief for belief, _ in updated], sum(part for _, part in updated) - factor_divergence(mean, covariance)


def _update_factors(read: list[_Layer], beliefs: list[Beliefs]) -> tuple[np.ndarray, np.ndarray]:
    """E[z], (n, k), and its covariance, (n, k, k), from the layers that each sample has."""
    n_samples, n_factors = read[0].n_samples, beliefs[0].weights.mean.shape[1]
    precisions = np.zeros((len(read), n_samples, n_factors, n_factors))
    signals = np.zeros((len(read), n_samples, n_factors))
    present = np.zeros((len(read), n_samples), dtype=bool)
    for m, (layer, belief) in enumerate(zip(read, beliefs, strict=True)):
        precisions[m, layer.rows], signals[m, layer.rows] = layer.evidence(belief.weights, belief.noise.mean)
        present[m, layer.rows] = True
    return factor_posterior(precisions, signals, present)


def _with_factors(belief: Beliefs, factors: np.ndarray, sign: np.ndarray | float = 1.0) -> Beliefs:
    """What is believed of these factors, in this order and with these signs."""
    slab_mean, slab_variance, inclusion = (part[:, factors] for part in belief.weights)
    relevance, sparsity = belief.relevance, belief.sparsity
    return Beliefs(
        Weights(slab_mean * sign, slab_variance, inclusion),
        belief.noise,
        Gamma(relevance.shape[factors], relevance.rate[factors]),
        Beta(sparsity.on[factors], sparsity.off[factors]),
    )


def _all_shares(read: list[_Layer], beliefs: list[Beliefs], mean: np.ndarray) -> np.ndarray:
    """Share of variance, layers × factors."""
    pairs = zip(read, beliefs, strict=True)
    return np.array([explained_share(layer.with_gaps(), mean[layer.rows], b.weights.mean) for layer, b in pairs])


def varimax(loadings: np.ndarray, *, max_iterations: int = 100) -> np.ndarray:
    """The rotation after which each column has few large and many small loadings.

    Parameters
    ----------
    loadings : (n_features, n_factors)

    Returns
    -------
    (n_factors, n_factors), orthogonal

    References
    ----------
    Kaiser 1958, Psychometrika 23:187

    Examples
    --------
    >>> simple = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    >>> turned = simple @ np.array([[0.8, -0.6], [0.6, 0.8]])
    >>> np.abs(turned @ varimax(turned)).round(3).tolist()
    [[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]
    """
    rotation = np.eye(loadings.shape[1])
    reached = 0.0
    for _ in range(max_iterations):
        turned = loadings @ rotation
        target = turned**3 - turned * (turned**2).mean(axis=0)
        left, singular, right = np.linalg.svd(loadings.T @ target)
        rotation = left @ right
        if singular.sum() <= reached * (1 + 1e-8):
            break
        reached = singular.sum()
    return rotation
