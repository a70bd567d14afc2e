"""Wrong answers people really give to unit 04, each with what to say to who gives it."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import f as f_distribution
from scipy.stats import rankdata

from course.checking import mistake
from reference_impl import normalization as reference
from reference_impl.validation import as_matrix, like

# ---------------------------------------------------------------- cpm


@mistake(
    of="cpm",
    en="You divided by the sum of each gene over the samples. The library size is the sum of each sample over the "
    "genes: sum along the row.",
    zh="你除以了每个基因跨样本的和。文库大小是每个样本所有基因之和：应沿行求和。",
)
def million_per_gene(counts):
    matrix = reference.count_matrix(counts)
    reference.library_sizes(matrix, counts)
    return like(counts, 1e6 * matrix / np.maximum(matrix.sum(axis=0), 1e-300))


@mistake(
    of="cpm",
    en="Your samples sum to the size of the average library, not to a million. That removes depth too, but it is no "
    "longer per million.",
    zh="你的各样本之和等于平均文库大小，而不是一百万。这样虽也去掉了深度，却不再是“每百万”。",
)
def scales_to_the_average_library(counts):
    sizes = np.asarray(counts, dtype=float).sum(axis=1)
    return reference.cpm(counts) * (sizes.mean() / 1e6)


@mistake(
    of="cpm",
    en="The numbers are right, but you changed the table of counts that came in. Work on the copy that count_matrix "
    "gives you.",
    zh="数值是对的，但你改动了传入的计数表。请在 count_matrix 给出的副本上计算。",
)
def changes_the_counts(counts):
    found = reference.cpm(counts)
    if isinstance(counts, pd.DataFrame):
        counts.iloc[:, :] = 0
    return found


@mistake(
    of="cpm",
    en="You divide without looking: an empty library gives NaN, and a negative count passes for a small one. Refuse "
    "them with a ValueError; count_matrix and library_sizes do it.",
    zh="你不加检查就相除：空文库得到 NaN，负的计数也混了过去。应以 ValueError 拒绝；"
    "count_matrix 与 library_sizes 会检查。",
)
def accepts_anything(counts):
    matrix = np.array(counts, dtype=float)
    with np.errstate(all="ignore"):
        return like(counts, 1e6 * matrix / matrix.sum(axis=1, keepdims=True))


# ---------------------------------------------------------------- tpm


def _checked(counts, lengths):
    """Everything refused as the reference does; counts and lengths as arrays."""
    reference.tpm(counts, lengths)
    return reference.count_matrix(counts), reference.positive_per(lengths, counts, 1, "length")


@mistake(
    of="tpm",
    en="This is RPKM: first the share of the library, then the length. The samples no longer have one sum. Divide by "
    "the length first, then take the share.",
    zh="这是 RPKM：先取文库中的份额，再除以长度，各样本之和因而不同。应先除长度，再取份额。",
)
def reads_per_kilobase(counts, lengths):
    matrix, bases = _checked(counts, lengths)
    return like(counts, 1e9 * matrix / matrix.sum(axis=1, keepdims=True) / bases)


@mistake(
    of="tpm",
    en="You multiplied by the length. A long molecule gives more reads, so to count molecules you divide.",
    zh="你乘以了长度。长的分子产生更多读段，要得到分子数应当相除。",
)
def multiplies_by_length(counts, lengths):
    matrix, bases = _checked(counts, lengths)
    matrix *= bases
    return like(counts, 1e6 * matrix / matrix.sum(axis=1, keepdims=True))


@mistake(
    of="tpm",
    en="You took the lengths by position. A Series knows its genes: match it to the columns by label, or every gene "
    "gets the length of another.",
    zh="你按位置取用长度。Series 知道自己的基因：应按标签与列对应，否则每个基因都用了别人的长度。",
)
def lengths_by_position(counts, lengths):
    _checked(counts, lengths)
    return reference.tpm(counts, np.asarray(lengths, dtype=float))


@mistake(
    of="tpm",
    en="A length of 0 or a missing one turns into infinity or NaN. Refuse it with a ValueError: positive_per does.",
    zh="长度为 0 或缺失时，结果成了无穷或 NaN。应以 ValueError 拒绝：positive_per 会检查。",
)
def accepts_any_length(counts, lengths):
    matrix = reference.count_matrix(counts)
    reference.library_sizes(matrix, counts)
    if isinstance(lengths, pd.Series) and isinstance(counts, pd.DataFrame):
        lengths = lengths.reindex(counts.columns)
    with np.errstate(all="ignore"):
        matrix = matrix / np.asarray(lengths, dtype=float)
        return like(counts, 1e6 * matrix / np.nansum(matrix, axis=1, keepdims=True))


@mistake(
    of="tpm",
    en="You counted one base more per gene, so bases and kilobases give different results. Divide by the length as it "
    "is: its unit must cancel.",
    zh="你给每个基因多算了一个碱基，于是用碱基与用千碱基结果不同。请直接除以长度：它的单位必须约掉。",
)
def adds_one_base(counts, lengths):
    matrix, bases = _checked(counts, lengths)
    return reference.tpm(like(counts, matrix), bases + 1)


# ---------------------------------------------------------------- tmm_factors


def _ranks(values, trim):
    """Which values an average-rank trimming keeps."""
    return reference.middle_ranks(values, trim)


def _variance(y, r, n, m):
    return (n - y) / n / y + (m - r) / m / r


def _factors(
    counts,
    chosen,
    log_ratio_trim,
    sum_trim,
    *,
    stays=_ranks,
    weigh=lambda v: 1 / v,
    both=True,
    stranger=0.0,
    scale=True,
):
    """TMM with one part replaced; what is refused is refused as the reference does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference.tmm_factors(counts, chosen, log_ratio_trim=log_ratio_trim, sum_trim=sum_trim)
    matrix = reference.count_matrix(counts)
    sizes = matrix.sum(axis=1)
    row = reference._reference_position(chosen, counts, matrix, sizes)
    logs = np.zeros(len(matrix))
    for position, sample in enumerate(matrix):
        shared = (sample > 0) & (matrix[row] > 0)
        if not shared.any():
            warnings.warn("no shared gene", UserWarning, stacklevel=2)
            logs[position] = stranger
            continue
        y, r, n, m = sample[shared], matrix[row, shared], sizes[position], sizes[row]
        ratio = np.log2((y / n) / (r / m))
        abundance = (np.log2(y / n) + np.log2(r / m)) / 2
        kept = stays(ratio, log_ratio_trim) & (stays(abundance, sum_trim) if both else True)
        if kept.any() and np.abs(ratio).max() >= 1e-6:
            logs[position] = np.average(ratio[kept], weights=weigh(_variance(y, r, n, m)[kept]))
    return reference._per_sample(2 ** (logs - (logs.mean() if scale else 0.0)), counts)


