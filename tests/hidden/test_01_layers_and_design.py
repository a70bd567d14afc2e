"""Hidden tests of unit 01: inputs come from a seed that only the instructor's key knows."""

import itertools

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from course.checking import drawn, points
from reference_impl import design as reference

# Two programs for the noncentral t agree to 1e-11; the rest is margin.
POWER = 1e-7
# Sums over a handful of anchors, in any order of adding.
ROUNDING = 1e-9


# ---------------------------------------------------------------- matched_samples


@drawn
def study(rng, n=30, names=("rna", "protein", "metabolite")):
    """Layers of one study: each lacks some patients, each in an order of its own; values without gaps."""
    everyone = [f"P{i:03d}" for i in range(n)]
    layers = {}
    for name in names:
        present = rng.permutation(everyone)[: rng.integers(int(0.6 * n), int(0.8 * n))]
        values = rng.normal(size=(len(present), 3))
        layers[name] = pd.DataFrame(values, index=present, columns=[f"{name}{j}" for j in range(3)])
    return layers


@points(2)
def test_measured_in_every_layer(matched_samples, draw):
    """The samples listed are those that every layer has, be there two layers or five.

    列出的样本恰好是每一层都有的样本，无论是两层还是五层。"""
    for names in (("rna", "protein"), ("rna", "protein", "metabolite"), ("dna", "cpg", "rna", "protein", "ion")):
        layers = draw.study(40, names)
        assert set(matched_samples(layers)) == set(reference.matched_samples(layers))


@points(1)
def test_order_of_the_first_layer(matched_samples, draw):
    """They are listed in the order of the first layer, each once.

    按第一层的次序列出，每个样本一次。"""
    layers = draw.study()
    assert list(matched_samples(layers)) == list(reference.matched_samples(layers))


@points(2)
def test_an_empty_row_is_not_a_measurement(matched_samples, draw):
    """A row of nothing but NaN does not count as measured, in whichever layer it stands.

    整行都是 NaN，就不算测过，无论它在哪一层。"""
    layers = draw.study()
    for name in layers:
        shared = list(reference.matched_samples(layers))
        layers[name].loc[shared[int(draw.rng.integers(len(shared)))]] = np.nan
        assert set(matched_samples(layers)) == set(reference.matched_samples(layers))


@points(1)
def test_a_gap_is_not_an_empty_row(matched_samples, draw):
    """A sample that lacks some values of a layer, but not all, was measured there.

    某一层里只缺部分数值、并非全缺的样本，仍算在这一层测过。"""
    layers = draw.study()
    expected = list(matched_samples(layers))
    for table in layers.values():
        table.iloc[:, int(draw.rng.integers(3))] = np.nan
    assert list(matched_samples(layers)) == expected == list(reference.matched_samples(layers))


@points(1)
def test_one_label_twice_is_refused(matched_samples, draw):
    """A layer in which one patient stands twice is refused with a ValueError, and so is a single layer.

    一层中同一患者出现两次，应以 ValueError 拒绝；只有一层时也应拒绝。"""
    layers = draw.study()
    alone = {"rna": layers["rna"]}
    with pytest.raises(ValueError, match=r"."):
        matched_samples(alone)
    table = layers["protein"]
    layers["protein"] = pd.concat([table, table.iloc[[int(draw.rng.integers(len(table)))]]])
    with pytest.raises(ValueError, match=r"."):
        matched_samples(layers)


# ---------------------------------------------------------------- lost_share


def lost(cohort):
    """True for each patient who is not in every layer."""
    everywhere = reference.matched_samples(cohort.layers)
    return pd.Series(~cohort.clinical.index.isin(everywhere), index=cohort.clinical.index)


@points(2)
def test_share_of_each_hospital(lost_share, cohort):
    """Of a hospital's patients, the share that is not in every layer.

    在每家医院的患者中，没有进入所有层的那部分所占的份额。"""
    expected = lost(cohort).groupby(cohort.clinical["site"]).mean()
    assert dict(lost_share) == pytest.approx(expected.to_dict())


@points(1)
def test_hospitals_add_up_to_the_cohort(lost_share, cohort):
    """Weighted by the numbers of patients, the shares give the share of the whole cohort.

    按患者人数加权，各医院的份额合起来就是整个队列的份额。"""
    patients = cohort.clinical["site"].value_counts()
    total = sum(share * patients[site] for site, share in dict(lost_share).items())
    assert total == pytest.approx(lost(cohort).sum())


