"""Study design: who was measured in which layer, what measuring the same patients buys, and what to do if they differ.

The module reads as the unit teaches it: who is in every layer (`matched_samples`), what a matched design gains and
where it loses (`paired_difference_variance`, `paired_power`, `unpaired_power`, `simulated_power`), and two ways to join
layers of different patients: by their networks of features (`feature_network`, `network_overlap`) and by what is known
of the patients (`anchor_map`). Rows are samples, columns are features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import nct, rankdata, t

from reference_impl.validation import (
    as_matrix,
    labels,
    require_between,
    require_generator,
    require_integer,
    require_number,
    require_unique_labels,
)

SECONDS_A_DAY = 86_400
EQUAL = 1e-9  # two numbers that differ by less are taken as equal: the rest is rounding


# ---------------------------------------------------------------- who was measured


def matched_samples(layers: Mapping[str, pd.DataFrame]) -> pd.Index:
    """List the samples that were measured in every layer.

    A sample counts as measured in a layer if the layer has a row for it that holds at least one value. A row of
    nothing but NaN is how a joined table says "this patient was not measured".

    Parameters
    ----------
    layers : dict of name to (n_samples, n_features) DataFrame, at least two; row labels say whose sample it is

    Returns
    -------
    Index of labels, in the order of the first layer; empty if the layers share nobody (an unmatched design)

    Raises
    ------
    ValueError : fewer than two layers; a layer that is no DataFrame or has a row label twice

    Examples
    --------
    >>> rna = pd.DataFrame({"g1": [5, 0, 7], "g2": [1, 2, 3]}, index=["P1", "P2", "P3"])
    >>> protein = pd.DataFrame({"p1": [0.1, None, 0.2]}, index=["P3", "P2", "P1"])
    >>> matched_samples({"rna": rna, "protein": protein}).tolist()
    ['P1', 'P3']
    """
    _require_layers(layers)
    everywhere, *others = (layer.index[layer.notna().any(axis=1)] for layer in layers.values())
    for measured in others:
        everywhere = everywhere[everywhere.isin(measured)]
    return everywhere


def _require_layers(layers: Any) -> None:
    if not isinstance(layers, Mapping):
        raise ValueError(f"layers must be a dict from a layer's name to its table; got {type(layers).__name__}")
    if len(layers) < 2:
        raise ValueError(f"matching needs at least 2 layers; got {len(layers)}")
    for name, layer in layers.items():
        if not isinstance(layer, pd.DataFrame):
            raise ValueError(
                f"layer {name!r} must be a DataFrame whose row labels name the patients; got {type(layer).__name__}"
            )
        repeated = layer.index[layer.index.duplicated()]
        if len(repeated):
            raise ValueError(f"layer {name!r} has the sample {repeated[0]!r} twice or more; labels must be unique")


# ---------------------------------------------------------------- what matching buys


def paired_difference_variance(sd_x: float, sd_y: float, rho: float) -> float:
    """Variance of X − Y when both are measured on the same patient.

    Var(X − Y) = sd_x² + sd_y² − 2 · rho · sd_x · sd_y. With rho = 0 it is the variance of the difference between two
    different patients; a positive rho makes it smaller, a negative one larger.

    Parameters
    ----------
    sd_x, sd_y : standard deviations between patients, not negative, in one unit
    rho : correlation of X and Y over patients, from −1 to 1

    Returns
    -------
    float, in the squared unit of X and Y; never negative

    Raises
    ------
    ValueError : a negative standard deviation, or a correlation outside −1 … 1

    Notes
    -----
    Computed as (sd_x − sd_y)² + 2 · (1 − rho) · sd_x · sd_y: the same number, but where X and Y nearly cancel, rounding
    cannot make it negative.

    Examples
    --------
    >>> paired_difference_variance(3.0, 4.0, 0.0), paired_difference_variance(3.0, 4.0, 0.5)
    (25.0, 13.0)
    """
    require_number(sd_x, "sd_x", low=0.0)
    require_number(sd_y, "sd_y", low=0.0)
    require_number(rho, "rho", low=-1.0, high=1.0)
    return float((sd_x - sd_y) ** 2 + 2 * (1 - rho) * sd_x * sd_y)


def paired_power(effect: float, sd_x: float, sd_y: float, rho: float, n: int, *, alpha: float = 0.05) -> float:
    """Probability that a two-sided paired t test on n patients finds a mean difference of `effect`.

    The statistic is noncentral t with n − 1 degrees of freedom and noncentrality effect / √(Var(X − Y) / n). Both tails
    count: for effect 0 the power is alpha.

    Parameters
    ----------
    effect : true mean of X − Y, of either sign
    sd_x, sd_y, rho : as in `paired_difference_variance`
    n : number of patients, each measured twice; at least 2
    alpha : level of the test, strictly between 0 and 1

    Returns
    -------
    float between 0 and 1

    Raises
    ------
    ValueError : an argument out of range, or differences that do not vary at all (no t test exists then)

    References
    ----------
    Student's t test under the alternative: Johnson, Kotz & Balakrishnan 1995, Continuous Univariate Distributions 2,
    chapter 31. R: power.t.test(type = "paired", strict = TRUE).

    Examples
    --------
    >>> round(paired_power(1.0, 1.0, 1.0, 0.5, 10), 4)
    0.8031
    """
    _require_power(effect, n, alpha)
    variance = paired_difference_variance(sd_x, sd_y, rho)
    if variance == 0:
        raise ValueError(f"X − Y does not vary (sd_x {sd_x}, sd_y {sd_y}, rho {rho}): there is nothing to test")
    noncentrality = effect / np.sqrt(variance / n)
    critical = t.ppf(1 - alpha / 2, n - 1)
    # The lower tail is the upper tail of the mirror image; scipy's nct.cdf can be NaN so far from its centre.
    return float(nct.sf(critical, n - 1, noncentrality) + nct.sf(critical, n - 1, -noncentrality))


def unpaired_power(effect: float, sd_x: float, sd_y: float, n: int, *, alpha: float = 0.05) -> float:
    """Probability that a two-sided t test finds a difference of `effect` between n patients and n other patients.

    The test is Welch's, which allows two standard deviations. Its statistic has noncentrality
    effect / √((sd_x² + sd_y²) / n) and (n − 1)(sd_x² + sd_y²)² / (sd_x⁴ + sd_y⁴) degrees of freedom: 2(n − 1) if the
    standard deviations are equal, down to n − 1 if one of them is 0. Both tails count.

    Parameters
    ----------
    effect : true difference of the two means, of either sign
    sd_x, sd_y : standard deviations of the two groups, not negative and not both 0
    n : number of patients in each group; at least 2
    alpha : level of the test, strictly between 0 and 1

    Returns
    -------
    float between 0 and 1

    Raises
    ------
    ValueError : an argument out of range, or two groups that do not vary at all

    Notes
    -----
    With equal standard deviations the number is the exact power of the pooled t test. Welch's test estimates its
    degrees of freedom, which costs something in small groups: beside simulations of it the number is up to 0.19 too
    high at n = 2 and 0.04 at n = 5, and within 0.01 from n = 8 on.

    References
    ----------
    Welch 1947, Biometrika 34:28–35; Satterthwaite 1946, Biometrics Bulletin 2:110–114.
    R: power.t.test(type = "two.sample", strict = TRUE) for equal standard deviations.

    Examples
    --------
    >>> round(unpaired_power(1.0, 1.0, 1.0, 17), 4)
    0.807
    """
    _require_power(effect, n, alpha)
    variance_x = require_number(sd_x, "sd_x", low=0.0) ** 2
    variance_y = require_number(sd_y, "sd_y", low=0.0) ** 2
    variance = variance_x + variance_y
    if variance == 0:
        raise ValueError("neither group varies (sd_x and sd_y are 0): there is nothing to test")
    noncentrality = effect / np.sqrt(variance / n)
    degrees = (n - 1) * variance**2 / (variance_x**2 + variance_y**2)
    critical = t.ppf(1 - alpha / 2, degrees)
    return float(nct.sf(critical, degrees, noncentrality) + nct.sf(critical, degrees, -noncentrality))


def simulated_power(
    effect: float,
    sd_x: float,
    sd_y: float,
    rho: float,
    n: int,
    *,
    n_studies: int,
    rng: np.random.Generator,
    alpha: float = 0.05,
) -> tuple[float, float]:
    """Run many simulated studies of either design and count how often each finds the difference.

    X and Y are normal. The matched studies measure X and Y on n patients; the unmatched ones X on n patients and Y on n
    others. The tests are those of `paired_power` and `unpaired_power`.

    Parameters
    ----------
    effect, sd_x, sd_y, rho, n, alpha : as in `paired_power`
    n_studies : number of simulated studies of each design
    rng : the source of randomness

    Returns
    -------
    (paired, unpaired) : shares of significant studies; standard error at most 0.5 / √n_studies

    Raises
    ------
    ValueError : as `paired_power` and `unpaired_power`

    Examples
    --------
    >>> simulated_power(1.0, 1.0, 1.0, 0.8, 8, n_studies=1000, rng=np.random.default_rng(0))
    (0.966, 0.453)
    """
    _require_power(effect, n, alpha)
    if paired_difference_variance(sd_x, sd_y, rho) == 0:
        raise ValueError(f"X − Y does not vary (sd_x {sd_x}, sd_y {sd_y}, rho {rho}): there is nothing to test")
    require_generator(rng)
    x, own, others = rng.normal(size=(3, require_integer(n_studies, "n_studies"), n))
    same_patient = effect + sd_x * x - sd_y * (rho * x + np.sqrt(1 - rho**2) * own)
    paired = same_patient.mean(axis=1) / np.sqrt(same_patient.var(axis=1, ddof=1) / n)
    variance_x, variance_y = (sd_x * x).var(axis=1, ddof=1), (sd_y * others).var(axis=1, ddof=1)
    unpaired = (effect + (sd_x * x - sd_y * others).mean(axis=1)) / np.sqrt((variance_x + variance_y) / n)
    degrees = (n - 1) * (variance_x + variance_y) ** 2 / (variance_x**2 + variance_y**2)
    return (
        float(np.mean(np.abs(paired) > t.ppf(1 - alpha / 2, n - 1))),
        float(np.mean(np.abs(unpaired) > t.ppf(1 - alpha / 2, degrees))),
    )


def _require_power(effect: Any, n: Any, alpha: Any) -> None:
    require_number(effect, "effect")
    require_integer(n, "n", at_least=2)
    require_between(alpha, "alpha", 0, 1)


# ---------------------------------------------------------------- other patients: networks of features


def feature_network(x: Any, *, threshold: float) -> Any:
    """Link the features of one layer that rise and fall together over its samples.

    Two features are linked if the absolute value of their Spearman correlation is at least `threshold`. Ranks make the
    network the same for intensities and their logarithms, and keep a few failed samples from linking everything.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array of finite numbers, at least 3 samples
    threshold : strictly between 0 and 1

    Returns
    -------
    (n_features, n_features) of bool, symmetric, False on the diagonal; a DataFrame with the features' labels on both
    sides if x is one. A constant feature is linked to none.

    Raises
    ------
    ValueError : a bad table, a missing value (named with its feature), too few samples, or a threshold out of range

    Notes
    -----
    Tied values share their average rank. A correlation within 1e-9 of the threshold counts as equal to it. The sign is
    dropped: whether two features rise together or one rises as the other falls, they are linked.

    References
    ----------
    Spearman 1904, American Journal of Psychology 15:72–101; Butte & Kohane 2000, Pacific Symposium on Biocomputing
    5:418–429 (networks of features by thresholds on association).

    Examples
    --------
    >>> x = pd.DataFrame({"a": [1, 2, 3, 4], "b": [10, 100, 1000, 9999], "c": [2, 4, 1, 3]})
    >>> feature_network(x, threshold=0.8)
           a      b      c
    a  False   True  False
    b   True  False  False
    c  False  False  False
    """
    values = _require_measured(x)
    require_between(threshold, "threshold", 0, 1)
    ranks = rankdata(values, axis=0)
    centred = ranks - (len(ranks) + 1) / 2  # the mean of 1 … n, whatever the ties
    length = np.sqrt((centred**2).sum(axis=0))
    standard = centred / np.where(length, length, np.inf)  # a constant feature becomes 0 and correlates with none
    linked = np.abs(standard.T @ standard) >= threshold - EQUAL
    np.fill_diagonal(linked, False)
    return pd.DataFrame(linked, index=x.columns, columns=x.columns) if isinstance(x, pd.DataFrame) else linked


def _require_measured(x: Any) -> np.ndarray:
    """The table as numbers; a missing value is refused by the name of its feature."""
    values = as_matrix(x, "x", missing=True)
    require_unique_labels(x, "x")
    gaps = np.isnan(values).sum(axis=0)
    if gaps.any():
        feature = labels(x, 1)[int(np.argmax(gaps > 0))]
        raise ValueError(
            f"feature {feature!r} lacks {gaps[gaps > 0][0]} of {len(values)} values ({int((gaps > 0).sum())} features "
            "have gaps); leave such features out or fill the gaps, and say which you did"
        )
    if len(values) < 3:
        raise ValueError(f"{len(values)} samples are too few for a correlation; at least 3 are needed")
    return values


def network_overlap(a: Any, b: Any, *, n_permutations: int, rng: np.random.Generator) -> tuple[float, float]:
    """Compare two networks on the same features: do they link the same pairs more often than chance would?

    The overlap is the Jaccard index of the two sets of links, |A ∩ B| / |A ∪ B|. For chance, the features of b change
    their names at random, all at once: the network keeps its shape, its hubs and its number of links, and only who is
    who is lost. p is the share of such networks that overlap with a at least as much, with b itself counted among them:
    (1 + number as large) / (1 + n_permutations).

    Parameters
    ----------
    a, b : (n_features, n_features) of bool, symmetric; the diagonal is not looked at. Two DataFrames with the same
        labels, in any order (b is put into the order of a), or two arrays of one shape in one order
    n_permutations : number of random renamings
    rng : the source of the renamings

    Returns
    -------
    (jaccard, p) : two floats; p is at least 1 / (1 + n_permutations)

    Raises
    ------
    ValueError : a network that is not square, symmetric and of bool; other labels; no link in either network

    References
    ----------
    Jaccard 1901, Bulletin de la Société vaudoise des sciences naturelles 37:547–579; Hubert & Schultz 1976, British
    Journal of Mathematical and Statistical Psychology 29:190–241 (renaming nodes: quadratic assignment); Phipson &
    Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9:39 (why 1 + …).

    Examples
    --------
    >>> star = np.zeros((6, 6), dtype=bool)
    >>> star[0, 1:] = star[1:, 0] = True
    >>> jaccard, p = network_overlap(star, star, n_permutations=999, rng=np.random.default_rng(0))
    >>> jaccard, round(p, 2)  # one renaming in six leaves the hub where it is
    (1.0, 0.16)
    """
    _require_networks(a, b)
    require_integer(n_permutations, "n_permutations")
    require_generator(rng)
    if isinstance(a, pd.DataFrame):
        b = b.loc[a.index, a.columns]
    first, second = np.triu(a, k=1), np.triu(b, k=1)
    shared, either = int((first & second).sum()), int((first | second).sum())
    if either == 0:
        raise ValueError("neither network has a link, so their overlap means nothing; lower the threshold")
    everyone = first | first.T
    rows, columns = np.nonzero(second)
    as_large = 0
    for _ in range(n_permutations):
        renamed = rng.permutation(len(second))
        as_large += int(everyone[renamed[rows], renamed[columns]].sum() >= shared)
    return shared / either, (1 + as_large) / (1 + n_permutations)


def _require_networks(a: Any, b: Any) -> None:
    for network, name in ((a, "a"), (b, "b")):
        links = np.asarray(network)
        if links.ndim != 2 or links.shape[0] != links.shape[1] or links.dtype != bool:
            raise ValueError(
                f"network {name} must be square, of True and False; got shape {links.shape} of {links.dtype}"
            )
        require_unique_labels(network, f"network {name}")
        if isinstance(network, pd.DataFrame) and not network.index.equals(network.columns):
            at = int(np.argmax(network.index != network.columns))
            raise ValueError(
                f"network {name} must have the same features in its rows and columns, in one order; "
                f"row {at} is {network.index[at]!r} and column {at} is {network.columns[at]!r}"
            )
        if (links != links.T).any():
            row, column = labels(network, 0)[np.argwhere(links != links.T)[0]]
            raise ValueError(f"network {name} must be symmetric; {row!r} and {column!r} are linked one way only")
    if isinstance(a, pd.DataFrame) != isinstance(b, pd.DataFrame):
        raise ValueError("the networks must be two DataFrames or two arrays: without labels nodes cannot be matched")
    if isinstance(a, pd.DataFrame):
        odd = a.index.symmetric_difference(b.index)
        if len(odd):
            raise ValueError(f"both networks must have the same features; {odd[0]!r} is in one only ({len(odd)} are)")
    elif np.shape(a) != np.shape(b):
        raise ValueError(f"both networks must have the same features; got {len(a)} and {len(b)}")


# ---------------------------------------------------------------- other patients: shared anchors


def anchor_map(clinical_a: pd.DataFrame, clinical_b: pd.DataFrame) -> pd.DataFrame:
    """For each patient of study a, find the patient of study b who is most alike in what both studies recorded.

    The columns that both tables have are the anchors. The distance of two patients is Gower's: the mean over anchors of
    |difference| / range for quantities (range over both tables) and of 0 or 1 (same or not) for everything else.
    Dates are quantities too: two diagnoses a week apart are nearly the same, not simply different.

    The nearest is always somebody, the same person or not. So the result tells how ambiguous each answer
    is, and gives no match where several are equally near.

    Parameters
    ----------
    clinical_a, clinical_b : one row per patient, at least 1 and 2 rows; at least one column in common, without gaps.
        A column must be of one kind in both tables: numbers, dates, durations, or categories (text, category, bool).
        A date that is still text is a category; `pandas.to_datetime` makes it a date

    Returns
    -------
    DataFrame with the rows of clinical_a and the columns

        match : label in clinical_b of the nearest patient; missing if several are equally near
        distance : to the nearest, from 0 (all anchors equal) to 1
        n_candidates : how many patients of b are at that distance
        margin : how much farther the second nearest is; 0 if there are several candidates
        mutual : is the match unique, and this patient in turn the only nearest one of the match?

    Raises
    ------
    ValueError : no DataFrames, repeated labels, too few patients, no common column, a gap, an infinite value,
        or a column of two kinds

    Notes
    -----
    Distances within 1e-9 count as equal. A unique, mutual match at distance 0 is still no proof: anchors do not say
    whether a patient of a is in b at all.

    References
    ----------
    Gower 1971, Biometrics 27:857–871; R: cluster::daisy(metric = "gower").

    Examples
    --------
    >>> a = pd.DataFrame({"age": [40, 60], "sex": ["female", "male"]}, index=["A1", "A2"])
    >>> b = pd.DataFrame({"age": [60, 42, 60], "sex": ["male", "female", "male"]}, index=["B1", "B2", "B3"])
    >>> anchor_map(a, b)
       match  distance  n_candidates  margin  mutual
    A1    B2      0.05             1    0.95    True
    A2   NaN      0.00             2    0.00   False
    """
    anchors = _shared_anchors(clinical_a, clinical_b)
    distance = np.zeros((len(clinical_a), len(clinical_b)))
    for anchor in anchors:
        ours, theirs = _comparable(clinical_a[anchor])[:, None], _comparable(clinical_b[anchor])[None, :]
        if _is_quantity(clinical_a[anchor]):
            spread = max(ours.max(), theirs.max()) - min(ours.min(), theirs.min())
            if spread > 0:  # a quantity that is the same for everybody tells nobody apart
                distance += np.abs(ours - theirs) / spread
        else:
            distance += ours != theirs
    distance /= len(anchors)

    nearest, second = np.sort(distance)[:, :2].T  # each row sorted
    n_candidates = (distance <= nearest[:, None] + EQUAL).sum(axis=1)
    unique = n_candidates == 1
    match = distance.argmin(axis=1)
    nearest_of_b = distance <= distance.min(axis=0) + EQUAL  # [i, j]: nobody in a is nearer to j than i
    chosen_back = nearest_of_b[np.arange(len(match)), match] & (nearest_of_b.sum(axis=0)[match] == 1)
    return pd.DataFrame(
        {
            "match": clinical_b.index[match].to_series(index=clinical_a.index).where(unique),
            "distance": nearest,
            "n_candidates": n_candidates,
            "margin": np.where(unique, second - nearest, 0.0),
            "mutual": unique & chosen_back,
        }
    )


def _kind(column: pd.Series) -> str:
    """What a column holds: numbers, dates, durations, or categories (text, True and False, and all else)."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return "numbers"
    if pd.api.types.is_timedelta64_dtype(column):
        return "durations"
    if pd.api.types.is_datetime64_any_dtype(column):
        return "dates" if column.dt.tz is None else "dates with a time zone"
    return "dates" if pd.api.types.infer_dtype(column) in ("date", "datetime") else "categories"


