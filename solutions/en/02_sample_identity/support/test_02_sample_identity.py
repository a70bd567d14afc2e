"""Visible checks of unit 02: small examples by hand."""

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from course.checking import points

ROUNDING = 1e-9  # counts divided by counts, or a few dozen sums: exact to 1e-12 in any order

# ---------------------------------------------------------------- genotype_concordance


@points(1)
def test_sites_called_in_both(genotype_concordance):
    """Only sites called in both samples count, in the number of agreements and in the number of sites.

    只有两个样本都有分型结果的位点才计入：一致的位点数和总位点数都是如此。"""
    dna = np.array([[0, 1, 2, 0, 1], [0, 0, 1, 2, 1]], dtype=float)
    rna = np.array([[0, 1, 2, 1, np.nan]])
    concordance, n_sites = genotype_concordance(dna, rna)
    assert_allclose(n_sites, [[4], [4]])
    assert_allclose(concordance, [[3 / 4], [1 / 4]], rtol=ROUNDING)


@points(1)
def test_non_reference_example(genotype_concordance):
    """Non-reference concordance leaves out sites where both samples have dosage 0.

    非参考一致率不计两个样本剂量均为 0 的位点。"""
    first, second = np.array([[0, 0, 0, 1, 2]]), np.array([[0, 0, 0, 1, 1]])
    concordance, n_sites = genotype_concordance(first, second, non_reference=True)
    assert_allclose(n_sites, [[2]])
    assert_allclose(concordance, [[1 / 2]], rtol=ROUNDING)


@points(1)
def test_concordance_keeps_labels(genotype_concordance):
    """Two DataFrames give DataFrames: samples of the first in rows, of the second in columns.

    输入为两个 DataFrame 时，结果也是 DataFrame：行为第一张表的样本，列为第二张表的样本。"""
    first = pd.DataFrame([[0, 1], [2, 1]], index=["P1", "P2"], columns=["rs1", "rs2"])
    second = pd.DataFrame([[0, 1]], index=["P9"], columns=["rs1", "rs2"])
    for table in genotype_concordance(first, second):
        assert isinstance(table, pd.DataFrame)
        assert list(table.index) == ["P1", "P2"]
        assert list(table.columns) == ["P9"]


# ---------------------------------------------------------------- king_kinship


@points(1)
def test_kinship_by_hand(king_kinship):
    """Two samples on five sites, as you can count them on paper.

    两个样本、五个位点，可以在纸上数出来。"""
    dosages = np.array([[1, 1, 0, 2, 1], [1, 0, 2, 2, 1]])
    kinship, n_sites = king_kinship(dosages)
    assert_allclose(n_sites, [[5, 5], [5, 5]])
    # both heterozygous at 2 sites, opposite homozygotes at 1; 3 and 2 heterozygous sites
    assert_allclose(kinship, [[0.5, 0.0], [0.0, 0.5]], atol=ROUNDING)


@points(1)
def test_kinship_of_two_tables(king_kinship):
    """With a second table, rows come from the first and columns from the second; a repeated sample has kinship 0.5.

    给出第二张表时，行来自第一张表，列来自第二张表；同一个人的两份样本，亲缘系数为 0.5。"""
    first = pd.DataFrame([[1, 1, 0, 2], [0, 2, 1, 1]], index=["P1", "P2"])
    kinship, n_sites = king_kinship(first, first.loc[["P2"]].set_axis(["again"]))
    assert list(kinship.index) == ["P1", "P2"]
    assert list(kinship.columns) == ["again"]
    assert_allclose(kinship.loc["P2", "again"], 0.5, atol=ROUNDING)
    assert_allclose(n_sites.to_numpy(), [[4], [4]])


@points(1)
def test_between_families_by_hand(king_kinship):
    """The other form, the one PLINK 2 prints: 1/2 − (3 + 2 + 4·1 − 2·2) / (4·2).

    另一种形式，即 PLINK 2 输出的值：1/2 − (3 + 2 + 4·1 − 2·2) / (4·2)。"""
    dosages = np.array([[1, 1, 0, 2, 1], [1, 0, 2, 2, 1]])
    kinship, _ = king_kinship(dosages, between_families=True)
    assert_allclose(kinship[0, 1], 0.5 - 5 / 8, atol=ROUNDING)


