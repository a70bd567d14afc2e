"""How tables become what the network reads: standardised values, or logarithms of counts; and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from reference_impl.integration.layers import all_samples, named_layers, whole_matrix
from reference_impl.integration.mvae.network import Batch
from reference_impl.validation import labels

LIKELIHOODS = ("gaussian", "negative_binomial")


class Form(NamedTuple):
    """What is known of a layer before training: its features, and how values become inputs.

    centre, scale : (n_features,)
    total : median count of a sample (negative binomial); 0 otherwise
    """

    features: pd.Index
    likelihood: str
    centre: np.ndarray
    scale: np.ndarray
    total: float


def read(layers: Any) -> tuple[dict[str, Any], pd.Index | None, int]:
    """Layers by name, the labels of all samples (None for arrays), and their number."""
    named = named_layers(layers)
    samples = all_samples(named)
    return named, samples, len(next(iter(named.values()))) if samples is None else len(samples)


def form(name: str, table: Any, samples: pd.Index | None, likelihood: str) -> Form:
    """Learn centre and scale of a layer; counts are read as logarithms of counts per ten thousand.

    Raises
    ------
    ValueError : fewer than 2 samples or values, a feature that never varies, values that are no counts
    """
    features = labels(table, 1)
    present, who = _those_present(name, table, samples)
    if len(present) < 2:
        raise ValueError(f"{name} was measured in {len(present)} samples; at least 2 are needed")
    total = 0.0
    if likelihood == "negative_binomial":
        _require_counts(name, present, features, who)
        total = float(np.median(present.sum(axis=1)))
        present = _log_counts(present)
    n_measured = (~np.isnan(present)).sum(axis=0)
    if (n_measured < 2).any():
        feature = features[int(np.argmin(n_measured))]
        raise ValueError(f"feature {feature!r} of {name} was measured in fewer than 2 samples; leave it out")
    centre, scale = np.nanmean(present, axis=0), np.nanstd(present, axis=0, ddof=1)
    constant = scale <= 1e-12 * np.maximum(np.abs(centre), 1.0)
    if constant.any() and likelihood == "gaussian":
        raise ValueError(
            f"{int(constant.sum())} of {len(features)} features of {name} never vary, the first is "
            f"{features[int(np.argmax(constant))]!r}; leave them out"
        )
    return Form(features, likelihood, centre, np.where(constant, 1.0, scale), total)


def _those_present(name: str, table: Any, samples: pd.Index | None) -> tuple[np.ndarray, list[Any]]:
    matrix = whole_matrix(name, table, samples)
    there = ~np.isnan(matrix).all(axis=1)
    rows = np.flatnonzero(there)
    return matrix[there], rows.tolist() if samples is None else samples[rows].tolist()


def _require_counts(name: str, matrix: np.ndarray, features: pd.Index, who: list[Any]) -> None:
    bad = np.isnan(matrix) | (matrix < 0) | (matrix != np.round(matrix))
    if bad.any():
        row, column = divmod(int(np.argmax(bad)), matrix.shape[1])
        raise ValueError(
            f"{name} has {matrix[row, column]:g} for feature {features[column]!r} of sample {who[row]!r}; the negative "
            "binomial needs counts, whole numbers of at least 0 without gaps"
        )
    empty = ~(matrix.sum(axis=1) > 0)
    if empty.any():
        raise ValueError(f"{name} has no count at all for sample {who[int(np.argmax(empty))]!r}; leave it out")


def _log_counts(counts: np.ndarray) -> np.ndarray:
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def batch(
    forms: dict[str, Form], named: Mapping[str, Any], samples: pd.Index | None, n_samples: int, dtype: Any
) -> Batch:
    """All samples as the network sees them; a layer of the model that is not given is absent."""
    inputs: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    measured: list[np.ndarray | None] = []
    totals: list[np.ndarray | None] = []
    present = np.zeros((len(forms), n_samples), dtype=bool)
    for m, (name, told) in enumerate(forms.items()):
        if name not in named:
            nothing = np.zeros((n_samples, len(told.features)), dtype)
            inputs.append(nothing)
            targets.append(nothing)
            measured.append(None)
            totals.append(np.ones((n_samples, 1), dtype) if told.likelihood == "negative_binomial" else None)
            continue
        matrix = whole_matrix(name, named[name], samples)
        gaps = np.isnan(matrix)
        present[m] = ~gaps.all(axis=1)
        if told.likelihood == "negative_binomial":
            who = np.arange(n_samples) if samples is None else samples
            _require_counts(name, matrix[present[m]], told.features, who[present[m]].tolist())
            targets.append(np.where(gaps, 0, matrix).astype(dtype))
            totals.append(targets[m].sum(axis=1, keepdims=True))
            matrix[present[m]] = _log_counts(matrix[present[m]])
        matrix -= told.centre
        matrix /= told.scale
        matrix[gaps] = 0
        inputs.append(matrix.astype(dtype))
        if told.likelihood == "gaussian":
            targets.append(inputs[m])
            totals.append(None)
        measured.append((~gaps).astype(dtype) if gaps[present[m]].any() else None)
    return Batch(inputs, targets, measured, totals, present)
