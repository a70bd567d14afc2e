"""Multi-omics factor analysis: each step against a closed form, the whole against planted factors and mofapy2."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from reference_impl.integration.mofa import (
    MOFA,
    Beta,
    Gamma,
    Weights,
    expected_residual,
    factor_evidence,
    factor_posterior,
    gamma_divergence,
    noise_posterior,
    relevance_posterior,
    sparsity_posterior,
    variance_explained,
    varimax,
    weight_posterior,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "mofa" / "golden.npz"
ACTIVE = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 0, 0], [1, 0, 1, 0, 1]], dtype=bool)  # layers × factors


def planted(seed: int, *, n: int = 150, lacking: float = 0.0, gaps: float = 0.0) -> tuple[dict[str, Any], np.ndarray]:
    """Three layers made of five factors, and the factors; some samples lack the third layer, some values the first."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 5))
    samples = [f"P{i:03d}" for i in range(n)]
    layers = {}
    for name, width, active in zip(("rna", "protein", "metabolite"), (300, 200, 120), ACTIVE, strict=True):
        weights = rng.normal(size=(width, 5)) * (rng.random((width, 5)) < 0.5) * active
        values = factors @ weights.T + rng.normal(size=(n, width)) * rng.uniform(0.5, 1.5, size=width)
        layers[name] = pd.DataFrame(values, index=samples, columns=[f"{name}{j}" for j in range(width)])
    if lacking:
        layers["metabolite"] = layers["metabolite"].drop(index=rng.choice(samples, int(n * lacking), replace=False))
    if gaps:
        layers["rna"] = layers["rna"].mask(rng.random(layers["rna"].shape) < gaps)
    return layers, factors


def matched(model: MOFA, factors: np.ndarray) -> np.ndarray:
    """For each planted factor, the number of the found one that follows it most."""
    k = model.n_factors_
    return np.abs(np.corrcoef(np.asarray(model.factors_).T, factors.T)[:k, k:]).argmax(axis=0)


def certain(value: float) -> Gamma:
    """A precision that is as good as known."""
    return Gamma(np.array([1e12 * value]), np.array([1e12]))


# --- Steps -----------------------------------------------------------------------------------------------------------


def test_factors_are_the_exact_posterior_when_the_weights_are_known() -> None:
    """Closed form: conditioning a joint normal distribution of factors and values."""
    rng = np.random.default_rng(1)
    weights, noise = rng.normal(size=(7, 2)), rng.uniform(0.5, 3, size=7)
    values = rng.normal(size=(4, 7))
    halves = [slice(0, 3), slice(3, 7)]  # two layers, both measured in every sample but the last
    known = [Weights(weights[half], np.zeros_like(weights[half]), np.ones_like(weights[half])) for half in halves]
    told = [factor_evidence(values[:, h], w, noise[h]) for h, w in zip(halves, known, strict=True)]
    present = np.array([[True] * 4, [True, True, True, False]])
    mean, covariance = factor_posterior(
        np.array([precision for precision, _ in told]), np.array([signal for _, signal in told]), present
    )
    for rows, seen in [(slice(0, 3), slice(0, 7)), (slice(3, 4), halves[0])]:
        together = weights[seen] @ weights[seen].T + np.diag(1 / noise[seen])
        gain = np.linalg.solve(together, weights[seen])
        assert_allclose(mean[rows], values[rows, seen] @ gain, rtol=1e-12)
        for each in covariance[rows]:
            assert_allclose(each, np.eye(2) - weights[seen].T @ gain, atol=1e-12)


def test_a_sample_without_any_layer_has_the_prior() -> None:
    mean, covariance = factor_posterior(np.full((1, 2, 2), 9.0), np.full((1, 3, 2), np.nan), np.zeros((1, 3), bool))
    assert_allclose(mean, 0)
    assert_allclose(covariance, np.repeat(np.eye(2)[None], 3, axis=0))


