"""Joint non-negative matrix factorisation: parts that all layers share, X_m ≈ H W_mᵀ with nothing below zero.

Every sample is a sum of the same few parts in all layers (H); each layer says what a part looks like in its features
(W_m). Sums without differences make parts that can be read: a sample has a part or has not, a feature belongs to it or
does not. The objective has no ½: Σ_m ‖X_m − H W_mᵀ‖². It equals one factorisation of the layers side by side, so a
layer with larger numbers has more to say; `scale_layers` gives each the same say.

Rows are samples. A sample may lack a whole layer (a row of NaN, or no row in a DataFrame): that layer then takes no
part in the sample's row of H.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import squareform
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import ConvergenceWarning

from reference_impl.integration.layers import (
    all_samples,
    named_layers,
    require_known_features,
    require_some_layer,
    whole_matrix,
)
from reference_impl.validation import as_matrix, labels, require_generator, require_integer, require_number

TINY = float(np.finfo(np.float32).eps)  # in place of a denominator of zero, as scikit-learn does
SWEEPS = 3  # passes over the coordinates per iteration: they cost less than the products that they share


class JointFactors(NamedTuple):
    """Result of a joint factorisation.

    Attributes
    ----------
    h : (n_samples, rank), how much of each part a sample has
    w : dict of (n_features, rank), what each part looks like; a part's weights in all layers have length 1 together
    objective : Σ_m ‖X_m − H W_mᵀ‖² over what was measured
    history : objective after each iteration of the start that was kept
    """

    h: Any
    w: dict[Any, Any]
    objective: float
    history: np.ndarray


# --- The steps -------------------------------------------------------------------------------------------------------


def objective(layers: Sequence[np.ndarray], h: np.ndarray, w: Sequence[np.ndarray]) -> float:
    """Σ_m ‖X_m − H W_mᵀ‖², without ½.

    Parameters
    ----------
    layers : list of (n_samples, n_features) non-negative arrays
    h : (n_samples, rank)
    w : list of (n_features, rank)

    Examples
    --------
    >>> layers = [np.array([[1.0, 2.0]]), np.array([[3.0]])]
    >>> objective(layers, np.array([[1.0]]), [np.array([[1.0], [1.0]]), np.array([[1.0]])])
    5.0
    """
    return float(sum(np.sum((x - h @ part.T) ** 2) for x, part in zip(layers, w, strict=True)))


def update_step(
    layers: Sequence[np.ndarray], h: np.ndarray, w: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """One round of multiplicative updates: first the shared factor, then each layer's weights with the new factor.

    Parameters
    ----------
    layers : list of (n_samples, n_features) non-negative arrays
    h : (n_samples, rank), non-negative
    w : list of (n_features, rank), non-negative

    Returns
    -------
    h, w : new arrays; the objective is not larger than before

    Notes
    -----
    H ← H ∘ (Σ_m X_m W_m) / (H Σ_m W_mᵀW_m), then W_m ← W_m ∘ (X_mᵀH) / (W_m HᵀH). A zero stays zero for ever.
    Updating the weights first decreases the objective as well, along another path; this order is scikit-learn's.

    References
    ----------
    Lee & Seung 2001, NIPS; Zhang et al. 2012, Nucleic Acids Research 40:9379 (joint factorisation)

    Examples
    --------
    >>> x = np.array([[1.0, 2.0], [2.0, 4.0]])
    >>> h, w = update_step([x], np.array([[1.0], [1.0]]), [np.array([[1.0], [1.0]])])
    >>> h @ w[0].T
    array([[1., 2.],
           [2., 4.]])
    """
    toward = sum(x @ part for x, part in zip(layers, w, strict=True))
    away = h @ sum(part.T @ part for part in w)
    h = h * toward / np.where(away == 0, TINY, away)
    gram = h.T @ h
    return h, [_multiplied(part, x.T @ h, part @ gram) for x, part in zip(layers, w, strict=True)]


def _multiplied(part: np.ndarray, toward: np.ndarray, away: np.ndarray) -> np.ndarray:
    return part * toward / np.where(away == 0, TINY, away)


def coordinate_step(factor: np.ndarray, target: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Columns of a factor, one after another, each at its best while the others stand still (HALS).

    Minimises ‖X − F Gᵀ‖² over F ≥ 0 column by column, given target = X G and gram = GᵀG.

    Parameters
    ----------
    factor : (n, rank), non-negative
    target : (n, rank)
    gram : (rank, rank)

    Returns
    -------
    (n, rank)

    Notes
    -----
    F_k ← max(0, F_k + (target_k − F gram_k) / gram_kk). A column without a partner (gram_kk = 0) is left as it is.

    References
    ----------
    Cichocki & Phan 2009, IEICE Transactions E92-A:708; Gillis & Glineur 2012, Neural Computation 24:1085 (sweeps)

    Examples
    --------
    >>> coordinate_step(np.array([[0.0]]), np.array([[6.0]]), np.array([[2.0]]))
    array([[3.]])
    """
    factor = factor.copy()
    for k in range(factor.shape[1]):
        if gram[k, k] > 0:
            change = (target[:, k] - factor @ gram[:, k]) / gram[k, k]
            factor[:, k] = np.maximum(factor[:, k] + change, 0.0)
    return factor


