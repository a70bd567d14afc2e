"""What is measured: the columns of every layer, real identifiers first, invented ones up to the size of a study.

Which variant acts on which CpG, gene and protein is part of the story and is decided here too, so that a table of
features and the effects of the story never disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from course.simulation.catalog import ADDUCTS, ISOTOPE_SPACING, X_INACTIVATION, Y_LINKED, gene_of, invented, real

N_VARIANTS = 1040
N_CPGS = 1060
N_GENES = 2020
N_PROTEINS = 520
N_COMPOUNDS = 170
N_CIS = 460  # genes with a variant that acts on their expression
N_CIS_METHYLATION = 200  # of these, the ones where it acts through a CpG

Stream = Callable[[str], np.random.Generator]


@dataclass(frozen=True)
class Features:
    """Tables of the columns; `gene` is an Ensembl identifier without version (versions are a planted fault)."""

    genotype: pd.DataFrame  # index: variant; chromosome, position, cis_gene
    methylation: pd.DataFrame  # index: CpG; gene, context
    rna: pd.DataFrame  # index: gene; symbol, chromosome, length, biotype
    spike_ins: pd.DataFrame  # index: spike-in; length, dose
    protein: pd.DataFrame  # index: accession; gene, symbol, peptides
    compounds: pd.DataFrame  # index: compound; name, mass, hmdb, inchikey, formula, retention
    ions: pd.DataFrame  # index: ion; mz, rt, mode, compound, adduct, isotope, yield


def all_features(stream: Stream) -> Features:
    """Draw the columns of every layer."""
    genes = _genes(stream("genes"))
    variants = _variants(genes, stream("variants"))
    compounds = _compounds(stream("compounds"))
    return Features(
        genotype=variants,
        methylation=_cpgs(genes, variants, stream("cpgs")),
        rna=genes,
        spike_ins=_spike_ins(stream("spike-ins")),
        protein=_proteins(genes, stream("proteins")),
        compounds=compounds,
        ions=_ions(compounds, stream("ions")),
    )


def _genes(rng: np.random.Generator) -> pd.DataFrame:
    known = real("genes").reset_index()
    known = known.drop(columns="protein").set_index("gene")
    known["invented"] = False
    labels = invented("SIMG", N_GENES - len(known))
    made = pd.DataFrame(
        {
            "symbol": [f"SIM{label[-4:]}" for label in labels],
            "chromosome": [f"chr{c}" for c in rng.integers(1, 23, len(labels))],
            "start": rng.integers(1_000_000, 46_000_000, len(labels)),
            "length": np.round(np.exp(rng.normal(7.8, 0.55, len(labels))), -2).astype(int) + 300,
            "biotype": rng.choice(["protein_coding", "lncRNA"], len(labels), p=[0.9, 0.1]),
            "invented": True,
        },
        index=labels,
    )
    return pd.concat([known, made]).rename_axis("feature")


def _autosomal(genes: pd.DataFrame) -> pd.Index:
    return genes.index[~genes["chromosome"].isin(["chrX", "chrY", "chrM"])]


def _variants(genes: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    known = real("variants").rename(columns={"gene": "symbol"})
    known["cis_gene"] = [gene_of(symbol) for symbol in known.pop("symbol")]
    known["invented"] = False
    known = known[["chromosome", "position", "cis_gene", "invented"]]
    free = _autosomal(genes).difference(known["cis_gene"].tolist())
    # Every gene with a protein that can carry identity comes first: real genes, then invented ones.
    first = [gene for gene in free if gene.startswith("ENSG")]
    rest = list(rng.permutation([gene for gene in free if gene.startswith("SIMG")]))
    n_made = N_VARIANTS - len(known)
    n_cis = N_CIS - len(known)
    cis = [*list(rng.permutation(first))[:150], *rest][:n_cis]
    labels = invented("simrs", n_made)
    near = genes.loc[cis, "start"].to_numpy() + rng.integers(-100_000, 100_000, n_cis)
    made = pd.DataFrame(
        {
            "chromosome": [*genes.loc[cis, "chromosome"], *[f"chr{c}" for c in rng.integers(1, 23, n_made - n_cis)]],
            "position": [*np.maximum(near, 1_000), *rng.integers(1_000_000, 46_000_000, n_made - n_cis)],
            "cis_gene": [*cis, *[""] * (n_made - n_cis)],
            "invented": True,
        },
        index=pd.Index(labels),
    )
    table = pd.concat([known, made]).rename_axis("feature")
    table["cis_gene"] = table["cis_gene"].replace("", np.nan)
    return table


def _cpgs(genes: pd.DataFrame, variants: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    known = real("cpgs")
    known["gene"] = [gene_of(symbol) for symbol in known["gene"]]
    known["invented"] = False
    cis = variants["cis_gene"].dropna()
    through_cpg = [gene for gene in dict.fromkeys(cis) if gene not in set(known["gene"])][:N_CIS_METHYLATION]
    others = _autosomal(genes).difference(through_cpg)
    n_made = N_CPGS - len(known)
    near_gene = list(rng.permutation(others))[: int(0.6 * n_made)]
    n_open = n_made - len(through_cpg) - len(near_gene)
    made = pd.DataFrame(
        {
            "gene": [*through_cpg, *near_gene, *[""] * n_open],
            "context": rng.choice(["island", "shore", "open_sea"], n_made, p=[0.4, 0.25, 0.35]),
            "invented": True,
        },
        index=pd.Index(invented("simcg", n_made)),
    )
    known["context"] = ["shore", "island", "shore", "island", "island"]
    table = pd.concat([known[["gene", "context", "invented"]], made]).rename_axis("feature")
    table["gene"] = table["gene"].replace("", np.nan)
    return table


def _spike_ins(rng: np.random.Generator) -> pd.DataFrame:
    labels = real("spike_ins").index
    doses = 2.0 ** np.linspace(0, 12, len(labels))
    return pd.DataFrame(
        {"length": rng.integers(5, 14, len(labels)) * 100, "dose": np.round(rng.permutation(doses), 2)},
        index=pd.Index(labels, name="feature"),
    )


def _proteins(genes: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Real accessions; isoforms of one gene; one protein of two genes; one gene with two proteins; invented ones."""
    hidden = {*X_INACTIVATION, *Y_LINKED}
    rows: dict[str, list[str]] = {}
    isoforms = real("isoforms")
    with_isoforms = set(isoforms["gene"])
    for symbol, row in real("genes").iterrows():
        if row["protein"] and symbol not in hidden and symbol not in with_isoforms and row["chromosome"] != "chrM":
            rows.setdefault(str(row["protein"]), []).append(str(row["gene"]))
    for accession, symbol in isoforms["gene"].items():
        rows[str(accession)] = [gene_of(symbol)]
    # p14ARF: the second protein of CDKN2A, read in another frame.
    rows["Q8N726"] = [gene_of("CDKN2A")]
    coding = genes.index[genes["invented"] & (genes["biotype"] == "protein_coding")]
    chosen = list(rng.permutation(coding))
    number = 0
    while len(rows) < N_PROTEINS:
        number += 1
        label = f"SIMP{number:06d}"
        rows[label] = [chosen[number - 1]]
        if number % 25 == 0 and len(rows) < N_PROTEINS:
            rows[f"{label}-2"] = [chosen[number - 1]]
    symbol_of = genes["symbol"]
    return pd.DataFrame(
        {
            "gene": [";".join(ids) for ids in rows.values()],
            "symbol": [";".join(symbol_of[i] for i in ids) for ids in rows.values()],
            "peptides": rng.poisson(6, len(rows)) + 1,
            "invented": [label.startswith("SIMP") for label in rows],
        },
        index=pd.Index(list(rows), name="feature"),
    )


