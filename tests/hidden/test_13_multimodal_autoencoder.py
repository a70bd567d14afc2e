"""Hidden tests: unit 13, multimodal autoencoder."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import nbinom, norm, poisson

from course.checking import drawn, points
from reference_impl.integration import mvae

# Another order of the same sums changes the last digits only; a wrong rule changes the first ones.
RTOL = 1e-7


@drawn
def opinions(rng, layers=3, n=6, latent=2):
    """Means and log-variances of experts, and who is present; one sample has nobody, one has all."""
    present = rng.random((layers, n)) < 0.6
    present[:, 0], present[:, 1] = False, True
    means, log_variances = rng.normal(size=(layers, n, latent)), rng.uniform(-2, 2, size=(layers, n, latent))
    return means, log_variances, present


@drawn
def posterior(rng, n=6, latent=3):
    """Mean and log-variance."""
    return 2 * rng.normal(size=(n, latent)), rng.uniform(-3, 2, size=(n, latent))


def product(means, log_variances, present):
    """The product of experts as the formula says it, for experts that are not too sure."""
    precisions = np.exp(-log_variances) * present[..., None]
    total = 1 + precisions.sum(axis=0)
    return (precisions * means).sum(axis=0) / total, -np.log(total)


def slope(function, at, step=1e-5):
    """Central differences of a function of one table that returns a number."""
    found = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        for sign in (1, -1):
            moved = at.copy()
            moved[place] += sign * step
            found[place] += sign * function(moved) / (2 * step)
    return found


# --- kl_divergence ---------------------------------------------------------------------------------------------------


@points(2)
def test_divergence_of_drawn_posteriors(kl_divergence, draw):
    """The divergence from the prior is that of the formula, summed over dimensions, one number per sample.

    与先验的散度等于公式给出的值：对各维求和，每个样本一个数。"""
    mean, log_variance = draw.posterior()
    variance = np.exp(log_variance)
    expected = 0.5 * (variance + mean**2 - 1 - np.log(variance)).sum(axis=1)
    assert_allclose(kl_divergence(mean, log_variance), expected, rtol=RTOL)


@points(2)
def test_digits_near_the_prior(kl_divergence, draw):
    """A posterior that is almost the prior keeps its digits, and is never closer than nothing.

    后验几乎就是先验时，有效数字仍然保住，散度也不会小于零。"""
    tiny = draw.rng.uniform(1e-9, 1e-8, size=(5, 1)) * draw.rng.choice([-1, 1], size=(5, 1))
    found = kl_divergence(np.zeros((5, 1)), tiny)
    assert_allclose(found, tiny[:, 0] ** 2 / 4, rtol=1e-5)  # e^v − 1 − v = v²/2 up to v³/6


@points(1)
def test_a_dimension_at_the_prior_is_free(kl_divergence, draw):
    """A further latent dimension in which the posterior is the prior changes nothing.

    多出来的一维如果与先验一致，结果不变。"""
    mean, log_variance = draw.posterior(5, 2)
    more = [np.hstack([part, np.zeros((5, 4))]) for part in (mean, log_variance)]
    assert_allclose(kl_divergence(*more), mvae.kl_divergence(mean, log_variance), rtol=RTOL)


@points(1)
def test_divergence_refuses_shapes(kl_divergence):
    """Mean and log-variance of different shapes are refused with a `ValueError`.

    均值与对数方差形状不同时，抛出 `ValueError`。"""
    with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
        kl_divergence(np.zeros((4, 3)), np.zeros((1, 3)))


# --- product_of_experts ----------------------------------------------------------------------------------------------


@points(2)
def test_precisions_add_up(product_of_experts, draw):
    """Precisions of those present and of the prior add up, and means are weighted by their shares.

    在场专家与先验的精度相加，均值按份额加权。"""
    means, log_variances, present = draw.opinions()
    made = product_of_experts(means, log_variances, present.tolist())
    for found, expected in zip(made, product(means, log_variances, present), strict=True):
        assert_allclose(found, expected, rtol=RTOL, atol=1e-9)


@points(2)
def test_very_sure_experts(product_of_experts, draw):
    """Experts that are very sure (log-variance −30, −800) neither overflow nor lose digits.

    专家非常有把握时（对数方差 −30、−800），既不溢出，也不损失有效数字。"""
    means = draw.rng.normal(size=(2, 4, 1))
    for sure in (-30.0, -800.0):
        both = np.full((2, 4, 1), sure)
        mean, log_variance = product_of_experts(means, both, np.ones((2, 4), dtype=bool))
        assert_allclose(mean, means.mean(axis=0), rtol=1e-9, atol=1e-9)
        assert_allclose(log_variance, sure - np.log(2), rtol=1e-12)
        both[1] = 0.0
        mean, log_variance = product_of_experts(means, both, np.ones((2, 4), dtype=bool))
        assert_allclose(mean, means[0], rtol=1e-9, atol=1e-9)
        assert_allclose(log_variance, sure, rtol=1e-12)


@points(2)
def test_absent_experts_are_not_heard(product_of_experts, draw):
    """What an absent layer says changes nothing, even if it is NaN or infinite.

    缺席的层无论说什么都不影响结果，即使是 NaN 或无穷大。"""
    means, log_variances, present = draw.opinions()
    expected = product(means, log_variances, present)
    for nonsense in (np.nan, np.inf, -1e6):
        told = np.where(present[..., None], means, nonsense), np.where(present[..., None], log_variances, nonsense)
        found = product_of_experts(*told, present)
        assert_allclose(found[0], expected[0], rtol=RTOL, atol=1e-9)
        assert_allclose(found[1], expected[1], rtol=RTOL, atol=1e-9)


@points(2)
def test_nobody_speaks(product_of_experts, draw):
    """A sample without any layer gets the prior: mean 0 and log-variance 0.

    没有任何层的样本得到先验：均值 0，对数方差 0。"""
    means, log_variances, present = draw.opinions()
    mean, log_variance = product_of_experts(means, log_variances, present)
    assert_allclose(np.array([mean[0], log_variance[0]]), 0, atol=1e-12)


@points(1)
def test_experts_refuse_what_does_not_fit(product_of_experts, draw):
    """Shapes that do not fit, and a `present` of numbers, are refused with a `ValueError`.

    形状不符，或 `present` 由数字组成时，抛出 `ValueError`。"""
    means, log_variances, present = draw.opinions()
    for bad in (present.T, present.astype(float)):
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            product_of_experts(means, log_variances, bad)


# --- gaussian_log_likelihood -----------------------------------------------------------------------------------------


@points(2)
def test_density_of_drawn_values(gaussian_log_likelihood, draw):
    """Each sample gets the sum of the log densities of its features, each with its own variance.

    每个样本得到各特征对数密度之和，每个特征有自己的方差。"""
    x, mean = draw.rng.normal(size=(2, 7, 5))
    log_variance = draw.rng.uniform(-2, 2, size=5)
    expected = norm.logpdf(x, mean, np.exp(log_variance / 2)).sum(axis=1)
    assert_allclose(gaussian_log_likelihood(x, mean, log_variance), expected, rtol=RTOL)


@points(2)
def test_gaps_have_no_term(gaussian_log_likelihood, draw):
    """A value that was not measured has no term at all: the result is that of the measured features alone.

    没有测量的数值根本没有对应的项：结果等于只用测到的特征计算。"""
    x, mean = draw.rng.normal(size=(2, 6, 5))
    log_variance = draw.rng.uniform(-2, 2, size=5)
    each = norm.logpdf(x, mean, np.exp(log_variance / 2))
    gaps = draw.rng.random(x.shape) < 0.4
    gaps[0], gaps[1] = True, [True, False, False, False, False]
    found = gaussian_log_likelihood(np.where(gaps, np.nan, x), mean, log_variance)
    assert_allclose(found, np.where(gaps, 0, each).sum(axis=1), rtol=RTOL, atol=1e-12)


@points(2)
def test_likelihood_keeps_the_table(gaussian_log_likelihood, draw):
    """The tables that were handed in are not changed, gaps included; nested lists will do as well.

    传入的表（包括缺失值）不会被改动；嵌套列表也可以作为输入。"""
    x = draw.rng.normal(size=(4, 3))
    x[2, 1] = np.nan
    mean, log_variance = draw.rng.normal(size=(4, 3)), draw.rng.normal(size=3)
    before = x.copy(), mean.copy()
    expected = mvae.gaussian_log_likelihood(x, mean, log_variance)
    gaussian_log_likelihood(x, mean, log_variance)
    assert_array_equal(x, before[0])
    assert_array_equal(mean, before[1])
    found = gaussian_log_likelihood(x.tolist(), mean.tolist(), log_variance.tolist())
    assert_allclose(found, expected, rtol=RTOL)


# --- negative_binomial_log_likelihood --------------------------------------------------------------------------------


@points(2)
def test_probability_of_drawn_counts(negative_binomial_log_likelihood, draw):
    """Each sample gets the sum of the log probabilities of its counts, each feature with its own size.

    每个样本得到各计数对数概率之和，每个特征有自己的 size。"""
    counts, mean = draw.rng.poisson(6, size=(7, 5)), draw.rng.uniform(0.2, 12, size=(7, 5))
    log_size = draw.rng.uniform(-1.5, 2, size=5)
    size = np.exp(log_size)
    expected = nbinom.logpmf(counts, size, size / (size + mean)).sum(axis=1)
    assert_allclose(negative_binomial_log_likelihood(counts, mean, log_size), expected, rtol=RTOL)
    as_lists = counts.tolist(), mean.tolist(), log_size.tolist()
    assert_allclose(negative_binomial_log_likelihood(*as_lists), expected, rtol=RTOL)
    single = [part.astype(np.float32) for part in (counts, mean, log_size)]
    exact = mvae.negative_binomial_log_likelihood(*[part.astype(float) for part in single])
    assert_allclose(negative_binomial_log_likelihood(*single), exact, rtol=1e-9)  # single precision keeps 7 digits


@points(2)
def test_large_size_is_poisson(negative_binomial_log_likelihood, draw):
    """With a very large size the counts are Poisson counts, and no digit is lost.

    size 非常大时就是泊松计数，而且不损失有效数字。"""
    counts, mean = draw.rng.poisson(6, size=(5, 4)), draw.rng.uniform(2, 12, size=(5, 4))
    found = negative_binomial_log_likelihood(counts, mean, np.full(4, np.log(1e12)))
    assert_allclose(found, poisson.logpmf(counts, mean).sum(axis=1), rtol=1e-8)


@points(2)
def test_all_counts_together_are_certain(negative_binomial_log_likelihood, draw):
    """The probabilities of all counts of a gene sum to 1, and their mean and variance are the promised ones.

    一个基因所有可能计数的概率之和为 1，其均值与方差也如约定。"""
    counts = np.arange(2000.0)[:, None]
    mean, log_size = draw.rng.uniform(1, 8), draw.rng.uniform(-0.5, 1.5)
    probability = np.exp(negative_binomial_log_likelihood(counts, np.full((2000, 1), mean), [log_size]))
    assert_allclose(probability.sum(), 1, rtol=1e-6)
    assert_allclose(probability @ counts[:, 0], mean, rtol=1e-6)
    assert_allclose(probability @ (counts[:, 0] - mean) ** 2, mean + mean**2 / np.exp(log_size), rtol=1e-6)


# --- posterior_gradient ----------------------------------------------------------------------------------------------


@points(2)
def test_slopes_of_the_draw_and_the_divergence(posterior_gradient, draw):
    """Both tables are the slopes that one finds by moving mean and log-variance a little, the noise kept.

    两张表就是在噪声不变时，把均值和对数方差稍微移动所得到的斜率。"""
    mean, log_variance = draw.posterior(3, 2)
    d_z, noise = draw.rng.normal(size=(2, 3, 2))

    def bound(mean, log_variance):
        return (d_z * (mean + np.exp(log_variance / 2) * noise)).sum() - mvae.kl_divergence(mean, log_variance).sum()

    d_mean, d_log_variance = posterior_gradient(d_z, mean, log_variance, noise)
    # central differences are off by about 1e-9 here
    assert_allclose(d_mean, slope(lambda at: bound(at, log_variance), mean), rtol=1e-5, atol=1e-7)
    assert_allclose(d_log_variance, slope(lambda at: bound(mean, at), log_variance), rtol=1e-5, atol=1e-7)


@points(2)
def test_beta_weights_the_divergence_only(posterior_gradient, draw):
    """β multiplies what comes from the divergence and nothing else; with 0 only the draw is left.

    β 只乘在来自散度的部分上；取 0 时只剩下抽样的部分。"""
    mean, log_variance = draw.posterior()
    d_z, noise = draw.rng.normal(size=(2, *mean.shape))
    for beta in (0.0, 0.3, 4.0):
        found = posterior_gradient(d_z, mean, log_variance, noise, beta=beta)
        expected = mvae.posterior_gradient(d_z, mean, log_variance, noise, beta=beta)
        assert_allclose(found[0], expected[0], rtol=RTOL, atol=1e-10)
        assert_allclose(found[1], expected[1], rtol=RTOL, atol=1e-10)


@points(2)
def test_slope_near_the_prior(posterior_gradient, draw):
    """Near the prior the slope of the divergence keeps its digits.

    在先验附近，散度的斜率仍保住有效数字。"""
    tiny = draw.rng.uniform(1e-10, 1e-9, size=(4, 2)) * draw.rng.choice([-1, 1], size=(4, 2))
    zero = np.zeros((4, 2))
    _, found = posterior_gradient(zero, zero, tiny, zero)
    assert_allclose(found, -tiny / 2, rtol=1e-8)


@points(1)
def test_posterior_gradient_refuses_shapes(posterior_gradient):
    """A mean and a log-variance of different shapes are refused with a `ValueError`; lists will do as tables.

    均值与对数方差形状不同时抛出 `ValueError`；嵌套列表可以当作表。"""
    found = posterior_gradient([[0.5]], [[1]], [[0]], [[-2.0]])
    assert_allclose(np.ravel(found), [-0.5, -0.5])
    with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
        posterior_gradient(np.zeros((4, 2)), np.zeros((4, 2)), np.zeros((1, 2)), np.zeros((4, 2)))


# --- product_gradient ------------------------------------------------------------------------------------------------


@points(3)
def test_slopes_of_the_product(product_gradient, draw):
    """Both tables are the slopes that one finds by moving each opinion a little.

    两张表就是把每个意见稍微移动所得到的斜率。"""
    means, log_variances, present = draw.opinions(2, 4, 2)
    d_mean, d_log_variance = draw.rng.normal(size=(2, 4, 2))

    def arriving(means, log_variances):
        mean, log_variance = product(means, log_variances, present)
        return (d_mean * mean).sum() + (d_log_variance * log_variance).sum()

    told = means, log_variances, present
    found = product_gradient(means, log_variances, present.tolist(), *product(*told), d_mean, d_log_variance)
    # central differences are off by about 1e-9 here
    assert_allclose(found[0], slope(lambda at: arriving(at, log_variances), means), rtol=1e-5, atol=1e-7)
    assert_allclose(found[1], slope(lambda at: arriving(means, at), log_variances), rtol=1e-5, atol=1e-7)


@points(2)
def test_absent_experts_get_nothing(product_gradient, draw):
    """An absent layer gets 0 in both tables, even if its opinion is NaN, and does not disturb the others.

    缺席的层在两张表中都得 0，即使它的意见是 NaN；其他层不受影响。"""
    means, log_variances, present = draw.opinions()
    d_mean, d_log_variance = draw.rng.normal(size=(2, *means.shape[1:]))
    made = product(means, log_variances, present)
    expected = mvae.product_gradient(means, log_variances, present, *made, d_mean, d_log_variance)
    blank = [np.where(present[..., None], part, np.nan) for part in (means, log_variances)]
    found = product_gradient(*blank, present, *made, d_mean, d_log_variance)
    for part, wanted in zip(found, expected, strict=True):
        assert_array_equal(np.asarray(part)[~present], 0)
        assert_allclose(part, wanted, rtol=RTOL, atol=1e-10)


@points(2)
def test_gradient_of_very_sure_experts(product_gradient, draw):
    """Experts that are very sure (log-variance −800) get finite gradients: half each for two alike.

    非常有把握的专家（对数方差 −800）得到的导数是有限的：两位相同的专家各得一半。"""
    means = draw.rng.normal(size=(2, 3, 1))
    sure, present = np.full((2, 3, 1), -800.0), np.ones((2, 3), dtype=bool)
    mean, log_variance = means.mean(axis=0), np.full((3, 1), -800.0 - np.log(2))
    d_means, d_log_variances = product_gradient(
        means, sure, present, mean, log_variance, np.ones((3, 1)), np.zeros((3, 1))
    )
    assert_allclose(d_means, 0.5, rtol=1e-9)
    assert_allclose(d_log_variances, (mean - means) / 2, rtol=1e-9, atol=1e-12)


@points(1)
def test_product_gradient_refuses_shapes(product_gradient, draw):
    """A `present` whose shape does not fit, or of numbers, is refused with a `ValueError`.

    `present` 的形状不符，或由数字组成时，抛出 `ValueError`。"""
    means, log_variances, present = draw.opinions(1, 6, 2)
    made = product(means, log_variances, present)
    for bad in (present[0], present.astype(float)):
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            product_gradient(means, log_variances, bad, *made, *made)


# --- adam_step -------------------------------------------------------------------------------------------------------


@points(2)
def test_many_steps_by_the_paper(adam_step, draw):
    """Over many steps parameters and both running means are those of the paper's algorithm.

    走许多步之后，参数与两个滑动平均都与论文中的算法一致。"""
    at, mean, square = draw.rng.normal(size=4), np.zeros(4), np.zeros(4)
    expected, m, v = at.copy(), np.zeros(4), np.zeros(4)
    for step, gradient in enumerate(draw.rng.normal(size=(9, 4)), start=1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        expected = expected - 1e-3 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        at, mean, square = adam_step(at, gradient, mean, square, step)
        assert_allclose(at, expected, rtol=1e-9, atol=1e-12)
        assert_allclose(mean, m, rtol=1e-9, atol=1e-14)
        assert_allclose(square, v, rtol=1e-9, atol=1e-16)


@points(2)
def test_rates_of_one_s_own(adam_step, draw):
    """Learning rate, both decays and epsilon are those that were given.

    学习率、两个衰减系数和 epsilon 都按所给的取值。"""
    told = draw.rng.normal(size=(2, 3)), draw.rng.normal(size=(2, 3)), draw.rng.normal(size=(2, 3)), np.ones((2, 3))
    options = {"learning_rate": 0.2, "decays": (0.7, 0.95), "epsilon": 0.3}
    for found, expected in zip(adam_step(*told, 4, **options), mvae.adam_step(*told, 4, **options), strict=True):
        assert_allclose(found, expected, rtol=1e-9)


@points(2)
def test_nothing_handed_in_is_changed(adam_step, draw):
    """The arrays that were handed in stay as they are, and lists will do as well.

    传入的数组保持不变；列表也可以作为输入。"""
    told = [draw.rng.uniform(0.1, 1, size=3) for _ in range(4)]
    before = [part.copy() for part in told]
    expected = mvae.adam_step(*before, 2)
    adam_step(*told, 2)
    for part, was in zip(told, before, strict=True):
        assert_array_equal(part, was)
    for found, wanted in zip(adam_step(*[part.tolist() for part in told], 2), expected, strict=True):
        assert_allclose(found, wanted, rtol=1e-9)


@points(1)
def test_adam_refuses_bad_steps(adam_step):
    """Shapes that differ, and a step below 1, are refused with a `ValueError`.

    形状不同或步数小于 1 时，抛出 `ValueError`。"""
    three = np.ones(3)
    for told in ((three, np.ones(1), three, three, 1), (three, three, three, three, 0)):
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the student's)
            adam_step(*told)


# --- imputed ---------------------------------------------------------------------------------------------------------


@points(3)
def test_several_metabolites_are_told(imputed, cohort):
    """For several metabolites what was imputed follows what was measured, far more often than by chance.

    有若干种代谢物，其填补值与测量值同升同降，次数远多于碰巧。"""
    correlation = imputed.corrwith(prepared(cohort).loc[imputed.index])
    # By chance one of a thousand exceeds ½; over seeds and simulated cohorts 7 to 46 of about 410 did.
    assert (correlation > 0.5).sum() >= 3
    assert correlation.mean() > 0.03


@points(2)
def test_nothing_was_peeked_at(imputed, cohort):
    """No model can tell metabolites so well that it has not seen: the hidden values had no part in it.

    没有见过答案的模型不可能猜得这么准：被隐藏的数值没有参与训练。"""
    correlation = imputed.corrwith(prepared(cohort).loc[imputed.index])
    assert correlation.fillna(0).mean() < 0.25  # on simulated cohorts 0.08 to 0.11, and 0.12 by ridge regression


@points(2)
def test_units_of_the_layer(imputed, cohort):
    """Imputed values stand in the units of the layer: each metabolite lies where the measured ones lie.

    填补值的单位与该层相同：每种代谢物都落在测量值所在的范围。"""
    measured = prepared(cohort)
    away = (imputed.mean() - measured.mean()).abs() / measured.std()
    assert away.median() < 0.5


def prepared(cohort):
    """Metabolites as the lesson prepares them."""
    table = cohort.layers["metabolite"]
    seen = np.log2(table.loc[:, table.notna().mean() >= 0.6])
    table = seen.sub(seen.median(axis=1), axis=0)
    table = table.fillna(table.min())
    centred = table - table.groupby(cohort.samples["metabolite"]["batch"]).transform("mean")
    return centred + table.mean()
