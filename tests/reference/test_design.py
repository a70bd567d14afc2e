"""reference_impl.design against R, closed forms, exact enumeration and bad input."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from reference_impl.cohort import MultiOmics, load
from reference_impl.design import (
    anchor_map,
    feature_network,
    matched_samples,
    network_overlap,
    paired_difference_variance,
    paired_power,
    simulated_power,
    unpaired_power,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "design" / "golden.json").read_text())
POWER = 1e-11  # two programs for the noncentral t differ by 1e-12


# ---------------------------------------------------------------- matched_samples


def layer(labels: list[str], values: list[float] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"feature": np.arange(len(labels), dtype=float) if values is None else values}, index=labels)


def test_matched_samples_keep_the_order_of_the_first_layer() -> None:
    layers = {"rna": layer(["P3", "P1", "P2"]), "protein": layer(["P1", "P2", "P3", "P4"]), "dna": layer(["P2", "P3"])}
    assert matched_samples(layers).tolist() == ["P3", "P2"]


def test_an_empty_row_is_no_measurement_and_a_partial_one_is() -> None:
    protein = pd.DataFrame({"a": [np.nan, np.nan, 1.0], "b": [np.nan, 2.0, 3.0]}, index=["P1", "P2", "P3"])
    assert matched_samples({"rna": layer(["P1", "P2", "P3"]), "protein": protein}).tolist() == ["P2", "P3"]
    assert matched_samples({"protein": protein, "rna": layer(["P1", "P2", "P3"])}).tolist() == ["P2", "P3"]


def test_an_unmatched_design_shares_nobody() -> None:
    assert len(matched_samples({"rna": layer(["P1"]), "protein": layer(["Q1"])})) == 0


def test_the_cohort_agrees_with_its_container_and_with_the_truth() -> None:
    cohort = load("cohort")
    truth = json.loads((Path(__file__).parents[2] / "data" / "truth" / "cohort.json").read_text())
    shared = matched_samples(cohort.layers)
    assert shared.tolist() == cohort.matched().patients.tolist()
    absent = {patient for patients in truth["missing_layer"].values() for patient in patients}
    assert set(shared) == set(cohort.patients) - absent
    reindexed = {name: table.reindex(cohort.patients) for name, table in cohort.layers.items()}
    assert matched_samples(reindexed).tolist() == shared.tolist()


def test_the_cohort_as_mudata_has_the_same_matched_samples() -> None:
    pytest.importorskip("mudata", reason="the optional package mudata is not installed")
    cohort = load("cohort")
    data = cohort.to_mudata()
    everywhere = data.obs_names[np.all([mask.ravel() for mask in data.obsm.values()], axis=0)]
    assert set(everywhere) == set(matched_samples(cohort.layers))
    back = MultiOmics.from_mudata(data)
    assert matched_samples(back.layers).tolist() == matched_samples(cohort.layers).tolist()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([layer(["P1"]), layer(["P1"])], "must be a dict"),
        ({"rna": layer(["P1"])}, "at least 2 layers; got 1"),
        ({"rna": layer(["P1"]), "protein": np.ones((1, 2))}, "layer 'protein' must be a DataFrame"),
        ({"rna": layer(["P1"]), "protein": layer(["P1", "P1"])}, "layer 'protein' has the sample 'P1' twice"),
    ],
)
def test_bad_layers(layers: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        matched_samples(layers)


# ---------------------------------------------------------------- variance and power

sds = st.floats(0.01, 100)
correlations = st.floats(-1, 1)


@given(sds, sds, correlations)
def test_variance_is_the_formula_and_never_negative(sd_x: float, sd_y: float, rho: float) -> None:
    variance = paired_difference_variance(sd_x, sd_y, rho)
    assert variance >= 0
    assert_allclose(variance, sd_x**2 + sd_y**2 - 2 * rho * sd_x * sd_y, rtol=1e-12, atol=1e-12 * (sd_x + sd_y) ** 2)
    assert_allclose(variance, paired_difference_variance(sd_y, sd_x, rho))


def test_variance_of_real_numbers() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    y = 2 + 0.4 * x + rng.normal(size=500)
    variance = paired_difference_variance(x.std(ddof=1), y.std(ddof=1), np.corrcoef(x, y)[0, 1])
    assert_allclose(variance, (x - y).var(ddof=1), rtol=1e-12)
    assert paired_difference_variance(0.1, 0.1, 1.0) == 0.0
    assert paired_difference_variance(0.0, 3.0, 0.7) == 9.0


def test_paired_power_is_that_of_r() -> None:
    for case in GOLDEN["paired"]:
        power = paired_power(case["effect"], case["sd_x"], case["sd_y"], case["rho"], case["n"], alpha=case["alpha"])
        assert_allclose(power, case["power"], atol=POWER, err_msg=str(case))


@pytest.mark.parametrize("part", ["unpaired_equal", "unpaired_welch"])
def test_unpaired_power_is_that_of_r(part: str) -> None:
    for case in GOLDEN[part]:
        power = unpaired_power(case["effect"], case["sd_x"], case["sd_y"], case["n"], alpha=case["alpha"])
        assert_allclose(power, case["power"], atol=POWER, err_msg=str(case))


def test_degrees_of_freedom_are_those_of_welch() -> None:
    for case in GOLDEN["welch_degrees"]:
        x, y, n = case["sd_x"] ** 2, case["sd_y"] ** 2, case["n"]
        assert_allclose((n - 1) * (x + y) ** 2 / (x**2 + y**2), case["df"], rtol=1e-9)


def test_power_without_an_effect_is_the_level() -> None:
    for n, alpha in ((2, 0.05), (7, 0.01), (200, 1e-4)):
        assert_allclose(paired_power(0.0, 1.0, 2.0, 0.3, n, alpha=alpha), alpha, rtol=1e-9)
        assert_allclose(unpaired_power(0.0, 1.0, 2.0, n, alpha=alpha), alpha, rtol=1e-9)


def test_power_of_two_pairs_in_closed_form() -> None:
    """With n = 2 the t test has one degree of freedom; its power is an integral over the half-normal length."""
    critical = stats.t.ppf(0.975, 1)
    length = np.linspace(0, 12, 200_001)
    density = 2 * stats.norm.pdf(length)
    missed = stats.norm.cdf(critical * length - 1.7) - stats.norm.cdf(-critical * length - 1.7)
    expected = 1 - np.trapezoid(missed * density, length)
    assert_allclose(paired_power(1.7 / np.sqrt(2), 1.0, 0.0, 0.0, 2), expected, atol=1e-7)  # the grid's error


def test_large_studies_approach_the_normal_test() -> None:
    n, effect = 20_000, 0.02
    z = effect / np.sqrt(paired_difference_variance(1, 1, 0.4) / n)
    expected = stats.norm.sf(1.959964 - z) + stats.norm.cdf(-1.959964 - z)
    assert_allclose(paired_power(effect, 1, 1, 0.4, n), expected, atol=1e-4)


def test_power_far_from_chance_is_one_and_never_missing() -> None:
    for n in (3, 31, 1000):
        for effect in (-1e3, 30.0, 1e6):
            assert paired_power(effect, 1, 1, 0.5, n) == pytest.approx(1.0, abs=1e-6)
            assert unpaired_power(effect, 1, 1, n) == pytest.approx(1.0, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 2), st.floats(0.3, 3), st.floats(0.3, 3), st.floats(-0.95, 0.9), st.integers(2, 40))
def test_power_grows_with_correlation_and_with_patients(
    effect: float, sd_x: float, sd_y: float, rho: float, n: int
) -> None:
    power = paired_power(effect, sd_x, sd_y, rho, n)
    assert_allclose(paired_power(-effect, sd_y, sd_x, rho, n), power, atol=1e-12)
    assert paired_power(effect, sd_x, sd_y, rho + 0.05, n) >= power - 1e-12
    assert paired_power(effect, sd_x, sd_y, rho, n + 1) >= power - 1e-12
    assert paired_power(10 * effect, 10 * sd_x, 10 * sd_y, rho, n) == pytest.approx(power, abs=1e-10)


def test_pairing_loses_without_correlation_and_with_few_patients() -> None:
    for n in (3, 5, 30):
        assert paired_power(1.0, 1.0, 1.0, 0.0, n) < unpaired_power(1.0, 1.0, 1.0, n)
        assert paired_power(1.0, 1.0, 1.0, -0.4, n) < unpaired_power(1.0, 1.0, 1.0, n)
    # A correlation that pays with 30 pairs does not yet pay with 3: the degrees of freedom are halved.
    assert paired_power(1.0, 1.0, 1.0, 0.2, 3) < unpaired_power(1.0, 1.0, 1.0, 3)
    assert paired_power(0.5, 1.0, 1.0, 0.2, 30) > unpaired_power(0.5, 1.0, 1.0, 30)


@pytest.mark.parametrize("arguments", [(0.7, 1.0, 1.0, 0.5, 10), (0.8, 1.0, 2.0, -0.3, 20), (1.0, 1.5, 0.7, 0.9, 8)])
def test_simulated_studies_agree_with_the_formulas(arguments: tuple[float, float, float, float, int]) -> None:
    effect, sd_x, sd_y, _, n = arguments
    paired, unpaired = simulated_power(*arguments, n_studies=40_000, rng=np.random.default_rng(3))
    assert paired == pytest.approx(paired_power(*arguments), abs=0.01)  # four standard errors of the simulation
    # From n = 8 on the formula for Welch's test is within 0.01; the rest is the simulation.
    assert unpaired == pytest.approx(unpaired_power(effect, sd_x, sd_y, n), abs=0.02)


def test_simulated_studies_are_tested_as_scipy_does() -> None:
    """The same random numbers, given to scipy's own tests, lead to the same shares."""
    effect, sd_x, sd_y, rho, n = 0.9, 1.0, 1.6, 0.5, 6
    x, own, others = np.random.default_rng(8).normal(size=(3, 300, n))
    same_patient = sd_y * (rho * x + np.sqrt(1 - rho**2) * own)
    paired = stats.ttest_rel(effect + sd_x * x, same_patient, axis=1).pvalue
    unpaired = stats.ttest_ind(effect + sd_x * x, sd_y * others, axis=1, equal_var=False).pvalue
    simulated = simulated_power(effect, sd_x, sd_y, rho, n, n_studies=300, rng=np.random.default_rng(8))
    assert simulated == pytest.approx(((paired < 0.05).mean(), (unpaired < 0.05).mean()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_difference_variance(-1, 1, 0), "sd_x must be a number from 0"),
        (lambda: paired_difference_variance(1, np.nan, 0), "sd_y"),
        (lambda: paired_difference_variance(1, 1, 1.1), "rho must be a number from -1 to 1; got 1.1"),
        (lambda: paired_power(1, 1, 1, 0.5, 1), "n must be a whole number of at least 2; got 1"),
        (lambda: paired_power(1, 1, 1, 0.5, 10, alpha=0.0), "alpha must lie strictly between 0 and 1"),
        (lambda: paired_power(np.inf, 1, 1, 0.5, 10), "effect"),
        (lambda: paired_power(1, 2.0, 2.0, 1.0, 10), "does not vary"),
        (lambda: unpaired_power(1, 1, 1, 2.5), "n must be a whole number"),  # type: ignore[arg-type]
        (lambda: unpaired_power(1, 0, 0, 5), "neither group varies"),
        (lambda: unpaired_power(1, -1, 1, 5), "sd_x"),
        (lambda: simulated_power(1, 1, 1, 0, 5, n_studies=0, rng=np.random.default_rng(0)), "n_studies"),
        (lambda: simulated_power(1, 1, 1, 0, 5, n_studies=9, rng=0), "Generator"),  # type: ignore[arg-type]
        (lambda: simulated_power(1, 1, 1, 1, 5, n_studies=9, rng=np.random.default_rng(0)), "does not vary"),
    ],
)
def test_bad_arguments_of_power(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- feature_network


def test_network_is_that_of_spearman_in_r() -> None:
    x, correlation = np.array(GOLDEN["network"]["layer"]), np.array(GOLDEN["network"]["spearman"])
    values = np.unique(np.abs(correlation[np.triu_indices(len(correlation), 1)]))
    for threshold in values[(values > 0) & (values < 1)]:  # each correlation itself is a threshold: ties are links
        expected = np.abs(correlation) >= threshold - 1e-12
        np.fill_diagonal(expected, False)
        assert_array_equal(feature_network(x, threshold=threshold), expected)


def test_network_by_hand() -> None:
    # Ranks 1 2 3 4 5 against 2 1 4 3 5: Σd² = 4, ρ = 1 − 6·4 / (5·24) = 0.8.
    x = pd.DataFrame({"up": [1, 2, 3, 4, 5], "near": [20, 10, 40, 30, 50], "down": [5, 4, 3, 2, 1], "flat": [7] * 5})
    assert feature_network(x, threshold=0.8).loc["up"].tolist() == [False, True, True, False]
    assert feature_network(x, threshold=0.81).loc["up"].tolist() == [False, False, True, False]


def test_network_does_not_depend_on_logarithms_or_order_of_samples() -> None:
    rng = np.random.default_rng(4)
    x = rng.lognormal(size=(25, 12))
    network = feature_network(x, threshold=0.3)
    assert network.any()
    assert_array_equal(feature_network(np.log(x), threshold=0.3), network)
    assert_array_equal(feature_network(x[rng.permutation(25)], threshold=0.3), network)
    order = rng.permutation(12)
    assert_array_equal(feature_network(x[:, order], threshold=0.3), network[np.ix_(order, order)])


def test_network_keeps_labels_and_leaves_its_input_alone() -> None:
    x = pd.DataFrame(np.random.default_rng(5).normal(size=(9, 3)), columns=["a", "b", "c"])
    before = x.copy()
    network = feature_network(x, threshold=0.5)
    assert network.index.tolist() == network.columns.tolist() == ["a", "b", "c"]
    assert network.dtypes.eq(bool).all()
    pd.testing.assert_frame_equal(x, before)
    assert_array_equal(feature_network(x.to_numpy(), threshold=0.5), network)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: feature_network(np.ones((5, 2)), threshold=0.0), "threshold must lie strictly"),
        (lambda: feature_network(np.ones((5, 2)), threshold=1.0), "threshold must lie strictly"),
        (lambda: feature_network(np.ones((2, 2)), threshold=0.5), "2 samples are too few"),
        (
            lambda: feature_network(pd.DataFrame({"a": [1.0, 2, 3], "b": [1, np.nan, np.nan]}), threshold=0.5),
            r"feature 'b' lacks 2 of 3 values \(1 features have gaps\)",
        ),
        (lambda: feature_network(pd.DataFrame([[1, 2]] * 3, columns=["a", "a"]), threshold=0.5), "label 'a' twice"),
        (
            lambda: feature_network(pd.DataFrame({"a": [1.0, 2, np.inf]}, index=["P1", "P2", "P3"]), threshold=0.5),
            "infinite value.* row 'P3', column 'a'",
        ),
    ],
)
def test_bad_input_of_a_network(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- network_overlap


def network(n: int, *links: tuple[int, int]) -> np.ndarray:
    result = np.zeros((n, n), dtype=bool)
    for i, j in links:
        result[i, j] = result[j, i] = True
    return result


def exact_p(a: np.ndarray, b: np.ndarray) -> float:
    """Share of all renamings of b that share at least as many links with a as b does."""
    above = np.triu_indices(len(a), 1)
    shared = (a & b)[above].sum()
    counts = [(a & b[np.ix_(order, order)])[above].sum() for order in map(list, itertools.permutations(range(len(a))))]
    return float(np.mean(np.array(counts) >= shared))


def overlap(a: Any, b: Any, n_permutations: int = 4000, seed: int = 0) -> tuple[float, float]:
    return network_overlap(a, b, n_permutations=n_permutations, rng=np.random.default_rng(seed))


def test_jaccard_by_hand() -> None:
    a, b = network(4, (0, 1), (1, 2)), network(4, (1, 2), (2, 3), (0, 3))
    assert overlap(a, b)[0] == 1 / 4
    assert overlap(a, a)[0] == 1.0
    assert overlap(a, network(4, (2, 3)))[0] == 0.0


def test_the_diagonal_is_not_looked_at() -> None:
    a, b = network(4, (0, 1)), network(4, (0, 1), (2, 3))
    before = overlap(a, b)
    np.fill_diagonal(a, True)
    assert overlap(a, b) == before


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (network(5, (0, 1), (0, 2), (0, 3), (0, 4)), network(5, (0, 1), (0, 2), (0, 3), (0, 4))),  # p = 1/5: the hub
        (network(6, (0, 1), (2, 3), (4, 5)), network(6, (0, 1), (2, 3), (4, 5))),  # p = 1/15: the matchings
        (network(6, (0, 1), (1, 2), (2, 3)), network(6, (1, 2), (2, 3), (3, 4))),
        (network(5, (0, 1)), network(5, (2, 3))),  # p = 1
    ],
)
def test_p_is_that_of_all_renamings(a: np.ndarray, b: np.ndarray) -> None:
    exact = exact_p(a, b)
    # Five standard errors of 4000 draws.
    assert overlap(a, b)[1] == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 4000) + 1e-3)