@mistake(
    of="tmm_factors",
    en="All genes that are kept count alike in your mean. A log ratio from 10 reads is less certain than one from "
    "10,000: weight by 1/v.",
    zh="保留的基因在你的平均中一视同仁。10 条读段的对数比值不如 10000 条可靠：应以 1/v 加权。",
)
def unweighted_mean(counts, reference=None, *, log_ratio_trim=0.3, sum_trim=0.05):
    return _factors(counts, reference, log_ratio_trim, sum_trim, weigh=np.ones_like)


@mistake(
    of="tmm_factors",
    en="Your weights are the variances themselves, so the least certain genes decide. Weight by 1/v.",
    zh="你的权重就是方差本身，于是最不可靠的基因说了算。应以 1/v 加权。",
)
def weighted_by_variance(counts, reference=None, *, log_ratio_trim=0.3, sum_trim=0.05):
    return _factors(counts, reference, log_ratio_trim, sum_trim, weigh=lambda v: v)


@mistake(
    of="tmm_factors",
    en="You trim the log ratios only. Genes that dominate a library have an extreme abundance A: trim that too.",
    zh="你只截了对数比值。独占文库的基因，丰度 A 是极端的：也要按 A 截尾。",
)
def trims_ratios_only(counts, reference=None, *, log_ratio_trim=0.3, sum_trim=0.05):
    return _factors(counts, reference, log_ratio_trim, sum_trim, both=False)


