"""Hidden tests of unit 07: inputs come from a seed that only the instructor's key knows."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from course.checking import drawn, points
from reference_impl import missing as reference

# Solving the same equations by another route costs 1e-10 or so; the rest is margin.
ROUNDING = 1e-6
# A maximum is flat: a search that compares likelihoods finds its place to about 1e-6 standard deviations.
SEARCH = 1e-4


def as_table(x):
    """A DataFrame with labels of patients and proteins."""
    rows = [f"P{i + 1:03d}" for i in range(len(x))]
    return pd.DataFrame(x, index=rows, columns=[f"protein{j}" for j in range(np.shape(x)[1])])


@drawn
def intensities(rng, n=40, p=3):
    """Correlated log intensities; columns differ in level."""
    shared = rng.normal(size=(n, 1))
    return rng.uniform(17, 23, size=p) + shared * rng.uniform(0.4, 1.2, size=p) + rng.normal(size=(n, p))


# ---------------------------------------------------------------- amputate


@points(2)
def test_chance_alone(amputate, draw):
    """In MCAR a value is lost where its uniform number lies below the rate: one number per value, drawn at once.

    MCAR 时，均匀随机数小于给定比例的数值丢失：一次抽取，每个数值一个随机数。"""
    x, seed, rate = draw.intensities(), int(draw.rng.integers(2**32)), draw.rng.uniform(0.1, 0.6)
    lost = np.random.default_rng(seed).random(x.shape) < rate
    gapped = np.asarray(amputate(x, "MCAR", rate, rng=np.random.default_rng(seed)))
    assert_array_equal(gapped, np.where(lost, np.nan, x))


@points(3)
def test_the_driver_decides(amputate, draw):
    """In MAR the chance to lose values belongs to the sample: logistic in the standardised driver, the rate on average.

    MAR 时，丢失的概率属于样本：它是标准化驱动变量的 logistic 函数，平均值等于给定比例。"""
    x, seed = draw.intensities(300, 6), int(draw.rng.integers(2**32))
    few = (draw.rng.permutation(300) < 60).astype(float)
    for driver in (draw.rng.gamma(2.0, 3.0, size=300), few):
        rate = draw.rng.uniform(0.15, 0.5)
        gapped = np.asarray(amputate(x, "MAR", rate, rng=np.random.default_rng(seed), driver=driver))
        assert_array_equal(gapped, reference.amputate(x, "MAR", rate, rng=np.random.default_rng(seed), driver=driver))


@points(1)
def test_one_limit_for_all_columns(amputate, draw):
    """In MNAR everything below one quantile of the whole table is lost, so columns of low level lose more.

    MNAR 时，低于整张表某一分位数的数值全部丢失，因此水平低的列丢得更多。"""
    # At rate 0.25 the limit of 41 values is one of them, which is not below it.
    for x, rate in [(draw.intensities(), 0.15), (draw.intensities(), 0.4), (draw.intensities(41, 1), 0.25)]:
        gapped = np.asarray(amputate(x, "MNAR", rate, rng=draw.rng))
        assert_array_equal(gapped, np.where(x < np.quantile(x, rate), np.nan, x))


@points(1)
def test_labels_stay_and_the_table_too(amputate, draw):
    """A DataFrame comes back with its labels, and the table that came in has no gaps afterwards.

    输入为 DataFrame 时保留标签；传入的表在调用之后仍没有缺失。"""
    x = as_table(draw.intensities(12, 2))
    before = x.copy()
    gapped = amputate(x, "MCAR", 0.5, rng=draw.rng)
    pd.testing.assert_frame_equal(x, before)
    assert isinstance(gapped, pd.DataFrame)
    assert gapped.index.equals(x.index)
    assert gapped.columns.equals(x.columns)


@points(1)
def test_what_makes_no_gaps_is_refused(amputate, draw):
    """A table with gaps, an unknown mechanism, a rate of 0 or 1, a seed as generator, MAR without driver: ValueError.

    表中已有缺失、机制未知、比例为 0 或 1、用种子代替生成器、MAR 没有驱动变量：抛出 ValueError。"""
    x = draw.intensities(10, 2)
    holed = np.where(np.arange(20).reshape(10, 2) == 7, np.nan, x)
    calls = [(holed, "MCAR", 0.3, draw.rng), (x, "random", 0.3, draw.rng), (x, "MCAR", 0.0, draw.rng)]
    calls += [(x, "MNAR", 1.0, draw.rng), (x, "MCAR", 0.3, 5), (x, "MAR", 0.3, draw.rng)]
    for table, mechanism, rate, rng in calls:
        with pytest.raises(ValueError, match=r"."):
            amputate(table, mechanism, rate, rng=rng)


# ---------------------------------------------------------------- less_sensitive


@points(2)
def test_the_run_that_saw_less(less_sensitive, truth):
    """The run is the one whose instrument was less sensitive.

    所指的一批，正是仪器较不灵敏的那一批。"""
    assert str(less_sensitive[0]) == truth["below_detection"]["less_sensitive"]["batch"]


@points(2)
def test_how_much_it_lost(less_sensitive, truth):
    """The distance of the detection limits, on the log₂ scale.

    两个检测限在 log₂ 尺度上的距离。"""
    # The smallest of ten thousand values lies within some hundredths of the limit.
    assert abs(float(less_sensitive[1]) - truth["below_detection"]["less_sensitive"]["log2_lost"]) < 0.15


@points(1)
def test_limits_agree_with_the_manual(less_sensitive, cohort):
    """Run and distance agree with the detection limits that the laboratory recorded for each sample.

    批次与距离，同实验室为每个样本登记的检测限一致。"""
    samples = cohort.samples["protein"]
    limits = np.log2(samples.groupby("batch")["detection_limit"].first())
    expected = limits[str(less_sensitive[0])] - limits.drop(str(less_sensitive[0])).mean()
    assert abs(float(less_sensitive[1]) - expected) < 0.15


# ---------------------------------------------------------------- little_mcar_test


@drawn
def with_gaps(rng, n=60, p=3, rate=0.15):
    """Correlated intensities of which every sample keeps at least one value."""
    x = intensities(rng, n, p)
    lost = rng.random((n, p)) < rate
    lost[np.arange(n), rng.integers(p, size=n)] = False
    lost[0] = [False, True, True, *[False] * (p - 3)]
    return np.where(lost, np.nan, x)


@points(3)
def test_statistic_of_all_patterns(little_mcar_test, draw):
    """The statistic sums over the patterns, each weighted by its number of samples, in units of the covariance.

    统计量对各缺失模式求和，每种模式以其样本数加权，并以协方差为尺度。"""
    for p in (3, 4):
        x = draw.with_gaps(70, p)
        # Stopping EM a little earlier or later changes the sixth digit.
        assert_allclose(little_mcar_test(x)[0], reference.little_mcar_test(x)[0], rtol=1e-5)


@points(1)
def test_freedom_and_tail(little_mcar_test, draw):
    """Degrees of freedom are the observed columns over all patterns minus the columns; p is the upper tail.

    自由度是各模式已观测列数之和减去列数；p 是上尾概率。"""
    x = draw.with_gaps(50, 4, 0.08)
    _, df, p = little_mcar_test(x)
    expected = reference.little_mcar_test(x)
    assert df == expected[1]
    assert_allclose(p, expected[2], rtol=1e-3, atol=1e-12)


@points(2)
def test_samples_without_values_belong_to_no_pattern(little_mcar_test, draw):
    """Samples of which nothing was measured change neither the statistic nor the degrees of freedom.

    什么都没测到的样本，既不改变统计量，也不改变自由度。"""
    x = draw.with_gaps(50, 3)
    padded = np.vstack([x, np.full((3, 3), np.nan)])
    assert_allclose(little_mcar_test(padded), reference.little_mcar_test(x), rtol=1e-5)


@points(1)
def test_nothing_to_test_is_refused(little_mcar_test, draw):
    """A table without gaps, or with an infinite value, is refused with a ValueError.

    没有缺失的表，以及含有无穷值的表，以 ValueError 拒绝。"""
    x = draw.intensities()
    with pytest.raises(ValueError, match=r"."):
        little_mcar_test(x)
    x[3, 1], x[4, 0] = np.inf, np.nan
    with pytest.raises(ValueError, match=r"."):
        little_mcar_test(x)


# ---------------------------------------------------------------- draw_regression


@drawn
def regression_data(rng, n=30, q=3):
    """Correlated predictors and an outcome with noise."""
    x = intensities(rng, n, q) - 20
    return x, 1.0 + x @ rng.uniform(-2, 2, size=q) + rng.uniform(0.5, 2.0) * rng.normal(size=n)


@points(3)
def test_drawn_coefficients(draw_regression, draw):
    """The coefficients are those of least squares plus σ times the lower Cholesky factor of (XᵀX)⁻¹ times z.

    系数等于最小二乘系数，加上 σ 乘 (XᵀX)⁻¹ 的下三角 Cholesky 因子乘 z。"""
    x, y = draw.regression_data()
    seed = int(draw.rng.integers(2**32))
    found, _ = draw_regression(x, y, rng=np.random.default_rng(seed))
    expected, _ = reference.draw_regression(x, y, rng=np.random.default_rng(seed))
    assert_allclose(found, expected, rtol=ROUNDING, atol=1e-7)


@points(2)
def test_drawn_spread(draw_regression, draw):
    """σ² is the residual sum of squares over a chi-square number with n − q degrees of freedom.

    σ² 是残差平方和除以一个自由度为 n − q 的卡方随机数。"""
    x, y = draw.regression_data(12, 4)
    seed = int(draw.rng.integers(2**32))
    _, found = draw_regression(x, y, rng=np.random.default_rng(seed))
    _, expected = reference.draw_regression(x, y, rng=np.random.default_rng(seed))
    assert_allclose(found, expected, rtol=ROUNDING)


@points(1)
def test_labelled_input_is_as_good(draw_regression, draw):
    """A DataFrame and a Series give the same draw as arrays, and stay as they were.

    输入 DataFrame 与 Series 时，结果与数组相同，且传入的对象不变。"""
    x, y = draw.regression_data(25, 2)
    table, outcome = as_table(x), pd.Series(y, index=as_table(x).index)
    seed = int(draw.rng.integers(2**32))
    found = draw_regression(table, outcome, rng=np.random.default_rng(seed))
    expected = reference.draw_regression(x, y, rng=np.random.default_rng(seed))
    assert_allclose(np.append(found[0], found[1]), np.append(*expected), rtol=ROUNDING, atol=1e-7)
    assert_array_equal(table.to_numpy(), x)


@points(1)
def test_undetermined_regressions_are_refused(draw_regression, draw):
    """Gaps, too few samples, collinear predictors, outcomes of another length and a seed for a generator: ValueError.

    有缺失、样本太少、自变量共线、结局长度不符、用种子代替生成器：抛出 ValueError。"""
    x, y = draw.regression_data(20, 2)
    holed, doubled = x.copy(), np.column_stack([x, 2 * x[:, 0]])
    holed[4, 1] = np.nan
    for predictors, outcome in [
        (holed, y),
        (doubled, y),
        (x[:3], y[:3]),
        (x, y[:-1]),
        (x, np.where(y > y.min(), y, np.nan)),
    ]:
        with pytest.raises(ValueError, match=r"."):
            draw_regression(predictors, outcome, rng=draw.rng)
    with pytest.raises(ValueError, match=r"."):
        draw_regression(x, y, rng=7)


# ---------------------------------------------------------------- pool_rubin


@drawn
def results_of_imputations(rng, m=8):
    """Estimates that disagree about as much as their standard errors."""
    return rng.normal(5, 0.3, size=m), rng.uniform(0.02, 0.2, size=m)


@points(2)
def test_estimate_and_variance(pool_rubin, draw):
    """The estimate is the mean; the variance adds to the mean variance (1 + 1/m) times that between the estimates.

    合并估计值取平均；总方差等于平均方差，加上 (1 + 1/m) 乘以估计值之间的方差。"""
    for m in (2, 3, 20):
        estimates, variances = draw.results_of_imputations(m)
        found, expected = pool_rubin(estimates, variances), reference.pool_rubin(estimates, variances)
        assert_allclose([found.estimate, found.variance], expected[:2], rtol=ROUNDING)


@points(2)
def test_degrees_of_freedom(pool_rubin, draw):
    """Degrees of freedom follow Barnard and Rubin, and with infinite complete-data ones Rubin's first rule.

    自由度按 Barnard–Rubin 计算；完整数据自由度为无穷时，按 Rubin 的旧规则。"""
    estimates, variances = draw.results_of_imputations()
    for df_complete in (7.0, 150.0, np.inf):
        found = pool_rubin(estimates, variances, df_complete=df_complete)
        assert_allclose(found.df, reference.pool_rubin(estimates, variances, df_complete=df_complete).df, rtol=ROUNDING)


@points(2)
def test_fraction_of_missing_information(pool_rubin, draw):
    """The fraction of missing information counts that the variance between m tables is itself uncertain.

    缺失信息比例计入了“由 m 张表得出的表间方差本身并不确定”。"""
    estimates, variances = draw.results_of_imputations(5)
    for df_complete in (12.0, np.inf):
        found = pool_rubin(estimates, variances, df_complete=df_complete)
        assert_allclose(
            found.fmi, reference.pool_rubin(estimates, variances, df_complete=df_complete).fmi, rtol=ROUNDING
        )


@points(1)
def test_identical_estimates(pool_rubin, draw):
    """If all estimates agree, the variance is the mean variance and the degrees of freedom are finite.

    若所有估计值相同，总方差就是平均方差，自由度仍为有限值。"""
    estimates, variances = np.full(6, draw.rng.integers(1, 9)), draw.rng.uniform(0.1, 1, size=6)
    for df_complete in (30.0, np.inf):
        found = pool_rubin(estimates, variances, df_complete=df_complete)
        assert_allclose(found, reference.pool_rubin(estimates, variances, df_complete=df_complete), rtol=ROUNDING)


@points(1)
def test_one_table_cannot_be_pooled(pool_rubin, draw):
    """One estimate, a variance that is not positive, and lists of different length are refused with a ValueError.

    只有一个估计值、方差不为正、两个列表长度不同：以 ValueError 拒绝。"""
    value = draw.rng.normal()
    for estimates, variances in [([value], [1.0]), ([value, 1.0], [1.0, 0.0]), ([value, 1.0, 2.0], [1.0, 1.0])]:
        with pytest.raises(ValueError, match=r"."):
            pool_rubin(estimates, variances)


# ---------------------------------------------------------------- inverse_probability_mean


@drawn
def seen_by_covariates(rng, n=120):
    """A variable, two covariates that move it, and gaps that both decide."""
    x = np.column_stack([rng.normal(size=n), rng.random(n) < 0.5])
    y = 20 + x @ [1.0, 0.7] + rng.normal(size=n)
    y[rng.random(n) < 1 / (1 + np.exp(0.7 - 0.9 * x[:, 0] - 0.5 * x[:, 1]))] = np.nan
    return y, x


@points(2)
def test_weighted_mean(inverse_probability_mean, draw):
    """The mean weights each observed value by one over its chance, divided by the sum of the weights.

    均值以“概率的倒数”为每个观测值加权，再除以权重之和。"""
    y, x = draw.seen_by_covariates()
    assert_allclose(inverse_probability_mean(y, x)[0], reference.inverse_probability_mean(y, x)[0], rtol=ROUNDING)


@points(3)
def test_sandwich(inverse_probability_mean, draw):
    """The standard error sums what every sample contributes, directly and through the estimated weights.

    标准误汇总每个样本的贡献，包括直接的，以及通过估计权重的。"""
    for n in (90, 200):
        y, x = draw.seen_by_covariates(n)
        assert_allclose(inverse_probability_mean(y, x)[1], reference.inverse_probability_mean(y, x)[1], rtol=ROUNDING)


@points(2)
def test_unit_of_the_variable(inverse_probability_mean, draw):
    """In another unit mean and standard error are the same in that unit; pandas objects serve as well as arrays.

    换一个单位，均值与标准误也只是换单位；pandas 对象与数组同样可用。"""
    y, x = draw.seen_by_covariates(100)
    table = as_table(x)
    moved = pd.Series(10 * y - 300, index=table.index)
    mean, se = reference.inverse_probability_mean(y, x)
    assert_allclose(inverse_probability_mean(moved, table), (10 * mean - 300, 10 * se), rtol=ROUNDING)


@points(1)
def test_weights_without_a_sense_are_refused(inverse_probability_mean, draw):
    """No gaps, covariates with gaps, samples that do not match: a ValueError.

    没有缺失、协变量有缺失、样本对不上：抛出 ValueError。"""
    y, x = draw.seen_by_covariates(40)
    holed, table = x.copy(), as_table(x)
    holed[2, 0] = np.nan
    for values, covariates in [
        (np.nan_to_num(y), x),
        (y, holed),
        (y[:-1], x),
        (pd.Series(y, table.index[::-1]), table),
    ]:
        with pytest.raises(ValueError, match=r"."):
            inverse_probability_mean(values, covariates)


# ---------------------------------------------------------------- censored_mean


@drawn
def below_one_limit(rng, n=60, share=0.3):
    """Normal values, those below a limit lost."""
    y = rng.normal(rng.uniform(18, 24), rng.uniform(0.5, 2.0), size=n)
    limit = float(np.quantile(y, share))
    return np.where(y < limit, np.nan, y), limit


@points(2)
def test_one_limit(censored_mean, draw):
    """Mean and sd are those at which observed values and lost ones together are most likely.

    均值与标准差，使观测值与丢失值合起来的似然最大。"""
    for share in (0.15, 0.6):
        y, limit = draw.below_one_limit(60, share)
        assert_allclose(censored_mean(y, limit), reference.censored_mean(y, limit), rtol=SEARCH)


@points(2)
def test_a_limit_for_each_sample(censored_mean, draw):
    """If instruments differ, each lost value lies below the limit of its own instrument.

    仪器不同时，每个丢失的值都低于它自己那台仪器的检测限。"""
    y = draw.rng.normal(20, 1, size=80)
    limit = draw.rng.permutation(np.repeat([19.0, 20.4], 40))
    y[y < limit] = np.nan
    samples = [f"P{i:03d}" for i in range(80)]
    found = censored_mean(pd.Series(y, samples), pd.Series(limit, samples))
    assert_allclose(found, reference.censored_mean(y, limit), rtol=SEARCH)


@points(2)
def test_nothing_lost(censored_mean, draw):
    """If nothing was lost, the maximum is the plain mean and the standard deviation with divisor n.

    若没有丢失，最大值处就是普通均值与以 n 为除数的标准差。"""
    y = draw.rng.normal(21, 1.5, size=25)
    assert_allclose(censored_mean(y, float(y.min() - 1)), (y.mean(), y.std()), rtol=SEARCH)


@points(1)
def test_values_below_their_limit_are_refused(censored_mean, draw):
    """An observed value below its limit contradicts the limit, and one value has no spread: a ValueError.

    观测值低于其检测限，自相矛盾；只有一个观测值，没有离散程度可言：抛出 ValueError。"""
    y, limit = draw.below_one_limit()
    for values, bound in [(y, limit + 5), (np.array([20.0, np.nan]), 19.0)]:
        with pytest.raises(ValueError, match=r"."):
            censored_mean(values, bound)


# ---------------------------------------------------------------- delta_sensitivity


@drawn
def completed(rng, n=30, m=5):
    """Completed versions of a variable that is higher in cases, who was imputed, and who is a case."""
    case, imputed = rng.permutation(np.arange(n) < 11), rng.permutation(np.arange(n) < 9)
    imputed[np.flatnonzero(case)[:3]] = True
    measured = rng.normal(20, 1, size=n) + 1.2 * case
    return [measured + imputed * rng.normal(0, 0.8, size=n) for _ in range(m)], imputed, case


@points(2)
def test_estimates_move_with_the_shift(delta_sensitivity, draw):
    """For each δ the estimate is the mean, over the versions, of the difference between cases and controls.

    对每个 δ，估计值是各版本中病例与对照之差的平均。"""
    versions, imputed, case = draw.completed()
    deltas = [0.0, -1.0, 2.5]
    found = delta_sensitivity(versions, imputed, case, deltas)
    expected = reference.delta_sensitivity(versions, imputed, case, deltas)
    assert_allclose(found["estimate"], expected["estimate"], rtol=ROUNDING, atol=1e-9)


@points(3)
def test_pooled_intervals(delta_sensitivity, draw):
    """The interval is that of the pooled variance and its degrees of freedom, at the confidence asked for.

    区间由合并方差及其自由度给出，并符合所要求的置信度。"""
    versions, imputed, case = draw.completed(24, 3)
    for confidence in (0.95, 0.8):
        found = delta_sensitivity(versions, imputed, case, [-2.0, 1.0], confidence=confidence)
        expected = reference.delta_sensitivity(versions, imputed, case, [-2.0, 1.0], confidence=confidence)
        assert_allclose(found[["lower", "upper"]], expected[["lower", "upper"]], rtol=ROUNDING, atol=1e-9)


@points(1)
def test_when_the_conclusion_holds(delta_sensitivity, draw):
    """The conclusion holds while the interval contains no 0, on whichever side it lies.

    只要区间不含 0，结论就成立，不论区间在 0 的哪一侧。"""
    versions, imputed, case = draw.completed(40, 4)
    versions = [values + 3 * case for values in versions]  # the difference is far from 0, above or below
    deltas = np.linspace(-9.0, 3.0, 25)
    for first_group in (case, ~case):
        found = delta_sensitivity(versions, imputed & case, first_group, deltas)
        expected = reference.delta_sensitivity(versions, imputed & case, first_group, deltas)
        assert [bool(holds) for holds in found["holds"]] == expected["holds"].tolist()


@points(1)
def test_masks_and_versions_must_fit(delta_sensitivity, draw):
    """One version, masks that are not True or False, a single case or a confidence of 95: a ValueError.

    只有一个版本、掩码不是 True/False、只有一个病例、置信度写成 95：抛出 ValueError。"""
    versions, imputed, case = draw.completed()
    lone = np.arange(30) == 4
    for tables, shifted, group, confidence in [
        (versions[:1], imputed, case, 0.95),
        (versions, imputed.astype(float), case, 0.95),
        (versions, imputed, lone, 0.95),
        (versions, imputed, case, 95),
    ]:
        with pytest.raises(ValueError, match=r"."):
            delta_sensitivity(tables, shifted, group, [0.0], confidence=confidence)
