"""The simulator of the cohort: deterministic, causal, broken as the truth says, and solvable."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from course.checking.runner import load_test_file
from course.errors import CourseError
from course.paths import COHORT, DATA, TRUTH, hidden_tests
from course.simulation import PUBLIC_SEED, accept, draw_class_cohort, freeze_cohort, simulate_cohort
from course.simulation.accept import (
    FOUND,
    HIDDEN,
    bare,
    cis_pairs,
    clean_layers,
    library_metrics,
    planted_faults_found,
    sex_genes,
    subtype_agreement,
)
from course.simulation.catalog import real
from course.simulation.draw import MAX_ATTEMPTS, seed_of
from course.simulation.faults import BATCHES, FAILURES
from course.simulation.freeze import differences, read_truth, tables_of, write_truth
from course.simulation.story import REACTIONS
from reference_impl.cohort import MultiOmics, load

N_KEYS = 20


@pytest.fixture(scope="module")
def cohort() -> MultiOmics:
    """The public cohort, as frozen."""
    return load(folder=COHORT)


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    """The truth about it."""
    return read_truth(TRUTH)


def log_cpm(cohort: MultiOmics) -> pd.DataFrame:
    """log2 counts per million, columns without version."""
    counts = cohort.layers["rna"]
    table = (counts.add(0.5).div(counts.sum(axis=1), axis=0) * 1e6).transform(np.log2)
    return table.set_axis(bare(table.columns).to_numpy(), axis=1)


def measured(cohort: MultiOmics, layer: str) -> np.ndarray:
    """All values of a layer that are there."""
    values = cohort.layers[layer].to_numpy()
    return values[~np.isnan(values)]


def healthy(cohort: MultiOmics, truth: dict[str, Any]) -> list[str]:
    """Patients whose RNA library succeeded and whose tubes are their own."""
    broken = {label for labels in truth["failed_libraries"].values() for label in labels}
    broken |= {label for owner in truth["owner"].values() for label in owner}
    broken |= {copy["label"] for copy in truth["duplicates"]}
    return [patient for patient in cohort.patients if patient not in broken]


# ------------------------------------------------------------------ files


def test_frozen_cohort_is_what_the_simulator_makes(cohort, truth):
    again, its_truth = simulate_cohort(PUBLIC_SEED)
    assert differences(again, cohort) == []
    assert its_truth == truth


def test_the_same_seed_gives_the_same_cohort_and_another_seed_another():
    first, second, other = simulate_cohort(3), simulate_cohort(3), simulate_cohort(4)
    assert all(a.equals(b) for a, b in zip(tables_of(first[0]).values(), tables_of(second[0]).values(), strict=True))
    assert first[1] == second[1]
    assert first[1]["subtype"] != other[1]["subtype"]
    assert not first[0].layers["rna"].equals(other[0].layers["rna"])


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed of 0 or more, got -1"):
        simulate_cohort(-1)


def test_freezing_twice_gives_the_same_bytes_without_a_time_stamp(tmp_path):
    cohort, _ = simulate_cohort(3)
    freeze_cohort(cohort, tmp_path / "a")
    freeze_cohort(cohort, tmp_path / "b")
    for file in sorted((tmp_path / "a").iterdir()):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
        if file.suffix == ".gz":
            assert file.read_bytes()[4:8] == b"\0\0\0\0"
    assert differences(load(folder=tmp_path / "a"), cohort) == []


def test_differences_see_a_changed_value(cohort):
    layers = {name: table.copy() for name, table in cohort.layers.items()}
    layers["protein"].iloc[3, 3] = 1.0
    changed = MultiOmics(layers, cohort.clinical)
    same = MultiOmics(cohort.layers, cohort.clinical)
    assert len(differences(changed, same)) == 1
    assert "protein.layers" in differences(changed, same)[0]


def test_freezing_replaces_a_cohort_and_nothing_else(tmp_path):
    cohort, _ = simulate_cohort(3)
    other, _ = simulate_cohort(4)
    freeze_cohort(cohort, tmp_path / "cohort")
    freeze_cohort(other, tmp_path / "cohort")
    assert differences(load(folder=tmp_path / "cohort"), other) == []
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(CourseError, match="holds something that is not a cohort"):
        freeze_cohort(cohort, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_files_are_small():
    sizes = [path.stat().st_size for path in COHORT.iterdir()]
    assert max(sizes) < 2_000_000
    assert sum(sizes) < 5_000_000


def test_the_truth_is_not_among_the_cohorts_files(truth):
    assert TRUTH.parent.name == "truth"
    assert COHORT not in TRUTH.parents
    everything = "\n".join(gzip.decompress(path.read_bytes()).decode() for path in sorted(COHORT.glob("*.gz")))
    for word in ("subtype", "swapped", "copy_of", "mislabel", "failed", "programme", "owner"):
        assert word not in everything, word
    assert json.loads(TRUTH.read_text(encoding="utf-8")) == truth


def test_truth_survives_its_file(tmp_path, truth):
    write_truth(truth, tmp_path / "somewhere" / "truth.json")
    assert read_truth(tmp_path / "somewhere" / "truth.json") == truth


def test_every_column_stands_in_the_datasheet(cohort):
    sheet = (DATA / "README.md").read_text(encoding="utf-8")
    tables = [cohort.clinical, *cohort.features.values(), *cohort.samples.values(), *cohort.pool_samples.values()]
    missing = {column for table in tables for column in table.columns if f"`{column}`" not in sheet}
    assert not missing
    assert "python -m course.simulation --write" in sheet


# ------------------------------------------------------------------ what is measured


def test_sizes(cohort):
    sizes = {name: table.shape for name, table in cohort.layers.items()}
    least = {"genotype": 1000, "methylation": 1000, "rna": 2000, "protein": 500, "metabolite": 300}
    assert len(cohort.clinical) == 160
    for name, number in least.items():
        assert sizes[name][1] >= number
        assert sizes[name][0] < sizes[name][1]


def test_values_are_what_their_instruments_give(cohort):
    assert set(np.unique(cohort.layers["genotype"].to_numpy())[:3]) == {0.0, 1.0, 2.0}
    beta = measured(cohort, "methylation")
    assert ((beta >= 0) & (beta <= 1)).all()
    # Two humps: most CpGs are nearly unmethylated or nearly methylated.
    assert ((beta < 0.25) | (beta > 0.75)).mean() > 0.6
    counts = cohort.layers["rna"]
    assert all(np.issubdtype(dtype, np.integer) for dtype in counts.dtypes)
    assert counts.to_numpy().min() == 0
    assert 1e6 < counts.sum(axis=1).median() < 3e6
    for layer in ("protein", "metabolite"):
        assert (measured(cohort, layer) > 0).all()
        assert abs(pd.Series(np.log2(measured(cohort, layer))).skew()) < 0.6


def test_counts_vary_more_than_poisson(cohort, truth):
    counts = cohort.layers["rna"].loc[healthy(cohort, truth)]
    counts = counts.loc[:, counts.mean() > 50]
    assert (counts.var() > 2 * counts.mean()).mean() > 0.95


def test_invented_identifiers_cannot_be_mistaken(cohort):
    for layer in ("genotype", "methylation", "rna", "protein"):
        table = cohort.features[layer]
        looks_invented = table.index.str.lower().str.startswith("sim")
        assert (looks_invented == table["invented"].to_numpy()).all()
    named = cohort.features["metabolite"]["hmdb"].dropna()
    assert len(named) >= 20
    assert named.isin(real("metabolites")["hmdb"]).all()


def test_real_identifiers_have_their_form():
    genes, metabolites = real("genes"), real("metabolites")
    assert len(genes) >= 60
    assert len(metabolites) >= 30
    assert genes["gene"].str.fullmatch(r"ENSG\d{11}").all()
    assert genes["gene"].is_unique
    accession = r"[OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9](?:[A-Z][A-Z0-9]{2}[0-9]){1,2}"
    assert genes["protein"][genes["protein"] != ""].str.fullmatch(accession).all()
    assert metabolites["hmdb"].str.fullmatch(r"HMDB\d{7}").all()
    assert metabolites["inchikey"].str.fullmatch(r"[A-Z]{14}-[A-Z]{8}[SN]A-[A-Z]").all()
    assert genes.loc["TP53", ["gene", "protein", "chromosome"]].tolist() == ["ENSG00000141510", "P04637", "chr17"]
    assert metabolites.loc["D-Glucose", "inchikey"] == "WQZGKKKJIJFFOK-GASJEMHNSA-N"


def test_masses_follow_from_formulas():
    mass = {"C": 12.0, "H": 1.00782503207, "N": 14.0030740048, "O": 15.99491461956, "S": 31.97207100}
    for name, row in real("metabolites").iterrows():
        atoms = re.findall(r"([A-Z])(\d*)", row["formula"])
        # Six decimals are written.
        assert sum(mass[a] * int(n or 1) for a, n in atoms) == pytest.approx(row["monoisotopic_mass"], abs=2e-6), name


def test_ions_stand_at_the_mass_of_their_compound(cohort, truth):
    """[M+H]+ is one proton above the neutral mass; its carbon-13 peak 1.003355 higher, at the same time."""
    ions = pd.DataFrame(truth["ions"]).T.join(cohort.features["metabolite"])
    known = real("metabolites").set_index("hmdb")["monoisotopic_mass"]
    protonated = ions[(ions["adduct"] == "[M+H]+") & ions["compound"].isin(known.index)]
    main = protonated[protonated["isotope"] == 0].set_index("compound")
    expected = known[main.index] + 1.007276467
    # The instrument is wrong by up to 4 ppm.
    assert (abs(main["mz"].astype(float) / expected - 1) < 4.5e-6).all()
    heavy = protonated[protonated["isotope"] == 1].set_index("compound")
    assert len(heavy) > 3
    assert np.allclose((heavy["mz"] - main.loc[heavy.index, "mz"]).astype(float), 1.003355, atol=0.004)
    assert (abs(heavy["rt"] - main.loc[heavy.index, "rt"]).astype(float) <= 2.0).all()
    assert {"[M+H]+", "[M+Na]+", "[M-H]-", "[M+2H]2+"} <= set(ions["adduct"])


# ------------------------------------------------------------------ the causal story


def correlations(first: pd.DataFrame, second: pd.DataFrame, pairs: pd.DataFrame) -> np.ndarray:
    """Correlation of each pair of columns."""
    a, b = first[pairs["first"]].set_axis(range(len(pairs)), axis=1), second[pairs["second"]]
    return a.corrwith(b.set_axis(range(len(pairs)), axis=1)).to_numpy()


def test_each_layer_acts_on_the_next(cohort, truth):
    people = healthy(cohort, truth)
    expression = log_cpm(cohort).loc[people].set_axis(cohort.layers["rna"].columns, axis=1)
    tables = {
        "genotype": cohort.layers["genotype"].loc[people],
        "methylation": cohort.layers["methylation"].reindex(people),
        "rna": expression,
        "protein": np.log2(cohort.layers["protein"].loc[people]),
    }
    typical = {
        (one, other): np.nanmedian(np.abs(correlations(tables[one], tables[other], pairs)))
        for (one, other), pairs in cis_pairs(cohort).items()
    }
    # Two unrelated columns of 145 samples correlate to 0.06 in the median.
    assert typical["genotype", "methylation"] > 0.3
    assert typical["genotype", "rna"] > 0.3
    assert typical["rna", "protein"] > 0.3
    cis = cis_pairs(cohort)["methylation", "rna"].query(
        "second in @linked", local_dict={"linked": _with_variant(cohort)}
    )
    assert np.nanmedian(correlations(tables["methylation"], tables["rna"], cis)) < -0.3


def _with_variant(cohort: MultiOmics) -> list[str]:
    """RNA columns of genes with a variant of their own."""
    genes = bare(cohort.layers["rna"].columns)
    return (
        cohort.layers["rna"].columns[genes.isin(cohort.features["genotype"]["cis_gene"].dropna()).to_numpy()].tolist()
    )


def test_enzymes_move_their_metabolites(cohort, truth):
    people = [p for p in healthy(cohort, truth) if p in cohort.layers["metabolite"].index]
    ions = pd.DataFrame(truth["ions"]).T
    main = ions[(ions["adduct"] == "[M+H]+") & (ions["isotope"] == 0)].reset_index().set_index("compound")["index"]
    protein, metabolite = (
        np.log2(cohort.layers["protein"].loc[people]),
        np.log2(cohort.layers["metabolite"].loc[people]),
    )
    accession = cohort.features["protein"].reset_index().drop_duplicates("symbol").set_index("symbol")["feature"]
    hmdb = real("metabolites")["hmdb"]
    pairs = [(accession[enzyme], main[hmdb[compound]], sign) for enzyme, compound, sign in REACTIONS]
    found = [sign * protein[one].corr(metabolite[ion]) for one, ion, sign in pairs if metabolite[ion].count() > 40]
    assert len(found) > 20
    # Of chance alone the median would be 0 ± 0.02.
    assert np.median(found) > 0.2


def test_metabolites_make_ill_and_shorten_life(cohort, truth):
    harmful = truth["causal"]["programme_features"]["metabolite"]
    level = np.log2(cohort.layers["metabolite"][harmful])
    burden = ((level - level.mean()) / level.std()).mean(axis=1)
    clinical = cohort.clinical.loc[burden.index]
    assert burden[clinical["disease"] == "case"].mean() > burden[clinical["disease"] == "control"].mean() + 0.3
    assert clinical["event"][burden > burden.median()].mean() > clinical["event"][burden <= burden.median()].mean()


def test_disease_inflames(cohort):
    crp = cohort.clinical.groupby("disease")["crp"].median()
    assert crp["case"] > 1.5 * crp["control"]


def test_risk_variants_are_frequent_in_their_subtype(cohort, truth):
    subtype = pd.Series(truth["subtype"])
    people = healthy(cohort, truth)
    for number, variants in truth["causal"]["risk_variants"].items():
        mean = cohort.layers["genotype"].loc[people, variants].mean(axis=1)
        own = subtype[people] == int(number)
        assert mean[own].mean() > mean[~own].mean() + 0.2


@pytest.mark.parametrize(("layer", "subtype"), [("methylation", 0), ("protein", 1), ("metabolite", 2)])
def test_each_programme_shows_in_its_layer(cohort, truth, layer, subtype):
    table = clean_layers(cohort, truth)[layer]
    own = np.array([truth["subtype"][patient] == subtype for patient in table.index])
    changed = [name for name in truth["causal"]["programme_features"][layer] if name in table]
    shift = (table[own].mean() - table[~own].mean()) / table.std()
    assert abs(shift[changed].mean()) > 0.8
    # The other features move a little the other way, because samples are scaled to one median.
    assert abs(shift.drop(changed).mean()) < 0.3


# ------------------------------------------------------------------ what is broken


def test_faults_hit_different_patients(truth):
    groups = [
        [label for owner in truth["owner"].values() for label in owner],
        [name for copy in truth["duplicates"] for name in (copy["label"], copy["copy_of"])],
        truth["sex_mismatch"],
        [label for labels in truth["failed_libraries"].values() for label in labels],
    ]
    everybody = [patient for group in groups for patient in group]
    assert len(everybody) == len(set(everybody)) == 5 + 2 + 1 + sum(FAILURES.values())


def test_swaps_are_a_pair_and_a_cycle_of_three(truth):
    def cycle(owner: dict[str, str]) -> int:
        start = next(iter(owner))
        at, steps = owner[start], 1
        while at != start:
            at, steps = owner[at], steps + 1
        return steps

    assert {layer: (len(owner), cycle(owner)) for layer, owner in truth["owner"].items()} == {
        "rna": (2, 2),
        "protein": (3, 3),
    }


def test_swapped_rna_carries_the_other_patients_variants(cohort, truth):
    calls = cohort.calls["rna"]
    arrays = cohort.layers["genotype"][calls.columns]
    for label, person in truth["owner"]["rna"].items():
        agreement = arrays.eq(calls.loc[label]).where(arrays.notna() & calls.loc[label].notna()).mean(axis=1)
        assert agreement.idxmax() == person
        assert agreement[person] > 0.95
        assert agreement[label] < 0.8


def test_duplicate_genotypes_agree(cohort, truth):
    for copy in truth["duplicates"]:
        pair = cohort.layers[copy["layer"]].loc[[copy["label"], copy["copy_of"]]].dropna(axis=1)
        assert (pair.iloc[0] == pair.iloc[1]).mean() > 0.98


def test_recorded_sex_contradicts_the_transcripts_once_the_swap_is_known(cohort, truth):
    expression = log_cpm(cohort)
    columns = {kind: bare(pd.Index(genes)).tolist() for kind, genes in sex_genes(cohort).items()}
    score = expression[columns["x_inactivation"]].mean(axis=1) - expression[columns["y_linked"]].mean(axis=1)
    seen = pd.Series(np.where(score > 0, "female", "male"), score.index)
    suspects = set(seen.index[seen != cohort.clinical["sex"]])
    assert suspects == {*truth["sex_mismatch"], *truth["owner"]["rna"]}


def test_failed_libraries_stand_out(cohort, truth):
    metrics = library_metrics(cohort)
    kind = pd.Series(truth["failure_kind"]["rna"]).reindex(metrics.index).fillna("good")
    good = metrics[kind == "good"]
    assert kind.value_counts().drop("good").to_dict() == FAILURES
    assert metrics["library_size"][kind == "low_depth"].max() < 0.3 * good["library_size"].min()
    assert metrics["percent_mitochondrial"][kind == "mitochondrial"].min() > 2 * good["percent_mitochondrial"].max()
    assert metrics["rin"][kind == "degraded"].max() < good["rin"].min() - 2
    assert metrics["genes_detected"][kind == "overamplified"].max() < 0.9 * good["genes_detected"].min()


def test_rna_batch_is_partly_confounded_with_disease(cohort):
    table = pd.crosstab(cohort.samples["rna"]["batch"], cohort.clinical["disease"])
    share = table["case"] / table.sum(axis=1)
    assert share.max() - share.min() > 0.3
    # Partly: every batch holds both groups, so the effect of disease can still be estimated.
    assert table.to_numpy().min() >= 3


def test_pools_show_the_batches(cohort):
    """Replicates of the pool differ less within a batch than between batches."""
    for layer in ("rna", "protein", "metabolite"):
        pools = np.log2(cohort.pools[layer] + (layer == "rna"))
        pools = pools.loc[:, pools.notna().all() & (pools.min() > 4)]
        pools = pools.sub(pools.median(axis=1), axis=0)
        batch = cohort.pool_samples[layer]["batch"]
        within = (pools - pools.groupby(batch).transform("mean")).to_numpy().std()
        between = pools.groupby(batch).mean().std().mean()
        assert between > 1.2 * within, layer


def test_spike_ins_follow_their_dose(cohort, truth):
    spikes = cohort.features["rna"].query("biotype == 'spike_in'")
    counts = cohort.layers["rna"].loc[healthy(cohort, truth), spikes.index].mean()
    assert np.corrcoef(np.log2(counts + 1), np.log2(spikes["dose"]))[0, 1] > 0.98


def test_nothing_is_recorded_below_the_detection_limit(cohort, truth):
    for layer in ("protein", "metabolite"):
        limit = cohort.samples[layer]["detection_limit"]
        values = cohort.layers[layer]
        # Both are rounded to four digits.
        assert not values.lt(0.999 * limit, axis=0).any(axis=None)
        level = np.log2(values).median()
        missing = values.isna().mean()
        assert missing[level < level.quantile(0.1)].mean() > 10 * missing[level > level.median()].mean()
    less = truth["below_detection"]["less_sensitive"]
    missing = cohort.layers["protein"].isna().mean(axis=1).groupby(cohort.samples["protein"]["batch"]).mean()
    assert missing.idxmax() == less["batch"]
    assert missing[less["batch"]] > 1.5 * missing.drop(less["batch"]).max()


def test_a_third_of_the_patients_have_no_metabolites(cohort, truth):
    absent = cohort.patients.difference(cohort.layers["metabolite"].index)
    assert absent.tolist() == truth["missing_layer"]["metabolite"]
    assert len(absent) == 160 // 3
    share = cohort.clinical["site"].loc[absent].value_counts(normalize=True)
    assert share["west"] > (cohort.clinical["site"] == "west").mean()


def test_identifier_versions_are_mixed(cohort, truth):
    rna, protein = cohort.layers["rna"].columns, cohort.features["protein"]["gene"]
    mixed = truth["identifier_versions"]
    assert 0.3 * len(rna) < rna.str.contains(r"^(?:ENSG|SIMG)\d+\.\d+$").sum() == mixed["rna"]["with_version"]
    assert protein.str.contains(r"\.").sum() == mixed["protein"]["with_version"]
    # Joined as they are, few proteins find their transcript; without versions, all do.
    joined = protein[~protein.str.contains(";")]
    assert joined.isin(rna).mean() < 0.35
    assert bare(joined).isin(bare(rna)).all()
    assert bare(rna).is_unique


def test_genes_and_proteins_are_many_to_many(cohort):
    gene = cohort.features["protein"]["gene"]
    assert gene["P69905"].count(";") == 1  # one protein of two genes
    assert bare(gene).duplicated().sum() >= 5  # isoforms, and two proteins of one gene
    assert {"P14618-1", "P14618-2"} <= set(gene.index)


# ------------------------------------------------------------------ what can be found


def test_the_reference_finds_every_planted_fault_of_the_public_cohort(cohort, truth):
    assert planted_faults_found(cohort, truth) == []


def test_a_fault_that_is_not_there_is_a_complaint(cohort, truth):
    label = healthy(cohort, truth)[0]
    wrong = truth | {
        "failed_libraries": {"rna": [*truth["failed_libraries"]["rna"], label]},
        "sex_mismatch": [label],
        "subtype": {patient: i % 3 for i, patient in enumerate(truth["subtype"])},
    }
    complaints = "\n".join(planted_faults_found(cohort, wrong))
    assert f"library {label} failed and passes every gate" in complaints
    assert f"identity: ('clinical', '{label}', 'sex_mismatch', '{label}') is planted and not found" in complaints
    assert f"'{truth['sex_mismatch'][0]}', 'sex_mismatch'" in complaints
    assert "subtypes: fusion agrees only to" in complaints


@pytest.mark.slow
def test_on_twenty_keys_only_fusion_finds_the_subtypes_and_the_first_draw_will_do(monkeypatch):
    """No single layer recovers the subtypes well; their fusion does; every planted fault is found.

    Any of the four protein runs may be the one that saw less, and unit 07's hidden tests accept what its lesson finds.
    """
    first_draw, weak_runs = 0, set()
    agreements = []

    def noted(cohort: MultiOmics, truth: dict[str, Any]) -> pd.Series:
        agreements.append(subtype_agreement(cohort, truth))
        return agreements[-1].copy()

    monkeypatch.setattr(accept, "subtype_agreement", noted)  # it is looked at once for the complaints and once here
    for number in range(N_KEYS):
        cohort, truth = simulate_cohort(seed_of(b"class %d" % number, 1))
        first_draw += planted_faults_found(cohort, truth) == []
        agreement = agreements.pop()
        assert agreement["fusion"] >= FOUND, (number, agreement)
        assert agreement.drop("fusion").max() < min(HIDDEN + 0.05, agreement["fusion"] - 0.2), (number, agreement)
        weak_runs.add(find_less_sensitive_run(cohort, truth))
    assert first_draw >= N_KEYS - 3
    assert weak_runs == set(BATCHES["protein"])


def find_less_sensitive_run(cohort: MultiOmics, truth: dict[str, Any]) -> str:
    """Run and loss as the lesson of unit 07 reads them off the lowest values, judged by its hidden tests."""
    proteins, batch = np.log2(cohort.layers["protein"]), cohort.samples["protein"]["batch"]
    lowest = proteins.min(axis=1).groupby(batch).min()
    weak = str(lowest.idxmax())
    answer = (weak, lowest[weak] - lowest.drop(weak).min())
    hidden = load_test_file(hidden_tests("07_missing_data"))
    hidden.test_the_run_that_saw_less(answer, truth)
    hidden.test_how_much_it_lost(answer, truth)
    hidden.test_limits_agree_with_the_manual(answer, cohort)
    return weak


# ------------------------------------------------------------------ a class's own


def test_a_class_draws_its_own_cohort(tmp_path):
    truth = draw_class_cohort(b"class 0", tmp_path / "cohort")
    cohort = load(folder=tmp_path / "cohort")
    assert planted_faults_found(cohort, truth) == []
    assert truth["attempts"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]
    again = draw_class_cohort(b"class 0", tmp_path / "again", accept=lambda *_: [])
    assert again == truth
    other = draw_class_cohort(b"class 1", tmp_path / "other", accept=lambda *_: [])
    assert other["owner"] != truth["owner"]


def test_a_class_draws_until_accepted(tmp_path):
    judged = []

    def third(cohort: MultiOmics, truth: dict[str, Any]) -> list[str]:
        judged.append(truth["owner"])
        return [] if len(judged) == 3 else ["not this one"]

    truth = draw_class_cohort(b"key", tmp_path / "cohort", accept=third)
    assert truth["attempts"] == 3
    assert truth["owner"] == judged[-1]
    assert judged[0] != judged[1] != judged[2]


def test_a_class_that_finds_none_is_told_and_nothing_is_written(tmp_path, monkeypatch):
    made = simulate_cohort(3)
    monkeypatch.setattr("course.simulation.draw.simulate_cohort", lambda seed: made)
    with pytest.raises(CourseError, match=f"no acceptable cohort in {MAX_ATTEMPTS} draws .* subtypes too alike"):
        draw_class_cohort(b"key", tmp_path / "cohort", accept=lambda *_: ["subtypes too alike"])
    assert not list(tmp_path.iterdir())


def test_an_empty_key_is_refused(tmp_path):
    with pytest.raises(CourseError, match="empty key"):
        draw_class_cohort(b"", tmp_path / "cohort")
