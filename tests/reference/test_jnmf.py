"""Joint non-negative matrix factorisation: scikit-learn's trajectory, closed forms, planted parts, missing layers."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import nnls
from sklearn.base import clone
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from reference_impl.integration.jnmf import (
    JointNMF,
    choose_rank,
    consensus_matrix,
    coordinate_step,
    cophenetic_correlation,
    joint_nmf,
    match_parts,
    objective,
    scale_layers,
    separate_nmf,
    update_step,
    weighted_update_step,
)


def planted(seed: int, n: int = 40, widths: tuple[int, ...] = (30, 20, 15), rank: int = 3, noise: float = 0.05) -> Any:
    """Layers made of sparse parts; returns the layers and H."""
    rng = np.random.default_rng(seed)
    h = rng.gamma(0.4, size=(n, rank))
    layers = {}
    for name, width in zip("abcdef", widths, strict=False):
        clean = h @ rng.gamma(0.3, size=(rank, width))
        layers[name] = clean + noise * clean.mean() * rng.random((n, width))
    return layers, h


def start(seed: int, layers: dict[str, np.ndarray], rank: int = 3) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    n = len(next(iter(layers.values())))
    return rng.random((n, rank)), [rng.random((x.shape[1], rank)) for x in layers.values()]


# --- Steps -----------------------------------------------------------------------------------------------------------


def test_multiplicative_updates_follow_scikit_learn_on_the_stacked_matrix() -> None:
    layers, _ = planted(0)
    tables = list(layers.values())
    h, w = start(1, layers)
    together = np.vstack(w)
    for steps in (1, 2, 20):
        peer = NMF(3, init="custom", solver="mu", max_iter=steps, tol=0)
        peer_h = peer.fit_transform(np.hstack(tables), W=h.copy(), H=together.T.copy())
        ours_h, ours_w = h, w
        for _ in range(steps):
            ours_h, ours_w = update_step(tables, ours_h, ours_w)
        assert_allclose(ours_h, peer_h, rtol=1e-9)
        assert_allclose(np.vstack(ours_w).T, peer.components_, rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_a_step_never_raises_the_objective_and_keeps_all_above_zero(seed: int, rank: int) -> None:
    layers, _ = planted(seed, n=12, widths=(8, 6))
    tables = list(layers.values())
    h, w = start(seed, layers, rank)
    before = objective(tables, h, w)
    for _ in range(5):
        h, w = update_step(tables, h, w)
        now = objective(tables, h, w)
        assert now <= before * (1 + 1e-12)
        before = now
    assert h.min() >= 0
    assert min(part.min() for part in w) >= 0


def test_a_true_factorisation_stands_still() -> None:
    rng = np.random.default_rng(2)
    h, w = rng.gamma(1, size=(10, 2)), [rng.gamma(1, size=(6, 2)), rng.gamma(1, size=(5, 2))]
    layers = [h @ part.T for part in w]
    assert objective(layers, h, w) == 0
    new_h, new_w = update_step(layers, h, w)
    assert_allclose(new_h, h, rtol=1e-12)
    assert_allclose(np.vstack(new_w), np.vstack(w), rtol=1e-12)


def test_zero_stays_zero_and_nothing_is_divided_by_zero() -> None:
    layers, _ = planted(3)
    h, w = start(3, layers)
    h[:, 1] = 0
    for part in w:
        part[:, 1] = 0
    new_h, new_w = update_step(list(layers.values()), h, w)
    assert np.isfinite(new_h).all()
    assert (new_h[:, 1] == 0).all()
    assert all((part[:, 1] == 0).all() for part in new_w)


def test_names_and_order_of_layers_do_not_matter_to_a_step() -> None:
    layers, _ = planted(17)
    h, w = start(17, layers)
    plain_h, plain_w = update_step(list(layers.values()), h, w)
    named = dict(zip(layers, w, strict=True))
    new_h, new_w = update_step({name: pd.DataFrame(x) for name, x in reversed(layers.items())}, h, named)
    assert_allclose(new_h, plain_h, rtol=1e-12)
    for name, part in zip(layers, plain_w, strict=True):
        assert_allclose(new_w[name], part, rtol=1e-12)


def test_weights_of_one_change_nothing_and_weights_of_a_layer_are_its_scale() -> None:
    layers, _ = planted(18)
    tables = list(layers.values())
    h, w = start(18, layers)
    ones = [np.ones(len(h))] * 3
    for ours, theirs in zip(weighted_update_step(tables, h, w, ones), update_step(tables, h, w), strict=True):
        assert_allclose(np.vstack(ours), np.vstack(theirs), rtol=1e-12)
    heavy = weighted_update_step(tables, h, w, [9 * ones[0], ones[1], ones[2]])
    louder = update_step([3 * tables[0], *tables[1:]], h, [3 * w[0], *w[1:]])
    assert_allclose(heavy[0], louder[0], rtol=1e-10)
    assert_allclose(3 * heavy[1][0], louder[1][0], rtol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_weighted_step_never_raises_the_weighted_objective(seed: int) -> None:
    layers, _ = planted(seed, n=12, widths=(8, 6))
    tables = list(layers.values())
    h, w = start(seed, layers)
    rng = np.random.default_rng(seed)
    weights = [rng.choice([0.0, 0.5, 1.0], size=12), np.ones(12)]
    gapped = [np.where(v[:, None] > 0, x, np.nan) for x, v in zip(tables, weights, strict=True)]

    def counted(h: np.ndarray, w: list[np.ndarray]) -> float:
        return float(
            sum(np.nansum(v[:, None] * (x - h @ p.T) ** 2) for x, p, v in zip(gapped, w, weights, strict=True))
        )

    before = counted(h, w)
    for _ in range(5):
        h, w = weighted_update_step(gapped, h, w, weights)
        assert np.isfinite(h).all()
        assert counted(h, w) <= before * (1 + 1e-12)
        before = counted(h, w)


def test_the_method_with_missing_layers_takes_the_weighted_steps() -> None:
    """Same trajectory: the start of the method is drawn as here."""
    layers, _ = planted(19)
    layers["c"][:12] = np.nan
    weights = {name: (~np.isnan(x).all(axis=1)).astype(float) for name, x in layers.items()}
    with pytest.warns(ConvergenceWarning):
        found = joint_nmf(layers, 3, rng=np.random.default_rng(5), solver="mu", n_starts=1, max_iterations=12)
    rng = np.random.default_rng(5)
    size = np.sqrt(np.mean([np.nanmean(x) for x in layers.values()]) / 3)
    h = size * np.abs(rng.normal(size=(40, 3)))
    w = {name: size * np.abs(rng.normal(size=(x.shape[1], 3))) for name, x in layers.items()}
    for _ in range(12):
        h, w = weighted_update_step(layers, h, w, weights)
    for name in layers:  # the product does not depend on how parts are scaled and ordered
        assert_allclose(found.h @ found.w[name].T, h @ w[name].T, rtol=1e-8)


def test_coordinate_steps_reach_the_non_negative_least_squares() -> None:
    """Against SciPy's exact solver, row by row."""
    rng = np.random.default_rng(4)
    x, g = rng.random((7, 12)), rng.random((12, 3))
    factor = np.ones((7, 3))
    for _ in range(500):
        factor = coordinate_step(factor, x @ g, g.T @ g)
    assert_allclose(factor, [nnls(g, row)[0] for row in x], atol=1e-8)


