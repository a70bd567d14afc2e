"""What the instruments make of it: counts, beta values and intensities, with batch, depth and detection limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from course.simulation.catalog import X_INACTIVATION, Y_LINKED, gene_of, positions
from course.simulation.faults import BATCHES, LAYERS, LESS_SENSITIVE_LAYER, Plan
from course.simulation.features import Features, Stream
from course.simulation.story import Matrix, Patients

POOL_REPLICATES = {"methylation": 1, "rna": 2, "protein": 3, "metabolite": 4}
N_CALLED_SITES = 160
# log2 of the smallest intensity that is recorded.
DETECTION_LIMIT = {"protein": 19.6, "metabolite": 17.4}
LOST_SENSITIVITY = 1.3
# Standard deviation of a feature's shift between batches: logit units for methylation, log2 for the others.
BATCH_SHIFT = {"methylation": 0.15, "rna": 0.22, "protein": 0.16, "metabolite": 0.2}


@dataclass
class Measured:
    """Tables of one layer."""

    values: pd.DataFrame
    samples: pd.DataFrame
    pools: pd.DataFrame | None = None
    pool_samples: pd.DataFrame | None = None
    calls: pd.DataFrame | None = None


def measure(features: Features, patients: Patients, plan: Plan, stream: Stream) -> dict[str, Measured]:
    """Measure every layer."""
    layers = {
        "genotype": _genotype(features, patients, plan, stream),
        "methylation": _methylation(features, patients, plan, stream),
        "rna": _rna(features, patients, plan, stream),
        "protein": _intensities("protein", features, patients, plan, stream),
        "metabolite": _intensities("metabolite", features, patients, plan, stream),
    }
    for name in LAYERS:
        kept = plan.present[name]
        layers[name].values = layers[name].values[kept]
        layers[name].samples = layers[name].samples[kept]
    return layers


def _steady(rng: np.random.Generator, size: Any, limit: float = 2.2) -> Matrix:
    """Normal noise without tails: a healthy sample is never so odd that it looks like a failure."""
    return np.clip(rng.normal(size=size), -limit, limit)


def _samples(patients: Patients, batch: NDArray[np.str_], **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"batch": batch, **columns}, index=patients.labels)


def _pool_labels(layer: str) -> tuple[pd.Index, NDArray[np.str_]]:
    batch = np.repeat(BATCHES[layer], POOL_REPLICATES[layer])
    replicate = np.tile(np.arange(1, POOL_REPLICATES[layer] + 1), len(BATCHES[layer]))
    return pd.Index([f"pool-{b}-{r}" for b, r in zip(batch, replicate, strict=True)], name="pool"), batch


def _shift(batch: NDArray[np.str_], layer: str, shifts: Matrix) -> Matrix:
    """Rows of the batches' shifts, one per sample."""
    return shifts[[BATCHES[layer].index(b) for b in batch]]


def _genotype(features: Features, patients: Patients, plan: Plan, stream: Stream) -> Measured:
    rng = stream("genotype array")
    dosage = _misread(patients.dosage[plan.owner["genotype"]], error=0.002, rng=rng)
    rate = np.clip(0.985 + 0.005 * _steady(rng, len(dosage)), 0, 1)
    dosage[rng.random(dosage.shape) > rate[:, None]] = np.nan
    values = pd.DataFrame(dosage, index=patients.labels, columns=features.genotype.index)
    call_rate = np.round(values.notna().mean(axis=1), 4)
    return Measured(values, _samples(patients, plan.batch["genotype"], call_rate=call_rate))


def _misread(dosage: Matrix, error: float, rng: np.random.Generator) -> Matrix:
    """Read a genotype wrongly now and then: one allele more or less."""
    wrong = rng.random(dosage.shape) < error
    step = np.where(dosage == 0, 1, np.where(dosage == 2, -1, rng.choice([-1, 1], dosage.shape)))
    return dosage + wrong * step