def test_exact_p_of_the_hub_and_of_the_matchings() -> None:
    star, pairs = network(5, (0, 1), (0, 2), (0, 3), (0, 4)), network(6, (0, 1), (2, 3), (4, 5))
    assert exact_p(star, star) == pytest.approx(1 / 5)
    assert exact_p(pairs, pairs) == pytest.approx(1 / 15)


def test_p_counts_the_network_itself() -> None:
    """On 40 nodes no renaming of a random network comes near the network itself: p = 1 / (1 + n) and not 0."""
    links = np.triu(np.random.default_rng(6).random((40, 40)) < 0.1, 1)
    a = links | links.T
    assert overlap(a, a, n_permutations=99) == (1.0, 0.01)
    assert overlap(a, np.zeros((40, 40), dtype=bool), n_permutations=99) == (0.0, 1.0)


def test_p_of_independent_networks_is_a_p_value() -> None:
    """Under the null hypothesis p ≤ u happens with probability at most u."""
    rng = np.random.default_rng(7)
    p = []
    for _ in range(400):
        links = np.triu(rng.random((2, 15, 15)) < 0.25, 1)
        a, b = links | links.transpose(0, 2, 1)
        p.append(network_overlap(a, b, n_permutations=99, rng=rng)[1])
    for level in (0.05, 0.1, 0.5):
        assert np.mean(np.array(p) <= level) <= level + 4 * np.sqrt(level * (1 - level) / 400)
    assert np.mean(p) > 0.45


