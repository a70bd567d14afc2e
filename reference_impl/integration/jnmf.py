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
from collections.abc import Mapping
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


def objective(layers: Any, h: Any, w: Any) -> float:
    """Σ_m ‖X_m − H W_mᵀ‖², without ½: the squared errors of all layers together.

    Parameters
    ----------
    layers : dict or list of (n_samples, n_features) non-negative DataFrames or arrays, nothing missing
    h : (n_samples, rank), non-negative: how much of each part a sample has
    w : dict or list like `layers` of (n_features, rank), non-negative: what each part looks like in a layer

    Returns
    -------
    float, in squared units of the layers. Peak memory: one copy of the layers, and two of one layer

    Raises
    ------
    ValueError : a negative or missing value, or factors that do not fit a layer; the layer is named

    References
    ----------
    Lee & Seung 2001, NIPS; Zhang et al. 2012, Nucleic Acids Research 40:9379 (several layers)

    Examples
    --------
    >>> layers = {"rna": np.array([[1.0, 2.0]]), "protein": np.array([[3.0]])}
    >>> objective(layers, np.array([[1.0]]), {"rna": np.array([[1.0], [1.0]]), "protein": np.array([[1.0]])})
    5.0
    """
    h, fitted = factor_arrays(layers, h, w)
    return float(sum(np.sum((x - h @ part.T) ** 2) for x, part, _ in fitted))


def update_step(layers: Any, h: Any, w: Any) -> tuple[np.ndarray, Any]:
    """One round of multiplicative updates: first the shared factor, then each layer's weights with the new factor.

    Parameters
    ----------
    layers : dict or list of (n_samples, n_features) non-negative DataFrames or arrays, nothing missing
    h : (n_samples, rank), non-negative
    w : dict or list like `layers` of (n_features, rank), non-negative

    Returns
    -------
    h, w : new arrays, w in a dict or list like `layers`; the objective is not larger than before

    Raises
    ------
    ValueError : a negative or missing value, or factors that do not fit a layer; the layer is named

    Notes
    -----
    H ← H ∘ (Σ_m X_m W_m) / (H Σ_m W_mᵀW_m), then W_m ← W_m ∘ (X_mᵀH) / (W_m HᵀH). A zero stays zero for ever. A
    denominator of exactly zero is replaced by TINY, as scikit-learn does. Updating the weights first decreases the
    objective as well, along another path; this order is scikit-learn's. Peak memory: one copy of the layers.

    References
    ----------
    Lee & Seung 2001, NIPS; Zhang et al. 2012, Nucleic Acids Research 40:9379 (joint factorisation)

    Examples
    --------
    >>> x = np.array([[1.0, 2.0], [2.0, 4.0]])
    >>> h, w = update_step({"rna": x}, np.array([[1.0], [1.0]]), {"rna": np.array([[1.0], [1.0]])})
    >>> h @ w["rna"].T
    array([[1., 2.],
           [2., 4.]])
    """
    h, fitted = factor_arrays(layers, h, w)
    toward = sum(x @ part for x, part, _ in fitted)
    away = h @ sum(part.T @ part for _, part, _ in fitted)
    h = h * toward / np.where(away == 0, TINY, away)
    new = []
    for x, part, _ in fitted:
        away = part @ (h.T @ h)
        new.append(part * (x.T @ h) / np.where(away == 0, TINY, away))
    return h, like_layers(layers, new)


