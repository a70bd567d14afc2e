"""The cohort: several layers of measurements on the same patients, and how to read it.

A :class:`MultiOmics` object holds what a multi-omics study holds when the laboratories have delivered:

1. `layers`: one table per layer, rows are samples, columns are features;
2. `clinical`: one row per patient;
3. what is known about the columns (`features`) and about the rows (`samples`) of each layer;
4. the pooled reference samples that every batch measured beside the patients (`pools`, `pool_samples`);
5. genotypes called a second time from another layer's reads (`calls`), an independent witness of identity.

Samples carry the label of the patient they are *said* to come from. Whether they do is a question for a later method.

This is the one module of the reference that every learner has: it imports only numpy and pandas and holds no exercise.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

CHECKSUMS = "SHA256SUMS"
# What a table's rows are called in its file.
_INDEX_NAMES = {"layers": "sample", "features": "feature", "samples": "sample", "pools": "pool", "pool_samples": "pool"}


@dataclass(eq=False)
class MultiOmics:
    """Measurements of k ≥ 2 layers on one group of patients.

    Parameters
    ----------
    layers : dict of str to (n_samples, n_features) DataFrame
        One numeric table per layer. Rows are labelled with the patient the sample is said to come from; a layer may
        lack patients. NaN is a value that was not measured.
    clinical : (n_patients, n_columns) DataFrame
        One row per patient; must have a row for every sample of every layer.
    features : dict of str to (n_features, …) DataFrame, optional
        What is known about each layer's columns; same labels, same order.
    samples : dict of str to (n_samples, …) DataFrame, optional
        Batch and technical readings of each layer's rows; same labels, same order.
    pools : dict of str to (n_pools, n_features) DataFrame, optional
        One pooled reference sample measured again and again; same columns as the layer.
    pool_samples : dict of str to (n_pools, …) DataFrame, optional
        Batch and technical readings of the rows of `pools`.
    calls : dict of str to (n_samples, n_sites) DataFrame, optional
        Genotypes (0, 1, 2 or NaN) called from that layer's own reads; columns are some of those of layer "genotype".

    Raises
    ------
    ValueError
        If the tables do not fit together. The message lists everything that is wrong.

    Examples
    --------
    >>> rna = pd.DataFrame({"g1": [5, 0, 7], "g2": [1, 2, 3]}, index=["P1", "P2", "P3"])
    >>> protein = pd.DataFrame({"p1": [0.1, 0.2]}, index=["P3", "P1"])
    >>> clinical = pd.DataFrame({"age": [41, 52, 63]}, index=["P1", "P2", "P3"])
    >>> cohort = MultiOmics({"rna": rna, "protein": protein}, clinical)
    >>> cohort
    MultiOmics of 3 patients, 2 in every layer
      rna         3 samples ×    2 features
      protein     2 samples ×    1 features
    >>> cohort.matched().layers["protein"].index.tolist()
    ['P1', 'P3']
    """

    layers: dict[str, pd.DataFrame]
    clinical: pd.DataFrame
    features: dict[str, pd.DataFrame] = field(default_factory=dict, kw_only=True)
    samples: dict[str, pd.DataFrame] = field(default_factory=dict, kw_only=True)
    pools: dict[str, pd.DataFrame] = field(default_factory=dict, kw_only=True)
    pool_samples: dict[str, pd.DataFrame] = field(default_factory=dict, kw_only=True)
    calls: dict[str, pd.DataFrame] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        for part in fields(self):
            if part.name != "clinical":
                tables = getattr(self, part.name)
                setattr(self, part.name, {} if tables is None else _as_dict(tables, part.name))
        complaints = _complaints(self)
        if complaints:
            raise ValueError("these tables do not make a cohort: " + "; ".join(complaints))

    @property
    def patients(self) -> pd.Index:
        """Labels of all patients, in the order of the clinical table."""
        return self.clinical.index

    def matched(self) -> MultiOmics:
        """Return the cohort restricted to the patients measured in every layer.

        Rows of every table are then in one order, that of the clinical table; pooled samples stay.

        Raises
        ------
        ValueError
            If no patient was measured in every layer.
        """
        shared = [p for p in self.patients if all(p in table.index for table in self.layers.values())]
        if not shared:
            sizes = ", ".join(f"{name} has {len(table)}" for name, table in self.layers.items())
            raise ValueError(f"no patient was measured in every layer ({sizes}); compare the labels of the rows")
        return self.restricted_to(shared)

    def restricted_to(self, patients: Any) -> MultiOmics:
        """Return the cohort with only these patients, rows in the order given; layers keep whom of them they have.

        Parameters
        ----------
        patients : sequence of labels
            Some of `cohort.patients`, each once.

        Raises
        ------
        ValueError
            If a label is unknown or repeated, or a layer would be empty.
        """
        wanted = pd.Index(patients)
        unknown = wanted.difference(self.patients)
        if len(unknown) or wanted.has_duplicates:
            wrong = f"{_some(unknown)} unknown" if len(unknown) else f"{_some(wanted[wanted.duplicated()])} repeated"
            raise ValueError(f"expected labels of patients of this cohort, each once; {wrong}")

        def rows(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
            return {name: table.loc[wanted[wanted.isin(table.index)]] for name, table in tables.items()}

        return MultiOmics(
            rows(self.layers),
            self.clinical.loc[wanted],
            features=self.features,
            samples=rows(self.samples),
            pools=self.pools,
            pool_samples=self.pool_samples,
            calls=rows(self.calls),
        )

    def __repr__(self) -> str:
        shared = sum(all(p in table.index for table in self.layers.values()) for p in self.patients)
        lines = [f"MultiOmics of {len(self.clinical)} patients, {shared} in every layer"]
        for name, table in self.layers.items():
            lines.append(f"  {name:<11} {table.shape[0]} samples × {table.shape[1]:>4} features")
        return "\n".join(lines)

    def to_mudata(self) -> Any:
        """Return the cohort as a `mudata.MuData`, the container of the scverse; needs the package mudata.

        Each layer becomes one modality (`obs` = samples, `var` = features); the clinical table becomes the joint `obs`.
        What MuData has no place for (pools, calls, patients without a sample) travels in `uns`: nothing is lost.

        Raises
        ------
        ImportError
            If mudata is not installed.
        """
        mudata, anndata = _scverse()
        modalities = {}
        for name, table in self.layers.items():
            modality = anndata.AnnData(X=table.to_numpy(), obs=pd.DataFrame(index=table.index.astype(str)))
            modality.var_names = table.columns.astype(str)
            if name in self.samples:
                modality.obs = self.samples[name].copy()
            if name in self.features:
                modality.var = self.features[name].copy()
            for part in ("pools", "pool_samples", "calls"):
                if name in getattr(self, part):
                    modality.uns[part] = getattr(self, part)[name].copy()
            modalities[name] = modality
        # The clinical table alone is the joint obs: copies of the layers' own columns would be mistaken for it.
        with mudata.set_options(pull_on_update=False):
            result = mudata.MuData(modalities)
        for column in self.clinical.columns:
            result.obs[column] = self.clinical[column].reindex(result.obs_names)
        result.uns["clinical"] = self.clinical.copy()
        return result

    @classmethod
    def from_mudata(cls, data: Any) -> MultiOmics:
        """Return the cohort in a `mudata.MuData`; the inverse of :meth:`to_mudata`.

        Parameters
        ----------
        data : mudata.MuData
            At least two modalities. Without `uns["clinical"]`, the columns of `obs` that belong to no modality are the
            clinical table.

        Raises
        ------
        ImportError
            If mudata is not installed.
        ValueError
            If `data` is no MuData, or its tables do not make a cohort.
        """
        mudata, _ = _scverse()
        if not isinstance(data, mudata.MuData):
            raise ValueError(f"expected a mudata.MuData, got {type(data).__name__}")
        parts: dict[str, dict[str, pd.DataFrame]] = {part.name: {} for part in fields(cls) if part.name != "clinical"}
        for name, modality in data.mod.items():
            parts["layers"][name] = modality.to_df().rename_axis(columns=None)
            if len(modality.obs.columns):
                parts["samples"][name] = modality.obs.copy()
            if len(modality.var.columns):
                parts["features"][name] = modality.var.copy()
            for part in ("pools", "pool_samples", "calls"):
                if part in modality.uns:
                    parts[part][name] = modality.uns[part].copy()
        if "clinical" in data.uns:
            clinical = data.uns["clinical"].copy()
        else:
            own = [c for c in data.obs.columns if c.split(":")[0] not in data.mod]
            clinical = data.obs[own].copy()
        layers = parts.pop("layers")
        return cls(layers, clinical, **parts)


def load(name: str = "cohort", *, folder: str | Path | None = None) -> MultiOmics:
    """Read a cohort from its folder, after comparing every file with its checksum.

    Looks first in `support/data/<name>` beside the notebook, then in `data/<name>` of the repository. So a class's own
    cohort, delivered with its exercises, comes before the public one.

    Parameters
    ----------
    name : str
        Name of the cohort.
    folder : path, optional
        Read this folder and look nowhere else; `name` is then not used.

    Returns
    -------
    MultiOmics

    Raises
    ------
    FileNotFoundError
        If there is no such cohort, or one of its files is missing.
    ValueError
        If a file is not the one that was delivered.

    Examples
    --------
    >>> cohort = load("cohort")
    >>> list(cohort.layers)
    ['genotype', 'methylation', 'rna', 'protein', 'metabolite']
    """
    place = _find(name) if folder is None else Path(folder)
    files = _verified(place)
    parts: dict[str, dict[str, pd.DataFrame]] = {part: {} for part in (*_INDEX_NAMES, "calls")}
    for file in files:
        if file != "clinical.csv.gz":
            layer, part = file.removesuffix(".csv.gz").split(".")
            parts[part][layer] = read_table(place / file)
    layers = parts.pop("layers")
    return MultiOmics(layers, read_table(place / "clinical.csv.gz"), **parts)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read one table of a cohort; its rows are labelled by the first column.

    Only an empty field is missing: a text such as "NA" stays that text.
    """
    return pd.read_csv(path, index_col=0, keep_default_na=False, na_values=[""])


