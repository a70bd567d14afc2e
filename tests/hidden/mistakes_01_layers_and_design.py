"""Wrong answers to unit 01 that people really give, each with what to say to who gives it."""

import numpy as np
import pandas as pd
from scipy.stats import nct, norm, rankdata, t

from course.checking import mistake
from reference_impl import design as reference

# ---------------------------------------------------------------- matched_samples


@mistake(
    of="matched_samples",
    en="You list everybody who is in any layer. Matched means in every layer: the intersection, not the union.",
    zh="你列出了在任意一层出现的所有人。匹配要求每一层都有：取交集，而不是并集。",
)
def in_any_layer(layers):
    reference._require_layers(layers)
    everyone = pd.Index([])
    for layer in layers.values():
        measured = layer.index[layer.notna().any(axis=1)]
        everyone = everyone.append(measured[~measured.isin(everyone)])
    return everyone


@mistake(
    of="matched_samples",
    en="A row of nothing but NaN counts as measured in your function. It is the place of a patient who was not.",
    zh="在你的函数里，整行都是 NaN 也算测过。其实那只是给没有测过的患者留的空位。",
)
def trusts_every_row(layers):
    reference._require_layers(layers)
    shared, *others = (layer.index for layer in layers.values())
    for measured in others:
        shared = shared[shared.isin(measured)]
    return shared


@mistake(
    of="matched_samples",
    en="You drop a sample as soon as one value is missing. A row with gaps was measured; only an empty one was not.",
    zh="只要缺一个数值，你就丢掉整个样本。有缺失的行是测过的；只有全空的行才不是。",
)
def drops_rows_with_gaps(layers):
    reference._require_layers(layers)
    shared, *others = (layer.index[layer.notna().all(axis=1)] for layer in layers.values())
    for measured in others:
        shared = shared[shared.isin(measured)]
    return shared


@mistake(
    of="matched_samples",
    en="The right samples, but sorted. Keep the order of the first layer: other tables stand in it.",
    zh="样本是对的，但你排了序。请保持第一层的次序：别的表就是按它排列的。",
)
def sorts_them(layers):
    return reference.matched_samples(layers).sort_values()


@mistake(
    of="matched_samples",
    en="You compare the first two layers only. A study may have three layers, or ten.",
    zh="你只比较了前两层。一项研究可以有三层，也可以有十层。",
)
def first_two_layers(layers):
    reference._require_layers(layers)
    return reference.matched_samples(dict(list(layers.items())[:2]))


@mistake(
    of="matched_samples",
    en="Your list follows the last layer. Keep the order of the first one.",
    zh="你的名单按最后一层的次序排列。应保持第一层的次序。",
)
def order_of_the_last(layers):
    shared = reference.matched_samples(layers)
    last = list(layers.values())[-1].index
    return last[last.isin(shared)]


# ---------------------------------------------------------------- lost_share


@mistake(
    of="lost_share",
    en="These are the shares of those who stayed. Asked is the share that is lost: one minus it.",
    zh="这是留下来的份额。题目问的是丢掉的份额：用一减去它。",
)
def share_that_stayed(cohort, matched_samples):
    stayed = pd.Series(cohort.clinical.index.isin(matched_samples(cohort.layers)), index=cohort.clinical.index)
    return stayed.groupby(cohort.clinical["site"]).mean()


@mistake(
    of="lost_share",
    en="You divided by the number of all lost patients: that is where the lost come from. A large hospital then looks "
    "bad for being large. Divide by the hospital's own patients.",
    zh="你除以了所有丢掉的患者数：那是“丢掉的人来自哪里”。这样一来，大医院只因为大就显得差。应除以该院自己的患者数。",
)
def where_the_lost_come_from(cohort, matched_samples):
    lost = ~cohort.clinical.index.isin(matched_samples(cohort.layers))
    return cohort.clinical["site"][lost].value_counts(normalize=True)


