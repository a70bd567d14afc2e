"""Tests of reference_impl.missing: original implementations, closed forms, invariants, errors, the cohort's truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, ndtr
from scipy.stats import kstest, truncnorm
from scipy.stats import t as student_t
from sklearn.impute import KNNImputer

from reference_impl.missing import (
    amputate,
    censored_mean,
    censored_regression,
    compare_treatments,
    complete_cases,
    delta_sensitivity,
    draw_regression,
    impute_knn,
    impute_left_censored,
    inverse_probability_mean,
    little_mcar_test,
    mice,
    missing_by_intensity,
    normal_moments,
    pool_rubin,
    tipping_point,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "missing" / "golden.json").read_text(encoding="utf-8"))


def by_name(cases: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def floats(values: Any) -> np.ndarray:
    """Numbers of the golden file; null is NaN."""
    return np.array(values, dtype=float)


def correlated(n: int, p: int, seed: int) -> np.ndarray:
    """Normal samples whose columns share a factor."""
    rng = np.random.default_rng(seed)
    return 20 + rng.normal(size=(n, 1)) + rng.normal(size=(n, p))


# ---------------------------------------------------------------- make gaps


def test_mcar_loses_the_rate_everywhere() -> None:
    x = correlated(4000, 5, 0)
    lost = np.isnan(amputate(x, "MCAR", 0.3, rng=np.random.default_rng(1)))
    # Standard error of a share of 4,000 is 0.0072; four of them.
    assert_allclose(lost.mean(axis=0), 0.3, atol=0.029)
    assert abs(np.corrcoef(lost[:, 0], x[:, 0])[0, 1]) < 0.06


def test_mar_follows_the_driver_and_nothing_else() -> None:
    rng = np.random.default_rng(2)
    x, run = correlated(6000, 3, 3), np.arange(6000) % 4 == 0
    x[run] += 2
    lost = np.isnan(amputate(x, "MAR", 0.25, rng=rng, driver=run.astype(float)))
    z = run / run.std()
    # The a that gives the rate, found by bisection here.
    low, high = -30.0, 30.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(middle + z).mean() < 0.25 else (low, middle)
    for group in (run, ~run):
        assert_allclose(lost[group].mean(), expit(low + z[group][0]), atol=0.025)
        assert abs(np.corrcoef(lost[group, 0], x[group, 0])[0, 1]) < 0.09


def test_mnar_is_one_limit_for_the_whole_table() -> None:
    x = correlated(50, 4, 4)
    gapped = amputate(x, "MNAR", 0.2, rng=np.random.default_rng(0))
    limit = np.quantile(x, 0.2)
    assert_array_equal(np.isnan(gapped), x < limit)
    assert np.isnan(gapped).mean() == pytest.approx(0.2, abs=1 / x.size)


@given(st.integers(0, 10_000), st.sampled_from(["MCAR", "MAR", "MNAR"]), st.floats(0.01, 0.99))
@settings(max_examples=40, deadline=None)
def test_amputate_only_takes_away(seed: int, mechanism: str, rate: float) -> None:
    x = pd.DataFrame(correlated(20, 3, seed), columns=list("abc"))
    before = x.copy()
    driver = np.arange(20.0) if mechanism == "MAR" else None
    gapped = amputate(x, mechanism, rate, rng=np.random.default_rng(seed), driver=driver)
    pd.testing.assert_frame_equal(x, before)
    pd.testing.assert_frame_equal(gapped.fillna(x), x)
    again = amputate(x, mechanism, rate, rng=np.random.default_rng(seed), driver=driver)
    pd.testing.assert_frame_equal(gapped, again)


# ---------------------------------------------------------------- look at gaps


@by_name(GOLDEN["little"])
def test_littles_test_with_the_moments_of_lavaan(case: dict[str, Any]) -> None:
    x = floats(case["x"])
    mean, covariance = normal_moments(x)
    scale = np.sqrt(np.diag(covariance))
    # 1e-6 of a standard deviation: both sides stop an EM whose last steps are smaller than that.
    assert_allclose(mean / scale, floats(case["mean"]) / scale, rtol=0, atol=1e-6)
    assert_allclose(covariance / np.outer(scale, scale), floats(case["covariance"]) / np.outer(scale, scale), atol=1e-6)
    statistic, df, p = little_mcar_test(x)
    assert statistic == pytest.approx(case["statistic"], rel=1e-6)
    assert df == case["df"]
    assert p == pytest.approx(case["p"], rel=1e-4, abs=1e-12)  # far in the tail p magnifies the statistic's last digits


def test_moments_of_two_columns_have_a_closed_form() -> None:
    # Anderson 1957: with gaps in the second column only, regress it on the first among the complete samples.
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    x[35:, 1] = np.nan
    first, second = x[:35].T
    slope = np.cov(first, second, ddof=0)[0, 1] / first.var()
    mean_first, variance_first = x[:, 0].mean(), x[:, 0].var()
    mean_second = second.mean() + slope * (mean_first - first.mean())
    variance_second = second.var() + slope**2 * (variance_first - first.var())
    mean, covariance = normal_moments(x)
    assert_allclose(mean, [mean_first, mean_second], rtol=1e-8)
    assert_allclose(
        covariance, [[variance_first, slope * variance_first], [slope * variance_first, variance_second]], rtol=1e-8
    )


def test_littles_statistic_by_hand() -> None:
    # The mean of column b comes from the regression, so the 4 complete and 2 other samples differ in column a alone.
    x = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 4.0], [4.0, 3.0], [8.0, np.nan], [9.0, np.nan]])
    mean, covariance = normal_moments(x)
    complete = x[:4].mean(axis=0) - mean
    other = 8.5 - mean[0]
    expected = 4 * complete @ np.linalg.inv(covariance) @ complete + 2 * other**2 / covariance[0, 0]
    statistic, df, _ = little_mcar_test(x)
    assert statistic == pytest.approx(expected, rel=1e-9)
    assert df == 1  # (2 + 1) - 2


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_littles_test_does_not_depend_on_units_or_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = amputate(correlated(60, 3, seed), "MCAR", 0.15, rng=rng)
    first = little_mcar_test(x)
    moved = little_mcar_test((x * [1.0, 1000.0, 0.01] + [0, 5, -3])[rng.permutation(60)][:, [2, 0, 1]])
    assert_allclose(first, moved, rtol=1e-5)


def test_littles_test_keeps_its_level_and_sees_mar() -> None:
    rng = np.random.default_rng(6)
    p_chance, p_driven = [], []
    for _ in range(120):
        x = rng.normal(size=(80, 3)) + rng.normal(size=(80, 1))
        p_chance.append(little_mcar_test(amputate(x, "MCAR", 0.1, rng=rng))[2])
        x[:, 2:] = amputate(x[:, 2:], "MAR", 0.3, rng=rng, driver=x[:, 0])
        p_driven.append(little_mcar_test(x)[2])
    assert np.mean(np.array(p_chance) < 0.05) < 0.13  # 0.05 plus four standard errors of a share of 120
    assert np.mean(np.array(p_driven) < 0.05) > 0.85


def test_samples_without_any_value_say_nothing() -> None:
    x = amputate(correlated(50, 3, 7), "MCAR", 0.1, rng=np.random.default_rng(0))
    padded = np.vstack([x, np.full((4, 3), np.nan)])
    assert_allclose(little_mcar_test(padded), little_mcar_test(x), rtol=1e-9)


def test_complete_cases_keeps_labels_and_names_the_worst_column() -> None:
    x = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": [1.0, 2.0, 3.0]}, index=["P1", "P2", "P3"])
    assert complete_cases(x).index.tolist() == ["P1", "P3"]
    assert complete_cases(x.to_numpy()).shape == (2, 2)
    with pytest.raises(ValueError, match="none of 2 samples is complete; column 'b' alone has 1"):
        complete_cases(pd.DataFrame({"b": [1.0, np.nan], "a": [np.nan, 2.0]}))


def test_missing_by_intensity_of_a_column_never_seen() -> None:
    found = missing_by_intensity(np.array([[1.0, np.nan], [3.0, np.nan]]))
    assert found.to_numpy().tolist()[0] == [2.0, 0.0]
    assert np.isnan(found["intensity"][1])
    assert found["missing_rate"][1] == 1.0


# ---------------------------------------------------------------- k nearest neighbours


@pytest.mark.parametrize("seed", range(5))
def test_knn_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = amputate(correlated(40, 6, seed), "MCAR", 0.25, rng=rng)
    # Distances in another unit (scikit-learn multiplies by √p), neighbours the same.
    assert_allclose(impute_knn(x, k=4), KNNImputer(n_neighbors=4).fit_transform(x), rtol=1e-9)


def test_knn_passes_over_a_neighbour_that_lacks_the_value() -> None:
    x = np.array([[0.0, 0.0, np.nan], [0.1, 0.0, np.nan], [0.2, 0.0, 7.0], [0.3, 0.0, 9.0], [5.0, 5.0, 100.0]])
    assert_allclose(impute_knn(x, k=2)[:2, 2], [8.0, 8.0])


def test_knn_takes_all_that_can_be_reached_if_there_are_fewer() -> None:
    x = np.array([[1.0, np.nan, np.nan], [2.0, 4.0, np.nan], [3.0, 8.0, np.nan], [np.nan, 100.0, 1.0]])
    # Sample 3 shares no feature with sample 0, so only samples 1 and 2 give.
    assert impute_knn(x[:, :2], k=3)[0, 1] == pytest.approx(6.0)
    with pytest.raises(ValueError, match="sample 0 in column 2"):
        impute_knn(x, k=1)


# ---------------------------------------------------------------- many imputations


class Dictated(np.random.Generator):
    """A generator that says what it is told."""

    def __init__(self, chisquare: float, normal: np.ndarray) -> None:
        super().__init__(np.random.PCG64(0))
        self._told = {"chisquare": chisquare, "normal": np.array(normal)}

    def chisquare(self, df: Any, size: Any = None) -> Any:
        self.df = df
        return self._told["chisquare"]

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        return self._told["normal"]


@pytest.mark.parametrize("case", GOLDEN["draw"])
def test_the_draw_is_that_of_mice(case: dict[str, Any]) -> None:
    x, y = np.array(case["x"]), np.array(case["y"])
    rng = Dictated(case["chisquare"], case["normal"])
    coefficients, sd = draw_regression(x, y, rng=rng)
    # 1e-8: mice solves by QR, this by the normal equations of columns far from 0.
    assert_allclose(coefficients, case["coefficients"], rtol=1e-8)
    assert sd == pytest.approx(case["sd"], rel=1e-8)
    assert rng.df == len(y) - x.shape[1] - 1


def test_draws_vary_as_the_posterior_does() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(25, 2))
    y = 1 + x @ [0.5, -1.0] + rng.normal(size=25)
    drawn = [draw_regression(x, y, rng=rng) for _ in range(4000)]
    design = np.column_stack([np.ones(25), x])
    fitted, rss = np.linalg.lstsq(design, y, rcond=None)[:2]
    scaled = np.array([(c - fitted) / np.sqrt(rss[0] / 22) for c, _ in drawn])
    scaled /= np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    for coefficient in range(3):  # marginally Student's t
        assert kstest(scaled[:, coefficient], student_t(22).cdf).pvalue > 1e-3
    assert kstest([rss[0] / sd**2 for _, sd in drawn], "chi2", args=(22,)).pvalue > 1e-3


def test_mice_gives_what_mice_gives() -> None:
    case = GOLDEN["mice"]
    m = 400
    tables = mice(floats(case["table"]), m=m, n_iterations=10, rng=np.random.default_rng(9))
    means = np.array([table.mean(axis=0) for table in tables])
    correlations = np.array([np.corrcoef(table.T)[1, 2] for table in tables])
    # Both are averages over 400 draws: four standard errors of their difference.
    margin = 4 * np.sqrt(2 / m)
    assert (np.abs(means.mean(axis=0) - case["mean"]) <= margin * floats(case["sd_of_means"]) + 1e-12).all()
    assert_allclose(means.std(axis=0, ddof=1)[1:], case["sd_of_means"][1:], rtol=4 / np.sqrt(m))
    assert abs(correlations.mean() - case["correlation"]) < margin * case["sd_of_correlation"]
    assert_allclose(correlations.std(ddof=1), case["sd_of_correlation"], rtol=4 / np.sqrt(m))


def test_mice_keeps_what_was_observed_and_differs_where_it_was_not() -> None:
    x = pd.DataFrame(amputate(correlated(60, 4, 10), "MCAR", 0.2, rng=np.random.default_rng(0)), columns=list("abcd"))
    before = x.copy()
    tables = mice(x, m=3, n_iterations=3, rng=np.random.default_rng(1))
    pd.testing.assert_frame_equal(x, before)
    for table in tables:
        pd.testing.assert_frame_equal(table.where(x.notna()), x)
        assert not table.isna().any(axis=None)
    assert (tables[0] != tables[1])[x.isna()].sum().sum() == x.isna().sum().sum()
    again = mice(x, m=3, n_iterations=3, rng=np.random.default_rng(1))
    pd.testing.assert_frame_equal(again[2], tables[2])


def test_mice_recovers_a_regression_under_mar() -> None:
    rng = np.random.default_rng(11)
    slopes = []
    for _ in range(40):
        x = rng.normal(size=200)
        y = 2 * x + rng.normal(size=200)
        z = y + rng.normal(size=200)
        table = np.column_stack([x, y, z])
        table[:, :1] = amputate(table[:, :1], "MAR", 0.4, rng=rng, driver=z)
        fits = [np.polyfit(t[:, 0], t[:, 1], 1)[0] for t in mice(table, m=5, n_iterations=1, rng=rng)]
        slopes.append(np.mean(fits))
    assert np.mean(slopes) == pytest.approx(2.0, abs=4 * np.std(slopes) / np.sqrt(40))


@by_name(GOLDEN["pool"])
def test_pooling_is_that_of_mice(case: dict[str, Any]) -> None:
    found = pool_rubin(case["estimates"], case["variances"], df_complete=float(case["df_complete"]))
    assert_allclose(found, [case["estimate"], case["variance"], case["df"], case["fmi"]], rtol=1e-10)


def test_pooling_a_regression_is_that_of_mice() -> None:
    case = GOLDEN["pool_regression"]
    for place, term in enumerate(case["terms"]):
        estimates = [fit["estimates"][term] for fit in case["each"]]
        variances = [fit["variances"][term] for fit in case["each"]]
        found = pool_rubin(estimates, variances, df_complete=case["df_complete"])
        expected = [case[part][place] for part in ("estimate", "std_error", "df", "fmi")]
        assert_allclose([found.estimate, np.sqrt(found.variance), found.df, found.fmi], expected, rtol=1e-10)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=12), st.floats(0.1, 10), st.floats(2, 500))
def test_pooling_is_bounded_and_follows_units(estimates: list[float], variance: float, df_complete: float) -> None:
    found = pool_rubin(estimates, [variance] * len(estimates), df_complete=df_complete)
    assert found.variance >= variance
    assert 0 < found.df <= df_complete
    assert 0 <= found.fmi <= 1
    scaled = pool_rubin(10 * np.array(estimates) + 3, [100 * variance] * len(estimates), df_complete=df_complete)
    assert_allclose(scaled, [10 * found.estimate + 3, 100 * found.variance, found.df, found.fmi], rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------- sensitivity


def test_delta_sensitivity_by_hand() -> None:
    rng = np.random.default_rng(12)
    tables = [rng.normal(size=12) for _ in range(4)]
    cases = np.arange(12) < 5
    shifted = np.array([True, False] * 6)
    found = delta_sensitivity(tables, shifted, cases, [0.0, -1.5], confidence=0.9)
    for delta, row in zip([0.0, -1.5], found.itertuples(), strict=True):
        versions = [t + delta * shifted for t in tables]
        differences = [t[cases].mean() - t[~cases].mean() for t in versions]
        variances = [t[cases].var(ddof=1) / 5 + t[~cases].var(ddof=1) / 7 for t in versions]
        pooled = pool_rubin(differences, variances, df_complete=10)
        reach = student_t.ppf(0.95, pooled.df) * np.sqrt(pooled.variance)
        assert_allclose([row.estimate, row.lower, row.upper], np.mean(differences) + reach * np.array([0, -1, 1]))
        assert row.holds == (row.lower > 0 or row.upper < 0)
    # The shift moves the estimate by δ times the difference of the shares that were imputed: 3/5 and 3/7.
    assert found["estimate"].diff()[1] == pytest.approx(-1.5 * (3 / 5 - 3 / 7))


def test_tipping_point_is_the_nearest_delta_that_fails() -> None:
    table = pd.DataFrame(
        {"delta": [-3.0, -1.0, 0.0, 2.0], "estimate": [1.0, 2.0, 3.0, 1.0], "holds": [False, True, True, False]}
    )
    assert tipping_point(table) == 2.0
    assert np.isnan(tipping_point(table.assign(holds=True)))
    assert tipping_point(table.assign(holds=False)) == 0.0
    # Steps so wide that the interval jumps over 0: a clear difference the other way round is no confirmation.
    turned = table.assign(holds=True, estimate=[-4.0, -2.0, 3.0, 5.0])
    assert tipping_point(turned) == -1.0
    rng = np.random.default_rng(5)
    tables, cases = (
        [np.where(np.arange(40) < 20, 1.0, 0.0) + 0.1 * rng.normal(size=40) for _ in range(3)],
        np.arange(40) < 20,
    )
    found = delta_sensitivity(tables, cases, cases, [0.0, -5.0])
    assert found["holds"].all()
    assert tipping_point(found) == -5.0


# ---------------------------------------------------------------- weighting


@by_name(GOLDEN["weighted"])
def test_the_sandwich_is_that_of_the_stacked_equations(case: dict[str, Any]) -> None:
    mean, se = inverse_probability_mean(floats(case["y"]), floats(case["x"]))
    assert mean == pytest.approx(case["mean"], rel=1e-9)
    # R differentiates numerically: 1e-7 by hand, 1e-4 inside gmm.
    assert se == pytest.approx(case["se"], rel=1e-6)
    assert se == pytest.approx(case["se_gmm"], rel=1e-4)
    assert abs(se / case["se_weighted_least_squares"] - 1) > 0.001


def test_weighting_two_strata_is_post_stratification() -> None:
    case = next(case for case in GOLDEN["weighted"] if case["name"] == "two strata")
    y, stratum = floats(case["y"]), floats(case["x"]).ravel()
    mean, se = inverse_probability_mean(y, stratum[:, None])
    assert mean == pytest.approx(GOLDEN["survey"]["mean"], rel=1e-9)
    # Closed form: within strata (as R's survey, up to its factor of degrees of freedom), and between the strata, whose
    # sizes were sampled too.
    within = between = 0.0
    for level in (0, 1):
        values = y[stratum == level]
        seen, share = values[~np.isnan(values)], np.mean(stratum == level)
        within += share**2 * seen.var() / len(seen)
        between += share * (seen.mean() - mean) ** 2 / len(y)
    assert se == pytest.approx(np.sqrt(within + between), rel=1e-9)
    n = GOLDEN["survey"]["n_observed"]
    assert GOLDEN["survey"]["se_within_strata"] == pytest.approx(np.sqrt(within * n / (n - 1)), rel=1e-9)


def test_weighted_mean_follows_units_and_stays_within_what_was_seen() -> None:
    case = GOLDEN["weighted"][0]
    y, x = floats(case["y"]), floats(case["x"])
    mean, se = inverse_probability_mean(y, x)
    moved, scaled_se = inverse_probability_mean(100 * y - 7, x * [3, 0.1] + [1, 2])
    assert_allclose([moved, scaled_se], [100 * mean - 7, 100 * se], rtol=1e-8)
    assert np.nanmin(y) < mean < np.nanmax(y)


@pytest.mark.parametrize(("centre", "unit"), [(2e7, 5e6), (0.0, 1e-12), (-3e4, 1e3), (0.0, 1e12)])
def test_weighting_does_not_depend_on_the_units_of_covariates(centre: float, unit: float) -> None:
    rng = np.random.default_rng(21)
    u = rng.normal(size=(150, 2))
    y = 20 + u.sum(axis=1) + rng.normal(size=150)
    y[rng.random(150) < expit(-0.5 + u[:, 0])] = np.nan
    # 1e-7: centre / unit below 100 costs two of sixteen digits of u; Newton's last step is below 1e-9.
    assert_allclose(inverse_probability_mean(y, centre + unit * u), inverse_probability_mean(y, u), rtol=1e-7)


def test_sandwich_covers() -> None:
    rng = np.random.default_rng(13)
    held = []
    for _ in range(400):
        x = rng.normal(size=200)
        y = 1 + x + rng.normal(size=200)
        y[rng.random(200) < expit(-0.5 + 0.8 * x)] = np.nan
        mean, se = inverse_probability_mean(y, x[:, None])
        held.append(abs(mean - 1) < 1.96 * se)
    # 0.95 less what the sandwich loses at n = 200, and three standard errors of a share of 400.
    assert np.mean(held) > 0.90


# ---------------------------------------------------------------- censoring


@by_name(GOLDEN["censored"])
def test_censored_fits_are_those_of_survreg(case: dict[str, Any]) -> None:
    y, limit = floats(case["y"]), floats(case["limit"])
    if case["x"] is None:
        mean, sd = censored_mean(y, limit)
        # Nelder-Mead finds a maximum to about the root of the rounding error.
        assert_allclose([mean, sd], [case["coefficients"], case["sd"]], rtol=1e-7)
        return
    fit = censored_regression(y, floats(case["x"]).reshape(len(y), -1), limit)
    # survreg stops at a relative change of 1e-13 of the log-likelihood: about 1e-7 in the parameters.
    assert_allclose(fit.coefficients, case["coefficients"], rtol=1e-6, atol=1e-7)
    assert_allclose(fit.standard_errors, case["standard_errors"], rtol=1e-6)
    assert fit.sd == pytest.approx(case["sd"], rel=1e-6)
    assert fit.log_likelihood == pytest.approx(case["log_likelihood"], rel=1e-10)


@by_name([case for case in GOLDEN["censored"] if case["x"] is None])
def test_left_censored_imputation_draws_from_the_truncated_normal(case: dict[str, Any]) -> None:
    y, limit = floats(case["y"]), floats(case["limit"])
    lost = np.isnan(y)
    filled = np.array([impute_left_censored(y[:, None], limit, rng=np.random.default_rng(s))[:, 0] for s in range(60)])
    assert_array_equal(filled[:, ~lost], np.broadcast_to(y[~lost], (60, (~lost).sum())))
    if lost.any():
        assert (filled[:, lost] <= limit[lost]).all()
        mean, sd = case["coefficients"], case["sd"]
        uniform = ndtr((filled[:, lost] - mean) / sd) / ndtr((limit[lost] - mean) / sd)
        assert kstest(uniform.ravel(), "uniform").pvalue > 1e-3
        drawn = truncnorm(-np.inf, (limit[lost] - mean) / sd, loc=mean, scale=sd).mean()
        assert_allclose(filled[:, lost].mean(), drawn.mean(), atol=4 * sd / np.sqrt(60 * lost.sum()))


def test_regression_on_nothing_but_noise_agrees_with_the_mean() -> None:
    case = GOLDEN["censored"][0]
    y, limit = floats(case["y"]), floats(case["limit"])
    mean, sd = censored_mean(y, limit)
    # The same values once under −1 and once under 1: the predictor explains nothing.
    sign = np.repeat([-1.0, 1.0], 60)[:, None]
    fit = censored_regression(np.concatenate([y, y]), sign, np.concatenate([limit, limit]))
    assert_allclose(fit.coefficients, [mean, 0.0], atol=1e-6)
    assert fit.sd == pytest.approx(sd, rel=1e-6)


@given(st.integers(0, 10_000), st.floats(0.05, 0.8))
@settings(max_examples=30, deadline=None)
def test_censored_mean_follows_units(seed: int, rate: float) -> None:
    y = np.random.default_rng(seed).normal(20, 1, size=40)
    limit = float(np.quantile(y, rate))
    y[y < limit] = np.nan
    mean, sd = censored_mean(y, limit)
    moved, scaled = censored_mean(3 * y + 7, 3 * limit + 7)
    assert_allclose([moved, scaled], [3 * mean + 7, 3 * sd], rtol=1e-5)
    assert mean < np.nanmean(y)


def test_labels_of_a_censored_regression() -> None:
    case = GOLDEN["censored"][4]
    x = pd.DataFrame(floats(case["x"]), columns=["dose", "run"])
    fit = censored_regression(floats(case["y"]), x, floats(case["limit"]))
    assert fit.coefficients.index.tolist() == ["intercept", "dose", "run"]
    assert fit.standard_errors.index.tolist() == ["intercept", "dose", "run"]


# ---------------------------------------------------------------- the study


@pytest.fixture(scope="module")
def study() -> pd.DataFrame:
    return compare_treatments(n_repeats=120, rng=np.random.default_rng(14)).set_index(["mechanism", "treatment"])


def test_the_study_shows_who_is_right_where(study: pd.DataFrame) -> None:
    """Unbiased: within four Monte-Carlo errors and 0.05 standard deviations; biased: beyond 0.1."""
    right = {
        "MCAR": {"complete cases", "k nearest neighbours", "chained equations", "inverse probability"},
        "MAR": {"chained equations", "inverse probability"},
        "MNAR": {"censored likelihood", "censored likelihood, mean only", "left-censored imputation"},
    }
    wrong = {
        "MCAR": {
            "half the limit",
            "censored likelihood",
            "censored likelihood, mean only",
            "left-censored imputation",
        },
        "MAR": {"complete cases", "chained equations, run left out", "inverse probability, run left out"},
        "MNAR": {
            "complete cases",
            "half the limit",
            "k nearest neighbours",
            "chained equations",
            "inverse probability",
        },
    }
    for mechanism, names in right.items():
        for name in names:
            found = study.loc[(mechanism, name)]
            assert abs(found["bias"]) < 4 * found["error"] + 0.05, (mechanism, name)
    for mechanism, names in wrong.items():
        for name in names:
            assert abs(study.loc[(mechanism, name), "bias"]) > 0.1, (mechanism, name)
    # Three standard errors of a share of 120 are 0.06.
    for mechanism, name in [("MCAR", "complete cases"), ("MCAR", "chained equations"), ("MAR", "chained equations"),
                            ("MAR", "inverse probability"), ("MNAR", "censored likelihood"),
                            ("MNAR", "censored likelihood, mean only")]:  # fmt: skip
        assert study.loc[(mechanism, name), "coverage"] > 0.88, (mechanism, name)
    assert study.loc[("MCAR", "k nearest neighbours"), "coverage"] < 0.92  # as if nothing had been missing
    assert study.loc[("MNAR", "complete cases"), "coverage"] < 0.2


def test_the_study_is_silent_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    first = compare_treatments(n_repeats=2, n_samples=40, m=2, rng=np.random.default_rng(0))
    assert capsys.readouterr().err == ""
    second = compare_treatments(n_repeats=2, n_samples=40, m=2, rng=np.random.default_rng(0), progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\r") == 6
    assert shown.err.endswith("100 %\n")
    pd.testing.assert_frame_equal(first, second)


# ---------------------------------------------------------------- the cohort's truth


@pytest.fixture(scope="module")
def proteins(cohort: Any) -> pd.DataFrame:
    return np.log2(cohort.layers["protein"])


def test_gaps_of_the_cohort_are_not_at_random(cohort: Any, proteins: pd.DataFrame, truth: Any) -> None:
    for layer in ("protein", "metabolite"):
        seen = missing_by_intensity(np.log2(cohort.layers[layer])).dropna()
        assert seen.corr(method="spearman").iloc[0, 1] < -0.5
    # With the run in the table, the test sees that the weak run has other gaps than its share.
    weak = (cohort.samples["protein"]["batch"] == truth["below_detection"]["less_sensitive"]["batch"]).astype(float)
    some = proteins.columns[proteins.isna().mean().between(0.1, 0.4)][:3]
    assert little_mcar_test(proteins[some].assign(weak=weak))[2] < 1e-6


def test_the_less_sensitive_run_is_found(cohort: Any, proteins: pd.DataFrame, truth: Any) -> None:
    planted = truth["below_detection"]
    run = cohort.samples["protein"]["batch"]
    rate = proteins.isna().groupby(run).mean().mean(axis=1)
    assert rate.idxmax() == planted["less_sensitive"]["batch"]
    lowest = proteins.min(axis=1).groupby(run).min()
    others = lowest.drop(rate.idxmax())
    assert lowest[rate.idxmax()] - others.mean() == pytest.approx(planted["less_sensitive"]["log2_lost"], abs=0.05)
    assert others.min() == pytest.approx(planted["log2_limit"]["protein"], abs=0.01)
    assert proteins.isna().to_numpy().mean() == pytest.approx(planted["missing_share"]["protein"], abs=1e-3)


def test_censored_regression_undoes_what_the_run_did(cohort: Any, proteins: pd.DataFrame, truth: Any) -> None:
    """Runs shift each protein at random, by 0 on average: what the observed means add is the detection limit's work."""
    weak = truth["below_detection"]["less_sensitive"]["batch"]
    samples = cohort.samples["protein"]
    in_weak = (samples["batch"] == weak).astype(float).rename("weak")
    limit = np.log2(samples["detection_limit"])
    often_lost = proteins.columns[proteins[in_weak == 1].isna().mean().between(0.2, 0.8)]
    naive, censored = [], []
    for name in often_lost:
        y = proteins[name]
        naive.append(y[in_weak == 1].mean() - y[in_weak == 0].mean())
        censored.append(censored_regression(y, in_weak.to_frame(), limit).coefficients["weak"])
    # Shifts of 0.16 · √(4/3) per protein: the mean over about 100 proteins has a standard error of 0.02.
    assert len(often_lost) > 40
    assert np.mean(naive) > 0.2
    assert abs(np.mean(censored)) < 0.1


