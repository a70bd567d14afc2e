"""Identifiers against other programs, atomic masses worked by hand, brute force, and the truth about the cohort."""

import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from reference_impl.cohort import load
from reference_impl.identifiers import (
    ADDUCTS,
    ISOTOPE_SPACING,
    PROTON,
    InChIKey,
    Mapping,
    annotate,
    coverage,
    find_isotopes,
    group_ions,
    hmdb_accession,
    identity_level,
    map_identifiers,
    neutral_mass,
    parse_inchikey,
    protein_groups,
    retention_index,
    split_versions,
    to_genes,
)

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests/golden/identifiers/golden.json").read_text(encoding="utf-8"))
PROVENANCE = {"name": "protein to gene", "version": "release 7", "date": "2026-11-22", "source": "made by hand"}

PAIRS = [
    ("P14618-1", "PKM"),
    ("P14618-2", "PKM"),
    ("P69905", "HBA1"),
    ("P69905", "HBA2"),
    ("P42771", "CDKN2A"),
    ("Q8N726", "CDKN2A"),
    ("P04406", "GAPDH"),
]
GENES = Mapping(PAIRS, **PROVENANCE)


# ---------------------------------------------------------------- versions


@pytest.mark.parametrize(
    ("identifier", "stable", "version"),
    [
        ("ENSG00000141510.18", "ENSG00000141510", 18),
        ("ENSG00000141510", "ENSG00000141510", None),
        ("ENST00000269305.9", "ENST00000269305", 9),
        ("ENSMUSG00000059552.14", "ENSMUSG00000059552", 14),
        ("ENSG00000182378.14_PAR_Y", "ENSG00000182378_PAR_Y", 14),
        ("SIMG000001.3", "SIMG000001", 3),
        ("AC004491.1", "AC004491.1", None),  # a clone-based symbol: the number is part of the name
        ("ERCC-00002", "ERCC-00002", None),
        ("P14618-2", "P14618-2", None),
        ("ENSG00000141510.", "ENSG00000141510.", None),
        ("ENSG00000141510.18.2", "ENSG00000141510.18.2", None),
        ("xENSG00000141510.18", "xENSG00000141510.18", None),
        ("ENSG00000141510.٣", "ENSG00000141510.٣", None),  # digits of another script are no version
    ],
)
def test_versions_of_ensembl_and_of_nothing_else(identifier, stable, version):
    row = split_versions([identifier]).loc[identifier]
    assert row["stable"] == stable
    assert (None if pd.isna(row["version"]) else row["version"]) == version


def test_splitting_keeps_order_and_repeats_and_can_be_undone():
    written = ["ENSG00000141510.18", "SIMG000001", "ENSG00000141510.18", "SIMG000002.4"]
    table = split_versions(written)
    assert table.index.tolist() == written
    assert table["version"].dtype == "Int64"
    joined = [s if pd.isna(v) else f"{s}.{v}" for s, v in zip(table["stable"], table["version"], strict=True)]
    assert joined == written
    assert len(split_versions([])) == 0


@pytest.mark.parametrize("bad", [[None], [np.nan], [""], [" ENSG00000141510"], [7], "ENSG00000141510"])
def test_identifiers_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match=r"identifier 0 is|list of identifiers"):
        split_versions(bad)


# ---------------------------------------------------------------- mappings


def test_a_mapping_cannot_be_changed():
    pairs = list(PAIRS)
    mapping = Mapping(pairs, **PROVENANCE)
    with pytest.raises(FrozenInstanceError):
        mapping.version = "release 8"
    pairs.append(("X", "Y"))
    mapping.targets["P04406"] = ()
    table = mapping.table
    table.iloc[0, 0] = "changed"
    assert mapping == GENES
    assert hash(mapping) == hash(GENES)
    assert mapping.targets["P04406"] == ("GAPDH",)


def test_a_mapping_from_a_table_and_back():
    table = pd.DataFrame(PAIRS, columns=["source", "target"])
    mapping = Mapping(table, **PROVENANCE)
    assert mapping == GENES
    pd.testing.assert_frame_equal(mapping.table, table)
    assert mapping.inverse().inverse().pairs == mapping.pairs
    assert str(mapping) == "protein to gene (release 7, 2026-11-22, made by hand)"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "at least one pair"),
        ([("a", "b"), ("a", "b")], "pair 1.*twice"),
        ([("a", "b"), ("c", None)], "pair 1"),
        ([("a", "b"), ("c", np.nan)], "pair 1"),
        ([("a", "")], "pair 0"),
        ([("a ", "b")], "pair 0"),
        ([("a", "b", "c")], "pair 0"),
        (["ab"], "pair 0"),
    ],
)
def test_nonsense_is_no_mapping(pairs, message):
    with pytest.raises(ValueError, match=message):
        Mapping(pairs, **PROVENANCE)


@pytest.mark.parametrize("field", ["name", "version", "date", "source"])
@pytest.mark.parametrize("text", ["", "  ", None])
def test_a_mapping_says_where_it_comes_from(field, text):
    with pytest.raises(ValueError, match=field):
        Mapping(PAIRS, **{**PROVENANCE, field: text})


