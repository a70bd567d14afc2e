"""reference_impl.normalization against edgeR, limma and preprocessCore, closed forms, invariants and bad input."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import f_oneway, kstest, rankdata

from reference_impl.normalization import (
    cpm,
    global_shift,
    log_cpm,
    median_scale,
    middle_ranks,
    quantile_normalize,
    read_target,
    reference_sample,
    sorted_curves,
    stretch,
    tmm_factors,
    tpm,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "normalization" / "golden.json").read_text())
ROUNDING = 1e-12  # sums and logarithms in another order


def by_name(cases: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def table(x: Any) -> pd.DataFrame:
    rows, columns = np.shape(x)
    return pd.DataFrame(x, index=[f"P{i:03d}" for i in range(rows)], columns=[f"gene{j}" for j in range(columns)])


def simulated_counts(seed: int, n: int = 6, p: int = 120) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.negative_binomial(3, 3 / (3 + np.exp(rng.normal(4, 2, size=p)) * rng.uniform(0.5, 2, size=(n, 1))))


# ---------------------------------------------------------------- equal to the originals


@by_name(GOLDEN["tmm"])
def test_factors_are_those_of_edger(case: dict[str, Any]) -> None:
    options = case["options"]
    arguments: dict[str, Any] = {}
    if options:
        arguments = {
            "reference": options["refColumn"] - 1 if "refColumn" in options else None,
            "log_ratio_trim": options.get("logratioTrim", 0.3),
            "sum_trim": options.get("sumTrim", 0.05),
        }
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        factors = tmm_factors(np.atleast_2d(case["counts"]), **arguments)
    assert_allclose(factors, np.ravel(case["factors"]), rtol=ROUNDING)
    assert len(heard) == len(case["warned"])


@by_name(GOLDEN["log_cpm"])
def test_logarithms_are_those_of_edger(case: dict[str, Any]) -> None:
    assert_allclose(cpm(case["counts"]), case["cpm"], rtol=ROUNDING)
    found = log_cpm(case["counts"], case["factors"], prior_count=case["prior_count"])
    assert_allclose(found, case["log_cpm"], rtol=ROUNDING, atol=ROUNDING)


@by_name(GOLDEN["quantiles"])
def test_quantiles_are_those_of_limma(case: dict[str, Any]) -> None:
    x = np.array(case["x"], dtype=float)
    assert_allclose(quantile_normalize(x), np.array(case["limma"], dtype=float), rtol=ROUNDING)
    if "preprocessCore" in case:
        assert_allclose(quantile_normalize(x), case["preprocessCore"], rtol=ROUNDING)


def test_median_scaling_is_the_logarithm_of_limmas() -> None:
    medians = GOLDEN["medians"]
    assert_allclose(median_scale(np.log2(medians["raw"])), np.log2(medians["normalized"]), rtol=ROUNDING)


# ---------------------------------------------------------------- what each method compares


class World:
    """Three dishes of which the truth is known: B is A sequenced three times as deep, in C one gene floods the tube."""

    rng = np.random.default_rng(7)
    lengths = rng.choice([500.0, 1000.0, 2000.0, 8000.0], size=400)
    molecules = np.tile(rng.lognormal(6, 1, size=400), (3, 1))
    molecules[2, 0] = 2 * (molecules * lengths)[2].sum() / lengths[0]
    material = molecules * lengths
    reads = rng.poisson(material / material.sum(axis=1, keepdims=True) * np.array([[4e7], [12e7], [4e7]])).astype(float)

    def within(self, found: np.ndarray) -> float:
        """Typical factor by which a gene of the first dish is off, compared with the other genes."""
        off = np.log2(found[0] / self.molecules[0])
        return float(2 ** np.median(np.abs(off - np.median(off))))

    def between(self, found: np.ndarray, dish: int) -> float:
        """Factor by which unchanged genes seem to differ between the first dish and another."""
        return float(np.median(found[dish, 1:] / found[0, 1:]))


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_cpm_compares_samples_of_one_composition_and_no_genes(world: World) -> None:
    found = cpm(world.reads)
    assert world.between(found, 1) == pytest.approx(1, abs=0.01)
    assert world.between(found, 2) < 0.4
    assert world.within(found) > 1.5


def test_tpm_compares_genes_and_does_not_repair_composition(world: World) -> None:
    found = tpm(world.reads, world.lengths)
    assert world.within(found) == pytest.approx(1, abs=0.02)
    assert world.between(found, 1) == pytest.approx(1, abs=0.01)
    assert world.between(found, 2) < 0.8


def test_tmm_compares_samples_and_no_genes(world: World) -> None:
    found = 2 ** log_cpm(world.reads, tmm_factors(world.reads))
    assert world.between(found, 1) == pytest.approx(1, abs=0.01)
    assert world.between(found, 2) == pytest.approx(1, abs=0.01)
    assert world.within(found) > 1.5


@pytest.mark.parametrize("method", [median_scale, quantile_normalize])
def test_scaling_of_logarithms_compares_samples_and_no_features(world: World, method: Any) -> None:
    """A feature's own response, here its length, stays in its values: no other feature can be compared with it."""
    found = 2.0 ** np.asarray(method(np.log2(world.reads + 1)))
    assert world.between(found, 1) == pytest.approx(1, abs=0.01)
    assert world.between(found, 2) == pytest.approx(1, abs=0.05)
    assert world.within(found) > 1.5


