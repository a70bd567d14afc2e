"""Wrong answers people really give to unit 07, each with what to say to who gives it."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import chi2, norm
from scipy.stats import t as student_t

from course.checking import mistake
from reference_impl import missing as reference
from reference_impl.missing.censoring import censored_values, most_likely, split_censored
from reference_impl.missing.imputation import as_regression
from reference_impl.missing.inputs import as_vector
from reference_impl.missing.mechanisms import intercept_for, require_mechanism, with_some_gaps
from reference_impl.missing.pooling import Pooled, require_poolable, require_sensitivity
from reference_impl.missing.weighting import as_gapped_variable, fit_logistic
from reference_impl.validation import as_matrix, like, require_between, require_generator

# ---------------------------------------------------------------- amputate


def _amputate(x, mechanism, rate, rng, driver, *, at_random=None, limit=None):
    """The reference with another chance in MAR, or other limits in MNAR."""
    values = as_matrix(x, "x")
    require_between(rate, "rate", 0, 1)
    require_generator(rng)
    driver = require_mechanism(mechanism, driver, x)
    if mechanism == "MNAR" and limit is not None:
        return like(x, np.where(values < limit(values, rate), np.nan, values))
    if mechanism == "MAR" and at_random is not None:
        return like(x, np.where(rng.random(values.shape) < at_random(driver, rate), np.nan, values))
    return reference.amputate(x, mechanism, rate, rng=rng, driver=driver)


@mistake(
    of="amputate",
    en="You gave every column a limit of its own. One instrument has one detection limit: take the quantile of the "
    "whole table, so that proteins of low intensity lose more.",
    zh="你给每一列都设了自己的检测限。一台仪器只有一个检测限：应取整张表的分位数，强度低的蛋白质才会丢得更多。",
)
def limit_for_each_column(x, mechanism, rate, *, rng, driver=None):
    return _amputate(x, mechanism, rate, rng, driver, limit=lambda values, rate: np.quantile(values, rate, axis=0))


@mistake(
    of="amputate",
    en="In your MAR the high values of the driver lose less. A larger z must raise the chance of a gap.",
    zh="在你的 MAR 中，驱动变量越大丢得越少。z 越大，缺失的概率应越高。",
)
def driver_reversed(x, mechanism, rate, *, rng, driver=None):
    def chance(driver, rate):
        z = -driver / driver.std()
        return expit(intercept_for(z, rate) + z)[:, None]

    return _amputate(x, mechanism, rate, rng, driver, at_random=chance)


@mistake(
    of="amputate",
    en="Your MAR does not lose the share that was asked for: logit(rate) + z has the mean of the rate only where z is "
    "0. Let intercept_for find a.",
    zh="你的 MAR 丢失的比例不对：logit(rate) + z 只在 z 为 0 处才等于给定比例。请用 intercept_for 求出 a。",
)
def rate_only_in_the_middle(x, mechanism, rate, *, rng, driver=None):
    def chance(driver, rate):
        return expit(np.log(rate / (1 - rate)) + (driver - driver.mean()) / driver.std())[:, None]

    return _amputate(x, mechanism, rate, rng, driver, at_random=chance)


@mistake(
    of="amputate",
    en="You used the driver as it is. Divide by its standard deviation (divisor n) first, or its unit decides how "
    "strongly it acts.",
    zh="你直接使用了驱动变量。应先除以标准差（除数 n），否则作用的强弱就取决于它的单位。",
)
def driver_not_standardised(x, mechanism, rate, *, rng, driver=None):
    return _amputate(
        x, mechanism, rate, rng, driver, at_random=lambda d, rate: expit(intercept_for(d, rate) + d)[:, None]
    )


@mistake(
    of="amputate",
    en="A sample loses all of its values or none: you drew one number per sample. Draw one for every value.",
    zh="你的样本要么全丢，要么一个不丢：你只为每个样本抽了一个随机数。应为每个数值各抽一个。",
)
def whole_samples(x, mechanism, rate, *, rng, driver=None):
    values = as_matrix(x, "x")
    if mechanism == "MNAR" or not isinstance(rng, np.random.Generator) or not 0 < rate < 1:
        return reference.amputate(x, mechanism, rate, rng=rng, driver=driver)
    driver = require_mechanism(mechanism, driver, x)
    chance = np.full(len(values), rate)
    if driver is not None:
        z = driver / driver.std()
        chance = expit(intercept_for(z, rate) + z)
    lost = rng.random(len(values)) < chance
    return like(x, np.where(lost[:, None], np.nan, values))


@mistake(
    of="amputate",
    en="The gaps are right, but you made them in the table that came in. Work on a copy.",
    zh="缺失的位置是对的，但你直接改动了传入的表。请在副本上操作。",
)
def gaps_in_the_original(x, mechanism, rate, *, rng, driver=None):
    gapped = reference.amputate(x, mechanism, rate, rng=rng, driver=driver)
    if isinstance(x, pd.DataFrame):
        x.iloc[:, :] = gapped.to_numpy()
    return gapped


# ---------------------------------------------------------------- less_sensitive


@mistake(
    of="less_sensitive",
    en="The run is right, but you compared the means of what was recorded. They differ by less than the limits do, "
    "because most proteins lie far above either. Compare the smallest recorded values.",
    zh="批次是对的，但你比较的是记录值的均值。大多数蛋白质都远高于检测限，所以均值之差小于检测限之差。应比较各批记录到的最小值。",
)
def difference_of_means(proteins, run):
    often = proteins.columns[proteins.isna().mean().between(0.08, 0.4)]
    weak = proteins.isna().mean(axis=1).groupby(run).mean().idxmax()
    return weak, float((proteins[run == weak].mean() - proteins[run != weak].mean())[often].mean())


@mistake(
    of="less_sensitive",
    en="That is how many times higher the limit is, not by how many log₂ units: take the log2 of the ratio.",
    zh="这是检测限高出的倍数，而不是 log₂ 单位：请对这个比值取 log2。",
)
def ratio_of_limits(proteins, run):
    lowest = (2**proteins).min(axis=1).groupby(run).min()
    weak = lowest.idxmax()
    return weak, float(lowest[weak] / lowest.drop(weak).min())


@mistake(
    of="less_sensitive",
    en="You named the run that records the lowest values: that is the most sensitive one. A less sensitive instrument "
    "has a higher limit.",
    zh="你指的是记录到最低值的那一批，那是最灵敏的。仪器越不灵敏，检测限越高。",
)
def the_most_sensitive(proteins, run):
    lowest = proteins.min(axis=1).groupby(run).min()
    best = lowest.idxmin()
    return best, float(lowest.max() - lowest[best])


# ---------------------------------------------------------------- little_mcar_test


def _little(x, contribution, degrees=None):
    """Little's test with another contribution of a pattern, or other degrees of freedom."""
    values = with_some_gaps(x)
    mean, covariance = reference.normal_moments(values)
    seen = ~np.isnan(values)
    statistic, n_observed = 0.0, 0
    for pattern in np.unique(seen[seen.any(axis=1)], axis=0):
        rows = values[(seen == pattern).all(axis=1)][:, pattern]
        difference = rows.mean(axis=0) - mean[pattern]
        statistic += contribution(rows, difference, covariance[np.ix_(pattern, pattern)])
        n_observed += int(pattern.sum())
    df = n_observed - values.shape[1] if degrees is None else degrees(n_observed, values)
    return statistic, df, float(chi2.sf(statistic, df))


