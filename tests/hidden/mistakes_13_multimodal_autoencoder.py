"""Wrong answers people give in unit 13, each with what to say to who gives it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import gammaln

from course.checking import mistake
from reference_impl.integration import mvae
from reference_impl.integration.mvae.bound import as_floats, require_experts, require_posterior

# --- kl_divergence ---------------------------------------------------------------------------------------------------


def _posterior(mean, log_variance):
    mean, log_variance = as_floats(mean, log_variance)
    require_posterior(mean, log_variance)
    return mean, log_variance


@mistake(
    of="kl_divergence",
    en="You wrote exp(λ) − 1 − λ as it stands: near the prior, 1 swallows the digits of exp(λ). Use expm1.",
    zh="你照原样写了 exp(λ) − 1 − λ：在先验附近，exp(λ) 的有效数字被 1 吞掉了。请用 expm1。",
)
def digits_swallowed(mean, log_variance):
    mean, log_variance = _posterior(mean, log_variance)
    return 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=1)


@mistake(
    of="kl_divergence",
    en="You took the mean over latent dimensions. The divergence is a sum: every dimension costs.",
    zh="你对潜空间的各维取了平均。散度应当是求和：每一维都有代价。",
)
def mean_over_dimensions(mean, log_variance):
    mean, log_variance = _posterior(mean, log_variance)
    return 0.5 * np.mean(mean**2 + np.expm1(log_variance) - log_variance, axis=1)


@mistake(
    of="kl_divergence",
    en="You read λ as the logarithm of the standard deviation. It is that of the variance: exp(λ) is the variance.",
    zh="你把 λ 当成了标准差的对数。它是方差的对数：exp(λ) 就是方差。",
)
def logarithm_of_the_deviation(mean, log_variance):
    mean, log_variance = _posterior(mean, log_variance)
    return 0.5 * np.sum(mean**2 + np.expm1(2 * log_variance) - 2 * log_variance, axis=1)


@mistake(
    of="kl_divergence",
    en="You computed the divergence of the prior from the posterior. The two directions differ; here the mean is taken "
    "over the posterior.",
    zh="你算的是先验相对于后验的散度。两个方向并不相同；这里要对后验取平均。",
)
def other_direction(mean, log_variance):
    mean, log_variance = _posterior(mean, log_variance)
    return 0.5 * np.sum((1 + mean**2) * np.exp(-log_variance) - 1 + log_variance, axis=1)


# --- product_of_experts ----------------------------------------------------------------------------------------------


def _experts(means, log_variances, present):
    means, log_variances = as_floats(means, log_variances)
    present = np.asarray(present)
    require_experts((means, log_variances), present)
    return means, log_variances, present[..., None]


def _clean(means, log_variances, there):
    return np.where(there, means, 0), np.where(there, log_variances, 0)


@mistake(
    of="product_of_experts",
    en="The prior is missing among the experts. Its precision 1 belongs to the sum, and a sample without any layer is "
    "nothing but the prior.",
    zh="专家之中漏掉了先验。它的精度 1 也要加进去；没有任何层的样本，剩下的就只有先验。",
)
def without_the_prior(means, log_variances, present):
    means, log_variances, there = _experts(means, log_variances, present)
    log_precisions = np.where(there, -log_variances, -np.inf)
    with np.errstate(all="ignore"):
        total = np.logaddexp.reduce(log_precisions, axis=0)
        share = np.exp(log_precisions - total)
    return np.where(there, share * means, 0).sum(axis=0), -total


@mistake(
    of="product_of_experts",
    en="You went through variances and added a small constant against division by 0. That is wrong where an expert is "
    "surer than the constant: stay with logarithms (logsumexp).",
    zh="你用的是方差，并加了一个小常数以防除以 0。专家比这个常数更有把握时结果就错了：请一直用对数（logsumexp）。",
)
def a_small_constant(means, log_variances, present):
    means, log_variances, there = _experts(means, log_variances, present)
    means, log_variances = _clean(means, log_variances, there)
    precisions = np.where(there, 1 / (np.exp(log_variances) + 1e-10), 0)
    total = 1 + precisions.sum(axis=0)
    return (precisions * means).sum(axis=0) / total, -np.log(total)


@mistake(
    of="product_of_experts",
    en="exp(−λ) is infinite for an expert with λ = −800, and infinity divided by infinity is NaN. Form the sum with "
    "logsumexp and the shares from differences of logarithms.",
    zh="专家的 λ = −800 时，exp(−λ) 是无穷大，而无穷大除以无穷大是 NaN。请用 logsumexp 求和，由对数之差求份额。",
)
def overflowing(means, log_variances, present):
    means, log_variances, there = _experts(means, log_variances, present)
    means, log_variances = _clean(means, log_variances, there)
    with np.errstate(all="ignore"):
        precisions = np.where(there, np.exp(-log_variances), 0)
        total = 1 + precisions.sum(axis=0)
        return (precisions * means).sum(axis=0) / total, -np.log(total)


@mistake(
    of="product_of_experts",
    en="An absent layer still speaks: its mean counts as 0 but its precision is added. Its precision has to be 0.",
    zh="缺席的层仍在发言：它的均值算作 0，精度却加了进去。它的精度应当是 0。",
)
def absent_layers_speak(means, log_variances, present):
    means, log_variances, there = _experts(means, log_variances, present)
    return mvae.product_of_experts(np.where(there, means, 0), np.nan_to_num(log_variances), np.ones_like(present, bool))


@mistake(
    of="product_of_experts",
    en="0 times NaN is NaN: the opinion of an absent expert spoils the sum although its share is 0. Put 0 in its "
    "place before you multiply.",
    zh="0 乘以 NaN 还是 NaN：缺席专家的份额虽为 0，它的意见却毁掉了总和。请在相乘之前先把它换成 0。",
)
def nan_times_nothing(means, log_variances, present):
    means, log_variances, there = _experts(means, log_variances, present)
    _, log_variance = mvae.product_of_experts(means, log_variances, there[..., 0])
    share = np.exp(np.where(there, -log_variances, -np.inf) + log_variance)
    with np.errstate(all="ignore"):
        return (share * means).sum(axis=0), log_variance


@mistake(
    of="product_of_experts",
    en="You averaged the experts' means. In a product, each is weighted by its share of the precision.",
    zh="你把专家的均值直接平均了。在乘积中，每位专家按其精度所占的份额加权。",
)
def plain_average(means, log_variances, present):
    means, log_variances, there = _experts(means, log_variances, present)
    _, log_variance = mvae.product_of_experts(means, log_variances, there[..., 0])
    return np.where(there, means, 0).sum(axis=0) / (1 + there.sum(axis=0)), log_variance


# --- gaussian_log_likelihood -----------------------------------------------------------------------------------------


def _values(x, mean, log_variance):
    return as_floats(x, mean, log_variance)


@mistake(
    of="gaussian_log_likelihood",
    en="Only the square was dropped for a gap; ln 2π and the log-variance stayed. A value that was not measured has no "
    "term at all.",
    zh="对缺失值只去掉了平方项，ln 2π 与对数方差还留着。没有测量的数值根本不应有对应的项。",
)
def gaps_keep_the_constant(x, mean, log_variance):
    x, mean, log_variance = _values(x, mean, log_variance)
    squares = np.nan_to_num((x - mean) ** 2) * np.exp(-log_variance)
    return -0.5 * (np.log(2 * np.pi) + log_variance + squares).sum(axis=1)


@mistake(
    of="gaussian_log_likelihood",
    en="You replaced gaps by 0, as if 0 had been measured. A gap has no term.",
    zh="你把缺失值换成了 0，好像测得的就是 0。缺失值没有对应的项。",
)
def gaps_as_zero(x, mean, log_variance):
    x, mean, log_variance = _values(x, mean, log_variance)
    return mvae.gaussian_log_likelihood(np.nan_to_num(x), mean, log_variance)


@mistake(
    of="gaussian_log_likelihood",
    en="You read ν as the logarithm of the standard deviation. It is that of the variance: divide the square by "
    "exp(ν).",
    zh="你把 ν 当成了标准差的对数。它是方差的对数：平方应除以 exp(ν)。",
)
def noise_as_deviation(x, mean, log_variance):
    x, mean, log_variance = _values(x, mean, log_variance)
    return mvae.gaussian_log_likelihood(x, mean, 2 * log_variance)


@mistake(
    of="gaussian_log_likelihood",
    en="The term ν itself is missing. Without it, the model would explain everything by an enormous noise.",
    zh="漏掉了 ν 这一项。没有它，模型就会用极大的噪声来解释一切。",
)
def noise_is_free(x, mean, log_variance):
    x, mean, log_variance = _values(x, mean, log_variance)
    terms = -0.5 * (np.log(2 * np.pi) + (x - mean) ** 2 * np.exp(-log_variance))
    return np.where(np.isnan(x), 0, terms).sum(axis=1)


@mistake(
    of="gaussian_log_likelihood",
    en="You filled the gaps in the caller's table. Work on a copy, or choose with np.where.",
    zh="你在调用者的表里填掉了缺失值。请在副本上操作，或用 np.where 选择。",
)
def changes_the_table(x, mean, log_variance):
    x, mean, log_variance = _values(x, mean, log_variance)
    found = mvae.gaussian_log_likelihood(x, mean, log_variance)
    x[np.isnan(x)] = 0
    return found


# --- negative_binomial_log_likelihood --------------------------------------------------------------------------------


def _counts(x, mean, log_size):
    return [np.asarray(part, dtype=float) for part in (x, mean, log_size)]


@mistake(
    of="negative_binomial_log_likelihood",
    en="The difference of two log-gamma functions loses its digits for a large size. Use the beta function, as "
    "the task says.",
    zh="size 很大时，两个 ln Γ 之差会损失有效数字。请按题目所说使用 beta 函数。",
)
def difference_of_gammas(x, mean, log_size):
    x, mean, log_size = _counts(x, mean, log_size)
    size = np.exp(log_size)
    ways = gammaln(x + size) - gammaln(size) - gammaln(x + 1)
    return np.sum(ways - size * np.log1p(mean / size) + x * np.log(mean / (size + mean)), axis=1)


@mistake(
    of="negative_binomial_log_likelihood",
    en="Without the binomial coefficient the probabilities of all counts do not sum to 1.",
    zh="漏掉了二项式系数，所有计数的概率之和就不等于 1。",
)
def without_the_coefficient(x, mean, log_size):
    x, mean, log_size = _counts(x, mean, log_size)
    size = np.exp(log_size)
    return np.sum(-size * np.log1p(mean / size) + x * np.log(mean / (size + mean)), axis=1)


@mistake(
    of="negative_binomial_log_likelihood",
    en="You used the dispersion: variance μ + r μ². Here r is the size, and the variance is μ + μ² / r.",
    zh="你把它当成了离散度：方差 μ + r μ²。这里的 r 是 size，方差为 μ + μ² / r。",
)
def size_as_dispersion(x, mean, log_size):
    x, mean, log_size = _counts(x, mean, log_size)
    return mvae.negative_binomial_log_likelihood(x, mean, -log_size)


@mistake(
    of="negative_binomial_log_likelihood",
    en="You used the logarithm of the size as if it were the size.",
    zh="你把 size 的对数直接当成了 size。",
)
def logarithm_as_size(x, mean, log_size):
    x, mean, log_size = _counts(x, mean, log_size)
    with np.errstate(all="ignore"):
        return mvae.negative_binomial_log_likelihood(x, mean, np.log(log_size))


@mistake(
    of="negative_binomial_log_likelihood",
    en="These are Poisson probabilities. Patients differ: the negative binomial's variance is larger than its mean.",
    zh="这是泊松概率。患者之间有差异：负二项分布的方差大于均值。",
)
def poisson_counts(x, mean, log_size):
    x, mean, log_size = _counts(x, mean, log_size)
    return np.sum(x * np.log(mean) - mean - gammaln(x + 1), axis=1)


# --- posterior_gradient ----------------------------------------------------------------------------------------------


@mistake(
    of="posterior_gradient",
    en="The derivative of exp(λ/2) is half of itself; that half is missing in the part of the draw.",
    zh="exp(λ/2) 的导数是它自己的一半；抽样那部分漏掉了这个 ½。",
)
def half_forgotten(d_z, mean, log_variance, noise, *, beta=1.0):
    d_mean, d_log_variance = mvae.posterior_gradient(d_z, mean, log_variance, noise, beta=beta)
    d_z, log_variance, noise = as_floats(d_z, log_variance, noise)
    return d_mean, d_log_variance + d_z * noise * np.exp(log_variance / 2) / 2


@mistake(
    of="posterior_gradient",
    en="The divergence is taken away in the bound, so its derivatives are taken away too; you added them.",
    zh="下界中的散度是减去的，所以它的导数也要减去；你却加上了。",
)
def divergence_added(d_z, mean, log_variance, noise, *, beta=1.0):
    return mvae.posterior_gradient(d_z, mean, log_variance, noise, beta=-beta)


@mistake(
    of="posterior_gradient",
    en="β weights the divergence only. What arrives from the draw keeps its full weight.",
    zh="β 只给散度加权。从抽样传来的部分应保持原来的权重。",
)
def beta_on_everything(d_z, mean, log_variance, noise, *, beta=1.0):
    d_mean, d_log_variance = mvae.posterior_gradient(d_z, mean, log_variance, noise)
    return beta * d_mean, beta * d_log_variance


@mistake(
    of="posterior_gradient",
    en="You differentiated the draw as if the noise were multiplied by the variance. It is multiplied by the standard "
    "deviation, exp(λ/2).",
    zh="你求导时好像噪声乘的是方差。噪声乘的是标准差 exp(λ/2)。",
)
def scaled_by_the_variance(d_z, mean, log_variance, noise, *, beta=1.0):
    d_mean, _ = mvae.posterior_gradient(d_z, mean, log_variance, noise, beta=beta)
    d_z, mean, log_variance, noise = as_floats(d_z, mean, log_variance, noise)
    return d_mean, d_z * noise * np.exp(log_variance) / 2 - beta / 2 * np.expm1(log_variance)


@mistake(
    of="posterior_gradient",
    en="exp(λ) − 1 loses its digits near the prior. Use expm1.",
    zh="在先验附近，exp(λ) − 1 会损失有效数字。请用 expm1。",
)
def slope_without_digits(d_z, mean, log_variance, noise, *, beta=1.0):
    d_mean, _ = mvae.posterior_gradient(d_z, mean, log_variance, noise, beta=beta)
    d_z, log_variance, noise = as_floats(d_z, log_variance, noise)
    return d_mean, d_z * noise * np.exp(log_variance / 2) / 2 - beta / 2 * (np.exp(log_variance) - 1)


# --- product_gradient ------------------------------------------------------------------------------------------------


@mistake(
    of="product_gradient",
    en="The sign is turned: an expert that becomes less sure lets the product move away from it, so the derivative is "
    "s (μ − μₘ).",
    zh="符号反了：专家变得没把握时，乘积会离它远去，所以导数是 s (μ − μₘ)。",
)
def towards_the_expert(means, log_variances, present, mean, log_variance, d_mean, d_log_variance):
    told = means, log_variances, present, mean, log_variance
    d_means, right = mvae.product_gradient(*told, d_mean, d_log_variance)
    only_spread = mvae.product_gradient(*told, np.zeros_like(d_mean), d_log_variance)[1]
    return d_means, 2 * only_spread - right


@mistake(
    of="product_gradient",
    en="A path is missing: an expert's log-variance also moves the product's mean, through the shares.",
    zh="漏掉了一条路：专家的对数方差还会通过份额影响乘积的均值。",
)
def a_path_is_missing(means, log_variances, present, mean, log_variance, d_mean, d_log_variance):
    told = means, log_variances, present, mean, log_variance
    d_means, _ = mvae.product_gradient(*told, d_mean, d_log_variance)
    return d_means, mvae.product_gradient(*told, np.zeros_like(d_mean), d_log_variance)[1]


@mistake(
    of="product_gradient",
    en="Your shares are exp(−λₘ) divided by exp(−λ). Both overflow for an expert that is very sure; subtract the "
    "logarithms first.",
    zh="你的份额是 exp(−λₘ) 除以 exp(−λ)。专家非常有把握时两者都会溢出；请先把对数相减。",
)
def shares_overflow(means, log_variances, present, mean, log_variance, d_mean, d_log_variance):
    right = mvae.product_gradient(means, log_variances, present, mean, log_variance, d_mean, d_log_variance)
    with np.errstate(all="ignore"):
        one = np.exp(-np.asarray(log_variance, dtype=float)) / np.exp(-np.asarray(log_variance, dtype=float))
    return right[0] * one, right[1] * one


@mistake(
    of="product_gradient",
    en="An absent layer gets NaN, which then spreads to all weights of its encoder. It had no part in the product, so "
    "it gets 0.",
    zh="缺席的层得到了 NaN，随后会扩散到它编码器的所有权重。它没有参与乘积，所以应得 0。",
)
def nan_for_the_absent(means, log_variances, present, mean, log_variance, d_mean, d_log_variance):
    d_means, d_log_variances = mvae.product_gradient(
        means, log_variances, present, mean, log_variance, d_mean, d_log_variance
    )
    return d_means + 0 * np.asarray(means), d_log_variances + 0 * np.asarray(log_variances)


@mistake(
    of="product_gradient",
    en="Everybody gets the whole gradient. Each expert gets its share of it.",
    zh="每位专家都拿到了全部导数。每位专家只应得到自己的份额。",
)
def the_whole_for_everybody(means, log_variances, present, mean, log_variance, d_mean, d_log_variance):
    means, log_variances, there = _experts(means, log_variances, present)
    pull = np.where(there, mean - means, 0)
    return there * np.asarray(d_mean), there * (np.asarray(d_log_variance) + np.asarray(d_mean) * pull)


# --- adam_step -------------------------------------------------------------------------------------------------------


def _adam(parameters, gradient, mean, square, step, decays):
    parameters, gradient, mean, square = as_floats(parameters, gradient, mean, square)
    if len({part.shape for part in (parameters, gradient, mean, square)}) > 1 or step < 1:
        raise ValueError("shapes differ, or the step is below 1")
    mean = decays[0] * mean + (1 - decays[0]) * gradient
    square = decays[1] * square + (1 - decays[1]) * gradient**2
    return parameters, mean, square, mean / (1 - decays[0] ** step), square / (1 - decays[1] ** step)


@mistake(
    of="adam_step",
    en="The corrections are missing. Both running means begin at 0 and are too small at first, the mean of squares "
    "more so.",
    zh="漏掉了校正。两个滑动平均都从 0 开始，起初偏小，平方的平均尤其如此。",
)
def no_correction(parameters, gradient, mean, square, step, *, learning_rate=1e-3, decays=(0.9, 0.999), epsilon=1e-8):
    parameters, mean, square, _, _ = _adam(parameters, gradient, mean, square, step, decays)
    return parameters - learning_rate * mean / (np.sqrt(square) + epsilon), mean, square


@mistake(
    of="adam_step",
    en="You return the corrected means, and the next step corrects them again. Give back m and v as they are before "
    "the correction.",
    zh="你返回的是校正后的平均，下一步又会再校正一次。请返回校正之前的 m 与 v。",
)
def corrected_means_returned(
    parameters, gradient, mean, square, step, *, learning_rate=1e-3, decays=(0.9, 0.999), epsilon=1e-8
):
    parameters, _, _, mean, square = _adam(parameters, gradient, mean, square, step, decays)
    return parameters - learning_rate * mean / (np.sqrt(square) + epsilon), mean, square


@mistake(
    of="adam_step",
    en="Epsilon stands inside the root. It is added to the root; inside, it is felt where gradients are small.",
    zh="epsilon 写进了根号里。它应当加在根号之外；放在里面，梯度小的地方就会受影响。",
)
def epsilon_inside(parameters, gradient, mean, square, step, *, learning_rate=1e-3, decays=(0.9, 0.999), epsilon=1e-8):
    parameters, mean, square, m, v = _adam(parameters, gradient, mean, square, step, decays)
    return parameters - learning_rate * m / np.sqrt(v + epsilon), mean, square


@mistake(
    of="adam_step",
    en="You updated the caller's arrays in place. The task asks for new ones.",
    zh="你就地修改了调用者的数组。题目要求返回新数组。",
)
def in_place(parameters, gradient, mean, square, step, *, learning_rate=1e-3, decays=(0.9, 0.999), epsilon=1e-8):
    new = mvae.adam_step(
        parameters, gradient, mean, square, step, learning_rate=learning_rate, decays=decays, epsilon=epsilon
    )
    for old, now in zip((parameters, mean, square), new, strict=True):
        old[:] = now
    return new


@mistake(
    of="adam_step",
    en="You went uphill. The gradient is that of the loss, which is to fall: take the step away.",
    zh="你走了上坡。这是损失的梯度，而损失应当下降：要把这一步减去。",
)
def uphill(parameters, gradient, mean, square, step, *, learning_rate=1e-3, decays=(0.9, 0.999), epsilon=1e-8):
    return mvae.adam_step(
        parameters, gradient, mean, square, step, learning_rate=-learning_rate, decays=decays, epsilon=epsilon
    )


# --- imputed ---------------------------------------------------------------------------------------------------------


@mistake(
    of="imputed",
    en="The model had seen the metabolites it was to guess: they were not hidden before training.",
    zh="模型见过它要猜的代谢物：训练之前没有把它们藏起来。",
)
def saw_the_answer(layers, cohort, hidden_patients, impute):
    expected = impute({name: table.to_numpy() for name, table in layers.items()}, "metabolite")
    return pd.DataFrame(expected, index=cohort.patients, columns=layers["metabolite"].columns).loc[hidden_patients]


@mistake(
    of="imputed",
    en="These are the measured values themselves, not imputed ones.",
    zh="这些就是测量值本身，不是填补值。",
)
def the_measured_values(layers, hidden_patients):
    return layers["metabolite"].loc[hidden_patients]


@mistake(
    of="imputed",
    en="You filled in the mean of each metabolite. It is the same for every patient and says nothing about any of "
    "them.",
    zh="你填的是每种代谢物的均值。它对每位患者都一样，对谁都没有说出什么。",
)
def column_means(layers, hidden_patients):
    table = layers["metabolite"]
    means = table.drop(index=hidden_patients).mean()
    return pd.DataFrame([means] * len(hidden_patients), index=hidden_patients, columns=table.columns)


@mistake(
    of="imputed",
    en="These are standardised values. Bring them back to the units of the layer.",
    zh="这些是标准化之后的数值。请变回该层的单位。",
)
def standardised_values(layers, cohort, hidden_patients, impute):
    known = layers | {"metabolite": layers["metabolite"].copy()}
    known["metabolite"].loc[hidden_patients] = np.nan
    standard = {name: ((table - table.mean()) / table.std(ddof=0)).to_numpy() for name, table in known.items()}
    columns = layers["metabolite"].columns
    return pd.DataFrame(impute(standard, "metabolite"), index=cohort.patients, columns=columns).loc[hidden_patients]
