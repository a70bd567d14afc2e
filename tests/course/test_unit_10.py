"""Unit 10's value exercise, and what its lesson says, on cohorts that are not the frozen one: a class draws its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from course import paths
from course.checking.runner import load_test_file
from course.simulation import simulate_cohort
from reference_impl.integration.jnmf import joint_nmf, match_parts, scale_layers, separate_nmf, weighted_update_step


def prepared(cohort):
    """The layers as the lesson prepares them: unit 12's tables, split into above and below the median."""
    tests = load_test_file(paths.hidden_tests("12_network_fusion"))
    layers = {}
    for name in tests.LAYERS:
        table = tests.prepared(cohort, name)
        centred = table - table.median()
        up, down = centred.clip(lower=0).add_suffix(" up"), (-centred).clip(lower=0).add_suffix(" down")
        layers[name] = pd.concat([up, down], axis=1)
    return layers


def shares(found):
    """How much of each part's squared weights a layer has: parts × layers."""
    return pd.DataFrame({name: (part**2).sum() for name, part in found.w.items()})


@pytest.mark.slow
@pytest.mark.parametrize("seed", [101, 102])
def test_the_parts_are_the_programmes_and_one_is_made_of_failed_libraries(seed):
    tests = load_test_file(paths.hidden_tests("10_joint_nmf"))
    cohort, truth = simulate_cohort(seed)
    layers = prepared(cohort)
    found = joint_nmf(scale_layers(layers), 4, rng=np.random.default_rng(0), n_starts=3, tolerance=1e-4)
    share = shares(found)
    home = share.idxmax()
    programmes = {name: found.w[name][home[name]].nlargest(20).index.tolist() for name in tests.DIRECTION}
    tests.test_features_of_the_programmes(programmes, truth)
    tests.test_directions_of_the_programmes(programmes)
    tests.test_number_of_features_found(programmes, truth)
    # "Three layers each have a part, and the fourth part lives almost wholly in RNA: failed libraries."
    assert home.nunique() == 4
    assert share["rna"].max() > 0.7
    failed = set(truth["failed_libraries"]["rna"])
    assert set(found.h[home["rna"]].nlargest(3).index) <= failed
    # "These three parts divide the patients among them": the largest of the three is the subtype.
    true = pd.Series(truth["subtype"]).loc[found.h.index]
    largest = found.h.drop(columns=home["rna"]).idxmax(axis=1)
    assert pd.crosstab(true, largest).max(axis=1).sum() > 0.9 * len(true)


@pytest.mark.slow
def test_what_the_lesson_says_about_scale_alignment_gaps_and_zero():
    cohort, _ = simulate_cohort(104)
    layers = prepared(cohort)
    scaled = scale_layers(layers)
    fit = {"rng": np.random.default_rng(0), "n_starts": 2, "tolerance": 1e-4}
    found = joint_nmf(scaled, 4, **fit)
    home = shares(found).idxmax()

    loud = shares(joint_nmf(layers, 4, **fit))
    assert (loud[["rna", "methylation"]].sum(axis=1) > 0.7).all()

    alone = separate_nmf(scaled, 4, **fit)
    for name in ("methylation", "protein", "metabolite"):
        _, cosine = match_parts(found.h, alone[name].h)
        assert found.h.columns[cosine.argmax()] == home[name]

    hidden = np.arange(len(found.h)) % 3 == 0
    tables = {name: table.to_numpy() for name, table in scaled.items()}
    gapped = tables | {"protein": np.where(hidden[:, None], np.nan, tables["protein"])}
    weights = {name: (~np.isnan(x).any(axis=1)).astype(float) for name, x in gapped.items()}
    filled, ones = (
        {name: np.nan_to_num(x) for name, x in gapped.items()},
        {name: np.ones(len(hidden)) for name in gapped},
    )
    column = found.h.columns.get_loc(home["methylation"])
    error = []
    for world, counts in [(gapped, weights), (filled, ones)]:
        h, w = found.h.to_numpy() + 0.01, {name: part.to_numpy() + 1e-4 for name, part in found.w.items()}
        h[hidden] = found.h.mean()
        for _ in range(60):
            h, w = weighted_update_step(world, h, w, counts)
        h = h * np.sqrt(sum((part**2).sum(axis=0) for part in w.values()))
        error.append(np.abs(h[hidden, column] - found.h.to_numpy()[hidden, column]).mean())
    assert error[0] < 0.7 * error[1]

    moved = {name: table + 4 * np.sqrt((table.to_numpy() ** 2).mean()) for name, table in scaled.items()}
    shifted = joint_nmf(scale_layers(moved), 4, rng=np.random.default_rng(0), n_starts=1, tolerance=1e-4)

    def alike(h):
        direction = h / np.linalg.norm(h, axis=0)
        return (direction.T @ direction).to_numpy()[np.triu_indices(4, 1)].mean()

    assert alike(found.h) < 0.4
    assert alike(shifted.h) > 0.7