@pytest.mark.parametrize("day", ["22.11.2026", "2026-11-31", "20261122", "2026-11", "last week"])
def test_the_date_is_a_day(day):
    with pytest.raises(ValueError, match="YYYY-MM-DD"):
        Mapping(PAIRS, **{**PROVENANCE, "date": day})


def test_every_identifier_is_answered():
    asked = ["P69905", "Q9Y6K9", "P04406", "P04406"]
    every = map_identifiers(asked, GENES, many="all")
    assert every["identifier"].tolist() == ["P69905", "P69905", "Q9Y6K9", "P04406", "P04406"]
    assert every["target"].tolist()[:2] == ["HBA1", "HBA2"]
    assert every["target"].isna().tolist() == [False, False, True, False, False]
    assert every["n_targets"].tolist() == [2, 2, 0, 1, 1]
    dropped = map_identifiers(asked, GENES, many="drop")
    assert dropped["identifier"].tolist() == asked
    assert dropped["n_targets"].tolist() == [2, 0, 1, 1]
    assert dropped["target"].isna().tolist() == [True, True, False, False]
    assert map_identifiers([], GENES).columns.tolist() == ["identifier", "target", "n_targets"]


def test_an_ambiguous_identifier_is_named():
    with pytest.raises(ValueError, match="P69905 has 2 targets, HBA1, HBA2"):
        map_identifiers(["P04406", "P69905"], GENES)
    with pytest.raises(ValueError, match="many must be"):
        map_identifiers(["P04406"], GENES, many="first")


def test_coverage_counts_and_lists():
    report = coverage(["Q9Y6K9", "P14618-1", "P14618-2", "P69905", "P14618-1", "P00000"], GENES)
    assert (report.n_identifiers, report.n_mapped) == (5, 3)
    assert report.unmapped == ("Q9Y6K9", "P00000")
    assert report.ambiguous == ("P69905",)
    assert report.shared == ("PKM",)
    assert "release 7" in str(report)
    assert "unmapped: 2 (Q9Y6K9, P00000)" in str(report)


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("UVWXYZ")), min_size=1),
    st.lists(st.sampled_from("abcdefghij")),
)
def test_a_round_trip_loses_nothing_unsaid(pairs, asked):
    """There and back again: every identifier returns to itself, or is listed as unmapped."""
    mapping = Mapping(sorted(pairs), **PROVENANCE)
    there, report = map_identifiers(asked, mapping, many="all"), coverage(asked, mapping)
    back = map_identifiers(there["target"].dropna().tolist(), mapping.inverse(), many="all")
    assert set(asked) == set(report.unmapped) | (set(back["target"]) & set(asked))
    assert set(report.unmapped).isdisjoint(back["target"])
    assert report.n_mapped + len(report.unmapped) == report.n_identifiers == len(set(asked))


# ---------------------------------------------------------------- by gene

VALUES = pd.DataFrame(
    {"P14618-1": [300.0, 7.0], "P69905": [80.0, 5.0], "Q9Y6K9": [1.0, 1.0], "P14618-2": [100.0, np.nan]},
    index=["P001", "P002"],
)


def test_parts_add_up_and_typical_parts_are_averaged():
    table, report = to_genes(VALUES, GENES, how="sum")
    expected = pd.DataFrame({"PKM": [400.0, np.nan], "HBA1;HBA2": [80.0, 5.0]}, index=VALUES.index)
    pd.testing.assert_frame_equal(table, expected)
    assert report.unmapped == ("Q9Y6K9",)
    assert to_genes(VALUES, GENES, how="mean")[0].loc["P001", "PKM"] == 200.0


def test_a_sum_of_logarithms_is_refused_by_name():
    with pytest.raises(ValueError, match=r"P69905 of sample P002 is -0\.5.*how='mean'"):
        to_genes(VALUES.replace(5.0, -0.5), GENES, how="sum")
    assert to_genes(VALUES.replace(5.0, -0.5), GENES, how="mean")[0].loc["P002", "HBA1;HBA2"] == -0.5


def test_unique_refuses_two_features_of_a_gene():
    with pytest.raises(ValueError, match=r"PKM has 2 features, P14618-1, P14618-2"):
        to_genes(VALUES, GENES, how="unique")
    table, _ = to_genes(VALUES.drop(columns="P14618-2"), GENES, how="unique")
    assert table.columns.tolist() == ["PKM", "HBA1;HBA2"]


def test_tables_that_make_no_genes_are_refused():
    with pytest.raises(ValueError, match="how must be"):
        to_genes(VALUES, GENES, how="max")
    with pytest.raises(ValueError, match="no column of x is known to protein to gene: x has 'Q9Y6K9', it 'P14618-1'"):
        to_genes(VALUES[["Q9Y6K9"]], GENES, how="sum")
    with pytest.raises(ValueError, match="must be a DataFrame"):
        to_genes(VALUES.to_numpy(), GENES, how="sum")
    with pytest.raises(ValueError, match="column label 'P69905' twice"):
        to_genes(pd.concat([VALUES, VALUES[["P69905"]]], axis=1), GENES, how="sum")