# --- The method ------------------------------------------------------------------------------------------------------


def scale_layers(layers: Any) -> dict[Any, Any]:
    """Divide each layer by its root mean square per sample, so that all have the same say.

    Parameters
    ----------
    layers : dict or list of (n_samples, n_features) non-negative DataFrames or arrays

    Returns
    -------
    dict of tables like those of `layers`; per measured sample each layer's squares sum to 1 on average

    Raises
    ------
    ValueError : a negative value, or a layer of zeros

    Examples
    --------
    >>> scale_layers({"rna": np.array([[3.0, 4.0], [3.0, 4.0]])})["rna"]
    array([[0.6, 0.8],
           [0.6, 0.8]])
    """
    stacked = _Stack(layers)
    scaled = {}
    for name, table in stacked.tables.items():
        layer = stacked.layers[name]
        scaled[name] = table / np.sqrt(np.sum(layer.values**2) / len(layer.rows))
    return scaled


def joint_nmf(
    layers: Any,
    rank: int,
    *,
    rng: np.random.Generator,
    solver: str = "hals",
    n_starts: int = 10,
    max_iterations: int = 500,
    tolerance: float = 1e-5,
) -> JointFactors:
    """Factorise all layers together, from several random starts; the best is returned.

    Parameters
    ----------
    layers : dict or list of (n_samples, n_features) non-negative DataFrames or arrays
        DataFrames are matched by label, and one may lack samples; in an array a sample that lacks it is a row of NaN.
    rank : number of parts, at most the number of samples
    rng : Generator of the starts
    solver : "hals" (coordinate updates, for real use) or "mu" (multiplicative updates, slow, for understanding)
    n_starts : number of random starts
    max_iterations : per start
    tolerance : stop when the objective fell by less than this share of its first value over 10 iterations

    Returns
    -------
    JointFactors; parts are ordered by their share of the sum of squares

    Raises
    ------
    ValueError : a negative value, a gap inside a sample's layer, a sample without any layer, bad parameters

    Warns
    -----
    ConvergenceWarning : the best start still improved after `max_iterations`

    Notes
    -----
    An iteration costs O(n · p · rank). Memory: one copy of the layers.

    References
    ----------
    Zhang et al. 2012, Nucleic Acids Research 40:9379

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> h = rng.gamma(0.5, size=(30, 2))
    >>> layers = {"rna": h @ rng.gamma(0.5, size=(2, 20)), "protein": h @ rng.gamma(0.5, size=(2, 10))}
    >>> found = joint_nmf(layers, 2, rng=rng, n_starts=3)
    >>> bool(found.objective < 1e-3 * sum((x**2).sum() for x in layers.values()))
    True
    """
    stack = _Stack(layers)
    rank = require_integer(rank, "rank", at_most=stack.n_samples)
    require_generator(rng)
    require_integer(n_starts, "n_starts")
    _check_solver(solver, max_iterations, tolerance)
    runs = [_descend(stack, rank, rng, solver, max_iterations, tolerance) for _ in range(n_starts)]
    h, w, history, settled = min(runs, key=lambda run: run[2][-1])
    if not settled:
        _warn_unsettled(max_iterations)
    return stack.result(h, w, history)


