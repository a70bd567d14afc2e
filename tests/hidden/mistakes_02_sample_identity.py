"""Wrong answers people really give to unit 02, each with what to say to who gives it."""

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from course.checking import mistake
from reference_impl import identity as reference
from reference_impl.identity import (
    as_dosages,
    cycle_lengths,
    every_pair,
    match_evidence,
    pair_weights,
    paired_columns,
    positions_of,
    standardize,
)
from reference_impl.validation import (
    as_matrix,
    labels,
    require_between,
    require_number,
    require_same_columns,
    require_unique_labels,
)

# ---------------------------------------------------------------- genotype_concordance


def _concordance(first, second, non_reference, count):
    """Count agreements and sites pair by pair; `count` turns two rows of calls into the two numbers."""
    g, h = as_dosages(first, "first"), as_dosages(second, "second")
    require_same_columns(first, second)
    counted = np.array([[count(a, b) for b in h] for a in g], dtype=float)
    n_same, n_sites = counted[..., 0], counted[..., 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return every_pair(first, second, n_same / n_sites), every_pair(first, second, n_sites)


def _both_called(a, b):
    return ~np.isnan(a) & ~np.isnan(b)


@mistake(
    of="genotype_concordance",
    en="You divided by the number of all sites, so every missing call counts as a disagreement. "
    "Divide by the number of sites called in both samples.",
    zh="你除以了全部位点数，于是每个缺失都被当成不一致。应除以两个样本都有分型结果的位点数。",
)
def divides_by_all_sites(first, second, *, non_reference=False):
    def count(a, b):
        use = ~(non_reference & (a == 0) & (b == 0))
        return (a == b)[use].sum(), use.sum()

    return _concordance(first, second, non_reference, count)


@mistake(
    of="genotype_concordance",
    en="Two missing calls were taken for an agreement. Where neither sample was called, nothing was compared.",
    zh="你把两个缺失当成了一致。两个样本都没有分型结果的位点，其实什么也没有比较。",
)
def missing_equals_missing(first, second, *, non_reference=False):
    def count(a, b):
        neither = np.isnan(a) & np.isnan(b)
        use = (_both_called(a, b) | neither) & ~(non_reference & (a == 0) & (b == 0))
        return ((a == b) | neither)[use].sum(), use.sum()

    return _concordance(first, second, non_reference, count)


@mistake(
    of="genotype_concordance",
    en="You left out every site where one of the two samples is 0. Only sites where both are 0 go: "
    "a 0 against a 1 is the disagreement that non-reference concordance is meant to see.",
    zh="你去掉了任何一方为 0 的位点。只应去掉双方均为 0 的位点：0 对 1 正是非参考一致率要看到的不一致。",
)
def leaves_out_any_reference(first, second, *, non_reference=False):
    def count(a, b):
        use = _both_called(a, b) & ~(non_reference & ((a == 0) | (b == 0)))
        return (a == b)[use].sum(), use.sum()

    return _concordance(first, second, non_reference, count)


@mistake(
    of="genotype_concordance",
    en="Where two samples share no site you returned 0, which says that they disagree everywhere. "
    "Nothing was compared: return NaN.",
    zh="两个样本没有共同位点时，你返回了 0，等于说它们处处不一致。其实什么也没有比较：应返回 NaN。",
)
def zero_for_nothing(first, second, *, non_reference=False):
    concordance, n_sites = reference.genotype_concordance(first, second, non_reference=non_reference)
    return (concordance.fillna(0.0) if isinstance(concordance, pd.DataFrame) else np.nan_to_num(concordance)), n_sites


# ---------------------------------------------------------------- king_kinship


def _kinship(first, second, between_families, *, het_calls=None, weight=2, empty=np.nan):
    second = first if second is None else second
    g, h = as_dosages(first, "first"), as_dosages(second, "second")
    require_same_columns(first, second)
    called_g, called_h = (~np.isnan(g)).astype(float), (~np.isnan(h)).astype(float)
    het_g, het_h = (g == 1).astype(float), (h == 1).astype(float)
    both = het_g @ het_h.T
    opposite = (g == 0).astype(float) @ (h == 2).T + (g == 2).astype(float) @ (h == 0).T
    n_g, n_h = het_g @ called_h.T, called_g @ het_h.T
    if het_calls == "own":
        n_g, n_h = (
            np.broadcast_to(het_g.sum(axis=1)[:, None], both.shape),
            np.broadcast_to(het_h.sum(axis=1), both.shape),
        )
    bottom = (4 * np.minimum(n_g, n_h)) if between_families else n_g + n_h
    top = 2 * both - 2 * weight * opposite - n_g - n_h if between_families else both - weight * opposite
    ratio = np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0)
    kinship = ratio + 0.5 if between_families else ratio
    kinship = np.where(np.isnan(kinship), empty, kinship)
    return every_pair(first, second, kinship), every_pair(first, second, called_g @ called_h.T)


