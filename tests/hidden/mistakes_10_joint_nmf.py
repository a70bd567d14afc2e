"""Wrong answers people give in unit 10, each with what to say to who gives it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from course.checking import mistake
from reference_impl.integration.jnmf import TINY, factor_arrays, like_layers, non_negative_matrix
from reference_impl.integration.layers import named_layers
from reference_impl.validation import as_matrix


def _columns(*given):
    """What `factor_arrays` returns, by kind: layers, h, w and weights."""
    h, fitted = factor_arrays(*given)
    tables, parts, counts = map(list, zip(*fitted, strict=True))
    return tables, h, parts, counts


# --- objective -------------------------------------------------------------------------------------------------------


def _errors(layers, h, w):
    tables, h, parts, _ = _columns(layers, h, w)
    return [x - h @ part.T for x, part in zip(tables, parts, strict=True)]


@mistake(
    of="objective",
    en="You halved the sum. Some authors write ½ before it; the convention here has none, and reported objectives "
    "would be half as large.",
    zh="你把总和减半了。有的作者会在前面写 ½；这里的约定没有 ½，否则报告的目标函数都会小一半。",
)
def halved(layers, h, w):
    return float(sum(np.sum(error**2) for error in _errors(layers, h, w)) / 2)


@mistake(
    of="objective",
    en="You added up norms. The objective adds up squared norms; otherwise it would not be the error of the layers "
    "side by side.",
    zh="你把范数相加了。目标函数相加的是范数的平方；否则它就不等于并排各层的误差。",
)
def sum_of_norms(layers, h, w):
    return float(sum(np.linalg.norm(error) for error in _errors(layers, h, w)))


@mistake(
    of="objective",
    en="You took the mean of the squared errors in each layer. That is a choice of weights, but not this one: here "
    "layers are scaled beforehand, and errors are summed.",
    zh="你在每层中取了平方误差的平均。那是另一种加权方式；这里事先缩放各层，误差则直接求和。",
)
def mean_in_each_layer(layers, h, w):
    return float(sum(np.mean(error**2) for error in _errors(layers, h, w)))


@mistake(
    of="objective",
    en="You took every layer's rows as they came and checked nothing: negative values and factors of another size must "
    "be refused. Use what `factor_arrays` returns.",
    zh="你没有做任何检查就使用了各层：负值和大小不符的因子都应拒绝。请使用 `factor_arrays` 返回的结果。",
)
def nothing_checked(layers, h, w):
    tables = list(layers.values()) if isinstance(layers, dict) else layers
    parts = list(w.values()) if isinstance(w, dict) else w
    total = 0.0
    for x, part in zip(tables, parts, strict=False):
        rank = min(h.shape[1], part.shape[1])
        total += np.sum((np.asarray(x)[: len(h)] - h[:, :rank] @ part[:, :rank].T) ** 2)
    return float(total)


# --- scale_layers ----------------------------------------------------------------------------------------------------


def _divided(layers, divisor):
    return {name: table / divisor(non_negative_matrix(name, table)) for name, table in named_layers(layers).items()}


def _measured(values):
    return (~np.isnan(values).all(axis=1)).sum()


@mistake(
    of="scale_layers",
    en="You counted patients who lack the layer. Their squares add nothing to the sum, so the divisor becomes too "
    "small: divide by the number of patients who have it.",
    zh="你把缺少该层的患者也计入了人数。他们对平方和没有贡献，于是除数偏小：应除以拥有该层的患者数。",
)
def counts_the_absent(layers):
    return _divided(layers, lambda values: np.sqrt(np.nansum(values**2) / len(values)))


@mistake(
    of="scale_layers",
    en="You forgot the root: values are divided by a mean of squares, which has squared units, and loud layers become "
    "quiet ones.",
    zh="你忘了开方：除数是平方的平均，单位也是平方，结果本来响的层反而变轻了。",
)
def without_root(layers):
    return _divided(layers, lambda values: np.nansum(values**2) / _measured(values))


@mistake(
    of="scale_layers",
    en="You divided by the root mean square of single values. A layer with ten times the columns still has ten times "
    "the say; take the mean over patients of a patient's whole sum of squares.",
    zh="你除以的是单个数值的均方根。列数多十倍的层仍有十倍的发言权；应先求每位患者的平方和，再对患者取平均。",
)
def per_value(layers):
    return _divided(layers, lambda values: np.sqrt(np.nanmean(values**2)))


@mistake(
    of="scale_layers",
    en="You scaled every feature by itself. That makes features that hardly vary as loud as all others; a layer has "
    "one divisor.",
    zh="你对每个特征各自做了缩放。这样几乎不变化的特征也和别的一样响；每一层只有一个除数。",
)
def each_feature(layers):
    return _divided(layers, lambda values: np.sqrt(np.nansum(values**2, axis=0)) + 1e-12)


@mistake(
    of="scale_layers",
    en="You changed the tables that were handed in. Divide into a new table; the caller still needs the old one.",
    zh="你改动了传入的表。请把相除的结果放进新表，调用者还要用原来的表。",
)
def in_place(layers):
    scaled = {}
    for name, table in named_layers(layers).items():
        values = non_negative_matrix(name, table)
        table /= np.sqrt(np.nansum(values**2) / _measured(values))
        scaled[name] = table
    return scaled


# --- update_step -----------------------------------------------------------------------------------------------------


def _ratio(factor, toward, away):
    return factor * toward / np.where(away == 0, TINY, away)


@mistake(
    of="update_step",
    en="You updated the loadings with the old H. Use the new H: otherwise the objective may rise, and the path is not "
    "scikit-learn's.",
    zh="你用旧的 H 更新了载荷。应当用新的 H：否则目标函数可能上升，轨迹也与 scikit-learn 不同。",
)
def loadings_with_old_factor(layers, h, w):
    tables, h, parts, _ = _columns(layers, h, w)
    toward = sum(x @ part for x, part in zip(tables, parts, strict=True))
    new_h = _ratio(h, toward, h @ sum(part.T @ part for part in parts))
    new = [_ratio(part, x.T @ h, part @ (h.T @ h)) for x, part in zip(tables, parts, strict=True)]
    return new_h, like_layers(layers, new)


@mistake(
    of="update_step",
    en="You updated the loadings first. That goes down as well, but along another path; here H comes first.",
    zh="你先更新了载荷。那样目标函数也会下降，但走的是另一条路；这里先更新 H。",
)
def loadings_first(layers, h, w):
    tables, h, parts, _ = _columns(layers, h, w)
    new = [_ratio(part, x.T @ h, part @ (h.T @ h)) for x, part in zip(tables, parts, strict=True)]
    toward = sum(x @ part for x, part in zip(tables, new, strict=True))
    return _ratio(h, toward, h @ sum(part.T @ part for part in new)), like_layers(layers, new)


@mistake(
    of="update_step",
    en="You averaged the ratios of the layers. Sum numerators and denominators over layers first, then divide: the "
    "gradient of a sum is the sum of the gradients.",
    zh="你把各层的比值取了平均。应先对各层的分子、分母分别求和，再相除：和的梯度是梯度之和。",
)
def mean_of_ratios(layers, h, w):
    tables, h, parts, _ = _columns(layers, h, w)
    ratios = [_ratio(h, x @ part, h @ (part.T @ part)) for x, part in zip(tables, parts, strict=True)]
    h = np.mean(ratios, axis=0)
    new = [_ratio(part, x.T @ h, part @ (h.T @ h)) for x, part in zip(tables, parts, strict=True)]
    return h, like_layers(layers, new)


@mistake(
    of="update_step",
    en="Each layer updated H in its turn. H is shared: one update, from all layers together.",
    zh="你让各层轮流更新 H。H 是共享的：应由所有层合起来只更新一次。",
)
def layer_after_layer(layers, h, w):
    tables, h, parts, _ = _columns(layers, h, w)
    new = []
    for x, part in zip(tables, parts, strict=True):
        h = _ratio(h, x @ part, h @ (part.T @ part))
        new.append(_ratio(part, x.T @ h, part @ (h.T @ h)))
    return h, like_layers(layers, new)


@mistake(
    of="update_step",
    en="You divided by 0 where a part is zero everywhere, and 0/0 is NaN. Put TINY in place of such a denominator.",
    zh="部件处处为零时，你除以了 0，而 0/0 是 NaN。请用 TINY 代替这样的分母。",
)
def divides_by_zero(layers, h, w):
    tables, h, parts, _ = _columns(layers, h, w)
    with np.errstate(all="ignore"):
        h = (
            h
            * sum(x @ part for x, part in zip(tables, parts, strict=True))
            / (h @ sum(part.T @ part for part in parts))
        )
        new = [part * (x.T @ h) / (part @ (h.T @ h)) for x, part in zip(tables, parts, strict=True)]
    return h, like_layers(layers, new)


@mistake(
    of="update_step",
    en="You took the square root of the ratio. Some rules for other errors have a root; for squared errors it only "
    "makes the steps shorter.",
    zh="你对比值开了平方。别的误差度量有带根号的规则；对平方误差来说，它只会让步子变短。",
)
def rooted(layers, h, w):
    tables, h, parts, _ = _columns(layers, h, w)
    toward = sum(x @ part for x, part in zip(tables, parts, strict=True))
    away = h @ sum(part.T @ part for part in parts)
    h = h * np.sqrt(toward / np.where(away == 0, TINY, away))
    new = []
    for x, part in zip(tables, parts, strict=True):
        away = part @ (h.T @ h)
        new.append(part * np.sqrt(x.T @ h / np.where(away == 0, TINY, away)))
    return h, like_layers(layers, new)


# --- coordinate_step -------------------------------------------------------------------------------------------------


def _fitting(factor, target, gram):
    factor, target, gram = np.array(factor, dtype=float), np.asarray(target), np.asarray(gram)
    if factor.shape != target.shape or gram.shape != (factor.shape[1],) * 2:
        raise ValueError("shapes do not fit")
    return factor, target, gram


@mistake(
    of="coordinate_step",
    en="All columns were computed from the old factor at once. Then they correct the same error several times and "
    "overshoot; each column must see the new values of those before it.",
    zh="你用旧的因子一次算出了所有列。它们会重复纠正同一个误差而走过头；每一列都应看到前面各列的新值。",
)
def all_at_once(factor, target, gram):
    factor, target, gram = _fitting(factor, target, gram)
    curvature = np.diag(gram)
    change = np.where(curvature > 0, (target - factor @ gram) / np.where(curvature > 0, curvature, 1), 0)
    return np.maximum(factor + change, 0)


@mistake(
    of="coordinate_step",
    en="You forgot to cut at 0: a column may become negative, and a part that is subtracted is no part.",
    zh="你忘了在 0 处截断：列中可能出现负数，而要被减去的东西就不成其为部件了。",
)
def not_cut(factor, target, gram):
    factor, target, gram = _fitting(factor, target, gram)
    for k in range(factor.shape[1]):
        if gram[k, k] > 0:
            factor[:, k] += (target[:, k] - factor @ gram[:, k]) / gram[k, k]
    return factor


@mistake(
    of="coordinate_step",
    en="You cut the change at 0 instead of the new value, so entries can only grow.",
    zh="你在 0 处截断的是变化量，而不是新值，于是各元素只增不减。",
)
def change_cut(factor, target, gram):
    factor, target, gram = _fitting(factor, target, gram)
    for k in range(factor.shape[1]):
        if gram[k, k] > 0:
            factor[:, k] += np.maximum((target[:, k] - factor @ gram[:, k]) / gram[k, k], 0)
    return factor


@mistake(
    of="coordinate_step",
    en="A column whose partner is zero everywhere (gram[k, k] = 0) was divided by 0, or set to 0. Nothing is known "
    "about it: leave it as it is.",
    zh="伙伴处处为零的列（gram[k, k] = 0）被除以了 0，或被设成了 0。我们对它一无所知：应保持原样。",
)
def lonely_column_lost(factor, target, gram):
    factor, target, gram = _fitting(factor, target, gram)
    for k in range(factor.shape[1]):
        curvature = gram[k, k] if gram[k, k] > 0 else 1.0
        change = (target[:, k] - factor @ gram[:, k]) / curvature
        factor[:, k] = np.maximum(factor[:, k] + change, 0) if gram[k, k] > 0 else 0.0
    return factor


@mistake(
    of="coordinate_step",
    en="You changed the factor that was handed in. Work on a copy.",
    zh="你改动了传入的因子。请在副本上操作。",
)
def works_in_place(factor, target, gram):
    _fitting(factor, target, gram)
    for k in range(factor.shape[1]):
        if gram[k, k] > 0:
            change = (target[:, k] - factor @ gram[:, k]) / gram[k, k]
            factor[:, k] = np.maximum(factor[:, k] + change, 0)
    return factor


# --- programmes ------------------------------------------------------------------------------------------------------

LAYERS = ["methylation", "protein", "metabolite"]


@mistake(
    of="programmes",
    en="You took the first part for all layers. Each of the three layers has a part of its own, in which its share is "
    "largest.",
    zh="你对所有层都取了第一个部件。三层各有自己的部件，即它的份额最大的那个。",
)
def first_part_for_all(loadings):
    return {name: loadings[name].iloc[:, 0].nlargest(20).index.tolist() for name in LAYERS}


@mistake(
    of="programmes",
    en="You took the part in which the layer has its smallest share.",
    zh="你取了该层份额最小的那个部件。",
)
def smallest_share(loadings, share):
    return {name: loadings[name][share[name].idxmin()].nlargest(20).index.tolist() for name in LAYERS}


@mistake(
    of="programmes",
    en="You took the features with the smallest loadings: they are those that the part does not use at all.",
    zh="你取了载荷最小的特征：那正是这个部件完全没有用到的。",
)
def smallest_loadings(loadings, share):
    return {name: loadings[name][share[name].idxmax()].nsmallest(20).index.tolist() for name in LAYERS}


@mistake(
    of="programmes",
    en="You took the features that vary most in the layer. Loud features need not belong to the part; its loadings say "
    "which do.",
    zh="你取了该层中变化最大的特征。声音大的特征未必属于这个部件；属于与否由载荷说了算。",
)
def most_variable(layers):
    return {name: layers[name].var().nlargest(20).index.tolist() for name in LAYERS}


# --- match_parts -----------------------------------------------------------------------------------------------------


def _cosines(first, second):
    one, other = as_matrix(first, "first"), as_matrix(second, "second")
    labelled = isinstance(first, pd.DataFrame) and isinstance(second, pd.DataFrame)
    if one.shape != other.shape or (labelled and not first.index.equals(second.index)):
        raise ValueError("first and second must have the same samples and parts")
    lengths = np.outer(np.linalg.norm(one, axis=0), np.linalg.norm(other, axis=0))
    return one, other, one.T @ other / np.where(lengths > 0, lengths, 1)


@mistake(
    of="match_parts",
    en="Every part took the best for itself, so two may have taken the same. Partners are assigned one to one.",
    zh="每个部件都给自己挑了最好的，于是两个部件可能挑中同一个。伙伴应一对一地指派。",
)
def everyone_for_themselves(first, second):
    _, _, cosine = _cosines(first, second)
    return cosine.argmax(axis=1), cosine.max(axis=1)


@mistake(
    of="match_parts",
    en="You took the best pair first, then the next best. What is left for the last parts can be bad: maximise the "
    "sum of all cosines.",
    zh="你先取最好的一对，再取次好的一对。留给最后几个部件的可能很差：应使所有余弦之和最大。",
)
def greedy(first, second):
    _, _, cosine = _cosines(first, second)
    left = cosine.copy()
    partner = np.zeros(len(cosine), dtype=int)
    for _ in range(len(cosine)):
        row, column = np.unravel_index(left.argmax(), left.shape)
        partner[row] = column
        left[row], left[:, column] = -1, -1
    return partner, cosine[np.arange(len(cosine)), partner]


@mistake(
    of="match_parts",
    en="You assigned by scalar products. Long parts then attract everybody; a part's length is free, so divide by it.",
    zh="你按内积指派。长的部件会吸引所有人；部件的长度是任意的，应先除掉。",
)
def scalar_products(first, second):
    one, other, cosine = _cosines(first, second)
    rows, partner = linear_sum_assignment(one.T @ other, maximize=True)
    return partner, cosine[rows, partner]


@mistake(
    of="match_parts",
    en="`linear_sum_assignment` minimises unless told otherwise: you found the worst partners.",
    zh="`linear_sum_assignment` 默认求最小值：你找到的是最差的伙伴。",
)
def worst_partners(first, second):
    _, _, cosine = _cosines(first, second)
    rows, partner = linear_sum_assignment(cosine)
    return partner, cosine[rows, partner]


@mistake(
    of="match_parts",
    en="A part that nobody has is a column of zeros, and you divided by its length. Its cosine is 0, not NaN.",
    zh="谁都没有的部件是一列零，而你除以了它的长度。它的余弦是 0，不是 NaN。",
)
def empty_part_not_a_number(first, second):
    one, other, cosine = _cosines(first, second)
    rows, partner = linear_sum_assignment(cosine, maximize=True)
    empty = (np.linalg.norm(one, axis=0) == 0) | (np.linalg.norm(other, axis=0)[partner] == 0)
    return partner, np.where(empty, np.nan, cosine[rows, partner])


@mistake(
    of="match_parts",
    en="You returned which part of the first belongs to each of the second. Asked is the partner of each "
    "part of the first.",
    zh="你返回的是第二次分解的每个部件对应第一次的哪个。要求的是第一次分解中每个部件的伙伴。",
)
def the_other_way_round(first, second):
    _, _, cosine = _cosines(second, first)
    rows, partner = linear_sum_assignment(cosine, maximize=True)
    return partner, cosine[rows, partner]


# --- consensus_matrix ------------------------------------------------------------------------------------------------


def _runs(assignments):
    runs = np.asarray(assignments)
    if runs.ndim != 2 or 0 in runs.shape:
        raise ValueError("assignments must be runs × samples")
    return runs


@mistake(
    of="consensus_matrix",
    en="You counted the runs and did not divide by their number.",
    zh="你数了次数，但没有除以运行的次数。",
)
def counted_not_divided(assignments):
    runs = _runs(assignments)
    return (runs[:, :, None] == runs[:, None, :]).sum(axis=0).astype(float)


@mistake(
    of="consensus_matrix",
    en="You compared runs with each other, not patients: the result must be patients × patients.",
    zh="你比较的是各次运行，而不是患者：结果应为“患者 × 患者”。",
)
def runs_compared(assignments):
    runs = _runs(assignments).T
    return (runs[:, :, None] == runs[:, None, :]).mean(axis=0)


@mistake(
    of="consensus_matrix",
    en="You put 0 on the diagonal. A patient is together with itself in every run: 1.",
    zh="你把对角线设成了 0。患者与自己在每次运行中都在一起：应为 1。",
)
def nothing_on_the_diagonal(assignments):
    runs = _runs(assignments)
    found = (runs[:, :, None] == runs[:, None, :]).mean(axis=0)
    np.fill_diagonal(found, 0.0)
    return found


@mistake(
    of="consensus_matrix",
    en="You went through the cluster numbers 0, 1, 2, … one by one. Labels may be words as well; compare the labels of "
    "two patients with each other.",
    zh="你逐个查了编号 0、1、2 等。标签也可能是文字；应把两位患者的标签相互比较。",
)
def numbers_one_by_one(assignments):
    runs = _runs(assignments)
    together = np.zeros((runs.shape[1], runs.shape[1]))
    for run in runs:
        for cluster in range(len(run)):
            inside = np.array([label == cluster for label in run.tolist()], dtype=float)
            together += np.outer(inside, inside)
    return together / len(runs)


@mistake(
    of="consensus_matrix",
    en="You matched the cluster of a patient with its own most frequent number over the runs. Numbers of different "
    "runs cannot be compared: only within a run can one see who is together with whom.",
    zh="你取了每位患者在各次运行中最常见的编号。不同运行的编号不能比较：只有在同一次运行之内，才能看出谁和谁在一起。",
)
def most_frequent_number(assignments):
    runs = _runs(assignments)
    _, codes = np.unique(runs, return_inverse=True)
    codes = codes.reshape(runs.shape)
    often = np.array([np.bincount(column).argmax() for column in codes.T])
    return (often[:, None] == often).astype(float)


# --- weighted_update_step --------------------------------------------------------------------------------------------


def _known(layers, h, w, weights):
    tables, h, parts, counts = _columns(layers, h, w, weights)
    return [np.where(count > 0, x, 0.0) for x, count in zip(tables, counts, strict=True)], h, parts, counts


def _weighted_factor(tables, h, parts, counts):
    toward = sum(count * (x @ part) for x, part, count in zip(tables, parts, counts, strict=True))
    away = sum(count * (h @ (part.T @ part)) for part, count in zip(parts, counts, strict=True))
    return _ratio(h, toward, away)


def _weighted_loadings(tables, h, parts, counts):
    return [
        _ratio(part, x.T @ (count * h), part @ ((count * h).T @ h))
        for x, part, count in zip(tables, parts, counts, strict=True)
    ]


@mistake(
    of="weighted_update_step",
    en="You multiplied the rows by their weights, and 0 · NaN is NaN. Replace rows that do not count before any "
    "product.",
    zh="你把各行乘以权重，而 0 · NaN 仍是 NaN。请在做任何乘积之前，先换掉不计入的行。",
)
def not_a_number_times_zero(layers, h, w, weights):
    tables, h, parts, counts = _columns(layers, h, w, weights)
    h = _weighted_factor(tables, h, parts, counts)
    return h, like_layers(layers, _weighted_loadings(tables, h, parts, counts))


@mistake(
    of="weighted_update_step",
    en="You filled the gaps with zeros and let them count. That claims that nothing was found where nothing was "
    "measured; the weights belong in the denominators as well.",
    zh="你用零填补了缺口，却让它们计入。这等于宣称“没测就是没有”；分母里也必须有权重。",
)
def zeros_that_count(layers, h, w, weights):
    tables, h, parts, counts = _known(layers, h, w, weights)
    toward = sum(count * (x @ part) for x, part, count in zip(tables, parts, counts, strict=True))
    h = _ratio(h, toward, h @ sum(part.T @ part for part in parts))
    new = [
        _ratio(part, x.T @ (count * h), part @ (h.T @ h)) for x, part, count in zip(tables, parts, counts, strict=True)
    ]
    return h, like_layers(layers, new)


@mistake(
    of="weighted_update_step",
    en="The weights are in the update of H only. A layer's loadings must not listen to patients without the "
    "layer either.",
    zh="只有 H 的更新用到了权重。缺少某层的患者，也不应影响该层的载荷。",
)
def loadings_without_weights(layers, h, w, weights):
    tables, h, parts, counts = _known(layers, h, w, weights)
    h = _weighted_factor(tables, h, parts, counts)
    return h, like_layers(layers, _weighted_loadings(tables, h, parts, [np.ones_like(count) for count in counts]))


@mistake(
    of="weighted_update_step",
    en="You only asked whether a weight is above 0. Weights between, or above 1, say how much a row counts.",
    zh="你只看了权重是否大于 0。介于其间或大于 1 的权重，表示这一行计入多少。",
)
def present_or_absent(layers, h, w, weights):
    tables, h, parts, counts = _known(layers, h, w, weights)
    counts = [(count > 0).astype(float) for count in counts]
    h = _weighted_factor(tables, h, parts, counts)
    return h, like_layers(layers, _weighted_loadings(tables, h, parts, counts))


@mistake(
    of="weighted_update_step",
    en="The weights enter your loadings twice, in both factors of HᵀvH. The gradient has them once.",
    zh="你的载荷更新里权重出现了两次，HᵀvH 的两个因子都乘了。梯度里只有一次。",
)
def weights_squared(layers, h, w, weights):
    tables, h, parts, counts = _known(layers, h, w, weights)
    h = _weighted_factor(tables, h, parts, counts)
    new = [
        _ratio(part, x.T @ (count * h), part @ ((count * h).T @ (count * h)))
        for x, part, count in zip(tables, parts, counts, strict=True)
    ]
    return h, like_layers(layers, new)


@mistake(
    of="weighted_update_step",
    en="You updated the loadings with the old H. Use the new one, or the error may rise.",
    zh="你用旧的 H 更新了载荷。应当用新的，否则误差可能上升。",
)
def loadings_by_the_old_factor(layers, h, w, weights):
    tables, h, parts, counts = _known(layers, h, w, weights)
    return _weighted_factor(tables, h, parts, counts), like_layers(layers, _weighted_loadings(tables, h, parts, counts))
