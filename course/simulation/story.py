"""The causal story: variant → methylation → transcript → protein → metabolite → outcome, in 160 patients.

Everything here is what really happens in the patients; no instrument has looked yet. Three programmes make three
subtypes, and no layer shows all three clearly:

- subtype 0 methylates a set of promoters, which silences their genes;
- subtype 1 degrades a set of proteins faster; its transcripts hardly change;
- subtype 2 runs a set of enzymes faster; its metabolites pile up, its proteins hardly change.

Each programme is started by risk variants. Metabolites raise the risk of disease; disease inflames the blood, which
changes transcripts and proteins in return; both decide how long a patient stays well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from course.simulation.catalog import X_INACTIVATION, Y_LINKED, gene_of, position, positions
from course.simulation.features import Features, Stream

N_PATIENTS = 160
SUBTYPE_SIZES = (58, 52, 50)
N_RISK_VARIANTS = 8  # of each programme

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Effects:
    """How large things are. Log2 units for abundances, logit units for methylation, per allele for variants."""

    promoter_methylation: float = 1.7
    silencing: float = 0.40
    degradation: float = 1.3
    turnover: float = 1.5
    cis: float = 0.85
    translation: float = 0.75
    composition: float = 0.15
    inflammation: float = 0.7


@dataclass(frozen=True)
class Patients:
    """The truth about the patients, rows in one order."""

    labels: pd.Index
    subtype: NDArray[np.int64]
    female: NDArray[np.bool_]
    clinical: pd.DataFrame
    dosage: Matrix  # (n, variants)
    methylation: Matrix  # (n, CpGs), logit of the methylated share
    transcript: Matrix  # (n, genes), log2 deviation from the gene's mean
    protein: Matrix  # (n, proteins), log2 deviation
    metabolite: Matrix  # (n, compounds), log2 deviation


def live(features: Features, stream: Stream, effects: Effects | None = None) -> Patients:
    """Let 160 patients live the story."""
    size = effects or Effects()
    rng = stream("patients")
    labels = pd.Index([f"P{i:03d}" for i in range(1, N_PATIENTS + 1)], name="sample")
    subtype = rng.permutation(np.repeat([0, 1, 2], SUBTYPE_SIZES))
    female = rng.permutation(np.arange(N_PATIENTS) % 2 == 0)
    age = np.round(np.clip(rng.normal(58, 11, N_PATIENTS), 27, 86)).astype(int)
    smoker = rng.choice(["never", "former", "current"], N_PATIENTS, p=[0.5, 0.3, 0.2])
    composition = rng.normal(size=(N_PATIENTS, 3))  # shares of cell types, unseen

    dosage = _dosages(features, subtype, stream("dosage"))
    programme = _programmes(subtype, stream("programmes"))
    aged = (age - 58) / 11
    methylation = _methylate(features, dosage, programme, aged, smoker, composition, stream("methylation"), size)
    transcript = _transcribe(features, dosage, methylation, programme, female, composition, stream("transcript"), size)
    protein = _translate(features, transcript, programme, composition, stream("protein"), size)
    metabolite = _metabolise(features, protein, programme, aged, stream("metabolite"), size)
    risk = _risk(programme, metabolite, features)
    case = stream("disease").random(N_PATIENTS) < _logistic(1.3 * risk + 0.35 * aged - 0.1)
    inflame = stream("inflammation")
    inflammation = size.inflammation * (case + 0.25 * inflame.normal(size=N_PATIENTS))
    transcript = transcript + inflammation[:, None] * _inflamed(features.rna, "gene", inflame)
    protein = protein + 0.8 * inflammation[:, None] * _inflamed(features.protein, "protein", inflame)
    clinical = _clinical(labels, age, female, smoker, case, subtype, risk, inflammation, metabolite, features, stream)
    return Patients(labels, subtype, female, clinical, dosage, methylation, transcript, protein, metabolite)


def _logistic(x: Matrix) -> Matrix:
    return 1 / (1 + np.exp(-x))


def _dosages(features: Features, subtype: NDArray[np.int64], rng: np.random.Generator) -> Matrix:
    """Count alternative alleles; the risk variants of a programme are more frequent in its subtype."""
    n_variants = len(features.genotype)
    frequency = np.tile(rng.uniform(0.12, 0.5, n_variants), (len(subtype), 1))
    for programme, sites in enumerate(risk_variants(features)):
        frequency[:, sites] = np.where(subtype[:, None] == programme, 0.50, 0.30)
    return rng.binomial(2, frequency).astype(float)


def risk_variants(features: Features) -> list[NDArray[np.int64]]:
    """Positions of the variants that start each programme: invented ones far from any gene of the study."""
    distant = np.flatnonzero(features.genotype["cis_gene"].isna().to_numpy())
    return [distant[k * N_RISK_VARIANTS : (k + 1) * N_RISK_VARIANTS] for k in range(3)]


def _programmes(subtype: NDArray[np.int64], rng: np.random.Generator) -> Matrix:
    """Activity of the three programmes: high in their own subtype, never exactly on or off."""
    return np.eye(3)[subtype] + 0.14 * rng.normal(size=(len(subtype), 3))


def programme_sets(features: Features) -> dict[str, NDArray[np.int64]]:
    """Positions of the CpGs, genes, proteins and compounds that the programmes act on."""
    free = features.methylation["gene"].isin(set(features.genotype["cis_gene"].dropna()))
    near_gene = features.methylation["gene"].notna() & features.methylation["invented"]
    silenced_cpgs = np.flatnonzero((near_gene & ~free).to_numpy())[:110]
    made = np.flatnonzero(features.protein["invented"].to_numpy())
    compounds = np.flatnonzero((features.compounds["hmdb"] == "").to_numpy())
    # Leucine, isoleucine, valine, kynurenine.
    named = positions(features.compounds.index, ["HMDB0000687", "HMDB0000172", "HMDB0000883", "HMDB0000684"])
    return {
        "cpgs": silenced_cpgs,
        "genes": positions(features.rna.index, features.methylation["gene"].iloc[silenced_cpgs]),
        "proteins": made[:70],
        "compounds": np.array([*named, *compounds[:16]]),
    }


def _loadings(rng: np.random.Generator, n_columns: int, share: float) -> Matrix:
    """Effects of one hidden cause: nothing on most columns, either sign on a share of them."""
    return rng.normal(size=n_columns) * (rng.random(n_columns) < share)


def _cis(features: Features) -> tuple[dict[str, int], dict[str, int]]:
    """Variant of each gene, and CpG of each gene where the variant acts through it."""
    variant_of: dict[str, int] = {}
    for i, gene in enumerate(features.genotype["cis_gene"]):
        if isinstance(gene, str):
            variant_of.setdefault(gene, i)
    cpg_of: dict[str, int] = {}
    for i, gene in enumerate(features.methylation["gene"]):
        if isinstance(gene, str) and gene in variant_of:
            cpg_of.setdefault(gene, i)
    return variant_of, cpg_of


def _methylate(
    features: Features,
    dosage: Matrix,
    programme: Matrix,
    aged: Matrix,
    smoker: NDArray[np.str_],
    composition: Matrix,
    rng: np.random.Generator,
    size: Effects,
) -> Matrix:
    """Variant → methylation, and programme 0 → promoters; age, smoke and cell types act as they do in blood."""
    n_cpgs = len(features.methylation)
    island = (features.methylation["context"] == "island").to_numpy()
    level = np.where(island, rng.normal(-2.6, 0.7, n_cpgs), rng.normal(1.6, 1.2, n_cpgs))
    values = level + 0.5 * rng.normal(size=(len(dosage), n_cpgs))
    variant_of, cpg_of = _cis(features)
    for gene, cpg in cpg_of.items():
        values[:, cpg] += 1.3 * size.cis * rng.choice([-1, 1]) * (dosage[:, variant_of[gene]] - 0.6)
    values[:, programme_sets(features)["cpgs"]] += size.promoter_methylation * programme[:, [0]]
    for k in range(2):
        values += size.composition * np.outer(composition[:, k], _loadings(rng, n_cpgs, 0.35))
    values += 0.4 * np.outer(aged, _loadings(rng, n_cpgs, 0.05))
    age_cpg, smoke_cpg = positions(features.methylation.index, ["cg16867657", "cg05575921"])
    values[:, age_cpg] = 0.3 + 0.55 * aged + 0.25 * rng.normal(size=len(dosage))
    values[:, smoke_cpg] = 2.2 - 1.3 * (smoker == "current") - 0.5 * (smoker == "former")
    values[:, smoke_cpg] += 0.3 * rng.normal(size=len(dosage))
    return values


def _transcribe(
    features: Features,
    dosage: Matrix,
    methylation: Matrix,
    programme: Matrix,
    female: NDArray[np.bool_],
    composition: Matrix,
    rng: np.random.Generator,
    size: Effects,
) -> Matrix:
    """Methylation silences its gene; other genes feel their variant directly; sex chromosomes tell the sex."""
    genes = features.rna.index
    values = 0.35 * rng.normal(size=(len(dosage), len(genes)))
    column = {gene: i for i, gene in enumerate(genes)}
    variant_of, cpg_of = _cis(features)
    for gene, variant in variant_of.items():
        if gene in cpg_of:
            level = methylation[:, cpg_of[gene]]
            values[:, column[gene]] -= 0.62 * (level - level.mean())
        else:
            alleles = dosage[:, variant]
            values[:, column[gene]] += size.cis * rng.choice([-1, 1]) * (alleles - alleles.mean())
    sets = programme_sets(features)
    for cpg, gene_index in zip(sets["cpgs"], sets["genes"], strict=True):
        level = methylation[:, cpg]
        values[:, gene_index] -= size.silencing * (level - level.mean())
    for k in range(3):
        values += 0.8 * size.composition * np.outer(composition[:, k], _loadings(rng, len(genes), 0.4))
    # The faster degradation of subtype 1 is answered by a few chaperones.
    for symbol in ("HSPA1A", "HSP90AA1", "HSPA5", "DDIT3", "ATF4", "XBP1"):
        values[:, column[gene_of(symbol)]] += 0.5 * programme[:, 1]
    for symbol in X_INACTIVATION:
        values[:, column[gene_of(symbol)]] = np.where(female, 0.0, -9.0) + 0.35 * rng.normal(size=len(female))
    for symbol in Y_LINKED:
        values[:, column[gene_of(symbol)]] = np.where(female, -8.0, 0.0) + 0.35 * rng.normal(size=len(female))
    return values


def _translate(
    features: Features,
    transcript: Matrix,
    programme: Matrix,
    composition: Matrix,
    rng: np.random.Generator,
    size: Effects,
) -> Matrix:
    """Each protein follows its transcripts; programme 1 degrades a set of them."""
    columns = [positions(features.rna.index, genes.split(";")) for genes in features.protein["gene"]]
    source = np.column_stack([transcript[:, genes].mean(axis=1) for genes in columns])
    values = size.translation * source + 0.33 * rng.normal(size=source.shape)
    values[:, programme_sets(features)["proteins"]] -= size.degradation * programme[:, [1]]
    values += 0.5 * size.composition * np.outer(composition[:, 2], _loadings(rng, source.shape[1], 0.4))
    return values


# Enzymes and what they make (+1) or use up (-1).
REACTIONS = (
    ("LDHA", "L-Lactic acid", 1), ("LDHB", "Pyruvic acid", 1), ("PKM", "Pyruvic acid", 1), ("CS", "Citric acid", 1),
    ("ACO2", "Isocitric acid", 1), ("IDH1", "Oxoglutaric acid", 1), ("OGDH", "Succinic acid", 1),
    ("SDHA", "Fumaric acid", 1),
    ("FH", "L-Malic acid", 1), ("GLUL", "L-Glutamine", 1), ("GLS", "L-Glutamic acid", 1), ("GPT", "L-Alanine", 1),
    ("PHGDH", "L-Serine", 1), ("SHMT1", "Glycine", 1), ("PAH", "L-Tyrosine", 1), ("TDO2", "L-Tryptophan", -1),
    ("IDO1", "L-Kynurenine", 1), ("BCAT2", "L-Leucine", -1), ("BCKDHA", "L-Isoleucine", -1), ("BCKDHB", "L-Valine", -1),
    ("ASS1", "L-Aspartic acid", -1), ("ARG1", "Ornithine", 1), ("OTC", "Citrulline", 1), ("CBS", "Homocysteine", -1),
    ("BHMT", "Betaine", -1), ("XDH", "Uric acid", 1), ("ADA", "Inosine", 1), ("HMGCS2", "(R)-3-Hydroxybutyric acid", 1),
    ("CPT1A", "L-Carnitine", -1), ("CYP1A2", "Caffeine", -1), ("FASN", "Palmitic acid", 1), ("SCD", "Oleic acid", 1),
    ("HK1", "D-Glucose", -1), ("GNMT", "Sarcosine", 1),
)  # fmt: skip


def _metabolise(
    features: Features, protein: Matrix, programme: Matrix, aged: Matrix, rng: np.random.Generator, size: Effects
) -> Matrix:
    """Enzymes make and use up metabolites; programme 2 speeds up a set of reactions."""
    names = {name: i for i, name in enumerate(features.compounds["name"])}
    protein_of = {symbol: i for i, symbol in enumerate(features.protein["symbol"])}
    n_compounds = len(features.compounds)
    values = 0.55 * rng.normal(size=(len(protein), n_compounds))
    for enzyme, compound, sign in REACTIONS:
        values[:, names[compound]] += 0.7 * sign * protein[:, protein_of[enzyme]]
    invented_enzymes = np.flatnonzero(features.protein["invented"].to_numpy())[120:]
    for compound in np.flatnonzero((features.compounds["hmdb"] == "").to_numpy())[16:]:
        values[:, compound] += 0.5 * protein[:, rng.choice(invented_enzymes)]
    values[:, programme_sets(features)["compounds"]] += size.turnover * programme[:, [2]]
    diet = rng.normal(size=(len(protein), 2))
    for k in range(2):
        values += 0.25 * np.outer(diet[:, k], _loadings(rng, n_compounds, 0.35))
    values += 0.2 * np.outer(aged, _loadings(rng, n_compounds, 0.2))
    return values


def _risk(programme: Matrix, metabolite: Matrix, features: Features) -> Matrix:
    """Metabolites that make ill: those of programme 2, and a little of programme 0 through what it silences."""
    harmful = metabolite[:, programme_sets(features)["compounds"]].mean(axis=1)
    return (harmful - harmful.mean()) / harmful.std() + 0.2 * (programme[:, 0] - programme[:, 0].mean())


def _inflamed(table: pd.DataFrame, kind: str, rng: np.random.Generator) -> Matrix:
    """Weights of the inflammatory response: known acute-phase genes and a share of invented ones."""
    acute = {"IL6", "IL1B", "TNF", "CXCL8", "CRP", "SAA1", "FGA", "FGB", "HP", "C3", "CXCL10", "ICAM1", "LBP", "ORM1"}
    acute |= {"SERPINA1", "S100A8", "S100A9", "NFKB1", "STAT1", "IRF1", "LYZ", "STAT3"}
    known = table["symbol"].isin(acute).to_numpy()
    others = table["invented"].to_numpy() & (rng.random(len(table)) < (0.05 if kind == "gene" else 0.04))
    weight = np.where(known, rng.uniform(0.8, 1.6, len(table)), 0.0)
    return weight + np.where(others, rng.choice([-1, 1], len(table)) * rng.uniform(0.5, 1.0, len(table)), 0.0)


def _clinical(
    labels: pd.Index,
    age: NDArray[np.int64],
    female: NDArray[np.bool_],
    smoker: NDArray[np.str_],
    case: NDArray[np.bool_],
    subtype: NDArray[np.int64],
    risk: Matrix,
    inflammation: Matrix,
    metabolite: Matrix,
    features: Features,
    stream: Stream,
) -> pd.DataFrame:
    """What the clinic writes down; the outcome follows risk, age, and a treatment that helps subtype 1 most."""
    rng = stream("clinic")
    n = len(labels)
    glucose = metabolite[:, position(features.compounds.index, "HMDB0000122")]
    bmi = np.round(np.clip(26.5 + 1.2 * risk + rng.normal(0, 3.6, n), 17, 45), 1)
    treated = rng.random(n) < _logistic(0.8 * (case - 0.5) + 0.3 * (60 - age) / 11)
    benefit = np.where(subtype == 1, -1.0, -0.15)
    hazard = 0.02 * np.exp(0.55 * risk + 0.3 * (age - 58) / 11 + 0.5 * case + benefit * treated)
    event_time = rng.exponential(1 / hazard)
    leaving = np.minimum(rng.uniform(12, 90, n), 72)
    return pd.DataFrame(
        {
            "age": age,
            "sex": np.where(female, "female", "male"),
            "bmi": bmi,
            "smoker": smoker,
            "site": rng.choice(["north", "south", "west"], n, p=[0.4, 0.35, 0.25]),
            "disease": np.where(case, "case", "control"),
            "treatment": np.where(treated, "new", "standard"),
            "crp": np.round(np.exp(0.5 + 1.3 * inflammation + rng.normal(0, 0.6, n)), 1),
            "glucose": np.round(np.clip(5.4 + 0.6 * glucose + rng.normal(0, 0.4, n), 3.2, 14), 1),
            "time": np.round(np.maximum(np.minimum(event_time, leaving), 0.1), 1),
            "event": (event_time <= leaving).astype(int),
        },
        index=labels,
    )
