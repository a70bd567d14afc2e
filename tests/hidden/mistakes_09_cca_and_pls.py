"""Wrong answers to the exercises of unit 09 that people really give, and what to say to who gives them."""

import numpy as np
from scipy.linalg import eigh, qr, solve_triangular, svd
from scipy.optimize import brentq

from course.checking import mistake
from reference_impl.integration import cca as reference
from reference_impl.integration import pls
from reference_impl.integration.cca import (
    as_direction,
    centred,
    centred_pair,
    cross_product,
    falls_to_zero,
    independent_basis,
    rounding,
    soft_threshold,
    sparse_unit_vector,
    too_wide,
)
from reference_impl.integration.pls import PLSStep, leading_pairs, loading
from reference_impl.validation import (
    as_matrix,
    require_between,
    require_generator,
    require_integer,
    require_number,
    same_samples,
)

# ---------------------------------------------------------------- canonical_weights


def _checked(x, y):
    x, y, columns = centred_pair(x, y)
    for name, layer in (("x", x), ("y", y)):
        if layer.shape[1] >= len(layer):
            raise ValueError(too_wide(name, layer, f"ridge_{name}"))
    return x, y, columns


def _by_qr(x, y, spread=None, capped=True):
    x, y, columns = _checked(x, y)
    basis_x, triangle_x = independent_basis(x, "x", columns[0])
    basis_y, triangle_y = independent_basis(y, "y", columns[1])
    left, correlations, right = svd(basis_x.T @ basis_y, full_matrices=False)
    spread = np.sqrt(len(x) - 1) if spread is None else spread(len(x))
    weights = solve_triangular(triangle_x, left) * spread, solve_triangular(triangle_y, right.T) * spread
    return *weights, np.minimum(correlations, 1.0) if capped else correlations


@mistake(
    of="canonical_weights",
    en="Your scores have length 1, as R's `cancor` gives them. Here they have variance 1: multiply the weights by "
    "√(n − 1).",
    zh="你的得分长度为 1，与 R 的 `cancor` 相同。这里要求方差为 1：权重还要乘以 √(n − 1)。",
)
def scores_of_length_one(x, y):
    return _by_qr(x, y, lambda n: 1.0)


@mistake(
    of="canonical_weights",
    en="Your scores have variance 1 with the divisor n. The course divides by n − 1: multiply by √(n − 1), not √n.",
    zh="你的得分在除数为 n 时方差才是 1。本课程的除数是 n − 1：应乘以 √(n − 1)，而不是 √n。",
)
def divisor_n(x, y):
    return _by_qr(x, y, np.sqrt)


@mistake(
    of="canonical_weights",
    en="You took the rows of the right singular vectors for its columns: `svd` returns Vᵀ. The scores then do not "
    "meet in pairs.",
    zh="`svd` 返回的是 Vᵀ，你却直接把它当成了 V。这样得分就不是成对相关的了。",
)
def right_vectors_not_turned(x, y):
    x, y, columns = _checked(x, y)
    basis_x, triangle_x = independent_basis(x, "x", columns[0])
    basis_y, triangle_y = independent_basis(y, "y", columns[1])
    left, correlations, right = svd(basis_x.T @ basis_y, full_matrices=True)
    m = len(correlations)
    spread = np.sqrt(len(x) - 1)
    y_weights = solve_triangular(triangle_y, right[:, :m]) * spread
    return solve_triangular(triangle_x, left[:, :m]) * spread, y_weights, np.minimum(correlations, 1.0)


@mistake(
    of="canonical_weights",
    en="You did not go back from the bases to the features: the singular vectors combine the columns of Q. Solve R w "
    "= u for the weights.",
    zh="你没有从正交基换算回特征：奇异向量组合的是 Q 的各列。权重要由 R w = u 解出。",
)
def weights_of_the_basis(x, y):
    x, y, columns = _checked(x, y)
    basis_x, _ = independent_basis(x, "x", columns[0])
    basis_y, _ = independent_basis(y, "y", columns[1])
    left, correlations, right = svd(basis_x.T @ basis_y, full_matrices=False)
    spread = np.sqrt(len(x) - 1)
    return left * spread, right.T * spread, np.minimum(correlations, 1.0)


