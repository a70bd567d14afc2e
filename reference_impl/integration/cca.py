"""Canonical correlation analysis: the combinations of two layers' features that agree best across samples.

Classical CCA asks for the weights u, v whose scores X u and Y v have the highest correlation. With more features than
samples every pair of layers agrees perfectly, so the question must be asked with a price: a ridge on the weights
(`regularized_cca`), few weights (`sparse_cca`), or, for any number of layers, the scores that all of them can predict
(`multiset_cca`). Rows are samples; columns are centred by every function here.

Each method has a core that works on two arrays and holds the idea (`canonical_weights`, `gram_whitening`,
`sparse_unit_vector` and `alternation_step`, `shared_scores`), and a front that matches samples by label, keeps labels,
and names what is wrong.

The signs of a pair of components are arbitrary, but only jointly. The fronts choose them so that the largest weight of
the first layer is positive.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import eigh, qr, solve_triangular, svd
from scipy.optimize import brentq
from scipy.sparse.linalg import ArpackError, LinearOperator, svds
from sklearn.exceptions import ConvergenceWarning

from reference_impl.validation import (
    as_matrix,
    labels,
    require_between,
    require_generator,
    require_integer,
    require_number,
    same_samples,
)

RANK_TOLERANCE = 1e-10  # less than this share of a feature left by the others is taken for rounding error
MOST_STEPS = 1000  # of the alternation of `sparse_cca`
SETTLED = 1e-10  # change of the weights' sum of absolute values below which the alternation stops


Found = tuple[np.ndarray, np.ndarray, np.ndarray]  # U, d, V of the components that were found before


class CanonicalCorrelation(NamedTuple):
    """Result of an analysis of two layers.

    Attributes
    ----------
    x_weights, y_weights : (n_features, n_components); scores = centred layer @ weights
    x_scores, y_scores : (n_samples, n_components)
    correlations : (n_components,), of the scores in pairs
    objective : (n_components,), what the method maximised: the correlations themselves (CCA), the regularised singular
        values (a ridge), or uᵀXᵀY v (sparse)
    """

    x_weights: Any
    y_weights: Any
    x_scores: Any
    y_scores: Any
    correlations: np.ndarray
    objective: np.ndarray


class MultisetCorrelation(NamedTuple):
    """Result of an analysis of several layers.

    Attributes
    ----------
    weights : dict of (n_features, n_components); scores = centred layer @ weights
    scores : dict of (n_samples, n_components)
    shared : (n_samples, n_components), the scores that all layers predict; mean 0, variance 1, uncorrelated
    agreement : (n_components,), the sum over layers of R² with which a layer predicts the shared score: the number
        of layers if all do perfectly, 1 if each tells its own story
    """

    weights: dict[Any, Any]
    scores: dict[Any, Any]
    shared: Any
    agreement: np.ndarray


def cca(x: Any, y: Any, n_components: int) -> CanonicalCorrelation:
    """Classical canonical correlation analysis.

    Parameters
    ----------
    x : (n_samples, p) DataFrame or array
    y : (n_samples, q) DataFrame or array of the same samples; DataFrames are matched by label
    n_components : at most min(p, q)

    Returns
    -------
    CanonicalCorrelation; scores have variance 1 (ddof 1), and are uncorrelated within a layer

    Raises
    ------
    ValueError : p or q not below n, features that are combinations of each other, different samples, bad n_components

    Warns
    -----
    UserWarning : p + q ≥ n, where some correlations are 1 whatever the data say

    Notes
    -----
    QR decompositions of both layers and a singular value decomposition of QxᵀQy; no covariance matrix is inverted.
    Peak memory: twice the layers. R's `cancor` scales its coefficients to scores of length 1 instead of variance 1.

    References
    ----------
    Hotelling 1936, Biometrika 28:321; Björck & Golub 1973, Mathematics of Computation 27:579

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.normal(size=200)
    >>> x = np.column_stack([shared + rng.normal(size=200), rng.normal(size=200)])
    >>> y = np.column_stack([rng.normal(size=200), shared + rng.normal(size=200)])
    >>> cca(x, y, 2).correlations.round(2)
    array([0.55, 0.06])
    """
    pair = _Pair(x, y)
    require_integer(n_components, "n_components", at_most=min(pair.widths))
    n_samples = len(pair.x)
    if sum(pair.widths) >= n_samples > max(pair.widths):
        warnings.warn(
            f"{' + '.join(map(str, pair.widths))} features of {n_samples} samples: some correlations are 1 whatever "
            "the data say; use regularized_cca or sparse_cca",
            UserWarning,
            stacklevel=2,
        )
    x_weights, y_weights, correlations = canonical_weights(pair.table("x"), pair.table("y"))
    return pair.result(x_weights[:, :n_components], y_weights[:, :n_components], correlations[:n_components])


def canonical_weights(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of weights of classical CCA, the most correlated first.

    Parameters
    ----------
    x : (n_samples, p) array or DataFrame
    y : (n_samples, q) array or DataFrame of the same samples in the same order

    Returns
    -------
    x_weights : (p, m) array, m = min(p, q); the scores, centred x @ x_weights, have variance 1 (ddof 1) and are
        uncorrelated with each other
    y_weights : (q, m) array, the same for y
    correlations : (m,) array, of the scores in pairs, from the largest to the smallest; never above 1

    Raises
    ------
    ValueError : p or q not below n, features that are combinations of each other, different samples

    References
    ----------
    Björck & Golub 1973, Mathematics of Computation 27:579

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    >>> y = np.array([[2.0, 0.0], [1.0, 1.0], [4.0, 0.0], [3.0, 1.0], [5.0, 1.0]])
    >>> x_weights, y_weights, correlations = canonical_weights(x, y)
    >>> x_weights.shape, y_weights.shape, correlations.round(3)
    ((1, 1), (2, 1), array([0.987]))
    """
    x, y, columns = centred_pair(x, y)
    for name, layer in (("x", x), ("y", y)):
        if layer.shape[1] >= len(layer):
            raise ValueError(too_wide(name, layer, f"ridge_{name}"))
    basis_x, triangle_x = independent_basis(x, "x", columns[0])
    basis_y, triangle_y = independent_basis(y, "y", columns[1])
    left, correlations, right = svd(basis_x.T @ basis_y, full_matrices=False)
    spread = np.sqrt(len(x) - 1)
    x_weights = solve_triangular(triangle_x, left) * spread
    y_weights = solve_triangular(triangle_y, right.T) * spread
    return x_weights, y_weights, np.minimum(correlations, 1.0)


