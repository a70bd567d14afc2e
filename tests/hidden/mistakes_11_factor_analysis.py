"""Wrong answers people really give to unit 11, each with what to say to who gives it."""

import numpy as np
from scipy.special import expit

from course.checking import mistake
from reference_impl.integration import mofa as reference
from reference_impl.integration.mofa import PRIOR_RATE, PRIOR_SHAPE, Gamma, Weights

# ---------------------------------------------------------------- factor_evidence


@mistake(
    of="factor_evidence",
    en="You took E[w]² on the diagonal of the precision. There stands E[w²]: add noise precision times the variance of "
    "each weight.",
    zh="你在精度的对角线上用了 E[w]²。那里应是 E[w²]：还要加上噪声精度乘以每个权重的方差。",
)
def squared_mean(values, weights, noise_precision):
    scaled = noise_precision[:, None] * weights.mean
    return weights.mean.T @ scaled, values @ scaled


@mistake(
    of="factor_evidence",
    en="You added the slab's variance. A weight that may be off varies in another way too: take second_moment − mean².",
    zh="你加上的是 slab 的方差。可能关着的权重还有另一种变动：应取 second_moment − mean²。",
)
def only_slab_variance(values, weights, noise_precision):
    scaled = noise_precision[:, None] * weights.mean
    return weights.mean.T @ scaled + np.diag(noise_precision @ weights.slab_variance), values @ scaled


@mistake(
    of="factor_evidence",
    en="You used slab_mean where E[w] belongs. A weight that is on with probability 0.2 counts a fifth: take "
    "weights.mean.",
    zh="你在该用 E[w] 的地方用了 slab_mean。以 0.2 的概率打开的权重只算五分之一：请用 weights.mean。",
)
def as_if_all_were_on(values, weights, noise_precision):
    scaled = noise_precision[:, None] * weights.slab_mean
    precision = weights.slab_mean.T @ scaled + np.diag(noise_precision @ weights.slab_variance)
    return precision, values @ scaled


@mistake(
    of="factor_evidence",
    en="Your signal leaves out the noise precision: a noisy feature speaks as loud as a precise one.",
    zh="你的信号漏掉了噪声精度：噪声大的特征与精确的特征说话一样响。",
)
def signal_without_noise(values, weights, noise_precision):
    precision, _ = reference.factor_evidence(values, weights, noise_precision)
    return precision, values @ weights.mean


@mistake(
    of="factor_evidence",
    en="You divided by the noise precision. It is one over the variance already: multiply.",
    zh="你除以了噪声精度。它已经是方差的倒数：应当相乘。",
)
def divided_by_precision(values, weights, noise_precision):
    return reference.factor_evidence(values, weights, 1 / noise_precision)


# ---------------------------------------------------------------- factor_posterior


@mistake(
    of="factor_posterior",
    en="An absent layer still adds its precision: you counted it as a layer of zeros. Add only the layers that the "
    "sample has.",
    zh="缺失的层仍然加上了它的精度：你把它当成了一层零。只应加上样本拥有的层。",
)
def absent_as_zero(precisions, signals, present):
    silent = np.where(present[:, :, None], signals, 0.0)
    return reference.factor_posterior(precisions, silent, np.ones_like(present))


@mistake(
    of="factor_posterior",
    en="The prior is missing: add the identity to the precisions. Without it a sample without layers has no posterior.",
    zh="漏掉了先验：应给精度加上单位矩阵。没有它，一层都没有的样本就没有后验。",
)
def without_prior(precisions, signals, present):
    _, covariance = reference.factor_posterior(precisions, signals, present)
    signal = np.where(present[:, :, None], signals, 0.0).sum(axis=0)
    without = np.linalg.inv(np.linalg.inv(covariance) - (1 - 1e-9) * np.eye(signal.shape[1]))
    return np.einsum("nij,nj->ni", without, signal), without


@mistake(
    of="factor_posterior",
    en="You inverted only the diagonal of the precision. Given the data, factors that act in the same features are "
    "correlated: invert the whole matrix.",
    zh="你只对精度的对角线求了倒数。作用于同样特征的因子，在给定数据之后是相关的：应对整个矩阵求逆。",
)
def inverse_of_diagonal(precisions, signals, present):
    _, covariance = reference.factor_posterior(precisions, signals, present)
    diagonal = np.diagonal(np.linalg.inv(covariance), axis1=1, axis2=2)
    signal = np.where(present[:, :, None], signals, 0.0).sum(axis=0)
    return signal / diagonal, (1 / diagonal)[:, :, None] * np.eye(signal.shape[1])


