"""Canonical correlation analysis and partial least squares: against R, scikit-learn, defining equations, invariants."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.linalg import eigh
from sklearn.cross_decomposition import CCA, PLSSVD, PLSCanonical
from sklearn.exceptions import ConvergenceWarning

from reference_impl.integration.cca import (
    canonical_weights,
    cca,
    choose_penalty,
    feature_correlations,
    gram_whitening,
    multiset_cca,
    permutation_p_value,
    permutation_test,
    regularized_cca,
    soft_threshold,
    sparse_cca,
    sparse_unit_vector,
)
from reference_impl.integration.cca_plots import describe_pair, plot_arrows, plot_correlation_circle
from reference_impl.integration.pls import pls_canonical, pls_svd

FOLDER = Path(__file__).parents[1] / "golden" / "cca"
GOLDEN = json.loads((FOLDER / "golden.json").read_text(encoding="utf-8"))
GOLDEN_PYTHON = json.loads((FOLDER / "golden_python.json").read_text(encoding="utf-8"))


def related(seed: int, n: int = 60, p: int = 5, q: int = 4, *, shared: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Two layers that share some directions."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, shared))
    x = z @ rng.normal(size=(shared, p)) + rng.normal(size=(n, p))
    return x, z @ rng.normal(size=(shared, q)) + rng.normal(size=(n, q))


def up_to_sign(found: Any, right: Any, **tolerance: float) -> None:
    """Columns agree but for their signs."""
    found, right = np.asarray(found), np.asarray(right)
    assert_allclose(found * np.sign((found * right).sum(axis=0)), right, **tolerance)


def covariance(x: Any, y: Any = None) -> np.ndarray:
    """Between columns, ddof 1."""
    other = x if y is None else y
    return (x - x.mean(axis=0)).T @ (other - other.mean(axis=0)) / (len(x) - 1)


# --- Classical -------------------------------------------------------------------------------------------------------


def test_cca_is_cancor_of_r() -> None:
    x, y = np.array(GOLDEN["x"]), np.array(GOLDEN["y"])
    found = cca(x, y, 3)
    assert_allclose(found.correlations, GOLDEN["correlations"], rtol=1e-12)
    up_to_sign(found.x_weights, np.array(GOLDEN["x_coefficients"]) * np.sqrt(29), atol=1e-12)
    up_to_sign(found.y_weights, np.array(GOLDEN["y_coefficients"]) * np.sqrt(29), atol=1e-12)


def test_scores_have_variance_one_and_meet_only_in_pairs() -> None:
    x, y = related(1)
    found = cca(x, y, 4)
    assert_allclose(covariance(found.x_scores), np.eye(4), atol=1e-12)
    assert_allclose(covariance(found.y_scores), np.eye(4), atol=1e-12)
    assert_allclose(covariance(found.x_scores, found.y_scores), np.diag(found.correlations), atol=1e-12)
    assert_allclose(found.x_scores, (x - x.mean(axis=0)) @ found.x_weights, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_correlations_do_not_depend_on_units_or_mixtures(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = related(seed, n=30, p=3, q=2)
    mixed = x @ (np.eye(3) + 0.3 * rng.normal(size=(3, 3))) * [1e4, 1.0, 1e-3] + 7.0
    assert_allclose(cca(mixed, y, 2).correlations, cca(x, y, 2).correlations, rtol=1e-6)  # rtol: scales 1e7 apart


def test_one_feature_each_is_pearsons_correlation() -> None:
    x, y = related(2, p=1, q=1)
    assert_allclose(cca(x, y, 1).correlations[0], abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1]), rtol=1e-12)


def test_too_many_features_are_refused_with_the_cure() -> None:
    x, y = related(3, n=20, p=20)
    with pytest.raises(ValueError, match=r"x has 20 features and 20 samples: .* regularized_cca .* ridge_x > 0"):
        cca(x, y, 1)
    with pytest.raises(ValueError, match="y has 20 features"):
        cca(y, x, 1)


def test_features_that_together_outnumber_the_samples_are_a_warning() -> None:
    """Two subspaces of 12 and 10 dimensions in 19 must meet: pure noise correlates perfectly."""
    rng = np.random.default_rng(4)
    with pytest.warns(UserWarning, match=r"12 \+ 10 features of 20 samples"):
        found = cca(rng.normal(size=(20, 12)), rng.normal(size=(20, 10)), 3)
    assert_allclose(found.correlations, 1.0, rtol=1e-10)


def test_dependent_features_are_named() -> None:
    x, y = related(5)
    with pytest.raises(ValueError, match="column 5 is a combination"):
        cca(np.column_stack([x, x[:, 0] + x[:, 1]]), y, 1)


# --- Ridge -----------------------------------------------------------------------------------------------------------


def by_definition(
    x: np.ndarray, y: np.ndarray, n: int, ridge_x: float, ridge_y: float
) -> tuple[np.ndarray, np.ndarray]:
    """The p × p way: the generalised eigenproblem of Cxy (Cyy + λI)⁻¹ Cyx against Cxx + λI."""
    c_xx, c_yy = (covariance(t) + r * np.eye(t.shape[1]) for t, r in [(x, ridge_x), (y, ridge_y)])
    c_xy = covariance(x, y)
    values, vectors = eigh(c_xy @ np.linalg.solve(c_yy, c_xy.T), c_xx)
    return np.sqrt(values[::-1][:n]), vectors[:, ::-1][:, :n]


@pytest.mark.parametrize(("n", "p", "q"), [(60, 5, 4), (20, 50, 30), (25, 40, 6), (20, 20, 20)])
def test_ridge_solves_its_eigenproblem_whatever_the_shape(n: int, p: int, q: int) -> None:
    x, y = related(6, n=n, p=p, q=q)
    found = regularized_cca(x, y, 2, ridge_x=0.7, ridge_y=1.3)
    objective, weights = by_definition(x, y, 2, 0.7, 1.3)
    assert_allclose(found.objective, objective, rtol=1e-10)
    up_to_sign(found.x_weights, weights, atol=1e-9)
    length = found.y_weights.T @ (covariance(y) + 1.3 * np.eye(q)) @ found.y_weights
    assert_allclose(length, np.eye(2), atol=1e-9)
    in_pairs = [np.corrcoef(found.x_scores[:, k], found.y_scores[:, k])[0, 1] for k in range(2)]
    assert_allclose(found.correlations, in_pairs, rtol=1e-10)
    assert (found.objective < found.correlations).all()


def test_ridge_of_zero_is_cca_and_a_huge_one_is_pls() -> None:
    x, y = related(7)
    plain, ridge = cca(x, y, 2), regularized_cca(x, y, 2, ridge_x=0, ridge_y=0)
    assert_allclose(ridge.correlations, plain.correlations, rtol=1e-10)
    up_to_sign(ridge.x_weights, plain.x_weights, atol=1e-10)
    heavy = regularized_cca(x, y, 1, ridge_x=1e9, ridge_y=1e9)
    up_to_sign(heavy.x_weights / np.linalg.norm(heavy.x_weights), pls_svd(x, y, 1, scale=False).x_weights, atol=1e-6)


def test_ridge_of_zero_needs_fewer_features_than_samples() -> None:
    x, y = related(8, n=10, p=12)
    with pytest.raises(ValueError, match="ridge_x > 0"):
        regularized_cca(x, y, 1, ridge_x=0, ridge_y=1)
    regularized_cca(x, y, 1, ridge_x=1, ridge_y=0)


# --- Sparse ----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=2, max_size=12),
    st.floats(0, 1),
)
def test_sparse_unit_vector_is_best_under_its_bounds(values: list[float], share: float) -> None:
    direction = np.array(values)
    size = np.sort(np.abs(direction))
    if size[-1] < 1e-3 or size[-1] - size[-2] < 1e-6 * size[-1]:
        return  # ties at the top: the bound can't be met by thresholding
    bound = 1 + share * (np.sqrt(len(direction)) - 1)
    found = sparse_unit_vector(direction, bound)
    assert_allclose(np.linalg.norm(found), 1, rtol=1e-12)
    assert np.abs(found).sum() <= bound * (1 + 1e-6)
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = soft_threshold(found + 0.1 * rng.normal(size=len(found)), 0.0)
        other /= np.linalg.norm(other)
        if np.abs(other).sum() <= bound:
            assert other @ direction <= found @ direction + 1e-6 * size[-1]


def pma(x: np.ndarray, y: np.ndarray, n: int, c_x: float, c_y: float, steps: int) -> list[tuple[Any, Any, float]]:
    """The algorithm of Witten et al. as PMA runs it: XᵀY formed, thresholds by halving an interval."""
    x, y = ((t - t.mean(axis=0)) / t.std(axis=0, ddof=1) for t in (x, y))
    cross = x.T @ y
    starts = np.linalg.svd(cross)[2][:n]

    def unit(direction: np.ndarray, bound: float) -> np.ndarray:
        if np.abs(direction).sum() <= bound * np.linalg.norm(direction):
            return direction / np.linalg.norm(direction)
        low, high = 0.0, np.abs(direction).max() - 1e-5
        for _ in range(150):
            middle = (low + high) / 2
            shrunk = soft_threshold(direction, middle)
            low, high = (low, middle) if np.abs(shrunk / np.linalg.norm(shrunk)).sum() < bound else (middle, high)
        shrunk = soft_threshold(direction, (low + high) / 2)
        return shrunk / np.linalg.norm(shrunk)

    found = []
    for v in starts:
        for _ in range(steps):
            u = unit(cross @ v, c_x * np.sqrt(len(cross)))
            v = unit(u @ cross, c_y * np.sqrt(cross.shape[1]))
        strength = u @ cross @ v
        found.append((u, v, strength))
        cross = cross - strength * np.outer(u, v)
    return found


@pytest.mark.parametrize(("n", "p", "q"), [(50, 40, 30), (20, 60, 45)])
def test_sparse_cca_is_penalised_matrix_decomposition(n: int, p: int, q: int) -> None:
    x, y = related(9, n=n, p=p, q=q)
    found = sparse_cca(x, y, 3, c_x=0.4, c_y=0.5)
    for k, (u, v, strength) in enumerate(pma(x, y, 3, 0.4, 0.5, steps=150)):
        up_to_sign(found.x_weights[:, [k]], u[:, None], atol=1e-6)
        up_to_sign(found.y_weights[:, [k]], v[:, None], atol=1e-6)
        assert_allclose(found.objective[k], strength, rtol=1e-8)
    assert (np.abs(found.x_weights).sum(axis=0) <= 0.4 * np.sqrt(p) * (1 + 1e-9)).all()


def test_sparse_cca_without_a_bound_is_the_singular_vector() -> None:
    x, y = related(10)
    up_to_sign(sparse_cca(x, y, 1, c_x=1, c_y=1).x_weights, pls_svd(x, y, 1).x_weights, atol=1e-6)


def test_bounds_too_small_or_too_large_are_refused() -> None:
    x, y = related(11)
    with pytest.raises(ValueError, match=r"c_x must be a number from 0\.447"):
        sparse_cca(x, y, 1, c_x=0.3, c_y=0.9)
    with pytest.raises(ValueError, match="c_y"):
        sparse_cca(x, y, 1, c_x=0.9, c_y=1.1)
    x[:, 2] = 5.0
    with pytest.raises(ValueError, match="features of x never vary, the first is 2"):
        sparse_cca(x, y, 1, c_x=0.9, c_y=0.9)


# --- Many layers -----------------------------------------------------------------------------------------------------


def test_two_layers_agree_as_their_canonical_correlation_says() -> None:
    x, y = related(12)
    found = multiset_cca([x, y], 3)
    assert_allclose(found.agreement, 1 + cca(x, y, 3).correlations, rtol=1e-10)
    assert_allclose(covariance(found.shared), np.eye(3), atol=1e-10)


@pytest.mark.parametrize("ridge", [0.0, 0.8])
def test_multiset_is_the_eigenproblem_of_summed_projections(ridge: float) -> None:
    layers = {name: related(seed, p=p)[0] for seed, (name, p) in enumerate([("a", 3), ("b", 5), ("c", 2)])}
    found = multiset_cca(layers, 2, ridge=ridge)
    total = 0.0
    for table in layers.values():
        centred = table - table.mean(axis=0)
        total = total + centred @ np.linalg.solve(
            centred.T @ centred + 59 * ridge * np.eye(centred.shape[1]), centred.T
        )
    values, vectors = eigh(total)
    assert_allclose(found.agreement, values[::-1][:2], rtol=1e-9)
    up_to_sign(found.shared, vectors[:, ::-1][:, :2] * np.sqrt(59), atol=1e-8)
    regression = {name: np.linalg.lstsq(t - t.mean(axis=0), found.shared, rcond=None)[0] for name, t in layers.items()}
    if ridge == 0:
        for name in layers:
            assert_allclose(found.weights[name], regression[name], atol=1e-9)


def test_a_wide_layer_needs_a_ridge() -> None:
    x, y = related(14, n=15, p=30)
    with pytest.raises(ValueError, match="layer 0 has 30 features and 15 samples"):
        multiset_cca([x, y], 1)
    assert multiset_cca([x, y], 1, ridge=1.0).agreement[0] < 2


# --- Partial least squares -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize(("n", "p", "q"), [(60, 5, 4), (20, 50, 30), (20, 40, 6)])
def test_pls_is_scikit_learns(n: int, p: int, q: int, scale: bool) -> None:
    x, y = related(15, n=n, p=p, q=q)
    svd = PLSSVD(n_components=3, scale=scale).fit(x, y)
    found = pls_svd(x, y, 3, scale=scale)
    up_to_sign(found.x_weights, svd.x_weights_, atol=1e-8)
    up_to_sign(found.y_weights, svd.y_weights_, atol=1e-8)
    peer = PLSCanonical(n_components=3, scale=scale, tol=1e-15, max_iter=100_000, algorithm="svd").fit(x, y)
    ours = pls_canonical(x, y, 3, scale=scale)
    for name in ("x_weights", "y_weights", "x_loadings", "y_loadings", "x_rotations", "y_rotations"):
        up_to_sign(getattr(ours, name), getattr(peer, name + "_"), atol=1e-8)
    up_to_sign(ours.x_scores, peer._x_scores, atol=1e-8)


def test_the_two_forms_agree_in_the_first_component_only() -> None:
    x, y = related(16, shared=3)
    one, other = pls_svd(x, y, 2), pls_canonical(x, y, 2)
    assert_allclose(one.x_weights[:, 0], other.x_weights[:, 0], atol=1e-10)
    assert np.abs(one.x_weights[:, 1] - other.x_weights[:, 1]).max() > 1e-3
    assert_allclose(covariance(other.x_scores)[0, 1], 0, atol=1e-12)


def test_covariance_and_correlation_choose_different_directions() -> None:
    """A wide direction that agrees a little against a tight one that agrees fully."""
    rng = np.random.default_rng(17)
    wide, tight = rng.normal(size=(2, 500))
    x = np.column_stack([10 * wide, tight])
    y = np.column_stack([5 * wide + 20 * rng.normal(size=500), tight])
    assert np.abs(pls_svd(x, y, 1, scale=False).x_weights[:, 0]).argmax() == 0
    weights = cca(x, y, 1).x_weights[:, 0] * x.std(axis=0)
    assert np.abs(weights).argmax() == 1


def test_nothing_left_to_explain_is_an_error() -> None:
    x, _ = related(18)
    one = x @ np.ones((5, 1)) @ np.ones((1, 3))
    with pytest.raises(ValueError, match="1 components explain all"):
        pls_canonical(x, one, 2, scale=False)


# --- Chance and penalties --------------------------------------------------------------------------------------------


def test_permutation_finds_a_relation_and_no_relation() -> None:
    x, y = related(19, n=40, p=60, q=50)
    rng = np.random.default_rng(0)

    def fit(first: Any, second: Any) -> Any:
        return regularized_cca(first, second, 1, ridge_x=5, ridge_y=5)

    p_value, null = permutation_test(x, y, fit, n_permutations=49, rng=rng)
    assert p_value[0] == 1 / 50
    assert null.shape == (49,)
    nothing, _ = permutation_test(x, rng.normal(size=(40, 50)), fit, n_permutations=49, rng=rng)
    assert nothing[0] > 0.05


def test_p_values_of_pure_noise_are_uniform() -> None:
    """Of 60 tests on noise about 5 % fall below 0.05; 8 or more would have probability below 1 %."""
    rng = np.random.default_rng(1)
    values = [
        permutation_test(
            rng.normal(size=(20, 2)), rng.normal(size=(20, 2)), lambda a, b: cca(a, b, 1), n_permutations=19, rng=rng
        )[0][0]
        for _ in range(60)
    ]
    assert sum(value <= 0.05 for value in values) < 9


def test_penalty_is_chosen_on_samples_left_out() -> None:
    x, y = related(20, n=60, p=200, q=150, shared=1)
    table = choose_penalty(
        x,
        y,
        [1e-6, 1.0, 1e2],
        lambda a, b, c: regularized_cca(a, b, 1, ridge_x=c, ridge_y=c),
        rng=np.random.default_rng(2),
    )
    assert table["penalty"].tolist() == [1e-6, 1.0, 1e2]
    assert table["correlation"].between(-1, 1).all()
    assert table["correlation"].iloc[2] > 0.8
    with pytest.raises(ValueError, match="candidates is empty"):
        choose_penalty(x, y, [], lambda a, b, c: cca(a, b, 1), rng=np.random.default_rng(2))


# --- Labels and purity -----------------------------------------------------------------------------------------------


def test_tables_are_matched_by_label_and_keep_labels() -> None:
    x, y = related(21)
    samples = [f"P{i}" for i in range(60)]
    x = pd.DataFrame(x, index=samples, columns=list("abcde"))
    y = pd.DataFrame(y, index=samples, columns=list("wxyz"))
    for method in (
        lambda a, b: cca(a, b, 2),
        lambda a, b: regularized_cca(a, b, 2, ridge_x=1, ridge_y=1),
        lambda a, b: sparse_cca(a, b, 2, c_x=0.8, c_y=0.8),
        lambda a, b: pls_svd(a, b, 2),
        lambda a, b: pls_canonical(a, b, 2),
    ):
        before = x.copy()
        found = method(x, y.iloc[::-1])
        pd.testing.assert_frame_equal(x, before)
        assert found.x_weights.index.tolist() == list("abcde")
        assert found.y_scores.index.tolist() == samples
        assert found.y_scores.columns.tolist() == ["Component1", "Component2"]
        assert_allclose(found.x_scores, method(x.to_numpy(), y.to_numpy()).x_scores, atol=1e-9)
    with pytest.raises(ValueError, match="y lacks 1: P3"):
        cca(x, y.drop(index="P3"), 1)
    with pytest.raises(ValueError, match="n_components must be a whole number from 1 to 4"):
        cca(x, y, 5)


# --- The originals on PyPI, cores, memory, messages ------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["tall", "wide"])
def test_ridge_is_the_regularised_cca_of_pyrcca(shape: str) -> None:
    """rcca minimises with uᵀSu + vᵀSv = 1 and sums of squares S, so its weights are ours divided by √(2(n − 1))."""
    golden = GOLDEN_PYTHON[shape]
    x, y = np.array(golden["x"]), np.array(golden["y"])
    found = regularized_cca(x, y, 3, ridge_x=golden["ridge"], ridge_y=golden["ridge"])
    assert_allclose(found.correlations, golden["ridge_correlations"], rtol=1e-10)
    factor = np.sqrt(2 * (len(x) - 1))
    up_to_sign(found.x_weights, np.array(golden["ridge_x_weights"]) * factor, atol=1e-9)
    up_to_sign(found.y_weights, np.array(golden["ridge_y_weights"]) * factor, atol=1e-9)


@pytest.mark.parametrize("shape", ["tall", "wide"])
def test_sparse_is_the_port_of_pma(shape: str) -> None:
    golden = GOLDEN_PYTHON[shape]
    x, y = np.array(golden["x"]), np.array(golden["y"])
    found = sparse_cca(x, y, 3, c_x=golden["c_x"], c_y=golden["c_y"])
    # PMA ends its halving of thresholds at 1e-6, and its steps when weights change by less than 1e-6.
    up_to_sign(found.x_weights, golden["sparse_x_weights"], atol=2e-6)
    up_to_sign(found.y_weights, golden["sparse_y_weights"], atol=2e-6)
    assert_allclose(found.objective, golden["sparse_objective"], rtol=1e-6)


def test_cca_is_scikit_learns_to_its_tolerance() -> None:
    x, y = related(31, n=80, p=4, q=3)
    peer = CCA(n_components=2, scale=False, max_iter=10_000, tol=1e-12).fit(x, y)
    x_scores, y_scores = peer.transform(x, y)
    found = cca(x, y, 2)
    correlations = [np.corrcoef(x_scores[:, k], y_scores[:, k])[0, 1] for k in range(2)]
    assert_allclose(found.correlations, correlations, rtol=1e-6)
    up_to_sign(found.x_scores, x_scores / x_scores.std(axis=0, ddof=1), atol=1e-4)  # its power method stops early
    up_to_sign(found.y_scores, y_scores / y_scores.std(axis=0, ddof=1), atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(25, 6, 4), (12, 30, 20), (15, 15, 40)]))
def test_turning_features_turns_the_weights_and_nothing_else(seed: int, shape: tuple[int, int, int]) -> None:
    """A rotation of a layer's features leaves ridge, PLS and their scores as they are; weights turn with it."""
    n, p, q = shape
    x, y = related(seed, n=n, p=p, q=q)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(p, p)))[0]
    for method in (
        lambda a, b: regularized_cca(a, b, 2, ridge_x=0.5, ridge_y=0.5),
        lambda a, b: pls_svd(a, b, 2, scale=False),
        lambda a, b: pls_canonical(a, b, 2, scale=False),
    ):
        plain, turned = method(x, y), method(x @ turn, y)
        up_to_sign(turned.x_scores, plain.x_scores, atol=1e-6)
        up_to_sign(turn @ turned.x_weights, plain.x_weights, atol=1e-6)
        assert_allclose(turned.correlations, plain.correlations, rtol=1e-7)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_samples_and_mirrored_features_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = related(seed, n=20, p=30, q=25)
    order, mirror = rng.permutation(20), rng.choice([-1.0, 1.0], size=30)
    for method in (
        lambda a, b: regularized_cca(a, b, 2, ridge_x=0.5, ridge_y=0.5),
        lambda a, b: sparse_cca(a, b, 1, c_x=0.5, c_y=0.5),
        lambda a, b: pls_svd(a, b, 2),
        lambda a, b: pls_canonical(a, b, 2),
    ):
        plain, other = method(x, y), method((x * mirror)[order], y[order])
        up_to_sign(other.x_scores, plain.x_scores[order], atol=1e-6)
        up_to_sign(mirror[:, None] * other.x_weights, plain.x_weights, atol=1e-6)


