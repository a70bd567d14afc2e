"""One answer from many imputations, and how it would change if the imputations were wrong."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from reference_impl.missing.inputs import as_mask, as_vector, require_same_labels
from reference_impl.validation import require_between, require_number

LEAST_LAMBDA = 1e-4  # as in mice: identical estimates still have finite degrees of freedom


class Pooled(NamedTuple):
    """What `pool_rubin` returns.

    estimate : mean of the estimates
    variance : T, of the estimate; its root is the standard error
    df : degrees of freedom of the t distribution for intervals
    fmi : fraction of missing information about the estimate
    """

    estimate: float
    variance: float
    df: float
    fmi: float


def pool_rubin(estimates: Any, variances: Any, *, df_complete: float = np.inf) -> Pooled:
    """Pool the results of the same analysis on m imputed tables by Rubin's rules.

    With Ū the mean of the variances and B the variance of the estimates (divisor m − 1):

        T = Ū + (1 + 1/m) B              total variance
        λ = (1 + 1/m) B / T              share of it that the gaps cause, not below 1e-4
        df_old = (m − 1) / λ²
        df_obs = (df_complete + 1) / (df_complete + 3) · df_complete · (1 − λ)
        df = df_old · df_obs / (df_old + df_obs), or df_old if df_complete is infinite
        r = (1 + 1/m) B / Ū
        fmi = (r + 2 / (df + 3)) / (r + 1)

    λ and fmi are not the same: fmi also counts that λ itself is estimated from m tables.

    Parameters
    ----------
    estimates : (m,) the estimate from each table, m at least 2
    variances : (m,) the square of its standard error in each table
    df_complete : degrees of freedom the analysis would have without gaps, e.g. n − 1 for a mean

    Returns
    -------
    Pooled(estimate, variance, df, fmi)

    Raises
    ------
    ValueError : fewer than two estimates (one says nothing about B), a different number of variances, a variance that
        is not positive, df_complete not positive

    References
    ----------
    Rubin 1987; Barnard & Rubin 1999, Biometrika 86:948–955. The same numbers as R's mice (`pool.scalar`).

    Examples
    --------
    >>> pooled = pool_rubin([1.0, 2.0, 3.0], [0.5, 0.5, 0.5], df_complete=20)
    >>> pooled.estimate, round(pooled.variance, 4), round(pooled.df, 3), round(pooled.fmi, 3)
    (2.0, 1.8333, 2.149, 0.833)
    """
    values = as_vector(estimates, "estimates")
    squares = as_vector(variances, "variances", length=len(values))
    require_poolable(values, squares, df_complete)
    m = len(values)
    within, between = squares.mean(), (1 + 1 / m) * values.var(ddof=1)
    total = within + between
    share = max(between / total, LEAST_LAMBDA)
    df = (m - 1) / share**2
    if df_complete < np.inf:
        observed = (df_complete + 1) / (df_complete + 3) * df_complete * (1 - share)
        df = df * observed / (df + observed)
    ratio = between / within
    fmi = (ratio + 2 / (df + 3)) / (ratio + 1)
    return Pooled(float(values.mean()), float(total), float(df), float(fmi))


def require_poolable(estimates: np.ndarray, variances: np.ndarray, df_complete: float) -> None:
    """Refuse what Rubin's rules cannot pool.

    >>> require_poolable(np.array([1.0]), np.array([0.1]), np.inf)
    Traceback (most recent call last):
    ValueError: 1 estimate says nothing about the variance between imputations; at least 2 are needed
    """
    if len(estimates) < 2:
        raise ValueError("1 estimate says nothing about the variance between imputations; at least 2 are needed")
    if (variances <= 0).any():
        at = int(np.argmax(variances <= 0))
        raise ValueError(f"the variance of imputation {at} is {variances[at]:g}; a variance must be above 0")
    if not df_complete > 0:
        raise ValueError(f"df_complete must be above 0 (inf if it is large); got {df_complete!r}")


def delta_sensitivity(
    imputations: Any, imputed: Any, group: Any, deltas: Any, *, confidence: float = 0.95
) -> pd.DataFrame:
    """Ask how a difference between two groups changes if the imputed values are wrong by δ.

    Imputation believes that what is missing resembles what was observed (MAR). No data can show whether it does. So
    add δ to every imputed value, compute the difference of the groups' means in each table, pool, and repeat with
    other δ. In each table the difference has the variance s₁²/n₁ + s₀²/n₀ (divisors n − 1 inside s²); n − 2 are the
    degrees of freedom without gaps; the interval is that of the t distribution with the pooled ones.

    Parameters
    ----------
    imputations : m at least 2 completed versions of one variable, each (n_samples,)
    imputed : (n_samples,) bool, the values to shift: those that were imputed, or only those of one group
    group : (n_samples,) bool, True for the first group (cases), False for the second (controls)
    deltas : shifts to try, in the unit of the variable
    confidence : level of the interval

    Returns
    -------
    DataFrame[delta, estimate, lower, upper, holds], a row for each δ in the order given; holds is True where the
    interval does not contain 0

    Raises
    ------
    ValueError : fewer than two imputations, or of different length; masks that are not bool or that do not fit; Series
        whose samples differ in name or order; a group of fewer than two samples; no δ

    References
    ----------
    Rubin 1987, p. 202; Cro et al. 2020, Statistics in Medicine 39:2815–2842.

    Examples
    --------
    >>> tables = [[5.0, 6.0, 7.0, 1.0, 2.0, 3.0], [5.0, 6.0, 6.8, 1.0, 2.0, 3.0]]
    >>> cases, filled = [True] * 3 + [False] * 3, [False, False, True, False, False, False]
    >>> delta_sensitivity(tables, filled, np.array(cases), [0.0, -6.0]).round(2)
       delta  estimate  lower  upper  holds
    0    0.0      3.97   1.34   6.59   True
    1   -6.0      1.97  -3.49   7.42  False
    """
    tables, shifted, cases = require_sensitivity(imputations, imputed, group)
    rows = []
    for delta in as_vector(deltas, "deltas"):
        versions = [table + delta * shifted for table in tables]
        differences = [values[cases].mean() - values[~cases].mean() for values in versions]
        variances = [_squared_error(values[cases]) + _squared_error(values[~cases]) for values in versions]
        pooled = pool_rubin(differences, variances, df_complete=len(cases) - 2)
        quantile = student_t.ppf((1 + require_between(confidence, "confidence", 0, 1)) / 2, pooled.df)
        reach, estimate = quantile * np.sqrt(pooled.variance), pooled.estimate
        rows.append((delta, estimate, estimate - reach, estimate + reach, abs(estimate) > reach))
    return pd.DataFrame(rows, columns=["delta", "estimate", "lower", "upper", "holds"])


def _squared_error(values: np.ndarray) -> float:
    """Square of the standard error of the mean."""
    return float(values.var(ddof=1) / len(values))


def require_sensitivity(imputations: Any, imputed: Any, group: Any) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return the completed versions, who is shifted, and who is a case, as arrays that fit together.

    >>> require_sensitivity([[1.0, 2.0]], [True, False], [True, False])
    Traceback (most recent call last):
    ValueError: at least 2 imputations are needed; got 1
    """
    given = list(imputations)
    if len(given) < 2:
        raise ValueError(f"at least 2 imputations are needed; got {len(given)}")
    first = as_vector(given[0], "imputation 0")
    tables = [as_vector(table, f"imputation {j}", length=len(first)) for j, table in enumerate(given)]
    named = [(f"imputation {j}", table) for j, table in enumerate(given)] + [("imputed", imputed), ("group", group)]
    for name, values in named[1:]:
        require_same_labels(given[0], values, ("imputation 0", name))
    shifted, cases = as_mask(imputed, "imputed", len(first)), as_mask(group, "group", len(first))
    if min(cases.sum(), (~cases).sum()) < 2:
        raise ValueError(
            f"each group needs at least 2 samples; group is True for {cases.sum()} and False for {(~cases).sum()}"
        )
    return tables, shifted, cases


