"""Verdicts that are already known, by the hash of all that decided them.

A record is one file, written beside its place and then moved there: a reader sees all of it or nothing, whenever the
writer was stopped. Its name is a hash of the submission, the tests, the environment and the seed, so a run that was
interrupted goes on where it was, and a change of any of them asks for a new examination.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import math
import os
import re
import secrets
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from course.errors import CourseError

_NAME = re.compile(r"[0-9a-f]{64}")


def canonical(value: Any) -> bytes:
    """The one JSON text of a value: sorted keys, no spaces, no NaN.

    >>> canonical({"b": 1, "a": ["é"]})
    b'{"a":["\\\\u00e9"],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def printable(value: Any) -> Any:
    """Plain JSON that any writer can write: no half characters (lone surrogates), no NaN, no infinity.

    >>> printable({"text": "a\\ud800", "number": float("nan"), "list": [1, "多"]})
    {'text': 'a?', 'number': None, 'list': [1, '多']}
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {printable(key): printable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [printable(item) for item in value]
    return value


def digest(value: Any) -> str:
    """The sha256 of a value's one JSON text, in hexadecimal.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(canonical(value)).hexdigest()


def file_digest(paths: Mapping[str, Path]) -> str:
    """The sha256 of several files, each under the name it has for us; one that is missing counts as missing."""
    return digest(
        {
            name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
            for name, path in paths.items()
        }
    )


def submission_digest(notebook: Mapping[str, Any]) -> str:
    """The sha256 of what a student handed in: kind, grade id and source of every cell, and no output.

    >>> cells = [{"cell_type": "code", "source": "x = 1", "metadata": {}, "outputs": []}]
    >>> again = [{"cell_type": "code", "source": "x = 1", "metadata": {"collapsed": True}, "outputs": [{}]}]
    >>> submission_digest({"cells": cells}) == submission_digest({"cells": again})
    True
    """
    cells = []
    for cell in notebook["cells"]:
        source = cell["source"]
        grade_id = cell.get("metadata", {}).get("nbgrader", {}).get("grade_id")
        text = source if isinstance(source, str) else "".join(source)
        cells.append([cell["cell_type"], grade_id, text])
    return digest({"cells": cells, "unit": notebook.get("metadata", {}).get("course", {}).get("unit")})


def seed_digest(key: bytes) -> str:
    """A name for a key that doesn't reveal it: keys are 32 random bytes, so their hash can't be searched.

    >>> seed_digest(b"k") != seed_digest(b"l")
    True
    """
    return hashlib.sha256(b"multiomics-course: the name of a key\0" + key).hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that, at any moment, it is as before or complete; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut; a file system that can't do that keeps working."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Store:
    """Finished examinations in a folder: `{"verdict": …, "executed": notebook}` by the hash of what decided them."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise CourseError(f"{self.folder} is a file; verdicts need a folder of that name")

    def path(self, key: str) -> Path:
        """Where the record of a key is, or would be."""
        if not _NAME.fullmatch(key):
            raise ValueError(f"the key of a record is a sha256 in hexadecimal, not {key!r}")
        return self.folder / key[:2] / f"{key}.json.gz"

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def get(self, key: str) -> dict[str, Any] | None:
        """The record, or None where there is none; one that was damaged on the disk counts as none."""
        try:
            record = json.loads(gzip.decompress(self.path(key).read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, zlib.error):
            return None
        return record if isinstance(record, dict) and record.get("key") == key else None

    def put(self, key: str, record: Mapping[str, Any]) -> Path:
        """Keep a record, all of it or nothing."""
        path = self.path(key)
        write_atomically(path, gzip.compress(canonical(printable({**record, "key": key})), compresslevel=5, mtime=0))
        return path

    def keys(self) -> Iterator[str]:
        """Names of all records."""
        for path in sorted(self.folder.glob("??/*.json.gz")):
            yield path.name.removesuffix(".json.gz")

    def sweep(self) -> int:
        """Remove what a killed writer left half written; returns how many files that were."""
        leftovers = list(self.folder.glob("??/.*.part"))
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)
