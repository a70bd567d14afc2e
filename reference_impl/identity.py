"""Sample identity: does the label on the tube name the person inside it?

The module reads as the unit teaches it: two genotypes (`genotype_concordance`, `king_kinship`), the sex that the
transcripts show (`infer_sex`), the same tube twice (`find_duplicates`), layers that share no site
(`cross_layer_similarity`), who belongs to whom (`match_evidence`, `assign_samples`), and the whole cohort
(`identity_report`). Rows are samples. Evidence is a log-likelihood ratio in nats; without evidence the verdict is
"cannot_tell", never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import false_discovery_control
from scipy.stats import t as student_t

from reference_impl.validation import (
    as_matrix,
    labels,
    require_between,
    require_number,
    require_same_columns,
    require_unique_labels,
)

CLEAR_SEX = 3.0  # log2 units between the scores before a record is called wrong; a failed library is off by one or two
EQUAL_GAIN = 1e-6  # relative; sums of the same evidence in another order differ by rounding, some 1e-15
FALSE_DISCOVERY_RATE = 0.05  # share of the pairs taken for informative that may be so by chance
LARGEST_CORRELATION = 0.99  # beyond it the weight r / (1 − r²) would let one pair outvote all others
LARGEST_SEPARATION = 10.0  # standard deviations; no claim of more than 50 nats is made
KING_SAME_PERSON = 0.354  # 2^(−3/2): halfway, on the log scale, between one person twice and a first-degree relative
MEAN_DEVIATION_TO_SD = 1.2533  # √(π/2): for the mean absolute deviation, where more than half of the values are equal
MAD_TO_SD = 1.4826  # 1 / Φ⁻¹(3/4): the MAD of normal values times this is their standard deviation


# ---------------------------------------------------------------- two genotypes


def as_dosages(x: Any, name: str) -> np.ndarray:
    """Return genotypes as an array of 0, 1, 2 (copies of the counted allele) or NaN (no call)."""
    dosages = as_matrix(x, name, missing=True)
    wrong = ~np.isin(dosages, [0.0, 1.0, 2.0]) & ~np.isnan(dosages)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"{name} must hold dosages 0, 1, 2 or NaN (no call); row {row}, column {column} is {dosages[row, column]:g}"
        )
    return dosages


def every_pair(first: Any, second: Any, values: np.ndarray) -> Any:
    """Label an (n1, n2) array with the samples of both tables if both are DataFrames."""
    if isinstance(first, pd.DataFrame) and isinstance(second, pd.DataFrame):
        return pd.DataFrame(values, index=first.index, columns=second.index)
    return values


def genotype_concordance(first: Any, second: Any, *, non_reference: bool = False) -> tuple[Any, Any]:
    """Share of sites at which two samples have the same genotype, for every pair of samples.

    A site counts for a pair if it is called in both samples:

        concordance(i, j) = #{sites: g_i = g_j, both called} / #{sites: both called}

    Where variants are rare, most sites are 0 in most people and strangers agree often. Non-reference concordance
    leaves out, pair by pair, the sites at which both samples are 0.

    Parameters
    ----------
    first : (n1, n_sites) DataFrame or array of dosages 0, 1, 2, or NaN where no call was made
    second : (n2, n_sites) DataFrame or array of dosages, same columns
    non_reference : bool
        Leave out the sites at which both samples have dosage 0.

    Returns
    -------
    concordance : (n1, n2) DataFrame if both arguments are, else array
        From 0 to 1; NaN for a pair without a site that counts.
    n_sites : (n1, n2) like concordance
        Number of sites that count.

    Raises
    ------
    ValueError
        A value other than 0, 1, 2 and NaN, or columns that differ.

    Notes
    -----
    Equals IBS2 / (IBS0 + IBS1 + IBS2) of PLINK 1.9 ``--genome full``.

    References
    ----------
    Westra et al. 2011, Bioinformatics 27:2104 (genotypes against genotypes expected from expression)

    Examples
    --------
    >>> dna = np.array([[0, 1, 2, 0], [0, 0, 1, 2]])
    >>> rna = np.array([[0, 1, 2, np.nan]])
    >>> concordance, n_sites = genotype_concordance(dna, rna)
    >>> concordance.round(2)
    array([[1.  ],
           [0.33]])
    >>> n_sites
    array([[3.],
           [3.]])
    """
    g, h = as_dosages(first, "first"), as_dosages(second, "second")
    require_same_columns(first, second)
    counted = [1.0, 2.0] if non_reference else [0.0, 1.0, 2.0]
    # A product of two indicator matrices counts, for all pairs of samples at once, the sites where both are true.
    n_same = sum((g == dosage).astype(float) @ (h == dosage).T.astype(float) for dosage in counted)
    n_sites = (~np.isnan(g)).astype(float) @ (~np.isnan(h)).T.astype(float)
    if non_reference:
        n_sites -= (g == 0).astype(float) @ (h == 0).T.astype(float)
    concordance = n_same / np.where(n_sites, n_sites, np.nan)
    return every_pair(first, second, concordance), every_pair(first, second, n_sites)


def king_kinship(first: Any, second: Any = None, *, between_families: bool = False) -> tuple[Any, Any]:
    """Kinship of every pair of samples by the KING-robust estimator, which needs no allele frequencies.

    Over the sites called in both samples i and j:

        kinship = (N_het,het − 2 · N_opposite homozygotes) / (N_het,i + N_het,j)

    About 0.5 for one person twice (or identical twins), 0.25 for parent and child or full siblings, 0.125 for second
    degree, 0 for strangers; negative between populations. KING's cut-offs are 0.354, 0.177 and 0.0884.

    Parameters
    ----------
    first : (n1, n_sites) DataFrame or array of dosages 0, 1, 2, or NaN where no call was made
    second : (n2, n_sites) DataFrame or array of dosages, same columns; None compares `first` with itself
    between_families : bool
        False: the formula above (equation 9 of the paper), never above 0.5.
        True: equation 11, 1/2 − (N_het,i + N_het,j + 4 N_opposite − 2 N_het,het) / (4 min(N_het,i, N_het,j)), which is
        lower when the two samples differ in heterozygosity. PLINK 2 prints this one.

    Returns
    -------
    kinship : (n1, n2) DataFrame if the arguments are, else array
        NaN where the denominator is 0: no shared site, or no heterozygous one.
    n_sites : (n1, n2) like kinship
        Number of sites called in both samples.

    Raises
    ------
    ValueError
        A value other than 0, 1, 2 and NaN, or columns that differ.

    Notes
    -----
    The heterozygous sites N_het,i are counted where *both* samples are called. Counted over all sites of i, one
    sample with many missing calls would turn siblings into cousins.

    References
    ----------
    Manichaikul et al. 2010, Bioinformatics 26:2867

    Examples
    --------
    >>> king_kinship(np.array([[0, 1, 2, 1], [2, 1, 0, 1]]))[0]
    array([[ 0.5,  -0.5],
           [-0.5,  0.5]])
    """
    second = first if second is None else second
    g, h = as_dosages(first, "first"), as_dosages(second, "second")
    require_same_columns(first, second)
    # Rows of these are samples, columns sites, entries 0.0 or 1.0: products count sites for all pairs at once.
    (called_g, zero_g, het_g, two_g), (called_h, zero_h, het_h, two_h) = (
        [mask.astype(float) for mask in (~np.isnan(x), x == 0, x == 1, x == 2)] for x in (g, h)
    )
    n_both_het = het_g @ het_h.T
    n_opposite = zero_g @ two_h.T + two_g @ zero_h.T
    n_het_first, n_het_second = het_g @ called_h.T, called_g @ het_h.T
    if between_families:
        numerator = 2 * n_both_het - 4 * n_opposite - n_het_first - n_het_second
        offset, denominator = 0.5, 4 * np.minimum(n_het_first, n_het_second)
    else:
        numerator = n_both_het - 2 * n_opposite
        offset, denominator = 0.0, n_het_first + n_het_second
    kinship = offset + numerator / np.where(denominator, denominator, np.nan)
    return every_pair(first, second, kinship), every_pair(first, second, called_g @ called_h.T)


# ---------------------------------------------------------------- sex


def positions_of(genes: Any, columns: pd.Index, name: str) -> np.ndarray:
    """Return the positions of the named genes (one or several) among the columns."""
    if isinstance(genes, str) or np.isscalar(genes):
        wanted = [genes]
    elif isinstance(genes, Iterable):
        wanted = list(genes)
    else:
        raise ValueError(f"{name} must be a column of log_expression or a list of its columns; got {genes!r}")
    missing = [gene for gene in wanted if gene not in columns]
    if missing or not wanted:
        seen = f"{missing[0]!r} is not" if missing else "none given"
        raise ValueError(f"{name} must name at least one column of log_expression, and only its columns; {seen}")
    return columns.get_indexer(pd.Index(wanted))


def infer_sex(log_expression: Any, *, x_inactivation: Any, y_linked: Any, margin: float = 1.0) -> pd.DataFrame:
    """Read each sample's sex from its transcripts.

    Cells with two X chromosomes silence one of them with the transcript XIST; Y-linked genes need a Y chromosome. The
    two scores are means over genes; their difference decides if it is large enough:

        x_score − y_score ≥ margin: female        y_score − x_score ≥ margin: male        else: ambiguous

    Both high (two people in one tube, or XXY) and both low (a failed library, a lost Y) are ambiguous.

    Parameters
    ----------
    log_expression : (n_samples, n_genes) DataFrame or array of log2 expression; NaN is a gene not measured
    x_inactivation : label or list of labels of columns (positions, if an array)
        X-inactivation transcripts, such as XIST.
    y_linked : label or list of labels of columns
        Genes of the Y chromosome, such as RPS4Y1, DDX3Y, UTY.
    margin : float ≥ 0, in log2 units
        How far the scores must lie apart. One unit is a factor of two.

    Returns
    -------
    DataFrame, one row per sample, with columns
        x_score, y_score : mean log2 expression of the two groups over the genes that were measured
        sex : "female", "male" or "ambiguous"
        margin : |x_score − y_score|; NaN if one group was not measured at all

    Raises
    ------
    ValueError
        A gene that is not a column, an empty list, a negative margin, an infinite expression.

    References
    ----------
    Toker, Feng & Pavlidis 2016, F1000Research 5:2103

    Examples
    --------
    >>> x = pd.DataFrame({"XIST": [9.0, 1.0, 5.0], "UTY": [0.5, 7.0, 5.5]}, index=["P1", "P2", "P3"])
    >>> infer_sex(x, x_inactivation="XIST", y_linked=["UTY"])["sex"].tolist()
    ['female', 'male', 'ambiguous']
    """
    expression = as_matrix(log_expression, "log_expression", missing=True)
    margin = require_number(margin, "margin", low=0)
    names = labels(log_expression, 1)
    x_score, y_score = (
        # A mean that leaves out what was not measured; with nothing measured it is NaN.
        pd.DataFrame(expression[:, positions_of(genes, names, name)]).mean(axis=1).to_numpy()
        for genes, name in [(x_inactivation, "x_inactivation"), (y_linked, "y_linked")]
    )
    difference = x_score - y_score
    is_far = np.abs(difference) >= margin
    sex = np.select([is_far & (difference > 0), is_far & (difference < 0)], ["female", "male"], "ambiguous")
    return pd.DataFrame(
        {"x_score": x_score, "y_score": y_score, "sex": sex, "margin": np.abs(difference)},
        index=labels(log_expression, 0),
    )


# ---------------------------------------------------------------- the same tube twice


def find_duplicates(similarity: Any, *, threshold: float) -> pd.DataFrame:
    """List the pairs of samples of one layer that are too alike to be two people.

    Parameters
    ----------
    similarity : (n, n) DataFrame or array, symmetric
        Of the samples of one layer with each other, such as concordance or kinship. NaN: not comparable.
    threshold : float
        A pair is listed if its similarity is at least this.

    Returns
    -------
    DataFrame, one row per pair, the most similar first (equals in the order of the table), with columns
        first, second : labels, `first` the one that comes first in `similarity`; a sample is no duplicate of itself
        similarity : float

    Raises
    ------
    ValueError
        A table whose rows and columns have different labels, one that is not symmetric, a threshold that is no number.

    Examples
    --------
    >>> names = ["P1", "P2", "P3"]
    >>> kinship = pd.DataFrame([[0.5, 0.1, 0.49], [0.1, 0.5, 0.0], [0.49, 0.0, 0.5]], index=names, columns=names)
    >>> find_duplicates(kinship, threshold=0.354)
      first second  similarity
    0    P1     P3        0.49
    """
    values = as_matrix(similarity, "similarity", missing=True)
    threshold = require_number(threshold, "threshold")
    names = labels(similarity, 0)
    if not names.equals(labels(similarity, 1)):
        raise ValueError(
            "similarity must compare the samples of one layer with each other, the same labels in rows and columns; "
            f"got shape {values.shape}"
        )
    if not np.allclose(values, values.T, equal_nan=True):
        raise ValueError("similarity must be symmetric: how alike two samples are does not depend on who asks")
    rows, columns = np.triu_indices(len(values), k=1)
    alike = values[rows, columns] >= threshold  # NaN is never alike
    found = pd.DataFrame(
        {"first": names[rows[alike]], "second": names[columns[alike]], "similarity": values[rows, columns][alike]}
    )
    return found.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)


# ---------------------------------------------------------------- layers that share no site


def batch_names(batch: Any, x: Any, name: str) -> np.ndarray:
    """Return the batch of every row of x: a Series is looked up by label, anything else is taken in order."""
    rows = labels(x, 0)
    if batch is None:
        return np.zeros(len(rows), dtype=int)
    if isinstance(batch, pd.Series) and isinstance(x, pd.DataFrame):
        batch = batch.reindex(rows)
    values = np.asarray(batch, dtype=object)
    if values.shape != (len(rows),) or pd.isna(values).any():
        raise ValueError(f"{name} must give one batch for each of the {len(rows)} samples, none missing")
    return np.unique(values.astype(str), return_inverse=True)[1]


def standardize(x: Any, batch: Any = None, name: str = "x") -> np.ndarray:
    """Centre every column within each batch, then scale it to standard deviation 1.

    NaN stays; a column without spread becomes NaN, because it says nothing.
    """
    values = pd.DataFrame(as_matrix(x, name, missing=True))
    centred = values - values.groupby(batch_names(batch, x, f"{name}_batch")).transform("mean")
    spread = centred.std()
    return (centred / spread.where(spread > 1e-12 * (1 + values.abs().max()))).to_numpy()


def pair_weights(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Say how much each pair of features tells about identity: r / (1 − r²), or 0 if r may be chance.

    `first` and `second` are (n, n_pairs) standardized values of samples with the same label; r is their correlation
    over the samples with both values. Pairs are kept at a false discovery rate of 5 % (Benjamini–Hochberg): the many
    uninformative pairs would otherwise add up to a preference for the label that they were estimated from.
    """
    seen = ~np.isnan(first) & ~np.isnan(second)
    n = seen.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (
            np.where(seen, x, 0.0) - np.where(seen, np.where(seen, x, 0.0).sum(axis=0) / n, 0.0)
            for x in (first, second)
        )
        r = (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
        r = np.clip(r, -LARGEST_CORRELATION, LARGEST_CORRELATION)
        p = 2 * student_t.sf(np.abs(r) * np.sqrt((n - 2) / (1 - r**2)), n - 2)
    p = np.where((n >= 4) & ~np.isnan(r), p, 1.0)
    if len(p) == 0:
        return np.zeros(0)
    return np.where(
        false_discovery_control(p) <= FALSE_DISCOVERY_RATE, np.nan_to_num(r) / (1 - np.nan_to_num(r) ** 2), 0.0
    )


def paired_columns(first: Any, second: Any, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions in `first` and `second` of the two columns of every pair."""
    if not isinstance(pairs, pd.DataFrame) or not {"first", "second"} <= set(pairs.columns):
        raise ValueError("pairs must be a DataFrame with columns 'first' and 'second'")
    places = []
    for side, x in [("first", first), ("second", second)]:
        place = labels(x, 1).get_indexer(pd.Index(pairs[side]))
        if (place < 0).any():
            unknown = pairs[side].iloc[int(np.argmax(place < 0))]
            raise ValueError(f"pairs names {unknown!r}, which is not a column of {side}")
        places.append(place)
    return places[0], places[1]


def cross_layer_similarity(
    first: Any, second: Any, pairs: pd.DataFrame, *, first_batch: Any = None, second_batch: Any = None
) -> Any:
    """Compare the samples of two layers through pairs of features that follow each other, such as gene and protein.

    1. Centre each feature within its layer's batches and scale it to standard deviation 1 (`standardize`).
    2. Weight each pair p by what it tells: w_p = r_p / (1 − r_p²), with r_p the correlation of its two features over
       the samples that carry the same label in both layers, and w_p = 0 if that r may be chance (`pair_weights`).
       Most labels are right, so a few wrong ones hardly matter here.
    3. Take the weighted correlation of row i of `first` (values a) and row j of `second` (values b), over the pairs
       measured in both:

           s_ij = Σ_p w_p a_ip b_jp / √(Σ_p |w_p| a_ip² · Σ_p |w_p| b_jp²)

    Parameters
    ----------
    first : (n1, p1) DataFrame or array, on a scale on which differences mean the same everywhere (log, dosage)
        NaN is a value not measured.
    second : (n2, p2) DataFrame or array
    pairs : DataFrame with columns first, second
        Labels (of arrays: positions) of the columns that belong together. A feature may be in several pairs.
    first_batch, second_batch : (n1,), (n2,) Series or array of batch names, optional

    Returns
    -------
    (n1, n2) DataFrame if both tables are, else array
        From −1 to 1. NaN where no informative pair was measured in both samples; all NaN if no pair is informative.

    Raises
    ------
    ValueError
        No label in common, a label twice, a pair that names an unknown column, a sample without batch, an infinity.

    References
    ----------
    Westra et al. 2011, Bioinformatics 27:2104; Yoo et al. 2014, PLoS Computational Biology 10:e1003790

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> gene = pd.DataFrame(rng.normal(size=(30, 3)), columns=["G1", "G2", "G3"])
    >>> protein = (gene + 0.3 * rng.normal(size=(30, 3))).set_axis(["Q1", "Q2", "Q3"], axis=1)
    >>> pairs = pd.DataFrame({"first": ["G1", "G2", "G3"], "second": ["Q1", "Q2", "Q3"]})
    >>> similarity = cross_layer_similarity(gene, protein, pairs)
    >>> bool(np.diag(similarity).mean() > 0.9)
    True
    """
    in_first, in_second = paired_columns(first, second, pairs)
    for x, name in [(first, "first"), (second, "second")]:
        require_unique_labels(x, name)
    a = standardize(first, first_batch, "first")[:, in_first]
    b = standardize(second, second_batch, "second")[:, in_second]
    shared = labels(first, 0).intersection(labels(second, 0))
    if len(shared) == 0:
        raise ValueError("first and second have no sample label in common; without one no pair can be weighed")
    weight = pair_weights(a[labels(first, 0).get_indexer(shared)], b[labels(second, 0).get_indexer(shared)])
    # A value that was not measured adds nothing: neither to the sum of products nor to the other sample's length.
    seen_a, seen_b = ~np.isnan(a), ~np.isnan(b)
    a, b = np.nan_to_num(a), np.nan_to_num(b)
    product = (a * weight) @ b.T
    length = np.sqrt(((a**2 * np.abs(weight)) @ seen_b.T) * ((seen_a * np.abs(weight)) @ (b**2).T))
    return every_pair(first, second, product / np.where(length, length, np.nan))


# ---------------------------------------------------------------- who belongs to whom


def match_evidence(similarity: Any) -> Any:
    """Turn any similarity into evidence that two samples are one person: a log-likelihood ratio in nats.

    What a match and what two strangers look like is read from the table itself, without its labels: matches are the
    entries of the best one-to-one assignment, all other entries are strangers. With t = 0 at the median stranger and
    t = 1 at the median match, and d the distance between the two in (robust) standard deviations of the strangers,
    two normal distributions of equal spread give

        evidence = d² (t − 1/2)

    so that an entry halfway says nothing. Among N entries of strangers the largest lies about √(2 ln N) standard
    deviations out by chance alone, and an assignment picks such entries. If d is no larger, with N the size of the
    table, the table cannot tell people apart and all evidence is NaN.

    Parameters
    ----------
    similarity : (n1, n2) DataFrame or array; NaN is a pair that cannot be compared

    Returns
    -------
    (n1, n2) like similarity; unchanged if the similarity is multiplied by a positive number or shifted

    Examples
    --------
    >>> match_evidence(np.eye(3))
    array([[ 50., -50., -50.],
           [-50.,  50., -50.],
           [-50., -50.,  50.]])
    """
    values = as_matrix(similarity, "similarity", missing=True)
    known = ~np.isnan(values)
    evidence = np.full_like(values, np.nan)
    if known.any():
        lowest = values[known].min()
        matched = np.zeros_like(known)
        matched[linear_sum_assignment(np.where(known, values, lowest), maximize=True)] = True
        matches, strangers = values[matched & known], values[~matched & known]
        if len(matches) and len(strangers):
            middle = np.median(strangers)
            distance = np.median(matches) - middle
            deviation = np.abs(strangers - middle)
            spread = MAD_TO_SD * np.median(deviation)
            if spread < 1e-9 * distance:  # more than half of the strangers are equal
                spread = MEAN_DEVIATION_TO_SD * np.mean(deviation)
            enough = np.sqrt(2 * np.log(values.size))
            if distance > enough * spread:
                d = min(distance / spread, LARGEST_SEPARATION) if spread > 0 else LARGEST_SEPARATION
                evidence = d**2 * ((values - middle) / distance - 0.5)
    return (
        pd.DataFrame(evidence, similarity.index, similarity.columns)
        if isinstance(similarity, pd.DataFrame)
        else evidence
    )


def cycle_lengths(owner: Mapping[Any, Any]) -> dict[Any, int]:
    """Say for each label how many steps label → owner → … lead back to it; 0 if they never do.

    >>> cycle_lengths({"A": "A", "B": "C", "C": "B", "D": "E"})
    {'A': 1, 'B': 2, 'C': 2, 'D': 0}
    """
    lengths = {}
    for start in owner:
        at, steps = owner[start], 1
        while at != start and at in owner and steps <= len(owner):
            at, steps = owner[at], steps + 1
        lengths[start] = steps if at == start else 0
    return lengths


def assign_samples(similarity: Any, *, prior_correct: float = 0.95, min_margin: float = 0.0) -> pd.DataFrame:
    """Give every sample (row) its person (column), and say how sure that is.

    1. Evidence e_ij in nats that row i and column j are one person (`match_evidence`); NaN counts as 0.
    2. Labels are right with probability `prior_correct` (π), else any of the other n2 − 1 people is equally likely, so
       the labelled person starts ahead: score_ij = e_ij + log(π (n2 − 1) / (1 − π)) if row i is labelled j, else e_ij.
    3. The one-to-one assignment with the largest total score (Hungarian algorithm).
    4. margin_i = score of the assigned person − the best score in the row of anybody else, where somebody who is not in
       the table scores 0.
    5. A sample without positive evidence for its person, or with margin ≤ `min_margin`, is "cannot_tell". Otherwise it
       is "as_labelled" or "swapped".

    Swaps may be pairs or longer cycles: follow label → assigned → … until it comes back.
    One-to-one means that two aliquots of one person cannot both be assigned: find duplicates first.

    Parameters
    ----------
    similarity : (n1, n2) DataFrame or array, on any scale; NaN is a pair that cannot be compared
        Row and column labels are people; of an array, row i is labelled as column i.
    prior_correct : float strictly between 0 and 1
    min_margin : float ≥ 0, in nats

    Returns
    -------
    DataFrame, one row per row of `similarity`, with columns
        assigned : label of the person; None if the verdict is cannot_tell
        verdict : "as_labelled", "swapped" or "cannot_tell"
        margin : float, in nats; NaN if there is no evidence for the row
        cycle : int; 1 for as_labelled, 2 for a swapped pair, 3 or more for a longer cycle, 0 for cannot_tell or a chain
            that does not close

    Raises
    ------
    ValueError
        A label twice, an infinite similarity, a probability or margin out of range.

    References
    ----------
    Kuhn 1955, Naval Research Logistics 2:83 (assignment); Yoo et al. 2021, Patterns 2:100245 (mislabelled cohorts)

    Examples
    --------
    >>> people = ["P1", "P2", "P3", "P4"]
    >>> similarity = pd.DataFrame(np.eye(4)[[1, 0, 2, 3]], index=people, columns=people)
    >>> assign_samples(similarity).round(1)
       assigned      verdict  margin  cycle
    P1       P2      swapped    50.0      2
    P2       P1      swapped    50.0      2
    P3       P3  as_labelled    54.0      1
    P4       P4  as_labelled    54.0      1
    """
    evidence = np.asarray(match_evidence(similarity))  # refuses what is no table, so before its labels are read
    require_unique_labels(similarity, "similarity")
    prior_correct = require_between(prior_correct, "prior_correct", 0, 1)
    min_margin = require_number(min_margin, "min_margin", low=0)
    samples, people = labels(similarity, 0), labels(similarity, 1)
    is_label = samples.to_numpy()[:, None] == people.to_numpy()[None, :]
    head_start = np.log(prior_correct * max(len(people) - 1, 1) / (1 - prior_correct))
    score = np.nan_to_num(evidence) + head_start * is_label
    rows, columns = linear_sum_assignment(score, maximize=True)

    rivals = np.maximum(score, 0.0)  # somebody who is not in the table scores 0
    rivals[rows, columns] = 0.0
    margin = np.full(len(samples), np.nan)
    margin[rows] = score[rows, columns] - rivals[rows].max(axis=1)
    margin[np.isnan(evidence).all(axis=1)] = np.nan
    is_told = (evidence[rows, columns] > 0) & (margin[rows] > min_margin)  # NaN is never more than 0

    told = {samples[row]: people[column] for row, column in np.column_stack([rows, columns])[is_told]}
    steps = cycle_lengths(told)
    return pd.DataFrame(
        {
            "assigned": pd.Series([told.get(sample) for sample in samples], index=samples, dtype=object),
            "verdict": [
                "cannot_tell" if sample not in told else "as_labelled" if told[sample] == sample else "swapped"
                for sample in samples
            ],
            "margin": margin,
            "cycle": [steps.get(sample, 0) for sample in samples],
        }
    )


# ---------------------------------------------------------------- the whole cohort


def comparable_scale(name: str, table: Any) -> Any:
    """Bring a layer to a scale on which a difference means the same everywhere; other layers are left as they are."""
    if name == "rna":
        per_million = table.div(table.sum(axis=1).clip(lower=1), axis=0) * 1e6
        return np.log2(per_million + 1)
    if name in ("protein", "metabolite"):
        intensity = np.log2(table.where(table > 0))
        return intensity.sub(intensity.median(axis=1), axis=0)
    if name == "methylation":
        beta = table.clip(0.001, 0.999)
        return np.log2(beta / (1 - beta))
    return table


def within_layer_similarity(name: str, table: pd.DataFrame, batch: Any) -> Any:
    """How alike the samples of one layer are: kinship of genotypes, correlation of anything else."""
    if name == "genotype":
        return king_kinship(table)[0]
    z = standardize(table, batch, name)
    # What shifts a whole sample at once, such as a failed library, is no resemblance.
    z = z - (np.nansum(z, axis=1) / np.maximum((~np.isnan(z)).sum(axis=1), 1))[:, None]
    seen, z = ~np.isnan(z), np.nan_to_num(z)
    length = np.sqrt((z**2 @ seen.T) * (seen @ (z**2).T))
    return every_pair(table, table, np.divide(z @ z.T, length, out=np.full_like(length, np.nan), where=length > 0))


def linked_evidence(
    cohort: Any,
    tables: Mapping[str, pd.DataFrame],
    pairs: Mapping[tuple[str, str], pd.DataFrame],
    batch: Mapping[str, Any],
) -> dict[tuple[str, str], list[pd.DataFrame]]:
    """Evidence, per two layers, that a sample of the first and one of the second are one person."""
    links: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for (one, other), table in pairs.items():
        similarity = cross_layer_similarity(
            tables[one], tables[other], table, first_batch=batch.get(one), second_batch=batch.get(other)
        )
        links.setdefault((one, other), []).append(match_evidence(similarity))
    for layer, calls in getattr(cohort, "calls", {}).items():
        concordance, _ = genotype_concordance(tables["genotype"][calls.columns], calls)
        links.setdefault(("genotype", layer), []).append(match_evidence(concordance))
    return links


def evidence_of_links(
    layer: str, links: Mapping[tuple[str, str], list[pd.DataFrame]], owner: Mapping[str, pd.Series]
) -> list[pd.DataFrame]:
    """Return, for each link of a layer, the evidence that its samples belong to each person, with equal labels.

    `owner` says for every layer whom each label is believed to name; labels without an owner (copies) take no part.
    """
    found = [(other, table) for (one, other), tables in links.items() if one == layer for table in tables]
    found += [(one, table.T) for (one, other), tables in links.items() if other == layer for table in tables]
    people = pd.Index(sorted({person for other, _ in found for person in owner[other].dropna()}))
    samples = owner[layer].dropna()
    aligned = []
    for other, table in found:
        known = owner[other].dropna()
        renamed = table.loc[samples.index, known.index].set_axis(known.to_numpy(), axis=1)
        aligned.append(renamed.reindex(columns=people).set_axis(samples.to_numpy(), axis=0))
    return aligned


def consensus_evidence(
    layer: str, links: Mapping[tuple[str, str], list[pd.DataFrame]], owner: Mapping[str, pd.Series]
) -> Any:
    """Average, over all links of a layer, the evidence that its samples belong to each person; None without a link."""
    tables = evidence_of_links(layer, links, owner)
    if not tables:
        return None
    stack = np.stack([table.to_numpy() for table in tables])
    n_known = (~np.isnan(stack)).sum(axis=0)
    mean = np.divide(np.nansum(stack, axis=0), n_known, out=np.full(n_known.shape, np.nan), where=n_known > 0)
    return pd.DataFrame(mean, index=tables[0].index, columns=tables[0].columns)


def relabelling_gain(
    layer: str,
    change: Mapping[Any, Any],
    links: Mapping[tuple[str, str], list[pd.DataFrame]],
    owner: Mapping[str, pd.Series],
) -> float:
    """Say how much evidence, over all links of a layer, is won if its samples of each person in `change` are another's.

    A link without a value for the sample and either person neither wins nor loses.
    """
    before, after = list(change), list(change.values())
    gain = 0.0
    for table in evidence_of_links(layer, links, owner):
        values = table.reindex(index=before, columns=before).to_numpy()
        moved = table.reindex(index=before, columns=after).to_numpy()
        gain += float(np.nansum(np.diag(moved) - np.diag(values)))
    return gain


def resolve_swaps(
    links: Mapping[tuple[str, str], list[pd.DataFrame]], owner: dict[str, pd.Series]
) -> tuple[dict[str, pd.Series], dict[str, set[Any]]]:
    """Relabel, one closed cycle at a time, the layer in which relabelling explains the most evidence.

    A swap in one layer is seen in every comparison with that layer. Relabelling that layer settles all of them, so it
    gains more than relabelling any of its neighbours; the largest gain therefore names the layer that is wrong.
    Where the opposite relabelling of another layer gains as much, nothing says which of the two is wrong: neither is
    relabelled, and the samples of both are undecided.

    Returns the owners, and for each layer the labels of the samples that are undecided.
    """
    owner = {layer: people.copy() for layer, people in owner.items()}
    undecided: dict[str, set[Any]] = {layer: set() for layer in owner}
    for _ in range(sum(len(people) for people in owner.values())):
        candidates: list[tuple[float, str, dict[Any, Any]]] = []
        for layer in owner:
            evidence = consensus_evidence(layer, links, owner)
            if evidence is None:
                continue
            closed = set(owner[layer][list(undecided[layer])])
            for cycle in closed_cycles(assign_samples(evidence)):
                change = cycle.to_dict()
                if closed.isdisjoint(change):
                    candidates.append((relabelling_gain(layer, change, links, owner), layer, change))
        gain, best, change = max(candidates, key=lambda candidate: candidate[0], default=(0.0, "", {}))
        if gain <= 0:
            break
        opposite = {after: before for before, after in change.items()}
        enough = gain * (1 - EQUAL_GAIN)
        rivals = [x for x in owner if x != best and relabelling_gain(x, opposite, links, owner) >= enough]
        if rivals:
            for layer in [best, *rivals]:
                undecided[layer].update(owner[layer].index[owner[layer].isin(list(change))])
        else:
            owner[best] = owner[best].map(lambda person, to=change: to.get(person, person))
    return owner, undecided


def closed_cycles(verdict: pd.DataFrame) -> list[pd.Series]:
    """Split the swapped samples of an assignment into its cycles: for each, label → assigned."""
    todo = verdict[(verdict["verdict"] == "swapped") & (verdict["cycle"] >= 2)]["assigned"]
    cycles = []
    while len(todo):
        members = [todo.index[0]]
        while todo[members[-1]] != members[0]:
            members.append(todo[members[-1]])
        cycles.append(todo[members])
        todo = todo.drop(members)
    return cycles


def find_copies(layer: str, table: pd.DataFrame, batch: Any, evidence: Any) -> dict[Any, tuple[Any, float]]:
    """Find the second aliquots within a layer: wrong label → label of the person it copies, and the margin.

    Two genotypes are one person from a kinship of 0.354; other layers call a copy what is more than halfway between
    the median stranger and a perfect repeat. Of the two, the copy is the one whose own label has less evidence; the
    margin is how much less it has than the label of the other.
    """
    similarity = within_layer_similarity(layer, table, batch)
    strangers = similarity.to_numpy()[np.triu_indices(len(similarity), k=1)]
    threshold = KING_SAME_PERSON if layer == "genotype" else (1 + float(np.nanmedian(strangers))) / 2
    copies: dict[Any, tuple[Any, float]] = {}
    for _, (one, other, _) in find_duplicates(similarity, threshold=threshold).iterrows():
        if evidence is None:
            copies[other] = (one, np.nan)
            continue
        known = evidence.reindex(columns=[one, other]).fillna(0.0)
        copy, original = (one, other) if known.loc[one, one] < known.loc[other, other] else (other, one)
        copies[copy] = (original, float(known.loc[copy, original] - known.loc[copy, copy]))
    return copies


def layer_verdicts(
    layer: str,
    links: Mapping[tuple[str, str], list[pd.DataFrame]],
    owner: Mapping[str, pd.Series],
    copies: Mapping[Any, Any],
    undecided: set[Any],
) -> list[tuple[str, Any, str, Any, float]]:
    """Verdict on every sample of a layer, once the swaps of all layers are resolved."""
    evidence = consensus_evidence(layer, links, owner)
    told = None if evidence is None else assign_samples(evidence)
    rows: list[tuple[str, Any, str, Any, float]] = []
    for sample, person in owner[layer].items():
        if sample in copies:
            rows.append((layer, sample, "duplicate", *copies[sample]))
        elif sample in undecided:
            rows.append((layer, sample, "cannot_tell", None, 0.0))  # two explanations, neither better than the other
        elif told is None or told.loc[person, "verdict"] == "cannot_tell":
            rows.append((layer, sample, "cannot_tell", None, np.nan if told is None else told.loc[person, "margin"]))
        else:
            found = told.loc[person, "assigned"]
            rows.append(
                (layer, sample, "as_labelled" if found == sample else "swapped", found, told.loc[person, "margin"])
            )
    return rows


def sex_verdicts(
    log_expression: pd.DataFrame, rna_verdicts: pd.DataFrame, recorded: pd.Series, sex_genes: Mapping[str, Any]
) -> list[tuple[str, Any, str, Any, float]]:
    """Compare the recorded sex of every patient with that of the transcripts which truly are this patient's."""
    inferred = infer_sex(log_expression, **{"margin": CLEAR_SEX, **sex_genes})
    known = rna_verdicts[rna_verdicts["verdict"].isin(["as_labelled", "swapped"])]
    sample_of = dict(zip(known["belongs_to"], known["sample"], strict=True))
    rows: list[tuple[str, Any, str, Any, float]] = []
    for patient, sex in recorded.items():
        seen: Any = inferred.loc[sample_of[patient]] if patient in sample_of else None
        if seen is None or seen["sex"] == "ambiguous":
            rows.append(("clinical", patient, "cannot_tell", None, np.nan if seen is None else seen["margin"]))
        else:
            verdict = "as_labelled" if seen["sex"] == sex else "sex_mismatch"
            rows.append(("clinical", patient, verdict, patient, seen["margin"]))
    return rows


def identity_report(
    cohort: Any,
    *,
    pairs: Mapping[tuple[str, str], pd.DataFrame],
    sex_genes: Mapping[str, Any],
    batch: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Check every label of a cohort: each sample of each layer, and each patient's recorded sex.

    1. Bring every layer to a comparable scale (log2 counts per million, log2 intensity, M-value of methylation).
    2. Within each layer find copies: two aliquots of one person.
    3. Between the layers of `pairs`, and between genotypes and the genotypes called from reads (`cohort.calls`), turn
       similarity into evidence.
    4. A swap in one layer shows in all comparisons with it. Relabel, cycle by cycle, the layer that explains the most.
       Where two layers explain it equally well, as with a single comparison, nothing says which of them is wrong: the
       samples of both are "cannot_tell", with margin 0.
    5. Where transcripts are a patient's own and tell the other sex, the clinical record is wrong.

    Parameters
    ----------
    cohort : MultiOmics, or anything with `.layers`, `.clinical` (with a column "sex") and, optionally, `.calls`
    pairs : dict (layer, layer) → DataFrame with columns first, second
        Columns of the two layers that belong together, as in `cross_layer_similarity`.
    sex_genes : dict with "x_inactivation" and "y_linked" → labels of columns of layer "rna", as in `infer_sex`
        A "margin" may be given too; 3 log2 units is what the report asks for.
    batch : dict layer → Series of batch names, optional

    Returns
    -------
    DataFrame, one row per sample of each layer, then one per patient with layer "clinical", with columns
        layer, sample
        verdict : "as_labelled", "swapped", "duplicate", "cannot_tell"; for the clinical record also "sex_mismatch"
        belongs_to : the person the sample is from; None if cannot_tell
        margin : in nats; for a duplicate how much more evidence there is for the person copied than for the label; for
            the clinical record in log2 units, as in `infer_sex`

    Raises
    ------
    ValueError
        A cohort without `.layers` or `.clinical`, a layer in `pairs` or `batch` that it does not have, no layer "rna",
        no recorded sex, and what `cross_layer_similarity` and `infer_sex` raise.

    References
    ----------
    Yoo et al. 2021, Patterns 2:100245
    """
    batch = {} if batch is None else dict(batch)
    require_layers(cohort, pairs, batch)
    tables = {name: comparable_scale(name, table) for name, table in cohort.layers.items()}
    links = linked_evidence(cohort, tables, pairs, batch)
    owner = {name: pd.Series(table.index, index=table.index, dtype=object) for name, table in tables.items()}
    evidence = {name: consensus_evidence(name, links, owner) for name in tables}
    copies = {name: find_copies(name, table, batch.get(name), evidence[name]) for name, table in tables.items()}
    owner = {name: people.where(~people.index.isin(list(copies[name]))) for name, people in owner.items()}
    owner, undecided = resolve_swaps(links, owner)

    columns = ["layer", "sample", "verdict", "belongs_to", "margin"]
    rows = [row for name in tables for row in layer_verdicts(name, links, owner, copies[name], undecided[name])]
    report = pd.DataFrame(rows, columns=columns)
    rna = report[report["layer"] == "rna"]
    rows += sex_verdicts(tables["rna"], rna, cohort.clinical["sex"], sex_genes)
    return pd.DataFrame(rows, columns=columns).assign(belongs_to=pd.Series([row[3] for row in rows], dtype=object))


def require_layers(cohort: Any, pairs: Mapping[Any, Any], batch: Mapping[str, Any]) -> None:
    """Refuse a cohort without layers or clinical records, and arguments that name a layer it does not have."""
    for part in ["layers", "clinical"]:
        if not hasattr(cohort, part):
            raise ValueError(
                f"cohort must have .layers and .clinical, as MultiOmics has; {type(cohort).__name__} has no .{part}"
            )
    named = [*(layer for two in pairs for layer in two), *batch, "rna"]
    unknown = [layer for layer in named if layer not in cohort.layers]
    if unknown:
        raise ValueError(f"the cohort has no layer {unknown[0]!r}; its layers are {', '.join(cohort.layers)}")
    if "sex" not in cohort.clinical.columns:
        raise ValueError("cohort.clinical has no column 'sex' to compare with the transcripts")