def _methylation(features: Features, patients: Patients, plan: Plan, stream: Stream) -> Measured:
    rng = stream("methylation array")
    logit = patients.methylation[plan.owner["methylation"]]
    shifts = BATCH_SHIFT["methylation"] * rng.normal(size=(len(BATCHES["methylation"]), logit.shape[1]))
    batch = plan.batch["methylation"]
    noisy = logit + _shift(batch, "methylation", shifts) + 0.25 * rng.normal(size=logit.shape)
    labels, pool_batch = _pool_labels("methylation")
    mean = (1 / (1 + np.exp(-patients.methylation))).mean(axis=0)
    pool = np.log(mean / (1 - mean)) + _shift(pool_batch, "methylation", shifts)
    pool += 0.15 * rng.normal(size=pool.shape)

    def beta(x: Matrix, index: pd.Index) -> pd.DataFrame:
        share = np.round(0.02 + 0.96 / (1 + np.exp(-x)), 4)
        share[rng.random(x.shape) < 0.002] = np.nan
        return pd.DataFrame(share, index=index, columns=features.methylation.index)

    conversion = np.round(99.2 + 0.25 * _steady(rng, len(logit)), 2)
    return Measured(
        beta(noisy, patients.labels),
        _samples(patients, batch, bisulfite_conversion=conversion),
        beta(pool, labels),
        pd.DataFrame({"batch": pool_batch}, index=labels),
    )


def _rna(features: Features, patients: Patients, plan: Plan, stream: Stream) -> Measured:
    rng = stream("sequencer")
    genes, spikes = features.rna, features.spike_ins
    n, n_genes = len(patients.labels), len(genes)
    base = _base_expression(genes, rng)
    shifts = BATCH_SHIFT["rna"] * rng.normal(size=(3, n_genes))
    batch = plan.batch["rna"]
    log2 = base + patients.transcript[plan.owner["rna"]] + _shift(batch, "rna", shifts)
    mito = (genes["chromosome"] == "chrM").to_numpy()
    log2[:, mito] += 0.35 * _steady(rng, (n, 1))
    kind = np.array([plan.failed.get(i, "") for i in range(n)])
    readings = _library_readings(kind, rng)
    log2[kind == "mitochondrial"] += np.where(mito, rng.uniform(3.9, 4.6, (3, 1)), 0.0)
    length = np.log2(genes["length"].to_numpy() / 2000.0)
    degraded = kind == "degraded"
    log2[degraded] += -0.9 * length + 1.6 * rng.normal(size=(degraded.sum(), n_genes)) - 1.5 * (base < 4)
    # The spike-ins go in at a fixed amount; a flow cell shifts them all together.
    spike_share = 0.015 * 2 ** (0.15 * _steady(rng, n) + _shift(batch, "rna", np.array([-0.5, 0.0, 0.45])))
    library = np.exp(14.35 + 0.22 * _steady(rng, n))
    library[kind == "low_depth"] *= rng.uniform(0.03, 0.06, 3)
    counts = _sequence(log2, library * (1 - spike_share), kind == "overamplified", rng)
    spike_log2 = np.tile(np.log2(spikes["dose"].to_numpy()), (n, 1)) + 0.1 * rng.normal(size=(n, len(spikes)))
    spiked = _sequence(spike_log2, library * spike_share, kind == "overamplified", rng)
    columns = genes.index.append(spikes.index)

    labels, pool_batch = _pool_labels("rna")
    pooled = base + np.log2((2**patients.transcript).mean(axis=0)) + _shift(pool_batch, "rna", shifts)
    pool_share = 0.015 * 2 ** _shift(pool_batch, "rna", np.array([-0.5, 0.0, 0.45]))
    pool_library = np.exp(14.35 + 0.15 * _steady(rng, len(labels)))
    nobody = np.zeros(len(labels), dtype=bool)
    pool_counts = _sequence(pooled, pool_library * (1 - pool_share), nobody, rng)
    pool_spikes = _sequence(np.tile(spike_log2.mean(axis=0), (len(labels), 1)), pool_library * pool_share, nobody, rng)
    return Measured(
        pd.DataFrame(np.hstack([counts, spiked]), index=patients.labels, columns=columns),
        _samples(patients, batch, **readings),
        pd.DataFrame(np.hstack([pool_counts, pool_spikes]), index=labels, columns=columns),
        pd.DataFrame({"batch": pool_batch}, index=labels),
        _call_genotypes(features, patients, plan, counts, stream("variant caller")),
    )


