"""reference_impl.identity against PLINK, closed forms, planted truth and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from course.simulation import simulate_cohort
from reference_impl.identity import (
    assign_samples,
    cross_layer_similarity,
    cycle_lengths,
    find_duplicates,
    genotype_concordance,
    identity_report,
    infer_sex,
    king_kinship,
    match_evidence,
    pair_weights,
    standardize,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "identity" / "golden.json").read_text())


def golden_dosages() -> pd.DataFrame:
    rows = [[np.nan if c == "." else float(c) for c in row] for row in GOLDEN["dosage"]]
    return pd.DataFrame(rows, index=GOLDEN["names"])


def people(n: int) -> pd.Index:
    return pd.Index([f"P{i:03d}" for i in range(n)])


def genotypes(rng: np.random.Generator, n: int, n_sites: int, missing: float = 0.1) -> pd.DataFrame:
    dosage = rng.binomial(2, rng.uniform(0.1, 0.5, n_sites), (n, n_sites)).astype(float)
    dosage[rng.random(dosage.shape) < missing] = np.nan
    return pd.DataFrame(dosage, index=people(n))


def two_layers(
    rng: np.random.Generator, n: int, n_informative: int, n_other: int, noise: float = 1.0
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Genes and proteins of the same people; only the first pairs follow each other, every second one negatively."""
    gene = rng.normal(size=(n, n_informative + n_other))
    protein = rng.normal(size=gene.shape)
    sign = np.where(np.arange(n_informative) % 2, -1.0, 1.0)
    protein[:, :n_informative] = sign * gene[:, :n_informative] + noise * protein[:, :n_informative]
    names = [f"G{j}" for j in range(gene.shape[1])], [f"Q{j}" for j in range(gene.shape[1])]
    pairs = pd.DataFrame({"first": names[0], "second": names[1]})
    return (
        pd.DataFrame(gene, index=people(n), columns=names[0]),
        pd.DataFrame(protein, index=people(n), columns=names[1]),
        pairs,
    )


# ---------------------------------------------------------------- two genotypes


@pytest.mark.parametrize("record", GOLDEN["ibs"], ids=lambda r: f"{r['IID1']}-{r['IID2']}")
def test_concordance_is_plinks_share_of_ibs2(record: dict[str, Any]) -> None:
    concordance, n_sites = genotype_concordance(golden_dosages(), golden_dosages())
    total = record["IBS0"] + record["IBS1"] + record["IBS2"]
    pair = record["IID1"], record["IID2"]
    assert n_sites.loc[pair] == total
    assert_allclose(concordance.loc[pair], record["IBS2"] / total, rtol=1e-12)  # both divide the same integers


@pytest.mark.parametrize("record", GOLDEN["king"], ids=lambda r: f"{r['IID1']}-{r['IID2']}")
def test_kinship_is_plinks(record: dict[str, Any]) -> None:
    pair = record["IID1"], record["IID2"]
    kinship, n_sites = king_kinship(golden_dosages(), between_families=True)
    assert n_sites.loc[pair] == record["NSNP"]
    printed = np.nan if record["KINSHIP"] is None else record["KINSHIP"]
    assert_allclose(kinship.loc[pair], printed, atol=1e-6)  # PLINK prints six significant digits
    # PLINK's counts give the default form: het in one is het in both, or het against homozygous.
    n_het = 2 * record["HETHET"] + record["HET1_HOM2"] + record["HET2_HOM1"]
    expected = (record["HETHET"] - 2 * record["IBS0"]) / n_het if n_het else np.nan
    assert_allclose(king_kinship(golden_dosages())[0].loc[pair], expected, rtol=1e-12)


def test_the_two_forms_of_kinship_agree_for_equal_heterozygosity() -> None:
    dosage = np.array([[0, 1, 1, 2, 0], [1, 0, 1, 2, 2]])
    assert_allclose(king_kinship(dosage)[0], king_kinship(dosage, between_families=True)[0])


