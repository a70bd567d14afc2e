"""Batch effects: find them, ask whether they can be told from biology, take them out, and look again.

The module reads as the unit teaches it: detect (`pc_association`, `reference_shift`, `spike_in_shift`), judge
(`confounding`), correct by a linear model (`remove_batch`) or by one whose estimates lean on each other (`combat`).
Rows are samples, columns are features on a scale where effects add up (logarithms of counts or intensities).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular
from scipy.sparse.csgraph import connected_components

from reference_impl.validation import as_matrix, labels, like, require_integer, require_unique_labels

# A column is a combination of others if less than this share of its length is its own (the tolerance of R's lm).
DEPENDENT = 1e-7

SVA_STOP = 1e-4  # sva ends its iteration when no estimate changes by more than this share
MOST_STEPS = 10_000  # ends an iteration that would not settle; ordinary ones take 5 to 50 steps

FEATURES_AT_ONCE = 512  # columns that are worked on together: 500 samples of them fit into a processor's cache


class ConfoundedDesignError(ValueError):
    """What shall be kept is determined by the batch: no method can tell one from the other."""


# ---------------------------------------------------------------- labels and designs


def batch_codes(x: Any, batch: Any, name: str = "batch") -> tuple[np.ndarray, pd.Index]:
    """Number of each sample's batch, and the names of the batches in sorted order.

    A Series is matched to the rows of a DataFrame by label, anything else by place.

    >>> batch_codes(np.zeros((3, 1)), ["run2", "run1", "run2"])
    (array([1, 0, 1]), Index(['run1', 'run2'], dtype='str'))
    """
    values = _matched(x, batch, name)
    if values.isna().any():
        raise ValueError(f"{name} is missing for sample {values.index[values.isna()][0]!r}; every sample needs one")
    codes, names = pd.factorize(values.to_numpy(), sort=True)
    if len(names) < 2:
        raise ValueError(f"{name} is {names[0]} in all {len(values)} samples: there is nothing to compare")
    return codes, pd.Index(names)


def _matched(x: Any, values: Any, name: str) -> pd.Series:
    """One value per row of x, with the labels of the rows."""
    rows = labels(x, 0)
    if isinstance(values, pd.Series) and isinstance(x, pd.DataFrame) and not values.index.equals(rows):
        if values.index.has_duplicates:
            twice = values.index[values.index.duplicated()][0]
            raise ValueError(f"{name} has the label {twice!r} twice or more, so it can't be matched to the rows of x")
        unknown = rows[~rows.isin(values.index)]
        if len(unknown):
            raise ValueError(f"{name} has no value for sample {unknown[0]!r} and {len(unknown) - 1} others of x")
        return values.loc[rows]
    if np.ndim(values) != 1 or len(values) != len(rows):
        raise ValueError(f"{name} must have one value for each of the {len(rows)} rows of x; got {np.shape(values)}")
    # By way of a list: NumPy would turn a missing value among texts into the text "nan".
    found = pd.Series(values.tolist() if hasattr(values, "tolist") else list(values), index=rows)
    kind = getattr(values, "dtype", None)
    return found.astype(kind) if isinstance(kind, pd.CategoricalDtype) else found  # categories 1, 2, 3 stay groups


def are_numbers(values: pd.Series) -> bool:
    """Does a variable hold numbers, and not groups such as text, categories, True and False?"""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def variable_design(x: Any, variable: Any) -> np.ndarray:
    """Columns that describe a variable: an intercept and a slope for numbers, one indicator per level for groups.

    >>> variable_design(np.zeros((3, 1)), ["a", "b", "a"])
    array([[1., 0.],
           [0., 1.],
           [1., 0.]])
    """
    values = _matched(x, variable, "variable")
    codes, levels = batch_codes(x, variable, "variable")
    if are_numbers(values):
        numbers = values.to_numpy(dtype=float)
        if np.isinf(numbers).any():
            raise ValueError(f"variable is infinite for sample {values.index[np.isinf(numbers)][0]!r}")
        return np.column_stack([np.ones(len(numbers)), numbers - numbers.mean()])
    if len(levels) == len(codes):
        raise ValueError(f"variable has another value in each of the {len(codes)} samples: groups need members")
    return np.eye(len(levels))[codes]


class Covariates(NamedTuple):
    """What to keep, as columns for a linear model.

    columns : (n_samples, n_columns) each with mean 0 and length 1
    owners : which covariate each column belongs to
    levels : of each covariate that is a group, its level for every sample
    """

    columns: np.ndarray
    owners: list[Any]
    levels: dict[Any, np.ndarray]


def covariate_columns(x: Any, covariates: Any) -> Covariates:
    """Turn covariates into columns: numbers as they are, groups as indicators of all levels but one.

    Refused are missing and constant covariates, and those that are combinations of others.

    >>> covariate_columns(np.zeros((4, 1)), ["case", "case", "control", "control"]).columns.ravel()
    array([-0.5, -0.5,  0.5,  0.5])
    """
    rows = labels(x, 0)
    if covariates is None:
        return Covariates(np.zeros((len(rows), 0)), [], {})
    if isinstance(covariates, pd.Series):
        covariates = covariates.to_frame(covariates.name if covariates.name is not None else "covariate")
    elif not isinstance(covariates, pd.DataFrame):
        if np.ndim(covariates) not in (1, 2) or len(covariates) != len(rows):
            raise ValueError(f"covariates must have a row for each of the {len(rows)} of x; got {np.shape(covariates)}")
        names = None if np.ndim(covariates) == 2 else ["covariate"]
        covariates = pd.DataFrame(covariates, index=rows, columns=names)
    if covariates.columns.has_duplicates:
        raise ValueError(f"covariates have the column {covariates.columns[covariates.columns.duplicated()][0]!r} twice")
    parts, owners, levels = [], [], {}
    for name in covariates.columns:
        design = _covariate(x, covariates[name], name)
        if not are_numbers(covariates[name]):
            levels[name] = _matched(x, covariates[name], f"covariate {name!r}").to_numpy()
        parts.append(design)
        owners += [name] * design.shape[1]
    columns = np.hstack(parts) if parts else np.zeros((len(rows), 0))
    dependent = dependent_columns(columns)
    if dependent:
        others = np.linalg.lstsq(np.delete(columns, dependent, axis=1), columns[:, dependent[0]])[0]
        kept_owners = [owner for position, owner in enumerate(owners) if position not in dependent]
        named = dict.fromkeys(o for o, c in zip(kept_owners, others, strict=True) if abs(c) > DEPENDENT)
        raise ValueError(
            f"the covariates are collinear among themselves: {owners[dependent[0]]!r} follows from "
            f"{', '.join(map(repr, named))}; leave one of them out. The batches are not to blame"
        )
    return Covariates(columns, owners, levels)


def _covariate(x: Any, values: pd.Series, name: Any) -> np.ndarray:
    """Columns of one covariate, each with mean 0 and length 1."""
    codes, names = batch_codes(x, values, f"covariate {name!r}")
    matched = _matched(x, values, f"covariate {name!r}")
    if are_numbers(values):
        columns = matched.to_numpy(dtype=float)[:, None]
        if np.isinf(columns).any():
            raise ValueError(f"covariate {name!r} is infinite for sample {matched.index[np.isinf(columns[:, 0])][0]!r}")
    else:
        columns = np.eye(len(names))[codes][:, 1:]
    columns = columns - columns.mean(axis=0)
    return columns / np.linalg.norm(columns, axis=0)


def dependent_columns(columns: np.ndarray) -> list[int]:
    """Positions of the columns that are combinations of columns before them.

    >>> dependent_columns(np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 2.0], [1.0, 2.0, 3.0]]))
    [2]
    """
    lengths = np.linalg.norm(columns, axis=0)
    n_rows, n_columns = columns.shape

    def own_length(several: list[int]) -> np.ndarray:
        return np.abs(np.diag(np.linalg.qr(columns[:, several], mode="r")))

    if n_rows >= n_columns and (own_length(list(range(n_columns))) > DEPENDENT * lengths).all():
        return []
    kept: list[int] = []
    for position in range(n_columns):
        if len(kept) < n_rows and own_length([*kept, position])[-1] > DEPENDENT * lengths[position]:
            kept.append(position)
    return [position for position in range(n_columns) if position not in kept]


class Design(NamedTuple):
    """Samples in terms of batches and of what to keep.

    names : the batches, sorted
    codes : (n_samples,) number of each sample's batch
    indicators : (n_samples, n_batches) 1 where the sample is in the batch
    kept : (n_samples, n_columns) columns of the covariates, each with mean 0
    """

    names: pd.Index
    codes: np.ndarray
    indicators: np.ndarray
    kept: np.ndarray


def batch_design(x: Any, batch: Any, covariates: Any = None) -> Design:
    """Describe every sample by its batch and its covariates, and refuse what can't be told apart.

    >>> batch_design(np.zeros((4, 1)), ["b1", "b1", "b2", "b2"], ["case", "case", "control", "control"])
    Traceback (most recent call last):
    reference_impl.batch.ConfoundedDesignError: 'covariate' can't be told from the batch: 'case' is only in batch 'b1';
    'control' is only in batch 'b2'. No correction can keep their difference; only new measurements can tell them apart
    """
    codes, names = batch_codes(x, batch)
    indicators = np.eye(len(names))[codes]
    covariate = covariate_columns(x, covariates)
    within = covariate.columns - indicators @ (indicators.T @ covariate.columns / indicators.sum(axis=0)[:, None])
    for owner in dict.fromkeys(covariate.owners):
        own = within[:, [o == owner for o in covariate.owners]]
        if len(_vanishing(own)):
            raise ConfoundedDesignError(_blame(owner, codes, names, covariate.levels.get(owner)))
    combinations = _vanishing(within)
    if len(combinations):
        involved = np.abs(combinations).max(axis=0) > DEPENDENT
        together = dict.fromkeys(o for o, is_in in zip(covariate.owners, involved, strict=True) if is_in)
        raise ConfoundedDesignError(
            f"{' and '.join(map(repr, together))} together can't be told from the {len(names)} batches "
            f"({', '.join(map(repr, names.tolist()))}): a combination of them is the same for all samples of a batch"
        )
    return Design(names, codes, indicators, covariate.columns)


def _vanishing(within: np.ndarray) -> np.ndarray:
    """Combinations of columns (in rows) that leave nothing within the batches."""
    _, sizes, combinations = np.linalg.svd(within, full_matrices=False)
    return combinations[sizes <= DEPENDENT]


def _blame(owner: Any, codes: np.ndarray, names: pd.Index, levels: np.ndarray | None) -> str:
    """Who can't be told from which batches."""
    if levels is None:
        return f"{owner!r} can't be told from the batch: it has one value within each batch"
    where = []
    for level in dict.fromkeys(levels.tolist()):
        found = [repr(name) for name in names[np.unique(codes[levels == level])].tolist()]
        where.append(f"{level!r} is only in batch{'es' if len(found) > 1 else ''} {', '.join(found)}")
    return (
        f"{owner!r} can't be told from the batch: {'; '.join(where)}. "
        "No correction can keep their difference; only new measurements can tell them apart"
    )