# ---------------------------------------------------------------- find_duplicates


@points(1)
def test_one_duplicate(find_duplicates):
    """One pair lies above the threshold; a sample with itself is no pair.

    只有一对超过阈值；样本与自身不算一对。"""
    names = ["P1", "P2", "P3"]
    similarity = pd.DataFrame([[0.5, 0.1, 0.49], [0.1, 0.5, 0.0], [0.49, 0.0, 0.5]], index=names, columns=names)
    found = find_duplicates(similarity, threshold=0.354)
    assert list(found.columns) == ["first", "second", "similarity"]
    assert found.to_numpy().tolist() == [["P1", "P3", 0.49]]


@points(1)
def test_no_duplicate(find_duplicates):
    """Without a pair above the threshold the table is empty, with the same three columns.

    没有任何一对超过阈值时，返回带同样三列的空表。"""
    found = find_duplicates(np.eye(4), threshold=0.9)
    assert len(found) == 0
    assert list(found.columns) == ["first", "second", "similarity"]


# ---------------------------------------------------------------- infer_sex


@points(1)
def test_three_kinds_of_sample(infer_sex):
    """XIST high alone is female, the Y genes high alone is male, both high is ambiguous.

    只有 XIST 高为女性，只有 Y 基因高为男性，两者都高则为不明确。"""
    x = pd.DataFrame({"XIST": [9.0, 1.0, 5.0], "UTY": [0.5, 7.0, 5.5], "ACTB": [12.0, 12.0, 12.0]}, index=list("abc"))
    told = infer_sex(x, x_inactivation="XIST", y_linked=["UTY"])
    assert list(told.columns) == ["x_score", "y_score", "sex", "margin"]
    assert list(told.index) == ["a", "b", "c"]
    assert list(told["sex"]) == ["female", "male", "ambiguous"]
    assert_allclose(told["margin"], [8.5, 6.0, 0.5], rtol=ROUNDING)


@points(1)
def test_scores_are_means(infer_sex):
    """A score is the mean over its genes; a wider margin makes more samples ambiguous.

    得分是各基因的均值；余量取得越宽，不明确的样本越多。"""
    x = pd.DataFrame({"XIST": [2.0], "UTY": [5.0], "ZFY": [7.0]})
    genes = {"x_inactivation": ["XIST"], "y_linked": ["UTY", "ZFY"]}
    assert_allclose(infer_sex(x, **genes)["y_score"], [6.0], rtol=ROUNDING)
    assert list(infer_sex(x, **genes)["sex"]) == ["male"]
    assert list(infer_sex(x, **genes, margin=5.0)["sex"]) == ["ambiguous"]


# ---------------------------------------------------------------- cross_layer_similarity


def gene_and_protein(n=24, n_pairs=30, noise=0.4):
    """Two layers of the same people in which every protein follows its gene."""
    rng = np.random.default_rng(2)
    gene = rng.normal(size=(n, n_pairs))
    people = [f"P{i:02d}" for i in range(n)]
    genes, proteins = [f"G{j}" for j in range(n_pairs)], [f"Q{j}" for j in range(n_pairs)]
    protein = gene + noise * rng.normal(size=gene.shape)
    pairs = pd.DataFrame({"first": genes, "second": proteins})
    return pd.DataFrame(gene, people, genes), pd.DataFrame(protein, people, proteins), pairs


@points(1)
def test_own_sample_is_the_most_similar(cross_layer_similarity):
    """Where proteins follow their genes, each row is most similar to the column of the same person.

    当蛋白随其基因变化时，每一行都与同一个人的那一列最相似。"""
    gene, protein, pairs = gene_and_protein()
    similarity = cross_layer_similarity(gene, protein, pairs)
    assert list(similarity.index) == list(gene.index)
    assert list(similarity.columns) == list(protein.index)
    assert list(similarity.idxmax(axis=1)) == list(gene.index)