@mistake(
    of="king_kinship",
    en="You counted the heterozygous sites of each sample over all its own calls. Count them where both samples are "
    "called: otherwise missing calls in one sample make siblings look like cousins.",
    zh="你按每个样本自己的全部分型结果来数杂合位点。应只数两个样本都有结果的位点；否则一个样本的缺失会让同胞看上去像表亲。",
)
def counts_own_calls(first, second=None, *, between_families=False):
    return _kinship(first, second, between_families, het_calls="own")


@mistake(
    of="king_kinship",
    en="Opposite homozygotes (0 against 2) count twice in the numerator: two alleles differ there. You took them once.",
    zh="分子中相反纯合（0 对 2）要乘以 2：那里有两个等位基因不同。你只减了一次。",
)
def opposite_once(first, second=None, *, between_families=False):
    return _kinship(first, second, between_families, weight=1)


@mistake(
    of="king_kinship",
    en="Where the denominator is 0 you returned 0, and kinship 0 means strangers. Nothing is known there: return NaN.",
    zh="分母为 0 时你返回了 0，而亲缘系数为 0 表示两人无关。这里其实什么也说不了：应返回 NaN。",
)
def zero_for_undefined(first, second=None, *, between_families=False):
    return _kinship(first, second, between_families, empty=0.0)


@mistake(
    of="king_kinship",
    en="Your form for pairs of different families divides by the larger number of heterozygous sites; "
    "it is the smaller one, which keeps an inbred sample from looking like everybody's relative.",
    zh="你在不同家系之间的形式中除以了较多的杂合位点数。应取较少的一方，这样近交样本才不会看起来像所有人的亲属。",
)
def divides_by_larger_count(first, second=None, *, between_families=False):
    if not between_families:
        return reference.king_kinship(first, second)
    kinship, n_sites = reference.king_kinship(first, second, between_families=True)
    g = as_dosages(first, "first")
    h = g if second is None else as_dosages(second, "second")
    het_g, het_h = (g == 1).astype(float) @ (~np.isnan(h)).T, (~np.isnan(g)).astype(float) @ (h == 1).T
    factor = np.minimum(het_g, het_h) / np.maximum(np.maximum(het_g, het_h), 1)
    return (kinship - 0.5) * factor + 0.5, n_sites


# ---------------------------------------------------------------- find_duplicates


def _pairs(similarity, is_listed, *, ordered=True, checked=True, triangle=1):
    values = as_matrix(similarity, "similarity", missing=True)
    names = labels(similarity, 0)
    if checked and (not names.equals(labels(similarity, 1)) or not np.allclose(values, values.T, equal_nan=True)):
        raise ValueError("similarity must compare the samples of one layer with each other")
    rows, columns = np.triu_indices(min(values.shape), k=triangle)
    alike = is_listed(values[rows, columns])
    found = pd.DataFrame(
        {"first": names[rows[alike]], "second": names[columns[alike]], "similarity": values[rows, columns][alike]}
    )
    return found.sort_values("similarity", ascending=False, kind="stable", ignore_index=True) if ordered else found


@mistake(
    of="find_duplicates",
    en="A pair exactly at the threshold is missing from your list: “at least the threshold” includes it (≥, not >).",
    zh="恰好等于阈值的一对不在你的列表中：“至少达到阈值”包括等于（用 ≥，而不是 >）。",
)
def above_threshold_only(similarity, *, threshold):
    return _pairs(similarity, lambda s: s > threshold)


@mistake(
    of="find_duplicates",
    en="The pairs stand in the order of the table. List the most similar pair first: it is the one to look at first.",
    zh="你的列表按表中的次序排列。应把最相似的一对放在最前：那是首先要查看的。",
)
def keeps_table_order(similarity, *, threshold):
    return _pairs(similarity, lambda s: s >= threshold, ordered=False)


