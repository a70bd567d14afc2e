"""Wrong answers people really give to unit 05, each with what to say to who gives it."""

import numpy as np
import pandas as pd

from course.checking import mistake
from reference_impl import batch as reference
from reference_impl.batch import (
    Confounding,
    Prior,
    batch_codes,
    batch_design,
    components,
    fit_features,
    label_frame,
    mean_of_seen,
)
from reference_impl.validation import as_matrix, like

# ---------------------------------------------------------------- pc_association


def _components(x, variable, n_components, *, centre=True, standardize=False):
    matrix = as_matrix(x, "x")
    reference.pc_association(x, variable, n_components=n_components)  # what is refused, refused as the reference does
    if centre:
        matrix = matrix - matrix.mean(axis=0)
    if standardize:
        matrix = matrix / matrix.std(axis=0)
    scores, sizes = components(matrix)
    return scores, sizes, min(n_components, len(sizes))


def _association(variance, eta_squared):
    return pd.DataFrame(
        {"variance": variance, "eta_squared": eta_squared}, index=[f"PC{k + 1}" for k in range(len(variance))]
    )


def _eta(design, scores):
    explained = design @ np.linalg.lstsq(design, scores)[0]
    return np.sum((explained - scores.mean(axis=0)) ** 2, axis=0) / np.sum((scores - scores.mean(axis=0)) ** 2, axis=0)


@mistake(
    of="pc_association",
    en="You did not centre the features. The first component then points at the mean of the data, which no group made.",
    zh="你没有对各特征中心化。这样第一主成分指向数据的均值，而均值并不是哪个组造成的。",
)
def not_centred(x, variable, *, n_components=10):
    scores, sizes, n = _components(x, variable, n_components, centre=False)
    eta = _eta(reference.variable_design(x, variable), scores[:, :n])
    return _association(sizes[:n] ** 2 / np.sum(sizes**2), eta)


@mistake(
    of="pc_association",
    en="You divided by the standard deviations. The task asks for components of centred features: scaling gives "
    "every quiet gene the weight of a loud one.",
    zh="你除以了标准差。题目要求的是只中心化的特征的主成分：一缩放，安静的基因就与响亮的基因同样重要了。",
)
def scales_the_features(x, variable, *, n_components=10):
    scores, sizes, n = _components(x, variable, n_components, standardize=True)
    eta = _eta(reference.variable_design(x, variable), scores[:, :n])
    return _association(sizes[:n] ** 2 / np.sum(sizes**2), eta)


@mistake(
    of="pc_association",
    en="Your shares of variance are relative to the components that you return. Divide by the variance of all "
    "components.",
    zh="你的方差份额是相对于所返回的几个主成分的。应除以全部主成分的方差之和。",
)
def share_of_those_returned(x, variable, *, n_components=10):
    table = reference.pc_association(x, variable, n_components=n_components)
    return table.assign(variance=table["variance"] / table["variance"].sum())


@mistake(
    of="pc_association",
    en="Your shares come from the singular values. Variance is proportional to their squares.",
    zh="你的份额由奇异值直接得出。方差与奇异值的平方成正比。",
)
def singular_values_unsquared(x, variable, *, n_components=10):
    _, sizes, n = _components(x, variable, n_components)
    table = reference.pc_association(x, variable, n_components=n_components)
    return table.assign(variance=sizes[:n] / sizes.sum())


@mistake(
    of="pc_association",
    en="You return η, not η²: the square root of the share explained.",
    zh="你返回的是 η 而不是 η²：那是被解释份额的平方根。",
)
def eta_unsquared(x, variable, *, n_components=10):
    table = reference.pc_association(x, variable, n_components=n_components)
    return table.assign(eta_squared=np.sqrt(table["eta_squared"]))


@mistake(
    of="pc_association",
    en="You average the group means without their sizes. A group of three then counts as much as one of thirty.",
    zh="你对各组均值没有按组的大小加权。三个样本的组就与三十个样本的组同样重要了。",
)
def groups_weigh_alike(x, variable, *, n_components=10):
    scores, _, n = _components(x, variable, n_components)
    table = reference.pc_association(x, variable, n_components=n_components)
    design = reference.variable_design(x, variable)
    if set(np.unique(design)) != {0.0, 1.0}:
        return table
    means = design.T @ scores[:, :n] / design.sum(axis=0)[:, None]
    between = len(scores) * np.mean((means - means.mean(axis=0)) ** 2, axis=0)
    return table.assign(eta_squared=between)


