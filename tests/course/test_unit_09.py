"""Unit 09's value exercise, and what its lesson says, on cohorts that are not the frozen one: a class draws its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from course import paths
from course.checking.runner import load_test_file
from course.simulation import simulate_cohort
from reference_impl.integration.cca import (
    canonical_weights,
    feature_correlations,
    gram_whitening,
    multiset_cca,
    permutation_p_value,
    sparse_cca,
)
from reference_impl.integration.pls import pls_canonical

LAYERS = ["methylation", "rna", "protein", "metabolite"]


def prepared(cohort: Any, name: str) -> pd.DataFrame:
    """A layer as the lesson prepares it."""
    table = cohort.layers[name]
    if name == "methylation":
        table = np.log2(table / (1 - table))
    elif name == "rna":
        counts = table.loc[:, (cohort.features["rna"]["biotype"] != "spike_in").to_numpy()]
        counts = counts.loc[:, (counts >= 10).mean() >= 0.5] + 1
        table = np.log2(counts.div(counts.sum(axis=1), axis=0) * 1e6)
    else:
        table = np.log2(table.loc[:, table.notna().mean() >= 0.6])
        table = table.sub(table.median(axis=1), axis=0)
    table = table.fillna(table.min())
    table = table - table.groupby(cohort.samples[name]["batch"]).transform("mean")
    return table / table.std()


def absolute(first: Any, second: Any) -> float:
    return float(abs(np.corrcoef(np.asarray(first), np.asarray(second))[0, 1]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [101, 102])
def test_the_silencing_programme_is_found(seed: int) -> None:
    tests = load_test_file(paths.hidden_tests("09_cca_and_pls"))
    cohort, truth = simulate_cohort(seed)
    layers = {name: prepared(cohort, name) for name in LAYERS}
    both = layers["methylation"].index.intersection(layers["rna"].index)
    x, y = layers["methylation"].loc[both], layers["rna"].loc[both]
    pair = sparse_cca(x, y, 1, c_x=0.2, c_y=0.2)
    weights = pair.x_weights.iloc[:, 0], pair.y_weights.iloc[:, 0]
    silenced = tuple(one.index[one != 0].tolist() for one in weights)
    tests.test_methylated_by_the_programme(silenced, truth)
    tests.test_silenced_by_the_programme(silenced, truth)
    tests.test_methylation_goes_up_and_expression_down(silenced, cohort)
    subtype = pd.Series(truth["subtype"]).loc[both]
    assert absolute(pair.x_scores.iloc[:, 0], subtype == 0) > 0.8  # two groups, as the lesson's figure shows

    # A batch that both layers share becomes the first pair, and removing its means brings the programme back.
    rng = np.random.default_rng(5)
    week = rng.permutation(np.arange(len(both)) % 2)

    def with_week(table: pd.DataFrame) -> pd.DataFrame:
        hit = rng.random(table.shape[1]) < 1 / 3
        return table + 2 * np.outer(week, hit * rng.choice([-1, 1], table.shape[1]))

    spoiled = with_week(x), with_week(y)
    score = sparse_cca(*spoiled, 1, c_x=0.2, c_y=0.2).x_scores.iloc[:, 0]
    assert absolute(score, week) > 0.8
    cured = [table - table.groupby(week).transform("mean") for table in spoiled]
    score = sparse_cca(*cured, 1, c_x=0.2, c_y=0.2).x_scores.iloc[:, 0]
    assert absolute(score, pair.x_scores.iloc[:, 0]) > 0.9

    # The true pairs lie above all shuffles.
    white = [(t - t.mean()).to_numpy() for t in (x, y)]
    white = [t @ (t.T @ gram_whitening(t, 10.0)) for t in white]
    p_value, null = permutation_p_value(*white, n_permutations=19, rng=rng)
    assert p_value == 1 / 20
    assert np.linalg.svd(white[0].T @ white[1] / (len(both) - 1), compute_uv=False)[0] > null.max() + 0.02

    # CRP leads the clinical measures; canonical PLS finds the programme's CpGs and genes on opposite sides.
    measures = cohort.clinical.loc[layers["protein"].index, ["age", "bmi", "crp", "glucose"]]
    left, spreads, _ = np.linalg.svd(layers["protein"].to_numpy(), full_matrices=False)
    scores = measures.to_numpy() @ canonical_weights(measures.to_numpy(), left[:, :6] * spreads[:6])[0]
    assert feature_correlations(measures, scores)[0].abs().idxmax() == "crp"
    scores = pls_canonical(x, y, 2, scale=False).x_scores
    cpgs, genes = (feature_correlations(t[names], scores).mean() for t, names in zip((x, y), silenced, strict=True))
    assert cpgs @ genes < 0

    # MAXVAR of all layers: two scores tell the subtypes better than cases and controls.
    everywhere = sorted(set.intersection(*(set(table.index) for table in layers.values())))
    shared = multiset_cca({name: table.loc[everywhere] for name, table in layers.items()}, 2, ridge=10.0).shared

    def told(groups: Any) -> float:
        rest = shared - shared.groupby(np.asarray(groups)).transform("mean")
        return float(1 - (rest**2).to_numpy().sum() / (shared**2).to_numpy().sum())

    assert told(pd.Series(truth["subtype"]).loc[everywhere]) > told(cohort.clinical.loc[everywhere, "disease"]) + 0.15


@pytest.mark.slow
def test_noise_correlates_in_the_fitted_samples_only() -> None:
    """The curve of section 2: the first correlation climbs to 1, and is nothing in new samples."""
    rng = np.random.default_rng(2)
    for p, at_least in [(10, 0.5), (20, 0.75), (30, 0.999), (59, 0.999)]:
        old, new = rng.normal(size=(2, 60, p)), rng.normal(size=(2, 2000, p))
        u, v, correlations = canonical_weights(old[0], old[1])
        assert correlations[0] > at_least
        assert absolute(new[0] @ u[:, 0], new[1] @ v[:, 0]) < 0.12
