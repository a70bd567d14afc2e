"""The multimodal autoencoder: pieces against closed forms, every gradient against differences and JAX, the model."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal, nbinom, norm, poisson
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from reference_impl.integration import mvae
from reference_impl.integration.mvae import training
from reference_impl.integration.mvae.gradients import linear_gaussian_gradient
from reference_impl.integration.mvae.network import Batch, Network, looks_at
from reference_impl.integration.mvae.training import Adam, Plan, adam_step

SIZES = {"rna": 12, "protein": 9, "metabolite": 7}
QUICK: dict[str, Any] = {"latent": 3, "hidden": 8, "epochs": 20, "validation_fraction": 0.0}


@pytest.fixture(autouse=True)
def double_precision() -> Any:
    """JAX computes in single precision unless told otherwise."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def three_layers(seed: int = 0, n: int = 60) -> dict[str, pd.DataFrame]:
    """Layers that share three latent dimensions; a third of the samples lacks the metabolites."""
    rng = np.random.default_rng(seed)
    z, samples = rng.normal(size=(n, 3)), [f"P{i:03d}" for i in range(n)]
    layers = {}
    for name, width in SIZES.items():
        values = z @ rng.normal(size=(3, width)) + 0.5 * rng.normal(size=(n, width)) + 5.0
        layers[name] = pd.DataFrame(values, index=samples, columns=[f"{name}{j}" for j in range(width)])
    layers["metabolite"] = layers["metabolite"].iloc[n // 3 :]
    return layers


# --- The pieces, against closed forms --------------------------------------------------------------------------------


def test_product_of_experts_is_the_normalised_product_of_the_densities() -> None:
    rng = np.random.default_rng(0)
    means, log_variances = rng.normal(size=(2, 3, 1, 1))
    mean, log_variance = mvae.product_of_experts(means, log_variances, np.ones((3, 1), dtype=bool))
    grid = np.linspace(-12, 12, 200_001)
    density = norm.pdf(grid)
    for m in range(3):
        density = density * norm.pdf(grid, means[m, 0, 0], np.exp(log_variances[m, 0, 0] / 2))
    density /= density.sum()
    centre = (grid * density).sum()
    assert_allclose(mean, centre, rtol=1e-9)  # the sum over a fine grid is as good as the integral
    assert_allclose(np.exp(log_variance), ((grid - centre) ** 2 * density).sum(), rtol=1e-9)


def test_without_any_layer_the_prior_remains_and_what_absent_layers_say_is_not_heard() -> None:
    means, log_variances = np.full((2, 1, 2), np.nan), np.full((2, 1, 2), np.inf)
    mean, log_variance = mvae.product_of_experts(means, log_variances, np.zeros((2, 1), dtype=bool))
    assert_array_equal(mean, 0)
    assert_array_equal(log_variance, 0)


@pytest.mark.parametrize("log_variance", [-30.0, -800.0])
def test_experts_that_are_very_sure_stay_exact(log_variance: float) -> None:
    sure, unsure = np.full((1, 1, 1), log_variance), np.zeros((1, 1, 1))
    means = np.array([[[2.0]], [[5.0]]])
    mean, found = mvae.product_of_experts(means, np.concatenate([sure, unsure]), np.ones((2, 1), dtype=bool))
    assert_allclose(found, log_variance, atol=1e-12)  # 1 + 1 beside e³⁰ changes the logarithm by 2e-13
    assert_allclose(mean, 2.0, atol=1e-12)
    both = np.concatenate([sure, sure])
    mean, found = mvae.product_of_experts(means, both, np.ones((2, 1), dtype=bool))
    assert_allclose(mean, 3.5, rtol=1e-12)
    assert_allclose(found, log_variance - np.log(2), rtol=1e-12)
    gradients = mvae.product_gradient(
        means, both, np.ones((2, 1), dtype=bool), mean, found, np.ones((1, 1)), np.zeros((1, 1))
    )
    assert_allclose(np.ravel(gradients[0]), 0.5)
    assert_allclose(np.ravel(gradients[1]), [0.75, -0.75])


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-6, 6)), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
@settings(max_examples=50, deadline=None)
def test_the_order_of_the_experts_does_not_matter(opinions: list[tuple[float, float]], random: Any) -> None:
    def product(told: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
        array = np.array(told)[:, :, None, None]
        return mvae.product_of_experts(array[:, 0], array[:, 1], np.ones((len(told), 1), dtype=bool))

    shuffled = random.sample(opinions, len(opinions))
    for one, other in zip(product(opinions), product(shuffled), strict=True):
        assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_kl_divergence_against_its_definition() -> None:
    rng = np.random.default_rng(1)
    mean, log_variance = rng.normal(size=(2, 4, 3))
    deviation = np.exp(log_variance / 2)
    grid = np.linspace(-9, 9, 20_001)[:, None, None]  # in deviations from the mean
    at = mean + grid * deviation
    density = norm.pdf(grid) * (grid[1] - grid[0])
    expected = (density * (norm.logpdf(at, mean, deviation) - norm.logpdf(at))).sum(axis=(0, 2))
    assert_allclose(mvae.kl_divergence(mean, log_variance), expected, rtol=1e-9)
    tiny = mvae.kl_divergence(np.zeros((1, 1)), np.full((1, 1), 1e-9))
    assert_allclose(tiny, 1e-18 / 4, rtol=1e-6, atol=1e-25)  # e^v − 1 − v = v²/2; without expm1 it is 8e-17 or negative


def test_likelihoods_against_scipy() -> None:
    rng = np.random.default_rng(2)
    x, mean, log_variance = rng.normal(size=(5, 4)), rng.normal(size=(5, 4)), rng.normal(size=4)
    each = norm.logpdf(x, mean, np.exp(log_variance / 2))
    assert_allclose(mvae.gaussian_log_likelihood(x, mean, log_variance), each.sum(axis=1))
    x[1, 2] = np.nan
    each[1, 2] = 0
    assert_allclose(mvae.gaussian_log_likelihood(x, mean, log_variance), each.sum(axis=1))
    counts, rate, log_size = rng.poisson(5, size=(5, 4)), rng.uniform(0.1, 9, size=(5, 4)), rng.normal(size=4)
    size = np.exp(log_size)
    expected = nbinom.logpmf(counts, size, size / (size + rate)).sum(axis=1)
    assert_allclose(mvae.negative_binomial_log_likelihood(counts, rate, log_size), expected)
    nearly_poisson = mvae.negative_binomial_log_likelihood(counts, rate, np.full(4, np.log(1e12)))
    assert_allclose(nearly_poisson, poisson.logpmf(counts, rate).sum(axis=1), rtol=1e-9)


def linear_gaussian(*, orthogonal: bool) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Loadings (latent, features) and noise variances of two layers, and values of both side by side."""
    rng = np.random.default_rng(3)
    loadings, noises = [], [np.full(6, 0.3), np.full(4, 0.8)]
    for noise in noises:
        basis = np.linalg.qr(rng.normal(size=(len(noise), 2)))[0].T
        loadings.append(basis * [[1.5], [0.7]] if orthogonal else rng.normal(size=(2, len(noise))))
    joint = np.hstack(loadings)
    x = rng.normal(size=(5, 2)) @ joint + rng.normal(size=(5, 10)) * np.sqrt(np.concatenate(noises))
    return loadings, noises, x


@pytest.mark.parametrize("orthogonal", [True, False])
def test_the_bound_is_the_evidence_where_the_posterior_is_known(orthogonal: bool) -> None:
    """With orthogonal loadings each exact expert is diagonal, so their product is the exact posterior."""
    loadings, noises, x = linear_gaussian(orthogonal=orthogonal)
    split = [x[:, :6], x[:, 6:]]
    means, log_variances = np.zeros((2, 5, 2)), np.zeros((2, 5, 2))
    for m, (weights, noise) in enumerate(zip(loadings, noises, strict=True)):
        precision = (weights**2 / noise).sum(axis=1)  # of the likelihood as a function of z
        means[m], log_variances[m] = (split[m] / noise) @ weights.T / precision, -np.log(precision)
    mean, log_variance = mvae.product_of_experts(means, log_variances, np.ones((2, 5), dtype=bool))
    expected = []  # of the log-likelihood under the posterior: at the mean, and what the spread costs
    for weights, noise, values in zip(loadings, noises, split, strict=True):
        at_mean = mvae.gaussian_log_likelihood(values, mean @ weights, np.log(noise))
        expected.append(at_mean - 0.5 * np.exp(log_variance) @ (weights**2 / noise).sum(axis=1))
    bound = mvae.elbo(expected, mean, log_variance)
    joint, variances = np.hstack(loadings), np.concatenate(noises)
    evidence = multivariate_normal(cov=joint.T @ joint + np.diag(variances)).logpdf(x)
    if orthogonal:
        assert_allclose(bound, evidence, rtol=1e-12)
    else:
        assert (bound < evidence - 1e-3).all()


def test_the_bound_stays_when_the_latent_space_is_rotated_and_a_mask_forbids_it() -> None:
    """Draw by draw: posterior and linear decoder turned together give the same numbers."""
    rng = np.random.default_rng(4)
    weights, z = rng.normal(size=(2, 8)), rng.normal(size=(50, 2))
    weights[0, :4] = weights[1, 4:] = 0  # each feature belongs to one pathway
    x, angle = z @ weights + rng.normal(size=(50, 8)), 0.6
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    covariance = np.diag([0.2, 0.5])
    mean, draws = z, 0.3 * rng.multivariate_normal([0, 0], covariance, size=50)

    def bound(mean: np.ndarray, draws: np.ndarray, covariance: np.ndarray, weights: np.ndarray) -> np.ndarray:
        explained = mvae.gaussian_log_likelihood(x, (mean + draws) @ weights, np.zeros(8))
        trace, log_determinant = np.trace(covariance), np.linalg.slogdet(covariance)[1]
        return explained - 0.5 * (trace + (mean**2).sum(axis=1) - 2 - log_determinant)

    turned = bound(mean @ rotation, draws @ rotation, rotation.T @ covariance @ rotation, rotation.T @ weights)
    assert_allclose(turned, bound(mean, draws, covariance, weights), rtol=1e-12)
    masked = (rotation.T @ weights) * (weights != 0)
    there = bound(mean @ rotation, draws @ rotation, rotation.T @ covariance @ rotation, masked)
    assert there.mean() < turned.mean() - 0.1


# --- Gradients -------------------------------------------------------------------------------------------------------

CASES: dict[str, dict[str, Any]] = {
    "mlp": {},
    "linear": {"linear": True},
    "masks": {"linear": True, "masked": True},
    "no single-layer terms": {"single_layer_terms": False},
    "beta": {"beta": 0.3},
    "gaps in a layer": {"gaps": True},
    "missing layers": {"lacking": True},
    "counts": {"counts": True},
    "counts, linear, masks": {"counts": True, "linear": True, "masked": True},
    "everything at once": {"counts": True, "gaps": True, "lacking": True, "beta": 2.0},
    "one layer": {"n_layers": 1},
}


def small_network(
    *,
    linear: bool = False,
    masked: bool = False,
    single_layer_terms: bool = True,
    beta: float = 1.0,
    gaps: bool = False,
    lacking: bool = False,
    counts: bool = False,
    n_layers: int = 3,
) -> tuple[Network, np.ndarray, Batch, np.ndarray]:
    """A network in double precision at random weights, a batch, and noise for its looks."""
    rng = np.random.default_rng(5)
    widths, n, latent = [4, 3, 5][:n_layers], 4, 2
    kinds = ["gaussian", "negative_binomial" if counts else "gaussian", "gaussian"][:n_layers]
    masks = [(rng.random((latent, width)) < 0.6).astype(float) if masked else None for width in widths]
    network = Network(
        widths, kinds, latent=latent, hidden=3, linear=linear, masks=masks, beta=beta,
        single_layer_terms=single_layer_terms,
    )  # fmt: skip
    present = np.ones((n_layers, n), dtype=bool)
    if lacking:
        present[0, 0] = present[2, 1] = present[1, 2] = present[2, 2] = False
    inputs = [rng.normal(size=(n, width)) for width in widths]
    targets, measured, totals = list(inputs), [None] * n_layers, [None] * n_layers
    if counts:
        targets[1] = rng.poisson(4, size=(n, widths[1])) + 1.0
        totals[1] = targets[1].sum(axis=1, keepdims=True)
    if gaps:
        measured[0] = (rng.random((n, widths[0])) < 0.7).astype(float)
        inputs[0] = targets[0] = inputs[0] * measured[0]
    vector = 0.7 * rng.normal(size=network.n_parameters)
    batch = Batch(inputs, targets, measured, totals, present)
    return network, vector, batch, rng.normal(size=(len(network.looks(batch).sample), latent))


def differences(function: Any, vector: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences."""
    found = np.zeros_like(vector)
    for i in range(len(vector)):
        for sign in (1, -1):
            moved = vector.copy()
            moved[i] += sign * step
            found[i] += sign * function(moved) / (2 * step)
    return found


@pytest.mark.parametrize("case", CASES)
def test_gradient_of_the_loss_against_finite_differences(case: str) -> None:
    network, vector, batch, noise = small_network(**CASES[case])
    _, gradient = network.loss_and_gradient(vector, batch, noise)
    expected = differences(lambda moved: network.loss_and_gradient(moved, batch, noise)[0], vector)
    # Central differences with step 1e-5 are off by about 1e-10 of the third derivative and of rounding each.
    assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)
    masked = [
        network.parts(gradient)[f"{m}.out"][mask == 0] for m, mask in enumerate(network.masks) if mask is not None
    ]
    assert all((part == 0).all() for part in masked)