def test_two_genes_in_one_text_are_refused_by_name():
    """Taken for a gene, the text "HBA1;HBA2" of one feature would add up with the pair of another."""
    joined = Mapping([("P69905", "HBA1"), ("P69905", "HBA2"), ("P68871", "HBA1;HBA2")], **PROVENANCE)
    x = pd.DataFrame({"P69905": [80.0], "P68871": [1.0]}, index=["P001"])
    message = "the target 'HBA1;HBA2' of 'P68871' holds more than one identifier; give a pair for each"
    with pytest.raises(ValueError, match=message):
        to_genes(x, joined, how="sum")
    with pytest.raises(ValueError, match=message):
        protein_groups(x.columns, joined)
    # As a source it is a label like any other: that of a pair which an earlier step could not tell apart.
    assert coverage(["HBA1;HBA2"], joined.inverse()).n_mapped == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_sum_keeps_the_total_of_what_mapped(seed):
    rng = np.random.default_rng(seed)
    features = [f"t{i}" for i in range(12)]
    pairs = {(f, f"g{rng.integers(5)}") for f in features[:10] for _ in range(rng.integers(1, 3))}
    x = pd.DataFrame(rng.integers(0, 1000, size=(4, 12)), columns=rng.permutation(features))
    table, report = to_genes(x, Mapping(sorted(pairs), **PROVENANCE), how="sum")
    assert_allclose(table.sum(axis=1), x.drop(columns=list(report.unmapped)).sum(axis=1), rtol=1e-12)
    assert set(report.unmapped) == {"t10", "t11"}


# ---------------------------------------------------------------- proteins


def test_groups_of_proteins():
    table = protein_groups(["P14618-1", "P69905", "Q8N726", "P14618-2", "P42771", "P04406", "Q9Y6K9"], GENES)
    assert table["group"].tolist() == [0, 1, 2, 0, 2, 3, 4]
    assert table["relation"].tolist() == [
        *("many_to_one", "one_to_many", "many_to_one", "many_to_one", "many_to_one", "one_to_one", "unmapped")
    ]
    assert table["genes"].tolist() == ["PKM", "HBA1;HBA2", "CDKN2A", "PKM", "CDKN2A", "GAPDH", ""]
    assert table["accession"].tolist()[:2] == ["P14618", "P69905"]
    assert table["isoform"].isna().tolist() == [False, True, True, False, True, True, True]


def test_many_to_many_through_a_chain():
    """P and Q share no gene, but both share one with R: all three are one group."""
    chain = Mapping([("P00001", "A"), ("Q00001", "B"), ("O00001", "A"), ("O00001", "B")], **PROVENANCE)
    table = protein_groups(["P00001", "Q00001", "O00001"], chain)
    assert table["group"].tolist() == [0, 0, 0]
    assert set(table["relation"]) == {"many_to_many"}


def test_an_isoform_has_the_genes_of_its_accession_unless_listed():
    mapping = Mapping([("P14618", "PKM"), ("P14618-3", "OTHER")], **PROVENANCE)
    table = protein_groups(["P14618-1", "P14618-3", "A0A024R4M0-2"], mapping)
    assert table["genes"].tolist() == ["PKM", "OTHER", ""]
    assert table["group"].tolist() == [0, 0, 1]  # one accession keeps its isoforms together
    assert table["relation"].tolist() == ["many_to_many", "many_to_many", "unmapped"]
    assert table["accession"].tolist() == ["P14618", "P14618", "A0A024R4M0"]


def test_a_bare_accession_takes_no_genes_from_its_isoforms():
    table = protein_groups(["P14618", "P14618-2"], Mapping([("P14618-2", "PKM")], **PROVENANCE))
    assert table["genes"].tolist() == ["", "PKM"]
    assert table["group"].tolist() == [0, 0]
    assert set(table["relation"]) == {"many_to_one"}


@pytest.mark.parametrize("bad", ["NKX2-5", "HLA-A", "P14618-0", "P14618-", "p14618", "P14618\n", "ENSG00000067225"])
def test_what_is_no_accession_is_refused(bad):
    with pytest.raises(ValueError, match=r"accession|blanks"):
        protein_groups(["P04406", bad], GENES)


def test_a_protein_stands_once():
    with pytest.raises(ValueError, match="P04406 is given more than once"):
        protein_groups(["P04406", "P69905", "P04406"], GENES)


# ---------------------------------------------------------------- masses

# Da, AME2020 (Wang et al. 2021, Chinese Physics C 45:030003) and CODATA 2018.
HYDROGEN, CARBON, NITROGEN, OXYGEN, SODIUM = 1.00782503190, 12.0, 14.00307400425, 15.99491461926, 22.98976928195
ELECTRON = 0.000548579909065
GLUCOSE = 6 * CARBON + 12 * HYDROGEN + 6 * OXYGEN
BY_HAND = {
    "[M+H]+": GLUCOSE + HYDROGEN - ELECTRON,
    "[M+Na]+": GLUCOSE + SODIUM - ELECTRON,
    "[M+NH4]+": GLUCOSE + NITROGEN + 4 * HYDROGEN - ELECTRON,
    "[M+2H]2+": (GLUCOSE + 2 * HYDROGEN - 2 * ELECTRON) / 2,
    "[M-H]-": GLUCOSE - HYDROGEN + ELECTRON,
    "[M+FA-H]-": GLUCOSE + CARBON + HYDROGEN + 2 * OXYGEN + ELECTRON,
}


