"""reference_impl.quality against R's robustbase and rrcov, closed forms and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2

from reference_impl import quality
from reference_impl.quality import (
    Gate,
    concentration_step,
    distance_cutoff,
    mad_outliers,
    mahalanobis_squared,
    mean_and_covariance,
    pca_outliers,
    robust_distances,
    robust_z,
    run_qc,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "quality" / "golden.json").read_text())


def by_name(cases: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def table(x: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        x, index=[f"P{i:03d}" for i in range(len(x))], columns=[f"metric{j}" for j in range(x.shape[1])]
    )


def contaminated(seed: int, n: int = 60, p: int = 3, n_bad: int = 15) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) @ rng.uniform(-1, 1, size=(p, p)) + 5
    x[:n_bad] = rng.normal(scale=0.3, size=(n_bad, p)) + 30
    return x


# ---------------------------------------------------------------- robust_z and mad_outliers


def test_robust_z_is_that_of_r() -> None:
    data = GOLDEN["univariate"]
    x = np.array(data["x"])
    assert_allclose(robust_z(x), (x - data["median"]) / data["mad"], rtol=1e-12)


def test_robust_z_closed_form() -> None:
    assert_allclose(robust_z([[0.0], [1.0], [2.0], [3.0], [4.0]])[:, 0], np.array([-2, -1, 0, 1, 2]) / 1.4826)


def test_robust_z_falls_back_on_the_mean_deviation_where_the_mad_is_zero() -> None:
    z = robust_z([[5.0], [5.0], [5.0], [5.0], [15.0]])
    assert_allclose(z[:, 0], [0, 0, 0, 0, 10 / (1.2533 * 2)])


def test_robust_z_of_a_constant_column_is_zero() -> None:
    assert_array_equal(robust_z([[7.0, 1.0], [7.0, 2.0], [7.0, 3.0]])[:, 0], 0)


def test_robust_z_does_not_depend_on_the_unit() -> None:
    x = contaminated(0)
    assert_allclose(robust_z(x * [2, -3, 1e-6] + [0, 50, 1]), robust_z(x) * [1, -1, 1], rtol=1e-6, atol=1e-9)


def test_robust_z_keeps_labels_and_leaves_its_input_alone() -> None:
    x = table(contaminated(1))
    before = x.copy()
    pd.testing.assert_frame_equal(robust_z(x), table(robust_z(x.to_numpy())))
    pd.testing.assert_frame_equal(x, before)


def test_mad_outliers_is_strict_at_the_threshold() -> None:
    x = np.array([[0.0], [1.0], [2.0], [3.0], [4.0]])  # z of the last is 2 / 1.4826
    assert not mad_outliers(x, threshold=2 / 1.4826).any()
    assert mad_outliers(x, threshold=1.34)[:, 0].tolist() == [True, False, False, False, True]


def test_mad_outliers_knows_sides() -> None:
    x = np.array([[-90.0], [1.0], [2.0], [3.0], [90.0]])
    assert mad_outliers(x, side="lower")[:, 0].tolist() == [True, False, False, False, False]
    assert mad_outliers(x, side="upper")[:, 0].tolist() == [False, False, False, False, True]
    assert_array_equal(mad_outliers(x), mad_outliers(x, side="lower") | mad_outliers(x, side="upper"))


def test_mad_outliers_keeps_labels_and_returns_bool() -> None:
    found = mad_outliers(table(contaminated(2)))
    assert found.dtypes.map(pd.api.types.is_bool_dtype).all()
    assert found.index[0] == "P000"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: robust_z([[1.0, np.nan]]), "1 missing value"),
        (lambda: robust_z([1.0, 2.0]), "shape"),
        (lambda: robust_z([["a"]]), "numbers"),
        (lambda: robust_z(np.zeros((0, 3))), "shape"),
        (lambda: mad_outliers([[1.0]], threshold=-1), "threshold"),
        (lambda: mad_outliers([[1.0]], side="left"), "'both', 'lower' or 'upper'; got 'left'"),
    ],
)
def test_bad_input_of_one_metric(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- the minimum covariance determinant


@pytest.mark.parametrize("seed", range(20))
def test_a_concentration_step_never_enlarges_the_determinant(seed: int) -> None:
    x = contaminated(seed)
    rng = np.random.default_rng(seed)
    subset = rng.choice(len(x), 40, replace=False)
    before = np.linalg.slogdet(np.cov(x[subset], rowvar=False))[1]
    for _ in range(5):
        subset, location, covariance = concentration_step(x, subset, 40)
        assert_allclose(location, x[subset].mean(axis=0))
        assert_allclose(covariance, np.cov(x[subset], rowvar=False))
        after = np.linalg.slogdet(covariance)[1]
        assert after <= before + 1e-12
        before = after


def test_concentration_step_returns_sorted_positions_of_the_closest() -> None:
    x = np.array([[9.0], [0.0], [1.0], [2.0], [4.0]])
    subset, location, covariance = concentration_step(x, [4, 1], 3)
    assert subset.tolist() == [2, 3, 4] or subset.tolist() == [1, 2, 3]
    subset, location, covariance = concentration_step(x, [3, 1], 3)
    assert subset.tolist() == [1, 2, 3]
    assert location.tolist() == [1.0]
    assert covariance.tolist() == [[1.0]]


@by_name([{"name": f"n={f['n']} p={f['p']} alpha={f['alpha']}", **f} for f in GOLDEN["factors"]])
def test_factors_are_those_of_robustbase(case: dict[str, Any]) -> None:
    n, p, alpha = case["n"], case["p"], case["alpha"]
    assert quality.support_size(n, p, alpha) == case["h"]
    assert_allclose(quality.consistency_factor(p, case["h"] / n), case["consistency"], rtol=1e-10)
    assert_allclose(quality.small_sample_factor(n, p, alpha, "raw"), case["raw"], rtol=1e-10)
    assert_allclose(quality.small_sample_factor(n, p, alpha, "reweighted"), case["reweighted"], rtol=1e-10)


@by_name(GOLDEN["mcd"])
def test_robust_distances_are_those_of_robustbase(case: dict[str, Any]) -> None:
    x = np.atleast_2d(np.array(case["x"]))
    n, p = x.shape
    result = robust_distances(x, rng=np.random.default_rng(0), support_fraction=case["alpha"])
    if p > 1:  # covMcd does not report the best subset of a single metric
        assert_array_equal(result.subset, np.array(case["best"]) - 1)
    raw_location, raw_covariance = mean_and_covariance(x[result.subset])
    raw_covariance = raw_covariance * quality.raw_factor(n, p, case["alpha"])
    # 1e-8: both sides invert the same covariance by different routes; the JSON holds 15 digits.
    assert_allclose(raw_location, np.ravel(case["raw_location"]), rtol=1e-8)
    assert_allclose(raw_covariance, np.reshape(case["raw_covariance"], (p, p)), rtol=1e-8)
    raw_distances = np.sqrt(mahalanobis_squared(x, raw_location, raw_covariance))
    assert_allclose(raw_distances, case["raw_distances"], rtol=1e-8)
    assert_allclose(result.location, np.ravel(case["location"]), rtol=1e-8)
    assert_allclose(result.covariance, np.reshape(case["covariance"], (p, p)), rtol=1e-8)
    assert_allclose(result.distances, case["distances"], rtol=1e-8)
    assert result.cutoff == pytest.approx(np.sqrt(chi2.ppf(0.975, p)))
    assert not result.exact_fit


def test_robust_distances_see_what_classical_ones_mask() -> None:
    x = contaminated(3)
    classical = np.sqrt(mahalanobis_squared(x, *mean_and_covariance(x)))
    robust = robust_distances(x, rng=np.random.default_rng(0))
    assert (classical[:15] < robust.cutoff).all()
    assert (robust.distances[:15] > 5 * robust.cutoff).all()


@pytest.mark.parametrize("seed", range(5))
def test_robust_distances_are_affine_invariant(seed: int) -> None:
    x = contaminated(seed)
    transform = np.random.default_rng(seed).normal(size=(3, 3)) + 2 * np.eye(3)
    shift = np.array([100.0, -7.0, 0.5])
    first = robust_distances(x, rng=np.random.default_rng(1))
    second = robust_distances(x @ transform + shift, rng=np.random.default_rng(1))
    assert_allclose(second.distances, first.distances, rtol=1e-6)
    assert_allclose(second.location, first.location @ transform + shift, rtol=1e-6)
    assert_allclose(second.covariance, transform.T @ first.covariance @ transform, rtol=1e-6)
    assert_array_equal(second.subset, first.subset)


def test_robust_distances_are_deterministic_and_follow_the_samples() -> None:
    x = contaminated(4, n_bad=26)  # almost as many as can be withstood: the best subset is easy to find
    first = robust_distances(table(x), rng=np.random.default_rng(5))
    again = robust_distances(table(x), rng=np.random.default_rng(5))
    pd.testing.assert_series_equal(first.distances, again.distances)
    order = np.random.default_rng(6).permutation(len(x))
    moved = robust_distances(table(x).iloc[order], rng=np.random.default_rng(5))
    pd.testing.assert_series_equal(moved.distances.sort_index(), first.distances, rtol=1e-8)


def test_exact_fit_on_a_line_is_reported() -> None:
    rng = np.random.default_rng(7)
    t = rng.normal(size=40)
    x = np.column_stack([t, 3 * t + 1, rng.normal(size=40)])
    x[30:, 1] += rng.uniform(1, 2, size=10)
    result = robust_distances(x, rng=rng)
    assert result.exact_fit
    assert_array_equal(result.subset, np.arange(30))
    assert np.isinf(result.distances[30:]).all()
    assert np.isfinite(result.distances[:30]).all()
    assert_allclose(result.location, x[:30].mean(axis=0))
    # Within the plane the distances are Mahalanobis distances of the two coordinates that are left.
    inside = mahalanobis_squared(x[:30, [0, 2]], *mean_and_covariance(x[:30, [0, 2]]))
    assert_allclose(result.distances[:30], np.sqrt(inside), rtol=1e-6)


def test_exact_fit_of_a_column_that_is_mostly_one_value() -> None:
    rng = np.random.default_rng(8)
    x = np.column_stack([rng.normal(size=50), np.full(50, 0.1)])
    x[45:, 1] = rng.normal(size=5)
    result = robust_distances(x, rng=rng)
    assert result.exact_fit
    assert np.flatnonzero(np.isinf(result.distances)).tolist() == [45, 46, 47, 48, 49]


def test_exact_fit_of_identical_samples() -> None:
    result = robust_distances(np.full((12, 2), 3.0), rng=np.random.default_rng(0))
    assert result.exact_fit
    assert_array_equal(result.distances, 0)


def test_a_covariance_with_no_outlier_to_drop_is_consistent_for_normal_data() -> None:
    x = np.random.default_rng(9).normal(size=(4000, 3))
    result = robust_distances(x, rng=np.random.default_rng(0), n_starts=20)
    # Standard error of a variance at n = 4000 is 0.022; three of them, and some for the lower efficiency.
    assert_allclose(result.covariance, np.eye(3), atol=0.09)
    assert np.mean(result.distances > result.cutoff) == pytest.approx(0.025, abs=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: robust_distances(np.eye(3), rng=r), "3 samples are too few for 3 metrics"),
        (lambda r: robust_distances(r.normal(size=(4, 3)), rng=r), "at least 5"),
        (lambda r: robust_distances(r.normal(size=(5, 3)), rng=r, support_fraction=0.75), "correction is not defined"),
        (lambda r: robust_distances(r.normal(size=(30, 3)), rng=3), "numpy.random.Generator"),
        (lambda r: robust_distances(r.normal(size=(30, 3)), rng=r, support_fraction=0.4), "support_fraction"),
        (lambda r: robust_distances(r.normal(size=(30, 3)), rng=r, n_starts=0), "n_starts"),
        (lambda r: robust_distances(np.full((30, 3), np.nan), rng=r), "missing"),
        (lambda r: concentration_step(r.normal(size=(9, 2)), [0, 1, 1], 5), "twice"),
        (lambda r: concentration_step(r.normal(size=(9, 2)), [0, 1, 9], 5), "from 0 to 8"),
        (lambda r: concentration_step(r.normal(size=(9, 2)), [0.0, 1.0, 2.0], 5), "whole numbers"),
        (lambda r: concentration_step(r.normal(size=(9, 2)), [0, 1, 2], 2), "more than 2"),
        (lambda r: concentration_step(r.normal(size=(9, 2)), [0, 1, 2], 10), "at most 9"),
        (lambda r: concentration_step(r.normal(size=(9, 2)), [0, 1], 5), "lie on a plane"),
    ],
)
def test_bad_input_of_many_metrics(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))


# ---------------------------------------------------------------- robust PCA


@by_name([case for case in GOLDEN["pca"] if len(case["x"]) <= 22])
def test_pca_outliers_are_those_of_rrcov(case: dict[str, Any]) -> None:
    x = np.array(case["x"])
    found = pca_outliers(x, n_components=case["k"], quantile=case["quantile"], rng=np.random.default_rng(0))
    # 1e-7: a longer way than the determinant's, through two singular value decompositions.
    assert_allclose(found["orthogonal_distance"], case["orthogonal_distance"], rtol=1e-7)
    assert_allclose(found["score_distance"], case["score_distance"], rtol=1e-7)
    cutoff = distance_cutoff(found["orthogonal_distance"].to_numpy(), case["quantile"])
    assert cutoff == pytest.approx(case["orthogonal_cutoff"], rel=1e-7)
    assert found["outlier"].tolist() == case["outlier"]


@by_name([case for case in GOLDEN["pca"] if len(case["x"]) > 22])
def test_pca_outliers_with_other_random_directions_are_close_to_rrcov(case: dict[str, Any]) -> None:
    x = np.array(case["x"])
    found = pca_outliers(x, n_components=case["k"], quantile=case["quantile"], rng=np.random.default_rng(0))
    difference = np.abs(found["orthogonal_distance"] / case["orthogonal_distance"] - 1)
    assert difference.median() < 0.05
    assert found["outlier"][:10].all()
    assert np.mean(found["outlier"] == case["outlier"]) > 0.95


def test_pca_outliers_tells_score_from_orthogonal() -> None:
    rng = np.random.default_rng(10)
    x = rng.normal(size=(80, 2)) * [5, 3] @ rng.normal(size=(2, 200)) + rng.normal(scale=0.5, size=(80, 200))
    along = np.linalg.svd(x, full_matrices=False)[2][0]
    x[0] += 1000 * along
    x[1] += rng.normal(scale=2, size=200)
    found = pca_outliers(table(x), n_components=2, rng=rng)
    assert found.index[0] == "P000"
    assert found["score_distance"].idxmax() == "P000"
    assert found["orthogonal_distance"].idxmax() == "P001"
    assert found.loc[["P000", "P001"], "outlier"].all()


def test_pca_outliers_do_not_bend_the_plane() -> None:
    rng = np.random.default_rng(11)
    x = rng.normal(size=(60, 1)) * 3 @ rng.normal(size=(1, 100)) + rng.normal(scale=0.3, size=(60, 100))
    direction = rng.normal(size=100)
    x[:12] += 20 * direction  # one fifth of the samples, all in one direction: the classical first component is theirs
    found = pca_outliers(x, n_components=1, rng=rng)
    assert found["outlier"][:12].all()
    assert found["outlier"][12:].mean() < 0.15
    centred = x - x.mean(axis=0)
    first = np.linalg.svd(centred, full_matrices=False)[2][0]
    classical = np.linalg.norm(centred - np.outer(centred @ first, first), axis=1)
    assert np.median(classical[:12]) < np.quantile(classical[12:], 0.975)


def test_pca_outliers_do_not_depend_on_rotation_or_shift() -> None:
    rng = np.random.default_rng(12)
    x = rng.normal(size=(20, 6)) * [6, 4, 1, 1, 1, 1]
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    first = pca_outliers(x, n_components=2, rng=np.random.default_rng(0))
    second = pca_outliers(x @ rotation + 9, n_components=2, rng=np.random.default_rng(0))
    pd.testing.assert_frame_equal(first, second, rtol=1e-7)


def test_pca_outliers_with_all_components_have_no_orthogonal_distance() -> None:
    x = np.random.default_rng(13).normal(size=(40, 3))
    found = pca_outliers(x, n_components=3, rng=np.random.default_rng(0))
    assert (found["orthogonal_distance"] == 0).all()


def test_pca_outliers_survive_identical_samples() -> None:
    rng = np.random.default_rng(14)
    x = rng.normal(size=(40, 8))
    x[20:25] = x[20]
    found = pca_outliers(x, n_components=2, rng=rng)
    assert np.isfinite(found[["score_distance", "orthogonal_distance"]]).all(axis=None)


def test_pca_outliers_where_most_samples_lie_in_the_plane() -> None:
    rng = np.random.default_rng(15)
    x = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 10))
    x[:3] += rng.normal(size=(3, 10))
    found = pca_outliers(x, n_components=2, rng=rng)
    assert (found["orthogonal_distance"] > 0).tolist() == [True] * 3 + [False] * 37
    assert found["outlier"][:3].all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: pca_outliers(r.normal(size=(30, 5)), n_components=6, rng=r), "at most 5, the rank of the"),
        (lambda r: pca_outliers(r.normal(size=(30, 5)), n_components=0, rng=r), "n_components"),
        (lambda r: pca_outliers(r.normal(size=(30, 5)), n_components=2, rng=r, quantile=1.0), "quantile"),
        (lambda r: pca_outliers(r.normal(size=(30, 5)), n_components=2, rng=None), "Generator"),
        (lambda r: pca_outliers(np.full((30, 5), 0.1), n_components=1, rng=r), "rank 0"),
        (lambda r: pca_outliers(r.normal(size=(2, 5)), n_components=1, rng=r), "2 samples are too few"),
        (lambda r: pca_outliers(r.normal(size=(1, 5)), n_components=1, rng=r), "rank"),
        (lambda r: pca_outliers(r.normal(size=(5, 9)), n_components=4, rng=r), "5 samples are too few"),
    ],
)
def test_bad_input_of_pca_outliers(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))


# ---------------------------------------------------------------- the protocol


METRICS = pd.DataFrame(
    {"depth": [9, 2, 8, 7, 1], "rin": [8.0, 3.0, 4.0, np.nan, np.nan], "dup": [0.1, 0.2, 0.1, 0.2, 0.9]},
    index=pd.Index(["P1", "P2", "P3", "P4", "P5"], name="sample_id"),
)


def test_run_qc_writes_each_dropped_sample_once_under_its_first_gate() -> None:
    gates = [Gate("clean", "dup", upper=0.5), Gate("deep", "depth", lower=5), Gate("intact", "rin", lower=6)]
    kept, audit = run_qc(METRICS, gates)
    expected = pd.DataFrame(
        {
            "sample": ["P5", "P2", "P3", "P4"],
            "gate": ["clean", "deep", "intact", "intact"],
            "value": [0.9, 2.0, 4.0, np.nan],
            "threshold": [0.5, 5.0, 6.0, np.nan],
        }
    )
    pd.testing.assert_frame_equal(audit, expected, check_dtype=False)
    assert kept.tolist() == ["P1"]
    assert kept.name == "sample_id"


def test_run_qc_is_idempotent() -> None:
    gates = [Gate("deep", "depth", lower=2), Gate("intact", "rin", lower=3.5)]
    kept, _ = run_qc(METRICS, gates)
    again, audit = run_qc(METRICS.loc[kept], gates)
    assert again.equals(kept)
    assert audit.empty
    assert audit.columns.tolist() == ["sample", "gate", "value", "threshold"]
    assert audit["value"].dtype == float


def test_run_qc_accepts_the_bound_itself_and_no_gates() -> None:
    kept, _ = run_qc(METRICS, [Gate("deep", "depth", lower=2, upper=9)])
    assert kept.tolist() == ["P1", "P2", "P3", "P4"]
    assert run_qc(METRICS, [])[0].tolist() == METRICS.index.tolist()


def test_run_qc_lets_no_missing_value_through_even_an_open_gate() -> None:
    kept, audit = run_qc(METRICS, [Gate("measured", "rin")])
    assert kept.tolist() == ["P1", "P2", "P3"]
    assert audit["threshold"].isna().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run_qc(METRICS, [Gate("a", "depth", lower=100)]), "'a' would drop all 5"),
        (lambda: run_qc(METRICS, [Gate("a", "rin", lower=4), Gate("b", "depth", lower=10)]), "'b' would drop all 2"),
        (lambda: run_qc(METRICS, [Gate("a", "rna")]), "'rna'.*depth, rin, dup"),
        (lambda: run_qc(METRICS, [Gate("a", "rin"), Gate("a", "dup")]), "two gates are named 'a'"),
        (lambda: run_qc(METRICS.to_numpy(), []), "DataFrame"),
        (lambda: run_qc(pd.concat([METRICS, METRICS]), []), "'P1' twice"),
        (lambda: run_qc(METRICS.astype({"dup": str}), [Gate("a", "dup")]), "not numbers"),
        (lambda: run_qc(METRICS.iloc[:0], []), "at least one sample"),
        (lambda: Gate("a", "rin", lower=2, upper=1), "lower must not exceed upper"),
        (lambda: Gate("a", "rin", lower=np.nan), "lower must not exceed upper"),
        (lambda: Gate("a", "rin", lower="x"), "a bound must be a number"),  # type: ignore[arg-type]
        (lambda: run_qc(METRICS, "ab"), "gates must be a list of Gate"),  # type: ignore[arg-type]
        (lambda: run_qc(METRICS, None), "gates must be a list of Gate"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_of_run_qc(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