# --- The method ------------------------------------------------------------------------------------------------------


def test_planted_parts_are_found() -> None:
    layers, h = planted(5)
    found = joint_nmf(layers, 3, rng=np.random.default_rng(0))
    _, cosine = match_parts(h, found.h)
    assert cosine.min() > 0.99
    assert found.objective < 1e-3 * sum(np.sum(x**2) for x in layers.values())
    stacked = np.vstack(list(found.w.values()))
    assert_allclose(np.linalg.norm(stacked, axis=0), 1.0)
    size = np.linalg.norm(found.h, axis=0)
    assert (np.diff(size) <= 0).all()
    rebuilt = objective(list(layers.values()), found.h, list(found.w.values()))
    assert_allclose(found.objective, rebuilt, rtol=1e-6)


@pytest.mark.parametrize("solver", ["hals", "mu"])
def test_the_objective_falls_in_every_iteration(solver: str) -> None:
    layers, _ = planted(6)
    found = joint_nmf(layers, 3, rng=np.random.default_rng(0), solver=solver, n_starts=2, max_iterations=2000)
    size = sum(np.sum(x**2) for x in layers.values())
    assert (np.diff(found.history) <= 1e-12 * size).all()


def test_coordinate_updates_are_at_least_as_good_as_multiplicative_ones() -> None:
    layers, _ = planted(7)
    best = {
        solver: joint_nmf(layers, 3, rng=np.random.default_rng(0), solver=solver, max_iterations=3000, tolerance=1e-7)
        for solver in ("hals", "mu")
    }
    assert best["hals"].objective <= best["mu"].objective * 1.01
    assert len(best["hals"].history) < len(best["mu"].history)


