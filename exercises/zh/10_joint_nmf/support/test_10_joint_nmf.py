"""Checks that a learner sees: unit 10, joint non-negative matrix factorisation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose, assert_array_equal

from course.checking import drawn, points


@drawn
def problem(rng, n_samples=8, widths=(6, 4), rank=2):
    """Two layers, and positive factors to start from."""
    names = ["rna", "protein", "lipid"][: len(widths)]
    layers = {name: rng.gamma(2.0, size=(n_samples, width)) for name, width in zip(names, widths, strict=True)}
    h = rng.uniform(0.5, 1.5, size=(n_samples, rank))
    w = {name: rng.uniform(0.5, 1.5, size=(x.shape[1], rank)) for name, x in layers.items()}
    return layers, h, w


# --- objective -------------------------------------------------------------------------------------------------------


@points(1)
def test_squares_of_all_layers_add_up(objective):
    """One patient with errors 0, 1 and 2 in two layers has the objective 5: squares, summed over layers, without ½.

    一位患者在两层中的误差为 0、1、2，目标函数为 5：平方之后对各层求和，不乘 ½。"""
    layers = {"rna": np.array([[1.0, 2.0]]), "protein": np.array([[3.0]])}
    w = {"rna": np.array([[1.0], [1.0]]), "protein": np.array([[1.0]])}
    assert_allclose(objective(layers, np.array([[1.0]]), w), 5.0)


@points(1)
def test_a_perfect_fit_costs_nothing(objective, draw):
    """Layers that are exact products have the objective 0.

    若各层恰好等于乘积，目标函数为 0。"""
    layers, h, w = draw.problem()
    exact = {name: h @ w[name].T for name in layers}
    assert_allclose(objective(exact, h, w), 0, atol=1e-20)


# --- scale_layers ----------------------------------------------------------------------------------------------------


@points(1)
def test_two_patients_of_length_five(scale_layers):
    """If both patients of a layer are (3, 4), of length 5, both become (0.6, 0.8).

    若一层的两位患者都是 (3, 4)，长度为 5，则都变为 (0.6, 0.8)。"""
    assert_allclose(scale_layers({"rna": np.array([[3.0, 4.0], [3.0, 4.0]])})["rna"], [[0.6, 0.8], [0.6, 0.8]])


@points(1)
def test_no_layer_is_louder(scale_layers, draw):
    """After scaling all layers have the same sum of squares: the number of patients.

    缩放之后，各层的平方和相同，都等于患者数。"""
    layers, _, _ = draw.problem()
    layers["rna"] = 1000 * layers["rna"]
    for scaled in scale_layers(layers).values():
        assert_allclose(np.sum(np.asarray(scaled) ** 2), 8)


# --- update_step -----------------------------------------------------------------------------------------------------


@points(1)
def test_a_true_factorisation_stands_still(update_step, draw):
    """Where the parts fit exactly, a step changes nothing.

    若部件已经完全吻合，更新一步不会改变任何东西。"""
    layers, h, w = draw.problem()
    exact = {name: h @ w[name].T for name in layers}
    new_h, new_w = update_step(exact, h, w)
    assert_allclose(new_h, h)
    for name in layers:
        assert_allclose(new_w[name], w[name])


@points(1)
def test_the_error_does_not_rise(update_step, draw):
    """Five steps from a random start: the squared error never rises and nothing falls below 0.

    从随机起点更新五步：平方误差从不上升，也没有任何数小于 0。"""
    layers, h, w = draw.problem(10, (8, 5), 3)
    before = sum(np.sum((x - h @ w[name].T) ** 2) for name, x in layers.items())
    for _ in range(5):
        h, w = update_step(layers, h, w)
        now = sum(np.sum((x - h @ w[name].T) ** 2) for name, x in layers.items())
        assert now <= before * (1 + 1e-12)
        assert h.min() >= 0
        before = now


# --- coordinate_step -------------------------------------------------------------------------------------------------


@points(1)
def test_one_column_at_once(coordinate_step):
    """With one part the step is the whole answer: target 6 and gram 2 give 3, and target −1 gives 0.

    只有一个部件时，一步就到位：target 为 6、gram 为 2 时得 3，target 为 −1 时得 0。"""
    found = coordinate_step(np.array([[0.0], [5.0]]), np.array([[6.0], [-1.0]]), np.array([[2.0]]))
    assert_allclose(found, [[3.0], [0.0]])


@points(1)
def test_the_fit_gets_better(coordinate_step, draw):
    """The squared error after the step is smaller than before, and nothing is below 0.

    这一步之后的平方误差比之前小，并且没有负数。"""
    layers, h, w = draw.problem(9, (7, 5), 3)
    x, g = layers["rna"], w["rna"]
    found = coordinate_step(h, x @ g, g.T @ g)
    assert np.min(found) >= 0
    assert np.sum((x - found @ g.T) ** 2) < np.sum((x - h @ g.T) ** 2)


# --- programmes ------------------------------------------------------------------------------------------------------


@points(1)
def test_twenty_features_of_each_of_three_layers(programmes):
    """`programmes` is a dict with 20 different features for each of methylation, protein and metabolite.

    `programmes` 是字典，对 methylation、protein、metabolite 各给出 20 个不同的特征。"""
    assert set(programmes) == {"methylation", "protein", "metabolite"}
    assert all(len(features) == len(set(features)) == 20 for features in programmes.values())


@points(1)
def test_features_say_in_which_direction(programmes, cohort):
    """Each name is a feature of its layer, followed by " up" or " down".

    每个名称都是该层的特征名，后接 " up" 或 " down"。"""
    for name, features in programmes.items():
        for feature in features:
            column, direction = str(feature).rsplit(" ", 1)
            assert column in cohort.layers[name].columns
            assert direction in ("up", "down")


# --- match_parts -----------------------------------------------------------------------------------------------------


@points(1)
def test_other_order_other_length(match_parts):
    """Parts in another order and three times as long are the same parts: cosine 1.

    部件换了次序、长度变成三倍，仍是同样的部件：余弦为 1。"""
    h = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    partner, cosine = match_parts(h, 3 * h[:, [2, 0, 1]])
    assert_array_equal(partner, [1, 2, 0])
    assert_allclose(cosine, 1.0)


@points(1)
def test_nobody_is_matched_twice(match_parts, draw):
    """Every part of the second factorisation is the partner of exactly one part of the first.

    第二次分解的每个部件，恰好是第一次分解中一个部件的伙伴。"""
    first, second = (draw.rng.gamma(1.0, size=(12, 5)) for _ in range(2))
    partner, _ = match_parts(first, second)
    assert sorted(np.asarray(partner).tolist()) == [0, 1, 2, 3, 4]


# --- consensus_matrix ------------------------------------------------------------------------------------------------


@points(1)
def test_two_runs_of_three_patients(consensus_matrix):
    """Together in both runs is 1, in one of two ½, in none 0; a patient is always together with itself.

    两次都在一起是 1，两次中有一次是 ½，从不在一起是 0；患者与自己总在一起。"""
    assert_allclose(consensus_matrix([[0, 0, 1], [1, 0, 0]]), [[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]])


@points(1)
def test_numbers_of_clusters_are_only_names(consensus_matrix):
    """Runs that make the same clusters under other numbers agree completely.

    两次运行得到同样的簇，只是编号不同，就是完全一致。"""
    found = consensus_matrix(np.array([[0, 0, 1, 2], [2, 2, 0, 1]]))
    assert_allclose(found, [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


# --- weighted_update_step --------------------------------------------------------------------------------------------


@points(2)
def test_a_patient_without_proteins(weighted_update_step):
    """The second patient has no protein, weight 0: its row of H is told by RNA alone.

    第二位患者没有蛋白质数据，权重为 0：H 中它的那一行只由 RNA 决定。"""
    layers = {"rna": np.array([[1.0], [2.0]]), "protein": np.array([[3.0], [np.nan]])}
    weights = {"rna": np.array([1.0, 1.0]), "protein": np.array([1.0, 0.0])}
    w = {"rna": np.array([[1.0]]), "protein": np.array([[3.0]])}
    h, new = weighted_update_step(layers, np.array([[1.0], [1.0]]), w, weights)
    assert_allclose(h, [[1.0], [2.0]])
    assert_allclose([new["rna"], new["protein"]], [[[1.0]], [[3.0]]])


@points(1)
def test_labels_do_no_harm(weighted_update_step, draw):
    """DataFrames with all weights 1 give what arrays give.

    输入 DataFrame、权重全为 1 时，结果与数组相同。"""
    layers, h, w = draw.problem()
    ones = {name: np.ones(8) for name in layers}
    tables = {name: pd.DataFrame(x) for name, x in layers.items()}
    assert_allclose(weighted_update_step(tables, h, w, ones)[0], weighted_update_step(layers, h, w, ones)[0])