def regularized_cca(x: Any, y: Any, n_components: int, *, ridge_x: float, ridge_y: float) -> CanonicalCorrelation:
    """Canonical correlation analysis with a ridge: every variance is charged λ per squared weight.

    Maximises uᵀCxy v subject to uᵀ(Cxx + λx I)u = vᵀ(Cyy + λy I)v = 1, where C are covariances (ddof 1).

    Parameters
    ----------
    x, y : (n_samples, p) and (n_samples, q) DataFrames or arrays, matched as in `cca`
    n_components : at most min(n − 1, p, q)
    ridge_x, ridge_y : λ, at least 0, in squared units of the features. 0 is classical CCA.

    Returns
    -------
    CanonicalCorrelation; `objective` holds the regularised singular values, which are smaller than `correlations`

    Raises
    ------
    ValueError : a ridge of 0 for a layer with p ≥ n, a negative ridge, different samples, bad n_components

    Notes
    -----
    With p > n all is done with the n × n Gram matrix (`gram_whitening`), O(n² p) instead of O(p³). Peak memory:
    twice the layers, and n² or p², whichever is less.

    References
    ----------
    Vinod 1976, Journal of Econometrics 4:147; González et al. 2008, Journal of Statistical Software 23(12) (R: CCA)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.normal(size=(40, 1))
    >>> x, y = shared + rng.normal(size=(40, 100)), shared + rng.normal(size=(40, 80))
    >>> found = regularized_cca(x, y, 1, ridge_x=1.0, ridge_y=1.0)
    >>> bool(found.objective[0] < found.correlations[0] <= 1)
    True
    """
    pair = _Pair(x, y)
    ridges = [require_number(ridge, name, low=0) for ridge, name in [(ridge_x, "ridge_x"), (ridge_y, "ridge_y")]]
    require_integer(n_components, "n_components", at_most=min(len(pair.x) - 1, *pair.widths))
    if 0 in ridges:
        _refuse_wide(pair, only=[ridge == 0 for ridge in ridges])
    white_x, to_x = _whitened(pair.x, ridges[0], pair.names[0], pair.columns[0])
    white_y, to_y = _whitened(pair.y, ridges[1], pair.names[1], pair.columns[1])
    left, objective, right = svd(white_x.T @ white_y / (len(pair.x) - 1), full_matrices=False)
    n = min(n_components, len(objective))
    return pair.result(to_x(left[:, :n]), to_y(right.T[:, :n]), objective[:n])


def gram_whitening(x: Any, ridge: float) -> np.ndarray:
    """Whitening from the Gram matrix: how much of each sample goes into weights that cost 1.

    With more features than samples, weights that are of any use are sums of the samples: w = Xᵀa, with one number in a
    per sample. The scores are then Xw = Ga with the n × n Gram matrix G = XXᵀ, and a p × p matrix is never needed.

    Parameters
    ----------
    x : (n_samples, p) array or DataFrame; columns are centred here
    ridge : λ, above 0, in squared units of the features

    Returns
    -------
    (n_samples, rank) array A: with W = XᵀA, Wᵀ(C + λI)W = I for the covariance C of x (ddof 1), and the scores XW = GA
    are uncorrelated. Order and signs of the columns are free.

    Raises
    ------
    ValueError : a ridge that is not above 0, fewer than 3 samples, features that never vary

    Notes
    -----
    G = U diag(g) Uᵀ, over the directions with g > 0; A = U diag(g (g/(n − 1) + λ))^(−1/2).

    Examples
    --------
    >>> x = np.array([[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, -1.0, -1.0]])
    >>> a = gram_whitening(x, 1.0)
    >>> weights = x.T @ a
    >>> (weights.T @ (np.cov(x.T) + np.eye(3)) @ weights).round(12)
    array([[1., 0.],
           [0., 1.]])
    """
    x = centred(x, "x")
    ridge = require_between(ridge, "ridge", 0, np.inf)
    require_variation(x, "x")
    squared_spread, directions = eigh(x @ x.T)
    kept = squared_spread > rounding(x) * squared_spread[-1]
    squared_spread, directions = squared_spread[kept], directions[:, kept]
    cost = squared_spread * (squared_spread / (len(x) - 1) + ridge)  # of a direction's weights, at length 1
    return directions / np.sqrt(cost)