@mistake(
    of="canonical_weights",
    en="You decomposed the covariance XᵀY itself. That maximises covariance (PLS); CCA first takes out how features "
    "vary within each layer.",
    zh="你直接分解了协方差 XᵀY，这样最大化的是协方差（即 PLS）；CCA 要先去掉各层内部的变异。",
)
def covariance_instead(x, y):
    x, y, _ = _checked(x, y)
    left, _, right = svd(x.T @ y, full_matrices=False)
    scores = x @ left, y @ right.T
    spreads = [score.std(axis=0, ddof=1) for score in scores]
    correlations = (scores[0] * scores[1]).sum(axis=0) / (len(x) - 1) / spreads[0] / spreads[1]
    return left / spreads[0], right.T / spreads[1], correlations


@mistake(
    of="canonical_weights",
    en="You did not centre the columns. QR then finds a direction for the level of the features, and both layers "
    "share it.",
    zh="你没有对列做中心化。QR 会为特征的水平单独找出一个方向，而两层恰好共有它。",
)
def not_centred(x, y):
    _checked(x, y)
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    (basis_x, triangle_x), (basis_y, triangle_y) = (qr(layer, mode="economic") for layer in (first, second))
    left, correlations, right = svd(basis_x.T @ basis_y, full_matrices=False)
    spread = np.sqrt(len(first) - 1)
    weights = solve_triangular(triangle_x, left) * spread, solve_triangular(triangle_y, right.T) * spread
    return *weights, np.minimum(correlations, 1.0)


@mistake(
    of="canonical_weights",
    en="You refuse only a wide x. A wide y is just as bad: its scores can follow anything.",
    zh="你只拒绝了过宽的 x。过宽的 y 同样不行：它的得分可以跟随任何东西。",
)
def only_x_is_checked(x, y):
    first, second, _ = centred_pair(x, y)
    if first.shape[1] >= len(first):
        raise ValueError(too_wide("x", first, "ridge_x"))
    if second.shape[1] < len(second):
        return _by_qr(x, y)
    basis, triangle = qr(first, mode="economic")
    correlations = np.ones(min(first.shape[1], second.shape[1]))
    weights = solve_triangular(triangle, np.eye(first.shape[1])) * np.sqrt(len(first) - 1)
    return weights, np.linalg.pinv(second) @ basis * np.sqrt(len(first) - 1), correlations


# ---------------------------------------------------------------- gram_whitening


def _whitening(x, ridge, cost, *, centre=True, keep=None):
    x = centred(x, "x") if centre else as_matrix(x, "x")
    ridge = require_between(ridge, "ridge", 0, np.inf)
    if not np.ptp(x, axis=0).any():
        raise ValueError("the features of x never vary")
    values, vectors = eigh(x @ x.T)
    kept = values > (rounding(x) if keep is None else keep) * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    return vectors / np.sqrt(cost(values, len(x), ridge))


@mistake(
    of="gram_whitening",
    en="You did not centre the columns. The mean of the features then counts as a direction in which samples vary.",
    zh="你没有对列做中心化。特征的均值于是被当作了样本变化的一个方向。",
)
def gram_not_centred(x, ridge):
    return _whitening(x, ridge, lambda g, n, r: g * (g / (n - 1) + r), centre=False)


@mistake(
    of="gram_whitening",
    en="You added λ to the sums of squares. It belongs to the covariances, which are g / (n − 1).",
    zh="你把 λ 加在了平方和上。它应加在协方差上，即 g / (n − 1)。",
)
def ridge_on_sums(x, ridge):
    return _whitening(x, ridge, lambda g, n, r: g * (g + r) / (n - 1))


