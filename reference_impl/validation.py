"""What every method asks of its input, said once: each message names what was seen and what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def as_matrix(x: Any, name: str, *, missing: bool = False) -> np.ndarray:
    """Return a table as a two-dimensional array of floats: rows are samples, columns are features.

    `missing=True` lets NaN through; infinity is never let through.

    >>> as_matrix([[1, 2], [3, 4]], "x")
    array([[1., 2.],
           [3., 4.]])
    >>> as_matrix([[1.0, np.nan]], "x")
    Traceback (most recent call last):
    ValueError: x has 1 missing value (NaN) and none is expected; the first is in row 0, column 1
    >>> as_matrix(pd.DataFrame({"TP53": [1.0, np.inf]}, index=["P1", "P2"]), "rna")
    Traceback (most recent call last):
    ValueError: rna has 1 infinite value and none is expected; the first is in row 'P2', column 'TP53'
    """
    try:
        matrix = np.array(x, dtype=float)
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{name} must be a table of numbers (samples × features): {problem}") from None
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(
            f"{name} must have samples in rows and features in columns, both at least 1; got shape {matrix.shape}"
        )
    bad = np.isinf(matrix) if missing else ~np.isfinite(matrix)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        kind = "missing value (NaN)" if np.isnan(matrix[row, column]) else "infinite value"
        count = int(np.isnan(matrix).sum()) if np.isnan(matrix[row, column]) else int(np.isinf(matrix).sum())
        raise ValueError(
            f"{name} has {count} {kind}{'s' if count > 1 else ''} and none is expected; "
            f"the first is in row {labels(x, 0).tolist()[row]!r}, column {labels(x, 1).tolist()[column]!r}"
        )
    return matrix


def like(x: Any, values: np.ndarray) -> Any:
    """Give `values` the labels of `x`: DataFrame in, DataFrame out; array in, array out.

    >>> like(pd.DataFrame({"a": [1, 2]}, index=["s", "t"]), np.array([[0.5], [0.7]]))
         a
    s  0.5
    t  0.7
    """
    return pd.DataFrame(values, index=x.index, columns=x.columns) if isinstance(x, pd.DataFrame) else values


def labels(x: Any, axis: int) -> pd.Index:
    """Labels of the rows (axis 0) or columns (axis 1) of a table; an array counts from 0.

    >>> labels(np.zeros((2, 3)), 1)
    RangeIndex(start=0, stop=3, step=1)
    """
    if isinstance(x, pd.DataFrame):
        return x.axes[axis]
    return pd.RangeIndex(np.shape(x)[axis])


def require_unique_labels(x: Any, name: str) -> None:
    """Refuse a table in which two rows or two columns have one label.

    >>> require_unique_labels(pd.DataFrame([[1], [2]], index=["P1", "P1"]), "rna")
    Traceback (most recent call last):
    ValueError: rna has the row label 'P1' twice or more; labels must be unique
    """
    for axis, word in enumerate(["row", "column"]):
        repeated = labels(x, axis)[labels(x, axis).duplicated()]
        if len(repeated):
            raise ValueError(f"{name} has the {word} label {repeated[0]!r} twice or more; labels must be unique")


def require_same_columns(first: Any, second: Any, names: tuple[str, str] = ("first", "second")) -> None:
    """Refuse two tables whose columns differ in number, name or order.

    >>> require_same_columns(np.zeros((2, 3)), np.zeros((2, 4)))
    Traceback (most recent call last):
    ValueError: first has 3 columns and second has 4; they must have the same columns
    """
    if np.shape(first)[1] != np.shape(second)[1]:
        raise ValueError(
            f"{names[0]} has {np.shape(first)[1]} columns and {names[1]} has {np.shape(second)[1]}; "
            "they must have the same columns"
        )
    if (
        isinstance(first, pd.DataFrame)
        and isinstance(second, pd.DataFrame)
        and not first.columns.equals(second.columns)
    ):
        at = int(np.argmax(first.columns != second.columns))
        raise ValueError(
            f"column {at} of {names[0]} is {first.columns[at]!r} and of {names[1]} is {second.columns[at]!r}; "
            "they must have the same columns in the same order"
        )


def require_integer(value: Any, name: str, *, at_least: int = 1, at_most: int | None = None) -> int:
    """Return a whole number that is large enough and, where a limit is given, not too large.

    >>> require_integer(0, "k")
    Traceback (most recent call last):
    ValueError: k must be a whole number of at least 1; got 0
    >>> require_integer(5, "n_clusters", at_most=4)
    Traceback (most recent call last):
    ValueError: n_clusters must be a whole number from 1 to 4; got 5
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < at_least:
        raise ValueError(f"{name} must be a whole number of at least {at_least}; got {value!r}")
    if at_most is not None and value > at_most:
        raise ValueError(f"{name} must be a whole number from {at_least} to {at_most}; got {value!r}")
    return int(value)


