"""Hidden tests: unit 12, network fusion."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import eigh
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import normalize

from course.checking import drawn, points
from reference_impl.integration import snf

# Another order of the same sums changes the last digits only; a wrong rule changes the first ones.
RTOL = 1e-7
LAYERS = ["methylation", "rna", "protein", "metabolite"]


@drawn
def table(rng, n_samples=30, n_features=8):
    """Features of different units and places."""
    return rng.normal(rng.uniform(-5, 5, n_features), rng.uniform(0.2, 6, n_features), size=(n_samples, n_features))


@drawn
def distances(rng, n_samples=40, n_features=5):
    """Squared distances of random points."""
    return snf.squared_distances(rng.normal(size=(n_samples, n_features)), standardize=False)


@drawn
def affinity(rng, n_samples=60, shift=1.0, n_groups=3, n_features=6):
    """A network with a few groups, as `affinity_matrix` makes it."""
    centres = shift * rng.normal(size=(n_groups, n_features))
    x = centres[rng.integers(0, n_groups, n_samples)] + rng.normal(size=(n_samples, n_features))
    return snf.affinity_matrix(snf.squared_distances(x), k=min(10, n_samples // 2))


@drawn
def blocks(rng, sizes, within, between, *, uneven=1.0):
    """A network of planted groups; `uneven` is how much stronger the most popular sample is than the least."""
    group = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    popularity = uneven ** rng.uniform(-1, 0, len(group))
    network = np.where(group[:, None] == group, within, between) * popularity[:, None] * popularity
    return network, group


@drawn
def unbalanced(rng, n_larger=60, n_smaller=20):
    """A fused network of two classes, with many labels of one and few of the other."""
    group = np.repeat([0, 1], [n_larger, n_smaller])
    layers = [rng.normal(size=(len(group), 8)) + group[:, None] for _ in range(2)]
    network = snf.fuse([snf.affinity_matrix(snf.squared_distances(x), k=10) for x in layers], k=10)
    labels = np.full(len(group), -1)
    labels[rng.choice(n_larger, n_larger // 2, replace=False)] = 0
    labels[n_larger + rng.choice(n_smaller, 4, replace=False)] = 1
    return network, labels, group


def frame(values, samples):
    return pd.DataFrame(values, index=samples, columns=samples)


def patients(rng, n_samples):
    return [f"P{number:03d}" for number in rng.permutation(np.arange(100, 100 + n_samples))]


# --- squared_distances -----------------------------------------------------------------------------------------------


@points(2)
def test_standardised_distances(squared_distances, draw):
    """By default every feature has mean 0 and standard deviation 1 (divisor n − 1) before distances are taken.

    默认情况下，先把每个特征变为均值 0、标准差 1（除数为 n − 1），再计算距离。"""
    x = draw.table()
    z = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    assert_allclose(squared_distances(x), ((z[:, None] - z) ** 2).sum(axis=2), rtol=RTOL, atol=1e-9)


@points(1)
def test_distances_in_the_units_given(squared_distances, draw):
    """With `standardize=False` the features keep their units, large and small.

    `standardize=False` 时特征保留原来的单位，大小不变。"""
    x = draw.table(2, 5)
    apart = ((x[0] - x[1]) ** 2).sum()
    assert_allclose(squared_distances(x, standardize=False), [[0, apart], [apart, 0]], rtol=RTOL, atol=1e-9)


@points(1)
def test_a_constant_feature_says_nothing(squared_distances, draw):
    """A feature that is the same in every sample changes no distance, and produces no NaN.

    在所有样本中取值都相同的特征不改变任何距离，也不会产生 NaN。"""
    x = draw.table()
    constant = np.full((len(x), 1), 0.1)
    assert_allclose(squared_distances(np.hstack([constant, x])), snf.squared_distances(x), rtol=RTOL, atol=1e-9)


@points(2)
def test_far_from_zero(squared_distances, draw):
    """Where zero lies does not matter: features a million away from it give the same distances, and none is negative.

    零点在哪里并不重要：即使特征离零点有一百万之远，距离也不变，并且没有负值。"""
    x = draw.rng.normal(size=(30, 6))
    x = np.vstack([x, x + 1e-9 * draw.rng.normal(size=x.shape)])  # everybody has a twin
    offset = 1e6 * np.arange(6)
    for standardize in (True, False):
        found = np.asarray(squared_distances(x + offset, standardize=standardize))
        # 1e6 + x keeps 10 digits of x; without centring only 4 to 6 digits of a distance are left
        assert_allclose(found, snf.squared_distances(x, standardize=standardize), rtol=1e-6, atol=1e-6)
        assert (found >= 0).all()


@points(1)
def test_distances_keep_labels_and_the_table(squared_distances, draw):
    """A DataFrame gives a DataFrame with the samples in rows and columns, and the table handed in is not changed.

    输入 DataFrame 时，返回行列都以样本为标签的 DataFrame；传入的表不会被修改。"""
    x = pd.DataFrame(draw.table(9, 4), index=patients(draw.rng, 9), columns=list("abcd"))
    before = x.copy()
    found = squared_distances(x)
    pd.testing.assert_frame_equal(found, snf.squared_distances(before), rtol=RTOL, atol=1e-9)
    pd.testing.assert_frame_equal(x, before)
    array = before.to_numpy()
    assert isinstance(squared_distances(array), np.ndarray)
    assert_array_equal(array, before.to_numpy())


@points(1)
def test_distances_refuse_bad_tables(squared_distances, draw):
    """Missing or infinite values, and a single sample, are refused with a `ValueError`.

    遇到缺失值、无穷值，或只有一个样本时，抛出 `ValueError`。"""
    for bad in (np.nan, np.inf):
        x = draw.table(5, 3)
        x[2, 1] = bad
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            squared_distances(x)
    with pytest.raises(ValueError):  # noqa: PT011
        squared_distances(np.ones((1, 3)))


# --- affinity_matrix -------------------------------------------------------------------------------------------------


@points(2)
def test_affinity_by_its_formula(affinity_matrix, draw):
    """With the default k = 20 and μ = 0.5 every similarity, the diagonal too, is the normal density of the formula.

    在默认的 k = 20、μ = 0.5 下，每个相似度（包括对角线）都等于公式中的正态密度。"""
    squared = draw.distances(40)
    assert_allclose(affinity_matrix(squared), snf.affinity_matrix(squared), rtol=RTOL, atol=1e-12)


@points(2)
def test_neighbours_and_width(affinity_matrix, draw):
    """`k` sets how many neighbours make the local scale, a sample itself not among them, and `mu` how wide the
    kernel is.

    `k` 决定由多少个邻居给出局部尺度（样本自身不算在内），`mu` 决定核的宽度。"""
    squared = draw.distances(15)
    for k, mu in ((1, 0.5), (5, 0.3), (14, 0.8)):
        assert_allclose(affinity_matrix(squared, k, mu), snf.affinity_matrix(squared, k, mu), rtol=RTOL, atol=1e-12)


@points(1)
def test_the_scale_is_the_data_s_own(affinity_matrix, draw):
    """If all distances are a hundred times larger, similarities are a hundred times smaller: the pattern is the same.

    如果所有距离都扩大一百倍，相似度就都缩小到百分之一：图样不变。"""
    squared = draw.distances(20)
    expected = snf.affinity_matrix(squared, 6) / 100
    assert_allclose(affinity_matrix(100 * squared, 6), expected, rtol=RTOL, atol=1e-14)


@points(2)
def test_twins_do_not_break_the_affinity(affinity_matrix, draw):
    """Samples with more identical twins than neighbours get finite, positive similarities: the width never becomes 0.

    即使样本的“双胞胎”（完全相同的样本）比邻居数还多，相似度仍是有限的正数：宽度不会变成 0。"""
    x = draw.table(20)
    x[:8] = x[0]
    found = np.asarray(affinity_matrix(snf.squared_distances(x), k=5))
    assert np.isfinite(found).all()
    assert (found[:8, :8] > found[:8, 8:].max()).all()


@points(1)
def test_affinity_keeps_labels_and_input(affinity_matrix, draw):
    """Labels stay, what stands on the diagonal of the distances does not matter, and the distances are not changed.

    标签保留，距离矩阵对角线上的数不起作用，传入的距离也不会被修改。"""
    squared = frame(draw.distances(12), patients(draw.rng, 12))
    expected = snf.affinity_matrix(squared, 4)
    odd = squared + 7 * np.eye(12)
    before = odd.copy()
    pd.testing.assert_frame_equal(affinity_matrix(odd, 4), expected, rtol=RTOL, atol=1e-12)
    pd.testing.assert_frame_equal(odd, before)


@points(1)
def test_affinity_refuses_bad_input(affinity_matrix, draw):
    """Too many neighbours or none, a `mu` that is not above 0, and negative distances are refused with a `ValueError`.

    邻居数过多或为零、`mu` 不大于 0、距离为负时，都抛出 `ValueError`。"""
    squared = draw.distances(8)
    for bad in ({"k": 8}, {"k": 0}, {"k": 3, "mu": 0.0}, {"k": 3, "mu": -0.5}):
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            affinity_matrix(squared, **bad)
    with pytest.raises(ValueError):  # noqa: PT011
        affinity_matrix(-squared, k=3)


# --- full_kernel -----------------------------------------------------------------------------------------------------


@points(2)
def test_shares_of_a_network(full_kernel, draw):
    """Off the diagonal each similarity is divided by twice the sum of its row without the diagonal; then the mean
    with the transpose is taken, and the diagonal is ½.

    对角线以外的相似度除以“该行（不含对角线）之和的两倍”，再与转置取平均，对角线为 ½。"""
    network = draw.affinity(25)
    assert_allclose(full_kernel(network), snf.full_kernel(network), rtol=RTOL)


@points(1)
def test_only_proportions_count(full_kernel, draw):
    """A network with all similarities ten times larger has the same full kernel, whose numbers sum to the number of
    samples.

    把所有相似度都扩大十倍，全局核不变；全局核所有元素之和等于样本数。"""
    network = draw.affinity(18)
    found = np.asarray(full_kernel(10 * network))
    assert_allclose(found.sum(), 18, rtol=RTOL)
    assert_allclose(found, snf.full_kernel(network), rtol=RTOL)


@points(2)
def test_the_diagonal_does_not_count(full_kernel, draw):
    """How similar a sample is to itself changes nothing in the full kernel.

    样本与自身有多相似，不会改变全局核。"""
    network = draw.affinity(10)
    changed = network + np.diag(draw.rng.uniform(5, 50, 10))
    assert_allclose(full_kernel(changed), snf.full_kernel(network), rtol=RTOL)


@points(1)
def test_a_hermit_keeps_zeros(full_kernel, draw):
    """A sample that resembles nobody keeps zeros beside its ½, and the others are not disturbed.

    与谁都不相似的样本，除自己的 ½ 之外都是零；其他样本不受影响。"""
    network = draw.affinity(9)
    alone = np.zeros((10, 10))
    alone[1:, 1:] = network
    expected = np.zeros((10, 10))
    expected[0, 0], expected[1:, 1:] = 0.5, snf.full_kernel(network)
    assert_allclose(full_kernel(alone), expected, rtol=RTOL)


@points(1)
def test_full_kernel_keeps_labels_and_input(full_kernel, draw):
    """Labels stay, and the network handed in is not changed; negative or missing similarities raise a `ValueError`.

    标签保留，传入的网络不会被修改；相似度为负或缺失时抛出 `ValueError`。"""
    network = frame(draw.affinity(8), patients(draw.rng, 8))
    before = network.copy()
    pd.testing.assert_frame_equal(full_kernel(network), snf.full_kernel(before), rtol=RTOL)
    pd.testing.assert_frame_equal(network, before)
    for bad in (-1.0, np.nan):
        wrong = before.to_numpy().copy()
        wrong[1, 2] = wrong[2, 1] = bad
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            full_kernel(wrong)


# --- local_kernel ----------------------------------------------------------------------------------------------------


@points(2)
def test_nearest_neighbours_as_shares(local_kernel, draw):
    """Row i holds the k largest entries of row i of the full kernel, divided by their sum, and nothing else.

    第 i 行只保留全局核第 i 行中最大的 k 个值，并除以它们的和。"""
    full = snf.full_kernel(draw.affinity(30))
    for k in (3, 12):
        assert_allclose(local_kernel(full, k=k).toarray(), snf.local_kernel(full, k=k).toarray(), rtol=RTOL)


@points(2)
def test_the_sample_is_one_of_the_k(local_kernel, draw):
    """Each row has exactly k entries (20 unless told otherwise), and the sample itself is one of them.

    每行恰好有 k 个元素（不指定时为 20 个），样本自身是其中之一。"""
    full = snf.full_kernel(draw.affinity(26))
    for found, k in ((local_kernel(full), 20), (local_kernel(full, k=1), 1)):
        dense = found.toarray()
        assert_array_equal((dense > 0).sum(axis=1), k)
        assert (np.diag(dense) > 0).all()


@points(1)
def test_local_kernel_of_a_labelled_network(local_kernel, draw):
    """A DataFrame will do as well, and it is not changed.

    输入 DataFrame 也可以，而且不会被修改。"""
    full = frame(snf.full_kernel(draw.affinity(10)), patients(draw.rng, 10))
    before = full.copy()
    assert_allclose(local_kernel(full, k=4).toarray(), snf.local_kernel(before, k=4).toarray(), rtol=RTOL)
    pd.testing.assert_frame_equal(full, before)


@points(1)
def test_local_kernel_refuses_too_many(local_kernel, draw):
    """More neighbours than samples, or none, is refused with a `ValueError`.

    邻居数多于样本数或为零时，抛出 `ValueError`。"""
    full = snf.full_kernel(draw.affinity(7, n_groups=1))
    for k in (8, 0):
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            local_kernel(full, k=k)


# --- fuse ------------------------------------------------------------------------------------------------------------


@points(3)
def test_fusion_of_three_layers(fuse, draw):
    """Three layers, 20 iterations: in each, every layer's kernel takes up the mean of the others through its own local
    kernel, from the same previous state, and is made a full kernel again.

    三个组学层，迭代 20 次：每次迭代中，每一层的核都从同一个旧状态出发，通过自己的局部核吸收其他层的平均，
    再重新化为全局核。"""
    networks = [draw.affinity(60) for _ in range(3)]
    # 20 iterations of products: rounding stays below 1e-12, a wrong rule moves entries by 1e-4 and more
    assert_allclose(fuse(networks), snf.fuse(networks), rtol=1e-6, atol=1e-10)


@points(2)
def test_one_iteration_of_two_layers(fuse, draw):
    """One iteration with two layers: each takes up the other, not itself.

    两个组学层迭代一次：每一层吸收的是另一层，而不是自己。"""
    networks = {"rna": draw.affinity(20), "protein": draw.affinity(20)}
    expected = snf.fuse(networks, k=6, n_iterations=1)
    assert_allclose(fuse(networks, k=6, n_iterations=1), expected, rtol=1e-6, atol=1e-10)


@points(2)
def test_the_older_rule(fuse, draw):
    """`variant="snfpy"`: rows of the first kernels sum to 1, iterations add the identity instead of normalising, and
    the end is half of (rows as shares, made symmetric) plus half of the identity.

    `variant="snfpy"`：初始核每行之和为 1，迭代中不再归一化而是加上单位矩阵；最后按行归一并对称化，
    再加上一半的单位矩阵。"""
    networks = [draw.affinity(30) for _ in range(3)]
    for n_iterations in (0, 3):
        expected = snf.fuse(networks, k=8, n_iterations=n_iterations, variant="snfpy")
        found = fuse(networks, k=8, n_iterations=n_iterations, variant="snfpy")
        assert_allclose(found, expected, rtol=1e-6, atol=1e-10)


@points(2)
def test_samples_are_matched_by_label(fuse, draw):
    """DataFrames are matched by label: a layer whose samples come in another order gives the same fused network, in the
    order of the first layer, and no input is changed.

    DataFrame 按标签匹配：某一层的样本换了顺序，融合结果不变，样本按第一层的顺序排列；输入不会被修改。"""
    samples = patients(draw.rng, 24)
    first, second = frame(draw.affinity(24), samples), frame(draw.affinity(24), samples)
    other_order = [samples[i] for i in draw.rng.permutation(24)]
    moved = second.loc[other_order, other_order]
    before = first.copy(), moved.copy()
    expected = snf.fuse([first, second], k=7, n_iterations=5)
    found = fuse({"rna": first, "protein": moved}, k=7, n_iterations=5)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-6, atol=1e-10)
    pd.testing.assert_frame_equal(first, before[0])
    pd.testing.assert_frame_equal(moved, before[1])


@points(1)
def test_a_hermit_does_not_break_fusion(fuse, draw):
    """A sample that resembles nobody in any layer stays alone; the others are fused as without it, and nothing is NaN.

    在所有层中都与谁也不相似的样本仍然孤立；其他样本照常融合，不出现 NaN。"""
    networks = []
    for _ in range(2):
        network = draw.affinity(20)
        network[7, :] = network[:, 7] = 0
        network[7, 7] = 1.0
        networks.append(network)
    assert_allclose(fuse(networks, k=5, n_iterations=4), snf.fuse(networks, k=5, n_iterations=4), rtol=1e-6, atol=1e-10)


@points(1)
def test_fusion_refuses_bad_input(fuse, draw):
    """A single layer, more neighbours than samples, an unknown variant, a negative number of iterations, and a
    sample missing in a layer are refused with a `ValueError`.

    只有一层、邻居数多于样本数、未知的 `variant`、迭代次数为负、某层缺少样本时，都抛出 `ValueError`。"""
    first, second = draw.affinity(9, n_groups=1), draw.affinity(9, n_groups=1)
    labelled = frame(first, patients(draw.rng, 9))
    calls = [
        ([first], {"k": 3}),
        ([first, second], {"k": 10}),
        ([first, second], {"k": 3, "variant": "another"}),
        ([first, second], {"k": 3, "n_iterations": -1}),
        ({"rna": labelled, "protein": labelled.iloc[1:, 1:]}, {"k": 3}),
    ]
    for networks, options in calls:
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            fuse(networks, **options)


# --- spectral_clusters -----------------------------------------------------------------------------------------------


@points(3)
def test_popular_and_lonely_members(spectral_clusters, draw):
    """Groups are found although some of their members are joined to everybody ten thousand times more strongly than
    others.

    即使同一组中有的成员与所有人的联系比别的成员强一万倍，也能找对各组。"""
    network, group = draw.blocks((30, 25, 20), 0.9, 0.15, uneven=1e4)
    found = spectral_clusters(network, 3, rng=draw.rng)
    assert adjusted_rand_score(group, found) == 1


@points(2)
def test_the_best_of_many_starts(spectral_clusters, draw):
    """Where groups are blurred, k-means must not stop at its first start: the best of 20 starts is kept, in which
    samples lie close to the centre of their cluster.

    当群组界限模糊时，k 均值不能只试一个起点就停下：应保留 20 个起点中最好的结果，使样本都靠近所在簇的中心。"""
    excess = []
    for _ in range(6):
        x = draw.rng.normal(size=(100, 4))
        network = snf.full_kernel(snf.affinity_matrix(snf.squared_distances(x), k=10))
        places = normalize(eigh(snf._normalized(network), subset_by_index=[80, 99])[1])
        expected = snf.spectral_clusters(network, 20, rng=draw.rng)
        found = np.asarray(spectral_clusters(network, 20, rng=draw.rng))
        excess.append(scatter(places, found) / scatter(places, expected))
    # Two best-of-20 differ by 1 % on average over six networks; one start is worse by 6 % and more.
    assert np.mean(excess) < 1.03


def scatter(places, clusters):
    return sum(((places[clusters == one] - places[clusters == one].mean(axis=0)) ** 2).sum() for one in set(clusters))


@points(1)
def test_randomness_comes_from_rng(spectral_clusters, draw):
    """Two generators in the same state give the same clusters with the same numbers; the numbers are integers from 0.

    两个状态相同的随机数发生器给出完全相同的簇编号；编号是从 0 开始的整数。"""
    network, _ = draw.blocks((5,) * 7, 0.8, 0.1)
    seed = int(draw.rng.integers(10**6))
    first, second = (spectral_clusters(network, 7, rng=np.random.default_rng(seed)) for _ in range(2))
    assert_array_equal(first, second)
    assert np.issubdtype(np.asarray(first).dtype, np.integer)
    assert set(np.asarray(first).tolist()) == set(range(7))


@points(1)
def test_as_many_clusters_as_samples(spectral_clusters, draw):
    """With as many clusters as samples everybody is alone; a DataFrame gives a Series with its labels.

    簇数等于样本数时，每个样本自成一簇；输入 DataFrame 时返回带标签的 Series。"""
    samples = patients(draw.rng, 5)
    network, _ = draw.blocks((1,) * 5, 0.9, 0.3)
    found = spectral_clusters(frame(network, samples), 5, rng=draw.rng)
    assert list(found.index) == samples
    assert found.nunique() == 5


@points(1)
def test_clusters_refuse_bad_input(spectral_clusters, draw):
    """More clusters than samples, a seed in place of a generator, and a sample whose row is all 0 are refused with a
    `ValueError`; the last message gives the position of that sample.

    簇数多于样本数、用种子代替随机数发生器、某样本整行为 0 时，都抛出 `ValueError`；
    最后一种情况的信息要给出该样本的位置。"""
    network, _ = draw.blocks((30, 30), 0.02, 0.01)
    with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
        spectral_clusters(network, 61, rng=draw.rng)
    with pytest.raises(ValueError):  # noqa: PT011
        spectral_clusters(network, 2, rng=7)
    alone = int(draw.rng.integers(11, 60))
    network[alone, :] = network[:, alone] = 0
    with pytest.raises(ValueError, match=rf"\b{alone}\b"):
        spectral_clusters(network, 2, rng=draw.rng)


# --- subtypes --------------------------------------------------------------------------------------------------------


@points(3)
def test_the_true_subtypes(subtypes, truth):
    """The clusters agree with the subtypes the patients really have, whatever the clusters are called.

    聚类与患者真实的亚型一致，簇叫什么名字无所谓。"""
    true = pd.Series(truth["subtype"]).loc[subtypes.index]
    # On simulated cohorts fusion reaches 0.87 and more; the best single layer stays below 0.65.
    assert adjusted_rand_score(true, subtypes) >= 0.7


@points(2)
def test_each_subtype_has_a_cluster(subtypes, truth):
    """There are three clusters, and each subtype has one that holds most of its patients and few others.

    共有三个簇；每个亚型都有一个簇，包含它的大多数患者，而很少混入其他人。"""
    counts = pd.crosstab(pd.Series(truth["subtype"]).loc[subtypes.index], subtypes)
    assert counts.shape == (3, 3)
    best = counts.idxmax(axis=1)
    assert best.is_unique
    for subtype, cluster in best.items():
        assert counts.loc[subtype, cluster] >= 0.75 * counts.loc[subtype].sum()
        assert counts.loc[subtype, cluster] >= 0.75 * counts[cluster].sum()


@points(2)
def test_more_than_any_layer_alone(subtypes, cohort, truth):
    """The clusters tell more about the true subtypes than the clusters of any single layer do.

    与任何单独一层的聚类相比，这些簇更能反映真实的亚型。"""
    true = pd.Series(truth["subtype"]).loc[subtypes.index]
    rng = np.random.default_rng(0)
    for name in LAYERS:
        alone = snf.affinity_matrix(snf.squared_distances(prepared(cohort, name).loc[subtypes.index]))
        found = snf.spectral_clusters(snf.full_kernel(alone), 3, rng=rng)
        assert adjusted_rand_score(true, subtypes) >= adjusted_rand_score(true, found) + 0.1


def prepared(cohort, name):
    """A layer as the lesson prepares it."""
    matched = cohort.matched()
    table = matched.layers[name]
    if name == "methylation":
        table = np.log2(table / (1 - table))
    elif name == "rna":
        counts = table.loc[:, (matched.features[name]["biotype"] != "spike_in").to_numpy()]
        counts = counts.loc[:, (counts >= 10).mean() >= 0.5] + 1
        table = np.log2(counts.div(counts.sum(axis=1), axis=0) * 1e6)
    else:
        seen = np.log2(table.loc[:, table.notna().mean() >= 0.6])
        table = seen.sub(seen.median(axis=1), axis=0)
    table = table.fillna(table.min())
    return table - table.groupby(matched.samples[name]["batch"]).transform("mean")


# --- propagate_labels ------------------------------------------------------------------------------------------------


@points(2)
def test_labels_flow_through_the_unlabelled(propagate_labels, draw):
    """Labels travel through unlabelled samples: along two long chains everybody gets the class at its end.

    标签会穿过未标记的样本传播：沿着两条长链，每个样本都得到链端的类别。"""
    length = 12
    chain = np.diag(draw.rng.uniform(0.5, 1, length - 1), 1)
    network = np.zeros((2 * length, 2 * length))
    network[:length, :length] = network[length:, length:] = chain + chain.T
    network[length - 1, length] = network[length, length - 1] = 1e-4  # the far ends hardly touch
    labels = np.full(2 * length, -1)
    labels[[0, -1]] = 5, 2
    order = draw.rng.permutation(2 * length)
    found = np.asarray(propagate_labels(network[np.ix_(order, order)], labels[order]))
    assert_array_equal(found, np.repeat([5, 2], length)[order])


@points(2)
def test_scores_without_balance(propagate_labels, draw):
    """With `balance_classes=False` a sample takes the class with the largest score, and scores are weighted means of
    the neighbours' scores, solved for all samples at once.

    `balance_classes=False` 时，样本取得分最高的类别；得分是邻居得分的加权平均，对所有样本同时求解。"""
    for _ in range(3):
        network = draw.affinity(50, shift=1.5)
        labels = np.where(draw.rng.random(50) < 0.3, draw.rng.integers(0, 3, 50), -1)
        labels[:3] = [0, 1, 2]
        expected = snf.propagate_labels(network, labels, balance_classes=False)
        assert_array_equal(propagate_labels(network, labels, balance_classes=False), expected)


@points(3)
def test_few_labels_are_not_drowned(propagate_labels, draw):
    """By default every class has the same mass, so that the class with few labels is found too.

    默认情况下每个类别的总质量相同，因此标签很少的类别也能找到。"""
    for _ in range(3):  # as many labels of either class, although one class is three times larger
        network, _, group = draw.unbalanced()
        labels = np.full(len(group), -1)
        labels[[0, 1, 2, -3, -2, -1]] = group[[0, 1, 2, -3, -2, -1]]
        assert_array_equal(propagate_labels(network, labels), snf.propagate_labels(network, labels))
    network, labels, group = draw.unbalanced()
    found = np.asarray(propagate_labels(network, labels))
    assert_array_equal(found, snf.propagate_labels(network, labels))
    hidden = labels == -1
    assert (found[hidden & (group == 1)] == 1).mean() > 0.5
    # Two who know both classes: 9 to 1 and 7 to 3. Class 1 has a mass of 0.4 only, and wins the second.
    network = np.zeros((4, 4))
    network[2:, :2] = np.array([[0.9, 0.1], [0.7, 0.3]]) * draw.rng.uniform(0.5, 2, size=(2, 1))
    assert_array_equal(propagate_labels(network + network.T, np.array([0, 1, -1, -1])), [0, 1, 0, 1])


@points(1)
def test_a_class_without_neighbours(propagate_labels, draw):
    """A class that no unlabelled sample can reach takes nobody, and does not spoil the others.

    没有任何未标记样本能到达的类别不会得到样本，也不会影响其他类别。"""
    network = np.zeros((14, 14))
    network[:12, :12] = draw.affinity(12, n_groups=1)
    network[12:, 12:] = 0.5
    labels = np.full(14, -1)
    labels[[0, 1, 12, 13]] = [0, 1, 2, 2]
    found = np.asarray(propagate_labels(network, labels))
    assert_array_equal(found, snf.propagate_labels(network, labels))
    assert (found[2:12] < 2).all()


@points(1)
def test_propagation_keeps_labels_and_input(propagate_labels, draw):
    """A Series gives a Series with its labels; where all are known nothing changes; the input is not changed.

    输入 Series 时返回带标签的 Series；全部已知时什么都不变；输入不会被修改。"""
    samples = patients(draw.rng, 16)
    network = frame(draw.affinity(16), samples)
    known = pd.Series(draw.rng.integers(0, 3, 16), index=samples)
    labels = known.where(draw.rng.random(16) < 0.5, -1)
    labels.iloc[:3] = [2, 1, 0]
    before = labels.copy()
    pd.testing.assert_series_equal(propagate_labels(network, labels), snf.propagate_labels(network, before))
    pd.testing.assert_series_equal(labels, before)
    pd.testing.assert_series_equal(propagate_labels(network, known), known)


@points(1)
def test_propagation_refuses_bad_input(propagate_labels, draw):
    """Labels of another length, fractions as labels, numbers below −1, and unlabelled samples without a path to a
    labelled one are refused with a `ValueError`.

    标签长度不符、标签不是整数、小于 −1，或未标记样本没有通向已标记样本的路径时，抛出 `ValueError`。"""
    network = draw.affinity(9, n_groups=1)
    good = np.array([0, 1, -1, -1, -1, -1, -1, -1, -1])
    for bad in (good[:8], good + 0.5, np.where(good < 0, -2, good)):
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            propagate_labels(network, bad)
    for _ in range(3):
        island = draw.affinity(40, n_groups=1)
        island[:25, 25:] = island[25:, :25] = 0
        labels = np.full(40, -1)
        labels[:10] = np.arange(10) % 2
        with pytest.raises(ValueError):  # noqa: PT011
            propagate_labels(island, labels)
