"""Visible checks of unit 03: what a learner sees and runs. Copied into the exercise's folder by the build."""

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from course.checking import points

# 1.4826 and 1 / 0.6745 are both in use; they differ by 1.4e-5.
RTOL = 1e-4


# ---------------------------------------------------------------- robust_z


@points(1)
def test_small_example(robust_z):
    """The numbers 2, 4, 4, 5, 40 have median 4 and MAD 1, so that 40 lies 36 / 1.4826 robust deviations above.

    2、4、4、5、40 的中位数为 4，MAD 为 1，因此 40 高出 36 / 1.4826 个稳健标准差。"""
    z = robust_z(np.array([[2.0], [4.0], [4.0], [5.0], [40.0]]))
    assert_allclose(np.ravel(z), np.array([-2, 0, 0, 1, 36]) / 1.4826, rtol=RTOL)


@points(1)
def test_table_keeps_its_labels(robust_z):
    """A DataFrame comes back as a DataFrame with the same samples and metrics.

    输入为 DataFrame 时，返回值也是 DataFrame，样本与指标的标签不变。"""
    table = pd.DataFrame({"depth": [1.0, 2.0, 4.0]}, index=["P001", "P002", "P003"])
    z = robust_z(table)
    assert isinstance(z, pd.DataFrame)
    assert z.index.tolist() == ["P001", "P002", "P003"]
    assert z.columns.tolist() == ["depth"]


# ---------------------------------------------------------------- mad_outliers


@points(1)
def test_one_value_stands_out(mad_outliers):
    """Of 2, 4, 4, 5, 40 only the last is marked.

    2、4、4、5、40 中只有最后一个被标记。"""
    marked = mad_outliers(np.array([[2.0], [4.0], [4.0], [5.0], [40.0]]))
    assert np.ravel(marked).tolist() == [False, False, False, False, True]


@points(1)
def test_answer_is_yes_or_no(mad_outliers):
    """The result has the shape of the table and holds only True and False.

    结果与输入表的形状相同，且只含 True 和 False。"""
    marked = np.asarray(mad_outliers(np.arange(12.0).reshape(6, 2) ** 2))
    assert marked.shape == (6, 2)
    assert marked.dtype == bool


# ---------------------------------------------------------------- concentration_step


@points(1)
def test_step_on_a_line(concentration_step):
    """Around 0 and 90 the middle is 45, and the closest three of 0, 40, 50, 60, 90 are the inner ones.

    由 0 和 90 出发，中心为 45；0、40、50、60、90 中离它最近的三个是中间三个。"""
    subset, location, covariance = concentration_step(np.array([[0.0], [40.0], [50.0], [60.0], [90.0]]), [0, 4], 3)
    assert list(subset) == [1, 2, 3]
    assert_allclose(location, [50.0], rtol=1e-9)
    assert_allclose(covariance, [[100.0]], rtol=1e-9)


@points(1)
def test_step_has_the_right_shapes(concentration_step):
    """With p metrics the location has p numbers, the covariance is p × p, and the subset has n_keep positions.

    有 p 个指标时，位置含 p 个数，协方差为 p × p，子集含 n_keep 个位置。"""
    x = np.random.default_rng(1).normal(size=(20, 3))
    subset, location, covariance = concentration_step(x, np.arange(12), 12)
    assert np.shape(subset) == (12,)
    assert np.shape(location) == (3,)
    assert np.shape(covariance) == (3, 3)


# ---------------------------------------------------------------- robust_distances


@points(1)
def test_masked_samples_are_seen(robust_distances):
    """A third of the samples form a cloud of their own; the robust distances of all of them exceed the cut-off.

    三分之一的样本自成一团；它们的稳健距离全部超过界值。"""
    rng = np.random.default_rng(2)
    x = np.vstack([rng.normal(size=(40, 2)), rng.normal(loc=8.0, scale=0.5, size=(20, 2))])
    result = robust_distances(x, rng=np.random.default_rng(0), n_starts=50)
    assert (np.asarray(result.distances)[40:] > result.cutoff).all()
    assert (np.asarray(result.distances)[:40] > result.cutoff).sum() < 10


