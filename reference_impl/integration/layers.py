"""Layers of which samples may miss one: how every method here that allows this reads them.

`reference_impl.validation.same_samples` is for methods that need every sample in every layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from reference_impl.validation import as_matrix, labels, require_unique_labels


def named_layers(layers: Any) -> dict[str, Any]:
    """Layers by name: those of a dict, or "layer 0", "layer 1", … of a list.

    Raises
    ------
    ValueError : no layer, DataFrames mixed with arrays, a label twice, arrays of different length

    Examples
    --------
    >>> list(named_layers([np.zeros((2, 3)), np.zeros((2, 1))]))
    ['layer 0', 'layer 1']
    >>> named_layers([])
    Traceback (most recent call last):
    ValueError: at least one layer is needed; got none
    """
    if isinstance(layers, Mapping):
        named = {str(name): table for name, table in layers.items()}
    elif isinstance(layers, (list, tuple)):
        named = {f"layer {number}": table for number, table in enumerate(layers)}
    else:
        raise ValueError(f"layers must be a dict (name → table) or a list of tables; got {type(layers).__name__}")
    if not named:
        raise ValueError("at least one layer is needed; got none")
    if len({isinstance(table, pd.DataFrame) for table in named.values()}) > 1:
        raise ValueError("layers must be all DataFrames or all arrays: without labels samples cannot be matched")
    for name, table in named.items():
        require_unique_labels(table, name)
    if all_samples(named) is None:
        sizes = {name: len(as_matrix(table, name, missing=True)) for name, table in named.items()}
        if len(set(sizes.values())) > 1:
            rows = ", ".join(f"{name} {size}" for name, size in sizes.items())
            raise ValueError(
                f"arrays must have the same samples in the same order; rows: {rows}. Give a row of NaN, or DataFrames, "
                "where a layer lacks a sample"
            )
    return named


def all_samples(named: dict[str, Any]) -> pd.Index | None:
    """Labels of the samples of any layer, in order of first appearance; None for arrays.

    >>> rna, protein = pd.DataFrame([[1.0]], index=["P2"]), pd.DataFrame([[1.0], [2.0]], index=["P1", "P2"])
    >>> all_samples({"rna": rna, "protein": protein}).tolist()
    ['P2', 'P1']
    """
    first, *rest = named.values()
    if not isinstance(first, pd.DataFrame):
        return None
    return first.index.append([table.index for table in rest]).unique() if rest else first.index


def whole_matrix(name: str, table: Any, samples: pd.Index | None) -> np.ndarray:
    """A layer as a matrix with a row for every sample: NaN where the sample lacks the layer.

    Raises
    ------
    ValueError : not a table of numbers, infinite values

    Examples
    --------
    >>> whole_matrix("rna", pd.DataFrame([[1.0]], index=["P2"]), pd.Index(["P1", "P2"]))
    array([[nan],
           [ 1.]])
    """
    return as_matrix(table if samples is None else table.reindex(samples), name, missing=True)


def require_some_layer(present: np.ndarray, samples: pd.Index | None) -> None:
    """Refuse samples that have no layer at all.

    Parameters
    ----------
    present : (layers, n_samples) bool

    Examples
    --------
    >>> require_some_layer(np.array([[True, False], [True, False]]), pd.Index(["P1", "P2"]))
    Traceback (most recent call last):
    ValueError: 1 sample has no value in any layer; the first is 'P2'
    """
    nowhere = ~present.any(axis=0)
    if nowhere.any():
        first = int(np.argmax(nowhere))
        who = first if samples is None else samples[first]
        count = int(nowhere.sum())
        raise ValueError(
            f"{count} {'sample has' if count == 1 else 'samples have'} no value in any layer; the first is {who!r}"
        )


def require_known_features(named: dict[str, Any], known: Mapping[str, pd.Index]) -> None:
    """Refuse layers or features that a fitted model does not know.

    >>> require_known_features({"lipid": np.zeros((1, 2))}, {"rna": pd.RangeIndex(2)})
    Traceback (most recent call last):
    ValueError: the model has no layer 'lipid'; it was fitted to rna
    """
    for name, table in named.items():
        if name not in known:
            raise ValueError(f"the model has no layer {name!r}; it was fitted to {', '.join(known)}")
        if not labels(table, 1).equals(known[name]):
            raise ValueError(f"the features of {name} are not those the model was fitted to, in their order")