def _is_quantity(column: pd.Series) -> bool:
    """Has a difference of two values a size? It has for numbers, dates and durations, and not for categories."""
    return _kind(column) != "categories"


def _comparable(column: pd.Series) -> np.ndarray:
    """Values that can be subtracted or compared: quantities as floats (dates in days), categories as they are.

    Whole numbers of 8 bits would wrap around: 3 − 5 is 254 among them.

    >>> _comparable(pd.Series([3, 5], dtype="uint8"))
    array([3., 5.])
    >>> _comparable(pd.to_datetime(pd.Series(["1970-01-02", "1970-01-09"])))
    array([1., 8.])
    """
    if _kind(column).startswith("dates"):
        column = pd.to_datetime(column, utc=True) - pd.Timestamp(0, tz="UTC")
    if pd.api.types.is_timedelta64_dtype(column):
        column = column.dt.total_seconds() / SECONDS_A_DAY
    return column.to_numpy(dtype=float) if _is_quantity(column) else column.to_numpy()


def _shared_anchors(clinical_a: Any, clinical_b: Any) -> list[Any]:
    """The columns in common, each of one kind and without gaps."""
    for table, name, fewest in ((clinical_a, "clinical_a", 1), (clinical_b, "clinical_b", 2)):
        if not isinstance(table, pd.DataFrame):
            raise ValueError(f"{name} must be a DataFrame with a row per patient; got {type(table).__name__}")
        require_unique_labels(table, name)
        if len(table) < fewest:
            raise ValueError(f"{name} has {len(table)} patients; at least {fewest} are needed")
    anchors = [column for column in clinical_a.columns if column in clinical_b.columns]
    if not anchors:
        raise ValueError(
            f"the tables have no column in common: {list(clinical_a.columns)} and {list(clinical_b.columns)}"
        )
    for anchor in anchors:
        for table, name in ((clinical_a, "clinical_a"), (clinical_b, "clinical_b")):
            gaps = table.index[table[anchor].isna()]
            if len(gaps):
                raise ValueError(
                    f"anchor {anchor!r} is missing for {len(gaps)} patients of {name}, {gaps[0]!r} first; "
                    "leave the column or those patients out"
                )
            endless = table.index[np.isinf(_comparable(table[anchor]))] if _is_quantity(table[anchor]) else []
            if len(endless):
                raise ValueError(
                    f"anchor {anchor!r} is infinite for {endless[0]!r} of {name}; leave the column or that patient out"
                )
        if _kind(clinical_a[anchor]) != _kind(clinical_b[anchor]):
            raise ValueError(
                f"anchor {anchor!r} holds {_kind(clinical_a[anchor])} ({clinical_a[anchor].dtype}) in clinical_a and "
                f"{_kind(clinical_b[anchor])} ({clinical_b[anchor].dtype}) in clinical_b; code it in one way"
            )
    return anchors