def test_gram_and_covariances_whiten_alike() -> None:
    x = related(32, n=15, p=40)[0]
    centred = x - x.mean(axis=0)
    of_samples = gram_whitening(x, 0.3)
    weights = centred.T @ of_samples
    assert weights.shape == (40, 14)
    assert_allclose(weights.T @ (covariance(x) + 0.3 * np.eye(40)) @ weights, np.eye(14), atol=1e-9)
    by_covariance = np.linalg.inv(covariance(x) + 0.3 * np.eye(40))
    assert_allclose(centred @ weights @ weights.T @ centred.T, centred @ by_covariance @ centred.T, atol=1e-9)


def test_shuffles_of_whitened_layers_are_refits() -> None:
    """Whitening before or after the shuffle is the same, so both tests give the same numbers."""
    x, y = related(33, n=20, p=30, q=25)
    whitened = [(t - t.mean(axis=0)) @ (t - t.mean(axis=0)).T @ gram_whitening(t, 2.0) for t in (x, y)]
    p_value, null = permutation_p_value(*whitened, n_permutations=30, rng=np.random.default_rng(1))

    def fit(first: Any, second: Any) -> Any:
        return regularized_cca(first, second, 1, ridge_x=2.0, ridge_y=2.0)

    other_p, other_null = permutation_test(x, y, fit, n_permutations=30, rng=np.random.default_rng(1))
    assert_allclose(null, other_null, rtol=1e-9)
    assert p_value == other_p[0]