def sparse_cca(x: Any, y: Any, n_components: int, *, c_x: float, c_y: float) -> CanonicalCorrelation:
    """Sparse canonical correlation analysis by penalised matrix decomposition: only some weights are not zero.

    Maximises uᵀXᵀY v subject to ‖u‖₂ ≤ 1, ‖v‖₂ ≤ 1, ‖u‖₁ ≤ c_x √p, ‖v‖₁ ≤ c_y √q, with X and Y standardised;
    covariances within a layer are taken for the identity. The next component does the same with XᵀY − d u vᵀ.

    Parameters
    ----------
    x, y : (n_samples, p) and (n_samples, q) DataFrames or arrays, matched as in `cca`
    n_components : at most min(p, q)
    c_x, c_y : from 1/√p (one weight) to 1 (all of them)

    Returns
    -------
    CanonicalCorrelation; weights have length 1, `objective` is d = uᵀXᵀY v, not divided by n − 1

    Raises
    ------
    ValueError : a bound outside 1/√p to 1, a feature that never varies, different samples, bad n_components

    Warns
    -----
    ConvergenceWarning : the weights still changed after 1,000 steps

    Notes
    -----
    XᵀY is never formed: each step costs O(n (p + q)). Peak memory: three times the layers. The alternation starts
    from the singular vectors of XᵀY, as PMA does, and runs until the weights stand still, where PMA stops after 15
    steps. It finds a local optimum.

    References
    ----------
    Witten, Tibshirani & Hastie 2009, Biostatistics 10:515 (R: PMA)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.normal(size=(60, 1))
    >>> x, y = rng.normal(size=(60, 50)), rng.normal(size=(60, 30))
    >>> x[:, :3] += 2 * shared
    >>> y[:, :2] += 2 * shared
    >>> found = sparse_cca(x, y, 1, c_x=0.2, c_y=0.25)
    >>> np.flatnonzero(found.x_weights).tolist(), np.flatnonzero(found.y_weights).tolist()
    ([0, 1, 2], [0, 1])
    """
    pair = _Pair(x, y, standardize=True)
    n_components = require_integer(n_components, "n_components", at_most=min(pair.widths))
    bounds = []
    for name, share, width in [("c_x", c_x, pair.widths[0]), ("c_y", c_y, pair.widths[1])]:
        bounds.append(require_number(share, name, low=1 / np.sqrt(width) * (1 - 1e-12), high=1) * np.sqrt(width))
    start = _leading_right_vectors(pair.x, pair.y, n_components)
    found_u = np.zeros((pair.widths[0], n_components))
    found_v = np.zeros((pair.widths[1], n_components))
    strength = np.zeros(n_components)
    for k in range(n_components):
        before = found_u[:, :k], strength[:k], found_v[:, :k]
        found_u[:, k], found_v[:, k] = _sparse_pair(pair.x, pair.y, start[:, k], (bounds[0], bounds[1]), before)
        strength[k] = found_u[:, k] @ cross_product(pair.x, pair.y, found_v[:, k], before)
    return pair.result(found_u, found_v, strength)


def _sparse_pair(
    x: np.ndarray, y: np.ndarray, v: np.ndarray, bounds: tuple[float, float], before: Found
) -> tuple[np.ndarray, np.ndarray]:
    """Alternate until the weights stand still."""
    k = before[0].shape[1] + 1
    u = np.zeros(x.shape[1])
    for _ in range(MOST_STEPS):
        try:
            u, new = alternation_step(x, y, v, *bounds, before)
        except ValueError:
            raise ValueError(f"nothing is left for component {k}; ask for n_components={k - 1} or fewer") from None
        change, v = np.abs(new - v).sum(), new
        if change <= SETTLED:
            return u, v
    warnings.warn(
        f"component {k}: the weights still changed after {MOST_STEPS} steps; a smaller c_x or c_y, or fewer "
        "components, may help",
        ConvergenceWarning,
        stacklevel=3,
    )
    return u, v