@mistake(
    of="factor_posterior",
    en="You silenced an absent layer by multiplying with 0, but NaN times 0 is NaN. Use np.where.",
    zh="你用乘 0 让缺失的层不发言，但 NaN 乘 0 仍是 NaN。请用 np.where。",
)
def nan_times_zero(precisions, signals, present):
    _, covariance = reference.factor_posterior(precisions, signals, present)
    signal = (present[:, :, None] * signals).sum(axis=0)
    return np.einsum("nij,nj->ni", covariance, signal), covariance


@mistake(
    of="factor_posterior",
    en="You averaged the layers. Independent voices add up: with more layers the precision must grow.",
    zh="你对各层取了平均。独立的声音应当相加：层越多，精度越高。",
)
def mean_of_layers(precisions, signals, present):
    n_layers = np.maximum(present.sum(axis=0), 1)
    each = np.reshape(precisions, (len(signals), -1, signals.shape[2], signals.shape[2]))
    shared = np.broadcast_to(each, (*signals.shape, signals.shape[2])) / n_layers[:, None, None]
    return reference.factor_posterior(shared, signals / n_layers[:, None], present)


@mistake(
    of="factor_posterior",
    en="You accept only one precision per layer. Where single values are missing each sample has a matrix of its own.",
    zh="你只接受每层一个精度矩阵。有零散缺失值时，每个样本各有一个矩阵。",
)
def one_matrix_per_layer(precisions, signals, present):
    first = precisions if precisions.ndim == 3 else precisions[:, 0]
    return reference.factor_posterior(first, signals, present)


# ---------------------------------------------------------------- relevance_posterior


@mistake(
    of="relevance_posterior",
    en="You counted all features. Only weights that are on tell something about α: sum the inclusion.",
    zh="你把所有特征都数上了。只有打开的权重才提供关于 α 的信息：应对 inclusion 求和。",
)
def all_features_counted(weights):
    right = reference.relevance_posterior(weights)
    return Gamma(np.full_like(right.rate, PRIOR_SHAPE + len(weights.inclusion) / 2), right.rate)


@mistake(
    of="relevance_posterior",
    en="You squared the mean weights. The rate needs E[w²], which is larger by the variance: second_moment.",
    zh="你对平均权重取了平方。速率需要的是 E[w²]，它比前者大一个方差：second_moment。",
)
def squares_of_means(weights):
    return Gamma(reference.relevance_posterior(weights).shape, PRIOR_RATE + (weights.mean**2).sum(axis=0) / 2)


@mistake(
    of="relevance_posterior",
    en="One half is missing: each weight adds ½ to the shape and half its square to the rate.",
    zh="漏了二分之一：每个权重给形状加 ½，给速率加其平方的一半。",
)
def without_halves(weights):
    return Gamma(PRIOR_SHAPE + weights.inclusion.sum(axis=0), PRIOR_RATE + weights.second_moment.sum(axis=0))


@mistake(
    of="relevance_posterior",
    en="You left out the prior's 0.001. A factor that is off in the whole layer would then have shape and rate 0.",
    zh="你漏掉了先验的 0.001。否则在整层都关着的因子，形状和速率都会是 0。",
)
def without_gamma_prior(weights):
    return Gamma(weights.inclusion.sum(axis=0) / 2, weights.second_moment.sum(axis=0) / 2)


@mistake(
    of="relevance_posterior",
    en="Your slab counts fully also where the switch is probably off. E[w²] is inclusion times slab moment.",
    zh="开关多半关着的地方，你的 slab 也全算进去了。E[w²] 等于 inclusion 乘以 slab 的二阶矩。",
)
def slabs_that_are_off(weights):
    slab = weights.slab_mean**2 + weights.slab_variance
    return Gamma(reference.relevance_posterior(weights).shape, PRIOR_RATE + slab.sum(axis=0) / 2)


# ---------------------------------------------------------------- weight_posterior