@mistake(
    of="find_duplicates",
    en="A pair that cannot be compared (NaN) stands in your list. Not knowing is no resemblance; "
    "“not below the threshold” and “at least the threshold” differ for NaN.",
    zh="无法比较（NaN）的一对出现在你的列表中。不知道不等于相似；对 NaN 而言，“不低于阈值”与“至少达到阈值”并不相同。",
)
def lists_the_unknown(similarity, *, threshold):
    return _pairs(similarity, lambda s: ~(s < threshold))


@mistake(
    of="find_duplicates",
    en="You take each sample only once. If three tubes hold one person, all three pairs are duplicates.",
    zh="你让每个样本只出现一次。若三支管装的是同一个人，那么三对都是重复。",
)
def each_sample_once(similarity, *, threshold):
    found = reference.find_duplicates(similarity, threshold=threshold)
    used, kept = set(), []
    for row in found.itertuples(index=False):
        kept.append(row.first not in used and row.second not in used)
        if kept[-1]:
            used |= {row.first, row.second}
    return found[np.array(kept, dtype=bool)].reset_index(drop=True)


# ---------------------------------------------------------------- infer_sex


def _scores(log_expression, x_inactivation, y_linked, average):
    expression = as_matrix(log_expression, "log_expression", missing=True)
    names = labels(log_expression, 1)
    return [
        average(pd.DataFrame(expression[:, positions_of(genes, names, name)])).to_numpy(dtype=float)
        for genes, name in [(x_inactivation, "x_inactivation"), (y_linked, "y_linked")]
    ]


def _sexes(log_expression, x_inactivation, y_linked, decide, *, average=lambda t: t.mean(axis=1), distance=np.abs):
    x_score, y_score = _scores(log_expression, x_inactivation, y_linked, average)
    return pd.DataFrame(
        {
            "x_score": x_score,
            "y_score": y_score,
            "sex": decide(x_score, y_score),
            "margin": distance(x_score - y_score),
        },
        index=labels(log_expression, 0),
    )


def _by_difference(margin):
    def decide(x_score, y_score):
        d = x_score - y_score
        return np.select([(d >= margin) & (d > 0), (-d >= margin) & (d < 0)], ["female", "male"], "ambiguous")

    return decide


@mistake(
    of="infer_sex",
    en="You decide by XIST alone. A failed library has no XIST either, and a mixture has it: look at the difference "
    "between the two scores.",
    zh="你只凭 XIST 判定。失败的文库同样没有 XIST，混样则有：应看两个得分之差。",
)
def xist_alone(log_expression, *, x_inactivation, y_linked, margin=1.0):
    margin = require_number(margin, "margin", low=0)
    typical = 3.0

    def decide(x_score, y_score):
        return np.select([x_score - typical >= margin, typical - x_score >= margin], ["female", "male"], "ambiguous")

    return _sexes(log_expression, x_inactivation, y_linked, decide)


@mistake(
    of="infer_sex",
    en="A difference equal to the margin is enough (≥). You asked for more than the margin.",
    zh="差值等于余量阈值就够了（≥）。你要求大于阈值。",
)
def more_than_the_margin(log_expression, *, x_inactivation, y_linked, margin=1.0):
    margin = require_number(margin, "margin", low=0)

    def decide(x_score, y_score):
        d = x_score - y_score
        return np.select([d > margin, -d > margin], ["female", "male"], "ambiguous")

    return _sexes(log_expression, x_inactivation, y_linked, decide)


@mistake(
    of="infer_sex",
    en="You took genes that were not measured for genes that are silent (0). A missing value is not a low one: "
    "average over the genes that were measured.",
    zh="你把没有测到的基因当成了不表达（0）。缺失不等于低：应对已测的基因求均值。",
)
def missing_is_silent(log_expression, *, x_inactivation, y_linked, margin=1.0):
    margin = require_number(margin, "margin", low=0)
    decide = _by_difference(margin)
    return _sexes(log_expression, x_inactivation, y_linked, decide, average=lambda t: t.fillna(0.0).mean(axis=1))


@mistake(
    of="infer_sex",
    en="Whoever is not clearly female became male. Below the margin the answer is “ambiguous”, on both sides.",
    zh="凡是不能明确为女性的，你都判成了男性。低于余量阈值时，无论哪一侧都应为“不明确”（ambiguous）。",
)
def otherwise_male(log_expression, *, x_inactivation, y_linked, margin=1.0):
    margin = require_number(margin, "margin", low=0)

    def decide(x_score, y_score):
        d = x_score - y_score
        return np.select([(d >= margin) & (d > 0), d <= 0], ["female", "male"], "ambiguous")

    return _sexes(log_expression, x_inactivation, y_linked, decide)


