"""Visible checks of unit 05: what a learner sees and runs. Copied into the exercise's folder by the build."""

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from course.checking import points

RTOL = 1e-7  # another order of the same sums changes the last digits only


# ---------------------------------------------------------------- pc_association


@points(1)
def test_two_groups_on_a_line(pc_association):
    """The samples 0, 2 and 6, 8 have group means 1 and 7 around 4: η² is 36 / 40, and one component holds everything.

    样本 0、2 与 6、8 的组均值为 1 与 7，总均值为 4：η² 等于 36 / 40，且一个主成分就包含全部方差。"""
    table = pc_association(np.array([[0.0], [2.0], [6.0], [8.0]]), ["a", "a", "b", "b"])
    assert_allclose(table["eta_squared"].to_numpy(), [0.9], rtol=RTOL)
    assert_allclose(table["variance"].to_numpy(), [1.0], rtol=RTOL)


@points(1)
def test_rows_and_columns_of_the_answer(pc_association):
    """The answer has the columns variance and eta_squared and one row per component: PC1, PC2, ….

    结果含 variance 与 eta_squared 两列，每个主成分一行：PC1、PC2……"""
    x = np.random.default_rng(1).normal(size=(12, 6))
    table = pc_association(x, ["a", "b", "c"] * 4, n_components=3)
    assert table.columns.tolist() == ["variance", "eta_squared"]
    assert table.index.tolist() == ["PC1", "PC2", "PC3"]


# ---------------------------------------------------------------- reference_shift


@points(1)
def test_pools_of_two_runs(reference_shift):
    """Pools of 5 in run1 and 8 in run2 differ by 3, so the shifts are −1.5 and 1.5; the patients play no part.

    run1 的参照为 5，run2 的参照为 8，相差 3，故偏移为 −1.5 与 1.5；患者的数值不参与。"""
    x = np.array([[5.0], [60.0], [8.0], [-9.0]])
    shift = reference_shift(x, ["run1", "run1", "run2", "run2"], [True, False, True, False])
    assert_allclose(shift, [[-1.5], [1.5]], rtol=RTOL)


@points(1)
def test_shifts_are_named(reference_shift):
    """With a DataFrame the rows are named after the batches and the columns after the features.

    输入为 DataFrame 时，行名为批次，列名为特征。"""
    x = pd.DataFrame({"g1": [5.0, 8.0], "g2": [1.0, 1.0]}, index=["pool1", "pool2"])
    shift = reference_shift(x, pd.Series(["run1", "run2"], index=x.index), pd.Series([True, True], index=x.index))
    assert shift.index.tolist() == ["run1", "run2"]
    assert shift.columns.tolist() == ["g1", "g2"]
    assert_allclose(shift.to_numpy(), [[-1.5, 0.0], [1.5, 0.0]], rtol=RTOL)


# ---------------------------------------------------------------- confounding


@points(1)
def test_small_table(confounding):
    """Three cases and one control in two batches: the table counts them, and Cramér's V is 0.577.

    两个批次中共三个病例、一个对照：表中给出计数，Cramér V 为 0.577。"""
    judged = confounding(["b1", "b1", "b2", "b2"], ["case", "case", "case", "control"])
    assert judged.table.to_numpy().tolist() == [[2, 0], [1, 1]]
    assert judged.table.index.tolist() == ["b1", "b2"]
    assert judged.table.columns.tolist() == ["case", "control"]
    assert_allclose(judged.cramers_v, 3**-0.5, rtol=RTOL)


@points(1)
def test_two_blocks(confounding):
    """If all cases are in one batch and all controls in the other, there are two blocks and V is 1.

    病例全在一个批次、对照全在另一个批次时，有两个区块，V 等于 1。"""
    judged = confounding(["b1", "b1", "b2", "b2"], ["case", "case", "control", "control"])
    assert [tuple(map(list, block)) for block in judged.blocks] == [(["b1"], ["case"]), (["b2"], ["control"])]
    assert_allclose(judged.cramers_v, 1.0, rtol=RTOL)


# ---------------------------------------------------------------- planted_confounding


@points(1)
def test_three_entries(planted_confounding, cohort):
    """The answer names a layer of the cohort and a column of the clinical table.

    答案给出队列的某一层，以及临床表的某一列。"""
    assert set(planted_confounding) == {"layer", "with", "left"}
    assert planted_confounding["layer"] in cohort.layers
    assert planted_confounding["with"] in cohort.clinical.columns


@points(1)
def test_something_is_left_but_not_all(planted_confounding):
    """What is left of the comparison is a share: more than 0, less than 1.

    可比的信息剩下一部分：大于 0，小于 1。"""
    assert 0 < planted_confounding["left"] < 1


# ---------------------------------------------------------------- remove_batch