@mistake(
    of="lost_share",
    en="You divided by all patients of the cohort. Divide by the patients of that hospital.",
    zh="你除以了整个队列的患者数。应除以该院的患者数。",
)
def share_of_the_cohort(cohort, matched_samples):
    lost = ~cohort.clinical.index.isin(matched_samples(cohort.layers))
    return cohort.clinical["site"][lost].value_counts() / len(cohort.clinical)


@mistake(
    of="lost_share",
    en="You looked at one layer. Other layers lack patients too; use matched_samples on all of them.",
    zh="你只看了一层。别的层也缺患者；请对所有层使用 matched_samples。",
)
def metabolites_only(cohort):
    lost = pd.Series(~cohort.clinical.index.isin(cohort.layers["metabolite"].index), index=cohort.clinical.index)
    return lost.groupby(cohort.clinical["site"]).mean()


# ---------------------------------------------------------------- paired_difference_variance


def _checked(sd_x, sd_y, rho):
    return reference.paired_difference_variance(sd_x, sd_y, rho)


@mistake(
    of="paired_difference_variance",
    en="You added the last term. What is high in both cancels in a difference, so it is subtracted.",
    zh="你把最后一项加了上去。两者都偏高的部分在相减时抵消，所以应当减去。",
)
def variance_of_the_sum(sd_x, sd_y, rho):
    _checked(sd_x, sd_y, rho)
    return sd_x**2 + sd_y**2 + 2 * rho * sd_x * sd_y


@mistake(
    of="paired_difference_variance",
    en="The factor 2 of the last term is missing: the covariance counts twice.",
    zh="最后一项缺了因子 2：协方差要算两次。",
)
def covariance_once(sd_x, sd_y, rho):
    _checked(sd_x, sd_y, rho)
    return sd_x**2 + sd_y**2 - rho * sd_x * sd_y


@mistake(
    of="paired_difference_variance",
    en="Your function takes the root at the end, or never squares: it returns a standard deviation, not a variance.",
    zh="你的函数最后开了方：返回的是标准差，而不是方差。",
)
def standard_deviation(sd_x, sd_y, rho):
    return float(np.sqrt(_checked(sd_x, sd_y, rho)))


@mistake(
    of="paired_difference_variance",
    en="You took the size of the correlation without its sign. A negative correlation makes the variance larger.",
    zh="你取了相关系数的绝对值。负相关会使方差变大。",
)
def sign_lost(sd_x, sd_y, rho):
    return _checked(sd_x, sd_y, rho) if rho >= 0 else _checked(sd_x, sd_y, -rho)


@mistake(
    of="paired_difference_variance",
    en="The formula is right, but impossible numbers pass: refuse a correlation beyond 1 and a negative spread.",
    zh="公式是对的，但不可能的数也放行了：相关系数超出 ±1、标准差为负，都应拒绝。",
)
def accepts_anything(sd_x, sd_y, rho):
    return sd_x**2 + sd_y**2 - 2 * rho * sd_x * sd_y


# ---------------------------------------------------------------- paired_power


def _pair_parts(effect, sd_x, sd_y, rho, n, alpha):
    reference.paired_power(effect, sd_x, sd_y, rho, n, alpha=alpha)  # refuses what the reference refuses
    return effect / np.sqrt(reference.paired_difference_variance(sd_x, sd_y, rho) / n), n - 1


def _two_tails(shift, degrees, alpha):
    critical = t.ppf(1 - alpha / 2, degrees)
    return float(nct.sf(critical, degrees, shift) + nct.sf(critical, degrees, -shift))


@mistake(
    of="paired_power",
    en="You used the normal distribution. With few patients the standard deviation is itself uncertain: the t test "
    "needs the noncentral t.",
    zh="你用了正态分布。患者少时，标准差本身也不确定：t 检验要用非中心 t 分布。",
)
def normal_power(effect, sd_x, sd_y, rho, n, *, alpha=0.05):
    shift, _ = _pair_parts(effect, sd_x, sd_y, rho, n, alpha)
    critical = norm.ppf(1 - alpha / 2)
    return float(norm.sf(critical - shift) + norm.sf(critical + shift))


