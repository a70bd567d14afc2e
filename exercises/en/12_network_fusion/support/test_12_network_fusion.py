"""Checks that a learner sees: unit 12, network fusion."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from course.checking import drawn, points


@drawn
def affinity(rng, n_samples):
    """A symmetric network with positive similarities."""
    weights = rng.uniform(0.1, 1.0, size=(n_samples, n_samples))
    return (weights + weights.T) / 2


# --- squared_distances -----------------------------------------------------------------------------------------------


@points(1)
def test_three_points_of_the_plane(squared_distances):
    """Without standardising, the points (0, 0), (3, 4) and (0, 4) are 25, 16 and 9 apart: squared, not rooted.

    不做标准化时，点 (0, 0)、(3, 4)、(0, 4) 两两之间的平方距离是 25、16、9：是平方，没有开方。"""
    found = squared_distances(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 4.0]]), standardize=False)
    assert_allclose(found, [[0, 25, 16], [25, 0, 9], [16, 9, 0]], atol=1e-9)  # rounding of products of small numbers


@points(1)
def test_units_do_not_matter(squared_distances, draw):
    """After standardising, a weight in grams and the same weight in kilograms give the same distances.

    标准化之后，体重用克还是用千克，距离都一样。"""
    x = draw.rng.normal(size=(12, 5))
    scaled = x * np.array([1000.0, 1.0, 0.001, 1.0, 60.0])
    assert_allclose(squared_distances(scaled), squared_distances(x), rtol=1e-6, atol=1e-8)  # rounding only


# --- affinity_matrix -------------------------------------------------------------------------------------------------


@points(1)
def test_three_samples_in_a_row(affinity_matrix):
    """For squared distances 1, 1 and 4, with one neighbour and μ = 0.5, neighbours have similarity 0.108 and a
    sample with itself 1.197: the normal density at the distance, with width μ ε.

    平方距离为 1、1、4，取一个邻居、μ = 0.5 时，相邻样本的相似度是 0.108，样本与自身是 1.197：即以 μ ε
    为标准差的正态密度在该距离处的值。"""
    found = affinity_matrix(np.array([[0.0, 1.0, 4.0], [1.0, 0.0, 1.0], [4.0, 1.0, 0.0]]), k=1, mu=0.5)
    assert_allclose(np.diag(found), 1.197, atol=5e-4)  # three printed digits
    assert_allclose([found[0, 1], found[1, 2]], 0.108, atol=5e-4)


@points(1)
def test_similarity_reads_the_same_from_both_sides(affinity_matrix, draw):
    """Similarities are positive numbers, the diagonal's too, and symmetric.

    相似度都是正数（包括对角线），并且是对称的。"""
    x = draw.rng.normal(size=(15, 3))
    found = np.array(affinity_matrix(((x[:, None] - x) ** 2).sum(axis=2), k=4))
    assert found.shape == (15, 15)
    assert (found > 0).all()
    assert_allclose(found, found.T, rtol=1e-9)  # rounding only


# --- full_kernel -----------------------------------------------------------------------------------------------------


@points(1)
def test_half_stays_at_home(full_kernel, draw):
    """The diagonal of the full kernel is ½, and the kernel reads the same from both sides.

    全局核的对角线都是 ½，并且关于对角线对称。"""
    found = full_kernel(draw.affinity(9))
    assert_allclose(np.diag(found), 0.5)
    assert_allclose(found, found.T)


@points(1)
def test_equal_friends_get_equal_shares(full_kernel):
    """If all of 6 samples resemble each other equally, each gives ½ away in five equal shares of 0.1.

    如果 6 个样本彼此同样相似，那么每个样本把另外的 ½ 平分成五份，每份 0.1。"""
    found = full_kernel(np.full((6, 6), 7.0))
    assert_allclose(found[~np.eye(6, dtype=bool)], 0.1)


# --- local_kernel ----------------------------------------------------------------------------------------------------


@points(1)
def test_rows_are_shares(local_kernel, draw):
    """The local kernel is a sparse `csr_array` whose rows sum to 1, and it holds far fewer numbers than the full one.

    局部核是稀疏的 `csr_array`，每行之和为 1，保存的数远少于全局核。"""
    full = draw.affinity(20) + 20 * np.eye(20)
    found = local_kernel(full, k=5)
    assert type(found).__name__ == "csr_array"
    assert_allclose(found.sum(axis=1), 1)
    assert found.nnz < 200


@points(1)
def test_all_neighbours_kept(local_kernel, draw):
    """With k equal to the number of samples nothing is cut: every row is the row of the full kernel as shares of 1.

    k 等于样本数时什么也不会被剪掉：每一行就是全局核的那一行化为总和为 1 的份额。"""
    full = draw.affinity(8) + 8 * np.eye(8)
    assert_allclose(local_kernel(full, k=8).toarray(), full / full.sum(axis=1, keepdims=True))


# --- fuse ------------------------------------------------------------------------------------------------------------


@points(1)
def test_fused_network_is_a_full_kernel(fuse, draw):
    """The fused network is symmetric with ½ on the diagonal.

    融合后的网络是对称的，对角线都是 ½。"""
    found = fuse([draw.affinity(14), draw.affinity(14), draw.affinity(14)], k=5, n_iterations=4)
    assert_allclose(np.diag(found), 0.5)
    assert_allclose(found, found.T, rtol=1e-9)  # sums may run in another order


@points(1)
def test_equal_layers_agree_with_themselves(fuse):
    """Without an iteration, two equal networks fuse to their own full kernel.

    不做任何迭代时，两个相同的网络融合的结果就是它们自己的全局核。"""
    network = np.array([[5.0, 3.0, 1.0], [3.0, 5.0, 2.0], [1.0, 2.0, 5.0]])
    found = fuse({"rna": network, "protein": network}, k=2, n_iterations=0)
    first = np.array([[0.5, 27 / 80, 7 / 48], [27 / 80, 0.5, 4 / 15], [7 / 48, 4 / 15, 0.5]])
    off = first - np.diag(np.diag(first))
    shares = off / (2 * off.sum(axis=1, keepdims=True))
    assert_allclose(found, (shares + shares.T) / 2 + 0.5 * np.eye(3))


# --- spectral_clusters -----------------------------------------------------------------------------------------------


@points(1)
def test_two_groups_of_friends(spectral_clusters):
    """Two groups of friends who hardly know each other are told apart.

    两群人内部熟悉、彼此几乎不认识，应当能被分开。"""
    group = np.repeat([0, 1], [7, 5])
    network = np.where(group[:, None] == group, 0.9, 0.05)
    found = np.asarray(spectral_clusters(network, 2, rng=np.random.default_rng(0)))
    assert len(set(found[:7])) == len(set(found[7:])) == 1
    assert found[0] != found[-1]


@points(1)
def test_labels_of_samples_stay(spectral_clusters, draw):
    """For a DataFrame the clusters come back as a Series with the labels of the samples.

    输入是 DataFrame 时，返回带样本标签的 Series。"""
    samples = [f"P{i:03d}" for i in range(10)]
    network = pd.DataFrame(draw.affinity(10), index=samples, columns=samples)
    found = spectral_clusters(network, 3, rng=np.random.default_rng(1))
    assert isinstance(found, pd.Series)
    assert list(found.index) == samples


# --- subtypes --------------------------------------------------------------------------------------------------------


@points(1)
def test_every_patient_has_one_subtype(subtypes, cohort):
    """`subtypes` is a Series with one value for each patient who is in every layer, labelled by patient.

    `subtypes` 是一个 Series：各层都有数据的每位患者各有一个值，并以患者编号为标签。"""
    assert isinstance(subtypes, pd.Series)
    assert subtypes.index.is_unique
    assert set(subtypes.index) == set(cohort.matched().patients)


@points(1)
def test_no_subtype_is_a_crumb(subtypes):
    """No cluster is a crumb: each holds at least a tenth of the patients.

    没有哪个簇是零星几个人：每个簇至少包含十分之一的患者。"""
    assert subtypes.value_counts(normalize=True).min() >= 0.1
    assert subtypes.nunique() >= 2


# --- propagate_labels ------------------------------------------------------------------------------------------------


@points(1)
def test_a_chain_is_cut_in_the_middle(propagate_labels):
    """In a chain of four with both ends known, each inner sample takes the class of its own end.

    四个样本连成一条链、两端已知时，中间两个样本各自取靠近的那一端的类别。"""
    chain = np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)
    assert_array_equal(propagate_labels(chain, np.array([0, -1, -1, 1])), [0, 0, 1, 1])


@points(1)
def test_known_labels_stay(propagate_labels, draw):
    """Whoever has a class keeps it, and nobody stays unknown.

    已有类别的样本保持不变，并且没有人仍是“未知”。"""
    labels = np.where(np.arange(20) % 2, -1, np.arange(20) % 3)
    found = np.asarray(propagate_labels(draw.affinity(20), labels))
    assert_array_equal(found[labels >= 0], labels[labels >= 0])
    assert set(found) <= {0, 1, 2}


@points(1)
def test_nobody_known(propagate_labels, draw):
    """Where no sample has a class there is nothing to spread: a `ValueError` says so.

    如果没有任何样本有类别，就无从传播：应抛出 `ValueError`。"""
    with pytest.raises(ValueError):  # noqa: PT011 (the words are the learner's)
        propagate_labels(draw.affinity(5), np.full(5, -1))