# ---------------------------------------------------------------- cross_layer_similarity


def _similarity(first, second, pairs, first_batch, second_batch, *, weigh=None, by_label=True, seen_only=True):
    in_first, in_second = paired_columns(first, second, pairs)
    for x, name in [(first, "first"), (second, "second")]:
        require_unique_labels(x, name)
    a = standardize(first, first_batch, "first")[:, in_first]
    b = standardize(second, second_batch, "second")[:, in_second]
    shared = labels(first, 0).intersection(labels(second, 0))
    if len(shared) == 0:
        raise ValueError("first and second have no sample label in common")
    if by_label:
        weight = pair_weights(a[labels(first, 0).get_indexer(shared)], b[labels(second, 0).get_indexer(shared)])
    else:
        n = min(len(a), len(b))
        weight = pair_weights(a[:n], b[:n])
    weight = weight if weigh is None else weigh(weight)
    size = np.abs(weight)
    seen_a, seen_b = (~np.isnan(a), ~np.isnan(b)) if seen_only else (np.ones(a.shape), np.ones(b.shape))
    a, b = np.nan_to_num(a), np.nan_to_num(b)
    length = np.sqrt(((a**2 * size) @ seen_b.T) * ((seen_a * size) @ (b**2).T))
    with np.errstate(invalid="ignore", divide="ignore"):
        return every_pair(first, second, (a * weight) @ b.T / length)


@mistake(
    of="cross_layer_similarity",
    en="You dropped the sign of the weights. Where a feature goes down when its partner goes up (a methylated promoter "
    "and its gene), opposite values are the agreement.",
    zh="你丢掉了权重的符号。若一个特征升高时另一个降低（例如启动子甲基化与其基因），方向相反才是一致。",
)
def forgets_the_sign(first, second, pairs, *, first_batch=None, second_batch=None):
    return _similarity(first, second, pairs, first_batch, second_batch, weigh=np.abs)


@mistake(
    of="cross_layer_similarity",
    en="Every informative pair has the same weight in your sum. A pair with r = 0.9 tells far more than one with "
    "r = 0.3; multiply by its weight r / (1 − r²).",
    zh="你让每个有信息的特征对权重相同。r = 0.9 的一对远比 r = 0.3 的一对说明问题；应乘以权重 r / (1 − r²)。",
)
def equal_weights(first, second, pairs, *, first_batch=None, second_batch=None):
    return _similarity(first, second, pairs, first_batch, second_batch, weigh=np.sign)


@mistake(
    of="cross_layer_similarity",
    en="You did not remove the batches. Samples of one batch then look alike whoever they are: hand `first_batch` and "
    "`second_batch` to `standardize`.",
    zh="你没有去除批次。同一批次的样本因此彼此相像，不管是谁：应把批次交给 `standardize`。",
)
def keeps_the_batches(first, second, pairs, *, first_batch=None, second_batch=None):
    return _similarity(first, second, pairs, None, None)


@mistake(
    of="cross_layer_similarity",
    en="Your two lengths run over all pairs, though the sum of products only runs over the pairs measured in both "
    "samples. So samples with many gaps look less like anybody.",
    zh="你的两个长度对全部特征对求和，而乘积之和只包含两个样本都测到的特征对。于是缺失多的样本与谁都显得不像。",
)
def lengths_over_all_pairs(first, second, pairs, *, first_batch=None, second_batch=None):
    return _similarity(first, second, pairs, first_batch, second_batch, seen_only=False)


@mistake(
    of="cross_layer_similarity",
    en="You estimated the weights from rows with the same number, not with the same label. The layers may hold their "
    "people in different orders.",
    zh="你按行号而不是按标签配对来估计权重。两层里人的顺序可能不同。",
)
def weighs_by_row_number(first, second, pairs, *, first_batch=None, second_batch=None):
    return _similarity(first, second, pairs, first_batch, second_batch, by_label=False)


# ---------------------------------------------------------------- assign_samples