def _weights(
    cross,
    gram,
    noise_precision,
    relevance,
    sparsity,
    previous,
    *,
    select,
    log_relevance=None,
    others=None,
    evidence=None,
    together=False,
):
    """The reference with other parts."""
    slab_mean, slab_variance, inclusion = (part.copy() for part in previous)
    mean = previous.mean.copy()
    gram = np.broadcast_to(gram, (len(cross), *gram.shape[-2:]))
    log_alpha = relevance.mean_log if log_relevance is None else log_relevance(relevance)
    for k in range(cross.shape[1]):
        against = previous.mean if together else mean
        explained = np.einsum("dj,dj->d", against, gram[:, :, k])
        if others is None:
            explained = explained - against[:, k] * gram[:, k, k]
        precision = noise_precision * gram[:, k, k] + relevance.mean[k]
        signal = noise_precision * (cross[:, k] - explained)
        slab_mean[:, k], slab_variance[:, k] = signal / precision, 1 / precision
        if select:
            half = (log_alpha[k] - np.log(precision) + signal**2 / precision) / 2
            half = half if evidence is None else evidence(log_alpha[k], precision, signal)
            inclusion[:, k] = expit(sparsity.log_odds[k] + half)
        mean[:, k] = inclusion[:, k] * slab_mean[:, k]
    return Weights(slab_mean, slab_variance, inclusion)


@mistake(
    of="weight_posterior",
    en="All factors moved at once: you compared each with the old weights of the others. Update them one after the "
    "other, each against the newest.",
    zh="你让所有因子同时移动：每个都用了其他因子的旧权重。应一个接一个地更新，每次用最新的。",
)
def all_at_once(cross, gram, noise_precision, relevance, sparsity, previous, *, select=True):
    return _weights(cross, gram, noise_precision, relevance, sparsity, previous, select=select, together=True)


@mistake(
    of="weight_posterior",
    en="You took away what all factors explain, the factor's own part too. Only the others' part belongs away (j ≠ k).",
    zh="你把所有因子解释的部分都减掉了，包括这个因子自己的。只应减去其他因子的部分（j ≠ k）。",
)
def own_part_removed(cross, gram, noise_precision, relevance, sparsity, previous, *, select=True):
    return _weights(cross, gram, noise_precision, relevance, sparsity, previous, select=select, others="all")


@mistake(
    of="weight_posterior",
    en="You took the logarithm of E[α]. The price needs E[ln α], which is relevance.mean_log.",
    zh="你取了 E[α] 的对数。代价里需要的是 E[ln α]，即 relevance.mean_log。",
)
def log_of_mean(cross, gram, noise_precision, relevance, sparsity, previous, *, select=True):
    return _weights(
        cross,
        gram,
        noise_precision,
        relevance,
        sparsity,
        previous,
        select=select,
        log_relevance=lambda known: np.log(known.mean),
    )


@mistake(
    of="weight_posterior",
    en="The price of a free parameter is missing: without ½ E[ln α] − ½ ln c every weight tends to be on.",
    zh="漏掉了自由参数的代价：没有 ½ E[ln α] − ½ ln c，每个权重都倾向于打开。",
)
def no_price(cross, gram, noise_precision, relevance, sparsity, previous, *, select=True):
    return _weights(
        cross,
        gram,
        noise_precision,
        relevance,
        sparsity,
        previous,
        select=select,
        evidence=lambda log_alpha, precision, signal: signal**2 / precision / 2,
    )


@mistake(
    of="weight_posterior",
    en="The factor ½ is missing in the log odds.",
    zh="对数比值比中漏了系数 ½。",
)
def odds_without_half(cross, gram, noise_precision, relevance, sparsity, previous, *, select=True):
    return _weights(
        cross,
        gram,
        noise_precision,
        relevance,
        sparsity,
        previous,
        select=select,
        evidence=lambda log_alpha, precision, signal: log_alpha - np.log(precision) + signal**2 / precision,
    )


@mistake(
    of="weight_posterior",
    en="You ignore `select`: with select=False the inclusion must stay as it is in `previous`.",
    zh="你没有理会 `select`：select=False 时，inclusion 应保持 `previous` 中的值。",
)
def select_ignored(cross, gram, noise_precision, relevance, sparsity, previous, *, select=True):
    return _weights(cross, gram, noise_precision, relevance, sparsity, previous, select=True)


