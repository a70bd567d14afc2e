"""Similarity network fusion: let the layers of one cohort agree on who resembles whom.

Each layer becomes a network of samples: distances, then similarities, then two kernels. The *full* kernel says how
similar every pair is; the *local* kernel keeps only each sample's nearest neighbours, the similarities one can trust.
Fusion passes the other layers' similarities through a layer's own neighbours, again and again, until the layers tell
one story. What follows, clusters, labels, and the features behind them, is read from the fused network.

The convention is that of SNFtool 2.3 for R (Wang et al. 2014, Nature Methods 11:333); `variant="snfpy"` gives the older
rule of snfpy 0.2 and SNFtool 2.2. Rows are samples everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import eigh, qr, svd
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, laplacian
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score
from sklearn.preprocessing import normalize

from reference_impl.validation import (
    as_matrix,
    labels,
    like,
    require_between,
    require_generator,
    require_integer,
    same_samples,
)

PANEL = 48  # rows or columns worked on at a time, so that a panel of some thousand samples stays in a core's own cache


def _panels(n_samples: int) -> Iterable[slice]:
    return (slice(start, start + PANEL) for start in range(0, n_samples, PANEL))


# --- Validation that only networks need ------------------------------------------------------------------------------


def _as_network(x: Any, name: str) -> np.ndarray:
    """Return a fresh square matrix of non-negative numbers that reads the same from both sides."""
    network = as_matrix(x, name)
    if network.shape[0] != network.shape[1]:
        raise ValueError(
            f"{name} must be samples × samples; got {network.shape[0]} rows and {network.shape[1]} columns"
        )
    if network.min() < 0:
        row, column = np.unravel_index(np.argmin(network), network.shape)
        raise ValueError(f"{name} must not be negative; entry [{row}, {column}] is {network[row, column]:g}")
    tolerance = 1e-9 * network.max()
    for rows in _panels(len(network)):
        difference = np.abs(network[rows, rows.start :] - network[rows.start :, rows].T)
        if difference.max() > tolerance:
            row, column = np.add(np.unravel_index(np.argmax(difference), difference.shape), rows.start)
            raise ValueError(
                f"{name} must be symmetric; entry [{row}, {column}] is {network[row, column]:g} "
                f"and [{column}, {row}] is {network[column, row]:g}"
            )
    return network


def _columns_in_order(network: pd.DataFrame, samples: pd.Index, name: str) -> pd.DataFrame:
    """The columns in the order of the samples; refused if they are not the samples."""
    for absent, found in [
        (samples.difference(network.columns, sort=False), "lack"),
        (network.columns.difference(samples, sort=False), "have besides"),
    ]:
        if len(absent):
            listed = ", ".join(map(str, absent[:5])) + (", …" if len(absent) > 5 else "")
            raise ValueError(f"{name} must have the same samples in rows and columns; its columns {found} {listed}")
    return network.loc[:, samples]


def _require_neighbours(k: Any, available: int, meaning: str) -> int:
    """Return a number of neighbours that the cohort can provide."""
    k = require_integer(k, "k")
    if k > available:
        raise ValueError(f"k = {k} neighbours were asked for, but there are only {available} {meaning}")
    return k


# --- The exercises: from a table to a fused network ------------------------------------------------------------------


def squared_distances(x: Any, *, standardize: bool = True) -> Any:
    """Squared Euclidean distance between all pairs of samples.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame or array without missing values
    standardize : bool
        Bring every feature to mean 0 and standard deviation 1 first (divisor n − 1), so that its unit does not
        matter. A feature that never varies becomes 0.

    Returns
    -------
    (n_samples, n_samples) DataFrame or array, symmetric, not negative, zeros on the diagonal

    Raises
    ------
    ValueError : missing or infinite values; fewer than two samples

    Notes
    -----
    ‖a − b‖² = ‖a‖² + ‖b‖² − 2 a·b, so one matrix product (the Gram matrix) replaces a loop over pairs. Features are
    centred first: far from 0 that subtraction would lose its digits.

    Examples
    --------
    >>> squared_distances([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]], standardize=False)
    array([[ 0., 25.,  0.],
           [25.,  0., 25.],
           [ 0., 25.,  0.]])
    """
    values = as_matrix(x, "x")
    if len(values) < 2:
        raise ValueError("x has 1 sample; a distance needs at least 2")
    values -= values.mean(axis=0)
    if standardize:
        varies = np.ptp(values, axis=0) > 0
        values /= np.where(varies, values.std(axis=0, ddof=1), 1)
    gram = values @ values.T
    squared_length = gram.diagonal()
    # Rounding may leave a little less than 0 between twins.
    distances = np.maximum(squared_length[:, None] + squared_length - 2 * gram, 0)
    if isinstance(x, pd.DataFrame):
        return pd.DataFrame(distances, index=x.index, columns=x.index)
    return distances


def affinity_matrix(distances: Any, k: int = 20, mu: float = 0.5) -> Any:
    """Similarity of all pairs of samples, on a scale that follows the density around each pair.

    With m_i the mean squared distance of sample i to its k nearest neighbours (itself not counted) and
    ε_ij = (m_i + m_j + d_ij) / 3, the similarity is the normal density at d_ij with mean 0 and standard deviation
    μ·ε_ij.

    Parameters
    ----------
    distances : (n_samples, n_samples) DataFrame or array of squared distances, symmetric; the diagonal counts as 0
    k : int
        Neighbours that set the local scale, at most n_samples − 1.
    mu : float
        Width of the kernel, greater than 0; 0.3 to 0.8 is usual.

    Returns
    -------
    (n_samples, n_samples) DataFrame or array, symmetric, positive; the diagonal is kept

    Raises
    ------
    ValueError : distances that are negative, missing or not symmetric; more neighbours than there are; mu not above 0

    References
    ----------
    Wang et al. 2014, Nature Methods 11:333; SNFtool 2.3 `affinityMatrix`

    Examples
    --------
    >>> affinity_matrix([[0.0, 1.0, 4.0], [1.0, 0.0, 1.0], [4.0, 1.0, 0.0]], k=1, mu=0.5).round(3)
    array([[1.197, 0.108, 0.   ],
           [0.108, 1.197, 0.108],
           [0.   , 0.108, 1.197]])
    """
    squared = _as_network(distances, "distances")
    k = _require_neighbours(k, len(squared) - 1, f"other samples among {len(squared)}")
    require_between(mu, "mu", 0, np.inf)
    np.fill_diagonal(squared, 0)
    mean_to_nearest = np.sort(squared)[:, 1 : k + 1].mean(axis=1)  # the first is the sample itself
    scale = (mean_to_nearest[:, None] + mean_to_nearest + squared) / 3
    width = mu * (scale + np.finfo(float).eps)  # samples with k identical twins have scale 0
    return like(distances, np.exp(-((squared / width) ** 2) / 2) / (np.sqrt(2 * np.pi) * width))


def full_kernel(affinity: Any) -> Any:
    """Similarities as shares: half of a sample's weight stays with itself, the other half is shared among the rest.

    Off the diagonal each row is divided by twice its off-diagonal sum, the diagonal is ½, and the mean with the
    transpose makes the kernel symmetric again.

    Parameters
    ----------
    affinity : (n_samples, n_samples) DataFrame or array, symmetric, not negative; the diagonal is not used

    Returns
    -------
    (n_samples, n_samples) DataFrame or array, symmetric, ½ on the diagonal

    Raises
    ------
    ValueError : similarities that are negative, missing or not symmetric

    Notes
    -----
    Before the last step every row sums to 1; after it only the sum of the whole kernel is exact, n_samples. A sample
    that resembles nobody keeps zeros off its diagonal.

    References
    ----------
    Wang et al. 2014, Nature Methods 11:333, eq. 2; SNFtool 2.3 `SNF`

    Examples
    --------
    >>> full_kernel([[9.0, 3.0, 1.0], [3.0, 9.0, 1.0], [1.0, 1.0, 9.0]])
    array([[0.5   , 0.375 , 0.1875],
           [0.375 , 0.5   , 0.1875],
           [0.1875, 0.1875, 0.5   ]])
    """
    kernel = _as_network(affinity, "affinity")
    np.fill_diagonal(kernel, 0)
    to_others = kernel.sum(axis=1)
    to_others[to_others == 0] = 1
    kernel /= 2 * to_others[:, None]
    kernel = (kernel + kernel.T) / 2
    np.fill_diagonal(kernel, 0.5)
    return like(affinity, kernel)


def local_kernel(full: Any, k: int = 20) -> csr_array:
    """Only the similarities one can trust: each sample's k largest, itself among them, as shares of 1.

    Parameters
    ----------
    full : (n_samples, n_samples) DataFrame or array, the full kernel
    k : int
        Entries kept per row, the sample itself included (so k − 1 true neighbours), at most n_samples. Between equal
        similarities at the last place the choice is free.

    Returns
    -------
    (n_samples, n_samples) csr_array with k entries in every row; rows sum to 1; not symmetric

    Raises
    ------
    ValueError : a kernel that is negative, missing or not symmetric; k larger than n_samples

    References
    ----------
    Wang et al. 2014, Nature Methods 11:333, eq. 3; SNFtool 2.3 `.dominateset`

    Examples
    --------
    >>> full = full_kernel([[9.0, 3.0, 1.0], [3.0, 9.0, 1.0], [1.0, 1.0, 9.0]])
    >>> local_kernel(full, k=2).toarray()[:2].round(3)
    array([[0.571, 0.429, 0.   ],
           [0.429, 0.571, 0.   ]])
    """
    kernel = _as_network(full, "full")
    n_samples = len(kernel)
    k = _require_neighbours(k, n_samples, "samples")
    nearest = np.sort(np.argpartition(kernel, n_samples - k)[:, n_samples - k :])
    weights = kernel[np.arange(n_samples)[:, None], nearest]
    weights /= weights.sum(axis=1, keepdims=True)
    row_starts = np.arange(0, n_samples * k + 1, k)
    return csr_array((weights.ravel(), nearest.ravel(), row_starts), kernel.shape)


def _diffuse(networks: list[np.ndarray], local_kernels: list[csr_array], halves: list[np.ndarray]) -> None:
    """Replace every P_v by S_v · (mean of the other P) · S_vᵀ, all from the same state, in O(n² k) work.

    The sparse products run over panels that stay in cache. All P are symmetric, so a panel of columns is a few rows,
    which are read in one stretch; and of the result only what lies on and below the diagonal is computed. `halves` is
    working memory for S_v · mean.
    """
    n_samples = len(networks[0])
    for own, half in enumerate(halves):
        for panel in _panels(n_samples):
            total = reduce(np.add, [network[panel] for other, network in enumerate(networks) if other != own])
            half[:, panel] = local_kernels[own] @ total.T
    for own, network in enumerate(networks):
        for panel in _panels(n_samples):
            below = slice(panel.start, n_samples)
            product = local_kernels[own][below] @ halves[own][panel].T
            product /= len(networks) - 1
            network[below, panel] = product
            network[panel, below] = product.T


def _to_full_kernel(similarity: np.ndarray) -> np.ndarray:
    """`full_kernel` of a matrix known to be symmetric, in its own memory."""
    to_others = similarity.sum(axis=1) - similarity.diagonal()
    to_others[to_others <= 0] = 1
    share = 0.25 / to_others  # dividing by the row's sum and averaging with the transpose, in one step
    for rows in _panels(len(similarity)):
        similarity[rows] *= share[rows, None] + share
    np.fill_diagonal(similarity, 0.5)
    return similarity


def _to_row_shares(similarity: np.ndarray) -> np.ndarray:
    """Rows divided by their sums, then averaged with the transpose, in a symmetric matrix's own memory (as snfpy)."""
    share = 0.5 / similarity.sum(axis=1)
    for rows in _panels(len(similarity)):
        similarity[rows] *= share[rows, None] + share
    return similarity