def fit_features(x: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Least-squares coefficients of every feature: (n_columns, n_features), each from the samples that have a value.

    Where the samples of a feature can't tell a column from those before it, its coefficient is NaN (as R's lm does).

    >>> fit_features(np.array([[1.0, 5.0], [3.0, np.nan]]), np.array([[1.0, 0.0], [1.0, 1.0]]))
    array([[ 1.,  5.],
           [ 2., nan]])
    """
    coefficients = np.full((design.shape[1], x.shape[1]), np.nan)
    gaps = np.isnan(x)
    complete = ~gaps.any(axis=0)
    groups = [(np.ones(len(x), dtype=bool), np.flatnonzero(complete))] if complete.any() else []
    if not complete.all():  # features with the same gaps are fitted together
        patterns, which = np.unique(gaps[:, ~complete], axis=1, return_inverse=True)
        some = np.flatnonzero(~complete)
        groups += [(~patterns[:, k], some[which == k]) for k in range(patterns.shape[1])]
    for seen, features in groups:
        dependent = dependent_columns(design[seen])
        told = np.setdiff1d(np.arange(design.shape[1]), dependent)
        orthogonal, triangular = np.linalg.qr(design[np.ix_(seen, told)])
        values = x if len(features) == x.shape[1] and seen.all() else x[np.ix_(seen, features)]
        coefficients[np.ix_(told, features)] = solve_triangular(triangular, orthogonal.T @ values)
    return coefficients


# ---------------------------------------------------------------- detect


def pc_association(x: Any, variable: Any, *, n_components: int = 10) -> pd.DataFrame:
    """Say how much of each principal component a variable explains.

    η² is the share of a component's variance that lies between the groups of the variable: 0 if all groups have one
    mean, 1 if nothing varies within them. For a variable of numbers it is r², that of a straight line; a batch that is
    coded by numbers must be turned into text first.

    Weighted by the components' variances, η² sums up to the share of the total variance that the variable explains
    (principal component regression): `(table["variance"] * table["eta_squared"]).sum()`.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array of finite numbers; features are centred, not scaled
    variable : (n_samples,) groups (text, categories, bool) or numbers; a Series is matched by label
    n_components : how many components; fewer are returned if the data have fewer

    Returns
    -------
    DataFrame[variance, eta_squared], index PC1, PC2, …; variance is the component's share of the total variance

    Raises
    ------
    ValueError : a bad table, samples that are all equal, a variable that is missing somewhere or the same everywhere

    References
    ----------
    Büttner et al. 2019, Nature Methods 16:43–49 (principal component regression).

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [3.0, 0.0], [9.0, 0.1], [11.0, 0.1]])
    >>> pc_association(x, ["run1", "run1", "run2", "run2"], n_components=1).round(3)
         variance  eta_squared
    PC1       1.0        0.941
    """
    matrix = as_matrix(x, "x")
    design = variable_design(x, variable)
    require_integer(n_components, "n_components")
    scores, sizes = components(matrix - matrix.mean(axis=0))
    explained = design @ np.linalg.lstsq(design, scores)[0]
    table = {
        "variance": sizes**2 / np.sum(sizes**2),
        "eta_squared": np.sum(explained**2, axis=0),  # scores have mean 0 and length 1
    }
    return pd.DataFrame(table, index=[f"PC{k + 1}" for k in range(len(sizes))]).iloc[:n_components]


def components(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (columns of length 1) and sizes (singular values) of all principal components, the largest first.

    >>> components(np.array([[-3.0, 0.0], [3.0, 0.0]]))[1].round(3)
    array([4.243])
    """
    if not np.ptp(centred, axis=0).any():
        raise ValueError(f"the {len(centred)} samples are all equal: they have no principal component")
    scores, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    real = sizes > 1e-10 * sizes[0]  # below is what rounding leaves of directions in which nothing varies
    return scores[:, real], sizes[real]