def weighted_update_step(layers: Any, h: Any, w: Any, weights: Any) -> tuple[np.ndarray, Any]:
    """One round of multiplicative updates in which each sample's row of each layer has a weight; 0 where it is missing.

    Parameters
    ----------
    layers : dict or list of (n_samples, n_features) non-negative DataFrames or arrays
        A sample may lack a whole layer: a row of NaN (or no row in a DataFrame) with weight 0.
    h : (n_samples, rank), non-negative
    w : dict or list like `layers` of (n_features, rank), non-negative
    weights : dict or list like `layers` of (n_samples,), non-negative: how much the row of a sample counts

    Returns
    -------
    h, w : new arrays, w in a dict or list like `layers`; Σ_m Σ_i weight_mi ‖x_mi − W_m h_i‖² is not larger than before

    Raises
    ------
    ValueError : a value that counts and is negative or missing, weights that are negative, of another length or all 0
        for a sample, or factors that do not fit a layer; layer and sample are named

    Notes
    -----
    With v_m as a diagonal matrix: H ← H ∘ (Σ_m v_m X_m W_m) / (Σ_m v_m H W_mᵀW_m), then
    W_m ← W_m ∘ (X_mᵀ v_m H) / (W_m Hᵀ v_m H). With all weights 1 it is `update_step`.
    Peak memory: two copies of the layers.

    References
    ----------
    Blondel, Ho & van Dooren 2008, Weighted nonnegative matrix factorization and face feature extraction

    Examples
    --------
    >>> layers = {"rna": np.array([[1.0], [2.0]]), "protein": np.array([[3.0], [np.nan]])}
    >>> weights = {"rna": np.array([1.0, 1.0]), "protein": np.array([1.0, 0.0])}
    >>> ones = {"rna": np.array([[1.0]]), "protein": np.array([[3.0]])}
    >>> weighted_update_step(layers, np.array([[1.0], [1.0]]), ones, weights)[0]
    array([[1.],
           [2.]])
    """
    h, fitted = factor_arrays(layers, h, w, weights)
    fitted = [(np.where(count > 0, x, 0.0), part, count) for x, part, count in fitted]
    toward = sum(count * (x @ part) for x, part, count in fitted)
    away = sum(count * (h @ (part.T @ part)) for _, part, count in fitted)
    h = h * toward / np.where(away == 0, TINY, away)
    new = []
    for x, part, count in fitted:
        counted = count * h
        away = part @ (counted.T @ h)
        new.append(part * (x.T @ counted) / np.where(away == 0, TINY, away))
    return h, like_layers(layers, new)


def coordinate_step(factor: Any, target: Any, gram: Any) -> np.ndarray:
    """Columns of a factor, one after another, each at its best while the others stand still (HALS).

    Minimises ‖X − F Gᵀ‖² over F ≥ 0 column by column, given target = X G and gram = GᵀG.

    Parameters
    ----------
    factor : (n, rank), non-negative
    target : (n, rank)
    gram : (rank, rank)

    Returns
    -------
    (n, rank), a new array

    Raises
    ------
    ValueError : shapes that do not fit each other

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
    factor = np.array(factor, dtype=float)
    target, gram = np.asarray(target), np.asarray(gram)
    if factor.shape != target.shape or gram.shape != (factor.shape[1], factor.shape[1]):
        raise ValueError(f"factor {factor.shape}, target {target.shape} and gram {gram.shape} do not fit each other")
    for k in range(factor.shape[1]):
        if gram[k, k] > 0:
            change = (target[:, k] - factor @ gram[:, k]) / gram[k, k]
            factor[:, k] = np.maximum(factor[:, k] + change, 0.0)
    return factor


def factor_arrays(
    layers: Any, h: Any, w: Any, weights: Any = None
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Arrays: h, and for each layer in turn its values, its w, and the weights of its rows (n_samples, 1).

    Refuses what does not fit, and names the layer. Without `weights` every row counts 1; one that counts 0 may be NaN.

    >>> layers, h = {"rna": np.array([[1.0, -2.0]])}, np.array([[1.0]])
    >>> factor_arrays(layers, h, {"rna": np.array([[1.0], [1.0]])})
    Traceback (most recent call last):
    ValueError: rna has a negative or missing value in row 0; values that count must be 0 or more
    """
    named = named_layers(layers)
    samples = all_samples(named)
    tables = [whole_matrix(name, table, samples) for name, table in named.items()]
    h = as_matrix(h, "h")
    parts = [as_matrix(part, f"w of {name}") for name, part in by_layer(named, w, "w")]
    counts = [np.ones((len(h), 1)) for _ in named]
    if weights is not None:
        counts = [np.asarray(count, dtype=float).reshape(-1, 1) for _, count in by_layer(named, weights, "weights")]
    for name, x, part, count in zip(named, tables, parts, counts, strict=True):
        if x.shape != (len(h), len(part)) or part.shape[1] != h.shape[1]:
            raise ValueError(f"{name} is {x.shape}, but h is {h.shape} and its w is {part.shape}; they must fit")
        if count.shape != (len(x), 1) or not count.min() >= 0:
            raise ValueError(f"weights of {name} must be {len(x)} numbers of 0 or more")
        wrong = (count[:, 0] > 0) & ~(x.min(axis=1) >= 0)
        if wrong.any():
            first = int(np.argmax(wrong))
            at = first if samples is None else samples.tolist()[first]
            raise ValueError(
                f"{name} has a negative or missing value in row {at!r}; values that count must be 0 or more"
            )
    require_some_layer(np.array([count[:, 0] > 0 for count in counts]), samples)
    return h, list(zip(tables, parts, counts, strict=True))


