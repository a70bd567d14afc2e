"""Fill gaps: once, from similar samples, or many times, by regressions that know how little they know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reference_impl.missing.inputs import as_vector, scaled_columns
from reference_impl.validation import as_matrix, labels, like, require_generator, require_integer

# ---------------------------------------------------------------- once


def impute_knn(x: Any, *, k: int) -> Any:
    """Fill each gap with the mean of the k nearest samples that have the value.

    The distance of two samples is the root mean square difference over the features both have; samples that share no
    feature are infinitely far. **A neighbour that lacks the value is passed over**, and the next nearest takes its
    place, so every mean is over k samples, or over all that can be reached if there are fewer. (Others stay with the
    k nearest and average those that happen to have the value, sometimes none.) Which of
    equally near samples counts is not promised: distances are rounded. Columns are used as they are: scale them first
    if their units differ.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array; NaN is a gap
    k : number of neighbours

    Returns
    -------
    (n_samples, n_features) like x, without gaps

    Raises
    ------
    ValueError : k below 1; a gap that no sample can fill, named by sample and column

    Notes
    -----
    The same rule as scikit-learn's KNNImputer with uniform weights. One filled table hides how uncertain the filling
    is: what is computed from it has intervals that are too short.

    References
    ----------
    Troyanskaya et al. 2001, Bioinformatics 17:520–525.

    Examples
    --------
    >>> x = np.array([[1.0, 10.0], [1.1, np.nan], [1.2, 14.0], [5.0, 90.0]])
    >>> impute_knn(x, k=2)[1, 1]
    np.float64(12.0)
    """
    values = as_matrix(x, "x", missing=True)
    require_integer(k, "k")
    distances = distances_over_shared(values)
    filled = values.copy()
    for column in np.flatnonzero(np.isnan(values).any(axis=0)).tolist():
        has = ~np.isnan(values[:, column])
        gaps = np.flatnonzero(~has)
        to_donors = distances[np.ix_(gaps, np.flatnonzero(has))]
        nearest = np.argsort(to_donors, axis=1, kind="stable")[:, :k]
        reachable = np.isfinite(np.take_along_axis(to_donors, nearest, axis=1))
        if not reachable.any(axis=1).all():
            lonely = labels(x, 0)[gaps[int(np.argmin(reachable.any(axis=1)))]]
            raise ValueError(
                f"the gap of sample {lonely!r} in column {labels(x, 1)[column]!r} cannot be filled: no sample has that "
                "value and another feature in common with it"
            )
        donated = values[has, column][nearest] * reachable
        filled[gaps, column] = donated.sum(axis=1) / reachable.sum(axis=1)
    return like(x, filled)


def distances_over_shared(values: np.ndarray) -> NDArray[np.float64]:
    """Root mean square difference of every two samples over the features both have; inf where they share none.

    >>> distances_over_shared(np.array([[0.0, 3.0], [4.0, np.nan]]))
    array([[0., 4.],
           [4., 0.]])
    """
    seen = (~np.isnan(values)).astype(float)
    centre = np.divide(np.nansum(values, axis=0), seen.sum(axis=0), where=seen.any(axis=0), out=np.zeros(seen.shape[1]))
    known = np.where(seen == 1, values - centre, 0.0)  # centred: large intensities cost digits in the products
    squares = (known**2) @ seen.T
    total = squares + squares.T - 2 * known @ known.T
    shared = seen @ seen.T
    mean = np.divide(np.maximum(total, 0.0), shared, out=np.full(shared.shape, np.inf), where=shared > 0)
    distances: NDArray[np.float64] = np.sqrt(mean)
    return distances


# ---------------------------------------------------------------- many times


def draw_regression(predictors: Any, outcome: Any, *, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Draw the coefficients and the residual standard deviation of a linear regression from what the data allow.

    Least squares gives coefficients b and a residual sum of squares RSS with df = n − number of coefficients. Another
    sample of patients would have given others. Bayesian regression with a flat prior says how different they may be:

        σ = √(RSS / g),            g ~ chi-square with df degrees of freedom
        β = b + σ · L z,           z ~ standard normal, L Lᵀ = (XᵀX)⁻¹, L lower triangular

    X is the table of predictors with a column of ones before it. First g is drawn (`rng.chisquare(df)`), then z
    (`rng.standard_normal(number of coefficients)`).

    Parameters
    ----------
    predictors : (n_samples, n_predictors) DataFrame or array without gaps
    outcome : (n_samples,) numbers without gaps
    rng : the source of g and z, in this order

    Returns
    -------
    coefficients : (1 + n_predictors,) array, the intercept first
    sd : residual standard deviation

    Raises
    ------
    ValueError : gaps; no more samples than coefficients; a predictor that is constant or a combination of the others

    Notes
    -----
    The draw of `mice.impute.norm` (R package mice). Where the predictors are collinear, mice adds a ridge of 1e-5;
    this function refuses and names the column.

    References
    ----------
    Rubin 1987, Multiple Imputation for Nonresponse in Surveys, p. 167; van Buuren 2018, Flexible Imputation of
    Missing Data, algorithm 3.1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(2000, 1))
    >>> coefficients, sd = draw_regression(x, 3 + 2 * x[:, 0] + 0.5 * rng.normal(size=2000), rng=rng)
    >>> coefficients.round(1), round(sd, 1)
    (array([3., 2.]), 0.5)
    """
    matrix, values = as_regression(predictors, outcome)
    require_generator(rng)
    design = np.column_stack([np.ones(len(matrix)), matrix])
    products = design.T @ design
    fitted = np.linalg.solve(products, design.T @ values)
    residuals = values - design @ fitted
    sd = np.sqrt(residuals @ residuals / rng.chisquare(len(values) - len(fitted)))
    root = np.linalg.cholesky(np.linalg.inv(products))
    return fitted + sd * (root @ rng.standard_normal(len(fitted))), float(sd)


