"""Every treatment under every mechanism: how far off is the estimate, and how often does its interval hold the truth?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from reference_impl.missing.censoring import censored_regression, impute_left_censored
from reference_impl.missing.imputation import impute_knn, mice
from reference_impl.missing.mechanisms import amputate
from reference_impl.missing.pooling import pool_rubin
from reference_impl.missing.weighting import inverse_probability_mean
from reference_impl.validation import require_between, require_generator, require_integer

TRUE_MEAN = 20.0
MECHANISMS = ("MCAR", "MAR", "MNAR")

# A treatment: table, limit, imputations, generator → estimate, standard error, degrees of freedom.
Treatment = Callable[[pd.DataFrame, float, int, np.random.Generator], tuple[float, float, float]]


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


def _of_values(values: Any) -> tuple[float, float, float]:
    """Mean of a variable without gaps, as if nothing had been missing."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values))), len(values) - 1.0


def _of_tables(tables: list[pd.DataFrame]) -> tuple[float, float, float]:
    """Mean of the protein pooled over imputed tables."""
    n = len(tables[0])
    variances = [table["protein"].var() / n for table in tables]
    pooled = pool_rubin([table["protein"].mean() for table in tables], variances, df_complete=n - 1)
    return pooled.estimate, np.sqrt(pooled.variance), pooled.df


def _complete(table: pd.DataFrame, limit: float, m: int, rng: np.random.Generator) -> tuple[float, float, float]:
    return _of_values(table["protein"].dropna())


def _half_limit(table: pd.DataFrame, limit: float, m: int, rng: np.random.Generator) -> tuple[float, float, float]:
    return _of_values(table["protein"].fillna(limit - 1.0))  # half of it on the original scale


def _knn(table: pd.DataFrame, limit: float, m: int, rng: np.random.Generator) -> tuple[float, float, float]:
    return _of_values(impute_knn(table, k=5)["protein"])


def _mice_without_run(table: pd.DataFrame, limit: float, m: int, rng: np.random.Generator) -> Any:
    # One variable has gaps, so one round is enough: nothing it is drawn from changes in a second.
    return _of_tables(mice(table[["protein", "other"]], m=m, n_iterations=1, rng=rng))


def _mice_with_run(table: pd.DataFrame, limit: float, m: int, rng: np.random.Generator) -> Any:
    return _of_tables(mice(table, m=m, n_iterations=1, rng=rng))


def _weighted(table: pd.DataFrame, columns: list[str]) -> tuple[float, float, float]:
    return *inverse_probability_mean(table["protein"], table[columns]), np.inf


def _ipw_without_run(table: pd.DataFrame, limit: float, m: int, rng: np.random.Generator) -> Any:
    return _weighted(table, ["other"])


def _ipw_with_run(table: pd.DataFrame, limit: float, m: int, rng: np.random.Generator) -> Any:
    return _weighted(table, ["other", "run"])


def _censored(table: pd.DataFrame, limit: float, m: int, rng: np.random.Generator) -> tuple[float, float, float]:
    centred = table[["other"]] - table["other"].mean()  # the intercept is then the mean of the protein
    fit = censored_regression(table["protein"], centred, limit)
    slope_part = fit.coefficients["other"] ** 2 * table["other"].var() / len(table)
    return fit.coefficients["intercept"], np.sqrt(fit.standard_errors["intercept"] ** 2 + slope_part), np.inf


def _left_censored(table: pd.DataFrame, limit: float, m: int, rng: np.random.Generator) -> Any:
    return _of_tables([impute_left_censored(table[["protein"]], limit, rng=rng) for _ in range(m)])


TREATMENTS: dict[str, Treatment] = {
    "complete cases": _complete,
    "half the limit": _half_limit,
    "k nearest neighbours": _knn,
    "chained equations, run left out": _mice_without_run,
    "chained equations": _mice_with_run,
    "inverse probability, run left out": _ipw_without_run,
    "inverse probability": _ipw_with_run,
    "left-censored imputation": _left_censored,
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
    (27, ['MCAR', 'MAR', 'MNAR'])
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
                estimate, error, df = treat(table, limit, m, rng)
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