def _add_to_diagonal(similarity: np.ndarray, amount: float) -> np.ndarray:
    similarity.flat[:: len(similarity) + 1] += amount
    return similarity


def fuse(affinities: Any, k: int = 20, n_iterations: int = 20, *, variant: str = "snftool") -> Any:
    """Fuse the networks of several layers into one.

    With P_v the full kernel and S_v the local kernel of layer v, each iteration replaces all P_v at once by the full
    kernel of S_v · (mean of the other layers' P) · S_vᵀ. The fused network is the full kernel of the mean of all P_v.

    Parameters
    ----------
    affinities : dict or list of at least two (n_samples, n_samples) DataFrames or arrays
        One symmetric affinity per layer. DataFrames are matched by label.
    k : int
        Entries per row of the local kernels, at most n_samples.
    n_iterations : int
        Usually 10 to 20.
    variant : "snftool" or "snfpy"
        "snftool" is SNFtool 2.3. "snfpy" is snfpy 0.2 and SNFtool 2.2: rows of the first kernels sum to 1 with the
        diagonal as it is, iterations add the identity instead of normalising, and so does the end. Values differ by
        up to about 0.07.

    Returns
    -------
    (n_samples, n_samples) DataFrame or array, symmetric

    Raises
    ------
    ValueError : fewer than two layers; a sample missing in a layer, or columns that are not the samples of the rows
        (the message says which); a bad affinity; k too large; an unknown variant

    Notes
    -----
    The local kernels are sparse, so an iteration costs O(n_samples² k), not O(n_samples³).

    References
    ----------
    Wang et al. 2014, Nature Methods 11:333; SNFtool 2.3 `SNF`; snfpy 0.2 `snf`

    Examples
    --------
    >>> first = np.array([[1.0, 0.8, 0.1], [0.8, 1.0, 0.2], [0.1, 0.2, 1.0]])
    >>> second = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.3], [0.2, 0.3, 1.0]])
    >>> fuse([first, second], k=2, n_iterations=5).round(3)
    array([[0.5  , 0.28 , 0.232],
           [0.28 , 0.5  , 0.238],
           [0.232, 0.238, 0.5  ]])
    """
    named, samples = same_samples(affinities)
    n_iterations = require_integer(n_iterations, "n_iterations", at_least=0)
    if variant not in ("snftool", "snfpy"):
        raise ValueError(f"variant must be 'snftool' or 'snfpy'; got {variant!r}")
    if samples is not None:
        named = {name: _columns_in_order(affinity, samples, str(name)) for name, affinity in named.items()}
    networks = [_as_network(affinity, str(name)) for name, affinity in named.items()]
    networks = [_to_full_kernel(each) if variant == "snftool" else _to_row_shares(each) for each in networks]
    local_kernels = [local_kernel(each, k) for each in networks]
    halves = [np.empty_like(network) for network in networks]
    for _ in range(n_iterations):
        _diffuse(networks, local_kernels, halves)
        networks = [_to_full_kernel(each) if variant == "snftool" else _add_to_diagonal(each, 1) for each in networks]
    total = networks[0]
    for other in networks[1:]:
        total += other
    fused = _to_full_kernel(total) if variant == "snftool" else _add_to_diagonal(_to_row_shares(total), 0.5)
    return fused if samples is None else pd.DataFrame(fused, index=samples, columns=samples)


