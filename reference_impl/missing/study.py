"""Every treatment under every mechanism: how far off is the estimate, how often does the interval hold the truth?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from reference_impl.missing.censoring import (
    censored_regression,
    censored_values,
    fit_censored,
    impute_left_censored,
)
from reference_impl.missing.imputation import impute_knn, mice
from reference_impl.missing.mechanisms import amputate, complete_cases
from reference_impl.missing.pooling import pool_rubin
from reference_impl.missing.weighting import inverse_probability_mean
from reference_impl.validation import require_between, require_generator, require_integer

TRUE_MEAN = 20.0
MECHANISMS = ("MCAR", "MAR", "MNAR")


class Gapped(NamedTuple):
    """What a treatment gets: a table whose protein has gaps, the limit an analyst would believe in, how to impute."""

    table: pd.DataFrame
    limit: float
    m: int
    rng: np.random.Generator


Result = tuple[float, float, float]  # estimate, standard error, degrees of freedom


def simulate_patients(n_samples: int, rng: np.random.Generator) -> pd.DataFrame:
    """Patients with two related proteins and the run they were measured in; severe ones are more often in run 1.

    The protein has mean 20 and standard deviation 1; the other protein correlates with it (0.6); the severity that
    links run and protein is not in the table, so that only the run can stand for it.

    >>> table = simulate_patients(5, np.random.default_rng(0))
    >>> table.columns.tolist(), sorted(set(table["run"]))
    (['protein', 'other', 'run'], [0.0, 1.0])
    """
    severity = rng.normal(size=n_samples)
    protein = TRUE_MEAN + 0.8 * severity + 0.6 * rng.normal(size=n_samples)
    other = TRUE_MEAN + 0.6 * (protein - TRUE_MEAN) + 0.8 * rng.normal(size=n_samples)
    run = (severity + 0.3 * rng.normal(size=n_samples) > 0).astype(float)
    return pd.DataFrame({"protein": protein, "other": other, "run": run})


# ---------------------------------------------------------------- treatments


def _of_values(values: Any) -> Result:
    """Mean of a variable without gaps, as if nothing had been missing."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values))), len(values) - 1.0


def _of_tables(tables: list[pd.DataFrame]) -> Result:
    """Mean of the protein pooled over imputed tables."""
    n = len(tables[0])
    variances = [table["protein"].var() / n for table in tables]
    pooled = pool_rubin([table["protein"].mean() for table in tables], variances, df_complete=n - 1)
    return pooled.estimate, float(np.sqrt(pooled.variance)), pooled.df


def _complete(given: Gapped) -> Result:
    return _of_values(complete_cases(given.table)["protein"])


def _half_limit(given: Gapped) -> Result:
    return _of_values(given.table["protein"].fillna(given.limit - 1.0))  # half of it on the original scale


def _knn(given: Gapped) -> Result:
    return _of_values(impute_knn(given.table, k=5)["protein"])


def _chained(given: Gapped, columns: list[str]) -> Result:
    # One variable has gaps, so one round is enough: nothing it is drawn from changes in a second.
    return _of_tables(mice(given.table[["protein", *columns]], m=given.m, n_iterations=1, rng=given.rng))


def _weighted(given: Gapped, columns: list[str]) -> Result:
    return *inverse_probability_mean(given.table["protein"], given.table[columns]), np.inf


def _left_censored(given: Gapped) -> Result:
    table = given.table[["protein"]]
    return _of_tables([impute_left_censored(table, given.limit, rng=given.rng) for _ in range(given.m)])


def _censored_mean(given: Gapped) -> Result:
    """The mean as by `censored_mean`, with its standard error."""
    values, limits = censored_values(given.table["protein"], given.limit)
    coefficients, _, covariance, _ = fit_censored(values, limits, np.ones((len(values), 1)))
    return float(coefficients[0]), float(np.sqrt(covariance[0, 0])), np.inf


def _censored(given: Gapped) -> Result:
    other = given.table[["other"]]
    fit = censored_regression(given.table["protein"], other - other.mean(), given.limit)
    # The intercept is the mean at the sample's own mean of the other protein, which is sampled too.
    sampled = fit.coefficients["other"] ** 2 * other["other"].var() / len(other)
    return fit.coefficients["intercept"], float(np.sqrt(fit.standard_errors["intercept"] ** 2 + sampled)), np.inf