def reference_shift(x: Any, batch: Any, is_reference: Any) -> Any:
    """Read the batch effect off a reference material that was measured in every batch.

    The pooled sample is the same everywhere, so what differs between its measurements is the batch: for each feature,
    the mean of the batch's reference samples minus the mean over batches (each batch counts once).

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array, on a log scale; NaN where not measured
    batch : (n_samples,) labels; a Series is matched by label
    is_reference : (n_samples,) True for the reference samples; each batch needs one at least

    Returns
    -------
    (n_batches, n_features) like x, batches in sorted order; for each feature they sum to 0. A feature that the
    references of some batch miss is NaN in all of them

    Raises
    ------
    ValueError : a bad table, labels that do not fit, a batch without a reference sample

    Examples
    --------
    >>> x = np.array([[5.0], [6.0], [8.0], [9.0]])
    >>> reference_shift(x, ["run1", "run1", "run2", "run2"], [True, False, True, False]).ravel()
    array([-1.5,  1.5])
    """
    matrix = as_matrix(x, "x", missing=True)
    codes, names = batch_codes(x, batch)
    flagged = reference_flags(x, is_reference)
    means = np.empty((len(names), matrix.shape[1]))
    for code, name in enumerate(names):
        rows = matrix[flagged & (codes == code)]
        if not len(rows):
            raise ValueError(f"batch {name!r} has no reference sample, so its shift can't be read")
        means[code] = mean_of_seen(rows)
    return by_batch(x, means - means.mean(axis=0), names)