def test_total_sum_follows_a_few_strong_genes_and_tmm_does_not() -> None:
    level = np.random.default_rng(0).lognormal(5, 1, size=200)
    counts = np.stack([level, level])
    counts[1, :5] *= 300
    effective = counts.sum(axis=1) * tmm_factors(counts)
    assert effective[1] / effective[0] == pytest.approx(1, rel=1e-9)
    assert counts[1].sum() / counts[0].sum() > 3


def test_quantile_normalisation_erases_a_global_shift() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(10, 2, size=1000) + rng.normal(scale=0.2, size=(12, 1000))
    group = np.repeat([0, 1], 6)
    x[6:, :900] += 1.0
    assert global_shift(x, group).p < 1e-6
    found = quantile_normalize(x)
    difference = found[group == 1].mean(axis=0) - found[group == 0].mean(axis=0)
    assert abs(np.median(difference[:900])) < 0.2  # was 1
    assert np.median(difference[900:]) < -0.7  # was 0
    after = global_shift(found, group)
    assert (after.statistic, after.p, after.explained) == (0.0, 1.0, 0.0)  # what is left is rounding


# ---------------------------------------------------------------- closed forms and invariants

counts_tables = arrays(float, st.tuples(st.integers(2, 5), st.integers(2, 9)), elements=st.integers(0, 50).map(float))


@given(counts_tables)
@settings(max_examples=60, deadline=None)
def test_counts_sum_to_a_million(counts: np.ndarray) -> None:
    counts[:, 0] += 1
    lengths = np.arange(1.0, counts.shape[1] + 1)
    assert_allclose(cpm(counts).sum(axis=1), 1e6, rtol=ROUNDING)
    assert_allclose(tpm(counts, lengths).sum(axis=1), 1e6, rtol=ROUNDING)
    assert_allclose(tpm(counts, lengths), tpm(counts, 1000 * lengths), rtol=ROUNDING)


@given(counts_tables)
@settings(max_examples=60, deadline=None)
def test_factors_multiply_to_one_and_name_their_samples(counts: np.ndarray) -> None:
    counts[:, 0] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        factors = tmm_factors(table(counts))
    assert np.prod(factors) == pytest.approx(1, rel=1e-9)
    assert factors.index.tolist() == table(counts).index.tolist()


@given(arrays(float, st.integers(1, 30), elements=st.integers(-3, 3).map(float)), st.floats(0, 0.49))
@settings(max_examples=200, deadline=None)
def test_trimming_is_by_average_rank(values: np.ndarray, trim: float) -> None:
    rank, cut = rankdata(values), np.floor(len(values) * trim)
    assert_array_equal(middle_ranks(values, trim), (rank >= cut + 1) & (rank <= len(values) - cut))


def test_depth_does_not_change_the_factors() -> None:
    rng = np.random.default_rng(2)
    counts = rng.lognormal(4, 2, size=300) * np.exp(rng.normal(scale=0.2, size=(5, 300)))
    deeper = counts * np.array([[1.0], [20.0], [0.3], [5.0], [1.0]])
    # The log ratios are the same; the weights, inverse variances of counts, depend on depth.
    assert_allclose(tmm_factors(deeper, 0), tmm_factors(counts, 0), rtol=0.05)


def test_reference_of_sparse_data_has_the_largest_sum_of_roots() -> None:
    counts = np.zeros((3, 20))
    counts[0, :4], counts[1, 2:6], counts[2, 1], counts[2, 6:] = 5, 6, 36, 0.01
    assert reference_sample(counts, counts.sum(axis=1)) == 1


def test_absent_gene_is_the_same_in_all_libraries() -> None:
    counts = simulated_counts(3) * np.array([[1], [4], [1], [10], [2], [1]])
    counts[:, 0] = 0
    absent = log_cpm(counts, np.linspace(0.5, 2, 6))[:, 0]
    assert_allclose(absent, absent[0], rtol=ROUNDING)


