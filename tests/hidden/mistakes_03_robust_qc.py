"""Wrong answers people really give to unit 03, each with what to say to who gives it."""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm

from course.checking import mistake
from reference_impl import quality as reference
from reference_impl.quality import mahalanobis_squared, mean_and_covariance
from reference_impl.validation import as_matrix, like

# ---------------------------------------------------------------- robust_z


def _z(x, centre, spread, fallback=None):
    values = as_matrix(x, "x")
    deviation = values - centre(values)
    units = spread(np.abs(deviation))
    if fallback is not None:
        units = np.where(units > 0, units, fallback(np.abs(deviation)))
    return like(x, deviation / np.where(units > 0, units, np.inf))


def _median(values):
    return np.median(values, axis=0)


def _mean_deviation(deviation):
    return 1.2533 * np.mean(deviation, axis=0)


@mistake(
    of="robust_z",
    en="You divided by the MAD itself. The MAD of normal values is only 0.6745 standard deviations; "
    "multiply it by 1.4826 so that z counts standard deviations.",
    zh="你直接除以了 MAD。正态数据的 MAD 只有 0.6745 个标准差；应先乘以 1.4826，z 才以标准差为单位。",
)
def unscaled_mad(x):
    return _z(x, _median, lambda deviation: np.median(deviation, axis=0), _mean_deviation)


@mistake(
    of="robust_z",
    en="This is the classical z: mean and standard deviation. Both follow the outliers they should reveal. "
    "Use the median and the MAD.",
    zh="这是经典的 z 分数：均值与标准差都会被离群值牵着走，恰恰掩盖了它们。请改用中位数与 MAD。",
)
def mean_and_sd(x):
    values = as_matrix(x, "x")
    deviation = values - values.mean(axis=0)
    spread = values.std(axis=0, ddof=1)
    return like(x, deviation / np.where(spread > 0, spread, np.inf))