def _base_expression(genes: pd.DataFrame, rng: np.random.Generator) -> Matrix:
    """log2 abundance of each gene in reads: most genes low, a few high, mitochondrial ones highest."""
    length = np.log2(genes["length"].to_numpy() / 2000.0)
    base = np.clip(rng.normal(5.0, 2.6, len(genes)), -3.0, 12.0) + 0.5 * length
    known = {gene_of(symbol): 8.0 for symbol in X_INACTIVATION} | {gene_of(symbol): 6.8 for symbol in Y_LINKED}
    housekeeping = ("ACTB", "GAPDH", "B2M", "EEF1A1", "RPLP0", "HBA1", "HBA2", "HBB", "LYZ", "S100A8", "S100A9", "ALB")
    known |= {gene_of(symbol): 10.5 for symbol in housekeeping}
    base = np.array([known.get(gene, level) for gene, level in zip(genes.index, base, strict=True)])
    mito = (genes["chromosome"] == "chrM").to_numpy()
    nuclear = (2 ** base[~mito]).sum()
    base[mito] = np.log2(0.06 * nuclear / mito.sum()) + 0.7 * rng.normal(size=mito.sum())
    # Genes whose protein or variant carries identity must be seen: real genes are never lost in the noise.
    return np.where(~genes["invented"].to_numpy(), np.maximum(base, 4.0), base)


def _library_readings(kind: NDArray[np.str_], rng: np.random.Generator) -> dict[str, Matrix]:
    """Readings of the laboratory that tell a good library from a failed one."""
    n = len(kind)
    rin = 8.3 + 0.5 * _steady(rng, n)
    rin[kind == "degraded"] = rng.uniform(2.1, 3.4, (kind == "degraded").sum())
    mapped = 93 + 1.5 * _steady(rng, n)
    mapped[kind == "low_depth"] -= rng.uniform(12, 25, (kind == "low_depth").sum())
    duplicated = 22 + 4 * _steady(rng, n)
    duplicated[kind == "overamplified"] = rng.uniform(72, 88, (kind == "overamplified").sum())
    bias = 1.1 + 0.08 * _steady(rng, n)
    bias[kind == "degraded"] = rng.uniform(2.0, 3.2, (kind == "degraded").sum())
    return {
        "rin": np.round(rin, 1),
        "percent_mapped": np.round(mapped, 1),
        "percent_duplicated": np.round(duplicated, 1),
        "three_prime_bias": np.round(bias, 2),
    }