# ---------------------------------------------------------------- errors

R = np.random.default_rng(0)
X = correlated(12, 2, 0)
GAPPED = np.where(np.arange(24).reshape(12, 2) % 7 == 0, np.nan, X)
Y = np.array([20.0, 21.0, 22.0, np.nan])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: amputate(GAPPED, "MCAR", 0.1, rng=R), "missing value"),
        (lambda: amputate(X, "mcar", 0.1, rng=R), "'MCAR', 'MAR' or 'MNAR'"),
        (lambda: amputate(X, "MCAR", 1.0, rng=R), "strictly between"),
        (lambda: amputate(X, "MCAR", 0.1, rng=0), "Generator"),
        (lambda: amputate(X, "MAR", 0.1, rng=R), "MAR needs a driver"),
        (lambda: amputate(X, "MNAR", 0.1, rng=R, driver=np.arange(12.0)), "driver decides in MAR only"),
        (lambda: amputate(X, "MAR", 0.1, rng=R, driver=np.ones(12)), "driver is 1 in every sample"),
        (lambda: amputate(X, "MAR", 0.1, rng=R, driver=np.arange(11.0)), "11 numbers for 12 samples"),
        (
            lambda: amputate(
                pd.DataFrame(X, index=list("abcdefghijkl")),
                "MAR",
                0.1,
                rng=R,
                driver=pd.Series(np.arange(12.0), index=list("lbcdefghijka")),
            ),
            "sample 0 is 'a' in x and 'l' in driver",
        ),
        (lambda: little_mcar_test(X), "no gap"),
        (lambda: little_mcar_test(pd.DataFrame({"a": [1.0, 2.0], "b": [np.nan] * 2})), "column 'b' has no value"),
        (lambda: little_mcar_test(np.array([[1.0, np.nan], [1.0, 2.0], [1.0, 3.0]])), "column 0 has one value only"),
        (
            lambda: little_mcar_test(pd.DataFrame({"flat": [1.0, 1.0, 1.0], "b": [np.nan, 2.0, 3.0]})),
            "column 'flat' has one value only",
        ),
        (lambda: little_mcar_test(np.vstack([X, [[np.nan, np.nan]]])), "one pattern only"),
        (lambda: little_mcar_test(np.column_stack([GAPPED, 2 * X[:, 0]])), "cannot be estimated"),
        (
            lambda: normal_moments(pd.DataFrame({"flat": [1.0, 1.0], "b": [1.0, 2.0]})),
            "column 'flat' has one value only",
        ),
        (lambda: normal_moments(pd.DataFrame({"a": [1.0, 2.0], "b": [np.nan] * 2})), "column 'b' has no value at all"),
        (lambda: impute_knn(GAPPED, k=0), "k must be"),
        (lambda: draw_regression(X, Y, rng=R), "4 numbers for 12 samples"),
        (lambda: draw_regression(X[:3], [1.0, 2.0, 3.0], rng=R), "3 samples are too few for 2 predictors"),
        (lambda: draw_regression(np.column_stack([X, X.sum(axis=1)]), X[:, 0], rng=R), "predictor 2 is constant or"),
        (
            lambda: draw_regression(pd.DataFrame({"a": X[:, 0], "flat": 0.1}), X[:, 1], rng=R),
            "predictor 'flat' is constant or",
        ),
        (lambda: draw_regression(X, np.where(X[:, 0] > 20, np.nan, 1.0), rng=R), "is missing"),
        (lambda: mice(GAPPED, m=0, n_iterations=1, rng=R), "m must be"),
        (lambda: mice(GAPPED, m=1, n_iterations=0, rng=R), "n_iterations must be"),
        (lambda: mice(GAPPED, m=1, n_iterations=1, rng=None), "Generator"),
        (lambda: mice(GAPPED[:, :1], m=2, n_iterations=1, rng=R), "one column only"),
        (
            lambda: mice(pd.DataFrame(GAPPED[:4], columns=["a", "b"]), m=2, n_iterations=1, rng=R),
            "column 'a' has 3 values",
        ),
        (
            lambda: mice(np.column_stack([GAPPED, np.ones(12)]), m=2, n_iterations=1, rng=R),
            "column 0 on the others: predictor 2 is",
        ),
        (
            lambda: mice(pd.DataFrame(GAPPED, columns=["a", "b"]).assign(flat=1.0), m=2, n_iterations=1, rng=R),
            "column 'a' on the others: predictor 'flat' is constant or",
        ),
        (lambda: pool_rubin([1.0], [1.0]), "1 estimate says nothing"),
        (lambda: pool_rubin([1.0, 2.0], [1.0]), "1 numbers for 2 samples"),
        (lambda: pool_rubin([1.0, 2.0], [1.0, 0.0]), "variance of imputation 1 is 0"),
        (lambda: pool_rubin([1.0, 2.0], [1.0, 1.0], df_complete=0), "df_complete"),
        (lambda: pool_rubin([1.0, np.nan], [1.0, 1.0]), "missing"),
        (lambda: delta_sensitivity([Y[:3]], [True] * 3, [True] * 3, [0]), "at least 2 imputations"),
        (
            lambda: delta_sensitivity([X[:, 0]] * 2, np.ones(12), np.arange(12) < 5, [0.0]),
            "imputed must be True or False; sample 0 has 1",
        ),
        (
            lambda: delta_sensitivity(
                [pd.Series(X[:2, 0], index=["P1", "P2"])] * 2, pd.Series([True, True], index=["P2", "P1"]), [], [0.0]
            ),
            "sample 0 is 'P1' in imputation 0 and 'P2' in imputed",
        ),
        (
            lambda: delta_sensitivity([X[:2, 0]] * 2, pd.Series([True, None], ["P1", "P2"]), [True, False], [0.0]),
            "imputed must be True or False; sample 'P2' has None",
        ),
        (lambda: delta_sensitivity([X[:, 0]] * 2, np.arange(12) < 5, np.arange(12) < 1, [0.0]), "at least 2 samples"),
        (lambda: delta_sensitivity([X[:, 0]] * 2, np.arange(12) < 5, np.arange(12) < 5, []), "deltas must hold"),
        (
            lambda: delta_sensitivity([X[:, 0]] * 2, np.arange(12) < 5, np.arange(12) < 5, [0.0], confidence=95),
            "confidence",
        ),
        (lambda: tipping_point(pd.DataFrame({"delta": [], "estimate": [], "holds": []})), "no δ was tried"),
        (lambda: tipping_point(pd.DataFrame({"delta": [1.0]})), "lacks the columns estimate, holds"),
        (lambda: inverse_probability_mean(X[:, 0], X[:, 1:]), "no gap"),
        (lambda: inverse_probability_mean(Y, X[:4] * [0, 1]), "constant or a combination"),
        (
            lambda: inverse_probability_mean(Y, pd.DataFrame({"a": X[:4, 0], "twice": 2 * X[:4, 0]})),
            "covariate 'twice' is constant or a combination",
        ),
        (
            lambda: inverse_probability_mean(Y, pd.DataFrame({"age": [40.0, 60.0, 80.0, 50.0], "run": [0.0, 0, 0, 1]})),
            "covariate 'run' alone tells without error who is observed",
        ),
        (
            lambda: inverse_probability_mean(
                [1.0, 2.0, np.nan, np.nan, 3.0], [[0.0, 0], [2, 3], [0, 1], [2, 4], [3, 3.5]]
            ),
            "the covariates together tell without error who is observed",
        ),
        (lambda: inverse_probability_mean([np.nan, np.nan, 1.0], [[0.0], [1.0], [2.0]]), "1 observed values"),
        (lambda: inverse_probability_mean(Y, GAPPED[:4]), "covariates has"),
        (lambda: censored_mean(pd.Series([18.0, 20.0], index=["P1", "P2"]), 19.0), "sample 'P1' is 18, below its"),
        (lambda: censored_mean([20.0, 20.0, np.nan], 19.0), "two different values"),
        (lambda: censored_mean(Y, np.nan), "limit"),
        (lambda: censored_mean(Y, [19.0, 19.0, 19.0]), "3 numbers for 4 samples"),
        (lambda: censored_mean(Y, [19.0, 19.0, 19.0, np.nan]), "limit of sample 3 is missing"),
        (lambda: censored_regression(Y, X, 19.0), "x has 12 samples and y has 4"),
        (lambda: censored_regression(Y, np.ones((4, 1)), 19.0), "constant or a combination"),
        (
            lambda: censored_regression(Y, pd.DataFrame({"dose": X[:4, 0], "run": [0.0, 0.0, 0.0, 1.0]}), 19.0),
            "predictor 'run' is constant or a combination of those before it among the observed",
        ),
        (lambda: censored_regression(Y, [[0.0], [1.0], [2.0], [3.0]], 19.0), "exactly"),
        (lambda: impute_left_censored(pd.DataFrame({"a": Y, "b": [np.nan] * 4}), 19.0, rng=R), "column 'b': at least"),
        (lambda: impute_left_censored(pd.DataFrame({"a": Y}), 20.5, rng=R), "column 'a': y of sample 0 is 20"),
        (
            lambda: impute_left_censored(pd.DataFrame({"a": Y}, index=list("wxyz")), [19.0, 19, 19, np.nan], rng=R),
            "column 'a': limit of sample 'z' is missing",
        ),
        (lambda: impute_left_censored(Y[:, None], 19.0, rng=1), "Generator"),
        (lambda: compare_treatments(n_repeats=1, rng=R), "n_repeats"),
        (lambda: compare_treatments(n_repeats=2, rng=R, rate=0.0), "rate"),
    ],
)
def test_errors_say_what_is_wrong_and_where(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