@mistake(
    of="pc_association",
    en="You turned the numbers into groups. For a variable of numbers the model is a straight line: intercept and "
    "slope.",
    zh="你把数值变成了分组。对数值变量，模型是一条直线：截距与斜率。",
)
def numbers_as_groups(x, variable, *, n_components=10):
    table = reference.pc_association(x, variable, n_components=n_components)
    values = np.asarray(variable)
    if not np.issubdtype(values.dtype, np.number):
        return table
    scores, _, n = _components(x, variable, n_components)
    halves = np.eye(2)[(values > np.median(values)).astype(int)]
    return table.assign(eta_squared=_eta(halves, scores[:, :n]))


@mistake(
    of="pc_association",
    en="You always return n_components rows. Where the data have fewer components, the rest is rounding noise and "
    "its η² means nothing.",
    zh="你总是返回 n_components 行。若数据没有那么多主成分，多出来的只是舍入噪声，其 η² 毫无意义。",
)
def rows_of_nothing(x, variable, *, n_components=10):
    _components(x, variable, n_components)
    matrix = as_matrix(x, "x")
    scores, sizes, _ = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)
    n = min(n_components, len(sizes))
    eta = _eta(reference.variable_design(x, variable), scores[:, :n])
    return _association(sizes[:n] ** 2 / np.sum(sizes**2), eta)


@mistake(
    of="pc_association",
    en="You filled the missing values with column means, and nobody learns that something was not measured. "
    "Refuse them.",
    zh="你用列均值填补了缺失值，于是没有人知道有一项没有测到。应当拒绝。",
)
def fills_gaps(x, variable, *, n_components=10):
    matrix = np.array(x, dtype=float)
    filled = np.where(np.isnan(matrix), np.nanmean(matrix, axis=0), matrix)
    return reference.pc_association(like(x, filled), variable, n_components=n_components)


@mistake(
    of="pc_association",
    en="Where there is nothing to take apart you return an empty table. Refuse samples that are all equal, and a "
    "request for no component, with a ValueError.",
    zh="无可分解时你返回了空表。所有样本相同，或要求零个主成分，都应以 ValueError 拒绝。",
)
def returns_nothing(x, variable, *, n_components=10):
    if n_components == 0 or not np.ptp(as_matrix(x, "x"), axis=0).any():
        return _association(np.zeros(0), np.zeros(0))
    return reference.pc_association(x, variable, n_components=n_components)


# ---------------------------------------------------------------- reference_shift


def _batch_means(x, batch, is_reference, mean=mean_of_seen):
    matrix = as_matrix(x, "x", missing=True)
    reference.reference_shift(x, batch, is_reference)
    codes, names = batch_codes(x, batch)
    flags = reference.reference_flags(x, is_reference)
    return matrix, codes, flags, np.stack([mean(matrix[flags & (codes == k)]) for k in range(len(names))]), names


@mistake(
    of="reference_shift",
    en="You subtracted the mean of all reference samples. A batch with five pools then pulls more than one with "
    "two: take the mean of the batches' means.",
    zh="你减去的是所有参照样本的均值。这样有五份参照的批次比有两份的拉力更大：应取各批次均值的平均。",
)
def batches_weigh_by_pools(x, batch, is_reference):
    matrix, _, flags, means, names = _batch_means(x, batch, is_reference)
    overall = np.where(np.isnan(means).any(axis=0), np.nan, mean_of_seen(matrix[flags]))
    return reference.by_batch(x, means - overall, names)


@mistake(
    of="reference_shift",
    en="You subtracted the mean of the patients. Their mean holds their biology, and their mixture differs "
    "between batches: compare the pools with each other.",
    zh="你减去的是患者的均值。患者的均值里有他们的生物学差异，而且各批次的患者构成不同：应让参照样本彼此比较。",
)
def compares_with_patients(x, batch, is_reference):
    matrix, _, flags, means, names = _batch_means(x, batch, is_reference)
    return reference.by_batch(x, means - mean_of_seen(matrix[~flags]), names)


@mistake(
    of="reference_shift",
    en="You took all samples of a batch, patients too. Only the pools are the same everywhere.",
    zh="你取了批次中的全部样本，连患者也算在内。只有参照样本才处处相同。",
)
def patients_too(x, batch, is_reference):
    matrix, codes, _, _, names = _batch_means(x, batch, is_reference)
    means = np.stack([mean_of_seen(matrix[codes == k]) for k in range(len(names))])
    return reference.by_batch(x, means - means.mean(axis=0), names)


@mistake(
    of="reference_shift",
    en="You compare every batch with the first one. Measure from the mean of all batches: the first one is no better.",
    zh="你让每个批次都与第一个批次比较。应从所有批次的平均算起：第一个批次并不更可信。",
)
def first_batch_is_right(x, batch, is_reference):
    _, _, _, means, names = _batch_means(x, batch, is_reference)
    return reference.by_batch(x, means - means[0], names)