@points(1)
def test_hospital_that_loses_most(lost_share, cohort):
    """The hospital that loses the largest share of its patients is the right one.

    损失份额最大的医院是对的。"""
    expected = lost(cohort).groupby(cohort.clinical["site"]).mean()
    found = dict(lost_share)
    assert max(found, key=found.get) == expected.idxmax()


# ---------------------------------------------------------------- paired_difference_variance


@points(2)
def test_any_correlation(paired_difference_variance, draw):
    """The variance is right for positive and negative correlations and unequal standard deviations.

    无论相关为正为负、标准差是否相等，方差都正确。"""
    some, rho = draw.rng.uniform(0.2, 5), draw.rng.uniform(0.1, 0.9)
    assert_allclose(paired_difference_variance(0.0, some, rho), some**2, rtol=1e-9)
    assert_allclose(paired_difference_variance(some, 0.0, -rho), some**2, rtol=1e-9)
    for rho in (1.0, *draw.rng.uniform(-0.9, 0.9, size=10), -1.0):
        small, large = draw.rng.uniform(0.1, 0.9), draw.rng.uniform(1.1, 5)
        sd_x, sd_y = draw.rng.permutation([small, large])
        expected = reference.paired_difference_variance(sd_x, sd_y, rho)
        assert_allclose(paired_difference_variance(sd_x, sd_y, rho), expected, rtol=1e-9, atol=1e-9)


@points(1)
def test_differences_of_real_numbers(paired_difference_variance, draw):
    """It is the variance that the differences of paired numbers have, whatever their correlation.

    它就是成对数值之差的方差，无论两者相关与否。"""
    for weight in (1.5, 0.0, -1.5):
        x, noise = draw.rng.normal(size=(2, 40)) * draw.rng.uniform(0.5, 3)
        y = weight * x + noise
        variance = paired_difference_variance(x.std(ddof=1), y.std(ddof=1), np.corrcoef(x, y)[0, 1])
        assert_allclose(variance, (x - y).var(ddof=1), rtol=1e-9)


@points(1)
def test_impossible_numbers_are_refused(paired_difference_variance, draw):
    """A correlation outside −1 … 1 and a negative standard deviation are refused with a ValueError.

    相关系数超出 −1 至 1，或标准差为负，都应以 ValueError 拒绝。"""
    beyond = 1 + draw.rng.uniform(0.01, 1)
    for arguments in ((1.0, 2.0, beyond), (1.0, 2.0, -beyond), (-beyond, 1.0, 0.5), (1.0, -beyond, 0.5)):
        with pytest.raises(ValueError, match=r"."):
            paired_difference_variance(*arguments)


# ---------------------------------------------------------------- paired_power


@drawn
def planned(rng):
    """Effect, standard deviations, correlation and size of a study whose power is neither near alpha nor near 1."""
    sd_x, sd_y, rho, n = rng.uniform(0.5, 3), rng.uniform(0.5, 3), rng.uniform(-0.6, 0.8), int(rng.integers(4, 30))
    error = np.sqrt(reference.paired_difference_variance(sd_x, sd_y, rho) / n)
    return rng.uniform(1.2, 2.8) * error, sd_x, sd_y, rho, n


@points(2)
def test_power_of_pairs(paired_power, draw):
    """The power is that of the noncentral t distribution with n − 1 degrees of freedom.

    功效由自由度为 n − 1 的非中心 t 分布给出。"""
    for _ in range(8):
        arguments = draw.planned()
        assert_allclose(paired_power(*arguments), reference.paired_power(*arguments), rtol=POWER)


@points(1)
def test_either_sign_is_found(paired_power, draw):
    """The test is two-sided: an effect and its opposite are found equally often.

    检验是双侧的：效应与其相反数被发现的机会相同。"""
    effect, *rest = draw.planned()
    assert_allclose(paired_power(-effect, *rest), reference.paired_power(effect, *rest), rtol=POWER)


@points(1)
def test_level_is_obeyed(paired_power, draw):
    """A stricter level gives less power, and without an effect the power is exactly the level.

    水平越严，功效越低；没有效应时，功效恰好等于检验水平。"""
    effect, *rest = draw.planned()
    for alpha in (0.001, 0.01, 0.2):
        assert_allclose(
            paired_power(effect, *rest, alpha=alpha), reference.paired_power(effect, *rest, alpha=alpha), rtol=POWER
        )
        assert_allclose(paired_power(0.0, *rest, alpha=alpha), alpha, rtol=POWER)


