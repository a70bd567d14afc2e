"""Put story, faults and instruments together: from a seed to a cohort and the truth about it."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pandas as pd

from course.simulation.faults import Plan, describe, plan_faults
from course.simulation.features import Features, Stream, all_features
from course.simulation.measure import DETECTION_LIMIT, Measured, less_sensitive, measure
from course.simulation.story import live, programme_sets, risk_variants
from reference_impl.cohort import MultiOmics

PUBLIC_SEED = 20261


def streams(seed: int) -> Stream:
    """Give every part of the simulation its own random stream: a change in one leaves the others as they were."""

    def stream(name: str) -> np.random.Generator:
        return np.random.default_rng([seed, zlib.crc32(name.encode())])

    return stream


def simulate_cohort(seed: int) -> tuple[MultiOmics, dict[str, Any]]:
    """Simulate 160 patients, measure them with every planted fault, and return the cohort and the truth.

    Parameters
    ----------
    seed : int
        Non-negative. The same seed gives the same cohort.

    Returns
    -------
    cohort : MultiOmics
    truth : dict
        Plain values for JSON; see data/README.md.

    Raises
    ------
    ValueError
        If the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"expected a seed of 0 or more, got {seed}")
    stream = streams(seed)
    features = all_features(stream)
    patients = live(features, stream)
    plan = plan_faults(patients, stream)
    measured = measure(features, patients, plan, stream)
    tables = _feature_tables(features, measured)
    _mix_versions(features, measured, tables, stream("versions"))
    for part in measured.values():
        for table in (part.values, part.pools, part.calls):
            if table is not None:
                table.columns.name = None
    clinical = patients.clinical.assign(sex=plan.recorded_sex)
    cohort = MultiOmics(
        {name: part.values for name, part in measured.items()},
        clinical.rename_axis("patient"),
        features=tables,
        samples={name: part.samples for name, part in measured.items()},
        pools={name: part.pools for name, part in measured.items() if part.pools is not None},
        pool_samples={name: part.pool_samples for name, part in measured.items() if part.pool_samples is not None},
        calls={name: part.calls for name, part in measured.items() if part.calls is not None},
    )
    truth = describe(patients, plan) | _measurement_truth(features, plan, cohort)
    return cohort, truth


def _feature_tables(features: Features, measured: dict[str, Measured]) -> dict[str, pd.DataFrame]:
    """What the laboratories deliver about the columns."""
    spikes = features.spike_ins.assign(biotype="spike_in", symbol=features.spike_ins.index, invented=False)
    rna = pd.concat([features.rna.drop(columns="start"), spikes])
    rna = rna[["symbol", "chromosome", "length", "biotype", "dose", "invented"]]
    return {
        "genotype": features.genotype,
        "methylation": features.methylation[["gene", "context", "invented"]],
        "rna": rna.loc[measured["rna"].values.columns],
        "protein": features.protein,
        "metabolite": _identified(features),
    }


def _identified(features: Features) -> pd.DataFrame:
    """Ions as delivered: mass, time and mode of all; a name only where a pure standard was run beside them."""
    ions = features.ions[["mz", "rt", "mode"]].copy()
    known = features.compounds.loc[features.ions["compound"]]
    main = features.ions["adduct"].isin(["[M+H]+"]) & (features.ions["isotope"] == 0)
    standard = main.to_numpy() & (known["hmdb"] != "").to_numpy()
    # Every other compound of the catalogue was in the laboratory's set of standards.
    standard &= np.isin(features.ions["compound"], features.compounds.index[::2])
    for column in ("name", "hmdb", "inchikey"):
        ions[column] = known[column].to_numpy()
        ions.loc[~standard, column] = np.nan
    return ions


def _mix_versions(
    features: Features, measured: dict[str, Measured], tables: dict[str, pd.DataFrame], rng: np.random.Generator
) -> None:
    """Write gene identifiers as two laboratories did: with the version of their release, or without any.

    The RNA table was put together from two pipelines, one of which keeps versions; the protein table comes from a later
    release. Numbers of versions are made up.
    """
    version = dict(zip(features.rna.index, rng.integers(1, 19, len(features.rna)), strict=True))
    keeps = dict(zip(features.rna.index, rng.random(len(features.rna)) < 0.6, strict=True))
    columns = [f"{g}.{version[g]}" if keeps.get(g) else g for g in measured["rna"].values.columns]
    index = pd.Index(columns)
    measured["rna"].values.columns = index
    assert measured["rna"].pools is not None
    measured["rna"].pools.columns = index
    tables["rna"] = tables["rna"].set_axis(index.rename("feature"))
    newer = {gene: number + int(rng.integers(0, 3)) for gene, number in version.items()}
    keeps_too = {gene: rng.random() < 0.7 for gene in features.rna.index}

    def written(genes: str) -> str:
        return ";".join(f"{g}.{newer[g]}" if keeps_too[g] else g for g in genes.split(";"))

    tables["protein"] = tables["protein"].assign(gene=[written(genes) for genes in tables["protein"]["gene"]])


def _measurement_truth(features: Features, plan: Plan, cohort: MultiOmics) -> dict[str, Any]:
    """The truth that only exists after measuring: limits, identifiers, ions, and what each programme acts on."""
    rna, protein = cohort.layers["rna"].columns, cohort.features["protein"]["gene"]
    sets = programme_sets(features)
    versioned = {gene.split(".")[0]: gene for gene in rna}
    ions = features.ions
    changed = {
        "methylation": features.methylation.index[sets["cpgs"]].tolist(),
        "rna": [versioned[gene] for gene in features.rna.index[sets["genes"]]],
        "protein": features.protein.index[sets["proteins"]].tolist(),
        "metabolite": ions.index[ions["compound"].isin(features.compounds.index[sets["compounds"]])].tolist(),
    }
    missing = {name: round(float(cohort.layers[name].isna().to_numpy().mean()), 4) for name in DETECTION_LIMIT}
    started = {str(k): features.genotype.index[s].tolist() for k, s in enumerate(risk_variants(features))}
    return {
        "below_detection": {
            "log2_limit": DETECTION_LIMIT,
            "less_sensitive": less_sensitive(plan),
            "missing_share": missing,
        },
        "identifier_versions": {
            "rna": {"with_version": int(rna.str.contains(r"^(?:ENSG|SIMG)\d+\.").sum()), "columns": len(rna)},
            "protein": {"with_version": int(protein.str.contains(r"\.").sum()), "rows": len(protein)},
        },
        "causal": {
            "risk_variants": started,
            "programme_features": changed,
            "programme_subtype": {"methylation": 0, "rna": 0, "protein": 1, "metabolite": 2},
        },
        "ions": {
            ion: {"compound": row["compound"], "adduct": row["adduct"], "isotope": int(row["isotope"])}
            for ion, row in ions.iterrows()
        },
    }
