"""Does the reference find every planted fault, and only those? A class's cohort is redrawn until it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from course.simulation.catalog import X_INACTIVATION, Y_LINKED
from reference_impl.cohort import MultiOmics
from reference_impl.identity import identity_report
from reference_impl.integration.snf import affinity_matrix, fuse, spectral_clusters, squared_distances
from reference_impl.quality import Gate, run_qc

# Clustering counts as found from this adjusted Rand index on; a single layer must stay below the second number.
FOUND = 0.8
HIDDEN = 0.65
FUSED_LAYERS = ("methylation", "rna", "protein", "metabolite")

QC_GATES = (
    Gate("deep enough", "library_size", lower=500_000),
    Gate("little mitochondrial RNA", "percent_mitochondrial", upper=25),
    Gate("intact RNA", "rin", lower=6),
    Gate("complex library", "genes_detected", lower=1_800),
)


def planted_faults_found(cohort: MultiOmics, truth: dict[str, Any]) -> list[str]:
    """Complaints about what the reference misses or imagines in a cohort; empty if it finds exactly what is planted.

    Parameters
    ----------
    cohort : MultiOmics
    truth : dict
        As `simulate_cohort` returns it.
    """
    return [
        *_identity_complaints(cohort, truth),
        *_library_complaints(cohort, truth),
        *_subtype_complaints(cohort, truth),
    ]


def bare(genes: pd.Index | pd.Series) -> pd.Series:
    """Gene identifiers without their version.

    >>> bare(pd.Index(["ENSG00000141510.18", "SIMG000001"])).tolist()
    ['ENSG00000141510', 'SIMG000001']
    """
    return pd.Series(genes, dtype=object).str.split(".").str[0]


def cis_pairs(cohort: MultiOmics) -> dict[tuple[str, str], pd.DataFrame]:
    """Columns of two layers that are about the same gene, so that they carry identity from one layer to the other."""
    features = cohort.features
    gene = {
        "genotype": pd.Series(features["genotype"]["cis_gene"].to_numpy(), features["genotype"].index),
        "methylation": pd.Series(features["methylation"]["gene"].to_numpy(), features["methylation"].index),
        "rna": pd.Series(bare(features["rna"].index).to_numpy(), features["rna"].index),
        "protein": pd.Series(bare(features["protein"]["gene"]).to_numpy(), features["protein"].index),
    }
    found = {}
    for first, second in (
        ("genotype", "methylation"), ("genotype", "rna"), ("methylation", "rna"), ("rna", "protein"),
    ):  # fmt: skip
        left = pd.DataFrame({"first": gene[first].index, "gene": gene[first].to_numpy()}).dropna()
        right = pd.DataFrame({"second": gene[second].index, "gene": gene[second].to_numpy()}).dropna()
        found[first, second] = left.merge(right, on="gene")[["first", "second"]]
    return found


def sex_genes(cohort: MultiOmics) -> dict[str, list[str]]:
    """Columns of the RNA layer that tell the sex."""
    symbol = cohort.features["rna"]["symbol"]
    return {
        "x_inactivation": symbol.index[symbol.isin(X_INACTIVATION)].tolist(),
        "y_linked": symbol.index[symbol.isin(Y_LINKED)].tolist(),
    }


def library_metrics(cohort: MultiOmics) -> pd.DataFrame:
    """Metrics of every RNA library: those computed from its counts, and those the laboratory read."""
    counts = cohort.layers["rna"].loc[:, (cohort.features["rna"]["biotype"] != "spike_in").to_numpy()]
    mitochondrial = (cohort.features["rna"].loc[counts.columns, "chromosome"] == "chrM").to_numpy()
    size = counts.sum(axis=1)
    computed = {
        "library_size": size,
        "genes_detected": (counts > 0).sum(axis=1),
        "percent_mitochondrial": 100 * counts.loc[:, mitochondrial].sum(axis=1) / size,
    }
    return pd.DataFrame(computed).join(cohort.samples["rna"].drop(columns="batch"))


def clean_layers(cohort: MultiOmics, truth: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Layers ready for integration: matched samples without a planted fault, log scale, batches centred, no gaps."""
    broken = {label for owner in truth["owner"].values() for label in owner}
    broken |= {label for labels in truth["failed_libraries"].values() for label in labels}
    matched = cohort.matched()
    matched = matched.restricted_to([p for p in matched.patients if p not in broken])
    layers = {}
    for name in FUSED_LAYERS:
        table = _on_log_scale(name, matched)
        table = pd.DataFrame(np.where(table.isna(), table.min(), table), table.index, table.columns)
        batch = matched.samples[name]["batch"]
        layers[name] = table - table.groupby(batch).transform("mean") + table.mean()
    return layers