def _compounds(rng: np.random.Generator) -> pd.DataFrame:
    known = real("metabolites").reset_index().set_index("hmdb", drop=False)
    n_made = N_COMPOUNDS - len(known)
    labels = invented("SIMM", n_made)
    made = pd.DataFrame(
        {
            "name": [f"invented compound {i}" for i in range(1, n_made + 1)],
            "hmdb": "",
            "formula": "",
            "monoisotopic_mass": np.round(rng.uniform(90, 620, n_made), 6),
            "inchikey": "",
        },
        index=labels,
    )
    table = pd.concat([known, made]).rename_axis("compound")
    # Reversed-phase columns keep large, fatty molecules longer; isomers differ by seconds to minutes.
    typical = 60 + 1.6 * table["monoisotopic_mass"] + rng.normal(0, 90, len(table))
    table["retention"] = np.round(np.clip(typical, 35, 1180), 1)
    return table


def _ions(compounds: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Each compound gives one to five ions: adducts in both modes, and the carbon-13 peak of the strong ones."""
    rows = []
    for compound, row in compounds.iterrows():
        mass = float(row["monoisotopic_mass"])
        options = [("positive", "[M+H]+", 0.0)]
        if rng.random() < 0.35:
            options.append(("positive", "[M+Na]+", -2.0))
        if rng.random() < 0.12:
            options.append(("positive", "[M+NH4]+", -2.6))
        if mass > 350 and rng.random() < 0.4:
            options.append(("positive", "[M+2H]2+", -2.2))
        if rng.random() < 0.40:
            options.append(("negative", "[M-H]-", -0.4))
            if rng.random() < 0.3:
                options.append(("negative", "[M+FA-H]-", -1.8))
        for mode, adduct, log_yield in options:
            added, charge = ADDUCTS[mode][adduct]
            rows.append((compound, adduct, 0, mode, (mass + added) / charge, log_yield))
            if log_yield > -1 and rng.random() < 0.35:
                # The share of molecules with one carbon-13 grows with their size.
                weaker = np.log2(min(0.011 * mass / 14, 0.9))
                spacing = ISOTOPE_SPACING / charge
                rows.append((compound, adduct, 1, mode, (mass + added) / charge + spacing, log_yield + weaker))
    table = pd.DataFrame(rows, columns=["compound", "adduct", "isotope", "mode", "theoretical", "log_yield"])
    table = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    table.index = pd.Index([f"ion{i:04d}" for i in range(1, len(table) + 1)], name="feature")
    table["mz"] = np.round(table["theoretical"] * (1 + 1.5e-6 * np.clip(rng.normal(size=len(table)), -2.5, 2.5)), 5)
    apart = np.clip(rng.normal(0, 0.4, len(table)), -1, 1)
    table["rt"] = np.round(compounds.loc[table["compound"], "retention"].to_numpy() + apart, 2)
    return table
