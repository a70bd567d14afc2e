"""Checks that a learner sees: unit 08, early and late integration. Copied into the exercise's folder by the build."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor

from course.checking import points

# ---------------------------------------------------------------- block_scale


@points(1)
def test_scales_of_four_features(block_scale):
    """The example of the task: means 1, 2, 2, 5; with √p the divisors are 2.828, 2.828, 5.657 and 2.

    题目中的例子：均值为 1、2、2、5；用 √p 时，除数为 2.828、2.828、5.657、2。"""
    centre, divisor = block_scale(np.array([[0.0, 1.0, 0.0, 5.0], [2.0, 3.0, 4.0, 5.0]]), "sqrt_p")
    assert_allclose(centre, [1, 2, 2, 5])
    assert_allclose(divisor, [2.828, 2.828, 5.657, 2], atol=1e-3)  # printed digits


@points(1)
def test_a_block_has_total_variance_one(block_scale, draw):
    """After "sqrt_p" the variances of a layer's features sum to 1, and every mean is 0.

    用 "sqrt_p" 缩放之后，一层各特征的方差之和为 1，均值都为 0。"""
    x = draw.rng.normal(3, 2, size=(20, 7))
    centre, divisor = block_scale(x, "sqrt_p")
    scaled = (x - centre) / divisor
    assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    assert_allclose(scaled.var(axis=0, ddof=1).sum(), 1)


# ---------------------------------------------------------------- average_predictions


@points(1)
def test_two_layers_and_a_gap(average_predictions):
    """The example of the task: with weights 1 and 3, the averages are 0.35 and, where protein is missing, 0.6.

    题目中的例子：权重为 1 和 3 时，平均值是 0.35；缺少蛋白质的样本是 0.6。"""
    told = {"rna": np.array([0.2, 0.6]), "protein": np.array([0.4, np.nan])}
    assert_allclose(average_predictions(told, {"rna": 1, "protein": 3}), [0.35, 0.6])


@points(1)
def test_without_weights_all_count_alike(average_predictions):
    """Without weights the layers count alike; a table of classes stays a table.

    不给权重时各层同等计算；各类别概率的表仍是一张表。"""
    told = [np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([[0.4, 0.6], [0.9, 0.1]])]
    assert_allclose(average_predictions(told), [[0.3, 0.7], [0.7, 0.3]])


# ---------------------------------------------------------------- out_of_fold


@points(1)
def test_nearest_neighbour_of_the_other_fold(out_of_fold):
    """The example of the task: nobody is its own neighbour, so the predictions are 1, 0, 11 and 10.

    题目中的例子：谁都不是自己的邻居，因此预测为 1、0、11、10。"""
    x, y = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0.0, 1.0, 10.0, 11.0])
    found = out_of_fold(KNeighborsRegressor(1), x, y, cv=[([0, 2], [1, 3]), ([1, 3], [0, 2])])
    assert_array_equal(found, [1, 0, 11, 10])


@points(1)
def test_classifiers_give_probabilities(out_of_fold, draw):
    """A classifier gives a row of probabilities for every sample, and each row sums to 1.

    分类器为每个样本给出一行概率，每行之和为 1。"""
    y = np.arange(30) % 2
    found = out_of_fold(LogisticRegression(), draw.rng.normal(size=(30, 3)) + y[:, None], y, cv=5)
    assert found.shape == (30, 2)
    assert_allclose(found.sum(axis=1), 1)


# ---------------------------------------------------------------- skill_weights


@points(1)
def test_who_knows_and_who_guesses(skill_weights):
    """The example of the task: a layer that is mostly right gets the whole weight, one that always says ½ gets none.

    题目中的例子：大多说对的层得到全部权重，总说 ½ 的层权重为 0。"""
    told = {"rna": np.array([[0.9, 0.1], [0.1, 0.9]]), "protein": np.full((2, 2), 0.5)}
    found = skill_weights(told, ["case", "control"])
    assert isinstance(found, pd.Series)
    assert_allclose(found[["rna", "protein"]], [1, 0], atol=1e-12)  # log ½ is not a binary fraction


@points(1)
def test_weights_of_values(skill_weights):
    """For values the skill is 1 minus squared error over variance: here 0.75 and 0.25, which are the weights.

    对于数值，技能等于 1 减去“均方误差除以方差”：这里是 0.75 与 0.25，也就是权重。"""
    y = np.array([-2.0, 2.0])
    told = {"rna": np.array([-1.0, 1.0]), "protein": np.array([-2 + np.sqrt(3), 2 - np.sqrt(3)])}
    assert_allclose(skill_weights(told, y)[["rna", "protein"]], [0.75, 0.25])


# ---------------------------------------------------------------- layer_weights


@points(1)
def test_four_layers_have_weights(layer_weights):
    """`layer_weights` is a Series with a weight for methylation, rna, protein and metabolite.

    `layer_weights` 是一个 Series，methylation、rna、protein、metabolite 各有一个权重。"""
    assert isinstance(layer_weights, pd.Series)
    assert set(layer_weights.index) == {"methylation", "rna", "protein", "metabolite"}


@points(1)
def test_weights_are_shares(layer_weights):
    """Weights are not negative and sum to 1.

    权重非负，总和为 1。"""
    assert layer_weights.min() >= 0
    assert_allclose(layer_weights.sum(), 1)


# ---------------------------------------------------------------- stacking_features


@points(1)
def test_two_columns_for_two_layers(stacking_features):
    """The example of the task: one column per layer, and ½ where protein is missing.

    题目中的例子：每层一列，缺少蛋白质处填 ½。"""
    told = {"rna": np.array([[0.9, 0.1], [0.3, 0.7]]), "protein": np.array([[0.6, 0.4], [np.nan, np.nan]])}
    assert_allclose(stacking_features(told, [0.5, 0.5]), [[0.1, 0.4], [0.7, 0.5]])


@points(1)
def test_layers_that_predict_values(stacking_features):
    """Predicted values have one column per layer, and the mean fills the gap.

    预测数值时每层一列，缺失处填均值。"""
    told = {"rna": np.array([1.0, np.nan]), "protein": np.array([4.0, 5.0])}
    assert_allclose(stacking_features(told, 3.0), [[1, 4], [3, 5]])


# ---------------------------------------------------------------- nested_predictions


@points(1)
def test_six_samples_in_three_folds(nested_predictions):
    """The example of the task: the first feature tells the classes apart, and every sample is predicted right.

    题目中的例子：第一个特征能区分两类，每个样本都预测正确。"""
    x = np.array([[0.0, 3.0], [1.0, 5.0], [9.0, 4.0], [8.0, 3.0], [2.0, np.nan], [7.0, 5.0]])
    y = np.array([0, 0, 1, 1, 0, 1])
    folds = [([0, 1, 2, 3], [4, 5]), ([1, 2, 4, 5], [0, 3]), ([0, 3, 4, 5], [1, 2])]
    found = nested_predictions(LogisticRegression(), x, y, n_kept=1, cv=folds)
    assert_array_equal(np.asarray(found) > 0.5, y == 1)


@points(1)
def test_a_probability_for_every_sample(nested_predictions, draw):
    """One number between 0 and 1 for each sample, also where values are missing.

    每个样本一个 0 到 1 之间的数，有缺失值时也一样。"""
    x, y = draw.rng.normal(size=(24, 6)), np.arange(24) % 2
    x[draw.rng.random(x.shape) < 0.1] = np.nan
    found = np.asarray(nested_predictions(LogisticRegression(), x, y, n_kept=3, cv=4))
    assert found.shape == (24,)
    assert ((found > 0) & (found < 1)).all()


# ---------------------------------------------------------------- corrected_interval


@points(1)
def test_four_scores(corrected_interval):
    """The example of the task: 0.7, 0.8, 0.75 and 0.85 give 0.775 from 0.618 to 0.932.

    题目中的例子：0.7、0.8、0.75、0.85 的结果是 0.775，区间从 0.618 到 0.932。"""
    found = corrected_interval([0.7, 0.8, 0.75, 0.85], n_train=75, n_test=25)
    assert_allclose(found[["mean", "low", "high"]], [0.775, 0.618, 0.932], atol=6e-4)  # printed digits


@points(1)
def test_one_score_is_refused(corrected_interval):
    """One score says nothing about how scores vary: a `ValueError` says so.

    只有一个得分，无从知道得分如何变动：应抛出 `ValueError`。"""
    with pytest.raises(ValueError):  # noqa: PT011 (the words are the learner's)
        corrected_interval([0.7], n_train=75, n_test=25)