def alternation_step(
    x: Any, y: Any, v: Any, bound_u: float, bound_v: float, before: Found | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One step of penalised matrix decomposition: the best sparse u for this v, then the best sparse v for that u.

    Parameters
    ----------
    x : (n_samples, p) array or DataFrame, columns centred
    y : (n_samples, q) array or DataFrame, columns centred
    v : (q,), weights of y as they are now
    bound_u, bound_v : for the sums of absolute weights, at least 1
    before : (U, d, V) of the components found before, (p, k), (k,) and (q, k), whose part U diag(d) Vᵀ is taken out of
        XᵀY; None for the first component

    Returns
    -------
    u : (p,) array, of length 1, with a sum of absolute values of at most bound_u
    v : (q,) array, of length 1, with a sum of absolute values of at most bound_v

    Raises
    ------
    ValueError : nothing is left to correlate, or a bound below 1

    Notes
    -----
    XᵀY is never formed: XᵀY v is Xᵀ(Y v), which costs n (p + q) multiplications instead of p q n.

    References
    ----------
    Witten, Tibshirani & Hastie 2009, Biostatistics 10:515, algorithm 3

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.1], [0.0, -0.1]])
    >>> u, v = alternation_step(x, x, np.array([0.6, 0.8]), 1.0, 1.0)
    >>> u, v
    (array([1., 0.]), array([1., 0.]))
    """
    u = sparse_unit_vector(cross_product(x, y, v, before), bound_u)
    turned = None if before is None else before[::-1]
    return u, sparse_unit_vector(cross_product(y, x, u, turned), bound_v)


def cross_product(x: Any, y: Any, v: Any, before: Found | None = None) -> np.ndarray:
    """(XᵀY − U diag(d) Vᵀ) v without forming XᵀY.

    Parameters
    ----------
    x, y : (n_samples, p) and (n_samples, q)
    v : (q,)
    before : (U, d, V), or None to take nothing out

    Returns
    -------
    (p,) array

    Examples
    --------
    >>> x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0], [1.0]])
    >>> cross_product(x, y, np.array([2.0]))
    array([ 8., 12.])
    >>> cross_product(x, y, np.array([2.0]), (np.array([[1.0], [0.0]]), np.array([3.0]), np.array([[1.0]])))
    array([ 2., 12.])
    """
    product = np.asarray(x).T @ (np.asarray(y) @ v)
    if before is None:
        return product
    left, strength, right = before
    return product - left @ (strength * (right.T @ v))


def soft_threshold(values: Any, amount: float) -> np.ndarray:
    """Move every value towards zero by `amount`, and not beyond it.

    >>> soft_threshold([-3.0, -0.5, 2.0], 1.0)
    array([-2.,  0.,  1.])
    """
    values = np.asarray(values, dtype=float)
    return np.sign(values) * np.maximum(np.abs(values) - amount, 0.0) + 0.0  # no −0.0


def sparse_unit_vector(direction: Any, bound: float) -> np.ndarray:
    """The vector of length 1 and of bounded sum of absolute values that points most along `direction`.

    It is the direction, soft-thresholded as little as the bound allows, and scaled to length 1.

    Parameters
    ----------
    direction : (n_features,), not all zero
    bound : for the sum of absolute values, at least 1

    Returns
    -------
    (n_features,)

    Raises
    ------
    ValueError : a direction of zeros, a bound below 1 (no vector of length 1 meets it)

    Notes
    -----
    The least threshold at which the bound holds is the root of ‖s(t)‖₁ − bound ‖s(t)‖₂. PMA halves an interval until
    its width is below 1e-6; Brent's method finds it to rounding. Equal largest values cannot be told apart: where the
    bound asks for fewer of them, all are kept.

    References
    ----------
    Witten, Tibshirani & Hastie 2009, Biostatistics 10:515, lemma 2.2

    Examples
    --------
    >>> sparse_unit_vector([3.0, 1.0], 1.2).round(3)
    array([0.974, 0.226])
    >>> sparse_unit_vector([3.0, 1.0], 2.0).round(3)
    array([0.949, 0.316])
    """
    direction, bound = as_direction(direction), require_number(bound, "bound", low=1 - 1e-12)
    size = np.abs(direction)

    def excess(threshold: float) -> float:
        shrunk = soft_threshold(size, threshold)
        return shrunk.sum() - bound * np.linalg.norm(shrunk)

    runner_up = size[size < size.max()].max(initial=0.0)  # from here on only the largest are left
    shrunk = soft_threshold(direction, falls_to_zero(excess, 0.0, runner_up))
    return shrunk / np.linalg.norm(shrunk)


def falls_to_zero(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function reaches 0: `low` if it is not above 0 there, `high` if it is not below 0 there.

    >>> falls_to_zero(lambda t: 4.0 - t**2, 0.0, 5.0)
    2.0
    >>> falls_to_zero(lambda t: 4.0 - t**2, 0.0, 1.0), falls_to_zero(lambda t: 4.0 - t**2, 3.0, 5.0)
    (1.0, 3.0)
    """
    if function(low) <= 0:
        return low
    if function(high) >= 0:
        return high
    return float(brentq(function, low, high, xtol=1e-14))


def as_direction(direction: Any) -> np.ndarray:
    """A vector with a largest absolute value of 1; zeros, gaps and infinities are refused.

    >>> as_direction([2.0, -4.0])
    array([ 0.5, -1. ])
    """
    direction = np.asarray(direction, dtype=float)
    largest = np.abs(direction).max(initial=0.0)
    if direction.ndim != 1 or not np.isfinite(largest) or largest == 0:
        raise ValueError("direction must be one-dimensional, with finite values that are not all zero")
    return direction / largest