@mistake(
    of="tmm_factors",
    en="You do not trim at all, so the genes that changed pull the factor towards themselves.",
    zh="你没有截尾，变化了的基因把因子拉向自己。",
)
def no_trimming(counts, reference=None, *, log_ratio_trim=0.3, sum_trim=0.05):
    return _factors(counts, reference, log_ratio_trim, sum_trim, stays=lambda values, trim: values == values)


@mistake(
    of="tmm_factors",
    en="You cut at quantiles of the values, with np.quantile. The rule is by rank: the ranks up to ⌊n·trim⌋ at either "
    "end leave.",
    zh="你用 np.quantile 按数值的分位数来截。规则是按秩：两端各去掉 ⌊n·trim⌋ 个秩。",
)
def trims_at_quantiles(counts, reference=None, *, log_ratio_trim=0.3, sum_trim=0.05):
    def between(values, trim):
        return (values > np.quantile(values, trim)) & (values < np.quantile(values, 1 - trim))

    return _factors(counts, reference, log_ratio_trim, sum_trim, stays=between)


@mistake(
    of="tmm_factors",
    en="You give equal values different ranks, in the order in which they stand, so some of them leave and some stay. "
    "Equal values share the average rank.",
    zh="你按先后给相等的数值排了不同的秩，于是有的截去、有的留下。相等的数值应同取平均秩。",
)
def breaks_ties(counts, reference=None, *, log_ratio_trim=0.3, sum_trim=0.05):
    def in_order(values, trim):
        rank, cut = rankdata(values, method="ordinal"), np.floor(len(values) * trim)
        return (rank > cut) & (rank <= len(values) - cut)

    return _factors(counts, reference, log_ratio_trim, sum_trim, stays=in_order)


@mistake(
    of="tmm_factors",
    en="You did not divide by the geometric mean of the factors. Their product must be 1, so that no sample is the "
    "measure of all others.",
    zh="你没有除以各因子的几何平均。它们的乘积应为 1，这样才不会以某一个样本为准。",
)
def not_centred(counts, reference=None, *, log_ratio_trim=0.3, sum_trim=0.05):
    return _factors(counts, reference, log_ratio_trim, sum_trim, scale=False)


@mistake(
    of="tmm_factors",
    en="Your factors are upside down: a sample whose genes have smaller shares must get a factor below 1, so that its "
    "effective library is smaller.",
    zh="你的因子颠倒了：基因份额偏小的样本，因子应小于 1，其有效文库才会变小。",
)
def upside_down(counts, reference=None, *, log_ratio_trim=0.3, sum_trim=0.05):
    return 1 / _factors(counts, reference, log_ratio_trim, sum_trim)


@mistake(
    of="tmm_factors",
    en="A sample that shares no gene with the reference gets NaN, the mean of nothing, and the geometric mean hands it "
    "on to all samples. Give it the log factor 0, and warn.",
    zh="与参照没有共同基因的样本得到了 NaN，即“空集的平均”，几何平均又把它传给了所有样本。"
    "应令其对数因子为 0，并发出警告。",
)
def strangers_spoil_all(counts, reference=None, *, log_ratio_trim=0.3, sum_trim=0.05):
    return _factors(counts, reference, log_ratio_trim, sum_trim, stranger=np.nan)


@mistake(
    of="tmm_factors",
    en="You always choose the reference yourself. If the caller names one, use it.",
    zh="你总是自行选取参照。若调用者指定了参照，就应使用它。",
)
def ignores_the_reference(counts, reference=None, *, log_ratio_trim=0.3, sum_trim=0.05):
    _factors(counts, reference, log_ratio_trim, sum_trim)
    return _factors(counts, None, log_ratio_trim, sum_trim)