def reference_flags(x: Any, is_reference: Any) -> np.ndarray:
    """True or False for each row of x."""
    flags = _matched(x, is_reference, "is_reference")
    strange = flags[[not isinstance(flag, (bool, np.bool_)) for flag in flags]]
    if len(strange):
        raise ValueError(f"is_reference must hold True and False; sample {strange.index[0]!r} has {strange.iloc[0]!r}")
    return flags.to_numpy(dtype=bool)


def mean_of_seen(rows: np.ndarray) -> np.ndarray:
    """Mean of each column over the values that are there; NaN if there is none.

    >>> mean_of_seen(np.array([[1.0, np.nan], [np.nan, np.nan]]))
    array([ 1., nan])
    """
    count = np.sum(~np.isnan(rows), axis=0)
    return np.nansum(rows, axis=0) / np.where(count > 0, count, np.nan)


def by_batch(x: Any, values: np.ndarray, names: pd.Index) -> Any:
    """Give rows of batches their names where x has labels."""
    if not isinstance(x, pd.DataFrame):
        return values
    return pd.DataFrame(values, index=names.rename("batch"), columns=x.columns)


def spike_in_shift(x: Any, batch: Any, spike_ins: Any) -> Any:
    """Read the batch effect off molecules that were added to every sample in the same amount.

    For each spike-in, the mean of the batch minus the mean over batches; the batch's shift is the median of these over
    the spike-ins. It shows what happens to all molecules of a sample alike. A shift that each gene has of its own can't
    be seen on foreign molecules: that takes a pooled sample (`reference_shift`).

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array, on a log scale; NaN where not measured
    batch : (n_samples,) labels; a Series is matched by label
    spike_ins : labels of columns (positions, if x is an array)

    Returns
    -------
    (n_batches,) Series or array, batches in sorted order

    Raises
    ------
    ValueError : a bad table, labels that do not fit, a column that x does not have, no spike-in seen in every batch

    Examples
    --------
    >>> x = np.array([[5.0, 2.0, 7.1], [5.2, 2.2, 3.3], [6.0, 3.0, 8.9], [6.2, 3.2, 1.2]])
    >>> spike_in_shift(x, ["run1", "run1", "run2", "run2"], [0, 1])
    array([-0.5,  0.5])
    """
    matrix = as_matrix(x, "x", missing=True)
    codes, names = batch_codes(x, batch)
    columns = labels(x, 1)
    if np.ndim(spike_ins) != 1:
        raise ValueError(f"spike_ins must be a list of columns of x; got {spike_ins!r}")
    wanted = pd.Index(spike_ins)
    unknown = wanted[~wanted.isin(columns)]
    if len(unknown) or not len(wanted):
        what = f"x has no column {unknown[0]!r}" if len(unknown) else "there is none"
        raise ValueError(f"spike_ins must be columns of x: {what}")
    added = matrix[:, columns.isin(wanted)]
    means = np.stack([mean_of_seen(added[codes == code]) for code in range(len(names))])
    everywhere = ~np.isnan(means).any(axis=0)
    if not everywhere.any():
        first = columns[columns.isin(wanted)][0]
        unseen = names[np.isnan(means[:, 0])][0]
        raise ValueError(
            f"none of the {len(wanted)} spike-ins was seen in every one of the {len(names)} batches; "
            f"{first!r}, for one, is missing in batch {unseen!r}"
        )
    shift = np.median((means - means.mean(axis=0))[:, everywhere], axis=1)
    return pd.Series(shift, index=names.rename("batch"), name="shift") if isinstance(x, pd.DataFrame) else shift


# ---------------------------------------------------------------- judge


@dataclass(frozen=True, eq=False)
class Confounding:
    """How batch and group are entangled.

    table : DataFrame, batches × groups, number of samples
    cramers_v : from 0 (every batch has the same mixture of groups) to 1
    blocks : list of (batches, groups), each a list of names: groups can be compared only within a block
    """

    table: pd.DataFrame
    cramers_v: float
    blocks: list[tuple[list[Any], list[Any]]]

    @property
    def estimable(self) -> bool:
        """Can every group be compared with every other, whatever the batches do?"""
        return len(self.blocks) == 1