@pytest.mark.parametrize("adduct", list(ADDUCTS))
def test_glucose_by_hand(adduct):
    # Our constants have six decimals, or nine for the proton.
    assert neutral_mass(BY_HAND[adduct], adduct) == pytest.approx(GLUCOSE, abs=1e-6)


def test_the_proton_is_a_hydrogen_without_its_electron():
    # What binds the electron, 13.6 eV, weighs 1.5e-8 Da.
    assert pytest.approx(HYDROGEN - ELECTRON, abs=2e-8) == PROTON
    for carbon in GOLDEN["carbon_13_less_carbon_12"].values():
        assert pytest.approx(carbon, abs=1e-6) == ISOTOPE_SPACING


@pytest.mark.parametrize("molecule", list(GOLDEN["ions"]))
@pytest.mark.parametrize("program", ["pyteomics", "molmass"])
def test_ions_of_other_programs(molecule, program):
    mass = GOLDEN["masses"][molecule][program]
    for adduct, mz in GOLDEN["ions"][molecule].items():
        # 0.02 ppm: six decimals of the adducts' masses, see tests/golden/identifiers/README.md.
        assert neutral_mass(mz[program], adduct) == pytest.approx(mass, rel=2e-8)


def test_masses_come_back_in_the_form_given():
    assert isinstance(neutral_mass(200.0, "[M+H]+"), float)
    series = neutral_mass(pd.Series([200.0, 300.0], index=["a", "b"]), "[M-H]-")
    assert series.index.tolist() == ["a", "b"]
    assert_allclose(series, [201.007276467, 301.007276467], rtol=1e-12)
    assert neutral_mass(np.array([[200.0]]), "[M+2H]2+").shape == (1, 1)


@pytest.mark.parametrize(
    ("mz", "adduct", "message"),
    [
        (200.0, "[M+K]+", "known are .M.H.+"),
        (200.0, "M+H", "not known"),
        (np.nan, "[M+H]+", "above 0"),
        (np.array([200.0, -1.0]), "[M+H]+", "got -1"),
        (np.inf, "[M+H]+", "finite"),
        (20.0, "[M+Na]+", r"m/z 20 cannot be \[M\+Na\]\+"),
        (PROTON, "[M+H]+", "nothing is left"),
    ],
)
def test_ions_that_cannot_be(mz, adduct, message):
    with pytest.raises(ValueError, match=message):
        neutral_mass(mz, adduct)


# ---------------------------------------------------------------- annotation


def database(masses, names=None):
    return pd.DataFrame({"mass": masses}, index=names)


def test_all_isomers_are_listed_and_the_error_is_signed():
    known = database([131.094629, 131.069477, 131.094629], ["leucine", "creatine", "isoleucine"])
    found = annotate(pd.Series([131.0940, 90.0], index=["x", "y"]), known, ppm=6)
    assert found["query"].tolist() == ["x", "x", "y"]
    assert found["candidate"].tolist()[:2] == ["leucine", "isoleucine"]
    assert found["n_candidates"].tolist() == [2, 2, 0]
    assert_allclose(found["ppm"][:2], (131.0940 - 131.094629) / 131.094629 * 1e6, rtol=1e-12)
    assert found.loc[2, ["candidate", "ppm"]].isna().all()


def test_candidates_come_from_the_smallest_error_on():
    found = annotate([100.0], database([100.0003, 99.9999, 100.0001, 100.0009]), ppm=5)
    assert found["candidate"].tolist() == [2, 1, 0] or found["candidate"].tolist() == [1, 2, 0]
    assert found["ppm"].abs().is_monotonic_increasing


def test_an_error_of_exactly_the_tolerance_is_accepted():
    assert annotate([62.5], database([62.5]), ppm=0)["n_candidates"].tolist() == [1]
    error = (100.0005 - 100) / 100 * 1e6
    assert annotate([100.0005], database([100.0]), ppm=error)["n_candidates"].tolist() == [1]
    assert annotate([100.0005], database([100.0]), ppm=np.nextafter(error, 0))["n_candidates"].tolist() == [0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 20.0, 5e3, 4e5, 2e6]))
def test_annotation_equals_brute_force(seed, ppm):
    rng = np.random.default_rng(seed)
    theory, measured = rng.uniform(99, 101, 30), rng.uniform(99, 101, 20)
    theory[:5] = theory[5:10]
    error = (measured[:, None] - theory) / theory * 1e6
    found = annotate(measured, database(theory), ppm=ppm).dropna(subset="candidate")
    pairs = {(int(q), int(c)) for q, c in zip(found["query"], found["candidate"], strict=True)}
    assert pairs == set(zip(*np.nonzero(np.abs(error) <= ppm), strict=True))