# --- Reading the fused network ---------------------------------------------------------------------------------------


def _normalized(network: np.ndarray) -> np.ndarray:
    """D^(−½) W D^(−½), with D the row sums of W."""
    degree = network.sum(axis=1)
    if (degree <= 0).any():
        raise ValueError(f"sample {int(np.argmin(degree))} resembles nobody, not even itself: its row is all 0")
    scale = 1 / np.sqrt(degree)
    return network * scale[:, None] * scale


def _spectrum(network: np.ndarray, n_vectors: int) -> tuple[np.ndarray, np.ndarray]:
    """Smallest eigenvalues of the normalised Laplacian I − D^(−½) W D^(−½), ascending, and their eigenvectors."""
    last = len(network) - 1
    values, vectors = eigh(_normalized(network), subset_by_index=[last + 1 - n_vectors, last])
    return 1 - values[::-1], vectors[:, ::-1]


def spectral_clusters(affinity: Any, n_clusters: int, *, rng: np.random.Generator) -> Any:
    """Groups of samples that the network joins closely.

    The eigenvectors of the n_clusters smallest eigenvalues of the normalised Laplacian I − D^(−½) W D^(−½) give every
    sample a place; its row, scaled to length 1, is what k-means then groups.

    Parameters
    ----------
    affinity : (n_samples, n_samples) DataFrame or array, symmetric, not negative
    n_clusters : int, at most n_samples
    rng : Generator for the starts of k-means

    Returns
    -------
    (n_samples,) array of int from 0 to n_clusters − 1, or a Series for a DataFrame; which group has which number is
    free

    Raises
    ------
    ValueError : a bad affinity; a sample whose row is all 0 (the message gives its position); more clusters than
        samples; rng that is no Generator

    References
    ----------
    Ng, Jordan & Weiss 2002, NIPS 14; von Luxburg 2007, Statistics and Computing 17:395. (SNFtool finds the groups by
    rotation, after Yu & Shi 2003, instead of k-means.)

    Examples
    --------
    >>> two_pairs = [[1.0, 0.9, 0.1, 0.1], [0.9, 1.0, 0.1, 0.1], [0.1, 0.1, 1.0, 0.9], [0.1, 0.1, 0.9, 1.0]]
    >>> found = spectral_clusters(two_pairs, 2, rng=np.random.default_rng(0))
    >>> bool(found[0] == found[1] != found[2] == found[3])
    True
    """
    network = _as_network(affinity, "affinity")
    n_samples = len(network)
    first = n_samples - require_integer(n_clusters, "n_clusters", at_most=n_samples)
    require_generator(rng)
    _, places = eigh(_normalized(network), subset_by_index=[first, n_samples - 1])
    starts = np.random.RandomState(rng.bit_generator)  # scikit-learn's kind of generator, on the same stream
    found = KMeans(n_clusters, n_init=20, random_state=starts).fit(normalize(places))
    clusters = found.labels_.astype(int)
    return pd.Series(clusters, index=affinity.index) if isinstance(affinity, pd.DataFrame) else clusters