@points(1)
def test_two_patients(paired_power, draw):
    """With two patients there is one degree of freedom, and even a large effect is often missed.

    只有两名患者时，自由度为 1，即使很大的效应也常被漏掉。"""
    effect, sd_x, sd_y, rho, _ = draw.planned()
    arguments = (5 * effect, sd_x, sd_y, rho, 2)
    assert_allclose(paired_power(*arguments), reference.paired_power(*arguments), rtol=POWER)


@points(1)
def test_untestable_studies_are_refused(paired_power, draw):
    """One patient, a level outside 0 … 1, and differences that do not vary at all are refused with a ValueError.

    只有一名患者、水平不在 0 与 1 之间、差值毫无变异：都应以 ValueError 拒绝。"""
    effect, sd_x, sd_y, rho, n = draw.planned()
    with pytest.raises(ValueError, match=r"."):
        paired_power(effect, sd_x, sd_y, rho, 1)
    with pytest.raises(ValueError, match=r"."):
        paired_power(effect, sd_x, sd_y, rho, n, alpha=1.0)
    with pytest.raises(ValueError, match=r"."):
        paired_power(effect, 2.0, 2.0, 1.0, n)


# ---------------------------------------------------------------- unpaired_power


@drawn
def planned_groups(rng, ratio):
    """Effect, two standard deviations of this ratio, and the size of each group."""
    sd_x, n = rng.uniform(0.5, 3), int(rng.integers(4, 12))
    sd_y = sd_x * ratio
    return rng.uniform(1.4, 2.8) * np.sqrt((sd_x**2 + sd_y**2) / n), sd_x, sd_y, n


@points(2)
def test_equal_spread(unpaired_power, draw):
    """With equal standard deviations the power is that of the two-sample t test with n patients in each group.

    两组标准差相等时，功效等于每组 n 名患者的两样本 t 检验。"""
    for _ in range(5):
        arguments = draw.planned_groups(1.0)
        assert_allclose(unpaired_power(*arguments), reference.unpaired_power(*arguments), rtol=POWER)


@points(2)
def test_unequal_spread(unpaired_power, draw):
    """With unequal standard deviations both variances count, and the degrees of freedom are Welch's.

    两组标准差不等时，两个方差都要计入，自由度取 Welch 的公式。"""
    for ratio in (0.2, 0.5, 2.0, 6.0):
        arguments = draw.planned_groups(ratio)
        assert_allclose(unpaired_power(*arguments), reference.unpaired_power(*arguments), rtol=POWER)


@points(1)
def test_sign_and_level(unpaired_power, draw):
    """The test is two-sided, its level is obeyed, and without an effect the power is the level.

    检验是双侧的，水平被遵守；没有效应时，功效等于检验水平。"""
    effect, *rest = draw.planned_groups(1.5)
    alpha = draw.rng.uniform(0.002, 0.02)
    expected = reference.unpaired_power(effect, *rest, alpha=alpha)
    assert_allclose(unpaired_power(-effect, *rest, alpha=alpha), expected, rtol=POWER)
    assert_allclose(unpaired_power(0.0, *rest, alpha=alpha), alpha, rtol=POWER)


@points(1)
def test_groups_that_cannot_be_tested_are_refused(unpaired_power, draw):
    """One patient per group and groups that do not vary at all are refused with a ValueError; one that does not is not.

    每组只有一名患者、两组都毫无变异，应以 ValueError 拒绝；只有一组没有变异则不必拒绝。"""
    effect, sd_x, sd_y, n = draw.planned_groups(1.5)
    with pytest.raises(ValueError, match=r"."):
        unpaired_power(effect, sd_x, sd_y, 1)
    with pytest.raises(ValueError, match=r"."):
        unpaired_power(effect, 0.0, 0.0, n)
    with pytest.raises(ValueError, match=r"."):
        unpaired_power(effect, -sd_x, sd_y, n)
    with pytest.raises(ValueError, match=r"."):
        unpaired_power(effect, sd_x, -sd_y, n)
    assert_allclose(unpaired_power(effect, 0.0, sd_y, n), reference.unpaired_power(effect, 0.0, sd_y, n), rtol=POWER)


# ---------------------------------------------------------------- patients_needed