def test_it_is_one_factorisation_of_the_layers_side_by_side() -> None:
    layers, _ = planted(8)
    together = {"all": np.hstack(list(layers.values()))}
    one = joint_nmf(layers, 3, rng=np.random.default_rng(1), tolerance=1e-9, max_iterations=5000)
    other = joint_nmf(together, 3, rng=np.random.default_rng(2), tolerance=1e-9, max_iterations=5000)
    assert_allclose(one.objective, other.objective, rtol=1e-3)
    assert match_parts(one.h, other.h)[1].min() > 0.999


def test_the_largest_layer_wins_unless_layers_are_scaled() -> None:
    rng = np.random.default_rng(9)
    ours, theirs = rng.gamma(0.3, size=(2, 60, 2))
    layers = {"loud": 100 * theirs @ rng.gamma(0.3, size=(2, 40)), "quiet": ours @ rng.gamma(0.3, size=(2, 40))}
    plain = joint_nmf(layers, 2, rng=np.random.default_rng(0))
    assert match_parts(theirs, plain.h)[1].min() > 0.99
    scaled = scale_layers(layers)
    assert_allclose([np.sum(x**2) for x in scaled.values()], 60)
    both = joint_nmf(scaled, 4, rng=np.random.default_rng(0))
    assert match_parts(np.hstack([ours, theirs]), both.h)[1].min() > 0.95


def test_separate_factorisations_do_not_line_up_and_the_joint_one_does() -> None:
    layers, h = planted(10, noise=0.5)
    alone = separate_nmf(layers, 3, rng=np.random.default_rng(3), n_starts=1)
    same_position = [
        float(np.mean(np.sum(a * b, axis=0) / np.linalg.norm(a, axis=0) / np.linalg.norm(b, axis=0)))
        for a, b in [(alone["a"].h, alone["b"].h), (alone["b"].h, alone["c"].h)]
    ]
    matched = [match_parts(alone["a"].h, alone["b"].h)[1].mean(), match_parts(alone["b"].h, alone["c"].h)[1].mean()]
    assert np.mean(same_position) < np.mean(matched)
    joint = joint_nmf(scale_layers(layers), 3, rng=np.random.default_rng(3))
    each = [match_parts(h, found.h)[1].mean() for found in alone.values()]
    assert match_parts(h, joint.h)[1].mean() > max(each)


def test_a_sample_that_lacks_a_layer_is_told_by_the_others() -> None:
    layers, h = planted(11, n=60)
    labelled = {name: pd.DataFrame(x, index=[f"P{i}" for i in range(60)]) for name, x in layers.items()}
    labelled["c"] = labelled["c"].iloc[20:]
    found = joint_nmf(labelled, 3, rng=np.random.default_rng(0))
    assert found.h.index.tolist() == [f"P{i}" for i in range(60)]
    assert match_parts(h, found.h)[1].min() > 0.98
    predicted = found.h.iloc[:20] @ found.w["c"].T
    truth = layers["c"][:20]
    assert ((predicted - truth) ** 2).to_numpy().mean() < 0.1 * ((truth - layers["c"][20:].mean(axis=0)) ** 2).mean()
    as_rows = dict(layers)
    as_rows["c"] = np.where(np.arange(60)[:, None] < 20, np.nan, layers["c"])
    assert_allclose(joint_nmf(as_rows, 3, rng=np.random.default_rng(0)).h, found.h)


