"""Checks that a learner sees: unit 13, multimodal autoencoder."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from course.checking import points

# --- kl_divergence ---------------------------------------------------------------------------------------------------


@points(1)
def test_two_deviations_cost_two_nats(kl_divergence):
    """To stay with the prior costs nothing; to say "two standard deviations from the centre" costs 2 nats.

    与先验一致不需要代价；说“离中心两个标准差”的代价是 2 奈特。"""
    assert_allclose(kl_divergence([[0.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]), [0, 2], atol=1e-12)


@points(1)
def test_being_sure_costs_too(kl_divergence, draw):
    """Any other variance than the prior's costs something, whether larger or smaller.

    方差只要与先验不同就有代价，无论更大还是更小。"""
    log_variance = draw.rng.uniform(0.5, 2, size=(6, 3)) * draw.rng.choice([-1, 1], size=(6, 3))
    found = np.asarray(kl_divergence(np.zeros((6, 3)), log_variance))
    assert found.shape == (6,)
    assert (found > 0.1).all()


# --- product_of_experts ----------------------------------------------------------------------------------------------


@points(1)
def test_two_equal_experts_and_the_prior(product_of_experts):
    """Opinions 3 and 9, both with variance 1, and the prior at 0 meet at 4, with variance ⅓.

    意见 3 与 9（方差都是 1）再加上位于 0 的先验，合起来均值为 4，方差为 ⅓。"""
    mean, log_variance = product_of_experts([[[3.0]], [[9.0]]], [[[0.0]], [[0.0]]], [[True], [True]])
    assert_allclose(mean, [[4.0]])
    assert_allclose(np.exp(log_variance), [[1 / 3]])


@points(1)
def test_together_surer_than_each(product_of_experts, draw):
    """The product is surer than the prior and than each expert, in every dimension.

    在每一维上，乘积都比先验、也比每位专家更有把握。"""
    means, log_variances = draw.rng.normal(size=(2, 3, 5, 2))
    _, found = product_of_experts(means, log_variances, np.ones((3, 5), dtype=bool))
    assert np.shape(found) == (5, 2)
    assert (found < 0).all()
    assert (found < log_variances.min(axis=0)).all()


# --- gaussian_log_likelihood -----------------------------------------------------------------------------------------


@points(1)
def test_one_value_as_expected(gaussian_log_likelihood):
    """A value that is just as expected, with variance 1, has −½ ln 2π, about −0.919.

    与预期完全一致、方差为 1 的数值，对数似然为 −½ ln 2π，约 −0.919。"""
    assert_allclose(gaussian_log_likelihood([[1.0]], [[1.0]], [0.0]), [-0.9189], atol=1e-4)  # printed digits


@points(1)
def test_a_gap_gives_a_number(gaussian_log_likelihood, draw):
    """A missing value does not make the result NaN.

    有缺失值时，结果不会变成 NaN。"""
    x = draw.rng.normal(size=(4, 3))
    x[1, 2] = np.nan
    found = np.asarray(gaussian_log_likelihood(x, np.zeros((4, 3)), np.zeros(3)))
    assert found.shape == (4,)
    assert np.isfinite(found).all()


# --- negative_binomial_log_likelihood --------------------------------------------------------------------------------


@points(1)
def test_no_count_where_one_is_expected(negative_binomial_log_likelihood):
    """A count of 0 where 1 is expected, with size 1, has probability ½; a count of 1 has ¼.

    预期为 1、size 为 1 时，计数为 0 的概率是 ½，计数为 1 的概率是 ¼。"""
    found = negative_binomial_log_likelihood([[0.0], [1.0]], [[1.0], [1.0]], [0.0])
    assert_allclose(np.exp(found), [0.5, 0.25])


@points(1)
def test_one_number_per_sample(negative_binomial_log_likelihood, draw):
    """Each sample gets one number, and none is above 0, since a probability is at most 1.

    每个样本一个数，并且都不大于 0，因为概率不超过 1。"""
    counts = draw.rng.poisson(4, size=(6, 5))
    found = np.asarray(negative_binomial_log_likelihood(counts, np.full((6, 5), 4.0), np.zeros(5)))
    assert found.shape == (6,)
    assert (found < 0).all()


# --- posterior_gradient ----------------------------------------------------------------------------------------------


@points(1)
def test_one_draw_by_hand(posterior_gradient):
    """For dz = 1, mean 2, log-variance 0 and noise 3 the gradients are −1 and 1.5.

    dz = 1、均值 2、对数方差 0、噪声 3 时，两个导数是 −1 和 1.5。"""
    d_mean, d_log_variance = posterior_gradient([[1.0]], [[2.0]], [[0.0]], [[3.0]])
    assert_allclose(d_mean, [[-1.0]])
    assert_allclose(d_log_variance, [[1.5]])


@points(1)
def test_without_news_the_prior_pulls(posterior_gradient, draw):
    """Where no data pull at the draw, the mean is pulled back to the prior's.

    如果没有数据牵动抽样，均值就被拉回先验。"""
    mean = draw.rng.normal(size=(5, 2))
    d_mean, _ = posterior_gradient(np.zeros((5, 2)), mean, np.zeros((5, 2)), draw.rng.normal(size=(5, 2)))
    assert (np.sign(d_mean) == -np.sign(mean)).all()


# --- product_gradient ------------------------------------------------------------------------------------------------


@points(1)
def test_one_expert_by_hand(product_gradient):
    """One expert at 4 with variance 1: of a gradient 1 in the product's mean it gets ½ in its mean, −1 in its
    log-variance.

    只有一位专家，意见为 4，方差为 1：乘积均值上的导数 1，传给它的均值 ½，传给它的对数方差 −1。"""
    found = product_gradient([[[4.0]]], [[[0.0]]], [[True]], [[2.0]], [[-np.log(2)]], [[1.0]], [[0.0]])
    assert_allclose(np.ravel(found), [0.5, -1.0])


@points(1)
def test_every_expert_gets_its_table(product_gradient, draw):
    """Both gradients are layers × samples × dimensions.

    两个导数都是“层 × 样本 × 维度”。"""
    means = draw.rng.normal(size=(3, 4, 2))
    log_variances, present = np.zeros((3, 4, 2)), np.ones((3, 4), dtype=bool)
    product = means.sum(axis=0) / 4, np.full((4, 2), -np.log(4))
    found = product_gradient(means, log_variances, present, *product, np.ones((4, 2)), np.ones((4, 2)))
    assert [np.shape(part) for part in found] == [(3, 4, 2), (3, 4, 2)]


# --- adam_step -------------------------------------------------------------------------------------------------------


@points(1)
def test_first_step_is_one_rate(adam_step):
    """The first step goes one learning rate downhill, whether the slope is 2 or −0.01.

    无论坡度是 2 还是 −0.01，第一步都朝下坡走一个学习率。"""
    found = adam_step([0.0, 0.0], [2.0, -0.01], [0.0, 0.0], [0.0, 0.0], 1)[0]
    assert_allclose(found, [-0.001, 0.001], rtol=1e-5)  # epsilon changes the seventh digit


@points(1)
def test_a_bowl_is_descended(adam_step):
    """Two hundred steps in a bowl end near its bottom.

    在一个碗里走两百步，会停在碗底附近。"""
    bottom = np.array([0.5, -0.3])
    at, mean, square = np.zeros(2), np.zeros(2), np.zeros(2)
    for step in range(1, 201):
        at, mean, square = adam_step(at, 2 * (at - bottom), mean, square, step, learning_rate=0.02)
    assert_allclose(at, bottom, atol=0.05)  # steps of 0.02 swing around the bottom


# --- imputed ---------------------------------------------------------------------------------------------------------


@points(1)
def test_a_row_for_every_hidden_patient(imputed, cohort):
    """`imputed` is a DataFrame whose rows are every third of the patients with metabolites, in their order.

    `imputed` 是 DataFrame，各行依次是有代谢物数据的患者中每三位取一位。"""
    assert isinstance(imputed, pd.DataFrame)
    owners = [patient for patient in cohort.patients if patient in cohort.layers["metabolite"].index]
    assert list(imputed.index) == owners[::3]


@points(1)
def test_no_gap_is_left(imputed, cohort):
    """Columns are metabolites, and every entry is a number.

    各列是代谢物，每一格都是数值。"""
    assert set(imputed.columns) <= set(cohort.layers["metabolite"].columns)
    assert np.isfinite(imputed.to_numpy(dtype=float)).all()
