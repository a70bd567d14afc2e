"""Robust quality control: which samples do not belong, told by estimates that the bad samples cannot bend.

The module reads as the unit teaches it: one metric at a time (`robust_z`, `mad_outliers`), many metrics together
(`concentration_step`, `robust_distances`), more features than samples (`pca_outliers`), and the protocol that turns
numbers into a decision somebody else can check (`Gate`, `run_qc`). Rows are samples, columns are metrics or features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm

from reference_impl.validation import (
    as_matrix,
    labels,
    like,
    require_between,
    require_generator,
    require_integer,
    require_number,
    require_unique_labels,
)

MAD_TO_SD = 1.4826  # 1 / Φ⁻¹(3/4): the MAD of normal values times this is their standard deviation
MEAN_DEVIATION_TO_SD = 1.2533  # √(π/2): the same for the mean absolute deviation

WARM_UP_STEPS = 2  # C-steps given to every random start before the worst starts are dropped
N_FINALISTS = 10  # starts that are followed until they no longer change
MOST_STEPS = 200  # ends a descent that rounding would prolong; ordinary ones take fewer than 20
REWEIGHTING_QUANTILE = 0.975  # squared distances beyond this quantile of chi-square get weight 0

N_DIRECTIONS = 250  # directions in which ROBPCA looks for outlying samples
CLEAN_FRACTION = 0.75  # share of samples that ROBPCA trusts to be clean


# ---------------------------------------------------------------- one metric at a time


def robust_z(x: Any) -> Any:
    """Say how many robust standard deviations each value lies from its column's median.

    z = (x − median) / (1.4826 · MAD), where MAD is the median absolute deviation from the median and 1.4826 makes the
    denominator estimate the standard deviation of normal values. Each column is treated on its own.

    If more than half of a column's values are equal, its MAD is 0 and measures nothing. The denominator is then
    1.2533 times the mean absolute deviation from the median; if that is 0 too, the column is constant and every z is 0.

    Parameters
    ----------
    x : (n_samples, n_metrics) DataFrame or array of finite numbers

    Returns
    -------
    (n_samples, n_metrics) like x, without unit

    Raises
    ------
    ValueError : x is not a table of numbers, is empty, or has a missing or infinite value

    References
    ----------
    Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers. Their "modified z" is 0.6745 · (x − median) / MAD,
    the same number to four digits. The rule for MAD = 0 is that of IBM SPSS Modeler.

    Examples
    --------
    >>> robust_z(np.array([[1.0], [2.0], [3.0], [4.0], [50.0]])).round(2).ravel()
    array([-1.35, -0.67,  0.  ,  0.67, 31.7 ])
    """
    values = as_matrix(x, "x")
    deviation = values - np.median(values, axis=0)
    spread = MAD_TO_SD * np.median(np.abs(deviation), axis=0)
    fallback = MEAN_DEVIATION_TO_SD * np.mean(np.abs(deviation), axis=0)
    spread = np.where(spread > 0, spread, fallback)
    return like(x, deviation / np.where(spread > 0, spread, np.inf))


def mad_outliers(x: Any, *, threshold: float = 3.5, side: str = "both") -> Any:
    """Mark the values whose robust z lies beyond a threshold.

    Parameters
    ----------
    x : (n_samples, n_metrics) DataFrame or array of finite numbers
    threshold : how many robust standard deviations are still accepted, at least 0; a value exactly there is accepted
    side : "both", or "lower" or "upper" where only values that are too low or too high are a fault

    Returns
    -------
    (n_samples, n_metrics) like x, of bool: True where the value is an outlier

    Raises
    ------
    ValueError : a bad table (see `robust_z`), a negative threshold, or another word for the side

    References
    ----------
    Iglewicz & Hoaglin 1993, who recommend 3.5.

    Examples
    --------
    >>> mad_outliers(np.array([[1.0], [2.0], [3.0], [4.0], [50.0]])).ravel()
    array([False, False, False, False,  True])
    """
    require_number(threshold, "threshold", low=0.0)
    if side not in ("both", "lower", "upper"):
        raise ValueError(f"side must be 'both', 'lower' or 'upper'; got {side!r}")
    z = robust_z(x)
    if side == "lower":
        return z < -threshold
    if side == "upper":
        return z > threshold
    return abs(z) > threshold


# ---------------------------------------------------------------- many metrics together


@dataclass(frozen=True, eq=False)
class RobustDistances:
    """What `robust_distances` found.

    distances : (n_samples,) not squared; a Series if the table was a DataFrame
    cutoff : √ of the 0.975 quantile of chi-square with one degree of freedom per metric
    location, covariance : (n_metrics,) and (n_metrics, n_metrics), the reweighted estimates
    subset : positions, in order, of the h samples of smallest determinant; all samples on the plane if exact_fit
    exact_fit : True if h samples or more lie on one plane (so that the determinant is 0)
    """

    distances: Any
    cutoff: float
    location: np.ndarray
    covariance: np.ndarray
    subset: np.ndarray
    exact_fit: bool


def mahalanobis_squared(x: np.ndarray, location: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Squared distance of each row from a location, in the units of a covariance: (x − m)ᵀ C⁻¹ (x − m).

    >>> mahalanobis_squared(np.array([[2.0, 0.0], [0.0, 2.0]]), np.zeros(2), np.diag([1.0, 4.0]))
    array([4., 1.])
    """
    if np.shape(location) != x.shape[1:]:
        raise ValueError(f"location must have {x.shape[1]} numbers, one per metric; got shape {np.shape(location)}")
    centred = x - location
    squared: np.ndarray = np.sum(centred * np.linalg.solve(covariance, centred.T).T, axis=1)
    return squared