# ---------------------------------------------------------------- distorted_libraries


@mistake(
    of="distorted_libraries",
    en="You named the small libraries. Depth is not the question: a shallow library of the usual composition has a "
    "factor near 1. Compare the effective with the actual size of the same library.",
    zh="你列出的是小文库。问题不在深度：组成正常的浅文库，因子接近 1。应比较同一文库的有效大小与实际大小。",
)
def names_small_libraries(counts):
    sizes = counts.sum(axis=1)
    return sizes.index[sizes < 0.8 * sizes.mean()].tolist()


@mistake(
    of="distorted_libraries",
    en="You named libraries whose factor is off in either direction. The question is about those whose size is "
    "overstated: factors below 0.8.",
    zh="你把因子偏向任一方向的文库都列了进来。题目问的是大小被高估的文库：因子小于 0.8。",
)
def names_both_directions(counts, tmm_factors):
    factors = tmm_factors(counts)
    return factors.index[(factors < 0.8) | (factors > 1.1)].tolist()


@mistake(
    of="distorted_libraries",
    en="You looked at the mitochondrial reads only. Degraded libraries have a distorted composition too, and only the "
    "factor shows it.",
    zh="你只看了线粒体读段。RNA 降解的文库组成同样被扭曲，只有因子能显示出来。",
)
def names_mitochondrial_only(counts, genes):
    share = counts[genes.index[genes["chromosome"] == "chrM"]].sum(axis=1) / counts.sum(axis=1)
    return share.index[share > 0.3].tolist()


# ---------------------------------------------------------------- log_cpm


def _effective(counts, factors, prior_count):
    """Everything refused as the reference does; counts, library sizes and factors as arrays."""
    reference.log_cpm(counts, factors, prior_count=prior_count)
    matrix = reference.count_matrix(counts)
    given = np.ones(len(matrix)) if factors is None else reference.positive_per(factors, counts, 0, "factor")
    return matrix, matrix.sum(axis=1), given


def _logarithm(counts, matrix, sizes, prior, doubled=2):
    prior = np.broadcast_to(prior, sizes.shape)
    return like(counts, np.log2(1e6 * (matrix + prior[:, None]) / (sizes + doubled * prior)[:, None]))


@mistake(
    of="log_cpm",
    en="You add the same prior count to every sample. A gene without reads then seems to be higher in shallow "
    "libraries. Let the prior grow with the effective library size.",
    zh="你给每个样本加了同样的先验计数，没有读段的基因在浅文库中就显得偏高。先验应随有效文库大小而变。",
)
def same_prior_for_all(counts, factors=None, *, prior_count=2.0):
    matrix, sizes, given = _effective(counts, factors, prior_count)
    return _logarithm(counts, matrix, sizes * given, prior_count)


@mistake(
    of="log_cpm",
    en="In the denominator the prior stands twice: N + 2p. Otherwise a gene that is the whole library would exceed "
    "one million.",
    zh="分母中的先验要计两倍：N + 2p。否则占满整个文库的基因会超过一百万。",
)
def prior_once(counts, factors=None, *, prior_count=2.0):
    matrix, sizes, given = _effective(counts, factors, prior_count)
    effective = sizes * given
    return _logarithm(counts, matrix, effective, prior_count * effective / effective.mean(), doubled=1)


@mistake(
    of="log_cpm",
    en="Your prior is scaled by the mean of the plain library sizes. Take the mean of the effective ones, factors "
    "included.",
    zh="你的先验以原始文库大小的平均为基准。应取有效文库大小的平均，因子也计算在内。",
)
def mean_of_plain_sizes(counts, factors=None, *, prior_count=2.0):
    matrix, sizes, given = _effective(counts, factors, prior_count)
    return _logarithm(counts, matrix, sizes * given, prior_count * sizes * given / sizes.mean())


