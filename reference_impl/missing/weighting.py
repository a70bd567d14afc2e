"""Let those who were seen stand for those who were not: inverse probability weighting."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from reference_impl.missing.inputs import as_vector, require_same_labels, scaled_columns
from reference_impl.validation import as_matrix, labels

NEVER_SEEN = (
    "some kind of sample was never (or always) seen, and no weight can stand for it. "
    "Leave that covariate out, or merge its levels"
)


def inverse_probability_mean(y: Any, covariates: Any) -> tuple[float, float]:
    """Estimate the mean of a variable with gaps: every observed value counts for 1/π, π its chance to be observed.

    π is a logistic regression of "observed or not" on the covariates. The mean is Hájek's: the weights are divided by
    their sum, so that it does not depend on the unit of y and lies within what was observed,

        μ = Σ R_i y_i / π_i  /  Σ R_i / π_i,        R_i = 1 where y_i was observed, else 0.

    The standard error is the sandwich that knows that the weights were estimated too. With z_i the covariates and a
    leading 1, the influence of sample i on μ is

        ψ_i = [ R_i (y_i − μ) / π_i + h · I⁻¹ z_i (R_i − π_i) ] / A
        h = −mean( R_i (y_i − μ) (1 − π_i) / π_i · z_i ),   I = mean( π_i (1 − π_i) z_i z_iᵀ ),   A = mean( R_i / π_i )

    and se = √(Σ ψ_i²) / n. The standard error that weighted least squares prints is another number, and wrong here: it
    takes a weight of 5 as a value five times as precise.

    Parameters
    ----------
    y : (n_samples,) numbers; NaN is a gap
    covariates : (n_samples, n_covariates) DataFrame or array without gaps; they must hold what decides who is observed

    Returns
    -------
    mean, se

    Raises
    ------
    ValueError : y without gaps or without two values; covariates with gaps, constant or collinear; covariates that tell
        without error who is observed (no weight can stand for a kind of patient that was never seen)

    References
    ----------
    Lunceford & Davidian 2004, Statistics in Medicine 23:2937–2960; Hájek 1971.

    Examples
    --------
    >>> y = np.array([1.0, 1.0, 1.0, 1.0, 5.0, np.nan, np.nan, 5.0])
    >>> ill = np.array([[0.0], [0.0], [0.0], [0.0], [1.0], [1.0], [1.0], [1.0]])
    >>> ill[0] = 1.0
    >>> y[3] = np.nan
    >>> mean, se = inverse_probability_mean(y, ill)
    >>> round(mean, 3), round(se, 3)
    (2.667, 0.819)
    """
    values, table = as_gapped_variable(y, covariates)
    observed = ~np.isnan(values)
    known = np.nan_to_num(values)
    design = np.column_stack([np.ones(len(table)), table])
    chance = expit(design @ fit_logistic(design, observed))
    weights = observed / chance
    mean = np.average(known, weights=weights)
    direct = weights * (known - mean)
    slope = -(direct * (1 - chance)) @ design
    information = (design * (chance * (1 - chance))[:, None]).T @ design
    through_weights = (design * (observed - chance)[:, None]) @ np.linalg.solve(information, slope)
    influence = (direct + through_weights) / weights.mean()
    return float(mean), float(np.sqrt(influence @ influence) / len(values))


def as_gapped_variable(y: Any, covariates: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a variable with gaps, and its covariates, as arrays that fit together.

    The covariates are centred and scaled: that changes no chance to be observed, and their units then cost no digits.

    >>> as_gapped_variable([1.0, 2.0], [[0.0], [1.0]])
    Traceback (most recent call last):
    ValueError: y has no gap: its plain mean needs no weights
    """
    table = as_matrix(covariates, "covariates")
    require_same_labels(y, covariates, ("y", "covariates"))
    values = as_vector(y, "y", length=len(table), missing=True)
    n_observed = int((~np.isnan(values)).sum())
    if n_observed == len(values):
        raise ValueError("y has no gap: its plain mean needs no weights")
    if n_observed < 2:
        raise ValueError(f"y has {n_observed} observed values; at least 2 are needed")
    names = labels(covariates, 1)
    scaled = scaled_columns(table, names, "covariate")
    seen = ~np.isnan(values)
    for name, column in zip(names.tolist(), scaled.T, strict=True):
        if column[seen].min() >= column[~seen].max() or column[seen].max() <= column[~seen].min():
            raise ValueError(f"covariate {name!r} alone tells without error who is observed: {NEVER_SEEN}")
    return values, scaled


def fit_logistic(design: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Coefficients of a logistic regression by maximum likelihood (Newton's method).

    The columns of the design must be in comparable units, as those of `as_gapped_variable` are.

    >>> fit_logistic(np.ones((4, 1)), np.array([True, True, True, False])).round(6)
    array([1.098612])
    """
    if np.linalg.matrix_rank(design / np.maximum(np.abs(design).max(axis=0), 1e-300)) < design.shape[1]:
        raise ValueError("a covariate is constant or a combination of the others; leave it out")
    coefficients = np.zeros(design.shape[1])
    for _ in range(60):
        chance = expit(design @ coefficients)
        information = (design * (chance * (1 - chance))[:, None]).T @ design
        if np.linalg.cond(information) > 1e14 or np.abs(design @ coefficients).max() > 30:
            break
        step = np.linalg.solve(information, design.T @ (outcome - chance))
        # A full step from far away may overshoot; no step changes the log odds of any sample by more than 5.
        coefficients = coefficients + step * min(1.0, 5.0 / max(float(np.abs(design @ step).max()), 1e-300))
        if np.abs(design @ step).max() < 1e-9:  # Newton squares its error: the next would be below rounding
            return coefficients
    raise ValueError(f"the covariates together tell without error who is observed: {NEVER_SEEN}")
