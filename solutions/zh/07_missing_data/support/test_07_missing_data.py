"""Visible checks of unit 07: what a learner sees and runs. Copied into the exercise's folder by the build."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from course.checking import points

# The examples in the task are given to three or four digits.
GIVEN_DIGITS = 2e-3

# ---------------------------------------------------------------- amputate


@points(1)
def test_values_below_the_limit_are_lost(amputate):
    """With MNAR the lower half of all values of the table is lost, whatever its column.

    MNAR 时，整张表中较低的那一半数值丢失，不论在哪一列。"""
    gapped = np.asarray(amputate(np.array([[1.0, 5.0], [2.0, 6.0]]), "MNAR", 0.5, rng=np.random.default_rng(0)))
    assert np.isnan(gapped).tolist() == [[True, False], [True, False]]
    assert gapped[:, 1].tolist() == [5.0, 6.0]


@points(1)
def test_about_a_third_is_lost_by_chance(amputate):
    """With MCAR and a rate of 0.3 about three values in ten are lost, and the others stay as they were.

    MCAR、比例 0.3 时，大约十分之三的数值丢失，其余保持原样。"""
    x = np.arange(4000.0).reshape(1000, 4)
    gapped = np.asarray(amputate(x, "MCAR", 0.3, rng=np.random.default_rng(1)))
    assert abs(np.isnan(gapped).mean() - 0.3) < 0.03
    kept = ~np.isnan(gapped)
    assert (gapped[kept] == x[kept]).all()


# ---------------------------------------------------------------- less_sensitive


@points(1)
def test_one_of_the_runs_is_named(less_sensitive, cohort):
    """The first of the two is the name of one of the protein runs.

    二元组的第一项是某一批蛋白质测量的名称。"""
    name, _ = less_sensitive
    assert str(name) in set(cohort.samples["protein"]["batch"])


@points(1)
def test_the_loss_is_a_positive_number(less_sensitive):
    """The second of the two is a positive number, at most a few log₂ units.

    二元组的第二项是正数，至多几个 log₂ 单位。"""
    _, lost = less_sensitive
    assert 0 < float(lost) < 10


# ---------------------------------------------------------------- little_mcar_test


@points(1)
def test_four_complete_and_two_without_the_second(little_mcar_test):
    """The example of the task: statistic 5.383, 1 degree of freedom, p = 0.020.

    题目中的例子：统计量 5.383，自由度 1，p = 0.020。"""
    nan = np.nan
    x = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 4.0], [4.0, 3.0], [8.0, nan], [9.0, nan]])
    statistic, df, p = little_mcar_test(x)
    assert_allclose([statistic, df, p], [5.383, 1, 0.0203], rtol=GIVEN_DIGITS)


@points(1)
def test_degrees_of_freedom_count_observed_columns(little_mcar_test):
    """Patterns with 3, 2 and 1 observed columns of 3 give 3 + 2 + 1 − 3 degrees of freedom.

    三列中分别观测到 3、2、1 列的三种模式，自由度为 3 + 2 + 1 − 3。"""
    x = np.random.default_rng(2).normal(size=(30, 3))
    x[:6, 2] = np.nan
    x[6:10, 1:] = np.nan
    assert little_mcar_test(x)[1] == 3


# ---------------------------------------------------------------- draw_regression


@points(1)
def test_draws_lie_about_the_truth(draw_regression):
    """With 2,000 samples of y = 3 + 2 x and noise of sd 0.5 every draw is near (3, 2) and 0.5, the intercept first.

    2000 个样本、y = 3 + 2 x、噪声标准差 0.5 时，每次抽取都接近 (3, 2) 与 0.5，截距在前。"""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2000, 1))
    coefficients, sd = draw_regression(x, 3 + 2 * x[:, 0] + 0.5 * rng.normal(size=2000), rng=rng)
    assert_allclose(coefficients, [3.0, 2.0], atol=0.1)
    assert abs(sd - 0.5) < 0.1


@points(1)
def test_two_draws_differ(draw_regression):
    """Two draws from the same data with other random numbers differ, in the coefficients and in the sd.

    用不同的随机数由同样的数据抽两次，系数与标准差都不相同。"""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(20, 2))
    y = x[:, 0] + rng.normal(size=20)
    first = draw_regression(x, y, rng=np.random.default_rng(5))
    second = draw_regression(x, y, rng=np.random.default_rng(6))
    assert (np.asarray(first[0]) != np.asarray(second[0])).all()
    assert first[1] != second[1]


# ---------------------------------------------------------------- pool_rubin


@points(1)
def test_estimate_and_total_variance(pool_rubin):
    """Estimates 1, 2, 3 with variances 0.5 give the estimate 2 and the variance 0.5 + (1 + 1/3) · 1.

    估计值 1、2、3，方差均为 0.5：合并的估计值为 2，方差为 0.5 + (1 + 1/3) · 1。"""
    pooled = pool_rubin([1.0, 2.0, 3.0], [0.5, 0.5, 0.5], df_complete=20)
    assert_allclose([pooled.estimate, pooled.variance], [2.0, 11 / 6], rtol=1e-9)


@points(1)
def test_four_named_numbers(pool_rubin):
    """The result has the names estimate, variance, df, fmi; the fraction of missing information lies between 0 and 1.

    结果具有 estimate、variance、df、fmi 四个名称；缺失信息比例介于 0 与 1 之间。"""
    pooled = pool_rubin([1.0, 1.1, 0.9, 1.2], [0.5, 0.4, 0.5, 0.4], df_complete=50)
    assert 0 < pooled.fmi < 1
    assert 0 < pooled.df < 50


# ---------------------------------------------------------------- inverse_probability_mean


def healthy_and_ill():
    """Of 3 healthy 2 were observed, of 5 ill 3."""
    ill = np.array([[0.0], [0.0], [0.0], [1.0], [1.0], [1.0], [1.0], [1.0]])
    return np.array([1.0, 1.0, np.nan, 1.0, 5.0, np.nan, np.nan, 5.0]), ill


@points(1)
def test_each_group_counts_in_full(inverse_probability_mean):
    """The mean is 3/8 of the healthy mean and 5/8 of the ill mean, however many of each were observed.

    均值由健康者均值的 3/8 与患病者均值的 5/8 组成，与各组观测到多少人无关。"""
    mean, _ = inverse_probability_mean(*healthy_and_ill())
    assert_allclose(mean, 3 / 8 * 1 + 5 / 8 * 11 / 3, rtol=1e-6)


@points(1)
def test_example_of_the_standard_error(inverse_probability_mean):
    """The standard error in the example of the task is 0.819.

    题目例子中的标准误为 0.819。"""
    _, se = inverse_probability_mean(*healthy_and_ill())
    assert_allclose(se, 0.819, rtol=GIVEN_DIGITS)


# ---------------------------------------------------------------- censored_mean


@points(1)
def test_two_of_six_below_the_limit(censored_mean):
    """20.1, 21.0, 19.6, 20.4 and two values below 19.5 give the mean 19.850 and the sd 0.766.

    20.1、21.0、19.6、20.4，另有两个低于 19.5：均值 19.850，标准差 0.766。"""
    found = censored_mean(np.array([20.1, 21.0, 19.6, 20.4, np.nan, np.nan]), 19.5)
    assert_allclose(found, [19.850, 0.766], rtol=GIVEN_DIGITS)


@points(1)
def test_mean_is_below_that_of_the_recorded(censored_mean):
    """Lost values lie low, so the mean of all is lower than the mean of what was recorded.

    丢失的值都偏低，所以全体的均值低于记录值的均值。"""
    y = pd.Series([22.0, np.nan, 20.5, 21.2, np.nan, 20.1, 21.9])
    mean, sd = censored_mean(y, 20.0)
    assert mean < y.mean()
    assert sd > 0


# ---------------------------------------------------------------- delta_sensitivity


def two_versions():
    """Two completed versions; the third sample was imputed; the first three are cases."""
    versions = [np.array([5.0, 6.0, 7.0, 1.0, 2.0, 3.0]), np.array([5.0, 6.0, 6.8, 1.0, 2.0, 3.0])]
    return versions, np.array([False, False, True, False, False, False]), np.array([True] * 3 + [False] * 3)


@points(1)
def test_columns_and_rows(delta_sensitivity):
    """The result has the five columns of the task and a row for each δ, in the order given.

    结果含题目所列的五列，每个 δ 一行，次序与给定的相同。"""
    found = delta_sensitivity(*two_versions(), [0.0, -6.0, 2.0])
    assert list(found.columns) == ["delta", "estimate", "lower", "upper", "holds"]
    assert found["delta"].tolist() == [0.0, -6.0, 2.0]


@points(1)
def test_a_large_shift_overturns_the_conclusion(delta_sensitivity):
    """In the example the conclusion holds at δ = 0 and falls at δ = −6, where the estimate is 1.967.

    例子中，δ = 0 时结论成立；δ = −6 时结论被推翻，估计值为 1.967。"""
    found = delta_sensitivity(*two_versions(), [0.0, -6.0])
    assert [bool(holds) for holds in found["holds"]] == [True, False]
    assert found["estimate"].iloc[1] == pytest.approx(6 - 0.1 / 3 - 2 - 2, abs=1e-9)
