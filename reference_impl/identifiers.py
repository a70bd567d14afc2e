"""Identifiers: which column of one table is which column of another, and what could not be said.

The module reads as the unit teaches it: names that carry a version (`split_versions`), mappings that say where they
come from (`Mapping`, `map_identifiers`, `coverage`), a table by gene (`to_genes`), proteins and their groups
(`protein_groups`), and metabolites, where a column of the table has no name at all but only a mass and a time
(`neutral_mass`, `annotate`, `find_isotopes`, `group_ions`) and where a name is a structure (`parse_inchikey`,
`identity_level`). Nothing is lost silently: what did not map is counted and listed. Rows are samples, columns features.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from reference_impl.validation import as_matrix, require_number, require_unique_labels

SEPARATOR = ";"  # joins identifiers that one measurement cannot tell apart

# ENS, letters of the species (none for man) and of the kind (G, T, P, …), eleven digits; SIMG is made up for us.
STABLE_ID = r"ENS[A-Z]*[0-9]{11}|SIMG[0-9]{6}"
# A UniProt accession, of six or ten characters; SIMP is made up for the course.
ACCESSION = r"[OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9](?:[A-Z][A-Z0-9]{2}[0-9]){1,2}|SIMP[0-9]{6}"
INCHIKEY = r"([A-Z]{14})-([A-Z]{8})([SN])A-([A-Z])"

PROTON = 1.007276467  # Da, CODATA; a hydrogen atom is one electron (0.000549 Da) heavier
ISOTOPE_SPACING = 1.003355  # Da, carbon-13 less carbon-12


# ---------------------------------------------------------------- genes and their versions


def split_versions(identifiers: Iterable[str]) -> pd.DataFrame:
    """Take the version off Ensembl identifiers, and keep it.

    `ENSG00000141510.18` is version 18 of the gene ENSG00000141510. What looks like a version in other identifiers is a
    part of the name and stays: the clone-based symbol AC004491.1, the isoform P14618-2. The copy of a gene on the Y
    chromosome, which many releases of GENCODE write as ENSG00000182378.14_PAR_Y, keeps its mark: it is another place
    on the genome than ENSG00000182378.

    Parameters
    ----------
    identifiers : n_identifiers texts, some with a version; repeats are allowed

    Returns
    -------
    (n_identifiers, 2) DataFrame[stable, version], its rows labelled by the identifiers as given. `stable` is text;
    `version` is a whole number (dtype Int64), missing where none is written

    Raises
    ------
    ValueError : an identifier that is not a text, is empty, or has a blank at its ends

    References
    ----------
    Ensembl, stable identifiers: https://www.ensembl.org/info/genome/stable_ids/

    Examples
    --------
    >>> split_versions(["ENSG00000141510.18", "ENSG00000141510", "AC004491.1"])
                                 stable  version
    ENSG00000141510.18  ENSG00000141510       18
    ENSG00000141510     ENSG00000141510     <NA>
    AC004491.1               AC004491.1     <NA>
    """
    written = _as_identifiers(identifiers)
    stable, version = [], []
    for identifier in written:
        found = re.fullmatch(rf"({STABLE_ID})\.([0-9]+)((?:_PAR_Y)?)", identifier)
        stable.append(found[1] + found[3] if found else identifier)
        version.append(int(found[2]) if found else None)
    return pd.DataFrame({"stable": stable, "version": pd.array(version, dtype="Int64")}, index=pd.Index(written))


def _as_identifiers(identifiers: Any) -> list[str]:
    """Identifiers as a list of texts; one that is missing, empty or has a blank at an end is refused by its place."""
    if isinstance(identifiers, str):
        raise ValueError(f"expected a list of identifiers, got the one text {identifiers!r}; put it into a list")
    found = list(identifiers)
    for place, identifier in enumerate(found):
        if not isinstance(identifier, str) or not identifier or identifier != identifier.strip():
            raise ValueError(f"identifier {place} is {identifier!r}; expected a text without blanks at its ends")
    return found


# ---------------------------------------------------------------- mappings


@dataclass(frozen=True)
class Mapping:
    """Which identifiers of one kind belong to which of another, and where that is known from. It cannot be changed.

    pairs : tuple of (source, target), each pair once; given as anything that lists pairs
    name : what is mapped to what, such as "UniProt accession to Ensembl gene"
    version : release of the source, such as "Ensembl 115"
    date : day it was fetched, as YYYY-MM-DD
    source : from where: an address, a file, a paper

    >>> genes = Mapping([("P14618", "PKM"), ("P69905", "HBA1"), ("P69905", "HBA2")], "protein to symbol",
    ...                 "UniProt 2026_04", "2026-11-22", "https://rest.uniprot.org")
    >>> genes.targets["P69905"]
    ('HBA1', 'HBA2')
    >>> genes.inverse().targets["HBA2"]
    ('P69905',)
    """

    pairs: tuple[tuple[str, str], ...]
    name: str
    version: str
    date: str
    source: str

    def __post_init__(self) -> None:
        for field in ("name", "version", "date", "source"):
            text = getattr(self, field)
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"a mapping must say its {field}; got {text!r}")
        _require_day(self.date)
        object.__setattr__(self, "pairs", _as_pairs(self.pairs))

    @property
    def targets(self) -> dict[str, tuple[str, ...]]:
        """The targets of each source, in the order of the pairs."""
        found: dict[str, list[str]] = {}
        for source, target in self.pairs:
            found.setdefault(source, []).append(target)
        return {source: tuple(targets) for source, targets in found.items()}

    @property
    def table(self) -> pd.DataFrame:
        """The pairs as a new DataFrame[source, target]."""
        return pd.DataFrame(list(self.pairs), columns=["source", "target"])

    def inverse(self) -> Any:  # a Mapping; in a notebook the class is not yet known here
        """The same pairs from target to source, with the same provenance."""
        turned = tuple((target, source) for source, target in self.pairs)
        return Mapping(turned, f"{self.name}, inverted", self.version, self.date, self.source)

    def __str__(self) -> str:
        return f"{self.name} ({self.version}, {self.date}, {self.source})"


def _require_day(text: str) -> None:
    try:
        valid = date.fromisoformat(text).isoformat() == text
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"the date of a mapping must be a day as YYYY-MM-DD; got {text!r}")


def _as_pairs(pairs: Any) -> tuple[tuple[str, str], ...]:
    """Pairs of texts, each once; what is none is refused by its place."""
    if isinstance(pairs, pd.DataFrame):
        pairs = pairs.itertuples(index=False, name=None)
    found = [tuple(pair) if not isinstance(pair, str) else (pair,) for pair in pairs]
    if not found:
        raise ValueError("a mapping must have at least one pair")
    seen: set[tuple[Any, ...]] = set()
    for place, pair in enumerate(found):
        texts = [part for part in pair if isinstance(part, str) and part and part == part.strip()]
        if len(pair) != 2 or len(texts) != 2:
            raise ValueError(f"pair {place} is {pair!r}; expected (source, target), two texts without outer blanks")
        if pair in seen:
            raise ValueError(f"pair {place}, {pair!r}, is there twice; each pair must be listed once")
        seen.add(pair)
    return tuple(found)


def map_identifiers(ids: Iterable[str], mapping: Mapping, *, many: str = "error") -> pd.DataFrame:
    """Look identifiers up in a mapping, without losing one.

    Identifiers are compared as they are, character by character: versions have to be split off before.

    Parameters
    ----------
    ids : n_identifiers texts; repeats are allowed and each is answered
    mapping : from these identifiers to others
    many : what to do where an identifier has several targets. "error": refuse. "all": one row for each target.
        "drop": one row without a target

    Returns
    -------
    DataFrame[identifier, target, n_targets], rows in the order of `ids`, then of the mapping's pairs. An identifier
    that does not map has one row, with a missing target and n_targets 0. `n_targets` counts the targets in the mapping,
    whatever `many` says, so a dropped row can still be told from one that did not map

    Raises
    ------
    ValueError : another word for `many`; with "error", an identifier with several targets (named); a bad identifier

    Examples
    --------
    >>> genes = Mapping([("P14618", "PKM"), ("P69905", "HBA1"), ("P69905", "HBA2")], "protein to symbol",
    ...                 "UniProt 2026_04", "2026-11-22", "https://rest.uniprot.org")
    >>> map_identifiers(["P69905", "Q9Y6K9", "P14618"], genes, many="all")
      identifier target  n_targets
    0     P69905   HBA1          2
    1     P69905   HBA2          2
    2     Q9Y6K9    NaN          0
    3     P14618    PKM          1
    """
    if many not in ("error", "all", "drop"):
        raise ValueError(f"many must be 'error', 'all' or 'drop'; got {many!r}")
    targets = mapping.targets
    rows: list[tuple[str, str | None, int]] = []
    for identifier in _as_identifiers(ids):
        found = targets.get(identifier, ())
        if len(found) > 1 and many == "error":
            raise ValueError(f"{identifier} has {len(found)} targets, {', '.join(found)}; choose many='all' or 'drop'")
        kept = found if found and (len(found) == 1 or many == "all") else (None,)
        rows += [(identifier, target, len(found)) for target in kept]
    return pd.DataFrame(rows, columns=["identifier", "target", "n_targets"])


@dataclass(frozen=True)
class Coverage:
    """How far a mapping reaches a list of identifiers.

    mapping : what was used, with its provenance
    n_identifiers : different identifiers asked for
    n_mapped : those with at least one target
    unmapped : those without any, in the order asked
    ambiguous : those with more than one target (one to many)
    shared : targets that more than one of the identifiers leads to (many to one)
    """

    mapping: str
    n_identifiers: int
    n_mapped: int
    unmapped: tuple[str, ...]
    ambiguous: tuple[str, ...]
    shared: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.n_mapped} of {self.n_identifiers} identifiers mapped by {self.mapping}"]
        for what in ("unmapped", "ambiguous", "shared"):
            names = getattr(self, what)
            some = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            lines.append(f"  {what}: {len(names)}" + (f" ({some})" if names else ""))
        return "\n".join(lines)


def coverage(ids: Iterable[str], mapping: Mapping) -> Coverage:
    """Report how many identifiers a mapping knows, and list those that need attention.

    Parameters
    ----------
    ids : identifiers; one that occurs twice counts once
    mapping : from these identifiers to others

    Returns
    -------
    Coverage(mapping, n_identifiers, n_mapped, unmapped, ambiguous, shared)

    Raises
    ------
    ValueError : an identifier that is not a text, is empty, or has a blank at its ends

    Examples
    --------
    >>> genes = Mapping([("P14618-1", "PKM"), ("P14618-2", "PKM"), ("P69905", "HBA1"), ("P69905", "HBA2")],
    ...                 "protein to symbol", "UniProt 2026_04", "2026-11-22", "https://rest.uniprot.org")
    >>> print(coverage(["P14618-1", "P14618-2", "P69905", "Q9Y6K9"], genes))
    3 of 4 identifiers mapped by protein to symbol (UniProt 2026_04, 2026-11-22, https://rest.uniprot.org)
      unmapped: 1 (Q9Y6K9)
      ambiguous: 1 (P69905)
      shared: 1 (PKM)
    """
    asked = list(dict.fromkeys(_as_identifiers(ids)))
    targets = mapping.targets
    reached: dict[str, int] = {}
    for identifier in asked:
        for target in targets.get(identifier, ()):
            reached[target] = reached.get(target, 0) + 1
    unmapped = tuple(identifier for identifier in asked if identifier not in targets)
    return Coverage(
        mapping=str(mapping),
        n_identifiers=len(asked),
        n_mapped=len(asked) - len(unmapped),
        unmapped=unmapped,
        ambiguous=tuple(identifier for identifier in asked if len(targets.get(identifier, ())) > 1),
        shared=tuple(target for target, count in reached.items() if count > 1),
    )


def to_genes(x: pd.DataFrame, mapping: Mapping, *, how: str) -> tuple[pd.DataFrame, Coverage]:
    """Turn a table of transcripts, proteins or isoforms into one of genes.

    Features of one gene become one column. How they are put together depends on what the numbers mean, so it must be
    said: counts and intensities of parts add up to the whole ("sum"); logarithms do not, and their "mean" is the
    typical part; and where one feature per gene is expected, "unique" refuses anything else.

    A feature of several genes cannot be divided among them. Copying its value to each would count it several times;
    it gets a column of its own, labelled by all its genes in alphabetical order, joined by ";". So under "sum" each
    sample's total over the mapped features stays what it was.

    Parameters
    ----------
    x : (n_samples, n_features) DataFrame of numbers; a value may be missing (NaN). Column labels are unique
    mapping : from x's columns to genes, one gene in each pair
    how : "sum", "mean" or "unique"

    Returns
    -------
    genes : (n_samples, n_genes) DataFrame of floats with the rows of x; columns in the order in which a gene's first
        feature stands in x. If one part is missing in a sample, so is the gene there: a sum of which a part was not
        measured is not known
    report : Coverage of x's columns; features without a gene are listed in it and are in no column

    Raises
    ------
    ValueError : x is no DataFrame of numbers or repeats a label; another word for `how`; "sum" with a negative value
        (a logarithm or a z score); "unique" where a gene has two features (named); no feature has a gene; a target that
        is several genes in one text, such as "HBA1;HBA2" (named)

    Examples
    --------
    >>> genes = Mapping([("P14618-1", "PKM"), ("P14618-2", "PKM"), ("P69905", "HBA1"), ("P69905", "HBA2")],
    ...                 "protein to symbol", "UniProt 2026_04", "2026-11-22", "https://rest.uniprot.org")
    >>> x = pd.DataFrame({"P14618-1": [300.0], "P69905": [80.0], "P14618-2": [100.0], "Q9Y6K9": [5.0]}, index=["P001"])
    >>> table, report = to_genes(x, genes, how="sum")
    >>> table
            PKM  HBA1;HBA2
    P001  400.0       80.0
    >>> report.unmapped
    ('Q9Y6K9',)
    """
    if how not in ("sum", "mean", "unique"):
        raise ValueError(f"how must be 'sum', 'mean' or 'unique'; got {how!r}")
    values = _feature_values(x, no_negative=how == "sum")
    report = coverage(x.columns, mapping)
    if report.n_mapped == 0:
        raise ValueError(
            f"no column of x is known to {mapping.name}: x has {x.columns[0]!r}, it {mapping.pairs[0][0]!r}"
        )
    targets = single_targets(mapping)
    members: dict[str, list[int]] = {}
    for position, feature in enumerate(x.columns):
        if feature in targets:
            members.setdefault(SEPARATOR.join(sorted(targets[feature])), []).append(position)
    for gene, positions in members.items():
        if how == "unique" and len(positions) > 1:
            raise ValueError(
                f"{gene} has {len(positions)} features, {', '.join(x.columns[positions])}; say how to join"
            )
    join = np.mean if how == "mean" else np.sum
    columns = {gene: join(values[:, positions], axis=1) for gene, positions in members.items()}
    return pd.DataFrame(columns, index=x.index), report


def single_targets(mapping: Mapping) -> dict[str, tuple[str, ...]]:
    """The targets of each source; a target that is several identifiers in one text is refused.

    Some tables write "HBA1;HBA2" where a protein has two genes. Taken for the name of one gene it would be told neither
    from the pair of genes, which is labelled so, nor be linked with HBA1.

    >>> single_targets(Mapping([("P69905", "HBA1;HBA2")], "protein to gene", "1", "2026-11-22", "a table"))
    Traceback (most recent call last):
    ValueError: the target 'HBA1;HBA2' of 'P69905' holds more than one identifier; give a pair for each of them
    """
    for source, target in mapping.pairs:
        if SEPARATOR in target:
            raise ValueError(
                f"the target {target!r} of {source!r} holds more than one identifier; give a pair for each of them"
            )
    return mapping.targets


def _feature_values(x: Any, *, no_negative: bool) -> np.ndarray:
    """Values of a labelled table; a negative one is refused if asked, with its sample and feature."""
    if not isinstance(x, pd.DataFrame):
        raise ValueError(f"x must be a DataFrame (samples × features); got {type(x).__name__}")
    require_unique_labels(x, "x")
    values = as_matrix(x, "x", missing=True)
    if no_negative and (values < 0).any():
        row, column = np.argwhere(values < 0)[0]
        raise ValueError(
            f"{x.columns[column]} of sample {x.index[row]} is {values[row, column]:g}: what can be negative, such as a "
            "logarithm, does not add up; use how='mean'"
        )
    return values


# ---------------------------------------------------------------- proteins


def protein_groups(accessions: Iterable[str], mapping: Mapping) -> pd.DataFrame:
    """Sort proteins into the smallest groups that share no gene with another group.

    Proteins and genes are many to many: one gene has several proteins (isoforms, or another reading frame), one protein
    may come from several genes that code for the same sequence. Two proteins belong to one group if they share a gene
    or an accession, directly or through others. Between groups nothing is shared, so each can be joined on its own.

    `P14618-2` is isoform 2 of P14618. A mapping often knows only P14618: an isoform that it does not list has the genes
    of its accession. A bare accession stands for the canonical sequence, usually but not always isoform 1, so its
    isoform is left open. The other way nothing is passed on: a bare accession that the mapping does not list is in the
    group of its listed isoforms, with their relation, but its `genes` is empty.

    Parameters
    ----------
    accessions : UniProt accessions, each once, some with an isoform
    mapping : from accessions (or isoforms) to genes

    Returns
    -------
    DataFrame, its rows labelled by the accessions as given, with the columns

    - accession : without the isoform
    - isoform : number of the isoform (dtype Int64), missing where none is written
    - genes : in alphabetical order, joined by ";"; empty if there is none
    - group : 0, 1, …, numbered in the order in which a group's first protein is given
    - relation : of the group's proteins to its genes: "one_to_one", "many_to_one" (several proteins, one gene),
      "one_to_many" (one protein, several genes), "many_to_many", or "unmapped"

    Raises
    ------
    ValueError : a text that is no UniProt accession, such as the symbol NKX2-5, or one given twice; a target that is
        several genes in one text, such as "HBA1;HBA2" (named)

    References
    ----------
    UniProt, accession numbers and isoforms: https://www.uniprot.org/help/accession_numbers

    Examples
    --------
    >>> genes = Mapping([("P14618", "PKM"), ("P69905", "HBA1"), ("P69905", "HBA2")], "protein to symbol",
    ...                 "UniProt 2026_04", "2026-11-22", "https://rest.uniprot.org")
    >>> protein_groups(["P14618-1", "P69905", "P14618-2"], genes)[["isoform", "genes", "group", "relation"]]
              isoform      genes  group     relation
    P14618-1        1        PKM      0  many_to_one
    P69905       <NA>  HBA1;HBA2      1  one_to_many
    P14618-2        2        PKM      0  many_to_one
    """
    table = _split_isoforms(accessions)
    targets = single_targets(mapping)
    genes = [sorted(targets.get(str(protein), targets.get(name, ()))) for protein, name in table["accession"].items()]
    table["genes"] = [SEPARATOR.join(names) for names in genes]
    # What joins proteins: their accession, and each of their genes.
    links = [[("accession", name), *genes[place]] for place, name in enumerate(table["accession"])]
    table["group"] = _linked(links)
    relation = {}
    for group, members in table.groupby("group").indices.items():
        known = {name for member in members for name in genes[member]}
        left, right = ("many" if len(side) > 1 else "one" for side in (members, known))
        relation[group] = f"{left}_to_{right}" if known else "unmapped"
    table["relation"] = table["group"].map(relation)
    return table


def _split_isoforms(accessions: Any) -> pd.DataFrame:
    """DataFrame[accession, isoform] of UniProt accessions, each once; other texts are refused."""
    written = _as_identifiers(accessions)
    found = [re.fullmatch(rf"({ACCESSION})(?:-([1-9][0-9]*))?", protein) for protein in written]
    for protein, match in zip(written, found, strict=True):
        if match is None:
            raise ValueError(f"{protein!r} is no UniProt accession, such as P14618 or P14618-2 with its isoform")
    repeated = pd.Index(written)[pd.Index(written).duplicated()]
    if len(repeated):
        raise ValueError(f"{repeated[0]} is given more than once; each protein must stand once")
    isoform = [int(match[2]) if match[2] else None for match in found if match]
    columns = {"accession": [match[1] for match in found if match], "isoform": pd.array(isoform, dtype="Int64")}
    return pd.DataFrame(columns, index=pd.Index(written))


def _linked(links: list[list[Any]]) -> np.ndarray:
    """Number of the group of each item: items that share a link, directly or through others, are in one.

    >>> _linked([["a"], ["b"], ["a", "c"], ["c"]])
    array([0, 1, 0, 0])
    """
    numbers: dict[Any, int] = {}
    edges = [(item, numbers.setdefault(link, len(numbers))) for item, own in enumerate(links) for link in own]
    first, second = np.array(edges, dtype=int).reshape(-1, 2).T
    size = len(links) + len(numbers)
    graph = coo_array((np.ones(len(edges)), (first, second + len(links))), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    return pd.factorize(component[: len(links)])[0]


# ---------------------------------------------------------------- metabolites: from ions to masses


@dataclass(frozen=True)
class Adduct:
    """What makes an ion of a neutral molecule: `added` mass in Da (electrons counted), and the `charge`."""

    added: float
    charge: int


# Masses of Na+, NH4+ and formic acid from the atomic masses of AME2020 and the electron of CODATA.
ADDUCTS = {
    "[M+H]+": Adduct(PROTON, 1),
    "[M+Na]+": Adduct(22.989221, 1),
    "[M+NH4]+": Adduct(18.033826, 1),
    "[M+2H]2+": Adduct(2 * PROTON, 2),
    "[M-H]-": Adduct(-PROTON, -1),
    "[M+FA-H]-": Adduct(46.005479 - PROTON, -1),
}


def neutral_mass(mz: Any, adduct: str) -> Any:
    """Mass of the neutral molecule behind an ion: M = |z| · (m/z) − (mass added).

    A mass spectrometer weighs ions, and per charge. [M+H]+ carries a proton, not a hydrogen atom: the electron is gone,
    and at 0.000549 Da it is 3 ppm of an ion of m/z 180. `ADDUCTS` lists the adducts known here.

    Parameters
    ----------
    mz : measured mass over charge, above 0: a number, or (n,) Series or array
    adduct : name of the adduct, such as "[M+Na]+"

    Returns
    -------
    mass in Da, like mz: float, or (n,) Series or array

    Raises
    ------
    ValueError : an adduct that is not known (with those that are), an m/z that is missing or not above 0, or an ion
        that is no heavier than what was added to it

    References
    ----------
    CODATA 2018 (proton, electron); Wang et al. 2021, Chinese Physics C 45:030003, AME2020 (atoms).

    Examples
    --------
    >>> round(neutral_mass(181.070664, "[M+H]+"), 5)  # glucose, 180.06339 Da
    180.06339
    >>> neutral_mass(np.array([91.038970, 301.038970]), "[M+2H]2+").round(5)
    array([180.06339, 600.06339])
    """
    if adduct not in ADDUCTS:
        raise ValueError(f"adduct {adduct!r} is not known; known are {', '.join(ADDUCTS)}")
    ratio = _positive(mz, "m/z")
    mass = abs(ADDUCTS[adduct].charge) * ratio - ADDUCTS[adduct].added
    _require_mass(mass, adduct, mz)
    return _given_as(mz, mass)


def _require_mass(mass: np.ndarray, adduct: str, mz: Any) -> None:
    """Refuse an ion that is lighter than what its adduct adds, by its label."""
    if not (mass > 0).all():
        light, where = _first(np.asarray(mz, dtype=float), ~(mass > 0), mz)
        raise ValueError(f"an ion of m/z {light:g}{where} cannot be {adduct}: nothing is left of it")


def _positive(values: Any, name: str) -> np.ndarray:
    """Numbers as an array of floats; one that is missing, infinite, not above 0 or text is refused by its label."""
    given = np.asarray(values, dtype=object)
    numbers = pd.to_numeric(pd.Series(given.ravel()), errors="coerce").to_numpy(dtype=float).reshape(given.shape)
    good = (numbers > 0) & (numbers < np.inf)
    if not good.all():
        bad, where = _first(given, ~good, values)
        raise ValueError(f"{name} must be above 0 and finite; got {bad!r}{where}")
    return numbers


def _first(numbers: np.ndarray, bad: np.ndarray, original: Any) -> tuple[Any, str]:
    """The first bad number, and where it stands: its label in a Series, its position in an array.

    >>> _first(np.array([1.0, -2.0]), np.array([False, True]), pd.Series([1.0, -2.0], index=["ion1", "ion2"]))[1]
    " at 'ion2'"
    """
    position = np.argwhere(bad)[0]
    found = numbers[tuple(position)]
    if isinstance(original, pd.Series):
        return found, f" at {original.index.tolist()[position[0]]!r}"
    return found, f" at position {', '.join(map(str, position))}" if numbers.ndim else ""


def _given_as(original: Any, values: np.ndarray) -> Any:
    """Values in the form of the original: a Series with its labels, an array, or a number."""
    if isinstance(original, pd.Series):
        return pd.Series(values, index=original.index)
    return values if values.ndim else float(values)


def annotate(masses: Any, database: pd.DataFrame, *, ppm: float) -> pd.DataFrame:
    """List every compound of a database whose mass agrees, within a tolerance, with each measured mass.

    The error is signed and relative to the theoretical mass, in parts per million: (measured − theoretical) /
    theoretical · 10⁶. Isomers have one mass, so a mass never tells them apart: all are listed.

    Parameters
    ----------
    masses : (n,) Series or array of measured neutral masses in Da, above 0; the labels of a Series are unique
    database : DataFrame with a column `mass` (Da, above 0); its row labels name the compounds and are unique
    ppm : largest error, at least 0; an error of exactly that size is accepted

    Returns
    -------
    DataFrame[query, candidate, ppm, n_candidates]: for each mass, in the order given, its candidates from the smallest
    error to the largest regardless of sign, equal ones in the order of the database. `query` is the label of the mass
    (its position in an array), `candidate` the label of the compound. A mass without any has one row, with candidate
    and ppm missing and n_candidates 0

    Raises
    ------
    ValueError : a mass that is missing or not above 0 (its label is named), labels that repeat, a database without
        masses, a negative ppm

    Examples
    --------
    >>> database = pd.DataFrame({"mass": [131.094629, 131.094629, 131.069477]},
    ...                         index=["leucine", "isoleucine", "creatine"])
    >>> annotate([131.0950, 150.0], database, ppm=5)
       query   candidate       ppm  n_candidates
    0      0     leucine  2.830017             2
    1      0  isoleucine  2.830017             2
    2      1         NaN       NaN             0
    """
    limit = require_number(ppm, "ppm", low=0.0)
    measured, ordered = _masses(masses, "masses"), _ordered_masses(database)
    rows: list[tuple[Any, Any, float, int]] = []
    for query, mass in measured.items():
        near = ordered.iloc[_window(ordered.to_numpy(), mass, limit)]
        errors = [(name, (mass - theory) / theory * 1e6) for name, theory in near.items()]
        found = sorted((pair for pair in errors if abs(pair[1]) <= limit), key=lambda pair: abs(pair[1]))
        rows += [(query, name, error, len(found)) for name, error in found or [(None, np.nan)]]
    return pd.DataFrame(rows, columns=["query", "candidate", "ppm", "n_candidates"])


def _masses(values: Any, name: str) -> pd.Series:
    """Masses as a labelled column of floats, all above 0, each label once."""
    if np.ndim(values) != 1:
        raise ValueError(f"{name} must be one column of masses in Da")
    labelled = pd.Series(values)
    column = pd.Series(_positive(labelled, name), index=labelled.index)
    if column.index.has_duplicates:
        raise ValueError(f"{name}: the label {column.index[column.index.duplicated()][0]!r} stands more than once")
    return column


def _ordered_masses(database: Any) -> pd.Series:
    """The masses of a database in increasing order; isomers stay in the order of the database."""
    if not isinstance(database, pd.DataFrame) or "mass" not in database.columns:
        raise ValueError("the database must be a DataFrame with a column mass")
    return _masses(database["mass"], "the column mass of the database").sort_values(kind="stable")


def _window(ordered: np.ndarray, mass: float, ppm: float) -> slice:
    """Where in an increasing list the masses stand that may agree with one; half as wide again, so look at each."""
    share = min(1.5 * ppm * 1e-6, 0.999999)
    lowest, highest = mass / (1 + share) * (1 - 1e-12), mass / (1 - share) * (1 + 1e-12)
    return slice(int(np.searchsorted(ordered, lowest)), int(np.searchsorted(ordered, highest, side="right")))


# ---------------------------------------------------------------- metabolites: which ions are one molecule


def find_isotopes(features: pd.DataFrame, *, ppm: float, rt_window: float, charges: Iterable[int]) -> pd.DataFrame:
    """Find carbon-13 peaks: ions that lie 1.003355 / z above another one and come at the same time.

    Ions are visited from light to heavy. Of several lighter ions that would fit, the nearest in m/z is taken (the one
    of higher charge), then the one with the smaller error. All ions of a ladder have one charge, and each agrees with
    the ladder's lightest ion as well, so that tolerances do not add up from peak to peak.

    Parameters
    ----------
    features : DataFrame[mz, rt] of the ions, labels unique
    ppm : largest error of the heavier ion's m/z, relative to its theoretical m/z by the next lighter ion of the ladder
        and by the lightest; included
    rt_window : largest difference of retention time from these two ions, in the unit of `rt`; included
    charges : charges without sign that are possible

    Returns
    -------
    (n_ions, 3) DataFrame[monoisotopic, isotope, charge] labelled as the features: label of the ladder's lightest ion;
    number of carbon-13 atoms (0 for the lightest); charge without sign, 0 if no isotope tells it

    Examples
    --------
    >>> ions = pd.DataFrame({"mz": [300.0, 301.003355, 300.501678], "rt": [60.0, 60.5, 99.0]}, index=["a", "b", "c"])
    >>> find_isotopes(ions, ppm=5, rt_window=1, charges=[1, 2])
      monoisotopic  isotope  charge
    a            a        0       1
    b            a        1       1
    c            c        0       0
    """
    mz, rt = features["mz"].to_numpy(dtype=float), features["rt"].to_numpy(dtype=float)
    pairs = []
    for z in charges:
        spacing = ISOTOPE_SPACING / z
        lighter, heavier, error = _ions_at(mz + spacing, rt, features, ppm=ppm, rt_window=rt_window)
        pairs += [
            (mz[j], spacing, abs(e), int(j), int(i), int(z)) for i, j, e in zip(lighter, heavier, error, strict=True)
        ]
    root, number, charge = np.arange(len(mz)), np.zeros(len(mz), dtype=int), np.zeros(len(mz), dtype=int)
    for _, spacing, _, ion, parent, z in sorted(pairs):
        lightest, atoms = root[parent], number[parent] + 1
        theory = mz[lightest] + atoms * spacing
        near = abs(mz[ion] - theory) <= theory * ppm * 1e-6 + 1e-9 and abs(rt[ion] - rt[lightest]) <= rt_window + 1e-9
        if near and number[ion] == 0 and charge[lightest] in (0, z):
            root[ion], number[ion] = lightest, atoms
            charge[lightest] = z
    columns = {"monoisotopic": features.index[root], "isotope": number, "charge": charge[root]}
    return pd.DataFrame(columns, index=features.index)


def _ions_at(
    theoretical: np.ndarray, times: np.ndarray, features: pd.DataFrame, *, ppm: float, rt_window: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All (place asked for, ion, signed ppm) where an ion lies within ppm of a theoretical m/z and within the window.

    The ions are ordered once and each place is looked up, so the work grows with n log n and the number of hits.
    """
    mz, rt = features["mz"].to_numpy(dtype=float), features["rt"].to_numpy(dtype=float)
    order = np.argsort(mz, kind="stable")
    reach = theoretical * (ppm * 1e-6 * (1 + 1e-6) + 1e-12)
    first = np.searchsorted(mz[order], theoretical - reach)
    count = np.searchsorted(mz[order], theoretical + reach, side="right") - first
    place = np.repeat(np.arange(len(theoretical)), count)
    within = np.arange(len(place)) - np.repeat(np.cumsum(count) - count, count)
    ion = order[first[place] + within]
    error = (mz[ion] - theoretical[place]) / theoretical[place] * 1e6
    # Decimal numbers such as 60.1 and 60.6 differ by 0.5 only up to rounding.
    kept = (np.abs(error) <= ppm * (1 + 1e-9)) & (np.abs(rt[ion] - times[place]) <= rt_window + 1e-9)
    return place[kept], ion[kept], error[kept]


def adduct_hypotheses(
    features: pd.DataFrame, isotopes: pd.DataFrame, *, ppm: float, rt_window: float, mode: str
) -> pd.DataFrame:
    """List what every ion may be, and which other ions that would explain.

    "This ion is the [M+Na]+ of a molecule" gives the molecule's mass, and so the m/z at which its other adducts must be
    found. An ion found there, within ppm of that theoretical m/z and within rt_window of the first ion's time, is
    explained; of several the one with the smallest error. Carbon-13 peaks take no part, and a charge that the isotopes
    tell excludes the adducts of another charge.

    Returns
    -------
    DataFrame[ion, adduct, mass, explains], numbered 0, 1, …: position of the ion, its adduct, mass of the molecule, and
    a tuple of the rows of this table that hold together: the row itself and, for each ion it explains, the row that
    gives that ion that adduct. Rows are in order of the adducts in `ADDUCTS`, then of the total error of what is
    explained, then of the ions
    """
    names = [name for name, adduct in ADDUCTS.items() if (adduct.charge > 0) == (mode == "positive")]
    added = np.array([ADDUCTS[name].added for name in names])
    charge = np.array([abs(ADDUCTS[name].charge) for name in names])
    masses = np.outer(features["mz"].to_numpy(dtype=float), charge) - added
    known = isotopes["charge"].to_numpy()[:, None]
    possible = (isotopes["isotope"].to_numpy()[:, None] == 0) & ((known == 0) | (known == charge)) & (masses > 0)
    ion, kind = np.nonzero(possible)
    mass = masses[ion, kind]
    row_of = np.full(possible.shape, -1)
    row_of[ion, kind] = np.arange(len(ion))

    hits = []
    for other in range(len(names)):
        asked = np.flatnonzero(kind != other)
        theoretical, times = (
            (mass[asked] + added[other]) / charge[other],
            features["rt"].to_numpy(dtype=float)[ion[asked]],
        )
        place, found, error = _ions_at(theoretical, times, features, ppm=ppm, rt_window=rt_window)
        hits.append(
            pd.DataFrame({"row": asked[place], "other": other, "found": row_of[found, other], "error": abs(error)})
        )
    hit = pd.concat(hits).query("found >= 0").sort_values(["row", "other", "error", "found"])
    hit = hit.drop_duplicates(["row", "other"])
    total = hit.groupby("row")["error"].sum().reindex(range(len(ion)), fill_value=0.0).to_numpy()
    order = np.lexsort((ion, total, kind))
    new = np.argsort(order)
    explains = [[int(new[row])] for row in range(len(ion))]
    for row, found in zip(hit["row"], hit["found"], strict=True):
        explains[row].append(int(new[found]))
    return pd.DataFrame(
        {
            "ion": ion[order],
            "adduct": np.array(names, dtype=object)[kind[order]],
            "mass": mass[order],
            "explains": [tuple(explains[row]) for row in order],
        }
    )


def group_ions(features: pd.DataFrame, *, ppm: float, rt_window: float, mode: str) -> pd.DataFrame:
    """Gather the ions of one molecule: its carbon-13 peaks and its adducts, which come at the same time.

    Carbon-13 peaks are found first (`find_isotopes`). Each other ion may be any adduct of the mode: each such
    hypothesis explains some ions (`adduct_hypotheses`). Again and again the hypothesis that explains the most ions not
    yet in a group makes the next group of them; equal ones in the order of the table. Its own ion must be free.
    In the end a carbon-13 peak follows its monoisotopic ion. An ion that is alone gets the mode's first adduct, which
    then is an assumption: `n_ions` is 1.

    Parameters
    ----------
    features : (n_ions, …) DataFrame with the columns mz (above 0) and rt; labels are unique. If there is a column
        `mode`, all of it must be the mode asked for
    ppm : largest error of an m/z, relative to the theoretical m/z that the hypothesis gives; included
    rt_window : largest difference of retention time from the hypothesis's own ion, and of a carbon-13 peak from its
        monoisotopic ion, in the unit of rt; included
    mode : "positive" or "negative", the sign of the ions

    Returns
    -------
    (n_ions, 5) DataFrame labelled as the features, with the columns

    - group : 0, 1, …, numbered in the order in which a group's first ion is given
    - adduct : name in `ADDUCTS`
    - isotope : number of carbon-13 atoms, 0 for the monoisotopic ion
    - mass : neutral mass of the molecule of carbon-12 alone, by this ion's m/z
    - n_ions : how many ions the group has

    Raises
    ------
    ValueError : features without mz or rt, with a missing one or with repeated labels (named), an m/z not above a
        proton's, ions of another mode, another word for the mode, a negative ppm or rt_window

    Notes
    -----
    Tolerances do not add up along a chain: every monoisotopic ion of a group agrees in mass and time with the ion of
    the hypothesis, and every carbon-13 peak with its monoisotopic ion. So no ion is more than two steps from the first.
    CAMERA and others also use the correlation of intensities over the samples and the shape of the peaks.

    References
    ----------
    Kuhl et al. 2012, Analytical Chemistry 84:283–289 (CAMERA).

    Examples
    --------
    >>> ions = pd.DataFrame({"mz": [181.0707, 203.0526, 182.0740, 181.0707], "rt": [60.0, 60.4, 59.8, 90.0]},
    ...                     index=["a", "b", "c", "d"])
    >>> group_ions(ions, ppm=5, rt_window=1, mode="positive").round(3)
       group   adduct  isotope     mass  n_ions
    a      0   [M+H]+        0  180.063       3
    b      0  [M+Na]+        0  180.063       3
    c      0   [M+H]+        1  180.063       3
    d      1   [M+H]+        0  180.063       1
    """
    charges = _require_ions(features, mode, ppm, rt_window)
    isotopes = find_isotopes(features, ppm=ppm, rt_window=rt_window, charges=charges)
    hypotheses = adduct_hypotheses(features, isotopes, ppm=ppm, rt_window=rt_window, mode=mode)
    ion, explains = hypotheses["ion"].to_numpy(), hypotheses["explains"].tolist()

    chosen: dict[int, tuple[int, int]] = {}  # ion: (the row that made its group, its own row)
    queue = [(-len(rows), row) for row, rows in enumerate(explains)]
    heapq.heapify(queue)
    while queue:
        claimed, row = heapq.heappop(queue)
        free = [other for other in explains[row] if ion[other] not in chosen]
        if row not in free:
            continue
        if len(free) < -claimed:  # others took some of its ions: it waits for its new turn
            heapq.heappush(queue, (-len(free), row))
            continue
        chosen.update({int(ion[other]): (row, other) for other in free})

    lightest = features.index.get_indexer(pd.Index(isotopes["monoisotopic"])).tolist()
    group, own = np.array([chosen[position] for position in lightest]).T
    columns = {"group": pd.factorize(group)[0], "adduct": hypotheses["adduct"].to_numpy()[own]}
    result = pd.DataFrame(columns, index=features.index).join(isotopes["isotope"])
    result["mass"] = _carbon_12_mass(features["mz"], result["adduct"], result["isotope"])
    result["n_ions"] = result.groupby("group")["group"].transform("size")
    return result


def _carbon_12_mass(mz: pd.Series, adduct: pd.Series, isotope: pd.Series) -> pd.Series:
    """Neutral masses by ions of known adducts and numbers of carbon-13 atoms; what those add is taken off."""
    charge, added = adduct.map(lambda name: abs(ADDUCTS[name].charge)), adduct.map(lambda name: ADDUCTS[name].added)
    return charge * mz - isotope * ISOTOPE_SPACING - added


def _require_ions(features: Any, mode: str, ppm: float, rt_window: float) -> list[int]:
    """Refuse what cannot be grouped; return the charges, without sign, of the mode's adducts."""
    if mode not in ("positive", "negative"):
        raise ValueError(f"mode must be 'positive' or 'negative'; got {mode!r}")
    require_number(ppm, "ppm", low=0.0)
    require_number(rt_window, "rt_window", low=0.0)
    if not isinstance(features, pd.DataFrame) or not {"mz", "rt"} <= set(features.columns) or features.empty:
        raise ValueError("features must be a DataFrame with at least one ion and the columns mz and rt")
    if features.index.has_duplicates:
        raise ValueError(f"ion {features.index[features.index.duplicated()][0]!r} is given more than once")
    for column in ("mz", "rt"):
        if features[column].isna().any():
            gap = features.index[features[column].isna()][0]
            raise ValueError(f"ion {gap!r} has a missing value for {column}; leave ions without mz or rt out")
    numbers = as_matrix(features[["mz", "rt"]], "mz and rt of the features")
    if (numbers[:, 0] <= PROTON).any():
        light = features.index[numbers[:, 0] <= PROTON][0]
        raise ValueError(f"ion {light!r} has m/z {features['mz'][light]:g}; an ion is heavier than a proton")
    if "mode" in features and (features["mode"] != mode).any():
        stranger = features.index[features["mode"] != mode][0]
        raise ValueError(f"ion {stranger!r} is of mode {features['mode'][stranger]!r}; group the {mode} ions alone")
    return sorted({abs(a.charge) for a in ADDUCTS.values() if (a.charge > 0) == (mode == "positive")})


# ---------------------------------------------------------------- metabolites: names that are structures


@dataclass(frozen=True)
class InChIKey:
    """The parts of an InChIKey.

    skeleton : 14 letters, a hash of the formula and of which atom is bound to which
    detail : 8 letters, a hash of stereochemistry and isotopes; UHFFFAOY if neither is specified
    standard : True for a standard InChI
    protons : protons added (above 0) or taken away (below 0); None if more than twelve
    """

    skeleton: str
    detail: str
    standard: bool
    protons: int | None


def parse_inchikey(key: str) -> InChIKey:
    """Take an InChIKey apart, and refuse whatever is not one, to the last character.

    A key is a hash and has no check character: a wrong letter in it cannot be seen, only a wrong form.

    Parameters
    ----------
    key : 27 characters: 14 letters, "-", 8 letters, S (standard) or N, A (version 1), "-", a letter for the protons:
        N for none, M for one fewer, O for one more, and so on; A for more than twelve

    Returns
    -------
    InChIKey(skeleton, detail, standard, protons)

    Raises
    ------
    ValueError : another form, such as small letters, a blank, or a line end behind the key

    References
    ----------
    Heller et al. 2015, Journal of Cheminformatics 7:23.

    Examples
    --------
    >>> parse_inchikey("JVTAAEKCZFNVCJ-REOHCLBHSA-M")  # lactate: lactic acid less one proton
    InChIKey(skeleton='JVTAAEKCZFNVCJ', detail='REOHCLBH', standard=True, protons=-1)
    """
    found = re.fullmatch(INCHIKEY, key) if isinstance(key, str) else None
    if found is None:
        raise ValueError(f"{key!r} is no InChIKey: expected 14 letters, 8 letters with S or N and A, and one letter")
    skeleton, detail, standard, letter = found.groups()
    protons = None if letter == "A" else ord(letter) - ord("N")
    return InChIKey(skeleton, detail, standard == "S", protons)


def identity_level(first: str, second: str) -> str:
    """Say how far two structures agree by their InChIKeys.

    Parameters
    ----------
    first, second : InChIKeys

    Returns
    -------
    "identical"; "protonation" if they differ in nothing but protons (lactic acid and lactate); "skeleton" if the same
    atoms are bound but stereochemistry or isotopes differ or are not specified (L- and D-lactic acid); or "different"

    Raises
    ------
    ValueError : not an InChIKey

    Examples
    --------
    >>> identity_level("JVTAAEKCZFNVCJ-REOHCLBHSA-N", "JVTAAEKCZFNVCJ-UWTATZPHSA-N")
    'skeleton'
    """
    one, other = parse_inchikey(first), parse_inchikey(second)
    if one == other:
        return "identical"
    if (one.skeleton, one.detail, one.standard) == (other.skeleton, other.detail, other.standard):
        return "protonation"
    return "skeleton" if one.skeleton == other.skeleton else "different"


def hmdb_accession(text: str) -> str:
    """Write an HMDB accession as the database does since 2017: HMDB and seven digits, filled up with zeros.

    Papers and files before that year have five digits: HMDB00122 is HMDB0000122.

    Raises
    ------
    ValueError : not HMDB and five or seven digits

    Examples
    --------
    >>> hmdb_accession("HMDB00122")
    'HMDB0000122'
    """
    found = re.fullmatch(r"HMDB([0-9]{5}|[0-9]{7})", text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} is no HMDB accession: expected HMDB and seven digits, or five in the old form")
    return f"HMDB{found[1]:0>7}"


# ---------------------------------------------------------------- gas chromatography


def retention_index(times: Any, ladder: pd.Series) -> np.ndarray:
    """Turn retention times of gas chromatography into indices that other laboratories can compare.

    A run with a temperature ramp brings n-alkanes at nearly equal distances. The alkane of n carbon atoms has index
    100 n by definition, and what comes between two alkanes is interpolated.

    Parameters
    ----------
    times : (n,) retention times, in the unit of the ladder
    ladder : Series of retention times labelled by numbers of carbon atoms, at least two; time increases with carbon

    Returns
    -------
    (n,) array of indices; NaN for times outside the ladder, where nothing can be interpolated

    Raises
    ------
    ValueError : a ladder with fewer than two alkanes, or out of order (the alkane is named), or a missing time

    References
    ----------
    van den Dool & Kratz 1963, Journal of Chromatography 11:463–471.

    Examples
    --------
    >>> retention_index([300.0, 360.0, 999.0], pd.Series([300.0, 400.0, 480.0], index=[10, 11, 12]))
    array([1000., 1060.,   nan])
    """
    if not isinstance(ladder, pd.Series) or len(ladder) < 2:
        raise ValueError("the ladder must be a Series of at least two times, labelled by numbers of carbon atoms")
    carbons, ends = ladder.index.to_numpy(dtype=float), ladder.to_numpy(dtype=float)
    rises = (np.diff(carbons) > 0) & (np.diff(ends) > 0)
    if not rises.all():
        late = int(np.argmin(rises)) + 1
        raise ValueError(
            f"the ladder must be in the order of carbon atoms and of time; alkane {ladder.index[late]} at "
            f"{ends[late]:g} follows alkane {ladder.index[late - 1]} at {ends[late - 1]:g}"
        )
    asked = np.asarray(times, dtype=float)
    if np.isnan(asked).any():
        raise ValueError(f"a retention time is missing{_first(asked, np.isnan(asked), times)[1]}; leave it out")
    return np.interp(asked, ends, 100 * carbons, left=np.nan, right=np.nan)