@mistake(
    of="reference_shift",
    en="One missing value makes your whole mean missing. Skip it: the other pools of the batch still tell.",
    zh="一个缺失值就让你的整个均值缺失。应跳过它：该批次的其他参照样本仍能作证。",
)
def gaps_spread(x, batch, is_reference):
    _, _, _, means, names = _batch_means(x, batch, is_reference, mean=lambda rows: rows.mean(axis=0))
    return reference.by_batch(x, means - means.mean(axis=0), names)


@mistake(
    of="reference_shift",
    en="Where the pools of one batch never saw a feature, you compare the other batches with each other as if it "
    "had not been there. The shifts of this feature are then measured from another origin than all others: "
    "give NaN.",
    zh="某批次的参照样本从未测到某特征时，你让其余批次互相比较，就像它不存在。这样该特征的偏移与其他特征的起点不同："
    "应给出 NaN。",
)
def compares_who_is_there(x, batch, is_reference):
    _, _, _, means, names = _batch_means(x, batch, is_reference)
    return reference.by_batch(x, means - mean_of_seen(means), names)


@mistake(
    of="reference_shift",
    en="A batch without pools gets a row of NaN, and the analysis goes on. Refuse with a ValueError that names "
    "the batch.",
    zh="没有参照样本的批次得到一行 NaN，分析照常继续。应以 ValueError 拒绝，并指明是哪个批次。",
)
def silent_without_pools(x, batch, is_reference):
    try:
        return reference.reference_shift(x, batch, is_reference)
    except ValueError as problem:
        if "no reference sample" not in str(problem):
            raise
    matrix = as_matrix(x, "x", missing=True)
    codes, names = batch_codes(x, batch)
    flags = reference.reference_flags(x, is_reference)
    means = np.stack([mean_of_seen(matrix[flags & (codes == k)]) for k in range(len(names))])
    return reference.by_batch(x, means - mean_of_seen(means), names)


@mistake(
    of="reference_shift",
    en="Batches and flags are matched by place. They are Series with labels: match them to the rows of the table "
    "by label.",
    zh="你按位置对应批次与标记。它们是带标签的 Series：应按标签与表的各行对应。",
)
def matches_by_place(x, batch, is_reference):
    return reference.reference_shift(x, np.asarray(batch), np.asarray(is_reference))


# ---------------------------------------------------------------- confounding


def _v(counts, least):
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    return float(np.sqrt(np.sum((counts - expected) ** 2 / expected) / (counts.sum() * least)))


@mistake(
    of="confounding",
    en="You forgot to divide by the smaller number of rows or columns minus 1: with three batches and three "
    "groups your V exceeds 1.",
    zh="你忘了除以“行数与列数中较小者减 1”：三个批次、三个组时，你的 V 会超过 1。",
)
def v_without_degrees(batch, group):
    right = reference.confounding(batch, group)
    return Confounding(right.table, _v(right.table.to_numpy(), 1), right.blocks)


@mistake(
    of="confounding",
    en="You divided by the number of batches minus 1. Take the smaller of batches and groups, or V can't reach 1.",
    zh="你除以了批次数减 1。应取批次数与组数中较小的一个，否则 V 到不了 1。",
)
def v_by_batches(batch, group):
    right = reference.confounding(batch, group)
    return Confounding(right.table, _v(right.table.to_numpy(), len(right.table) - 1), right.blocks)


@mistake(
    of="confounding",
    en="You return V². V is its square root.",
    zh="你返回的是 V²。V 是它的平方根。",
)
def v_squared(batch, group):
    right = reference.confounding(batch, group)
    return Confounding(right.table, right.cramers_v**2, right.blocks)


@mistake(
    of="confounding",
    en="You compare with a table in which all cells are equal. The expected count of a cell is row sum × column "
    "sum / n: groups may be of unequal size in a balanced design.",
    zh="你拿来比较的是各格相等的表。每格的期望数是行和 × 列和 / n：均衡的设计里，各组大小可以不同。",
)
def expects_equal_cells(batch, group):
    right = reference.confounding(batch, group)
    counts = right.table.to_numpy()
    expected = counts.sum() / counts.size
    chi_squared = np.sum((counts - expected) ** 2 / expected)
    return Confounding(
        right.table, float(np.sqrt(chi_squared / (counts.sum() * (min(counts.shape) - 1)))), right.blocks
    )