@points(1)
def test_two_runs_meet_in_the_middle(remove_batch):
    """1, 3 in run1 and 11, 13 in run2 become 6, 8 and 6, 8.

    run1 的 1、3 与 run2 的 11、13，校正后都变成 6、8。"""
    x = np.array([[1.0], [3.0], [11.0], [13.0]])
    assert_allclose(np.ravel(remove_batch(x, ["run1", "run1", "run2", "run2"])), [6, 8, 6, 8], rtol=RTOL)


@points(1)
def test_known_group_is_kept(remove_batch):
    """Cases are 4 higher, run2 is 10 higher, and nothing else varies: with the group kept, exactly the 4 remains.

    病例高 4，run2 高 10，此外没有变异：保留分组时，剩下的恰好是这个 4。"""
    runs = ["run1"] * 3 + ["run2"] * 3
    case = np.array([1.0, 1, 0, 1, 0, 0])
    x = (4 * case + 10 * np.array([0, 0, 0, 1, 1, 1]))[:, None]
    corrected = np.ravel(remove_batch(x, runs, covariates=case))
    assert_allclose(corrected, 5 + 4 * case, rtol=1e-6)


# ---------------------------------------------------------------- corrected_rna


@points(1)
def test_table_of_the_patients(corrected_rna, cohort):
    """The corrected table is a DataFrame of patients and genes of the RNA layer, without pools and without gaps.

    校正后的表是由 RNA 层的患者与基因组成的 DataFrame，不含参照样本，也没有缺失。"""
    assert isinstance(corrected_rna, pd.DataFrame)
    assert set(corrected_rna.index) <= set(cohort.layers["rna"].index)
    assert set(corrected_rna.columns) <= set(cohort.layers["rna"].columns)
    assert np.isfinite(corrected_rna.to_numpy()).all()


@points(1)
def test_scale_is_still_log_cpm(corrected_rna):
    """The values are still log₂ CPM: most genes have means between 0 and 15, and they differ between genes.

    数值仍是 log₂ CPM：多数基因的均值在 0 与 15 之间，且各基因不同。"""
    means = corrected_rna.mean()
    assert ((means > 0) & (means < 15)).mean() > 0.9
    assert means.std() > 0.5


# ---------------------------------------------------------------- prior_moments


@points(1)
def test_prior_by_hand(prior_moments):
    """Shifts −1, 1 and variances 1, 3 give mean 0, variance 2, shape 4 and scale 6.

    偏移 −1、1 与方差 1、3，得均值 0、方差 2、形状 4、尺度 6。"""
    prior = prior_moments(np.array([-1.0, 1.0]), np.array([1.0, 3.0]))
    assert_allclose([prior.mean, prior.variance, prior.shape, prior.scale], [0, 2, 4, 6], rtol=RTOL, atol=1e-12)


@points(1)
def test_prior_of_variances_does_not_look_at_the_shifts(prior_moments):
    """Moving all shifts by the same amount moves the prior's mean and nothing else.

    所有偏移加上同一个数，只有先验的均值随之改变。"""
    shifts, variances = np.array([-1.0, 0.5, 2.0]), np.array([0.6, 1.0, 1.7])
    first, second = prior_moments(shifts, variances), prior_moments(shifts + 3, variances)
    assert_allclose(second.mean, first.mean + 3, rtol=RTOL)
    assert_allclose(list(second)[1:], list(first)[1:], rtol=RTOL)


# ---------------------------------------------------------------- shrinkage_step


def prior(*numbers):
    """A prior of the class that the notebook gives."""
    try:
        from reference_impl.batch import Prior
    except ImportError:  # a learner has no reference: Prior stands in the notebook
        from __main__ import Prior
    return Prior(*numbers)


@points(1)
def test_step_by_hand(shrinkage_step):
    """Shift 2 and variance 1 from four samples, with prior (0, 0.25, 3, 2) and current variance 1: 1 and 1.375.

    四个样本，偏移 2、方差 1，先验 (0, 0.25, 3, 2)，目前的方差 1：得 1 与 1.375。"""
    shifts, variances = shrinkage_step(np.array([2.0]), np.array([1.0]), 4, prior(0.0, 0.25, 3.0, 2.0), np.array([1.0]))
    assert_allclose(shifts, [1.0], rtol=RTOL)
    assert_allclose(variances, [1.375], rtol=RTOL)


@points(1)
def test_new_shift_lies_between_gene_and_prior(shrinkage_step):
    """The new shift lies between what the gene says and what the prior says.

    新的偏移介于基因自己所说与先验所说之间。"""
    shifts = np.array([-2.0, 0.0, 0.4, 3.0])
    new, _ = shrinkage_step(shifts, np.ones(4), 5, prior(0.5, 0.3, 6.0, 5.0), np.array([0.5, 1.0, 2.0, 1.0]))
    assert (np.abs(np.asarray(new) - 0.5) < np.abs(shifts - 0.5)).all()
    assert ((np.asarray(new) - 0.5) * (shifts - 0.5) > 0).all()
