"""reference_impl.batch against R's sva and limma, closed forms, invariants and bad input."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from reference_impl import batch as module
from reference_impl.batch import (
    ConfoundedDesignError,
    Prior,
    combat,
    confounding,
    dependent_columns,
    pc_association,
    prior_moments,
    reference_shift,
    remove_batch,
    shrink,
    shrinkage_step,
    spike_in_shift,
    weigh_features,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "batch" / "golden.json").read_text())


def numbers(rows: list[list[float | None]]) -> np.ndarray:
    return np.array([[np.nan if value is None else value for value in row] for row in rows])


def golden_call(case: dict[str, Any]) -> tuple[np.ndarray, list[str], pd.DataFrame | None]:
    data = GOLDEN["data"][case["data"]]
    covariates = pd.DataFrame({name: data[name] for name in case["covariates"]}) if case["covariates"] else None
    return numbers(data["x"]), data["batch"], covariates


def by_name(cases: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def options(case: dict[str, Any]) -> dict[str, Any]:
    return {name: case[name] for name in ("parametric", "mean_only", "reference")}


def study(seed: int, sizes: tuple[int, ...] = (8, 10, 7), n_features: int = 30) -> tuple[pd.DataFrame, pd.Series]:
    """A table with labels, and a batch that shifts and scales every feature."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    samples = [f"P{i:03d}" for i in range(len(codes))]
    shifts = rng.normal(size=(len(sizes), n_features)) + rng.normal(size=(len(sizes), 1))
    x = 8 + rng.normal(size=(len(codes), n_features)) * rng.uniform(0.5, 2, (len(sizes), 1))[codes] + shifts[codes]
    table = pd.DataFrame(x, index=samples, columns=[f"g{j}" for j in range(n_features)])
    return table, pd.Series(codes, index=samples).map(lambda code: f"run{code + 1}")


# ---------------------------------------------------------------- the originals

# The file holds 15 digits of values around 10; both sides solve the same equations by different routes.
EQUAL = {"rtol": 0, "atol": 1e-10}


@by_name(GOLDEN["combat"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_combat_is_that_of_sva(case: dict[str, Any]) -> None:
    x, batch, covariates = golden_call(case)
    assert_allclose(combat(x, batch, covariates=covariates, **options(case)), numbers(case["result"]), **EQUAL)


@by_name(GOLDEN["at_limit"])
def test_stop_rule_of_sva_leaves_little(case: dict[str, Any]) -> None:
    x, batch, covariates = golden_call(case)
    away = np.abs(combat(x, batch, covariates=covariates) - numbers(case["result"])).max()
    assert 1e-7 < away < 1e-4  # not at the limit, but below the rule's own 1e-4


def test_without_the_stop_rule_the_limit_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SVA_STOP", 1e-14)
    for case in GOLDEN["at_limit"]:
        x, batch, covariates = golden_call(case)
        assert_allclose(combat(x, batch, covariates=covariates), numbers(case["result"]), **EQUAL)


@by_name(GOLDEN["limma"])
def test_remove_batch_is_that_of_limma(case: dict[str, Any]) -> None:
    x, batch, covariates = golden_call(case)
    assert_allclose(remove_batch(x, batch, covariates=covariates), numbers(case["result"]), **EQUAL)


def test_prior_and_step_are_those_of_sva() -> None:
    step = GOLDEN["step"]
    prior = prior_moments(step["shifts"], step["variances"])
    assert_allclose(prior, list(step["prior"].values()), rtol=1e-12)
    shifts, variances = shrinkage_step(step["shifts"], step["variances"], step["n"], prior, step["variances"])
    assert_allclose(shifts, step["new_shifts"], rtol=1e-12)
    assert_allclose(variances, step["new_variances"], rtol=1e-12)


# ---------------------------------------------------------------- detect


def test_eta_squared_by_hand() -> None:
    x = np.array([[0.0], [2.0], [6.0], [8.0]])  # group means 1 and 7 around 4: 4 · 9 of a total of 40
    assert pc_association(x, ["a", "a", "b", "b"])["eta_squared"].tolist() == pytest.approx([36 / 40])
    assert pc_association(x, [0.0, 1.0, 3.0, 4.0])["eta_squared"].tolist() == pytest.approx([1.0])


@pytest.mark.parametrize("seed", range(5))
def test_weighted_eta_squared_is_the_share_of_the_total_variance(seed: int) -> None:
    x, batch = study(seed)
    table = pc_association(x, batch, n_components=100)
    between = ((x.groupby(batch).mean() - x.mean()) ** 2).mul(batch.value_counts(), axis=0).to_numpy().sum()
    total = ((x - x.mean()) ** 2).to_numpy().sum()
    assert len(table) == 24  # the rank: more than was asked for does not exist
    assert table["variance"].sum() == pytest.approx(1)
    assert (table["variance"] * table["eta_squared"]).sum() == pytest.approx(between / total)


def test_association_with_a_number_is_the_squared_correlation() -> None:
    x, _ = study(1)
    age = pd.Series(np.random.default_rng(0).integers(30, 80, len(x)), index=x.index)
    scores = np.linalg.svd(x - x.mean(), full_matrices=False)[0]
    expected = [np.corrcoef(scores[:, k], age)[0, 1] ** 2 for k in range(3)]
    assert_allclose(pc_association(x, age, n_components=3)["eta_squared"], expected)


def test_association_does_not_depend_on_order_of_samples_or_rotation_of_features() -> None:
    x, batch = study(2)
    table = pc_association(x, batch)
    pd.testing.assert_frame_equal(pc_association(x.iloc[::-1], batch), table, rtol=1e-9)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(30, 30)))[0]
    pd.testing.assert_frame_equal(pc_association(x.to_numpy() @ turn, batch.to_numpy()), table, rtol=1e-9)


