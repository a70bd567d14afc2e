"""Pictures of two layers that agree: the correlation circle of features, and arrows between samples' two places.

`describe_pair` says in words what they show.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from reference_impl.integration.cca import feature_correlations
from reference_impl.validation import as_matrix, labels, require_integer, require_number, same_samples

# Okabe & Ito 2008; colour and marker together name a layer.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"]
MARKERS = ["o", "^", "s", "D", "v"]


def _two_components(table: Any, name: str) -> np.ndarray:
    matrix = as_matrix(table, name)
    if matrix.shape[1] < 2:
        raise ValueError(f"{name} has {matrix.shape[1]} component; a picture in the plane needs 2")
    return matrix[:, :2]


def plot_correlation_circle(
    layers: Any, scores: Any, *, at_least: float = 0.5, named: int = 0, ax: Axes | None = None
) -> Axes:
    """Which features is a pair of components about? Every feature at its correlations with the first two scores.

    A feature on the outer circle is told completely by the two scores; features of two layers that lie close together
    agree across samples, features on opposite sides disagree.

    Parameters
    ----------
    layers : dict or list of (n_samples, n_features) DataFrames or arrays
    scores : (n_samples, at least 2) DataFrame or array of the same samples, for example the mean of both layers' scores
    at_least : features whose correlations lie inside this radius are left out
    named : number of features of each layer, the outermost, whose names are written
    ax : matplotlib Axes, or None for a new figure

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError : different samples, fewer than 2 scores, a radius outside 0 to 1

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scores = rng.normal(size=(30, 2))
    >>> ax = plot_correlation_circle({"rna": scores + rng.normal(size=(30, 2)), "protein": scores}, scores)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['rna (2 of 2)', 'protein (2 of 2)']
    """
    tables, _ = same_samples(layers, at_least=1)
    require_number(at_least, "at_least", low=0, high=1)
    require_integer(named, "named", at_least=0)
    _two_components(scores, "scores")
    ax = plt.figure(figsize=(5.5, 5.5)).add_subplot() if ax is None else ax
    for radius in (0.5, 1.0):
        ax.add_patch(Circle((0, 0), radius, fill=False, edgecolor="0.6", linewidth=0.8))
    for position, (name, table) in enumerate(tables.items()):
        places = np.asarray(feature_correlations(table, scores))[:, :2]
        radius = np.nan_to_num(np.hypot(*places.T))
        shown = radius >= at_least
        ax.scatter(
            places[shown, 0],
            places[shown, 1],
            s=16,
            alpha=0.7,
            color=COLOURS[position % len(COLOURS)],
            marker=MARKERS[position % len(MARKERS)],
            label=f"{name} ({shown.sum()} of {len(shown)})",
        )
        names = labels(table, 1).tolist()
        for feature in [f for f in np.argsort(-radius)[:named] if shown[f]]:
            ax.annotate(str(names[feature]), places[feature], fontsize=7, xytext=(3, 3), textcoords="offset points")
    ax.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")
    ax.set(xlabel="correlation with score 1", ylabel="correlation with score 2")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def plot_arrows(x_scores: Any, y_scores: Any, *, ax: Axes | None = None) -> Axes:
    """In which samples do the layers disagree? An arrow for every sample, from its place in one layer to the other's.

    Both layers' scores are divided by their standard deviations. Short arrows: the layers agree about the sample; a
    long one marks a sample that the pair does not describe, or one whose tubes were exchanged.

    Parameters
    ----------
    x_scores, y_scores : (n_samples, at least 2) DataFrames or arrays of the same samples
    ax : matplotlib Axes, or None for a new figure

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError : different samples, fewer than 2 scores

    Examples
    --------
    >>> scores = np.random.default_rng(0).normal(size=(10, 2))
    >>> len(plot_arrows(scores, scores + 0.1).collections[0].get_offsets())
    10
    """
    tables, _ = same_samples({"x_scores": x_scores, "y_scores": y_scores})
    start, end = (_two_components(table, name) for name, table in tables.items())
    start, end = (scores / scores.std(axis=0, ddof=1) for scores in (start, end))
    ax = plt.figure(figsize=(5.5, 5)).add_subplot() if ax is None else ax
    ax.scatter(start[:, 0], start[:, 1], s=14, color=COLOURS[0], marker=MARKERS[0], label="first layer", zorder=2)
    along = end - start
    ax.quiver(*start.T, *along.T, angles="xy", scale_units="xy", scale=1, width=0.003, color=COLOURS[1], alpha=0.7)
    ax.scatter(
        end[:, 0],
        end[:, 1],
        s=10,
        color=COLOURS[1],
        marker=MARKERS[1],
        label="second layer (end of the arrow)",
        zorder=2,
    )
    ax.set(xlabel="score 1 (standard deviations)", ylabel="score 2 (standard deviations)")
    ax.legend(frameon=False)
    return ax


def describe_pair(x_scores: Any, y_scores: Any) -> str:
    """What the arrows show, in one sentence: for alt text and for readers who do not see.

    Parameters
    ----------
    x_scores, y_scores : (n_samples, n_components) DataFrames or arrays of the same samples

    Raises
    ------
    ValueError : different samples, or a score that never varies

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> describe_pair(x, np.array([[1.0], [2.0], [4.0], [3.0]]))
    '4 samples, 1 pair of scores with a correlation of 0.80; the layers are furthest apart for sample 2.'
    """
    tables, _ = same_samples({"x_scores": x_scores, "y_scores": y_scores})
    first, second = (as_matrix(table, name) for name, table in tables.items())
    standard = []
    for name, scores in zip(tables, (first, second), strict=True):
        if not np.ptp(scores, axis=0).all():
            raise ValueError(f"component {int(np.argmin(np.ptp(scores, axis=0)))} of {name} never varies")
        standard.append((scores - scores.mean(axis=0)) / scores.std(axis=0, ddof=1))
    correlations = (standard[0] * standard[1]).sum(axis=0) / (len(first) - 1)
    listed = ", ".join(f"{correlation:.2f}" for correlation in correlations)
    furthest = labels(tables["x_scores"], 0)[int(np.linalg.norm(standard[0] - standard[1], axis=1).argmax())]
    pairs = f"{len(correlations)} pair{'s' if len(correlations) > 1 else ''} of scores"
    agreement = f"with {'correlations' if len(correlations) > 1 else 'a correlation'} of {listed}"
    return f"{len(first)} samples, {pairs} {agreement}; the layers are furthest apart for sample {furthest}."