def test_kinship_by_hand() -> None:
    dosage = np.array([[1, 1, 0, 2, 1, np.nan], [1, 0, 2, 2, np.nan, 1]])
    kinship, n_sites = king_kinship(dosage)
    # four shared sites: one het in both, one opposite homozygotes, het counts 2 and 1
    assert_allclose(kinship[0, 1], (1 - 2) / (2 + 1))
    assert n_sites.tolist() == [[5, 4], [4, 5]]


def test_jointly_called_sites_keep_a_sibling_a_sibling() -> None:
    """Counting all heterozygous sites of a sample would drop full siblings below 0.177 when the other has few calls."""
    dosage = golden_dosages().loc[["sister", "brother"]].to_numpy(copy=True)
    dosage[1, ::2] = np.nan
    kinship, _ = king_kinship(dosage)
    seen = ~np.isnan(dosage).any(axis=0)
    assert_allclose(kinship[0, 1], king_kinship(dosage[:, seen])[0][0, 1], rtol=1e-12)
    assert kinship[0, 1] > 0.177


@pytest.mark.parametrize("method", [genotype_concordance, king_kinship])
def test_nan_where_no_site_is_shared(method: Any) -> None:
    values, n_sites = method(np.array([[1.0, np.nan]]), np.array([[np.nan, 1.0], [1.0, 1.0]]))
    assert np.isnan(values[0, 0])
    assert n_sites.tolist() == [[0, 1]]


def test_non_reference_concordance_leaves_out_common_reference_sites() -> None:
    first, second = np.array([[0, 0, 1, 2, 0]]), np.array([[0, 0, 1, 1, 2]])
    assert_allclose(genotype_concordance(first, second)[0], 3 / 5)
    concordance, n_sites = genotype_concordance(first, second, non_reference=True)
    assert_allclose(concordance, 1 / 3)
    assert n_sites[0, 0] == 3
    assert np.isnan(genotype_concordance(first * 0, second * 0, non_reference=True)[0]).all()


@pytest.mark.parametrize("non_reference", [False, True])
def test_matrix_products_equal_the_loop_over_pairs(non_reference: bool) -> None:
    rng = np.random.default_rng(7)
    first, second = genotypes(rng, 6, 40, 0.3).to_numpy(), genotypes(rng, 5, 40, 0.3).to_numpy()
    concordance, _ = genotype_concordance(first, second, non_reference=non_reference)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            use = ~np.isnan(a) & ~np.isnan(b) & ~(non_reference & (a == 0) & (b == 0))
            assert_allclose(concordance[i, j], np.mean(a[use] == b[use]))


def test_tables_keep_their_labels_and_are_not_changed() -> None:
    rng = np.random.default_rng(1)
    first, second = genotypes(rng, 4, 20), genotypes(rng, 3, 20).set_axis(["a", "b", "c"])
    before = first.copy()
    for values in (*genotype_concordance(first, second), *king_kinship(first, second)):
        assert values.index.equals(first.index)
        assert values.columns.tolist() == ["a", "b", "c"]
    pd.testing.assert_frame_equal(first, before)