@pytest.mark.parametrize("strength", [0.0, 0.2, 1.0])
def test_weights_are_the_exact_posterior_with_one_known_factor(strength: float) -> None:
    """Closed form: with one factor, known, the odds of a weight are the ratio of two marginal likelihoods."""
    rng = np.random.default_rng(2)
    z = rng.normal(size=(15, 1))
    y = strength * z[:, 0] + rng.normal(size=15) / np.sqrt(2.0)
    odds = Beta(np.array([1e9]), np.array([3e9]))  # θ = 1/4, as good as known
    start = Weights(np.zeros((1, 1)), np.ones((1, 1)), np.ones((1, 1)))
    found = weight_posterior((y @ z)[None], z.T @ z, np.array([2.0]), certain(0.7), odds, start)
    on = multivariate_normal(cov=np.eye(15) / 2 + z @ z.T / 0.7).logpdf(y)
    off = multivariate_normal(cov=np.eye(15) / 2).logpdf(y)
    assert_allclose(found.inclusion[0, 0], 1 / (1 + 3 * np.exp(off - on)), rtol=1e-6)  # rtol: θ and α nearly known
    assert_allclose(found.slab_variance[0, 0], 1 / (2 * (z**2).sum() + 0.7), rtol=1e-9)
    assert_allclose(found.slab_mean[0, 0], 2 * (y @ z)[0] * found.slab_variance[0, 0], rtol=1e-9)


def test_a_weight_is_judged_by_what_the_other_factors_leave() -> None:
    """Two factors that are one: the first takes all, the second finds nothing left."""
    z = np.repeat(np.random.default_rng(3).normal(size=(50, 1)), 2, axis=1)
    y = 3 * z[:, :1]
    start = Weights(np.zeros((1, 2)), np.ones((1, 2)), np.ones((1, 2)))
    known = Gamma(np.full(2, 1e9), np.full(2, 1e9))
    found = weight_posterior(y.T @ z, z.T @ z, np.array([100.0]), known, Beta(np.ones(2), np.ones(2)), start)
    assert_allclose(found.mean, [[3.0, 0.0]], atol=1e-2)  # atol: the slab's prior shrinks by a part in 5,000


def test_expected_residual_is_the_mean_over_the_posterior() -> None:
    """Against draws of factors and weights: 40,000 of them leave an error of about half a percent."""
    rng = np.random.default_rng(4)
    y, mean = rng.normal(size=(6, 2)), rng.normal(size=(6, 3))
    spread = np.diag([0.2, 0.1, 0.3])
    weights = Weights(rng.normal(size=(2, 3)), rng.uniform(0.1, 0.3, size=(2, 3)), rng.uniform(0.2, 0.9, size=(2, 3)))
    gram = mean.T @ mean + 6 * spread
    found = expected_residual((y**2).sum(axis=0), y.T @ mean, gram, weights)
    z = mean + rng.normal(size=(40_000, 6, 3)) @ np.sqrt(spread)
    slab = weights.slab_mean + rng.normal(size=(40_000, 2, 3)) * np.sqrt(weights.slab_variance)
    w = slab * (rng.random((40_000, 2, 3)) < weights.inclusion)
    drawn = ((y - z @ w.transpose(0, 2, 1)) ** 2).sum(axis=1)
    assert_allclose(found, drawn.mean(axis=0), rtol=0.02)


def test_a_gram_per_feature_is_the_same_as_one_for_all() -> None:
    rng = np.random.default_rng(5)
    cross, z = rng.normal(size=(4, 3)), rng.normal(size=(20, 3))
    weights = Weights(rng.normal(size=(4, 3)), np.full((4, 3), 0.1), np.full((4, 3), 0.5))
    gram = z.T @ z
    each = np.repeat(gram[None], 4, axis=0)
    assert_allclose(
        expected_residual(np.ones(4), cross, gram, weights), expected_residual(np.ones(4), cross, each, weights)
    )


