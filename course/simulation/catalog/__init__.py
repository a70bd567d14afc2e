"""Real identifiers that the story uses, and invented ones that cannot be mistaken for them.

The tables beside this module hold facts only: identifiers, symbols, positions, masses. `data/README.md` says where each
was checked. Whatever is invented begins with "SIM" or "sim".
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_HERE = Path(__file__).resolve().parent

# Transcripts that tell female from male tissue.
X_INACTIVATION = ("XIST",)
Y_LINKED = ("RPS4Y1", "DDX3Y", "KDM5D", "UTY", "EIF1AY", "USP9Y", "ZFY")

# Mass of what makes an ion of a neutral molecule: (added mass in Da, charge). 1.007276467 Da is the proton.
ADDUCTS = {
    "positive": {
        "[M+H]+": (1.007276467, 1),
        "[M+Na]+": (22.989218, 1),
        "[M+NH4]+": (18.033826, 1),
        "[M+2H]2+": (2 * 1.007276467, 2),
    },
    "negative": {"[M-H]-": (-1.007276467, 1), "[M+FA-H]-": (44.998203, 1)},
}
# A carbon-13 in place of a carbon-12.
ISOTOPE_SPACING = 1.003355


def real(table: str) -> pd.DataFrame:
    """One of the tables of real identifiers: genes, variants, cpgs, isoforms, spike_ins, metabolites.

    >>> real("genes").loc["XIST", "gene"]
    'ENSG00000229807'
    """
    return _read(table).copy()


@cache
def _read(table: str) -> pd.DataFrame:
    index = {"genes": "symbol", "metabolites": "name"}.get(table, 0)
    return pd.read_csv(_HERE / f"{table}.csv", index_col=index, keep_default_na=False)


def positions(index: pd.Index, labels: Iterable[str]) -> NDArray[np.int64]:
    """Where labels stand in an index; every one of them must be there.

    >>> positions(pd.Index(["a", "b", "c"]), ["c", "a"])
    array([2, 0])
    """
    found = index.get_indexer(pd.Index(list(labels)))
    if (found < 0).any():
        raise KeyError(f"{list(labels)[int(np.argmin(found))]} is not in the index")
    return np.asarray(found, dtype=np.int64)


def position(index: pd.Index, label: str) -> int:
    """Where one label stands in an index."""
    return int(positions(index, [label])[0])


def gene_of(symbol: str) -> str:
    """Ensembl identifier of a real gene, without version."""
    return str(real("genes").loc[symbol, "gene"])


def invented(prefix: str, number: int) -> list[str]:
    """Make identifiers nobody can mistake for real ones.

    >>> invented("SIMG", 2)
    ['SIMG000001', 'SIMG000002']
    """
    return [f"{prefix}{i:06d}" for i in range(1, number + 1)]