def _sequence(
    log2: Matrix, reads: Matrix, overamplified: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw negative-binomial counts: Poisson reads of molecules whose number varies between preparations."""
    share = 2**log2
    expected = share / share.sum(axis=1, keepdims=True) * reads[:, None]
    dispersion = 0.03 + 0.15 / np.sqrt(expected + 1)
    molecules = rng.gamma(1 / dispersion, expected * dispersion)
    counts = rng.poisson(molecules)
    # Too many PCR cycles: few molecules, each read over and over.
    few = rng.poisson(molecules[overamplified] * 0.012)
    counts[overamplified] = rng.poisson(few * 80.0)
    return counts


def _call_genotypes(
    features: Features, patients: Patients, plan: Plan, counts: NDArray[np.int64], rng: np.random.Generator
) -> pd.DataFrame:
    """Call the variants that lie in well expressed genes from the reads; without reads there is no call."""
    near = features.genotype["cis_gene"].dropna().drop_duplicates()
    depth = counts[:, positions(features.rna.index, near)]
    best = np.sort(np.argsort(-np.median(depth, axis=0), kind="stable")[:N_CALLED_SITES])
    sites = positions(features.genotype.index, near.index[best])
    dosage = _misread(patients.dosage[plan.owner["rna"]][:, sites], error=0.012, rng=rng)
    seen = rng.random(dosage.shape) < 0.94 * (1 - np.exp(-depth[:, best] / 40))
    dosage[~seen] = np.nan
    return pd.DataFrame(dosage, index=patients.labels, columns=near.index[best])


def less_sensitive(plan: Plan) -> dict[str, Any]:
    """Return the batch whose instrument saw less, and by how much, as plain values."""
    return {"layer": LESS_SENSITIVE_LAYER, "batch": plan.less_sensitive, "log2_lost": LOST_SENSITIVITY}


def detection_limits(layer: str, batch: NDArray[np.str_], plan: Plan) -> Matrix:
    """log2 of the detection limit in each sample's batch."""
    less = (layer == LESS_SENSITIVE_LAYER) & (batch == plan.less_sensitive)
    return DETECTION_LIMIT[layer] + LOST_SENSITIVITY * less


def _intensities(layer: str, features: Features, patients: Patients, plan: Plan, stream: Stream) -> Measured:
    """log intensity = sample factor + batch shift + abundance + noise; nothing is recorded below the limit."""
    rng = stream(f"{layer} spectrometer")
    if layer == "protein":
        columns, deviation = features.protein.index, patients.protein
        base, noise = rng.normal(22.6, 1.7, len(columns)), 0.22
    else:
        columns = features.ions.index
        compound = positions(features.compounds.index, features.ions["compound"])
        deviation = patients.metabolite[:, compound]
        base = rng.normal(21.6, 1.6, len(features.compounds))[compound] + features.ions["log_yield"].to_numpy()
        noise = 0.3
    batch = plan.batch[layer]
    shifts = BATCH_SHIFT[layer] * rng.normal(size=(len(BATCHES[layer]), len(columns)))
    order = rng.permutation(len(batch)) + 1
    factor = 0.35 * _steady(rng, len(batch)) - 0.003 * (order - order.mean())
    true = base + deviation[plan.owner[layer]]
    log2 = true + factor[:, None] + _shift(batch, layer, shifts) + noise * rng.normal(size=true.shape)
    labels, pool_batch = _pool_labels(layer)
    pooled = base + np.log2((2**deviation).mean(axis=0)) + _shift(pool_batch, layer, shifts)
    pooled = pooled + 0.15 * _steady(rng, (len(labels), 1)) + 0.5 * noise * rng.normal(size=pooled.shape)

    def record(x: Matrix, batches: NDArray[np.str_], index: pd.Index) -> pd.DataFrame:
        seen = x >= detection_limits(layer, batches, plan)[:, None]
        seen &= rng.random(x.shape) > 0.004
        return pd.DataFrame(np.where(seen, _significant(2**x), np.nan), index=index, columns=columns)

    def limit(batches: NDArray[np.str_]) -> Matrix:
        return _significant(2 ** detection_limits(layer, batches, plan))

    return Measured(
        record(log2, batch, patients.labels),
        _samples(patients, batch, run_order=order, detection_limit=limit(batch)),
        record(pooled, pool_batch, labels),
        pd.DataFrame({"batch": pool_batch, "detection_limit": limit(pool_batch)}, index=labels),
    )


def _significant(x: Matrix, digits: int = 4) -> Matrix:
    """Round positive values to so many significant digits, as an instrument's software does."""
    scale = 10.0 ** (np.floor(np.log10(x)) - (digits - 1))
    return np.round(x / scale) * scale