@mistake(
    of="little_mcar_test",
    en="Every pattern counts the same in your sum. Weight it by its number of samples: the mean of many strays less.",
    zh="在你的求和中，各种模式的份量相同。应以样本数加权：样本越多，均值越不容易偏离。",
)
def patterns_not_weighted(x):
    return _little(x, lambda rows, difference, block: float(difference @ np.linalg.solve(block, difference)))


@mistake(
    of="little_mcar_test",
    en="You used variances only. Columns correlate, so use the whole block of the covariance that belongs to the "
    "pattern.",
    zh="你只用了方差。各列之间有相关，应使用该模式对应的整个协方差子块。",
)
def variances_only(x):
    return _little(x, lambda rows, d, block: float(len(rows) * (d**2 / np.diag(block)).sum()))


@mistake(
    of="little_mcar_test",
    en="Your covariance has the divisor n − 1. Little's statistic uses the maximum-likelihood one, with divisor n, as "
    "normal_moments gives it.",
    zh="你的协方差以 n − 1 为除数。Little 统计量用的是以 n 为除数的最大似然协方差，normal_moments 给出的就是它。",
)
def unbiased_covariance(x):
    values = as_matrix(x, "x", missing=True)
    n = int((~np.isnan(values)).any(axis=1).sum())
    return _little(x, lambda rows, d, block: float(len(rows) * d @ np.linalg.solve(block, d)) * (n - 1) / n)


