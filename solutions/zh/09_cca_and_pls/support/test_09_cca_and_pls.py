"""Visible checks of unit 09: what a learner sees and runs. Copied into the exercise's folder by the build."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from course.checking import points

# The examples in the task are given to three digits.
GIVEN_DIGITS = 1e-3

# ---------------------------------------------------------------- canonical_weights


@points(1)
def test_one_feature_against_two(canonical_weights):
    """The example of the task: the one correlation is 0.987, and there is one pair of weights.

    题目中的例子：唯一的典型相关是 0.987，权重只有一对。"""
    x = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    y = np.array([[2.0, 0.0], [1.0, 1.0], [4.0, 0.0], [3.0, 1.0], [5.0, 1.0]])
    x_weights, y_weights, correlations = canonical_weights(x, y)
    assert np.shape(x_weights) == (1, 1)
    assert np.shape(y_weights) == (2, 1)
    assert_allclose(correlations, [0.987], atol=GIVEN_DIGITS)


@points(1)
def test_as_many_features_as_samples(canonical_weights):
    """With 6 features of 6 samples nothing can be learned: a `ValueError` says so.

    6 个样本、6 个特征，什么也学不到：应抛出 `ValueError`。"""
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError):  # noqa: PT011 (the words are the learner's)
        canonical_weights(rng.normal(size=(6, 6)), rng.normal(size=(6, 2)))


# ---------------------------------------------------------------- gram_whitening


@points(1)
def test_one_number_per_sample(gram_whitening):
    """10 centred samples of 50 features give a row per sample, and a column for each of the 9 directions they span.

    10 个中心化的样本、50 个特征：每个样本一行；它们张成 9 个方向，所以有 9 列。"""
    x = np.random.default_rng(1).normal(size=(10, 50))
    assert np.shape(gram_whitening(x - x.mean(axis=0), 0.5)) == (10, 9)


@points(1)
def test_penalised_variance_is_one(gram_whitening):
    """In the example of the task, Wᵀ(C + I)W is the identity for W = XᵀA.

    在题目的例子中，W = XᵀA 满足 Wᵀ(C + I)W 等于单位矩阵。"""
    x = np.array([[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, -1.0, -1.0]])
    weights = x.T @ np.asarray(gram_whitening(x, 1.0))
    assert_allclose(weights.T @ (np.cov(x.T) + np.eye(3)) @ weights, np.eye(2), atol=1e-9)


# ---------------------------------------------------------------- permutation_p_value


@points(1)
def test_a_layer_with_itself(permutation_p_value):
    """30 different values agree with themselves better than with any of 19 shuffles: p is 1/20.

    30 个互不相同的数与自己的一致程度，超过 19 次打乱中的任何一次：p 值为 1/20。"""
    x = np.random.default_rng(2).normal(size=(30, 1))
    x = (x - x.mean()) / x.std(ddof=1)
    p_value, null = permutation_p_value(x, x, n_permutations=19, rng=np.random.default_rng(3))
    assert p_value == pytest.approx(0.05)
    assert np.shape(null) == (19,)


@points(1)
def test_noise_is_not_significant(permutation_p_value):
    """Two columns that have nothing to do with each other are not called significant.

    两列互不相干的数据不应被判为显著。"""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 40, 1))
    p_value, null = permutation_p_value(x - x.mean(), y - y.mean(), n_permutations=50, rng=rng)
    assert 0.05 < p_value <= 1
    assert np.unique(null).size > 10


# ---------------------------------------------------------------- sparse_unit_vector


@points(1)
def test_example_of_a_tight_bound(sparse_unit_vector):
    """The direction (3, 1) with the bound 1.2 gives (0.974, 0.226).

    方向 (3, 1)、界为 1.2 时，结果是 (0.974, 0.226)。"""
    assert_allclose(sparse_unit_vector([3.0, 1.0], 1.2), [0.974, 0.226], atol=GIVEN_DIGITS)


@points(1)
def test_a_loose_bound_changes_nothing(sparse_unit_vector):
    """Where the direction at length 1 keeps to the bound already, it stays as it is.

    如果方向化为长度 1 之后本来就满足界，它就保持不变。"""
    direction = np.array([1.0, 2.0, 2.0])
    assert_allclose(sparse_unit_vector(direction, 1.7), direction / 3, atol=1e-6)


# ---------------------------------------------------------------- alternation_step


def small_layers():
    """Two layers, of which the first features vary most, and together."""
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.1], [0.0, -0.1]])
    return x, x.copy()


@points(1)
def test_one_feature_is_left(alternation_step):
    """The example of the task: with bounds of 1 each layer keeps its first feature.

    题目中的例子：两个界都为 1 时，每层只留下第一个特征。"""
    u, v = alternation_step(*small_layers(), np.array([0.6, 0.8]), 1.0, 1.0)
    assert_allclose(np.abs(u), [1.0, 0.0], atol=1e-9)
    assert_allclose(np.abs(v), [1.0, 0.0], atol=1e-9)


@points(1)
def test_both_vectors_have_length_one(alternation_step):
    """Both vectors have length 1, and one number per feature of their layer.

    两个向量的长度都是 1，并且本层的每个特征各有一个数。"""
    rng = np.random.default_rng(5)
    u, v = alternation_step(
        rng.normal(size=(12, 6)), rng.normal(size=(12, 4)), np.array([0.5, 0.5, 0.5, 0.5]), 1.5, 1.3
    )
    assert np.shape(u) == (6,)
    assert np.shape(v) == (4,)
    assert_allclose([np.linalg.norm(u), np.linalg.norm(v)], 1.0, rtol=1e-9)


# ---------------------------------------------------------------- silenced


@points(1)
def test_two_lists_of_features(silenced, cohort):
    """`silenced` holds CpGs, then genes, each a column of its layer and named once.

    `silenced` 依次是 CpG 与基因的列表，都是所在层的列名，并且没有重复。"""
    for names, layer in zip(silenced, ("methylation", "rna"), strict=True):
        assert len(set(names)) == len(list(names)) > 0
        assert set(names) <= set(cohort.layers[layer].columns)


@points(1)
def test_a_choice_was_made(silenced, cohort):
    """Only a part of the features is chosen: fewer than a fifth of each layer.

    只选出一部分特征：每层不到五分之一。"""
    for names, layer in zip(silenced, ("methylation", "rna"), strict=True):
        assert len(names) < cohort.layers[layer].shape[1] / 5


# ---------------------------------------------------------------- pls_step


@points(1)
def test_the_strong_feature_first(pls_step):
    """The example of the task: the second feature has weight 1, the covariance is 2.667, and its column ends up empty.

    题目中的例子：第二个特征的权重是 1，协方差为 2.667，剩余部分中它那一列全为零。"""
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    step = pls_step(x, x[:, [1]])
    assert_allclose(np.abs(step.x_weights), [0.0, 1.0], atol=1e-9)
    assert step.covariance == pytest.approx(2.667, abs=GIVEN_DIGITS)
    assert_allclose(step.rest_x, x * [1.0, 0.0], atol=1e-9)


@points(1)
def test_weights_of_length_one(pls_step):
    """Both vectors of weights have length 1.

    两组权重的长度都是 1。"""
    rng = np.random.default_rng(6)
    step = pls_step(rng.normal(size=(15, 8)), rng.normal(size=(15, 20)))
    assert_allclose([np.linalg.norm(step.x_weights), np.linalg.norm(step.y_weights)], 1.0, rtol=1e-9)


# ---------------------------------------------------------------- shared_scores


@points(1)
def test_two_layers_that_share_one_direction(shared_scores):
    """The example of the task: both layers predict the first score fully, only one predicts the second.

    题目中的例子：第一个得分两层都能完全预测，第二个只有一层能预测。"""
    one = np.array([[1.0], [-1.0], [0.0], [0.0]]) / np.sqrt(2)
    other = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]) / np.sqrt(2)
    shared, agreement = shared_scores([one, other], 2)
    assert_allclose(agreement, [2.0, 1.0], atol=1e-9)
    assert_allclose(np.abs(shared[:, 0]), np.array([1.5, 1.5, 0, 0]) ** 0.5, atol=1e-9)


@points(1)
def test_no_more_agreement_than_layers(shared_scores):
    """Agreement falls from score to score and is never larger than the number of layers.

    一致程度逐个下降，并且不会超过层数。"""
    rng = np.random.default_rng(7)
    bases = {name: np.linalg.qr(rng.normal(size=(20, 4)))[0] for name in ("rna", "protein", "metabolite")}
    _, agreement = shared_scores(bases, 3)
    assert np.shape(agreement) == (3,)
    assert (np.diff(agreement) <= 1e-12).all()
    assert agreement[0] <= 3 + 1e-9