@mistake(
    of="robust_z",
    en="Where more than half of the values are equal your MAD is 0 and you divide by it, so z becomes infinite or NaN. "
    "Use 1.2533 times the mean absolute deviation there, and 0 for a constant metric.",
    zh="当一半以上的数值相等时，MAD 为 0，而你除以了它，z 就变成无穷或 NaN。"
    "此时应改用平均绝对偏差乘以 1.2533；常数指标的 z 取 0。",
)
def divides_by_zero(x):
    values = as_matrix(x, "x")
    deviation = values - np.median(values, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return like(x, deviation / (1.4826 * np.median(np.abs(deviation), axis=0)))


@mistake(
    of="robust_z",
    en="Where the MAD is 0 you return 0 for everybody, also for the samples that differ from all others. "
    "Measure those columns with 1.2533 times the mean absolute deviation.",
    zh="MAD 为 0 时，你让所有样本的 z 都为 0，连与众不同的样本也不例外。这样的列应以 1.2533 乘平均绝对偏差为尺度。",
)
def gives_up_at_zero(x):
    return _z(x, _median, lambda deviation: 1.4826 * np.median(deviation, axis=0))


@mistake(
    of="robust_z",
    en="You took one median and one MAD over the whole table. Metrics have different units: each column needs its own "
    "(axis=0).",
    zh="你对整张表只取了一个中位数和一个 MAD。不同指标单位不同，每一列都应各算各的（axis=0）。",
)
def pools_the_metrics(x):
    values = as_matrix(x, "x")
    deviation = values - np.median(values)
    spread = 1.4826 * np.median(np.abs(deviation))
    spread = spread if spread > 0 else 1.2533 * np.mean(np.abs(deviation))
    return like(x, deviation / (spread if spread > 0 else np.inf))


@mistake(
    of="robust_z",
    en="The numbers are right, but you changed the table that came in. Work on a copy: whoever called you still needs "
    "it.",
    zh="数值是对的，但你改动了传入的表。请在副本上计算：调用者还要用原来的表。",
)
def changes_its_input(x):
    z = reference.robust_z(x)
    if isinstance(x, pd.DataFrame):
        x.iloc[:, :] = np.asarray(x) - np.median(np.asarray(x), axis=0)
    return z


@mistake(
    of="robust_z",
    en="The numbers are right, but a DataFrame came in: give the labels of its samples and metrics back.",
    zh="数值是对的，但输入是 DataFrame：返回时应保留样本与指标的标签。",
)
def loses_labels(x):
    return np.asarray(reference.robust_z(x))


@mistake(
    of="robust_z",
    en="Your medians skip missing values, so nobody learns that something was not measured. Refuse them with a "
    "ValueError.",
    zh="你的中位数跳过了缺失值，于是没有人知道有一项没有测到。请以 ValueError 拒绝缺失值。",
)
def skips_missing(x):
    values = np.array(x, dtype=float)
    deviation = values - np.nanmedian(values, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(deviation), axis=0)
    spread = np.where(spread > 0, spread, 1.2533 * np.nanmean(np.abs(deviation), axis=0))
    return like(x, deviation / np.where(spread > 0, spread, np.inf))


# ---------------------------------------------------------------- mad_outliers


@mistake(
    of="mad_outliers",
    en='You mark only values that are too high. side="both" means too low as well: compare the absolute z.',
    zh='你只标记了过高的数值。side="both" 也包括过低的数值：应比较 z 的绝对值。',
)
def high_side_only(x, *, threshold=3.5, side="both"):
    return reference.mad_outliers(x, threshold=threshold, side="upper" if side == "both" else side)


@mistake(
    of="mad_outliers",
    en="You compared with the classical z: mean and standard deviation. The outliers inflate both and hide behind "
    "them.",
    zh="你用的是均值与标准差的经典 z 分数。离群值会把两者都撑大，自己反而藏了起来。",
)
def classical_z(x, *, threshold=3.5, side="both"):
    reference.mad_outliers(x, threshold=threshold, side=side)
    values = as_matrix(x, "x")
    z = (values - values.mean(axis=0)) / values.std(axis=0, ddof=1)
    return like(x, {"both": np.abs(z), "lower": -z, "upper": z}[side] > threshold)


@mistake(
    of="mad_outliers",
    en="A value exactly at the threshold is still accepted: mark it only if it lies beyond (>, not >=).",
    zh="恰好落在阈值上的数值仍应接受：只有超出时才标记（用 >，而不是 >=）。",
)
def marks_the_threshold(x, *, threshold=3.5, side="both"):
    reference.mad_outliers(x, threshold=threshold, side=side)
    z = reference.robust_z(x)
    return {"both": abs(z), "lower": -z, "upper": z}[side] >= threshold


@mistake(
    of="mad_outliers",
    en="Your threshold is always 3.5. Use the one that was given.",
    zh="你的阈值始终是 3.5。请使用调用者给出的阈值。",
)
def fixed_threshold(x, *, threshold=3.5, side="both"):
    return reference.mad_outliers(x, side=side)


@mistake(
    of="mad_outliers",
    en='You ignore side: with "lower" or "upper" only one direction is a fault, as for a read depth that can only be '
    "too "
    "low.",
    zh='你忽略了 side：取 "lower" 或 "upper" 时只有一个方向算缺陷，例如测序深度只怕过低。',
)
def ignores_side(x, *, threshold=3.5, side="both"):
    reference.mad_outliers(x, threshold=threshold, side=side)
    return reference.mad_outliers(x, threshold=threshold)


@mistake(
    of="mad_outliers",
    en='An unknown word for the side is taken for "both". A typing error then changes the result in silence: refuse it '
    "with a ValueError.",
    zh='你把不认识的 side 当成了 "both"。这样，一个拼写错误就会悄悄改变结果：应以 ValueError 拒绝。',
)
def accepts_any_side(x, *, threshold=3.5, side="both"):
    return reference.mad_outliers(x, threshold=threshold, side=side if side in ("lower", "upper") else "both")


# ---------------------------------------------------------------- concentration_step


def _checked(x, subset, n_keep):
    """All that is refused, refused as the reference does."""
    reference.concentration_step(x, subset, n_keep)
    return as_matrix(x, "x"), np.asarray(subset)


def _keep(matrix, distances, n_keep):
    kept = np.sort(np.argsort(distances, kind="stable")[:n_keep])
    return kept, *mean_and_covariance(matrix[kept])


@mistake(
    of="concentration_step",
    en="You returned the mean and covariance of the old subset. The step ends with those of the new one.",
    zh="你返回的是旧子集的均值与协方差。这一步应以新子集的均值与协方差结束。",
)
def returns_the_old_estimates(x, subset, n_keep):
    matrix, members = _checked(x, subset, n_keep)
    return reference.concentration_step(x, subset, n_keep)[0], *mean_and_covariance(matrix[members])


@mistake(
    of="concentration_step",
    en="You measured Euclidean distance. Metrics have different units and move together: "
    "use the covariance of the subset (Mahalanobis distance).",
    zh="你用的是欧氏距离。各指标单位不同且彼此相关：应使用子集的协方差（马氏距离）。",
)
def euclidean_distance(x, subset, n_keep):
    matrix, members = _checked(x, subset, n_keep)
    return _keep(matrix, np.linalg.norm(matrix - matrix[members].mean(axis=0), axis=1), n_keep)


@mistake(
    of="concentration_step",
    en="Mean and covariance come from all samples, so the outliers take part. Estimate them from the subset alone.",
    zh="均值与协方差来自全部样本，离群样本也参与了估计。应只用子集来估计。",
)
def estimates_from_everybody(x, subset, n_keep):
    matrix, _ = _checked(x, subset, n_keep)
    return _keep(matrix, mahalanobis_squared(matrix, *mean_and_covariance(matrix)), n_keep)


@mistake(
    of="concentration_step",
    en="You kept as many samples as the subset had before. Keep n_keep, which may be more.",
    zh="你保留的样本数与原子集相同。应保留 n_keep 个，它可能更多。",
)
def keeps_the_old_size(x, subset, n_keep):
    matrix, members = _checked(x, subset, n_keep)
    return _keep(matrix, mahalanobis_squared(matrix, *mean_and_covariance(matrix[members])), len(members))


@mistake(
    of="concentration_step",
    en="The samples are right but come in the order of their distance. Sort the positions, so that equal subsets look "
    "equal.",
    zh="样本选对了，但按距离排列。请把位置排序，使相同的子集看起来也相同。",
)
def leaves_positions_unsorted(x, subset, n_keep):
    matrix, members = _checked(x, subset, n_keep)
    distances = mahalanobis_squared(matrix, *mean_and_covariance(matrix[members]))
    kept = np.argsort(distances, kind="stable")[:n_keep]
    return kept, *mean_and_covariance(matrix[kept])


@mistake(
    of="concentration_step",
    en="Your covariance divides by the number of samples. Divide by that number minus 1, as np.cov does.",
    zh="你的协方差以样本数为除数。应除以样本数减 1，与 np.cov 一致。",
)
def divides_by_n(x, subset, n_keep):
    _checked(x, subset, n_keep)
    kept, location, covariance = reference.concentration_step(x, subset, n_keep)
    return kept, location, covariance * (n_keep - 1) / n_keep


# ---------------------------------------------------------------- robust_distances


def _found(x, rng, support_fraction, n_starts):
    result = reference.robust_distances(x, rng=rng, support_fraction=support_fraction, n_starts=n_starts)
    return as_matrix(x, "x"), result


def _with_estimates(x, matrix, result, location, covariance):
    distances = np.sqrt(mahalanobis_squared(matrix, location, covariance))
    if isinstance(x, pd.DataFrame):
        distances = pd.Series(distances, index=x.index, name="distance")
    return replace(result, distances=distances, location=location, covariance=covariance)


@mistake(
    of="robust_distances",
    en="Your distances are squared. Take the square root, as the cut-off is √χ².",
    zh="你的距离是平方值。请开方，因为界值是 √χ²。",
)
def squared_distances(x, *, rng, support_fraction=0.5, n_starts=500):
    _, result = _found(x, rng, support_fraction, n_starts)
    return replace(result, distances=result.distances**2)


@mistake(
    of="robust_distances",
    en="You stopped at the raw estimate. The last step is missing: give samples beyond the 0.975 quantile weight 0 and "
    "estimate once more from all the others.",
    zh="你止步于初始（raw）估计。还差最后一步：令超过 0.975 分位数的样本权重为 0，再用其余全部样本重新估计一次。",
)
def not_reweighted(x, *, rng, support_fraction=0.5, n_starts=500):
    matrix, result = _found(x, rng, support_fraction, n_starts)
    if result.exact_fit:
        return result
    location, covariance = mean_and_covariance(matrix[result.subset])
    factor = reference.raw_factor(*matrix.shape, support_fraction)
    return _with_estimates(x, matrix, result, location, covariance * factor)


@mistake(
    of="robust_distances",
    en="The correction factors are missing. The innermost half of the samples varies less than all of them, so the "
    "uncorrected covariance is too small and good samples look far away.",
    zh="缺少校正因子。最内层的一半样本比全体样本变异小，未经校正的协方差偏小，正常样本会显得很远。",
)
def no_correction_factors(x, *, rng, support_fraction=0.5, n_starts=500):
    matrix, result = _found(x, rng, support_fraction, n_starts)
    if result.exact_fit:
        return result
    distances = mahalanobis_squared(matrix, *mean_and_covariance(matrix[result.subset]))
    trusted = distances < chi2.ppf(0.975, matrix.shape[1])
    return _with_estimates(x, matrix, result, *mean_and_covariance(matrix[trusted]))


@mistake(
    of="robust_distances",
    en="These are classical Mahalanobis distances: mean and covariance of all samples. The outliers shift the one and "
    "stretch the other until they no longer look far (masking).",
    zh="这是经典的马氏距离：均值与协方差来自全部样本。离群样本拉偏均值、撑大协方差，直到自己看起来不再遥远（掩蔽效应）。",
)
def classical_distances(x, *, rng, support_fraction=0.5, n_starts=500):
    matrix, result = _found(x, rng, support_fraction, n_starts)
    return result if result.exact_fit else _with_estimates(x, matrix, result, *mean_and_covariance(matrix))


@mistake(
    of="robust_distances",
    en="Your cut-off is the quantile of χ² itself. The distances are not squared, so the cut-off is its square root.",
    zh="你的界值是 χ² 分位数本身。距离没有平方，所以界值应取其平方根。",
)
def squared_cutoff(x, *, rng, support_fraction=0.5, n_starts=500):
    _, result = _found(x, rng, support_fraction, n_starts)
    return replace(result, cutoff=result.cutoff**2)


@mistake(
    of="robust_distances",
    en="If most samples lie on a line, your function fails. That is a finding: report it with exact_fit=True.",
    zh="当多数样本落在同一直线上时，你的函数会报错。这其实是一个发现：应以 exact_fit=True 报告。",
)
def fails_on_exact_fit(x, *, rng, support_fraction=0.5, n_starts=500):
    _, result = _found(x, rng, support_fraction, n_starts)
    if result.exact_fit:
        raise ValueError("the covariance is singular")
    return result


@mistake(
    of="robust_distances",
    en="You always trust just over half of the samples. h depends on support_fraction, and so do the correction "
    "factors.",
    zh="你始终只信任刚过半数的样本。h 取决于 support_fraction，校正因子也是。",
)
def ignores_support_fraction(x, *, rng, support_fraction=0.5, n_starts=500):
    _found(x, rng, support_fraction, n_starts)
    return reference.robust_distances(x, rng=rng, n_starts=n_starts)


# ---------------------------------------------------------------- pca_outliers


def _cutoffs(found, n_components, quantile):
    orthogonal = found["orthogonal_distance"].to_numpy()
    return np.sqrt(chi2.ppf(quantile, n_components)), reference.distance_cutoff(orthogonal, quantile)


@mistake(
    of="pca_outliers",
    en="Your components come from all samples, so the outliers turn the plane towards themselves. "
    "Start from the least outlying samples, and take the final components from those close to the first plane.",
    zh="你的主成分来自全部样本，离群样本会把平面拉向自己。应从离群程度最小的样本出发，再用靠近初始平面的样本求最终主成分。",
)
def classical_components(x, *, n_components, rng, quantile=0.975):
    found = reference.pca_outliers(x, n_components=n_components, rng=rng, quantile=quantile)
    matrix = as_matrix(x, "x")
    centre, axes = reference.principal_axes(matrix, n_components)
    scores = (matrix - centre) @ axes
    found["orthogonal_distance"] = np.linalg.norm(matrix - centre - scores @ axes.T, axis=1)
    found["score_distance"] = np.sqrt(np.sum(scores**2 / scores.var(axis=0, ddof=1), axis=1))
    score_cutoff, orthogonal_cutoff = _cutoffs(found, n_components, quantile)
    found["outlier"] = (found["score_distance"] > score_cutoff) | (found["orthogonal_distance"] > orthogonal_cutoff)
    return found


@mistake(
    of="pca_outliers",
    en="You call a sample an outlier only if both distances are too large. Either is enough: they tell different "
    "stories.",
    zh="你要求两个距离都过大才判为离群。其实有一个过大就够了：它们说明的是两件不同的事。",
)
def needs_both_distances(x, *, n_components, rng, quantile=0.975):
    found = reference.pca_outliers(x, n_components=n_components, rng=rng, quantile=quantile)
    score_cutoff, orthogonal_cutoff = _cutoffs(found, n_components, quantile)
    found["outlier"] = (found["score_distance"] > score_cutoff) & (found["orthogonal_distance"] > orthogonal_cutoff)
    return found


@mistake(
    of="pca_outliers",
    en="You flag by the orthogonal distance alone. A sample far out within the plane has a large score distance.",
    zh="你只看正交距离。在平面内远离中心的样本，得分距离会很大，同样应被标记。",
)
def orthogonal_only(x, *, n_components, rng, quantile=0.975):
    found = reference.pca_outliers(x, n_components=n_components, rng=rng, quantile=quantile)
    found["outlier"] = found["orthogonal_distance"] > _cutoffs(found, n_components, quantile)[1]
    return found


@mistake(
    of="pca_outliers",
    en="Your cut-off treats the orthogonal distances as normal. They are skewed; their power 2/3 is nearly normal "
    "(Wilson and Hilferty).",
    zh="你的界值把正交距离当作正态分布。它其实是偏态的；取 2/3 次幂之后才近似正态（Wilson–Hilferty）。",
)
def normal_cutoff(x, *, n_components, rng, quantile=0.975):
    found = reference.pca_outliers(x, n_components=n_components, rng=rng, quantile=quantile)
    orthogonal = found["orthogonal_distance"]
    centre = orthogonal.median()
    cutoff = centre + 1.4826 * (orthogonal - centre).abs().median() * norm.ppf(quantile)
    found["outlier"] = (found["score_distance"] > _cutoffs(found, n_components, quantile)[0]) | (orthogonal > cutoff)
    return found


@mistake(
    of="pca_outliers",
    en="Your score distance is Euclidean: a step along a component in which samples vary much should count less. "
    "Use robust_distances of the scores.",
    zh="你的得分距离是欧氏距离：在变异大的主成分方向上，同样的一步应当算得更小。请对得分使用 robust_distances。",
)
def euclidean_scores(x, *, n_components, rng, quantile=0.975):
    found = reference.pca_outliers(x, n_components=n_components, rng=rng, quantile=quantile)
    matrix = as_matrix(x, "x")
    coordinates = reference._rotated(matrix)
    inner = found["orthogonal_distance"].to_numpy() <= found["orthogonal_distance"].median()
    centre, axes = reference.principal_axes(coordinates[inner], n_components)
    found["score_distance"] = np.linalg.norm((coordinates - centre) @ axes, axis=1)
    score_cutoff, orthogonal_cutoff = _cutoffs(found, n_components, quantile)
    found["outlier"] = (found["score_distance"] > score_cutoff) | (found["orthogonal_distance"] > orthogonal_cutoff)
    return found


# ---------------------------------------------------------------- run_qc


def _audit(rows):
    table = pd.DataFrame(rows, columns=["sample", "gate", "value", "threshold"])
    return table.astype({"value": float, "threshold": float})


def _bound(gate, value):
    if np.isnan(value):
        return np.nan
    return gate.lower if value < gate.lower else gate.upper


@mistake(
    of="run_qc",
    en="A sample stands in your audit under every gate it fails. A sample stopped by one gate is not asked by the "
    "next.",
    zh="你的审计表把一个样本记在它未通过的每一道门下。被一道门挡下的样本，不再接受后面的门。",
)
def lists_every_failure(metrics, gates):
    kept, _ = reference.run_qc(metrics, gates)
    rows = [
        (sample, gate.name, value, _bound(gate, value))
        for gate in gates
        for sample, value in metrics[gate.metric].items()
        if not gate.lower <= value <= gate.upper
    ]
    return kept, _audit(rows)


@mistake(
    of="run_qc",
    en="Missing values pass your gates: NaN < bound and NaN > bound are both False. Ask which values lie within the "
    "bounds, not which lie outside.",
    zh="缺失值通过了你的门：NaN < 界限 与 NaN > 界限 都为 False。应判断哪些数值在界限之内，而不是哪些在界限之外。",
)
def lets_missing_through(metrics, gates):
    reference._require_metrics(metrics, gates)
    kept, rows = metrics, []
    for gate in gates:
        value = kept[gate.metric]
        failed = (value < gate.lower) | (value > gate.upper)
        if failed.all():
            raise ValueError("nobody left")
        rows += [(sample, gate.name, value[sample], _bound(gate, value[sample])) for sample in kept.index[failed]]
        kept = kept[~failed]
    return kept.index, _audit(rows)


@mistake(
    of="run_qc",
    en="A value exactly on a bound is dropped. Bounds belong to the gate: use <= and >=.",
    zh="恰好等于界限的数值被你剔除了。界限属于门内：应使用 <= 和 >=。",
)
def excludes_the_bounds(metrics, gates):
    reference.run_qc(metrics, gates)
    kept, rows = metrics, []
    for gate in gates:
        value = kept[gate.metric]
        passed = (value > gate.lower) & (value < gate.upper)
        for sample in kept.index[~passed]:
            bound = np.nan if np.isnan(value[sample]) else gate.lower if value[sample] <= gate.lower else gate.upper
            rows.append((sample, gate.name, value[sample], bound))
        kept = kept[passed]
    return kept.index, _audit(rows)


@mistake(
    of="run_qc",
    en="Your audit always gives the lower bound. Give the bound that was crossed: for values that are too high, the "
    "upper.",
    zh="你的审计表总是给出下界。应给出被越过的那个界限：数值过高时是上界。",
)
def always_the_lower_bound(metrics, gates):
    kept, audit = reference.run_qc(metrics, gates)
    lower = {gate.name: gate.lower for gate in gates}
    threshold = audit["gate"].map(lower).astype(float)
    return kept, audit.assign(threshold=threshold.where(audit["value"].notna()))


@mistake(
    of="run_qc",
    en="If the gates drop everybody you return an empty index, and the next analysis fails far from the cause. "
    "Refuse with a ValueError that names the gate.",
    zh="当所有样本都被剔除时，你返回了空索引，后面的分析会在远离原因的地方出错。应抛出 ValueError 并指明是哪道门。",
)
def returns_nobody(metrics, gates):
    try:
        return reference.run_qc(metrics, gates)
    except ValueError as problem:
        if "would drop all" not in str(problem):
            raise
    kept, rows = metrics, []
    for gate in gates:
        value = kept[gate.metric].astype(float)
        passed = value.between(gate.lower, gate.upper)
        rows += [(sample, gate.name, value[sample], _bound(gate, value[sample])) for sample in kept.index[~passed]]
        kept = kept[passed]
    return kept.index, _audit(rows)


@mistake(
    of="run_qc",
    en="Your audit follows the order of the samples. Gates are asked one after another: list all that the first one "
    "stopped, then the second.",
    zh="你的审计表按样本排列。门是依次过的：应先列出第一道门挡下的全部样本，再列第二道门的。",
)
def audits_by_sample(metrics, gates):
    kept, audit = reference.run_qc(metrics, gates)
    place = {sample: position for position, sample in enumerate(metrics.index)}
    return kept, audit.sort_values("sample", key=lambda column: column.map(place), ignore_index=True)


@mistake(
    of="run_qc",
    en="The right samples are kept, but sorted by name. Leave them in the order of the table.",
    zh="保留的样本是对的，但你按名称排了序。应保持原表中的次序。",
)
def sorts_the_kept(metrics, gates):
    kept, audit = reference.run_qc(metrics, gates)
    return kept.sort_values(), audit


# ---------------------------------------------------------------- failed_libraries


@mistake(
    of="failed_libraries",
    en="You looked at the depth alone. Degraded RNA, dying cells and overamplification give as many reads as a good "
    "library: each failure needs its own metric.",
    zh="你只看了测序深度。RNA 降解、细胞濒死、扩增过度的文库，读段数可以与好文库一样多：每种失败要用各自的指标来看。",
)
def looks_at_depth_only(metrics, run_qc, Gate):
    return run_qc(metrics, [Gate("deep", "log10_depth", lower=5.6)])[1]["sample"].tolist()


@mistake(
    of="failed_libraries",
    en="You trust what is sequenced and forget the tube: the degraded libraries are missing. Look at rin or "
    "three_prime_bias.",
    zh="你只看测序结果，忘了试管里的 RNA：漏掉了降解的文库。请看 rin 或 three_prime_bias。",
)
def forgets_degradation(metrics):
    bad = (metrics["log10_depth"] < 5.6) | (metrics["mitochondrial"] > 35) | (metrics["percent_duplicated"] > 50)
    return metrics.index[bad].tolist()


@mistake(
    of="failed_libraries",
    en="You named every library beyond 2 robust deviations in any metric. With six metrics that hits many good ones: "
    "unusual is not failed. Put the bounds into the gaps of the histograms.",
    zh="你把任一指标上超出 2 个稳健标准差的文库都列了进来。六个指标一起，会误伤许多好文库：少见不等于失败。"
    "请把界限放在直方图的空隙里。",
)
def names_everything_unusual(metrics, mad_outliers):
    return metrics.index[mad_outliers(metrics, threshold=2.0).any(axis=1)].tolist()


@mistake(
    of="failed_libraries",
    en="These are the libraries that passed. The failed ones stand in the audit.",
    zh="你列出的是通过的文库。失败的文库在审计表里。",
)
def names_those_kept(metrics):
    bad = (metrics["log10_depth"] < 5.6) | (metrics["mitochondrial"] > 35) | (metrics["percent_duplicated"] > 50)
    return metrics.index[~(bad | (metrics["rin"] < 5))].tolist()


@mistake(
    of="failed_libraries",
    en="The libraries of dying cells are missing. They have reads enough and genes enough: only the mitochondrial "
    "share shows them.",
    zh="漏掉了濒死细胞的文库。它们的读段数和检出基因数都足够，只有线粒体占比能显示出来。",
)
def forgets_dying_cells(metrics):
    bad = (metrics["log10_depth"] < 5.6) | (metrics["rin"] < 5) | (metrics["percent_duplicated"] > 50)
    return metrics.index[bad].tolist()


@mistake(
    of="failed_libraries",
    en="The overamplified libraries are missing. They have reads enough, but most are copies: look at "
    "percent_duplicated or genes_detected.",
    zh="漏掉了扩增过度的文库。它们的读段数足够，但大多是拷贝：请看 percent_duplicated 或 genes_detected。",
)
def forgets_overamplification(metrics):
    bad = (metrics["log10_depth"] < 5.6) | (metrics["rin"] < 5) | (metrics["mitochondrial"] > 35)
    return metrics.index[bad].tolist()