@mistake(
    of="gram_whitening",
    en="Your covariances have the divisor n. The course divides by n − 1.",
    zh="你的协方差除数是 n。本课程的除数是 n − 1。",
)
def gram_divisor_n(x, ridge):
    return _whitening(x, ridge, lambda g, n, r: g * (g / n + r))


@mistake(
    of="gram_whitening",
    en="The ridge is missing: your scores have variance 1, whatever λ is.",
    zh="漏掉了岭参数：无论 λ 是多少，你的得分方差都是 1。",
)
def no_ridge(x, ridge):
    return _whitening(x, ridge, lambda g, n, r: g * g / (n - 1))


@mistake(
    of="gram_whitening",
    en="You forgot that w = Xᵀa has the squared length aᵀGa, not aᵀa: a factor g is missing under the root.",
    zh="你忘了 w = Xᵀa 的长度平方是 aᵀGa，而不是 aᵀa：根号下少了一个因子 g。",
)
def length_of_a(x, ridge):
    return _whitening(x, ridge, lambda g, n, r: g / (n - 1) + r)


@mistake(
    of="gram_whitening",
    en="You return the weights XᵀA, one row per feature. Asked for is A, one row per sample.",
    zh="你返回的是权重 XᵀA，每个特征一行。题目要的是 A，每个样本一行。",
)
def weights_returned(x, ridge):
    return centred(x, "x").T @ reference.gram_whitening(x, ridge)


@mistake(
    of="gram_whitening",
    en="You kept directions in which the samples do not differ. Their g is rounding error, and you divide by its root.",
    zh="你保留了样本并无差异的方向。它们的 g 只是舍入误差，而你却除以了它的平方根。",
)
def keeps_empty_directions(x, ridge):
    x = centred(x, "x")
    ridge = require_between(ridge, "ridge", 0, np.inf)
    if not np.ptp(x, axis=0).any():
        raise ValueError("the features of x never vary")
    values, vectors = eigh(x @ x.T)
    values = np.maximum(np.abs(values), 1e-300)
    return vectors / np.sqrt(values * (values / (len(x) - 1) + ridge))


# ---------------------------------------------------------------- permutation_p_value


def _permuted(first, second, n_permutations, rng, *, agreement=None, shuffled=None, p_value=None):
    first, second, _ = centred_pair(first, second)
    require_integer(n_permutations, "n_permutations")
    require_generator(rng)

    def usual(one, other):
        return svd(one.T @ other / (len(one) - 1), compute_uv=False)[0]

    measure = usual if agreement is None else agreement
    observed = measure(first, second)
    pairs = (
        (first, second[rng.permutation(len(second))]) if shuffled is None else shuffled(first, second, rng)
        for _ in range(n_permutations)
    )
    null = np.array([measure(one, other) for one, other in pairs])
    as_large = (null >= observed * (1 - 1e-12)).sum()
    if p_value is not None:
        return float(p_value(as_large, n_permutations)), null
    return float((1 + as_large) / (1 + n_permutations)), null


@mistake(
    of="permutation_p_value",
    en="Your p can be 0, which no number of shuffles can show. The data is one of the possible orders: add 1 to both "
    "counts.",
    zh="你的 p 值可能为 0，而任何次数的打乱都证明不了这一点。数据本身也是一种可能的排列：两个计数都要加 1。",
)
def p_may_be_zero(first, second, *, n_permutations, rng):
    return _permuted(first, second, n_permutations, rng, p_value=lambda count, n: count / n)


@mistake(
    of="permutation_p_value",
    en="You added 1 to the number of shuffles only. The data agrees as well as itself: it belongs into the upper "
    "count too.",
    zh="你只给打乱次数加了 1。数据与自己同样一致：分子也要算上它。",
)
def one_below_only(first, second, *, n_permutations, rng):
    return _permuted(first, second, n_permutations, rng, p_value=lambda count, n: count / (1 + n))