@mistake(
    of="little_mcar_test",
    en="Your degrees of freedom count a pattern without any observed column, or the whole table for each pattern. Sum "
    "the observed columns over the patterns and subtract the number of columns.",
    zh="你的自由度算错了：应把各模式的已观测列数相加，再减去总列数，而不是用模式数乘列数。",
)
def freedom_of_full_patterns(x):
    def degrees(n_observed, values):
        seen = ~np.isnan(values)
        return (len(np.unique(seen[seen.any(axis=1)], axis=0)) - 1) * values.shape[1]

    return _little(x, lambda rows, d, block: float(len(rows) * d @ np.linalg.solve(block, d)), degrees)


@mistake(
    of="little_mcar_test",
    en="You fail on samples without any value: their pattern has no column to take a mean of. Leave them out.",
    zh="遇到一个数值也没有的样本，你的函数就出错：这种模式没有任何列可以求均值，应略去。",
)
def stumbles_over_empty_samples(x):
    values = as_matrix(x, "x", missing=True)
    if np.isnan(values).all(axis=1).any():
        raise IndexError("no column in this pattern")
    return reference.little_mcar_test(x)


@mistake(
    of="little_mcar_test",
    en="A table without gaps passes your test with p = 1. There is nothing to test: refuse it with a ValueError.",
    zh="没有缺失的表，在你这里以 p = 1 通过了检验。根本没有可检验的东西：应以 ValueError 拒绝。",
)
def passes_complete_tables(x):
    if not np.isnan(as_matrix(x, "x", missing=True)).any():
        return 0.0, 0, 1.0
    return reference.little_mcar_test(x)


@mistake(
    of="little_mcar_test",
    en="This p is the lower tail. A large statistic speaks against MCAR: use chi2.sf.",
    zh="你的 p 是下尾概率。统计量越大越不利于 MCAR，应使用 chi2.sf。",
)
def lower_tail(x):
    statistic, df, p = reference.little_mcar_test(x)
    return statistic, df, 1 - p


# ---------------------------------------------------------------- draw_regression


def _draw(predictors, outcome, rng, *, freedom=None, root=None, sd_first=True, center=None):
    """The draw with one step made differently."""
    matrix, values = as_regression(predictors, outcome)
    require_generator(rng)
    design = np.column_stack([np.ones(len(matrix)), matrix])
    products = design.T @ design
    fitted = np.linalg.solve(products, design.T @ values)
    residuals = values - design @ fitted
    df = len(values) - len(fitted) if freedom is None else freedom(len(values), len(fitted))
    if not sd_first:
        z = rng.standard_normal(len(fitted))
    sd = np.sqrt(residuals @ residuals / rng.chisquare(df))
    if sd_first:
        z = rng.standard_normal(len(fitted))
    lower = np.linalg.cholesky(np.linalg.inv(products)) if root is None else root(np.linalg.inv(products))
    spread = sd if center is None else center(residuals, sd)
    return fitted + spread * (lower @ z), float(sd)


@mistake(
    of="draw_regression",
    en="You drew σ but not the line: the coefficients are those of least squares. Add σ L z, or every imputation "
    "believes in the same line.",
    zh="你抽了 σ，却没有抽回归线：系数仍是最小二乘的系数。应加上 σ L z，否则每次插补都相信同一条线。",
)
def the_same_line(predictors, outcome, *, rng):
    return _draw(predictors, outcome, rng, root=np.zeros_like)


