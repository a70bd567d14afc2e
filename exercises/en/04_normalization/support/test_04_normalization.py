"""Visible checks of unit 04: what a learner sees and runs. Copied into the exercise's folder by the build."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from course.checking import points

# Any order of the same few operations agrees far better.
RTOL = 1e-9


# ---------------------------------------------------------------- cpm


@points(1)
def test_shares_of_a_million(cpm):
    """Counts 1 and 3 are 250,000 and 750,000 per million, and so are 10 and 30.

    计数 1 与 3 即每百万 250000 与 750000，10 与 30 也一样。"""
    assert_allclose(cpm(np.array([[1.0, 3.0], [10.0, 30.0]])), [[250_000, 750_000]] * 2, rtol=RTOL)


@points(1)
def test_table_keeps_its_labels(cpm):
    """A DataFrame comes back as a DataFrame with the same samples and genes.

    输入为 DataFrame 时，返回值也是 DataFrame，样本与基因的标签不变。"""
    found = cpm(pd.DataFrame({"ACTB": [5, 2], "B2M": [7, 9]}, index=["P001", "P002"]))
    assert isinstance(found, pd.DataFrame)
    assert found.index.tolist() == ["P001", "P002"]
    assert found.columns.tolist() == ["ACTB", "B2M"]


# ---------------------------------------------------------------- tpm


@points(1)
def test_long_gene_with_as_many_molecules(tpm):
    """100 reads of a gene of 1,000 bases are as many transcripts as 300 reads of a gene of 3,000 bases.

    长 1000 碱基的基因有 100 条读段，与长 3000 碱基的基因有 300 条读段，转录本数相同。"""
    assert_allclose(tpm(np.array([[100.0, 300.0]]), np.array([1000.0, 3000.0])), [[500_000, 500_000]], rtol=RTOL)


@points(1)
def test_samples_sum_to_a_million(tpm):
    """Every sample sums to one million.

    每个样本之和都是一百万。"""
    found = tpm(np.array([[5.0, 0.0, 7.0], [50.0, 20.0, 1.0]]), np.array([500.0, 2000.0, 900.0]))
    assert_allclose(np.sum(found, axis=1), 1e6, rtol=RTOL)


# ---------------------------------------------------------------- tmm_factors


@points(1)
def test_one_gene_fills_half_of_a_library(tmm_factors):
    """10, 20, 30, 40, 0 and 10, 20, 30, 40, 100: half of the second library is one gene; the factors are √2 and 1/√2.

    10、20、30、40、0 与 10、20、30、40、100：第二个文库有一半属于同一个基因，因子为 √2 与 1/√2。"""
    factors = tmm_factors(np.array([[10.0, 20.0, 30.0, 40.0, 0.0], [10.0, 20.0, 30.0, 40.0, 100.0]]))
    assert_allclose(factors, [np.sqrt(2), np.sqrt(0.5)], rtol=RTOL)


@points(1)
def test_product_of_the_factors(tmm_factors):
    """The factors multiply to 1; for a DataFrame they are a Series with the samples' labels.

    各因子的乘积为 1；输入为 DataFrame 时，因子是带样本标签的 Series。"""
    counts = np.random.default_rng(1).negative_binomial(3, 0.01, size=(4, 50))
    factors = tmm_factors(pd.DataFrame(counts, index=["P001", "P002", "P003", "P004"]))
    assert isinstance(factors, pd.Series)
    assert factors.index.tolist() == ["P001", "P002", "P003", "P004"]
    assert_allclose(np.prod(factors), 1.0, rtol=RTOL)


# ---------------------------------------------------------------- distorted_libraries


@points(1)
def test_labels_of_libraries(distorted_libraries, cohort):
    """Each label is that of an RNA library and stands once.

    每个标签都是某个 RNA 文库的标签，且只出现一次。"""
    names = list(distorted_libraries)
    assert set(names) <= set(cohort.layers["rna"].index)
    assert len(set(names)) == len(names)


@points(1)
def test_some_but_not_most(distorted_libraries, cohort):
    """Some libraries are distorted, but by far the most are not: less than a third are named.

    有文库被扭曲，但绝大多数没有：所列文库不到三分之一。"""
    assert 0 < len(distorted_libraries) < len(cohort.layers["rna"]) / 3


# ---------------------------------------------------------------- log_cpm


@points(1)
def test_example_of_the_task(log_cpm):
    """Libraries of 0 and 999,996 reads, and of 0 and 1,999,992: both give 0.42 and 19.93.

    读段数为 0 与 999996、0 与 1999992 的两个文库，结果都是 0.42 与 19.93。"""
    found = log_cpm(np.array([[0.0, 999_996.0], [0.0, 1_999_992.0]]))
    assert_allclose(found, [[0.415, 19.932]] * 2, atol=1e-3)  # the task gives two decimals


@points(1)
def test_no_infinity(log_cpm):
    """A gene without reads gets a finite number.

    没有读段的基因也得到有限的数值。"""
    assert np.isfinite(np.asarray(log_cpm(np.array([[0.0, 5.0, 100.0], [3.0, 0.0, 50.0]])))).all()


# ---------------------------------------------------------------- median_scale


@points(1)
def test_two_samples_meet_in_the_middle(median_scale):
    """Samples 1, 2, 3 and 5, 6, 7 have medians 2 and 6; both become 3, 4, 5.

    样本 1、2、3 与 5、6、7 的中位数为 2 与 6；两者都变为 3、4、5。"""
    assert_allclose(median_scale(np.array([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]])), [[3, 4, 5]] * 2, rtol=RTOL)


@points(1)
def test_gaps_stay_gaps(median_scale):
    """What was not measured is still missing afterwards, and nothing else is.

    没有测到的，处理之后仍然缺失；其余的不会变成缺失。"""
    x = np.array([[1.0, 2.0, np.nan], [3.0, 4.0, 5.0]])
    assert np.isnan(np.asarray(median_scale(x))).tolist() == [[False, False, True], [False, False, False]]


# ---------------------------------------------------------------- quantile_normalize


@points(1)
def test_small_example(quantile_normalize):
    """2, 4, 6 and 14, 10, 12 share the target 6, 8, 10 and become 6, 8, 10 and 10, 6, 8.

    2、4、6 与 14、10、12 的共同目标为 6、8、10，结果为 6、8、10 与 10、6、8。"""
    found = quantile_normalize(np.array([[2.0, 4.0, 6.0], [14.0, 10.0, 12.0]]))
    assert_allclose(found, [[6, 8, 10], [10, 6, 8]], rtol=RTOL)


@points(1)
def test_all_samples_have_one_distribution(quantile_normalize):
    """Sorted, all samples are equal afterwards.

    处理之后，各样本排序的结果完全相同。"""
    found = np.sort(np.asarray(quantile_normalize(np.random.default_rng(2).normal(size=(4, 30)))), axis=1)
    assert_allclose(found, np.tile(found[0], (4, 1)), atol=1e-12)


# ---------------------------------------------------------------- global_shift


@points(1)
def test_four_samples_by_hand(global_shift):
    """For (0, 2), (2, 4) and (10, 12), (12, 14) the statistic is 50, explained 200/208, and p 0.0194.

    对于 (0, 2)、(2, 4) 与 (10, 12)、(12, 14)，统计量为 50，explained 为 200/208，p 为 0.0194。"""
    found = global_shift(np.array([[0.0, 2.0], [2.0, 4.0], [10.0, 12.0], [12.0, 14.0]]), ["a", "a", "b", "b"])
    assert found.statistic == pytest.approx(50, rel=RTOL)
    assert found.explained == pytest.approx(200 / 208, rel=RTOL)
    assert found.p == pytest.approx(0.0194193, rel=1e-5)


@points(1)
def test_groups_that_do_not_differ(global_shift):
    """Where both groups hold the same distributions nothing is explained; the shift has a column per group.

    若两组的分布相同，则没有任何变异可归于组间；shift 每组一列。"""
    x = np.random.default_rng(3).normal(size=(3, 40))
    found = global_shift(np.vstack([x, x]), ["case"] * 3 + ["control"] * 3)
    assert found.explained == pytest.approx(0, abs=1e-12)
    assert found.p > 0.99
    assert found.shift.columns.tolist() == ["case", "control"]