def separate_nmf(layers: Any, rank: int, *, rng: np.random.Generator, **options: Any) -> dict[Any, JointFactors]:
    """Factorise each layer on its own: what joint factorisation is to be compared with.

    Parameters
    ----------
    layers, rank, rng, options : as for `joint_nmf`

    Returns
    -------
    dict of JointFactors, one per layer, for the samples that the layer has. Part 1 of one layer need not be part 1 of
    another, nor need there be a match at all: see `match_parts`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = separate_nmf({"rna": rng.gamma(1.0, size=(9, 6)), "protein": rng.gamma(1.0, size=(9, 4))}, 2, rng=rng)
    >>> found["protein"].w["protein"].shape
    (4, 2)
    """
    stack = _Stack(layers)
    found = {}
    for name, table in stack.tables.items():
        whole = table[~np.isnan(np.asarray(table, dtype=float)).all(axis=1)]
        found[name] = joint_nmf({name: whole}, rank, rng=rng, **options)
    return found


def match_parts(first: Any, second: Any) -> tuple[np.ndarray, np.ndarray]:
    """Which part of a second factorisation is which of the first, and how alike they are over the samples.

    Parameters
    ----------
    first, second : (n_samples, rank) tables of the same samples

    Returns
    -------
    partner : (rank,), for each part of `first` the position of its partner in `second`
    cosine : (rank,), cosine of the two; 1 where they are the same up to scale

    Examples
    --------
    >>> h = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> match_parts(h, 3 * h[:, ::-1])
    (array([1, 0]), array([1., 1.]))
    """
    one, other = as_matrix(first, "first"), as_matrix(second, "second")
    if one.shape != other.shape:
        raise ValueError(f"first is {one.shape} and second {other.shape}; they must have the same samples and rank")
    lengths = np.outer(np.linalg.norm(one, axis=0), np.linalg.norm(other, axis=0))
    cosine = one.T @ other / np.where(lengths > 0, lengths, 1.0)
    rows, partner = linear_sum_assignment(cosine, maximize=True)
    return partner, cosine[rows, partner]


def consensus_matrix(assignments: Any) -> np.ndarray:
    """How often two samples are in one cluster.

    Parameters
    ----------
    assignments : (n_runs, n_samples) cluster labels

    Returns
    -------
    (n_samples, n_samples), from 0 to 1

    References
    ----------
    Brunet et al. 2004, PNAS 101:4164

    Examples
    --------
    >>> consensus_matrix([[0, 0, 1], [1, 0, 0]])
    array([[1. , 0.5, 0. ],
           [0.5, 1. , 0.5],
           [0. , 0.5, 1. ]])
    """
    runs = np.asarray(assignments)
    if runs.ndim != 2 or 0 in runs.shape:
        raise ValueError(f"assignments must be runs × samples; got shape {runs.shape}")
    return (runs[:, :, None] == runs[:, None, :]).mean(axis=0)


def cophenetic_correlation(consensus: Any) -> float:
    """How much a consensus matrix looks like clusters: correlation of 1 − consensus with the heights of its tree.

    1 where all runs agree. Average linkage.

    References
    ----------
    Brunet et al. 2004, PNAS 101:4164

    Examples
    --------
    >>> cophenetic_correlation(consensus_matrix([[0, 0, 1, 1], [1, 1, 0, 0]]))
    1.0
    """
    distance = 1.0 - np.asarray(consensus, dtype=float)
    np.fill_diagonal(distance, 0.0)
    pairs = squareform(distance, checks=False)
    if np.ptp(pairs) == 0:
        return 1.0  # one cluster in all runs
    return min(float(cophenet(linkage(pairs, "average"), pairs)[0]), 1.0)