@mistake(
    of="permutation_p_value",
    en="You counted the shuffles that agree less well. A small p means that few shuffles agree at least as well.",
    zh="你数的是不如数据一致的打乱次数。p 值小，意味着至少同样一致的打乱很少。",
)
def lower_tail(first, second, *, n_permutations, rng):
    return _permuted(first, second, n_permutations, rng, p_value=lambda count, n: (1 + n - count) / (1 + n))


@mistake(
    of="permutation_p_value",
    en="You shuffled the samples of both layers with the same permutation: the pairs stay together, and nothing "
    "changes.",
    zh="你用同一个排列打乱了两层：样本仍然成对，什么也没有改变。",
)
def both_shuffled(first, second, *, n_permutations, rng):
    def together(one, other, generator):
        order = generator.permutation(len(one))
        return one[order], other[order]

    return _permuted(first, second, n_permutations, rng, shuffled=together)


@mistake(
    of="permutation_p_value",
    en="You compared one pair of columns that was fixed before. In each shuffle, the best combination must be sought "
    "anew: the largest singular value.",
    zh="你比较的是事先固定的一对列。每次打乱都要重新寻找最好的组合，即最大的奇异值。",
)
def fixed_columns(first, second, *, n_permutations, rng):
    def of_first_columns(one, other):
        return abs(one[:, 0] @ other[:, 0]) / (len(one) - 1)

    return _permuted(first, second, n_permutations, rng, agreement=of_first_columns)


@mistake(
    of="permutation_p_value",
    en="The covariance lacks its divisor n − 1: p is right, but the null is not on the scale of correlations.",
    zh="协方差没有除以 n − 1：p 值没错，但零分布不在相关系数的尺度上。",
)
def null_of_sums(first, second, *, n_permutations, rng):
    return _permuted(
        first,
        second,
        n_permutations,
        rng,
        agreement=lambda one, other: svd(one.T @ other, compute_uv=False)[0],
    )


@mistake(
    of="permutation_p_value",
    en="You shuffled the caller's table itself (`rng.shuffle`), and the shuffles build on each other. Make a "
    "reordered copy with `rng.permutation` each time.",
    zh="你直接打乱了传入的表（`rng.shuffle`），每次打乱还建立在上一次之上。"
    "请每次用 `rng.permutation` 生成一份重排的副本。",
)
def shuffles_in_place(first, second, *, n_permutations, rng):
    require_integer(n_permutations, "n_permutations")
    require_generator(rng)

    def agreement():
        return svd(first.T @ second / (len(first) - 1), compute_uv=False)[0]

    observed, null = agreement(), []
    for _ in range(n_permutations):
        rng.shuffle(second)
        null.append(agreement())
    as_large = (np.array(null) >= observed * (1 - 1e-12)).sum()
    return float((1 + as_large) / (1 + n_permutations)), np.array(null)


# ---------------------------------------------------------------- sparse_unit_vector


def _right_threshold(direction, bound):
    direction, bound = as_direction(direction), require_number(bound, "bound", low=1 - 1e-12)
    size = np.abs(direction)

    def excess(threshold):
        shrunk = soft_threshold(size, threshold)
        return shrunk.sum() - bound * np.linalg.norm(shrunk)

    return direction, falls_to_zero(excess, 0.0, size[size < size.max()].max(initial=0.0))


@mistake(
    of="sparse_unit_vector",
    en="What is left keeps its full size (hard threshold). The best vector under a bound on the sum is moved towards "
    "zero by the threshold, softly.",
    zh="留下的值保持了原来的大小（硬阈值）。在绝对值之和有界时，最好的向量是整体朝零移动一个阈值（软阈值）。",
)
def hard_threshold(direction, bound):
    direction, threshold = _right_threshold(direction, bound)
    kept = np.where(np.abs(direction) > threshold, direction, 0.0)
    return kept / np.linalg.norm(kept)