@pytest.mark.parametrize("method", [genotype_concordance, king_kinship])
@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([[0, 1, 3]], [[0, 1, 2]], "row 0, column 2 is 3"),
        ([[0, 1, -9]], [[0, 1, 2]], "is -9"),
        ([[0, 1]], [[0, 1, 2]], "2 columns and second has 3"),
        ([0, 1], [[0, 1]], "rows"),
        ([["A", "C"]], [[0, 1]], "table of numbers"),
        ([[np.inf, 1]], [[0, 1]], "infinite"),
    ],
)
def test_bad_dosages_are_refused(method: Any, first: Any, second: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method(first, second)


def test_sites_in_another_order_are_refused() -> None:
    dosage = pd.DataFrame([[0, 1]], columns=["a", "b"])
    with pytest.raises(ValueError, match="same order"):
        genotype_concordance(dosage, dosage[["b", "a"]])


# ---------------------------------------------------------------- sex


def expression(rows: list[list[float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["XIST", "UTY", "DDX3Y"], index=people(len(rows)))


def test_sex_is_decided_by_the_difference_of_the_scores() -> None:
    told = infer_sex(
        expression([[9, 1, 0], [0, 7, 8], [7, 7, 7], [0.2, 0, 0.3], [5, 4, 4.2]]),
        x_inactivation="XIST",
        y_linked=["UTY", "DDX3Y"],
    )
    assert told["sex"].tolist() == ["female", "male", "ambiguous", "ambiguous", "ambiguous"]
    assert_allclose(told["y_score"], [0.5, 7.5, 7, 0.15, 4.1])
    assert_allclose(told["margin"], [8.5, 7.5, 0, 0.05, 0.9])


def test_the_margin_itself_is_enough_and_no_difference_is_no_sex() -> None:
    x = expression([[3, 1, 1], [1, 3, 3], [2, 2, 2]])
    assert infer_sex(x, x_inactivation=["XIST"], y_linked=["UTY"], margin=2)["sex"].tolist()[:2] == ["female", "male"]
    assert infer_sex(x, x_inactivation=["XIST"], y_linked=["UTY"], margin=0)["sex"].tolist()[2] == "ambiguous"


def test_sex_uses_the_genes_that_were_measured() -> None:
    x = expression([[np.nan, 5, 5], [0, np.nan, 6], [8, np.nan, np.nan]])
    told = infer_sex(x, x_inactivation="XIST", y_linked=["UTY", "DDX3Y"])
    assert told["sex"].tolist() == ["ambiguous", "male", "ambiguous"]
    assert told["margin"].isna().tolist() == [True, False, True]


def test_sex_of_an_array_by_position() -> None:
    told = infer_sex(np.array([[9.0, 0.0]]), x_inactivation=0, y_linked=[1])
    assert told["sex"].tolist() == ["female"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x_inactivation": "XISTT", "y_linked": ["UTY"]}, "'XISTT' is not"),
        ({"x_inactivation": "XIST", "y_linked": []}, "none given"),
        ({"x_inactivation": None, "y_linked": ["UTY"]}, "x_inactivation must be .* got None"),
        ({"x_inactivation": "XIST", "y_linked": None}, "y_linked must be .* got None"),
        ({"x_inactivation": "XIST", "y_linked": ["UTY"], "margin": -1}, "margin must be"),
        ({"x_inactivation": "XIST", "y_linked": ["UTY"], "margin": np.nan}, "margin must be"),
    ],
)
def test_bad_sex_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        infer_sex(expression([[1, 2, 3]]), **arguments)


# ---------------------------------------------------------------- duplicates


def test_duplicates_are_pairs_in_order_of_similarity() -> None:
    similarity = np.array(
        [[1, 0.2, 0.9, np.nan], [0.2, 1, 0.95, 0.8], [0.9, 0.95, 1, 0.1], [np.nan, 0.8, 0.1, 1]], dtype=float
    )
    found = find_duplicates(similarity, threshold=0.8)
    assert found.to_numpy().tolist() == [[1, 2, 0.95], [0, 2, 0.9], [1, 3, 0.8]]
    assert find_duplicates(similarity, threshold=2).empty
    assert find_duplicates(similarity, threshold=2).columns.tolist() == ["first", "second", "similarity"]


@pytest.mark.parametrize(
    ("similarity", "message"),
    [
        (np.zeros((2, 3)), "shape"),
        (pd.DataFrame(np.eye(2), index=["a", "b"], columns=["b", "a"]), "same labels"),
        (np.array([[1, 0.9], [0.1, 1]]), "symmetric"),
        (np.array([[1, np.inf], [np.inf, 1]]), "infinite"),
    ],
)
def test_bad_similarities_are_refused(similarity: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_duplicates(similarity, threshold=0.5)


# ---------------------------------------------------------------- layers that share no site


def test_standardize_removes_batches_and_scale() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(12, 3)) * [1, 10, 100]
    batch = np.repeat(["a", "b"], 6)
    x[:, 1] += np.where(batch == "a", 0, 1000)
    x[4, 2] = np.nan
    z = standardize(np.column_stack([x, np.full(12, 5.0)]), batch)
    assert_allclose(np.nanstd(z[:, :3], axis=0, ddof=1), 1, rtol=1e-12)
    for name in "ab":
        assert_allclose(np.nanmean(z[batch == name][:, :3], axis=0), 0, atol=1e-12)
    assert np.isnan(z[4, 2])
    assert np.isnan(z[:, 3]).all()


def test_weights_follow_the_correlation_and_chance_weighs_nothing() -> None:
    rng = np.random.default_rng(5)
    a = rng.normal(size=(100, 303))
    b = rng.normal(size=(100, 303))
    b[:, :3] = a[:, :3] * [1, -1, 1] + b[:, :3] * [0.5, 0.5, 1.0]
    a[::7, 0] = np.nan
    weights = pair_weights(a, b)
    seen = ~np.isnan(a[:, 0])
    r = np.corrcoef(a[seen, 0], b[seen, 0])[0, 1]
    assert_allclose(weights[0], r / (1 - r**2), rtol=1e-10)
    assert weights[1] < 0 < weights[2] < weights[0]
    # Benjamini–Hochberg at 5 % with three true discoveries: hardly any of the 300 others.
    assert np.count_nonzero(weights[3:]) <= 2


def test_similarity_equals_the_formula_pair_by_pair() -> None:
    rng = np.random.default_rng(11)
    gene, protein, pairs = two_layers(rng, 30, 20, 5)
    protein = protein.mask(rng.random(protein.shape) < 0.2)
    similarity = cross_layer_similarity(gene, protein.iloc[::-1].iloc[:25], pairs)
    second = protein.iloc[::-1].iloc[:25]
    a, b = standardize(gene), standardize(second)
    shared = [name for name in gene.index if name in second.index]
    w = pair_weights(a[gene.index.get_indexer(shared)], b[second.index.get_indexer(shared)])
    for i in (0, 7, 29):
        for j in (0, 12):
            use = ~np.isnan(b[j])
            top = np.sum(w[use] * a[i, use] * b[j, use])
            length = np.sqrt(np.sum(np.abs(w[use]) * a[i, use] ** 2) * np.sum(np.abs(w[use]) * b[j, use] ** 2))
            assert_allclose(similarity.iloc[i, j], top / length, rtol=1e-10)


def test_similarity_is_free_of_scale_sign_and_batch() -> None:
    rng = np.random.default_rng(13)
    gene, protein, pairs = two_layers(rng, 40, 30, 0)
    batch = pd.Series(np.tile(["x", "y"], 20), index=protein.index)
    expected = cross_layer_similarity(gene, protein, pairs, second_batch=batch)
    shifted = (protein * -3.0 + 7).add(np.where(batch == "x", 0.0, 50.0), axis=0)
    assert_allclose(cross_layer_similarity(gene, shifted, pairs, second_batch=batch), expected, atol=1e-9)
    shuffled = batch.sample(frac=1, random_state=0)  # a Series is looked up by label
    assert_allclose(cross_layer_similarity(gene, protein, pairs, second_batch=shuffled), expected, atol=1e-12)


def test_without_an_informative_pair_all_is_nan_and_nobody_is_told() -> None:
    rng = np.random.default_rng(17)
    gene, protein, pairs = two_layers(rng, 60, 0, 200)
    similarity = cross_layer_similarity(gene, protein, pairs)
    assert similarity.isna().all(axis=None)
    assert (assign_samples(similarity)["verdict"] == "cannot_tell").all()
    assert cross_layer_similarity(gene, protein, pairs.iloc[:0]).isna().all(axis=None)


def test_the_batch_must_go_first() -> None:
    """A batch shared by two unrelated layers makes every pair look informative; without it none is."""
    gene, protein, pairs = two_layers(np.random.default_rng(19), 60, 0, 100)
    batch = np.tile([0, 1], 30)
    gene, protein = gene + 4 * batch[:, None], protein + 4 * batch[:, None]
    assert cross_layer_similarity(gene, protein, pairs).notna().all(axis=None)
    assert cross_layer_similarity(gene, protein, pairs, first_batch=batch, second_batch=batch).isna().all(axis=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": pd.DataFrame({"first": ["G0"]})}, "columns 'first' and 'second'"),
        ({"pairs": pd.DataFrame({"first": ["G0"], "second": ["Q99"]})}, "'Q99', which is not a column of second"),
        ({"second_batch": ["a"]}, "one batch for each of the 10"),
        ({"first_batch": [None] * 10}, "none missing"),
        ({"second": "relabelled"}, "no sample label in common"),
        ({"first": "twice"}, "twice or more"),
    ],
)
def test_bad_layers_are_refused(change: dict[str, Any], message: str) -> None:
    gene, protein, pairs = two_layers(np.random.default_rng(0), 10, 2, 0)
    arguments = {"first": gene, "second": protein, "pairs": pairs} | change
    if change.get("second") is not None:
        arguments["second"] = protein.set_axis([f"X{i}" for i in range(10)])
    if change.get("first") is not None:
        arguments["first"] = pd.concat([gene, gene.iloc[:1]])
    with pytest.raises(ValueError, match=message):
        cross_layer_similarity(arguments.pop("first"), arguments.pop("second"), arguments.pop("pairs"), **arguments)


# ---------------------------------------------------------------- who belongs to whom


def noisy_similarity(rng: np.random.Generator, owner: np.ndarray, separation: float = 8.0) -> pd.DataFrame:
    n = len(owner)
    values = rng.normal(size=(n, n))
    values[np.arange(n), owner] += separation
    return pd.DataFrame(values, index=people(n), columns=people(n))


def test_a_swap_and_a_cycle_are_told_apart() -> None:
    owner = np.arange(30)
    owner[[3, 8]] = [8, 3]
    owner[[10, 20, 25]] = [20, 25, 10]
    told = assign_samples(noisy_similarity(np.random.default_rng(2), owner))
    assert told["assigned"].tolist() == people(30)[owner].tolist()
    assert told["cycle"].tolist() == [2 if i in (3, 8) else 3 if i in (10, 20, 25) else 1 for i in range(30)]
    assert (told["verdict"] == np.where(owner == np.arange(30), "as_labelled", "swapped")).all()
    assert (told["margin"] > 3).all()


def test_assignment_does_not_depend_on_scale_or_order() -> None:
    rng = np.random.default_rng(23)
    owner = rng.permutation(25)
    similarity = noisy_similarity(rng, owner)
    told = assign_samples(similarity)
    assert_allclose(assign_samples(0.01 * similarity - 4)["margin"], told["margin"], rtol=1e-9)
    mixed = similarity.iloc[rng.permutation(25), rng.permutation(25)]
    pd.testing.assert_frame_equal(assign_samples(mixed).loc[told.index], told)


def test_noise_tells_nobody() -> None:
    rng = np.random.default_rng(29)
    wrong = [
        (assign_samples(pd.DataFrame(rng.normal(size=(40, 40))))["verdict"] != "cannot_tell").sum() for _ in range(20)
    ]
    assert wrong == [0] * 20
    assert np.isnan(match_evidence(rng.normal(size=(40, 60)))).all()
    assert np.isnan(match_evidence(np.full((5, 5), 0.3))).all()
    assert (assign_samples(np.full((5, 5), np.nan))["verdict"] == "cannot_tell").all()


def test_a_single_pair_of_features_names_nobody() -> None:
    """One pair gives similarities of 1 and −1 only; many agree, and the MAD of so many equal values is 0."""
    rng = np.random.default_rng(59)
    gene, protein, pairs = two_layers(rng, 51, 1, 0, noise=0.5)
    similarity = cross_layer_similarity(gene, protein, pairs)
    assert_allclose(similarity.abs(), 1)
    assert match_evidence(similarity).isna().all(axis=None)


def test_evidence_is_the_log_likelihood_ratio_of_two_normal_distributions() -> None:
    rng = np.random.default_rng(31)
    values = noisy_similarity(rng, np.arange(200), 6.0).to_numpy()
    evidence = match_evidence(values)
    strangers = values[~np.eye(200, dtype=bool)]
    m0, m1 = np.median(strangers), np.median(np.diag(values))
    sd = 1.4826 * np.median(np.abs(strangers - m0))
    expected = ((values - m0) ** 2 - (values - m1) ** 2) / (2 * sd**2)
    assert_allclose(evidence, expected, rtol=1e-9, atol=1e-9)


def test_the_prior_holds_a_label_that_chance_speaks_against() -> None:
    """Two people whose profiles are nearly exchangeable stay as labelled, unless the prior is against labels."""
    similarity = noisy_similarity(np.random.default_rng(37), np.arange(20), 10.0)
    similarity.iloc[0, 0] = similarity.iloc[0, 1] = similarity.iloc[1, 0] = similarity.iloc[1, 1] = 10.0
    similarity.iloc[0, 1] += 0.05
    assert assign_samples(similarity)["verdict"].tolist()[:2] == ["as_labelled", "as_labelled"]
    assert assign_samples(similarity, prior_correct=0.01)["verdict"].tolist()[:2] == ["swapped", "swapped"]
    margin = assign_samples(similarity)["margin"].iloc[0]
    assert assign_samples(similarity, min_margin=margin)["verdict"].iloc[0] == "cannot_tell"


def test_a_sample_that_matches_nobody_is_not_told() -> None:
    similarity = noisy_similarity(np.random.default_rng(41), np.arange(30))
    similarity.iloc[4] = np.random.default_rng(1).normal(size=30)
    similarity.iloc[5] = np.nan
    told = assign_samples(similarity)
    assert told["verdict"].tolist()[4:6] == ["cannot_tell", "cannot_tell"]
    assert told["assigned"].tolist()[4:6] == [None, None]
    assert np.isnan(told["margin"].iloc[5])
    assert (told["verdict"].drop(told.index[4:6]) == "as_labelled").all()


def test_a_second_aliquot_cannot_be_assigned_to_the_same_person() -> None:
    similarity = noisy_similarity(np.random.default_rng(43), np.arange(30))
    similarity.iloc[7] = similarity.iloc[2]
    told = assign_samples(similarity)
    assert told["verdict"].iloc[2] == "as_labelled"
    assert told["verdict"].iloc[7] == "cannot_tell"


@pytest.mark.parametrize("shape", ["wide", "tall"])
def test_tables_need_not_be_square(shape: str) -> None:
    similarity = noisy_similarity(np.random.default_rng(47), np.arange(30))
    part = similarity.iloc[:22] if shape == "wide" else similarity.iloc[:, :22]
    told = assign_samples(part)
    assert (told["verdict"].iloc[:22] == "as_labelled").all()
    assert (told["verdict"].iloc[22:] == "cannot_tell").all()


def test_chains_that_do_not_close_have_cycle_0() -> None:
    assert cycle_lengths({"A": "B", "B": "C", "C": "B"}) == {"A": 0, "B": 2, "C": 2}
    similarity = noisy_similarity(np.random.default_rng(53), np.roll(np.arange(30), 1)).iloc[:, :20]
    told = assign_samples(similarity.iloc[5:15])
    assert (told["verdict"] == "swapped").all()
    assert (told["cycle"] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prior_correct": 1.0}, "strictly between 0 and 1"),
        ({"prior_correct": 0}, "strictly between 0 and 1"),
        ({"min_margin": -0.1}, "min_margin must be"),
    ],
)
def test_bad_assignment_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assign_samples(np.eye(4), **arguments)


