"""Hidden tests of unit 04: inputs come from a seed that only the instructor's key knows."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from course.checking import drawn, points
from reference_impl import normalization as reference

# The same few sums and logarithms in another order; ranks and trimmings can't change, as inputs have no near-ties.
ROUNDING = 1e-8


def as_table(x):
    """A DataFrame with labels of patients and genes."""
    rows = [f"P{i + 1:03d}" for i in range(len(x))]
    return pd.DataFrame(x, index=rows, columns=[f"gene{j:03d}" for j in range(np.shape(x)[1])])


@drawn
def libraries(rng, n=5, p=60):
    """Estimated counts, not whole, of libraries of very different depth; genes over four orders of magnitude."""
    level = np.exp(rng.normal(4, 2, size=p)) * np.exp(rng.normal(scale=0.3, size=(n, p)))
    return level * np.exp(rng.normal(scale=0.8, size=(n, 1))) + 0.01


# ---------------------------------------------------------------- cpm


@points(2)
def test_share_of_the_library(cpm, draw):
    """Each value is the gene's share of its own library, in millionths.

    每个数值都是该基因在自己文库中的份额，以百万分之一为单位。"""
    counts = draw.rng.poisson(draw.libraries()).astype(float)
    assert_allclose(cpm(counts), reference.cpm(counts), rtol=ROUNDING)


@points(1)
def test_counts_are_left_alone(cpm, draw):
    """The table of counts is the same after the call as before.

    传入的计数表在调用前后保持不变。"""
    counts = as_table(draw.libraries())
    before = counts.copy()
    cpm(counts)
    pd.testing.assert_frame_equal(counts, before)


@points(1)
def test_what_is_no_count_is_refused(cpm, draw):
    """A negative count, a missing one, and a sample without any read are refused with a ValueError.

    负的计数、缺失的计数、一条读段也没有的样本，都应以 ValueError 拒绝。"""
    for bad in (-1.0, np.nan):
        counts = draw.libraries()
        counts[draw.rng.integers(5), draw.rng.integers(60)] = bad
        with pytest.raises(ValueError, match=r"."):
            cpm(counts)
    empty = draw.libraries()
    empty[draw.rng.integers(5)] = 0
    with pytest.raises(ValueError, match=r"."):
        cpm(empty)


# ---------------------------------------------------------------- tpm


@points(2)
def test_share_of_the_molecules(tpm, draw):
    """Each value is the gene's share of the molecules of its sample, in millionths.

    每个数值都是该基因在本样本分子总数中的份额，以百万分之一为单位。"""
    counts, lengths = draw.libraries(), draw.rng.integers(300, 20_000, size=60)
    assert_allclose(tpm(counts, lengths), reference.tpm(counts, lengths), rtol=ROUNDING)


@points(1)
def test_unit_of_length_cancels(tpm, draw):
    """Bases or kilobases: the result is the same.

    长度以碱基还是千碱基为单位，结果都一样。"""
    counts, lengths = draw.libraries(), draw.rng.uniform(0.5, 30, size=60)
    assert_allclose(tpm(counts, lengths), tpm(counts, 1000 * lengths), rtol=ROUNDING)


@points(2)
def test_lengths_are_matched_by_label(tpm, draw):
    """A Series of lengths is matched to the genes by its labels, whatever its order; labels come back as they were.

    长度为 Series 时按标签与基因对应，与次序无关；返回的标签与传入的一致。"""
    counts = as_table(draw.libraries())
    lengths = pd.Series(draw.rng.integers(300, 20_000, size=60), index=counts.columns)
    found = tpm(counts, lengths.iloc[draw.rng.permutation(60)])
    pd.testing.assert_frame_equal(found, reference.tpm(counts, lengths), rtol=ROUNDING)


@points(1)
def test_impossible_lengths_are_refused(tpm, draw):
    """A length of 0, a negative one, a gene without a length, and a sample without reads are refused.

    长度为 0 或为负、基因没有长度、样本没有读段，都应以 ValueError 拒绝。"""
    counts = as_table(draw.libraries())
    lengths = pd.Series(draw.rng.uniform(300, 9000, size=60), index=counts.columns)
    for bad in (0.0, -5.0, np.nan):
        with pytest.raises(ValueError, match=r"."):
            tpm(counts, lengths.where(lengths.index != "gene007", bad))
    with pytest.raises(ValueError, match=r"."):
        tpm(counts, lengths.iloc[:-1])
    counts.iloc[2] = 0.0
    with pytest.raises(ValueError, match=r"."):
        tpm(counts, lengths)


# ---------------------------------------------------------------- tmm_factors


@drawn
def changed_libraries(rng, n=6, p=150):
    """Estimated counts without ties: a third of the genes changed, strongly, some absent, one flooding a library."""
    counts = np.exp(rng.normal(5, 1.5, size=p)) * np.exp(rng.normal(scale=0.2, size=(n, p)))
    counts[: n // 2, : p // 3] *= np.exp(rng.normal(1.0, 1.0, size=p // 3))
    counts[rng.random(counts.shape) < 0.04] = 0.0
    counts[0, 0] = 3 * counts[0].sum()
    return counts * np.exp(rng.normal(scale=0.5, size=(n, 1)))


@drawn
def tied_libraries(rng, p=63):
    """Two libraries of equal size, a power of 2, of powers of 2: log ratios and abundances are exact, most are tied."""
    small = 2.0 ** rng.integers(0, 6, size=p)
    filler = 2.0**13 - small.sum()
    return np.column_stack([np.stack([small, rng.permutation(small)]), [filler, filler]])


@points(3)
def test_factors_of_libraries(tmm_factors, draw):
    """The factors are the weighted means of the log ratios that both trimmings keep, scaled to the product 1.

    因子是两次截尾后保留的对数比值的加权平均，并缩放到乘积为 1。"""
    counts = draw.changed_libraries()
    assert_allclose(tmm_factors(counts), reference.tmm_factors(counts), rtol=ROUNDING)


@points(2)
def test_genes_that_did_not_change_agree(tmm_factors, draw):
    """Where few genes change, all others have the same level in all samples after division by the effective sizes.

    若只有少数基因变化，除以有效文库大小之后，其余基因在各样本中的水平相同。"""
    # A thousandth of noise, so that no trimming hangs on the last bit; the mean of many is far nearer than 1 %.
    level = np.exp(draw.rng.normal(5, 1, size=80)) * np.exp(draw.rng.normal(scale=1e-3, size=(3, 80)))
    counts = level * np.array([[1.0], [3.0], [0.4]])
    counts[1, :6] *= 400  # up, in a library that they fill
    counts[2, 6:12] /= 50
    effective = counts.sum(axis=1) * np.asarray(tmm_factors(counts))
    unchanged = counts[:, 12:] / effective[:, None]
    assert_allclose(unchanged, np.tile(unchanged[0], (3, 1)), rtol=0.01)


@points(2)
def test_equal_ratios_stay_or_leave_together(tmm_factors, draw):
    """Genes with equal log ratios have one rank, the average of theirs; so do genes with equal log abundances.

    对数比值相等的基因同属一个秩，即它们的平均秩；对数丰度相等的基因也一样。"""
    for _ in range(6):
        counts = draw.tied_libraries()
        assert_allclose(tmm_factors(counts, 0), reference.tmm_factors(counts, 0), rtol=ROUNDING)


@points(1)
def test_stranger_among_the_samples(tmm_factors, draw):
    """A sample that shares no gene with the reference gets the log factor 0 and a warning; the others are as usual.

    与参照没有共同基因的样本，对数因子取 0 并发出警告；其余样本照常计算。"""
    counts = draw.changed_libraries()
    counts[2, :75], counts[[0, 1, 3, 4, 5], 75:] = 0.0, 0.0
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = tmm_factors(counts, 3)
    assert any(issubclass(warning.category, UserWarning) for warning in heard)
    with pytest.warns(UserWarning, match="shares no gene"):
        right = reference.tmm_factors(counts, 3)
    assert_allclose(found, right, rtol=ROUNDING)


@points(1)
def test_nothing_to_say(tmm_factors, draw):
    """Where all log ratios are 0 but for rounding, or none is left after the trimming, the factors are 1.

    若对数比值除舍入误差外都为 0，或截尾后一个也不剩，则因子为 1。"""
    level = draw.rng.integers(5, 900, size=40)
    assert_allclose(tmm_factors(np.outer([1.0, 7.0, 3.0], level)), 1.0, rtol=1e-12)
    almost = np.outer([1.0, 1.0], 1000.0 + level) + draw.rng.uniform(0, 4e-4, size=(2, 40))
    assert_array_equal(tmm_factors(almost), 1.0)
    low, high = draw.rng.integers(1, 9, size=2)
    assert_allclose(tmm_factors([[low, low, low + high, low + high], [low + high] * 2 + [low] * 2]), 1.0, rtol=1e-12)


@points(1)
def test_reference_and_trims_are_obeyed(tmm_factors, draw):
    """The reference may be named by its label, and other shares may be cut off at either end, none at all among them.

    参照样本可用标签指定；两端截去的比例可以改变，包括完全不截。"""
    counts = as_table(draw.changed_libraries())
    named = [{"reference": "P005"}, {"reference": "P002"}]  # two: one of them may be the sample chosen anyway
    for options in (*named, {"log_ratio_trim": 0.11}, {"sum_trim": 0.33}, {"log_ratio_trim": 0.0}):
        found = tmm_factors(counts, **options)
        right = reference.tmm_factors(counts, **options)
        assert_allclose(found, right, rtol=ROUNDING)
        assert found.index.equals(right.index)


@points(1)
def test_impossible_libraries_are_refused(tmm_factors, draw):
    """A negative count, a sample without reads, an unknown reference and a trim of one half: a ValueError.

    负的计数、没有读段的样本、未知的参照、截尾比例为二分之一：抛出 ValueError。"""
    counts = draw.changed_libraries()
    negative, empty = counts.copy(), counts.copy()
    negative[1, 4], empty[3] = -1.0, 0.0
    for table, options in [
        (negative, {}),
        (empty, {}),
        (counts, {"reference": 6}),
        (as_table(counts), {"reference": "P999"}),
        (counts, {"log_ratio_trim": 0.5}),
        (counts, {"sum_trim": -0.1}),
    ]:
        with pytest.raises(ValueError, match=r"."):
            tmm_factors(table, **options)


# ---------------------------------------------------------------- distorted_libraries


def failed_by(truth, kind):
    """The libraries that failed in one way."""
    return {label for label, reason in truth["failure_kind"]["rna"].items() if reason == kind}


@points(1)
def test_flooded_libraries_are_found(distorted_libraries, truth):
    """Libraries that one organelle floods are named.

    被一种细胞器的读段淹没的文库已列出。"""
    assert failed_by(truth, "mitochondrial") <= set(distorted_libraries)


@points(1)
def test_degraded_libraries_are_found(distorted_libraries, truth):
    """Libraries that lost some of their transcripts are named.

    丢失了一部分转录本的文库已列出。"""
    assert failed_by(truth, "degraded") <= set(distorted_libraries)


@points(2)
def test_other_libraries_are_not_named(distorted_libraries, truth):
    """No library is named whose composition is that of the others, however shallow or noisy it is.

    组成与其他文库相同的，无论多浅或噪声多大，都没有列入。"""
    assert set(distorted_libraries) <= failed_by(truth, "mitochondrial") | failed_by(truth, "degraded")


# ---------------------------------------------------------------- log_cpm


@points(2)
def test_logarithms_of_libraries(log_cpm, draw):
    """The logarithm of the share, with a prior count that grows with the library.

    份额的对数，先验计数随文库大小而变。"""
    counts = np.floor(draw.libraries() / 20)
    counts[:, 0] += 1
    assert_allclose(log_cpm(counts), reference.log_cpm(counts), rtol=ROUNDING)


@points(2)
def test_factors_make_effective_libraries(log_cpm, draw):
    """With factors, the effective library takes the library's place everywhere, in the mean of all libraries too.

    给出因子时，处处以有效文库代替文库，求全体平均时也是如此。"""
    counts, factors = np.floor(draw.libraries() / 20) + 1, draw.rng.uniform(0.3, 2.5, size=5)
    assert_allclose(log_cpm(counts, factors), reference.log_cpm(counts, factors), rtol=ROUNDING)


@points(1)
def test_prior_count_is_obeyed(log_cpm, draw):
    """Another prior count gives another logarithm.

    先验计数不同，对数也不同。"""
    counts = np.floor(draw.libraries() / 20) + 1
    prior = draw.rng.uniform(0.1, 9.0)
    assert_allclose(log_cpm(counts, prior_count=prior), reference.log_cpm(counts, prior_count=prior), rtol=ROUNDING)


@points(1)
def test_factors_are_matched_by_label(log_cpm, draw):
    """A Series of factors is matched to the samples by its labels; labels come back, and the counts stay as they were.

    因子为 Series 时按标签与样本对应；返回的标签不变，传入的计数也保持不变。"""
    counts = as_table(draw.libraries())
    before = counts.copy()
    factors = pd.Series(np.linspace(0.5, 2.0, 5), index=counts.index)
    found = log_cpm(counts, factors.iloc[::-1])
    pd.testing.assert_frame_equal(found, reference.log_cpm(before, factors), rtol=ROUNDING)
    pd.testing.assert_frame_equal(counts, before)


@points(1)
def test_impossible_factors_are_refused(log_cpm, draw):
    """A prior of 0, a factor of 0, too few factors, and a negative count are refused with a ValueError.

    先验为 0、因子为 0、因子个数不足、计数为负，都应以 ValueError 拒绝。"""
    counts = draw.libraries()
    for factors, prior in [(None, 0.0), (None, -1.0), ([1.0, 1.0, 0.0, 1.0, 1.0], 2.0), ([1.0, 1.0], 2.0)]:
        with pytest.raises(ValueError, match=r"."):
            log_cpm(counts, factors, prior_count=prior)
    counts[3, 3] = -1.0
    with pytest.raises(ValueError, match=r"."):
        log_cpm(counts)


# ---------------------------------------------------------------- median_scale


@drawn
def loaded_samples(rng, n=7, p=40):
    """log2 intensities of skewed features, each sample with a factor of its own."""
    return rng.gamma(3.0, 2.0, size=p) + rng.normal(scale=0.3, size=(n, p)) + rng.normal(scale=1.5, size=(n, 1)) + 12


@points(2)
def test_samples_have_one_median(median_scale, draw):
    """Each sample is shifted by its median, so far as that differs from the mean of all medians.

    每个样本平移的量，是它的中位数与各中位数平均之差。"""
    for p in (40, 41):
        x = draw.loaded_samples(p=p)
        assert_allclose(median_scale(x), reference.median_scale(x), rtol=ROUNDING)


@points(2)
def test_faint_features_are_missing(median_scale, draw):
    """Where weak samples lack their faint features, medians are taken over the features that all samples have.

    上样少的样本缺少微弱特征时，中位数只取自所有样本都有的特征。"""
    x = draw.loaded_samples(p=80)
    x[x < np.quantile(x, 0.25)] = np.nan
    x[:, 0] = draw.rng.normal(20, 1, size=7)  # at least one feature is complete
    assert_allclose(median_scale(x), reference.median_scale(x), rtol=ROUNDING)


@points(1)
def test_factors_of_samples_do_not_matter(median_scale, draw):
    """Multiplying the intensities of samples by factors of product 1 changes nothing in the result.

    各样本的强度乘以乘积为 1 的因子，结果不变。"""
    x = draw.loaded_samples()
    shift = draw.rng.normal(scale=2.0, size=7)
    shift -= shift.mean()
    assert_allclose(median_scale(x + shift[:, None]), median_scale(x), rtol=ROUNDING)


@points(1)
def test_intensities_are_left_alone(median_scale, draw):
    """A DataFrame comes back with its labels, and the table that came in stays as it was.

    返回的 DataFrame 标签不变，传入的表也保持不变。"""
    x = as_table(draw.loaded_samples())
    before = x.copy()
    pd.testing.assert_frame_equal(median_scale(x), reference.median_scale(before), rtol=ROUNDING)
    pd.testing.assert_frame_equal(x, before)


@points(1)
def test_no_feature_in_common_is_refused(median_scale, draw):
    """If no feature was measured in every sample, medians can't be compared: a ValueError.

    若没有一个特征在所有样本中都测到，中位数便不可比：抛出 ValueError。"""
    x = draw.loaded_samples(p=21)
    for column in range(21):
        x[column % 7, column] = np.nan
    with pytest.raises(ValueError, match=r"."):
        median_scale(x)


# ---------------------------------------------------------------- quantile_normalize


@drawn
def stretched_samples(rng, n=5, p=40):
    """Samples of different level, spread and skewness: sorted, no rank has the same mean and median."""
    return rng.gamma(2.0, 1.0, size=(n, p)) * rng.uniform(0.5, 4, size=(n, 1)) + rng.normal(10, 2, size=(n, 1))


@drawn
def uneven_gaps(rng, x):
    """The table with values missing, hardly any in the first sample and many in the last; at least 5 are left."""
    x = x.copy()
    x[rng.random(x.shape) < np.linspace(0.02, 0.6, len(x))[:, None]] = np.nan
    x[:, :5] = np.where(np.isnan(x[:, :5]), rng.normal(12, 3, size=(len(x), 5)), x[:, :5])
    x[-1, 5:9] = np.nan
    return x


@points(2)
def test_value_at_the_same_rank(quantile_normalize, draw):
    """Each value is replaced by the mean, over all samples, of the values at its rank.

    每个数值都换成各样本中同一秩的数值的平均。"""
    x = draw.stretched_samples()
    assert_allclose(quantile_normalize(x), reference.quantile_normalize(x), rtol=ROUNDING)


@points(2)
def test_equal_values_stay_equal(quantile_normalize, draw):
    """Equal values read the target at the average of their ranks.

    相等的数值在平均秩处读取目标。"""
    x = np.round(draw.stretched_samples(p=41))
    assert_allclose(quantile_normalize(x), reference.quantile_normalize(x), rtol=ROUNDING)


@points(2)
def test_uneven_gaps(quantile_normalize, draw):
    """Samples with gaps are stretched to all ranks; what is missing stays missing, what is not does not become so.

    有缺口的样本拉伸到全部的秩；缺失的仍然缺失，没有缺失的不会变成缺失。"""
    for x in (draw.stretched_samples(), np.round(draw.stretched_samples())):
        gappy = draw.uneven_gaps(x)
        assert_allclose(quantile_normalize(gappy), reference.quantile_normalize(gappy), rtol=ROUNDING)


@points(1)
def test_single_sample_is_left_alone(quantile_normalize, draw):
    """A single sample comes back as it is, its gaps too.

    只有一个样本时原样返回，缺口也一样。"""
    for n_gaps in (0, 7, 11):  # 33 or 29 values: their ranks do not fall on those of 40
        x = draw.stretched_samples(n=1)
        x[0, draw.rng.permutation(40)[:n_gaps]] = np.nan
        assert_array_equal(quantile_normalize(x), x)


@points(1)
def test_labels_and_input_are_kept(quantile_normalize, draw):
    """A DataFrame comes back with its labels, and the table that came in stays as it was.

    返回的 DataFrame 标签不变，传入的表也保持不变。"""
    x = as_table(draw.uneven_gaps(draw.stretched_samples()))
    before = x.copy()
    pd.testing.assert_frame_equal(quantile_normalize(x), reference.quantile_normalize(before), rtol=ROUNDING)
    pd.testing.assert_frame_equal(x, before)


@points(1)
def test_sample_without_distribution_is_refused(quantile_normalize, draw):
    """A sample with fewer than 2 measured values has no distribution: a ValueError.

    测到的数值少于 2 个的样本谈不上分布：抛出 ValueError。"""
    x = draw.stretched_samples()
    x[draw.rng.integers(5), 1:] = np.nan
    with pytest.raises(ValueError, match=r"."):
        quantile_normalize(x)


# ---------------------------------------------------------------- global_shift


@drawn
def three_groups(rng, sizes=(3, 5, 4), p=50):
    """Samples of three groups of unequal size that differ in level and spread, features in random order."""
    n = sum(sizes)
    group = np.repeat(["a", "b", "c"], sizes)
    level = np.repeat(rng.normal(scale=0.6, size=3), sizes)[:, None] + rng.normal(scale=0.4, size=(n, 1))
    spread = np.repeat(rng.uniform(1, 1.6, size=3), sizes)[:, None] * np.exp(rng.normal(scale=0.1, size=(n, 1)))
    x = level + spread * rng.normal(size=(n, p))
    order = rng.permutation(n)
    return x[order], group[order]


@points(2)
def test_variation_between_and_within(global_shift, draw):
    """Statistic and explained share come from the sums of squares of curves between and within groups.

    统计量与所占份额，由曲线在组间与组内的平方和得出。"""
    x, group = draw.three_groups()
    found, right = global_shift(x, group), reference.global_shift(x, group)
    assert found.statistic == pytest.approx(right.statistic, rel=ROUNDING)
    assert found.explained == pytest.approx(right.explained, rel=ROUNDING)


@points(2)
def test_probability(global_shift, draw):
    """p comes from the F distribution whose degrees of freedom are multiplied by the number of ways curves vary.

    p 由 F 分布得出，两个自由度都乘以曲线独立变化的方面数。"""
    x, group = draw.three_groups()
    # Far in the tail a relative error of the statistic grows; both values above are tested to 1e-8.
    assert global_shift(x, group).p == pytest.approx(reference.global_shift(x, group).p, rel=1e-5, abs=1e-12)


@points(1)
def test_where_the_groups_differ(global_shift, draw):
    """The table of shifts compares each group's mean curve with that of all samples, at the given shares.

    偏移表在给定的比例处，比较各组平均曲线与全部样本的平均曲线。"""
    x, group = draw.three_groups()
    found, right = global_shift(x, group).shift, reference.global_shift(x, group).shift
    assert found.columns.tolist() == ["a", "b", "c"]
    assert_allclose(found.index.astype(float), right.index)
    assert_allclose(found, right, rtol=ROUNDING, atol=1e-10)


@points(1)
def test_only_distributions_matter(global_shift, draw):
    """Which feature holds a value does not matter: each sample's values may be shuffled.

    数值属于哪个特征无关紧要：每个样本的数值可以任意打乱。"""
    x, group = draw.three_groups()
    found, shuffled = global_shift(x, group), global_shift(draw.rng.permuted(x, axis=1), group)
    assert shuffled.statistic == pytest.approx(found.statistic, rel=ROUNDING)
    assert shuffled.explained == pytest.approx(found.explained, rel=ROUNDING)


@points(1)
def test_curves_with_gaps(global_shift, draw):
    """Samples with gaps are stretched to full curves; groups are matched to samples by their labels.

    有缺口的样本拉伸为完整的曲线；各组按标签与样本对应。"""
    x, group = draw.three_groups()
    x[draw.rng.random(x.shape) < 0.2] = np.nan
    table = as_table(x)
    groups = pd.Series(group, index=table.index)
    found, right = global_shift(table, groups.iloc[::-1]), reference.global_shift(table, groups)
    assert found.statistic == pytest.approx(right.statistic, rel=ROUNDING)
    assert found.explained == pytest.approx(right.explained, rel=ROUNDING)


@points(1)
def test_samples_that_do_not_vary(global_shift, draw):
    """If samples do not vary within groups but for rounding, p is 0 where the groups differ and 1 where nothing does.

    若组内样本除舍入误差外没有变异，各组有差异时 p 为 0，完全没有差异时 p 为 1。"""
    one, other = np.sort(draw.rng.integers(0, 99, size=(2, 12)) / 1024, axis=1)  # small, and exact in binary
    differ = global_shift(np.stack([one, one, other + 1 / 64, other + 1 / 64]), list("aabb"))
    assert (differ.statistic, differ.p, differ.explained) == (np.inf, 0.0, 1.0)
    raw = reference.quantile_normalize(draw.rng.lognormal(18, 2, size=(12, 30)))  # equal but for rounding, and large
    for table in (np.stack([one] * 6), np.zeros((6, 8)), raw):
        alike = global_shift(table, ["a"] * (len(table) // 2 - 1) + ["b"] * (len(table) // 2 + 1))
        assert (alike.statistic, alike.p, alike.explained) == (0.0, 1.0, 0.0)


@points(1)
def test_impossible_groups_are_refused(global_shift, draw):
    """One group only, a group of one sample, a sample without a group: a ValueError.

    只有一个组、某组只有一个样本、某个样本没有组：抛出 ValueError。"""
    x = draw.rng.normal(size=(5, 8))
    for groups in (["a"] * 5, ["a", "a", "b", "b", "c"], ["a", "a", "b", "b", None], ["a", "a", "b", "b"]):
        with pytest.raises(ValueError, match=r"."):
            global_shift(x, groups)
