"""The short form of benchmark_scale.py: many submissions in one run leave nothing in memory that grows with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.benchmark_scale import draw, measure


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_submissions(tmp_path: Path) -> None:
    rows = measure(tmp_path, count=40, workers=2)
    number, seconds, mib = rows[1:].T
    assert number.tolist() == list(range(1, 41))
    assert (np.diff(seconds) >= 0).all()
    grown = np.median(mib[30:]) - np.median(mib[10:20])
    assert grown < 60, f"{grown:.0f} MiB more after 20 submissions"  # a kernel that is left has more than 60
    draw(rows, tmp_path / "scale.png")
    assert (tmp_path / "scale.png").stat().st_size < 150_000