@mistake(
    of="weight_posterior",
    en="You changed the arrays of `previous`. Work on copies.",
    zh="你改动了 `previous` 的数组。请在副本上操作。",
)
def previous_overwritten(cross, gram, noise_precision, relevance, sparsity, previous, *, select=True):
    found = reference.weight_posterior(cross, gram, noise_precision, relevance, sparsity, previous, select=select)
    for part, new in zip(previous, found, strict=True):
        part[:] = new
    return found


# ---------------------------------------------------------------- expected_residual


@mistake(
    of="expected_residual",
    en="You put the means into the square. What is uncertain in the weights is left over too: add their variance times "
    "the diagonal of gram.",
    zh="你把均值代入了平方。权重中不确定的部分也算剩余：还要加上权重的方差乘以 gram 的对角元。",
)
def means_plugged_in(sum_of_squares, cross, gram, weights):
    return reference.expected_residual(sum_of_squares, cross, gram, _certain(weights.mean))


@mistake(
    of="expected_residual",
    en="You added the slab's variance. A switch that may be off adds uncertainty of its own: second_moment − mean².",
    zh="你加上的是 slab 的方差。可能关着的开关自己也带来不确定性：second_moment − mean²。",
)
def switches_forgotten(sum_of_squares, cross, gram, weights):
    own = np.diagonal(gram, axis1=-2, axis2=-1)
    return means_plugged_in(sum_of_squares, cross, gram, weights) + (own * weights.slab_variance).sum(axis=1)


@mistake(
    of="expected_residual",
    en="You added the variance of the weights without the factors: it counts gram's diagonal times.",
    zh="你加上了权重的方差，却没有乘因子的部分：应乘以 gram 的对角元。",
)
def variance_without_gram(sum_of_squares, cross, gram, weights):
    variance = weights.second_moment - weights.mean**2
    return means_plugged_in(sum_of_squares, cross, gram, weights) + variance.sum(axis=1)


@mistake(
    of="expected_residual",
    en="You treated the factors as uncorrelated: the third term runs over all pairs j, k, not over j = k alone.",
    zh="你把因子当成了互不相关的：第三项要对所有的 j、k 求和，而不只是 j = k。",
)
def factors_uncorrelated(sum_of_squares, cross, gram, weights):
    own = np.diagonal(gram, axis1=-2, axis2=-1)
    return sum_of_squares - 2 * (cross * weights.mean).sum(axis=1) + (own * weights.second_moment).sum(axis=1)


@mistake(
    of="expected_residual",
    en="The middle term counts twice: (a − b)² = a² − 2ab + b².",
    zh="中间一项要算两次：(a − b)² = a² − 2ab + b²。",
)
def cross_once(sum_of_squares, cross, gram, weights):
    return reference.expected_residual(sum_of_squares, cross, gram, weights) + (cross * weights.mean).sum(axis=1)


@mistake(
    of="expected_residual",
    en="Where each feature has a gram of its own, you used the first for all.",
    zh="每个特征有自己的 gram 时，你对所有特征都用了第一个。",
)
def first_gram_for_all(sum_of_squares, cross, gram, weights):
    return reference.expected_residual(sum_of_squares, cross, gram if gram.ndim == 2 else gram[0], weights)


def _certain(values):
    return Weights(values, np.zeros_like(values), np.ones_like(values))


# ---------------------------------------------------------------- factor_divergence


@mistake(
    of="factor_divergence",
    en="You took the product of the diagonal for the determinant. Factors are correlated: use np.linalg.slogdet.",
    zh="你把对角元之积当作了行列式。因子是相关的：请用 np.linalg.slogdet。",
)
def diagonal_for_determinant(mean, covariance):
    diagonal = np.diagonal(covariance, axis1=1, axis2=2)
    return float((mean**2).sum() + (diagonal - 1 - np.log(diagonal)).sum()) / 2


@mistake(
    of="factor_divergence",
    en="You computed the determinant before its logarithm: with many factors it is too small for a number. Use "
    "np.linalg.slogdet.",
    zh="你先算行列式再取对数：因子多时，它小到无法表示。请用 np.linalg.slogdet。",
)
def log_of_determinant(mean, covariance):
    with np.errstate(divide="ignore"):
        logs = np.log(np.linalg.det(covariance)).sum()
    return float((mean**2).sum() + np.einsum("nkk->", covariance) - mean.size - logs) / 2