def _alignment_cost(vectors: np.ndarray) -> float:
    """Mean over samples of Σ_j Z_ij² / max_j Z_ij²: 1 when every row has a single entry, more the further from it."""
    squares = vectors**2
    largest = squares.max(axis=1)
    return float((squares.sum(axis=1)[largest > 0] / largest[largest > 0]).mean())


def _rotation_cost(vectors: np.ndarray, *, tolerance: float = 1e-6, max_sweeps: int = 50) -> float:
    """The least alignment cost that any rotation of the eigenvectors reaches (Zelnik-Manor & Perona 2004, eq. 3).

    Start: the rotation that turns one well-chosen sample per cluster onto the axes (QR with pivoting). Then, plane by
    plane, the best angle, until a sweep over all planes gains nothing.
    """
    n_vectors = vectors.shape[1]
    if n_vectors == 1:
        return 1.0
    corners = qr(vectors.T, mode="economic", pivoting=True)[2][:n_vectors]
    left, _, right = svd(vectors[corners].T)
    rotated = vectors @ left @ right
    cost = _alignment_cost(rotated)

    def turned(first: int, second: int, angle: float) -> np.ndarray:
        result = rotated.copy()
        cosine, sine = np.cos(angle), np.sin(angle)
        result[:, first] = cosine * rotated[:, first] - sine * rotated[:, second]
        result[:, second] = sine * rotated[:, first] + cosine * rotated[:, second]
        return result

    for _ in range(max_sweeps):
        before = cost
        for first in range(n_vectors):
            for second in range(first + 1, n_vectors):
                grid = np.linspace(-np.pi / 4, np.pi / 4, 17)
                start = grid[np.argmin([_alignment_cost(turned(first, second, angle)) for angle in grid])]
                best = minimize_scalar(
                    lambda angle, i=first, j=second: _alignment_cost(turned(i, j, angle)),
                    bounds=(start - np.pi / 32, start + np.pi / 32),
                    method="bounded",
                    options={"xatol": 1e-5},
                )
                if best.fun < cost:
                    rotated, cost = turned(first, second, best.x), float(best.fun)
        if before - cost <= tolerance * cost:
            break
    return cost


