"""Why is a value missing? Make gaps of three kinds, and look at those that are there.

MCAR (missing completely at random): nothing about the sample decides. MAR (missing at random): something that was
recorded decides, such as the batch. MNAR (missing not at random): the lost value itself decides, as below a detection
limit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import chi2

from reference_impl.missing.inputs import as_vector, require_same_labels
from reference_impl.validation import as_matrix, labels, like, require_between, require_generator

EM_TOLERANCE = 1e-10  # largest step, in standard deviations, at which the moments count as settled
EM_MOST_STEPS = 20_000


# ---------------------------------------------------------------- make gaps


def amputate(x: Any, mechanism: str, rate: float, *, rng: np.random.Generator, driver: Any = None) -> Any:
    """Take values out of a complete table, by one of three mechanisms.

    - "MCAR": every value is lost with probability `rate`.
    - "MAR": every value of sample i is lost with probability p_i = 1 / (1 + exp(−(a + z_i))), where z is the driver
      divided by its standard deviation (divisor n), and a makes the mean of the p_i equal to `rate`.
    - "MNAR": a detection limit. The limit is the `rate` quantile of all values of the table; what lies below is lost.

    For MCAR and MAR one uniform number is drawn per value, all at once, and a value is lost where its number is
    smaller than its probability. For MNAR nothing is drawn.

    Parameters
    ----------
    x : (n_samples, n_features) complete DataFrame or array; for MNAR all columns in one unit (log intensity)
    mechanism : "MCAR", "MAR" or "MNAR"
    rate : expected share of values to lose, between 0 and 1
    rng : the source of the uniform numbers, `rng.random(shape of x)`
    driver : (n_samples,) numbers that are recorded for every sample and decide in MAR; not for the others

    Returns
    -------
    (n_samples, n_features) like x, NaN where a value was lost

    Raises
    ------
    ValueError : x is not complete; an unknown mechanism; a rate that is not strictly between 0 and 1; MAR without a
        driver, a driver for another mechanism, or one that is the same for all samples

    References
    ----------
    Rubin 1976, Biometrika 63:581–592.

    Examples
    --------
    >>> amputate(np.array([[1.0, 5.0], [2.0, 6.0]]), "MNAR", 0.5, rng=np.random.default_rng(0))
    array([[nan,  5.],
           [nan,  6.]])
    """
    values = as_matrix(x, "x")
    require_between(rate, "rate", 0, 1)
    require_generator(rng)
    driver = require_mechanism(mechanism, driver, x)
    if mechanism == "MNAR":
        return like(x, np.where(values < np.quantile(values, rate), np.nan, values))
    probability = np.full(len(values), rate)
    if mechanism == "MAR":
        z = driver / driver.std()
        probability = expit(intercept_for(z, rate) + z)
    lost = rng.random(values.shape) < probability[:, None]
    return like(x, np.where(lost, np.nan, values))


def require_mechanism(mechanism: str, driver: Any, x: Any) -> Any:
    """Return the driver as an array (None where the mechanism has none); refuse what does not fit together.

    >>> require_mechanism("MAR", None, np.zeros((3, 1)))
    Traceback (most recent call last):
    ValueError: MAR needs a driver: the recorded variable, one number per sample, that decides who has gaps
    """
    if mechanism not in ("MCAR", "MAR", "MNAR"):
        raise ValueError(f"mechanism must be 'MCAR', 'MAR' or 'MNAR'; got {mechanism!r}")
    if mechanism != "MAR":
        if driver is not None:
            raise ValueError(f"a driver decides in MAR only; leave it out for {mechanism}")
        return None
    if driver is None:
        raise ValueError("MAR needs a driver: the recorded variable, one number per sample, that decides who has gaps")
    require_same_labels(x, driver, ("x", "driver"))
    vector = as_vector(driver, "driver", length=np.shape(x)[0])
    if np.ptp(vector) == 0:
        raise ValueError(f"driver is {vector[0]:g} in every sample, so it decides nothing; use MCAR")
    return vector


def intercept_for(z: np.ndarray, rate: float) -> float:
    """The a for which the mean of 1 / (1 + exp(−(a + z))) is the rate.

    >>> round(intercept_for(np.array([-2.0, 2.0]), 0.5), 9) == 0
    True
    """
    widest = float(np.abs(z).max()) + 40.0  # far enough for any rate that floats can tell from 0 and 1
    return float(brentq(lambda a: np.mean(expit(a + z)) - rate, -widest, widest, xtol=1e-13))


# ---------------------------------------------------------------- look at gaps


def complete_cases(x: Any) -> Any:
    """Keep the samples without a gap.

    Unbiased if the gaps are MCAR (or, for a regression, depend on its predictors only); otherwise the samples that are
    left are not like those that left.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array; NaN is a gap

    Returns
    -------
    the rows without NaN, like x

    Raises
    ------
    ValueError : no sample is complete; the column with most gaps is named

    Examples
    --------
    >>> complete_cases(pd.DataFrame({"a": [1.0, np.nan], "b": [3.0, 4.0]}, index=["P1", "P2"]))
          a    b
    P1  1.0  3.0
    """
    values = as_matrix(x, "x", missing=True)
    complete = ~np.isnan(values).any(axis=1)
    if not complete.any():
        gaps = np.isnan(values).sum(axis=0)
        worst = int(np.argmax(gaps))
        raise ValueError(
            f"none of {len(values)} samples is complete; column {labels(x, 1)[worst]!r} alone has {gaps[worst]} gaps. "
            "Leave columns out, or impute"
        )
    return x.loc[complete] if isinstance(x, pd.DataFrame) else values[complete]


def missing_by_intensity(x: Any) -> pd.DataFrame:
    """Set the share of gaps of every feature beside the mean of its observed values.

    Where a detection limit makes the gaps, the share falls as the intensity rises; where chance makes them, it does
    not depend on it. The picture cannot prove MNAR (the mean of what was observed is itself too high). In
    label-free proteomics the share falls gradually, for the choice of what is measured depends on intensity too (Li &
    Smyth 2023 find the log odds of detection linear in the log intensity): a sharp limit is an approximation.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array of log intensities; NaN is a gap

    Returns
    -------
    DataFrame[intensity, missing_rate], one row per feature; intensity is NaN where nothing was observed

    References
    ----------
    Li & Smyth 2023, Bioinformatics 39:btad200.

    Examples
    --------
    >>> missing_by_intensity(pd.DataFrame({"low": [18.0, np.nan], "high": [25.0, 26.0]}))
          intensity  missing_rate
    low        18.0           0.5
    high       25.5           0.0
    """
    values = as_matrix(x, "x", missing=True)
    observed = (~np.isnan(values)).sum(axis=0)
    total = np.nansum(values, axis=0)
    intensity = np.divide(total, observed, out=np.full(len(total), np.nan), where=observed > 0)
    return pd.DataFrame({"intensity": intensity, "missing_rate": 1 - observed / len(values)}, index=labels(x, 1))


def little_mcar_test(x: Any) -> tuple[float, int, float]:
    """Test whether samples with different gaps have the same means: Little's test of MCAR.

    Samples are grouped by which features they lack. In each group the means of what it has are compared with the
    means that maximum likelihood estimates from everybody. Under MCAR the statistic

        Σ_j n_j (ȳ_j − μ_j)ᵀ Σ_j⁻¹ (ȳ_j − μ_j)

    has approximately a chi-square distribution; μ_j, Σ_j are the parts of the maximum-likelihood mean and covariance
    (divisor n, not n − 1) that belong to the observed features of pattern j. Samples without any value say nothing.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array of roughly normal numbers; NaN is a gap

    Returns
    -------
    statistic
    df : observed features summed over the patterns, minus the number of features
    p : probability of a statistic at least as large under MCAR

    Raises
    ------
    ValueError : no gap, one pattern only, a column without any value or with one value only, or a covariance that
        cannot be estimated from so few samples

    Notes
    -----
    A small p speaks against MCAR. A large p does not speak for it, and neither says anything about MAR against MNAR:
    a feature whose own value decides, unrelated to all others, leaves the others' means equal.

    References
    ----------
    Little 1988, Journal of the American Statistical Association 83:1198–1202.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 4.0], [4.0, 3.0], [8.0, np.nan], [9.0, np.nan]])
    >>> statistic, df, p = little_mcar_test(x)
    >>> round(statistic, 3), df, round(p, 3)
    (5.383, 1, 0.02)
    """
    values = with_some_gaps(x)
    mean, covariance = normal_moments(values)
    seen = ~np.isnan(values)
    statistic, n_observed = 0.0, 0
    for pattern in np.unique(seen[seen.any(axis=1)], axis=0):
        rows = values[(seen == pattern).all(axis=1)][:, pattern]
        difference = rows.mean(axis=0) - mean[pattern]
        scaled = np.linalg.solve(covariance[np.ix_(pattern, pattern)], difference)
        statistic += len(rows) * float((difference * scaled).sum())
        n_observed += int(pattern.sum())
    df = n_observed - values.shape[1]
    return statistic, df, float(chi2.sf(statistic, df))


def with_some_gaps(x: Any) -> np.ndarray:
    """Return the table as an array; refuse one without two patterns of gaps, or with a column that holds nothing.

    >>> with_some_gaps(np.eye(2))
    Traceback (most recent call last):
    ValueError: x has no gap, so there is nothing to test
    """
    values = as_matrix(x, "x", missing=True)
    gaps = np.isnan(values)
    if not gaps.any():
        raise ValueError("x has no gap, so there is nothing to test")
    if gaps.all(axis=0).any():
        empty = labels(x, 1)[int(np.argmax(gaps.all(axis=0)))]
        raise ValueError(f"column {empty!r} has no value at all; leave it out")
    constant = np.nanmax(values, axis=0) == np.nanmin(values, axis=0)
    if constant.any():
        raise ValueError(f"column {labels(x, 1)[int(np.argmax(constant))]!r} has one value only; leave it out")
    if len(np.unique(gaps[~gaps.all(axis=1)], axis=0)) < 2:
        raise ValueError(
            "all samples with any value have the same gaps: with one pattern only there is nothing to compare"
        )
    return values


def normal_moments(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Maximum-likelihood mean and covariance (divisor n) of normal samples with gaps, by the EM algorithm.

    Each round fills the sums that the mean and covariance are made of with what is expected of the lost values, given
    the observed ones of the same sample and the present estimates, and estimates again.

    >>> mean, covariance = normal_moments(np.array([[0.0, 0.0], [2.0, 2.5], [4.0, np.nan], [0.0, 1.0], [2.0, 1.5]]))
    >>> mean.round(3), covariance.round(3)
    (array([1.6, 1.7]), array([[2.24, 1.68],
           [1.68, 1.51]]))
    """
    names, values = labels(values, 1), as_matrix(values, "values", missing=True)
    if np.isnan(values).all(axis=0).any():
        raise ValueError(f"column {names[int(np.argmax(np.isnan(values).all(axis=0)))]!r} has no value at all")
    rows = values[~np.isnan(values).all(axis=1)]
    centre, scale = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    if (scale == 0).any():
        raise ValueError(f"column {names[int(np.argmax(scale == 0))]!r} has one value only, so it has no covariance")
    rows = (rows - centre) / scale
    seen = ~np.isnan(rows)
    patterns, member = np.unique(seen, axis=0, return_inverse=True)
    groups = [(pattern, rows[member.ravel() == j]) for j, pattern in enumerate(patterns)]
    mean, covariance = np.zeros(rows.shape[1]), np.eye(rows.shape[1])
    for _ in range(EM_MOST_STEPS):
        if np.linalg.eigvalsh(covariance)[0] < 1e-9:
            break
        previous, (mean, covariance) = (mean, covariance), _em_step(groups, mean, covariance)
        if max(np.abs(mean - previous[0]).max(), np.abs(covariance - previous[1]).max()) < EM_TOLERANCE:
            return centre + scale * mean, covariance * np.outer(scale, scale)
    raise ValueError(
        f"the covariance of {rows.shape[1]} columns cannot be estimated from {len(rows)} samples with these gaps; "
        "take fewer columns"
    )


def _em_step(
    groups: list[tuple[np.ndarray, np.ndarray]], mean: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One round of EM over groups of samples that have the same gaps."""
    n = sum(len(rows) for _, rows in groups)
    total, products = np.zeros_like(mean), np.zeros_like(covariance)
    for seen, rows in groups:
        filled = rows.copy()
        if not seen.all():
            lost = ~seen
            slopes = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, lost)])
            filled[:, lost] = mean[lost] + (rows[:, seen] - mean[seen]) @ slopes
            unexplained = covariance[np.ix_(lost, lost)] - covariance[np.ix_(lost, seen)] @ slopes
            products[np.ix_(lost, lost)] += len(rows) * unexplained
        total += filled.sum(axis=0)
        products += filled.T @ filled
    new_mean = total / n
    return new_mean, products / n - np.outer(new_mean, new_mean)
