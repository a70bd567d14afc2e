"""Visible checks of unit 06: what a learner sees and runs. Copied into the exercise's folder by the build."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from course.checking import points

# Masses of adducts are given to six decimals; any way to calculate agrees far below that.
RTOL = 1e-9


def mapping(*pairs):
    """A mapping of the class that the notebook gives."""
    try:
        from reference_impl.identifiers import Mapping
    except ImportError:  # a learner has no reference: Mapping stands in the notebook
        from __main__ import Mapping
    return Mapping(pairs, "protein to symbol", "release 7", "2026-11-22", "made by hand")


GLOBINS = (("P69905", "HBA1"), ("P69905", "HBA2"), ("P14618-1", "PKM"), ("P14618-2", "PKM"), ("P04406", "GAPDH"))


# ---------------------------------------------------------------- split_versions


@points(1)
def test_gene_with_and_without_version(split_versions):
    """ENSG00000141510.18 is version 18 of ENSG00000141510; without a version written, the version is missing.

    ENSG00000141510.18 是 ENSG00000141510 的第 18 版；没有写版本的，版本为缺失。"""
    table = split_versions(["ENSG00000141510.18", "ENSG00000171862"])
    assert table["stable"].tolist() == ["ENSG00000141510", "ENSG00000171862"]
    assert table["version"].isna().tolist() == [False, True]
    assert table["version"].iloc[0] == 18


@points(1)
def test_rows_are_labelled_as_written(split_versions):
    """One row for each identifier, labelled as it was written; columns stable and version.

    每个标识符一行，行标签为原来的写法；列为 stable 与 version。"""
    written = ["SIMG000002.4", "ENSG00000141510.18"]
    table = split_versions(written)
    assert table.index.tolist() == written
    assert table.columns.tolist() == ["stable", "version"]


# ---------------------------------------------------------------- changed_genes


@points(1)
def test_genes_are_stable_identifiers(changed_genes, cohort):
    """Each entry is a stable identifier of a gene in the RNA table, without version, and stands once.

    每一项都是 RNA 表中某个基因的稳定标识符，不带版本，且只出现一次。"""
    known = {column.split(".")[0] for column in cohort.layers["rna"].columns}
    assert set(changed_genes) <= known
    assert len(set(changed_genes)) == len(changed_genes)


@points(1)
def test_some_genes_changed(changed_genes, cohort):
    """Some genes changed, but by far not all that the two tables share.

    有些基因的版本变了，但远不是两张表共有的全部基因。"""
    assert 0 < len(changed_genes) < len(cohort.layers["protein"].columns) / 2


# ---------------------------------------------------------------- map_identifiers


@points(1)
def test_example_of_the_task(map_identifiers):
    """P69905 has two targets and Q9Y6K9 none; with many="all" that makes three rows.

    P69905 有两个目标，Q9Y6K9 没有；many="all" 时共三行。"""
    table = map_identifiers(["P69905", "Q9Y6K9"], mapping(*GLOBINS), many="all")
    assert table.columns.tolist() == ["identifier", "target", "n_targets"]
    assert table["identifier"].tolist() == ["P69905", "P69905", "Q9Y6K9"]
    assert table["target"].tolist()[:2] == ["HBA1", "HBA2"]
    assert table["target"].isna().tolist() == [False, False, True]
    assert table["n_targets"].tolist() == [2, 2, 0]


@points(1)
def test_several_targets_are_an_error(map_identifiers):
    """Unless it is said what to do with several targets, they are refused with a ValueError that names the identifier.

    若没有说明如何对待多个目标，应以指明该标识符的 ValueError 拒绝。"""
    with pytest.raises(ValueError, match="P69905"):
        map_identifiers(["P04406", "P69905"], mapping(*GLOBINS))


# ---------------------------------------------------------------- to_genes

TABLE = pd.DataFrame(
    {"P14618-1": [300.0, 7.0], "P69905": [80.0, 5.0], "P14618-2": [100.0, 9.0]}, index=["P001", "P002"]
)


@points(1)
def test_isoforms_add_up(to_genes):
    """The two isoforms of PKM become one column, their sum; the pair HBA1;HBA2 has a column of its own.

    PKM 的两个异构体合成一列，即二者之和；HBA1;HBA2 这一对自成一列。"""
    genes, _ = to_genes(TABLE, mapping(*GLOBINS), how="sum")
    assert genes.index.tolist() == ["P001", "P002"]
    assert genes.columns.tolist() == ["PKM", "HBA1;HBA2"]
    assert_allclose(genes, [[400.0, 80.0], [16.0, 5.0]], rtol=RTOL)


@points(1)
def test_report_comes_second(to_genes):
    """The second result is the coverage report of the columns.

    第二项结果是各列的覆盖报告。"""
    _, report = to_genes(TABLE, mapping(*GLOBINS[:2]), how="unique")
    assert report.n_identifiers == 3
    assert tuple(report.unmapped) == ("P14618-1", "P14618-2")


# ---------------------------------------------------------------- protein_groups


@points(1)
def test_three_kinds_of_groups(protein_groups):
    """Two isoforms of one gene, one protein of two genes, and one to one.

    一个基因的两个异构体、两个基因的一个蛋白质，以及一对一。"""
    table = protein_groups(["P14618-1", "P69905", "P14618-2", "P04406"], mapping(*GLOBINS))
    assert table["group"].tolist() == [0, 1, 0, 2]
    assert table["relation"].tolist() == ["many_to_one", "one_to_many", "many_to_one", "one_to_one"]


@points(1)
def test_columns_of_the_groups(protein_groups):
    """The columns are accession, isoform, genes, group, relation; rows are labelled by the proteins as written.

    列依次为 accession、isoform、genes、group、relation；行标签为蛋白质原来的写法。"""
    table = protein_groups(["P14618-2", "P69905"], mapping(*GLOBINS))
    assert table.columns.tolist() == ["accession", "isoform", "genes", "group", "relation"]
    assert table.index.tolist() == ["P14618-2", "P69905"]
    assert table["accession"].tolist() == ["P14618", "P69905"]
    assert table["genes"].tolist() == ["PKM", "HBA1;HBA2"]


# ---------------------------------------------------------------- neutral_mass


@points(1)
def test_glucose_with_a_proton(neutral_mass):
    """Glucose as [M+H]+ has m/z 181.070664 and the neutral mass 180.06339 Da.

    葡萄糖的 [M+H]+ 的 m/z 为 181.070664，中性质量为 180.06339 Da。"""
    # Two milli-dalton: whether a proton or a hydrogen atom was taken off, the hidden tests see.
    assert neutral_mass(181.070664, "[M+H]+") == pytest.approx(180.06339, abs=2e-3)


@points(1)
def test_series_keeps_its_labels(neutral_mass):
    """A Series of m/z comes back as a Series of masses with the same labels.

    输入 m/z 的 Series，返回标签相同的质量的 Series。"""
    masses = neutral_mass(pd.Series([181.07, 133.05], index=["ion1", "ion2"]), "[M+H]+")
    assert isinstance(masses, pd.Series)
    assert masses.index.tolist() == ["ion1", "ion2"]


# ---------------------------------------------------------------- annotate

AMINO_ACIDS = pd.DataFrame(
    {"mass": [131.094629, 131.069477, 131.094629]}, index=["L-Leucine", "Creatine", "L-Isoleucine"]
)


@points(1)
def test_leucine_and_isoleucine(annotate):
    """131.0950 within 5 ppm gives leucine and isoleucine, both at +2.83 ppm.

    131.0950 在 5 ppm 之内得到亮氨酸与异亮氨酸，误差都是 +2.83 ppm。"""
    found = annotate(np.array([131.0950]), AMINO_ACIDS, ppm=5)
    assert found["candidate"].tolist() == ["L-Leucine", "L-Isoleucine"]
    assert_allclose(found["ppm"].astype(float), 2.830017, atol=1e-4)


@points(1)
def test_columns_of_the_candidates(annotate):
    """The columns are query, candidate, ppm, n_candidates; queries are the labels of the masses.

    列依次为 query、candidate、ppm、n_candidates；query 为各质量的标签。"""
    found = annotate(pd.Series([131.0695], index=["M7"]), AMINO_ACIDS, ppm=5)
    assert found.columns.tolist() == ["query", "candidate", "ppm", "n_candidates"]
    assert found["query"].tolist() == ["M7"]
    assert found["n_candidates"].tolist() == [1]


# ---------------------------------------------------------------- group_ions


@points(1)
def test_two_molecules(group_ions):
    """Proton, sodium and carbon-13 ions of glucose are one group; an ion a minute later is another.

    葡萄糖的质子、钠加合离子与碳-13 离子为一组；晚一分钟出现的离子是另一组。"""
    ions = pd.DataFrame(
        {"mz": [181.0707, 203.0526, 182.0740, 195.0877], "rt": [60.0, 60.4, 59.8, 120.0]}, index=["a", "b", "c", "d"]
    )
    found = group_ions(ions, ppm=5, rt_window=1.0, mode="positive")
    assert found["group"].tolist() == [0, 0, 0, 1]
    assert found["adduct"].tolist() == ["[M+H]+", "[M+Na]+", "[M+H]+", "[M+H]+"]
    assert found["n_ions"].tolist() == [3, 3, 3, 1]


@points(1)
def test_table_of_five_columns(group_ions):
    """The result has a row for each ion, with its label, and the columns group, adduct, isotope, mass, n_ions.

    结果中每个离子一行并保留标签，列依次为 group、adduct、isotope、mass、n_ions。"""
    ions = pd.DataFrame({"mz": [181.0707, 182.0740], "rt": [60.0, 59.8]}, index=["x", "y"])
    found = group_ions(ions, ppm=5, rt_window=1.0, mode="positive")
    assert found.index.tolist() == ["x", "y"]
    assert found.columns.tolist() == ["group", "adduct", "isotope", "mass", "n_ions"]
    assert found["isotope"].tolist() == [0, 1]


# ---------------------------------------------------------------- identified


@points(1)
def test_ions_and_accessions(identified, cohort):
    """Keys are ions of the cohort; each has a list of HMDB accessions with seven digits, none twice.

    键是队列中的离子；每个键对应一个由七位数字 HMDB 登录号组成的列表，且无重复。"""
    assert set(identified) <= set(cohort.layers["metabolite"].columns)
    for accessions in identified.values():
        assert len(set(accessions)) == len(accessions) > 0
        assert all(name.startswith("HMDB") and len(name) == 11 for name in accessions)


@points(1)
def test_standards_find_their_name(identified, cohort):
    """Ions whose pure standard was measured have their own compound among the candidates.

    测过纯标准品的离子，其候选物中都有自己的化合物。"""
    known = cohort.features["metabolite"]["hmdb"].dropna()
    found = [hmdb in identified.get(ion, []) for ion, hmdb in known.items()]
    # Two molecules that come at one time may be taken for one, in about one cohort of ten.
    assert sum(found) >= len(found) - 2