def test_multiplicative_updates_are_far_from_the_end_after_200_iterations() -> None:
    """How far above the best objective known, from the same start: HALS is done where the other is not."""
    layers, _ = planted(20, n=80, widths=(200, 150, 100), rank=5, noise=0.3)
    histories = {}
    for solver in ("mu", "hals"):
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            found = joint_nmf(
                layers, 5, rng=np.random.default_rng(1), solver=solver, n_starts=1, max_iterations=200, tolerance=0
            )
        histories[solver] = found.history
    best = min(histories["hals"][-1], histories["mu"][-1])
    assert histories["hals"][100] < 1.001 * best
    assert histories["mu"][-1] > 1.005 * best


# --- Rank ------------------------------------------------------------------------------------------------------------


def test_the_planted_rank_is_stable() -> None:
    rng = np.random.default_rng(12)
    h = np.repeat(np.eye(4), 10, axis=0) + 0.1 * rng.random((40, 4))
    layers = [h @ rng.gamma(0.3, size=(4, p)) + 0.2 * rng.random((40, p)) for p in (60, 40)]
    table = choose_rank(layers, [3, 4, 5, 6], rng=np.random.default_rng(0), n_starts=10).set_index("rank")
    assert table.loc[4, "cophenetic"] > 0.99
    assert table.loc[4, "dispersion"] == table["dispersion"].max()
    assert table.loc[4, "stability"] > 0.99
    assert table.loc[[5, 6], "stability"].max() < table.loc[4, "stability"]
    assert (np.diff(table["objective"]) < 0).all()


def test_consensus_by_hand() -> None:
    consensus = consensus_matrix([[0, 0, 1, 1], [0, 1, 1, 1]])
    assert consensus.tolist() == [[1, 0.5, 0, 0], [0.5, 1, 0.5, 0.5], [0, 0.5, 1, 1], [0, 0.5, 1, 1]]
    assert cophenetic_correlation(consensus) < 1
    assert cophenetic_correlation(np.ones((3, 3))) == 1.0


# --- Estimator -------------------------------------------------------------------------------------------------------


def test_estimator_transforms_new_samples_from_any_layer() -> None:
    layers, h = planted(13, n=80, noise=0.01)
    train, rest = ({name: x[part] for name, x in layers.items()} for part in (slice(0, 60), slice(60, 80)))
    model = clone(JointNMF(rank=3)).fit(train)
    again = model.transform(train)
    assert_allclose(again, model.factors_, atol=0.02 * model.factors_.max())
    for names in (["a"], ["b", "c"]):
        _, cosine = match_parts(h[60:], model.transform({name: rest[name] for name in names}))
        assert cosine.min() > 0.95
    rebuilt = model.factors_ @ model.weights_["a"].T
    assert np.linalg.norm(rebuilt - train["a"]) < 0.1 * np.linalg.norm(train["a"])
    with pytest.raises(ValueError, match="no layer 'd'"):
        model.transform({"d": rest["a"]})
    with pytest.raises(ValueError, match="features of a"):
        model.transform({"a": rest["a"][:, :5]})


# --- Errors ----------------------------------------------------------------------------------------------------------


def test_bad_layers_are_named() -> None:
    layers, _ = planted(14, n=6)
    a, b = layers["a"], layers["b"]
    negative, gap, nobody = a.copy(), a.copy(), a.copy()
    negative[2, 1] = -3.0
    gap[4, 0] = np.nan
    nobody[5] = np.nan
    rng = np.random.default_rng(0)
    for bad, words in [
        ([negative, b], "layer 0 has the negative value -3 for sample 2, feature 1"),
        ([gap, b], "layer 0 has gaps inside 1 samples, the first is 4"),
        (
            [nobody, np.where(np.arange(6)[:, None] == 5, np.nan, b)],
            "1 sample has no value in any layer; the first is 5",
        ),
        ([a, b[:4]], "the same samples in the same order"),
        ([a, 0 * b], "layer 1 has no value above zero"),
        ([a, pd.DataFrame(b)], "all DataFrames or all arrays"),
        ([], "at least one layer"),
        ("rna", "layers must be a dict"),
    ]:
        with pytest.raises(ValueError, match=words):
            joint_nmf(bad, 2, rng=rng)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rank": 0}, "rank must be"),
        ({"rank": 99}, "rank must be a whole number from 1 to 40"),
        ({"solver": "newton"}, 'solver must be "hals" or "mu"'),
        ({"n_starts": 0}, "n_starts"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"tolerance": -1}, "tolerance"),
        ({"rng": 3}, "rng must be"),
    ],
)
def test_bad_parameters_are_named(change: dict[str, Any], words: str) -> None:
    layers, _ = planted(15)
    with pytest.raises(ValueError, match=words):
        joint_nmf(layers, **{"rank": 3, "rng": np.random.default_rng(0), **change})