def by_layer(named: dict[Any, Any], given: Any, what: str) -> list[tuple[Any, Any]]:
    """What was given for each layer, in the order of the layers; a dict by name, a list by position.

    >>> by_layer({"rna": 0, "protein": 0}, {"rna": 1, "lipid": 2}, "w")
    Traceback (most recent call last):
    ValueError: w is for rna, lipid and the layers are rna, protein; give one for each layer
    """
    if isinstance(given, Mapping) and {str(name) for name in given} == set(named):
        return [(name, {str(key): one for key, one in given.items()}[name]) for name in named]
    if not isinstance(given, Mapping) and len(given) == len(named):
        return list(zip(named, given, strict=True))
    found = ", ".join(map(str, given)) if isinstance(given, Mapping) else f"{len(given)} layers"
    raise ValueError(f"{what} is for {found} and the layers are {', '.join(named)}; give one for each layer")


def like_layers(layers: Any, parts: list[np.ndarray]) -> Any:
    """One array per layer in the form in which the layers came: a dict with their names, or a list."""
    return dict(zip(layers, parts, strict=True)) if isinstance(layers, Mapping) else parts


# --- The method ------------------------------------------------------------------------------------------------------


def scale_layers(layers: Any) -> dict[Any, Any]:
    """Divide each layer by its root mean square per sample, so that all have the same say.

    Parameters
    ----------
    layers : dict or list of (n_samples, n_features) non-negative DataFrames or arrays

    Returns
    -------
    dict of tables like those of `layers`, new; per measured sample each layer's squares sum to 1 on average. Peak
    memory: the result, and two copies of one layer

    Raises
    ------
    ValueError : a negative value, or a layer of zeros

    Examples
    --------
    >>> scale_layers({"rna": np.array([[3.0, 4.0], [3.0, 4.0]])})["rna"]
    array([[0.6, 0.8],
           [0.6, 0.8]])
    """
    scaled = {}
    for name, table in named_layers(layers).items():
        values = non_negative_matrix(name, table)
        n_measured = (~np.isnan(values).all(axis=1)).sum()
        scaled[name] = table / np.sqrt(np.nansum(values**2) / n_measured)
    return scaled


def non_negative_matrix(name: str, table: Any) -> np.ndarray:
    """A layer as a matrix of numbers of 0 or more, not all 0; a row of NaN is a sample that lacks the layer.

    >>> non_negative_matrix("rna", pd.DataFrame({"TP53": [1.0, -3.0]}, index=["P1", "P2"]))
    Traceback (most recent call last):
    ValueError: rna has the negative value -3 for sample 'P2', feature 'TP53'; split the layer into above and below
    """
    values = as_matrix(table, name, missing=True)
    if np.nanmin(values, initial=0.0) < 0:
        row, column = divmod(int(np.nanargmin(values)), values.shape[1])
        sample, feature = labels(table, 0).tolist()[row], labels(table, 1).tolist()[column]
        raise ValueError(
            f"{name} has the negative value {values[row, column]:g} for sample {sample!r}, feature {feature!r}; "
            "split the layer into above and below"
        )
    if not np.nansum(values) > 0:
        raise ValueError(f"{name} has no value above zero")
    return values


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
    An iteration costs O(n · p · rank). Peak memory: one copy of the layers and the factors of all starts.

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
    return _best_of_starts(_Stack(layers), rank, rng, solver, n_starts, max_iterations, tolerance)


def _best_of_starts(
    stack: _Stack,
    rank: Any,
    rng: np.random.Generator,
    solver: str,
    n_starts: Any,
    max_iterations: int,
    tolerance: float,
) -> JointFactors:
    rank = require_integer(rank, "rank", at_most=stack.n_samples)
    require_generator(rng)
    require_integer(n_starts, "n_starts")
    _check_solver(solver, max_iterations, tolerance)
    runs = [_descend(stack, rank, rng, solver, max_iterations, tolerance) for _ in range(n_starts)]
    h, w, history, settled = min(runs, key=lambda run: run[2][-1])
    if not settled:
        _warn_unsettled(rank, max_iterations)
    return stack.result(h, w, history)


