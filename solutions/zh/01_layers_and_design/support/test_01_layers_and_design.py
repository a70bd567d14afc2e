"""Visible checks of unit 01: what a learner sees and runs. Copied into the exercise's folder by the build."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from course.checking import points

# The expected numbers are written with four digits.
FOUR_DIGITS = 6e-5


# ---------------------------------------------------------------- matched_samples


@points(1)
def test_two_layers(matched_samples):
    """P1 and P3 were measured in both layers; P2 lacks the protein layer and P4 the RNA layer.

    P1 和 P3 在两层中都有测量；P2 没有蛋白层，P4 没有 RNA 层。"""
    rna = pd.DataFrame({"g1": [5, 0, 7], "g2": [1, 2, 3]}, index=["P1", "P2", "P3"])
    protein = pd.DataFrame({"p1": [0.1, 0.2, 0.4]}, index=["P1", "P3", "P4"])
    assert list(matched_samples({"rna": rna, "protein": protein})) == ["P1", "P3"]


@points(1)
def test_nobody_in_common(matched_samples):
    """Two groups of different patients share nobody: the answer is empty, not an error.

    两组不同的患者没有交集：结果为空，而不是报错。"""
    here = pd.DataFrame({"g1": [5, 0]}, index=["P1", "P2"])
    there = pd.DataFrame({"p1": [0.1, 0.2]}, index=["Q1", "Q2"])
    assert len(matched_samples({"here": here, "there": there})) == 0


# ---------------------------------------------------------------- lost_share


@points(1)
def test_one_share_per_hospital(lost_share, cohort):
    """There is one number for each hospital, by its name.

    每家医院各有一个数，以医院名称为标签。"""
    assert set(dict(lost_share)) == set(cohort.clinical["site"])


@points(1)
def test_shares_lie_between_0_and_1(lost_share):
    """A share lies between 0 and 1.

    份额在 0 与 1 之间。"""
    assert all(0 <= share <= 1 for share in dict(lost_share).values())


# ---------------------------------------------------------------- paired_difference_variance


@points(1)
def test_without_correlation(paired_difference_variance):
    """Without correlation the variances add: 3² + 4² = 25.

    没有相关时，方差相加：3² + 4² = 25。"""
    assert_allclose(paired_difference_variance(3.0, 4.0, 0.0), 25.0, rtol=1e-9)


@points(1)
def test_with_correlation(paired_difference_variance):
    """A correlation of 0.5 takes 2 · 0.5 · 3 · 4 = 12 away.

    相关系数为 0.5 时，要减去 2 · 0.5 · 3 · 4 = 12。"""
    assert_allclose(paired_difference_variance(3.0, 4.0, 0.5), 13.0, rtol=1e-9)


# ---------------------------------------------------------------- paired_power


@points(1)
def test_ten_patients(paired_power):
    """An effect of one standard deviation, ρ = 0.5, 10 patients: power 0.8031, as R's power.t.test says.

    效应为一个标准差，ρ = 0.5，10 名患者：功效为 0.8031，与 R 的 power.t.test 一致。"""
    assert_allclose(paired_power(1.0, 1.0, 1.0, 0.5, 10), 0.8031, atol=FOUR_DIGITS)


@points(1)
def test_without_effect_the_power_is_alpha(paired_power):
    """Where there is no effect, the test still says yes in 5 % of studies.

    没有效应时，检验仍会在 5% 的研究中报告差异。"""
    assert_allclose(paired_power(0.0, 1.0, 2.0, 0.3, 8), 0.05, rtol=1e-6)


# ---------------------------------------------------------------- unpaired_power


@points(1)
def test_seventeen_and_seventeen(unpaired_power):
    """An effect of one standard deviation with 17 patients in each group: power 0.8070, as R's power.t.test says.

    效应为一个标准差，每组 17 名患者：功效为 0.8070，与 R 的 power.t.test 一致。"""
    assert_allclose(unpaired_power(1.0, 1.0, 1.0, 17), 0.8070, atol=FOUR_DIGITS)


@points(1)
def test_without_effect_alpha_remains(unpaired_power):
    """Where there is no effect, the test still says yes in 5 % of studies.

    没有效应时，检验仍会在 5% 的研究中报告差异。"""
    assert_allclose(unpaired_power(0.0, 1.0, 1.0, 8), 0.05, rtol=1e-6)


# ---------------------------------------------------------------- patients_needed


@points(1)
def test_two_designs(patients_needed):
    """The answer is a dict with one number of patients for "paired" and one for "unpaired".

    答案是一个字典，"paired" 与 "unpaired" 各有一个患者数。"""
    assert set(patients_needed) == {"paired", "unpaired"}
    assert all(float(n).is_integer() for n in patients_needed.values())


@points(1)
def test_pairing_pays_here(patients_needed):
    """Transcript and protein go together, so the matched design needs fewer.

    转录本与蛋白同升同降，因此匹配设计需要的更少。"""
    assert 2 <= patients_needed["paired"] < patients_needed["unpaired"]


# ---------------------------------------------------------------- feature_network


@points(1)
def test_four_features(feature_network):
    """a and b have Spearman correlation 0.8, a and c −1; the constant d goes with none.

    a 与 b 的 Spearman 相关为 0.8，a 与 c 为 −1；常数 d 与谁都不相连。"""
    x = pd.DataFrame({"a": [1, 2, 3, 4, 5], "b": [20, 10, 400, 30, 500], "c": [5, 4, 3, 2, 1], "d": [7, 7, 7, 7, 7]})
    links = feature_network(x, threshold=0.8)
    assert links.loc["a"].tolist() == [False, True, True, False]
    assert links.index.tolist() == links.columns.tolist() == ["a", "b", "c", "d"]


@points(1)
def test_links_are_mutual_and_never_to_oneself(feature_network):
    """The network is symmetric, of True and False, and False on the diagonal.

    网络是对称的，由 True 与 False 组成，对角线为 False。"""
    links = np.asarray(feature_network(np.random.default_rng(1).normal(size=(20, 6)), threshold=0.2))
    assert links.shape == (6, 6)
    assert links.dtype == bool
    assert_array_equal(links, links.T)
    assert not links.diagonal().any()


# ---------------------------------------------------------------- network_overlap


def network(n, *links):
    """A network of n nodes with these links."""
    result = np.zeros((n, n), dtype=bool)
    for i, j in links:
        result[i, j] = result[j, i] = True
    return result


@points(1)
def test_one_link_of_four(network_overlap):
    """Networks of two and of three links with one in common: four links in either, so that Jaccard is 1/4.

    两条边与三条边的两个网络有一条公共边：两者共有四条不同的边，Jaccard 为 1/4。"""
    a, b = network(4, (0, 1), (1, 2)), network(4, (1, 2), (2, 3), (0, 3))
    jaccard, p = network_overlap(a, b, n_permutations=99, rng=np.random.default_rng(0))
    assert jaccard == pytest.approx(1 / 4)
    assert 0 < p <= 1


@points(1)
def test_a_large_network_and_itself(network_overlap):
    """A random network of 40 nodes overlaps with itself fully, and no renaming comes near: p = 1 / (1 + 199).

    40 个节点的随机网络与自身完全重叠，任何换名都远不及它：p = 1 / (1 + 199)。"""
    links = np.triu(np.random.default_rng(2).random((40, 40)) < 0.1, 1)
    links = links | links.T
    jaccard, p = network_overlap(links, links, n_permutations=199, rng=np.random.default_rng(0))
    assert jaccard == pytest.approx(1.0)
    assert p == pytest.approx(1 / 200)


# ---------------------------------------------------------------- anchor_map

A = pd.DataFrame({"age": [40, 60], "sex": ["female", "male"]}, index=["A1", "A2"])
B = pd.DataFrame({"age": [60, 42, 60], "sex": ["male", "female", "male"]}, index=["B1", "B2", "B3"])


@points(1)
def test_one_certain_and_one_ambiguous(anchor_map):
    """A1 is nearest to B2; A2 is equally near to B1 and B3, so it has no match and two candidates.

    A1 离 B2 最近；A2 与 B1、B3 同样近，因此没有匹配，候选者有两名。"""
    found = anchor_map(A, B)
    assert found["match"].tolist()[0] == "B2"
    assert found["match"].isna().tolist() == [False, True]
    assert found["n_candidates"].tolist() == [1, 2]
    assert found["mutual"].tolist() == [True, False]


@points(1)
def test_distances_and_margins(anchor_map):
    """Ages span 20 years; A1 and B2 differ by 2 of them and have one sex: (2/20 + 0) / 2 = 0.05.

    年龄跨度为 20 岁；A1 与 B2 相差 2 岁、性别相同：(2/20 + 0) / 2 = 0.05。"""
    found = anchor_map(A, B)
    assert found.columns.tolist() == ["match", "distance", "n_candidates", "margin", "mutual"]
    assert_allclose(found["distance"].to_numpy(), [0.05, 0.0], atol=1e-9)
    assert_allclose(found["margin"].to_numpy(), [0.95, 0.0], atol=1e-9)