def mean_and_covariance(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance (divisor: number of rows − 1) of the rows, the second always as a matrix.

    >>> mean_and_covariance(np.array([[1.0], [3.0]]))
    (array([2.]), array([[2.]]))
    """
    location = rows.mean(axis=0)
    centred = rows - location
    return location, centred.T @ centred / (len(rows) - 1)


def is_singular(rows: np.ndarray) -> bool:
    """Do the rows lie on a plane (a line, a point), so that their covariance has no inverse?

    Judged on the correlation matrix, so that units do not matter.

    >>> is_singular(np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]]))
    True
    """
    n_rows, n_columns = rows.shape
    if n_rows <= n_columns or (np.ptp(rows, axis=0) == 0).any():
        return True
    _, covariance = mean_and_covariance(rows)
    deviation = np.sqrt(np.diag(covariance))
    return bool(np.linalg.eigvalsh(covariance / np.outer(deviation, deviation))[0] < 1e-12)


def concentration_step(x: Any, subset: Any, n_keep: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Move to the samples that lie closest to the present ones (a C-step).

    Estimate mean and covariance from the samples in `subset`, measure the Mahalanobis distance of every sample with
    them, and keep the `n_keep` closest. If the subset had `n_keep` samples, the determinant of the covariance of the
    new ones is never larger than that of the old ones.

    Parameters
    ----------
    x : (n_samples, n_metrics) DataFrame or array of finite numbers
    subset : positions (0, 1, …) of the present samples, none twice
    n_keep : how many samples to keep, more than n_metrics and at most n_samples

    Returns
    -------
    subset : (n_keep,) positions of the closest samples, in increasing order; of equal ones the first
    location : (n_metrics,) mean of those samples
    covariance : (n_metrics, n_metrics) covariance of those samples, divisor n_keep − 1

    Raises
    ------
    ValueError : a bad table; positions that do not exist or occur twice; n_keep out of range; samples in `subset` that
        lie on a plane, so that no distance can be measured with them

    References
    ----------
    Rousseeuw & Van Driessen 1999, Technometrics 41:212–223, theorem 1.

    Examples
    --------
    >>> subset, location, covariance = concentration_step(np.array([[0.0], [1.0], [2.0], [3.0], [90.0]]), [0, 4], 3)
    >>> subset, location, covariance
    (array([1, 2, 3]), array([2.]), array([[1.]]))
    """
    matrix = as_matrix(x, "x")
    n_samples, n_metrics = matrix.shape
    members = _positions(subset, n_samples)
    if not n_metrics < require_integer(n_keep, "n_keep") <= n_samples:
        raise ValueError(f"n_keep must be more than {n_metrics} (metrics), at most {n_samples} (samples); got {n_keep}")
    if is_singular(matrix[members]):
        raise ValueError(
            f"the {len(members)} samples in subset lie on a plane: they give no distance; take more samples"
        )
    distances = mahalanobis_squared(matrix, *mean_and_covariance(matrix[members]))
    closest = np.sort(np.argsort(distances, kind="stable")[:n_keep])
    location, covariance = mean_and_covariance(matrix[closest])
    return closest, location, covariance