@mistake(
    of="draw_regression",
    en="Your chi-square number has n degrees of freedom. The coefficients were fitted: n − q are left.",
    zh="你的卡方随机数用了 n 个自由度。系数是拟合出来的，只剩 n − q 个。",
)
def forgets_the_coefficients(predictors, outcome, *, rng):
    return _draw(predictors, outcome, rng, freedom=lambda n, q: n)


@mistake(
    of="draw_regression",
    en="Your degrees of freedom forget the intercept: q counts the column of ones too.",
    zh="你的自由度漏掉了截距：q 也包括那一列 1。",
)
def forgets_the_intercept(predictors, outcome, *, rng):
    return _draw(predictors, outcome, rng, freedom=lambda n, q: n - q + 1)


@mistake(
    of="draw_regression",
    en="You used the upper triangular factor. With L Lᵀ = (XᵀX)⁻¹ it is the lower one that multiplies z.",
    zh="你用的是上三角因子。满足 L Lᵀ = (XᵀX)⁻¹ 的是下三角因子，应由它去乘 z。",
)
def upper_factor(predictors, outcome, *, rng):
    return _draw(predictors, outcome, rng, root=lambda inverse: np.linalg.cholesky(inverse).T)


@mistake(
    of="draw_regression",
    en="You drew z before g. The numbers are as random, but the task fixes the order: first rng.chisquare, then "
    "rng.standard_normal.",
    zh="你先抽了 z 再抽 g。同样是随机数，但题目规定了次序：先 rng.chisquare，后 rng.standard_normal。",
)
def normal_numbers_first(predictors, outcome, *, rng):
    return _draw(predictors, outcome, rng, sd_first=False)


@mistake(
    of="draw_regression",
    en="You took XᵀX itself for the covariance. Its inverse is the covariance of the coefficients: more data, smaller "
    "steps.",
    zh="你把 XᵀX 本身当作协方差了。系数的协方差是它的逆：数据越多，步子越小。",
)
def not_inverted(predictors, outcome, *, rng):
    return _draw(predictors, outcome, rng, root=lambda inverse: np.linalg.cholesky(np.linalg.inv(inverse)))


# ---------------------------------------------------------------- pool_rubin


def _pool(estimates, variances, df_complete, *, between=None, fmi=None, least=1e-4, df=None):
    """Rubin's rules with one step made differently."""
    values = as_vector(estimates, "estimates")
    squares = as_vector(variances, "variances", length=len(values))
    require_poolable(values, squares, df_complete)
    m, within = len(values), squares.mean()
    added = (1 + 1 / m) * values.var(ddof=1) if between is None else between(values)
    total = within + added
    share = max(added / total, least)
    freedom = (m - 1) / share**2 if share > 0 else np.inf
    if df_complete < np.inf:
        observed = (df_complete + 1) / (df_complete + 3) * df_complete * (1 - share)
        freedom = 1 / (1 / freedom + 1 / observed) if df is None else df(freedom, observed)
    ratio = added / within
    part = (ratio + 2 / (freedom + 3)) / (ratio + 1) if fmi is None else fmi(share, ratio, freedom)
    return Pooled(float(values.mean()), float(total), float(freedom), float(part))


@mistake(
    of="pool_rubin",
    en="Your T is Ū + B. Add (1 + 1/m) B: the mean of only m estimates is itself uncertain.",
    zh="你的 T 是 Ū + B。应加 (1 + 1/m) B：只由 m 个估计值求得的平均本身也不确定。",
)
def without_one_over_m(estimates, variances, *, df_complete=np.inf):
    return _pool(estimates, variances, df_complete, between=lambda values: values.var(ddof=1))