def multiset_cca(layers: Any, n_components: int, *, ridge: float = 0.0) -> MultisetCorrelation:
    """Canonical correlation analysis of any number of layers (MAXVAR): scores that all layers can predict.

    Finds uncorrelated shared scores z that maximise the sum over layers of R² of the (ridge) regression of z on the
    layer.

    Parameters
    ----------
    layers : dict or list of (n_samples, n_features) DataFrames or arrays, all of the same samples
    n_components : at most n − 1
    ridge : λ, at least 0, in squared units of the features, the same for every layer

    Returns
    -------
    MultisetCorrelation

    Raises
    ------
    ValueError : fewer than 2 layers, different samples, a ridge of 0 for a layer with p ≥ n, bad n_components

    Notes
    -----
    For two layers and no ridge `agreement` is 1 + ρ with the canonical correlations ρ. Peak memory: twice the
    layers, and n × (sum of ranks).

    References
    ----------
    Kettenring 1971, Biometrika 58:433

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.normal(size=(100, 1))
    >>> layers = {name: shared + 0.1 * rng.normal(size=(100, 3)) for name in ("rna", "protein", "metabolite")}
    >>> multiset_cca(layers, 1).agreement.round(1)
    array([3.])
    """
    named, samples = same_samples(layers)
    ridge = require_number(ridge, "ridge", low=0)
    matrices = {name: centred(table, str(name)) for name, table in named.items()}
    n_samples = len(next(iter(matrices.values())))
    n_components = require_integer(n_components, "n_components", at_most=n_samples - 1)
    bases, to_weights = {}, {}
    for name, matrix in matrices.items():
        if ridge == 0 and matrix.shape[1] >= n_samples:
            raise ValueError(too_wide(str(name), matrix, "ridge"))
        white, to_weights[name] = _whitened(matrix, ridge, str(name), labels(named[name], 1))
        bases[name] = white / np.sqrt(n_samples - 1)
    n_components = min(n_components, sum(base.shape[1] for base in bases.values()))
    shared, agreement = shared_scores(bases, n_components)
    weights = {name: to_weights[name](base.T @ shared) / np.sqrt(n_samples - 1) for name, base in bases.items()}
    sign = _signs(next(iter(weights.values())))
    columns = _names(n_components)

    def labelled(table: np.ndarray, index: Any) -> Any:
        return table if samples is None else pd.DataFrame(table, index=index, columns=columns)

    return MultisetCorrelation(
        {name: labelled(w * sign, labels(named[name], 1)) for name, w in weights.items()},
        {name: labelled(matrices[name] @ w * sign, samples) for name, w in weights.items()},
        labelled(shared * sign, samples),
        agreement,
    )


def shared_scores(bases: Any, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that the layers predict best together (MAXVAR): the step in which many layers meet.

    Parameters
    ----------
    bases : dict or list of (n_samples, r) arrays, one per layer: columns of mean 0 that span the layer. The part of a
        score z that a layer with the basis B predicts is B Bᵀ z: by least squares if the columns are orthonormal, by
        ridge regression if they are shorter.
    n_components : at most the number of columns of all bases together, and below n

    Returns
    -------
    shared : (n_samples, n_components) array, scores of variance 1 (ddof 1), uncorrelated; signs are free
    agreement : (n_components,) array, of each score the sum over the layers of zᵀB Bᵀz / zᵀz: how much of it the
        layers predict; from the largest to the smallest

    Raises
    ------
    ValueError : fewer than 2 layers, different numbers of samples, bad n_components

    Notes
    -----
    The scores are eigenvectors of ΣB Bᵀ, so left singular vectors of all bases side by side.

    References
    ----------
    Kettenring 1971, Biometrika 58:433

    Examples
    --------
    >>> one = np.array([[1.0], [-1.0], [0.0], [0.0]]) / np.sqrt(2)
    >>> other = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]) / np.sqrt(2)
    >>> shared, agreement = shared_scores([one, other], 2)
    >>> agreement.round(2)
    array([2., 1.])
    >>> np.abs(shared[:, 0]).round(2)
    array([1.22, 1.22, 0.  , 0.  ])
    """
    named, _ = same_samples(bases)
    together = np.hstack([as_matrix(basis, str(name)) for name, basis in named.items()])
    n_samples, n_columns = together.shape
    require_integer(n_components, "n_components", at_most=min(n_samples - 1, n_columns))
    vectors, lengths, _ = svd(together, False)  # not full: the layers' directions only
    return vectors[:, :n_components] * np.sqrt(n_samples - 1), lengths[:n_components] ** 2


# --- Is it more than chance, and how much penalty? -------------------------------------------------------------------


def permutation_test(
    x: Any, y: Any, fit: Callable[[Any, Any], CanonicalCorrelation], *, n_permutations: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Would samples paired at random agree as well? Refits with the rows of `y` shuffled.

    Parameters
    ----------
    x, y : as for `cca`
    fit : a function of two layers, for example ``lambda x, y: regularized_cca(x, y, 2, ridge_x=1, ridge_y=1)``
    n_permutations : number of shuffles
    rng : Generator of the shuffles

    Returns
    -------
    p_values : (n_components,), (1 + number of shuffles whose *first* objective is at least as large) / (1 + shuffles)
    null : (n_permutations,), the first objective of every shuffle

    Notes
    -----
    Comparing every component with the null of the first is strict for the later ones, and keeps them in order.

    References
    ----------
    Phipson & Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9:39 (the 1 in both counts)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(50, 2))
    >>> p, _ = permutation_test(x, x + rng.normal(size=(50, 2)), lambda a, b: cca(a, b, 1), n_permutations=99, rng=rng)
    >>> p
    array([0.01])
    """
    require_integer(n_permutations, "n_permutations")
    require_generator(rng)
    pair = _Pair(x, y)
    found = np.asarray(fit(pair.x, pair.y).objective)
    null = np.array([fit(pair.x, pair.y[rng.permutation(len(pair.y))]).objective[0] for _ in range(n_permutations)])
    return (1 + (null >= found[:, None] * (1 - 1e-12)).sum(axis=1)) / (1 + n_permutations), null