@pytest.mark.parametrize(
    ("masses", "known", "ppm", "message"),
    [
        ([100.0], pd.DataFrame({"weight": [1.0]}), 5, "column mass"),
        ([100.0], database([0.0]), 5, "database must be above 0"),
        ([np.nan], database([1.0]), 5, "masses must be above 0"),
        ([1.0, 2.0, -3.0], database([1.0]), 5, r"got -3\.0 at 2$"),
        (pd.Series([1.0, "heavy"], index=["a", "b"], dtype=object), database([1.0]), 5, "got 'heavy' at 'b'"),
        (pd.Series([1.0, np.nan], index=["a", "b"]), database([1.0]), 5, "got nan at 'b'"),
        ([100.0], database([1.0, 0.0], ["water", "nothing"]), 5, "got 0.0 at 'nothing'"),
        (100.0, database([1.0]), 5, "one column"),
        (pd.Series([1.0, 2.0], index=["a", "a"]), database([1.0]), 5, "'a' stands more than once"),
        ([1.0], database([1.0, 2.0], ["a", "a"]), 5, "'a' stands more than once"),
        ([1.0], database([1.0]), -1, "ppm"),
    ],
)
def test_annotations_that_cannot_be(masses, known, ppm, message):
    with pytest.raises(ValueError, match=message):
        annotate(masses, known, ppm=ppm)


# ---------------------------------------------------------------- ions of one molecule


def ions_of(mass, time, what, prefix=""):
    """Ions of a molecule: name → (m/z, time, adduct, isotope)."""
    rows = {}
    for adduct, isotope in what:
        kind = ADDUCTS[adduct]
        mz = (mass + kind.added + isotope * ISOTOPE_SPACING) / abs(kind.charge)
        rows[f"{prefix}{adduct}{isotope}"] = {"mz": mz, "rt": time, "adduct": adduct, "isotope": isotope}
    return pd.DataFrame.from_dict(rows, orient="index")


ALL_POSITIVE = [(name, k) for name in ADDUCTS if ADDUCTS[name].charge > 0 for k in (0, 1, 2)]


def test_a_whole_molecule():
    """Four adducts with two carbon-13 peaks each, the doubly charged at half the distance: one molecule."""
    ions = ions_of(420.1234, 60.0, ALL_POSITIVE).sample(frac=1, random_state=1)
    found = group_ions(ions, ppm=1, rt_window=0.1, mode="positive")
    assert set(found["group"]) == {0}
    assert set(found["n_ions"]) == {12}
    assert found["adduct"].tolist() == ions["adduct"].tolist()
    assert found["isotope"].tolist() == ions["isotope"].tolist()
    assert_allclose(found["mass"], 420.1234, rtol=1e-9)


def test_the_window_and_the_tolerance_are_included():
    ions = pd.DataFrame({"mz": [200.0, 201.003355], "rt": [60.1, 60.6]}, index=["a", "b"])
    assert group_ions(ions, ppm=0, rt_window=0.5, mode="positive")["n_ions"].tolist() == [2, 2]
    assert group_ions(ions, ppm=0, rt_window=0.49, mode="positive")["n_ions"].tolist() == [1, 1]
    theoretical = 200.0 + ISOTOPE_SPACING
    late = ions.assign(mz=[200.0, theoretical * (1 + 5e-6)])
    assert group_ions(late, ppm=5.01, rt_window=1, mode="positive")["n_ions"].tolist() == [2, 2]
    assert group_ions(late, ppm=4.99, rt_window=1, mode="positive")["n_ions"].tolist() == [1, 1]


def test_tolerances_do_not_add_up_along_a_chain():
    """Three ions, each within the window of the next: the third is too late for the first."""
    parts = [("[M+H]+", 0), ("[M+Na]+", 0), ("[M+NH4]+", 0)]
    ions = ions_of(300.0, 0.0, parts).assign(rt=[0.0, 1.0, 2.0])
    found = group_ions(ions, ppm=1, rt_window=1, mode="positive")
    # The [M+Na]+ in the middle agrees with both and makes the group.
    assert found["group"].tolist() == [0, 0, 0]
    found = group_ions(ions.assign(rt=[1.0, 0.0, 2.0]), ppm=1, rt_window=1, mode="positive")
    assert found["group"].tolist() == [0, 0, 0]  # now the [M+H]+ does
    found = group_ions(ions.iloc[[0, 1, 2]].assign(rt=[0.0, 1.0, 2.1]), ppm=1, rt_window=1, mode="positive")
    assert found["group"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("drift", "late", "peaks"),
    [
        (0.0, 1.0, [0, 1, 0, 1, 0]),  # the second peak comes two windows after the lightest ion: another ladder
        (0.0, 0.25, [0, 1, 2, 3, 4]),
        (0.8e-6, 0.0, [0, 1, 0, 1, 0]),  # each 0.8 ppm above its neighbour, the second 1.6 ppm above the lightest
        (0.2e-6, 0.0, [0, 1, 2, 3, 4]),
    ],
)
def test_tolerances_do_not_add_up_along_a_ladder(drift, late, peaks):
    step = np.arange(5)
    mz = (300 + ISOTOPE_SPACING * step) * (1 + drift * step)
    ions = pd.DataFrame({"mz": mz, "rt": late * step})
    assert find_isotopes(ions, ppm=1, rt_window=1, charges=[1])["isotope"].tolist() == peaks
    spans = ions["rt"].groupby(group_ions(ions, ppm=1, rt_window=1, mode="positive")["group"]).agg(np.ptp)
    assert spans.max() <= 1


