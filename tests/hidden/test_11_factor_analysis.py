"""Hidden tests of unit 11: inputs come from a seed that only the instructor's key knows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score

from course.checking import drawn, points
from reference_impl.integration import mofa as reference
from reference_impl.integration.mofa import Beliefs, Beta, Gamma, LayerSums, Weights

# The same sums in another order: 1e-12 or so; the rest is margin.
ROUNDING = 1e-7


@drawn
def weights(rng, n_features=9, n_factors=3):
    """Weights that are uncertain in every way."""
    shape = (n_features, n_factors)
    return Weights(rng.normal(size=shape), rng.uniform(0.05, 0.6, size=shape), rng.uniform(0.1, 0.95, size=shape))


def known(values):
    """Weights that are on and known exactly."""
    return Weights(values, np.zeros_like(values), np.ones_like(values))


@drawn
def covariances(rng, n=6, k=3):
    """Covariances with strong correlations."""
    roots = rng.normal(size=(n, k, k)) * rng.uniform(0.3, 1.2, size=(n, 1, 1))
    return roots @ roots.transpose(0, 2, 1) + 0.05 * np.eye(k)


@drawn
def factors(rng, n=20, k=3):
    """E[z], correlated between factors, and Σ E[z zᵀ] of the samples."""
    z = rng.normal(size=(n, k)) + 0.8 * rng.normal(size=(n, 1))
    return z, z.T @ z + covariances(rng, n, k).sum(axis=0)


@drawn
def priors(rng, k=3):
    """Relevance and sparsity with few data behind them."""
    return (
        Gamma(rng.uniform(0.7, 4, size=k), rng.uniform(0.5, 4, size=k)),
        Beta(rng.uniform(1, 8, size=k), rng.uniform(1, 8, size=k)),
    )


@drawn
def layer(rng, n=20, n_features=9, k=3):
    """The sums of a layer whose features follow the factors, and what is believed of it so far."""
    z, gram = factors(rng, n, k)
    y = z @ (rng.normal(size=(k, n_features)) * (rng.random((k, n_features)) < 0.5)) + rng.normal(size=(n, n_features))
    sums = LayerSums(np.full(n_features, float(n)), (y**2).sum(axis=0), y.T @ z, gram)
    noise = Gamma(rng.uniform(2, 6, size=n_features), rng.uniform(1, 6, size=n_features))
    return sums, Beliefs(weights(rng, n_features, k), noise, *priors(rng, k))


def assert_same(found, expected):
    """Two records with the same numbers."""
    for mine, theirs in zip(found, expected, strict=True):
        assert_allclose(mine, theirs, rtol=ROUNDING, atol=ROUNDING)


# ---------------------------------------------------------------- factor_evidence


@points(2)
def test_signal_weighs_features_by_precision(factor_evidence, draw):
    """The signal of a sample sums value times noise precision times E[w]; a weight that may be off counts less.

    样本的信号是“数值 × 噪声精度 × E[w]”之和；可能关着的权重分量较小。"""
    w, values, noise = draw.weights(), draw.rng.normal(size=(7, 9)), draw.rng.uniform(0.3, 4, size=9)
    _, signal = factor_evidence(values, w, noise)
    assert_allclose(signal, (values * noise) @ (w.inclusion * w.slab_mean), rtol=ROUNDING, atol=1e-9)


@points(2)
def test_independent_weights_off_the_diagonal(factor_evidence, draw):
    """Off the diagonal stands the sum of noise precision times the product of two mean weights.

    对角线以外是“噪声精度 × 两个平均权重之积”的和。"""
    w, noise = draw.weights(8, 4), draw.rng.uniform(0.3, 4, size=8)
    precision, _ = factor_evidence(draw.rng.normal(size=(3, 8)), w, noise)
    off = ~np.eye(4, dtype=bool)
    assert_allclose(np.asarray(precision)[off], np.einsum("d,dj,dk->jk", noise, w.mean, w.mean)[off], rtol=ROUNDING)


@points(2)
def test_uncertain_weights_on_the_diagonal(factor_evidence, draw):
    """On the diagonal stands the sum of noise precision times E[w²], which counts the variance and the switch.

    对角线上是“噪声精度 × E[w²]”的和，其中包含方差和开关的影响。"""
    w, noise = draw.weights(8, 4), draw.rng.uniform(0.3, 4, size=8)
    precision, _ = factor_evidence(draw.rng.normal(size=(3, 8)), w, noise)
    assert_allclose(np.diag(precision), noise @ w.second_moment, rtol=ROUNDING)


# ---------------------------------------------------------------- factor_posterior


def evidence(rng, n, k, n_layers=3):
    """Precisions of layers and signals of their samples, and who has which layer: everybody has one, few have all."""
    present = rng.random((n_layers, n)) < 0.6
    present[rng.integers(n_layers, size=n), np.arange(n)] = True
    return 4 * covariances(rng, n_layers, k), 3 * rng.normal(size=(n_layers, n, k)), present


@points(3)
def test_exact_for_known_weights(factor_posterior, draw):
    """With known weights and noise this is the exact posterior: factors and values are jointly normal.

    权重和噪声已知时，这就是精确的后验：由因子与数值的联合正态分布得出的条件分布。"""
    rng = draw.rng
    w, noise = rng.normal(size=(2, 5, 3)), rng.uniform(0.5, 3, size=(2, 5))
    values = rng.normal(size=(2, 6, 5))
    present = np.array([[True] * 4 + [False] * 2, [False] * 2 + [True] * 4])
    told = [reference.factor_evidence(y, known(one), tau) for y, one, tau in zip(values, w, noise, strict=True)]
    mean, covariance = factor_posterior(np.array([t[0] for t in told]), np.array([t[1] for t in told]), present)
    for n in range(6):
        here = present[:, n]
        stacked, spread = np.concatenate(w[here]), np.concatenate(1 / noise[here])
        gain = np.linalg.solve(stacked @ stacked.T + np.diag(spread), stacked)
        assert_allclose(mean[n], np.concatenate(values[here, n]) @ gain, rtol=1e-6, atol=1e-9)
        assert_allclose(covariance[n], np.eye(3) - stacked.T @ gain, rtol=1e-6, atol=1e-9)


@points(2)
def test_an_absent_layer_does_not_speak(factor_posterior, draw):
    """What stands in the signals of a layer that a sample lacks does not matter, be it NaN.

    样本缺少的层，其信号处无论写着什么都不影响结果，NaN 也一样。"""
    precisions, signals, present = evidence(draw.rng, 8, 3)
    present[0, 0] = False
    clean = reference.factor_posterior(precisions, signals, present)
    signals[~present] = np.nan
    found = factor_posterior(precisions, signals, present)
    assert_same(found, clean)


@points(1)
def test_one_matrix_for_each_sample(factor_posterior, draw):
    """Precisions that differ from sample to sample, as with single missing values, are accepted too.

    各样本的精度矩阵不同时（有零散缺失值的情形）也能处理。"""
    _, signals, present = evidence(draw.rng, 5, 2)
    precisions = 3 * covariances(draw.rng, 15, 2).reshape(3, 5, 2, 2)
    assert_same(
        factor_posterior(precisions, signals, present), reference.factor_posterior(precisions, signals, present)
    )


# ---------------------------------------------------------------- relevance_posterior


@points(2)
def test_shape_counts_the_switches_that_are_on(relevance_posterior, draw):
    """The shape grows by half the expected number of weights that are on.

    形状增加的量，是打开的权重的期望个数的一半。"""
    w = draw.weights(12, 4)
    assert_allclose(relevance_posterior(w).shape, 0.001 + w.inclusion.sum(axis=0) / 2, rtol=ROUNDING)


@points(2)
def test_rate_sums_expected_squares(relevance_posterior, draw):
    """The rate grows by half the sum of the expected squares of the weights, their variance included.

    速率增加的量，是权重平方的期望之和的一半，其中包含权重的方差。"""
    w = draw.weights(12, 4)
    expected = (w.inclusion * (w.slab_mean**2 + w.slab_variance)).sum(axis=0)
    assert_allclose(relevance_posterior(w).rate, 0.001 + expected / 2, rtol=ROUNDING)


@points(1)
def test_a_factor_that_is_off_leaves_the_prior(relevance_posterior, draw):
    """Where every weight of a factor is off, nothing was learned: shape and rate are those of the prior.

    如果一个因子的所有权重都关着，就什么也没有学到：形状和速率仍是先验的值。"""
    w = draw.weights(6, 2)
    found = relevance_posterior(Weights(w.slab_mean, w.slab_variance, np.zeros((6, 2))))
    assert_allclose([found.shape, found.rate], np.full((2, 2), 0.001), rtol=ROUNDING)


# ---------------------------------------------------------------- weight_posterior


@points(2)
def test_the_odds_are_those_of_two_models(weight_posterior, draw):
    """With one known factor the probability of "on" is Bayes' theorem for two models, with the weight and without it.

    只有一个已知因子时，“打开”的概率就是贝叶斯定理在有该权重与没有该权重两个模型之间的结果。"""
    rng = draw.rng
    z, tau, alpha = rng.normal(size=(12, 1)), rng.uniform(0.5, 2), rng.uniform(0.3, 2)
    y = rng.choice([0.0, 0.4, 0.8]) * z[:, 0] + rng.normal(size=12) / np.sqrt(tau)
    start = Weights(np.zeros((1, 1)), np.ones((1, 1)), np.ones((1, 1)))
    certain_alpha, certain_odds = (
        Gamma(np.array([1e9 * alpha]), np.array([1e9])),
        Beta(np.array([1e9]), np.array([2e9])),
    )
    found = weight_posterior((y @ z)[None], z.T @ z, np.array([tau]), certain_alpha, certain_odds, start)
    on = multivariate_normal(cov=np.eye(12) / tau + z @ z.T / alpha).logpdf(y)
    off = multivariate_normal(cov=np.eye(12) / tau).logpdf(y)
    # Relevance and odds are known to a part in 30,000.
    assert_allclose(found.inclusion, [[1 / (1 + 2 * np.exp(off - on))]], rtol=1e-4)


@points(3)
def test_all_parts_of_all_factors(weight_posterior, draw):
    """Slab means, slab variances and inclusions of several correlated factors, each updated against the newest others.

    多个相关因子的 slab 均值、slab 方差与打开概率，每个因子都面对其他因子最新的权重。"""
    sums, beliefs = draw.layer()
    arguments = (sums.cross, sums.gram, beliefs.noise.mean, beliefs.relevance, beliefs.sparsity, beliefs.weights)
    assert_same(weight_posterior(*arguments), reference.weight_posterior(*arguments))


@points(2)
def test_what_is_uncertain_of_relevance_counts(weight_posterior, draw):
    """The price of a switch is the mean of the logarithm of α, which is less than the logarithm of its mean.

    开关的代价是 α 的对数的均值，它小于 α 的均值的对数。"""
    sums, beliefs = draw.layer(20, 9, 2)
    vague = Gamma(np.array([0.6, 0.9]), np.array([0.5, 2.0]))
    weak = sums.cross / 20
    arguments = (weak, sums.gram, beliefs.noise.mean, vague, beliefs.sparsity, beliefs.weights)
    assert_allclose(
        weight_posterior(*arguments).inclusion, reference.weight_posterior(*arguments).inclusion, rtol=ROUNDING
    )


@points(1)
def test_no_switch_moves_without_select(weight_posterior, draw):
    """With select=False the inclusion stays as it was, while the weights move.

    select=False 时，打开概率保持不变，而权重照常更新。"""
    sums, beliefs = draw.layer()
    arguments = (sums.cross, sums.gram, beliefs.noise.mean, beliefs.relevance, beliefs.sparsity, beliefs.weights)
    found = weight_posterior(*arguments, select=False)
    assert_same(found, reference.weight_posterior(*arguments, select=False))


@points(2)
def test_a_gram_for_each_feature(weight_posterior, draw):
    """Features with other samples measured have a gram of their own.

    各特征测到的样本不同时，每个特征使用自己的 gram。"""
    sums, beliefs = draw.layer()
    gram = 10 * covariances(draw.rng, 9, 3)
    arguments = (sums.cross, gram, beliefs.noise.mean, beliefs.relevance, beliefs.sparsity, beliefs.weights)
    assert_same(weight_posterior(*arguments), reference.weight_posterior(*arguments))


@points(1)
def test_previous_weights_stay(weight_posterior, draw):
    """The weights that came in are not changed.

    不改动传入的权重。"""
    sums, beliefs = draw.layer()
    before = [part.copy() for part in beliefs.weights]
    weight_posterior(sums.cross, sums.gram, beliefs.noise.mean, beliefs.relevance, beliefs.sparsity, beliefs.weights)
    assert_same(beliefs.weights, before)


# ---------------------------------------------------------------- expected_residual


@points(2)
def test_known_weights_leave_an_ordinary_sum_of_squares(expected_residual, draw):
    """Where factors and weights are known this is the sum of squares of y − z wᵀ.

    因子和权重都已知时，它就是 y − z wᵀ 的平方和。"""
    rng = draw.rng
    y, z, w = rng.normal(size=(15, 6)), rng.normal(size=(15, 3)), rng.normal(size=(6, 3))
    found = expected_residual((y**2).sum(axis=0), y.T @ z, z.T @ z, known(w))
    assert_allclose(found, ((y - z @ w.T) ** 2).sum(axis=0), rtol=ROUNDING)


@points(3)
def test_uncertainty_leaves_more(expected_residual, draw):
    """What is uncertain in the weights and in their switches is left over, by the diagonal of gram.

    权重及其开关中不确定的部分也算剩余，其量由 gram 的对角元决定。"""
    sums, beliefs = draw.layer()
    w = beliefs.weights
    certain_part = expected_residual(sums.sum_of_squares, sums.cross, sums.gram, known(w.mean))
    found = expected_residual(sums.sum_of_squares, sums.cross, sums.gram, w)
    variance = w.inclusion * (w.slab_mean**2 + w.slab_variance) - (w.inclusion * w.slab_mean) ** 2
    assert_allclose(np.asarray(found) - certain_part, variance @ np.diag(sums.gram), rtol=1e-6)


@points(2)
def test_a_residual_from_each_features_own_gram(expected_residual, draw):
    """Features with other samples measured use a gram of their own.

    各特征测到的样本不同时，每个特征使用自己的 gram。"""
    sums, beliefs = draw.layer()
    gram = 10 * covariances(draw.rng, 9, 3)
    arguments = (sums.sum_of_squares, sums.cross, gram, beliefs.weights)
    assert_allclose(expected_residual(*arguments), reference.expected_residual(*arguments), rtol=ROUNDING)


# ---------------------------------------------------------------- factor_divergence


@points(2)
def test_divergence_of_correlated_factors(factor_divergence, draw):
    """With correlated factors the determinant of the whole covariance counts, not only its diagonal.

    因子相关时，起作用的是整个协方差矩阵的行列式，而不只是对角线。"""
    mean, covariance = draw.rng.normal(size=(1, 4)), draw.covariances(1, 4)
    eigenvalues = np.linalg.eigvalsh(covariance[0])
    expected = ((mean**2).sum() + eigenvalues.sum() - 4 - np.log(eigenvalues).sum()) / 2
    assert_allclose(factor_divergence(mean, covariance), expected, rtol=ROUNDING)


@points(2)
def test_samples_add_up(factor_divergence, draw):
    """The cost of all samples is the sum of the costs of each.

    所有样本的代价等于各样本代价之和。"""
    mean, covariance = draw.rng.normal(size=(7, 3)), draw.covariances(7, 3)
    each = [reference.factor_divergence(mean[n : n + 1], covariance[n : n + 1]) for n in range(7)]
    assert_allclose(factor_divergence(mean, covariance), sum(each), rtol=ROUNDING)


@points(2)
def test_determinants_too_small_for_a_number(factor_divergence, draw):
    """With 40 factors known to 10 digits the determinant underflows, and the cost is still finite and right.

    40 个因子各精确到 10 位时，行列式会下溢，而代价仍然有限且正确。"""
    spread = 10.0 ** draw.rng.uniform(-12, -10, size=40)
    mean = draw.rng.normal(size=(2, 40))
    found = factor_divergence(mean, np.repeat(np.diag(spread)[None], 2, axis=0))
    expected = ((mean**2).sum() + 2 * (spread - 1 - np.log(spread)).sum()) / 2
    assert_allclose(found, expected, rtol=ROUNDING)


# ---------------------------------------------------------------- update_layer


@points(3)
def test_everything_sees_the_new_weights(update_layer, draw):
    """After a round relevance, sparsity and noise are those that belong to the new weights.

    一轮之后，相关性、稀疏性和噪声都与新的权重相符。"""
    sums, beliefs = draw.layer()
    new, _ = update_layer(sums, beliefs)
    expected, _ = reference.update_layer(sums, beliefs)
    for found, right in zip(new, expected, strict=True):
        assert_same(found, right)


@points(2)
def test_the_bound_is_that_of_the_new_state(update_layer, draw):
    """The bound is the one of the beliefs that are returned.

    返回的下界，就是返回的后验所对应的下界。"""
    sums, beliefs = draw.layer()
    new, bound = update_layer(sums, beliefs)
    residual = reference.expected_residual(sums.sum_of_squares, sums.cross, sums.gram, new.weights)
    assert_allclose(bound, reference.layer_bound(sums.n_measured, residual, new), rtol=ROUNDING)


@points(2)
def test_the_bound_never_falls(update_layer, draw):
    """Round after round with the same factors, the bound rises or stays.

    因子不变，一轮又一轮更新，下界只升不降。"""
    sums, beliefs = draw.layer()
    bounds = []
    for _ in range(6):
        beliefs, bound = update_layer(sums, beliefs)
        bounds.append(bound)
    assert (np.diff(bounds) >= -1e-9 * np.abs(bounds[-1])).all()


@points(1)
def test_select_is_passed_on(update_layer, draw):
    """With select=False no switch moves, and by default they do.

    select=False 时开关不动；默认情况下会动。"""
    sums, beliefs = draw.layer()
    still, _ = update_layer(sums, beliefs, select=False)
    assert_allclose(still.weights.inclusion, beliefs.weights.inclusion)
    moved, _ = update_layer(sums, beliefs)
    assert np.abs(moved.weights.inclusion - beliefs.weights.inclusion).max() > 1e-3


# ---------------------------------------------------------------- explained_share


@drawn
def gapped(rng, n=14, p=6, k=3, gaps=0.25):
    """A centred layer with gaps, and factors and weights that explain some of it."""
    z, w = rng.normal(size=(n, k)), rng.normal(size=(p, k)) * np.array([1.5, 0.7, 0.1])
    values = z @ w.T + rng.normal(size=(n, p)) * rng.uniform(0.5, 3, size=p)
    values[rng.random((n, p)) < gaps] = np.nan
    values[rng.permutation(n)[:3]] = np.nan
    return values, z, w


@points(2)
def test_each_factor_taken_alone(explained_share, draw):
    """The share of a factor is what it explains by itself, over all values of the layer together.

    因子的比例是它单独解释的部分，对整层的所有数值一起计算。"""
    values, z, w = draw.gapped(gaps=0.0)
    values = np.where(np.isnan(values), 0.5, values)
    expected = [1 - ((values - np.outer(z[:, k], w[:, k])) ** 2).sum() / (values**2).sum() for k in range(3)]
    assert_allclose(explained_share(values, z, w), expected, rtol=ROUNDING, atol=ROUNDING)


@points(2)
def test_what_was_not_measured_takes_no_part(explained_share, draw):
    """Gaps and samples without the layer count neither as explained nor as unexplained.

    缺失的数值和没有该层的样本，既不算已解释，也不算未解释。"""
    values, z, w = draw.gapped()
    measured = ~np.isnan(values)
    left = [(values - np.outer(z[:, k], w[:, k]))[measured] for k in range(3)]
    expected = [1 - (rest**2).sum() / (values[measured] ** 2).sum() for rest in left]
    assert_allclose(explained_share(values, z, w), expected, rtol=ROUNDING, atol=ROUNDING)


@points(1)
def test_worse_than_the_mean_is_negative(explained_share, draw):
    """A factor with weights of the wrong sign is worse than the mean: its share is below 0 and is not cut off.

    权重符号相反的因子比均值还差：它的比例小于 0，不截断。"""
    values, z, w = draw.gapped(gaps=0.0)
    assert_allclose(explained_share(values, z, -w), reference.explained_share(values, z, -w), rtol=ROUNDING)


@points(1)
def test_weights_of_another_shape_are_refused(explained_share, draw):
    """Weights that are not features × factors are refused, also where numpy could stretch them.

    形状不是“特征 × 因子”的权重要拒绝，即使 numpy 可以广播。"""
    values, z, w = draw.gapped()
    for wrong in (w.T, w[:-1], w[:1], w[:, :1]):
        with pytest.raises(ValueError, match=r"."):
            explained_share(values, z, wrong)


# ---------------------------------------------------------------- risk_factor


@points(3)
def test_it_tells_who_runs_the_programme(risk_factor, truth):
    """The scores tell the patients who run the programme that leads to the disease from those who do not.

    得分能把启动了致病程序的患者与其他患者区分开。"""
    third = [truth["subtype"][patient] == 2 for patient in risk_factor.index]
    assert roc_auc_score(third, risk_factor) > 0.9


def follows(table, scores, acted_on):
    """Median correlation, without sign, of scores with the features that a programme acts on, and with the others."""
    table = table.loc[:, table.notna().mean() >= 0.6]
    z = table.fillna(table.mean()).to_numpy()
    y = scores.reindex(table.index).to_numpy(dtype=float)
    z, y = z - z.mean(axis=0), y - y.mean()
    r = np.abs(z.T @ y) / np.sqrt((z**2).sum(axis=0) * (y @ y) + 1e-30)
    mine = table.columns.isin(acted_on)
    return np.median(r[mine]), np.median(r[~mine])


def log_ions(cohort):
    ions = np.log2(cohort.layers["metabolite"])
    return ions.sub(ions.median(axis=1), axis=0)


@points(1)
def test_its_metabolites_are_those_of_the_programme(risk_factor, cohort, truth):
    """The ions that the programme acts on follow the scores more closely than other ions do.

    受该程序影响的离子比其他离子更紧密地跟随得分。"""
    acted_on = truth["causal"]["programme_features"]["metabolite"]
    programme, others = follows(log_ions(cohort), risk_factor, acted_on)
    assert programme > 2 * others


@points(1)
def test_it_is_no_mixture_of_programmes(risk_factor, cohort, truth):
    """The programme that acts on methylation is another one: the scores follow the ions of theirs much more closely.

    作用于甲基化的是另一个程序：得分跟随本程序的离子，远比跟随那些 CpG 位点紧密。"""
    features = truth["causal"]["programme_features"]
    ions, _ = follows(log_ions(cohort), risk_factor, features["metabolite"])
    sites, _ = follows(cohort.layers["methylation"], risk_factor, features["methylation"])
    assert ions > 1.3 * sites