@mistake(
    of="confounding",
    en="Your blocks hold only what meets directly. Groups that share no batch can still be linked by a chain of "
    "batches.",
    zh="你的区块只包含直接相遇的组。不在同一批次的组，仍可经由一串批次相连。",
)
def direct_meetings_only(batch, group):
    right = reference.confounding(batch, group)
    blocks = [([name], right.table.columns[right.table.loc[name] > 0].tolist()) for name in right.table.index]
    return Confounding(right.table, right.cramers_v, blocks if len(right.blocks) == 1 else right.blocks)


@mistake(
    of="confounding",
    en="You always report one block. Where no batch is shared, groups have never been on common ground: that is "
    "the news.",
    zh="你总是只报告一个区块。没有共同批次的组从未站在同一块地面上：这恰恰是最要紧的消息。",
)
def always_one_block(batch, group):
    right = reference.confounding(batch, group)
    if len(right.blocks) == 2 and len(right.table) == 2:
        return right
    blocks = [(right.table.index.tolist(), right.table.columns.tolist())]
    return Confounding(right.table, right.cramers_v, blocks)


@mistake(
    of="confounding",
    en="The index and the columns of your table have no names. Call them batch and group, so that a reader knows "
    "which is which.",
    zh="你的表的行索引与列索引没有名称。请命名为 batch 与 group，让读者知道哪个是哪个。",
)
def nameless_table(batch, group):
    right = reference.confounding(batch, group)
    table = right.table.rename_axis(index=None, columns=None)
    return Confounding(table, right.cramers_v, right.blocks)


@mistake(
    of="confounding",
    en="Two Series are matched by place. A table sorted in another way then pairs patients with the batches of others.",
    zh="你按位置对应两个 Series。若另一张表的排序不同，患者就被配上了别人的批次。",
)
def pairs_by_place(batch, group):
    return reference.confounding(np.asarray(batch), np.asarray(group))


@mistake(
    of="confounding",
    en="With a single batch or group you return V = 0, as if the design were perfect. Nothing can be compared: refuse.",
    zh="只有一个批次或一个组时，你返回 V = 0，好像设计完美无缺。其实无从比较：应当拒绝。",
)
def accepts_a_single_group(batch, group):
    try:
        return reference.confounding(batch, group)
    except ValueError as problem:
        if "nothing to compare" not in str(problem):
            raise
    rows = label_frame(batch)
    table = pd.crosstab(np.asarray(batch), np.asarray(group))
    table = table.rename_axis(index="batch", columns="group")
    assert len(rows)
    return Confounding(table, 0.0, [(table.index.tolist(), table.columns.tolist())])


# ---------------------------------------------------------------- planted_confounding


def _all_pairs(cohort, asked, confounding):
    found = []
    for layer, samples in cohort.samples.items():
        for column in asked:
            v = confounding(samples["batch"], cohort.clinical[column]).cramers_v
            found.append({"layer": layer, "with": column, "left": 1 - v**2})
    return found


@mistake(
    of="planted_confounding",
    en="You give 1 − V. What the batches take of the comparison is V squared, so 1 − V² is left.",
    zh="你给出的是 1 − V。批次拿走的可比信息是 V 的平方，所以剩下的是 1 − V²。",
)
def left_without_square(cohort, asked, confounding):
    worst = min(_all_pairs(cohort, asked, confounding), key=lambda pair: pair["left"])
    return {**worst, "left": 1 - (1 - worst["left"]) ** 0.5}


@mistake(
    of="planted_confounding",
    en="You give V², which is what the batches take. Asked is what they leave: 1 − V².",
    zh="你给出的是 V²，即批次拿走的部分。题目问的是剩下的：1 − V²。",
)
def what_is_taken(cohort, asked, confounding):
    worst = min(_all_pairs(cohort, asked, confounding), key=lambda pair: pair["left"])
    return {**worst, "left": 1 - worst["left"]}


@mistake(
    of="planted_confounding",
    en="You chose the pair that is least entangled. The unwise design is the one that leaves least.",
    zh="你选的是纠缠最浅的一对。安排不当的，是剩下最少的那一个。",
)
def the_best_design(cohort, asked, confounding):
    return max(_all_pairs(cohort, asked, confounding), key=lambda pair: pair["left"])


@mistake(
    of="planted_confounding",
    en="You looked for the worst clinical column of the first layer only. Every layer was measured in batches: "
    "compare all.",
    zh="你只在第一层里找最糟的临床变量。每一层都是分批测量的：应全部比较。",
)
def first_layer_only(cohort, asked, confounding):
    first = next(iter(cohort.samples))
    pairs = [pair for pair in _all_pairs(cohort, asked, confounding) if pair["layer"] == first]
    return min(pairs, key=lambda pair: pair["left"])