def jax_loss(network: Network, batch: Batch, noise: np.ndarray) -> Any:
    """The same loss, written once more: variances instead of their logarithms, a loop over looks, no gradient."""
    looks = looks_at(batch.present, each_alone=network.single_layer_terms)

    def loss(vector: Any) -> Any:
        weights = network.parts(vector)
        experts = []
        for m, x in enumerate(batch.inputs):
            hidden = jnp.tanh(x @ weights[f"{m}.encode"] + weights[f"{m}.encode_shift"])
            mean = hidden @ weights[f"{m}.mean"] + weights[f"{m}.mean_shift"]
            experts.append((mean, jnp.exp(hidden @ weights[f"{m}.spread"] + weights[f"{m}.spread_shift"])))
        total = 0.0
        for row, sample in enumerate(looks.sample):
            precision, weighted = jnp.ones(network.latent), jnp.zeros(network.latent)
            for m in np.flatnonzero(looks.speaking[:, row]):
                precision = precision + 1 / experts[m][1][sample]
                weighted = weighted + experts[m][0][sample] / experts[m][1][sample]
            mean, variance = weighted / precision, 1 / precision
            z = mean + jnp.sqrt(variance) * noise[row]
            total -= network.beta * 0.5 * jnp.sum(variance + mean**2 - 1 - jnp.log(variance))
            for m in np.flatnonzero(batch.present[:, sample]):
                total += jax_log_likelihood(network, weights, m, z, batch, sample)
        return -total / batch.present.shape[1]

    return loss