def estimate_clusters(affinity: Any, candidates: Iterable[int] = range(2, 9)) -> pd.DataFrame:
    """How well each number of clusters fits the network, by two measures.

    Parameters
    ----------
    affinity : (n_samples, n_samples) DataFrame or array, symmetric, not negative
    candidates : numbers of clusters to try, each at least 2 and less than n_samples

    Returns
    -------
    DataFrame with index n_clusters and columns

    - eigengap: λ_(c+1) − λ_c, with λ the ascending eigenvalues of the normalised Laplacian. Large is good.
    - rotation_cost: mean over samples of Σ_j Z_ij² / max_j Z_ij² after the rotation Z of the first c eigenvectors
      that makes it least. Small is good; 1 is perfect. The usual choice is the largest c whose cost is close to the
      least.

    Raises
    ------
    ValueError : a bad affinity; candidates that are not several whole numbers; none, or one out of range

    Notes
    -----
    The "rotation cost" of SNFtool is fed vectors that were already made discrete and reduces to a ratio of eigenvalues;
    this one is the cost of the paper. SNFtool also multiplies the eigengap by (1 − λ_c) / (1 − λ_(c+1)).

    References
    ----------
    Zelnik-Manor & Perona 2004, NIPS 17; von Luxburg 2007, Statistics and Computing 17:395

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> centres = 4 * np.eye(3, 10).repeat(20, axis=0)
    >>> network = affinity_matrix(squared_distances(centres + rng.normal(size=(60, 10))), k=10)
    >>> int(estimate_clusters(network, [2, 3, 4, 5])["eigengap"].idxmax())
    3
    """
    network = _as_network(affinity, "affinity")
    if not isinstance(candidates, Iterable) or isinstance(candidates, str):
        raise ValueError(f"candidates must be several whole numbers, [2, 3, 4] for example; got {candidates!r}")
    numbers = [require_integer(candidate, "a candidate number of clusters", at_least=2) for candidate in candidates]
    if not numbers:
        raise ValueError("candidates must hold at least one number of clusters; got none")
    if max(numbers) >= len(network):
        raise ValueError(
            f"{max(numbers)} clusters cannot be judged with {len(network)} samples; candidates must be fewer"
        )
    values, vectors = _spectrum(network, max(numbers) + 1)
    return pd.DataFrame(
        {
            "eigengap": [values[number] - values[number - 1] for number in numbers],
            "rotation_cost": [_rotation_cost(vectors[:, :number]) for number in numbers],
        },
        index=pd.Index(numbers, name="n_clusters"),
    )


