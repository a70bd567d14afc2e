"""Unit 13: what its lesson says and gives, held against the reference, and its value exercise on another cohort."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from course import paths
from course.checking.runner import load_test_file
from course.simulation import simulate_cohort
from reference_impl.integration import mvae
from reference_impl.integration.mvae.network import Batch, Network

UNIT = "13_multimodal_autoencoder"


@cache
def lesson() -> dict[str, Any]:
    """Functions that the lesson gives, on top of the reference's in place of the learner's."""
    notebook = json.loads(paths.solution_notebook(UNIT, "en").read_text(encoding="utf-8"))
    wanted = ("linear_world", "new_weights", "loss_and_gradient", "bound_of")
    names: dict[str, Any] = {"np": np, "pd": pd} | {name: getattr(mvae, name) for name in mvae.__all__}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and any(f"def {name}(" in source for name in wanted):
            functions, _, _ = source.partition("\n\nrng = ")  # what is drawn below them is not needed
            exec(compile(functions, cell["id"], "exec"), names)
    return names


def test_worlds_of_the_lesson_are_the_reference_s() -> None:
    for given, reference in [("linear_world", mvae.linear_layers), ("nonlinear_world", mvae.nonlinear_layers)]:
        ours = lesson()[given](30, np.random.default_rng(3))
        for name, table in reference(30, rng=np.random.default_rng(3)).items():
            assert_array_equal(ours[name], table)


@pytest.mark.parametrize("masked", [False, True])
def test_gradient_of_the_lesson_is_the_reference_s(masked: bool) -> None:
    """The lesson's short network is the reference's, with the same looks: joint, then each layer alone."""
    rng = np.random.default_rng(0)
    widths, n, latent = {"rna": 4, "protein": 3}, 5, 2
    tables = {name: rng.normal(size=(n, width)) for name, width in widths.items()}
    tables["protein"][0], tables["rna"][1, 2] = np.nan, np.nan
    masks = {name: (rng.random((latent, width)) < 0.6).astype(float) for name, width in widths.items()}
    weights = lesson()["new_weights"](widths, latent, 3, rng, masks if masked else None)
    network = Network(
        list(widths.values()),
        ["gaussian", "gaussian"],
        latent=latent,
        hidden=3,
        linear=masked,
        masks=[masks[name] for name in widths] if masked else None,
    )
    vector = np.zeros(network.n_parameters)
    for m, name in enumerate(widths):
        for part in {key.split(".")[1] for key in network.shapes}:
            network.parts(vector)[f"{m}.{part}"][:] = weights[name, part]
    gaps = [np.isnan(table) for table in tables.values()]
    inputs = [np.nan_to_num(table) for table in tables.values()]
    present = np.array([~gap.all(axis=1) for gap in gaps])
    batch = Batch(inputs, inputs, [(~gap).astype(float) for gap in gaps], [None, None], present)
    noise = np.random.default_rng(9).normal(size=(len(network.looks(batch).sample), latent))
    loss, gradient = network.loss_and_gradient(vector, batch, noise)
    options = {"masks": masks} if masked else {}
    given_loss, given = lesson()["loss_and_gradient"](weights, tables, np.random.default_rng(9), **options)
    assert_allclose(given_loss, loss, rtol=1e-12)
    for m, name in enumerate(widths):
        for part in {key.split(".")[1] for key in network.shapes}:
            assert_allclose(given[name, part], network.parts(gradient)[f"{m}.{part}"], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_metabolites_of_another_cohort_are_told() -> None:
    tests = load_test_file(paths.hidden_tests(UNIT))
    cohort, _ = simulate_cohort(101)
    metabolites = tests.prepared(cohort)
    hidden = metabolites.index[::3]
    layers = {"metabolite": metabolites.drop(index=hidden)}
    methylation = cohort.layers["methylation"]
    layers["methylation"] = np.log2(methylation / (1 - methylation))
    protein = np.log2(cohort.layers["protein"])
    layers["protein"] = protein.loc[:, protein.notna().mean() >= 0.6].sub(protein.median(axis=1), axis=0)
    counts = cohort.layers["rna"].loc[:, (cohort.features["rna"]["biotype"] != "spike_in").to_numpy()]
    counts = counts.loc[:, (counts >= 10).mean() >= 0.5] + 1
    layers["rna"] = np.log2(counts.div(counts.sum(axis=1), axis=0) * 1e6)
    for name in ("methylation", "protein", "rna"):
        table = layers[name].fillna(layers[name].min())
        layers[name] = table - table.groupby(cohort.samples[name]["batch"]).transform("mean")
    tables = {
        name: layers[name].reindex(cohort.patients).to_numpy()
        for name in ("methylation", "rna", "protein", "metabolite")
    }
    expected = lesson()["impute"](tables, "metabolite")
    imputed = pd.DataFrame(expected, index=cohort.patients, columns=metabolites.columns).loc[hidden]
    tests.test_several_metabolites_are_told(imputed, cohort)
    tests.test_nothing_was_peeked_at(imputed, cohort)
    tests.test_units_of_the_layer(imputed, cohort)