def _assign(
    similarity,
    prior_correct,
    min_margin,
    *,
    one_to_one=True,
    by_position=False,
    needs_evidence=True,
    above=np.greater,
    steps=cycle_lengths,
    head=lambda prior, n: np.log(prior * max(n - 1, 1) / (1 - prior)),
):
    require_unique_labels(similarity, "similarity")
    prior_correct = require_between(prior_correct, "prior_correct", 0, 1)
    min_margin = require_number(min_margin, "min_margin", low=0)
    evidence = np.asarray(match_evidence(similarity))
    samples, people = labels(similarity, 0), labels(similarity, 1)
    own = np.eye(*evidence.shape) if by_position else samples.to_numpy()[:, None] == people.to_numpy()[None, :]
    score = np.nan_to_num(evidence) + head(prior_correct, len(people)) * own
    if one_to_one:
        rows, columns = linear_sum_assignment(score, maximize=True)
    else:
        rows, columns = np.arange(len(score)), score.argmax(axis=1)
    rivals = np.maximum(score, 0.0)
    rivals[rows, columns] = 0.0
    margin = np.full(len(samples), np.nan)
    margin[rows] = score[rows, columns] - rivals[rows].max(axis=1)
    margin[np.isnan(evidence).all(axis=1)] = np.nan
    is_told = np.zeros(len(samples), dtype=bool)
    is_told[rows] = above(margin[rows], min_margin)
    if needs_evidence:
        is_told[rows] &= evidence[rows, columns] > 0
    person = dict(zip(samples[rows], people[columns], strict=True))
    told = {sample: person[sample] for sample in samples[is_told]}
    lengths = steps(told)
    return pd.DataFrame(
        {
            "assigned": pd.Series([told.get(sample) for sample in samples], index=samples, dtype=object),
            "verdict": [
                "cannot_tell" if sample not in told else "as_labelled" if told[sample] == sample else "swapped"
                for sample in samples
            ],
            "margin": margin,
            "cycle": [lengths.get(sample, 0) for sample in samples],
        },
        index=samples,
    )


@mistake(
    of="assign_samples",
    en="You gave every row its best column, so two rows can be the same person. Use the one-to-one assignment with the "
    "largest total score (`linear_sum_assignment` with `maximize=True`).",
    zh="你给每一行都选了得分最高的列，于是两行可能是同一个人。应使用总得分最大的一对一指派"
    "（`linear_sum_assignment`，`maximize=True`）。",
)
def best_column_per_row(similarity, *, prior_correct=0.95, min_margin=0.0):
    return _assign(similarity, prior_correct, min_margin, one_to_one=False)


@mistake(
    of="assign_samples",
    en="You gave the head start to the diagonal. The columns may stand in another order, or lack people: compare the "
    "labels of rows and columns.",
    zh="你把先验优势加在了对角线上。列的顺序可能不同，也可能缺人：应比较行与列的标签。",
)
def label_is_the_diagonal(similarity, *, prior_correct=0.95, min_margin=0.0):
    return _assign(similarity, prior_correct, min_margin, by_position=True)


@mistake(
    of="assign_samples",
    en="A sample that resembles nobody keeps its label in your answer, because the prior alone decides. "
    "Without positive evidence for the assigned person the verdict is cannot_tell.",
    zh="与谁都不像的样本在你的结果中保留了原标签，因为只剩先验在起作用。没有正的证据时，判断应为 cannot_tell。",
)
def prior_is_enough(similarity, *, prior_correct=0.95, min_margin=0.0):
    return _assign(similarity, prior_correct, min_margin, needs_evidence=False)


@mistake(
    of="assign_samples",
    en="A margin equal to `min_margin` was accepted. It must be exceeded.",
    zh="余量恰好等于 `min_margin` 时你也接受了；必须超过它。",
)
def margin_just_reached(similarity, *, prior_correct=0.95, min_margin=0.0):
    return _assign(similarity, prior_correct, min_margin, above=np.greater_equal)


def _pairs_only(told):
    return {s: 1 if told[s] == s else 2 if told.get(told[s]) == s else 0 for s in told}


@mistake(
    of="assign_samples",
    en="You look one step ahead only, so a cycle of three is taken for a chain that does not close. Follow label → "
    "assigned → … until it comes back.",
    zh="你只往前看了一步，于是三人轮换被当成没有闭合的链。应沿着“标签 → 指派 → ……”一直走到回到起点为止。",
)
def cycles_of_two_only(similarity, *, prior_correct=0.95, min_margin=0.0):
    return _assign(similarity, prior_correct, min_margin, steps=_pairs_only)