def choose_rank(
    layers: Any, ranks: Any, *, rng: np.random.Generator, n_starts: int = 20, **options: Any
) -> pd.DataFrame:
    """For each number of parts: do random starts agree on the clusters and on the parts, and how good is the fit?

    Parameters
    ----------
    layers : as for `joint_nmf`
    ranks : numbers of parts, at least 2
    rng : Generator of the starts
    n_starts : per rank, at least 2
    options : `solver`, `max_iterations`, `tolerance` of `joint_nmf`

    Returns
    -------
    DataFrame[rank, cophenetic, dispersion, stability, objective]
        cophenetic : correlation of the consensus of clusters (a sample's largest part) with its tree
        dispersion : mean of 4 (consensus − ½)², 1 where all runs agree
        stability : mean cosine of matched parts, between each start and the best one
        objective : of the best start; it falls with every rank, and says little by itself

    Notes
    -----
    Look for the last rank before the cophenetic correlation falls. Brunet et al. read it so; a rank of 2 often looks
    stable whatever the data are.

    References
    ----------
    Brunet et al. 2004, PNAS 101:4164; Kim & Park 2007, Bioinformatics 23:1495 (dispersion)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> h = np.repeat(np.eye(3), 8, axis=0) + 0.05
    >>> layers = [h @ rng.gamma(0.5, size=(3, 20)), h @ rng.gamma(0.5, size=(3, 15))]
    >>> choose_rank(layers, [3], rng=rng, n_starts=3).round(2)[["rank", "cophenetic"]]
       rank  cophenetic
    0     3         1.0
    """
    stack = _Stack(layers)
    require_generator(rng)
    require_integer(n_starts, "n_starts", at_least=2)
    solver, most, tolerance = (
        options.get(key, default) for key, default in [("solver", "hals"), ("max_iterations", 500), ("tolerance", 1e-5)]
    )
    unknown = set(options) - {"solver", "max_iterations", "tolerance"}
    if unknown:
        raise ValueError(f"unknown option {sorted(unknown)[0]!r}; known are solver, max_iterations, tolerance")
    _check_solver(solver, most, tolerance)
    rows = []
    for rank in ranks:
        require_integer(rank, "rank", at_least=2, at_most=stack.n_samples)
        runs = [_descend(stack, rank, rng, solver, most, tolerance) for _ in range(n_starts)]
        normal = [_normalised(h, w)[0] for h, w, _, _ in runs]
        consensus = consensus_matrix([h.argmax(axis=1) for h in normal])
        best = int(np.argmin([history[-1] for _, _, history, _ in runs]))
        alike = [match_parts(normal[best], h)[1].mean() for number, h in enumerate(normal) if number != best]
        dispersion = float(np.mean(4 * (consensus - 0.5) ** 2))
        rows.append((rank, cophenetic_correlation(consensus), dispersion, np.mean(alike), runs[best][2][-1]))
    return pd.DataFrame(rows, columns=["rank", "cophenetic", "dispersion", "stability", "objective"])


class JointNMF(TransformerMixin, BaseEstimator):
    """Joint non-negative matrix factorisation as a scikit-learn transformer over a dict of layers.

    Parameters
    ----------
    rank : number of parts
    scale : give each layer the same say, by `scale_layers`
    solver, n_starts, max_iterations, tolerance : as for `joint_nmf`
    random_state : seed of the starts

    Attributes
    ----------
    factors_ : (n_samples, rank) DataFrame or array, H
    weights_ : dict of (n_features, rank) DataFrames or arrays, W_m of the layers in their own units
    objective_ : float, of the layers as they were factorised

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> h = rng.gamma(0.5, size=(30, 2))
    >>> layers = {"rna": 100 * h @ rng.gamma(0.5, size=(2, 20)), "protein": h @ rng.gamma(0.5, size=(2, 10))}
    >>> model = JointNMF(rank=2, n_starts=3).fit(layers)
    >>> bool(np.abs(model.transform({"protein": layers["protein"]}) - model.factors_).max() < 0.1)
    True
    """

    def __init__(
        self,
        rank: int = 3,
        *,
        scale: bool = True,
        solver: str = "hals",
        n_starts: int = 10,
        max_iterations: int = 500,
        tolerance: float = 1e-5,
        random_state: int = 0,
    ) -> None:
        self.rank = rank
        self.scale = scale
        self.solver = solver
        self.n_starts = n_starts
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.random_state = random_state

    def fit(self, layers: Any, y: Any = None) -> JointNMF:  # noqa: ARG002 (scikit-learn passes y)
        """Factorise the layers.

        Raises
        ------
        ValueError : as for `joint_nmf`
        """
        stack = _Stack(layers)
        self._units = {
            name: float(np.sqrt(np.sum(layer.values**2) / len(layer.rows))) if self.scale else 1.0
            for name, layer in stack.layers.items()
        }
        scaled = {name: table / self._units[name] for name, table in stack.tables.items()}
        found = joint_nmf(
            scaled,
            self.rank,
            rng=np.random.default_rng(self.random_state),
            solver=self.solver,
            n_starts=self.n_starts,
            max_iterations=self.max_iterations,
            tolerance=self.tolerance,
        )
        self.factors_, self.objective_ = found.h, found.objective
        self.weights_ = {name: part * self._units[name] for name, part in found.w.items()}
        self._parts = {name: np.asarray(part) for name, part in found.w.items()}
        self._features = {name: labels(table, 1) for name, table in stack.tables.items()}
        return self

    def transform(self, layers: Any) -> Any:
        """H of samples, from whichever layers they have, with the weights as they are.

        Raises
        ------
        ValueError : a layer or features that the model does not know, and as for `joint_nmf`
        """
        stack = _Stack(layers)
        require_known_features(stack.tables, self._features)
        for name, layer in stack.layers.items():
            layer.values = layer.values / self._units[name]
        w = {name: self._parts[name] for name in stack.layers}
        h = np.full((stack.n_samples, self.rank), 1.0)
        for _ in range(self.max_iterations):
            before = h
            h = stack.update_h(h, w, "hals")
            if np.abs(h - before).max() <= 1e-9 * h.max():
                break
        return h if stack.samples is None else pd.DataFrame(h, index=stack.samples, columns=_part_names(self.rank))