def stat1_of(cohort):
    """Transcript and protein of STAT1 as log2 ratios to the pool of their batch, as the lesson computes them."""
    ratios = {}
    for layer in ("rna", "protein"):
        table, pools = cohort.layers[layer], cohort.pools[layer]
        if layer == "rna":
            genes = cohort.features["rna"].index[cohort.features["rna"]["biotype"] != "spike_in"]
            table, pools = (reads[genes] + 1 for reads in (table, pools))
            table, pools = (reads.div(reads.sum(axis=1), axis=0) for reads in (table, pools))
        (column,) = cohort.features[layer].index[cohort.features[layer]["symbol"] == "STAT1"]
        pool = np.log2(pools[column]).groupby(cohort.pool_samples[layer]["batch"]).mean()
        ratios[layer] = np.log2(table[column]) - cohort.samples[layer]["batch"].map(pool)
    return pd.DataFrame(ratios).dropna()


def smallest(power):
    """The fewest patients that reach a power of 0.8."""
    return next(n for n in range(2, 100_000) if power(n) >= 0.8)


@points(2)
def test_matched_study(patients_needed, cohort):
    """The matched study is large enough, and one patient fewer would not do.

    匹配研究的人数刚好够：再少一名就达不到要求。"""
    x = stat1_of(cohort)
    (sd_x, sd_y), rho = x.std(), x["rna"].corr(x["protein"])
    assert patients_needed["paired"] == smallest(lambda n: reference.paired_power(0.4, sd_x, sd_y, rho, n))


@points(2)
def test_unmatched_study(patients_needed, cohort):
    """The number for the unmatched study is that of each of its two groups.

    非匹配研究的人数是两组中每一组的人数。"""
    sd_x, sd_y = stat1_of(cohort).std()
    assert patients_needed["unpaired"] == smallest(lambda n: reference.unpaired_power(0.4, sd_x, sd_y, n))


@points(1)
def test_what_pairing_saves(patients_needed, cohort):
    """The ratio of the two numbers is, but for small samples, that of the two variances.

    两个人数之比，除小样本的影响外，等于两个方差之比。"""
    x = stat1_of(cohort)
    ratio = (x["rna"] - x["protein"]).var() / x.var().sum()
    # The degrees of freedom shift either number by two patients or so.
    assert patients_needed["paired"] == pytest.approx(ratio * patients_needed["unpaired"], abs=4)


# ---------------------------------------------------------------- feature_network


@drawn
def skewed_layer(rng, n=28, p=9):
    """Features that follow one of two hidden quantities, up or down, skewed, with a few wild samples."""
    hidden = rng.normal(size=(n, 2))
    weights = rng.choice([-1, 1], size=p) * rng.uniform(0.3, 1.5, size=p)
    x = np.exp(hidden[:, np.arange(p) % 2] * weights + rng.normal(scale=0.7, size=(n, p)))
    x[:2] *= rng.uniform(20, 60, size=(2, 1))
    return x


@points(2)
def test_links_of_a_layer(feature_network, draw):
    """Features are linked by the correlation of their ranks, so that neither skew nor a wild sample decides.

    按秩的相关连边，因此偏态与个别离奇样本都左右不了结果。"""
    for low, high in ((0.2, 0.4), (0.4, 0.7)):
        x, threshold = draw.skewed_layer(), draw.rng.uniform(low, high)
        assert_array_equal(feature_network(x, threshold=threshold), reference.feature_network(x, threshold=threshold))


@points(1)
def test_opposite_features_are_linked(feature_network, draw):
    """Two features of which one falls as the other rises are linked as well.

    一个升时另一个降的两个特征，同样相连。"""
    x = draw.rng.lognormal(size=(20, 3))
    x[:, 2] = 1 / x[:, 0]
    links = np.asarray(feature_network(x, threshold=0.99))
    assert_array_equal(links, [[False, False, True], [False, False, False], [True, False, False]])


@points(1)
def test_threshold_itself_is_enough(feature_network, draw):
    """A correlation equal to the threshold is a link, even where rounding makes it smaller by a hair.

    相关恰好等于阈值时就算一条边，哪怕舍入使它小了一丝。"""
    # Swapping d neighbours in ranks 1 … 10 gives Σd² = 2d, so the correlation is exactly 1 − 12 d / 990.
    for swaps in (1, 2, 3, 4, 5):
        ranks = np.arange(10)
        other = ranks.copy()
        for k in range(swaps):
            other[[2 * k, 2 * k + 1]] = other[[2 * k + 1, 2 * k]]
        order = draw.rng.permutation(10)
        values = np.sort(draw.rng.lognormal(size=(2, 10)), axis=1)
        x = np.column_stack([values[0][ranks[order]], values[1][other[order]]])
        exact = 1 - 12 * swaps / 990
        assert np.asarray(feature_network(x, threshold=exact))[0, 1]
        assert not np.asarray(feature_network(x, threshold=exact + 1e-3))[0, 1]