@mistake(
    of="log_cpm",
    en="You divide the library size by the factor. The effective library size is library size × factor.",
    zh="你用文库大小除以因子。有效文库大小 = 文库大小 × 因子。",
)
def divides_by_the_factor(counts, factors=None, *, prior_count=2.0):
    matrix, sizes, given = _effective(counts, factors, prior_count)
    effective = sizes / given
    return _logarithm(counts, matrix, effective, prior_count * effective / effective.mean())


@mistake(
    of="log_cpm",
    en="You take the factors by position. A Series knows its samples: match it to the rows by label.",
    zh="你按位置取用因子。Series 知道自己的样本：应按标签与行对应。",
)
def factors_by_position(counts, factors=None, *, prior_count=2.0):
    _effective(counts, factors, prior_count)
    return reference.log_cpm(
        counts, None if factors is None else np.asarray(factors, dtype=float), prior_count=prior_count
    )


@mistake(
    of="log_cpm",
    en="Your prior count is always 2. Use the one that was given.",
    zh="你的先验计数始终是 2。请使用调用者给出的值。",
)
def fixed_prior(counts, factors=None, *, prior_count=2.0):
    _effective(counts, factors, prior_count)
    return reference.log_cpm(counts, factors)


@mistake(
    of="log_cpm",
    en="A prior or a factor that is not positive passes: the result is then infinite or meaningless. Refuse it with a "
    "ValueError.",
    zh="不是正数的先验或因子也通过了，结果会是无穷或毫无意义。应以 ValueError 拒绝。",
)
def accepts_any_prior(counts, factors=None, *, prior_count=2.0):
    matrix = reference.count_matrix(counts)
    sizes = reference.library_sizes(matrix, counts)
    if factors is not None:
        if isinstance(factors, pd.Series) and isinstance(counts, pd.DataFrame):
            factors = factors.reindex(counts.index)
        sizes = sizes * np.resize(np.asarray(factors, dtype=float), len(sizes))
    with np.errstate(all="ignore"):
        return _logarithm(counts, matrix, sizes, prior_count * sizes / sizes.mean())


# ---------------------------------------------------------------- median_scale


def _table(log_intensity):
    """The table, refused as the reference does, and which features are complete."""
    reference.median_scale(log_intensity)
    matrix = as_matrix(log_intensity, "log_intensity", missing=True)
    return matrix, ~np.isnan(matrix).any(axis=0)


@mistake(
    of="median_scale",
    en="Your medians are over whatever each sample has. A weak sample lacks its faint features, so its median is too "
    "high. Take the features that all samples have.",
    zh="你的中位数取自各样本自己有的特征。上样少的样本缺的是微弱特征，中位数因而偏高。应取所有样本都有的特征。",
)
def medians_of_what_is_there(log_intensity):
    matrix, _ = _table(log_intensity)
    medians = np.nanmedian(matrix, axis=1)
    return like(log_intensity, matrix - (medians - medians.mean())[:, None])


@mistake(
    of="median_scale",
    en="You subtracted the means. A few strong features decide a mean; the task asks for medians.",
    zh="你减去的是均值。均值由少数强特征决定；题目要求用中位数。",
)
def subtracts_means(log_intensity):
    matrix, complete = _table(log_intensity)
    means = matrix[:, complete].mean(axis=1)
    return like(log_intensity, matrix - (means - means.mean())[:, None])


@mistake(
    of="median_scale",
    en="You subtracted the median alone, so the level of the table is lost: all medians are 0. Add the mean of the "
    "medians back.",
    zh="你只减去了中位数，整张表的水平丢了：所有中位数都成了 0。应把各中位数的平均加回去。",
)
def loses_the_level(log_intensity):
    matrix, complete = _table(log_intensity)
    return like(log_intensity, matrix - np.median(matrix[:, complete], axis=1, keepdims=True))