def jax_log_likelihood(network: Network, weights: Any, m: int, z: Any, batch: Batch, sample: int) -> Any:
    hidden = z if network.linear else jnp.tanh(z @ weights[f"{m}.decode"] + weights[f"{m}.decode_shift"])
    mask, noise, x = network.masks[m], weights[f"{m}.noise"], batch.targets[m][sample]
    out = hidden @ (weights[f"{m}.out"] * (1 if mask is None else mask)) + weights[f"{m}.out_shift"]
    totals, measured = batch.totals[m], batch.measured[m]
    if totals is not None:
        mean = totals[sample] * jax.nn.softmax(out) + 1e-8
        size = jnp.exp(noise)
        # jax.scipy.stats.nbinom: k, n, p, where p is the chance of what n counts
        return jax.scipy.stats.nbinom.logpmf(x, size, size / (size + mean)).sum()
    terms = jax.scipy.stats.norm.logpdf(x, out, jnp.exp(noise / 2))
    return (terms if measured is None else terms * measured[sample]).sum()


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradient_against_jax(case: str) -> None:
    network, vector, batch, noise = small_network(**CASES[case])
    loss, gradient = network.loss_and_gradient(vector, batch, noise)
    expected_loss, expected = jax.value_and_grad(jax_loss(network, batch, noise))(jnp.asarray(vector))
    assert_allclose(loss, expected_loss, rtol=1e-12)
    assert_allclose(gradient, expected, rtol=1e-9, atol=1e-10)  # sums in another order