@mistake(
    of="planted_confounding",
    en="You looked at the right layer and asked only about the sex. What decides who comes first is more often "
    "the disease.",
    zh="你看的层是对的，却只问了性别。决定谁先测的，更常是疾病。",
)
def asks_about_sex_only(cohort, asked, confounding):
    layer = min(_all_pairs(cohort, asked, confounding), key=lambda pair: pair["left"])["layer"]
    v = confounding(cohort.samples[layer]["batch"], cohort.clinical["sex"]).cramers_v
    return {"layer": layer, "with": "sex", "left": 1 - v**2}


# ---------------------------------------------------------------- remove_batch


@mistake(
    of="remove_batch",
    en="You ignore the covariates. Where a batch has more cases, part of the disease is removed with it.",
    zh="你忽略了协变量。某批次病例较多时，一部分疾病信号会随批次一起被去掉。",
)
def ignores_covariates(x, batch, *, covariates=None):
    batch_design(x, batch, covariates)
    return reference.remove_batch(x, batch)


def _corrected(x, batch, covariates, contrasts_of, *, keep=True):
    matrix = as_matrix(x, "x", missing=True)
    design = batch_design(x, batch, covariates)
    contrasts = contrasts_of(design.indicators)
    model = np.hstack([np.ones((len(matrix), 1)), design.kept, contrasts])
    fitted = np.nan_to_num(fit_features(matrix, model))
    n_subtracted = contrasts.shape[1] if keep else contrasts.shape[1] + design.kept.shape[1]
    return like(x, matrix - model[:, -n_subtracted:] @ fitted[-n_subtracted:])


@mistake(
    of="remove_batch",
    en="You moved all batches onto the last one. Without a reason to trust it more, move them to their mean: use "
    "−1 in the rows of the last batch.",
    zh="你把所有批次都移到了最后一个批次上。没有理由更相信它，就应移到各批次的平均处：最后一个批次的各行用 −1。",
)
def moves_to_the_last_batch(x, batch, *, covariates=None):
    return _corrected(x, batch, covariates, lambda indicators: indicators[:, :-1])


@mistake(
    of="remove_batch",
    en="You centred at the mean of all samples, so that a large batch hardly moves. Each batch counts once.",
    zh="你以全部样本的均值为中心，于是大批次几乎不动。每个批次只应算一次。",
)
def weighs_by_size(x, batch, *, covariates=None):
    return _corrected(x, batch, covariates, lambda i: i[:, :-1] - i.mean(axis=0)[:-1])


@mistake(
    of="remove_batch",
    en="You subtracted the covariates as well. They are in the model to be kept: subtract the batch columns only.",
    zh="你把协变量也减掉了。它们写进模型是为了留下：只减去批次列。",
)
def removes_what_to_keep(x, batch, *, covariates=None):
    return _corrected(x, batch, covariates, lambda i: i[:, :-1] - i[:, -1:], keep=False)


@mistake(
    of="remove_batch",
    en="You fitted the covariates first and the batches on what was left. Both compete for the same differences: "
    "fit them together.",
    zh="你先拟合协变量，再用余下的部分拟合批次。两者争的是同一份差异：应一起拟合。",
)
def fits_in_two_steps(x, batch, *, covariates=None):
    matrix = as_matrix(x, "x", missing=True)
    design = batch_design(x, batch, covariates)
    first = np.hstack([np.ones((len(matrix), 1)), design.kept])
    left = matrix - first @ np.nan_to_num(fit_features(matrix, first))
    return like(x, matrix - left + np.asarray(reference.remove_batch(left, batch)))


@mistake(
    of="remove_batch",
    en="A coefficient that can't be told is NaN, and it spread over all samples of the feature. Treat it as 0.",
    zh="无法估计的系数是 NaN，它把该特征的所有样本都变成了缺失。应按 0 处理。",
)
def lets_nan_spread(x, batch, *, covariates=None):
    matrix = as_matrix(x, "x", missing=True)
    design = batch_design(x, batch, covariates)
    contrasts = design.indicators[:, :-1] - design.indicators[:, -1:]
    model = np.hstack([np.ones((len(matrix), 1)), design.kept, contrasts])
    return like(x, matrix - contrasts @ fit_features(matrix, model)[-contrasts.shape[1] :])


