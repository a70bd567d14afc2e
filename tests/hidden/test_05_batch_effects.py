"""Hidden tests of unit 05: inputs come from a seed that only the instructor's key knows."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from course.checking import drawn, points
from reference_impl import batch as reference
from reference_impl.batch import Prior

# Least squares and singular vectors by another route differ in the last digits; a wrong rule differs in the first.
RTOL, ATOL = 1e-6, 1e-9


def as_table(x, prefix="P"):
    """A DataFrame with labels of samples and genes."""
    rows = [f"{prefix}{i + 1:03d}" for i in range(len(x))]
    return pd.DataFrame(x, index=rows, columns=[f"gene{j}" for j in range(np.shape(x)[1])])


@drawn
def study(rng, sizes=(9, 14, 6), n_features=12):
    """Samples of batches of unequal size in mixed order; every feature has its own level, spread and batch shifts."""
    names = np.array([f"run{k}" for k in rng.permutation(9)[: len(sizes)]])
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    level, spread = rng.uniform(3, 12, n_features), rng.uniform(0.3, 2, n_features)
    shifts = rng.normal(size=(len(sizes), n_features)) + rng.normal(size=(len(sizes), 1))
    return level + spread * rng.normal(size=(len(codes), n_features)) + shifts[codes], names[codes]


@drawn
def unequal_groups(rng, batch):
    """Cases and controls, both in every batch, in another mixture in each."""
    group = np.full(len(batch), "control", dtype=object)
    names = rng.permutation(np.unique(batch))
    for name, share in zip(names, np.linspace(0.25, 0.8, len(names)), strict=True):
        own = rng.permutation(np.flatnonzero(batch == name))
        group[own[: min(len(own) - 1, max(1, round(share * len(own))))]] = "case"
    return group.astype(str)


# ---------------------------------------------------------------- pc_association


@points(2)
def test_groups_explain_components(pc_association, draw):
    """η² is the share of a component's variance that lies between the groups, whatever their sizes.

    η² 是主成分的方差中位于各组之间的份额，与各组大小无关。"""
    x, batch = draw.study()
    x[:, 3] = x[0, 3]  # a feature that does not vary is no reason to refuse the others
    table, right = pc_association(x, batch, n_components=6), reference.pc_association(x, batch, n_components=6)
    assert_allclose(table["eta_squared"], right["eta_squared"], rtol=RTOL, atol=ATOL)


@points(2)
def test_numbers_explain_by_a_straight_line(pc_association, draw):
    """For a variable of numbers η² is the squared correlation with the component's scores.

    对数值变量，η² 是它与主成分得分的相关系数的平方。"""
    x, _ = draw.study()
    age = np.round(draw.rng.normal(58, 11, len(x)), 1)
    table, right = pc_association(x, age, n_components=6), reference.pc_association(x, age, n_components=6)
    assert_allclose(table["eta_squared"], right["eta_squared"], rtol=RTOL, atol=ATOL)


@points(2)
def test_variance_is_a_share_of_the_total(pc_association, draw):
    """Each component's variance is given as a share of the total variance, also of components that are not returned.

    每个主成分的方差以占总方差的份额给出，总方差也包括没有返回的主成分。"""
    x, batch = draw.study()
    table, right = pc_association(x, batch, n_components=4), reference.pc_association(x, batch, n_components=4)
    assert_allclose(table["variance"], right["variance"], rtol=RTOL)


@points(1)
def test_no_more_rows_than_components(pc_association, draw):
    """Data that vary in three directions have three components, even if ten are asked for.

    只在三个方向上有变异的数据只有三个主成分，即使要求十个。"""
    batch = np.array(["run1", "run2", "run3"] * 5)
    x = draw.rng.normal(size=(15, 3)) @ draw.rng.normal(size=(3, 20)) + draw.rng.uniform(5, 9, 20)
    table = pc_association(x, batch)
    assert table.index.tolist() == ["PC1", "PC2", "PC3"]
    # By default ten are returned where there are more.
    assert len(pc_association(draw.rng.normal(size=(15, 20)), batch)) == 10


@points(1)
def test_missing_values_are_refused(pc_association, draw):
    """A table with a missing value has no components: it is refused with a ValueError.

    有缺失值的表没有主成分可言：应以 ValueError 拒绝。"""
    x, batch = draw.study()
    x[draw.rng.integers(len(x)), 2] = np.nan
    with pytest.raises(ValueError, match=r"."):
        pc_association(x, batch)


@points(1)
def test_nothing_to_take_apart_is_refused(pc_association, draw):
    """Samples that are all equal and a request for no component are refused with a ValueError.

    所有样本都相同，或要求零个主成分，都应以 ValueError 拒绝。"""
    x, batch = draw.study()
    with pytest.raises(ValueError, match=r"."):
        pc_association(np.tile(x[0], (len(x), 1)), batch)
    with pytest.raises(ValueError, match=r"."):
        pc_association(x, batch, n_components=0)


# ---------------------------------------------------------------- reference_shift


@drawn
def pooled(rng, pools=(2, 5, 3), n_patients=20, n_features=8):
    """Patients and pools of several batches in mixed order; the number of pools differs between batches."""
    names = np.array([f"plate{k}" for k in rng.permutation(9)[: len(pools)]])
    codes = np.concatenate([np.repeat(np.arange(len(pools)), pools), rng.integers(0, len(pools), n_patients)])
    is_pool = np.arange(len(codes)) < sum(pools)
    shift = rng.normal(size=(len(pools), n_features)) + rng.normal(size=(len(pools), 1))
    x = rng.uniform(5, 15, n_features) + shift[codes] + rng.normal(size=(len(codes), n_features)) * 0.2
    x[~is_pool] += rng.normal(2, 3, size=(n_patients, n_features))
    order = rng.permutation(len(codes))
    return x[order], names[codes][order], is_pool[order]


@points(2)
def test_every_batch_counts_once(reference_shift, draw):
    """The shift is measured from the mean of the batches' means: a batch with many pools weighs no more than others.

    偏移从各批次均值的平均算起：参照样本多的批次，权重并不更大。"""
    x, batch, is_pool = draw.pooled()
    assert_allclose(reference_shift(x, batch, is_pool), reference.reference_shift(x, batch, is_pool), atol=ATOL)


@points(1)
def test_patients_play_no_part(reference_shift, draw):
    """Whatever the patients have, even nothing, the shifts are the same.

    无论患者的数值如何，哪怕全部缺失，偏移都不变。"""
    x, batch, is_pool = draw.pooled()
    x[~is_pool] = np.nan
    assert_allclose(reference_shift(x, batch, is_pool), reference.reference_shift(x, batch, is_pool), atol=ATOL)


@points(2)
def test_gaps_in_the_pools(reference_shift, draw):
    """A missing value is skipped; a feature that the pools of some batch never saw is NaN in every row, others are not.

    缺失值跳过不计；若某批次的参照样本从未测到某特征，该特征在所有行都是 NaN，其余特征不受影响。"""
    x, batch, is_pool = draw.pooled()
    first = np.flatnonzero(is_pool)[0]
    x[first, 0] = np.nan
    x[is_pool & (batch == batch[first]), 3] = np.nan
    shift = np.asarray(reference_shift(x, batch, is_pool))
    assert_allclose(shift, reference.reference_shift(x, batch, is_pool), atol=ATOL)
    assert np.isnan(shift[:, 3]).all()


@points(1)
def test_batch_without_pools_is_refused(reference_shift, draw):
    """A batch without a reference sample is refused with a ValueError that names the batch.

    没有参照样本的批次以 ValueError 拒绝，并指明是哪个批次。"""
    x, batch, is_pool = draw.pooled()
    chosen = draw.rng.choice(np.unique(batch[is_pool]))
    flags = is_pool & (batch != chosen)
    batch[np.flatnonzero(~is_pool)[0]] = chosen  # a patient at least was measured there
    with pytest.raises(ValueError, match=str(chosen)):
        reference_shift(x, batch, flags)


@points(2)
def test_labels_decide_and_are_kept(reference_shift, draw):
    """Series are matched to the rows by label, and the result carries the names of batches and features.

    Series 按标签与各行对应；结果带有批次与特征的名称。"""
    x, batch, is_pool = draw.pooled()
    table = as_table(x)
    batches, flags = pd.Series(batch, index=table.index), pd.Series(is_pool, index=table.index)
    shift = reference_shift(table, batches.sample(frac=1, random_state=1), flags.iloc[::-1])
    right = reference.reference_shift(table, batches, flags)
    assert isinstance(shift, pd.DataFrame)
    assert shift.index.tolist() == right.index.tolist()
    assert shift.columns.equals(right.columns)
    assert_allclose(shift.to_numpy(), right.to_numpy(), atol=ATOL)


# ---------------------------------------------------------------- confounding


@drawn
def linked(rng, sizes, n_each=25):
    """Batches and groups in as many blocks as `sizes` has pairs (batches, groups); names say nothing about blocks."""
    n_batches, n_groups = (sum(pair[k] for pair in sizes) for k in (0, 1))
    batch_names, group_names = rng.permutation(n_batches) + 1, rng.permutation(list("uvwxyz"))[:n_groups]
    pairs = []
    first_batch = first_group = 0
    for batches, groups in sizes:
        # A chain through all of the block, then pairs at random within it.
        chain = max(batches, groups)
        pairs += [(first_batch + k % batches, first_group + k % groups) for k in range(chain)]
        pairs += [(first_batch + (k + 1) % batches, first_group + k % groups) for k in range(chain)]
        within = zip(rng.integers(0, batches, n_each), rng.integers(0, groups, n_each) ** 2 % groups, strict=True)
        pairs += [(first_batch + b, first_group + g) for b, g in within]
        first_batch, first_group = first_batch + batches, first_group + groups
    order = rng.permutation(len(pairs))
    batch = [f"b{batch_names[pairs[k][0]]}" for k in order]
    return batch, [str(group_names[pairs[k][1]]) for k in order]


def blocks_of(judged):
    """The blocks as plain lists of names."""
    return [([*map(str, batches)], [*map(str, groups)]) for batches, groups in judged.blocks]


@points(2)
def test_table_counts_samples(confounding, draw):
    """The table counts the samples of each batch and group, batches in rows, both sorted and named.

    表中是各批次、各组的样本数，批次在行，两者都已排序并有名称。"""
    batch, group = draw.linked([(4, 3)])
    judged, right = confounding(batch, group), reference.confounding(batch, group)
    assert_array_equal(judged.table.to_numpy(), right.table.to_numpy())
    assert all(dtype.kind in "iu" for dtype in judged.table.dtypes)  # samples are whole
    assert judged.table.index.tolist() == right.table.index.tolist()
    assert judged.table.columns.tolist() == right.table.columns.tolist()
    assert (judged.table.index.name, judged.table.columns.name) == ("batch", "group")


@points(2)
def test_cramers_v(confounding, draw):
    """Cramér's V of tables of any size follows the formula: more batches than groups, or more groups than batches.

    任意大小的表，Cramér V 都符合公式，无论批次多于组，还是组多于批次。"""
    for sizes in [(4, 2)], [(2, 4)], [(3, 3)]:
        batch, group = draw.linked(sizes)
        judged, right = confounding(batch, group), reference.confounding(batch, group)
        assert_allclose(judged.cramers_v, right.cramers_v, rtol=RTOL)


@points(2)
def test_blocks_are_what_hangs_together(confounding, draw):
    """Groups that meet in a batch, or through a chain of batches, are in one block; others are not.

    在某个批次里相遇的组，或经由一串批次相连的组，处于同一区块；其余不在。"""
    for sizes in [(3, 3)], [(1, 2), (2, 1)], [(2, 2), (1, 1), (2, 2)]:
        batch, group = draw.linked(sizes)
        assert blocks_of(confounding(batch, group)) == blocks_of(reference.confounding(batch, group))


@points(1)
def test_balanced_design_has_nothing_to_lose(confounding, draw):
    """If every batch has the same mixture of groups, V is 0, however large the batches are; and V never leaves 0 to 1.

    若各批次的构成完全相同，则无论批次大小，V 都为 0；V 总在 0 与 1 之间。"""
    unit = ["case", "control", "control"]
    times = draw.rng.integers(1, 5, size=3)
    batch = np.repeat(["b1", "b2", "b3"], 3 * times)
    judged = confounding(batch.tolist(), unit * int(times.sum()))
    assert abs(judged.cramers_v) < 1e-6  # a square root: what rounds to 1e-16 below it is 1e-8 here
    assert_allclose(confounding(["b1", "b2"] * 4, ["case", "control"] * 4).cramers_v, 1.0, rtol=RTOL)


@points(1)
def test_series_are_matched_by_label(confounding, draw):
    """Two Series are matched by the label of the sample, not by the place where it stands.

    两个 Series 按样本标签对应，而不是按所在位置。"""
    batch, group = draw.linked([(3, 2)])
    names = [f"P{k:03d}" for k in range(len(batch))]
    batches, groups = pd.Series(batch, index=names), pd.Series(group, index=names)
    # Paired by place, the sorted ones would leave at most one batch with both groups; in truth there are two at least.
    judged = confounding(batches.sort_values(), groups.sort_values())
    assert_array_equal(judged.table.to_numpy(), reference.confounding(batch, group).table.to_numpy())


@points(1)
def test_single_batch_or_group_is_refused(confounding, draw):
    """With one batch or one group there is nothing to compare: a ValueError.

    只有一个批次或一个组时无从比较，应抛出 ValueError。"""
    batch, group = draw.linked([(3, 2)])
    with pytest.raises(ValueError, match=r"."):
        confounding(["b1"] * len(group), group)
    with pytest.raises(ValueError, match=r"."):
        confounding(batch, ["case"] * len(batch))


# ---------------------------------------------------------------- planted_confounding


@points(1)
def test_layer_is_found(planted_confounding, truth):
    """The layer is the one whose batches were not assigned at random.

    指出的层正是未随机安排批次的那一层。"""
    assert planted_confounding["layer"] == truth["batch"]["confounded"]["layer"]


@points(1)
def test_clinical_column_is_found(planted_confounding, truth):
    """The clinical column is the one that decided who was measured when.

    指出的临床变量，正是决定谁先谁后测量的那一个。"""
    assert planted_confounding["with"] == truth["batch"]["confounded"]["with"]


@points(2)
def test_what_is_left_is_right(planted_confounding, truth):
    """What is left is 1 − V² of the table of all samples of that layer.

    剩下的份额等于该层全部样本所成之表的 1 − V²。"""
    counts = pd.DataFrame(truth["batch"]["table"]).to_numpy(dtype=float)
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    v_squared = np.sum((counts - expected) ** 2 / expected) / (counts.sum() * (min(counts.shape) - 1))
    # Rounding to two digits is accepted; leaving out the failed libraries, or V in place of V², is further away.
    assert_allclose(planted_confounding["left"], 1 - v_squared, atol=0.0051)


# ---------------------------------------------------------------- remove_batch


@points(2)
def test_batch_means_agree_afterwards(remove_batch, draw):
    """Without covariates each feature has one mean in all batches: the mean of the batch means, each counting once.

    没有协变量时，每个特征在各批次的均值都相同，即各批次均值的平均，每个批次只算一次。"""
    x, batch = draw.study()
    assert_allclose(remove_batch(x, batch), reference.remove_batch(x, batch), rtol=RTOL, atol=ATOL)


@points(2)
def test_group_is_kept(remove_batch, draw):
    """With unequal mixtures of a group in the batches, the group's difference is estimated together with the batches.

    各批次的构成不同时，组间差异与批次一起估计，并予以保留。"""
    x, batch = draw.study()
    group = draw.unequal_groups(batch)
    x[group == "case"] += draw.rng.normal(0, 2, size=x.shape[1])
    right = reference.remove_batch(x, batch, covariates=group)
    assert_allclose(remove_batch(x, batch, covariates=group), right, rtol=RTOL, atol=ATOL)


@points(1)
def test_several_covariates_are_kept(remove_batch, draw):
    """Several covariates, groups and numbers, are kept together; their unit does not matter.

    多个协变量（分组与数值）同时保留，且与其单位无关。"""
    x, batch = draw.study()
    kept = pd.DataFrame({"group": draw.unequal_groups(batch), "age": draw.rng.normal(58, 11, len(x)).round()})
    right = reference.remove_batch(x, batch, covariates=kept)
    in_days = kept.assign(age=kept["age"] * 365.25)
    assert_allclose(remove_batch(x, batch, covariates=in_days), right, rtol=RTOL, atol=ATOL)


@points(2)
def test_gaps_stay_gaps(remove_batch, draw):
    """Missing values stay missing, and every feature is fitted from the samples that have a value.

    缺失值仍然缺失；每个特征只用有值的样本拟合。"""
    x, batch = draw.study(n_features=15)
    x[draw.rng.random(x.shape) < 0.12] = np.nan
    group = draw.unequal_groups(batch)
    right = reference.remove_batch(x, batch, covariates=group)
    assert_allclose(remove_batch(x, batch, covariates=group), right, rtol=RTOL, atol=ATOL)


@points(1)
def test_batch_that_gaps_hide(remove_batch, draw):
    """A feature that was not measured in the last batch is still corrected between the others; no value gets lost.

    某特征在最后一个批次没有测到时，其余批次之间照样校正，不会丢失任何数值。"""
    x, batch = draw.study()
    x[batch == np.unique(batch)[-1], 4] = np.nan
    corrected = np.asarray(remove_batch(x, batch))
    assert_array_equal(np.isnan(corrected), np.isnan(x))
    means = [np.mean(corrected[batch == name, 4]) for name in np.unique(batch)[:-1]]
    assert_allclose(means, means[0], rtol=RTOL)


@points(1)
def test_confounded_design_is_refused(remove_batch, draw):
    """A group that is determined by the batch is refused with a ValueError that names group and batch.

    由批次完全决定的分组，以 ValueError 拒绝，并指明组与批次。"""
    x, batch = draw.study()
    alone = draw.rng.choice(np.unique(batch))
    group = np.where(batch == alone, "treated", "untreated")
    with pytest.raises(ValueError, match="treated") as caught:
        remove_batch(x, batch, covariates=group)
    assert str(alone) in str(caught.value)


@points(1)
def test_labels_are_kept_and_the_input_stays(remove_batch, draw):
    """A DataFrame comes back with its labels, its batches are matched by label, and the one that came in is unchanged.

    输入 DataFrame 则返回带相同标签的 DataFrame，批次按标签对应；传入的表保持不变。"""
    x, batch = draw.study()
    table = as_table(x)
    before = table.copy()
    corrected = remove_batch(table, pd.Series(batch, index=table.index).iloc[::-1])
    pd.testing.assert_frame_equal(table, before)
    assert isinstance(corrected, pd.DataFrame)
    assert corrected.index.equals(table.index)
    assert corrected.columns.equals(table.columns)
    assert_allclose(corrected.to_numpy(), reference.remove_batch(x, batch), rtol=RTOL, atol=ATOL)


@points(1)
def test_two_batches_move_by_half_each(remove_batch, draw):
    """Of two batches each moves half of the way, also when one is much larger.

    只有两个批次时，各走一半的路，即使其中一个大得多。"""
    x, batch = draw.study(sizes=(4, 17))
    moved = np.asarray(remove_batch(x, batch)) - x
    first, second = (moved[batch == name] for name in np.unique(batch))
    assert_allclose(first[0], -second[0], rtol=RTOL, atol=ATOL)
    assert_allclose(first[0] - second[0], x[batch == np.unique(batch)[1]].mean(0) - x[batch == np.unique(batch)[0]].mean(0), rtol=RTOL, atol=ATOL)  # fmt: skip  # noqa: E501


# ---------------------------------------------------------------- corrected_rna


def lesson_data(cohort):
    """`expression`, its flow cells, who is a case, and the shifts that the pools saw; made as in the lesson."""
    counts, genes, readings = cohort.layers["rna"], cohort.features["rna"], cohort.samples["rna"]
    added = genes["biotype"] == "spike_in"
    depth = counts.loc[:, ~added].sum(axis=1)
    mitochondrial = counts.loc[:, genes["chromosome"] == "chrM"].sum(axis=1) / depth
    good = (depth > 400_000) & (mitochondrial < 0.25) & (readings["rin"] > 5) & (readings["percent_duplicated"] < 50)
    both = pd.concat([counts[good], cohort.pools["rna"]])
    log_cpm = np.log2(1e6 * (both + 0.5).div(both.loc[:, ~added].sum(axis=1) + 1, axis=0))
    measured = log_cpm.loc[:, ((counts[good] >= 10).mean() >= 0.5) & ~added]
    expression, pools = measured.loc[counts.index[good]], measured.loc[cohort.pools["rna"].index]
    pool_mean = pools.groupby(cohort.pool_samples["rna"]["batch"]).mean()
    case = cohort.clinical["disease"][expression.index] == "case"
    return expression, readings["batch"][expression.index], case, pool_mean - pool_mean.mean()


def fitted(x, *columns):
    """Least-squares fit of all genes, and its coefficients."""
    model = np.column_stack([np.ones(len(x)), *columns]).astype(float)
    coefficients = np.linalg.lstsq(model, np.asarray(x))[0]
    return model @ coefficients, coefficients


def in_order(corrected, expression):
    """The corrected table in the order of the lesson's; who and what is missing fails the test."""
    assert set(corrected.index) == set(expression.index)
    assert set(corrected.columns) == set(expression.columns)
    return corrected.loc[expression.index, expression.columns]