@mistake(
    of="pool_rubin",
    en="Your B has the divisor m. It is a variance of m estimates about their own mean: divide by m − 1 (ddof=1).",
    zh="你的 B 以 m 为除数。它是 m 个估计值围绕自身均值的方差，应除以 m − 1（ddof=1）。",
)
def divisor_m(estimates, variances, *, df_complete=np.inf):
    return _pool(estimates, variances, df_complete, between=lambda values: (1 + 1 / len(values)) * values.var())


@mistake(
    of="pool_rubin",
    en="You return λ for fmi. fmi also counts that λ comes from only m tables: (r + 2/(ν + 3))/(r + 1).",
    zh="你把 λ 当作 fmi 返回了。fmi 还计入 λ 只来自 m 张表：(r + 2/(ν + 3))/(r + 1)。",
)
def lambda_for_fmi(estimates, variances, *, df_complete=np.inf):
    return _pool(estimates, variances, df_complete, fmi=lambda share, ratio, df: share)


@mistake(
    of="pool_rubin",
    en="You use Rubin's old degrees of freedom only; they may exceed those of the analysis without gaps. Combine them "
    "with ν_obs where df_complete is finite.",
    zh="你只用了 Rubin 的旧自由度，它可能超过没有缺失时的自由度。df_complete 有限时，应与 ν_obs 合并。",
)
def old_freedom(estimates, variances, *, df_complete=np.inf):
    require_poolable(np.asarray(estimates, dtype=float), np.asarray(variances, dtype=float), df_complete)
    return _pool(estimates, variances, np.inf)


@mistake(
    of="pool_rubin",
    en="Where all estimates agree your λ is 0, and you divide by it. Raise λ to 1e-4 first.",
    zh="所有估计值相同时，你的 λ 为 0，而你除以了它。应先把 λ 提高到 1e-4。",
)
def lambda_of_zero(estimates, variances, *, df_complete=np.inf):
    return _pool(estimates, variances, df_complete, least=0.0)


@mistake(
    of="pool_rubin",
    en="You pooled standard errors. Rubin's rules average their squares: the arguments are variances already, so take "
    "no root and no square.",
    zh="你对标准误取了平均。Rubin 规则平均的是方差；传入的已经是方差，既不要开方，也不要平方。",
)
def mean_of_standard_errors(estimates, variances, *, df_complete=np.inf):
    found = reference.pool_rubin(estimates, variances, df_complete=df_complete)
    within = np.mean(np.sqrt(np.asarray(variances, dtype=float))) ** 2
    return found._replace(variance=float(found.variance - np.mean(variances) + within))


# ---------------------------------------------------------------- inverse_probability_mean


def _weighted(y, covariates, standard_error, mean_of=None):
    """The Hájek mean with another standard error, or another mean."""
    values, table = as_gapped_variable(y, covariates)
    observed = ~np.isnan(values)
    design = np.column_stack([np.ones(len(table)), table])
    chance = expit(design @ fit_logistic(design, observed))
    weights, known = observed / chance, np.where(observed, values, 0.0)
    mean = weights @ known / weights.sum() if mean_of is None else mean_of(weights, known)
    return float(mean), float(standard_error(weights, known, mean, chance, design, observed))


def _sandwich(weights, known, mean, chance, design, observed):
    direct = weights * (known - mean)
    slope = -(direct * (1 - chance)) @ design
    information = (design * (chance * (1 - chance))[:, None]).T @ design
    influence = direct + (design * (observed - chance)[:, None]) @ np.linalg.solve(information, slope)
    return np.sqrt(influence @ influence) / len(known) / weights.mean()


@mistake(
    of="inverse_probability_mean",
    en="Your standard error takes the weights as known. They were estimated: add the part that goes through the "
    "weights.",
    zh="你的标准误把权重当成已知的。权重也是估计出来的：还要加上通过权重的那一部分。",
)
def weights_as_known(y, covariates):
    def error(weights, known, mean, chance, design, observed):
        direct = weights * (known - mean)
        return np.sqrt(direct @ direct) / weights.sum()

    return _weighted(y, covariates, error)


