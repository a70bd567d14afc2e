"""Visible checks of unit 11: what a learner sees and runs. Copied into the exercise's folder by the build."""

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from course.checking import points

# The examples in the task are given to three or four digits.
GIVEN_DIGITS = 2e-3


def record(name, *parts):
    """A record of the class that the notebook gives."""
    try:
        from reference_impl.integration import mofa as given
    except ImportError:  # a learner has no reference: the classes stand in the notebook
        import __main__ as given
    return getattr(given, name)(*parts)


def certain(values):
    """Weights that are on and known exactly."""
    values = np.array(values, dtype=float)
    return record("Weights", values, np.zeros_like(values), np.ones_like(values))


def open_odds(n_factors):
    """Relevance and sparsity of the example: Gamma(1, 1) and Beta(1, 1) for each factor."""
    one = np.ones(n_factors)
    return record("Gamma", one, one), record("Beta", one, one)


# ---------------------------------------------------------------- factor_evidence


@points(1)
def test_one_feature_one_factor(factor_evidence):
    """The example of the task: precision 3, signals 6 and −2.

    题目中的例子：精度 3，信号 6 和 −2。"""
    weights = record("Weights", np.array([[1.0]]), np.array([[0.5]]), np.array([[1.0]]))
    precision, signal = factor_evidence(np.array([[3.0], [-1.0]]), weights, np.array([2.0]))
    assert_allclose(precision, [[3.0]])
    assert_allclose(signal, [[6.0], [-2.0]])


@points(1)
def test_known_weights_of_two_factors(factor_evidence):
    """Three features, two factors, weights known for certain: Λ = Σ τ w wᵀ, and one signal per sample and factor.

    三个特征、两个因子、权重确定已知：Λ = Σ τ w wᵀ，每个样本、每个因子一个信号。"""
    w = [[1.0, 0.0], [1.0, 2.0], [0.0, 1.0]]
    precision, signal = factor_evidence(np.array([[1.0, 1.0, 1.0]]), certain(w), np.array([1.0, 1.0, 2.0]))
    assert_allclose(precision, [[2.0, 2.0], [2.0, 6.0]])
    assert_allclose(signal, [[2.0, 4.0]])


# ---------------------------------------------------------------- factor_posterior


@points(1)
def test_with_both_layers_and_with_one(factor_posterior):
    """The example of the task: means 1 and −1/2, variances 1/8 and 1/4.

    题目中的例子：均值 1 和 −1/2，方差 1/8 和 1/4。"""
    precisions, signals = np.array([[[3.0]], [[4.0]]]), np.array([[[6.0], [-2.0]], [[2.0], [0.0]]])
    mean, covariance = factor_posterior(precisions, signals, np.array([[True, True], [True, False]]))
    assert_allclose(mean, [[1.0], [-0.5]])
    assert_allclose(covariance, [[[0.125]], [[0.25]]])


@points(1)
def test_no_layer_leaves_the_prior(factor_posterior):
    """A sample without any layer gets mean 0 and covariance I.

    一层都没有的样本得到均值 0、协方差 I。"""
    mean, covariance = factor_posterior(np.full((1, 2, 2), 9.0), np.zeros((1, 1, 2)), np.array([[False]]))
    assert_allclose(mean, [[0.0, 0.0]], atol=1e-12)
    assert_allclose(covariance, [np.eye(2)], atol=1e-12)


# ---------------------------------------------------------------- relevance_posterior


@points(1)
def test_eight_weights_of_two(relevance_posterior):
    """The example of the task: shape 4.001, rate 16.001.

    题目中的例子：形状 4.001，速率 16.001。"""
    found = relevance_posterior(certain(np.full((8, 1), 2.0)))
    assert_allclose(found.shape, [4.001])
    assert_allclose(found.rate, [16.001])


@points(1)
def test_one_precision_per_factor(relevance_posterior):
    """Two factors with larger and smaller weights: the larger weights have the smaller precision.

    两个因子的权重一大一小：权重大的，精度小。"""
    found = relevance_posterior(certain([[3.0, 0.5], [-3.0, 0.5], [3.0, -0.5]]))
    assert np.shape(found.mean) == (2,)
    assert found.mean[0] < found.mean[1]


# ---------------------------------------------------------------- weight_posterior


@points(1)
def test_one_on_and_one_off(weight_posterior):
    """The example of the task: slab means 0.495 and 0, on for certain and with probability 0.07.

    题目中的例子：slab_mean 为 0.495 和 0，打开的概率为 1 和 0.07。"""
    relevance, sparsity = open_odds(1)
    start = record("Weights", np.zeros((2, 1)), np.ones((2, 1)), np.ones((2, 1)))
    cross, gram = np.array([[50.0], [0.0]]), np.array([[100.0]])
    found = weight_posterior(cross, gram, np.ones(2), relevance, sparsity, start)
    assert_allclose(found.slab_mean, [[0.495], [0.0]], rtol=GIVEN_DIGITS, atol=1e-12)
    assert_allclose(found.inclusion, [[1.0], [0.07]], atol=5e-3)  # two digits