def require_number(value: Any, name: str, *, low: float = -np.inf, high: float = np.inf) -> float:
    """Return a finite number between two bounds, the bounds included.

    >>> require_number(1.5, "quantile", low=0, high=1)
    Traceback (most recent call last):
    ValueError: quantile must be a number from 0 to 1; got 1.5
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}; got {value!r}")
    return float(value)


def require_between(value: Any, name: str, low: float, high: float) -> float:
    """Return a number strictly between two bounds (a probability that is neither 0 nor 1, for example).

    >>> require_between(1.0, "prior_correct", 0, 1)
    Traceback (most recent call last):
    ValueError: prior_correct must lie strictly between 0 and 1; got 1.0
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not low < value < high:
        raise ValueError(f"{name} must lie strictly between {low:g} and {high:g}; got {value!r}")
    return float(value)


def require_generator(rng: Any, name: str = "rng") -> np.random.Generator:
    """Return a random generator; a seed or the old `RandomState` is refused.

    >>> require_generator(42)
    Traceback (most recent call last):
    ValueError: rng must be a numpy.random.Generator, as np.random.default_rng(0) makes; got 42
    """
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"{name} must be a numpy.random.Generator, as np.random.default_rng(0) makes; got {rng!r}")
    return rng


def same_samples(layers: Any, *, at_least: int = 2) -> tuple[dict[Any, Any], pd.Index | None]:
    """Name the layers and give all of them the samples of the first, in its order; say who is missing where.

    Returns the layers by name, and the labels of the samples (None for arrays, whose rows are taken as they are).

    >>> rna = pd.DataFrame([[1.0], [2.0]], index=["P1", "P2"])
    >>> same_samples({"rna": rna, "protein": rna.iloc[::-1]})[0]["protein"].index.tolist()
    ['P1', 'P2']
    >>> same_samples({"rna": rna, "protein": rna.iloc[:1]})
    Traceback (most recent call last):
    ValueError: every layer must have every sample; protein lacks 1: P2. Keep the samples all layers share, or impute
    """
    if isinstance(layers, Mapping):
        named = dict(layers)
    elif isinstance(layers, (list, tuple)):
        named = {f"layer {position}": layer for position, layer in enumerate(layers)}
    else:
        raise ValueError(f"layers must be a dict (name → table) or a list of tables; got {type(layers).__name__}")
    if len(named) < at_least:
        raise ValueError(f"at least {at_least} {'layers are' if at_least > 1 else 'layer is'} needed; got {len(named)}")
    labelled = [isinstance(layer, pd.DataFrame) for layer in named.values()]
    if not any(labelled):
        sizes = {name: np.shape(layer)[0] if np.ndim(layer) else 0 for name, layer in named.items()}
        if len(set(sizes.values())) > 1:
            found = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            raise ValueError(f"all layers must have the same samples in the same order; {found}")
        return named, None
    if not all(labelled):
        raise ValueError("layers must be all DataFrames or all arrays: without labels samples cannot be matched")
    for name, layer in named.items():
        require_unique_labels(layer, str(name))
    samples = next(iter(named.values())).index
    everyone = samples.append([layer.index for layer in named.values()]).unique()
    missing = {name: everyone.difference(layer.index, sort=False) for name, layer in named.items()}
    if any(len(absent) for absent in missing.values()):
        found = "; ".join(
            f"{name} lacks {len(absent)}: {', '.join(map(str, absent[:5]))}{', …' if len(absent) > 5 else ''}"
            for name, absent in missing.items()
            if len(absent)
        )
        raise ValueError(f"every layer must have every sample; {found}. Keep the samples all layers share, or impute")
    return {name: layer.loc[samples] for name, layer in named.items()}, samples