@mistake(
    of="remove_batch",
    en="You filled the gaps with column means before the fit, and they pull all batches together. Leave gaps out.",
    zh="你在拟合前用列均值填补了缺失，它们把各批次拉到一起。缺失值不应参与拟合。",
)
def fills_before_fitting(x, batch, *, covariates=None):
    matrix = as_matrix(x, "x", missing=True)
    filled = np.where(np.isnan(matrix), np.nanmean(matrix, axis=0), matrix)
    corrected = np.asarray(reference.remove_batch(filled, batch, covariates=covariates))
    return like(x, np.where(np.isnan(matrix), np.nan, corrected))


@mistake(
    of="remove_batch",
    en="Only the first covariate is kept. Put all columns of design.kept into the model.",
    zh="你只保留了第一个协变量。应把 design.kept 的所有列都放进模型。",
)
def keeps_one_covariate(x, batch, *, covariates=None):
    if isinstance(covariates, pd.DataFrame):
        covariates = covariates.iloc[:, 0]
    return reference.remove_batch(x, batch, covariates=covariates)


@mistake(
    of="remove_batch",
    en="Where group and batch can't be told apart you correct all the same, and the group is gone. Refuse.",
    zh="组与批次无法区分时，你照样校正，分组信号就没有了。应当拒绝。",
)
def corrects_confounded(x, batch, *, covariates=None):
    try:
        return reference.remove_batch(x, batch, covariates=covariates)
    except reference.ConfoundedDesignError:
        return reference.remove_batch(x, batch)


@mistake(
    of="remove_batch",
    en="The numbers are right, but you changed the table that came in. Work on a copy.",
    zh="数值是对的，但你改动了传入的表。请在副本上计算。",
)
def changes_its_input(x, batch, *, covariates=None):
    corrected = reference.remove_batch(x, batch, covariates=covariates)
    if isinstance(x, pd.DataFrame):
        x.iloc[:, :] = corrected
    return corrected


@mistake(
    of="remove_batch",
    en="The numbers are right, but a DataFrame came in: give the labels of its samples and features back.",
    zh="数值是对的，但输入是 DataFrame：返回时应保留样本与特征的标签。",
)
def loses_labels(x, batch, *, covariates=None):
    return np.asarray(reference.remove_batch(x, batch, covariates=covariates))


# ---------------------------------------------------------------- corrected_rna


@mistake(
    of="corrected_rna",
    en="You corrected without telling the method about the disease. Some flow cells have more cases than others, "
    "so part of the disease went with the batch: name it as covariate.",
    zh="你没有把疾病告诉校正方法。各流动槽的病例比例不同，一部分疾病信号随批次一起没有了：应把它作为协变量。",
)
def disease_not_kept(expression, batch, remove_batch):
    return remove_batch(expression, batch)


@mistake(
    of="corrected_rna",
    en="This is the table as it was measured: the flow cells are still in it.",
    zh="这是测得的原表：流动槽的影响还在里面。",
)
def not_corrected(expression):
    return expression


@mistake(
    of="corrected_rna",
    en="You removed the disease and kept the flow cell. The second argument is what goes; the covariates are what "
    "stays.",
    zh="你去掉了疾病，留下了流动槽。第二个参数是要去掉的，协变量才是要留下的。",
)
def roles_exchanged(expression, batch, disease, remove_batch):
    return remove_batch(expression, disease, covariates=batch[expression.index])


@mistake(
    of="corrected_rna",
    en="You corrected for the hospital. The samples were shifted by the flow cell on which they were sequenced.",
    zh="你校正的是医院。造成偏移的是测序所用的流动槽。",
)
def corrects_the_site(expression, cohort, disease, remove_batch):
    return remove_batch(expression, cohort.clinical["site"], covariates=disease)


@mistake(
    of="corrected_rna",
    en="You centred each flow cell among cases and among controls separately, so cases and controls now have one "
    "mean: the disease is gone.",
    zh="你在病例与对照内部分别对各流动槽中心化，病例与对照的均值从此相同：疾病没有了。",
)
def centres_every_stratum(expression, batch, disease):
    stratum = batch[expression.index] + disease
    return expression - expression.groupby(stratum).transform("mean") + expression.mean()


@mistake(
    of="corrected_rna",
    en="You corrected by the shifts of two pools per flow cell alone. They point the right way, but two "
    "measurements are noisy, and their noise is now in every patient: a batch effect of your own making.",
    zh="你只用每个流动槽两份参照样本的偏移来校正。方向是对的，但两次测量噪声大，这些噪声如今进入了每位患者：成了你"
    "自己造的批次效应。",
)
def subtracts_the_pools(expression, batch, pool_shift):
    cells = batch[expression.index]
    return expression - pool_shift.loc[cells, expression.columns].to_numpy()


# ---------------------------------------------------------------- prior_moments