@mistake(
    of="paired_power",
    en="You moved the central t to the side. Under the alternative the statistic is noncentral t, which is skewed.",
    zh="你只是把中心 t 分布平移了。在备择假设下，统计量服从非中心 t 分布，它是偏的。",
)
def shifted_t(effect, sd_x, sd_y, rho, n, *, alpha=0.05):
    shift, degrees = _pair_parts(effect, sd_x, sd_y, rho, n, alpha)
    critical = t.ppf(1 - alpha / 2, degrees)
    return float(t.sf(critical - shift, degrees) + t.sf(critical + shift, degrees))


@mistake(
    of="paired_power",
    en="You count the upper tail only. The test is two-sided: with a negative effect your power is almost 0.",
    zh="你只算了上侧。检验是双侧的：效应为负时，你的功效几乎为 0。",
)
def upper_tail_only(effect, sd_x, sd_y, rho, n, *, alpha=0.05):
    shift, degrees = _pair_parts(effect, sd_x, sd_y, rho, n, alpha)
    return float(nct.sf(t.ppf(1 - alpha / 2, degrees), degrees, shift))


@mistake(
    of="paired_power",
    en="Your test is one-sided: the whole of alpha lies in one tail.",
    zh="你的检验是单侧的：整个 α 都放在了一侧。",
)
def one_sided(effect, sd_x, sd_y, rho, n, *, alpha=0.05):
    shift, degrees = _pair_parts(effect, sd_x, sd_y, rho, n, alpha)
    return float(nct.sf(t.ppf(1 - alpha, degrees), degrees, abs(shift)))


@mistake(
    of="paired_power",
    en="You took 2(n − 1) degrees of freedom. Pairs give n differences, and so n − 1.",
    zh="你用了 2(n − 1) 个自由度。配对只有 n 个差值，所以是 n − 1。",
)
def degrees_of_two_groups(effect, sd_x, sd_y, rho, n, *, alpha=0.05):
    shift, degrees = _pair_parts(effect, sd_x, sd_y, rho, n, alpha)
    return _two_tails(shift, 2 * degrees, alpha)


@mistake(
    of="paired_power",
    en="Your function always tests at 0.05. Use the argument alpha.",
    zh="你的函数总是用 0.05 的水平。请使用参数 alpha。",
)
def always_five_per_cent(effect, sd_x, sd_y, rho, n, *, alpha=0.05):
    shift, degrees = _pair_parts(effect, sd_x, sd_y, rho, n, alpha)
    return _two_tails(shift, degrees, 0.05)


@mistake(
    of="paired_power",
    en="You ignore the correlation: your pairs are no better than strangers.",
    zh="你忽略了相关系数：你的配对与陌生人无异。",
)
def without_rho(effect, sd_x, sd_y, rho, n, *, alpha=0.05):
    _, degrees = _pair_parts(effect, sd_x, sd_y, rho, n, alpha)
    return _two_tails(effect / np.sqrt((sd_x**2 + sd_y**2) / n), degrees, alpha)


# ---------------------------------------------------------------- unpaired_power


def _group_parts(effect, sd_x, sd_y, n, alpha):
    reference.unpaired_power(effect, sd_x, sd_y, n, alpha=alpha)  # refuses what the reference refuses
    variance_x, variance_y = sd_x**2, sd_y**2
    degrees = (n - 1) * (variance_x + variance_y) ** 2 / (variance_x**2 + variance_y**2)
    return effect / np.sqrt((variance_x + variance_y) / n), degrees


@mistake(
    of="unpaired_power",
    en="You took 2(n − 1) degrees of freedom whatever the spreads. That holds if they are equal; else use Welch's ν.",
    zh="无论离散程度如何，你都用 2(n − 1) 个自由度。那只在两者相等时成立；否则请用 Welch 的 ν。",
)
def pooled_degrees(effect, sd_x, sd_y, n, *, alpha=0.05):
    shift, _ = _group_parts(effect, sd_x, sd_y, n, alpha)
    return _two_tails(shift, 2 * (n - 1), alpha)