def confounding(batch: Any, group: Any) -> Confounding:
    """Ask a design whether the groups can be told from the batches, before looking at any measurement.

    Cramér's V is √(χ² / (n · (min(n_batches, n_groups) − 1))) of the table of batches and groups. With two groups, V²
    is the share of the group's variance that lies between batches; 1 − V² is what is left to compare the groups with,
    and the standard error of their difference grows by the factor 1/√(1 − V²).

    Two groups can be compared if they share a batch, or are linked by a chain of shared batches. Groups and batches
    that are linked make a block; with more than one block, the difference between groups of different blocks is lost.

    Parameters
    ----------
    batch : (n_samples,) labels
    group : (n_samples,) labels; two Series are matched by label

    Returns
    -------
    Confounding(table, cramers_v, blocks); the table's rows and columns are sorted, and so are the names in a block;
    blocks come in the order of their first batch. `.estimable` is True if there is one block

    Raises
    ------
    ValueError : labels of different number, a missing label, a single batch or a single group

    Examples
    --------
    >>> judged = confounding(["b1", "b1", "b2", "b2"], ["case", "case", "case", "control"])
    >>> round(judged.cramers_v, 3), judged.estimable
    (0.577, True)
    >>> confounding(["b1", "b1", "b2", "b2"], ["case", "case", "control", "control"]).blocks
    [(['b1'], ['case']), (['b2'], ['control'])]
    """
    rows = label_frame(batch)
    batch_code, batches = batch_codes(rows, batch)
    group_code, groups = batch_codes(rows, group, "group")
    counts = np.zeros((len(batches), len(groups)), dtype=int)
    np.add.at(counts, (batch_code, group_code), 1)

    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    chi_squared = np.sum((counts - expected) ** 2 / expected)
    cramers_v = np.sqrt(chi_squared / (counts.sum() * (min(counts.shape) - 1)))

    links = np.block([[np.zeros((len(batches),) * 2), counts], [counts.T, np.zeros((len(groups),) * 2)]])
    _, member = connected_components(links)
    of_batch, of_group = member[: len(batches)], member[len(batches) :]
    blocks = [(batches[of_batch == k].tolist(), groups[of_group == k].tolist()) for k in dict.fromkeys(of_batch)]
    table = pd.DataFrame(counts, index=batches.rename("batch"), columns=groups.rename("group"))
    return Confounding(table, float(cramers_v), blocks)


def label_frame(batch: Any) -> Any:
    """A table without columns whose rows are the samples that have these labels; an array where they have no names."""
    if np.ndim(batch) != 1 or not len(batch):
        raise ValueError(f"batch must be a list of labels, one per sample; got shape {np.shape(batch)}")
    return pd.DataFrame(index=batch.index) if isinstance(batch, pd.Series) else np.empty((len(batch), 0))


# ---------------------------------------------------------------- correct: the linear model


def remove_batch(x: Any, batch: Any, *, covariates: Any = None) -> Any:
    """Take the batches' shifts out of every feature, and leave what the covariates explain.

    Every feature is fitted by a linear model of an intercept, the covariates and the batches; the batch part is
    subtracted. The batches' shifts are measured from their mean, each batch counting once, whatever its size.

    Without covariates, all that differs between batches is removed, also biology that is unevenly spread over them.
    For a test, put the batch into the test's own model instead: corrected values look more certain than they are.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array, on a log scale; NaN where not measured
    batch : (n_samples,) labels; a Series is matched by label
    covariates : what to keep: (n_samples,) or (n_samples, n) Series, DataFrame or array of numbers or groups; no
        intercept

    Returns
    -------
    (n_samples, n_features) like x; gaps stay gaps

    Raises
    ------
    ConfoundedDesignError : a covariate is determined by the batches; names groups and batches
    ValueError : a bad table, labels that do not fit, a covariate that is missing, constant, or collinear with others

    Notes
    -----
    Equal to limma's `removeBatchEffect(x, batch, design)` with the covariates in its `design`; limma warns where this
    function refuses. Where the gaps of a feature hide a batch from the others, that shift is left at 0 as in limma.

    References
    ----------
    Ritchie et al. 2015, Nucleic Acids Research 43:e47; Nygaard, Rødland & Hovig 2016, Biostatistics 17:29–39 (on
    testing after a correction).

    Examples
    --------
    >>> x = np.array([[1.0], [3.0], [11.0], [13.0]])
    >>> remove_batch(x, ["run1", "run1", "run2", "run2"]).ravel()
    array([6., 8., 6., 8.])
    """
    matrix = as_matrix(x, "x", missing=True)
    design = batch_design(x, batch, covariates)
    contrasts = design.indicators[:, :-1] - design.indicators[:, [-1]]
    model = np.hstack([np.ones((len(matrix), 1)), design.kept, contrasts])
    coefficients = fit_features(matrix, model)[-contrasts.shape[1] :]
    return like(x, matrix - contrasts @ np.nan_to_num(coefficients))


# ---------------------------------------------------------------- correct: empirical Bayes


class Prior(NamedTuple):
    """What the features of one batch have in common.

    mean, variance : of the normal distribution that the features' shifts come from
    shape, scale : of the inverse gamma distribution that the features' variances come from
    """

    mean: float
    variance: float
    shape: float
    scale: float