@points(1)
def test_two_equal_factors_do_not_both_take_all(weight_posterior):
    """Two equal factors, and a feature that is three times either: the first takes it, the second finds nothing.

    两个完全相同的因子，一个特征等于其中任一个的三倍：第一个因子全部拿走，第二个什么也没剩下。"""
    relevance, sparsity = open_odds(2)
    start = record("Weights", np.zeros((1, 2)), np.ones((1, 2)), np.ones((1, 2)))
    cross, gram = np.array([[300.0, 300.0]]), np.full((2, 2), 100.0)
    found = weight_posterior(cross, gram, np.array([100.0]), relevance, sparsity, start)
    assert_allclose(found.slab_mean * found.inclusion, [[3.0, 0.0]], atol=1e-2)


# ---------------------------------------------------------------- expected_residual


@points(1)
def test_five_is_left(expected_residual):
    """The example of the task: 30 − 50 + 25 = 5.

    题目中的例子：30 − 50 + 25 = 5。"""
    found = expected_residual(np.array([30.0]), np.array([[50.0]]), np.array([[100.0]]), certain([[0.5]]))
    assert_allclose(found, [5.0])


@points(1)
def test_a_perfect_fit_leaves_nothing(expected_residual):
    """Two factors and two features that they explain without rest, everything known: nothing is left.

    两个因子毫无剩余地解释两个特征，且一切已知：什么也不剩。"""
    z, w = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.array([[2.0, 1.0], [0.0, -1.0]])
    y = z @ w.T
    found = expected_residual((y**2).sum(axis=0), y.T @ z, z.T @ z, certain(w))
    assert_allclose(found, [0.0, 0.0], atol=1e-12)


# ---------------------------------------------------------------- factor_divergence


@points(1)
def test_the_prior_is_free(factor_divergence):
    """Factors with mean 0 and covariance I cost nothing.

    均值为 0、协方差为 I 的因子没有代价。"""
    assert_allclose(factor_divergence(np.zeros((3, 2)), np.repeat(np.eye(2)[None], 3, axis=0)), 0.0, atol=1e-12)


@points(1)
def test_one_factor_of_one_sample(factor_divergence):
    """The example of the task: mean 2 and variance 0.25 cost 2.318.

    题目中的例子：均值 2、方差 0.25，代价为 2.318。"""
    assert_allclose(factor_divergence(np.array([[2.0]]), np.array([[[0.25]]])), 2.318, rtol=GIVEN_DIGITS)


# ---------------------------------------------------------------- update_layer


def small_layer():
    """One factor over four samples, one feature that follows it."""
    z = np.array([[1.0], [-1.0], [2.0], [-2.0]])
    sums = record("LayerSums", np.array([4.0]), np.array([91.0]), np.array([[30.0]]), z.T @ z)
    weights = record("Weights", np.array([[1.0]]), np.array([[0.1]]), np.ones((1, 1)))
    relevance, sparsity = open_odds(1)
    return sums, record("Beliefs", weights, relevance, relevance, sparsity)


@points(1)
def test_weight_and_noise_after_one_round(update_layer):
    """A feature of about three times the factor: after one round the weight is 2.73 and the noise precision 1.51.

    一个大约等于因子三倍的特征：更新一轮之后，权重为 2.73，噪声精度为 1.51。"""
    new, _ = update_layer(*small_layer())
    assert_allclose(new.weights.mean, [[2.73]], rtol=GIVEN_DIGITS)
    assert_allclose(new.noise.mean, [1.51], rtol=GIVEN_DIGITS)


@points(1)
def test_a_second_round_raises_the_bound(update_layer):
    """With the same sums, the bound after a second round is not lower than after the first.

    用同样的和再更新一轮，下界不低于第一轮之后。"""
    sums, beliefs = small_layer()
    once, first = update_layer(sums, beliefs)
    _, second = update_layer(sums, once)
    assert second >= first


# ---------------------------------------------------------------- explained_share


@points(1)
def test_one_feature_of_two(explained_share):
    """The example of the task: 1 − 2 / 10 = 0.8.

    题目中的例子：1 − 2 / 10 = 0.8。"""
    values = np.array([[2.0, 1.0], [-2.0, -1.0], [np.nan, 0.0]])
    found = explained_share(values, np.array([[1.0], [-1.0], [9.0]]), np.array([[2.0], [0.0]]))
    assert_allclose(found, [0.8])


@points(1)
def test_two_factors_share_a_layer(explained_share):
    """Two factors that never act in the same feature, and no noise: their shares are 0.8 and 0.2.

    两个因子从不作用于同一特征，且没有噪声：比例为 0.8 和 0.2。"""
    z, w = np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]), np.array([[2.0, 0.0], [0.0, 1.0]])
    assert_allclose(explained_share(z @ w.T, z, w), [0.8, 0.2])


# ---------------------------------------------------------------- risk_factor


@points(1)
def test_one_score_for_every_patient(risk_factor, cohort):
    """A Series with one number for every patient of the cohort, labelled by patient.

    一个 Series：队列中每位患者一个数，以患者编号为标签。"""
    assert isinstance(risk_factor, pd.Series)
    assert sorted(risk_factor.index) == sorted(cohort.patients)
    assert np.isfinite(risk_factor.to_numpy(dtype=float)).all()


@points(1)
def test_cases_score_higher(risk_factor, cohort):
    """Cases have the higher mean score.

    病例的平均得分较高。"""
    case = (cohort.clinical["disease"] == "case").reindex(risk_factor.index)
    assert risk_factor[case].mean() > risk_factor[~case].mean()