def separate_nmf(layers: Any, rank: int, *, rng: np.random.Generator, **options: Any) -> dict[Any, JointFactors]:
    """Factorise each layer on its own: what joint factorisation is to be compared with.

    Parameters
    ----------
    layers, rank, rng, options : as for `joint_nmf`

    Returns
    -------
    dict of JointFactors, one per layer, for the samples that the layer has. Part 1 of one layer need not be part 1 of
    another, nor need there be a match at all: see `match_parts`. Peak memory: two copies of the layers.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = separate_nmf({"rna": rng.gamma(1.0, size=(9, 6)), "protein": rng.gamma(1.0, size=(9, 4))}, 2, rng=rng)
    >>> found["protein"].w["protein"].shape
    (4, 2)
    """
    found = {}
    for name, table in named_layers(layers).items():
        measured = ~np.isnan(non_negative_matrix(name, table)).all(axis=1)
        found[name] = joint_nmf({name: table[measured]}, rank, rng=rng, **options)
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

    Raises
    ------
    ValueError : other samples, another order of samples, or another number of parts

    Examples
    --------
    >>> h = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> match_parts(h, 3 * h[:, ::-1])
    (array([1, 0]), array([1., 1.]))
    """
    one, other = as_matrix(first, "first"), as_matrix(second, "second")
    labelled = isinstance(first, pd.DataFrame) and isinstance(second, pd.DataFrame)
    if one.shape != other.shape or (labelled and not first.index.equals(second.index)):
        raise ValueError(
            f"first is {one.shape} and second {other.shape}; they must have the same samples in the same order, and "
            "the same number of parts"
        )
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

    Raises
    ------
    ValueError : not a table of runs × samples

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
    together = np.zeros((runs.shape[1], runs.shape[1]))
    for run in runs:
        together += run[:, None] == run
    return together / len(runs)


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
    Peak memory: one copy of the layers.
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
        if not runs[best][3]:
            _warn_unsettled(rank, most)
        alike = [match_parts(normal[best], h)[1].mean() for number, h in enumerate(normal) if number != best]
        dispersion = float(np.mean(4 * (consensus - 0.5) ** 2))
        rows.append((rank, cophenetic_correlation(consensus), dispersion, np.mean(alike), runs[best][2][-1]))
    return pd.DataFrame(rows, columns=["rank", "cophenetic", "dispersion", "stability", "objective"])


class JointNMF(TransformerMixin, BaseEstimator):
    """Joint non-negative matrix factorisation as a scikit-learn transformer over a dict of layers.

    Peak memory of `fit` and `transform`: one copy of the layers, two of one layer, and the factors of all starts.

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
        self._units = dict.fromkeys(stack.layers, 1.0)
        if self.scale:
            for name, layer in stack.layers.items():
                self._units[name] = float(np.sqrt(np.einsum("nd,nd->", layer.values, layer.values) / len(layer.rows)))
                layer.values /= self._units[name]
        rng = np.random.default_rng(self.random_state)
        found = _best_of_starts(stack, self.rank, rng, self.solver, self.n_starts, self.max_iterations, self.tolerance)
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
            layer.values /= self._units[name]
        w = {name: self._parts[name] for name in stack.layers}
        h = np.full((stack.n_samples, self.rank), 1.0)
        for _ in range(self.max_iterations):
            before = h
            h = stack.update_h(h, w, "hals")
            if np.abs(h - before).max() <= 1e-9 * h.max():
                break
        else:
            _warn_unsettled(self.rank, self.max_iterations)
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
        self.layers = {name: self._measured(name, table) for name, table in self.tables.items()}
        self.n_samples = len(next(iter(self.tables.values()))) if self.samples is None else len(self.samples)
        present = np.zeros((len(self.layers), self.n_samples), dtype=bool)
        for has, layer in zip(present, self.layers.values(), strict=True):
            has[layer.rows] = True
        require_some_layer(present, self.samples)
        self.groups = self._groups(present.T)

    def _measured(self, name: Any, table: Any) -> _Measured:
        """One copy of the layer, or a second for a moment where samples lack it."""
        values = non_negative_matrix(name, table)
        present = ~np.isnan(values).all(axis=1)
        broken = np.isnan(values).any(axis=1) & present
        if broken.any():
            first = labels(table, 0).tolist()[int(np.argmax(broken))]
            raise ValueError(
                f"{name} has gaps inside {int(broken.sum())} samples, the first is {first!r}; a sample may lack a "
                "whole layer, other gaps must be filled first"
            )
        rows = np.arange(len(values)) if self.samples is None else self.samples.get_indexer(table.index)
        return _Measured(values if present.all() else values[present], rows[present])

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
        away = factor @ gram
        return factor * toward / np.where(away == 0, TINY, away)
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


def _warn_unsettled(rank: int, max_iterations: int) -> None:
    warnings.warn(
        f"with rank {rank} the factors still moved after {max_iterations} iterations; raise max_iterations or "
        "tolerance, or use solver='hals'",
        ConvergenceWarning,
        stacklevel=4,
    )
