"""What the methods for missing data ask of a single variable, beside `reference_impl.validation`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

# A column of which less than this share is left after those before it is a combination of them.
LEAST_OWN_SHARE = 1e-8


def as_vector(values: Any, name: str, *, length: int | None = None, missing: bool = False) -> np.ndarray:
    """Return one variable as an array of floats, one number per sample; NaN is let through if `missing`.

    >>> as_vector([1, 2], "y")
    array([1., 2.])
    >>> as_vector(pd.Series([1.0, np.nan], index=["P1", "P2"]), "y")
    Traceback (most recent call last):
    ValueError: y of sample 'P2' is missing (NaN); every sample must have a value
    """
    try:
        vector = np.array(values, dtype=float)
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{name} must hold one number per sample: {problem}") from None
    if vector.ndim != 1 or not len(vector):
        raise ValueError(f"{name} must hold one number per sample; got shape {vector.shape}")
    if length is not None and len(vector) != length:
        raise ValueError(f"{name} has {len(vector)} numbers for {length} samples; there must be one for each")
    bad = np.isinf(vector) if missing else ~np.isfinite(vector)
    if bad.any():
        at = int(np.argmax(bad))
        sample = values.index[at] if isinstance(values, pd.Series) else at
        what = "missing (NaN); every sample must have a value" if np.isnan(vector[at]) else "infinite"
        raise ValueError(f"{name} of sample {sample!r} is {what}")
    return vector


def as_mask(values: Any, name: str, length: int) -> np.ndarray:
    """Return yes or no for every sample, as an array of bool.

    >>> as_mask([True, False], "group", 2)
    array([ True, False])
    >>> as_mask([1, 0], "group", 2)
    Traceback (most recent call last):
    ValueError: group must be True or False; sample 0 has 1
    """
    mask = np.array(values)
    if mask.shape != (length,):
        raise ValueError(f"{name} must be True or False for each of {length} samples; got shape {mask.shape}")
    if mask.dtype != bool:
        strange = [not isinstance(value, (bool, np.bool_)) for value in mask.tolist()]
        at = strange.index(True)
        sample = values.index[at] if isinstance(values, pd.Series) else at
        raise ValueError(f"{name} must be True or False; sample {sample!r} has {mask.tolist()[at]!r}")
    return mask


def scaled_columns(matrix: np.ndarray, names: pd.Index, what: str, among: str = "") -> np.ndarray:
    """Return the columns centred, with standard deviation 1; refuse one that is constant or follows from the others.

    >>> scaled_columns(np.array([[1.0], [3.0]]), pd.Index(["age"]), "covariate")
    array([[-1.],
           [ 1.]])
    >>> scaled_columns(np.array([[1.0, 2.0], [3.0, 6.0], [4.0, 8.0]]), pd.Index(["a", "b"]), "covariate")
    Traceback (most recent call last):
    ValueError: covariate 'b' is constant or a combination of those before it; leave it out
    """
    centred = matrix - matrix.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    scaled: np.ndarray = centred / np.where(length > 1e-12 * np.abs(matrix).max(axis=0), length, np.inf)
    own_share = np.abs(np.diag(np.linalg.qr(scaled, mode="r"))) ** 2
    if (own_share < LEAST_OWN_SHARE).any():
        blamed = names.tolist()[int(np.argmax(own_share < LEAST_OWN_SHARE))]
        raise ValueError(f"{what} {blamed!r} is constant or a combination of those before it{among}; leave it out")
    if matrix.shape[1] > len(own_share):
        raise ValueError(f"{matrix.shape[1]} columns are too many for {len(matrix)} samples{among}")
    return scaled * np.sqrt(len(matrix))


def require_same_labels(first: Any, second: Any, names: tuple[str, str]) -> None:
    """Refuse two pandas objects whose samples differ in name or order; without labels there is nothing to compare.

    >>> require_same_labels(pd.Series([1.0], index=["P1"]), pd.Series([1.0], index=["P2"]), ("y", "limit"))
    Traceback (most recent call last):
    ValueError: y and limit must have the same samples in the same order; sample 0 is 'P1' in y and 'P2' in limit
    """
    labelled = (pd.Series, pd.DataFrame)
    if not isinstance(first, labelled) or not isinstance(second, labelled) or len(first) != len(second):
        return
    if not first.index.equals(second.index):
        at = int(np.argmax(first.index != second.index))
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same samples in the same order; "
            f"sample {at} is {first.index[at]!r} in {names[0]} and {second.index[at]!r} in {names[1]}"
        )