def _find(name: str) -> Path:
    """Folder of the named cohort: the exercise's own comes before the repository's."""
    if not name or name in (".", "..") or "/" in name or "\\" in name:
        raise ValueError(f"expected the name of a cohort such as 'cohort', got {name!r}; a path goes to folder=")
    places = [Path("support") / "data" / name, Path(__file__).resolve().parent.parent / "data" / name]
    for place in places:
        if place.is_dir():
            return place
    looked = " and ".join(str(place) for place in places)
    raise FileNotFoundError(
        f"there is no cohort {name!r}: looked for the folders {looked}. "
        "Open the notebook in its exercise folder, or unpack that folder again"
    )


def _verified(place: Path) -> list[str]:
    """Names of the cohort's files, each compared with its recorded sha256."""
    listing = place / CHECKSUMS
    if not listing.is_file():
        raise FileNotFoundError(f"{place} has no file {CHECKSUMS}, so it is not a cohort; get the folder again")
    recorded = {}
    for line in listing.read_text(encoding="utf-8").splitlines():
        digest, _, file = line.partition("  ")
        recorded[file] = digest
    if "clinical.csv.gz" not in recorded:
        raise ValueError(f"{listing} names no clinical.csv.gz; get the folder again")
    for file, digest in recorded.items():
        if not (place / file).is_file():
            raise FileNotFoundError(f"{place / file} is missing; get the cohort's folder again")
        if hashlib.sha256((place / file).read_bytes()).hexdigest() != digest:
            raise ValueError(f"{place / file} is not the file delivered (its sha256 differs); get the folder again")
    return list(recorded)


