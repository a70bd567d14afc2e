"""Canonical correlation analysis: the combinations of two layers' features that agree best across samples.

Classical CCA asks for the weights u, v whose scores X u and Y v have the highest correlation. With more features than
samples every pair of layers agrees perfectly, so the question must be asked with a price: a ridge on the weights
(`regularized_cca`), few weights (`sparse_cca`), or, for any number of layers, the scores that all of them can predict
(`multiset_cca`). Rows are samples; columns are centred by every function here.

The signs of a pair of components are arbitrary, but only jointly. They are chosen so that the largest weight of the
first layer is positive.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import eigh, qr, solve_triangular, svd
from scipy.sparse.linalg import LinearOperator, svds
from sklearn.exceptions import ConvergenceWarning

from reference_impl.validation import (
    as_matrix,
    labels,
    require_generator,
    require_integer,
    require_number,
    same_samples,
)

RANK_TOLERANCE = 1e-10  # a direction with less than this share of the largest spread is taken for rounding error
MOST_STEPS = 1000  # of the alternation of `sparse_cca`
SETTLED = 1e-10  # change of the weights' sum of absolute values below which the alternation stops


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
    Memory: one copy of each layer. R's `cancor` scales its coefficients to scores of length 1 instead of variance 1.

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
    require_integer(n_components, "n_components", at_most=min(pair.x.shape[1], pair.y.shape[1]))
    n_samples = len(pair.x)
    if sum(pair.widths) >= n_samples:
        _refuse_wide(pair)
        warnings.warn(
            f"{' + '.join(map(str, pair.widths))} features of {n_samples} samples: some correlations are 1 whatever "
            "the data say; use regularized_cca or sparse_cca",
            UserWarning,
            stacklevel=2,
        )
    q_x, r_x = _qr(pair.x, pair.names[0])
    q_y, r_y = _qr(pair.y, pair.names[1])
    left, correlations, right = svd(q_x.T @ q_y, full_matrices=False)
    spread = np.sqrt(n_samples - 1)
    x_weights = solve_triangular(r_x, left[:, :n_components]) * spread
    y_weights = solve_triangular(r_y, right.T[:, :n_components]) * spread
    return pair.result(x_weights, y_weights, np.minimum(correlations[:n_components], 1.0))


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
    With p > n all is done with the n × n Gram matrix, O(n² p) instead of O(p³): the weights lie in the span of the
    samples. Memory: one copy of each layer and n² or p², whichever is less.

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
    white_x, to_x = _whitened(pair.x, ridges[0], pair.names[0])
    white_y, to_y = _whitened(pair.y, ridges[1], pair.names[1])
    left, objective, right = svd(white_x.T @ white_y / (len(pair.x) - 1), full_matrices=False)
    n = min(n_components, len(objective))
    return pair.result(to_x(left[:, :n]), to_y(right.T[:, :n]), objective[:n])


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
    XᵀY is never formed: each step costs O(n (p + q)). Memory: two copies of each layer. The alternation starts from
    the singular vectors of XᵀY, as PMA does, and runs until the weights stand still, where PMA stops after 15 steps. It
    finds a local optimum.

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
        before = slice(0, k)
        cross = _Deflated(pair.x, pair.y, found_u[:, before], strength[before], found_v[:, before])
        found_u[:, k], found_v[:, k] = _sparse_pair(cross, start[:, k], *bounds)
        strength[k] = found_u[:, k] @ cross.times(found_v[:, k])
    return pair.result(found_u, found_v, strength)


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
    The threshold is exact, from sorted absolute values, where PMA halves an interval until its width is below 1e-6.
    Equal largest values cannot be told apart: then the bound may be missed, by keeping all of them.

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
    direction = np.asarray(direction, dtype=float)
    require_number(bound, "bound", low=1 - 1e-12)
    size = np.abs(direction)
    largest = size.max(initial=0.0)
    if not np.isfinite(largest) or largest == 0:
        raise ValueError("direction must have finite values that are not all zero")
    direction, size = direction / largest, size / largest  # so that squares neither overflow nor vanish
    thresholded = soft_threshold(direction, _threshold(size, bound))
    length = np.linalg.norm(thresholded)
    if length == 0:  # a bound of 1, or ties at the top: only the largest are left
        thresholded = np.where(size == 1.0, np.sign(direction), 0.0)
        length = np.linalg.norm(thresholded)
    return thresholded / length


def _threshold(size: np.ndarray, bound: float) -> float:
    """The least threshold t ≥ 0 at which ‖s‖₁ ≤ bound ‖s‖₂ for the thresholded sizes s.

    Between two neighbours of the sorted sizes the j largest are left, and ‖s‖₁² = bound² ‖s‖₂² is a quadratic in t.
    """
    ordered = np.sort(size)[::-1]
    sums, squares = np.cumsum(ordered), np.cumsum(ordered**2)
    if sums[-1] <= bound * np.sqrt(squares[-1]):
        return 0.0
    kept = np.arange(1, len(ordered) + 1)
    below = np.append(ordered[1:], 0.0)  # thresholds from here up to ordered[j − 1] leave the j largest
    one = sums - kept * below
    two = np.sqrt(np.maximum(squares - 2 * below * sums + kept * below**2, 0.0))
    j = int(np.argmax(one > bound * two)) + 1  # the first interval at whose lower end the bound is broken
    total, square = sums[j - 1], squares[j - 1]
    # (total − j t)² = bound² (square − 2 t total + j t²), the smaller root
    a, b, c = j * (j - bound**2), total * (j - bound**2), total**2 - bound**2 * square
    if a <= 0:
        return float(ordered[j - 1])
    root = np.sqrt(max(b * b - a * c, 0.0))
    return float(np.clip((b - root) / a, below[j - 1], ordered[j - 1]))


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
    For two layers and no ridge `agreement` is 1 + ρ with the canonical correlations ρ. Memory: one copy of each layer
    and n × (sum of ranks).

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
    matrices = {name: _centred(as_matrix(table, str(name)), str(name)) for name, table in named.items()}
    n_samples = len(next(iter(matrices.values())))
    n_components = require_integer(n_components, "n_components", at_most=n_samples - 1)
    bases, to_weights = {}, {}
    for name, matrix in matrices.items():
        if ridge == 0 and matrix.shape[1] >= n_samples:
            raise ValueError(_too_wide(str(name), matrix, "ridge"))
        white, to_weights[name] = _whitened(matrix, ridge, str(name))
        bases[name] = white / np.sqrt(n_samples - 1)
    together = np.hstack(list(bases.values()))
    vectors, singular, _ = svd(together, full_matrices=False)
    n_components = min(n_components, len(singular))
    shared = vectors[:, :n_components] * np.sqrt(n_samples - 1)
    weights = {name: to_weights[name](base.T @ shared) / np.sqrt(n_samples - 1) for name, base in bases.items()}
    sign = _signs(next(iter(weights.values())))
    columns = _names(n_components)

    def labelled(table: np.ndarray, index: Any) -> Any:
        return table if samples is None else pd.DataFrame(table, index=index, columns=columns)

    return MultisetCorrelation(
        {name: labelled(w * sign, labels(named[name], 1)) for name, w in weights.items()},
        {name: labelled(matrices[name] @ w * sign, samples) for name, w in weights.items()},
        labelled(shared * sign, samples),
        singular[:n_components] ** 2,
    )


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
    found = fit(pair.raw_x[~out], pair.raw_y[~out], penalty)
    scores = pair.raw_x[out] @ found.x_weights[:, 0], pair.raw_y[out] @ found.y_weights[:, 0]
    if min(np.ptp(score) for score in scores) == 0:
        return 0.0
    return float(np.corrcoef(*scores)[0, 1])


# --- What the methods share ------------------------------------------------------------------------------------------


class _Pair:
    """Two layers of the same samples as centred arrays, and the labels to give back."""

    def __init__(self, x: Any, y: Any, *, standardize: bool = False) -> None:
        self.names = ("x", "y")
        tables, self.samples = same_samples({"x": x, "y": y})
        self.columns = [labels(tables[name], 1) for name in self.names]
        self.raw_x, self.raw_y = (as_matrix(tables[name], name) for name in self.names)
        self.x, self.y = (_centred(raw, name) for raw, name in zip((self.raw_x, self.raw_y), self.names, strict=True))
        if standardize:
            self.x = _scaled(self.x, "x", self.columns[0])
            self.y = _scaled(self.y, "y", self.columns[1])
        self.widths = (self.x.shape[1], self.y.shape[1])

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


def _centred(matrix: np.ndarray, name: str) -> np.ndarray:
    if len(matrix) < 3:
        raise ValueError(f"{name} has {len(matrix)} samples; a correlation needs at least 3")
    return matrix - matrix.mean(axis=0)


def _scaled(matrix: np.ndarray, name: str, columns: pd.Index) -> np.ndarray:
    """A centred matrix, divided in place by the standard deviations."""
    spread = np.sqrt(np.einsum("nd,nd->d", matrix, matrix) / (len(matrix) - 1))
    constant = spread <= 1e-12 * max(1.0, spread.max(initial=0.0))
    if constant.any():
        raise ValueError(
            f"{int(constant.sum())} features of {name} never vary, the first is {columns[int(np.argmax(constant))]!r}; "
            "they have no correlation, leave them out"
        )
    matrix /= spread
    return matrix


def _refuse_wide(pair: _Pair, only: Any = (True, True)) -> None:
    for name, matrix, asked in zip(pair.names, (pair.x, pair.y), only, strict=True):
        if asked and matrix.shape[1] >= len(matrix):
            raise ValueError(_too_wide(name, matrix, f"ridge_{name}"))


def _too_wide(name: str, matrix: np.ndarray, ridge: str) -> str:
    return (
        f"{name} has {matrix.shape[1]} features and {len(matrix)} samples: with p ≥ n any score can be written in many "
        f"ways and every correlation is 1. Use regularized_cca or multiset_cca with {ridge} > 0, or sparse_cca"
    )


def _qr(matrix: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    basis, triangle = qr(matrix, mode="economic")
    size = np.abs(np.diagonal(triangle))
    if size.min() <= RANK_TOLERANCE * size.max():
        raise ValueError(
            f"the features of {name} are not linearly independent: column {int(size.argmin())} is a combination of "
            "those before it. Leave it out, or use regularized_cca"
        )
    return basis, triangle


def _whitened(matrix: np.ndarray, ridge: float, name: str) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """X (Cxx + λI)^(−1/2) in a basis of its row space, (n, rank), and the map from that basis to weights."""
    n_samples, n_features = matrix.shape
    wide = n_features > n_samples
    small = matrix @ matrix.T if wide else matrix.T @ matrix
    values, vectors = eigh(small)
    kept = values > RANK_TOLERANCE**1.5 * values[-1]  # of squared spreads
    if not kept.any():
        raise ValueError(f"the features of {name} never vary")
    if ridge == 0 and not wide and not kept.all():
        raise ValueError(f"the features of {name} are not linearly independent; give it a ridge above 0")
    spread, vectors = np.sqrt(values[kept]), vectors[:, kept]
    shrunk = spread / np.sqrt(spread**2 / (n_samples - 1) + ridge)  # length of the whitened directions
    if wide:
        return vectors * shrunk, lambda basis: matrix.T @ (vectors @ (basis * (shrunk / spread**2)[:, None]))
    return matrix @ vectors * (shrunk / spread), lambda basis: vectors @ (basis * (shrunk / spread)[:, None])


class _Deflated:
    """XᵀY − U diag(d) Vᵀ as something that multiplies, never formed."""

    def __init__(self, x: np.ndarray, y: np.ndarray, u: np.ndarray, strength: np.ndarray, v: np.ndarray) -> None:
        self.x, self.y, self.u, self.strength, self.v = x, y, u, strength, v

    def times(self, v: np.ndarray) -> np.ndarray:
        return self.x.T @ (self.y @ v) - self.u @ (self.strength * (self.v.T @ v))

    def transposed_times(self, u: np.ndarray) -> np.ndarray:
        return self.y.T @ (self.x @ u) - self.v @ (self.strength * (self.u.T @ u))


def _leading_right_vectors(x: np.ndarray, y: np.ndarray, n: int) -> np.ndarray:
    """First n right singular vectors of XᵀY: by Lanczos steps if n is small, else through samples × samples."""
    shape = (x.shape[1], y.shape[1])
    if 4 * n < min(len(x), *shape):
        cross = LinearOperator(
            shape, matvec=lambda v: x.T @ (y @ v), rmatvec=lambda u: y.T @ (x @ u), dtype=float
        )  # a start need not be exact: the alternation goes on from it
        anywhere = np.random.default_rng(0).normal(size=min(shape))
        _, values, right = svds(cross, n, v0=anywhere, tol=1e-6, return_singular_vectors="vh")
        return right[np.argsort(-values)].T
    r_x = qr(x.T, mode="r")[0][: min(x.shape)]  # x = r_xᵀ q_xᵀ
    q_y, r_y = qr(y.T, mode="economic")
    _, _, right = svd(r_x @ r_y.T, full_matrices=False)
    found = q_y @ right[:n].T
    if found.shape[1] < n:
        found = np.hstack([found, np.ones((len(found), n - found.shape[1])) / np.sqrt(len(found))])
    return found


def _sparse_pair(cross: _Deflated, v: np.ndarray, bound_u: float, bound_v: float) -> tuple[np.ndarray, np.ndarray]:
    """Alternate between the best u for v and the best v for u."""
    u = np.zeros(cross.x.shape[1])
    for _ in range(MOST_STEPS):
        towards = cross.times(v)
        if not np.abs(towards).max() > 0:
            raise ValueError("nothing is left to correlate; ask for fewer components")
        u = sparse_unit_vector(towards, bound_u)
        new = sparse_unit_vector(cross.transposed_times(u), bound_v)
        change, v = np.abs(new - v).sum(), new
        if change <= SETTLED:
            return u, v
    warnings.warn(
        f"the weights still changed after {MOST_STEPS} steps; a smaller c_x or c_y, or fewer components, may help",
        ConvergenceWarning,
        stacklevel=4,
    )
    return u, v
