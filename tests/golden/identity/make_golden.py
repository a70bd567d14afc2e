"""Write golden.json: simulated genotypes with relatives and missing calls, and what PLINK makes of them.

    python tests/golden/identity/make_golden.py tests/golden/identity/golden.json

Needs the programs plink2 and plink1.9 (Debian packages plink2 and plink1.9).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

SEED = 20261122
N_SITES = 400


def child(rng: np.random.Generator, mother: np.ndarray, father: np.ndarray) -> np.ndarray:
    """Draw one chromosome copy of each parent, site by site."""
    sites = np.arange(mother.shape[1])
    return np.stack([mother[rng.integers(0, 2, len(sites)), sites], father[rng.integers(0, 2, len(sites)), sites]])


def family(rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Five founders, two full siblings, a niece, a second aliquot, an inbred sample without heterozygous site."""
    frequency = rng.uniform(0.05, 0.95, N_SITES)
    founders = [(rng.random((2, N_SITES)) < frequency).astype(int) for _ in range(5)]
    sister, brother = child(rng, founders[0], founders[1]), child(rng, founders[0], founders[1])
    niece = child(rng, sister, founders[2])
    aliquot = founders[3].sum(axis=0)
    misread = rng.random(N_SITES) < 0.01
    aliquot = np.where(misread, rng.integers(0, 3, N_SITES), aliquot)
    inbred = 2 * (rng.random(N_SITES) < frequency)
    names = [f"founder{i}" for i in range(5)] + ["sister", "brother", "niece", "aliquot_of_founder3", "inbred"]
    dosage = np.vstack([*(x.sum(axis=0) for x in [*founders, sister, brother, niece]), aliquot, inbred]).astype(float)
    missing = rng.uniform(0.0, 0.3, len(names))  # one sample's calls are much poorer than another's
    dosage[rng.random(dosage.shape) < missing[:, None]] = np.nan
    return names, dosage


def write_vcf(path: Path, names: list[str], dosage: np.ndarray) -> None:
    code = {0.0: "0/0", 1.0: "0/1", 2.0: "1/1"}
    lines = ["##fileformat=VCFv4.2", "##contig=<ID=1>", '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
    lines.append("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *names]))
    for j, column in enumerate(dosage.T):
        calls = [code.get(value, "./.") for value in column]
        lines.append("\t".join(["1", str(j + 1), f"site{j}", "A", "C", ".", ".", ".", "GT", *calls]))
    path.write_text("\n".join(lines) + "\n")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main(target: str) -> None:
    names, dosage = family(np.random.default_rng(SEED))
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "family"
        write_vcf(base.with_suffix(".vcf"), names, dosage)
        columns = "cols=id,nsnp,hethet,ibs0,ibs1,kinship"
        run("plink2", "--vcf", f"{base}.vcf", "--make-king-table", "counts", columns, "--out", str(base))
        king = pd.read_csv(f"{base}.kin0", sep="\t").rename(columns={"#IID1": "IID1"})
        # The second program needs a family identifier, hence --double-id; "full" adds the IBS counts.
        run("plink1.9", "--vcf", f"{base}.vcf", "--double-id", "--genome", "full", "--out", str(base))
        genome = pd.read_csv(f"{base}.genome", sep=r"\s+")
        versions = [run("plink2", "--version").strip(), run("plink1.9", "--version").strip()]
    king["KINSHIP"] = king["KINSHIP"].replace([np.inf, -np.inf], np.nan)
    golden = {
        "versions": versions,
        "seed": SEED,
        "names": names,
        "dosage": ["".join("." if np.isnan(v) else str(int(v)) for v in row) for row in dosage],
        "king": king.astype(object).where(king.notna(), None).to_dict("records"),
        "ibs": genome[["IID1", "IID2", "IBS0", "IBS1", "IBS2"]].to_dict("records"),
    }
    Path(target).write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