@mistake(
    of="sparse_unit_vector",
    en="After the threshold your vector is shorter than 1. Scale it to length 1 again.",
    zh="做完阈值处理之后，你的向量长度小于 1。请重新化为长度 1。",
)
def not_scaled_again(direction, bound):
    scaled, threshold = _right_threshold(direction, bound)
    length = np.linalg.norm(np.asarray(direction, dtype=float)) / np.abs(np.asarray(direction, dtype=float)).max()
    return soft_threshold(scaled, threshold) / length


@mistake(
    of="sparse_unit_vector",
    en="The signs are gone: you thresholded the absolute values and forgot to give the signs back.",
    zh="符号丢了：你对绝对值做了阈值处理，却没有把符号还回去。",
)
def signs_lost(direction, bound):
    scaled, threshold = _right_threshold(direction, bound)
    shrunk = soft_threshold(np.abs(scaled), threshold)
    return shrunk / np.linalg.norm(shrunk)


@mistake(
    of="sparse_unit_vector",
    en="Your bound holds for the vector before it is scaled to length 1. It must hold for the result.",
    zh="你的界只对化为长度 1 之前的向量成立。它必须对结果成立。",
)
def bound_before_scaling(direction, bound):
    direction, bound = as_direction(direction), require_number(bound, "bound", low=1 - 1e-12)
    unit = direction / np.linalg.norm(direction)
    size = np.abs(unit)
    if size.sum() <= bound:
        return unit

    def excess(threshold):
        return soft_threshold(size, threshold).sum() - bound

    shrunk = soft_threshold(unit, brentq(excess, 0.0, size.max(), xtol=1e-14))
    return shrunk / np.linalg.norm(shrunk)


@mistake(
    of="sparse_unit_vector",
    en="You took the bound for a number of features. It bounds the sum of absolute values of a vector of length 1.",
    zh="你把界当成了特征的个数。它限制的是长度为 1 的向量的绝对值之和。",
)
def bound_counts_features(direction, bound):
    direction, bound = as_direction(direction), require_number(bound, "bound", low=1 - 1e-12)
    kept = np.zeros_like(direction)
    largest = np.argsort(-np.abs(direction), kind="stable")[: max(1, round(bound))]
    kept[largest] = direction[largest]
    return kept / np.linalg.norm(kept)


@mistake(
    of="sparse_unit_vector",
    en="You stopped searching for the threshold too early: the bound is missed by a per cent or so.",
    zh="阈值的搜索停得太早：结果与界相差百分之一左右。",
)
def search_too_short(direction, bound):
    direction, bound = as_direction(direction), require_number(bound, "bound", low=1 - 1e-12)
    unit = direction / np.linalg.norm(direction)
    if np.abs(unit).sum() <= bound:
        return unit
    low, high = 0.0, np.abs(direction).max()
    for _ in range(6):
        middle = (low + high) / 2
        shrunk = soft_threshold(direction, middle)
        if np.abs(shrunk).sum() > bound * np.linalg.norm(shrunk):
            low = middle
        else:
            high = middle
    shrunk = soft_threshold(direction, low)
    return shrunk / np.linalg.norm(shrunk)


# ---------------------------------------------------------------- alternation_step


@mistake(
    of="alternation_step",
    en="What was found before is not taken out: every component would be the first one again.",
    zh="先前找到的分量没有减去：这样每个分量都会是第一个。",
)
def nothing_taken_out(x, y, v, bound_u, bound_v, before=None):
    return reference.alternation_step(x, y, v, bound_u, bound_v)


@mistake(
    of="alternation_step",
    en="You took what was found before out of the first half of the step only. YᵀX has the same components: V "
    "diag(d) Uᵀ.",
    zh="你只在前一半减去了先前的分量。YᵀX 中也有它们：V diag(d) Uᵀ。",
)
def taken_out_once(x, y, v, bound_u, bound_v, before=None):
    u = sparse_unit_vector(cross_product(x, y, v, before), bound_u)
    return u, sparse_unit_vector(cross_product(y, x, u), bound_v)