def test_noise_correlates_perfectly_in_the_sample_and_not_outside() -> None:
    rng = np.random.default_rng(34)
    x, y = rng.normal(size=(2, 200, 30))
    fitted = cca(x[:60], y[:60], 1)
    assert fitted.correlations[0] > 0.9
    outside = np.corrcoef(x[60:] @ fitted.x_weights[:, 0], y[60:] @ fitted.y_weights[:, 0])[0, 1]
    assert abs(outside) < 0.3


def test_features_of_other_units_are_not_dependent() -> None:
    """A feature may be 10¹² times smaller than another and still say something of its own."""
    x, y = related(35)
    small = x * np.array([1.0, 1e-12, 1.0, 1e6, 1.0])
    assert_allclose(cca(small, y, 2).correlations, cca(x, y, 2).correlations, rtol=1e-6)


def test_errors_name_the_feature_the_layer_and_the_component() -> None:
    x, y = related(36)
    genes = pd.DataFrame(x, columns=["TP53", "MDM2", "EGFR", "MYC", "KRAS"])
    other = pd.DataFrame(y, columns=list("wxyz"))
    with pytest.raises(ValueError, match="features of x are not linearly independent: column 'KRAS'"):
        cca(genes.assign(KRAS=genes["TP53"] - genes["MYC"]), other, 1)
    with pytest.raises(ValueError, match="features of y are not linearly independent: column 'z'"):
        regularized_cca(genes, other.assign(z=other["x"]), 1, ridge_x=1, ridge_y=0)
    with pytest.raises(ValueError, match="column 'MYC' of x never varies"):
        cca(genes.assign(MYC=0.1), other, 1)
    with pytest.raises(ValueError, match="features of x never vary, the first is 'MYC'"):
        sparse_cca(genes.assign(MYC=0.1), other, 1, c_x=0.8, c_y=0.8)
    with pytest.raises(ValueError, match="features of protein never vary"):
        multiset_cca({"rna": genes, "protein": other * 0.0}, 1, ridge=1.0)
    with pytest.raises(ValueError, match=r"y has 1 missing value .*in row 2, column 'x'"):
        cca(genes, other.where(other != other.loc[2, "x"]), 1)
    shifted = other.set_axis(range(1, 61))
    with pytest.raises(ValueError, match="row 0 is 0 in x and 1 in y"):
        canonical_weights(genes, shifted)
    one = pd.DataFrame(np.outer(x[:, 0], np.ones(4)), columns=list("wxyz"))
    with pytest.raises(ValueError, match="nothing is left for component 2; ask for n_components=1"):
        sparse_cca(np.outer(x[:, 0], np.ones(4)), one.to_numpy(), 2, c_x=1.0, c_y=1.0)