def _as_dict(tables: Any, part: str) -> dict[str, pd.DataFrame]:
    if not isinstance(tables, dict) or not all(isinstance(table, pd.DataFrame) for table in tables.values()):
        raise ValueError(f"expected {part} as a dict from a layer's name to a DataFrame")
    return dict(tables)


def _complaints(cohort: MultiOmics) -> list[str]:
    """Everything that keeps these tables from being one cohort."""
    if not isinstance(cohort.clinical, pd.DataFrame):
        return [f"clinical must be a DataFrame, got {type(cohort.clinical).__name__}"]
    wrong = []
    if len(cohort.layers) < 2:
        wrong.append(f"expected at least 2 layers, got {len(cohort.layers)}")
    if cohort.clinical.index.has_duplicates:
        wrong.append(f"clinical has {_some(_repeated(cohort.clinical.index))} more than once")
    for name, table in cohort.layers.items():
        wrong += _layer_complaints(name, table, cohort.clinical.index)
    for part, axis, twin in (
        ("features", "columns", "columns"),
        ("samples", "index", "rows"),
        ("pools", "columns", "columns"),
        ("calls", "index", "rows"),
    ):
        for name, table in getattr(cohort, part).items():
            if name not in cohort.layers:
                wrong.append(f"{part} has a table for {name!r}, which is no layer")
                continue
            found = table.columns if part == "pools" else table.index
            if not found.equals(getattr(cohort.layers[name], axis)):
                how = _difference(cohort, part, name)
                wrong.append(f"{part}[{name!r}] and the {twin} of layer {name!r} differ{how}")
    wrong += _pool_complaints(cohort)
    wrong += _call_complaints(cohort)
    return wrong