def propagate_labels(affinity: Any, labels: Any, *, balance_classes: bool = True) -> Any:
    """Give every unlabelled sample the class that its similar samples suggest.

    An unlabelled sample's score for a class is the weighted mean of its neighbours' scores (known ones are 1 or 0);
    solved for all at once. The class with the largest score wins.

    Parameters
    ----------
    affinity : (n_samples, n_samples) DataFrame or array, symmetric, not negative; the diagonal has no effect
    labels : (n_samples,) integers (array or Series); −1 means unknown
    balance_classes : bool
        Class-mass normalisation: before choosing, divide the scores of each class by their sum over the unlabelled
        samples, so that every class has the same mass. Without it the class with more labels wins nearly everywhere,
        because in a dense network all similarities differ little.

    Returns
    -------
    (n_samples,) integers like `labels`; known labels are kept

    Raises
    ------
    ValueError : a bad affinity; labels that are not integers or of another length; no known label; an unlabelled
        sample with no path to a labelled one

    Notes
    -----
    Zhu et al. give each class a mass proportional to its share of the labels. In a fused network, which is dense and
    flat, that lets the class with more labels win as before; equal masses do not.

    References
    ----------
    Zhu, Ghahramani & Lafferty 2003, ICML (harmonic functions; class-mass normalisation, section 4)

    Examples
    --------
    >>> chain = np.diag([1.0, 0.5, 1.0], 1) + np.diag([1.0, 0.5, 1.0], -1)
    >>> propagate_labels(chain, [0, -1, -1, 1])
    array([0, 0, 1, 1])
    """
    network = _as_network(affinity, "affinity")
    known = np.asarray(labels)
    if known.shape != (len(network),) or not np.issubdtype(known.dtype, np.integer) or known.min() < -1:
        raise ValueError(
            f"labels must be {len(network)} integers, one per sample and −1 for unknown; "
            f"got {known.dtype} of shape {known.shape}"
        )
    unlabelled = known == -1
    _, component = connected_components(network > 0)
    unreachable = ~np.isin(component, component[~unlabelled])
    if unreachable.any():
        raise ValueError(
            f"unlabelled samples without a path to a labelled one, by position: {np.flatnonzero(unreachable)}"
        )
    classes, class_of_known = np.unique(known[~unlabelled], return_inverse=True)
    indicator = np.eye(len(classes))[class_of_known]
    difference = np.asarray(laplacian(network))  # D − W, whatever stands on the diagonal of W
    to_known = network[np.ix_(unlabelled, ~unlabelled)]
    score = np.linalg.solve(difference[np.ix_(unlabelled, unlabelled)], to_known @ indicator)
    if balance_classes:
        mass = score.sum(axis=0)
        score = score / np.where(mass > 0, mass, 1)
    complete = known.copy()
    complete[unlabelled] = classes[score.argmax(axis=1)]
    return pd.Series(complete, index=labels.index) if isinstance(labels, pd.Series) else complete