@points(2)
def test_flow_cells_are_gone(corrected_rna, cohort):
    """Once the disease is accounted for, the flow cells explain nothing any more.

    考虑疾病之后，流动槽不再解释任何差异。"""
    expression, batch, case, _ = lesson_data(cohort)
    corrected = in_order(corrected_rna, expression)
    cells = [batch == name for name in sorted(batch.unique())[1:]]

    def explained(x):
        with_cells, without = fitted(x, case, *cells)[0], fitted(x, case)[0]
        return np.sum((with_cells - without) ** 2) / np.sum((x.to_numpy() - without) ** 2)

    # Any good correction leaves less than a tenth; ComBat, which shrinks, leaves a little.
    assert explained(corrected) < 0.1 * explained(expression)


@points(2)
def test_disease_is_kept(corrected_rna, cohort):
    """The difference between cases and controls is that of a model which knows both disease and flow cell.

    病例与对照之差，等于同时考虑疾病与流动槽的模型所给出的差异。"""
    expression, batch, case, _ = lesson_data(cohort)
    corrected = in_order(corrected_rna, expression)
    cells = [batch == name for name in sorted(batch.unique())[1:]]
    joint = fitted(expression, case, *cells)[1][1]
    difference = corrected[case].mean() - corrected[~case].mean()
    # 1 if all is kept; a correction that does not know the disease keeps about 1 − V², which is below 0.85.
    assert abs(np.polyfit(joint, difference, 1)[0] - 1) < 0.08


