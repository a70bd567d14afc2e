"""Normalisation: which numbers may be compared with which, once the instrument's own share is taken out.

The module reads as the unit teaches it: counts within a sample (`cpm`, `tpm`), counts between samples (`tmm_factors`,
`log_cpm`), intensities (`median_scale`), whole distributions (`quantile_normalize`), and the question to ask before one
makes distributions equal (`global_shift`). Rows are samples, columns are genes, proteins or metabolites.

| function | a gene between samples | genes within a sample | takes for granted |
|---|---|---|---|
| `cpm` | if the samples are composed alike | no: long genes give more reads | – |
| `tpm` | if the samples are composed alike | yes | – |
| `tmm_factors`, `log_cpm` | yes | no | most genes do not change |
| `median_scale` | yes | no | the feature in the middle does not change |
| `quantile_normalize` | yes | no | all samples have one distribution |
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import f as f_distribution

from reference_impl.validation import as_matrix, labels, like, require_between, require_number

PER_MILLION = 1e6
NO_DIFFERENCE = 1e-6  # edgeR: log2 ratios that are all smaller than this are rounding
NO_QUARTILE = 1e-20  # edgeR: an upper quartile (as a share of the library) below this is taken for 0
NO_VARIATION = 1e-20  # a sum of squares that small, relative to that of the values, is what rounding leaves
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)  # where the shift of a distribution is read


# ---------------------------------------------------------------- counts within a sample


def count_matrix(counts: Any) -> np.ndarray:
    """Counts as a new array of floats; what is no count is refused by the names of its sample and gene.

    >>> count_matrix(pd.DataFrame({"ACTB": [5, -2]}, index=["P1", "P2"]))
    Traceback (most recent call last):
    ValueError: counts must be 0 or more and none may be missing; sample 'P2', gene 'ACTB' has -2.0
    """
    matrix = as_matrix(counts, "counts", missing=True)
    bad = ~(matrix >= 0)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        sample, gene = labels(counts, 0)[row], labels(counts, 1)[column]
        raise ValueError(
            f"counts must be 0 or more and none may be missing; sample {sample!r}, gene {gene!r} has "
            f"{float(matrix[row, column])}"
        )
    return matrix


def library_sizes(matrix: np.ndarray, counts: Any) -> np.ndarray:
    """Sum of each sample; one without any read is refused by its name.

    >>> library_sizes(np.array([[1.0, 2.0], [0.0, 0.0]]), [[1, 2], [0, 0]])
    Traceback (most recent call last):
    ValueError: sample 1 has no read at all; leave it out, there is nothing to normalise
    """
    sizes: np.ndarray = matrix.sum(axis=1)
    if not sizes.all():
        empty = labels(counts, 0)[int(np.argmin(sizes != 0))]
        raise ValueError(f"sample {empty!r} has no read at all; leave it out, there is nothing to normalise")
    return sizes


def positive_per(values: Any, table: Any, axis: int, what: str) -> np.ndarray:
    """Positive numbers, one per sample (axis 0) or gene (axis 1): a Series is matched to the labels of a DataFrame.

    >>> counts = pd.DataFrame({"ACTB": [5], "B2M": [7]}, index=["P1"])
    >>> positive_per(pd.Series({"B2M": 2.0, "ACTB": 1.0}), counts, 1, "length")
    array([1., 2.])
    >>> positive_per([1.0, 0.0], counts, 1, "length")
    Traceback (most recent call last):
    ValueError: every gene needs a positive length; 'B2M' has 0.0
    """
    names, of = labels(table, axis), ("sample", "gene")[axis]
    if isinstance(values, pd.Series) and isinstance(table, pd.DataFrame):
        if values.index.has_duplicates:
            repeated = values.index[values.index.duplicated()][0]
            raise ValueError(f"{of} {repeated!r} has more than one {what}; expected one")
        values = values.reindex(names)
    given = np.asarray(values, dtype=object)
    if given.shape != (len(names),):
        raise ValueError(f"expected {len(names)} numbers, one {what} per {of}; got shape {given.shape}")
    found = pd.to_numeric(pd.Series(given), errors="coerce").to_numpy(dtype=float)
    bad = ~((found > 0) & np.isfinite(found))
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(f"every {of} needs a positive {what}; {names[first]!r} has {given[first]!r}")
    return found


def cpm(counts: Any) -> Any:
    """Counts per million: the share of the library that each gene takes.

    Sequencing depth cancels, so that a gene can be compared between samples, as long as nothing else fills the
    libraries differently (see `tmm_factors`). The length of a gene does not cancel: within a sample, long genes have
    more fragments and so more reads (see `tpm`).

    Parameters
    ----------
    counts : (n_samples, n_genes) DataFrame or array of non-negative numbers

    Returns
    -------
    (n_samples, n_genes) like counts, in reads per million reads; each sample sums to 1e6

    Raises
    ------
    ValueError : a negative, missing or infinite count, or a sample without any read

    Examples
    --------
    >>> cpm(np.array([[1, 3], [10, 30]]))
    array([[250000., 750000.],
           [250000., 750000.]])
    """
    matrix = count_matrix(counts)
    matrix *= PER_MILLION / library_sizes(matrix, counts)[:, None]
    return like(counts, matrix)


def tpm(counts: Any, lengths: Any) -> Any:
    """Transcripts per million: the share of the molecules, not of the reads, that each gene takes.

    A molecule gives reads in proportion to its length, so counts are divided by it first. The result may be compared
    between genes of a sample. Between samples it is still a share: when one gene floods a sample, all others go down.

    Parameters
    ----------
    counts : (n_samples, n_genes) DataFrame or array of non-negative numbers
    lengths : (n_genes,) positive lengths, in any unit; a Series is matched to the columns of a DataFrame by its labels

    Returns
    -------
    (n_samples, n_genes) like counts, in transcripts per million transcripts; each sample sums to 1e6

    Raises
    ------
    ValueError : bad counts (see `cpm`), a length that is missing, 0 or negative, or a wrong number of lengths

    References
    ----------
    Li et al. 2010, Bioinformatics 26:493–500; Wagner, Kin & Lynch 2012, Theory in Biosciences 131:281–285.

    Examples
    --------
    >>> tpm(np.array([[100, 300]]), [1000, 3000])
    array([[500000., 500000.]])
    """
    matrix = count_matrix(counts)
    matrix /= positive_per(lengths, counts, 1, "length")
    matrix *= PER_MILLION / library_sizes(matrix, counts)[:, None]
    return like(counts, matrix)


# ---------------------------------------------------------------- counts between samples


def reference_sample(matrix: np.ndarray, sizes: np.ndarray) -> int:
    """Position of the sample that the others are compared with, chosen as edgeR does.

    It is the one whose upper quartile (of counts / library size, over the genes seen in any sample) is nearest the mean
    of all upper quartiles. If most samples have an upper quartile of 0, it is the one with the largest Σ √count.

    >>> reference_sample(np.array([[1.0, 9.0], [4.0, 6.0], [5.0, 5.0]]), np.array([10.0, 10.0, 10.0]))
    1
    """
    seen = matrix.any(axis=0)
    quartiles = np.array([np.quantile(sample[seen], 0.75) for sample in matrix]) / sizes
    if np.median(quartiles) < NO_QUARTILE:
        return int(np.argmax([np.sqrt(sample).sum() for sample in matrix]))
    return int(np.argmin(np.abs(quartiles - quartiles.mean())))


def middle_ranks(values: np.ndarray, trim: float) -> np.ndarray:
    """True for the values that stay when a share `trim` is cut off at either end, by rank; equal values share a rank.

    Of n values ranked 1 to n, the ranks from ⌊n·trim⌋ + 1 to n − ⌊n·trim⌋ stay. Equal values all have the average of
    the ranks they take up, so they stay or leave together.

    >>> middle_ranks(np.array([30.0, 10.0, 20.0, 40.0]), 0.3)
    array([ True, False,  True, False])
    >>> middle_ranks(np.array([1.0, 1.0, 2.0, 2.0]), 0.3)
    array([False, False, False, False])
    """
    ordered = np.sort(values)
    n_cut = int(np.floor(len(values) * trim))
    low, high = ordered[n_cut], ordered[len(values) - 1 - n_cut]
    kept: np.ndarray = (values > low) & (values < high)
    for edge in {low, high}:
        rank = (ordered.searchsorted(edge, "left") + ordered.searchsorted(edge, "right") + 1) / 2
        if n_cut + 1 <= rank <= len(values) - n_cut:
            kept |= values == edge
    return kept


def _reference_position(reference: Any, counts: Any, matrix: np.ndarray, sizes: np.ndarray) -> int:
    if reference is None:
        return reference_sample(matrix, sizes)
    samples = labels(counts, 0).tolist()
    if samples.count(reference) != 1:
        raise ValueError(f"reference {reference!r} is not the label of one sample; labels are {samples[0]!r}, …")
    return samples.index(reference)


def _require_trims(**trims: float) -> None:
    for name, value in trims.items():
        if not 0 <= require_number(value, name) < 0.5:
            raise ValueError(f"{name} must be at least 0 and below 0.5, a share cut off at either end; got {value!r}")


def _warn_of_stranger(counts: Any, position: int, chosen: int) -> None:
    sample, other = labels(counts, 0)[position], labels(counts, 0)[chosen]
    warnings.warn(f"sample {sample!r} shares no gene with the reference {other!r}; its factor is 1", stacklevel=3)


def _per_sample(values: np.ndarray, counts: Any) -> Any:
    return pd.Series(values, index=counts.index, name="factor") if isinstance(counts, pd.DataFrame) else values


def tmm_factors(counts: Any, reference: Any = None, *, log_ratio_trim: float = 0.3, sum_trim: float = 0.05) -> Any:
    """Scale samples so that most genes agree: trimmed mean of M-values (TMM).

    Each sample is compared with a reference sample, on the genes that have reads in both. For each such gene, with y
    and r its counts and N and R the library sizes,

        M = log2 (y/N) / (r/R)                        the log ratio
        A = (log2 y/N + log2 r/R) / 2                 the log abundance
        v = (N − y) / (N·y) + (R − r) / (R·r)         proportional to the variance of M, to first order

    The genes with the highest and lowest 30 % of M and 5 % of A are cut off; the mean of the remaining M, weighted by
    1/v, is the log2 of the factor. At the end all factors are divided by their geometric mean.

    library size × factor is the *effective* library size: what the library would measure if the genes that most
    samples agree on filled it alike.

    Parameters
    ----------
    counts : (n_samples, n_genes) DataFrame or array of non-negative numbers, whole or not
    reference : the sample to compare with: its label, for an array its position; None chooses as edgeR does (the upper
        quartile nearest the mean, or in very sparse data the largest sum of square roots)
    log_ratio_trim, sum_trim : shares of M and of A cut off at either end, at least 0 and below 0.5

    Returns
    -------
    (n_samples,) Series or array, without unit; the product of all factors is 1

    Raises
    ------
    ValueError : bad counts (see `cpm`), an unknown reference, or an impossible trim

    Warns
    -----
    UserWarning : a sample shares no gene with the reference; its factor is taken as 1 before the last step

    Notes
    -----
    Equals edgeR's calcNormFactors(method = "TMM"): trimming is by rank, ties averaged; genes without reads in all
    samples leave before the upper quartile is taken; if all |M| < 1e-6, or nothing is left after the trimming, the
    factor is 1. Where edgeR would give a sample without reads the factor 1, an error names it.

    References
    ----------
    Robinson & Oshlack 2010, Genome Biology 11:R25.

    Examples
    --------
    The last gene floods the second sample; the first three have half the share they had, and the factors say so.

    >>> counts = np.array([[10, 20, 30, 40, 0], [10, 20, 30, 40, 100]])
    >>> tmm_factors(counts).round(4)
    array([1.4142, 0.7071])
    """
    _require_trims(log_ratio_trim=log_ratio_trim, sum_trim=sum_trim)
    matrix = count_matrix(counts)
    sizes = library_sizes(matrix, counts)
    chosen = _reference_position(reference, counts, matrix, sizes)
    log_factors = np.zeros(len(matrix))
    for position, sample in enumerate(matrix):
        shared = (sample > 0) & (matrix[chosen] > 0)
        if not shared.any():
            _warn_of_stranger(counts, position, chosen)
            continue
        ours, theirs = sample[shared], matrix[chosen, shared]
        our_share, their_share = ours / sizes[position], theirs / sizes[chosen]
        log_ratio = np.log2(our_share / their_share)
        log_abundance = np.log2(our_share) + np.log2(their_share)  # twice A, which has the same ranks
        variance = (1 - our_share) / ours + (1 - their_share) / theirs
        kept = middle_ranks(log_ratio, log_ratio_trim) & middle_ranks(log_abundance, sum_trim)
        if kept.any() and np.abs(log_ratio).max() >= NO_DIFFERENCE:
            log_factors[position] = np.average(log_ratio[kept], weights=1 / variance[kept])
    return _per_sample(2 ** (log_factors - log_factors.mean()), counts)


def log_cpm(counts: Any, factors: Any = None, *, prior_count: float = 2.0) -> Any:
    """log2 counts per million of the effective library, with a prior count against the logarithm of 0.

    With N the effective library size (library size × factor) and p = prior_count · N / mean(N),

        log2 ( (count + p) / (N + 2p) · 1e6 )

    The prior grows with the library, so that a gene without reads gets the same value in every sample, whatever its
    depth; one prior for all would make shallow samples look different.

    Parameters
    ----------
    counts : (n_samples, n_genes) DataFrame or array of non-negative numbers
    factors : (n_samples,) positive, as `tmm_factors` gives them; None means 1 for all. A Series is matched to the rows
        of a DataFrame by its labels
    prior_count : added to a gene of a library of average size, positive

    Returns
    -------
    (n_samples, n_genes) like counts, in log2 of reads per million

    Raises
    ------
    ValueError : bad counts (see `cpm`), a factor that is missing or not positive, or a prior that is not positive

    Notes
    -----
    Equals edgeR's cpm(log = TRUE, prior.count = 2) on a DGEList with normalisation factors.

    References
    ----------
    Robinson, McCarthy & Smyth 2010, Bioinformatics 26:139–140.

    Examples
    --------
    >>> log_cpm(np.array([[0, 999_996], [0, 1_999_992]])).round(2)
    array([[ 0.42, 19.93],
           [ 0.42, 19.93]])
    """
    require_between(prior_count, "prior_count", 0, np.inf)
    matrix = count_matrix(counts)
    sizes = library_sizes(matrix, counts)
    if factors is not None:
        sizes = sizes * positive_per(factors, counts, 0, "factor")
    prior = prior_count * sizes / sizes.mean()
    matrix += prior[:, None]
    matrix *= (PER_MILLION / (sizes + 2 * prior))[:, None]
    return like(counts, np.log2(matrix))


# ---------------------------------------------------------------- intensities


def _who_lacks_most(matrix: np.ndarray, x: Any) -> str:
    gaps = np.isnan(matrix).sum(axis=1)
    worst = labels(x, 0)[int(np.argmax(gaps))]
    return (
        f"no feature was measured in every sample, so medians are not comparable; sample {worst!r} has the most gaps, "
        f"{gaps.max()} of {matrix.shape[1]}: leave such samples out"
    )


def median_scale(log_intensity: Any) -> Any:
    """Take out each sample's own factor: shift log intensities until all samples have one median.

    An instrument measures intensity = factor of the sample × abundance × noise, so that

        log intensity = log factor + log abundance + log noise

    and the factor is a shift. A sample's shift is its median minus the mean of all medians; the mean keeps the level,
    and makes the geometric mean of the factors 1.

    The medians are taken over the features that were measured in every sample. A sample that was loaded little loses
    its faint features below the detection limit; the median of what is left is too high, and would hide the loss.

    Parameters
    ----------
    log_intensity : (n_samples, n_features) DataFrame or array, NaN where nothing was measured

    Returns
    -------
    (n_samples, n_features) like log_intensity, in its unit; what is missing stays missing

    Raises
    ------
    ValueError : a bad table, or no feature that was measured in every sample

    Notes
    -----
    Without gaps and with an odd number of features this is the logarithm of limma's normalizeMedianValues, which
    divides raw intensities. It is not the same as calling that function on logarithms.

    Examples
    --------
    >>> median_scale(np.array([[1.0, 2.0, 6.0], [3.0, 4.0, np.nan]]))
    array([[ 2.,  3.,  7.],
           [ 2.,  3., nan]])
    """
    matrix = as_matrix(log_intensity, "log_intensity", missing=True)
    complete = ~np.isnan(matrix).any(axis=0)
    if not complete.any():
        raise ValueError(_who_lacks_most(matrix, log_intensity))
    medians = np.array([np.median(sample[complete]) for sample in matrix])
    matrix -= (medians - medians.mean())[:, None]
    return like(log_intensity, matrix)


# ---------------------------------------------------------------- whole distributions


def count_measured(matrix: np.ndarray, x: Any) -> np.ndarray:
    """Number of measured values per sample; one with fewer than 2 has no distribution and is refused by its name.

    >>> count_measured(np.array([[1.0, 2.0], [np.nan, 3.0]]), [[1, 2], [np.nan, 3]])
    Traceback (most recent call last):
    ValueError: a distribution needs at least 2 measured values; sample 1 has 1
    """
    n_measured = np.array([matrix.shape[1] - np.count_nonzero(np.isnan(sample)) for sample in matrix])
    if n_measured.min() < 2:
        few = int(np.argmin(n_measured))
        raise ValueError(
            f"a distribution needs at least 2 measured values; sample {labels(x, 0)[few]!r} has {n_measured[few]}"
        )
    return n_measured


def stretch(ordered: np.ndarray, size: int) -> np.ndarray:
    """Read sorted values at `size` evenly spaced ranks, the first and the last included (linear between two).

    >>> stretch(np.array([1.0, 2.0, 4.0]), 5)
    array([1. , 1.5, 2. , 3. , 4. ])
    """
    if len(ordered) == size:
        return ordered
    return np.interp(np.linspace(0, len(ordered) - 1, size), np.arange(len(ordered)), ordered)


def read_target(target: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Read the target at the ranks of sorted values; equal values read it at the average of their ranks.

    Where there are fewer values than the target has, their ranks are stretched to its length; between two ranks the
    target is read by linear interpolation.

    >>> read_target(np.array([10.0, 20.0, 40.0, 50.0]), np.array([3.0, 7.0, 7.0, 9.0]))
    array([10., 30., 30., 50.])
    >>> read_target(np.array([10.0, 20.0, 40.0]), np.array([3.0, 7.0]))
    array([10., 40.])
    """
    rises = ordered[1:] > ordered[:-1]
    if len(ordered) == len(target) and rises.all():
        return target
    first = np.flatnonzero(np.append(True, rises))
    length = np.diff(np.append(first, len(ordered)))
    ranks = np.repeat(first + (length - 1) / 2, length)
    return np.interp(ranks * ((len(target) - 1) / (len(ordered) - 1)), np.arange(len(target)), target)