@mistake(
    of="assign_samples",
    en="The probability that a label is wrong is shared by all other people: each of them has (1 − π)/(n − 1). "
    "Your head start is log(π/(1 − π)), as if there were only one other person.",
    zh="标签错误的概率由其他所有人分摊：每人 (1 − π)/(n − 1)。你的先验优势是 log(π/(1 − π))，好像只有另外一个人。",
)
def only_one_other_person(similarity, *, prior_correct=0.95, min_margin=0.0):
    return _assign(similarity, prior_correct, min_margin, head=lambda prior, n: np.log(prior / (1 - prior)))


# ---------------------------------------------------------------- swapped_people


@mistake(
    of="swapped_people",
    en="The RNA swap is in your list of protein tubes too. Protein was compared with RNA, so RNA's swap shows there; "
    "translate the RNA label into its true person before you accuse the protein tube.",
    zh="RNA 的互换也出现在你的蛋白列表里。蛋白是与 RNA 比较的，RNA 的互换在那里也会显现；"
    "先把 RNA 标签换成它真正的主人，再判断蛋白管是否有错。",
)
def accuses_protein_for_rna(rna_told, protein_told):
    rna = rna_told.loc[rna_told["verdict"] == "swapped", "assigned"].to_dict()
    return {"rna": rna, "protein": protein_told.loc[protein_told["verdict"] == "swapped", "assigned"].to_dict()}


@mistake(
    of="swapped_people",
    en="Your dicts go from the person to the tube. The key is the label on the tube, the value is the person inside. "
    "For a pair that makes no difference; for a cycle of three it turns everything round.",
    zh="你的字典是从人到管。键应是管上的标签，值是管里的人。对一对互换没有区别；对三人轮换则全都反了。",
)
def from_person_to_tube(rna_told, protein_told):
    right = _owners(rna_told, protein_told)
    return {layer: {person: label for label, person in tubes.items()} for layer, tubes in right.items()}


@mistake(
    of="swapped_people",
    en="You looked at the RNA only. The protein tubes have been mixed up too, and by more than a pair.",
    zh="你只看了 RNA。蛋白管也弄混了，而且不止一对。",
)
def rna_only(rna_told, protein_told):
    return {"rna": _owners(rna_told, protein_told)["rna"], "protein": {}}


def _owners(rna_told, protein_told):
    rna = rna_told.loc[rna_told["verdict"] == "swapped", "assigned"].to_dict()
    seen = protein_told.loc[protein_told["verdict"] != "cannot_tell", "assigned"]
    protein = {tube: rna.get(label, label) for tube, label in seen.items()}
    return {"rna": rna, "protein": {tube: person for tube, person in protein.items() if person != tube}}


# ---------------------------------------------------------------- wrong_records


@mistake(
    of="wrong_records",
    en="This patient's RNA tube was swapped, so the sex you saw is another person's. Put the tubes right first, then "
    "compare the sex.",
    zh="这名患者的 RNA 管被换掉了，你看到的是另一个人的性别。先把管归位，再比较性别。",
)
def believes_the_swapped_tube(copies, rna_to_dna, rna_told, sexes, cohort):
    recorded = cohort.clinical["sex"]
    swapped = rna_told.index[rna_told["verdict"] == "swapped"]
    suspects = [p for p in swapped if sexes.loc[p, "sex"] not in (recorded[p], "ambiguous")]
    return _records(copies, rna_to_dna, rna_told, sexes, cohort) | {"wrong_sex": suspects[0]}


@mistake(
    of="wrong_records",
    en="You named the right two tubes the wrong way round. The copy is the one that does not agree with the RNA of its "
    "own label.",
    zh="你找对了这两支管，但弄反了。拷贝是与自己标签的 RNA 不一致的那一支。",
)
def takes_the_original_for_the_copy(copies, rna_to_dna, rna_told, sexes, cohort):
    right = _records(copies, rna_to_dna, rna_told, sexes, cohort)
    return right | {"duplicate": right["copy_of"], "copy_of": right["duplicate"]}


def _records(copies, rna_to_dna, rna_told, sexes, cohort):
    copy, original = sorted(copies.loc[0, ["first", "second"]], key=lambda label: rna_to_dna.loc[label, label])
    owner = rna_told["assigned"].dropna()
    seen = pd.Series(sexes.loc[owner.index, "sex"].to_numpy(), index=owner)
    recorded = cohort.clinical["sex"]
    wrong = [person for person in seen.index if seen[person] not in (recorded[person], "ambiguous")]
    return {"duplicate": copy, "copy_of": original, "wrong_sex": wrong[0]}