def test_median_scale_keeps_level_and_gaps() -> None:
    x = np.random.default_rng(4).normal(20, 2, size=(6, 31)) + np.arange(6.0)[:, None]
    medians = np.median(median_scale(x), axis=1)
    assert_allclose(medians, np.median(x, axis=1).mean(), rtol=ROUNDING)
    x[2, 5] = np.nan
    assert np.argwhere(np.isnan(median_scale(x))).tolist() == [[2, 5]]


def test_median_scale_sees_through_the_detection_limit() -> None:
    rng = np.random.default_rng(5)
    shift = rng.normal(scale=0.6, size=60)
    x = rng.normal(20, 2, size=800) + shift[:, None] + rng.normal(scale=0.3, size=(60, 800))
    x[x < 19] = np.nan
    slope = np.polyfit(shift, (x - median_scale(x))[:, np.nanargmax(x[0])], 1)[0]
    naive = np.polyfit(shift, np.nanmedian(x, axis=1), 1)[0]
    assert slope == pytest.approx(1, abs=0.05)
    assert naive < 0.75


def test_quantile_normalisation_with_ties_and_gaps_by_hand() -> None:
    # Sorted: 1 1 2 4 / 0 5 (stretched: 0 5/3 10/3 5) -> target 0.5 4/3 8/3 4.5
    found = quantile_normalize(np.array([[1.0, 4.0, 1.0, 2.0], [np.nan, 5.0, 0.0, np.nan]]))
    tied = (0.5 + 4 / 3) / 2
    assert_allclose(found, [[tied, 4.5, tied, 8 / 3], [np.nan, 4.5, 0.5, np.nan]], rtol=ROUNDING)


@given(arrays(float, (4, 12), elements=st.integers(0, 8).map(float)))
@settings(max_examples=60, deadline=None)
def test_order_and_ties_survive_quantile_normalisation(x: np.ndarray) -> None:
    found = quantile_normalize(x)
    for before, after in zip(x, found, strict=True):
        assert (np.diff(after[np.argsort(before, kind="stable")]) >= -1e-9).all()
        for value in np.unique(before):
            assert np.ptp(after[before == value]) == 0


def test_curves_and_targets() -> None:
    assert_allclose(stretch(np.array([0.0, 10.0]), 3), [0, 5, 10])
    assert_allclose(sorted_curves([[3.0, np.nan, 1.0]]), [[1, 2, 3]])
    assert_allclose(read_target(np.array([1.0, 5.0, 6.0]), np.array([2.0, 2.0, 2.0])), [5, 5, 5])


def test_global_shift_of_one_number_is_the_analysis_of_variance() -> None:
    # Two equal features: curves differ in level only, so the test is the F test of one number per sample.
    level = np.random.default_rng(6).normal(size=12)
    groups = np.repeat(["a", "b", "c"], [3, 4, 5])
    found = global_shift(np.column_stack([level, level]), groups)
    expected = f_oneway(*(level[groups == name] for name in "abc"))
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)


def test_p_of_global_shift_is_uniform_or_larger_where_nothing_differs() -> None:
    rng = np.random.default_rng(8)
    groups = np.tile(["a", "b"], 6)
    found = []
    for _ in range(300):
        x = rng.normal(8, 2, size=200) + rng.normal(scale=0.3, size=(12, 200)) + rng.normal(scale=0.3, size=(12, 1))
        x = 8 + (x - 8) * np.exp(rng.normal(scale=0.1, size=(12, 1)))
        found.append(global_shift(x, groups).p)
    assert np.mean(np.array(found) < 0.05) < 0.09  # 0.05 plus three standard errors
    assert kstest(found, "uniform", alternative="greater").pvalue > 1e-3  # not smaller than uniform


def test_global_shift_sees_spread_alone() -> None:
    rng = np.random.default_rng(9)
    x = rng.normal(size=(16, 400))
    x[8:] *= 1.3
    found = global_shift(x, [False] * 8 + [True] * 8)
    assert found.p < 1e-4
    assert abs(found.shift.loc[0.5, True]) < 0.1
    assert found.shift.loc[0.95, True] > 0.15


# ---------------------------------------------------------------- labels, purity, errors