@points(1)
def test_tied_values_share_a_rank(feature_network, draw):
    """Equal values have equal ranks, the average of the places they take, as in genotype dosages.

    相等的数值同秩，取其所占位次的平均，例如基因型剂量。"""
    for _ in range(6):
        hidden = draw.rng.normal(size=(40, 1))
        x = np.clip(np.round(hidden + draw.rng.normal(size=(40, 8)) + 1), 0, 2)
        threshold = draw.rng.uniform(0.25, 0.45)
        assert_array_equal(feature_network(x, threshold=threshold), reference.feature_network(x, threshold=threshold))


@points(1)
def test_constant_feature_is_linked_to_none(feature_network, draw):
    """A feature that is the same in every sample is linked to none, and the other links are not affected.

    在所有样本中都相同的特征不与任何特征相连，其余的边不受影响。"""
    x = draw.skewed_layer()
    place = int(draw.rng.integers(9))
    x[:, place] = draw.rng.uniform(1, 5)
    links = np.asarray(feature_network(x, threshold=0.3))
    assert not links[place].any()
    assert_array_equal(links, reference.feature_network(x, threshold=0.3))


@points(1)
def test_features_keep_their_names(feature_network, draw):
    """A DataFrame comes back with the features' names on both sides, and the table that came in is not changed.

    输入为 DataFrame 时，返回的表两侧都是特征名；传入的表保持不变。"""
    names = [f"gene{j}" for j in draw.rng.permutation(9)]
    x = pd.DataFrame(draw.skewed_layer(), columns=names)
    before = x.copy()
    links = feature_network(x, threshold=0.4)
    pd.testing.assert_frame_equal(x, before)
    assert links.index.tolist() == links.columns.tolist() == names
    assert_array_equal(links.to_numpy(), reference.feature_network(x.to_numpy(), threshold=0.4))


@points(1)
def test_gaps_and_odd_thresholds_are_refused(feature_network, draw):
    """A missing value and a threshold outside 0 … 1 are refused with a ValueError.

    缺失值以及不在 0 与 1 之间的阈值，都应以 ValueError 拒绝。"""
    x = draw.skewed_layer()
    for threshold in (0.0, 1.0, 1 + draw.rng.random(), -draw.rng.random()):
        with pytest.raises(ValueError, match=r"."):
            feature_network(x, threshold=threshold)
    x[draw.rng.integers(28), draw.rng.integers(9)] = np.nan
    with pytest.raises(ValueError, match=r"."):
        feature_network(x, threshold=0.5)


# ---------------------------------------------------------------- network_overlap


@drawn
def two_networks(rng, n=12, density=0.3, shared=0.4):
    """Two random networks that share some of their links."""
    common, own_a, own_b = (np.triu(rng.random((n, n)) < density, 1) for _ in range(3))
    keep = np.triu(rng.random((n, n)) < shared, 1)
    a, b = (common & keep) | own_a, (common & keep) | own_b
    return a | a.T, b | b.T


def from_links(n, links):
    """A network of n nodes with these links."""
    result = np.zeros((n, n), dtype=bool)
    for i, j in links:
        result[i, j] = result[j, i] = True
    return result


def exact_p(a, b):
    """Share of all renamings of b that have at least as many links in common with a as b has."""
    above = np.triu_indices(len(a), 1)
    shared = (a & b)[above].sum()
    orders = [list(order) for order in itertools.permutations(range(len(a)))]
    return float(np.mean([(a & b[np.ix_(order, order)])[above].sum() >= shared for order in orders]))


def close_to(exact, n_permutations):
    """Within five standard errors of the share of random renamings, and 1 / n for counting the network itself."""
    return pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / n_permutations) + 1 / n_permutations)