@points(1)
def test_all_else_stays(corrected_rna, cohort):
    """Within a flow cell and a group, patients differ from each other as before.

    在同一流动槽、同一组内，患者之间的差异与校正前相同。"""
    expression, batch, case, _ = lesson_data(cohort)
    corrected = in_order(corrected_rna, expression)
    stratum = batch + case.astype(str)
    before, after = (x - x.groupby(stratum).transform("mean") for x in (expression, corrected))
    # ComBat changes scales by some per cent; the pattern must stay.
    assert np.corrcoef(before.to_numpy().ravel(), after.to_numpy().ravel())[0, 1] > 0.97
    assert 0.8 < after.to_numpy().std() / before.to_numpy().std() < 1.2


@points(1)
def test_pools_had_seen_what_was_removed(corrected_rna, cohort):
    """What was subtracted from the patients is what the pooled reference samples had seen, in sign and in size.

    从患者中减去的，无论方向还是大小，都与混合参照样本所见一致。"""
    expression, batch, _, pool_shift = lesson_data(cohort)
    removed = (expression - in_order(corrected_rna, expression)).groupby(batch).mean()
    removed = (removed - removed.mean()).to_numpy().ravel()
    # Half of the slope is lost to the noise of two pools at most; corrected twice it would be above 1.6.
    assert 0.5 < np.polyfit(removed, pool_shift.loc[:, expression.columns].to_numpy().ravel(), 1)[0] < 1.3