@mistake(
    of="inverse_probability_mean",
    en="This is the standard error of weighted least squares. It takes a weight of 4 as a value four times "
    "as precise; use the sandwich.",
    zh="这是加权最小二乘的标准误，它把权重 4 理解为“精度是四倍”。请使用三明治标准误。",
)
def weighted_least_squares(y, covariates):
    def error(weights, known, mean, chance, design, observed):
        return np.sqrt(weights @ (known - mean) ** 2 / (observed.sum() - 1) / weights.sum())

    return _weighted(y, covariates, error)


@mistake(
    of="inverse_probability_mean",
    en="You divide the weighted sum by n (Horvitz and Thompson). Hájek divides by the sum of the weights, or the "
    "result depends on where the scale of y begins.",
    zh="你把加权和除以了 n（Horvitz–Thompson）。Hájek 均值应除以权重之和，否则结果取决于 y 的零点在哪里。",
)
def divides_by_n(y, covariates):
    return _weighted(y, covariates, _sandwich, lambda weights, known: weights @ known / len(known))


@mistake(
    of="inverse_probability_mean",
    en="Your weights are the chances themselves: those who were likely to be seen count most. Divide by the chance.",
    zh="你直接用概率作权重：越容易被看到的人份量越大。应除以概率。",
)
def weights_upside_down(y, covariates):
    values, table = as_gapped_variable(y, covariates)
    observed = ~np.isnan(values)
    design = np.column_stack([np.ones(len(table)), table])
    chance = expit(design @ fit_logistic(design, observed))
    weights, known = observed * chance, np.where(observed, values, 0.0)
    mean = weights @ known / weights.sum()
    return float(mean), float(_sandwich(observed / chance, known, mean, chance, design, observed))


@mistake(
    of="inverse_probability_mean",
    en="You matched values and covariates by position although their labels differ: patients got the covariates of "
    "others. Refuse it with a ValueError.",
    zh="数值与协变量的标签不一致，你却按位置配对：患者用上了别人的协变量。应以 ValueError 拒绝。",
)
def matches_by_position(y, covariates):
    return reference.inverse_probability_mean(np.asarray(y, dtype=float), np.asarray(covariates, dtype=float))


@mistake(
    of="inverse_probability_mean",
    en="The sign of h is wrong: the part through the weights must reduce the error, and yours adds to it. h has a "
    "minus.",
    zh="h 的符号错了：通过权重的那一部分应当减小误差，你的却使它增大。h 前面有负号。",
)
def sign_of_the_slope(y, covariates):
    def error(weights, known, mean, chance, design, observed):
        direct = weights * (known - mean)
        slope = (direct * (1 - chance)) @ design
        information = (design * (chance * (1 - chance))[:, None]).T @ design
        influence = direct + (design * (observed - chance)[:, None]) @ np.linalg.solve(information, slope)
        return np.sqrt(influence @ influence) / weights.sum()

    return _weighted(y, covariates, error)


@mistake(
    of="inverse_probability_mean",
    en="This is the plain mean of the observed values. Weight each by one over its chance to be observed.",
    zh="这只是观测值的普通均值。应以“被观测到的概率的倒数”为每个值加权。",
)
def mean_of_the_observed(y, covariates):
    return _weighted(y, covariates, _sandwich, lambda weights, known: known[weights > 0].mean())


# ---------------------------------------------------------------- censored_mean


@mistake(
    of="censored_mean",
    en="An observed value that lies below its own limit went through unnoticed. Value or limit must be wrong: "
    "refuse it with a ValueError.",
    zh="有观测值低于它自己的检测限，你却没有发现。不是数值错了就是检测限错了：应以 ValueError 拒绝。",
)
def contradiction_unnoticed(y, limit):
    values = np.asarray(y, dtype=float)
    return reference.censored_mean(values, np.minimum(limit, np.where(np.isnan(values), np.inf, values)))


@mistake(
    of="censored_mean",
    en="These are mean and sd of the recorded values. The lost ones lie below the limit: they belong into the "
    "likelihood.",
    zh="这是记录值的均值与标准差。丢失的值都在检测限以下，也应进入似然。",
)
def recorded_only(y, limit):
    observed, _ = split_censored(y, limit)
    return float(observed.mean()), float(observed.std())