def test_stopping_too_early_is_a_warning_that_says_what_to_do() -> None:
    layers, _ = planted(16)
    with pytest.warns(
        ConvergenceWarning, match="rank 3 the factors still moved after 15 iterations; raise max_iterations"
    ):
        joint_nmf(layers, 3, rng=np.random.default_rng(0), solver="mu", max_iterations=15)


def test_an_unsettled_rank_is_named() -> None:
    layers, _ = planted(21)
    with pytest.warns(ConvergenceWarning, match="with rank 4 the factors still moved after 11 iterations"):
        choose_rank(layers, [4], rng=np.random.default_rng(0), n_starts=2, max_iterations=11, tolerance=0)


def test_what_does_not_fit_a_step_is_named() -> None:
    layers, _ = planted(22, n=6)
    h, w = start(22, layers)
    parts = dict(zip(layers, w, strict=True))
    ones = {name: np.ones(6) for name in layers}
    negative = {**layers, "b": layers["b"] - 5}
    for step, words in [
        (lambda: objective(negative, h, parts), "b has a negative or missing value in row 0"),
        (lambda: objective(layers, h[:5], parts), r"a is \(6, 30\), but h is \(5, 3\)"),
        (lambda: update_step(layers, h, {"a": w[0], "b": w[1]}), "w is for a, b and the layers are a, b, c"),
        (lambda: update_step(layers, h, w[:2]), "w is for 2 layers and the layers are a, b, c"),
        (lambda: update_step(layers, h, {**parts, "c": w[0]}), r"c is \(6, 15\)"),
        (lambda: weighted_update_step(layers, h, w, {**ones, "b": -ones["b"]}), "weights of b must be 6 numbers of 0"),
        (lambda: weighted_update_step(layers, h, w, {**ones, "b": np.ones(5)}), "weights of b must be 6 numbers of 0"),
        (lambda: weighted_update_step(layers, h, w, [np.arange(6.0)] * 3), "no value in any layer; the first is 0"),
        (lambda: coordinate_step(h, h[:4], np.eye(3)), r"target \(4, 3\)"),
        (lambda: match_parts(h, h[:4]), "same samples in the same order"),
        (lambda: match_parts(pd.DataFrame(h), pd.DataFrame(h).iloc[::-1]), "same samples in the same order"),
        (lambda: scale_layers({"a": -layers["a"]}), "a has the negative value"),
    ]:
        with pytest.raises(ValueError, match=words):
            step()


@pytest.mark.parametrize(
    ("call", "most"),
    [
        (lambda x, h, w: objective(x, h, w), 2.2),
        (lambda x, h, w: update_step(x, h, w), 1.3),
        (lambda x, h, w: weighted_update_step(x, h, w, {name: np.ones(300) for name in x}), 2.2),
        (lambda x, h, w: scale_layers(x), 2.0),
        (lambda x, h, w: joint_nmf(x, 5, rng=np.random.default_rng(0), n_starts=2, max_iterations=12), 1.4),
        (lambda x, h, w: separate_nmf(x, 5, rng=np.random.default_rng(0), n_starts=2, max_iterations=12), 2.3),
        (lambda x, h, w: choose_rank(x, [2, 3], rng=np.random.default_rng(0), n_starts=3, max_iterations=12), 1.4),
        (lambda x, h, w: JointNMF(5, n_starts=2, max_iterations=12).fit(x).transform(x), 1.8),
    ],
    ids=["objective", "update", "weighted", "scale", "joint", "separate", "rank", "estimator"],
)
def test_peak_memory_is_what_the_docstring_says(call: Callable[..., Any], most: float) -> None:
    """In multiples of the layers; factors and small arrays are the rest."""
    rng = np.random.default_rng(0)
    layers = {name: rng.random((300, p)) for name, p in [("a", 3000), ("b", 2000), ("c", 1000)]}
    h, w = rng.random((300, 5)), {name: rng.random((x.shape[1], 5)) for name, x in layers.items()}
    tracemalloc.start()
    try:
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            call(layers, h, w)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most * sum(x.nbytes for x in layers.values())