# ---------------------------------------------------------------- prior_moments


@drawn
def batch_estimates(rng, n_features=40):
    """Shifts and variances of the genes of one batch."""
    return rng.normal(rng.uniform(-1, 1), rng.uniform(0.3, 1.5), n_features), rng.gamma(
        rng.uniform(3, 12), 0.2, n_features
    )


@points(2)
def test_normal_prior(prior_moments, draw):
    """The normal prior has the mean and the variance (divisor n − 1) of the shifts.

    正态先验的均值与方差，取各偏移的均值与方差（除数 n − 1）。"""
    shifts, variances = draw.batch_estimates(7)
    prior, right = prior_moments(shifts, variances), reference.prior_moments(shifts, variances)
    assert_allclose([prior.mean, prior.variance], [right.mean, right.variance], rtol=RTOL)


@points(2)
def test_inverse_gamma_prior(prior_moments, draw):
    """The inverse gamma prior has the mean and the variance (divisor n − 1) of the observed variances.

    逆伽马先验的均值与方差，等于观察到的各方差的均值与方差（除数 n − 1）。"""
    shifts, variances = draw.batch_estimates(7)
    prior = prior_moments(shifts, variances)
    assert_allclose(prior.scale / (prior.shape - 1), variances.mean(), rtol=RTOL)
    spread = prior.scale**2 / ((prior.shape - 1) ** 2 * (prior.shape - 2))
    assert_allclose(spread, variances.var(ddof=1), rtol=RTOL)