def test_pieces_of_the_gradient_against_jax() -> None:
    rng = np.random.default_rng(6)
    means, log_variances = rng.normal(size=(2, 3, 4, 2))
    present = rng.random((3, 4)) < 0.7
    d_mean, d_log_variance = rng.normal(size=(2, 4, 2))

    def heard(means: Any, log_variances: Any) -> Any:
        precisions = present[:, :, None] * jnp.exp(-log_variances)
        total = 1 + precisions.sum(axis=0)
        mean = (precisions * means).sum(axis=0) / total
        return (mean * d_mean).sum() - (jnp.log(total) * d_log_variance).sum()

    product = mvae.product_of_experts(means, log_variances, present)
    found = mvae.product_gradient(means, log_variances, present, *product, d_mean, d_log_variance)
    expected = jax.grad(heard, (0, 1))(means, log_variances)
    assert_allclose(found[0], expected[0], rtol=1e-10, atol=1e-12)
    assert_allclose(found[1], expected[1], rtol=1e-10, atol=1e-12)

    noise, slope = rng.normal(size=(2, 4, 2))

    def drawn(mean: Any, log_variance: Any) -> Any:
        z = mean + jnp.exp(log_variance / 2) * noise
        kl = 0.5 * (jnp.exp(log_variance) + mean**2 - 1 - log_variance).sum()
        return (slope * z).sum() - 0.5 * kl

    found = mvae.posterior_gradient(slope, *product, noise, beta=0.5)
    for one, other in zip(found, jax.grad(drawn, (0, 1))(*product), strict=True):
        assert_allclose(one, other, rtol=1e-10, atol=1e-12)


# --- Training --------------------------------------------------------------------------------------------------------


def explained(n_rows: int, seed: int) -> tuple[np.ndarray, ...]:
    """Five samples of six features, which rows explain them, hidden units, and the decoder's last step."""
    rng = np.random.default_rng(seed)
    sample = np.concatenate([rng.permutation(5), rng.integers(0, 5, n_rows - 5)])
    x, hidden, weights = rng.normal(size=(5, 6)), rng.normal(size=(n_rows, 3)), rng.normal(size=(3, 6))
    return x, sample, hidden, weights, rng.normal(size=6), rng.normal(size=6)


@pytest.mark.parametrize("n_rows", [5, 12, 40])
def test_opened_squares_are_the_gaussian_gradient_chained(n_rows: int) -> None:
    x, sample, hidden, weights, shift, log_variance = explained(n_rows, seed=n_rows)
    by_row, d_mean, d_log_variance = mvae.gaussian_gradient(x[sample], hidden @ weights + shift, log_variance)
    expected = by_row.sum(), d_mean @ weights.T, hidden.T @ d_mean, d_mean.sum(axis=0), d_log_variance
    found = linear_gaussian_gradient(x, sample, hidden, weights, shift, log_variance)
    for part, one in zip(found, expected, strict=True):
        assert_allclose(part, one, rtol=1e-9, atol=1e-9)