def test_reference_shift_recovers_what_was_planted() -> None:
    rng = np.random.default_rng(3)
    planted = rng.normal(size=(3, 20))
    planted -= planted.mean(axis=0)
    codes = np.array([0, 0, 1, 1, 2, 2, 0, 1, 2])
    x = 7 + planted[codes]
    x[6:] += rng.normal(size=(3, 20))  # patients: not looked at
    flags = np.arange(9) < 6
    assert_allclose(reference_shift(x, codes, flags), planted, atol=1e-12)


def test_reference_shift_counts_batches_once_and_skips_gaps() -> None:
    x = np.array([[1.0, 1.0], [3.0, np.nan], [9.0, np.nan], [7.0, 4.0]])
    shift = reference_shift(x, ["a", "a", "a", "b"], [True, True, True, True])
    assert_allclose(shift[:, 0], [(13 / 3 - 7) / 2, (7 - 13 / 3) / 2])
    assert_allclose(shift[:, 1], [-1.5, 1.5])
    x[3, 1] = np.nan
    assert np.isnan(reference_shift(x, ["a", "a", "a", "b"], [True] * 4)[:, 1]).all()


def test_shifts_keep_labels() -> None:
    x, batch = study(4)
    flags = pd.Series(np.arange(len(x)) < 15, index=x.index)
    shift = reference_shift(x, batch, flags)
    assert shift.index.tolist() == ["run1", "run2", "run3"]
    assert shift.columns.equals(x.columns)
    assert_allclose(shift.sum(), 0, atol=1e-12)
    spiked = spike_in_shift(x, batch, ["g1", "g5", "g7"])
    assert spiked.index.tolist() == ["run1", "run2", "run3"]
    assert_array_equal(spiked, spike_in_shift(x.to_numpy(), batch.to_numpy(), [1, 5, 7]))


def test_spike_in_shift_is_a_median() -> None:
    x = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 90.0]])
    assert_allclose(spike_in_shift(x, ["a", "b"], [0, 1, 2]), [-0.5, 0.5])


# ---------------------------------------------------------------- judge


def test_balanced_and_determined_designs() -> None:
    assert confounding(list("aabb"), list("xyxy")).cramers_v == 0
    determined = confounding(list("aabb"), list("xxyy"))
    assert determined.cramers_v == pytest.approx(1)
    assert not determined.estimable