@pytest.mark.parametrize("similarity", ["abc", None, [1.0, 2.0]])
def test_only_a_table_can_be_assigned(similarity: Any) -> None:
    with pytest.raises(ValueError, match="similarity must"):
        assign_samples(similarity)


def test_a_label_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' twice"):
        assign_samples(pd.DataFrame(np.eye(2), index=["a", "a"]))


# ---------------------------------------------------------------- the whole cohort


def cohort_arguments(cohort: Any) -> dict[str, Any]:
    """Pairs of columns of one gene, sex genes and batches, from the cohort's own tables of features."""
    rna = cohort.features["rna"]
    column_of = pd.Series(rna.index, index=rna.index.str.split(".").str[0])

    def joined(layer: str, column: str) -> pd.DataFrame:
        gene = cohort.features[layer][column].dropna().str.split(";").explode().str.split(".").str[0]
        gene = gene[gene.isin(column_of.index)]
        return pd.DataFrame({"first": gene.index, "second": column_of[gene].to_numpy()})

    y_linked = ["RPS4Y1", "DDX3Y", "KDM5D", "UTY", "EIF1AY", "USP9Y", "ZFY"]
    return {
        "pairs": {
            ("genotype", "rna"): joined("genotype", "cis_gene"),
            ("methylation", "rna"): joined("methylation", "gene"),
            ("protein", "rna"): joined("protein", "gene"),
        },
        "sex_genes": {
            "x_inactivation": rna.index[rna["symbol"] == "XIST"].tolist(),
            "y_linked": rna.index[rna["symbol"].isin(y_linked)].tolist(),
        },
        "batch": {layer: table["batch"] for layer, table in cohort.samples.items()},
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_report_finds_what_was_planted_and_nothing_else(seed: int) -> None:
    cohort, truth = simulate_cohort(seed)
    report = identity_report(cohort, **cohort_arguments(cohort))
    assert len(report) == sum(len(table) for table in cohort.layers.values()) + len(cohort.clinical)
    swapped = report[report["verdict"] == "swapped"]
    found: dict[str, dict[str, str]] = {}
    for row in swapped.itertuples():
        found.setdefault(row.layer, {})[row.sample] = row.belongs_to
    assert found == truth["owner"]
    copies = report[report["verdict"] == "duplicate"]
    assert copies[["layer", "sample", "belongs_to"]].to_numpy().tolist() == [
        [d["layer"], d["label"], d["copy_of"]] for d in truth["duplicates"]
    ]
    assert report.loc[report["verdict"] == "sex_mismatch", "sample"].tolist() == truth["sex_mismatch"]
    # Nothing links metabolites to the other layers here, so nothing can be told about them.
    assert (report.loc[report["layer"] == "metabolite", "verdict"] == "cannot_tell").all()
    told = report[(report["layer"] != "metabolite") & (report["verdict"] == "cannot_tell")]
    assert len(told) < 30
    assert (report.loc[report["verdict"].isin(["as_labelled", "swapped", "duplicate"]), "margin"] > 0).all()
    assert report.loc[report["verdict"] == "cannot_tell", "belongs_to"].isna().all()


def linked_layers(order: list[str], swapped: dict[str, dict[str, str]]) -> tuple[Any, dict[str, Any]]:
    """Build a cohort of the given layers, each linked to "rna" alone, with labels changed as in `swapped`."""
    rng = np.random.default_rng(7)
    gene, protein, pairs = two_layers(rng, 60, 150, 0, noise=0.3)
    sex = np.where(np.arange(60) % 2, "male", "female")
    rna = (2 ** (gene + 8)).assign(XIST=np.where(sex == "female", 500.0, 0.0), UTY=np.where(sex == "male", 500.0, 0.0))
    second = gene + 0.3 * rng.normal(size=gene.shape)  # another protein panel, of the same genes
    layers = {"rna": rna, "protein": 2**protein, "panel": second.set_axis(protein.columns, axis=1)}
    cohort = SimpleNamespace(
        layers={name: layers[name].rename(index=swapped.get(name, {})).loc[gene.index] for name in order},
        clinical=pd.DataFrame({"sex": sex}, index=gene.index),
    )
    backwards = pairs.rename(columns={"first": "second", "second": "first"})
    linked = {(name, "rna"): backwards for name in order if name != "rna"}
    return cohort, {"pairs": linked, "sex_genes": {"x_inactivation": "XIST", "y_linked": "UTY"}}


PAIR = {"P004": "P008", "P008": "P004"}  # two people of one sex, so that the clinical record says nothing either
CYCLE = {"P011": "P020", "P020": "P035", "P035": "P011"}


@pytest.mark.parametrize("swap", [PAIR, CYCLE, PAIR | CYCLE], ids=["pair", "cycle", "both"])
@pytest.mark.parametrize("wrong", ["rna", "protein"])
@pytest.mark.parametrize("order", [["rna", "protein"], ["protein", "rna"]], ids="-".join)
def test_one_comparison_does_not_say_which_layer_is_wrong(order: list[str], wrong: str, swap: dict[str, str]) -> None:
    cohort, arguments = linked_layers(order, {wrong: swap})
    report = identity_report(cohort, **arguments)
    layers = report[report["layer"] != "clinical"]
    unsure = layers[layers["verdict"] == "cannot_tell"]
    assert set(zip(unsure["layer"], unsure["sample"], strict=True)) == {(x, label) for x in order for label in swap}
    assert (unsure["margin"] == 0).all()
    assert (layers.drop(unsure.index)["verdict"] == "as_labelled").all()
    clinical = report[report["layer"] == "clinical"].set_index("sample")["verdict"]
    assert (clinical[list(swap)] == "cannot_tell").all()
    assert (clinical.drop(list(swap)) == "as_labelled").all()


@pytest.mark.parametrize("wrong", ["rna", "protein", "panel"])
@pytest.mark.parametrize("order", [["rna", "protein", "panel"], ["panel", "protein", "rna"]], ids="-".join)
def test_a_second_comparison_says_which_layer_is_wrong(order: list[str], wrong: str) -> None:
    cohort, arguments = linked_layers(order, {wrong: PAIR | CYCLE})
    report = identity_report(cohort, **arguments)
    found = report[report["verdict"] == "swapped"]
    owner = {label: person for person, label in (PAIR | CYCLE).items()}
    assert set(zip(found["layer"], found["sample"], found["belongs_to"], strict=True)) == {
        (wrong, label, person) for label, person in owner.items()
    }
    assert (report.drop(found.index)["verdict"] == "as_labelled").all()


@pytest.mark.parametrize("part", ["layers", "clinical"])
def test_what_is_no_cohort_is_refused(part: str) -> None:
    cohort, arguments = linked_layers(["rna", "protein"], {})
    with pytest.raises(ValueError, match=r"NoneType has no \.layers"):
        identity_report(None, **arguments)
    delattr(cohort, part)
    with pytest.raises(ValueError, match=rf"SimpleNamespace has no \.{part}"):
        identity_report(cohort, **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": {("protein", "lipid"): pd.DataFrame({"first": [], "second": []})}}, "no layer 'lipid'"),
        ({"batch": {"lipid": None}}, "no layer 'lipid'"),
        ({"sex_genes": {"x_inactivation": "XIST?", "y_linked": ["UTY"]}}, "'XIST\\?' is not"),
    ],
)
def test_bad_report_arguments_are_refused(change: dict[str, Any], message: str) -> None:
    cohort, _ = simulate_cohort(1)
    with pytest.raises(ValueError, match=message):
        identity_report(cohort, **(cohort_arguments(cohort) | change))