def test_opened_squares_of_a_perfect_fit_do_not_fall_below_zero() -> None:
    """In single precision a difference of sums of squares may come out negative; it is taken for its own rounding."""
    for seed in range(20):
        _, sample, _, weights, shift, log_variance = explained(40, seed)
        hidden = np.random.default_rng(seed).normal(size=(5, 3)).astype(np.float32)
        weights, shift = weights.astype(np.float32), shift.astype(np.float32)
        x, sharp = hidden @ weights + shift, (log_variance - 40).astype(np.float32)
        found = linear_gaussian_gradient(x, sample, hidden[sample], weights, shift, sharp)
        assert all(np.isfinite(part).all() for part in found)
        assert (found[-1] > -len(sample) / 2).all()  # it pulls back: the log-variance does not fall for ever


def test_adam_as_the_paper_writes_it() -> None:
    """A loop over steps and single numbers, with β₁ᵗ and β₂ᵗ written out; once pure, once in place."""
    rng = np.random.default_rng(7)
    gradients = rng.normal(size=(12, 3))
    theta, m, v = np.ones(3), np.zeros(3), np.zeros(3)
    pure, mean, square = np.ones(3), np.zeros(3), np.zeros(3)
    vector, adam = np.ones(3), Adam(3, "float64", 0.01)
    for t, gradient in enumerate(gradients, start=1):
        for i in range(3):
            m[i] = 0.9 * m[i] + 0.1 * gradient[i]
            v[i] = 0.999 * v[i] + 0.001 * gradient[i] ** 2
            theta[i] -= 0.01 * (m[i] / (1 - 0.9**t)) / ((v[i] / (1 - 0.999**t)) ** 0.5 + 1e-8)
        pure, mean, square = adam_step(pure, gradient, mean, square, t, learning_rate=0.01)
        adam.step(vector, gradient)
    assert_allclose(pure, theta, rtol=1e-12)
    assert_allclose(vector, theta, rtol=1e-12)


def test_training_raises_the_bound_and_stops_when_held_out_samples_say_so() -> None:
    layers = three_layers(n=200)
    model = mvae.MultimodalVAE(3, hidden=16, epochs=500, patience=10, learning_rate=0.01).fit(layers)
    bounds = model.history_["validation_bound"]
    assert len(bounds) < 500
    assert bounds.iloc[-1] < bounds.max()
    assert bounds.idxmax() == len(bounds) - 10
    assert bounds.max() > bounds.iloc[0] + 10
    assert model.history_["loss"].iloc[-1] < model.history_["loss"].iloc[0]


def test_the_best_weights_are_kept_not_the_last() -> None:
    """Trained again for just as long as the best epoch took, the model is the same."""
    layers = three_layers(n=200)
    settings: dict[str, Any] = {"latent": 3, "hidden": 16, "learning_rate": 0.01}
    model = mvae.MultimodalVAE(epochs=500, patience=10, **settings).fit(layers)
    best = int(model.history_["validation_bound"].idxmax())
    with pytest.warns(ConvergenceWarning, match=f"best in epoch {best} of {best}.*raise epochs"):
        again = mvae.MultimodalVAE(epochs=best, patience=10, **settings).fit(layers)
    pd.testing.assert_frame_equal(again.latent_, model.latent_)


def test_same_seed_same_model_and_another_seed_another() -> None:
    layers = three_layers()
    first, again, other = (mvae.MultimodalVAE(**QUICK, random_state=seed).fit(layers) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.latent_, again.latent_)
    assert first.score(layers) == again.score(layers) == first.score(layers)
    assert not np.allclose(first.latent_, other.latent_)