def _on_log_scale(name: str, cohort: MultiOmics) -> pd.DataFrame:
    table = cohort.layers[name]
    if name == "methylation":
        return (table / (1 - table)).transform(np.log2)
    if name == "rna":
        counts = table.loc[:, (cohort.features["rna"]["biotype"] != "spike_in").to_numpy()]
        counts = counts.loc[:, (counts >= 10).mean() >= 0.5]
        per_million = counts.add(1).div(counts.add(1).sum(axis=1), axis=0) * 1e6
        return per_million.transform(np.log2)
    seen = table.loc[:, table.notna().mean() >= 0.6].transform(np.log2)
    return seen.sub(seen.median(axis=1), axis=0)


def subtype_agreement(cohort: MultiOmics, truth: dict[str, Any]) -> pd.Series:
    """Adjusted Rand index with the true subtypes: of each layer alone by spectral clustering, and of their fusion."""
    layers = clean_layers(cohort, truth)
    networks = {name: affinity_matrix(squared_distances(table.to_numpy())) for name, table in layers.items()}
    networks["fusion"] = fuse(list(networks.values()))
    patients = next(iter(layers.values())).index
    subtype = np.array([truth["subtype"][patient] for patient in patients])
    rng = np.random.default_rng(0)
    return pd.Series({n: adjusted_rand(subtype, spectral_clusters(w, 3, rng=rng)) for n, w in networks.items()})


def adjusted_rand(first: np.ndarray, second: np.ndarray) -> float:
    """Agreement of two groupings; 1 for the same, 0 for chance (Hubert & Arabie 1985).

    >>> adjusted_rand(np.array([0, 0, 1, 1]), np.array([5, 5, 3, 3]))
    1.0
    """
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(first, second))


def _identity_complaints(cohort: MultiOmics, truth: dict[str, Any]) -> list[str]:
    report = identity_report(
        cohort,
        pairs=cis_pairs(cohort),
        sex_genes=sex_genes(cohort),
        batch={name: table["batch"] for name, table in cohort.samples.items() if name != "genotype"},
    )
    expected = {(layer, label, "swapped", person) for layer, o in truth["owner"].items() for label, person in o.items()}
    expected |= {(d["layer"], d["label"], "duplicate", d["copy_of"]) for d in truth["duplicates"]}
    expected |= {("clinical", patient, "sex_mismatch", patient) for patient in truth["sex_mismatch"]}
    told = report[report["verdict"].isin(["swapped", "duplicate", "sex_mismatch"])]
    found = set(told[["layer", "sample", "verdict", "belongs_to"]].itertuples(index=False, name=None))
    return [f"identity: {row} is planted and not found" for row in sorted(expected - found)] + [
        f"identity: {row} is found and not planted" for row in sorted(found - expected, key=str)
    ]


def _library_complaints(cohort: MultiOmics, truth: dict[str, Any]) -> list[str]:
    _, audit = run_qc(library_metrics(cohort), QC_GATES)
    dropped, failed = set(audit["sample"]), set(truth["failed_libraries"]["rna"])
    return [f"quality: library {s} failed and passes every gate" for s in sorted(failed - dropped)] + [
        f"quality: library {s} is good and is dropped" for s in sorted(dropped - failed)
    ]


def _subtype_complaints(cohort: MultiOmics, truth: dict[str, Any]) -> list[str]:
    agreement = subtype_agreement(cohort, truth)
    fused, alone = agreement.pop("fusion"), agreement
    complaints = [f"subtypes: fusion agrees only to {fused:.2f}, expected {FOUND}"] if fused < FOUND else []
    return complaints + [
        f"subtypes: layer {name} alone agrees to {value:.2f}, expected below {HIDDEN}"
        for name, value in alone.items()
        if value >= HIDDEN
    ]