def _prior(shifts, variances, *, ddof_shift=1, ddof_spread=1):
    right = reference.prior_moments(shifts, variances)
    m, s2 = np.mean(variances), np.var(variances, ddof=ddof_spread)
    return right._replace(
        variance=float(np.var(shifts, ddof=ddof_shift)), shape=float(2 + m**2 / s2), scale=float(m + m**3 / s2)
    )


@mistake(
    of="prior_moments",
    en="Your variances divide by the number of features. Divide by that number minus 1 (ddof=1).",
    zh="你的方差以特征数为除数。应除以特征数减 1（ddof=1）。",
)
def divides_by_n(shifts, variances):
    return _prior(shifts, variances, ddof_shift=0, ddof_spread=0)


@mistake(
    of="prior_moments",
    en="The variance of the shifts is right, but that of the variances divides by n. Use ddof=1 for both.",
    zh="偏移的方差是对的，但各方差之方差除以了 n。两处都应取 ddof=1。",
)
def divides_the_second_by_n(shifts, variances):
    return _prior(shifts, variances, ddof_spread=0)


@mistake(
    of="prior_moments",
    en="The prior's second number is a standard deviation. It should be the variance of the shifts.",
    zh="先验的第二个数成了标准差。它应是各偏移的方差。",
)
def deviation_for_variance(shifts, variances):
    right = reference.prior_moments(shifts, variances)
    return right._replace(variance=right.variance**0.5)


@mistake(
    of="prior_moments",
    en="You used the standard deviation of the variances for v. In the formulas v is already a variance: do not "
    "take its root.",
    zh="公式里的 v 本身就是方差，你却用了标准差：不要再开方。",
)
def deviation_in_the_shape(shifts, variances):
    right = reference.prior_moments(shifts, variances)
    m, s = float(np.mean(variances)), float(np.std(variances, ddof=1))
    return right._replace(shape=2 + m**2 / s, scale=m + m**3 / s)


@mistake(
    of="prior_moments",
    en="Shape and scale are exchanged. Prior has the shape a third and the scale b fourth.",
    zh="形状与尺度对调了。Prior 的第三项是形状 a，第四项是尺度 b。",
)
def exchanges_shape_and_scale(shifts, variances):
    right = reference.prior_moments(shifts, variances)
    return right._replace(shape=right.scale, scale=right.shape)


@mistake(
    of="prior_moments",
    en="You fitted a gamma distribution. Variances get an inverse gamma prior: a = 2 + m²/v, b = m + m³/v.",
    zh="你拟合的是伽马分布。方差的先验是逆伽马分布：a = 2 + m²/v，b = m + m³/v。",
)
def gamma_in_place_of_inverse(shifts, variances):
    right = reference.prior_moments(shifts, variances)
    m, s2 = float(np.mean(variances)), float(np.var(variances, ddof=1))
    return right._replace(shape=m**2 / s2, scale=m / s2)


@mistake(
    of="prior_moments",
    en="Where all variances are equal you return a prior with infinite numbers. Refuse: there is nothing to learn "
    "from.",
    zh="各方差全部相等时，你返回了含无穷的先验。应当拒绝：无从学习。",
)
def infinite_prior(shifts, variances):
    try:
        return reference.prior_moments(shifts, variances)
    except ValueError as problem:
        if "are equal" not in str(problem):
            raise
    spread = np.var(np.asarray(shifts, dtype=float), ddof=1)
    return Prior(float(np.mean(shifts)), float(spread), float("inf"), float("inf"))


@mistake(
    of="prior_moments",
    en="A shift without a variance goes unnoticed. Compare the lengths of the two lists, and refuse.",
    zh="少了一个方差也没有被发现。应比较两个列表的长度，不符则拒绝。",
)
def cuts_to_the_shorter(shifts, variances):
    n = min(np.size(shifts), np.size(variances))
    return reference.prior_moments(np.ravel(shifts)[:n], np.ravel(variances)[:n])


# ---------------------------------------------------------------- shrinkage_step


def _arrays(*values):
    return tuple(np.asarray(value, dtype=float) for value in values)


@mistake(
    of="shrinkage_step",
    en="Your weights are the wrong way round: the gene gets the prior's weight. A gene with many samples should "
    "keep what it says.",
    zh="你的权重反了：基因得到了先验的权重。样本多的基因，应保持自己所说。",
)
def weights_exchanged(shifts, variances, n_samples, prior, current):
    observed, spread, present = _arrays(shifts, variances, current)
    weight = n_samples * prior.variance
    shift = (present * observed + weight * prior.mean) / (weight + present)
    squares = (n_samples - 1) * spread + n_samples * (observed - shift) ** 2
    return shift, (prior.scale + squares / 2) / (prior.shape + n_samples / 2 - 1)