def test_precisions_follow_their_data() -> None:
    weights = Weights(np.array([[3.0], [4.0], [9.0]]), np.zeros((3, 1)), np.array([[1.0], [1.0], [0.0]]))
    assert_allclose(relevance_posterior(weights).mean, 2 / 25, rtol=1e-2)  # rtol: the prior has a thousandth of a say
    assert sparsity_posterior(weights) == Beta(3.0, 2.0)
    assert_allclose(noise_posterior(np.array([50.0]), np.array([200.0])).mean, 0.25, rtol=1e-3)
    assert gamma_divergence(Gamma(np.array([5.0]), np.array([5.0]))) > 0


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_varimax_is_a_rotation_that_makes_loadings_simpler(k: int, seed: int) -> None:
    loadings = np.random.default_rng(seed).standard_t(3, size=(40, k))
    rotation = varimax(loadings)
    assert_allclose(rotation @ rotation.T, np.eye(k), atol=1e-10)

    def simplicity(table: np.ndarray) -> float:
        return float((table**2).var(axis=0).sum())

    assert simplicity(loadings @ rotation) >= simplicity(loadings) * (1 - 1e-9)


# --- Variance explained ----------------------------------------------------------------------------------------------


def test_variance_explained_over_what_was_measured() -> None:
    """By hand: the second feature is noise that no factor explains; the gap takes no part."""
    z = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    layer = np.array([[2.0, 1.0], [-2.0, 1.0], [2.0, -1.0], [np.nan, -1.0]])
    assert_allclose(variance_explained([layer], z, [np.array([[2.0], [0.0]])]).to_numpy().ravel(), 1 - _left() / _all())


def _all() -> float:
    first = np.array([2.0, -2.0, 2.0])
    return float(((first - first.mean()) ** 2).sum() + 4)


def _left() -> float:
    first = np.array([2.0, -2.0, 2.0])
    return float((((first - first.mean()) - np.array([2.0, -2.0, 2.0])) ** 2).sum() + 4)


def test_variance_explained_matches_samples_by_label() -> None:
    layers, _ = planted(0, lacking=0.3)
    model = MOFA(n_factors=8).fit(layers)
    shuffled = {name: table.sample(frac=1, random_state=1) for name, table in layers.items()}
    again = variance_explained(shuffled, model.factors_, model.weights_)
    pd.testing.assert_frame_equal(again, model.variance_explained_)


# --- The model -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("lacking", "gaps"), [(0.0, 0.0), (1 / 3, 0.0), (0.3, 0.1)])
def test_planted_factors_are_found(seed: int, lacking: float, gaps: float) -> None:
    layers, factors = planted(seed, lacking=lacking, gaps=gaps)
    model = MOFA(n_factors=12).fit(layers)
    assert model.converged_
    assert model.n_factors_ == 5
    rise = model.bound_["bound"].diff()[model.bound_["n_factors"].diff() == 0]
    assert (rise >= -1e-9 * model.bound_["bound"].abs().max()).all()  # what rounding leaves
    place = matched(model, factors)
    assert sorted(place) == [0, 1, 2, 3, 4]
    measured = np.isin([f"P{i:03d}" for i in range(150)], layers["metabolite"].index)
    for planted_factor, found in enumerate(place):
        # A factor of the third layer alone is known only where that layer was measured.
        rows = measured if planted_factor == 4 else np.full(150, True)
        r = np.corrcoef(model.factors_.to_numpy()[rows, found], factors[rows, planted_factor])[0, 1]
        assert abs(r) >= 0.95
    shares = model.variance_explained_.to_numpy()[:, place]
    assert shares[~ACTIVE].max() < 0.01
    assert shares[ACTIVE].min() > 0.05


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.4]), st.sampled_from([0.0, 0.2]), st.booleans(), st.booleans()
)
def test_the_bound_never_falls(seed: int, lacking: float, gaps: float, sparse: bool, at_random: bool) -> None:
    layers, _ = planted(seed, n=40, lacking=lacking, gaps=gaps)
    start = "random" if at_random else "pca"
    model = MOFA(n_factors=6, sparse=sparse, start=start, min_variance=0, max_iterations=60, tolerance=1e-4)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # how far it gets does not matter
        model.fit(layers)
    bound = model.bound_["bound"]
    assert (bound.diff().dropna() >= -1e-9 * bound.abs().max()).all()  # what rounding leaves