def test_groups_without_a_common_batch_can_be_linked_by_a_chain() -> None:
    chained = confounding(["b1", "b1", "b2", "b2", "b3", "b3"], ["u", "v", "v", "w", "w", "w"])
    assert chained.estimable
    cut = confounding(["b1", "b1", "b2", "b2", "b3", "b3"], ["u", "v", "u", "v", "w", "w"])
    assert cut.blocks == [(["b1", "b2"], ["u", "v"]), (["b3"], ["w"])]


@pytest.mark.parametrize("seed", range(5))
def test_cramers_v_squared_is_the_share_of_information_that_batches_take(seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch, group = rng.integers(0, 3, 60), rng.random(60) < rng.uniform(0.3, 0.7)
    judged = confounding(batch, group)
    model = np.column_stack([np.eye(3)[batch], group])
    variance = np.linalg.inv(model.T @ model)[3, 3]
    alone = 1 / (60 * group.var())
    assert alone / variance == pytest.approx(1 - judged.cramers_v**2)


def test_confounding_matches_series_by_label() -> None:
    batch = pd.Series(["b1", "b1", "b2", "b2"], index=list("wxyz"))
    group = pd.Series(["case", "control", "case", "control"], index=list("wxyz"))
    judged = confounding(batch, group.iloc[::-1])
    pd.testing.assert_frame_equal(judged.table, confounding(batch, group).table)
    assert judged.table.to_numpy().tolist() == [[1, 1], [1, 1]]


# ---------------------------------------------------------------- correct


def test_remove_batch_is_a_shift_per_batch_and_feature() -> None:
    x, batch = study(5)
    corrected = remove_batch(x, batch)
    assert_allclose(corrected.groupby(batch).mean(), np.tile(x.groupby(batch).mean().mean(), (3, 1)))
    assert_allclose(corrected.groupby(batch).std(), x.groupby(batch).std())
    pd.testing.assert_frame_equal(remove_batch(corrected, batch), corrected)


def test_remove_batch_keeps_the_joint_estimate_of_the_group() -> None:
    x, batch = study(6, sizes=(12, 14, 10))
    rng = np.random.default_rng(0)
    case = pd.Series(rng.random(36) < batch.map({"run1": 0.8, "run2": 0.5, "run3": 0.2}), index=x.index)
    x = x + np.outer(case, rng.normal(size=30))
    joint = np.linalg.lstsq(np.column_stack([pd.get_dummies(batch), case]).astype(float), x)[0][3]
    corrected = remove_batch(x, batch, covariates=case)
    assert_allclose(corrected[case].mean() - corrected[~case].mean(), joint)
    blind = remove_batch(x, batch)
    assert np.abs(blind[case].mean() - blind[~case].mean() - joint).max() > 0.1


@pytest.mark.parametrize("correct", [remove_batch, combat])
def test_results_do_not_depend_on_order_names_or_coding(correct: Callable[..., Any]) -> None:
    x, batch = study(7)
    rng = np.random.default_rng(1)
    kept = pd.DataFrame({"age": rng.normal(60, 9, len(x)), "sex": rng.choice(["f", "m"], len(x))}, index=x.index)
    expected = correct(x, batch, covariates=kept)
    shuffled = x.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(correct(shuffled, batch, covariates=kept).loc[x.index], expected)
    renamed = batch.map({"run1": "zz", "run2": "b", "run3": "a"})
    pd.testing.assert_frame_equal(correct(x, renamed, covariates=kept), expected)
    recoded = np.column_stack([kept["age"] / 1000 + 5, kept["sex"] == "f"]).astype(float)
    assert_allclose(correct(x.to_numpy(), batch.to_numpy(), covariates=recoded), expected)


@pytest.mark.parametrize("correct", [remove_batch, combat])
def test_input_stays_as_it_was(correct: Callable[..., Any]) -> None:
    x, batch = study(8)
    before, array = x.copy(), x.to_numpy(copy=True)
    result = correct(x, batch)
    pd.testing.assert_frame_equal(x, before)
    assert result.index.equals(x.index)
    assert result.columns.equals(x.columns)
    result.iloc[0, 0] = 99.0
    pd.testing.assert_frame_equal(x, before)
    correct(array, batch.to_numpy())
    assert_array_equal(array, before)


@pytest.mark.parametrize("form", [{}, {"mean_only": True}, {"parametric": False}, {"reference": "run2"}])
def test_combat_brings_batches_together_and_scales_with_the_unit(form: dict[str, Any]) -> None:
    x, batch = study(9, sizes=(15, 15, 15), n_features=80)
    corrected = combat(x, batch, **form)
    # mean_only weighs a batch's mean as if it came of one sample, so it leaves more behind than the other forms.
    left = pc_association(corrected, batch)["eta_squared"].max()
    assert left < (0.9 if "mean_only" in form else 0.1) < pc_association(x, batch)["eta_squared"].max()
    assert_allclose(combat(x * 1000 - 5, batch, **form), corrected * 1000 - 5, rtol=1e-8)


def test_reference_batch_stays_to_the_last_bit() -> None:
    x, batch = study(10)
    corrected = combat(x, batch, reference="run3")
    assert_array_equal(corrected[batch == "run3"], x[batch == "run3"])
    assert (corrected[batch == "run1"] != x[batch == "run1"]).to_numpy().all()


def test_constant_features_stay_to_the_last_bit_and_are_reported() -> None:
    x, batch = study(11)
    x.loc[batch == "run2", "g4"] = 0.1
    x["g9"] = 3.3
    with pytest.warns(UserWarning, match=r"2 feature\(s\) do not vary in some batch .* first 'g4'"):
        corrected = combat(x, batch)
    assert_array_equal(corrected[["g4", "g9"]], x[["g4", "g9"]])
    rest = x.drop(columns=["g4", "g9"])
    pd.testing.assert_frame_equal(corrected[rest.columns], combat(rest, batch))


def test_constant_feature_with_gaps_is_left_as_it_is() -> None:
    x, batch = study(12)
    x.loc[batch == "run1", "g2"] = 5.0
    x.loc[x.index[batch == "run1"][0], "g2"] = np.nan
    with pytest.warns(UserWarning, match="'g2'"):
        assert_array_equal(combat(x, batch)["g2"], x["g2"])


def test_batch_of_one_sample_turns_to_mean_only_and_says_so() -> None:
    x, batch = study(13, sizes=(8, 1, 9))
    with pytest.warns(UserWarning, match="batch 'run2' has one sample"):
        corrected = combat(x, batch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pd.testing.assert_frame_equal(combat(x, batch, mean_only=True), corrected)


def test_many_features_are_worked_on_in_blocks() -> None:
    x, batch = study(14, n_features=1100)
    part = combat(x, batch)
    order = np.random.default_rng(0).permutation(1100)
    pd.testing.assert_frame_equal(combat(x.iloc[:, order], batch)[x.columns], part)


def test_many_samples_do_not_spoil_the_non_parametric_form() -> None:
    x, batch = study(15, sizes=(900, 800), n_features=12)  # (2πe)^(−n/2) is below the smallest number from n = 520
    assert np.isfinite(combat(x, batch, parametric=False).to_numpy()).all()


def test_weights_by_hand() -> None:
    shifts, variances, n = np.array([0.0, 1.0, -2.0]), np.array([1.0, 2.0, 0.5]), 5
    z = np.array([-1.0, 1.0, 2.0, -2.0, 0.0]) / np.sqrt(2.5)  # mean 0, variance 1: feature 0
    likelihood = [
        np.prod(np.exp(-((z - g) ** 2) / (2 * d)) / np.sqrt(2 * np.pi * d)) for g, d in ((1.0, 2.0), (-2.0, 0.5))
    ]
    got = weigh_features(shifts, variances, np.array(n))
    assert got[0][0] == pytest.approx(np.dot(likelihood, [1.0, -2.0]) / np.sum(likelihood))
    assert got[1][0] == pytest.approx(np.dot(likelihood, [2.0, 0.5]) / np.sum(likelihood))


def test_iteration_that_does_not_settle_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STEPS", 1)
    rng = np.random.default_rng(0)
    shifts, variances = rng.normal(size=20), rng.gamma(5, size=20)
    with pytest.warns(RuntimeWarning, match="did not settle in 1 steps"):
        shrink(shifts, variances, np.full(20, 5), prior_moments(shifts, variances))


@settings(max_examples=30, deadline=None)
@given(
    shift=st.floats(-5, 5), variance=st.floats(0.1, 5), n=st.integers(2, 500), mean=st.floats(-2, 2),
    spread=st.floats(0.01, 4), shape=st.floats(2.1, 50), scale=st.floats(0.1, 50),
)  # fmt: skip
def test_a_step_stays_between_data_and_prior(
    shift: float, variance: float, n: int, mean: float, spread: float, shape: float, scale: float
) -> None:
    new, new_variance = shrinkage_step([shift], [variance], n, Prior(mean, spread, shape, scale), [variance])
    assert min(shift, mean) - 1e-9 <= new[0] <= max(shift, mean) + 1e-9
    seen = ((n - 1) * variance + n * (shift - new[0]) ** 2) / n
    guesses = [seen, scale / (shape - 1)]  # a weighted mean of what was seen and of the prior's mean
    assert min(guesses) - 1e-9 <= new_variance[0] <= max(guesses) + 1e-9


def test_prior_has_the_moments_that_were_observed() -> None:
    variances = np.random.default_rng(1).gamma(9, size=500)
    prior = prior_moments(np.zeros(500) + variances, variances)
    assert prior.scale / (prior.shape - 1) == pytest.approx(variances.mean())
    assert prior.scale**2 / ((prior.shape - 1) ** 2 * (prior.shape - 2)) == pytest.approx(variances.var(ddof=1))


# ---------------------------------------------------------------- refusals


def test_confounded_designs_name_groups_and_batches() -> None:
    x = np.random.default_rng(0).normal(size=(8, 4))
    batch = ["b1"] * 3 + ["b2"] * 3 + ["b3"] * 2
    disease = ["case"] * 3 + ["control"] * 5
    kept = pd.DataFrame({"disease": disease, "age": [50, 61, 43, 55, 70, 66, 48, 59]})
    for correct in (remove_batch, combat):
        with pytest.raises(ConfoundedDesignError, match=r"'disease'.*'case' is only in batch 'b1'.*'b2', 'b3'"):
            correct(x, batch, covariates=kept)
        with pytest.raises(
            ConfoundedDesignError, match=r"'dose' can't be told from the batch: it has one value within"
        ):
            correct(x, batch, covariates=pd.DataFrame({"dose": [1.0, 1, 1, 2, 2, 2, 5, 5]}))
    assert issubclass(ConfoundedDesignError, ValueError)


def test_combination_of_covariates_that_follows_the_batch_is_refused() -> None:
    x = np.random.default_rng(1).normal(size=(6, 3))
    batch = list("aaabbb")
    first = np.array([1.0, 2, 3, 1, 2, 4])
    kept = pd.DataFrame({"u": first, "v": np.array([0.0, 0, 0, 1, 1, 1]) - first, "w": [1.0, 5, 2, 2, 7, 1]})
    with pytest.raises(ConfoundedDesignError, match=r"'u' and 'v' together can't be told from the 2 batches"):
        remove_batch(x, batch, covariates=kept)


def test_more_covariates_than_samples_are_refused() -> None:
    rng = np.random.default_rng(2)
    with pytest.raises(ValueError, match="collinear among themselves"):
        remove_batch(rng.normal(size=(5, 3)), list("aabbb"), covariates=rng.normal(size=(5, 6)))
    with pytest.raises(ConfoundedDesignError, match="together can't be told"):
        remove_batch(rng.normal(size=(5, 3)), list("aabbb"), covariates=rng.normal(size=(5, 4)))


def test_covariates_collinear_among_themselves_are_blamed_on_themselves() -> None:
    x = np.random.default_rng(3).normal(size=(6, 3))
    kept = pd.DataFrame({"kg": [50.0, 60, 75, 80, 66, 71]}).assign(pounds=lambda t: 2.2046 * t["kg"] + 1)
    for correct in (remove_batch, combat):
        with pytest.raises(ValueError, match=r"collinear among themselves: 'pounds' follows from 'kg'") as caught:
            correct(x, list("ababab"), covariates=kept)
        assert not isinstance(caught.value, ConfoundedDesignError)


def test_dependent_columns() -> None:
    x = np.random.default_rng(4).normal(size=(9, 4))
    assert dependent_columns(x) == []
    assert dependent_columns(np.column_stack([x[:, 0], x[:, 0] * 1e6 + 1e-4 * x[:, 1], x[:, 1]])) == [1]
    assert dependent_columns(np.column_stack([x[:, :2], x[:, 0] - x[:, 1], x[:, 3], x[:, 3]])) == [2, 4]
    assert dependent_columns(x[:2]) == [2, 3]


X, BATCH = study(20)
SHORT = BATCH.iloc[:-3]
GAP = BATCH.where(BATCH.index != "P004")
ONE_LEFT = X["g2"].where((BATCH != "run2") | (BATCH.index == BATCH.index[BATCH == "run2"][0]))
EMPTY = X.mask((X.columns == "g6") & (BATCH.to_numpy()[:, None] == "run2"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pc_association(X.mask(X > 9), BATCH), "missing value"),
        (lambda: pc_association(X, ["run1"] * 25), "variable is run1 in all 25 samples"),
        (lambda: pc_association(X, X.index), "another value in each of the 25 samples"),
        (lambda: pc_association(X, BATCH, n_components=0), "n_components"),
        (lambda: pc_association(np.ones((4, 2)), list("aabb")), "all equal"),
        (lambda: pc_association(X, np.where(BATCH == "run1", np.inf, 1.0)), "infinite for sample"),
        (lambda: pc_association(X, SHORT), "no value for sample 'P022' and 2 others"),
        (lambda: pc_association(X.to_numpy(), BATCH.iloc[:4]), "one value for each of the 25 rows"),
        (lambda: remove_batch(X, GAP), "batch is missing for sample 'P004'"),
        (lambda: remove_batch(X, ["run1", "run2", np.nan, *BATCH[3:]]), "batch is missing for sample 'P002'"),
        (lambda: remove_batch(X, BATCH, covariates=["u", None, *"v" * 23]), "is missing for sample 'P001'"),
        (lambda: remove_batch(X, BATCH, covariates=5), "a row for each of the 25"),
        (lambda: remove_batch(X, "run1"), "one value for each of the 25 rows"),
        (lambda: spike_in_shift(X, BATCH, "g1"), "must be a list of columns"),
        (lambda: remove_batch(X, pd.concat([BATCH, BATCH])), "'P000' twice or more"),
        (
            lambda: remove_batch(X, BATCH, covariates=GAP.rename("site")),
            "covariate 'site' is missing for sample 'P004'",
        ),
        (lambda: remove_batch(X, BATCH, covariates=np.ones(25)), "covariate 'covariate' is 1.0 in all 25 samples"),
        (lambda: remove_batch(X, BATCH, covariates=np.where(BATCH == "run1", np.inf, 1.0)), "infinite for sample"),
        (lambda: remove_batch(X, BATCH, covariates=np.ones((4, 2))), "a row for each of the 25"),
        (lambda: remove_batch(X, BATCH, covariates=X.iloc[:, [0, 0]]), "column 'g0' twice"),
        (lambda: reference_shift(X, BATCH, BATCH == "run1"), "batch 'run2' has no reference sample"),
        (lambda: reference_shift(X, BATCH, np.ones(25)), "True and False; sample 'P000' has .*1.0"),
        (
            lambda: reference_shift(X, BATCH, pd.Series([True, None] + [False] * 23, index=X.index, dtype=object)),
            "sample 'P001' has None",
        ),
        (lambda: pc_association(X.assign(g2=np.nan), BATCH), "row 'P000', column 'g2'"),
        (lambda: spike_in_shift(X, BATCH, ["ERCC"]), "no column 'ERCC'"),
        (lambda: spike_in_shift(X, BATCH, []), "there is none"),
        (
            lambda: spike_in_shift(EMPTY, BATCH, ["g6"]),
            "none of the 1 spike-ins was seen in every.*'g6', for one, is missing in batch 'run2'",
        ),
        (lambda: confounding(BATCH, ["case"] * 25), "group is case in all 25 samples"),
        (lambda: confounding(BATCH, ["case"] * 4), "25 rows"),
        (lambda: confounding([], []), "one per sample"),
        (lambda: confounding(BATCH, GAP), "group is missing for sample 'P004'"),
        (lambda: combat(X, BATCH, reference="run7"), "'run1', 'run2', 'run3'; got 'run7'"),
        (lambda: combat(*study(21, (6, 1, 5)), reference="run2", mean_only=True), "'run2' has one sample"),
        (lambda: combat(EMPTY, BATCH), r"feature 'g6' has 0 value\(s\) in batch 'run2' and needs 2"),
        (lambda: combat(EMPTY.assign(g2=ONE_LEFT), BATCH), r"feature 'g2' has 1 value\(s\) in batch 'run2'"),
        (lambda: combat(X[["g1"]], BATCH), "at least 2 features must vary"),
        (lambda: combat(X[["g1", "g2"]].assign(g2=5.0), BATCH), "got 1; 'g2', for one, does not"),
        (lambda: combat(pd.concat([X, X], axis=1), BATCH), "column label 'g0' twice"),
        (lambda: combat(X[["g1", "g1"]].set_axis(["u", "v"], axis=1), BATCH), "all 2 features are equal"),
        (lambda: prior_moments([1.0], [2.0]), "2 or more"),
        (lambda: prior_moments([1.0, 2.0], [2.0, 2.0]), "variances of all 2 features are equal"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_gaps_that_entangle_covariate_and_batch_name_the_feature() -> None:
    x, batch = study(22, sizes=(6, 6))
    case = pd.Series(np.tile([True, False], 6), index=x.index)
    x.loc[(batch == "run1") & case, "g3"] = np.nan
    x.loc[(batch == "run2") & ~case, "g3"] = np.nan
    with pytest.raises(ValueError, match="feature 'g3'"):
        combat(x, batch, covariates=case)
    assert np.isfinite(remove_batch(x, batch, covariates=case)["g4"]).all()


def test_a_sample_without_any_value_takes_no_part() -> None:
    """All features have the same gap: the rest is corrected as if the sample were not there."""
    x = np.random.default_rng(31).normal(size=(9, 5))
    batch = list("aaaabbbbb")
    x[2] = np.nan
    rest = np.arange(9) != 2
    for correct in (remove_batch, combat):
        found = correct(x, batch)
        assert np.isnan(found[2]).all()
    # limma: the same least squares on the samples that are there
    alone = remove_batch(x[rest], [b for b, has in zip(batch, rest, strict=True) if has])
    shift = np.asarray(remove_batch(x, batch))[rest] - alone
    assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-12)
    one = remove_batch([[1.0], [3.0], [np.nan], [11.0], [13.0]], list("aaabb"))
    assert_allclose(np.diff(np.asarray(one)[[0, 1, 3, 4], 0]), [2.0, -2.0, 2.0])


def test_categories_that_are_numbers_are_groups() -> None:
    """The levels of a categorical have no order of size, in whatever order the samples come."""
    x = pd.DataFrame(np.random.default_rng(32).normal(size=(6, 4)))
    groups = pd.Series([1, 1, 3, 3, 2, 2], dtype="category")
    as_text = groups.astype(str)
    for variable in (groups, groups[::-1]):
        pd.testing.assert_frame_equal(pc_association(x, variable), pc_association(x, as_text))


def test_a_feature_that_is_explained_up_to_rounding_is_named() -> None:
    x = np.random.default_rng(33).normal(size=(8, 5))
    age = np.arange(20.0, 28.0) ** 1.5
    x[:, 2] = 7 + age / 3 + np.tile([0.0, 1.0], 4)
    with pytest.raises(ValueError, match="explain feature 2 exactly"):
        combat(x, list("abababab"), covariates=age)


def test_a_list_and_a_series_go_by_place() -> None:
    batch = ["b1", "b1", "b2", "b2"]
    group = pd.Series(["x", "y", "x", "x"], index=[3, 2, 1, 0])
    assert confounding(batch, group).table.to_numpy().tolist() == [[1, 1], [2, 0]]
    assert confounding(batch, group.set_axis(list("abcd"))).table.to_numpy().tolist() == [[1, 1], [2, 0]]