def quantile_normalize(x: Any) -> Any:
    """Give every sample the same distribution: the mean of all of theirs.

    (1) Sort each sample. (2) Average over the samples: the mean of the smallest values, of the second smallest, … is
    the target. (3) Replace each value by the target at its rank.

    Equal values stay equal: they get the target at the average of their ranks (halfway between two where that is no
    whole number). Missing values stay missing; a sample with gaps has its fewer sorted values stretched to the full
    number of ranks by linear interpolation, and its ranks stretched likewise when the target is read.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array, NaN where nothing was measured; usually logarithms

    Returns
    -------
    (n_samples, n_features) like x, in its unit. A single sample comes back as it is

    Raises
    ------
    ValueError : a bad table, or a sample with fewer than 2 measured values

    Notes
    -----
    Equals limma's normalizeQuantiles(ties = TRUE). Other programs average the target over a tie, which is not the same,
    and differ with gaps.

    References
    ----------
    Bolstad, Irizarry, Åstrand & Speed 2003, Bioinformatics 19:185–193.

    Examples
    --------
    >>> quantile_normalize(np.array([[2.0, 4.0, 6.0], [14.0, 10.0, 12.0]]))
    array([[ 6.,  8., 10.],
           [10.,  6.,  8.]])
    """
    matrix = as_matrix(x, "x", missing=True)
    n_measured = count_measured(matrix, x)
    n_samples, n_features = matrix.shape
    if n_samples == 1:
        return like(x, matrix)
    order = np.empty(matrix.shape, dtype=np.int32)  # half the memory of NumPy's own positions
    target = np.zeros(n_features)
    for row, n in enumerate(n_measured):
        sample = matrix[row]
        increasing = np.argsort(sample)  # missing values come last
        sample[:] = sample[increasing]
        order[row] = increasing
        target += stretch(sample[:n], n_features)
    target /= n_samples
    for row, n in enumerate(n_measured):
        sample = matrix[row]
        sample[order[row, :n]] = read_target(target, sample[:n])
        sample[order[row, n:]] = np.nan
    return like(x, matrix)