@mistake(
    of="alternation_step",
    en="In the second half U and V have to change places: YᵀX − V diag(d) Uᵀ.",
    zh="在后一半中，U 与 V 要互换位置：YᵀX − V diag(d) Uᵀ。",
)
def not_turned(x, y, v, bound_u, bound_v, before=None):
    u = sparse_unit_vector(cross_product(x, y, v, before), bound_u)
    if before is None or before[0].shape == before[2].shape:
        return u, sparse_unit_vector(cross_product(y, x, u, before), bound_v)
    raise ValueError("shapes do not fit")


@mistake(
    of="alternation_step",
    en="The strengths d of the components found before are missing: their part of XᵀY is U diag(d) Vᵀ.",
    zh="漏掉了先前各分量的强度 d：它们在 XᵀY 中的部分是 U diag(d) Vᵀ。",
)
def strengths_missing(x, y, v, bound_u, bound_v, before=None):
    plain = None if before is None else (before[0], np.ones(len(before[1])), before[2])
    return reference.alternation_step(x, y, v, bound_u, bound_v, plain)


@mistake(
    of="alternation_step",
    en="The bounds changed places: bound_u is for the weights of x, bound_v for those of y.",
    zh="两个界用反了：bound_u 用于 x 的权重，bound_v 用于 y 的权重。",
)
def bounds_swapped(x, y, v, bound_u, bound_v, before=None):
    return reference.alternation_step(x, y, v, bound_v, bound_u, before)


@mistake(
    of="alternation_step",
    en="The second half uses u before it was made sparse. v must be the best for the u that you return.",
    zh="后一半用的是稀疏化之前的 u。v 应当是对你所返回的 u 而言最好的。",
)
def second_half_with_dense_u(x, y, v, bound_u, bound_v, before=None):
    towards = cross_product(x, y, v, before)
    dense = towards / np.linalg.norm(towards)
    turned = None if before is None else before[::-1]
    v = sparse_unit_vector(cross_product(y, x, dense, turned), bound_v)
    return sparse_unit_vector(towards, bound_u), v


@mistake(
    of="alternation_step",
    en="You scale to length 1 without making the vectors sparse: the bounds have no effect.",
    zh="你只把向量化为长度 1，没有做稀疏化：界没有起作用。",
)
def not_sparse(x, y, v, bound_u, bound_v, before=None):
    towards = cross_product(x, y, v, before)
    u = towards / np.linalg.norm(towards)
    towards = cross_product(y, x, u, None if before is None else before[::-1])
    return u, towards / np.linalg.norm(towards)


# ---------------------------------------------------------------- silenced


@mistake(
    of="silenced",
    en="You took the features with the largest weights in each layer's own first principal component. What is strong "
    "in one layer need not have anything in common with the other.",
    zh="你取的是每层各自第一主成分中权重最大的特征。在一层中强的东西，未必与另一层有什么共同之处。",
)
def own_components(methylation, expression):
    chosen = []
    for layer, number in ((methylation, 60), (expression, 100)):
        _, _, directions = svd((layer - layer.mean()).to_numpy(), full_matrices=False)
        chosen.append(layer.columns[np.argsort(-np.abs(directions[0]))[:number]].tolist())
    return tuple(chosen)


@mistake(
    of="silenced",
    en="You kept positive weights only. What is silenced has weights of the other sign: chosen are all that are not "
    "zero.",
    zh="你只保留了正的权重。被沉默的一方权重符号相反：凡是不为零的，都被选中。",
)
def positive_only(methylation, expression):
    found = reference.sparse_cca(methylation, expression, 1, c_x=0.2, c_y=0.2)
    chosen = (found.x_weights.iloc[:, 0], found.y_weights.iloc[:, 0])
    return tuple(weights.index[weights > 0].tolist() for weights in chosen)


@mistake(
    of="silenced",
    en="You kept the features whose weights are zero. Chosen are those whose weights are not.",
    zh="你留下的是权重为零的特征。被选中的，是权重不为零的那些。",
)
def zeros_kept(methylation, expression):
    found = reference.sparse_cca(methylation, expression, 1, c_x=0.2, c_y=0.2)
    chosen = (found.x_weights.iloc[:, 0], found.y_weights.iloc[:, 0])
    return tuple(weights.index[weights == 0].tolist() for weights in chosen)