def permutation_p_value(
    first: Any, second: Any, *, n_permutations: int, rng: np.random.Generator
) -> tuple[float, np.ndarray]:
    """Would whitened layers agree as well if their samples were paired at random?

    Whitening a layer does not look at the other one. So it is done once, and a shuffle costs one small singular value
    decomposition instead of a new fit.

    Parameters
    ----------
    first : (n_samples, r) array, whitened layer: centred, uncorrelated columns, as X Xᵀ A of `gram_whitening`
    second : (n_samples, s) array, the same for the other layer, samples in the same order
    n_permutations : number of shuffles
    rng : Generator; one `rng.permutation(n_samples)` per shuffle, which reorders the rows of `second`

    Returns
    -------
    p_value : (1 + number of shuffles that agree at least as well) / (1 + n_permutations)
    null : (n_permutations,) array, the agreement in each shuffle, the largest singular value of firstᵀ second /
        (n − 1), which is the first (regularised) canonical correlation

    Raises
    ------
    ValueError : different numbers of samples, no shuffle, no Generator

    References
    ----------
    Phipson & Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9:39 (the 1 in both counts)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(30, 1))
    >>> x = (x - x.mean()) / x.std(ddof=1)
    >>> p_value, null = permutation_p_value(x, x, n_permutations=19, rng=rng)
    >>> p_value, null.shape
    (0.05, (19,))
    """
    first, second, _ = centred_pair(first, second)
    require_integer(n_permutations, "n_permutations")
    require_generator(rng)

    def agreement(paired: np.ndarray) -> float:
        return svd(first.T @ paired / (len(first) - 1), compute_uv=False)[0]

    observed = agreement(second)
    null = np.array([agreement(second[rng.permutation(len(second))]) for _ in range(n_permutations)])
    as_large = (null >= observed * (1 - 1e-12)).sum()  # a shuffle that changes nothing differs by rounding
    return float((1 + as_large) / (1 + n_permutations)), null