@points(2)
def test_jaccard(network_overlap, draw):
    """The overlap is the number of common links divided by the number of links in either network, each link once.

    重叠度等于公共边数除以至少在一个网络中出现的边数，每条边只算一次。"""
    for density in (0.1, 0.3, 0.6):
        a, b = draw.two_networks(density=density)
        expected, _ = reference.network_overlap(a, b, n_permutations=1, rng=np.random.default_rng(0))
        assert network_overlap(a, b, n_permutations=1, rng=draw.rng)[0] == pytest.approx(expected)


@points(1)
def test_diagonal_does_not_count(network_overlap, draw):
    """What stands on the diagonal changes nothing.

    对角线上是什么，都不影响结果。"""
    a, b = draw.two_networks()
    expected, _ = reference.network_overlap(a, b, n_permutations=1, rng=np.random.default_rng(0))
    np.fill_diagonal(a, True)
    np.fill_diagonal(b, draw.rng.random(12) < 0.5)
    assert network_overlap(a, b, n_permutations=1, rng=draw.rng)[0] == pytest.approx(expected)


@points(2)
def test_features_are_matched_by_name(network_overlap, draw):
    """The second network may list its features in another order; links are compared by name.

    第二个网络的特征可以按另一种次序排列；边按名称比较。"""
    names = [f"gene{j}" for j in range(20)]
    for _ in range(4):  # in a wrong order the overlap may be right by luck, but not four times
        a, b = draw.two_networks(20)
        first, second = pd.DataFrame(a, names, names), pd.DataFrame(b, names, names)
        expected, _ = reference.network_overlap(a, b, n_permutations=1, rng=np.random.default_rng(0))
        order = draw.rng.permutation(names)
        found, _ = network_overlap(first, second.loc[order, order], n_permutations=1, rng=draw.rng)
        assert found == pytest.approx(expected)


@points(2)
def test_hubs_stay_hubs(network_overlap, draw):
    """Renaming keeps the shape: of two stars on six nodes, one renaming in six puts the hub back in its place.

    换名不改变网络的形状：六个节点的两个星形网络，每六次换名就有一次中心回到原位。"""
    hub, other = draw.rng.permutation(6)[:2]
    star = from_links(6, [(hub, j) for j in range(6) if j != hub])
    jaccard, p = network_overlap(star, star, n_permutations=2000, rng=draw.rng)
    assert jaccard == pytest.approx(1.0)
    assert p == close_to(1 / 6, 2000)
    # Stars around two nodes share one link whatever the names are: nothing is more than chance.
    moved = from_links(6, [(other, j) for j in range(6) if j != other])
    assert network_overlap(star, moved, n_permutations=200, rng=draw.rng)[1] == pytest.approx(1.0)


@points(2)
def test_as_large_counts(network_overlap, draw):
    """A renaming that overlaps exactly as much counts as one that overlaps at least as much.

    重叠恰好一样多的换名，也算“至少一样多”。"""
    for shift in (1, 2):
        names = draw.rng.permutation(6)
        a = from_links(6, [(names[k], names[k + 1]) for k in range(3)])
        b = from_links(6, [(names[k + shift], names[(k + shift + 1) % 6]) for k in range(3)])
        p = network_overlap(a, b, n_permutations=2000, rng=draw.rng)[1]
        assert p == close_to(exact_p(a, b), 2000)


@points(1)
def test_p_is_never_zero(network_overlap, draw):
    """The network itself is one of the renamings: p is (1 + a whole number) / (1 + n) and never 0.

    原网络本身也是一种换名：p 等于（1 + 整数）/（1 + n），绝不为 0。"""
    a, _ = draw.two_networks(40, 0.1)
    assert network_overlap(a, a, n_permutations=49, rng=draw.rng)[1] == pytest.approx(1 / 50)


@points(1)
def test_little_overlap_is_no_surprise(network_overlap, draw):
    """Networks that share less than chance would give have a large p.

    两个网络的重叠比偶然还少时，p 很大。"""
    a, _ = draw.two_networks(14, 0.5)
    b = ~a
    jaccard, p = network_overlap(a, b, n_permutations=99, rng=draw.rng)
    assert jaccard == 0
    assert p == pytest.approx(1.0)


@points(1)
def test_the_generator_decides(network_overlap, draw):
    """All chance comes from rng: the same state of the generator gives the same p, another one another.

    一切随机性都来自 rng：生成器状态相同，p 就相同；状态不同，p 也不同。"""
    a, b = draw.two_networks(10, shared=0.2)
    seed = int(draw.rng.integers(1000))
    first, again = (network_overlap(a, b, n_permutations=300, rng=np.random.default_rng(seed)) for _ in range(2))
    assert first == again
    others = {network_overlap(a, b, n_permutations=300, rng=np.random.default_rng(seed + k))[1] for k in range(1, 9)}
    assert len(others | {first[1]}) > 1


