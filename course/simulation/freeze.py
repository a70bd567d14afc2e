"""Files of a cohort: compressed tables with checksums, the truth apart, and the comparison with a new simulation."""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from course.errors import CourseError
from reference_impl.cohort import CHECKSUMS, MultiOmics

PARTS = ("layers", "features", "samples", "pools", "pool_samples", "calls")


def tables_of(cohort: MultiOmics) -> dict[str, pd.DataFrame]:
    """Every table of a cohort under the name of its file, without the ending."""
    tables = {"clinical": cohort.clinical}
    for part in PARTS:
        tables |= {f"{layer}.{part}": table for layer, table in getattr(cohort, part).items()}
    return tables


def freeze_cohort(cohort: MultiOmics, folder: Path) -> None:
    """Write a cohort's files and their checksums to a folder; what was there before is replaced in one step.

    Parameters
    ----------
    cohort : MultiOmics
    folder : Path
        For example a class's `data/cohort`. Holds nothing but the cohort.

    Raises
    ------
    CourseError
        If the folder exists and holds something else.
    """
    if folder.exists() and not (folder / CHECKSUMS).is_file() and any(folder.iterdir()):
        raise CourseError(f"{folder} holds something that is not a cohort; name an empty folder for it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".cohort-") as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        lines = []
        for name, table in tables_of(cohort).items():
            data = _compressed(table)
            (new / f"{name}.csv.gz").write_bytes(data)
            lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}.csv.gz\n")
        (new / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        try:
            new.rename(folder)
        except OSError:
            if (Path(scratch) / "old").exists():
                (Path(scratch) / "old").rename(folder)
            raise


def write_truth(truth: dict[str, Any], path: Path) -> None:
    """Write the truth as JSON, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(truth, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    scratch.replace(path)


def read_truth(path: Path) -> dict[str, Any]:
    """Read the truth about a cohort."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _compressed(table: pd.DataFrame) -> bytes:
    """CSV text, compressed without time stamp or file name. Whole numbers are written without a decimal point."""
    numbers = table.select_dtypes(np.float64)
    gaps = numbers.isna()
    whole, complete = ((numbers % 1 == 0) | gaps).all(), ~gaps.any()
    counts = numbers.loc[:, whole & complete].astype(np.int64)
    counts_with_gaps = numbers.loc[:, whole & ~complete].astype("Int64")
    others = table.drop(columns=whole.index[whole])
    shortest = pd.concat([counts, counts_with_gaps, others], axis=1)[table.columns]
    return gzip.compress(shortest.to_csv(lineterminator="\n").encode(), compresslevel=9, mtime=0)


def differences(first: MultiOmics, second: MultiOmics) -> list[str]:
    """Tables in which two cohorts differ; numbers may differ by what another machine's last digit does to rounding."""
    tables, others = tables_of(first), tables_of(second)
    wrong = [f"{name} is on one side only" for name in tables.keys() ^ others.keys()]
    for name in tables.keys() & others.keys():
        try:
            # Values carry four significant digits, so a last binary digit can move one by 1e-3 of itself at most.
            pd.testing.assert_frame_equal(tables[name], others[name], check_dtype=False, rtol=1e-3, atol=1.01e-4)
        except AssertionError as error:
            wrong.append(f"{name}: {str(error).splitlines()[0]}")
    return sorted(wrong)
