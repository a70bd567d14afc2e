"""Wrong answers people give in unit 12, each with what to say to who gives it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.linalg import eigh
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, laplacian
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize

from course.checking import mistake
from reference_impl.integration import snf
from reference_impl.validation import as_matrix, like, require_between, require_generator, require_integer, same_samples

# --- squared_distances -----------------------------------------------------------------------------------------------


def _centred(x):
    values = as_matrix(x, "x")
    if len(values) < 2:
        raise ValueError("a distance needs at least 2 samples")
    return values - values.mean(axis=0)


def _between(values, x):
    length = (values**2).sum(axis=1)
    found = np.maximum(length[:, None] + length - 2 * values @ values.T, 0)
    return pd.DataFrame(found, index=x.index, columns=x.index) if isinstance(x, pd.DataFrame) else found


@mistake(
    of="squared_distances",
    en="Your standard deviation divides by n. The convention here is n − 1 (ddof=1); NumPy's default is n, pandas' "
    "is n − 1.",
    zh="你的标准差除以了 n。这里约定除以 n − 1（ddof=1）；NumPy 默认除以 n，pandas 默认除以 n − 1。",
)
def population_deviation(x, *, standardize=True):
    values = _centred(x)
    if standardize:
        values /= np.where(np.ptp(values, axis=0) > 0, values.std(axis=0), 1)
    return _between(values, x)


@mistake(
    of="squared_distances",
    en="You took the square root. The affinity expects squared Euclidean distances, as both original programs use "
    "them.",
    zh="你开了平方。相似度矩阵要用的是平方欧氏距离，两个原始软件都是如此。",
)
def rooted(x, *, standardize=True):
    return np.sqrt(snf.squared_distances(x, standardize=standardize))


@mistake(
    of="squared_distances",
    en="A feature that never varies has standard deviation 0, and you divide by it: one such column turns all "
    "distances into NaN.",
    zh="从不变化的特征标准差为 0，而你除以了它：只要有一列如此，所有距离都会变成 NaN。",
)
def divides_by_zero(x, *, standardize=True):
    values = _centred(x)
    if standardize:
        with np.errstate(all="ignore"):
            values = values / values.std(axis=0, ddof=1)
            values[:, np.isnan(values).any(axis=0)] = np.nan
            values[:, np.ptp(as_matrix(x, "x"), axis=0) == 0] = np.nan
    return _between(values, x)


@mistake(
    of="squared_distances",
    en="‖a‖² + ‖b‖² − 2 a·b loses its digits where features lie far from 0, and rounding can leave it below 0. "
    "Centre the features "
    "first, and cut at 0.",
    zh="当特征远离 0 时，‖a‖² + ‖b‖² − 2 a·b 会丢失有效数字，舍入还可能使结果小于 0。请先对特征做中心化，"
    "再把负值截为 0。",
)
def not_centred(x, *, standardize=True):
    values = as_matrix(x, "x")
    if len(values) < 2:
        raise ValueError("a distance needs at least 2 samples")
    if standardize:
        values /= np.where(np.ptp(values, axis=0) > 0, values.std(axis=0, ddof=1), 1)
    gram = values @ values.T
    found = gram.diagonal()[:, None] + gram.diagonal() - 2 * gram
    return pd.DataFrame(found, index=x.index, columns=x.index) if isinstance(x, pd.DataFrame) else found


# --- affinity_matrix -------------------------------------------------------------------------------------------------


def _scale(distances, k, mu, first):
    squared = snf._as_network(distances, "distances")
    require_integer(k, "k", at_most=len(squared) - 1)
    require_between(mu, "mu", 0, np.inf)
    np.fill_diagonal(squared, 0)
    near = np.sort(squared, axis=1)[:, first : first + k].mean(axis=1)
    return squared, near[:, None] + near


@mistake(
    of="affinity_matrix",
    en="You counted the sample itself, at distance 0, among its k nearest neighbours; that makes every local scale "
    "too small.",
    zh="你把样本自身（距离为 0）也算进了 k 个最近邻，于是局部尺度都偏小。",
)
def counts_itself(distances, k=20, mu=0.5):
    squared, near = _scale(distances, k, mu, 0)
    width = mu * ((near + squared) / 3 + np.finfo(float).eps)
    return like(distances, np.exp(-((squared / width) ** 2) / 2) / (np.sqrt(2 * np.pi) * width))


@mistake(
    of="affinity_matrix",
    en="Twins break your kernel: where all k nearest neighbours are identical, ε is 0 and you divide by it. Add the "
    "machine epsilon "
    "to ε.",
    zh="“双胞胎”样本会弄坏你的核：当 k 个最近邻与样本完全相同时，ε 为 0，而你除以了它。请给 ε 加上机器精度。",
)
def no_guard_for_twins(distances, k=20, mu=0.5):
    squared, near = _scale(distances, k, mu, 1)
    width = mu * (near + squared) / 3
    with np.errstate(all="ignore"):
        return like(distances, np.exp(-((squared / width) ** 2) / 2) / (np.sqrt(2 * np.pi) * width))


@mistake(
    of="affinity_matrix",
    en="You took μ ε as the variance: exp(−d² / (2 μ ε)). It is the standard deviation of the normal density.",
    zh="你把 μ ε 当成了方差：exp(−d² / (2 μ ε))。它应当是正态密度的标准差。",
)
def width_as_variance(distances, k=20, mu=0.5):
    squared, near = _scale(distances, k, mu, 1)
    variance = mu * ((near + squared) / 3 + np.finfo(float).eps)
    return like(distances, np.exp(-(squared**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance))


@mistake(
    of="affinity_matrix",
    en="You set the diagonal to 0. The similarity of a sample with itself is kept here; the full kernel deals with "
    "it later.",
    zh="你把对角线设成了 0。这里保留样本与自身的相似度，之后由全局核来处理。",
)
def empties_the_diagonal(distances, k=20, mu=0.5):
    found = snf.affinity_matrix(distances, k, mu)
    return found * (1 - np.eye(len(found)))


@mistake(
    of="affinity_matrix",
    en="You relied on a 0 diagonal. Set it to 0 in a copy first: a sample is at distance 0 from itself whatever the "
    "table says.",
    zh="你默认对角线已经是 0。请先在副本中把它设为 0：无论表中写了什么，样本到自身的距离都是 0。",
)
def trusts_the_diagonal(distances, k=20, mu=0.5):
    squared = snf._as_network(distances, "distances")
    require_integer(k, "k", at_most=len(squared) - 1)
    require_between(mu, "mu", 0, np.inf)
    near = np.sort(squared, axis=1)[:, 1 : k + 1].mean(axis=1)
    width = mu * ((near[:, None] + near + squared) / 3 + np.finfo(float).eps)
    return like(distances, np.exp(-((squared / width) ** 2) / 2) / (np.sqrt(2 * np.pi) * width))


# --- full_kernel -----------------------------------------------------------------------------------------------------


@mistake(
    of="full_kernel",
    en="Your row sums contain the diagonal. A sample resembles itself most, so the share of the others becomes too "
    "small.",
    zh="你的行和包含了对角线。样本与自身最相似，于是分给其他样本的份额就太小了。",
)
def sums_with_the_diagonal(affinity):
    network = snf._as_network(affinity, "affinity")
    kernel = network / (2 * network.sum(axis=1, keepdims=True))
    kernel = (kernel + kernel.T) / 2
    np.fill_diagonal(kernel, 0.5)
    return like(affinity, kernel)


@mistake(
    of="full_kernel",
    en="You did not make the kernel symmetric again: after dividing each row by its own sum, [i, j] and [j, i] differ.",
    zh="你没有重新对称化：每行除以各自的行和之后，[i, j] 与 [j, i] 就不相等了。",
)
def left_lopsided(affinity):
    network = snf._as_network(affinity, "affinity")
    np.fill_diagonal(network, 0)
    total = network.sum(axis=1, keepdims=True)
    kernel = network / (2 * np.where(total > 0, total, 1))
    np.fill_diagonal(kernel, 0.5)
    return like(affinity, kernel)


@mistake(
    of="full_kernel",
    en="You made the kernel symmetric with the larger of [i, j] and [j, i]. The rule takes their mean, which keeps "
    "the total weight.",
    zh="你用 [i, j] 与 [j, i] 中较大的一个来对称化。规则取的是两者的平均，这样总权重不变。",
)
def larger_of_the_two(affinity):
    kernel = np.asarray(left_lopsided(affinity))
    return like(affinity, np.maximum(kernel, kernel.T))


@mistake(
    of="full_kernel",
    en="A sample that resembles nobody has an off-diagonal sum of 0, and you divide by it. Leave such a row at 0.",
    zh="与谁都不相似的样本，对角线以外的和为 0，而你除以了它。这样的行应保持为 0。",
)
def breaks_on_a_hermit(affinity):
    network = snf._as_network(affinity, "affinity")
    np.fill_diagonal(network, 0)
    with np.errstate(all="ignore"):
        kernel = network / (2 * network.sum(axis=1, keepdims=True))
    kernel = (kernel + kernel.T) / 2
    np.fill_diagonal(kernel, 0.5)
    return like(affinity, kernel)


# --- local_kernel ----------------------------------------------------------------------------------------------------


def _kept(full, k, *, without_self=False, shares=True):
    kernel = snf._as_network(full, "full")
    require_integer(k, "k", at_most=len(kernel))
    ranked = kernel.copy()
    if without_self:
        np.fill_diagonal(ranked, -1)
    nearest = np.argsort(-ranked, axis=1, kind="stable")[:, :k]
    dense = np.zeros_like(kernel)
    np.put_along_axis(dense, nearest, np.take_along_axis(kernel, nearest, axis=1), axis=1)
    return csr_array(dense / dense.sum(axis=1, keepdims=True) if shares else dense)


@mistake(
    of="local_kernel",
    en="You kept k neighbours and the sample itself: k + 1 entries. The sample is one of the k.",
    zh="你保留了 k 个邻居再加上样本自身，共 k + 1 个。样本自身应算在 k 个之内。",
)
def one_too_many(full, k=20):
    size = len(np.asarray(full))
    require_integer(k, "k", at_most=size)
    return _kept(full, min(k + 1, size))


@mistake(
    of="local_kernel",
    en="You left the sample itself out. It is the strongest entry of its row and belongs to the k.",
    zh="你漏掉了样本自身。它是所在行中最大的元素，应算在 k 个之内。",
)
def without_itself(full, k=20):
    size = len(np.asarray(full))
    require_integer(k, "k", at_most=size)
    return _kept(full, k, without_self=True)


@mistake(
    of="local_kernel",
    en="You cut the row but did not divide by the sum of what is left: the rows no longer sum to 1.",
    zh="你剪掉了其余元素，却没有除以剩余元素之和：各行之和不再是 1。",
)
def cut_but_not_shared(full, k=20):
    return _kept(full, k, shares=False)


@mistake(
    of="local_kernel",
    en="You made the local kernel symmetric. Being a near neighbour is not mutual, and the rule keeps it so.",
    zh="你把局部核对称化了。“是谁的近邻”并不是相互的，规则保留了这一点。",
)
def made_mutual(full, k=20):
    dense = _kept(full, k).toarray()
    dense = (dense + dense.T) / 2
    return csr_array(dense / dense.sum(axis=1, keepdims=True))


# --- fuse ------------------------------------------------------------------------------------------------------------


def _opened(affinities, k, n_iterations, variant):
    """Networks and local kernels of each layer as the rule has them, and the labels of the samples."""
    named, samples = same_samples(affinities)
    require_integer(n_iterations, "n_iterations", at_least=0)
    if variant not in ("snftool", "snfpy"):
        raise ValueError(f"variant {variant!r} is unknown")
    if samples is not None:
        named = {name: affinity.reindex(columns=samples) for name, affinity in named.items()}
    networks = [_started(affinity, variant) for affinity in named.values()]
    return networks, [snf.local_kernel(network, k).toarray() for network in networks], samples


def _started(affinity, variant):
    network = snf._as_network(affinity, "affinity")
    return snf.full_kernel(network) if variant == "snftool" else snf._to_row_shares(network)


def _settled(product, variant):
    product = (product + product.T) / 2
    return snf.full_kernel(product) if variant == "snftool" else product + np.eye(len(product))


def _closed(networks, samples, variant):
    mean = np.mean(networks, axis=0)
    if variant == "snftool":
        fused = snf.full_kernel((mean + mean.T) / 2)
    else:
        fused = snf._to_row_shares((mean + mean.T) / 2) + 0.5 * np.eye(len(mean))
    return fused if samples is None else pd.DataFrame(fused, index=samples, columns=samples)


@mistake(
    of="fuse",
    en="Later layers already use the new kernels of earlier ones. Compute all products from the same previous state, "
    "then replace all "
    "kernels at once; otherwise the result depends on the order of the layers.",
    zh="靠后的层用到了靠前各层已经更新的核。应当用同一个旧状态算出所有乘积，再一次性替换；"
    "否则结果会依赖于各层的先后顺序。",
)
def one_layer_after_another(affinities, k=20, n_iterations=20, *, variant="snftool"):
    networks, kernels, samples = _opened(affinities, k, n_iterations, variant)
    for _ in range(n_iterations):
        for own, kernel in enumerate(kernels):
            others = np.mean([network for other, network in enumerate(networks) if other != own], axis=0)
            networks[own] = _settled(kernel @ others @ kernel.T, variant)
    return _closed(networks, samples, variant)


@mistake(
    of="fuse",
    en="Each layer takes up the mean of all layers, its own among them. It should listen to the others only.",
    zh="每一层吸收的是所有层的平均，其中包括它自己。它应当只听取其他层。",
)
def listens_to_itself(affinities, k=20, n_iterations=20, *, variant="snftool"):
    networks, kernels, samples = _opened(affinities, k, n_iterations, variant)
    for _ in range(n_iterations):
        everybody = np.mean(networks, axis=0)
        networks = [_settled(kernel @ everybody @ kernel.T, variant) for kernel in kernels]
    return _closed(networks, samples, variant)


@mistake(
    of="fuse",
    en="You did not make the kernels full kernels again after each iteration. In SNFtool 2.3 every product is "
    "normalised at once.",
    zh="你没有在每次迭代之后把核重新化为全局核。SNFtool 2.3 中，每个乘积都要立即归一化。",
)
def normalises_only_at_the_end(affinities, k=20, n_iterations=20, *, variant="snftool"):
    networks, kernels, samples = _opened(affinities, k, n_iterations, variant)
    for _ in range(n_iterations):
        networks = [
            kernel @ np.mean([network for other, network in enumerate(networks) if other != own], axis=0) @ kernel.T
            for own, kernel in enumerate(kernels)
        ]
        if variant == "snfpy":
            networks = [network + np.eye(len(network)) for network in networks]
    return _closed(networks, samples, variant)


@mistake(
    of="fuse",
    en="You cut the local kernels from the affinities. They are cut from the full kernels, where the diagonal is ½.",
    zh="你的局部核取自相似度矩阵。它们应取自全局核，那里对角线为 ½。",
)
def local_from_the_affinity(affinities, k=20, n_iterations=20, *, variant="snftool"):
    networks, kernels, samples = _opened(affinities, k, n_iterations, variant)
    if variant == "snftool":
        named, _ = same_samples(affinities)
        raw = named.values() if samples is None else [one.reindex(columns=samples) for one in named.values()]
        kernels = [snf.local_kernel(one, k).toarray() for one in raw]
    for _ in range(n_iterations):
        networks = [
            _settled(kernel @ np.mean([p for w, p in enumerate(networks) if w != own], axis=0) @ kernel.T, variant)
            for own, kernel in enumerate(kernels)
        ]
    return _closed(networks, samples, variant)


@mistake(
    of="fuse",
    en="You matched samples by position. DataFrames carry labels: a layer may have the same samples in another order.",
    zh="你按位置匹配样本。DataFrame 带有标签：某一层的同一批样本可能以另一种顺序排列。",
)
def matched_by_position(affinities, k=20, n_iterations=20, *, variant="snftool"):
    same_samples(affinities)
    layers = list(affinities.values()) if isinstance(affinities, dict) else list(affinities)
    fused = snf.fuse([np.asarray(layer) for layer in layers], k, n_iterations, variant=variant)
    return like(layers[0], fused)


# --- spectral_clusters -----------------------------------------------------------------------------------------------


def _checked(affinity, n_clusters, rng):
    network = snf._as_network(affinity, "affinity")
    require_integer(n_clusters, "n_clusters", at_most=len(network))
    require_generator(rng)
    return network, snf._normalized(network), np.random.RandomState(rng.bit_generator)


def _grouped(affinity, places, n_clusters, starts, n_init=20):
    found = KMeans(n_clusters, n_init=n_init, random_state=starts).fit(places).labels_.astype(int)
    return pd.Series(found, index=affinity.index) if isinstance(affinity, pd.DataFrame) else found


@mistake(
    of="spectral_clusters",
    en="You did not scale the rows of the eigenvectors to length 1. Weakly joined samples then lie near the origin, "
    "between all groups.",
    zh="你没有把特征向量的每一行缩放到长度 1。联系弱的样本因此都落在原点附近，夹在各组之间。",
)
def rows_left_long(affinity, n_clusters, *, rng):
    network, scaled, starts = _checked(affinity, n_clusters, rng)
    places = eigh(scaled, subset_by_index=[len(network) - n_clusters, len(network) - 1])[1]
    return _grouped(affinity, places, n_clusters, starts)


@mistake(
    of="spectral_clusters",
    en="You used the Laplacian D − W without normalising it: its small eigenvalues belong to weakly joined samples, "
    "not to groups.",
    zh="你用的是没有归一化的拉普拉斯矩阵 D − W：它的小特征值对应联系弱的个别样本，而不是群组。",
)
def plain_laplacian(affinity, n_clusters, *, rng):
    network, _, starts = _checked(affinity, n_clusters, rng)
    places = eigh(laplacian(network), subset_by_index=[0, n_clusters - 1])[1]
    return _grouped(affinity, normalize(places), n_clusters, starts)


@mistake(
    of="spectral_clusters",
    en="k-means grouped the rows of the network itself. The eigenvectors are what makes the clustering spectral.",
    zh="你直接对网络的行做了 k 均值。谱聚类之所以叫“谱”，正是因为用的是特征向量。",
)
def k_means_on_the_network(affinity, n_clusters, *, rng):
    network, _, starts = _checked(affinity, n_clusters, rng)
    return _grouped(affinity, network, n_clusters, starts)


@mistake(
    of="spectral_clusters",
    en="k-means ran from one start only, and with many groups it stops at a poor solution. Try 20 starts and keep "
    "the best.",
    zh="k 均值只从一个起点运行，组数较多时会停在较差的解上。请尝试 20 个起点，保留最好的结果。",
)
def one_start(affinity, n_clusters, *, rng):
    network, scaled, starts = _checked(affinity, n_clusters, rng)
    places = eigh(scaled, subset_by_index=[len(network) - n_clusters, len(network) - 1])[1]
    return _grouped(affinity, normalize(places), n_clusters, starts, n_init=1)


# --- subtypes --------------------------------------------------------------------------------------------------------


@mistake(
    of="subtypes",
    en="You clustered one layer, methylation, which tells one subtype from the rest and no more. Fuse all four.",
    zh="你只对甲基化这一层做了聚类，它只能把一个亚型与其余的分开。请融合全部四层。",
)
def methylation_only(layers):
    network = snf.full_kernel(snf.affinity_matrix(snf.squared_distances(layers["methylation"])))
    return snf.spectral_clusters(network, 3, rng=np.random.default_rng(0))


@mistake(
    of="subtypes",
    en="You pasted all columns into one table and made one network of it. The strongest noise of any layer then "
    "drowns the others; fuse "
    "one network per layer.",
    zh="你把所有列拼成一张表，只做了一个网络。这样任何一层中最强的噪声都会淹没其他层；应当每层各建一个网络再融合。",
)
def pasted_together(layers):
    everything = pd.concat(layers, axis=1)
    network = snf.full_kernel(snf.affinity_matrix(snf.squared_distances(everything)))
    return snf.spectral_clusters(network, 3, rng=np.random.default_rng(0))


@mistake(
    of="subtypes",
    en="You made two clusters. The eigengap of this cohort may be small, but the story has three subtypes, and so "
    "has the question.",
    zh="你只分了两个簇。题目问的是三个亚型。",
)
def two_clusters(layers):
    networks = {name: snf.affinity_matrix(snf.squared_distances(x)) for name, x in layers.items()}
    return snf.spectral_clusters(snf.fuse(networks), 2, rng=np.random.default_rng(0))


# --- propagate_labels ------------------------------------------------------------------------------------------------


def _scores(affinity, labels):
    network = snf._as_network(affinity, "affinity")
    known = np.asarray(labels)
    if known.shape != (len(network),) or not np.issubdtype(known.dtype, np.integer) or known.min() < -1:
        raise ValueError("labels must be integers of at least -1, one per sample")
    unlabelled = known == -1
    _, component = connected_components(network > 0)
    if not np.isin(component, component[~unlabelled]).all():
        raise ValueError("an unlabelled sample has no path to a labelled one")
    classes, position = np.unique(known[~unlabelled], return_inverse=True)
    indicator = np.eye(len(classes))[position]
    difference = np.asarray(laplacian(network))
    to_known = network[np.ix_(unlabelled, ~unlabelled)]
    score = np.linalg.solve(difference[np.ix_(unlabelled, unlabelled)], to_known @ indicator)
    return network, known, unlabelled, classes, indicator, score


def _completed(labels, known, unlabelled, classes, score):
    complete = known.copy()
    complete[unlabelled] = classes[score.argmax(axis=1)]
    return pd.Series(complete, index=labels.index) if isinstance(labels, pd.Series) else complete


@mistake(
    of="propagate_labels",
    en="The classes are not balanced: you chose the largest raw score, and the class with more labels wins nearly "
    "everywhere. Divide "
    "the scores of each class by their sum first.",
    zh="你没有平衡类别：直接取原始得分最大者，标签多的类别几乎处处获胜。请先把每个类别的得分除以该类别得分之和。",
)
def never_balanced(affinity, labels, *, balance_classes=True):
    _, known, unlabelled, classes, _, score = _scores(affinity, labels)
    return _completed(labels, known, unlabelled, classes, score)


@mistake(
    of="propagate_labels",
    en="You gave each class a mass proportional to its number of labels. That hands the larger class its advantage "
    "back: all classes "
    "get the same mass.",
    zh="你让每个类别的总质量与其标签数成正比，这又把优势还给了标签多的类别：所有类别的总质量应当相同。",
)
def mass_by_number_of_labels(affinity, labels, *, balance_classes=True):
    _, known, unlabelled, classes, indicator, score = _scores(affinity, labels)
    if balance_classes:
        mass = score.sum(axis=0)
        score = score * indicator.mean(axis=0) / np.where(mass > 0, mass, 1)
    return _completed(labels, known, unlabelled, classes, score)


@mistake(
    of="propagate_labels",
    en="Each sample asked only its labelled neighbours. Labels must also travel through unlabelled samples: solve "
    "for all scores at once.",
    zh="每个样本只询问了已标记的邻居。标签还应穿过未标记的样本传播：要对所有得分同时求解。",
)
def asks_once(affinity, labels, *, balance_classes=True):
    network, known, unlabelled, classes, indicator, _ = _scores(affinity, labels)
    score = network[np.ix_(unlabelled, ~unlabelled)] @ indicator
    total = network[unlabelled].sum(axis=1, keepdims=True)
    score = score / total
    if balance_classes:
        mass = score.sum(axis=0)
        score = score / np.where(mass > 0, mass, 1)
    return _completed(labels, known, unlabelled, classes, score)


@mistake(
    of="propagate_labels",
    en="A class that reaches no unlabelled sample has mass 0, and you divide by it: NaN then wins every comparison. "
    "Leave such a class at 0.",
    zh="没有到达任何未标记样本的类别，总质量为 0，而你除以了它：NaN 会在比较中“获胜”。这样的类别应保持为 0。",
)
def divides_by_no_mass(affinity, labels, *, balance_classes=True):
    _, known, unlabelled, classes, _, score = _scores(affinity, labels)
    if balance_classes:
        with np.errstate(all="ignore"):
            score = score / score.sum(axis=0)
    return _completed(labels, known, unlabelled, classes, score)