def prior_moments(shifts: Any, variances: Any) -> Prior:
    """Learn from all features of a batch how far their shifts and variances usually lie: the method of moments.

    The normal prior takes the mean and the variance of the shifts. An inverse gamma distribution with shape a and scale
    b has mean b / (a − 1) and variance b² / ((a − 1)² (a − 2)); a and b are those that give it the mean m and the
    variance v of the observed variances: a = 2 + m² / v, b = m + m³ / v.

    Parameters
    ----------
    shifts : (n_features,) of one batch, of standardised features
    variances : (n_features,) of the same batch and features

    Returns
    -------
    Prior(mean, variance, shape, scale); every variance with divisor n_features − 1

    Raises
    ------
    ValueError : not two lists of one length, fewer than two features, or variances that are all equal

    References
    ----------
    Johnson, Li & Rabinovic 2007, Biostatistics 8:118–127.

    Examples
    --------
    >>> prior_moments([-1.0, 1.0], [1.0, 3.0])
    Prior(mean=0.0, variance=2.0, shape=4.0, scale=6.0)
    """
    shift, spread = np.asarray(shifts), np.asarray(variances)
    if shift.ndim != 1 or shift.shape != spread.shape or len(shift) < 2:
        raise ValueError(f"two lists of one length, 2 or more, are needed; got shapes {shift.shape} and {spread.shape}")
    centre, square = np.mean(spread), np.var(spread, ddof=1)
    if not square > 0:
        raise ValueError(f"the variances of all {len(spread)} features are equal: they give no inverse gamma prior")
    shape, scale = 2 + centre**2 / square, centre + centre**3 / square
    return Prior(float(np.mean(shift)), float(np.var(shift, ddof=1)), float(shape), float(scale))


def shrinkage_step(shifts: Any, variances: Any, n_samples: Any, prior: Prior, current: Any) -> tuple[Any, Any]:
    """Improve the estimates of one batch once: shifts given the variances, then variances given the shifts.

    The shift is a weighted mean of what the feature says (precision n / δ²) and what the prior says (precision
    1 / τ²): γ* = (n τ² γ̂ + δ² γ̄) / (n τ² + δ²). The variance adds half of the squared deviations from the new shift to
    the prior: δ²* = (b + ½ Σ (z − γ*)²) / (a + n/2 − 1). The sum is (n − 1) s² + n (γ̂ − γ*)²: the samples themselves
    are not needed.

    Parameters
    ----------
    shifts : (n_features,) γ̂, mean of the batch's samples, of standardised features
    variances : (n_features,) s², their variance (divisor n − 1)
    n_samples : n, how many samples were seen: a number, or one per feature
    prior : Prior(mean, variance, shape, scale), that is γ̄, τ², a, b
    current : (n_features,) δ², the present estimates of the variances

    Returns
    -------
    shifts : (n_features,) γ*
    variances : (n_features,) δ²*

    References
    ----------
    Johnson, Li & Rabinovic 2007, Biostatistics 8:118–127, equation 3.1.

    Examples
    --------
    >>> shrinkage_step(np.array([2.0]), np.array([1.0]), 4, Prior(0.0, 0.25, 3.0, 2.0), np.array([1.0]))
    (array([1.]), array([1.375]))
    """
    observed, spread, n, present = (np.asarray(values) for values in (shifts, variances, n_samples, current))
    weight = n * prior.variance
    shift = (weight * observed + present * prior.mean) / (weight + present)
    squares = (n - 1) * spread + n * (observed - shift) ** 2
    return shift, (prior.scale + squares / 2) / (prior.shape + n / 2 - 1)


def shrink(shifts: np.ndarray, variances: np.ndarray, n_samples: np.ndarray, prior: Prior) -> tuple[Any, Any]:
    """Repeat `shrinkage_step` until nothing changes any more, as sva does.

    All features take the same number of steps: until the largest relative change is at most 1e-4. sva divides by the
    old estimate with its sign, so that a negative shift never asks for one more step; that is kept, because another
    rule would take another number of steps and end elsewhere, by some 1e-5.
    """
    shift, variance = shifts, variances
    for _ in range(MOST_STEPS):
        new_shift, new_variance = shrinkage_step(shifts, variances, n_samples, prior, variance)
        with np.errstate(divide="ignore", invalid="ignore"):
            changes = np.concatenate([np.abs(new_shift - shift) / shift, np.abs(new_variance - variance) / variance])
        shift, variance = new_shift, new_variance
        if not np.nanmax(changes) > SVA_STOP:
            return shift, variance
    warnings.warn(f"the estimates of ComBat did not settle in {MOST_STEPS} steps", RuntimeWarning, stacklevel=3)
    return shift, variance