def test_the_charge_told_by_isotopes_decides_the_adduct():
    """Half a dalton between carbon-13 peaks is charge 2; no [M+Na]+ may be read into it."""
    ions = ions_of(500.2, 30.0, [("[M+2H]2+", 0), ("[M+2H]2+", 1)])
    found = group_ions(ions, ppm=2, rt_window=1, mode="positive")
    assert found["adduct"].tolist() == ["[M+2H]2+"] * 2
    assert_allclose(found["mass"], 500.2, rtol=1e-9)
    isotopes = find_isotopes(ions, ppm=2, rt_window=1, charges=[1, 2])
    assert isotopes["charge"].tolist() == [2, 2]


def test_a_ladder_of_charge_two_is_not_two_ladders_of_charge_one():
    ions = ions_of(900.4, 30.0, [("[M+2H]2+", k) for k in range(4)])
    isotopes = find_isotopes(ions, ppm=2, rt_window=1, charges=[1, 2])
    assert isotopes["isotope"].tolist() == [0, 1, 2, 3]
    assert set(isotopes["monoisotopic"]) == {"[M+2H]2+0"}


def test_the_hypothesis_that_explains_most_wins():
    """An ion that could be the [M+Na]+ of one molecule belongs to the larger group that needs it as [M+H]+."""
    big = ions_of(321.9819, 50.0, [("[M+H]+", 0), ("[M+Na]+", 0), ("[M+NH4]+", 0)], "big ")
    sodium_less = big.loc["big [M+H]+0", "mz"] - (ADDUCTS["[M+Na]+"].added - PROTON)
    lone = pd.DataFrame({"mz": [sodium_less], "rt": [50.0]}, index=["small"])
    found = group_ions(pd.concat([lone, big[["mz", "rt"]]]), ppm=2, rt_window=1, mode="positive")
    assert found["group"].tolist() == [0, 1, 1, 1]
    assert found["adduct"].tolist() == ["[M+H]+", "[M+H]+", "[M+Na]+", "[M+NH4]+"]


def brute_force(features, ppm, rt_window, mode):
    """The rule as it is told, without any list kept: all hypotheses are made again for each group."""
    names = [name for name in ADDUCTS if (ADDUCTS[name].charge > 0) == (mode == "positive")]
    mz, rt = features["mz"].to_numpy(), features["rt"].to_numpy()
    free, groups = set(range(len(mz))), []

    def best(mass, kind, time, ions):
        """The ion nearest to where this adduct must be, and its error."""
        theory = (mass + ADDUCTS[kind].added) / abs(ADDUCTS[kind].charge)
        near = [(abs(mz[j] - theory) / theory * 1e6, j) for j in ions if abs(rt[j] - time) <= rt_window]
        return min((pair for pair in near if pair[0] <= ppm), default=None)

    while free:
        found = []
        for rank, kind in enumerate(names):
            for i in range(len(mz)):
                mass = abs(ADDUCTS[kind].charge) * mz[i] - ADDUCTS[kind].added
                if i not in free or mass <= 0:
                    continue
                others = {k: best(mass, k, rt[i], range(len(mz))) for k in names if k != kind}
                taken = {k: pair[1] for k, pair in others.items() if pair and pair[1] in free}
                error = sum(pair[0] for pair in others.values() if pair)
                found.append((-len(taken), rank, error, i, {kind: i, **taken}))
        chosen = min(found, key=lambda entry: entry[:4])[4]
        groups.append(chosen)
        free -= set(chosen.values())
    return groups


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_grouping_equals_brute_force_where_molecules_crowd(seed, mode):
    """Masses that differ by adducts' differences and times that overlap: many ions have several explanations."""
    rng = np.random.default_rng(seed)
    steps = [0.0, 21.981944, 17.026549, 4.955395, 46.005479]
    mass = 200 + rng.choice(steps, 12) + rng.choice(steps, 12) + rng.choice([0.0, 7.77], 12)
    adducts = rng.choice([name for name in ADDUCTS if (ADDUCTS[name].charge > 0) == (mode == "positive")], 12)
    mz = [(m + ADDUCTS[a].added) / abs(ADDUCTS[a].charge) for m, a in zip(mass, adducts, strict=True)]
    features = pd.DataFrame({"mz": mz * (1 + 2e-6 * rng.normal(size=12)), "rt": rng.uniform(0, 3, 12)})
    found = group_ions(features, ppm=6, rt_window=1.5, mode=mode)
    assert not found["isotope"].any()
    expected = {frozenset((kind, int(i)) for kind, i in group.items()) for group in brute_force(features, 6, 1.5, mode)}
    got = {frozenset(zip(rows["adduct"], rows.index, strict=True)) for _, rows in found.groupby("group")}
    assert got == expected