# ---------------------------------------------------------------- pls_step


def _component(x, y, *, out_x=None, out_y=None, covariance=None, pair=None):
    x, y, _ = centred_pair(x, y)
    x_weights, strength, y_weights = leading_pairs(x, y, 1)
    u, v = (x_weights[:, 0], y_weights[:, 0]) if pair is None else pair(x, y)
    t, s = x @ u, y @ v
    rest_x = x - (np.outer(t, loading(x, t)) if out_x is None else out_x(x, u, t, s))
    rest_y = y - (np.outer(s, loading(y, s)) if out_y is None else out_y(y, v, s, t))
    size = strength[0] / (len(x) - 1) if covariance is None else covariance(strength[0], t, s)
    return PLSStep(u, v, t, s, float(size), rest_x, rest_y)


def _weights_taken_out(layer, weights, own, other):
    return np.outer(own, weights)


@mistake(
    of="pls_step",
    en="You took out t uᵀ. The score also explains a part of features that have no weight: take out t pᵀ with the "
    "loading p = Xᵀt / tᵀt.",
    zh="你减去的是 t uᵀ。得分还能解释没有权重的特征的一部分：应减去 t pᵀ，载荷 p = Xᵀt / tᵀt。",
)
def weights_for_loadings(x, y):
    return _component(x, y, out_x=_weights_taken_out, out_y=_weights_taken_out)


@mistake(
    of="pls_step",
    en="You deflated y with the score of x, as PLS regression does. In the canonical form each layer loses what its "
    "own score explains.",
    zh="你用 x 的得分来缩减 y，那是 PLS 回归的做法。在典型形式中，每层减去的是自己的得分所解释的部分。",
)
def regression_mode(x, y):
    return _component(x, y, out_y=lambda layer, weights, own, other: np.outer(other, loading(layer, other)))


@mistake(
    of="pls_step",
    en="You returned the part that the scores explain. What is left is the layer minus that part.",
    zh="你返回的是得分所解释的部分。剩余部分应是该层减去它。",
)
def explained_part(x, y):
    step = pls.pls_step(x, y)
    first, second, _ = centred_pair(x, y)
    return step._replace(rest_x=first - step.rest_x, rest_y=second - step.rest_y)


@mistake(
    of="pls_step",
    en="The covariance is the singular value of XᵀY itself. Divide it by n − 1.",
    zh="你把 XᵀY 的奇异值直接当作协方差了。还要除以 n − 1。",
)
def sum_of_products(x, y):
    return _component(x, y, covariance=lambda strength, t, s: strength)


@mistake(
    of="pls_step",
    en="You reported the correlation of the scores. PLS maximises their covariance.",
    zh="你报告的是得分的相关系数。PLS 最大化的是它们的协方差。",
)
def correlation_reported(x, y):
    return _component(x, y, covariance=lambda strength, t, s: np.corrcoef(t, s)[0, 1])


@mistake(
    of="pls_step",
    en="You brought features to standard deviation 1 first. The step works in the units it is given; scaling is the "
    "caller's choice.",
    zh="你先把特征的标准差化为 1 了。这一步应按传入的单位计算；是否缩放由调用者决定。",
)
def standardises(x, y):
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(first) != len(second) or (hasattr(x, "index") and hasattr(y, "index") and not x.index.equals(y.index)):
        raise ValueError("x and y must be the same samples in the same order")
    return pls.pls_step(first / first.std(axis=0, ddof=1), second / second.std(axis=0, ddof=1))