@mistake(
    of="unpaired_power",
    en="These are pairs without correlation: n − 1 degrees of freedom. Two groups have up to twice as many.",
    zh="这是相关为零的配对：自由度 n − 1。两组最多可以有它的两倍。",
)
def pairs_without_correlation(effect, sd_x, sd_y, n, *, alpha=0.05):
    shift, _ = _group_parts(effect, sd_x, sd_y, n, alpha)
    return _two_tails(shift, n - 1, alpha)


@mistake(
    of="unpaired_power",
    en="You split n between the groups. n is the number of patients in each group.",
    zh="你把 n 分给了两组。n 是每一组的患者数。",
)
def n_in_total(effect, sd_x, sd_y, n, *, alpha=0.05):
    shift, degrees = _group_parts(effect, sd_x, sd_y, n, alpha)
    return _two_tails(shift / np.sqrt(2), degrees, alpha)


@mistake(
    of="unpaired_power",
    en="You averaged the standard deviations. It is the variances that add.",
    zh="你对标准差取了平均。相加的是方差。",
)
def averages_deviations(effect, sd_x, sd_y, n, *, alpha=0.05):
    _, degrees = _group_parts(effect, sd_x, sd_y, n, alpha)
    return _two_tails(effect / np.sqrt(2 * ((sd_x + sd_y) / 2) ** 2 / n), degrees, alpha)


@mistake(
    of="unpaired_power",
    en="You count the upper tail only. The test is two-sided: with a negative effect your power is almost 0.",
    zh="你只算了上侧。检验是双侧的：效应为负时，你的功效几乎为 0。",
)
def only_the_upper_tail(effect, sd_x, sd_y, n, *, alpha=0.05):
    shift, degrees = _group_parts(effect, sd_x, sd_y, n, alpha)
    return float(nct.sf(t.ppf(1 - alpha / 2, degrees), degrees, shift))


@mistake(
    of="unpaired_power",
    en="You used the normal distribution. With few patients the standard deviations are uncertain: use noncentral t.",
    zh="你用了正态分布。患者少时标准差并不确定：应使用非中心 t 分布。",
)
def normal_groups(effect, sd_x, sd_y, n, *, alpha=0.05):
    shift, _ = _group_parts(effect, sd_x, sd_y, n, alpha)
    critical = norm.ppf(1 - alpha / 2)
    return float(norm.sf(critical - shift) + norm.sf(critical + shift))


# ---------------------------------------------------------------- patients_needed


def _needed(rna, protein, rho, smallest_study, effect=0.4, target=0.8):
    return {
        "paired": smallest_study(lambda n: reference.paired_power(effect, rna, protein, rho, n), target),
        "unpaired": smallest_study(lambda n: reference.unpaired_power(effect, rna, protein, n), target),
    }


@mistake(
    of="patients_needed",
    en="You counted the patients of both groups. Asked is the number in each group, as unpaired_power takes it.",
    zh="你数了两组患者的总数。题目问的是每一组的人数，与 unpaired_power 的 n 相同。",
)
def both_groups_together(stat1, smallest_study):
    found = _needed(*stat1.std(), stat1["rna"].corr(stat1["protein"]), smallest_study)
    return found | {"unpaired": 2 * found["unpaired"]}


@mistake(
    of="patients_needed",
    en="Your matched study does not know ρ. Take the correlation of the two columns from the data.",
    zh="你的匹配研究没有用到 ρ。请从数据中取两列的相关系数。",
)
def paired_without_rho(stat1, smallest_study):
    return _needed(*stat1.std(), 0.0, smallest_study)


@mistake(
    of="patients_needed",
    en="You passed variances where standard deviations are expected.",
    zh="函数要的是标准差，你传入的是方差。",
)
def variances_for_deviations(stat1, smallest_study):
    return _needed(*stat1.var(), stat1["rna"].corr(stat1["protein"]), smallest_study)


@mistake(
    of="patients_needed",
    en="These studies reach a power of 0.9. Asked is 0.8.",
    zh="这两个人数对应的功效是 0.9。题目要求的是 0.8。",
)
def power_of_nine_tenths(stat1, smallest_study):
    return _needed(*stat1.std(), stat1["rna"].corr(stat1["protein"]), smallest_study, target=0.9)


# ---------------------------------------------------------------- feature_network


