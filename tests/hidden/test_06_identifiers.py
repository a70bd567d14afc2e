"""Hidden tests of unit 06: inputs come from a seed that only the instructor's key knows."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from course.checking import drawn, points
from reference_impl import identifiers as reference
from reference_impl.identifiers import ADDUCTS, ISOTOPE_SPACING, PROTON, Mapping

# Sums and products of a few numbers, in whatever order: the rest is margin.
ROUNDING = 1e-9


def mapping_of(pairs):
    """A mapping with a provenance."""
    return Mapping(tuple(pairs), "features to genes", "release 7", "2026-11-22", "drawn for a test")


def texts(column):
    """Texts of a column, None where missing."""
    return [None if pd.isna(value) else str(value) for value in column]


# ---------------------------------------------------------------- split_versions


@drawn
def ensembl(rng, n=12):
    """Stable identifiers of genes and transcripts of several species, and of the course."""
    kinds = rng.choice(["ENSG", "ENST", "ENSMUSG", "ENSP"], size=n)
    names = [f"{kind}{number:011d}" for kind, number in zip(kinds, rng.integers(1, 10**6, size=n), strict=True)]
    return [*names, f"SIMG{rng.integers(1, 10**6):06d}"]


@points(2)
def test_version_goes_and_is_kept(split_versions, draw):
    """The version is taken off genes, transcripts and proteins of any species, and recorded as a number.

    无论何种物种的基因、转录本与蛋白质，版本号都被拆下并记为数字。"""
    stable = draw.ensembl()
    version = draw.rng.integers(1, 30, size=len(stable))
    written = [f"{name}.{number}" for name, number in zip(stable, version, strict=True)]
    table = split_versions(written)
    assert table["stable"].tolist() == stable
    assert table["version"].tolist() == version.tolist()


@points(1)
def test_no_version_is_missing(split_versions, draw):
    """An identifier without a version is left as it is; its version is missing, in a column of whole numbers (Int64).

    没有版本的标识符原样保留；版本为缺失，而该列仍是整数列（Int64）。"""
    stable = draw.ensembl()
    assert str(split_versions(stable)["version"].dtype) == "Int64"
    table = split_versions([f"{stable[0]}.4", *stable[1:]])
    assert table["stable"].tolist() == stable
    assert table["version"].isna().tolist() == [False, *[True] * (len(stable) - 1)]


@points(1)
def test_other_dots_stay(split_versions, draw):
    """What is not a whole stable identifier with a version is left alone: symbols of clones, isoforms, broken texts.

    不是“完整的稳定标识符加版本号”的东西一律不动：克隆符号、异构体、残缺的文本。"""
    number = draw.rng.integers(100_000, 999_999)
    gene = draw.ensembl()[0]
    odd = [
        f"AC{number}.1",
        "P14618-2",
        f"{gene}.2.1",
        f"{gene}.",
        f"x{gene}.3",
        f"{gene}.3b",
        "ERCC-00002",
        f"{gene[:-1]}.2",
    ]
    table = split_versions(odd)
    assert table["stable"].tolist() == odd
    assert table["version"].isna().all()


@points(1)
def test_copy_on_the_y_chromosome(split_versions, draw):
    """The copy of a gene on the Y chromosome keeps its mark, so that it stays another column than the X copy.

    基因在 Y 染色体上的拷贝保留其标记，从而与 X 染色体上的拷贝仍是不同的列。"""
    gene, number = draw.ensembl()[0], int(draw.rng.integers(2, 20))
    table = split_versions([f"{gene}.{number}", f"{gene}.{number}_PAR_Y"])
    assert table["stable"].tolist() == [gene, f"{gene}_PAR_Y"]
    assert table["version"].tolist() == [number, number]


@points(1)
def test_every_identifier_has_its_row(split_versions, draw):
    """Repeats are kept, in the order given; what is no identifier is refused with a ValueError.

    重复的标识符按给出的次序保留；不是标识符的东西以 ValueError 拒绝。"""
    known = [f"{name}.{draw.rng.integers(1, 9)}" for name in draw.ensembl()]
    written = [str(name) for name in draw.rng.choice(known, size=20)]  # more than there are: some come twice
    table = split_versions(written)
    assert table.index.tolist() == written
    assert table["stable"].tolist() == [name.split(".")[0] for name in written]
    for bad in ([*written, ""], [None], [f" {written[0]}"]):
        with pytest.raises(ValueError, match=r"."):
            split_versions(bad)


# ---------------------------------------------------------------- changed_genes


def versions(cohort):
    """Versions that the two tables give to each gene, missing where none is written."""
    rna = reference.split_versions(cohort.layers["rna"].columns).set_index("stable")["version"]
    delivered = cohort.features["protein"]["gene"].str.split(";").explode()
    protein = reference.split_versions(delivered).drop_duplicates().set_index("stable")["version"]
    return pd.DataFrame({"rna": rna, "protein": protein})


@points(2)
def test_all_changed_genes_are_named(changed_genes, cohort):
    """Every gene that has a version in both tables, and not the same, is named: also the second gene of a pair.

    凡两张表都给出版本而版本不同的基因都已列出，包括成对基因中的第二个。"""
    both = versions(cohort).dropna()
    assert set(both.index[both["rna"] != both["protein"]]) <= set(changed_genes)


@points(1)
def test_missing_is_not_changed(changed_genes, cohort):
    """A gene of which only one table gives a version is not named: nobody knows whether it changed.

    只有一张表给出版本的基因不应列出：没有人知道它有没有变。"""
    both = versions(cohort)
    unknown = both.index[both["rna"].isna() | both["protein"].isna()]
    assert len(changed_genes) > 0
    assert not set(changed_genes) & set(unknown)


@points(1)
def test_equal_versions_are_not_named(changed_genes, cohort):
    """A gene of the same version in both tables is not named.

    两张表版本相同的基因不应列出。"""
    both = versions(cohort).dropna()
    assert len(changed_genes) > 0
    assert not set(changed_genes) & set(both.index[both["rna"] == both["protein"]])


# ---------------------------------------------------------------- map_identifiers


@drawn
def ambiguous(rng, n=14):
    """Pairs in random order: some sources have several targets; and identifiers, some of them unknown or repeated."""
    pairs = [(f"s{i}", f"t{i}") for i in range(n)]
    pairs += [(f"s{i}", f"t{rng.integers(n)}x") for i in rng.choice(n, size=4, replace=False)]
    pairs += [("s0", "t0y"), ("s0", "t0z")]
    asked = [*rng.choice([f"s{i}" for i in range(n)], size=n), "s0", *[f"u{i}" for i in range(3)]]
    return mapping_of(pairs[i] for i in rng.permutation(len(pairs))), [str(name) for name in rng.permutation(asked)]


@points(2)
def test_every_target_has_a_row(map_identifiers, draw):
    """With many="all" each identifier has a row for each of its targets, in the order of the mapping's pairs.

    many="all" 时，每个标识符的每个目标占一行，按映射中对子的次序。"""
    mapping, asked = draw.ambiguous()
    known = [name for name in asked if name.startswith("s")]
    found, right = (f(known, mapping, many="all") for f in (map_identifiers, reference.map_identifiers))
    assert found["identifier"].tolist() == right["identifier"].tolist()
    assert texts(found["target"]) == texts(right["target"])


@points(2)
def test_unmapped_identifiers_stay(map_identifiers, draw):
    """An identifier that the mapping does not know keeps its row, with a missing target and 0 targets.

    映射中没有的标识符仍占一行，目标缺失，目标个数为 0。"""
    mapping, asked = draw.ambiguous()
    for many in ("all", "drop"):
        found = map_identifiers(asked, mapping, many=many)
        unknown = found[found["identifier"].isin(["u0", "u1", "u2"])]
        assert unknown["identifier"].tolist() == [name for name in asked if name.startswith("u")]
        assert unknown["target"].isna().all()
        assert unknown["n_targets"].tolist() == [0, 0, 0]


@points(2)
def test_dropped_is_not_unmapped(map_identifiers, draw):
    """With many="drop" an ambiguous identifier has one row without a target, and still the number of its targets.

    many="drop" 时，有歧义的标识符占一行且没有目标，但仍给出它在映射中的目标个数。"""
    mapping, asked = draw.ambiguous()
    found, right = (f(asked, mapping, many="drop") for f in (map_identifiers, reference.map_identifiers))
    assert found["identifier"].tolist() == asked
    assert found["n_targets"].tolist() == right["n_targets"].tolist()
    assert texts(found["target"]) == texts(right["target"])


@points(1)
def test_error_is_the_default(map_identifiers, draw):
    """Several targets are refused by name unless `many` says what to do; another word for `many` is refused too.

    除非 `many` 说明如何处理，多个目标应指名拒绝；`many` 为其他词时也应拒绝。"""
    mapping, _ = draw.ambiguous()
    single = [name for name, targets in mapping.targets.items() if len(targets) == 1]
    found = map_identifiers(single, mapping)
    assert texts(found["target"]) == [mapping.targets[name][0] for name in single]
    with pytest.raises(ValueError, match="s0"):
        map_identifiers([single[0], "s0"], mapping)
    for many in ("first", "ALL", ""):
        with pytest.raises(ValueError, match=r"."):
            map_identifiers(single, mapping, many=many)


@points(1)
def test_no_identifier_at_all(map_identifiers, draw):
    """An empty list gives an empty table with the three columns; an empty text is refused.

    空列表得到有三列的空表；空文本应拒绝。"""
    mapping, _ = draw.ambiguous()
    found = map_identifiers([], mapping)
    assert found.columns.tolist() == ["identifier", "target", "n_targets"]
    assert len(found) == 0
    with pytest.raises(ValueError, match=r"."):
        map_identifiers(["s1", ""], mapping, many="all")


# ---------------------------------------------------------------- to_genes


@drawn
def features_of_genes(rng, n=5):
    """A table of 11 features in random order: genes of one to three features, two pairs of genes, two unmapped."""
    pairs = [("f0", "g3"), ("f1", "g3"), ("f2", "g3"), ("f3", "g1"), ("f4", "g1"), ("f5", "g0")]
    pairs += [("f6", "g9"), ("f6", "g2"), ("f7", "g2"), ("f7", "g9"), ("f8", "g2"), ("f9", "g7")]
    x = pd.DataFrame(np.round(rng.lognormal(4, 1, size=(n, 12)), 3), columns=[f"f{i}" for i in range(12)])
    x.index = pd.Index([f"P{i + 1:03d}" for i in range(n)], name="patient")
    return x[[str(name) for name in rng.permutation(x.columns)]], mapping_of(pairs[i] for i in rng.permutation(12))


@points(2)
def test_amounts_add_up(to_genes, draw):
    """Under "sum" every gene is the sum of its features, and each sample's total over the mapped features is kept.

    在 "sum" 之下，每个基因是其各特征之和，且每个样本在已映射特征上的总量不变。"""
    x, mapping = draw.features_of_genes()
    found, _ = to_genes(x, mapping, how="sum")
    right, _ = reference.to_genes(x, mapping, how="sum")
    assert set(found.columns) == set(right.columns)
    assert_allclose(found[right.columns], right, rtol=ROUNDING)
    assert_allclose(found.sum(axis=1), x.drop(columns=["f10", "f11"]).sum(axis=1), rtol=ROUNDING)


@points(1)
def test_logarithms_are_averaged(to_genes, draw):
    """Under "mean" every gene is the mean of its features, also where logarithms are negative.

    在 "mean" 之下，每个基因是其各特征的平均，对数为负时也是如此。"""
    x, mapping = draw.features_of_genes()
    logs = np.log2(x) - 6
    found, right = to_genes(logs, mapping, how="mean")[0], reference.to_genes(logs, mapping, how="mean")[0]
    assert_allclose(found[right.columns], right, rtol=1e-6, atol=ROUNDING)  # means near 0 lose digits


@points(2)
def test_shared_features_have_their_own_column(to_genes, draw):
    """A feature of two genes stands in one column of its own, labelled by both in alphabetical order, and in no other.

    两个基因共有的特征自成一列，以按字母顺序排列的两个基因命名，不出现在别的列里。"""
    x, mapping = draw.features_of_genes()
    found, _ = to_genes(x, mapping, how="sum")
    assert_allclose(found["g2;g9"], x["f6"] + x["f7"], rtol=ROUNDING)
    assert_allclose(found["g2"], x["f8"], rtol=ROUNDING)
    assert "g9" not in found.columns


@points(1)
def test_order_and_labels(to_genes, draw):
    """Genes come in the order in which their first feature stands in the table; samples keep their labels.

    基因按其首个特征在表中的次序排列；样本标签不变。"""
    x, mapping = draw.features_of_genes()
    before = x.copy()
    found, _ = to_genes(x, mapping, how="sum")
    right, _ = reference.to_genes(x, mapping, how="sum")
    assert found.columns.tolist() == right.columns.tolist()
    assert found.index.equals(x.index)
    pd.testing.assert_frame_equal(x, before)


@points(1)
def test_a_missing_part_makes_the_gene_missing(to_genes, draw):
    """If one of a gene's features is missing in a sample, the gene is missing there, and nowhere else.

    若某基因的一个特征在某个样本中缺失，则该基因在此样本中缺失，别处不受影响。"""
    x, mapping = draw.features_of_genes()
    rows = draw.rng.choice(5, size=2, replace=False)
    x.iloc[rows[0], x.columns.get_loc("f1")] = np.nan
    x.iloc[rows[1], x.columns.get_loc("f11")] = np.nan
    for how in ("sum", "mean"):
        found, _ = to_genes(x, mapping, how=how)
        assert np.isnan(found["g3"].iloc[rows[0]])
        assert found.isna().to_numpy().sum() == 1


@points(1)
def test_unique_and_unknown_ways(to_genes, draw):
    """Under "unique" a gene with two features is refused by name; other words for `how` are refused.

    在 "unique" 之下，有两个特征的基因应指名拒绝；`how` 为其他词时应拒绝。"""
    x, mapping = draw.features_of_genes()
    lone = x[["f9", "f5", "f10", "f8", "f6"]]
    found, report = to_genes(lone, mapping, how="unique")
    assert found.columns.tolist() == ["g7", "g0", "g2", "g2;g9"]
    assert_allclose(found.to_numpy(), lone.drop(columns="f10").to_numpy(), rtol=ROUNDING)
    assert tuple(report.unmapped) == ("f10",)
    with pytest.raises(ValueError, match="g1"):
        to_genes(x[["f9", "f3", "f5", "f4"]], mapping, how="unique")
    for how in ("max", "SUM", ""):
        with pytest.raises(ValueError, match=r"."):
            to_genes(lone, mapping, how=how)


@points(1)
def test_what_cannot_be_added_is_refused(to_genes, draw):
    """Under "sum" a negative value is refused, for it is no amount; under "unique" it may stand.

    在 "sum" 之下，负值应拒绝，因为它不是数量；在 "unique" 之下可以有负值。"""
    x, mapping = draw.features_of_genes()
    x.iloc[draw.rng.integers(5), x.columns.get_loc("f9")] = -0.25
    with pytest.raises(ValueError, match=r"."):
        to_genes(x, mapping, how="sum")
    assert to_genes(x[["f9"]], mapping, how="unique")[0]["g7"].min() == -0.25


@points(1)
def test_nothing_maps(to_genes, draw):
    """If no feature has a gene, the table is refused: the identifiers are probably written in two ways.

    若没有任何特征找到基因，应拒绝该表：多半是标识符有两种写法。"""
    x, mapping = draw.features_of_genes()
    with pytest.raises(ValueError, match=r"."):
        to_genes(x.add_suffix(".1"), mapping, how="sum")
    found, report = to_genes(x[["f10", "f5", "f11"]], mapping, how="sum")  # one is enough
    assert found.columns.tolist() == ["g0"]
    assert report.n_mapped == 1


@points(1)
def test_two_genes_in_one_text_are_refused(to_genes, draw):
    """A target that is two genes in one text, joined by ";", is refused: it would pass for the name of a gene.

    把两个基因用 ";" 写在一起的目标应拒绝：它会冒充一个基因的名字。"""
    x, mapping = draw.features_of_genes()
    joined = mapping_of([*mapping.pairs, ("f10", "g2;g9")])
    with pytest.raises(ValueError, match=r"."):
        to_genes(x, joined, how="sum")
    assert to_genes(x, mapping, how="sum")[0].notna().all(axis=None)


# ---------------------------------------------------------------- protein_groups


@drawn
def proteins(rng):
    """Proteins and genes in many relations, in random order; which accessions are which is drawn.

    A chain (two genes joined by one protein), isoforms that the mapping lists only by accession, an isoform that it
    lists with a gene of its own, one protein of two genes, pairs, and proteins that do not map.
    """
    a = [
        f"{letter}{number:05d}"
        for letter, number in zip("PQOPQOPQO", rng.permutation(90_000)[:9] + 10_000, strict=True)
    ]
    g = [f"G{number}" for number in rng.permutation(50)[:7]]
    pairs = [(a[0], g[0]), (a[1], g[1]), (a[2], g[0]), (a[2], g[1])]  # chain
    pairs += [(a[3], g[2]), (a[4], g[3]), (f"{a[4]}-3", g[4]), (a[5], g[5]), (a[5], g[6])]
    wanted = [
        a[0],
        a[1],
        a[2],
        f"{a[3]}-1",
        f"{a[3]}-4",
        f"{a[4]}-1",
        f"{a[4]}-3",
        a[5],
        a[6],
        f"{a[7]}-2",
        a[7],
        f"{a[8]}-12",
    ]
    mapping = mapping_of(pairs[i] for i in rng.permutation(len(pairs)))
    return [str(name) for name in rng.permutation(wanted)], mapping, a, g


@points(2)
def test_genes_of_isoforms(protein_groups, draw):
    """An isoform that the mapping does not list has the genes of its accession; one that it lists has its own.

    映射中没有列出的异构体，取其登录号的基因；列出的，取它自己的。"""
    wanted, mapping, a, g = draw.proteins()
    found = protein_groups(wanted, mapping)
    assert found.loc[f"{a[3]}-4", "genes"] == g[2]
    assert found.loc[f"{a[4]}-3", "genes"] == g[4]
    assert found.loc[f"{a[4]}-1", "genes"] == g[3]
    assert found.loc[a[5], "genes"] == ";".join(sorted(g[5:7]))
    assert found.loc[a[6], "genes"] == ""


@points(2)
def test_groups_are_the_connected_pieces(protein_groups, draw):
    """Proteins that an accession or a gene joins, directly or through others, are one group, numbered in order.

    只要有登录号或基因把蛋白质直接或间接连起来，它们就在同一组；组号按出现次序。"""
    wanted, mapping, _, _ = draw.proteins()
    found, right = protein_groups(wanted, mapping), reference.protein_groups(wanted, mapping)
    assert found["group"].tolist() == right["group"].tolist()


@points(2)
def test_relation_is_of_the_whole_group(protein_groups, draw):
    """The relation counts all proteins and all genes of the group, so it is the same for each of its proteins.

    关系按整组的全部蛋白质与全部基因来定，因此组内每个蛋白质的关系相同。"""
    wanted, mapping, _, _ = draw.proteins()
    found, right = protein_groups(wanted, mapping), reference.protein_groups(wanted, mapping)
    assert found["relation"].tolist() == right["relation"].tolist()
    assert set(right["relation"]) == {"many_to_many", "many_to_one", "one_to_many", "unmapped"}


@points(1)
def test_accession_and_gene_of_one_name(protein_groups, draw):
    """A gene whose name happens to be another protein's accession does not join the two.

    某个基因的名字碰巧与另一个蛋白质的登录号相同，不会把两者连在一起。"""
    _, _, a, g = draw.proteins()
    found = protein_groups([a[0], a[1]], mapping_of([(a[0], a[1]), (a[1], g[0])]))
    assert found["group"].tolist() == [0, 1]
    assert found["relation"].tolist() == ["one_to_one", "one_to_one"]


@points(1)
def test_only_accessions_each_once(protein_groups, draw):
    """Gene symbols that look like isoforms, and a protein given twice, are refused with a ValueError.

    貌似异构体的基因符号，以及给出两次的蛋白质，都以 ValueError 拒绝。"""
    wanted, mapping, _, _ = draw.proteins()
    for bad in ([*wanted, "NKX2-5"], [*wanted, wanted[3]], [*wanted, "ENSG00000141510"]):
        with pytest.raises(ValueError, match=r"."):
            protein_groups(bad, mapping)


@points(1)
def test_two_genes_of_a_protein_in_one_text_are_refused(protein_groups, draw):
    """A target that is two genes in one text, joined by ";", is refused: it would link with neither of the two.

    把两个基因用 ";" 写在一起的目标应拒绝：它与两个基因中的哪一个都连不上。"""
    wanted, mapping, a, g = draw.proteins()
    joined = mapping_of([*mapping.pairs, (a[6], f"{g[0]};{g[2]}")])
    with pytest.raises(ValueError, match=r"."):
        protein_groups(wanted, joined)
    assert protein_groups(wanted, mapping)["genes"].str.contains(";").any()


# ---------------------------------------------------------------- neutral_mass


@drawn
def ions_of_masses(rng, adduct, n=6):
    """Neutral masses and the m/z of one of their adducts."""
    mass = rng.uniform(90, 900, size=n)
    return mass, (mass + ADDUCTS[adduct].added) / abs(ADDUCTS[adduct].charge)


@points(2)
def test_singly_charged_positive_ions(neutral_mass, draw):
    """Protons, not hydrogen atoms, sodium and ammonium ions are taken off to a fraction of a ppm.

    减去的是质子（而不是氢原子）、钠离子或铵离子，精确到 1 ppm 的若干分之一。"""
    for adduct in ("[M+H]+", "[M+Na]+", "[M+NH4]+"):
        mass, mz = draw.ions_of_masses(adduct)
        assert_allclose(neutral_mass(mz, adduct), mass, rtol=ROUNDING)


@points(2)
def test_charge_two(neutral_mass, draw):
    """At charge 2 the m/z is multiplied first, and then two protons are taken off.

    电荷为 2 时，先乘 m/z，再减去两个质子。"""
    mass, mz = draw.ions_of_masses("[M+2H]2+")
    assert_allclose(neutral_mass(mz, "[M+2H]2+"), mass, rtol=ROUNDING)


@points(1)
def test_negative_ions(neutral_mass, draw):
    """A negative ion has lost a proton, so its molecule is heavier; with formate it has gained more than it lost.

    负离子失去了一个质子，所以分子比它重；带甲酸根时，得到的多于失去的。"""
    for adduct in ("[M-H]-", "[M+FA-H]-"):
        mass, mz = draw.ions_of_masses(adduct)
        assert_allclose(neutral_mass(mz, adduct), mass, rtol=ROUNDING)


@points(1)
def test_impossible_ions_are_refused(neutral_mass, draw):
    """An unknown adduct, an m/z that is missing or not above 0, and an ion of which nothing is left: a ValueError.

    未知的加合离子、缺失或不大于 0 的 m/z、减完什么也不剩的离子：抛出 ValueError。"""
    _, mz = draw.ions_of_masses("[M+Na]+")
    for value, adduct in [
        (mz, "[M+K]+"),
        (mz, "M+H"),
        (np.append(mz, np.nan), "[M+Na]+"),
        (np.append(mz, -5.0), "[M-H]-"),
        (np.append(mz, 12.0), "[M+Na]+"),
        (np.append(mz, PROTON), "[M+H]+"),
    ]:
        with pytest.raises(ValueError, match=r"."):
            neutral_mass(value, adduct)
    # However little is left, it is more than nothing.
    assert neutral_mass(1.9, "[M+H]+") == pytest.approx(1.9 - PROTON, rel=ROUNDING)


# ---------------------------------------------------------------- annotate


@drawn
def library(rng, n=60):
    """A database in random order, with formulas a few ppm apart and many isomers; and masses to look up."""
    formulas = 200 * (1 + 4e-6 * np.arange(n // 3)) + rng.uniform(0, 2e-4, size=n // 3)
    theory = np.concatenate([formulas, rng.choice(formulas, size=n - n // 3)])
    database = pd.DataFrame(
        {"mass": rng.permutation(theory), "name": "x"}, index=[f"C{i:02d}" for i in rng.permutation(n)]
    )
    masses = rng.choice(formulas, size=9) * (1 + 3e-6 * rng.normal(size=9))
    return pd.Series([*masses, 150.0], index=[f"M{i}" for i in rng.permutation(10)]), database


@points(2)
def test_every_candidate_is_listed(annotate, draw):
    """Every compound within the tolerance is listed, isomers and neighbours alike, and no other.

    容差之内的每个化合物都列出，同分异构体与邻近者一视同仁；其余的一概不列。"""
    masses, database = draw.library()
    found, right = annotate(masses, database, ppm=5), reference.annotate(masses, database, ppm=5)
    pairs, expected = (set(zip(t["query"], texts(t["candidate"]), strict=True)) for t in (found, right))
    assert pairs == expected
    assert len(found) == len(right)


@points(2)
def test_error_is_signed_and_relative_to_theory(annotate, draw):
    """The error is measured minus theoretical, in parts per million of the theoretical mass.

    误差等于测量值减理论值，以理论质量的百万分之一计。"""
    theory = draw.rng.uniform(100, 400, size=4)
    database = pd.DataFrame({"mass": theory}, index=list("abcd"))
    for share in (-0.004, 0.003):  # so large that it matters which mass one divides by
        found = annotate(theory[:1] * (1 + share), database, ppm=4500)
        mine = found[found["candidate"] == "a"]
        assert_allclose(mine["ppm"].astype(float), share * 1e6, rtol=1e-6)


@points(1)
def test_order_of_candidates(annotate, draw):
    """Candidates come from the smallest error to the largest regardless of sign, equal ones in the database's order.

    候选物不论正负、按误差由小到大排列；误差相等的按数据库中的次序。"""
    masses, database = draw.library()
    found, right = annotate(masses, database, ppm=9), reference.annotate(masses, database, ppm=9)
    assert found["query"].tolist() == right["query"].tolist()
    assert texts(found["candidate"]) == texts(right["candidate"])


@points(2)
def test_masses_without_candidate_stay(annotate, draw):
    """A mass without a candidate has one row, with candidate and error missing; n_candidates counts for every mass.

    没有候选物的质量占一行，候选物与误差缺失；每个质量都给出候选物个数。"""
    masses, database = draw.library()
    found, right = annotate(masses, database, ppm=2), reference.annotate(masses, database, ppm=2)
    assert list(dict.fromkeys(found["query"])) == masses.index.tolist()
    lost = found[found["query"] == masses.index[-1]]
    assert len(lost) == 1
    assert lost[["candidate", "ppm"]].isna().all(axis=None)
    assert (
        found.groupby("query")["n_candidates"].first().to_dict()
        == right.groupby("query")["n_candidates"].first().to_dict()
    )


@points(1)
def test_tolerance_is_included(annotate, draw):
    """At a tolerance of 0 an exact mass still has its candidate; arrays are answered by position.

    容差为 0 时，质量完全相等的候选物仍在；输入为数组时，以位置作为标签。"""
    _, database = draw.library()
    exact = database["mass"].iloc[:2].to_numpy()
    found = annotate(exact, database, ppm=0)
    assert set(found["query"]) == {0, 1}
    assert set(database.index[:2]) <= set(found["candidate"])
    assert_allclose(found["ppm"].astype(float), 0.0, atol=1e-12)


@points(1)
def test_unusable_masses_are_refused(annotate, draw):
    """A missing mass, a negative tolerance, a database without masses and labels that repeat: a ValueError.

    质量缺失、容差为负、数据库没有质量、标签重复：抛出 ValueError。"""
    masses, database = draw.library()
    for wrong, known, ppm in [
        (masses * np.nan, database, 5),
        (masses, database, -1),
        (masses, database.drop(columns="mass"), 5),
        (pd.concat([masses, masses[:1]]), database, 5),
        (masses, pd.concat([database, database[:1]]), 5),
    ]:
        with pytest.raises(ValueError, match=r"."):
            annotate(wrong, known, ppm=ppm)


# ---------------------------------------------------------------- group_ions


def rows_of(mass, time, what, rng):
    """Ions of a molecule, each m/z off by up to 1 ppm and each time by up to 0.2: m/z, time, adduct, isotope."""
    rows = []
    for adduct, isotope in what:
        kind = ADDUCTS[adduct]
        mz = (mass + kind.added + isotope * ISOTOPE_SPACING) / abs(kind.charge)
        rows.append((mz * (1 + rng.uniform(-1e-6, 1e-6)), time + rng.uniform(-0.2, 0.2), adduct, isotope))
    return rows


@drawn
def molecules(rng, mode="positive", n=7):
    """Ions of molecules that come apart in time, in random order, with what they are."""
    rows = []
    for number in range(n):
        if mode == "positive":
            what = [("[M+H]+", 0), ("[M+H]+", 1), ("[M+Na]+", 0), ("[M+NH4]+", 0), ("[M+2H]2+", 0), ("[M+2H]2+", 1)]
        else:
            what = [("[M-H]-", 0), ("[M-H]-", 1), ("[M+FA-H]-", 0)]
        what = what[: rng.integers(1, len(what) + 1)]
        rows += [(*row, number) for row in rows_of(rng.uniform(150, 800), 10.0 * number, what, rng)]
    table = pd.DataFrame(rows, columns=["mz", "rt", "adduct", "isotope", "molecule"])
    table.index = pd.Index([f"ion{i:03d}" for i in rng.permutation(len(table))])
    return table.loc[rng.permutation(table.index)]


@drawn
def crowd(rng, mode="positive", n=40):
    """Ions whose masses differ by differences of adducts and whose times overlap: most have several explanations."""
    steps = [0.0, 21.981944, 17.026549, 4.955395, 46.005479]
    mass = 200 + rng.choice(steps, n) + rng.choice(steps, n) + rng.choice([0.0, 7.77], n)
    adducts = rng.choice([name for name in ADDUCTS if (ADDUCTS[name].charge > 0) == (mode == "positive")], n)
    mz = [(m + ADDUCTS[a].added) / abs(ADDUCTS[a].charge) for m, a in zip(mass, adducts, strict=True)]
    mz = np.array(mz) * (1 + 2e-6 * rng.normal(size=n))
    return pd.DataFrame({"mz": mz, "rt": rng.uniform(0, 4, n)}, index=[f"i{j}" for j in range(n)])


@drawn
def bridge(rng):
    """Two ions that agree with a third one but not with each other, and the third one belongs to a larger group."""
    mass = rng.uniform(300, 700)
    large = rows_of(mass, 10.0, [("[M+H]+", 0), ("[M+Na]+", 0), ("[M+NH4]+", 0), ("[M+2H]2+", 0)], rng)
    other = mass + PROTON - ADDUCTS["[M+Na]+"].added  # the molecule whose [M+Na]+ the first ion could be
    early, late = rows_of(other, 9.0, [("[M+H]+", 0)], rng), rows_of(other, 11.0, [("[M+NH4]+", 0)], rng)
    rows = [*large, *early, *late]
    table = pd.DataFrame(rows, columns=["mz", "rt", "adduct", "isotope"]).drop(columns=["adduct", "isotope"])
    return table.loc[rng.permutation(table.index)].reset_index(drop=True)


def partition(groups):
    """The sets of labels that are together."""
    return {frozenset(groups.index[groups == number]) for number in groups.unique()}


@points(2)
def test_molecules_apart_in_time(group_ions, draw):
    """Ions of one molecule are one group, and those of molecules that come at other times are not in it.

    同一分子的离子成为一组，其他时间出现的分子的离子不在其中。"""
    for mode in ("positive", "negative"):
        ions = draw.molecules(mode)
        found = group_ions(ions[["mz", "rt"]], ppm=4, rt_window=1.0, mode=mode)
        right = reference.group_ions(ions[["mz", "rt"]], ppm=4, rt_window=1.0, mode=mode)
        assert partition(found["group"]) == partition(right["group"])
        assert found["group"].tolist() == right["group"].tolist()


@points(2)
def test_adducts_and_isotopes(group_ions, draw):
    """Every ion is told its adduct and its number of carbon-13 atoms; at charge 2 those lie half as far apart.

    每个离子都标明是哪种加合离子、含几个碳-13；电荷为 2 时间距减半。"""
    for mode in ("positive", "negative"):
        ions = draw.molecules(mode)
        found = group_ions(ions[["mz", "rt"]], ppm=4, rt_window=1.0, mode=mode)
        right = reference.group_ions(ions[["mz", "rt"]], ppm=4, rt_window=1.0, mode=mode)
        assert found["adduct"].tolist() == right["adduct"].tolist()
        assert found["isotope"].tolist() == right["isotope"].tolist()


@points(1)
def test_masses_of_one_molecule_agree(group_ions, draw):
    """All ions of a group, carbon-13 peaks too, give the mass of the molecule of carbon-12; n_ions counts them all.

    组内所有离子，包括碳-13 峰，都给出全碳-12 分子的中性质量；n_ions 把它们全部计入。"""
    ions = draw.molecules()
    found = group_ions(ions[["mz", "rt"]], ppm=4, rt_window=1.0, mode="positive")
    right = reference.group_ions(ions[["mz", "rt"]], ppm=4, rt_window=1.0, mode="positive")
    assert_allclose(found["mass"], right["mass"], rtol=ROUNDING)
    assert found["n_ions"].tolist() == right["n_ions"].tolist()


@points(3)
def test_most_explained_ions_win(group_ions, draw):
    """Where explanations contradict each other, the one of a free ion that explains the most free ions comes next.

    解释互相矛盾时，下一组由自身离子尚自由、且能解释最多自由离子的那个假设造就。"""
    crowds = [(mode, draw.crowd(mode)) for mode in ("positive", "negative", "positive", "positive")]
    for mode, ions in [*crowds, ("positive", draw.bridge())]:
        found = group_ions(ions, ppm=6, rt_window=1.5, mode=mode)
        right = reference.group_ions(ions, ppm=6, rt_window=1.5, mode=mode)
        assert partition(found["group"]) == partition(right["group"])
        assert found["adduct"].tolist() == right["adduct"].tolist()


@points(1)
def test_tolerances_are_obeyed(group_ions, draw):
    """Ions that are too far apart in time or mass for the given tolerances are left alone; a wider one joins them.

    在给定容差下，时间或质量相差过大的离子各自独立；容差放宽后才归到一起。"""
    mass = draw.rng.uniform(200, 500)
    rows = rows_of(mass, 5.0, [("[M+H]+", 0), ("[M+Na]+", 0), ("[M+H]+", 1)], draw.rng)
    ions = pd.DataFrame({"mz": [row[0] for row in rows], "rt": [5.0, 7.0, 8.0]}, index=["a", "b", "c"])
    for ppm, window in [(4, 1.0), (4, 2.5), (4, 3.5), (0.0, 3.5)]:
        found = group_ions(ions, ppm=ppm, rt_window=window, mode="positive")
        right = reference.group_ions(ions, ppm=ppm, rt_window=window, mode="positive")
        assert found["group"].tolist() == right["group"].tolist()
        assert found["n_ions"].tolist() == right["n_ions"].tolist()


@points(1)
def test_many_ions_are_quick(group_ions, draw):
    """Thousands of ions are grouped within the seconds that a call may take: not every pair is compared.

    数千个离子在一次调用允许的几秒之内归组完毕：不是把每一对都拿来比较。"""
    ions = pd.DataFrame({"mz": draw.rng.uniform(80, 900, 4000), "rt": draw.rng.uniform(0, 1200, 4000)})
    found = group_ions(ions, ppm=4, rt_window=1.0, mode="positive")
    right = reference.group_ions(ions, ppm=4, rt_window=1.0, mode="positive")
    assert found["n_ions"].tolist() == right["n_ions"].tolist()


@points(1)
def test_unusable_ions_are_refused(group_ions, draw):
    """A missing m/z, repeated labels, ions of the other mode, an unknown mode and a negative window: a ValueError.

    m/z 缺失、标签重复、另一种模式的离子、模式写成别的词、时间窗为负：抛出 ValueError。"""
    ions = draw.molecules()[["mz", "rt"]]
    rules = {"ppm": 4, "rt_window": 1.0, "mode": "positive"}
    for wrong, other in [
        (ions.assign(mz=np.nan), {}),
        (pd.concat([ions, ions[:1]]), {}),
        (ions.assign(mode="negative"), {}),
        (ions, {"mode": "both"}),
        (ions, {"rt_window": -1.0}),
        (ions[["mz"]], {}),
    ]:
        with pytest.raises(ValueError, match=r"."):
            group_ions(wrong, **{**rules, **other})


# ---------------------------------------------------------------- identified

# In about one cohort of ten two molecules come at one time and are taken for one: a few ions may be off.
NEARLY_ALL = 0.95


def real_ions(truth, *, mode=None, cohort=None, plain=None):
    """Ions that come from compounds of the database: ion → its HMDB accession."""
    found = {}
    for ion, made in truth["ions"].items():
        is_plain = made["adduct"] in ("[M+H]+", "[M-H]-") and made["isotope"] == 0
        in_mode = mode is None or cohort.features["metabolite"].loc[ion, "mode"] == mode
        if made["compound"].startswith("HMDB") and in_mode and plain in (None, is_plain):
            found[ion] = made["compound"]
    return found


def share_found(identified, ions):
    """Share of ions whose true compound is among the candidates."""
    return np.mean([compound in identified.get(ion, []) for ion, compound in ions.items()])


@points(2)
def test_adducts_and_companions_get_the_name(identified, truth):
    """Sodium, ammonium, formate and doubly charged ions and carbon-13 peaks find the compound they come from.

    钠、铵、甲酸根加合离子、双电荷离子和碳-13 峰，都找到了各自所属的化合物。"""
    assert share_found(identified, real_ions(truth, plain=False)) >= NEARLY_ALL


@points(1)
def test_both_modes_are_named(identified, truth, cohort):
    """Ions of the negative mode find their compound as well as those of the positive mode.

    负离子模式的离子与正离子模式的一样，都找到了各自的化合物。"""
    for mode in ("positive", "negative"):
        assert share_found(identified, real_ions(truth, mode=mode, cohort=cohort)) >= NEARLY_ALL


@points(2)
def test_isomers_stay_together(identified, truth):
    """Where isomers share a mass, all of them are candidates: leucine and isoleucine, citric and isocitric acid.

    同分异构体质量相同，就都是候选物：亮氨酸与异亮氨酸，柠檬酸与异柠檬酸，等等。"""
    isomers = [{"HMDB0000687", "HMDB0000172"}, {"HMDB0000094", "HMDB0000193"}, {"HMDB0000161", "HMDB0000271"}]
    isomers += [{"HMDB0000883", "HMDB0000043"}, {"HMDB0000122", "HMDB0000211"}]
    both = [
        together <= set(identified.get(ion, []))
        for ion, compound in real_ions(truth).items()
        for together in isomers
        if compound in together
    ]
    assert np.mean(both) >= NEARLY_ALL


@points(1)
def test_no_name_without_reason(identified, truth):
    """Ions of compounds that are not in the database have no candidate: hardly any finds one by chance.

    不在数据库中的化合物，其离子没有候选物：偶然撞上的极少。"""
    strangers = [ion for ion, made in truth["ions"].items() if not made["compound"].startswith("HMDB")]
    assert len(identified) > 0
    assert np.mean([ion in identified for ion in strangers]) <= 1 - NEARLY_ALL