@mistake(
    of="censored_mean",
    en="You put every lost value at half of its limit. No patient has exactly that value; use the probability to lie "
    "below the limit.",
    zh="你把每个丢失的值都放在检测限的一半处。没有谁恰好是这个值；应使用“低于检测限的概率”。",
)
def half_of_the_limit(y, limit):
    observed, limits = split_censored(y, limit)
    filled = np.concatenate([observed, limits - 1])
    return float(filled.mean()), float(filled.std())


@mistake(
    of="censored_mean",
    en="You put every lost value at its limit. They lie below it, most of them far below.",
    zh="你把每个丢失的值都放在检测限上。它们在检测限以下，多数还远在其下。",
)
def at_the_limit(y, limit):
    observed, limits = split_censored(y, limit)
    filled = np.concatenate([observed, limits])
    return float(filled.mean()), float(filled.std())


@mistake(
    of="censored_mean",
    en="You used one limit for all, the smallest. Where instruments differ, each lost value lies below its own "
    "sample's limit.",
    zh="你对所有样本使用了同一个（最小的）检测限。仪器不同时，每个丢失的值都低于它自己那个样本的检测限。",
)
def smallest_limit_for_all(y, limit):
    observed, limits = split_censored(y, limit)
    one = float(np.min(np.asarray(limit, dtype=float)))
    return most_likely(
        lambda mean, sd: norm.logpdf(observed, mean, sd).sum() + norm.logcdf(np.full(len(limits), one), mean, sd).sum(),
        observed,
    )


@mistake(
    of="censored_mean",
    en="The probability of a lost value is that to lie *above* its limit in your likelihood. It lies below: Φ, not "
    "1 − Φ.",
    zh="在你的似然中，丢失的值用的是**高于**检测限的概率。它在检测限以下：应为 Φ，而不是 1 − Φ。",
)
def above_the_limit(y, limit):
    observed, limits = split_censored(y, limit)
    return most_likely(
        lambda mean, sd: norm.logpdf(observed, mean, sd).sum() + norm.logsf(limits, mean, sd).sum(), observed
    )