@points(1)
def test_subset_holds_just_over_half(robust_distances):
    """With n = 30 samples, p = 2 metrics and support_fraction 0.5 the subset has (30 + 2 + 1) // 2 = 16 positions.

    n = 30、p = 2、support_fraction = 0.5 时，子集含 (30 + 2 + 1) // 2 = 16 个位置。"""
    x = np.random.default_rng(3).normal(size=(30, 2))
    result = robust_distances(x, rng=np.random.default_rng(0), n_starts=20)
    assert len(set(np.asarray(result.subset).tolist())) == 16
    assert not result.exact_fit


# ---------------------------------------------------------------- pca_outliers


@points(1)
def test_strange_sample_is_far_from_the_plane(pca_outliers):
    """The sample that is made differently has the largest orthogonal distance and is an outlier.

    构成与众不同的样本，其正交距离最大，并被判为离群。"""
    rng = np.random.default_rng(4)
    x = np.outer(rng.normal(size=30), np.ones(80)) + rng.normal(scale=0.1, size=(30, 80))
    x[7, :40] += 2
    found = pca_outliers(x, n_components=1, rng=np.random.default_rng(0))
    assert int(np.argmax(found["orthogonal_distance"])) == 7
    assert bool(found["outlier"].iloc[7])


@points(1)
def test_table_of_three_columns(pca_outliers):
    """The result has one row per sample, with its label, and the three columns of the task in their order.

    结果每个样本一行并保留标签，三列的名称与顺序同题目所述。"""
    names = [f"P{i:03d}" for i in range(25)]
    x = pd.DataFrame(np.random.default_rng(5).normal(size=(25, 6)), index=names)
    found = pca_outliers(x, n_components=2, rng=np.random.default_rng(0))
    assert found.columns.tolist() == ["score_distance", "orthogonal_distance", "outlier"]
    assert found.index.tolist() == names


# ---------------------------------------------------------------- run_qc


def gates(*rows):
    """Gates from (name, metric, lower, upper), of the class that the notebook gives."""
    try:
        from reference_impl.quality import Gate
    except ImportError:  # a learner has no reference: Gate stands in the notebook
        from __main__ import Gate
    return [Gate(*row) for row in rows]


METRICS = pd.DataFrame(
    {"depth": [9.0, 2.0, 8.0, 7.0], "rin": [8.0, 3.0, 4.0, 7.5]}, index=["P001", "P002", "P003", "P004"]
)


@points(1)
def test_two_gates(run_qc):
    """P002 is stopped by the first gate and P003 by the second; the audit says at which value and bound.

    P002 被第一道门挡下，P003 被第二道门挡下；审计表给出各自的数值与界限。"""
    kept, audit = run_qc(METRICS, gates(("deep", "depth", 5.0, np.inf), ("intact", "rin", 6.0, np.inf)))
    assert list(kept) == ["P001", "P004"]
    assert audit.columns.tolist() == ["sample", "gate", "value", "threshold"]
    assert audit.to_numpy().tolist() == [["P002", "deep", 2.0, 5.0], ["P003", "intact", 4.0, 6.0]]


@points(1)
def test_second_run_drops_nobody(run_qc):
    """What was kept passes the same gates again: the second audit is empty.

    保留下来的样本再过一遍同样的门，不会再有人被剔除：第二张审计表为空。"""
    both = gates(("deep", "depth", 5.0, np.inf), ("intact", "rin", 6.0, np.inf))
    kept, _ = run_qc(METRICS, both)
    again, audit = run_qc(METRICS.loc[kept], both)
    assert list(again) == list(kept)
    assert len(audit) == 0


# ---------------------------------------------------------------- failed_libraries


@points(1)
def test_labels_of_libraries(failed_libraries, cohort):
    """Each label is that of an RNA library and stands once.

    每个标签都是某个 RNA 文库的标签，且只出现一次。"""
    names = list(failed_libraries)
    assert set(names) <= set(cohort.layers["rna"].index)
    assert len(set(names)) == len(names)


@points(1)
def test_some_but_not_most(failed_libraries, cohort):
    """Some libraries failed, but by far the most did not: less than a fifth are named.

    有文库失败，但绝大多数没有：所列文库不到五分之一。"""
    assert 0 < len(failed_libraries) < len(cohort.layers["rna"]) / 5