def robust_distances(
    x: Any, *, rng: np.random.Generator, support_fraction: float = 0.5, n_starts: int = 500
) -> RobustDistances:
    """Measure how far each sample lies from the bulk: the minimum covariance determinant, by C-steps.

    Of all sets of h samples, find the one whose covariance has the smallest determinant. Its mean and covariance,
    scaled to be right for normal data, give every sample a distance; samples beyond the 0.975 quantile get weight 0;
    mean and covariance of the others, scaled again, give the distances returned.

    The search is FAST-MCD: `n_starts` times a random set of n_metrics + 1 samples and two C-steps; the ten best go on
    until the determinant no longer falls. The same `rng` state gives the same result.

    If h samples or more lie on one plane, their determinant is 0 and nothing can be smaller. That is reported, not an
    error: `exact_fit` is True, `subset` holds all samples on the plane, location and covariance are theirs (not
    scaled), distances are measured within the plane, and a sample off the plane has distance inf.

    Parameters
    ----------
    x : (n_samples, n_metrics) DataFrame or array of finite numbers, n_samples > n_metrics + 1
    rng : the source of the random starts
    support_fraction : from 0.5 (h just over half of the samples: withstands the most outliers) to 1 (all)
    n_starts : number of random starts

    Returns
    -------
    RobustDistances(distances, cutoff, location, covariance, subset, exact_fit); distances are not squared

    Raises
    ------
    ValueError : a bad table; too few samples for the metrics; rng, support_fraction or n_starts not as above

    Notes
    -----
    Conventions are those of robustbase::covMcd: h, consistency factor, small-sample correction, reweighting.
    It differs in three places. For support_fraction 0.5 and n up to about 3 p (at most 20), covMcd reads its
    small-sample correction from a simulated table; this function always uses the formula of Pison et al. Where that
    formula is not positive (n near p), covMcd returns a negative covariance; this function refuses. For n > 600 covMcd
    searches in parts of the data, which is faster and in ordinary data leads to the same minimum.

    References
    ----------
    Rousseeuw & Van Driessen 1999, Technometrics 41:212–223; Pison, Van Aelst & Willems 2002, Metrika 55:111–123.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.vstack([rng.normal(size=(50, 2)), rng.normal(loc=9, size=(10, 2))])
    >>> result = robust_distances(x, rng=rng)
    >>> np.flatnonzero(result.distances > 2 * result.cutoff)
    array([50, 51, 52, 53, 54, 55, 56, 57, 58, 59])
    """
    matrix = as_matrix(x, "x")
    n_samples, n_metrics = matrix.shape
    if n_samples <= n_metrics + 1:
        raise ValueError(
            f"{n_samples} samples are too few for {n_metrics} metrics: at least {n_metrics + 2} are needed"
        )
    require_generator(rng)
    n_keep = support_size(n_samples, n_metrics, require_number(support_fraction, "support_fraction", low=0.5, high=1.0))

    starts = [_random_start(matrix, rng) for _ in range(require_integer(n_starts, "n_starts"))]
    reached = [descend(matrix, start, n_keep, WARM_UP_STEPS) for start in starts]
    finalists = sorted(reached, key=lambda pair: pair[0])[:N_FINALISTS]
    ends = [descend(matrix, subset, n_keep, MOST_STEPS) for _, subset in finalists]
    _, subset = min(ends, key=lambda pair: pair[0])
    if is_singular(matrix[subset]):
        return _exact_fit(x, matrix, subset)

    location, covariance = mean_and_covariance(matrix[subset])
    covariance = covariance * raw_factor(n_samples, n_metrics, support_fraction)
    trusted = mahalanobis_squared(matrix, location, covariance) < chi2.ppf(REWEIGHTING_QUANTILE, n_metrics)
    location, covariance = mean_and_covariance(matrix[trusted])
    covariance = covariance * reweighted_factor(int(trusted.sum()), n_samples, n_metrics, support_fraction)
    distances = np.sqrt(mahalanobis_squared(matrix, location, covariance))
    return _as_result(x, distances, location, covariance, subset, exact_fit=False)