def test_progress_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    mvae.MultimodalVAE(**QUICK).fit(three_layers())
    assert capsys.readouterr() == ("", "")
    mvae.MultimodalVAE(**QUICK, progress=True).fit(three_layers())
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\r") == 20
    assert err.count("\n") == 1
    assert "epoch 20/20" in err


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError])
def test_a_training_that_is_interrupted_leaves_the_model_as_it_was(
    failure: type[BaseException], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = three_layers()
    model = mvae.MultimodalVAE(**QUICK, progress=True).fit(layers)
    before, bound = model.latent_.copy(), model.score(layers)
    capsys.readouterr()
    step, calls = training._one_step, []

    def interrupted(*arguments: Any) -> float:
        calls.append(1)
        if len(calls) > 3:
            raise failure
        return step(*arguments)

    monkeypatch.setattr(training, "_one_step", interrupted)
    with pytest.raises(failure):
        model.fit(three_layers(seed=9))
    assert capsys.readouterr().err.endswith("\n")
    pd.testing.assert_frame_equal(model.latent_, before)
    assert model.score(layers) == bound
    with pytest.raises(failure):
        fresh = clone(model).fit(layers)
    fresh = clone(model)
    with pytest.raises(NotFittedError):
        fresh.transform(layers)


def test_a_diverging_training_says_what_to_do() -> None:
    network, _, batch, _ = small_network()
    huge = [(1e25 * table).astype(np.float32) for table in batch.inputs]
    plan = Plan(50, 8, 0.9, 0.0, 5, "float32", False, 0)
    with pytest.raises(ValueError, match=r"diverged in epoch \d+: .*lower learning_rate, now 0.9"):
        training.train(network, batch._replace(inputs=huge, targets=huge), plan)


def test_masks_are_kept_through_training() -> None:
    layers = three_layers()
    mask = np.zeros((12, 3), dtype=bool)
    mask[:4, 0] = mask[4:8, 1] = mask[8:, 2] = True
    model = mvae.MultimodalVAE(**QUICK, decoder="linear", masks={"rna": mask}).fit(layers)
    steps = model.decode(np.vstack([np.zeros(3), np.eye(3)]))["rna"]
    moved = ~np.isclose(steps[1:], steps[0], rtol=0, atol=1e-12).T
    assert_array_equal(moved, mask)


# --- The model -------------------------------------------------------------------------------------------------------


def test_arrays_and_labelled_tables_in_another_order_give_the_same() -> None:
    layers = three_layers()
    samples = layers["rna"].index
    arrays = {name: table.reindex(samples).to_numpy() for name, table in layers.items()}
    found = mvae.MultimodalVAE(**QUICK).fit(arrays)
    labelled = mvae.MultimodalVAE(**QUICK).fit(layers)
    assert_allclose(found.latent_, labelled.latent_)
    shuffled = {name: table.sample(frac=1, random_state=0) for name, table in layers.items()}
    pd.testing.assert_frame_equal(labelled.transform(shuffled).loc[samples], labelled.latent_, rtol=1e-5)


def test_no_input_is_changed() -> None:
    layers = three_layers()
    before = {name: table.copy() for name, table in layers.items()}
    mvae.MultimodalVAE(**QUICK).fit(layers).impute(layers)
    mvae.IndependentAutoencoders(2, {"epochs": 2, "validation_fraction": 0.0}).fit(layers)
    for name, table in layers.items():
        pd.testing.assert_frame_equal(table, before[name])


def test_imputing_keeps_what_was_measured_and_fills_the_rest() -> None:
    layers = three_layers()
    layers["rna"].iloc[3, 4] = np.nan
    filled = mvae.MultimodalVAE(**QUICK).fit(layers).impute(layers)
    assert set(filled) == set(layers)
    for name, table in layers.items():
        assert filled[name].notna().all().all()
        assert list(filled[name].columns) == list(table.columns)
        assert len(filled[name]) == 60
        there = table.notna().to_numpy()
        assert_array_equal(filled[name].loc[table.index].to_numpy()[there], table.to_numpy()[there])


def test_a_layer_that_is_not_given_is_absent() -> None:
    layers = three_layers()
    model = mvae.MultimodalVAE(**QUICK).fit(layers)
    lacking = {"rna": layers["rna"], "protein": layers["protein"]}
    empty = lacking | {"metabolite": layers["metabolite"].reindex(layers["rna"].index) * np.nan}
    pd.testing.assert_frame_equal(model.transform(lacking), model.transform(empty))
    mean, log_variance = model.encode(lacking)
    assert (log_variance < 0).all().all()  # an expert can only add precision to the prior's
    assert mean.shape == (60, 3)
    assert set(model.impute(lacking)) == set(layers)


def test_counts_come_back_as_counts_of_their_sample() -> None:
    rng = np.random.default_rng(8)
    z = rng.normal(size=(80, 2))
    rate = np.exp(2 + z @ rng.normal(size=(2, 10)) / 2)
    layers = {"rna": rng.poisson(rate * rng.uniform(0.5, 2, size=(80, 1))), "protein": z @ rng.normal(size=(2, 6))}
    layers["protein"] = layers["protein"] + 0.3 * rng.normal(size=(80, 6))
    model = mvae.MultimodalVAE(
        **QUICK | {"epochs": 150, "learning_rate": 0.01}, likelihoods={"rna": "negative_binomial"}
    ).fit(layers)
    shares = model.decode(model.latent_)["rna"]
    assert_allclose(shares.sum(axis=1), 1)
    filled = model.impute({"protein": layers["protein"]})["rna"]
    assert_allclose(filled.sum(axis=1), np.median(layers["rna"].sum(axis=1)))
    true = rate / rate.sum(axis=1, keepdims=True)
    assert mvae.feature_correlations(true, filled).mean() > 0.6


def test_clone_and_parameters() -> None:
    model = mvae.MultimodalVAE(4, hidden=9, beta=0.5)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert clone(mvae.IndependentAutoencoders(3, {"epochs": 2})).get_params()["options"] == {"epochs": 2}


def test_memory_is_twice_the_layers_and_six_times_the_parameters() -> None:
    """As the docstring says, with a tenth for the rest."""
    rng = np.random.default_rng(0)
    layers = {name: rng.normal(size=(400, 1500)) for name in "abc"}
    model = mvae.MultimodalVAE(epochs=2, hidden=32, validation_fraction=0.0)
    tracemalloc.start()
    model.fit(layers)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    claimed = 2 * sum(table.nbytes for table in layers.values()) + 6 * 4 * model.n_parameters_
    assert peak < 1.1 * claimed


# --- Files -----------------------------------------------------------------------------------------------------------


def test_a_saved_model_comes_back_without_pickle(tmp_path: Path) -> None:
    layers = three_layers()
    mask = np.random.default_rng(0).random((12, 3)) < 0.5
    model = mvae.MultimodalVAE(**QUICK, decoder="linear", masks={"rna": mask}).fit(layers)
    model.save(tmp_path / "model.npz")
    again = mvae.MultimodalVAE.load(tmp_path / "model.npz")
    assert_array_equal(again.masks["rna"], mask)
    pd.testing.assert_frame_equal(again.transform(layers), model.transform(layers))
    pd.testing.assert_frame_equal(again.impute(layers)["metabolite"], model.impute(layers)["metabolite"])
    assert again.score(layers) == model.score(layers)
    same = {key: value for key, value in again.get_params().items() if key != "masks"}
    assert same == {key: value for key, value in model.get_params().items() if key != "masks"}


def test_a_saved_count_model_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = {"rna": rng.poisson(5, size=(30, 6)).astype(float), "protein": rng.normal(size=(30, 4))}
    model = mvae.MultimodalVAE(**QUICK, likelihoods={"rna": "negative_binomial"}).fit(layers)
    model.save(tmp_path / "model.npz")
    again = mvae.MultimodalVAE.load(tmp_path / "model.npz")
    lacking = {"protein": layers["protein"]}
    assert_array_equal(again.impute(lacking)["rna"], model.impute(lacking)["rna"])


class Trap:
    """Runs when it is unpickled."""

    fell = False

    def __reduce__(self) -> Any:
        return setattr, (Trap, "fell", True)


def _archive(path: Path, compression: int = zipfile.ZIP_STORED, **arrays: np.ndarray) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=True)
            archive.writestr(f"{name}.npy", content.getvalue())