@points(1)
def test_equal_variances_are_refused(prior_moments, draw):
    """Variances that are all equal give no inverse gamma prior: a ValueError, not infinity.

    各方差全部相等时得不出逆伽马先验：应抛出 ValueError，而不是给出无穷。"""
    shifts, _ = draw.batch_estimates(8)
    with pytest.raises(ValueError, match=r"."):
        prior_moments(shifts, np.full(8, draw.rng.uniform(0.5, 2)))


@points(1)
def test_lists_that_do_not_fit_are_refused(prior_moments, draw):
    """A shift without a variance, a single feature, and tables in place of lists are refused; two features are enough.

    偏移与方差个数不符、只有一个特征、以表代替列表，都应拒绝；两个特征就够了。"""
    shifts, variances = draw.batch_estimates(8)
    for bad in [(shifts, variances[:-1]), (shifts[:1], variances[:1]), (shifts.reshape(2, 4), variances.reshape(2, 4))]:
        with pytest.raises(ValueError, match=r"."):
            prior_moments(*bad)
    assert_allclose(prior_moments(shifts[:2].tolist(), variances[:2].tolist()).mean, shifts[:2].mean(), rtol=RTOL)


# ---------------------------------------------------------------- shrinkage_step


@drawn
def step(rng, n_features=12):
    """Arguments of one step: shifts, variances, n, prior, current variances."""
    shifts, variances = rng.normal(0.4, 1, n_features), rng.gamma(8, 0.12, n_features)
    prior = Prior(rng.uniform(-1, 1), rng.uniform(0.1, 1), rng.uniform(3, 20), rng.uniform(1, 15))
    return shifts, variances, int(rng.integers(3, 9)), prior, rng.gamma(8, 0.12, n_features)