def rank_features(
    layers: Any, clusters: Any, *, k: int = 20, mu: float = 0.5, rng: np.random.Generator
) -> pd.DataFrame:
    """Which features, each taken alone, group the samples as the clusters do?

    Each feature makes a network of its own; its spectral clusters are compared with `clusters` by normalised mutual
    information (NMI).

    Parameters
    ----------
    layers : dict or list of (n_samples, n_features) DataFrames or arrays; one layer is enough
    clusters : (n_samples,) array or Series, the clusters of the fused network. A Series is matched by label.
    k, mu : as for `affinity_matrix`
    rng : Generator for the clustering

    Returns
    -------
    DataFrame[layer, feature, nmi], best first; a feature that never varies has NMI 0

    Raises
    ------
    ValueError : layers with different samples; clusters of another length, or only one of them

    Notes
    -----
    The clusters were made from the same features: the NMI ranks them, it is no test of significance.

    References
    ----------
    SNFtool 2.3 `rankFeaturesByNMI` (NMI divided by the geometric mean of the entropies)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> group = np.repeat([0, 1], 15)
    >>> noise = rng.normal(size=(30, 3))
    >>> layers = {"a": np.column_stack([noise[:, 0], 9 * group + noise[:, 1]]), "b": noise[:, 2:]}
    >>> rank_features(layers, group, k=5, rng=rng).head(1)
      layer  feature  nmi
    0     a        1  1.0
    """
    named, samples = same_samples(layers, at_least=1)
    if isinstance(clusters, pd.Series) and samples is not None:
        if not samples.isin(clusters.index).all():
            raise ValueError(f"clusters lack {', '.join(map(str, samples[~samples.isin(clusters.index)][:5]))}")
        clusters = clusters.loc[samples]
    wanted = np.asarray(clusters)
    n_samples = len(next(iter(named.values())))
    if wanted.shape != (n_samples,):
        raise ValueError(f"clusters must be {n_samples} labels, one per sample; got shape {wanted.shape}")
    n_clusters = len(np.unique(wanted))
    if n_clusters < 2:
        raise ValueError("clusters has only one cluster; a feature can be ranked only by how it separates two or more")
    rows = []
    for name, layer in named.items():
        for feature, column in zip(labels(layer, 1), as_matrix(layer, str(name)).T, strict=True):
            nmi = 0.0
            if np.ptp(column) > 0:
                alone = affinity_matrix(squared_distances(column[:, None]), k, mu)
                found = spectral_clusters(alone, n_clusters, rng=rng)
                nmi = float(normalized_mutual_info_score(wanted, found, average_method="geometric"))
            rows.append((name, feature, nmi))
    ranked = pd.DataFrame(rows, columns=["layer", "feature", "nmi"])
    return ranked.sort_values("nmi", ascending=False, kind="stable", ignore_index=True)