@dataclass(frozen=True, eq=False)
class GlobalShift:
    """What `global_shift` found.

    statistic : variation of the distributions between the groups over that within, each per degree of freedom
    p : how often chance alone would give groups at least so different, were all samples of one kind
    explained : share of the variation between samples' distributions that lies between the groups, 0 to 1
    shift : (5, n_groups) DataFrame, the group's mean quantile minus the mean of all samples, at the shares 0.05 to 0.95
    """

    statistic: float
    p: float
    explained: float
    shift: pd.DataFrame


def group_codes(groups: Any, x: Any) -> tuple[np.ndarray, list[Any]]:
    """Number of each sample's group, and the groups' names in order; groups of one sample are refused.

    >>> group_codes(["b", "a", "b", "a"], np.zeros((4, 1)))
    (array([1, 0, 1, 0]), ['a', 'b'])
    """
    samples = labels(x, 0)
    if isinstance(groups, pd.Series) and isinstance(x, pd.DataFrame):
        if groups.index.has_duplicates:
            repeated = groups.index[groups.index.duplicated()][0]
            raise ValueError(f"sample {repeated!r} has more than one group; expected one")
        groups = groups.reindex(samples)
    named = pd.Series(np.asarray(groups, dtype=object).ravel()).infer_objects()
    if len(named) != len(samples):
        raise ValueError(f"expected {len(samples)} groups, one per sample; got {len(named)}")
    if named.isna().any():
        raise ValueError(f"sample {samples[int(named.isna().argmax())]!r} has no group")
    codes, names = pd.factorize(named, sort=True)
    sizes = np.bincount(codes)
    if len(sizes) < 2 or sizes.min() < 2:
        found = ", ".join(f"{name!r} has {size}" for name, size in zip(names, sizes, strict=True))
        raise ValueError(f"at least 2 groups of at least 2 samples are needed, to know how samples vary; {found}")
    return codes, names.tolist()