@points(1)
def test_similarity_is_a_correlation(cross_layer_similarity):
    """Similarity lies between −1 and 1, and a layer compared with a multiple of itself gives 1 on the diagonal.

    相似度在 −1 与 1 之间；某一层与自身的倍数比较时，对角线为 1。"""
    gene, _, pairs = gene_and_protein()
    twice = (2.0 * gene + 3.0).set_axis(list(pairs["second"]), axis=1)
    similarity = cross_layer_similarity(gene, twice, pairs).to_numpy()
    assert_allclose(np.diag(similarity), 1.0, rtol=ROUNDING)
    assert np.abs(similarity).max() <= 1 + ROUNDING


@points(1)
def test_unrelated_layers_tell_nothing(cross_layer_similarity):
    """Where no protein follows its gene, everything is NaN.

    若没有任何蛋白随其基因变化，结果全为 NaN。"""
    gene, _, pairs = gene_and_protein()
    other = pd.DataFrame(np.random.default_rng(5).normal(size=gene.shape), gene.index, list(pairs["second"]))
    assert np.isnan(cross_layer_similarity(gene, other, pairs).to_numpy()).all()


# ---------------------------------------------------------------- assign_samples


def people(n):
    return [f"P{i}" for i in range(n)]


@points(1)
def test_two_tubes_swapped(assign_samples):
    """Two labels are exchanged, the others are right.

    两个标签互换，其余都正确。"""
    similarity = pd.DataFrame(np.eye(6)[[1, 0, 2, 3, 4, 5]], index=people(6), columns=people(6))
    told = assign_samples(similarity)
    assert list(told.columns) == ["assigned", "verdict", "margin", "cycle"]
    assert list(told["assigned"]) == ["P1", "P0", "P2", "P3", "P4", "P5"]
    assert list(told["verdict"]) == ["swapped"] * 2 + ["as_labelled"] * 4
    assert list(told["cycle"]) == [2, 2, 1, 1, 1, 1]


@points(1)
def test_margin_by_hand(assign_samples):
    """Evidence is 50 for a match and −50 for a stranger here; somebody who is not in the table scores 0.

    此例中匹配的证据为 50，陌生人为 −50；不在表中的人得 0 分。"""
    similarity = pd.DataFrame(np.eye(6)[[1, 0, 2, 3, 4, 5]], index=people(6), columns=people(6))
    margin = assign_samples(similarity)["margin"]
    head_start = np.log(0.95 * 5 / 0.05)
    assert_allclose(margin, [50, 50] + [50 + head_start] * 4, rtol=ROUNDING)


@points(1)
def test_nothing_known(assign_samples):
    """If nothing can be compared, nobody is told, and nobody is guessed.

    若什么都无法比较，就不下判断，也不猜。"""
    told = assign_samples(pd.DataFrame(np.full((4, 4), np.nan), index=people(4), columns=people(4)))
    assert list(told["verdict"]) == ["cannot_tell"] * 4
    assert told["assigned"].isna().all()


# ---------------------------------------------------------------- swapped_people and wrong_records


@points(1)
def test_swapped_people_has_the_form(swapped_people):
    """A dict with the keys "rna" and "protein"; each value is a dict from label to true person.

    一个字典，键为 "rna" 和 "protein"；每个值也是字典：从标签到真正的人。"""
    assert isinstance(swapped_people, dict)
    assert set(swapped_people) == {"rna", "protein"}
    assert all(isinstance(tubes, dict) for tubes in swapped_people.values())


@points(1)
def test_swapped_labels_are_patients(swapped_people, cohort):
    """Labels and people are patients of the cohort, and within a layer the same people only change places.

    标签与人都是队列中的患者；在同一层内，他们只是彼此换了位置。"""
    for tubes in swapped_people.values():
        assert set(tubes) <= set(cohort.patients)
        assert set(tubes) == set(tubes.values())
        assert all(label != person for label, person in tubes.items())


@points(1)
def test_wrong_records_has_the_form(wrong_records):
    """A dict with the keys "duplicate", "copy_of" and "wrong_sex".

    一个字典，键为 "duplicate"、"copy_of" 和 "wrong_sex"。"""
    assert isinstance(wrong_records, dict)
    assert set(wrong_records) == {"duplicate", "copy_of", "wrong_sex"}


@points(1)
def test_wrong_records_are_three_patients(wrong_records, cohort):
    """Three different patients of the cohort.

    队列中的三名不同患者。"""
    assert len(set(wrong_records.values())) == 3
    assert set(wrong_records.values()) <= set(cohort.patients)