def test_order_and_unit_of_time_do_not_matter():
    rng = np.random.default_rng(4)
    parts = [ions_of(m, t, ALL_POSITIVE[::3], f"{i} ") for i, (m, t) in enumerate(rng.uniform(200, 600, size=(9, 2)))]
    ions = pd.concat(parts)[["mz", "rt"]]
    found = group_ions(ions, ppm=3, rt_window=2, mode="positive")
    turned = group_ions(ions[::-1] / [1, 60], ppm=3, rt_window=2 / 60, mode="positive").loc[ions.index]
    assert found["adduct"].tolist() == turned["adduct"].tolist()
    assert pd.crosstab(found["group"], turned["group"]).gt(0).sum().eq(1).all()
    assert found["group"].drop_duplicates().tolist() == list(range(9))


def test_time_grows_little_more_than_linearly():
    """Ten thousand ions at random: looked up, not compared pair by pair."""
    import time

    rng = np.random.default_rng(0)
    ions = pd.DataFrame({"mz": rng.uniform(80, 900, 10_000), "rt": rng.uniform(0, 1200, 10_000)})
    start = time.process_time()
    found = group_ions(ions, ppm=5, rt_window=2, mode="positive")
    # 0.6 s here; all pairs of hypotheses would be 1.6e9 comparisons.
    assert time.process_time() - start < 6
    assert found["n_ions"].min() == 1


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({}, {"mode": "both"}, "mode must be"),
        ({}, {"ppm": -1}, "ppm"),
        ({}, {"rt_window": np.nan}, "rt_window"),
        ({"mz": [np.nan, 300.0]}, {}, "ion 'a' has a missing value for mz"),
        ({"rt": [1.0, np.nan]}, {}, "ion 'b' has a missing value for rt"),
        ({"mz": [0.5, 300.0]}, {}, "ion 'a' has m/z 0.5"),
        ({"mode": ["positive", "negative"]}, {}, "ion 'b' is of mode 'negative'"),
    ],
)
def test_ions_that_cannot_be_grouped(change, arguments, message):
    ions = pd.DataFrame({"mz": [200.0, 300.0], "rt": [1.0, 2.0]}, index=["a", "b"]).assign(**change)
    with pytest.raises(ValueError, match=message):
        group_ions(ions, **{"ppm": 5, "rt_window": 1, "mode": "positive", **arguments})


def test_ions_need_mass_time_and_a_name():
    ions = pd.DataFrame({"mz": [200.0, 300.0], "rt": [1.0, 2.0]}, index=["a", "a"])
    for bad, message in [
        (ions, "ion 'a' is given more than once"),
        (ions[["mz"]], "columns mz and rt"),
        (ions.iloc[:0], "at least one ion"),
        (ions.to_numpy(), "DataFrame"),
    ]:
        with pytest.raises(ValueError, match=message):
            group_ions(bad, ppm=5, rt_window=1, mode="positive")


# ---------------------------------------------------------------- structures


def key_of(name):
    return GOLDEN["structures"][name]["inchikey"]


def test_keys_written_by_rdkit_are_understood():
    for structure in GOLDEN["structures"].values():
        parts = parse_inchikey(structure["inchikey"])
        assert parts.standard
    assert parse_inchikey(key_of("L-lactate")) == InChIKey("JVTAAEKCZFNVCJ", "REOHCLBH", standard=True, protons=-1)
    assert parse_inchikey(key_of("glycine")).detail == "UHFFFAOY"  # nothing to specify


@pytest.mark.parametrize(
    ("first", "second", "level"),
    [
        ("L-lactic acid", "L-lactic acid", "identical"),
        ("L-lactic acid", "L-lactate", "protonation"),
        ("L-lactic acid", "D-lactic acid", "skeleton"),
        ("L-lactic acid", "lactic acid, form not said", "skeleton"),
        ("L-lactic acid", "L-lactic acid, one carbon-13", "skeleton"),
        ("D-lactic acid", "L-lactate", "skeleton"),
        ("D-glucose, ring", "beta-D-glucose, ring", "skeleton"),
        ("D-glucose, ring", "D-glucose, open", "different"),  # one sugar in water, two skeletons on paper
        ("L-leucine", "L-isoleucine", "different"),
        ("L-alanine", "sarcosine", "different"),
    ],
)
def test_levels_of_identity(first, second, level):
    assert identity_level(key_of(first), key_of(second)) == level
    assert identity_level(key_of(second), key_of(first)) == level


@pytest.mark.parametrize(
    "bad",
    [
        "JVTAAEKCZFNVCJ-REOHCLBHSA-N\n",
        " JVTAAEKCZFNVCJ-REOHCLBHSA-N",
        "jvtaaekczfnvcj-reohclbhsa-n",
        "JVTAAEKCZFNVCJ-REOHCLBHSA",
        "JVTAAEKCZFNVCJ-REOHCLBHXA-N",
        "JVTAAEKCZFNVCJ-REOHCLBHSB-N",
        "JVTAAEKCZFNVC-REOHCLBHSA-N",
        "InChIKey=JVTAAEKCZFNVCJ-REOHCLBHSA-N",
        "",
        None,
    ],
)
def test_what_is_no_inchikey_is_refused(bad):
    with pytest.raises(ValueError, match="is no InChIKey"):
        parse_inchikey(bad)


def test_letters_of_protons():
    base = "JVTAAEKCZFNVCJ-REOHCLBHSA-"
    assert [parse_inchikey(base + letter).protons for letter in "NOPMLBZ"] == [0, 1, 2, -1, -2, -12, 12]
    assert parse_inchikey(base + "A").protons is None
    assert not parse_inchikey("JVTAAEKCZFNVCJ-REOHCLBHNA-N").standard