@mistake(
    of="median_scale",
    en="You divided by the medians. That is right for raw intensities; of logarithms the median is subtracted.",
    zh="你除以了中位数。对原始强度这是对的；对数则应相减。",
)
def divides_logarithms(log_intensity):
    matrix, complete = _table(log_intensity)
    medians = np.median(matrix[:, complete], axis=1)
    return like(log_intensity, matrix * (medians.mean() / medians)[:, None])


@mistake(
    of="median_scale",
    en="You set the level by the median of the medians. With their mean, the geometric mean of the factors is 1, as "
    "the task asks.",
    zh="你用各中位数的中位数来定水平。应取它们的平均，这样各因子的几何平均才是 1。",
)
def level_by_the_median(log_intensity):
    matrix, complete = _table(log_intensity)
    medians = np.median(matrix[:, complete], axis=1)
    return like(log_intensity, matrix - (medians - np.median(medians))[:, None])


@mistake(
    of="median_scale",
    en="Where no feature is complete you fall back on what is there, in silence. Such medians are not comparable: "
    "raise a ValueError.",
    zh="没有完整的特征时，你悄悄改用现有的数值。这样的中位数不可比：应抛出 ValueError。",
)
def falls_back_in_silence(log_intensity):
    matrix = as_matrix(log_intensity, "log_intensity", missing=True)
    if (~np.isnan(matrix).any(axis=0)).any():
        return reference.median_scale(log_intensity)
    medians = np.nanmedian(matrix, axis=1)
    return like(log_intensity, matrix - (medians - medians.mean())[:, None])


@mistake(
    of="median_scale",
    en="The numbers are right, but you changed the table that came in. Shift a copy.",
    zh="数值是对的，但你改动了传入的表。请在副本上平移。",
)
def shifts_in_place(log_intensity):
    found = reference.median_scale(log_intensity)
    if isinstance(log_intensity, pd.DataFrame):
        log_intensity.iloc[:, :] = found
    return found


# ---------------------------------------------------------------- quantile_normalize


def _sorted_samples(x):
    """The table, refused as the reference does, the measured values of each sample in order, and their number."""
    reference.quantile_normalize(x)
    matrix = as_matrix(x, "x", missing=True)
    measured = reference.count_measured(matrix, x)
    return matrix, [np.sort(sample)[:n] for sample, n in zip(matrix, measured, strict=True)]


def _place(matrix, target, read):
    """Each sample's values replaced by what `read` makes of the target and the sorted values."""
    result = np.full(matrix.shape, np.nan)
    for row, sample in enumerate(matrix):
        order = np.argsort(sample, kind="stable")[: int((~np.isnan(sample)).sum())]
        result[row, order] = read(target, sample[order])
    return result


def _mean_curve(curves, size):
    return np.mean([reference.stretch(curve, size) for curve in curves], axis=0)


@mistake(
    of="quantile_normalize",
    en="Your target is the median over the samples. The rule is the mean at each rank.",
    zh="你的目标是跨样本的中位数。规则是在每个秩上取平均。",
)
def median_target(x):
    matrix, curves = _sorted_samples(x)
    if len(matrix) == 1:
        return like(x, matrix)
    target = np.median([reference.stretch(curve, matrix.shape[1]) for curve in curves], axis=0)
    return like(x, _place(matrix, target, reference.read_target))


@mistake(
    of="quantile_normalize",
    en="Equal values come out different, in the order in which they stand. Let them read the target at the average of "
    "their ranks.",
    zh="相等的数值按先后变得不同了。应让它们在平均秩处读取目标。",
)
def breaks_equal_values(x):
    matrix, curves = _sorted_samples(x)
    if len(matrix) == 1:
        return like(x, matrix)
    target = _mean_curve(curves, matrix.shape[1])
    return like(x, _place(matrix, target, lambda curve, ordered: reference.stretch(curve, len(ordered))))


