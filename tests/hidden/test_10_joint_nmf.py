"""Hidden tests: unit 10, joint non-negative matrix factorisation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import NMF

from course.checking import drawn, points
from reference_impl.integration import jnmf

# Another order of the same sums changes the last digits only; a wrong rule changes the first ones.
RTOL = 1e-7
DIRECTION = {"methylation": "up", "protein": "down", "metabolite": "up"}


@drawn
def problem(rng, n_samples=12, widths=(9, 6, 4), rank=3):
    """Layers of different loudness, made of parts and noise, and positive factors to start from."""
    names = ["rna", "protein", "metabolite", "lipid"][: len(widths)]
    shared = rng.gamma(1.0, size=(n_samples, rank))
    layers = {}
    for name, width in zip(names, widths, strict=True):
        clean = shared @ rng.gamma(0.7, size=(rank, width))
        layers[name] = rng.uniform(0.3, 5) * (clean + rng.random((n_samples, width)))
    h = rng.uniform(0.2, 1.5, size=(n_samples, rank))
    w = {name: rng.uniform(0.2, 1.5, size=(x.shape[1], rank)) for name, x in layers.items()}
    return layers, h, w


def patients(rng, n_samples):
    return [f"P{number:03d}" for number in rng.permutation(np.arange(100, 100 + n_samples))]


def assert_same_factors(found, expected, rtol=RTOL):
    assert_allclose(found[0], expected[0], rtol=rtol, atol=1e-12)
    assert list(found[1]) == list(expected[1])
    for name, part in expected[1].items():
        assert_allclose(found[1][name], part, rtol=rtol, atol=1e-12)


# --- objective -------------------------------------------------------------------------------------------------------


@points(2)
def test_error_of_three_layers(objective, draw):
    """The objective is the sum of squared differences between layers and products, over all layers, not halved.

    目标函数是各层与乘积之差的平方和，对所有层求和，不减半。"""
    layers, h, w = draw.problem()
    expected = sum(np.linalg.norm(x - h @ w[name].T) ** 2 for name, x in layers.items())
    assert_allclose(objective(layers, h, w), expected, rtol=RTOL)


@points(2)
def test_it_is_the_error_of_the_layers_side_by_side(objective, draw):
    """Layers in a list, one layer cut in two, or all side by side: the objective is the same.

    各层放在列表里、把一层切成两层、或全部并排：目标函数相同。"""
    layers, h, w = draw.problem()
    x, part = np.hstack(list(layers.values())), np.vstack(list(w.values()))
    expected = jnmf.objective([x], h, [part])
    cut = int(draw.rng.integers(1, x.shape[1]))
    assert_allclose(objective(list(layers.values()), h, list(w.values())), expected, rtol=RTOL)
    assert_allclose(objective([x[:, :cut], x[:, cut:]], h, [part[:cut], part[cut:]]), expected, rtol=RTOL)


@points(1)
def test_factors_that_do_not_fit_are_refused(objective, draw):
    """A negative value, a layer without its loadings, and factors of another size are refused with a `ValueError`.

    有负值、某层没有载荷、因子大小不符：抛出 `ValueError`。"""
    layers, h, w = draw.problem()
    negative = {**layers, "rna": layers["rna"] - 100}
    for bad in [(negative, h, w), (layers, h, {"rna": w["rna"]}), (layers, h[1:], w), (layers, h[:, 1:], w)]:
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            objective(*bad)


# --- scale_layers ----------------------------------------------------------------------------------------------------


@points(2)
def test_one_divisor_for_a_layer(scale_layers, draw):
    """Each layer is divided by one number, so that a patient's squares sum to 1 on average.

    每一层除以一个数，使患者的平方和平均为 1。"""
    layers, _, _ = draw.problem()
    found = scale_layers(layers)
    assert list(found) == list(layers)
    for name, x in layers.items():
        assert_allclose(found[name], x / np.sqrt(np.mean(np.sum(x**2, axis=1))), rtol=RTOL)


@points(2)
def test_patients_without_the_layer_do_not_count(scale_layers, draw):
    """Patients who lack the layer (rows of NaN) stay NaN and are not counted in the average.

    缺少该层的患者（整行为 NaN）保持为 NaN，也不计入平均。"""
    layers, _, _ = draw.problem(15)
    absent = draw.rng.permutation(15)[:4]
    gapped = {name: x.copy() for name, x in layers.items()}
    gapped["protein"][absent] = np.nan
    gapped["rna"][3, 1] = np.nan  # a gap within a row does not make the patient absent
    found = scale_layers(gapped)
    rest = np.delete(layers["protein"], absent, axis=0)
    assert_allclose(np.delete(found["protein"], absent, axis=0), jnmf.scale_layers([rest])["layer 0"], rtol=RTOL)
    assert np.isnan(found["protein"][absent]).all()
    assert_allclose(found["rna"], jnmf.scale_layers(gapped)["rna"], rtol=RTOL)


@points(2)
def test_scaling_keeps_labels_and_input(scale_layers, draw):
    """DataFrames keep their labels, what came in is not changed; negative values and layers of zeros are refused.

    DataFrame 保留标签，传入的数据不变；有负值或全为零的层以 `ValueError` 拒绝。"""
    layers, _, _ = draw.problem()
    who = patients(draw.rng, 12)
    tables = {name: pd.DataFrame(x, index=who).add_prefix(name) for name, x in layers.items()}
    before = {name: table.copy() for name, table in tables.items()}
    found = scale_layers(tables)
    for name, table in jnmf.scale_layers(before).items():
        pd.testing.assert_frame_equal(found[name], table)
        pd.testing.assert_frame_equal(tables[name], before[name])
    for bad in (-layers["rna"], 0 * layers["rna"]):
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            scale_layers({"rna": bad, "protein": layers["protein"]})


@points(1)
def test_a_list_of_layers(scale_layers, draw):
    """A list will do: the layers are then called "layer 0", "layer 1" and so on.

    也可以传入列表：各层依次名为 "layer 0"、"layer 1" 等。"""
    layers = list(draw.problem()[0].values())
    found, expected = scale_layers(layers), jnmf.scale_layers(layers)
    assert list(found) == list(expected)
    for name, x in expected.items():
        assert_allclose(found[name], x, rtol=RTOL)


# --- update_step -----------------------------------------------------------------------------------------------------


@points(3)
def test_one_step_by_its_formula(update_step, draw):
    """H is multiplied by the summed Σ X W over H Σ WᵀW, then each layer's loadings by XᵀH over W HᵀH with the new H.

    H 乘以 Σ X W 与 H Σ WᵀW 之比；然后用新的 H，把各层的载荷乘以 XᵀH 与 W HᵀH 之比。"""
    layers, h, w = draw.problem()
    assert_same_factors(update_step(layers, h, w), jnmf.update_step(layers, h, w))


@points(3)
def test_the_path_of_scikit_learn(update_step, draw):
    """Several steps follow the multiplicative updates of scikit-learn on the layers side by side.

    连续多步与 scikit-learn 对并排的各层做乘法更新的轨迹一致。"""
    layers, h, w = draw.problem(10, (7, 5), 2)
    steps = int(draw.rng.integers(3, 8))
    peer = NMF(2, init="custom", solver="mu", max_iter=steps, tol=0)
    stacked = np.vstack(list(w.values())).T.copy()
    expected = peer.fit_transform(np.hstack(list(layers.values())), W=h.copy(), H=stacked)
    found_h, found_w = h, w
    for _ in range(steps):
        found_h, found_w = update_step(layers, found_h, found_w)
    assert_allclose(found_h, expected, rtol=1e-6)
    assert_allclose(np.vstack(list(found_w.values())).T, peer.components_, rtol=1e-6)


@points(2)
def test_zero_is_final_and_harmless(update_step, draw):
    """A zero stays zero; a part that is zero everywhere produces no NaN, and the other parts are not disturbed.

    零永远是零；处处为零的部件不会产生 NaN，其他部件不受影响。"""
    layers, h, w = draw.problem()
    h[:, 1] = 0
    h[3, 0] = 0
    for part in w.values():
        part[:, 1] = 0
        part[2, 2] = 0
    found = update_step(layers, h, w)
    expected = jnmf.update_step(layers, h[:, [0, 2]], {name: part[:, [0, 2]] for name, part in w.items()})
    assert (found[0][:, 1] == 0).all()
    assert all((part[:, 1] == 0).all() for part in found[1].values())
    assert_same_factors((found[0][:, [0, 2]], {name: part[:, [0, 2]] for name, part in found[1].items()}), expected)


@points(1)
def test_factors_handed_in_stay(update_step, draw):
    """New factors are returned, those handed in are not changed; layers with negative values are refused.

    返回新的因子，传入的因子不变；有负值的层以 `ValueError` 拒绝。"""
    layers, h, w = draw.problem()
    before = h.copy(), {name: part.copy() for name, part in w.items()}
    update_step(layers, h, w)
    assert_array_equal(h, before[0])
    for name, part in before[1].items():
        assert_array_equal(w[name], part)
    with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
        update_step({**layers, "protein": -layers["protein"]}, h, w)


@points(1)
def test_a_list_gives_a_list(update_step, draw):
    """Layers and loadings in lists give loadings in a list, in the same order.

    各层与载荷以列表传入时，返回的载荷也是列表，次序相同。"""
    layers, h, w = draw.problem()
    found = update_step(list(layers.values()), h, list(w.values()))
    expected = jnmf.update_step(layers, h, w)
    assert isinstance(found[1], list)
    for part, other in zip(found[1], expected[1].values(), strict=True):
        assert_allclose(part, other, rtol=RTOL)


# --- coordinate_step -------------------------------------------------------------------------------------------------


@drawn
def least_squares(rng, n=9, p=7, rank=4):
    """A matrix, one factor that is given and one that is looked for, some of whose best entries are zero."""
    g = rng.gamma(0.7, size=(p, rank)) + 0.1
    x = rng.gamma(0.7, size=(n, rank)) * (rng.random((n, rank)) < 0.6) @ g.T + 0.3 * rng.random((n, p))
    return x, rng.uniform(0.1, 1.0, size=(n, rank)), g


@points(3)
def test_columns_one_after_another(coordinate_step, draw):
    """Each column is set to its best value given the others, the new values of earlier columns among them.

    每一列都取在其他列给定时的最优值，其中排在前面的列用的已是新值。"""
    x, factor, g = draw.least_squares()
    for given in (g, 0.01 * g):
        found = coordinate_step(factor, x @ given, given.T @ given)
        assert_allclose(found, jnmf.coordinate_step(factor, x @ given, given.T @ given), rtol=RTOL, atol=1e-10)


@points(2)
def test_a_zero_can_return(coordinate_step, draw):
    """Unlike with multiplicative updates, a zero can become positive, and what would be negative becomes exactly zero.

    与乘法更新不同，零可以变回正数；本应为负的则恰好变为零。"""
    x, factor, g = draw.least_squares(12)
    factor = np.zeros(factor.shape, dtype=int)
    found = coordinate_step(factor, x @ g, g.T @ g)
    expected = jnmf.coordinate_step(factor, x @ g, g.T @ g)
    assert_array_equal(np.asarray(found) > 0, expected > 0)
    assert_allclose(found, expected, rtol=RTOL, atol=1e-10)
    assert np.min(found) >= 0


@points(2)
def test_a_part_without_partner_stays(coordinate_step, draw):
    """A column whose partner is zero everywhere cannot be judged and stays as it is; nothing becomes NaN.

    若某列的伙伴处处为零，就无从判断，保持原样；不会出现 NaN。"""
    x, factor, g = draw.least_squares()
    g[:, 2] = 0
    found = coordinate_step(factor, x @ g, g.T @ g)
    assert_allclose(np.asarray(found)[:, 2], factor[:, 2])
    assert_allclose(found, jnmf.coordinate_step(factor, x @ g, g.T @ g), rtol=RTOL, atol=1e-10)


@points(1)
def test_coordinates_leave_the_input(coordinate_step, draw):
    """The factor handed in is not changed, and shapes that do not fit are refused with a `ValueError`.

    传入的因子不变；形状不符时抛出 `ValueError`。"""
    x, factor, g = draw.least_squares()
    before = factor.copy()
    coordinate_step(factor, x @ g, g.T @ g)
    assert_array_equal(factor, before)
    for bad in [(factor, (x @ g)[:1], g.T @ g), (factor, x @ g, np.ones((4, 5)))]:
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            coordinate_step(*bad)


# --- programmes ------------------------------------------------------------------------------------------------------


@points(3)
def test_features_of_the_programmes(programmes, truth):
    """In each layer most of the features are those on which the programme of that layer really acts.

    在每一层中，多数特征确实是该层的程序所作用的。"""
    planted = truth["causal"]["programme_features"]
    for name in DIRECTION:
        right = [str(feature).rsplit(" ", 1)[0] in set(planted[name]) for feature in programmes[name]]
        # On simulated cohorts all 20 are right, or all but one.
        assert np.mean(right) >= 0.8


@points(3)
def test_directions_of_the_programmes(programmes):
    """Each programme moves its features one way: more methylation, less protein, more metabolite.

    每个程序都使它的特征朝一个方向变化：甲基化升高、蛋白质降低、代谢物升高。"""
    for name, direction in DIRECTION.items():
        assert np.mean([str(feature).endswith(f" {direction}") for feature in programmes[name]]) >= 0.9


@points(1)
def test_number_of_features_found(programmes, truth):
    """In each layer at least 16 different features of the programme are found, whatever their direction.

    在每一层中至少找到程序的 16 个不同特征，不论方向。"""
    planted = truth["causal"]["programme_features"]
    for name in DIRECTION:
        found = {str(feature).rsplit(" ", 1)[0] for feature in programmes[name]}
        assert len(found & set(planted[name])) >= 16


# --- match_parts -----------------------------------------------------------------------------------------------------


@points(2)
def test_parts_are_found_again(match_parts, draw):
    """Parts that come back in another order, longer or shorter and with a little noise, are found again.

    部件换了次序、变长或变短并带一点噪声，仍能一一找回。"""
    first = draw.rng.gamma(0.5, size=(40, 5))
    order = draw.rng.permutation(5)
    second = draw.rng.uniform(0.0001, 0.01, 5) * (first[:, order] + 0.001 * draw.rng.random((40, 5)))
    who = patients(draw.rng, 40)
    one, other = pd.DataFrame(first, index=who), pd.DataFrame(second, index=who)
    for a, b in [(first, second), (one, second), (first, other), (one, other)]:
        partner, cosine = match_parts(a, b)
        assert_array_equal(order[np.asarray(partner)], np.arange(5))
        assert_allclose(cosine, jnmf.match_parts(first, second)[1], rtol=RTOL)


@points(3)
def test_the_best_matching_as_a_whole(match_parts, draw):
    """Partners are chosen so that the sum of all cosines is largest; first come, first served does not reach it.

    伙伴的选取使所有余弦之和最大；“先到先得”达不到。"""
    pairs = [draw.rng.gamma(1.0, size=(2, 6, 5)) for _ in range(6)]
    found = [match_parts(first, second) for first, second in pairs]  # all first: one pair may say little
    for (first, second), (partner, cosine) in zip(pairs, found, strict=True):
        expected = jnmf.match_parts(first, second)
        assert_allclose(np.sum(cosine), np.sum(expected[1]), rtol=RTOL)
        assert_array_equal(partner, expected[0])


@points(2)
def test_an_empty_part(match_parts, draw):
    """A part that nobody has is like no other: cosine 0, not NaN, and the rest is matched as before.

    谁都没有的部件与谁也不像：余弦为 0 而不是 NaN，其余照常匹配。"""
    first = draw.rng.gamma(0.5, size=(30, 3))
    second = first[:, [1, 2, 0]].copy()
    second[:, 1] = 0
    partner, cosine = match_parts(first, second)
    assert_array_equal(partner, [2, 0, 1])
    assert_allclose(cosine, [1, 1, 0], atol=1e-9)


@points(1)
def test_other_patients_are_refused(match_parts, draw):
    """Another number of patients or parts, or another order of labelled patients, is refused with a `ValueError`.

    患者数或部件数不同、带标签的患者次序不同：抛出 `ValueError`。"""
    first = draw.rng.gamma(1.0, size=(9, 3))
    table = pd.DataFrame(first, index=patients(draw.rng, 9))
    for bad in [(first, first[1:]), (first, first[:, 1:]), (table, table.iloc[::-1])]:
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            match_parts(*bad)


# --- consensus_matrix ------------------------------------------------------------------------------------------------


@points(2)
def test_share_of_runs_together(consensus_matrix, draw):
    """The entry of two patients is the share of runs in which they are in one cluster.

    两位患者对应的元素，是他们处于同一簇的运行所占的比例。"""
    runs = draw.rng.integers(0, 4, size=(7, 15))
    assert_allclose(consensus_matrix(runs), jnmf.consensus_matrix(runs), rtol=RTOL)


@points(2)
def test_names_of_clusters_are_free(consensus_matrix, draw):
    """Renaming the clusters within a run, even to words, changes nothing.

    在一次运行中给簇改名，哪怕换成文字，结果也不变。"""
    runs = draw.rng.integers(0, 3, size=(6, 11))
    words = np.array(["a", "b", "c"])
    renamed = np.array([words[draw.rng.permutation(3)][run] for run in runs])
    assert_allclose(consensus_matrix(renamed), jnmf.consensus_matrix(runs), rtol=RTOL)


@points(1)
def test_not_a_table_of_runs(consensus_matrix, draw):
    """A single row of labels, and no run at all, are refused with a `ValueError`.

    只有一行标签，或一次运行也没有：抛出 `ValueError`。"""
    for bad in (draw.rng.integers(0, 3, size=9), np.zeros((0, 4))):
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            consensus_matrix(bad)


# --- weighted_update_step --------------------------------------------------------------------------------------------


@drawn
def gapped(rng, n_samples=14):
    """Layers some patients lack, weights 0 there and anything from 0.3 to 3 elsewhere, and factors to start from."""
    layers, h, w = problem(rng, n_samples)
    weights = {name: rng.uniform(0.3, 3.0, size=n_samples) for name in layers}
    for lacks, name in zip(rng.permutation(n_samples)[:6].reshape(2, 3), ["protein", "metabolite"], strict=True):
        weights[name][lacks] = 0.0
    broken = {name: np.where(weights[name][:, None] > 0, x, np.nan) for name, x in layers.items()}
    return broken, h, w, weights


@points(3)
def test_weighted_step_by_its_formula(weighted_update_step, draw):
    """Every patient's row of a layer counts by its weight in the factor and in the loadings; missing rows do not count.

    在因子与载荷中，每位患者在每层的那一行都按权重计入；缺失的行不计入。"""
    layers, h, w, weights = draw.gapped()
    assert_same_factors(weighted_update_step(layers, h, w, weights), jnmf.weighted_update_step(layers, h, w, weights))


@points(2)
def test_who_lacks_a_layer_is_told_by_the_others(weighted_update_step, draw):
    """With weights 0 and 1 the loadings of a layer are those of its own patients, and whoever lacks it is told by the
    other layers.

    权重只有 0 和 1 时，某层的载荷只由拥有该层的患者决定，缺少该层的患者由其他层决定。"""
    layers, h, w, weights = draw.gapped()
    binary = {name: (weight > 0).astype(float) for name, weight in weights.items()}
    found_h, found_w = weighted_update_step(layers, h, w, binary)
    lacks = np.flatnonzero(binary["protein"] == 0)
    others = [name for name in layers if name != "protein"]
    rest = jnmf.update_step({n: layers[n][lacks] for n in others}, h[lacks], {n: w[n] for n in others})
    assert_allclose(found_h[lacks], rest[0], rtol=RTOL)
    has = binary["protein"] > 0
    mine = found_h[has]
    expected = w["protein"] * (layers["protein"][has].T @ mine) / (w["protein"] @ (mine.T @ mine))
    assert_allclose(found_w["protein"], expected, rtol=RTOL)


@points(1)
def test_all_weights_one(weighted_update_step, draw):
    """With all weights 1 the step is that without weights, zeros among the factors or not.

    权重全为 1 时，与不加权的一步相同，因子中有没有零都一样。"""
    layers, h, w = draw.problem()
    h[:, 1] = 0
    for part in w.values():
        part[:, 1] = 0
    ones = {name: np.ones(12) for name in layers}
    assert_same_factors(weighted_update_step(layers, h, w, ones), jnmf.update_step(layers, h, w))


@points(2)
def test_the_weighted_error_never_rises(weighted_update_step, draw):
    """Step by step the weighted squared error of what was measured falls or stays.

    一步一步地，已测数据的加权平方误差只降不升。"""
    layers, h, w, weights = draw.gapped()
    history = []
    for _ in range(8):
        history.append(sum(np.nansum(weights[name][:, None] * (x - h @ w[name].T) ** 2) for name, x in layers.items()))
        h, w = weighted_update_step(layers, h, w, weights)
        assert np.isfinite(h).all()
    assert (np.diff(history) <= 1e-9 * history[0]).all()


@points(1)
def test_weights_that_mean_nothing_are_refused(weighted_update_step, draw):
    """Negative weights, too few of them, and a missing value that counts are refused; what is handed in stays.

    权重为负、个数不足、缺失值却计入：抛出 `ValueError`；传入的数据不变。"""
    layers, h, w, weights = draw.gapped()
    before = {name: x.copy() for name, x in layers.items()}
    weighted_update_step(layers, h, w, weights)
    for name, x in before.items():
        assert_array_equal(layers[name], x)
    ones = {name: np.ones(14) for name in layers}
    for bad in (ones, {**weights, "rna": -weights["rna"]}, {**weights, "rna": weights["rna"][:5]}):
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            weighted_update_step(layers, h, w, bad)