@points(1)
def test_networks_that_cannot_be_compared_are_refused(network_overlap, draw):
    """Networks without any link, of other features, or with one-way links are refused, and so is a seed for rng.

    两个网络都没有边、特征不同、或有单向的边，都应以 ValueError 拒绝；用种子代替 rng 也应拒绝。"""
    a, b = draw.two_networks()
    one_way = a.copy()
    one_way[0, 1] = not one_way[1, 0]
    nothing = np.zeros_like(a)
    for first, second in ((nothing, nothing), (a, b[:-1, :-1]), (one_way, b)):
        with pytest.raises(ValueError, match=r"."):
            network_overlap(first, second, n_permutations=9, rng=draw.rng)
    with pytest.raises(ValueError, match=r"."):
        network_overlap(a, b, n_permutations=0, rng=draw.rng)
    with pytest.raises(ValueError, match=r"."):
        network_overlap(a, b, n_permutations=9, rng=42)


# ---------------------------------------------------------------- anchor_map

COLUMNS = ["match", "distance", "n_candidates", "margin", "mutual"]


@drawn
def clinic(rng, n=14, prefix="A", oldest=70):
    """Patients with quantities of different spread, a category and a truth value; labels in no order."""
    labels = [f"{prefix}{i:03d}" for i in rng.permutation(n)]
    return pd.DataFrame(
        {
            "age": rng.integers(40, oldest, n),
            "bmi": rng.normal(26, 4, n),
            "share": rng.uniform(0.1, 0.6, n),
            "smoker": rng.choice(["never", "former", "current"], n),
            "fasting": rng.random(n) < 0.6,
        },
        index=labels,
    )


def same_map(found, expected):
    """Compare two maps, column by column."""
    assert found.columns.tolist() == COLUMNS
    assert found.index.tolist() == expected.index.tolist()
    assert found["match"].isna().tolist() == expected["match"].isna().tolist()
    assert found["match"].dropna().tolist() == expected["match"].dropna().tolist()
    for column in ("distance", "margin"):
        assert_allclose(found[column].to_numpy(), expected[column].to_numpy(), atol=ROUNDING)
    for column in ("n_candidates", "mutual"):
        assert found[column].tolist() == expected[column].tolist()


@points(2)
def test_nearest_and_its_distance(anchor_map, draw):
    """The match is the nearest patient of the other study, and its distance the mean over the anchors.

    匹配者是另一项研究中最近的患者，距离是各锚点上的平均值。"""
    a, b = draw.clinic(14), draw.clinic(17, "B", oldest=95)
    same_map(anchor_map(a.iloc[:1], b), reference.anchor_map(a.iloc[:1], b))
    found, expected = anchor_map(a, b), reference.anchor_map(a, b)
    assert found["match"].dropna().tolist() == expected["match"].dropna().tolist()
    assert_allclose(found["distance"].to_numpy(), expected["distance"].to_numpy(), atol=ROUNDING)


@points(1)
def test_range_of_both_tables(anchor_map, draw):
    """A quantity is divided by its range over both studies, so that the two may recruit at different ages.

    数量除以它在两项研究中的总跨度，因此两项研究招募的年龄可以不同。"""
    a, b = draw.clinic(10, oldest=50), draw.clinic(12, "B", oldest=99)
    for first, second in ((a, b), (b, a)):
        expected = reference.anchor_map(first, second)
        assert_allclose(anchor_map(first, second)["distance"].to_numpy(), expected["distance"], atol=ROUNDING)