def test_labels_come_back_and_inputs_stay() -> None:
    counts = table(simulated_counts(10))
    before = counts.copy()
    lengths = pd.Series(np.arange(120) + 1.0, index=counts.columns)[::-1]
    for found in (cpm(counts), tpm(counts, lengths), log_cpm(counts), median_scale(counts), quantile_normalize(counts)):
        assert found.index.equals(counts.index)
        assert found.columns.equals(counts.columns)
    pd.testing.assert_frame_equal(counts, before)
    assert_allclose(tpm(counts, lengths), tpm(counts.to_numpy(), np.arange(120) + 1.0), rtol=ROUNDING)
    factors = tmm_factors(counts)
    assert_allclose(log_cpm(counts, factors[::-1]), log_cpm(counts, factors), rtol=ROUNDING)
    groups = pd.Series([0, 1] * 3, index=counts.index)
    assert global_shift(counts, groups[::-1]).statistic == global_shift(counts, groups).statistic


def test_sample_that_shares_no_gene_is_named() -> None:
    with pytest.warns(UserWarning, match=r"sample 'P001' shares no gene with the reference 'P000'; its factor is 1"):
        tmm_factors(table([[5, 0], [0, 5]]), "P000")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cpm(table([[1, 2], [3, -4]])), r"sample 'P001', gene 'gene1' has -4\.0"),
        (lambda: cpm(table([[1, np.nan], [3, 4]])), r"sample 'P000', gene 'gene1' has nan"),
        (lambda: cpm([[1, np.inf]]), "infinite value"),
        (lambda: cpm(table([[1, 2], [0, 0]])), "sample 'P001' has no read at all"),
        (lambda: tmm_factors(table([[1, 2], [0, 0]])), "sample 'P001' has no read at all"),
        (lambda: cpm([1, 2]), r"got shape \(2,\)"),
        (lambda: tpm(table([[1, 2]]), [5, 0]), "every gene needs a positive length; 'gene1' has 0"),
        (lambda: tpm(table([[1, 2]]), pd.Series({"gene0": 5.0})), "'gene1' has nan"),
        (lambda: tpm(table([[1, 2]]), pd.Series([1, 2, 3.0], index=["gene0", "gene1", "gene1"])), "'gene1' has more"),
        (lambda: tpm(table([[1, 2]]), [5, "1.2 kb"]), "every gene needs a positive length; 'gene1' has '1.2 kb'"),
        (lambda: tpm(table([[1, 2]]), [None, 5]), "'gene0' has None"),
        (lambda: log_cpm(table([[1, 2], [3, 4]]), pd.Series({"P000": 1.0})), "every sample.*'P001' has nan"),
        (lambda: median_scale(table([[1, np.inf]])), "row 'P000', column 'gene1'"),
        (lambda: median_scale(table([[1, np.nan, np.nan], [np.nan, 2, 3]])), "sample 'P000' has the most gaps, 2 of 3"),
        (lambda: quantile_normalize(table([[1, 2], [np.inf, 2]])), "row 'P001', column 'gene0'"),
        (lambda: tpm([[1, 2]], [5]), "expected 2 numbers, one length per gene"),
        (lambda: tmm_factors([[1, 2]], 1), "reference 1 is not the label of one sample"),
        (lambda: tmm_factors(table([[1, 2]]), "P9"), "reference 'P9' is not"),
        (lambda: tmm_factors([[1, 2]], log_ratio_trim=0.5), "log_ratio_trim must be at least 0 and below 0.5"),
        (lambda: tmm_factors([[1, 2]], sum_trim=-0.1), "sum_trim must be"),
        (lambda: tmm_factors([[1, 2]], sum_trim="5%"), "sum_trim must be a number"),
        (lambda: log_cpm(table([[1, 2], [3, 4]]), [1, 0]), "every sample needs a positive factor; 'P001' has 0"),
        (lambda: log_cpm([[1, 2]], prior_count=0), "prior_count must lie strictly between 0 and inf"),
        (lambda: median_scale(table([[1, np.nan], [np.nan, 2]])), "no feature was measured in every sample"),
        (lambda: quantile_normalize(table([[1, 2], [np.nan, 2]])), "at least 2 measured values; sample 'P001' has 1"),
        (lambda: global_shift(np.zeros((4, 3)), ["a"] * 4), "'a' has 4"),
        (lambda: global_shift(np.zeros((3, 3)), ["a", "a", "b"]), "'b' has 1"),
        (lambda: global_shift(table(np.zeros((4, 3))), ["a", "a", "b", None]), "sample 'P003' has no group"),
        (lambda: global_shift(np.zeros((4, 3)), ["a", "b"]), "expected 4 groups, one per sample; got 2"),
        (
            lambda: global_shift(table(np.zeros((2, 3))), pd.Series(["a", "b"], index=["P000"] * 2)),
            "more than one group",
        ),
    ],
)
def test_errors_name_what_is_wrong(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