TREATMENTS: dict[str, Callable[[Gapped], Result]] = {
    "complete cases": _complete,
    "half the limit": _half_limit,
    "k nearest neighbours": _knn,
    "chained equations, run left out": lambda given: _chained(given, ["other"]),
    "chained equations": lambda given: _chained(given, ["other", "run"]),
    "inverse probability, run left out": lambda given: _weighted(given, ["other"]),
    "inverse probability": lambda given: _weighted(given, ["other", "run"]),
    "left-censored imputation": _left_censored,
    "censored likelihood, mean only": _censored_mean,
    "censored likelihood": _censored,
}


# ---------------------------------------------------------------- the study


def compare_treatments(
    *,
    n_repeats: int,
    rng: np.random.Generator,
    n_samples: int = 200,
    rate: float = 0.3,
    m: int = 10,
    progress: bool = False,
) -> pd.DataFrame:
    """Estimate a protein's mean after gaps of each mechanism, with each treatment, many times.

    In MAR the gaps are driven by a recorded run with a less sensitive instrument, in which the severe patients (who
    have more of the protein) were measured. In MNAR values below a detection limit are lost. Treatments that need a
    limit are given the true one in MNAR; otherwise, as an analyst would, the smallest value observed.

    Parameters
    ----------
    n_repeats : simulated studies per mechanism
    rng : the source of everything random
    n_samples : patients per study
    rate : share of the protein's values that is lost
    m : imputations, where there are several
    progress : write a bar to standard error

    Returns
    -------
    DataFrame[mechanism, treatment, bias, coverage, error], bias = mean estimate − truth; coverage = share of the 95 %
    intervals that hold the truth; error = Monte-Carlo standard error of the bias

    Raises
    ------
    ValueError : n_repeats below 2, or an argument out of range

    Examples
    --------
    >>> study = compare_treatments(n_repeats=2, rng=np.random.default_rng(0))
    >>> len(study), study["mechanism"].unique().tolist()
    (30, ['MCAR', 'MAR', 'MNAR'])
    """
    require_integer(n_repeats, "n_repeats", at_least=2)
    require_integer(n_samples, "n_samples", at_least=20)
    require_integer(m, "m", at_least=2)
    require_between(rate, "rate", 0, 1)
    require_generator(rng)
    rows = []
    for step, mechanism in enumerate(MECHANISMS):
        found: dict[str, list[tuple[float, bool]]] = {name: [] for name in TREATMENTS}
        for repeat in range(n_repeats):
            table, limit = _with_gaps(simulate_patients(n_samples, rng), mechanism, rate, rng)
            for name, treat in TREATMENTS.items():
                estimate, error, df = treat(Gapped(table, limit, m, rng))
                reach = student_t.ppf(0.975, df) * error
                found[name].append((estimate - TRUE_MEAN, abs(estimate - TRUE_MEAN) <= reach))
            if progress:
                _show(step * n_repeats + repeat + 1, len(MECHANISMS) * n_repeats)
        for name, pairs in found.items():
            off, held = np.array(pairs, dtype=float).T
            rows.append((mechanism, name, off.mean(), held.mean(), off.std(ddof=1) / np.sqrt(n_repeats)))
    return pd.DataFrame(rows, columns=["mechanism", "treatment", "bias", "coverage", "error"])


def _with_gaps(
    table: pd.DataFrame, mechanism: str, rate: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, float]:
    """Take values of the protein out; return the table and the limit that an analyst would believe in."""
    driver = table["run"] if mechanism == "MAR" else None
    protein = amputate(table[["protein"]], mechanism, rate, rng=rng, driver=driver)["protein"]
    limit = table["protein"].quantile(rate) if mechanism == "MNAR" else protein.min()
    return table.assign(protein=protein), float(limit)


def _show(done: int, total: int) -> None:
    """Draw a bar of text when another per cent is done; the last step ends the line."""
    if 100 * done // total == 100 * (done - 1) // total:
        return
    filled = round(40 * done / total)
    end = "\n" if done == total else ""
    sys.stderr.write(f"\r[{'#' * filled}{'.' * (40 - filled)}] {100 * done // total:3d} %{end}")
    sys.stderr.flush()