# --- Layers and descent ----------------------------------------------------------------------------------------------


class _Measured:
    """A layer's values in the samples that have it, and where those are among all."""

    def __init__(self, values: np.ndarray, rows: np.ndarray) -> None:
        self.values, self.rows = values, rows

    @cached_property
    def sum_of_squares(self) -> float:
        """‖X_m‖², which every value of the objective needs."""
        return float(np.einsum("nd,nd->", self.values, self.values))


class _Stack:
    """The layers side by side: every layer's measured rows, and the groups of samples that have the same layers."""

    def __init__(self, layers: Any) -> None:
        self.tables = named_layers(layers)
        self.samples = all_samples(self.tables)
        matrices = {name: self._matrix(name, table) for name, table in self.tables.items()}
        self.n_samples = len(next(iter(matrices.values())))
        present = {name: ~np.isnan(matrix).all(axis=1) for name, matrix in matrices.items()}
        self._require_whole(matrices, present)
        self.layers = {name: _Measured(m[present[name]], np.flatnonzero(present[name])) for name, m in matrices.items()}
        self.groups = self._groups(np.column_stack(list(present.values())))

    def _matrix(self, name: Any, table: Any) -> np.ndarray:
        matrix = whole_matrix(name, table, self.samples)
        if np.nanmin(matrix, initial=0.0) < 0:
            row, column = divmod(int(np.nanargmin(matrix)), matrix.shape[1])
            raise ValueError(
                f"{name} has the negative value {matrix[row, column]:g} for sample {self._who(row)!r}, feature "
                f"{labels(table, 1)[column]!r}; parts only add up, so shift or scale the layer first"
            )
        return matrix

    def _require_whole(self, matrices: dict[Any, np.ndarray], present: dict[Any, np.ndarray]) -> None:
        for name, matrix in matrices.items():
            broken = np.isnan(matrix).any(axis=1) & present[name]
            if broken.any():
                raise ValueError(
                    f"{name} has gaps inside {int(broken.sum())} samples, the first is "
                    f"{self._who(int(np.argmax(broken)))!r}; a sample may lack a whole layer, other gaps must be "
                    "filled first"
                )
            if not np.nansum(matrix) > 0:
                raise ValueError(f"{name} has no value above zero")
        require_some_layer(np.array(list(present.values())), self.samples)

    def _who(self, row: int) -> Any:
        """The label of a sample; its number where there are no labels."""
        return row if self.samples is None else self.samples[row]

    def _groups(self, present: np.ndarray) -> list[tuple[np.ndarray, list[Any]]]:
        patterns, member = np.unique(present, axis=0, return_inverse=True)
        names = list(self.tables)
        return [
            (np.flatnonzero(member.ravel() == number), [name for name, has in zip(names, pattern, strict=True) if has])
            for number, pattern in enumerate(patterns)
        ]

    def update_h(self, h: np.ndarray, w: dict[Any, np.ndarray], solver: str) -> np.ndarray:
        """The shared factor, given the weights; samples that lack a layer are told by the others alone."""
        toward = np.zeros_like(h)
        grams = {}
        for name, layer in self.layers.items():
            toward[layer.rows] += (w[name].T @ layer.values.T).T  # with few parts as rows BLAS needs half the time
            grams[name] = w[name].T @ w[name]
        new = np.empty_like(h)
        for rows, names in self.groups:
            new[rows] = _updated(h[rows], toward[rows], sum(grams[name] for name in names), solver)
        return new

    def update_w(self, h: np.ndarray, w: dict[Any, np.ndarray], solver: str) -> tuple[dict[Any, np.ndarray], float]:
        """The weights, given the shared factor; and the objective, which the same products give."""
        new, total = {}, 0.0
        for name, layer in self.layers.items():
            mine = h[layer.rows]
            gram, toward = mine.T @ mine, (mine.T @ layer.values).T
            new[name] = _updated(w[name], toward, gram, solver)
            fitted = np.sum((new[name].T @ new[name]) * gram) - 2 * np.sum(toward * new[name])
            total += layer.sum_of_squares + float(fitted)
        return new, max(total, 0.0)

    def result(self, h: np.ndarray, w: dict[Any, np.ndarray], history: np.ndarray) -> JointFactors:
        h, w = _normalised(h, w)
        order = np.argsort(-np.sum(h**2, axis=0), kind="stable")
        h, w = h[:, order], {name: part[:, order] for name, part in w.items()}
        if self.samples is None:
            return JointFactors(h, w, float(history[-1]), history)
        names = _part_names(h.shape[1])
        table = pd.DataFrame(h, index=self.samples, columns=names)
        parts = {name: pd.DataFrame(part, index=self.tables[name].columns, columns=names) for name, part in w.items()}
        return JointFactors(table, parts, float(history[-1]), history)


