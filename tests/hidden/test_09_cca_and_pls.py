"""Hidden tests of unit 09: inputs come from a seed that only the instructor's key knows."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from course.checking import drawn, points
from reference_impl.integration import cca as reference
from reference_impl.integration import pls

# The same decomposition by another route differs in the last digits, a squared one in the eighth; a wrong rule in the
# first.
RTOL, ATOL = 1e-6, 1e-7
# A threshold found by halving an interval, as PMA does, may stop at 1e-6.
HALVING = 1e-5


@drawn
def related(rng, n=40, p=5, q=3):
    """Two layers with two causes in common; every feature has a level and a unit of its own."""
    shared = rng.normal(size=(n, 2))
    x = shared @ rng.normal(size=(2, p)) + rng.normal(size=(n, p))
    y = shared @ rng.normal(size=(2, q)) + rng.normal(size=(n, q))
    return x * rng.uniform(0.3, 4, p) + rng.uniform(-5, 9, p), y * rng.uniform(0.3, 4, q) + rng.uniform(-5, 9, q)


def covariance(first, second=None):
    """Between columns, ddof 1."""
    other = first if second is None else second
    return (first - first.mean(axis=0)).T @ (other - other.mean(axis=0)) / (len(first) - 1)


def same_up_to_sign(found, right, **tolerance):
    """Columns agree but for their signs."""
    found, right = np.asarray(found), np.asarray(right)
    assert found.shape == right.shape
    assert_allclose(found * np.sign((found * right).sum(axis=0)), right, **tolerance)


# ---------------------------------------------------------------- canonical_weights


@points(2)
def test_all_correlations(canonical_weights, draw):
    """There are min(p, q) correlations, from the largest to the smallest, and they are right, whichever layer is wider.

    典型相关共有 min(p, q) 个，由大到小排列，并且数值正确，无论哪一层的特征更多。"""
    for p, q in ((5, 3), (2, 6)):
        x, y = draw.related(40, p, q)
        assert_allclose(canonical_weights(x, y)[2], reference.canonical_weights(x, y)[2], rtol=RTOL, atol=ATOL)


@points(2)
def test_scores_have_variance_one(canonical_weights, draw):
    """Scores of one layer have variance 1 (divisor n − 1) and are uncorrelated with each other.

    同一层的各个得分方差为 1（除数为 n − 1），并且彼此不相关。"""
    x, y = draw.related(30, 4, 4)
    x_weights, y_weights, _ = canonical_weights(x, y)
    assert_allclose(covariance(x @ x_weights), np.eye(4), atol=ATOL)
    assert_allclose(covariance(y @ y_weights), np.eye(4), atol=ATOL)


@points(2)
def test_scores_meet_only_in_pairs(canonical_weights, draw):
    """Score k of one layer correlates with score k of the other as reported, and with no other score of it.

    一层的第 k 个得分与另一层的第 k 个得分的相关等于所报告的值，与另一层的其他得分都不相关。"""
    x, y = draw.related(35, 3, 5)
    x_weights, y_weights, correlations = canonical_weights(x, y)
    assert_allclose(covariance(x @ x_weights, y @ y_weights), np.diag(correlations), atol=ATOL)


@points(1)
def test_no_correlation_above_one(canonical_weights, draw):
    """Layers that share a direction exactly have a correlation of 1, not of 1 and a rounding error.

    两层恰好共有一个方向时，相关等于 1，而不是 1 再加一点舍入误差。"""
    for _ in range(25):
        x = draw.related(30, 4, 4)[0]
        correlations = np.asarray(canonical_weights(x, x @ draw.rng.normal(size=(4, 4)))[2])
        assert (correlations <= 1).all()
        assert_allclose(correlations, 1, rtol=RTOL)


@points(2)
def test_too_many_features_of_either_layer(canonical_weights, draw):
    """As many features as samples, or more, are refused with a `ValueError` that names the cure, in either layer.

    任何一层的特征数达到或超过样本数时，抛出 `ValueError`，并说明该怎么办。"""
    wide, narrow = draw.rng.normal(size=(8, 8)), draw.rng.normal(size=(8, 2))
    for pair in ((wide, narrow), (narrow, wide), (draw.rng.normal(size=(8, 20)), narrow)):
        with pytest.raises(ValueError, match=r"(?i)ridge|regular|sparse|岭|正则|稀疏"):
            canonical_weights(*pair)
    with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
        canonical_weights(narrow, draw.rng.normal(size=(9, 2)))
    assert len(canonical_weights(draw.rng.normal(size=(8, 7)), narrow)[2]) == 2


@points(1)
def test_a_combination_is_named(canonical_weights, draw):
    """A feature that is a combination of others is refused with a `ValueError` that names it, in either layer.

    某个特征是其他特征的组合时，无论在哪一层，都抛出 `ValueError` 并指出它的名字。"""
    x, y = draw.related(20, 3, 3)
    patients = [f"P{i}" for i in range(20)]
    first = pd.DataFrame(x, index=patients, columns=["TP53", "MDM2", "EGFR"])
    second = pd.DataFrame(y, index=patients, columns=["cg01", "cg02", "cg03"])
    with pytest.raises(ValueError, match="EGFR"):
        canonical_weights(first.assign(EGFR=first["TP53"] - 2 * first["MDM2"]), second)
    with pytest.raises(ValueError, match="cg03"):
        canonical_weights(first, second.assign(cg03=second["cg02"] + second["cg01"]))


# ---------------------------------------------------------------- gram_whitening


@points(2)
def test_cost_is_one(gram_whitening, draw):
    """For W = XᵀA the penalised covariance Wᵀ(C + λI)W is the identity: C has the divisor n − 1, λ is in its units.

    对 W = XᵀA，带惩罚的协方差 Wᵀ(C + λI)W 是单位矩阵：C 的除数为 n − 1，λ 与它同单位。"""
    for p in (30, 6):
        x = draw.related(12, p)[0]
        ridge = draw.rng.uniform(0.2, 3)
        weights = (x - x.mean(axis=0)).T @ np.asarray(gram_whitening(x, ridge))
        cost = weights.T @ (covariance(x) + ridge * np.eye(p)) @ weights
        assert_allclose(cost, np.eye(weights.shape[1]), atol=ATOL)


@points(2)
def test_nothing_of_the_layer_is_lost(gram_whitening, draw):
    """The whitened scores span all directions in which the samples differ.

    白化后的得分张成样本之间存在差异的全部方向。"""
    for p in (25, 4):
        x = draw.related(10, p)[0]
        x[:, 1] = 0.1  # a feature that does not vary is no reason to refuse the others
        ridge = draw.rng.uniform(0.2, 3)
        centred = x - x.mean(axis=0)
        scores = centred @ (centred.T @ np.asarray(gram_whitening(x, ridge)))
        right = centred @ np.linalg.solve(covariance(x) + ridge * np.eye(p), centred.T)
        assert_allclose(scores @ scores.T, right, rtol=RTOL, atol=1e-6)


@points(2)
def test_directions_without_spread_are_left_out(gram_whitening, draw):
    """There are as many columns as directions in which the samples differ, and every number is finite.

    列数等于样本之间存在差异的方向数，并且每个数都是有限的。"""
    x = draw.related(12, 40)[0]
    twins = np.vstack([x, x[:5]])  # five samples twice: they add no direction
    for layer, rank in ((x, 11), (twins, 11), (draw.related(12, 3)[0], 3)):
        found = np.asarray(gram_whitening(layer, 0.7))
        assert found.shape == (len(layer), rank)
        assert np.isfinite(found).all()


@points(1)
def test_whitening_refuses(gram_whitening, draw):
    """A ridge that is not above 0, and a layer that never varies, are refused with a `ValueError`.

    岭参数不大于 0，或者整层毫无变化时，抛出 `ValueError`。"""
    x = draw.related(8, 20)[0]
    for bad in (0.0, -1.0):
        with pytest.raises(ValueError):  # noqa: PT011
            gram_whitening(x, bad)
    with pytest.raises(ValueError):  # noqa: PT011
        gram_whitening(np.full((8, 4), 0.1), 1.0)


# ---------------------------------------------------------------- permutation_p_value


@drawn
def whitened(rng, n=16, signal=1.0):
    """Two whitened layers of more features than samples with a common cause."""
    shared = signal * rng.normal(size=(n, 1))
    layers = [shared + rng.normal(size=(n, p)) for p in (20, 24)]
    return [(x - x.mean(axis=0)) @ (x - x.mean(axis=0)).T @ reference.gram_whitening(x, 3.0) for x in layers]


@points(2)
def test_null_of_the_shuffles(permutation_p_value, draw):
    """Each shuffle reorders the rows by one permutation, and gives the first singular value of the whitened covariance.

    每次打乱用一个排列重排样本，得到白化协方差的第一个奇异值。"""
    first, second = draw.whitened()
    seed = int(draw.rng.integers(2**32))
    null = permutation_p_value(first, second, n_permutations=12, rng=np.random.default_rng(seed))[1]
    right = reference.permutation_p_value(first, second, n_permutations=12, rng=np.random.default_rng(seed))[1]
    assert_allclose(null, right, rtol=RTOL)


@points(3)
def test_p_counts_the_data_among_the_shuffles(permutation_p_value, draw):
    """p is the number of shuffles that agree at least as well, the data itself counted among them.

    p 值按“至少同样一致”的打乱次数计算，并且把数据本身也算作其中之一。"""
    for signal in (0.0, 0.25, 2.0):
        first, second = draw.whitened(12, signal)
        seed = int(draw.rng.integers(2**32))
        found = permutation_p_value(first, second, n_permutations=25, rng=np.random.default_rng(seed))[0]
        right = reference.permutation_p_value(first, second, n_permutations=25, rng=np.random.default_rng(seed))[0]
        assert found == pytest.approx(right)


@points(1)
def test_ties_count(permutation_p_value, draw):
    """Where every order agrees equally well, nothing is significant: p is 1.

    如果任何排列都同样一致，就没有显著性可言：p 值为 1。"""
    first = np.array([[2.0], [-1.0], [-1.0]]) * draw.rng.uniform(0.5, 2)
    second = np.array([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]])  # three samples, as far from each other
    assert permutation_p_value(first, second, n_permutations=10, rng=draw.rng)[0] == pytest.approx(1.0)


@points(1)
def test_layers_stay_as_they_are(permutation_p_value, draw):
    """Shuffling leaves the tables that came in unchanged; a seed in place of a generator, and no shuffle, are refused.

    打乱不改动传入的表；用种子代替生成器，或打乱次数为 0，都会被拒绝。"""
    first, second = draw.whitened()
    before = first.copy(), second.copy()
    permutation_p_value(first, second, n_permutations=5, rng=draw.rng)
    assert_array_equal(first, before[0])
    assert_array_equal(second, before[1])
    for number, rng in ((0, draw.rng), (5, 7)):
        with pytest.raises(ValueError):  # noqa: PT011
            permutation_p_value(first, second, n_permutations=number, rng=rng)


# ---------------------------------------------------------------- sparse_unit_vector


@points(3)
def test_best_under_the_bound(sparse_unit_vector, draw):
    """The direction is thresholded as little as the bound allows, softly, and has length 1 afterwards.

    在界允许的范围内尽量少地做软阈值处理，之后长度为 1。"""
    for size in (2, 7, 30):
        direction = draw.rng.normal(size=size) * draw.rng.uniform(0.01, 50)
        bound = 1 + draw.rng.uniform(0.15, 0.6) * (np.sqrt(size) - 1)
        right = reference.sparse_unit_vector(direction, bound)
        assert_allclose(sparse_unit_vector(direction, bound), right, atol=HALVING)


@points(1)
def test_the_bound_holds(sparse_unit_vector, draw):
    """The sum of absolute values keeps to the bound, and reaches it where the direction alone would break it.

    绝对值之和不超过界；如果方向本身超出了界，则恰好达到界。"""
    direction = draw.rng.exponential(size=20) + 0.5
    for bound in (1.3, 2.2, 3.0):
        found = np.asarray(sparse_unit_vector(direction, bound))
        assert_allclose(np.abs(found).sum(), bound, rtol=HALVING)
        assert_allclose(np.linalg.norm(found), 1, rtol=1e-9)


@points(1)
def test_one_feature_and_all_features(sparse_unit_vector, draw):
    """A bound of 1 keeps the largest value alone; a bound of √p or more keeps all.

    界为 1 时只保留最大的那个数；界达到 √p 及以上时全部保留。"""
    direction = draw.rng.normal(size=9)
    direction[4] = -5.0
    alone = np.zeros(9)
    alone[4] = -1.0
    assert_allclose(sparse_unit_vector(direction, 1.0), alone, atol=HALVING)
    assert_allclose(sparse_unit_vector(direction, 3.0), direction / np.linalg.norm(direction), atol=1e-9)


@points(1)
def test_equal_values_stay_together(sparse_unit_vector, draw):
    """Equal largest values cannot be told apart: where the bound would ask for fewer of them, all are kept.

    相等的最大值无从区分：界要求更少时，也把它们全部保留。"""
    height = draw.rng.uniform(0.5, 3)
    found = sparse_unit_vector(np.array([height, 0.3 * height, -height, 0.0]), 1.1)
    assert_allclose(found, np.array([1.0, 0.0, -1.0, 0.0]) / np.sqrt(2), atol=HALVING)
    found = sparse_unit_vector(np.array([-height, height, height]), 1.1)
    assert_allclose(found, np.array([-1.0, 1.0, 1.0]) / np.sqrt(3), atol=HALVING)


@points(1)
def test_no_direction_is_refused(sparse_unit_vector, draw):
    """Zeros, missing values, and a bound below 1, which no vector of length 1 meets, are refused with a `ValueError`.

    全为零、含缺失值，或者界小于 1（没有长度为 1 的向量能满足）时，抛出 `ValueError`。"""
    good = draw.rng.normal(size=4)
    for direction, bound in ((np.zeros(4), 1.5), (np.array([1.0, np.nan, 2.0]), 1.5), (good, 0.9)):
        with pytest.raises(ValueError):  # noqa: PT011
            sparse_unit_vector(direction, bound)


# ---------------------------------------------------------------- alternation_step


@drawn
def standardised(rng, n=20, p=9, q=9):
    """Two standardised layers with two causes in common, and a unit vector to start from."""
    layers = related(rng, n, p, q)
    v = rng.normal(size=q)
    return [(x - x.mean(axis=0)) / x.std(axis=0, ddof=1) for x in layers], v / np.linalg.norm(v)


@drawn
def found_before(rng, p=9, q=9, k=2):
    """Components found before: sparse vectors of length 1 with their strengths."""
    u, v = (np.linalg.qr(rng.normal(size=(size, k)))[0] for size in (p, q))
    return u, rng.uniform(5, 20, k), v


@points(2)
def test_u_for_v_and_v_for_u(alternation_step, draw):
    """u is the best sparse vector for the v that came in, and the new v the best for that new u.

    u 是对传入的 v 而言最好的稀疏向量，新的 v 则是对这个新的 u 而言最好的。"""
    (x, y), v = draw.standardised(20, 9, 7)
    for bound_u, bound_v in ((1.6, 1.4), (1.2, 2.4), (3.0, 1.0)):
        found, right = (
            alternation_step(x, y, v, bound_u, bound_v),
            reference.alternation_step(x, y, v, bound_u, bound_v),
        )
        assert_allclose(found[0], right[0], atol=1e-4)  # an error of a threshold passes through both products
        assert_allclose(found[1], right[1], atol=1e-4)


@points(3)
def test_what_was_found_is_taken_out(alternation_step, draw):
    """Components found before are taken out of XᵀY, with their strengths, in both halves of the step.

    先前找到的分量连同其强度都要从 XᵀY 中减去，在一步的两半中都是如此。"""
    for p, q in ((9, 9), (6, 11)):
        (x, y), v = draw.standardised(20, p, q)
        before = draw.found_before(p, q)
        found = alternation_step(x, y, v, 1.5, 1.8, before)
        right = reference.alternation_step(x, y, v, 1.5, 1.8, before)
        assert_allclose(found[0], right[0], atol=1e-4)
        assert_allclose(found[1], right[1], atol=1e-4)


@points(1)
def test_agreement_never_falls(alternation_step, draw):
    """From step to step uᵀXᵀY v never falls.

    一步一步做下去，uᵀXᵀY v 不会下降。"""
    (x, y), v = draw.standardised()
    _, v = alternation_step(x, y, v, 1.5, 1.5)
    reached = -np.inf
    for _ in range(4):
        u, v = alternation_step(x, y, v, 1.5, 1.5)
        assert u @ (x.T @ (y @ v)) >= reached - 1e-6
        reached = u @ (x.T @ (y @ v))
    assert_allclose(np.abs(u).sum(), 1.5, rtol=HALVING)
    assert_allclose(np.abs(v).sum(), 1.5, rtol=HALVING)


# ---------------------------------------------------------------- silenced


@points(2)
def test_methylated_by_the_programme(silenced, truth):
    """The CpGs are those that the programme of the subtype methylates; nearly none is there by chance.

    所选的 CpG 正是该亚型的程序所甲基化的那些，几乎没有碰巧选入的。"""
    planted = set(truth["causal"]["programme_features"]["methylation"])
    chosen = set(silenced[0])
    assert len(chosen & planted) >= 0.9 * len(chosen)
    assert len(chosen & planted) >= 0.3 * len(planted)


@points(2)
def test_silenced_by_the_programme(silenced, truth):
    """The genes are those that the programme silences; few are there by chance.

    所选的基因正是该程序所沉默的那些，碰巧选入的很少。"""
    planted = set(truth["causal"]["programme_features"]["rna"])
    chosen = set(silenced[1])
    assert len(chosen & planted) >= 0.8 * len(chosen)
    assert len(chosen & planted) >= 0.4 * len(planted)


@points(1)
def test_methylation_goes_up_and_expression_down(silenced, cohort):
    """Across patients, the chosen genes are low where the chosen CpGs are methylated.

    在患者之间，所选的 CpG 甲基化越高，所选的基因表达越低。"""
    methylation = cohort.layers["methylation"][list(silenced[0])]
    patients = methylation.index.intersection(cohort.layers["rna"].index)
    counts = cohort.layers["rna"].loc[patients]
    expression = np.log2((counts[list(silenced[1])] + 1).div(counts.sum(axis=1), axis=0)).mean(axis=1)
    up = np.log2(methylation.loc[patients] / (1 - methylation.loc[patients])).mean(axis=1)
    # Failed libraries and swapped samples are among the patients: ranks are moved by few of them.
    assert pd.concat([up, expression], axis=1).corr(method="spearman").iloc[0, 1] < -0.4


# ---------------------------------------------------------------- pls_step


def same_step(found, right):
    """A component agrees but for its sign, which both layers share."""
    sign = np.sign(np.asarray(found.x_weights) @ right.x_weights)
    for name in ("x_weights", "y_weights", "x_scores", "y_scores"):
        assert_allclose(np.asarray(getattr(found, name)) * sign, getattr(right, name), rtol=RTOL, atol=1e-6)


@points(2)
def test_weights_and_scores(pls_step, draw):
    """Weights are the first singular vectors of the centred XᵀY, with signs that go together; scores are the centred
    layers times them.

    权重是中心化后 XᵀY 的第一对奇异向量，得分是中心化的层乘以权重；两者的符号成对变化。"""
    for p, q in ((5, 4), (25, 30)):
        x, y = draw.related(20, p, q)
        same_step(pls_step(x, y), pls.pls_step(x, y))


@points(1)
def test_covariance_of_the_scores(pls_step, draw):
    """The covariance is that of the two scores, with the divisor n − 1, and not negative.

    协方差就是两个得分的协方差，除数为 n − 1，不为负。"""
    x, y = draw.related(18, 6, 7)
    step = pls_step(x, y)
    assert_allclose(step.covariance, np.cov(step.x_scores, step.y_scores)[0, 1], rtol=RTOL)
    assert_allclose(step.covariance, pls.pls_step(x, y).covariance, rtol=RTOL)


@points(3)
def test_what_is_left(pls_step, draw):
    """From each layer that part is taken out which its own score explains by regression.

    从每一层减去的，是由它自己的得分通过回归所解释的部分。"""
    x, y = draw.related(20, 5, 9)
    found, right = pls_step(x, y), pls.pls_step(x, y)
    assert_allclose(found.rest_x, right.rest_x, atol=1e-6)
    assert_allclose(found.rest_y, right.rest_y, atol=1e-6)
    assert_allclose(np.asarray(found.x_scores) @ np.asarray(found.rest_x), 0, atol=1e-6)


@points(1)
def test_the_next_component_is_new(pls_step, draw):
    """The scores of the next step are uncorrelated with those of the first, within each layer.

    在每一层内，下一步的得分与第一步的得分不相关。"""
    x, y = draw.related(25, 8, 6)
    first = pls_step(x, y)
    second = pls_step(first.rest_x, first.rest_y)
    assert abs(np.corrcoef(first.x_scores, second.x_scores)[0, 1]) < 1e-6
    assert abs(np.corrcoef(first.y_scores, second.y_scores)[0, 1]) < 1e-6
    right = pls.pls_step(*pls.pls_step(x, y)[-2:])
    assert_allclose(second.covariance, right.covariance, rtol=1e-5)


@points(1)
def test_samples_must_match(pls_step, draw):
    """Layers of different samples are refused with a `ValueError`, and tables that came in stay as they are.

    两层的样本不一致时抛出 `ValueError`；传入的表保持不变。"""
    x, y = draw.related(12, 4, 3)
    before = x.copy(), y.copy()
    pls_step(x, y)
    assert_array_equal(x, before[0])
    assert_array_equal(y, before[1])
    names = [f"P{i}" for i in range(12)]
    tables = pd.DataFrame(x, index=names), pd.DataFrame(y, index=names[::-1])
    for pair in ((x, y[:-1]), tables):
        with pytest.raises(ValueError):  # noqa: PT011
            pls_step(*pair)


# ---------------------------------------------------------------- shared_scores


@drawn
def bases(rng, n=20, ranks=(3, 5, 4), ridge=False):
    """Orthonormal bases of layers with a common cause, shortened as a ridge does it."""
    shared = rng.normal(size=(n, 1))
    found = {}
    for name, rank in zip(("rna", "protein", "metabolite"), ranks, strict=True):
        layer = shared + rng.normal(size=(n, rank))
        basis = np.linalg.qr(layer - layer.mean(axis=0))[0]
        found[name] = basis * rng.uniform(0.4, 0.95, rank) if ridge else basis
    return found


@points(2)
def test_agreement_is_summed_over_layers(shared_scores, draw):
    """Agreement is the sum over all layers of the predicted share of a score, from the largest to the smallest.

    一致程度是各层所预测份额之和，由大到小排列。"""
    for ridge in (False, True):
        layers = draw.bases(20, (3, 5, 4), ridge)
        assert_allclose(shared_scores(layers, 4)[1], reference.shared_scores(layers, 4)[1], rtol=RTOL)


@points(2)
def test_scores_that_all_predict(shared_scores, draw):
    """The scores are those that the layers together predict best, up to sign.

    得分就是各层合起来预测得最好的那些，符号不计。"""
    for ridge in (False, True):
        layers = draw.bases(24, (4, 3, 6), ridge)
        same_up_to_sign(shared_scores(layers, 2)[0], reference.shared_scores(layers, 2)[0], rtol=1e-5, atol=1e-5)


@points(1)
def test_shared_scores_have_variance_one(shared_scores, draw):
    """The shared scores have variance 1 (divisor n − 1) and are uncorrelated.

    共享得分的方差为 1（除数为 n − 1），并且彼此不相关。"""
    found = np.asarray(shared_scores(draw.bases(), 3)[0])
    assert_allclose(covariance(found), np.eye(3), atol=ATOL)


@points(1)
def test_layers_in_any_form(shared_scores, draw):
    """Layers in a list count as in a dict, in any order; one layer, and more scores than can be had, are refused.

    层放在列表里还是字典里、次序如何，结果都一样；只有一层，或要求的得分过多，都会被拒绝。"""
    layers = draw.bases()
    right = shared_scores(layers, 2)[1]
    assert_allclose(shared_scores(list(layers.values())[::-1], 2)[1], right, rtol=RTOL)
    two = {name: layers[name] for name in ("rna", "protein")}
    assert_allclose(shared_scores(two, 2)[1], reference.shared_scores(two, 2)[1], rtol=RTOL)
    assert len(shared_scores(two, 8)[1]) == 8
    for wrong, number in ((two, 9), (draw.bases(6, (4, 4, 4)), 6), ({"rna": layers["rna"]}, 1), (two, 0)):
        with pytest.raises(ValueError):  # noqa: PT011
            shared_scores(wrong, number)