def test_old_and_new_hmdb_accessions():
    assert hmdb_accession("HMDB00122") == hmdb_accession("HMDB0000122") == "HMDB0000122"
    for bad in ("HMDB122", "HMDB000122", "hmdb00122", "HMDB00122 ", None):
        with pytest.raises(ValueError, match="no HMDB accession"):
            hmdb_accession(bad)


def test_retention_indices():
    ladder = pd.Series([100.0, 220.0, 320.0], index=[8, 10, 11])
    assert_allclose(retention_index([100.0, 160.0, 270.0, 320.0], ladder), [800, 900, 1050, 1100], rtol=1e-12)
    assert np.isnan(retention_index([99.0, 321.0], ladder)).all()
    for bad in (ladder.iloc[:1], ladder.iloc[::-1], pd.Series([3.0, 2.0], index=[8, 9]), [1.0, 2.0]):
        with pytest.raises(ValueError, match="ladder"):
            retention_index([1.0], bad)
    with pytest.raises(ValueError, match="alkane 9 at 2 follows alkane 8 at 3"):
        retention_index([1.0], pd.Series([3.0, 2.0], index=[8, 9]))
    with pytest.raises(ValueError, match="a retention time is missing at 'ion2'"):
        retention_index(pd.Series([150.0, np.nan], index=["ion1", "ion2"]), ladder)


# ---------------------------------------------------------------- the cohort


@pytest.fixture(scope="module")
def cohort():
    return load("cohort")


@pytest.fixture(scope="module")
def truth():
    return json.loads((ROOT / "data/truth/cohort.json").read_text(encoding="utf-8"))


def gene_mapping(cohort):
    """Protein to gene without versions, as the protein laboratory delivered it."""
    delivered = cohort.features["protein"]["gene"].str.split(";").explode()
    stable = split_versions(delivered)["stable"].tolist()
    return Mapping(list(zip(delivered.index, stable, strict=True)), **PROVENANCE)


def test_versions_of_the_cohort_are_as_recorded(cohort, truth):
    planted = truth["identifier_versions"]
    rna = split_versions(cohort.layers["rna"].columns)
    assert rna["version"].notna().sum() == planted["rna"]["with_version"]
    delivered = cohort.features["protein"]["gene"].str.split(";")
    versioned = [split_versions(genes)["version"].notna().any() for genes in delivered]
    assert sum(versioned) == planted["protein"]["with_version"]
    assert rna["stable"].is_unique


def test_after_splitting_every_protein_of_the_cohort_finds_its_gene(cohort):
    genes = gene_mapping(cohort)
    measured = split_versions(cohort.layers["rna"].columns)["stable"].tolist()
    own = Mapping([(gene, gene) for gene in measured], **PROVENANCE)
    assert coverage([gene for _, gene in genes.pairs], own).unmapped == ()
    as_written = Mapping([(gene, gene) for gene in cohort.layers["rna"].columns], **PROVENANCE)
    written = cohort.features["protein"]["gene"].str.split(";").explode().tolist()
    assert len(coverage(written, as_written).unmapped) > len(written) / 2


def test_planted_groups_of_proteins_are_found(cohort):
    table = protein_groups(cohort.layers["protein"].columns, gene_mapping(cohort))
    assert table.index[table["relation"] == "one_to_many"].tolist() == ["P69905"]
    assert not (table["relation"] == "unmapped").any()
    frames = table[table["genes"] == split_versions(["ENSG00000147889"])["stable"].iloc[0]]
    assert sorted(frames.index) == ["P42771", "Q8N726"]  # CDKN2A: two proteins in two reading frames
    real = table[table["isoform"].notna() & ~table["accession"].str.startswith("SIM")]
    assert len(real) == 10
    assert set(real["relation"]) == {"many_to_one"}


def test_ions_of_the_cohort_are_grouped_as_they_were_made(cohort, truth):
    made = pd.DataFrame(truth["ions"]).T
    features = cohort.features["metabolite"]
    for mode, ions in features.groupby("mode"):
        found = group_ions(ions, ppm=8, rt_window=2, mode=mode)
        own = made.loc[ions.index]
        assert (found["adduct"] == own["adduct"]).all()
        assert (found["isotope"] == own["isotope"].astype(int)).all()
        assert pd.crosstab(found["group"], own["compound"]).gt(0).sum().eq(1).all()
        assert pd.crosstab(found["group"], own["compound"]).gt(0).sum(axis=1).eq(1).all()


def test_the_catalogue_has_the_masses_of_its_formulas():
    table = pd.read_csv(ROOT / "course/simulation/catalog/metabolites.csv", index_col="hmdb")
    assert set(table.index) == set(GOLDEN["catalog"])
    assert_allclose(table["monoisotopic_mass"], [GOLDEN["catalog"][hmdb] for hmdb in table.index], atol=1e-6)
    assert [hmdb_accession(hmdb) for hmdb in table.index] == table.index.tolist()
    assert all(parse_inchikey(key).standard for key in table["inchikey"])