def test_hostile_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    mvae.MultimodalVAE(**QUICK).fit(three_layers()).save(path)
    with np.load(path, allow_pickle=False) as file:
        good = {name: file[name] for name in file.files}
    hostile = {
        "pickle inside": good | {"vector": np.array([Trap()], dtype=object)},
        "other text": good | {"about": np.array("[]")},
        "no number": good | {"vector": np.full_like(good["vector"], np.nan)},
        "too short": good | {"vector": good["vector"][:-1]},
        "another layer's width": good | {"centre_0": good["centre_1"]},
        "unknown parameter": good | {"about": np.array(str(good["about"]).replace('"beta"', '"gamma"'))},
        "bad parameter": good | {"about": np.array(str(good["about"]).replace('"latent": 3', '"latent": -3'))},
        "part missing": {name: array for name, array in good.items() if name != "scale_2"},
    }
    for what, arrays in hostile.items():
        _archive(path, **arrays)
        with pytest.raises(ValueError, match="is not a model that"):
            mvae.MultimodalVAE.load(path)
        assert not Trap.fell, what
    _archive(path, zipfile.ZIP_DEFLATED, **good)
    with pytest.raises(ValueError, match="compressed"):
        mvae.MultimodalVAE.load(path)
    for content in (b"", b"no archive", pickle.dumps(Trap()), path.read_bytes()[:400]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a model"):
            mvae.MultimodalVAE.load(path)
    assert not Trap.fell
    with pytest.raises(FileNotFoundError):
        mvae.MultimodalVAE.load(tmp_path / "nowhere.npz")


# --- Errors ----------------------------------------------------------------------------------------------------------


def _with(layers: dict[str, pd.DataFrame], name: str, row: int, column: int, value: float) -> dict[str, pd.DataFrame]:
    table = layers[name].copy()
    table.iloc[row, column] = value
    return layers | {name: table}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent": 0}, "latent must be a whole number"),
        ({"hidden": 2.5}, "hidden must be a whole number"),
        ({"epochs": 0}, "epochs must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"patience": 0}, "patience must be"),
        ({"beta": -1}, "beta must be"),
        ({"learning_rate": 0}, "learning_rate must lie"),
        ({"validation_fraction": 0.9}, "validation_fraction must be"),
        ({"random_state": -1}, "random_state must be"),
        ({"decoder": "deep"}, 'decoder must be "mlp" or "linear"'),
        ({"dtype": "int"}, "dtype must be"),
        ({"likelihoods": {"lipid": "gaussian"}}, "likelihoods names layer 'lipid'; the layers are rna, protein"),
        ({"likelihoods": {"rna": "poisson"}}, "the likelihood of rna must be one of"),
        ({"likelihoods": {"rna": "negative_binomial"}}, "rna has .* for feature 'rna0' of sample 'P000'.*counts"),
        ({"masks": {"rna": np.ones((12, 3), bool)}}, 'masks need decoder="linear"'),
        ({"masks": {"rna": np.ones((12, 2), bool)}, "decoder": "linear"}, "the mask of rna must be features × latent"),
        (
            {"masks": {"rna": pd.DataFrame(np.ones((12, 3), bool))}, "decoder": "linear"},
            "rows of the mask of rna must be the features",
        ),
    ],
)
def test_bad_parameters_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mvae.MultimodalVAE(**QUICK | options).fit(three_layers())


