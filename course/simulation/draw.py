"""A class draws its own cohort from its key, so that answers found elsewhere do not fit."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course.errors import CourseError
from course.simulation.cohort import simulate_cohort
from course.simulation.freeze import freeze_cohort
from reference_impl.cohort import MultiOmics

MAX_ATTEMPTS = 20

Accept = Callable[[MultiOmics, dict[str, Any]], list[str]]


def seed_of(key: bytes, attempt: int) -> int:
    """Seed that only the holder of the key knows: the first 8 bytes of HMAC-SHA256(key, "cohort/<attempt>").

    >>> seed_of(b"a", 1) == seed_of(b"a", 1), seed_of(b"a", 1) == seed_of(b"a", 2), seed_of(b"a", 1) == seed_of(b"b", 1)
    (True, False, False)
    """
    return int.from_bytes(hmac.new(key, f"cohort/{attempt}".encode(), hashlib.sha256).digest()[:8], "big")


def draw_class_cohort(key: bytes, folder: Path, *, accept: Accept | None = None) -> dict[str, Any]:
    """Write a class's cohort to a folder, drawn anew until every planted fault is found by the reference.

    Parameters
    ----------
    key : bytes
        The class's key. The same key always gives the same cohort.
    folder : Path
        Gets the cohort's files and checksums, in one step; replaced if it exists. The truth is not written here.
    accept : callable (cohort, truth) -> list of complaints, optional
        Draw again while there are complaints; by default `planted_faults_found`.

    Returns
    -------
    dict
        The truth about the cohort. Keep it where students cannot read it.

    Raises
    ------
    CourseError
        If the key is empty, or no acceptable cohort was found.
    """
    if not key:
        raise CourseError("the class has an empty key; make a new class with: course class new DIR")
    if accept is None:
        # Imported here: simulating needs none of the reference methods that judging does.
        from course.simulation.accept import planted_faults_found

        accept = planted_faults_found
    complaints: list[str] = []
    for attempt in range(1, MAX_ATTEMPTS + 1):
        cohort, truth = simulate_cohort(seed_of(key, attempt))
        complaints = accept(cohort, truth)
        if not complaints:
            freeze_cohort(cohort, folder)
            return truth | {"attempts": attempt}
    raise CourseError(
        f"no acceptable cohort in {MAX_ATTEMPTS} draws from this class's key; the last one: {complaints[0]}; "
        "make the class again, it gets another key"
    )