class SNF(ClusterMixin, BaseEstimator):
    """Similarity network fusion as a scikit-learn clusterer.

    Parameters
    ----------
    n_clusters : int or None
        Number of clusters; None takes the number with the largest eigengap among 2 to 8.
    k, mu, n_iterations, variant : as for `affinity_matrix` and `fuse`
    random_state : int
        Seed of the clustering.

    Attributes
    ----------
    affinity_ : (n_samples, n_samples) DataFrame or array, the fused network
    labels_ : (n_samples,) Series or array of int, the clusters
    n_clusters_ : int

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> group = np.repeat([0, 1], 20)
    >>> layers = {name: rng.normal(size=(40, 5)) + 3 * group[:, None] for name in ["rna", "protein"]}
    >>> model = SNF(n_clusters=2, k=10).fit(layers)
    >>> bool((model.labels_[:20] == model.labels_[0]).all() and (model.labels_[20:] == model.labels_[-1]).all())
    True
    """

    def __init__(
        self,
        n_clusters: int | None = None,
        k: int = 20,
        mu: float = 0.5,
        n_iterations: int = 20,
        variant: str = "snftool",
        random_state: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.k = k
        self.mu = mu
        self.n_iterations = n_iterations
        self.variant = variant
        self.random_state = random_state

    def fit(self, layers: Any, y: Any = None) -> SNF:  # noqa: ARG002 (scikit-learn passes y)
        """Fuse the layers and cluster the samples.

        Parameters
        ----------
        layers : dict or list of (n_samples, n_features) DataFrames or arrays, without missing values
            DataFrames are matched by label; every sample must be in every layer.
        y : ignored

        Raises
        ------
        ValueError : a sample missing in a layer (the message says which), missing values, or a bad parameter
        """
        named, _ = same_samples(layers)
        for name, layer in named.items():
            as_matrix(layer, f"layer {name!r}")
        affinities = {name: affinity_matrix(squared_distances(layer), self.k, self.mu) for name, layer in named.items()}
        self.affinity_ = fuse(affinities, self.k, self.n_iterations, variant=self.variant)
        if self.n_clusters is None:
            fit_of_number = estimate_clusters(self.affinity_, range(2, min(9, len(self.affinity_))))
            self.n_clusters_ = int(fit_of_number.index[int(fit_of_number["eigengap"].argmax())])
        else:
            self.n_clusters_ = self.n_clusters
        rng = np.random.default_rng(self.random_state)
        self.labels_ = spectral_clusters(self.affinity_, self.n_clusters_, rng=rng)
        return self