@mistake(
    of="censored_mean",
    en="You treated the recorded values as a sample cut off at the limit (truncated) and forgot how many were lost. "
    "Their number is information: each lost value counts once.",
    zh="你把记录值当作在检测限处截断（truncated）的样本，却忘了丢失了多少个。丢失的个数也是信息：每个丢失的值都要算一次。",
)
def truncated(y, limit):
    values, limits = censored_values(y, limit)
    seen = ~np.isnan(values)
    if seen.all():
        return reference.censored_mean(y, limit)
    observed, bounds = values[seen], limits[seen]
    centre, scale = observed.mean(), observed.std()

    def surprise(parameters):
        mean, sd = centre + scale * parameters[0], scale * np.exp(parameters[1])
        return -(norm.logpdf(observed, mean, sd) - norm.logsf(bounds, mean, sd)).sum()

    best = minimize(surprise, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    return float(centre + scale * best.x[0]), float(scale * np.exp(best.x[1]))


# ---------------------------------------------------------------- delta_sensitivity


def _sensitivity(imputations, imputed, group, deltas, confidence, *, shift=None, variance=None, quantile=None, df=None):
    """δ-adjustment with one step made differently."""
    tables, shifted, cases = require_sensitivity(imputations, imputed, group)
    level = (1 + require_between(confidence, "confidence", 0, 1)) / 2
    rows = []
    for delta in as_vector(deltas, "deltas"):
        versions = [table + delta * shifted if shift is None else shift(table, delta, shifted) for table in tables]
        pairs = [(values[cases], values[~cases]) for values in versions]
        squares = [sum(v.var(ddof=1) / len(v) for v in pair) if variance is None else variance(*pair) for pair in pairs]
        complete = len(cases) - 2 if df is None else df
        pooled = reference.pool_rubin([a.mean() - b.mean() for a, b in pairs], squares, df_complete=complete)
        reach = student_t.ppf(level, pooled.df) if quantile is None else quantile(confidence, pooled.df)
        reach = reach * np.sqrt(pooled.variance)
        lower, upper = pooled.estimate - reach, pooled.estimate + reach
        rows.append((delta, pooled.estimate, lower, upper, bool(lower > 0 or upper < 0)))
    return pd.DataFrame(rows, columns=["delta", "estimate", "lower", "upper", "holds"])


@mistake(
    of="delta_sensitivity",
    en="You shift the values that were measured too. Only imputed values may be wrong by δ.",
    zh="你把实际测得的值也移动了。可能错 δ 的，只有插补出来的值。",
)
def shifts_everybody(imputations, imputed, group, deltas, *, confidence=0.95):
    return _sensitivity(
        imputations,
        imputed,
        group,
        deltas,
        confidence,
        shift=lambda table, delta, mask: table + delta * np.ones_like(mask),
    )


@mistake(
    of="delta_sensitivity",
    en="Your interval uses the normal quantile. The variance was estimated: use t with the pooled degrees of freedom.",
    zh="你的区间用了正态分位数。方差是估计出来的：应使用自由度为合并自由度的 t 分布。",
)
def normal_quantile(imputations, imputed, group, deltas, *, confidence=0.95):
    return _sensitivity(
        imputations, imputed, group, deltas, confidence, quantile=lambda level, df: norm.ppf((1 + level) / 2)
    )


@mistake(
    of="delta_sensitivity",
    en="Your quantile leaves 5 % on each side, so the interval is a 90 % one. Use (1 + confidence) / 2.",
    zh="你的分位数在两侧各留了 5%，得到的是 90% 的区间。应使用 (1 + confidence) / 2。",
)
def one_sided_quantile(imputations, imputed, group, deltas, *, confidence=0.95):
    return _sensitivity(
        imputations, imputed, group, deltas, confidence, quantile=lambda level, df: student_t.ppf(level, df)
    )


@mistake(
    of="delta_sensitivity",
    en="Your degrees of freedom without gaps are infinite. The difference of two means has n − 2: give df_complete.",
    zh="你把没有缺失时的自由度当作无穷。两组均值之差有 n − 2 个自由度：请给出 df_complete。",
)
def infinite_freedom(imputations, imputed, group, deltas, *, confidence=0.95):
    return _sensitivity(imputations, imputed, group, deltas, confidence, df=np.inf)


@mistake(
    of="delta_sensitivity",
    en="You pooled the variances of the two groups into one. The task gives each group its own: s₁²/n₁ + s₀²/n₀.",
    zh="你把两组的方差合成了一个。题目要求两组各用各的：s₁²/n₁ + s₀²/n₀。",
)
def common_variance(imputations, imputed, group, deltas, *, confidence=0.95):
    def variance(first, second):
        within = ((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum()
        return within / (len(first) + len(second) - 2) * (1 / len(first) + 1 / len(second))

    return _sensitivity(imputations, imputed, group, deltas, confidence, variance=variance)


@mistake(
    of="delta_sensitivity",
    en="You call the conclusion valid only while the interval lies above 0. An interval entirely below 0 excludes 0 "
    "too.",
    zh="你只在区间高于 0 时才认为结论成立。区间整个低于 0 时，也不含 0。",
)
def above_zero_only(imputations, imputed, group, deltas, *, confidence=0.95):
    found = reference.delta_sensitivity(imputations, imputed, group, deltas, confidence=confidence)
    return found.assign(holds=found["lower"] > 0)


@mistake(
    of="delta_sensitivity",
    en="The shifts add up in your loop: the second δ is added to values that already carry the first. Begin each δ "
    "with the imputed tables.",
    zh="你的循环把偏移累加了：第二个 δ 加在了已经带有第一个 δ 的值上。每个 δ 都应从插补得到的原表开始。",
)
def shifts_add_up(imputations, imputed, group, deltas, *, confidence=0.95):
    found = reference.delta_sensitivity(imputations, imputed, group, np.cumsum(deltas), confidence=confidence)
    return found.assign(delta=as_vector(deltas, "deltas"))