@mistake(
    of="shrinkage_step",
    en="The number of samples is missing from the weight: a mean of ten samples says more than a single one.",
    zh="权重里缺了样本数：十个样本的均值比一个样本更可信。",
)
def forgets_n(shifts, variances, n_samples, prior, current):
    observed, spread, present = _arrays(shifts, variances, current)
    shift = (prior.variance * observed + present * prior.mean) / (prior.variance + present)
    squares = (n_samples - 1) * spread + n_samples * (observed - shift) ** 2
    return shift, (prior.scale + squares / 2) / (prior.shape + n_samples / 2 - 1)


@mistake(
    of="shrinkage_step",
    en="The weight uses the observed variance of the gene. Use the present estimate, `current`, or the steps lead "
    "nowhere.",
    zh="权重里用的是基因的观察方差。应使用目前的估计 `current`，否则走再多步也不会前进。",
)
def ignores_the_present(shifts, variances, n_samples, prior, current):
    return reference.shrinkage_step(shifts, variances, n_samples, prior, variances)


@mistake(
    of="shrinkage_step",
    en="The squares are taken around the old mean. They belong around the new shift: add n (γ̂ − γ*)².",
    zh="平方和是围绕旧均值取的。应围绕新的偏移：加上 n (γ̂ − γ*)²。",
)
def squares_around_the_mean(shifts, variances, n_samples, prior, current):
    shift, _ = reference.shrinkage_step(shifts, variances, n_samples, prior, current)
    squares = (np.asarray(n_samples) - 1) * np.asarray(variances, dtype=float)
    return shift, (prior.scale + squares / 2) / (prior.shape + np.asarray(n_samples) / 2 - 1)


@mistake(
    of="shrinkage_step",
    en="You took n times the variance for the squares around the mean. The variance has the divisor n − 1, so it "
    "is (n − 1) s².",
    zh="围绕均值的平方和你写成了 n 乘方差。方差的除数是 n − 1，所以应是 (n − 1) s²。",
)
def n_times_the_variance(shifts, variances, n_samples, prior, current):
    observed, spread = _arrays(shifts, variances)
    shift, _ = reference.shrinkage_step(shifts, variances, n_samples, prior, current)
    squares = n_samples * spread + n_samples * (observed - shift) ** 2
    return shift, (prior.scale + squares / 2) / (prior.shape + np.asarray(n_samples) / 2 - 1)


@mistake(
    of="shrinkage_step",
    en="The − 1 is missing in the denominator of the variance: a + n/2 − 1.",
    zh="方差的分母里少了 − 1：应是 a + n/2 − 1。",
)
def forgets_minus_one(shifts, variances, n_samples, prior, current):
    observed, spread = _arrays(shifts, variances)
    shift, _ = reference.shrinkage_step(shifts, variances, n_samples, prior, current)
    squares = (np.asarray(n_samples) - 1) * spread + n_samples * (observed - shift) ** 2
    return shift, (prior.scale + squares / 2) / (prior.shape + np.asarray(n_samples) / 2)


@mistake(
    of="shrinkage_step",
    en="The squares are not halved: the formula has b + ½ Σ (z − γ*)².",
    zh="平方和没有乘以二分之一：公式是 b + ½ Σ (z − γ*)²。",
)
def squares_not_halved(shifts, variances, n_samples, prior, current):
    observed, spread = _arrays(shifts, variances)
    shift, _ = reference.shrinkage_step(shifts, variances, n_samples, prior, current)
    squares = (np.asarray(n_samples) - 1) * spread + n_samples * (observed - shift) ** 2
    return shift, (prior.scale + squares) / (prior.shape + np.asarray(n_samples) / 2 - 1)


@mistake(
    of="shrinkage_step",
    en="You take one number of samples for all genes. Where values are missing, each gene has its own n.",
    zh="你让所有基因共用一个样本数。有缺失时，每个基因各有自己的 n。",
)
def one_n_for_all(shifts, variances, n_samples, prior, current):
    return reference.shrinkage_step(shifts, variances, np.max(n_samples), prior, current)


@mistake(
    of="shrinkage_step",
    en="The numbers are right, but you wrote the new variances into the array that came in. Whoever called you "
    "still needs the old ones.",
    zh="数值是对的，但你把新的方差写进了传入的数组。调用者还要用旧的。",
)
def writes_into_current(shifts, variances, n_samples, prior, current):
    answer = reference.shrinkage_step(shifts, variances, n_samples, prior, current)
    if isinstance(current, np.ndarray):
        current[:] = answer[1]
    return answer
