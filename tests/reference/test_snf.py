"""Similarity network fusion: against the originals, against small cases by hand, and the properties it must have."""

from __future__ import annotations

import re
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from scipy.spatial.distance import pdist, squareform
from scipy.stats import norm
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from reference_impl.integration import snf
from reference_impl.integration.snf import (
    SNF,
    affinity_matrix,
    estimate_clusters,
    full_kernel,
    fuse,
    local_kernel,
    propagate_labels,
    rank_features,
    spectral_clusters,
    squared_distances,
)
from reference_impl.integration.snf_plots import describe_network, plot_network, plot_similarity

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "snf" / "snf.npz")


def planted(rng, *, sizes=(30, 25, 20), n_features=20, shift=1.5):
    """Three layers; each separates only one group from the rest, so that only together they show all three."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    layers = {}
    for own, name in enumerate(["rna", "protein", "methylation"]):
        layers[name] = rng.normal(size=(len(group), n_features)) + shift * (group == own)[:, None]
    return layers, group


def networks(rng, **options):
    layers, group = planted(rng, **options)
    return {name: affinity_matrix(squared_distances(x), k=10) for name, x in layers.items()}, group


# --- The original implementations ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden_affinities():
    return [affinity_matrix(squared_distances(GOLDEN[f"layer{i}"]), k=20, mu=0.5) for i in (1, 2, 3)]


def test_affinity_equals_snftool(golden_affinities):
    assert_allclose(golden_affinities[0], GOLDEN["affinity_layer1_k20_mu05"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("variant", ["snftool", "snfpy"])
def test_fusion_equals_the_original(golden_affinities, variant):
    fused = fuse(golden_affinities, k=20, n_iterations=20, variant=variant)
    assert_allclose(fused, GOLDEN[f"fused_{variant}_k20_t20"], rtol=0, atol=1e-9)


def test_the_variants_differ_as_documented(golden_affinities):
    difference = np.abs(fuse(golden_affinities) - fuse(golden_affinities, variant="snfpy")).max()
    assert 0.05 < difference < 0.08


# --- By hand ---------------------------------------------------------------------------------------------------------


def test_distances_equal_a_loop_over_pairs():
    x = np.random.default_rng(1).normal(5, 3, size=(30, 12)) * np.arange(1, 13)
    z = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    assert_allclose(squared_distances(x), squareform(pdist(z, "sqeuclidean")), rtol=1e-10, atol=1e-10)
    raw = squareform(pdist(x, "sqeuclidean"))
    assert_allclose(squared_distances(x, standardize=False), raw, rtol=1e-10, atol=1e-9)


def test_a_far_origin_does_not_cost_digits():
    x = np.random.default_rng(2).normal(size=(10, 3))
    assert_allclose(
        squared_distances(x + 1e6, standardize=False), squareform(pdist(x, "sqeuclidean")), rtol=1e-7
    )  # 1e6 + x itself has lost 10 of 16 digits


def test_identical_samples_have_distance_zero_and_constant_features_none():
    x = np.random.default_rng(3).normal(size=(6, 40))
    x[3] = x[0]
    x[:, 5] = 0.1
    distances = squared_distances(x)
    assert distances[0, 3] == distances[3, 0] == 0
    assert_allclose(distances, squared_distances(np.delete(x, 5, axis=1)))


def test_affinity_by_the_normal_density():
    distances = squared_distances(np.random.default_rng(4).normal(size=(9, 4)))
    nearest = np.sort(distances, axis=1)[:, 1:4].mean(axis=1)
    scale = (nearest[:, None] + nearest + distances) / 3
    assert_allclose(affinity_matrix(distances, k=3, mu=0.7), norm.pdf(distances, 0, 0.7 * scale), rtol=1e-12)


def test_kernels_of_three_samples():
    full = full_kernel([[7.0, 3.0, 1.0], [3.0, 0.0, 2.0], [1.0, 2.0, 5.0]])
    # rows before symmetry: 3/8, 1/8 · 3/10, 2/10 · 1/6, 2/6
    expected = np.array([[1 / 2, 27 / 80, 7 / 48], [27 / 80, 1 / 2, 4 / 15], [7 / 48, 4 / 15, 1 / 2]])
    assert_allclose(full, expected)
    local = local_kernel(full, k=2).toarray()
    assert_allclose(local[2], [0, (4 / 15) / (4 / 15 + 1 / 2), (1 / 2) / (4 / 15 + 1 / 2)])


def test_fusion_by_dense_products():
    affinities, _ = networks(np.random.default_rng(5))
    affinities["metabolite"] = affinity_matrix(squared_distances(np.random.default_rng(6).normal(size=(75, 5))), k=10)
    states = [full_kernel(a) for a in affinities.values()]
    kernels = [local_kernel(p, 8).toarray() for p in states]
    for _ in range(3):
        means = [np.mean([p for w, p in enumerate(states) if w != v], axis=0) for v in range(len(states))]
        states = [full_kernel(s @ m @ s.T) for s, m in zip(kernels, means, strict=True)]
    assert_allclose(fuse(affinities, k=8, n_iterations=3), full_kernel(np.mean(states, axis=0)), rtol=0, atol=1e-13)


def test_without_iterations_the_networks_are_averaged():
    affinities, _ = networks(np.random.default_rng(7))
    mean = np.mean([full_kernel(a) for a in affinities.values()], axis=0)
    assert_allclose(fuse(affinities, k=8, n_iterations=0), full_kernel(mean), atol=1e-14)


@pytest.mark.parametrize("n_samples", [snf.PANEL - 1, snf.PANEL, 2 * snf.PANEL + 1])
def test_panels_of_any_remainder(n_samples):
    rng = np.random.default_rng(8)
    affinities = [affinity_matrix(squared_distances(rng.normal(size=(n_samples, 6))), k=5) for _ in range(2)]
    p, q = (full_kernel(a) for a in affinities)
    s, t = local_kernel(p, 5).toarray(), local_kernel(q, 5).toarray()
    expected = full_kernel((full_kernel(s @ q @ s.T) + full_kernel(t @ p @ t.T)) / 2)
    assert_allclose(fuse(affinities, k=5, n_iterations=1), expected, atol=1e-14)


# --- Properties ------------------------------------------------------------------------------------------------------


def test_kernels_are_shares():
    affinities, _ = networks(np.random.default_rng(9))
    full = full_kernel(affinities["rna"])
    assert_array_equal(full.diagonal(), 0.5)
    assert_allclose(full, full.T)
    assert_allclose(full.sum(), len(full))
    assert_allclose(full, full_kernel(10 * affinities["rna"]))
    local = local_kernel(full, k=7)
    assert isinstance(local, csr_array)
    assert_array_equal(np.diff(local.indptr), 7)
    assert local.has_sorted_indices
    assert_allclose(local.sum(axis=1), 1)
    assert (local.diagonal() > 0).all()


@pytest.mark.parametrize("variant", ["snftool", "snfpy"])
def test_fusion_is_symmetric_and_follows_the_order_of_samples(variant):
    rng = np.random.default_rng(10)
    affinities, _ = networks(rng)
    fused = fuse(affinities, k=10, variant=variant)
    assert_allclose(fused, fused.T, rtol=1e-12)  # sums in another order
    order = rng.permutation(len(fused))
    moved = fuse({name: a[np.ix_(order, order)] for name, a in affinities.items()}, k=10, variant=variant)
    assert_allclose(moved, fused[np.ix_(order, order)], atol=1e-12)


def test_the_order_of_layers_does_not_matter():
    affinities, _ = networks(np.random.default_rng(23))
    results = [fuse([affinities[name] for name in order], k=6) for order in permutations(affinities)]
    for result in results[1:]:
        assert_allclose(result, results[0], atol=1e-12)


def test_identical_samples_do_not_break_anything():
    rng = np.random.default_rng(11)
    layers, _ = planted(rng)
    for x in layers.values():
        x[:12] = x[0]  # more twins than neighbours: their local scale is 0
    model = SNF(n_clusters=2, k=6).fit(layers)
    assert np.isfinite(model.affinity_).all()
    assert len(set(model.labels_[:12])) == 1


def test_inputs_are_not_changed():
    affinities, group = networks(np.random.default_rng(12))
    a = affinities["rna"]
    labels = np.where(np.arange(len(group)) % 3, -1, group)
    before = [a.copy(), labels.copy(), {name: x.copy() for name, x in affinities.items()}]
    full_kernel(a), local_kernel(a, 5), fuse(affinities, k=5), estimate_clusters(a, [2])
    spectral_clusters(a, 2, rng=np.random.default_rng(0)), propagate_labels(a, labels), affinity_matrix(a + 1, 3)
    describe_network(a, group)
    assert_array_equal(a, before[0])
    assert_array_equal(labels, before[1])
    for name, x in affinities.items():
        assert_array_equal(x, before[2][name])


def test_labels_of_samples_are_kept():
    rng = np.random.default_rng(13)
    arrays, _ = planted(rng)
    samples = [f"P{i:03d}" for i in range(75)]
    layers = {name: pd.DataFrame(x, index=samples) for name, x in arrays.items()}
    layers["protein"] = layers["protein"].loc[rng.permutation(samples)]  # another order is no obstacle
    model = SNF(n_clusters=3, k=10).fit(layers)
    assert list(model.affinity_.index) == list(model.affinity_.columns) == list(model.labels_.index) == samples
    plain = SNF(n_clusters=3, k=10).fit(arrays)
    assert_allclose(model.affinity_, plain.affinity_, atol=1e-12)
    assert_array_equal(model.labels_, plain.labels_)
    assert list(squared_distances(layers["rna"]).columns) == samples
    frames = {name: affinity_matrix(squared_distances(x), k=10) for name, x in layers.items()}
    assert_allclose(fuse(frames, k=10), model.affinity_, atol=1e-12)
    known = pd.Series(-1, index=samples)
    known.iloc[[0, 40, 70]] = [0, 1, 2]
    assert list(propagate_labels(model.affinity_, known).index) == samples


# --- What it is for --------------------------------------------------------------------------------------------------


def test_fusion_finds_groups_that_no_layer_shows():
    rng = np.random.default_rng(14)
    layers, group = planted(rng)
    model = SNF(n_clusters=3, k=15).fit(layers)
    assert adjusted_rand_score(group, model.labels_) > 0.95
    for x in layers.values():
        alone = full_kernel(affinity_matrix(squared_distances(x), k=15))
        assert adjusted_rand_score(group, spectral_clusters(alone, 3, rng=rng)) < 0.75


@pytest.mark.parametrize("n_groups", [2, 3, 5])
def test_the_number_of_groups_is_found_by_both_measures(n_groups):
    rng = np.random.default_rng(15)
    centres = 3 * rng.normal(size=(n_groups, 8)).repeat(30, axis=0)
    layers = [centres + rng.normal(size=centres.shape) for _ in range(2)]
    fused = SNF(n_clusters=n_groups).fit(layers).affinity_
    found = estimate_clusters(fused)
    assert found["eigengap"].idxmax() == n_groups
    best = found["rotation_cost"].min()
    assert max(found.index[found["rotation_cost"] < best + 0.01]) == n_groups  # ties: the largest number
    assert SNF().fit(layers).n_clusters_ == n_groups


def test_rotation_cost_is_the_least_over_all_rotations():
    rng = np.random.default_rng(16)
    for _ in range(5):
        vectors = np.linalg.qr(rng.normal(size=(25, 2)))[0]
        angles = np.linspace(0, np.pi / 2, 5001)
        turns = ([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] for a in angles)
        least = min(snf._alignment_cost(vectors @ np.array(turn)) for turn in turns)
        assert_allclose(snf._rotation_cost(vectors), least, rtol=1e-4)  # the grid's step
    groups = np.eye(6).repeat(5, axis=0)
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert_allclose(snf._rotation_cost(groups @ rotation), 1, atol=1e-6)


def test_propagation_by_hand():
    # a chain 0 — 1 — 2 — 3 with ends known: scores of the inner ones are 2/3 and 1/3
    chain = np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)
    for balance in (True, False):
        assert_array_equal(propagate_labels(chain, [4, -1, -1, 7], balance_classes=balance), [4, 4, 7, 7])
    assert_array_equal(propagate_labels(chain, [1, 0, 2, 2]), [1, 0, 2, 2])


@pytest.mark.parametrize("seed", range(5))
def test_class_masses_save_the_class_with_few_labels(seed):
    rng = np.random.default_rng(seed)
    group = np.repeat([0, 1], [80, 20])
    layers = [rng.normal(size=(100, 10)) + group[:, None] for _ in range(2)]
    network = fuse([affinity_matrix(squared_distances(x)) for x in layers])
    known = np.full(100, -1)
    known[:40], known[80:84] = 0, 1
    hidden = known == -1
    plain, balanced = (propagate_labels(network, known, balance_classes=b)[hidden] for b in (False, True))
    smaller = group[hidden] == 1
    assert (plain[smaller] == 1).mean() < 0.1
    assert (balanced[smaller] == 1).mean() > 0.8
    assert (balanced == group[hidden]).mean() > 0.85


def test_ranking_puts_the_planted_features_first():
    rng = np.random.default_rng(18)
    group = np.repeat([0, 1, 2], 20)
    layers = {name: pd.DataFrame(rng.normal(size=(60, 4)), columns=list("abcd")) for name in ["rna", "protein"]}
    layers["rna"]["c"] += 8 * group
    layers["protein"]["a"] += 8 * (2 - group)
    layers["protein"]["d"] = 1.0
    ranked = rank_features(layers, pd.Series(group), rng=rng)
    assert list(ranked.columns) == ["layer", "feature", "nmi"]
    assert {tuple(row) for row in ranked[["layer", "feature"]].to_numpy()[:2]} == {("rna", "c"), ("protein", "a")}
    assert ranked["nmi"].is_monotonic_decreasing
    assert ranked["nmi"].between(0, 1 + 1e-12).all()
    assert ranked.query("layer == 'protein' and feature == 'd'")["nmi"].item() == 0


def test_ranking_needs_no_second_layer():
    rng = np.random.default_rng(24)
    group = np.repeat([0, 1], 15)
    layer = np.column_stack([rng.normal(size=30), 9 * group + rng.normal(size=30)])
    ranked = rank_features([layer], group, k=5, rng=rng)
    assert list(ranked["feature"]) == [1, 0]
    assert ranked["nmi"][0] == pytest.approx(1)


def test_same_seed_same_clusters():
    layers, _ = planted(np.random.default_rng(19))
    assert_array_equal(SNF(3, random_state=4).fit(layers).labels_, SNF(3, random_state=4).fit_predict(layers))


# --- scikit-learn's conventions --------------------------------------------------------------------------------------


def test_estimator_follows_scikit_learn():
    model = SNF(n_clusters=4, k=7, mu=0.4, n_iterations=5, variant="snfpy", random_state=3)
    expected = {"n_clusters": 4, "k": 7, "mu": 0.4, "n_iterations": 5, "variant": "snfpy", "random_state": 3}
    assert model.get_params() == clone(model).get_params() == expected
    assert clone(model).set_params(k=9).k == 9
    assert not hasattr(model, "labels_")
    layers, _ = planted(np.random.default_rng(20))
    assert model.fit(layers, y=None) is model
    assert model.labels_.dtype.kind == "i"


# --- Bad input -------------------------------------------------------------------------------------------------------

FOUR = np.ones((4, 4))


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: squared_distances([[1.0, np.nan], [0.0, 1.0]]), "missing value"),
        (lambda: squared_distances([[1.0, 2.0]]), "at least 2"),
        (lambda: squared_distances([1.0, 2.0]), "shape"),
        (lambda: affinity_matrix(FOUR, k=4), "only 3 other samples"),
        (lambda: affinity_matrix(FOUR, k=0), "at least 1"),
        (lambda: affinity_matrix(FOUR, k=2, mu=0), "mu must lie strictly between 0 and inf"),
        (lambda: affinity_matrix(FOUR, k=2, mu=-1), "mu"),
        (lambda: affinity_matrix(-FOUR, k=2), "negative"),
        (lambda: affinity_matrix(np.ones((3, 4)), k=2), "samples × samples"),
        (lambda: full_kernel(np.triu(FOUR)), "symmetric"),
        (lambda: full_kernel(FOUR * np.nan), "missing"),
        (lambda: local_kernel(FOUR, k=5), "only 4 samples"),
        (lambda: local_kernel(FOUR, k=2.0), "whole number"),
        (lambda: fuse([FOUR], k=2), "at least 2 layers"),
        (lambda: fuse({}, k=2), "at least 2 layers"),
        (lambda: fuse(FOUR, k=2), "dict"),
        (lambda: fuse([FOUR, np.ones((3, 3))], k=2), "layer 1 has 3"),
        (lambda: fuse([FOUR, FOUR], k=5), "only 4 samples"),
        (lambda: fuse([FOUR, FOUR], k=2, n_iterations=-1), "n_iterations"),
        (lambda: fuse([FOUR, FOUR], k=2, variant="python"), "variant"),
        (lambda: fuse([pd.DataFrame(FOUR), FOUR], k=2), "all DataFrames or all arrays"),
        (lambda: spectral_clusters(FOUR, 5, rng=np.random.default_rng(0)), "from 1 to 4"),
        (lambda: spectral_clusters(FOUR, 2, rng=0), "Generator"),
        (lambda: spectral_clusters(np.zeros((4, 4)), 2, rng=np.random.default_rng(0)), "resembles nobody"),
        (lambda: estimate_clusters(FOUR, []), "at least one"),
        (lambda: estimate_clusters(FOUR, 2), "candidates must be several whole numbers.*got 2"),
        (lambda: estimate_clusters(FOUR, "23"), "candidates must be several whole numbers.*got '23'"),
        (lambda: rank_features([], [0, 1], k=2, rng=np.random.default_rng(0)), "at least 1 layer "),
        (lambda: estimate_clusters(FOUR, [4]), "4 samples"),
        (lambda: estimate_clusters(FOUR, [1]), "at least 2"),
        (lambda: propagate_labels(FOUR, [0, 1, -1]), "4 integers"),
        (lambda: propagate_labels(FOUR, [0.0, 1.0, -1.0, -1.0]), "integers"),
        (lambda: propagate_labels(FOUR, [-1] * 4), r"\[0 1 2 3\]"),
        (lambda: propagate_labels(np.eye(4), [0, 1, -1, -1]), r"position: \[2 3\]"),
        (lambda: rank_features([FOUR, FOUR], [0, 0, 0, 0], k=2, rng=np.random.default_rng(0)), "only one cluster"),
        (lambda: rank_features([FOUR, FOUR], [0, 1], k=2, rng=np.random.default_rng(0)), "4 labels"),
        (lambda: SNF(k=2).fit({"rna": FOUR, "protein": FOUR * np.inf}), "'protein'"),
        (lambda: plot_similarity(FOUR, [0, 1]), "4 labels"),
        (lambda: plot_network(FOUR, [0, 1, 0, 1], neighbours=4), "k = 5"),
    ],
)
def test_bad_input_is_named(work, message):
    with pytest.raises(ValueError, match=message):
        work()


def test_missing_samples_are_named_with_their_layer():
    layers, _ = planted(np.random.default_rng(21))
    tables = {name: pd.DataFrame(x, index=[f"P{i:03d}" for i in range(75)]) for name, x in layers.items()}
    tables["protein"] = tables["protein"].drop(["P004", "P017"])
    with pytest.raises(ValueError, match=re.escape("protein lacks 2: P004, P017")):
        SNF(k=5).fit(tables)
    tables["protein"] = pd.concat([tables["rna"].iloc[:1], tables["rna"]])
    with pytest.raises(ValueError, match="protein has the row label 'P000' twice"):
        SNF(k=5).fit(tables)


def test_columns_that_are_not_the_samples_are_named():
    labels = ["P1", "P2", "P3", "P4"]
    network = pd.DataFrame(FOUR, index=labels, columns=labels)
    other = network.rename(columns={"P2": "Q2", "P4": "Q4"})
    with pytest.raises(ValueError, match=re.escape("rna must have the same samples in rows and columns")) as caught:
        fuse({"protein": network, "rna": other}, k=2)
    assert str(caught.value).endswith("its columns lack P2, P4")
    wider = network.assign(Q5=1.0)
    with pytest.raises(ValueError, match=r"its columns have besides Q5$"):
        fuse({"protein": network, "rna": wider}, k=2)


# --- Pictures --------------------------------------------------------------------------------------------------------


def test_pictures_are_labelled_and_described():
    layers, _ = planted(np.random.default_rng(22))
    model = SNF(n_clusters=3, k=10).fit(layers)
    network = plot_network(model.affinity_, model.labels_)
    assert len(network.get_legend().get_texts()) == 3
    assert network.get_xlabel()
    assert network.get_ylabel()
    heat = plot_similarity(model.affinity_, model.labels_)
    shown = np.ma.filled(heat.get_images()[0].get_array().astype(float), np.nan)
    assert np.isnan(shown.diagonal()).all()
    sizes = np.bincount(model.labels_)
    inside = np.nanmean(shown[: sizes[0], : sizes[0]])
    assert inside > 1.3 * np.nanmean(shown[: sizes[0], sizes[0] :])
    assert "75 samples in 3 clusters" in describe_network(model.affinity_, model.labels_)