@points(2)
def test_shift_weighs_gene_and_prior(shrinkage_step, draw):
    """The new shift is the mean of gene and prior, weighted by their precisions at the current variance.

    新的偏移是基因与先验的加权平均，权重为在目前方差下各自的精度。"""
    given = draw.step()
    assert_allclose(shrinkage_step(*given)[0], reference.shrinkage_step(*given)[0], rtol=RTOL, atol=ATOL)


@points(2)
def test_variance_uses_the_new_shift(shrinkage_step, draw):
    """The new variance joins the prior with the squared deviations of the samples from the new shift.

    新的方差把先验与样本对新偏移的离差平方和合在一起。"""
    shifts, variances, n, prior, current = draw.step()
    # Samples with exactly these means and variances: the sum over them is what the formula needs.
    z = draw.rng.normal(size=(n, len(shifts)))
    z = shifts + np.sqrt(variances) * (z - z.mean(axis=0)) / z.std(axis=0, ddof=1)
    new_shift, new_variance = shrinkage_step(shifts, variances, n, prior, current)
    assert_allclose(new_variance, reference.shrinkage_step(shifts, variances, n, prior, current)[1], rtol=RTOL)
    squares = np.sum((z - np.asarray(new_shift)) ** 2, axis=0)
    assert_allclose(new_variance, (prior.scale + squares / 2) / (prior.shape + n / 2 - 1), rtol=RTOL)