def _layer_complaints(name: str, table: pd.DataFrame, patients: pd.Index) -> list[str]:
    wrong = []
    if table.empty:
        return [f"layer {name!r} is empty"]
    for what, labels in (("row", table.index), ("column", table.columns)):
        if labels.has_duplicates:
            wrong.append(f"layer {name!r} has {what} {_some(_repeated(labels))} more than once")
    numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in table.dtypes]
    if not all(numeric):
        wrong.append(f"layer {name!r} has text in column {_some(table.columns[[not n for n in numeric]])}")
    strangers = table.index.difference(patients)
    if len(strangers):
        wrong.append(f"layer {name!r} has sample {_some(strangers)}, not in the clinical table")
    return wrong


def _pool_complaints(cohort: MultiOmics) -> list[str]:
    wrong = []
    for name, table in cohort.pool_samples.items():
        if name not in cohort.pools:
            wrong.append(f"pool_samples has a table for {name!r}, but pools has none")
        elif not table.index.equals(cohort.pools[name].index):
            wrong.append(f"pool_samples[{name!r}] and the rows of pools[{name!r}] differ")
    return wrong


def _call_complaints(cohort: MultiOmics) -> list[str]:
    wrong = []
    for name, table in cohort.calls.items():
        sites = cohort.layers["genotype"].columns if "genotype" in cohort.layers else pd.Index([])
        unknown = table.columns[~table.columns.isin(sites)]
        if len(unknown):
            wrong.append(f"calls[{name!r}] has site {_some(unknown)}, not in layer 'genotype'")
    return wrong


def _difference(cohort: MultiOmics, part: str, name: str) -> str:
    """Which labels are only on one side, or that the order is another."""
    table, layer = getattr(cohort, part)[name], cohort.layers[name]
    found = table.columns if part == "pools" else table.index
    expected = layer.index if part in ("samples", "calls") else layer.columns
    odd = found.symmetric_difference(expected)
    return f" in {_some(odd)}" if len(odd) else " in their order"


def _repeated(labels: pd.Index) -> pd.Index:
    return labels[labels.duplicated()].unique()


def _some(labels: pd.Index) -> str:
    """Name the first few labels and how many more there are."""
    first = ", ".join(repr(label) for label in labels[:3].tolist())
    return first if len(labels) <= 3 else f"{first} and {len(labels) - 3} more"


def _scverse() -> tuple[Any, Any]:
    try:
        anndata, mudata = import_module("anndata"), import_module("mudata")
    except ImportError as error:
        raise ImportError("converting to and from MuData needs the package mudata: pip install mudata") from error
    return mudata, anndata