def _links(x, correlation, threshold, *, strict=False, signed=False):
    size = correlation if signed else np.abs(correlation)
    with np.errstate(invalid="ignore"):
        links = size > threshold + 1e-9 if strict else size >= threshold - 1e-9
    np.fill_diagonal(links, False)
    return pd.DataFrame(links, x.columns, x.columns) if isinstance(x, pd.DataFrame) else links


def _correlation(values):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.corrcoef(values, rowvar=False)


def _checked_table(x, threshold):
    reference.feature_network(x, threshold=threshold)  # refuses what the reference refuses
    return np.array(x, dtype=float)


@mistake(
    of="feature_network",
    en="You correlated the values, not their ranks. One wild sample then decides, and logarithms change the network.",
    zh="你求的是数值的相关，而不是秩的相关。这样一个离奇的样本就能左右结果，取不取对数也会改变网络。",
)
def pearson_network(x, *, threshold):
    return _links(x, _correlation(_checked_table(x, threshold)), threshold)


@mistake(
    of="feature_network",
    en="You keep positive correlations only. A feature that falls as another rises goes with it too: take the absolute "
    "value.",
    zh="你只保留了正相关。一个升、另一个降，同样是相连：请取绝对值。",
)
def positive_only(x, *, threshold):
    values = _checked_table(x, threshold)
    return _links(x, _correlation(rankdata(values, axis=0)), threshold, signed=True)


@mistake(
    of="feature_network",
    en="A correlation equal to the threshold is no link in your network. At least means ≥, and rounding is forgiven.",
    zh="相关恰好等于阈值时，你没有连边。“不小于”就是 ≥，舍入误差也应放过。",
)
def strictly_above(x, *, threshold):
    values = _checked_table(x, threshold)
    return _links(x, _correlation(rankdata(values, axis=0)), threshold, strict=True)


@mistake(
    of="feature_network",
    en="Equal values get different ranks, by their place in the table. Let ties share the average rank.",
    zh="相等的数值因在表中的先后而得到不同的秩。并列者应取平均秩。",
)
def ties_by_place(x, *, threshold):
    values = _checked_table(x, threshold)
    constant = np.ptp(values, axis=0) == 0
    links = np.array(_links(x, _correlation(rankdata(values, method="ordinal", axis=0)), threshold))
    links[constant], links[:, constant] = False, False
    return pd.DataFrame(links, x.columns, x.columns) if isinstance(x, pd.DataFrame) else links


@mistake(
    of="feature_network",
    en="You ranked along the rows: within each sample. Rank each feature over the samples (axis=0).",
    zh="你沿着行排秩，也就是在每个样本之内。应在样本之间给每个特征排秩（axis=0）。",
)
def ranks_within_samples(x, *, threshold):
    values = _checked_table(x, threshold)
    return _links(x, _correlation(rankdata(values, axis=1)), threshold)


@mistake(
    of="feature_network",
    en="Tables with gaps and odd thresholds pass. Refuse them: a correlation with NaN is no correlation.",
    zh="有缺失的表和不合理的阈值都放行了。应当拒绝：含 NaN 的相关不是相关。",
)
def refuses_nothing(x, *, threshold):
    return _links(x, _correlation(rankdata(np.array(x, dtype=float), axis=0)), threshold)


@mistake(
    of="feature_network",
    en="Your result is an array even if a DataFrame came in. Without names nobody can match two networks.",
    zh="输入是 DataFrame，你却返回数组。没有名字，就没有人能把两个网络对上。",
)
def loses_the_names(x, *, threshold):
    return np.array(reference.feature_network(x, threshold=threshold))


# ---------------------------------------------------------------- network_overlap


def _ready(a, b, n_permutations, rng):
    reference.network_overlap(a, b, n_permutations=1, rng=np.random.default_rng(0))  # refuses what the reference does
    reference.require_integer(n_permutations, "n_permutations")
    if isinstance(a, pd.DataFrame):
        b = b.loc[a.index, a.columns]
    return np.triu(a, 1), np.triu(b, 1)


