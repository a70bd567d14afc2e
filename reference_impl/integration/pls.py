"""Partial least squares: the combinations of two layers' features whose scores covary most.

CCA divides by the variance within each layer; PLS does not. A strong direction of a layer therefore counts more than a
tight one, and more features than samples do no harm. Rows are samples; columns are centred and, unless `scale=False`,
divided by their standard deviation (ddof 1).

What scikit-learn calls weights, mixOmics calls loadings; the words here are scikit-learn's. Signs are arbitrary,
jointly per pair of components, and chosen so that the largest weight of the first layer is positive.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import qr, svd

from reference_impl.integration.cca import CanonicalCorrelation, _Pair, _signs, centred_pair
from reference_impl.validation import require_integer


class CanonicalPLS(NamedTuple):
    """Result of canonical partial least squares.

    Attributes
    ----------
    x_weights, y_weights : (n_features, n_components), directions in the deflated layers, of length 1
    x_scores, y_scores : (n_samples, n_components), uncorrelated within a layer
    x_loadings, y_loadings : (n_features, n_components), regression of the deflated layer on its score
    x_rotations, y_rotations : (n_features, n_components); scores = centred and scaled layer @ rotations
    covariances : (n_components,), of the scores in pairs (ddof 1)
    correlations : (n_components,), of the same
    """

    x_weights: Any
    y_weights: Any
    x_scores: Any
    y_scores: Any
    x_loadings: Any
    y_loadings: Any
    x_rotations: Any
    y_rotations: Any
    covariances: np.ndarray
    correlations: np.ndarray


class PLSStep(NamedTuple):
    """One component of canonical partial least squares.

    Attributes
    ----------
    x_weights : (p,), of length 1
    y_weights : (q,), of length 1
    x_scores, y_scores : (n_samples,), centred layers @ weights
    covariance : of the two scores (ddof 1), the largest that weights of length 1 reach
    rest_x, rest_y : (n_samples, p) and (n_samples, q), the centred layers without what their scores explain
    """

    x_weights: Any
    y_weights: Any
    x_scores: Any
    y_scores: Any
    covariance: float
    rest_x: Any
    rest_y: Any


def pls_svd(x: Any, y: Any, n_components: int, *, scale: bool = True) -> CanonicalCorrelation:
    """Partial least squares by one singular value decomposition of XᵀY.

    Parameters
    ----------
    x : (n_samples, p) DataFrame or array
    y : (n_samples, q) DataFrame or array of the same samples; DataFrames are matched by label
    n_components : at most min(n − 1, p, q)
    scale : divide columns by their standard deviation

    Returns
    -------
    CanonicalCorrelation; weights are orthonormal, `objective` holds the covariances of the scores (ddof 1).
    Scores of one layer may be correlated.

    Raises
    ------
    ValueError : different samples, a feature that never varies (with `scale`), bad n_components

    Notes
    -----
    XᵀY is not formed where p and q are larger than n. Peak memory: three times the layers.

    References
    ----------
    Tucker 1958, Psychometrika 23:111 (interbattery factor analysis); scikit-learn `PLSSVD`

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [0.0, -2.0]])
    >>> found = pls_svd(x, x @ np.diag([3.0, 1.0]), 1, scale=False)
    >>> found.x_weights.ravel().round(3), found.objective.round(3)
    (array([0., 1.]), array([2.667]))
    """
    pair = _Pair(x, y, standardize=scale)
    require_integer(n_components, "n_components", at_most=min(len(pair.x) - 1, *pair.widths))
    x_weights, strength, y_weights = leading_pairs(pair.x, pair.y, n_components)
    return pair.result(x_weights, y_weights, strength / (len(pair.x) - 1))


def pls_canonical(x: Any, y: Any, n_components: int, *, scale: bool = True) -> CanonicalPLS:
    """Canonical partial least squares: after each component, what it explains is taken out of both layers.

    Parameters
    ----------
    x, y : (n_samples, p) and (n_samples, q) DataFrames or arrays, matched as in `pls_svd`
    n_components : at most min(n − 1, p, q)
    scale : divide columns by their standard deviation

    Returns
    -------
    CanonicalPLS

    Raises
    ------
    ValueError : different samples, a feature that never varies (with `scale`), bad n_components, or nothing left to
        explain before n_components are found

    Notes
    -----
    Component k: u, v = leading singular vectors of XₖᵀYₖ; t = Xₖu; p = Xₖᵀt / tᵀt; Xₖ₊₁ = Xₖ − t pᵀ, and the same for Y
    with its own score. The first component is that of `pls_svd`; later ones differ. Peak memory: five times the layers.

    References
    ----------
    Wold 1985; Wegelin 2000, Technical Report 371, University of Washington (mode A); scikit-learn `PLSCanonical`

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.normal(size=(50, 1))
    >>> found = pls_canonical(shared + rng.normal(size=(50, 80)), shared + rng.normal(size=(50, 60)), 2)
    >>> bool(abs(np.corrcoef(found.x_scores.T)[0, 1]) < 1e-12)
    True
    """
    pair = _Pair(x, y, standardize=scale)
    n_components = require_integer(n_components, "n_components", at_most=min(len(pair.x) - 1, *pair.widths))
    rest_x, rest_y = pair.x, pair.y
    steps, loadings = [], []
    for component in range(n_components):
        step = pls_step(rest_x, rest_y)
        if step.covariance * (len(rest_x) - 1) <= 1e-12 * np.linalg.norm(pair.x) * np.linalg.norm(pair.y):
            raise ValueError(f"{component} components explain all that x and y share; ask for no more")
        loadings.append((loading(rest_x, step.x_scores), loading(rest_y, step.y_scores)))
        rest_x, rest_y = step.rest_x, step.rest_y
        steps.append(step._replace(rest_x=None, rest_y=None))
    u, v = (np.column_stack([getattr(step, name) for step in steps]) for name in ("x_weights", "y_weights"))
    t, s = (np.column_stack([getattr(step, name) for step in steps]) for name in ("x_scores", "y_scores"))
    p, q = (np.column_stack(vectors) for vectors in zip(*loadings, strict=True))
    sign = _signs(u)
    u, v, t, s, p, q = (vectors * sign for vectors in (u, v, t, s, p, q))
    covariances = np.array([step.covariance for step in steps])
    return CanonicalPLS(
        pair.labelled(u, pair.columns[0]),
        pair.labelled(v, pair.columns[1]),
        pair.labelled(t, pair.samples),
        pair.labelled(s, pair.samples),
        pair.labelled(p, pair.columns[0]),
        pair.labelled(q, pair.columns[1]),
        pair.labelled(_rotations(u, p), pair.columns[0]),
        pair.labelled(_rotations(v, q), pair.columns[1]),
        covariances,
        covariances / (t.std(axis=0, ddof=1) * s.std(axis=0, ddof=1)),
    )


def pls_step(x: Any, y: Any) -> PLSStep:
    """One component of canonical partial least squares, and what is left of the layers after it.

    Parameters
    ----------
    x : (n_samples, p) array or DataFrame
    y : (n_samples, q) array or DataFrame of the same samples in the same order

    Returns
    -------
    PLSStep; columns are centred first. Signs of the weights are free, but jointly: the covariance is not negative.

    Raises
    ------
    ValueError : different samples, missing values, fewer than 3 samples

    Notes
    -----
    u, v: first singular vectors of XᵀY; scores t = Xu, s = Yv; what is left: X − t pᵀ with p = Xᵀt / tᵀt, and Y − s qᵀ
    with q = Yᵀs / sᵀs. Where a score is zero, nothing is taken out.

    References
    ----------
    Wegelin 2000, Technical Report 371, University of Washington (mode A)

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> step = pls_step(x, x[:, [1]])
    >>> np.abs(step.x_weights).round(3), round(step.covariance, 3)
    (array([0., 1.]), 2.667)
    >>> step.rest_x.round(3)
    array([[ 1.,  0.],
           [-1.,  0.],
           [ 0.,  0.],
           [ 0.,  0.]])
    """
    x, y, _ = centred_pair(x, y)
    x_weights, strength, y_weights = leading_pairs(x, y, 1)
    u, v = x_weights[:, 0], y_weights[:, 0]
    t, s = x @ u, y @ v
    rest_x = x - np.outer(t, loading(x, t))
    rest_y = y - np.outer(s, loading(y, s))
    return PLSStep(u, v, t, s, float(strength[0]) / (len(x) - 1), rest_x, rest_y)


def loading(layer: np.ndarray, score: np.ndarray) -> np.ndarray:
    """How much every feature changes with a score: the slopes of its regression on it.

    >>> loading(np.array([[1.0, 2.0], [-1.0, -2.0]]), np.array([2.0, -2.0]))
    array([0.5, 1. ])
    """
    squared_length = score @ score
    return layer.T @ score / squared_length if squared_length > 0 else np.zeros(layer.shape[1])


def _rotations(weights: np.ndarray, loadings: np.ndarray) -> np.ndarray:
    """Weights for the layer as it was before anything was taken out: W (PᵀW)⁻¹."""
    return weights @ np.linalg.inv(loadings.T @ weights)


def leading_pairs(x: np.ndarray, y: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First n singular triplets of XᵀY, (p, n), (n,) and (q, n), through a matrix no larger than samples × samples.

    >>> x = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> _, strength, _ = leading_pairs(x, np.array([[3.0, 0.0], [0.0, 2.0]]), 2)
    >>> strength
    array([3., 2.])
    """
    q_x, small_x = _compressed(x)
    q_y, small_y = _compressed(y)
    left, strength, right = svd(small_x.T @ small_y, full_matrices=False)
    return _expanded(q_x, left[:, :n]), strength[:n], _expanded(q_y, right[:n].T)


def _compressed(x: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """X as (small) @ Qᵀ where it is wide, so that Q holds its directions; X itself where it is not."""
    if x.shape[1] <= x.shape[0]:
        return None, x
    basis, triangle = qr(x.T, mode="economic")
    return basis, triangle.T


def _expanded(basis: np.ndarray | None, vectors: np.ndarray) -> np.ndarray:
    return vectors if basis is None else basis @ vectors