@mistake(
    of="factor_divergence",
    en="You returned the mean over the samples. The bound needs the sum: every sample pays.",
    zh="你返回的是对样本的平均。下界需要的是总和：每个样本都要付出代价。",
)
def mean_over_samples(mean, covariance):
    return reference.factor_divergence(mean, covariance) / len(mean)


@mistake(
    of="factor_divergence",
    en="The determinant has the wrong sign: a narrow posterior is further from the prior and must cost more.",
    zh="行列式那一项的符号反了：后验越窄，离先验越远，代价应当越大。",
)
def determinant_with_plus(mean, covariance):
    return reference.factor_divergence(mean, covariance) + float(np.linalg.slogdet(covariance)[1].sum())


@mistake(
    of="factor_divergence",
    en="You subtracted K once. Every sample has K factors: subtract it for each.",
    zh="你只减了一次 K。每个样本都有 K 个因子：每个样本都要减。",
)
def factors_subtracted_once(mean, covariance):
    n_samples, n_factors = mean.shape
    return reference.factor_divergence(mean, covariance) + (n_samples - 1) * n_factors / 2


# ---------------------------------------------------------------- update_layer


def _updated(sums, beliefs, select, *, relevance=None, noise=None, bound=None):
    """The reference with other parts."""
    new, right = reference.update_layer(sums, beliefs, select=select)
    if noise is not None:
        new = new._replace(noise=noise)
    if relevance is not None:
        new = new._replace(relevance=relevance)
    if noise is None and relevance is None and bound is None:
        return new, right
    residual = reference.expected_residual(sums.sum_of_squares, sums.cross, sums.gram, new.weights)
    return new, reference.layer_bound(sums.n_measured, residual, new) if bound is None else bound(new)


@mistake(
    of="update_layer",
    en="Your noise still belongs to the old weights. Compute the residual after the weights were updated.",
    zh="你的噪声仍对应旧的权重。应在更新权重之后再计算残差。",
)
def noise_of_old_weights(sums, beliefs, *, select=True):
    old = reference.expected_residual(sums.sum_of_squares, sums.cross, sums.gram, beliefs.weights)
    return _updated(sums, beliefs, select, noise=reference.noise_posterior(sums.n_measured, old))


@mistake(
    of="update_layer",
    en="Your relevance still belongs to the old weights. Compute it after the weights were updated.",
    zh="你的相关性仍对应旧的权重。应在更新权重之后再计算。",
)
def relevance_of_old_weights(sums, beliefs, *, select=True):
    return _updated(sums, beliefs, select, relevance=reference.relevance_posterior(beliefs.weights))


@mistake(
    of="update_layer",
    en="The beliefs are right, but your bound belongs to the state before the round. Use the new residual and the new "
    "beliefs.",
    zh="后验是对的，但你的下界对应更新之前的状态。请用新的残差和新的后验。",
)
def bound_before_the_round(sums, beliefs, *, select=True):
    def before(new):
        old = reference.expected_residual(sums.sum_of_squares, sums.cross, sums.gram, beliefs.weights)
        return reference.layer_bound(sums.n_measured, old, beliefs)

    return _updated(sums, beliefs, select, bound=before)


@mistake(
    of="update_layer",
    en="The beliefs are right, but your bound takes the old noise. It must be the bound of what you return.",
    zh="后验是对的，但你的下界用了旧的噪声。它应当是你所返回的后验的下界。",
)
def bound_with_old_noise(sums, beliefs, *, select=True):
    def mixed(new):
        residual = reference.expected_residual(sums.sum_of_squares, sums.cross, sums.gram, new.weights)
        return reference.layer_bound(sums.n_measured, residual, new._replace(noise=beliefs.noise))

    return _updated(sums, beliefs, select, bound=mixed)


@mistake(
    of="update_layer",
    en="You do not pass `select` on to the weights: switches move although they should not.",
    zh="你没有把 `select` 传给权重的更新：开关不该动时也动了。",
)
def select_not_passed(sums, beliefs, *, select=True):
    return reference.update_layer(sums, beliefs)


# ---------------------------------------------------------------- explained_share