def test_bad_layers_are_named() -> None:
    layers = three_layers()
    model = mvae.MultimodalVAE(**QUICK).fit(layers)
    with pytest.raises(ValueError, match=r"rna has 1 infinite value.*row 'P002', column 'rna1'"):
        mvae.MultimodalVAE(**QUICK).fit(_with(layers, "rna", 2, 1, np.inf))
    constant = layers | {"protein": layers["protein"].assign(protein3=1.0)}
    with pytest.raises(ValueError, match="1 of 9 features of protein never vary, the first is 'protein3'"):
        mvae.MultimodalVAE(**QUICK).fit(constant)
    nearly_empty = layers["protein"].copy()
    nearly_empty.iloc[1:, 2] = np.nan
    with pytest.raises(ValueError, match="feature 'protein2' of protein was measured in fewer than 2 samples"):
        mvae.MultimodalVAE(**QUICK).fit(layers | {"protein": nearly_empty})
    with pytest.raises(ValueError, match="metabolite was measured in 1 samples"):
        mvae.MultimodalVAE(**QUICK).fit(layers | {"metabolite": layers["metabolite"].iloc[:1]})
    with pytest.raises(ValueError, match="1 sample has no value in any layer; the first is 'P000'"):
        model.transform({"metabolite": layers["metabolite"].reindex(["P000", "P030"])})
    with pytest.raises(ValueError, match="the model has no layer 'lipid'"):
        model.transform({"lipid": layers["rna"]})
    with pytest.raises(ValueError, match="features of rna are not those"):
        model.transform({"rna": layers["rna"].iloc[:, ::-1]})
    with pytest.raises(ValueError, match="z must have 3 columns"):
        model.decode(np.zeros((2, 4)))
    with pytest.raises(NotFittedError):
        mvae.MultimodalVAE().transform(layers)
    empty = pd.DataFrame(np.ones((60, 4)), index=layers["rna"].index)
    empty.iloc[7] = 0
    with pytest.raises(ValueError, match="counts has no count at all for sample 'P007'"):
        mvae.MultimodalVAE(**QUICK, likelihoods={"counts": "negative_binomial"}).fit(layers | {"counts": empty})
    with pytest.raises(ValueError, match="masks names layer 'lipid'"):
        mvae.IndependentAutoencoders(2, {"masks": {"lipid": None}}).fit(layers)


def test_features_that_json_can_not_name_are_refused(tmp_path: Path) -> None:
    layers = {"rna": pd.DataFrame(np.random.default_rng(0).normal(size=(10, 2)), columns=[("a", 1), ("b", 2)])}
    model = mvae.MultimodalVAE(**QUICK).fit(layers)
    with pytest.raises(ValueError, match="features of rna must be all words or all whole numbers"):
        model.save(tmp_path / "model.npz")


# --- What it is for --------------------------------------------------------------------------------------------------

WORLD: dict[str, Any] = {
    "latent": 4, "hidden": 32, "epochs": 100, "learning_rate": 5e-3, "validation_fraction": 0.0
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_linear_world(seed: int) -> None:
    """Ridge regression is made for this world: the autoencoder comes near it, and independent ones know nothing."""
    layers = mvae.linear_layers(300, rng=np.random.default_rng(seed))
    found = mvae.compare_imputers(layers, "metabolite", np.arange(300) < 100, options=WORLD)
    assert found["multimodal"] > found["mean"] + 0.6
    assert found["multimodal"] > found["independent"] + 0.6
    assert found["multimodal"] > found["ridge"] - 0.03


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_nonlinear_world(seed: int) -> None:
    """The bell-shaped metabolites: 0.80 and more, ridge regression 0.50 to 0.55, over these and other seeds."""
    layers = mvae.nonlinear_layers(300, rng=np.random.default_rng(seed))
    found = mvae.compare_imputers(layers, "metabolite", np.arange(300) < 100, options=WORLD)
    assert found["multimodal"] > found["ridge"] + 0.15
    assert found["multimodal"] > found["joint only"] + 0.02
    assert found["multimodal"] > found["independent"] + 0.5
    assert found["mean"] == 0