@mistake(
    of="quantile_normalize",
    en="Equal values get the mean of the target over all their ranks. The rule is the target at the mean of their "
    "ranks, which is another number where the target is curved.",
    zh="相等的数值得到了目标在它们各秩上的平均。规则是目标在平均秩处的数值；目标弯曲时两者不同。",
)
def averages_the_target(x):
    matrix, curves = _sorted_samples(x)
    if len(matrix) == 1:
        return like(x, matrix)

    def average(target, ordered):
        read = reference.stretch(target, len(ordered))
        return pd.Series(read).groupby(ordered).transform("mean").to_numpy()

    return like(x, _place(matrix, _mean_curve(curves, matrix.shape[1]), average))


@mistake(
    of="quantile_normalize",
    en="You do not stretch samples with gaps: their values stay at the low ranks, as if only high ones were missing. "
    "Spread them evenly over all ranks.",
    zh="有缺口的样本没有拉伸：数值都挤在低秩上，仿佛缺的只是高值。应把它们均匀地铺到全部的秩上。",
)
def leaves_gaps_at_the_end(x):
    matrix, curves = _sorted_samples(x)
    if len(matrix) == 1:
        return like(x, matrix)
    padded = np.array([np.pad(curve, (0, matrix.shape[1] - len(curve)), mode="edge") for curve in curves])
    target = padded.mean(axis=0)
    return like(x, _place(matrix, target, lambda curve, ordered: reference.read_target(curve[: len(ordered)], ordered)))


@mistake(
    of="quantile_normalize",
    en="Your result has values where nothing was measured. What is missing stays missing.",
    zh="没有测到的地方，你的结果里却有了数值。缺失的应仍然缺失。",
)
def fills_the_gaps(x):
    _sorted_samples(x)
    found = np.asarray(reference.quantile_normalize(x))
    return like(x, np.where(np.isnan(found), np.nanmean(found), found))


@mistake(
    of="quantile_normalize",
    en="A single sample with gaps changed: stretching and reading back does not return the same values. With nothing "
    "to compare it with, give it back as it is.",
    zh="单独一个有缺口的样本被改变了：拉伸之后再读回来，数值并不相同。没有可比的样本时，应原样返回。",
)
def changes_a_single_sample(x):
    matrix, curves = _sorted_samples(x)
    return like(x, _place(matrix, _mean_curve(curves, matrix.shape[1]), reference.read_target))


@mistake(
    of="quantile_normalize",
    en="The numbers are right, but you changed the table that came in. Work on a copy.",
    zh="数值是对的，但你改动了传入的表。请在副本上计算。",
)
def normalizes_in_place(x):
    found = reference.quantile_normalize(x)
    if isinstance(x, pd.DataFrame):
        x.iloc[:, :] = found
    return found


@mistake(
    of="quantile_normalize",
    en="A sample with a single value passes. One value is no distribution: refuse it with a ValueError, as "
    "count_measured does.",
    zh="只有一个数值的样本也通过了。一个数值谈不上分布：应像 count_measured 那样以 ValueError 拒绝。",
)
def accepts_a_single_value(x):
    matrix = as_matrix(x, "x", missing=True)
    if (np.isnan(matrix).sum(axis=1) <= matrix.shape[1] - 2).all():
        return reference.quantile_normalize(x)
    return like(x, matrix)


# ---------------------------------------------------------------- global_shift


def _parts(x, groups):
    """Curves, codes and names; refused as the reference does."""
    return reference.sorted_curves(x), *reference.group_codes(groups, x)


def _result(curves, codes, names, *, apart=None, weigh=True, plain=False):
    """The reference's steps with one of them replaced."""
    means = np.array([curves[codes == code].mean(axis=0) for code in range(len(names))])
    apart = means - curves.mean(axis=0) if apart is None else apart(means)
    size = np.bincount(codes) if weigh else np.ones(len(names))
    between = float(size @ np.sum(apart**2, axis=1))
    rest = curves - means[codes]
    products = rest @ rest.T
    within = float(np.trace(products))
    rounding = 1e-20 * np.sum(curves**2)
    if within <= rounding:
        statistic, p = (np.inf, 0.0) if between > rounding else (0.0, 1.0)
    else:
        degrees = np.array([len(names) - 1, len(curves) - len(names)])
        statistic = between / degrees[0] / (within / degrees[1])
        ways = 1.0 if plain else within**2 / np.sum(products**2)
        p = float(f_distribution.sf(statistic, *(ways * degrees)))
    explained = between / (between + within) if between > rounding else 0.0
    return reference.GlobalShift(float(statistic), p, explained, reference.shift_at_shares(apart, names))