def _jaccard(first, second):
    return float((first & second).sum() / (first | second).sum())


def _renamed_counts(first, second, n_permutations, rng):
    everyone = first | first.T
    rows, columns = np.nonzero(second)
    orders = (rng.permutation(len(second)) for _ in range(n_permutations))
    return np.array([everyone[order[rows], order[columns]].sum() for order in orders])


@mistake(
    of="network_overlap",
    en="You strew the links of b at random over all pairs. That destroys the hubs, so that any two real networks look "
    "alike. Exchange the names of the nodes and keep the shape.",
    zh="你把 b 的边随机撒到所有节点对上，枢纽就被毁掉了，任何两个真实网络都会显得相似。应当互换节点的名字，保持形状。",
)
def strews_the_links(a, b, *, n_permutations, rng):
    first, second = _ready(a, b, n_permutations, rng)
    above = np.triu_indices(len(first), 1)
    links_a, links_b = first[above], second[above]
    shared = (links_a & links_b).sum()
    counts = np.array([(links_a & rng.permutation(links_b)).sum() for _ in range(n_permutations)])
    return _jaccard(first, second), float((1 + (counts >= shared).sum()) / (1 + n_permutations))


@mistake(
    of="network_overlap",
    en="Your p can be 0. The true naming is one of the possible ones: (1 + number as large) / (1 + n).",
    zh="你的 p 可能为 0。真实的命名也是可能的命名之一：（1 + 不小于的个数）/（1 + n）。",
)
def p_without_itself(a, b, *, n_permutations, rng):
    first, second = _ready(a, b, n_permutations, rng)
    counts = _renamed_counts(first, second, n_permutations, rng)
    return _jaccard(first, second), float((counts >= (first & second).sum()).mean())


@mistake(
    of="network_overlap",
    en="You count only renamings with a larger overlap. One that is equally large speaks against you as well: use >=.",
    zh="你只数了重叠更大的换名。同样大的换名也是反对的证据：请用 >=。",
)
def only_larger_counts(a, b, *, n_permutations, rng):
    first, second = _ready(a, b, n_permutations, rng)
    counts = _renamed_counts(first, second, n_permutations, rng)
    return _jaccard(first, second), float((1 + (counts > (first & second).sum()).sum()) / (1 + n_permutations))


@mistake(
    of="network_overlap",
    en="This is the Dice index, 2|A ∩ B| / (|A| + |B|). Jaccard divides by the links in either network.",
    zh="这是 Dice 指数 2|A ∩ B| /（|A| + |B|）。Jaccard 除以的是至少在一个网络中出现的边数。",
)
def dice_index(a, b, *, n_permutations, rng):
    first, second = _ready(a, b, n_permutations, rng)
    _, p = reference.network_overlap(a, b, n_permutations=n_permutations, rng=rng)
    return float(2 * (first & second).sum() / (first.sum() + second.sum())), p


@mistake(
    of="network_overlap",
    en="You compare row by row and forget the names. The second table may list its features in another order.",
    zh="你逐行比较，忘了看名字。第二张表的特征次序可能不同。",
)
def compares_by_place(a, b, *, n_permutations, rng):
    reference._require_networks(a, b)
    return reference.network_overlap(np.array(a), np.array(b), n_permutations=n_permutations, rng=rng)


@mistake(
    of="network_overlap",
    en="Your p is small for networks that share less than chance. Count the renamings with an overlap at least as "
    "large, not at most.",
    zh="两个网络的重叠比偶然还少时，你的 p 却很小。应数重叠不小于原值的换名，而不是不大于。",
)
def wrong_tail(a, b, *, n_permutations, rng):
    first, second = _ready(a, b, n_permutations, rng)
    counts = _renamed_counts(first, second, n_permutations, rng)
    return _jaccard(first, second), float((1 + (counts <= (first & second).sum()).sum()) / (1 + n_permutations))