def test_same_factors_as_mofapy2() -> None:
    """Numbers of the authors' implementation; see tests/golden/mofa."""
    golden = np.load(GOLDEN)
    layers = {name: golden[name] for name in golden if name.startswith("layer")}
    model = MOFA(n_factors=8, min_variance=0.02).fit(layers)
    assert model.n_factors_ == golden["factors"].shape[1]
    place = matched(model, golden["factors"])
    for theirs, ours in enumerate(place):
        assert abs(np.corrcoef(golden["factors"][:, theirs], model.factors_[:, ours])[0, 1]) > 0.999
    assert_allclose(model.variance_explained_.to_numpy()[:, place], golden["explained"], atol=0.01)


def test_order_of_samples_features_and_layers_does_not_matter() -> None:
    layers, _ = planted(5, lacking=0.2)
    rng = np.random.default_rng(0)
    turned = {
        name: layers[name].iloc[rng.permutation(len(layers[name])), rng.permutation(layers[name].shape[1])]
        for name in reversed(layers)
    }
    one, other = MOFA(n_factors=8, tolerance=1e-9).fit(layers), MOFA(n_factors=8, tolerance=1e-9).fit(turned)
    assert one.n_factors_ == other.n_factors_
    # Two runs stop at slightly different points of one slow slope.
    assert_allclose(other.factors_.loc[one.factors_.index], one.factors_, atol=1e-2)


def test_a_random_start_finds_the_same_factors() -> None:
    layers, factors = planted(6)
    model = MOFA(n_factors=8, start="random", random_state=3).fit(layers)
    assert model.n_factors_ == 5
    assert np.abs(np.corrcoef(model.factors_.to_numpy().T, factors.T)[:5, 5:]).max(axis=0).min() > 0.95


def test_without_sparsity_the_span_is_right_but_not_the_factors() -> None:
    """Two factors that act in every feature of all layers: their plane is found, their axes are free."""
    rng = np.random.default_rng(7)
    z = rng.normal(size=(200, 2))
    layers = {name: z @ rng.normal(size=(2, 80)) + 0.5 * rng.normal(size=(200, 80)) for name in ("rna", "protein")}
    found = np.asarray(MOFA(n_factors=2, sparse=False).fit(layers).factors_)
    centred = z - z.mean(axis=0)
    fitted = found @ np.linalg.lstsq(found, centred, rcond=None)[0]
    assert 1 - ((centred - fitted) ** 2).sum() / (centred**2).sum() > 0.99


def test_nothing_but_noise_has_no_factor() -> None:
    rng = np.random.default_rng(8)
    with pytest.raises(ValueError, match="no factor explains"):
        MOFA(n_factors=4, min_variance=0.05).fit([rng.normal(size=(100, 200)), rng.normal(size=(100, 150))])


def test_new_samples_and_missing_layers() -> None:
    layers, _ = planted(9, n=200)
    train = {name: table.iloc[:150] for name, table in layers.items()}
    model = MOFA(n_factors=8).fit(train)
    assert_allclose(model.transform(train), model.factors_, atol=1e-8)
    rest = {name: table.iloc[150:] for name, table in layers.items() if name != "protein"}
    whole = model.impute(rest)
    assert list(whole) == ["rna", "protein", "metabolite"]
    pd.testing.assert_frame_equal(whole["rna"], rest["rna"])
    truth = layers["protein"].iloc[150:]
    error = ((whole["protein"] - truth) ** 2).to_numpy().mean()
    assert error < 0.5 * ((truth - train["protein"].mean()) ** 2).to_numpy().mean()


def test_arrays_in_arrays_out() -> None:
    layers, _ = planted(10)
    tables = MOFA(n_factors=6).fit(layers)
    arrays = MOFA(n_factors=6).fit({name: table.to_numpy() for name, table in layers.items()})
    assert isinstance(arrays.factors_, np.ndarray)
    assert_allclose(arrays.factors_, tables.factors_)
    assert_allclose(arrays.weights_["rna"], tables.weights_["rna"])
    assert tables.weights_["rna"].index.equals(layers["rna"].columns)
    assert list(tables.factors_.columns) == [f"Factor{k + 1}" for k in range(5)]


