"""Pictures of a fused network: who is joined to whom, and the similarities in the order of the clusters.

Each picture answers one question, uses colours that colour-blind readers can tell apart (and a marker for each
cluster besides), and comes with its description in words: `describe_network`.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from reference_impl.integration.snf import _as_network, _spectrum, local_kernel

# Okabe & Ito 2008; colour and marker together name a cluster.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000"]
MARKERS = ["o", "^", "s", "D", "v", "P", "X", "*"]


def _checked(affinity: Any, clusters: Any) -> tuple[np.ndarray, np.ndarray]:
    network = _as_network(affinity, "affinity")
    found = np.asarray(clusters)
    if found.shape != (len(network),):
        raise ValueError(f"clusters must be {len(network)} labels, one per sample; got shape {found.shape}")
    return network, found


def describe_network(affinity: Any, clusters: Any) -> str:
    """What the pictures show, in one sentence: for alt text and for readers who do not see.

    Parameters
    ----------
    affinity : (n_samples, n_samples) DataFrame or array, the fused network
    clusters : (n_samples,) labels

    Raises
    ------
    ValueError : a bad affinity, or clusters of another length

    Examples
    --------
    >>> network = np.kron(np.eye(2), np.full((2, 2), 0.3)) + 0.1
    >>> describe_network(network, [0, 0, 1, 1])
    'Network of 4 samples in 2 clusters of 2 and 2; similarity within clusters is on average 4.0 times that between
    them.'
    """
    network, found = _checked(affinity, clusters)
    names, sizes = np.unique(found, return_counts=True)
    listed = [str(size) for size in sizes]
    together = ", ".join(listed[:-1]) + " and " + listed[-1] if len(listed) > 1 else listed[0]
    text = f"Network of {len(network)} samples in {len(names)} cluster{'s' if len(names) > 1 else ''} of {together}"
    same = found[:, None] == found
    within, between = network[same & ~np.eye(len(network), dtype=bool)], network[~same]
    if not within.size or not between.size or between.mean() == 0:
        return text + "."
    ratio = within.mean() / between.mean()
    return f"{text}; similarity within clusters is on average {ratio:.1f} times that between them."


def plot_network(
    affinity: Any, clusters: Any, *, neighbours: int = 4, ax: Axes | None = None, cluster_name: str = "cluster"
) -> Axes:
    """Who is joined to whom? Samples as points, joined to their most similar ones.

    Places are the second and third eigenvector of the normalised Laplacian: samples that are joined by many short
    ways lie close.

    Parameters
    ----------
    affinity : (n_samples, n_samples) DataFrame or array, the fused network; at least three samples
    clusters : (n_samples,) labels
    neighbours : int
        Lines per sample, to the most similar others.
    ax : matplotlib Axes, or None for a new figure
    cluster_name : str
        Word for a cluster in the legend.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError : a bad affinity, clusters of another length, or more neighbours than there are

    Examples
    --------
    >>> network = np.kron(np.eye(2), np.full((3, 3), 0.3)) + 0.1
    >>> len(plot_network(network, [0, 0, 0, 1, 1, 1], neighbours=1).get_legend().get_texts())
    2
    """
    network, found = _checked(affinity, clusters)
    _, vectors = _spectrum(network, 3)
    places = vectors[:, 1:] / np.sqrt(network.sum(axis=1, keepdims=True))
    np.fill_diagonal(network, network.max() + 1)  # a sample is always its own nearest neighbour
    edges = local_kernel(network, neighbours + 1).tocoo()
    first, second = edges.coords
    ax = plt.figure(figsize=(6, 5)).add_subplot() if ax is None else ax
    ax.add_collection(
        LineCollection([places[[i, j]] for i, j in zip(first, second, strict=True)], colors="0.6", lw=0.5, alpha=0.4)
    )
    for position, name in enumerate(np.unique(found)):
        members = found == name
        ax.scatter(
            places[members, 0],
            places[members, 1],
            s=28,
            color=COLOURS[position % len(COLOURS)],
            marker=MARKERS[position % len(MARKERS)],
            edgecolor="white",
            linewidth=0.5,
            label=f"{cluster_name} {name} (n = {members.sum()})",
            zorder=2,
        )
    ax.set(xlabel="eigenvector 2", ylabel="eigenvector 3", xticks=[], yticks=[])
    ax.legend(frameon=False)
    return ax


def plot_similarity(
    affinity: Any, clusters: Any, *, ax: Axes | None = None, similarity_name: str = "similarity"
) -> Axes:
    """Do the clusters stand out? The network as a heat map, samples ordered by cluster and, inside, by closeness to it.

    The diagonal is left white, and the colours end at the 99th percentile, so that a few twins do not hide the rest.

    Parameters
    ----------
    affinity : (n_samples, n_samples) DataFrame or array, the fused network
    clusters : (n_samples,) labels
    ax : matplotlib Axes, or None for a new figure
    similarity_name : str
        Label of the colour bar.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError : a bad affinity, or clusters of another length

    Examples
    --------
    >>> network = np.kron(np.eye(2), np.full((3, 3), 0.3)) + 0.1
    >>> plot_similarity(network, [0, 1, 0, 1, 0, 1]).get_ylabel()
    'samples, ordered by cluster'
    """
    network, found = _checked(affinity, clusters)
    np.fill_diagonal(network, 0)
    names, position = np.unique(found, return_inverse=True)
    closeness = np.array([row[found == name].sum() for row, name in zip(network, found, strict=True)])
    order = np.lexsort((-closeness, position))
    others = network[~np.eye(len(network), dtype=bool)]
    np.fill_diagonal(network, np.nan)
    ax = plt.figure(figsize=(6, 5)).add_subplot() if ax is None else ax
    image = ax.imshow(network[np.ix_(order, order)], cmap="viridis", vmin=0, vmax=np.quantile(others, 0.99))
    ends = np.cumsum(np.bincount(position))
    for end in ends[:-1]:
        ax.axhline(end - 0.5, color="white", lw=1)
        ax.axvline(end - 0.5, color="white", lw=1)
    middles = ends - np.bincount(position) / 2 - 0.5
    ax.set_xticks(middles, [str(name) for name in names])
    ax.set_yticks(middles, [str(name) for name in names])
    ax.set(xlabel="samples, ordered by cluster", ylabel="samples, ordered by cluster")
    ax.figure.colorbar(image, ax=ax, label=similarity_name)
    return ax