def choose_penalty(
    x: Any,
    y: Any,
    candidates: Any,
    fit: Callable[[Any, Any, Any], CanonicalCorrelation],
    *,
    n_folds: int = 5,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """How well does each penalty's first component correlate in samples that it was not fitted to?

    Parameters
    ----------
    x, y : as for `cca`
    candidates : penalties, for example ridges
    fit : a function of two layers and a penalty
    n_folds : number of parts; each is left out once
    rng : Generator that deals the samples out

    Returns
    -------
    DataFrame[penalty, correlation, standard_error], in the order of the candidates; the correlation is the mean over
    folds of the one between the held-out scores, and the best penalty has the largest

    Raises
    ------
    ValueError : no candidate, fewer than 2 folds or so many that one has fewer than 3 samples

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.normal(size=(60, 1))
    >>> x, y = shared + rng.normal(size=(60, 90)), shared + rng.normal(size=(60, 90))
    >>> table = choose_penalty(
    ...     x, y, [1e-3, 1e1], lambda a, b, c: regularized_cca(a, b, 1, ridge_x=c, ridge_y=c), rng=rng)
    >>> bool(table["correlation"].min() > 0.5)
    True
    """
    pair = _Pair(x, y)
    require_generator(rng)
    require_integer(n_folds, "n_folds", at_least=2, at_most=len(pair.x) // 3)
    penalties = list(candidates)
    if not penalties:
        raise ValueError("candidates is empty; give the penalties to compare")
    fold = rng.permutation(np.arange(len(pair.x)) % n_folds)
    rows = []
    for penalty in penalties:
        held_out = [_held_out(pair, fold == k, fit, penalty) for k in range(n_folds)]
        rows.append((penalty, np.mean(held_out), np.std(held_out, ddof=1) / np.sqrt(n_folds)))
    return pd.DataFrame(rows, columns=["penalty", "correlation", "standard_error"])


def _held_out(pair: _Pair, out: np.ndarray, fit: Callable[[Any, Any, Any], Any], penalty: Any) -> float:
    found = fit(pair.x[~out], pair.y[~out], penalty)
    scores = pair.x[out] @ found.x_weights[:, 0], pair.y[out] @ found.y_weights[:, 0]
    if min(np.ptp(score) for score in scores) == 0:
        return 0.0
    return float(np.corrcoef(*scores)[0, 1])


# --- To look at it ---------------------------------------------------------------------------------------------------


def feature_correlations(layer: Any, scores: Any) -> Any:
    """Correlation of every feature with every score: the places of the features in the correlation circle.

    Weights say how a score is made, and are hard to read where features are correlated; these say what it is about.

    Parameters
    ----------
    layer : (n_samples, p) DataFrame or array
    scores : (n_samples, k) DataFrame or array of the same samples in the same order, of this layer or of another one

    Returns
    -------
    (p, k) DataFrame or array, as `layer`; NaN for a feature or a score that never varies

    Raises
    ------
    ValueError : different samples, missing values

    Examples
    --------
    >>> feature_correlations(np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]]), np.array([[1.0], [2.0], [3.0]])).round(3)
    array([[1. ],
           [0.5]])
    """
    x, z, _ = centred_pair(layer, scores)
    varies = [np.ptp(matrix, axis=0) > 0 for matrix in (x, z)]
    lengths = np.outer(np.linalg.norm(x, axis=0), np.linalg.norm(z, axis=0))
    usable = np.outer(*varies)
    found = np.divide(x.T @ z, lengths, out=np.full(lengths.shape, np.nan), where=usable).clip(-1, 1)
    if not isinstance(layer, pd.DataFrame):
        return found
    return pd.DataFrame(found, index=layer.columns, columns=labels(scores, 1))


# --- What the methods share ------------------------------------------------------------------------------------------


class _Pair:
    """Two layers of the same samples as centred arrays, and the labels to give back."""

    names = ("x", "y")

    def __init__(self, x: Any, y: Any, *, standardize: bool = False) -> None:
        tables, self.samples = same_samples({"x": x, "y": y})
        self.columns = [labels(tables[name], 1) for name in self.names]
        self.x, self.y = (centred(tables[name], name) for name in self.names)
        if standardize:
            for matrix, name, columns in zip((self.x, self.y), self.names, self.columns, strict=True):
                _scale(matrix, name, columns)
        self.widths = (self.x.shape[1], self.y.shape[1])

    def table(self, name: str) -> pd.DataFrame:
        """A centred layer with the labels of its features, so that errors can name them."""
        position = self.names.index(name)
        return pd.DataFrame((self.x, self.y)[position], columns=self.columns[position], copy=False)

    def result(self, x_weights: np.ndarray, y_weights: np.ndarray, objective: np.ndarray) -> CanonicalCorrelation:
        sign = _signs(x_weights)
        x_weights, y_weights = x_weights * sign, y_weights * sign
        x_scores, y_scores = self.x @ x_weights, self.y @ y_weights
        lengths = np.linalg.norm(x_scores, axis=0) * np.linalg.norm(y_scores, axis=0)
        together = np.einsum("nk,nk->k", x_scores, y_scores)
        correlations = np.divide(together, lengths, out=np.zeros_like(together), where=lengths > 0)
        return CanonicalCorrelation(
            self.labelled(x_weights, self.columns[0]),
            self.labelled(y_weights, self.columns[1]),
            self.labelled(x_scores, self.samples),
            self.labelled(y_scores, self.samples),
            np.clip(correlations, -1, 1),
            objective,
        )

    def labelled(self, table: np.ndarray, index: Any) -> Any:
        return table if self.samples is None else pd.DataFrame(table, index=index, columns=_names(table.shape[1]))


def _names(n_components: int) -> list[str]:
    return [f"Component{k + 1}" for k in range(n_components)]


def _signs(weights: np.ndarray) -> np.ndarray:
    """+1 or −1 per component, so that the largest weight is positive."""
    largest = np.abs(weights).argmax(axis=0)
    return np.where(weights[largest, np.arange(weights.shape[1])] < 0, -1.0, 1.0)


def centred(layer: Any, name: str) -> np.ndarray:
    """A layer as a new array whose columns have mean 0.

    >>> centred([[1.0], [2.0], [6.0]], "rna")
    array([[-2.],
           [-1.],
           [ 3.]])
    """
    matrix = as_matrix(layer, name)
    if len(matrix) < 3:
        raise ValueError(f"{name} has {len(matrix)} samples; a correlation needs at least 3")
    matrix -= matrix.mean(axis=0)
    return matrix


def centred_pair(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray, list[pd.Index]]:
    """Two layers of the same samples as centred arrays, and the names of their features.

    >>> centred_pair(np.zeros((4, 1)), np.zeros((3, 1)))
    Traceback (most recent call last):
    ValueError: x has 4 samples and y has 3; they must be the same samples in the same order
    """
    first, second = centred(x, "x"), centred(y, "y")
    if len(first) != len(second):
        raise ValueError(
            f"x has {len(first)} samples and y has {len(second)}; they must be the same samples in the same order"
        )
    if isinstance(x, pd.DataFrame) and isinstance(y, pd.DataFrame) and not x.index.equals(y.index):
        row = int(np.argmax(x.index != y.index))
        raise ValueError(
            f"row {row} is {x.index[row]!r} in x and {y.index[row]!r} in y; "
            "they must be the same samples in the same order"
        )
    return first, second, [labels(x, 1), labels(y, 1)]


def _scale(matrix: np.ndarray, name: str, columns: pd.Index) -> None:
    """Divide centred columns by their standard deviation, in place."""
    constant = np.ptp(matrix, axis=0) == 0  # not the spread: rounding of a mean may leave it just above 0
    if constant.any():
        raise ValueError(
            f"{int(constant.sum())} features of {name} never vary, the first is {columns[int(np.argmax(constant))]!r}; "
            "they have no correlation, leave them out"
        )
    matrix /= np.sqrt(np.einsum("np,np->p", matrix, matrix) / (len(matrix) - 1))


def _refuse_wide(pair: _Pair, only: Any) -> None:
    for name, matrix, asked in zip(pair.names, (pair.x, pair.y), only, strict=True):
        if asked and matrix.shape[1] >= len(matrix):
            raise ValueError(too_wide(name, matrix, f"ridge_{name}"))


def too_wide(name: str, matrix: np.ndarray, ridge: str) -> str:
    """What is wrong with p ≥ n, and the cure.

    >>> print(too_wide("x", np.zeros((10, 40)), "ridge_x"))
    x has 40 features and 10 samples: with p ≥ n any score can be written in many ways and every correlation is 1. Use
    regularized_cca or multiset_cca with ridge_x > 0, or sparse_cca
    """
    return (
        f"{name} has {matrix.shape[1]} features and {len(matrix)} samples: with p ≥ n any score can be written in many "
        f"ways and every correlation is 1. Use regularized_cca or multiset_cca with {ridge} > 0, or sparse_cca"
    )


def independent_basis(matrix: np.ndarray, name: str, columns: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """QR decomposition, (n, p) and (p, p); a feature that the ones before it give already is an error that names it.

    >>> independent_basis(np.array([[1.0, 2.0], [0.0, 0.0], [-1.0, -2.0]]), "rna", pd.Index(["TP53", "MDM2"]))
    Traceback (most recent call last):
    ValueError: the features of rna are not linearly independent: column 'MDM2' is a combination of those before it.
    Leave it out, or use regularized_cca
    """
    constant = np.ptp(matrix, axis=0) == 0
    if constant.any():
        raise ValueError(f"column {columns.tolist()[int(constant.argmax())]!r} of {name} never varies; leave it out")
    basis, triangle = qr(matrix, mode="economic")
    left = np.abs(np.diagonal(triangle)) / np.linalg.norm(matrix, axis=0)
    if left.min() <= RANK_TOLERANCE:
        column = columns.tolist()[int(left.argmin())]
        raise ValueError(
            f"the features of {name} are not linearly independent: column {column!r} is a combination of "
            "those before it. Leave it out, or use regularized_cca"
        )
    return basis, triangle


def require_variation(matrix: np.ndarray, name: str) -> None:
    """Refuse a layer in which no feature varies.

    >>> require_variation(np.zeros((3, 2)), "rna")
    Traceback (most recent call last):
    ValueError: the features of rna never vary
    """
    if not np.ptp(matrix, axis=0).any():
        raise ValueError(f"the features of {name} never vary")


def rounding(matrix: np.ndarray) -> float:
    """Share of the largest squared spread below which a squared spread may be nothing but rounding error."""
    return max(matrix.shape) * float(np.finfo(float).eps)


def _whitened(
    matrix: np.ndarray, ridge: float, name: str, columns: pd.Index
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Scores that cost 1 and are uncorrelated, (n, rank), and the map from a basis of them to weights."""
    n_samples, n_features = matrix.shape
    require_variation(matrix, name)
    if n_features > n_samples and ridge > 0:
        of_samples = gram_whitening(matrix, ridge)
        return matrix @ (matrix.T @ of_samples), lambda basis: matrix.T @ (of_samples @ basis)
    if ridge == 0:
        independent_basis(matrix, name, columns)
    values, vectors = eigh(matrix.T @ matrix)
    kept = values > rounding(matrix) * values[-1]
    to_weights = vectors[:, kept] / np.sqrt(values[kept] / (n_samples - 1) + ridge)
    return matrix @ to_weights, lambda basis: to_weights @ basis


def _leading_right_vectors(x: np.ndarray, y: np.ndarray, n: int) -> np.ndarray:
    """First n right singular vectors of XᵀY: by Lanczos steps if n is small, else through samples × samples."""
    shape = (x.shape[1], y.shape[1])
    if 4 * n < min(len(x), *shape):
        cross = LinearOperator(shape, matvec=lambda v: x.T @ (y @ v), rmatvec=lambda u: y.T @ (x @ u), dtype=float)
        anywhere = np.random.default_rng(0).normal(size=min(shape))
        # Not to the last digit, since the alternation goes on from here. Where Lanczos steps find no way (nothing
        # correlates, or singular values are too close to tell apart), the exact one follows.
        with suppress(ArpackError):
            _, values, right = svds(cross, n, v0=anywhere, tol=1e-6)
            return right[np.argsort(-values)].T
    (triangle_x,) = qr(x.T, mode="r")  # x = triangleᵀ basisᵀ
    basis_y, triangle_y = qr(y.T, mode="economic")
    _, _, right = svd(triangle_x[: len(x)] @ triangle_y.T, full_matrices=False)
    found = basis_y @ right[:n].T
    if found.shape[1] < n:
        found = np.hstack([found, np.ones((len(found), n - found.shape[1])) / np.sqrt(len(found))])
    return found