def as_regression(predictors: Any, outcome: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return predictors and outcome as arrays; refuse predictors that do not determine their coefficients.

    >>> as_regression([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [5.0, 10.0]], [1.0, 2.0, 3.0, 4.0])
    Traceback (most recent call last):
    ValueError: predictor 1 is constant or a combination of those before it; leave it out
    """
    matrix = as_matrix(predictors, "predictors")
    values = as_vector(outcome, "outcome", length=len(matrix))
    n_samples, n_predictors = matrix.shape
    if n_samples <= n_predictors + 1:
        raise ValueError(
            f"{n_samples} samples are too few for {n_predictors} predictors and an intercept: at least "
            f"{n_predictors + 2} are needed; take fewer predictors"
        )
    scaled_columns(matrix, labels(predictors, 1), "predictor")
    return matrix, values


def mice(x: Any, *, m: int, n_iterations: int, rng: np.random.Generator) -> list[Any]:
    """Impute a table m times by chained equations (fully conditional specification).

    Gaps are first filled with values drawn from the same column. Then, column after column, the gaps of a column are
    drawn again from its regression on all other columns: coefficients and residual standard deviation are drawn first
    (see `draw_regression`), then one residual for each gap. One round over all columns with gaps is an iteration;
    the table after the last is one imputation. The next starts anew.

    Drawing the coefficients, and not only the residuals, is what makes imputations *proper*: they differ as much as
    our ignorance does, and Rubin's rules are right for them.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array; NaN is a gap; every column must have been measured in more samples
        than there are columns, plus one
    m : number of imputations; 20 or more for intervals, or one per per cent of gaps
    n_iterations : rounds per imputation; 5 to 10 suffice where columns are not extremely correlated
    rng : the source of all draws

    Returns
    -------
    list of m tables like x, without gaps; observed values are in all of them as they were

    Raises
    ------
    ValueError : m or n_iterations below 1; a single column; a column with too few values, or one that is constant or a
        combination of others, named

    Notes
    -----
    As R's mice with method "norm", visiting columns from left to right. Values are drawn from a normal distribution and
    may lie outside the observed range; predictive mean matching, the default of mice, draws observed values instead.
    Include every column that the later analysis uses, the outcome too, and those that decide who has gaps.

    References
    ----------
    van Buuren & Groothuis-Oudshoorn 2011, Journal of Statistical Software 45(3).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=(50, 2))
    >>> x[:10, 1] = np.nan
    >>> tables = mice(x, m=3, n_iterations=2, rng=rng)
    >>> len(tables), bool(np.isnan(tables[0]).any()), bool((tables[2][10:] == x[10:]).all())
    (3, False, True)
    """
    values = as_matrix(x, "x", missing=True)
    require_integer(m, "m")
    require_integer(n_iterations, "n_iterations")
    require_generator(rng)
    gaps = np.isnan(values)
    _require_enough(x, gaps)
    return [like(x, _chain(x, values, gaps, n_iterations, rng)) for _ in range(m)]


def _require_enough(x: Any, gaps: np.ndarray) -> None:
    n_columns = gaps.shape[1]
    if n_columns < 2:
        raise ValueError("x has one column only: there is nothing to predict its gaps from")
    measured = (~gaps).sum(axis=0)
    if (measured <= n_columns + 1).any():
        at = int(np.argmin(measured))
        raise ValueError(
            f"column {labels(x, 1)[at]!r} has {measured[at]} values, too few for a regression on {n_columns - 1} "
            f"others: at least {n_columns + 2} are needed. Take fewer columns, or leave this one out"
        )


def _chain(x: Any, values: np.ndarray, gaps: np.ndarray, n_iterations: int, rng: np.random.Generator) -> np.ndarray:
    """One imputation: fill from each column itself, then draw every column from the others, again and again."""
    filled = values.copy()
    names = labels(x, 1)
    columns: list[int] = np.flatnonzero(gaps.any(axis=0)).tolist()
    for column in columns:
        lost = gaps[:, column]
        filled[lost, column] = rng.choice(values[~lost, column], size=int(lost.sum()))
    for _ in range(n_iterations):
        for column in columns:
            lost = gaps[:, column]
            others = np.delete(filled, column, axis=1)
            try:
                # The table brings the columns' names into messages.
                predictors = pd.DataFrame(others[~lost], columns=names.delete(column))
                coefficients, sd = draw_regression(predictors, filled[~lost, column], rng=rng)
            except ValueError as problem:
                raise ValueError(f"column {names[column]!r} on the others: {problem}") from None
            expected = coefficients[0] + others[lost] @ coefficients[1:]
            filled[lost, column] = expected + sd * rng.standard_normal(int(lost.sum()))
    return filled