def weigh_features(shifts: np.ndarray, variances: np.ndarray, n_samples: np.ndarray) -> tuple[Any, Any]:
    """Estimate each feature's shift and variance from all other features', weighted by how well theirs fit its data.

    The prior is the set of the other features' estimates, of no particular form. The weight of feature j for feature i
    is the likelihood of i's samples under the shift and variance of j. It is computed from its logarithm relative to
    the best feature, so that hundreds of samples do not make all weights 0 (sva: NaN).
    """
    n_features = len(shifts)
    squares = (n_samples - 1) * variances
    new_shift, new_variance = np.empty(n_features), np.empty(n_features)
    step = max(1, 2_000_000 // n_features)  # so many features at once that a table of weights takes 16 MB
    for start in range(0, n_features, step):
        own = slice(start, min(start + step, n_features))
        n = np.broadcast_to(n_samples, (n_features,))[own, None]
        weights = (shifts[own, None] - shifts) ** 2
        weights *= n
        weights += np.broadcast_to(squares, (n_features,))[own, None]
        weights /= -2 * variances
        weights -= n / 2 * np.log(variances)
        weights[np.arange(len(weights)), np.arange(own.start, own.stop)] = -np.inf
        weights -= weights.max(axis=1, keepdims=True)
        np.exp(weights, out=weights)
        total = weights.sum(axis=1)
        new_shift[own], new_variance[own] = weights @ shifts / total, weights @ variances / total
    return new_shift, new_variance


def combat(
    x: Any,
    batch: Any,
    *,
    covariates: Any = None,
    parametric: bool = True,
    mean_only: bool = False,
    reference: Any = None,
) -> Any:
    """Take the batches' shifts and scales out of every feature; features with little data lean on the others.

    Each feature is standardised by a linear model of batches and covariates. In each batch its mean and variance are
    drawn towards those of the other features (empirical Bayes), and then removed.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array, on a log scale; NaN where not measured
    batch : (n_samples,) labels; a Series is matched by label
    covariates : what to keep, as in `remove_batch`
    parametric : True for a normal prior of shifts and an inverse gamma prior of variances, False for the features' own
        estimates as the prior (takes time that grows with the square of the number of features)
    mean_only : True to remove shifts and leave variances
    reference : name of a batch that stays as it is and that the others are brought to

    Returns
    -------
    (n_samples, n_features) like x; gaps stay gaps

    Raises
    ------
    ConfoundedDesignError : a covariate is determined by the batches; names groups and batches
    ValueError : a bad table, labels that do not fit, bad covariates (see `remove_batch`), an unknown reference or
        one of a single sample, a feature with too few values in a batch, fewer than two features that vary

    Warns
    -----
    UserWarning : a batch of one sample (no variance: `mean_only` is used for all); features that do not vary in some
        batch (they are left as they are)

    Notes
    -----
    Equal to sva's `ComBat` up to rounding, its conventions included: features are standardised with divisor n (with a
    gap anywhere n − 1, of each feature's own values), batch variances use n − 1, `mean_only` shrinks as if every batch
    had one sample, and the parametric iteration ends by sva's rule, which leaves 2e-5 to its limit. Two differences:
    a feature that has gaps and does not vary in a batch is left as it is, which sva overlooks; and many samples do not
    turn the non-parametric form into NaN. The samples enter by their means and squares only, so a step of the iteration
    costs as much as there are features, not values.

    References
    ----------
    Johnson, Li & Rabinovic 2007, Biostatistics 8:118–127; Leek et al. 2012, Bioinformatics 28:882–883.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(20, 100)) + np.repeat([[0.0], [3.0]], 10, axis=0)
    >>> corrected = combat(x, np.repeat(["run1", "run2"], 10))
    >>> abs(x[:10].mean() - x[10:].mean()).round(2), abs(corrected[:10].mean() - corrected[10:].mean()).round(2)
    (np.float64(3.04), np.float64(0.03))
    """
    if isinstance(x, pd.DataFrame):
        require_unique_labels(x, "x")
    matrix = as_matrix(x, "x", missing=True)  # becomes the result: no further copy of the table is made
    design = batch_design(x, batch, covariates)
    sizes = design.indicators.sum(axis=0)
    ref = _position(reference, design.names, sizes)
    if (sizes == 1).any() and not mean_only:
        single = design.names[sizes == 1][0]
        warnings.warn(
            f"batch {single!r} has one sample and so no variance: mean_only is used", UserWarning, stacklevel=2
        )
        mean_only = True

    varies = _varying(x, matrix, design, mean_only)
    fit = _fit(x, matrix, design, varies, ref)
    shift, variance = np.zeros_like(fit.shifts), np.ones_like(fit.variances)
    for code in range(len(design.names)):
        if code != ref:
            own = (fit.shifts[code, varies], fit.variances[code, varies], fit.counts[code, varies])
            shift[code, varies], variance[code, varies] = _estimate(*own, parametric, mean_only)
    _adjust(matrix, design, fit, shift, np.sqrt(variance), ref)
    return pd.DataFrame(matrix, index=x.index, columns=x.columns, copy=False) if isinstance(x, pd.DataFrame) else matrix


class _Fit(NamedTuple):
    """What the linear model says of every feature."""

    centre: np.ndarray  # (n_features,) the level that all batches are brought to
    slopes: np.ndarray  # (n_columns, n_features) of the columns that are kept
    scale: np.ndarray  # (n_features,) standard deviation left over
    shifts: np.ndarray  # (n_batches, n_features) of the standardised feature
    variances: np.ndarray  # (n_batches, n_features) of the standardised feature
    counts: np.ndarray  # (n_batches, n_features) values seen


def _blocks(n_features: int) -> Iterator[slice]:
    for start in range(0, n_features, FEATURES_AT_ONCE):
        yield slice(start, min(start + FEATURES_AT_ONCE, n_features))


def _position(reference: Any, names: pd.Index, sizes: np.ndarray) -> int | None:
    if reference is None:
        return None
    if reference not in names.tolist():
        raise ValueError(
            f"reference must be one of the batches {', '.join(map(repr, names.tolist()))}; got {reference!r}"
        )
    position = names.tolist().index(reference)
    if sizes[position] < 2:
        raise ValueError(f"reference batch {reference!r} has one sample: there is no variance to bring the others to")
    return position


def _varying(x: Any, matrix: np.ndarray, design: Design, mean_only: bool) -> np.ndarray:
    """Features that vary in every batch; the others are reported. One with too few values in a batch is refused."""
    varies = np.ones(matrix.shape[1], dtype=bool)
    for block in _blocks(matrix.shape[1]):
        for code, name in enumerate(design.names):
            rows = matrix[design.codes == code, block]
            count = np.sum(~np.isnan(rows), axis=0)
            least = 1 if mean_only else 2
            if (count < least).any():
                few = int(np.argmax(count < least))
                raise ValueError(
                    f"feature {labels(x, 1)[block.start + few]!r} has {count[few]} value(s) in batch {name!r} and "
                    f"needs {least}: leave it out, or impute it"
                )
            first = rows[np.argmax(~np.isnan(rows), axis=0), np.arange(rows.shape[1])]
            varies[block] &= (count == 1) | ((rows != first) & ~np.isnan(rows)).any(axis=0)
    if varies.sum() < 2:
        still = "" if varies.all() else f"; {labels(x, 1)[int(np.argmin(varies))]!r}, for one, does not"
        raise ValueError(
            f"at least 2 features must vary in every batch, to learn from each other; got {varies.sum()}{still}"
        )
    if not varies.all():
        constant = labels(x, 1)[~varies]
        warnings.warn(
            f"{len(constant)} feature(s) do not vary in some batch and are left as they are, first {constant[0]!r}",
            UserWarning,
            stacklevel=3,
        )
    return varies


def _fit(x: Any, matrix: np.ndarray, design: Design, varies: np.ndarray, ref: int | None) -> _Fit:
    n_batches, n_features = len(design.names), matrix.shape[1]
    model = np.hstack([design.indicators, design.kept])
    coefficients = np.empty((model.shape[1], n_features))
    squares, counts = np.empty((n_batches, n_features)), np.empty((n_batches, n_features))
    spread = np.empty(n_features)
    for block in _blocks(n_features):
        values = matrix[:, block]
        coefficients[:, block] = fit_features(values, model)
        residual = values - model @ coefficients[:, block]
        spread[block] = np.nanstd(values, axis=0)
        counts[:, block] = design.indicators.T @ ~np.isnan(residual)
        squares[:, block] = design.indicators.T @ np.nan_to_num(residual**2)
    lost = np.isnan(coefficients).any(axis=0) & varies
    if lost.any():
        feature = labels(x, 1)[int(np.argmax(lost))]
        raise ValueError(f"the values of feature {feature!r} that are there can't tell its covariates from the batches")

    gaps = bool((counts[:, varies].sum(axis=0) < len(matrix)).any())
    pooled = slice(None) if ref is None else slice(ref, ref + 1)
    scale = np.sqrt(squares[pooled].sum(axis=0) / (counts[pooled].sum(axis=0) - gaps))
    exact = (scale <= DEPENDENT * spread) & varies  # what is left is rounding
    scale[~varies] = 1.0
    if exact.any():
        feature = labels(x, 1)[int(np.argmax(exact))]
        raise ValueError(f"batches and covariates explain feature {feature!r} exactly: nothing is left to scale it by")
    coefficients[:, ~varies] = 0.0  # so that these features come through unchanged, to the last bit
    means = coefficients[:n_batches]
    centre = means[ref] if ref is not None else design.indicators.mean(axis=0) @ means
    variances = squares / np.maximum(counts - 1, 1) / scale**2
    return _Fit(centre, coefficients[n_batches:], scale, (means - centre) / scale, variances, counts)


def _estimate(
    shifts: np.ndarray, variances: np.ndarray, counts: np.ndarray, parametric: bool, mean_only: bool
) -> tuple[Any, Any]:
    """Shifts and variances of one batch after the features have learned from each other."""
    if not parametric:
        return weigh_features(shifts, np.ones_like(variances) if mean_only else variances, counts)
    if not mean_only:
        return shrink(shifts, variances, counts, prior_moments(shifts, variances))
    spread = np.var(shifts, ddof=1)
    return (spread * shifts + np.mean(shifts)) / (spread + 1), np.ones_like(shifts)


def _adjust(
    matrix: np.ndarray, design: Design, fit: _Fit, shift: np.ndarray, deviation: np.ndarray, ref: int | None
) -> None:
    """Standardise, remove shift and scale of the batch, and undo the standardisation, in place."""
    for block in _blocks(matrix.shape[1]):
        expected = fit.centre[block] + design.kept @ fit.slopes[:, block]
        for code in range(len(design.names)):
            if code != ref:
                rows = np.flatnonzero(design.codes == code)
                own = np.broadcast_to(expected, (len(matrix), expected.shape[-1]))[rows]
                values = matrix[rows, block] - own - fit.scale[block] * shift[code, block]
                matrix[rows, block] = values / deviation[code, block] + own