@mistake(
    of="explained_share",
    en="Where nothing was measured you took the value 0, and a factor that predicts something else is blamed for it. "
    "Leave these places out.",
    zh="未测到的地方你当成了 0，因子在那里的预测就被算作错误。应把这些位置排除在外。",
)
def gaps_as_zero(values, factors, weights):
    return reference.explained_share(np.nan_to_num(values), factors, weights)


@mistake(
    of="explained_share",
    en="You averaged the shares of the features. The share of the layer is one ratio of two sums over all its values, "
    "so that features without variance do not count.",
    zh="你对各特征的比例取了平均。整层的比例是两个总和之比，这样几乎没有方差的特征就不起作用。",
)
def mean_of_features(values, factors, weights):
    each = [reference.explained_share(values[:, [d]], factors, weights[[d]]) for d in range(values.shape[1])]
    return _checked(values, factors, weights, np.mean(each, axis=0))


@mistake(
    of="explained_share",
    en="You removed one factor after the other and measured what each added. Each factor is taken alone.",
    zh="你逐个减去因子，计算每个因子的增量。这里要的是每个因子单独的比例。",
)
def one_after_the_other(values, factors, weights):
    left, shares = values, []
    total = np.nansum(values**2)
    for k in range(min(factors.shape[1], weights.shape[1])):
        rest = left - np.outer(factors[:, k], weights[:, k]) if len(weights) == values.shape[1] else left
        shares.append((np.nansum(left**2) - np.nansum(rest**2)) / total)
        left = rest
    return _checked(values, factors, weights, np.array(shares))


@mistake(
    of="explained_share",
    en="You cut negative shares off at 0. A factor that is worse than the mean should be seen.",
    zh="你把负的比例截成了 0。比均值还差的因子应当看得出来。",
)
def cut_at_zero(values, factors, weights):
    return np.maximum(reference.explained_share(values, factors, weights), 0)


@mistake(
    of="explained_share",
    en="You divided the variance of the prediction by that of the data. This is a share only where factor and rest are "
    "uncorrelated; compare the residual with the data.",
    zh="你用预测的方差除以数据的方差。只有因子与剩余不相关时它才是比例；应当用残差与数据比较。",
)
def variance_of_prediction(values, factors, weights):
    measured = ~np.isnan(values)
    predicted = (measured.T @ factors**2) * weights**2 if len(weights) == values.shape[1] else weights
    return _checked(values, factors, weights, predicted.sum(axis=0) / np.nansum(values**2))


@mistake(
    of="explained_share",
    en="Weights of a wrong shape are not refused: numpy stretches a single row or column over all features.",
    zh="形状不对的权重没有被拒绝：numpy 会把单独一行或一列广播到所有特征。",
)
def any_weights(values, factors, weights):
    measured = ~np.isnan(values)
    known = np.where(measured, values, 0.0)
    gained = 2 * (known.T @ factors) * weights - (measured.T @ factors**2) * weights**2
    return gained.sum(axis=0) / (known**2).sum()


def _checked(values, factors, weights, result):
    """A result, after the reference has refused what it refuses."""
    reference.explained_share(values, factors, weights)
    return result


# ---------------------------------------------------------------- risk_factor


@mistake(
    of="risk_factor",
    en="You took the first factor, which explains most variance. What explains most need not matter for the disease.",
    zh="你取了第一个因子，它解释的方差最多。解释得最多的，未必与疾病有关。",
)
def the_largest_factor(factors, disease):
    first = factors.iloc[:, 0]
    return first * np.sign(first.corr(disease))


@mistake(
    of="risk_factor",
    en="The factor is right, but controls have the higher scores. Turn its sign.",
    zh="因子是对的，但对照的得分更高。请把符号反过来。",
)
def sign_not_turned(factors, disease):
    correlation = factors.corrwith(disease)
    name = correlation.abs().idxmax()
    return factors[name] * -np.sign(correlation[name])


@mistake(
    of="risk_factor",
    en="That is the disease itself. Asked for is the score of the factor that goes along with it.",
    zh="那是疾病本身。要的是与它相伴的那个因子的得分。",
)
def the_disease_itself(factors, disease):
    return disease.loc[factors.index]


@mistake(
    of="risk_factor",
    en="You added up all factors, each with its sign. One factor is asked for.",
    zh="你把所有因子各按符号加了起来。要的是一个因子。",
)
def sum_of_all(factors, disease):
    return (factors * np.sign(factors.corrwith(disease))).sum(axis=1)