@points(1)
def test_genes_may_differ_in_number_of_samples(shrinkage_step, draw):
    """Where genes have gaps, each has its own number of samples.

    基因有缺失时，各有各的样本数。"""
    shifts, variances, _, prior, current = draw.step()
    n = draw.rng.integers(2, 30, len(shifts))
    got, right = (f(shifts, variances, n, prior, current) for f in (shrinkage_step, reference.shrinkage_step))
    assert_allclose(got[0], right[0], rtol=RTOL, atol=ATOL)
    assert_allclose(got[1], right[1], rtol=RTOL)


@points(1)
def test_lists_are_welcome_and_nothing_is_changed(shrinkage_step, draw):
    """Lists are accepted, and arrays that came in are the same after the call.

    接受列表；传入的数组在调用后保持不变。"""
    shifts, variances, n, prior, current = draw.step()
    before = shifts.copy(), variances.copy(), current.copy()
    right = reference.shrinkage_step(*before[:2], n, prior, before[2])
    got = shrinkage_step(shifts, variances, n, prior, current)
    for array, copy in zip((shifts, variances, current), before, strict=True):
        assert_array_equal(array, copy)
    from_lists = shrinkage_step(shifts.tolist(), variances.tolist(), n, prior, current.tolist())
    for answer in (got, from_lists):
        assert_allclose(answer[0], right[0], rtol=RTOL, atol=ATOL)
        assert_allclose(answer[1], right[1], rtol=RTOL)


@points(1)
def test_many_samples_need_no_prior(shrinkage_step, draw):
    """With a million samples both estimates are what the gene itself says.

    有一百万个样本时，两个估计都与基因自己所说一致。"""
    shifts, variances, _, prior, current = draw.step()
    new_shift, new_variance = shrinkage_step(shifts, variances, 1_000_000, prior, current)
    # The prior weighs about 20 samples in a million.
    assert_allclose(new_shift, shifts, atol=1e-3)
    assert_allclose(new_variance, variances, rtol=1e-2)