@mistake(
    of="global_shift",
    en="Your p uses the plain degrees of freedom, as for one number per sample. Curves vary in κ ways: multiply both "
    "by κ.",
    zh="你的 p 用的是普通自由度，仿佛每个样本只有一个数。曲线在 κ 个方面变化：两个自由度都要乘以 κ。",
)
def one_way_only(x, groups):
    return _result(*_parts(x, groups), plain=True)


@mistake(
    of="global_shift",
    en="You compared feature by feature. The question is about distributions: sort each sample first.",
    zh="你是逐个特征比较的。题目问的是分布：应先把每个样本排序。",
)
def compares_features(x, groups):
    curves, codes, names = _parts(x, groups)
    matrix = as_matrix(x, "x", missing=True)
    return _result(np.where(np.isnan(matrix), curves, matrix), codes, names)


@mistake(
    of="global_shift",
    en="Every group counts once in your sum between groups. Sum over the samples: a group counts as often as it has "
    "samples.",
    zh="在组间平方和中，你让每个组只计一次。应对样本求和：一个组有几个样本就计几次。",
)
def groups_count_once(x, groups):
    return _result(*_parts(x, groups), weigh=False)


@mistake(
    of="global_shift",
    en="Your overall mean is the mean of the group means. With groups of unequal size it must be the mean of all "
    "samples.",
    zh="你的总平均是各组平均的平均。各组大小不等时，应取全部样本的平均。",
)
def mean_of_means(x, groups):
    return _result(*_parts(x, groups), apart=lambda means: means - means.mean(axis=0))


@mistake(
    of="global_shift",
    en="Your shifts compare with the first group. Compare each group with the mean of all samples.",
    zh="你的偏移是与第一组相比。应与全部样本的平均相比。",
)
def shift_from_the_first(x, groups):
    found = reference.global_shift(x, groups)
    return replace(found, shift=found.shift.sub(found.shift.iloc[:, 0], axis=0))


@mistake(
    of="global_shift",
    en="Where samples do not vary within groups you divide by zero. Say what that means: p is 0 if the groups differ, "
    "1 if nothing differs.",
    zh="组内样本没有变异时，你除以了零。应说明其含义：各组有差异则 p 为 0，毫无差异则 p 为 1。",
)
def divides_by_no_variation(x, groups):
    found = reference.global_shift(x, groups)
    if np.isfinite(found.statistic) and found.p < 1:
        return found
    return replace(found, statistic=np.nan, p=np.nan, explained=np.nan)


@mistake(
    of="global_shift",
    en="You take the groups by position. A Series knows its samples: match it to the rows by label.",
    zh="你按位置取用分组。Series 知道自己的样本：应按标签与行对应。",
)
def groups_by_position(x, groups):
    reference.global_shift(x, groups)
    return reference.global_shift(x, list(groups))


@mistake(
    of="global_shift",
    en="A group of one sample passes. It can't tell how samples of its kind vary: refuse it, as group_codes does.",
    zh="只有一个样本的组也通过了。它无法说明同类样本如何变化：应像 group_codes 那样拒绝。",
)
def accepts_lonely_samples(x, groups):
    try:
        return reference.global_shift(x, groups)
    except ValueError:
        labels = pd.Series(list(groups)[: len(x)]).fillna("?").reindex(range(len(x)), fill_value="?")
        codes, names = pd.factorize(labels, sort=True)
        return _result(reference.sorted_curves(x), codes, list(names))