def test_it_is_an_estimator_that_leaves_its_input_alone() -> None:
    layers, _ = planted(11, n=50)
    before = {name: table.copy() for name, table in layers.items()}
    model = clone(MOFA(n_factors=5, tolerance=1e-4))
    assert model.get_params()["n_factors"] == 5
    model.fit(layers)
    for name, table in layers.items():
        pd.testing.assert_frame_equal(table, before[name])


@pytest.mark.parametrize(("gaps", "most"), [(0.0, 2.5), (0.1, 4.0)])
def test_peak_memory_is_the_multiple_that_the_docstring_states(gaps: float, most: float) -> None:
    """Two equal layers: 1 + 3/2 copies, with gaps 2 + 4/2; wide, so that what grows with n² hardly counts."""
    rng = np.random.default_rng(16)
    z = rng.normal(size=(150, 3))
    layers = {name: z @ rng.normal(size=(3, 4000)) + rng.normal(size=(150, 4000)) for name in ("rna", "protein")}
    for values in layers.values():
        values[rng.random(values.shape) < gaps] = np.nan
    tracemalloc.start()
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # the peak comes early
        MOFA(n_factors=6, max_iterations=8).fit(layers)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < most * sum(values.nbytes for values in layers.values())


# --- Errors ----------------------------------------------------------------------------------------------------------


def test_stopping_too_early_is_a_warning_that_says_what_to_do() -> None:
    layers, _ = planted(12, n=40)
    with pytest.warns(ConvergenceWarning, match="after 3 iterations; raise max_iterations"):
        model = MOFA(n_factors=3, max_iterations=3).fit(layers)
    assert not model.converged_


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_factors": 0}, "n_factors must be"),
        ({"n_factors": 40}, "n_factors must be a whole number from 1 to 39"),
        ({"min_variance": 2}, "min_variance must be"),
        ({"tolerance": 0}, "tolerance must"),
        ({"start": "zeros"}, 'start must be "pca" or "random"'),
    ],
)
def test_bad_parameters_are_named(change: dict[str, Any], words: str) -> None:
    layers, _ = planted(13, n=40)
    with pytest.raises(ValueError, match=words):
        MOFA(**change).fit(layers)


def test_bad_layers_are_named() -> None:
    layers, _ = planted(14, n=30)
    rna, protein = layers["rna"], layers["protein"]
    constant = rna.assign(rna7=1.0)
    once = rna.copy()
    once.iloc[1:, 3] = np.nan
    nobody = rna.copy()
    nobody.loc["P004"] = np.nan
    for bad, words in [
        ({"rna": constant, "protein": protein}, "'rna7'; leave them out"),
        ({"rna": once, "protein": protein}, "feature 'rna3' of rna was measured in fewer than 2 samples"),
        ({"rna": rna.replace(rna.iloc[2, 1], np.inf), "protein": protein}, "rna has 1 infinite value"),
        ({"rna": rna, "protein": protein.to_numpy()}, "all DataFrames or all arrays"),
        ({"rna": rna.to_numpy(), "protein": protein.to_numpy()[:9]}, "the same samples in the same order"),
        ({"rna": pd.concat([rna, rna.iloc[:1]]), "protein": protein}, "row label 'P000' twice"),
        (
            {"rna": nobody, "protein": protein.drop(index="P004")},
            "no value in any layer; the first is 'P004'",
        ),
        ({}, "at least one layer"),
        (3, "layers must be a dict"),
    ]:
        with pytest.raises(ValueError, match=words):
            MOFA(n_factors=3).fit(bad)


def test_new_layers_must_be_those_of_the_model() -> None:
    layers, _ = planted(15, n=40)
    model = MOFA(n_factors=5, tolerance=1e-3).fit(layers)
    with pytest.raises(ValueError, match="no layer 'lipid'"):
        model.transform({"lipid": layers["rna"]})
    with pytest.raises(ValueError, match="features of rna"):
        model.transform({"rna": layers["rna"].iloc[:, ::-1]})