@mistake(
    of="network_overlap",
    en="The diagonal counts in your overlap. A feature is not linked to itself.",
    zh="你的重叠把对角线也算了进去。特征与自己不算相连。",
)
def counts_the_diagonal(a, b, *, n_permutations, rng):
    _ready(a, b, n_permutations, rng)
    first, second = np.triu(a), np.triu(b.loc[a.index, a.columns] if isinstance(a, pd.DataFrame) else b)
    _, p = reference.network_overlap(a, b, n_permutations=n_permutations, rng=rng)
    return _jaccard(first, second), p


@mistake(
    of="network_overlap",
    en="Your renaming makes a generator of its own. Use the one that is given, so that others can repeat your result.",
    zh="你的换名自己造了一个生成器。请使用传入的 rng，别人才能重复你的结果。",
)
def own_generator(a, b, *, n_permutations, rng):
    reference.require_generator(rng)
    return reference.network_overlap(a, b, n_permutations=n_permutations, rng=np.random.default_rng(42))


# ---------------------------------------------------------------- anchor_map


def _distances(a, b, *, spread=None):
    """Gower's distances, with another spread if one is given as a function of two columns."""
    anchors = reference._shared_anchors(a, b)
    total = np.zeros((len(a), len(b)))
    for anchor in anchors:
        ours, theirs = reference._comparable(a[anchor])[:, None], reference._comparable(b[anchor])[None, :]
        if not reference._is_quantity(a[anchor]):
            total += ours != theirs
            continue
        both = np.concatenate([ours.ravel(), theirs.ravel()])
        size = np.ptp(both) if spread is None else spread(ours.ravel(), theirs.ravel())
        total += np.abs(ours - theirs) / (size if np.ptp(both) > 0 and size > 0 else 1)
    return total / len(anchors)


def _map(distance, a, b):
    """The five columns, from a table of distances."""
    nearest, second = np.sort(distance, axis=1)[:, :2].T
    n_candidates = (distance <= nearest[:, None] + 1e-9).sum(axis=1)
    unique, match = n_candidates == 1, distance.argmin(axis=1)
    back = distance <= distance.min(axis=0) + 1e-9
    chosen_back = back[np.arange(len(match)), match] & (back.sum(axis=0)[match] == 1)
    return pd.DataFrame(
        {
            "match": b.index[match].to_series(index=a.index).where(unique),
            "distance": nearest,
            "n_candidates": n_candidates,
            "margin": np.where(unique, second - nearest, 0.0),
            "mutual": unique & chosen_back,
        },
        index=a.index,
    )


@mistake(
    of="anchor_map",
    en="You guess among equals: of several patients equally near you take the first. Leave the match missing.",
    zh="你在同样近的人中猜了一个：取了第一名。应让匹配缺失。",
)
def guesses_among_equals(clinical_a, clinical_b):
    found = reference.anchor_map(clinical_a, clinical_b)
    first = _distances(clinical_a, clinical_b).argmin(axis=1)
    return found.assign(match=clinical_b.index[first].to_series(index=clinical_a.index))


@mistake(
    of="anchor_map",
    en="Your distance is the sum over the anchors. Take the mean, so that it lies between 0 and 1.",
    zh="你的距离是各锚点之和。应取平均，使它落在 0 与 1 之间。",
)
def sum_of_anchors(clinical_a, clinical_b):
    n_anchors = len(reference._shared_anchors(clinical_a, clinical_b))
    return _map(_distances(clinical_a, clinical_b) * n_anchors, clinical_a, clinical_b)


@mistake(
    of="anchor_map",
    en="You divide by the range of the second study alone. If the first recruits other ages, differences exceed 1: "
    "take the range over both.",
    zh="你只除以第二项研究的跨度。若第一项研究招募的年龄不同，差异就会超过 1：应取两项研究合起来的跨度。",
)
def range_of_the_second(clinical_a, clinical_b):
    distance = _distances(clinical_a, clinical_b, spread=lambda ours, theirs: np.ptp(theirs))
    return _map(distance, clinical_a, clinical_b)


@mistake(
    of="anchor_map",
    en="You divide quantities by their standard deviation. Gower's rule takes the range, so that no anchor exceeds 1.",
    zh="你用标准差去除数量。Gower 的规则用的是跨度，这样任何锚点都不会超过 1。",
)
def divides_by_deviation(clinical_a, clinical_b):
    distance = _distances(clinical_a, clinical_b, spread=lambda x, y: np.concatenate([x, y]).std(ddof=1))
    return _map(distance, clinical_a, clinical_b)