@points(2)
def test_several_equally_near(anchor_map, draw):
    """Where several patients are equally near, the match is missing, all are counted and the margin is 0.

    有几名患者同样近时，匹配缺失，候选者全部计数，差距为 0。"""
    columns = ["smoker", "fasting", "share"]
    a, b = draw.clinic(16)[columns], draw.clinic(16, "B")[columns]
    for table in (a, b):
        table["share"] = draw.rng.integers(0, 4, size=16) / 3
        table.iloc[:4] = [["never", True, k / 3] for k in range(4)]
    expected = reference.anchor_map(a, b)
    found = anchor_map(a, b)
    assert found["match"].isna().tolist() == expected["match"].isna().tolist()
    assert found["n_candidates"].tolist() == expected["n_candidates"].tolist()
    assert_allclose(found["margin"].to_numpy(), expected["margin"].to_numpy(), atol=ROUNDING)

    # Four patients at distance 0.3 / 2 by four ways of adding: tenths cannot be written exactly.
    x, y = draw.rng.integers(4, 7, size=2) / 10
    here = pd.DataFrame({"x": [x], "y": [y]}, index=["A1"])
    around = pd.DataFrame({"x": [x + 0.1, x + 0.2, x + 0.3, x, 0, 1], "y": [y + 0.2, y + 0.1, y, y + 0.3, 0, 1]})
    around.index = [f"B{k}" for k in range(6)]
    found = anchor_map(here, around)
    assert found["n_candidates"].tolist() == [4]
    assert found["match"].isna().tolist() == [True]


@points(1)
def test_margin(anchor_map, draw):
    """The margin says how much farther the second nearest is than the nearest.

    差距说明第二近的患者比最近的患者远多少。"""
    a, b = draw.clinic(14), draw.clinic(11, "B")
    assert_allclose(anchor_map(a, b)["margin"].to_numpy(), reference.anchor_map(a, b)["margin"], atol=ROUNDING)


@points(2)
def test_mutual(anchor_map, draw):
    """A match is mutual if the patient is also its only nearest one; a claim that another can better is not.

    只有当患者也是其匹配者唯一的最近者时，匹配才是相互的；别人更近或同样近时都不是。"""
    b = draw.clinic(12, "B")
    a = b.sample(8, random_state=int(draw.rng.integers(1000))).set_axis([f"A{k}" for k in range(8)])
    strangers = draw.clinic(10, "S")
    twin = a.iloc[[0]].set_axis(["T0"])
    everyone = pd.concat([a, strangers, twin])
    same_map(anchor_map(everyone, b), reference.anchor_map(everyone, b))


@points(1)
def test_only_shared_columns(anchor_map, draw):
    """Columns that only one study has do not count, and the order of columns does not matter.

    只有一项研究才有的列不计入，列的次序也无关紧要。"""
    a, b = draw.clinic(9), draw.clinic(9, "B")
    expected = reference.anchor_map(a, b)
    same_map(anchor_map(a.assign(site="north"), b[b.columns[::-1]].assign(crp=draw.rng.random(9))), expected)


@points(1)
def test_anchor_that_is_the_same_for_all(anchor_map, draw):
    """An anchor that is the same for everybody tells nobody apart, and counts as an anchor all the same.

    所有人都相同的锚点分不出谁是谁，但仍算作一个锚点。"""
    a, b = draw.clinic(9), draw.clinic(9, "B")
    weight = draw.rng.uniform(50, 90)
    a["weight"] = b["weight"] = weight
    same_map(anchor_map(a, b), reference.anchor_map(a, b))


@points(1)
def test_quantities_of_every_kind(anchor_map, draw):
    """Whole numbers of 8 bits are subtracted without wrapping around, and dates are quantities: near days are near.

    8 位整数相减时不得回绕；日期也是数量：相近的日子距离就小。"""
    a, b = draw.clinic(11)[["age"]], draw.clinic(13, "B")[["age"]]
    small = [table.assign(age=table["age"].astype("uint8")) for table in (a, b)]
    same_map(anchor_map(*small), reference.anchor_map(a, b))
    day = pd.Timestamp("2021-03-01")
    dates = [pd.DataFrame({"seen": day + pd.to_timedelta(7 * table["age"], unit="D")}) for table in (a, b)]
    same_map(anchor_map(*dates), reference.anchor_map(a, b))


@points(1)
def test_unusable_anchors_are_refused(anchor_map, draw):
    """Gaps, an anchor that is text here and numbers there, no anchor at all, and a study b of one are refused.

    锚点有缺失、同一锚点在一处是文字在另一处是数字、没有任何共同的锚点、研究 b 只有一人：都应以 ValueError 拒绝。"""
    a, b = draw.clinic(9), draw.clinic(9, "B")
    gap = a.copy()
    gap.iloc[int(draw.rng.integers(9)), 1] = np.nan
    for first, second in ((gap, b), (a, b.assign(smoker=1)), (a[["age"]], b[["bmi"]]), (a, b.iloc[:1])):
        with pytest.raises(ValueError, match=r"."):
            anchor_map(first, second)