def tipping_point(table: pd.DataFrame) -> float:
    """The smallest shift that overturns the conclusion: of the δ tried, the one nearest 0 at which it does not hold.

    It does not hold where the interval contains 0, nor where the difference has turned round: an estimate of another
    sign than at the δ nearest 0 is another conclusion, be its interval as far from 0 as it may. NaN if the conclusion
    holds at every δ tried. Whether a shift of that size is plausible is for the scientist to say.

    >>> table = pd.DataFrame({"delta": [0.0, -1.0, -9.0], "estimate": [2.0, 1.5, -2.0], "holds": [True, True, True]})
    >>> tipping_point(table)
    -9.0
    """
    missing = {"delta", "estimate", "holds"} - set(table.columns)
    if missing:
        raise ValueError(f"expected a table of delta_sensitivity; it lacks the columns {', '.join(sorted(missing))}")
    deltas = np.array([require_number(delta, "delta") for delta in table["delta"]])
    if not len(deltas):
        raise ValueError("the table has no row, so no δ was tried")
    signs = np.sign(table["estimate"].to_numpy(dtype=float))
    turned = signs != signs[np.argmin(np.abs(deltas))]
    fallen = deltas[~table["holds"].to_numpy(dtype=bool) | turned].tolist()
    return min(fallen, key=abs) if fallen else float("nan")