@mistake(
    of="anchor_map",
    en="Every unique match is mutual in your map. Ask back: is the patient the only nearest one of the match?",
    zh="在你的表里，凡是唯一的匹配都算相互。请反过来问一句：这名患者是不是其匹配者唯一的最近者？",
)
def never_asks_back(clinical_a, clinical_b):
    found = reference.anchor_map(clinical_a, clinical_b)
    return found.assign(mutual=found["n_candidates"] == 1)


@mistake(
    of="anchor_map",
    en="Two patients who are equally near to a match both count as its nearest. Then neither is mutual.",
    zh="两名患者离同一个匹配者同样近时，你把两人都算作最近。这时谁都不是相互的。",
)
def shares_the_match(clinical_a, clinical_b):
    found, distance = reference.anchor_map(clinical_a, clinical_b), _distances(clinical_a, clinical_b)
    match = distance.argmin(axis=1)
    back = (distance <= distance.min(axis=0) + 1e-9)[np.arange(len(match)), match]
    return found.assign(mutual=(found["n_candidates"] == 1).to_numpy() & back)


@mistake(
    of="anchor_map",
    en="You compare distances exactly. Sums in another order differ in the last digit; count those within 1e-9 as "
    "equal.",
    zh="你对距离作了精确比较。相加的次序不同，末位数字就会不同；相差在 1e-9 以内应视为相等。",
)
def compares_exactly(clinical_a, clinical_b):
    found = reference.anchor_map(clinical_a, clinical_b)
    distance = _distances(clinical_a, clinical_b)
    n_candidates = (distance == distance.min(axis=1, keepdims=True)).sum(axis=1)
    match = clinical_b.index[distance.argmin(axis=1)].to_series(index=clinical_a.index)
    ordered = np.sort(distance, axis=1)
    return found.assign(
        match=match.where(n_candidates == 1), n_candidates=n_candidates, margin=ordered[:, 1] - ordered[:, 0]
    )


@mistake(
    of="anchor_map",
    en="Anchors of two kinds and gaps pass through. Text here and numbers there are never equal, and nobody notices.",
    zh="类型不一致的锚点和缺失都放行了。一处是文字、一处是数字，永远不会相等，而且没人会发现。",
)
def takes_any_anchor(clinical_a, clinical_b):
    try:
        return reference.anchor_map(clinical_a, clinical_b)
    except ValueError:
        anchors = [column for column in clinical_a.columns if column in clinical_b.columns]
        distance = np.zeros((len(clinical_a), len(clinical_b)))
        for anchor in anchors:
            distance += clinical_a[anchor].to_numpy()[:, None] != clinical_b[anchor].to_numpy()[None, :]
        return _map(distance / max(len(anchors), 1), clinical_a, clinical_b)


@mistake(
    of="anchor_map",
    en="You subtract quantities as they are stored. Whole numbers of 8 bits wrap around (40 − 60 gives 236); a date "
    "is no number: make floats of them with `_comparable` first.",
    zh="你直接用存储的类型相减。8 位整数会回绕，40 − 60 变成 236；日期则根本不是数。请先用 `_comparable` 转成浮点数。",
)
def subtracts_as_stored(clinical_a, clinical_b):
    anchors = reference._shared_anchors(clinical_a, clinical_b)
    total = np.zeros((len(clinical_a), len(clinical_b)))
    for anchor in anchors:
        ours, theirs = clinical_a[anchor].to_numpy()[:, None], clinical_b[anchor].to_numpy()[None, :]
        if pd.api.types.is_numeric_dtype(clinical_a[anchor]) and clinical_a[anchor].dtype != bool:
            spread = max(ours.max(), theirs.max()) - min(ours.min(), theirs.min())
            total += np.abs(ours - theirs) / spread if spread > 0 else 0
        else:
            total += ours != theirs
    return _map(total / len(anchors), clinical_a, clinical_b)