def test_weights_that_do_not_settle_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reference_impl.integration.cca.MOST_STEPS", 1)
    x, y = related(37)
    with pytest.warns(ConvergenceWarning, match="component 1: the weights still changed after 1 steps; a smaller c_x"):
        sparse_cca(x, y, 1, c_x=0.7, c_y=0.7)


WIDE = (100, 3000, 2500)


@pytest.mark.parametrize(
    ("method", "times"),
    [
        (lambda x, y: regularized_cca(x, y, 2, ridge_x=1.0, ridge_y=1.0), 2),
        (lambda x, y: sparse_cca(x, y, 2, c_x=0.2, c_y=0.2), 3),
        (lambda x, y: multiset_cca([x, y], 2, ridge=1.0), 2),
        (lambda x, y: pls_svd(x, y, 2), 3),
        (lambda x, y: pls_canonical(x, y, 2), 5),
        (lambda x, y: cca(x.T[:2500, :60], y.T[:, 40:], 2), 2),
    ],
    ids=["regularized_cca", "sparse_cca", "multiset_cca", "pls_svd", "pls_canonical", "cca"],
)
def test_memory_is_a_small_multiple_of_the_input(method: Any, times: int) -> None:
    """As the docstrings say; XᵀY alone would be 14 times the layers."""
    rng = np.random.default_rng(38)
    x, y = rng.normal(size=WIDE[:2]), rng.normal(size=(WIDE[0], WIDE[2]))
    layers = x.nbytes + y.nbytes
    tracemalloc.start()
    try:
        method(x, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    print(f"{peak / layers:.2f} times the layers")
    assert peak < times * layers


def test_feature_correlations_are_pearsons() -> None:
    x, y = related(39)
    table = pd.DataFrame(x, columns=list("abcde")).assign(still=4.0)
    found = feature_correlations(table, y)
    assert_allclose(found.to_numpy()[:5], np.corrcoef(x.T, y.T)[:5, 5:], atol=1e-12)
    assert found.loc["still"].isna().all()


def test_pictures_show_every_feature_and_sample_that_they_say() -> None:
    x, y = related(40, n=30, p=12, q=9)
    pair = regularized_cca(x, y, 2, ridge_x=0.5, ridge_y=0.5)
    circle = plot_correlation_circle({"rna": x, "protein": y}, pair.x_scores, at_least=0.0, named=2)
    assert [len(points.get_offsets()) for points in circle.collections] == [12, 9]
    assert_allclose(circle.collections[0].get_offsets(), feature_correlations(x, pair.x_scores), atol=1e-12)
    assert len(circle.texts) == 4
    arrows = plot_arrows(pair.x_scores, pair.y_scores)
    assert len(arrows.collections[0].get_offsets()) == 30
    assert "30 samples, 2 pairs of scores" in describe_pair(pair.x_scores, pair.y_scores)
    with pytest.raises(ValueError, match="scores has 1 component"):
        plot_correlation_circle([x], x[:, :1])
    with pytest.raises(ValueError, match="component 1 of y_scores never varies"):
        describe_pair(x[:, :2], np.column_stack([y[:, 0], np.ones(30)]))
    plt.close("all")