def descend(matrix: np.ndarray, subset: np.ndarray, n_keep: int, most: int) -> tuple[float, np.ndarray]:
    """Make C-steps until the determinant no longer falls, but no more than `most`: (log determinant, subset).

    Samples on a plane have determinant 0, and nothing is below it: the log determinant is −inf.
    """
    determinant = np.inf
    for _ in range(most):
        if is_singular(matrix[subset]):
            return -np.inf, subset
        previous = determinant
        subset, _, covariance = concentration_step(matrix, subset, n_keep)
        determinant = float(np.linalg.slogdet(covariance)[1])
        if determinant >= previous:
            break
    return (-np.inf if is_singular(matrix[subset]) else determinant), subset


def support_size(n_samples: int, n_metrics: int, support_fraction: float) -> int:
    """h: how many samples the minimum covariance determinant trusts.

    At 0.5 it is ⌊(n + p + 1) / 2⌋, which withstands the most outliers; at 1 it is n; between them it is interpolated.

    >>> support_size(100, 4, 0.5), support_size(100, 4, 0.75), support_size(100, 4, 1.0)
    (52, 76, 100)
    """
    half = (n_samples + n_metrics + 1) // 2
    return int(np.floor(2 * half - n_samples + 2 * (n_samples - half) * support_fraction))


def consistency_factor(n_metrics: int, fraction: float) -> float:
    """What the covariance of the innermost `fraction` of normal samples must be multiplied by to be that of all.

    >>> round(consistency_factor(1, 0.5), 3), consistency_factor(3, 1.0)
    (7.01, 1.0)
    """
    quantile = chi2.ppf(fraction, n_metrics)
    return float(fraction / chi2.cdf(quantile, n_metrics + 2))


# Pison, Van Aelst & Willems (2002): at 0.5 and 0.875 the bias of the determinant in small samples is 1 − exp(a) / n^b.
# For p = 1 and 2 they fitted a and b. For p > 2 they fitted it at n = 2p² and n = 3p² as 1 + c / p^d; a and b follow.
_SMALL_P = {
    (1, "raw"): ((0.262024211897096, 0.604756680630497), (-0.351584646688712, 1.01646567502486)),
    (2, "raw"): ((0.673292623522027, 0.691365864961895), (0.446537815635445, 1.06690782995919)),
    (1, "reweighted"): ((1.11098143415027, 1.5182890270453), (-0.66046776772861, 0.88939595831888)),
    (2, "reweighted"): ((3.11101712909049, 1.91401056721863), (0.79473550581058, 1.10081930350091)),
}
_LARGE_P = {
    "raw": (
        ((-1.42764571687802, 1.26263336932151), (-1.06141115981725, 1.28907991440387)),
        ((-0.455179464070565, 1.11192541278794), (-0.294241208320834, 1.09649329149811)),
    ),
    "reweighted": (
        ((-1.02842572724793, 1.67659883081926), (-0.26800273450853, 1.35968562893582)),
        ((-0.544482443573914, 1.25994483222292), (-0.343791072183285, 1.25159004257133)),
    ),
}


def small_sample_factor(n_samples: int, n_metrics: int, support_fraction: float, estimate: str) -> float:
    """What a "raw" or a "reweighted" covariance must be multiplied by because few samples make it too small.

    >>> round(small_sample_factor(100, 3, 0.5, "raw"), 4)
    1.0989
    """
    at_half, at_seven_eighths = (
        1 - np.exp(a) / n_samples**b for a, b in _small_sample_coefficients(n_metrics, estimate)
    )
    if support_fraction <= 0.875:
        inverse = at_half + (at_seven_eighths - at_half) * (support_fraction - 0.5) / 0.375
    else:
        inverse = at_seven_eighths + (1 - at_seven_eighths) * (support_fraction - 0.875) / 0.125
    if inverse <= 0:
        raise ValueError(
            f"{n_samples} samples are too few for {n_metrics} metrics: the small-sample correction is not defined; "
            f"use fewer metrics or pca_outliers"
        )
    return float(1 / inverse)


def _small_sample_coefficients(n_metrics: int, estimate: str) -> list[tuple[float, float]]:
    if n_metrics <= 2:
        return list(_SMALL_P[n_metrics, estimate])
    coefficients = []
    for fitted in _LARGE_P[estimate]:
        # log(exp(a) / n^b) = a − b log n is known at two n: a straight line through two points.
        heights = [np.log(-c / n_metrics**d) for c, d in fitted]
        places = [np.log(2 * n_metrics**2), np.log(3 * n_metrics**2)]
        b = -(heights[1] - heights[0]) / (places[1] - places[0])
        coefficients.append((heights[0] + b * places[0], b))
    return coefficients