def _updated(factor: np.ndarray, toward: np.ndarray, gram: np.ndarray, solver: str) -> np.ndarray:
    if solver == "mu":
        return _multiplied(factor, toward, factor @ gram)
    for _ in range(SWEEPS):
        factor = coordinate_step(factor, toward, gram)
    return factor


def _descend(
    stack: _Stack, rank: int, rng: np.random.Generator, solver: str, max_iterations: int, tolerance: float
) -> tuple[np.ndarray, dict[Any, np.ndarray], np.ndarray, bool]:
    """From one random start to where the objective hardly falls; also says whether it got there."""
    mean = np.mean([layer.values.mean() for layer in stack.layers.values()])
    h = np.sqrt(mean / rank) * np.abs(rng.normal(size=(stack.n_samples, rank)))
    w = {
        name: np.sqrt(mean / rank) * np.abs(rng.normal(size=(layer.values.shape[1], rank)))
        for name, layer in stack.layers.items()
    }
    history: list[float] = []
    for _ in range(max_iterations):
        h = stack.update_h(h, w, solver)
        w, now = stack.update_w(h, w, solver)
        history.append(now)
        if len(history) > 10 and history[-11] - now <= tolerance * history[0]:
            return h, w, np.array(history), True
    return h, w, np.array(history), False


def _normalised(h: np.ndarray, w: dict[Any, np.ndarray]) -> tuple[np.ndarray, dict[Any, np.ndarray]]:
    """The same product with every part's weights of length 1 over all layers."""
    length = np.sqrt(sum(np.sum(part**2, axis=0) for part in w.values()))
    length = np.where(length > 0, length, 1.0)
    return h * length, {name: part / length for name, part in w.items()}


def _part_names(rank: int) -> list[str]:
    return [f"Part{k + 1}" for k in range(rank)]


def _check_solver(solver: Any, max_iterations: Any, tolerance: Any) -> None:
    if solver not in ("hals", "mu"):
        raise ValueError(f'solver must be "hals" or "mu"; got {solver!r}')
    require_integer(max_iterations, "max_iterations")
    require_number(tolerance, "tolerance", low=0, high=1)


def _warn_unsettled(max_iterations: int) -> None:
    warnings.warn(
        f"the objective still fell after {max_iterations} iterations; raise max_iterations, or use solver='hals'",
        ConvergenceWarning,
        stacklevel=3,
    )
