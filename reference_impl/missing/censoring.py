"""Gaps below a detection limit: the value is lost, but it is known to lie below the limit, and that is information."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtri_exp

from reference_impl.missing.inputs import as_vector, require_same_labels, scaled_columns
from reference_impl.validation import as_matrix, labels, like, require_generator, require_number

NEWTON_MOST_STEPS = 100


# ---------------------------------------------------------------- the mean


def censored_mean(y: Any, limit: Any) -> tuple[float, float]:
    """Estimate mean and standard deviation of a normal variable of which only values above a limit were recorded.

    By maximum likelihood: an observed value contributes the density at its place, a lost one the probability to lie
    below its limit,

        ℓ(μ, σ) = Σ_observed log φ((y_i − μ)/σ)/σ  +  Σ_lost log Φ((L_i − μ)/σ) .

    Parameters
    ----------
    y : (n_samples,) log intensities; NaN was below the limit
    limit : one number, or (n_samples,) numbers where instruments differ, in the unit of y

    Returns
    -------
    mean, sd : of all values, the lost ones included (sd without a correction of the divisor)

    Raises
    ------
    ValueError : an observed value below its limit (the sample is named); fewer than two different observed values; no
        limit for a lost value

    Notes
    -----
    The same numbers as survival::survreg(Surv(y, observed, type = "left") ~ 1, dist = "gaussian"). A gap that has
    another reason is taken for a low value all the same: see how that goes wrong in `compare_treatments`.

    References
    ----------
    Tobin 1958, Econometrica 26:24–36; Helsel 2012, Statistics for Censored Environmental Data.

    Examples
    --------
    >>> mean, sd = censored_mean([20.1, 21.0, 19.6, 20.4, np.nan, np.nan], 19.5)
    >>> round(mean, 3), round(sd, 3)
    (19.85, 0.766)
    """
    observed, limits = split_censored(y, limit)

    def log_likelihood(mean: float, sd: float) -> float:
        seen = -np.log(sd) - ((observed - mean) / sd) ** 2 / 2
        return float(seen.sum() + log_ndtr((limits - mean) / sd).sum())

    return most_likely(log_likelihood, observed)


def split_censored(y: Any, limit: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the observed values, and the limits of the lost ones.

    >>> split_censored([20.0, np.nan, 21.0], [19.0, 19.5, 19.0])
    (array([20., 21.]), array([19.5]))
    """
    values, limits = censored_values(y, limit)
    lost = np.isnan(values)
    return values[~lost], limits[lost]