def raw_factor(n_samples: int, n_metrics: int, support_fraction: float) -> float:
    """What the covariance of the h samples of smallest determinant must be multiplied by."""
    n_keep = support_size(n_samples, n_metrics, support_fraction)
    small = small_sample_factor(n_samples, n_metrics, support_fraction, "raw")
    # For one metric covMcd divides the sum of squares by h, otherwise by h − 1.
    divisor = (n_keep - 1) / n_keep if n_metrics == 1 and n_keep < n_samples else 1.0
    return consistency_factor(n_metrics, n_keep / n_samples) * small * divisor


def reweighted_factor(n_trusted: int, n_samples: int, n_metrics: int, support_fraction: float) -> float:
    """What the covariance of the samples of weight 1 must be multiplied by; 1 if that is all of them."""
    if n_trusted == n_samples:
        return 1.0
    small = small_sample_factor(n_samples, n_metrics, support_fraction, "reweighted")
    return consistency_factor(n_metrics, n_trusted / n_samples) * small


def _positions(subset: Any, n_samples: int) -> np.ndarray:
    positions = np.asarray(subset)
    if positions.ndim != 1 or not np.issubdtype(positions.dtype, np.integer):
        raise ValueError(f"subset must be a list of positions (whole numbers); got {subset!r}")
    if len(np.unique(positions)) < len(positions):
        raise ValueError("subset has a position twice; each sample counts once")
    if ((positions < 0) | (positions >= n_samples)).any():
        raise ValueError(
            f"subset must hold positions from 0 to {n_samples - 1}; got {positions.min()} to {positions.max()}"
        )
    return positions


