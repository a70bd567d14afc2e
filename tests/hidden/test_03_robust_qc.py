"""Hidden tests of unit 03: inputs come from a seed that only the instructor's key knows."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2

from course.checking import drawn, points
from reference_impl import quality as reference
from reference_impl.quality import Gate

# 1.4826 and 1 / 0.6745 are both in use, as are 1.2533 and √(π/2); they differ by 1.4e-5 at most.
CONSTANTS = 1e-4
# Inverting a covariance of condition 1e4 by different routes costs 1e-11; the rest is margin.
ROUNDING = 1e-6


def as_table(x):
    """A DataFrame with labels of patients and metrics."""
    rows = [f"P{i + 1:03d}" for i in range(len(x))]
    return pd.DataFrame(x, index=rows, columns=[f"metric{j}" for j in range(np.shape(x)[1])])


# ---------------------------------------------------------------- robust_z


@drawn
def skewed_metrics(rng, n=41, p=4):
    """Metrics of very different size, skewed, some negative: no two of them share a median or a MAD."""
    return rng.lognormal(sigma=0.7, size=(n, p)) * 10.0 ** rng.uniform(-4, 4, size=p) * rng.choice([-1, 1], size=p)


@drawn
def mostly_one_value(rng, n=30, value=7.0):
    """Two metrics of different size of which more than half of the values are equal, so that their MAD is 0."""
    x = np.full((n, 2), value)
    x[: n // 3] += rng.uniform(1, 20, size=(n // 3, 2)) * rng.choice([-1, 1], size=(n // 3, 2)) * [1, 50]
    return rng.permutation(x)


@points(2)
def test_each_metric_has_its_own_median_and_mad(robust_z, draw):
    """Every metric is measured against its own median, in units of its own MAD times 1.4826.

    每个指标都以自己的中位数为基准，以自己的 MAD 乘 1.4826 为单位。"""
    for n in (40, 41):
        x = draw.skewed_metrics(n)
        # A value near the median may differ by a rounding error of the metric's own size.
        assert_allclose(robust_z(x), reference.robust_z(x), rtol=CONSTANTS, atol=1e-9)


@points(2)
def test_more_than_half_equal(robust_z, draw):
    """Where more than half of the values are equal, the mean absolute deviation takes the MAD's place.

    当一半以上的数值相等时，由平均绝对偏差代替 MAD。"""
    x = draw.mostly_one_value()
    assert_allclose(robust_z(x), reference.robust_z(x), rtol=CONSTANTS)


@points(1)
def test_constant_metric_is_zero(robust_z, draw):
    """A metric that is the same in all samples makes nobody special: its z is 0, neither NaN nor infinite.

    若某指标在所有样本中都相同，则没有谁特殊：其 z 为 0，而不是 NaN 或无穷。"""
    x = np.column_stack([np.full(12, draw.rng.uniform(1, 9)), draw.rng.normal(size=12)])
    z = np.asarray(robust_z(x))
    assert_array_equal(z[:, 0], 0.0)
    assert np.abs(z[:, 1]).max() > 0


@points(1)
def test_tables_in_and_out(robust_z, draw):
    """The result carries the labels of the table that came in, and that table is the same after the call as before.

    结果带有传入表的标签；而传入的表在调用前后保持不变。"""
    x = as_table(draw.skewed_metrics(9))
    before = x.copy()
    z = robust_z(x)
    pd.testing.assert_frame_equal(x, before)
    assert isinstance(z, pd.DataFrame)
    assert z.index.equals(x.index)
    assert z.columns.equals(x.columns)


@points(1)
def test_missing_value_is_refused(robust_z, draw):
    """A missing value is refused with a ValueError: skipping it would hide that something was not measured.

    遇到缺失值应抛出 ValueError：跳过它，就掩盖了“有一项没有测到”这件事。"""
    x = draw.skewed_metrics(9)
    x[draw.rng.integers(9), 1] = np.nan
    with pytest.raises(ValueError, match=r"."):
        robust_z(x)


# ---------------------------------------------------------------- mad_outliers


@drawn
def two_sided(rng, n=60):
    """Normal samples with outliers of 2 to 12 robust deviations on either side, in two metrics of different size."""
    x = rng.normal(size=(n, 2))
    x[:16] = rng.uniform(2.0, 12.0, size=(16, 2)) * rng.choice([-1, 1], size=(16, 2))
    x[0], x[1] = 9.0, -9.0  # at least one on either side, beyond any doubt
    return rng.permutation(x) * [1.0, 1000.0] + [5.0, 0.0]


@points(2)
def test_both_sides_are_marked(mad_outliers, draw):
    """Values beyond 3.5 robust deviations are marked, too low as well as too high, and no others.

    超出 3.5 个稳健标准差的数值，无论过低还是过高，都被标记；其余的都不标记。"""
    x = draw.two_sided()
    assert_array_equal(mad_outliers(x), reference.mad_outliers(x))


@points(1)
def test_threshold_is_obeyed(mad_outliers, draw):
    """A lower threshold marks more values, a higher one fewer.

    阈值越低，标记越多；阈值越高，标记越少。"""
    x = draw.two_sided()
    for threshold in (2.5, 8.0):
        assert_array_equal(mad_outliers(x, threshold=threshold), reference.mad_outliers(x, threshold=threshold))


@points(2)
def test_one_side_only(mad_outliers, draw):
    """With side="lower" only values that are too low are marked, with side="upper" only those that are too high.

    side="lower" 时只标记过低的数值，side="upper" 时只标记过高的数值。"""
    x = draw.two_sided()
    for side in ("lower", "upper"):
        assert_array_equal(mad_outliers(x, side=side), reference.mad_outliers(x, side=side))


@points(1)
def test_value_at_the_threshold_is_accepted(mad_outliers, draw):
    """A value that lies exactly at the threshold is accepted: at threshold 0 the median itself is not marked.

    恰好落在阈值上的数值应被接受：阈值为 0 时，中位数本身不被标记。"""
    x = draw.rng.permutation(np.arange(1.0, 10.0))[:, None] + draw.rng.integers(100)
    for side in ("both", "lower", "upper"):
        marked = np.asarray(mad_outliers(x, threshold=0.0, side=side))
        assert not marked[x == np.median(x)].any()
        assert marked.any()


@points(1)
def test_labels_and_bool(mad_outliers, draw):
    """A DataFrame comes back as a DataFrame of True and False with the same labels.

    输入为 DataFrame 时，返回值是标签相同、由 True 和 False 组成的 DataFrame。"""
    x = as_table(draw.two_sided())
    marked = mad_outliers(x)
    assert isinstance(marked, pd.DataFrame)
    assert marked.index.equals(x.index)
    assert marked.columns.equals(x.columns)
    assert all(dtype.kind == "b" for dtype in marked.dtypes)


@points(1)
def test_unknown_side_and_negative_threshold_are_refused(mad_outliers, draw):
    """A side that does not exist and a negative threshold are refused with a ValueError.

    不存在的 side 和负的阈值，都应以 ValueError 拒绝。"""
    x = draw.two_sided()
    with pytest.raises(ValueError, match=r"."):
        mad_outliers(x, side="left")
    with pytest.raises(ValueError, match=r"."):
        mad_outliers(x, threshold=-draw.rng.uniform(0.5, 3.0))


# ---------------------------------------------------------------- concentration_step


@drawn
def correlated_metrics(rng, n=50, p=3, n_bad=0):
    """Correlated metrics of different size; n_bad samples lie far away.

    If all others are the h that are trusted, they are the best subset, which any starts find.
    """
    mix = rng.uniform(-1, 1, size=(p, p)) + 1.5 * np.eye(p)
    x = rng.normal(size=(n, p)) @ mix
    if n_bad:
        away = rng.choice([-1, 1], size=p) * rng.uniform(25, 35, size=p)
        x[:n_bad] = rng.normal(scale=4, size=(n_bad, p)) + away
    return rng.permutation(x) * 10.0 ** np.arange(p) + rng.uniform(-5, 5, size=p)


@points(2)
def test_one_step(concentration_step, draw):
    """One step keeps the samples closest in Mahalanobis distance and returns their mean and covariance.

    走一步之后，保留马氏距离最近的样本，并返回它们的均值与协方差。"""
    x = draw.correlated_metrics()
    start = draw.rng.choice(50, size=30, replace=False)
    subset, location, covariance = concentration_step(x, start, 30)
    right = reference.concentration_step(x, start, 30)
    assert set(np.asarray(subset).tolist()) == set(right[0].tolist())
    assert_allclose(location, right[1], rtol=ROUNDING)
    assert_allclose(covariance, right[2], rtol=ROUNDING)


@points(1)
def test_subset_may_grow(concentration_step, draw):
    """The number kept is n_keep, from p + 1 samples that are enough to start up to all samples.

    保留的样本数等于 n_keep：从足以起步的 p + 1 个样本出发，最多可保留全部样本。"""
    x = draw.correlated_metrics()
    start = draw.rng.choice(50, size=4, replace=False)
    for n_keep in (33, 50):
        subset, _, _ = concentration_step(x, start, n_keep)
        right, _, _ = reference.concentration_step(x, start, n_keep)
        assert set(np.asarray(subset).tolist()) == set(right.tolist())


@points(1)
def test_order_of_positions(concentration_step, draw):
    """Positions come in increasing order, and of samples at equal distance the first ones are kept.

    位置按从小到大排列；距离相等的样本，保留位置靠前的。"""
    x = draw.rng.permutation(np.repeat([[0.0], [1.0], [2.0], [7.0]], 30, axis=0))
    start = np.array([np.flatnonzero(x[:, 0] == value)[0] for value in (0.0, 1.0, 2.0)])
    subset, _, _ = concentration_step(x, start, 70)  # all 30 at distance 0, and the first 40 of the next 60
    assert np.asarray(subset).tolist() == reference.concentration_step(x, start, 70)[0].tolist()


@points(2)
def test_impossible_subsets_are_refused(concentration_step, draw):
    """Too few or too many samples to keep, positions twice or out of range, and samples on a plane are refused.

    要保留的样本过少或过多、位置重复或越界、样本落在同一平面上，都应拒绝。"""
    x = draw.correlated_metrics(20, 2)
    for start, n_keep in [
        (np.arange(10), 2),
        (np.arange(10), 21),
        (np.array([0, 1, 1, 2, 3]), 11),
        (np.array([0, 1, 2, 20]), 11),
        (np.array([0, 1, 2, -1]), 11),
        (np.arange(10) / 2, 11),
        (np.arange(12).reshape(3, 4), 11),
    ]:
        with pytest.raises(ValueError, match=r"."):
            concentration_step(x, start, n_keep)
    for slope in (0.1, 0.3, 0.7):  # rounding leaves a determinant that is tiny but not 0
        x[:5, 1] = slope * x[:5, 0]
        with pytest.raises(ValueError, match=r"."):
            concentration_step(x, np.arange(5), 11)


# ---------------------------------------------------------------- robust_distances


@points(3)
def test_distances_of_masked_outliers(robust_distances, draw):
    """Location, covariance and distances are those of the reweighted minimum covariance determinant.

    位置、协方差与距离均为重加权的最小协方差行列式估计所给出的值。"""
    x = draw.correlated_metrics(24, 2, 11)
    result = robust_distances(x, rng=np.random.default_rng(1), n_starts=100)
    right = reference.robust_distances(x, rng=np.random.default_rng(1), n_starts=100)
    assert_allclose(result.location, right.location, rtol=ROUNDING)
    assert_allclose(result.covariance, right.covariance, rtol=ROUNDING)
    assert_allclose(result.distances, right.distances, rtol=ROUNDING)
    assert result.cutoff == pytest.approx(right.cutoff, rel=ROUNDING)


@points(1)
def test_best_subset(robust_distances, draw):
    """The subset holds the positions of the h samples whose covariance has the smallest determinant.

    子集给出协方差行列式最小的那 h 个样本的位置。"""
    x = draw.correlated_metrics(30, 2, 14)
    result = robust_distances(x, rng=np.random.default_rng(2), n_starts=80)
    right = reference.robust_distances(x, rng=np.random.default_rng(2), n_starts=80)
    assert np.asarray(result.subset).tolist() == right.subset.tolist()
    assert not result.exact_fit


@points(1)
def test_search_goes_to_the_end(robust_distances, draw):
    """The search ends where another concentration step changes nothing.

    搜索一直走到再走一个集中步也不会改变为止。"""
    x = draw.rng.normal(size=(150, 3))
    subset = np.asarray(robust_distances(x, rng=np.random.default_rng(7), n_starts=15).subset)
    assert reference.concentration_step(x, subset, len(subset))[0].tolist() == subset.tolist()


@points(2)
def test_support_fraction_is_obeyed(robust_distances, draw):
    """With a larger support_fraction more samples are trusted, and the correction factors follow.

    support_fraction 越大，被信任的样本越多，校正因子也随之改变。"""
    x = draw.correlated_metrics(40, 1, 4)
    for fraction in (0.6, 1.0):
        result = robust_distances(x, rng=np.random.default_rng(3), support_fraction=fraction, n_starts=100)
        right = reference.robust_distances(x, rng=np.random.default_rng(3), support_fraction=fraction, n_starts=100)
        assert len(result.subset) == len(right.subset)
        assert_allclose(result.distances, right.distances, rtol=ROUNDING)


@points(2)
def test_exact_fit_is_reported(robust_distances, draw):
    """If most samples lie on one line that is reported, not an error; samples off the line are infinitely far.

    若多数样本落在同一直线上，应如实报告而非报错；线外的样本距离为无穷大。"""
    along = draw.rng.normal(size=30)
    x = np.column_stack([along, 2 * along - 1])
    x[22:, 1] += draw.rng.uniform(1, 3, size=8)
    result = robust_distances(as_table(x), rng=np.random.default_rng(4), n_starts=20)
    assert result.exact_fit
    assert result.distances.index[22] == "P023"
    assert np.isinf(np.asarray(result.distances)[22:]).all()
    assert np.isfinite(np.asarray(result.distances)[:22]).all()
    assert sorted(np.asarray(result.subset).tolist()) == list(range(22))
    assert_allclose(result.location, x[:22].mean(axis=0), rtol=ROUNDING)


@points(1)
def test_distances_keep_their_samples(robust_distances, draw):
    """If a DataFrame came in, the distances are a Series with its sample labels.

    输入为 DataFrame 时，距离是带样本标签的 Series。"""
    x = as_table(draw.correlated_metrics(25, 2))
    result = robust_distances(x, rng=np.random.default_rng(5), n_starts=5)
    assert isinstance(result.distances, pd.Series)
    assert result.distances.index.equals(x.index)


@points(1)
def test_too_few_samples_are_refused(robust_distances, draw):
    """No more samples than metrics plus one, a support_fraction below 0.5 or no start at all: a ValueError.

    样本数不超过指标数加一、support_fraction 小于 0.5、或一次起步也没有：抛出 ValueError。"""
    x = draw.correlated_metrics(30, 4)
    for metrics, rows in [(1, 2), (2, 3), (4, 3), (4, 4), (4, 5)]:
        with pytest.raises(ValueError, match=r"."):
            robust_distances(x[:rows, :metrics], rng=np.random.default_rng(6), n_starts=5)
    for bad in ({"support_fraction": 0.47}, {"support_fraction": 1.01}, {"n_starts": 0}):
        with pytest.raises(ValueError, match=r"."):
            robust_distances(x, rng=np.random.default_rng(6), **bad)
    with pytest.raises(ValueError, match=r"."):
        robust_distances(x, rng=6, n_starts=5)


# ---------------------------------------------------------------- pca_outliers


@drawn
def plane_with_strangers(rng, n=21, p=40, k=2):
    """Samples near a plane; the first two lie far out in it, the third and fourth are made differently."""
    scores = rng.normal(size=(n, k)) * np.linspace(4, 2, k)
    scores[:2, 0] = [40.0, 45.0]
    x = scores @ rng.normal(size=(k, p)) + 0.3 * rng.normal(size=(n, p))
    x[2:4] += 3.0 * rng.normal(size=(2, p))
    return x + rng.uniform(-3, 3, size=p)


@points(2)
def test_orthogonal_distances(pca_outliers, draw):
    """The distances from the samples to the robust plane, in the units of the data.

    各样本到稳健平面的距离，以数据自身的单位表示。"""
    x = draw.plane_with_strangers()
    found = pca_outliers(x, n_components=2, rng=np.random.default_rng(1))
    right = reference.pca_outliers(x, n_components=2, rng=np.random.default_rng(1))
    assert_allclose(found["orthogonal_distance"], right["orthogonal_distance"], rtol=ROUNDING)


@points(2)
def test_score_distances(pca_outliers, draw):
    """The distances within the plane are robust distances of the scores, with support fraction 0.75.

    平面内的距离是得分的稳健距离，支撑比例为 0.75。"""
    x = draw.plane_with_strangers()
    found = pca_outliers(x, n_components=2, rng=np.random.default_rng(2))
    right = reference.pca_outliers(x, n_components=2, rng=np.random.default_rng(2))
    assert_allclose(found["score_distance"], right["score_distance"], rtol=ROUNDING)


@points(2)
def test_either_distance_makes_an_outlier(pca_outliers, draw):
    """A sample is an outlier if its score distance or its orthogonal distance exceeds the cut-off of the quantile.

    得分距离或正交距离只要有一个超过该分位数的界值，样本就是离群样本。"""
    # One dimension is left over, where distances are as skewed as they can be: a normal cut-off is too low.
    x = draw.rng.normal(size=(300, 3)) * [6.0, 4.0, 1.0]
    found = pca_outliers(x, n_components=2, rng=np.random.default_rng(3), quantile=0.9)
    orthogonal = np.asarray(found["orthogonal_distance"])
    far = np.asarray(found["score_distance"]) > np.sqrt(chi2.ppf(0.9, 2))
    strange = orthogonal > reference.distance_cutoff(orthogonal, 0.9)
    assert np.asarray(found["outlier"]).tolist() == (far | strange).tolist()


@points(1)
def test_most_samples_in_the_plane(pca_outliers, draw):
    """If most samples lie exactly in a plane, their orthogonal distance is 0 and whoever is off it is an outlier.

    若多数样本恰好落在一个平面内，它们的正交距离为 0，平面之外的样本即为离群样本。"""
    x = draw.rng.normal(size=(30, 2)) @ draw.rng.normal(size=(2, 8))
    x[:3] += 30 * draw.rng.normal(size=(3, 8))
    found = pca_outliers(as_table(x), n_components=2, rng=np.random.default_rng(6))
    assert found.index[0] == "P001"
    assert (np.asarray(found["orthogonal_distance"]) > 1e-6).tolist() == [True] * 3 + [False] * 27
    assert np.asarray(found["outlier"])[:3].all()
    assert np.asarray(found["outlier"])[3:].sum() < 10


@points(1)
def test_a_crowd_does_not_bend_the_plane(pca_outliers, draw):
    """A fifth of the samples, all wrong in one direction, are outliers; they do not become the first component.

    五分之一的样本朝同一方向出错，它们应是离群样本，而不应变成第一主成分。"""
    x = 3 * np.outer(draw.rng.normal(size=60), draw.rng.normal(size=100)) + 0.3 * draw.rng.normal(size=(60, 100))
    x[:12] += 20 * draw.rng.normal(size=100)
    found = pca_outliers(x, n_components=1, rng=np.random.default_rng(4))
    assert np.asarray(found["outlier"])[:12].all()
    assert np.asarray(found["outlier"])[12:].mean() < 0.25


@points(1)
def test_impossible_planes_are_refused(pca_outliers, draw):
    """No component, more components than the data have, too few samples or a quantile of 1: a ValueError.

    主成分数为 0、超过数据的秩、样本过少或分位数为 1：抛出 ValueError。"""
    x = draw.rng.normal(size=(40, 6))
    rng = np.random.default_rng(5)
    for rows, n_components, quantile in [(40, 0, 0.975), (40, 1.5, 0.975), (40, 7, 0.975), (40, 2, 1.0), (5, 4, 0.975)]:
        with pytest.raises(ValueError, match=r"."):
            pca_outliers(x[:rows], n_components=n_components, rng=rng, quantile=quantile)
    with pytest.raises(ValueError, match=r"."):
        pca_outliers(x, n_components=2, rng=5)


# ---------------------------------------------------------------- run_qc


@drawn
def library_metrics(rng, n=40):
    """Metrics of n libraries; some are missing, and some libraries are bad in more than one way."""
    labels = rng.permutation([f"P{i + 1:03d}" for i in range(n)])
    rin = np.round(rng.uniform(3, 10, size=n), 1)
    rin[rng.choice(n, size=4, replace=False)] = np.nan
    table = {"depth": rng.integers(1, 30, size=n), "rin": rin, "duplicates": np.round(rng.uniform(0, 1, size=n), 2)}
    return pd.DataFrame(table, index=pd.Index(labels, name="library"))


@drawn
def three_gates(rng):
    """Gates on the metrics in an order that is not theirs, one of them with two bounds."""
    return [
        Gate("not copied", "duplicates", upper=float(np.round(rng.uniform(0.7, 0.8), 2))),
        Gate("depth in range", "depth", lower=float(rng.integers(4, 7)), upper=float(rng.integers(25, 28))),
        Gate("intact", "rin", lower=float(np.round(rng.uniform(4.5, 6), 1))),
    ]


@points(2)
def test_kept_samples(run_qc, draw):
    """Kept are the samples that pass every gate, in the order of the table and with its index name.

    保留的是通过每一道门的样本，次序与原表一致，索引名称不变。"""
    metrics, gates = draw.library_metrics(), draw.three_gates()
    kept, _ = run_qc(metrics, gates)
    right, _ = reference.run_qc(metrics, gates)
    assert list(kept) == list(right)
    assert kept.name == "library"


@points(2)
def test_audit_names_the_first_gate(run_qc, draw):
    """Each dropped sample stands once in the audit, under the first gate it failed, in the order of the gates.

    每个被剔除的样本在审计表中只出现一次，记在它未通过的第一道门下，次序与门的次序一致。"""
    metrics, gates = draw.library_metrics(), draw.three_gates()
    _, audit = run_qc(metrics, gates)
    _, right = reference.run_qc(metrics, gates)
    assert audit["sample"].tolist() == right["sample"].tolist()
    assert audit["gate"].tolist() == right["gate"].tolist()


@points(1)
def test_audit_gives_value_and_bound(run_qc, draw):
    """The audit gives the value that was measured and the bound that it crossed, the lower or the upper one.

    审计表给出测得的数值，以及它越过的界限：下界或上界。"""
    metrics, gates = draw.library_metrics().dropna(), draw.three_gates()
    _, audit = run_qc(metrics, gates)
    _, right = reference.run_qc(metrics, gates)
    assert len(audit) == len(right)
    assert_allclose(audit["value"].astype(float), right["value"])
    assert_allclose(audit["threshold"].astype(float), right["threshold"])


@points(1)
def test_missing_value_passes_no_gate(run_qc, draw):
    """A sample whose metric is missing is dropped, even by a gate without bounds; value and threshold are NaN.

    指标缺失的样本应被剔除，即使这道门没有界限；审计表中数值与界限均为 NaN。"""
    metrics = draw.library_metrics()
    kept, audit = run_qc(metrics, [Gate("measured", "rin")])
    assert list(kept) == metrics.index[metrics["rin"].notna()].tolist()
    assert len(audit) == metrics["rin"].isna().sum()
    assert audit[["value", "threshold"]].isna().all(axis=None)


@points(1)
def test_bounds_are_included(run_qc, draw):
    """A value that lies exactly on a bound passes.

    数值恰好等于界限时，视为通过。"""
    metrics = draw.library_metrics()
    low, high = metrics["depth"].min(), metrics["depth"].max()
    kept, audit = run_qc(metrics, [Gate("depth", "depth", lower=float(low), upper=float(high))])
    assert list(kept) == list(metrics.index)
    assert len(audit) == 0
    assert audit.columns.tolist() == ["sample", "gate", "value", "threshold"]


@points(1)
def test_dropping_everybody_is_refused(run_qc, draw):
    """Gates that would leave nobody are refused with a ValueError: then the bounds are wrong, not the samples.

    若所有样本都会被剔除，应抛出 ValueError：错的是界限，而不是样本。"""
    metrics = draw.library_metrics()
    with pytest.raises(ValueError, match=r"."):
        run_qc(metrics, [Gate("deep", "depth", lower=10.0), Gate("shallow", "depth", upper=9.0)])


@points(1)
def test_unusable_protocols_are_refused(run_qc, draw):
    """A metric that is not there or holds words, two gates of one name and repeated samples: a ValueError.

    指标不存在或内容不是数、两道门同名、样本标签重复：抛出 ValueError。"""
    metrics = draw.library_metrics()
    words = metrics.assign(operator="A")
    deep = Gate("deep", "depth", lower=2.0)
    for table, gates in [
        (metrics, [Gate("known", "mapped", lower=0.5)]),
        (words, [Gate("operator", "operator")]),
        (metrics, [deep, Gate("deep", "rin", lower=3.0)]),
        (pd.concat([metrics, metrics.iloc[:1]]), [deep]),
        (metrics.to_numpy(), [deep]),
        (metrics.iloc[:0], [deep]),
    ]:
        with pytest.raises(ValueError, match=r"."):
            run_qc(table, gates)


# ---------------------------------------------------------------- failed_libraries


def failed_by(truth, kind):
    """The libraries that failed in one way."""
    return {label for label, reason in truth["failure_kind"]["rna"].items() if reason == kind}


@points(1)
def test_shallow_libraries_are_found(failed_libraries, truth):
    """Libraries with far too few reads are named.

    读段数远远不足的文库已列出。"""
    assert failed_by(truth, "low_depth") <= set(failed_libraries)


@points(1)
def test_dying_cells_are_found(failed_libraries, truth):
    """Libraries made from dying cells are named.

    由濒死细胞制成的文库已列出。"""
    assert failed_by(truth, "mitochondrial") <= set(failed_libraries)


@points(1)
def test_degraded_libraries_are_found(failed_libraries, truth):
    """Libraries made from degraded RNA are named.

    由降解的 RNA 制成的文库已列出。"""
    assert failed_by(truth, "degraded") <= set(failed_libraries)


@points(1)
def test_overamplified_libraries_are_found(failed_libraries, truth):
    """Libraries that were amplified from too little are named.

    起始量太少而扩增过度的文库已列出。"""
    assert failed_by(truth, "overamplified") <= set(failed_libraries)


@points(1)
def test_good_libraries_stay(failed_libraries, truth):
    """No good library is named: each of them is a patient's data.

    没有列入任何好文库：每一个都是一名患者的数据。"""
    assert set(failed_libraries) <= set(truth["failed_libraries"]["rna"])