@mistake(
    of="pls_step",
    en="The columns were not centred: the levels of the features then look like agreement.",
    zh="没有对列做中心化：特征的水平于是看起来像是两层的一致。",
)
def pls_not_centred(x, y):
    centred_pair(x, y)
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    x_weights, strength, y_weights = leading_pairs(first, second, 1)
    u, v = x_weights[:, 0], y_weights[:, 0]
    t, s = first @ u, second @ v
    rest = first - np.outer(t, loading(first, t)), second - np.outer(s, loading(second, s))
    return PLSStep(u, v, t, s, float(strength[0]) / (len(first) - 1), *rest)


# ---------------------------------------------------------------- shared_scores


def _together(bases, n_components):
    named, _ = same_samples(bases)
    matrices = [as_matrix(basis, str(name)) for name, basis in named.items()]
    n_samples, n_columns = len(matrices[0]), sum(matrix.shape[1] for matrix in matrices)
    require_integer(n_components, "n_components", at_most=min(n_samples - 1, n_columns))
    return matrices, n_samples


@mistake(
    of="shared_scores",
    en="You report the singular values. The predicted share is a squared length: square them.",
    zh="你报告的是奇异值。被预测的份额是长度的平方：请取平方。",
)
def not_squared(bases, n_components):
    shared, agreement = reference.shared_scores(bases, n_components)
    return shared, np.sqrt(agreement)


@mistake(
    of="shared_scores",
    en="You averaged over the layers. Agreement is the sum, which is the number of layers if all predict the score "
    "fully.",
    zh="你对各层取了平均。一致程度是总和：若各层都能完全预测，它等于层数。",
)
def mean_over_layers(bases, n_components):
    shared, agreement = reference.shared_scores(bases, n_components)
    return shared, agreement / len(bases)


@mistake(
    of="shared_scores",
    en="Your scores have length 1. Multiply by √(n − 1), so that their variance is 1.",
    zh="你的得分长度为 1。请乘以 √(n − 1)，使方差为 1。",
)
def shared_of_length_one(bases, n_components):
    shared, agreement = reference.shared_scores(bases, n_components)
    return shared / np.sqrt(len(shared) - 1), agreement


@mistake(
    of="shared_scores",
    en="You compared the first two layers only. All layers vote.",
    zh="你只比较了前两层。所有的层都要参与。",
)
def first_two_layers(bases, n_components):
    matrices, n_samples = _together(bases, n_components)
    vectors, lengths, _ = svd(np.hstack(matrices[:2]), full_matrices=True)
    agreement = np.zeros(n_samples)
    agreement[: len(lengths)] = lengths**2
    return vectors[:, :n_components] * np.sqrt(n_samples - 1), agreement[:n_components]


@mistake(
    of="shared_scores",
    en="You averaged the bases column by column. A basis may be turned: its column k means nothing by itself, only "
    "the space that all columns span.",
    zh="你把各个基逐列相加平均。基可以任意旋转：单独的第 k 列没有意义，有意义的是全部列张成的空间。",
)
def bases_averaged(bases, n_components):
    matrices, n_samples = _together(bases, n_components)
    width = max(n_components, *(matrix.shape[1] for matrix in matrices))
    padded = [np.pad(matrix, ((0, 0), (0, width - matrix.shape[1]))) for matrix in matrices]
    vectors, lengths, _ = svd(np.mean(padded, axis=0), full_matrices=False)
    lengths = np.pad(lengths, (0, max(0, n_components - len(lengths))))
    return vectors[:, :n_components] * np.sqrt(n_samples - 1), len(matrices) * lengths[:n_components] ** 2


@mistake(
    of="shared_scores",
    en="You multiplied the projections of the layers instead of adding them: one layer that knows nothing then "
    "silences all.",
    zh="你把各层的投影相乘了，而不是相加：只要有一层毫不知情，就会使所有层失声。",
)
def projections_multiplied(bases, n_components):
    matrices, n_samples = _together(bases, n_components)
    product = np.eye(n_samples)
    for matrix in matrices:
        product = product @ matrix @ matrix.T
    vectors, lengths, _ = svd(product)
    return vectors[:, :n_components] * np.sqrt(n_samples - 1), len(matrices) * lengths[:n_components]