def censored_values(y: Any, limit: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return values (NaN below the limit) and one limit for each, after checking that they fit together.

    >>> censored_values(pd.Series([18.0, 21.0], index=["P1", "P2"]), 19.0)
    Traceback (most recent call last):
    ValueError: y of sample 'P1' is 18, below its detection limit 19; a value below the limit must be missing (NaN)
    """
    values = as_vector(y, "y", missing=True)
    if np.ndim(limit) == 0:
        limits = np.full(len(values), require_number(limit, "limit"))
    else:
        require_same_labels(y, limit, ("y", "limit"))
        if isinstance(y, pd.Series) and np.shape(limit) == np.shape(y):
            limit = pd.Series(np.asarray(limit), index=y.index)  # so that messages name the sample
        limits = as_vector(limit, "limit", length=len(values))
    below = values < limits  # False for NaN
    if below.any():
        at = int(np.argmax(below))
        sample = y.index[at] if isinstance(y, pd.Series) else at
        raise ValueError(
            f"y of sample {sample!r} is {values[at]:g}, below its detection limit {limits[at]:g}; "
            "a value below the limit must be missing (NaN)"
        )
    if len(np.unique(values[~np.isnan(values)])) < 2:
        raise ValueError("at least two different values must have been observed: fewer have no spread to measure")
    return values, limits


def most_likely(log_likelihood: Callable[[float, float], float], observed: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation at which a log-likelihood is largest; starts at those of the observed values.

    >>> seen = np.array([1.0, 3.0])
    >>> mean, sd = most_likely(lambda mean, sd: -2 * np.log(sd) - (((seen - mean) / sd) ** 2).sum() / 2, seen)
    >>> round(mean, 6), round(sd, 6)
    (2.0, 1.0)
    """
    centre, scale = observed.mean(), observed.std()

    def surprise(parameters: np.ndarray) -> float:
        return -log_likelihood(centre + scale * parameters[0], scale * np.exp(parameters[1]))

    best = minimize(surprise, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    return float(centre + scale * best.x[0]), float(scale * np.exp(best.x[1]))


# ---------------------------------------------------------------- regression


class CensoredFit(NamedTuple):
    """What `censored_regression` returns.

    coefficients, standard_errors : the intercept first; Series with names if x was a DataFrame
    sd : residual standard deviation
    log_likelihood : at the maximum
    """

    coefficients: Any
    standard_errors: Any
    sd: float
    log_likelihood: float


def censored_regression(y: Any, x: Any, limit: Any) -> CensoredFit:
    """Fit a linear regression of which the outcome was recorded only above a detection limit (Tobit).

    The likelihood of `censored_mean` with the mean a linear function of the predictors. In the parameters 1/σ and β/σ
    it has a single maximum, which Newton's method finds; the standard errors come from its curvature there.

    Parameters
    ----------
    y : (n_samples,) log intensities; NaN was below the limit
    x : (n_samples, n_predictors) DataFrame or array without gaps
    limit : one number, or (n_samples,) numbers

    Returns
    -------
    CensoredFit(coefficients, standard_errors, sd, log_likelihood), the intercept first

    Raises
    ------
    ValueError : as `censored_mean`; predictors that have gaps, are constant or collinear, or fit the observed values
        exactly

    Notes
    -----
    The same numbers as survival::survreg(Surv(y, observed, type = "left") ~ x, dist = "gaussian").

    References
    ----------
    Tobin 1958; Olsen 1978, Econometrica 46:1211–1215 (one maximum only).

    Examples
    --------
    >>> y = np.array([18.6, 19.1, np.nan, 20.4, 20.8, 21.9])
    >>> fit = censored_regression(y, np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]]), [18.0, 18.0, 20.0] * 2)
    >>> fit.coefficients.round(2), round(fit.sd, 2)
    (array([18.5 ,  0.64]), 0.15)
    """
    values, limits = censored_values(y, limit)
    predictors = as_matrix(x, "x")
    require_same_labels(y, x, ("y", "x"))
    if len(predictors) != len(values):
        raise ValueError(f"x has {len(predictors)} samples and y has {len(values)}")
    seen = ~np.isnan(values)
    scaled_columns(predictors[seen], labels(x, 1), "predictor", " among the observed samples")
    design = np.column_stack([np.ones(len(values)), predictors])
    coefficients, sd, covariance, log_likelihood = fit_censored(values, limits, design)
    errors: Any = np.sqrt(np.diag(covariance))
    fitted: Any = coefficients
    if isinstance(x, pd.DataFrame):
        names = pd.Index(["intercept", *x.columns])
        fitted, errors = pd.Series(coefficients, index=names), pd.Series(errors, index=names)
    return CensoredFit(fitted, errors, sd, log_likelihood)


def fit_censored(
    values: np.ndarray, limits: np.ndarray, design: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray, float]:
    """Coefficients, residual sd, covariance of the coefficients, log-likelihood of a left-censored regression.

    >>> values, design = np.array([1.0, 3.0, 2.0, 6.0]), np.ones((4, 1))
    >>> coefficients, sd, covariance, _ = fit_censored(values, np.zeros(4), design)
    >>> coefficients.round(6), round(sd**2, 6), covariance.round(6)
    (array([3.]), 3.5, array([[0.875]]))
    """
    lost = np.isnan(values)
    centre, scale = values[~lost].mean(), values[~lost].std()
    # With h = 1/σ and g = β/σ, u = h·(value or limit) − x·g is the standardised residual: linear in the parameters.
    linear = np.column_stack([(np.where(lost, limits, values) - centre) / scale, -design])
    start = np.linalg.lstsq(design[~lost], linear[~lost, 0], rcond=None)[0]
    spread = np.sqrt(np.mean((linear[~lost, 0] - design[~lost] @ start) ** 2))
    if spread < 1e-10:
        raise ValueError("the predictors fit the observed values exactly: there is no residual spread to measure")
    parameters = np.concatenate([[1 / spread], start / spread])
    parameters, information = _climb(linear, lost, parameters)
    h, g = parameters[0], parameters[1:]
    jacobian = np.column_stack([-g / h**2, np.eye(len(g)) / h])
    covariance = scale**2 * jacobian @ np.linalg.inv(information) @ jacobian.T
    coefficients = scale * g / h
    coefficients[0] += centre
    height = _log_likelihood(linear, lost, parameters) - (~lost).sum() * (np.log(scale) + np.log(2 * np.pi) / 2)
    return coefficients, float(scale / h), covariance, float(height)


def _log_likelihood(linear: np.ndarray, lost: np.ndarray, parameters: np.ndarray) -> float:
    """Log-likelihood in units of the observed standard deviation, without the constant of the density."""
    residual = linear @ parameters
    seen = (~lost).sum() * np.log(parameters[0]) - (residual[~lost] ** 2).sum() / 2
    return float(seen + log_ndtr(residual[lost]).sum())


def _climb(linear: np.ndarray, lost: np.ndarray, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Newton's method to the single maximum; returns the parameters and the information (minus the curvature)."""
    height = _log_likelihood(linear, lost, parameters)
    for _ in range(NEWTON_MOST_STEPS):
        residual = linear @ parameters
        u = residual[lost]
        hazard = np.exp(-(u**2) / 2 - np.log(2 * np.pi) / 2 - log_ndtr(u))
        slope, weight = -residual, np.ones(len(residual))
        slope[lost], weight[lost] = hazard, hazard * (hazard + u)
        gradient = linear.T @ slope
        information = (linear * weight[:, None]).T @ linear
        n_seen = (~lost).sum()
        gradient[0] += n_seen / parameters[0]
        information[0, 0] += n_seen / parameters[0] ** 2
        step = np.linalg.solve(information, gradient)
        if float(gradient @ step) < 1e-20 * max(len(residual), 1):
            return parameters, information
        size = 1.0
        while True:
            moved = parameters + size * step
            reached = _log_likelihood(linear, lost, moved) if moved[0] > 0 else -np.inf
            if reached >= height - 1e-12 * abs(height) or size < 1e-8:
                break
            size /= 2
        parameters, height = moved, reached
    raise ValueError(
        f"the likelihood has no maximum that can be found: {lost.sum()} of {len(lost)} values lie below the limit; "
        "take fewer predictors, or leave this variable out"
    )


# ---------------------------------------------------------------- filling


def impute_left_censored(x: Any, limit: Any, *, rng: np.random.Generator) -> Any:
    """Fill each gap with a value drawn from below the detection limit.

    Each column's normal distribution is estimated as in `censored_mean`, and each of its gaps gets a draw from the
    part below the sample's limit L: with u = 1 − `rng.random()` for each gap, in the order of the samples, column after
    column, the value whose probability is u · Φ((L − μ)/σ).

    So means, spreads and the shape below the limit come out right, which no single number (the limit, half of it, the
    smallest value) can do. Their uncertainty does not quite: every table is drawn with the same estimated μ and σ, as
    if they were known, so intervals pooled over several tables are too short when much is lost. 95 % intervals of a
    mean held the truth in 94, 91 and 82 % of 3,000 simulated studies with 30, 50 and 70 % lost (n = 200, m = 10);
    `censored_regression` has honest standard errors. Relations between columns are not used: correlations of filled
    values are too weak.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array of log intensities; NaN was below the limit
    limit : one number, or (n_samples,) numbers, in the unit of x
    rng : the source of the draws; draw several tables and pool them to see what the filling leaves uncertain

    Returns
    -------
    (n_samples, n_features) like x, without gaps; observed values as they were

    Raises
    ------
    ValueError : as `censored_mean`, with the column named

    References
    ----------
    Lazar et al. 2016, Journal of Proteome Research 15:1116–1125; Wei et al. 2018, Scientific Reports 8:663 (QRILC,
    which estimates the distribution from quantiles).

    Examples
    --------
    >>> x = pd.DataFrame({"a": [20.0, 21.0, np.nan, 22.0]}, index=["P1", "P2", "P3", "P4"])
    >>> filled = impute_left_censored(x, 19.5, rng=np.random.default_rng(0))
    >>> bool(filled.loc["P3", "a"] < 19.5)
    True
    """
    values = as_matrix(x, "x", missing=True)
    require_generator(rng)
    if np.ndim(limit):
        require_same_labels(x, limit, ("x", "limit"))
    filled = values.copy()
    design = np.ones((len(values), 1))
    for column in np.flatnonzero(np.isnan(values).any(axis=0)).tolist():
        # The Series brings the samples' names into messages.
        variable = pd.Series(values[:, column], index=labels(x, 0))
        try:
            _, limits = censored_values(variable, np.asarray(limit) if np.ndim(limit) else limit)
            (mean,), sd, _, _ = fit_censored(values[:, column], limits, design)
        except ValueError as problem:
            raise ValueError(f"column {labels(x, 1)[column]!r}: {problem}") from None
        lost = np.isnan(values[:, column])
        log_below = log_ndtr((limits[lost] - mean) / sd)
        drawn = np.log(1 - rng.random(int(lost.sum()))) + log_below  # 1 − u lies in (0, 1]: its log is finite
        filled[lost, column] = mean + sd * ndtri_exp(drawn)
    return like(x, filled)