def test_nodes_are_matched_by_label() -> None:
    rng = np.random.default_rng(8)
    links = np.triu(rng.random((12, 12)) < 0.3, 1)
    names = [f"g{i}" for i in range(12)]
    a = pd.DataFrame(links | links.T, index=names, columns=names)
    order = rng.permutation(names)
    assert overlap(a, a.loc[order, order])[0] == 1.0
    assert overlap(a, a.loc[order, order]) == overlap(a, a)


def test_the_same_generator_gives_the_same_p_and_the_input_stays() -> None:
    a, b = network(6, (0, 1), (1, 2), (2, 3)), network(6, (1, 2), (4, 5))
    before = a.copy(), b.copy()
    assert overlap(a, b, seed=1) == overlap(a, b, seed=1)
    assert_array_equal(a, before[0])
    assert_array_equal(b, before[1])


def named(n: int, names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(network(n, (0, 1)), index=names, columns=names)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (network(3, (0, 1)), network(4, (0, 1)), "got 3 and 4"),
        (np.zeros((3, 2), dtype=bool), network(3, (0, 1)), r"network a must be square.*\(3, 2\)"),
        (network(3, (0, 1)), np.eye(3), "network b must be square, of True and False; got .* of float64"),
        (network(3, (0, 1)), np.triu(network(3, (0, 2))), "network b must be symmetric; 0 and 2 are linked one way"),
        (network(3), network(3), "neither network has a link"),
        (named(2, ["x", "y"]), network(2, (0, 1)), "two DataFrames or two arrays"),
        (named(2, ["x", "y"]), named(2, ["x", "z"]), "'y' is in one only"),
        (
            named(2, ["x", "y"]).loc[["y", "x"]],
            named(2, ["x", "y"]),
            "network a must have the same features.*row 0 is 'y' and column 0 is 'x'",
        ),
    ],
)
def test_bad_networks(a: Any, b: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overlap(a, b, n_permutations=9)


def test_bad_numbers_of_permutations() -> None:
    with pytest.raises(ValueError, match="n_permutations"):
        overlap(network(3, (0, 1)), network(3, (0, 1)), n_permutations=0)
    with pytest.raises(ValueError, match="Generator"):
        network_overlap(network(3, (0, 1)), network(3, (0, 1)), n_permutations=9, rng=0)  # type: ignore[arg-type]


# ---------------------------------------------------------------- anchor_map


def test_anchors_have_the_gower_distance_of_r() -> None:
    golden = GOLDEN["anchors"]
    first, second = pd.DataFrame(golden["first"]), pd.DataFrame(golden["second"])
    second.index = [f"B{i}" for i in range(len(second))]
    gower = np.array(golden["gower"])
    found = anchor_map(first, second)
    assert_allclose(found["distance"], gower.min(axis=1), atol=1e-12)
    near = gower <= gower.min(axis=1, keepdims=True) + 1e-9
    assert_array_equal(found["n_candidates"], near.sum(axis=1))
    ordered = np.sort(gower, axis=1)
    assert_allclose(found["margin"], ordered[:, 1] - ordered[:, 0], atol=1e-12)
    unique = near.sum(axis=1) == 1
    assert found["match"].notna().tolist() == unique.tolist()
    assert found["match"][unique].tolist() == second.index[gower.argmin(axis=1)[unique]].tolist()


A = pd.DataFrame({"age": [40, 60, 61], "sex": ["female", "male", "male"]}, index=["A1", "A2", "A3"])
B = pd.DataFrame({"age": [60, 42, 80], "sex": ["male", "female", "male"]}, index=["B1", "B2", "B3"])


def test_anchors_by_hand() -> None:
    found = anchor_map(A, B)  # ages span 40 to 80
    assert found["match"].tolist() == ["B2", "B1", "B1"]
    assert_allclose(found["distance"], [2 / 40 / 2, 0, 1 / 40 / 2])
    assert_allclose(found["margin"], [(1 + 20 / 40) / 2 - 2 / 40 / 2, 20 / 40 / 2, 19 / 40 / 2 - 1 / 40 / 2])
    # Two patients claim B1; only the nearer one is chosen back.
    assert found["mutual"].tolist() == [True, True, False]


def test_two_equal_candidates_are_no_match() -> None:
    found = anchor_map(A[["sex"]], B[["sex"]])
    assert found["match"].tolist()[0] == "B2"
    assert found["match"].isna().tolist() == [False, True, True]
    assert found["n_candidates"].tolist() == [1, 2, 2]
    assert found["margin"].tolist() == [1.0, 0.0, 0.0]
    assert found["mutual"].tolist() == [True, False, False]


def test_two_equal_claims_are_not_mutual() -> None:
    twins = pd.DataFrame({"age": [50, 50]}, index=["A1", "A2"])
    others = pd.DataFrame({"age": [50, 70]}, index=["B1", "B2"])
    found = anchor_map(twins, others)
    assert found["match"].tolist() == ["B1", "B1"]
    assert not found["mutual"].any()


def test_only_shared_columns_count_and_a_constant_says_nothing() -> None:
    more = B.assign(site="north", bmi=25.0)
    pd.testing.assert_frame_equal(anchor_map(A, more), anchor_map(A, B))
    constant = anchor_map(A.assign(bmi=25.0), B.assign(bmi=25.0))
    assert_allclose(constant["distance"], anchor_map(A, B)["distance"] * 2 / 3)


def test_unit_of_a_quantity_does_not_matter() -> None:
    found = anchor_map(A.assign(age=A["age"] * 12), B.assign(age=B["age"] * 12))
    pd.testing.assert_frame_equal(found, anchor_map(A, B))


def test_labels_may_be_numbers_and_truth_is_a_category() -> None:
    a = pd.DataFrame({"fasting": [True, False]}, index=[1, 2])
    b = pd.DataFrame({"fasting": [False, True]}, index=[11, 12])
    assert anchor_map(a, b)["match"].tolist() == [12, 11]


@pytest.mark.parametrize("kind", ["uint8", "int8", "float32", "Int64", "Float64"])
def test_a_quantity_is_the_same_in_every_type_of_number(kind: str) -> None:
    """Whole numbers of 8 bits do not wrap around: 40 − 60 is −20 and not 236."""
    low = pd.DataFrame({"visits": [0, 100]}, index=["A1", "A2"])
    high = pd.DataFrame({"visits": [120, 99, 3]}, index=["B1", "B2", "B3"])
    found = anchor_map(low.astype(kind), high.astype(kind))
    assert found["match"].tolist() == ["B3", "B2"]
    assert_allclose(found["distance"], [3 / 120, 1 / 120])


def days(*texts: str) -> pd.Series:
    return pd.to_datetime(pd.Series(texts))


@pytest.mark.parametrize(
    "kind",
    [
        lambda column: column,
        lambda column: column.astype("datetime64[s]"),
        lambda column: column.dt.tz_localize("Asia/Shanghai"),
        lambda column: column.dt.date.astype(object),
        lambda column: column - pd.Timestamp("2000-01-01"),
    ],
    ids=["dates", "seconds", "time zone", "objects", "durations"],
)
def test_dates_are_quantities(kind: Any) -> None:
    """The nearest day is the nearest, and not every other day equally far."""
    a = kind(days("2021-03-01", "2021-06-01")).to_frame("seen").set_axis(["A1", "A2"])
    b = kind(days("2021-05-25", "2021-03-04", "2020-01-01")).to_frame("seen").set_axis(["B1", "B2", "B3"])
    found = anchor_map(a, b)
    assert found["match"].tolist() == ["B2", "B1"]
    assert_allclose(found["distance"], [3 / 517, 7 / 517])  # 2020-01-01 to 2021-06-01 are 517 days


def test_dates_of_two_kinds_are_refused() -> None:
    a = days("2021-03-01", "2021-06-01").to_frame("seen")
    for other in (a.astype(str), a["seen"].dt.tz_localize("UTC").to_frame(), a["seen"].dt.year.to_frame()):
        with pytest.raises(ValueError, match=r"anchor 'seen' holds dates \(datetime64.* in clinical_a and "):
            anchor_map(a, other)


def test_the_cohort_finds_itself_again_and_nobody_else() -> None:
    """With all anchors each patient is told apart; those without metabolites have no counterpart and are not mutual."""
    cohort = load("cohort")
    measured = cohort.layers["metabolite"].index
    anchors = ["sex", "site", "smoker", "disease", "age", "bmi"]
    found = anchor_map(cohort.clinical[anchors], cohort.clinical.loc[measured, anchors])
    assert found.index[found["mutual"]].equals(cohort.clinical.index[cohort.clinical.index.isin(measured)])
    assert (found["match"] == found.index)[found["mutual"]].all()
    assert found["match"].notna().all()  # a nearest one always exists


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (A.to_numpy(), B, "clinical_a must be a DataFrame"),
        (A, B.iloc[:1], "clinical_b has 1 patients; at least 2"),
        (A, B.set_axis(["B1", "B1", "B2"]), "clinical_b has the row label 'B1' twice"),
        (A[["age"]], B[["sex"]], r"no column in common: \['age'\] and \['sex'\]"),
        (A.assign(age=[40, np.nan, 3]), B, "anchor 'age' is missing for 1 patients of clinical_a, 'A2' first"),
        (A, B.assign(age=[1.0, np.inf, 2.0]), "anchor 'age' is infinite for 'B2' of clinical_b"),
        (
            A,
            B.assign(sex=[0, 1, 0]),
            r"anchor 'sex' holds categories .* in clinical_a and numbers \(int64\) in clinical_b",
        ),
    ],
)
def test_bad_clinical_tables(a: Any, b: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        anchor_map(a, b)