def sorted_curves(x: Any) -> np.ndarray:
    """Each sample's values in increasing order, as many for every sample: its quantile function.

    >>> sorted_curves(np.array([[3.0, 1.0, 2.0], [5.0, np.nan, 9.0]]))
    array([[1., 2., 3.],
           [5., 7., 9.]])
    """
    curves = as_matrix(x, "x", missing=True)
    for curve, n in zip(curves, count_measured(curves, x), strict=True):
        curve[:] = stretch(np.sort(curve)[:n], len(curve))
    return curves


def shift_at_shares(apart: np.ndarray, names: list[Any]) -> pd.DataFrame:
    """Read one curve per group at the shares 0.05 to 0.95 of its length.

    >>> shift_at_shares(np.array([np.arange(101.0)]), ["A"])["A"].round().tolist()
    [5.0, 25.0, 50.0, 75.0, 95.0]
    """
    ranks = np.linspace(0, 1, apart.shape[1])
    read = {name: np.interp(SHARES, ranks, curve) for name, curve in zip(names, apart, strict=True)}
    return pd.DataFrame(read, index=pd.Index(SHARES, name="share"))


def global_shift(x: Any, groups: Any) -> GlobalShift:
    """Ask whether groups differ in their whole distribution, more than their samples differ among themselves.

    Quantile normalisation assumes that they do not: whatever they differ in, it takes away. Ask before you use it.

    Each sample is its sorted values, a curve. Between curves there is an analysis of variance as between numbers:

        S_between = Σ over samples of ‖mean curve of its group − mean curve of all‖²
        S_within  = Σ over samples of ‖its curve − mean curve of its group‖²
        statistic = (S_between / (G − 1)) / (S_within / (n − G))

    Curves differ in several independent ways at once (level, spread, tails); κ = trace(C)² / trace(C²) counts them, C
    being the products R·Rᵀ of the n curves R, each minus its group's mean. The statistic is compared with the F
    distribution with κ·(G − 1) and κ·(n − G) degrees of freedom. The samples are what is sampled: 20,000 genes of 6
    samples are 6 observations.

    A small p does not say why. A weaker instrument and a disease that shuts down transcription both shift everything;
    design, spike-ins and pooled samples tell which. A large p does not prove that there is no shift.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array on a scale where differences matter alike, usually logarithms; not
        yet made equal. NaN where nothing was measured: curves are then stretched as in `quantile_normalize`
    groups : (n_samples,) labels; a Series is matched to the rows of a DataFrame. At least 2 groups of 2 samples

    Returns
    -------
    GlobalShift(statistic, p, explained, shift). If samples do not vary within groups but for rounding, statistic and p
        are ∞ and 0 where the groups differ, and 0 and 1 where nothing differs, as after `quantile_normalize`

    Raises
    ------
    ValueError : a bad table, a sample without a group or with fewer than 2 measured values, a group of one sample

    Notes
    -----
    The norm is that of quantile functions, so that the distance of two samples is their Wasserstein-2 distance. With
    few samples κ is somewhat too small, which makes p too large, not too small.

    References
    ----------
    Shen & Faraway 2004, Statistica Sinica 14:1239–1257 (the test); Hicks & Irizarry 2015, Genome Biology 16:117 (the
    question, answered by permutation).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(12, 500)) + 0.1 * rng.normal(size=(12, 1))
    >>> groups = np.repeat(["healthy", "tumour"], 6)
    >>> global_shift(x, groups).p > 0.05
    True
    >>> x[6:] += 0.4
    >>> found = global_shift(x, groups)
    >>> found.p < 0.01
    True
    >>> found.shift.loc[0.5].round(1).to_dict()
    {'healthy': -0.2, 'tumour': 0.2}
    """
    curves = sorted_curves(x)
    codes, names = group_codes(groups, x)
    means = np.array([curves[codes == code].mean(axis=0) for code in range(len(names))])
    apart = means - curves.mean(axis=0)
    between = float(np.sum(np.bincount(codes)[:, None] * apart**2))
    residuals = curves - means[codes]
    products = residuals @ residuals.T
    within = float(np.trace(products))

    degrees = np.array([len(names) - 1, len(curves) - len(names)])
    rounding = NO_VARIATION * np.vdot(curves, curves)
    if within <= rounding:
        statistic, p = (np.inf, 0.0) if between > rounding else (0.0, 1.0)
    else:
        statistic = (between / degrees[0]) / (within / degrees[1])
        ways = within**2 / np.sum(products**2)
        p = f_distribution.sf(statistic, *(ways * degrees))
    explained = between / (between + within) if between > rounding else 0.0
    return GlobalShift(float(statistic), float(p), explained, shift_at_shares(apart, names))