def _random_start(matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """n_metrics + 1 random samples, and more while they lie on a plane."""
    order = rng.permutation(len(matrix))
    size = matrix.shape[1] + 1
    while size < len(matrix) and is_singular(matrix[order[:size]]):
        size += 1
    return order[:size]


def _exact_fit(x: Any, matrix: np.ndarray, subset: np.ndarray) -> RobustDistances:
    """The result when the samples of `subset`, which are h or more, lie on one plane."""
    unit = np.median(np.abs(matrix - np.median(matrix, axis=0)), axis=0)
    unit = np.where(unit > 0, unit, np.mean(np.abs(matrix - matrix.mean(axis=0)), axis=0))
    scaled = matrix / np.where(unit > 0, unit, 1.0)
    centre = scaled[subset].mean(axis=0)
    _, sizes, axes = np.linalg.svd(scaled[subset] - centre, full_matrices=False)
    in_plane = axes[sizes > 1e-6 * max(sizes[0], 1.0)]
    centred = scaled - centre
    off_plane = np.linalg.norm(centred - centred @ in_plane.T @ in_plane, axis=1)
    on_plane = np.flatnonzero(off_plane < 1e-6 * (1 + np.linalg.norm(centred, axis=1)))

    location, covariance = mean_and_covariance(matrix[on_plane])
    distances = np.full(len(matrix), np.inf)
    distances[on_plane] = 0.0
    if len(in_plane):
        coordinates = centred[on_plane] @ in_plane.T
        distances[on_plane] = np.sqrt(mahalanobis_squared(coordinates, *mean_and_covariance(coordinates)))
    return _as_result(x, distances, location, covariance, on_plane, exact_fit=True)


def _as_result(
    x: Any, distances: np.ndarray, location: np.ndarray, covariance: np.ndarray, subset: np.ndarray, *, exact_fit: bool
) -> RobustDistances:
    cutoff = float(np.sqrt(chi2.ppf(REWEIGHTING_QUANTILE, len(location))))
    labelled = pd.Series(distances, index=x.index, name="distance") if isinstance(x, pd.DataFrame) else distances
    return RobustDistances(labelled, cutoff, location, covariance, subset, exact_fit)


# ---------------------------------------------------------------- more features than samples


def principal_axes(rows: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the rows and the directions in which they vary most, one per column.

    >>> centre, axes = principal_axes(np.array([[0.0, 0.0], [3.0, 4.0]]), 1)
    >>> abs(axes).round(6).ravel()
    array([0.6, 0.8])
    """
    centre = rows.mean(axis=0)
    _, sizes, axes = np.linalg.svd(rows - centre, full_matrices=False)
    rank = int((sizes > sizes[0] * max(rows.shape) * np.finfo(float).eps).sum())
    if n_components > rank:
        raise ValueError(
            f"n_components must be at most {rank}, the rank of the {len(rows)} samples; got {n_components}"
        )
    return centre, axes[:n_components].T


def centre_and_scale(values: np.ndarray, n_keep: int) -> tuple[np.ndarray, np.ndarray]:
    """Univariate minimum covariance determinant of each column: the n_keep neighbouring values of least variance.

    The variance is scaled to be right for normal data; values beyond its 0.975 quantile are left out; mean and
    standard deviation of the others are returned.

    >>> centre_and_scale(np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [99.0]]), 4)
    (array([3.]), array([1.58113883]))
    """
    values = values - (shift := np.median(values, axis=0))
    ordered = np.sort(values, axis=0)
    sums = np.cumsum(np.vstack([np.zeros((1, ordered.shape[1])), ordered]), axis=0)
    squares = np.cumsum(np.vstack([np.zeros((1, ordered.shape[1])), ordered**2]), axis=0)
    means = (sums[n_keep:] - sums[:-n_keep]) / n_keep
    variances = (squares[n_keep:] - squares[:-n_keep]) / n_keep - means**2
    centre = np.take_along_axis(means, variances.argmin(axis=0)[None, :], axis=0)[0]

    squared = (values - centre) ** 2
    variance = np.sort(squared, axis=0)[n_keep - 1] / chi2.ppf(n_keep / len(values), 1)
    trusted = (squared <= variance * chi2.ppf(REWEIGHTING_QUANTILE, 1)) | (n_keep == len(values))
    count = trusted.sum(axis=0)
    centre = np.sum(values * trusted, axis=0) / count
    scale = np.sqrt(np.sum((values - centre) ** 2 * trusted, axis=0) / np.maximum(count - 1, 1))
    return centre + shift, scale


def outlyingness(coordinates: np.ndarray, n_keep: int, rng: np.random.Generator) -> np.ndarray:
    """How outlying each sample is in the direction that shows it worst (Stahel and Donoho).

    Directions run through two samples each: all pairs if there are at most 250, otherwise 250 random ones. In each, a
    sample's distance from the centre of the n_keep closest neighbours is divided by their scale.
    """
    n_samples = len(coordinates)
    first, second = (
        np.triu_indices(n_samples, k=1)
        if n_samples * (n_samples - 1) / 2 <= N_DIRECTIONS
        else (
            (start := rng.integers(n_samples, size=N_DIRECTIONS)),
            (start + rng.integers(1, n_samples, size=N_DIRECTIONS)) % n_samples,
        )
    )
    directions = coordinates[first] - coordinates[second]
    lengths = np.linalg.norm(directions, axis=1)
    directions = directions[lengths > 1e-12 * lengths.max()] / lengths[lengths > 1e-12 * lengths.max(), None]
    projections = coordinates @ directions.T
    centre, scale = centre_and_scale(projections, n_keep)
    deviation = np.abs(projections - centre)
    # Scale 0: n_keep samples share one value, and whoever has another is infinitely far.
    negligible = 1e-10 * deviation.max(axis=0)
    in_units = np.where(scale > negligible, deviation / np.where(scale > negligible, scale, 1.0), np.inf)
    worst: np.ndarray = np.where(deviation > negligible, in_units, 0.0).max(axis=1)
    return worst


def distance_cutoff(distances: np.ndarray, quantile: float, n_keep: int | None = None) -> float:
    """Cut-off for orthogonal distances: their power 2/3 is nearly normal (Wilson and Hilferty).

    Centre and scale of the powers come from the `n_keep` most similar ones, or from median and MAD.
    """
    powers = distances ** (2 / 3)
    if n_keep is None:
        centre = np.median(powers)
        scale = MAD_TO_SD * np.median(np.abs(powers - centre))
    else:
        centre, scale = (value[0] for value in centre_and_scale(powers[:, None], n_keep))
    return float((centre + scale * norm.ppf(quantile)) ** 1.5)


def pca_outliers(x: Any, *, n_components: int, rng: np.random.Generator, quantile: float = 0.975) -> pd.DataFrame:
    """Find samples that do not follow the bulk's principal components: ROBPCA.

    Two distances tell two stories. The score distance is measured within the plane of the components: far, but in a
    direction in which samples do vary. The orthogonal distance leads from the sample to the plane: the sample is made
    differently. Either makes an outlier.

    The plane is found without trusting anybody: (1) the h samples that look least outlying in any direction give first
    components; (2) all samples close to their plane give the final ones; (3) the minimum covariance determinant of the
    scores (`robust_distances`, support fraction 0.75) gives the score distances.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array of finite numbers; more features than samples are welcome. Features
        are centred, not scaled
    n_components : dimension of the plane
    rng : the source of the random directions and starts
    quantile : share of normal samples that each cut-off accepts: for score distances √ of that quantile of chi-square
        with n_components degrees of freedom, for orthogonal distances from the median and MAD of distance^(2/3)

    Returns
    -------
    (n_samples, 3) DataFrame[score_distance, orthogonal_distance, outlier] with the labels of x; distances not squared,
    the first without unit, the second in the unit of x. Where the components leave nothing over (n_components is the
    rank of x), orthogonal distances are 0

    Raises
    ------
    ValueError : a bad table, more components than the rank of the data, too few samples, a quantile outside (0, 1)

    Notes
    -----
    Steps and constants are those of rrcov::PcaHubert(x, k, alpha = 0.75, mcd = FALSE). With at most 22 samples
    both use all directions and agree; beyond, random directions differ and the results are close, not equal.

    References
    ----------
    Hubert, Rousseeuw & Vanden Branden 2005, Technometrics 47:64–79.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.outer(rng.normal(size=30), np.ones(100)) + rng.normal(scale=0.1, size=(30, 100))
    >>> x[7, :50] += 2
    >>> pca_outliers(x, n_components=1, rng=rng, quantile=0.999).query("outlier").index.tolist()
    [7]
    """
    matrix = as_matrix(x, "x")
    require_generator(rng)
    n_components = require_integer(n_components, "n_components")
    require_between(quantile, "quantile", 0.0, 1.0)
    coordinates = _rotated(matrix)

    n_keep = support_size(len(matrix), n_components, CLEAN_FRACTION)
    least_outlying = np.argsort(outlyingness(coordinates, n_keep, rng))[:n_keep]
    near = _orthogonal_distances(coordinates, *principal_axes(coordinates[least_outlying], n_components))
    close = near <= distance_cutoff(near, REWEIGHTING_QUANTILE, n_keep)

    plane = principal_axes(coordinates[close], n_components)
    orthogonal = _orthogonal_distances(coordinates, *plane)
    scores = coordinates @ plane[1]  # not centred: where zero lies does not matter to robust distances
    score = robust_distances(scores, rng=rng, support_fraction=CLEAN_FRACTION).distances
    outlier = (score > np.sqrt(chi2.ppf(quantile, n_components))) | (orthogonal > distance_cutoff(orthogonal, quantile))
    columns = {"score_distance": score, "orthogonal_distance": orthogonal, "outlier": outlier}
    return pd.DataFrame(columns, index=labels(x, 0))


def _rotated(matrix: np.ndarray) -> np.ndarray:
    """The samples in as many coordinates as they span: all distances kept, thousands of features gone."""
    centred = matrix - matrix.mean(axis=0)
    if not np.ptp(matrix, axis=0).any():
        raise ValueError(f"x has rank 0: its {len(matrix)} samples are all equal, so they span no plane")
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    coordinates: np.ndarray = centred @ axes[sizes > sizes[0] * max(matrix.shape) * np.finfo(float).eps].T
    return coordinates


def _orthogonal_distances(coordinates: np.ndarray, centre: np.ndarray, axes: np.ndarray) -> np.ndarray:
    centred = coordinates - centre
    distances = np.linalg.norm(centred - centred @ axes @ axes.T, axis=1)
    # What rounding leaves of a sample that lies in the plane is no distance.
    return np.where(distances > 1e-10 * np.linalg.norm(centred, axis=1).max(), distances, 0.0)


# ---------------------------------------------------------------- the protocol


@dataclass(frozen=True)
class Gate:
    """A named condition: a metric must lie between two bounds, the bounds included.

    >>> Gate("deep enough", "library_size", lower=1e6)
    Gate(name='deep enough', metric='library_size', lower=1000000.0, upper=inf)
    """

    name: str
    metric: str
    lower: float = -np.inf
    upper: float = np.inf

    def __post_init__(self) -> None:
        for bound in (self.lower, self.upper):
            if isinstance(bound, bool) or not isinstance(bound, (int, float, np.number)):
                raise ValueError(f"gate {self.name!r}: a bound must be a number, infinite if open; got {bound!r}")
        if not self.lower <= self.upper:
            raise ValueError(f"gate {self.name!r}: lower must not exceed upper; got {self.lower} and {self.upper}")


def run_qc(metrics: pd.DataFrame, gates: Sequence[Gate]) -> tuple[pd.Index, pd.DataFrame]:
    """Pass the samples through gates, one after another, and write down who was stopped where and why.

    A sample stopped by one gate is not asked by the next, so each dropped sample stands in the audit once. A value that
    is missing (NaN) passes no gate on its metric, not even an open one: what was not measured is not known to be good.

    With fixed bounds the protocol is idempotent: run on what was kept, it drops nobody. Bounds computed from the data
    (median ± 3 MAD) are not: without the outliers the MAD is smaller, and the same rule drops good samples next.
    Compute such bounds once, put them into the gates, and keep the gates.

    Parameters
    ----------
    metrics : (n_samples, n_metrics) DataFrame; row labels are unique
    gates : in the order in which they are asked; names are unique

    Returns
    -------
    kept : Index of the samples that passed every gate, in the order of `metrics`
    audit : DataFrame[sample, gate, value, threshold], one row per dropped sample, in the order of gates, then of
        `metrics`; threshold is the bound that was crossed, NaN where the value is missing

    Raises
    ------
    ValueError : not a DataFrame, repeated labels, an unknown or non-numeric metric, two gates of one name, or gates
        that would leave nobody

    Examples
    --------
    >>> metrics = pd.DataFrame({"depth": [9.0, 2.0, 8.0], "rin": [8.0, 3.0, 4.0]}, index=["P1", "P2", "P3"])
    >>> kept, audit = run_qc(metrics, [Gate("deep", "depth", lower=5), Gate("intact", "rin", lower=6)])
    >>> kept.tolist()
    ['P1']
    >>> audit
      sample    gate  value  threshold
    0     P2    deep    2.0        5.0
    1     P3  intact    4.0        6.0
    """
    _require_metrics(metrics, gates)
    kept = metrics
    stopped = []
    for gate in gates:
        value = kept[gate.metric].astype(float)
        passed = value.between(gate.lower, gate.upper)
        if not passed.any():
            raise ValueError(f"gate {gate.name!r} would drop all {len(kept)} samples that are left; check its bounds")
        for sample in kept.index[~passed]:
            crossed = gate.lower if value[sample] < gate.lower else gate.upper
            threshold = np.nan if np.isnan(value[sample]) else crossed
            stopped.append((sample, gate.name, value[sample], threshold))
        kept = kept[passed]
    audit = pd.DataFrame(stopped, columns=["sample", "gate", "value", "threshold"])
    return kept.index, audit.astype({"value": float, "threshold": float})


def _require_metrics(metrics: Any, gates: Sequence[Gate]) -> None:
    if not isinstance(metrics, pd.DataFrame):
        raise ValueError(f"metrics must be a DataFrame with a row per sample; got {type(metrics).__name__}")
    if metrics.empty:
        raise ValueError(f"metrics has shape {metrics.shape}; at least one sample and one metric are needed")
    require_unique_labels(metrics, "metrics")
    if not isinstance(gates, (list, tuple)) or not all(isinstance(gate, Gate) for gate in gates):
        raise ValueError(f"gates must be a list of Gate(name, metric, lower, upper); got {gates!r}")
    names = [gate.name for gate in gates]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"two gates are named {repeated[0]!r}; the audit could not tell them apart")
    for gate in gates:
        if gate.metric not in metrics.columns:
            known = ", ".join(map(str, metrics.columns))
            raise ValueError(
                f"gate {gate.name!r} asks for {gate.metric!r}, which metrics does not have; it has {known}"
            )
        if not pd.api.types.is_numeric_dtype(metrics[gate.metric]):
            raise ValueError(
                f"gate {gate.name!r}: metric {gate.metric!r} holds {metrics[gate.metric].dtype}, not numbers"
            )
